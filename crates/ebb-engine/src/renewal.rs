//! A subscription that renews itself: who decides that, what happens in the second of its end, and what does its owner learn? (rules §4.3)

use crate::conversion::{Payer, renew};
use crate::event::{Event, RenewalOutlook};
use crate::lifecycle::{Effect, Step, change, unchanged};
use crate::monthly::{self, Payment, ends_at, renews};
use crate::refusal::Refused;
use ebb_model::catalog::Catalog;
use ebb_model::instance::{Instance, Purchase};
use ebb_model::money::Amount;
use ebb_model::time::{Second, Timestamp};

/// From now on so many months are paid at its end; `None`: it just ends then.
///
/// # Errors
/// It is no subscription, is over or released, or so many months are not sold.
pub fn choose(catalog: &Catalog, instance: &Instance, months: Option<i64>, now: Timestamp) -> Result<Step, Refused> {
    if instance.state.end().is_some() {
        return Err(Refused::Released);
    }
    let Purchase::Subscription { .. } = instance.purchase else {
        return Err(Refused::NotASubscription { option: instance.purchase.option() });
    };
    if monthly::is_over(instance, now) {
        return Err(monthly::over(instance));
    }
    let most = catalog.limits.subscription.max_months;
    if let Some(months) = months.filter(|months| !(1..=most).contains(months)) {
        return Err(Refused::Months { months, most });
    }
    if renews(instance) == months {
        return Ok(unchanged());
    }
    let mut step = change(instance, instance.state.clone(), vec![Effect::Log(Event::RenewalChosen { months })]);
    if let Purchase::Subscription { renews, .. } = &mut step.next.as_mut().expect("a changed instance").purchase {
        *renews = months;
    }
    Ok(step)
}

/// Whether it is to renew itself now: its end has come and is not carried out.
pub fn is_due(instance: &Instance, now: Timestamp) -> bool {
    let waits = renews(instance).is_some() && !instance.end_announced && instance.state.end().is_none();
    waits && ends_at(instance).is_some_and(|at| at <= now)
}

/// What it would pay in the second of its end, at the price that holds then as far as it is entered.
///
/// # Errors
/// Its flavor is not sold by the month any more.
pub fn next(catalog: &Catalog, instance: &Instance) -> Result<(Purchase, Payment), Refused> {
    let (Some(months), Some(until)) = (renews(instance), instance.paid_until()) else {
        unreachable!("only a subscription that renews itself does: {instance:?}")
    };
    monthly::months(catalog, instance, months, None, until)
}

/// Its months are paid, however late that is carried out, in the second of its end.
///
/// # Errors
/// The account has not the money.
pub fn renew_itself(instance: &Instance, next: (Purchase, Payment), payer: &Payer) -> Result<Step, Refused> {
    let mut step = renew(instance, next.0, next.1, payer)?;
    for effect in &mut step.effects {
        if let Effect::Log(Event::Renewed { auto, .. }) = effect {
            *auto = true;
        }
    }
    Ok(step)
}

/// It could not, for this reason.
pub fn failed(months: i64, at: Second, needed: Option<Amount>, available: Amount, why: &Refused) -> Event {
    Event::RenewalFailed { at, months, why: why.code().to_owned(), needed, available }
}

/// The warning of its end, with what its renewal would need now.
pub fn warned(warning: Event, catalog: &Catalog, instance: &Instance, available: Amount) -> Event {
    let Event::SubscriptionEndsSoon { days, until, .. } = warning else { return warning };
    let cost = renews(instance).and_then(|_| next(catalog, instance).ok());
    let outlook =
        |(_, paid): (_, Payment)| RenewalOutlook { months: paid.months, needed: paid.total().posted(), available };
    Event::SubscriptionEndsSoon { days, until, renewal: cost.map(outlook) }
}
