//! What time is it? The one place of the host that reads the wall clock.
//!
//! It never goes back, and it does not leap: deadlines kill guests, so a clock that somebody sets a year ahead must not carry them
//! all out. What counts beside the wall clock is the time since the machine booted, which goes on while the machine sleeps.

use ebb_model::time::Timestamp;
use rustix::time::ClockId;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::error;

/// How far the wall clock may run ahead of the machine's own time between two looks.
const LEAP_MICROS: i64 = 60_000_000;

#[derive(Debug, Default)]
pub struct Clock(Mutex<Option<Reading>>);

/// A look at both clocks, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    /// What was given out.
    told: i64,
    since_boot: i64,
    /// The wall clock leapt, and is no longer believed.
    leapt: bool,
}

impl Clock {
    /// The present instant.
    #[allow(clippy::disallowed_methods, reason = "this is the gate")]
    pub fn now(&self) -> Timestamp {
        let wall = Self::of_file(SystemTime::now()).micros();
        let boot = rustix::time::clock_gettime(ClockId::Boottime);
        let since_boot = boot.tv_sec * 1_000_000 + boot.tv_nsec / 1_000;
        let mut last = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let next = step(*last, wall, since_boot);
        if next.leapt && !last.is_some_and(|last| last.leapt) {
            error!(
                "the wall clock leapt ahead by {} s; deadlines go on by the machine's own time. \
                 If the new time is right, restart the host",
                (wall - next.told) / 1_000_000
            );
        }
        *last = Some(next);
        Timestamp::from_micros(next.told)
    }

    /// An instant of the system, such as a file bears.
    pub fn of_file(modified: SystemTime) -> Timestamp {
        Timestamp::from_micros(modified.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64))
    }
}

fn step(last: Option<Reading>, wall: i64, since_boot: i64) -> Reading {
    let Some(last) = last else { return Reading { told: wall, since_boot, leapt: false } };
    let own = last.told + (since_boot - last.since_boot).max(0);
    let leapt = last.leapt || wall > own + LEAP_MICROS;
    Reading { told: if leapt { own } else { wall.max(last.told) }, since_boot, leapt }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told at (wall, since boot), in seconds.
    fn told(looks: &[(i64, i64)]) -> Vec<i64> {
        let mut last = None;
        let mut tell = |&(wall, since_boot): &(i64, i64)| {
            let next = step(last, wall * 1_000_000, since_boot * 1_000_000);
            last = Some(next);
            next.told / 1_000_000
        };
        looks.iter().map(&mut tell).collect()
    }

    #[test]
    fn it_never_goes_back_and_never_leaps() {
        assert_eq!(told(&[(1000, 0), (1001, 1), (990, 2), (1000, 3), (1002, 4)]), [1000, 1001, 1001, 1001, 1002]);
        assert_eq!(told(&[(1000, 0), (1061, 1), (1065, 5)]), [1000, 1061, 1065], "corrected a little");
        assert_eq!(told(&[(1000, 0), (9000, 1), (9009, 10)]), [1000, 1001, 1010], "leapt");
        assert_eq!(told(&[(1000, 0), (9000, 8000)]), [1000, 9000], "the machine slept");
    }
}
