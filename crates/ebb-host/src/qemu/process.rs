//! Is a guest's QEMU alive, and how is it ended?
//!
//! A pid alone says neither: it is given out again, and a dead child keeps it until somebody asks. A pidfd says both.

use ebb_model::id::InstanceId;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use tokio::io::unix::AsyncFd;

/// A running QEMU, our child or an earlier host's.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    fd: AsyncFd<OwnedFd>,
}

impl Process {
    pub fn open(pid: u32) -> io::Result<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        let fd = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK)?;
        #[allow(
            deprecated,
            reason = "its successor is unsafe; an OwnedFd that is never replaced keeps the promise by itself"
        )]
        let fd = AsyncFd::new(fd)?;
        Ok(Self { pid, fd })
    }

    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    pub fn kill(&self) {
        // The only other answer is that it is dead already.
        let _ = rustix::process::pidfd_send_signal(self.fd.get_ref(), Signal::KILL);
    }

    /// Returns when it is dead: its memory, its files and its tap are free.
    pub async fn ended(&self) {
        while self.fd.readable().await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        // A child must be asked for, or it stays as a zombie; somebody else's child is no business of ours.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let reaped = rustix::process::waitid(WaitId::PidFd(self.fd.get_ref().as_fd()), options);
        debug_assert!(matches!(reaped, Ok(_) | Err(Errno::CHILD)), "waiting for a dead process: {reaped:?}");
    }
}

/// All QEMUs that work in a guest's directory under `guests`. What a process calls itself proves nothing; where it works, the
/// kernel says, and only root and the guest's own user get there.
pub fn running(guests: &Path) -> io::Result<BTreeMap<InstanceId, u32>> {
    let mut found = BTreeMap::new();
    for (pid, place) in all_under(guests)? {
        if let Some(id) = place.split('/').next().and_then(|name| name.parse().ok()) {
            found.insert(id, pid);
        }
    }
    Ok(found)
}

/// QEMUs and their tools that work anywhere under `dir`, with the rest of the path.
pub fn all_under(dir: &Path) -> io::Result<Vec<(u32, String)>> {
    let mut found = vec![];
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // Neither link of a zombie can be read.
        let Ok(place) = fs::read_link(entry.path().join("cwd")) else { continue };
        let Ok(rest) = place.strip_prefix(dir) else { continue };
        let Ok(program) = fs::read_link(entry.path().join("exe")) else { continue };
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        // Also one that is just becoming a QEMU; but not the shell of somebody who looks around there.
        if name.starts_with("qemu-") || super::command::BEFORE_QEMU.contains(&name.as_ref()) {
            found.push((pid, rest.to_string_lossy().into_owned()));
        }
    }
    Ok(found)
}
