//! A host on the bench: started, spoken to as a server would, and swept away with a check that nothing stays.

use crate::outside;
use ebb_driver::link::{self, Incoming};
use ebb_driver::protocol::{
    DesiredGuest, DesiredVolume, FromHost, GuestSpec, Hello, Is, Metadata, ObservedGuest, ObservedVolume, Open,
    PlannedEnd, Position, Source, Target, ToHost, VolumeIs, Want, WantVolume, Way,
};
use ebb_host::{Access, DriverConfig, HostConfig, HostError, NetworkConfig, QemuConfig};
use ebb_model::id::{AccountId, AddressId, DiskId, ImageId, InstanceId, SnapshotId};
use ebb_model::network::{Place, PublicAddress};
use ebb_model::resources::Resources;
use ebb_model::time::Timestamp;
use ebb_model::volume::VolumeId;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Once, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Enough for a boot on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Bench {
    pub config: HostConfig,
    host: Option<JoinHandle<Result<(), HostError>>>,
    other: Option<Started>,
    server: Option<(Incoming<OwnedReadHalf>, OwnedWriteHalf)>,
    pub heard: Vec<FromHost>,
    sequence: i64,
}

impl Bench {
    /// A host that runs, and a server that has said hello.
    pub async fn new(name: &str) -> Self {
        let mut bench = Self::idle(name, DriverConfig::Qemu(QemuConfig::default()));
        bench.start().await;
        bench.call().await;
        bench
    }

    /// The same with a network of its own.
    pub async fn with(name: &str, network: NetworkConfig) -> Self {
        let mut bench = Self::idle(name, DriverConfig::Qemu(QemuConfig { network, ..QemuConfig::default() }));
        bench.start().await;
        bench.call().await;
        bench
    }

    pub fn idle(name: &str, driver: DriverConfig) -> Self {
        log();
        let data = PathBuf::from(format!("/tmp/ebb-test-{name}-{}", std::process::id()));
        let images = match driver {
            DriverConfig::Qemu(_) => BTreeMap::from([("built-in".to_owned(), image())]),
            DriverConfig::Fake(_) => BTreeMap::new(),
        };
        let config = HostConfig {
            name: "attic".to_owned(),
            zone: "home-a".to_owned(),
            socket: data.with_extension("sock"),
            data,
            access: Access::default(),
            images,
            return_file: None,
            capacity: None,
            driver,
        };
        Self { config, host: None, other: None, server: None, heard: vec![], sequence: 0 }
    }

