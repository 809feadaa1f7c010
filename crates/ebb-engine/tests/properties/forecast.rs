//! The second to which a grant pays is the one that is found by counting every second; and advice helps, with nothing too much.

use ebb_engine::advice::{Change, Standing, Use, advice};
use ebb_engine::forecast::{Draw, forecast, pays_until};
use ebb_model::id::InstanceId;
use ebb_model::money::{Exact, Price};
use ebb_model::time::{HOUR, Period, Second};
use ebb_model::trial::{Holder, Over, TrialGrant};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn second(unix: i64) -> Second {
    Second::from_unix(unix)
}

fn price(micros: i64) -> Price {
    Price::from_micros(micros)
}

fn grant(issued: i128, used: i128, cap: i64, valid: (i64, i64)) -> TrialGrant {
    TrialGrant {
        holder: Holder::Individual,
        claimed_at: second(valid.0),
        valid_until: second(valid.1),
        issued: Exact::from_units(issued),
        used: Exact::from_units(used),
        revoked: Exact::ZERO,
        hourly_cap: price(cap),
    }
}

/// The last second of the window up to which `min(charges, cap)` of all clock hours stays within the budget, second by second.
fn counted(draws: &[Draw], cap: i128, budget: i128, window: Period) -> Option<Second> {
    let mut hours = BTreeMap::<Second, i128>::new();
    let mut at = window.since;
    while at < window.until {
        let running = draws.iter().filter(|d| d.since <= at && d.until.is_none_or(|until| at < until));
        *hours.entry(at.hour()).or_default() += running.map(|d| i128::from(d.price.micros())).sum::<i128>();
        if hours.values().map(|charges| (*charges).min(cap)).sum::<i128>() > budget {
            return Some(at);
        }
        at = at.plus(1);
    }
    None
}

/// Three months from a full hour, and what runs from it on.
fn golden(issued: i64, cap: i64, prices: &[i64]) -> Option<i64> {
    let start = 1_772_413_200;
    let grant = grant(i128::from(issued) * 3_600_000_000, 0, cap, (start, start + 92 * 86_400));
    let draws: Vec<Draw> =
        prices.iter().map(|p| Draw { since: second(start), until: None, price: price(*p) }).collect();
    forecast(&grant, &draws, second(start), 20).used_up_at.map(|at| at.unix() - start)
}

#[test]
fn the_two_grants_of_the_source_end_to_the_second() {
    assert_eq!(golden(300, 833_000, &[833_000]), Some(1_296_518));
    assert_eq!(golden(660, 1_833_000, &[1_833_000]), Some(1_296_235));
    // Some 15 days of 24 hours, as the source says.
    assert_eq!(golden(300, 833_000, &[833_000]).unwrap() / 86_400, 15);
    // In parts it is the same, and what is above the cap uses no more: the cap of the last hour is reached before its end.
    assert_eq!(golden(300, 833_000, &[500_000, 313_000, 20_000]), Some(1_296_518));
    assert_eq!(golden(300, 833_000, &[1_666_000]), Some(360 * HOUR + 259));
    // A stopped one, of which the disk alone is paid, lasts; so does nothing at all.
    assert_eq!(golden(300, 833_000, &[20_000]), None);
    assert_eq!(golden(300, 833_000, &[]), None);
}

#[test]
fn both_ends_at_once_are_the_end_of_the_validity() {
    let (start, hours) = (1_772_413_200, 2);
    let whole = i128::from(833_000 * HOUR * hours);
    let draws = [Draw { since: second(start), until: None, price: price(833_000) }];
    let end = |issued| {
        let grant = grant(issued, 0, 833_000, (start, start + hours * HOUR));
        forecast(&grant, &draws, second(start), 20).end()
    };
    assert_eq!(end(whole), (second(start + hours * HOUR), Over::Validity));
    assert_eq!(end(whole + 1), (second(start + hours * HOUR), Over::Validity));
    assert_eq!(end(whole - 1), (second(start + hours * HOUR - 1), Over::UsedUp));
}

#[test]
fn the_warning_comes_strictly_below_its_share() {
    // A unit a second of 100: after 80 there are 20 left, which is 20 %; after 81 it is below.
    let start = 1_772_413_200;
    let grant = grant(100, 0, 1_000, (start, start + 86_400));
    let draws = [Draw { since: second(start), until: None, price: price(1) }];
    let seen = forecast(&grant, &draws, second(start), 20);
    assert_eq!((seen.low_at, seen.used_up_at), (Some(second(start + 81)), Some(second(start + 100))));
}

prop_compose! {
    fn draw()(since in 0..12_000_i64, seconds in prop::option::of(0..9_000_i64), micros in prop_oneof![Just(0), 1..50_i64, 1..5_000_i64]) -> Draw {
        Draw { since: second(since), until: seconds.map(|seconds| second(since + seconds)), price: price(micros) }
    }
}

prop_compose! {
    fn used()(compute in 0..400_i64, disk in 0..60_i64) -> (i64, i64) { (compute, disk) }
}

/// With the prices of a list, of which what costs less is offered instead.
fn uses(prices: &[(i64, i64)], list: &[i64]) -> Vec<Use> {
    let mut list: Vec<(Price, String)> = list.iter().map(|micros| (price(*micros), format!("at {micros}"))).collect();
    list.sort();
    list.dedup();
    list.reverse();
    let id = |at: usize| InstanceId::new(uuid::Uuid::from_u128(at as u128 + 1));
    let one = |(at, (compute, disk)): (usize, &(i64, i64))| Use {
        instance: id(at),
        compute: price(*compute).into(),
        disk: price(*disk).into(),
        smaller: list
            .iter()
            .filter(|(price, _)| price.micros() < *compute)
            .map(|(price, flavor)| ((*price).into(), flavor.clone()))
            .collect(),
    };
    prices.iter().enumerate().map(one).collect()
}

