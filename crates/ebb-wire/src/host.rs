//! Hosts, as the operator sees them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Host {
    pub id: String,
    pub name: String,
    pub zone: String,
    pub driver: String,
    /// `up`; `gap`: it has obeyed orders that this database does not know, so it obeys none until the gap is accepted.
    pub state: String,
    pub connected: bool,
    #[schema(value_type = std::collections::BTreeMap<String, Room>)]
    pub room: BTreeMap<String, Room>,
    /// Guests that carry our installation's id but are in no table: left running, not charged.
    pub quarantine: Vec<Quarantined>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Room {
    pub capacity: i64,
    pub used: i64,
    /// Promised to firm orders that wait.
    pub claimed: i64,
    /// The part of `used` that a notice will free.
    pub releasing: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Quarantined {
    pub instance: String,
    pub found_at: String,
    pub observed: serde_json::Value,
}
