//! Entries balance, totals are posted to half a unit, and a grant pays neither too much nor twice.

use ebb_engine::settlement::{Purse, Totals, expire, settle, top_up};
use ebb_engine::trial::deduct;
use ebb_ledger::Place;
use ebb_model::billing::{Charge, Meter};
use ebb_model::id::{AccountId, InstanceId, SpanId};
use ebb_model::instance::Cause;
use ebb_model::money::{Amount, Exact, Price};
use ebb_model::time::{Period, Second};
use ebb_model::trial::{Holder, TrialGrant};
use proptest::prelude::*;

fn account() -> AccountId {
    AccountId::new(Default::default())
}

const METERS: [Meter; 5] = [Meter::Compute, Meter::Compute, Meter::SystemDisk, Meter::SystemDisk, Meter::Subscription];

prop_compose! {
    fn charge()(
        price in 0..2_000_000_i64, seconds in 1..3_600_i64, meter in prop::sample::select(&METERS[..]), covered in any::<bool>(), waived in 0..5_u8,
    ) -> Charge {
        let since = Second::from_unix(0);
        // Months are paid whole, by nobody else.
        let months = (meter == Meter::Subscription).then_some(seconds % 36 + 1);
        Charge {
            account: account(),
            resource: InstanceId::new(Default::default()).into(),
            span: SpanId::new(Default::default()),
            meter,
            price: Price::from_micros(price),
            period: Period { since, until: since.plus(seconds) },
            months,
            waiver: (waived == 0 && months.is_none()).then_some(Cause::Capacity),
            covered: covered && months.is_none(),
        }
    }
}

proptest! {
    #[test]
    fn money_is_conserved(
        hours in prop::collection::vec((prop::collection::vec(charge(), 0..6), 0..3_000_000_i64), 1..40),
        issued in 0..40_000_000_000_i128, cap in 0..2_000_000_i64,
    ) {
        let mut grant = TrialGrant {
            holder: Holder::Individual, claimed_at: Second::from_unix(0), valid_until: Second::from_unix(i64::MAX),
            issued: Exact::from_units(issued), used: Exact::ZERO, revoked: Exact::ZERO, hourly_cap: Price::from_micros(cap),
        };
        let (mut totals, mut purse) = (Totals::default(), Purse::default());
        let mut books = std::collections::BTreeMap::<Place, Amount>::new();
        let mut paid_in = Amount::ZERO;
        for (charges, money) in hours {
            if money > 0 {
                let amount = Amount::from_units(money);
                let (entry, after) = top_up(account(), purse, amount);
                entry.postings().iter().for_each(|p| *books.entry(p.place).or_default() = books.get(&p.place).copied().unwrap_or_default() + p.amount);
                purse = after;
                paid_in = paid_in + amount;
            }
            let splits = deduct(&charges, Some(&grant));
            let used: Exact = splits.iter().map(|s| s.grant).sum();
            let covered: Exact = charges.iter().filter(|c| c.covered && c.waiver.is_none()).map(Charge::gross).sum();
            prop_assert_eq!(used, covered.min(grant.cap()).min(grant.left()), "min(covered, cap, left)");
            for (charge, split) in charges.iter().zip(&splits) {
                prop_assert_eq!(split.total(), charge.gross());
                prop_assert!(split.grant == Exact::ZERO || charge.covered);
                prop_assert!(charge.waiver.is_none() || split.waived == charge.gross());
            }
            grant.used += used;
            prop_assert!(grant.left() >= Exact::ZERO);

            let settled = settle(account(), totals, purse, &charges, &splits);
            settled.entry.postings().iter().for_each(|p| *books.entry(p.place).or_default() = books.get(&p.place).copied().unwrap_or_default() + p.amount);
            totals = settled.totals;
            purse = settled.purse;
            prop_assert!(purse.cash >= Amount::ZERO && purse.debt >= Amount::ZERO);
            prop_assert!(purse.cash == Amount::ZERO || purse.debt == Amount::ZERO);
        }
        // The books agree with the purse, and with the exact totals to half a unit.
        let at = |place| books.get(&place).copied().unwrap_or_default();
        prop_assert_eq!(books.values().copied().sum::<Amount>(), Amount::ZERO);
        prop_assert_eq!((at(Place::Cash(account())), at(Place::Receivable(account()))), (-purse.cash, purse.debt));
        prop_assert_eq!(paid_in + purse.debt, purse.cash + totals.paid.payable.posted());
        prop_assert_eq!(at(Place::Waiver), totals.paid.waived.posted());
        prop_assert_eq!(at(Place::Grant(account())), totals.paid.grant.posted());
        prop_assert!(at(Place::Rounding).units().abs() <= 2);
        // Issued is what was used and what expires: nothing stays of a grant, and it cost what was used of it.
        let (entry, expired) = expire(account(), &grant);
        prop_assert_eq!(totals.paid.grant, grant.used);
        prop_assert_eq!(grant.left(), grant.issued - grant.used);
        prop_assert!(expired >= Amount::ZERO);
        let moves = |place| entry.postings().iter().filter(|p| p.place == place).map(|p| p.amount).sum::<Amount>();
        let issued = grant.issued.posted();
        prop_assert_eq!(-issued + at(Place::Grant(account())) + moves(Place::Grant(account())), Amount::ZERO);
        prop_assert_eq!(issued + moves(Place::Promotion), at(Place::Grant(account())));
        prop_assert_eq!(totals.paid.total(), totals.sold.total());
    }
}
