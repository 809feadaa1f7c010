//! The clock, as the API says it, and how a sandbox's is moved.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Clock {
    pub now: String,
    /// Seconds of the sandbox in a second of the wall clock; 0: it stands still until it is advanced.
    pub speed: u32,
    /// The wall clock has leapt ahead and is not believed: what is due waits until an operator accepts it, or it is set right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leap: Option<ClockLeap>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClockLeap {
    /// What the wall clock says.
    pub wall: String,
    /// By how much that is ahead of `now`.
    pub seconds: i64,
}

/// Either `seconds` or `to`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Advance {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 3600)]
    pub seconds: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// What happened on the way, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Advanced {
    pub now: String,
    pub events: Vec<crate::account::LoggedEvent>,
    /// Set when more happened than is shown; `GET /v1/events` has it all.
    #[serde(default)]
    pub truncated: bool,
}

/// The first line on standard output of `ebb sandbox`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    pub endpoint: String,
    pub docs: String,
    /// Keys by name: `operator`, `individual`, `enterprise`.
    pub keys: std::collections::BTreeMap<String, String>,
    pub clock: Clock,
}
