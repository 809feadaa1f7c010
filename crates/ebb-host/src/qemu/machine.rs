//! What happens to one guest, from its first start to the last of it?
//!
//! One task per guest takes its orders one after another; a new order ends a start that is under way. So a slow start delays
//! nobody else, and not even its own release.

mod disks;

use super::command;
use super::console::Console;
use super::disks::{Bay, Chore, Flushes};
use super::furnish::Furnish;
use super::limits::Limits;
use super::monitor;
use super::process::Process;
use crate::config::{Accelerator, QemuConfig};
use crate::files::Files;
use crate::network::plan::Port;
use crate::network::{Network, Plug};
use crate::volumes::Store;
use crate::volumes::layers::Boot;
use ebb_driver::agent::Seen;
use ebb_driver::protocol::GuestSpec;
use ebb_model::id::{AccountId, DiskId, InstanceId};
use ebb_model::volume::{DiskOf, VolumeId};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, spawn_blocking};
use tracing::{debug, error, warn};

/// From the call of QEMU until its guest's processor runs.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks whether an image has come.
const IMAGE_PAUSE: Duration = Duration::from_millis(100);
const MONITOR_PATIENCE: Duration = Duration::from_secs(2);
/// Until a guest is asked again for a disk that it has not given back, and a disk is looked for again that was not there; longer
/// each time.
const DISK_PATIENCE: Duration = Duration::from_millis(500);
const SLOWEST: u32 = 10;
/// How much of QEMU's complaints is kept.
const COMPLAINT_BYTES: usize = 2048;

#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    Start { account: AccountId, spec: GuestSpec },
    PowerDown,
    PowerOff,
    Remove,
}

/// What a machine tells its host.
#[derive(Debug)]
pub enum News {
    Placed(Port),
    Seen(Seen),
    /// The data disks that its process holds.
    Holds(BTreeSet<DiskId>),
}

/// What all machines of a host share.
#[derive(Debug)]
pub struct Workshop {
    pub files: Arc<Files>,
    pub network: Network,
    pub limits: Limits,
    pub accelerator: Accelerator,
    pub config: QemuConfig,
    pub images: BTreeMap<String, PathBuf>,
    pub store: Arc<Store>,
}

pub struct Machine {
    id: InstanceId,
    shop: Arc<Workshop>,
    console: Arc<Console>,
    /// QEMU's user, once the guest has an address.
    uid: Option<u32>,
    process: Option<Process>,
    /// It was seen running, so its guest may have a power button.
    up: bool,
    pump: Option<AbortHandle>,
    /// The data disks that it should have, in this order.
    disks: (watch::Sender<Vec<DiskId>>, watch::Receiver<Vec<DiskId>>),
    /// What of its disks is in other hands or to be done here goes through here.
    chores: (mpsc::UnboundedSender<Chore>, mpsc::UnboundedReceiver<Chore>),
    /// It has the disks that it should have.
    in_line: bool,
    /// How often it was looked at in vain.
    vain: u32,
}

impl Machine {
    pub fn new(id: InstanceId, shop: Arc<Workshop>, console: Arc<Console>) -> Self {
        let (chores, disks) = (mpsc::unbounded_channel(), watch::channel(vec![]));
        Self {
            id,
            shop,
            console,
            uid: None,
            process: None,
            up: false,
            pump: None,
            disks,
            chores,
            in_line: true,
            vain: 0,
        }
    }

    /// Takes the data disks that it should have.
    pub fn wishes(&self) -> watch::Sender<Vec<DiskId>> {
        self.disks.0.clone()
    }

    /// A machine whose QEMU was started by an earlier host.
    pub fn adopted(mut self, port: Port, process: Process) -> Self {
        self.uid = Some(port.uid(&self.shop.config));
        for disk in self.shop.store.open_in(process.pid()) {
            // Nobody else can have it: this process has held it all the time.
            let _ = self.shop.store.claim(disk, &self.claim());
        }
        self.process = Some(process);
        self.up = true;
        self.in_line = false;
        self.listen();
        self
    }

