//! What a month comes to when all is stopped at a second is what is found by counting every second; and the last second that a cap allows is
//! the last.

use ebb_engine::spending::{Allowance, Block, Draw, Ended, Spending, month_of};
use ebb_model::billing::Meter;
use ebb_model::calendar::Calendar;
use ebb_model::money::{Exact, Price};
use ebb_model::price::Prices;
use ebb_model::time::{HOUR, Period, Second};
use ebb_model::trial::{AtEnd, Holder, TrialGrant};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn second(unix: i64) -> Second {
    Second::from_unix(unix)
}

fn price(micros: i64) -> Price {
    Price::from_micros(micros)
}

fn exact(units: i128) -> Exact {
    Exact::from_units(units)
}

fn whole(cny: i64) -> Exact {
    price(cny * 1_000_000).charge(HOUR)
}

/// Of the second `at`, the hourly uses that run, if all is stopped at `stop`.
fn running(spending: &Spending, stop: Second, at: Second) -> impl Iterator<Item = &Draw> {
    spending.draws.iter().filter(move |draw| {
        let end = if draw.stops {
            Some(draw.until.map_or(stop.max(draw.least), |end| end.min(stop.max(draw.least))))
        } else {
            draw.until
        };
        draw.since <= at && end.is_none_or(|end| at < end)
    })
}

/// The sum, second by second.
fn counted(spending: &Spending, month: Period, stop: Second) -> i128 {
    let mut sum = spending.billed.get(&month.since).map_or(0, |billed| billed.units()) + spending.owed.units();
    for one in spending.ended.iter().filter(|one| one.at >= month.since) {
        sum += one.payable.units();
    }
    for block in &spending.blocks {
        let end = block.lease_end.min(stop);
        let seconds = (block.start.unix()..end.unix()).count() as i128;
        sum += if end >= month.since { seconds * i128::from(block.price.micros()) } else { 0 };
    }
    let (mut left, mut hour_paid, mut over) = (0, 0, None);
    if let Some(allowance) = &spending.allowance {
        left = allowance.grant.left().units();
    }
    let mut at = spending.open_since;
    while at < month.until {
        if at == at.hour() {
            hour_paid = 0;
        }
        let (mut gross, mut covered) = (0_i128, 0_i128);
        for draw in running(spending, stop, at) {
            let at_end = spending.allowance.as_ref().map(|known| known.at_end);
            let after = over.is_some_and(|over: Second| draw.trial && at >= over);
            let goes = at_end == Some(AtEnd::Release) || at_end == Some(AtEnd::Stop) && draw.stops;
            if after && goes && at >= draw.least {
                continue;
            }
            gross += i128::from(draw.price.at(at).micros());
            let valid = spending.allowance.as_ref().is_some_and(|known| known.grant.valid_at(at));
            let valid = valid && !(after && at_end == Some(AtEnd::Stop));
            covered += if draw.covered && valid { i128::from(draw.price.at(at).micros()) } else { 0 };
        }
        let mut paid = 0;
        if let Some(Allowance { grant, at_end, over: ended }) = &spending.allowance {
            paid = covered.min(grant.cap().units() - hour_paid);
            let goes = *at_end != AtEnd::Continue && !ended && over.is_none();
            if goes && (paid > left || at.plus(1) == grant.valid_until) {
                // This second it does not pay whole, or it is the last one.
                over = Some(if paid > left { at } else { at.plus(1) });
                if paid > left {
                    continue;
                }
            }
            paid = paid.min(left);
        }
        left -= paid;
        hour_paid += paid;
        sum += if at >= month.since { gross - paid } else { 0 };
        at = at.plus(1);
    }
    sum
}

fn grant(left: i128, cap: i64, valid: (i64, i64)) -> TrialGrant {
    TrialGrant {
        holder: Holder::Individual,
        claimed_at: second(valid.0),
        valid_until: second(valid.1),
        issued: exact(left),
        used: Exact::ZERO,
        revoked: Exact::ZERO,
        hourly_cap: price(cap),
    }
}

