//! What does a guest's QEMU find in its directory? Its kernel, its disk, and nothing of anybody else's.

use super::command::{self, DISK};
use ebb_driver::protocol::GuestSpec;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown, fchown};
use std::path::{Path, PathBuf};

/// Everything that QEMU finds in its directory.
pub struct Furnish {
    /// The guest's own directory.
    pub outer: PathBuf,
    /// Where its image lies, if this host has it.
    pub image: Option<PathBuf>,
    pub spec: GuestSpec,
    pub uid: u32,
}

impl Furnish {
    /// Blocks. What is there already stays.
    pub fn run(self) -> Result<(), String> {
        let image = self.image.as_ref().ok_or_else(|| {
            format!("this host has no image `{}`: name its directory in the host's configuration", self.spec.image)
        })?;
        for file in [command::KERNEL, command::INITRAMFS] {
            if !image.join(file).is_file() {
                return Err(format!(
                    "the image `{}` lacks {}: run guest/build {}",
                    self.spec.image,
                    image.join(file).display(),
                    image.display()
                ));
            }
        }
        self.lay_out(image).map_err(|e| format!("{}: {e}", self.outer.display()))
    }

    fn lay_out(&self, image: &Path) -> io::Result<()> {
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
        // The guest keeps the kernel it was bought with, whatever becomes of the image.
        for file in [command::KERNEL, command::INITRAMFS] {
            if !dir.join(file).exists() {
                take(&image.join(file), &dir.join(file))?;
            }
        }
        let size = u64::try_from(self.spec.resources.get("disk_gib")).unwrap_or(0) << 30;
        if size > 0 && !dir.join(DISK).exists() {
            let disk = File::create_new(dir.join(DISK))?;
            disk.set_len(size)?;
            disk.set_permissions(fs::Permissions::from_mode(0o600))?;
            fchown(&disk, Some(self.uid), Some(self.uid))?;
        }
        chown(&dir, Some(self.uid), Some(self.uid))
    }
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
