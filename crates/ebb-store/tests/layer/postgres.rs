//! What is promised on PostgreSQL alone?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use ebb_store::{Halt, Kind, StoreError, args, query};
use ebb_testing::TempPostgres;
use futures_util::future::join_all;

use crate::home::{Home, raise};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_connection_loses_no_unit_and_doubles_none() {
    let home = Home::new(Kind::Postgres).await;
    home.add("a", 9).await;
    let database = home.store.rows(query("select current_database() as name", args![])).await.unwrap();
    let database = database[0].text("name").to_owned();
    let stop = Arc::new(AtomicBool::new(false));
    let (certain, unknown) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let task = |number: u64| {
        let (store, stop) = (home.store.clone(), stop.clone());
        let (certain, unknown) = (certain.clone(), unknown.clone());
        tokio::spawn(async move {
            while !stop.load(SeqCst) {
                match store.unit("raise", &number.to_string(), |reads| raise(reads, "a")).await {
                    Ok(_) => certain.fetch_add(1, SeqCst),
                    Err(Halt::Store(StoreError::Unknown { .. })) => unknown.fetch_add(1, SeqCst),
                    Err(Halt::Store(StoreError::Contended)) => 0,
                    Err(error) => panic!("{error:?}"),
                };
            }
        })
    };
    let tasks: Vec<_> = (0..4).map(task).collect();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let kill = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()";
        let kill = format!("{kill} and datname = '{database}'");
        TempPostgres::start().execute("postgres", &kill).await;
    }
    stop.store(true, SeqCst);
    join_all(tasks).await.into_iter().for_each(|joined| joined.unwrap());
    let used = home.used("a").await as u64;
    let (certain, unknown) = (certain.load(SeqCst), unknown.load(SeqCst));
    assert!(certain <= used && used <= certain + unknown, "{certain} certain, {unknown} unknown, {used} happened");
    assert!(certain > 0 && home.store.counters().reconnects > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_share_a_database() {
    let home = Home::new(Kind::Postgres).await;
    home.add("a", 9).await;
    let other = home.again().await.unwrap();
    let task = |number: u64| {
        let store = if number.is_multiple_of(2) { home.store.clone() } else { other.clone() };
        tokio::spawn(async move {
            for _ in 0..50 {
                store.unit("raise", "a", |reads| raise(reads, "a")).await.unwrap();
            }
        })
    };
    join_all((0..8).map(task)).await.into_iter().for_each(|joined| joined.unwrap());
    assert_eq!(home.used("a").await, 400);
    assert_eq!(home.store.counters().units + other.counters().units, 401 + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_start_together_migrate_once() {
    let address = TempPostgres::start().database().await;
    let open = || ebb_store::Store::open(ebb_store::Place::Postgres(address.clone()));
    let stores = join_all((0..6).map(|_| open())).await;
    assert!(stores.iter().all(Result::is_ok), "{:?}", stores.into_iter().find_map(Result::err));
}
