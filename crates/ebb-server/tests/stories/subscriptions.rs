//! Who subscribed is told what happens to his instances, and nobody else is reached.

use crate::cloud::{Cloud, On, block};
use crate::receiver::{Mood, Receiver, until};
use crate::story;
use ebb_driver::fake::Behaviour;
use ebb_server::DeliveryConfig;
use ebb_store::Place;
use ebb_testing::TempPostgres;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const INTERRUPTION: &str = "dev.ebb.instance.interruptServer";
const CONFIRMATION: &str = "dev.ebb.subscription.confirmation";
const TEST: &str = "dev.ebb.subscription.test";

/// Subscribes; gives back id and secret.
async fn subscribe(cloud: &Cloud, who: &str, body: Value) -> (String, String) {
    let added = cloud.post(who, "/v1/subscriptions", body).await;
    let secret = added["secret"].as_str().unwrap_or_default().to_owned();
    (added["subscription"]["id"].as_str().unwrap().to_owned(), secret)
}

/// Subscribes a receiver that wants to be told, and waits until that is known.
pub async fn confirmed(cloud: &Cloud, who: &str, receiver: &Receiver, topics: Value) -> (String, String) {
    let (id, secret) = subscribe(cloud, who, json!({ "webhook": receiver.url, "topics": topics })).await;
    until("a confirmation", async || state(cloud, who, &id).await == "confirmed").await;
    (id, secret)
}

async fn show(cloud: &Cloud, who: &str, id: &str) -> Value {
    cloud.get(who, &format!("/v1/subscriptions/{id}")).await
}

async fn state(cloud: &Cloud, who: &str, id: &str) -> String {
    show(cloud, who, id).await["state"].as_str().unwrap().to_owned()
}

/// The newest delivery of a kind or topic, once it was tried so often.
async fn tried(cloud: &Cloud, who: &str, id: &str, what: &str, attempts: i64) -> Value {
    let path = format!("/v1/subscriptions/{id}/deliveries");
    let newest = async || {
        let all = cloud.get(who, &path).await;
        let items = all["items"].as_array().unwrap().iter().rev();
        items.clone().find(|item| item["kind"] == what || item["topic"] == what).cloned().unwrap_or_default()
    };
    let enough = async || newest().await["attempts"].as_i64().is_some_and(|count| count >= attempts);
    until(&format!("attempt {attempts} at {what}"), enough).await;
    newest().await
}

async fn reclaim(cloud: &Cloud, id: &str) {
    cloud.post("operator", &format!("/v1/instances/{id}/reclaim"), json!(null)).await;
}

/// Time for what must not happen.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(150)).await;
}

story!(an_interruption_is_told_once_and_signed, |cloud: Cloud| async move {
    let receiver = Receiver::new(Mood::Willing).await;
    let (id, secret) = confirmed(&cloud, "enterprise", &receiver, json!(["interruptServer", "released"])).await;
    let web = cloud
        .buy("enterprise", json!({"option": "spot-block", "flavor": "c6.large.2", "hours": 3, "name": "网站"}))
        .await;
    cloud.wait(600).await;
    reclaim(&cloud, &web).await;
    let told = receiver.wait_for(INTERRUPTION, 1).await.remove(0);
    assert!(told.is_signed_with(&secret), "{told:?}");
    assert!(!told.is_signed_with("whsec_AAAA"));
    assert_eq!(told.header("content-type"), "application/cloudevents+json");
    let event = told.event();
    let logged = cloud.get("enterprise", "/v1/events?limit=1000").await;
    let notice = logged["items"].as_array().unwrap().iter().find(|e| e["body"]["event"] == "interruptServer").unwrap();
    assert_eq!((&event["id"], &event["time"]), (&notice["id"], &notice["at"]));
    assert_eq!(
        (told.header("webhook-id"), event["specversion"].as_str()),
        (event["id"].as_str().unwrap(), Some("1.0"))
    );
    assert_eq!(event["subject"], json!(web));
    assert!(event["source"].as_str().unwrap().starts_with("urn:uuid:"), "{event}");
    let data = &event["data"];
    assert_eq!((&data["instance"], &data["name"], &data["cause"]), (&json!(web), &json!("网站"), &json!("operator")));
    assert_eq!((&data["zone"], &data["flavor"]), (&json!("cn-beijing-a"), &json!("c6.large.2")));
    assert_eq!(
        (data["notice_at"].as_str(), data["deadline"].as_str()),
        (Some("2026-03-02T01:08:30Z"), Some("2026-03-02T01:13:30Z"))
    );

    cloud.wait(300).await;
    receiver.wait_for("dev.ebb.instance.released", 1).await;
    a_while().await;
    // Not that it ran, nor that it ended: nobody asked for that. And each once.
    assert_eq!(receiver.types(), [CONFIRMATION, INTERRUPTION, "dev.ebb.instance.released"]);
    let delivery = tried(&cloud, "enterprise", &id, "interruptServer", 1).await;
    assert_eq!((delivery["attempts"].as_i64(), &delivery["instance"]), (Some(1), &json!(web)));
    assert_eq!(delivery["accepted_at"], "2026-03-02T01:08:30Z");
    let metrics = reqwest::get(format!("{}/metrics", cloud.endpoint)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("ebb_interruption_told_seconds_count 1\n"), "{metrics}");
});

