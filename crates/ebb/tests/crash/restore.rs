//! Does a restored backup harm anybody? Guests that it does not know go on running until somebody decides about them.

use crate::api::{Refused, text, wait_for};
use crate::books::{self, Purchases};
use crate::world::{On, Shape, World};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[test]
fn a_restored_backup_harms_nobody() {
    restore(&[]);
}

/// The operator's word is written down, or said, or neither, when the server dies; he gives it again.
#[test]
fn nor_when_the_server_dies_while_the_gap_is_accepted() {
    for failpoint in ["commit.accept-gap:1", "effect.say.before:1", "effect.say.after:1", "effect.say.before:2"] {
        println!("{failpoint}");
        restore(&[("EBB_FAILPOINT", failpoint)]);
    }
}

fn restore(environment: &[(&str, &str)]) {
    let mut world = World::new(Shape::Halves, On::Sqlite, &[]);
    let database = world.directory.path().join("data/ebb.db");
    let backup = world.directory.path().join("backup.db");
    let tenant = {
        let bob = world.open().tenant("Bob");
        let (kept, lost) = (bob.buy("small", "spot-block"), bob.buy("small", "on-demand"));
        bob.until(&kept, "running");
        bob.until(&lost, "running");
        (bob.key.clone(), bob.account.clone(), kept, lost)
    };
    let (key, account, kept, lost) = tenant;
    world.server.stop();
    std::fs::copy(&database, &backup).expect("a backup");

    // Life goes on: one goes, two come.
    world.server.start_again(&[], &[]);
    let (deleted_at, block, firm, disk) = {
        let bob = world.open().as_tenant(&key, &account);
        let deleted = bob.delete(&lost).expect("it is Bob's");
        bob.until(&lost, "released");
        let (block, firm) = (bob.buy("small", "spot-block"), bob.buy("small", "on-demand"));
        bob.until(&block, "running");
        bob.until(&firm, "running");
        let disk = text(&bob.post("/v1/disks", json!({"zone": "here-a", "gib": 1}))["id"]);
        wait_for("the disk is there", || {
            let disk = bob.get(&format!("/v1/disks/{disk}"));
            (disk["state"] == "available").then_some(()).ok_or(disk.to_string())
        });
        (text(&deleted["ended_at"]), block, firm, disk)
    };
    world.server.stop();
    std::fs::copy(&backup, &database).expect("the backup is put back");
    world.server.start_again(&["--restored"], environment);

    let operator = world.open();
    let bob = operator.as_tenant(&key, &account);
    let unknown = BTreeSet::from([block.clone(), firm.clone()]);
    let running = || {
        let guests = world.kept();
        assert!(guests.values().all(|is| is == "running"), "{guests:?}");
        assert_eq!(
            guests.into_keys().collect::<BTreeSet<_>>(),
            BTreeSet::from([kept.clone(), block.clone(), firm.clone()])
        );
    };
    let quarantine = || {
        let host = operator.get("/v1/hosts")["items"][0].clone();
        let there = host["quarantine"].as_array().expect("a list").iter().map(|one| text(&one["instance"]));
        (text(&host["state"]), there.collect::<BTreeSet<_>>())
    };
    assert_eq!(quarantine(), ("gap".to_owned(), unknown.clone()));
    assert_eq!(bob.try_buy("small", "spot-block"), Err(Refused(409, "no-capacity".to_owned())));
    // Written down, but not obeyed before somebody has looked.
    bob.tell(&kept, "stop").expect("it runs");
    running();

    // Neither half forgets what it waits for.
    world.host().crash();
    if environment.is_empty() {
        world.server.crash();
    }
    world.open();
    assert_eq!(quarantine(), ("gap".to_owned(), unknown.clone()));
    running();

    wait_for("the gap is accepted", || {
        let said = operator.ask("POST", "/v1/hosts/here/accept-gap", Value::Null);
        let host = operator.get("/v1/hosts")["items"][0].clone();
        (host["state"] == "up" && host["connected"] == true).then_some(()).ok_or(format!("{said:?} {host}"))
    });
    bob.until(&lost, "released");
    bob.until(&kept, "stopped");
    let gone = bob.instance(&lost);
    assert_eq!(gone["end_cause"], "lost");
    assert!(text(&gone["ended_at"]) <= deleted_at, "{gone} was charged after {deleted_at}");
    bob.tell(&kept, "start").expect("it is stopped");
    bob.until(&kept, "running");
    let new = bob.buy("small", "spot-block");
    bob.until(&new, "running");
    assert_eq!(quarantine(), ("up".to_owned(), unknown));
    assert!(world.kept()[&block] == "running" && world.kept()[&firm] == "running", "{:?}", world.kept());

    let strays = || operator.get("/v1/hosts")["items"][0]["stray_volumes"].clone();
    assert_eq!(strays()[0]["volume"], json!(disk));
    wait_for("the disk is destroyed", || {
        let said = operator.ask("POST", &format!("/v1/hosts/here/volumes/{disk}/destroy"), Value::Null);
        strays().is_null().then_some(()).ok_or(format!("{said:?}"))
    });
    for id in [&block, &firm] {
        wait_for("it is destroyed", || {
            let said = operator.ask("POST", &format!("/v1/hosts/here/guests/{id}/destroy"), Value::Null);
            (!world.kept().contains_key(id)).then_some(()).ok_or(format!("{said:?}"))
        });
    }
    assert_eq!(world.server.deaths(), 1, "by its failpoint, or by us");
    books::check(&world, &Purchases::from([(account.clone(), BTreeSet::from([kept.clone(), lost, new]))]));
}