    /// Obeys until the guest is gone.
    pub async fn live(mut self, mut orders: mpsc::UnboundedReceiver<Order>, tell: impl Fn(News)) {
        let mut next = None;
        loop {
            let order = match next.take() {
                Some(order) => order,
                None => tokio::select! {
                    order = orders.recv() => match order {
                        Some(order) => order,
                        None => return,
                    },
                    () = ended(&self.process) => {
                        self.process = None;
                        self.up = false;
                        self.shop.store.release_all(self.id);
                        tell(News::Seen(Seen::Off));
                        continue;
                    }
                    Ok(()) = self.disks.1.changed() => {
                        self.in_line = false;
                        self.vain = 0;
                        continue;
                    }
                    Some(chore) = self.chores.1.recv() => {
                        tokio::select! {
                            biased;
                            // The chore is given up, and whoever waits for it sees to it.
                            Some(order) = orders.recv() => next = Some(order),
                            () = self.attend_to(chore) => {}
                        }
                        continue;
                    }
                    () = tokio::time::sleep(DISK_PATIENCE * self.vain.clamp(1, SLOWEST)), if self.up && !self.in_line => {
                        tokio::select! {
                            biased;
                            Some(order) = orders.recv() => next = Some(order),
                            () = self.bring_into_line(&tell) => {}
                        }
                        continue;
                    }
                },
            };
            match order {
                Order::Start { account, spec } => {
                    let started = tokio::select! {
                        biased;
                        // Whatever it is, the start is not worth finishing.
                        Some(order) = orders.recv() => {
                            next = Some(order);
                            continue;
                        }
                        started = self.start(account, &spec, &tell) => started,
                    };
                    match started {
                        Ok(()) => {
                            self.up = true;
                            self.in_line = false;
                            tell(News::Holds(self.holds()));
                            tell(News::Seen(Seen::Running));
                        }
                        Err(Failure::DiskKept(why)) => {
                            warn!("guest {} could not be started again, its disk is kept: {why}", self.id);
                            self.stop().await;
                            tell(News::Seen(Seen::Off));
                        }
                        Err(Failure::Nothing(why)) => {
                            self.remove().await;
                            tell(News::Seen(Seen::Failed(why)));
                            return;
                        }
                    }
                }
                Order::PowerDown if self.up => {
                    if let Err(e) = self.press_button().await {
                        warn!("guest {} did not feel its power button: {e}", self.id);
                    }
                }
                // What never came up has no button.
                Order::PowerDown | Order::PowerOff => {
                    self.stop().await;
                    tell(News::Seen(Seen::Off));
                }
                Order::Remove => {
                    self.remove().await;
                    tell(News::Seen(Seen::Gone));
                    return;
                }
            }
        }
    }

    async fn start(&mut self, account: AccountId, spec: &GuestSpec, tell: &impl Fn(News)) -> Result<(), Failure> {
        let had_disk = self.shop.store.disk(DiskOf::System(self.id)).is_some();
        let fail = |why: String| if had_disk { Failure::DiskKept(why) } else { Failure::Nothing(why) };
        // A start that was given up may have left its process.
        self.stop().await;
        self.wait_for_image(spec).await;
        let plug = self.shop.network.attach(self.id, account).await.map_err(&fail)?;
        let uid = plug.port.uid(&self.shop.config);
        self.uid = Some(uid);
        tell(News::Placed(plug.port));
        let furnish = Furnish {
            id: self.id,
            outer: self.shop.files.guest(self.id),
            images: self.shop.images.clone(),
            store: self.shop.store.clone(),
            spec: spec.clone(),
            uid,
        };
        let boot = spawn_blocking(move || furnish.run()).await.map_err(|e| fail(e.to_string()))?.map_err(&fail)?;

        let complaint = self.spawn(spec, &boot, plug).map_err(|e| fail(format!("{}: {e}", command::PROGRAM)))?;
        self.listen();
        let process = self.process.as_ref().expect("a process that was just started");
        tokio::select! {
            () = process.ended() => {
                // Its last words may still be under way.
                tokio::time::sleep(Duration::from_millis(20)).await;
                let words = complaint.lock().unwrap_or_else(|e| e.into_inner()).trim().to_owned();
                Err(fail(format!("QEMU ended at once: {words}")))
            }
            up = tokio::time::timeout(START_PATIENCE, self.bring_up(uid, spec)) => match up {
                Ok(up) => up.map_err(|e| fail(format!("its disk: {e}"))),
                Err(_) => Err(fail(format!("QEMU did not run within {START_PATIENCE:?}"))),
            }
        }
    }

