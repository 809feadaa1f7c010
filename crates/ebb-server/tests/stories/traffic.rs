//! Public addresses, what leaves them, and what of that a trial's pools pay.

use crate::cloud::{Cloud, Directory, OPERATOR, On, Service, order};
use crate::receiver::{Mood, Receiver, until};
use crate::story;
use crate::subscriptions::confirmed;
use ebb_driver::fake::{Behaviour, FakeHost};
use ebb_driver::link::{self, Incoming};
use ebb_driver::protocol::{FromHost, Open, ToHost};
use ebb_model::calendar::Calendar;
use ebb_model::catalog::Catalog;
use ebb_model::resources::Resources;
use ebb_model::time::Timestamp;
use ebb_store::Place;
use ebb_testing::TempPostgres;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::net::UnixListener;

const MAINLAND: &str = "cn-beijing-a";
const OVERSEAS: &str = "cn-hongkong-a";
const GB: i64 = 1_000_000_000;
const ROOM: [(&str, i64); 3] = [("vcpu", 64), ("memory_mib", 262_144), ("disk_gib", 10_000)];

/// Tells a story on both databases, with a catalog and hosts of its own.
async fn told<F: Future<Output = ()>>(change: impl Fn(&mut Catalog), behaviour: Behaviour, body: impl Fn(Cloud) -> F) {
    for on in [On::Sqlite, On::Postgres] {
        let mut catalog = Cloud::catalog();
        change(&mut catalog);
        assert_eq!(catalog.problems(), Vec::<String>::new());
        let cloud = Cloud::selling(catalog, on, &ROOM, behaviour).await;
        body(cloud.clone()).await;
        cloud.nothing_broke().await;
    }
}

/// Buys the smallest instance, with a public address: both ids.
async fn public(cloud: &Cloud, who: &str, option: &str, zone: &str) -> (String, String) {
    let what = json!({"option": option, "flavor": "t6.small.1", "zone": zone, "public_ip": true});
    let bought = cloud.post(who, "/v1/instances", order(what)).await;
    let text = |key: &str| bought[key].as_str().unwrap().to_owned();
    (text("id"), text("public_address"))
}

async fn send(cloud: &Cloud, who: &str, address: &str, bytes: i64) {
    cloud.post(who, &format!("/v1/addresses/{address}/traffic"), json!({ "bytes": bytes })).await;
}

async fn release(cloud: &Cloud, who: &str, address: &str) -> (u16, Value) {
    let (status, answer) = cloud.ask(who, Method::DELETE, &format!("/v1/addresses/{address}"), None).await;
    (status.as_u16(), answer)
}

async fn addresses(cloud: &Cloud, who: &str) -> Vec<Value> {
    cloud.get(who, "/v1/addresses").await["items"].as_array().unwrap().clone()
}

/// The traffic of a bill: `local since-until GB anywhere+overseas+payable amount`.
fn lines(bill: &Value, which: &str) -> Vec<String> {
    let calendar = Calendar::new("Asia/Shanghai").unwrap();
    let Some(records) = bill[which].as_array() else { return vec![] };
    let line = |record: &Value| {
        let text = |key: &str| record[key].as_str().unwrap();
        let local = |key: &str| calendar.local(text(key).parse::<Timestamp>().unwrap().second())[5..16].to_owned();
        let short = |key: &str| text(key).trim_end_matches('0').trim_end_matches('.').to_owned();
        let paid = ["anywhere", "overseas", "payable"].map(short).join("+");
        format!("{} {} {} {paid} {}", local("since"), &local("until")[6..], short("quantity"), text("amount"))
    };
    records.iter().map(line).collect()
}

async fn issued(cloud: &Cloud, who: &str) -> Vec<String> {
    lines(&cloud.get(who, "/v1/bills").await, "traffic")
}

/// What is left of both pools: settled, accruing, left.
async fn pools(cloud: &Cloud, who: &str) -> [[String; 3]; 2] {
    let traffic = cloud.get(who, "/v1/trial").await["traffic"].clone();
    ["anywhere", "overseas"]
        .map(|pool| ["settled", "accruing", "left"].map(|key| traffic[pool][key].as_str().unwrap().to_owned()))
}

