//! A new price holds from its second: whatever is cut where, each second costs what the book says, and what is foretold comes true.

use ebb_engine::forecast::{draws, forecast};
use ebb_engine::rating::charges;
use ebb_engine::settlement::{Purse, Totals, settle};
use ebb_engine::trial::deduct;
use ebb_model::billing::{Charge, Meter, Settled, Span};
use ebb_model::calendar::Calendar;
use ebb_model::catalog::DEAREST;
use ebb_model::id::{AccountId, InstanceId, SpanId};
use ebb_model::money::{Amount, Exact, Price};
use ebb_model::price::Prices;
use ebb_model::time::{HOUR, Period, Second};
use ebb_model::trial::{Holder, TrialGrant};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn second(unix: i64) -> Second {
    Second::from_unix(unix)
}

fn price(micros: i64) -> Price {
    Price::from_micros(micros)
}

fn span(prices: Prices, trial: bool, since: Second, until: Option<Second>) -> Span {
    Span {
        id: SpanId::new(Default::default()),
        account: AccountId::new(Default::default()),
        resource: InstanceId::new(Default::default()).into(),
        meter: Meter::Compute,
        price: prices,
        follows: None,
        settled: Settled::Hourly { trial },
        since,
        until,
    }
}

fn gross(charges: &[Charge]) -> Exact {
    charges.iter().map(Charge::gross).sum()
}

/// Zones, and local instants at which something is odd there.
const ODD: [(&str, &str); 12] = [
    // Days of 25 and of 23 hours, at both ends and where the clock leaps.
    ("Europe/Berlin", "2026-10-25T00:00:00"),
    ("Europe/Berlin", "2026-10-25T02:30:00"),
    ("Europe/Berlin", "2026-10-26T00:00:00"),
    ("Europe/Berlin", "2026-03-29T03:00:00"),
    ("Europe/Berlin", "2026-03-30T00:00:00"),
    // Midnight is no clock hour; and a clock that is put back by half an hour.
    ("Asia/Kolkata", "2026-03-01T00:00:00"),
    ("Australia/Lord_Howe", "2026-04-05T01:45:00"),
    ("Australia/Lord_Howe", "2026-10-05T00:00:00"),
    // A leap day, and ends of months and of a year.
    ("Asia/Shanghai", "2028-02-29T00:00:00"),
    ("Asia/Shanghai", "2028-03-01T00:00:00"),
    ("America/St_Johns", "2026-05-01T00:00:00"),
    ("Asia/Shanghai", "2027-01-01T00:00:00"),
];

#[test]
fn a_change_at_and_beside_every_boundary_of_the_calendar_is_exact() {
    for (zone, local) in ODD {
        let calendar = Calendar::new(zone).unwrap();
        let boundary = calendar.at(local.parse().unwrap()).unwrap();
        for beside in [-3_600, -1_800, -1, 0, 1, 1_800, 3_599, 3_600] {
            let change = boundary.plus(beside);
            let prices = Prices::new(price(390_000), [(change, price(450_000))]);
            let window = Period { since: boundary.plus(-7_201), until: boundary.plus(7_203) };
            let records =
                charges(&span(prices, false, window.since, Some(window.until)), window, &calendar, None, None);
            let (before, after) = (change.unix() - window.since.unix(), window.until.unix() - change.unix());
            assert_eq!(
                gross(&records),
                price(390_000).charge(before) + price(450_000).charge(after),
                "{zone} {local} {beside}"
            );
            // They lie end to end, each within one hour, day and price.
            assert_eq!(records.windows(2).find(|two| two[0].period.until != two[1].period.since), None);
            for record in &records {
                let Period { since, until } = record.period;
                assert!(until <= calendar.next_cut(since) && !(since < change && change < until), "{zone} {record:?}");
                assert_eq!(record.price == price(450_000), since >= change, "{zone} {record:?}");
            }
        }
    }
}

prop_compose! {
    fn prices()(first in 0..900_000_i64, steps in prop::collection::vec((1..9_000_i64, 0..900_000_i64), 0..5)) -> Prices {
        let mut at = 0;
        Prices::new(price(first), steps.into_iter().map(|(step, micros)| { at += step; (second(at), price(micros)) }))
    }
}

