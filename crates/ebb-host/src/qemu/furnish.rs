//! What does a guest's QEMU find in its directory? Its kernel, and nothing of anybody else's; its disks it is handed.

use super::command;
use crate::volumes::Store;
use crate::volumes::layers::Boot;
use crate::volumes::system::Beginning;
use ebb_driver::protocol::GuestSpec;
use ebb_model::id::InstanceId;
use ebb_model::volume::{DiskOf, ImageFormat, VolumeId};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A disk image of the operator's, in the directory of an image.
const DISKS: [(&str, ImageFormat); 2] = [("disk.qcow2", ImageFormat::Qcow2), ("disk.raw", ImageFormat::Raw)];

/// Everything that QEMU finds in its directory, and the guest's system disk.
pub struct Furnish {
    pub id: InstanceId,
    /// The guest's own directory.
    pub outer: PathBuf,
    /// Where the operator's images lie.
    pub images: BTreeMap<String, PathBuf>,
    pub store: Arc<Store>,
    pub spec: GuestSpec,
    pub uid: u32,
}

impl Furnish {
    /// Blocks. What is there already stays. How the guest is booted.
    pub fn run(self) -> Result<Boot, String> {
        let bytes = u64::try_from(self.spec.resources.get("disk_gib")).unwrap_or(0) << 30;
        self.take_old_disk()?;
        let boot = self.store.system(self.id, self.spec.disk_revision, bytes, || self.beginning())?;
        self.lay_out(&boot).map_err(|e| format!("{}: {e}", self.outer.display()))?;
        Ok(boot)
    }

    /// What a new system disk begins with.
    fn beginning(&self) -> Result<Beginning, String> {
        let name = &self.spec.image;
        let Some(dir) = self.images.get(name) else {
            let volume: Option<VolumeId> = serde_json::from_value(name.as_str().into()).ok();
            let id = volume.ok_or_else(|| {
                format!("this host has no image `{name}`: name its directory in the host's configuration")
            })?;
            let boot = self.store.boot_of(id)?.or_else(|| self.any_kernel()).ok_or_else(|| {
                format!(
                    "{id} has no boot loader, and this host has no image with a kernel: name one in its configuration"
                )
            })?;
            return Ok(Beginning::Volume { id, boot });
        };
        if missing_kernel(dir).is_none() {
            return Ok(Beginning::Blank { kernel: name.clone() });
        }
        if let Some((disk, format)) = disk(dir) {
            let taken = self.store.take(name, &disk, format);
            return taken
                .map(|()| Beginning::Taken { name: name.clone() })
                .map_err(|e| format!("{}: {e}", disk.display()));
        }
        Err(incomplete(name, dir))
    }

    /// For a disk that lies on none of its own to boot from.
    fn any_kernel(&self) -> Option<Boot> {
        let complete = self.images.iter().find(|(_, dir)| missing_kernel(dir).is_none());
        complete.map(|(name, _)| Boot::Kernel(name.clone()))
    }

    /// A disk from before disks had layers.
    fn take_old_disk(&self) -> Result<(), String> {
        let old = self.outer.join("q").join(command::OLD_DISK);
        match old.is_file() && self.store.disk(DiskOf::System(self.id)).is_none() {
            true => self.store.take_over(self.id, &old, self.spec.image.clone()),
            false => Ok(()),
        }
    }

    fn lay_out(&self, boot: &Boot) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.outer)?;
        let dir = self.outer.join("q");
        match DirBuilder::new().mode(0o700).create(&dir) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        // What an earlier run left; a dead QEMU does not remove its sockets.
        for socket in [command::MONITOR, command::CONSOLE] {
            let _ = fs::remove_file(dir.join(socket));
        }
        if let Boot::Kernel(image) = boot {
            self.take_kernel(image, &dir)?;
        }
        chown(&dir, Some(self.uid), Some(self.uid))
    }

    /// The guest keeps the kernel it was bought with, whatever becomes of the image, until its disk is made anew.
    fn take_kernel(&self, image: &str, dir: &Path) -> io::Result<()> {
        let (mark, wanted) = (self.outer.join("kernel"), format!("{image} {}", self.spec.disk_revision));
        let files = [command::KERNEL, command::INITRAMFS];
        let has_files = files.iter().all(|file| dir.join(file).exists());
        if has_files && fs::read_to_string(&mark).map_or(self.spec.disk_revision == 0, |mark| mark == wanted) {
            return Ok(());
        }
        let from = self.images.get(image).filter(|from| missing_kernel(from).is_none());
        let from = from.ok_or_else(|| io::Error::other(format!("this host has no image `{image}` with a kernel")))?;
        let _ = fs::remove_file(&mark);
        for file in files {
            take(&from.join(file), &dir.join(file))?;
        }
        fs::write(mark, wanted)
    }
}

/// Why guests of an image cannot start, if they cannot.
pub fn lacks(name: &str, dir: &Path) -> Option<String> {
    (missing_kernel(dir).is_some() && disk(dir).is_none()).then(|| incomplete(name, dir))
}

fn incomplete(name: &str, dir: &Path) -> String {
    let missing = missing_kernel(dir).unwrap_or(command::KERNEL);
    format!(
        "the image `{name}` lacks {}: run guest/build {}, or put a disk.qcow2 or disk.raw there",
        dir.join(missing).display(),
        dir.display()
    )
}

fn missing_kernel(dir: &Path) -> Option<&'static str> {
    [command::KERNEL, command::INITRAMFS].into_iter().find(|file| !dir.join(file).is_file())
}

fn disk(dir: &Path) -> Option<(PathBuf, ImageFormat)> {
    DISKS.map(|(name, format)| (dir.join(name), format)).into_iter().find(|(path, _)| path.is_file())
}

/// The same file under another name where that is possible and everybody may read it, else a copy. Never through a link that an
/// earlier QEMU may have left in the place of the new name.
fn take(from: &Path, to: &Path) -> io::Result<()> {
    let _ = fs::remove_file(to);
    let mut from_file = File::open(from)?;
    let readable = from_file.metadata()?.permissions().mode() & 0o004 != 0;
    if readable && fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let mut copy = File::create_new(to)?;
    io::copy(&mut from_file, &mut copy)?;
    copy.set_permissions(fs::Permissions::from_mode(0o444))
}
