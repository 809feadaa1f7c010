//! What happens to an instance next? `step(instance, input, now)` gives the next instance and what is to be done.

use crate::cap;
use crate::coverage;
use crate::economical;
use crate::end::{
    ended, ending, given_up, lease_over, natural, never_ran, no_longer_waiting, period_start, released, releasing,
};
use crate::event::Event;
use crate::frozen;
use crate::monthly::{self, Payment};
use crate::price::priced;
use crate::refusal::Refused;
use crate::taking::{cut_drill, hurry, reclaim};
use crate::trial_end::{become_on_demand, go_with_the_trial, stop_with_the_trial};
use ebb_model::billing::Meter;
use ebb_model::catalog::Limits;
use ebb_model::id::HostId;
use ebb_model::instance::{Cause, End, Instance, State};
use ebb_model::money::{Amount, Price};
use ebb_model::time::{Second, Timestamp};

/// What may happen to an instance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Input {
    Command(Command),
    Report(Report),
    /// The room that it waits for is free.
    RoomFree,
    /// Its owner wants it to run again after an economical stop, and there is room on the host that has its disk (rules §2.12).
    StartAgain {
        /// The room is being cleared and it waits, at most until then; `None`: it is free, and taken.
        give_up_at: Option<Timestamp>,
        /// Others were given notice for it.
        took_room: bool,
    },
    /// The host on which its room was promised is lost; another one clears it.
    Replanned {
        host: HostId,
        give_up_at: Timestamp,
        /// Others were given notice for it now.
        took_room: bool,
    },
    /// Its host was silent for too long and cannot run anything any more; it was last heard then (rules §1.6).
    HostLost {
        heard_at: Timestamp,
    },
    /// The list of its account's grant has changed, and has its flavor now or has not any more (rules §3.3).
    Listed {
        covered: bool,
    },
    /// What it costs per hour has changed at `since` (rules §5.3).
    Priced {
        price: Price,
        disk_price: Price,
        since: Second,
    },
    /// Its account's trial is over; from `since` on it is an on-demand instance (rules §3.8).
    OnDemand {
        since: Second,
    },
    /// Its account's trial is over, and its owner wants it to stop economically with that second; its disk goes on, on demand.
    StopWithTrial {
        at: Second,
    },
    /// Its account's trial is over, and its owner wants it to go with that second.
    TrialOver {
        at: Second,
    },
    /// Its account's spending cap acts, and nothing that can be stopped is charged from `at` on (rules §3.8).
    CapReached {
        at: Second,
    },
    /// Its account is frozen for arrears, and nothing of it is charged from `at` on (rules §5.2).
    Frozen {
        at: Second,
    },
    /// Its account, which was frozen, has paid.
    Thawed {
        at: Second,
    },
    /// Its account was frozen for too long.
    ArrearsOver {
        at: Second,
    },
    /// An instant that was known beforehand has come.
    Due,
}

/// What a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Stop,
    /// The same, and its room but for the disk is given back as soon as it is off; nothing else is charged then (rules §4.2).
    StopEconomically {
        /// vCPU and memory are charged up to here, however late this is carried out; `None`: until the guest is off.
        charged_until: Option<Second>,
    },
    /// With the room that it has; after an economical stop that is found first, see [`Input::StartAgain`].
    Start,
    Delete,
    /// The operator ends it for a breach of the terms; charged like a delete.
    Breach,
    Reclaim(Reclaim),
}

/// A notice to be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reclaim {
    pub cause: Cause,
    /// The release begins here; now, if it is urgent.
    pub deadline: Timestamp,
    /// Of a drill: as much of it as is still free this month; `None`: all of it.
    pub free_until: Option<Second>,
}

/// What the host saw, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    Running {
        at: Timestamp,
    },
    Off {
        at: Timestamp,
    },
    Gone {
        at: Timestamp,
        /// The guest itself said that it may go before its time.
        approved: bool,
    },
    /// It could not be started and nothing of it is left.
    Failed {
        at: Timestamp,
    },
}

