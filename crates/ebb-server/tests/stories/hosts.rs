//! Hosts that are drained, that go back to their owners and come again, and that get lost.

use crate::cloud::{Cloud, On, block, order};
use serde_json::{Value, json};

const FIRST: &str = "cn-beijing-a-1";
const SECOND: &str = "cn-beijing-a-2";
const OFFICE: &str = "mon-fri 19:00-08:00, sat-sun 00:00-24:00";

fn firm() -> Value {
    json!({"option": "on-demand", "flavor": "c6.large.2"})
}

/// Tells something about a host; gives back what follows, after it was seen to be the operator's to say.
async fn tell(cloud: &Cloud, host: &str, verb: &str, body: Value) -> Value {
    let path = format!("/v1/hosts/{host}/{verb}");
    assert_eq!(cloud.refused("enterprise", &path, body.clone()).await, (403, "role".to_owned()));
    cloud.post("operator", &path, body).await
}

async fn doing(cloud: &Cloud, host: &str) -> String {
    sums_agree(cloud).await;
    let shown = cloud.get("operator", &format!("/v1/hosts/{host}")).await;
    shown["host"]["doing"].as_str().unwrap().to_owned()
}

/// The ids of what is on a host.
async fn on(cloud: &Cloud, host: &str) -> Vec<String> {
    let shown = cloud.get("operator", &format!("/v1/hosts/{host}")).await;
    ids(&shown["instances"])
}

fn ids(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|one| one["instance"].as_str().unwrap().to_owned()).collect()
}

/// What each host's room says is what its instances take; all of them have 2 vCPU.
async fn sums_agree(cloud: &Cloud) {
    for host in cloud.get("operator", "/v1/hosts").await["items"].as_array().unwrap() {
        let shown = cloud.get("operator", &format!("/v1/hosts/{}", host["name"].as_str().unwrap())).await;
        let count = |pending: bool, state: &str| {
            let all = shown["instances"].as_array().unwrap().iter();
            all.filter(|one| (one["state"] == "pending") == pending && (state.is_empty() || one["state"] == state))
                .count()
        };
        let room = &shown["host"]["room"]["vcpu"];
        let sums = json!({"capacity": room["capacity"], "used": 2 * count(false, ""), "claimed": 2 * count(true, ""),
            "releasing": 2 * count(false, "reclaiming")});
        assert_eq!(*room, sums, "{shown}");
    }
}

async fn sold_out(cloud: &Cloud, what: Value) {
    let refused = cloud.refused("enterprise", "/v1/instances", order(what)).await;
    assert_eq!(refused, (409, "no-capacity".to_owned()));
}

/// A story on both databases, in a zone with hosts of so many vCPU.
macro_rules! hosts_story {
    ($name:ident, $vcpus:expr, $body:expr) => {
        hosts_story!($name, $vcpus, |_| {}, $body);
    };
    ($name:ident, $vcpus:expr, $catalog:expr, $body:expr) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            for on in [On::Sqlite, On::Postgres] {
                let cloud = Cloud::of_hosts(on, &$vcpus, $catalog).await;
                let body = $body;
                body(cloud.clone()).await;
                sums_agree(&cloud).await;
                cloud.nothing_broke().await;
            }
        }
    };
}

