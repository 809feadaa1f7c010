//! Which volumes are being made, grow or go, and what becomes of that?
//!
//! One task per volume, so that none delays another, a guest or a deadline. What the agent asks of a volume that is being seen to
//! already is asked again when that is over.

use super::Host;
use crate::socket;
use crate::volumes::{import, making};
use ebb_driver::agent::VolumeSeen;
use ebb_driver::protocol::{Source, VolumeIs, VolumeSize, WantVolume, Way};
use ebb_model::id::DiskId;
use ebb_model::volume::{DiskOf, ImageFormat, VolumeId};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use tokio::net::UnixStream;
use tokio::task::{AbortHandle, JoinSet};
use tracing::{info, warn};

/// What is being done about volumes.
#[derive(Default)]
pub(super) struct Works {
    tasks: JoinSet<(VolumeId, Option<VolumeSeen>)>,
    under_way: BTreeMap<VolumeId, AbortHandle>,
    asked_again: BTreeSet<VolumeId>,
}

impl Works {
    /// The next that is over; `None`: it was cut short, or panicked.
    pub async fn next(&mut self) -> (VolumeId, Option<VolumeSeen>) {
        match self.tasks.join_next().await {
            Some(ended) => ended.expect("what only waits for another task"),
            None => std::future::pending().await,
        }
    }

    pub(super) fn are_at(&self, id: VolumeId) -> bool {
        self.under_way.contains_key(&id)
    }

    pub(super) fn begin(&mut self, id: VolumeId, work: impl Future<Output = VolumeSeen> + Send + 'static) {
        let mut life = JoinSet::new();
        self.under_way.insert(id, life.spawn(work));
        self.tasks.spawn(async move { (id, life.join_next().await.and_then(Result::ok)) });
    }
}

impl Host {
    pub(super) fn make(&mut self, id: VolumeId) {
        let Some(volume) = self.agent.volume(id) else { return };
        let WantVolume::There { source, gib } = &volume.desired.want else { return };
        let bytes = u64::try_from(*gib).unwrap_or(0) << 30;
        if self.works.are_at(id) {
            self.works.asked_again.insert(id);
            return;
        }
        let store = self.shop.store.clone();
        match (&volume.observed.is, source.clone()) {
            (VolumeIs::There { .. }, _) => {
                if let VolumeId::Disk(disk) = id {
                    self.works.begin(id, async move { seen(making::grow(store, DiskOf::Data(disk), bytes).await) });
                }
            }
            (VolumeIs::Making, Source::Bytes { .. }) => {
                // They came, and the host died before it could say so; else it waits for them.
                if let Some(kept) = store.kept(id) {
                    self.works.begin(id, async move { VolumeSeen::There(making::size(&kept)) });
                }
            }
            // It is made when that is there.
            (VolumeIs::Making, source) if self.is_being_made(&source) => {}
            (VolumeIs::Making, source) => {
                self.works.begin(id, async move {
                    let made = making::make(store.clone(), id, source, bytes).await;
                    if made.is_err() {
                        // Nothing of it is left.
                        making::unmake(store, id).await;
                    }
                    seen(made)
                });
            }
            (VolumeIs::Gone { .. } | VolumeIs::Failed { .. }, _) => {}
        }
    }

    pub(super) fn unmake(&mut self, id: VolumeId) {
        self.shop.store.give_up(id);
        match self.works.under_way.get(&id) {
            Some(work) => {
                work.abort();
                self.works.asked_again.insert(id);
            }
            None => {
                let store = self.shop.store.clone();
                self.works.begin(id, async move {
                    making::unmake(store, id).await;
                    VolumeSeen::Gone
                });
            }
        }
    }

