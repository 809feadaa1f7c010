//! Can a tenant use machines for nothing by what he does himself? A search for seven days, with one account and with two.
//!
//! A person is an account today. `linked` is what the rules ask for where two accounts are one person: whoever asks the engine
//! for the cause gives it persons. Of two accounts that nobody links only §2.11's minimum and its limit are promised, and what
//! that leaves open is written down below.

use crate::firm::history;
use crate::lives::LIMITS;
use crate::shop::FLAVORS;
use crate::world::{BEGIN, World, account};
use ebb_engine::lifecycle::{Command, Input, Reclaim};
use ebb_model::id::{AccountId, InstanceId};
use ebb_model::instance::{Cause, Purchase, State};
use ebb_model::money::Exact;
use ebb_model::time::HOUR;
use proptest::prelude::*;
use std::collections::BTreeMap;

const DAYS: i64 = 7;
/// Small, so that they are full before long.
const SMALL: [(i64, i64, i64); 2] = [(8, 16, 0), (4, 16, 1)];

/// What came of it for some accounts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// In seconds of a vCPU; free by takings and drills of their own.
    used: i64,
    taken_free: i64,
    drilled_free: i64,
    /// Seconds of blocks that drills made free.
    drill_seconds: i64,
    paid: Exact,
    waived: Exact,
}

fn outcome(world: &World, of: &[AccountId]) -> Outcome {
    let mut sums = Outcome::default();
    for charge in world.bill().iter().filter(|charge| of.contains(&charge.account)) {
        let work = charge.seconds() * world.all[&charge.instance().unwrap()].resources.get("vcpu");
        sums.used += work;
        match charge.waiver {
            None => sums.paid += charge.gross(),
            Some(Cause::Drill) => {
                (sums.drilled_free, sums.drill_seconds) =
                    (sums.drilled_free + work, sums.drill_seconds + charge.seconds());
                sums.waived += charge.gross();
            }
            Some(_) if world.taken_by.get(&charge.instance().unwrap()).is_some_and(|by| of.contains(by)) => {
                sums.taken_free += work;
                sums.waived += charge.gross();
            }
            Some(_) => {}
        }
    }
    sums
}

/// Asks for an interruption of one's own block, with what is left of the month's free seconds.
fn drill(world: &mut World, drilled: &mut i64, id: InstanceId) {
    let free = (world.limits.drill_free_seconds - *drilled).min(world.limits.notice_seconds + 1);
    let deadline = world.now.plus_seconds(world.limits.notice_seconds);
    let free_until = Some(world.second().plus(free));
    let order = Reclaim { cause: Cause::Drill, deadline, free_until };
    if world.step(id, Input::Command(Command::Reclaim(order))).is_ok() {
        *drilled += free;
    }
}

/// What a spending cap does to an account in the second in which it is met (rules §3.8): a tenant may choose the cap so that it is this one.
fn cap(world: &mut World, whose: AccountId) {
    let at = world.second();
    let of: Vec<InstanceId> = world.live().filter(|i| i.account == whose).map(|i| i.id).collect();
    for id in of {
        drop(world.step(id, Input::CapReached { at }));
    }
}

/// One act of a tenant with two accounts, or now and then of a neighbour. `drilled` is none where there are no drills.
fn scheme(world: &mut World, word: u64, drilled: &mut Option<i64>) {
    let alone = world.alone;
    let bits = |from: u32, most: u64| (word >> from) % most;
    let of_tenant: Vec<InstanceId> = world.live().filter(|i| i.account != account(3)).map(|i| i.id).collect();
    let one = of_tenant.get(bits(20, of_tenant.len().max(1) as u64) as usize).copied();
    let boundary = one.and_then(|id| world.all[&id].lease_end()).map_or(0, |end| {
        // Shortly before a period or the lease ends.
        let left = end.unix() - world.second().unix();
        (left - bits(36, 3) as i64 * 6 * HOUR - bits(48, 400) as i64).max(0)
    });
    world.wait(match bits(40, 8) {
        0..3 => bits(44, 3) as i64,
        3 => bits(44, 700) as i64,
        4..7 => boundary,
        _ => bits(44, 30_000) as i64,
    });
    let flavor = bits(12, FLAVORS.len() as u64) as usize;
    let who = account(if !alone && bits(24, 12) == 0 { 3 } else { 1 + bits(8, 2) });
    let block = if bits(16, 2) == 0 { (6, 1 + bits(18, 3) as i64) } else { (1 + bits(18, 6) as i64, 1) };
    match (bits(0, 16), one) {
        (0..5, _) => drop(world.buy(who, flavor, FLAVORS[flavor].block(block.0, block.1))),
        (5..10, _) => drop(world.buy(who, flavor, FLAVORS[flavor].on_demand())),
        (10..12, Some(id)) => drop(world.ask(id, Command::Delete)),
        (12, Some(_)) if world.capped && bits(52, 4) == 3 => cap(world, who),
        (12, Some(id)) if bits(52, 2) == 0 => drop(world.ask(id, Command::Stop)),
        (12, Some(id)) => drop(world.ask(id, Command::StopEconomically { charged_until: None })),
        (13, Some(id)) if bits(52, 3) == 0 => drop(world.resize(id, flavor)),
        (13, Some(id)) => drop(world.start(id)),
        (14, Some(id)) => {
            if let Some(drilled) = drilled.as_mut() {
                drill(world, drilled, id);
            }
        }
        (15, Some(id)) => {
            let about = &world.all[&id];
            if matches!(about.state, State::Reclaiming { .. }) || about.end_announced {
                world.vanish(id, true);
            }
        }
        _ => {}
    }
}

