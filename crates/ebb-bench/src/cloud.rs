//! What is measured? Both halves as `make run` starts them, in a directory that goes with them.

use crate::line::Lines;
use crate::process;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// `ebb serve` with `ebb host`.
pub struct Cloud {
    pub dir: Scratch,
    pub lines: Lines,
    pub operator: String,
    pub endpoint: String,
    serve: Half,
    serve_words: Vec<OsString>,
    hosts: Vec<Half>,
    guests: Guests,
}

#[derive(Clone)]
pub enum Guests {
    /// There are rows of them and nothing else; no host answers.
    Absent,
    /// Made of nothing, on so many hosts `bench-1`… with more room than anybody needs.
    Fake { hosts: usize },
    /// QEMU's, with this capacity.
    Real { capacity: String, catalog: String },
}

impl Guests {
    fn hosts(&self) -> usize {
        match self {
            Guests::Absent => 0,
            Guests::Fake { hosts } => *hosts,
            Guests::Real { .. } => 1,
        }
    }

    fn are_real(&self) -> bool {
        matches!(self, Guests::Real { .. })
    }
}

fn host_data(number: usize) -> String {
    format!("host-{number}")
}

/// The zone of the sample catalog in which everything happens.
pub const ZONE: &str = "cn-beijing-a";

/// Who buys.
#[derive(Clone)]
pub struct Tenant {
    pub key: String,
}

impl Cloud {
    /// Starts both; `postgres`: where to keep the rows, else in a SQLite file.
    pub async fn start(postgres: Option<&str>, guests: Guests) -> Result<Self> {
        Self::start_in(Scratch::new()?, postgres, guests, None).await
    }

    /// The same, where a database may be already, with a catalog of its own.
    pub async fn start_in(dir: Scratch, postgres: Option<&str>, guests: Guests, catalog: Option<&str>) -> Result<Self> {
        let mut serve: Vec<OsString> = ["serve", "--listen", "127.0.0.1:0", "--operator-key"].map(Into::into).to_vec();
        serve.push(dir.path().join("key").into());
        let mut hosts = vec![];
        for number in 1..=guests.hosts() {
            let socket = dir.path().join(format!("host-{number}.sock"));
            let mut host = dying_with_us(if guests.are_real() { as_root() } else { &[] });
            host.arg(ebb()?).arg("host").arg("--data").arg(dir.path().join(host_data(number)));
            host.arg("--socket").arg(&socket);
            match &guests {
                Guests::Absent => {}
                Guests::Fake { .. } => {
                    host.args(["--driver", "fake", "--zone", ZONE, "--name", &format!("bench-{number}")]);
                    host.args(["--capacity", "vcpu=100000000,memory_mib=100000000000,disk_gib=1000000000"]);
                }
                Guests::Real { capacity, .. } => {
                    let image = Path::new(IMAGE);
                    if !image.join("initramfs.img").exists() {
                        bail!("{IMAGE} is not built: run guest/build {IMAGE}, or `make bench`");
                    }
                    host.arg("--image").arg(format!("ebb-guest={}", image.canonicalize()?.display()));
                    host.args([
                        "--capacity",
                        capacity,
                        "--server-uid",
                        &rustix::process::getuid().as_raw().to_string(),
                    ]);
                }
            }
            hosts.push(Half::start(host, &dir, &format!("host-{number}"))?);
            wait(&format!("the host; see {}", dir.path().display()), || socket.exists()).await?;
            serve.extend(["--host".into(), socket.into()]);
        }
        let catalog = match &guests {
            Guests::Real { catalog, .. } => Some(catalog.as_str()),
            _ => catalog,
        };
        if let Some(text) = catalog {
            let file = dir.path().join("catalog.toml");
            fs::write(&file, text)?;
            serve.extend(["--catalog".into(), file.into()]);
        }
        match postgres {
            Some(connection) => serve.extend(["--postgres".into(), connection.into()]),
            None => serve.extend(["--data".into(), dir.path().join("serve").into()]),
        }
        let (half, lines, endpoint) = Self::serve(&serve, &dir)?;
        let operator = fs::read_to_string(dir.path().join("key"))?.trim().to_owned();
        let cloud = Self { dir, lines, operator, endpoint, serve: half, serve_words: serve, hosts, guests };
        cloud.connected().await?;
        Ok(cloud)
    }

