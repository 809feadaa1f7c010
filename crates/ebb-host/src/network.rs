//! How are guests connected, and to nothing else?
//!
//! One network namespace per host, made and used by one thread that has moved into it: it holds a bridge per account, the guests'
//! taps, the rules, the metadata addresses. It serves what has gathered since it last looked in one go, since each call of `ip` and
//! `nft` costs a few milliseconds whatever it does.

pub mod dhcp;
pub mod dns;
pub mod plan;
pub mod rules;
mod tap;

use crate::config::QemuConfig;
use crate::error::HostError;
use crate::files::{self, Files};
use dhcp::Leases;
use ebb_driver::wall::Wall;
use ebb_model::id::{AccountId, InstanceId};
use plan::{Plan, Port};
use rustix::thread::LinkNameSpaceType;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use tokio::sync::oneshot;
use tracing::{error, warn};

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
    /// Who has which place already.
    pub guests: Vec<(InstanceId, Port)>,
}

/// A guest's end of its network.
#[derive(Debug)]
pub struct Plug {
    pub port: Port,
    pub tap: OwnedFd,
}

#[derive(Debug)]
enum Request {
    Attach { guest: InstanceId, account: AccountId, reply: oneshot::Sender<Result<Plug, String>> },
    Detach { guest: InstanceId, reply: oneshot::Sender<()> },
    Socket { reply: oneshot::Sender<io::Result<TcpStream>> },
}

impl Network {
    /// Gives a guest its address and a new tap.
    pub async fn attach(&self, guest: InstanceId, account: AccountId) -> Result<Plug, String> {
        self.ask(|reply| Request::Attach { guest, account, reply })
            .await
            .unwrap_or_else(|| Err("the network thread ended".to_owned()))
    }

