//! What was promised with spot blocks, and what was kept.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SpotReport {
    pub currency: String,
    pub since: String,
    pub until: String,
    /// `flavor` or `account`.
    pub by: String,
    pub rows: Vec<SpotRow>,
    /// What was given away: by who lost it, and whose order took it. At most 1000, the dearest first.
    pub waived: Vec<Waived>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SpotRow {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flavor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Bought in this time.
    pub sold: i64,
    /// Gone in this time, and by which cause.
    pub ended: i64,
    #[schema(value_type = std::collections::BTreeMap<String, i64>)]
    pub ended_by: BTreeMap<String, i64>,
    /// Of those that are gone: all seconds of vCPU and memory, those given away, and both in money.
    pub seconds: i64,
    pub waived_seconds: i64,
    pub charged: String,
    pub waived: String,
    /// How late notices were readable in the guest after they were decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notices: Option<Lateness>,
    /// How late guests were gone after their deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub releases: Option<Lateness>,
}

/// In milliseconds, rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lateness {
    pub count: i64,
    pub p50_ms: i64,
    pub p99_ms: i64,
    pub max_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Waived {
    /// Who lost a block.
    pub lost: String,
    /// Whose order took it; the operator's alone to see, absent where it was himself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<String>,
    pub cause: String,
    pub blocks: i64,
    pub waived_seconds: i64,
    pub waived: String,
}
