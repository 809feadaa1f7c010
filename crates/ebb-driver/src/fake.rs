//! What does a host do whose guests are made of nothing? The same as a real one, after delays and with faults that tests set.

use crate::agent::{Action, Agent, Guest, Seen, Volume, VolumeSeen};
use crate::counters::Counters;
use crate::protocol::{Features, FromHost, Hello, Is, Source, Stored, ToHost, VolumeIs, VolumeSize, WantVolume};
use ebb_model::catalog::SYSTEM_DISK;
use ebb_model::id::{AddressId, InstanceId};
use ebb_model::resources::Resources;
use ebb_model::time::Timestamp;
use ebb_model::traffic::Reading;
use ebb_model::volume::{DiskOf, VolumeId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// The SHA-256 of no bytes.
const NO_BYTES_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A host in memory. It is told the time; it serialises, so that a sandbox can keep it beside its database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FakeHost {
    pub name: String,
    pub zone: String,
    pub capacity: Resources,
    pub behaviour: Behaviour,
    /// A file on it says so.
    #[serde(default)]
    pub wanted_back: bool,
    /// A sandbox's network cable: since then nothing is heard of it, and it hears nothing.
    #[serde(default)]
    pub unplugged_at: Option<Timestamp>,
    /// Where the other hosts of its region would reach it.
    #[serde(default)]
    pub tunnel: Option<Ipv4Addr>,
    /// The operator's images that it has; `None`: all of the catalog.
    #[serde(default)]
    pub images: Option<BTreeSet<String>>,
    /// Where it was told that it reaches them.
    #[serde(default)]
    pub peers: BTreeSet<Ipv4Addr>,
    agent: Agent,
    /// What will be seen, and when.
    coming: BTreeSet<(Timestamp, InstanceId, Coming)>,
    /// Of volumes: it is there, or gone.
    #[serde(default)]
    volumes_coming: BTreeSet<(Timestamp, VolumeId)>,
    consoles: BTreeMap<InstanceId, String>,
    #[serde(default)]
    counters: Counters,
}

/// How long things take and what goes wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behaviour {
    pub start_millis: i64,
    /// From the power button to off; `None`: the guest ignores the button.
    pub shutdown_millis: Option<i64>,
    pub remove_millis: i64,
    /// Until a volume is made, has grown or is gone.
    #[serde(default)]
    pub volume_millis: i64,
    /// The next start fails.
    pub fail_next_start: bool,
    /// The next volume cannot be made.
    #[serde(default)]
    pub fail_next_volume: bool,
    /// Its clock is behind, or its word comes late: it says that it saw things so much earlier.
    #[serde(default)]
    pub behind_millis: i64,
    /// From the notice being readable to the guest reading it, and to its going off by itself; `None`: it never does.
    #[serde(default)]
    pub read_millis: Option<i64>,
    #[serde(default)]
    pub heed_millis: Option<i64>,
    /// Its driver cannot count what leaves a public address.
    #[serde(default)]
    pub unmetered: bool,
    #[serde(default)]
    pub stamps: Stamps,
}

/// With which instant it says what it did and saw, should it come to it late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stamps {
    /// With that at which it was due: where time is simulated, it jumps over what happens on the dot.
    #[default]
    Due,
    /// With what the clock says, as on a machine.
    Clock,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Coming {
    Running,
    Read,
    Off,
    Gone,
    Failed,
}

impl FakeHost {
    pub fn new(name: &str, zone: &str, capacity: Resources, behaviour: Behaviour) -> Self {
        Self {
            name: name.to_owned(),
            zone: zone.to_owned(),
            capacity,
            behaviour,
            wanted_back: false,
            unplugged_at: None,
            tunnel: None,
            images: None,
            peers: BTreeSet::new(),
            agent: Agent::default(),
            coming: BTreeSet::new(),
            volumes_coming: BTreeSet::new(),
            consoles: BTreeMap::new(),
            counters: Counters::default(),
        }
    }

