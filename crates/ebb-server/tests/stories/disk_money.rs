//! What disks and snapshots need, are counted for, and cost when money is short or their host is away.

use crate::arrears::{asked, balance, pay, said, small, to};
use crate::cloud::{Cloud, On, order};
use crate::disks::{disk, lines, remove, state, tell};
use crate::story;
use ebb_driver::fake::Behaviour;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

const HOST: &str = "cn-beijing-a-1";

async fn snapshot(cloud: &Cloud, who: &str, of: Value) -> String {
    let made = cloud.post(who, "/v1/snapshots", of).await;
    made["id"].as_str().unwrap().to_owned()
}

async fn make(cloud: &Cloud, who: &str, what: Value) -> String {
    asked(cloud, who, Method::POST, "/v1/disks", what).await
}

async fn operator(cloud: &Cloud, verb: &str, body: Value) {
    cloud.post("operator", &format!("/v1/hosts/{HOST}/{verb}"), body).await;
}

story!(a_snapshot_outlives_its_disk_and_a_disk_its_snapshot, |cloud: Cloud| async move {
    cloud.until("09:00:00").await;
    let ada = cloud.tenant("Ada", "individual", "10").await;
    let first = disk(&cloud, &ada, 50).await;
    cloud.until("09:10:00").await;
    let kept = snapshot(&cloud, &ada, json!({"disk": first})).await;
    assert_eq!(remove(&cloud, &ada, &first).await, "done");
    assert_eq!(make(&cloud, &ada, json!({"snapshot": kept, "gib": 40})).await, "422 smaller-than-snapshot");
    let again = cloud.post(&ada, "/v1/disks", json!({"snapshot": kept, "gib": 60})).await;
    assert_eq!((again["snapshot"].as_str(), again["zone"].as_str()), (Some(kept.as_str()), Some("cn-beijing-a")));
    cloud.until("09:40:00").await;
    assert_eq!(remove(&cloud, &ada, &kept).await, "done");
    assert_eq!(state(&cloud, &ada, again["id"].as_str().unwrap()).await, "available");
    // Of a system disk: not before it ran, and it outlives its instance.
    let id = cloud.buy(&ada, small()).await;
    let system = snapshot(&cloud, &ada, json!({"instance": id})).await;
    cloud.delete(&ada, &id).await;
    assert_eq!(state(&cloud, &ada, &system).await, "available");
    let of_gone = asked(&cloud, &ada, Method::POST, "/v1/snapshots", json!({"instance": id})).await;
    assert_eq!(of_gone, "409 released");
    cloud.until("10:00:00").await;
    assert_eq!(lines(&cloud, &ada, &first).await, ["09:00:00-09:10:00 600 0.025 0.00416667"]);
    assert_eq!(lines(&cloud, &ada, &kept).await, ["09:10:00-09:40:00 1800 0.01 0.00500000"]);
    assert_eq!(lines(&cloud, &ada, &system).await, ["09:40:00-10:00:00 1200 0.008 0.00266667"]);
    // What a record says of itself.
    let bill = cloud.get(&ada, "/v1/bills").await;
    let record = bill["records"].as_array().unwrap().iter().find(|one| one["resource"] == kept).unwrap();
    let why = cloud.get(&ada, &format!("/v1/records/{}/explanation", record["id"].as_str().unwrap())).await;
    assert_eq!((&why["begins"], &why["ends"]), (&json!(["there"]), &json!(["deleted"])));
});

