//! What becomes of blocks, subscriptions and orders when an account is frozen, and what if a host is silent then?

use crate::arrears::{OF_ARREARS, ada, asked, balance, billed_to, pay, said, small, to};
use crate::cloud::{Cloud, On, block, order};
use crate::story;
use ebb_model::catalog::Catalog;
use ebb_model::money::Amount;
use ebb_model::time::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

/// Two blocks that are billed at their release come to more than the limit of 3.00 when the first debt is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_is_released_and_one_with_a_notice_keeps_it() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = Cloud::changed(on, &[("vcpu", 64), ("memory_mib", 262_144), ("disk_gib", 1_000)], |catalog| {
            catalog.limits.arrears.debt_limit = "3.00".parse().unwrap();
        })
        .await;
        // 0.84 are held for each block, and 0.10 for the instance.
        let ada = cloud.tenant("Ada", "individual", "1.80").await;
        cloud.until("09:00:00").await;
        let long = json!({ "option": "spot-block", "flavor": "c6.large.2", "hours": 6, "periods": 4 });
        let (one, noticed) = (cloud.buy(&ada, long.clone()).await, cloud.buy(&ada, long).await);
        let id = cloud.buy(&ada, small()).await;
        // 0.14 an hour are billed of disks and instance, so 0.02 are owed at ten; and 3.12 accrue for the blocks.
        cloud.until("21:58:00").await;
        assert_eq!(balance(&cloud, &ada).await.get("arrears"), None);
        cloud.post("operator", &format!("/v1/instances/{noticed}/reclaim"), json!({})).await;
        cloud.until("22:01:30").await;
        let began = ["arrears-began 0.02000000 2026-03-17T14:00:00Z 2026-03-02T14:00:00Z".to_owned()];
        let frozen = "account-frozen 2026-03-02T14:00:00Z debt-limit 2026-03-17T14:00:00Z".to_owned();
        assert_eq!(said(&cloud, &ada, &OF_ARREARS).await, [&began[..], &[frozen]].concat());
        let gone = cloud.instance(&ada, &one).await;
        assert_eq!(
            (gone["end_cause"].as_str(), gone["ended_at"].as_str(), gone["state"].as_str()),
            (Some("arrears"), Some("2026-03-02T14:00:00Z"), Some("released"))
        );
        assert_eq!(cloud.instance(&ada, &id).await["frozen_since"], "2026-03-02T14:00:00Z");
        assert_eq!(cloud.state(&ada, &noticed).await, "reclaiming");
        cloud.until("22:04:00").await;
        let taken = cloud.instance(&ada, &noticed).await;
        assert_eq!((taken["end_cause"].as_str(), taken["state"].as_str()), (Some("operator"), Some("released")));
        // Thirteen hours of the one, twelve of the other, whose third period is waived.
        let waived = cloud.get(&ada, "/v1/bills").await["settled_total"]["waived"].clone();
        assert!(waived.as_str().unwrap().starts_with("0.12"), "{waived}");
        let debt = balance(&cloud, &ada).await["debt"].clone();
        assert_eq!(debt, "3.02000000", "the disk of the other is billed with its hour");
        cloud.until("23:00:00").await;
        let debt = balance(&cloud, &ada).await["debt"].clone();
        assert!(debt.as_str().unwrap().starts_with("3.021"), "{debt}");
        pay(&cloud, &ada, "10").await;
        cloud.buy(&ada, block(1)).await;
        cloud.nothing_broke().await;
    }
}

story!(a_subscription_runs_on, |cloud: Cloud| async move {
    let ada = cloud.tenant("Ada", "individual", "43.65").await;
    cloud.until("09:00:00").await;
    let paid = cloud.buy(&ada, small()).await;
    cloud.post(&ada, &format!("/v1/instances/{paid}/convert"), json!({ "to": "subscription", "months": 1 })).await;
    let id = cloud.buy(&ada, small()).await;
    // 0.25 are left of what 35 and 8.40 leave.
    cloud.until("12:00:00").await;
    assert_eq!(balance(&cloud, &ada).await["debt"], "0.05000000");
    let path = |verb: &str| format!("/v1/instances/{paid}/{verb}");
    let renew = json!({ "months": 1 });
    assert_eq!(asked(&cloud, &ada, Method::POST, &path("renew"), renew.clone()).await, "402 arrears");
    to(&cloud, "2026-03-17T04:05:00Z").await;
    assert_eq!(cloud.instance(&ada, &id).await["frozen_since"], "2026-03-17T04:00:00Z");
    assert_eq!(cloud.state(&ada, &paid).await, "running");
    for (verb, body) in [("renew", renew), ("stop", json!({})), ("start", json!(null))] {
        assert_eq!(asked(&cloud, &ada, Method::POST, &path(verb), body).await, "402 account-frozen", "{verb}");
    }
    to(&cloud, "2026-04-01T04:05:00Z").await;
    assert_eq!(cloud.instance(&ada, &id).await["end_cause"], "arrears");
    assert_eq!(cloud.state(&ada, &paid).await, "running");
    // Its month ends as it would have, and it is kept.
    to(&cloud, "2026-04-02T01:05:00Z").await;
    let kept = cloud.instance(&ada, &paid).await;
    assert_eq!((kept["state"].as_str(), kept["subscription"]["ended"].as_bool()), (Some("stopped"), Some(true)));
    assert_eq!(balance(&cloud, &ada).await["debt"], "36.05000000");
});