prop_compose! {
    fn draw()(since in 0..9_000_i64, length in proptest::option::weighted(0.3, 1..9_000_i64), kind in 0..4, least in 0..1_500_i64, micros in 1..900_i64,
        later in proptest::collection::vec((1..7_000_i64, 1..900_i64), 0..3))
        -> Draw {
        let (stops, trial) = (kind % 2 == 1, kind >= 2);
        let meter = if stops { Meter::Compute } else { Meter::SystemDisk };
        let mut at = since;
        let changes: Vec<_> = later.into_iter().map(|(step, micros)| { at += step; (second(at), price(micros)) }).collect();
        Draw {
            of: None, meter, since: second(since), until: length.map(|length| second(since + length)), covered: trial, trial, stops,
            least: second(since + if least < 1_000 { 0 } else { least }), price: Prices::new(price(micros), changes),
        }
    }
}

prop_compose! {
    pub fn spending()(
        draws in proptest::collection::vec(draw(), 0..5),
        blocks in proptest::collection::vec((-9_000..9_000_i64, 1..4_i64, 1..400_i64), 0..3),
        ended in proptest::collection::vec((0..20_000_i64, 0..500_000_i64), 0..2),
        billed in 0..2_000_000_i128, owed in 0..300_000_i128,
        allowance in proptest::option::of((0..3_000_000_i128, 1..900_i64, 0..3_000_i64, 4_000..25_000_i64, 0..3_usize)),
    ) -> Spending {
        let (month, later) = (second(0), second(11 * HOUR / 2));
        Spending {
            open_since: second(0),
            billed: BTreeMap::from([(month, exact(billed)), (later, exact(billed / 3))]),
            draws,
            blocks: blocks.into_iter().map(|(start, hours, micros)| {
                Block { of: None, start: second(start), lease_end: second(start + hours * HOUR).max(second(0)), price: price(micros) }
            }).collect(),
            ended: ended.into_iter().map(|(at, payable)| Ended { of: None, at: second(at), payable: exact(payable.into()) }).collect(),
            flowed: vec![],
            owed: exact(owed),
            allowance: allowance.map(|(left, cap, claimed, valid, choice)| Allowance {
                grant: grant(left, cap, (claimed, valid)),
                at_end: [AtEnd::Continue, AtEnd::Stop, AtEnd::Release][choice],
                over: false,
            }),
        }
    }
}

/// Two months of five and a half, and three hours.
const MONTH: (i64, i64, i64) = (0, 5 * HOUR, 8 * HOUR);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_month_comes_to_what_is_counted(spending in spending(), stop in 0..18_000_i64) {
        let month = Period { since: second(MONTH.0), until: second(MONTH.1) };
        prop_assert_eq!(spending.if_stopped_at(month, second(stop)).units(), counted(&spending, month, second(stop)));
        // Of the month after it, from the open hours of this one on.
        let next = Period { since: second(MONTH.1), until: second(MONTH.2) };
        prop_assert_eq!(spending.if_stopped_at(next, month.until).units(), counted(&spending, next, month.until));
    }

    #[test]
    fn a_cap_acts_at_the_last_second_that_it_allows(spending in spending(), cap in 0..9_000_000_i128, from in 0..10_000_i64) {
        let month = Period { since: second(MONTH.0), until: second(MONTH.1) };
        let next = Period { since: second(MONTH.1), until: second(MONTH.2) };
        let (cap, from) = (exact(cap), second(from));
        let sum = |at| spending.if_stopped_at(month, at);
        match spending.acts_at(cap, month, next, from) {
            // Nothing could be stopped in time, or need be.
            Some(at) if at == from => prop_assert!(sum(from.plus(1)) > cap || sum(month.until) > cap),
            Some(at) if sum(month.until) > cap => prop_assert!(sum(at) <= cap && sum(at.plus(1)) > cap),
            Some(at) => prop_assert!(sum(at) <= cap && at.plus(1) == month.until && spending.if_stopped_at(next, month.until) > cap),
            None => prop_assert!(sum(month.until) <= cap || sum(from) == sum(month.until)),
        }
    }

    /// Without a grant it is the rule's own formula: payable(T) + price of what goes on × (month end − T).
    #[test]
    fn without_a_grant_it_is_what_is_payable_and_what_goes_on(spending in spending(), stop in 9_000..18_000_i64) {
        let month = Period { since: second(MONTH.0), until: second(MONTH.1) };
        // All has begun, nobody had to go, and nothing ends by itself any more.
        let draws: Vec<Draw> = spending.draws.iter().filter(|draw| draw.until.is_none()).map(|draw| Draw { least: draw.since, price: draw.price.first().price.into(), ..draw.clone() }).collect();
        let spending = Spending { draws, blocks: vec![], ended: vec![], owed: Exact::ZERO, allowance: None, ..spending };
        let at = second(stop);
        let goes_on = spending.kept(at).charge(month.until.unix() - at.unix());
        prop_assert_eq!(spending.if_stopped_at(month, at), spending.payable_by(month, at) + goes_on);
    }
}

