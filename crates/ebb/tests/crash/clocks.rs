//! What does the service do when the machine's wall clock is set while it runs? The library of `faketime` sets it for this process alone,
//! and leaves its own time as it is.

use crate::api::wait_for;
use crate::books::{self, Purchases};
use crate::world::{On, Shape, World};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// By how much the service's wall clock is off.
struct Wall(PathBuf);

impl Wall {
    fn new() -> Wall {
        let wall = Wall(std::env::temp_dir().join(format!("ebb-wall-{}", std::process::id())));
        wall.set(0);
        wall
    }

    fn set(&self, seconds: i64) {
        // Renamed into place: it is read at every look at the clock.
        let next = self.0.with_extension("next");
        std::fs::write(&next, format!("{seconds:+}")).expect("a file");
        std::fs::rename(next, &self.0).expect("a file");
    }
}

impl Drop for Wall {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_clock_that_leaps_ends_nothing_before_it_is_accepted() {
    assert!(std::path::Path::new(LIBRARY).exists(), "{LIBRARY} is not there: `scripts/packages test` installs it");
    let wall = Wall::new();
    let file = wall.0.display().to_string();
    let faked = [
        ("LD_PRELOAD", LIBRARY),
        ("FAKETIME_TIMESTAMP_FILE", &file),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let world = World::new(Shape::Halves, On::Sqlite, &faked);
    let operator = world.open();
    let bob = operator.tenant("Bob");
    let block = bob.buy("small", "spot-block");
    bob.until(&block, "running");
    let refused = operator.ask("POST", "/v1/clock/accept", json!(null)).expect_err("there is no leap");
    assert_eq!(refused.0, 409);

    // Nine hours back, and forward again: nothing but a wait.
    let before = now(&operator.get("/v1/clock"));
    wall.set(-9 * 3_600);
    sleep(Duration::from_secs(2));
    assert!(now(&operator.get("/v1/clock")) >= before);
    assert_eq!(bob.state(&block), "running");
    wall.set(0);

    // Nine hours ahead the lease is over, if that were true.
    wall.set(9 * 3_600);
    let leap = wait_for("the leap is seen", || {
        let clock = operator.get("/v1/clock");
        if clock["leap"].is_object() { Ok(clock) } else { Err(clock.to_string()) }
    });
    assert!((32_390..=32_400).contains(&leap["leap"]["seconds"].as_i64().expect("seconds")), "{leap}");
    sleep(Duration::from_secs(3));
    assert_eq!(bob.state(&block), "running", "a lease ended by a clock that is wrong");
    let gap = now(&operator.get("/v1/clock")).millis_since(before);
    assert!((5_000..120_000).contains(&gap), "{gap} ms since the first look");
    bob.ask("POST", "/v1/clock/accept", json!(null)).expect_err("a tenant does not say what time it is");

    // Set right again it is believed by itself.
    wall.set(0);
    wait_for("it is over", || {
        let clock = operator.get("/v1/clock");
        if clock["leap"].is_null() { Ok(()) } else { Err(clock.to_string()) }
    });
    assert_eq!(bob.state(&block), "running");

    // An operator knows that it is right.
    wall.set(9 * 3_600);
    sleep(Duration::from_secs(2));
    let accepted = operator.ask("POST", "/v1/clock/accept", json!(null)).expect("there is a leap");
    assert!(accepted["leap"].is_null(), "{accepted}");
    bob.until(&block, "released");
    assert_eq!(bob.instance(&block)["end_cause"], "lease-end");
    books::check(&world, &Purchases::from([(bob.account.clone(), BTreeSet::from([block]))]));
}

fn now(clock: &Value) -> ebb_model::time::Timestamp {
    clock["now"].as_str().and_then(|now| now.parse().ok()).unwrap_or_else(|| panic!("{clock} has no `now`"))
}
