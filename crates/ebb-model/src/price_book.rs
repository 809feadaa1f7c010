//! Which prices does a catalog have, by name, and what is wrong with them? (rules §5.3)

use crate::catalog::{Catalog, DEAREST};
use crate::money::Price;
use crate::price::Prices;
use crate::time::Second;
use std::fmt;

/// Something that has a price.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// vCPU and memory of a flavor, per hour.
    OnDemand(String),
    /// A block of so many hours, per hour.
    SpotBlock(String, i64),
    /// A flavor per month, without its disk.
    Subscription(String),
    /// A GiB per hour.
    SystemDisk,
    /// A GiB per month.
    SystemDiskMonth,
    /// A GB that leaves a region.
    Traffic(String),
    /// A GiB of a data disk per hour.
    DataDisk,
    /// A GiB of a snapshot per hour.
    Snapshot,
    /// A Mbit/s of a public address of a region per hour.
    Bandwidth(String),
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::OnDemand(flavor) => write!(f, "on-demand {flavor}"),
            Item::SpotBlock(flavor, hours) => write!(f, "spot-block {flavor} {hours}h"),
            Item::Subscription(flavor) => write!(f, "subscription {flavor}"),
            Item::SystemDisk => f.write_str("system-disk"),
            Item::SystemDiskMonth => f.write_str("subscription system-disk"),
            Item::Traffic(region) => write!(f, "traffic {region}"),
            Item::DataDisk => f.write_str("data-disk"),
            Item::Snapshot => f.write_str("snapshot"),
            Item::Bandwidth(region) => write!(f, "bandwidth {region}"),
        }
    }
}

impl Item {
    /// Where it stands in the catalog: table and id, and key.
    pub fn place(&self) -> (String, String) {
        match self {
            Item::OnDemand(flavor) => (format!("flavor {flavor}"), "on_demand".to_owned()),
            Item::SpotBlock(flavor, hours) => (format!("flavor {flavor}"), format!("spot.prices[{}]", hours - 1)),
            Item::Subscription(flavor) => (format!("flavor {flavor}"), "subscription".to_owned()),
            Item::SystemDisk => ("system_disk".to_owned(), "price".to_owned()),
            Item::SystemDiskMonth => ("system_disk".to_owned(), "subscription".to_owned()),
            Item::Traffic(region) => (format!("region {region}"), "traffic".to_owned()),
            Item::DataDisk => ("data_disk".to_owned(), "price".to_owned()),
            Item::Snapshot => ("data_disk".to_owned(), "snapshot".to_owned()),
            Item::Bandwidth(region) => (format!("region {region}"), "bandwidth".to_owned()),
        }
    }

    pub fn flavor(&self) -> Option<&str> {
        match self {
            Item::OnDemand(flavor) | Item::SpotBlock(flavor, _) | Item::Subscription(flavor) => Some(flavor),
            _ => None,
        }
    }
}

/// Every price of a catalog, in its order.
pub fn items(catalog: &Catalog) -> Vec<(Item, &Prices)> {
    let mut all = vec![(Item::SystemDisk, &catalog.system_disk.price)];
    all.extend(catalog.system_disk.subscription.as_ref().map(|prices| (Item::SystemDiskMonth, prices)));
    if let Some(disk) = &catalog.data_disk {
        all.push((Item::DataDisk, &disk.price));
        all.extend(disk.snapshot.as_ref().map(|prices| (Item::Snapshot, prices)));
    }
    for region in &catalog.regions {
        all.extend(region.traffic.as_ref().map(|prices| (Item::Traffic(region.id.clone()), prices)));
        all.extend(region.bandwidth.as_ref().map(|prices| (Item::Bandwidth(region.id.clone()), prices)));
    }
    for flavor in &catalog.flavors {
        let id = || flavor.id.clone();
        all.extend(flavor.on_demand.as_ref().map(|prices| (Item::OnDemand(id()), prices)));
        all.extend(flavor.subscription.as_ref().map(|prices| (Item::Subscription(id()), prices)));
        let spot = flavor.spot.iter().flat_map(|spot| &spot.prices).enumerate();
        all.extend(spot.map(|(at, prices)| (Item::SpotBlock(id(), at as i64 + 1), prices)));
    }
    all
}

/// The prices of an item, to be replaced.
pub fn prices_mut<'a>(catalog: &'a mut Catalog, item: &Item) -> Option<&'a mut Prices> {
    let flavor = |catalog: &'a mut Catalog, id: &str| catalog.flavors.iter_mut().find(|flavor| flavor.id == id);
    match item {
        Item::OnDemand(id) => flavor(catalog, id)?.on_demand.as_mut(),
        Item::Subscription(id) => flavor(catalog, id)?.subscription.as_mut(),
        Item::SpotBlock(id, hours) => {
            flavor(catalog, id)?.spot.as_mut()?.prices.get_mut(usize::try_from(hours - 1).ok()?)
        }
        Item::SystemDisk => Some(&mut catalog.system_disk.price),
        Item::SystemDiskMonth => catalog.system_disk.subscription.as_mut(),
        Item::Traffic(id) => catalog.regions.iter_mut().find(|region| region.id == *id)?.traffic.as_mut(),
        Item::DataDisk => Some(&mut catalog.data_disk.as_mut()?.price),
        Item::Snapshot => catalog.data_disk.as_mut()?.snapshot.as_mut(),
        Item::Bandwidth(id) => catalog.regions.iter_mut().find(|region| region.id == *id)?.bandwidth.as_mut(),
    }
}

