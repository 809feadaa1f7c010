//! What is given back of a record, and to whom? (rules §5.3) The record stays as it is.
//!
//! Each part is whole in the ledger's unit: whatever else is posted of an account, what is given back is posted to the last digit.

use crate::refusal::Refused;
use crate::settlement::{Purse, source};
use ebb_ledger::{Entry, Place};
use ebb_model::billing::{GivenBack, Split, ToVoucher};
use ebb_model::id::AccountId;
use ebb_model::money::Amount;
use ebb_model::time::Second;
use ebb_model::traffic::TrafficPaid;
use ebb_model::voucher::{Fine, Gone, Voucher};
use std::collections::BTreeMap;

/// What of a record can still be given back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Left {
    /// Of what the customer had to pay in cash.
    pub payable: Amount,
    /// Of what coupons and cards paid, the last one first. It never becomes cash.
    pub vouchers: Vec<ToVoucher>,
    /// Of what a grant paid. It never becomes cash either.
    pub grant: Amount,
}

impl Left {
    /// Of a record of time, after `before` was given back of it. What was waived was paid by nobody. `paid`: by each voucher, in the order in
    /// which they paid; what comes back to them is judged at `now`.
    pub fn of(split: &Split, paid: &[(Voucher, Fine)], before: &GivenBack, now: Second) -> Left {
        Left {
            payable: (split.payable - split.vouchers).whole() - before.payable(),
            vouchers: to_vouchers(paid, before, now),
            grant: split.grant.whole() - before.granted(),
        }
    }

    /// Of a record of traffic. What a pool paid cost nobody anything.
    pub fn of_traffic(paid: &TrafficPaid, by: &[(Voucher, Fine)], before: &GivenBack, now: Second) -> Left {
        Left {
            payable: (paid.payable - paid.vouchers).whole() - before.payable(),
            vouchers: to_vouchers(by, before, now),
            grant: Amount::ZERO,
        }
    }

    pub fn total(&self) -> Amount {
        self.payable + self.vouchers.iter().map(|one| one.amount).sum() + self.grant
    }
}

fn to_vouchers(paid: &[(Voucher, Fine)], before: &GivenBack, now: Second) -> Vec<ToVoucher> {
    let left = paid.iter().rev().map(|(voucher, paid)| ToVoucher {
        voucher: voucher.id,
        kind: voucher.kind,
        amount: paid.whole() - before.to_voucher(voucher.id),
        gone: voucher.gone_at(now),
    });
    left.filter(|one| one.amount > Amount::ZERO).collect()
}

/// Gives `amount` back, in the reverse of the order in which it was paid: debt, cash, vouchers, grant. `grant_is_over`: what was left of it
/// has expired already, and what comes back to it does, too.
///
/// # Errors
/// No more than what is left of the record.
pub fn give_back(amount: Amount, left: &Left, purse: Purse, grant_is_over: bool) -> Result<GivenBack, Refused> {
    if amount > left.total() {
        return Err(Refused::MoreThanPaid { asked: amount, left: left.total() });
    }
    let payable = amount.min(left.payable);
    let debt = payable.min(purse.debt);
    let (mut rest, mut vouchers) = (amount - payable, vec![]);
    for one in &left.vouchers {
        let back = rest.min(one.amount);
        if back > Amount::ZERO {
            vouchers.push(ToVoucher { amount: back, ..*one });
            rest = rest - back;
        }
    }
    let (grant, expired) = if grant_is_over { (Amount::ZERO, rest) } else { (rest, Amount::ZERO) };
    Ok(GivenBack { debt, cash: payable - debt, vouchers, grant, expired })
}

/// What moves in the ledger. What comes back to what is over goes on to where it came from.
pub fn entry(account: AccountId, back: &GivenBack) -> Entry {
    let mut moved = BTreeMap::from([
        (Place::Adjustments, back.total()),
        (Place::Receivable(account), -back.debt),
        (Place::Cash(account), -back.cash),
        (Place::Grant(account), -back.grant),
        (Place::Promotion, -back.expired),
    ]);
    for one in &back.vouchers {
        let place = if one.gone.is_some() { source(one.kind) } else { Place::Voucher(one.voucher) };
        let sum = moved.entry(place).or_default();
        *sum = *sum - one.amount;
    }
    Entry::new(moved).expect("what is given back is what its sources take")
}

/// What an account has after that.
pub fn purse_after(purse: Purse, back: &GivenBack) -> Purse {
    Purse { cash: purse.cash + back.cash, debt: purse.debt - back.debt }
}

