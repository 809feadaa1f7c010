//! Instances, as the API says them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// An order. `hours` and `periods` belong to spot blocks; both are 1 if not given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Buy {
    /// `on-demand`, `trial` or `spot-block`.
    #[schema(example = "spot-block")]
    pub option: String,
    #[schema(example = "cn-north-1a")]
    pub zone: String,
    #[schema(example = "c6.large.2")]
    pub flavor: String,
    /// The catalog's first image if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 6)]
    pub hours: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub periods: Option<i64>,
    /// Refused when the price is another by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_price: Option<String>,
    /// Also the guest's host name, as far as its characters allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100)]
    pub name: Option<String>,
    /// The name of a key pair of the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_pair: Option<String>,
    /// At most 32 KiB; a script (`#!`) is run once by the guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 32768)]
    pub user_data: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Instance {
    pub id: String,
    pub account: String,
    pub name: String,
    /// pending, starting, running, stopping, stopped, reclaiming, releasing or released.
    pub state: String,
    pub option: String,
    pub zone: String,
    pub flavor: String,
    pub image: String,
    #[schema(value_type = std::collections::BTreeMap<String, i64>)]
    pub resources: BTreeMap<String, i64>,
    /// Per hour of vCPU and memory, fixed when bought.
    pub price: String,
    /// Per hour.
    pub system_disk_price: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub periods: Option<i64>,
    pub created_at: String,
    /// Charge begins here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ends_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interruption: Option<Interruption>,
    /// Charge ended here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_cause: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_pair: Option<String>,
}

/// The notice of a reclaim, and when it reached the guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Interruption {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// First readable in the guest's metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readable_at: Option<String>,
    /// First read by the guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConsoleLog {
    pub text: String,
}

/// Why an order took whom it took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Decided {
    pub at: String,
    pub deadline: String,
    /// Hosts on which it could be met, the chosen one first; per host the candidates in order, who was taken and who put back.
    pub hosts: serde_json::Value,
}
