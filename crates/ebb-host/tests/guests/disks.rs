//! Do guests get their data disks, keep what they flushed, and give them back?

use crate::bench::{self, Bench, account, disk, gone, guest, there};
use ebb_driver::protocol::{FromHost, Is, Source, VolumeIs, Want, WantVolume};
use ebb_host::{DriverConfig, QemuConfig};
use ebb_model::volume::VolumeId;
use std::time::Duration;

fn blank(n: u128, gib: i64) -> (VolumeId, WantVolume) {
    there(VolumeId::Disk(disk(n)), Source::Blank, gib)
}

/// One guest and its disks, through the death of its QEMU and of its host.
#[tokio::test(flavor = "multi_thread")]
async fn disks_come_and_go_and_keep_what_was_flushed() {
    let mut bench = Bench::idle("disks", DriverConfig::Qemu(QemuConfig::default()));
    let mut child = bench.start_in_a_process().await;
    bench.call().await;
    let id = guest(1);
    let (a, b, c) = (disk(1), disk(2), disk(3));
    let order = |bench: &Bench, generation| bench.order(id, account(1), generation).firm();
    // A guest may be told to have a disk that the same order makes, in the order in which it was given them.
    let first = order(&bench, 1).disks([b, a]);
    bench.desire_with([first], [blank(1, 1), blank(2, 2)]).await;
    assert_eq!(bench.until_there(VolumeId::Disk(a)).await, 1 << 30);
    assert_eq!(bench.until_there(VolumeId::Disk(b)).await, 2 << 30);
    let seen = bench.until_running(id).await;
    assert_eq!(seen.disks, [a, b].into());
    bench.until_printed(id, "ebb-guest: ready").await;
    let look = "cd /sys/block; for d in vd?; do echo $d $(cat $d/serial) $(cat $d/size); done; cd";
    let line = |name: &str, of: &str, gib: u64| format!("{name} {} {}", &of[..of.len().min(20)], gib << 21);
    let (a_id, b_id, c_id) = (a.to_string(), b.to_string(), c.to_string());
    let printed = bench.sh(id, look).await;
    let lines: Vec<&str> = printed.lines().map(str::trim).collect();
    assert!(lines.ends_with(&[&line("vda", "root", 1), &line("vdb", &b_id, 2), &line("vdc", &a_id, 1)]), "{printed}");

    // What it flushes, it finds again when its QEMU was killed, on both kinds of disk; and a disk grows under its feet.
    let write = "echo on-a | dd of=/dev/vdc conv=fsync 2>/dev/null; echo on-root >/data/note; sync; echo wrote";
    assert!(bench.sh(id, write).await.contains("wrote"));
    bench.desire_with([], [blank(1, 3)]).await;
    assert_eq!(bench.until_there(VolumeId::Disk(a)).await, 3 << 30);
    assert!(bench.sh(id, "cat /sys/block/vdc/size").await.contains(&(3_u64 << 21).to_string()));
    bench::kill(bench.processes(id)[0]);
    let off = bench.until(id, |is| matches!(is, Is::Off { .. })).await;
    assert_eq!(off.disks, [].into());
    // Off, it grows too, and the guest has one more when it starts.
    bench.desire_with([], [blank(2, 4), blank(3, 1)]).await;
    assert_eq!(bench.until_there(VolumeId::Disk(b)).await, 4 << 30);
    bench.until_there(VolumeId::Disk(c)).await;
    let force_at = bench::now();
    bench.desire([order(&bench, 2).want(Want::Off { force_at })]).await;
    bench.desire([order(&bench, 3).disks([a, c])]).await;
    assert_eq!(bench.until_running(id).await.disks, [a, c].into());
    bench.until_printed_again(id, "ebb-guest: ready", 2).await;
    let printed = bench.sh(id, &format!("{look}; head -n 1 /dev/vdb; cat /data/note")).await;
    assert!(printed.contains(&line("vdb", &a_id, 3)) && printed.contains(&line("vdc", &c_id, 1)), "{printed}");
    assert!(printed.contains("on-a\r\n") && printed.ends_with("on-root"), "{printed}");

    // The host is killed, and what it is told then it does: one disk goes, one comes, hot.
    bench.hang_up();
    child.kill().unwrap();
    child.wait().unwrap();
    let mut child = bench.start_in_a_process().await;
    let hello = bench.call().await;
    assert_eq!(hello.guests[0].disks, [a, c].into());
    assert!(matches!(hello.guests[0].is, Is::Running { .. }));
    assert!(hello.volumes.iter().all(|volume| matches!(volume.is, VolumeIs::There { .. })), "{:?}", hello.volumes);
    assert_eq!(hello.volumes.len(), 3);
    // One that is to go is there until the guest has let go of it.
    bench.desire_with([], [gone(VolumeId::Disk(a))]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(bench.sh(id, "head -n 1 /dev/vdb").await.contains("on-a"));
    bench.desire([order(&bench, 4).disks([c, b])]).await;
    bench.until_holding(id, [b, c]).await;
    bench.until_volume_is_gone(VolumeId::Disk(a)).await;
    assert_eq!(bench.layers(), 3, "the system disk and two");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let printed = bench.sh(id, look).await;
    assert!(!printed.contains(&a_id[..20]) && printed.contains(&line("", &b_id, 4)), "{printed}");

    // Another guest gets nothing that this one has; when it is told to go, at once.
    let two = guest(2);
    bench.desire([bench.order(two, account(1), 1).disks([b])]).await;
    assert_eq!(bench.until_running(two).await.disks, [].into());
    bench.desire([order(&bench, 5).want(Want::Gone)]).await;
    bench.until(id, |is| matches!(is, Is::Gone { .. })).await;
    bench.until_holding(two, [b]).await;
    bench
        .desire_with(
            [bench.order(two, account(1), 2).want(Want::Gone)],
            [gone(VolumeId::Disk(b)), gone(VolumeId::Disk(c))],
        )
        .await;
    bench.until_volume_is_gone(VolumeId::Disk(b)).await;
    bench.until_volume_is_gone(VolumeId::Disk(c)).await;
    bench.until(two, |is| matches!(is, Is::Gone { .. })).await;
    assert_eq!(bench.layers(), 0);
    bench.tell(ebb_driver::protocol::ToHost::ForgetVolume { volume: VolumeId::Disk(b) }).await;
    bench.desire_with([], [blank(2, 1)]).await;
    assert_eq!(bench.until_there(VolumeId::Disk(b)).await, 1 << 30, "forgotten, it may come again");
    assert!(
        !bench
            .heard(|said| matches!(said, FromHost::ObservedVolume(seen) if matches!(seen.is, VolumeIs::Failed { .. })))
    );
    child.kill().unwrap();
    child.wait().unwrap();
    bench.leave_no_trace().await;
}
