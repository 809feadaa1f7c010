//! The spending cap: to which second it lets things run, what it refuses, and what becomes of everything then.

use crate::cloud::{Cloud, On, block, order};
use crate::story;
use ebb_driver::fake::Behaviour;
use ebb_store::Place;
use ebb_testing::TempPostgres;
use reqwest::Method;
use serde_json::{Value, json};

/// Vcpu and memory at 0.39, the disk at 0.02, a block of six hours at 0.12.
fn machine() -> Value {
    json!({ "option": "on-demand", "flavor": "c6.large.2" })
}

async fn set(cloud: &Cloud, who: &str, amount: &str) -> Value {
    cloud.post(who, "/v1/cap", json!({ "amount": amount })).await
}

async fn cap(cloud: &Cloud, who: &str) -> Value {
    cloud.get(who, "/v1/cap").await
}

async fn to(cloud: &Cloud, instant: &str) {
    cloud.post("operator", "/v1/clock/advance", json!({ "to": instant })).await;
}

/// The account's events of a kind, without what else there is.
async fn events(cloud: &Cloud, who: &str, kind: &str) -> Vec<Value> {
    let page = cloud.get(who, "/v1/events?limit=1000").await;
    let items = page["items"].as_array().unwrap().iter();
    items.map(|event| event["body"].clone()).filter(|body| body["event"] == kind).collect()
}

async fn refusal(cloud: &Cloud, who: &str, path: &str, body: Value) -> (String, String) {
    let (status, problem) = cloud.ask(who, Method::POST, path, Some(body)).await;
    assert_eq!(status.as_u16(), 409, "{problem}");
    let text = |key: &str| problem[key].as_str().unwrap().to_owned();
    (text("code"), text("message"))
}

/// What is payable in the month, and what an instance's records of compute say at their ends.
async fn last_second(cloud: &Cloud, who: &str, id: &str, meter: &str) -> String {
    let bill = cloud.get(who, "/v1/bills").await;
    let mine = bill["records"].as_array().unwrap().iter().filter(|r| r["instance"] == id && r["meter"] == meter);
    mine.map(|r| r["until"].as_str().unwrap().to_owned()).max().unwrap_or_default()
}

story!(one_instance_is_stopped_at_the_last_second_that_the_cap_allows, |cloud: Cloud| async move {
    // From noon of the 16th in Shanghai 372 hours are left of March.
    to(&cloud, "2026-03-16T04:00:00Z").await;
    let id = cloud.buy("individual", machine()).await;
    let running = cloud.instance("individual", &id).await["started_at"].clone();
    assert_eq!(running, "2026-03-16T04:00:00Z");
    // 7.44 for its disk to the end of the month; what is left of 16 pays for 21.948717… hours at 0.39.
    let shown = set(&cloud, "individual", "16").await;
    assert_eq!(shown["acts_at"], "2026-03-17T01:56:55Z", "{shown}");
    assert_eq!((shown["goes_on"].as_str(), shown["reserved"].as_str()), (Some("0.02"), Some("7.44000000")));
    to(&cloud, "2026-03-17T01:56:54Z").await;
    assert_eq!(cloud.state("individual", &id).await, "running");
    cloud.wait(70).await;
    let stopped = cloud.instance("individual", &id).await;
    assert_eq!((stopped["state"].as_str(), stopped["economical"].as_bool()), (Some("stopped"), Some(true)));
    let reached = events(&cloud, "individual", "cap-reached").await;
    assert_eq!(reached, [json!({"event": "cap-reached", "at": "2026-03-17T01:56:55Z"})]);
    // Nothing that costs more begins in this month, and nothing by itself in the next.
    let (code, sentence) = refusal(&cloud, "individual", "/v1/instances", order(machine())).await;
    assert!(code == "spending-cap" && sentence.contains("16.00") && sentence.contains("`ebb cap set`"), "{sentence}");
    let start = format!("/v1/instances/{id}/start");
    assert_eq!(refusal(&cloud, "individual", &start, json!(null)).await.0, "spending-cap");
    to(&cloud, "2026-03-31T16:00:00Z").await;
    assert_eq!(last_second(&cloud, "individual", &id, "compute").await, "2026-03-17T01:56:55Z");
    let balance = cloud.get("individual", "/v1/balance").await;
    // 79,015 seconds at 0.39, and 372 hours at 0.02.
    assert_eq!(balance["settled"]["payable"], "15.99995833", "{balance}");
    assert_eq!(cloud.state("individual", &id).await, "stopped");
    let seen = cap(&cloud, "individual").await;
    assert_eq!(
        (seen["payable"].as_str(), seen["month_since"].as_str()),
        (Some("0.00000000"), Some("2026-03-31T16:00:00Z"))
    );
    cloud.post("individual", &start, json!(null)).await;
    assert_eq!(cloud.state("individual", &id).await, "running");
});

