//! What will be payable of a month when it ends, and how long does cash last, if all goes on as it is? (rules §1.3, §4.3)
//!
//! Nobody buys, stops or releases anything, and prices stay. What is known to come all the same is walked through in order: months that
//! subscriptions pay by themselves, as far as the money is there then, and a spending cap that acts.

use crate::monthly::renews;
use crate::spending::{Spending, Used};
use ebb_model::calendar::Calendar;
use ebb_model::id::InstanceId;
use ebb_model::instance::{Instance, Purchase, State};
use ebb_model::money::{Amount, Exact, Price};
use ebb_model::time::{HOUR, Period, Second};
use std::collections::VecDeque;

/// Money that is held back, and up to when; `None`: longer than anybody can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub amount: Amount,
    pub until: Option<Second>,
}

/// What an account can pay with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Funds {
    pub cash: Amount,
    pub debt: Amount,
    /// Payable and settled ever, of time: what follows is rounded with it (rules §1.2).
    pub settled: Exact,
    pub held: Vec<Held>,
}

/// Months that a subscription is to pay by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewal {
    pub instance: InstanceId,
    /// Its months are counted from here; so many are paid, up to `until`.
    pub since: Second,
    pub paid: i64,
    pub until: Second,
    /// So many more, at the price per month of today.
    pub months: i64,
    pub price: Price,
}

impl Renewal {
    /// That of an instance, if it renews itself.
    pub fn of(instance: &Instance, price: Option<Price>) -> Option<Renewal> {
        let Purchase::Subscription { since, months: paid, until, .. } = instance.purchase else { return None };
        let ended = instance.state.end().is_some() || instance.end_announced || instance.first_running.is_none();
        let (months, price) = (renews(instance).filter(|_| !ended)?, price?);
        Some(Renewal { instance: instance.id, since, paid, until, months, price })
    }

    pub fn total(&self) -> Exact {
        self.price.charge(self.months * HOUR)
    }

    fn after(&self, calendar: &Calendar) -> Renewal {
        let paid = self.paid + self.months;
        Renewal { paid, until: calendar.plus_months(self.since, paid), ..*self }
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
    pub calendar: &'a Calendar,
    pub now: Second,
}

/// A renewal that comes in the month: whether it is paid, and what was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// What blocks that end in later months will have cost by then; not in the total.
    pub later: Exact,
    /// The last second for which cash pays, with all that is not billed yet; `None`: it lasts longer than was looked ahead.
    pub lasts_until: Option<Second>,
}

/// Looks ahead: through the first of `months`, which holds now, for what it comes to, and through all of them for how long cash lasts.
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
        lasts_until: walk.lasts_until(month),
    };
    for (at, later) in months.iter().enumerate().skip(1) {
        if expected.lasts_until.is_some() {
            break;
        }
        walk.through(*later, months.get(at + 1).copied());
        expected.lasts_until = walk.lasts_until(*later);
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
    renewals: VecDeque<Renewal>,
    /// What was paid for months on the way, and when.
    advance: Vec<(Second, Exact)>,
    coming: Vec<Coming>,
    acted_at: Option<Second>,
}