/// A voucher after so much came back to it.
pub fn voucher_after(voucher: Voucher, back: &ToVoucher) -> Voucher {
    let amount = Fine::of_amount(back.amount);
    let gone = |how: Gone| if back.gone == Some(how) { amount } else { Fine::ZERO };
    Voucher {
        used: voucher.used - amount,
        expired: voucher.expired + gone(Gone::Expired),
        revoked: voucher.revoked + gone(Gone::Revoked),
        ..voucher
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebb_model::id::VoucherId;
    use ebb_model::money::Exact;
    use ebb_model::voucher::VoucherKind::{self, Card, CashCoupon};

    fn voucher(id: u128, kind: VoucherKind, expires_at: Option<i64>) -> Voucher {
        Voucher {
            id: VoucherId::new(uuid::Uuid::from_u128(id)),
            account: AccountId::new(Default::default()),
            kind,
            face: Amount::from_units(100),
            pays: Default::default(),
            issued_at: Second::from_unix(0).start(),
            valid_from: Second::from_unix(0),
            expires_at: expires_at.map(Second::from_unix),
            used: Fine::of_amount(Amount::from_units(90)),
            expired: Fine::ZERO,
            revoked: Fine::ZERO,
            warned: false,
        }
    }

    /// Of a record that a grant, a coupon that expires at 50, a card and cash paid: `debt cash grant expired`, then what each voucher gets.
    fn back(amount: i64, debt: i64, over: bool, now: i64, before: &GivenBack) -> Result<String, String> {
        let fine = |units| Fine::of_amount(Amount::from_units(units));
        let exact = |units| Amount::from_units(units).exact();
        let split = Split { waived: Exact::ZERO, grant: exact(20), payable: exact(60), vouchers: exact(30) };
        let paid = [(voucher(1, CashCoupon, Some(50)), fine(20)), (voucher(2, Card, None), fine(10))];
        let left = Left::of(&split, &paid, before, Second::from_unix(now));
        let purse = Purse { cash: Amount::from_units(7), debt: Amount::from_units(debt) };
        let back = give_back(Amount::from_units(amount), &left, purse, over).map_err(|refused| refused.to_string())?;
        let to = |one: &ToVoucher| {
            let gone = one.gone.map_or("", |gone| gone.name());
            format!(" {:?}:{}{gone}", one.kind, one.amount.units())
        };
        let [debt, cash, grant, expired] = [back.debt, back.cash, back.grant, back.expired].map(Amount::units);
        Ok(format!("{debt} {cash} {grant} {expired}{}", back.vouchers.iter().map(to).collect::<String>()))
    }

    #[test]
    fn it_goes_back_the_way_it_came() {
        let none = GivenBack::default();
        let fresh = |amount, debt, over, now| back(amount, debt, over, now, &none).unwrap();
        assert_eq!(fresh(10, 0, false, 1), "0 10 0 0");
        assert_eq!(fresh(10, 4, false, 1), "4 6 0 0");
        assert_eq!(fresh(35, 99, false, 1), "30 0 0 0 Card:5");
        assert_eq!(fresh(55, 0, false, 49), "0 30 0 0 Card:10 CashCoupon:15");
        assert_eq!(fresh(65, 0, false, 50), "0 30 5 0 Card:10 CashCoupon:20expired");
        assert_eq!(fresh(80, 0, true, 1), "0 30 0 20 Card:10 CashCoupon:20");
        assert!(back(81, 0, false, 1, &none).unwrap_err().contains("0.00000080 is left, not 0.00000081"));
    }

    #[test]
    fn what_came_back_does_not_come_back_again() {
        let to = |voucher, kind, amount| ToVoucher { voucher, kind, amount: Amount::from_units(amount), gone: None };
        let (coupon, card) = (voucher(1, CashCoupon, Some(50)).id, voucher(2, Card, None).id);
        let vouchers = vec![to(card, Card, 4), to(card, Card, 6), to(coupon, CashCoupon, 3)];
        let before = GivenBack { cash: Amount::from_units(30), vouchers, ..GivenBack::default() };
        assert_eq!(back(18, 0, false, 1, &before).unwrap(), "0 0 1 0 CashCoupon:17");
        assert!(back(38, 0, false, 1, &before).unwrap_err().contains("0.00000037 is left"));
    }

    #[test]
    fn what_is_below_a_unit_of_the_ledger_stays() {
        let exact = |units| Exact::from_units(units);
        let split = Split { waived: exact(500), grant: exact(35), payable: exact(143), vouchers: exact(70) };
        let paid =
            [(voucher(1, Card, None), Fine::of_time(exact(35))), (voucher(2, Card, None), Fine::of_time(exact(37)))];
        let before = GivenBack { cash: Amount::from_units(1), ..GivenBack::default() };
        let left = Left::of(&split, &paid, &before, Second::from_unix(0));
        let of_vouchers: Vec<i64> = left.vouchers.iter().map(|one| one.amount.units()).collect();
        assert_eq!((left.payable.units(), of_vouchers, left.grant.units()), (1, vec![1], 0));
    }

    #[test]
    fn what_is_over_passes_it_on() {
        let account = AccountId::new(Default::default());
        let back = GivenBack { expired: Amount::from_units(5), ..GivenBack::default() };
        let to = |one: &Voucher, amount, gone| ToVoucher {
            voucher: one.id,
            kind: one.kind,
            amount: Amount::from_units(amount),
            gone,
        };
        let (coupon, card) = (voucher(1, CashCoupon, Some(50)), voucher(2, Card, None));
        let vouchers = vec![to(&card, 2, Some(Gone::Revoked)), to(&coupon, 3, Some(Gone::Expired))];
        let moved = entry(account, &GivenBack { vouchers: vouchers.clone(), ..back });
        let at = |place| moved.postings().iter().find(|one| one.place == place).map(|one| one.amount.units());
        assert_eq!([Place::Adjustments, Place::Promotion, Place::Cards].map(at), [Some(10), Some(-8), Some(-2)]);
        let after = voucher_after(coupon.clone(), &vouchers[1]);
        assert_eq!((after.left(), after.left_posted()), (coupon.left(), coupon.left_posted()));
        assert_eq!((after.used + after.expired, after.revoked), (coupon.used, Fine::ZERO));
        let after = voucher_after(coupon.clone(), &to(&coupon, 3, None));
        assert_eq!((after.left_posted() - coupon.left_posted()).units(), 3);
    }
}