fn gb(texts: [[&str; 3]; 2]) -> [[String; 3]; 2] {
    texts.map(|pool| pool.map(|text| format!("{text}.000000")))
}

/// The account's events of a kind.
async fn events(cloud: &Cloud, who: &str, kind: &str) -> Vec<Value> {
    let (mut found, mut after) = (vec![], String::new());
    loop {
        let page = cloud.get(who, &format!("/v1/events?limit=1000&after={after}")).await;
        let items = page["items"].as_array().unwrap().iter().map(|event| event["body"].clone());
        found.extend(items.filter(|body| body["event"] == kind));
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => return found,
        }
    }
}

async fn to(cloud: &Cloud, instant: &str) {
    cloud.post("operator", "/v1/clock/advance", json!({ "to": instant })).await;
}

async fn cash(cloud: &Cloud, who: &str) -> String {
    cloud.get(who, "/v1/balance").await["cash"].as_str().unwrap().to_owned()
}

story!(twenty_gb_and_two_hundred_from_two_regions_in_one_month, |cloud: Cloud| async move {
    cloud.post("individual", "/v1/trial", json!(null)).await;
    assert_eq!(pools(&cloud, "individual").await, gb([["0", "0", "20"], ["0", "0", "180"]]));
    let (_, here) = public(&cloud, "individual", "trial", MAINLAND).await;
    let (_, there) = public(&cloud, "individual", "trial", OVERSEAS).await;
    send(&cloud, "individual", &here, 20 * GB).await;
    send(&cloud, "individual", &there, 200 * GB).await;
    assert_eq!(addresses(&cloud, "individual").await[0]["bytes_this_month"], 0, "nobody has read it yet");
    // Both counters are read at the full minute; the hour is open.
    cloud.until("08:59:00").await;
    assert_eq!(pools(&cloud, "individual").await, gb([["0", "20", "0"], ["0", "180", "0"]]));
    let bill = cloud.get("individual", "/v1/bills").await;
    let two = ["03-02 08:00 09:00 20 20+0+0 0.00000000", "03-02 08:00 09:00 200 0+180+20 20.00000000"];
    assert_eq!((lines(&bill, "traffic"), lines(&bill, "traffic_accruing")), (vec![], two.map(str::to_owned).to_vec()));
    assert_eq!(bill["accruing_total"]["payable"], "20.00000000");
    let shown = addresses(&cloud, "individual").await;
    let about =
        |at: usize| (shown[at]["bytes_this_month"].as_i64(), shown[at]["price"].as_str(), &shown[at]["overseas"]);
    assert_eq!(about(0), (Some(20 * GB), Some("0.80"), &json!(false)));
    assert_eq!(about(1), (Some(200 * GB), Some("1.00"), &json!(true)));

    cloud.until("09:00:00").await;
    let bill = cloud.get("individual", "/v1/bills").await;
    assert_eq!((lines(&bill, "traffic"), lines(&bill, "traffic_accruing")), (two.map(str::to_owned).to_vec(), vec![]));
    assert_eq!(pools(&cloud, "individual").await, gb([["20", "0", "0"], ["180", "0", "0"]]));
    assert_eq!(bill["settled_total"]["payable"], "20.00000000");
    let traffic = json!({"pools": "196.00000000", "payable": "20.00000000"});
    assert_eq!(bill["settled_total"]["traffic"], traffic);
    let balance = cloud.get("individual", "/v1/balance").await;
    assert_eq!((&balance["settled"]["traffic"], &balance["cash"]), (&traffic, &json!("9980.00000000")));
    // Each pool is told of once, though more flows and another month has pools of its own.
    let low = events(&cloud, "individual", "traffic-low").await;
    let said = |pool: &str, left: &str| {
        json!({"event": "traffic-low", "pool": pool, "month": "2026-02-28T16:00:00Z", "percent": 20,
            "left_gb": left, "at": "2026-03-02T00:59:00Z"})
    };
    assert_eq!(low, [said("anywhere", "0.000000"), said("overseas", "0.000000")]);
    send(&cloud, "individual", &there, GB).await;
    cloud.until("10:00:00").await;
    assert_eq!(issued(&cloud, "individual").await[2..], ["03-02 09:00 10:00 1 0+0+1 1.00000000"]);
    assert_eq!(events(&cloud, "individual", "traffic-low").await.len(), 2);
});