proptest! {
    #[test]
    fn it_is_the_second_that_counting_finds(
        draws in prop::collection::vec(draw(), 0..6), cap in prop_oneof![0..2_000_i128, 0..4_000_000_i128],
        budget in prop_oneof![0..5_000_i128, 0..8_000_000_i128], since in 0..8_000_i64, seconds in 1..14_000_i64,
    ) {
        let window = Period { since: second(since), until: second(since + seconds) };
        let exact = Exact::from_units;
        prop_assert_eq!(pays_until(&draws, exact(cap), exact(budget), window), counted(&draws, cap, budget, window));
    }

    /// What was counted before a later look does not change what the look says.
    #[test]
    fn looking_again_later_gives_the_same_second(
        draws in prop::collection::vec(draw(), 1..5), cap in 0..4_000_i64, issued in 0..9_000_000_i128, hour in 0..4_i64,
    ) {
        let first = grant(issued, 0, cap, (0, 20_000));
        let seen = forecast(&first, &draws, second(0), 20).used_up_at;
        let closed = hour * HOUR;
        prop_assume!(seen.is_none_or(|at| at.unix() >= closed));
        let used: i128 = (0..hour).map(|hour| {
            let seconds = (hour * HOUR..(hour + 1) * HOUR).map(second);
            let charges: i128 = seconds.map(|at| draws.iter().filter(|d| d.since <= at && d.until.is_none_or(|u| at < u))
                .map(|d| i128::from(d.price.micros())).sum::<i128>()).sum();
            charges.min(first.cap().units())
        }).sum();
        let later = grant(issued, used, cap, (0, 20_000));
        prop_assert_eq!(forecast(&later, &draws, second(closed), 20).used_up_at, seen);
    }

    #[test]
    fn advice_helps_and_asks_for_nothing_that_is_not_needed(
        prices in prop::collection::vec(used(), 0..5), same_disk in prop::option::of(0..60_i64),
        list in prop::collection::vec(1..400_i64, 0..4),
        cap in 1..900_i64, issued in 0..30_000_000_i128, now in 0..9_000_i64, valid in 10_000..90_000_i64,
    ) {
        let prices: Vec<(i64, i64)> = prices.into_iter().map(|(c, d)| (c, same_disk.unwrap_or(d))).collect();
        let uses = uses(&prices, &list);
        let grant = grant(issued, 0, cap, (0, valid));
        let since = |micros| Draw { since: second(0), until: None, price: price(micros) };
        let draws: Vec<Draw> = prices.iter().flat_map(|(c, d)| [since(*c), since(*d)]).collect();
        let standing = Standing { grant: &grant, draws: &draws, open_since: second(0), now: second(now) };
        let advised = advice(&standing, &uses);

        let of = |id: InstanceId| uses.iter().find(|one| one.instance == id).unwrap();
        let all: i64 = prices.iter().map(|(c, d)| c + d).sum();
        let lasts = |changes: &[(InstanceId, Change)]| {
            let saved: i64 = changes.iter().map(|(id, change)| of(*id).saves(change).at(second(now)).micros()).sum();
            standing.lasts_at(price(all - saved)).is_none()
        };
        if !lasts(&uses.iter().map(|one| (one.instance, Change::Release)).collect::<Vec<_>>()) || lasts(&[]) {
            prop_assert_eq!(advised, vec![]);
            return Ok(());
        }
        prop_assert!(lasts(&advised), "after the advice it lasts");
        for at in 0..advised.len() {
            prop_assert!(!lasts(&[&advised[..at], &advised[at + 1..]].concat()), "each of it is needed");
            let (id, change) = advised[at].clone();
            let known = of(id).smaller.iter().position(|(_, flavor)| change == Change::Resize(flavor.clone()));
            prop_assert_eq!(known.is_some(), change.name() == "resize");
            for (_, larger) in &of(id).smaller[..known.unwrap_or(0)] {
                let mut other = advised.clone();
                other[at].1 = Change::Resize(larger.clone());
                prop_assert!(!lasts(&other), "nothing is made smaller than needed");
            }
        }
        prop_assert_eq!(&advised, &advice(&standing, &uses));
        // No other choice has fewer releases; with disks of one price, none has fewer stops beside as many releases.
        let cost = |changes: &[(InstanceId, Change)]| {
            let count = |name: &str| changes.iter().filter(|(_, change)| change.name() == name).count();
            (count("release"), count("stop"))
        };
        let mine = cost(&advised);
        for choice in 0..4_usize.pow(uses.len() as u32) {
            let digit = |at: usize| choice / 4_usize.pow(at as u32) % 4;
            let other: Vec<_> = uses.iter().enumerate().filter_map(|(at, one)| match digit(at) {
                1 => Some((one.instance, Change::Resize(one.smaller.last()?.1.clone()))),
                2 => Some((one.instance, Change::Stop)),
                3 => Some((one.instance, Change::Release)),
                _ => None,
            }).collect();
            if lasts(&other) {
                let theirs = cost(&other);
                prop_assert!(theirs.0 >= mine.0, "{:?} has fewer releases than {:?}", other, advised);
                if same_disk.is_some() || mine.0 == 0 {
                    prop_assert!(theirs >= mine, "{:?} is less than {:?}", other, advised);
                }
            }
        }
    }
}
