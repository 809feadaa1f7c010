//! Do real guests do what the host promises? Needs root, QEMU, nft and ip; boots the built-in guest without KVM.

mod attacks;
mod bench;
mod debian;
mod dialects;
mod disks;
mod images;
mod machine;
mod memory;
mod metering;
mod outside;
mod passwords;
mod privacy;
mod public;
mod snapshots;
mod tunnel;

use bench::{Bench, account, guest};
use ebb_driver::fake::Behaviour;
use ebb_driver::protocol::{Is, Target, Want};
use ebb_host::{DriverConfig, HostError, QemuConfig};
use ebb_model::id::InstanceId;
use std::time::Duration;

/// Two accounts, a guest each: who am I, may I be reached, when do I go?
#[tokio::test(flavor = "multi_thread")]
async fn guests_live_and_end_on_time_without_a_server() {
    let mut bench = Bench::new("live").await;
    let (one, two) = (guest(1), guest(2));
    let script = "#!/bin/sh\necho user-data-ran-as $(hostname)\n";
    bench.desire([bench.order(one, account(1), 1), bench.order(two, account(2), 1).user_data(script)]).await;
    for id in [one, two] {
        bench.until_running(id).await;
        let printed = bench.until_printed(id, "ebb-guest: ready").await;
        assert!(printed.contains(&format!("ebb-guest: metadata {}", id.uuid())), "{printed}");
    }
    confined(&bench, [one, two]);
    assert_eq!(bench.mode_of_socket(), 0o660);
    bench.until_printed(two, "user-data-ran-as guest-2").await;
    assert!(!bench.console_log(one).await.contains("user-data"));

    let mut banner = bench.stream(one, Target::Port(22)).await.unwrap();
    assert_eq!(bench::read(&mut banner, 8).await, "SSH-2.0-");
    assert!(bench.stream(one, Target::Port(23)).await.unwrap_err().to_string().contains("port 23"));
    assert!(bench.stream(guest(9), Target::Console).await.unwrap_err().to_string().contains("no guest"));
    let refused = bench.stranger().await;
    assert!(refused.contains("belongs to installation"), "{refused}");

    // A notice, two seconds from now, and nobody there to remind the host of it.
    let now = bench::now();
    let (notice_at, at) = (now.plus_seconds(2), now.plus_seconds(6));
    bench.desire([bench.order(one, account(1), 2).end(notice_at, at)]).await;
    let mut console = bench.stream(one, Target::Console).await.unwrap();
    bench.hang_up();
    let printed = bench::read_until(&mut console, "terminate").await;
    assert!(bench::now() >= notice_at);
    assert!(printed.contains("ebb-guest: interruption"), "{printed}");
    bench.until_no_process(one).await;
    let late = bench::now().millis_since(at);
    assert!((0..1000).contains(&late), "dead {late} ms after the deadline");

    let seen = bench.until_known(one, |is| matches!(is, Is::Gone { .. })).await;
    let Is::Gone { at: gone_at } = seen.is else { unreachable!("it was waited for") };
    // Its console ends with it.
    bench::read_to_end(&mut console).await;
    let readable_at = seen.notice_readable_at.unwrap();
    let read_at = seen.notice_read_at.unwrap();
    println!(
        "released {} ms after the deadline, notice readable {} ms and read {} ms after it was due",
        gone_at.millis_since(at),
        readable_at.millis_since(notice_at),
        read_at.millis_since(notice_at),
    );
    assert!((0..1000).contains(&gone_at.millis_since(at)));
    assert!((0..250).contains(&readable_at.millis_since(notice_at)));
    assert!(read_at >= notice_at);
    bench.until_known(two, |is| matches!(is, Is::Running { .. })).await;

    bench.forget(one).await;
    bench.desire([bench.order(two, account(2), 2).want(Want::Gone)]).await;
    bench.until(two, |is| matches!(is, Is::Gone { .. })).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bench.records(), 1, "the one that was forgotten has no record");
    bench.leave_no_trace().await;
}

/// Each QEMU is a user of its own without privileges, in a network of its own with nothing in it.
fn confined(bench: &Bench, guests: [InstanceId; 2]) {
    let mut seen = std::collections::BTreeSet::new();
    for id in guests {
        let pid = bench.processes(id)[0];
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().unwrap_or_default().to_owned()
        };
        assert!(field("Uid:").parse::<u32>().unwrap() >= 200_000);
        assert_eq!((field("CapEff:"), field("CapBnd:")), ("0".repeat(16), "0".repeat(16)));
        assert_eq!(
            (field("NoNewPrivs:").as_str(), field("Seccomp:").as_str(), field("Groups:").as_str()),
            ("1", "2", "")
        );
        let network = std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        assert_ne!(network, std::fs::read_link("/proc/self/ns/net").unwrap());
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        assert!(groups.contains(&format!("/{}/{id}", bench.namespace())), "{groups}");
        assert!(seen.insert(field("Uid:")) && seen.insert(network.display().to_string()), "shared by two guests");
    }
}

