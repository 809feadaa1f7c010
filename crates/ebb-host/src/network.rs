//! How are guests connected, and to nothing that is not meant?
//!
//! One network namespace per host, made and used by one thread that has moved into it: it holds a bridge per network, the guests'
//! taps, the rules, the metadata addresses, and the uplink if there is one. It serves what has gathered since it last looked in one
//! go, since each call of `ip` and `nft` costs a few milliseconds whatever it does.

mod announce;
mod chosen;
pub mod dhcp;
pub mod dns;
mod home;
mod meter;
mod pace;
pub mod plan;
pub mod rules;
mod standing;
mod system;
mod tap;
mod tunnel;
pub mod uplink;
mod wiring;

use crate::config::QemuConfig;
use crate::error::HostError;
use crate::files::{self, Files};
use dhcp::Leases;
use ebb_driver::wall::Wall;
use ebb_model::id::{AccountId, InstanceId};
use ebb_model::network::Place;
use ebb_model::traffic::Reading;
use plan::{Plan, Port, Surroundings};
use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, RwLock, mpsc};
use tokio::sync::{mpsc as queues, oneshot};
use wiring::Wiring;

/// The way to the thread in the namespace.
#[derive(Debug, Clone)]
pub struct Network(mpsc::Sender<Request>);

/// What the host itself needs from inside the namespace.
pub struct Inside {
    pub network: Network,
    /// One at each of the metadata's addresses.
    pub metadata: Vec<TcpListener>,
    pub dhcp: UdpSocket,
    pub dns: UdpSocket,
    pub leases: Leases,
    /// The largest packet of a guest.
    pub mtu: u16,
    /// Who has which place already.
    pub guests: Vec<(InstanceId, Port)>,
    /// What is read of the counters, in order.
    pub metered: queues::UnboundedReceiver<Metered>,
    pub remembered: Remembered,
}

/// The last readings of each hour.
pub type Remembered = Arc<RwLock<Vec<Reading>>>;

/// Readings, and whether somebody who asked for what is due has all of it now.
#[derive(Debug, Default)]
pub struct Metered {
    pub readings: Vec<Reading>,
    pub all_said: bool,
}

/// A guest's end of its network.
#[derive(Debug)]
pub struct Plug {
    pub port: Port,
    pub tap: OwnedFd,
}

/// What an order says of a guest's network.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    pub place: Option<Place>,
    pub around: Surroundings,
}

#[derive(Debug)]
enum Request {
    Attach { guest: InstanceId, account: AccountId, reply: oneshot::Sender<Result<Plug, String>> },
    Detach { guest: InstanceId, reply: oneshot::Sender<()> },
    Tell { guest: InstanceId, told: Told },
    Forget { guest: InstanceId },
    Peers { hosts: BTreeSet<Ipv4Addr> },
    Read { then: Then },
    Socket { reply: oneshot::Sender<io::Result<TcpStream>> },
}

/// What somebody wants who asks for what is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Nothing,
    SayAll,
}

impl Network {
    /// Gives a guest its address and a new tap, as it was told last.
    pub async fn attach(&self, guest: InstanceId, account: AccountId) -> Result<Plug, String> {
        self.ask(|reply| Request::Attach { guest, account, reply })
            .await
            .unwrap_or_else(|| Err("the network thread ended".to_owned()))
    }

    /// Takes a guest's addresses back, the public ones' last readings before that; its tap went with its process.
    pub async fn detach(&self, guest: InstanceId) {
        self.ask(|reply| Request::Detach { guest, reply }).await;
    }

    /// What is to be around a guest, from now on if it is there and else from its start on.
    pub fn tell(&self, guest: InstanceId, told: Told) {
        let _ = self.0.send(Request::Tell { guest, told });
    }

    /// The server has written down that a guest is gone: its last readings need not be remembered.
    pub fn forget(&self, guest: InstanceId) {
        let _ = self.0.send(Request::Forget { guest });
    }

    /// These hosts and no others are reached by the tunnel.
    pub fn peers(&self, hosts: BTreeSet<Ipv4Addr>) {
        let _ = self.0.send(Request::Peers { hosts });
    }

    /// Reads the counters if that is due; what was read comes by itself, and then what was asked for.
    pub fn read(&self, then: Then) {
        let _ = self.0.send(Request::Read { then });
    }

    /// A TCP socket that is not connected yet and sees the guests.
    pub async fn socket(&self) -> io::Result<TcpStream> {
        let ended = || Err(io::Error::other("the network thread ended"));
        self.ask(|reply| Request::Socket { reply }).await.unwrap_or_else(ended)
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.0.send(request(reply)).ok()?;
        answer.await.ok()
    }
}

/// The name of the namespace of the host with this data directory: the same at each start, another for each host of a machine.
pub fn namespace(root: &Path) -> String {
    // FNV-1a; it need only differ between the few hosts of one machine.
    let hash = root
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("ebb-{:012x}", hash & 0xffff_ffff_ffff)
}

/// Makes the namespace or takes up the one there is. Blocks.
pub fn open(files: Arc<Files>, config: QemuConfig, clock: Arc<Wall>) -> Result<Inside, HostError> {
    config.network.check().map_err(HostError::NetworkConfig)?;
    let plan: Plan = files::read(&files.root().join("network.json"))?.unwrap_or_default();
    let guests = plan.guests().map(|(id, stay)| (id, stay.port)).collect();
    let (requests, queue) = mpsc::channel();
    let (ready, opened) = mpsc::channel();
    let (say, metered) = queues::unbounded_channel();
    let mut wiring = Wiring::new(files.root(), config, clock, plan, say)?;
    let (leases, remembered, mtu) = (wiring.leases(), wiring.remembered(), wiring.mtu());
    let body = move || {
        let sockets = wiring.enter().and_then(|()| sockets().map_err(|e| e.to_string()));
        let entered = sockets.is_ok();
        let _ = ready.send(sockets);
        if entered {
            wiring.serve(&queue);
        }
    };
    std::thread::Builder::new()
        .name("network".to_owned())
        .spawn(body)
        .map_err(|e| HostError::Network(e.to_string()))?;
    let Sockets { metadata, dhcp, dns } =
        opened.recv().unwrap_or_else(|_| Err("its thread panicked".to_owned())).map_err(HostError::Network)?;
    Ok(Inside { network: Network(requests), metadata, dhcp, dns, leases, mtu, guests, metered, remembered })
}

/// What is listened to in the namespace.
struct Sockets {
    metadata: Vec<TcpListener>,
    dhcp: UdpSocket,
    dns: UdpSocket,
}

/// Opens what guests ask. Answers do not go beyond the guest itself (a hop limit of 1): whoever is made to pass one on to
/// somebody behind it cannot.
fn sockets() -> io::Result<Sockets> {
    let named = |what: &'static str| move |e: io::Error| io::Error::other(format!("the {what} port: {e}"));
    let mut metadata = vec![];
    for address in rules::METADATA {
        let listener = TcpListener::bind((address, 80)).map_err(named("metadata"))?;
        listener.set_ttl(1)?;
        listener.set_nonblocking(true)?;
        metadata.push(listener);
    }
    let dhcp = UdpSocket::bind(("0.0.0.0", 67)).map_err(named("DHCP"))?;
    let dns = UdpSocket::bind((rules::SHARED, 53)).map_err(named("DNS"))?;
    dns.set_ttl(1)?;
    for socket in [&dhcp, &dns] {
        socket.set_nonblocking(true)?;
    }
    Ok(Sockets { metadata, dhcp, dns })
}

fn socket() -> io::Result<TcpStream> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?.into())
}
