//! How does a stranger's image become one of ours, and how does a disk?
//!
//! Its bytes are counted and summed, its header is read by our own code ([`super::header`]), and only then does a tool see it: one
//! that can do no harm ([`super::tool`]) copies what a guest would see into a new file, flat. What comes out is what is kept, and
//! its header is read again. Where raw was said, every file is raw: its bytes are a disk's and nothing else, whatever they begin
//! with.

use super::layers::{Boot, Kept};
use super::tool::Scratch;
use super::{Chain, Store};
use ebb_driver::image::{self, HEAD_BYTES};
use ebb_driver::protocol::Stored;
use ebb_model::volume::{DiskOf, ImageFormat, VolumeId};
use sha2::{Digest, Sha256};
use std::fs::{File, Permissions};
use std::io::{self, Read, Seek, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::task::spawn_blocking;

/// A sender that says nothing for so long is not heard any more.
const SILENCE: Duration = Duration::from_secs(120);
/// Of the file system, kept for what guests write.
const KEPT_FREE_BYTES: u64 = 1 << 30;
/// How often it is looked whether so much is free, in bytes that came.
const LOOK_EVERY_BYTES: u64 = 64 << 20;
/// The last two bytes of a sector that firmware boots from.
const BOOTABLE: [u8; 2] = [0x55, 0xaa];

/// Takes an image of bytes that come; its disk and its file may be `most` bytes large.
pub async fn take(
    store: Arc<Store>,
    id: VolumeId,
    (format, sha256): (ImageFormat, String),
    most: u64,
    client: UnixStream,
) -> Result<Kept, String> {
    let scratch = Scratch::new(&store).map_err(|e| e.to_string())?;
    let came = receive(scratch.path("in"), client, most).await?;
    if !came.sha256.eq_ignore_ascii_case(&sha256) {
        let bytes = came.bytes;
        return Err(format!("{bytes} bytes came, and their SHA-256 is not {sha256}: send it again, whole"));
    }
    let input = scratch.path("in");
    spawn_blocking(move || fits(&input, format, most)).await.map_err(|e| e.to_string())??;
    let call = Scratch::call("in", format);
    flatten(store, scratch, id, &call, most, None).await
}

/// Makes an image of layers that nobody writes to any more.
pub async fn make(store: Arc<Store>, id: VolumeId, of: Kept) -> Result<Kept, String> {
    let chain: Chain = store.chain_of(&of);
    let scratch = Scratch::new(&store).map_err(|e| e.to_string())?;
    let call = scratch.lend(&store, &chain).map_err(|e| e.to_string())?;
    flatten(store, scratch, id, &call, of.bytes, of.boot).await
}

/// Makes one layer of all those of a disk that nobody has. What snapshots refer to stays as it is.
pub async fn lay_together(store: &Arc<Store>, disk: DiskOf) -> Result<(), String> {
    let chain = store.chain(disk).ok_or("the disk is gone")?;
    let scratch = Scratch::new(store).map_err(|e| e.to_string())?;
    let call = scratch.lend(store, &chain).map_err(|e| e.to_string())?;
    let out = convert(store, &scratch, &call, chain.bytes).await?;
    let store = store.clone();
    let replace = move || {
        let done = fits(&out, ImageFormat::Qcow2, chain.bytes).and_then(|_| store.replace(disk, &chain, &out));
        drop(scratch);
        done
    };
    spawn_blocking(replace).await.map_err(|e| e.to_string())?
}

/// Copies what a guest would see into a file of its own.
async fn convert(store: &Store, scratch: &Scratch, call: &str, most: u64) -> Result<PathBuf, String> {
    let _turn = store.tool.acquire().await.expect("it is never closed");
    // The tables of a full disk are a small part of it.
    let largest = (most + most / 256 + (16 << 20)).min(free(&scratch.path("."))?);
    scratch.qemu_img(&["convert", "-q", "-O", "qcow2", call, "out"], largest).await?;
    Ok(scratch.path("out"))
}

/// Sends an image as it is stored.
pub async fn send(store: Arc<Store>, kept: Kept, client: UnixStream) -> io::Result<()> {
    let mut client = blocking(client)?;
    let work = move || {
        let mut file = store.layer(kept.layer, super::Access::Read)?;
        file.rewind()?;
        io::copy(&mut file, &mut client)?;
        client.shutdown(Shutdown::Write)
    };
    spawn_blocking(work).await.map_err(io::Error::other)?
}

fn blocking(client: UnixStream) -> io::Result<net::UnixStream> {
    let client = client.into_std()?;
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(SILENCE))?;
    client.set_write_timeout(Some(SILENCE))?;
    Ok(client)
}