story!(a_block_goes_with_it_and_is_charged_to_that_second, |cloud: Cloud| async move {
    // 711 hours are left of March: 14.22 for one disk, while the other goes with its block.
    cloud.until("09:00:00").await;
    let id = cloud.buy("individual", machine()).await;
    let spot = cloud.buy("individual", block(6)).await;
    // 0.78 is left of 15: 5,298.1… seconds at 0.39 + 0.12 + 0.02 an hour.
    let shown = set(&cloud, "individual", "15").await;
    assert_eq!(shown["acts_at"], "2026-03-02T02:28:18Z", "{shown}");
    to(&cloud, "2026-03-02T02:29:30Z").await;
    let gone = cloud.instance("individual", &spot).await;
    assert_eq!(
        (gone["end_cause"].as_str(), gone["ended_at"].as_str(), gone["state"].as_str()),
        (Some("spending-cap"), Some("2026-03-02T02:28:18Z"), Some("released"))
    );
    assert_eq!(cloud.state("individual", &id).await, "stopped");
    let seen = cap(&cloud, "individual").await;
    assert_eq!(seen["acted_at"], "2026-03-02T02:28:18Z");
    assert_eq!(
        cloud.records("individual", &spot, "compute").await.last().unwrap(),
        "10:00:00-10:28:18 1698 0.12 0.05660000"
    );
    for wanted in [block(1), machine()] {
        assert_eq!(refusal(&cloud, "individual", "/v1/instances", order(wanted)).await.0, "spending-cap");
    }
    // Who gives the disk up has its money again, and a block begins.
    cloud.delete("individual", &id).await;
    cloud.buy("individual", block(6)).await;
    assert_eq!(cap(&cloud, "individual").await.get("acts_at"), None);
});

story!(who_sets_a_cap_and_how_low_it_may_be, |cloud: Cloud| async move {
    let key = async |role: &str| {
        let whoami = cloud.get("individual", "/v1/whoami").await;
        let path = format!("/v1/accounts/{}/keys", whoami["account"]["id"].as_str().unwrap());
        cloud.post("individual", &path, json!({ "role": role })).await["secret"].as_str().unwrap().to_owned()
    };
    let (member, auditor) = (key("member").await, key("auditor").await);
    for who in [&member, &auditor] {
        let (status, problem) = cloud.ask(who, Method::POST, "/v1/cap", Some(json!({ "amount": "100" }))).await;
        assert_eq!((status.as_u16(), problem["code"].as_str()), (403, Some("role")));
        assert_eq!(cap(&cloud, who).await.get("amount"), None);
    }
    for wrong in ["-1", "a", "1000000001"] {
        assert_eq!(
            cloud.refused("individual", "/v1/cap", json!({ "amount": wrong })).await,
            (400, "bad-input".to_owned())
        );
    }
    cloud.until("09:00:00").await;
    let id = cloud.buy("individual", machine()).await;
    // Its disk in a month of 31 days with an hour more.
    let (code, sentence) = refusal(&cloud, "individual", "/v1/cap", json!({ "amount": "14.89999999" })).await;
    assert!(code == "cap-too-low" && sentence.contains("the least is 14.90000000"), "{sentence}");
    assert_eq!(set(&cloud, "individual", "14.9").await["least"], "14.90000000");
    // What was used already counts, too: 711 hours of the disk, and three of the rest, in the second in which they are over.
    set(&cloud, "individual", "100").await;
    cloud.until("12:00:00").await;
    assert_eq!(refusal(&cloud, "individual", "/v1/cap", json!({ "amount": "15.38" })).await.0, "cap-too-low");
    let shown = set(&cloud, "individual", "15.39").await;
    assert_eq!(
        (shown["payable"].as_str(), shown["acts_at"].as_str()),
        (Some("1.23000000"), Some("2026-03-02T04:00:00Z"))
    );
    cloud.wait(100).await;
    assert_eq!(last_second(&cloud, "individual", &id, "compute").await, "2026-03-02T04:00:00Z");
    let gone = cloud.ask("individual", Method::DELETE, "/v1/cap", None).await;
    assert_eq!((gone.0.as_u16(), gone.1.get("amount")), (200, None));
    assert_eq!(cloud.ask("individual", Method::DELETE, "/v1/cap", None).await.0.as_u16(), 404);
    // Without a cap it is the same as billed from the records.
    assert_eq!(cap(&cloud, "individual").await["settled"], "1.23000000");
    cloud.post("individual", &format!("/v1/instances/{id}/start"), json!(null)).await;
    let said: Vec<_> = ["cap-set", "cap-reached", "cap-removed"].to_vec();
    for (kind, count) in said.into_iter().zip([3, 1, 1]) {
        assert_eq!(events(&cloud, "individual", kind).await.len(), count, "{kind}");
    }
});