story!(no_snapshot_is_made_of_the_system_disk_of_what_is_taken_back, |cloud: Cloud| async move {
    cloud.until("09:00:00").await;
    let ada = cloud.tenant("Ada", "individual", "10").await;
    let with = json!({"option": "spot-block", "flavor": "c6.large.2", "data_disks": [{"gib": 20}]});
    let id = cloud.buy(&ada, with).await;
    let data = cloud.instance(&ada, &id).await["data_disks"][0].as_str().unwrap().to_owned();
    cloud.post("operator", &format!("/v1/instances/{id}/reclaim"), json!(null)).await;
    let of = |what: Value| asked(&cloud, &ada, Method::POST, "/v1/snapshots", what);
    assert_eq!(of(json!({"instance": id})).await, "409 reclaiming-no-snapshot");
    // One of its data disk is, and the disk may be taken from it.
    assert_eq!(of(json!({"disk": data})).await, "done");
    assert_eq!(tell(&cloud, &ada, &data, "detach", json!(null)).await, "done");
    assert_eq!(state(&cloud, &ada, &data).await, "available");
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_waits_for_its_snapshot() {
    for on in [On::Sqlite, On::Postgres] {
        let slow = Behaviour { volume_millis: 60_000, ..Behaviour::default() };
        let cloud = Cloud::with(on, &crate::disks::ROOM, slow).await;
        let ada = cloud.tenant("Ada", "individual", "10").await;
        let id = disk(&cloud, &ada, 20).await;
        cloud.wait(61).await;
        let kept = snapshot(&cloud, &ada, json!({"disk": id})).await;
        assert_eq!(state(&cloud, &ada, &kept).await, "creating");
        assert_eq!(remove(&cloud, &ada, &id).await, "409 being-copied");
        assert_eq!(tell(&cloud, &ada, &id, "resize", json!({"gib": 30})).await, "409 being-copied");
        assert_eq!(make(&cloud, &ada, json!({"snapshot": kept})).await, "409 volume-state");
        cloud.wait(61).await;
        assert_eq!(remove(&cloud, &ada, &id).await, "done");
        // One that goes with its instance waits for it, too, and is charged no longer.
        let with = json!({"option": "on-demand", "flavor": "t6.small.1", "data_disks": [{"gib": 10}], "keep_data_disks": false});
        let instance = cloud.buy(&ada, with).await;
        cloud.wait(120).await;
        let with = cloud.instance(&ada, &instance).await["data_disks"][0].as_str().unwrap().to_owned();
        let kept = snapshot(&cloud, &ada, json!({"disk": with})).await;
        cloud.delete(&ada, &instance).await;
        assert_eq!(cloud.state(&ada, &instance).await, "released");
        cloud.wait(30).await;
        let one = cloud.get(&ada, &format!("/v1/disks/{with}")).await;
        assert_eq!((one["state"].as_str(), one["charged_until"].is_string()), (Some("deleting"), true));
        cloud.wait(120).await;
        assert_eq!(
            (state(&cloud, &ada, &with).await, state(&cloud, &ada, &kept).await),
            ("deleted".into(), "available".into())
        );
        cloud.nothing_broke().await;
    }
}

story!(nothing_is_charged_while_the_host_is_lost_or_away_with_its_owner, |cloud: Cloud| async move {
    cloud.until("09:00:00").await;
    let ada = cloud.tenant("Ada", "individual", "10").await;
    let id = disk(&cloud, &ada, 20).await;
    let gone = disk(&cloud, &ada, 20).await;
    cloud.until("09:10:00").await;
    operator(&cloud, "unplug", json!(null)).await;
    cloud.until("09:12:00").await;
    assert_eq!(remove(&cloud, &ada, &gone).await, "done");
    cloud.until("09:20:00").await;
    operator(&cloud, "lost", json!({"fenced": true})).await;
    assert_eq!(state(&cloud, &ada, &id).await, "unavailable");
    assert_eq!(tell(&cloud, &ada, &id, "resize", json!({"gib": 30})).await, "409 volume-unavailable");
    let shown = cloud.get("operator", &format!("/v1/hosts/{HOST}")).await;
    assert_eq!(shown["volumes"][0]["state"], "unavailable", "{shown:#}");
    cloud.until("09:30:00").await;
    operator(&cloud, "plug", json!(null)).await;
    operator(&cloud, "resume", json!(null)).await;
    assert_eq!(state(&cloud, &ada, &id).await, "available");
    // Its owner takes it back, and switches it off a while later.
    operator(&cloud, "take-back", json!({"urgent": true})).await;
    cloud.until("09:40:00").await;
    operator(&cloud, "unplug", json!(null)).await;
    cloud.until("09:44:59").await;
    assert_eq!(state(&cloud, &ada, &id).await, "available");
    cloud.until("09:45:00").await;
    assert_eq!(state(&cloud, &ada, &id).await, "unavailable");
    cloud.until("09:50:00").await;
    operator(&cloud, "plug", json!(null)).await;
    assert_eq!(state(&cloud, &ada, &id).await, "available");
    cloud.until("10:00:00").await;
    let wanted = [
        "09:00:00-09:10:00 600 0.01 0.00166667",
        "09:30:00-09:40:00 600 0.01 0.00166667",
        "09:50:00-10:00:00 600 0.01 0.00166667",
    ];
    assert_eq!(lines(&cloud, &ada, &id).await, wanted);
    assert_eq!(lines(&cloud, &ada, &gone).await, ["09:00:00-09:10:00 600 0.01 0.00166667"]);
});

story!(nothing_is_charged_while_the_account_is_frozen_and_then_all_goes, |cloud: Cloud| async move {
    let (ada, id) = crate::arrears::ada(&cloud).await;
    let bob = cloud.tenant("Bob", "individual", "0.30").await;
    let mine = disk(&cloud, &bob, 100).await;
    let his = cloud.buy(&bob, small()).await;
    assert_eq!(tell(&cloud, &bob, &mine, "attach", json!({"instance": his})).await, "done");
    let kept = snapshot(&cloud, &bob, json!({"disk": mine})).await;
    cloud.until("12:00:00").await;
    assert_eq!(balance(&cloud, &bob).await["debt"], "0.21000000");
    assert_eq!(make(&cloud, &bob, json!({"zone": "cn-beijing-a", "gib": 1})).await, "402 arrears");
    assert_eq!(tell(&cloud, &bob, &mine, "resize", json!({"gib": 101})).await, "402 arrears");
    to(&cloud, "2026-03-18T00:00:00Z").await;
    let frozen = said(&cloud, &bob, &["account-frozen"]).await;
    assert_eq!(frozen.len(), 1, "{frozen:?}");
    let paid = balance(&cloud, &bob).await["debt"].as_str().unwrap().to_owned();
    to(&cloud, "2026-03-20T00:00:00Z").await;
    assert_eq!(balance(&cloud, &bob).await["debt"], paid);
    assert_eq!(tell(&cloud, &bob, &mine, "detach", json!(null)).await, "402 account-frozen");
    pay(&cloud, &bob, "1000").await;
    let before = balance(&cloud, &bob).await["cash"].as_str().unwrap().to_owned();
    to(&cloud, "2026-03-20T02:00:00Z").await;
    let after = balance(&cloud, &bob).await["cash"].as_str().unwrap().to_owned();
    let micros = |text: &str| text.replace('.', "").parse::<i64>().unwrap();
    // Two hours of the disk, its snapshot and the system disk: 0.05 + 0.02 + 0.02.
    assert_eq!(micros(&before) - micros(&after), 18_000_000);
    // Who never pays has nothing left.
    let hers = cloud.get(&ada, "/v1/disks").await;
    assert_eq!(hers["items"], json!([]));
    assert_eq!(remove(&cloud, &bob, &kept).await, "done");
    assert_eq!(cloud.state(&ada, &id).await, "stopped");
});

story!(who_never_pays_loses_his_disks_with_all_else, |cloud: Cloud| async move {
    let ada = cloud.tenant("Ada", "individual", "0.12").await;
    cloud.until("09:00:00").await;
    let with = json!({"option": "on-demand", "flavor": "t6.small.1", "data_disks": [{"gib": 20}]});
    let id = cloud.buy(&ada, with).await;
    let with = cloud.instance(&ada, &id).await["data_disks"][0].as_str().unwrap().to_owned();
    let (_, before) = (0, balance(&cloud, &ada).await);
    assert_eq!(before["debt"], "0.00000000");
    to(&cloud, "2026-04-10T00:00:00Z").await;
    assert_eq!(cloud.state(&ada, &id).await, "released");
    assert_eq!(state(&cloud, &ada, &with).await, "deleted");
    let left = cloud.get("operator", "/v1/hosts/cn-beijing-a-1").await;
    assert_eq!(left["host"]["room"]["disk_gib"]["used"], 0);
});

story!(a_cap_counts_disks_as_what_goes_on_and_a_trial_does_not_pay_them, |cloud: Cloud| async move {
    cloud.until("09:00:00").await;
    let ada = cloud.tenant("Ada", "individual", "100").await;
    let id = disk(&cloud, &ada, 20).await;
    // A month of it is 0.01 × 745 hours at most.
    let cap = |amount: &str| asked(&cloud, &ada, Method::POST, "/v1/cap", json!({ "amount": amount }));
    assert_eq!(cap("7").await, "409 cap-too-low");
    assert_eq!(cap("8").await, "done");
    assert_eq!(make(&cloud, &ada, json!({"zone": "cn-beijing-a", "gib": 20})).await, "409 spending-cap");
    assert_eq!(remove(&cloud, &ada, &id).await, "done");
    assert_eq!(make(&cloud, &ada, json!({"zone": "cn-beijing-a", "gib": 20})).await, "done");
    let bob = cloud.tenant("Bob", "individual", "0").await;
    cloud.post(&bob, "/v1/trial", json!(null)).await;
    let with = json!({"option": "trial", "flavor": "t6.small.1", "data_disks": [{"gib": 20}]});
    assert_eq!(asked(&cloud, &bob, Method::POST, "/v1/instances", order(with.clone())).await, "402 insufficient-funds");
    pay(&cloud, &bob, "0.01").await;
    let id = cloud.buy(&bob, with).await;
    let disk = cloud.instance(&bob, &id).await["data_disks"][0].as_str().unwrap().to_owned();
    let hour = cloud.get(&bob, "/v1/trial").await["hour"].clone();
    assert_eq!((&hour["price"], &hour["not_covered"]), (&json!("0.11"), &json!("0.01")));
    cloud.until("10:00:00").await;
    assert_eq!(lines(&cloud, &bob, &disk).await, ["09:00:00-10:00:00 3600 0.01 0.01000000"]);
    assert_eq!(balance(&cloud, &bob).await["cash"], "0.00000000");
});

story!(a_coupon_for_disks_pays_for_them_and_for_nothing_else, |cloud: Cloud| async move {
    cloud.until("09:00:00").await;
    let ada = cloud.tenant("Ada", "individual", "0").await;
    let id = cloud.get(&ada, "/v1/whoami").await["account"]["id"].as_str().unwrap().to_owned();
    assert_eq!(make(&cloud, &ada, json!({"zone": "cn-beijing-a", "gib": 20})).await, "402 insufficient-funds");
    let coupon = json!({"kind": "discount-coupon", "face": "1", "pays": {"meters": ["data-disk"]}});
    cloud.post("operator", &format!("/v1/accounts/{id}/vouchers"), coupon).await;
    let mine = disk(&cloud, &ada, 20).await;
    cloud.until("11:00:00").await;
    let vouchers = cloud.get(&ada, "/v1/vouchers").await;
    assert_eq!(vouchers["items"][0]["left"], "0.98000000");
    assert_eq!(lines(&cloud, &ada, &mine).await.len(), 2);
    assert_eq!(
        asked(&cloud, &ada, Method::POST, "/v1/snapshots", json!({"disk": mine})).await,
        "402 insufficient-funds"
    );
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_hold_for_those_who_ask_at_once() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = Cloud::changed(on, &crate::disks::ROOM, |catalog| {
            let limits = &mut catalog.limits;
            (limits.disks_per_account, limits.disk_gib_per_account, limits.snapshots_per_account) = (3, 50, 1);
        })
        .await;
        let ada = cloud.tenant("Ada", "individual", "10").await;
        let what = json!({"zone": "cn-beijing-a", "gib": 10});
        let all = join_all((0..6).map(|_| make(&cloud, &ada, what.clone()))).await;
        let taken = all.iter().filter(|answer| *answer == "done").count();
        assert_eq!(taken, 3, "{all:?}");
        assert!(all.iter().all(|answer| answer == "done" || answer == "409 over-disk-quota"), "{all:?}");
        let mine = cloud.get(&ada, "/v1/disks").await["items"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(tell(&cloud, &ada, &mine, "resize", json!({"gib": 31})).await, "409 over-disk-quota");
        assert_eq!(tell(&cloud, &ada, &mine, "resize", json!({"gib": 30})).await, "done");
        let copies = (0..3).map(|_| asked(&cloud, &ada, Method::POST, "/v1/snapshots", json!({"disk": mine})));
        let copies = join_all(copies).await;
        assert_eq!(copies.iter().filter(|answer| *answer == "done").count(), 1, "{copies:?}");
        let limits = cloud.get(&ada, "/v1/limits").await;
        let of = |name: &str| {
            let one = limits["items"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
            (one["used"].as_i64().unwrap(), one["most"].as_i64().unwrap())
        };
        assert_eq!([of("data disks"), of("GiB of data disks"), of("snapshots")], [(3, 3), (50, 50), (1, 1)]);
        cloud.nothing_broke().await;
    }
}

story!(what_does_not_fit_is_refused_and_says_why, |cloud: Cloud| async move {
    let ada = cloud.tenant("Ada", "individual", "10000").await;
    let beijing = |gib: i64| json!({"zone": "cn-beijing-a", "gib": gib});
    assert_eq!(make(&cloud, &ada, beijing(0)).await, "422 disk-size");
    assert_eq!(make(&cloud, &ada, beijing(40_000)).await, "422 disk-size");
    assert_eq!(make(&cloud, &ada, beijing(10_001)).await, "409 no-capacity");
    assert_eq!(make(&cloud, &ada, json!({"zone": "nowhere", "gib": 1})).await, "422 unknown-zone");
    let all = disk(&cloud, &ada, 9_990).await;
    assert_eq!(tell(&cloud, &ada, &all, "resize", json!({"gib": 10_001})).await, "409 no-capacity");
    // The disk has the host's room, so no instance fits beside it.
    let beside = json!({"option": "on-demand", "flavor": "t6.small.1", "attach": [all]});
    assert_eq!(asked(&cloud, &ada, Method::POST, "/v1/instances", order(beside)).await, "409 no-capacity");
    let elsewhere = json!({"option": "on-demand", "flavor": "t6.small.1", "zone": "cn-hongkong-a"});
    let far = cloud.post(&ada, "/v1/instances", elsewhere).await["id"].as_str().unwrap().to_owned();
    assert_eq!(tell(&cloud, &ada, &all, "attach", json!({"instance": far})).await, "409 disk-elsewhere");
    let unverified = cloud.registered("Bob", json!([])).await.1;
    assert_eq!(make(&cloud, &unverified, beijing(1)).await, "403 unverified");
});

story!(a_quote_prices_the_disks_and_the_bandwidth_that_come_with_an_instance, |cloud: Cloud| async move {
    let with = |gib: i64, mbit: i64| {
        order(json!({"option": "on-demand", "flavor": "t6.small.1", "data_disks": [{"gib": 20}, {"gib": gib}],
            "public_ip": true, "public_ip_mbit": mbit}))
    };
    let quote = cloud.post("individual", "/v1/quote", with(40, 5)).await;
    assert_eq!((&quote["data_disks_price"], &quote["bandwidth_price"]), (&json!("0.03"), &json!("0.15")), "{quote}");
    assert!(quote.get("refused").is_none() && quote.get("traffic_price").is_none(), "{quote}");
    assert_eq!(cloud.refused("individual", "/v1/quote", with(0, 5)).await, (422, "disk-size".to_owned()));
    assert_eq!(cloud.refused("individual", "/v1/quote", with(40, 0)).await.0, 422);
    // What buying would be refused for: an hour of each must be there.
    let poor = cloud.tenant("Poor", "individual", "0.12").await;
    let quote = cloud.post(&poor, "/v1/quote", with(40, 5)).await;
    assert_eq!(quote["refused"]["code"], "insufficient-funds", "{quote}");
    assert_eq!(cloud.refused(&poor, "/v1/instances", with(40, 5)).await, (402, "insufficient-funds".to_owned()));
});
