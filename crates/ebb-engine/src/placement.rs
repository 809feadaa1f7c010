//! Where does a demand go, and who must make room for it? (rules §2.5, §2.12)

use crate::lifecycle::period_start;
use ebb_model::id::{AccountId, HostId, InstanceId};
use ebb_model::instance::{Cause, Instance, State};
use ebb_model::money::Exact;
use ebb_model::resources::Resources;
use ebb_model::time::{Second, Timestamp};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// The room of one host.
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

impl Room {
    /// What may be given away now. Room that is being cleared covers claims first; it is nobody else's before it is free.
    pub fn free(&self) -> Resources {
        let uncovered = self.claimed.minus(&self.releasing).positive();
        self.capacity.minus(&self.used).minus(&uncovered)
    }
}

/// What the planner decided for a firm demand, kept with its reasons ("why this instance").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub demand: Resources,
    pub deadline: Timestamp,
    /// Every host on which the demand could be met, best first.
    pub hosts: Vec<HostPlan>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPlan {
    pub host: HostId,
    /// Blocks that could be taken, in the order in which they were considered.
    pub candidates: Vec<InstanceId>,
    pub victims: Vec<InstanceId>,
    /// Taken at first and then not needed.
    pub put_back: Vec<InstanceId>,
    /// What the operator gives up, in exact units of the currency.
    pub waived_units: String,
    /// The start of the oldest victim; among equals the host whose oldest victim is youngest is taken.
    pub oldest_start: Option<Second>,
}

/// The host on which a demand fits now: the one it leaves fullest, so that large gaps stay whole.
pub fn place(demand: &Resources, rooms: &[Room]) -> Option<HostId> {
    let fits = rooms.iter().filter(|room| room.free().holds(demand));
    fits.min_by_key(|room| {
        let left = room.free().minus(demand);
        (demand.iter().map(|(name, _)| left.get(name)).collect::<Vec<_>>(), room.host)
    })
    .map(|room| room.host)
}

/// A firm demand, and whose it is.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    pub account: AccountId,
    pub resources: &'a Resources,
}

/// Plans the reclaims that make room for a firm demand; `None` when no host can be cleared.
///
/// `there` are the instances on the hosts of `rooms`.
pub fn plan_reclaim(
    demand: &Demand<'_>,
    rooms: &[Room],
    there: &[Instance],
    now: Timestamp,
    notice_seconds: i64,
) -> Option<Decision> {
    let deadline = now.plus_seconds(notice_seconds);
    let on = |host| there.iter().filter(move |i: &&Instance| i.host == host);
    let mut plans: Vec<(Exact, HostPlan)> =
        rooms.iter().filter_map(|room| plan_host(demand, room, on(room.host), now, deadline)).collect();
    plans.sort_by_key(|(waived, plan)| (*waived, Reverse(plan.oldest_start), plan.host));
    let hosts: Vec<HostPlan> = plans.into_iter().map(|(_, plan)| plan).collect();
    (!hosts.is_empty()).then(|| Decision { demand: demand.resources.clone(), deadline, hosts })
}

/// The cause that a block's reclaim has: nobody gains by taking from himself (rules §2.11).
pub fn cause_of(victim: AccountId, taker: AccountId) -> Cause {
    if victim == taker { Cause::OwnOrder } else { Cause::Capacity }
}

fn plan_host<'a>(
    demand: &Demand<'_>,
    room: &Room,
    there: impl Iterator<Item = &'a Instance>,
    now: Timestamp,
    deadline: Timestamp,
) -> Option<(Exact, HostPlan)> {
    let mut free = room.capacity.minus(&room.used).minus(&room.claimed).plus(&room.releasing);
    let mut blocks = vec![];
    for instance in there {
        let ends_before = instance.lease_end().is_some_and(|end| end.start() <= deadline);
        match instance.state {
            State::Waiting { .. } | State::Reclaiming { .. } | State::Released { .. } => {}
            State::Releasing { .. } => free = free.plus(&instance.resources),
            _ if ends_before => free = free.plus(&instance.resources),
            _ if !instance.purchase.is_firm() => blocks.push(instance),
            _ => {}
        }
    }
    // Latest start first, what does not run yet before all; ties: later purchase, then later id (ids sort by birth).
    blocks.sort_by_key(|b| Reverse((b.first_running.map_or(i64::MAX, Second::unix), b.created_at, b.id)));
    let candidates = blocks.iter().map(|b| b.id).collect();

    let mut victims: Vec<&Instance> = vec![];
    let mut rest = blocks.into_iter();
    while !free.holds(demand.resources) {
        let next = rest.next()?;
        free = free.plus(&next.resources);
        victims.push(next);
    }
    // From the oldest taken to the youngest, put back each that is not needed.
    let mut put_back = BTreeSet::new();
    for victim in victims.iter().rev() {
        let without = free.minus(&victim.resources);
        if without.holds(demand.resources) {
            free = without;
            put_back.insert(victim.id);
        }
    }
    victims.retain(|v| !put_back.contains(&v.id));

    // What is taken from oneself is charged, so nothing is given away.
    let others = victims.iter().filter(|v| cause_of(v.account, demand.account).is_waived());
    let waived: Exact = others.map(|v| waived(v, now, deadline)).sum();
    let plan = HostPlan {
        host: room.host,
        candidates,
        oldest_start: victims.iter().filter_map(|v| v.first_running).min(),
        victims: victims.iter().map(|v| v.id).collect(),
        put_back: put_back.into_iter().collect(),
        waived_units: waived.units().to_string(),
    };
    Some((waived, plan))
}

/// What a reclaim of this block would give away: its period from the start to the deadline.
fn waived(block: &Instance, now: Timestamp, deadline: Timestamp) -> Exact {
    match period_start(block, now.second()) {
        Some(start) => block.purchase.price().charge(deadline.second().unix() - start.unix()),
        None => Exact::ZERO,
    }
}
