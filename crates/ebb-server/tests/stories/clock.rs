//! A sandbox's time: the same calls give the same log, and everything due happens at its own instant.

use crate::cloud::{Cloud, On, block, order};
use ebb_driver::fake::Behaviour;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// A busy day, told twice.
async fn day(on: On) -> Vec<Value> {
    let slow = Behaviour {
        start_millis: 1_700,
        shutdown_millis: Some(2_300),
        remove_millis: 400,
        fail_next_start: true,
        ..Behaviour::default()
    };
    let cloud = Cloud::with(on, &[("vcpu", 4), ("memory_mib", 8_192), ("disk_gib", 1_000)], slow).await;
    let mut log = vec![];
    cloud.post("individual", "/v1/trial", json!(null)).await;
    for (who, what) in [
        ("enterprise", block(1)),
        ("individual", json!({"option": "trial", "flavor": "t6.small.1"})),
        ("enterprise", block(3)),
        ("individual", json!({"option": "on-demand", "flavor": "c6.large.2"})),
    ] {
        log.push(cloud.ask(who, Method::POST, "/v1/instances", Some(order(what))).await.1);
        log.push(cloud.wait(130).await);
    }
    log.push(cloud.wait(86_400).await);
    log.push(cloud.get("operator", "/v1/events?limit=1000").await);
    log.push(cloud.get("enterprise", "/v1/bills").await);
    log.push(cloud.get("individual", "/v1/bills").await);
    log
}

#[tokio::test]
async fn the_same_calls_with_the_same_seed_give_the_same_log() {
    let told = day(On::Sqlite).await;
    assert_eq!(told, day(On::Sqlite).await);
    // And on the other database.
    assert_eq!(told, day(On::Postgres).await);
    let events = told[told.len() - 3]["items"].as_array().unwrap();
    assert!(events.len() > 40, "{}", events.len());
    let instants: Vec<&str> = events.iter().map(|event| event["at"].as_str().unwrap()).collect();
    assert!(instants.is_sorted_by_key(|at| at.parse::<ebb_model::time::Timestamp>().unwrap()));
}

#[tokio::test]
async fn time_goes_forward_only() {
    let cloud = Cloud::new(On::Sqlite).await;
    for (what, code) in [
        (json!({"seconds": -1}), "bad-input"),
        (json!({"seconds": i64::MAX}), "bad-input"),
        (json!({"to": "2020-01-01T00:00:00Z"}), "bad-input"),
        (json!({"to": "tomorrow"}), "bad-input"),
        (json!({"seconds": 1, "to": "2027-01-01T00:00:00Z"}), "bad-input"),
        (json!({}), "bad-input"),
    ] {
        assert_eq!(cloud.refused("operator", "/v1/clock/advance", what).await.1, code);
    }
    assert_eq!(cloud.get("individual", "/v1/clock").await["now"], "2026-03-02T00:58:30Z");
}

#[tokio::test]
async fn the_books_balance_and_no_worker_panicked() {
    let cloud = Cloud::new(On::Sqlite).await;
    for hours in 1..=6 {
        cloud.buy("enterprise", block(hours)).await;
    }
    cloud.wait(7 * 3_600).await;
    cloud.nothing_broke().await;
    let balance = cloud.get("enterprise", "/v1/balance").await;
    // 1+2+3+4+5 hours at 0.07 and 6 at 0.12, and the disks at 0.02.
    assert_eq!(balance["settled"]["payable"], "2.19000000");
    assert_eq!((balance["cash"].as_str(), balance["held"].as_str()), (Some("9997.81000000"), Some("0.00000000")));
}

/// A host's clock may be behind, and its word late; the hour that it speaks of may be closed by then.
async fn late_word(on: On) {
    let behind = Behaviour { behind_millis: 10_000, ..Behaviour::default() };
    let cloud = Cloud::with(on, &[("vcpu", 4), ("memory_mib", 8_192), ("disk_gib", 1_000)], behind).await;
    let on_demand = || json!({"option": "on-demand", "flavor": "c6.large.2"});
    let first = cloud.buy("individual", on_demand()).await;
    cloud.until("08:59:00").await;
    cloud.delete("individual", &first).await;
    cloud.until("09:00:05").await;
    let second = cloud.buy("individual", on_demand()).await;
    // Somebody else's bill does not wait for it either.
    let other = cloud.buy("enterprise", on_demand()).await;
    cloud.until("10:00:00").await;
    let records = async |who, id| cloud.records(who, id, "compute").await;
    assert_eq!(records("individual", &first).await, ["08:58:20-08:59:00 40 0.39 0.00433333"]);
    assert_eq!(records("individual", &second).await, ["09:00:00-10:00:00 3600 0.39 0.39000000"]);
    assert_eq!(
        records("enterprise", &other).await,
        ["08:59:55-09:00:00 5 0.39 0.00054167", "09:00:00-10:00:00 3600 0.39 0.39000000"]
    );
    cloud.agrees().await;
}

#[tokio::test]
async fn an_hour_that_is_closed_stays_closed_whatever_a_host_says_later() {
    late_word(On::Sqlite).await;
    late_word(On::Postgres).await;
}

#[tokio::test]
async fn whoever_sends_slowly_keeps_nobody_waiting() {
    let cloud = Cloud::new(On::Sqlite).await;
    let mut slow = TcpStream::connect(cloud.endpoint.trim_start_matches("http://")).await.unwrap();
    let head = "POST /v1/quote HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ebb_sandbox_individual\r\ncontent-length: 9\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    tokio::time::timeout(Duration::from_secs(30), cloud.wait(1)).await.expect("a clock that waits for nobody");
}

#[tokio::test]
async fn whoever_hangs_up_leaves_nothing_half_done() {
    let slow = Behaviour { start_millis: 3_000, ..Behaviour::default() };
    let cloud = Cloud::with(On::Sqlite, &[("vcpu", 64), ("memory_mib", 262_144), ("disk_gib", 10_000)], slow).await;
    for turn in 0..40 {
        let id = cloud.buy("enterprise", block(1)).await;
        for seconds in [2, 4_000] {
            // Sometimes long enough, sometimes not.
            let patience = Duration::from_micros(500 * (turn % 8));
            let _ = tokio::time::timeout(patience, cloud.wait(seconds)).await;
            let _ = tokio::time::timeout(patience, cloud.delete("enterprise", &id)).await;
        }
    }
    cloud.wait(86_400).await;
    assert_eq!(cloud.get("enterprise", "/v1/instances").await["items"], json!([]));
    cloud.agrees().await;
}
