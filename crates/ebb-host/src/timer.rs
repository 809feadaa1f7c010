//! When is it time? A wait for an instant of the wall clock, which may be set meanwhile.

use ebb_driver::wall::Wall;
use ebb_model::time::Timestamp;
use std::time::Duration;

/// How long the wall clock is trusted to run like any other.
const LONGEST_MICROS: i64 = 1_000_000;

/// Returns at `due`, or somewhat earlier to look at the clock again; never when there is nothing due.
pub async fn until(clock: &Wall, due: Option<Timestamp>) {
    let Some(due) = due else { return std::future::pending().await };
    let left = (due.micros() - clock.now().micros()).clamp(0, LONGEST_MICROS);
    tokio::time::sleep(Duration::from_micros(left.cast_unsigned())).await;
}
