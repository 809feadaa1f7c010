//! Is a file what it says it is? Read by our own code before any tool sees it, and believed in nothing but its numbers.
//!
//! QEMU's qcow2 can name other files, be encrypted, hold snapshots and be repaired when it is opened. A stranger's file may do none
//! of that: what is not plain is refused, each with its reason.

use ebb_model::volume::ImageFormat;
use std::fmt;

/// So much of the beginning of a file is enough for [`qcow2`]: the largest cluster, which holds the header and what belongs to it.
pub const HEAD_BYTES: usize = 2 << 20;

const MAGIC: &[u8; 4] = b"QFI\xfb";
const V2_BYTES: usize = 72;
const V3_BYTES: usize = 104;
/// QEMU's own bounds.
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
const L1_BYTES: u64 = 32 << 20;
const REFCOUNTS_BYTES: u64 = 8 << 20;
const SECTOR: u64 = 512;

/// Incompatible features: a program that does not know one must not open the file.
const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;
/// Of what a program may ignore that only reads: the bitmaps are right.
const BITMAPS: u64 = 1;

/// Extensions of the header.
const END: u32 = 0;
const BACKING_FORMAT: u32 = 0xe279_2aca;
const BITMAPS_EXTENSION: u32 = 0x2385_2875;
const ENCRYPTION: u32 = 0x0537_be77;
const DATA_FILE: u32 = 0x4441_5441;

/// How large the disk of an image is, in bytes, if a file with this head and length is what it is said to be and no larger than
/// `most`; else why not. Of the head [`HEAD_BYTES`] are enough.
pub fn fits(format: ImageFormat, head: &[u8], length: u64, most: u64) -> Result<u64, String> {
    match format {
        ImageFormat::Raw if length == 0 || !length.is_multiple_of(SECTOR) => {
            Err(format!("it is {length} bytes long, which is no whole number of sectors above zero"))
        }
        ImageFormat::Raw => Ok(length),
        ImageFormat::Qcow2 => qcow2(head, length, most).map(|header| header.bytes).map_err(|unfit| unfit.to_string()),
    }
}

/// A plain qcow2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// As a guest sees it.
    pub bytes: u64,
}

/// Why a file is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("it is {0}, not qcow2: convert it with `qemu-img convert -O qcow2`")]
    Another(Kind),
    #[error("it is qcow2 of version {0}, and versions 2 and 3 are read")]
    Version(u32),
    #[error("it ends within its own header, or before what the header names: {0}")]
    Truncated(&'static str),
    #[error("it has a backing file, and what lies under it was not sent: flatten it with `qemu-img convert -O qcow2`")]
    Backing,
    #[error("its data lies in another file, which was not sent: flatten it with `qemu-img convert -O qcow2`")]
    ExternalData,
    #[error("it is encrypted, and nobody here has the key")]
    Encrypted,
    #[error("it holds snapshots of its own: leave them out with `qemu-img convert -O qcow2`")]
    Snapshots,
    #[error("it holds bitmaps: leave them out with `qemu-img convert -O qcow2`")]
    Bitmaps,
    #[error("it was not closed well (marked as dirty): repair it with `qemu-img check -r all`")]
    Dirty,
    #[error("it is marked as corrupt: repair it with `qemu-img check -r all`")]
    Corrupt,
    #[error("it needs features that are not known here (bits {0:#x}): convert it with `qemu-img convert -O qcow2`")]
    Features(u64),
    #[error("it has extended L2 entries, which are not taken: convert it with `qemu-img convert -O qcow2`")]
    ExtendedL2,
    #[error("it is compressed in a way that is neither zlib nor zstd (type {0})")]
    Compression(u8),
    #[error("its header is {0} bytes long, which is no length of a header")]
    HeaderLength(u64),
    #[error("an extension of its header runs over the header's cluster")]
    Extension,
    #[error("its clusters are of 2^{0} bytes, and 9 to 21 are possible")]
    Clusters(u32),
    #[error("its reference counts are 2^{0} bits wide, and 0 to 6 are possible")]
    RefcountOrder(u32),
    #[error("its disk is {0} bytes large, which is no whole number of sectors above zero")]
    Size(u64),
    #[error("its disk is {bytes} bytes large, and at most {most} are taken")]
    TooLarge { bytes: u64, most: u64 },
    #[error("its {table} is no table of such a disk: {entries} entries at byte {offset}")]
    Table { table: &'static str, entries: u64, offset: u64 },
}

/// What a file looks like by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Qcow2,
    Qcow1,
    Vmdk,
    Vdi,
    Vhd,
    Vhdx,
    Luks,
    Qed,
    Parallels,
    /// Nothing that is known: a raw disk looks like this.
    Unknown,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Qcow2 => "qcow2",
            Kind::Qcow1 => "qcow of version 1",
            Kind::Vmdk => "VMDK",
            Kind::Vdi => "VDI",
            Kind::Vhd => "VHD",
            Kind::Vhdx => "VHDX",
            Kind::Luks => "LUKS",
            Kind::Qed => "QED",
            Kind::Parallels => "Parallels",
            Kind::Unknown => "of no known format",
        })
    }
}

