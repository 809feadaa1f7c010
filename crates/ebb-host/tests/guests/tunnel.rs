//! Do an account's guests on two hosts meet, and nobody else?

use crate::bench::{self, Bench, account, guest};
use crate::outside;
use ebb_driver::protocol::ToHost;
use ebb_host::{NetworkConfig, Tunnel};
use ebb_model::id::InstanceId;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use tokio::net::UnixStream;

const HOSTS: [&str; 2] = ["10.200.0.1", "10.200.0.2"];

#[tokio::test(flavor = "multi_thread")]
async fn guests_of_one_account_meet_across_hosts_of_their_region() {
    // A cable between both.
    let ends = [0, 1].map(|n| format!("cb{}n{n}", std::process::id()));
    outside::ip(&format!("link add {} type veth peer name {}", ends[0], ends[1]));
    let network = |n: usize| NetworkConfig {
        tunnel: Some(Tunnel::Interface {
            interface: ends[n].clone(),
            address: format!("{}/24", HOSTS[n]).parse().unwrap(),
            gateway: None,
        }),
        ..NetworkConfig::default()
    };
    let mut here = Bench::with("tunnel-here", network(0)).await;
    let mut there = Bench::with("tunnel-there", network(1)).await;
    assert_eq!(here.call().await.tunnel, Some(HOSTS[0].parse().unwrap()));
    let (one, two, stranger) = (guest(1), guest(2), guest(3));
    here.desire([
        here.order(one, account(1), 1).place(7, "10.64.0.16"),
        here.order(stranger, account(2), 1).place(8, "10.64.0.18"),
    ])
    .await;
    there.desire([there.order(two, account(1), 1).place(7, "10.64.0.17")]).await;
    let mut first = shell(&mut here, one).await;
    let mut second = shell(&mut there, two).await;
    let mut other = shell(&mut here, stranger).await;
    let mtu = bench::typed(&mut first, "cat /sys/class/net/eth0/mtu").await;
    assert_eq!(mtu, "1450");

    // Hosts that were not told of each other: another region, say.
    let call = |to: &str| format!("echo | nc -w 6 {to} 22 2>/dev/null | head -c 8; echo");
    assert_eq!(bench::typed(&mut first, &call("10.64.0.17")).await, "");
    peers(&mut there, &HOSTS[..1]).await;
    assert_eq!(bench::typed(&mut first, &call("10.64.0.17")).await, "", "one knows, the other does not");
    peers(&mut here, &HOSTS[1..]).await;
    assert_eq!(bench::typed(&mut first, &call("10.64.0.17")).await, "SSH-2.0-");
    assert_eq!(bench::typed(&mut second, &call("10.64.0.16")).await, "SSH-2.0-");
    let large = "ping -c 2 -W 3 -s 1422 10.64.0.16 >/dev/null && echo fits";
    assert_eq!(bench::typed(&mut second, large).await, "fits", "the largest packet");

    // Another account's is not there, whoever asks; nor is the other host itself.
    for to in ["10.64.0.17", "10.64.0.16", HOSTS[0]] {
        assert_eq!(bench::typed(&mut other, &call(to)).await, "", "{to}");
    }
    for to in ["10.64.0.18", HOSTS[0], HOSTS[1]] {
        assert_eq!(bench::typed(&mut second, &call(to)).await, "", "{to}");
    }
    // Each hears of its own gateway alone, which answers, and asks nobody else for its address.
    assert_eq!(bench::typed(&mut second, "ping -c 1 -W 3 10.64.0.1 >/dev/null && echo answers").await, "answers");
    for rule in ["udp dport 67", "arp daddr ip 10.64.0.1", "ip saddr 10.64.0.16"] {
        let words = ["nft", "add", "rule", "bridge", "seen", "arrives", "iifname", "vx000007"];
        there.inside(&["nft", "add", "table", "bridge", "seen"]);
        there.inside(&[
            "nft",
            "add",
            "chain",
            "bridge",
            "seen",
            "arrives",
            "{ type filter hook prerouting priority -300; }",
        ]);
        there.inside(&words.into_iter().chain(rule.split(' ')).chain(["counter"]).collect::<Vec<_>>());
    }
    let ask = "udhcpc -n -q -t 1 -T 1 -i eth0 -s /bin/true >/dev/null 2>&1; arping -c 2 -w 3 -I eth0 10.64.0.1 | grep -c reply";
    assert_eq!(bench::typed(&mut first, ask).await, "2");
    assert_eq!(bench::typed(&mut first, &call("10.64.0.17")).await, "SSH-2.0-");
    let seen = there.inside(&["nft", "list", "chain", "bridge", "seen", "arrives"]);
    let packets: Vec<bool> =
        seen.lines().filter(|line| line.contains("counter")).map(|line| !line.contains("packets 0 ")).collect();
    assert_eq!(packets, [false, false, true], "{seen}");

    // A host that is killed and begins again knows the others still.
    here.stop_in_order().await;
    here.start().await;
    here.call().await;
    let mut first = here.shell(one).await;
    assert_eq!(bench::typed(&mut first, &call("10.64.0.17")).await, "SSH-2.0-");
    // One that is of the region no more is cut off at once.
    peers(&mut here, &[]).await;
    assert_eq!(bench::typed(&mut second, &call("10.64.0.16")).await, "");
    assert_eq!(bench::typed(&mut first, &call("10.64.0.17")).await, "");
    here.leave_no_trace().await;
    there.leave_no_trace().await;
}

async fn shell(bench: &mut Bench, id: InstanceId) -> UnixStream {
    bench.until_printed(id, "ebb-guest: ready").await;
    bench.shell(id).await
}

/// Tells a host of its region, and waits until it has obeyed.
async fn peers(bench: &mut Bench, others: &[&str]) {
    let hosts: BTreeSet<Ipv4Addr> = others.iter().map(|ip| ip.parse().unwrap()).collect();
    bench.tell(ToHost::Peers { hosts: hosts.clone() }).await;
    for _ in 0..100 {
        let known = bench.inside(&["nft", "list", "set", "inet", "host", "peers"]);
        let flooded = bench.inside(&["bridge", "fdb", "show", "dev", "vx000007"]);
        let knows = |ip: &str| known.contains(ip) && flooded.contains(&format!("dst {ip} "));
        if HOSTS.iter().all(|ip| knows(ip) == others.contains(ip)) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{}", bench.inside(&["bridge", "fdb", "show"]));
}
