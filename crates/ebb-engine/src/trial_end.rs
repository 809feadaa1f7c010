//! What becomes of a trial instance when its account's trial is over? (rules §3.8)
//!
//! It counts from the end's own second, however late it is carried out, and also for what somebody ended in between.

use crate::economical;
use crate::end::{ended, given_up, least_until, never_ran, no_longer_waiting, releasing};
use crate::event::Event;
use crate::lifecycle::{Effect, Step, change, unchanged};
use crate::refusal::Refused;
use ebb_model::billing::Meter;
use ebb_model::catalog::Limits;
use ebb_model::instance::{Cause, End, Instance, Purchase, State};
use ebb_model::time::{Second, Timestamp};

pub(crate) fn become_on_demand(instance: &Instance, since: Second) -> Step {
    let Purchase::Trial { price } = instance.purchase else { return unchanged() };
    // Also what has ended since then: the rest of it is on demand.
    if instance.state.end().is_some_and(|end| end.at <= since || instance.first_running.is_none()) {
        return unchanged();
    }
    let mut effects = vec![Effect::Log(Event::BecameOnDemand { since })];
    if instance.first_running.is_some() {
        effects.insert(0, Effect::LeaveTrial { meters: Meter::OF_INSTANCE, since });
    }
    let mut step = change(instance, instance.state.clone(), effects);
    step.next.as_mut().expect("a changed instance").purchase = Purchase::OnDemand { price };
    step
}

/// Its vCPU and memory are charged to the trial's end, however late that is carried out; only its disk goes on, on demand.
pub(crate) fn stop_with_the_trial(
    instance: &Instance,
    at: Second,
    now: Timestamp,
    limits: &Limits,
) -> Result<Step, Refused> {
    let Purchase::Trial { price } = instance.purchase else { return Ok(unchanged()) };
    // What never ran has nothing to keep. One for which others had to go cannot be withdrawn.
    let waits = instance.took_room && instance.in_use_since.is_none() && instance.state.end().is_none();
    if instance.first_running.is_none() || waits {
        return Ok(go_with_the_trial(instance, at, now, limits));
    }
    let until = least_until(instance, limits).map_or(at, |least| least.max(at));
    let mut step = match instance.state.end() {
        Some(end) if end.at <= at => return Ok(unchanged()),
        // Until somebody asked for its end only its disk was in use.
        Some(_) => change(instance, instance.state.clone(), vec![]),
        None => economical::stop(instance, Some(until), now, limits)?,
    };
    let mut next = step.next.unwrap_or_else(|| Instance { generation: instance.generation + 1, ..instance.clone() });
    next.purchase = Purchase::OnDemand { price };
    // Who made others go stays charged for a while, on demand.
    let go_on = if until > at { Meter::OF_INSTANCE } else { economical::DISK };
    let close = Effect::CloseSpans { meters: economical::COMPUTE, until };
    let leave = Effect::LeaveTrial { meters: go_on, since: at };
    step.effects.splice(0..0, [leave, close, Effect::Log(Event::BecameOnDemand { since: at })]);
    Ok(Step { next: Some(next), effects: step.effects })
}

/// Its charge ends with the trial, however late that is carried out; also if somebody asked for its end in between.
pub(crate) fn go_with_the_trial(instance: &Instance, at: Second, now: Timestamp, limits: &Limits) -> Step {
    let Purchase::Trial { .. } = instance.purchase else { return unchanged() };
    // Others were given notice for it, so it cannot be withdrawn (rules §2.11).
    if instance.took_room && instance.in_use_since.is_none() && instance.state.end().is_none() {
        return become_on_demand(instance, at);
    }
    let Some(start) = instance.first_running else {
        return match instance.state {
            State::Releasing { .. } | State::Released { .. } => unchanged(),
            State::Waiting { .. } => given_up(instance, now, None),
            _ => releasing(instance, never_ran(now), vec![]),
        };
    };
    let asked = ended(instance, Cause::TrialEnd, at.max(start).start(), limits);
    let end = match instance.state {
        State::Lost { since, .. } => End { at: since.min(at.max(start)), ..asked },
        _ => asked,
    };
    let sooner =
        || vec![Effect::CloseSpans { meters: Meter::OF_INSTANCE, until: end.at }, Effect::Log(Event::Ended(end))];
    match &instance.state {
        State::Releasing { end: before } | State::Released { end: before, .. } if before.at <= end.at => unchanged(),
        State::Releasing { .. } => change(instance, State::Releasing { end }, sooner()),
        State::Released { gone_at, .. } => change(instance, State::Released { end, gone_at: *gone_at }, sooner()),
        _ => releasing(instance, end, no_longer_waiting(instance)),
    }
}
