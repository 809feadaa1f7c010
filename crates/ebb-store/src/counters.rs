//! What has the store done since it was opened?

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A reading of the counters, for `/metrics` and for tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Units that were committed with something written.
    pub units: u64,
    /// Commits; `units / commits` says how well units share them.
    pub commits: u64,
    /// Units that lost a guard and were decided anew.
    pub lost_guards: u64,
    /// Batches that were rolled back and run one by one.
    pub split_batches: u64,
    /// Connections to PostgreSQL that were made after the first ones.
    pub reconnects: u64,
    /// Panics in decisions and readers. Each is a bug.
    pub panics: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) units: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) lost_guards: AtomicU64,
    pub(crate) split_batches: AtomicU64,
    pub(crate) reconnects: AtomicU64,
    pub(crate) panics: AtomicU64,
}

impl Tally {
    pub(crate) fn read(&self) -> Counters {
        Counters {
            units: self.units.load(Relaxed),
            commits: self.commits.load(Relaxed),
            lost_guards: self.lost_guards.load(Relaxed),
            split_batches: self.split_batches.load(Relaxed),
            reconnects: self.reconnects.load(Relaxed),
            panics: self.panics.load(Relaxed),
        }
    }
}

pub(crate) fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Relaxed);
}
