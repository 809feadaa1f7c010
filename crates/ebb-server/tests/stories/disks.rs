//! Data disks: what they cost from which second to which, where they can be, and what becomes of them with their instance.

use crate::arrears::{asked, balance, said, small};
use crate::cloud::{Cloud, On};
use crate::story;
use ebb_driver::fake::Behaviour;
use reqwest::Method;
use serde_json::{Value, json};

pub const ROOM: [(&str, i64); 3] = [("vcpu", 64), ("memory_mib", 262_144), ("disk_gib", 10_000)];

pub const OF_VOLUMES: [&str; 12] = [
    "volume-created",
    "volume-there",
    "volume-failed",
    "disk-attached",
    "disk-detach-asked",
    "disk-detached",
    "volume-resized",
    "volume-deleted",
    "volume-gone",
    "volume-lost",
    "volume-unavailable",
    "volume-available",
];

/// So many GiB, at 0.0005 each.
pub async fn disk(cloud: &Cloud, who: &str, gib: i64) -> String {
    let what = json!({ "zone": "cn-beijing-a", "gib": gib });
    let made = cloud.post(who, "/v1/disks", what).await;
    made["id"].as_str().unwrap().to_owned()
}

pub async fn state(cloud: &Cloud, who: &str, id: &str) -> String {
    let kind = if id.starts_with("disk-") { "disks" } else { "snapshots" };
    let one = cloud.get(who, &format!("/v1/{kind}/{id}")).await;
    one["state"].as_str().unwrap().to_owned()
}

pub async fn remove(cloud: &Cloud, who: &str, id: &str) -> String {
    let kind = if id.starts_with("disk-") { "disks" } else { "snapshots" };
    asked(cloud, who, Method::DELETE, &format!("/v1/{kind}/{id}"), json!(null)).await
}

pub async fn tell(cloud: &Cloud, who: &str, id: &str, verb: &str, body: Value) -> String {
    asked(cloud, who, Method::POST, &format!("/v1/disks/{id}/{verb}"), body).await
}

/// What is billed of something that is no instance: `since-until seconds price amount`, by the clock in Shanghai.
pub async fn lines(cloud: &Cloud, who: &str, id: &str) -> Vec<String> {
    let bill = cloud.get(who, "/v1/bills").await;
    let mine = bill["records"].as_array().unwrap().iter().filter(|r| r["resource"] == id);
    let calendar = ebb_model::calendar::Calendar::new("Asia/Shanghai").unwrap();
    let local = |at: &Value| {
        let at: ebb_model::time::Timestamp = at.as_str().unwrap().parse().unwrap();
        calendar.local(at.second())[11..].to_owned()
    };
    let text = |r: &Value, key: &str| r[key].as_str().unwrap().to_owned();
    mine.map(|r| {
        let (since, until) = (local(&r["since"]), local(&r["until"]));
        format!("{since}-{until} {} {} {}", r["seconds"], text(r, "price"), text(r, "amount"))
    })
    .collect()
}

