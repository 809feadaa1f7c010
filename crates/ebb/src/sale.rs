//! `ebb catalog`, `ebb quote` and `ebb buy`: what is for sale, what does it cost, and how is it bought?

use crate::failure::Failure;
use crate::instances;
use crate::session::Session;
use crate::table::{Table, facts, instant};
use crate::wait::{Until, wait};
use crate::which;
use ebb_wire::catalog::{Catalog, ComingPrice, Quote};
use ebb_wire::disk::NewDisk;
use ebb_wire::instance::{Buy, Instance};
use std::path::PathBuf;

/// What to buy: a flavor, under one of the purchase options.
#[derive(Debug, clap::Args)]
pub struct Order {
    /// How large: a flavor of the catalog, such as c6.large.2
    flavor: String,
    /// As a spot block of so many hours: cheap, and free for the current period if the operator takes it back
    #[arg(long, value_name = "HOURS", conflicts_with = "trial", allow_negative_numbers = true)]
    spot: Option<i64>,
    /// Under the account's trial grant
    #[arg(long)]
    trial: bool,
    /// As a subscription: so many months paid in advance from the balance, as soon as it runs
    #[arg(long, value_name = "MONTHS", conflicts_with_all = ["trial", "spot"], allow_negative_numbers = true)]
    months: Option<i64>,
    /// Guarantee periods of a spot block, one after the other [default: 1]
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    periods: Option<i64>,
    /// Where [default: the catalog's first zone that fits the option]
    #[arg(long)]
    zone: Option<String>,
    /// What the system disk begins with: an image of the catalog, or one of your own by id or name [default: the catalog's first]
    #[arg(long)]
    image: Option<String>,
    /// Refuse if the price per hour, or per month with --months, is another by now; `ebb quote` shows it
    #[arg(long, value_name = "PRICE")]
    expected_price: Option<String>,
    /// A word of yours by which it is found again, such as fleet=render; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = tag)]
    tag: Vec<(String, String)>,
    /// With a new data disk of so many GiB; may be repeated
    #[arg(long, value_name = "GIB", allow_negative_numbers = true)]
    data_disk: Vec<i64>,
    /// With a data disk that is there already, by id, start of an id, or name: on its host; may be repeated
    #[arg(long, value_name = "DISK")]
    attach: Vec<String>,
    /// Let its data disks go with it
    #[arg(long)]
    release_data_disks: bool,
    /// With a public address, paid by what leaves it
    #[arg(long)]
    public_ip: bool,
    /// With a public address that is paid by so many Mbit/s of bandwidth instead
    #[arg(long, value_name = "MBIT", allow_negative_numbers = true)]
    public_ip_mbit: Option<i64>,
    /// Let its public address go with it
    #[arg(long)]
    release_public_ip: bool,
}

/// `NAME=VALUE`.
pub fn tag(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    parts.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| "write it as NAME=VALUE".to_owned())
}

#[derive(Debug, clap::Args)]
pub struct BuyArgs {
    #[command(flatten)]
    order: Order,
    /// A name for it, also the guest's host name
    #[arg(long)]
    name: Option<String>,
    /// The key pair that may log in; `ebb key-pairs add` adds one
    #[arg(long, value_name = "NAME")]
    key_pair: Option<String>,
    /// A group that says what may come in through public addresses; may be repeated [default: default]
    #[arg(long, value_name = "NAME")]
    security_group: Vec<String>,
    /// A script (`#!`) that the guest runs once, at most 32 KiB
    #[arg(long, value_name = "FILE")]
    user_data: Option<PathBuf>,
    /// Come back when it runs
    #[arg(long)]
    wait: bool,
}

pub async fn catalog(session: &Session) -> Result<(), Failure> {
    let catalog: Catalog = session.client.get("/v1/catalog", &[]).await?;
    session.show(&catalog, catalog_text)
}

const BEYOND_RETURN: &str = "the host that has room goes back to its owner before the lease ends: then the block is taken back, its period free";

