//! Public addresses that are paid by their bandwidth: from when to when, at which price, and who pays.

use crate::cloud::{Cloud, On, order};
use crate::story;
use ebb_driver::fake::Behaviour;
use ebb_model::catalog::Catalog;
use reqwest::Method;
use serde_json::{Value, json};

const GB: i64 = 1_000_000_000;
const ROOM: [(&str, i64); 3] = [("vcpu", 64), ("memory_mib", 262_144), ("disk_gib", 10_000)];

fn text(of: &Value, key: &str) -> String {
    of[key].as_str().unwrap_or_else(|| panic!("no {key} in {of}")).to_owned()
}

async fn allocate(cloud: &Cloud, who: &str, mbit: i64) -> String {
    let body = json!({"region": "cn-beijing", "charge": "bandwidth", "mbit": mbit});
    text(&cloud.post(who, "/v1/addresses", body).await, "id")
}

async fn charge(cloud: &Cloud, who: &str, address: &str, mbit: Option<i64>) -> Value {
    let charge = if mbit.is_some() { "bandwidth" } else { "traffic" };
    cloud.post(who, &format!("/v1/addresses/{address}/charge"), json!({"charge": charge, "mbit": mbit})).await
}

async fn release(cloud: &Cloud, who: &str, address: &str) {
    let (status, said) = cloud.ask(who, Method::DELETE, &format!("/v1/addresses/{address}"), None).await;
    assert!(status.is_success(), "{said}");
}

async fn send(cloud: &Cloud, who: &str, address: &str, bytes: i64) {
    cloud.post(who, &format!("/v1/addresses/{address}/traffic"), json!({ "bytes": bytes })).await;
}

/// What is issued of an address: `local since-until seconds price amount`.
async fn records(cloud: &Cloud, who: &str, address: &str) -> Vec<String> {
    let bill = cloud.get(who, "/v1/bills").await;
    let calendar = ebb_model::calendar::Calendar::new("Asia/Shanghai").unwrap();
    let mine = bill["records"].as_array().unwrap().iter().filter(|one| one["resource"] == address);
    mine.map(|one| {
        assert_eq!(one["meter"], "bandwidth");
        let local = |key: &str| {
            let at: ebb_model::time::Timestamp = one[key].as_str().unwrap().parse().unwrap();
            calendar.local(at.second())[11..].to_owned()
        };
        format!(
            "{}-{} {} {} {}",
            local("since"),
            local("until"),
            one["seconds"],
            text(one, "price"),
            text(one, "amount")
        )
    })
    .collect()
}

async fn traffic(cloud: &Cloud, who: &str) -> Vec<String> {
    let bill = cloud.get(who, "/v1/bills").await;
    bill["traffic"].as_array().into_iter().flatten().map(|one| text(one, "quantity")).collect()
}

story!(bandwidth_is_charged_by_the_second_and_no_traffic_with_it, |cloud: Cloud| async move {
    let address = allocate(&cloud, "enterprise", 5).await;
    let shown = cloud.get("enterprise", "/v1/addresses").await["items"][0].clone();
    assert_eq!((&shown["mbit"], &shown["bandwidth_price"]), (&json!(5), &json!("0.15")));
    let web = cloud.buy("enterprise", json!({"option": "on-demand", "flavor": "t6.small.1"})).await;
    cloud.until("09:30:00").await;
    // Unbound it is charged, too.
    cloud.post("enterprise", &format!("/v1/addresses/{address}/bind"), json!({ "instance": web })).await;
    let told = cloud.get("operator", &format!("/v1/hosts/cn-beijing-a-1/guests/{web}")).await;
    assert_eq!(told["public_addresses"][0]["mbit"], 5, "its host holds it to that");
    send(&cloud, "enterprise", &address, 50 * GB).await;
    cloud.until("10:20:30").await;
    release(&cloud, "enterprise", &address).await;
    cloud.until("11:00:00").await;
    let three = [
        "08:58:30-09:00:00 90 0.15 0.00375000",
        "09:00:00-10:00:00 3600 0.15 0.15000000",
        "10:00:00-10:20:30 1230 0.15 0.05125000",
    ];
    assert_eq!(records(&cloud, "enterprise", &address).await, three);
    assert_eq!(traffic(&cloud, "enterprise").await, Vec::<String>::new());
    let bill = cloud.get("enterprise", "/v1/bills").await;
    let record = bill["records"].as_array().unwrap().iter().find(|one| one["resource"] == address.as_str()).unwrap();
    let why = cloud.get("enterprise", &format!("/v1/records/{}/explanation", text(record, "id"))).await;
    assert_eq!((&why["meter"], &why["resource"]), (&json!("bandwidth"), &json!(address)));
});

