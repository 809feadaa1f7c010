//! How a trial stands, as the API says it. Money is a decimal text in the catalog's currency, prices are per hour.

use crate::account::Trial;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrialProgress {
    #[serde(flatten)]
    pub grant: Trial,
    /// `settled` and `accruing` together.
    pub used: String,
    /// What was left when the validity was over.
    pub expired: String,
    /// Of the validity, from `as_of` on.
    pub seconds_left: i64,
    pub as_of: String,
    /// The first second for which anything of the account was charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_charged_at: Option<String>,
    /// The first second for which the grant could pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_covered_at: Option<String>,
    pub hour: HourNow,
    /// Everything of the account that costs something now.
    pub running: Vec<UseNow>,
    /// If all goes on as it is, the grant pays up to this second; absent: to the end of its validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_up_at: Option<String>,
    /// What becomes of trial instances then: `continue` (on demand), `stop` (economically) or `release`.
    pub at_end: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// `used-up`, `validity`, or `revoked` by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
    /// The smallest change after which the grant lasts until the end of its validity; empty if it does, or has ended.
    pub advice: Vec<Advised>,
    /// How long what is left would last for one instance of a flavor alone, cheapest first; empty once the trial has ended.
    pub flavors: Vec<FlavorLasts>,
}

/// What one hour costs at the rate of this second; the three parts sum up to `price`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HourNow {
    pub price: String,
    /// The grant pays this.
    pub covered: String,
    /// The grant would pay this, were it not above its hourly cap.
    pub above_cap: String,
    /// No grant pays for this.
    pub not_covered: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UseNow {
    pub instance: String,
    pub name: String,
    pub flavor: String,
    pub option: String,
    pub state: String,
    /// Per hour, with its system disk.
    pub price: String,
    pub covered: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Advised {
    pub instance: String,
    pub name: String,
    /// `resize` to `flavor`, `stop` economically, or `release`.
    pub change: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flavor: Option<String>,
    /// So much less per hour.
    pub saves: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FlavorLasts {
    pub flavor: String,
    /// Per hour, with its system disk.
    pub price: String,
    pub seconds: i64,
    /// As long as the validity.
    pub to_the_end: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChooseAtEnd {
    /// `continue`, `stop` or `release`.
    #[schema(example = "release")]
    pub choice: String,
}
