//! May this order be placed, and what does it cost? (rules §2.1, §3.5, §5.2)

use crate::image::may_have;
use crate::ordered;
use crate::refusal::Refused;
use ebb_model::catalog::{Catalog, Flavor, SpotState, Zone};
use ebb_model::id::ImageId;
use ebb_model::instance::Purchase;
use ebb_model::money::{Amount, Exact, Price};
use ebb_model::resources::Resources;
use ebb_model::time::{HOUR, Second};
use ebb_model::trial::Holder;
use serde::{Deserialize, Serialize};

/// What somebody wants to buy.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub zone: String,
    pub flavor: String,
    pub image: String,
    pub option: PurchaseOption,
    pub hours: Option<i64>,
    pub periods: Option<i64>,
    pub expected_price: Option<Price>,
    /// That the guest is started elsewhere if its host fails.
    pub auto_recovery: bool,
}

/// The purchase options on sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PurchaseOption {
    OnDemand,
    Trial,
    SpotBlock,
    /// Paid in advance for so many months.
    Subscription {
        months: i64,
    },
}

impl PurchaseOption {
    pub fn name(self) -> &'static str {
        match self {
            PurchaseOption::OnDemand => "on-demand",
            PurchaseOption::Trial => "trial",
            PurchaseOption::SpotBlock => "spot-block",
            PurchaseOption::Subscription { .. } => "subscription",
        }
    }
}

/// An order that the catalog allows, with its prices.
#[derive(Debug, Clone, PartialEq)]
pub struct Quote {
    pub purchase: Purchase,
    pub resources: Resources,
    /// Per hour, charged as on-demand and never waived.
    pub disk_price: Price,
    pub region: String,
}

impl Quote {
    /// Per hour, with the system disk.
    pub fn price(&self) -> Price {
        self.purchase.price() + self.disk_price
    }

    /// What a whole lease of a block costs; `None` where nobody knows the end.
    pub fn whole_lease(&self) -> Option<Exact> {
        match self.purchase {
            Purchase::SpotBlock { hours, periods, .. } => Some(self.price().charge(hours * periods * HOUR)),
            _ => None,
        }
    }

    /// What an expected price is compared with: per hour, or per month of what is paid so.
    pub fn compared_price(&self) -> Price {
        match self.purchase {
            Purchase::Subscription { price, .. } => price,
            _ => self.purchase.price(),
        }
    }

    /// The unbound money that buying needs (rules §5.2); months are paid from it whole.
    pub fn hold(&self) -> Amount {
        match self.purchase {
            Purchase::OnDemand { .. } => self.price().charge(HOUR).posted(),
            Purchase::SpotBlock { hours, .. } => self.price().charge(hours * HOUR).posted(),
            Purchase::Subscription { .. } => ordered::total(&self.purchase).posted(),
            // Paid by the grant.
            Purchase::Trial { .. } => Amount::ZERO,
        }
    }
}

/// Prices an order of this second by the catalog alone; whose order it is does not matter yet.
///
/// # Errors
/// The first thing that the catalog does not allow.
pub fn quote(catalog: &Catalog, order: &Order, now: Second) -> Result<Quote, Refused> {
    let zone = catalog.zone(&order.zone).ok_or_else(|| Refused::UnknownZone(order.zone.clone()))?;
    let flavor = catalog.flavor(&order.flavor).ok_or_else(|| Refused::UnknownFlavor(order.flavor.clone()))?;
    // An account's own is looked at by whoever sells: it is not in the catalog.
    let is_custom = order.image.parse::<ImageId>().is_ok();
    let image = catalog.images.iter().find(|image| image.id == order.image);
    if image.is_none() && !is_custom {
        return Err(Refused::UnknownImage(order.image.clone()));
    }
    may_have(catalog, &order.image, flavor)?;
    let marketplace = image.is_some_and(|image| image.marketplace);
    let option = order.option.name();
    if order.option != PurchaseOption::SpotBlock && (order.hours.is_some() || order.periods.is_some()) {
        return Err(Refused::HoursWithoutBlock { option });
    }
    let not_on_sale = || Refused::NotOnSale { flavor: flavor.id.clone(), option };
    let on_demand = || flavor.on_demand.as_ref().map(|prices| prices.at(now)).ok_or_else(not_on_sale);
    let purchase = match order.option {
        PurchaseOption::OnDemand => Purchase::OnDemand { price: on_demand()? },
        PurchaseOption::Trial => Purchase::Trial { price: on_demand()? },
        PurchaseOption::SpotBlock if marketplace => return Err(Refused::MarketplaceImage(order.image.clone())),
        PurchaseOption::SpotBlock if order.auto_recovery => return Err(Refused::AutoRecovery),
        PurchaseOption::SpotBlock => block(flavor, zone, order.hours.unwrap_or(1), order.periods.unwrap_or(1), now)?,
        PurchaseOption::Subscription { months } => ordered::order(catalog, flavor, months, now)?,
    };
    if order.auto_recovery {
        return Err(Refused::NotOffered("auto-recovery"));
    }
    let resources = catalog.needs(flavor);
    let quote = Quote { purchase, resources, disk_price: catalog.disk_price().at(now), region: zone.region.clone() };
    match order.expected_price {
        Some(expected) if expected != quote.compared_price() && !purchase.is_metered() => {
            let (price, expected) = (quote.compared_price().to_string(), expected.to_string());
            Err(Refused::MonthPriceChanged { price, expected })
        }
        Some(expected) if expected != quote.compared_price() => {
            Err(Refused::PriceChanged { price: purchase.price().to_string(), expected: expected.to_string() })
        }
        _ => Ok(quote),
    }
}

