//! How is a notice given to a block, hurried on, and taken over? (rules §2.6, §2.10)

use crate::end::{never_ran, releasing};
use crate::event::Event;
use crate::lifecycle::{Effect, Reclaim, Step, change};
use crate::refusal::Refused;
use ebb_model::instance::{Cause, Instance, State};
use ebb_model::time::Timestamp;

pub(crate) fn reclaim(instance: &Instance, order: Reclaim, now: Timestamp) -> Result<Step, Refused> {
    if instance.purchase.is_firm() {
        return Err(Refused::NotABlock { option: instance.purchase.option() });
    }
    if order.cause == Cause::Drill && instance.state != State::Running {
        return Err(Refused::WrongState { state: instance.state.name(), verb: "rehearse an interruption" });
    }
    let Some(lease_end) = instance.lease_end() else {
        // Not yet running: cancelled, nothing charged (rules §2.5).
        return Ok(releasing(instance, never_ran(now), vec![]));
    };
    let Reclaim { cause, deadline, free_until } = order;
    if lease_end.start() <= deadline {
        return Err(Refused::LeaseEndsFirst { lease_end: lease_end.start() });
    }
    let notice = Event::InterruptServer { cause, notice_at: now, deadline, free_until, decision: None };
    let effects = vec![Effect::MarkReleasing, Effect::Order, Effect::Log(notice)];
    let off_by = match instance.state {
        State::Stopping { force_at, .. } => Some(force_at),
        State::Stopped => Some(now),
        _ => None,
    };
    Ok(change(instance, State::Reclaiming { notice_at: now, deadline, cause, off_by, free_until }, effects))
}

/// A second reclaim: the operator's takes over a drill, and an urgent one brings the deadline forward (rules §2.6, §2.10).
pub(crate) fn hurry(instance: &Instance, order: Reclaim) -> Result<Step, Refused> {
    let State::Reclaiming { notice_at, deadline, cause, off_by, free_until } = instance.state else {
        unreachable!("a second reclaim is of what is reclaimed")
    };
    // Who drills shortly before his lease ends gains nothing by it: what would not be taken from others is not taken over.
    if let Some(lease_end) = instance.lease_end().filter(|end| end.start() <= order.deadline) {
        return Err(Refused::LeaseEndsFirst { lease_end: lease_end.start() });
    }
    let takes_over = cause == Cause::Drill && order.cause.is_platform();
    let urgent = order.cause.is_platform() && order.deadline < deadline;
    if !takes_over && !urgent {
        return Err(Refused::Reclaiming { deadline });
    }
    let cause = if takes_over { order.cause } else { cause };
    let free_until = free_until.filter(|_| !takes_over);
    let deadline = deadline.min(order.deadline);
    // The notice that the guest was given stays the one that counts.
    let notice = Event::InterruptServer { cause, notice_at, deadline, free_until, decision: None };
    let state = State::Reclaiming { notice_at, deadline, cause, off_by, free_until };
    Ok(change(instance, state, vec![Effect::Order, Effect::Log(notice)]))
}

/// Nobody drills to keep what he has broken the terms of: it goes now, charged to the end.
pub(crate) fn cut_drill(instance: &Instance, now: Timestamp) -> Step {
    let State::Reclaiming { notice_at, off_by, .. } = instance.state else { unreachable!("a drill is under way") };
    let (cause, deadline) = (Cause::Breach, now);
    let notice = Event::InterruptServer { cause, notice_at, deadline, free_until: None, decision: None };
    let state = State::Reclaiming { notice_at, deadline, cause, off_by, free_until: None };
    change(instance, state, vec![Effect::Order, Effect::Log(notice)])
}