story!(nothing_is_sent_before_it_was_confirmed, |cloud: Cloud| async move {
    let receiver = Receiver::new(Mood::Mute).await;
    let (id, secret) = subscribe(&cloud, "enterprise", json!({ "webhook": receiver.url })).await;
    let asked = receiver.wait_for(CONFIRMATION, 1).await.remove(0);
    assert!(asked.is_signed_with(&secret));
    let web = cloud.buy("enterprise", block(1)).await;
    cloud.wait(60).await;
    a_while().await;
    assert_eq!(
        (receiver.types(), state(&cloud, "enterprise", &id).await),
        (vec![CONFIRMATION.to_owned()], "pending".to_owned())
    );
    let path = |verb: &str| format!("/v1/subscriptions/{id}/{verb}");
    assert_eq!(cloud.refused("enterprise", &path("test"), json!(null)).await, (409, "conflict".to_owned()));
    assert_eq!(cloud.refused("enterprise", &path("confirm"), json!({"token": secret})).await.0, 409);

    let token = asked.event()["data"]["token"].clone();
    assert_eq!(cloud.post("enterprise", &path("confirm"), json!({ "token": token })).await["state"], "confirmed");
    cloud.delete("enterprise", &web).await;
    receiver.wait_for("dev.ebb.instance.released", 1).await;
    let ended = receiver.of("dev.ebb.instance.ended").remove(0);
    assert_eq!(ended.event()["data"]["cause"], "deleted");
    assert_eq!(receiver.of("dev.ebb.instance.running").len(), 0, "what was before it was confirmed is not told later");
});

story!(who_is_down_is_told_later, |cloud: Cloud| async move {
    let receiver = Receiver::new(Mood::Willing).await;
    let (id, _) = confirmed(&cloud, "enterprise", &receiver, json!(["interruptServer"])).await;
    let web = cloud.buy("enterprise", block(1)).await;
    receiver.becomes(Mood::Down);
    cloud.wait(60).await;
    reclaim(&cloud, &web).await;
    let first = tried(&cloud, "enterprise", &id, "interruptServer", 1).await;
    assert!(first["last_error"].as_str().unwrap().contains("503"), "{first}");
    assert_eq!(first["accepted_at"], Value::Null);
    // The sandbox's clock stands, and so does the next attempt.
    a_while().await;
    assert_eq!(tried(&cloud, "enterprise", &id, "interruptServer", 1).await["attempts"], 1);
    assert_eq!(show(&cloud, "enterprise", &id).await["failing_since"], "2026-03-02T00:59:30Z");
    // Five seconds, then ten, each a fifth more or less.
    cloud.wait(6).await;
    tried(&cloud, "enterprise", &id, "interruptServer", 2).await;
    receiver.becomes(Mood::Willing);
    cloud.wait(12).await;
    let last = tried(&cloud, "enterprise", &id, "interruptServer", 3).await;
    assert_eq!(last["accepted_at"], "2026-03-02T00:59:48Z", "{last}");
    assert_eq!((&last["last_error"], &last["due_at"]), (&Value::Null, &Value::Null));
    assert_eq!(show(&cloud, "enterprise", &id).await["failing_since"], Value::Null);
    let told = receiver.of(INTERRUPTION);
    assert_eq!(told.len(), 3);
    assert!(
        told.iter()
            .all(|one| one.event() == told[0].event() && one.header("webhook-id") == told[0].header("webhook-id"))
    );
});

