//! What does a scorecard say of a guest that heeds its notice, of one that does not, and of a drill that became earnest?

use crate::cloud::{Cloud, On, block};
use crate::drills::{ROOM, cloud_with, drill, outcome, scorecard, tagged};
use crate::story;
use ebb_driver::fake::Behaviour;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

async fn guests(on: On, read: Option<i64>, heed: Option<i64>) -> Cloud {
    let seconds = |after: Option<i64>| after.map(|seconds| seconds * 1_000);
    let behaviour = Behaviour { read_millis: seconds(read), heed_millis: seconds(heed), ..Behaviour::default() };
    Cloud::with(on, &ROOM, behaviour).await
}

async fn heeded(on: On) {
    let cloud = guests(on, Some(2), Some(40)).await;
    let mut fleet = vec![];
    for _ in 0..3 {
        fleet.push(cloud.buy("enterprise", tagged(3, "render")).await);
    }
    cloud.wait(600).await;
    let asked = drill(&cloud, "enterprise", json!({"tags": {"fleet": "render"}})).await;
    cloud.wait(60).await;
    // It is off, and stays so; the block is released when it was said.
    assert_eq!(cloud.state("enterprise", &fleet[0]).await, "reclaiming");
    let card = scorecard(&cloud, "enterprise", &asked).await;
    assert_eq!((&card["over"], &card["summary"]["stopped"]), (&json!(false), &json!(3)));
    cloud.wait(240).await;
    let card = scorecard(&cloud, "enterprise", &asked).await;
    let summary = &card["summary"];
    assert_eq!(
        (&summary["read"], &summary["stopped"], &summary["slowest"]["seconds"]),
        (&json!(3), &json!(3), &json!(40))
    );
    assert_eq!(summary["slowest"]["instance"], fleet[0].as_str());
    let part = &card["instances"][0];
    assert_eq!(part["readable_at"], part["notice_at"]);
    assert_eq!((&part["read_seconds_before"], &part["stopped_seconds_before"]), (&json!(298), &json!(260)));
    assert_eq!((part["undone"].clone(), part["release_late_millis"].clone()), (Value::Null, json!(0)));
    // What is off is used as well: 900 seconds would have been waived, 300 were.
    assert_eq!((&part["free"], &part["platform_would_waive"]), (&json!("0.00583333"), &json!("0.01750000")));
    assert_eq!(summary["platform_would_waive"], "0.05250000");
    cloud.agrees().await;
}

#[tokio::test]
async fn a_guest_that_heeds_its_notice_has_nothing_undone() {
    heeded(On::Sqlite).await;
    heeded(On::Postgres).await;
}

#[tokio::test]
async fn a_guest_that_reads_late_and_works_on_is_cut_off() {
    let cloud = guests(On::Sqlite, Some(280), None).await;
    let id = cloud.buy("enterprise", block(3)).await;
    cloud.wait(600).await;
    let asked = drill(&cloud, "enterprise", json!({ "instance": id })).await;
    assert!(asked["instances"][0].get("undone").is_none(), "nothing is judged before it is over");
    cloud.wait(300).await;
    let card = scorecard(&cloud, "enterprise", &asked).await;
    let undone = ["read it only 20 s before the end", "did not stop by itself; it was cut off"];
    assert_eq!(card["instances"][0]["undone"], json!(undone));
    assert_eq!(card["summary"]["slowest"]["seconds"], 300);
    cloud.agrees().await;
}

story!(the_platform_takes_a_drill_over, |cloud: Cloud| async move {
    let id = cloud.buy("enterprise", block(3)).await;
    cloud.until("09:30:00").await;
    let asked = drill(&cloud, "enterprise", json!({ "instance": id })).await;
    cloud.wait(100).await;
    cloud.post("operator", &format!("/v1/instances/{id}/reclaim"), json!(null)).await;
    cloud.wait(200).await;
    // The drill's deadline is the earlier one; the platform's waiver counts, from the start of the period.
    let ended = cloud.instance("enterprise", &id).await;
    assert_eq!((&ended["end_cause"], &ended["ended_at"]), (&json!("operator"), &json!("2026-03-02T01:35:00Z")));
    let lines = cloud.records("enterprise", &id, "compute").await;
    assert!(lines.iter().all(|line| line.ends_with(" 0.00000000")), "{lines:?}");
    let card = scorecard(&cloud, "enterprise", &asked).await;
    let part = &card["instances"][0];
    assert_eq!((&part["taken_over_by"], &part["free_seconds"]), (&json!("operator"), &json!(0)));
    assert_eq!((&part["charged"], &part["platform_would_waive"]), (&json!("0.00000000"), &json!("0.04258333")));
});