story!(a_cap_of_nothing_holds_with_a_trial_that_is_released, |cloud: Cloud| async move {
    cloud.post("individual", "/v1/trial", json!(null)).await;
    set(&cloud, "individual", "0").await;
    let trial = json!({ "option": "trial", "flavor": "t6.small.1" });
    // It would go on, on demand.
    assert_eq!(refusal(&cloud, "individual", "/v1/instances", order(trial.clone())).await.0, "spending-cap");
    cloud.post("individual", "/v1/trial/at-end", json!({ "choice": "release" })).await;
    let id = cloud.buy("individual", trial).await;
    assert_eq!(refusal(&cloud, "individual", "/v1/instances", order(machine())).await.0, "spending-cap");
    for choice in ["continue", "stop"] {
        assert_eq!(
            refusal(&cloud, "individual", "/v1/trial/at-end", json!({ "choice": choice })).await.0,
            "cap-too-low"
        );
    }
    assert_eq!(cap(&cloud, "individual").await.get("acts_at"), None);
    to(&cloud, "2026-06-03T00:00:00Z").await;
    assert_eq!(cloud.instance("individual", &id).await["end_cause"], "trial-end");
    assert_eq!(cloud.get("individual", "/v1/balance").await["settled"]["payable"], "0.00000000");
    assert_eq!(events(&cloud, "individual", "cap-reached").await.len(), 0);
});

story!(a_trial_that_costs_nothing_more_goes_on, |cloud: Cloud| async move {
    cloud.post("individual", "/v1/trial", json!(null)).await;
    cloud.post("individual", "/v1/trial/at-end", json!({ "choice": "release" })).await;
    cloud.until("09:00:00").await;
    let trial = cloud.buy("individual", json!({ "option": "trial", "flavor": "t6.small.1" })).await;
    let id = cloud.buy("individual", machine()).await;
    // 0.78 of 15 is left beside the one disk: two hours.
    assert_eq!(set(&cloud, "individual", "15").await["acts_at"], "2026-03-02T03:00:00Z");
    to(&cloud, "2026-03-02T03:02:00Z").await;
    assert_eq!(cloud.state("individual", &id).await, "stopped");
    assert_eq!(cloud.state("individual", &trial).await, "running");
    assert_eq!(cap(&cloud, "individual").await.get("acts_at"), None);
});

