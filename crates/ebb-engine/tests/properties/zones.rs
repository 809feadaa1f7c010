//! What the operator takes of a zone is enough, and no more than needed.

use crate::placement::{NOTICE, NOW, fleet, picture, size};
use ebb_engine::fleet::{Facts, Fleet, Terms};
use ebb_engine::placement::{Decision, Tenancy, place};
use ebb_engine::reserve::{missing_by, plan_reserve};
use ebb_engine::shortage::plan_shortage;
use ebb_model::id::{HostId, InstanceId};
use ebb_model::instance::{Cause, Instance, State};
use ebb_model::resources::Resources;
use ebb_model::time::{Second, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeSet;
use uuid::Uuid;

fn now() -> Timestamp {
    Second::from_unix(NOW).start()
}

fn deadline() -> Timestamp {
    now().plus_seconds(NOTICE)
}

/// By what victims are ordered, in the words of the rules: latest start first, what does not run yet before all others.
fn age(block: &Instance) -> (i64, Timestamp, InstanceId) {
    (block.first_running.map_or(i64::MAX, Second::unix), block.created_at, block.id)
}

fn takable(block: &&Instance) -> bool {
    let live = matches!(block.state, State::Running | State::Stopped);
    let stays = block.lease_end().is_none_or(|end| end.start() > deadline());
    !block.purchase.is_firm() && live && stays
}

/// The zone after notices were given to those who were planned.
fn noticed(fleet: &mut Fleet, there: &[Instance], victims: &[InstanceId]) {
    for victim in there.iter().filter(|one| victims.contains(&one.id)) {
        let (notice_at, deadline) = (now(), deadline());
        let state = State::Reclaiming { notice_at, deadline, cause: Cause::Reserve, off_by: None, free_until: None };
        fleet.put(&Instance { state, generation: victim.generation + 1, ..victim.clone() });
    }
}

fn victims(decision: &Decision) -> Vec<InstanceId> {
    decision.hosts.iter().flat_map(|plan| plan.victims.clone()).collect()
}

proptest! {
    #[test]
    fn a_shortage_takes_enough_and_nobody_too_many((rooms, there) in fleet(), vcpu in 0..40_i64, memory in 0..60_i64) {
        let wanted = size(vcpu, memory);
        let relief = plan_shortage(&picture(&rooms, &there), &wanted, now(), deadline());
        let victims: Vec<InstanceId> = relief.chosen.iter().map(|one| one.id).collect();
        let find = |id: &InstanceId| there.iter().find(|one| one.id == *id).unwrap();

        // By hand: what is free or comes free, and what blocks could add.
        let none = Resources::default();
        let anyway = rooms.iter().fold(none, |sum, room| sum.plus(&room.capacity).minus(&room.used).plus(&room.releasing));
        let goes = |one: &&Instance| !one.purchase.is_firm() && matches!(one.state, State::Running | State::Stopped) && !takable(one);
        let anyway = there.iter().filter(goes).fold(anyway, |sum, one| sum.plus(&one.resources));
        let free = |ids: &[InstanceId]| ids.iter().fold(anyway.clone(), |sum, id| sum.plus(&find(id).resources));
        let all: Vec<InstanceId> = there.iter().filter(takable).map(|one| one.id).collect();
        let most = free(&all);
        let target = Resources::of(wanted.iter().map(|(kind, amount)| (kind, amount.min(most.get(kind)))));
        let fits = |ids: &[InstanceId]| free(ids).holds(&target);

        prop_assert_eq!(&relief.free_then, &free(&victims));
        prop_assert!(fits(&victims));
        prop_assert_eq!(relief.enough, most.holds(&wanted));
        let once: BTreeSet<_> = victims.iter().copied().collect();
        prop_assert_eq!(once.len(), victims.len());
        prop_assert_eq!(once, self::victims(&relief.decision).into_iter().collect::<BTreeSet<_>>());
        for victim in &victims {
            prop_assert!(takable(&find(victim)));
            let rest: Vec<_> = victims.iter().filter(|id| *id != victim).copied().collect();
            prop_assert!(!fits(&rest), "{victim} could be put back");
            let younger = all.iter().filter(|id| !victims.contains(id) && age(find(id)) > age(find(victim)));
            for one in younger {
                let swapped: Vec<_> = rest.iter().copied().chain([*one]).collect();
                prop_assert!(!fits(&swapped), "{victim} could be exchanged for the younger {one}");
            }
        }
        // Who is asked again when the notices are out is content.
        let mut after = picture(&rooms, &there);
        noticed(&mut after, &there, &victims);
        prop_assert_eq!(plan_shortage(&after, &target, now(), deadline()).chosen, vec![]);
    }

    #[test]
    fn a_reserve_is_restored_once((rooms, there) in fleet(), needs in prop::collection::vec((1..5_i64, 1..9_i64), 1..4)) {
        let needs: Vec<Resources> = needs.into_iter().map(|(vcpu, memory)| size(vcpu, memory)).collect();
        let mut before = picture(&rooms, &there);
        before.set_reserve(needs.clone());
        let Some((decision, chosen)) = plan_reserve(&before, now(), NOTICE) else { return Ok(()) };
        let taken = victims(&decision);
        prop_assert!(!taken.is_empty());
        prop_assert_eq!(chosen.iter().map(|one| one.id).collect::<Vec<_>>(), taken.clone());
        prop_assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), taken.len());
        for victim in &taken {
            prop_assert!(takable(&there.iter().find(|one| one.id == *victim).unwrap()));
        }
        // Nobody else is told to go when it is looked at again, now or a little later.
        let mut after = before.clone();
        noticed(&mut after, &there, &taken);
        prop_assert_eq!(plan_reserve(&after, now(), NOTICE), None);
        prop_assert_eq!(plan_reserve(&after, now().plus_seconds(1), NOTICE), None);
        // Each of them is needed: without him less of it fits.
        let missing = missing_by(&after, deadline());
        for victim in &taken {
            let rest: Vec<_> = taken.iter().filter(|id| *id != victim).copied().collect();
            let mut without = before.clone();
            noticed(&mut without, &there, &rest);
            prop_assert!(missing_by(&without, deadline()) > missing, "{victim} could be put back");
        }
    }

    #[test]
    fn spot_is_sold_only_above_the_reserve((rooms, there) in fleet(), vcpu in 1..5_i64, memory in 1..9_i64, need in (1..5_i64, 1..9_i64)) {
        let mut fleet = picture(&rooms, &there);
        fleet.set_reserve(vec![size(need.0, need.1)]);
        let (demand, until) = (size(vcpu, memory), now().plus_seconds(7_200));
        let Some(host) = place(&fleet, &demand, Tenancy::Block { until, beyond_return: false }) else { return Ok(()) };
        let left = |room: &ebb_engine::placement::Room| room.capacity.minus(&room.used);
        let still = rooms.iter().any(|room| {
            let left = if room.host == host { left(room).minus(&demand) } else { left(room) };
            left.holds(&size(need.0, need.1))
        });
        prop_assert!(still, "the reserve does not fit any more");
        // A shortage stands before it as well.
        fleet.set_short_from(Some(until));
        let block = Tenancy::Block { until, beyond_return: false };
        prop_assert_eq!(place(&fleet, &demand, block), Some(host));
        fleet.set_short_from(Some(until.plus_seconds(-1)));
        prop_assert_eq!(place(&fleet, &demand, block), None);
    }
}

/// What is kept free stays free where there is other room, and nobody has to go for it.
#[test]
fn a_firm_order_goes_beside_the_reserve_if_it_can() {
    let mut fleet = Fleet::with_kinds(["vcpu", "memory_mib"]);
    let host = |id: u128| HostId::new(Uuid::from_u128(id));
    for (id, vcpu, memory) in [(1, 8, 4), (2, 9, 1)] {
        fleet.set_host(host(id), &Facts { capacity: size(vcpu, memory), terms: Terms::OPEN });
    }
    assert_eq!(place(&fleet, &size(4, 1), Tenancy::Firm), Some(host(1)));
    fleet.set_reserve(vec![size(8, 4)]);
    assert_eq!(place(&fleet, &size(4, 1), Tenancy::Firm), Some(host(2)));
    assert_eq!(place(&fleet, &size(4, 2), Tenancy::Firm), Some(host(1)));
}
