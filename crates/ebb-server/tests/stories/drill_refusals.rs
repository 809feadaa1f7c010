//! Who rehearses nothing, and how many are too many?

use crate::cloud::{Cloud, On, block};
use crate::drills::{ROOM, cloud_with, drill, outcome, scorecard, tagged};
use crate::story;
use ebb_driver::fake::Behaviour;
use reqwest::Method;
use serde_json::{Value, json};

story!(what_is_no_drill_is_refused, |cloud: Cloud| async move {
    let id = cloud.buy("enterprise", block(1)).await;
    let firm = cloud.buy("enterprise", json!({"option": "on-demand", "flavor": "c6.large.2"})).await;
    let refused = async |what: Value| cloud.refused("enterprise", "/v1/drills", what).await;
    for bad in [
        json!({}),
        json!({"instance": id, "all": true}),
        json!({"all": true, "percent": 0}),
        json!({"all": true, "percent": 101}),
        json!({"instance": id, "percent": 50}),
    ] {
        assert_eq!(refused(bad.clone()).await, (400, "bad-input".to_owned()), "{bad}");
    }
    for (every, week) in [(59, "mon 10:00-16:00"), (3_600, "monday"), (-1, "mon 10:00-16:00")] {
        let plan = json!({"what": {"all": true}, "every_seconds": every, "week": week});
        assert_eq!(cloud.refused("enterprise", "/v1/drill-schedules", plan).await, (400, "bad-input".to_owned()));
    }
    assert_eq!(refused(json!({"instance": firm})).await, (409, "not-a-spot-block".to_owned()));
    assert_eq!(refused(json!({"instance": "i-7"})).await.0, 404);
    // Somebody else's is not there, neither block nor drill; an operator rehearses nothing.
    assert_eq!(cloud.refused("individual", "/v1/drills", json!({"instance": id})).await, (404, "not-found".to_owned()));
    assert_eq!(cloud.refused("operator", "/v1/drills", json!({"instance": id})).await, (403, "role".to_owned()));

    cloud.wait(60).await;
    cloud.post("enterprise", &format!("/v1/instances/{id}/stop"), json!(null)).await;
    assert_eq!(refused(json!({"instance": id})).await, (409, "wrong-state".to_owned()));
    cloud.wait(60).await;
    assert_eq!(refused(json!({"instance": id})).await, (409, "wrong-state".to_owned()));
    cloud.post("enterprise", &format!("/v1/instances/{id}/start"), json!(null)).await;
    let asked = drill(&cloud, "enterprise", json!({"instance": id})).await;
    assert_eq!(refused(json!({"instance": id})).await, (409, "reclaiming".to_owned()));
    let path = format!("/v1/drills/{}", asked["id"].as_str().unwrap());
    assert_eq!(cloud.ask("individual", Method::GET, &path, None).await.0, 404);
    cloud.wait(300).await;
    assert_eq!(refused(json!({"instance": id})).await, (409, "released".to_owned()));

    let late = cloud.buy("enterprise", block(1)).await;
    cloud.wait(3_301).await;
    assert_eq!(refused(json!({"instance": late})).await, (409, "lease-ends-first".to_owned()));
    // None of them counted, and none left a trace.
    assert_eq!(cloud.get("enterprise", "/v1/drills").await["items"].as_array().unwrap().len(), 1);
});

#[tokio::test]
async fn a_slow_release_is_refused_too() {
    let slow = Behaviour { remove_millis: 5_000, ..Behaviour::default() };
    let cloud = Cloud::with(On::Sqlite, &ROOM, slow).await;
    let id = cloud.buy("enterprise", block(3)).await;
    cloud.wait(60).await;
    cloud.delete("enterprise", &id).await;
    assert_eq!(cloud.refused("enterprise", "/v1/drills", json!({"instance": id})).await, (409, "released".to_owned()));

    // The five seconds that the machine is late are free as well.
    let id = cloud.buy("enterprise", block(3)).await;
    cloud.wait(60).await;
    let asked = drill(&cloud, "enterprise", json!({"instance": id})).await;
    cloud.wait(310).await;
    let part = scorecard(&cloud, "enterprise", &asked).await["instances"][0].clone();
    assert_eq!((&part["free_seconds"], &part["charged"]), (&json!(305), &json!("0.00000000")));
    assert_eq!(part["release_late_millis"], 5_000);
    cloud.agrees().await;
}

story!(who_owes_rehearses_nothing, |cloud: Cloud| async move {
    let poor = cloud.tenant("Poor", "individual", "0.80").await;
    let id = cloud.buy(&poor, block(3)).await;
    cloud.buy(&poor, json!({"option": "on-demand", "flavor": "c6.large.2"})).await;
    cloud.until("11:50:00").await;
    assert_ne!(cloud.get(&poor, "/v1/balance").await["debt"], "0.00000000");
    assert_eq!(cloud.refused(&poor, "/v1/drills", json!({"instance": id})).await, (402, "arrears".to_owned()));
    let asked = drill(&cloud, &poor, json!({"all": true})).await;
    assert_eq!(outcome(&asked), (0, vec!["arrears"]));
    assert_eq!(cloud.state(&poor, &id).await, "running");
});

async fn counted(on: On) {
    let cloud = cloud_with(on, Behaviour::default(), |limits| limits.drills_per_day = 2).await;
    let mut blocks = vec![];
    for _ in 0..4 {
        blocks.push(cloud.buy("enterprise", tagged(6, "render")).await);
    }
    cloud.until("23:00:00").await;
    assert_eq!(cloud.refused("enterprise", "/v1/drills", json!({"instance": blocks[0]})).await.1, "released");
    let mut blocks = vec![];
    for _ in 0..4 {
        blocks.push(cloud.buy("enterprise", tagged(6, "render")).await);
    }
    let asked = drill(&cloud, "enterprise", json!({"tags": {"fleet": "render"}})).await;
    // What stands against one more stands against all that follow: it is said once.
    assert_eq!(outcome(&asked), (2, vec!["too-many-drills"]));
    let refused = cloud.refused("enterprise", "/v1/drills", json!({"instance": blocks[3]})).await;
    assert_eq!(refused, (429, "too-many-drills".to_owned()));
    cloud.wait(3_600).await;
    // A new day.
    assert_eq!(outcome(&drill(&cloud, "enterprise", json!({"instance": blocks[3]})).await).0, 1);
    cloud.agrees().await;
}

#[tokio::test]
async fn a_day_has_so_many_drills() {
    counted(On::Sqlite).await;
    counted(On::Postgres).await;
}

async fn busy(on: On) {
    let cloud = cloud_with(on, Behaviour::default(), |limits| limits.drills_per_minute = 3).await;
    for who in ["enterprise", "individual"] {
        for _ in 0..2 {
            cloud.buy(who, block(3)).await;
        }
    }
    let first = drill(&cloud, "enterprise", json!({"all": true})).await;
    let second = drill(&cloud, "individual", json!({"all": true})).await;
    assert_eq!((outcome(&first), outcome(&second)), ((2, vec![]), (1, vec!["drills-busy"])));
    cloud.wait(60).await;
    let third = drill(&cloud, "individual", json!({"all": true})).await;
    assert_eq!(outcome(&third), (1, vec!["reclaiming"]));
    cloud.agrees().await;
}

#[tokio::test]
async fn a_minute_has_so_many_drills_of_everybody() {
    busy(On::Sqlite).await;
    busy(On::Postgres).await;
}