/// What is to be done, in the same transaction as the new state.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// The host must learn the new order.
    Order,
    /// Charge begins: one span for each of these.
    OpenSpans {
        meters: &'static [Meter],
        since: Second,
    },
    CloseSpans {
        meters: &'static [Meter],
        until: Second,
    },
    /// More room becomes its own, which is free.
    TakeRoom,
    /// What of these is charged goes on from here, and no grant pays for it any more.
    LeaveTrial {
        meters: &'static [Meter],
        since: Second,
    },
    /// The claimed room becomes used room.
    UseClaim,
    DropClaim,
    /// A notice is out: the room will be free at the deadline.
    MarkReleasing,
    /// What it does not use any more is free; `releasing` if it was marked so.
    FreeRoom {
        releasing: bool,
    },
    /// Issue all records of a block.
    SettleBlock,
    /// Money is held back until an hour with seconds after this one is closed.
    Hold {
        amount: Amount,
        since: Second,
    },
    /// Money held back for it is not needed any more.
    DropHold,
    /// Months are paid in advance: one record, now.
    Pay(Payment),
    Log(Event),
}

/// The next state, with what is to be done. `None` as state: nothing changes.
pub struct Step {
    pub next: Option<Instance>,
    pub effects: Vec<Effect>,
}

/// Decides what `input` does to `instance` at `now`. Repeats are harmless; what cannot be is refused.
///
/// # Errors
/// [`Refused`] for commands only; reports and due instants always have an answer.
pub fn step(instance: &Instance, input: Input, now: Timestamp, limits: &Limits) -> Result<Step, Refused> {
    // A lease that has run out ends before anything else happens at that instant (rules §2.3).
    if let Some(lease_end) = lease_over(instance, now) {
        return Ok(match input {
            // It was gone before, and that is heard only now.
            Input::Report(report @ Report::Gone { at, .. }) if at < lease_end.start() => learn(instance, report),
            Input::Report(Report::Gone { at, .. }) => released(instance, natural(lease_end, limits), at),
            Input::Command(_) => return Err(Refused::Released),
            // The cap came before it, and is carried out only now.
            Input::CapReached { at } if at < lease_end => cap::reached(instance, at, now, limits),
            Input::Frozen { at } if at < lease_end => frozen::freeze(instance, at, now, limits),
            Input::HostLost { .. } => released(instance, natural(lease_end, limits), now),
            _ => releasing(instance, natural(lease_end, limits), vec![]),
        });
    }
    match input {
        Input::Command(command) => obey(instance, command, now, limits),
        Input::Report(Report::Off { .. }) if matches!(instance.state, State::Lost { off: true, .. }) => {
            // The host is back with it, stopped as it was; from now on it is charged as such.
            let since = now.second();
            if let State::Lost { economical: true, .. } = instance.state {
                return Ok(economical::back(instance, since));
            }
            let log = Effect::Log(Event::Running { at: since, first: false });
            let mut effects: Vec<Effect> = open(instance, Meter::OF_INSTANCE, since).into_iter().collect();
            effects.push(log);
            Ok(change(instance, State::Stopped, effects))
        }
        Input::Report(report) => Ok(learn(instance, report)),
        Input::RoomFree => Ok(match instance.state {
            State::Waiting { .. } => {
                let give_up_at = now.plus_seconds(limits.boot_timeout_seconds);
                let mut step = change(instance, State::Starting { give_up_at }, vec![Effect::UseClaim, Effect::Order]);
                step.next.as_mut().expect("a changed instance").has_room = true;
                step
            }
            _ => unchanged(),
        }),
        Input::StartAgain { give_up_at, took_room } => economical::start(instance, give_up_at, took_room, now, limits),
        Input::Replanned { host, give_up_at, took_room } => Ok(match instance.state {
            // Whose disk is there waits there.
            State::Waiting { asked_at, .. } if instance.first_running.is_none() => {
                let log = Effect::Log(Event::Replanned { took_room });
                let mut step = change(instance, State::Waiting { give_up_at, asked_at }, vec![log]);
                let next = step.next.as_mut().expect("a changed instance");
                next.host = host;
                next.took_room |= took_room;
                step
            }
            _ => unchanged(),
        }),
        Input::HostLost { heard_at } => Ok(lose(instance, heard_at, now)),
        Input::Listed { covered } => Ok(coverage::listed(instance, covered, now.second())),
        Input::Priced { price, disk_price, since } => Ok(priced(instance, price, disk_price, since)),
        Input::OnDemand { since } => Ok(become_on_demand(instance, since)),
        Input::StopWithTrial { at } => stop_with_the_trial(instance, at, now, limits),
        Input::TrialOver { at } => Ok(go_with_the_trial(instance, at, now, limits)),
        Input::CapReached { at } => Ok(cap::reached(instance, at, now, limits)),
        Input::Frozen { at } => Ok(frozen::freeze(instance, at, now, limits)),
        Input::Thawed { at } => Ok(frozen::thaw(instance, at)),
        Input::ArrearsOver { at } => Ok(frozen::let_go(instance, at, limits)),
        Input::Due => Ok(due(instance, now, limits)),
    }
}

