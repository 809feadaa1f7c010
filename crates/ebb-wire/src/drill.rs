//! Drills, as the API says them: what is asked, and the scorecard of what came of it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Whose interruption is rehearsed: exactly one of `instance`, `tags` and `all`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rehearse {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// All of these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub tags: BTreeMap<String, String>,
    /// All spot blocks of the account.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Chance chooses so many of a hundred blocks, at least one; all if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub percent: Option<i64>,
}

/// The same again and again, until it is deleted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub what: Rehearse,
    /// 60 and up.
    #[schema(example = 7200)]
    pub every_seconds: i64,
    /// Only in these hours of the week, in the catalog's time zone; always if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "mon-fri 10:00-16:00")]
    pub week: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Schedule {
    pub id: String,
    pub account: String,
    pub created_at: String,
    pub what: Rehearse,
    pub every_seconds: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub week: Option<String>,
    pub next_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// A scorecard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Drill {
    pub id: String,
    pub account: String,
    pub asked_at: String,
    /// What asked for it, if no person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    pub what: Rehearse,
    /// Everything that was given notice is released.
    pub over: bool,
    pub summary: Summary,
    pub instances: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    /// How many were given notice, and how many were not.
    pub taken: i64,
    pub refused: i64,
    /// How many of those taken read their notice, and how many stopped by themselves, or let themselves be released, before the deadline.
    pub read: i64,
    pub stopped: i64,
    /// Who took longest from the notice to that, or to its release if it did neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowest: Option<Slowest>,
    /// The sums of `charged`, `free` and `platform_would_waive`.
    pub charged: String,
    pub free: String,
    pub platform_would_waive: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Slowest {
    pub instance: String,
    pub name: String,
    pub seconds: i64,
}

/// What a drill meant for one instance. Money is for vCPU and memory; until the release it is what a release at the deadline comes to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Part {
    pub instance: String,
    pub name: String,
    pub taken: bool,
    /// Why it was left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// First readable in the guest's metadata, and first read by the guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readable_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<String>,
    /// What was left then until the deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_seconds_before: Option<i64>,
    /// The guest powered itself off, before the deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_seconds_before: Option<i64>,
    /// The guest said that it need not wait for the deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_at: Option<String>,
    /// After the deadline; below 0 where the guest was let go before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_late_millis: Option<i64>,
    /// The cause of the reclaim by the platform that came in between; its waiver holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_over_by: Option<String>,
    /// What the guest should have done and did not; empty until it is released.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undone: Vec<String>,
    /// Seconds after the request that are free because of the drill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_seconds: Option<i64>,
    /// Used after the request and free because of the drill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<String>,
    /// Used after the request and charged: the month's free seconds were over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged: Option<String>,
    /// What a reclaim by the platform at the same instant would have waived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_would_waive: Option<String>,
}
