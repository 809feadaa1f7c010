//! Does every example in every command's help do what it says, exactly as it is printed?

use crate::sandbox::{EBB, Sandbox};
use std::process::Command;

/// What cannot succeed in a sandbox, whose guests are made of nothing and whose receivers do not answer: the example, its exit code, and the reason given.
const REFUSED: [(&str, i32, &str); 10] = [
    ("ebb console web", 1, "made of nothing"),
    ("ebb ssh web -i id_ed25519 -- uptime", 255, "made of nothing"),
    ("ebb hosts accept-gap cn-beijing-a-1 --as operator", 1, "there is nothing to accept"),
    ("ebb clock accept --as operator", 1, "there is nothing to accept"),
    ("ebb hosts lost cn-beijing-a-1 --fenced --as operator", 1, "is connected"),
    ("ebb hosts destroy-guest cn-beijing-a-1 $GUEST --as operator", 1, "no guest in quarantine"),
    ("ebb hosts destroy-volume cn-beijing-a-1 $VOLUME --as operator", 1, "no volume that is in no table"),
    ("ebb accounts prove", 1, "no outside verifier"),
    ("ebb subscriptions confirm http://127.0.0.1:8080/ebb 0123456789abcdef", 1, "not the token"),
    ("ebb subscriptions test http://127.0.0.1:8080/ebb", 1, "has not confirmed"),
];

/// What stays until it is interrupted: the example, and what says that it is there.
const STAYING: [(&str, &str); 3] = [
    ("ebb serve ", "\"endpoint\":\"http://127.0.0.1:"),
    ("ebb host ", "host.sock"),
    ("ebb sandbox ", "\"speed\":3600"),
];

#[test]
fn every_example_runs_as_printed() {
    let mut examples = vec![];
    collect(&[], &mut examples);
    assert!(examples.len() > 30, "only {} examples: {examples:?}", examples.len());
    for example in &examples {
        let sandbox = Sandbox::start();
        let key = prepare(&sandbox, example);
        let guest = "i-019b76daa800700080000000000000aa";
        if let Some((_, sign)) = STAYING.iter().find(|(start, _)| example.starts_with(start)) {
            let said = sandbox.run(&format!("timeout --preserve-status -s INT 3 {example}; ls"));
            assert!(said.code == 0 && said.out.contains(sign), "{example}\n{said:?}");
            continue;
        }
        let names = ["KEY", "RECORD", "VOUCHER", "ADDRESS", "BANDWIDTH", "ACCOUNT"];
        let mut variables: Vec<_> = names.iter().map(|name| (*name, key.as_str())).collect();
        variables.extend([("GUEST", guest), ("VOLUME", "disk-019b76daa800700080000000000000aa")]);
        let said = sandbox.run_with(example, &variables);
        match REFUSED.iter().find(|(refused, ..)| refused == example) {
            Some((_, code, why)) => {
                assert_eq!(said.code, *code, "{example}\n{said:?}");
                assert!(said.err.contains(why), "{example}\n{said:?}");
            }
            None => {
                assert_eq!(said.code, 0, "{example}\n{said:?}");
                assert!(!said.out.is_empty(), "{example} said nothing");
            }
        }
    }
    for (example, ..) in REFUSED {
        assert!(examples.iter().any(|known| known == example), "{example} is in no help");
    }
}

