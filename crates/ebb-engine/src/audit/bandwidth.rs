//! Was the bandwidth of public addresses charged when the log says that they are paid by it? (rules §4.4)

use super::{Check, Found};
use crate::event::Event;
use ebb_model::billing::{Meter, ResourceId, Span};
use ebb_model::id::{AccountId, AddressId};
use ebb_model::time::Second;
use std::collections::BTreeMap;

/// Since when, until when if that is over, and how many Mbit/s.
type Use = (Second, Option<Second>, i64);

/// By the log, in its order.
#[derive(Default)]
pub(super) struct Bandwidth(BTreeMap<AddressId, Vec<Use>>);

impl Bandwidth {
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::AddressCharged { address, mbit, at: Some(at), .. } => {
                let uses = self.0.entry(*address).or_default();
                end(uses, *at);
                uses.extend(mbit.map(|mbit| (*at, None, mbit)));
            }
            Event::AddressReleased { address, at: Some(at) } | Event::AddressKept { address, at: Some(at) } => {
                end(self.0.entry(*address).or_default(), *at);
            }
            Event::AccountFrozen { at, addresses, .. } => {
                let others = self.0.iter_mut().filter(|(id, _)| !addresses.contains(id));
                others.for_each(|(_, uses)| end(uses, *at));
            }
            _ => {}
        }
    }

    /// Looks at all spans of bandwidth.
    pub fn check(&self, account: AccountId, spans: &[Span], found: &mut Found) {
        let mut stored: BTreeMap<AddressId, Vec<Use>> = BTreeMap::new();
        for span in spans.iter().filter(|span| span.meter == Meter::Bandwidth) {
            let mbit = span.follows.as_ref().map_or(0, |follows| follows.units);
            match span.resource {
                ResourceId::Address(id) => stored.entry(id).or_default().push((span.since, span.until, mbit)),
                other => {
                    let row = format!("span {}", span.id);
                    found.add(Check::Span, Some(account), row, other, "a public address: what else has bandwidth?");
                }
            }
        }
        let ids: std::collections::BTreeSet<AddressId> = stored.keys().chain(self.0.keys()).copied().collect();
        for id in ids {
            let mut is = stored.remove(&id).unwrap_or_default();
            let mut comes_to = self.0.get(&id).cloned().unwrap_or_default();
            is.sort();
            comes_to.sort();
            found.compare(Check::Span, account, format!("bandwidth of address {id}"), said(&is), said(&comes_to));
        }
    }
}

fn end(uses: &mut [Use], at: Second) {
    for (since, until, _) in uses.iter_mut().filter(|(_, until, _)| until.is_none_or(|until| until > at)) {
        *until = Some(at.max(*since));
    }
}

fn said(uses: &[Use]) -> String {
    let one = |(since, until, mbit): &Use| {
        let until = until.map_or("open".to_owned(), |at| at.to_string());
        format!("{mbit} Mbit/s {since} to {until}")
    };
    let all: Vec<String> = uses.iter().map(one).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebb_model::billing::{Follows, Settled};
    use ebb_model::id::SpanId;
    use ebb_model::money::Price;
    use uuid::Uuid;

    const THIS: u128 = 7;

    fn address() -> AddressId {
        AddressId::new(Uuid::from_u128(THIS))
    }

    fn at(second: i64) -> Second {
        Second::from_unix(second)
    }

    fn paid_by(mbit: Option<i64>, second: i64) -> Event {
        Event::AddressCharged { address: address(), mbit, price: Price::from_micros(1), at: Some(at(second)) }
    }

    /// The findings about these spans of the address: since, until and Mbit/s.
    fn found(log: &[Event], spans: &[(i64, Option<i64>, i64)]) -> usize {
        let account = AccountId::new(Uuid::from_u128(1));
        let span = |(since, until, mbit): &(i64, Option<i64>, i64)| Span {
            id: SpanId::new(Uuid::from_u128(*since as u128)),
            account,
            resource: ResourceId::Address(address()),
            meter: Meter::Bandwidth,
            price: Price::from_micros(*mbit).into(),
            follows: Some(Follows { item: "bandwidth here".to_owned(), units: *mbit }),
            settled: Settled::Hourly { trial: false },
            since: at(*since),
            until: until.map(at),
        };
        let mut by_log = Bandwidth::default();
        log.iter().for_each(|event| by_log.event(event));
        let (mut found, spans) = (Found::up_to(9), spans.iter().map(span).collect::<Vec<_>>());
        by_log.check(account, &spans, &mut found);
        found.findings.len()
    }

    #[test]
    fn a_span_fits_what_the_log_says_and_nothing_else() {
        let log = [
            paid_by(Some(5), 100),
            paid_by(Some(9), 160),
            paid_by(None, 220),
            paid_by(Some(1), 280),
            Event::AddressReleased { address: address(), at: Some(at(300)) },
        ];
        let right = [(100, Some(160), 5), (160, Some(220), 9), (280, Some(300), 1)];
        assert_eq!(found(&log, &right), 0);
        for (place, wrong) in
            [(0, (100, Some(161), 5)), (1, (160, Some(220), 8)), (2, (280, None, 1)), (2, (279, Some(300), 1))]
        {
            let mut spans = right;
            spans[place] = wrong;
            assert_eq!(found(&log, &spans), 1, "{wrong:?}");
        }
        assert_eq!(found(&log, &right[..2]), 1, "one is gone");
        assert_eq!(found(&[], &right), 1, "nothing of it is in the log");
    }

    #[test]
    fn a_freeze_ends_all_of_it() {
        let by = crate::arrears::By::Grace;
        let freeze = Event::AccountFrozen { at: at(200), by, release_at: at(900), addresses: vec![], disks: vec![] };
        let log = [paid_by(Some(5), 100), freeze.clone(), paid_by(Some(5), 400)];
        assert_eq!(found(&log, &[(100, Some(200), 5), (400, None, 5)]), 0);
        assert_eq!(found(&log, &[(100, None, 5)]), 1);
        // But of what leads to a subscription, up to its end.
        let with =
            Event::AccountFrozen { at: at(200), by, release_at: at(900), addresses: vec![address()], disks: vec![] };
        let kept = Event::AddressKept { address: address(), at: Some(at(300)) };
        assert_eq!(found(&[paid_by(Some(5), 100), with.clone()], &[(100, None, 5)]), 0);
        assert_eq!(found(&[paid_by(Some(5), 100), with, kept], &[(100, Some(300), 5)]), 0);
        // What was changed after its second, and known before it, goes with it.
        let changed = [paid_by(Some(5), 100), paid_by(Some(4), 250), freeze];
        assert_eq!(found(&changed, &[(100, Some(200), 5), (250, Some(250), 4)]), 0);
    }
}
