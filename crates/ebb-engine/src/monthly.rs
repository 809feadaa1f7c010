//! For how long is an instance paid in advance, and what becomes of it afterwards? The subscription (包年包月, rules §4.3).
//!
//! Its months are counted from the second in which it became one, so a day that a month lacks comes back with a longer one. At its
//! end it is switched off and gives its room back but for the disk: nobody pays for that room any more, and what is kept is its data.

use crate::economical::{self, given_back};
use crate::end::{no_longer_waiting, releasing};
use crate::event::Event;
use crate::lifecycle::{Effect, Step, change};
use crate::refusal::Refused;
use ebb_model::catalog::{Catalog, Limits, SYSTEM_DISK};
use ebb_model::instance::{Cause, End, Instance, Purchase, State};
use ebb_model::money::{Exact, Price};
use ebb_model::time::{DAY, HOUR, Period, Second, Timestamp};

/// Months that are paid at once, for a period, at a price per month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payment {
    pub months: i64,
    pub price: Price,
    pub period: Period,
}

impl Payment {
    pub fn total(&self) -> Exact {
        self.price.charge(self.months * HOUR)
    }
}

/// Prices so many months from `now` on, or after those that are paid already, by the catalog alone.
///
/// # Errors
/// The flavor is not sold so, that is too far ahead, or the price is not the expected one.
pub fn months(
    catalog: &Catalog,
    instance: &Instance,
    months: i64,
    expected: Option<Price>,
    now: Second,
) -> Result<(Purchase, Payment), Refused> {
    let not_on_sale = || Refused::NotOnSale { flavor: instance.flavor.clone(), option: "a subscription" };
    let flavor = catalog.flavor(&instance.flavor).ok_or_else(not_on_sale)?;
    let prices = catalog.month_price(flavor, instance.resources.get(SYSTEM_DISK)).ok_or_else(not_on_sale)?;
    let price = prices.at(now);
    let most = catalog.limits.subscription.max_months;
    let too_many = Refused::Months { months, most };
    if !(1..=most).contains(&months) {
        return Err(too_many);
    }
    if let Some(expected) = expected.filter(|expected| *expected != price) {
        return Err(Refused::MonthPriceChanged { price: price.to_string(), expected: expected.to_string() });
    }
    let goes_on = instance.paid_until().is_some() && !is_over(instance, now.start());
    let (since, before, from) = match instance.purchase {
        Purchase::Subscription { since, months, until, .. } if goes_on => (since, months, until),
        _ => (now, 0, now),
    };
    let calendar = &catalog.time_zone;
    let all = before + months;
    let until = calendar.plus_months(since, all);
    // At the end of a short month its own months are longer than those that begin there.
    if until > calendar.plus_months(now, most) && from != now {
        return Err(too_many);
    }
    let period = Period::new(from, until).expect("a month has seconds");
    let (keep_days, renews) = (catalog.limits.subscription.keep_days, renews(instance));
    let purchase = Purchase::Subscription { price, since, months: all, until, keep_days, warned_days: None, renews };
    Ok((purchase, Payment { months, price, period }))
}

/// So many months are paid at its end, without anybody asking.
pub fn renews(instance: &Instance) -> Option<i64> {
    match instance.purchase {
        Purchase::Subscription { renews, .. } => renews,
        _ => None,
    }
}

/// Why no months can follow those that it has.
pub fn not_renewable(instance: &Instance) -> Option<Refused> {
    match (instance.purchase, instance.ordered_months()) {
        (Purchase::Subscription { .. }, None) => None,
        (Purchase::Subscription { .. }, Some(_)) => {
            Some(Refused::WrongState { state: instance.state.name(), verb: "be paid for longer" })
        }
        (purchase, _) => Some(Refused::NotASubscription { option: purchase.option() }),
    }
}

/// When its end is carried out. One that renews itself has its last second to the end: what is paid in within it comes first.
pub fn ends_at(instance: &Instance) -> Option<Timestamp> {
    let late = if renews(instance).is_some() { 1 } else { 0 };
    Some(instance.paid_until()?.start().plus_seconds(late))
}

/// Whether its paid time has ended, carried out or not.
pub fn is_over(instance: &Instance, now: Timestamp) -> bool {
    ends_at(instance).is_some_and(|at| at <= now)
}