pub async fn quote(session: &Session, order: &Order) -> Result<(), Failure> {
    let quote: Quote = session.client.post("/v1/quote", &body(session, order).await?).await?;
    session.show(&quote, |quote| {
        let (currency, by_month) = (&quote.currency, quote.months.is_some());
        let by_hour = |price: &str| if by_month { String::new() } else { format!("{price} {currency} per hour") };
        facts(&[
            ("option", quote.option.clone()),
            ("vCPU and memory", by_hour(&quote.price)),
            ("system disk", by_hour(&quote.system_disk_price)),
            ("together", by_hour(&quote.price_per_hour_shown)),
            (
                "a month",
                if by_month { format!("{} {currency}, system disk included", quote.price) } else { String::new() },
            ),
            (
                "all months",
                quote.months_shown.as_ref().map(|p| format!("{p} {currency}, when it runs")).unwrap_or_default(),
            ),
            ("whole lease", quote.whole_lease_shown.as_ref().map(|p| format!("{p} {currency}")).unwrap_or_default()),
            ("traffic", quote.traffic_price.as_ref().map(|p| format!("{p} {currency} per GB")).unwrap_or_default()),
            (
                "data disks",
                quote.data_disks_price.as_ref().map(|p| format!("{p} {currency} per hour")).unwrap_or_default(),
            ),
            (
                "bandwidth",
                quote.bandwidth_price.as_ref().map(|p| format!("{p} {currency} per hour")).unwrap_or_default(),
            ),
            ("later", later_text(quote)),
            ("needed to buy", format!("{} {currency}", quote.hold)),
            (
                "of that by vouchers",
                quote.hold_vouchers.as_ref().map(|p| format!("{p} {currency}")).unwrap_or_default(),
            ),
            ("but", if quote.may_be_taken_back { BEYOND_RETURN } else { "" }.to_owned()),
            ("room", room_text(quote)),
            ("refused now", quote.refused.as_ref().map(|refused| refused.message.clone()).unwrap_or_default()),
        ])
    })
}

