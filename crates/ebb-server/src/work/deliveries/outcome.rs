//! What follows from an attempt? It was accepted, is tried again later, or is given up; and a subscriber may be paused.

use crate::deliver::Outcome as Came;
use crate::unit::{Outcome, Unit};
use ebb_model::id::{EventId, SubscriptionId};
use ebb_model::time::Timestamp;
use ebb_store::Decision;
use ebb_store::rows::delivery::{self, Delivery};
use ebb_store::rows::subscription::{self, State};

/// From the first attempt that fails to the second; then twice as long each time.
const FIRST_PAUSE_SECONDS: i64 = 5;
const LONGEST_PAUSE_SECONDS: i64 = 3_600;
/// After so long a delivery is given up, and a subscriber who took nothing all the while is paused.
const PATIENCE_SECONDS: i64 = 24 * 3_600;
const LONGEST_ERROR: usize = 300;

/// Writes down what came of an attempt, unless another one did or the subscription was deleted meanwhile.
pub async fn write_down(
    mut unit: Unit,
    id: SubscriptionId,
    event: EventId,
    attempts: i64,
    came: &Came,
    confirmed: bool,
) -> Outcome<Decision<()>> {
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
