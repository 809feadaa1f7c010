//! Instances, as the API says them.

use crate::disk::NewDisk;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// An order. `hours` and `periods` belong to spot blocks; both are 1 if not given. `months` belongs to subscriptions, which need it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Buy {
    /// `on-demand`, `trial`, `spot-block` or `subscription`.
    #[schema(example = "spot-block")]
    pub option: String,
    #[schema(example = "cn-north-1a")]
    pub zone: String,
    #[schema(example = "c6.large.2")]
    pub flavor: String,
    /// The catalog's first image if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 6)]
    pub hours: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub periods: Option<i64>,
    /// Paid from the balance as soon as it runs, and held back until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub months: Option<i64>,
    /// Refused when the price is another by now; of a subscription that of a month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_price: Option<String>,
    /// Also the guest's host name, as far as its characters allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100)]
    pub name: Option<String>,
    /// The name of a key pair of the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_pair: Option<String>,
    /// At most 32 KiB; a script (`#!`) is run once by the guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 32768)]
    pub user_data: Option<String>,
    /// Words of yours by which fleets are found, such as `{"fleet": "render"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub tags: BTreeMap<String, String>,
    /// Whether data disks stay, and go on being charged, when the instance goes; true if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_data_disks: Option<bool>,
    /// The same of its public address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_public_ip: Option<bool>,
    /// With a public address, paid by what leaves it; where the catalog has a price of traffic.
    #[serde(default)]
    pub public_ip: bool,
    /// The public address is paid by so many Mbit/s of bandwidth instead, whatever leaves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub public_ip_mbit: Option<i64>,
    /// What may come in to it, by name or id: one to five groups of the account; `default` if none is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<String>,
    /// With new data disks, which are charged from its first second on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_disks: Vec<NewDisk>,
    /// The ids of data disks of the account that it is to have: it is placed on their host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attach: Vec<String>,
    /// Not for spot blocks, and not offered otherwise.
    #[serde(default)]
    pub auto_recovery: bool,
}

/// How an instance is stopped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Its room, all but the disk, is given back and not charged from the second in which it is off; its start may be refused.
    #[serde(default)]
    pub economical: bool,
}

/// A password of root, from the next start on.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetPassword {
    /// 8 to 72 visible ASCII characters, of at least three kinds.
    #[schema(example = "Correct-horse7")]
    pub password: String,
}

/// A system disk made anew at the next start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceSystemDisk {
    /// The same image as before, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// Another flavor for a stopped instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    #[schema(example = "c6.xlarge.2")]
    pub flavor: String,
    /// Says only what the answer would be.
    #[serde(default)]
    pub quote: bool,
}

/// An instance of its new flavor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Resized {
    pub instance: Instance,
    /// Per hour of vCPU and memory, up to the resize.
    pub price_before: String,
    /// Of a trial: what its grant pays from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialShare>,
}

/// What an hour of all trial instances of the account costs if all of them run, system disks included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrialShare {
    /// Whether the grant may pay for the resized one: its flavor is on the list, and the grant is valid.
    pub covered: bool,
    /// The most that the grant pays of an hour.
    pub hourly_cap: String,
    pub covered_per_hour: String,
    /// What of that is above the cap, and payable.
    pub above_cap_per_hour: String,
    /// What is not on the grant's list, and payable.
    pub uncovered_per_hour: String,
}

/// How an instance is to be sold from now on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Convert {
    /// `on-demand` (a trial instance) or `subscription` (a trial or on-demand instance).
    #[schema(example = "subscription")]
    pub to: String,
    /// Of a subscription: so many months are paid now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub months: Option<i64>,
    /// Of a subscription: refused when the price per month is another by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_price: Option<String>,
    /// Says only what the answer would be.
    #[serde(default)]
    pub quote: bool,
}

/// More months of a subscription.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Renew {
    #[schema(minimum = 1)]
    pub months: i64,
    /// Refused when the price per month is another by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_price: Option<String>,
    /// Says only what the answer would be.
    #[serde(default)]
    pub quote: bool,
}

/// An instance that is sold otherwise, or for longer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Converted {
    pub instance: Instance,
    /// The option that it had.
    pub from: String,
    pub currency: String,
    /// What is paid now; absent where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<Payment>,
    /// Held back for its first hour on demand.
    pub hold: String,
    /// Cash less holds, afterwards.
    pub available: String,
}

/// Months that are paid at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Payment {
    pub months: i64,
    /// Per month, with the system disk; pass it as `expected_price`.
    pub price: String,
    /// `months` × `price`. Nothing of it is given back.
    pub amount: String,
    pub since: String,
    pub until: String,
}

