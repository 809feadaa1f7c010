//! Real guests: how is one bought and watched, and how does the same image start under a QEMU that nobody manages?

use crate::cloud::{Cloud, Guests, IMAGE, Scratch, Tenant};
use crate::process;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// A guest of one vCPU and 128 MiB, and one that takes everything.
pub const SMALL: &str = "t6.small.1";
pub const WHOLE: &str = "bench.whole";

/// A cloud of real guests with room for `count` small ones, and somebody who buys.
pub struct Range {
    pub cloud: Cloud,
    pub tenant: Tenant,
    key: PathBuf,
}

impl Range {
    pub async fn start(count: usize) -> Result<Self> {
        let whole = format!(
            "\n[[flavor]]\nid = \"{WHOLE}\"\nresources = {{ vcpu = {count}, memory_mib = {} }}\non_demand = \"0.08\"\n",
            128 * count
        );
        let catalog = include_str!("../../../catalog/demo.toml").to_owned() + &whole;
        let capacity = format!("vcpu={count},memory_mib={},disk_gib={count}", 128 * count);
        let cloud = Cloud::start(None, Guests::Real { capacity, catalog }).await?;
        let tenant = cloud.tenants(1).await?.remove(0);
        let key = cloud.dir.path().join("ssh_key");
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status()?;
        if !made.success() {
            bail!("ssh-keygen could not write {}", key.display());
        }
        let pair = json!({ "name": "bench", "public_key": fs::read_to_string(key.with_extension("pub"))? });
        cloud.lines.post("/v1/key-pairs", &tenant.key, &pair.to_string()).await?.json()?;
        Ok(Self { cloud, tenant, key })
    }

    /// Tries to buy; `None` while there is no room.
    pub async fn buy(&self, flavor: &str) -> Result<Option<String>> {
        let buy = json!({ "option": "on-demand", "zone": "here-a", "flavor": flavor, "key_pair": "bench" });
        let answer = self.cloud.lines.post("/v1/instances", &self.tenant.key, &buy.to_string()).await?;
        match answer.status {
            409 => Ok(None),
            _ => Ok(Some(answer.json()?["id"].as_str().context("an id")?.to_owned())),
        }
    }

