//! Does the server survive its death at each point where a change is durable and not yet told, or about to be?

use crate::books;
use crate::stories;
use crate::world::{On, Shape, World};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// Without these the log of failpoints would be a log of nothing.
const BOTH: [&str; 48] = [
    "commit.installation",
    "commit.ensure-key",
    "commit.greet-host",
    "commit.observe",
    "commit.open-account",
    "commit.verify",
    "commit.top-up",
    "commit.issue-voucher",
    "commit.tend-vouchers",
    "commit.revoke-voucher",
    "commit.claim-trial",
    "commit.evidence-keys",
    "commit.evidence",
    "commit.wrap-evidence",
    "commit.link",
    "commit.appeal",
    "commit.rejected",
    "commit.overruled",
    "commit.revoke-trial",
    "commit.close-account",
    "commit.token",
    "commit.trial-at-end",
    "commit.tend-trial",
    "commit.create-key",
    "commit.delete-key",
    "commit.add-key-pair",
    "commit.delete-key-pair",
    "commit.buy",
    "commit.stop",
    "commit.start",
    "commit.delete",
    "commit.reclaim",
    "commit.convert",
    "commit.renew",
    "commit.renewal",
    "commit.set-budget",
    "commit.tend-budget",
    "commit.adjust",
    "commit.add-subscription",
    "commit.deliver",
    "effect.deliver.before",
    "effect.deliver.after",
    "commit.drill",
    "effect.order.before",
    "effect.order.after",
    "effect.observe.before",
    "effect.forget.before",
    "effect.forget.after",
];
const HALVES: [&str; 3] = ["commit.part-host", "effect.evidence-key.before", "effect.evidence-key.after"];
const SANDBOX: [&str; 19] = [
    "commit.furnish",
    "commit.due",
    "commit.close-hour",
    "commit.read-counter",
    "commit.release-address",
    "commit.host-calendar",
    "commit.take-back-host",
    "commit.resume-host",
    "commit.drain-host",
    "commit.tend-host",
    "commit.replan",
    "commit.lose-host",
    "commit.lose-guest",
    "commit.part-host",
    "commit.signal-host",
    "commit.alarm",
    "commit.schedule-drills",
    "commit.drill-schedule",
    "commit.end-drill-schedule",
];

#[test]
fn halves_on_sqlite() {
    each_failpoint(Shape::Halves, On::Sqlite);
}

#[test]
fn halves_on_postgres() {
    each_failpoint(Shape::Halves, On::Postgres);
}

#[test]
fn a_sandbox_on_sqlite() {
    each_failpoint(Shape::Sandbox, On::Sqlite);
}

#[test]
fn a_sandbox_on_postgres() {
    each_failpoint(Shape::Sandbox, On::Postgres);
}

/// Learns from an undisturbed run which failpoints there are, then dies at each of them, at several of its hits.
fn each_failpoint(shape: Shape, on: On) {
    let names = names(shape, on);
    let own: &[&str] = if shape == Shape::Sandbox { &SANDBOX } else { &HALVES };
    let wanted = BOTH.iter().chain(own);
    let missing: Vec<_> = wanted.filter(|name| !names.contains(**name)).collect();
    assert!(missing.is_empty(), "no longer hit: {missing:?}");
    let rest = Mutex::new(names.iter().flat_map(|name| hits(name).iter().map(move |hit| (name, *hit))));
    let died = Mutex::new(BTreeSet::new());
    // Those by the wall clock mostly wait.
    let at_once = if shape == Shape::Halves { 6 } else { 2 };
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some((name, hit)) = { rest.lock().unwrap().next() } {
                    let failpoint = format!("{name}:{hit}");
                    println!("{shape:?} {on:?} {failpoint}");
                    let world = World::new(shape, on, &[("EBB_FAILPOINT", &failpoint)]);
                    let bought = play(shape, &world);
                    if world.server.deaths() > 0 {
                        died.lock().unwrap().insert(name.clone());
                    }
                    books::check(&world, &bought);
                }
            });
        }
    });
    assert_eq!(died.into_inner().unwrap(), names, "those at which it died, and those that there are");
}

/// What happens often is also cut off in the middle of things.
fn hits(name: &str) -> &'static [u64] {
    match name {
        "commit.buy" | "commit.observe" | "commit.close-hour" | "commit.due" => &[1, 3],
        _ if name.starts_with("effect.evidence-key") => &[1],
        _ if name.starts_with("effect.") => &[1, 4],
        _ => &[1],
    }
}

fn play(shape: Shape, world: &World) -> books::Purchases {
    match shape {
        Shape::Halves => stories::by_the_wall(world),
        Shape::Sandbox => stories::by_a_clock(world),
    }
}

fn names(shape: Shape, on: On) -> BTreeSet<String> {
    let log = crate::world::Directory::new();
    let log = log.path().join("failpoints");
    let world = World::new(shape, on, &[("EBB_FAILPOINT_LOG", log.to_str().expect("a path"))]);
    let bought = play(shape, &world);
    assert_eq!(world.server.deaths(), 0);
    books::check(&world, &bought);
    std::fs::read_to_string(log).expect("the failpoints").lines().map(str::to_owned).collect()
}
