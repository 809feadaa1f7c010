//! What is there in a zone: which hosts, with how much room, and who is on them?
//!
//! A fleet is made of the instances themselves, each with its generation, so it does not matter in which order it hears of them.

use crate::end::period_start_of;
use crate::offers::Offers;
use crate::placement::{Room, Tenancy};
use ebb_model::catalog::{Catalog, KINDS};
use ebb_model::disk::Volume;
use ebb_model::id::{AccountId, HostId, InstanceId};
use ebb_model::instance::{Instance, Purchase, State};
use ebb_model::money::{Exact, Price};
use ebb_model::resources::Resources;
use ebb_model::time::{Second, Timestamp};
use ebb_model::volume::VolumeId;
use std::collections::{BTreeMap, BTreeSet};

/// An amount of each kind that the catalog sells, in the order of their names.
pub type Amounts = [i64; KINDS];

/// The hosts of a zone, and what is on them.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    kinds: Vec<String>,
    /// Accounts that are known to be one person with others, by the account that stands for them.
    persons: BTreeMap<AccountId, AccountId>,
    pub(crate) hosts: BTreeMap<HostId, Host>,
    /// Flavors that must fit at once beside what is sold as spot, the largest first.
    pub(crate) reserve: Vec<Amounts>,
    /// From here on the operator is short of room: no block may last longer.
    pub(crate) short_from: Option<Timestamp>,
    pub(crate) offers: Offers,
}

/// What is known of a host beside its guests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub capacity: Resources,
    pub terms: Terms,
}

/// What is placed on a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// Whether it takes anything new.
    pub open: bool,
    /// When its owner will want it back, or an announced drain begins; it takes nothing firm then, and no block that lasts longer.
    pub lent_until: Option<Timestamp>,
    /// When an announced drain begins.
    pub drained_from: Option<Timestamp>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Host {
    pub capacity: Amounts,
    pub terms: Terms,
    /// Taken by what is there, until it is gone.
    pub used: Amounts,
    /// Promised to firm orders that wait for it.
    pub claimed: Amounts,
    /// The part of `used` that a notice will free.
    pub releasing: Amounts,
    /// The part of `used` that is on its way out without one.
    pub leaving: Amounts,
    /// What all blocks have that may be taken.
    pub takable: Amounts,
    /// Those blocks, oldest first.
    pub blocks: BTreeSet<Age>,
    /// Their lease ends.
    pub ends: BTreeSet<(Second, InstanceId)>,
    /// Who waits here, in the order in which they are served.
    waiting: BTreeSet<(Timestamp, InstanceId)>,
    /// Whose notice is out, in the order in which they go.
    noticed: BTreeSet<(Timestamp, InstanceId)>,
    /// The same by their deadlines.
    goes: BTreeSet<(Timestamp, InstanceId)>,
    guests: BTreeMap<InstanceId, Guest>,
    /// What data disks and snapshots take, with the generation at which they did.
    volumes: BTreeMap<VolumeId, (i64, Amounts)>,
}

/// By what blocks are ordered: start, what does not run yet last; then purchase, then id (rules §2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Age {
    start: i64,
    created_at: Timestamp,
    pub id: InstanceId,
}

