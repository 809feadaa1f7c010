//! Does the bill say what the cause of the end says? A life with one end, and the table of rules §2.3, §2.6 and §2.10 beside it.

use crate::lives::{LIMITS, instance};
use ebb_engine::lifecycle::{Command, Effect, Input, Reclaim, Report, due_at, step};
use ebb_engine::rating::{charges, spans_of};
use ebb_model::billing::{Charge, Meter};
use ebb_model::calendar::Calendar;
use ebb_model::id::SpanId;
use ebb_model::instance::{Cause, Instance, Purchase, State};
use ebb_model::money::{Exact, Price};
use ebb_model::time::{HOUR, Period, Second, Timestamp};
use proptest::prelude::*;
use std::sync::LazyLock;

const NOTICE: i64 = 300;
const PRICE: Price = Price::from_micros(120_000);
static CALENDAR: LazyLock<Calendar> = LazyLock::new(|| Calendar::new("Asia/Kolkata").unwrap());

/// How a block ends. Seconds count from its first.
#[derive(Debug, Clone, Copy)]
enum Fate {
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

fn fate() -> impl Strategy<Value = Fate> {
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
        (any_cause(), 0..NOTICE, 0..400_i64).prop_map(|(cause, after, silent)| Fate::LostWhile {
            cause,
            after,
            silent
        }),
    ]
}

/// A block that has just begun to run, and all that becomes of it.
struct Life {
    block: Instance,
    start: i64,
    closed: Vec<Second>,
    /// Instructions and reports count from the middle of a second, which meters the same.
    millis: i64,
}

impl Life {
    fn at(&self, second: i64) -> Timestamp {
        Second::from_unix(self.start + second).start().plus_millis(self.millis)
    }

    fn hear(&mut self, input: Input, second: i64) {
        let now = self.at(second);
        while let Some(due) = due_at(&self.block, &LIMITS).filter(|due| *due <= now) {
            self.take(Input::Due, due);
        }
        self.take(input, now);
    }

    fn take(&mut self, input: Input, now: Timestamp) {
        let done = step(&self.block, input, now, &LIMITS).unwrap();
        self.closed.extend(done.effects.iter().filter_map(|effect| match effect {
            Effect::CloseSpans { until } => Some(*until),
            _ => None,
        }));
        self.block = done.next.unwrap_or(self.block.clone());
    }

    fn notice(&mut self, cause: Cause, second: i64, deadline: i64, free_until: Option<i64>) {
        let free_until = free_until.map(|until| Second::from_unix(self.start + until));
        let order = Reclaim { cause, deadline: self.at(deadline), free_until };
        self.hear(Input::Command(Command::Reclaim(order)), second);
    }

