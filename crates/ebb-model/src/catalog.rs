//! What is for sale, where, at which price and under which limits? All of it data (rules, introduction).

use crate::calendar::Calendar;
use crate::currency;
use crate::money::{AMOUNT_PER_UNIT, Amount, Price};
use crate::person::PersonTerms;
use crate::pool;
use crate::price::Prices;
use crate::price_book;
use crate::resources::Resources;
use crate::trial::Holder;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// The most kinds of resources that a catalog may have.
pub const KINDS: usize = 8;

/// The kind of which a system disk takes room; the part of it that an economical stop leaves.
pub const SYSTEM_DISK: &str = "disk_gib";

/// The most that anything may cost: per hour, per month or per GB.
pub const DEAREST: Price = Price::from_micros(1_000_000 * 1_000_000);

/// The price book, the places and the limits of one installation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// ISO 4217; one installation has one.
    pub currency: String,
    pub time_zone: Calendar,
    pub limits: Limits,
    pub system_disk: SystemDisk,
    /// Absent: none are sold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_disk: Option<DataDisk>,
    #[serde(rename = "region")]
    pub regions: Vec<Region>,
    #[serde(rename = "zone")]
    pub zones: Vec<Zone>,
    #[serde(rename = "flavor")]
    pub flavors: Vec<Flavor>,
    #[serde(rename = "image")]
    pub images: Vec<Image>,
    pub trial: Trials,
    /// Which accounts are one person (rules §3.2).
    #[serde(default)]
    pub person: PersonTerms,
    /// How changes of prices are told of (rules §5.3).
    #[serde(default)]
    pub prices: PriceTerms,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PriceTerms {
    /// Who uses something is told so many days before its price changes.
    pub announce_days: i64,
}

