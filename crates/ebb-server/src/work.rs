//! What is done without anybody asking? Workers: each is a step that reads what is due and does it; only the loops sleep.

pub mod alarms;
mod closing;
pub mod deliveries;
pub mod hosts;
pub mod hours;
pub mod images;
pub mod sandbox;
pub mod zones;

use crate::app::App;
use crate::denied::Denied;
use crate::unit::settled_already;
use ebb_engine::lifecycle::{Input, due_at as due_at_of};
use ebb_model::id::{AccountId, InstanceId};
use ebb_model::instance::State;
use ebb_model::time::{Second, Timestamp};
use ebb_store::rows::alarm::{self, Alarm};
use ebb_store::rows::{account, instance};
use ebb_store::{Halt, Row, StoreError};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// Polling is only the net beneath: a commit wakes the workers at once.
const NET: Duration = Duration::from_secs(1);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(5);

impl App {
    /// The earliest instant that an instance waits for.
    pub async fn next_due(&self) -> Result<Option<(Timestamp, InstanceId)>, StoreError> {
        Ok(self.store.rows(instance::next_due()).await?.first().map(due))
    }

    /// The same, the first alarm, and the end of the first hour that is to be closed, in one look.
    pub async fn next_steps(&self) -> Result<NextSteps, StoreError> {
        let looked = self.store.read(|reads| async move {
            let (due_first, alarm_first) = (reads.row(instance::next_due()).await?, reads.row(alarm::next()).await?);
            let close = reads.row(account::next_close()).await?;
            Ok(NextSteps {
                due: due_first.as_ref().map(due),
                alarm: alarm_first.as_ref().map(alarm::read),
                close: close.as_ref().map(hours::close_at),
            })
        });
        looked.await
    }

    /// Carries out what one instance has due.
    pub async fn carry_out_due(&self, id: InstanceId, due_at: Timestamp) -> Result<(), Denied> {
        let done = self
            .unit("due", &id.to_string(), move |mut unit| async move {
                let about = unit.instance(id).await?;
                let limits = unit.app.clone();
                if let State::Starting { give_up_at } | State::Waiting { give_up_at, .. } = about.state
                    && give_up_at <= unit.now
                    && !unit.app.host_heard(about.host, give_up_at)
                {
                    // Perhaps it runs, or its room is free, and only the word of it was not heard.
                    unit.write(instance::set_due(&about, Some(unit.now.plus_seconds(1))));
                    return Ok(unit.done(()));
                }
                let next = unit.step(&about, Input::Due).await?;
                if next.generation == about.generation {
                    // Written under other limits. Left as it is, it would be due for ever and everything behind it never.
                    unit.write(instance::set_due(&about, due_at_of(&about, &limits.catalog.limits)));
                }
                Ok(unit.done(()))
            })
            .await;
        self.metrics.late(self.clock.now().millis_since(due_at));
        match done {
            Err(Halt::Refused(denied)) if settled_already(&denied) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Everything that is due by now, in order. Gives back when there will be more.
    async fn work(&self) -> Result<Option<Timestamp>, Denied> {
        loop {
            let (due, alarm) = (self.next_due().await?, self.next_alarm().await?);
            let now = self.clock.now();
            let alarm_at = alarm.as_ref().map(|alarm| alarm.due_at);
            match (due, alarm) {
                (Some((at, id)), _) if at <= now && alarm_at.is_none_or(|alarm| at <= alarm) => {
                    self.carry_out_due(id, at).await?;
                }
                (_, Some(alarm)) if alarm.due_at <= now => self.carry_out_alarm(&alarm).await?,
                (due, _) => return Ok(due.map(|(at, _)| at).into_iter().chain(alarm_at).min()),
            }
        }
    }
}

/// What is waited for: by an instance, by anybody, by an account.
pub struct NextSteps {
    pub due: Option<(Timestamp, InstanceId)>,
    pub alarm: Option<Alarm>,
    pub close: Option<(Second, AccountId)>,
}

fn due(row: &Row) -> (Timestamp, InstanceId) {
    let id = row.text("id").parse().expect("an id that this program wrote");
    (Timestamp::from_micros(row.int("due_at")), id)
}

/// Does what is due, for ever.
pub async fn keep_working(app: App) {
    keep(app, "due", |app| async move { app.work().await }).await;
}

/// Closes hours, for ever; beside what is due, so that neither waits for the other's thousands.
pub async fn keep_closing(app: App) {
    keep(app, "hours", |app| async move { app.close_hours().await }).await;
}

/// Does some work whenever there may be some. A failure or a panic is counted and tried again, later each time.
async fn keep<F, Fut>(app: App, name: &'static str, work: F)
where
    F: Fn(App) -> Fut,
    Fut: Future<Output = Result<Option<Timestamp>, Denied>>,
{
    let mut news = app.news.subscribe();
    let mut pause = Duration::from_millis(50);
    loop {
        if let Some(leap) = app.clock.leap() {
            // Perhaps only the clock is wrong: what would be due all at once waits until an operator says which it is.
            app.metrics.clock_leap_seconds.set(leap.wall.millis_since(leap.told) / 1_000);
            tokio::time::sleep(NET).await;
            continue;
        }
        app.metrics.clock_leap_seconds.set(0);
        let sleep = match AssertUnwindSafe(work(app.clone())).catch_unwind().await {
            Ok(Ok(next)) => {
                pause = Duration::from_millis(50);
                let millis = next.map(|at| at.millis_since(app.clock.now()).max(0));
                millis.map_or(NET, |millis| Duration::from_millis(millis.unsigned_abs()).min(NET))
            }
            failed => {
                match failed {
                    Ok(Err(error)) => tracing::warn!(name, %error, "due work failed; it is tried again"),
                    _ => app.metrics.panicked(),
                }
                app.metrics.retried(name);
                pause = (pause * 2).min(LONGEST_BACK_OFF);
                pause
            }
        };
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            _ = news.changed() => {}
        }
    }
}
