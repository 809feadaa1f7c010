//! Where does `qemu-img` run when it reads what a guest or a stranger wrote? Where it can do no harm, whatever it is made to do.
//!
//! As a user that nobody else is, without privileges, without a network, in a file system that holds `/usr` and one directory with
//! the files in question, and with limits on memory, time and what it writes. One runs at a time.

use super::layers::LayerId;
use super::{Chain, Store};
use ebb_model::volume::ImageFormat;
use serde_json::{Value, json};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(3600);
const MEMORY_BYTES: u64 = 2 << 30;
/// What a complaint of its may be long.
const COMPLAINT_BYTES: usize = 500;

/// Makes the little file system in `$1` around the working directory and goes on there as the program that follows.
const SEALED: &str = r#"set -e
root=$1; shift
mount -t tmpfs -o size=1m,mode=755 none "$root"
mkdir "$root/usr" "$root/files"
mount --rbind /usr "$root/usr"
mount --bind . "$root/files"
for dir in bin sbin lib lib64; do
  if [ -L "/$dir" ]; then ln -s "usr/$dir" "$root/$dir"
  elif [ -d "/$dir" ]; then mkdir "$root/$dir"; mount --rbind "/$dir" "$root/$dir"; fi
done
exec chroot "$root" env -C /files "$@""#;

/// A directory to work in, which goes when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
    uid: u32,
}

impl Scratch {
    pub fn new(store: &Store) -> io::Result<Self> {
        let dir = store.dir.join("scratch").join(uuid::Uuid::new_v4().to_string());
        let scratch = Self { dir, uid: store.tool_uid };
        for dir in [scratch.dir.clone(), scratch.dir.join("root"), scratch.dir.join("files")] {
            DirBuilder::new().mode(0o700).create(dir)?;
        }
        chown(scratch.dir.join("files"), Some(scratch.uid), Some(scratch.uid))?;
        Ok(scratch)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join("files").join(name)
    }

    /// Lets the tool read the layers of a chain that nobody writes to any more; what it is called with to see them.
    pub fn lend(&self, store: &Store, chain: &Chain) -> io::Result<String> {
        let mut whole = Value::Null;
        for (id, format) in &chain.layers {
            // Looked at once more: what a guest's QEMU wrote may name other files.
            let file = store.layer(*id, super::Access::Read)?;
            // Its directory keeps everybody out; whoever gets a link may read.
            file.set_permissions(fs::Permissions::from_mode(0o444))?;
            fs::hard_link(store.path(*id), self.path(&link(*id)))?;
            let below = std::mem::replace(&mut whole, node(*format, &link(*id)));
            if *format == ImageFormat::Qcow2 {
                whole["backing"] = below;
            }
        }
        Ok(format!("json:{whole}"))
    }

    /// The same for a file that lies here.
    pub fn call(name: &str, format: ImageFormat) -> String {
        let mut whole = node(format, name);
        if format == ImageFormat::Qcow2 {
            whole["backing"] = Value::Null;
        }
        format!("json:{whole}")
    }

    /// Runs `qemu-img`, which may write `most` bytes to a file.
    pub async fn qemu_img(&self, words: &[&str], most: u64) -> Result<(), String> {
        let uid = self.uid;
        let line = format!(
            "setpriv --reuid={uid} --regid={uid} --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs \
             --pdeathsig=KILL prlimit --core=0 --nofile=256 --nproc=64 --as={MEMORY_BYTES} --cpu={} --fsize={most} -- \
             nice -n 10 qemu-img",
            PATIENCE.as_secs(),
        );
        let child = Command::new("unshare")
            .args(["--net", "--ipc", "--mount", "--", "sh", "-c", SEALED, "sh"])
            .arg(self.dir.join("root"))
            .args(line.split_whitespace())
            .args(words)
            .current_dir(self.dir.join("files"))
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("qemu-img: {e}"))?;
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output())
            .await
            .map_err(|_| format!("it could not be read within {PATIENCE:?}"))?
            .map_err(|e| format!("qemu-img: {e}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said: String = said.trim().chars().filter(|c| !c.is_control()).take(COMPLAINT_BYTES).collect();
        Err(match said.is_empty() {
            true => format!("qemu-img ended: {}", output.status),
            false => said,
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let dir = self.dir.clone();
        // It may hold gigabytes; whoever drops it need not wait.
        std::thread::spawn(move || remove(&dir));
    }
}

fn remove(dir: &Path) {
    for _ in 0..50 {
        match fs::remove_dir_all(dir) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => std::thread::sleep(Duration::from_millis(20)),
            _ => return,
        }
    }
    tracing::warn!("{} cannot be deleted, which the next start does", dir.display());
}

fn link(id: LayerId) -> String {
    format!("layer{id}")
}

fn node(format: ImageFormat, name: &str) -> Value {
    json!({ "driver": format.name(), "file": { "driver": "file", "filename": name } })
}