story!(an_address_is_paid_otherwise_at_full_minutes, |cloud: Cloud| async move {
    let what = json!({"option": "on-demand", "flavor": "t6.small.1", "public_ip": true});
    let bought = cloud.post("enterprise", "/v1/instances", order(what)).await;
    let address = text(&bought, "public_address");
    cloud.until("09:10:20").await;
    send(&cloud, "enterprise", &address, GB).await;
    cloud.until("09:11:40").await;
    // What leaves in the minute in which it is asked for is paid as traffic, whenever it does.
    send(&cloud, "enterprise", &address, 2 * GB).await;
    charge(&cloud, "enterprise", &address, Some(10)).await;
    send(&cloud, "enterprise", &address, 4 * GB).await;
    cloud.until("09:20:30").await;
    charge(&cloud, "enterprise", &address, Some(20)).await;
    cloud.until("09:30:59").await;
    send(&cloud, "enterprise", &address, 8 * GB).await;
    charge(&cloud, "enterprise", &address, None).await;
    send(&cloud, "enterprise", &address, 16 * GB).await;
    cloud.until("10:00:00").await;
    let two = ["09:12:00-09:20:30 510 0.30 0.04250000", "09:20:30-09:30:00 570 0.60 0.09500000"];
    assert_eq!(records(&cloud, "enterprise", &address).await, two);
    assert_eq!(traffic(&cloud, "enterprise").await, ["31.000000"], "1, 2 and 4, and 8 and 16 of the last minute");
    let bill = cloud.get("enterprise", "/v1/bills").await;
    let all = bill["records"].as_array().unwrap().iter().filter(|one| one["resource"] == address.as_str());
    let mut why = vec![];
    for one in all {
        let told = cloud.get("enterprise", &format!("/v1/records/{}/explanation", text(one, "id"))).await;
        why.push((told["begins"].clone(), told["ends"].clone()));
    }
    let by = (json!(["bandwidth"]), json!(["bandwidth"]));
    assert_eq!(why, [by, (json!(["bandwidth"]), json!(["by-traffic"]))]);
    let path = format!("/v1/addresses/{address}/charge");
    let again = cloud.refused("enterprise", &path, json!({"charge": "traffic"})).await;
    assert_eq!(again, (409, "paid-so-already".to_owned()));
});

story!(bandwidth_for_the_end_of_a_minute_pays_nothing_of_it, |cloud: Cloud| async move {
    let what = json!({"option": "on-demand", "flavor": "t6.small.1", "public_ip": true});
    let bought = cloud.post("enterprise", "/v1/instances", order(what)).await;
    let address = text(&bought, "public_address");
    cloud.until("09:10:05").await;
    for _ in 0..5 {
        cloud.wait(45).await;
        send(&cloud, "enterprise", &address, 10 * GB).await;
        cloud.wait(8).await;
        charge(&cloud, "enterprise", &address, Some(1)).await;
        cloud.wait(7).await;
        charge(&cloud, "enterprise", &address, None).await;
    }
    // Nor does it when it is given up before it begins, or when the address goes.
    send(&cloud, "enterprise", &address, 10 * GB).await;
    charge(&cloud, "enterprise", &address, Some(1)).await;
    charge(&cloud, "enterprise", &address, Some(2)).await;
    charge(&cloud, "enterprise", &address, None).await;
    charge(&cloud, "enterprise", &address, Some(1)).await;
    release(&cloud, "enterprise", &address).await;
    cloud.until("10:00:00").await;
    assert_eq!(records(&cloud, "enterprise", &address).await, Vec::<String>::new());
    assert_eq!(traffic(&cloud, "enterprise").await, ["60.000000"]);
});

