//! Do real guests outlive both halves of Ebb, each started once, and is there nothing left when they are to go?

use crate::api::{Client, text, wait_for};
use crate::books::{self, Purchases};
use crate::process::EBB;
use crate::world::{Guests, On, Pace, Shape, World};
use ebb_model::time::Timestamp;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn real_guests_outlive_both_halves() {
    let pace = Pace { guests: Guests::Real, boot_timeout_seconds: 60, ..Pace::default() };
    let world = World::at(pace, Shape::Halves, On::Sqlite, &[]);
    let swept = Swept(world.directory.path().join("host"));
    let operator = world.open();
    let bob = operator.tenant("Bob");

    // While it boots: one half after the other dies and comes back.
    let block = bob.buy("small", "spot-block");
    wait_for("a process", || one(swept.processes()));
    both_crash(&world);
    bob.until(&block, "running");
    let first = one(swept.processes()).expect("started once");
    let firm = bob.buy_inside("small", "on-demand");
    bob.until(&firm, "running");
    until_ready(&bob, &block);
    until_ready(&bob, &firm);

    // While they run.
    let both = swept.processes();
    assert!(both.len() == 2 && both.contains(&first), "{both:?}, the first was {first}");
    both_crash(&world);
    world.open();
    assert_eq!((bob.state(&block), bob.state(&firm)), ("running".to_owned(), "running".to_owned()));
    assert_eq!(swept.processes(), both);

    // Under notice: the one is gone at its deadline, the other does not notice.
    operator.tell(&block, "reclaim").expect("a block may be taken back");
    both_crash(&world);
    bob.until(&block, "released");
    let left: BTreeSet<u32> = both.into_iter().filter(|pid| *pid != first).collect();
    assert_eq!(swept.processes(), left);
    bob.delete(&firm).expect("it is Bob's");
    bob.until(&firm, "released");
    assert_eq!(swept.processes(), BTreeSet::new());
    books::check(&world, &Purchases::from([(bob.account.clone(), BTreeSet::from([block, firm]))]));

    world.host().stop();
    swept.leaves_no_trace();
}

#[test]
fn ten_real_guests_read_their_notice_and_go_within_a_second() {
    let pace = Pace { guests: Guests::Real, boot_timeout_seconds: 60, notice_seconds: 5, ..Pace::default() };
    let world = World::at(pace, Shape::Halves, On::Sqlite, &[]);
    let swept = Swept(world.directory.path().join("host"));
    let operator = world.open();
    let bob = operator.tenant("Bob");
    let mut taken = BTreeSet::new();
    for count in [2; 5] {
        let blocks: Vec<String> = (0..count).map(|_| bob.buy("small", "spot-block")).collect();
        for block in &blocks {
            bob.until(block, "running");
            until_ready(&bob, block);
        }
        for block in &blocks {
            operator.tell(block, "reclaim").expect("a block may be taken back");
        }
        for block in blocks {
            bob.until(&block, "released");
            let seen = bob.instance(&block);
            let instant = |value: &serde_json::Value| text(value).parse::<Timestamp>().expect("an instant");
            let deadline = instant(&seen["interruption"]["deadline"]);
            assert!(instant(&seen["interruption"]["read_at"]) < deadline, "{seen}");
            let late = instant(&seen["released_at"]).millis_since(deadline);
            assert!((0..1_000).contains(&late), "{late} ms late: {seen}");
            taken.insert(block);
        }
    }
    assert_eq!(swept.processes(), BTreeSet::new());
    books::check(&world, &Purchases::from([(bob.account.clone(), taken)]));
    world.host().stop();
    swept.leaves_no_trace();
}

fn both_crash(world: &World) {
    world.host().kill();
    world.server.crash();
    world.host().endpoint();
    world.server.crash();
}

fn one(pids: BTreeSet<u32>) -> Result<u32, String> {
    pids.first().copied().filter(|_| pids.len() == 1).ok_or(format!("{pids:?}"))
}

fn until_ready(tenant: &Client<'_>, id: &str) {
    wait_for("it is ready", || {
        let log = tenant.ask("GET", &format!("/v1/instances/{id}/console-log"), serde_json::Value::Null);
        let ready =
            log.as_ref().is_ok_and(|log| log["text"].as_str().is_some_and(|text| text.contains("ebb-guest: ready")));
        ready.then_some(()).ok_or(format!("{log:?}"))
    });
}

/// The directory of a host that is to be swept away.
pub struct Swept(pub PathBuf);

impl Swept {
    /// Those that have their working directory in it: QEMU, and nothing else.
    fn processes(&self) -> BTreeSet<u32> {
        let all = std::fs::read_dir("/proc").expect("/proc").flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(&self.0)))
            .collect()
    }

    pub fn leaves_no_trace(&self) {
        let name = ebb_host::namespace(&self.0);
        assert!(Path::new("/run/netns").join(&name).exists(), "{name} was looked for in the wrong place");
        wait_for("it can be cleaned", || {
            let said =
                Command::new(EBB).args(["host", "--clean", "--data"]).arg(&self.0).output().expect("the program");
            said.status.success().then_some(()).ok_or(String::from_utf8_lossy(&said.stderr).into_owned())
        });
        assert!(!self.0.exists() && !self.0.with_extension("sock").exists());
        assert!(!Path::new("/run/netns").join(&name).exists());
        assert_eq!(self.processes(), BTreeSet::new());
        for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/pids"] {
            assert!(!Path::new(root).join(&name).exists(), "{root}/{name}");
        }
        let links = Command::new("ip").args(["-o", "link"]).output().expect("ip");
        assert!(!String::from_utf8_lossy(&links.stdout).contains(&name), "a tap or a bridge is left");
        // What an uplink to the machine has there.
        let looks = [
            ("link", "eb", "ip -o link"),
            ("route", "eb", "ip route show table all"),
            ("table", "ebb_", "nft list tables"),
        ];
        for (what, mark, look) in looks {
            let words: Vec<&str> = look.split(' ').collect();
            let said = Command::new(words[0]).args(&words[1..]).output().expect("a tool of the system");
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            assert!(!said.contains(&name.replacen("ebb-", mark, 1)), "a {what} is left: {said}");
        }
    }
}