/// When [`Input::Due`] has something to do next.
pub fn due_at(instance: &Instance, limits: &Limits) -> Option<Timestamp> {
    let lease_end = instance.lease_end().map(Second::start);
    let announce = lease_end.filter(|_| !instance.end_announced).map(|end| end.plus_seconds(-limits.notice_seconds));
    let own = match instance.state {
        State::Waiting { give_up_at, .. } | State::Starting { give_up_at } => Some(give_up_at),
        State::Running | State::Stopping { .. } | State::Stopped | State::StoppedEconomically | State::Lost { .. } => {
            None
        }
        // The host carries the deadline out by itself; its report ends this state.
        State::Reclaiming { .. } | State::Releasing { .. } | State::Released { .. } => return None,
    };
    let paid = monthly::due_at(instance, limits);
    own.into_iter().chain(announce).chain(lease_end).chain(paid).min()
}

fn obey(instance: &Instance, command: Command, now: Timestamp, limits: &Limits) -> Result<Step, Refused> {
    let wrong = |verb| Err(Refused::WrongState { state: instance.state.name(), verb });
    match (&instance.state, command) {
        (State::Releasing { .. } | State::Released { .. }, _) => Err(Refused::Released),
        (_, Command::Start) if monthly::is_over(instance, now) => Err(monthly::over(instance)),
        (_, Command::StopEconomically { charged_until }) => economical::stop(instance, charged_until, now, limits),
        (State::Reclaiming { .. }, Command::Reclaim(order)) => hurry(instance, order),
        (State::Reclaiming { cause: Cause::Drill, .. }, Command::Breach) => Ok(cut_drill(instance, now)),
        (State::Reclaiming { deadline, .. }, _) => Err(Refused::Reclaiming { deadline: *deadline }),

        (State::Running, Command::Stop) => {
            let force_at = now.plus_seconds(limits.stop_timeout_seconds);
            let effects = vec![Effect::Order, Effect::Log(Event::StopAsked)];
            Ok(change(instance, State::Stopping { force_at, economical: false }, effects))
        }
        (State::Stopping { .. } | State::Stopped | State::StoppedEconomically, Command::Stop) => Ok(unchanged()),
        (_, Command::Stop) => wrong("stop"),

        (State::Stopped, Command::Start) => {
            let give_up_at = now.plus_seconds(limits.boot_timeout_seconds);
            let effects = vec![Effect::Order, Effect::Log(Event::StartAsked)];
            Ok(change(instance, State::Starting { give_up_at }, effects))
        }
        (State::StoppedEconomically, Command::Start) => Err(Refused::NoRoomToStart),
        (State::Running | State::Starting { .. }, Command::Start) => Ok(unchanged()),
        (State::Waiting { .. }, Command::Start) if instance.first_running.is_some() => Ok(unchanged()),
        (_, Command::Start) => wrong("start"),

        (_, Command::Delete) if instance.took_room && instance.in_use_since.is_none() => Err(Refused::CausedNotice),
        (State::Waiting { .. }, Command::Delete) if instance.first_running.is_none() => {
            Ok(given_up(instance, now, Some(Event::DeleteAsked)))
        }
        (_, Command::Delete) => {
            let mut effects = vec![Effect::Log(Event::DeleteAsked)];
            effects.extend(no_longer_waiting(instance));
            Ok(releasing(instance, ended(instance, Cause::Deleted, now, limits), effects))
        }
        (State::Waiting { .. }, Command::Breach) if instance.first_running.is_none() => {
            Ok(given_up(instance, now, None))
        }
        (_, Command::Breach) => {
            let end = ended(instance, Cause::Breach, now, limits);
            Ok(releasing(instance, end, no_longer_waiting(instance)))
        }

        (_, Command::Reclaim(order)) => reclaim(instance, order, now),
    }
}

