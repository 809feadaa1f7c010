//! What is bought by the month at once: what does it cost, and from when do its months count? (rules §1.6, §4.3)
//!
//! The order may have to wait for its room, and what never runs costs nothing. So its money is held back until it runs, and is paid
//! with that very second.

use crate::event::Event;
use crate::lifecycle::{Effect, Step};
use crate::monthly::Payment;
use crate::refusal::Refused;
use ebb_model::calendar::Calendar;
use ebb_model::catalog::{Catalog, Flavor};
use ebb_model::instance::{Instance, Purchase};
use ebb_model::money::Exact;
use ebb_model::time::{HOUR, Period, Second};

/// Prices so many months of a flavor with its system disk, ordered at `now`: that price holds whenever it runs..
///
/// # Errors
/// The flavor is not sold so, or not for so many months.
pub fn order(catalog: &Catalog, flavor: &Flavor, months: i64, now: Second) -> Result<Purchase, Refused> {
    let not_on_sale = || Refused::NotOnSale { flavor: flavor.id.clone(), option: "a subscription" };
    let price = catalog.month_price(flavor, catalog.system_disk.gib).ok_or_else(not_on_sale)?.at(now);
    let terms = &catalog.limits.subscription;
    if !(1..=terms.max_months).contains(&months) {
        return Err(Refused::Months { months, most: terms.max_months });
    }
    // Nothing is paid of it yet.
    let (since, until, keep_days, warned_days, renews) = (now, now, terms.keep_days, None, None);
    Ok(Purchase::Subscription { price, since, months, until, keep_days, warned_days, renews })
}

/// What the months of an order cost; nothing for what is not paid so.
pub fn total(purchase: &Purchase) -> Exact {
    match purchase {
        Purchase::Subscription { price, months, .. } => price.charge(months * HOUR),
        _ => Exact::ZERO,
    }
}

/// What follows when an order runs for the first time: its months count from that second and are paid, and nothing is held for them.
pub fn begin(before: &Instance, mut step: Step, calendar: &Calendar) -> Step {
    let Some(next) = &mut step.next else { return step };
    let (Some(_), Some(at)) = (before.ordered_months(), next.first_running) else { return step };
    let Purchase::Subscription { price, since, months, until, .. } = &mut next.purchase else { return step };
    (*since, *until) = (at, calendar.plus_months(at, *months));
    let period = Period::new(*since, *until).expect("a month has seconds");
    let (months, price) = (*months, *price);
    // A month is more than the minimum that one owes for whom others had to go.
    next.took_room = false;
    let began = Event::SubscriptionBegan { months, price, since: period.since, until: period.until };
    step.effects.extend([Effect::DropHold, Effect::Pay(Payment { months, price, period }), Effect::Log(began)]);
    step
}