/// The names of what happened to volumes, in order.
pub async fn names(cloud: &Cloud, who: &str) -> Vec<String> {
    let all = said(cloud, who, &OF_VOLUMES).await;
    all.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

async fn free_gib(cloud: &Cloud, host: &str) -> i64 {
    let shown = cloud.get("operator", &format!("/v1/hosts/{host}")).await;
    let room = &shown["host"]["room"]["disk_gib"];
    room["capacity"].as_i64().unwrap() - room["used"].as_i64().unwrap()
}

story!(a_disk_is_charged_from_when_it_is_there_to_when_it_is_deleted, |cloud: Cloud| async move {
    cloud.until("09:00:00").await;
    let ada = cloud.tenant("Ada", "individual", "10").await;
    let id = disk(&cloud, &ada, 20).await;
    assert_eq!(state(&cloud, &ada, &id).await, "available");
    assert_eq!(free_gib(&cloud, "cn-beijing-a-1").await, 10_000 - 20);
    cloud.until("09:30:00").await;
    assert_eq!(tell(&cloud, &ada, &id, "resize", json!({"gib": 40})).await, "done");
    assert_eq!(tell(&cloud, &ada, &id, "resize", json!({"gib": 30})).await, "409 disk-shrinks");
    cloud.until("10:15:00").await;
    assert_eq!(remove(&cloud, &ada, &id).await, "done");
    assert_eq!(remove(&cloud, &ada, &id).await, "409 volume-deleted");
    assert_eq!(state(&cloud, &ada, &id).await, "deleted");
    assert_eq!(free_gib(&cloud, "cn-beijing-a-1").await, 10_000);
    cloud.until("12:00:00").await;
    let wanted = [
        "09:00:00-09:30:00 1800 0.01 0.00500000",
        "09:30:00-10:00:00 1800 0.02 0.01000000",
        "10:00:00-10:15:00 900 0.02 0.00500000",
    ];
    assert_eq!(lines(&cloud, &ada, &id).await, wanted);
    assert_eq!(balance(&cloud, &ada).await["cash"], "9.98000000");
    let wanted = ["volume-created", "volume-there", "volume-resized", "volume-deleted", "volume-gone"];
    assert_eq!(names(&cloud, &ada).await, wanted);
});

story!(a_disk_goes_from_one_guest_to_another_when_the_first_has_let_go, |cloud: Cloud| async move {
    cloud.until("09:00:00").await;
    let ada = cloud.tenant("Ada", "individual", "10").await;
    let (one, two) = (cloud.buy(&ada, small()).await, cloud.buy(&ada, small()).await);
    let id = disk(&cloud, &ada, 20).await;
    assert_eq!(tell(&cloud, &ada, &id, "attach", json!({"instance": one})).await, "done");
    assert_eq!(cloud.instance(&ada, &one).await["data_disks"], json!([id]));
    assert_eq!(tell(&cloud, &ada, &id, "attach", json!({"instance": two})).await, "409 disk-attached");
    assert_eq!(remove(&cloud, &ada, &id).await, "409 disk-attached");
    assert_eq!(tell(&cloud, &ada, &id, "detach", json!(null)).await, "done");
    // The fake guest lets go at once.
    assert_eq!(state(&cloud, &ada, &id).await, "available");
    cloud.post(&ada, &format!("/v1/instances/{two}/stop"), json!(null)).await;
    assert_eq!(tell(&cloud, &ada, &id, "attach", json!({"instance": two})).await, "409 wrong-state");
    cloud.wait(120).await;
    assert_eq!(tell(&cloud, &ada, &id, "attach", json!({"instance": two})).await, "done");
    cloud.post(&ada, &format!("/v1/instances/{two}/start"), json!(null)).await;
    assert_eq!(tell(&cloud, &ada, &id, "detach", json!(null)).await, "done");
    assert_eq!(state(&cloud, &ada, &id).await, "available");
    let bob = cloud.tenant("Bob", "individual", "10").await;
    let his = cloud.buy(&bob, small()).await;
    assert_eq!(tell(&cloud, &ada, &id, "attach", json!({"instance": his})).await, "404 not-found");
    assert_eq!(tell(&cloud, &bob, &id, "attach", json!({"instance": his})).await, "404 not-found");
});

story!(disks_that_come_with_an_instance_stay_or_go_with_it, |cloud: Cloud| async move {
    cloud.until("09:00:00").await;
    let ada = cloud.tenant("Ada", "individual", "10").await;
    let with = |keep: bool| {
        let disks = json!([{"gib": 20, "name": "data"}, {"gib": 10}]);
        json!({"option": "spot-block", "flavor": "c6.large.2", "data_disks": disks, "keep_data_disks": keep})
    };
    let (kept, gone) = (cloud.buy(&ada, with(true)).await, cloud.buy(&ada, with(false)).await);
    let disks = |one: Value| -> Vec<String> {
        one["data_disks"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    };
    let (stays, goes) = (disks(cloud.instance(&ada, &kept).await), disks(cloud.instance(&ada, &gone).await));
    assert_eq!((stays.len(), goes.len()), (2, 2));
    assert_eq!(state(&cloud, &ada, &stays[0]).await, "attached");
    cloud.until("09:30:00").await;
    for id in [&kept, &gone] {
        cloud.delete(&ada, id).await;
    }
    assert_eq!(cloud.state(&ada, &kept).await, "released");
    assert_eq!(
        (state(&cloud, &ada, &stays[0]).await, state(&cloud, &ada, &goes[0]).await),
        ("available".into(), "deleted".into())
    );
    cloud.until("11:00:00").await;
    let hours = ["09:00:00-10:00:00 3600 0.01 0.01000000", "10:00:00-11:00:00 3600 0.01 0.01000000"];
    assert_eq!(lines(&cloud, &ada, &stays[0]).await, hours);
    assert_eq!(lines(&cloud, &ada, &goes[0]).await, ["09:00:00-09:30:00 1800 0.01 0.00500000"]);
    // One that stays is bought a new machine, beside it.
    let again = json!({"option": "on-demand", "flavor": "t6.small.1", "attach": [stays[0]]});
    let next = cloud.buy(&ada, again).await;
    assert_eq!(cloud.instance(&ada, &next).await["data_disks"], json!([stays[0]]));
    assert_eq!(state(&cloud, &ada, &stays[0]).await, "attached");
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_never_ran_leaves_nothing_and_costs_nothing() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud =
            Cloud::with(on, &ROOM, Behaviour { fail_next_start: true, start_millis: 5_000, ..Behaviour::default() })
                .await;
        cloud.until("09:00:00").await;
        let ada = cloud.tenant("Ada", "individual", "10").await;
        let old = disk(&cloud, &ada, 20).await;
        let what = json!({"option": "on-demand", "flavor": "t6.small.1", "data_disks": [{"gib": 20}], "attach": [old]});
        let id = cloud.buy(&ada, what).await;
        let all = cloud.get(&ada, "/v1/disks").await;
        assert_eq!(all["items"].as_array().unwrap().len(), 2);
        cloud.wait(60).await;
        assert_eq!(cloud.instance(&ada, &id).await["end_cause"], "never-ran");
        let left = cloud.get(&ada, "/v1/disks").await;
        assert_eq!(left["items"].as_array().unwrap().len(), 1);
        assert_eq!(state(&cloud, &ada, &old).await, "available");
        cloud.until("11:00:00").await;
        let bill = cloud.get(&ada, "/v1/bills").await;
        let others = bill["records"].as_array().unwrap().iter().filter(|r| r["resource"] != json!(old)).count();
        assert_eq!(others, 0, "{bill:#}");
        cloud.nothing_broke().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_time_takes_it_and_what_fails_costs_nothing() {
    for on in [On::Sqlite, On::Postgres] {
        let slow =
            Behaviour { volume_millis: 90_000, start_millis: 10_000, fail_next_volume: true, ..Behaviour::default() };
        let cloud = Cloud::with(on, &ROOM, slow).await;
        cloud.until("09:00:00").await;
        let ada = cloud.tenant("Ada", "individual", "10").await;
        let failed = disk(&cloud, &ada, 20).await;
        cloud.wait(100).await;
        assert_eq!(state(&cloud, &ada, &failed).await, "failed");
        let id = disk(&cloud, &ada, 20).await;
        assert_eq!(tell(&cloud, &ada, &id, "resize", json!({"gib": 40})).await, "409 volume-state");
        let with = json!({"option": "on-demand", "flavor": "t6.small.1", "data_disks": [{"gib": 10}]});
        let bought = cloud.buy(&ada, with).await;
        cloud.wait(100).await;
        assert_eq!(state(&cloud, &ada, &id).await, "available");
        let with = cloud.instance(&ada, &bought).await["data_disks"][0].as_str().unwrap().to_owned();
        assert_eq!(state(&cloud, &ada, &with).await, "attached");
        cloud.until("09:30:00").await;
        assert_eq!(remove(&cloud, &ada, &id).await, "done");
        assert_eq!(state(&cloud, &ada, &id).await, "deleting");
        cloud.until("10:00:00").await;
        // There 90 s after it was ordered at 09:01:40.
        assert_eq!(lines(&cloud, &ada, &id).await, ["09:03:10-09:30:00 1610 0.01 0.00447222"]);
        assert_eq!(lines(&cloud, &ada, &with).await, ["09:03:10-10:00:00 3410 0.005 0.00473611"]);
        assert_eq!(lines(&cloud, &ada, &failed).await, Vec::<String>::new());
        cloud.nothing_broke().await;
    }
}
