//! What does a host do about the volumes that it is told to have?

use super::Action;
use crate::protocol::{DesiredVolume, FromHost, ObservedVolume, VolumeIs, VolumeSize, WantVolume};
use ebb_model::time::Timestamp;
use ebb_model::volume::VolumeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One volume: what it should be beside what it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    pub desired: DesiredVolume,
    pub observed: ObservedVolume,
}

/// What the driver saw of a volume.
#[derive(Debug, Clone, PartialEq)]
pub enum VolumeSeen {
    /// It is there, or has grown.
    There(VolumeSize),
    Gone,
    Failed(String),
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Volumes(BTreeMap<VolumeId, Volume>);

impl Volumes {
    pub fn restore(volumes: impl IntoIterator<Item = Volume>) -> Self {
        Self(volumes.into_iter().map(|volume| (volume.desired.id, volume)).collect())
    }

    pub fn get(&self, id: VolumeId) -> Option<&Volume> {
        self.0.get(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Volume> {
        self.0.values()
    }

    /// The server counts generations from an older state.
    pub fn accept_gap(&mut self) -> Vec<VolumeId> {
        self.0.values_mut().for_each(|volume| volume.desired.generation = 0);
        self.0.keys().copied().collect()
    }

    pub fn desire(&mut self, desired: DesiredVolume, now: Timestamp) -> Vec<Action> {
        let id = desired.id;
        match self.0.get_mut(&id) {
            Some(known) if desired.generation < known.desired.generation => return vec![],
            Some(known) => {
                known.observed.generation = desired.generation;
                known.desired = desired;
            }
            None => {
                let is = match desired.want {
                    WantVolume::There { .. } => VolumeIs::Making,
                    WantVolume::Gone => VolumeIs::Gone { at: now },
                };
                let observed = ObservedVolume { id, generation: desired.generation, is };
                self.0.insert(id, Volume { desired, observed });
            }
        }
        let mut actions = vec![Action::SaveVolume(id)];
        actions.extend(self.pursue(id));
        actions
    }

    /// An operator's word about one that is in no table.
    pub fn destroy(&mut self, id: VolumeId, now: Timestamp) -> Vec<Action> {
        let Some(generation) = self.0.get(&id).map(|known| known.desired.generation) else { return vec![] };
        self.desire(DesiredVolume { id, generation, want: WantVolume::Gone }, now)
    }

    /// What was under way when the host stopped, or may have been.
    pub fn resume(&self) -> Vec<Action> {
        self.0.keys().flat_map(|id| self.pursue(*id)).filter(|action| !matches!(action, Action::Say(_))).collect()
    }

    pub fn see(&mut self, id: VolumeId, seen: VolumeSeen, now: Timestamp) -> Vec<Action> {
        let Some(volume) = self.0.get_mut(&id) else { return vec![] };
        let is = match (seen, &volume.observed.is) {
            (_, VolumeIs::Gone { .. } | VolumeIs::Failed { .. }) => return vec![],
            // Told to go meanwhile.
            (VolumeSeen::There(_), _) if volume.desired.want == WantVolume::Gone => return vec![],
            (VolumeSeen::There(size), VolumeIs::There { since, size: before }) => {
                if size == *before {
                    return vec![];
                }
                VolumeIs::There { since: *since, size }
            }
            (VolumeSeen::There(size), VolumeIs::Making) => VolumeIs::There { since: now, size },
            (VolumeSeen::Gone, _) => VolumeIs::Gone { at: now },
            // It is there as it was, and what was asked of it is asked again after the next restart.
            (VolumeSeen::Failed(_), VolumeIs::There { .. }) => return vec![],
            (VolumeSeen::Failed(reason), _) => VolumeIs::Failed { at: now, reason },
        };
        volume.observed.is = is;
        vec![Action::SaveVolume(id), Action::Say(FromHost::ObservedVolume(volume.observed.clone()))]
    }

    pub fn forget(&mut self, id: VolumeId) -> Vec<Action> {
        match self.0.get(&id).map(|volume| &volume.observed.is) {
            Some(VolumeIs::Gone { .. } | VolumeIs::Failed { .. }) => {
                self.0.remove(&id);
                vec![Action::ForgetVolume(id)]
            }
            _ => vec![],
        }
    }

    /// Brings one nearer to what it should be. The driver is told again what it may be at already.
    fn pursue(&self, id: VolumeId) -> Vec<Action> {
        let volume = &self.0[&id];
        match (&volume.desired.want, &volume.observed.is) {
            (_, VolumeIs::Gone { .. } | VolumeIs::Failed { .. }) => {
                vec![Action::Say(FromHost::ObservedVolume(volume.observed.clone()))]
            }
            (WantVolume::Gone, _) => vec![Action::Unmake(id)],
            (WantVolume::There { .. }, VolumeIs::Making) => vec![Action::Make(id)],
            (WantVolume::There { gib, .. }, VolumeIs::There { size, .. }) => {
                let grows = matches!(id, VolumeId::Disk(_)) && gib << 30 > size.bytes;
                if grows {
                    vec![Action::Make(id)]
                } else {
                    vec![Action::Say(FromHost::ObservedVolume(volume.observed.clone()))]
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Agent;
    use super::*;
    use crate::protocol::Source;
    use ebb_model::id::DiskId;
    use uuid::Uuid;

    fn disk(generation: i64, want: WantVolume) -> DesiredVolume {
        DesiredVolume { id: id(), generation, want }
    }

    fn id() -> VolumeId {
        VolumeId::Disk(DiskId::new(Uuid::from_u128(1)))
    }

    fn there(gib: i64) -> WantVolume {
        WantVolume::There { source: Source::Blank, gib }
    }

    fn size(gib: i64) -> VolumeSeen {
        VolumeSeen::There(VolumeSize { bytes: gib << 30, stored: None })
    }

    #[test]
    fn a_disk_is_made_grows_and_goes_and_a_restart_begins_anew_what_was_under_way() {
        let at = Timestamp::from_micros;
        let mut agent = Agent::default();
        let words = |actions: Vec<Action>| -> String {
            let word = |action: &Action| match action {
                Action::SaveVolume(_) => "save".to_owned(),
                Action::Make(_) => "make".to_owned(),
                Action::Unmake(_) => "unmake".to_owned(),
                Action::ForgetVolume(_) => "forget".to_owned(),
                Action::Say(FromHost::ObservedVolume(seen)) => match &seen.is {
                    VolumeIs::There { since, size } => {
                        format!("{} GiB since {}", size.bytes >> 30, since.second().unix())
                    }
                    VolumeIs::Gone { .. } => "gone".to_owned(),
                    other => format!("{other:?}"),
                },
                other => format!("{other:?}"),
            };
            let said = actions.iter().filter(|action| !matches!(action, Action::SavePosition));
            let said = said.filter(|action| !matches!(action, Action::Say(FromHost::Accepted { .. })));
            said.map(word).collect::<Vec<_>>().join(", ")
        };
        let order = |agent: &mut Agent, sequence, want| {
            words(agent.desire(1, sequence, vec![], vec![disk(sequence, want)], at(0)))
        };
        assert_eq!(order(&mut agent, 1, there(2)), "save, make");
        let mut agent = Agent::restore(agent.position(), [], agent.volume(id()).cloned());
        assert_eq!(words(agent.resume(at(1))), "make");
        assert_eq!(words(agent.see_volume(id(), size(2), at(3_000_000))), "save, 2 GiB since 3");
        assert_eq!(words(agent.see_volume(id(), size(2), at(4_000_000))), "", "nothing new");
        assert_eq!(order(&mut agent, 2, there(5)), "save, make");
        assert_eq!(words(agent.see_volume(id(), size(5), at(9_000_000))), "save, 5 GiB since 3");
        assert_eq!(order(&mut agent, 2, there(9)), "", "no newer order");
        assert_eq!(order(&mut agent, 3, WantVolume::Gone), "save, unmake");
        assert_eq!(words(agent.see_volume(id(), size(5), at(0))), "", "it goes");
        assert_eq!(words(agent.see_volume(id(), VolumeSeen::Gone, at(0))), "save, gone");
        assert_eq!(order(&mut agent, 4, there(5)), "save, gone", "what is gone does not come back");
        assert_eq!(words(agent.resume(at(0))), "");
        assert_eq!(words(agent.hear(crate::protocol::ToHost::ForgetVolume { volume: id() }, at(0))), "forget");
    }
}
