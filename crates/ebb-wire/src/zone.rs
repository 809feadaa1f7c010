//! Zones as the operator sees them, and what he needs of them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ZoneState {
    pub id: String,
    pub region: String,
    pub hosts: i64,
    /// Of all its hosts together.
    #[schema(value_type = std::collections::BTreeMap<String, crate::host::Room>)]
    pub room: BTreeMap<String, crate::host::Room>,
    /// Flavors that must fit at once beside what is sold as spot.
    pub reserve: Vec<String>,
    /// How many of them will not fit when everything on its way out is gone.
    pub reserve_missing: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortage: Option<Shortage>,
}

/// What the operator needs free in a zone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Declare {
    /// So much in all, with what is free already: `{"vcpu": 64, "memory_mib": 131072}`.
    #[schema(value_type = std::collections::BTreeMap<String, i64>)]
    pub free: BTreeMap<String, i64>,
    /// From this instant on; when a notice given now ends, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Without notice.
    #[serde(default)]
    pub urgent: bool,
}

/// A shortage that is announced or on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Shortage {
    pub zone: String,
    #[schema(value_type = std::collections::BTreeMap<String, i64>)]
    pub free: BTreeMap<String, i64>,
    /// The room is to be free from here on, and no block is sold that lasts longer, until the shortage is ended.
    pub at: String,
    pub urgent: bool,
    pub declared_at: String,
    /// When the notices go out, or went out.
    pub notices_at: String,
    pub notices_are_out: bool,
    /// What it makes of the zone as it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relief: Option<Relief>,
}

/// What blocks can do about a shortage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Relief {
    /// Whether as much as was asked for will be free.
    pub enough: bool,
    /// What will be free without anybody told to go, and with those who are.
    #[schema(value_type = std::collections::BTreeMap<String, i64>)]
    pub free_anyway: BTreeMap<String, i64>,
    #[schema(value_type = std::collections::BTreeMap<String, i64>)]
    pub free_then: BTreeMap<String, i64>,
    /// Who is told to go, or would be: the youngest first.
    pub victims: Vec<String>,
    pub put_back: Vec<String>,
}