    /// Takes a guest's address back; its tap went with its process.
    pub async fn detach(&self, guest: InstanceId) {
        self.ask(|reply| Request::Detach { guest, reply }).await;
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
    if !config.network.is_valid() {
        return Err(HostError::NetworkRange(format!("{}/{}", config.network.base, config.network.prefix)));
    }
    let plan: Plan = files::read(&files.root().join("network.json"))?.unwrap_or_default();
    let guests = plan.guests().collect();
    let leases = Leases::default();
    let (requests, queue) = mpsc::channel();
    let (ready, opened) = mpsc::channel();
    let mut wiring = Wiring {
        name: namespace(files.root()),
        file: files.root().join("network.json"),
        config,
        clock,
        plan,
        bridges: BTreeSet::new(),
        leases: leases.clone(),
    };
    let body = move || {
        let sockets = wiring.enter();
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
    Ok(Inside { network: Network(requests), metadata, dhcp, dns, leases, guests })
}

/// What is listened to in the namespace.
struct Sockets {
    metadata: Vec<TcpListener>,
    dhcp: UdpSocket,
    dns: UdpSocket,
}

struct Wiring {
    name: String,
    file: PathBuf,
    config: QemuConfig,
    clock: Arc<Wall>,
    plan: Plan,
    bridges: BTreeSet<String>,
    leases: Leases,
}

impl Wiring {
    /// Moves this thread into the namespace and puts everything there in order.
    fn enter(&mut self) -> Result<Sockets, String> {
        let path = Path::new("/run/netns").join(&self.name);
        if !path.exists() {
            run(Command::new("ip").args(["netns", "add", &self.name]), "")?;
        }
        let ours = File::open(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        rustix::thread::move_into_link_name_space(ours.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|e| format!("the namespace {} cannot be entered: {e}", self.name))?;
        settings();
        self.bridges = bridges()?;

        // The rules come before the first bridge.
        let book = rules::all(self.plan.networks(), self.plan.guests().map(|(_, port)| port));
        run(Command::new("nft").args(["-f", "-"]), &book)?;
        let mut links = String::from("link set lo up\n");
        for address in rules::METADATA {
            writeln!(links, "addr replace {address}/32 dev lo").expect("a string takes everything");
        }
        let known: Vec<Port> = self.plan.networks().collect();
        let stale: Vec<String> =
            self.bridges.iter().filter(|name| !known.iter().any(|p| p.bridge() == **name)).cloned().collect();
        for name in stale {
            writeln!(links, "link del {name}").expect("a string takes everything");
            self.bridges.remove(&name);
        }
        known.iter().for_each(|port| self.bridge(&mut links, *port));
        self.plan.guests().for_each(|(_, port)| neighbour(&mut links, port));
        run(Command::new("ip").args(["-batch", "-"]), &links)?;
        self.publish();

        sockets().map_err(|e| e.to_string())
    }

    fn serve(&mut self, queue: &mpsc::Receiver<Request>) {
        while let Ok(first) = queue.recv() {
            let (mut attach, mut detach) = (vec![], vec![]);
            for request in std::iter::once(first).chain(queue.try_iter()) {
                match request {
                    Request::Attach { guest, account, reply } => attach.push((guest, account, reply)),
                    Request::Detach { guest, reply } => detach.push((guest, reply)),
                    Request::Socket { reply } => drop(reply.send(socket())),
                }
            }
            if !detach.is_empty() {
                let gone = self.dismiss(detach.iter().map(|(guest, _)| *guest).collect());
                for (_, reply) in detach {
                    // Whoever asked may be gone.
                    let _ = reply.send(());
                }
                self.forget(&gone);
            }
            // One that fails must not take the others with it, so after a failure each is tried alone.
            let wanted: Vec<_> = attach.iter().map(|(guest, account, _)| (*guest, *account)).collect();
            let plugs = self.attach(&wanted);
            if plugs.is_err() {
                self.bridges = bridges().unwrap_or_default();
            }
            match plugs {
                Ok(plugs) => {
                    attach.into_iter().zip(plugs).for_each(|((.., reply), plug)| drop(reply.send(Ok(plug))));
                }
                Err(why) if attach.len() == 1 => {
                    attach.into_iter().for_each(|(.., reply)| drop(reply.send(Err(why.clone()))))
                }
                Err(_) => {
                    for (guest, account, reply) in attach {
                        let plug = self.attach(&[(guest, account)]);
                        let _ = reply.send(plug.map(|mut plugs| plugs.remove(0)));
                    }
                }
            }
        }
    }

    fn attach(&mut self, wanted: &[(InstanceId, AccountId)]) -> Result<Vec<Plug>, String> {
        if wanted.is_empty() {
            return Ok(vec![]);
        }
        let now = self.clock.now();
        let (mut links, mut book) = (String::new(), String::new());
        for port in self.plan.retire(now) {
            if self.bridges.remove(&port.bridge()) {
                writeln!(links, "link del {}", port.bridge()).expect("a string takes everything");
                rules::dismiss_network(&mut book, port);
            }
        }
        let mut plugs = vec![];
        for (guest, account) in wanted {
            let port = self.plan.place(&self.config.network, *guest, *account, now).map_err(|e| e.to_string())?;
            self.bridge(&mut links, port);
            rules::admit_network(&mut book, port);
            rules::admit(&mut book, port);
            let tap = tap::open(&port.tap()).map_err(|e| format!("the tap {} cannot be made: {e}", port.tap()))?;
            writeln!(links, "link set {} master {} up", port.tap(), port.bridge()).expect("a string takes everything");
            neighbour(&mut links, port);
            plugs.push(Plug { port, tap });
        }
        // An address that was given out but not written down would go to another guest after a crash.
        files::write(&self.file, &files::json(&self.plan)).map_err(|e| format!("{}: {e}", self.file.display()))?;
        // The guard first: a tap that is up meets it.
        run(Command::new("nft").args(["-f", "-"]), &book)?;
        run(Command::new("ip").args(["-batch", "-"]), &links)?;
        self.publish();
        Ok(plugs)
    }

    /// Takes guests off the allow list.
    fn dismiss(&mut self, guests: Vec<InstanceId>) -> Vec<Port> {
        let now = self.clock.now();
        let gone: Vec<Port> = guests.into_iter().filter_map(|guest| self.plan.vacate(guest, now)).collect();
        self.publish();
        let mut book = String::new();
        gone.iter().for_each(|port| rules::dismiss(&mut book, *port));
        if !book.is_empty()
            && let Err(why) = run(Command::new("nft").args(["-f", "-"]), &book)
        {
            error!("an address that nobody has stays on the allow list until the next start: {why}");
        }
        gone
    }

    /// What nobody need wait for: whoever gets the address next comes after this.
    fn forget(&self, gone: &[Port]) {
        if gone.is_empty() {
            return;
        }
        let mut links = String::new();
        for port in gone {
            writeln!(links, "neigh del {} dev {}", port.0, port.bridge()).expect("a string takes everything");
        }
        if let Err(why) = run(Command::new("ip").args(["-force", "-batch", "-"]), &links) {
            warn!("{why}");
        }
        if let Err(e) = files::write(&self.file, &files::json(&self.plan)) {
            warn!("{}: {e}; after a restart the addresses are swept", self.file.display());
        }
    }

    /// The commands for the bridge of a port, unless it is there.
    fn bridge(&mut self, links: &mut String, port: Port) {
        let name = port.bridge();
        if self.bridges.insert(name.clone()) {
            let gateway = port.gateway();
            let mac = Port(gateway).mac();
            // With an address of its own: one borrowed from a port changes with the ports, and then the kernel forgets the pinned
            // neighbours. Without delay: a guest that boots asks at once. Without snooping: there is no multicast to follow.
            writeln!(
                links,
                "link add {name} address {mac} type bridge forward_delay 0 stp_state 0 mcast_snooping 0\n\
                 addr replace {gateway}/24 dev {name}\nlink set {name} up"
            )
            .expect("a string takes everything");
        }
    }

    fn publish(&self) {
        let known = self.plan.guests().map(|(_, port)| (port.mac(), port)).collect();
        *self.leases.write().unwrap_or_else(|e| e.into_inner()) = known;
    }
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

/// The bridges that are there.
fn bridges() -> Result<BTreeSet<String>, String> {
    let links = run(Command::new("ip").args(["-o", "link", "show", "type", "bridge"]), "")?;
    Ok(links.lines().filter_map(|line| Some(line.split(": ").nth(1)?.to_owned())).collect())
}

/// A guest's address belongs to its MAC, whatever it says in ARP.
fn neighbour(links: &mut String, port: Port) {
    writeln!(links, "neigh replace {} lladdr {} dev {} nud permanent", port.0, port.mac(), port.bridge())
        .expect("a string takes everything");
}

/// The namespace's own settings; a kernel that lacks one of the files lacks the thing as well.
fn settings() {
    for (file, value) in [
        // A frame between two guests of an account shall not meet the rules for what passes through the host.
        ("bridge/bridge-nf-call-iptables", "0"),
        ("bridge/bridge-nf-call-ip6tables", "0"),
        ("bridge/bridge-nf-call-arptables", "0"),
        ("ipv6/conf/all/disable_ipv6", "1"),
        ("ipv6/conf/default/disable_ipv6", "1"),
        ("ipv4/ip_forward", "0"),
        ("ipv4/conf/all/accept_redirects", "0"),
        ("ipv4/conf/all/send_redirects", "0"),
        ("ipv4/icmp_echo_ignore_broadcasts", "1"),
    ] {
        let path = Path::new("/proc/sys/net").join(file);
        if path.exists()
            && let Err(e) = std::fs::write(&path, value)
        {
            warn!("{} cannot be set to {value}: {e}", path.display());
        }
    }
}

fn socket() -> io::Result<TcpStream> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?.into())
}

/// Runs a program of the system in the thread's namespace; its output, or its complaint.
fn run(command: &mut Command, input: &str) -> Result<String, String> {
    let named = |e: &dyn std::fmt::Display| format!("`{}`: {e}", command_line(command));
    let spawned = Command::new(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|e| named(&e))?;
    let fed = child.stdin.take().expect("a pipe that was asked for").write_all(input.as_bytes());
    let output = child.wait_with_output().map_err(|e| named(&e))?;
    match (output.status.success(), fed) {
        (true, Ok(())) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        _ => Err(named(&String::from_utf8_lossy(&output.stderr).trim())),
    }
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
