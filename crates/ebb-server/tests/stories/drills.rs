//! A rehearsed interruption: what does it cost, who is meant, and when does a schedule strike?

use crate::cloud::{Cloud, On, block};
use crate::story;
use ebb_driver::fake::Behaviour;
use reqwest::Method;
use serde_json::{Value, json};

pub const ROOM: [(&str, i64); 3] = [("vcpu", 64), ("memory_mib", 262_144), ("disk_gib", 10_000)];

pub async fn drill(cloud: &Cloud, who: &str, what: Value) -> Value {
    cloud.post(who, "/v1/drills", what).await
}

pub async fn scorecard(cloud: &Cloud, who: &str, drill: &Value) -> Value {
    cloud.get(who, &format!("/v1/drills/{}", drill["id"].as_str().unwrap())).await
}

pub fn tagged(hours: i64, fleet: &str) -> Value {
    let mut what = block(hours);
    what["tags"] = json!({ "fleet": fleet });
    what
}

pub async fn cloud_with(on: On, behaviour: Behaviour, limits: impl FnOnce(&mut ebb_model::catalog::Limits)) -> Cloud {
    let mut catalog = Cloud::catalog();
    limits(&mut catalog.limits);
    Cloud::selling(catalog, on, &ROOM, behaviour).await
}

/// How many were given notice, and why the others were not.
pub fn outcome(drill: &Value) -> (i64, Vec<&str>) {
    let codes = drill["instances"].as_array().unwrap().iter().filter_map(|one| one["code"].as_str());
    (drill["summary"]["taken"].as_i64().unwrap(), codes.collect())
}

story!(a_drill_is_charged_before_and_free_after_its_request, |cloud: Cloud| async move {
    let id = cloud.buy("enterprise", block(3)).await;
    cloud.until("09:30:00").await;
    let asked = drill(&cloud, "enterprise", json!({ "instance": id })).await;
    assert_eq!(outcome(&asked), (1, vec![]));
    assert_eq!(cloud.state("enterprise", &id).await, "reclaiming");
    cloud.wait(300).await;

    let lines = cloud.records("enterprise", &id, "compute").await;
    let wanted = [
        "08:58:30-09:00:00 90 0.07 0.00175000",
        "09:00:00-09:30:00 1800 0.07 0.03500000",
        "09:30:00-09:35:00 300 0.07 0.00000000",
    ];
    assert_eq!(lines, wanted);
    let bill = cloud.get("enterprise", "/v1/bills").await;
    let reasons =
        bill["records"].as_array().unwrap().iter().filter(|r| r["meter"] == "compute").map(|r| r["reason"].clone());
    assert_eq!(reasons.collect::<Vec<_>>(), [Value::Null, Value::Null, json!("drill")]);

    let card = scorecard(&cloud, "enterprise", &asked).await;
    assert_eq!(card["over"], true);
    let part = &card["instances"][0];
    assert_eq!((&part["charged"], &part["free"]), (&json!("0.00000000"), &json!("0.00583333")));
    // 08:58:30 to 09:35:00, all of it.
    assert_eq!(part["platform_would_waive"], "0.04258333");
    let shown = cloud.instance("enterprise", &id).await;
    assert_eq!(shown["interruption"]["platform_would_waive"], "0.04258333");
    assert_eq!(shown["end_cause"], "drill");
    assert_eq!((&part["release_late_millis"], &part["free_seconds"]), (&json!(0), &json!(300)));
    // Fake guests neither read nor stop unless they are told to.
    assert_eq!(part["undone"], json!(["never read the notice", "did not stop by itself; it was cut off"]));
});