    fn gone(&mut self, second: i64, approved: bool) {
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
struct Due {
    used: i64,
    free: Option<(i64, i64)>,
    cause: Cause,
}

/// Lets a block meet its fate at a second, and says what the rules make of it.
fn live(life: &mut Life, fate: Fate, at: i64, late: i64, hours: i64, lease: i64) -> Due {
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

fn records(block: &Instance) -> (Vec<Charge>, Vec<Charge>) {
    let (end, since) = (*block.state.end().unwrap(), block.first_running.unwrap());
    let rate = |meter: Meter| {
        let mut span =
            spans_of(block, since, || SpanId::new(Default::default())).into_iter().find(|s| s.meter == meter)?;
        span.until = Some(end.at);
        Some(charges(&span, Period::new(since, end.at)?, &CALENDAR, None, Some(&end)))
    };
    (rate(Meter::Compute).unwrap_or_default(), rate(Meter::SystemDisk).unwrap_or_default())
}

fn cost(charges: &[Charge]) -> Exact {
    charges.iter().filter(|c| c.waiver.is_none()).map(Charge::gross).sum()
}

fn born(start: i64, millis: i64, hours: i64, periods: i64) -> Life {
    let mut block = instance(1, Purchase::SpotBlock { price: PRICE, hours, periods });
    (block.state, block.first_running) = (State::Running, Some(Second::from_unix(start)));
    Life { block, start, closed: vec![], millis }
}

/// Any second of a lease, the first and last of each period more often than others.
fn second_of(place: u64, hours: i64, periods: i64) -> i64 {
    let (lease, length) = (hours * periods * HOUR, hours * HOUR);
    let boundary = (place / 16) as i64 % periods * length;
    match place % 16 {
        0 => boundary,
        1 => boundary + 1,
        2 => boundary + length - 1,
        3 => boundary + length - NOTICE,
        4 => boundary + length - NOTICE - 1,
        _ => (place / 16 % lease as u64) as i64,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn the_cause_of_the_end_decides_what_is_free(
        fate in fate(), hours in 1..=6_i64, more in 1..=3_i64, place in any::<u64>(), late in 0..3_i64,
        start in 1_772_412_000..1_772_512_000_i64, millis in 0..1_000_i64, stopped in any::<bool>(),
    ) {
        let periods = if hours == 6 { more } else { 1 };
        let lease = hours * periods * HOUR;
        // A notice that would end with the lease, or after it, is not given.
        let at = second_of(place, hours, periods).min(lease - NOTICE - 1);
        let mut life = born(start, millis, hours, periods);
        if stopped {
            // Changes nothing of what is due.
            life.hear(Input::Command(Command::Stop), at / 2);
            let off = life.at(at / 2);
            life.hear(Input::Report(Report::Off { at: off }), at / 2);
        }
        let due = live(&mut life, fate, at, late, hours, lease);

        let State::Released { end, .. } = life.block.state else { panic!("{fate:?}: {:?}", life.block.state) };
        let (compute, disk) = records(&life.block);
        let free: Vec<&Charge> = compute.iter().filter(|c| c.waiver.is_some()).collect();
        let seconds = |all: &[Charge]| all.iter().map(Charge::seconds).sum::<i64>();
        let from_to = free.first().zip(free.last())
            .map(|(first, last)| (first.period.since.unix() - start, last.period.until.unix() - start));
        // Each second that was used is in one record, charged or free; the disk is charged all along.
        prop_assert_eq!(life.closed, vec![end.at]);
        prop_assert_eq!((end.at.unix() - start, end.cause), (due.used, due.cause));
        prop_assert_eq!((seconds(&compute), seconds(&disk)), (due.used, due.used));
        prop_assert_eq!(from_to, due.free.filter(|(from, until)| from < until));
        prop_assert_eq!(cost(&disk), disk.iter().map(Charge::gross).sum());
        prop_assert!(free.iter().all(|c| c.waiver == Some(due.cause)));
        let mut last = start;
        for record in &compute {
            let Period { since, until } = record.period;
            prop_assert_eq!(since.unix(), last);
            last = until.unix();
            let (first, end) = (since.unix(), until.unix() - 1);
            prop_assert_eq!(first / HOUR, end / HOUR, "one clock hour");
            prop_assert_eq!((first - start) / (hours * HOUR), (end - start) / (hours * HOUR), "one period");
        }
    }

    #[test]
    fn a_drill_costs_no_more_than_the_use_and_frees_nothing_used_before(
        hours in 1..=6_i64, place in any::<u64>(), free in 0..600_i64, gone in 0..NOTICE + 2, approves in any::<bool>(),
        start in 1_772_412_000..1_772_512_000_i64,
    ) {
        let at = second_of(place, hours, 1).min(hours * HOUR - NOTICE - 2);
        let ends = at + if approves { gone.min(NOTICE) } else { NOTICE + gone % 2 };
        let mut drill = born(start, 0, hours, 1);
        drill.notice(Cause::Drill, at, at + NOTICE, (free < 500).then_some(at + free));
        drill.gone(ends, approves);
        let deleted = |second: i64| {
            let mut life = born(start, 0, hours, 1);
            life.hear(Input::Command(Command::Delete), second);
            life.gone(second, false);
            cost(&records(&life.block).0)
        };
        let (cost, used) = (cost(&records(&drill.block).0), deleted(ends));
        prop_assert!(cost <= used, "{cost:?} is more than the use, {used:?}");
        prop_assert!(cost >= deleted(at), "{cost:?} is less than what was used before, {:?}", deleted(at));
        let paid = if free < 500 { (ends - at - free).max(0) } else { 0 };
        prop_assert_eq!(cost, PRICE.charge(at + paid));
    }
}

/// The host shows the notice of a natural end by itself, so a guest can say so before the service has looked at its clock.
#[test]
fn a_guest_that_says_it_may_go_is_charged_even_if_the_service_is_late() {
    for heard in [HOUR - 100, HOUR, HOUR + 5_000] {
        let mut life = born(1_772_412_000, 0, 1, 1);
        let gone = Input::Report(Report::Gone { at: life.at(HOUR - 100), approved: true });
        life.take(gone, life.at(heard));
        let end = *life.block.state.end().unwrap();
        assert_eq!((end.at.unix() - life.start, end.cause, end.waived_since), (HOUR - 100, Cause::Deleted, None));
    }
}

/// A service that was down costs the tenant nothing.
#[test]
fn a_guest_that_vanished_before_its_lease_end_is_free_however_late_that_is_heard() {
    let mut life = born(1_772_412_000, 0, 2, 1);
    let gone = Input::Report(Report::Gone { at: life.at(HOUR), approved: false });
    life.take(gone, life.at(3 * HOUR));
    let end = *life.block.state.end().unwrap();
    let free = end.waived_since.map(|since| since.unix() - life.start);
    assert_eq!((end.at.unix() - life.start, end.cause, free), (HOUR, Cause::Lost, Some(0)));
}