proptest! {
    #[test]
    fn cutting_anywhere_keeps_the_sum_and_each_second_costs_what_the_book_says(
        prices in prices(), since in 0..20_000_i64, seconds in 1..20_000_i64, at in 0..20_000_i64,
    ) {
        let calendar = Calendar::new("Asia/Kolkata").unwrap();
        let window = Period { since: second(since), until: second(since + seconds) };
        let whole = span(prices.clone(), false, window.since, Some(window.until));
        let all = charges(&whole, window, &calendar, None, None);
        let by_second: Exact = (since..since + seconds).map(|at| prices.at(second(at)).charge(1)).sum();
        prop_assert_eq!(gross(&all), by_second);
        let cut = second(since + at % seconds);
        let parts: Vec<Charge> = [Period::new(window.since, cut), Period::new(cut, window.until)].into_iter().flatten()
            .flat_map(|part| charges(&whole, part, &calendar, None, None)).collect();
        prop_assert_eq!(gross(&parts), gross(&all));
        // A span that begins there has the same prices from there on.
        let later = span(prices.since(cut), false, cut, Some(window.until));
        let rest: Vec<Charge> = all.iter().filter(|charge| charge.period.since >= cut).cloned().collect();
        if all.iter().any(|charge| charge.period.since == cut) {
            let later = charges(&later, Period { since: cut, ..window }, &calendar, None, None);
            prop_assert_eq!(later, rest);
        }
    }

    /// The second that is computed in a few steps is the one at which a grant runs out that pays second after second.
    #[test]
    fn a_trial_is_used_up_at_the_second_that_was_foretold_over_all_changes(
        uses in prop::collection::vec((prices(), 0..12_000_i64, prop::option::of(1..12_000_i64)), 1..4),
        cap in 0..1_500_000_i64, issued in 0..9_000_000_000_i128,
    ) {
        let grant = TrialGrant {
            holder: Holder::Individual, claimed_at: second(0), valid_until: second(30_000),
            issued: Exact::from_units(issued), used: Exact::ZERO, revoked: Exact::ZERO, hourly_cap: price(cap),
        };
        let spans: Vec<Span> = uses.into_iter()
            .map(|(prices, since, length)| span(prices, true, second(since), length.map(|length| second(since + length)))).collect();
        let (mut hours, mut found) = (BTreeMap::<Second, i128>::new(), None);
        for at in (0..30_000).map(second) {
            let running = spans.iter().filter(|span| span.since <= at && span.until.is_none_or(|until| at < until));
            *hours.entry(at.hour()).or_default() += running.map(|span| i128::from(span.price.at(at).micros())).sum::<i128>();
            if hours.values().map(|charges| (*charges).min(grant.cap().units())).sum::<i128>() > issued {
                found = Some(at);
                break;
            }
        }
        prop_assert_eq!(forecast(&grant, &draws(&spans), second(0), 20).used_up_at, found);
    }

    /// At the dearest price, however often: no sum, no cut and no entry overflows.
    #[test]
    fn at_the_limits_of_prices_and_of_time_nothing_overflows(
        hours in 1..200_i64, below in 0..3_i64, years in 0..40_i64, cash in 0..2_i64,
    ) {
        let calendar = Calendar::new("Asia/Shanghai").unwrap();
        let dearest = price(DEAREST.micros() - below);
        let since = second(years * 366 * 24 * HOUR);
        let until = since.plus(hours * HOUR);
        let all = charges(&span(dearest.into(), true, since, Some(until)), Period { since, until }, &calendar, None, None);
        prop_assert_eq!(gross(&all), dearest.charge(hours * HOUR));
        let splits = deduct(&all, None);
        // An account that has paid more than any column of the ledger holds goes on being billed to the last digit.
        let paid = Exact::from_units(i128::from(i64::MAX) * 36 * i128::from(years + 1));
        let mut before = Totals::default();
        before.sold[Meter::Compute] = paid;
        before.paid.payable = paid;
        let purse = Purse { cash: Amount::from_units(cash * 4_000_000_000_000_000_000), debt: Amount::ZERO };
        let settled = settle(AccountId::new(Default::default()), before, purse, &all, &splits);
        prop_assert_eq!(settled.totals.paid.payable, paid + gross(&all));
        let moved = (purse.cash - settled.purse.cash) + settled.purse.debt;
        prop_assert_eq!(moved.exact(), gross(&all), "hours at this price are whole units of the ledger");
    }
}
