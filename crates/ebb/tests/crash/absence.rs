//! What happens while one half is away? The host keeps its deadlines, and the server believes what it hears afterwards.

use crate::api::{Client, Refused, text, wait_for};
use crate::books::{self, Purchases};
use crate::world::{Guests, On, Pace, Shape, World};
use ebb_model::money::{Amount, Price};
use ebb_model::time::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

#[test]
fn a_deadline_is_kept_while_the_server_is_down() {
    let world = World::new(Shape::Halves, On::Sqlite, &[]);
    let operator = world.open();
    let bob = operator.tenant("Bob");
    let block = bob.buy("small", "spot-block");
    bob.until(&block, "running");
    operator.tell(&block, "reclaim").expect("a block may be taken back");
    let deadline = until_noticed(&bob, &block);
    world.server.kill();

    wait_for("the guest is gone", || {
        let is = world.kept()[&block].clone();
        (is == "gone").then_some(()).ok_or(is)
    });
    sleep(Duration::from_millis(1500));
    bob.until(&block, "released");
    assert_eq!(world.server.deaths(), 1);
    let released = event(&operator.all("/v1/events"), &block, "released");
    let late = instant(&released["gone_at"]).millis_since(deadline);
    assert!((0..1000).contains(&late), "released {late} ms after the deadline");
    let bill = bob.get("/v1/bills");
    let compute: Vec<&Value> =
        bill["records"].as_array().expect("records").iter().filter(|r| r["meter"] == "compute").collect();
    assert!(!compute.is_empty() && compute.iter().all(|r| r["amount"] == "0.00000000"), "{compute:?}");
    books::check(&world, &Purchases::from([(bob.account.clone(), BTreeSet::from([block]))]));
}

/// Nobody was there to end the guest; its host does it late and does not pretend otherwise.
#[test]
fn a_host_that_was_away_at_a_deadline_says_how_late_it_was() {
    let world = World::new(Shape::Halves, On::Sqlite, &[]);
    let operator = world.open();
    let bob = operator.tenant("Bob");
    let block = bob.buy("small", "spot-block");
    bob.until(&block, "running");
    operator.tell(&block, "reclaim").expect("a block may be taken back");
    let deadline = until_noticed(&bob, &block);
    world.host().kill();
    sleep(Duration::from_millis(3500));
    world.host().endpoint();

    bob.until(&block, "released");
    let released = event(&operator.all("/v1/events"), &block, "released");
    let late = instant(&released["gone_at"]).millis_since(deadline);
    assert!((1000..10_000).contains(&late), "released {late} ms after the deadline");
    books::check(&world, &Purchases::from([(bob.account.clone(), BTreeSet::from([block]))]));
}

/// The server is away for longer than a start may take; meanwhile the guest starts in time.
#[test]
fn a_start_that_nobody_heard_of_counts() {
    let pace = Pace { guests: Guests::Nothing { start_millis: 1000 }, boot_timeout_seconds: 2, ..Pace::default() };
    let world = World::at(pace, Shape::Halves, On::Sqlite, &[]);
    let bob = world.open().tenant("Bob");
    let block = bob.buy("small", "spot-block");
    wait_for("the host has the order", || world.kept().contains_key(&block).then_some(()).ok_or(String::new()));
    world.server.kill();
    wait_for("the guest runs", || {
        let is = world.kept()[&block].clone();
        (is == "running").then_some(()).ok_or(is)
    });
    sleep(Duration::from_millis(2500));
    bob.until(&block, "running");
    sleep(Duration::from_millis(1500));
    assert_eq!(bob.state(&block), "running", "it was given up, though it ran in time");
    books::check(&world, &Purchases::from([(bob.account.clone(), BTreeSet::from([block]))]));
}

