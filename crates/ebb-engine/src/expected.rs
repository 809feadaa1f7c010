//! What will be payable of a month when it ends, and how long does the money last, if all goes on as it is? (rules §1.3, §4.3)
//!
//! Nobody buys, stops or releases anything. What is known to come all the same is walked through in order: prices with their dates, months
//! that subscriptions pay by themselves as far as the money is there then, a spending cap that acts, and a freeze.

use crate::arrears::{Arrears, By};
use crate::funds::Need;
use crate::monthly::renews;
use crate::ordered;
use crate::prospect::Prospect;
use crate::spending::{Spending, Used};
use ebb_model::billing::ResourceId;
use ebb_model::calendar::Calendar;
use ebb_model::catalog::ArrearsLimits;
use ebb_model::id::InstanceId;
use ebb_model::instance::{Instance, Purchase, State};
use ebb_model::money::{Amount, Exact};
use ebb_model::price::Prices;
use ebb_model::time::{HOUR, Period, Second};
use ebb_model::voucher::{Fine, Voucher};
use std::collections::{BTreeMap, VecDeque};

/// Money that is held back, and up to when; `None`: longer than anybody can know.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub need: Need,
    pub until: Option<Second>,
}

/// What an account can pay with, and how it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Funds {
    pub cash: Amount,
    pub debt: Amount,
    /// Payable, paid by no voucher and settled ever, of time: what follows is rounded with it (rules §1.2).
    pub settled: Exact,
    /// Those that may still pay something.
    pub vouchers: Vec<Voucher>,
    pub held: Vec<Held>,
    /// What the scope of a voucher asks of instances and addresses.
    pub sold: BTreeMap<InstanceId, Sold>,
    pub regions: BTreeMap<ResourceId, String>,
    pub arrears: Option<Arrears>,
    /// The graces of earlier ones.
    pub graces: Vec<Period>,
}

/// How an instance is sold, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sold {
    pub purchase: Purchase,
    pub flavor: String,
    pub region: String,
}

/// Months that a subscription is to pay by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    pub instance: InstanceId,
    /// Its months are counted from here; so many are paid, up to `until`.
    pub since: Second,
    pub paid: i64,
    pub until: Second,
    /// So many more, at the price per month of that second.
    pub months: i64,
    pub prices: Prices,
}

impl Renewal {
    /// That of an instance, if it renews itself.
    pub fn of(instance: &Instance, prices: Option<Prices>) -> Option<Renewal> {
        let Purchase::Subscription { since, months: paid, until, .. } = instance.purchase else { return None };
        let ended = instance.state.end().is_some() || instance.end_announced || instance.first_running.is_none();
        let (months, prices) = (renews(instance).filter(|_| !ended)?, prices?);
        Some(Renewal { instance: instance.id, since, paid, until, months, prices })
    }

    pub fn total(&self) -> Exact {
        self.prices.at(self.until).charge(self.months * HOUR)
    }

    fn after(&self, calendar: &Calendar) -> Renewal {
        let paid = self.paid + self.months;
        Renewal { paid, until: calendar.plus_months(self.since, paid), ..self.clone() }
    }
}

/// A spending cap as it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    pub amount: Amount,
    pub since: Second,
    /// Nothing begins that it would not allow for so long.
    pub least_seconds: i64,
}

/// An account as it goes on.
pub struct Course<'a> {
    pub spending: Spending,
    pub funds: Funds,
    pub renewals: Vec<Renewal>,
    pub cap: Option<Cap>,
    pub arrears: &'a ArrearsLimits,
    pub calendar: &'a Calendar,
    pub now: Second,
}

impl Course<'_> {
    /// The months of orders under way, which are paid now; whose they are matters to vouchers.
    fn orders(&self, all: Exact) -> Vec<(Option<InstanceId>, Exact)> {
        let ordered = |sold: &Sold| match sold.purchase {
            Purchase::Subscription { since, until, .. } if since == until => ordered::total(&sold.purchase),
            _ => Exact::ZERO,
        };
        let of = self.funds.sold.iter().map(|(id, sold)| (Some(*id), ordered(sold)));
        let known: Vec<_> = of.filter(|(_, amount)| *amount > Exact::ZERO).collect();
        let rest = all - known.iter().map(|(_, amount)| *amount).sum();
        known.into_iter().chain([(None, rest)]).collect()
    }
}

