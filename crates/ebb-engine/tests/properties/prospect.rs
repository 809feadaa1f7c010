//! Coupons and cards pay what was foretold, and an account is frozen when it was: lived through second by second.

use crate::spending::spending;
use ebb_engine::arrears::owed;
use ebb_engine::expected::{Course, Funds, Held, Renewal, Sold, expected};
use ebb_engine::funds::{Need, available};
use ebb_engine::spending::{Allowance, Spending, Whose};
use ebb_engine::voucher::{Use, may_pay};
use ebb_model::billing::Meter;
use ebb_model::calendar::Calendar;
use ebb_model::catalog::ArrearsLimits;
use ebb_model::id::{AccountId, InstanceId, VoucherId};
use ebb_model::instance::Purchase;
use ebb_model::money::{Amount, Exact, Price};
use ebb_model::time::{DAY, HOUR, Period, Second};
use ebb_model::trial::AtEnd;
use ebb_model::voucher::{Fine, Item, Scope, SoldAs, Voucher, VoucherKind};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

const MONTH: i64 = 5 * HOUR;
const NEXT: i64 = 8 * HOUR;

fn second(unix: i64) -> Second {
    Second::from_unix(unix)
}

fn id(of: usize) -> InstanceId {
    InstanceId::new(Uuid::from_u128(of as u128 + 1))
}

/// Of a use within the open hour: under the trial, before its end, and what it costs.
type Run = (bool, bool, i128);

#[derive(Clone)]
struct Life<'a> {
    course: &'a Course<'a>,
    vouchers: Vec<Voucher>,
    spent: i128,
    hour: Vec<Vec<Run>>,
    granted: i128,
    left: i128,
    trial_end: Option<Second>,
    month: i128,
    owing: Option<Second>,
    frozen: Option<Second>,
    lasts: Option<Second>,
    renewed: Vec<(Second, bool, Amount)>,
}

