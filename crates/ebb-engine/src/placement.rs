//! Where does a demand go, and who must make room for it? (rules §2.5, §2.12)
//!
//! What the operator needs for a zone as a whole is planned in [`crate::reserve`] and [`crate::shortage`].

use crate::end::period_start;
use crate::fleet::{Age, Amounts, Block, Fleet, Host, add, holds};
use ebb_model::id::{AccountId, HostId, InstanceId};
use ebb_model::instance::{Cause, Instance};
use ebb_model::money::Exact;
use ebb_model::resources::Resources;
use ebb_model::time::{Second, Timestamp};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The room of one host, as its rows have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    pub host: HostId,
    pub capacity: Resources,
    /// Taken by what is there, until it is gone.
    pub used: Resources,
    /// Promised to firm orders that wait for it.
    pub claimed: Resources,
    /// The part of `used` that a notice will free.
    pub releasing: Resources,
}

/// What the planner decided for a demand, kept with its reasons ("why this instance").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub demand: Resources,
    pub deadline: Timestamp,
    /// Hosts on which it could be met, best first, as many as are worth keeping.
    pub hosts: Vec<HostPlan>,
    /// How many there were.
    #[serde(default)]
    pub hosts_possible: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPlan {
    pub host: HostId,
    /// Blocks that could be taken, youngest first: on the best host so many that the order can be seen, else those looked at.
    pub candidates: Vec<InstanceId>,
    /// How many blocks could have been taken there.
    #[serde(default)]
    pub candidates_there: usize,
    pub victims: Vec<InstanceId>,
    /// Taken at first and then not needed.
    pub put_back: Vec<InstanceId>,
    /// What the operator gives up, in exact units of the currency.
    pub waived_units: String,
    /// The start of the oldest victim; among equals the host whose oldest victim is youngest is taken.
    pub oldest_start: Option<Second>,
}

/// One who must go, and at which place among those who could: the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    pub id: InstanceId,
    pub rank: usize,
    pub candidates: usize,
}

impl Decision {
    /// Who must go for a firm order: on the best host.
    pub fn chosen(&self) -> Vec<Chosen> {
        self.hosts.first().map(HostPlan::chosen).unwrap_or_default()
    }
}

impl HostPlan {
    /// Who must go from this host.
    pub fn chosen(&self) -> Vec<Chosen> {
        let place = |id: &InstanceId| self.candidates.iter().position(|candidate| candidate == id);
        let chosen = self.victims.iter().filter_map(|id| Some((id, place(id)?)));
        chosen.map(|(id, at)| Chosen { id: *id, rank: at + 1, candidates: self.candidates_there }).collect()
    }
}

/// Hosts that a decision keeps.
const HOSTS_KEPT: usize = 8;
/// Candidates on the best host that a decision keeps, beside those looked at.
pub(crate) const CANDIDATES_KEPT: usize = 100;

/// Who wants room, and how much.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// `None`: the operator himself.
    pub account: Option<AccountId>,
    pub resources: &'a Resources,
}

/// For how long room is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenancy {
    Firm,
    /// A spot block, whose lease ends by then at the latest.
    Block {
        until: Timestamp,
        /// It may be taken back earlier by an owner whose return is known.
        beyond_return: bool,
    },
}

/// The host on which a demand fits now: the one it leaves fullest, so that large gaps stay whole. A firm one goes beside the zone's
/// reserve if it can.
pub fn place(fleet: &Fleet, demand: &Resources, tenancy: Tenancy) -> Option<HostId> {
    place_among(fleet, demand, tenancy, |_| true)
}