    fn serve(words: &[OsString], dir: &Scratch) -> Result<(Half, Lines, String)> {
        let mut command = dying_with_us(&[]);
        command.arg(ebb()?).args(words);
        let mut half = Half::start(command, dir, "serve")?;
        let first: Value = serde_json::from_str(&half.first_line()?)?;
        let endpoint = first["endpoint"].as_str().context("an endpoint")?.to_owned();
        Ok((half, Lines::new(endpoint.trim_start_matches("http://").parse()?), endpoint))
    }

    /// Kills the unprivileged half, as a machine does that loses power.
    pub fn kill_serve(&mut self) -> Result<()> {
        self.serve.0.kill()?;
        self.serve.0.wait()?;
        Ok(())
    }

    /// Starts it again.
    pub fn serve_again(&mut self) -> Result<()> {
        (self.serve, self.lines, self.endpoint) = Self::serve(&self.serve_words, &self.dir)?;
        Ok(())
    }

    /// Ends both halves; the directory with the database stays as long as this.
    pub fn end(&mut self) {
        self.serve.end();
        self.hosts.iter_mut().for_each(Half::end);
    }

    async fn connected(&self) -> Result<()> {
        let started = Instant::now();
        while self.guests.hosts() > 0 {
            let hosts = self.lines.get("/v1/hosts", &self.operator).await?.json()?;
            let items = hosts["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            if items.len() >= self.guests.hosts() && items.iter().all(|host| host["connected"] == true) {
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                bail!("the host is not connected: {hosts}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// All that the load left behind adds up; else its figures are those of a service that is wrong.
    pub async fn agrees(&self) -> Result<()> {
        let audit = self.lines.get("/v1/audit", &self.operator).await?.json()?;
        if audit["agrees"] != true {
            bail!("the audit found a difference: {audit}");
        }
        Ok(())
    }

    /// Opens verified accounts with money.
    pub async fn tenants(&self, count: usize) -> Result<Vec<Tenant>> {
        let mut tenants = vec![];
        for n in 0..count {
            let name = json!({ "name": format!("Tenant {n}") }).to_string();
            let opened = self.lines.post("/v1/accounts", &self.operator, &name).await?.json()?;
            let id = opened["account"]["id"].as_str().context("an account")?;
            for (what, body) in
                [("verification", json!({ "holder": "enterprise" })), ("top-ups", json!({ "amount": "100000" }))]
            {
                let path = format!("/v1/accounts/{id}/{what}");
                self.lines.post(&path, &self.operator, &body.to_string()).await?.json()?;
            }
            tenants.push(Tenant { key: opened["key"]["secret"].as_str().context("a key")?.to_owned() });
        }
        Ok(tenants)
    }

    /// Waits until an instance is in this state; looks every few milliseconds.
    pub async fn until(&self, tenant: &Tenant, id: &str, state: &str) -> Result<()> {
        self.watch(tenant, id, |seen| seen == state).await
    }

    /// Waits until it is in another state.
    pub async fn while_state(&self, tenant: &Tenant, id: &str, state: &str) -> Result<()> {
        self.watch(tenant, id, |seen| seen != state).await
    }

    async fn watch(&self, tenant: &Tenant, id: &str, enough: impl Fn(&str) -> bool) -> Result<()> {
        let started = Instant::now();
        loop {
            let seen = self.lines.get(&format!("/v1/instances/{id}"), &tenant.key).await?.json()?;
            if enough(seen["state"].as_str().unwrap_or_default()) {
                return Ok(());
            }
            if started.elapsed() > PATIENCE * 3 || seen["state"] == "released" {
                bail!("{id} is {}, which was not waited for", seen["state"]);
            }
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
    }

    /// Waits until an instance's console says this; looks every 20 ms.
    pub async fn until_printed(&self, tenant: &Tenant, id: &str, wanted: &str) -> Result<()> {
        let started = Instant::now();
        loop {
            let log = self.lines.get(&format!("/v1/instances/{id}/console-log"), &tenant.key).await?;
            if log.is_success() && log.body.contains(wanted) {
                return Ok(());
            }
            if started.elapsed() > PATIENCE * 3 {
                bail!("{id} never said `{wanted}`: {}", log.body);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn serve_pid(&self) -> u32 {
        self.serve.0.id()
    }

    pub fn host_pid(&self) -> u32 {
        self.hosts[0].0.id()
    }

    pub fn cpu(&self) -> Duration {
        process::cpu(self.serve_pid())
    }

    /// Units of work and commits so far.
    pub async fn commits(&self) -> Result<(u64, u64)> {
        let text = self.lines.get("/metrics", &self.operator).await?.body;
        let read = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0);
        Ok((read("ebb_store_units_total"), read("ebb_store_commits_total")))
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.end();
        if self.guests.are_real() {
            let words = as_root();
            let mut clean = match words.first() {
                Some(word) => Command::new(word),
                None => Command::new("env"),
            };
            let data = self.dir.path().join(host_data(1));
            let done = ebb().map(|ebb| clean.arg(ebb).args(["host", "--clean", "--data"]).arg(data).status());
            if !matches!(done, Ok(Ok(status)) if status.success()) {
                eprintln!("the host could not be cleaned up: {done:?}");
            }
        }
    }
}

/// The image that `make bench` builds.
pub const IMAGE: &str = ".cache/guest";

/// A child with its output in the directory's logs.
pub struct Half(pub Child);

impl Half {
    fn start(mut command: Command, dir: &Scratch, name: &str) -> Result<Self> {
        let log = fs::File::create(dir.path().join(format!("{name}.log")))?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn();
        Ok(Self(child.with_context(|| format!("starting ebb {name}"))?))
    }

    /// A sandbox, and the first line that it says.
    pub fn sandbox(dir: &Scratch) -> Result<(Self, Value)> {
        let mut command = dying_with_us(&[]);
        command.arg(ebb()?).arg("sandbox");
        let mut half = Self::start(command, dir, "sandbox")?;
        let first = half.first_line()?;
        Ok((half, serde_json::from_str(&first)?))
    }

    fn first_line(&mut self) -> Result<String> {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().context("an output")?).read_line(&mut line)?;
        Ok(line)
    }

    fn end(&mut self) {
        if !matches!(self.0.try_wait(), Ok(None)) {
            return;
        }
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.end();
    }
}

/// A directory that the guests' users can reach, on a real disk, and that goes with its owner.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("ebb-bench-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        // Not /tmp, which on many machines is memory: there a durable commit would cost nothing.
        let dir = Path::new("/var/tmp").join(name);
        fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
        Ok(Self(dir))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The program beside this one.
pub fn ebb() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("ebb"))
}

/// What stands before a command that needs root.
fn as_root() -> &'static [&'static str] {
    if rustix::process::getuid().is_root() { &[] } else { &["sudo"] }
}

/// A command that ends with this program, should it be killed.
fn dying_with_us(before: &[&str]) -> Command {
    let mut words = before.iter().copied().chain(["setpriv", "--pdeathsig", "TERM", "--"]);
    let mut command = Command::new(words.next().expect("setpriv at least"));
    command.args(words);
    command
}

pub async fn wait(what: &str, there: impl Fn() -> bool) -> Result<()> {
    let started = Instant::now();
    while !there() {
        if started.elapsed() > PATIENCE {
            bail!("waited too long for {what}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