/// The server is away when two grants are used up. One instance goes with its grant, the other goes on; both as if it had been there.
fn a_trial_that_ends_while_the_server_is_down_ends_at_its_second(on: On) {
    let world = World::at(Pace { grant: "0.006", ..Pace::default() }, Shape::Halves, on, &[]);
    let operator = world.open();
    let (ada, bob) = (operator.tenant("Ada"), operator.tenant("Bob"));
    bob.post("/v1/trial/at-end", json!({ "choice": "release" }));
    let (goes_on, goes) = (ada.buy("small", "trial"), bob.buy("small", "trial"));
    ada.until(&goes_on, "running");
    bob.until(&goes, "running");
    let foreseen = |of: &Value| instant(&of["used_up_at"]);
    let (ada_ends, bob_ends) = (foreseen(&ada.get("/v1/trial")), foreseen(&bob.get("/v1/trial")));
    world.server.kill();
    sleep(Duration::from_secs(9));

    bob.until(&goes, "released");
    let gone = bob.instance(&goes);
    assert_eq!((&gone["end_cause"], instant(&gone["ended_at"])), (&json!("trial-end"), bob_ends));
    assert_eq!(bob.get("/v1/balance")["accruing"]["payable"], "0.00000000");
    wait_for("it is an on-demand instance", || {
        let is = text(&ada.instance(&goes_on)["option"]);
        (is == "on-demand").then_some(()).ok_or(is)
    });
    let events = operator.all("/v1/events");
    assert_eq!(instant(&event(&events, &goes_on, "became-on-demand")["since"]), ada_ends.plus_seconds(1));
    assert_eq!(ada.state(&goes_on), "running");
    for (tenant, at) in [(&ada, ada_ends), (&bob, bob_ends)] {
        let ended: Vec<&Value> =
            events.iter().filter(|e| e["account"] == tenant.account && e["body"]["event"] == "trial-ended").collect();
        assert_eq!((ended.len(), instant(&ended[0]["body"]["at"])), (1, at));
        assert!(instant(&ended[0]["at"]) > at.plus_seconds(1), "the server was not away over the end");
    }
    books::check(
        &world,
        &Purchases::from([
            (ada.account.clone(), BTreeSet::from([goes_on])),
            (bob.account.clone(), BTreeSet::from([goes])),
        ]),
    );
}

#[test]
fn a_trial_ends_without_the_server_on_sqlite() {
    a_trial_that_ends_while_the_server_is_down_ends_at_its_second(On::Sqlite);
}

#[test]
fn a_trial_ends_without_the_server_on_postgres() {
    a_trial_that_ends_while_the_server_is_down_ends_at_its_second(On::Postgres);
}

/// A host comes back with its name and nothing else. What ran there is lost, not started anew without its disk.
#[test]
fn a_host_without_its_memory_has_lost_its_guests() {
    let world = World::new(Shape::Halves, On::Sqlite, &[]);
    let operator = world.open();
    let bob = operator.tenant("Bob");
    let (block, firm) = (bob.buy("small", "spot-block"), bob.buy("large", "on-demand"));
    bob.until(&block, "running");
    bob.until(&firm, "running");
    bob.tell(&firm, "stop").expect("it runs");
    bob.until(&firm, "stopped");

    world.host().kill();
    let died = operator.get("/v1/clock")["now"].clone();
    std::fs::remove_dir_all(world.directory.path().join("host")).expect("what the host wrote down");
    // An order on its way to the host is not lost with it.
    let waiting = bob.buy("small", "spot-block");
    sleep(Duration::from_millis(1500));
    world.host().endpoint();

    bob.until(&block, "released");
    bob.until(&firm, "released");
    bob.until(&waiting, "running");
    for lost in [&block, &firm] {
        let lost = bob.instance(lost);
        assert_eq!(lost["end_cause"], "lost");
        assert!(instant(&lost["ended_at"]).millis_since(instant(&died)) <= 0, "{lost} was charged after {died}");
    }
    books::check(&world, &Purchases::from([(bob.account.clone(), BTreeSet::from([block, firm, waiting]))]));
}