pub fn kind(head: &[u8]) -> Kind {
    let starts = |what: &[u8]| head.starts_with(what);
    match () {
        () if starts(MAGIC) => match be32(head, 4) {
            Some(1) => Kind::Qcow1,
            _ => Kind::Qcow2,
        },
        () if starts(b"KDMV") || starts(b"COWD") || starts(b"# Disk DescriptorFile") => Kind::Vmdk,
        () if head.get(64..68) == Some(&0xbeda_107f_u32.to_le_bytes()) => Kind::Vdi,
        () if starts(b"conectix") => Kind::Vhd,
        () if starts(b"vhdxfile") => Kind::Vhdx,
        () if starts(b"LUKS\xba\xbe") => Kind::Luks,
        () if starts(b"QED\0") => Kind::Qed,
        () if starts(b"WithoutFreeSpace") || starts(b"WithouFreSpacExt") => Kind::Parallels,
        () => Kind::Unknown,
    }
}

/// Reads the header of a qcow2 file that is `length` bytes long and begins with `head`, which is [`HEAD_BYTES`] of it or all.
/// Its disk may be `most` bytes large.
pub fn qcow2(head: &[u8], length: u64, most: u64) -> Result<Header, Unfit> {
    match kind(head) {
        Kind::Qcow2 => {}
        other => return Err(Unfit::Another(other)),
    }
    let short = |what| move || Unfit::Truncated(what);
    let version = be32(head, 4).ok_or_else(short("the version"))?;
    if !matches!(version, 2 | 3) {
        return Err(Unfit::Version(version));
    }
    let word = |at| be32(head, at).ok_or(Unfit::Truncated("the header"));
    let long = |at| be64(head, at).ok_or(Unfit::Truncated("the header"));
    let (incompatible, autoclear, order, header) = match version {
        2 => (0, 0, 4, V2_BYTES as u64),
        _ => (long(72)?, long(88)?, word(96)?, u64::from(word(100)?)),
    };
    // What it says about other files comes first: it is what would do harm.
    if long(8)? != 0 || word(16)? != 0 {
        return Err(Unfit::Backing);
    }
    if word(32)? != 0 {
        return Err(Unfit::Encrypted);
    }
    let known = DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION | EXTENDED_L2;
    match incompatible {
        bits if bits & EXTERNAL_DATA != 0 => return Err(Unfit::ExternalData),
        bits if bits & !known != 0 => return Err(Unfit::Features(bits & !known)),
        bits if bits & CORRUPT != 0 => return Err(Unfit::Corrupt),
        bits if bits & DIRTY != 0 => return Err(Unfit::Dirty),
        bits if bits & EXTENDED_L2 != 0 => return Err(Unfit::ExtendedL2),
        _ => {}
    }
    let cluster_bits = word(20)?;
    if !CLUSTER_BITS.contains(&cluster_bits) {
        return Err(Unfit::Clusters(cluster_bits));
    }
    let cluster = 1_u64 << cluster_bits;
    if header < if version == 2 { V2_BYTES } else { V3_BYTES } as u64 || header > cluster || header % 8 != 0 {
        return Err(Unfit::HeaderLength(header));
    }
    if order > 6 {
        return Err(Unfit::RefcountOrder(order));
    }
    let compression = (header > V3_BYTES as u64).then(|| head.get(V3_BYTES).copied()).flatten().unwrap_or(0);
    if compression > 1 || (compression == 1) != (incompatible & COMPRESSION != 0) {
        return Err(Unfit::Compression(compression));
    }
    if word(60)? != 0 {
        return Err(Unfit::Snapshots);
    }
    extensions(head, header, cluster)?;
    if autoclear & BITMAPS != 0 {
        return Err(Unfit::Bitmaps);
    }
    let bytes = long(24)?;
    if bytes == 0 || bytes % SECTOR != 0 {
        return Err(Unfit::Size(bytes));
    }
    if bytes > most {
        return Err(Unfit::TooLarge { bytes, most });
    }
    // An L2 table is one cluster of entries of 8 bytes, so an entry of L1 stands for this much.
    let needed = bytes.div_ceil(cluster * (cluster / 8));
    table("L1 table", long(40)?, u64::from(word(36)?), needed, L1_BYTES / 8, cluster, length)?;
    let clusters = u64::from(word(56)?);
    let entries = clusters.saturating_mul(cluster / 8);
    table("table of reference counts", long(48)?, entries, 1, REFCOUNTS_BYTES / 8, cluster, length)?;
    Ok(Header { bytes })
}

