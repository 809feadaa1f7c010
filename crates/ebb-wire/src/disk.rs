//! Data disks and snapshots, as the API says them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A data disk that is made on its own: in a zone, or of a snapshot and then where that is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateDisk {
    /// The zone of the snapshot if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "cn-north-1a")]
    pub zone: Option<String>,
    /// As large as the snapshot's disk if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 20, minimum = 1)]
    pub gib: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100)]
    pub name: Option<String>,
    /// The id of the snapshot that it holds at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub tags: BTreeMap<String, String>,
}

/// A data disk that is bought with an instance, and attached to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDisk {
    #[schema(example = 20, minimum = 1)]
    pub gib: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100)]
    pub name: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttachDisk {
    /// The id of an instance of the account, on the same host.
    pub instance: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResizeDisk {
    /// More than it has.
    #[schema(example = 40, minimum = 1)]
    pub gib: i64,
}

/// What of a disk's or a snapshot's words is to change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeVolume {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100)]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    pub tags: Option<BTreeMap<String, String>>,
}

/// A data disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Disk {
    pub id: String,
    pub account: String,
    pub name: String,
    /// `creating`, `available`, `attached`, `detaching`, `unavailable` (its host is away), `deleting`, `deleted` or `failed`.
    pub state: String,
    pub zone: String,
    pub gib: i64,
    /// Of all of it, per hour; what it is charged unless its account is frozen or its host away.
    pub price: String,
    /// The instance that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_name: Option<String>,
    /// The snapshot that it held at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub tags: BTreeMap<String, String>,
    pub created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged_since: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged_until: Option<String>,
    /// Nothing is charged from here on until its host is back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable_since: Option<String>,
    /// Why it could not be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// What a disk holds is to be kept as it is now: of a data disk, or of the system disk of an instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeSnapshot {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100)]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub tags: BTreeMap<String, String>,
}

/// What a disk held at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    pub id: String,
    pub account: String,
    pub name: String,
    /// `creating`, `available`, `unavailable` (its host is away), `deleting`, `deleted` or `failed`.
    pub state: String,
    pub zone: String,
    /// The size of its disk, for which it is charged.
    pub gib: i64,
    /// Of all of it, per hour.
    pub price: String,
    /// The data disk that it was made of, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    /// … or the instance whose system disk that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub tags: BTreeMap<String, String>,
    pub created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged_since: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged_until: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable_since: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}
