//! Do the commands of the page about networks do what it says, one after the other in one sandbox?

use crate::sandbox::Sandbox;

#[test]
fn the_commands_of_the_page_about_networks_work_in_their_order() {
    let page = include_str!("../../../../docs/network.md");
    let commands: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("    ebb ")).collect();
    assert!(commands.len() > 15, "{commands:?}");
    let sandbox = Sandbox::start();
    for command in commands {
        let said = sandbox.run(&format!("ebb {command}"));
        assert!(said.code == 0 && !said.out.is_empty(), "ebb {command}\n{said:?}");
    }
    // What it comes to: `web` lets in what both groups say, and SSH no more; `shop` is paid by its bandwidth.
    let web = sandbox.json("ebb instances show web");
    assert_eq!(web["security_groups"], serde_json::json!(["default", "games"]));
    assert!(web["private_address"].as_str().is_some_and(|at| at.starts_with("10.")), "{web}");
    let default = sandbox.json("ebb security-groups show default");
    assert_eq!(default["rules"].as_array().map(Vec::len), Some(1), "{default}");
    let addresses = sandbox.json("ebb addresses list");
    let of = |name: &str| addresses["items"].as_array()?.iter().find(|one| one["instance_name"] == name).cloned();
    assert_eq!(of("shop").expect("it has one")["mbit"], 10);
    assert_eq!(of("site"), None, "it was unbound");
}
