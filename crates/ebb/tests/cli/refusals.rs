//! Does a bad line get a clear error that names the rule and the way out, and the right exit code?

use crate::sandbox::{Sandbox, private};

/// The line, its exit code, and a piece of what it must say on standard error.
const REFUSALS: [(&str, i32, &str); 33] = [
    ("ebb buy c6.large.2 --spot 7", 1, "lasts 1 to 6 hours, not 7"),
    ("ebb buy c6.large.2 --spot 0", 1, "lasts 1 to 6 hours, not 0"),
    ("ebb buy c6.large.2 --spot -1", 1, "lasts 1 to 6 hours, not -1"),
    ("ebb buy c6.large.2 --spot 3 --periods 2", 1, "only with hours = 6, not with hours = 3"),
    ("ebb buy c6.large.2 --spot 6 --periods 9", 1, "at most 4 periods, not 9"),
    ("ebb buy c6.large.2 --periods 2", 1, "belong to a spot block, not to on-demand"),
    ("ebb buy c6.large.2 --trial", 1, "claim it first with `ebb trial claim`"),
    ("ebb buy c6.large.2 --trial --spot 3", 2, "cannot be used with"),
    ("ebb buy c9.huge", 1, "`ebb catalog` lists the flavors"),
    ("ebb buy c6.large.2 --zone mars", 1, "`ebb catalog` lists the zones"),
    ("ebb buy t6.small.1 --spot 1", 1, "not sold as spot-block; `ebb catalog` shows what is"),
    ("ebb buy c6.large.2 --spot 3 --expected-price 0.06", 1, "ask for a quote again"),
    ("ebb buy c6.large.2 --key-pair none", 1, "key pair"),
    ("ebb buy c6.large.2 --user-data none.sh", 1, "the user-data none.sh"),
    ("ebb stop nobody", 1, "`ebb instances list --all` shows them"),
    ("ebb stop i-0", 1, "`ebb instances list --all` shows them"),
    ("ebb clock advance 1.5h", 2, "write 90, 90s, 5m, 3h, 1d or 1h30m"),
    ("ebb clock advance --to yesterday", 1, "write it as 2026-03-01T08:58:30Z"),
    ("ebb accounts list", 1, "needs the role operator"),
    ("ebb balance --as operator", 1, "belongs to no account"),
    ("ebb balance --as nobody", 2, "it has enterprise, individual, operator"),
    ("ebb trial", 1, "claim it first with `ebb trial claim`"),
    ("ebb trial --as operator", 1, "in a command with --account"),
    ("ebb balance --key ebb_wrong", 1, "name another with --key or EBB_KEY"),
    ("ebb trial at-end release", 1, "claim it first with `ebb trial claim`"),
    ("ebb cap remove", 1, "there is no spending cap"),
    ("ebb catalog prices --flavor c9.huge", 1, "`ebb catalog` lists the flavors"),
    ("ebb catalog check none.toml", 1, "the catalog none.toml cannot be read"),
    ("ebb trial at-end sometime", 1, "it is continue, stop or release"),
    ("ebb trial release", 2, "<ID"),
    ("ebb instances convert nobody --to on-demand", 1, "`ebb instances list --all` shows them"),
    ("ebb instances convert nobody", 2, "--to"),
    ("ebb trial release nobody", 1, "`ebb instances list --all` shows them"),
];

#[test]
fn refusals_name_the_rule_and_the_way_out() {
    let sandbox = Sandbox::start();
    for (line, code, piece) in REFUSALS {
        let said = sandbox.run(line);
        assert_eq!(said.code, code, "{line}\n{said:?}");
        assert!(said.err.contains(piece), "{line}\n{said:?}");
        assert_eq!(said.out, "", "{line}");
    }
    assert_eq!(sandbox.ok("ebb events | grep -c bought || true"), "0\n", "a refusal left something behind");
}

#[test]
fn programs_get_refusals_as_json() {
    let sandbox = Sandbox::start();
    for (line, code) in [
        ("ebb buy c6.large.2 --spot 3 --periods 2 --json", "periods-need-six-hours"),
        ("ebb stop nobody --json", "outcome"),
        ("ebb balance --json --endpoint ftp://x", "usage"),
    ] {
        let problem: serde_json::Value = serde_json::from_str(&sandbox.run(line).err).expect("JSON");
        assert_eq!(problem["code"], code, "{line}");
        assert!(problem["message"].as_str().is_some_and(|text| text.len() > 20), "{line}: {problem}");
    }
}