story!(a_second_time_within_ninety_days_has_what_is_left, |cloud: Cloud| async move {
    let (ada, id) = ada(&cloud).await;
    // Ten days of grace, and 24.05 owed; 0.10 last an hour.
    to(&cloud, "2026-03-12T03:00:00Z").await;
    pay(&cloud, &ada, "10").await;
    assert_eq!(balance(&cloud, &ada).await["arrears"]["next_at"], "2026-03-17T03:00:00Z", "a part ends nothing");
    pay(&cloud, &ada, "14.15").await;
    assert_eq!(balance(&cloud, &ada).await["cash"], "0.10000000");
    to(&cloud, "2026-03-12T04:00:00Z").await;
    assert_eq!(balance(&cloud, &ada).await["debt"], "0.00000000");
    to(&cloud, "2026-03-12T05:00:00Z").await;
    // Five days are left.
    assert_eq!(balance(&cloud, &ada).await["arrears"]["next_at"], "2026-03-17T05:00:00Z");
    to(&cloud, "2026-03-17T05:02:00Z").await;
    assert_eq!(cloud.instance(&ada, &id).await["frozen_since"], "2026-03-17T05:00:00Z");
    pay(&cloud, &ada, "100").await;
    cloud.delete(&ada, &id).await;
    // The fifteen days end on the 17th of March; after the 15th of June they are forgotten bit by bit.
    to(&cloud, "2026-06-13T00:00:00Z").await;
    let left: Amount = balance(&cloud, &ada).await["cash"].as_str().unwrap().parse().unwrap();
    let again = cloud.buy(&ada, small()).await;
    // At 0.10 an hour.
    let hours = left.units() / 10_000_000 + 1;
    cloud.wait(hours * 3_600).await;
    let told = balance(&cloud, &ada).await["arrears"].clone();
    let at = |key: &str| told[key].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert!(at("next_at").millis_since(at("since")) == 15 * 86_400_000, "{told}");
    assert_eq!(cloud.state(&ada, &again).await, "running");
});

/// One for which others had to go runs for the minimum that it pays, in a frozen account, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_made_others_go_is_frozen_after_its_minimum() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = Cloud::of_hosts(on, &[4], |catalog| catalog.limits.arrears.grace_days = 0).await;
        let machine = json!({ "option": "on-demand", "flavor": "c6.large.2" });
        let ada = cloud.tenant("Ada", "individual", "0.822").await;
        cloud.until("09:00:00").await;
        let first = cloud.buy(&ada, machine.clone()).await;
        cloud.until("10:30:00").await;
        cloud.buy("enterprise", block(6)).await;
        cloud.until("10:54:00").await;
        let second = cloud.buy(&ada, machine).await;
        assert_eq!(cloud.state(&ada, &second).await, "pending");
        cloud.until("11:05:00").await;
        assert_eq!(
            said(&cloud, &ada, &["account-frozen"]).await,
            ["account-frozen 2026-03-02T03:00:00Z grace 2026-03-17T03:00:00Z"]
        );
        assert_eq!(cloud.instance(&ada, &first).await["frozen_since"], "2026-03-02T03:00:00Z");
        let runs = cloud.instance(&ada, &second).await;
        assert_eq!((runs["state"].as_str(), runs.get("frozen_since")), (Some("running"), None));
        cloud.until("12:00:00").await;
        let began: Timestamp = runs["started_at"].as_str().unwrap().parse().unwrap();
        let away = cloud.instance(&ada, &second).await;
        assert_eq!(away["frozen_since"], began.plus_seconds(600).to_string());
        for meter in ["compute", "system-disk"] {
            assert_eq!(billed_to(&cloud, &ada, &second, meter).await, began.plus_seconds(600).to_string());
        }
        // An owner whom nothing was charged for meanwhile has both back.
        pay(&cloud, &ada, "10").await;
        assert_eq!(said(&cloud, &ada, &["thawed"]).await.len(), 2);
        cloud.nothing_broke().await;
    }
}