story!(a_receiver_that_misbehaves_is_named, |cloud: Cloud| async move {
    let elsewhere = Receiver::new(Mood::Willing).await;
    for (mood, why) in [
        (Mood::Redirecting(elsewhere.url.clone()), "redirects are not followed"),
        (Mood::Huge, "more than 16384 bytes"),
        (Mood::Slow, "within 5 s"),
    ] {
        let receiver = Receiver::new(Mood::Willing).await;
        let (id, _) = confirmed(&cloud, "individual", &receiver, json!([])).await;
        receiver.becomes(mood);
        cloud.post("individual", &format!("/v1/subscriptions/{id}/test"), json!(null)).await;
        let failed = tried(&cloud, "individual", &id, "test", 1).await;
        assert!(failed["last_error"].as_str().unwrap().contains(why), "{failed}");
        assert_eq!((&failed["accepted_at"], receiver.of(TEST).len()), (&Value::Null, 1));
    }
    assert_eq!(elsewhere.got().len(), 0);
});

story!(a_slow_receiver_delays_nobody_else, |cloud: Cloud| async move {
    let (slow, quick) = (Receiver::new(Mood::Willing).await, Receiver::new(Mood::Willing).await);
    confirmed(&cloud, "individual", &slow, json!([])).await;
    confirmed(&cloud, "enterprise", &quick, json!(["interruptServer"])).await;
    slow.becomes(Mood::Slow);
    for _ in 0..5 {
        cloud.buy("individual", block(1)).await;
    }
    let web = cloud.buy("enterprise", block(1)).await;
    cloud.wait(1).await;
    until("a message to the slow one", async || slow.got().len() == 2).await;
    let began = Instant::now();
    reclaim(&cloud, &web).await;
    quick.wait_for(INTERRUPTION, 1).await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    // One after the other: it holds one connection, not five.
    assert_eq!(slow.got().len(), 2);
});

story!(who_takes_nothing_for_a_day_is_paused_and_a_test_resumes, |cloud: Cloud| async move {
    let receiver = Receiver::new(Mood::Willing).await;
    let (id, _) = confirmed(&cloud, "enterprise", &receiver, json!(["running"])).await;
    receiver.becomes(Mood::Down);
    let on_demand = || json!({"option": "on-demand", "flavor": "c6.large.2"});
    cloud.buy("enterprise", on_demand()).await;
    tried(&cloud, "enterprise", &id, "running", 1).await;
    for _ in 0..24 {
        assert_eq!(state(&cloud, "enterprise", &id).await, "confirmed");
        cloud.wait(3_600).await;
        a_while().await;
    }
    until("a pause", async || state(&cloud, "enterprise", &id).await == "paused").await;
    let paused = show(&cloud, "enterprise", &id).await;
    let because = paused["paused_because"].as_str().unwrap();
    assert!(
        because.contains("nothing was accepted since 2026-03-02T00:58:30Z") && because.contains("503"),
        "{because}"
    );
    let given_up = tried(&cloud, "enterprise", &id, "running", 10).await;
    assert_eq!(given_up["given_up_at"], "2026-03-03T00:58:30Z", "{given_up}");
    // Nothing is kept for later meanwhile.
    let (count, before) = (receiver.got().len(), receiver.of("dev.ebb.instance.running").len());
    cloud.buy("enterprise", on_demand()).await;
    receiver.becomes(Mood::Willing);
    cloud.wait(7_200).await;
    a_while().await;
    assert_eq!(receiver.got().len(), count);

    cloud.post("enterprise", &format!("/v1/subscriptions/{id}/test"), json!(null)).await;
    until("its return", async || state(&cloud, "enterprise", &id).await == "confirmed").await;
    cloud.buy("enterprise", on_demand()).await;
    receiver.wait_for("dev.ebb.instance.running", before + 1).await;

    receiver.becomes(Mood::Gone);
    cloud.post("enterprise", &format!("/v1/subscriptions/{id}/test"), json!(null)).await;
    until("a pause", async || state(&cloud, "enterprise", &id).await == "paused").await;
    assert_eq!(show(&cloud, "enterprise", &id).await["paused_because"], "it answered 410 Gone");
});

