//! What do a server and a host say to each other?
//!
//! A connection begins with one line, an [`Open`]. On a *control* connection both sides then send messages,
//! each a line of JSON: the server [`ToHost`], the host [`FromHost`], its `Hello` first. A *stream* connection is answered
//! with one line, a [`StreamAnswer`], and is from then on the bytes of a guest's serial console, of a TCP port of it, or of an
//! image.

use ebb_model::id::{AccountId, DiskId, InstanceId, SnapshotId};
use ebb_model::network::{Ingress, Place, PublicAddress};
use ebb_model::resources::Resources;
use ebb_model::time::Timestamp;
use ebb_model::traffic::Reading;
use ebb_model::volume::{DiskOf, ImageFormat, VolumeId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use uuid::Uuid;

/// The first line of a connection, from the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "open", rename_all = "kebab-case")]
pub enum Open {
    Control {
        installation: Uuid,
    },
    Stream {
        installation: Uuid,
        guest: InstanceId,
        target: Target,
    },
    /// The bytes of an image, from the server to the host or the other way. The host reads to the end and says by a later
    /// [`ObservedVolume`] what became of it; whoever sends closes its side.
    Bytes {
        installation: Uuid,
        volume: VolumeId,
        way: Way,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    ToHost,
    FromHost,
}

/// What a stream leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The serial console, both ways.
    Console,
    /// A TCP port of the guest.
    Port(u16),
}

/// The host's one line before a stream begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamAnswer {
    /// `None`: the bytes follow. Else why not; the connection ends.
    pub error: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub enum ToHost {
    /// Answers the host's `Hello`, before anything else: who is speaking, and up to which order it knows.
    Welcome(Position),
    /// What should be. `sequence` is higher than that of any earlier order; guests that are not named stay as they are.
    Desire {
        sequence: i64,
        guests: Vec<DesiredGuest>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        volumes: Vec<DesiredVolume>,
    },
    /// The other hosts of its region, by the addresses under which they carry private networks on; these and no others.
    Peers {
        hosts: BTreeSet<Ipv4Addr>,
    },
    /// The operator accepts that orders were lost (after a restored backup); destructive orders are obeyed again.
    AcceptGap(Position),
    /// Remove a guest in quarantine, by the operator's word.
    Destroy {
        guest: InstanceId,
    },
    /// The same of a volume that is in no table.
    DestroyVolume {
        volume: VolumeId,
    },
    /// The server has written down that the guest is gone; the host need not remember it.
    Forget {
        guest: InstanceId,
    },
    /// The same of a volume that is gone.
    ForgetVolume {
        volume: VolumeId,
    },
    /// The last `bytes` of a guest's console; answered by `ConsoleLog` with the same `request`.
    ReadConsole {
        request: u64,
        guest: InstanceId,
        bytes: u32,
    },
    Ping,
}

/// How far a server and a host have come together. The epoch grows when a backup is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Position {
    pub epoch: i64,
    pub sequence: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub enum FromHost {
    /// Boxed, as it is large and comes once.
    Hello(Box<Hello>),
    /// Everything up to `sequence` is in the host's own files.
    Accepted {
        sequence: i64,
    },
    /// Something about a guest changed, or the server asked.
    Observed(ObservedGuest),
    /// The same of a volume.
    ObservedVolume(ObservedVolume),
    ConsoleLog {
        request: u64,
        text: String,
        error: Option<String>,
    },
    /// Comes after every reading that was due before the ping.
    Pong,
    /// What left a public address so far. Said each minute in which that changed, so also on the full hour, and before address or
    /// guest goes.
    Read(Reading),
    /// Somebody at the machine wants it back, or does not any more (rules §2.13).
    WantedBack {
        wanted: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The host's name, unique in the installation.
    pub host: String,
    /// The zone it lends its capacity to.
    pub zone: String,
    pub driver: String,
    /// What it lends, its own memory and the hypervisor's overhead already taken off.
    pub capacity: Resources,
    pub features: Features,
    pub position: Position,
    /// Somebody at the machine wants it back.
    #[serde(default)]
    pub wanted_back: bool,
    /// The last readings of each clock hour that it remembers, and of what is gone and not forgotten. Heard before the guests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readings: Vec<Reading>,
    /// All guests of this installation that it has, as they are.
    pub guests: Vec<ObservedGuest>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<ObservedVolume>,
    /// Where the region's other hosts reach it, if it carries private networks on to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<Ipv4Addr>,
    /// The operator's images that guests can be started of here; `None`: all of the catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<BTreeSet<String>>,
}

/// What a driver can do; the catalog does not sell what it cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Features {
    /// The guest can read its interruption notice from a metadata service.
    pub notice_in_metadata: bool,
    /// It counts what leaves a public address, and says so.
    pub metered_traffic: bool,
    /// Streams to the console and to ports.
    pub streams: bool,
    /// Public addresses lead to its guests.
    #[serde(default)]
    pub public_addresses: bool,
    /// Data disks, snapshots and images.
    #[serde(default)]
    pub volumes: bool,
}

/// What one guest should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DesiredGuest {
    pub id: InstanceId,
    /// The generation of the instance that this order stands for; observations carry it back.
    pub generation: i64,
    pub account: AccountId,
    pub want: Want,
    pub spec: GuestSpec,
    pub metadata: Metadata,
    /// When the host is to release it by itself, server or no server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<PlannedEnd>,
    /// Where it stands in its account's network; `None`: where the host finds room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// What may come in through its public addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<Ingress>,
    /// The public addresses that lead to it; what it sends outside by itself leaves by the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<PublicAddress>,
    /// Its data disks, in the order in which it was given them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<DiskId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "want", rename_all = "kebab-case")]
pub enum Want {
    Running,
    /// Powered down; by the switch from `force_at` on.
    Off {
        force_at: Timestamp,
    },
    /// Removed with its system disk, at once.
    Gone,
}

/// What the hypervisor needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuestSpec {
    pub resources: Resources,
    /// One that the host was configured with, by its name, or a volume, by its id.
    pub image: String,
    /// Grows when the system disk is to be made anew of the image, at the next start.
    #[serde(default)]
    pub disk_revision: i64,
    /// The system disk is thrown away with the guest whatever happens, so it need not survive a crash of the host.
    pub disposable: bool,
}

