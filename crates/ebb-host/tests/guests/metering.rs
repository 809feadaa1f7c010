//! Is what leaves a public address metered, exactly and whatever happens to the host, and held to its rate?

use crate::bench::{self, Bench, account, address, guest};
use crate::outside::{NEIGHBOUR, Outside};
use ebb_driver::protocol::{FromHost, Is, Want};
use ebb_host::{DriverConfig, NetworkConfig, QemuConfig};
use ebb_model::id::{AddressId, InstanceId};
use ebb_model::traffic::Reading;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const PUBLIC: &str = "203.0.113.10";
const MB: u64 = 1_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_an_address_is_metered_whatever_becomes_of_the_host() {
    let outside = Outside::new();
    let swallowed = outside.swallow(9000);
    outside.count_from(PUBLIC);
    let network = NetworkConfig { uplink: Some(outside.uplink()), ..NetworkConfig::default() };
    let mut bench = Bench::idle("metering", DriverConfig::Qemu(QemuConfig { network, ..QemuConfig::default() }));
    let mut child = bench.start_in_a_process().await;
    bench.call().await;
    let (id, paid) = (guest(1), address(7));
    let order = |bench: &Bench, generation, mbit| {
        let order = bench.order(id, account(1), generation).place(1, "10.64.0.16").size(1, 256);
        order.public(7, PUBLIC, mbit)
    };
    bench.desire([order(&bench, 1, None)]).await;
    bench.until_running(id).await;
    bench.until_printed(id, "ebb-guest: ready").await;
    let mut console = bench.shell(id).await;

    // Three times 20 MB, then nothing.
    for _ in 0..3 {
        let send = format!("head -c 20000000 /dev/zero | nc -w 5 {NEIGHBOUR} 9000");
        bench::typed(&mut console, &send).await;
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    while swallowed.load(Ordering::Relaxed) < 60 * MB {
        assert!(Instant::now() < deadline, "{swallowed:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let truth = outside.counted();
    assert!(truth >= 60_000_000, "{truth}");

    // The host is killed and begins again: its counters do not.
    bench.hang_up();
    child.kill().unwrap();
    child.wait().unwrap();
    bench.start().await;
    let hello = bench.call().await;
    assert!(hello.features.metered_traffic && hello.features.public_addresses);
    // The next full minute.
    let began = bench::now();
    let reading = bench.until_read(paid, |_| true).await;
    println!("{truth} bytes came, {} were metered, at {}", reading.bytes, reading.at);
    assert!((reading.bytes - truth).abs() * 100 <= truth, "{reading:?}");
    assert_eq!(reading.bytes, truth, "what came is what was metered");
    let late = reading.at.micros() % 60_000_000;
    assert!(late < 1_000_000 && reading.at >= began, "{late} µs after the full minute");
    assert_eq!(bench.call().await.readings, [reading]);

    // Held to 10 Mbit/s, while it runs.
    let mut console = bench.shell(id).await;
    bench.desire([order(&bench, 2, Some(10))]).await;
    bench.settled(&["nft", "list", "map", "inet", "host", "classes"], PUBLIC).await;
    bench::write(&mut console, &format!("head -c 200000000 /dev/zero | nc -w 5 {NEIGHBOUR} 9000 &\n")).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    // A guest whose machine has no time for it sends less, but never more.
    let mut kbit = 0;
    for _ in 0..4 {
        let (from, began) = (outside.counted(), Instant::now());
        tokio::time::sleep(Duration::from_secs(9)).await;
        let (bytes, took) = (outside.counted() - from, began.elapsed());
        kbit = bytes * 8 / i64::try_from(took.as_millis()).unwrap();
        println!("{bytes} bytes within {took:?}: {kbit} kbit/s");
        assert!(kbit <= 11_000, "{kbit} kbit/s");
        if kbit >= 9_000 {
            break;
        }
    }
    assert!(kbit >= 9_000, "{kbit} kbit/s");

    // Somebody takes all rules away: they are there again, with a new counter of a larger epoch.
    bench::typed(&mut console, "killall nc").await;
    bench.inside(&["nft", "flush", "ruleset"]);
    bench.settled(&["nft", "list", "table", "bridge", "guard"], "tap0a400010").await;
    let from = outside.counted();
    bench::typed(&mut console, &format!("head -c 1000000 /dev/zero | nc -w 5 {NEIGHBOUR} 9000")).await;
    assert!(outside.banner(PUBLIC, 22).is_err(), "no rule lets it in");
    let truth = outside.counted() - from;

    // The last one comes before the word that it is gone, and is remembered until it need not be.
    bench.desire([order(&bench, 3, Some(10)).want(Want::Gone)]).await;
    let last = bench.last_reading_before_it_is_gone(paid, id).await;
    assert!(truth > 1_000_000 && last.epoch > reading.epoch && last.bytes == truth, "{truth} {last:?}");
    assert!(bench.call().await.readings.contains(&last));
    assert!(bench.inside(&["nft", "list", "counters", "table", "ip", "traffic"]).matches("counter").count() == 0);
    // Nobody waits for its class to go.
    while bench.inside(&["tc", "class", "show", "dev", &outside.interface]).contains("htb") {
        assert!(bench::now().millis_since(last.at) < 10_000, "the class of the address stays");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bench.forget(id).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bench.call().await.readings, []);
    bench.leave_no_trace().await;
}

impl Bench {
    /// The last reading of an address, which came before the word that its guest is gone.
    async fn last_reading_before_it_is_gone(&mut self, of: AddressId, guest: InstanceId) -> Reading {
        let is_gone = |said: &FromHost| matches!(said, FromHost::Observed(seen) if seen.id == guest && matches!(seen.is, Is::Gone { .. }));
        self.hear(|said| is_gone(said).then_some(())).await;
        let before = self.heard.iter().take_while(|said| !is_gone(said));
        let readings = before.filter_map(|said| match said {
            FromHost::Read(reading) if reading.address == of => Some(*reading),
            _ => None,
        });
        readings.last().expect("a reading before the guest is gone")
    }

    /// The first reading of an address that fits.
    async fn until_read(&mut self, of: AddressId, fits: impl Fn(&Reading) -> bool) -> Reading {
        self.hear(|said| match said {
            FromHost::Read(reading) if reading.address == of && fits(reading) => Some(*reading),
            _ => None,
        })
        .await
    }
}
