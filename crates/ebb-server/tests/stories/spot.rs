//! A block's life beyond its bill: taken for a firm order, refused while it is taken, cut at midnight.

use crate::cloud::{Cloud, On, block, order};
use crate::story;
use ebb_driver::fake::Behaviour;
use serde_json::{Value, json};

fn on_demand() -> Value {
    json!({"option": "on-demand", "flavor": "c6.large.2"})
}

async fn small(on: On) -> Cloud {
    Cloud::with(on, &[("vcpu", 4), ("memory_mib", 8_192), ("disk_gib", 1_000)], Behaviour::default()).await
}

#[tokio::test]
async fn a_firm_order_takes_the_youngest_block_and_gets_its_room() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = small(on).await;
        let old = cloud.buy("enterprise", block(3)).await;
        cloud.wait(600).await;
        let young = cloud.buy("enterprise", block(3)).await;
        cloud.wait(600).await;
        // The blocks fill the zone: spot is refused, a firm order takes the younger.
        assert_eq!(cloud.refused("individual", "/v1/instances", order(block(1))).await.1, "no-capacity");
        let firm = cloud.buy("individual", on_demand()).await;
        assert_eq!(cloud.state("individual", &firm).await, "pending");
        assert_eq!(cloud.state("enterprise", &young).await, "reclaiming");
        assert_eq!(cloud.state("enterprise", &old).await, "running");
        let why = cloud.get("operator", &format!("/v1/instances/{firm}/decisions")).await;
        assert_eq!(why["items"][0]["hosts"][0]["victims"], json!([young]));
        assert_eq!(why["items"][0]["hosts"][0]["candidates"], json!([young, old]));

        // While it is being taken nothing may be done with it, nor may the order be withdrawn.
        for verb in ["stop", "start"] {
            let path = format!("/v1/instances/{young}/{verb}");
            assert_eq!(cloud.refused("enterprise", &path, json!(null)).await, (409, "reclaiming".to_owned()));
        }
        assert_eq!(cloud.delete("enterprise", &young).await.1["code"], "reclaiming");
        assert_eq!(cloud.delete("individual", &firm).await.1["code"], "order-caused-notice");

        cloud.wait(299).await;
        assert_eq!(cloud.state("enterprise", &young).await, "reclaiming");
        let happened = cloud.wait(1).await;
        assert_eq!(cloud.state("enterprise", &young).await, "released");
        assert_eq!(cloud.state("individual", &firm).await, "running", "{happened}");
        let ended = cloud.instance("enterprise", &young).await;
        assert_eq!(
            (ended["end_cause"].as_str(), ended["ended_at"].as_str()),
            (Some("capacity"), Some("2026-03-02T01:23:30Z"))
        );

        // 09:08:30 to 09:23:30, free; its disk is not.
        let free = cloud.records("enterprise", &young, "compute").await;
        assert_eq!(free, ["09:08:30-09:23:30 900 0.07 0.00000000"]);
        cloud.until("10:00:00").await;
        let disk = cloud.records("enterprise", &young, "system-disk").await;
        assert_eq!(disk, ["09:08:30-09:23:30 900 0.02 0.00500000"]);
        cloud.agrees().await;
    }
}

#[tokio::test]
async fn nobody_gains_by_taking_from_himself() {
    let cloud = small(On::Sqlite).await;
    let a = cloud.buy("enterprise", block(3)).await;
    let b = cloud.buy("enterprise", block(3)).await;
    cloud.wait(900).await;
    cloud.buy("enterprise", on_demand()).await;
    cloud.wait(300).await;
    let mut ends = vec![];
    for id in [&a, &b] {
        ends.push(cloud.instance("enterprise", id).await["end_cause"].clone());
    }
    // Both started in the same second; the later purchase goes.
    assert_eq!(ends, [Value::Null, json!("own-order")]);
    let charged = cloud.records("enterprise", &b, "compute").await;
    assert_eq!(charged, ["08:58:30-09:00:00 90 0.07 0.00175000", "09:00:00-09:18:30 1110 0.07 0.02158333"]);
    cloud.agrees().await;
}

