//! What is for sale, and a quote for it, as the API says it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Catalog {
    pub currency: String,
    pub time_zone: String,
    pub notice_seconds: i64,
    /// Of drills, per person and calendar month; and so many are taken per account and day.
    pub drill_free_seconds: i64,
    pub drills_per_day: i64,
    /// A firm order that made others go is charged for at least so long.
    #[serde(default)]
    pub taking_minimum_seconds: i64,
    /// So far ahead a subscription is paid at most, and so long it is kept after its end.
    #[serde(default)]
    pub subscription_max_months: i64,
    #[serde(default)]
    pub subscription_keep_days: i64,
    /// Its owner is warned so many days before its end.
    #[serde(default)]
    pub subscription_warn_days_before: Vec<i64>,
    /// A firm order waits for its room at most so long, and then for its first second; until then its months are held for.
    #[serde(default)]
    pub firm_wait_seconds: i64,
    #[serde(default)]
    pub boot_timeout_seconds: i64,
    /// Whose voucher expires is told so many days before.
    #[serde(default)]
    pub voucher_warn_days: i64,
    /// So long, and up to this debt, who owes may go on; what earlier arrears took of it within the window is not given again.
    #[serde(default)]
    pub arrears_grace_days: i64,
    #[serde(default)]
    pub arrears_window_days: i64,
    #[serde(default)]
    pub arrears_debt_limit: String,
    /// Then the account is frozen, and after so long what is frozen is released.
    #[serde(default)]
    pub arrears_frozen_days: i64,
    /// Its owner is warned so many days before either.
    #[serde(default)]
    pub arrears_warn_days_before: Vec<i64>,
    pub system_disk_gib: i64,
    /// Per hour.
    pub system_disk_price: String,
    pub zones: Vec<Zone>,
    pub flavors: Vec<Flavor>,
    /// Who uses something is told so many days before its price changes.
    #[serde(default)]
    pub price_announce_days: i64,
    /// The prices elsewhere in it are those of this instant.
    #[serde(default)]
    pub as_of: String,
    /// Every price with its date, also those that are over.
    #[serde(default)]
    pub prices: Vec<DatedPrice>,
    pub images: Vec<Image>,
    pub trials: Vec<TrialTerms>,
    /// GB that leave public addresses free in each calendar month of a trial: wherever, and from overseas.
    #[serde(default)]
    pub trial_traffic_anywhere_gb: i64,
    #[serde(default)]
    pub trial_traffic_overseas_gb: i64,
    /// Below so many percent of a pool its owner is told.
    #[serde(default)]
    pub trial_warn_below_percent: i64,
    /// Whether buying needs unbound money for the first hour, or one whole period of a block.
    pub hold: bool,
}

/// What a trial grants, and for what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrialTerms {
    /// `individual` or `enterprise`.
    pub holder: String,
    pub amount: String,
    /// The most that is paid per clock hour.
    pub hourly_cap: String,
    pub months: i64,
    pub flavors: Vec<String>,
    /// Regions with a list of their own.
    #[schema(value_type = std::collections::BTreeMap<String, Vec<String>>)]
    pub flavors_in: std::collections::BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Zone {
    pub id: String,
    pub region: String,
    pub region_name: String,
    pub trial: bool,
    /// Per GB that leaves a public address there; absent: there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<String>,
    /// Per Mbit/s and hour of one that is paid by its bandwidth; absent: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<String>,
    /// What leaves from there takes the trial's pool for overseas first.
    #[serde(default)]
    pub overseas: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Flavor {
    pub id: String,
    #[schema(value_type = std::collections::BTreeMap<String, i64>)]
    pub resources: std::collections::BTreeMap<String, i64>,
    /// Per hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_demand: Option<String>,
    /// Per month with its system disk, paid in advance; absent: not sold as a subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// Per hour of a spot block of 1, 2, … hours.
    pub spot: Vec<String>,
    pub spot_max_periods: i64,
    /// `individual`, `enterprise`: whose trial may run it (some regions have shorter lists).
    pub trial: Vec<String>,
}

/// One of the operator's, which everybody may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = CatalogImage)]
pub struct Image {
    pub id: String,
    pub name: String,
    /// Its guests need at least so much memory.
    #[serde(default)]
    pub memory_mib: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Quote {
    pub option: String,
    pub currency: String,
    /// Per hour of vCPU and memory, of a subscription per month with its system disk; pass it as `expected_price` when buying.
    pub price: String,
    /// Per hour; 0 of a subscription.
    pub system_disk_price: String,
    /// Both, per hour, in cents (half up, at least 0.01); 0.00 of a subscription.
    pub price_per_hour_shown: String,
    /// Of a subscription: so many months are paid at once …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub months: Option<i64>,
    /// … and so much for all of them, in cents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub months_shown: Option<String>,
    /// Both, for the whole lease of a block, in cents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole_lease_shown: Option<String>,
    /// Per GB that leaves its public address, if it is to have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_price: Option<String>,
    /// Per hour of all data disks that are to be made with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_disks_price: Option<String>,
    /// Per hour of its public address, if that is to be paid by bandwidth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth_price: Option<String>,
    /// The unbound money that buying needs.
    pub hold: String,
    /// What coupons and cards of the account would pay of that; absent without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_vouchers: Option<String>,
    /// A block that would be placed now on a host which goes back to its owner before the lease ends.
    #[serde(default)]
    pub may_be_taken_back: bool,
    /// `now`; `after-notice`: blocks would be told to make room; `no`: there is no room.
    pub available: String,
    /// Of a block: how long there is room for now, shorter before a shortage or the return of a host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours_now: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub periods_now: Option<i64>,
    /// What it will cost per hour from later dates on, as far as it is known; a block keeps its price.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coming: Vec<ComingPrice>,
    /// What the account would be refused for if it bought this now; absent where no rule stands against it, or the key is an operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
}

/// A price of the price book.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatedPrice {
    /// What it is of: `on-demand FLAVOR`, `spot-block FLAVOR 6h` and `system-disk` (a GiB) per hour, `subscription FLAVOR` and
    /// `subscription system-disk` per month, `traffic REGION` per GB, `bandwidth REGION` per Mbit/s and hour.
    pub item: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flavor: Option<String>,
    /// It holds from here on; from ever, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    pub price: String,
}

/// What an order will cost per hour from a date on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ComingPrice {
    pub from: String,
    pub price: String,
    pub system_disk_price: String,
}

/// A rule that stands against something, as the request itself would be answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    pub code: String,
    pub message: String,
}
