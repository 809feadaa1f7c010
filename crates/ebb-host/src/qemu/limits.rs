//! How much of the machine may a guest's QEMU use? Control groups say, where the machine has them; a launch never fails for lack
//! of them.

use ebb_model::id::InstanceId;
use ebb_model::resources::Resources;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tracing::warn;

/// What QEMU needs beside its guest's memory, in MiB: its own heap, the translation buffer, and room for the page cache.
pub const OVERHEAD_MIB: i64 = 128;
const PERIOD_MICROS: i64 = 100_000;

/// The groups of one host's guests.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The host's own group in each hierarchy, all with one name.
    hosts: Vec<Hierarchy>,
}

#[derive(Debug, Clone)]
struct Hierarchy {
    dir: PathBuf,
    controllers: &'static [&'static str],
}

const ROOT: &str = "/sys/fs/cgroup";

impl Limits {
    /// Makes the host's group where the machine has one hierarchy (version 2) or several (version 1).
    pub fn open(name: &str) -> Self {
        let root = Path::new(ROOT);
        let candidates = if root.join("cgroup.controllers").exists() {
            let _ = fs::write(root.join("cgroup.subtree_control"), "+cpu +memory +pids");
            vec![Hierarchy { dir: root.join(name), controllers: &["v2"] }]
        } else {
            ["memory", "cpu", "pids"]
                .iter()
                .filter(|controller| root.join(controller).is_dir())
                .map(|controller| Hierarchy {
                    dir: root.join(controller).join(name),
                    controllers: std::slice::from_ref(controller),
                })
                .collect()
        };
        let mut hosts = vec![];
        for hierarchy in candidates {
            match make(&hierarchy.dir) {
                Ok(()) => {
                    let _ = fs::write(hierarchy.dir.join("cgroup.subtree_control"), "+cpu +memory +pids");
                    hosts.push(hierarchy);
                }
                Err(e) => warn!("guests run without limits of their own: {}: {e}", hierarchy.dir.display()),
            }
        }
        Self { hosts }
    }

    /// Confines a process and all its threads to what its guest has bought.
    pub fn confine(&self, id: InstanceId, pid: u32, bought: &Resources) {
        let memory = (bought.get("memory_mib") + OVERHEAD_MIB) << 20;
        let vcpus = bought.get("vcpu").max(1);
        let quota = vcpus * PERIOD_MICROS;
        for hierarchy in &self.hosts {
            let group = hierarchy.dir.join(id.to_string());
            let mut done = make(&group);
            for controller in hierarchy.controllers {
                let settings = match *controller {
                    "memory" => vec![("memory.limit_in_bytes", memory.to_string())],
                    "cpu" => {
                        vec![("cpu.cfs_period_us", PERIOD_MICROS.to_string()), ("cpu.cfs_quota_us", quota.to_string())]
                    }
                    "pids" => vec![("pids.max", (vcpus + 64).to_string())],
                    _ => vec![
                        ("memory.max", memory.to_string()),
                        ("cpu.max", format!("{quota} {PERIOD_MICROS}")),
                        ("pids.max", (vcpus + 64).to_string()),
                    ],
                };
                for (file, value) in settings {
                    done = done.and_then(|()| fs::write(group.join(file), value));
                }
            }
            if let Err(e) = done.and_then(|()| fs::write(group.join("cgroup.procs"), pid.to_string())) {
                warn!("guest {id} runs without this limit: {}: {e}", group.display());
            }
        }
    }

    /// Takes the groups of a guest away, once nothing is in them. Blocks a little.
    pub fn release(&self, id: InstanceId) {
        self.hosts.iter().for_each(|hierarchy| remove(&hierarchy.dir.join(id.to_string())));
    }

    /// Takes everything away that a host of this name has made.
    pub fn clean(name: &str) {
        for root in [ROOT.to_owned(), format!("{ROOT}/memory"), format!("{ROOT}/cpu"), format!("{ROOT}/pids")] {
            let host = Path::new(&root).join(name);
            for group in fs::read_dir(&host).into_iter().flatten().flatten() {
                if group.path().is_dir() {
                    remove(&group.path());
                }
            }
            remove(&host);
        }
    }
}

fn make(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

/// The kernel counts a dead process as a member for a moment longer.
fn remove(group: &Path) {
    for _ in 0..100 {
        match fs::remove_dir(group) {
            Err(e) if e.kind() == io::ErrorKind::ResourceBusy => {
                std::thread::sleep(std::time::Duration::from_millis(10))
            }
            _ => return,
        }
    }
    warn!("{} is still in use", group.display());
}