/// What an example takes for granted. Gives the id of a key, a bill record or a voucher, or an address, where one is asked for.
fn prepare(sandbox: &Sandbox, example: &str) -> String {
    let firm = ["--economical", "resize", "convert web", "reinstall"];
    if firm.iter().any(|word| example.contains(word)) {
        sandbox.ok("ebb buy c6.large.2 --name web --wait");
    } else if example.contains(" web") && !example.contains(" buy ") && !example.contains("--bind web") {
        sandbox.ok("ebb buy c6.large.2 --spot 3 --name web --wait");
    }
    if example.contains("convert trying") {
        sandbox.ok("ebb trial claim");
        sandbox.ok("ebb buy t6.small.1 --trial --name trying --wait");
    }
    if example.contains("renew monthly") || example.contains("renewal monthly") {
        sandbox.ok("ebb buy c6.large.2 --name monthly --wait");
        sandbox.ok("ebb instances convert monthly --to subscription --months 1");
    }
    if example.contains("catalog check") {
        let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../catalog/sample.toml");
        sandbox.run(&format!("mkdir catalog && cp {sample} catalog/"));
    }
    if example.starts_with("ebb addresses") {
        sandbox.ok("ebb buy c6.large.2 --public-ip --name site --wait");
    }
    if example.contains("--bind web") {
        sandbox.ok("ebb buy c6.large.2 --zone cn-hongkong-a --name web --wait");
    }
    if example.contains("$ADDRESS") {
        let free = sandbox.json("ebb addresses allocate cn-beijing");
        return free["ip"].as_str().expect("an address").to_owned();
    }
    if example.contains("$BANDWIDTH") {
        let paid = sandbox.json("ebb addresses allocate cn-beijing --mbit 2");
        return paid["ip"].as_str().expect("an address").to_owned();
    }
    if example.contains("games") {
        sandbox.ok("ebb security-groups create games");
    }
    if example.contains(" data") && example.contains("disk") && !example.contains("disks create") {
        sandbox.ok("ebb disks create 20 --name data");
    }
    if example.contains(" data shop") || example.contains("--instance shop") {
        sandbox.ok("ebb buy c6.large.2 --name shop --wait");
    }
    if example.contains(" before") && !example.contains("--name before") {
        sandbox.ok("ebb disks create 20 --name old && ebb snapshots create --disk old --name before");
    }
    if example.contains("end-shortage") {
        sandbox.ok("ebb zones shortage cn-beijing-a --free vcpu=1 --as operator");
    }
    if example.starts_with("ebb images") {
        sandbox.run("head -c 4096 /dev/zero >disk.raw");
        let named = ["show", "share", "unshare", "delete"];
        if named.iter().any(|verb| example.starts_with(&format!("ebb images {verb}"))) {
            sandbox.ok("ebb images import disk.raw --name golden");
        }
        if example.contains("$ACCOUNT") {
            return sandbox.json("ebb accounts open Ada --as operator")["account"]["id"]
                .as_str()
                .expect("an id")
                .to_owned();
        }
    }
    if example.contains("password.txt") {
        sandbox.run("echo Correct-horse7 >password.txt");
    }
    if ["ebb start web", "ebb instances resize", "ebb instances reinstall"]
        .iter()
        .any(|start| example.starts_with(start))
    {
        sandbox.ok("ebb stop web --wait");
    }
    if example.contains("key-pairs delete") {
        sandbox.ok("ebb key-pairs add laptop id_ed25519.pub");
    }
    if example.contains("subscriptions ") && !example.contains(" add ") {
        sandbox.ok("ebb subscriptions add http://127.0.0.1:8080/ebb");
    }
    if example.contains(" Ada ") && !example.contains(" open ") {
        let opened = sandbox.json("ebb accounts open Ada --as operator");
        sandbox.add_profile("ada", opened["key"]["secret"].as_str().expect("a secret"));
    }
    if example.starts_with("ebb drills show") || example.starts_with("ebb drills list") {
        sandbox.ok("ebb buy c6.large.2 --spot 3 --name job --wait");
        sandbox.ok("ebb drills run job");
    }
    if example.contains("unschedule") || example.contains("drills schedules") {
        sandbox.ok("ebb drills schedule --all --every 1h");
    }
    let of_grant = ["ebb trial show", "ebb trial at-end", "ebb trial release"];
    if example == "ebb trial" || of_grant.iter().any(|start| example.starts_with(start)) {
        sandbox.ok("ebb trial claim");
        sandbox.ok("ebb buy t6.small.1 --trial --name trying --wait");
    }
    if example.starts_with("ebb budget remove") {
        sandbox.ok("ebb budget set 100");
    }
    if example.starts_with("ebb cap remove") {
        sandbox.ok("ebb cap set 100");
    }
    if example.contains("trial appeal") {
        // One who ran may ask to claim all the same.
        sandbox.ok("ebb buy c6.large.2 --spot 3 --name job --wait");
    }
    if example.contains("revoke Ada") {
        sandbox.ok("ebb accounts verify Ada individual --as operator && ebb trial claim --as ada");
    }
    if example.contains("overrule Ada") || example.contains("reject Ada") {
        // One person with somebody who claimed.
        sandbox.ok("ebb accounts verify Ada individual --as operator && ebb trial claim");
        sandbox.ok("ebb accounts link Ada Individual --as operator && ebb trial appeal --text please --as ada");
    }
    if example.contains("$RECORD") {
        sandbox.ok("ebb buy c6.large.2 --name site && ebb clock advance 2h");
        let bill = sandbox.json("ebb bill");
        return bill["records"][0]["id"].as_str().expect("an id").to_owned();
    }
    if example.contains("$VOUCHER") {
        let issued = sandbox.json("ebb vouchers issue Individual card 100 --as operator");
        return issued["id"].as_str().expect("an id").to_owned();
    }
    if example.contains("$KEY") {
        let key = sandbox.json("ebb accounts keys create auditor");
        return key["id"].as_str().expect("an id").to_owned();
    }
    String::new()
}

/// Walks the help as a reader would, and gathers the examples of every command that can be run.
fn collect(path: &[String], examples: &mut Vec<String>) {
    let output = Command::new(EBB).args(path).arg("--help").output().expect("the program starts");
    let help = String::from_utf8(output.stdout).expect("text");
    let below: Vec<&str> = section(&help, "Commands:").filter_map(|line| line.split_whitespace().next()).collect();
    let own: Vec<String> = section(&help, "Example:").map(|line| line.trim().to_owned()).collect();
    assert!(!below.is_empty() || !own.is_empty(), "`ebb {} --help` has no example", path.join(" "));
    for example in &own {
        assert!(example.starts_with(&format!("ebb {}", path.join(" "))), "`{example}` shows another command");
    }
    examples.extend(own);
    for name in below.into_iter().filter(|name| *name != "help") {
        let mut deeper = path.to_vec();
        deeper.push(name.to_owned());
        collect(&deeper, examples);
    }
}

/// The indented lines under a heading.
fn section<'a>(help: &'a str, heading: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = help.lines().skip_while(move |line| *line != heading).skip(1);
    lines.take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("    "))
}
