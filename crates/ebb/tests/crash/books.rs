//! Is everything where it belongs when all is at rest? The bills by an independent checker, the guests, and all rows by the audit.

use crate::api::{Client, text, wait_for};
use crate::receiver::was_told;
use crate::world::{Guests, World};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What was bought, by account: each purchase that was answered, once.
pub type Purchases = BTreeMap<String, BTreeSet<String>>;

/// Compares everything with everything, then ends the server.
pub fn check(world: &World, purchases: &Purchases) {
    let operator = world.operator();
    let live = at_rest(&operator);
    bought_once(&operator, purchases);
    if world.guests != Guests::Real {
        hosts_have(world, &live);
    }
    was_told(world, &operator);
    agrees(world, &operator);
    audited(&operator);
    world.server.stop();
}

/// Waits until nothing is on its way any more; gives back the instances that live.
fn at_rest(operator: &Client<'_>) -> Vec<Value> {
    wait_for("all is at rest", || {
        let live = operator.all("/v1/instances?state=live");
        let moving = live.iter().find(|one| !matches!(text(&one["state"]).as_str(), "running" | "stopped"));
        if let Some(moving) = moving {
            return Err(format!("{moving}"));
        }
        let hosts = operator.get("/v1/hosts");
        let waits = |room: &Value| room["claimed"] == 0 && room["releasing"] == 0;
        let fits = |host: &Value| host["room"].as_object().expect("room").values().all(waits);
        let calm = |host: &Value| host["state"] == "up" && host["connected"] == true && host["quarantine"] == json!([]);
        let rest = hosts["items"].as_array().expect("hosts").iter().all(|host| fits(host) && calm(host));
        rest.then_some(live).ok_or(format!("{hosts}"))
    })
}

fn bought_once(operator: &Client<'_>, purchases: &Purchases) {
    let mut found = Purchases::new();
    for one in operator.all("/v1/instances?state=all") {
        found.entry(text(&one["account"])).or_default().insert(text(&one["id"]));
    }
    assert_eq!(&found, purchases, "what is there, and what was bought");
}

/// No guest without an owner, no owner without its guest; what is gone is forgotten.
fn hosts_have(world: &World, live: &[Value]) {
    let owned: BTreeSet<String> = live.iter().map(|one| text(&one["id"])).collect();
    let running = live.iter().filter(|one| one["state"] == "running").map(|one| text(&one["id"])).collect();
    wait_for("the host has what is owned", || {
        let guests = world.kept();
        let there: BTreeSet<String> = guests.keys().cloned().collect();
        let runs: BTreeSet<String> = guests.into_iter().filter(|(_, is)| is == "running").map(|(id, _)| id).collect();
        (there == owned && runs == running).then_some(()).ok_or(format!("{there:?}, owned are {owned:?}"))
    });
}

/// Has every record and balance recomputed from the log.
pub fn agrees(world: &World, operator: &Client<'_>) {
    let oracle = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/bill_oracle.py");
    let file = world.directory.path().join("dump.json");
    // Where the clock runs, an hour may end between two questions; then the next dump is whole.
    let mut tries = 0..5;
    loop {
        std::fs::write(&file, dump(operator).to_string()).expect("a file in a directory of ours");
        let said = Command::new("python3").args([oracle, "--all"]).arg(&file).output().expect("python3");
        match tries.next() {
            _ if said.status.success() => return,
            Some(_) if world.host.is_some() || world.guests == Guests::Real => {
                std::thread::sleep(std::time::Duration::from_millis(700))
            }
            _ => panic!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr)),
        }
    }
}

fn dump(operator: &Client<'_>) -> Value {
    let books = |account: Value| {
        let about = format!("?account={}", text(&account["id"]));
        wait_for("a balance and a bill of one second", || {
            let balance = operator.get(&format!("/v1/balance{about}"));
            let trial = operator.ask("GET", &format!("/v1/trial{about}"), Value::Null).unwrap_or(Value::Null);
            let bill = operator.get(&format!("/v1/bills{about}"));
            match text(&bill["as_of"])[..19] == text(&balance["as_of"])[..19] {
                true => {
                    let addresses = operator.all(&format!("/v1/addresses{about}"));
                    let vouchers = operator.all(&format!("/v1/vouchers{about}&all=true"));
                    Ok(json!({
                        "account": account, "balance": balance, "trial": trial, "bill": bill, "addresses": addresses,
                        "vouchers": vouchers
                    }))
                }
                false => Err(text(&bill["as_of"])),
            }
        })
    };
    let accounts: Vec<Value> = operator.all("/v1/accounts").into_iter().map(books).collect();
    let (catalog, events) = (operator.get("/v1/catalog"), operator.all("/v1/events"));
    json!({ "format": 1, "catalog": catalog, "accounts": accounts, "events": events })
}

/// All that is stored agrees with itself, as the service finds.
fn audited(operator: &Client<'_>) {
    let audit = operator.get("/v1/audit?all=true");
    assert_eq!(audit["agrees"], true, "{audit:#}");
}