story!(deleting_stops_deliveries, |cloud: Cloud| async move {
    let receiver = Receiver::new(Mood::Willing).await;
    let (id, _) = confirmed(&cloud, "enterprise", &receiver, json!(["running"])).await;
    receiver.becomes(Mood::Down);
    cloud.buy("enterprise", block(1)).await;
    tried(&cloud, "enterprise", &id, "running", 1).await;
    let path = format!("/v1/subscriptions/{id}");
    assert_eq!(cloud.ask("enterprise", Method::DELETE, &path, None).await.0, 200);
    let count = receiver.got().len();
    cloud.buy("enterprise", block(1)).await;
    cloud.wait(600).await;
    a_while().await;
    assert_eq!(receiver.got().len(), count, "neither what was to be tried again nor what is new");
    assert_eq!(cloud.ask("enterprise", Method::GET, &path, None).await.0, 404);
    assert_eq!(cloud.get("enterprise", "/v1/subscriptions").await["items"], json!([]));
});

story!(a_subscription_is_its_accounts_own, |cloud: Cloud| async move {
    let receiver = Receiver::new(Mood::Mute).await;
    let (id, _) = subscribe(&cloud, "enterprise", json!({ "webhook": receiver.url })).await;
    let path = format!("/v1/subscriptions/{id}");
    for (method, path, body) in [
        (Method::GET, path.clone(), None),
        (Method::DELETE, path.clone(), None),
        (Method::GET, format!("{path}/deliveries"), None),
        (Method::POST, format!("{path}/test"), None),
        (Method::POST, format!("{path}/confirm"), Some(json!({"token": "x"}))),
        (Method::POST, format!("{path}/unsubscribe?token=x"), None),
    ] {
        let (status, answer) = cloud.ask("individual", method, &path, body).await;
        assert_eq!((status.as_u16(), &answer["code"]), (404, &json!("not-found")), "{path}: {answer}");
    }
    assert_eq!(cloud.get("individual", "/v1/subscriptions").await["items"], json!([]));
    // What happens to others is not told either.
    cloud.buy("individual", block(1)).await;

    let account = cloud.get("enterprise", "/v1/whoami").await["account"]["id"].as_str().unwrap().to_owned();
    let key = async |role: &str| {
        let made = cloud.post("enterprise", &format!("/v1/accounts/{account}/keys"), json!({ "role": role })).await;
        made["secret"].as_str().unwrap().to_owned()
    };
    let (member, auditor) = (key("member").await, key("auditor").await);
    assert_eq!(cloud.get(&auditor, &path).await["state"], "pending");
    assert!(cloud.get(&auditor, &format!("{path}/deliveries")).await["items"].is_array());
    let whose = format!("/v1/subscriptions?account={account}");
    assert_eq!(cloud.get("operator", &whose).await["items"][0]["id"], json!(id));
    let another = json!({ "webhook": "http://127.0.0.1:8080/" });
    assert_eq!(cloud.refused(&auditor, "/v1/subscriptions", another.clone()).await, (403, "role".to_owned()));
    assert_eq!(cloud.ask(&auditor, Method::DELETE, &path, None).await.0, 403);
    subscribe(&cloud, &member, another).await;
});

story!(what_cannot_be_subscribed_says_why, |cloud: Cloud| async move {
    for (body, why) in [
        (json!({}), "either `webhook` or `email`"),
        (json!({"webhook": "http://127.0.0.1:8080", "email": "a@b.c"}), "either `webhook` or `email`"),
        (json!({"webhook": "gopher://example.com"}), "http"),
        (json!({"webhook": "http://10.0.0.1/"}), "not a public address"),
        (json!({"webhook": "http://[::ffff:169.254.169.254]/latest"}), "not a public address"),
        (json!({"webhook": "https://u:p@example.com/"}), "no user or password"),
        (json!({"webhook": "http://127.0.0.1:8080", "topics": ["interruptserver"]}), "interruptServer"),
        (json!({"email": "ada@example.com"}), "sends no mail"),
        (json!({"email": "ada@example.com", "to": 1}), "unknown field"),
    ] {
        let (status, answer) = cloud.ask("individual", Method::POST, "/v1/subscriptions", Some(body.clone())).await;
        assert_eq!((status.as_u16(), &answer["code"]), (400, &json!("bad-input")), "{body}");
        assert!(answer["message"].as_str().unwrap().contains(why), "{body}: {answer}");
    }
    for at in 0..10 {
        subscribe(&cloud, "individual", json!({"webhook": format!("http://127.0.0.1:{}/", 9_000 + at)})).await;
    }
    let one_more = json!({"webhook": "http://127.0.0.1:9999/"});
    assert_eq!(cloud.refused("individual", "/v1/subscriptions", one_more).await, (409, "conflict".to_owned()));
});

