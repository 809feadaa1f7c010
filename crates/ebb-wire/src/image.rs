//! Images of accounts, as the API says them. Sizes are bytes, or GiB (2³⁰ bytes) where it says so.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An image that an account brought along or made of a disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Image {
    pub id: String,
    pub account: String,
    pub name: String,
    /// `importing`, `available`, `failed` or `deleted`.
    pub state: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub origin: ImageOrigin,
    /// The smallest system disk that holds it, in GiB; once it is available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gib: Option<i64>,
    /// As a guest sees it, and as it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<i64>,
    pub created_at: String,
    /// Other accounts that may use it; its owner sees them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared_with: Vec<String>,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "from", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ImageOrigin {
    /// Its bytes are sent afterwards: `PUT /v1/images/{id}/content`.
    Upload {
        /// `qcow2` or `raw`. It is believed: nothing guesses it from the bytes.
        format: String,
        /// Of the bytes, 64 hexadecimal digits.
        sha256: String,
    },
    /// They are fetched from there, over http or https.
    Url { url: String, format: String, sha256: String },
    /// Of the system disk of an instance, as it is now.
    SystemDisk { instance: String },
    /// Of a data disk, as it is now.
    DataDisk { disk: String },
}

/// An image to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddImage {
    #[schema(example = "golden")]
    pub name: String,
    pub origin: ImageOrigin,
}

/// Another account that may use an image, or may not any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareImage {
    pub account: String,
}