fn seven_days(words: &[u64], linked: bool, drilled: &mut Option<i64>) -> World {
    let mut world = World::new(&LIMITS, &SMALL, words[0]);
    (world.alone, world.capped) = (words[0] % 8 < 3, true);
    // Of half the zones the operator keeps some room free.
    if words[0] % 4 < 2 {
        world.keep_free(vec![(words[0] >> 8) as usize % FLAVORS.len().min(4); 1 + (words[0] >> 16) as usize % 2]);
    }
    world.linked = if linked { vec![account(1), account(2)] } else { vec![] };
    for word in words {
        if world.now >= BEGIN.plus_seconds(DAYS * 24 * HOUR) {
            break;
        }
        scheme(&mut world, *word, drilled);
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn one_person_gets_nothing_free_by_taking_from_himself(words in history(20..70)) {
        let world = seven_days(&words, true, &mut None);
        let sums = outcome(&world, &[account(1), account(2)]);
        prop_assert_eq!((sums.taken_free, sums.drilled_free, sums.waived), (0, 0, Exact::ZERO));
        // Who is alone in a zone can thank nobody else for what is free.
        prop_assert!(!world.alone || world.bill().iter().all(|charge| charge.waiver.is_none()));
        // Of one account that holds whatever is known.
        let unlinked = seven_days(&words, false, &mut None);
        prop_assert_eq!(outcome(&unlinked, &[account(1)]).taken_free, 0);
        prop_assert_eq!(outcome(&unlinked, &[account(2)]).taken_free, 0);
    }

    #[test]
    fn drills_free_no_more_than_their_seconds_and_nothing_else_does(words in history(20..70), most in 0..5_000_i64) {
        let mut drilled = Some(LIMITS.drill_free_seconds - most);
        let world = seven_days(&words, true, &mut drilled);
        let sums = outcome(&world, &[account(1), account(2)]);
        prop_assert!(sums.drill_seconds <= most, "{} s of {most} are free", sums.drill_seconds);
        prop_assert_eq!(sums.taken_free, 0);
    }

    /// All that §2.11 promises of two accounts that nobody links.
    #[test]
    fn who_takes_pays_a_while_and_frees_no_more_than_a_period_each(words in history(20..70)) {
        let mut world = World::new(&LIMITS, &SMALL, words[0]);
        // Also where a cap stops what it may.
        (world.limits.takings_per_hour, world.capped) = (2, true);
        words.iter().for_each(|word| scheme(&mut world, *word, &mut None));
        world.wait(HOUR);
        let mut paid: BTreeMap<InstanceId, (i64, i64)> = BTreeMap::new();
        let bill = world.bill();
        for charge in &bill {
            let (all, free) = paid.entry(charge.instance().unwrap()).or_default();
            *all += charge.seconds();
            *free += if charge.waiver.is_some() { charge.seconds() } else { 0 };
        }
        for (id, by, at) in &world.takings {
            let taker = &world.all[id];
            // Each time it took room, up to the next: by an order, or by a start after an economical stop.
            let next = world.takings.iter().find(|(other, _, later)| other == id && later > at).map(|(.., later)| *later);
            let of_it = bill.iter().filter(|charge| charge.instance() == Some(*id) && charge.period.until > at.second());
            let all: i64 = of_it
                .filter(|charge| next.is_none_or(|next| charge.period.since < next.second()))
                .map(|charge| charge.seconds())
                .sum();
            let over = next.is_some() || taker.in_use_since.is_none() || taker.state.end().is_some();
            prop_assert!(paid[id].1 == 0 && (!over || all >= LIMITS.taking_minimum_seconds), "{all} s: {taker:?}");
            let hour = *at..at.plus_seconds(HOUR);
            let same = world.takings.iter().filter(|(_, other, at)| other == by && hour.contains(at));
            prop_assert!(same.count() <= 2);
        }
        for victim in world.taken_by.keys() {
            let most = match world.all[victim].purchase {
                Purchase::SpotBlock { hours, .. } => hours * HOUR + LIMITS.notice_seconds,
                _ => 0,
            };
            prop_assert!(paid.get(victim).is_none_or(|(_, free)| *free <= most));
        }
    }
}

/// The largest block, again and again; shortly before the last notice that fits its period, the other account buys the
/// smallest machine in the full zone, and lets it go as soon as its room is taken.
fn greedy(linked: bool, periods: usize) -> Outcome {
    let mut world = World::new(&LIMITS, &[(8, 16, 0)], 1);
    let (one, other) = (account(1), account(2));
    world.linked = if linked { vec![one, other] } else { vec![] };
    for _ in 0..periods {
        let block = world.buy(one, 4, FLAVORS[4].block(6, 1)).unwrap();
        world.wait(6 * HOUR - LIMITS.notice_seconds - 5);
        let taker = world.buy(other, 0, FLAVORS[0].on_demand()).unwrap();
        world.wait(LIMITS.notice_seconds + 4);
        assert!(matches!(world.all[&block].state, State::Released { .. }));
        world.ask(taker, Command::Delete).unwrap();
        world.wait(2);
    }
    outcome(&world, &[one, other])
}

#[test]
fn a_greedy_person_pays_for_everything() {
    let sums = greedy(true, 28);
    assert_eq!((sums.taken_free, sums.waived), (0, Exact::ZERO));
}

/// **What the rules leave open.** Nobody sees that the two are one, the block's whole period is waived, and ten minutes of the
/// smallest machine are the price. It needs a zone in which no younger block of somebody else stands before one's own.
#[test]
fn two_accounts_that_nobody_links_get_nearly_everything_free() {
    for (periods, used, taken_free, paid, waived) in
        [(1, 173_352, 172_752, "0.03", "2.99"), (28, 4_853_984, 4_837_184, "0.75", "83.64")]
    {
        let sums = greedy(false, periods);
        assert_eq!((sums.used, sums.taken_free), (used, taken_free));
        assert_eq!((sums.paid.to_cents().as_str(), sums.waived.to_cents().as_str()), (paid, waived));
    }
}

/// A search that finds nothing must be able to find something.
#[test]
fn the_search_finds_what_unlinked_accounts_gain() {
    let mut dice = 88_172_645_463_325_252_u64;
    let mut word = || {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice
    };
    let found = (0..100).filter(|_| {
        let words: Vec<u64> = (0..60).map(|_| word()).collect();
        let sums = outcome(&seven_days(&words, false, &mut None), &[account(1), account(2)]);
        100 * sums.taken_free > sums.used
    });
    assert!(found.count() > 10);
}

/// **What the rules leave open.** A block is bought, runs for a second and is drilled, again and again: of all that is used a
/// hundredth is paid, until the month's seconds are. They count blocks, of whatever size.
#[test]
fn who_only_drills_pays_a_hundredth_until_the_months_seconds_are_used() {
    let mut world = World::new(&LIMITS, &[(8, 16, 0)], 1);
    let mut drilled = 0;
    for _ in 0..119 {
        let block = world.buy(account(1), 4, FLAVORS[4].block(1, 1)).unwrap();
        while world.all[&block].first_running.is_none() {
            world.wait(1);
        }
        drill(&mut world, &mut drilled, block);
        world.wait(LIMITS.notice_seconds + 2);
    }
    let sums = outcome(&world, &[account(1)]);
    assert_eq!((sums.used, sums.drilled_free, sums.drill_seconds), (286_552, 285_600, 35_700));
    assert_eq!((sums.paid.to_cents().as_str(), sums.waived.to_cents().as_str()), ("0.01", "2.89"));
}
