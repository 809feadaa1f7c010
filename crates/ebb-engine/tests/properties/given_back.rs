//! What is given back goes to who paid, is never more than that, and no coupon, card or grant becomes cash.

use crate::vouchers::{account, at, charge, sent, use_up, vouchers, what};
use ebb_engine::adjustment::{Left, entry, give_back, purse_after, voucher_after};
use ebb_engine::settlement::{Purse, Totals, VoucherUse, end_voucher, issue, settle_with_vouchers, top_up};
use ebb_engine::trial::deduct;
use ebb_engine::voucher::{Due, Owed, Payment, pay};
use ebb_ledger::{Entry, Place};
use ebb_model::billing::{GivenBack, Split};
use ebb_model::id::VoucherId;
use ebb_model::money::{Amount, Exact};
use ebb_model::traffic::TrafficPaid;
use ebb_model::voucher::{Fine, Gone, Item, Voucher};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What was paid of a record, and what came back.
struct Paid {
    time: Split,
    traffic: TrafficPaid,
    by: Vec<(VoucherId, Fine)>,
    back: GivenBack,
}

impl Paid {
    fn left(&self, all: &[Voucher], now: i64) -> Left {
        let by = |id| all.iter().find(|one| one.id == id).expect("a voucher that is there").clone();
        let paid: Vec<(Voucher, Fine)> = self.by.iter().map(|(id, paid)| (by(*id), *paid)).collect();
        match self.traffic == TrafficPaid::default() {
            true => Left::of(&self.time, &paid, &self.back, at(now)),
            false => Left::of_traffic(&self.traffic, &paid, &self.back, at(now)),
        }
    }
}

#[derive(Default)]
struct Books(BTreeMap<Place, Amount>);

impl Books {
    fn write(&mut self, entry: &Entry) {
        for posting in entry.postings() {
            let stands = self.0.entry(posting.place).or_default();
            *stands = *stands + posting.amount;
        }
    }

    fn at(&self, place: Place) -> Amount {
        self.0.get(&place).copied().unwrap_or_default()
    }
}

