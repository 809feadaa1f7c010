//! What does the host do about everything that it hears, sees and waits for?
//!
//! One task owns the agent and never waits for anything but the next event: what takes time is done by a task per guest
//! ([`crate::qemu::machine`]), by the scribe, or by the network thread.

mod adoption;
mod outside;
mod questions;
mod streams;
mod volumes;

use crate::config::{Accelerator, HostConfig, QemuConfig};
use crate::error::HostError;
use crate::files::{self, Files};
use crate::metadata;
use crate::network::plan::Port;
use crate::network::{Metered, Remembered, Then};
use crate::qemu::console::Console;
use crate::qemu::limits::Limits;
use crate::qemu::machine::{Machine, News, Order, Workshop};
use crate::qemu::process::{self, Process};
use crate::qemu::{accelerator, command, furnish};
use crate::scribe::{self, Page};
use crate::signal::Signal;
use crate::socket::{self, Call, Door};
use crate::volumes::Store;
use crate::{capacity, network, timer};
use ebb_driver::agent::{Action, Agent, Seen};
use ebb_driver::counters::next_minute;
use ebb_driver::protocol::{Features, FromHost, Hello, Is, ToHost, Want};
use ebb_driver::wall::Wall;
use ebb_model::id::{DiskId, InstanceId};
use ebb_model::resources::Resources;
use ebb_model::time::Timestamp;
use questions::Waiting;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tracing::{error, info, warn};
use volumes::Works;

pub async fn run(config: HostConfig, qemu: QemuConfig, files: Arc<Files>) -> Result<(), HostError> {
    preflight()?;
    let clock = Arc::new(Wall::default());
    let agent = Agent::restore(files.position()?, files.records()?, files.volume_records()?);
    let door = Door::new(files.clone(), &config.socket)?;
    let inside = {
        let (files, qemu, clock) = (files.clone(), qemu.clone(), clock.clone());
        spawn_blocking(move || network::open(files, qemu, clock)).await.expect("opening the network panicked")?
    };
    let accelerator = match qemu.accelerator {
        Some(told) => told,
        None => accelerator::find(files.root(), config.images.values().next().map(|dir| dir.as_path())).await,
    };
    let store = Arc::new(Store::open(&files, qemu.first_uid.saturating_sub(1))?);
    let shop = Arc::new(Workshop {
        limits: Limits::open(&network::namespace(files.root())),
        files: files.clone(),
        network: inside.network,
        accelerator,
        config: qemu,
        images: config.images,
        store,
    });
    let (news, mut told) = mpsc::unbounded_channel();
    let (pages, to_write) = mpsc::unbounded_channel();
    let mut signal = Signal::new(config.return_file);
    let mut host = Host {
        secret: files.secret()?,
        waiting: BTreeMap::new(),
        wanted_back: signal.wanted(),
        name: config.name,
        zone: config.zone,
        capacity: config.capacity.unwrap_or_else(|| capacity::of_this_machine(files.root())),
        agent,
        clock: clock.clone(),
        shop,
        machines: BTreeMap::new(),
        addresses: HashMap::new(),
        control: None,
        tasks: JoinSet::new(),
        streams: JoinSet::new(),
        works: Works::default(),
        news,
        pages,
        metered: inside.metered,
        remembered: inside.remembered,
        next_reading: None,
    };
    host.next_reading = host.has_uplink().then(|| next_minute(clock.now()));
    host.adopt(&inside.guests).await?;
    for (image, dir) in &host.shop.images {
        if let Some(why) = furnish::lacks(image, dir) {
            warn!("its guests will not start: {why}");
        }
    }
    info!("host {} has {} guests, lends {:?}", host.name, host.machines.len(), host.capacity);

    let listener = socket::bind(&config.socket, config.access)?;
    let broken = |e: std::io::Error| HostError::Network(e.to_string());
    let doors = inside.metadata.into_iter().map(tokio::net::TcpListener::from_std);
    let doors = doors.collect::<Result<Vec<_>, _>>().map_err(broken)?;
    let dhcp = tokio::net::UdpSocket::from_std(inside.dhcp).map_err(broken)?;
    let dns = tokio::net::UdpSocket::from_std(inside.dns).map_err(broken)?;
    let (calls, mut called) = mpsc::channel(1024);
    let (questions, mut asked) = mpsc::channel(1024);
    let (written, mut done) = mpsc::unbounded_channel();
    let mut services = JoinSet::new();
    services.spawn(socket::serve(listener, door, calls));
    services.spawn(metadata::serve(doors, questions));
    services.spawn(network::dhcp::serve(dhcp, inside.leases, inside.mtu));
    services.spawn(network::dns::serve(dns, host.shop.config.network.resolvers.clone()));
    services.spawn(scribe::write(files, to_write, move |then| drop(written.send(then))));
    loop {
        tokio::select! {
            // Deadlines and what becomes of guests before what anybody asks.
            biased;
            () = timer::until(&clock, host.agent.next_due()) => {
                let actions = host.agent.tick(clock.now());
                host.carry_out(actions);
            }
            () = timer::until(&clock, host.patience_ends_at()) => host.lose_patience(),
            () = timer::until(&clock, host.next_reading) => host.read_counters(),
            Some(metered) = host.metered.recv() => host.say_metered(metered),
            Some((id, news)) = told.recv() => host.learn(id, news),
            Some(Ok((id, end))) = host.tasks.join_next() => host.ended(id, end),
            Some(_) = host.streams.join_next() => {}
            (id, seen) = host.works.next() => host.made(id, seen),
            wanted = signal.changed() => {
                host.wanted_back = wanted;
                host.say(FromHost::WantedBack { wanted: host.wanted_back });
            }
            Some(then) = done.recv() => host.written(then),
            Some(call) = called.recv() => host.hear(call),
            Some(question) = asked.recv() => host.inform(question, None),
            Some(ended) = services.join_next() => panic!("a service of the host ended: {ended:?}"),
        }
    }
}

