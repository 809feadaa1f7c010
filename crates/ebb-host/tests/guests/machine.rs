//! Does the machine reach its host's guests by their public addresses, while they reach nothing of it?

use crate::bench::{self, Bench, account, guest};
use ebb_host::{NetworkConfig, Resolver, Uplink};
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const PUBLIC: &str = "203.0.113.10";

#[tokio::test(flavor = "multi_thread")]
async fn the_machine_calls_its_guests_and_not_the_other_way_round() {
    let resolver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let network = NetworkConfig {
        uplink: Some(Uplink::Machine),
        // What leads nowhere is not reached for being allowed.
        allowed: vec!["169.254.86.1/32".parse().unwrap()],
        resolvers: vec![Resolver(resolver.local_addr().unwrap())],
        ..NetworkConfig::default()
    };
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    std::thread::spawn(move || answer_names(&resolver));
    let service = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = service.local_addr().unwrap().port();
    let mut bench = Bench::with("machine", network).await;
    let id = guest(1);
    let order = |bench: &Bench, generation| bench.order(id, account(1), generation).place(1, "10.64.0.16");
    let ssh = r#"{"protocol":"tcp","ports":"22","from":"0.0.0.0/0"}"#;
    bench.desire([order(&bench, 1).public(1, PUBLIC, None).ingress(&[ssh])]).await;
    bench.until_printed(id, "ebb-guest: ready").await;
    let call = || {
        let to: SocketAddr = format!("{PUBLIC}:22").parse().unwrap();
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(3))?;
        stream.set_read_timeout(Some(Duration::from_secs(3)))?;
        let mut banner = [0; 8];
        stream.read_exact(&mut banner).map(|()| String::from_utf8_lossy(&banner).into_owned())
    };
    assert_eq!(call().unwrap(), "SSH-2.0-");

    let mut console = bench.shell(id).await;
    let machine = bench::address_of_this_machine();
    for to in ["169.254.86.1", "169.254.86.2", "127.0.0.1", &machine] {
        for port in [port, 22] {
            let call = format!("nc -w 2 {to} {port} </dev/null 2>&1 | head -c 8 | grep -v -e SSH -e nc:; echo over");
            assert_eq!(bench::typed(&mut console, &call).await, "over", "{to}:{port}");
        }
        let ping = format!("ping -c 1 -W 2 {to} >/dev/null && echo answers; echo over");
        let expected = if to == "127.0.0.1" { "answers\nover" } else { "over" };
        assert_eq!(bench::typed(&mut console, &ping).await, expected, "{to}");
    }
    service.set_nonblocking(true).unwrap();
    assert!(service.accept().is_err(), "nobody came through");

    // Names: the host's own are its own, others are asked for.
    let look = |name: &str| format!("nslookup {name} | tail -n +4 | grep -o 'Address.*'; echo over");
    assert_eq!(bench::typed(&mut console, &look("metadata.google.internal")).await, "Address: 169.254.169.254\nover");
    assert_eq!(ASKED.load(Ordering::Relaxed), 0);
    assert_eq!(bench::typed(&mut console, &look("example.com")).await, "Address: 192.0.2.77\nover");
    assert!(ASKED.load(Ordering::Relaxed) > 0);

    // A restart changes nothing, and an address that is taken away leads nowhere.
    bench.stop_in_order().await;
    bench.start().await;
    bench.call().await;
    assert_eq!(call().unwrap(), "SSH-2.0-");
    bench.desire([order(&bench, 2)]).await;
    bench.settled(&["nft", "list", "map", "inet", "host", "inwards"], "ipv4_addr : ipv4_addr\n\t}").await;
    assert!(call().is_err());
    bench.leave_no_trace().await;

    /// Says of every name that it is 192.0.2.77, and of none that it has another kind of address.
    fn answer_names(resolver: &UdpSocket) {
        let mut buffer = [0; 600];
        while let Ok((length, from)) = resolver.recv_from(&mut buffer) {
            ASKED.fetch_add(1, Ordering::Relaxed);
            let mut said = buffer[..length].to_vec();
            said[2..4].copy_from_slice(&[0x81, 0x80]);
            if said[length - 4..] == [0, 1, 0, 1] {
                said[7] = 1;
                said.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 77]);
            }
            resolver.send_to(&said, from).unwrap();
        }
    }
}