/// A host that is killed outright: its guests go on, and the next one knows them.
#[tokio::test(flavor = "multi_thread")]
async fn guests_outlive_their_host() {
    let mut bench = Bench::idle("outlive", DriverConfig::Qemu(QemuConfig::default()));
    let mut child = bench.start_in_a_process().await;
    bench.call().await;
    let (one, two) = (guest(1), guest(2));
    bench.desire([bench.order(one, account(1), 1), bench.order(two, account(1), 1)]).await;
    let since = bench.until_running(one).await.is;
    bench.until_running(two).await;
    bench.until_printed(one, "ebb-guest: ready").await;

    bench.hang_up();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((bench.processes(one).len(), bench.processes(two).len()), (1, 1));
    // One of them ends while nobody looks.
    let killed_at = bench::now();
    bench::kill(bench.processes(two)[0]);
    tokio::time::sleep(Duration::from_millis(300)).await;

    let began = bench::now();
    bench.start().await;
    println!("the host was there again {} ms after its start", bench::now().millis_since(began));
    let hello = bench.call().await;
    let is = |id| hello.guests.iter().find(|g| g.id == id).unwrap().is.clone();
    assert_eq!(is(one), since, "it never stopped");
    let Is::Off { at } = is(two) else { panic!("{:?}", is(two)) };
    assert!(at <= began && killed_at.millis_since(at) < 60_000, "{at}");

    // Its console, its ports and its metadata are there as before.
    let mut console = bench.stream(one, Target::Console).await.unwrap();
    bench::write(&mut console, "\n").await;
    bench::read_until(&mut console, "guest-1:").await;
    bench::write(&mut console, "wget -q -O - http://169.254.169.254/openstack/latest/meta_data.json; echo ' read'\n")
        .await;
    assert!(bench::read_until(&mut console, " read\r\n").await.contains(&one.uuid().to_string()));
    let mut banner = bench.stream(one, Target::Port(22)).await.unwrap();
    assert_eq!(bench::read(&mut banner, 8).await, "SSH-2.0-");

    // The power button, then on again: what it wrote to its disk is still there.
    bench::write(&mut console, "echo remember >/data/note; echo ' noted'\n").await;
    bench::read_until(&mut console, " noted\r\n").await;
    let force_at = bench::now().plus_seconds(60);
    let off = bench.order(one, account(1), 2).want(Want::Off { force_at });
    bench.desire([off]).await;
    bench.until(one, |is| matches!(is, Is::Off { .. })).await;
    assert!(bench::now() < force_at, "it felt the button");
    // While it is off it is resized; it starts with its new size.
    bench.desire([bench.order(one, account(1), 3).want(Want::Off { force_at }).size(2, 256)]).await;
    bench.desire([bench.order(one, account(1), 4).size(2, 256)]).await;
    bench.until_running(one).await;

    // It ends by itself.
    bench.until_printed_again(one, "ebb-guest: ready", 2).await;
    let mut console = bench.stream(one, Target::Console).await.unwrap();
    bench::write(&mut console, "\n").await;
    bench::read_until(&mut console, "guest-1:").await;
    let look =
        "echo $(grep -c ^processor /proc/cpuinfo) vcpu, $(awk '/MemTotal/ {print $2}' /proc/meminfo) kB ' seen'\n";
    bench::write(&mut console, look).await;
    let seen = bench::read_until(&mut console, " seen\r\n").await;
    // The prompt may have come along with it.
    let line = seen.lines().find(|line| line.ends_with(" seen")).unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    let [vcpu, "vcpu,", kib, ..] = words[..] else { panic!("{seen}") };
    // More memory than all that it had before.
    assert!(vcpu == "2" && kib.parse::<i64>().unwrap() > 128 << 10, "{seen}");
    bench::write(&mut console, "cat /data/note; poweroff\n").await;
    bench::read_until(&mut console, "remember\r\n").await;
    bench.until(one, |is| matches!(is, Is::Off { .. })).await;
    assert!(bench.processes(one).is_empty());

    // The switch, for one that does not even hear the button yet.
    bench.desire([bench.order(one, account(1), 5)]).await;
    bench.until_running(one).await;
    let force_at = bench::now().plus_seconds(1);
    bench.desire([bench.order(one, account(1), 6).want(Want::Off { force_at })]).await;
    bench.until(one, |is| matches!(is, Is::Off { .. })).await;
    assert!(bench::now().millis_since(force_at) < 1000);
    bench.leave_no_trace().await;
}