/// Nobody knows yet what a silent host saw before the freeze. Once it is known the freeze counts from its own second; who pays before
/// that was frozen, and has it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_waits_for_silent_hosts_but_not_when_somebody_pays() {
    for (on, pays) in [(On::Sqlite, false), (On::Postgres, false), (On::Sqlite, true), (On::Postgres, true)] {
        let cloud = Cloud::new(on).await;
        let tell = async |verb: &str| {
            cloud.post("operator", &format!("/v1/hosts/cn-beijing-a-1/{verb}"), json!(null)).await;
        };
        let (ada, id) = ada(&cloud).await;
        to(&cloud, "2026-03-17T02:50:00Z").await;
        tell("unplug").await;
        to(&cloud, "2026-03-17T05:00:00Z").await;
        assert_eq!(balance(&cloud, &ada).await["arrears"]["state"], "grace");
        assert_eq!(said(&cloud, &ada, &["account-frozen"]).await, Vec::<String>::new());
        if pays {
            pay(&cloud, &ada, "37").await;
            let all = said(&cloud, &ada, &["account-frozen", "arrears-cleared", "frozen", "thawed"]).await;
            let expected = [
                "account-frozen 2026-03-17T03:00:00Z grace 2026-04-01T05:00:00Z",
                "frozen 2026-03-17T03:00:00Z",
                "arrears-cleared 2026-03-17T05:00:00Z",
                "thawed 2026-03-17T05:00:00Z",
            ];
            assert_eq!(all, expected);
        }
        tell("plug").await;
        to(&cloud, "2026-03-17T06:00:00Z").await;
        assert_eq!(cloud.state(&ada, &id).await, "stopped");
        assert_eq!(billed_to(&cloud, &ada, &id, "compute").await, "2026-03-17T03:00:00Z");
        let owes = balance(&cloud, &ada).await;
        // Of 37 there were 36.05 to pay, and one hour of the disk.
        let expected = if pays { ("0.93000000", "0.00000000") } else { ("0.00000000", "36.05000000") };
        assert_eq!((owes["cash"].as_str().unwrap(), owes["debt"].as_str().unwrap()), expected);
        cloud.nothing_broke().await;
    }
}

/// Whoever ended what was frozen before it was known pays to the freeze only; what is lost then stays lost, and comes back uncharged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ended_or_was_lost_meanwhile() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = Cloud::of_hosts(on, &[8, 8], |_| {}).await;
        let tell = async |host: i64, verb: &str, body: Value| {
            cloud.post("operator", &format!("/v1/hosts/cn-beijing-a-{host}/{verb}"), body).await;
        };
        let ada = cloud.tenant("Ada", "individual", "0.25").await;
        cloud.until("09:00:00").await;
        let (left, lost) = (cloud.buy(&ada, small()).await, cloud.buy(&ada, small()).await);
        // 0.20 an hour: 0.15 are owed at eleven, and 100 within the grace of fifteen days are not.
        to(&cloud, "2026-03-17T02:50:00Z").await;
        tell(1, "unplug", json!(null)).await;
        to(&cloud, "2026-03-17T04:00:00Z").await;
        assert_eq!(cloud.delete(&ada, &left).await.0.as_u16(), 200);
        tell(1, "lost", json!({ "fenced": true })).await;
        cloud.wait(120).await;
        let gone = cloud.instance(&ada, &left).await;
        assert_eq!(gone["ended_at"], "2026-03-17T02:50:00Z", "it was last heard of then");
        assert_eq!(cloud.instance(&ada, &lost).await["frozen_since"], "2026-03-17T03:00:00Z");
        // The host comes back with a guest that runs, and it is told to be off; nothing of it is charged.
        tell(1, "plug", json!(null)).await;
        to(&cloud, "2026-03-17T06:00:00Z").await;
        assert_eq!(cloud.state(&ada, &lost).await, "stopped");
        let owes = balance(&cloud, &ada).await;
        assert_eq!(owes["accruing"]["payable"], "0.00000000");
        for meter in ["compute", "system-disk"] {
            assert_eq!(billed_to(&cloud, &ada, &lost, meter).await, "2026-03-17T02:50:00Z");
        }
        pay(&cloud, &ada, "100").await;
        let before = balance(&cloud, &ada).await["cash"].clone();
        to(&cloud, "2026-03-17T07:00:00Z").await;
        let after = balance(&cloud, &ada).await["cash"].clone();
        let units = |amount: &Value| amount.as_str().unwrap().replace('.', "").parse::<i64>().unwrap();
        assert_eq!(units(&before) - units(&after), 2_000_000, "an hour of one disk");
        cloud.nothing_broke().await;
    }
}

