//! Two things at once: a drill and a breach, a lost host and a stopped guest, a plan that is made twice.

use crate::cloud::{Cloud, On, block, order};
use futures_util::future::join_all;
use serde_json::{Value, json};

const FIRST: &str = "cn-beijing-a-1";
const SECOND: &str = "cn-beijing-a-2";

fn firm() -> Value {
    json!({"option": "on-demand", "flavor": "c6.large.2"})
}

macro_rules! corner {
    ($name:ident, $vcpus:expr, $body:expr) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            for on in [On::Sqlite, On::Postgres] {
                let cloud = Cloud::of_hosts(on, &$vcpus, |_| {}).await;
                let body = $body;
                body(cloud.clone()).await;
                cloud.nothing_broke().await;
            }
        }
    };
}

corner!(an_order_planned_anew_that_takes_a_block_cannot_be_withdrawn, [2, 2], |cloud: Cloud| async move {
    // One block is about to end, the other is young.
    let ends = cloud.buy("enterprise", block(1)).await;
    cloud.wait(3_400).await;
    let young = cloud.buy("enterprise", block(6)).await;
    let order = cloud.buy("individual", firm()).await;
    assert_eq!(cloud.state("individual", &order).await, "pending");
    assert_eq!(cloud.state("enterprise", &young).await, "running");
    let host = |id: String| {
        let cloud = cloud.clone();
        async move {
            for name in [FIRST, SECOND] {
                let shown = cloud.get("operator", &format!("/v1/hosts/{name}")).await;
                if shown["instances"].as_array().unwrap().iter().any(|one| one["instance"] == id.as_str()) {
                    return name;
                }
            }
            panic!("{id} is nowhere")
        }
    };
    let at = host(ends).await;
    cloud.post("operator", &format!("/v1/hosts/{at}/drain"), json!({})).await;
    assert_eq!(cloud.state("enterprise", &young).await, "reclaiming");
    assert_eq!(cloud.delete("individual", &order).await.1["code"], "order-caused-notice");
});

corner!(what_was_stopped_stays_so_on_a_host_that_was_lost, [4], |cloud: Cloud| async move {
    let id = cloud.buy("individual", firm()).await;
    cloud.post("individual", &format!("/v1/instances/{id}/stop"), json!(null)).await;
    cloud.wait(60).await;
    assert_eq!(cloud.state("individual", &id).await, "stopped");
    cloud.post("operator", &format!("/v1/hosts/{FIRST}/unplug"), json!(null)).await;
    cloud.wait(600).await;
    cloud.post("operator", &format!("/v1/hosts/{FIRST}/lost"), json!({"fenced": true})).await;
    assert_eq!(cloud.state("individual", &id).await, "lost");
    cloud.post("operator", &format!("/v1/hosts/{FIRST}/plug"), json!(null)).await;
    cloud.wait(60).await;
    assert_eq!(cloud.state("individual", &id).await, "stopped");
});

corner!(an_urgent_shortage_counts_only_room_that_is_there_in_time, [4], |cloud: Cloud| async move {
    let mut blocks = vec![];
    for _ in 0..2 {
        blocks.push(cloud.buy("enterprise", block(3)).await);
    }
    cloud.wait(600).await;
    cloud.post("operator", &format!("/v1/instances/{}/reclaim", blocks[0]), json!(null)).await;
    let need = json!({"free": {"vcpu": 2}, "urgent": true});
    let said = cloud.post("operator", "/v1/zones/cn-beijing-a/shortage", need).await;
    assert_eq!(said["relief"]["enough"], true, "{said}");
    assert_eq!(cloud.state("enterprise", &blocks[0]).await, "reclaiming");
    assert_eq!(cloud.state("enterprise", &blocks[1]).await, "released", "the other has to go at once");
});

corner!(a_drill_near_the_lease_end_wins_nothing, [4], |cloud: Cloud| async move {
    let id = cloud.buy("enterprise", block(1)).await;
    cloud.wait(3_250).await;
    cloud.post("enterprise", "/v1/drills", json!({"instance": id})).await;
    cloud.wait(100).await;
    let refused = cloud.refused("operator", &format!("/v1/instances/{id}/reclaim"), json!(null)).await;
    assert_eq!(refused, (409, "lease-ends-first".to_owned()));
    cloud.post("operator", &format!("/v1/hosts/{FIRST}/drain"), json!({})).await;
    cloud.wait(300).await;
    assert_eq!(cloud.instance("enterprise", &id).await["end_cause"], "drill");
});