/// A sender who is not heard any more when this is dropped.
struct HangUp(net::UnixStream);

impl Drop for HangUp {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

async fn receive(to: PathBuf, client: UnixStream, most: u64) -> Result<Stored, String> {
    let client = blocking(client).map_err(|e| e.to_string())?;
    let _hang_up = HangUp(client.try_clone().map_err(|e| e.to_string())?);
    spawn_blocking(move || write_down(&to, client, most)).await.map_err(|e| e.to_string())?
}

fn write_down(to: &Path, mut client: net::UnixStream, most: u64) -> Result<Stored, String> {
    let failed = |e: io::Error| format!("it cannot be written: {e}");
    let mut file = File::create_new(to).map_err(failed)?;
    let (mut sum, mut bytes, mut looked_at) = (Sha256::new(), 0_u64, None);
    let mut buffer = vec![0; 256 << 10];
    loop {
        let length = match client.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                return Err(format!("nothing came for {SILENCE:?} after {bytes} bytes"));
            }
            Err(e) => return Err(format!("it broke off after {bytes} bytes: {e}")),
        };
        bytes += length as u64;
        if bytes > most {
            return Err(format!("it is larger than the {most} bytes that are taken"));
        }
        if looked_at.is_none_or(|at| bytes - at >= LOOK_EVERY_BYTES) {
            looked_at = Some(bytes);
            free(to)?;
        }
        sum.update(&buffer[..length]);
        file.write_all(&buffer[..length]).map_err(failed)?;
    }
    // The tool reads it and nobody writes to it any more.
    file.set_permissions(Permissions::from_mode(0o444)).map_err(failed)?;
    Ok(Stored { bytes: bytes.cast_signed(), sha256: hex(&sum.finalize()) })
}

/// Whether a file is what was said, as far as we can see ourselves.
fn fits(file: &Path, format: ImageFormat, most: u64) -> Result<u64, String> {
    let open = File::open(file).map_err(|e| e.to_string())?;
    let length = open.metadata().map_err(|e| e.to_string())?.len();
    let mut head = vec![];
    open.take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(|e| e.to_string())?;
    image::fits(format, &head, length, most)
}

async fn flatten(
    store: Arc<Store>,
    scratch: Scratch,
    id: VolumeId,
    call: &str,
    most: u64,
    boot: Option<Boot>,
) -> Result<Kept, String> {
    let out = convert(&store, &scratch, call, most).await?;
    let boot = match boot {
        Some(boot) => Some(boot),
        None => boots(&store, &scratch).await?.then_some(Boot::Disk),
    };
    let keep = move || {
        let bytes = fits(&out, ImageFormat::Qcow2, most).map_err(|why| format!("what came of it is unfit: {why}"))?;
        let stored = summed(&out).map_err(|e| e.to_string())?;
        let kept = store.keep_image(id, &out, stored, bytes, boot);
        // Until here its files are needed.
        drop(scratch);
        kept
    };
    spawn_blocking(keep).await.map_err(|e| e.to_string())?
}

/// Whether firmware finds something on the disk that it can boot.
async fn boots(store: &Store, scratch: &Scratch) -> Result<bool, String> {
    let _turn = store.tool.acquire().await.expect("it is never closed");
    let input = format!("if={}", Scratch::call("out", ImageFormat::Qcow2));
    scratch.qemu_img(&["dd", "-O", "raw", "bs=512", "count=1", &input, "of=sector"], 1 << 20).await?;
    let sector = std::fs::read(scratch.path("sector")).map_err(|e| e.to_string())?;
    Ok(sector.get(510..512) == Some(&BOOTABLE))
}

fn summed(file: &Path) -> io::Result<Stored> {
    let (mut file, mut sum, mut bytes) = (File::open(file)?, Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Stored { bytes, sha256: hex(&sum.finalize()) }),
            length => {
                bytes += length as i64;
                sum.update(&buffer[..length]);
            }
        }
    }
}

/// What may still be written to the file system of `path`.
fn free(path: &Path) -> Result<u64, String> {
    let dir = path.parent().unwrap_or(path);
    let disk = rustix::fs::statvfs(dir).map_err(|e| e.to_string())?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize).saturating_sub(KEPT_FREE_BYTES);
    match free {
        0 => Err("this host's disk is full".to_owned()),
        free => Ok(free),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