#[tokio::test]
async fn a_name_that_leads_inside_is_not_followed() {
    let small = [("vcpu", 4), ("memory_mib", 8_192), ("disk_gib", 1_000)];
    let cloud = Cloud::telling(DeliveryConfig::default(), Place::Memory, &small, Behaviour::default()).await;
    let receiver = Receiver::new(Mood::Willing).await;
    let url = receiver.url.replace("127.0.0.1", "localhost");
    let (id, _) = subscribe(&cloud, "individual", json!({ "webhook": url })).await;
    let failed = tried(&cloud, "individual", &id, "confirmation", 1).await;
    let why = failed["last_error"].as_str().unwrap();
    assert!(
        why.contains("localhost leads to an address that is not public") && why.contains("--allow-network"),
        "{why}"
    );
    assert_eq!((receiver.got().len(), state(&cloud, "individual", &id).await), (0, "pending".to_owned()));
}

#[tokio::test]
async fn a_copied_database_signs_nothing_and_a_new_key_leaves_the_old_to_those_who_have_it() {
    let place = Place::Postgres(TempPostgres::start().database().await);
    let receiver = Receiver::new(Mood::Willing).await;
    let under = async |keys: &str| {
        let networks = vec!["127.0.0.0/8".parse().unwrap()];
        let deliveries = DeliveryConfig { networks, keys: Some(keys.to_owned()), ..DeliveryConfig::default() };
        Cloud::telling(deliveries, place.clone(), &[("vcpu", 4)], Behaviour::default()).await
    };
    let test = async |cloud: &Cloud, id: &str| {
        cloud.post("enterprise", &format!("/v1/subscriptions/{id}/test"), json!(null)).await;
        tried(cloud, "enterprise", id, "test", 1).await
    };
    let (old, new) = ("o".repeat(64), "n".repeat(64));
    let first = under(&old).await;
    let (mine, secret) = confirmed(&first, "enterprise", &receiver, json!([])).await;
    drop(first);
    a_while().await;

    let both = under(&format!("{new}\n{old}")).await;
    let (later, other) = confirmed(&both, "enterprise", &receiver, json!([])).await;
    assert!(test(&both, &mine).await["accepted_at"].is_string());
    assert!(test(&both, &later).await["accepted_at"].is_string());
    let told = receiver.of(TEST);
    assert!(told[0].is_signed_with(&secret) && told[1].is_signed_with(&other) && !told[1].is_signed_with(&secret));
    drop(both);
    a_while().await;

    // Who has the rows and not the key.
    let copy = under(&new).await;
    copy.post("enterprise", &format!("/v1/subscriptions/{mine}/test"), json!(null)).await;
    until("a pause", async || state(&copy, "enterprise", &mine).await == "paused").await;
    let because = show(&copy, "enterprise", &mine).await["paused_because"].as_str().unwrap().to_owned();
    assert!(because.contains("subscribe anew"), "{because}");
    assert_eq!((receiver.of(TEST).len(), state(&copy, "enterprise", &later).await), (2, "confirmed".to_owned()));
}

/// A life with subscribers, of whom one does not answer.
async fn told_life(on: On) -> Value {
    let cloud = Cloud::new(on).await;
    let (willing, down) = (Receiver::new(Mood::Willing).await, Receiver::new(Mood::Down).await);
    confirmed(&cloud, "enterprise", &willing, json!([])).await;
    subscribe(&cloud, "enterprise", json!({ "webhook": down.url })).await;
    for hours in [1, 2, 3] {
        let id = cloud.buy("enterprise", block(hours)).await;
        cloud.wait(100).await;
        reclaim(&cloud, &id).await;
        cloud.wait(4_000).await;
    }
    cloud.get("operator", "/v1/events?limit=1000").await
}

#[tokio::test]
async fn deliveries_leave_no_trace_in_the_log() {
    let told = told_life(On::Sqlite).await;
    assert_eq!(told, told_life(On::Sqlite).await);
    assert_eq!(told, told_life(On::Postgres).await);
}
