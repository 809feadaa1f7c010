//! What becomes of units of work, alone and together?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use ebb_store::{Decision, Halt, Kind, StoreError, args, query};
use futures_util::future::join_all;

use crate::home::{Home, raise};

crate::everywhere!(
    a_refusal_leaves_nothing,
    an_answer_may_change_nothing,
    a_lost_guard_is_decided_anew,
    a_guard_that_never_wins_gives_up,
    who_waits_for_others_spares_them_and_its_tries,
    a_second_guard_takes_the_first_back,
    increments_are_never_lost,
    background_units_take_turns_with_others,
    what_was_begun_in_the_background_is_finished,
    a_shared_capacity_is_never_exceeded,
    a_duplicate_key_is_told_apart,
    a_panicking_decision_spares_the_others,
    a_failing_unit_spares_its_batch,
    a_wide_guard_is_an_error,
    an_abandoned_unit_does_no_harm,
);

async fn a_refusal_leaves_nothing(home: Home) {
    home.add("a", 9).await;
    let before = home.store.counters();
    let refused = home.store.unit("raise", "b", |reads| raise(reads, "b")).await;
    assert!(matches!(refused, Err(Halt::Refused("no such counter"))), "{refused:?}");
    assert_eq!(home.store.counters(), before);
}

async fn an_answer_may_change_nothing(home: Home) {
    let before = home.store.counters();
    let answer = home.store.unit::<_, (), _, _>("ask", "a", |_| async { Ok(Decision::unchanged(42)) }).await;
    assert_eq!(answer.unwrap(), 42);
    assert_eq!(home.store.counters(), before);
}

async fn a_lost_guard_is_decided_anew(home: Home) {
    home.add("a", 9).await;
    home.write("update counter set generation = 7 where id = $1", args!["a"]).await.unwrap();
    let tries = Arc::new(AtomicU64::new(0));
    let counted = tries.clone();
    let decide = move |reads: ebb_store::Reads| {
        let tries = counted.clone();
        async move {
            let row = reads.row(query("select generation from counter where id = 'a'", args![])).await?.unwrap();
            // The first try believes in what is long gone, as if another process had been faster.
            let generation = if tries.fetch_add(1, SeqCst) == 0 { 3 } else { row.int("generation") };
            let guard = "update counter set generation = generation + 1 where id = 'a' and generation = $1";
            let write = "update counter set used = $1 where id = 'a'";
            Ok::<_, Halt<()>>(Decision {
                guards: vec![query(guard, args![generation])],
                writes: vec![query(write, args![generation])],
                answer: generation,
            })
        }
    };
    assert_eq!(home.store.unit("raise", "a", decide).await.unwrap(), 7);
    assert_eq!((tries.load(SeqCst), home.store.counters().lost_guards), (2, 1));
    let row = home.counter("a").await;
    assert_eq!((row.int("generation"), row.int("used")), (8, 7));
}

async fn a_guard_that_never_wins_gives_up(home: Home) {
    home.add("a", 9).await;
    let decide = |_| async {
        let guards = vec![query("update counter set generation = 1 where id = 'nobody'", args![])];
        let writes = vec![query("update counter set used = 1", args![])];
        Ok::<_, Halt<()>>(Decision { guards, writes, answer: () })
    };
    let error = home.store.unit("raise", "a", decide).await.unwrap_err();
    assert!(matches!(error, Halt::Store(StoreError::Contended)), "{error:?}");
    assert_eq!(home.used("a").await, 0);
}

async fn who_waits_for_others_spares_them_and_its_tries(home: Home) {
    home.add("a", 99).await;
    home.add("b", 99).await;
    let asked = Arc::new(AtomicU64::new(0));
    let waits = move |reads| {
        let asked = asked.clone();
        async move {
            // More often than a guard may be lost.
            match asked.fetch_add(1, SeqCst) {
                0..25 => Err(Halt::Store(StoreError::Ahead)),
                _ => raise(reads, "a").await,
            }
        }
    };
    let others = async {
        for _ in 0..20 {
            home.store.unit("raise", "b", |reads| raise(reads, "b")).await.unwrap();
        }
    };
    let (waited, ()) = tokio::join!(home.store.unit("wait", "a", waits), others);
    assert_eq!(waited.unwrap(), 1);
    assert_eq!((home.used("a").await, home.used("b").await), (1, 20));
    let counters = home.store.counters();
    assert_eq!((counters.lost_guards, counters.split_batches), (0, 0), "{counters:?}");
}