/// For how long an instance is paid in advance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PaidMonths {
    /// Per month, with the system disk, as it was when it was paid last.
    pub price: String,
    /// Paid without a gap since then, for so many months.
    pub since: String,
    pub months: i64,
    pub until: String,
    /// Its time is over: it is switched off, costs nothing, and is released at `kept_until` unless it is renewed.
    pub ended: bool,
    pub kept_until: String,
    /// At its end so many more months are paid, if the money is there then; absent: it just ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews: Option<i64>,
}

/// Whether a subscription renews itself at its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChooseRenewal {
    pub auto: bool,
    /// For so many months, each time; 1 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub months: Option<i64>,
}

/// How a subscription will end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Renewal {
    pub instance: Instance,
    pub currency: String,
    /// What is paid in the second of its end, by the prices that are entered, if the money is there then; absent: it just ends, or
    /// does not run yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<Payment>,
    /// What would be there for that now: cash, coupons and cards that may pay it, less holds.
    pub available: String,
}

/// How a spot block is taken back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeBack {
    /// No notice: the release begins at once.
    #[serde(default)]
    pub urgent: bool,
    /// For a breach of the terms: charged like a delete, and without a notice.
    #[serde(default)]
    pub breach: bool,
}

/// What may be changed at any time until the release.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// All tags as they shall be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    pub tags: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_data_disks: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_public_ip: Option<bool>,
}

/// Whether something could be done with an instance now, and why not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Permitted {
    pub operation: String,
    /// By the rules; what they allow may still be `not-offered`.
    pub allowed: bool,
    /// Of the refusal that asking for it would get; empty for what has a request of its own.
    pub code: String,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Instance {
    pub id: String,
    pub account: String,
    pub name: String,
    /// pending, starting, running, stopping, stopped, reclaiming, lost, releasing or released.
    pub state: String,
    /// Stopped, or to be stopped, with its room given back; only its disk is charged then, and of a subscription nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub economical: bool,
    pub option: String,
    pub zone: String,
    pub flavor: String,
    pub image: String,
    #[schema(value_type = std::collections::BTreeMap<String, i64>)]
    pub resources: BTreeMap<String, i64>,
    /// Per hour of vCPU and memory, fixed when bought or resized; 0 of a subscription.
    pub price: String,
    /// Per hour; 0 of a subscription.
    pub system_disk_price: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<PaidMonths>,
    /// So many months were ordered, and are paid when it first runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_months: Option<i64>,
    /// Whether a web site on it may be filed for ICP (备案): that of a subscription may.
    #[serde(default)]
    pub icp_eligible: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub periods: Option<i64>,
    pub created_at: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub tags: BTreeMap<String, String>,
    /// The ids of its data disks, in the order in which they were made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_disks: Vec<String>,
    /// Whether data disks and the public address stay when it goes.
    pub keep_data_disks: bool,
    pub keep_public_ip: bool,
    /// Charge begins here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ends_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interruption: Option<Interruption>,
    /// Charge ended here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// Nothing of it was left from here on, and its room was free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_cause: Option<String>,
    /// Its account was frozen for arrears then; until that pays nothing of it is charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_since: Option<String>,
    /// By which guests of the account reach it in its region, until it is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_address: Option<String>,
    /// The id of its public address, if it has one; of several the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_address: Option<String>,
    /// All public addresses that lead to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub public_addresses: Vec<PublicAddress>,
    /// The names of those that say what may come in through public addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_pair: Option<String>,
}

/// A public address of an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PublicAddress {
    pub id: String,
    /// The address itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
}

/// The notice of a reclaim, and when it reached the guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Interruption {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// When it was decided that the notice be given, and when that was known to be written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_at: Option<String>,
    /// First readable in the guest's metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readable_at: Option<String>,
    /// First read by the guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<String>,
    /// Of a drill: what a reclaim by the platform would have waived of vCPU and memory, with a release at the deadline or when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_would_waive: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConsoleLog {
    pub text: String,
}

/// A decision that took an instance, or that took others for its order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Decided {
    pub id: String,
    pub at: String,
    pub deadline: String,
    pub zone: String,
    /// capacity, own-order, reserve, shortage, drain, …
    pub cause: String,
    /// `took`: others had to go for it; `taken`: it had to go.
    pub part: String,
    #[schema(value_type = std::collections::BTreeMap<String, i64>)]
    pub demand: BTreeMap<String, i64>,
    /// Of so many that could go …
    pub candidates: i64,
    /// … it was to go at this place, the first being 1; of one that took others: absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<i64>,
    pub victims: i64,
    pub put_back: i64,
    /// The same in words.
    pub why: String,
    /// Whose order it was (operator); absent: the operator's own need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// Everything (operator): hosts, the chosen one first, or all that somebody leaves; per host the candidates in order, who was
    /// taken and who put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<serde_json::Value>,
}