/// What a person can put right before anything has begun.
fn preflight() -> Result<(), HostError> {
    if !rustix::process::geteuid().is_root() {
        return Err(HostError::NotRoot);
    }
    let qemu =
        [(command::PROGRAM, "qemu-system-x86"), ("ip", "iproute2"), ("nft", "nftables"), ("qemu-img", "qemu-utils")];
    let path = std::env::var_os("PATH").unwrap_or_default();
    for (program, package) in qemu.into_iter().chain(command::BEFORE_QEMU.map(|program| (program, "util-linux"))) {
        if !std::env::split_paths(&path).any(|dir| dir.join(program).is_file()) {
            return Err(HostError::Missing { program, package });
        }
    }
    if !Path::new("/dev/net/tun").exists() {
        return Err(HostError::Network("/dev/net/tun is missing: run `modprobe tun`".to_owned()));
    }
    Ok(())
}

struct Host {
    /// By whoever owns the machine.
    wanted_back: bool,
    name: String,
    zone: String,
    capacity: Resources,
    agent: Agent,
    /// Of the server that speaks.
    clock: Arc<Wall>,
    shop: Arc<Workshop>,
    /// The guests that are not gone.
    machines: BTreeMap<InstanceId, Handle>,
    addresses: HashMap<Ipv4Addr, InstanceId>,
    /// The guests' questions that wait for a change.
    waiting: BTreeMap<InstanceId, Vec<Waiting>>,
    /// What guests' tokens are made with.
    secret: Vec<u8>,
    control: Option<Control>,
    tasks: JoinSet<(InstanceId, TaskEnd)>,
    streams: JoinSet<()>,
    works: Works,
    news: mpsc::UnboundedSender<(InstanceId, News)>,
    pages: mpsc::UnboundedSender<Page>,
    /// What is read of the counters of public addresses.
    metered: mpsc::UnboundedReceiver<Metered>,
    remembered: Remembered,
    next_reading: Option<Timestamp>,
}

/// The way to a guest's task.
struct Handle {
    orders: mpsc::UnboundedSender<Order>,
    console: Arc<Console>,
    port: Option<Port>,
    /// The data disks that it should have.
    disks: watch::Sender<Vec<DiskId>>,
    /// The order that is perhaps not carried out yet, should the task come to grief.
    last: Option<Order>,
}

/// The server's connection.
struct Control {
    number: u64,
    say: mpsc::Sender<FromHost>,
    /// It has said where it stands; before that it gives no orders.
    welcomed: bool,
}

#[derive(Debug, Clone, Copy)]
enum TaskEnd {
    Finished,
    Panicked,
}

