//! Where do the guests of two regions run? On three hosts of this machine, with a cable between them all.

use crate::guests::Swept;
use crate::process::{EBB, Program, Ready};
use crate::world::image;
use std::path::{Path, PathBuf};
use std::process::Command;

const CAPACITY: &str = "vcpu=8,memory_mib=1536,disk_gib=100";

/// Joins the hosts by a bridge in a namespace of its own, which takes it all along when it goes.
pub struct Cable(String);

impl Cable {
    pub fn between(ends: usize) -> Cable {
        let cable = Cable(format!("ebb-cable-{}", std::process::id()));
        ip(&format!("netns add {}", cable.0));
        ip(&format!("-n {} link add switch type bridge", cable.0));
        ip(&format!("-n {} link set switch up", cable.0));
        for n in 0..ends {
            ip(&format!("-n {} link add p{n} type veth peer name {} netns {}", cable.0, end(n), std::process::id()));
            ip(&format!("-n {} link set p{n} master switch up", cable.0));
        }
        cable
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn end(n: usize) -> String {
    format!("cb{}n{n}", std::process::id())
}

/// A host with real guests. The first has a way from this machine, too.
pub struct Lender {
    pub data: PathBuf,
    pub program: Program,
}

impl Lender {
    pub fn start(directory: &Path, n: usize, name: &str, zone: &str) -> Lender {
        let path = |ending: &str| directory.join(format!("{name}{ending}"));
        let uplink = if n == 0 { "[uplink]\nkind = \"machine\"\n" } else { "" };
        let address = format!("10.200.0.{}/24", n + 1);
        let tunnel = format!("[tunnel]\nkind = \"interface\"\ninterface = \"{}\"\naddress = \"{address}\"\n", end(n));
        std::fs::write(path(".toml"), format!("{uplink}{tunnel}")).expect("a file in a new directory");
        let image = format!("ebb-guest={}", image().display());
        let words = ["host", "--name", name, "--zone", zone, "--capacity", CAPACITY, "--image", &image];
        let mut all: Vec<String> = words.map(str::to_owned).to_vec();
        for (option, ending) in [("data", ""), ("socket", ".sock"), ("network", ".toml")] {
            all.push(format!("--{option}={}", path(ending).display()));
        }
        let program = Program::start(all, Ready::Socket(path(".sock")), path(".log"), &[]);
        Lender { data: path(""), program }
    }

    pub fn socket(&self) -> PathBuf {
        self.data.with_extension("sock")
    }

    pub fn leaves_no_trace(self) {
        self.program.stop();
        Swept(self.data.clone()).leaves_no_trace();
    }
}

impl Drop for Lender {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Real guests outlive a failed test, too.
            self.program.kill();
            let _ = Command::new(EBB).args(["host", "--clean", "--data"]).arg(&self.data).status();
        }
    }
}

fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().expect("ip");
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}
