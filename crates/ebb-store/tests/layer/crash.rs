//! What remains when the process dies between the commit and the answer?

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

use ebb_store::{Kind, Place, Store, args, query};

use crate::home::{Home, raise};

#[tokio::test]
async fn what_was_committed_before_a_crash_stays() {
    let home = Home::new(Kind::Sqlite).await;
    home.add("a", 9).await;
    home.store.close().await.unwrap();
    let log = home.file().with_file_name("failpoints");
    const SIGABRT: i32 = 6;
    assert_eq!(raise_in_a_child(home.file(), "commit.raise:3", &log).signal(), Some(SIGABRT));
    let store = home.again().await.unwrap();
    let row = &store.rows(query("select used, generation from counter", args![])).await.unwrap()[0];
    assert_eq!((row.int("used"), row.int("generation")), (3, 3));
    store.close().await.unwrap();
    assert!(raise_in_a_child(home.file(), "commit.raise:6", &log).success());
    // Each process names each failpoint once.
    assert_eq!(std::fs::read_to_string(log).unwrap(), "commit.raise\ncommit.raise\n");
}

/// Runs `child` in a process of its own, which alone can die.
fn raise_in_a_child(file: &Path, failpoint: &str, log: &Path) -> ExitStatus {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "crash::child", "--ignored"]).env("EBB_STORE_FILE", file);
    child.env("EBB_FAILPOINT", failpoint).env("EBB_FAILPOINT_LOG", log);
    child.output().unwrap().status
}

#[tokio::test]
#[ignore = "runs as the child of another test"]
async fn child() {
    let Some(file) = std::env::var_os("EBB_STORE_FILE") else { return };
    let store = Store::open(Place::Sqlite(file.into())).await.unwrap();
    for _ in 0..5 {
        store.unit("raise", "a", |reads| raise(reads, "a")).await.unwrap();
    }
}