story!(what_is_taken_back_keeps_its_notice_and_its_waiver, |cloud: Cloud| async move {
    cloud.until("09:00:00").await;
    let spot = cloud.buy("individual", block(6)).await;
    // 0.14 an hour: three hours of it.
    assert_eq!(set(&cloud, "individual", "0.42").await["acts_at"], "2026-03-02T04:00:00Z");
    to(&cloud, "2026-03-02T03:58:00Z").await;
    cloud.post("operator", &format!("/v1/instances/{spot}/reclaim"), json!(null)).await;
    // Its period is free, so nothing stands against a little more.
    to(&cloud, "2026-03-02T04:01:00Z").await;
    assert_eq!(cloud.state("individual", &spot).await, "reclaiming");
    assert_eq!(cap(&cloud, "individual").await.get("acts_at"), None);
    to(&cloud, "2026-03-02T05:00:00Z").await;
    let gone = cloud.instance("individual", &spot).await;
    assert_eq!((gone["end_cause"].as_str(), gone["state"].as_str()), (Some("operator"), Some("released")));
    assert!(cloud.get("individual", "/v1/balance").await["settled"]["payable"].as_str().unwrap() < "0.07");
    assert_eq!(events(&cloud, "individual", "cap-reached").await.len(), 0);
});

story!(a_cap_that_is_raised_in_its_second_acts_later, |cloud: Cloud| async move {
    cloud.until("09:00:00").await;
    let id = cloud.buy("individual", machine()).await;
    assert_eq!(set(&cloud, "individual", "15").await["acts_at"], "2026-03-02T03:00:00Z");
    to(&cloud, "2026-03-02T02:59:59Z").await;
    assert_eq!(cloud.state("individual", &id).await, "running");
    assert_eq!(set(&cloud, "individual", "15.0002").await["acts_at"], "2026-03-02T03:00:01Z");
    cloud.wait(1).await;
    assert_eq!(
        (cloud.state("individual", &id).await.as_str(), events(&cloud, "individual", "cap-reached").await.len()),
        ("running", 0)
    );
    cloud.wait(70).await;
    assert_eq!(cloud.state("individual", &id).await, "stopped");
    assert_eq!(events(&cloud, "individual", "cap-reached").await[0]["at"], "2026-03-02T03:00:01Z");
    // Raised again, nothing starts by itself.
    set(&cloud, "individual", "100").await;
    cloud.wait(600).await;
    assert_eq!(cloud.state("individual", &id).await, "stopped");
    cloud.post("individual", &format!("/v1/instances/{id}/start"), json!(null)).await;
});

story!(its_owner_is_warned_once_a_month, |cloud: Cloud| async move {
    cloud.until("09:00:00").await;
    cloud.buy("individual", machine()).await;
    // 14.22 of 30 are kept for the disk, so it acts after 40.46… hours.
    set(&cloud, "individual", "30").await;
    let acts_at = cap(&cloud, "individual").await["acts_at"].clone();
    assert_eq!(acts_at, "2026-03-03T17:27:41Z");
    to(&cloud, "2026-03-04T02:00:00Z").await;
    assert_eq!(events(&cloud, "individual", "cap-soon").await.len(), 0, "16.60 are payable by then");
    // 24 are 80 %: 15.78 for vCPU and memory less what a second's rest leaves, the rest for 411 hours of the disk.
    to(&cloud, "2026-03-31T16:00:00Z").await;
    let soon = events(&cloud, "individual", "cap-soon").await;
    let said = json!({ "event": "cap-soon", "at": "2026-03-19T04:00:11Z", "percent": 80 });
    assert_eq!(soon, [said]);
    to(&cloud, "2026-04-30T16:00:00Z").await;
    assert_eq!(events(&cloud, "individual", "cap-soon").await.len(), 1);
});

