//! What becomes of an instance when its account's spending cap acts? (rules §3.8)
//!
//! What is firm is stopped economically, a spot block is released like by a delete. It counts from its own second, however late it is
//! carried out.

use crate::economical;
use crate::end::{ended, given_up, least_until, never_ran, releasing};
use crate::lifecycle::{Step, unchanged};
use ebb_model::catalog::Limits;
use ebb_model::instance::{Cause, End, Instance, State};
use ebb_model::time::{Second, Timestamp};

pub(crate) fn reached(instance: &Instance, at: Second, now: Timestamp, limits: &Limits) -> Step {
    match (&instance.state, instance.first_running) {
        // What is paid in advance costs nothing more; an order by the month counts with all that it will cost.
        _ if !instance.purchase.is_metered() => unchanged(),
        // What is taken back already keeps its notice and its waiver; what has ended is charged no more.
        (State::Reclaiming { .. } | State::Releasing { .. } | State::Released { .. }, _) => unchanged(),
        // Others had to go for it, so it runs for its minimum, and is stopped after that (rules §2.11).
        _ if goes_on_until(instance, limits).is_some_and(|until| until > now.second()) => unchanged(),
        (State::Waiting { .. } | State::Starting { .. }, _) if owes(instance) => unchanged(),
        (State::Waiting { .. }, None) => given_up(instance, now, None),
        (_, None) => releasing(instance, never_ran(now), vec![]),
        (_, Some(_)) if instance.purchase.is_firm() => {
            let until = goes_on_until(instance, limits).map_or(at, |least| least.max(at));
            economical::stop(instance, Some(until), now, limits).unwrap_or_else(|refused| {
                panic!("what is firm and was not refused by its state can be stopped: {refused} {instance:?}")
            })
        }
        (_, Some(start)) => {
            let end = End { at: at.max(start), ..ended(instance, Cause::SpendingCap, now, limits) };
            releasing(instance, end, vec![])
        }
    }
}

/// The end of the time for which it must be charged, and so may run.
pub(crate) fn goes_on_until(instance: &Instance, limits: &Limits) -> Option<Second> {
    least_until(instance, limits)
}

/// It has made others go, and does not use their room yet.
pub(crate) fn owes(instance: &Instance) -> bool {
    instance.took_room && instance.in_use_since.is_none()
}