impl Default for PriceTerms {
    fn default() -> Self {
        Self { announce_days: 7 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// From an interruption notice to the release.
    pub notice_seconds: i64,
    /// A first start that takes longer is given up, uncharged.
    pub boot_timeout_seconds: i64,
    /// From the power button to the power switch.
    pub stop_timeout_seconds: i64,
    /// How long a firm order waits for its room to be cleared, beyond the notice.
    pub firm_wait_seconds: i64,
    pub instances_per_account: i64,
    /// Whether buying on demand or a block needs money for its first hour or period (rules §5.2).
    pub hold: bool,
    /// Whether a trial that finds no room takes it from spot blocks, as an on-demand instance does.
    #[serde(default)]
    pub trial_takes_room: bool,
    /// A host that was not heard for so long may be declared lost.
    #[serde(default = "host_lost_seconds")]
    pub host_lost_seconds: i64,
    /// A clock that runs further ahead of the machine's own time at once is not believed (rules §1.5).
    #[serde(default = "clock_jump_seconds")]
    pub clock_jump_seconds: i64,
    /// A firm order that caused a notice is charged for at least so long (rules §2.11).
    #[serde(default = "taking_minimum_seconds")]
    pub taking_minimum_seconds: i64,
    /// So many orders of an account may cause notices in an hour.
    #[serde(default = "takings_per_hour")]
    pub takings_per_hour: i64,
    /// So many seconds of drills are free per person and calendar month, and so many drills a day are taken (rules §2.10).
    #[serde(default = "drill_free_seconds")]
    pub drill_free_seconds: i64,
    /// Of what a block was charged before its drill, at most so many percent are free; no such bound if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill_free_percent: Option<i64>,
    #[serde(default = "drills_per_day")]
    pub drills_per_day: i64,
    /// All accounts together, so that drills leave room for what is not rehearsed.
    #[serde(default = "drills_per_minute")]
    pub drills_per_minute: i64,
    /// The most that an account may have in spot blocks: `instances`, and any resource by its name.
    #[serde(default)]
    pub spot_per_account: Resources,
    /// Whether a block may be sold though its lease goes beyond the next known return of its host.
    #[serde(default)]
    pub sell_beyond_return: bool,
    #[serde(default)]
    pub subscription: SubscriptionLimits,
    /// Who has a spending cap is warned once so many percent of it are payable (rules §3.8).
    #[serde(default = "cap_warn_percent")]
    pub cap_warn_percent: i64,
    #[serde(default)]
    pub arrears: ArrearsLimits,
    /// Whose voucher expires is warned so many days before (rules §5.1).
    #[serde(default = "voucher_warn_days")]
    pub voucher_warn_days: i64,
    /// So many images of its own an account may have …
    #[serde(default = "images_per_account")]
    pub images_per_account: i64,
    /// … and so large one may be, in GiB.
    #[serde(default = "image_gib")]
    pub image_gib: i64,
    /// Public addresses not yet released.
    #[serde(default = "addresses_per_account")]
    pub addresses_per_account: i64,
    /// So many of them may lead to one instance.
    #[serde(default = "addresses_per_instance")]
    pub addresses_per_instance: i64,
    /// So many Mbit/s may be bought for one.
    #[serde(default = "mbit_per_address")]
    pub mbit_per_address: i64,
    /// Its default group is one of them.
    #[serde(default = "security_groups_per_account")]
    pub security_groups_per_account: i64,
    #[serde(default = "rules_per_security_group")]
    pub rules_per_security_group: i64,
    /// So many of them may say together what comes in to one instance.
    #[serde(default = "security_groups_per_instance")]
    pub security_groups_per_instance: i64,
    /// The most data disks, GiB of them together, and snapshots that an account may have.
    #[serde(default = "disks_per_account")]
    pub disks_per_account: i64,
    #[serde(default = "disk_gib_per_account")]
    pub disk_gib_per_account: i64,
    #[serde(default = "snapshots_per_account")]
    pub snapshots_per_account: i64,
}

fn images_per_account() -> i64 {
    20
}

fn image_gib() -> i64 {
    512
}

fn addresses_per_account() -> i64 {
    20
}

fn addresses_per_instance() -> i64 {
    5
}

fn mbit_per_address() -> i64 {
    200
}

fn security_groups_per_account() -> i64 {
    20
}

fn rules_per_security_group() -> i64 {
    50
}

fn security_groups_per_instance() -> i64 {
    5
}

fn disks_per_account() -> i64 {
    200
}

fn disk_gib_per_account() -> i64 {
    32_768
}

fn snapshots_per_account() -> i64 {
    500
}

fn clock_jump_seconds() -> i64 {
    60
}

fn voucher_warn_days() -> i64 {
    7
}

fn cap_warn_percent() -> i64 {
    80
}

/// For how long subscriptions are sold, and what becomes of them afterwards (rules §4.3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SubscriptionLimits {
    /// So far ahead one is paid at most.
    pub max_months: i64,
    /// So long it is kept after its end, switched off and not charged; then it is released.
    pub keep_days: i64,
    /// Its owner is warned so many days before its end.
    pub warn_days_before: BTreeSet<i64>,
}

impl Default for SubscriptionLimits {
    fn default() -> Self {
        Self { max_months: 36, keep_days: 15, warn_days_before: [7, 1].into() }
    }
}

/// How long, and how much, an account may owe before it is frozen, and how long it is frozen before all goes (rules §5.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArrearsLimits {
    /// So long everything runs and is charged …
    pub grace_days: i64,
    /// … less what earlier arrears took of it within so many days.
    pub window_days: i64,
    /// Grace ends before with the last second for which no more than this is owed.
    pub debt_limit: Amount,
    /// So long it is frozen; then what was frozen is released.
    pub frozen_days: i64,
    /// Its owner is warned so many days before either.
    pub warn_days_before: BTreeSet<i64>,
}

impl Default for ArrearsLimits {
    fn default() -> Self {
        let debt_limit = Amount::from_units(100 * AMOUNT_PER_UNIT);
        Self { grace_days: 15, window_days: 90, debt_limit, frozen_days: 15, warn_days_before: [3, 1].into() }
    }
}

fn host_lost_seconds() -> i64 {
    300
}

fn taking_minimum_seconds() -> i64 {
    600
}

fn takings_per_hour() -> i64 {
    100
}

fn drill_free_seconds() -> i64 {
    36_000
}

fn drills_per_day() -> i64 {
    1_000
}

fn drills_per_minute() -> i64 {
    600
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemDisk {
    pub gib: i64,
    /// Per GiB and hour.
    pub price: Prices,
    /// Per GiB and month, as part of a subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<Prices>,
}

/// Data disks, and what may be made of disks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataDisk {
    /// Per GiB and hour, attached or not.
    pub price: Prices,
    /// Of a snapshot, per GiB of its disk and hour; absent: none are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Prices>,
    /// The largest that is sold.
    #[serde(default = "largest_disk_gib")]
    pub largest_gib: i64,
}

