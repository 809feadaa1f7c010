//! Where does money stand, and how may it move? Accounts of the books and entries that balance.

#![deny(clippy::float_arithmetic)]

use ebb_model::billing::Meter;
use ebb_model::id::{AccountId, NotAnId, VoucherId};
use ebb_model::money::Amount;
use std::fmt;
use std::str::FromStr;

/// A place in the books. Debits are positive: what the installation has or gave away stands positive, what it owes or earned negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Money that came in from outside.
    Bank,
    /// A customer's prepaid money: we owe it.
    Cash(AccountId),
    /// What a customer owes us.
    Receivable(AccountId),
    /// What is left of a customer's trial grant.
    Grant(AccountId),
    /// What is left of a coupon or a card: we owe its customer so much use.
    Voucher(VoucherId),
    /// The cost of grants and coupons given.
    Promotion,
    /// What cards were issued for, be they sold or given.
    Cards,
    Revenue(Revenue),
    /// The cost of guarantees that were broken.
    Waiver,
    /// The cost of traffic that the pools of trials paid.
    TrafficPools,
    /// What was given back of records that were issued (rules §5.3).
    Adjustments,
    /// Halves of the smallest unit between parts and kinds (rules §1.2).
    Rounding,
}

/// What was sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revenue {
    /// By time, or months paid in advance.
    Of(Meter),
    Traffic,
}

impl Place {
    /// Whose it is, where it is one account's.
    pub fn account(self) -> Option<AccountId> {
        match self {
            Place::Cash(id) | Place::Receivable(id) | Place::Grant(id) => Some(id),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Bank => f.write_str("bank"),
            Place::Cash(id) => write!(f, "cash:{id}"),
            Place::Receivable(id) => write!(f, "receivable:{id}"),
            Place::Grant(id) => write!(f, "grant:{id}"),
            Place::Voucher(id) => write!(f, "voucher:{id}"),
            Place::Promotion => f.write_str("promotion"),
            Place::Cards => f.write_str("cards"),
            Place::Revenue(Revenue::Of(meter)) => write!(f, "revenue:{}", meter.name()),
            Place::Revenue(Revenue::Traffic) => f.write_str("revenue:traffic"),
            Place::Waiver => f.write_str("waiver"),
            Place::TrafficPools => f.write_str("traffic-pools"),
            Place::Adjustments => f.write_str("adjustments"),
            Place::Rounding => f.write_str("rounding"),
        }
    }
}

/// A text that names no place in the books.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownPlace {
    #[error("`{0}` is not in the chart of accounts")]
    Name(String),
    #[error(transparent)]
    Account(#[from] NotAnId),
}

impl FromStr for Place {
    type Err = UnknownPlace;

    fn from_str(text: &str) -> Result<Self, UnknownPlace> {
        Ok(match text.split_once(':') {
            Some(("cash", id)) => Place::Cash(id.parse()?),
            Some(("receivable", id)) => Place::Receivable(id.parse()?),
            Some(("grant", id)) => Place::Grant(id.parse()?),
            Some(("voucher", id)) => Place::Voucher(id.parse()?),
            Some(("revenue", "traffic")) => Place::Revenue(Revenue::Traffic),
            Some(("revenue", sold)) => {
                let meter = Meter::ALL.into_iter().find(|meter| meter.name() == sold);
                Place::Revenue(Revenue::Of(meter.ok_or_else(|| UnknownPlace::Name(text.to_owned()))?))
            }
            None if text == "bank" => Place::Bank,
            None if text == "promotion" => Place::Promotion,
            None if text == "cards" => Place::Cards,
            None if text == "waiver" => Place::Waiver,
            None if text == "traffic-pools" => Place::TrafficPools,
            None if text == "adjustments" => Place::Adjustments,
            None if text == "rounding" => Place::Rounding,
            _ => return Err(UnknownPlace::Name(text.to_owned())),
        })
    }
}

/// One line of an entry: so much to this place (negative: from it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting {
    pub place: Place,
    pub amount: Amount,
}

/// A set of postings that balances. There is no way to build one that does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry(Vec<Posting>);

/// Postings that do not sum up to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the postings are off by {0}")]
pub struct OffBalance(pub Amount);

impl Entry {
    /// Drops postings of nothing. An entry may be empty: nothing moved.
    pub fn new(postings: impl IntoIterator<Item = (Place, Amount)>) -> Result<Entry, OffBalance> {
        let lines = postings.into_iter().filter(|(_, amount)| *amount != Amount::ZERO);
        let postings: Vec<Posting> = lines.map(|(place, amount)| Posting { place, amount }).collect();
        match postings.iter().map(|p| p.amount).sum() {
            Amount::ZERO => Ok(Entry(postings)),
            off => Err(OffBalance(off)),
        }
    }

    /// `amount` goes from one place to another.
    pub fn transfer(from: Place, to: Place, amount: Amount) -> Entry {
        Entry::new([(to, amount), (from, -amount)]).expect("two opposite postings balance")
    }

    pub fn postings(&self) -> &[Posting] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_does_not_balance_cannot_be_built() {
        let one = Amount::from_units(1);
        assert_eq!(Entry::new([(Place::Bank, one), (Place::Waiver, one)]), Err(OffBalance(Amount::from_units(2))));
        assert_eq!(Entry::new([(Place::Bank, one), (Place::Waiver, -one)]).unwrap().postings().len(), 2);
        assert_eq!(Entry::transfer(Place::Bank, Place::Waiver, Amount::ZERO).postings(), &[]);
    }

    #[test]
    fn every_place_reads_back() {
        let id = AccountId::new(Default::default());
        let revenue = Meter::ALL.map(|meter| Place::Revenue(Revenue::Of(meter)));
        let voucher = Place::Voucher(VoucherId::new(Default::default()));
        let own = [Place::Cash(id), Place::Receivable(id), Place::Grant(id), voucher];
        let plain = [
            Place::Bank,
            Place::Promotion,
            Place::Cards,
            Place::Waiver,
            Place::TrafficPools,
            Place::Adjustments,
            Place::Rounding,
        ];
        for place in own.into_iter().chain(revenue).chain(plain) {
            assert_eq!(place.to_string().parse(), Ok(place));
        }
    }
}
