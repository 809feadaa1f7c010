//! Which units of work may run at the same time?
//!
//! Units with an equal key run one after the other in this process: they would only take turns in losing their guards.
//! A key is taken with its first unit and let go after it; units behind it wait in its own line, so that a busy key
//! costs the others nothing. Background units are handed to writers of their own.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::unit::{Job, Lane};

#[derive(Default)]
pub(crate) struct Queue {
    lines: Mutex<Lines>,
    /// By lane.
    changed: [Notify; 2],
}

#[derive(Default)]
struct Lines {
    /// Keys that have a unit waiting and none running, in order of arrival, by the lane of that unit.
    ready: [VecDeque<Arc<str>>; 2],
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
        let lines = &mut *lines;
        let (key, lane) = (job.key.clone(), job.lane);
        match lines.waiting.entry(key.clone()) {
            Entry::Occupied(mut line) => {
                let line = line.get_mut();
                // Before what waits in the background.
                let place = line.iter().position(|other| lane == Lane::Front && other.lane == Lane::Back);
                line.insert(place.unwrap_or(line.len()), job);
                let ready = &mut lines.ready[Lane::Back as usize];
                if place == Some(0)
                    && let Some(at) = ready.iter().position(|waiting| *waiting == key)
                {
                    ready.remove(at);
                    lines.ready[lane as usize].push_back(key);
                }
            }
            Entry::Vacant(line) => {
                line.insert(VecDeque::from([job]));
                lines.ready[lane as usize].push_back(key);
            }
        }
        self.changed[lane as usize].notify_one();
        Ok(())
    }

    /// Up to `most` jobs of a lane with distinct keys; waits for the first. `None` once the queue is closed and empty.
    pub(crate) async fn take(&self, lane: Lane, most: usize) -> Option<Vec<Job>> {
        loop {
            let changed = self.changed[lane as usize].notified();
            if let Some(taken) = self.take_ready(lane, most) {
                return taken;
            }
            changed.await;
        }
    }

    fn take_ready(&self, lane: Lane, most: usize) -> Option<Option<Vec<Job>>> {
        let mut lines = self.lock();
        let lines = &mut *lines;
        let ready = &mut lines.ready[lane as usize];
        let count = ready.len().min(most);
        let keys: Vec<_> = ready.drain(..count).collect();
        let next = |key| lines.waiting.get_mut(key).and_then(VecDeque::pop_front).expect("a ready key has a unit");
        let jobs: Vec<Job> = keys.iter().map(next).collect();
        if !ready.is_empty() {
            self.changed[lane as usize].notify_one();
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
            match lines.waiting.get(key).and_then(|line| line.front()).map(|job| job.lane) {
                Some(lane) => lines.ready[lane as usize].push_back(key.clone()),
                None => drop(lines.waiting.remove(key)),
            }
        }
        let (ready, closed) = (lines.ready.each_ref().map(|ready| !ready.is_empty()), lines.closed);
        drop(lines);
        for (changed, ready) in self.changed.iter().zip(ready) {
            if closed {
                changed.notify_waiters();
            } else if ready {
                changed.notify_one();
            }
        }
    }

    /// Takes no more units; those that wait are still carried out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.iter().for_each(Notify::notify_waiters);
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    fn job(lane: Lane, name: &'static str) -> Job {
        let decide: crate::unit::Decide = Arc::new(|_| unreachable!("nobody carries it out"));
        Job { lane, name, key: "a".into(), decide, reply: oneshot::channel().0 }
    }

    #[tokio::test]
    async fn who_asks_goes_before_what_waits_in_the_background() {
        let queue = Queue::default();
        for job in [job(Lane::Back, "first"), job(Lane::Back, "second"), job(Lane::Front, "asked")] {
            assert!(queue.submit(job).is_ok());
        }
        let mut order = vec![];
        for lane in [Lane::Front, Lane::Back, Lane::Back] {
            let taken = queue.take(lane, 9).await.unwrap();
            assert!(
                [Lane::Front, Lane::Back].into_iter().all(|lane| queue.take_ready(lane, 9).is_none()),
                "one at a time"
            );
            queue.finish(&taken.iter().map(|job| job.key.clone()).collect::<Vec<_>>());
            order.extend(taken.iter().map(|job| job.name));
        }
        assert_eq!(order, ["asked", "first", "second"]);
        queue.close();
        assert!(queue.take(Lane::Front, 9).await.is_none());
    }
}