/// Nobody knows yet what a silent host did before the cap acts; once it is known it counts from its own second, or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_waits_for_what_a_silent_host_saw_before_it() {
    for (on, lost) in [(On::Sqlite, false), (On::Postgres, false), (On::Sqlite, true), (On::Postgres, true)] {
        let cloud = Cloud::new(on).await;
        let tell = async |verb: &str, body: Value| {
            cloud.post("operator", &format!("/v1/hosts/cn-beijing-a-1/{verb}"), body).await
        };
        cloud.until("09:00:00").await;
        let id = cloud.buy("individual", machine()).await;
        assert_eq!(set(&cloud, "individual", "15").await["acts_at"], "2026-03-02T03:00:00Z");
        to(&cloud, "2026-03-02T02:50:00Z").await;
        tell("unplug", json!(null)).await;
        to(&cloud, "2026-03-02T05:30:00Z").await;
        assert_eq!(events(&cloud, "individual", "cap-reached").await.len(), 0);
        match lost {
            false => tell("plug", json!(null)).await,
            true => tell("lost", json!({ "fenced": true })).await,
        };
        cloud.wait(120).await;
        let state = cloud.state("individual", &id).await;
        let reached = events(&cloud, "individual", "cap-reached").await.len();
        to(&cloud, "2026-03-02T06:00:00Z").await;
        let until = last_second(&cloud, "individual", &id, "compute").await;
        let expected = if lost { ("lost", 0, "2026-03-02T02:50:00Z") } else { ("stopped", 1, "2026-03-02T03:00:00Z") };
        assert_eq!((state.as_str(), reached, until.as_str()), expected);
        cloud.nothing_broke().await;
    }
}

/// One for which others had to go runs for the minimum that it pays, and is stopped then; what began before stops in time for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_made_others_go_runs_for_the_minimum_first() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = Cloud::of_hosts(on, &[4], |_| {}).await;
        cloud.until("09:00:00").await;
        let first = cloud.buy("individual", machine()).await;
        set(&cloud, "individual", "30").await;
        to(&cloud, "2026-03-02T04:30:00Z").await;
        cloud.buy("enterprise", block(6)).await;
        // What is left pays for 622 seconds of the first one, beside both disks and ten minutes of the second.
        to(&cloud, "2026-03-02T04:51:30Z").await;
        let second = cloud.buy("individual", machine()).await;
        assert_eq!(cloud.state("individual", &second).await, "pending");
        assert_eq!(cap(&cloud, "individual").await["acts_at"], "2026-03-02T05:01:52Z");
        to(&cloud, "2026-03-02T05:04:00Z").await;
        assert_eq!(cloud.state("individual", &first).await, "stopped");
        assert_eq!(cloud.state("individual", &second).await, "running");
        let began = cloud.instance("individual", &second).await["started_at"]
            .as_str()
            .unwrap()
            .parse::<ebb_model::time::Timestamp>()
            .unwrap();
        to(&cloud, "2026-03-02T06:00:00Z").await;
        assert_eq!(cloud.state("individual", &second).await, "stopped");
        // For its disk, too, nothing was charged while it waited; that is 15 seconds more for the first one.
        assert_eq!(last_second(&cloud, "individual", &first, "compute").await, "2026-03-02T05:02:07Z");
        assert_eq!(last_second(&cloud, "individual", &second, "compute").await, began.plus_seconds(600).to_string());
        to(&cloud, "2026-03-31T16:00:00Z").await;
        let payable: ebb_model::money::Amount =
            cloud.get("individual", "/v1/balance").await["settled"]["payable"].as_str().unwrap().parse().unwrap();
        assert!(payable <= "30".parse().unwrap() && payable >= "29.99".parse().unwrap(), "{payable}");
        cloud.nothing_broke().await;
    }
}

/// An order that waits behind others is given up with the cap, and others that are stopped there free their room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stopped_already_gives_its_room_back_and_all_of_it_stops() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = Cloud::of_hosts(on, &[8], |_| {}).await;
        cloud.until("09:00:00").await;
        let mut all = vec![];
        for _ in 0..3 {
            all.push(cloud.buy("individual", machine()).await);
        }
        for id in &all[..2] {
            cloud.post("individual", &format!("/v1/instances/{id}/stop"), json!({ "economical": false })).await;
        }
        cloud.buy("individual", block(6)).await;
        // Three disks are 42.66; the least is 44.70, and that leaves 2.04 at 3 × 0.39 + 0.14 an hour.
        assert_eq!(set(&cloud, "individual", "44.7").await["acts_at"], "2026-03-02T02:33:26Z");
        to(&cloud, "2026-03-02T02:35:00Z").await;
        let live = cloud.get("individual", "/v1/instances").await;
        let states = live["items"].as_array().unwrap().iter();
        let states: Vec<_> =
            states.map(|one| (one["state"].as_str().unwrap(), one["economical"].as_bool().unwrap())).collect();
        assert_eq!(states, [("stopped", true); 3]);
        let cap = cap(&cloud, "individual").await;
        assert_eq!(cap["acted_at"], "2026-03-02T02:33:26Z", "{cap}");
        // All room but that for three disks is there again.
        let host = cloud.get("operator", "/v1/hosts/cn-beijing-a-1").await;
        assert_eq!(host["room"]["vcpu"]["used"].as_i64().unwrap_or(0), 0, "{host}");
        cloud.nothing_broke().await;
    }
}

