//! The operator takes room of a zone: for what he is short of, for the reserve; and everybody learns why.

use crate::cloud::{Cloud, On, block, order};
use crate::story;
use serde_json::{Value, json};

const SMALL: [(&str, i64); 3] = [("vcpu", 8), ("memory_mib", 32_768), ("disk_gib", 1_000)];
const HERE: &str = "/v1/zones/cn-beijing-a";

fn on_demand() -> Value {
    json!({"option": "on-demand", "flavor": "c6.large.2"})
}

async fn offer(cloud: &Cloud) -> Value {
    let offers = cloud.get("individual", "/v1/offers?zone=cn-beijing-a&flavor=c6.large.2").await;
    offers["items"][0].clone()
}

async fn cause(cloud: &Cloud, id: &str) -> Value {
    cloud.instance("enterprise", id).await["interruption"]["cause"].clone()
}

story!(a_shortage_takes_the_youngest_of_the_zone, |cloud: Cloud| async move {
    // 64 vCPU: 20 are used, so 50 in all need three of the two-vCPU blocks.
    let mut blocks = vec![];
    for _ in 0..10 {
        blocks.push(cloud.buy("enterprise", block(3)).await);
        cloud.wait(10).await;
    }
    let declared =
        cloud.post("operator", &format!("{HERE}/shortage"), json!({"free": {"vcpu": 50, "memory_mib": 1}})).await;
    let relief = &declared["relief"];
    assert_eq!(relief["victims"], json!([blocks[9], blocks[8], blocks[7]]));
    assert_eq!((&relief["enough"], &relief["free_then"]["vcpu"]), (&json!(true), &json!(50)));
    assert_eq!((&declared["at"], &declared["notices_are_out"]), (&json!("2026-03-02T01:05:10Z"), &json!(true)));
    assert_eq!(cause(&cloud, &blocks[7]).await, "shortage");
    assert_eq!(cause(&cloud, &blocks[6]).await, Value::Null);

    // Nothing is sold as spot while it is on, also of what is free; firm orders are.
    assert_eq!(offer(&cloud).await["state"], "sold-out");
    cloud.wait(300).await;
    assert_eq!(cloud.refused("enterprise", "/v1/instances", order(block(1))).await.1, "no-capacity");
    let zone = cloud.get("operator", "/v1/zones").await["items"][0].clone();
    assert_eq!((&zone["room"]["vcpu"]["used"], &zone["shortage"]["free"]["vcpu"]), (&json!(14), &json!(50)));
    // Said again it takes nobody else.
    let again =
        cloud.post("operator", &format!("{HERE}/shortage"), json!({"free": {"vcpu": 50}, "urgent": true})).await;
    assert_eq!(again["relief"]["victims"], json!([]));

    // What was taken is free to its owner.
    let free = cloud.records("enterprise", &blocks[9], "compute").await;
    assert!(free.iter().all(|line| line.ends_with(" 0.00000000")), "{free:?}");
    cloud.post("operator", &format!("{HERE}/end-shortage"), json!(null)).await;
    assert_eq!(cloud.refused("operator", &format!("{HERE}/end-shortage"), json!(null)).await.0, 404);
    cloud.buy("enterprise", block(6)).await;
});