async fn a_second_guard_takes_the_first_back(home: Home) {
    home.add("a", 9).await;
    home.add("b", 9).await;
    let decide = |_| async {
        let first = query("update counter set used = used + 1 where id = 'a' and used + 1 <= capacity", args![]);
        let second = query("update counter set used = used + 10 where id = 'b' and used + 10 <= capacity", args![]);
        Ok::<_, Halt<()>>(Decision { guards: vec![first, second], writes: vec![], answer: () })
    };
    let (lost, won) =
        tokio::join!(home.store.unit("two", "a", decide), home.store.unit("raise", "b", |reads| raise(reads, "b")));
    assert!(matches!(lost, Err(Halt::Store(StoreError::Contended))), "{lost:?}");
    assert_eq!(won.unwrap(), 1);
    assert_eq!((home.used("a").await, home.used("b").await), (0, 1));
}

async fn increments_are_never_lost(home: Home) {
    home.add("a", 9).await;
    let task = |number: u64| {
        let store = home.store.clone();
        tokio::spawn(async move {
            for _ in 0..1000 / 32 + u64::from(number < 1000 % 32) {
                // Keys of their own, so that the units meet in one batch and in two writers.
                store.unit("raise", &format!("key-{}", number % 3), |reads| raise(reads, "a")).await.unwrap();
            }
        })
    };
    join_all((0..32).map(task)).await.into_iter().for_each(|joined| joined.unwrap());
    let row = home.counter("a").await;
    assert_eq!((row.int("used"), row.int("generation")), (1000, 1000));
    let counters = home.store.counters();
    assert_eq!(counters.units, 1002);
}

async fn background_units_take_turns_with_others(home: Home) {
    home.add("a", 9).await;
    let task = |number: u64| {
        let store = home.store.clone();
        tokio::spawn(async move {
            let key = format!("key-{}", number % 3);
            for _ in 0..20 {
                let raised = match number % 2 {
                    0 => store.unit("raise", &key, |reads| raise(reads, "a")).await,
                    _ => store.background_unit("raise", &key, |reads| raise(reads, "a")).await,
                };
                raised.unwrap();
            }
        })
    };
    join_all((0..8).map(task)).await.into_iter().for_each(|joined| joined.unwrap());
    assert_eq!(home.used("a").await, 160);
    // One that fails spares those that share its turn.
    let failing = |_| async {
        let writes = vec![query("insert into nowhere (id) values ('x')", args![])];
        Ok::<_, Halt<&'static str>>(Decision { guards: vec![], writes, answer: 0 })
    };
    let raising = |key| home.store.background_unit("raise", key, |reads| raise(reads, "a"));
    let (before, failed, after) =
        tokio::join!(raising("x"), home.store.background_unit("fail", "y", failing), raising("z"));
    assert!(before.is_ok() && failed.is_err() && after.is_ok(), "{before:?} {failed:?} {after:?}");
    assert_eq!(home.used("a").await, 162);
}

async fn what_was_begun_in_the_background_is_finished(home: Home) {
    home.add("a", 9).await;
    let store = home.store.clone();
    let raise = move |number: u64| {
        let store = store.clone();
        async move { store.background_unit("raise", &number.to_string(), |reads| raise(reads, "a")).await }
    };
    let raising = tokio::spawn(join_all((0..10).map(raise)));
    while home.used("a").await == 0 {
        tokio::task::yield_now().await;
    }
    home.store.close().await.unwrap();
    let raised = raising.await.unwrap().into_iter().filter(Result::is_ok).count();
    // One that lost its guard meanwhile comes too late to be decided anew.
    assert!((1..=10).contains(&raised), "{raised}");
    if home.store.kind() != Kind::Memory {
        let rows = home.again().await.unwrap().rows(query("select used from counter", args![])).await.unwrap();
        assert_eq!(rows[0].int("used"), raised as i64);
    }
}

async fn a_shared_capacity_is_never_exceeded(home: Home) {
    home.add("host", 40).await;
    let take = |number: u64| {
        let store = home.store.clone();
        let decide = move |reads: ebb_store::Reads| async move {
            let row = reads.row(query("select used, capacity from counter where id = 'host'", args![])).await?.unwrap();
            if row.int("used") + 3 > row.int("capacity") {
                return Err(Halt::Refused("full"));
            }
            let guard = "update counter set used = used + $1 where id = 'host' and used + $1 <= capacity";
            Ok(Decision { guards: vec![query(guard, args![3])], writes: vec![], answer: () })
        };
        async move { store.unit("take", &number.to_string(), decide).await }
    };
    let taken = join_all((0..64).map(take)).await;
    assert_eq!(taken.iter().filter(|each| each.is_ok()).count(), 13);
    assert!(taken.iter().all(|each| matches!(each, Ok(()) | Err(Halt::Refused("full")))), "{taken:?}");
    assert_eq!(home.used("host").await, 39);
}

