//! Two things at once: a drill and a breach, a lost host and a stopped guest, a plan that is made twice.

use crate::cloud::{Cloud, Directory, OPERATOR, On, Service, block, order};
use ebb_model::id::HostId;
use ebb_model::time::Timestamp;
use ebb_store::rows::host::{self, Host};
use ebb_store::{Decision, Place, Query, Store};
use ebb_testing::TempPostgres;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

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

/// A service, which does many things at a time, with one host that is away: everything is decided, nothing starts.
async fn service_with_a_host(place: Place, directory: &Directory) -> Service {
    let store = Store::open(place.clone()).await.unwrap();
    let known = Host {
        id: HostId::new(Uuid::from_u128(1)),
        name: FIRST.to_owned(),
        zone: "cn-beijing-a".to_owned(),
        driver: "fake".to_owned(),
        state: "up".to_owned(),
        sequence: 0,
        seen_at: Timestamp::from_micros(0),
        lending: Default::default(),
    };
    let room = [("vcpu", 100), ("memory_mib", 409_600), ("disk_gib", 10_000)];
    let rows = std::iter::once(host::insert(&known));
    let rows: Vec<Query> = rows.chain(room.map(|(kind, amount)| host::set_capacity(known.id, kind, amount))).collect();
    let made = store.unit::<_, (), _, _>("host", "host", move |_| {
        let writes = rows.clone();
        async move { Ok(Decision { guards: vec![], writes, answer: () }) }
    });
    made.await.unwrap();
    store.close().await.unwrap();
    Service::start(place, directory.identity()).await.unwrap()
}

async fn buyer(service: &Service) -> String {
    let (_, opened) = service.post(OPERATOR, "/v1/accounts", json!({"name": "Buyer"})).await;
    let account = format!("/v1/accounts/{}", opened["account"]["id"].as_str().unwrap());
    service.post(OPERATOR, &format!("{account}/verification"), json!({"holder": "individual"})).await;
    service.post(OPERATOR, &format!("{account}/top-ups"), json!({"amount": "100"})).await;
    opened["key"]["secret"].as_str().unwrap().to_owned()
}

async fn both_databases(story: impl AsyncFn(Service)) {
    let directory = Directory::new();
    for place in
        [Place::Sqlite(directory.path().join("ebb.db")), Place::Postgres(TempPostgres::start().database().await)]
    {
        story(service_with_a_host(place, &directory).await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_wants_one_full_host_is_served_to_the_last() {
    both_databases(async |service: Service| {
        let owner = buyer(&service).await;
        for _ in 0..50 {
            assert_eq!(service.post(&owner, "/v1/instances", order(block(3))).await.0, 201);
        }
        let mut buyers = vec![];
        for _ in 0..30 {
            buyers.push(buyer(&service).await);
        }
        // 60 want what 50 can give up.
        let asked = (0..60).map(|n| service.post(&buyers[n % buyers.len()], "/v1/instances", order(firm())));
        let (mut waiting, mut refused) = (0, 0);
        for (status, answer) in join_all(asked).await {
            match status {
                201 => waiting += i32::from(answer["state"] == "pending"),
                409 => refused += i32::from(answer["code"] == "no-capacity"),
                _ => panic!("{status} {answer}"),
            }
        }
        assert_eq!((waiting, refused), (50, 10));
        let (_, zones) = service.ask(OPERATOR, Method::GET, "/v1/zones", Value::Null).await;
        let room = &zones["items"][0]["room"]["vcpu"];
        assert_eq!((&room["used"], &room["claimed"]), (&json!(100), &json!(100)));
        service.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_moves_in_while_a_host_is_closed() {
    both_databases(async |service: Service| {
        let mut buyers = vec![];
        for _ in 0..20 {
            buyers.push(buyer(&service).await);
        }
        let here = format!("/v1/hosts/{FIRST}");
        let mut bought = 0;
        for _ in 0..5 {
            let buys = buyers.iter().enumerate().map(async |(n, buyer)| {
                tokio::time::sleep(Duration::from_millis(n as u64)).await;
                service.post(buyer, "/v1/instances", order(block(1))).await.0
            });
            let drain = async {
                tokio::time::sleep(Duration::from_millis(8)).await;
                service.post(OPERATOR, &format!("{here}/drain"), json!({"urgent": true})).await
            };
            let (answers, drained) = tokio::join!(join_all(buys), drain);
            assert_eq!(drained.0, 200, "{}", drained.1);
            assert!(answers.iter().all(|status| matches!(status, 201 | 409)), "{answers:?}");
            bought += answers.iter().filter(|status| **status == 201).count();
            crate::receiver::until("everybody to be on the way out", async || {
                let (_, host) = service.ask(OPERATOR, Method::GET, &here, Value::Null).await;
                host["instances"].as_array().unwrap().iter().all(|one| one["state"] != "pending")
            })
            .await;
            service.post(OPERATOR, &format!("{here}/resume"), json!(null)).await;
        }
        assert!(bought > 0);
        service.stop().await;
    })
    .await;
}