impl<'a> Walk<'a> {
    fn new(course: &'a Course<'a>, month: Period) -> Walk<'a> {
        let mut renewals = course.renewals.clone();
        renewals.sort_by_key(|one| (one.until, one.instance));
        let (coming, acted_at, spending) = (vec![], None, course.spending.clone());
        let mut walk = Walk { course, spending, renewals: renewals.into(), advance: vec![], coming, acted_at };
        // Of orders by the month that are under way.
        let ordered = std::mem::take(&mut walk.spending.owed);
        walk.pay(month, course.now, ordered);
        walk
    }

    fn pay(&mut self, month: Period, at: Second, amount: Exact) {
        *self.spending.billed.entry(month.since).or_default() += amount;
        self.advance.push((at, amount));
    }

    /// Everything that comes in a month, in order.
    fn through(&mut self, month: Period, next: Option<Period>) {
        (self.coming, self.acted_at) = (vec![], None);
        while let Some(renewal) = self.renewals.front().copied().filter(|one| one.until < month.until) {
            self.renewals.pop_front();
            self.act(month, next, renewal.until);
            let available = self.available(renewal.until);
            let cost = renewal.total();
            let paid = self.debt(renewal.until) == Amount::ZERO
                && cost.posted() <= available
                && self.permits(month, next, renewal.until.plus(1), cost);
            self.coming.push(Coming { renewal, paid, available });
            if paid {
                self.pay(month, renewal.until, cost);
                let after = renewal.after(self.course.calendar);
                let place =
                    self.renewals.partition_point(|one| (one.until, one.instance) < (after.until, after.instance));
                self.renewals.insert(place, after);
            }
        }
        self.act(month, next, month.until);
    }

    /// Lets the cap act, if it does before a second.
    fn act(&mut self, month: Period, next: Option<Period>, before: Second) {
        let (Some(cap), None) = (self.course.cap, self.acted_at) else { return };
        let from = cap.since.max(self.course.spending.open_since);
        let next = next.unwrap_or(Period { since: month.until, until: month.until.plus(1) });
        let acts = self.spending.acts_at(cap.amount.exact(), month, next, from);
        let Some(at) = acts.filter(|at| *at < before) else { return };
        let mut without = self.spending.clone();
        without.draws.iter_mut().filter(|draw| draw.trial).for_each(|draw| draw.stops = false);
        // Trials go on if that is payable by nothing more.
        let kept = without.if_stopped_at(month, at) <= cap.amount.exact();
        self.spending = if kept { without.stopped_at(at) } else { self.spending.stopped_at(at) };
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

    /// Cash less what is settled by a second, or what is owed then: hours that have ended, blocks that are released, months.
    fn purse(&self, at: Second) -> Amount {
        let funds = &self.course.funds;
        let since = self.course.spending.open_since;
        let closed = Period { since, until: at.hour().max(since) };
        let hourly = self.spending.used_by(closed, closed.until).payable();
        let blocks: Exact =
            self.spending.blocks.iter().filter(|one| one.lease_end <= at).map(|one| one.charge(one.lease_end)).sum();
        let ended: Exact = self.spending.ended.iter().filter(|one| one.at <= at).map(|one| one.payable).sum();
        let flowed: Exact =
            self.spending.flowed.iter().filter(|one| one.at <= closed.until).map(|one| one.payable).sum();
        let months: Exact = self.advance.iter().filter(|(when, _)| *when <= at).map(|(_, amount)| *amount).sum();
        let settled = funds.settled + hourly + blocks + ended + months;
        funds.cash - funds.debt - (settled.posted() - funds.settled.posted()) - flowed.posted()
    }

    fn debt(&self, at: Second) -> Amount {
        (-self.purse(at)).max(Amount::ZERO)
    }

    /// What can be spent at a second.
    fn available(&self, at: Second) -> Amount {
        let held = self.course.funds.held.iter().filter(|one| one.until.is_none_or(|until| at < until));
        self.purse(at).max(Amount::ZERO) - held.map(|one| one.amount).sum()
    }

    /// The last second of a month to which cash pays for everything, billed or not.
    fn lasts_until(&self, month: Period) -> Option<Second> {
        let funds = &self.course.funds;
        let from = self.course.now.max(month.since);
        let whole = Period { since: self.course.spending.open_since, until: month.until };
        let mut unbilled = self.spending.clone();
        unbilled.billed.clear();
        let left = (funds.cash - funds.debt).exact();
        let pays = |at: Second| {
            let months: Exact = self.advance.iter().filter(|(when, _)| *when < at).map(|(_, amount)| *amount).sum();
            unbilled.payable_by(whole, at) + months <= left
        };
        match (pays(month.until), pays(from)) {
            (true, _) => None,
            (false, false) => Some(from),
            (false, true) => Some(crate::spending::last(from, month.until, pays)),
        }
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