impl Life<'_> {
    fn spending(&self) -> &Spending {
        &self.course.spending
    }

    /// What the second `at` costs, use by use; and what the grant pays of it.
    fn live(&mut self, at: Second) -> i128 {
        if self.frozen.is_some_and(|frozen| at >= frozen) {
            return 0;
        }
        let (spending, before) = (self.course.spending.clone(), self.trial_end);
        let allowance = spending.allowance.as_ref();
        let at_end = allowance.map(|known| known.at_end);
        let (mut gross, mut covered, mut runs) = (0, 0, vec![]);
        for (n, draw) in spending.draws.iter().enumerate() {
            let after = before.is_some_and(|over| draw.trial && at >= over);
            let goes = at_end == Some(AtEnd::Release) || at_end == Some(AtEnd::Stop) && draw.stops;
            if draw.since > at || draw.until.is_some_and(|until| until <= at) || after && goes {
                continue;
            }
            let valid = allowance.is_some_and(|known| known.grant.valid_at(at));
            let under = draw.covered && valid && !(after && at_end == Some(AtEnd::Stop));
            let cost = i128::from(draw.price.at(at).micros());
            gross += cost;
            covered += if under { cost } else { 0 };
            runs.push((n, under, cost));
        }
        let mut paid = 0;
        if let Some(Allowance { grant, at_end, .. }) = allowance {
            paid = covered.min(grant.cap().units() - self.granted);
            if before.is_none() && (paid > self.left || at >= grant.valid_until) {
                self.trial_end = Some(at);
                if *at_end != AtEnd::Continue {
                    return self.live(at);
                }
            }
            paid = paid.min(self.left);
        }
        for (n, under, cost) in runs {
            let early = self.trial_end.is_none();
            match self.hour[n].last_mut() {
                Some(run) if (run.0, run.1) == (under, early) => run.2 += cost,
                _ => self.hour[n].push((under, early, cost)),
            }
        }
        (self.left, self.granted) = (self.left - paid, self.granted + paid);
        gross - paid
    }

    fn what(&self, of: Option<InstanceId>, item: Item, option: SoldAs) -> Use {
        let sold = of.map(|id| &self.course.funds.sold[&id]);
        let (flavor, region) = (sold.map(|sold| sold.flavor.clone()), sold.map(|sold| sold.region.clone()));
        Use { item, option: Some(option), flavor, region: region.unwrap_or_default() }
    }

    /// The open hour as it would be settled at `at`, in order.
    fn dues(&self, at: Second) -> Vec<(Use, i128)> {
        let mut order: Vec<usize> = (0..self.hour.len()).collect();
        let draws = &self.spending().draws;
        order.sort_by_key(|n| (draws[*n].of, draws[*n].meter, draws[*n].since));
        let over = self.spending().allowance.is_some() && self.is_over(at);
        let (mut granted, mut dues) = (self.granted, vec![]);
        for n in order {
            let (draw, item) =
                (&draws[n], if draws[n].meter == Meter::Compute { Item::Compute } else { Item::SystemDisk });
            for (under, early, cost) in &self.hour[n] {
                let paid = if *under { granted.min(*cost) } else { 0 };
                granted -= paid;
                let trial = draw.trial && !over || *under && *early;
                let option = if trial { SoldAs::Trial } else { SoldAs::OnDemand };
                dues.push((self.what(draw.of.and_then(|of| of.instance()), item, option), cost - paid));
            }
        }
        dues
    }

    /// Whether the trial is over when something is settled at `at`: with the first second that its grant would not pay whole.
    fn is_over(&self, at: Second) -> bool {
        let mut next = self.clone();
        next.live(at);
        self.trial_end.is_some() || next.trial_end.is_some()
    }

    fn blocks(&self, at: Second) -> impl Iterator<Item = (Use, i128, Second)> + '_ {
        let frozen = self.frozen.unwrap_or(second(NEXT * 2));
        let of = |of| self.what(of, Item::Compute, SoldAs::SpotBlock);
        let blocks = self.spending().blocks.iter().map(move |one| {
            let end = one.lease_end.min(frozen).max(one.start);
            (of(one.of), one.price.charge((at.min(end).unix() - one.start.unix()).max(0)).units(), end)
        });
        let ended = self.spending().ended.iter().map(move |one| (of(None), one.payable.units(), one.at));
        blocks.chain(ended)
    }

    /// What vouchers would leave of these at a second.
    fn unpaid(vouchers: &mut [Voucher], dues: Vec<(Use, i128)>, at: Second) -> i128 {
        vouchers.sort_by_key(|one| (one.expires_at.is_none(), one.expires_at, one.kind == VoucherKind::Card, one.id));
        let mut unpaid = 0;
        for (what, mut owes) in dues {
            for voucher in vouchers.iter_mut().filter(|one| one.valid_at(at) && may_pay(one.kind, &one.pays, &what)) {
                let paid = owes.min(voucher.left().whole_time().units());
                voucher.used += Fine::of_time(Exact::from_units(paid));
                owes -= paid;
            }
            unpaid += owes;
        }
        unpaid
    }

    fn settle(&mut self, at: Second) {
        if at == at.hour() && at.unix() > 0 {
            let dues = self.dues(at);
            self.spent += Self::unpaid(&mut self.vouchers, dues, at);
            self.hour.iter_mut().for_each(Vec::clear);
            self.granted = 0;
        }
        self.release(at, at);
    }

    fn release(&mut self, by: Second, at: Second) {
        let dues: Vec<_> = self.blocks(by).filter(|one| one.2 == at).collect();
        for (_, cost, end) in &dues {
            self.month += if end.unix() < MONTH { *cost } else { 0 };
        }
        let dues = dues.into_iter().map(|(what, cost, _)| (what, cost)).collect();
        self.spent += Self::unpaid(&mut self.vouchers, dues, by);
    }

    /// Blocks that would have gone on are released.
    fn freeze(&mut self, at: Second) {
        let going: Vec<InstanceId> =
            self.spending().blocks.iter().filter(|one| one.lease_end > at).filter_map(|one| one.of).collect();
        self.frozen = Some(at);
        let count = self.spending().blocks.len();
        let all: Vec<_> = self.blocks(at).take(count).zip(&self.spending().blocks).collect();
        let all = all.into_iter().filter(|(_, of)| going.contains(&of.of.expect("each block is somebody's")));
        let dues: Vec<(Use, i128)> = all.map(|((what, cost, _), _)| (what, cost)).collect();
        self.month += if at.unix() < MONTH { dues.iter().map(|(_, cost)| cost).sum() } else { 0 };
        self.spent += Self::unpaid(&mut self.vouchers, dues, at);
    }

    fn purse(&self) -> Amount {
        let Funds { cash, debt, settled, .. } = &self.course.funds;
        *cash - *debt - ((*settled + Exact::from_units(self.spent)).posted() - settled.posted())
    }

    /// What is used and not settled by `at`, of blocks that end then or later.
    fn open(&self, at: Second, settled: Second) -> Vec<(Use, i128)> {
        let mut dues = self.dues(at);
        let blocks: Vec<_> = self.blocks(at).filter(|one| one.2 > settled).collect();
        dues.extend(blocks.into_iter().map(|(what, cost, _)| (what, cost)));
        dues
    }

    fn is_short(&self, at: Second, settled: Second) -> bool {
        let Funds { cash, debt, .. } = &self.course.funds;
        let left = (*cash - *debt).exact().units() - self.spent;
        let open = self.open(at, settled);
        let most: i128 = open.iter().map(|(_, cost)| cost).sum();
        most > left && Self::unpaid(&mut self.vouchers.clone(), open, at) > left
    }

    /// Whether another second would be beyond the limit, or the grace is over.
    fn freezes(&self, at: Second) -> bool {
        let Some(since) = self.owing else { return false };
        let limits = self.course.arrears;
        let mut next = self.clone();
        next.live(at);
        let open: i128 = next.open(at.plus(1), at).iter().map(|(_, cost)| cost).sum();
        let owes = owed((-self.purse()).max(Amount::ZERO), self.course.funds.settled + Exact::from_units(self.spent));
        at >= since.plus(limits.grace_days * DAY) || owes + Exact::from_units(open) > limits.debt_limit.exact()
    }

    fn renew(&mut self, at: Second) {
        for one in self.course.renewals.iter().filter(|one| one.until == at) {
            let held = self.course.funds.held.iter().filter(|one| one.until.is_none_or(|until| at < until));
            let held: Vec<Need> = held.map(|one| one.need.clone()).collect();
            let sold = &self.course.funds.sold[&one.instance];
            let wanted = Need::months(&sold.flavor, &sold.region, one.total(), at);
            let there = available(self.purse().max(Amount::ZERO), &self.vouchers, &held, &wanted, at);
            let paid = self.purse() >= Amount::ZERO && one.total().posted() <= there;
            if paid {
                let what = self.what(Some(one.instance), Item::Subscription, SoldAs::Subscription);
                let cost = one.total().units();
                self.spent += Self::unpaid(&mut self.vouchers, vec![(what, cost)], at);
                self.month += if at.unix() < MONTH { cost } else { 0 };
            }
            if at.unix() < MONTH {
                self.renewed.push((at, paid, there));
            }
        }
    }
}

