//! Does the planner choose as the rules say? A second planner that tries every set of blocks on every host says so too (rules §2.5).

use crate::firm::{act, history};
use crate::lives::LIMITS;
use crate::shop::{FLAVORS, HOSTS, resources};
use crate::world::{World, account};
use ebb_engine::placement::Room;
use ebb_model::id::{AccountId, HostId, InstanceId};
use ebb_model::instance::{Instance, Purchase, State};
use ebb_model::resources::Resources;
use ebb_model::time::HOUR;
use proptest::prelude::*;
use std::cmp::Reverse;

/// What one host would have to give up.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Price {
    waived: i128,
    oldest: Reverse<i64>,
    host: HostId,
    victims: Vec<InstanceId>,
}

/// The start of a block, what does not run yet being youngest of all.
fn start(block: &Instance) -> i64 {
    block.first_running.map_or(i64::MAX - 1, |at| at.unix())
}

fn cheapest(world: &World, by: AccountId, demand: &Resources) -> Option<Price> {
    world.rooms.values().filter_map(|room| on_host(world, room, by, demand)).min()
}

fn on_host(world: &World, room: &Room, by: AccountId, demand: &Resources) -> Option<Price> {
    let deadline = world.now.plus_seconds(world.limits.notice_seconds);
    let there = || world.live().filter(|i| i.host == room.host);
    // Everything but what stays, or is promised.
    let (mut free, mut blocks) = (room.capacity.clone(), vec![]);
    for guest in there() {
        let gone = match guest.state {
            State::Reclaiming { .. } | State::Releasing { .. } => true,
            _ => guest.lease_end().is_some_and(|end| end.start() <= deadline),
        };
        if !gone {
            free = free.minus(&guest.used()).minus(&guest.claimed());
            if !guest.purchase.is_firm() {
                blocks.push(guest);
            }
        }
    }
    // Youngest first, so that the set with the smallest number spares the oldest, then the next oldest, and so on.
    blocks.sort_by_key(|b| Reverse((start(b), b.created_at, b.id)));
    let set = |number: u32| blocks.iter().enumerate().filter(move |(at, _)| number >> at & 1 == 1).map(|(_, b)| *b);
    let fits = |number: &u32| set(*number).fold(free.clone(), |free, b| free.plus(&b.resources)).holds(demand);
    let taken = (0..1_u32 << blocks.len()).find(fits)?;
    let waived = set(taken).filter(|b| b.account != by).map(|block| {
        let (Purchase::SpotBlock { price, hours, .. }, Some(since)) = (block.purchase, block.first_running) else {
            return 0;
        };
        let used = world.now.second().unix() - since.unix();
        let this_period = used % (hours * HOUR) + world.limits.notice_seconds;
        i128::from(price.micros()) * i128::from(this_period)
    });
    Some(Price {
        waived: waived.sum(),
        oldest: Reverse(set(taken).map(start).min().unwrap_or(i64::MAX)),
        host: room.host,
        victims: set(taken).map(|b| b.id).collect(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn victims_are_the_youngest_few_on_the_cheapest_host(words in history(10..40), faults in any::<bool>()) {
        let mut world = World::new(&LIMITS, &HOSTS, words[0]);
        world.faults = faults;
        for word in words {
            act(&mut world, word);
            let bits = |from: u32, most: u64| ((word >> from) % most) as i64;
            // Demands that come again are answered from what is remembered of hosts, whatever happened to them since.
            let (by, demand) = match bits(32, 4) {
                0 => (account(word % 3 + 1), resources(1 + bits(8, 10), 1 + bits(16, 24), bits(24, 3))),
                _ => (account(word % 3 + 1), FLAVORS[bits(8, 3) as usize + 3].resources()),
            };
            let planned = world.plan(by, &demand).map(|decision| {
                let best = &decision.hosts[0];
                (best.host, best.victims.clone(), best.waived_units.parse::<i128>().unwrap())
            });
            let naive = cheapest(&world, by, &demand).map(|best| (best.host, best.victims, best.waived));
            prop_assert_eq!(planned, naive, "{:?} by {}", demand, by);
        }
    }
}