hosts_story!(a_drain_takes_blocks_and_leaves_what_is_firm, [4, 4], |cloud: Cloud| async move {
    let stays = cloud.buy("individual", firm()).await;
    let goes = cloud.buy("enterprise", block(3)).await;
    assert_eq!(on(&cloud, FIRST).await, [stays.clone(), goes.clone()]);
    cloud.wait(600).await;
    let said = tell(&cloud, FIRST, "drain", json!(null)).await;
    assert_eq!((ids(&said["stays"]), ids(&said["leaves"])), (vec![stays.clone()], vec![goes.clone()]));
    assert_eq!(said["leaves"][0]["leaves_at"], "2026-03-02T01:13:30Z");
    assert_eq!(cloud.instance("enterprise", &goes).await["interruption"]["cause"], "drain");

    // What is bought now goes elsewhere, whatever it is.
    cloud.buy("individual", firm()).await;
    cloud.buy("enterprise", block(1)).await;
    assert_eq!(on(&cloud, SECOND).await.len(), 2);
    cloud.wait(300).await;
    assert_eq!(doing(&cloud, FIRST).await, "drained");
    assert_eq!(on(&cloud, FIRST).await, [stays]);
    assert_eq!(
        cloud.records("enterprise", &goes, "compute").await,
        ["08:58:30-09:00:00 90 0.07 0.00000000", "09:00:00-09:13:30 810 0.07 0.00000000"]
    );

    tell(&cloud, FIRST, "resume", json!(null)).await;
    assert_eq!(doing(&cloud, FIRST).await, "lent");
    cloud.buy("enterprise", block(1)).await;
    assert_eq!(on(&cloud, FIRST).await.len(), 2);
    let shown = cloud.get("operator", &format!("/v1/hosts/{FIRST}")).await;
    let log: Vec<&str> =
        shown["log"].as_array().unwrap().iter().map(|line| line["body"]["event"].as_str().unwrap()).collect();
    assert_eq!(log, ["drain", "resumed"]);
    assert!(shown["log"][0]["who"].as_str().unwrap().starts_with("k-"));
});

hosts_story!(an_announced_drain_sells_what_ends_before_it, [4], |cloud: Cloud| async move {
    tell(&cloud, FIRST, "drain", json!({"at": "2026-03-02T04:00:00Z"})).await;
    assert_eq!(doing(&cloud, FIRST).await, "drained from 2026-03-02T04:00:00Z");
    sold_out(&cloud, firm()).await;
    sold_out(&cloud, block(3)).await;
    cloud.buy("enterprise", block(2)).await;
    // A host that is resumed in time is as it was.
    tell(&cloud, FIRST, "resume", json!(null)).await;
    cloud.buy("enterprise", block(3)).await;
});

hosts_story!(a_drain_gives_notice_so_that_blocks_are_gone_in_time, [4], |cloud: Cloud| async move {
    let (long, short) = (cloud.buy("enterprise", block(3)).await, cloud.buy("enterprise", block(1)).await);
    let said = tell(&cloud, FIRST, "drain", json!({"at": "2026-03-02T02:30:00Z"})).await;
    assert_eq!((ids(&said["leaves"]), ids(&said["stays"])), (vec![long.clone()], vec![short.clone()]));
    cloud.until("10:24:59").await;
    assert_eq!(cloud.state("enterprise", &long).await, "running");
    cloud.until("10:25:00").await;
    assert_eq!(cloud.instance("enterprise", &long).await["interruption"]["deadline"], "2026-03-02T02:30:00Z");
    // A notice once given is never withdrawn.
    tell(&cloud, FIRST, "resume", json!(null)).await;
    cloud.until("10:30:00").await;
    let ended = cloud.instance("enterprise", &long).await;
    assert_eq!((&ended["end_cause"], &ended["ended_at"]), (&json!("drain"), &json!("2026-03-02T02:30:00Z")));
    assert_eq!(cloud.instance("enterprise", &short).await["end_cause"], "lease-end");
});

hosts_story!(an_urgent_drain_takes_blocks_at_once, [4], |cloud: Cloud| async move {
    let first = cloud.buy("enterprise", block(3)).await;
    let second = cloud.buy("enterprise", block(3)).await;
    cloud.wait(60).await;
    cloud.post("operator", &format!("/v1/instances/{first}/reclaim"), json!(null)).await;
    cloud.wait(60).await;
    tell(&cloud, FIRST, "drain", json!({"urgent": true})).await;
    for id in [&first, &second] {
        let ended = cloud.instance("enterprise", id).await;
        assert_eq!((&ended["state"], &ended["ended_at"]), (&json!("released"), &json!("2026-03-02T01:00:30Z")));
    }
    assert_eq!(doing(&cloud, FIRST).await, "drained");
});