fn shanghai() -> Calendar {
    Calendar::new("Asia/Shanghai").unwrap()
}

fn local(text: &str) -> Second {
    shanghai().at(text.parse().unwrap()).unwrap()
}

fn nothing(open_since: Second) -> Spending {
    let (billed, draws, blocks, ended) = (BTreeMap::new(), vec![], vec![], vec![]);
    Spending { open_since, billed, draws, blocks, ended, flowed: vec![], owed: Exact::ZERO, allowance: None }
}

/// vCPU and memory, and the disk.
fn machine(since: Second, compute: i64, disk: i64) -> [Draw; 2] {
    let one = Draw {
        of: None,
        meter: Meter::Compute,
        since,
        until: None,
        covered: false,
        trial: false,
        stops: true,
        least: since,
        price: price(compute).into(),
    };
    [one.clone(), Draw { meter: Meter::SystemDisk, stops: false, price: price(disk).into(), ..one }]
}

fn acts(spending: &Spending, cap: Exact, month: &str) -> Option<i64> {
    let month = month_of(&shanghai(), local(month));
    let next = month_of(&shanghai(), month.until);
    let from = spending.open_since;
    spending.acts_at(cap, month, next, from).map(|at| at.unix() - from.unix())
}

#[test]
fn golden_seconds() {
    // From noon of the 16th of a month of 31 days on: 372 hours are left.
    let noon = local("2026-03-16T12:00");
    let mut one = nothing(noon);
    one.draws.extend(machine(noon, 390_000, 20_000));
    // Its disk alone costs 7.44 to the end of the month; of the cap of 10 that leaves 2.56, or 6.564102… hours at 0.39.
    assert_eq!(acts(&one, whole(10), "2026-03-16T12:00"), Some(23_630));
    // Two of them: 14.88 for the disks, 0.12 is left of 15: 553.8… seconds at 0.78 an hour.
    let mut two = one.clone();
    two.draws.extend(machine(noon, 390_000, 20_000));
    assert_eq!(acts(&two, whole(15), "2026-03-16T12:00"), Some(553));
    // A block of 6 hours at 0.12 beside the one, since six o'clock: 0.72 for it, and 1.84 for 4.717948… hours of the other.
    let mut block = one.clone();
    block.blocks.push(Block { of: None, start: local("2026-03-16T06:00"), lease_end: noon, price: price(120_000) });
    assert_eq!(acts(&block, whole(10), "2026-03-16T12:00"), Some(16_984));
    // One that began at noon goes on for as long: 2.56 at 0.51 an hour are 18,070.5… seconds, less than its lease.
    block.blocks[0] = Block { of: None, start: noon, lease_end: noon.plus(6 * HOUR), price: price(120_000) };
    assert_eq!(acts(&block, whole(10), "2026-03-16T12:00"), Some(18_070));
    // What is billed already is not there any more.
    let mut billed = one.clone();
    billed.billed.insert(local("2026-03-01T00:00"), whole(1));
    assert_eq!(acts(&billed, whole(10), "2026-03-16T12:00"), Some(14_400));
    assert_eq!(acts(&one, whole(1_000), "2026-03-16T12:00"), None);
}

