//! Do the commands that `docs/disks.md` begins with work as they are printed, one after the other?

use crate::sandbox::Sandbox;

#[test]
fn what_the_page_about_disks_shows_works_in_its_order() {
    let page = include_str!("../../../../docs/disks.md");
    let shown: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert!(shown.len() >= 10, "{shown:?}");
    let sandbox = Sandbox::start();
    for line in shown {
        sandbox.ok(line);
    }
    let disks = sandbox.json("ebb disks list");
    let names: Vec<&str> = disks["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["again", "render 1"]);
    let shown = sandbox.run("ebb disks show again").out;
    assert!(shown.contains("GiB") && shown.contains("available"), "{shown}");
    assert!(sandbox.run("ebb snapshots list").out.contains("No snapshots."), "all are deleted");
    let short = sandbox.run("ebb disks resize again 30");
    assert!(short.code != 0 && short.err.contains("only grows"), "{short:?}");
}
