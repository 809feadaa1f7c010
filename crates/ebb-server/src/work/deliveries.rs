//! Who is told next, and what if he does not listen? (rules §2.6)
//!
//! What is to be told was written with the event itself. A step makes one attempt for one subscriber; the loop has at most one attempt
//! per subscriber under way, and [`AT_ONCE`] of each kind, so a slow receiver delays what is told to itself, and a slow mail server mails.

use crate::app::App;
use crate::deliver::mail::Letter;
use crate::deliver::secret::{Secrets, same};
use crate::deliver::{Outcome as Came, address, message};
use crate::denied::Denied;
use crate::unit::Unit;
use ebb_model::id::{EventId, SubscriptionId};
use ebb_model::time::Timestamp;
use ebb_store::rows::delivery::{self, Delivery};
use ebb_store::rows::subscription::{self, Kind, State, Subscription};
use ebb_store::rows::{event, instance};
use ebb_store::{StoreError, failpoint};
use ebb_wire::cloud_event::CloudEvent;
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
/// From the first attempt that fails to the second; then twice as long each time.
const FIRST_PAUSE_SECONDS: i64 = 5;
const LONGEST_PAUSE_SECONDS: i64 = 3_600;
/// After so long a delivery is given up, and a subscriber who took nothing all the while is paused.
const PATIENCE_SECONDS: i64 = 24 * 3_600;
const DAY: i64 = 24 * 3_600;
const DELIVERIES_ARE_KEPT_DAYS: i64 = 30;
const PENDING_ARE_KEPT_DAYS: i64 = 3;
const LONGEST_ERROR: usize = 300;

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

/// What an attempt needs to know.
struct Known {
    subscription: Subscription,
    delivery: Delivery,
    event: CloudEvent,
    secrets: Option<Secrets>,
}

impl App {
    /// Makes one attempt at what a subscriber is to be told first; nothing if that is nothing.
    pub async fn deliver(&self, id: SubscriptionId) -> Result<(), Denied> {
        let Some(known) = self.known(id).await? else {
            // Deleted while somebody added to it.
            return self.drop_orphans(id).await;
        };
        failpoint("effect.deliver.before");
        let came = self.send(&known).await;
        failpoint("effect.deliver.after");
        let confirmed = known.delivery.kind == delivery::Kind::Confirmation && known.echoed(&came);
        let (event, attempts) = (known.delivery.event, known.delivery.attempts);
        let outcome = match &came {
            Came::Accepted(_) => "accepted",
            Came::Failed(_) | Came::Gone(_) => "failed",
        };
        self.metrics.delivered(known.subscription.kind.name(), outcome);
        let accepted_at = self.clock.now();
        if outcome == "accepted" && known.event.kind.ends_with(".interruptServer") {
            self.metrics.interruption_told(accepted_at.millis_since(known.delivery.at));
        }
        let key = id.to_string();
        let written = self.unit("deliver", &key, move |unit| {
            let came = came.clone();
            async move { write_down(unit, id, event, attempts, &came, confirmed).await }
        });
        Ok(written.await?)
    }

    async fn known(&self, id: SubscriptionId) -> Result<Option<Known>, StoreError> {
        let (now, installation) = (self.clock.now(), self.installation.id);
        let app = self.clone();
        let read = self.store.read(move |reads| async move {
            let Some(due) = reads.row(delivery::first_of(id, now)).await? else { return Ok(None) };
            let due = delivery::read(&due);
            let Some(row) = reads.row(subscription::by_id(id)).await? else { return Ok(None) };
            let subscription = subscription::read(&row);
            let secrets = app.deliverer.keys.of(id, &subscription.secret_hash);
            let account = subscription.account;
            let event = match due.kind {
                delivery::Kind::Event => {
                    let logged = reads.row(event::by_id(due.event)).await?.expect("a delivery's event is in the log");
                    let logged = event::read(&logged);
                    let about = logged.instance.expect("what is told is about an instance");
                    let about = reads.row(instance::by_id(about)).await?.expect("instances are kept");
                    let body = serde_json::from_str(&logged.body).expect("a document that this program wrote");
                    CloudEvent::of_instance(installation, due.event, due.at, &instance::read(&about), body)
                }
                delivery::Kind::Confirmation => {
                    let token = secrets.as_ref().map_or("", |secrets| &secrets.confirmation);
                    CloudEvent::confirmation(installation, due.event, due.at, account, id, token)
                }
                delivery::Kind::Test => CloudEvent::test(installation, due.event, due.at, account, id),
            };
            Ok(Some(Known { subscription, delivery: due, event, secrets }))
        });
        read.await
    }

    async fn send(&self, known: &Known) -> Came {
        let Some(secrets) = &known.secrets else {
            let why = "the operator changed the key under which its secret was made; subscribe anew";
            return Came::Gone(why.to_owned());
        };
        let (to, body) = (&known.subscription.address, known.event.to_json());
        match known.subscription.kind {
            Kind::Webhook => {
                let url = match address::webhook(to, &self.deliverer.outside.networks) {
                    Ok(url) => url,
                    Err(why) => return Came::Failed(why),
                };
                let timestamp = self.clock.wall_now().second().unix();
                let headers = [
                    ("webhook-id", known.event.id.clone()),
                    ("webhook-timestamp", timestamp.to_string()),
                    ("webhook-signature", secrets.signature(&known.event.id, timestamp, &body)),
                ];
                self.deliverer.outside.post(&url, &headers, body).await
            }
            Kind::Email => {
                let Some(mail) = &self.deliverer.mail else {
                    return Came::Failed("this installation sends no mail: its operator gives `--smtp`".to_owned());
                };
                let (id, way_out) = (known.subscription.id.to_string(), &secrets.unsubscription);
                let base = self.deliverer.public_url.as_deref();
                let text = message::text(known.delivery.kind, &known.event, base, &id, way_out);
                let unsubscribe = base.map(|base| format!("{base}/v1/subscriptions/{id}/unsubscribe?token={way_out}"));
                let letter = Letter {
                    id: format!("{}.{id}", known.event.id),
                    subject: text.subject,
                    text: text.text,
                    event: body,
                    unsubscribe,
                };
                mail.send(to, &letter).await
            }
        }
    }