/// What cannot be started leaves nothing but the reason.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_says_why() {
    let mut bench = Bench::new("fail").await;
    let id = guest(1);
    bench.desire([bench.order(id, account(1), 1).image("windows")]).await;
    let seen = bench.until(id, |is| matches!(is, Is::Failed { .. })).await;
    assert!(format!("{seen:?}").contains("no image `windows`"), "{seen:?}");
    assert!(!bench.config.data.join("guests").join(id.to_string()).exists());
    assert!(!bench.inside(&["nft", "list", "ruleset"]).contains("tap0a4d"));

    // A release in the middle of a start, and of what was never heard of.
    let (two, three) = (guest(2), guest(3));
    bench.desire([bench.order(two, account(1), 1)]).await;
    let now = bench::now();
    bench
        .desire([bench.order(two, account(1), 2).want(Want::Gone), bench.order(three, account(1), 1).want(Want::Gone)])
        .await;
    for id in [two, three] {
        bench.until(id, |is| matches!(is, Is::Gone { .. })).await;
    }
    assert!(bench::now().millis_since(now) < 1000);
    assert!(bench.processes(two).is_empty());
    assert!(matches!(ebb_host::clean(&bench.config.data), Err(HostError::InUse(_))));
    bench.leave_no_trace().await;
}

/// The same socket, guests made of nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_fake_host_remembers() {
    let behaviour = Behaviour { shutdown_millis: Some(10), ..Behaviour::default() };
    let mut bench = Bench::idle("fake", DriverConfig::Fake(behaviour));
    bench.start().await;
    bench.call().await;
    let id = guest(1);
    bench.desire([bench.order(id, account(1), 1)]).await;
    let seen = bench.until_running(id).await;
    assert!(bench.stranger().await.contains("belongs to installation"));
    assert!(bench.stream(id, Target::Console).await.unwrap_err().to_string().contains("made of nothing"));
    bench.stop().await;
    bench.start().await;
    assert_eq!(bench.call().await.guests, vec![seen]);
    let at = bench::now().plus_millis(200);
    bench.desire([bench.order(id, account(1), 2).end(bench::now(), at)]).await;
    bench.until(id, |is| matches!(is, Is::Gone { .. })).await;
    assert!((0..200).contains(&bench::now().millis_since(at)));
    bench.leave_no_trace().await;
}

/// Figures rather than a verdict: `cargo test -p ebb-host --test guests -- --ignored figures --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "fifty guests at once"]
async fn figures() {
    const GUESTS: u128 = 50;
    let mut bench = Bench::idle("figures", DriverConfig::Qemu(QemuConfig::default()));
    let mut child = bench.start_in_a_process().await;
    bench.call().await;
    let orders: Vec<_> = (1..=GUESTS).map(|n| bench.order(guest(n), account(n % 10), 1)).collect();
    let began = bench::now();
    bench.desire(orders).await;
    let accepted = bench::now();
    for n in 1..=GUESTS {
        bench.until_running(guest(n)).await;
    }
    println!(
        "accepted {GUESTS} orders in {} ms, all ran after {} ms",
        accepted.millis_since(began),
        bench::now().millis_since(began)
    );
    println!("the host's memory: {}", bench::memory(child.id()));
    child.kill().unwrap();
    child.wait().unwrap();

    let began = bench::now();
    let mut child = bench.start_in_a_process().await;
    println!("{GUESTS} guests adopted {} ms after the start of the process", bench::now().millis_since(began));
    let hello = bench.call().await;
    assert!(hello.guests.iter().all(|g| matches!(g.is, Is::Running { .. })));

    let at = bench::now().plus_seconds(2);
    let orders: Vec<_> =
        (1..=GUESTS).map(|n| bench.order(guest(n), account(n % 10), 2).end(bench::now(), at)).collect();
    bench.desire(orders).await;
    let mut late = vec![];
    for n in 1..=GUESTS {
        let Is::Gone { at: gone_at } = bench.until(guest(n), |is| matches!(is, Is::Gone { .. })).await.is else {
            unreachable!()
        };
        late.push(gone_at.millis_since(at));
    }
    late.sort_unstable();
    println!("{GUESTS} released at once: median {} ms, last {} ms", late[late.len() / 2], late[late.len() - 1]);
    println!("the host's memory: {}", bench::memory(child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    bench.leave_no_trace().await;
}

/// Not a test: the host of [`guests_outlive_their_host`], in a process that can be killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "another test calls it"]
async fn a_host_in_a_process() {
    bench::log();
    let config = std::env::var("EBB_TEST_HOST").expect("the configuration of a host");
    ebb_host::run(serde_json::from_str(&config).unwrap()).await.unwrap();
}
