//! Does a host that is full of guests, each of which touches all its memory, stay within what was computed for it?

use crate::bench::{Bench, account, disk, guest, there};
use ebb_driver::protocol::{Is, Source};
use ebb_model::volume::VolumeId;
use std::path::Path;

const GUESTS: u128 = 4;
const GUEST_MIB: u64 = 128;
/// What the capacity of a host leaves for each guest's QEMU.
const OVERHEAD_MIB: u64 = 128;

#[tokio::test(flavor = "multi_thread")]
async fn guests_that_touch_all_their_memory_stay_within_it() {
    let mut bench = Bench::new("memory").await;
    for n in 1..=GUESTS {
        let (a, b) = (disk(n * 2), disk(n * 2 + 1));
        let blank = |disk| there(VolumeId::Disk(disk), Source::Blank, 8);
        bench.desire_with([bench.order(guest(n), account(n), 1).firm().disks([a, b])], [blank(a), blank(b)]).await;
        bench.until_running(guest(n)).await;
    }
    for n in 1..=GUESTS {
        bench.until_printed(guest(n), "ebb-guest: ready").await;
    }
    for n in 1..=GUESTS {
        // All but what its own kernel and shell need to go on.
        let fill = "mkdir -p /tmp/f; mount -t tmpfs -o size=100% f /tmp/f; \
                    dd if=/dev/zero of=/tmp/f/x bs=64k count=$(awk '/MemAvailable/ { print int(($2 - 10240) / 64) }' /proc/meminfo) \
                    2>/dev/null; awk '/MemFree/ { print \"free\", $2 }' /proc/meminfo";
        let said = bench.sh(guest(n), fill).await;
        let free: u64 = said.rsplit_once("free ").unwrap().1.trim().parse().unwrap();
        assert!(free < 32 << 10, "{said}");
    }
    let mut used = 0;
    for n in 1..=GUESTS {
        let (at_most, hits, kills) = group(&bench, guest(n));
        println!("guest {n}: at most {} MiB, {hits} times at the limit, {kills} killed", at_most >> 20);
        assert!(at_most <= (GUEST_MIB + OVERHEAD_MIB) << 20);
        assert_eq!((hits, kills), (0, 0));
        used += at_most;
    }
    assert!(used <= u128_mib(GUESTS * u128::from(GUEST_MIB + OVERHEAD_MIB)));
    // Writing to disks fills what is left of it with pages that can be given back: nobody is killed for them.
    for n in 1..=GUESTS {
        let write = "rm /tmp/f/x; dd if=/dev/zero of=/dev/vdb bs=1M count=150 conv=fsync 2>/dev/null; echo wrote";
        assert!(bench.sh(guest(n), write).await.ends_with("wrote"));
    }
    for n in 1..=GUESTS {
        assert_eq!(group(&bench, guest(n)).2, 0);
        let seen = bench.until_known(guest(n), |_| true).await;
        assert!(matches!(seen.is, Is::Running { .. }), "{seen:?}");
    }
    bench.leave_no_trace().await;
}

fn u128_mib(mib: u128) -> u64 {
    u64::try_from(mib).unwrap() << 20
}

/// Of a guest's control group: the most that it used, how often it stood at its limit, how many of it were killed for that.
fn group(bench: &Bench, id: ebb_model::id::InstanceId) -> (u64, u64, u64) {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let field = |text: &str, name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |rest| rest.trim().parse().unwrap())
    };
    let own = format!("{}/{id}", bench.namespace());
    let old = Path::new("/sys/fs/cgroup/memory").join(&own);
    if old.is_dir() {
        let number = |file: &str| read(&old.join(file)).trim().parse().unwrap();
        let kills = field(&read(&old.join("memory.oom_control")), "oom_kill ");
        return (number("memory.max_usage_in_bytes"), number("memory.failcnt"), kills);
    }
    let group = Path::new("/sys/fs/cgroup").join(own);
    let events = read(&group.join("memory.events"));
    let most =
        std::fs::read_to_string(group.join("memory.peak")).unwrap_or_else(|_| read(&group.join("memory.current")));
    (most.trim().parse().unwrap(), field(&events, "max "), field(&events, "oom_kill "))
}