/// Each is a type, a length and so many bytes, up to a multiple of 8.
fn extensions(head: &[u8], header: u64, cluster: u64) -> Result<(), Unfit> {
    let end = usize::try_from(cluster).unwrap_or(HEAD_BYTES);
    let mut at = usize::try_from(header).unwrap_or(HEAD_BYTES);
    // The shortest is 8 bytes, so that this ends soon.
    while at < end {
        let (Some(kind), Some(bytes)) = (be32(head, at), be32(head, at + 4)) else {
            return Err(Unfit::Truncated("the extensions of the header"));
        };
        match kind {
            END => return Ok(()),
            BACKING_FORMAT => return Err(Unfit::Backing),
            DATA_FILE => return Err(Unfit::ExternalData),
            ENCRYPTION => return Err(Unfit::Encrypted),
            BITMAPS_EXTENSION => return Err(Unfit::Bitmaps),
            // Names of features, or something that whoever does not know it may skip.
            _ => {}
        }
        let padded = (bytes as usize).checked_next_multiple_of(8).ok_or(Unfit::Extension)?;
        at = at.checked_add(8 + padded).filter(|next| *next <= end).ok_or(Unfit::Extension)?;
    }
    Ok(())
}

fn table(
    table: &'static str,
    offset: u64,
    entries: u64,
    at_least: u64,
    at_most: u64,
    cluster: u64,
    length: u64,
) -> Result<(), Unfit> {
    let end = entries.checked_mul(8).and_then(|bytes| offset.checked_add(bytes));
    let fits = entries >= at_least && entries <= at_most && offset >= cluster && offset.is_multiple_of(cluster);
    match end {
        Some(end) if fits && end <= length => Ok(()),
        Some(end) if fits && end > length => Err(Unfit::Truncated(table)),
        _ => Err(Unfit::Table { table, entries, offset }),
    }
}

/// Whether a file that our own tools began and a guest's QEMU wrote on names nothing but itself. Its other numbers are QEMU's
/// to read, in a process that may open nothing else.
pub fn names_another(head: &[u8]) -> Option<Unfit> {
    match qcow2(head, u64::MAX, u64::MAX) {
        Err(
            unfit @ (Unfit::Another(_)
            | Unfit::Backing
            | Unfit::ExternalData
            | Unfit::Encrypted
            | Unfit::Snapshots
            | Unfit::Features(_)
            | Unfit::Extension
            | Unfit::HeaderLength(_)),
        ) => Some(unfit),
        _ => None,
    }
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_be_bytes)
}

fn be64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests;