corner!(a_drill_hides_nobody_from_a_breach_and_every_reclaim_says_why, [4], |cloud: Cloud| async move {
    let id = cloud.buy("enterprise", block(3)).await;
    let other = cloud.buy("enterprise", block(3)).await;
    cloud.wait(600).await;
    cloud.post("enterprise", "/v1/drills", json!({"instance": id})).await;
    cloud.post("operator", &format!("/v1/instances/{id}/reclaim"), json!({"breach": true})).await;
    let ended = cloud.instance("enterprise", &id).await;
    assert_eq!((&ended["state"], &ended["end_cause"]), (&json!("released"), &json!("breach")));
    let charged = cloud.records("enterprise", &id, "compute").await;
    assert_eq!(charged, ["08:58:30-09:00:00 90 0.07 0.00175000", "09:00:00-09:08:30 510 0.07 0.00991667"]);
    cloud.post("operator", &format!("/v1/instances/{other}/reclaim"), json!(null)).await;
    let why = cloud.get("enterprise", &format!("/v1/instances/{other}/decisions")).await;
    assert_eq!(why["items"].as_array().unwrap().len(), 1, "{why}");
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_wants_one_full_host_is_served_to_the_last() {
    for on in [On::Sqlite, On::Postgres] {
        let room = [("vcpu", 100), ("memory_mib", 409_600), ("disk_gib", 10_000)];
        let cloud = Cloud::changed(on, &room, |_| {}).await;
        for _ in 0..50 {
            cloud.buy("enterprise", block(3)).await;
        }
        let mut buyers = vec![];
        for number in 0..30 {
            buyers.push(cloud.tenant(&format!("Buyer {number}"), "individual", "100").await);
        }
        // 60 want what 50 can give up.
        let asked = (0..60).map(|n| {
            let (cloud, buyer) = (cloud.clone(), buyers[n % buyers.len()].clone());
            async move { cloud.ask(&buyer, reqwest::Method::POST, "/v1/instances", Some(order(firm()))).await }
        });
        let (mut waiting, mut refused) = (0, 0);
        for (status, answer) in join_all(asked).await {
            match status.as_u16() {
                201 => waiting += i32::from(answer["state"] == "pending"),
                409 => refused += i32::from(answer["code"] == "no-capacity"),
                _ => panic!("{status} {answer}"),
            }
        }
        assert_eq!((waiting, refused), (50, 10));
        cloud.wait(302).await;
        let room = cloud.get("operator", "/v1/zones").await["items"][0]["room"]["vcpu"].clone();
        assert_eq!((&room["used"], &room["claimed"], &room["releasing"]), (&json!(100), &json!(0), &json!(0)));
        cloud.nothing_broke().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_moves_in_while_a_host_is_closed() {
    for on in [On::Sqlite, On::Postgres] {
        let room = [("vcpu", 100), ("memory_mib", 409_600), ("disk_gib", 10_000)];
        let cloud = Cloud::changed(on, &room, |_| {}).await;
        let mut buyers = vec![];
        for number in 0..20 {
            buyers.push(cloud.tenant(&format!("Buyer {number}"), "individual", "100").await);
        }
        let here = format!("/v1/hosts/{FIRST}");
        for _ in 0..5 {
            let buys = buyers.iter().enumerate().map(|(n, buyer)| {
                let cloud = cloud.clone();
                async move {
                    tokio::time::sleep(std::time::Duration::from_millis(n as u64)).await;
                    cloud.ask(buyer, reqwest::Method::POST, "/v1/instances", Some(order(block(1)))).await
                }
            });
            let drain = async {
                tokio::time::sleep(std::time::Duration::from_millis(8)).await;
                cloud.post("operator", &format!("{here}/drain"), json!({"urgent": true})).await
            };
            let (bought, _) = tokio::join!(join_all(buys), drain);
            assert!(bought.iter().all(|(status, _)| matches!(status.as_u16(), 201 | 409)), "{bought:?}");
            cloud.wait(5).await;
            assert_eq!(cloud.get("operator", &here).await["instances"], json!([]));
            cloud.post("operator", &format!("{here}/resume"), json!(null)).await;
        }
        cloud.nothing_broke().await;
    }
}