    /// Buys as soon as that is not refused, and waits until the room is there: a firm order is taken while others still leave.
    pub async fn buy_when_possible(&self, flavor: &str) -> Result<String> {
        loop {
            if let Some(id) = self.buy(flavor).await? {
                self.cloud.while_state(&self.tenant, &id, "pending").await?;
                return Ok(id);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub async fn delete(&self, id: &str) -> Result<()> {
        self.cloud.lines.delete(&format!("/v1/instances/{id}"), &self.tenant.key).await?.json()?;
        Ok(())
    }

    pub async fn until_ready(&self, id: &str) -> Result<()> {
        self.cloud.until_printed(&self.tenant, id, "ebb-guest: ready").await
    }

    /// Runs `true` in the guest with the system's ssh, as a tenant would.
    pub async fn log_in(&self, id: &str) -> Result<()> {
        let mut ssh = tokio::process::Command::new(crate::cloud::ebb()?);
        ssh.args(["ssh", id, "-i"]).arg(&self.key).args(["--", "true"]);
        ssh.env("EBB_CONFIG", self.cloud.dir.path().join("profiles.toml"));
        ssh.env("EBB_ENDPOINT", &self.cloud.endpoint).env("EBB_KEY", &self.tenant.key);
        finished(ssh).await
    }

    /// A QEMU by itself, like the one that was called with these arguments.
    pub fn bare(&self, like: &[String]) -> Result<Bare> {
        Bare::start(like, &self.key)
    }
}

/// The process of a guest.
pub fn qemu_of(id: &str) -> Result<u32> {
    let found = process::with_argument(&format!("guest={id}"));
    let is_qemu = |pid: &u32| process::arguments(*pid).first().is_some_and(|program| program.contains("qemu-system"));
    found.into_iter().find(is_qemu).with_context(|| format!("{id} has no process"))
}

/// Waits until a process is gone.
pub async fn until_gone(pid: u32) {
    while process::is_there(pid) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// QEMU with the same image, machine, memory and devices, but its own network, and a shell script as metadata service.
pub struct Bare {
    child: Child,
    dir: Scratch,
    key: PathBuf,
    port: u16,
}

impl Bare {
    fn start(like: &[String], key: &Path) -> Result<Self> {
        let dir = Scratch::new()?;
        for file in ["vmlinuz", "initramfs.img"] {
            std::os::unix::fs::symlink(Path::new(IMAGE).canonicalize()?.join(file), dir.path().join(file))?;
        }
        fs::File::create(dir.path().join("disk"))?.set_len(1 << 30)?;
        let public_key = fs::read_to_string(key.with_extension("pub"))?;
        let meta = json!({ "uuid": "bare", "hostname": "bare", "public_keys": { "bench": public_key.trim() } });
        fs::write(dir.path().join("meta"), meta.to_string())?;
        fs::write(dir.path().join("answer"), ANSWER)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).args(without_management(like));
        command.arg("-netdev").arg(format!(
            "user,id=net,net=169.254.169.0/24,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22,\
             guestfwd=tcp:169.254.169.254:80-cmd:sh answer"
        ));
        command.args(["-serial", "file:console"]).current_dir(dir.path()).stdin(Stdio::null());
        let child = command.spawn().context("starting QEMU")?;
        Ok(Self { child, dir, key: key.to_owned(), port })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub async fn until_printed(&self, wanted: &str) -> Result<()> {
        let console = self.dir.path().join("console");
        let there = || fs::read_to_string(&console).is_ok_and(|text| text.contains(wanted));
        let started = Instant::now();
        while !there() {
            if started.elapsed() > Duration::from_secs(180) {
                bail!("a bare guest never said `{wanted}`");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    pub async fn ssh_banner(&self) -> Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let mut said = [0; 4];
        stream.read_exact(&mut said).await?;
        if &said == b"SSH-" { Ok(()) } else { bail!("no banner: {said:?}") }
    }

    pub async fn log_in(&self) -> Result<()> {
        let mut ssh = tokio::process::Command::new("ssh");
        ssh.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]);
        ssh.args(["-o", "IdentitiesOnly=yes", "-i"]).arg(&self.key);
        ssh.args(["-p", &self.port.to_string(), "root@127.0.0.1", "true"]);
        finished(ssh).await
    }

    /// From the kill to the end of the process.
    pub async fn kill(mut self) -> Result<Duration> {
        let started = Instant::now();
        self.child.kill()?;
        until_gone(self.pid()).await;
        Ok(started.elapsed())
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ANSWER: &str = r#"read -r line
case $line in
*meta_data.json*) status='200 OK' body=$(cat meta) ;;
*) status='404 Not Found' body= ;;
esac
printf 'HTTP/1.0 %s\r\nContent-Length: %s\r\n\r\n%s' "$status" "${#body}" "$body"
"#;

/// QEMU's own arguments without what ties it to its host.
fn without_management(like: &[String]) -> Vec<String> {
    let ties = ["-name", "-sandbox", "-netdev", "-chardev", "-serial", "-qmp"];
    let mut kept = vec![];
    let mut words = like.iter();
    while let Some(word) = words.next() {
        match ties.contains(&word.as_str()) {
            true => drop(words.next()),
            false => kept.push(word.clone()),
        }
    }
    kept
}

async fn finished(mut ssh: tokio::process::Command) -> Result<()> {
    let output = ssh.stdin(Stdio::null()).output().await?;
    match output.status.success() {
        true => Ok(()),
        false => bail!("ssh: {}", String::from_utf8_lossy(&output.stderr)),
    }
}
