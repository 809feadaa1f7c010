//! How may a block end, and what do the rules make of it? A life with one end, and the table of rules §2.3, §2.6 and §2.10.

use crate::lives::{LIMITS, instance};
use ebb_engine::lifecycle::{Command, Effect, Input, Reclaim, Report, due_at, step};
use ebb_model::instance::{Cause, Instance, Purchase, State};
use ebb_model::money::Price;
use ebb_model::time::{HOUR, Second, Timestamp};
use proptest::prelude::*;

pub const NOTICE: i64 = 300;
pub const PRICE: Price = Price::from_micros(120_000);

/// How a block ends. Seconds count from its first.
#[derive(Debug, Clone, Copy)]
pub enum Fate {
    Lapses,
    Deleted,
    Breach,
    /// The operator, or an order of its own tenant; urgent: without a notice.
    Taken {
        cause: Cause,
        urgent: bool,
    },
    /// So many seconds of the drill are free.
    Drill {
        free: i64,
    },
    /// The operator takes a drill over, so many seconds after it began.
    TakenOver {
        cause: Cause,
        after: i64,
        urgent: bool,
    },
    /// So many seconds after its notice it is made urgent.
    Hurried {
        cause: Cause,
        after: i64,
    },
    /// The guest says that it may go, so many seconds after a notice of this cause.
    Approved {
        cause: Cause,
        after: i64,
    },
    /// The guest says so of its natural end.
    ApprovedLapse {
        before: i64,
    },
    HostLost {
        silent: i64,
    },
    /// The host is lost so many seconds after a notice.
    LostWhile {
        cause: Cause,
        after: i64,
        silent: i64,
    },
    Vanished,
}

fn platform() -> impl Strategy<Value = Cause> {
    let all: Vec<Cause> = Cause::ALL.into_iter().filter(|c| c.is_platform() && *c != Cause::Lost).collect();
    prop::sample::select(all)
}

pub fn fate() -> impl Strategy<Value = Fate> {
    let any_cause = || prop_oneof![3 => platform(), 1 => Just(Cause::OwnOrder), 1 => Just(Cause::Drill)];
    prop_oneof![
        Just(Fate::Lapses),
        Just(Fate::Deleted),
        Just(Fate::Breach),
        Just(Fate::Vanished),
        (prop_oneof![3 => platform(), 1 => Just(Cause::OwnOrder)], any::<bool>())
            .prop_map(|(cause, urgent)| Fate::Taken { cause, urgent }),
        prop_oneof![0..NOTICE, Just(1_000)].prop_map(|free| Fate::Drill { free }),
        (platform(), 0..NOTICE, any::<bool>()).prop_map(|(cause, after, urgent)| Fate::TakenOver {
            cause,
            after,
            urgent
        }),
        (platform(), 0..NOTICE).prop_map(|(cause, after)| Fate::Hurried { cause, after }),
        (any_cause(), 0..NOTICE).prop_map(|(cause, after)| Fate::Approved { cause, after }),
        (0..NOTICE).prop_map(|before| Fate::ApprovedLapse { before }),
        (0..400_i64).prop_map(|silent| Fate::HostLost { silent }),
        (any_cause(), 0..NOTICE, prop_oneof![0..5_i64, 0..400_i64])
            .prop_map(|(cause, after, silent)| Fate::LostWhile { cause, after, silent }),
    ]
}

/// A block that has just begun to run, and all that becomes of it.
pub struct Life {
    pub block: Instance,
    pub start: i64,
    pub closed: Vec<Second>,
    /// Everything happens so far into its second, which meters the same.
    pub millis: i64,
}

impl Life {
    pub fn at(&self, second: i64) -> Timestamp {
        Second::from_unix(self.start + second).start().plus_millis(self.millis)
    }

    pub fn hear(&mut self, input: Input, second: i64) {
        let now = self.at(second);
        while let Some(due) = due_at(&self.block, &LIMITS).filter(|due| *due <= now) {
            self.take(Input::Due, due);
        }
        self.take(input, now);
    }

    pub fn take(&mut self, input: Input, now: Timestamp) {
        let done = step(&self.block, input, now, &LIMITS).unwrap();
        self.closed.extend(done.effects.iter().filter_map(|effect| match effect {
            Effect::CloseSpans { until, .. } => Some(*until),
            _ => None,
        }));
        self.block = done.next.unwrap_or(self.block.clone());
    }