fn lived<'a>(course: &'a Course<'a>) -> Life<'a> {
    let spending = &course.spending;
    let left = spending.allowance.as_ref().map_or(0, |known| known.grant.left().units());
    let month = spending.billed.get(&second(0)).map_or(0, |billed| billed.units());
    let (vouchers, hour) = (course.funds.vouchers.clone(), vec![vec![]; spending.draws.len()]);
    let (spent, granted, renewed) = (0, 0, vec![]);
    let (trial_end, owing, frozen, lasts) = (None, None, None, None);
    let mut life =
        Life { course, vouchers, spent, hour, granted, left, trial_end, month, owing, frozen, lasts, renewed };
    for at in (0..=NEXT).map(second) {
        let seen = at > course.now && life.lasts.is_none();
        if seen && life.is_short(at, at.plus(-1)) {
            life.lasts = Some(at.plus(-1).max(course.now));
        }
        life.settle(at);
        if life.owing.is_none() && life.purse() < Amount::ZERO {
            life.owing = Some(at);
        }
        if at.unix() == NEXT {
            break;
        }
        life.renew(at);
        if life.lasts.is_none() && at >= course.now && life.is_short(at, at) {
            life.lasts = Some(at);
        }
        if life.frozen.is_none() && life.freezes(at) {
            life.freeze(at);
        }
        let cost = life.live(at);
        life.month += if at.unix() < MONTH { cost } else { 0 };
    }
    life
}

fn scope() -> impl Strategy<Value = Scope> {
    let options = prop_oneof![3 => Just(Default::default()), 1 => select(SoldAs::ALL).prop_map(|one| [one].into())];
    let meters = prop_oneof![2 => Just(Default::default()), 1 => select(Item::ALL).prop_map(|one| [one].into())];
    let flavors = prop_oneof![3 => Just(Default::default()), 1 => Just(["a".to_owned()].into())];
    (options, meters, flavors).prop_map(|(options, meters, flavors)| Scope {
        options,
        meters,
        flavors,
        ..Scope::default()
    })
}

prop_compose! {
    fn voucher()(
        kind in select(VoucherKind::ALL), face in 1..2_000_i64, pays in scope(), expires_at in proptest::option::of(1..NEXT),
    ) -> Voucher {
        let (valid_from, issued_at) = (second(0), second(0).start());
        let (account, id) = (AccountId::new(Default::default()), VoucherId::new(Default::default()));
        let (used, expired, revoked, warned) = (Fine::ZERO, Fine::ZERO, Fine::ZERO, false);
        let expires_at = expires_at.map(second);
        Voucher { id, account, kind, face: Amount::from_units(face), pays, issued_at, valid_from, expires_at, used, expired, revoked, warned }
    }
}

