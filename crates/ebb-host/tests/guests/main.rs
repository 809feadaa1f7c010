//! Do real guests do what the host promises? Needs root, QEMU, nft and ip; boots the built-in guest without KVM.

mod bench;

use bench::{Bench, account, guest};
use ebb_driver::protocol::{Is, Target, Want};
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
    let printed = bench::read_until(&mut console, "interruption").await;
    assert!(bench::now() >= notice_at);
    assert!(printed.contains("terminate"), "{printed}");
    bench.until_no_process(one).await;
    let late = bench::now().millis_since(at);
    assert!((0..1000).contains(&late), "dead {late} ms after the deadline");

    let seen = bench.until_known(one, |is| matches!(is, Is::Gone { .. })).await;
    let Is::Gone { at: gone_at } = seen.is else { unreachable!("it was waited for") };
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