/// The same on one of these hosts only, for what must be beside a disk.
pub fn place_among(
    fleet: &Fleet,
    demand: &Resources,
    tenancy: Tenancy,
    among: impl Fn(HostId) -> bool,
) -> Option<HostId> {
    let demand = fleet.amounts(demand);
    let nothing = BTreeMap::new();
    let beside = if fleet.reserve.is_empty() { None } else { Some(fit(fleet, |_, host| host.free())) };
    match (tenancy, &beside) {
        (Tenancy::Block { until, .. }, _) if fleet.short_before(until) => None,
        (_, None) => fullest(fleet, &demand, tenancy, &nothing, &among),
        // Spot is sold from room above the reserve only (rules §2.12).
        (Tenancy::Block { .. }, Some(fit)) if !fit.missing.is_empty() => None,
        (Tenancy::Block { .. }, Some(fit)) => fullest(fleet, &demand, tenancy, &fit.reserved, &among),
        (Tenancy::Firm, Some(fit)) => fullest(fleet, &demand, tenancy, &fit.reserved, &among)
            .or_else(|| fullest(fleet, &demand, tenancy, &nothing, &among)),
    }
}

fn fullest(
    fleet: &Fleet,
    demand: &Amounts,
    tenancy: Tenancy,
    reserved: &BTreeMap<HostId, Amounts>,
    among: &impl Fn(HostId) -> bool,
) -> Option<HostId> {
    let open = fleet.hosts.iter().filter(|(id, host)| among(**id) && host.terms.admit(tenancy));
    let fits = open.filter_map(|(id, host)| {
        let mut left = host.free();
        if let Some(reserved) = reserved.get(id) {
            add(&mut left, reserved, -1);
        }
        holds(&left, demand).then(|| {
            add(&mut left, demand, -1);
            (left, *id)
        })
    });
    fits.min().map(|(_, id)| id)
}

/// How a zone's reserve fits.
pub(crate) struct Fit {
    pub reserved: BTreeMap<HostId, Amounts>,
    /// What of it fits nowhere, the largest first.
    pub missing: Vec<Amounts>,
}

/// Where the zone's reserve fits, of room as `room` counts it.
pub(crate) fn fit(fleet: &Fleet, room: impl Fn(HostId, &Host) -> Amounts) -> Fit {
    let mut fit = Fit { reserved: BTreeMap::new(), missing: vec![] };
    for flavor in &fleet.reserve {
        let hosts = fleet.hosts.iter().filter(|(_, host)| host.terms.admit(Tenancy::Firm)).filter_map(|(id, host)| {
            let mut left = room(*id, host);
            if let Some(reserved) = fit.reserved.get(id) {
                add(&mut left, reserved, -1);
            }
            holds(&left, flavor).then_some((left, *id))
        });
        match hosts.min() {
            Some((_, host)) => add(fit.reserved.entry(host).or_default(), flavor, 1),
            None => fit.missing.push(*flavor),
        }
    }
    fit
}

/// Plans the reclaims that make room for a demand; `None` when no host can be cleared.
pub fn plan_reclaim(fleet: &mut Fleet, demand: &Demand<'_>, now: Timestamp, notice_seconds: i64) -> Option<Decision> {
    plan_besides(fleet, demand, now, notice_seconds, &BTreeSet::new())
}

/// The same on any host but these.
pub fn plan_besides(
    fleet: &mut Fleet,
    demand: &Demand<'_>,
    now: Timestamp,
    notice_seconds: i64,
    besides: &BTreeSet<HostId>,
) -> Option<Decision> {
    let deadline = now.plus_seconds(notice_seconds);
    let mut offers = std::mem::take(&mut fleet.offers);
    let wanted = Wanted { fleet, amounts: fleet.amounts(demand.resources), by: demand.account, now, deadline };
    let mut best: Vec<Key> = vec![];
    let mut hosts_possible = 0;
    for (id, waived, oldest) in offers.of(fleet, &wanted).filter(|(id, ..)| !besides.contains(id)) {
        hosts_possible += 1;
        let key = (waived, Reverse(oldest), id);
        if best.len() < HOSTS_KEPT || best.last().is_some_and(|worst| key < *worst) {
            best.insert(best.partition_point(|other| *other < key), key);
            best.truncate(HOSTS_KEPT);
        }
    }
    let told = best.into_iter().enumerate().filter_map(|(rank, (.., id))| {
        let host = &fleet.hosts[&id];
        let cleared = clear(host, host.coming(deadline), &BTreeSet::new(), &wanted)?;
        Some(cleared.told(id, host, &wanted, if rank == 0 { CANDIDATES_KEPT } else { 0 }))
    });
    let hosts: Vec<HostPlan> = told.collect();
    fleet.offers = offers;
    (!hosts.is_empty()).then(|| Decision { demand: demand.resources.clone(), deadline, hosts, hosts_possible })
}