proptest! {
    #[test]
    fn it_goes_to_who_paid_and_never_twice(
        mut all in vouchers(5),
        // Each hour: what is used, of it so many quarters by a grant, what is topped up, and what is given back of which record.
        hours in vec((vec((what(), 0..3_000_000_i64, 0..4_i128), 0..5), 0..900_i64, vec((0..1_000_usize, 1..900_i64), 0..4)), 1..25),
        ends in vec((any::<bool>(), 0..30_i64), 5), grant_ends in 0..30_i64, late in 0..3_i64,
    ) {
        let (mut totals, mut purse, mut paid_in) = (Totals::default(), Purse::default(), Amount::ZERO);
        let (mut books, mut records) = (Books::default(), Vec::<Paid>::new());
        all.iter().for_each(|voucher| books.write(&issue(voucher)));
        for (hour, (used, money, wanted)) in hours.iter().enumerate() {
            let now = hour as i64;
            for (voucher, (revoked, when)) in all.iter_mut().zip(&ends) {
                // It may be carried out late.
                let expires = voucher.expires_at.is_some_and(|expires_at| expires_at.plus(late) == at(now));
                if (expires || *revoked && *when == now && voucher.gone_at(at(now)).is_none()) && voucher.left() > Fine::ZERO {
                    books.write(&end_voucher(voucher).0);
                    let left = voucher.left();
                    if expires { voucher.expired += left } else { voucher.revoked = left }
                }
            }
            let (into, after) = top_up(account(), purse, Amount::from_units(*money));
            books.write(&into);
            (purse, paid_in) = (after, paid_in + Amount::from_units(*money));

            let (by_time, by_traffic): (Vec<_>, Vec<_>) = used.iter().partition(|(what, ..)| what.item != Item::Traffic);
            let charges: Vec<_> = by_time.iter().map(|(what, units, _)| charge(what, *units)).collect();
            let mut traffic: Vec<_> = by_traffic.iter().map(|(_, units, _)| sent(*units)).collect();
            let mut splits = deduct(&charges, None);
            for (split, (.., quarters)) in splits.iter_mut().zip(&by_time) {
                split.grant = Exact::from_units(split.payable.units() * quarters / 4);
                split.payable = split.payable - split.grant;
            }
            let timed = by_time.iter().zip(&splits).map(|((what, ..), split)| Due { what: what.clone(), amount: Owed::Time(split.payable) });
            let flowed = by_traffic.iter().zip(&traffic).map(|((what, ..), sent)| Due { what: what.clone(), amount: Owed::Traffic(sent.paid().payable) });
            let dues: Vec<Due> = timed.chain(flowed).collect();
            let payments = pay(&all, at(now), &dues);
            for payment in &payments {
                match payment.due.checked_sub(splits.len()) {
                    None => splits[payment.due].vouchers += payment.amount.whole_time(),
                    Some(n) => traffic[n].vouchers = traffic[n].vouchers + payment.amount.whole_traffic(),
                }
            }
            let before: Vec<Fine> = all.iter().map(|one| one.used).collect();
            use_up(&mut all, &payments);
            let uses: Vec<VoucherUse> = all.iter().zip(before).map(|(one, before)| VoucherUse { voucher: one.id, before, after: one.used }).collect();
            let settled = settle_with_vouchers(account(), totals, purse, &charges, &splits, &traffic, &uses);
            books.write(&settled.entry);
            (totals, purse) = (settled.totals, settled.purse);
            let by = |n: usize| payments.iter().filter(|one| one.due == n).map(|one: &Payment| (one.voucher, one.amount)).collect();
            let of_time = splits.iter().map(|split| (*split, TrafficPaid::default()));
            let of_traffic = traffic.iter().map(|sent| (Split::default(), sent.paid()));
            let new = of_time.chain(of_traffic).enumerate();
            records.extend(new.map(|(n, (time, traffic))| Paid { time, traffic, by: by(n), back: GivenBack::default() }));

            let there = records.len();
            for (which, units) in wanted.iter().filter(|_| there > 0) {
                let which = which % there;
                let (left, asked) = (records[which].left(&all, now), Amount::from_units(*units));
                let Ok(back) = give_back(asked, &left, purse, now >= grant_ends) else {
                    prop_assert!(asked > left.total());
                    continue;
                };
                prop_assert_eq!(back.total(), asked);
                // In their order: who comes later gets something only when all before him have all that they paid.
                let own = back.payable() == left.payable;
                let whole = left.vouchers.iter().zip(&back.vouchers).filter(|(all, some)| all == some).count();
                prop_assert!(own || back.vouchers.is_empty() && back.granted() == Amount::ZERO);
                prop_assert!(whole + 1 >= back.vouchers.len() && (whole == left.vouchers.len() || back.granted() == Amount::ZERO));
                books.write(&entry(account(), &back));
                purse = purse_after(purse, &back);
                prop_assert!(back.cash == Amount::ZERO || purse.debt == Amount::ZERO);
                for to in &back.vouchers {
                    let one = all.iter_mut().find(|one| one.id == to.voucher).expect("a voucher that is there");
                    let before = one.clone();
                    prop_assert_eq!(to.gone, one.gone_at(at(now)));
                    *one = voucher_after(one.clone(), to);
                    let more = if to.gone.is_none() { to.amount } else { Amount::ZERO };
                    prop_assert_eq!(one.left_posted(), before.left_posted() + more);
                }
                let record = &mut records[which];
                record.back = std::mem::take(&mut record.back).plus(back);
                prop_assert!(record.back.granted().exact() <= record.time.grant);
                for (id, paid) in &record.by {
                    prop_assert!(Fine::of_amount(record.back.to_voucher(*id)) <= *paid);
                }
            }
        }
        prop_assert_eq!(books.0.values().copied().sum::<Amount>(), Amount::ZERO);
        let all_back = records.iter().fold(GivenBack::default(), |sum, record| sum.plus(record.back.clone()));
        // Cash has what came in and what it paid before, and nothing of what others paid.
        let (time, traffic) = (totals.paid.payable - totals.paid.vouchers, totals.traffic.payable - totals.traffic.vouchers);
        prop_assert_eq!(paid_in + all_back.payable() + purse.debt, purse.cash + time.posted() + traffic.posted());
        prop_assert_eq!((books.at(Place::Cash(account())), books.at(Place::Receivable(account()))), (-purse.cash, purse.debt));
        prop_assert_eq!(books.at(Place::Grant(account())), totals.paid.grant.posted() - all_back.grant);
        prop_assert_eq!(books.at(Place::Adjustments), all_back.total());
        for one in &all {
            let paid: Fine = records.iter().flat_map(|record| &record.by).filter(|(id, _)| *id == one.id).map(|(_, paid)| *paid).sum();
            let back = Fine::of_amount(all_back.to_voucher(one.id));
            prop_assert!(one.left() >= Fine::ZERO && one.used >= Fine::ZERO);
            prop_assert_eq!(Fine::of_amount(one.face), one.left() + one.used + one.expired + one.revoked);
            prop_assert_eq!(one.used, paid - back);
            prop_assert_eq!(books.at(Place::Voucher(one.id)), -one.left_posted());
            let gone = all_back.vouchers.iter().filter(|to| to.voucher == one.id && to.gone == Some(Gone::Revoked));
            prop_assert!(gone.count() == 0 || one.revoked > Fine::ZERO);
        }
    }
}