    pub async fn start(&mut self) {
        self.host = Some(tokio::spawn(ebb_host::run(self.config.clone())));
        while UnixStream::connect(&self.config.socket).await.is_err() {
            let host = self.host.as_mut().expect("a host that was just started");
            if host.is_finished() {
                panic!("the host ended: {:?}", host.await);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The same in a process of its own, which can be killed.
    pub async fn start_in_a_process(&self) -> Started {
        // One that was killed may seem to listen until the program that it was about to start has begun.
        let _ = std::fs::remove_file(&self.config.socket);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_host_in_a_process", "--ignored", "--nocapture"])
            .env("EBB_TEST_HOST", serde_json::to_string(&self.config).unwrap())
            .spawn()
            .map(Started)
            .unwrap();
        while UnixStream::connect(&self.config.socket).await.is_err() {
            assert!(child.try_wait().unwrap().is_none(), "the host ended");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        child
    }

    /// The same, kept by the bench.
    pub async fn start_in_another_process(&mut self) {
        self.other = Some(self.start_in_a_process().await);
    }

    /// Kills a host in a process of its own, which has no time to say anything.
    pub fn kill_host(&mut self) {
        self.hang_up();
        self.other = None;
    }

    /// The layers that a process can write to.
    pub fn written_by(&self, pid: u32) -> BTreeSet<PathBuf> {
        let of = PathBuf::from(format!("/proc/{pid}"));
        let open = std::fs::read_dir(of.join("fd")).unwrap().flatten().filter(|fd| {
            let info = std::fs::read_to_string(of.join("fdinfo").join(fd.file_name())).unwrap_or_default();
            info.lines().any(|line| line.starts_with("flags:") && line.trim_end().ends_with('2'))
        });
        let layers = self.config.data.canonicalize().unwrap().join("volumes");
        open.filter_map(|fd| std::fs::read_link(fd.path()).ok()).filter(|file| file.starts_with(&layers)).collect()
    }

    /// Ends the host without a word.
    pub async fn stop(&mut self) {
        self.hang_up();
        if let Some(host) = self.host.take() {
            host.abort();
            let _ = host.await;
        }
    }

    /// The same, and returns when nothing of it is at work any more.
    pub async fn stop_in_order(&mut self) {
        self.stop().await;
        let lock = std::fs::File::open(self.config.data.join("lock")).unwrap();
        let is_free = || rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok();
        while !is_free() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Opens a control connection and says where the server stands.
    pub async fn call(&mut self) -> Hello {
        let (mut incoming, mut write) = link::control(&self.config.socket, installation()).await.unwrap();
        let Some(FromHost::Hello(hello)) = incoming.next().await.unwrap() else { panic!("no hello") };
        let position = Position { epoch: 1, sequence: self.sequence.max(hello.position.sequence) };
        self.sequence = position.sequence;
        link::send(&mut write, &ToHost::Welcome(position)).await.unwrap();
        self.server = Some((incoming, write));
        self.heard.clear();
        *hello
    }

    pub fn hang_up(&mut self) {
        self.server = None;
    }

    pub fn order(&self, id: InstanceId, account: AccountId, generation: i64) -> Order {
        let n = id.uuid().as_u128() & 0xff;
        Order(DesiredGuest {
            id,
            generation,
            account,
            want: Want::Running,
            spec: GuestSpec {
                resources: Resources::of([("vcpu", 1), ("memory_mib", 128), ("disk_gib", 1)]),
                image: "built-in".to_owned(),
                disk_revision: 0,
                disposable: true,
            },
            metadata: Metadata {
                name: format!("guest {n}"),
                hostname: format!("guest-{n}"),
                region: "home".to_owned(),
                zone: "home-a".to_owned(),
                flavor: "tiny".to_owned(),
                public_keys: BTreeMap::new(),
                user_data: None,
                password_hash: None,
            },
            end: None,
            place: None,
            ingress: vec![],
            addresses: vec![],
            disks: vec![],
        })
    }

    pub async fn desire(&mut self, orders: impl IntoIterator<Item = Order>) {
        self.desire_with(orders, []).await;
    }

    /// An order about guests and volumes.
    pub async fn desire_with(
        &mut self,
        orders: impl IntoIterator<Item = Order>,
        volumes: impl IntoIterator<Item = (VolumeId, WantVolume)>,
    ) {
        self.sequence += 1;
        let guests = orders.into_iter().map(|order| order.0).collect();
        let generation = self.sequence;
        let volumes = volumes.into_iter().map(|(id, want)| DesiredVolume { id, generation, want }).collect();
        self.tell(ToHost::Desire { sequence: self.sequence, guests, volumes }).await;
        let sequence = self.sequence;
        self.hear(|said| (*said == FromHost::Accepted { sequence }).then_some(())).await;
    }

    pub async fn tell(&mut self, message: ToHost) {
        let (_, write) = self.server.as_mut().expect("a server that is there");
        link::send(write, &message).await.unwrap();
    }

    pub async fn forget(&mut self, guest: InstanceId) {
        self.tell(ToHost::Forget { guest }).await;
    }

    /// The first thing said since the connection began that `wanted` knows.
    pub async fn hear<T>(&mut self, wanted: impl Fn(&FromHost) -> Option<T>) -> T {
        if let Some(found) = self.heard.iter().find_map(&wanted) {
            return found;
        }
        loop {
            let (incoming, _) = self.server.as_mut().expect("a server that is there");
            let next = tokio::time::timeout(PATIENCE, incoming.next::<FromHost>()).await;
            let Ok(said) = next else { panic!("nothing more was said after {:#?}", self.heard) };
            let said = said.unwrap().expect("the host hung up");
            self.heard.push(said.clone());
            if let Some(found) = wanted(&said) {
                return found;
            }
        }
    }

    /// The first observation since the last order that fits.
    pub async fn until(&mut self, id: InstanceId, wanted: impl Fn(&Is) -> bool) -> ObservedGuest {
        let fits = |said: &FromHost| match said {
            FromHost::Observed(guest) if guest.id == id && wanted(&guest.is) => Some(guest.clone()),
            _ => None,
        };
        let found = self.hear(fits).await;
        self.heard.retain(|said| !matches!(said, FromHost::Observed(guest) if guest.id == id));
        found
    }

    /// The first observation of a volume since the last that was waited for.
    pub async fn until_volume(&mut self, id: VolumeId, wanted: impl Fn(&VolumeIs) -> bool) -> ObservedVolume {
        let fits = |said: &FromHost| match said {
            FromHost::ObservedVolume(volume) if volume.id == id && wanted(&volume.is) => Some(volume.clone()),
            _ => None,
        };
        let found = self.hear(fits).await;
        self.heard.retain(|said| !matches!(said, FromHost::ObservedVolume(volume) if volume.id == id));
        found
    }

    pub async fn until_there(&mut self, id: VolumeId) -> i64 {
        let seen = self.until_volume(id, |is| !matches!(is, VolumeIs::Making)).await;
        match seen.is {
            VolumeIs::There { size, .. } => size.bytes,
            other => panic!("{id}: {other:?}"),
        }
    }

    pub async fn until_volume_is_gone(&mut self, id: VolumeId) {
        self.until_volume(id, |is| matches!(is, VolumeIs::Gone { .. })).await;
    }

    /// Until a guest's process holds these data disks and no others.
    pub async fn until_holding(&mut self, id: InstanceId, disks: impl IntoIterator<Item = DiskId>) {
        let disks: BTreeSet<DiskId> = disks.into_iter().collect();
        self.hear(|said| match said {
            FromHost::Observed(guest) if guest.id == id && guest.disks == disks => Some(()),
            _ => None,
        })
        .await;
        self.heard.retain(|said| !matches!(said, FromHost::Observed(guest) if guest.id == id));
    }

    pub fn heard(&self, what: impl Fn(&FromHost) -> bool) -> bool {
        self.heard.iter().any(what)
    }

    /// What a command prints on a guest's console.
    pub async fn sh(&self, id: InstanceId, command: &str) -> String {
        static COMMAND: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let number = COMMAND.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut console = self.stream(id, Target::Console).await.unwrap();
        // What is echoed has quotes in it, wherever its lines are broken; what is printed has none.
        write(&mut console, &format!("\necho from\"-\"{number}; {command}; echo to\"-\"{number}\n")).await;
        let printed = read_until(&mut console, &format!("to-{number}\r\n")).await;
        let after = printed.split_once(&format!("from-{number}\r\n")).map_or("", |(_, after)| after);
        after.rsplit_once(&format!("to-{number}")).map_or("", |(before, _)| before).trim().to_owned()
    }

    /// How much is half made.
    pub fn half_made(&self) -> usize {
        std::fs::read_dir(self.config.data.join("volumes/scratch")).unwrap().count()
    }

    /// The files of the layers that the host has.
    pub fn layers(&self) -> usize {
        std::fs::read_dir(self.config.data.join("volumes/layers")).unwrap().count()
    }

    pub async fn until_running(&mut self, id: InstanceId) -> ObservedGuest {
        self.until(id, |is| matches!(is, Is::Running { .. })).await
    }

    pub async fn console_log(&mut self, guest: InstanceId) -> String {
        static REQUEST: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let request = REQUEST.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.tell(ToHost::ReadConsole { request, guest, bytes: 64 << 10 }).await;
        let text = self
            .hear(|said| match said {
                FromHost::ConsoleLog { request: theirs, text, error } if *theirs == request => {
                    assert_eq!(*error, None);
                    Some(text.clone())
                }
                _ => None,
            })
            .await;
        self.heard.retain(|said| !matches!(said, FromHost::ConsoleLog { .. }));
        text
    }

    pub async fn until_printed(&mut self, id: InstanceId, wanted: &str) -> String {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let text = self.console_log(id).await;
            if text.contains(wanted) {
                return text;
            }
            assert!(tokio::time::Instant::now() < deadline, "no `{wanted}` in the console of {id}:\n{text}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Like [`Bench::until_printed`], for what is printed at each boot.
    pub async fn until_printed_again(&mut self, id: InstanceId, wanted: &str, times: usize) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.console_log(id).await.matches(wanted).count() < times {
            assert!(tokio::time::Instant::now() < deadline, "`{wanted}` was not printed {times} times");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub async fn stream(&self, guest: InstanceId, target: Target) -> io::Result<UnixStream> {
        link::stream(&self.config.socket, &Open::Stream { installation: installation(), guest, target }).await
    }

    /// Brings the bytes of an image.
    pub async fn bring(&self, volume: VolumeId, bytes: &[u8]) -> io::Result<()> {
        let open = Open::Bytes { installation: installation(), volume, way: Way::ToHost };
        let mut stream = link::stream(&self.config.socket, &open).await?;
        // One that is refused on the way is not read to the end.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        Ok(())
    }

    /// The same, and no byte of it yet.
    pub async fn begin_to_bring(&self, volume: VolumeId) -> UnixStream {
        let open = Open::Bytes { installation: installation(), volume, way: Way::ToHost };
        link::stream(&self.config.socket, &open).await.unwrap()
    }

    /// The bytes of an image, as a host gives them away.
    pub async fn fetch(&self, volume: VolumeId) -> io::Result<Vec<u8>> {
        let open = Open::Bytes { installation: installation(), volume, way: Way::FromHost };
        let mut stream = link::stream(&self.config.socket, &open).await?;
        let mut bytes = vec![];
        stream.read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    /// What a server of another installation hears.
    pub async fn stranger(&self) -> String {
        let (mut incoming, _write) = link::control(&self.config.socket, Uuid::from_u128(666)).await.unwrap();
        incoming.next::<serde_json::Value>().await.unwrap().unwrap().to_string()
    }

    /// The processes of a guest.
    pub fn processes(&self, id: InstanceId) -> Vec<u32> {
        processes_in(&self.config.data.join("guests").join(id.to_string()))
    }

    /// What the host knows about a guest, when it is what was `wanted`; the server calls anew each time.
    pub async fn until_known(&mut self, id: InstanceId, wanted: impl Fn(&Is) -> bool) -> ObservedGuest {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let hello = self.call().await;
            let found = hello.guests.into_iter().find(|guest| guest.id == id);
            match found {
                Some(guest) if wanted(&guest.is) => return guest,
                other => assert!(tokio::time::Instant::now() < deadline, "{other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn until_no_process(&self, id: InstanceId) {
        while !self.processes(id).is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub fn records(&self) -> usize {
        std::fs::read_dir(self.config.data.join("records")).unwrap().count()
    }

    pub fn mode_of_socket(&self) -> u32 {
        std::fs::metadata(&self.config.socket).unwrap().permissions().mode() & 0o777
    }

    pub fn namespace(&self) -> String {
        ebb_host::namespace(&self.config.data.canonicalize().unwrap())
    }

    /// Runs a program in the host's namespace.
    pub fn inside(&self, words: &[&str]) -> String {
        let name = self.namespace();
        let output = Command::new("ip").args(["netns", "exec", &name]).args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// Until a program in the host's namespace says something.
    pub async fn settled(&self, words: &[&str], wanted: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let said = self.inside(words);
            if said.contains(wanted) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "no `{wanted}` in {said}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The console of a guest, with its shell waiting.
    pub async fn shell(&self, id: InstanceId) -> UnixStream {
        let mut console = self.stream(id, Target::Console).await.unwrap();
        write(&mut console, "\n").await;
        let n = id.uuid().as_u128() & 0xff;
        read_until(&mut console, &format!("guest-{n}:")).await;
        console
    }

    /// A service inside the host's namespace, on all its addresses.
    pub fn listen_inside(&self) -> TcpListener {
        outside::inside(&self.namespace(), || TcpListener::bind("0.0.0.0:0").unwrap())
    }

    /// Ends the host, cleans up, and looks for anything that stayed.
    pub async fn leave_no_trace(mut self) {
        self.stop().await;
        let (data, name) = (self.config.data.clone(), self.namespace());
        // What an ended host still has open in the background lets go within moments.
        let mut tries = 0;
        while let Err(e) = ebb_host::clean(&data) {
            tries += 1;
            assert!(tries < 50, "{e}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(!data.exists() && !self.config.socket.exists());
        assert!(!Path::new("/run/netns").join(&name).exists());
        assert_eq!(processes_in(&data), Vec::<u32>::new());
        for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/pids"] {
            assert!(!Path::new(root).join(&name).exists(), "{root}/{name}");
        }
        let held = |file: &str| std::fs::read_to_string(file).unwrap_or_default().contains(&data.display().to_string());
        assert!(!held("/proc/mounts"), "something of it is mounted");
        let loops =
            std::fs::read_dir("/sys/block").unwrap().flatten().map(|block| block.path().join("loop/backing_file"));
        assert!(!loops.into_iter().any(|file| held(&file.display().to_string())), "a loop device has a file of it");
        let links = Command::new("ip").args(["-o", "link"]).output().unwrap();
        let links = String::from_utf8_lossy(&links.stdout).into_owned();
        let (device, table) = (name.replacen("ebb-", "eb", 1), name.replacen('-', "_", 1));
        for ours in ["tap0a", "br00", "br1", "vx00", &device] {
            assert!(!links.contains(&format!(" {ours}")), "{ours}: {links}");
        }
        let tables = Command::new("nft").args(["list", "tables"]).output().unwrap();
        let tables = String::from_utf8_lossy(&tables.stdout).into_owned();
        assert!(!tables.contains(&table) && !tables.contains("traffic"), "{tables}");
        let routes = Command::new("ip").args(["route", "show", "table", "all"]).output().unwrap();
        let routes = String::from_utf8_lossy(&routes.stdout).into_owned();
        assert!(!routes.contains(&device), "{routes}");
    }
}

/// A test that fails leaves no trace either, so that the next run begins like this one.
impl Drop for Bench {
    fn drop(&mut self) {
        self.other = None;
        if let Some(host) = self.host.take() {
            host.abort();
        }
        let data = self.config.data.clone();
        if !data.exists() {
            return;
        }
        let sweep = move || {
            (0..100).any(|_| {
                std::thread::sleep(Duration::from_millis(20));
                ebb_host::clean(&data).is_ok()
            })
        };
        let _ = std::thread::spawn(sweep).join();
    }
}

/// A host in a process of its own, which ends with the test.
pub struct Started(Child);

impl std::ops::Deref for Started {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl std::ops::DerefMut for Started {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

pub struct Order(DesiredGuest);

impl Order {
    pub fn user_data(mut self, script: &str) -> Self {
        self.0.metadata.user_data = Some(script.to_owned());
        self
    }

    pub fn end(mut self, notice_at: Timestamp, at: Timestamp) -> Self {
        self.0.end = Some(PlannedEnd { notice_at, at });
        self
    }

    pub fn want(mut self, want: Want) -> Self {
        self.0.want = want;
        self
    }

    pub fn size(mut self, vcpu: i64, memory_mib: i64) -> Self {
        self.0.spec.resources.set("vcpu", vcpu);
        self.0.spec.resources.set("memory_mib", memory_mib);
        self
    }

    pub fn place(mut self, network: u32, address: &str) -> Self {
        let range = "10.64.0.0/10".parse().unwrap();
        self.0.place = Some(Place { network, address: address.parse().unwrap(), range });
        self
    }

    /// One more public address.
    pub fn public(mut self, id: u128, ip: &str, mbit: Option<i64>) -> Self {
        self.0.addresses.push(PublicAddress { id: address(id), ip: ip.parse().unwrap(), mbit });
        self
    }

    pub fn ingress(mut self, rules: &[&str]) -> Self {
        self.0.ingress = rules.iter().map(|rule| serde_json::from_str(rule).unwrap()).collect();
        self
    }

    pub fn disks(mut self, disks: impl IntoIterator<Item = DiskId>) -> Self {
        self.0.disks = disks.into_iter().collect();
        self
    }

    /// What it flushes is to survive.
    pub fn firm(mut self) -> Self {
        self.0.spec.disposable = false;
        self
    }

    pub fn disk_revision(mut self, revision: i64) -> Self {
        self.0.spec.disk_revision = revision;
        self
    }

    pub fn disk_gib(mut self, gib: i64) -> Self {
        self.0.spec.resources.set("disk_gib", gib);
        self
    }

    pub fn password(mut self, hash: &str) -> Self {
        self.0.metadata.password_hash = Some(hash.to_owned());
        self
    }

    pub fn image(mut self, image: &str) -> Self {
        self.0.spec.image = image.to_owned();
        self
    }
}

pub fn guest(n: u128) -> InstanceId {
    InstanceId::new(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + n))
}

pub fn disk(n: u128) -> DiskId {
    DiskId::new(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + (n << 76)))
}

pub fn snapshot(n: u128) -> SnapshotId {
    SnapshotId::new(Uuid::from_u128(n))
}

pub fn image_id(n: u128) -> ImageId {
    ImageId::new(Uuid::from_u128(n))
}

/// A volume that should be there.
pub fn there(id: VolumeId, source: Source, gib: i64) -> (VolumeId, WantVolume) {
    (id, WantVolume::There { source, gib })
}

pub fn gone(id: VolumeId) -> (VolumeId, WantVolume) {
    (id, WantVolume::Gone)
}

/// Guests run under users from here on.
pub fn first_uid() -> u32 {
    QemuConfig::default().first_uid
}

pub fn account(n: u128) -> AccountId {
    AccountId::new(Uuid::from_u128(n))
}

pub fn address(n: u128) -> AddressId {
    AddressId::new(Uuid::from_u128(n))
}

pub fn installation() -> Uuid {
    Uuid::from_u128(0xebb)
}

#[expect(clippy::disallowed_methods, reason = "a test sets deadlines by the wall clock")]
pub fn now() -> Timestamp {
    Timestamp::from_micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64)
}

pub async fn read(stream: &mut UnixStream, bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut buffer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&buffer).into_owned()
}

pub async fn read_until(stream: &mut UnixStream, wanted: &str) -> String {
    let mut all = String::new();
    let reading = async {
        let mut buffer = [0; 1024];
        while !all.contains(wanted) {
            let length = stream.read(&mut buffer).await.unwrap();
            assert!(length > 0, "the console ended after {all}");
            all.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    };
    if tokio::time::timeout(PATIENCE, reading).await.is_err() {
        panic!("no `{wanted}` in {all}");
    }
    all
}

/// Types a line into a shell and gives what it says.
pub async fn typed(console: &mut UnixStream, line: &str) -> String {
    // What was typed comes back, too; the quotes keep these words from being found in that.
    write(console, &format!("echo ' be'gun; {line}; echo ' sa'id\n")).await;
    let said = read_until(console, " said\r\n").await;
    let said = said.split_once(" begun\r\n").expect("the line was begun").1;
    said.split_once(" said\r\n").expect("it was waited for").0.replace('\r', "").trim().to_owned()
}

pub async fn read_to_end(stream: &mut UnixStream) {
    let mut rest = vec![];
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("an end").unwrap();
}

pub async fn write(stream: &mut UnixStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// What the host has to say goes to the test's output.
pub fn log() {
    static LOG: Once = Once::new();
    LOG.call_once(|| tracing_subscriber::fmt().with_test_writer().with_env_filter("ebb_host=debug").init());
}

pub fn memory(pid: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default().to_owned()
}

pub fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// The address by which this machine would reach others.
pub fn address_of_this_machine() -> String {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let routed = socket.connect("198.51.100.1:9").and_then(|()| socket.local_addr());
    routed.map_or("127.0.0.1".to_owned(), |address| address.ip().to_string())
}

fn processes_in(dir: &Path) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(dir)))
        .collect()
}

/// The built-in guest, made once.
fn image() -> PathBuf {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("guest");
        let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest/build");
        let status = Command::new(&build).arg(&dir).status();
        let status = status.unwrap_or_else(|e| panic!("{}: {e}", build.display()));
        assert!(status.success(), "guest/build failed: {status}");
        dir
    };
    IMAGE.get_or_init(make).clone()
}