hosts_story!(what_is_said_about_a_host_must_make_sense, [4], |cloud: Cloud| async move {
    for (path, body, status, code) in [
        ("cn-beijing-a-9/drain", json!(null), 404, "not-found"),
        ("cn-beijing-a-1/drain", json!({"at": "2026-03-02T01:00:00Z"}), 400, "bad-input"),
        ("cn-beijing-a-1/drain", json!({"at": "tomorrow"}), 400, "bad-input"),
        ("cn-beijing-a-1/take-back", json!({"at": "2026-03-03T00:00:00Z", "urgent": true}), 400, "bad-input"),
        ("cn-beijing-a-1/calendar", json!({"calendar": "weekends"}), 400, "bad-input"),
        ("cn-beijing-a-1/lost", json!({"fenced": false}), 400, "bad-input"),
        ("cn-beijing-a-1/lost", json!({"fenced": true}), 409, "conflict"),
    ] {
        let refused = cloud.refused("operator", &format!("/v1/hosts/{path}"), body).await;
        assert_eq!(refused, (status, code.to_owned()), "{path}");
    }
    assert_eq!(doing(&cloud, FIRST).await, "lent");
    assert_eq!(cloud.ask("enterprise", reqwest::Method::GET, "/v1/hosts/cn-beijing-a-1", None).await.0, 403);
});

hosts_story!(a_calendar_opens_and_closes_by_itself, [4], |cloud: Cloud| async move {
    // Monday, 08:58:30.
    tell(&cloud, FIRST, "calendar", json!({"calendar": OFFICE})).await;
    assert_eq!(doing(&cloud, FIRST).await, "with its owner until 2026-03-02T11:00:00Z");
    sold_out(&cloud, block(1)).await;
    cloud.until("18:59:59").await;
    sold_out(&cloud, block(1)).await;
    cloud.until("19:00:00").await;
    // Over midnight, to eight.
    assert_eq!(doing(&cloud, FIRST).await, "lent until 2026-03-03T00:00:00Z");
    sold_out(&cloud, firm()).await;
    let night = cloud.buy("enterprise", block(6)).await;
    cloud.until("23:59:59").await;
    cloud.wait(3 * 3_600 + 1).await;
    sold_out(&cloud, block(5)).await;
    cloud.buy("enterprise", block(4)).await;
    cloud.wait(5 * 3_600).await;
    assert_eq!(cloud.instance("enterprise", &night).await["end_cause"], "lease-end");
    assert_eq!(doing(&cloud, FIRST).await, "with its owner until 2026-03-03T11:00:00Z");
    // From Friday night the whole weekend, to Sunday's midnight.
    cloud.post("operator", "/v1/clock/advance", json!({"to": "2026-03-06T22:00:00+08:00"})).await;
    assert_eq!(doing(&cloud, FIRST).await, "lent until 2026-03-08T16:00:00Z");
    cloud.buy("enterprise", json!({"option": "spot-block", "flavor": "c6.large.2", "hours": 6, "periods": 4})).await;
    cloud.post("operator", "/v1/clock/advance", json!({"to": "2026-03-09T12:00:00+08:00"})).await;
    assert_eq!(doing(&cloud, FIRST).await, "with its owner until 2026-03-09T11:00:00Z");
    assert!(on(&cloud, FIRST).await.is_empty());
    tell(&cloud, FIRST, "calendar", json!({"calendar": "always"})).await;
    cloud.buy("individual", firm()).await;
});

hosts_story!(a_return_that_blocks_did_not_know_of_is_free_with_notice, [4, 16], |cloud: Cloud| async move {
    let firm = cloud.buy("individual", firm()).await;
    let block = cloud.buy("enterprise", block(3)).await;
    let said = tell(&cloud, FIRST, "calendar", json!({"calendar": "mon-fri 08:00-10:00"})).await;
    assert_eq!((ids(&said["stays"]), ids(&said["leaves"])), (vec![firm.clone()], vec![block.clone()]));
    cloud.until("09:55:00").await;
    let notice = cloud.instance("enterprise", &block).await["interruption"].clone();
    assert_eq!((&notice["cause"], &notice["deadline"]), (&json!("host-return"), &json!("2026-03-02T02:00:00Z")));
    assert_eq!(doing(&cloud, FIRST).await, "back to its owner at 2026-03-02T02:00:00Z");
    cloud.until("10:00:00").await;
    assert_eq!(on(&cloud, FIRST).await, [firm]);
    let records = cloud.records("enterprise", &block, "compute").await;
    assert!(records.len() == 2 && records.iter().all(|record| record.ends_with(" 0.00000000")), "{records:?}");
});

