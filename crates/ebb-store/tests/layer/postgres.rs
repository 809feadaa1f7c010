//! What is promised on PostgreSQL alone?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use ebb_store::{Decision, Halt, Kind, Place, Reads, Store, StoreError, args, query};
use ebb_testing::TempPostgres;
use futures_util::future::join_all;

use crate::home::{Home, raise};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_connection_loses_no_unit_and_doubles_none() {
    let home = Home::new(Kind::Postgres).await;
    home.add("a", 9).await;
    let database = home.database().to_owned();
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
    let open = || Store::open(Place::Postgres(address.clone()));
    let stores = join_all((0..6).map(|_| open())).await;
    assert!(stores.iter().all(Result::is_ok), "{:?}", stores.into_iter().find_map(Result::err));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_lock_rows_in_one_order() {
    let home = Home::new(Kind::Postgres).await;
    let other = home.again().await.unwrap();
    let database = home.database().to_owned();
    for number in 10..30 {
        home.add(&format!("c-{number}"), 1000).await;
    }
    let take = |store: &Store, number: u64| {
        let (store, id) = (store.clone(), format!("c-{number}"));
        async move {
            let decide = move |_| {
                let guard = "update counter set used = used + 1 where id = $1 and used + 1 <= capacity";
                let guards = vec![query(guard, args![&id])];
                async { Ok::<_, Halt<()>>(Decision { guards, writes: vec![], answer: () }) }
            };
            store.unit("take", &number.to_string(), decide).await.unwrap();
        }
    };
    // Somebody holds the middle row until both have all that they can get.
    let hold = "begin; select 1 from counter where id = 'c-20' for update; select pg_sleep(0.3); commit";
    let held = tokio::spawn(async move { TempPostgres::start().execute(&database, hold).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let upwards = join_all((10..30).map(|number| take(&home.store, number)));
    let downwards = join_all((10..30).rev().map(|number| take(&other, number)));
    tokio::join!(upwards, downwards);
    held.await.unwrap();
    // A connection that ends hands in its figures.
    other.close().await.unwrap();
    home.store.close().await.unwrap();
    let again = home.again().await.unwrap();
    let select = "select sum(deadlocks)::bigint as n from pg_stat_database where datname = current_database()";
    assert_eq!(again.rows(query(select, args![])).await.unwrap()[0].int("n"), 0);
    let select = "select cast(sum(used) as bigint) as n from counter";
    assert_eq!(again.rows(query(select, args![])).await.unwrap()[0].int("n"), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_with_one_token_both_get_its_answer() {
    let home = Home::new(Kind::Postgres).await;
    let other = home.again().await.unwrap();
    let create = |store: &Store, token: u64, answer: i64| {
        let (store, id) = (store.clone(), format!("token-{token}"));
        async move {
            let key = id.clone();
            let decide = move |reads: Reads| {
                let id = id.clone();
                async move {
                    let known = reads.row(query("select used from counter where id = $1", args![&id])).await?;
                    if let Some(known) = known {
                        return Ok::<_, Halt<()>>(Decision::unchanged(known.int("used")));
                    }
                    let insert = "insert into counter (id, generation, used) values ($1, 0, $2)";
                    Ok(Decision { guards: vec![], writes: vec![query(insert, args![&id, answer])], answer })
                }
            };
            store.unit("create", &key, decide).await.unwrap()
        }
    };
    for token in 0..200 {
        let (one, two) = tokio::join!(create(&home.store, token, 1), create(&other, token, 2));
        assert_eq!(one, two);
    }
}
