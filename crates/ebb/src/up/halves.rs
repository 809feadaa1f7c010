//! Under which user does each half run, and where does it keep its things?

use super::{UpArgs, own};
use crate::failure::Failure;
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Started by root, the service still has no privilege: it runs under this user, which owns nothing else.
const SERVICE_UID: u32 = 64_100;
/// This machine reaches the public addresses, and nobody else does.
const NETWORK: &str = "[uplink]\nkind = \"machine\"\n";
/// Beneath the data: what of Debian was installed, now or at an earlier start.
const DEBIAN: &str = "images/debian-12";
/// So long a host may take to listen before somebody else says that it does not.
const PATIENCE: Duration = Duration::from_secs(30);

/// The two processes. They end with this one, however it ends; the guests do not.
pub struct Halves {
    host: Child,
    serve: Child,
    data: PathBuf,
    /// How long the service's log was before.
    log_length: usize,
    /// Why its guests have no public addresses, if they have none.
    pub closed: Option<String>,
}

impl Halves {
    pub fn start(args: &UpArgs) -> Result<Self, Failure> {
        let data = &args.data;
        let here = rustix::process::getuid().as_raw();
        let service = if here == 0 { SERVICE_UID } else { here };
        make_directories(data, here, service)?;
        let ebb = install(args)?;
        let (host, closed) = start_host(args, &ebb, here, service)?;

        let mut serve = Command::new("setpriv");
        serve.args(["--pdeathsig", "TERM", "--no-new-privs"]);
        if here == 0 {
            let id = service.to_string();
            serve.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
        }
        serve.arg("--").arg(&ebb).arg("serve").arg("--data").arg(data.join("serve"));
        serve.arg("--operator-key").arg(data.join("serve/operator.key")).args(["--listen", &args.listen.to_string()]);
        serve.arg("--catalog").arg(data.join("catalog.toml")).arg("--host").arg(data.join("host.sock"));
        let log_length = std::fs::metadata(own(data).join("serve.log")).map_or(0, |log| log.len() as usize);
        let serve = spawn(serve, data, "serve")?;
        Ok(Self { host, serve, data: data.clone(), log_length, closed })
    }

    /// What ended, if one of them has.
    pub fn look(&mut self) -> Option<Failure> {
        let halves = [("host", self.host.try_wait()), ("serve", self.serve.try_wait())];
        let (name, _) = halves.into_iter().find(|(_, ended)| !matches!(ended, Ok(None)))?;
        let log = self.log(name);
        let last = std::fs::read_to_string(&log).unwrap_or_default();
        let last: Vec<&str> = last.lines().rev().take(3).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        Some(Failure::Outcome(format!("`ebb {name}` ended; its log {log} ends with\n  {}", last.join("\n  "))))
    }

    /// Whether the service has said where it listens.
    pub fn is_listening(&self) -> bool {
        let log = std::fs::read(self.log("serve")).unwrap_or_default();
        let new = String::from_utf8_lossy(log.get(self.log_length..).unwrap_or_default());
        new.lines().any(|line| line.starts_with("{\"endpoint\":"))
    }

