//! What is given back of a record, and to whom? (rules §5.3) The record stays as it is.
//!
//! Each part is whole in the ledger's unit: whatever else is posted of an account, what is given back is posted to the last digit.

use crate::refusal::Refused;
use crate::settlement::Purse;
use ebb_ledger::{Entry, Place};
use ebb_model::billing::{GivenBack, Split};
use ebb_model::id::AccountId;
use ebb_model::money::Amount;
use ebb_model::traffic::TrafficPaid;

/// What of a record can still be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Left {
    /// Of what the customer had to pay himself.
    pub payable: Amount,
    /// Of what a grant paid. It never becomes cash.
    pub grant: Amount,
}

impl Left {
    /// Of a record of time, after `before` was given back of it. What was waived was paid by nobody.
    pub fn of(split: &Split, before: &GivenBack) -> Left {
        Left {
            payable: (split.payable - split.vouchers).whole() - before.payable(),
            grant: split.grant.whole() - before.granted(),
        }
    }

    /// Of a record of traffic. What a pool paid cost nobody anything.
    pub fn of_traffic(paid: &TrafficPaid, before: &GivenBack) -> Left {
        Left { payable: (paid.payable - paid.vouchers).whole() - before.payable(), grant: Amount::ZERO }
    }

    pub fn total(&self) -> Amount {
        self.payable + self.grant
    }
}

/// Gives `amount` back, in the reverse of the order in which it was paid: debt, cash, grant. `grant_is_over`: what was left of it
/// has expired already, and what comes back to it does, too.
///
/// # Errors
/// No more than what is left of the record.
pub fn give_back(amount: Amount, left: Left, purse: Purse, grant_is_over: bool) -> Result<GivenBack, Refused> {
    if amount > left.total() {
        return Err(Refused::MoreThanPaid { asked: amount, left: left.total() });
    }
    let payable = amount.min(left.payable);
    let debt = payable.min(purse.debt);
    // Here, after cash and before the grant, other sources take what they paid.
    let granted = amount - payable;
    let (grant, expired) = if grant_is_over { (Amount::ZERO, granted) } else { (granted, Amount::ZERO) };
    Ok(GivenBack { debt, cash: payable - debt, grant, expired })
}

/// What moves in the ledger.
pub fn entry(account: AccountId, back: &GivenBack) -> Entry {
    Entry::new([
        (Place::Adjustments, back.total()),
        (Place::Receivable(account), -back.debt),
        (Place::Cash(account), -back.cash),
        (Place::Grant(account), -back.grant),
        (Place::Promotion, -back.expired),
    ])
    .expect("what is given back is what its sources take")
}

/// What an account has after that.
pub fn purse_after(purse: Purse, back: &GivenBack) -> Purse {
    Purse { cash: purse.cash + back.cash, debt: purse.debt - back.debt }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebb_model::money::Exact;
    use proptest::prelude::*;

    fn back(amount: i64, left: (i64, i64), debt: i64, over: bool) -> Result<[i64; 4], String> {
        let units = Amount::from_units;
        let (left, purse) =
            (Left { payable: units(left.0), grant: units(left.1) }, Purse { cash: units(7), debt: units(debt) });
        let back = give_back(units(amount), left, purse, over).map_err(|refused| refused.to_string())?;
        Ok([back.debt, back.cash, back.grant, back.expired].map(Amount::units))
    }

    #[test]
    fn it_goes_back_the_way_it_came() {
        assert_eq!(back(10, (30, 20), 0, false), Ok([0, 10, 0, 0]));
        assert_eq!(back(10, (30, 20), 4, false), Ok([4, 6, 0, 0]));
        assert_eq!(back(45, (30, 20), 99, false), Ok([30, 0, 15, 0]));
        assert_eq!(back(50, (30, 20), 0, true), Ok([0, 30, 0, 20]));
        assert!(back(51, (30, 20), 0, false).unwrap_err().contains("0.00000050 is left, not 0.00000051"));
    }

    #[test]
    fn what_is_below_a_unit_of_the_ledger_stays() {
        let exact = |units| Exact::from_units(units);
        let split = Split { waived: exact(500), grant: exact(35), payable: exact(73), vouchers: Exact::ZERO };
        let left = Left::of(&split, &GivenBack { cash: Amount::from_units(1), ..GivenBack::default() });
        assert_eq!((left.payable.units(), left.grant.units()), (1, 0));
    }

    proptest! {
        #[test]
        fn nothing_is_given_back_twice_and_no_grant_becomes_cash(
            payable in 0..10_000_i128, grant in 0..10_000_i128, debt in 0..300_i64,
            asked in proptest::collection::vec(1..200_i64, 1..20), over in any::<bool>(),
        ) {
            let split = Split { waived: Exact::ZERO, grant: Exact::from_units(grant), payable: Exact::from_units(payable), vouchers: Exact::ZERO };
            let account = AccountId::new(Default::default());
            let (mut before, mut purse) = (GivenBack::default(), Purse { cash: Amount::ZERO, debt: Amount::from_units(debt) });
            for asked in asked {
                let left = Left::of(&split, &before);
                let Ok(back) = give_back(Amount::from_units(asked), left, purse, over) else {
                    prop_assert!(Amount::from_units(asked) > left.total());
                    continue;
                };
                prop_assert_eq!(back.total().units(), asked);
                let posted: Amount = entry(account, &back).postings().iter().map(|line| line.amount).sum();
                prop_assert_eq!(posted, Amount::ZERO);
                purse = purse_after(purse, &back);
                before = before.plus(back);
                prop_assert!(before.payable().exact() <= split.payable && before.granted().exact() <= split.grant);
                prop_assert!(purse.debt >= Amount::ZERO && (back.cash == Amount::ZERO || purse.debt == Amount::ZERO));
            }
        }
    }
}
