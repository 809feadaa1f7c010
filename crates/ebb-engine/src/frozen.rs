//! What becomes of an instance when its account is frozen, pays, or never does? (rules §5.2)
//!
//! What is firm is stopped economically and its disk is kept at no charge; a spot block is released like by a delete. It counts from
//! its own second, however late it is carried out, also for what somebody ended in between.

use crate::cap::{goes_on_until, owes};
use crate::economical::{self, DISK};
use crate::end::{ended, given_up, never_ran, releasing};
use crate::event::Event;
use crate::lifecycle::{Effect, Step, change, open, unchanged};
use ebb_model::billing::Meter;
use ebb_model::catalog::Limits;
use ebb_model::instance::{Cause, End, Instance, State};
use ebb_model::time::{Second, Timestamp};

pub(crate) fn freeze(instance: &Instance, at: Second, now: Timestamp, limits: &Limits) -> Step {
    match (&instance.state, instance.first_running) {
        // What is paid in advance runs on.
        _ if instance.paid_until().is_some() || instance.frozen_since.is_some() => unchanged(),
        // What is taken back already keeps its notice and its waiver.
        (State::Reclaiming { .. }, _) => unchanged(),
        (State::Releasing { end } | State::Released { end, .. }, _) => cut_short(instance, *end, at),
        // Others had to go for it, so it runs for its minimum, and is frozen after that (rules §2.11).
        _ if goes_on_until(instance, limits).is_some_and(|until| until > now.second()) => unchanged(),
        (State::Waiting { .. } | State::Starting { .. }, _) if owes(instance) => unchanged(),
        (State::Waiting { .. }, None) => given_up(instance, now, None),
        (_, None) => releasing(instance, never_ran(now), vec![]),
        (_, Some(start)) if instance.purchase.is_firm() => {
            let until = goes_on_until(instance, limits).map_or(at, |least| least.max(at)).max(start);
            put_away(instance, until, now, limits)
        }
        (_, Some(start)) => {
            let end = End { at: at.max(start), ..ended(instance, Cause::Arrears, now, limits) };
            releasing(instance, end, vec![])
        }
    }
}

/// Somebody ended it while nobody could know yet that it was frozen before.
fn cut_short(instance: &Instance, end: End, at: Second) -> Step {
    let Some(start) = instance.first_running.filter(|_| at < end.at) else { return unchanged() };
    let end = End { at: at.max(start), cause: Cause::Arrears, ..end };
    let state = match instance.state {
        State::Releasing { .. } => State::Releasing { end },
        State::Released { gone_at, .. } if instance.purchase.is_firm() => State::Released { end, gone_at },
        // The bill of a block is issued with its release.
        _ => return unchanged(),
    };
    let close = Effect::CloseSpans { meters: Meter::OF_INSTANCE, until: end.at };
    change(instance, state, vec![close, Effect::Log(Event::Ended(end))])
}

/// Off, its room given back but for the disk, and nothing of it charged.
fn put_away(instance: &Instance, at: Second, now: Timestamp, limits: &Limits) -> Step {
    let stopped = economical::stop(instance, Some(at), now, limits).unwrap_or_else(|refused| {
        panic!("what is firm and was not refused by its state can be stopped: {refused} {instance:?}")
    });
    let mut next = stopped.next.unwrap_or_else(|| Instance { generation: instance.generation + 1, ..instance.clone() });
    next.frozen_since = Some(at);
    let mut effects =
        vec![Effect::CloseSpans { meters: Meter::OF_INSTANCE, until: at }, Effect::Log(Event::Frozen { at })];
    effects.extend(stopped.effects);
    Step { next: Some(next), effects }
}

/// Its account has paid: it is stopped economically as others are, and its disk is charged again.
pub(crate) fn thaw(instance: &Instance, at: Second) -> Step {
    if instance.frozen_since.is_none() || instance.state.end().is_some() {
        return unchanged();
    }
    let mut step = change(instance, instance.state.clone(), vec![Effect::Log(Event::Thawed { at })]);
    let next = step.next.as_mut().expect("a changed instance");
    next.frozen_since = None;
    // The disk on a lost host is charged when the host is back.
    if !matches!(next.state, State::Lost { .. }) {
        step.effects.splice(0..0, open(next, DISK, at));
    }
    step
}

/// Nobody paid: it goes.
pub(crate) fn let_go(instance: &Instance, at: Second, limits: &Limits) -> Step {
    if instance.frozen_since.is_none() || instance.state.end().is_some() {
        return unchanged();
    }
    let at = instance.frozen_since.map_or(at, |frozen| frozen.max(at));
    releasing(instance, ended(instance, Cause::Arrears, at.start(), limits), vec![])
}