    pub async fn ended(&mut self) -> Failure {
        loop {
            if let Some(ended) = self.look() {
                return ended;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub fn log(&self, half: &str) -> String {
        own(&self.data).join(format!("{half}.log")).display().to_string()
    }

    /// Ends both; the guests go on.
    pub fn stop(&mut self) {
        for child in [&mut self.serve, &mut self.host] {
            let pid = rustix::process::Pid::from_child(child);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ = child.wait();
        }
    }

    /// Removes every trace of the host.
    pub fn clean(&self, data: &Path) -> Result<(), Failure> {
        let mut command = as_root();
        command.arg(data.join("bin/ebb")).args(["host", "--clean", "--data"]).arg(data.join("host"));
        done(command, "cleaning up after the host")
    }
}

/// Starts the host with a way from this machine to public addresses; where that cannot be, without one, and says why.
fn start_host(args: &UpArgs, ebb: &Path, here: u32, service: u32) -> Result<(Child, Option<String>), Failure> {
    let data = &args.data;
    let start = |open: bool| {
        let mut host = Command::new(if here == 0 { "setpriv" } else { "sudo" });
        if here != 0 {
            host.arg("setpriv");
        }
        host.args(["--pdeathsig", "TERM", "--"]).arg(ebb).arg("host").arg("--data").arg(data.join("host"));
        host.arg("--socket").arg(data.join("host.sock")).args(["--server-uid", &service.to_string()]);
        let image = data.join("images/ebb-guest");
        host.arg("--image").arg(format!("ebb-guest={}", image.display())).args(["--capacity", &args.capacity]);
        let debian = data.join(DEBIAN);
        if debian.join("disk.qcow2").exists() {
            host.arg("--image").arg(format!("debian-12={}", debian.display()));
        }
        if open {
            host.arg("--network").arg(data.join("network.toml"));
        }
        spawn(host, data, "host")
    };
    let mut host = start(true)?;
    let began = Instant::now();
    while UnixStream::connect(data.join("host.sock")).is_err() && began.elapsed() < PATIENCE {
        if let Ok(Some(_)) = host.try_wait() {
            // If it was not the network, this one ends as well, and that is said.
            let log = std::fs::read_to_string(own(data).join("host.log")).unwrap_or_default();
            let why = log.rsplit("ebb: the host: ").next().unwrap_or_default();
            let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
            return Ok((start(false)?, Some(why)));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok((host, None))
}

fn make_directories(data: &Path, here: u32, service: u32) -> Result<(), Failure> {
    let mut top = as_root();
    top.args(["install", "-d", "-m", "755", "-o", &here.to_string()]).arg(data).arg(data.join("bin"));
    let images = [data.join("images"), data.join("images/ebb-guest"), data.join(DEBIAN)];
    done(top.args(images), "making the data directory")?;
    let mut serve = as_root();
    serve.args(["install", "-d", "-m", "700", "-o", &service.to_string()]).arg(data.join("serve"));
    done(serve, "making the service's directory")?;
    let mut user = as_root();
    done(user.args(["install", "-d", "-m", "700", "-o", &here.to_string()]).arg(own(data)), "making your directory")
}

/// Puts the program, the catalog and the image where both users can read them.
fn install(args: &UpArgs) -> Result<PathBuf, Failure> {
    let data = &args.data;
    let ebb = data.join("bin/ebb");
    let program = std::env::current_exe().map_err(Failure::io("finding this program"))?;
    let network = own(data).join("network.toml");
    std::fs::write(&network, NETWORK).map_err(Failure::io(network.display().to_string()))?;
    for (from, to, mode) in [
        (program, ebb.clone(), "755"),
        (args.catalog.clone(), data.join("catalog.toml"), "644"),
        (network, data.join("network.toml"), "644"),
        (args.image.join("vmlinuz"), data.join("images/ebb-guest/vmlinuz"), "644"),
        (args.image.join("initramfs.img"), data.join("images/ebb-guest/initramfs.img"), "644"),
    ] {
        if !from.exists() {
            let hint = "`make run` builds the image and starts from the right directory";
            return Err(Failure::Usage(format!("{} does not exist; {hint}", from.display())));
        }
        let mut command = as_root();
        done(command.args(["install", "-m", mode]).arg(from).arg(to), "installing")?;
    }
    let disk = args.debian.join("disk.qcow2");
    if disk.exists() {
        // As another name of the same file, or of the same blocks, where that can be: it is large.
        let to = data.join(DEBIAN).join("disk.qcow2");
        let mut linked = as_root();
        linked.args(["cp", "--force", "--link"]).arg(&disk).arg(&to).stderr(Stdio::null());
        if done(linked, "linking").is_err() {
            let mut copied = as_root();
            done(copied.args(["cp", "--force", "--reflink=auto"]).arg(&disk).arg(&to), "installing Debian")?;
        }
    }
    Ok(ebb)
}

fn as_root() -> Command {
    if rustix::process::getuid().is_root() {
        // `env` only so that both cases take the same arguments.
        Command::new("env")
    } else {
        Command::new("sudo")
    }
}

fn done(mut command: impl std::borrow::BorrowMut<Command>, what: &str) -> Result<(), Failure> {
    let command = command.borrow_mut();
    let status = command.status().map_err(Failure::io(what))?;
    if status.success() { Ok(()) } else { Err(Failure::Outcome(format!("{what}: {command:?} failed ({status})"))) }
}

fn spawn(mut command: Command, data: &Path, half: &str) -> Result<Child, Failure> {
    let path = own(data).join(format!("{half}.log"));
    let log = File::options().create(true).append(true).open(&path);
    let log = log.map_err(Failure::io(format!("the log {}", path.display())))?;
    let errors = log.try_clone().map_err(Failure::io("the log"))?;
    // A process group of its own, so that Ctrl-C reaches this program first.
    use std::os::unix::process::CommandExt;
    let child = command.process_group(0).stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
    child.map_err(Failure::io(format!("starting `ebb {half}`")))
}
