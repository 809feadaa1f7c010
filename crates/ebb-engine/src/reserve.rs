//! Who must go so that a zone's reserve fits again? (rules §2.5)
//!
//! Run again after its reclaims were ordered it plans nothing: what is coming free by the deadline counts.

use crate::fleet::{Age, Amounts, Fleet, Host, add};
use crate::placement::{
    CANDIDATES_KEPT, Chosen, Cleared, Decision, Fit, HostPlan, Key, Tenancy, Wanted, candidates, clear, fit, given_up,
};
use ebb_model::id::{AccountId, HostId, InstanceId};
use ebb_model::resources::Resources;
use ebb_model::time::Timestamp;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Plans the reclaims that make the reserve fit by the end of a notice given now, as far as blocks can; `None`: nobody must go.
pub fn plan_reserve(fleet: &Fleet, now: Timestamp, notice_seconds: i64) -> Option<(Decision, Vec<Chosen>)> {
    let deadline = now.plus_seconds(notice_seconds);
    let mut plan =
        Plan { fleet, now, deadline, order: None, spare: 0, going: BTreeMap::new(), gone_before: BTreeMap::new() };
    let put_back = plan.make_whole();
    plan.told(&put_back)
}

/// A firm order that is about to have room on a host.
#[derive(Debug, Clone, Copy)]
pub struct Ordered<'a> {
    pub by: AccountId,
    pub host: HostId,
    pub resources: &'a Resources,
    /// Who goes from there for it already.
    pub victims: &'a [InstanceId],
}

/// What an order does to the reserve.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// Who must go for that.
    pub taking: Option<(Decision, Vec<Chosen>)>,
    /// Less of the reserve fits then than without the order all the same.
    pub takes_of_it: bool,
}

/// The same beside an order, as far as the reserve fits worse with it than without. So it is known for whom they go. `None`: one of
/// those that were to go for the order is gone.
pub fn plan_beside(fleet: &Fleet, order: &Ordered<'_>, now: Timestamp, notice_seconds: i64) -> Option<Beside> {
    if !order.victims.iter().all(|victim| fleet.hosts[&order.host].may_take(*victim)) {
        return None;
    }
    let deadline = now.plus_seconds(notice_seconds);
    let before = missing_by(fleet, deadline);
    let going = BTreeMap::from([(order.host, order.victims.iter().copied().collect())]);
    let mut plan = Plan { fleet, now, deadline, order: Some(*order), spare: before, gone_before: going.clone(), going };
    if plan.fit().missing.len() <= before {
        return Some(Beside::default());
    }
    let put_back = plan.make_whole();
    let takes_of_it = plan.fit().missing.len() > before;
    Some(Beside { taking: plan.told(&put_back), takes_of_it })
}
/// How many flavors of the reserve will not fit by then, if nobody is told to go.
pub fn missing_by(fleet: &Fleet, deadline: Timestamp) -> usize {
    fit(fleet, |_, host| host.coming(deadline)).missing.len()
}

struct Plan<'a> {
    fleet: &'a Fleet,
    now: Timestamp,
    deadline: Timestamp,
    order: Option<Ordered<'a>>,
    /// So many flavors of the reserve need not fit: they did not before the order.
    spare: usize,
    going: Going,
    /// Of these, who goes for the order and not for the reserve.
    gone_before: Going,
}

type Going = BTreeMap<HostId, BTreeSet<InstanceId>>;

