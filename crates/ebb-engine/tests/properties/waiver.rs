//! Does the bill say what the cause of the end says?

use crate::fates::{NOTICE, PRICE, born, fate, live};
use ebb_engine::lifecycle::{Command, Input, Report};
use ebb_engine::price::Tariff;
use ebb_engine::rating::{charges, spans_of};
use ebb_model::billing::{Charge, Meter};
use ebb_model::calendar::Calendar;
use ebb_model::id::SpanId;
use ebb_model::instance::{Cause, Instance, State};
use ebb_model::money::Exact;
use ebb_model::time::{HOUR, Period};
use proptest::prelude::*;
use std::sync::LazyLock;

static CALENDAR: LazyLock<Calendar> = LazyLock::new(|| Calendar::new("Asia/Kolkata").unwrap());

fn records(block: &Instance) -> (Vec<Charge>, Vec<Charge>) {
    let (end, since) = (*block.state.end().unwrap(), block.first_running.unwrap());
    let rate = |meter: Meter| {
        let mut span =
            spans_of(block, &Tariff::kept(&block.purchase, block.disk_price), Meter::OF_INSTANCE, true, since, || {
                SpanId::new(Default::default())
            })
            .into_iter()
            .find(|s| s.meter == meter)?;
        span.until = Some(end.at);
        Some(charges(&span, Period::new(since, end.at)?, &CALENDAR, None, Some(&end)))
    };
    (rate(Meter::Compute).unwrap_or_default(), rate(Meter::SystemDisk).unwrap_or_default())
}

fn cost(charges: &[Charge]) -> Exact {
    charges.iter().filter(|c| c.waiver.is_none()).map(Charge::gross).sum()
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
        fate in fate(), hours in prop_oneof![1..=6_i64, Just(6)], more in 1..=3_i64, place in any::<u64>(), late in 0..3_i64,
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
        // A late machine makes nobody pay beyond his lease.
        let most = if due.cause.is_platform() { i64::MAX } else { lease };
        let used = due.used.min(most);
        prop_assert_eq!((end.at.unix() - start, end.cause), (used, due.cause));
        prop_assert_eq!((seconds(&compute), seconds(&disk)), (used, used));
        prop_assert_eq!(from_to, due.free.map(|(from, until)| (from, until.min(most))).filter(|(from, until)| from < until));
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
