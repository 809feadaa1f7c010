//! A budget, as the API says it. Money is a decimal text in the catalog's currency.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is meant to be spent in a calendar month. It stops nothing; a spending cap does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetBudget {
    #[schema(example = "100")]
    pub amount: String,
    /// At which shares of it, in percent from 1 to 1000, somebody is told; at most 10. 50, 80 and 100 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts: Option<Vec<i64>>,
    /// Whether somebody is told, too, when the month is expected to come to more; true if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<bool>,
}

/// How an account stands with its budget in this month.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Budget {
    pub currency: String,
    /// Absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    pub alerts: Vec<i64>,
    pub tells_expected: bool,
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
    /// What will be payable when the month is over; `GET /v1/forecast` says how that comes about.
    pub expected: String,
    /// The shares that were reached in this month, and told.
    pub reached: Vec<BudgetShare>,
    /// Those that will be, if all goes on as it is.
    pub coming: Vec<BudgetShare>,
    pub as_of: String,
}

/// A share of a budget, and from which second on it is payable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BudgetShare {
    pub percent: i64,
    pub at: String,
}
