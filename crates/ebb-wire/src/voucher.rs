//! Coupons and cards, as the API says them. Money is a decimal text in the catalog's currency.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a voucher may pay for: what is not named is not limited, but `subscription`, which has to be named.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pays {
    /// `on-demand`, `trial`, `spot-block`, `subscription`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// `compute`, `system-disk`, `traffic`, `subscription`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meters: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flavors: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueVoucher {
    /// `cash-coupon`, `discount-coupon` or `card`.
    #[schema(example = "cash-coupon")]
    pub kind: String,
    /// Above 0, at most a million, with at most 8 decimals.
    #[schema(example = "100.00")]
    pub face: String,
    /// From when it pays; now if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<String>,
    /// At this instant it pays no more; never if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    #[serde(default)]
    pub pays: Pays,
}

/// A coupon or a card. Its face is `left`, `used`, `expired` and `revoked` together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Voucher {
    pub id: String,
    pub account: String,
    /// `cash-coupon`, `discount-coupon` or `card`.
    pub kind: String,
    pub face: String,
    pub left: String,
    /// By what is settled.
    pub used: String,
    /// What was left when it expired.
    pub expired: String,
    /// Taken away by the operator.
    pub revoked: String,
    /// `valid`, `not-yet`, `used-up`, `expired` or `revoked`.
    pub state: String,
    pub pays: Pays,
    pub issued_at: String,
    pub valid_from: String,
    /// Absent: it never expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// What one voucher paid of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VoucherPaid {
    pub voucher: String,
    pub amount: String,
}
