//! Who reaches a guest by its public address, and whom does it reach?

use crate::bench::{self, Bench, account, guest};
use crate::outside::{HOST, MIRROR, NEIGHBOUR, Outside, PRIVATE};
use ebb_host::NetworkConfig;
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

const FIRST: &str = "203.0.113.10";
const SECOND: &str = "203.0.113.11";
const SSH: &str = r#"{"protocol":"tcp","ports":"22","from":"0.0.0.0/0"}"#;
const ECHO: &str = r#"{"protocol":"tcp","ports":"8000-8001","from":"198.51.100.0/24"}"#;
const ELSEWHERE: &str = r#"{"protocol":"tcp","ports":"8002","from":"198.51.100.128/25"}"#;
const NAMES: &str = r#"{"protocol":"udp","ports":"7000","from":"198.51.100.1/32"}"#;
const PING: &str = r#"{"protocol":"ping","from":"0.0.0.0/0"}"#;

/// Answers on every port that the rules speak of, and one more.
const SERVERS: &str = "#!/bin/sh
for port in 8000 8001 8002 8003; do nc -ll -p $port -e cat & done
echo servers-are-there
";

#[tokio::test(flavor = "multi_thread")]
async fn a_public_address_leads_to_its_guest_as_its_rules_say() {
    let outside = Outside::new();
    let network = NetworkConfig {
        uplink: Some(outside.uplink()),
        allowed: vec![format!("{MIRROR}/32").parse().unwrap()],
        ..NetworkConfig::default()
    };
    let mut bench = Bench::with("public", network).await;
    let (one, two) = (guest(1), guest(2));
    // Somebody believes to know where the address is.
    outside.ip(&format!("neigh replace {FIRST} lladdr 02:00:00:00:00:99 dev world nud stale"));
    let order =
        |bench: &Bench, generation| bench.order(one, account(1), generation).user_data(SERVERS).place(1, "10.64.0.16");
    let rules = [SSH, ECHO, ELSEWHERE, NAMES];
    bench
        .desire([
            order(&bench, 1).public(1, FIRST, None).ingress(&rules),
            bench.order(two, account(2), 1).place(2, "10.64.0.17"),
        ])
        .await;
    assert_eq!(bench.until_running(one).await.address.as_deref(), Some("10.64.0.16"));
    assert_eq!(bench.until_running(two).await.address.as_deref(), Some("10.64.0.17"));
    let known = outside.ip(&format!("neigh show {FIRST}"));
    assert!(!known.contains("02:00:00:00:00:99"), "it was told where the address is now: {known}");
    bench.until_printed(one, "servers-are-there").await;
    bench.until_printed(two, "ebb-guest: ready").await;

    // Inwards: what the rules let in, from whom they do; all else gets no answer.
    assert_eq!(outside.banner(FIRST, 22).unwrap(), "SSH-2.0-");
    let mut echo = outside.call(FIRST, 8001).unwrap();
    let mut said = |words: &str| {
        echo.write_all(words.as_bytes())?;
        let mut heard = vec![0; words.len()];
        echo.read_exact(&mut heard).map(|()| String::from_utf8(heard).unwrap())
    };
    assert_eq!(said("hello").unwrap(), "hello");
    // Nobody listens there, says the guest itself; the word belongs to the connection, so it comes back.
    assert!(outside.is_told_that_nobody_listens(FIRST, 7000) && !outside.is_told_that_nobody_listens(FIRST, 7001));
    for port in [8002, 8003, 80] {
        assert_eq!(outside.call(FIRST, port).unwrap_err().kind(), ErrorKind::TimedOut, "{port}");
    }
    assert!(!outside.ping(FIRST) && !outside.ping(HOST));
    for (nobody, port) in [("10.64.0.16", 22), (HOST, 22), (HOST, 80), (HOST, 53), ("203.0.113.99", 22)] {
        assert!(outside.call(nobody, port).is_err(), "{nobody}:{port}");
    }

    // Outwards: by its address to everybody but the operator; without one, to what every guest may reach.
    for port in [9000, 22] {
        outside.who_calls(port);
    }
    let mut console = bench.shell(one).await;
    let mut other = bench.shell(two).await;
    let call = |to: &str| format!("nc -w 3 {to} 9000 </dev/null 2>/dev/null || echo nothing");
    for (to, who) in [(NEIGHBOUR, FIRST), (MIRROR, FIRST)] {
        assert_eq!(bench::typed(&mut console, &call(to)).await, format!("you are {who}"));
    }
    assert_eq!(bench::typed(&mut other, &call(MIRROR)).await, format!("you are {HOST}"));
    assert_eq!(bench::typed(&mut other, &call(NEIGHBOUR)).await, "nothing");
    let closed = [PRIVATE, HOST, FIRST, "192.168.1.1", "172.16.0.1", "100.64.0.1", "127.0.0.1"];
    for to in closed {
        assert_eq!(bench::typed(&mut console, &call(to)).await, "nothing", "{to}");
    }

    // Between guests by their public addresses, as from outside; not by the private ones.
    let hear = |to: &str, port| format!("echo hi | nc -w 3 {to} {port} 2>/dev/null | head -c 8; echo");
    assert_eq!(bench::typed(&mut other, &hear(FIRST, 22)).await, "", "it has no address itself");
    bench.desire([bench.order(two, account(2), 2).place(2, "10.64.0.17").public(2, SECOND, None)]).await;
    bench.settled(&["nft", "list", "map", "inet", "host", "inwards"], SECOND).await;
    assert_eq!(bench::typed(&mut other, &hear(FIRST, 22)).await, "SSH-2.0-");
    assert_eq!(bench::typed(&mut other, &hear(FIRST, 8000)).await, "", "the rule is about others");
    assert_eq!(bench::typed(&mut other, &hear("10.64.0.16", 22)).await, "");
    assert_eq!(bench::typed(&mut console, &hear(FIRST, 22)).await, "SSH-2.0-", "its own");
    let from = r#"{"protocol":"tcp","ports":"8000","from":"203.0.113.11/32"}"#;

    // A rule that is taken away ends what it let in, one that is given counts at once.
    assert_eq!(said("again").unwrap(), "again");
    bench.desire([order(&bench, 2).public(1, FIRST, None).ingress(&[SSH, PING, from])]).await;
    bench.settled(&["nft", "list", "chain", "inet", "host", "in_0a400010"], "icmp").await;
    assert!(matches!(said("more").unwrap_err().kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "it is cut");
    assert!(outside.call(FIRST, 8000).is_err() && !outside.is_told_that_nobody_listens(FIRST, 7000));
    assert!(outside.ping(FIRST));
    assert_eq!(bench::typed(&mut other, &hear(FIRST, 8000)).await, "hi");

    // The address goes to the other guest, whoever hears of it first; what was said by it is over.
    let mut ssh = outside.call(FIRST, 22).unwrap();
    let mut banner = [0; 8];
    ssh.read_exact(&mut banner).unwrap();
    bench.desire([bench.order(two, account(2), 3).place(2, "10.64.0.17").public(1, FIRST, None).ingress(&[SSH])]).await;
    bench.settled(&["nft", "list", "map", "inet", "host", "inwards"], &format!("{FIRST} : 10.64.0.17")).await;
    assert_eq!(outside.banner(FIRST, 22).unwrap(), "SSH-2.0-");
    assert!(outside.banner(SECOND, 22).is_err());
    assert_eq!(bench::typed(&mut other, &call(NEIGHBOUR)).await, format!("you are {FIRST}"));
    assert_eq!(bench::typed(&mut console, &call(NEIGHBOUR)).await, "nothing");
    bench.desire([order(&bench, 3)]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(outside.banner(FIRST, 22).unwrap(), "SSH-2.0-", "the first one's word is not about it any more");
    bench.leave_no_trace().await;
}