prop_compose! {
    fn course()(
        mut spending in spending(), mut vouchers in vec(voucher(), 0..4), cash in prop_oneof![0..300_i64, 0..4_000_i64],
        renewals in vec((0..NEXT - 1, 1..400_i64), 0..3), held in proptest::option::of((0..300_i64, proptest::option::of(0..9_000_i64))),
        now in 0..HOUR, limit in prop_oneof![Just(1 << 50), 0..900_i64], grace_days in select(&[0, 15, 15, 15][..]),
    ) -> (Spending, Vec<Renewal>, Funds, Second, ArrearsLimits) {
        let (mut funds, now) = (no_funds(cash), second(now));
        vouchers.iter_mut().enumerate().for_each(|(n, one)| one.id = VoucherId::new(Uuid::from_u128(n as u128 + 1)));
        spending.allowance.iter_mut().for_each(|known| known.over = false);
        spending.owed = Exact::ZERO;
        let price = Price::from_micros(1);
        for (n, draw) in spending.draws.iter_mut().enumerate() {
            let purchase = if draw.trial { Purchase::Trial { price } } else { Purchase::OnDemand { price } };
            (draw.of, draw.least) = (Some(id(n).into()), draw.since);
            funds.sold.insert(id(n), sold(n, purchase));
        }
        spending.blocks.retain(|one| one.lease_end > second(0));
        for (n, block) in spending.blocks.iter_mut().enumerate() {
            block.of = Some(id(n + 10));
            funds.sold.insert(id(n + 10), sold(n, Purchase::SpotBlock { price, hours: 1, periods: 1 }));
        }
        spending.ended.retain(|one| one.at > second(0));
        spending.ended.iter_mut().for_each(|one| one.of = None::<Whose>);
        let mut coming: Vec<Renewal> = vec![];
        for (n, (at, micros)) in renewals.into_iter().enumerate() {
            let (until, prices) = (second(at).max(now), Price::from_micros(micros).into());
            funds.sold.insert(id(n + 20), sold(n, Purchase::OnDemand { price }));
            coming.push(Renewal { instance: id(n + 20), since: until, paid: 1, until, months: 1, prices });
        }
        coming.sort_by_key(|one| one.until);
        coming.dedup_by_key(|one| one.until);
        let need = |amount| Need { amount: Amount::from_units(amount), dues: vec![], until: second(0) };
        funds.held = held.into_iter().map(|(amount, until)| Held { need: need(amount), until: until.map(second) }).collect();
        funds.vouchers = vouchers;
        let limits = ArrearsLimits { debt_limit: Amount::from_units(limit), grace_days, ..ArrearsLimits::default() };
        (spending, coming, funds, now, limits)
    }
}

fn sold(n: usize, purchase: Purchase) -> Sold {
    Sold { purchase, flavor: ["a", "b"][n % 2].to_owned(), region: "r".to_owned() }
}

fn no_funds(cash: i64) -> Funds {
    let (cash, debt, settled) = (Amount::from_units(cash), Amount::ZERO, Exact::from_units(7));
    let (vouchers, held, graces) = (vec![], vec![], vec![]);
    let (sold, regions, arrears) = (Default::default(), Default::default(), None);
    Funds { cash, debt, settled, vouchers, held, sold, regions, arrears, graces }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn vouchers_pay_and_freezes_come_as_foretold((spending, renewals, funds, now, limits) in course()) {
        let calendar = Calendar::new("Asia/Shanghai").unwrap();
        let course = Course { spending, funds, renewals, cap: None, arrears: &limits, calendar: &calendar, now };
        let life = lived(&course);
        let months = [Period { since: second(0), until: second(MONTH) }, Period { since: second(MONTH), until: second(NEXT) }];
        let expected = expected(&course, &months);
        prop_assert_eq!(expected.total.units(), life.month);
        let coming: Vec<_> = expected.renewals.iter().map(|one| (one.renewal.until, one.paid, one.available)).collect();
        prop_assert_eq!(coming, life.renewed);
        // Frozen in the month is foretold.
        let frozen = life.frozen.filter(|at| at.unix() < MONTH);
        prop_assert_eq!(expected.frozen.map(|(at, _)| at), frozen);
        prop_assert_eq!(expected.owes_since, life.owing.filter(|at| at.unix() <= MONTH));
        prop_assert_eq!(expected.lasts_until, life.lasts);
        let parts = expected.to_come.payable() + expected.blocks + expected.months;
        prop_assert_eq!(expected.total, expected.billed + expected.accruing + parts);
    }
}