fn largest_disk_gib() -> i64 {
    32_768
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    pub id: String,
    pub name: String,
    /// Per GB that leaves a public address; absent: there are none to be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Prices>,
    /// Per Mbit/s and hour of a public address that is paid by its bandwidth; absent: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Prices>,
    /// Its traffic takes the trial's pool for overseas first (rules §3.6).
    #[serde(default)]
    pub overseas: bool,
    /// Guests have their private addresses of it, whoever's they are (rules §4.5).
    #[serde(default = "private_range")]
    pub private_range: Ipv4Net,
    /// All addresses of these are given to those who want public ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub public_addresses: Vec<Ipv4Net>,
}

fn private_range() -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(10, 64, 0, 0), 10)
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    pub id: String,
    pub region: String,
    /// Flavors that must fit at once beside everything sold as spot (rules §2.5).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reserve: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flavor {
    pub id: String,
    pub resources: Resources,
    /// Per hour, on demand and in a trial; absent: sold as spot block only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_demand: Option<Prices>,
    /// Per month, without its system disk; absent: not sold as a subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<Prices>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot: Option<SpotOffer>,
}

/// A flavor on sale as a spot block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpotOffer {
    /// Price per hour of a block of `hours` = 1, 2, … 6: `prices[hours - 1]`; its length is the longest on sale.
    pub prices: Vec<Prices>,
    pub max_periods: i64,
    /// Zones in which less is on sale.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub zones: BTreeMap<String, SpotTerms>,
}

/// What of a spot offer is on sale in one zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpotTerms {
    #[serde(default)]
    pub state: SpotState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_hours: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_periods: Option<i64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpotState {
    #[default]
    Normal,
    SoldOut,
    Off,
}

impl SpotState {
    pub fn name(self) -> &'static str {
        match self {
            SpotState::Normal => "normal",
            SpotState::SoldOut => "sold-out",
            SpotState::Off => "off",
        }
    }
}

impl SpotOffer {
    /// What is on sale in a zone: its state, the longest `hours` and the largest `periods`.
    pub fn in_zone(&self, zone: &str) -> (SpotState, i64, i64) {
        let longest = self.prices.len() as i64;
        let terms = self.zones.get(zone);
        let hours = terms.and_then(|terms| terms.max_hours).map_or(longest, |most| most.min(longest));
        let periods =
            terms.and_then(|terms| terms.max_periods).map_or(self.max_periods, |most| most.min(self.max_periods));
        (terms.map_or(SpotState::Normal, |terms| terms.state), hours, periods)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    pub id: String,
    pub name: String,
    /// From a marketplace: not for spot blocks (rules §2.1).
    #[serde(default)]
    pub marketplace: bool,
    /// Its guests need at least so much memory …
    #[serde(default)]
    pub memory_mib: i64,
    /// … and a system disk of so many GiB.
    #[serde(default)]
    pub gib: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trials {
    /// Regions in which a grant pays.
    pub regions: BTreeSet<String>,
    /// After a release nothing starts any more below this share of the grant …
    pub least_left_percent: i64,
    /// … or with this much or less left of the hour's cap.
    pub least_of_hour: Amount,
    /// Its owner is warned once less than this share of the grant is left (rules §3.7) …
    #[serde(default = "warn_below_percent")]
    pub warn_below_percent: i64,
    /// … and so many days before the end of its validity.
    #[serde(default = "warn_days_before")]
    pub warn_days_before: BTreeSet<i64>,
    /// Of public addresses, free in each calendar month that a grant's validity touches.
    #[serde(default)]
    pub traffic: TrafficAllowance,
    pub individual: Trial,
    pub enterprise: Trial,
}

/// How much may leave all public addresses of an account in a month before it is charged (rules §3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrafficAllowance {
    /// Wherever it leaves.
    pub anywhere_gb: i64,
    /// From regions overseas only; taken before the other.
    pub overseas_gb: i64,
}

impl Default for TrafficAllowance {
    fn default() -> Self {
        Self { anywhere_gb: 20, overseas_gb: 180 }
    }
}

fn warn_below_percent() -> i64 {
    20
}

fn warn_days_before() -> BTreeSet<i64> {
    [7, 1].into()
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    pub amount: Amount,
    /// The most that the grant pays per clock hour.
    pub hourly_cap: Price,
    pub months: i64,
    pub flavors: BTreeSet<String>,
    /// Regions with a list of their own.
    #[serde(default)]
    pub flavors_in: BTreeMap<String, BTreeSet<String>>,
}

impl Trial {
    pub fn covers(&self, region: &str, flavor: &str) -> bool {
        self.flavors_in.get(region).unwrap_or(&self.flavors).contains(flavor)
    }
}

impl Catalog {
    pub fn flavor(&self, id: &str) -> Option<&Flavor> {
        self.flavors.iter().find(|f| f.id == id)
    }