async fn a_duplicate_key_is_told_apart(home: Home) {
    home.add("a", 9).await;
    let insert = "insert into counter (id, generation, used) values ($1, 0, 0)";
    let duplicate = home.write(insert, args!["a"]).await.unwrap_err();
    assert!(matches!(duplicate, Halt::Store(StoreError::Duplicate { .. })), "{duplicate:?}");
    let missing = home.write("insert into counter (id) values ($1)", args!["b"]).await.unwrap_err();
    assert!(matches!(missing, Halt::Store(StoreError::Database { .. })), "{missing:?}");
}

async fn a_panicking_decision_spares_the_others(home: Home) {
    home.add("a", 99).await;
    let panicking = |_| async { panic!("oh no") };
    let unit = |number: u64| {
        let store = home.store.clone();
        async move {
            let key = number.to_string();
            match number % 5 {
                0 => store.unit::<i64, &str, _, _>("panic", &key, panicking).await,
                _ => store.unit("raise", &key, |reads| raise(reads, "a")).await,
            }
        }
    };
    let done = join_all((0..20).map(unit)).await;
    for (number, each) in done.into_iter().enumerate() {
        match (number % 5, each) {
            (0, Err(Halt::Store(StoreError::Panicked { what: "panic", message }))) => assert_eq!(message, "oh no"),
            (0, other) => panic!("{other:?}"),
            (_, each) => drop(each.unwrap()),
        }
    }
    assert_eq!(home.used("a").await, 16);
    assert!(home.store.counters().panics >= 4);
}

async fn a_failing_unit_spares_its_batch(home: Home) {
    home.add("a", 99).await;
    // How many units share a transaction is the machine's business; in one of a few rounds a failing one is not alone.
    for round in 1..=100 {
        fail_every_tenth(&home, round).await;
        if home.store.counters().split_batches >= 1 {
            return;
        }
    }
    panic!("no failing unit ever had company: {:?}", home.store.counters());
}

/// A hundred units, of which every tenth fails in its second statement; the first must not stay.
async fn fail_every_tenth(home: &Home, round: i64) {
    let unit = |number: u64| {
        let store = home.store.clone();
        let decide = move |_| async move {
            let insert = "insert into counter (id, generation, used) values ($1, 0, 0)";
            let note = "insert into counter (id, generation, used, note) values ($1, 0, 0, 'before')";
            let id = if number.is_multiple_of(10) { "a".to_owned() } else { format!("new-{round}-{number}") };
            let writes = vec![query(note, args![format!("first-{round}-{number}")]), query(insert, args![id])];
            Ok::<_, Halt<()>>(Decision { guards: vec![], writes, answer: number })
        };
        async move { store.unit("insert", &number.to_string(), decide).await }
    };
    let done = join_all((0..100).map(unit)).await;
    for (number, each) in (0..100).zip(done) {
        match each {
            Ok(answer) => assert_eq!(answer, number),
            Err(Halt::Store(StoreError::Duplicate { .. })) => assert_eq!(number % 10, 0),
            other => panic!("{other:?}"),
        }
    }
    let count = "select count(*) as n, count(note) as notes from counter";
    let row = &home.store.rows(query(count, args![])).await.unwrap()[0];
    assert_eq!((row.int("n"), row.int("notes")), (1 + 180 * round, 90 * round));
}

async fn a_wide_guard_is_an_error(home: Home) {
    home.add("a", 9).await;
    home.add("b", 9).await;
    let decide = |_| async {
        let guards = vec![query("update counter set used = used + 1", args![])];
        Ok::<_, Halt<()>>(Decision { guards, writes: vec![], answer: () })
    };
    let error = home.store.unit("wide", "a", decide).await.unwrap_err();
    assert!(matches!(error, Halt::Store(StoreError::WideGuard { rows: 2, .. })), "{error:?}");
    assert_eq!(home.used("a").await, 0);
}

async fn an_abandoned_unit_does_no_harm(home: Home) {
    home.add("a", 9).await;
    for _ in 0..20 {
        let abandoned = home.store.unit("raise", "a", |reads| raise(reads, "a"));
        let _ = tokio::time::timeout(std::time::Duration::ZERO, abandoned).await;
    }
    let used = home.store.unit("raise", "a", |reads| raise(reads, "a")).await.unwrap();
    let row = home.counter("a").await;
    assert_eq!((row.int("used"), row.int("generation")), (used, used));
    if home.store.kind() == Kind::Postgres {
        assert_eq!(home.store.counters().reconnects, 0);
    }
}