#[test]
fn a_name_that_two_bear_is_refused_and_an_ids_start_is_taken() {
    let sandbox = Sandbox::start();
    sandbox.ok("ebb buy c6.large.2 --name twin");
    sandbox.ok("ebb buy c6.large.2 --name twin");
    let said = sandbox.run("ebb stop twin");
    assert!(said.code == 2 && said.err.contains("is 2 instances; give the id"), "{said:?}");

    let list = sandbox.ok("ebb instances list");
    let shown = list.lines().nth(1).and_then(|line| line.split_whitespace().next()).expect("a row");
    let stopped = sandbox.json(&format!("ebb stop {shown} --wait"));
    assert!(stopped["id"].as_str().is_some_and(|id| id.starts_with(shown) && id.len() > shown.len()));
    assert_eq!(stopped["state"], "stopped");
}

#[test]
fn a_profile_that_others_may_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::start();
    let file = sandbox.home.join("profiles.toml");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = sandbox.run("ebb balance");
    assert!(said.code == 2 && said.err.contains("chmod 600"), "{said:?}");

    private(&file, "[ada]\nendpiont = \"x\"\n");
    let said = sandbox.run("ebb balance");
    assert!(said.code == 2 && said.err.contains("is not understood"), "{said:?}");

    // One profile needs no choice, and flags go before everything.
    private(&file, &format!("[ada]\nendpoint = \"{}\"\nkey = \"ebb_sandbox_individual\"\n", sandbox.endpoint));
    assert!(sandbox.run_with("ebb whoami", &[("EBB_PROFILE", "")]).out.contains("Individual"));
    assert!(
        sandbox.run_with("ebb whoami --key ebb_sandbox_operator", &[("EBB_PROFILE", "ada")]).out.contains("operator")
    );
    let said = sandbox.run_with("ebb whoami --as ada", &[("EBB_KEY", "ebb_sandbox_operator")]);
    assert!(said.out.contains("Individual"), "--as goes before EBB_KEY: {said:?}");
}

#[test]
fn trial_instances_are_released_only_when_somebody_said_so() {
    let sandbox = Sandbox::start();
    sandbox.ok("ebb trial claim");
    sandbox.ok("ebb buy t6.small.1 --trial --name one --wait");
    sandbox.ok("ebb buy t6.small.1 --trial --name two --wait");
    sandbox.ok("ebb buy t6.small.1 --name paid --wait");
    let said = sandbox.run("ebb trial release --all </dev/null");
    assert!(said.code == 2 && said.err.contains("2 trial instances") && said.err.contains("--yes"), "{said:?}");
    // One that is no trial, and none goes.
    let said = sandbox.run("ebb trial release one paid --yes");
    assert!(said.code == 1 && said.err.contains("`paid` is no trial instance; nothing was released"), "{said:?}");
    assert_eq!(sandbox.json("ebb instances list")["items"].as_array().expect("items").len(), 3);
    let said = sandbox.ok("ebb trial release one --yes");
    assert!(said.contains("one") && !said.contains("two"), "{said}");
    sandbox.ok("ebb trial release --all --yes");
    let names = |list: &serde_json::Value| -> Vec<String> {
        let items = list["items"].as_array().expect("items").iter();
        items.map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
    };
    sandbox.ok("ebb clock advance 5s");
    assert_eq!(names(&sandbox.json("ebb instances list")), ["paid"]);
    assert_eq!(sandbox.ok("ebb trial release --all"), "No trial instances.\n");
}

#[test]
fn what_is_paid_is_deleted_only_when_somebody_said_so() {
    let sandbox = Sandbox::start();
    sandbox.ok("ebb buy c6.large.2 --name web --wait");
    let quote = sandbox.ok("ebb instances convert web --to subscription --months 3 --quote");
    assert!(quote.contains("To be paid in advance: 529.20000000 CNY for 3 months at 176.40"), "{quote}");
    let paid = sandbox.ok("ebb instances convert web --to subscription --months 3");
    assert!(paid.contains("Paid in advance: 529.20000000") && paid.contains("price per month"), "{paid}");
    assert!(sandbox.ok("ebb bill").contains("3 mo"));
    let said = sandbox.run("ebb delete web </dev/null");
    assert!(
        said.code == 2 && said.err.contains("nothing of that is given back") && said.err.contains("--yes"),
        "{said:?}"
    );
    let list = sandbox.ok("ebb instances list");
    assert!(list.contains("176.40/month") && list.contains("running"), "{list}");
    let gone = sandbox.ok("ebb delete web --yes --wait");
    assert!(gone.contains("released"), "{gone}");
}
