//! Coupons and cards pay what they may, in their order, exactly, and never twice.

use ebb_engine::funds::{Need, available, needed_in_cash};
use ebb_engine::settlement::{Purse, Totals, VoucherUse, end_voucher, issue, settle_with_vouchers, top_up};
use ebb_engine::trial::deduct;
use ebb_engine::voucher::{Due, Owed, Payment, Use, may_pay, pay};
use ebb_ledger::{Entry, Place};
use ebb_model::billing::{Charge, Meter};
use ebb_model::id::{AccountId, AddressId, InstanceId, SpanId, VoucherId};
use ebb_model::instance::Purchase;
use ebb_model::money::{Amount, Exact, Price};
use ebb_model::time::{HOUR, Period, Second};
use ebb_model::traffic::{Quantity, TrafficCharge, TrafficExact};
use ebb_model::voucher::{Fine, Item, Scope, SoldAs, Voucher, VoucherKind};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeMap;

pub fn account() -> AccountId {
    AccountId::new(Default::default())
}

pub fn at(second: i64) -> Second {
    Second::from_unix(second)
}

const FLAVORS: [&str; 2] = ["c6.large.2", "t6.small.1"];
const REGIONS: [&str; 2] = ["cn-beijing", "cn-hongkong"];

fn named(names: [&'static str; 2]) -> impl Strategy<Value = std::collections::BTreeSet<String>> {
    prop_oneof![
        3 => Just(std::collections::BTreeSet::new()),
        1 => btree_set(select(names.to_vec()).prop_map(str::to_owned), 1..=2)
    ]
}

fn scope() -> impl Strategy<Value = Scope> {
    let options = prop_oneof![3 => Just(Default::default()), 1 => btree_set(select(SoldAs::ALL), 1..=3)];
    let meters = prop_oneof![3 => Just(Default::default()), 1 => btree_set(select(Item::ALL), 1..=3)];
    let all = (options, meters, named(FLAVORS), named(REGIONS));
    all.prop_map(|(options, meters, flavors, regions)| Scope { options, meters, flavors, regions })
}

prop_compose! {
    fn voucher()(
        kind in select(VoucherKind::ALL), face in 1..60_000_000_i64, pays in scope(), valid_from in 0..20_i64,
        expires in prop::option::of(1..40_i64),
    ) -> Voucher {
        Voucher {
            id: VoucherId::new(Default::default()), account: account(), kind, face: Amount::from_units(face), pays,
            issued_at: at(0).start(), valid_from: at(valid_from), expires_at: expires.map(|more| at(valid_from + more)),
            used: Fine::ZERO, expired: Fine::ZERO, revoked: Fine::ZERO, warned: false,
        }
    }
}

/// With ids that tell their age.
pub fn vouchers(most: usize) -> impl Strategy<Value = Vec<Voucher>> {
    let aged = |all: Vec<Voucher>| {
        let id = |age: usize| VoucherId::new(uuid::Uuid::from_u128(age as u128 + 1));
        all.into_iter().enumerate().map(|(age, one)| Voucher { id: id(age), ..one }).collect()
    };
    vec(voucher(), 0..most).prop_map(aged)
}

prop_compose! {
    pub fn what()(item in select(Item::ALL), option in select(&SoldAs::ALL[..3]), flavor in select(&FLAVORS[..]), region in select(&REGIONS[..])) -> Use {
        let option = if item == Item::Subscription { SoldAs::Subscription } else { option };
        match item {
            Item::Traffic => Use::of_traffic(region),
            item => Use { item, option: Some(option), flavor: Some(flavor.to_owned()), region: region.to_owned() },
        }
    }
}

fn due() -> impl Strategy<Value = Due> {
    (what(), 0..2_000_000_000_i64).prop_map(|(what, units)| {
        let amount = match what.item {
            Item::Traffic => Owed::Traffic(TrafficExact::from_units(i128::from(units) * 211)),
            _ => Owed::Time(Exact::from_units(i128::from(units))),
        };
        Due { what, amount }
    })
}

pub fn use_up(vouchers: &mut [Voucher], payments: &[Payment]) {
    for payment in payments {
        let voucher = vouchers.iter_mut().find(|one| one.id == payment.voucher).expect("a voucher that is there");
        voucher.used += payment.amount;
        assert!(voucher.left() >= Fine::ZERO, "{voucher:?} paid more than it had");
    }
}

fn paid_of(payments: &[Payment], due: usize) -> Fine {
    payments.iter().filter(|payment| payment.due == due).map(|payment| payment.amount).sum()
}

proptest! {
    #[test]
    fn they_pay_what_they_may_in_their_order(all in vouchers(7), dues in vec(due(), 0..12), now in 0..45_i64) {
        let now = at(now);
        let payments = pay(&all, now, &dues);
        let mut left = all.clone();
        for (n, due) in dues.iter().enumerate() {
            let mine: Vec<&Payment> = payments.iter().filter(|payment| payment.due == n).collect();
            prop_assert!(paid_of(&payments, n) <= due.amount.fine());
            for payment in &mine {
                let voucher = all.iter().find(|one| one.id == payment.voucher).unwrap();
                prop_assert!(voucher.valid_at(now) && may_pay(voucher.kind, &voucher.pays, &due.what));
                let whole = match due.amount {
                    Owed::Time(_) => Fine::of_time(payment.amount.whole_time()),
                    Owed::Traffic(_) => Fine::of_traffic(payment.amount.whole_traffic()),
                };
                prop_assert_eq!(whole, payment.amount, "a record's parts are whole units of its own");
            }
            // Who comes later pays only where all before him that may have given all they can; what stays to pay, nobody could.
            let rank = |one: &Voucher| (one.expires_at.map_or(i64::MAX, Second::unix), one.kind == VoucherKind::Card, one.id);
            let mut order: Vec<Voucher> = left.clone();
            order.sort_by_key(rank);
            let mut owed = due.amount.fine();
            for voucher in order.iter().filter(|one| one.valid_at(now) && may_pay(one.kind, &one.pays, &due.what)) {
                let paid: Fine = mine.iter().filter(|payment| payment.voucher == voucher.id).map(|payment| payment.amount).sum();
                let rest = voucher.left() - paid;
                owed = owed - paid;
                prop_assert!(owed == Fine::ZERO || rest < Fine::LEAST, "{:?} was to pay more", voucher);
            }
            use_up(&mut left, &mine.into_iter().copied().collect::<Vec<_>>());
        }
    }

    #[test]
    fn nothing_pays_what_it_may_not(kind in select(VoucherKind::ALL), pays in scope(), what in what()) {
        if may_pay(kind, &pays, &what) {
            let of_block = what.item == Item::Compute && what.option == Some(SoldAs::SpotBlock);
            prop_assert!(!of_block || kind != VoucherKind::DiscountCoupon);
            prop_assert!(what.item != Item::Subscription || pays.meters.contains(&Item::Subscription) || pays.options.contains(&SoldAs::Subscription));
            prop_assert!(pays.meters.is_empty() || pays.meters.contains(&what.item));
            prop_assert!(pays.regions.is_empty() || pays.regions.contains(&what.region));
            prop_assert!(pays.options.is_empty() || pays.options.contains(&what.option.expect("traffic has none")));
            prop_assert!(pays.flavors.is_empty() || pays.flavors.contains(&what.flavor.expect("traffic has none")));
        }
    }

    #[test]
    fn cut_in_two_a_record_is_paid_alike(all in vouchers(5), before in vec(due(), 0..4), what in what(), units in 2..3_000_000_000_i128, cut in 0..1_000_i128) {
        let of = |units: i128| Due {
            what: what.clone(),
            amount: match what.item {
                Item::Traffic => Owed::Traffic(TrafficExact::from_units(units)),
                _ => Owed::Time(Exact::from_units(units)),
            },
        };
        let first = units * cut / 1_000;
        let whole: Vec<Due> = before.iter().cloned().chain([of(units)]).collect();
        let parts: Vec<Due> = before.iter().cloned().chain([of(first), of(units - first)]).collect();
        let by_voucher = |dues: &[Due]| {
            let mut sums = BTreeMap::<VoucherId, Fine>::new();
            pay(&all, at(10), dues).iter().for_each(|payment| *sums.entry(payment.voucher).or_default() += payment.amount);
            sums
        };
        prop_assert_eq!(by_voucher(&whole), by_voucher(&parts));
    }

    #[test]
    fn no_hold_counts_a_voucher_twice(all in vouchers(6), holds in vec((any::<bool>(), select(&FLAVORS[..]), 1..900_000_i64), 1..8), now in 0..45_i64) {
        let now = at(now);
        let disk = Price::from_micros(20_000);
        let need = |(block, flavor, price): &(bool, &str, i64)| {
            let price = Price::from_micros(*price);
            let purchase = match block {
                true => Purchase::SpotBlock { price, hours: 3, periods: 1 },
                false => Purchase::OnDemand { price },
            };
            let hours = if *block { 3 } else { 1 };
            let amount = (price + disk).charge(hours * HOUR).posted();
            Need::of(purchase, flavor, REGIONS[0], disk, amount, now)
        };
        let needs: Vec<Need> = holds.iter().map(need).collect();
        let (held, wanted) = (&needs[..needs.len() - 1], needs.last().unwrap());
        let cash = needed_in_cash(&all, &needs, now);
        prop_assert!(cash >= Amount::ZERO && cash <= needs.iter().map(|need| need.amount).sum());
        // With just that all of it can be settled: vouchers pay the rest, each what it may.
        let dues: Vec<Due> = needs.iter().flat_map(|need| need.dues.clone()).collect();
        let lasting: Vec<Voucher> = all.iter().filter(|one| one.expires_at.is_none_or(|e| e > now.plus(3 * HOUR))).cloned().collect();
        let paid: Fine = pay(&lasting, now, &dues).iter().map(|payment| payment.amount).sum();
        let owed: Fine = dues.iter().map(|due| due.amount.fine()).sum();
        prop_assert!(Fine::of_amount(cash) + paid >= owed);
        prop_assert_eq!(available(cash, &all, held, wanted, now), wanted.amount);
        prop_assert_eq!(available(cash, &[], held, wanted, now), cash - held.iter().map(|need| need.amount).sum::<Amount>());
        let (block, _, price) = holds.last().unwrap();
        if *block && all.iter().all(|one| one.kind == VoucherKind::DiscountCoupon) {
            let compute = Price::from_micros(*price).charge(3 * HOUR).whole();
            prop_assert!(cash >= compute, "a discount coupon counted for the compute of a block");
        }
    }
}

pub fn charge(what: &Use, units: i64) -> Charge {
    let meter = match what.item {
        Item::Compute => Meter::Compute,
        Item::SystemDisk => Meter::SystemDisk,
        _ => Meter::Subscription,
    };
    let period = Period { since: at(0), until: at(1) };
    let months = (meter == Meter::Subscription).then_some(1);
    let (instance, span) = (InstanceId::new(Default::default()), SpanId::new(Default::default()));
    let price = Price::from_micros(units);
    Charge {
        account: account(),
        resource: instance.into(),
        span,
        meter,
        price,
        period,
        months,
        waiver: None,
        covered: false,
    }
}

pub fn sent(units: i64) -> TrafficCharge {
    let address = AddressId::new(Default::default());
    let (quantity, none) = (Quantity::from_millionths(units), Quantity::ZERO);
    let period = Period { since: at(0), until: at(1) };
    let price = Price::from_micros(793);
    TrafficCharge { address, price, period, quantity, anywhere: none, overseas: none, vouchers: TrafficExact::ZERO }
}

proptest! {
    #[test]
    fn every_kind_of_money_is_conserved(
        mut all in vouchers(5), hours in vec((vec((what(), 0..3_000_000_i64), 0..6), 0..900_000_i64), 1..25),
        ends in vec((any::<bool>(), 0..30_i64), 5),
    ) {
        let (mut totals, mut purse, mut paid_in) = (Totals::default(), Purse::default(), Amount::ZERO);
        let mut books = BTreeMap::<Place, Amount>::new();
        let mut write = |entry: &Entry| {
            for posting in entry.postings() {
                let stands = books.entry(posting.place).or_default();
                *stands = *stands + posting.amount;
            }
        };
        all.iter().for_each(|voucher| write(&issue(voucher)));
        for (hour, (used, money)) in hours.iter().enumerate() {
            let now = at(hour as i64);
            for (voucher, (revoked, when)) in all.iter_mut().zip(&ends) {
                let over = voucher.expires_at == Some(now) || *revoked && *when == now.unix();
                if over && voucher.left() > Fine::ZERO {
                    let (entry, amount) = end_voucher(voucher);
                    prop_assert!(amount >= Amount::ZERO);
                    write(&entry);
                    let left = voucher.left();
                    if voucher.expires_at == Some(now) { voucher.expired = left } else { voucher.revoked = left }
                }
            }
            if *money > 0 {
                let (entry, after) = top_up(account(), purse, Amount::from_units(*money));
                write(&entry);
                (purse, paid_in) = (after, paid_in + Amount::from_units(*money));
            }
            let (by_time, by_traffic): (Vec<_>, Vec<_>) = used.iter().partition(|(what, _)| what.item != Item::Traffic);
            let charges: Vec<Charge> = by_time.iter().map(|(what, units)| charge(what, *units)).collect();
            let mut traffic: Vec<TrafficCharge> = by_traffic.iter().map(|(_, units)| sent(*units)).collect();
            let mut splits = deduct(&charges, None);
            let timed = by_time.iter().zip(&splits).map(|((what, _), split)| Due { what: what.clone(), amount: Owed::Time(split.payable) });
            let flowed = by_traffic.iter().zip(&traffic).map(|((what, _), sent)| Due { what: what.clone(), amount: Owed::Traffic(sent.paid().payable) });
            let dues: Vec<Due> = timed.chain(flowed).collect();
            let payments = pay(&all, now, &dues);
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
            write(&settled.entry);
            (totals, purse) = (settled.totals, settled.purse);
            prop_assert!(purse.cash >= Amount::ZERO && purse.debt >= Amount::ZERO);
            prop_assert!(purse.cash == Amount::ZERO || purse.debt == Amount::ZERO);
        }
        let stands = |place| books.get(&place).copied().unwrap_or_default();
        prop_assert_eq!(books.values().copied().sum::<Amount>(), Amount::ZERO);
        prop_assert_eq!((stands(Place::Cash(account())), stands(Place::Receivable(account()))), (-purse.cash, purse.debt));
        // What vouchers did not pay, money did.
        let (time, traffic) = (totals.paid.payable - totals.paid.vouchers, totals.traffic.payable - totals.traffic.vouchers);
        prop_assert_eq!(paid_in + purse.debt, purse.cash + time.posted() + traffic.posted());
        let used: Fine = all.iter().map(|one| one.used).sum();
        prop_assert_eq!(used, Fine::of_time(totals.paid.vouchers) + Fine::of_traffic(totals.traffic.vouchers));
        for voucher in &all {
            // Issued is left, used, expired and revoked together; and the books say the same to half a unit.
            prop_assert_eq!(Fine::of_amount(voucher.face), voucher.left() + voucher.used + voucher.expired + voucher.revoked);
            let over = voucher.expired + voucher.revoked > Fine::ZERO;
            let left = if over { Amount::ZERO } else { voucher.face - voucher.used.posted() };
            prop_assert_eq!(stands(Place::Voucher(voucher.id)), -left);
            let off = Fine::of_amount(voucher.used.posted()) - voucher.used;
            prop_assert!(2 * off.units().abs() <= Fine::of_amount(Amount::from_units(1)).units());
        }
        // What coupons and cards cost is what was used of them, and what is left.
        let cost = |card: bool| -> Amount {
            let mine = all.iter().filter(|one| (one.kind == VoucherKind::Card) == card);
            mine.map(|one| one.used.posted() + -stands(Place::Voucher(one.id))).sum()
        };
        prop_assert_eq!((stands(Place::Promotion), stands(Place::Cards)), (cost(false), cost(true)));
        prop_assert!(stands(Place::Rounding).units().unsigned_abs() <= 4 + all.len() as u64);
    }
}
