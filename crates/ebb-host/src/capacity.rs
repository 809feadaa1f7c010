//! What can this machine lend? Everything less what it needs itself and what QEMU needs beside its guests.

use crate::qemu::limits::OVERHEAD_MIB;
use ebb_model::resources::Resources;
use std::path::Path;

/// Kept for the machine's own kernel and programs, and for this host.
const OWN_MIB: i64 = 512 + 64;
/// Of the free disk, kept for logs and records: a tenth.
const KEPT_OF_DISK: i64 = 10;

pub fn of_this_machine(data: &Path) -> Resources {
    let vcpu = std::thread::available_parallelism().map_or(1, |n| n.get() as i64);
    lendable(vcpu, memory_mib().unwrap_or(0), disk_gib(data).unwrap_or(0))
}

/// Every guest has at least one vcpu, so there are never more guests than vcpus lent, and so much overhead is enough.
fn lendable(vcpu: i64, memory_mib: i64, disk_gib: i64) -> Resources {
    Resources::of([
        ("vcpu", vcpu),
        ("memory_mib", (memory_mib - OWN_MIB - vcpu * OVERHEAD_MIB).max(0)),
        ("disk_gib", disk_gib - disk_gib / KEPT_OF_DISK),
    ])
}

fn memory_mib() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<i64>().ok().map(|kib| kib >> 10)
}

fn disk_gib(data: &Path) -> Option<i64> {
    let disk = rustix::fs::statvfs(data).ok()?;
    i64::try_from((disk.f_bavail.saturating_mul(disk.f_frsize)) >> 30).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_keeps_what_it_needs() {
        let lent = lendable(2, 8192, 100);
        assert_eq!(lent, Resources::of([("vcpu", 2), ("memory_mib", 8192 - 576 - 256), ("disk_gib", 90)]));
        assert_eq!(lendable(4, 512, 0).get("memory_mib"), 0);
    }
}
