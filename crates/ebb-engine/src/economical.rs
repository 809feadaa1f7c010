//! What does it mean to be off and not charged? The economical stop (节省停机), and the start after it (rules §2.12, §4.2).
//!
//! What is given back is free for others from the second in which the guest is off, and that is the second up to which it is
//! charged: nobody pays for what he has not, nor has what he does not pay for.

use crate::end::least_until;
use crate::event::Event;
use crate::lifecycle::{Effect, Step, change, open, unchanged};
use crate::monthly;
use crate::operation::{Operation, permit};
use crate::refusal::Refused;
use ebb_model::billing::Meter;
use ebb_model::catalog::Limits;
use ebb_model::instance::{Instance, State};
use ebb_model::time::{Second, Timestamp};

pub(crate) const COMPUTE: &[Meter] = &[Meter::Compute];
pub(crate) const DISK: &[Meter] = &[Meter::SystemDisk];

/// Stops it and gives its room back; what is off already gives it back at once.
pub(crate) fn stop(
    instance: &Instance,
    charged_until: Option<Second>,
    now: Timestamp,
    limits: &Limits,
) -> Result<Step, Refused> {
    permit(instance, Operation::EconomicalStop)?;
    let wrong = || Refused::WrongState { state: instance.state.name(), verb: "stop economically" };
    let asked = Effect::Log(Event::EconomicalStopAsked { charged_until });
    if let (Some(until), None) = (least_until(instance, limits), charged_until)
        && now.second() < until
    {
        return Err(Refused::RoomWasTaken { until: until.start() });
    }
    let force_at = match instance.state {
        State::Waiting { .. } if instance.first_running.is_none() => return Err(wrong()),
        // Withdrawn; nothing was started yet.
        State::Waiting { .. } if instance.took_room => return Err(Refused::CausedNotice),
        State::Waiting { .. } => {
            return Ok(change(instance, State::StoppedEconomically, vec![asked, Effect::DropClaim]));
        }
        // What never ran has nothing to be kept; a start is let come to its end, but where the charge has an end.
        State::Starting { .. } if instance.first_running.is_none() || charged_until.is_none() => return Err(wrong()),
        State::Running | State::Starting { .. } => now.plus_seconds(limits.stop_timeout_seconds),
        State::Stopping { economical: true, .. } if charged_until.is_none() || instance.in_use_since.is_none() => {
            return Ok(unchanged());
        }
        State::Stopping { force_at, .. } => force_at,
        State::Stopped => {
            let mut step = left(instance, charged_until.unwrap_or(now.second()), now);
            step.effects.insert(0, asked);
            return Ok(step);
        }
        State::Lost { since, economical: false, .. } => {
            let state = State::Lost { since, off: true, economical: true };
            let mut step = change(instance, state, vec![Effect::Order, asked]);
            given_back(step.next.as_mut().expect("a changed instance"));
            return Ok(step);
        }
        State::StoppedEconomically | State::Lost { .. } => return Ok(unchanged()),
        State::Reclaiming { .. } | State::Releasing { .. } | State::Released { .. } => {
            unreachable!("what ends, or may be taken back, is not permitted this: {instance:?}")
        }
    };
    let mut step = change(instance, State::Stopping { force_at, economical: true }, vec![Effect::Order, asked]);
    if let Some(until) = charged_until {
        step.effects.splice(0..0, close(instance, until));
        given_back(step.next.as_mut().expect("a changed instance"));
    }
    Ok(step)
}

/// It starts on the host that has its disk, at once or when others have gone.
pub(crate) fn start(
    instance: &Instance,
    give_up_at: Option<Timestamp>,
    took_room: bool,
    now: Timestamp,
    limits: &Limits,
) -> Result<Step, Refused> {
    if monthly::is_over(instance, now) {
        return Err(monthly::over(instance));
    }
    if instance.state != State::StoppedEconomically {
        return Err(Refused::WrongState { state: instance.state.name(), verb: "start" });
    }
    let log = Effect::Log(Event::FirmStartAsked { waits: give_up_at.is_some(), took_room });
    let mut step = match give_up_at {
        Some(give_up_at) => change(instance, State::Waiting { give_up_at, asked_at: Some(now) }, vec![log]),
        None => {
            let give_up_at = now.plus_seconds(limits.boot_timeout_seconds);
            change(instance, State::Starting { give_up_at }, vec![Effect::Order, log])
        }
    };
    let next = step.next.as_mut().expect("a changed instance");
    (next.has_room, next.took_room) = (give_up_at.is_none(), took_room);
    Ok(step)
}

/// Whether what is off now, or what fails to start, is stopped economically.
pub(crate) fn will_be(instance: &Instance) -> bool {
    match instance.state {
        State::Stopping { economical, .. } => economical,
        State::StoppedEconomically | State::Waiting { .. } => true,
        State::Starting { .. } => instance.first_running.is_some() && instance.in_use_since.is_none(),
        _ => false,
    }
}

/// The guest is off: only its disk is still charged and still has room.
pub(crate) fn off(instance: &Instance, at: Timestamp) -> Step {
    let mut step = left(instance, at.second(), at);
    step.effects.insert(0, Effect::Order);
    step
}

pub(crate) fn left(instance: &Instance, charged_until: Second, off_at: Timestamp) -> Step {
    let mut effects = close(instance, charged_until);
    effects.push(Effect::FreeRoom { releasing: false });
    effects.push(Effect::Log(Event::Stopped { at: off_at.second(), economical: true }));
    let mut step = change(instance, State::StoppedEconomically, effects);
    let next = step.next.as_mut().expect("a changed instance");
    given_back(next);
    next.has_room = false;
    step
}

/// Its vCPU and memory are not charged any more, if they still were.
fn close(instance: &Instance, until: Second) -> Vec<Effect> {
    let span = instance.in_use_since.map(|since| Effect::CloseSpans { meters: COMPUTE, until: until.max(since) });
    span.into_iter().collect()
}

/// It owes nothing for its room any more. The room itself is free when the guest is known to be off.
pub(crate) fn given_back(next: &mut Instance) {
    (next.in_use_since, next.took_room) = (None, false);
}

/// Its room never came: it is as it was before.
pub(crate) fn waited_in_vain(instance: &Instance, now: Timestamp) -> Step {
    let log = Effect::Log(Event::Stopped { at: now.second(), economical: true });
    let mut step = change(instance, State::StoppedEconomically, vec![Effect::DropClaim, log]);
    given_back(step.next.as_mut().expect("a changed instance"));
    step
}

/// Its lost host came back with it, and it is off: its disk is there again, and charged.
pub(crate) fn back(instance: &Instance, since: Second) -> Step {
    let mut effects: Vec<Effect> = open(instance, DISK, since).into_iter().collect();
    if instance.has_room {
        effects.push(Effect::FreeRoom { releasing: false });
    }
    effects.push(Effect::Log(Event::Stopped { at: since, economical: true }));
    let mut step = change(instance, State::StoppedEconomically, effects);
    step.next.as_mut().expect("a changed instance").has_room = false;
    step
}
