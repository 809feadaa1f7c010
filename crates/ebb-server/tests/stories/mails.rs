//! Who subscribed by mail is told by mail, over a real SMTP server; and a webhook over TLS is who it says it is.

use crate::cloud::{Cloud, block};
use crate::post_office::{PostOffice, certificate, directory};
use crate::receiver::{Mood, Receiver, until};
use ebb_driver::fake::Behaviour;
use ebb_server::{DeliveryConfig, SmtpConfig};
use ebb_store::Place;
use reqwest::Method;
use serde_json::{Value, json};

async fn cloud(deliveries: DeliveryConfig) -> Cloud {
    let small = [("vcpu", 4), ("memory_mib", 8_192), ("disk_gib", 1_000)];
    Cloud::telling(deliveries, Place::Memory, &small, Behaviour::default()).await
}

fn smtp(url: String) -> Option<SmtpConfig> {
    Some(SmtpConfig { url, password: None, from: "Ebb 云 <ebb@example.com>".to_owned() })
}

/// The newest delivery, once it was tried so often.
async fn tried(cloud: &Cloud, id: &str, attempts: i64) -> Value {
    let path = format!("/v1/subscriptions/{id}/deliveries");
    let newest = async || cloud.get("enterprise", &path).await["items"].as_array().unwrap().last().cloned().unwrap();
    until("an attempt", async || newest().await["attempts"].as_i64().unwrap() >= attempts).await;
    newest().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interruption_is_told_by_mail_in_two_languages() {
    let mut office = PostOffice::new(false).await;
    let config =
        DeliveryConfig { smtp: smtp(format!("smtp-plain://127.0.0.1:{}", office.port)), ..DeliveryConfig::default() };
    let cloud = cloud(config).await;
    let body = json!({"email": "ada@example.com", "topics": ["interruptServer", "released"]});
    let added = cloud.post("enterprise", "/v1/subscriptions", body).await;
    let id = added["subscription"]["id"].as_str().unwrap();
    assert_eq!(added["secret"], Value::Null, "nothing signs a mail");

    let asked = office.wait_for(1).await.remove(0);
    let header = |mail: &Value, name: &str| mail["headers"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (header(&asked, "to"), header(&asked, "from")),
        ("ada@example.com".to_owned(), "Ebb 云 <ebb@example.com>".to_owned())
    );
    let token = asked["event"]["data"]["token"].as_str().unwrap();
    let command = format!("ebb subscriptions confirm {id} {token}");
    assert_eq!(asked["text"].as_str().unwrap().matches(&command).count(), 2, "in each language: {asked}");
    let confirmed =
        cloud.post("enterprise", &format!("/v1/subscriptions/{id}/confirm"), json!({ "token": token })).await;
    assert_eq!(confirmed["state"], "confirmed");

    let order = json!({"option": "spot-block", "flavor": "c6.large.2", "hours": 3, "name": "网站 <b>&\"'"});
    let web = cloud.buy("enterprise", order).await;
    cloud.wait(600).await;
    cloud.post("operator", &format!("/v1/instances/{web}/reclaim"), json!(null)).await;
    let told = office.wait_for(2).await.remove(1);
    assert_eq!(header(&told, "subject"), "[Ebb] 网站 <b>&\"' will be released at 2026-03-02T01:13:30Z");
    let text = told["text"].as_str().unwrap();
    assert!(text.contains("because the operator needs the machine") && text.contains("请及时备份"), "{text}");
    assert_eq!((told["kind"].as_str(), told["defects"].as_i64()), (Some("application/cloudevents+json"), Some(0)));
    let event = &told["event"];
    assert_eq!((&event["type"], &event["data"]["instance"]), (&json!("dev.ebb.instance.interruptServer"), &json!(web)));
    assert!(header(&told, "message-id").contains(event["id"].as_str().unwrap()), "{told}");

    // The server of the operator is down for a while.
    office.close();
    cloud.wait(300).await;
    let failed = tried(&cloud, id, 1).await;
    assert!(failed["last_error"].as_str().unwrap().contains("refused"), "{failed}");
    office.open().await;
    cloud.wait(6).await;
    let released = office.wait_for(3).await.remove(2);
    assert_eq!(released["event"]["type"], "dev.ebb.instance.released");
    assert_eq!(tried(&cloud, id, 2).await["accepted_at"], "2026-03-02T01:13:36Z");

    // One click, as a mail program does it, without any key.
    let way_out = header(&released, "list-unsubscribe");
    let way_out = way_out.trim_start_matches('<').trim_end_matches('>');
    assert!(text.contains(way_out), "also for people: {text}");
    assert_eq!(header(&released, "list-unsubscribe-post"), "List-Unsubscribe=One-Click");
    let click = || reqwest::Client::new().post(way_out).body("List-Unsubscribe=One-Click").send();
    assert_eq!(click().await.unwrap().status(), 200);
    assert_eq!(click().await.unwrap().status(), 404);
    assert_eq!(cloud.ask("enterprise", Method::GET, &format!("/v1/subscriptions/{id}"), None).await.0, 404);
    cloud.nothing_broke().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_goes_over_tls_or_not_at_all() {
    let office = PostOffice::new(true).await;
    let url = || smtp(format!("smtp://localhost:{}", office.port));
    for (trust, taken) in [(Some(office.authority()), true), (None, false)] {
        let cloud = cloud(DeliveryConfig { smtp: url(), trust, ..DeliveryConfig::default() }).await;
        let added = cloud.post("enterprise", "/v1/subscriptions", json!({"email": "ada@example.com"})).await;
        let asked = tried(&cloud, added["subscription"]["id"].as_str().unwrap(), 1).await;
        assert_eq!(asked["accepted_at"].is_string(), taken, "{asked}");
    }
    // Nor to one that has no TLS.
    let plain = PostOffice::new(false).await;
    let url = smtp(format!("smtp://localhost:{}", plain.port));
    let cloud = cloud(DeliveryConfig { smtp: url, ..DeliveryConfig::default() }).await;
    let added = cloud.post("enterprise", "/v1/subscriptions", json!({"email": "ada@example.com"})).await;
    let asked = tried(&cloud, added["subscription"]["id"].as_str().unwrap(), 1).await;
    assert!(asked["last_error"].as_str().unwrap().contains("TLS"), "{asked}");
    assert_eq!((office.mails().len(), plain.mails().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_over_tls_is_who_it_says_it_is() {
    let directory = directory();
    certificate(&directory);
    let receiver = Receiver::over_tls(Mood::Willing, &directory).await;
    let networks = || vec!["127.0.0.0/8".parse().unwrap()];
    let trust = Some(std::fs::read(directory.join("cert.pem")).unwrap());
    for (trust, url, error) in [
        (trust.clone(), receiver.url.clone(), None),
        (None, receiver.url.clone(), Some("UnknownIssuer")),
        (trust, receiver.url.replace("localhost", "127.0.0.1"), Some("not valid for name")),
    ] {
        let cloud = cloud(DeliveryConfig { networks: networks(), trust, ..DeliveryConfig::default() }).await;
        let added = cloud.post("enterprise", "/v1/subscriptions", json!({ "webhook": url })).await;
        let id = added["subscription"]["id"].as_str().unwrap();
        let asked = tried(&cloud, id, 1).await;
        match error {
            None => {
                assert!(asked["accepted_at"].is_string(), "{asked}");
                cloud.buy("enterprise", block(1)).await;
                receiver.wait_for("dev.ebb.instance.running", 1).await;
            }
            Some(why) => assert!(asked["last_error"].as_str().unwrap().contains(why), "{asked}"),
        }
    }
    assert_eq!(receiver.of("dev.ebb.subscription.confirmation").len(), 1, "nothing was said to a stranger");
    std::fs::remove_dir_all(directory).unwrap();
}