impl Host {
    fn hear(&mut self, call: Call) {
        match call {
            Call::Control { number, say } => {
                self.control = Some(Control { number, say, welcomed: false });
                self.say(FromHost::Hello(Box::new(self.hello())));
            }
            Call::Message { number, message } => match &mut self.control {
                Some(control) if control.number == number => {
                    control.welcomed |= matches!(message, ToHost::Welcome(_));
                    match control.welcomed {
                        true => self.obey(message),
                        false => warn!("a server gave an order before it said where it stands; it is not obeyed"),
                    }
                }
                _ => {}
            },
            Call::Ended { number } => drop(self.control.take_if(|control| control.number == number)),
            Call::Stream { guest, target, client } => self.join(guest, target, client),
            Call::Bytes { volume, way, client } => self.pass(volume, way, client),
        }
    }

    fn obey(&mut self, message: ToHost) {
        let now = self.clock.now();
        if let ToHost::ReadConsole { request, guest, bytes } = message {
            return self.read_console(request, guest, bytes);
        }
        match &message {
            // What is due is read first.
            ToHost::Ping if self.has_uplink() => return self.shop.network.read(Then::SayAll),
            ToHost::Peers { hosts } => return self.shop.network.peers(hosts.clone()),
            _ => {}
        }
        let ordered: Vec<InstanceId> = match &message {
            ToHost::Desire { guests, .. } => guests.iter().map(|guest| guest.id).collect(),
            _ => vec![],
        };
        let actions = self.agent.hear(message, now);
        ordered.into_iter().for_each(|id| self.tell_network(id));
        self.carry_out(actions);
    }

    /// Starts what is to be done. Nothing here waits: what must be on disk first comes back through [`Host::written`].
    fn carry_out(&mut self, actions: Vec<Action>) {
        let mut page = Page::default();
        let mut changed = vec![];
        for action in actions {
            match action {
                Action::Save(id) => {
                    let record = self.agent.guest(id).map(files::json);
                    page.records.insert(id, record);
                    changed.push(id);
                }
                Action::Forget(id) => {
                    page.records.insert(id, None);
                    self.shop.network.forget(id);
                }
                Action::SavePosition => page.position = Some(self.agent.position()),
                Action::Start(_) | Action::Say(FromHost::Accepted { .. }) => page.then.push(action),
                Action::Say(message) => self.say(message),
                // An end waits for no disk.
                Action::PowerDown(id) => self.order(id, Order::PowerDown),
                Action::PowerOff(id) => self.order(id, Order::PowerOff),
                Action::Remove(id) => self.order(id, Order::Remove),
                Action::SaveVolume(id) => {
                    let record = self.agent.volume(id).map(files::json);
                    page.volumes.insert(id, record);
                }
                Action::ForgetVolume(id) => {
                    page.volumes.insert(id, None);
                    self.shop.store.forget(id);
                }
                Action::Make(_) | Action::Unmake(_) => page.then.push(action),
                Action::Adjust(id) => self.adjust(id),
            }
        }
        if !page.is_empty() {
            let _ = self.pages.send(page);
        }
        changed.into_iter().for_each(|id| self.ask_again(id));
    }

    fn written(&mut self, then: Vec<Action>) {
        for action in then {
            match action {
                Action::Start(id) => self.start(id),
                Action::Say(message) => self.say(message),
                Action::Make(id) => self.make(id),
                Action::Unmake(id) => self.unmake(id),
                other => unreachable!("nothing else waits for the disk: {other:?}"),
            }
        }
    }

    fn start(&mut self, id: InstanceId) {
        // Meanwhile it may have been told otherwise.
        let wanted = self.agent.guest(id).filter(|g| g.observed.is == Is::Starting && g.desired.want == Want::Running);
        if let Some(guest) = wanted {
            let order = Order::Start { account: guest.desired.account, spec: guest.desired.spec.clone() };
            self.order(id, order);
            self.adjust(id);
        }
    }

    /// Something beside it changed.
    fn adjust(&mut self, id: InstanceId) {
        let disks = self.disks_of(id);
        if let Some(handle) = self.machines.get(&id) {
            handle.disks.send_replace(disks);
        }
    }

    fn order(&mut self, id: InstanceId, order: Order) {
        if !self.machines.contains_key(&id) {
            let console = Console::new(self.shop.files.guest(id));
            let machine = Machine::new(id, self.shop.clone(), console.clone());
            self.employ(id, machine, console, None);
        }
        let handle = self.machines.get_mut(&id).expect("a machine that was just made");
        handle.last = Some(order.clone());
        let _ = handle.orders.send(order);
    }