/// Whether one host takes what is firm, and has room for a demand now.
pub fn fits_on(fleet: &Fleet, host: HostId, demand: &Resources) -> bool {
    let host = fleet.hosts.get(&host).filter(|host| host.terms.admit(Tenancy::Firm));
    host.is_some_and(|host| holds(&host.free(), &fleet.amounts(demand)))
}

/// The host that has most of a kind free, if that is enough; of those that have as much, the first. For what is no instance, and so in no
/// need to leave the others large.
pub fn roomiest(fleet: &Fleet, kind: &str, amount: i64) -> Option<HostId> {
    let demand = Resources::of([(kind, amount)]);
    let open = fleet.hosts.iter().filter(|(_, host)| host.terms.admit(Tenancy::Firm));
    let fits = open.filter(|(_, host)| holds(&host.free(), &fleet.amounts(&demand)));
    let free = |host: &Host| fleet.resources(&host.free()).get(kind);
    fits.max_by_key(|(id, host)| (free(host), Reverse(**id))).map(|(id, _)| *id)
}

/// Plans the reclaims that make room on one host, for what cannot go elsewhere since its disk is there (rules §2.12).
pub fn plan_on(
    fleet: &Fleet,
    on: HostId,
    demand: &Demand<'_>,
    now: Timestamp,
    notice_seconds: i64,
) -> Option<Decision> {
    let deadline = now.plus_seconds(notice_seconds);
    let wanted = Wanted { fleet, amounts: fleet.amounts(demand.resources), by: demand.account, now, deadline };
    let host = fleet.hosts.get(&on).filter(|host| host.terms.admit(Tenancy::Firm))?;
    let cleared = clear(host, host.coming(deadline), &BTreeSet::new(), &wanted)?;
    let hosts = vec![cleared.told(on, host, &wanted, CANDIDATES_KEPT)];
    Some(Decision { demand: demand.resources.clone(), deadline, hosts, hosts_possible: 1 })
}

/// The decision that all these blocks leave a host, which somebody else wants.
pub fn clear_host(host: HostId, blocks: &[&Instance], now: Timestamp, deadline: Timestamp) -> Decision {
    let waived = blocks.iter().filter_map(|block| {
        let since = period_start(block, now.second())?;
        Some(block.purchase.price().charge(deadline.second().unix() - since.unix()))
    });
    let ids: Vec<InstanceId> = blocks.iter().map(|block| block.id).collect();
    let plan = HostPlan {
        host,
        candidates_there: ids.len(),
        candidates: ids.clone(),
        victims: ids,
        put_back: vec![],
        waived_units: waived.sum::<Exact>().units().to_string(),
        oldest_start: blocks.iter().filter_map(|block| block.first_running).min(),
    };
    let demand = blocks.iter().fold(Resources::default(), |all, block| all.plus(&block.resources));
    Decision { demand, deadline, hosts: vec![plan], hosts_possible: 1 }
}

/// By what hosts are compared: least money waived, then the one whose oldest victim is youngest, then id.
pub(crate) type Key = (Exact, Reverse<Oldest>, HostId);

/// The oldest victim of a host, later is better: what does not run yet is younger than what does, and nobody is best of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Oldest {
    Since(Second),
    NotRunning,
    Nobody,
}

/// The cause that a block's reclaim has, by the persons of all: nobody gains by taking from himself (rules §2.11).
pub fn cause_of(cause: Cause, victim: AccountId, takers: &[AccountId]) -> Cause {
    if takers.contains(&victim) { Cause::OwnOrder } else { cause }
}

