//! What time is it by this machine's wall clock, and can that be believed? (rules §1.5)
//!
//! It never goes back, and it does not leap: what is due is carried out at once, so a clock that somebody sets a year ahead must not end
//! everything. What counts beside the wall clock is the time since the machine booted, which goes on while the machine sleeps.

use ebb_model::time::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::{SystemTime, UNIX_EPOCH};

/// How far the wall clock may run ahead of the machine's own time between two looks, if nothing else is said.
const JUMP_SECONDS: i64 = 60;

/// A clock that goes by the wall clock, and by the machine's own time while that has leapt.
#[derive(Debug)]
pub struct Wall {
    jump_micros: AtomicI64,
    last: Mutex<Option<Reading>>,
}

/// The wall clock is so far ahead that it is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leap {
    pub told: Timestamp,
    pub wall: Timestamp,
}

/// A look at both clocks, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    /// What was given out.
    told: i64,
    /// What the wall clock said when it was believed and not behind what was told, and the time since boot then.
    believed: (i64, i64),
    /// What it says now, if it is not believed.
    leapt: Option<i64>,
}

impl Default for Wall {
    fn default() -> Self {
        Self { jump_micros: AtomicI64::new(JUMP_SECONDS * 1_000_000), last: Mutex::new(None) }
    }
}

impl Wall {
    /// The present instant.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.look(false).told)
    }

    pub fn leap(&self) -> Option<Leap> {
        let look = self.look(false);
        let at = Timestamp::from_micros;
        look.leapt.map(|wall| Leap { told: at(look.told), wall: at(wall) })
    }

    /// The wall clock is right, wherever it stands.
    pub fn believe(&self) {
        self.look(true);
    }

    pub fn allow_jumps(&self, seconds: i64) {
        self.jump_micros.store(seconds.saturating_mul(1_000_000), SeqCst);
    }

    #[expect(clippy::disallowed_methods, reason = "the one gate through which wall time comes in")]
    fn look(&self, believe: bool) -> Reading {
        let wall = micros(SystemTime::now());
        let boot = clock_gettime(ClockId::Boottime);
        let since_boot = boot.tv_sec * 1_000_000 + boot.tv_nsec / 1_000;
        let mut last = self.last.lock().unwrap_or_else(|broken| broken.into_inner());
        let next = step(*last, wall, since_boot, if believe { i64::MAX } else { self.jump_micros.load(SeqCst) });
        if let Some(wall) = next.leapt
            && last.is_none_or(|last| last.leapt.is_none())
        {
            tracing::error!(
                "the wall clock leapt ahead by {} s; time goes on by the machine's own. If the new time is right, start a host again, \
                 and tell a service so by `ebb clock accept --as operator`",
                (wall - next.told) / 1_000_000
            );
        }
        *last = Some(next);
        next
    }
}

/// The wall clock, whatever it says: what others compare with theirs.
#[expect(clippy::disallowed_methods, reason = "the same gate")]
pub fn unchecked() -> Timestamp {
    of_file(SystemTime::now())
}

/// An instant of the system, such as a file bears.
pub fn of_file(modified: SystemTime) -> Timestamp {
    Timestamp::from_micros(micros(modified))
}

fn micros(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |passed| i64::try_from(passed.as_micros()).unwrap_or(i64::MAX))
}

fn step(last: Option<Reading>, wall: i64, since_boot: i64, jump: i64) -> Reading {
    let Some(last) = last else { return Reading { told: wall, believed: (wall, since_boot), leapt: None } };
    let own = last.believed.0 + (since_boot - last.believed.1).max(0);
    if wall > own.saturating_add(jump) {
        return Reading { told: own.max(last.told), leapt: Some(wall), ..last };
    }
    // While the wall clock is behind, what it was and how long ago tells whether it comes back by itself or leaps.
    let believed = if wall >= last.told { (wall, since_boot) } else { last.believed };
    Reading { told: wall.max(last.told), believed, leapt: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    /// What is told at (wall, since boot), in seconds, and whether the wall clock is believed.
    fn told(looks: &[(i64, i64)]) -> Vec<(i64, bool)> {
        let mut last = None;
        let mut tell = |&(wall, since_boot): &(i64, i64)| {
            let next = step(last, wall * SECOND, since_boot * SECOND, 60 * SECOND);
            last = Some(next);
            (next.told / SECOND, next.leapt.is_none())
        };
        looks.iter().map(&mut tell).collect()
    }

    #[test]
    fn it_never_goes_back() {
        let looks = [(1000, 0), (1001, 1), (990, 2), (1000, 3), (1002, 4)];
        assert_eq!(told(&looks).iter().map(|look| look.0).collect::<Vec<_>>(), [1000, 1001, 1001, 1001, 1002]);
        // An hour back, and forward again ten minutes later: that is no leap.
        let looks = [(10_000, 0), (6_401, 1), (7_000, 600), (10_601, 601), (10_602, 602)];
        let wanted = [(10_000, true), (10_000, true), (10_000, true), (10_601, true), (10_602, true)];
        assert_eq!(told(&looks), wanted);
    }

    #[test]
    fn it_does_not_leap() {
        assert_eq!(told(&[(1000, 0), (1061, 1), (1065, 5)]), [(1000, true), (1061, true), (1065, true)], "a little");
        let looks = [(1000, 0), (4_601, 1), (4_610, 10), (1_011, 11)];
        assert_eq!(told(&looks), [(1000, true), (1001, false), (1010, false), (1011, true)], "and came back");
        assert_eq!(told(&[(1000, 0), (9000, 8000)]), [(1000, true), (9000, true)], "the machine slept");
    }

    #[test]
    fn a_leap_that_is_believed_is_none_any_more() {
        let first = step(None, 1_000 * SECOND, 0, 60 * SECOND);
        let leapt = step(Some(first), 9_000 * SECOND, SECOND, 60 * SECOND);
        assert_eq!((leapt.told, leapt.leapt), (1_001 * SECOND, Some(9_000 * SECOND)));
        let believed = step(Some(leapt), 9_001 * SECOND, 2 * SECOND, i64::MAX);
        assert_eq!((believed.told, believed.leapt), (9_001 * SECOND, None));
        let after = step(Some(believed), 9_002 * SECOND, 3 * SECOND, 60 * SECOND);
        assert_eq!((after.told, after.leapt), (9_002 * SECOND, None));
    }
}