    /// Takes the bytes of an image that waits for them, or gives those of one that is there.
    pub(super) fn pass(&mut self, id: VolumeId, way: Way, mut client: UnixStream) {
        let store = self.shop.store.clone();
        let refused = match way {
            Way::ToHost => match self.awaited(id) {
                Ok((format, sha256, bytes)) => {
                    return self.works.begin(id, async move {
                        if let Err(e) = socket::answer(&mut client, None).await {
                            return VolumeSeen::Failed(format!("whoever brought it went away: {e}"));
                        }
                        let took = import::take(store.clone(), id, (format, sha256), bytes, client).await;
                        if took.is_err() {
                            making::unmake(store, id).await;
                        }
                        seen(took.map(|kept| making::size(&kept)))
                    });
                }
                Err(why) => why,
            },
            Way::FromHost => match store.kept(id).filter(|kept| kept.stored.is_some()) {
                Some(kept) => {
                    self.streams.spawn(async move {
                        if socket::answer(&mut client, None).await.is_ok()
                            && let Err(e) = import::send(store, kept, client).await
                        {
                            warn!("{id} was not sent whole: {e}");
                        }
                    });
                    return;
                }
                None => format!("this host has no image {id}"),
            },
        };
        self.streams.spawn(async move { drop(socket::answer(&mut client, Some(refused)).await) });
    }

    /// What is to come of an image: format, sum, and how large it may be.
    fn awaited(&self, id: VolumeId) -> Result<(ImageFormat, String, u64), String> {
        let none = || format!("this host waits for no bytes of {id}");
        let volume = self.agent.volume(id).ok_or_else(none)?;
        match (&volume.desired.want, &volume.observed.is) {
            (WantVolume::There { source: Source::Bytes { format, sha256 }, gib }, VolumeIs::Making) => {
                if self.works.are_at(id) {
                    return Err(format!("the bytes of {id} are coming already"));
                }
                Ok((*format, sha256.clone(), u64::try_from(*gib).unwrap_or(0) << 30))
            }
            _ => Err(none()),
        }
    }

    /// What was done about a volume is over.
    pub(super) fn made(&mut self, id: VolumeId, seen: Option<VolumeSeen>) {
        self.works.under_way.remove(&id);
        let asked_again = self.works.asked_again.remove(&id);
        let is_to_go = self.agent.volume(id).is_some_and(|volume| volume.desired.want == WantVolume::Gone);
        match (is_to_go, &seen) {
            (true, Some(VolumeSeen::Gone)) | (false, Some(_)) => {}
            (true, _) => return self.unmake(id),
            (false, None) => warn!("what was done about {id} came to grief"),
        }
        let seen =
            seen.unwrap_or_else(|| VolumeSeen::Failed("a mistake of this host's, which its log shows".to_owned()));
        info!("{id}: {seen:?}");
        let actions = self.agent.see_volume(id, seen, self.clock.now());
        self.carry_out(actions);
        if asked_again {
            self.make(id);
        }
        // Others that waited for it, and guests that are to have it.
        for other in self.agent.volumes() {
            if other.is == VolumeIs::Making && !self.works.are_at(other.id) {
                self.make(other.id);
            }
        }
        if let VolumeId::Disk(disk) = id {
            self.machines.values().filter(|handle| handle.disks.borrow().contains(&disk)).for_each(|handle| {
                handle.disks.send_modify(|_| {});
            });
        }
    }

    /// Whether a volume that another is made of is not there yet.
    fn is_being_made(&self, source: &Source) -> bool {
        let of = match source {
            Source::Snapshot { snapshot } => VolumeId::Snapshot(*snapshot),
            Source::Disk { disk: DiskOf::Data(disk) } => VolumeId::Disk(*disk),
            Source::Disk { disk: DiskOf::System(_) } | Source::Blank | Source::Bytes { .. } => return false,
        };
        self.agent.volume(of).is_some_and(|volume| volume.observed.is == VolumeIs::Making)
    }

    /// The data disks that a guest should have.
    pub(super) fn disks_of(&self, id: ebb_model::id::InstanceId) -> Vec<DiskId> {
        self.agent.guest(id).map(|guest| guest.desired.disks.clone()).unwrap_or_default()
    }
}

fn seen(made: Result<VolumeSize, String>) -> VolumeSeen {
    made.map_or_else(VolumeSeen::Failed, VolumeSeen::There)
}
