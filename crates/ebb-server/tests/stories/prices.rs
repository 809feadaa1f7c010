//! Prices with dates: a new one holds from its second on, what is over keeps its own, and a wrong catalog is refused with its line.

use crate::cloud::{Cloud, Directory, OPERATOR, On, Service, block, order};
use crate::receiver::{Mood, Receiver};
use crate::subscriptions::confirmed;
use crate::trial_end::{events, progress, told, trial};
use ebb_driver::fake::Behaviour;
use ebb_model::catalog::Catalog;
use ebb_model::money::Amount;
use ebb_model::price::Prices;
use ebb_model::time::Timestamp;
use ebb_store::{Decision, Place, Store, query};
use ebb_testing::TempPostgres;
use reqwest::Method;
use serde_json::{Value, json};

const FLAVOR: &str = "c6.large.2";

fn prices(first: &str, later: &[(&str, &str)]) -> Prices {
    let later = later.iter().map(|(from, price)| (from.parse::<Timestamp>().unwrap().second(), price.parse().unwrap()));
    Prices::new(first.parse().unwrap(), later)
}

fn on_demand() -> Value {
    json!({ "option": "on-demand", "flavor": FLAVOR })
}

fn set(catalog: &mut Catalog, flavor: &str, wanted: Prices) {
    let known = catalog.flavors.iter_mut().find(|known| known.id == flavor).unwrap();
    known.on_demand = Some(wanted);
}

/// From half past nine in Shanghai on the flavor costs 0.45 instead of 0.39, and its disk 0.032 instead of 0.02.
fn at_half_past_nine(catalog: &mut Catalog) {
    set(catalog, FLAVOR, prices("0.39", &[("2026-03-02T09:30:00+08:00", "0.45")]));
    catalog.system_disk.price = prices("0.0005", &[("2026-03-02T09:30:00+08:00", "0.0008")]);
}