story!(an_announced_shortage_lets_in_what_ends_before_it, |cloud: Cloud| async move {
    let long = cloud.buy("enterprise", block(6)).await;
    let free = json!({"free": {"vcpu": 64}, "at": "2026-03-02T04:00:00Z"});
    let declared = cloud.post("operator", &format!("{HERE}/shortage"), free).await;
    assert_eq!(
        (&declared["notices_at"], &declared["notices_are_out"]),
        (&json!("2026-03-02T03:55:00Z"), &json!(false))
    );
    assert_eq!((&declared["relief"]["victims"], &declared["relief"]["enough"]), (&json!([long]), &json!(true)));
    // It is 08:58:30, and 12:00:00 is too near for a block of three hours that may take five minutes to start.
    assert_eq!(cloud.refused("enterprise", "/v1/instances", order(block(3))).await.1, "no-capacity");
    let short = cloud.buy("enterprise", block(2)).await;
    let offered = offer(&cloud).await;
    assert_eq!((&offered["hours"], &offered["hours_now"], &offered["state"]), (&json!(6), &json!(2), &json!("normal")));
    let quoted = cloud.post("enterprise", "/v1/quote", order(block(3))).await;
    assert_eq!((&quoted["available"], &quoted["hours_now"]), (&json!("no"), &json!(2)));

    cloud.until("11:54:59").await;
    assert_eq!(cloud.state("enterprise", &long).await, "running");
    cloud.until("11:55:00").await;
    let notice = cloud.instance("enterprise", &long).await["interruption"].clone();
    assert_eq!((&notice["cause"], &notice["deadline"]), (&json!("shortage"), &json!("2026-03-02T04:00:00Z")));
    cloud.until("12:00:00").await;
    assert_eq!(cloud.state("enterprise", &long).await, "released");
    assert_eq!(cloud.instance("enterprise", &short).await["end_cause"], "lease-end");

    // Ended before its time it takes nobody.
    cloud.post("operator", &format!("{HERE}/end-shortage"), json!(null)).await;
    let kept = cloud.buy("enterprise", block(6)).await;
    let free = json!({"free": {"vcpu": 64}, "at": "2026-03-02T06:00:00Z"});
    cloud.post("operator", &format!("{HERE}/shortage"), free).await;
    cloud.post("operator", &format!("{HERE}/end-shortage"), json!(null)).await;
    cloud.until("14:30:00").await;
    assert_eq!(cloud.state("enterprise", &kept).await, "running");
});

/// Whoever takes of the reserve what his own blocks must give back has taken it from himself (rules §2.11).
#[tokio::test]
async fn nobody_gains_by_taking_from_the_reserve_what_his_own_blocks_give_back() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = Cloud::changed(on, &SMALL, |catalog| {
            catalog.zones[0].reserve = vec!["c6.large.2".to_owned()];
            catalog.limits.takings_per_hour = 1;
        })
        .await;
        let own = cloud.buy("enterprise", block(3)).await;
        let others = cloud.buy("individual", block(3)).await;
        cloud.wait(60).await;
        let last = cloud.buy("enterprise", block(3)).await;
        cloud.wait(3_000).await;
        let firm = cloud.buy("enterprise", on_demand()).await;
        assert_eq!(cloud.state("enterprise", &firm).await, "running");
        assert_eq!(cause(&cloud, &last).await, "own-order");
        // It made a block go, so it may be withdrawn no more than any other that did, and counts among those of the hour.
        assert_eq!(cloud.refused("enterprise", "/v1/instances", order(on_demand())).await.1, "too-many-takings");
        let told = cloud.get("operator", &format!("/v1/instances/{firm}/decisions")).await["items"][0].clone();
        assert_eq!((&told["cause"], &told["part"], &told["victims"]), (&json!("reserve"), &json!("took"), &json!(1)));
        let told = cloud.get("enterprise", &format!("/v1/instances/{last}/decisions")).await["items"][0].clone();
        assert_eq!((&told["cause"], &told["part"]), (&json!("own-order"), &json!("taken")));
        cloud.wait(300).await;
        assert_eq!(cloud.state("enterprise", &last).await, "released");
        let charged = cloud.records("enterprise", &last, "compute").await;
        assert!(charged.iter().all(|line| !line.ends_with(" 0.00000000")), "{charged:?}");
        assert_eq!(cause(&cloud, &own).await, Value::Null);
        assert_eq!(cloud.instance("individual", &others).await["interruption"], Value::Null);

        // Whoever takes of it next loses a block of his own as well, the cheapest there is.
        let neighbours = cloud.buy("individual", on_demand()).await;
        assert_eq!(cloud.state("individual", &neighbours).await, "running");
        assert_eq!(cause(&cloud, &own).await, Value::Null);
        assert_eq!(cloud.instance("individual", &others).await["interruption"]["cause"], "own-order");
        cloud.nothing_broke().await;
    }
}