story!(each_second_costs_the_most_that_might_leave_in_it, |cloud: Cloud| async move {
    let what = json!({"option": "on-demand", "flavor": "t6.small.1", "public_ip": true, "public_ip_mbit": 1});
    let address = text(&cloud.post("enterprise", "/v1/instances", order(what)).await, "public_address");
    cloud.until("09:30:00").await;
    for _ in 0..2 {
        charge(&cloud, "enterprise", &address, Some(200)).await;
        cloud.wait(58).await;
        charge(&cloud, "enterprise", &address, Some(1)).await;
        charge(&cloud, "enterprise", &address, Some(200)).await;
        charge(&cloud, "enterprise", &address, Some(1)).await;
        cloud.wait(2).await;
    }
    cloud.until("10:00:00").await;
    let all = records(&cloud, "enterprise", &address).await;
    let dear: Vec<&str> = all.iter().filter(|line| line.contains(" 6.00 ")).map(|line| line[..20].trim()).collect();
    // In the second in which less was asked for, and more again, the dearer one goes on, in a record of its own.
    let twice = [["09:30:00-09:30:58 58", "09:30:58-09:30:59 1"], ["09:31:00-09:31:58 58", "09:31:58-09:31:59 1"]];
    assert_eq!(dear, twice.concat());
});

story!(what_a_silent_host_read_is_paid_as_it_was_when_it_left, |cloud: Cloud| async move {
    let what = json!({"option": "on-demand", "flavor": "t6.small.1", "public_ip": true});
    let address = text(&cloud.post("enterprise", "/v1/instances", order(what)).await, "public_address");
    cloud.until("09:10:05").await;
    cloud.post("operator", "/v1/hosts/cn-beijing-a-1/unplug", json!({})).await;
    send(&cloud, "enterprise", &address, 50 * GB).await;
    cloud.wait(60).await;
    charge(&cloud, "enterprise", &address, Some(1)).await;
    cloud.wait(30).await;
    charge(&cloud, "enterprise", &address, None).await;
    charge(&cloud, "enterprise", &address, Some(1)).await;
    cloud.post("operator", "/v1/hosts/cn-beijing-a-1/plug", json!({})).await;
    cloud.until("10:00:00").await;
    assert_eq!(traffic(&cloud, "enterprise").await, ["50.000000"]);
});

