//! How is a volume made, how does it grow, and how does it go? Each by a task of its own, which may take its time.
//!
//! What is to be done about a disk is done by whoever has it: by the task of the guest that runs with it, else here. Each step may
//! be cut short, and is then done again.

use super::layers::Kept;
use super::{Claim, Store, import};
use crate::qemu::disks::Chore;
use ebb_driver::protocol::{Source, VolumeSize};
use ebb_model::volume::{DiskOf, VolumeId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tracing::warn;

/// How often a guest that has a disk is asked in vain.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(300);
/// A disk may have much to flush.
const CHORE_PATIENCE: Duration = Duration::from_secs(60);

/// Makes a volume of what lies on this host. It may be `bytes` large.
pub async fn make(store: Arc<Store>, id: VolumeId, source: Source, bytes: u64) -> Result<VolumeSize, String> {
    match (id, source) {
        (VolumeId::Disk(disk), Source::Blank) => {
            blocking(&store, move |store| store.make_blank(DiskOf::Data(disk), bytes)).await?;
            disk_size(&store, DiskOf::Data(disk))
        }
        (VolumeId::Disk(disk), Source::Snapshot { snapshot }) => {
            let of = VolumeId::Snapshot(snapshot);
            blocking(&store, move |store| store.make_of(DiskOf::Data(disk), of, bytes)).await?;
            disk_size(&store, DiskOf::Data(disk))
        }
        (VolumeId::Snapshot(_), Source::Disk { disk }) => {
            freeze(&store, disk, id).await?;
            blocking(&store, move |store| store.keep(id)).await.map(|kept| size(&kept))
        }
        (VolumeId::Image(_), Source::Disk { disk }) => {
            freeze(&store, disk, id).await?;
            let of = store.kept(id).or_else(|| store.frozen(id)).ok_or("what it is made of is gone")?;
            match of.stored {
                Some(_) => Ok(size(&of)),
                None => {
                    let settled = of.clone();
                    blocking(&store, move |store| store.settle_layer(&settled)).await?;
                    import::make(store, id, of).await.map(|kept| size(&kept))
                }
            }
        }
        (VolumeId::Image(_), Source::Snapshot { snapshot }) => {
            let of = store.kept(VolumeId::Snapshot(snapshot));
            let of = of.ok_or_else(|| format!("there is no {} on this host", VolumeId::Snapshot(snapshot)))?;
            import::make(store, id, of).await.map(|kept| size(&kept))
        }
        (_, source) => Err(format!("{id} cannot be made of this: {source:?}")),
    }
}

pub async fn grow(store: Arc<Store>, disk: DiskOf, bytes: u64) -> Result<VolumeSize, String> {
    let ask = |done| Chore::Grow { disk, bytes, done };
    with_holder(&store, disk, ask, move |store| store.grow(disk, bytes)).await?;
    disk_size(&store, disk)
}

/// Waits until nobody has it. A volume that nobody can have any more is gone at once.
pub async fn unmake(store: Arc<Store>, id: VolumeId) {
    let disk = match id {
        VolumeId::Disk(disk) => Some(DiskOf::Data(disk)),
        VolumeId::Snapshot(_) | VolumeId::Image(_) => None,
    };
    if let Some(disk) = disk {
        while store.claim(disk, &Claim::Maker).is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    }
    while let Err(e) = blocking(&store, move |store| store.remove(id)).await {
        warn!("{id} cannot be removed: {e}; trying again");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    if let Some(disk) = disk {
        store.release(disk, &Claim::Maker);
    }
}

async fn freeze(store: &Arc<Store>, disk: DiskOf, id: VolumeId) -> Result<(), String> {
    let ask = |done| Chore::Freeze { disk, volume: id, done };
    let done = with_holder(store, disk, ask, move |store| store.freeze(disk, id)).await;
    if done.is_err() && store.is_deep(disk) && store.claim(disk, &Claim::Maker).is_ok() {
        let held = Held { store, disk };
        import::lay_together(store, disk).await?;
        drop(held);
        return with_holder(store, disk, ask, move |store| store.freeze(disk, id)).await;
    }
    done
}

/// Has something done about a disk: by the guest that has it, else by `alone`.
async fn with_holder<T: Send + 'static>(
    store: &Arc<Store>,
    disk: DiskOf,
    ask: impl Fn(oneshot::Sender<Result<T, String>>) -> Chore,
    alone: impl Fn(&Store) -> Result<T, String> + Clone + Send + 'static,
) -> Result<T, String> {
    let mut tries = 0;
    loop {
        match store.claim(disk, &Claim::Maker) {
            Ok(()) => {
                let held = Held { store, disk };
                let done = blocking(store, alone.clone()).await;
                drop(held);
                return done;
            }
            Err(Claim::Maker) => {}
            Err(Claim::Guest { chores, .. }) => {
                let (done, answer) = oneshot::channel();
                let _ = chores.send(ask(done));
                let done = match tokio::time::timeout(CHORE_PATIENCE, answer).await {
                    Ok(Ok(done)) => Some(done),
                    // It was dropped: the guest had something else to do, such as to end.
                    Ok(Err(_)) => None,
                    Err(_) => Some(Err("the guest that has the disk does not answer".to_owned())),
                };
                if let Some(done) = done {
                    tries += 1;
                    if done.is_ok() || tries == TRIES {
                        return done;
                    }
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A disk in our hands, also when we are interrupted.
struct Held<'a> {
    store: &'a Store,
    disk: DiskOf,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.store.release(self.disk, &Claim::Maker);
    }
}

async fn blocking<T: Send + 'static>(
    store: &Arc<Store>,
    what: impl FnOnce(&Store) -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let store = store.clone();
    spawn_blocking(move || what(&store)).await.unwrap_or_else(|e| Err(e.to_string()))
}

fn disk_size(store: &Store, disk: DiskOf) -> Result<VolumeSize, String> {
    let bytes = store.disk(disk).ok_or("the disk is gone")?.bytes;
    Ok(VolumeSize { bytes: bytes.cast_signed(), stored: None })
}

pub fn size(kept: &Kept) -> VolumeSize {
    VolumeSize { bytes: kept.bytes.cast_signed(), stored: kept.stored.clone() }
}