hosts_story!(a_notice_across_the_return_stays_as_it_was_given, [4], |cloud: Cloud| async move {
    let block = cloud.buy("enterprise", block(3)).await;
    tell(&cloud, FIRST, "take-back", json!({"at": "2026-03-02T01:10:00Z"})).await;
    cloud.until("09:04:00").await;
    cloud.post("operator", &format!("/v1/instances/{block}/reclaim"), json!(null)).await;
    cloud.until("09:08:59").await;
    assert_eq!(cloud.state("enterprise", &block).await, "reclaiming");
    cloud.until("09:09:00").await;
    let ended = cloud.instance("enterprise", &block).await;
    assert_eq!((&ended["end_cause"], &ended["ended_at"]), (&json!("operator"), &json!("2026-03-02T01:09:00Z")));
});

hosts_story!(
    beyond_a_return_is_sold_where_the_catalog_allows_it_and_the_quote_says_so,
    [4],
    |catalog| catalog.limits.sell_beyond_return = true,
    |cloud: Cloud| async move {
        tell(&cloud, FIRST, "calendar", json!({"calendar": "mon-fri 08:00-10:00"})).await;
        let quote = cloud.post("enterprise", "/v1/quote", order(block(3))).await;
        assert_eq!(quote["may_be_taken_back"], true);
        assert_eq!(cloud.post("enterprise", "/v1/quote", order(firm())).await["may_be_taken_back"], false);
        let id = cloud.buy("enterprise", block(3)).await;
        sold_out(&cloud, firm()).await;
        // An announced drain is another thing than an owner who returns: no lease goes beyond it.
        tell(&cloud, FIRST, "drain", json!({"at": "2026-03-02T01:59:00Z"})).await;
        sold_out(&cloud, block(1)).await;
        assert_eq!(cloud.post("enterprise", "/v1/quote", order(block(3))).await["may_be_taken_back"], false);
        tell(&cloud, FIRST, "resume", json!(null)).await;
        cloud.until("10:00:00").await;
        assert_eq!(cloud.instance("enterprise", &id).await["end_cause"], "host-return");
        sold_out(&cloud, block(1)).await;
    }
);

hosts_story!(an_order_that_waits_on_a_host_that_is_taken_back_is_planned_anew, [4, 4], |cloud: Cloud| async move {
    let mut blocks = vec![];
    for _ in 0..4 {
        blocks.push(cloud.buy("enterprise", block(3)).await);
        cloud.wait(60).await;
    }
    // The youngest goes; the order waits on its host.
    let waiting = cloud.buy("individual", firm()).await;
    assert_eq!(cloud.state("enterprise", &blocks[3]).await, "reclaiming");
    let (from, to) = if on(&cloud, FIRST).await.contains(&waiting) { (FIRST, SECOND) } else { (SECOND, FIRST) };
    cloud.wait(60).await;
    tell(&cloud, from, "take-back", json!(null)).await;
    assert!(on(&cloud, to).await.contains(&waiting));
    sums_agree(&cloud).await;
    let other = on(&cloud, to).await;
    let taken: Vec<&String> = blocks.iter().filter(|id| other.contains(id)).collect();
    assert_eq!(cloud.state("enterprise", taken[1]).await, "reclaiming");
    assert_eq!(cloud.state("enterprise", taken[0]).await, "running");
    // The first notice runs on, and is of no use to it any more.
    cloud.wait(240).await;
    assert_eq!(cloud.state("enterprise", &blocks[3]).await, "released");
    assert_eq!(cloud.state("individual", &waiting).await, "pending");
    cloud.wait(60).await;
    assert_eq!(cloud.state("individual", &waiting).await, "running");
    assert_eq!(doing(&cloud, from).await, "with its owner");
    assert!(on(&cloud, from).await.is_empty());
    tell(&cloud, from, "resume", json!(null)).await;
    cloud.buy("individual", firm()).await;
});

