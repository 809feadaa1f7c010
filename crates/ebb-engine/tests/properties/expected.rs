//! What a month was expected to come to is what it comes to, second by second, when nobody does anything; and cash lasts as long.

use crate::spending::spending;
use ebb_engine::expected::{Course, Expected, Funds, Held, Renewal, expected};
use ebb_engine::funds::Need;
use ebb_engine::spending::{Allowance, Draw, Spending};
use ebb_model::calendar::Calendar;
use ebb_model::catalog::ArrearsLimits;
use ebb_model::id::InstanceId;
use ebb_model::money::{Amount, Exact, Price};
use ebb_model::price::Prices;
use ebb_model::time::{HOUR, Period, Second};
use ebb_model::trial::AtEnd;
use proptest::prelude::*;

fn second(unix: i64) -> Second {
    Second::from_unix(unix)
}

/// Two months of five and a half, and three hours.
const MONTH: i64 = 5 * HOUR;
const NEXT: i64 = 8 * HOUR;

/// An account that lives through its seconds, closing hours and paying for months as it goes.
struct Life<'a> {
    spending: &'a Spending,
    left: i128,
    hour_paid: i128,
    over: Option<Second>,
    settled: i128,
    /// Payable of the hour that is open, of the month and ever since.
    hour: i128,
    month: i128,
    ever: i128,
}

impl Life<'_> {
    /// What the second `at` costs, after what the grant pays of it.
    fn payable(&mut self, at: Second) -> i128 {
        if at == at.hour() {
            self.hour_paid = 0;
        }
        let allowance = self.spending.allowance.as_ref();
        let (mut gross, mut covered) = (0_i128, 0_i128);
        let runs = |draw: &&Draw| draw.since <= at && draw.until.is_none_or(|end| at < end);
        for draw in self.spending.draws.iter().filter(runs) {
            let at_end = allowance.map(|known| known.at_end);
            let after = self.over.is_some_and(|over| draw.trial && at >= over);
            let goes = at_end == Some(AtEnd::Release) || at_end == Some(AtEnd::Stop) && draw.stops;
            if after && goes && at >= draw.least {
                continue;
            }
            gross += i128::from(draw.price.at(at).micros());
            let valid = allowance.is_some_and(|known| known.grant.valid_at(at));
            let valid = valid && !(after && at_end == Some(AtEnd::Stop));
            covered += if draw.covered && valid { i128::from(draw.price.at(at).micros()) } else { 0 };
        }
        let Some(Allowance { grant, at_end, over: ended }) = allowance else { return gross };
        let mut paid = covered.min(grant.cap().units() - self.hour_paid);
        if *at_end != AtEnd::Continue
            && !ended
            && self.over.is_none()
            && (paid > self.left || at.plus(1) == grant.valid_until)
        {
            self.over = Some(if paid > self.left { at } else { at.plus(1) });
            if paid > self.left {
                // This second is not used any more, or not by a trial.
                return self.payable(at);
            }
        }
        paid = paid.min(self.left);
        self.left -= paid;
        self.hour_paid += paid;
        gross - paid
    }
}

/// Total of the month, renewals that were paid, and the last second for which the cash did.
fn lived(course: &Course<'_>) -> (i128, Vec<(Second, bool, Amount)>, Option<Second>) {
    let spending = &course.spending;
    let left = spending.allowance.as_ref().map_or(0, |known| known.grant.left().units());
    let ordered = spending.owed.units();
    let billed = spending.billed.get(&second(0)).map_or(0, |billed| billed.units());
    let ended: i128 = spending.ended.iter().map(|one| one.payable.units()).sum();
    let here: i128 = spending.ended.iter().filter(|one| one.at.unix() < MONTH).map(|one| one.payable.units()).sum();
    let begun: i128 = spending.blocks.iter().map(|one| one.charge(second(0)).units()).sum();
    let mut life = Life {
        spending,
        left,
        hour_paid: 0,
        over: None,
        settled: 0,
        hour: 0,
        month: billed + here,
        ever: ended + begun,
    };
    let (mut paid, mut lasts) = (vec![], None);
    let cash = course.funds.cash - course.funds.debt;
    let cost = |units: i128| {
        (Exact::from_units(units + course.funds.settled.units())).posted() - course.funds.settled.posted()
    };
    for unix in 0..NEXT {
        let at = second(unix);
        if at == at.hour() {
            life.settled += std::mem::take(&mut life.hour);
        }
        let mut advance = 0;
        if at == course.now {
            (life.settled, life.month, advance) = (life.settled + ordered, life.month + ordered, ordered);
        }
        for one in spending.ended.iter().filter(|one| one.at == at) {
            life.settled += one.payable.units();
        }
        for block in spending.blocks.iter().filter(|block| block.lease_end == at) {
            life.settled += block.charge(at).units();
            life.month += if unix < MONTH { block.charge(at).units() } else { 0 };
        }
        for one in course.renewals.iter().filter(|one| one.until == at) {
            let purse = cash - cost(life.settled);
            let held: Amount = course
                .funds
                .held
                .iter()
                .filter(|held| held.until.is_none_or(|until| at < until))
                .map(|held| held.need.amount)
                .sum();
            let available = purse.max(Amount::ZERO) - held;
            let enough = purse >= Amount::ZERO && one.total().posted() <= available;
            if enough {
                life.settled += one.total().units();
                life.month += if unix < MONTH { one.total().units() } else { 0 };
                advance += one.total().units();
            }
            if unix < MONTH {
                paid.push((at, enough, available));
            }
        }
        let of_second = life.payable(at);
        life.hour += of_second;
        life.month += if unix < MONTH { of_second } else { 0 };
        let blocks = spending.blocks.iter().map(|one| one.charge(at.plus(1)).units() - one.charge(at).units());
        // What was used before this second, and all that was paid before it.
        if lasts.is_none() && unix >= course.now.unix() && life.ever > cash.exact().units() {
            lasts = Some(at.plus(-1).max(course.now));
        }
        life.ever += of_second + blocks.sum::<i128>() + advance;
    }
    if lasts.is_none() && life.ever > cash.exact().units() {
        lasts = Some(second(NEXT - 1));
    }
    (life.month, paid, lasts)
}

