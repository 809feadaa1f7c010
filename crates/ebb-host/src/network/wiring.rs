//! What does the thread in the namespace do about what it is asked?
//!
//! It keeps beside the plan what stands in the kernel for each guest, so that a change is the difference, and when something goes
//! wrong all of it can be put in order again from the plan.

mod order;
mod others;
mod reading;

use super::home::Home;
use super::meter::{self, Meter};
use super::pace::Pace;
use super::plan::{Plan, Port, Stay};
use super::rules::{self, Frame};
use super::standing::{self, Names, Standing, done, undone};
use super::system::{self, batch, batch_anyway};
use super::uplink::{self, Link};
use super::{Metered, Plug, Remembered, Request, Then, Told, socket, tap, tunnel};
use crate::config::{QemuConfig, Uplink};
use crate::error::HostError;
use crate::files;
use crate::network::dhcp::Leases;
use ebb_driver::counters::next_minute;
use ebb_driver::wall::Wall;
use ebb_model::id::{AccountId, InstanceId};
use ebb_model::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tracing::{error, warn};

pub struct Wiring {
    /// Of the namespace.
    name: String,
    file: PathBuf,
    config: QemuConfig,
    clock: Arc<Wall>,
    frame: Frame,
    plan: Plan,
    meter: Meter,
    pace: Pace,
    /// What stands for each guest, and for each network by its bridge.
    guests: BTreeMap<InstanceId, Standing>,
    networks: BTreeMap<String, (Port, Standing)>,
    /// What orders say, also of guests that are not there yet.
    told: BTreeMap<InstanceId, Told>,
    home: Option<Home>,
    link: Option<Link>,
    leases: Leases,
    remembered: Remembered,
    metered: UnboundedSender<Metered>,
    /// When the counters are read next.
    due: Timestamp,
}

/// What remains to be done when nobody need wait for it.
#[derive(Default)]
struct Tidying {
    links: String,
    home: String,
    rates: String,
}

/// A guest that is to be attached, and who waits for that.
type Attaching = (InstanceId, AccountId, oneshot::Sender<Result<Plug, String>>);

/// What is to become of guests: where each stands from now on; `None`: nowhere.
type Next = BTreeMap<InstanceId, Option<Stay>>;

impl Wiring {
    pub fn new(
        root: &Path,
        config: QemuConfig,
        clock: Arc<Wall>,
        plan: Plan,
        metered: UnboundedSender<Metered>,
    ) -> Result<Self, HostError> {
        let meter = Meter::open(root.join("meter.json"))?;
        Ok(Self {
            name: super::namespace(root),
            file: root.join("network.json"),
            frame: Frame::of(&config.network),
            due: next_minute(clock.now()),
            remembered: Arc::new(std::sync::RwLock::new(meter.readings())),
            config,
            clock,
            plan,
            meter,
            metered,
            pace: Pace::default(),
            guests: BTreeMap::new(),
            networks: BTreeMap::new(),
            told: BTreeMap::new(),
            home: None,
            link: None,
            leases: Leases::default(),
        })
    }

    pub fn leases(&self) -> Leases {
        self.leases.clone()
    }

    pub fn remembered(&self) -> Remembered {
        self.remembered.clone()
    }

    pub fn mtu(&self) -> u16 {
        tunnel::mtu(&self.frame)
    }

    pub fn serve(&mut self, queue: &mpsc::Receiver<Request>) {
        while let Ok(first) = queue.recv() {
            let (mut attach, mut detach, mut told, mut reads) = (vec![], vec![], vec![], vec![]);
            for request in std::iter::once(first).chain(queue.try_iter()) {
                match request {
                    Request::Attach { guest, account, reply } => attach.push((guest, account, reply)),
                    Request::Detach { guest, reply } => detach.push((guest, reply)),
                    Request::Tell { guest, told: what } => {
                        self.told.insert(guest, what);
                        told.push(guest);
                    }
                    Request::Forget { guest } => self.forget(guest),
                    Request::Peers { hosts } => self.change_peers(hosts),
                    Request::Read { then } => reads.push(then),
                    Request::Socket { reply } => drop(reply.send(socket())),
                }
            }
            if !detach.is_empty() {
                let tidying = self.dismiss(detach.iter().map(|(guest, _)| *guest));
                for (_, reply) in detach {
                    // Whoever asked may be gone.
                    let _ = reply.send(());
                }
                self.tidy(tidying);
            }
            self.adjust(&told);
            self.attach_all(attach);
            for then in reads {
                self.read();
                if then == Then::SayAll {
                    let _ = self.metered.send(Metered { readings: vec![], all_said: true });
                }
            }
        }
    }