async fn beyond_the_month(on: On) {
    let cloud = cloud_with(on, Behaviour::default(), |limits| limits.drill_free_seconds = 400).await;
    let mut blocks = vec![];
    for _ in 0..3 {
        blocks.push(
            cloud
                .buy("enterprise", json!({"option": "spot-block", "flavor": "c6.large.2", "hours": 6, "periods": 4}))
                .await,
        );
    }
    cloud.until("09:30:00").await;
    drill(&cloud, "enterprise", json!({"instance": blocks[0]})).await;
    cloud.wait(300).await;
    // 300 of 400 seconds are used; the ten that the machine could have been late came back.
    let second = drill(&cloud, "enterprise", json!({"instance": blocks[1]})).await;
    cloud.wait(300).await;
    let lines = cloud.records("enterprise", &blocks[1], "compute").await;
    assert_eq!(lines[2..], ["09:35:00-09:36:40 100 0.12 0.00000000", "09:36:40-09:40:00 200 0.12 0.00666667"]);
    let card = scorecard(&cloud, "enterprise", &second).await;
    let part = &card["instances"][0];
    assert_eq!(
        (&part["free_seconds"], &part["charged"], &part["free"]),
        (&json!(100), &json!("0.00666667"), &json!("0.00333333"))
    );
    // Nothing is left of March, so the request ends what is free; what follows is charged.
    let mut late = block(6);
    late["periods"] = json!(4);
    let third = cloud.buy("enterprise", late.clone()).await;
    cloud.wait(60).await;
    let card = drill(&cloud, "enterprise", json!({ "instance": third })).await;
    assert_eq!(card["instances"][0]["free_seconds"], 0);
    cloud.wait(300).await;
    let lines = cloud.records("enterprise", &third, "compute").await;
    assert_eq!(lines, ["09:40:00-09:41:00 60 0.12 0.00200000", "09:41:00-09:46:00 300 0.12 0.01000000"]);

    // April begins at midnight in Shanghai, and has its own.
    cloud.post("operator", "/v1/clock/advance", json!({"to": "2026-03-31T23:50:00+08:00"})).await;
    let april = cloud.buy("enterprise", late).await;
    cloud.wait(600).await;
    let card = drill(&cloud, "enterprise", json!({ "instance": april })).await;
    assert_eq!(card["instances"][0]["free_seconds"], 300);
    cloud.agrees().await;
}

#[tokio::test]
async fn a_month_has_so_many_free_seconds() {
    beyond_the_month(On::Sqlite).await;
    beyond_the_month(On::Postgres).await;
}

story!(a_fleet_is_found_by_its_tags_and_each_is_judged_alone, |cloud: Cloud| async move {
    let mut fleet = vec![];
    for _ in 0..3 {
        fleet.push(cloud.buy("enterprise", tagged(3, "render")).await);
    }
    let other = cloud.buy("enterprise", tagged(3, "web")).await;
    let mut firm = json!({"option": "on-demand", "flavor": "c6.large.2", "tags": {"fleet": "render"}});
    firm["name"] = json!("head");
    let firm = cloud.buy("enterprise", firm).await;
    cloud.wait(60).await;
    cloud.post("enterprise", &format!("/v1/instances/{}/stop", fleet[0]), json!(null)).await;
    cloud.wait(60).await;
    let asked = drill(&cloud, "enterprise", json!({"tags": {"fleet": "render"}})).await;
    assert_eq!(outcome(&asked), (2, vec!["wrong-state", "not-a-spot-block"]));
    assert!(!asked["instances"][0]["message"].as_str().unwrap().is_empty());
    let states = async |id: &str| cloud.state("enterprise", id).await;
    assert_eq!((states(&fleet[0]).await, states(&fleet[1]).await), ("stopped".into(), "reclaiming".into()));
    assert_eq!((states(&other).await, states(&firm).await), ("running".into(), "running".into()));
    // Both are being taken, so none is left for a second.
    let again = drill(&cloud, "enterprise", json!({"all": true})).await;
    assert_eq!(outcome(&again), (1, vec!["wrong-state", "reclaiming", "reclaiming"]));
    assert_eq!(cloud.refused("enterprise", "/v1/drills", json!({"tags": {"fleet": "none"}})).await.1, "conflict");
    cloud.wait(300).await;
    let list = cloud.get("enterprise", "/v1/drills").await;
    let over: Vec<bool> = list["items"].as_array().unwrap().iter().map(|one| one["over"].as_bool().unwrap()).collect();
    assert_eq!(over, [true, true]);
});