async fn to(cloud: &Cloud, instant: &str) {
    cloud.post("operator", "/v1/clock/advance", json!({ "to": instant })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_hour_is_split_at_the_second_of_a_new_price() {
    told(at_half_past_nine, async |cloud| {
        let quote = cloud.post("individual", "/v1/quote", order(on_demand())).await;
        assert_eq!((&quote["price"], &quote["system_disk_price"]), (&json!("0.39"), &json!("0.02")));
        let coming = json!([{ "from": "2026-03-02T01:30:00Z", "price": "0.45", "system_disk_price": "0.032" }]);
        assert_eq!(quote["coming"], coming);
        let id = cloud.buy("individual", on_demand()).await;
        cloud.until("09:29:59").await;
        assert_eq!(cloud.instance("individual", &id).await["price"], "0.39");
        cloud.until("09:30:00").await;
        let shown = cloud.instance("individual", &id).await;
        assert_eq!((&shown["price"], &shown["system_disk_price"]), (&json!("0.45"), &json!("0.032")));
        let held = cloud.get("individual", "/v1/balance").await["held"].clone();
        cloud.until("11:00:00").await;
        // 90 s × 0.39 / 3600 = 0.00975; half an hour of 0.39 and one of 0.45; then a whole one.
        let compute = [
            "08:58:30-09:00:00 90 0.39 0.00975000",
            "09:00:00-09:30:00 1800 0.39 0.19500000",
            "09:30:00-10:00:00 1800 0.45 0.22500000",
            "10:00:00-11:00:00 3600 0.45 0.45000000",
        ];
        assert_eq!(cloud.records("individual", &id, "compute").await, compute);
        let disk = [
            "08:58:30-09:00:00 90 0.02 0.00050000",
            "09:00:00-09:30:00 1800 0.02 0.01000000",
            "09:30:00-10:00:00 1800 0.032 0.01600000",
            "10:00:00-11:00:00 3600 0.032 0.03200000",
        ];
        assert_eq!(cloud.records("individual", &id, "system-disk").await, disk);
        assert_eq!(held, "0.00000000", "its first hour was closed at nine, so nothing is held back any more");
        let changed = events(&cloud, "individual", "price-changed").await;
        assert_eq!(changed.len(), 1);
        let body = json!({ "event": "price-changed", "price": "0.45", "disk_price": "0.032", "since": "2026-03-02T01:30:00Z" });
        assert_eq!(changed[0]["body"], body);
        let again = cloud.post("individual", "/v1/quote", order(on_demand())).await;
        assert_eq!((&again["price"], &again["coming"]), (&json!("0.45"), &Value::Null));
        // Whoever expects the price of before is refused.
        let expecting = json!({ "option": "on-demand", "flavor": FLAVOR, "expected_price": "0.39" });
        assert_eq!(cloud.refused("individual", "/v1/instances", order(expecting)).await, (409, "price-changed".to_owned()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_keeps_its_prices_for_all_of_its_periods() {
    let change = |catalog: &mut Catalog| {
        at_half_past_nine(catalog);
        let known = catalog.flavors.iter_mut().find(|known| known.id == FLAVOR).unwrap();
        known.spot.as_mut().unwrap().prices[0] = prices("0.07", &[("2026-03-02T09:30:00+08:00", "0.09")]);
    };
    told(change, async |cloud| {
        let before = cloud.buy("individual", block(1)).await;
        cloud.until("09:30:00").await;
        let after = cloud.buy("individual", block(1)).await;
        cloud.until("11:00:00").await;
        let compute = ["08:58:30-09:00:00 90 0.07 0.00175000", "09:00:00-09:58:30 3510 0.07 0.06825000"];
        assert_eq!(cloud.records("individual", &before, "compute").await, compute);
        // The disk's too, though it is billed by the hour.
        let disk = ["08:58:30-09:00:00 90 0.02 0.00050000", "09:00:00-09:58:30 3510 0.02 0.01950000"];
        assert_eq!(cloud.records("individual", &before, "system-disk").await, disk);
        let compute = ["09:30:00-10:00:00 1800 0.09 0.04500000", "10:00:00-10:30:00 1800 0.09 0.04500000"];
        assert_eq!(cloud.records("individual", &after, "compute").await, compute);
        assert_eq!(cloud.instance("individual", &before).await["price"], "0.07");
        assert_eq!(events(&cloud, "individual", "price-changed").await.len(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_and_a_start_in_the_second_of_a_change_have_one_price_on_each_side() {
    let change = |catalog: &mut Catalog| {
        let dates = [("2026-03-02T09:30:00+08:00", "0.45"), ("2026-03-02T10:15:00+08:00", "0.50")];
        set(catalog, FLAVOR, prices("0.39", &dates));
    };
    told(change, async |cloud| {
        let id = cloud.buy("individual", on_demand()).await;
        // Its guest does not obey, so it is switched off after a minute.
        cloud.until("09:29:00").await;
        cloud.post("individual", &format!("/v1/instances/{id}/stop"), json!({ "economical": true })).await;
        cloud.until("10:15:00").await;
        cloud.post("individual", &format!("/v1/instances/{id}/start"), json!(null)).await;
        cloud.until("10:30:00").await;
        cloud.delete("individual", &id).await;
        cloud.until("11:00:00").await;
        let compute = [
            "08:58:30-09:00:00 90 0.39 0.00975000",
            "09:00:00-09:30:00 1800 0.39 0.19500000",
            "10:15:00-10:30:00 900 0.50 0.12500000",
        ];
        assert_eq!(cloud.records("individual", &id, "compute").await, compute);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_did_not_run_yet_costs_what_holds_in_its_first_running_second() {
    for on in [On::Sqlite, On::Postgres] {
        let mut catalog = Cloud::catalog();
        at_half_past_nine(&mut catalog);
        let behaviour = Behaviour { start_millis: 120_000, ..Behaviour::default() };
        let cloud =
            Cloud::selling(catalog, on, &[("vcpu", 8), ("memory_mib", 16_384), ("disk_gib", 100)], behaviour).await;
        cloud.until("09:29:00").await;
        let id = cloud.buy("individual", on_demand()).await;
        assert_eq!(cloud.get("individual", "/v1/balance").await["held"], "0.41000000");
        cloud.until("10:00:00").await;
        assert_eq!(cloud.records("individual", &id, "compute").await, ["09:31:00-10:00:00 1740 0.45 0.21750000"]);
        cloud.nothing_broke().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resize_takes_the_price_of_its_second_and_the_changes_of_its_new_flavor() {
    let change = |catalog: &mut Catalog| {
        at_half_past_nine(catalog);
        set(catalog, "t6.small.1", prices("0.08", &[("2026-03-02T10:30:00+08:00", "0.10")]));
    };
    told(change, async |cloud| {
        let id = cloud.buy("individual", on_demand()).await;
        cloud.until("10:00:00").await;
        cloud.post("individual", &format!("/v1/instances/{id}/stop"), json!(null)).await;
        cloud.wait(60).await;
        let small = json!({ "flavor": "t6.small.1" });
        let resized = cloud.post("individual", &format!("/v1/instances/{id}/resize"), small).await;
        assert_eq!((&resized["price_before"], &resized["instance"]["price"]), (&json!("0.45"), &json!("0.08")));
        cloud.until("11:00:00").await;
        let compute = [
            "10:00:00-10:01:00 60 0.45 0.00750000",
            "10:01:00-10:30:00 1740 0.08 0.03866667",
            "10:30:00-11:00:00 1800 0.10 0.05000000",
        ];
        assert_eq!(cloud.records("individual", &id, "compute").await[3..], compute);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trial_ends_at_the_second_that_was_foretold_over_a_change() {
    // With the disk at 0.02: 0.433 an hour, and from five days on 0.833, which is the cap.
    let change =
        |catalog: &mut Catalog| set(catalog, FLAVOR, prices("0.413", &[("2026-03-07T09:00:00+08:00", "0.813")]));
    told(change, async |cloud| {
        cloud.post("individual", "/v1/trial", json!(null)).await;
        cloud.until("09:00:00").await;
        let id = cloud.buy("individual", trial(FLAVOR)).await;
        // 120 h × 0.433 = 51.96; of the other 248.04 are 297 h of 0.833, and 0.639 for 2761 s.
        let end = "2026-03-19T10:46:01Z";
        let seconds = "2026-03-02T01:00:00Z".parse::<Timestamp>().unwrap().second().plus((120 + 297) * 3_600 + 2_761);
        assert_eq!(seconds.to_string(), end);
        assert_eq!(progress(&cloud, "individual").await["used_up_at"], end);
        to(&cloud, "2026-03-07T00:59:59Z").await;
        assert_eq!(progress(&cloud, "individual").await["hour"]["price"], "0.433");
        to(&cloud, "2026-03-07T01:00:00Z").await;
        let seen = progress(&cloud, "individual").await;
        assert_eq!((&seen["hour"]["price"], &seen["used_up_at"]), (&json!("0.833"), &json!(end)));
        to(&cloud, "2026-03-19T11:00:00Z").await;
        let ended = events(&cloud, "individual", "trial-ended").await;
        assert_eq!((ended.len(), &ended[0]["body"]["at"]), (1, &json!(end)));
        assert_eq!(cloud.instance("individual", &id).await["price"], "0.813");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trial_that_ends_in_the_second_of_a_change_goes_on_at_the_new_price() {
    // It is used up with 0.833 an hour after 1 296 518 s; on demand it begins a second later.
    let change = |catalog: &mut Catalog| set(catalog, FLAVOR, prices("0.813", &[("2026-03-17T01:08:39Z", "0.90")]));
    told(change, async |cloud| {
        cloud.post("individual", "/v1/trial", json!(null)).await;
        cloud.until("09:00:00").await;
        let id = cloud.buy("individual", trial(FLAVOR)).await;
        assert_eq!(progress(&cloud, "individual").await["used_up_at"], "2026-03-17T01:08:38Z");
        to(&cloud, "2026-03-17T02:00:00Z").await;
        let records = cloud.records("individual", &id, "compute").await;
        let last = records.last().unwrap();
        assert!(last.starts_with("09:08:39-10:00:00 3081 0.90 0.77025000"), "{last}");
        assert_eq!(cloud.instance("individual", &id).await["option"], "on-demand");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spending_cap_holds_over_a_change() {
    let change = |catalog: &mut Catalog| set(catalog, FLAVOR, prices("0.39", &[("2026-03-02T09:30:00+08:00", "0.78")]));
    told(change, async |cloud| {
        cloud.buy("individual", on_demand()).await;
        // The disk to the end of March: 711 h 1 min 30 s of 0.02 are 14.2205; 1.2795 are left, of which 0.20475 go by half past nine.
        let cap = cloud.post("individual", "/v1/cap", json!({ "amount": "15.5" })).await;
        // 1.07475 at 0.78 are 4960 s and a bit.
        assert_eq!(cap["acts_at"], "2026-03-02T02:52:40Z");
        to(&cloud, "2026-03-02T03:00:00Z").await;
        let reached = events(&cloud, "individual", "cap-reached").await;
        assert_eq!((reached.len(), &reached[0]["body"]["at"]), (1, &json!("2026-03-02T02:52:40Z")));
        to(&cloud, "2026-04-01T00:00:00+08:00").await;
        let bill = cloud.get("individual", "/v1/bills").await;
        let amount = |text: &str| text.parse::<Amount>().unwrap();
        let payable = amount(bill["settled_total"]["payable"].as_str().unwrap());
        assert!(amount("15.49") <= payable && payable <= amount("15.5"), "{payable}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_costs_what_holds_in_its_hour() {
    let change = |catalog: &mut Catalog| {
        catalog.regions[0].traffic = Some(prices("0.80", &[("2026-03-02T10:00:00+08:00", "1.20")]));
    };
    told(change, async |cloud| {
        let what = json!({ "option": "on-demand", "flavor": FLAVOR, "public_ip": true });
        let bought = cloud.post("individual", "/v1/instances", order(what)).await;
        let address = bought["public_address"].as_str().unwrap();
        let send = async || {
            let bytes = json!({ "bytes": 1_000_000_000 });
            cloud.post("individual", &format!("/v1/addresses/{address}/traffic"), bytes).await;
        };
        cloud.until("09:30:00").await;
        send().await;
        cloud.until("10:30:00").await;
        send().await;
        cloud.until("11:00:00").await;
        let bill = cloud.get("individual", "/v1/bills").await;
        let lines: Vec<String> = bill["traffic"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| {
                format!(
                    "{} {} {}",
                    line["since"].as_str().unwrap(),
                    line["price"].as_str().unwrap(),
                    line["amount"].as_str().unwrap()
                )
            })
            .collect();
        assert_eq!(lines, ["2026-03-02T01:00:00Z 0.80 0.80000000", "2026-03-02T02:00:00Z 1.20 1.20000000"]);
        assert_eq!(cloud.get("individual", "/v1/addresses").await["items"][0]["price"], "1.20");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_uses_something_is_told_once_before_it_costs_more() {
    let change = |catalog: &mut Catalog| {
        set(catalog, FLAVOR, prices("0.39", &[("2026-03-05T09:30:00+08:00", "0.45")]));
        catalog.prices.announce_days = 1;
    };
    told(change, async |cloud| {
        let receiver = Receiver::new(Mood::Willing).await;
        confirmed(&cloud, "individual", &receiver, json!(["price-changes"])).await;
        cloud.buy("individual", on_demand()).await;
        cloud.buy("enterprise", block(6)).await;
        for (instant, count) in
            [("2026-03-04T09:29:59+08:00", 0), ("2026-03-04T09:30:00+08:00", 1), ("2026-03-06T00:00:00+08:00", 1)]
        {
            to(&cloud, instant).await;
            assert_eq!(events(&cloud, "individual", "price-changes").await.len(), count, "{instant}");
        }
        let news = receiver.wait_for("dev.ebb.account.price-changes", 1).await.remove(0);
        let new = json!([{ "item": "on-demand c6.large.2", "before": "0.39", "price": "0.45" }]);
        let data = &news.event()["data"];
        assert_eq!((&data["from"], &data["prices"]), (&json!("2026-03-05T01:30:00Z"), &new));
        // Who has only a block keeps its price, and hears nothing.
        assert_eq!(events(&cloud, "enterprise", "price-changes").await.len(), 0);
    })
    .await;
}

/// The change comes at half past nine, and from ten past nine to twenty to eleven nobody is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_while_the_service_is_down_holds_from_its_second() {
    let postgres = Place::Postgres(TempPostgres::start().database().await);
    for store in [None, Some(postgres)] {
        let directory = Directory::new();
        let mut catalog = Cloud::catalog();
        at_half_past_nine(&mut catalog);
        let open =
            |catalog: Catalog, start: &'static str| Cloud::kept_from((directory.path(), store.clone()), catalog, start);
        let (cloud, ended) = open(catalog, "2026-03-02T08:58:30+08:00").await;
        let id = cloud.buy("individual", on_demand()).await;
        cloud.until("09:10:00").await;
        drop(cloud);
        ended.await.unwrap();
        // What is over may be left out of the file, if what holds now stands there.
        let mut catalog = Cloud::catalog();
        set(&mut catalog, FLAVOR, prices("0.45", &[]));
        catalog.system_disk.price = prices("0.0008", &[]);
        let (cloud, ended) = open(catalog, "2026-03-02T10:40:00+08:00").await;
        cloud.until("11:00:00").await;
        let compute = [
            "09:00:00-09:30:00 1800 0.39 0.19500000",
            "09:30:00-10:00:00 1800 0.45 0.22500000",
            "10:00:00-11:00:00 3600 0.45 0.45000000",
        ];
        assert_eq!(cloud.records("individual", &id, "compute").await[1..], compute);
        let changed = events(&cloud, "individual", "price-changed").await;
        assert_eq!((changed.len(), &changed[0]["body"]["since"]), (1, &json!("2026-03-02T01:30:00Z")));
        cloud.nothing_broke().await;
        drop(cloud);
        ended.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_price_of_the_past_is_refused_and_nothing_is_stored() {
    let directory = Directory::new();
    let sqlite = Place::Sqlite(directory.path().join("ebb.db"));
    for store in [sqlite, Place::Postgres(TempPostgres::start().database().await)] {
        let start = async |wanted: Prices| {
            let mut catalog = Cloud::catalog();
            set(&mut catalog, FLAVOR, wanted);
            Service::selling(catalog, store.clone(), directory.identity()).await
        };
        let shown = async |service: &Service| {
            let (_, catalog) = service.ask(OPERATOR, Method::GET, "/v1/catalog", json!(null)).await;
            let all = catalog["prices"].as_array().unwrap().clone();
            all.iter().filter(|price| price["item"] == "on-demand c6.large.2").cloned().collect::<Vec<_>>()
        };
        start(prices("0.39", &[])).await.unwrap().stop().await;
        for wrong in [prices("0.45", &[]), prices("0.39", &[("2026-01-01T00:00:00Z", "0.45")])] {
            let refused = start(wrong).await.err().unwrap().to_string();
            let says = refused.contains("flavor c6.large.2: on_demand: on-demand c6.large.2: 0.45 at ");
            assert!(says && refused.contains("where it was sold at 0.39"), "{refused}");
            assert!(refused.contains("give the new one a date after"), "{refused}");
        }
        let service = start(prices("0.39", &[])).await.unwrap();
        assert_eq!(shown(&service).await.len(), 1, "nothing of what was refused was kept");
        service.stop().await;
        let service = start(prices("0.39", &[("2126-01-01T00:00:00Z", "0.45")])).await.unwrap();
        assert_eq!(shown(&service).await[1]["from"], "2126-01-01T00:00:00Z");
        service.stop().await;
        // What is to come may be changed, and taken back.
        let service = start(prices("0.39", &[("2126-02-01T00:00:00Z", "0.50")])).await.unwrap();
        assert_eq!(shown(&service).await.len(), 2);
        service.stop().await;
        start(prices("0.39", &[])).await.unwrap().stop().await;
        let service = start(prices("0.39", &[])).await.unwrap();
        assert_eq!(shown(&service).await.len(), 1);
        service.stop().await;
    }
}

/// Two currencies never meet, bills are cut by the days of one time zone, and what is not released is somewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_installation_counts_in_does_not_change() {
    let directory = Directory::new();
    let sqlite = Place::Sqlite(directory.path().join("ebb.db"));
    for store in [sqlite, Place::Postgres(TempPostgres::start().database().await)] {
        let start = async |change: &dyn Fn(&mut Catalog)| {
            let mut catalog = Cloud::catalog();
            change(&mut catalog);
            Service::selling(catalog, store.clone(), directory.identity()).await
        };
        start(&|_| {}).await.unwrap().stop().await;
        let refused = start(&|catalog| catalog.currency = "USD".to_owned()).await.err().unwrap().to_string();
        assert!(refused.contains("it says USD, and this installation counts in CNY"), "{refused}");
        let moved = |catalog: &mut Catalog| catalog.time_zone = "Europe/Berlin".to_owned().try_into().unwrap();
        let refused = start(&moved).await.err().unwrap().to_string();
        assert!(refused.contains("this installation's days are those of Asia/Shanghai"), "{refused}");
        start(&|_| {}).await.unwrap().stop().await;
    }
    let directory = Directory::new();
    let (cloud, ended) = Cloud::kept_in(directory.path(), 8).await;
    cloud.buy("individual", json!({ "option": "on-demand", "flavor": FLAVOR })).await;
    drop(cloud);
    ended.await.unwrap();
    let mut catalog = Cloud::catalog();
    catalog.zones.retain(|zone| zone.id != "cn-beijing-a");
    let store = Place::Sqlite(directory.path().join("ebb.db"));
    let refused = Service::selling(catalog, store, directory.identity()).await.err().unwrap().to_string();
    assert!(refused.contains("zones: `cn-beijing-a` is gone, and 1 of its instances"), "{refused}");
}

#[tokio::test]
async fn what_is_on_sale_has_a_price_when_the_service_starts() {
    let directory = Directory::new();
    let mut catalog = Cloud::catalog();
    let late: Prices = serde_json::from_str(r#"[{"from":"2126-01-01T00:00:00Z","price":"0.39"}]"#).unwrap();
    set(&mut catalog, FLAVOR, late);
    let refused = Service::selling(catalog, Place::Memory, directory.identity()).await.err().unwrap().to_string();
    assert!(refused.contains("flavor c6.large.2: on_demand: it has no price before 2126-01-01T00:00:00Z"), "{refused}");
}

/// Also for what runs since before there was a price book, whose spans follow nothing yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_price_that_is_entered_later_holds_for_what_runs_already() {
    let postgres = Place::Postgres(TempPostgres::start().database().await);
    for store in [None, Some(postgres)] {
        let directory = Directory::new();
        let open = |catalog: Catalog| {
            Cloud::kept_from((directory.path(), store.clone()), catalog, "2026-03-02T08:58:30+08:00")
        };
        let (cloud, ended) = open(Cloud::catalog()).await;
        let id = cloud.buy("individual", on_demand()).await;
        let block = cloud.buy("individual", block(1)).await;
        let what = json!({ "option": "on-demand", "flavor": "t6.small.1", "public_ip": true });
        cloud.buy("individual", what).await;
        cloud.until("09:10:00").await;
        drop(cloud);
        ended.await.unwrap();
        forget_the_book(store.clone().unwrap_or(Place::Sqlite(directory.path().join("ebb.db")))).await;
        let mut catalog = Cloud::catalog();
        at_half_past_nine(&mut catalog);
        let (cloud, ended) = open(catalog).await;
        cloud.until("10:00:00").await;
        let compute = ["09:00:00-09:30:00 1800 0.39 0.19500000", "09:30:00-10:00:00 1800 0.45 0.22500000"];
        assert_eq!(cloud.records("individual", &id, "compute").await[1..], compute);
        let disk = ["09:00:00-09:30:00 1800 0.02 0.01000000", "09:30:00-10:00:00 1800 0.032 0.01600000"];
        assert_eq!(cloud.records("individual", &id, "system-disk").await[1..], disk);
        let of_block = ["09:00:00-09:58:30 3510 0.02 0.01950000"];
        assert_eq!(cloud.records("individual", &block, "system-disk").await[1..], of_block, "a block keeps its own");
        let told = events(&cloud, "individual", "price-changes").await;
        assert_eq!(told.len(), 1, "told when it was entered, since it is near");
        assert_eq!(told[0]["body"]["prices"].as_array().unwrap().len(), 2);
        drop(cloud);
        ended.await.unwrap();
    }
}

/// As a database is that was written by a version without prices that have dates.
async fn forget_the_book(place: Place) {
    let store = Store::open(place).await.unwrap();
    let done = store.unit::<_, (), _, _>("forget", "book", move |_| async move {
        let writes = vec![
            query("delete from price", vec![]),
            query("update span set item = null, units = null, later = null", vec![]),
        ];
        Ok(Decision { guards: vec![], writes, answer: () })
    });
    done.await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_limits_of_prices_and_sums_everything_works_or_is_refused() {
    let change = |catalog: &mut Catalog| {
        catalog.limits.instances_per_account = 1;
        catalog.limits.hold = false;
        for flavor in &mut catalog.flavors {
            flavor.spot = None;
            flavor.on_demand = Some(prices("999999.98", &[]));
        }
    };
    told(change, async |cloud| {
        let id = cloud.get("individual", "/v1/whoami").await["account"]["id"].as_str().unwrap().to_owned();
        let top_up = json!({ "amount": "1000000000" });
        let path = format!("/v1/accounts/{id}/top-ups");
        for _ in 0..39 {
            cloud.post("operator", &path, top_up.clone()).await;
        }
        let beyond = json!({ "amount": "1000000000.00000001" });
        assert_eq!(cloud.refused("operator", &path, beyond).await, (400, "bad-input".to_owned()));
        let balance = cloud.get("individual", "/v1/balance").await;
        let cash: Amount = balance["cash"].as_str().unwrap().parse().unwrap();
        let much = json!({ "amount": (Amount::from_units(4_000_000_000_000_000_001) - cash).to_string() });
        assert_eq!(cloud.refused("operator", &path, much).await, (400, "bad-input".to_owned()));
        cloud.until("09:00:00").await;
        cloud.buy("individual", json!({ "option": "on-demand", "flavor": FLAVOR })).await;
        // A million an hour: more than 64 bits of exact units hold after 107 days.
        cloud.wait(2_700 * 3_600).await;
        let after = cloud.get("individual", "/v1/balance").await;
        assert_eq!(after["settled"]["payable"], "2700000000.00000000");
        let left: Amount = after["cash"].as_str().unwrap().parse().unwrap();
        assert_eq!((cash - left).to_string(), "2700000000.00000000");
    })
    .await;
}