    /// Gives a QEMU that waits its disks, and lets its guest run. A data disk that is not to be had keeps no guest from starting.
    async fn bring_up(&self, uid: u32, spec: &GuestSpec) -> io::Result<()> {
        let store = &self.shop.store;
        let mut bay = loop {
            match Bay::open(&self.dir(), uid, store.clone()).await {
                Ok(bay) => break bay,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        let system = DiskOf::System(self.id);
        if store.disk(system).is_some() {
            // Somebody may be making something of it, which takes no time.
            while store.claim(system, &self.claim()).is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let flushes = if spec.disposable { Flushes::AreIgnored } else { Flushes::Count };
            bay.plug(system, flushes).await?;
        }
        let wanted = self.disks.1.borrow().clone();
        for disk in wanted.into_iter().map(DiskOf::Data) {
            self.plug(&mut bay, disk).await;
        }
        bay.run().await?;
        drop(bay);
        self.wait_until_up(uid).await;
        Ok(())
    }

    /// A new system disk needs its image, which may still be under way to this host. Whoever ordered the start gives it up when that
    /// takes too long, or the image does not come.
    async fn wait_for_image(&self, spec: &GuestSpec) {
        let Ok(image) = spec.image.parse().map(VolumeId::Image) else { return };
        while !self.shop.store.can_begin(self.id, spec.disk_revision, image) {
            tokio::time::sleep(IMAGE_PAUSE).await;
        }
    }

    /// From here to the end there is no point at which a start can be given up, so no process is ever lost from sight.
    fn spawn(&mut self, spec: &GuestSpec, boot: &Boot, plug: Plug) -> io::Result<Arc<Mutex<String>>> {
        let uid = plug.port.uid(&self.shop.config);
        let words = command::of(self.id, spec, boot, self.shop.accelerator, uid, plug.port.mac());
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .current_dir(self.dir())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(plug.tap)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let process = match Process::open(child.id()) {
            Ok(process) => process,
            Err(e) => {
                let _ = child.kill().and_then(|()| child.wait());
                return Err(e);
            }
        };
        self.shop.limits.confine(self.id, process.pid(), &spec.resources);
        // When memory runs out, a guest goes before anything of the machine's owner.
        let _ = fs::write(format!("/proc/{}/oom_score_adj", process.pid()), "500");
        self.process = Some(process);
        listen_to_complaints(self.id, child.stderr.take().expect("a pipe that was asked for"))
    }

    fn listen(&mut self) {
        let Some(uid) = self.uid else { return };
        let pump = tokio::spawn(self.console.clone().connect(self.dir(), uid));
        if let Some(earlier) = self.pump.replace(pump.abort_handle()) {
            earlier.abort();
        }
    }

    async fn wait_until_up(&self, uid: u32) {
        loop {
            match monitor::ask(&self.dir(), uid, "query-status", MONITOR_PATIENCE).await {
                Ok(status) if status["status"] == "running" => return,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    async fn press_button(&self) -> io::Result<()> {
        let uid = self.uid.filter(|_| self.process.is_some()).ok_or(io::ErrorKind::NotConnected)?;
        monitor::ask(&self.dir(), uid, "system_powerdown", MONITOR_PATIENCE).await.map(drop)
    }

    /// Kills what runs; returns when it is dead.
    async fn stop(&mut self) {
        self.up = false;
        let Some(process) = self.process.take() else { return };
        process.kill();
        while tokio::time::timeout(Duration::from_secs(1), process.ended()).await.is_err() {
            warn!("guest {} was killed and is not dead yet: its disk may hang", self.id);
        }
        self.shop.store.release_all(self.id);
    }

    /// Leaves nothing; the files are deleted in the background.
    async fn remove(&mut self) {
        let began = Instant::now();
        self.stop().await;
        let dead = began.elapsed();
        if let Some(pump) = self.pump.take() {
            pump.abort();
        }
        self.shop.network.detach(self.id).await;
        let aside = loop {
            match self.shop.files.discard(self.id) {
                Ok(aside) => break aside,
                Err(e) => error!("the files of guest {} cannot be put aside: {e}; trying again", self.id),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        let (id, store) = (self.id, self.shop.store.clone());
        let _ = spawn_blocking(move || store.remove_system(id)).await;
        debug!("guest {}: dead after {dead:?}, nothing left after {:?}", self.id, began.elapsed());
        let (id, shop) = (self.id, self.shop.clone());
        drop(spawn_blocking(move || {
            if let Some(Err(e)) = aside.map(fs::remove_dir_all) {
                warn!("what is left of guest {id} cannot be deleted: {e}");
            }
            shop.limits.release(id);
        }));
    }

    /// QEMU's own directory.
    fn dir(&self) -> PathBuf {
        self.shop.files.guest(self.id).join("q")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(pump) = self.pump.take() {
            pump.abort();
        }
    }
}

/// A start that failed: what is left?
enum Failure {
    /// A disk that an earlier run may have written to.
    DiskKept(String),
    Nothing(String),
}

async fn ended(process: &Option<Process>) {
    match process {
        Some(process) => process.ended().await,
        None => std::future::pending().await,
    }
}

/// Reads QEMU's complaints to the end, so that it never waits for us, and keeps the first of them. A guest can make QEMU complain
/// without end, so they go to no file.
fn listen_to_complaints(id: InstanceId, stderr: ChildStderr) -> io::Result<Arc<Mutex<String>>> {
    let mut stderr = tokio::process::ChildStderr::from_std(stderr)?;
    let kept = Arc::new(Mutex::new(String::new()));
    let ours = kept.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
            let mut kept = ours.lock().unwrap_or_else(|e| e.into_inner());
            if kept.len() < COMPLAINT_BYTES {
                let text = String::from_utf8_lossy(&buffer[..length]);
                debug!("QEMU of guest {id}: {}", text.trim_end());
                kept.push_str(&text);
            }
        }
    });
    Ok(kept)
}
