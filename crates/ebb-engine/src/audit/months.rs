//! Are months that are paid in advance those of the log, and is for orders by the month held what they cost? (rules §4.3, §5.2)

use super::{Check, Found};
use crate::event::Event;
use crate::ordered;
use ebb_model::billing::{Meter, Settled, Span};
use ebb_model::id::{AccountId, InstanceId};
use ebb_model::instance::{Instance, Purchase};
use ebb_model::money::{Amount, Price};
use ebb_model::time::Second;
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Months {
    /// By the log, from when on: up to when, how many, at which price.
    paid: BTreeMap<(InstanceId, Second), (Second, i64, Price)>,
    /// Up to when subscriptions say that they are paid.
    until: BTreeMap<InstanceId, Second>,
    /// What must be held of those that do not run yet.
    ordered: BTreeMap<InstanceId, Amount>,
}

impl Months {
    pub fn instance(&mut self, of: &Instance) {
        self.until.extend(of.paid_until().map(|until| (of.id, until)));
        let waits = of.ordered_months().filter(|_| of.state.end().is_none());
        self.ordered.extend(waits.map(|_| (of.id, ordered::total(&of.purchase).posted())));
    }

    pub fn event(&mut self, about: InstanceId, event: &Event) {
        let (since, of) = match event {
            Event::Converted { purchase: Purchase::Subscription { price, months, until, .. }, at, .. } => {
                (at, (*until, *months, *price))
            }
            Event::Renewed { months, price, since, until, .. }
            | Event::SubscriptionBegan { months, price, since, until } => (since, (*until, *months, *price)),
            _ => return,
        };
        self.paid.insert((about, *since), of);
    }

    pub fn hold(&mut self, account: AccountId, of: InstanceId, amount: Amount, found: &mut Found) {
        match self.ordered.remove(&of) {
            Some(comes_to) => found.compare(Check::Held, account, format!("hold of {of}"), amount, comes_to),
            None if self.until.contains_key(&of) => {
                found.add(Check::Held, Some(account), format!("hold of {of}"), amount, "nothing: its months are paid");
            }
            None => {}
        }
    }

    pub fn check(&self, account: AccountId, spans: &[Span], found: &mut Found) {
        for (of, amount) in &self.ordered {
            found.add(Check::Held, Some(account), format!("hold of {of}"), "nothing", amount);
        }
        let mut paid = self.paid.clone();
        for span in spans.iter().filter(|span| span.meter == Meter::Subscription) {
            let (Settled::InAdvance { months }, Some(until)) = (span.settled, span.until) else { continue };
            let logged = span.instance().and_then(|of| paid.remove(&(of, span.since)));
            let stored = said((until, months, span.price.first().price));
            let comes_to = logged.map_or("nothing: the log has no such payment".to_owned(), said);
            found.compare(Check::Months, account, format!("span {}", span.id), stored, comes_to);
        }
        for ((of, since), logged) in paid {
            let row = format!("months of {of} from {since}");
            found.add(Check::Months, Some(account), row, "nothing", said(logged));
        }
        for (of, until) in &self.until {
            let last =
                self.paid.range((*of, Second::from_unix(i64::MIN))..=(*of, Second::from_unix(i64::MAX))).next_back();
            let comes_to = last.map_or("nothing".to_owned(), |(_, (until, _, _))| until.to_string());
            found.compare(Check::Months, account, format!("instance {of} paid until"), until.to_string(), comes_to);
        }
    }
}

fn said((until, months, price): (Second, i64, Price)) -> String {
    format!("{months} × {price} up to {until}")
}