    pub fn hello(&self) -> Hello {
        Hello {
            host: self.name.clone(),
            zone: self.zone.clone(),
            driver: "fake".to_owned(),
            capacity: self.capacity.clone(),
            features: Features {
                notice_in_metadata: true,
                metered_traffic: !self.behaviour.unmetered,
                streams: false,
                public_addresses: true,
                volumes: true,
            },
            position: self.agent.position(),
            wanted_back: self.wanted_back,
            readings: self.counters.readings(),
            guests: self.agent.observed(),
            volumes: self.agent.volumes(),
            tunnel: self.tunnel,
            images: self.images.clone(),
        }
    }

    /// Takes a message; gives back what the host says to it at once.
    pub fn hear(&mut self, message: ToHost, now: Timestamp) -> Vec<FromHost> {
        if let ToHost::ReadConsole { request, guest, bytes } = message {
            return vec![self.console(request, guest, bytes)];
        }
        if let ToHost::Peers { hosts } = &message {
            self.peers.clone_from(hosts);
        }
        let mut said = vec![];
        if message == ToHost::Ping {
            let read = self.counters.read_due(now, self.stamp(now));
            said.extend(read.into_iter().map(FromHost::Read));
        }
        let ordered: Vec<InstanceId> = match &message {
            ToHost::Desire { guests, .. } => guests.iter().map(|guest| guest.id).collect(),
            _ => vec![],
        };
        let actions = self.agent.hear(message, now);
        for id in ordered {
            let addresses = self.agent.guest(id).map_or_else(Vec::new, |guest| guest.desired.addresses.clone());
            let addresses: Vec<AddressId> = addresses.iter().map(|address| address.id).collect();
            let read = self.counters.lead(id, &addresses, self.stamp(now));
            said.extend(read.into_iter().map(FromHost::Read));
        }
        said.extend(self.carry_out(actions, now));
        said
    }

    /// Its clock may be behind.
    fn stamp(&self, at: Timestamp) -> Timestamp {
        at.plus_millis(-self.behaviour.behind_millis)
    }

    /// So much leaves a public address of a guest; whether it has that address.
    pub fn send(&mut self, address: AddressId, bytes: i64, now: Timestamp) -> bool {
        self.counters.send(address, bytes, now)
    }

    /// The counter of a public address begins again; whether it has that address.
    pub fn reset_counter(&mut self, address: AddressId, now: Timestamp) -> bool {
        self.counters.reset(address, now)
    }

    /// When [`FakeHost::step`] has something to do next.
    pub fn next_due(&self) -> Option<Timestamp> {
        let coming = self.coming.first().map(|(at, ..)| *at);
        let volumes = self.volumes_coming.first().map(|(at, _)| *at);
        coming.into_iter().chain(volumes).chain(self.agent.next_due()).chain(self.counters.next_due()).min()
    }

    /// Everything that is due by `now`, in order of time.
    pub fn step(&mut self, now: Timestamp) -> Vec<FromHost> {
        let mut said = vec![];
        while let Some(due) = self.next_due().filter(|due| *due <= now) {
            let at = match self.behaviour.stamps {
                Stamps::Due => due,
                Stamps::Clock => now,
            };
            let read = self.counters.read_due(due, self.stamp(at));
            if !read.is_empty() {
                said.extend(read.into_iter().map(FromHost::Read));
                continue;
            }
            let volume = self.volumes_coming.first().copied().filter(|(when, _)| *when <= due);
            if let Some(next @ (_, id)) = volume {
                self.volumes_coming.remove(&next);
                let seen = self.find(id);
                let actions = self.agent.see_volume(id, seen, self.stamp(at));
                said.extend(self.carry_out(actions, at));
                continue;
            }
            let seen = self.coming.first().copied().filter(|(when, ..)| *when <= due);
            let actions = match seen {
                Some(next @ (_, id, coming)) => {
                    self.coming.remove(&next);
                    if matches!(coming, Coming::Gone | Coming::Failed) {
                        let read: Vec<Reading> = self.counters.read_last(id, self.stamp(at));
                        said.extend(read.into_iter().map(FromHost::Read));
                    }
                    self.happens(id, coming, at)
                }
                None => self.agent.tick(at),
            };
            said.extend(self.carry_out(actions, at));
        }
        said
    }

