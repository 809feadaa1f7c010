//! Why a bill record says what it says, and what was given back of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The way from use to money, in figures and in words. What a record has not is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    pub record: String,
    /// `hour`, `block`, `months` or `traffic`: when it is issued.
    pub kind: String,
    pub currency: String,
    /// What was used: an instance, a data disk, a snapshot or a public address.
    pub resource: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// `compute`, `system-disk`, `subscription`, `data-disk`, `snapshot`, `bandwidth` or `traffic`.
    pub meter: String,
    pub since: String,
    pub until: String,
    /// The same in the catalog's time zone.
    pub local_since: String,
    pub local_until: String,
    pub time_zone: String,
    /// Why it begins and ends there: all that fall together.
    pub begins: Vec<String>,
    pub ends: Vec<String>,
    /// Seconds, months or GB.
    pub quantity: String,
    /// `second`, `month` or `GB`.
    pub unit: String,
    pub price: String,
    /// Of what that is the price: `hour`, `month` or `GB`.
    pub price_per: String,
    /// Since when it is that.
    pub price_since: String,
    /// Quantity times price, with 8 decimals.
    pub gross: String,
    /// The same to the last digit: a numerator and a denominator.
    pub gross_exact: String,
    /// A grant might pay for it.
    pub covered: bool,
    pub waived: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiver: Option<Waiver>,
    pub grant: String,
    /// How the grant stood in its hour; of what it covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hour_of_grant: Option<HourOfGrant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pools: Option<Pools>,
    pub payable: String,
    /// What settled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<Entry>,
    pub adjustments: Vec<Adjustment>,
    /// What of it could still be given back.
    pub left: String,
    /// All of it in sentences.
    pub words: Vec<Words>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Waiver {
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HourOfGrant {
    /// The most that it pays of a clock hour.
    pub hourly_cap: String,
    /// What it paid in this hour for what goes before this record.
    pub paid_to_others: String,
    /// What was left of it when the hour began.
    pub left: String,
}

/// GB that the month's pools paid, and had paid before this hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pools {
    pub anywhere: String,
    pub overseas: String,
    pub anywhere_before: String,
    pub overseas_before: String,
}

/// One entry of the ledger, which settles all records of an hour, a block or a payment together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    pub id: String,
    pub reason: String,
    pub at: String,
    pub postings: Vec<Posting>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Posting {
    pub place: String,
    pub amount: String,
}

/// A sentence, and what it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Words {
    pub about: String,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Adjust {
    /// At most what was paid of the record and not given back before.
    #[schema(example = "1.20")]
    pub amount: String,
    #[schema(example = "the guest was not reachable", max_length = 500)]
    pub reason: String,
}

/// What was given back of a record, and to which of the sources that paid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Adjustment {
    pub id: String,
    pub record: String,
    pub at: String,
    pub amount: String,
    /// It lowered what is owed.
    pub debt: String,
    pub cash: String,
    /// Back to coupons and cards, first to the one that had paid last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vouchers: Vec<ToVoucher>,
    /// Back to a grant that may still pay with it.
    pub grant: String,
    /// To a grant that was over: gone like the rest of it.
    pub expired: String,
    pub reason: String,
    /// The key whose holder gave it.
    pub by: String,
}

/// What came back to one coupon or card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToVoucher {
    pub voucher: String,
    pub amount: String,
    /// `expired` or `revoked`: it was over, and this is gone like the rest of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<String>,
}
