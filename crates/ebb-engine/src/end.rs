//! At which second does an instance end, for which cause, and what follows? (rules §1.6, §2.2, §2.3)

use crate::event::Event;
use crate::lifecycle::Step;
use crate::lifecycle::{Effect, change};
use ebb_model::billing::Meter;
use ebb_model::catalog::Limits;
use ebb_model::instance::{Cause, End, Instance, Notice, Purchase, State};
use ebb_model::time::{HOUR, Second, Timestamp};

/// The end that somebody asks for now. Who made others go stays for a while, or pays as if (rules §2.11).
pub(crate) fn ended(instance: &Instance, cause: Cause, now: Timestamp, limits: &Limits) -> End {
    let (at, cause) = match (&instance.state, instance.first_running) {
        (_, None) => (now.second(), Cause::NeverRan),
        (State::Lost { since, .. }, Some(_)) => (*since, cause),
        (_, Some(_)) => (least_until(instance, limits).unwrap_or(now.second()).max(now.second()), cause),
    };
    End { at, cause, waived_since: None, waived_until: None, notice: None }
}

/// Up to here one for whose room others had to go is charged at least (rules §2.11).
pub(crate) fn least_until(instance: &Instance, limits: &Limits) -> Option<Second> {
    let since = instance.in_use_since.filter(|_| instance.took_room)?;
    Some(since.plus(limits.taking_minimum_seconds))
}

/// What waits for a start gives its claim back when it ends.
pub(crate) fn no_longer_waiting(instance: &Instance) -> Vec<Effect> {
    matches!(instance.state, State::Waiting { .. }).then_some(Effect::DropClaim).into_iter().collect()
}

/// How a block that is being taken back ends, if it is gone at `at`; the bill of its last period follows (rules §2.3, §2.10).
pub fn ending(instance: &Instance, at: Second) -> Option<End> {
    let State::Reclaiming { notice_at, deadline, cause, free_until, .. } = instance.state else { return None };
    let waived_since = match cause {
        Cause::Drill => Some(notice_at.second()),
        _ if cause.is_platform() => period_start(instance, notice_at.second()),
        _ => None,
    };
    // A late machine makes nobody pay beyond his lease.
    let at = match instance.lease_end() {
        Some(lease_end) if !cause.is_platform() => at.min(lease_end),
        _ => at,
    };
    let waived_until = free_until.filter(|until| *until < at);
    Some(End { at, cause, waived_since, waived_until, notice: Some(Notice { notice_at, deadline }) })
}

/// The lease end, if it has come and nothing ended the instance before.
pub(crate) fn lease_over(instance: &Instance, now: Timestamp) -> Option<Second> {
    let alive = !matches!(
        instance.state,
        State::Reclaiming { .. } | State::Releasing { .. } | State::Released { .. } | State::Waiting { .. }
    );
    instance.lease_end().filter(|end| alive && end.start() <= now)
}

/// The start of the guarantee period that holds `second` (rules §2.2).
pub fn period_start(instance: &Instance, second: Second) -> Option<Second> {
    match (instance.purchase, instance.first_running) {
        (Purchase::SpotBlock { hours, .. }, Some(start)) => Some(period_start_of(start, hours, second)),
        _ => None,
    }
}

/// The same, of a block of `hours` that began at `start`.
pub(crate) fn period_start_of(start: Second, hours: i64, second: Second) -> Second {
    let length = hours * HOUR;
    start.plus((second.unix() - start.unix()).max(0) / length * length)
}

pub(crate) fn natural(lease_end: Second, limits: &Limits) -> End {
    let deadline = lease_end.start();
    let notice = Notice { notice_at: deadline.plus_seconds(-limits.notice_seconds), deadline };
    End { at: lease_end, cause: Cause::LeaseEnd, waived_since: None, waived_until: None, notice: Some(notice) }
}

pub(crate) fn never_ran(at: Timestamp) -> End {
    End { at: at.second(), cause: Cause::NeverRan, waived_since: None, waived_until: None, notice: None }
}

/// An order whose room never came. Nothing was started, so nobody need report its end.
pub(crate) fn given_up(instance: &Instance, now: Timestamp, asked: Option<Event>) -> Step {
    let end = never_ran(now);
    let mut effects: Vec<Effect> = asked.into_iter().map(Effect::Log).collect();
    effects.extend([Effect::DropClaim, Effect::DropHold, Effect::Log(Event::Ended(end))]);
    effects.push(Effect::Log(Event::Released { gone_at: now }));
    change(instance, State::Released { end, gone_at: now }, effects)
}

/// Charge ends; the host is told to remove the guest.
pub(crate) fn releasing(instance: &Instance, end: End, mut effects: Vec<Effect>) -> Step {
    effects.extend(close(instance, end));
    effects.push(Effect::Order);
    change(instance, State::Releasing { end }, effects)
}

/// The guest is gone and its room free.
pub(crate) fn released(instance: &Instance, end: End, gone_at: Timestamp) -> Step {
    let mut effects = match instance.state {
        State::Releasing { .. } => vec![],
        _ => close(instance, end),
    };
    effects.push(Effect::FreeRoom { releasing: matches!(instance.state, State::Reclaiming { .. }) });
    effects.push(Effect::Log(Event::Released { gone_at }));
    if !instance.purchase.is_firm() && instance.first_running.is_some() {
        effects.push(Effect::SettleBlock);
    }
    effects.push(Effect::DropHold);
    change(instance, State::Released { end, gone_at }, effects)
}

pub(crate) fn close(instance: &Instance, end: End) -> Vec<Effect> {
    let mut effects = vec![Effect::Log(Event::Ended(end))];
    if instance.first_running.is_some() {
        effects.insert(0, Effect::CloseSpans { meters: Meter::OF_INSTANCE, until: end.at });
    }
    effects
}
