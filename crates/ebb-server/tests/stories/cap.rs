//! The spending cap: to which second it lets things run, what it refuses, and what becomes of everything then.

use crate::cloud::{Cloud, On, block, order};
use crate::story;
use ebb_driver::fake::Behaviour;
use ebb_model::catalog::Catalog;
use ebb_store::Place;
use ebb_testing::TempPostgres;
use reqwest::Method;
use serde_json::{Value, json};

/// Vcpu and memory at 0.39, the disk at 0.02, a block of six hours at 0.12.
fn machine() -> Value {
    json!({ "option": "on-demand", "flavor": "c6.large.2" })
}

async fn set(cloud: &Cloud, who: &str, amount: &str) -> Value {
    cloud.post(who, "/v1/cap", json!({ "amount": amount })).await
}

async fn cap(cloud: &Cloud, who: &str) -> Value {
    cloud.get(who, "/v1/cap").await
}

async fn to(cloud: &Cloud, instant: &str) {
    cloud.post("operator", "/v1/clock/advance", json!({ "to": instant })).await;
}

/// The account's events of a kind, without what else there is.
async fn events(cloud: &Cloud, who: &str, kind: &str) -> Vec<Value> {
    let page = cloud.get(who, "/v1/events?limit=1000").await;
    let items = page["items"].as_array().unwrap().iter();
    items.map(|event| event["body"].clone()).filter(|body| body["event"] == kind).collect()
}

async fn refusal(cloud: &Cloud, who: &str, path: &str, body: Value) -> (String, String) {
    let (status, problem) = cloud.ask(who, Method::POST, path, Some(body)).await;
    assert_eq!(status.as_u16(), 409, "{problem}");
    let text = |key: &str| problem[key].as_str().unwrap().to_owned();
    (text("code"), text("message"))
}

/// What is payable in the month, and what an instance's records of compute say at their ends.
async fn last_second(cloud: &Cloud, who: &str, id: &str, meter: &str) -> String {
    let bill = cloud.get(who, "/v1/bills").await;
    let mine = bill["records"].as_array().unwrap().iter().filter(|r| r["instance"] == id && r["meter"] == meter);
    mine.map(|r| r["until"].as_str().unwrap().to_owned()).max().unwrap_or_default()
}

story!(one_instance_is_stopped_at_the_last_second_that_the_cap_allows, |cloud: Cloud| async move {
    // From noon of the 16th in Shanghai 372 hours are left of March.
    to(&cloud, "2026-03-16T04:00:00Z").await;
    let id = cloud.buy("individual", machine()).await;
    let running = cloud.instance("individual", &id).await["started_at"].clone();
    assert_eq!(running, "2026-03-16T04:00:00Z");
    // 7.44 for its disk to the end of the month; what is left of 16 pays for 21.948717… hours at 0.39.
    let shown = set(&cloud, "individual", "16").await;
    assert_eq!(shown["acts_at"], "2026-03-17T01:56:55Z", "{shown}");
    assert_eq!((shown["goes_on"].as_str(), shown["reserved"].as_str()), (Some("0.02"), Some("7.44000000")));
    to(&cloud, "2026-03-17T01:56:54Z").await;
    assert_eq!(cloud.state("individual", &id).await, "running");
    cloud.wait(70).await;
    let stopped = cloud.instance("individual", &id).await;
    assert_eq!((stopped["state"].as_str(), stopped["economical"].as_bool()), (Some("stopped"), Some(true)));
    let reached = events(&cloud, "individual", "cap-reached").await;
    assert_eq!(reached, [json!({"event": "cap-reached", "at": "2026-03-17T01:56:55Z"})]);
    // Nothing that costs more begins in this month, and nothing by itself in the next.
    let (code, sentence) = refusal(&cloud, "individual", "/v1/instances", order(machine())).await;
    assert!(code == "spending-cap" && sentence.contains("16.00") && sentence.contains("`ebb cap set`"), "{sentence}");
    let start = format!("/v1/instances/{id}/start");
    assert_eq!(refusal(&cloud, "individual", &start, json!(null)).await.0, "spending-cap");
    to(&cloud, "2026-03-31T16:00:00Z").await;
    assert_eq!(last_second(&cloud, "individual", &id, "compute").await, "2026-03-17T01:56:55Z");
    let balance = cloud.get("individual", "/v1/balance").await;
    // 79,015 seconds at 0.39, and 372 hours at 0.02.
    assert_eq!(balance["settled"]["payable"], "15.99995833", "{balance}");
    assert_eq!(cloud.state("individual", &id).await, "stopped");
    let seen = cap(&cloud, "individual").await;
    assert_eq!(
        (seen["payable"].as_str(), seen["month_since"].as_str()),
        (Some("0.00000000"), Some("2026-03-31T16:00:00Z"))
    );
    cloud.post("individual", &start, json!(null)).await;
    assert_eq!(cloud.state("individual", &id).await, "running");
});

story!(a_block_goes_with_it_and_is_charged_to_that_second, |cloud: Cloud| async move {
    // 711 hours are left of March: 14.22 for one disk, while the other goes with its block.
    cloud.until("09:00:00").await;
    let id = cloud.buy("individual", machine()).await;
    let spot = cloud.buy("individual", block(6)).await;
    // 0.78 is left of 15: 5,298.1… seconds at 0.39 + 0.12 + 0.02 an hour.
    let shown = set(&cloud, "individual", "15").await;
    assert_eq!(shown["acts_at"], "2026-03-02T02:28:18Z", "{shown}");
    to(&cloud, "2026-03-02T02:29:30Z").await;
    let gone = cloud.instance("individual", &spot).await;
    assert_eq!(
        (gone["end_cause"].as_str(), gone["ended_at"].as_str(), gone["state"].as_str()),
        (Some("spending-cap"), Some("2026-03-02T02:28:18Z"), Some("released"))
    );
    assert_eq!(cloud.state("individual", &id).await, "stopped");
    let seen = cap(&cloud, "individual").await;
    assert_eq!(seen["acted_at"], "2026-03-02T02:28:18Z");
    assert_eq!(
        cloud.records("individual", &spot, "compute").await.last().unwrap(),
        "10:00:00-10:28:18 1698 0.12 0.05660000"
    );
    for wanted in [block(1), machine()] {
        assert_eq!(refusal(&cloud, "individual", "/v1/instances", order(wanted)).await.0, "spending-cap");
    }
    // Who gives the disk up has its money again, and a block begins.
    cloud.delete("individual", &id).await;
    cloud.buy("individual", block(6)).await;
    assert_eq!(cap(&cloud, "individual").await.get("acts_at"), None);
});
