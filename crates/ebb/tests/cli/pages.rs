//! Do the commands that the pages about disks, images and networks show work as they are printed, one after the other in one sandbox?

use crate::sandbox::Sandbox;

fn walked(page: &str, least: usize) -> Sandbox {
    let shown: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert!(shown.len() >= least, "{shown:?}");
    let sandbox = Sandbox::start();
    for line in shown {
        sandbox.ok(line);
    }
    sandbox
}

#[test]
fn what_the_page_about_disks_shows_works_in_its_order() {
    let sandbox = walked(include_str!("../../../../docs/disks.md"), 10);
    let disks = sandbox.json("ebb disks list");
    let names: Vec<&str> = disks["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["again", "render 1"]);
    let shown = sandbox.run("ebb disks show again").out;
    assert!(shown.contains("GiB") && shown.contains("available"), "{shown}");
    assert!(sandbox.run("ebb snapshots list").out.contains("No snapshots."), "all are deleted");
    let short = sandbox.run("ebb disks resize again 30");
    assert!(short.code != 0 && short.err.contains("only grows"), "{short:?}");
}

#[test]
fn what_the_page_about_images_shows_works_in_its_order() {
    let sandbox = walked(include_str!("../../../../docs/images.md"), 10);
    let images = sandbox.json("ebb images list");
    let seen = |one: &serde_json::Value| (one["name"].clone(), one["state"].clone(), one["origin"]["from"].clone());
    let there: Vec<_> = images["items"].as_array().unwrap().iter().map(seen).collect();
    let wanted = [("after", "system-disk"), ("of-data", "data-disk")];
    assert_eq!(there, wanted.map(|(name, from)| (name.into(), "available".into(), from.into())));
    assert_eq!(sandbox.json("ebb instances show web")["image"], "ebb-guest");
    let neither = sandbox.run("ebb images create --name x");
    assert!(neither.code == 2 && neither.err.contains("--instance"), "{neither:?}");
}

#[test]
fn what_the_page_about_networks_shows_works_in_its_order() {
    let sandbox = walked(include_str!("../../../../docs/network.md"), 15);
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
