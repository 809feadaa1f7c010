//! What does a host do about what it is told, and when?
//!
//! The same pure state machine stands in every host, real or fake. It carries out deadlines from its own copy, with or without
//! a server, and destroys nothing that it was not told to destroy by id.

mod guests;
mod volumes;

use crate::protocol::{
    DesiredGuest, DesiredVolume, FromHost, Is, ObservedGuest, ObservedVolume, Position, ToHost, Want,
};
use ebb_model::id::{DiskId, InstanceId};
use ebb_model::time::Timestamp;
use ebb_model::volume::VolumeId;
use guests::Guests;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use volumes::Volumes;
pub use volumes::{Volume, VolumeSeen};

/// A host's own copy of what should be, beside what is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    position: Position,
    /// The server that speaks now knows less than this host has already obeyed (or another epoch): a backup was restored.
    gap: bool,
    /// Of the server that speaks now; its orders count in it.
    #[serde(default)]
    epoch: i64,
    guests: Guests,
    #[serde(default)]
    volumes: Volumes,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guest {
    pub desired: DesiredGuest,
    pub observed: ObservedGuest,
    /// Its removal has begun; it is not asked for twice.
    removing: bool,
    power: Power,
    /// It was told to have other data disks, and has not said since which it holds.
    #[serde(default)]
    disks_ordered: bool,
}

/// How far the present order to be off was carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Power {
    #[default]
    Untouched,
    ButtonPressed,
    Switched,
}

/// What the hypervisor is to do now, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Write the guest's order down durably; comes before anything is done about it.
    Save(InstanceId),
    Start(InstanceId),
    /// Press the power button.
    PowerDown(InstanceId),
    /// Pull the plug; the disk stays.
    PowerOff(InstanceId),
    /// Kill it and remove its disk and network; report [`Seen::Gone`] when the room is free.
    Remove(InstanceId),
    /// Delete what was written down about it.
    Forget(InstanceId),
    /// Its order changed while it runs: bring its network and its disks into line, and say with [`Agent::holds`] which it has.
    Adjust(InstanceId),
    /// Write the volume's order down durably; comes before anything is done about it.
    SaveVolume(VolumeId),
    /// Make the volume of its source, or let it grow; report [`VolumeSeen::There`] when all of it is on disk.
    Make(VolumeId),
    /// Remove it; report [`VolumeSeen::Gone`] when its room is free.
    Unmake(VolumeId),
    /// Delete what was written down about it.
    ForgetVolume(VolumeId),
    /// Write the position down durably.
    SavePosition,
    Say(FromHost),
}

/// What the hypervisor saw of a guest.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    Running,
    Off,
    Gone,
    Failed(String),
}

impl Agent {
    /// Takes up again after a restart with what was written down.
    pub fn restore(
        position: Position,
        guests: impl IntoIterator<Item = Guest>,
        volumes: impl IntoIterator<Item = Volume>,
    ) -> Self {
        let guests = guests.into_iter().map(|mut guest| {
            // What was under way when the host stopped is begun anew.
            guest.removing = false;
            guest.power = Power::Untouched;
            (guest.desired.id, guest)
        });
        let guests: BTreeMap<InstanceId, Guest> = guests.collect();
        let volumes = Volumes::restore(volumes);
        Self { position, gap: false, epoch: position.epoch, guests: guests.into(), volumes }
    }

    /// Begins anew what was under way when the host stopped; once, after it was told what was found of each guest. A guest that
    /// ended by itself stays off: that is the server's to decide.
    pub fn resume(&mut self, now: Timestamp) -> Vec<Action> {
        let unfinished = |guest: &Guest| match (guest.desired.want, &guest.observed.is) {
            (_, Is::Gone { .. } | Is::Failed { .. }) => false,
            (want, is) => want != Want::Running || *is == Is::Starting || guest.observed.approved_at.is_some(),
        };
        let ids: Vec<InstanceId> = self.guests.iter().filter(|(_, g)| unfinished(g)).map(|(id, _)| *id).collect();
        let mut actions = self.volumes.resume();
        actions.extend(ids.into_iter().flat_map(|id| self.take_up(id, now)));
        actions
    }