/// A renewal that comes in the month: whether it is paid, and what was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coming {
    pub renewal: Renewal,
    pub paid: bool,
    pub available: Amount,
}

/// What a month comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub billed: Exact,
    /// Payable by now and not billed; blocks that end in a later month are not in it.
    pub accruing: Exact,
    /// Payable when the month is over.
    pub total: Exact,
    /// From now on: hourly uses before the grant, and what it pays of them.
    pub to_come: Used,
    /// Of blocks that end in the month.
    pub blocks: Exact,
    /// Months that are paid in advance: of orders that wait, and by renewals.
    pub months: Exact,
    pub renewals: Vec<Coming>,
    pub cap_acts_at: Option<Second>,
    /// From the open hours to the end of the month; what of that coupons and cards pay.
    pub by_vouchers: Fine,
    /// The settlement that leaves a debt, if one does in the month or has; and when the account is frozen for it, and by what.
    pub owes_since: Option<Second>,
    pub frozen: Option<(Second, By)>,
    /// What blocks that end in later months will have cost by then; not in the total.
    pub later: Exact,
    /// The last second for which cash, coupons and cards pay, with all that is not billed yet; `None`: they last longer than was looked
    /// ahead.
    pub lasts_until: Option<Second>,
}

/// Looks ahead: through the first of `months`, which holds now, for what it comes to, and through all of them for how long the money
/// lasts.
pub fn expected(course: &Course<'_>, months: &[Period]) -> Expected {
    let month = months[0];
    let mut walk = Walk::new(course, month);
    walk.through(month, months.get(1).copied());
    let (now, spending) = (course.now, &course.spending);
    let (ends_here, end) = (only_of(&walk.spending, month), month.until);
    let by_now = only_of(spending, month);
    let (used, before) = (ends_here.used_by(month, end), spending.used_by(month, now));
    let to_come = Used {
        compute: used.compute - before.compute,
        disks: used.disks - before.disks,
        flat: used.flat - before.flat,
        grant: used.grant - before.grant,
    };
    let cost = |of: &Spending, at| of.blocks.iter().map(|block| block.charge(at)).sum::<Exact>();
    let later = walk.spending.blocks.iter().filter(|block| block.lease_end >= end);
    let mut expected = Expected {
        billed: spending.billed_in(month),
        accruing: by_now.payable_by(month, now) - spending.billed_in(month),
        total: ends_here.payable_by(month, end),
        to_come,
        // A cap ends some in this month that would have ended in a later one.
        blocks: cost(&ends_here, end) - cost(&by_now, now),
        months: walk.spending.billed_in(month) - spending.billed_in(month),
        later: later.map(|block| block.charge(block.lease_end)).sum(),
        renewals: walk.coming.clone(),
        cap_acts_at: walk.acted_at,
        by_vouchers: walk.prospect.by_vouchers,
        owes_since: walk.prospect.arrears.map(|known| known.since),
        frozen: walk.frozen,
        lasts_until: walk.prospect.lasts,
    };
    for (at, later) in months.iter().enumerate().skip(1) {
        if expected.lasts_until.is_some() {
            break;
        }
        walk.through(*later, months.get(at + 1).copied());
        expected.lasts_until = walk.prospect.lasts;
    }
    expected
}

/// With those blocks alone that end in the month: each is payable where it ends (rules §1.4).
fn only_of(spending: &Spending, month: Period) -> Spending {
    let mut of = spending.clone();
    of.blocks.retain(|block| block.lease_end < month.until);
    of.ended.retain(|one| one.at < month.until);
    of
}

struct Walk<'a> {
    course: &'a Course<'a>,
    /// As it is known at the place that was reached.
    spending: Spending,
    prospect: Prospect<'a>,
    renewals: VecDeque<Renewal>,
    coming: Vec<Coming>,
    acted_at: Option<Second>,
    frozen: Option<(Second, By)>,
}

