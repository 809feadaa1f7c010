//! Does a zone keep its limits when orders come at once, and its shortage and its reserve when the server dies?

use crate::api::wait_for;
use crate::world::{On, Pace, Shape, World};
use serde_json::json;

#[test]
fn takings_that_come_at_once_are_counted_one_by_one() {
    for on in [On::Sqlite, On::Postgres] {
        let pace = Pace { takings_per_hour: 2, notice_seconds: 20, ..Pace::default() };
        let world = World::at(pace, Shape::Halves, on, &[]);
        let operator = world.open();
        let (ann, bob) = (operator.tenant("Ann"), operator.tenant("Bob"));
        for _ in 0..4 {
            let block = ann.buy("small", "spot-block");
            ann.until(&block, "running");
        }
        let codes: Vec<String> = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..4).map(|_| scope.spawn(|| bob.try_buy("small", "on-demand"))).collect();
            let ended = tries.into_iter().map(|one| one.join().expect("an answer"));
            ended.map(|answer| answer.err().map_or("bought".to_owned(), |refused| refused.1)).collect()
        });
        let count = |code: &str| codes.iter().filter(|one| *one == code).count();
        assert_eq!((count("bought"), count("too-many-takings")), (2, 2), "{codes:?}");
    }
}

#[test]
fn a_shortage_and_a_reserve_outlive_the_server() {
    let world = World::at(Pace { notice_seconds: 30, ..Pace::default() }, Shape::Halves, On::Sqlite, &[]);
    let operator = world.open();
    let ann = operator.tenant("Ann");
    let (old, young) = (ann.buy("small", "spot-block"), ann.buy("small", "spot-block"));
    ann.until(&old, "running");
    ann.until(&young, "running");
    operator.post("/v1/zones/here-a/shortage", json!({"free": {"vcpu": 1}}));
    assert_eq!(ann.try_buy("small", "spot-block").expect_err("the zone is short").1, "no-capacity");

    // While nobody serves, the operator decides to keep three of four free.
    let file = world.directory.path().join("catalog.toml");
    let text = std::fs::read_to_string(&file).expect("the catalog");
    let reserve = "region = \"here\"\nreserve = [\"small\", \"large\"]\n\n[[flavor]]";
    std::fs::write(&file, text.replacen("region = \"here\"\n\n[[flavor]]", reserve, 1)).expect("a catalog");
    world.server.kill();

    wait_for("the reserve is restored", || {
        let is = [&young, &old].map(|id| ann.instance(id)["interruption"]["cause"].clone());
        let (one, none) =
            (is.iter().filter(|cause| **cause == "reserve").count(), is.iter().any(|cause| cause.is_null()));
        (one == 1 && none).then_some(()).ok_or(format!("{is:?}"))
    });
    assert_eq!(ann.try_buy("small", "spot-block").expect_err("the zone is still short").1, "no-capacity");
    let zone = operator.get("/v1/zones")["items"][0].clone();
    assert_eq!((&zone["reserve_missing"], &zone["shortage"]["free"]["vcpu"]), (&json!(0), &json!(1)));
}
