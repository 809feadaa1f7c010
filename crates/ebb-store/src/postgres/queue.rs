//! Which units of work may run at the same time?
//!
//! Units with an equal key run one after the other in this process: they would only take turns in losing their guards.
//! A key is taken with its first unit and let go after it; units behind it wait in its own line, so that a busy key
//! costs the others nothing.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::unit::Job;

#[derive(Default)]
pub(crate) struct Queue {
    lines: Mutex<Lines>,
    changed: Notify,
}

#[derive(Default)]
struct Lines {
    /// Keys that have a unit waiting and none running, in order of arrival.
    ready: VecDeque<Arc<str>>,
    /// The units behind each key that is ready or running.
    waiting: HashMap<Arc<str>, VecDeque<Job>>,
    closed: bool,
}

impl Queue {
    /// Gives the job back if the queue is closed.
    pub(crate) fn submit(&self, job: Job) -> Result<(), Job> {
        let mut lines = self.lock();
        if lines.closed {
            return Err(job);
        }
        let key = job.key.clone();
        match lines.waiting.entry(key.clone()) {
            Entry::Occupied(mut line) => line.get_mut().push_back(job),
            Entry::Vacant(line) => {
                line.insert(VecDeque::from([job]));
                lines.ready.push_back(key);
            }
        }
        drop(lines);
        self.changed.notify_one();
        Ok(())
    }

    /// Up to `most` jobs with distinct keys; waits for the first. `None` once the queue is closed and empty.
    pub(crate) async fn take(&self, most: usize) -> Option<Vec<Job>> {
        loop {
            let changed = self.changed.notified();
            if let Some(taken) = self.take_ready(most) {
                return taken;
            }
            changed.await;
        }
    }

    fn take_ready(&self, most: usize) -> Option<Option<Vec<Job>>> {
        let mut lines = self.lock();
        let count = lines.ready.len().min(most);
        let keys: Vec<_> = lines.ready.drain(..count).collect();
        let next = |key| lines.waiting.get_mut(key).and_then(VecDeque::pop_front).expect("a ready key has a unit");
        let jobs: Vec<Job> = keys.iter().map(next).collect();
        if !lines.ready.is_empty() {
            self.changed.notify_one();
        }
        match jobs.is_empty() {
            false => Some(Some(jobs)),
            true if lines.closed && lines.waiting.is_empty() => Some(None),
            true => None,
        }
    }

    /// Lets go of the keys of jobs that are done.
    pub(crate) fn finish(&self, keys: &[Arc<str>]) {
        let mut lines = self.lock();
        for key in keys {
            if lines.waiting.get(key).is_some_and(|line| !line.is_empty()) {
                lines.ready.push_back(key.clone());
            } else {
                lines.waiting.remove(key);
            }
        }
        let (ready, closed) = (!lines.ready.is_empty(), lines.closed);
        drop(lines);
        if closed {
            self.changed.notify_waiters();
        } else if ready {
            self.changed.notify_one();
        }
    }

    /// Takes no more units; those that wait are still carried out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
