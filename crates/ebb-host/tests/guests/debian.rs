//! Does the Debian of `images/build` boot by its firmware, find its metadata, and obey? Needs that image, in `EBB_DEBIAN`.

use crate::bench::{self, Bench, account, guest};
use crate::passwords::HORSE;
use ebb_driver::protocol::{Is, Target, Want};
use ebb_host::{DriverConfig, QemuConfig};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Without KVM it takes a minute and a half on an idle machine.
const PATIENCE: Duration = Duration::from_secs(900);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "`make test-images` makes the image first"]
async fn debian_boots_and_finds_its_metadata() {
    let image = PathBuf::from(std::env::var_os("EBB_DEBIAN").expect("the directory of the image"));
    let mut bench = Bench::idle("debian", DriverConfig::Qemu(QemuConfig::default()));
    bench.config.images.insert("debian".to_owned(), image);
    bench.start().await;
    bench.call().await;
    let id = guest(1);
    let script = "#!/bin/sh\necho user-data-ran on $(hostname), root of $(df -k --output=size / | tail -n 1) KiB >/dev/console\n";
    let order = bench.order(id, account(1), 1).firm().image("debian").size(1, 512).disk_gib(4);
    let order = order.user_data(script).password(HORSE);
    bench.desire([order]).await;
    bench.until_running(id).await;
    let began = Instant::now();
    let printed = loop {
        let printed = bench.console_log(id).await;
        if printed.contains("user-data-ran on ") && printed.contains(" login: ") {
            break printed;
        }
        assert!(began.elapsed() < PATIENCE, "{printed}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    println!(
        "Debian ran its user-data after {:?}; its QEMU: {}",
        began.elapsed(),
        bench::memory(bench.processes(id)[0])
    );
    let line = printed.lines().find_map(|line| line.split_once("user-data-ran on guest-1, root of ")).unwrap().1;
    let kib: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
    assert!(kib > 3 << 20, "its file system grew to the size that was bought: {kib} KiB");

    let mut banner = bench.stream(id, Target::Port(22)).await.unwrap();
    assert_eq!(bench::read(&mut banner, 8).await, "SSH-2.0-");
    let mut console = bench.stream(id, Target::Console).await.unwrap();
    bench::write(&mut console, "\n").await;
    bench::read_until(&mut console, "login: ").await;
    bench::write(&mut console, "root\n").await;
    bench::read_until(&mut console, "assword: ").await;
    bench::write(&mut console, "horse\n").await;
    bench::read_until(&mut console, "root@guest-1").await;

    // It feels its power button.
    let force_at = bench::now().plus_seconds(110);
    let off = bench.order(id, account(1), 2).firm().image("debian").size(1, 512).disk_gib(4);
    bench.desire([off.want(Want::Off { force_at })]).await;
    bench.until(id, |is| matches!(is, Is::Off { .. })).await;
    assert!(bench::now() < force_at);
    bench.leave_no_trace().await;
}