    fn take_up(&mut self, id: InstanceId, now: Timestamp) -> Vec<Action> {
        let mut guest = self.guests.get_mut(id).expect("a guest that was just looked up");
        if guest.observed.is == Is::Starting {
            guest.observed.is = Is::Off { at: now };
        }
        drop(guest);
        self.pursue(id, now)
    }

    pub fn position(&self) -> Position {
        self.position
    }

    pub fn guest(&self, id: InstanceId) -> Option<&Guest> {
        self.guests.get(id)
    }

    pub fn guests(&self) -> impl Iterator<Item = &Guest> {
        self.guests.iter().map(|(_, guest)| guest)
    }

    pub fn observed(&self) -> Vec<ObservedGuest> {
        self.guests().map(|guest| guest.observed.clone()).collect()
    }

    pub fn volume(&self, id: VolumeId) -> Option<&Volume> {
        self.volumes.get(id)
    }

    pub fn volumes(&self) -> Vec<ObservedVolume> {
        self.volumes.iter().map(|volume| volume.observed.clone()).collect()
    }

    /// Takes what a server says. A console is read by whoever has it, and peers are the network's, not here.
    pub fn hear(&mut self, message: ToHost, now: Timestamp) -> Vec<Action> {
        match message {
            ToHost::Welcome(server) => {
                self.epoch = server.epoch;
                self.welcome(server);
                vec![]
            }
            ToHost::Desire { sequence, guests, volumes } => self.desire(self.epoch, sequence, guests, volumes, now),
            ToHost::AcceptGap(server) => {
                self.epoch = server.epoch;
                self.accept_gap(server)
            }
            ToHost::Destroy { guest } => self.destroy(guest, now),
            ToHost::DestroyVolume { volume } => self.volumes.destroy(volume, now),
            ToHost::Forget { guest } => self.forget(guest),
            ToHost::ForgetVolume { volume } => self.volumes.forget(volume),
            ToHost::Ping => vec![Action::Say(FromHost::Pong)],
            ToHost::ReadConsole { .. } | ToHost::Peers { .. } => vec![],
        }
    }

    /// The server says where it stands. One that knows less than we obeyed, or has another epoch, must have the gap accepted.
    pub fn welcome(&mut self, server: Position) {
        let fresh = self.position == Position::default();
        self.gap = !fresh && (server.epoch != self.position.epoch || server.sequence < self.position.sequence);
    }

    pub fn accept_gap(&mut self, server: Position) -> Vec<Action> {
        self.gap = false;
        self.position = server;
        // The server counts generations from an older state; its next order for a guest holds.
        let ids: Vec<InstanceId> = self.guests.iter().map(|(id, _)| *id).collect();
        for id in &ids {
            self.guests.get_mut(*id).expect("a guest that was just looked up").desired.generation = 0;
        }
        let volumes = self.volumes.accept_gap();
        // These first: once the position is written, nobody asks for this again.
        let saves = ids.into_iter().map(Action::Save).chain(volumes.into_iter().map(Action::SaveVolume));
        saves.chain([Action::SavePosition]).collect()
    }

    /// Takes an order. One that is not newer than the last, or that comes over an unaccepted gap, is not obeyed.
    pub fn desire(
        &mut self,
        epoch: i64,
        sequence: i64,
        guests: Vec<DesiredGuest>,
        volumes: Vec<DesiredVolume>,
        now: Timestamp,
    ) -> Vec<Action> {
        if self.gap || sequence <= self.position.sequence {
            return vec![];
        }
        self.position = Position { epoch, sequence };
        // A guest may be told to have a disk that the same order makes.
        let mut actions: Vec<Action> = volumes.into_iter().flat_map(|one| self.volumes.desire(one, now)).collect();
        actions.extend(guests.into_iter().flat_map(|guest| self.desire_one(guest, now)));
        actions.push(Action::SavePosition);
        actions.push(Action::Say(FromHost::Accepted { sequence }));
        actions
    }

