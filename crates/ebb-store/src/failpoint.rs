//! Where can a test kill the process, to see whether what follows was needed?
//!
//! `EBB_FAILPOINT=commit.launch:3` aborts the process at the third hit of `commit.launch`, as `kill -9` would: no
//! destructor runs, nothing is flushed. `EBB_FAILPOINT_LOG=file` appends the name of each failpoint at its first hit,
//! so that a test can learn which ones exist and try them all. Both are read once.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Says that the program is at the point called `name`. Costs one load when neither variable is set.
pub fn failpoint(name: &str) {
    if let Some(armed) = armed() {
        armed.hit(name);
    }
}

/// The failpoint after a commit, once for each unit in it: durable, and nobody was told.
pub(crate) fn committed(unit: &str) {
    if let Some(armed) = armed() {
        armed.hit(&format!("commit.{unit}"));
    }
}

struct Armed {
    target: Option<(String, u64)>,
    log: Option<File>,
    hits: Mutex<HashMap<String, u64>>,
}

fn armed() -> Option<&'static Armed> {
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    ARMED.get_or_init(Armed::from_env).as_ref()
}

impl Armed {
    fn from_env() -> Option<Armed> {
        let target = std::env::var("EBB_FAILPOINT").ok().map(|text| parse(&text));
        let log = std::env::var_os("EBB_FAILPOINT_LOG").map(|path| {
            OpenOptions::new().create(true).append(true).open(path).expect("EBB_FAILPOINT_LOG should be writable")
        });
        let wanted = target.is_some() || log.is_some();
        wanted.then(|| Armed { target, log, hits: Mutex::default() })
    }

    fn hit(&self, name: &str) {
        let mut hits = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
        let count = hits.entry(name.to_owned()).or_insert(0);
        *count += 1;
        if *count == 1
            && let Some(mut log) = self.log.as_ref()
        {
            // One write, so that lines of several processes that share the file do not mix.
            log.write_all(format!("{name}\n").as_bytes()).expect("EBB_FAILPOINT_LOG should be writable");
        }
        if self.target.as_ref().is_some_and(|(target, at)| target == name && at == count) {
            std::process::abort();
        }
    }
}

/// A mistyped failpoint must not pass for a test that survived it.
fn parse(text: &str) -> (String, u64) {
    text.rsplit_once(':')
        .and_then(|(name, at)| Some((name.to_owned(), at.parse().ok()?)))
        .unwrap_or_else(|| panic!("EBB_FAILPOINT should be name:n, not {text:?}"))
}