impl<'a> Walk<'a> {
    fn new(course: &'a Course<'a>, month: Period) -> Walk<'a> {
        let mut renewals = course.renewals.clone();
        renewals.sort_by_key(|one| (one.until, one.instance));
        let mut spending = course.spending.clone();
        // Of orders by the month that are under way.
        let ordered = std::mem::take(&mut spending.owed);
        let prospect = Prospect::new(&course.funds, course.arrears, &spending, course.now);
        let (renewals, coming, acted_at, frozen) = (renewals.into(), vec![], None, None);
        let mut walk = Walk { course, spending, prospect, renewals, coming, acted_at, frozen };
        walk.go_to(month, None, course.now);
        for (of, amount) in course.orders(ordered) {
            walk.pay(month, of, amount);
        }
        walk
    }

    fn pay(&mut self, month: Period, of: Option<InstanceId>, amount: Exact) {
        *self.spending.billed.entry(month.since).or_default() += amount;
        self.prospect.pay_months(of, amount);
    }

    /// Everything that comes in a month, in order.
    fn through(&mut self, month: Period, next: Option<Period>) {
        (self.coming, self.acted_at) = (vec![], None);
        while let Some(renewal) = self.renewals.front().filter(|one| one.until < month.until).cloned() {
            self.renewals.pop_front();
            self.go_to(month, next, renewal.until);
            let cost = renewal.total();
            let available = self.prospect.available(renewal.instance, cost);
            let paid = !self.prospect.owes()
                && cost.posted() <= available
                && self.permits(month, next, renewal.until.plus(1), cost);
            self.coming.push(Coming { renewal: renewal.clone(), paid, available });
            if paid {
                self.pay(month, Some(renewal.instance), cost);
                let after = renewal.after(self.course.calendar);
                let place =
                    self.renewals.partition_point(|one| (one.until, one.instance) < (after.until, after.instance));
                self.renewals.insert(place, after);
            }
        }
        self.go_to(month, next, month.until);
    }

    /// Lets the cap act and the account be frozen, whichever comes before a second, and settles what is due by it.
    fn go_to(&mut self, month: Period, next: Option<Period>, before: Second) {
        loop {
            let acts = self.cap_acts_at(month, next).filter(|at| *at < before);
            if let Some((at, by)) = self.prospect.advance(acts.unwrap_or(before)) {
                self.frozen = Some((at, by));
                self.spending = self.spending.frozen_at(at);
                continue;
            }
            let Some(at) = acts else { return };
            self.act(month, at);
        }
    }

    fn cap_acts_at(&self, month: Period, next: Option<Period>) -> Option<Second> {
        let cap = self.course.cap.filter(|_| self.acted_at.is_none())?;
        let from = cap.since.max(self.course.spending.open_since);
        let next = next.unwrap_or(Period { since: month.until, until: month.until.plus(1) });
        self.spending.acts_at(cap.amount.exact(), month, next, from)
    }

    fn act(&mut self, month: Period, at: Second) {
        let cap = self.course.cap.expect("it acts").amount.exact();
        let mut without = self.spending.clone();
        without.draws.iter_mut().filter(|draw| draw.trial).for_each(|draw| draw.stops = false);
        // Trials go on if that is payable by nothing more.
        let kept = without.if_stopped_at(month, at) <= cap;
        for of in [&mut self.spending, &mut self.prospect.rest] {
            of.draws.iter_mut().filter(|draw| kept && draw.trial).for_each(|draw| draw.stops = false);
            *of = of.stopped_at(at);
        }
        self.acted_at = Some(at);
    }

    /// Whether the cap allows months to be paid at a second.
    fn permits(&self, month: Period, next: Option<Period>, at: Second, cost: Exact) -> bool {
        let Some(cap) = self.course.cap else { return true };
        let mut with = self.spending.clone();
        *with.billed.entry(month.since).or_default() += cost;
        let until = at.plus(cap.least_seconds.max(1));
        let mut needed = with.least_cap(month, until.min(month.until));
        if let Some(next) = next.filter(|_| until > month.until) {
            needed = needed.max(with.if_stopped_at(next, until));
        }
        needed <= cap.amount.exact()
    }
}

/// Up to when money is held for an instance, if all goes on as it is (rules §5.2).
pub fn held_until(instance: &Instance, since: Second, now: Second) -> Option<Second> {
    match (instance.purchase, &instance.state) {
        // It is paid, and no longer held for, when it runs.
        (Purchase::Subscription { .. }, _) => Some(now),
        (_, State::Releasing { .. } | State::Released { .. }) => Some(now),
        (Purchase::SpotBlock { hours, periods, .. }, _) => {
            Some(instance.lease_end().unwrap_or(now.plus(hours * periods * HOUR)))
        }
        (_, State::StoppedEconomically | State::Lost { .. }) => None,
        // With the first closed hour that has seconds of it.
        _ => Some(instance.in_use_since.unwrap_or(now).max(since).next_hour().max(now.hour())),
    }
}