/// The room that it gives back is there for others, who may be waiting for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_room_is_free_for_others_and_a_start_may_find_none() {
    for on in [On::Sqlite, On::Postgres] {
        let room = [("vcpu", 2), ("memory_mib", 8_192), ("disk_gib", 400)];
        let cloud = Cloud::changed(on, &room, |catalog| catalog.limits.arrears.grace_days = 0).await;
        let machine = json!({ "option": "on-demand", "flavor": "c6.large.2" });
        let ada = cloud.tenant("Ada", "individual", "0.42").await;
        cloud.until("09:00:00").await;
        let id = cloud.buy(&ada, machine.clone()).await;
        cloud.post(&ada, &format!("/v1/instances/{id}/stop"), json!({ "economical": false })).await;
        cloud.until("10:30:00").await;
        let (status, _) = cloud.ask("enterprise", Method::POST, "/v1/instances", Some(order(machine.clone()))).await;
        assert_eq!(status.as_u16(), 409, "a stopped one keeps its room");
        cloud.until("11:00:02").await;
        cloud.buy("enterprise", machine).await;
        pay(&cloud, &ada, "10").await;
        let start = format!("/v1/instances/{id}/start");
        assert_eq!(asked(&cloud, &ada, Method::POST, &start, json!(null)).await, "409 no-capacity");
        cloud.nothing_broke().await;
    }
}

/// A sandbox that was closed over the freeze finds it when it opens again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_outlives_the_service() {
    let directory = crate::cloud::Directory::new();
    let (cloud, ended) = Cloud::kept_in(directory.path(), 8).await;
    let (ada, id) = ada(&cloud).await;
    to(&cloud, "2026-03-16T12:00:00Z").await;
    drop(cloud);
    ended.await.unwrap();
    let (cloud, _ended) = Cloud::kept_in(directory.path(), 8).await;
    assert_eq!(balance(&cloud, &ada).await["arrears"]["state"], "grace");
    to(&cloud, "2026-04-02T00:00:00Z").await;
    assert_eq!(cloud.instance(&ada, &id).await["end_cause"], "arrears");
    assert_eq!(billed_to(&cloud, &ada, &id, "compute").await, "2026-03-17T03:00:00Z");
    assert_eq!(said(&cloud, &ada, &OF_ARREARS).await.len(), 7);
}

/// Who owes more than the limit, and has nothing any more that could cost, is frozen all the same, at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_nothing_left_is_frozen_for_what_he_owes() {
    for on in [On::Sqlite, On::Postgres] {
        let room = [("vcpu", 8), ("memory_mib", 32_768), ("disk_gib", 400)];
        let none = |catalog: &mut Catalog| catalog.limits.arrears.debt_limit = Amount::ZERO;
        let cloud = Cloud::changed(on, &room, none).await;
        let (ada, id) = ada(&cloud).await;
        let kept = cloud.buy("individual", small()).await;
        cloud.until("10:45:00").await;
        assert_eq!(cloud.delete(&ada, &id).await.0.as_u16(), 200);
        cloud.until("11:00:10").await;
        let told = said(&cloud, &ada, &OF_ARREARS).await;
        assert_eq!(
            told,
            [
                "arrears-began 0.02500000 2026-03-17T03:00:00Z 2026-03-02T03:00:00Z",
                "account-frozen 2026-03-02T03:00:00Z debt-limit 2026-03-17T03:00:00Z",
            ]
        );
        to(&cloud, "2026-03-17T03:01:00Z").await;
        assert_eq!(balance(&cloud, &ada).await["arrears"]["state"], "released");
        assert_eq!(said(&cloud, &ada, &OF_ARREARS).await.len(), 5);
        assert_eq!(cloud.state("individual", &kept).await, "running");
        cloud.nothing_broke().await;
    }
}

