//! What is promised on SQLite alone?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use ebb_store::{Decision, Halt, Kind, StoreError, args, query};
use futures_util::future::join_all;

use crate::home::{Home, raise};

#[tokio::test]
async fn a_full_disk_leaves_nothing_and_passes() {
    for kind in [Kind::Memory, Kind::Sqlite] {
        let home = Home::new(kind).await;
        home.add("a", 9).await;
        // A limit on pages gives the same error as a disk without room.
        home.write("pragma max_page_count = 1", args![]).await.unwrap();
        let long = "x".repeat(1 << 20);
        let fill = move |_| {
            let write = query("update counter set used = 1, note = $1", args![long.as_str()]);
            async { Ok::<_, Halt<()>>(Decision { guards: vec![], writes: vec![write], answer: () }) }
        };
        let (full, small) =
            tokio::join!(home.store.unit("fill", "a", fill), home.store.unit("raise", "a", |reads| raise(reads, "a")));
        assert!(matches!(full, Err(Halt::Store(StoreError::DiskFull(_)))), "{full:?}");
        assert_eq!(small.unwrap(), 1);
        assert_eq!(home.counter("a").await.opt_text("note"), None);
        home.write("pragma max_page_count = 1000000", args![]).await.unwrap();
        let note = "y".repeat(1 << 20);
        home.write("update counter set note = $1", args![note.as_str()]).await.unwrap();
        assert_eq!(home.counter("a").await.text("note"), note);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_waits_for_one_background_unit_at_most() {
    let home = Home::new(Kind::Sqlite).await;
    home.add("a", 9).await;
    let begun = Arc::new(AtomicU64::new(0));
    let slow = |number: u64| {
        let (begun, store) = (begun.clone(), home.store.clone());
        async move {
            let decide = move |reads| {
                begun.fetch_add(1, SeqCst);
                // Longer than a turn, as an hour with thousands of records is.
                std::thread::sleep(Duration::from_millis(20));
                raise(reads, "a")
            };
            store.background_unit("slow", &number.to_string(), decide).await.unwrap()
        }
    };
    let all = tokio::spawn(join_all((0..20).map(slow)));
    while begun.load(SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for _ in 0..5 {
        let (before, seen, waited) = (begun.load(SeqCst), begun.clone(), Arc::new(AtomicU64::new(0)));
        let waited_for = waited.clone();
        let decide = move |reads| {
            waited_for.store(seen.load(SeqCst) - before, SeqCst);
            raise(reads, "a")
        };
        home.store.unit("raise", "a", decide).await.unwrap();
        assert!(waited.load(SeqCst) <= 1, "none begins while somebody waits, but at the same moment");
    }
    assert!(begun.load(SeqCst) < 20, "they were there all the time");
    all.await.unwrap();
    assert_eq!(home.used("a").await, 25);
}

#[tokio::test]
async fn a_decision_that_waits_is_refused() {
    let home = Home::new(Kind::Sqlite).await;
    home.add("a", 9).await;
    let waiting = |reads| async move {
        let decision = raise(reads, "a").await;
        std::future::pending::<()>().await;
        decision
    };
    let error = home.store.unit("wait", "a", waiting).await.unwrap_err();
    assert!(matches!(error, Halt::Store(StoreError::Panicked { .. })), "{error:?}");
    assert_eq!(home.store.unit("raise", "a", |reads| raise(reads, "a")).await.unwrap(), 1);
}

#[tokio::test]
async fn a_decision_may_not_write_while_it_reads() {
    let home = Home::new(Kind::Sqlite).await;
    home.add("a", 9).await;
    let sneaky = |reads: ebb_store::Reads| async move {
        reads.rows(query("update counter set used = 5 returning id", args![])).await?;
        Ok::<_, Halt<()>>(Decision::unchanged(()))
    };
    let error = home.store.unit("sneak", "a", sneaky).await.unwrap_err();
    assert!(matches!(error, Halt::Store(StoreError::WritingRead { .. })), "{error:?}");
    assert_eq!(home.used("a").await, 0);
}

#[tokio::test]
async fn the_writer_syncs_each_commit_and_checks_references() {
    let home = Home::new(Kind::Sqlite).await;
    let ask = |reads: ebb_store::Reads| async move {
        let sync = reads.row(query("pragma synchronous", args![])).await?.unwrap();
        let references = reads.row(query("pragma foreign_keys", args![])).await?.unwrap();
        let answer = (sync.int(0), references.int(0));
        Ok::<_, Halt<()>>(Decision::unchanged(answer))
    };
    const FULL: i64 = 2;
    assert_eq!(home.store.unit("ask", "a", ask).await.unwrap(), (FULL, 1));
    assert!(home.file().with_extension("db-wal").exists());
}
