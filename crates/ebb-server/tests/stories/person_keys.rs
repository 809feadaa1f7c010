//! Evidence under keys that change: what is compared stays right before, in the middle and after, and in a service that starts anew.

use crate::cloud::{Cloud, Directory, OPERATOR, Service};
use crate::persons::seen;
use crate::receiver::until;
use crate::story;
use ebb_store::Place;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::os::unix::fs::PermissionsExt;

/// More than come under a new key at once.
const MANY: usize = 450;

fn document(number: usize) -> Value {
    seen("document", &format!("110105194912{number:06}"))
}

async fn hashes(cloud: &Cloud) -> Vec<i64> {
    let keys = cloud.get("operator", "/v1/evidence-keys").await;
    keys["items"].as_array().unwrap().iter().map(|key| key["hashes"].as_i64().unwrap()).collect()
}

story!(a_new_key_takes_over_page_by_page, |cloud: Cloud| async move {
    for number in 0..MANY {
        cloud.registered("x", document(number)).await;
    }
    assert_eq!(hashes(&cloud).await, [450]);
    cloud.post("operator", "/v1/evidence-keys", json!(null)).await;
    // A page is under the new one; in the middle of it each document is known, whichever key it is under.
    assert_eq!(hashes(&cloud).await, [250, 200]);
    for number in [0, 100, 199, 200, 300, 449] {
        let (id, _) = cloud.registered("again", document(number)).await;
        let family = cloud.get("operator", &format!("/v1/accounts/{id}/person")).await;
        assert_eq!(family["items"].as_array().unwrap().len(), 2, "document {number}");
    }
    // A third before the second is through.
    cloud.post("operator", "/v1/evidence-keys", json!(null)).await;
    cloud.registered("new", document(1_000)).await;
    cloud.wait(1).await;
    assert_eq!(hashes(&cloud).await, [0, 0, 451]);
    for number in [1, 150, 250, 448, 1_000] {
        let (id, _) = cloud.registered("again", document(number)).await;
        let family = cloud.get("operator", &format!("/v1/accounts/{id}/person")).await;
        assert_eq!(family["items"].as_array().unwrap().len(), 2, "document {number}");
    }
    assert_eq!(hashes(&cloud).await, [0, 0, 451]);
    assert_eq!(cloud.refused("individual", "/v1/evidence-keys", json!(null)).await, (403, "role".to_owned()));
});

#[tokio::test]
async fn the_keys_are_in_a_file_and_nothing_else_tells_what_was_seen() {
    let directory = Directory::new();
    let (identity, database) = (directory.identity(), directory.path().join("ebb.db"));
    let (file, place) = (identity.evidence_keys.clone(), Place::Sqlite(database.clone()));
    let start = || Service::start(place.clone(), identity.clone());
    let register = async |service: &Service, number| {
        let (status, opened) =
            service.post(OPERATOR, "/v1/accounts", json!({"name": "x", "evidence": document(number)})).await;
        assert_eq!(status, 201, "{opened}");
        let path = format!("/v1/accounts/{}/person", opened["account"]["id"].as_str().unwrap());
        let (_, family) = service.ask(OPERATOR, Method::GET, &path, json!(null)).await;
        family["items"].as_array().unwrap().len()
    };
    let service = start().await.unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    for number in 0..MANY {
        register(&service, number).await;
    }
    // Under a client's token the request is known again; not by a hash that anybody could find by trying documents.
    let body = json!({"name": "y", "evidence": seen("document", "P-7654321")}).to_string();
    let request = reqwest::Client::new().post(format!("{}/v1/accounts", service.endpoint)).bearer_auth(OPERATOR);
    let sent = request.header("Idempotency-Key", "once").body(body.clone()).send().await.unwrap();
    assert_eq!(sent.status(), 201);
    let hex = |text: &str| Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let tried = [hex(&body), hex(&format!("POST /v1/accounts\n{body}"))];

    // It goes away while a new key takes over.
    let (status, keys) = service.post(OPERATOR, "/v1/evidence-keys", json!(null)).await;
    assert_eq!((status, keys["items"].as_array().unwrap().len()), (201, 2));
    service.stop().await;
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = std::fs::read(&database).unwrap();
    let tried = tried.iter().map(String::as_str);
    for secret in text.lines().chain(["110105194912000007", "194912000007", "7654321"]).chain(tried) {
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret} is in the database");
    }

    // A key that an operator put on top by hand takes over as well, and what was under way goes on.
    std::fs::write(&file, format!("{}\n{text}", "t".repeat(40))).unwrap();
    let service = start().await.unwrap();
    until("all hashes to be under the newest key", async || {
        let (_, keys) = service.ask(OPERATOR, Method::GET, "/v1/evidence-keys", json!(null)).await;
        let hashes = keys["items"].as_array().unwrap().iter().map(|key| key["hashes"].as_i64().unwrap());
        hashes.collect::<Vec<_>>() == [0, 0, 451]
    })
    .await;
    for number in [0, 199, 200, 449] {
        assert_eq!(register(&service, number).await, 2, "document {number}");
    }
    service.stop().await;

    // Without the keys, with others, or with one left out, nothing is compared wrongly: it does not start.
    let whole = std::fs::read_to_string(&file).unwrap();
    let without_oldest: String = whole.lines().take(2).map(|line| format!("{line}\n")).collect();
    std::fs::remove_file(&file).unwrap();
    for (other, why) in
        [(None, "number 1"), (Some(without_oldest), "number 1"), (Some("short\n".to_owned()), "32 characters")]
    {
        if let Some(other) = other {
            std::fs::write(&file, other).unwrap();
        }
        let refused = start().await.err().expect("a service that does not start").to_string();
        assert!(refused.contains("evidence.key") && refused.contains(why), "{refused}");
    }
    std::fs::write(&file, whole).unwrap();
    let service = start().await.unwrap();
    assert_eq!(register(&service, 0).await, 3);
    service.stop().await;
}