/// Why it is not started then.
pub fn over(instance: &Instance) -> Refused {
    let (Some(until), Some(kept)) = (instance.paid_until(), instance.kept_until()) else {
        unreachable!("only a subscription ends as one: {instance:?}")
    };
    Refused::SubscriptionOver { ended_at: until.start(), kept_until: kept.start() }
}

/// When [`due`] has something to do next.
pub(crate) fn due_at(instance: &Instance, limits: &Limits) -> Option<Timestamp> {
    let (ends_at, kept) = (ends_at(instance)?, instance.kept_until()?);
    Some(match instance.end_announced {
        true => kept.start(),
        false => warnings(instance, limits).map(|(at, _)| at.start()).min().unwrap_or(ends_at),
    })
}

/// Whether something of its paid time was due by now and is not carried out.
pub fn is_due(instance: &Instance, now: Timestamp, limits: &Limits) -> bool {
    instance.state.end().is_none() && due_at(instance, limits).is_some_and(|at| at <= now)
}

/// Warns of the end, ends it, or releases what nobody renewed: one at a time, in order.
pub(crate) fn due(instance: &Instance, now: Timestamp, limits: &Limits) -> Option<Step> {
    if !is_due(instance, now, limits) {
        return None;
    }
    let (until, kept_until) = (instance.paid_until()?, instance.kept_until()?);
    if instance.end_announced {
        let (cause, waived_since, waived_until, notice) = (Cause::SubscriptionEnd, None, None, None);
        let end = End { at: kept_until, cause, waived_since, waived_until, notice };
        return Some(releasing(instance, end, no_longer_waiting(instance)));
    }
    if ends_at(instance)? <= now {
        return Some(end(instance, Event::SubscriptionEnded { at: until, kept_until }, now, limits));
    }
    let (_, days) = warnings(instance, limits).min()?;
    let warning = Effect::Log(Event::SubscriptionEndsSoon { days, until, renewal: None });
    let mut step = change(instance, instance.state.clone(), vec![warning]);
    if let Purchase::Subscription { warned_days, .. } = &mut step.next.as_mut()?.purchase {
        *warned_days = Some(days);
    }
    Some(step)
}

/// The warnings that were not given yet, and when.
fn warnings(instance: &Instance, limits: &Limits) -> impl Iterator<Item = (Second, i64)> {
    let days = match instance.purchase {
        Purchase::Subscription { until, warned_days, .. } => Some((until, warned_days)),
        _ => None,
    };
    let all = &limits.subscription.warn_days_before;
    days.into_iter().flat_map(move |(until, warned)| {
        let left = all.iter().filter(move |days| warned.is_none_or(|warned| **days < warned));
        left.map(move |days| (until.plus(-days * DAY), *days))
    })
}

/// Nobody renewed it: its guest is switched off, and its room but for the disk is free when it is.
fn end(instance: &Instance, ended: Event, now: Timestamp, limits: &Limits) -> Step {
    let off_at = |force_at| change(instance, State::Stopping { force_at, economical: true }, vec![Effect::Order]);
    let mut step = match instance.state {
        State::Running => off_at(now.plus_seconds(limits.stop_timeout_seconds)),
        State::Starting { .. } => off_at(now),
        State::Stopping { force_at, .. } => off_at(force_at),
        State::Stopped => economical::left(instance, now.second(), now),
        State::Lost { since, .. } => {
            let mut step = change(instance, State::Lost { since, off: true, economical: true }, vec![Effect::Order]);
            given_back(step.next.as_mut().expect("a changed instance"));
            step
        }
        State::Waiting { .. } => {
            let mut step = change(instance, State::StoppedEconomically, vec![Effect::DropClaim]);
            given_back(step.next.as_mut().expect("a changed instance"));
            step
        }
        // Renewed and never started again.
        State::StoppedEconomically => change(instance, State::StoppedEconomically, vec![]),
        State::Reclaiming { .. } | State::Releasing { .. } | State::Released { .. } => {
            unreachable!("what is paid in advance is not taken back, and what ends does not end again: {instance:?}")
        }
    };
    step.effects.insert(0, Effect::Log(ended));
    step.next.as_mut().expect("a changed instance").end_announced = true;
    step
}