async fn given_back(on: On) {
    let cloud = cloud_with(on, Behaviour::default(), |limits| limits.drill_free_seconds = 310).await;
    let mut blocks = vec![];
    for _ in 0..3 {
        blocks.push(cloud.buy("enterprise", block(3)).await);
    }
    cloud.wait(60).await;
    let first = drill(&cloud, "enterprise", json!({"instance": blocks[0]})).await;
    // While it is under way it has all that the month has.
    let second = drill(&cloud, "enterprise", json!({"instance": blocks[1]})).await;
    let free = |drill: &Value| drill["instances"][0]["free_seconds"].clone();
    assert_eq!((free(&first), free(&second)), (json!(300), json!(0)));
    cloud.wait(10).await;
    // An urgent reclaim brings even the deadline forward, and the allotment comes back.
    cloud.post("operator", &format!("/v1/instances/{}/reclaim", blocks[0]), json!({"urgent": true})).await;
    let card = scorecard(&cloud, "enterprise", &first).await;
    assert_eq!((&card["over"], &card["instances"][0]["taken_over_by"]), (&json!(true), &json!("operator")));
    assert_eq!(free(&drill(&cloud, "enterprise", json!({"instance": blocks[2]})).await), 300);
    cloud.agrees().await;
}

#[tokio::test]
async fn what_the_platform_took_over_does_not_count_for_the_month() {
    given_back(On::Sqlite).await;
    given_back(On::Postgres).await;
}

story!(a_guest_that_lets_itself_go_is_released_at_once, |cloud: Cloud| async move {
    let id = cloud.buy("enterprise", block(3)).await;
    cloud.wait(90).await;
    let asked = drill(&cloud, "enterprise", json!({ "instance": id })).await;
    cloud.wait(20).await;
    let path = "/metadata/scheduledevents?api-version=2020-07-01";
    let headers = [("metadata", "true")];
    let events = cloud.guest(&id, &format!("GET {path}"), &headers, "").await;
    let events: Value = serde_json::from_str(events.strip_prefix("200 ").unwrap()).unwrap();
    let body = json!({"StartRequests": [{"EventId": events["Events"][0]["EventId"]}]}).to_string();
    assert_eq!(cloud.guest(&id, &format!("POST {path}"), &headers, &body).await, "200 {}");
    let card = scorecard(&cloud, "enterprise", &asked).await;
    let part = &card["instances"][0];
    assert_eq!((&card["over"], &card["summary"]["stopped"]), (&json!(true), &json!(1)));
    assert_eq!((&part["approved_at"], &part["undone"]), (&json!("2026-03-02T01:00:20Z"), &Value::Null));
    assert_eq!((&part["release_late_millis"], &part["free_seconds"]), (&json!(-280_000), &json!(20)));
    let lines = cloud.records("enterprise", &id, "compute").await;
    assert_eq!(lines[0], "08:58:30-09:00:00 90 0.07 0.00175000");
    assert_eq!(lines[1..], ["09:00:00-09:00:20 20 0.07 0.00000000"]);
});

async fn with_key(cloud: &Cloud, key: &str, body: &Value) -> (StatusCode, String) {
    let request = Client::new().post(format!("{}/v1/drills", cloud.endpoint)).bearer_auth("ebb_sandbox_enterprise");
    let sent = request.header("idempotency-key", key).body(body.to_string()).send().await.unwrap();
    (sent.status(), sent.text().await.unwrap())
}

story!(a_drill_that_is_repeated_interrupts_nobody_twice, |cloud: Cloud| async move {
    for _ in 0..6 {
        cloud.buy("enterprise", tagged(3, "render")).await;
    }
    let half = json!({"all": true, "percent": 50});
    let first = with_key(&cloud, "once", &half).await;
    assert_eq!(outcome(&serde_json::from_str(&first.1).unwrap()), (3, vec![]));
    cloud.wait(30).await;
    assert_eq!(with_key(&cloud, "once", &half).await, first, "to the byte, though time went on");
    assert_eq!(with_key(&cloud, "once", &json!({"all": true})).await.0, StatusCode::CONFLICT);
    let live = cloud.get("enterprise", "/v1/instances").await;
    let taken = live["items"].as_array().unwrap().iter().filter(|one| one["state"] == "reclaiming").count();
    assert_eq!((taken, cloud.get("enterprise", "/v1/drills").await["items"].as_array().unwrap().len()), (3, 1));
});
