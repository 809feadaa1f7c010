//! What is an account's own image, and which states can it be in? Those of the catalog are the operator's, see
//! [`crate::catalog::Image`].

use crate::id::{AccountId, DiskId, HostId, ImageId, InstanceId};
use crate::time::Timestamp;
use crate::volume::ImageFormat;
use serde::{Deserialize, Serialize};

/// An image that an account brought along or made of a disk. It is a flattened copy: nothing that it was made of is needed any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomImage {
    pub id: ImageId,
    pub account: AccountId,
    pub name: String,
    pub origin: Origin,
    pub created_at: Timestamp,
    /// Grows with every change; a change names the generation it saw.
    pub generation: i64,
    pub state: ImageState,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum Origin {
    /// Bytes that its owner sends.
    Upload {
        format: ImageFormat,
        sha256: String,
    },
    Url {
        url: String,
        format: ImageFormat,
        sha256: String,
    },
    SystemDisk {
        instance: InstanceId,
    },
    DataDisk {
        disk: DiskId,
    },
}

impl Origin {
    /// What its bytes are said to be, where they come from outside.
    pub fn bytes(&self) -> Option<(ImageFormat, &str)> {
        match self {
            Origin::Upload { format, sha256 } | Origin::Url { format, sha256, .. } => Some((*format, sha256)),
            Origin::SystemDisk { .. } | Origin::DataDisk { .. } => None,
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Origin::Upload { .. } => "upload",
            Origin::Url { .. } => "url",
            Origin::SystemDisk { .. } => "system-disk",
            Origin::DataDisk { .. } => "data-disk",
        }
    }
}

/// Where an image is in its life. What belongs to a state lives inside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum ImageState {
    /// This host makes it.
    Importing {
        host: HostId,
    },
    Available {
        at: Timestamp,
        size: ImageSize,
    },
    /// It could not be made; nothing of it is left.
    Failed {
        at: Timestamp,
        reason: String,
    },
    Deleted {
        at: Timestamp,
    },
}

impl ImageState {
    /// The state as users see it.
    pub fn name(&self) -> &'static str {
        match self {
            ImageState::Importing { .. } => "importing",
            ImageState::Available { .. } => "available",
            ImageState::Failed { .. } => "failed",
            ImageState::Deleted { .. } => "deleted",
        }
    }
}

/// How large an image is, and by what its stored form is known again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSize {
    /// As a guest sees it.
    pub bytes: i64,
    pub stored_bytes: i64,
    pub stored_sha256: String,
}

impl ImageSize {
    /// The smallest disk that holds it.
    pub fn gib(&self) -> i64 {
        (self.bytes + (1 << 30) - 1) >> 30
    }
}

/// The copy of an image on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageCopy {
    pub image: ImageId,
    pub host: HostId,
    /// Of its orders.
    pub generation: i64,
    pub state: CopyState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CopyState {
    /// Its host was told to have it.
    Making,
    There,
    /// Its host was told to remove it.
    Going,
}