    async fn drop_orphans(&self, id: SubscriptionId) -> Result<(), Denied> {
        let key = id.to_string();
        let dropped = self.unit("drop-deliveries", &key, move |mut unit| async move {
            if unit.reads.row(subscription::by_id(id)).await?.is_none() {
                unit.write(delivery::delete_of(id));
            }
            Ok(unit.done(()))
        });
        Ok(dropped.await?)
    }

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

impl Known {
    /// Whether a webhook answered with the token, as JSON or as it stands.
    fn echoed(&self, came: &Came) -> bool {
        let (Came::Accepted(answer), Some(secrets), Kind::Webhook) = (came, &self.secrets, self.subscription.kind)
        else {
            return false;
        };
        let text = String::from_utf8_lossy(answer);
        let json: Option<serde_json::Value> = serde_json::from_str(&text).ok();
        let token = json.as_ref().and_then(|json| json["token"].as_str()).unwrap_or_else(|| text.trim());
        same(token, &secrets.confirmation)
    }
}

async fn write_down(
    mut unit: Unit,
    id: SubscriptionId,
    event: EventId,
    attempts: i64,
    came: &Came,
    confirmed: bool,
) -> crate::unit::Outcome<ebb_store::Decision<()>> {
    let now = unit.now;
    let row = unit.reads.row(delivery::by_key(id, event)).await?;
    // Deleted meanwhile, or written down by another.
    let Some(before) = row.as_ref().map(delivery::read) else { return Ok(unit.done(())) };
    if before.attempts != attempts || before.due_at.is_none() {
        return Ok(unit.done(()));
    }
    let Some(row) = unit.reads.row(subscription::by_id(id)).await? else { return Ok(unit.done(())) };
    let about = subscription::read(&row);
    let mut after = Delivery { attempts: attempts + 1, tried_at: Some(now), due_at: None, ..before.clone() };
    match came {
        Came::Accepted(_) => {
            after.accepted_at = Some(now);
            after.last_error = None;
            if confirmed || about.state == State::Paused {
                unit.write(subscription::accept(id, now));
            } else if about.failing_since.is_some() {
                unit.write(subscription::clear_failing(id));
            }
        }
        Came::Failed(why) | Came::Gone(why) => {
            let why: String = why.chars().take(LONGEST_ERROR).collect();
            let since = about.failing_since.unwrap_or(now);
            after.due_at = match came {
                Came::Gone(_) => None,
                _ => again_at(&before, now),
            };
            if about.state == State::Confirmed {
                unit.write(subscription::set_failing(id, now));
                let pause = match came {
                    Came::Gone(_) => Some(why.clone()),
                    _ if now >= since.plus_seconds(PATIENCE_SECONDS) => {
                        Some(format!("nothing was accepted since {since}; the last error: {why}"))
                    }
                    _ => None,
                };
                if let Some(because) = pause {
                    after.due_at = None;
                    unit.write(subscription::pause(id, &because));
                    unit.write(delivery::give_up(id, now, "its subscription is paused"));
                }
            }
            after.given_up_at = after.due_at.is_none().then_some(now);
            after.last_error = Some(why);
        }
    }
    unit.guard(delivery::tried(&before, &after));
    Ok(unit.done(()))
}

/// When to try again after a failure; `None`: not any more.
fn again_at(failed: &Delivery, now: Timestamp) -> Option<Timestamp> {
    let doubled = FIRST_PAUSE_SECONDS << failed.attempts.clamp(0, 20);
    let pause = doubled.min(LONGEST_PAUSE_SECONDS) * 1_000;
    // From four fifths to six, by what it is: those that failed together come back apart, and a test knows when.
    let dice = (failed.event.uuid().as_u128() ^ failed.subscription.uuid().as_u128()) % 1_000;
    let spread = pause * 4 / 5 + pause * 2 / 5 * i64::try_from(dice).expect("below a thousand") / 1_000;
    let last = failed.at.plus_seconds(PATIENCE_SECONDS);
    (now < last).then(|| now.plus_millis(spread).min(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn pauses_double_up_to_an_hour_and_end_after_a_day() {
        let at = Timestamp::from_micros(0);
        let mut failed = Delivery {
            subscription: SubscriptionId::new(Uuid::from_u128(1)),
            event: EventId::new(Uuid::from_u128(501)),
            kind: delivery::Kind::Event,
            at,
            attempts: 0,
            due_at: Some(at),
            tried_at: None,
            last_error: None,
            accepted_at: None,
            given_up_at: None,
        };
        let (mut now, mut pauses) = (at, vec![]);
        while let Some(next) = again_at(&failed, now) {
            pauses.push(next.millis_since(now) / 1_000);
            (failed.attempts, now) = (failed.attempts + 1, next);
        }
        assert_eq!(now, at.plus_seconds(PATIENCE_SECONDS), "the last attempt is after a day");
        assert!(pauses.len() > 25 && pauses.len() < 40, "{pauses:?}");
        assert!((4..=6).contains(&pauses[0]) && (8..=12).contains(&pauses[1]), "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= 3_600 * 6 / 5), "{pauses:?}");
    }
}
