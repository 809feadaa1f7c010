//! Bills, as the API says them.

use crate::account::Parts;
use crate::address::TrafficRecord;
use crate::record::Adjustment;
use crate::voucher::VoucherPaid;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Bill {
    pub currency: String,
    pub records: Vec<Record>,
    /// What is not issued yet, as it would be if it ended this second. Nothing here is owed before it is settled.
    pub accruing: Vec<Record>,
    /// The same of traffic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traffic: Vec<TrafficRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traffic_accruing: Vec<TrafficRecord>,
    /// What was given back of records, these or others, in all; newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adjustments: Vec<Adjustment>,
    /// Set when there are more records than one answer holds; ask again with `since` at the last one's.
    #[serde(default)]
    pub truncated: bool,
    /// Of the records above.
    pub settled_total: Parts,
    pub accruing_total: Parts,
    pub as_of: String,
}

/// A line of a bill. Exact: `seconds` × `price` / 3600, or `months` × `price`; the amounts are shown with 8 decimals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Record {
    /// Absent while accruing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What was used: an instance, a data disk, a snapshot or a public address.
    pub resource: String,
    /// The same, if it is an instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// `compute`, `system-disk`, `subscription`, `data-disk`, `snapshot` or `bandwidth`.
    pub meter: String,
    pub since: String,
    pub until: String,
    pub seconds: i64,
    /// Of a subscription: so many months, paid in advance. They are its quantity, not the seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub months: Option<i64>,
    /// Per hour; of a subscription per month.
    pub price: String,
    /// What is to be paid: the price less what is waived and what the grant pays.
    pub amount: String,
    /// What coupons and cards paid of the amount, in their order; the rest is paid in cash, or owed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vouchers: Vec<VoucherPaid>,
    pub waived: String,
    pub grant: String,
    /// What a grant might pay of it: all of a trial instance's use within the validity, else nothing.
    #[serde(default)]
    pub covered: String,
    /// What of that it did not pay: above its hourly cap, or more than was left. It is part of `amount`.
    #[serde(default)]
    pub above_grant: String,
    /// Why it is waived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<String>,
}
