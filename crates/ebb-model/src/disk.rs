//! What is a data disk, or a snapshot, and which states can it be in? Both are volumes: they lie on a host and outlive guests.

use crate::billing::{Meter, ResourceId};
use crate::catalog::SYSTEM_DISK;
use crate::id::{AccountId, HostId, InstanceId, SnapshotId};
use crate::price_book::Item;
use crate::resources::Resources;
use crate::time::{Second, Timestamp};
use crate::volume::{DiskOf, VolumeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// So many data disks one instance has at most.
pub const DISKS_PER_INSTANCE: usize = 16;

/// A data disk or a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    pub id: VolumeId,
    pub account: AccountId,
    pub name: String,
    pub region: String,
    pub zone: String,
    pub host: HostId,
    /// What it takes of its host, and is charged for. Of a snapshot: the size that its disk had.
    pub gib: i64,
    pub made_of: MadeOf,
    pub created_at: Timestamp,
    /// Words of its owner.
    pub tags: BTreeMap<String, String>,
    /// Bought with this instance, which has not run yet: until it does nothing is charged (rules §1.6).
    pub bought_with: Option<InstanceId>,
    /// Charge began with this second: its host had it.
    pub charged_since: Option<Second>,
    /// Its host is away since then, and nothing is charged (rules §2.13).
    pub unavailable_since: Option<Second>,
    /// Grows with every change; a change names the generation it saw.
    pub generation: i64,
    pub state: VolumeState,
}

/// What a volume held at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "kebab-case")]
pub enum MadeOf {
    Nothing,
    Snapshot { snapshot: SnapshotId },
    Disk { disk: DiskOf },
}

impl MadeOf {
    /// The disk, or the instance whose system disk it is, by its id; or the snapshot.
    pub fn id(&self) -> Option<String> {
        match self {
            MadeOf::Nothing => None,
            MadeOf::Snapshot { snapshot } => Some(snapshot.to_string()),
            MadeOf::Disk { disk: DiskOf::System(instance) } => Some(instance.to_string()),
            MadeOf::Disk { disk: DiskOf::Data(disk) } => Some(disk.to_string()),
        }
    }
}

/// Where a volume is in its life. What belongs to a state lives inside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum VolumeState {
    /// Its host was told to make it.
    Creating {
        /// An instance has it as soon as it is there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<InstanceId>,
    },
    /// It is there, and no instance has it.
    Available,
    Attached {
        to: InstanceId,
    },
    /// The guest was told to let go of it, with its order of that generation.
    Detaching {
        from: InstanceId,
        generation: i64,
    },
    /// Charge ended at `at`. What an instance that goes still holds is removed after it.
    Deleting {
        at: Second,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held_by: Option<InstanceId>,
    },
    Deleted {
        at: Second,
        gone_at: Timestamp,
    },
    /// It could not be made; nothing was charged.
    Failed {
        at: Timestamp,
        reason: String,
    },
}

impl VolumeState {
    /// The state as users see it.
    pub fn name(&self) -> &'static str {
        match self {
            VolumeState::Creating { .. } => "creating",
            VolumeState::Available => "available",
            VolumeState::Attached { .. } => "attached",
            VolumeState::Detaching { .. } => "detaching",
            VolumeState::Deleting { .. } => "deleting",
            VolumeState::Deleted { .. } => "deleted",
            VolumeState::Failed { .. } => "failed",
        }
    }

    /// The instance that has it, or will as soon as it is there.
    pub fn instance(&self) -> Option<InstanceId> {
        match self {
            VolumeState::Creating { to } => *to,
            VolumeState::Attached { to } => Some(*to),
            VolumeState::Detaching { from, .. } => Some(*from),
            VolumeState::Deleting { held_by, .. } => *held_by,
            VolumeState::Available | VolumeState::Deleted { .. } | VolumeState::Failed { .. } => None,
        }
    }
}

impl Volume {
    /// As users see it.
    pub fn state_name(&self) -> &'static str {
        match self.unavailable_since {
            Some(_) if self.is_there() => "unavailable",
            _ => self.state.name(),
        }
    }

    /// Whether its host has it, or should, and its owner wants it.
    pub fn is_there(&self) -> bool {
        use VolumeState::{Attached, Available, Detaching};
        matches!(self.state, Available | Attached { .. } | Detaching { .. })
    }

    /// Whether its owner has it still: it counts for what an account may have.
    pub fn is_kept(&self) -> bool {
        self.is_there() || matches!(self.state, VolumeState::Creating { .. })
    }

    /// Whether it has room on its host.
    pub fn is_live(&self) -> bool {
        self.is_kept() || matches!(self.state, VolumeState::Deleting { .. })
    }

    /// Whether it is charged, unless its account is frozen.
    pub fn is_charged(&self) -> bool {
        self.is_there() && self.charged_since.is_some() && self.unavailable_since.is_none()
    }

    /// The second up to which it is charged, once that is known.
    pub fn charged_until(&self) -> Option<Second> {
        match self.state {
            VolumeState::Deleting { at, .. } | VolumeState::Deleted { at, .. } => Some(at),
            _ => None,
        }
    }

    /// What of its host's room is taken by it.
    pub fn used(&self) -> Resources {
        Resources::of(self.is_live().then_some((SYSTEM_DISK, self.gib)))
    }

    /// What it is on a bill.
    pub fn resource(&self) -> ResourceId {
        match self.id {
            VolumeId::Disk(id) => ResourceId::Disk(id),
            VolumeId::Snapshot(id) => ResourceId::Snapshot(id),
            VolumeId::Image(id) => panic!("an image is neither a disk nor a snapshot: {id}"),
        }
    }

    pub fn meter(&self) -> Meter {
        match self.id {
            VolumeId::Disk(_) => Meter::DataDisk,
            _ => Meter::Snapshot,
        }
    }

    /// Whose price it has, a GiB.
    pub fn item(&self) -> Item {
        match self.id {
            VolumeId::Disk(_) => Item::DataDisk,
            _ => Item::Snapshot,
        }
    }

    /// The word for it in sentences.
    pub fn noun(&self) -> &'static str {
        match self.id {
            VolumeId::Disk(_) => "data disk",
            _ => "snapshot",
        }
    }
}
