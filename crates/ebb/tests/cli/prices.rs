//! Does whoever edits the price book hear in which line it is wrong, and see what it says?

use crate::sandbox::Sandbox;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../catalog/sample.toml");
const STARTED: &str = "timeout --preserve-status -s INT 3 ebb sandbox --data kept --catalog my.toml";

#[test]
fn a_price_of_the_past_is_named_with_its_line_when_the_service_starts() {
    let sandbox = Sandbox::start();
    sandbox.run(&format!("cp {SAMPLE} my.toml"));
    let said = sandbox.run(STARTED);
    assert_eq!(said.code, 0, "{said:?}");
    sandbox.run("sed -i 's/on_demand = \"0.39\"/on_demand = \"0.4567\"/' my.toml");
    // By itself the file is right; only the service knows what it has sold by.
    assert_eq!(sandbox.run("ebb catalog check my.toml").code, 0);
    let line =
        std::fs::read_to_string(SAMPLE).unwrap().lines().position(|line| line == "on_demand = \"0.39\"").unwrap();
    let said = sandbox.run(STARTED);
    let place = format!("my.toml:{}:13: flavor c6.large.2: on_demand: ", line + 1);
    assert!(said.code != 0 && said.err.contains(&place), "{said:?}");
    assert!(said.err.contains("where it was sold at 0.39: what is over keeps its price"), "{said:?}");
    let list = "[{ price = \"0.39\" }, { from = \"2126-01-01T00:00:00+08:00\", price = \"0.4567\" }]";
    sandbox.run(&format!("sed -i 's/on_demand = \"0.4567\"/on_demand = {list}/' my.toml"));
    let said = sandbox.run(STARTED);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn a_file_is_checked_without_a_server() {
    let sandbox = Sandbox::start();
    sandbox.run(&format!("cp {SAMPLE} my.toml"));
    let said = sandbox.run("ebb catalog check my.toml --json");
    let checked: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert!(checked["items"].as_i64().unwrap() > 30 && checked["to_come"] == 0, "{said:?}");
    sandbox.run("sed -i 's/currency = \"CNY\"/currency = \"RMB\"/; s/gib = 40/gib = 0/' my.toml");
    let said = sandbox.run("ebb catalog check my.toml");
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    assert!(
        said.err.contains("my.toml:6:12: currency `RMB`") && said.err.contains(": system_disk: gib is"),
        "{said:?}"
    );
}

#[test]
fn prices_are_listed_with_their_dates() {
    let sandbox = Sandbox::start();
    let said = sandbox.ok("ebb catalog prices --flavor c6.large.2");
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[0].starts_with("ITEM") && lines.iter().any(|line| line.starts_with("on-demand c6.large.2")),
        "{said}"
    );
    assert!(lines.iter().any(|line| line.starts_with("spot-block c6.large.2 6h") && line.contains("0.12")), "{said}");
    assert!(lines.iter().all(|line| !line.contains("t6.small.1")), "{said}");
    let all: serde_json::Value = serde_json::from_str(&sandbox.ok("ebb catalog prices --json")).unwrap();
    assert!(all.as_array().unwrap().iter().any(|price| price["item"] == "traffic cn-hongkong"), "{all}");
}
