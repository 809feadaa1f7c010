//! What can be done to a volume? Each deed is whole on disk when it returns, and may be done again.

use super::layers::{Boot, Disk, Kept, Layer, LayerId, named};
use super::{Chain, Draft, Store};
use ebb_driver::protocol::Stored;
use ebb_model::volume::{DiskOf, ImageFormat, VolumeId};
use std::fs::{self, OpenOptions};
use std::path::Path;

const GONE: &str = "it is to go";

impl Store {
    /// Makes a data disk of nothing.
    pub fn make_blank(&self, disk: DiskOf, bytes: u64) -> Result<(), String> {
        if self.disk(disk).is_some() {
            return Ok(());
        }
        let top = self.raw(bytes)?;
        self.commit(&[top], |draft| {
            draft.admits(disk)?;
            draft.graph.put(top, Layer { format: ImageFormat::Raw, below: None });
            draft.graph.disks.insert(disk, Disk { top, bytes, system: None });
            Ok(())
        })
    }

    /// Makes a data disk of what a snapshot or an image holds.
    pub fn make_of(&self, disk: DiskOf, volume: VolumeId, bytes: u64) -> Result<(), String> {
        if self.disk(disk).is_some() {
            return Ok(());
        }
        let of = self.kept(volume).ok_or_else(|| format!("there is no {volume} on this host"))?;
        if of.bytes > bytes {
            let (has, asked) = (of.bytes, bytes);
            return Err(format!("{volume} holds a disk of {has} bytes, which does not fit on one of {asked}"));
        }
        let top = self.overlay(bytes)?;
        self.commit(&[top], |draft| {
            draft.admits(disk)?;
            draft.lay_on(top, volume)?;
            draft.graph.disks.insert(disk, Disk { top, bytes, system: None });
            Ok(())
        })
    }

    /// Lets a disk grow that nobody has; a file that a guest's QEMU wrote follows when one opens it again.
    pub fn grow(&self, disk: DiskOf, bytes: u64) -> Result<u64, String> {
        let found = self.disk(disk).ok_or_else(|| format!("there is no disk {} here", named(disk)))?;
        if bytes <= found.bytes {
            return Ok(found.bytes);
        }
        let format = self.state().graph.layers().get(&found.top).map(|layer| layer.format);
        if format == Some(ImageFormat::Raw) {
            let grown = OpenOptions::new().write(true).open(self.path(found.top)).and_then(|file| {
                // Never cut short: a guest may have been quicker.
                if file.metadata()?.len() < bytes {
                    file.set_len(bytes)?;
                }
                file.sync_all()
            });
            grown.map_err(|e| format!("the disk does not grow: {e}"))?;
        }
        self.commit(&[], |draft| {
            let disk = draft.graph.disks.get_mut(&disk).ok_or("the disk is gone")?;
            disk.bytes = disk.bytes.max(bytes);
            Ok(disk.bytes)
        })
    }

    /// Lays a new top on a disk, so that a snapshot or an image can be made of what lies below. Asked again it does nothing, so
    /// that it may be cut short anywhere.
    pub fn freeze(&self, disk: DiskOf, volume: VolumeId) -> Result<(), String> {
        let bytes = {
            let state = self.state();
            if state.graph.freezing.contains_key(&volume) || state.graph.kept.contains_key(&volume) {
                return Ok(());
            }
            let found = state.graph.disks.get(&disk).ok_or_else(|| format!("there is no disk {} here", named(disk)))?;
            state.graph.carries(found.top)?;
            found.bytes
        };
        let new = self.overlay(bytes)?;
        self.commit(&[new], |draft| {
            if draft.over.contains(&volume) {
                return Err(GONE.to_owned());
            }
            draft.graph.freeze(disk, volume, new)
        })
    }

    /// What is frozen for a volume.
    pub fn frozen(&self, volume: VolumeId) -> Option<Kept> {
        self.state().graph.freezing.get(&volume).cloned()
    }