impl Age {
    pub fn start(&self) -> Option<Second> {
        Some(self.start).filter(|start| *start != i64::MAX).map(Second::from_unix)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Guest {
    pub generation: i64,
    pub account: AccountId,
    /// What it takes of the host.
    pub amounts: Amounts,
    /// What it was promised of it.
    claimed: Amounts,
    pub stay: Stay,
}

/// How a guest stands to the room that it has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stay {
    /// It may not be taken.
    Firm,
    /// It waits for its room, or for all of it but its disk, since it was asked for.
    Claim(Timestamp),
    /// It was given notice, and goes at its deadline.
    Reclaiming {
        notice_at: Timestamp,
        deadline: Timestamp,
    },
    Leaving,
    Block(Block),
    /// Remembered only so that older news of it are known as such.
    Gone,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    pub age: Age,
    pub lease_end: Option<Second>,
    pub hours: i64,
    pub price: Price,
}

impl Block {
    /// What a reclaim would give away: the period from its start to the deadline.
    pub fn waived(&self, now: Timestamp, deadline: Timestamp) -> Exact {
        match self.age.start() {
            Some(start) => {
                let since = period_start_of(start, self.hours, now.second());
                self.price.charge(deadline.second().unix() - since.unix())
            }
            None => Exact::ZERO,
        }
    }
}

impl Fleet {
    /// An empty zone of a catalog.
    pub fn new(catalog: &Catalog, zone: &str) -> Self {
        let mut fleet = Self::with_kinds(catalog.kinds());
        let reserved = catalog.zone(zone).into_iter().flat_map(|zone| &zone.reserve);
        let needs = reserved.filter_map(|id| catalog.flavor(id)).map(|flavor| catalog.needs(flavor));
        fleet.set_reserve(needs.collect());
        fleet
    }

    /// What must fit at once beside what is sold as spot.
    pub fn set_reserve(&mut self, needs: Vec<Resources>) {
        self.reserve = needs.iter().map(|needs| self.amounts(needs)).collect();
        self.reserve.sort_by(|a, b| b.cmp(a));
    }

    /// An empty zone in which these kinds of resources count.
    pub fn with_kinds<'a>(kinds: impl IntoIterator<Item = &'a str>) -> Self {
        Self { kinds: kinds.into_iter().map(str::to_owned).collect(), ..Self::default() }
    }

    /// Resources as the planner counts them. What no flavor has is not counted.
    pub fn amounts(&self, of: &Resources) -> Amounts {
        let mut amounts = [0; KINDS];
        for (at, kind) in self.kinds.iter().enumerate() {
            amounts[at] = of.get(kind);
        }
        amounts
    }

    pub fn resources(&self, amounts: &Amounts) -> Resources {
        Resources::of(self.kinds.iter().cloned().zip(*amounts))
    }

    pub fn set_host(&mut self, id: HostId, facts: &Facts) {
        let capacity = self.amounts(&facts.capacity);
        let host = self.hosts.entry(id).or_default();
        (host.capacity, host.terms) = (capacity, facts.terms);
        self.offers.changed(id);
    }

    /// An account belongs to a person, who is called by one of the person's accounts (rules §3.2).
    pub fn set_person(&mut self, account: AccountId, person: AccountId) {
        self.persons.insert(account, person);
    }

    /// Whose an account is: its own, where nothing else is known.
    pub fn person(&self, account: AccountId) -> AccountId {
        self.persons.get(&account).copied().unwrap_or(account)
    }

    pub fn set_short_from(&mut self, from: Option<Timestamp>) {
        self.short_from = from;
    }

    /// Whether a block that lasts until then would reach into a shortage.
    pub fn short_before(&self, until: Timestamp) -> bool {
        self.short_from.is_some_and(|from| from < until)
    }

    pub fn has(&self, host: HostId) -> bool {
        self.hosts.contains_key(&host)
    }

    /// Hears of an instance; older news than what is known are not taken.
    pub fn put(&mut self, instance: &Instance) {
        let (amounts, claimed) = (self.amounts(&instance.used()), self.amounts(&instance.claimed()));
        let host = self.hosts.entry(instance.host).or_default();
        if host.guests.get(&instance.id).is_some_and(|known| known.generation >= instance.generation) {
            return;
        }
        host.count(instance.id, -1);
        let stay = stay(instance);
        let guest = Guest { generation: instance.generation, account: instance.account, amounts, claimed, stay };
        host.guests.insert(instance.id, guest);
        host.count(instance.id, 1);
        self.offers.changed(instance.host);
    }