async fn drawn(on: On) -> Vec<usize> {
    let cloud = Cloud::new(on).await;
    let mut fleet = vec![];
    for _ in 0..8 {
        fleet.push(cloud.buy("enterprise", tagged(3, "render")).await);
    }
    let asked = drill(&cloud, "enterprise", json!({"tags": {"fleet": "render"}, "percent": 30})).await;
    let drawn: Vec<usize> = asked["instances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| fleet.iter().position(|id| one["instance"] == *id).unwrap())
        .collect();
    assert_eq!((outcome(&asked).0, drawn.len()), (3, 3), "30 % of 8 is 2.4, so three");
    for (at, id) in fleet.iter().enumerate() {
        let state = if drawn.contains(&at) { "reclaiming" } else { "running" };
        assert_eq!(cloud.state("enterprise", id).await, state);
    }
    drawn
}

#[tokio::test]
async fn a_share_is_drawn_by_chance_and_the_same_seed_draws_the_same() {
    assert_eq!(drawn(On::Sqlite).await, drawn(On::Sqlite).await);
    drawn(On::Postgres).await;
}

async fn strikes(on: On) {
    let cloud = cloud_with(on, Behaviour::default(), |limits| limits.spot_per_account = Default::default()).await;
    // Monday 08:58:30. The window opens at ten; inside it every two hours.
    let plan = json!({"what": {"all": true, "percent": 10}, "every_seconds": 7_200, "week": "mon 10:00-15:00"});
    let planned = cloud.post("enterprise", "/v1/drill-schedules", plan).await;
    assert_eq!(planned["next_at"], "2026-03-02T02:00:00Z");
    for _ in 0..6 {
        cloud
            .buy("enterprise", json!({"option": "spot-block", "flavor": "c6.large.2", "hours": 6, "periods": 4}))
            .await;
    }
    let begun = async || {
        let list = cloud.get("enterprise", "/v1/drills").await;
        let items = list["items"].as_array().unwrap().clone();
        items.iter().map(|one| one["asked_at"].as_str().unwrap()[11..16].to_owned()).collect::<Vec<_>>()
    };
    cloud.until("09:59:59").await;
    assert_eq!(begun().await, Vec::<String>::new());
    cloud.until("23:59:00").await;
    // 10:00, 12:00 and 14:00 in Shanghai; 16:00 is outside.
    assert_eq!(begun().await, ["02:00", "04:00", "06:00"]);
    let next = cloud.get("enterprise", "/v1/drill-schedules").await["items"][0]["next_at"].clone();
    assert_eq!(next, "2026-03-09T02:00:00Z");
    let list = cloud.get("enterprise", "/v1/drills").await;
    assert!(
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["schedule"] == planned["id"] && one["summary"]["taken"] == 1)
    );

    let path = format!("/v1/drill-schedules/{}", planned["id"].as_str().unwrap());
    assert_eq!(cloud.ask("individual", Method::DELETE, &path, None).await.0, 404);
    let (status, ended) = cloud.ask("enterprise", Method::DELETE, &path, None).await;
    assert!(status.is_success() && ended["ended_at"].is_string(), "{ended}");
    assert_eq!(cloud.ask("enterprise", Method::DELETE, &path, None).await.0, 404);
    cloud.wait(8 * 86_400).await;
    assert_eq!(begun().await.len(), 3);
    cloud.nothing_broke().await;
}

#[tokio::test]
async fn a_schedule_strikes_inside_its_window_until_it_is_ended() {
    strikes(On::Sqlite).await;
    strikes(On::Postgres).await;
}

story!(a_schedule_of_one_instance_ends_with_it, |cloud: Cloud| async move {
    let id = cloud.buy("enterprise", block(3)).await;
    cloud.post("enterprise", "/v1/drill-schedules", json!({"what": {"instance": id}, "every_seconds": 3_600})).await;
    cloud.wait(7_300).await;
    assert_eq!(cloud.instance("enterprise", &id).await["end_cause"], "drill");
    assert_eq!(cloud.get("enterprise", "/v1/drill-schedules").await["items"], json!([]));
    assert_eq!(cloud.get("enterprise", "/v1/drills").await["items"].as_array().unwrap().len(), 1);
});
