//! Does anything get lost, doubled or orphaned when the server is killed again and again while many use it?

use crate::api::Client;
use crate::books::{self, Purchases};
use crate::receiver::subscribe;
use crate::world::{On, Shape, World};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::sleep;
use std::time::Duration;

const KILLS: u32 = 50;
/// Now and then the host dies instead, or just before.
const HOST_DIES_EVERY: u32 = 6;

#[test]
fn fifty_times_on_sqlite() {
    busy(On::Sqlite, 1);
}

#[test]
fn fifty_times_on_postgres() {
    busy(On::Postgres, 2);
}

/// `EBB_CRASH_SEED=7 cargo test …` plays another day.
fn busy(on: On, seed: u64) {
    let other: u64 =
        std::env::var("EBB_CRASH_SEED").map_or(0, |text| text.parse().expect("EBB_CRASH_SEED is a number"));
    let seed = seed + 2 * other;
    let world = World::new(Shape::Halves, on, &[]);
    let operator = world.open();
    let tenants: Vec<Client<'_>> = (0..3).map(|n| operator.tenant(&format!("Tenant {n}"))).collect();
    tenants.iter().for_each(|tenant| subscribe(&world, tenant));
    let (bought, over) = (Mutex::new(Purchases::new()), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let busy: Vec<_> = (seed * 10..)
            .zip(&tenants)
            .map(|(seed, tenant)| {
                let (operator, bought, over) = (&operator, &bought, &over);
                scope.spawn(move || live(operator, tenant, Dice(seed), bought, over))
            })
            .collect();
        let mut dice = Dice(seed);
        for n in 1..=KILLS {
            sleep(Duration::from_millis(dice.below(300)));
            if busy.iter().any(|one| one.is_finished()) {
                break;
            }
            if n % HOST_DIES_EVERY == 0 {
                world.host().crash();
            }
            world.server.crash();
        }
        over.store(true, SeqCst);
    });
    assert_eq!(world.server.deaths(), KILLS);
    let bought = bought.into_inner().unwrap();
    let count = bought.values().map(|of| of.len()).sum::<usize>();
    println!("{on:?}: {count} purchases over {KILLS} kills");
    assert!(count > 20, "too little happened for the kills to mean much: {count} purchases");
    books::check(&world, &bought);
}

/// Buys, stops, starts, deletes and is taken back from, until it is over.
fn live(operator: &Client<'_>, tenant: &Client<'_>, mut dice: Dice, bought: &Mutex<Purchases>, over: &AtomicBool) {
    let mut mine: Vec<String> = vec![];
    while !over.load(SeqCst) {
        let some = (!mine.is_empty()).then(|| dice.below(mine.len() as u64) as usize);
        let option = ["spot-block", "spot-block", "spot-block", "trial", "on-demand"][dice.below(5) as usize];
        // Refusals are part of a busy day: no room, the wrong state, already gone.
        match (dice.below(10), some) {
            (0..=3, _) | (_, None) => {
                let flavor = if option == "on-demand" { "large" } else { "small" };
                if let Ok(id) = tenant.try_buy(flavor, option) {
                    let fresh = bought.lock().unwrap().entry(tenant.account.clone()).or_default().insert(id.clone());
                    assert!(fresh, "{id} was sold twice");
                    mine.push(id);
                }
            }
            (4..=5, Some(at)) => {
                if tenant.delete(&mine[at]).is_ok() {
                    mine.remove(at);
                }
            }
            (6, Some(at)) => drop(tenant.tell(&mine[at], "stop")),
            (7, Some(at)) => drop(tenant.tell(&mine[at], "start")),
            (8, Some(at)) => drop(operator.tell(&mine[at], "reclaim")),
            (_, Some(_)) => {
                let amount = serde_json::json!({ "amount": format!("{}.01", dice.below(3)) });
                operator.post(&format!("/v1/accounts/{}/top-ups", tenant.account), amount);
            }
        }
        sleep(Duration::from_millis(dice.below(20)));
    }
}

/// The same seed throws the same dice: SplitMix64, by Vigna.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