/// What is wrong with the prices of a catalog, whenever it is read.
pub(crate) fn problems(catalog: &Catalog) -> Vec<String> {
    let mut found = vec![];
    for (item, prices) in items(catalog) {
        let (table, key) = item.place();
        let nth = |at: usize| if prices.iter().count() > 1 { format!("[{at}]") } else { String::new() };
        for (at, dated) in prices.iter().enumerate() {
            let (price, most) = (dated.price, dearest(&item));
            if !(Price::default()..=most).contains(&price) {
                found.push(format!("{table}: {key}{} is {price}, not from 0 to {most}", nth(at)));
            }
            let full_hour = dated.from.is_none_or(|from| from == from.hour());
            if matches!(item, Item::Traffic(_)) && !full_hour {
                let why = "traffic is counted by the clock hour, so its price changes on a full hour (UTC)";
                found.push(format!("{table}: {key}{}.from: {why}", nth(at)));
            }
        }
        if let Some(at) = prices.disorder() {
            let why = match prices.iter().nth(at).and_then(|dated| dated.from) {
                Some(from) => {
                    format!("{from} is not after the date before it; write the prices in order, each date once")
                }
                None => "only the first price may be without `from`; say from when on this one holds".to_owned(),
            };
            found.push(format!("{table}: {key}[{at}]: {why}"));
        }
    }
    found.extend(leases(catalog));
    found.extend(burn(catalog));
    found
}

/// The most that something may cost. A reading of a counter may be of a thousand TB.
fn dearest(item: &Item) -> Price {
    match item {
        Item::Traffic(_) => Price::from_micros(DEAREST.micros() / 1_000),
        _ => DEAREST,
    }
}

/// So much the whole lease of a block may cost at most.
const DEAREST_LEASE: i128 = 1_000_000_000;

/// So much an account may use up in an hour at most: in ten years that is less than a column holds.
const MOST_PER_HOUR: i64 = 1_000_000;

/// Whether a block could cost more than its row can hold.
fn leases(catalog: &Catalog) -> impl Iterator<Item = String> + '_ {
    catalog.flavors.iter().filter_map(|flavor| {
        let spot = flavor.spot.as_ref()?;
        let (most, id) = (spot.max_periods, &flavor.id);
        let longest = spot.prices.iter().enumerate().flat_map(|(at, prices)| {
            let hours = if at == 5 { 6 * i128::from(most) } else { at as i128 + 1 };
            prices.iter().map(move |dated| hours * i128::from(dated.price.micros()))
        });
        let too_dear = longest.max().is_some_and(|lease| lease > DEAREST_LEASE * 1_000_000);
        let what =
            format!("with max_periods = {most} a whole lease would cost more than {DEAREST_LEASE}; sell fewer periods");
        too_dear.then(|| format!("flavor {id}: spot.prices: {what}"))
    })
}

/// Whether all that an account may have could cost more than can be written down.
fn burn(catalog: &Catalog) -> Option<String> {
    let prices = catalog.flavors.iter().filter_map(|flavor| {
        let spot = flavor.spot.iter().flat_map(|spot| &spot.prices);
        spot.chain(&flavor.on_demand).flat_map(Prices::iter).map(|dated| dated.price).max()
    });
    let disk = catalog.disk_price().iter().map(|dated| dated.price).max().unwrap_or_default();
    let dearest = i128::from(prices.max().unwrap_or_default().micros()) + i128::from(disk.micros());
    let most = catalog.limits.instances_per_account;
    let per_hour = dearest * i128::from(most);
    (per_hour > i128::from(MOST_PER_HOUR) * 1_000_000).then(|| {
        let dearest = Price::from_micros(dearest.min(i64::MAX.into()) as i64);
        format!(
            "limits: instances_per_account = {most} of the dearest instances, at {dearest} with its disk, cost an account more than \
             {MOST_PER_HOUR} an hour; allow fewer"
        )
    })
}

/// What is on sale and has no price yet at this second.
pub fn gaps(catalog: &Catalog, now: Second) -> Vec<String> {
    let late = items(catalog).into_iter().filter_map(|(item, prices)| {
        let from = prices.first().from.filter(|from| *from > now)?;
        let (table, key) = item.place();
        let way_out = "begin the list with the price until then, without `from`";
        Some(format!("{table}: {key}: it has no price before {from}; {way_out}"))
    });
    late.collect()
}
