//! Who is told next, and what if he does not listen? (rules §2.6)
//!
//! What is to be told was written with the event itself. A step makes one attempt for one subscriber; the loop has at most one attempt
//! per subscriber under way, and [`AT_ONCE`] of each kind, so a slow receiver delays what is told to itself, and a slow mail server mails.

mod attempt;
mod outcome;

use crate::app::App;
use crate::denied::Denied;
use ebb_model::id::SubscriptionId;
use ebb_model::time::Timestamp;
use ebb_store::rows::delivery;
use ebb_store::rows::subscription::{self, Kind};
use futures_util::FutureExt;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio::task::JoinSet;

const AT_ONCE: usize = 64;
/// A commit wakes the loop; this is the net beneath.
const NET: Duration = Duration::from_secs(1);
/// Commits that follow each other closely are looked at together.
const BREATH: Duration = Duration::from_millis(10);
const DAY: i64 = 24 * 3_600;
const DELIVERIES_ARE_KEPT_DAYS: i64 = 30;
const PENDING_ARE_KEPT_DAYS: i64 = 3;

/// Tells subscribers what they are to be told, for ever.
pub async fn keep_delivering(app: App) {
    let mut news = app.news.subscribe();
    let mut flying: JoinSet<SubscriptionId> = JoinSet::new();
    let mut busy = BTreeMap::new();
    let mut forget_at = app.clock.now();
    loop {
        let sleep = match start_due(&app, &mut flying, &mut busy, &mut forget_at).await {
            Ok(next) => {
                let millis = next.map(|at| at.millis_since(app.clock.now()).max(1).unsigned_abs());
                let speed = u64::from(app.clock.speed().unwrap_or(1).max(1));
                millis.map_or(NET, |millis| Duration::from_millis(millis / speed).clamp(BREATH, NET))
            }
            Err(error) => {
                tracing::warn!(%error, "what is to be told is not known; it is looked for again");
                app.metrics.retried("deliveries");
                NET
            }
        };
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            _ = news.changed() => tokio::time::sleep(BREATH).await,
            Some(done) = flying.join_next(), if !flying.is_empty() => {
                busy.remove(&done.expect("an attempt catches its panics"));
            }
        }
        while let Some(done) = flying.try_join_next() {
            busy.remove(&done.expect("an attempt catches its panics"));
        }
    }
}

/// Starts what is due, as far as there is room. Gives back when more will be.
async fn start_due(
    app: &App,
    flying: &mut JoinSet<SubscriptionId>,
    busy: &mut BTreeMap<SubscriptionId, Kind>,
    forget_at: &mut Timestamp,
) -> Result<Option<Timestamp>, Denied> {
    let now = app.clock.now();
    if *forget_at <= now {
        app.forget_deliveries().await?;
        *forget_at = now.plus_seconds(3_600);
    }
    // Most commits leave nothing to be told.
    let first = app.store.rows(delivery::first_due()).await?.first().map(delivery::read_due_at);
    if first.is_none_or(|at| at > now) {
        return Ok(first);
    }
    for kind in Kind::ALL {
        // Those under way are due, too.
        let mut under_way = busy.values().filter(|busy| **busy == kind).count();
        let due = app.store.rows(delivery::due(kind, now, (AT_ONCE + under_way) as i64)).await?;
        for id in due.iter().map(delivery::read_due) {
            if under_way < AT_ONCE && !busy.contains_key(&id) {
                busy.insert(id, kind);
                flying.spawn(attempt(app.clone(), id));
                under_way += 1;
            }
        }
    }
    let next = app.store.rows(delivery::next_due(now)).await?;
    Ok(next.first().map(delivery::read_due_at))
}

/// One attempt, whatever becomes of it. What cannot be written down is not tried again at once.
async fn attempt(app: App, id: SubscriptionId) -> SubscriptionId {
    let failed = match AssertUnwindSafe(app.deliver(id)).catch_unwind().await {
        Ok(Ok(())) => return id,
        Ok(Err(error)) => error.to_string(),
        Err(_) => {
            app.metrics.panicked();
            "a panic".to_owned()
        }
    };
    tracing::warn!(subscription = %id, error = failed, "a delivery could not be made; it is tried again");
    app.metrics.retried("deliveries");
    tokio::time::sleep(NET).await;
    id
}

impl App {
    /// Drops what is over for long.
    async fn forget_deliveries(&self) -> Result<(), Denied> {
        let days = |days: i64| self.clock.now().plus_seconds(-days * DAY);
        let (told, pending, deleted) = (days(DELIVERIES_ARE_KEPT_DAYS), days(PENDING_ARE_KEPT_DAYS), days(1));
        let old = self.store.rows(delivery::forgettable(told)).await?;
        if old.is_empty() && self.store.rows(subscription::forgettable(pending, deleted)).await?.is_empty() {
            return Ok(());
        }
        let forgotten = self.unit("forget-deliveries", "deliveries", move |mut unit| async move {
            unit.write(delivery::forget(told));
            unit.write(subscription::forget(pending, deleted));
            Ok(unit.done(()))
        });
        Ok(forgotten.await?)
    }
}