    fn desire_one(&mut self, desired: DesiredGuest, now: Timestamp) -> Vec<Action> {
        let id = desired.id;
        let mut adjusts = false;
        if let Some(mut guest) = self.guests.get_mut(id) {
            if desired.generation < guest.desired.generation {
                return vec![];
            }
            let surroundings = |of: &DesiredGuest| (of.ingress.clone(), of.addresses.clone(), of.disks.clone());
            adjusts = surroundings(&guest.desired) != surroundings(&desired)
                && !guest.removing
                && matches!(guest.observed.is, Is::Starting | Is::Running { .. });
            if guest.desired.want != desired.want {
                guest.power = Power::Untouched;
            }
            guest.disks_ordered |= guest.desired.disks != desired.disks;
            guest.observed.generation = desired.generation;
            guest.desired = desired;
        } else {
            let is = match desired.want {
                Want::Running => Is::Off { at: now },
                // Never heard of, or gone long ago: so be it.
                Want::Off { .. } | Want::Gone => Is::Gone { at: now },
            };
            let observed = ObservedGuest {
                id,
                generation: desired.generation,
                is,
                address: None,
                notice_readable_at: None,
                notice_read_at: None,
                approved_at: None,
                disks: BTreeSet::new(),
            };
            let power = Power::Untouched;
            self.guests.insert(id, Guest { desired, observed, removing: false, power, disks_ordered: false });
        }
        let mut actions = vec![Action::Save(id)];
        // Before an end that came with the same order: counters are read while the addresses still lead to it.
        actions.extend(adjusts.then_some(Action::Adjust(id)));
        actions.extend(self.pursue(id, now));
        actions
    }

    /// An operator's word about a guest in quarantine.
    pub fn destroy(&mut self, id: InstanceId, now: Timestamp) -> Vec<Action> {
        match self.guests.get_mut(id) {
            Some(mut guest) => guest.desired.want = Want::Gone,
            None => return vec![],
        }
        let mut actions = self.pursue(id, now);
        actions.insert(0, Action::Save(id));
        actions
    }

    pub fn forget(&mut self, id: InstanceId) -> Vec<Action> {
        match self.guests.get(id).map(|guest| &guest.observed.is) {
            Some(Is::Gone { .. } | Is::Failed { .. }) => {
                self.guests.remove(id);
                vec![Action::Forget(id)]
            }
            _ => vec![],
        }
    }

    /// The hypervisor saw something happen to a guest.
    pub fn see(&mut self, id: InstanceId, seen: Seen, now: Timestamp) -> Vec<Action> {
        let Some(mut guest) = self.guests.get_mut(id) else {
            return vec![];
        };
        let is = match (seen, &guest.observed.is) {
            (_, Is::Gone { .. } | Is::Failed { .. }) => return vec![],
            (Seen::Running, Is::Running { .. }) | (Seen::Off, Is::Off { .. }) => return vec![],
            // What is being removed is not worth a word before it is gone.
            (Seen::Running | Seen::Off, _) if guest.removing => return vec![],
            (Seen::Running, _) => Is::Running { since: now },
            (Seen::Off, _) => Is::Off { at: now },
            (Seen::Gone, _) => Is::Gone { at: now },
            (Seen::Failed(reason), _) => Is::Failed { at: now, reason },
        };
        if !matches!(is, Is::Running { .. }) {
            guest.observed.disks.clear();
        }
        guest.observed.is = is;
        let said = Action::Say(FromHost::Observed(guest.observed.clone()));
        let mut actions = vec![Action::Save(id), said];
        let runs = matches!(guest.observed.is, Is::Running { .. });
        drop(guest);
        // Started after all, though it is to be off or gone by now.
        if runs {
            actions.extend(self.pursue(id, now));
        }
        actions
    }

    /// The address that the guest was given.
    pub fn addressed(&mut self, id: InstanceId, address: String) {
        if let Some(mut guest) = self.guests.get_mut(id) {
            guest.observed.address = Some(address);
        }
    }

    /// The data disks that the guest's process holds now. Whoever told it to have others waits for a word, also where nothing changed.
    pub fn holds(&mut self, id: InstanceId, disks: BTreeSet<DiskId>) -> Vec<Action> {
        match self.guests.get_mut(id) {
            Some(mut guest) if guest.observed.disks != disks || guest.disks_ordered => {
                (guest.observed.disks, guest.disks_ordered) = (disks, false);
                vec![Action::Save(id), Action::Say(FromHost::Observed(guest.observed.clone()))]
            }
            _ => vec![],
        }
    }