story!(what_leaves_with_a_release_is_paid_as_before_it, |cloud: Cloud| async move {
    let what = json!({"option": "on-demand", "flavor": "t6.small.1", "public_ip": true, "public_ip_mbit": 5});
    let address = text(&cloud.post("enterprise", "/v1/instances", order(what)).await, "public_address");
    cloud.until("09:10:05").await;
    send(&cloud, "enterprise", &address, GB).await;
    release(&cloud, "enterprise", &address).await;
    cloud.until("10:00:00").await;
    assert_eq!(traffic(&cloud, "enterprise").await, Vec::<String>::new());
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leads_to_what_never_ran_is_charged_once_and_its_own() {
    for on in [On::Sqlite, On::Postgres] {
        let slow = Behaviour { start_millis: 400_000, ..Behaviour::default() };
        let cloud = Cloud::with(on, &ROOM, slow).await;
        let alone = allocate(&cloud, "enterprise", 5).await;
        let what = json!({"option": "on-demand", "flavor": "t6.small.1", "public_ip": true});
        let bought = cloud.post("enterprise", "/v1/instances", order(what)).await;
        let with = text(&bought, "public_address");
        // It is to be paid so from its first second on.
        assert_eq!(charge(&cloud, "enterprise", &with, Some(100)).await["mbit"], 100);
        let to = json!({"instance": text(&bought, "id")});
        let bind = format!("/v1/addresses/{alone}/bind");
        cloud.post("enterprise", &bind, to.clone()).await;
        cloud.wait(10).await;
        // It is charged already, and not twice.
        cloud.post("enterprise", &format!("/v1/addresses/{alone}/unbind"), json!(null)).await;
        cloud.post("enterprise", &bind, to).await;
        cloud.until("10:00:00").await;
        let left = cloud.get("enterprise", "/v1/addresses").await;
        let left: Vec<&Value> = left["items"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
        assert_eq!(left, [&json!(alone)], "what came with it goes with it, and nothing else");
        assert_eq!(records(&cloud, "enterprise", &with).await, Vec::<String>::new());
        let own = records(&cloud, "enterprise", &alone).await;
        assert_eq!(own.last().unwrap(), "09:00:00-10:00:00 3600 0.15 0.15000000");
        assert_eq!(own.len(), 2, "{own:?}");
        cloud.nothing_broke().await;
    }
}

story!(who_allocates_and_releases_without_end_takes_one_address, |cloud: Cloud| async move {
    let region = json!({"region": "cn-beijing"});
    let first = cloud.post("enterprise", "/v1/addresses", region.clone()).await;
    release(&cloud, "enterprise", &text(&first, "id")).await;
    let again = cloud.post("enterprise", "/v1/addresses", region.clone()).await;
    assert_eq!(again["ip"], first["ip"]);
    let second = cloud.post("enterprise", "/v1/addresses", region.clone()).await;
    assert_ne!(second["ip"], first["ip"]);
    release(&cloud, "enterprise", &text(&again, "id")).await;
    let other = cloud.post("individual", "/v1/addresses", region).await;
    assert_ne!(other["ip"], first["ip"], "it rests for others");
});

story!(bandwidth_that_is_bought_with_an_instance_begins_and_goes_with_it, |cloud: Cloud| async move {
    let what = json!({"option": "on-demand", "flavor": "t6.small.1", "public_ip": true, "public_ip_mbit": 2,
        "keep_public_ip": false});
    let bought = cloud.post("enterprise", "/v1/instances", order(what)).await;
    let address = text(&bought, "public_address");
    cloud.until("09:30:00").await;
    cloud.delete("enterprise", &text(&bought, "id")).await;
    cloud.until("10:00:00").await;
    let compute = cloud.records("enterprise", &text(&bought, "id"), "compute").await;
    let seconds = |lines: &[String]| lines.iter().map(|line| line[..22].to_owned()).collect::<Vec<_>>();
    let own = records(&cloud, "enterprise", &address).await;
    assert_eq!((own.len(), seconds(&own)), (2, seconds(&compute)));
    // One that never runs costs nothing, nor does what was bought with it.
    assert_eq!(own[1], "09:00:00-09:30:00 1800 0.06 0.03000000");
});

story!(what_bandwidth_is_not_to_be_had_is_refused, |cloud: Cloud| async move {
    let ask = async |who: &str, body: Value| cloud.refused(who, "/v1/addresses", body).await;
    let region = |mbit: i64| json!({"region": "cn-beijing", "charge": "bandwidth", "mbit": mbit});
    for mbit in [0, -1, 201] {
        assert_eq!(ask("enterprise", region(mbit)).await, (422, "mbit-not-sold".to_owned()));
    }
    let bad = (400, "bad-input".to_owned());
    assert_eq!(ask("enterprise", json!({"region": "cn-beijing", "charge": "bandwidth"})).await, bad);
    assert_eq!(ask("enterprise", json!({"region": "cn-beijing", "charge": "traffic", "mbit": 5})).await, bad);
    assert_eq!(ask("enterprise", json!({"region": "cn-beijing", "charge": "luck"})).await, bad);
    let poor = cloud.tenant("Poor", "individual", "0.14").await;
    assert_eq!(ask(&poor, region(5)).await, (402, "insufficient-funds".to_owned()));
    allocate(&cloud, &poor, 4).await;
    // A cap does for what goes on to the end of the month.
    cloud.post("enterprise", "/v1/cap", json!({"amount": "10"})).await;
    assert_eq!(ask("enterprise", region(1)).await, (409, "spending-cap".to_owned()));
    let mute = json!({"option": "on-demand", "flavor": "t6.small.1", "public_ip_mbit": 2});
    assert_eq!(cloud.refused("enterprise", "/v1/instances", order(mute)).await, bad);
});

story!(a_trial_pays_no_bandwidth_and_a_voucher_may, |cloud: Cloud| async move {
    cloud.post("individual", "/v1/trial", json!(null)).await;
    let what = json!({"option": "trial", "flavor": "t6.small.1", "public_ip": true, "public_ip_mbit": 1});
    let bought = cloud.post("individual", "/v1/instances", order(what)).await;
    let accounts = cloud.get("operator", "/v1/accounts").await;
    let mine = accounts["items"].as_array().unwrap().iter().find(|one| one["name"] == "Individual").unwrap().clone();
    let coupon = json!({"kind": "cash-coupon", "face": "0.02", "pays": {"meters": ["bandwidth"]}});
    cloud.post("operator", &format!("/v1/accounts/{}/vouchers", text(&mine, "id")), coupon).await;
    cloud.until("10:00:00").await;
    let bill = cloud.get("individual", "/v1/bills").await;
    let address = text(&bought, "public_address");
    let own: Vec<&Value> =
        bill["records"].as_array().unwrap().iter().filter(|one| one["resource"] == address.as_str()).collect();
    assert_eq!(
        (own.len(), text(own[1], "grant"), text(own[1], "amount")),
        (2, "0.00000000".to_owned(), "0.03000000".to_owned())
    );
    let by_voucher: Vec<String> =
        own.iter().flat_map(|one| one["vouchers"].as_array().unwrap()).map(|one| text(one, "amount")).collect();
    assert_eq!(by_voucher.len(), 2, "{own:?}");
    assert_eq!(cloud.get("individual", "/v1/vouchers").await["items"], json!([]), "it is used up");
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_frozen_account_is_charged_and_a_top_up_charges_it_again() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = Cloud::changed(on, &ROOM, |catalog: &mut Catalog| {
            catalog.limits.arrears.grace_days = 0;
            catalog.limits.arrears.warn_days_before.clear();
        })
        .await;
        let poor = cloud.tenant("Poor", "individual", "0.4").await;
        let address = allocate(&cloud, &poor, 10).await;
        cloud.until("12:30:00").await;
        let balance = cloud.get(&poor, "/v1/balance").await;
        assert_eq!(balance["arrears"]["state"], "frozen", "{balance:#}");
        let before = records(&cloud, &poor, &address).await;
        assert_eq!(before.last().unwrap(), "10:00:00-11:00:00 3600 0.30 0.30000000", "{before:?}");
        let accounts = cloud.get("operator", "/v1/accounts").await;
        let known = accounts["items"].as_array().unwrap().iter().find(|one| one["name"] == "Poor").unwrap().clone();
        let id = text(&known, "id");
        cloud.post("operator", &format!("/v1/accounts/{id}/top-ups"), json!({"amount": "5"})).await;
        cloud.until("13:00:00").await;
        let after = records(&cloud, &poor, &address).await;
        assert_eq!(after[before.len()..], ["12:30:00-13:00:00 1800 0.30 0.15000000"]);
        cloud.nothing_broke().await;
    }
}

/// What a subscription has runs on with it, and is charged on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_belongs_to_a_subscription_is_charged_on_in_a_frozen_account() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = Cloud::changed(on, &ROOM, |catalog: &mut Catalog| {
            catalog.limits.arrears.warn_days_before.clear();
            catalog.limits.arrears.grace_days = 0;
        })
        .await;
        let poor = cloud.tenant("Poor", "individual", "44.2").await;
        let other = allocate(&cloud, &poor, 1).await;
        let what = json!({"option": "subscription", "months": 1, "flavor": "t6.small.1", "public_ip": true, "public_ip_mbit": 10,
            "data_disks": [{"gib": 20}]});
        let bought = cloud.post(&poor, "/v1/instances", order(what)).await;
        let (address, disk) = (text(&bought, "public_address"), bought["data_disks"][0].as_str().unwrap().to_owned());
        cloud.until("12:30:00").await;
        let balance = cloud.get(&poor, "/v1/balance").await;
        assert_eq!(balance["arrears"]["state"], "frozen", "{balance:#}");
        cloud.until("14:00:00").await;
        let own = records(&cloud, &poor, &address).await;
        assert_eq!(own.last().unwrap(), "13:00:00-14:00:00 3600 0.30 0.30000000");
        let last = async || {
            let bill = cloud.get(&poor, "/v1/bills").await;
            let of = bill["records"].as_array().unwrap().iter().rfind(|one| one["resource"] == disk.as_str()).cloned();
            text(&of.unwrap(), "until")
        };
        assert_eq!(last().await, "2026-03-02T06:00:00Z");
        assert!(!records(&cloud, &poor, &other).await.last().unwrap().contains("14:00:00"));
        // What goes with the subscription goes on to its end.
        cloud.delete(&poor, &text(&bought, "id")).await;
        cloud.wait(3_700).await;
        let after = records(&cloud, &poor, &address).await;
        cloud.wait(3_600).await;
        assert_eq!(records(&cloud, &poor, &address).await, after, "its end is theirs");
        assert_eq!(last().await, "2026-03-02T06:00:00Z");
        cloud.nothing_broke().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_owes_may_have_less_bandwidth_and_not_more() {
    let cloud = Cloud::with(On::Sqlite, &ROOM, Behaviour::default()).await;
    let poor = cloud.tenant("Poor", "individual", "0.4").await;
    let address = allocate(&cloud, &poor, 10).await;
    cloud.until("12:30:00").await;
    assert_eq!(cloud.get(&poor, "/v1/balance").await["arrears"]["state"], "grace");
    let path = format!("/v1/addresses/{address}/charge");
    let more = json!({"charge": "bandwidth", "mbit": 11});
    assert_eq!(cloud.refused(&poor, &path, more).await.0, 402);
    assert_eq!(charge(&cloud, &poor, &address, Some(9)).await["mbit"], 9);
    assert_eq!(charge(&cloud, &poor, &address, None).await["mbit"], json!(null));
    assert_eq!(cloud.refused(&poor, &path, json!({"charge": "bandwidth", "mbit": 1})).await.0, 402);
    cloud.nothing_broke().await;
}

/// A new price holds for it from its date on, and its owner is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bandwidth_follows_the_price_book() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = Cloud::changed(on, &ROOM, |catalog: &mut Catalog| {
            let prices = json!([{"price": "0.03"}, {"from": "2026-03-02T09:30:00+08:00", "price": "0.04"}]);
            catalog.regions[0].bandwidth = Some(serde_json::from_value(prices).unwrap());
        })
        .await;
        let address = allocate(&cloud, "enterprise", 10).await;
        cloud.until("10:00:00").await;
        let lines = records(&cloud, "enterprise", &address).await;
        assert_eq!(lines[1..], ["09:00:00-09:30:00 1800 0.30 0.15000000", "09:30:00-10:00:00 1800 0.40 0.20000000"]);
        let forecast = cloud.get("enterprise", "/v1/forecast").await;
        assert!(forecast.to_string().contains("expected"), "{forecast:#}");
        cloud.nothing_broke().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_counts_what_was_bought_with_an_instance_that_still_starts() {
    let slow = Behaviour { start_millis: 60_000, ..Behaviour::default() };
    let cloud = Cloud::with(On::Sqlite, &ROOM, slow).await;
    let what = json!({"option": "on-demand", "flavor": "t6.small.1", "public_ip": true, "public_ip_mbit": 10});
    let bought = cloud.post("enterprise", "/v1/instances", order(what)).await;
    assert_eq!(cloud.state("enterprise", &text(&bought, "id")).await, "starting");
    let least = async || {
        let (_, refused) = cloud.ask("enterprise", Method::POST, "/v1/cap", Some(json!({"amount": "1"}))).await;
        assert_eq!(refused["code"], "cap-too-low");
        let (_, least) = refused["message"].as_str().unwrap().split_once("the least is ").unwrap();
        least.split(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let before = least().await;
    cloud.wait(61).await;
    let after = least().await;
    // 0.30 an hour to the end of the month, and a minute of it is over.
    assert!(before > 200.0 && before - after < 0.01, "{before} {after}");
}
