//! What lies on a host beside its guests? Data disks, snapshots and images, as server and host name them.

use crate::id::{DiskId, ImageId, InstanceId, SnapshotId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Something on a host that outlives guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum VolumeId {
    Disk(DiskId),
    Snapshot(SnapshotId),
    Image(ImageId),
}

impl fmt::Display for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VolumeId::Disk(id) => id.fmt(f),
            VolumeId::Snapshot(id) => id.fmt(f),
            VolumeId::Image(id) => id.fmt(f),
        }
    }
}

impl FromStr for VolumeId {
    type Err = <ImageId as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let disk = text.parse().map(VolumeId::Disk);
        disk.or_else(|_| text.parse().map(VolumeId::Snapshot)).or_else(|_| text.parse().map(VolumeId::Image))
    }
}

/// A disk of which a snapshot or an image may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DiskOf {
    /// The system disk of an instance.
    System(InstanceId),
    Data(DiskId),
}

/// The form of an image that is brought along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageFormat {
    Qcow2,
    Raw,
}

impl ImageFormat {
    pub fn name(self) -> &'static str {
        match self {
            ImageFormat::Qcow2 => "qcow2",
            ImageFormat::Raw => "raw",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_all_kinds_read_back_and_are_told_apart() {
        let hex = "0".repeat(32);
        for text in [format!("disk-{hex}"), format!("snap-{hex}"), format!("img-{hex}")] {
            let json = format!("\"{text}\"");
            let id: VolumeId = serde_json::from_str(&json).unwrap();
            assert_eq!(text.parse(), Ok(id));
            assert_eq!((id.to_string(), serde_json::to_string(&id).unwrap()), (text, json));
        }
        assert!(serde_json::from_str::<VolumeId>(&format!("\"i-{hex}\"")).is_err());
        assert!(matches!(serde_json::from_str(&format!("\"i-{hex}\"")).unwrap(), DiskOf::System(_)));
    }
}