    /// The driver saw something happen to a volume.
    pub fn see_volume(&mut self, id: VolumeId, seen: VolumeSeen, now: Timestamp) -> Vec<Action> {
        self.volumes.see(id, seen, now)
    }

    /// The guest read its notice from the metadata service.
    pub fn notice_read(&mut self, id: InstanceId, now: Timestamp) -> Vec<Action> {
        match self.guests.get_mut(id) {
            Some(mut guest) if guest.observed.notice_read_at.is_none() => {
                guest.observed.notice_read_at = Some(now);
                vec![Action::Save(id), Action::Say(FromHost::Observed(guest.observed.clone()))]
            }
            _ => vec![],
        }
    }

    /// The guest need not wait for the end that it was told of: its release begins now. Nothing comes of it before the notice can
    /// be read, nor the second time.
    pub fn approve(&mut self, id: InstanceId, now: Timestamp) -> Vec<Action> {
        let Some(mut guest) = self.guests.get_mut(id) else { return vec![] };
        let is_over = guest.removing || matches!(guest.observed.is, Is::Gone { .. } | Is::Failed { .. });
        let noticed = guest.desired.end.is_some_and(|end| end.notice_at <= now);
        if is_over || !noticed || guest.observed.approved_at.is_some() {
            return vec![];
        }
        guest.observed.approved_at = Some(now);
        let mut actions = vec![Action::Save(id), Action::Say(FromHost::Observed(guest.observed.clone()))];
        drop(guest);
        actions.extend(self.pursue(id, now));
        actions
    }

    /// Carries out what is due: notices that become visible, deadlines, power switches.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Action> {
        let due = self.guests.due(now);
        due.into_iter().flat_map(|id| self.pursue(id, now)).collect()
    }

    /// When [`Agent::tick`] has something to do next.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.guests.next_due()
    }

    /// Brings one guest nearer to what it should be.
    fn pursue(&mut self, id: InstanceId, now: Timestamp) -> Vec<Action> {
        let mut guest = self.guests.get_mut(id).expect("a guest that was just looked up");
        let mut actions = vec![];
        if let Some(end) = guest.desired.end
            && end.notice_at <= now
            && guest.observed.notice_readable_at.is_none()
        {
            guest.observed.notice_readable_at = Some(now);
            actions.push(Action::Save(id));
            actions.push(Action::Say(FromHost::Observed(guest.observed.clone())));
        }
        let ended = guest.observed.approved_at.is_some() || guest.desired.end.is_some_and(|end| end.at <= now);
        let want = if ended { Want::Gone } else { guest.desired.want };
        match (want, &guest.observed.is) {
            (_, Is::Gone { .. } | Is::Failed { .. }) => {
                actions.push(Action::Say(FromHost::Observed(guest.observed.clone())));
            }
            (Want::Gone, _) if !guest.removing => {
                guest.removing = true;
                actions.push(Action::Remove(id));
            }
            (Want::Gone, _) => {}
            (Want::Running, Is::Off { .. }) => {
                guest.observed.is = Is::Starting;
                actions.push(Action::Start(id));
            }
            (Want::Running, _) | (Want::Off { .. }, Is::Off { .. }) => {}
            (Want::Off { force_at }, _) if force_at <= now && guest.power != Power::Switched => {
                guest.power = Power::Switched;
                actions.push(Action::PowerOff(id));
            }
            (Want::Off { .. }, _) if guest.power == Power::Untouched => {
                guest.power = Power::ButtonPressed;
                actions.push(Action::PowerDown(id));
            }
            (Want::Off { .. }, _) => {}
        }
        actions
    }
}