story!(a_month_begins_at_midnight_of_the_catalogs_zone, |cloud: Cloud| async move {
    cloud.post("individual", "/v1/trial", json!(null)).await;
    let (_, here) = public(&cloud, "individual", "trial", MAINLAND).await;
    // Half an hour before April in Shanghai, where March has eight hours to go in Greenwich.
    to(&cloud, "2026-03-31T15:59:30Z").await;
    send(&cloud, "individual", &here, 21 * GB + 1_500).await;
    to(&cloud, "2026-03-31T16:00:00Z").await;
    // What is read at midnight left before it.
    assert_eq!(issued(&cloud, "individual").await, ["03-31 23:00 00:00 21.000001 20+0+1.000001 0.80000080"]);
    assert_eq!(pools(&cloud, "individual").await, gb([["0", "0", "20"], ["0", "0", "180"]]));
    assert_eq!(addresses(&cloud, "individual").await[0]["bytes_this_month"], 0);
    // The 500 bytes that were too few stay in March: April's total begins anew.
    send(&cloud, "individual", &here, 700).await;
    to(&cloud, "2026-03-31T17:00:00Z").await;
    assert_eq!(issued(&cloud, "individual").await.len(), 1);
    send(&cloud, "individual", &here, 19 * GB + 300).await;
    to(&cloud, "2026-03-31T18:00:00Z").await;
    assert_eq!(issued(&cloud, "individual").await[1..], ["04-01 01:00 02:00 19.000001 19.000001+0+0 0.00000000"]);
    assert_eq!(addresses(&cloud, "individual").await[0]["bytes_this_month"], 19 * GB + 1_000);
    let low = events(&cloud, "individual", "traffic-low").await;
    let told: Vec<(&str, &str)> =
        low.iter().map(|low| (low["month"].as_str().unwrap(), low["left_gb"].as_str().unwrap())).collect();
    assert_eq!(told, [("2026-02-28T16:00:00Z", "0.000000"), ("2026-03-31T16:00:00Z", "0.999999")]);
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_survives_a_restart_and_a_counter_goes_on() {
    for on in [On::Sqlite, On::Postgres] {
        let dir = Directory::new();
        let place = match on {
            On::Sqlite => Place::Sqlite(dir.path().join("ebb.db")),
            On::Postgres => Place::Postgres(TempPostgres::start().database().await),
        };
        let (cloud, ended) = Cloud::kept_with(dir.path(), place.clone()).await;
        cloud.post("individual", "/v1/trial", json!(null)).await;
        let (_, there) = public(&cloud, "individual", "trial", OVERSEAS).await;
        cloud.until("09:10:00").await;
        send(&cloud, "individual", &there, 3 * GB).await;
        cloud.until("09:11:00").await;
        // This is on the counter and was not read.
        send(&cloud, "individual", &there, 2 * GB).await;
        drop(cloud);
        ended.await.unwrap();

        let (cloud, _ended) = Cloud::kept_with(dir.path(), place).await;
        assert_eq!(addresses(&cloud, "individual").await[0]["bytes_this_month"], 3 * GB);
        assert_eq!(pools(&cloud, "individual").await, gb([["0", "0", "20"], ["0", "3", "177"]]));
        send(&cloud, "individual", &there, GB).await;
        cloud.until("10:00:00").await;
        assert_eq!(issued(&cloud, "individual").await, ["03-02 09:00 10:00 6 0+6+0 0.00000000"]);
        cloud.nothing_broke().await;
    }
}

story!(a_counter_that_begins_again_counts_from_nothing, |cloud: Cloud| async move {
    let (_, here) = public(&cloud, "enterprise", "on-demand", MAINLAND).await;
    let reset = json!({"bytes": 2 * GB, "reset": true});
    send(&cloud, "enterprise", &here, 5 * GB).await;
    cloud.wait(60).await;
    cloud.post("enterprise", &format!("/v1/addresses/{here}/traffic"), reset.clone()).await;
    cloud.wait(60).await;
    assert_eq!(addresses(&cloud, "enterprise").await[0]["bytes_this_month"], 7 * GB);
    // What was not read before it began again, nobody knows of.
    send(&cloud, "enterprise", &here, GB).await;
    cloud.post("enterprise", &format!("/v1/addresses/{here}/traffic"), reset).await;
    cloud.wait(60).await;
    assert_eq!(addresses(&cloud, "enterprise").await[0]["bytes_this_month"], 9 * GB);
    let counted = events(&cloud, "enterprise", "traffic-counted").await;
    let bytes: Vec<i64> = counted.iter().map(|event| event["bytes"].as_i64().unwrap() / GB).collect();
    assert_eq!(bytes, [5, 2, 2]);
});

story!(a_host_that_comes_back_repeats_its_readings_and_they_count_once, |cloud: Cloud| async move {
    let (_, here) = public(&cloud, "enterprise", "on-demand", MAINLAND).await;
    send(&cloud, "enterprise", &here, GB).await;
    cloud.until("09:30:00").await;
    let tell =
        async |verb: &str| cloud.post("operator", &format!("/v1/hosts/cn-beijing-a-1/{verb}"), json!(null)).await;
    tell("unplug").await;
    // The host reads on. Its hours wait for it, each with what was read in it.
    send(&cloud, "enterprise", &here, 2 * GB).await;
    cloud.until("10:30:00").await;
    send(&cloud, "enterprise", &here, 4 * GB).await;
    cloud.until("11:30:00").await;
    assert_eq!(issued(&cloud, "enterprise").await, ["03-02 08:00 09:00 1 0+0+1 0.80000000"]);
    tell("plug").await;
    cloud.until("12:00:00").await;
    let three = [
        "03-02 08:00 09:00 1 0+0+1 0.80000000",
        "03-02 09:00 10:00 2 0+0+2 1.60000000",
        "03-02 10:00 11:00 4 0+0+4 3.20000000",
    ];
    assert_eq!(issued(&cloud, "enterprise").await, three);
    tell("unplug").await;
    tell("plug").await;
    cloud.until("13:00:00").await;
    assert_eq!(issued(&cloud, "enterprise").await, three);
    assert_eq!(events(&cloud, "enterprise", "traffic-counted").await.len(), 3);
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reading_of_a_closed_hour_counts_in_the_open_one() {
    // The host's word is always a minute and a half late.
    let late = Behaviour { behind_millis: 90_000, ..Behaviour::default() };
    told(
        |_| {},
        late,
        |cloud| async move {
            let (_, here) = public(&cloud, "enterprise", "on-demand", MAINLAND).await;
            cloud.until("10:00:00").await;
            send(&cloud, "enterprise", &here, 3 * GB).await;
            // Read at 10:01, it speaks of 09:59:30, and that hour is closed.
            cloud.until("11:00:00").await;
            assert_eq!(issued(&cloud, "enterprise").await, ["03-02 10:00 11:00 3 0+0+3 2.40000000"]);
            let counted = events(&cloud, "enterprise", "traffic-counted").await;
            assert_eq!(counted[0]["at"], "2026-03-02T02:00:01Z");
            // In an hour that is open it counts where it speaks of.
            cloud.until("11:00:30").await;
            send(&cloud, "enterprise", &here, GB).await;
            cloud.until("11:30:00").await;
            send(&cloud, "enterprise", &here, GB).await;
            cloud.until("12:00:00").await;
            assert_eq!(issued(&cloud, "enterprise").await[1..], ["03-02 11:00 12:00 2 0+0+2 1.60000000"]);
            let counted = events(&cloud, "enterprise", "traffic-counted").await;
            assert_eq!(
                (&counted[1]["at"], &counted[2]["at"]),
                (&json!("2026-03-02T03:00:01Z"), &json!("2026-03-02T03:29:30Z"))
            );
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pools_go_on_when_the_grant_is_used_up_and_end_with_its_validity() {
    let soon_used_up = |catalog: &mut Catalog| catalog.trial.individual.amount = "0.5".parse().unwrap();
    told(soon_used_up, Behaviour::default(), |cloud| async move {
        cloud.post("individual", "/v1/trial", json!(null)).await;
        let (_, there) = public(&cloud, "individual", "trial", OVERSEAS).await;
        to(&cloud, "2026-03-03T00:00:00Z").await;
        assert_eq!(cloud.get("individual", "/v1/trial").await["ended_by"], "used-up");
        send(&cloud, "individual", &there, 5 * GB).await;
        to(&cloud, "2026-03-03T01:00:00Z").await;
        assert_eq!(issued(&cloud, "individual").await, ["03-03 08:00 09:00 5 0+5+0 0.00000000"]);
        assert_eq!(pools(&cloud, "individual").await, gb([["0", "0", "20"], ["5", "0", "175"]]));

        // The validity ends on the second day of June, at 08:58:30: that month has whole pools up to there.
        to(&cloud, "2026-06-02T00:50:00Z").await;
        assert_eq!(pools(&cloud, "individual").await, gb([["0", "0", "20"], ["0", "0", "180"]]));
        send(&cloud, "individual", &there, 181 * GB).await;
        to(&cloud, "2026-06-02T00:57:30Z").await;
        send(&cloud, "individual", &there, 500).await;
        to(&cloud, "2026-06-02T00:58:00Z").await;
        // Read at 08:59, so after the end, though it may have left before.
        send(&cloud, "individual", &there, 2 * GB + 600).await;
        to(&cloud, "2026-06-02T01:00:00Z").await;
        assert_eq!(issued(&cloud, "individual").await[1..], ["06-02 08:00 09:00 183.000001 1+180+2.000001 2.00000100"]);
        assert_eq!(pools(&cloud, "individual").await.map(|pool| pool[2].clone()), ["0.000000", "0.000000"]);
        send(&cloud, "individual", &there, GB).await;
        to(&cloud, "2026-06-02T02:00:00Z").await;
        assert_eq!(issued(&cloud, "individual").await[2..], ["06-02 09:00 10:00 1 0+0+1 1.00000000"]);
        let low = events(&cloud, "individual", "traffic-low").await;
        let pools: Vec<&Value> = low.iter().map(|low| &low["pool"]).collect();
        assert_eq!(pools, ["overseas"], "of June, when 1 of 20 GB from anywhere were used");
    })
    .await;
}

story!(within_an_hour_the_mainland_comes_first, |cloud: Cloud| async move {
    cloud.post("individual", "/v1/trial", json!(null)).await;
    let (_, there) = public(&cloud, "individual", "trial", OVERSEAS).await;
    let (_, here) = public(&cloud, "individual", "trial", MAINLAND).await;
    cloud.until("09:00:00").await;
    send(&cloud, "individual", &there, 190 * GB).await;
    cloud.until("09:01:00").await;
    assert_eq!(pools(&cloud, "individual").await, gb([["0", "10", "10"], ["0", "180", "0"]]));
    // So far the hour's overseas traffic would take 10 GB from anywhere; then the mainland's goes before it.
    send(&cloud, "individual", &here, 15 * GB).await;
    cloud.until("10:00:00").await;
    let mut lines = issued(&cloud, "individual").await;
    lines.sort();
    let two = ["03-02 09:00 10:00 15 15+0+0 0.00000000", "03-02 09:00 10:00 190 5+180+5 5.00000000"];
    assert_eq!(lines, two);
    assert_eq!(cash(&cloud, "individual").await, "9995.00000000");
});

story!(without_a_grant_all_is_charged, |cloud: Cloud| async move {
    let (_, there) = public(&cloud, "enterprise", "on-demand", OVERSEAS).await;
    send(&cloud, "enterprise", &there, 1_234_567_890).await;
    cloud.until("09:00:00").await;
    assert_eq!(issued(&cloud, "enterprise").await, ["03-02 08:00 09:00 1.234567 0+0+1.234567 1.23456700"]);
    // 90 s at 0.10 an hour, and the traffic, in one entry.
    assert_eq!(cash(&cloud, "enterprise").await, "9998.76293300");
    assert_eq!(events(&cloud, "enterprise", "traffic-low").await.len(), 0);
    // A grant that is claimed later does not reach back: what was read before it is charged.
    let traffic = &cloud.get("enterprise", "/v1/balance").await["settled"]["traffic"];
    assert_eq!(*traffic, json!({"pools": "0.00000000", "payable": "1.23456700"}));
});

story!(a_released_address_is_read_a_last_time, |cloud: Cloud| async move {
    let (id, here) = public(&cloud, "enterprise", "on-demand", MAINLAND).await;
    cloud.until("09:10:10").await;
    send(&cloud, "enterprise", &here, GB).await;
    // Nobody else sees it, or can give it back.
    assert_eq!(addresses(&cloud, "individual").await, Vec::<Value>::new());
    for (status, answer) in [
        release(&cloud, "individual", &here).await,
        release(&cloud, "individual", "g-00000000000000000000000000000000").await,
        release(&cloud, "enterprise", "web").await,
    ] {
        assert_eq!((status, &answer["code"]), (404, &json!("not-found")));
    }
    let path = format!("/v1/addresses/{here}/traffic");
    assert_eq!(cloud.refused("individual", &path, json!({"bytes": 1})).await, (404, "not-found".to_owned()));
    assert_eq!(cloud.refused("enterprise", &path, json!({"bytes": -1})).await, (400, "bad-input".to_owned()));

    let (status, gone) = release(&cloud, "enterprise", &here).await;
    assert_eq!((status, &gone["released_at"]), (200, &json!("2026-03-02T01:10:10Z")));
    let again = release(&cloud, "enterprise", &here).await;
    assert_eq!((again.0, &again.1["code"]), (409, &json!("address-released")));
    assert_eq!(cloud.refused("enterprise", &path, json!({"bytes": 1})).await, (409, "conflict".to_owned()));
    assert_eq!(cloud.instance("enterprise", &id).await["public_address"], Value::Null);
    assert_eq!(cloud.state("enterprise", &id).await, "running");
    let counted = events(&cloud, "enterprise", "traffic-counted").await;
    assert_eq!((&counted[0]["bytes"], &counted[0]["at"]), (&json!(GB), &json!("2026-03-02T01:10:10Z")));
    cloud.until("10:00:00").await;
    assert_eq!(issued(&cloud, "enterprise").await, ["03-02 09:00 10:00 1 0+0+1 0.80000000"]);
});

story!(an_instance_keeps_its_address_or_takes_it_along, |cloud: Cloud| async move {
    let (stays, kept) = public(&cloud, "enterprise", "on-demand", MAINLAND).await;
    let (goes, _) = public(&cloud, "enterprise", "on-demand", MAINLAND).await;
    assert_eq!(cloud.instance("enterprise", &stays).await["public_address"], kept.as_str());
    cloud.post("enterprise", &format!("/v1/instances/{goes}/change"), json!({"keep_public_ip": false})).await;
    send(&cloud, "enterprise", &kept, GB).await;
    for id in [&stays, &goes] {
        cloud.delete("enterprise", id).await;
    }
    let left = addresses(&cloud, "enterprise").await;
    assert_eq!((left.len(), &left[0]["id"], &left[0]["instance"]), (1, &json!(kept), &Value::Null));
    assert_eq!(left[0]["bytes_this_month"], GB, "it was read before the guest went");
    assert_eq!(events(&cloud, "enterprise", "address-kept").await.len(), 1);
    assert_eq!(events(&cloud, "enterprise", "address-released").await.len(), 1);
    assert_eq!(release(&cloud, "enterprise", &kept).await.0, 200);
    assert_eq!(addresses(&cloud, "enterprise").await, Vec::<Value>::new());
    cloud.until("09:00:00").await;
    assert_eq!(issued(&cloud, "enterprise").await, ["03-02 08:00 09:00 1 0+0+1 0.80000000"]);
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hour_of_nothing_but_traffic_is_closed_too() {
    // Charge ends with the delete, and the guest is gone two minutes later.
    let slow = Behaviour { remove_millis: 120_000, ..Behaviour::default() };
    told(
        |_| {},
        slow,
        |cloud| async move {
            let (id, here) = public(&cloud, "enterprise", "on-demand", MAINLAND).await;
            cloud.until("09:59:50").await;
            cloud.delete("enterprise", &id).await;
            cloud.until("10:01:30").await;
            send(&cloud, "enterprise", &here, GB).await;
            cloud.until("11:00:00").await;
            assert_eq!(issued(&cloud, "enterprise").await, ["03-02 10:00 11:00 1 0+0+1 0.80000000"]);
            let hours = events(&cloud, "enterprise", "hour-closed").await;
            let last = json!({"since": "2026-03-02T02:00:00Z", "until": "2026-03-02T03:00:00Z"});
            assert_eq!((hours.len(), &hours[2]["hour"]), (3, &last));
            let counted = events(&cloud, "enterprise", "traffic-counted").await;
            assert_eq!(counted[0]["at"], "2026-03-02T02:01:50Z", "the last reading, before the guest was gone");
        },
    )
    .await;
}

story!(whoever_subscribed_is_told_once_that_a_pool_is_low, |cloud: Cloud| async move {
    let receiver = Receiver::new(Mood::Willing).await;
    confirmed(&cloud, "individual", &receiver, json!(["traffic-low"])).await;
    cloud.post("individual", "/v1/trial", json!(null)).await;
    let (_, here) = public(&cloud, "individual", "trial", MAINLAND).await;
    // Strictly below: 4 of 20 GB are not.
    send(&cloud, "individual", &here, 16 * GB).await;
    cloud.until("09:30:00").await;
    assert_eq!(events(&cloud, "individual", "traffic-low").await.len(), 0);
    send(&cloud, "individual", &here, 1_000).await;
    cloud.until("09:31:00").await;
    send(&cloud, "individual", &here, GB).await;
    cloud.until("11:00:00").await;
    let low = receiver.wait_for("dev.ebb.account.traffic-low", 1).await.remove(0);
    let data = &low.event()["data"];
    assert_eq!((&data["pool"], &data["left_gb"]), (&json!("anywhere"), &json!("3.999999")));
    assert_eq!(events(&cloud, "individual", "traffic-low").await.len(), 1);
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_to_be_had_where_its_traffic_has_a_price_and_a_meter() {
    let what = || order(json!({"option": "on-demand", "flavor": "t6.small.1", "public_ip": true}));
    let no_price = |catalog: &mut Catalog| {
        let region = &mut catalog.regions[0];
        (region.traffic, region.bandwidth) = (None, None);
    };
    told(no_price, Behaviour::default(), |cloud| async move {
        let none = (422, "no-public-addresses".to_owned());
        assert_eq!(cloud.refused("enterprise", "/v1/instances", what()).await, none);
        assert_eq!(cloud.refused("enterprise", "/v1/quote", what()).await, none);
        let (_, there) = public(&cloud, "enterprise", "on-demand", OVERSEAS).await;
        assert_eq!(addresses(&cloud, "enterprise").await[0]["id"], there.as_str());
    })
    .await;
    let unmetered = Behaviour { unmetered: true, ..Behaviour::default() };
    told(
        |_| {},
        unmetered,
        |cloud| async move {
            let refused = cloud.refused("enterprise", "/v1/instances", what()).await;
            assert_eq!(refused, (409, "traffic-not-metered".to_owned()));
            assert_eq!(cloud.get("enterprise", "/v1/instances").await["items"], json!([]), "nothing was bought");
        },
    )
    .await;
}

/// A host behind a socket: says hello, hears, and says what comes of it; `said` is what it says by itself.
pub async fn talk(
    listener: UnixListener,
    host: Arc<Mutex<FakeHost>>,
    mut said: tokio::sync::mpsc::Receiver<Vec<FromHost>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (read, mut write) = stream.into_split();
        let mut incoming = Incoming::new(read);
        let Ok(Some(Open::Control { .. })) = incoming.next().await else { continue };
        let hello = host.lock().unwrap().hello();
        link::send(&mut write, &FromHost::Hello(Box::new(hello))).await.unwrap();
        loop {
            let words = tokio::select! {
                heard = incoming.next::<ToHost>() => match heard {
                    Ok(Some(message)) => {
                        let mut host = host.lock().unwrap();
                        let mut words = host.hear(message, now());
                        words.extend(host.step(now()));
                        words
                    }
                    _ => break,
                },
                // Nothing more to say: it ends the connection.
                Some(words) = said.recv() => match words.is_empty() {
                    true => break,
                    false => words,
                },
            };
            for word in words {
                link::send(&mut write, &word).await.unwrap();
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a host looks at its own clock")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_micros(since.as_micros() as i64)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_hears_the_readings_of_a_host_behind_a_socket() {
    for on in [On::Sqlite, On::Postgres] {
        let dir = Directory::new();
        let place = match on {
            On::Sqlite => Place::Memory,
            On::Postgres => Place::Postgres(TempPostgres::start().database().await),
        };
        let socket = dir.path().join("host.sock");
        let capacity = Resources::of(ROOM);
        let host = Arc::new(Mutex::new(FakeHost::new("far", MAINLAND, capacity, Behaviour::default())));
        let (say, said) = tokio::sync::mpsc::channel(8);
        tokio::spawn(talk(UnixListener::bind(&socket).unwrap(), host.clone(), said));
        let service = Service::with_hosts(place, dir.identity(), vec![socket]).await.unwrap();
        let (_, opened) = service.post(OPERATOR, "/v1/accounts", json!({"name": "Ada"})).await;
        let (id, key) = (opened["account"]["id"].as_str().unwrap(), opened["key"]["secret"].as_str().unwrap());
        service.post(OPERATOR, &format!("/v1/accounts/{id}/verification"), json!({"holder": "individual"})).await;
        service.post(OPERATOR, &format!("/v1/accounts/{id}/top-ups"), json!({"amount": "10"})).await;
        let what = order(json!({"option": "on-demand", "flavor": "t6.small.1", "public_ip": true}));
        until("a host with room", async || service.post(key, "/v1/instances", what.clone()).await.0 == 201).await;
        let (_, shown) = service.ask(key, Method::GET, "/v1/addresses", Value::Null).await;
        let address = shown["items"][0]["id"].as_str().unwrap().parse().unwrap();
        until("the host to know the address", async || host.lock().unwrap().send(address, GB, now())).await;
        // Its clock is ahead: it says that the minute is over.
        let words = host.lock().unwrap().step(now().plus_seconds(60));
        say.send(words).await.unwrap();
        let left = async || {
            let (_, shown) = service.ask(key, Method::GET, "/v1/addresses", Value::Null).await;
            shown["items"][0]["bytes_this_month"].as_i64().unwrap()
        };
        until("the reading to count", async || left().await == GB).await;
        // The connection ends, and the next hello says it again.
        let hellos = host.lock().unwrap().hello().readings.len();
        assert_eq!(hellos, 1);
        say.send(vec![]).await.unwrap();
        host.lock().unwrap().send(address, GB, now());
        let words = host.lock().unwrap().step(now().plus_seconds(180));
        say.send(words).await.unwrap();
        until("the next reading to count", async || left().await == 2 * GB).await;
        service.stop().await;
    }
}
