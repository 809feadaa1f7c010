//! What does the thread in the namespace do about what it is asked?
//!
//! It keeps beside the plan what stands in the kernel for each guest, so that a change is the difference, and when something goes
//! wrong all of it can be put in order again from the plan.

use super::home::{self, Home};
use super::meter::{self, Meter};
use super::pace::Pace;
use super::plan::{Plan, Port, Stay};
use super::rules::{self, Frame};
use super::standing::{self, Names, Standing, done, undone};
use super::system::{self, batch, batch_anyway, run};
use super::uplink::{self, Link};
use super::{Metered, Plug, Remembered, Request, Then, Told, announce, socket, tap, tunnel};
use crate::config::{QemuConfig, Tunnel, Uplink};
use crate::error::HostError;
use crate::files;
use crate::network::dhcp::Leases;
use ebb_driver::counters::next_minute;
use ebb_driver::wall::Wall;
use ebb_model::id::{AccountId, AddressId, InstanceId};
use ebb_model::time::Timestamp;
use ebb_model::traffic::Reading;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
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

    /// Moves this thread into the namespace and puts everything there in order.
    pub fn enter(&mut self) -> Result<(), String> {
        let home = self.home.insert(Home::leave(&self.name)?);
        home::settings();
        if !matches!(self.config.network.uplink, Some(Uplink::Machine)) {
            home.visit(|| uplink::part(&self.name));
        }
        // The rules come before the first interface.
        let counts = self.take_counters_up()?;
        self.put_rules()?;
        let home = self.home.as_ref().expect("it was just made");
        self.link = uplink::join(&self.config.network, &self.name, home)?;
        meter::sweep(&self.names(), &counts);

        let mut links = String::from("link set lo up\n");
        for address in rules::METADATA {
            writeln!(links, "addr replace {address}/32 dev lo").expect("a string takes everything");
        }
        // Tunnels begin anew: nobody waits longer for that than for a frame that is lost.
        for device in devices("vxlan")? {
            writeln!(links, "link del {device}").expect("a string takes everything");
        }
        let bridges = devices("bridge")?;
        bridges.difference(&self.networks.keys().cloned().collect()).for_each(|stale| {
            writeln!(links, "link del {stale}").expect("a string takes everything");
        });
        for (name, (port, _)) in &self.networks {
            match bridges.contains(name) {
                true => writeln!(links, "link set {name} mtu {}", self.mtu()).expect("a string takes everything"),
                false => self.bridge(&mut links, *port),
            }
            tunnel::device(&mut links, *port, &self.frame);
        }
        let all = self.all();
        if let Some((uplink, _)) = &self.frame.uplink {
            for stale in uplink::bound(uplink)?.iter().filter(|ip| !all.publics.contains(ip) && !self.is_own(**ip)) {
                writeln!(links, "addr del {stale}/32 dev {uplink}").expect("a string takes everything");
            }
        }
        links += &done(&BTreeMap::new(), &all.links);
        batch("ip", &links)?;
        self.at_home(&done(&BTreeMap::new(), &all.home))?;
        self.put_rates()?;
        self.reach(&BTreeSet::new(), &self.plan.peers.clone(), &self.tunnels());
        if self.frame.uplink.is_some() {
            home::pass_on();
        }
        self.announce(&all.publics);
        self.publish();
        Ok(())
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
        let now = self.clock.now();
        self.take_over(before, &mut next);
        let merged = |all: &BTreeMap<InstanceId, Standing>, ids: &Next| {
            let mut sum = Standing::default();
            ids.keys().filter_map(|id| all.get(id)).for_each(|one| sum.add(one));
            sum
        };
        let stood = merged(&self.guests, &next);
        // What goes, goes first: what it counted is read when it counts no more.
        let kept = self.standing_of(&next);
        let mut book = String::new();
        rules::take_away(&mut book, &stood, &kept);
        let (mut said, mut counts) = (vec![], None);
        if self.frame.uplink.is_some() && leads_elsewhere(before, &next) {
            system::rules(&std::mem::take(&mut book))?;
            let found = meter::counts()?;
            said = self.meter.look(&found, now);
            counts = Some(found);
        }
        let mut metered = false;
        if self.frame.uplink.is_some() {
            for (guest, stay) in &next {
                let around = stay.iter().flat_map(|stay| &stay.around.addresses);
                let addresses: Vec<AddressId> = around.map(|address| address.id).collect();
                let known = before.get(*guest).is_some_and(|stay| !stay.around.addresses.is_empty());
                if known || !addresses.is_empty() {
                    said.extend(self.meter.lead(*guest, &addresses, now));
                    metered = true;
                }
            }
        }
        if let Some((uplink, _)) = &self.frame.uplink {
            batch("tc", &self.pace.admit(uplink, &kept.rates))?;
        }
        let mut stands: BTreeMap<InstanceId, Standing> = BTreeMap::new();
        let names = self.names();
        for (guest, stay) in &next {
            if let Some(stay) = stay {
                stands.insert(*guest, self.standing_of_guest(*guest, stay, &names));
            }
        }
        let stand = merged(&stands, &next);
        let rest =
            Standing { elements: stood.elements.intersection(&kept.elements).cloned().collect(), ..stood.clone() };
        if metered {
            let ids: BTreeSet<&InstanceId> = next.keys().collect();
            let counters = names.counters.iter().filter(|((guest, _), _)| ids.contains(guest));
            let new = Names { counters: counters.map(|(k, v)| (*k, v.clone())).collect(), ..Names::default() };
            meter::counters(&new, &mut book);
        }
        let mut links = String::new();
        for (name, port) in self.plan.networks() {
            if !self.networks.contains_key(&name) {
                let standing = Standing::of_network(port, &self.frame);
                rules::bring(&mut book, &Standing::default(), &standing);
                self.bridge(&mut links, port);
                tunnel::device(&mut links, port, &self.frame);
                self.networks.insert(name, (port, standing));
            }
        }
        let new_tunnels: Vec<String> = links
            .lines()
            .filter_map(|line| line.strip_prefix("link add vx")?.split(' ').next())
            .map(|n| format!("vx{n}"))
            .collect();
        rules::bring(&mut book, &rest, &stand);
        // An address that was given out but not written down would go to another guest after a crash.
        files::write(&self.file, &files::json(&self.plan)).map_err(|e| format!("{}: {e}", self.file.display()))?;
        if metered {
            self.meter.save();
        }
        // The guard first: a tap that is up meets it.
        system::rules(&book)?;
        if let Some(counts) = counts {
            meter::sweep(&names, &counts);
        }
        links += taps;
        links += &done(&stood.links, &stand.links);
        batch("ip", &links)?;
        self.at_home(&done(&stood.home, &stand.home))?;
        self.reach(&BTreeSet::new(), &self.plan.peers.clone(), &new_tunnels);
        self.announce(&stand.publics.difference(&stood.publics).copied().collect());
        for guest in next.keys() {
            self.guests.remove(guest);
        }
        self.guests.extend(stands);
        self.publish();
        self.say(said);
        let rates = match &self.frame.uplink {
            Some((uplink, _)) => {
                let all = self.all().rates;
                self.pace.dismiss(uplink, &all)
            }
            None => String::new(),
        };
        let tidying =
            Tidying { links: undone(&stood.links, &stand.links), home: undone(&stood.home, &stand.home), rates };
        Ok(tidying)
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

    /// Everything anew from the plan, after something went wrong.
    fn put_in_order(&mut self) {
        let (bridges, here) = (devices("bridge").unwrap_or_default(), self.plan.networks());
        let mut links = String::new();
        for (name, port) in &here {
            if !bridges.contains(name) {
                self.bridge(&mut links, *port);
                tunnel::device(&mut links, *port, &self.frame);
            }
        }
        // What a change that failed has made would be in the way of the next one.
        for stale in bridges.iter().filter(|name| !here.contains_key(*name)) {
            let device = stale.replacen("br", "vx", 1);
            writeln!(links, "link del {stale}\nlink del {device}").expect("a string takes everything");
        }
        let before = std::mem::take(&mut self.guests);
        let mut sum = Standing::default();
        before.values().for_each(|one| sum.add(one));
        if let Err(why) = self.put_rules() {
            error!("the rules could not be put in order: {why}");
        }
        if let Err(why) = self.put_rates() {
            error!("addresses are not held to their rates: {why}");
        }
        let all = self.all();
        links += &undone(&sum.links, &all.links);
        links += &done(&BTreeMap::new(), &all.links);
        batch_anyway("ip", &links);
        self.reach(&BTreeSet::new(), &self.plan.peers.clone(), &self.tunnels());
        if let Err(why) = self.at_home(&done(&BTreeMap::new(), &all.home)) {
            error!("the machine's routes could not be put in order: {why}");
        }
        if let Err(e) = files::write(&self.file, &files::json(&self.plan)) {
            warn!("{}: {e}; after a restart the addresses are swept", self.file.display());
        }
        self.publish();
    }

    /// Replaces the whole rule book, and computes what stands for whom.
    fn put_rules(&mut self) -> Result<(), String> {
        self.networks = self
            .plan
            .networks()
            .into_iter()
            .map(|(name, port)| (name, (port, Standing::of_network(port, &self.frame))))
            .collect();
        let mut rates = BTreeMap::new();
        for (_, stay) in self.plan.guests() {
            let held = stay.around.addresses.iter().filter_map(|address| Some((address.ip, address.mbit?)));
            rates.extend(held);
        }
        if let Some((uplink, _)) = &self.frame.uplink {
            // The numbers; the classes themselves follow, or are there.
            let _ = self.pace.admit(uplink, &rates);
        }
        let names = self.names();
        let stays: Vec<(InstanceId, Stay)> = self.plan.guests().map(|(id, stay)| (id, stay.clone())).collect();
        self.guests = stays.iter().map(|(id, stay)| (*id, self.standing_of_guest(*id, stay, &names))).collect();
        let mut text = String::new();
        if self.frame.uplink.is_some() {
            text.push_str(meter::TABLE);
            meter::counters(&names, &mut text);
        }
        let standing = self.networks.values().map(|(_, standing)| standing).chain(self.guests.values());
        text.push_str(&rules::all(&self.frame, &self.plan.peers, standing));
        system::rules(&text)
    }

    /// Makes the uplink's queue anew. What waits in it is lost, as on any network.
    fn put_rates(&self) -> Result<(), String> {
        let Some((uplink, _)) = &self.frame.uplink else { return Ok(()) };
        let _ = run(Command::new("tc").args(["qdisc", "del", "dev", uplink, "root"]), "");
        batch("tc", &self.pace.all(uplink))
    }

    /// Takes the counters up that are there; those that are not begin anew.
    fn take_counters_up(&mut self) -> Result<meter::Counts, String> {
        if self.frame.uplink.is_none() {
            return Ok(meter::Counts::new());
        }
        let (now, counts) = (self.clock.now(), meter::counts()?);
        for (guest, stay) in self.plan.guests() {
            let addresses: Vec<AddressId> = stay.around.addresses.iter().map(|address| address.id).collect();
            self.meter.lead(guest, &addresses, now);
        }
        if self.meter.renew_lost(&counts, now) {
            self.meter.save();
        }
        Ok(counts)
    }

    /// Reads what is due.
    fn read(&mut self) {
        let now = self.clock.now();
        if self.frame.uplink.is_none() || now < self.due {
            return;
        }
        self.due = next_minute(now);
        match meter::counts() {
            Ok(counts) => {
                let lost = self.meter.renew_lost(&counts, now);
                let said = self.meter.look(&counts, now);
                if lost {
                    // Whoever took them took more: the rules, perhaps.
                    self.put_in_order();
                }
                if lost || !said.is_empty() {
                    self.meter.save();
                }
                self.say(said);
            }
            Err(why) => warn!("the counters could not be read, what they count comes with the next reading: {why}"),
        }
    }

    fn forget(&mut self, guest: InstanceId) {
        self.told.remove(&guest);
        self.meter.forget(guest);
        self.meter.save();
        self.say(vec![]);
    }

    fn say(&self, readings: Vec<Reading>) {
        *self.remembered.write().unwrap_or_else(|e| e.into_inner()) = self.meter.readings();
        if !readings.is_empty() {
            // Whoever is gone reads it in the next Hello.
            let _ = self.metered.send(Metered { readings, all_said: false });
        }
    }

    fn change_peers(&mut self, hosts: BTreeSet<Ipv4Addr>) {
        let before = std::mem::replace(&mut self.plan.peers, hosts);
        let (gone, come) = (&before - &self.plan.peers, &self.plan.peers - &before);
        if gone.is_empty() && come.is_empty() {
            return;
        }
        let line = |what: &'static str| move |peer: &Ipv4Addr| format!("{what} element inet host peers {{ {peer} }}\n");
        let book: String = gone.iter().map(line("delete")).chain(come.iter().map(line("add"))).collect();
        if let Err(why) = system::rules(&book) {
            error!("the region's other hosts could not be changed, so all is made anew: {why}");
            self.put_in_order();
        }
        self.reach(&gone, &come, &self.tunnels());
        if let Err(e) = files::write(&self.file, &files::json(&self.plan)) {
            warn!(
                "{}: {e}; after a restart the region's other hosts are known when the server says so",
                self.file.display()
            );
        }
    }

    /// Lets these devices flood to some hosts, and to others no more.
    fn reach(&self, gone: &BTreeSet<Ipv4Addr>, come: &BTreeSet<Ipv4Addr>, devices: &[String]) {
        let Some((interface, _)) = &self.frame.tunnel else { return };
        let gateway = match &self.config.network.tunnel {
            Some(Tunnel::Interface { gateway, .. }) => *gateway,
            _ => None,
        };
        batch_anyway("ip", &tunnel::ways(interface, gateway, gone, come));
        batch_anyway("bridge", &tunnel::flood(devices, gone, come));
    }

    fn tunnels(&self) -> Vec<String> {
        self.networks.values().filter_map(|(port, _)| standing::tunnel(*port, &self.frame)).collect()
    }

    fn announce(&self, publics: &BTreeSet<Ipv4Addr>) {
        let Some(link) = &self.link else { return };
        let publics: Vec<Ipv4Addr> = publics.iter().copied().collect();
        if let Err(e) = announce::announce(link.index, link.mac, &publics) {
            warn!("others were not told that {publics:?} are here now: {e}; they find out by asking");
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

    fn standing_of(&self, next: &Next) -> Standing {
        let (names, mut sum) = (self.names(), Standing::default());
        for (guest, stay) in next {
            if let Some(stay) = stay {
                sum.add(&self.standing_of_guest(*guest, stay, &names));
            }
        }
        sum
    }

    /// What stands for all guests.
    fn all(&self) -> Standing {
        let mut sum = Standing::default();
        self.guests.values().for_each(|one| sum.add(one));
        sum
    }

    fn is_own(&self, ip: Ipv4Addr) -> bool {
        self.frame.uplink.iter().chain(&self.frame.tunnel).any(|(_, own)| *own == ip)
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

/// Does an address that led to one of these guests do so no more?
fn leads_elsewhere(before: &Plan, next: &Next) -> bool {
    next.iter().any(|(guest, stay)| {
        let had = before.get(*guest).into_iter().flat_map(|stay| &stay.around.addresses);
        let has = |id: AddressId| stay.iter().flat_map(|stay| &stay.around.addresses).any(|address| address.id == id);
        had.into_iter().any(|address| !has(address.id))
    })
}

/// The interfaces of a kind that are there.
fn devices(kind: &str) -> Result<BTreeSet<String>, String> {
    let links = run(Command::new("ip").args(["-o", "link", "show", "type", kind]), "")?;
    let names = links.lines().filter_map(|line| line.split(": ").nth(1)?.split('@').next().map(str::to_owned));
    Ok(names.collect())
}