/// Whoever owns the machine makes a file, and takes it away again.
#[test]
fn a_file_on_the_machine_wants_it_back() {
    let world = World::new(Shape::Halves, On::Sqlite, &[]);
    let operator = world.open();
    let bob = operator.tenant("Bob");
    let (block, firm) = (bob.buy("small", "spot-block"), bob.buy("small", "on-demand"));
    bob.until(&block, "running");
    bob.until(&firm, "running");
    let doing = |wanted: &str| {
        wait_for(wanted, || {
            let is = text(&operator.get("/v1/hosts")["items"][0]["doing"]);
            is.starts_with(wanted).then_some(()).ok_or(is)
        });
    };
    doing("lent");
    let file = world.directory.path().join("return");
    std::fs::write(&file, "").expect("a file in a directory of ours");
    doing("with its owner");
    bob.until(&block, "released");
    assert_eq!(bob.instance(&block)["end_cause"], "host-return");
    assert_eq!(bob.try_buy("small", "spot-block"), Err(Refused(409, "no-capacity".to_owned())));
    // The file is there when the host comes back, and the server has not forgotten it either.
    world.host().crash();
    world.server.crash();
    world.open();
    doing("with its owner");

    std::fs::remove_file(&file).expect("it is there");
    doing("lent");
    assert_eq!(bob.state(&firm), "running");
    let again = bob.buy("small", "spot-block");
    bob.until(&again, "running");
    books::check(&world, &Purchases::from([(bob.account.clone(), BTreeSet::from([block, firm, again]))]));
}

/// The body of the one event of this kind.
fn event(all: &[Value], about: &str, kind: &str) -> Value {
    let found: Vec<&Value> =
        all.iter().filter(|event| event["instance"] == about && event["body"]["event"] == kind).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]["body"].clone()
}

fn instant(value: &Value) -> Timestamp {
    text(value).parse().expect("an instant")
}

/// Waits until the host shows the notice to the guest, so that it knows of the deadline.
fn until_noticed(tenant: &Client<'_>, block: &str) -> Timestamp {
    wait_for("the notice is where the guest reads it", || {
        let interruption = tenant.instance(block)["interruption"].clone();
        let deadline = interruption["readable_at"].is_string().then(|| instant(&interruption["deadline"]));
        deadline.ok_or(interruption.to_string())
    })
}

/// The server is away when a spending cap is met: the block that it ends is charged to that second.
fn a_cap_that_is_met_while_the_server_is_down_acts_at_its_second(on: On) {
    let world = World::at(Pace::default(), Shape::Halves, on, &[]);
    let operator = world.open();
    let ada = operator.tenant("Ada");
    let block = ada.buy("small", "spot-block");
    ada.until(&block, "running");
    let spent: Amount = text(&ada.get("/v1/cap")["payable"]).parse().unwrap();
    let price = |name: &str| text(&ada.instance(&block)[name]).parse::<Price>().unwrap();
    let seconds = (price("price") + price("system_disk_price")).charge(6).posted();
    let set = ada.post("/v1/cap", json!({ "amount": (spent + seconds).to_string() }));
    let acts_at = instant(&set["acts_at"]);
    world.server.kill();
    sleep(Duration::from_secs(9));

    ada.until(&block, "released");
    let gone = ada.instance(&block);
    assert_eq!((&gone["end_cause"], instant(&gone["ended_at"])), (&json!("spending-cap"), acts_at));
    let events = operator.all("/v1/events");
    let reached: Vec<&Value> = events.iter().filter(|event| event["body"]["event"] == "cap-reached").collect();
    assert_eq!((reached.len(), instant(&reached[0]["body"]["at"])), (1, acts_at));
    assert!(instant(&reached[0]["at"]) > acts_at.plus_seconds(1), "the server was not away when it was met");
    books::check(&world, &Purchases::from([(ada.account.clone(), BTreeSet::from([block]))]));
}

#[test]
fn a_cap_is_met_without_the_server_on_sqlite() {
    a_cap_that_is_met_while_the_server_is_down_acts_at_its_second(On::Sqlite);
}

#[test]
fn a_cap_is_met_without_the_server_on_postgres() {
    a_cap_that_is_met_while_the_server_is_down_acts_at_its_second(On::Postgres);
}
