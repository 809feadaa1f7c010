//! Verification from outside, with a verifier as somebody else would write one: his own program, his own signature.

use crate::cloud::{Cloud, VERIFIER_SECRET};
use crate::persons::seen;
use crate::story;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;

/// A reference verifier: people come with their reference and what they have, and he tells the cloud what he makes of it.
struct Verifier {
    webhook: String,
    secret: Vec<u8>,
    sent: AtomicU64,
}

impl Verifier {
    /// Gives back where people find him.
    async fn open(cloud: &Cloud) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/identity-check", listener.local_addr().unwrap());
        let verifier = Arc::new(Verifier::of(cloud));
        let router: axum::Router =
            axum::Router::new().route("/identity-check", axum::routing::post(look_at)).with_state(verifier);
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    fn of(cloud: &Cloud) -> Verifier {
        let secret = STANDARD.decode(VERIFIER_SECRET.strip_prefix("whsec_").unwrap()).unwrap();
        Verifier { webhook: format!("{}/v1/verifications", cloud.endpoint), secret, sent: AtomicU64::new(0) }
    }

    fn sign(&self, id: &str, timestamp: u64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).unwrap();
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }

    async fn send(&self, id: &str, timestamp: u64, signature: &str, body: &str) -> (u16, Value) {
        let request = reqwest::Client::new().post(&self.webhook).header("webhook-id", id);
        let request = request.header("webhook-timestamp", timestamp).header("webhook-signature", signature);
        let answer = request.body(body.to_owned()).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn tell(&self, id: &str, body: &Value) -> (u16, Value) {
        let (now, body) = (now(), body.to_string());
        self.send(id, now, &self.sign(id, now, &body), &body).await
    }
}

/// Who shows a document is verified; a forged one has a question mark on it.
async fn look_at(State(verifier): State<Arc<Verifier>>, axum::Json(shown): axum::Json<Value>) -> axum::Json<Value> {
    let document = shown["document"].as_str().unwrap_or_default();
    let verdict = match document.contains('?') || document.is_empty() {
        true => json!({"reference": shown["reference"], "outcome": "refused"}),
        false => json!({"reference": shown["reference"], "outcome": "verified", "holder": shown["holder"],
            "evidence": [{"kind": "document", "value": document}]}),
    };
    let id = format!("check_{}", verifier.sent.fetch_add(1, Ordering::Relaxed));
    let (status, answer) = verifier.tell(&id, &verdict).await;
    axum::Json(json!({"status": status, "answer": answer}))
}

#[expect(clippy::disallowed_methods, reason = "a verifier looks at its own clock")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn show(address: &str, what: Value) -> Value {
    let request = reqwest::Client::new().post(address).header("content-type", "application/json");
    request.body(what.to_string()).send().await.unwrap().json().await.unwrap()
}

async fn reference(cloud: &Cloud, key: &str) -> String {
    let given = cloud.post(key, "/v1/verification", json!(null)).await;
    assert_eq!(
        (&given["verifier"], &given["expires_at"]),
        (&json!("https://verifier.example/ebb"), &json!("2026-03-03T00:58:30Z"))
    );
    given["reference"].as_str().unwrap().to_owned()
}

