//! What time is it for the service? What is handed out never goes back (rules §1.5).

use ebb_driver::wall::{self, Leap, Wall};
use ebb_model::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::Instant;

/// The service's clock. Clones share it.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    source: Source,
    /// The newest instant that was handed out.
    last: AtomicI64,
}

enum Source {
    Wall(Wall),
    /// A sandbox's: stands still until it is advanced.
    Still,
    /// A sandbox's: `speed` seconds in one of the wall clock, besides being advanced.
    Fast {
        speed: u32,
        started: Instant,
        offset: AtomicI64,
    },
}

impl Clock {
    /// Starts no earlier than `last`, the newest instant in the database.
    pub fn wall(last: Option<Timestamp>) -> Self {
        Self::new(Source::Wall(Wall::default()), last.map_or(i64::MIN, Timestamp::micros))
    }

    /// A sandbox's clock; `speed` 0 stands still.
    pub fn sandbox(start: Timestamp, speed: u32) -> Self {
        let source = match speed {
            0 => Source::Still,
            _ => Source::Fast { speed, started: Instant::now(), offset: AtomicI64::new(start.micros()) },
        };
        Self::new(source, start.micros())
    }

    fn new(source: Source, last: i64) -> Self {
        Self(Arc::new(Inner { source, last: AtomicI64::new(last) }))
    }

    pub fn now(&self) -> Timestamp {
        let read = match &self.0.source {
            Source::Wall(wall) => wall.now().micros(),
            Source::Still => i64::MIN,
            Source::Fast { speed, started, offset } => {
                let passed = i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX);
                offset.load(SeqCst).saturating_add(passed.saturating_mul(i64::from(*speed)))
            }
        };
        let before = self.0.last.fetch_max(read, SeqCst);
        Timestamp::from_micros(read.max(before))
    }

    /// What signatures are dated by, also in a sandbox: their receivers look at their own clocks.
    pub fn wall_now(&self) -> Timestamp {
        wall::unchecked()
    }

    /// The wall clock has leapt, and is not believed: nothing that is due is carried out.
    pub fn leap(&self) -> Option<Leap> {
        let Source::Wall(wall) = &self.0.source else { return None };
        wall.leap()
    }

    /// The wall clock is right after a leap.
    pub fn believe(&self) {
        if let Source::Wall(wall) = &self.0.source {
            wall.believe();
        }
    }

    pub fn allow_jumps(&self, seconds: i64) {
        if let Source::Wall(wall) = &self.0.source {
            wall.allow_jumps(seconds);
        }
    }

    /// A sandbox goes to `at`, if that is not past.
    pub fn advance_to(&self, at: Timestamp) {
        let now = self.now();
        if let Source::Fast { offset, .. } = &self.0.source {
            offset.fetch_add((at.micros() - now.micros()).max(0), SeqCst);
        }
        self.0.last.fetch_max(at.micros(), SeqCst);
    }

    /// `None`: not a sandbox.
    pub fn speed(&self) -> Option<u32> {
        match self.0.source {
            Source::Wall(_) => None,
            Source::Still => Some(0),
            Source::Fast { speed, .. } => Some(speed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_goes_back() {
        let future = wall::unchecked().plus_seconds(3_600);
        let clock = Clock::wall(Some(future));
        assert_eq!(clock.now(), future);

        let clock = Clock::sandbox(future, 0);
        clock.advance_to(future.plus_seconds(5));
        clock.advance_to(future);
        assert_eq!(clock.now(), future.plus_seconds(5));
    }
}