    /// A guest ends by itself.
    pub fn die(&mut self, id: InstanceId, now: Timestamp) -> Vec<FromHost> {
        let actions = self.agent.see(id, Seen::Off, now);
        self.carry_out(actions, now)
    }

    /// What it has been told about a guest and has seen of it.
    pub fn guest(&self, id: InstanceId) -> Option<&Guest> {
        self.agent.guest(id)
    }

    /// A guest reads of its end.
    pub fn notice_read(&mut self, id: InstanceId, now: Timestamp) -> Vec<FromHost> {
        let actions = self.agent.notice_read(id, now);
        self.carry_out(actions, now)
    }

    /// A guest need not wait for its end.
    pub fn approve(&mut self, id: InstanceId, now: Timestamp) -> Vec<FromHost> {
        let actions = self.agent.approve(id, now);
        self.carry_out(actions, now)
    }

    fn happens(&mut self, id: InstanceId, coming: Coming, at: Timestamp) -> Vec<Action> {
        let (seen, line) = match coming {
            Coming::Read => return self.agent.notice_read(id, at),
            Coming::Running => (Seen::Running, "running"),
            Coming::Off => (Seen::Off, "power off"),
            Coming::Gone => (Seen::Gone, "gone"),
            Coming::Failed => (Seen::Failed("the fake driver was told to fail this start".to_owned()), "failed"),
        };
        let console = self.consoles.entry(id).or_default();
        console.push_str(&format!("{at} fake guest: {line}\n"));
        let mut actions = self.agent.see(id, seen, self.stamp(at));
        if coming == Coming::Running {
            actions.extend(self.hold(id));
        }
        actions
    }

    /// A guest that runs has the disks that it should have.
    fn hold(&mut self, id: InstanceId) -> Vec<Action> {
        let disks = self.agent.guest(id).map_or_else(Vec::new, |guest| guest.desired.disks.clone());
        self.agent.holds(id, disks.into_iter().collect())
    }

    /// What comes of an order about a volume.
    fn find(&mut self, id: VolumeId) -> VolumeSeen {
        match self.agent.volume(id).map(|volume| volume.desired.want.clone()) {
            None | Some(WantVolume::Gone) => VolumeSeen::Gone,
            Some(WantVolume::There { .. }) if std::mem::take(&mut self.behaviour.fail_next_volume) => {
                VolumeSeen::Failed("the fake driver was told to fail this volume".to_owned())
            }
            Some(WantVolume::There { source, gib }) => {
                let bytes = match (id, source) {
                    (VolumeId::Disk(_), _) => gib << 30,
                    (_, Source::Disk { disk }) => self.bytes_of(disk).unwrap_or(gib << 30),
                    _ => gib << 30,
                };
                // Nothing is stored of what is made of nothing.
                let stored = || Stored { bytes: 0, sha256: NO_BYTES_SHA256.to_owned() };
                VolumeSeen::There(VolumeSize { bytes, stored: matches!(id, VolumeId::Image(_)).then(stored) })
            }
        }
    }

    /// How large a disk is.
    fn bytes_of(&self, disk: DiskOf) -> Option<i64> {
        match disk {
            DiskOf::System(id) => Some(self.agent.guest(id)?.desired.spec.resources.get(SYSTEM_DISK) << 30),
            DiskOf::Data(id) => match &self.agent.volume(VolumeId::Disk(id))?.observed.is {
                VolumeIs::There { size, .. } => Some(size.bytes),
                _ => None,
            },
        }
    }

    /// What it has been told about a volume and has seen of it.
    pub fn volume(&self, id: VolumeId) -> Option<&Volume> {
        self.agent.volume(id)
    }

