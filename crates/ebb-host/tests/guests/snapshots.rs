//! Is a snapshot what a disk held then, whatever happens to the disk, to its guest and to its host?

use crate::bench::{self, Bench, account, disk, gone, guest, image_id, snapshot, there};
use ebb_driver::protocol::{FromHost, Is, Source, VolumeIs, Want};
use ebb_host::{DriverConfig, QemuConfig};
use ebb_model::volume::{DiskOf, VolumeId};

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_what_the_disk_held_then() {
    let mut bench = Bench::idle("snapshot", DriverConfig::Qemu(QemuConfig::default()));
    bench.start_in_another_process().await;
    bench.call().await;
    let id = guest(1);
    let (a, copy, other) = (disk(1), disk(2), disk(3));
    let (live, off, system) = (snapshot(1), snapshot(2), snapshot(3));
    let of = |disk| Source::Disk { disk: DiskOf::Data(disk) };
    let (a_id, copy_id, other_id) = (VolumeId::Disk(a), VolumeId::Disk(copy), VolumeId::Disk(other));
    let order = |bench: &Bench, generation| bench.order(id, account(1), generation).firm();
    bench.desire_with([order(&bench, 1).disks([a])], [there(a_id, Source::Blank, 1)]).await;
    bench.until_running(id).await;
    bench.until_printed(id, "ebb-guest: ready").await;
    let put = |what: &str| format!("echo {what} | dd of=/dev/vdb bs=512 conv=sync,fsync 2>/dev/null; echo put");
    bench.sh(id, &put("first")).await;
    bench.sh(id, "echo first >/data/note; sync").await;

    // While it runs: the data disk, a disk made of it with the same order, and the system disk.
    let orders = [
        there(VolumeId::Snapshot(live), of(a), 1),
        there(copy_id, Source::Snapshot { snapshot: live }, 2),
        there(VolumeId::Snapshot(system), Source::Disk { disk: DiskOf::System(id) }, 1),
    ];
    bench.desire_with([], orders).await;
    assert_eq!(bench.until_there(VolumeId::Snapshot(live)).await, 1 << 30);
    assert_eq!(bench.until_there(copy_id).await, 2 << 30);
    bench.until_there(VolumeId::Snapshot(system)).await;
    bench.sh(id, &put("second")).await;
    bench.sh(id, "echo second >/data/note; sync").await;
    // What is frozen, QEMU cannot write to any more.
    let pid = bench.processes(id)[0];
    assert_eq!(bench.written_by(pid).len(), 2, "the two tops");

    // Both go their own ways: the guest sees both, and writes to both.
    bench.desire([order(&bench, 2).disks([a, copy])]).await;
    bench.until_holding(id, [a, copy]).await;
    let printed = bench.sh(id, "sleep 1; head -n 1 /dev/vdb; head -n 1 /dev/vdc; cat /sys/block/vdc/size").await;
    assert_eq!(printed.lines().map(str::trim).collect::<Vec<_>>(), ["second", "first", "4194304"]);
    let write = "echo third | dd of=/dev/vdc bs=512 conv=sync,fsync 2>/dev/null; head -n 1 /dev/vdb";
    assert!(bench.sh(id, write).await.ends_with("second"));

    // The host dies in the middle of the next snapshot, once at each step that it may have come to.
    for (n, millis) in [0, 3, 8, 20, 45, 70, 90, 120].into_iter().enumerate() {
        let volume = VolumeId::Snapshot(snapshot(10 + n as u128));
        bench.desire_with([], [there(volume, of(a), 1)]).await;
        tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
        bench.hang_up();
        bench.kill_host();
        bench.start_in_another_process().await;
        let hello = bench.call().await;
        assert_eq!(hello.guests[0].disks, [a, copy].into());
        let is_there = |is: &VolumeIs| matches!(is, VolumeIs::There { .. });
        if !hello.volumes.iter().any(|seen| seen.id == volume && is_there(&seen.is)) {
            bench.until_volume(volume, is_there).await;
        }
        bench.sh(id, &put(&format!("round-{n}"))).await;
    }

    // Killed, and off: what it flushed is there.
    bench::kill(bench.processes(id)[0]);
    bench.until(id, |is| matches!(is, Is::Off { .. })).await;
    let orders =
        [there(VolumeId::Snapshot(off), of(a), 1), there(other_id, Source::Snapshot { snapshot: snapshot(13) }, 1)];
    bench.desire_with([], orders).await;
    bench.until_there(VolumeId::Snapshot(off)).await;
    bench.until_there(other_id).await;
    let force_at = bench::now();
    bench.desire([order(&bench, 3).want(Want::Off { force_at })]).await;
    bench.desire([order(&bench, 4).disks([a, copy, other])]).await;
    bench.until_running(id).await;
    bench.until_printed_again(id, "ebb-guest: ready", 2).await;
    let printed = bench.sh(id, "for d in b c d; do head -n 1 /dev/vd$d; done; cat /data/note").await;
    assert_eq!(printed.lines().map(str::trim).collect::<Vec<_>>(), ["round-7", "third", "round-2", "second"]);

    // Everything goes, in an order that nobody planned; what others lie on stays as long as they do.
    let before = bench.layers();
    let snapshots = (0..8).map(|n| snapshot(10 + n)).chain([live]);
    bench.desire_with([], snapshots.clone().map(|one| gone(VolumeId::Snapshot(one)))).await;
    for one in snapshots {
        bench.until_volume_is_gone(VolumeId::Snapshot(one)).await;
    }
    assert_eq!(bench.layers(), before, "each is under a disk");
    let orders = [a_id, copy_id, other_id, VolumeId::Snapshot(off)].map(gone);
    bench.desire_with([order(&bench, 5).want(Want::Gone)], orders).await;
    bench.until(id, |is| matches!(is, Is::Gone { .. })).await;
    for one in [a_id, copy_id, other_id, VolumeId::Snapshot(off)] {
        bench.until_volume_is_gone(one).await;
    }
    assert_eq!(bench.layers(), 1, "the snapshot of the system disk outlives its guest");

    // Another guest begins with it.
    let two = guest(2);
    bench.desire([bench.order(two, account(1), 1).image(&VolumeId::Snapshot(system).to_string())]).await;
    bench.until_running(two).await;
    bench.until_printed(two, "ebb-guest: ready").await;
    assert!(bench.sh(two, "cat /data/note").await.ends_with("first"));
    let orders = [gone(VolumeId::Snapshot(system))];
    bench.desire_with([bench.order(two, account(1), 2).want(Want::Gone)], orders).await;
    bench.until(two, |is| matches!(is, Is::Gone { .. })).await;
    bench.until_volume_is_gone(VolumeId::Snapshot(system)).await;
    assert_eq!(bench.layers(), 0);
    assert!(
        !bench
            .heard(|said| matches!(said, FromHost::ObservedVolume(seen) if matches!(seen.is, VolumeIs::Failed { .. })))
    );
    bench.kill_host();
    bench.leave_no_trace().await;
}

