//! What will be settled if all goes on as it is, and who pays it: coupons and cards, cash, or nobody until the account is frozen?
//! (rules §5.1, §5.2)
//!
//! Where no voucher counts any more it is leapt over months, since all that is owed is one sum; while one does, it is walked from one
//! settlement to the next, each record of an hour by itself, as the hours will be closed.

use crate::arrears::{self, Arrears, By, freezes_at};
use crate::expected::Funds;
use crate::funds::{Need, available};
use crate::spending::{Allowance, Record, Spending, Whose, last};
use crate::voucher::{Due, Owed, Use, item, pay};
use ebb_model::billing::{Meter, ResourceId};
use ebb_model::catalog::ArrearsLimits;
use ebb_model::id::InstanceId;
use ebb_model::instance::Purchase;
use ebb_model::money::{Amount, Exact};
use ebb_model::time::{HOUR, Period, Second};
use ebb_model::voucher::{Fine, Item, SoldAs, Voucher};

/// An account's money, as it stands when all is settled that was due by a second.
pub(crate) struct Prospect<'a> {
    funds: &'a Funds,
    limits: &'a ArrearsLimits,
    now: Second,
    at: Second,
    /// What is not settled by then.
    pub rest: Spending,
    vouchers: Vec<Voucher>,
    /// What was settled on the way and no voucher paid, of time and of traffic; and what vouchers did.
    spent: Exact,
    sent: Exact,
    pub by_vouchers: Fine,
    pub arrears: Option<Arrears>,
    /// The last second for which all that there is pays for everything, settled or not.
    pub lasts: Option<Second>,
}