    pub fn zone(&self, id: &str) -> Option<&Zone> {
        self.zones.iter().find(|z| z.id == id)
    }

    pub fn region(&self, id: &str) -> Option<&Region> {
        self.regions.iter().find(|r| r.id == id)
    }

    pub fn trial(&self, holder: Holder) -> &Trial {
        match holder {
            Holder::Individual => &self.trial.individual,
            Holder::Enterprise => &self.trial.enterprise,
        }
    }

    /// The kinds of resources that are sold, in the order in which they are compared.
    pub fn kinds(&self) -> BTreeSet<&str> {
        self.flavors
            .iter()
            .flat_map(|flavor| flavor.resources.iter().map(|(kind, _)| kind))
            .chain([SYSTEM_DISK])
            .collect()
    }

    /// What an instance of a flavor needs, its system disk included.
    pub fn needs(&self, flavor: &Flavor) -> Resources {
        let mut resources = flavor.resources.clone();
        resources.set(SYSTEM_DISK, self.system_disk.gib);
        resources
    }

    /// Price per hour of a system disk.
    pub fn disk_price(&self) -> Prices {
        self.system_disk.price.times(self.system_disk.gib)
    }

    /// Price per month of a flavor with a system disk of so many GiB, if it is sold as a subscription.
    pub fn month_price(&self, flavor: &Flavor, disk_gib: i64) -> Option<Prices> {
        let disk = self.system_disk.subscription.as_ref()?.times(disk_gib);
        Some(flavor.subscription.as_ref()?.plus(&disk))
    }