fn ahead(course: &Course<'_>) -> Expected {
    let months =
        [Period { since: second(0), until: second(MONTH) }, Period { since: second(MONTH), until: second(NEXT) }];
    expected(course, &months)
}

/// Nobody is frozen in a few hours.
fn patient() -> ArrearsLimits {
    ArrearsLimits { debt_limit: Amount::from_units(1 << 50), ..ArrearsLimits::default() }
}

fn no_funds() -> Funds {
    Funds {
        cash: Amount::ZERO,
        debt: Amount::ZERO,
        settled: Exact::ZERO,
        vouchers: vec![],
        held: vec![],
        sold: Default::default(),
        regions: Default::default(),
        arrears: None,
        graces: vec![],
    }
}

fn need(amount: i64) -> Need {
    Need { amount: Amount::from_units(amount), dues: vec![], until: second(0) }
}

prop_compose! {
    fn renewal()(at in 0..NEXT - 1, months in 1..3_i64, micros in 1..400_i64, dearer in (0..NEXT, 1..400_i64)) -> Renewal {
        let (until, price) = (second(at), Price::from_micros(micros));
        let prices = Prices::new(price, [(second(dearer.0), Price::from_micros(dearer.1))]);
        Renewal { instance: InstanceId::new(Default::default()), since: until, paid: 1, until, months, prices }
    }
}

prop_compose! {
    fn course()(
        spending in spending(), mut renewals in proptest::collection::vec(renewal(), 0..4),
        cash in prop_oneof![0..4_000_i64, 0..400_000_i64], debt in prop_oneof![3 => Just(0), 1 => 1..500_i64], settled in 0..100_i128,
        held in proptest::collection::vec((0..300_i64, proptest::option::of(0..9_000_i64)), 0..3),
        now in 0..HOUR,
    ) -> (Spending, Vec<Renewal>, Funds, Second) {
        renewals.retain(|one| one.until.unix() >= now);
        renewals.sort_by_key(|one| one.until);
        renewals.dedup_by_key(|one| one.until);
        let held = held.into_iter().map(|(amount, until)| Held { need: need(amount), until: until.map(second) }).collect();
        let funds = Funds { cash: Amount::from_units(if debt > 0 { 0 } else { cash }), debt: Amount::from_units(debt), settled: Exact::from_units(settled), held, ..no_funds() };
        let mut spending = spending;
        // What has ended has ended by now, or is about to; and nothing that runs began after now.
        spending.allowance.iter_mut().for_each(|known| known.over = false);
        (spending, renewals, funds, second(now))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_month_comes_to_what_was_expected((spending, renewals, funds, now) in course()) {
        let calendar = Calendar::new("Asia/Shanghai").unwrap();
        let course = Course { spending, funds, renewals, cap: None, arrears: &patient(), calendar: &calendar, now };
        let (month, paid, lasts) = lived(&course);
        let expected = ahead(&course);
        prop_assert_eq!(expected.total.units(), month);
        let coming: Vec<_> = expected.renewals.iter().map(|one| (one.renewal.until, one.paid, one.available)).collect();
        prop_assert_eq!(coming, paid);
        prop_assert_eq!(expected.lasts_until, lasts);
        // It is the sum of its parts.
        let parts = expected.to_come.payable() + expected.blocks + expected.months;
        prop_assert_eq!(expected.total, expected.billed + expected.accruing + parts);
    }

    /// Expected later, when nobody did anything meanwhile, it is the same.
    #[test]
    fn it_is_the_same_at_every_second((spending, _, funds, now) in course(), later in 0..MONTH - HOUR) {
        let (calendar, limits) = (Calendar::new("Asia/Shanghai").unwrap(), patient());
        let spending = Spending { owed: Exact::ZERO, ..spending };
        let course = |now| Course { spending: spending.clone(), funds: funds.clone(), renewals: vec![], cap: None, arrears: &limits, calendar: &calendar, now };
        let (first, then) = (ahead(&course(now)), ahead(&course(now.plus(later))));
        prop_assert_eq!(first.total, then.total);
        prop_assert!(then.accruing >= first.accruing);
    }
}