#[tokio::test]
async fn a_trial_takes_nothing_that_blocks_must_give_back_to_the_reserve() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud =
            Cloud::changed(on, &SMALL, |catalog| catalog.zones[0].reserve = vec!["c6.large.2".to_owned()]).await;
        cloud.post("individual", "/v1/trial", json!(null)).await;
        let trial = || json!({"option": "trial", "flavor": "c6.large.2"});
        let mut blocks = vec![];
        for _ in 0..3 {
            blocks.push(cloud.buy("enterprise", block(3)).await);
        }
        assert_eq!(cloud.refused("individual", "/v1/instances", order(trial())).await.1, "no-capacity");
        assert_eq!(cause(&cloud, &blocks[2]).await, Value::Null);
        cloud.delete("enterprise", &blocks[2]).await;
        cloud.wait(5).await;
        cloud.buy("individual", trial()).await;
        assert_eq!(cause(&cloud, &blocks[1]).await, Value::Null);
        cloud.agrees().await;
    }
}

story!(a_shortage_beyond_what_blocks_have_takes_all_it_can, |cloud: Cloud| async move {
    let firm = cloud.buy("individual", on_demand()).await;
    let victim = cloud.buy("enterprise", block(3)).await;
    let declared =
        cloud.post("operator", &format!("{HERE}/shortage"), json!({"free": {"vcpu": 64}, "urgent": true})).await;
    let relief = &declared["relief"];
    assert_eq!((&relief["enough"], &relief["free_then"]["vcpu"]), (&json!(false), &json!(62)));
    assert_eq!(cloud.state("enterprise", &victim).await, "released");
    assert_eq!(cloud.state("individual", &firm).await, "running");
});

story!(what_no_shortage_can_be, |cloud: Cloud| async move {
    let path = format!("{HERE}/shortage");
    for body in [
        json!({"free": {}}),
        json!({"free": {"gold": 1}}),
        json!({"free": {"vcpu": 0}}),
        json!({"free": {"vcpu": 1}, "at": "2026-03-02T01:00:00Z"}),
        json!({"free": {"vcpu": 1}, "at": "soon"}),
    ] {
        assert_eq!(cloud.refused("operator", &path, body.clone()).await, (400, "bad-input".to_owned()), "{body}");
    }
    assert_eq!(cloud.refused("enterprise", &path, json!({"free": {"vcpu": 1}})).await.1, "role");
    assert_eq!(
        cloud.refused("operator", "/v1/zones/moon/shortage", json!({"free": {"vcpu": 1}})).await.1,
        "unknown-zone"
    );
    cloud.buy("enterprise", block(6)).await;
});

#[tokio::test]
async fn a_reserve_is_kept_free_of_spot_and_restored() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = Cloud::changed(on, &SMALL, |catalog| {
            catalog.zones[0].reserve = vec!["c6.large.2".to_owned(), "c6.large.2".to_owned()];
        })
        .await;
        // Eight vCPU, four of them kept for firm orders.
        let first = cloud.buy("enterprise", block(3)).await;
        cloud.wait(60).await;
        let second = cloud.buy("enterprise", block(3)).await;
        assert_eq!(offer(&cloud).await["state"], "sold-out");
        assert_eq!(cloud.refused("enterprise", "/v1/instances", order(block(1))).await.1, "no-capacity");
        let zone = cloud.get("operator", "/v1/zones").await["items"][0].clone();
        assert_eq!((&zone["reserve"], &zone["reserve_missing"]), (&json!(["c6.large.2", "c6.large.2"]), &json!(0)));

        // A firm order has its room at once, and the reserve is restored from the youngest block.
        let firm = cloud.buy("individual", on_demand()).await;
        assert_eq!(cloud.state("individual", &firm).await, "running");
        assert_eq!(cause(&cloud, &second).await, "reserve");
        assert_eq!(cause(&cloud, &first).await, Value::Null);
        let zone = cloud.get("operator", "/v1/zones").await["items"][0].clone();
        assert_eq!(zone["reserve_missing"], 0);
        // No further one goes, however often something happens in the zone.
        let stop = format!("/v1/instances/{first}/stop");
        cloud.post("enterprise", &stop, json!(null)).await;
        cloud.wait(300).await;
        assert_eq!(cloud.state("enterprise", &second).await, "released");
        assert_eq!(cause(&cloud, &first).await, Value::Null);
        let why = cloud.get("enterprise", &format!("/v1/instances/{second}/decisions")).await;
        let told = &why["items"][0];
        assert_eq!((&told["cause"], &told["part"], &told["rank"]), (&json!("reserve"), &json!("taken"), &json!(1)));
        let waived = cloud.records("enterprise", &second, "compute").await;
        assert!(waived.iter().all(|line| line.ends_with(" 0.00000000")), "{waived:?}");
        cloud.nothing_broke().await;
    }
}