hosts_story!(an_order_that_finds_no_other_host_keeps_its_promise, [4], |cloud: Cloud| async move {
    let big = json!({"option": "spot-block", "flavor": "c6.large.2", "hours": 3});
    cloud.buy("enterprise", big.clone()).await;
    cloud.buy("enterprise", big).await;
    let waiting = cloud.buy("individual", firm()).await;
    tell(&cloud, FIRST, "drain", json!(null)).await;
    cloud.wait(300).await;
    assert_eq!(cloud.state("individual", &waiting).await, "running");
    assert_eq!(on(&cloud, FIRST).await, [waiting]);
});

hosts_story!(a_file_on_the_machine_wants_it_back, [4, 4], |cloud: Cloud| async move {
    let (first, second) = (cloud.buy("enterprise", block(1)).await, cloud.buy("enterprise", block(3)).await);
    tell(&cloud, FIRST, "return-file", json!({"present": true})).await;
    for id in [&first, &second] {
        let notice = cloud.instance("enterprise", id).await["interruption"].clone();
        assert_eq!((&notice["cause"], &notice["deadline"]), (&json!("host-return"), &json!("2026-03-02T01:03:30Z")));
    }
    cloud.wait(300).await;
    assert_eq!(doing(&cloud, FIRST).await, "with its owner");
    let elsewhere = cloud.buy("enterprise", block(1)).await;
    assert_eq!(on(&cloud, SECOND).await, [elsewhere]);
    tell(&cloud, FIRST, "return-file", json!({"present": false})).await;
    assert_eq!(doing(&cloud, FIRST).await, "lent");
    cloud.buy("individual", firm()).await;
    cloud.buy("individual", firm()).await;
    assert_eq!(on(&cloud, FIRST).await.len(), 1, "the other host is full");
});

hosts_story!(a_lost_host_ends_blocks_and_firm_instances_wait_for_it, [4, 16], |cloud: Cloud| async move {
    let (kept, gone) = (cloud.buy("individual", firm()).await, cloud.buy("enterprise", block(3)).await);
    cloud.wait(30).await;
    tell(&cloud, FIRST, "unplug", json!(null)).await;
    cloud.wait(299).await;
    let fenced = json!({"fenced": true});
    let path = format!("/v1/hosts/{FIRST}/lost");
    assert_eq!(cloud.refused("operator", &path, fenced.clone()).await, (409, "conflict".to_owned()));
    cloud.wait(1).await;
    assert_eq!(doing(&cloud, FIRST).await, "silent since 2026-03-02T00:59:00Z");
    tell(&cloud, FIRST, "lost", fenced.clone()).await;
    assert_eq!(cloud.refused("operator", &path, fenced).await, (409, "conflict".to_owned()));
    assert_eq!(doing(&cloud, FIRST).await, "lost, heard until 2026-03-02T00:59:00Z");
    let ended = cloud.instance("enterprise", &gone).await;
    assert_eq!((&ended["end_cause"], &ended["ended_at"]), (&json!("lost"), &json!("2026-03-02T00:59:00Z")));
    assert_eq!(cloud.records("enterprise", &gone, "compute").await, ["08:58:30-08:59:00 30 0.07 0.00000000"]);
    assert_eq!(cloud.state("individual", &kept).await, "lost");
    assert_eq!(on(&cloud, FIRST).await, vec![kept.clone()]);

    // It takes nothing, and what is lost is not charged.
    cloud.buy("individual", firm()).await;
    assert_eq!(on(&cloud, SECOND).await.len(), 1);
    cloud.until("10:10:00").await;
    assert_eq!(cloud.records("individual", &kept, "compute").await.len(), 1);
    tell(&cloud, FIRST, "plug", json!(null)).await;
    assert_eq!(cloud.state("individual", &kept).await, "running");
    assert_eq!(doing(&cloud, FIRST).await, "lent");
    cloud.until("11:00:00").await;
    let records = cloud.records("individual", &kept, "compute").await;
    let times: Vec<&str> = records.iter().map(|record| &record[..17]).collect();
    assert_eq!(times, ["08:58:30-08:59:00", "10:10:00-11:00:00"]);
    let host = &cloud.get("operator", &format!("/v1/hosts/{FIRST}")).await;
    assert_eq!(host["host"]["quarantine"], json!([]));
    cloud.buy("enterprise", block(1)).await;
    assert_eq!(on(&cloud, FIRST).await.len(), 2);
});