/// The host is lost with everything on it. Its blocks end without a notice; what is firm waits for it to come back.
fn lose(instance: &Instance, heard_at: Timestamp, now: Timestamp) -> Step {
    match &instance.state {
        State::Lost { .. } | State::Released { .. } => unchanged(),
        // No other host could be found for it, or it would have been planned anew before.
        State::Waiting { .. } if instance.first_running.is_none() => given_up(instance, now, None),
        // It ended after the host did: what was charged in between was not used.
        State::Releasing { end } => match instance.first_running {
            Some(start) if heard_at.second() < end.at => {
                let at = heard_at.second().max(start);
                let lost = End {
                    at,
                    cause: Cause::Lost,
                    waived_since: period_start(instance, at),
                    waived_until: None,
                    notice: end.notice,
                };
                let end = if instance.purchase.is_firm() { End { at, ..*end } } else { lost };
                let mut step = released(instance, end, now);
                let close = Effect::CloseSpans { meters: Meter::OF_INSTANCE, until: at };
                step.effects.splice(0..0, [close, Effect::Log(Event::Ended(end))]);
                step
            }
            _ => released(instance, *end, now),
        },
        _ => match instance.first_running {
            None => released(instance, never_ran(now), now),
            Some(start) => {
                let at = heard_at.second().max(start);
                if instance.purchase.is_firm() {
                    let mut effects = vec![
                        Effect::CloseSpans { meters: Meter::OF_INSTANCE, until: at },
                        Effect::Order,
                        Effect::Log(Event::HostLost { since: at }),
                    ];
                    effects.extend(no_longer_waiting(instance));
                    let economical = economical::will_be(instance);
                    let off = economical || matches!(instance.state, State::Stopping { .. } | State::Stopped);
                    let mut step = change(instance, State::Lost { since: at, off, economical }, effects);
                    if economical {
                        economical::given_back(step.next.as_mut().expect("a changed instance"));
                    }
                    return step;
                }
                let notice = ending(instance, at).and_then(|end| end.notice);
                let waived_since =
                    period_start(instance, notice.map_or(at, |notice| notice.notice_at.second().min(at)));
                released(instance, End { at, cause: Cause::Lost, waived_since, waived_until: None, notice }, now)
            }
        },
    }
}

fn learn(instance: &Instance, report: Report) -> Step {
    match (&instance.state, report) {
        (State::Released { .. }, _) => unchanged(),
        // No host was told of it, and it has no room to give back.
        (State::Waiting { .. }, _) if instance.first_running.is_none() => unchanged(),

        (State::Starting { .. }, Report::Running { at }) => {
            let first = instance.first_running.is_none();
            let log = Effect::Log(Event::Running { at: at.second(), first });
            let mut step = change(instance, State::Running, vec![log]);
            let next = step.next.as_mut().expect("a changed instance");
            if instance.in_use_since.is_none() {
                // After an economical stop the disk has been charged all the time.
                let meters = if first { Meter::OF_INSTANCE } else { &[Meter::Compute] };
                next.first_running = instance.first_running.or(Some(at.second()));
                next.in_use_since = Some(at.second());
                step.effects.splice(0..0, open(instance, meters, at.second()));
            }
            // The host learns the end of the lease, which begins with this second.
            if next.lease_end().is_some() {
                step.effects.push(Effect::Order);
            }
            step
        }

        (State::Starting { .. }, Report::Off { at } | Report::Failed { at }) if instance.first_running.is_some() => {
            stopped(instance, at)
        }
        (State::Starting { .. }, Report::Off { at }) => releasing(instance, never_ran(at), vec![]),
        (State::Starting { .. }, Report::Failed { at } | Report::Gone { at, .. })
            if instance.first_running.is_none() =>
        {
            released(instance, never_ran(at), at)
        }

        (State::Running | State::Stopping { .. }, Report::Off { at }) => stopped(instance, at),

        // It stopped by itself before the deadline; nobody starts it again.
        (State::Reclaiming { notice_at, deadline, cause, off_by: None, free_until }, Report::Off { at }) => {
            let state = State::Reclaiming {
                notice_at: *notice_at,
                deadline: *deadline,
                cause: *cause,
                off_by: Some(at),
                free_until: *free_until,
            };
            let log = Effect::Log(Event::Stopped { at: at.second(), economical: false });
            change(instance, state, vec![Effect::Order, log])
        }
        (State::Reclaiming { .. }, Report::Gone { at, approved: true }) => {
            let mut step = released(instance, ending(instance, at.second()).expect("it is being taken back"), at);
            step.effects.insert(0, Effect::Log(Event::Approved { at }));
            step
        }
        (State::Reclaiming { .. }, Report::Gone { at, .. } | Report::Failed { at }) => {
            released(instance, ending(instance, at.second()).expect("it is being taken back"), at)
        }
        (State::Releasing { end }, Report::Gone { at, .. } | Report::Failed { at }) => released(instance, *end, at),

        // The host will see its order to be off.
        (State::Lost { economical: true, .. }, Report::Running { .. }) => unchanged(),
        // The host came back with it after all: charge goes on once it runs.
        (State::Lost { .. }, Report::Running { at }) => {
            let log = Effect::Log(Event::Running { at: at.second(), first: false });
            let mut effects: Vec<Effect> = open(instance, Meter::OF_INSTANCE, at.second()).into_iter().collect();
            effects.push(log);
            change(instance, State::Running, effects)
        }
        (State::Lost { .. }, Report::Off { .. }) => unchanged(),

        // A natural end is near, and the guest said that it is ready for it: its tenant's doing, announced here or not yet.
        (_, Report::Gone { at, approved: true }) => {
            let end =
                End { at: at.second(), cause: Cause::Deleted, waived_since: None, waived_until: None, notice: None };
            let mut step = released(instance, end, at);
            step.effects.insert(0, Effect::Log(Event::Approved { at }));
            step
        }

        // Gone without an order of ours: the operator's fault, whatever it was.
        (_, Report::Gone { at, .. } | Report::Failed { at }) => {
            let at_second = match instance.state {
                State::Lost { since, .. } => since,
                _ => at.second(),
            };
            let waived_since = period_start(instance, at_second);
            let end = End { at: at_second, cause: Cause::Lost, waived_since, waived_until: None, notice: None };
            let mut step = released(instance, end, at);
            step.effects.splice(0..0, no_longer_waiting(instance));
            step
        }

        (_, Report::Running { .. } | Report::Off { .. }) => unchanged(),
    }
}