/// Blocks are billed at their release: one that nobody could pay for any more does not run on to it, also where nothing is owed yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_blocks_have_cost_passes_the_limit_by_an_hour_at_most() {
    for on in [On::Sqlite, On::Postgres] {
        let room = [("vcpu", 64), ("memory_mib", 262_144), ("disk_gib", 1_000)];
        let cloud = Cloud::changed(on, &room, |catalog| {
            catalog.limits.arrears.debt_limit = "1.00".parse().unwrap();
        })
        .await;
        // 0.84 are held for a block of 0.12 an hour, with a disk of 0.02.
        let ada = cloud.tenant("Ada", "individual", "0.84").await;
        let ben = cloud.tenant("Ben", "individual", "0.84").await;
        cloud.until("09:00:00").await;
        let long = json!({ "option": "spot-block", "flavor": "c6.large.2", "hours": 6, "periods": 4 });
        let (taken, paid) = (cloud.buy(&ada, long.clone()).await, cloud.buy(&ben, long).await);
        // After thirteen hours it has cost 1.82, and 0.98 would be owed; after another 1.12.
        cloud.until("22:30:00").await;
        let of_limit = ["debt-limit-soon", "debt-limit-reached", "arrears-began"];
        let soon = "debt-limit-soon 2026-03-02T15:00:00Z 1.00000000";
        assert_eq!(said(&cloud, &ada, &of_limit).await, [soon]);
        assert_eq!(cloud.state(&ada, &taken).await, "running");
        pay(&cloud, &ben, "0.20").await;
        cloud.until("23:10:00").await;
        let gone = cloud.instance(&ada, &taken).await;
        assert_eq!(
            (gone["end_cause"].as_str(), gone["ended_at"].as_str(), gone["state"].as_str()),
            (Some("arrears"), Some("2026-03-02T15:00:00Z"), Some("released"))
        );
        assert_eq!(balance(&cloud, &ada).await["debt"], "1.12000000");
        let all = said(&cloud, &ada, &of_limit).await;
        let reached = "debt-limit-reached 2026-03-02T15:00:00Z 1.00000000";
        assert_eq!(all[..2], [soon, reached]);
        assert!(all[2].starts_with("arrears-began 1.12000000 "), "{all:?}");
        // Who has paid in time goes on, and is told of the next hour.
        assert_eq!(cloud.state(&ben, &paid).await, "running");
        let later = "debt-limit-soon 2026-03-02T16:00:00Z 1.00000000";
        assert_eq!(said(&cloud, &ben, &of_limit).await, [soon, later]);
        cloud.until("23:50:00").await;
        pay(&cloud, &ben, "10").await;
        to(&cloud, "2026-03-03T02:00:00Z").await;
        assert_eq!(cloud.instance(&ben, &paid).await["end_cause"], "lease-end");
        assert_eq!(balance(&cloud, &ben).await["debt"], "0.00000000");
        cloud.nothing_broke().await;
    }
}

/// Where a catalog asks for no hold, somebody without money buys all that he can, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_all_he_can_owes_the_limit_and_an_hour_at_most() {
    for on in [On::Sqlite, On::Postgres] {
        let room = [("vcpu", 64), ("memory_mib", 262_144), ("disk_gib", 1_000)];
        let cloud = Cloud::changed(on, &room, |catalog| {
            catalog.limits.hold = false;
            catalog.limits.arrears.debt_limit = "3.00".parse().unwrap();
        })
        .await;
        let long = json!({ "option": "spot-block", "flavor": "c6.large.2", "hours": 6, "periods": 4 });
        for (name, wanted) in [("Ada", vec![long.clone(), small(), block(1)]), ("Ben", vec![long.clone(), long])] {
            let who = cloud.tenant(name, "individual", "0.01").await;
            let (mut most, mut an_hour) = (Amount::ZERO, Amount::ZERO);
            for hour in 0..48 {
                for what in &wanted {
                    cloud.ask(&who, Method::POST, "/v1/instances", Some(order(what.clone()))).await;
                }
                cloud.wait(1_800 + hour).await;
                let before = owing(&cloud, &who).await;
                cloud.wait(3_600).await;
                let after = owing(&cloud, &who).await;
                (most, an_hour) = (most.max(after), an_hour.max(after - before));
                if hour % 24 == 23 && after > Amount::ZERO {
                    pay(&cloud, &who, &after.to_string()).await;
                }
            }
            let limit: Amount = "3.00".parse().unwrap();
            assert!(most > "2.50".parse().unwrap(), "{name} never owed more than {most}");
            assert!(most <= limit + an_hour, "{name} owed {most}, more than the limit and {an_hour}");
        }
        cloud.nothing_broke().await;
    }
}

/// What an account would have to pay if all were settled now.
async fn owing(cloud: &Cloud, who: &str) -> Amount {
    let known = balance(cloud, who).await;
    let amount = |value: &Value| value.as_str().unwrap().parse::<Amount>().unwrap();
    amount(&known["debt"]) + amount(&known["accruing"]["payable"]) - amount(&known["cash"])
}
