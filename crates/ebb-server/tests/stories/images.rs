//! How does an account bring an image along, who may use it, and when does it go?

use crate::cloud::{Cloud, On, order};
use crate::economical::firm;
use crate::story;
use ebb_driver::fake::Behaviour;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A small disk.
const BYTES: [u8; 4096] = [7; 4096];

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An image of these bytes as its owner says they are.
async fn begun(cloud: &Cloud, who: &str, sha256: &str) -> String {
    let origin = json!({"from": "upload", "format": "raw", "sha256": sha256});
    let image = cloud.post(who, "/v1/images", json!({"name": "golden", "origin": origin})).await;
    assert_eq!(image["state"], "importing", "{image}");
    image["id"].as_str().unwrap().to_owned()
}

async fn sent(cloud: &Cloud, who: &str, id: &str, bytes: &'static [u8]) -> (u16, Value) {
    let request = cloud.client.put(format!("{}/v1/images/{id}/content", cloud.endpoint)).body(bytes);
    let response = request.bearer_auth(format!("ebb_sandbox_{who}")).send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

async fn available(cloud: &Cloud, who: &str) -> String {
    let id = begun(cloud, who, &digest(&BYTES)).await;
    let (status, image) = sent(cloud, who, &id, &BYTES).await;
    assert_eq!((status, &image["state"], &image["gib"]), (200, &json!("available"), &json!(1)), "{image}");
    id
}

fn of(image: &str) -> Value {
    let mut what = firm("t6.small.1");
    what["image"] = json!(image);
    what
}

story!(bytes_that_are_not_what_was_said_make_no_image, |cloud: Cloud| async move {
    for (field, value) in [("format", "vmdk"), ("sha256", "12"), ("sha256", &"g".repeat(64))] {
        let mut origin = json!({"from": "upload", "format": "qcow2", "sha256": digest(b"")});
        origin[field] = json!(value);
        let refused = cloud.refused("individual", "/v1/images", json!({"name": "x", "origin": origin})).await;
        assert_eq!(refused, (400, "bad-input".to_owned()), "{field} {value}");
    }
    // What is said to be qcow2 is looked at as a host looks at it.
    let origin = json!({"from": "upload", "format": "qcow2", "sha256": digest(&BYTES)});
    let image = cloud.post("individual", "/v1/images", json!({"name": "x", "origin": origin})).await;
    let (_, image) = sent(&cloud, "individual", image["id"].as_str().unwrap(), &BYTES).await;
    assert!(image["reason"].as_str().unwrap().contains("qcow2"), "{image}");
    cloud.delete_at("individual", &format!("/v1/images/{}", image["id"].as_str().unwrap())).await;
    let inside = json!({"from": "url", "url": "http://169.254.169.254/x", "format": "raw", "sha256": digest(b"")});
    let refused = cloud.refused("individual", "/v1/images", json!({"name": "x", "origin": inside})).await;
    assert_eq!(refused, (400, "bad-input".to_owned()));
    let id = begun(&cloud, "individual", &digest(b"others")).await;
    let wanted = order(of(&id));
    assert_eq!(cloud.refused("individual", "/v1/instances", wanted.clone()).await, (409, "image-not-ready".to_owned()));
    let (status, image) = sent(&cloud, "individual", &id, &BYTES).await;
    assert_eq!((status, &image["state"]), (200, &json!("failed")));
    assert!(image["reason"].as_str().unwrap().contains("SHA-256"), "{image}");
    assert_eq!(sent(&cloud, "individual", &id, b"others").await.1["code"], "image-has-bytes");
    assert_eq!(cloud.refused("individual", "/v1/instances", wanted).await, (409, "image-not-ready".to_owned()));
    cloud.delete_at("individual", &format!("/v1/images/{id}")).await;
    assert_eq!(cloud.get("individual", "/v1/images").await["items"], json!([]));
});

story!(an_image_is_its_owners_and_whom_it_is_shared_with, |cloud: Cloud| async move {
    let id = available(&cloud, "individual").await;
    let account = cloud.get("enterprise", "/v1/whoami").await["account"]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/images/{id}");
    assert_eq!(cloud.ask("enterprise", Method::GET, &path, None).await.0, 404);
    let wanted = order(of(&id));
    assert_eq!(cloud.refused("enterprise", "/v1/instances", wanted.clone()).await, (422, "unknown-image".to_owned()));
    assert_eq!(cloud.refused("enterprise", "/v1/quote", wanted.clone()).await, (422, "unknown-image".to_owned()));
    let to = json!({ "account": account });
    assert_eq!(cloud.refused("enterprise", &format!("{path}/share"), to.clone()).await.0, 404);
    let shared = cloud.post("individual", &format!("{path}/share"), to.clone()).await;
    assert_eq!(shared["shared_with"], json!([account]));
    let seen = cloud.get("enterprise", &path).await;
    assert_eq!((&seen["state"], seen.get("shared_with")), (&json!("available"), None));
    assert_eq!(cloud.ask("enterprise", Method::DELETE, &path, None).await.0, 404, "it is not theirs to delete");
    let theirs = cloud.post("enterprise", "/v1/instances", wanted.clone()).await;
    cloud.wait(5).await;
    assert_eq!(cloud.state("enterprise", theirs["id"].as_str().unwrap()).await, "running");

    // What was made of it stays, and keeps it.
    cloud.post("individual", &format!("{path}/unshare"), to).await;
    assert_eq!(cloud.refused("enterprise", "/v1/instances", wanted).await.1, "unknown-image");
    let (status, used) = cloud.ask("individual", Method::DELETE, &path, None).await;
    assert_eq!((status.as_u16(), &used["code"]), (409, &json!("image-in-use")));
    cloud.delete("enterprise", theirs["id"].as_str().unwrap()).await;
    cloud.wait(5).await;
    let gone = cloud.delete_at("individual", &path).await;
    assert_eq!(gone["state"], "deleted");
    assert_eq!(cloud.refused("individual", "/v1/instances", order(of(&id))).await.1, "image-not-ready");
});

story!(an_image_of_a_system_disk_is_refused_while_it_is_taken_back, |cloud: Cloud| async move {
    let block = cloud.buy("individual", crate::cloud::block(1)).await;
    let origin = json!({"from": "system-disk", "instance": block});
    let wanted = json!({"name": "golden", "origin": origin});
    cloud.wait(5).await;
    let image = cloud.post("individual", "/v1/images", wanted.clone()).await;
    cloud.wait(5).await;
    let image = cloud.get("individual", &format!("/v1/images/{}", image["id"].as_str().unwrap())).await;
    assert_eq!((&image["state"], &image["gib"]), (&json!("available"), &json!(40)), "{image}");
    cloud.post("operator", &format!("/v1/instances/{block}/reclaim"), json!({})).await;
    let refused = cloud.refused("individual", "/v1/images", wanted).await;
    assert_eq!(refused, (409, "reclaiming-no-system-disk-image".to_owned()));
    let theirs = cloud.refused("enterprise", "/v1/images", json!({"name": "x", "origin": image["origin"]})).await;
    assert_eq!(theirs.0, 404);
});

/// Made in twenty seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_disk_is_copied_into_an_image_while_it_is_taken_back_and_waits_for_it() {
    for on in [On::Sqlite, On::Postgres] {
        let slow = Behaviour { volume_millis: 20_000, shutdown_millis: Some(1_000), ..Behaviour::default() };
        let cloud = Cloud::with(on, &[("vcpu", 8), ("memory_mib", 16_384), ("disk_gib", 500)], slow).await;
        let block = order(
            json!({"option": "spot-block", "flavor": "c6.large.2", "data_disks": [{"gib": 40}], "keep_data_disks": false}),
        );
        let bought = cloud.post("individual", "/v1/instances", block).await;
        let (block, disk) = (bought["id"].as_str().unwrap(), bought["data_disks"][0].as_str().unwrap());
        let begin = || json!({"name": "data", "origin": {"from": "data-disk", "disk": disk}});
        assert_eq!(cloud.refused("individual", "/v1/images", begin()).await, (409, "volume-state".to_owned()));
        cloud.wait(30).await;
        assert_eq!(cloud.refused("enterprise", "/v1/images", begin()).await.0, 404);
        cloud.post("operator", &format!("/v1/instances/{block}/reclaim"), json!({})).await;
        cloud.wait(290).await;
        let image = cloud.post("individual", "/v1/images", begin()).await;
        let image = image["id"].as_str().unwrap();
        let grow = cloud.refused("individual", &format!("/v1/disks/{disk}/resize"), json!({"gib": 50})).await;
        assert_eq!(grow, (409, "being-copied".to_owned()));
        cloud.wait(13).await;
        assert_eq!(cloud.state("individual", block).await, "released");
        let there = async |path: String| cloud.get("individual", &path).await["state"].clone();
        assert_eq!(there(format!("/v1/disks/{disk}")).await, "deleting", "it waits for its image");
        assert_eq!(there(format!("/v1/images/{image}")).await, "importing");
        cloud.wait(20).await;
        assert_eq!(there(format!("/v1/images/{image}")).await, "available");
        cloud.wait(20).await;
        assert_eq!(there(format!("/v1/disks/{disk}")).await, "deleted");
        // An image that is given up lets go of its disk, too.
        let disk = cloud.post("individual", "/v1/disks", json!({"zone": "cn-beijing-a", "gib": 5})).await;
        let disk = disk["id"].as_str().unwrap();
        cloud.wait(30).await;
        let origin = json!({"from": "data-disk", "disk": disk});
        let image = cloud.post("individual", "/v1/images", json!({"name": "x", "origin": origin})).await;
        let path = format!("/v1/disks/{disk}");
        let (_, refused) = cloud.ask("individual", Method::DELETE, &path, None).await;
        assert_eq!(refused["code"], "being-copied", "{refused}");
        cloud.delete_at("individual", &format!("/v1/images/{}", image["id"].as_str().unwrap())).await;
        cloud.delete_at("individual", &path).await;
        cloud.wait(60).await;
        assert_eq!(there(path).await, "deleted");
        cloud.nothing_broke().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_once_do_not_both_pass_the_limit() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = Cloud::of_hosts(on, &[8], |catalog| catalog.limits.images_per_account = 3).await;
        let origin = json!({"from": "upload", "format": "raw", "sha256": digest(b"x")});
        let one = || cloud.ask("individual", Method::POST, "/v1/images", Some(json!({"name": "x", "origin": origin})));
        let answers = futures_util::future::join_all((0..8).map(|_| one())).await;
        let made = answers.iter().filter(|(status, _)| status.is_success()).count();
        let refused = answers.iter().filter(|(_, answer)| answer["code"] == "over-quota").count();
        assert_eq!((made, refused), (3, 5), "{answers:?}");
        cloud.nothing_broke().await;
    }
}
