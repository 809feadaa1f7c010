//! How late is a deadline without Ebb? A task for each that sleeps until then and does nothing, all in a thread of their own.

use crate::rows::now;
use crate::table::Times;
use anyhow::Result;
use ebb_model::time::Timestamp;
use futures_util::future::try_join_all;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How late each of them woke.
pub fn start(deadlines: Vec<Timestamp>) -> JoinHandle<Result<Times>> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        runtime.block_on(async {
            let sleepers = deadlines.into_iter().map(|deadline| tokio::spawn(sleep(deadline)));
            Ok(Times::of(try_join_all(sleepers).await?))
        })
    })
}

async fn sleep(deadline: Timestamp) -> Duration {
    sleep_until(instant(deadline)).await;
    micros(now(), deadline)
}

/// Where an instant of the wall clock, that has come or is to come, lies for the runtime.
pub fn instant(at: Timestamp) -> Instant {
    let here = now();
    Instant::now() + micros(at, here) - micros(here, at)
}

/// Nothing if it is the other way round.
fn micros(later: Timestamp, earlier: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(later.micros() - earlier.micros()).unwrap_or(0))
}
