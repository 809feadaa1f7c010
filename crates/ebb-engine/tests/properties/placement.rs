//! Victims are few, young and enough.

use crate::lives::instance;
use ebb_engine::fleet::{Facts, Fleet, Terms};
use ebb_engine::placement::{Demand, Room, Tenancy, place, plan_reclaim};
use ebb_model::id::{AccountId, HostId};
use ebb_model::instance::{Cause, Instance, Purchase, State};
use ebb_model::money::Price;
use ebb_model::resources::Resources;
use ebb_model::time::{Second, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

pub const NOW: i64 = 1_772_412_000;
pub const NOTICE: i64 = 300;

pub fn size(vcpu: i64, memory: i64) -> Resources {
    Resources::of([("vcpu", vcpu), ("memory_mib", memory * 512)])
}

/// The picture that a server has of them.
pub fn picture(rooms: &[Room], there: &[Instance]) -> Fleet {
    let mut fleet = Fleet::with_kinds(["vcpu", "memory_mib"]);
    for room in rooms {
        fleet.set_host(room.host, &Facts { capacity: room.capacity.clone(), terms: Terms::OPEN });
    }
    there.iter().for_each(|instance| fleet.put(instance));
    assert!(rooms.iter().all(|room| fleet.agrees(room)));
    fleet
}

/// Hosts that are full to the brim or nearly so, with instances of all kinds.
pub fn fleet() -> impl Strategy<Value = (Vec<Room>, Vec<Instance>)> {
    let guest = (1..5_i64, 1..9_i64, 0..40_000_i64, 0..6_u8);
    prop::collection::vec((prop::collection::vec(guest, 0..10), 0..3_i64, 0..3_i64), 1..5).prop_map(|hosts| {
        let (mut rooms, mut there) = (vec![], vec![]);
        for (index, (guests, spare_vcpu, spare_memory)) in hosts.into_iter().enumerate() {
            let host = HostId::new(Uuid::from_u128(index as u128 + 1));
            let mut used = Resources::default();
            let mut releasing = Resources::default();
            for (vcpu, memory, age, kind) in guests {
                let mut guest = instance(
                    there.len() as u128 + 1,
                    Purchase::SpotBlock { price: Price::from_micros(70_000), hours: 6, periods: 2 },
                );
                guest.host = host;
                guest.resources = size(vcpu, memory);
                guest.first_running = Some(Second::from_unix(NOW - age));
                guest.state = State::Running;
                match kind {
                    0 => guest.purchase = Purchase::OnDemand { price: Price::from_micros(1) },
                    1 => {
                        let (notice_at, deadline) = (Timestamp::from_micros(0), Timestamp::from_micros(1));
                        guest.state = State::Reclaiming {
                            notice_at,
                            deadline,
                            cause: Cause::Capacity,
                            off_by: None,
                            free_until: None,
                        };
                        releasing = releasing.plus(&guest.resources);
                    }
                    2 => guest.first_running = None,
                    3 => guest.state = State::Stopped,
                    _ => {}
                }
                used = used.plus(&guest.resources);
                there.push(guest);
            }
            let capacity = used.plus(&size(spare_vcpu, spare_memory));
            rooms.push(Room { host, capacity, used, claimed: Resources::default(), releasing });
        }
        (rooms, there)
    })
}

proptest! {
    #[test]
    fn victims_make_room_and_none_is_too_many_or_too_old((rooms, there) in fleet(), vcpu in 1..9_i64, memory in 1..12_i64) {
        let demand = size(vcpu, memory);
        let asked = Demand { account: Some(AccountId::new(Uuid::from_u128(2))), resources: &demand };
        let now = Second::from_unix(NOW).start();
        let Some(decision) = plan_reclaim(&mut picture(&rooms, &there), &asked, now, NOTICE) else {
            // Nothing but firm guests and what is too small stands in the way.
            for room in &rooms {
                let blocks = there.iter().filter(|i| i.host == room.host && !i.purchase.is_firm());
                let most = blocks.fold(room.capacity.minus(&room.used), |free, block| free.plus(&block.resources));
                prop_assert!(!most.holds(&demand));
            }
            return Ok(());
        };
        let mut before: Option<i128> = None;
        for plan in &decision.hosts {
            let room = rooms.iter().find(|room| room.host == plan.host).unwrap();
            let find = |id| there.iter().find(|i| i.id == id).unwrap();
            let base = room.capacity.minus(&room.used).plus(&room.releasing);
            let fits = |set: &[_]| set.iter().fold(base.clone(), |free, id| free.plus(&find(*id).resources)).holds(&demand);
            prop_assert!(fits(&plan.victims));
            for victim in &plan.victims {
                let block = find(*victim);
                prop_assert!(!block.purchase.is_firm() && matches!(block.state, State::Running | State::Stopped));
                let rest: Vec<_> = plan.victims.iter().filter(|id| *id != victim).copied().collect();
                prop_assert!(!fits(&rest), "{victim} could be put back");
                let rank = |id| plan.candidates.iter().position(|c| *c == id).unwrap();
                for younger in plan.candidates.iter().filter(|c| rank(**c) < rank(*victim) && !plan.victims.contains(c)) {
                    let swapped: Vec<_> = rest.iter().copied().chain([*younger]).collect();
                    prop_assert!(!fits(&swapped), "{victim} could be exchanged for the younger {younger}");
                }
            }
            let waived: i128 = plan.waived_units.parse().unwrap();
            prop_assert!(before.is_none_or(|less| less <= waived), "a dearer host comes first");
            before = Some(waived);
        }
    }

    #[test]
    fn free_room_is_never_given_twice((rooms, there) in fleet(), vcpu in 1..9_i64, memory in 1..12_i64, claim in 1..4_i64) {
        let demand = size(vcpu, memory);
        let (mut rooms, mut there) = (rooms, there);
        for room in &mut rooms {
            let mut waits = instance(1_000 + there.len() as u128, Purchase::OnDemand { price: Price::from_micros(1) });
            waits.host = room.host;
            waits.resources = size(claim, claim);
            let give_up_at = Timestamp::from_micros(i64::MAX);
            (waits.state, waits.has_room) = (State::Waiting { give_up_at, asked_at: None }, false);
            room.claimed = size(claim, claim);
            there.push(waits);
        }
        if let Some(host) = place(&picture(&rooms, &there), &demand, Tenancy::Firm) {
            let room = rooms.iter().find(|room| room.host == host).unwrap();
            // Now, and when what is promised is taken.
            prop_assert!(room.capacity.holds(&room.used.plus(&demand)));
            prop_assert!(room.capacity.holds(&room.used.minus(&room.releasing).plus(&room.claimed).plus(&demand)));
        }
    }
}

/// What may happen between two plans.
#[derive(Debug, Clone, Copy)]
enum Meanwhile {
    Nothing,
    Goes(usize),
    Closes(usize),
    Opens(usize),
    Empties(usize),
    Comes(usize, i64),
}

fn meanwhile() -> impl Strategy<Value = (Meanwhile, i64)> {
    use Meanwhile::{Closes, Comes, Empties, Goes, Nothing, Opens};
    let what = prop_oneof![
        6 => Just(Nothing),
        2 => (0..40_usize).prop_map(Goes),
        1 => (0..5_usize).prop_map(Closes),
        1 => (0..5_usize).prop_map(Opens),
        1 => (0..5_usize).prop_map(Empties),
        2 => (0..5_usize, 1..5_i64).prop_map(|(which, vcpu)| Comes(which, vcpu)),
    ];
    (what, -1_000..3_000_i64)
}

proptest! {
    #[test]
    fn what_is_remembered_of_hosts_is_what_a_look_at_them_finds(
        (rooms, mut there) in fleet(), steps in prop::collection::vec(meanwhile(), 1..30),
        demands in prop::collection::vec((1..9_i64, 1..12_i64), 2)
    ) {
        let mut remembers = picture(&rooms, &there);
        let mut closed = vec![false; rooms.len()];
        let facts = |room: &Room, closed: bool| Facts { capacity: room.capacity.clone(), terms: if closed { Terms::CLOSED } else { Terms::OPEN } };
        let mut now = Second::from_unix(NOW).start();
        for (number, (what, pause)) in steps.into_iter().enumerate() {
            let demand = size(demands[number % 2].0, demands[number % 2].1);
            let asked = Demand { account: Some(AccountId::new(Uuid::from_u128(2))), resources: &demand };
            now = now.plus_seconds(pause);
            match what {
                Meanwhile::Goes(which) if !there.is_empty() => {
                    let gone = there.remove(which % there.len());
                    remembers.forget(gone.host, gone.id);
                }
                Meanwhile::Closes(which) | Meanwhile::Opens(which) => {
                    let at = which % rooms.len();
                    closed[at] = matches!(what, Meanwhile::Closes(_));
                    remembers.set_host(rooms[at].host, &facts(&rooms[at], closed[at]));
                }
                Meanwhile::Empties(which) => {
                    let host = rooms[which % rooms.len()].host;
                    there.retain(|guest| guest.host != host);
                    remembers.replace(host, &[], &[]);
                }
                Meanwhile::Comes(which, vcpu) => {
                    let block = Purchase::SpotBlock { price: Price::from_micros(70_000), hours: 6, periods: 2 };
                    let mut new = instance(1_000 + number as u128, block);
                    (new.host, new.resources) = (rooms[which % rooms.len()].host, size(vcpu, vcpu));
                    (new.first_running, new.state) = (Some(now.second()), State::Running);
                    remembers.put(&new);
                    there.push(new);
                }
                Meanwhile::Nothing | Meanwhile::Goes(_) => {}
            }
            let mut looks = Fleet::with_kinds(["vcpu", "memory_mib"]);
            rooms.iter().zip(&closed).for_each(|(room, closed)| looks.set_host(room.host, &facts(room, *closed)));
            there.iter().for_each(|guest| looks.put(guest));
            prop_assert_eq!(plan_reclaim(&mut remembers, &asked, now, NOTICE), plan_reclaim(&mut looks, &asked, now, NOTICE));
        }
    }
}

/// Somebody who goes later goes too late for a claim, however much room that makes.
#[test]
fn a_later_notice_does_not_give_the_room_of_an_earlier_claim_away() {
    let (earlier, later) = (Second::from_unix(NOW).start(), Second::from_unix(NOW + 200).start());
    let mut fleet = Fleet::with_kinds(["vcpu"]);
    let host = HostId::new(Uuid::from_u128(1));
    fleet.set_host(host, &Facts { capacity: size(8, 0), terms: Terms::OPEN });
    let mut put = |id: u128, vcpu: i64, at: Timestamp, state: State| {
        let mut guest = instance(id, Purchase::SpotBlock { price: Price::from_micros(1), hours: 6, periods: 1 });
        guest.has_room = !matches!(state, State::Waiting { .. });
        (guest.resources, guest.created_at, guest.state) = (size(vcpu, 0), at, state);
        fleet.put(&guest);
    };
    let noticed = |notice_at: Timestamp| State::Reclaiming {
        notice_at,
        deadline: notice_at.plus_seconds(NOTICE),
        cause: Cause::Capacity,
        off_by: None,
        free_until: None,
    };
    let waits = State::Waiting { give_up_at: later.plus_seconds(900), asked_at: None };
    // One is free; with the three that go first it is what the first order waits for.
    (1..4).for_each(|id| put(id, 1, earlier, noticed(earlier)));
    put(4, 4, earlier, waits.clone());
    // Four go for an order of two.
    put(5, 4, earlier, noticed(later));
    put(6, 2, later, waits);
    assert_eq!(place(&fleet, &size(1, 0), Tenancy::Firm), None);
}

/// Own blocks waive nothing, yet nobody is told to go where nobody need be, or where it does not even run.
#[test]
fn among_hosts_that_cost_nothing_the_one_with_the_youngest_victim_is_taken() {
    let now = Second::from_unix(NOW).start();
    let block = |id: u128, host: u128, first_running: Option<i64>| {
        let mut block = instance(id, Purchase::SpotBlock { price: Price::from_micros(1), hours: 1, periods: 1 });
        (block.host, block.state) = (HostId::new(Uuid::from_u128(host)), State::Running);
        block.first_running = first_running.map(Second::from_unix);
        block
    };
    // One's own, one not running yet, one whose lease ends within the notice.
    let there = [block(1, 1, Some(NOW - 100)), block(2, 2, None), block(3, 3, Some(NOW - 3_500))];
    let best = |hosts: &[Instance]| {
        let mut fleet = Fleet::with_kinds(["vcpu"]);
        for guest in hosts {
            fleet.set_host(guest.host, &Facts { capacity: size(2, 0), terms: Terms::OPEN });
            fleet.put(guest);
        }
        let demand = Demand { account: Some(there[0].account), resources: &size(2, 0) };
        plan_reclaim(&mut fleet, &demand, now, NOTICE).unwrap().hosts[0].host
    };
    assert_eq!(best(&there), there[2].host);
    assert_eq!(best(&there[..2]), there[1].host);
}