#[test]
fn golden_seconds_of_a_trial() {
    // At 0.39 and 0.02 for the disk, with 4.10 left: ten hours are paid, then it goes on, on demand, from ten in the evening on.
    let noon = local("2026-03-16T12:00");
    let [compute, disk] = machine(noon, 390_000, 20_000).map(|draw| Draw { covered: true, trial: true, ..draw });
    let mut trial = nothing(noon);
    trial.draws = vec![compute, disk];
    let valid = (noon.unix() - HOUR, noon.unix() + 90 * 24 * HOUR);
    let left = price(4_100_000).charge(HOUR).units();
    let allowance = |at_end| Some(Allowance { grant: grant(left, 833_000, valid), at_end, over: false });
    trial.allowance = allowance(AtEnd::Continue);
    // What all costs until then is 0.39 T + 7.44; of that 4.10 are paid: 10 is reached with 6.66 for vCPU and memory, at 17.076923 hours.
    assert_eq!(acts(&trial, whole(10), "2026-03-16T12:00"), Some(61_476));
    // If it is to go at its end, nothing is ever charged.
    trial.allowance = allowance(AtEnd::Release);
    assert_eq!((acts(&trial, Exact::ZERO, "2026-03-16T12:00"), trial.kept(noon)), (None, price(0)));
    // Stopped at its end only its disk is: 362 hours of 0.02, and for that no cap need do anything.
    trial.allowance = allowance(AtEnd::Stop);
    let march = month_of(&shanghai(), noon);
    assert_eq!(trial.if_stopped_at(march, march.until), price(7_240_000).charge(HOUR));
    assert_eq!((acts(&trial, whole(8), "2026-03-16T12:00"), trial.kept(noon)), (None, price(20_000)));
    // But above its hourly cap it is: 0.40 an hour pays for the disk and 3,507.6… seconds at 0.39.
    let tight = grant(left, 400_000, valid);
    trial.allowance = Some(Allowance { grant: tight, at_end: AtEnd::Release, over: false });
    assert_eq!(acts(&trial, Exact::ZERO, "2026-03-16T12:00"), Some(3_507));
}

#[test]
fn a_block_beyond_the_months_end_is_released_in_it_if_the_next_cannot_hold_it() {
    let evening = local("2026-03-31T22:00");
    let mut block = nothing(evening);
    block.blocks.push(Block {
        of: None,
        start: evening.plus(-4 * 24 * HOUR),
        lease_end: evening.plus(24 * HOUR),
        price: price(100_000),
    });
    // 98 hours by midnight; with 9.8 the cap just holds, and is used up with the first second of April, where all of it would count.
    assert_eq!(acts(&block, whole(10), "2026-03-31T22:00"), None);
    assert_eq!(acts(&block, price(9_800_000).charge(HOUR), "2026-03-31T22:00"), None);
    block.billed.insert(local("2026-04-01T00:00"), whole(1));
    assert_eq!(acts(&block, whole(10), "2026-03-31T22:00"), Some(2 * HOUR - 1));
}

/// Each began at a second of its own, so none is like another.
#[test]
fn a_thousand_instances_are_stopped_together() {
    let noon = local("2026-03-16T12:00");
    let mut many = nothing(noon);
    for at in 0..1_000 {
        many.draws.extend(machine(noon.plus(at), 390_000, 20_000));
    }
    let valid = (noon.unix() - HOUR, noon.unix() + 90 * 24 * HOUR);
    many.allowance = Some(Allowance { grant: grant(1, 833_000, valid), at_end: AtEnd::Continue, over: false });
    // Some 7,440 for the disks, and 60 for vCPU and memory.
    let at = acts(&many, whole(7_500), "2026-03-16T12:00").unwrap();
    let (month, at) = (month_of(&shanghai(), noon), noon.plus(at));
    assert!(many.if_stopped_at(month, at) <= whole(7_500) && many.if_stopped_at(month, at.plus(1)) > whole(7_500));
}
