//! Which disks does a running guest have, and what is done about them by its own task?
//!
//! What it should have is looked at again until it has that: a guest may keep a disk for as long as it likes, and a disk may be in
//! other hands.

use super::{Machine, News};
use crate::qemu::disks::{Bay, Chore, Flushes};
use crate::volumes::Claim;
use crate::volumes::layers::named;
use ebb_model::id::DiskId;
use ebb_model::volume::DiskOf;
use std::collections::BTreeSet;
use std::io;
use tokio::task::spawn_blocking;
use tracing::warn;

impl Machine {
    /// Whether the guest has got it.
    pub(super) async fn plug(&self, bay: &mut Bay, disk: DiskOf) -> bool {
        let store = &self.shop.store;
        if store.disk(disk).is_none() || store.claim(disk, &self.claim()).is_err() {
            return false;
        }
        match bay.plug(disk, Flushes::Count).await {
            Ok(()) => true,
            Err(e) => {
                // It stays claimed: perhaps QEMU has got hold of it already.
                warn!("guest {} does not get {}: {e}", self.id, named(disk));
                false
            }
        }
    }

    /// Gives the guest the data disks that it should have and takes back the others.
    pub(super) async fn bring_into_line(&mut self, tell: &impl Fn(News)) {
        let wanted: Vec<DiskOf> = self.disks.1.borrow_and_update().iter().copied().map(DiskOf::Data).collect();
        match self.align(&wanted).await {
            Ok(in_line) => self.in_line = in_line,
            Err(e) => warn!("the disks of guest {} cannot be seen to: {e}; trying again", self.id),
        }
        self.vain = if self.in_line { 0 } else { self.vain + 1 };
        tell(News::Holds(self.holds()));
    }

    /// Whether nothing is left to be done.
    async fn align(&self, wanted: &[DiskOf]) -> io::Result<bool> {
        let uid = self.uid.filter(|_| self.process.is_some()).ok_or(io::ErrorKind::NotConnected)?;
        let mut bay = Bay::open(&self.dir(), uid, self.shop.store.clone()).await?;
        let has = bay.has().await?;
        for disk in has.iter().filter(|disk| !wanted.contains(disk)) {
            bay.ask_back(*disk).await;
        }
        bay.tidy().await?;
        let mut in_line = has.iter().all(|disk| wanted.contains(disk));
        for disk in wanted.iter().filter(|disk| !has.contains(disk)) {
            in_line &= self.plug(&mut bay, *disk).await;
        }
        // What was taken back before, or was never given, is free for others once the process cannot write to it any more.
        let open = self.open();
        for disk in self.shop.store.claimed_by(self.id) {
            if matches!(disk, DiskOf::Data(_)) && !wanted.contains(&disk) && !has.contains(&disk) {
                match open.contains(&disk) {
                    true => in_line = false,
                    false => self.shop.store.release(disk, &self.claim()),
                }
            }
        }
        Ok(in_line)
    }

    /// Does what somebody asks about a disk that this guest has.
    pub(super) async fn attend_to(&mut self, chore: Chore) {
        let store = self.shop.store.clone();
        match chore {
            Chore::Freeze { disk, volume, done } => {
                let frozen = spawn_blocking(move || store.freeze(disk, volume)).await;
                let frozen = frozen.unwrap_or_else(|e| Err(e.to_string()));
                let followed = match frozen {
                    Ok(()) => self.with_bay(async |bay| bay.follow(disk).await).await,
                    Err(why) => Err(why),
                };
                let _ = done.send(followed);
            }
            Chore::Grow { disk, bytes, done } => {
                let grown = spawn_blocking(move || store.grow(disk, bytes)).await;
                let grown = match grown.unwrap_or_else(|e| Err(e.to_string())) {
                    Ok(bytes) => self.with_bay(async |bay| bay.grow(disk).await).await.map(|()| bytes),
                    Err(why) => Err(why),
                };
                let _ = done.send(grown);
            }
        }
    }

    async fn with_bay(&self, what: impl AsyncFnOnce(&mut Bay) -> io::Result<()>) -> Result<(), String> {
        let uid = self.uid.filter(|_| self.process.is_some()).ok_or("the guest is off")?;
        let bay = Bay::open(&self.dir(), uid, self.shop.store.clone()).await;
        let done = match bay {
            Ok(mut bay) => what(&mut bay).await,
            Err(e) => Err(e),
        };
        done.map_err(|e| e.to_string())
    }

    pub(super) fn claim(&self) -> Claim {
        Claim::Guest { id: self.id, chores: self.chores.0.clone() }
    }

    /// The disks that the process can write to.
    fn open(&self) -> BTreeSet<DiskOf> {
        self.process.as_ref().map(|process| self.shop.store.open_in(process.pid())).unwrap_or_default()
    }

    /// The data disks among them.
    pub(super) fn holds(&self) -> BTreeSet<DiskId> {
        let data = |disk| match disk {
            DiskOf::Data(id) => Some(id),
            DiskOf::System(_) => None,
        };
        self.open().into_iter().filter_map(data).collect()
    }
}
