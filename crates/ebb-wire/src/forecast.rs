//! What a month will come to, as the API says it. Money is a decimal text in the catalog's currency.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What will be payable of this calendar month when it is over, if all goes on as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Forecast {
    pub currency: String,
    /// The calendar month, in the catalog's time zone.
    pub month_since: String,
    pub month_until: String,
    /// Payable and billed.
    pub billed: String,
    /// Payable and not billed yet; blocks that end in a later month are not in it.
    pub accruing: String,
    /// Of that, traffic as far as it was read.
    pub traffic: String,
    /// From now to the end of the month; its parts are below.
    pub to_come: String,
    /// All three together.
    pub expected: String,
    /// The same in cents.
    pub expected_shown: String,
    /// Of what is to come: vCPU and memory by the hour, before the grant.
    pub compute: String,
    /// System disks by the hour, before the grant.
    pub disks: String,
    /// Data disks, snapshots and bandwidth, which no grant pays.
    pub flat: String,
    /// Spot blocks that end in this month.
    pub blocks: String,
    /// Months that are paid in advance, by renewals and by orders under way.
    pub months: String,
    /// What the trial grant pays of compute and disks; it is taken off.
    pub grant: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial_ends_at: Option<String>,
    /// `used-up`, `validity` or `revoked`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial_ends_by: Option<String>,
    /// Subscriptions that are to renew themselves in this month.
    pub renewals: Vec<ExpectedRenewal>,
    /// Spot blocks that run, and when their leases end.
    pub leases: Vec<ExpectedLease>,
    /// What blocks that end in a later month will have cost then; it is payable there.
    pub later: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap_acts_at: Option<String>,
    /// What coupons and cards pay of what is settled from now to the end of the month.
    pub vouchers: String,
    /// From this settlement on the account owes, if it does or will within the month …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owes_since: Option<String>,
    /// … and it is frozen at this second, if that is within the month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_at: Option<String>,
    /// `grace` or `debt-limit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_by: Option<String>,
    /// The last second for which cash, coupons and cards pay, with all that is not billed yet; absent: they last longer than three years.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money_lasts_until: Option<String>,
    /// What all of this takes for granted, in words.
    pub assumptions: Vec<String>,
    pub as_of: String,
}

/// Months that a subscription is to pay by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExpectedRenewal {
    pub instance: String,
    pub at: String,
    pub months: i64,
    pub needed: String,
    /// What is there for it in that second, as it goes on: cash, coupons and cards that may pay it, less holds.
    pub available: String,
    /// Whether that does, and nothing else stands against it.
    pub paid: bool,
}

/// A spot block's natural end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExpectedLease {
    pub instance: String,
    pub ends_at: String,
    /// What its vCPU and memory will have cost by then.
    pub amount: String,
}