impl<'a> Prospect<'a> {
    pub fn new(funds: &'a Funds, limits: &'a ArrearsLimits, spending: &Spending, now: Second) -> Prospect<'a> {
        let (at, rest, vouchers, arrears) =
            (spending.open_since, spending.clone(), funds.vouchers.clone(), funds.arrears);
        let (spent, sent, by_vouchers, lasts) = (Exact::ZERO, Exact::ZERO, Fine::ZERO, None);
        Prospect { funds, limits, now, at, rest, vouchers, spent, sent, by_vouchers, arrears, lasts }
    }

    /// Settles what is due by `to`. If the account is frozen before that, it stops there and says so.
    pub fn advance(&mut self, to: Second) -> Option<(Second, By)> {
        while self.at < to {
            let counts = self.vouchers_count();
            let mut goal = if counts { self.next_settlement().min(to) } else { to };
            self.look_for_the_last(goal);
            if let Some(known) = self.arrears.filter(|known| known.frozen.is_none()) {
                let (at, by) = freezes_at(&known, self.owed(), &self.rest, self.limits);
                if at < goal {
                    self.settle(at.max(self.at));
                    self.arrears = Some(arrears::freeze(&known, at, at, self.limits));
                    self.rest = self.rest.frozen_at(at);
                    // Its blocks are released.
                    self.settle(self.at);
                    return Some((at, by));
                }
            }
            if !counts && self.arrears.is_none() && self.purse_by(goal) < Amount::ZERO {
                goal = last(self.at, goal, |at| self.purse_by(at) >= Amount::ZERO).plus(1);
            }
            self.settle(goal);
            if self.arrears.is_none() && self.purse() < Amount::ZERO {
                self.arrears = Some(arrears::begin(goal, &self.funds.graces, self.limits));
            }
            if counts && self.arrears.is_none() {
                self.skip_what_is_alike(to);
            }
        }
        None
    }

    /// Months are paid now.
    pub fn pay_months(&mut self, of: Option<InstanceId>, total: Exact) {
        let what = self.what(of.map(ResourceId::Instance), Meter::Subscription, false, false);
        self.pay(&[Due { what, amount: Owed::Time(total) }], self.at);
    }

    pub fn owes(&self) -> bool {
        self.purse() < Amount::ZERO
    }

    /// What is there for months of an instance.
    pub fn available(&self, of: InstanceId, total: Exact) -> Amount {
        let held = self.funds.held.iter().filter(|one| one.until.is_none_or(|until| self.at < until));
        let held: Vec<Need> = held.map(|one| one.need.clone()).collect();
        let what = self.what(Some(of.into()), Meter::Subscription, false, false);
        let wanted = Need::months(what.flavor.as_deref().unwrap_or_default(), &what.region, total, self.at);
        available(self.purse().max(Amount::ZERO), &self.vouchers, &held, &wanted, self.at)
    }

    /// Cash, or below nothing what is owed.
    fn purse(&self) -> Amount {
        self.purse_less(Exact::ZERO, Exact::ZERO)
    }

    fn purse_less(&self, time: Exact, traffic: Exact) -> Amount {
        let Funds { cash, debt, settled, .. } = self.funds;
        let time = (*settled + self.spent + time).posted() - settled.posted();
        *cash - *debt - time - (self.sent + traffic).posted()
    }

    /// The same at a later second, where no voucher pays.
    fn purse_by(&self, at: Second) -> Amount {
        let closed = self.closed_by(at);
        let hourly = self.rest.used_by(Period { since: self.rest.open_since, until: closed }, closed).payable();
        let flowed = self.rest.flowed.iter().filter(|one| one.at <= closed).map(|one| one.payable).sum();
        self.purse_less(hourly + self.released_by(at).map(|(_, payable)| payable).sum(), flowed)
    }

    fn owed(&self) -> Exact {
        arrears::owed((-self.purse()).max(Amount::ZERO), self.funds.settled + self.spent)
    }

    fn closed_by(&self, at: Second) -> Second {
        at.hour().max(self.rest.open_since)
    }

    /// Blocks that are settled by a second.
    fn released_by(&self, at: Second) -> impl Iterator<Item = (Option<InstanceId>, Exact)> + '_ {
        let blocks = self.rest.blocks.iter().filter(move |one| one.lease_end <= at);
        let ended = self.rest.ended.iter().filter(move |one| one.at <= at);
        let of = |one: &crate::spending::Ended| match one.of {
            Some(Whose::Instance(id)) => Some(id),
            _ => None,
        };
        let blocks = blocks.map(|one| (one.of, one.charge(one.lease_end)));
        blocks.chain(ended.map(move |one| (of(one), one.payable)))
    }

    /// When something is settled next.
    fn next_settlement(&self) -> Second {
        let blocks = self.rest.blocks.iter().map(|one| one.lease_end).chain(self.rest.ended.iter().map(|one| one.at));
        blocks.filter(|at| *at > self.at).fold(self.rest.open_since.next_hour(), Second::min)
    }

    fn settle(&mut self, at: Second) {
        let closed = self.closed_by(at);
        if self.vouchers_count() {
            let dues = self.dues_of_hour(closed, closed);
            self.pay(&dues, closed);
            let dues: Vec<Due> = self.released_by(at).map(|(of, payable)| self.due_of_block(of, payable)).collect();
            self.pay(&dues, at);
        } else {
            let window = Period { since: self.rest.open_since, until: closed };
            self.spent +=
                self.rest.used_by(window, closed).payable() + self.released_by(at).map(|(_, cost)| cost).sum();
            let flowed = self.rest.flowed.iter().filter(|one| one.at <= closed);
            self.sent += flowed.map(|one| one.payable).sum();
        }
        self.rest.blocks.retain(|one| one.lease_end > at);
        self.rest.ended.retain(|one| one.at > at);
        self.rest.flowed.retain(|one| one.at > closed);
        if closed > self.rest.open_since {
            self.rest = self.rest.closed_to(closed);
        }
        self.at = at;
    }

    /// Lets vouchers pay, as they are valid at a second; the rest is cash's, or owed.
    fn pay(&mut self, dues: &[Due], at: Second) {
        for payment in pay(&self.vouchers, at, dues) {
            self.by_vouchers += payment.amount;
            let voucher = self.vouchers.iter_mut().find(|one| one.id == payment.voucher);
            voucher.expect("one of those that pay").used += payment.amount;
            let paid = payment.amount.whole_time();
            let of = if dues[payment.due].what.item == Item::Traffic { &mut self.sent } else { &mut self.spent };
            *of = *of - paid;
        }
        for due in dues {
            let of = if due.what.item == Item::Traffic { &mut self.sent } else { &mut self.spent };
            *of += due.amount.fine().whole_time();
        }
    }

    /// Whether a voucher may still pay something.
    fn vouchers_count(&self) -> bool {
        self.vouchers.iter().any(|one| !one.is_over() && one.expires_at.is_none_or(|until| self.at < until))
    }

    /// What the open hour comes to by a second, with its traffic, where `over_by` is the instant of its settlement.
    fn dues_of_hour(&self, by: Second, over_by: Second) -> Vec<Due> {
        let over = self.rest.allowance.as_ref().is_some_and(|known| known.over);
        let over = over || self.rest.trial_ends_at().is_some_and(|end| end <= over_by);
        let due = |one: Record| {
            let what = self.what(one.of, one.meter, one.covered, over);
            Due { what, amount: Owed::Time(one.payable) }
        };
        let mut dues: Vec<Due> = self.rest.records(by).into_iter().map(due).collect();
        for one in self.rest.flowed.iter().filter(|one| one.at <= by) {
            let region = match one.of {
                Some(Whose::Address(id)) => self.region(ResourceId::Address(id)),
                _ => String::new(),
            };
            let what = Use::of_traffic(&region);
            dues.push(Due { what, amount: Owed::Time(one.payable) });
        }
        dues
    }

    fn region(&self, of: ResourceId) -> String {
        self.funds.regions.get(&of).cloned().unwrap_or_default()
    }

    fn due_of_block(&self, of: Option<InstanceId>, payable: Exact) -> Due {
        let mut what = self.what(of.map(ResourceId::Instance), Meter::Compute, false, false);
        what.option = Some(SoldAs::SpotBlock);
        Due { what, amount: Owed::Time(payable) }
    }

    fn what(&self, of: Option<ResourceId>, meter: Meter, covered: bool, over: bool) -> Use {
        let id = match of {
            Some(ResourceId::Instance(id)) => Some(id),
            Some(other) => return Use::of_resource(meter, &self.region(other)),
            None => None,
        };
        let sold = id.and_then(|id| self.funds.sold.get(&id));
        let option = match (meter, sold.map(|sold| sold.purchase)) {
            (Meter::Subscription, _) => SoldAs::Subscription,
            (_, Some(Purchase::SpotBlock { .. })) => SoldAs::SpotBlock,
            (_, Some(Purchase::Trial { .. })) if !over => SoldAs::Trial,
            _ if covered => SoldAs::Trial,
            _ => SoldAs::OnDemand,
        };
        let region = sold.map(|sold| sold.region.clone()).unwrap_or_default();
        Use { item: item(meter), option: Some(option), flavor: sold.map(|sold| sold.flavor.clone()), region }
    }

    fn look_for_the_last(&mut self, goal: Second) {
        if self.lasts.is_some() || goal <= self.now || !self.is_short(goal) {
            return;
        }
        let from = self.at.max(self.now);
        let lasts = if self.is_short(from) { from } else { last(from, goal, |at| !self.is_short(at)) };
        self.lasts = Some(lasts);
    }

    /// Whether what is there would not pay for all that is used by a second, if it were settled then.
    fn is_short(&self, at: Second) -> bool {
        let left = (self.funds.cash - self.funds.debt).exact() - self.spent - self.sent;
        let due = if self.vouchers_count() {
            let blocks = self.rest.blocks.iter().map(|one| self.due_of_block(one.of, one.charge(at)));
            let mut dues = self.dues_of_hour(at, at);
            dues.extend(blocks);
            dues.extend(self.rest.ended.iter().map(|one| self.due_of_block(None, one.payable)));
            let all: Exact = dues.iter().map(|due| due.amount.fine().whole_time()).sum();
            let paid: Fine = pay(&self.vouchers, at, &dues).iter().map(|payment| payment.amount).sum();
            all - paid.whole_time()
        } else {
            let mut open = self.rest.clone();
            open.billed.clear();
            let since = open.blocks.iter().map(|one| one.lease_end).chain(open.ended.iter().map(|one| one.at));
            let since = since.fold(open.open_since, Second::min);
            // What flowed before the open hours is settled.
            open.payable_by(Period { since, until: at.max(open.open_since) }, at)
        };
        due > left
    }

    /// Goes over hours that are all as the last one, while it is so and no voucher and no cash runs out.
    fn skip_what_is_alike(&mut self, to: Second) {
        let open = self.rest.open_since;
        let busy = !self.rest.blocks.is_empty() || !self.rest.ended.is_empty() || !self.rest.flowed.is_empty();
        let pays = |known: &Allowance| known.grant.left() > Exact::ZERO && known.grant.valid_until > open;
        let granted = self.rest.allowance.as_ref().is_some_and(pays);
        if self.at != open || busy || granted || open < self.now {
            return;
        }
        let draws = self.rest.draws.iter();
        let changes = draws.flat_map(|one| [Some(one.since), one.until, one.price.next_change(open)]);
        let valid = self.vouchers.iter().flat_map(|one| [Some(one.valid_from), one.expires_at]);
        let quiet = changes.chain(valid).flatten().filter(|at| *at > open).fold(to, Second::min);
        let dues = self.dues_of_hour(open.next_hour(), open.next_hour());
        let payments = pay(&self.vouchers, open.next_hour(), &dues);
        let paid: Fine = payments.iter().map(|payment| payment.amount).sum();
        let unpaid = dues.iter().map(|due| due.amount.fine().whole_time()).sum::<Exact>() - paid.whole_time();
        let mut hours = i128::from((quiet.unix() - open.unix()) / HOUR) - 1;
        for voucher in &self.vouchers {
            let used: Fine = payments.iter().filter(|one| one.voucher == voucher.id).map(|one| one.amount).sum();
            if used > Fine::ZERO {
                hours = hours.min(voucher.left().units() / used.units() - 1);
            }
        }
        if unpaid > Exact::ZERO {
            let left = self.purse().exact();
            hours = hours.min(left.units() / unpaid.units() - 2);
        }
        if hours <= 0 {
            return;
        }
        for payment in payments {
            let amount = Fine::from_units(payment.amount.units() * hours);
            self.by_vouchers += amount;
            let voucher = self.vouchers.iter_mut().find(|one| one.id == payment.voucher);
            voucher.expect("one of those that pay").used += amount;
        }
        self.spent += Exact::from_units(unpaid.units() * hours);
        self.rest.open_since = open.plus(hours as i64 * HOUR);
        self.at = self.rest.open_since;
    }
}