hosts_story!(hours_wait_for_a_silent_host_until_it_is_lost, [4], |cloud: Cloud| async move {
    let id = cloud.buy("individual", firm()).await;
    cloud.until("09:50:00").await;
    tell(&cloud, FIRST, "unplug", json!(null)).await;
    cloud.until("10:30:00").await;
    assert_eq!(cloud.records("individual", &id, "compute").await.len(), 1, "09:00 to 10:00 is not closed yet");
    tell(&cloud, FIRST, "lost", json!({"fenced": true})).await;
    cloud.wait(1).await;
    let records = cloud.records("individual", &id, "compute").await;
    assert!(records.len() == 2 && records[1].starts_with("09:00:00-09:50:00 3000"), "{records:?}");
});

hosts_story!(an_order_that_waits_on_a_lost_host_goes_elsewhere_or_is_given_up, [4, 2], |cloud: Cloud| async move {
    for _ in 0..3 {
        cloud.buy("enterprise", block(3)).await;
    }
    let first = cloud.buy("individual", firm()).await;
    let second = cloud.buy("individual", firm()).await;
    let third = cloud.buy("individual", firm()).await;
    assert_eq!(on(&cloud, FIRST).await.iter().filter(|id| [&first, &second, &third].contains(id)).count(), 2);
    tell(&cloud, FIRST, "unplug", json!(null)).await;
    // The one on the other host gets its room, and gives it back.
    cloud.wait(300).await;
    let there = on(&cloud, SECOND).await;
    assert_eq!(cloud.delete("individual", &there[0]).await.1["code"], json!(null));
    cloud.wait(5).await;
    tell(&cloud, FIRST, "lost", json!({"fenced": true})).await;
    let mut states = vec![];
    for id in [&first, &second, &third].into_iter().filter(|id| **id != there[0]) {
        states.push(cloud.state("individual", id).await);
    }
    states.sort();
    assert_eq!(states, ["released", "running"], "one found the room, one was given up");
    assert!(on(&cloud, FIRST).await.is_empty());
    let events = cloud.get("individual", "/v1/events").await;
    let replanned = events["items"].as_array().unwrap().iter().filter(|event| event["body"]["event"] == "replanned");
    assert_eq!(replanned.count(), 1);
});

hosts_story!(what_is_deleted_on_a_lost_host_is_gone, [4], |cloud: Cloud| async move {
    let (before, after) = (cloud.buy("individual", firm()).await, cloud.buy("individual", firm()).await);
    cloud.wait(60).await;
    tell(&cloud, FIRST, "unplug", json!(null)).await;
    cloud.wait(100).await;
    cloud.delete("individual", &before).await;
    assert_eq!(cloud.state("individual", &before).await, "releasing");
    cloud.wait(200).await;
    tell(&cloud, FIRST, "lost", json!({"fenced": true})).await;
    assert_eq!(cloud.state("individual", &before).await, "released");
    assert_eq!(cloud.state("individual", &after).await, "lost");
    cloud.delete("individual", &after).await;
    assert_eq!(cloud.instance("individual", &after).await["ended_at"], "2026-03-02T00:59:30Z");
    assert!(on(&cloud, FIRST).await.is_empty());
    tell(&cloud, FIRST, "plug", json!(null)).await;
    let host = cloud.get("operator", &format!("/v1/hosts/{FIRST}")).await;
    assert_eq!((&host["host"]["quarantine"], &host["instances"]), (&json!([]), &json!([])));
});

hosts_story!(a_host_that_comes_back_during_a_notice_has_kept_it, [4], |cloud: Cloud| async move {
    let block = cloud.buy("enterprise", block(3)).await;
    cloud.wait(60).await;
    cloud.post("operator", &format!("/v1/instances/{block}/reclaim"), json!(null)).await;
    tell(&cloud, FIRST, "unplug", json!(null)).await;
    cloud.wait(400).await;
    assert_eq!(cloud.state("enterprise", &block).await, "reclaiming", "nobody has heard of its end");
    tell(&cloud, FIRST, "plug", json!(null)).await;
    let ended = cloud.instance("enterprise", &block).await;
    assert_eq!((&ended["end_cause"], &ended["ended_at"]), (&json!("operator"), &json!("2026-03-02T01:04:30Z")));
});
