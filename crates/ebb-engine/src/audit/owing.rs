//! Does an account owe, and may it spend, as its log has it? (rules §3.8, §5.2)

use super::{Check, Found};
use crate::arrears::{Arrears, Frozen};
use crate::event::Event;
use ebb_model::id::AccountId;
use ebb_model::money::Amount;
use ebb_model::time::Second;

/// The arrears in which an account is, and its spending cap with the second since when it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Owing {
    pub arrears: Option<Arrears>,
    pub cap: Option<(Amount, Second)>,
}

impl Owing {
    /// As the log goes on.
    pub(super) fn event(&mut self, at: Second, event: &Event) {
        match event {
            Event::ArrearsBegan { since, grace_until, .. } => {
                let (frozen, released) = (None, None);
                self.arrears = Some(Arrears { since: *since, grace_until: *grace_until, frozen, released });
            }
            Event::AccountFrozen { at, release_at, .. } => {
                let frozen = Some(Frozen { since: *at, until: *release_at });
                self.arrears = self.arrears.map(|known| Arrears { frozen, ..known });
            }
            Event::ArrearsReleased { at } => {
                self.arrears = self.arrears.map(|known| Arrears { released: Some(*at), ..known });
            }
            Event::ArrearsCleared { .. } => self.arrears = None,
            Event::CapSet { amount } => self.cap = Some((*amount, at)),
            Event::CapRemoved => self.cap = None,
            _ => {}
        }
    }

    /// Compares what is stored with what the log comes to.
    pub(super) fn check(&self, account: AccountId, debt: Amount, stored: &Owing, found: &mut Found) {
        let said = |arrears: &Option<Arrears>| arrears.as_ref().map_or("none".to_owned(), words);
        match (&stored.arrears, debt > Amount::ZERO) {
            (None, true) => {
                found.add(Check::Arrears, Some(account), "arrears", "none", format!("some: it owes {debt}"))
            }
            (Some(known), false) => {
                found.add(Check::Arrears, Some(account), "arrears", words(known), "none: it owes nothing");
            }
            // Those of before there were any are in no log.
            _ if self.arrears.is_none() => {}
            _ => found.compare(Check::Arrears, account, "arrears", said(&stored.arrears), said(&self.arrears)),
        }
        let amount = |cap: &Option<(Amount, Second)>| cap.map_or("none".to_owned(), |(amount, _)| amount.to_string());
        found.compare(Check::Cap, account, "spending_cap amount", amount(&stored.cap), amount(&self.cap));
    }
}

fn words(Arrears { since, grace_until, frozen, released }: &Arrears) -> String {
    let frozen = frozen.map_or(String::new(), |frozen| format!(", frozen {} to {}", frozen.since, frozen.until));
    let released = released.map_or(String::new(), |at| format!(", released at {at}"));
    format!("since {since}, grace to {grace_until}{frozen}{released}")
}
