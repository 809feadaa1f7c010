//! Does everybody who was promised room get it, in time, and nobody room that is another's?

use crate::lives::LIMITS;
use crate::shop::{FLAVORS, HOSTS, KINDS};
use crate::world::{BOOT_SECONDS, World, account};
use ebb_engine::fleet::{Facts, Fleet, Terms};
use ebb_engine::lifecycle::Command;
use ebb_model::id::InstanceId;
use ebb_model::instance::{Cause, State};
use proptest::prelude::*;

/// One act of somebody, after a pause; small numbers are small acts.
pub fn act(world: &mut World, word: u64) {
    let bits = |from: u32, most: u64| (word >> from) % most;
    world.wait(match bits(40, if world.busy { 5 } else { 8 }) {
        0..4 => bits(44, 3) as i64,
        4..6 => bits(44, 320) as i64,
        6 => bits(44, 3_500) as i64,
        _ => bits(44, 20_000) as i64,
    });
    let (who, flavor) = (account(1 + bits(8, 3)), bits(12, FLAVORS.len() as u64) as usize);
    let live: Vec<InstanceId> = world.live().map(|i| i.id).collect();
    let one = live.get(bits(20, live.len().max(1) as u64) as usize).copied();
    let usual = world.now.plus_seconds(world.limits.notice_seconds);
    match (bits(0, 16), one) {
        (0..4, _) => drop(world.buy(who, flavor, FLAVORS[flavor].block(1 + bits(16, 6) as i64, 1))),
        (4, _) => drop(world.buy(who, flavor, FLAVORS[flavor].block(6, 1 + bits(16, 3) as i64))),
        (5..9, _) => drop(world.buy(who, flavor, FLAVORS[flavor].on_demand())),
        (10, Some(id)) if bits(16, 8) == 0 => drop(world.ask(id, Command::Breach)),
        (9..11, Some(id)) => drop(world.ask(id, Command::Delete)),
        (11, Some(id)) => drop(world.ask(id, Command::Stop)),
        (12, Some(id)) => drop(world.start(id)),
        (13, Some(id)) if world.all[&id].purchase.is_firm() => match (bits(16, 3), &world.all[&id].state) {
            (0, State::Stopped | State::StoppedEconomically) => drop(world.resize(id, flavor)),
            _ => drop(world.ask(id, Command::StopEconomically { charged_until: None })),
        },
        (13, Some(id)) => drop(world.reclaim(id, Cause::Drill, usual)),
        (14, Some(id)) if bits(16, 4) == 0 => drop(world.reclaim(id, Cause::Operator, world.now)),
        (14, Some(id)) if bits(16, 4) == 1 => drop(world.reclaim(id, Cause::Operator, usual)),
        (14, Some(id)) if matches!(world.all[&id].state, State::Reclaiming { .. }) => world.vanish(id, true),
        (15, Some(id)) if world.faults && bits(16, 4) == 0 => world.lose(world.all[&id].host),
        (15, Some(id)) if world.faults => world.vanish(id, false),
        _ => {}
    }
}

pub fn history(acts: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(any::<u64>(), acts)
}

fn firm_orders_are_in_time(world: &World) {
    for order in world.all.values().filter(|i| i.purchase.is_firm()) {
        // A purchase, or a start after an economical stop.
        let asked_at = order.waits_since().unwrap_or(world.now);
        let in_time = world.now <= asked_at.plus_seconds(world.limits.notice_seconds + 2);
        assert!(in_time, "still waiting: {order:?}");
        let latest = order.created_at.plus_seconds(world.limits.notice_seconds + 2);
        let running = latest.plus_seconds(BOOT_SECONDS);
        assert!(order.first_running.is_none_or(|at| at.start() <= running), "late: {order:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn who_was_promised_room_runs_within_the_notice_whatever_others_do(words in history(10..50)) {
        let mut world = World::new(&LIMITS, &HOSTS, words[0]);
        for word in words {
            act(&mut world, word);
            firm_orders_are_in_time(&world);
        }
        world.wait(world.limits.notice_seconds + 2 + BOOT_SECONDS + 1);
        firm_orders_are_in_time(&world);
        for order in world.live().filter(|i| i.purchase.is_firm() && i.took_room) {
            prop_assert!(order.in_use_since.is_some(), "it made others go and never ran: {:?}", order);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    /// The world itself asserts at each step that no room is used twice and that the picture is what the rows say.
    #[test]
    fn room_is_used_once_and_comes_back_whatever_fails(words in history(10..50)) {
        let mut world = World::new(&LIMITS, &HOSTS, words[0]);
        (world.faults, world.replans) = (true, true);
        for word in words {
            act(&mut world, word);
        }
        prop_assert!(world.marked.values().all(|times| *times == 1), "nobody is reclaimed twice");
        let live: Vec<InstanceId> = world.live().map(|i| i.id).collect();
        live.into_iter().for_each(|id| drop(world.ask(id, Command::Breach)));
        world.wait(world.limits.notice_seconds + 100);
        prop_assert_eq!(world.live().count(), 0);
        for room in world.rooms.values() {
            let all = [&room.used, &room.claimed, &room.releasing];
            prop_assert!(all.iter().all(|of| of.iter().all(|(_, amount)| amount == 0)), "{:?}", room);
        }
    }

    #[test]
    fn a_picture_is_the_same_in_whatever_order_it_hears(words in history(10..40), order in any::<u64>()) {
        let mut world = World::new(&LIMITS, &HOSTS, order);
        world.faults = true;
        words.into_iter().for_each(|word| act(&mut world, word));
        let empty = || {
            let mut fleet = Fleet::with_kinds(KINDS);
            for room in world.rooms.values() {
                fleet.set_host(room.host, &Facts { capacity: room.capacity.clone(), terms: Terms::OPEN });
            }
            fleet
        };
        let (mut heard, mut anew) = (empty(), empty());
        world.all.values().for_each(|instance| anew.put(instance));
        let mut news: Vec<_> = world.news.iter().enumerate().flat_map(|(at, what)| {
            let place = (at as u64 + 1).wrapping_mul(order | 1);
            // Every third comes twice.
            [Some((place, what)), (at % 3 == 0).then_some((place.rotate_left(17), what))].into_iter().flatten()
        }).collect();
        news.sort_by_key(|(place, _)| *place);
        news.into_iter().for_each(|(_, what)| heard.put(what));
        prop_assert_eq!(format!("{heard:?}"), format!("{anew:?}"));
        // Those that are gone can be forgotten; who was forgotten by mistake would be counted twice.
        heard.sweep();
        world.live().for_each(|instance| heard.put(instance));
        for room in world.rooms.values() {
            prop_assert!(heard.agrees(room) && anew.agrees(room));
        }
    }
}
