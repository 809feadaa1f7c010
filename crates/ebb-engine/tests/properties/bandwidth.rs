//! Is each byte of a second that no bandwidth held and paid for paid as traffic?

use ebb_engine::bandwidth::{changes_at, pays};
use ebb_model::billing::{Follows, Meter, ResourceId, Settled, Span};
use ebb_model::id::{AccountId, AddressId, SpanId};
use ebb_model::money::Price;
use ebb_model::price::Prices;
use ebb_model::time::Second;
use proptest::prelude::*;
use uuid::Uuid;

const LAST: i64 = 600;

fn at(second: i64) -> Second {
    Second::from_unix(second)
}

fn span(since: Second, mbit: i64, price: &Prices) -> Span {
    Span {
        id: SpanId::new(Uuid::from_u128(1)),
        account: AccountId::new(Uuid::from_u128(1)),
        resource: ResourceId::Address(AddressId::new(Uuid::from_u128(1))),
        meter: Meter::Bandwidth,
        price: price.times(mbit).since(since),
        follows: Some(Follows { item: "bandwidth here".to_owned(), units: mbit }),
        settled: Settled::Hourly { trial: false },
        since,
        until: None,
    }
}

/// As rows are closed.
fn close(spans: &mut [Span], at: Second) {
    for span in spans.iter_mut().filter(|span| span.until.is_none_or(|until| until > at)) {
        span.until = Some(at.max(span.since));
    }
}

proptest! {
    #[test]
    fn what_no_paid_bandwidth_held_is_paid_as_traffic(
        first in prop::option::of(1_i64..5),
        mut changes in prop::collection::vec((0..LAST, prop::option::of(1_i64..5)), 0..30),
        priced in 1..LAST,
    ) {
        changes.sort_by_key(|(second, _)| *second);
        let price = Prices::new(Price::from_micros(1), [(at(priced), Price::from_micros(2))]);
        let (mut mbit, mut spans) = (first, vec![]);
        spans.extend(first.map(|mbit| span(at(0), mbit, &price)));
        // Of each second the most that its host let through; none: all.
        let mut held: Vec<Option<i64>> = vec![];
        let mut rest = changes.into_iter().peekable();
        for second in 0..LAST {
            let mut most = mbit;
            while let Some((_, next)) = rest.next_if(|(when, _)| *when == second) {
                if next == mbit {
                    continue;
                }
                let since = changes_at(&spans, next, at(second));
                close(&mut spans, since);
                spans.extend(next.map(|mbit| span(since, mbit, &price)));
                mbit = next;
                most = most.zip(next).map(|(one, other)| one.max(other));
            }
            held.push(most);
        }
        for span in &spans {
            prop_assert!(span.until.is_none_or(|until| span.since <= until));
        }
        for (second, held) in (0..LAST).zip(held) {
            let covering = spans.iter().filter(|span| span.since <= at(second) && span.until.is_none_or(|until| at(second) < until));
            let paid: Vec<i64> = covering.map(|span| span.follows.as_ref().unwrap().units).collect();
            prop_assert!(paid.len() <= 1, "second {second} is paid twice");
            // The host reads at the full minute after it.
            if pays(&spans, None, at((second / 60 + 1) * 60)) {
                let held = held.unwrap_or(i64::MAX);
                prop_assert!(paid.first().is_some_and(|paid| *paid >= held), "second {second}: {held} Mbit/s, {paid:?} paid");
            }
        }
    }
}