#[tokio::test]
async fn who_takes_from_another_account_of_his_own_is_charged() {
    for (on, by_evidence) in [(On::Sqlite, false), (On::Postgres, false), (On::Sqlite, true), (On::Postgres, true)] {
        let cloud = small(on).await;
        cloud.buy("enterprise", block(3)).await;
        let taken = cloud.buy("enterprise", block(3)).await;
        let lab = cloud.get("enterprise", "/v1/whoami").await["account"]["id"].clone();
        let ada = cloud.get("individual", "/v1/whoami").await["account"]["id"].clone();
        let path = format!("/v1/accounts/{}/person", ada.as_str().unwrap());
        assert_eq!(cloud.refused("individual", &path, json!({"with": lab})).await, (403, "role".to_owned()));
        if by_evidence {
            // Each of the two is a family already; a third account turns out to be in both.
            let (phone, document) =
                (json!({"kind": "phone", "value": "13800138000"}), json!({"kind": "document", "value": "P-1234567"}));
            for (account, piece) in [(&ada, &phone), (&lab, &document)] {
                cloud.registered("Friend", json!([piece])).await;
                let path = format!("/v1/accounts/{}/evidence", account.as_str().unwrap());
                cloud.post("operator", &path, json!({"seen_at": "use", "evidence": [piece]})).await;
            }
            cloud.registered("Third", json!([phone, document])).await;
        } else {
            cloud.post("operator", &path, json!({"with": lab})).await;
        }
        cloud.wait(900).await;
        cloud.buy("individual", on_demand()).await;
        cloud.wait(300).await;
        assert_eq!(cloud.instance("enterprise", &taken).await["end_cause"], "own-order");
        let charged = cloud.records("enterprise", &taken, "compute").await;
        assert_eq!(charged, ["08:58:30-09:00:00 90 0.07 0.00175000", "09:00:00-09:18:30 1110 0.07 0.02158333"]);
        cloud.nothing_broke().await;
    }
}

#[tokio::test]
async fn room_that_is_being_cleared_is_nobody_elses() {
    let cloud = small(On::Sqlite).await;
    let big = json!({"option": "spot-block", "flavor": "c6.xlarge.1", "hours": 3});
    cloud.buy("enterprise", big).await;
    cloud.buy("individual", on_demand()).await;
    // Two of four vCPU will be over, but not before the release.
    assert_eq!(cloud.refused("enterprise", "/v1/instances", order(block(1))).await.1, "no-capacity");
    cloud.wait(300).await;
    cloud.buy("enterprise", block(1)).await;
    cloud.agrees().await;
}

#[tokio::test]
async fn an_order_that_took_nobody_may_be_withdrawn() {
    let cloud = small(On::Sqlite).await;
    let big = json!({"option": "spot-block", "flavor": "c6.xlarge.1", "hours": 1});
    cloud.buy("enterprise", big).await;
    cloud.wait(3_400).await;
    // The block ends by itself before a notice would: nobody is told to go, and the order waits.
    let first = cloud.buy("individual", on_demand()).await;
    let second = cloud.buy("individual", on_demand()).await;
    assert_eq!(cloud.state("individual", &first).await, "pending");
    assert_eq!(cloud.delete("individual", &first).await.0, 200);
    cloud.wait(200).await;
    assert_eq!(cloud.state("individual", &first).await, "released");
    assert_eq!(cloud.state("individual", &second).await, "running");
    let hosts = cloud.get("operator", "/v1/hosts").await;
    let room = hosts["items"].as_array().unwrap().iter().find(|h| h["zone"] == "cn-beijing-a").unwrap()["room"]["vcpu"]
        .clone();
    assert_eq!(room, json!({"capacity": 4, "used": 2, "claimed": 0, "releasing": 0}));
    cloud.agrees().await;
}