/// What the guest may read about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    pub name: String,
    pub hostname: String,
    #[serde(default)]
    pub region: String,
    pub zone: String,
    pub flavor: String,
    /// SSH public keys by their names.
    pub public_keys: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<String>,
    /// Of root, hashed as `crypt(3)` does; takes effect at the next start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
}

/// A release that is known beforehand: a reclaim's deadline or the end of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedEnd {
    /// The guest's metadata shows the notice from here on.
    pub notice_at: Timestamp,
    /// The release begins here.
    pub at: Timestamp,
}

/// What one guest is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedGuest {
    pub id: InstanceId,
    /// The newest order that the host had for it.
    pub generation: i64,
    pub is: Is,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// When the metadata service first answered with the notice, and when the guest first read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice_readable_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice_read_at: Option<Timestamp>,
    /// When the guest said that it need not wait for the end that was announced: its release began here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_at: Option<Timestamp>,
    /// The data disks that its process holds; nobody else may have them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub disks: BTreeSet<DiskId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Is {
    /// Told to run, not yet seen running.
    Starting,
    /// The guest's process runs since `since`.
    Running { since: Timestamp },
    /// It does not run any more since `at`, its disk is there.
    Off { at: Timestamp },
    /// Neither process nor disk nor address is left; the room is free.
    Gone { at: Timestamp },
    /// It could not be started; nothing of it is left.
    Failed { at: Timestamp, reason: String },
}

/// What a volume should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DesiredVolume {
    pub id: VolumeId,
    /// Grows with each order about it; observations carry it back.
    pub generation: i64,
    pub want: WantVolume,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "want", rename_all = "kebab-case")]
pub enum WantVolume {
    /// Made once of its source. A disk is so large, and grows when this does; of others it is the most that is taken.
    There {
        source: Source,
        gib: i64,
    },
    Gone,
}

/// What a volume is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "kebab-case")]
pub enum Source {
    /// Nothing: it reads as zeros.
    Blank,
    /// A disk, of what another held then; both go their own ways.
    Snapshot { snapshot: SnapshotId },
    /// A snapshot or an image, of what a disk holds when it is made.
    Disk { disk: DiskOf },
    /// An image, of bytes that come by an [`Open::Bytes`]. They are a stranger's, whatever server they come from.
    Bytes { format: ImageFormat, sha256: String },
}

/// What a volume is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedVolume {
    pub id: VolumeId,
    /// The newest order that the host had for it.
    pub generation: i64,
    pub is: VolumeIs,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum VolumeIs {
    /// Not there yet; an image of bytes waits for them.
    Making,
    There {
        since: Timestamp,
        #[serde(flatten)]
        size: VolumeSize,
    },
    /// Nothing of it is left, or nothing but what others share.
    Gone { at: Timestamp },
    /// It could not be made, and nothing of it is left.
    Failed { at: Timestamp, reason: String },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VolumeSize {
    /// As a guest sees it.
    pub bytes: i64,
    /// Of an image, as it is stored and goes from host to host, in qcow2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Stored>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    pub bytes: i64,
    pub sha256: String,
}