    /// The same of a data disk or a snapshot, which takes room and is in nobody's way otherwise.
    pub fn put_volume(&mut self, volume: &Volume) {
        let amounts = self.amounts(&volume.used());
        let host = self.hosts.entry(volume.host).or_default();
        let known = host.volumes.get(&volume.id).copied();
        if known.is_some_and(|(generation, _)| generation >= volume.generation) {
            return;
        }
        let (_, before) = known.unwrap_or_default();
        add(&mut host.used, &before, -1);
        add(&mut host.used, &amounts, 1);
        host.volumes.insert(volume.id, (volume.generation, amounts));
        self.offers.changed(volume.host);
    }

    /// What is known of an instance is this, whatever was heard since: that came to nothing.
    pub fn correct(&mut self, instance: &Instance) {
        self.forget(instance.host, instance.id);
        self.put(instance);
    }

    /// An instance that is promised room elsewhere now, or was never bought.
    pub fn forget(&mut self, from: HostId, id: InstanceId) {
        if let Some(host) = self.hosts.get_mut(&from) {
            host.count(id, -1);
            host.guests.remove(&id);
            self.offers.changed(from);
        }
    }

    /// Forgets everything about a host's guests and hears it anew: what was thought to come did not.
    pub fn replace(&mut self, id: HostId, there: &[Instance], volumes: &[Volume]) {
        if let Some(host) = self.hosts.get_mut(&id) {
            let Host { capacity, terms, .. } = *host;
            *host = Host { capacity, terms, ..Host::default() };
            self.offers.changed(id);
        }
        there.iter().for_each(|instance| self.put(instance));
        volumes.iter().for_each(|volume| self.put_volume(volume));
    }

    /// Forgets those that are gone; long after, when no older news of them can come any more.
    pub fn sweep(&mut self) {
        for host in self.hosts.values_mut() {
            host.guests.retain(|_, guest| !matches!(guest.stay, Stay::Gone));
            host.volumes.retain(|_, (_, amounts)| *amounts != [0; KINDS]);
        }
    }

    /// Whether this is what the database says about a host's room.
    pub fn agrees(&self, with: &Room) -> bool {
        let Some(host) = self.hosts.get(&with.host) else { return false };
        host.capacity == self.amounts(&with.capacity)
            && host.used == self.amounts(&with.used)
            && host.claimed == self.amounts(&with.claimed)
            && host.releasing == self.amounts(&with.releasing)
    }
}

impl Terms {
    /// Everything, for as long as anybody likes.
    pub const OPEN: Terms = Terms { open: true, lent_until: None, drained_from: None };
    /// Nothing new.
    pub const CLOSED: Terms = Terms { open: false, ..Terms::OPEN };

    pub fn admit(&self, tenancy: Tenancy) -> bool {
        let long_enough = match tenancy {
            Tenancy::Firm => self.lent_until.is_none(),
            Tenancy::Block { until, beyond_return: false } => self.lent_until.is_none_or(|end| until <= end),
            Tenancy::Block { until, beyond_return: true } => self.drained_from.is_none_or(|end| until <= end),
        };
        self.open && long_enough
    }
}

impl Host {
    /// What may be given away now. Room that is being cleared covers claims first; it is nobody else's before it is free.
    /// Each claim counts on those that had their notice when it was made: who goes later goes too late for it.
    pub fn free(&self) -> Amounts {
        let unused: Amounts = std::array::from_fn(|k| self.capacity[k] - self.used[k]);
        let (mut free, mut then) = (unused, unused);
        let mut noticed = self.noticed.iter().peekable();
        for (since, id) in &self.waiting {
            while let Some((_, gone)) = noticed.next_if(|(notice_at, _)| notice_at <= since) {
                add(&mut then, &self.guests[gone].amounts, 1);
            }
            add(&mut then, &self.guests[id].claimed, -1);
            free = std::array::from_fn(|k| free[k].min(then[k]));
        }
        free
    }