/// What it will cost from later dates on.
fn later_text(quote: &Quote) -> String {
    let one = |coming: &ComingPrice| {
        let ComingPrice { from, price, system_disk_price } = coming;
        format!("from {} on {price} and {system_disk_price}", instant(from))
    };
    quote.coming.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Whether there is room now, and for how long.
fn room_text(quote: &Quote) -> String {
    let now = match quote.available.as_str() {
        "now" => "there is room now",
        "after-notice" => "spot blocks would be told to make room",
        _ => "there is none now",
    };
    match (quote.hours_now, quote.periods_now) {
        (Some(0), _) | (None, _) => now.to_owned(),
        (Some(6), Some(periods)) if periods > 1 => format!("{now}; for at most 6 h × {periods}"),
        (Some(hours), _) => format!("{now}; for at most {hours} h"),
    }
}

pub async fn buy(session: &Session, args: &BuyArgs) -> Result<(), Failure> {
    let user_data = match &args.user_data {
        Some(path) => {
            let text =
                std::fs::read_to_string(path).map_err(Failure::io(format!("the user-data {}", path.display())))?;
            Some(text)
        }
        None => None,
    };
    let name = args.name.clone();
    let key_pair = args.key_pair.clone();
    let security_groups = args.security_group.clone();
    let order = Buy { name, key_pair, user_data, security_groups, ..body(session, &args.order).await? };
    let mut instance: Instance = session.client.post("/v1/instances", &order).await?;
    if args.wait {
        instance = wait(session, instance, Until::Running).await?;
    }
    session.show(&instance, instances::instance_text)
}

async fn body(session: &Session, order: &Order) -> Result<Buy, Failure> {
    let option = match (order.trial, order.spot, order.months) {
        (true, ..) => "trial",
        (false, Some(_), _) => "spot-block",
        (false, None, Some(_)) => "subscription",
        (false, None, None) => "on-demand",
    };
    let zone = match &order.zone {
        Some(zone) => zone.clone(),
        None => {
            let catalog: Catalog = session.client.get("/v1/catalog", &[]).await?;
            let fits = catalog.zones.into_iter().find(|zone| zone.trial || !order.trial);
            fits.ok_or_else(|| Failure::Outcome("no zone of the catalog is open to trials".to_owned()))?.id
        }
    };
    let image = match &order.image {
        Some(image) => Some(which::first_image(&session.client, image).await?),
        None => None,
    };
    let mut attach = vec![];
    for disk in &order.attach {
        attach.push(which::disk(&session.client, disk).await?);
    }
    Ok(Buy {
        data_disks: order.data_disk.iter().map(|gib| NewDisk { gib: *gib, name: None }).collect(),
        attach,
        option: option.to_owned(),
        zone,
        flavor: order.flavor.clone(),
        image,
        hours: order.spot,
        periods: order.periods,
        months: order.months,
        expected_price: order.expected_price.clone(),
        tags: order.tag.iter().cloned().collect(),
        keep_data_disks: order.release_data_disks.then_some(false),
        keep_public_ip: order.release_public_ip.then_some(false),
        public_ip: order.public_ip || order.public_ip_mbit.is_some(),
        public_ip_mbit: order.public_ip_mbit,
        ..Buy::default()
    })
}

fn catalog_text(catalog: &Catalog) -> String {
    let longest = catalog.flavors.iter().map(|flavor| flavor.spot.len()).max().unwrap_or(0);
    let mut flavors =
        Table::new(&["FLAVOR", "RESOURCES", "ON-DEMAND>", "MONTH>", "SPOT BLOCK BY HOURS", "PERIODS>", "TRIAL"]);
    for flavor in &catalog.flavors {
        let resources = flavor.resources.iter().map(|(name, amount)| format!("{name} {amount}"));
        flavors.row([
            flavor.id.clone(),
            resources.collect::<Vec<_>>().join(", "),
            flavor.on_demand.clone().unwrap_or_default(),
            flavor.subscription.clone().unwrap_or_default(),
            spot_prices(&flavor.spot),
            if flavor.spot.is_empty() { String::new() } else { flavor.spot_max_periods.to_string() },
            flavor.trial.join(", "),
        ]);
    }
    let mut zones = Table::new(&["ZONE", "REGION", "NAME", "TRIAL", "TRAFFIC, A GB>", "A MBIT/S>"]);
    for zone in &catalog.zones {
        let trial = if zone.trial { "yes" } else { "" };
        let traffic = zone.traffic.clone().unwrap_or_default();
        let bandwidth = zone.bandwidth.clone().unwrap_or_default();
        let (id, region, name) = (zone.id.clone(), zone.region.clone(), zone.region_name.clone());
        zones.row([id, region, name, trial.to_owned(), traffic, bandwidth]);
    }
    let mut images = Table::new(&["IMAGE", "NAME", "MEMORY MIB>"]);
    for image in &catalog.images {
        let memory = Some(image.memory_mib).filter(|mib| *mib > 0).map(|mib| mib.to_string());
        images.row([image.id.clone(), image.name.clone(), memory.unwrap_or_default()]);
    }
    let Catalog { currency, time_zone, notice_seconds, system_disk_gib, system_disk_price, .. } = catalog;
    let spot = if longest > 0 { format!("; a spot block's by its hours, 1 to {longest}") } else { String::new() };
    format!(
        "{}\n{}\n{}\nPrices in {currency} per hour{spot}. Each instance has a system disk of {system_disk_gib} GiB at {system_disk_price};\n\
         a subscription (MONTH) is paid in advance by the month, system disk included.\n\
         Full hours and days are those of {time_zone}. A reclaim is announced {notice_seconds} s before.\n",
        flavors.text("No flavors."),
        zones.text("No zones."),
        images.text("No images."),
    )
}

/// `1-5 h 0.07, 6 h 0.12`: neighbours of one price together.
pub fn spot_prices(prices: &[String]) -> String {
    let mut tiers: Vec<(usize, usize, &str)> = vec![];
    for (at, price) in prices.iter().enumerate() {
        match tiers.last_mut() {
            Some((_, last, same)) if same == price => *last = at + 1,
            _ => tiers.push((at + 1, at + 1, price)),
        }
    }
    let tier = |(first, last, price): &(usize, usize, &str)| match first == last {
        true => format!("{first} h {price}"),
        false => format!("{first}-{last} h {price}"),
    };
    tiers.iter().map(tier).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn neighbouring_prices_of_a_block_are_one_tier() {
        let prices: Vec<String> = ["0.07", "0.07", "0.07", "0.07", "0.07", "0.12"].map(str::to_owned).to_vec();
        assert_eq!(super::spot_prices(&prices), "1-5 h 0.07, 6 h 0.12");
        assert_eq!(super::spot_prices(&[]), "");
    }
}
