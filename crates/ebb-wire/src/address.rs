//! Public addresses and what leaves them, as the API says it. Quantities are GB (10⁹ bytes) with 6 decimals.

use crate::voucher::VoucherPaid;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A public address, paid by traffic or by bandwidth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Address {
    pub id: String,
    pub account: String,
    pub region: String,
    /// The address itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Whether its traffic takes the trial's pool for overseas first.
    pub overseas: bool,
    /// Per GB that leaves it, while it is paid by that.
    pub price: String,
    /// It is paid by so many Mbit/s instead, to which what leaves it is held …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mbit: Option<i64>,
    /// … at this price per hour for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth_price: Option<String>,
    /// What it leads to; absent: it was kept when that went, was unbound, or was never bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_name: Option<String>,
    pub allocated_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_at: Option<String>,
    /// What left it in this calendar month, as far as its counter was read.
    pub bytes_this_month: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<String>,
}

/// A new public address, which leads nowhere yet. `region`, or a `zone` of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Allocate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "cn-beijing")]
    pub region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// `traffic`, by what leaves it, if nothing else is said; or `bandwidth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<String>,
    /// Of bandwidth: so many Mbit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub mbit: Option<i64>,
}

/// How an address is paid from now on: `traffic`, by what leaves it, or `bandwidth`, by so many Mbit/s while it is there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayBy {
    #[schema(example = "bandwidth")]
    pub charge: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub mbit: Option<i64>,
}

/// The instance that an address leads to from now on: its id.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bind {
    pub instance: String,
}

/// What leaves an address of a sandbox, whose guests send nothing by themselves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Send {
    #[serde(default)]
    #[schema(example = 20_000_000_000_i64, minimum = 0)]
    pub bytes: i64,
    /// The counter begins again from nothing first; what was not read of it is lost.
    #[serde(default)]
    pub reset: bool,
}

/// A line of a bill about traffic: `quantity` × `price`, paid by the two pools of the month and the customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrafficRecord {
    /// Absent while accruing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub address: String,
    pub since: String,
    pub until: String,
    /// In GB.
    pub quantity: String,
    /// Per GB.
    pub price: String,
    /// Of the quantity: paid by the pool for anywhere, by the pool for overseas, and to be paid.
    pub anywhere: String,
    pub overseas: String,
    pub payable: String,
    /// What is to be paid, in money.
    pub amount: String,
    /// What coupons and cards paid of it, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vouchers: Vec<VoucherPaid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<String>,
}

/// A sum of traffic in money, by how it is paid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrafficParts {
    /// What the pools paid for would have cost this.
    pub pools: String,
    pub payable: String,
}

/// What is left of the trial's free traffic this calendar month.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrafficLeft {
    /// Its first instant.
    pub month: String,
    /// 公网流量-中国内地及海外: pays wherever it leaves.
    pub anywhere: PoolLeft,
    /// 公网流量-海外: pays for what leaves from overseas, before the other.
    pub overseas: PoolLeft,
}

/// In GB. Beyond the validity nothing is left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PoolLeft {
    pub size: String,
    /// Used by closed hours, and by the open one as far as counters were read.
    pub settled: String,
    pub accruing: String,
    /// Both.
    pub used: String,
    pub left: String,
}