    /// What will be free by a deadline without anybody being told to go.
    pub fn coming(&self, deadline: Timestamp) -> Amounts {
        let mut free: Amounts = std::array::from_fn(|k| {
            self.capacity[k] - self.used[k] - self.claimed[k] + self.releasing[k] + self.leaving[k]
        });
        for (_, id) in self.ends.iter().take_while(|(end, _)| end.start() <= deadline) {
            add(&mut free, &self.guests[id].amounts, 1);
        }
        for (_, id) in self.goes.iter().rev().take_while(|(at, _)| *at > deadline) {
            add(&mut free, &self.guests[id].amounts, -1);
        }
        free
    }

    /// Notices that end within `[from, until)` find the same room coming and the same blocks to take as one that ends then.
    pub fn unchanged_around(&self, deadline: Timestamp) -> (Timestamp, Timestamp) {
        let turns = || self.ends.iter().map(|(end, _)| end.start()).chain(self.goes.iter().map(|(at, _)| *at));
        let from = turns().filter(|at| *at <= deadline).max().unwrap_or(Timestamp::from_micros(i64::MIN));
        let until = turns().filter(|at| *at > deadline).min().unwrap_or(Timestamp::from_micros(i64::MAX));
        (from, until)
    }

    /// Whether it is a block here that may still be told to go.
    pub fn may_take(&self, id: InstanceId) -> bool {
        self.guests.get(&id).is_some_and(|guest| matches!(guest.stay, Stay::Block(_)))
    }

    pub fn block(&self, id: InstanceId) -> (&Guest, &Block) {
        match self.guests.get(&id) {
            Some(guest @ Guest { stay: Stay::Block(block), .. }) => (guest, block),
            other => panic!("{id} should be a block that may be taken: {other:?}"),
        }
    }

    /// Adds a guest to the sums, or takes it out of them.
    fn count(&mut self, id: InstanceId, sign: i64) {
        let Some(guest) = self.guests.get(&id) else { return };
        let (amounts, claimed, stay) = (guest.amounts, guest.claimed, guest.stay);
        add(&mut self.used, &amounts, sign);
        match stay {
            Stay::Firm | Stay::Gone => {}
            Stay::Claim(since) => {
                add(&mut self.claimed, &claimed, sign);
                keep(&mut self.waiting, (since, id), sign);
            }
            Stay::Reclaiming { notice_at, deadline } => {
                add(&mut self.releasing, &amounts, sign);
                keep(&mut self.noticed, (notice_at, id), sign);
                keep(&mut self.goes, (deadline, id), sign);
            }
            Stay::Leaving => add(&mut self.leaving, &amounts, sign),
            Stay::Block(block) => {
                add(&mut self.takable, &amounts, sign);
                keep(&mut self.blocks, block.age, sign);
                block.lease_end.into_iter().for_each(|end| keep(&mut self.ends, (end, id), sign));
            }
        }
    }
}

fn stay(instance: &Instance) -> Stay {
    match (&instance.state, instance.purchase) {
        (State::Waiting { .. }, _) => Stay::Claim(instance.waits_since().expect("it waits")),
        (State::Reclaiming { notice_at, deadline, .. }, _) => {
            Stay::Reclaiming { notice_at: *notice_at, deadline: *deadline }
        }
        (State::Releasing { .. }, _) => Stay::Leaving,
        (State::Released { .. }, _) => Stay::Gone,
        (_, Purchase::SpotBlock { price, hours, .. }) => {
            let start = instance.first_running.map_or(i64::MAX, Second::unix);
            let age = Age { start, created_at: instance.created_at, id: instance.id };
            Stay::Block(Block { age, lease_end: instance.lease_end(), hours, price })
        }
        _ => Stay::Firm,
    }
}

fn keep<T: Ord>(all: &mut BTreeSet<T>, one: T, sign: i64) {
    if sign > 0 {
        all.insert(one)
    } else {
        all.remove(&one)
    };
}

pub(crate) fn add(to: &mut Amounts, what: &Amounts, sign: i64) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += sign * what);
}

pub(crate) fn holds(room: &Amounts, demand: &Amounts) -> bool {
    room.iter().zip(demand).all(|(room, demand)| *demand == 0 || demand <= room)
}