#[tokio::test]
async fn everybody_learns_why_and_nobody_learns_who() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = Cloud::changed(on, &SMALL, |_| {}).await;
        let mut blocks = vec![];
        for _ in 0..4 {
            blocks.push(cloud.buy("enterprise", block(3)).await);
            cloud.wait(60).await;
        }
        let firm = cloud.buy("individual", on_demand()).await;
        let path = |id: &str| format!("/v1/instances/{id}/decisions");

        let mine = cloud.get("enterprise", &path(&blocks[3])).await["items"][0].clone();
        assert_eq!((&mine["part"], &mine["cause"]), (&json!("taken"), &json!("capacity")));
        assert_eq!((&mine["rank"], &mine["candidates"]), (&json!(1), &json!(4)));
        assert_eq!(mine["demand"], json!({"vcpu": 2, "memory_mib": 4_096, "disk_gib": 40}));
        let words = mine["why"].as_str().unwrap();
        assert!(words.contains("another account") && words.contains("of 4 blocks"), "{words}");
        let theirs = cloud.get("individual", &path(&firm)).await["items"][0].clone();
        assert_eq!((&theirs["part"], &theirs["victims"]), (&json!("took"), &json!(1)));
        let account = |who: &'static str| {
            let cloud = cloud.clone();
            async move { cloud.get(who, "/v1/whoami").await["account"]["id"].as_str().unwrap().to_owned() }
        };
        for (told, secrets) in [
            (&mine, vec![firm.clone(), account("individual").await]),
            (&theirs, vec![blocks[3].clone(), blocks[0].clone(), account("enterprise").await]),
        ] {
            for secret in secrets {
                assert!(!told.to_string().contains(&secret), "{secret} in {told}");
            }
        }
        assert_eq!(cloud.get("enterprise", &path(&blocks[0])).await["items"], json!([]));

        // The operator sees it all, from either side, and the trail names the decision.
        for id in [&blocks[3], &firm] {
            let all = cloud.get("operator", &path(id)).await["items"][0].clone();
            assert_eq!((&all["id"], &all["order"]), (&mine["id"], &json!(firm)));
            assert_eq!(all["hosts"][0]["victims"], json!([blocks[3]]));
        }
        let log = cloud.get("enterprise", "/v1/events?limit=1000").await;
        let notice = log["items"].as_array().unwrap().iter().find(|e| e["body"]["event"] == "interruptServer").unwrap();
        assert_eq!((&notice["body"]["decision"], &notice["instance"]), (&mine["id"], &json!(blocks[3])));

        // Four instants of the notice.
        cloud.wait(300).await;
        let notice = cloud.instance("enterprise", &blocks[3]).await["interruption"].clone();
        for instant in ["decided_at", "committed_at", "readable_at"] {
            assert_eq!(notice[instant], "2026-03-02T01:02:30Z", "{instant}: {notice}");
        }
        let own = cloud.buy("enterprise", on_demand()).await;
        let words = cloud.get("enterprise", &path(&blocks[2])).await["items"][0]["why"].clone();
        assert!(words.as_str().unwrap().contains("your own account"), "{words}");
        cloud.wait(300).await;
        assert_eq!(cloud.state("enterprise", &own).await, "running");
        cloud.nothing_broke().await;
    }
}
