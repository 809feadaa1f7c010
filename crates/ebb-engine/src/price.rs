//! What does an instance cost from now on, and what changes for it when a price does? (rules §5.3)
//!
//! A new price holds from its date for what is charged by the hour. A block keeps the prices of its order, its disk's included, and
//! months that are paid are paid.

use crate::event::Event;
use crate::lifecycle::{Effect, Step, change, unchanged};
use ebb_model::billing::Follows;
use ebb_model::catalog::{Catalog, SYSTEM_DISK};
use ebb_model::instance::{Instance, Purchase, State};
use ebb_model::money::Price;
use ebb_model::price::Prices;
use ebb_model::price_book::Item;
use ebb_model::time::Second;

/// What an instance costs per hour, with the changes that are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tariff {
    pub compute: Rate,
    pub disk: Rate,
}

/// Prices, and whose they are; none: the order's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    pub prices: Prices,
    pub follows: Option<Follows>,
}

impl Tariff {
    /// What the order says, whatever the book does.
    pub fn kept(purchase: &Purchase, disk_price: Price) -> Tariff {
        let keeps = |price: Price| Rate { prices: price.into(), follows: None };
        Tariff { compute: keeps(purchase.price()), disk: keeps(disk_price) }
    }
}

/// By the book where it follows that. What is not sold any more costs what it did.
pub fn tariff(catalog: &Catalog, of: &Instance) -> Tariff {
    of_order(catalog, &of.purchase, &of.flavor, of.resources.get(SYSTEM_DISK), of.disk_price)
}

/// The same of an order that is not an instance yet.
pub fn of_order(catalog: &Catalog, purchase: &Purchase, flavor: &str, gib: i64, disk_price: Price) -> Tariff {
    if !follows_book(purchase) {
        return Tariff::kept(purchase, disk_price);
    }
    let listed = catalog.flavor(flavor).and_then(|flavor| flavor.on_demand.clone());
    let item = Item::OnDemand(flavor.to_owned()).to_string();
    let compute = listed.unwrap_or_else(|| purchase.price().into());
    let disk = Follows { item: Item::SystemDisk.to_string(), units: gib };
    Tariff {
        compute: Rate { prices: compute, follows: Some(Follows { item, units: 1 }) },
        disk: Rate { prices: catalog.system_disk.price.times(gib), follows: Some(disk) },
    }
}

/// Whether a new price holds for it from its date on.
pub fn follows_book(purchase: &Purchase) -> bool {
    matches!(purchase, Purchase::OnDemand { .. } | Purchase::Trial { .. })
}

/// What is shown of an instance and said of it in the log is the price that holds now. What it is charged does not depend on when this
/// is carried out: its spans know their prices.
pub(crate) fn priced(instance: &Instance, price: Price, disk_price: Price, since: Second) -> Step {
    let over = matches!(instance.state, State::Releasing { .. } | State::Released { .. });
    let same = instance.purchase.price() == price && instance.disk_price == disk_price;
    if over || same || !follows_book(&instance.purchase) {
        return unchanged();
    }
    let log = Effect::Log(Event::PriceChanged { price, disk_price, since });
    let mut step = change(instance, instance.state.clone(), vec![log]);
    if let State::Starting { .. } = instance.state {
        // Only what is seen of this generation is believed then.
        step.effects.push(Effect::Order);
    }
    let next = step.next.as_mut().expect("a changed instance");
    next.disk_price = disk_price;
    match &mut next.purchase {
        Purchase::OnDemand { price: own } | Purchase::Trial { price: own } => *own = price,
        Purchase::SpotBlock { .. } | Purchase::Subscription { .. } => unreachable!("they keep their prices"),
    }
    step
}