/// When something is to be done about a guest without anybody saying so.
fn due_at(guest: &Guest) -> Option<Timestamp> {
    if guest.removing || matches!(guest.observed.is, Is::Gone { .. } | Is::Failed { .. }) {
        return None;
    }
    let end = guest.desired.end.map(|end| match guest.observed.notice_readable_at {
        None => end.notice_at.min(end.at),
        Some(_) => end.at,
    });
    let force = match (guest.desired.want, &guest.observed.is) {
        (Want::Off { force_at }, Is::Running { .. } | Is::Starting) if guest.power != Power::Switched => Some(force_at),
        _ => None,
    };
    end.into_iter().chain(force).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{GuestSpec, Metadata, PlannedEnd};
    use ebb_model::id::AccountId;
    use ebb_model::resources::Resources;
    use uuid::Uuid;

    fn id(n: u128) -> InstanceId {
        InstanceId::new(Uuid::from_u128(n))
    }

    fn desired(n: u128, generation: i64, want: Want) -> DesiredGuest {
        DesiredGuest {
            id: id(n),
            generation,
            account: AccountId::new(Uuid::from_u128(1)),
            want,
            spec: GuestSpec {
                resources: Resources::default(),
                image: "built-in".to_owned(),
                disk_revision: 0,
                disposable: true,
            },
            metadata: Metadata {
                name: String::new(),
                hostname: String::new(),
                region: String::new(),
                zone: String::new(),
                flavor: String::new(),
                public_keys: BTreeMap::new(),
                user_data: None,
                password_hash: None,
            },
            end: None,
            place: None,
            ingress: vec![],
            addresses: vec![],
            disks: vec![],
        }
    }

    #[test]
    fn a_restart_begins_anew_what_was_under_way_and_nothing_else() {
        let now = Timestamp::from_micros(0);
        let mut before = Agent::default();
        before.desire(1, 1, (1..=4).map(|n| desired(n, 1, Want::Running)).collect(), vec![], now);
        for n in [1, 3, 4] {
            before.see(id(n), Seen::Running, now);
        }
        before.see(id(3), Seen::Off, now);
        before.desire(1, 2, vec![desired(1, 2, Want::Gone)], vec![], now);

        let mut after = Agent::restore(before.position(), before.guests().cloned(), vec![]);
        let actions = after.resume(now);
        assert_eq!(actions, vec![Action::Remove(id(1)), Action::Start(id(2))], "3 ended by itself, 4 runs");
    }
    #[test]
    fn a_guest_that_approves_its_end_goes_at_once_and_stays_gone() {
        let at = Timestamp::from_micros;
        let ending =
            DesiredGuest { end: Some(PlannedEnd { notice_at: at(10), at: at(300) }), ..desired(1, 1, Want::Running) };
        let mut agent = Agent::default();
        agent.desire(1, 1, vec![ending.clone(), desired(2, 1, Want::Running)], vec![], at(0));
        agent.see(id(1), Seen::Running, at(1));
        agent.see(id(2), Seen::Running, at(1));
        for (who, now) in [(1, 9), (2, 20), (3, 20)] {
            assert_eq!(agent.approve(id(who), at(now)), vec![], "guest {who} at {now} knows of no end");
        }
        let actions = agent.approve(id(1), at(20));
        let observed = agent.guest(id(1)).unwrap().observed.clone();
        assert_eq!(observed.approved_at, Some(at(20)));
        assert_eq!((&actions[0], actions.last()), (&Action::Save(id(1)), Some(&Action::Remove(id(1)))));
        assert!(actions.contains(&Action::Say(FromHost::Observed(observed))));
        assert_eq!(agent.approve(id(1), at(21)), vec![], "it goes already");

        // The host dies before the guest is gone: the next one goes on, and no order brings the guest back.
        let mut after = Agent::restore(agent.position(), agent.guests().cloned(), vec![]);
        assert_eq!(after.resume(at(22)).last(), Some(&Action::Remove(id(1))));
        let again = DesiredGuest { generation: 2, ..ending };
        let obeyed = after.desire(1, 2, vec![again], vec![], at(23));
        assert!(!obeyed.iter().any(|action| matches!(action, Action::Start(_) | Action::Remove(_))), "{obeyed:?}");
        let gone = after.see(id(1), Seen::Gone, at(24));
        let Some(Action::Say(FromHost::Observed(said))) = gone.last() else { panic!("{gone:?}") };
        assert_eq!((said.approved_at, &said.is), (Some(at(20)), &Is::Gone { at: at(24) }));
        assert_eq!(after.approve(id(1), at(25)), vec![], "it is gone");
    }
}