    /// Gives a machine a task of its own.
    fn employ(&mut self, id: InstanceId, machine: Machine, console: Arc<Console>, port: Option<Port>) {
        let (orders, taken) = mpsc::unbounded_channel();
        let (news, disks) = (self.news.clone(), machine.wishes());
        disks.send_replace(self.disks_of(id));
        self.tasks.spawn(async move {
            // In a set of its own, so that it ends with this task, and its panic here.
            let mut life = JoinSet::new();
            life.spawn(machine.live(taken, move |said| drop(news.send((id, said)))));
            match life.join_next().await {
                Some(Err(e)) if e.is_panic() => (id, TaskEnd::Panicked),
                _ => (id, TaskEnd::Finished),
            }
        });
        self.machines.insert(id, Handle { orders, console, port, disks, last: None });
    }

    /// A guest's task is over. One that panicked is our mistake, not the guest's: it is taken up again as after a restart, and
    /// told anew what it was told last.
    fn ended(&mut self, id: InstanceId, end: TaskEnd) {
        let TaskEnd::Panicked = end else { return };
        error!("the task of guest {id} panicked; the guest is taken up again");
        let Some(handle) = self.machines.remove(&id) else { return };
        let mut machine = Machine::new(id, self.shop.clone(), handle.console.clone());
        let running = process::running(&self.shop.files.root().join("guests")).unwrap_or_default();
        let found = running.get(&id).and_then(|pid| Process::open(*pid).ok());
        let is_dead = found.is_none();
        if let (Some(process), Some(port)) = (found, handle.port) {
            machine = machine.adopted(port, process);
        }
        self.employ(id, machine, handle.console, handle.port);
        match handle.last {
            Some(order) => self.order(id, order),
            None if is_dead => self.learn(id, News::Seen(Seen::Off)),
            None => {}
        }
    }

    fn learn(&mut self, id: InstanceId, news: News) {
        match news {
            News::Placed(port) => {
                self.place(id, port);
            }
            News::Holds(disks) => {
                let actions = self.agent.holds(id, disks);
                self.carry_out(actions);
            }
            News::Seen(seen) => {
                // The last reading of its addresses comes before the word that it is gone.
                while let Ok(metered) = self.metered.try_recv() {
                    self.say_metered(metered);
                }
                if let Some(handle) = self.machines.get_mut(&id) {
                    handle.last = None;
                }
                if matches!(seen, Seen::Gone | Seen::Failed(_)) {
                    self.machines.remove(&id);
                    self.addresses.retain(|_, guest| *guest != id);
                    self.waiting.remove(&id);
                }
                info!("guest {id}: {seen:?}");
                let actions = self.agent.see(id, seen, self.clock.now());
                self.carry_out(actions);
            }
        }
    }

    fn place(&mut self, id: InstanceId, port: Port) {
        self.addresses.insert(port.address(), id);
        self.agent.addressed(id, port.address().to_string());
        if let Some(handle) = self.machines.get_mut(&id) {
            handle.port = Some(port);
        }
    }

    fn say(&mut self, message: FromHost) {
        if let Some(control) = &self.control
            && control.say.try_send(message).is_err()
        {
            // Gone, or it does not read. It will hear everything again when it comes back.
            self.control = None;
        }
    }

    /// Those of which a guest can be started.
    fn images(&self) -> BTreeSet<String> {
        let whole = self.shop.images.iter().filter(|(image, dir)| furnish::lacks(image, dir).is_none());
        whole.map(|(image, _)| image.clone()).collect()
    }

    fn hello(&self) -> Hello {
        Hello {
            host: self.name.clone(),
            zone: self.zone.clone(),
            driver: match self.shop.accelerator {
                Accelerator::Kvm => "qemu-kvm".to_owned(),
                Accelerator::Tcg => "qemu-tcg".to_owned(),
            },
            capacity: self.capacity.clone(),
            features: Features {
                notice_in_metadata: true,
                streams: true,
                metered_traffic: self.has_uplink(),
                public_addresses: self.has_uplink(),
                volumes: true,
            },
            position: self.agent.position(),
            wanted_back: self.wanted_back,
            volumes: self.agent.volumes(),
            tunnel: self.shop.config.network.tunnel_address(),
            images: Some(self.images()),
            readings: self.remembered.read().unwrap_or_else(|e| e.into_inner()).clone(),
            guests: self.agent.observed(),
        }
    }
}

/// The newest sign of life that a guest left in its files.
fn last_sign_of_life(dir: &Path, disk: Option<std::time::SystemTime>) -> Option<std::time::SystemTime> {
    let log = std::fs::metadata(dir.join("console.log")).and_then(|log| log.modified()).ok();
    log.into_iter().chain(disk).max()
}