pub(crate) struct Wanted<'a> {
    pub fleet: &'a Fleet,
    pub amounts: Amounts,
    pub by: Option<AccountId>,
    pub now: Timestamp,
    pub deadline: Timestamp,
}

/// How a host can be cleared.
pub(crate) struct Cleared {
    /// Youngest first.
    pub taken: Vec<Age>,
    pub put_back: BTreeSet<InstanceId>,
}

/// Clears a host that has `free` room already, without those who go anyway.
pub(crate) fn clear(
    host: &Host,
    mut free: Amounts,
    going: &BTreeSet<InstanceId>,
    wanted: &Wanted<'_>,
) -> Option<Cleared> {
    let mut most = free;
    add(&mut most, &host.takable, 1);
    if !holds(&most, &wanted.amounts) {
        return None;
    }
    let mut taken: Vec<Age> = vec![];
    let mut rest = candidates(host, wanted.deadline).filter(|age| !going.contains(&age.id));
    while !holds(&free, &wanted.amounts) {
        let next = rest.next()?;
        add(&mut free, &host.block(next.id).0.amounts, 1);
        taken.push(*next);
    }
    // From the oldest taken to the youngest, put back each that is not needed.
    let mut put_back = BTreeSet::new();
    for age in taken.iter().rev() {
        let mut without = free;
        add(&mut without, &host.block(age.id).0.amounts, -1);
        if holds(&without, &wanted.amounts) {
            free = without;
            put_back.insert(age.id);
        }
    }
    Some(Cleared { taken, put_back })
}

/// The money that is given away if these blocks go.
pub(crate) fn given_up<'a>(blocks: impl Iterator<Item = (AccountId, &'a Block)>, wanted: &Wanted<'_>) -> Exact {
    // What is taken from oneself is charged, so nothing is given away.
    let by = wanted.by.map(|by| wanted.fleet.person(by));
    let others = blocks.filter(|(account, _)| by != Some(wanted.fleet.person(*account)));
    others.map(|(_, block)| block.waived(wanted.now, wanted.deadline)).sum()
}

/// Blocks that may be taken, youngest first. Whose lease ends by the deadline goes anyway and is counted as free already.
pub(crate) fn candidates(host: &Host, deadline: Timestamp) -> impl Iterator<Item = &Age> {
    let stays = move |age: &&Age| host.block(age.id).1.lease_end.is_none_or(|end| end.start() > deadline);
    host.blocks.iter().rev().filter(stays)
}

impl Cleared {
    pub fn victims(&self) -> impl Iterator<Item = &Age> {
        self.taken.iter().filter(|age| !self.put_back.contains(&age.id))
    }

    pub fn oldest(&self) -> Oldest {
        let since = |age: &Age| age.start().map_or(Oldest::NotRunning, Oldest::Since);
        self.victims().map(since).min().unwrap_or(Oldest::Nobody)
    }

    pub fn oldest_start(&self) -> Option<Second> {
        self.victims().filter_map(Age::start).min()
    }

    pub fn waived(&self, host: &Host, wanted: &Wanted<'_>) -> Exact {
        let victims = self.victims().map(|age| host.block(age.id));
        given_up(victims.map(|(guest, block)| (guest.account, block)), wanted)
    }

    fn told(self, id: HostId, host: &Host, wanted: &Wanted<'_>, kept: usize) -> HostPlan {
        let deadline = wanted.deadline;
        HostPlan {
            host: id,
            candidates: candidates(host, deadline).take(kept.max(self.taken.len())).map(|age| age.id).collect(),
            candidates_there: candidates(host, deadline).count(),
            victims: self.victims().map(|age| age.id).collect(),
            oldest_start: self.oldest_start(),
            waived_units: self.waived(host, wanted).units().to_string(),
            put_back: self.put_back.into_iter().collect(),
        }
    }
}
