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
            Event::AddressCharged { address, mbit, at, .. } => {
                let uses = self.0.entry(*address).or_default();
                end(uses, *at);
                uses.extend(mbit.map(|mbit| (*at, None, mbit)));
            }
            Event::AddressReleased { address, at: Some(at) } => end(self.0.entry(*address).or_default(), *at),
            Event::AccountFrozen { at, .. } => self.0.values_mut().for_each(|uses| end(uses, *at)),
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
    if let Some((since, until @ None, _)) = uses.last_mut() {
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
