//! What an audit says.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Audit {
    /// Nothing differs.
    pub agrees: bool,
    /// What was added up again, in words.
    pub added_up: String,
    /// How many rows of each table.
    pub counts: BTreeMap<String, u64>,
    /// The first thing that differs; with `all` so many that one answer holds them.
    pub findings: Vec<Finding>,
    /// How many differ, also those that are not listed.
    pub found: u64,
    pub as_of: String,
}

/// A row that is not what everything else says that it should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// What was compared; `docs/audit.md` says what to do.
    pub check: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Table, key, and what of it.
    pub row: String,
    pub stored: String,
    pub comes_to: String,
    /// What is true where nothing is wrong.
    pub rule: String,
}