    pub fn notice(&mut self, cause: Cause, second: i64, deadline: i64, free_until: Option<i64>) {
        let free_until = free_until.map(|until| Second::from_unix(self.start + until));
        let order = Reclaim { cause, deadline: self.at(deadline), free_until };
        // Only what runs is rehearsed.
        if cause == Cause::Drill && self.block.state != State::Running {
            let at = self.at(second);
            self.hear(Input::Report(Report::Off { at }), second);
            self.hear(Input::Command(Command::Start), second);
            self.hear(Input::Report(Report::Running { at }), second);
        }
        self.hear(Input::Command(Command::Reclaim(order)), second);
    }

    pub fn gone(&mut self, second: i64, approved: bool) {
        let at = self.at(second);
        self.hear(Input::Report(Report::Gone { at, approved }), second);
    }

    fn lost(&mut self, second: i64, silent: i64) {
        let heard_at = self.at(second - silent);
        self.hear(Input::HostLost { heard_at }, second);
    }
}

/// What the table says: seconds used, what of them is free, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct Due {
    pub used: i64,
    pub free: Option<(i64, i64)>,
    pub cause: Cause,
}

/// Lets a block meet its fate at a second, and says what the rules make of it.
pub fn live(life: &mut Life, fate: Fate, at: i64, late: i64, hours: i64, lease: i64) -> Due {
    let period = |second: i64| second / (hours * HOUR) * hours * HOUR;
    let end = at + NOTICE;
    let charged = |used: i64, cause: Cause| Due { used, free: None, cause };
    let free = |from: i64, used: i64, cause: Cause| Due { used, free: Some((from, used)), cause };
    // A platform's notice gives the period away that holds it; a drill is free from its request on; one's own order is not.
    let noticed = |cause: Cause, used: i64| match cause {
        Cause::Drill => free(at, used, cause),
        Cause::OwnOrder => charged(used, cause),
        _ => free(period(at), used, cause),
    };
    match fate {
        Fate::Lapses => {
            life.gone(lease + late, false);
            charged(lease, Cause::LeaseEnd)
        }
        Fate::Deleted => {
            life.hear(Input::Command(Command::Delete), at);
            life.gone(at + late, false);
            charged(at, Cause::Deleted)
        }
        Fate::Breach => {
            life.hear(Input::Command(Command::Breach), at);
            life.gone(at + late, false);
            charged(at, Cause::Breach)
        }
        Fate::Taken { cause, urgent } => {
            let deadline = if urgent { at } else { end };
            life.notice(cause, at, deadline, None);
            life.gone(deadline + late, false);
            noticed(cause, deadline + late)
        }
        Fate::Drill { free } => {
            life.notice(Cause::Drill, at, end, Some(at + free));
            life.gone(end + late, false);
            Due { used: end + late, free: Some((at, (at + free).min(end + late))), cause: Cause::Drill }
        }
        // The lease ends before the platform could take it: the drill goes on.
        Fate::TakenOver { after, urgent: false, .. } if end + after >= lease => {
            life.notice(Cause::Drill, at, end, Some(at + 10));
            life.gone(end + late, false);
            Due { used: end + late, free: Some((at, at + 10)), cause: Cause::Drill }
        }
        Fate::TakenOver { cause, after, urgent } => {
            life.notice(Cause::Drill, at, end, Some(at + 10));
            life.notice(cause, at + after, if urgent { at + after } else { end + after }, None);
            let gone = if urgent { at + after } else { end } + late;
            life.gone(gone, false);
            noticed(cause, gone)
        }
        Fate::Hurried { cause, after } => {
            life.notice(cause, at, end, None);
            life.notice(Cause::Operator, at + after, at + after, None);
            life.gone(at + after + late, false);
            noticed(cause, at + after + late)
        }
        Fate::Approved { cause, after } => {
            life.notice(cause, at, end, None);
            life.gone(at + after, true);
            noticed(cause, at + after)
        }
        Fate::ApprovedLapse { before } => {
            life.gone(lease - 1 - before, true);
            charged(lease - 1 - before, Cause::Deleted)
        }
        Fate::HostLost { silent } => {
            life.lost(at, silent);
            let seen = (at - silent).max(0);
            free(period(seen), seen, Cause::Lost)
        }
        Fate::LostWhile { cause, after, silent } => {
            life.notice(cause, at, end, None);
            life.lost(at + after, silent);
            let seen = (at + after - silent).max(0);
            free(period(seen.min(at)), seen, Cause::Lost)
        }
        Fate::Vanished => {
            life.gone(at, false);
            free(period(at), at, Cause::Lost)
        }
    }
}

/// A block that begins to run now.
pub fn born(start: i64, millis: i64, hours: i64, periods: i64) -> Life {
    let mut block = instance(1, Purchase::SpotBlock { price: PRICE, hours, periods });
    (block.state, block.first_running) = (State::Running, Some(Second::from_unix(start)));
    Life { block, start, closed: vec![], millis }
}
