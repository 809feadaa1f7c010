//! Does a guest that tries everything get anything that is not its own, and do others notice?

use crate::bench::{self, Bench, account, guest};
use crate::outside::{HOST, NEIGHBOUR, Outside, PRIVATE};
use ebb_driver::protocol::Target;
use ebb_host::NetworkConfig;
use std::time::{Duration, Instant};

const VICTIMS: &str = "203.0.113.10";
const ATTACKERS: &str = "203.0.113.11";
/// Where other clouds' programs find something, and the networks of whoever runs the host.
const CLOSED: &str = "169.254.170.2 169.254.170.23 168.63.129.16 192.0.0.192 169.254.42.42 100.88.222.5 10.0.0.1 172.16.0.1 192.168.1.1 \
     100.64.0.1 10.200.0.1";

/// A neighbour of the same account, a victim of another one, and all the outside.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_gets_nothing_that_is_not_its_own() {
    let outside = Outside::new();
    outside.who_calls(9000);
    let network = NetworkConfig { uplink: Some(outside.uplink()), ..NetworkConfig::default() };
    let mut bench = Bench::with("attack", network).await;
    let (victim, sibling, attacker) = (guest(1), guest(2), guest(3));
    let ssh = [r#"{"protocol":"tcp","ports":"22","from":"0.0.0.0/0"}"#];
    bench
        .desire([
            bench
                .order(victim, account(1), 1)
                .place(1, "10.64.0.16")
                .public(1, VICTIMS, None)
                .ingress(&ssh)
                .user_data("#!/bin/sh\n# victim\n"),
            bench.order(sibling, account(2), 1).place(2, "10.64.0.17").user_data("#!/bin/sh\n# sibling\n"),
        ])
        .await;
    for id in [victim, sibling] {
        bench.until_printed(id, "ebb-guest: ready").await;
    }
    let mut console = bench.shell(victim).await;
    let mut siblings = bench.shell(sibling).await;
    // Services of the machine that do answer, outside the namespace and inside it.
    let machines = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let inside = bench.listen_inside();

    let script = [
        ("ME", "10.64.0.18"),
        ("BITS", "10"),
        ("GATEWAY", "10.64.0.1"),
        ("GATEWAY_MAC", "52:54:0a:40:00:01"),
        ("GATEWAY_LINK_LOCAL", "fe80::5054:aff:fe40:1"),
        ("SIBLING", "10.64.0.17"),
        ("SIBLING_MAC", "52:54:0a:40:00:11"),
        ("VICTIM", "10.64.0.16"),
        ("MACHINE", &bench::address_of_this_machine()),
        ("OUTSIDE", &machines.local_addr().unwrap().port().to_string()),
        ("INSIDE", &inside.local_addr().unwrap().port().to_string()),
        ("PUBLIC", ATTACKERS),
        ("NEIGHBOUR", NEIGHBOUR),
        ("HOST", HOST),
        ("CLOSED", &format!("{PRIVATE} {HOST} {CLOSED}")),
    ]
    .iter()
    .fold(include_str!("attack.sh").to_owned(), |script, (name, value)| script.replace(&format!("@{name}@"), value));
    let order = bench.order(attacker, account(2), 1).place(2, "10.64.0.18").public(2, ATTACKERS, None);
    bench.desire([order.user_data(&script)]).await;

    // While one sends what it can, the other is called and asks as ever.
    bench.until_printed(attacker, "attack: serves addresses").await;
    let renew = "udhcpc -f -q -n -i eth0 -s /bin/true 2>&1 | grep -o 'lease of.*obtained from.*, '";
    assert_eq!(bench::typed(&mut siblings, renew).await, "lease of 10.64.0.17 obtained from 10.64.0.1,");
    bench.until_printed(attacker, "attack: flood begins").await;
    let mut slowest = Duration::ZERO;
    loop {
        let began = Instant::now();
        assert_eq!(outside.banner(VICTIMS, 22).unwrap(), "SSH-2.0-");
        let ask = "wget -q -O - http://169.254.169.254/openstack/latest/meta_data.json | grep -c guest-1";
        assert_eq!(bench::typed(&mut console, ask).await, "1");
        let name = "nslookup metadata.google.internal | tail -n +4 | grep -c 169.254.169.254";
        assert_eq!(bench::typed(&mut console, name).await, "1");
        slowest = slowest.max(began.elapsed());
        if bench.console_log(attacker).await.contains("attack: flood ends") {
            break;
        }
    }
    println!("the victim waited {slowest:?} at most for all that it asked while the others were flooded");

    let printed = bench.until_printed(attacker, "attack: over").await;
    let said: Vec<&str> = printed.lines().filter_map(|line| line.trim_end().strip_prefix("attack: ")).collect();
    println!("{said:#?}");
    let may = [
        "before own",
        "sibling reached",
        "gateway answers",
        "serves addresses",
        "has ipv6",
        "outside answers",
        "flood begins",
        "flood ends",
        "after own",
        "over",
    ];
    for may in may {
        assert!(said.contains(&may), "{may}");
    }
    let attacks: Vec<_> = said.iter().filter(|line| line.ends_with("nothing")).collect();
    assert_eq!(attacks.len(), said.len() - may.len(), "everything else led to nothing");
    assert!(attacks.len() >= 110, "{}", attacks.len());
    assert!(!printed.contains("BREACH"));
    for listener in [machines, inside] {
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "nobody came through");
    }
    // The frames were not lost on the way: the guard and the host counted them.
    for family in [["bridge", "guard"], ["inet", "host"]] {
        let counter = bench.inside(&["nft", "list", "counter", family[0], family[1], "refused"]);
        let packets = counter.split("packets ").nth(1).unwrap().split(' ').next().unwrap();
        println!("{family:?}: {packets} refused");
        assert!(packets.parse::<u64>().unwrap() > 20_000, "{counter}");
    }
    // Nobody believes the false claims.
    let neighbours = bench.inside(&["ip", "neigh"]);
    for (address, mac) in [("10.64.0.17", "52:54:0a:40:00:11"), ("10.64.0.16", "52:54:0a:40:00:10")] {
        let line = neighbours.lines().find(|line| line.starts_with(&format!("{address} "))).unwrap();
        assert!(line.contains(mac) && line.contains("PERMANENT"), "{line}");
    }
    for id in [victim, sibling] {
        let mut banner = bench.stream(id, Target::Port(22)).await.unwrap();
        assert_eq!(bench::read(&mut banner, 8).await, "SSH-2.0-");
    }
    bench.leave_no_trace().await;
}