fn block(flavor: &Flavor, zone: &Zone, hours: i64, periods: i64, now: Second) -> Result<Purchase, Refused> {
    let spot =
        flavor.spot.as_ref().ok_or_else(|| Refused::NotOnSale { flavor: flavor.id.clone(), option: "spot-block" })?;
    let (state, longest, most) = spot.in_zone(&zone.id);
    let (flavor, zone) = (flavor.id.clone(), zone.id.clone());
    match state {
        SpotState::Normal => {}
        SpotState::SoldOut => return Err(Refused::SoldOut { flavor, zone }),
        SpotState::Off => return Err(Refused::SpotOff { flavor, zone }),
    }
    if !(1..=longest).contains(&hours) {
        return Err(Refused::Hours { flavor, hours, longest });
    }
    if periods < 1 {
        return Err(Refused::NoPeriods(periods));
    }
    if periods > 1 && hours != 6 {
        return Err(Refused::PeriodsNeedSixHours { hours });
    }
    if periods > most {
        return Err(Refused::TooManyPeriods { flavor, periods, most });
    }
    Ok(Purchase::SpotBlock { price: spot.prices[hours as usize - 1].at(now), hours, periods })
}

/// The buyer, as far as a purchase asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Buyer {
    pub verified: Option<Holder>,
    pub debt: Amount,
    /// Cash less what is held back already.
    pub available: Amount,
    /// Instances not yet released.
    pub instances: i64,
    /// What its spot blocks not yet released have, and how many they are, as `instances`.
    pub spot: Resources,
}

/// Whether this buyer may buy what was quoted; trial rules come on top ([`crate::trial`]).
///
/// # Errors
/// The first rule that stands against it.
pub fn may_buy(catalog: &Catalog, buyer: &Buyer, quote: &Quote) -> Result<(), Refused> {
    if buyer.verified.is_none() {
        return Err(Refused::Unverified);
    }
    if buyer.debt > Amount::ZERO {
        return Err(Refused::Arrears(buyer.debt));
    }
    if buyer.instances >= catalog.limits.instances_per_account {
        return Err(Refused::Quota { what: "instances", most: catalog.limits.instances_per_account });
    }
    if let Purchase::SpotBlock { .. } = quote.purchase {
        let mut wanted = buyer.spot.plus(&quote.resources);
        wanted.set("instances", buyer.spot.get("instances") + 1);
        for (kind, most) in catalog.limits.spot_per_account.iter() {
            if wanted.get(kind) > most {
                return Err(Refused::SpotQuota { kind: kind.to_owned(), wanted: wanted.get(kind), most });
            }
        }
    }
    if let (Purchase::Subscription { .. }, true) = (quote.purchase, buyer.available < quote.hold()) {
        return Err(Refused::NotPaidFor { needed: quote.hold(), available: buyer.available });
    }
    if catalog.limits.hold && buyer.available < quote.hold() {
        return Err(Refused::InsufficientFunds { needed: quote.hold(), available: buyer.available });
    }
    Ok(())
}