story!(stopping_does_not_stop_the_charge, |cloud: Cloud| async move {
    let id = cloud.buy("enterprise", block(1)).await;
    cloud.wait(600).await;
    cloud.post("enterprise", &format!("/v1/instances/{id}/stop"), json!(null)).await;
    // The fake guest ignores the button, so the switch comes after stop_timeout_seconds.
    assert_eq!(cloud.state("enterprise", &id).await, "stopping");
    cloud.wait(60).await;
    assert_eq!(cloud.state("enterprise", &id).await, "stopped");
    cloud.post("enterprise", &format!("/v1/instances/{id}/start"), json!(null)).await;
    assert_eq!(cloud.state("enterprise", &id).await, "running");
    cloud.wait(3_000).await;
    let seconds = cloud.records("enterprise", &id, "compute").await;
    assert_eq!(seconds, ["08:58:30-09:00:00 90 0.07 0.00175000", "09:00:00-09:58:30 3510 0.07 0.06825000"]);
});

story!(a_stopped_block_that_is_taken_back_stays_off, |cloud: Cloud| async move {
    let id = cloud.buy("enterprise", block(3)).await;
    cloud.post("enterprise", &format!("/v1/instances/{id}/stop"), json!(null)).await;
    cloud.wait(60).await;
    cloud.post("operator", &format!("/v1/instances/{id}/reclaim"), json!(null)).await;
    cloud.wait(300).await;
    assert_eq!(cloud.state("enterprise", &id).await, "released");
    let log = cloud.get("enterprise", "/v1/events?limit=1000").await;
    let running = log["items"].as_array().unwrap().iter().filter(|e| e["body"]["event"] == "running").count();
    assert_eq!(running, 1);
});

story!(periods_before_the_current_one_stay_charged, |cloud: Cloud| async move {
    let what = json!({"option": "spot-block", "flavor": "c6.large.2", "hours": 6, "periods": 2});
    let id = cloud.buy("enterprise", what).await;
    // Notice in the first period, release in the second: free from the start of the period that holds the notice.
    let other = cloud
        .buy("enterprise", json!({"option": "spot-block", "flavor": "c6.large.2", "hours": 6, "periods": 2}))
        .await;
    cloud.until("14:56:00").await;
    cloud.post("operator", &format!("/v1/instances/{other}/reclaim"), json!(null)).await;
    cloud.until("15:30:00").await;
    cloud.post("operator", &format!("/v1/instances/{id}/reclaim"), json!(null)).await;
    cloud.wait(300).await;
    let lines = cloud.records("enterprise", &id, "compute").await;
    assert_eq!(lines.len(), 9);
    assert_eq!(
        lines[6..],
        [
            "14:00:00-14:58:30 3510 0.12 0.11700000",
            "14:58:30-15:00:00 90 0.12 0.00000000",
            "15:00:00-15:35:00 2100 0.12 0.00000000",
        ]
    );
    let lines = cloud.records("enterprise", &other, "compute").await;
    assert!(lines.iter().all(|line| line.ends_with(" 0.00000000")), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "15:00:00-15:01:00 60 0.12 0.00000000");
});

story!(a_block_over_midnight_is_cut_there, |cloud: Cloud| async move {
    cloud.until("23:30:00").await;
    let id = cloud.buy("enterprise", block(1)).await;
    cloud.wait(3_600).await;
    let lines = cloud.records("enterprise", &id, "compute").await;
    assert_eq!(lines, ["23:30:00-00:00:00 1800 0.07 0.03500000", "00:00:00-00:30:00 1800 0.07 0.03500000"]);
});

story!(the_natural_end_is_announced_and_changes_no_state, |cloud: Cloud| async move {
    let id = cloud.buy("enterprise", block(1)).await;
    cloud.wait(3_300).await;
    let shown = cloud.instance("enterprise", &id).await;
    assert_eq!(shown["state"], "running");
    assert_eq!(shown["interruption"]["readable_at"], "2026-03-02T01:53:30Z");
    let log = cloud.get("enterprise", "/v1/events?limit=1000").await;
    let notices = log["items"].as_array().unwrap().iter().filter(|e| e["body"]["event"] == "interruptServer").count();
    assert_eq!(notices, 1);
    // The user may still delete.
    assert_eq!(cloud.delete("enterprise", &id).await.0, 200);
});

story!(an_operator_cannot_take_what_ends_first, |cloud: Cloud| async move {
    let firm = cloud.buy("enterprise", on_demand()).await;
    let path = format!("/v1/instances/{firm}/reclaim");
    assert_eq!(cloud.refused("operator", &path, json!(null)).await.1, "not-a-spot-block");
    let id = cloud.buy("enterprise", block(1)).await;
    cloud.wait(3_400).await;
    let path = format!("/v1/instances/{id}/reclaim");
    assert_eq!(cloud.refused("operator", &path, json!(null)).await.1, "lease-ends-first");
});

