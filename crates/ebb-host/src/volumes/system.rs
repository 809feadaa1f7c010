//! Which disk does a guest boot from, and when is it made anew?

use super::Store;
use super::layers::{Boot, Disk, Layer, System};
use ebb_model::id::InstanceId;
use ebb_model::volume::{DiskOf, ImageFormat, VolumeId};
use std::fs;
use std::path::Path;
use tracing::info;

/// What a new system disk begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beginning {
    /// Nothing; its guest is booted by the kernel of this image.
    Blank { kernel: String },
    /// A snapshot or an image.
    Volume { id: VolumeId, boot: Boot },
    /// A disk image that the operator gave the host under this name.
    Taken { name: String },
}

impl Store {
    /// Sees to it that a guest has the system disk that it should have; how it is booted. The disk that it had before goes when the
    /// new one is whole.
    pub fn system(
        &self,
        guest: InstanceId,
        revision: i64,
        bytes: u64,
        beginning: impl FnOnce() -> Result<Beginning, String>,
    ) -> Result<Boot, String> {
        let disk = DiskOf::System(guest);
        self.state().departed.remove(&disk);
        if let Some(Disk { system: Some(system), .. }) = self.disk(disk).filter(|disk| disk.is_of(revision)) {
            self.grow(disk, bytes)?;
            return Ok(system.boot);
        }
        let (top, below, boot) = match beginning()? {
            Beginning::Blank { kernel } => {
                let boot = Boot::Kernel(kernel);
                if bytes == 0 {
                    return Ok(boot);
                }
                (self.raw(bytes)?, None, boot)
            }
            Beginning::Volume { id, boot } => {
                let of = self.kept(id).ok_or_else(|| format!("there is no {id} on this host"))?;
                fits(&id.to_string(), of.bytes, bytes)?;
                (self.overlay(bytes)?, Some(of.layer), boot)
            }
            Beginning::Taken { name } => {
                let of = self.state().graph.taken.get(&name).cloned();
                let of = of.ok_or_else(|| format!("the image `{name}` is not here any more"))?;
                fits(&format!("`{name}`"), of.bytes, bytes)?;
                (self.overlay(bytes)?, Some(of.layer), Boot::Disk)
            }
        };
        let format = if below.is_some() { ImageFormat::Qcow2 } else { ImageFormat::Raw };
        self.commit(&[top], |draft| {
            if let Some(below) = below {
                if !draft.graph.layers().contains_key(&below) {
                    return Err("what it is made of is gone".to_owned());
                }
                draft.graph.carries(below)?;
            }
            draft.graph.put(top, Layer { format, below });
            let system = Some(System { revision, boot: boot.clone() });
            draft.graph.disks.insert(disk, Disk { top, bytes, system });
            Ok(boot)
        })
    }

    /// Takes a raw file over as the system disk of a guest.
    pub fn take_over(&self, guest: InstanceId, file: &Path, image: String) -> Result<(), String> {
        let top = self.state().graph.reserve();
        // A second name first: the old one goes when the graph knows the new one.
        let linked = fs::hard_link(file, self.path(top)).and_then(|()| self.take_in(top));
        let bytes = linked.and_then(|()| fs::metadata(file)).map_err(|e| self.unmade(top, &e))?.len();
        self.commit(&[top], |draft| {
            draft.graph.put(top, Layer { format: ImageFormat::Raw, below: None });
            let system = Some(System { revision: 0, boot: Boot::Kernel(image) });
            draft.graph.disks.insert(DiskOf::System(guest), Disk { top, bytes, system });
            Ok(())
        })?;
        let _ = fs::remove_file(file);
        Ok(())
    }

    /// Removes a guest's system disk at once: a release waits for nothing to be written. That is done with the next change; until
    /// then the guest is known to be gone all the same, and [`Store::remove_others`] follows at a start.
    pub fn remove_system(&self, guest: InstanceId) {
        let gone = {
            let mut state = self.state();
            state.claims.remove(&DiskOf::System(guest));
            state.departed.insert(DiskOf::System(guest));
            if state.graph.disks.remove(&DiskOf::System(guest)).is_none() {
                return;
            }
            state.graph.sweep()
        };
        gone.into_iter().for_each(|layer| self.put_aside(&self.path(layer)));
    }

    /// Removes the system disks of guests that nobody knows.
    pub fn remove_others(&self, known: impl Fn(InstanceId) -> bool) {
        let disks: Vec<DiskOf> = self.state().graph.disks.keys().copied().collect();
        for disk in disks {
            if let DiskOf::System(guest) = disk
                && !known(guest)
            {
                info!("the disk of guest {guest} is swept");
                self.remove_system(guest);
            }
        }
    }

    /// How a guest is booted that begins with a volume; nothing, if it has no boot loader and nobody knows of a kernel.
    pub fn boot_of(&self, volume: VolumeId) -> Result<Option<Boot>, String> {
        let kept = self.kept(volume).ok_or_else(|| format!("there is no {volume} on this host"))?;
        Ok(kept.boot)
    }

    /// Whether a guest has its system disk, or what that is to be made of.
    pub fn can_begin(&self, guest: InstanceId, revision: i64, image: VolumeId) -> bool {
        let has_disk = self.disk(DiskOf::System(guest)).is_some_and(|disk| disk.is_of(revision));
        has_disk || self.kept(image).is_some()
    }

    /// When a guest's system disk was last written to.
    pub fn written_at(&self, guest: InstanceId) -> Option<std::time::SystemTime> {
        let top = self.disk(DiskOf::System(guest))?.top;
        fs::metadata(self.path(top)).ok()?.modified().ok()
    }
}

impl Disk {
    fn is_of(&self, revision: i64) -> bool {
        self.system.as_ref().is_some_and(|system| system.revision >= revision)
    }
}

fn fits(what: &str, has: u64, bytes: u64) -> Result<(), String> {
    match has > bytes {
        true => Err(format!(
            "{what} holds a disk of {} GiB, and the system disk has {}",
            has.div_ceil(1 << 30),
            bytes >> 30
        )),
        false => Ok(()),
    }
}
