//! A world outside of a host: a namespace of its own, joined to the host's uplink, with people in it who call and are called.

use ebb_host::Uplink;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Who lives outside, and where the host is.
pub const NEIGHBOUR: &str = "198.51.100.1";
pub const HOST: &str = "198.51.100.2";
/// A network of the operator's, with a mirror that guests may reach and something that they may not.
pub const MIRROR: &str = "10.9.9.9";
pub const PRIVATE: &str = "10.9.9.10";

pub struct Outside {
    name: String,
    /// The end that is the host's.
    pub interface: String,
    ours: String,
}

impl Outside {
    /// Joined to nothing yet but an interface of this machine.
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = format!("{}n{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let (name, interface, ours) = (format!("out{number}"), format!("eu{number}"), "world".to_owned());
        ip(&format!("netns add {name}"));
        ip(&format!("link add {interface} type veth peer name {ours} netns {name}"));
        let outside = Self { name, interface, ours };
        outside.ip("link set lo up");
        outside.ip(&format!("link set {} up", outside.ours));
        outside.ip(&format!("addr add {NEIGHBOUR}/24 dev {}", outside.ours));
        for address in [MIRROR, PRIVATE] {
            outside.ip(&format!("addr add {address}/32 dev lo"));
        }
        // Public addresses are somewhere in this network; private ones are not, and still somebody tries.
        outside.ip(&format!("route add 203.0.113.0/24 dev {}", outside.ours));
        outside.ip(&format!("route add 10.64.0.0/10 via {HOST}"));
        outside
    }

    pub fn uplink(&self) -> Uplink {
        Uplink::Interface {
            interface: self.interface.clone(),
            address: format!("{HOST}/24").parse().unwrap(),
            gateway: NEIGHBOUR.parse().unwrap(),
        }
    }

    pub fn ip(&self, words: &str) -> String {
        ip(&format!("-n {} {words}", self.name))
    }

    pub fn run(&self, words: &[&str]) -> String {
        let output = Command::new("ip").args(["netns", "exec", &self.name]).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Says something in here.
    pub fn here<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.name, work)
    }

    pub fn call(&self, to: &str, port: u16) -> io::Result<TcpStream> {
        let to: SocketAddr = format!("{to}:{port}").parse().unwrap();
        let stream = self.here(|| TcpStream::connect_timeout(&to, Duration::from_secs(3)))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(stream)
    }

    /// The first bytes that somebody says who is called.
    pub fn banner(&self, to: &str, port: u16) -> io::Result<String> {
        let mut bytes = [0; 8];
        self.call(to, port)?.read_exact(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Says something by UDP; whether within a second an ICMP error comes back.
    pub fn is_told_that_nobody_listens(&self, to: &str, port: u16) -> bool {
        let socket = self.here(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        socket.connect(format!("{to}:{port}")).unwrap();
        socket.send(b"anybody?").unwrap();
        socket.recv(&mut [0; 1500]).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
    }

    /// An echo request, and whether an echo comes within a second.
    pub fn ping(&self, to: &str) -> bool {
        use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sockopt};
        let to: Ipv4Addr = to.parse().unwrap();
        let socket =
            self.here(|| rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)).unwrap());
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(Duration::from_secs(1))).unwrap();
        // Type 8, code 0, identifier 0x1234, sequence 1, and the sum of it.
        let sum = !(0x0800_u16 + 0x1234 + 1);
        let mut request = vec![8, 0];
        request.extend(sum.to_be_bytes());
        request.extend([0x12, 0x34, 0, 1]);
        rustix::net::sendto(&socket, &request, SendFlags::empty(), &std::net::SocketAddrV4::new(to, 0)).unwrap();
        let mut buffer = [0; 1500];
        while let Ok(length) = rustix::io::read(&socket, &mut buffer[..]) {
            // Behind the header: an echo of it from whom it went to.
            if length >= 28 && buffer[12..16] == to.octets() && buffer[20] == 0 && buffer[24..26] == [0x12, 0x34] {
                return true;
            }
        }
        false
    }

    /// Tells each caller who he is, forever.
    pub fn who_calls(&self, port: u16) {
        let listener = self.here(|| TcpListener::bind(("0.0.0.0", port)).unwrap());
        std::thread::spawn(move || {
            for mut caller in listener.incoming().flatten() {
                let from = caller.peer_addr().unwrap().ip();
                let _ = writeln!(caller, "you are {from}");
            }
        });
    }

    /// Swallows what callers say; how much that was.
    pub fn swallow(&self, port: u16) -> Arc<AtomicU64> {
        let listener = self.here(|| TcpListener::bind(("0.0.0.0", port)).unwrap());
        let swallowed = Arc::new(AtomicU64::new(0));
        let sum = swallowed.clone();
        std::thread::spawn(move || {
            for mut caller in listener.incoming().flatten() {
                let sum = sum.clone();
                std::thread::spawn(move || {
                    let mut buffer = vec![0; 64 << 10];
                    while let Ok(length @ 1..) = caller.read(&mut buffer) {
                        sum.fetch_add(length as u64, Ordering::Relaxed);
                    }
                });
            }
        });
        swallowed
    }

    /// Counts here what comes from an address, header and all.
    pub fn count_from(&self, address: &str) {
        self.run(&["nft", "add", "table", "ip", "seen"]);
        self.run(&["nft", "add", "counter", "ip", "seen", "all_of_it"]);
        self.run(&["nft", "add", "chain", "ip", "seen", "arrives", "{ type filter hook prerouting priority -150; }"]);
        self.run(&[
            "nft",
            "add",
            "rule",
            "ip",
            "seen",
            "arrives",
            "ip",
            "saddr",
            address,
            "counter",
            "name",
            "all_of_it",
        ]);
    }

    pub fn counted(&self) -> i64 {
        let listed = self.run(&["nft", "list", "counter", "ip", "seen", "all_of_it"]);
        let bytes = listed.split("bytes ").last().unwrap().split_whitespace().next().unwrap();
        bytes.parse().unwrap()
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.name));
        // Unless the host's namespace took it along.
        let _ = Command::new("ip").args(["link", "del", &self.interface]).output();
    }
}

/// Does something in a namespace.
pub fn inside<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> T {
    let path = Path::new("/run/netns").join(name);
    let enter = move || {
        let namespace = std::fs::File::open(path).unwrap();
        let kind = Some(rustix::thread::LinkNameSpaceType::Network);
        rustix::thread::move_into_link_name_space(namespace.as_fd(), kind).unwrap();
        work()
    };
    std::thread::scope(|scope| scope.spawn(enter).join().unwrap())
}

pub fn ip(words: &str) -> String {
    let output = Command::new("ip").args(words.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
