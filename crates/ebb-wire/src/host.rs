//! Hosts, as the operator sees them.

use crate::security_group::Rule;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Host {
    pub id: String,
    pub name: String,
    pub zone: String,
    pub driver: String,
    /// `up`; `gap`: it has obeyed orders that this database does not know, so it obeys none until the gap is accepted; `lost`.
    pub state: String,
    /// In words: `lent until …`, `drained`, `with its owner until …`, `silent since …`, `lost, heard until …`.
    pub doing: String,
    pub connected: bool,
    pub heard_at: String,
    /// The next known return or drain: nothing firm is placed here, and no block whose lease goes beyond it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lent_until: Option<String>,
    /// The hours of the week in which its owner lends it; always, if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
    #[schema(value_type = std::collections::BTreeMap<String, Room>)]
    pub room: BTreeMap<String, Room>,
    /// Guests that carry our installation's id but are in no table: left running, not charged.
    pub quarantine: Vec<Quarantined>,
    /// The same of data disks and snapshots: left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stray_volumes: Vec<StrayVolume>,
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

/// What a host of a sandbox was told of a guest's surroundings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToldGuest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_address: Option<String>,
    /// What may come in through its public addresses.
    pub ingress: Vec<Rule>,
    pub public_addresses: Vec<ToldAddress>,
}

/// A public address, as a host is told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToldAddress {
    pub id: String,
    pub ip: String,
    /// What leaves it is held to so much, in Mbit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mbit: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StrayVolume {
    pub volume: String,
    pub found_at: String,
}

/// A data disk or a snapshot as part of its host. It stays there; on a host that is lost, or away with its owner, it is `unavailable` and not
/// charged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VolumeOnHost {
    pub volume: String,
    pub account: String,
    pub name: String,
    pub gib: i64,
    pub state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// One host, what is on it, and what was said about it, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostShown {
    pub host: Host,
    pub instances: Vec<OnHost>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeOnHost>,
    pub log: Vec<HostLine>,
}

/// What follows from what was said about a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostSaid {
    pub host: Host,
    /// What is not told to go.
    pub stays: Vec<OnHost>,
    pub leaves: Vec<OnHost>,
    /// Data disks and snapshots, which stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeOnHost>,
}

/// An instance as part of its host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OnHost {
    pub instance: String,
    pub account: String,
    pub name: String,
    pub option: String,
    pub flavor: String,
    pub state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ends_at: Option<String>,
    /// When it goes before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaves_at: Option<String>,
}

/// A line of a host's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostLine {
    pub at: String,
    /// The id of the key that said it, or `host`.
    pub who: String,
    /// `event` names its kind.
    pub body: serde_json::Value,
}

/// When blocks have to be gone: `at`, with notice before; with notice from now on; or at once, if `urgent`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Leave {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-03-02T19:00:00Z")]
    pub at: Option<String>,
    #[serde(default)]
    pub urgent: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetCalendar {
    /// In the catalog's time zone; `always` ends it.
    #[schema(example = "mon-fri 19:00-08:00, sat-sun 00:00-24:00")]
    pub calendar: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclareLost {
    /// It is certain that the machine runs none of its guests any more.
    pub fenced: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnFile {
    pub present: bool,
}