/// What cannot be made says why, and a disk is not laid on more than it can bear.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_made_says_why() {
    let mut bench = Bench::new("deep").await;
    let a = VolumeId::Disk(disk(1));
    bench.desire_with([], [there(a, Source::Blank, 1)]).await;
    bench.until_there(a).await;
    let of = |n| Source::Disk { disk: DiskOf::Data(disk(n)) };
    let failed = async |bench: &mut Bench, id| match bench.until_volume(id, |is| *is != VolumeIs::Making).await.is {
        VolumeIs::Failed { reason, .. } => reason,
        other => panic!("{other:?}"),
    };
    for n in 0..31 {
        bench.desire_with([], [there(VolumeId::Snapshot(snapshot(n)), of(1), 1)]).await;
        bench.until_there(VolumeId::Snapshot(snapshot(n))).await;
    }
    // A guest that runs with it keeps its layers; once it is off they are laid together.
    let (one_more, another, id) = (VolumeId::Snapshot(snapshot(31)), VolumeId::Snapshot(snapshot(32)), guest(1));
    bench.desire([bench.order(id, account(1), 1).disks([disk(1)])]).await;
    bench.until_holding(id, [disk(1)]).await;
    bench.desire_with([], [there(one_more, of(1), 1)]).await;
    let why = failed(&mut bench, one_more).await;
    assert!(why.contains("no more than 32"), "{why}");
    assert_eq!(bench.layers(), 33, "and the guest's system disk");
    bench.desire([bench.order(id, account(1), 2).want(Want::Gone)]).await;
    bench.until(id, |is| matches!(is, Is::Gone { .. })).await;
    bench.desire_with([], [there(another, of(1), 1)]).await;
    bench.until_there(another).await;
    assert_eq!(bench.layers(), 33, "31 snapshots, what they came to, and a new top");
    // The other snapshots still serve.
    let (early, late) = (VolumeId::Disk(disk(2)), VolumeId::Disk(disk(3)));
    bench.desire_with([], [there(early, Source::Snapshot { snapshot: snapshot(3) }, 1)]).await;
    bench.until_there(early).await;
    bench.desire_with([], [there(late, Source::Snapshot { snapshot: snapshot(99) }, 1)]).await;
    assert!(failed(&mut bench, late).await.contains("there is no snap-"));
    let nowhere = VolumeId::Snapshot(snapshot(40));
    bench.desire_with([], [there(nowhere, of(77), 1)]).await;
    assert!(failed(&mut bench, nowhere).await.contains("there is no disk disk-"));
    let system = VolumeId::Snapshot(snapshot(41));
    bench.desire_with([], [there(system, Source::Disk { disk: DiskOf::System(guest(5)) }, 1)]).await;
    assert!(failed(&mut bench, system).await.contains("there is no disk of guest i-"));
    assert_eq!(bench.layers(), 34);
    bench.leave_no_trace().await;
}