    /// One that fails must not take the others with it, so after a failure each is tried alone.
    fn attach_all(&mut self, attach: Vec<Attaching>) {
        let wanted: Vec<_> = attach.iter().map(|(guest, account, _)| (*guest, *account)).collect();
        match self.attach(&wanted) {
            Ok(plugs) => attach.into_iter().zip(plugs).for_each(|((.., reply), plug)| drop(reply.send(Ok(plug)))),
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

    fn attach(&mut self, wanted: &[(InstanceId, AccountId)]) -> Result<Vec<Plug>, String> {
        if wanted.is_empty() {
            return Ok(vec![]);
        }
        let now = self.clock.now();
        self.plan.retire(now);
        let (mut plan, mut next, mut plugs, mut taps) = (self.plan.clone(), Next::new(), vec![], String::new());
        for (guest, account) in wanted {
            let told = self.told.get(guest).cloned().unwrap_or_default();
            let port = plan.place(&self.config, *guest, *account, told.place, now).map_err(|e| e.to_string())?;
            let stay = Stay { account: *account, port, around: told.around };
            plan.settle(*guest, stay.clone());
            next.insert(*guest, Some(stay));
            let tap = tap::open(&port.tap()).map_err(|e| format!("the tap {} cannot be made: {e}", port.tap()))?;
            writeln!(taps, "link set {} master {} up", port.tap(), port.bridge()).expect("a string takes everything");
            plugs.push(Plug { port, tap });
        }
        // The choice of a place is part of the plan.
        let before = std::mem::replace(&mut self.plan, plan);
        match self.apply(&before, next, &taps) {
            Ok(tidying) => self.tidy(tidying),
            Err(why) => {
                self.plan = before;
                self.put_in_order();
                return Err(why);
            }
        }
        Ok(plugs)
    }

    /// Takes guests off the allow list, and reads what their addresses counted.
    fn dismiss(&mut self, guests: impl Iterator<Item = InstanceId>) -> Tidying {
        let now = self.clock.now();
        let before = self.plan.clone();
        let mut next = Next::new();
        for guest in guests {
            self.told.remove(&guest);
            if self.plan.get(guest).is_some() {
                self.plan.vacate(guest, now);
                next.insert(guest, None);
            }
        }
        self.change(&before, next)
    }

    /// Brings what is around guests into line with what was told; those that are not there yet get it with their start.
    fn adjust(&mut self, told: &[InstanceId]) {
        let before = self.plan.clone();
        let mut next = Next::new();
        for guest in told {
            let (Some(stay), Some(told)) = (before.get(*guest), self.told.get(guest)) else { continue };
            if stay.around != told.around {
                let stay = Stay { around: told.around.clone(), ..stay.clone() };
                self.plan.settle(*guest, stay.clone());
                next.insert(*guest, Some(stay));
            }
        }
        let tidying = self.change(&before, next);
        self.tidy(tidying);
    }

    /// A change that nobody can refuse.
    fn change(&mut self, before: &Plan, next: Next) -> Tidying {
        if next.is_empty() {
            return Tidying::default();
        }
        self.apply(before, next, "").unwrap_or_else(|why| {
            error!("the network could not be changed, so all of it is made anew: {why}");
            self.put_in_order();
            Tidying::default()
        })
    }

    /// Carries out a change of the plan: what was, what is to become of some guests, and commands for their taps.
    fn apply(&mut self, before: &Plan, mut next: Next, taps: &str) -> Result<Tidying, String> {
        self.take_over(before, &mut next);
        let stood = sum(next.keys().filter_map(|guest| self.guests.get(guest)));
        let kept = sum(self.standing_of(&next).values());
        // What goes, goes first: what it counted is read when it counts no more.
        let mut book = String::new();
        rules::take_away(&mut book, &stood, &kept);
        let counted = self.count(before, &next, &mut book)?;
        if let Some((uplink, _)) = &self.frame.uplink {
            batch("tc", &self.pace.admit(uplink, &kept.rates))?;
        }
        let stands = self.standing_of(&next);
        let stand = sum(stands.values());
        let mut links = String::new();
        let tunnels = self.open_networks(&mut book, &mut links);
        let rest =
            Standing { elements: stood.elements.intersection(&kept.elements).cloned().collect(), ..stood.clone() };
        rules::bring(&mut book, &rest, &stand);
        // An address that was given out but not written down would go to another guest after a crash.
        files::write(&self.file, &files::json(&self.plan)).map_err(|e| format!("{}: {e}", self.file.display()))?;
        // The guard first: a tap that is up meets it.
        system::rules(&book)?;
        if let Some(counts) = counted.looked {
            meter::sweep(&self.names(), &counts);
        }
        links += taps;
        links += &done(&stood.links, &stand.links);
        batch("ip", &links)?;
        self.at_home(&done(&stood.home, &stand.home))?;
        self.reach(&BTreeSet::new(), &self.plan.peers.clone(), &tunnels);
        self.announce(&stand.publics.difference(&stood.publics).copied().collect());
        for guest in next.keys() {
            self.guests.remove(guest);
        }
        self.guests.extend(stands);
        self.publish();
        self.say(counted.said);
        let all = self.all();
        let over = self.frame.uplink.as_ref().map(|(uplink, _)| self.pace.dismiss(uplink, &all.rates));
        Ok(Tidying {
            links: undone(&stood.links, &stand.links),
            home: undone(&stood.home, &stand.home),
            rates: over.unwrap_or_default(),
        })
    }

    /// Makes what networks need in which the first guest stands; gives the devices by which they go on.
    fn open_networks(&mut self, book: &mut String, links: &mut String) -> Vec<String> {
        let mut tunnels = vec![];
        for (name, port) in self.plan.networks() {
            if !self.networks.contains_key(&name) {
                let standing = Standing::of_network(port, &self.frame);
                rules::bring(book, &Standing::default(), &standing);
                self.bridge(links, port);
                tunnel::device(links, port, &self.frame);
                tunnels.extend(standing::tunnel(port, &self.frame));
                self.networks.insert(name, (port, standing));
            }
        }
        tunnels
    }

    /// An address leads to one guest: to whom it leads now is not always told first that it does not any more.
    fn take_over(&mut self, before: &Plan, next: &mut Next) {
        let claims: Vec<(Ipv4Addr, InstanceId)> = next
            .iter()
            .flat_map(|(id, stay)| stay.iter().flat_map(|stay| &stay.around.addresses).map(|address| (address.ip, *id)))
            .filter(|(ip, id)| before.holder(*ip) != Some(*id))
            .collect();
        for (ip, heir) in claims {
            for (guest, stay) in self.plan.guests().map(|(id, stay)| (id, stay.clone())).collect::<Vec<_>>() {
                if guest != heir && stay.around.addresses.iter().any(|address| address.ip == ip) {
                    let mut stay = stay;
                    stay.around.addresses.retain(|address| address.ip != ip);
                    self.plan.settle(guest, stay.clone());
                    next.insert(guest, Some(stay));
                }
            }
        }
    }

    /// What nobody need wait for: whoever gets an address next comes after this.
    fn tidy(&mut self, tidying: Tidying) {
        let Tidying { mut links, home, rates } = tidying;
        let here = self.plan.networks();
        let gone: Vec<String> = self.networks.keys().filter(|name| !here.contains_key(*name)).cloned().collect();
        let mut book = String::new();
        for name in &gone {
            let (port, standing) = self.networks.remove(name).expect("a network that was just seen");
            rules::take_away(&mut book, &standing, &Standing::default());
            if let Some(vx) = standing::tunnel(port, &self.frame) {
                writeln!(links, "link del {vx}").expect("a string takes everything");
            }
            writeln!(links, "link del {name}").expect("a string takes everything");
        }
        if let Err(why) = system::rules(&book) {
            warn!("a network that nobody is in stays in the rules until the next start: {why}");
        }
        batch_anyway("ip", &links);
        batch_anyway("tc", &rates);
        if !home.is_empty()
            && let Some(inside) = &self.home
        {
            inside.visit(|| batch_anyway("ip", &home));
        }
    }

    fn at_home(&self, commands: &str) -> Result<(), String> {
        match (commands, &self.home) {
            ("", _) | (_, None) => Ok(()),
            (_, Some(home)) => home.visit(|| batch("ip", commands)),
        }
    }

    fn names(&self) -> Names {
        Names { counters: self.meter.names(), classes: self.pace.numbers() }
    }

    fn standing_of_guest(&self, guest: InstanceId, stay: &Stay, names: &Names) -> Standing {
        let device = match self.config.network.uplink {
            Some(Uplink::Machine) => Some(uplink::machine_end(&self.name).0),
            _ => None,
        };
        Standing::of_guest(guest, stay, &self.frame, device.as_deref(), names)
    }

    fn standing_of(&self, next: &Next) -> BTreeMap<InstanceId, Standing> {
        let names = self.names();
        let stays = next.iter().filter_map(|(guest, stay)| Some((*guest, stay.as_ref()?)));
        stays.map(|(guest, stay)| (guest, self.standing_of_guest(guest, stay, &names))).collect()
    }

    /// What stands for all guests.
    fn all(&self) -> Standing {
        sum(self.guests.values())
    }

    /// The commands for the bridge of a network.
    fn bridge(&self, links: &mut String, port: Port) {
        let (name, gateway) = (port.bridge(), port.gateway());
        let mac = super::plan::Mac::of(gateway);
        // With an address of its own: one borrowed from a port changes with the ports, and then the kernel forgets the pinned
        // neighbours. Without delay: a guest that boots asks at once. Without snooping: there is no multicast to follow.
        writeln!(
            links,
            "link add {name} address {mac} mtu {} type bridge forward_delay 0 stp_state 0 mcast_snooping 0\n\
             addr replace {gateway}/32 dev {name}\nlink set {name} up",
            self.mtu()
        )
        .expect("a string takes everything");
    }

    fn publish(&self) {
        let known = self.plan.guests().map(|(_, stay)| (stay.port.mac(), stay.port)).collect();
        *self.leases.write().unwrap_or_else(|e| e.into_inner()) = known;
    }
}

/// What stands for some together.
fn sum<'a>(parts: impl Iterator<Item = &'a Standing>) -> Standing {
    let mut sum = Standing::default();
    parts.for_each(|one| sum.add(one));
    sum
}