fn due(instance: &Instance, now: Timestamp, limits: &Limits) -> Step {
    if let Some(step) = monthly::due(instance, now, limits) {
        return step;
    }
    match instance.state {
        State::Waiting { give_up_at, .. } if give_up_at <= now => match instance.first_running {
            None => given_up(instance, now, None),
            Some(_) => economical::waited_in_vain(instance, now),
        },
        State::Starting { give_up_at } if give_up_at <= now => match instance.first_running {
            None => releasing(instance, never_ran(now), vec![]),
            Some(_) => {
                let economical = economical::will_be(instance);
                change(instance, State::Stopping { force_at: now, economical }, vec![Effect::Order])
            }
        },
        _ => match instance.lease_end() {
            Some(end) if !instance.end_announced && end.start().plus_seconds(-limits.notice_seconds) <= now => {
                let notice_at = end.start().plus_seconds(-limits.notice_seconds);
                let notice = Event::InterruptServer {
                    cause: Cause::LeaseEnd,
                    notice_at,
                    deadline: end.start(),
                    free_until: None,
                    decision: None,
                };
                let mut step = change(instance, instance.state.clone(), vec![Effect::Order, Effect::Log(notice)]);
                step.next.as_mut().expect("a changed instance").end_announced = true;
                step
            }
            _ => unchanged(),
        },
    }
}

/// Charge begins, unless it was paid before, or its account is frozen.
pub(crate) fn open(instance: &Instance, meters: &'static [Meter], since: Second) -> Option<Effect> {
    let charged = instance.purchase.is_metered() && instance.frozen_since.is_none();
    charged.then_some(Effect::OpenSpans { meters, since })
}

/// The guest is off, its disk there.
fn stopped(instance: &Instance, at: Timestamp) -> Step {
    if economical::will_be(instance) {
        return economical::off(instance, at);
    }
    let log = Effect::Log(Event::Stopped { at: at.second(), economical: false });
    change(instance, State::Stopped, vec![Effect::Order, log])
}

pub(crate) fn change(instance: &Instance, state: State, effects: Vec<Effect>) -> Step {
    let next = Instance { state, generation: instance.generation + 1, ..instance.clone() };
    Step { next: Some(next), effects }
}

pub(crate) fn unchanged() -> Step {
    Step { next: None, effects: vec![] }
}