/// Two services on one database: a cap is set at one of them while at the other somebody buys what it would not allow.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_cap_and_an_order_that_do_not_fit_together_one_is_refused() {
    let room = [("vcpu", 64), ("memory_mib", 262_144), ("disk_gib", 10_000)];
    let place = Place::Postgres(TempPostgres::start().database().await);
    let one = Cloud::at(place.clone(), &room, Behaviour::default()).await;
    let mut tenants = vec![];
    for at in 0..8 {
        tenants.push(one.tenant(&format!("n-{at}"), "individual", "1000").await);
    }
    let other = Cloud::at(place, &room, Behaviour::default()).await;
    let mut refused = std::collections::BTreeSet::new();
    for (at, who) in tenants.iter().enumerate() {
        // Less than the disk costs in a month; whoever comes second hears why not.
        let cap = one.ask(who, Method::POST, "/v1/cap", Some(json!({ "amount": "14" })));
        let buy = async {
            tokio::time::sleep(std::time::Duration::from_millis(3 * (at as u64 % 4))).await;
            other.ask(who, Method::POST, "/v1/instances", Some(order(machine()))).await
        };
        let (cap, bought) = tokio::join!(cap, buy);
        let outcome = (cap.0.as_u16(), bought.0.as_u16());
        assert!([(200, 409), (409, 201)].contains(&outcome), "{cap:?} {bought:?}");
        let why = if cap.0.is_success() { &bought.1["code"] } else { &cap.1["code"] };
        refused.insert(why.as_str().unwrap().to_owned());
    }
    assert!(refused.iter().all(|code| code == "spending-cap" || code == "cap-too-low"), "{refused:?}");
    one.agrees().await;
}

story!(traffic_brings_the_second_nearer_and_may_leap_over_it, |cloud: Cloud| async move {
    to(&cloud, "2026-03-16T04:00:00Z").await;
    let order = json!({"option": "on-demand", "flavor": "c6.large.2", "public_ip": true});
    let id = cloud.buy("individual", order).await;
    let address = cloud.instance("individual", &id).await["public_address"].as_str().unwrap().to_owned();
    let send = async |gb: i64| {
        let bytes = json!({"bytes": gb * 1_000_000_000});
        cloud.post("individual", &format!("/v1/addresses/{address}/traffic"), bytes).await;
    };
    assert_eq!(set(&cloud, "individual", "16").await["acts_at"], "2026-03-17T01:56:55Z");
    // 5 GB cost 4.00, so 4.56 are left for compute: 42,092 seconds.
    to(&cloud, "2026-03-16T05:00:30Z").await;
    send(5).await;
    to(&cloud, "2026-03-16T05:02:00Z").await;
    let seen = cap(&cloud, "individual").await;
    assert_eq!(seen["acts_at"], "2026-03-16T15:41:32Z", "{seen}");
    // It is the same when the hour is closed.
    to(&cloud, "2026-03-16T06:30:00Z").await;
    assert_eq!(cap(&cloud, "individual").await["acts_at"], "2026-03-16T15:41:32Z");
    // Another 6 GB are more than is left: it acts with the second before they were read.
    to(&cloud, "2026-03-16T08:10:30Z").await;
    send(6).await;
    to(&cloud, "2026-03-16T08:15:00Z").await;
    assert_eq!(cloud.state("individual", &id).await, "stopped");
    let counted = events(&cloud, "individual", "traffic-counted").await;
    let reached = events(&cloud, "individual", "cap-reached").await;
    let at = |event: &Value| event["at"].as_str().unwrap().parse::<ebb_model::time::Timestamp>().unwrap();
    assert_eq!((counted.len(), reached.len()), (2, 1));
    assert_eq!(at(&reached[0]).plus_seconds(1), at(&counted[1]));
    to(&cloud, "2026-03-31T16:00:00Z").await;
    let bill = cloud.get("individual", "/v1/bills").await;
    let sum = |which: &str| -> i64 {
        let amounts = bill[which].as_array().unwrap().iter().map(|record| record["amount"].as_str().unwrap());
        amounts.map(|amount| amount.replace('.', "").parse::<i64>().unwrap()).sum()
    };
    assert_eq!(sum("traffic"), 880_000_000, "11 GB at 0.80 each");
    assert!(sum("records") < 1_600_000_000, "by time nothing passes it");
});