story!(a_verifier_verifies_and_says_what_he_saw, |cloud: Cloud| async move {
    let verifier = Verifier::open(&cloud).await;
    let (_, first) = cloud.registered("Ada", json!([])).await;
    let came = show(
        &verifier,
        json!({"reference": reference(&cloud, &first).await, "holder": "individual", "document": "P-1234567"}),
    )
    .await;
    assert_eq!(came, json!({"status": 200, "answer": {"outcome": "verified"}}));
    assert_eq!(cloud.get(&first, "/v1/whoami").await["account"]["verified_as"], "individual");
    cloud.post(&first, "/v1/trial", json!(null)).await;

    // The same document, in another account and as an enterprise.
    let (id, second) = cloud.registered("Ada again", json!([])).await;
    show(
        &verifier,
        json!({"reference": reference(&cloud, &second).await, "holder": "enterprise", "document": "p 123 4567"}),
    )
    .await;
    assert_eq!(cloud.refused(&second, "/v1/trial", json!(null)).await.1, "trial-other-holder-claimed");
    let seen_with = cloud.get("operator", &format!("/v1/accounts/{id}/evidence")).await;
    let one = &seen_with["items"][0];
    assert_eq!((&one["kind"], &one["source"], &one["shared"]), (&json!("document"), &json!("verifier"), &json!(true)));

    // Who is refused stays unverified, and may try again with a new reference.
    let (id, third) = cloud.registered("Eve", json!([])).await;
    let used = reference(&cloud, &third).await;
    let came = show(&verifier, json!({"reference": used, "holder": "individual", "document": "P-?"})).await;
    assert_eq!(came["answer"], json!({"outcome": "refused"}));
    assert_eq!(cloud.stands_against(&third).await, ["unverified"]);
    let came = show(&verifier, json!({"reference": used, "holder": "individual", "document": "P-7654321"})).await;
    assert_eq!((&came["status"], &came["answer"]["code"]), (&json!(404), &json!("reference-over")));
    show(
        &verifier,
        json!({"reference": reference(&cloud, &third).await, "holder": "individual", "document": "P-7654321"}),
    )
    .await;
    assert_eq!(cloud.stands_against(&third).await, Vec::<String>::new());
    let events = cloud.get("operator", &format!("/v1/events?account={id}")).await;
    let names: Vec<&str> =
        events["items"].as_array().unwrap().iter().map(|e| e["body"]["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["account-opened", "verification-refused", "account-verified", "evidence-seen"]);
    assert_eq!(events["items"][2]["body"]["by"], "verifier");

    // His refusal takes nothing away from who was verified before, by him or by the operator.
    let used = reference(&cloud, &third).await;
    show(&verifier, json!({"reference": used, "holder": "individual", "document": "P-?"})).await;
    assert_eq!(cloud.stands_against(&third).await, Vec::<String>::new());

    // One who claimed does not become another by a verifier's word either.
    let came = show(
        &verifier,
        json!({"reference": reference(&cloud, &first).await, "holder": "enterprise", "document": "P-1234567"}),
    )
    .await;
    assert_eq!((&came["status"], &came["answer"]["code"]), (&json!(409), &json!("holder-settled")));
});

story!(messages_that_are_not_the_verifiers, |cloud: Cloud| async move {
    let verifier = Verifier::of(&cloud);
    let (_, key) = cloud.registered("Ada", json!([])).await;
    let reference = reference(&cloud, &key).await;
    let body = json!({"reference": reference, "outcome": "verified", "holder": "individual", "evidence": seen("phone", "13800138000")}).to_string();
    let (id, at) = ("msg_1", now());
    let forger = Verifier { secret: b"another secret of 32 characters.".to_vec(), ..Verifier::of(&cloud) };
    for (timestamp, signature, text, code) in [
        (at, forger.sign(id, at, &body), &body, "signature"),
        (at, verifier.sign("msg_2", at, &body), &body, "signature"),
        (at + 1, verifier.sign(id, at, &body), &body, "signature"),
        (at, verifier.sign(id, at, &body), &body.replace("individual", "enterprise"), "signature"),
        (at, String::new(), &body, "signature"),
        (at - 302, verifier.sign(id, at - 302, &body), &body, "signature-stale"),
        (at + 310, verifier.sign(id, at + 310, &body), &body, "signature-stale"),
    ] {
        let (status, problem) = verifier.send(id, timestamp, &signature, text).await;
        assert_eq!((status, problem["code"].as_str()), (401, Some(code)), "{problem}");
    }
    let bare = reqwest::Client::new().post(format!("{}/v1/verifications", cloud.endpoint)).body(body.clone());
    assert_eq!(bare.send().await.unwrap().status(), 401);
    assert_eq!(cloud.stands_against(&key).await, ["unverified"]);

    // Signed, and nonsense.
    for body in [
        json!({"reference": reference, "outcome": "maybe"}),
        json!({"reference": reference, "outcome": "verified"}),
        json!({"reference": reference, "outcome": "verified", "holder": "dog"}),
        json!({"reference": reference, "outcome": "refused", "holder": "individual"}),
        json!({"reference": reference, "outcome": "refused", "account": "a-1"}),
        json!([reference, "refused"]),
    ] {
        let (status, problem) = verifier.tell("msg_3", &body).await;
        assert_eq!((status, problem["code"].as_str()), (400, Some("bad-input")), "{body} {problem}");
    }
    let unusable = json!({"reference": reference, "outcome": "verified", "holder": "individual", "evidence": seen("document", "??")});
    assert_eq!(verifier.tell("msg_4", &unusable).await.0, 422);
    let (status, problem) = verifier.tell("msg_5", &json!({"reference": "ref_0", "outcome": "refused"})).await;
    assert_eq!((status, problem["code"].as_str()), (404, Some("reference-over")));
    assert_eq!(cloud.stands_against(&key).await, ["unverified"]);

    // A day later it is over.
    cloud.wait(86_400).await;
    assert_eq!(verifier.tell("msg_6", &serde_json::from_str(&body).unwrap()).await.0, 404);
});

story!(who_is_verified_is_known_by_something, |cloud: Cloud| async move {
    let verifier = Verifier::of(&cloud);
    let (_, key) = cloud.registered("Ada", json!([])).await;
    let reference = reference(&cloud, &key).await;
    let verdict = |evidence: Value| json!({"reference": reference, "outcome": "verified", "holder": "individual", "evidence": evidence});
    // Nothing, or what by itself is anybody's, would verify one person again and again.
    for (id, evidence) in [("m1", json!([])), ("m2", seen("device", "laptop 7"))] {
        let (status, problem) = verifier.tell(id, &verdict(evidence)).await;
        assert_eq!((status, problem["code"].as_str()), (422, Some("evidence-missing")), "{problem}");
    }
    assert_eq!(cloud.stands_against(&key).await, ["unverified"]);
    assert_eq!(verifier.tell("m3", &verdict(seen("phone", "13800138000"))).await.0, 200);
    assert_eq!(cloud.stands_against(&key).await, Vec::<String>::new());
});

story!(a_message_again_is_answered_alike_and_changes_nothing, |cloud: Cloud| async move {
    let verifier = Verifier::of(&cloud);
    let (id, key) = cloud.registered("Ada", json!([])).await;
    let said = json!({"reference": reference(&cloud, &key).await, "outcome": "verified", "holder": "individual", "evidence": seen("phone", "13800138000")});
    let first = verifier.tell("msg_1", &said).await;
    let log = cloud.get("operator", &format!("/v1/events?account={id}")).await;
    // To the letter, and signed anew.
    let (at, body) = (now(), said.to_string());
    assert_eq!(verifier.send("msg_1", at, &verifier.sign("msg_1", at, &body), &body).await, first);
    assert_eq!(verifier.tell("msg_1", &said).await, (200, json!({"outcome": "verified"})));
    let (a, b) = tokio::join!(verifier.tell("msg_1", &said), verifier.tell("msg_1", &said));
    assert_eq!((a, b), (first.clone(), first));
    // The same id for another message, and another id for a reference that is used.
    let other = json!({"reference": said["reference"], "outcome": "refused"});
    assert_eq!(verifier.tell("msg_1", &other).await.1["code"], "idempotency-key-reused");
    assert_eq!(verifier.tell("msg_2", &other).await.1["code"], "reference-over");
    assert_eq!(cloud.get("operator", &format!("/v1/events?account={id}")).await, log);
});

#[tokio::test]
async fn without_a_verifier_the_way_out_is_named() {
    let directory = crate::cloud::Directory::new();
    let service = crate::cloud::Service::start(ebb_store::Place::Memory, directory.identity()).await.unwrap();
    let (_, opened) = service.post(crate::cloud::OPERATOR, "/v1/accounts", json!({"name": "Ada"})).await;
    let key = opened["key"]["secret"].as_str().unwrap();
    for path in ["/v1/verification", "/v1/verifications"] {
        let (status, problem) = service.post(key, path, json!(null)).await;
        assert_eq!((status, problem["code"].as_str()), (501, Some("no-verifier")));
        assert!(problem["message"].as_str().unwrap().contains("ask the operator"), "{problem}");
    }
    service.stop().await;
}
