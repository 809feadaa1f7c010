//! A spending cap, as the API says it. Money is a decimal text in the catalog's currency, prices are per hour.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is to be payable at most in a calendar month.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetCap {
    pub amount: String,
}

/// How an account stands with its spending cap in this month.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Cap {
    pub currency: String,
    /// Absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_at: Option<String>,
    /// The calendar month, in the catalog's time zone.
    pub month_since: String,
    pub month_until: String,
    /// Payable and billed.
    pub settled: String,
    /// Payable and not billed yet; a block with all that it has cost, also before this month.
    pub accruing: String,
    /// Both together.
    pub payable: String,
    /// Per hour, what goes on when all is stopped that can be.
    pub goes_on: String,
    /// What that, and orders that others had to go for, cost to the end of the month.
    pub reserved: String,
    /// The second at which the cap acts, if all goes on as it is; absent: not in this month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acts_at: Option<String>,
    /// When it acted last, since it was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acted_at: Option<String>,
    /// The least that it could be set to now.
    pub least: String,
    pub as_of: String,
}
