//! Who must go so that so much is free in a zone, over all its hosts? (rules §2.5, §2.12)

use crate::fleet::{Age, Amounts, Fleet, add, holds};
use crate::placement::{CANDIDATES_KEPT, Chosen, Decision, HostPlan, Tenancy, candidates};
use ebb_model::id::{HostId, InstanceId};
use ebb_model::money::Exact;
use ebb_model::resources::Resources;
use ebb_model::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// How a zone makes room for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relief {
    /// Its hosts are those that somebody leaves; all of them are meant.
    pub decision: Decision,
    /// Youngest first.
    pub chosen: Vec<Chosen>,
    /// What will be free by the deadline without anybody being told to go.
    pub free_anyway: Resources,
    /// What will be free with those who go.
    pub free_then: Resources,
    /// Whether that is what was asked for; else it is all that blocks can free.
    pub enough: bool,
}

/// Plans reclaims until so much is free by the deadline in all, or as much as blocks can free.
pub fn plan_shortage(fleet: &Fleet, wanted: &Resources, now: Timestamp, deadline: Timestamp) -> Relief {
    let hosts: BTreeMap<HostId, _> =
        fleet.hosts.iter().filter(|(_, host)| host.terms.admit(Tenancy::Firm)).map(|(id, host)| (*id, host)).collect();
    let mut all: Vec<(Age, HostId)> =
        hosts.iter().flat_map(|(id, host)| candidates(host, deadline).map(|age| (*age, *id))).collect();
    // Youngest first, across the zone.
    all.sort_by(|a, b| b.cmp(a));
    let of = |(age, host): &(Age, HostId)| hosts[host].block(age.id).0.amounts;

    let mut free = Amounts::default();
    hosts.values().for_each(|host| add(&mut free, &host.coming(deadline), 1));
    let free_anyway = fleet.resources(&free);
    let mut most = free;
    all.iter().for_each(|one| add(&mut most, &of(one), 1));
    let asked = fleet.amounts(wanted);
    let target: Amounts = std::array::from_fn(|kind| asked[kind].min(most[kind]));

    let mut taken = 0;
    while !holds(&free, &target) {
        add(&mut free, &of(&all[taken]), 1);
        taken += 1;
    }
    let mut put_back = BTreeSet::new();
    for one in all[..taken].iter().rev() {
        let mut without = free;
        add(&mut without, &of(one), -1);
        if holds(&without, &target) {
            free = without;
            put_back.insert(one.0.id);
        }
    }

    let mut plans: BTreeMap<HostId, HostPlan> = BTreeMap::new();
    let mut chosen = vec![];
    for (at, (age, host)) in all[..taken].iter().enumerate() {
        let plan = plans.entry(*host).or_insert_with(|| HostPlan {
            host: *host,
            candidates: candidates(hosts[host], deadline).take(CANDIDATES_KEPT).map(|age| age.id).collect(),
            candidates_there: candidates(hosts[host], deadline).count(),
            victims: vec![],
            put_back: vec![],
            waived_units: String::new(),
            oldest_start: None,
        });
        if put_back.contains(&age.id) {
            plan.put_back.push(age.id);
        } else {
            plan.victims.push(age.id);
            plan.oldest_start = age.start().into_iter().chain(plan.oldest_start).min();
            chosen.push(Chosen { id: age.id, rank: at + 1, candidates: all.len() });
        }
    }
    for plan in plans.values_mut() {
        let blocks = plan.victims.iter().map(|id: &InstanceId| hosts[&plan.host].block(*id).1);
        plan.waived_units = blocks.map(|block| block.waived(now, deadline)).sum::<Exact>().units().to_string();
    }
    let plans: Vec<HostPlan> = plans.into_values().collect();
    let hosts_possible = plans.len();
    Relief {
        decision: Decision { demand: wanted.clone(), deadline, hosts: plans, hosts_possible },
        chosen,
        free_anyway,
        free_then: fleet.resources(&free),
        enough: holds(&free, &asked),
    }
}