    /// Everything that is wrong with it, in words for the operator; empty when it can be used.
    pub fn problems(&self) -> Vec<String> {
        let mut found = vec![];
        let mut check = |right: bool, problem: String| {
            if !right {
                found.push(problem);
            }
        };
        let region = |id: &str| self.regions.iter().any(|r| r.id == id);
        let twice = |what: &str, ids: Vec<&str>| {
            let again = |at: &usize| ids[..*at].contains(&ids[*at]);
            let found = (1..ids.len()).find(again);
            found.map(|at| format!("{what} {}: id: two {what}s share it", ids[at]))
        };
        let sane = |price: Price| (0..=DEAREST.micros()).contains(&price.micros());
        let all_sane = |prices: &Prices| prices.iter().all(|dated| sane(dated.price));

        let known = currency::is_known(&self.currency);
        check(known, format!("currency `{}` is no code of ISO 4217 that is in use, such as CNY", self.currency));
        let again = twice("region", self.regions.iter().map(|one| one.id.as_str()).collect());
        check(again.is_none(), again.unwrap_or_default());
        let again = twice("zone", self.zones.iter().map(|one| one.id.as_str()).collect());
        check(again.is_none(), again.unwrap_or_default());
        let again = twice("flavor", self.flavors.iter().map(|one| one.id.as_str()).collect());
        check(again.is_none(), again.unwrap_or_default());
        check(!self.images.is_empty(), "there is no image".into());
        for Image { id, memory_mib, gib, .. } in &self.images {
            let disk = self.system_disk.gib;
            check((0..=disk).contains(gib), format!("image {id}: gib: 0 to {disk}, as large as all system disks are"));
            let fits = |flavor: &Flavor| flavor.resources.get("memory_mib") >= *memory_mib;
            let sold = *memory_mib >= 0 && self.flavors.iter().any(fits);
            check(sold, format!("image {id}: memory_mib: no flavor has {memory_mib} MiB"));
        }
        let kinds = self.kinds();
        check(kinds.len() <= KINDS, format!("flavors have {} kinds of resources, more than {KINDS}", kinds.len()));
        for zone in &self.zones {
            for id in &zone.reserve {
                check(
                    self.flavor(id).is_some(),
                    format!("zone {}: reserve: flavor `{id}` is not in the catalog", zone.id),
                );
            }
            check(region(&zone.region), format!("zone {}: region `{}` is not in the catalog", zone.id, zone.region));
        }
        for flavor in &self.flavors {
            let id = &flavor.id;
            check(flavor.resources.iter().all(|(_, n)| n > 0), format!("flavor {id}: a resource is not above 0"));
            for need in ["vcpu", "memory_mib"] {
                check(flavor.resources.get(need) > 0, format!("flavor {id}: `{need}` is missing"));
            }
            if flavor.subscription.is_some() {
                let month = self.month_price(flavor, self.system_disk.gib);
                check(
                    month.is_some_and(|month| all_sane(&month)),
                    format!("flavor {id}: subscription with its system disk is not from 0 to 1000000 a month"),
                );
            }
            if let Some(spot) = &flavor.spot {
                let lengths = (1..=6).contains(&spot.prices.len());
                check(lengths, format!("flavor {id}: spot prices are for 1 to 6 hours, {} given", spot.prices.len()));
                let six = spot.max_periods == 1 || spot.prices.len() == 6;
                check(
                    spot.max_periods >= 1 && six,
                    format!("flavor {id}: more than one period needs a price for 6 hours"),
                );
                check(spot.max_periods <= 10_000, format!("flavor {id}: max_periods is above 10000"));
                for (zone, terms) in &spot.zones {
                    check(
                        self.zone(zone).is_some(),
                        format!("flavor {id}: spot.zones: `{zone}` is not in the catalog"),
                    );
                    let sane = |most: Option<i64>| most.is_none_or(|most| most >= 1);
                    check(
                        sane(terms.max_hours) && sane(terms.max_periods),
                        format!("flavor {id}: spot.zones.{zone}: max_hours and max_periods are 1 or more"),
                    );
                }
            }
        }
        check(all_sane(&self.disk_price()), "system_disk: the price of gib GiB is not from 0 to 1000000".into());
        check(self.system_disk.gib > 0, "system_disk: gib is not above 0".into());
        if let Some(disk) = &self.data_disk {
            check((1..=65_536).contains(&disk.largest_gib), "data_disk: largest_gib is not from 1 to 65536".into());
            let all = |prices: &Prices, gib: i64| all_sane(prices) && all_sane(&prices.times(gib));
            let fits = all(&disk.price, disk.largest_gib);
            check(fits, "data_disk: the price of the largest disk is not from 0 to 1000000 an hour".into());
            let fits =
                disk.snapshot.as_ref().is_none_or(|prices| all(prices, disk.largest_gib.max(self.system_disk.gib)));
            check(fits, "data_disk: the snapshot of the largest disk is not from 0 to 1000000 an hour".into());
        }
        let limits = &self.limits;
        for (name, value, least) in [
            ("notice_seconds", limits.notice_seconds, 0),
            ("boot_timeout_seconds", limits.boot_timeout_seconds, 1),
            ("stop_timeout_seconds", limits.stop_timeout_seconds, 1),
            ("firm_wait_seconds", limits.firm_wait_seconds, 1),
            ("instances_per_account", limits.instances_per_account, 0),
            ("host_lost_seconds", limits.host_lost_seconds, 1),
            ("clock_jump_seconds", limits.clock_jump_seconds, 1),
            ("taking_minimum_seconds", limits.taking_minimum_seconds, 0),
            ("takings_per_hour", limits.takings_per_hour, 0),
            ("drill_free_seconds", limits.drill_free_seconds, 0),
            ("drill_free_percent", limits.drill_free_percent.unwrap_or(0), 0),
            ("drills_per_day", limits.drills_per_day, 0),
            ("drills_per_minute", limits.drills_per_minute, 0),
            ("addresses_per_account", limits.addresses_per_account, 0),
            ("addresses_per_instance", limits.addresses_per_instance, 0),
            ("mbit_per_address", limits.mbit_per_address, 1),
            ("security_groups_per_account", limits.security_groups_per_account, 1),
            ("rules_per_security_group", limits.rules_per_security_group, 0),
            ("security_groups_per_instance", limits.security_groups_per_instance, 1),
            ("disks_per_account", limits.disks_per_account, 0),
            ("disk_gib_per_account", limits.disk_gib_per_account, 0),
            ("snapshots_per_account", limits.snapshots_per_account, 0),
            ("images_per_account", limits.images_per_account, 0),
            ("image_gib", limits.image_gib, 1),
        ] {
            check(
                (least..=86_400 * 366).contains(&value),
                format!("limits: {name} = {value} is not from {least} to a year"),
            );
        }
        let months = &limits.subscription;
        let right = (1..=60).contains(&months.max_months) && (0..=366).contains(&months.keep_days);
        check(right, "limits.subscription: max_months is 1 to 60, keep_days 0 to 366".into());
        // No month is shorter than 28 days, so a warning always lies within what is paid.
        let days = months.warn_days_before.iter().all(|days| (1..=27).contains(days));
        check(days, "limits.subscription: warn_days_before has days that are not from 1 to 27".into());
        let share = (1..=100).contains(&limits.cap_warn_percent);
        let days = limits.voucher_warn_days;
        check((0..=365).contains(&days), format!("limits: voucher_warn_days = {days} is not from 0 to 365"));
        check(share, format!("limits: cap_warn_percent = {} is not from 1 to 100", limits.cap_warn_percent));
        let arrears = &limits.arrears;
        for (name, days) in [
            ("grace_days", arrears.grace_days),
            ("window_days", arrears.window_days),
            ("frozen_days", arrears.frozen_days),
        ] {
            check((0..=366).contains(&days), format!("limits.arrears: {name} = {days} is not from 0 to 366"));
        }
        let most = 1_000_000_000 * AMOUNT_PER_UNIT;
        let right = (0..=most).contains(&arrears.debt_limit.units());
        check(right, "limits.arrears: debt_limit is not from 0 to 1000000000".into());
        let days = arrears.warn_days_before.iter().all(|days| (1..=366).contains(days));
        check(days, "limits.arrears: warn_days_before has days that are not from 1 to 366".into());
        for id in &self.trial.regions {
            check(region(id), format!("trial: region `{id}` is not in the catalog"));
        }
        let share = (0..=100).contains(&self.trial.least_left_percent);
        check(share, "trial: least_left_percent is not from 0 to 100".into());
        let share = (0..=100).contains(&self.trial.warn_below_percent);
        check(share, "trial: warn_below_percent is not from 0 to 100".into());
        let days = (0..=366).contains(&self.prices.announce_days);
        check(days, format!("prices: announce_days = {} is not from 0 to 366", self.prices.announce_days));
        let TrafficAllowance { anywhere_gb, overseas_gb } = self.trial.traffic;
        for (name, gb) in [("anywhere_gb", anywhere_gb), ("overseas_gb", overseas_gb)] {
            check((0..=1_000_000_000).contains(&gb), format!("trial.traffic: {name} is not from 0 to 1000000000"));
        }
        let days = self.trial.warn_days_before.iter().all(|days| (1..=366).contains(days));
        check(days, "trial: warn_days_before has days that are not from 1 to 366".into());
        check(self.trial.least_of_hour.units() >= 0, "trial: least_of_hour is negative".into());
        for (holder, trial) in [("individual", &self.trial.individual), ("enterprise", &self.trial.enterprise)] {
            let lists = trial.flavors_in.values().flatten().chain(&trial.flavors);
            for id in lists {
                let sold = self.flavor(id).is_some_and(|f| f.on_demand.is_some());
                check(sold, format!("trial.{holder}: flavor `{id}` is not on sale on demand"));
            }
            check(
                (0..=1_000_000_000 * AMOUNT_PER_UNIT).contains(&trial.amount.units()) && sane(trial.hourly_cap),
                format!("trial.{holder}: a negative or huge amount"),
            );
            check((1..=120).contains(&trial.months), format!("trial.{holder}: months is not from 1 to 120"));
        }
        found.extend(pool::problems(self));
        found.extend(self.person.problems());
        found.extend(price_book::problems(self));
        found
    }
}