    /// The bytes of an image came, or not: then why not.
    pub fn bytes_came(&mut self, id: VolumeId, came: Result<VolumeSize, String>, now: Timestamp) -> Vec<FromHost> {
        let seen = came.map_or_else(VolumeSeen::Failed, VolumeSeen::There);
        let actions = self.agent.see_volume(id, seen, self.stamp(now));
        self.carry_out(actions, now)
    }

    fn carry_out(&mut self, actions: Vec<Action>, now: Timestamp) -> Vec<FromHost> {
        let mut said = vec![];
        for action in actions {
            match action {
                Action::Say(message) => {
                    if let FromHost::Observed(guest) = &message
                        && guest.notice_readable_at == Some(now)
                        && matches!(guest.is, Is::Running { .. })
                    {
                        let heeds =
                            [(self.behaviour.read_millis, Coming::Read), (self.behaviour.heed_millis, Coming::Off)];
                        let after = heeds.into_iter().filter_map(|(millis, coming)| Some((millis?, coming)));
                        self.coming.extend(after.map(|(millis, coming)| (now.plus_millis(millis), guest.id, coming)));
                    }
                    said.push(message);
                }
                Action::Start(id) => {
                    let fails = std::mem::take(&mut self.behaviour.fail_next_start);
                    let coming = if fails { Coming::Failed } else { Coming::Running };
                    self.coming.insert((now.plus_millis(self.behaviour.start_millis), id, coming));
                }
                Action::PowerDown(id) => {
                    if let Some(millis) = self.behaviour.shutdown_millis {
                        self.coming.insert((now.plus_millis(millis), id, Coming::Off));
                    }
                }
                Action::PowerOff(id) => {
                    self.coming.insert((now, id, Coming::Off));
                }
                Action::Remove(id) => {
                    self.coming.retain(|(_, other, _)| *other != id);
                    self.coming.insert((now.plus_millis(self.behaviour.remove_millis), id, Coming::Gone));
                }
                Action::Forget(id) => {
                    self.consoles.remove(&id);
                    self.counters.forget(id);
                }
                Action::Adjust(id) => {
                    if self.agent.guest(id).is_some_and(|guest| matches!(guest.observed.is, Is::Running { .. })) {
                        let actions = self.hold(id);
                        said.extend(self.carry_out(actions, now));
                    }
                }
                Action::Make(id) => {
                    let waits = self.agent.volume(id).is_some_and(|volume| {
                        matches!(volume.desired.want, WantVolume::There { source: Source::Bytes { .. }, .. })
                    });
                    if !waits {
                        self.volumes_coming.insert((now.plus_millis(self.behaviour.volume_millis), id));
                    }
                }
                Action::Unmake(id) => {
                    self.volumes_coming.insert((now.plus_millis(self.behaviour.volume_millis), id));
                }
                Action::Save(_) | Action::SaveVolume(_) | Action::ForgetVolume(_) | Action::SavePosition => {}
            }
        }
        said
    }

    /// What a guest's console says; empty for one that is not there.
    pub fn console_text(&self, guest: InstanceId) -> &str {
        let there = self.agent.guest(guest).is_some_and(|g| !matches!(g.observed.is, Is::Gone { .. }));
        self.consoles.get(&guest).filter(|_| there).map_or("", String::as_str)
    }