/// The host dies while a guest starts, and while an image is made: the next one begins again what was not finished, once.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_under_way_when_the_host_died_is_begun_again() {
    let mut bench = Bench::idle("again", DriverConfig::Qemu(QemuConfig::default()));
    bench.start_in_another_process().await;
    bench.call().await;
    for (n, millis) in [0, 15, 40, 80, 130, 200].into_iter().enumerate() {
        let n = 1 + n as u128;
        let (id, a, image) = (guest(n), disk(n), VolumeId::Image(image_id(n)));
        let order = |bench: &Bench, generation| bench.order(id, account(1), generation).disks([a]);
        let blank = there(VolumeId::Disk(a), Source::Blank, 1);
        let of = there(image, Source::Disk { disk: DiskOf::Data(a) }, 1);
        bench.desire_with([order(&bench, 1)], [blank, of]).await;
        tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
        bench.kill_host();
        bench.start_in_another_process().await;
        let hello = bench.call().await;
        let guest = hello.guests.iter().find(|guest| guest.id == id).unwrap();
        if !matches!(guest.is, Is::Running { .. }) || !guest.disks.contains(&a) {
            bench.until_holding(id, [a]).await;
        }
        if !hello.volumes.iter().any(|seen| seen.id == image && matches!(seen.is, VolumeIs::There { .. })) {
            bench.until_there(image).await;
        }
        let seen = bench.until_known(id, |is| matches!(is, Is::Running { .. })).await;
        assert_eq!((seen.disks, bench.processes(id).len()), ([a].into(), 1), "after {millis} ms");
        assert!(bench.fetch(image).await.unwrap().starts_with(b"QFI\xfb"));
        let orders = [gone(VolumeId::Disk(a)), gone(image)];
        bench.desire_with([order(&bench, 2).want(Want::Gone)], orders).await;
        bench.until_volume_is_gone(VolumeId::Disk(a)).await;
        bench.until_volume_is_gone(image).await;
        bench.until_known(id, |is| matches!(is, Is::Gone { .. })).await;
        assert_eq!((bench.layers(), bench.half_made()), (0, 0), "after {millis} ms");
    }
    bench.kill_host();
    bench.leave_no_trace().await;
}