impl Plan<'_> {
    /// Adds those who must go so that as much of the reserve fits as can; gives back who need not after all.
    fn make_whole(&mut self) -> BTreeSet<InstanceId> {
        let mut put_back = BTreeSet::new();
        loop {
            // One more round must make more of it fit, or nobody goes for it. So a later look at the same zone plans nothing.
            let (before, missing) = (self.going.clone(), self.fit().missing.len());
            self.grow();
            put_back.extend(self.put_back(&before));
            if self.fit().missing.len() >= missing {
                self.going = before;
                return put_back;
            }
            put_back.extend(self.put_back(&self.gone_before.clone()));
        }
    }

    /// Clears one flavor after the other, until nothing is missing or no host can be cleared for it.
    fn grow(&mut self) {
        let mut hopeless: BTreeSet<Amounts> = BTreeSet::new();
        loop {
            let fit = self.fit();
            if fit.missing.len() <= self.spare {
                return;
            }
            let Some(flavor) = fit.missing.iter().find(|flavor| !hopeless.contains(*flavor)) else { return };
            match self.cheapest(&fit, flavor) {
                Some((host, cleared)) => {
                    self.going.entry(host).or_default().extend(cleared.victims().map(|age| age.id));
                    // Flavors may go elsewhere now, and what fitted nowhere be cleared after all.
                    hopeless.clear();
                }
                None => {
                    hopeless.insert(*flavor);
                }
            }
        }
    }

    /// What a host will have free.
    fn room(&self, id: HostId, host: &Host) -> Amounts {
        let mut room = host.coming(self.deadline);
        for victim in self.going.get(&id).into_iter().flatten() {
            add(&mut room, &host.block(*victim).0.amounts, 1);
        }
        if let Some(order) = self.order.filter(|order| order.host == id) {
            add(&mut room, &self.fleet.amounts(order.resources), -1);
        }
        room
    }

    fn wanted(&self, amounts: Amounts) -> Wanted<'_> {
        let (by, now, deadline) = (self.order.map(|order| order.by), self.now, self.deadline);
        Wanted { fleet: self.fleet, amounts, by, now, deadline }
    }

    fn fit(&self) -> Fit {
        fit(self.fleet, |id, host| self.room(id, host))
    }

    /// The host on which a flavor is cleared for least, beside what is reserved there already.
    fn cheapest(&self, fit: &Fit, flavor: &Amounts) -> Option<(HostId, Cleared)> {
        let none = BTreeSet::new();
        let wanted = self.wanted(*flavor);
        let hosts = self.fleet.hosts.iter().filter(|(_, host)| host.terms.admit(Tenancy::Firm));
        let cleared = hosts.filter_map(|(id, host)| {
            let mut free = self.room(*id, host);
            if let Some(reserved) = fit.reserved.get(id) {
                add(&mut free, reserved, -1);
            }
            let cleared = clear(host, free, self.going.get(id).unwrap_or(&none), &wanted)?;
            let key: Key = (cleared.waived(host, &wanted), Reverse(cleared.oldest()), *id);
            Some((key, cleared))
        });
        cleared.min_by_key(|(key, _)| *key).map(|((.., id), cleared)| (id, cleared))
    }

    /// From the oldest of the zone to the youngest, puts back each without whom as much of the reserve fits, but for `kept`.
    fn put_back(&mut self, kept: &Going) -> BTreeSet<InstanceId> {
        let missing = self.fit().missing.len();
        let mut put_back = BTreeSet::new();
        let stays = |(age, host): &(Age, HostId)| kept.get(host).is_some_and(|ids| ids.contains(&age.id));
        let needed = |plan: &Self, one: &(Age, HostId)| stays(one) || plan.missing_without(one) > missing;
        // Where flavors go depends on who is there, so one who was needed may be needed no longer.
        while let Some((age, host)) = self.oldest_first().into_iter().find(|one| !needed(self, one)) {
            self.going.get_mut(&host).expect("a host that somebody leaves").remove(&age.id);
            put_back.insert(age.id);
        }
        self.going.retain(|_, ids| !ids.is_empty());
        put_back
    }

    fn oldest_first(&self) -> Vec<(Age, HostId)> {
        let age = |host: &HostId, id: &InstanceId| (self.fleet.hosts[host].block(*id).1.age, *host);
        let mut going: Vec<_> =
            self.going.iter().flat_map(|(host, ids)| ids.iter().map(move |id| age(host, id))).collect();
        going.sort();
        going
    }

    fn missing_without(&self, (age, on): &(Age, HostId)) -> usize {
        let fit = fit(self.fleet, |id, host| {
            let mut room = self.room(id, host);
            if id == *on {
                add(&mut room, &host.block(age.id).0.amounts, -1);
            }
            room
        });
        fit.missing.len()
    }

    /// The decision, if anybody goes for the reserve.
    fn told(&self, put_back: &BTreeSet<InstanceId>) -> Option<(Decision, Vec<Chosen>)> {
        let mut demand = Amounts::default();
        self.fleet.reserve.iter().for_each(|flavor| add(&mut demand, flavor, 1));
        let nobody = BTreeSet::new();
        let hosts = self.going.iter().filter_map(|(id, ids)| {
            let ids = ids - self.gone_before.get(id).unwrap_or(&nobody);
            if ids.is_empty() {
                return None;
            }
            let host = &self.fleet.hosts[id];
            let there: Vec<InstanceId> = candidates(host, self.deadline).map(|age| age.id).collect();
            let last = there.iter().rposition(|id| ids.contains(id)).map_or(0, |at| at + 1);
            let victims: Vec<InstanceId> = there.iter().filter(|id| ids.contains(id)).copied().collect();
            let blocks = victims.iter().map(|id| host.block(*id));
            let given_up = given_up(blocks.clone().map(|(guest, block)| (guest.account, block)), &self.wanted(demand));
            Some(HostPlan {
                host: *id,
                candidates: there[..there.len().min(CANDIDATES_KEPT.max(last))].to_vec(),
                candidates_there: there.len(),
                oldest_start: blocks.filter_map(|(_, block)| block.age.start()).min(),
                waived_units: given_up.units().to_string(),
                put_back: there.iter().filter(|id| put_back.contains(id) && !ids.contains(id)).copied().collect(),
                victims,
            })
        });
        let hosts: Vec<HostPlan> = hosts.collect();
        let chosen = hosts.iter().flat_map(HostPlan::chosen).collect();
        let hosts_possible = hosts.len();
        let (demand, deadline) = (self.fleet.resources(&demand), self.deadline);
        (hosts_possible > 0).then_some((Decision { demand, deadline, hosts, hosts_possible }, chosen))
    }
}
