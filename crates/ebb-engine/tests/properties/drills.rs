//! A drill costs at most what a delete at its request and the use after it come to, makes no used time free, and a month has no more
//! free seconds than it has.

use crate::lives::{LIMITS, instance};
use ebb_engine::drill::{Standing, costs, free_seconds};
use ebb_engine::lifecycle::{Command, Input, Reclaim, Report, step};
use ebb_engine::rating::charges;
use ebb_model::billing::{Charge, Meter, Settled, Span};
use ebb_model::calendar::Calendar;
use ebb_model::catalog::Limits;
use ebb_model::id::SpanId;
use ebb_model::instance::{Cause, Instance, Purchase, State};
use ebb_model::money::{Amount, Exact, Price};
use ebb_model::time::{HOUR, Period, Second, Timestamp};
use proptest::prelude::*;

const START: i64 = 1_772_412_000;

fn running(price: i64, hours: i64, periods: i64) -> Instance {
    let mut block = instance(1, Purchase::SpotBlock { price: Price::from_micros(price), hours, periods });
    block.state = State::Running;
    block.first_running = Some(Second::from_unix(START));
    block
}

fn sum(charges: &[Charge], wanted: impl Fn(&Charge) -> bool) -> Exact {
    charges.iter().filter(|charge| wanted(charge)).map(Charge::gross).sum()
}

/// What is charged of a block, and what is waived.
fn bill(block: &Instance) -> (Exact, Exact) {
    let Purchase::SpotBlock { price, hours, .. } = block.purchase else { unreachable!("only blocks are drilled") };
    let end = block.state.end().expect("it has ended");
    let (since, until) = (block.first_running.expect("it ran"), end.at);
    let span = Span {
        id: SpanId::new(Default::default()),
        account: block.account,
        resource: block.id.into(),
        meter: Meter::Compute,
        price: price.into(),
        follows: None,
        settled: Settled::AtRelease { hours },
        since,
        until: Some(until),
    };
    let calendar = Calendar::new("Asia/Shanghai").expect("it is known");
    let window = Period { since, until: until.max(since) };
    let charges = charges(&span, window, &calendar, None, Some(end));
    (sum(&charges, |charge| charge.waiver.is_none()), sum(&charges, |charge| charge.waiver.is_some()))
}

fn at(instance: &Instance, input: Input, now: Timestamp) -> Instance {
    step(instance, input, now, &LIMITS).ok().and_then(|done| done.next).unwrap_or_else(|| instance.clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_drill_is_never_dearer_than_its_use_and_never_makes_used_time_free(
        price in 0..1_000_000_i64, hours in 1..=6_i64, periods in 1..=3_i64, asked in 0..40_000_i64, micros in 0..1_000_000_i64,
        free in 0..400_i64, off in prop::option::of(0..300_i64), taken in prop::option::of(0..300_i64), late in 0..90_000_i64,
    ) {
        let periods = if hours == 6 { periods } else { 1 };
        let block = running(price, hours, periods);
        let now = Timestamp::from_micros((START + asked.min(hours * periods * HOUR - 1)) * 1_000_000 + micros);
        let deadline = now.plus_seconds(LIMITS.notice_seconds);
        let free_until = Some(now.second().plus(free));
        let order = Reclaim { cause: Cause::Drill, deadline, free_until };
        let Ok(noticed) = step(&block, Input::Command(Command::Reclaim(order)), now, &LIMITS) else {
            let lease_end = block.lease_end().expect("a block has one");
            prop_assert!(lease_end.start() <= deadline, "refused though there is time");
            return Ok(());
        };
        let mut block_now = noticed.next.expect("a notice changes the state");
        if let Some(seconds) = off {
            let when = now.plus_seconds(seconds);
            block_now = at(&block_now, Input::Report(Report::Off { at: when }), when);
        }
        // What ends before the platform could take it is not taken over.
        let taken = taken.filter(|seconds| block.lease_end().unwrap().start() > now.plus_seconds(seconds + 300));
        if let Some(seconds) = taken {
            let when = now.plus_seconds(seconds);
            let platform = Reclaim { cause: Cause::Capacity, deadline: when.plus_seconds(300), free_until: None };
            block_now = at(&block_now, Input::Command(Command::Reclaim(platform)), when);
        }
        let gone = deadline.plus_millis(late);
        let released = at(&block_now, Input::Report(Report::Gone { at: gone, approved: false }), gone);
        let (charged, waived) = bill(&released);
        let deleted = at(&block, Input::Command(Command::Delete), now);
        let (by_delete, _) = bill(&deleted);
        let end = released.state.end().expect("it is released");
        let after = block.purchase.price().charge(end.at.unix() - now.second().unix());
        let told = costs(&released).expect("a notice was given");

        prop_assert!(charged.units() <= (by_delete + after).units(), "a drill never costs more than its use");
        if taken.is_some() {
            prop_assert_eq!((end.cause, free_seconds(end)), (Cause::Capacity, 0));
            prop_assert_eq!((told.platform, told.charged), (waived, Exact::ZERO));
        } else {
            prop_assert!(charged.units() >= by_delete.units(), "a drill never makes used time free");
            prop_assert_eq!(free_seconds(end), free.min(end.at.unix() - now.second().unix()));
            // The scorecard says what the bill says.
            prop_assert_eq!((told.free, by_delete + told.charged), (waived, charged));
            prop_assert!(told.platform.units() >= waived.units());
        }
    }

    #[test]
    fn a_month_has_no_more_free_seconds_than_it_has(
        month in 0..5_000_i64, lives in prop::collection::vec((any::<bool>(), 0..30_i64, 1..4_usize), 1..60),
    ) {
        let limits = Limits { drill_free_seconds: month, drills_per_day: 1_000, drills_per_minute: 1_000, ..LIMITS.clone() };
        let mut standing = Standing { debt: Amount::ZERO, today: 0, this_minute: 0, allotted: 0 };
        let mut under_way = vec![];
        let mut used = 0;
        for (taken_over, late, at_once) in lives {
            for _ in 0..at_once {
                prop_assert!(standing.may_drill(&limits).is_ok());
                let allotted = standing.allot(&limits, 0);
                standing.count(allotted);
                under_way.push((allotted, taken_over, late));
            }
            // All but one are released, and give back what they did not need.
            for (allotted, taken_over, late) in under_way.drain(..under_way.len() - 1) {
                let free = if taken_over { 0 } else { allotted.min(limits.notice_seconds + late) };
                used += free;
                standing.allotted += free - allotted;
            }
            prop_assert!(used <= standing.allotted && standing.allotted <= month);
        }
    }
}

#[test]
fn each_limit_has_its_own_refusal() {
    let limits = Limits { drills_per_day: 2, drills_per_minute: 1, ..LIMITS.clone() };
    let free = Standing { debt: Amount::ZERO, today: 0, this_minute: 0, allotted: 0 };
    let code = |standing: Standing| standing.may_drill(&limits).map_err(|refused| refused.code());
    assert_eq!(code(free), Ok(()));
    assert_eq!(code(Standing { debt: Amount::from_units(1), ..free }), Err("arrears"));
    assert_eq!(code(Standing { today: 2, ..free }), Err("too-many-drills"));
    assert_eq!(code(Standing { this_minute: 1, ..free }), Err("drills-busy"));
}
