//! Who can log in to an instance, and when is its system disk made anew?

use crate::cloud::{Cloud, block};
use crate::economical::{firm, start};
use crate::story;
use serde_json::{Value, json};

async fn stop(cloud: &Cloud, id: &str) {
    cloud.post("individual", &format!("/v1/instances/{id}/stop"), json!(null)).await;
    cloud.wait(60).await;
}

story!(a_password_is_nowhere_to_be_read_and_goes_with_its_instance, |cloud: Cloud| async move {
    let id = cloud.buy("individual", firm("t6.small.1")).await;
    let path = format!("/v1/instances/{id}/password");
    let strong = || json!({"password": "Correct-horse7"});
    assert_eq!(cloud.refused("individual", &path, json!({"password": "short"})).await, (400, "bad-input".to_owned()));
    assert_eq!(cloud.refused("enterprise", &path, strong()).await, (404, "not-found".to_owned()));
    assert_eq!(cloud.refused("operator", &path, strong()).await, (403, "role".to_owned()));
    let changed = cloud.post("individual", &path, strong()).await;
    assert!(!changed.to_string().contains("Correct"), "{changed}");
    let events = cloud.get("individual", "/v1/events?limit=100").await.to_string();
    assert!(events.contains("password-reset") && !events.contains("$6$") && !events.contains("Correct"), "{events}");
    cloud.delete("individual", &id).await;
    cloud.wait(10).await;
    assert_eq!(cloud.refused("individual", &path, strong()).await, (409, "released".to_owned()));
});

story!(a_system_disk_is_made_anew_when_stopped_and_never_a_blocks, |cloud: Cloud| async move {
    let id = cloud.buy("individual", firm("t6.small.1")).await;
    cloud.wait(10).await;
    let path = format!("/v1/instances/{id}/system-disk");
    let same = || json!({});
    assert_eq!(cloud.refused("individual", &path, same()).await, (409, "not-stopped".to_owned()));
    stop(&cloud, &id).await;
    let wrong = json!({"image": "windows-95"});
    assert_eq!(cloud.refused("individual", &path, wrong).await, (422, "unknown-image".to_owned()));
    let charged = changed_price(&cloud, &id).await;
    let changed = cloud.post("individual", &path, same()).await;
    assert_eq!((&changed["state"], &changed["image"]), (&json!("stopped"), &json!("ebb-guest")));
    assert_eq!(changed_price(&cloud, &id).await, charged, "it costs what it did");
    assert_eq!(start(&cloud, "individual", &id).await, "starting");
    let events = cloud.get("individual", "/v1/events?limit=100").await;
    let replaced =
        events["items"].as_array().unwrap().iter().find(|one| one["body"]["event"] == "system-disk-replaced");
    assert_eq!(replaced.map(|one| &one["body"]["revision"]), Some(&json!(1)), "{events}");

    let block = cloud.buy("individual", block(1)).await;
    cloud.wait(10).await;
    let path = format!("/v1/instances/{block}/system-disk");
    assert_eq!(cloud.refused("individual", &path, same()).await, (409, "spot-no-os-change".to_owned()));
    let allowed = cloud.get("individual", &format!("/v1/instances/{id}/operations")).await;
    let change = allowed["items"].as_array().unwrap().iter().find(|one| one["operation"] == "change-os").cloned();
    assert_eq!(change.unwrap_or(Value::Null)["code"], json!("not-stopped"));
});

async fn changed_price(cloud: &Cloud, id: &str) -> (Value, Value) {
    let one = cloud.instance("individual", id).await;
    (one["price"].clone(), one["system_disk_price"].clone())
}