story!(months_count_when_they_are_paid, |cloud: Cloud| async move {
    let small = json!({"option": "on-demand", "flavor": "t6.small.1"});
    let (id, other) = (cloud.buy("individual", small.clone()).await, cloud.buy("individual", small).await);
    let convert = |id: &str| format!("/v1/instances/{id}/convert");
    let months = json!({"to": "subscription", "months": 1});
    // 35 for the flavor and 8.40 for its disk.
    set(&cloud, "individual", "40").await;
    let (code, sentence) = refusal(&cloud, "individual", &convert(&id), months.clone()).await;
    assert!(code == "spending-cap" && sentence.contains("40.00"), "{sentence}");
    set(&cloud, "individual", "70").await;
    cloud.post("individual", &convert(&id), months.clone()).await;
    let seen = cap(&cloud, "individual").await;
    assert!(seen["payable"].as_str().unwrap().starts_with("43.4"), "{seen}");
    assert_eq!(seen["goes_on"], "0.02", "its own disk is paid for");
    assert_eq!(refusal(&cloud, "individual", &convert(&other), months).await.0, "spending-cap");
    let renew = format!("/v1/instances/{id}/renew");
    assert_eq!(refusal(&cloud, "individual", &renew, json!({"months": 1})).await.0, "spending-cap");
    // When the cap acts it stops what is charged by the hour, and leaves alone what is paid.
    set(&cloud, "individual", "58.4").await;
    to(&cloud, "2026-03-31T16:00:00Z").await;
    assert_eq!(events(&cloud, "individual", "cap-reached").await.len(), 1);
    assert_eq!(cloud.state("individual", &id).await, "running");
    assert_eq!(cloud.state("individual", &other).await, "stopped");
    let balance = cloud.get("individual", "/v1/balance").await;
    assert!(balance["settled"]["payable"].as_str().unwrap() <= "58.40000000", "{balance}");
});

// The trials of an account are stopped together or not at all, whatever the stop of the first makes of the sums.
story!(of_trials_none_is_spared, |cloud: Cloud| async move {
    let ada = cloud.tenant("Ada", "enterprise", "500").await;
    cloud.post(&ada, "/v1/trial", json!(null)).await;
    cloud.until("09:00:00").await;
    let trial = |flavor: &str| json!({ "option": "trial", "flavor": flavor });
    let off = cloud.buy(&ada, trial("t6.small.1")).await;
    let others = [cloud.buy(&ada, trial("c6.xlarge.2")).await, cloud.buy(&ada, trial("t6.small.1")).await];
    cloud.buy(&ada, json!({ "option": "on-demand", "flavor": "c6.large.2" })).await;
    cloud.wait(60).await;
    // Off, and charged all the same.
    cloud.post(&ada, &format!("/v1/instances/{off}/stop"), json!({})).await;
    cloud.wait(60).await;
    cloud.post(&ada, "/v1/cap", json!({ "amount": "110" })).await;
    cloud.wait(12 * 86_400).await;
    for id in others.iter().chain([&off]) {
        let known = cloud.instance(&ada, id).await;
        assert_eq!((known["state"].as_str(), known["economical"].as_bool()), (Some("stopped"), Some(true)), "{id}");
    }
});