#[tokio::test]
async fn a_guest_that_cannot_start_costs_nothing() {
    let room = [("vcpu", 4), ("memory_mib", 8_192), ("disk_gib", 1_000)];
    for behaviour in [
        Behaviour { fail_next_start: true, ..Behaviour::default() },
        // Longer than boot_timeout_seconds.
        Behaviour { start_millis: 301_000, ..Behaviour::default() },
    ] {
        let cloud = Cloud::with(On::Sqlite, &room, behaviour).await;
        let id = cloud.buy("enterprise", block(3)).await;
        cloud.wait(4_000).await;
        let ended = cloud.instance("enterprise", &id).await;
        assert_eq!((ended["state"].as_str(), ended["end_cause"].as_str()), (Some("released"), Some("never-ran")));
        assert_eq!(cloud.get("enterprise", "/v1/bills").await["records"], json!([]));
        let balance = cloud.get("enterprise", "/v1/balance").await;
        assert_eq!((balance["held"].as_str(), balance["cash"].as_str()), (Some("0.00000000"), Some("10000.00000000")));
        // It does not count as tried.
        cloud.post("enterprise", "/v1/trial", json!(null)).await;
        cloud.agrees().await;
    }
}

#[tokio::test]
async fn a_slow_release_keeps_its_room_until_it_is_done() {
    let room = [("vcpu", 2), ("memory_mib", 8_192), ("disk_gib", 1_000)];
    let slow = Behaviour { remove_millis: 5_000, ..Behaviour::default() };
    let cloud = Cloud::with(On::Sqlite, &room, slow).await;
    let id = cloud.buy("enterprise", block(3)).await;
    cloud.wait(60).await;
    cloud.delete("enterprise", &id).await;
    assert_eq!(cloud.refused("enterprise", "/v1/instances", order(block(1))).await.1, "no-capacity");
    // Charge ended when the deletion was accepted, whatever the machine takes.
    cloud.wait(5).await;
    assert_eq!(cloud.records("enterprise", &id, "compute").await, ["08:58:30-08:59:30 60 0.07 0.00116667"]);
    cloud.buy("enterprise", block(1)).await;
    cloud.agrees().await;
}

async fn give_up(on: On) {
    let room = [("vcpu", 6), ("memory_mib", 65_536), ("disk_gib", 1_000)];
    let slow = Behaviour { remove_millis: 1_000_000, ..Behaviour::default() };
    let cloud = Cloud::with(on, &room, slow).await;
    let mut blocks = vec![];
    for _ in 0..3 {
        blocks.push(cloud.buy("enterprise", block(6)).await);
    }
    let large = json!({"option": "on-demand", "flavor": "c6.xlarge.2"});
    let first = cloud.buy("individual", large).await;
    cloud.delete("enterprise", &blocks[0]).await;
    cloud.wait(1).await;
    let second = cloud.buy("individual", on_demand()).await;
    // The deleted block is gone, but what it leaves is not enough for the first in line.
    cloud.wait(1_100).await;
    let states = async || (cloud.state("individual", &first).await, cloud.state("individual", &second).await);
    assert_eq!(states().await, ("pending".to_owned(), "pending".to_owned()));
    cloud.wait(99).await;
    assert_eq!(states().await, ("released".to_owned(), "running".to_owned()));
    cloud.wait(86_400).await;
    let hosts = cloud.get("operator", "/v1/hosts").await;
    let here = hosts["items"].as_array().unwrap().iter().find(|host| host["zone"] == "cn-beijing-a").unwrap();
    let vcpu = &here["room"]["vcpu"];
    assert_eq!((&vcpu["used"], &vcpu["claimed"], &vcpu["releasing"]), (&json!(2), &json!(0), &json!(0)));
    cloud.agrees().await;
}

#[tokio::test]
async fn giving_up_lets_the_next_one_in() {
    give_up(On::Sqlite).await;
    give_up(On::Postgres).await;
}