    fn console(&self, request: u64, guest: InstanceId, bytes: u32) -> FromHost {
        let text = self.console_text(guest);
        let skip = text.len().saturating_sub(bytes as usize);
        FromHost::ConsoleLog { request, text: text[skip..].to_owned(), error: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{DesiredGuest, GuestSpec, Metadata, PlannedEnd, Want};
    use ebb_model::id::AccountId;
    use ebb_model::network::PublicAddress;
    use uuid::Uuid;

    const NOTICE_AT: Timestamp = Timestamp::from_micros(10_000_000);
    const DEADLINE: Timestamp = Timestamp::from_micros(20_000_000);

    /// A host with a guest that is to end at the deadline.
    fn host(stamps: Stamps) -> FakeHost {
        let behaviour = Behaviour { stamps, ..Behaviour::default() };
        let mut host = FakeHost::new("here", "here-a", Resources::default(), behaviour);
        let guest = DesiredGuest {
            id: InstanceId::new(Uuid::from_u128(1)),
            generation: 1,
            account: AccountId::new(Uuid::from_u128(2)),
            want: Want::Running,
            spec: GuestSpec {
                resources: Resources::default(),
                image: String::new(),
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
            end: Some(PlannedEnd { notice_at: NOTICE_AT, at: DEADLINE }),
            place: None,
            ingress: vec![],
            addresses: vec![],
            disks: vec![],
        };
        let start = Timestamp::from_micros(0);
        host.hear(ToHost::Desire { sequence: 1, guests: vec![guest], volumes: vec![] }, start);
        host.step(start);
        host
    }

    /// By how many ms the notice and the end are late, as the host says, if it comes to both so late.
    fn late(stamps: Stamps, millis: i64) -> (i64, i64) {
        let mut host = host(stamps);
        host.step(NOTICE_AT.plus_millis(millis));
        let said = host.step(DEADLINE.plus_millis(millis));
        let Some(FromHost::Observed(guest)) = said.last() else { panic!("{said:?}") };
        let Is::Gone { at } = guest.is else { panic!("{guest:?}") };
        (guest.notice_readable_at.expect("a notice").millis_since(NOTICE_AT), at.millis_since(DEADLINE))
    }

    #[test]
    fn readings_come_before_a_pong_and_before_a_guest_is_gone() {
        let (guest, address) = (InstanceId::new(Uuid::from_u128(1)), AddressId::new(Uuid::from_u128(3)));
        let mut host = host(Stamps::Clock);
        let desired = host.guest(guest).expect("a guest").desired.clone();
        let order = |sequence, end| {
            let public = PublicAddress { id: address, ip: Ipv4Addr::new(192, 0, 2, 1), mbit: None };
            let guests = vec![DesiredGuest { addresses: vec![public], end, ..desired.clone() }];
            ToHost::Desire { sequence, guests, volumes: vec![] }
        };
        let (start, minute) = (Timestamp::from_micros(0), Timestamp::from_micros(60_000_000));
        host.hear(order(2, None), start);
        let words = |said: Vec<FromHost>| -> Vec<String> {
            let word = |message: &FromHost| match message {
                FromHost::Read(reading) => format!("{} at {}", reading.bytes, reading.at.second().unix()),
                FromHost::Observed(guest) => format!("{:?}", guest.is).chars().take(4).collect(),
                other => format!("{other:?}"),
            };
            said.iter().map(word).collect()
        };
        assert!(host.send(address, 5, start));
        assert_eq!(words(host.hear(ToHost::Ping, start.plus_seconds(59))), ["Pong"], "not due yet");
        assert_eq!(words(host.hear(ToHost::Ping, minute)), ["5 at 60", "Pong"]);
        assert_eq!(words(host.hear(ToHost::Ping, minute.plus_seconds(60))), ["Pong"], "nothing left since");
        assert!(host.send(address, 1, minute.plus_seconds(60)));
        let gone = minute.plus_seconds(70);
        host.hear(order(3, Some(PlannedEnd { notice_at: gone, at: gone })), gone);
        assert_eq!(words(host.step(gone)), ["6 at 130", "Gone"]);
        // What nobody may have heard the next hello says again, until the server has written it down.
        assert_eq!(host.hello().readings.len(), 1);
        host.hear(ToHost::Forget { guest }, gone);
        assert_eq!(host.hello().readings, []);
    }

    #[test]
    fn a_host_with_a_clock_says_how_late_it_was() {
        assert_eq!(late(Stamps::Clock, 700), (700, 700));
        assert_eq!(late(Stamps::Clock, 0), (0, 0));
        assert_eq!(late(Stamps::Due, 700), (0, 0), "simulated time jumps");
    }
}
