//! What time is it? The one place of the host that reads the wall clock; it never goes back.

use ebb_model::time::Timestamp;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Debug, Default)]
pub struct Clock {
    last_micros: AtomicI64,
}

impl Clock {
    /// The present instant, or the last one that was given out while the wall clock is behind it.
    #[allow(clippy::disallowed_methods, reason = "this is the gate")]
    pub fn now(&self) -> Timestamp {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64);
        let before = self.last_micros.fetch_max(wall, Ordering::Relaxed);
        Timestamp::from_micros(wall.max(before))
    }

    /// An instant that a file bears, for what happened while nobody looked.
    pub fn of_file(modified: SystemTime) -> Timestamp {
        Timestamp::from_micros(modified.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64))
    }
}