    /// Nobody writes to what was frozen for a snapshot any more: now it is one. Its bytes are on disk before it is.
    pub fn keep(&self, volume: VolumeId) -> Result<Kept, String> {
        if let Some(kept) = self.kept(volume) {
            return Ok(kept);
        }
        let frozen = self.frozen(volume).ok_or("nothing was frozen for it")?;
        self.settle_layer(&frozen)?;
        self.commit(&[], |draft| {
            let kept = draft.graph.freezing.remove(&volume).ok_or(GONE)?;
            draft.graph.kept.insert(volume, kept.clone());
            Ok(kept)
        })
    }

    /// Makes what was frozen durable.
    pub fn settle_layer(&self, kept: &Kept) -> Result<(), String> {
        self.settle(kept.layer).map_err(|e| format!("what it holds cannot be made durable: {e}"))
    }

    /// An image of a file that is whole, and not in the graph yet.
    pub fn keep_image(
        &self,
        volume: VolumeId,
        file: &Path,
        stored: Stored,
        bytes: u64,
        boot: Option<Boot>,
    ) -> Result<Kept, String> {
        let layer = self.state().graph.reserve();
        let moved = fs::rename(file, self.path(layer)).and_then(|()| self.take_in(layer));
        moved.map_err(|e| self.unmade(layer, &e))?;
        self.commit(&[layer], |draft| {
            if draft.over.contains(&volume) {
                return Err(GONE.to_owned());
            }
            draft.graph.freezing.remove(&volume);
            draft.graph.put(layer, Layer { format: ImageFormat::Qcow2, below: None });
            let kept = Kept { layer, bytes, boot, stored: Some(stored) };
            draft.graph.kept.insert(volume, kept.clone());
            Ok(kept)
        })
    }

    /// Whether no further layer may lie on a disk.
    pub fn is_deep(&self, disk: DiskOf) -> bool {
        let state = self.state();
        state.graph.disks.get(&disk).is_some_and(|found| state.graph.carries(found.top).is_err())
    }

    /// Puts a file in the place of all layers of a disk, which it holds together.
    pub fn replace(&self, disk: DiskOf, of: &Chain, file: &Path) -> Result<(), String> {
        let layer = self.state().graph.reserve();
        let moved = fs::rename(file, self.path(layer)).and_then(|()| self.take_in(layer));
        moved.map_err(|e| self.unmade(layer, &e))?;
        self.commit(&[layer], |draft| {
            let found =
                draft.graph.disks.get_mut(&disk).filter(|found| of.layers.last().is_some_and(|top| top.0 == found.top));
            found.ok_or("the disk is not what it was")?.top = layer;
            draft.graph.put(layer, Layer { format: ImageFormat::Qcow2, below: None });
            Ok(())
        })
    }

    /// What is made of the volume from here on does not come.
    pub fn give_up(&self, volume: VolumeId) {
        self.state().over.insert(volume);
    }

    /// The server has written down that it is gone, and may ask for another by this id.
    pub fn forget(&self, volume: VolumeId) {
        self.state().over.remove(&volume);
    }

    /// Removes what nobody has; its room is free when this returns, but for what others share.
    pub fn remove(&self, volume: VolumeId) -> Result<(), String> {
        self.commit(&[], |draft| {
            draft.graph.kept.remove(&volume);
            draft.graph.freezing.remove(&volume);
            if let VolumeId::Disk(id) = volume {
                draft.graph.disks.remove(&DiskOf::Data(id));
            }
            Ok(())
        })
    }
}

impl Draft {
    fn admits(&self, disk: DiskOf) -> Result<(), String> {
        match disk {
            DiskOf::Data(id) if self.over.contains(&VolumeId::Disk(id)) => Err(GONE.to_owned()),
            _ => Ok(()),
        }
    }

    fn lay_on(&mut self, top: LayerId, volume: VolumeId) -> Result<(), String> {
        let of = self.graph.kept.get(&volume).ok_or_else(|| format!("there is no {volume} on this host"))?.layer;
        self.graph.carries(of)?;
        self.graph.put(top, Layer { format: ImageFormat::Qcow2, below: Some(of) });
        Ok(())
    }
}
