//! How does a host leave no trace? For tests, and for whoever takes a machine back for good.

use crate::error::HostError;
use crate::files::Files;
use crate::network;
use crate::qemu::limits::Limits;
use crate::qemu::process;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Kills all guests of the host with this data directory and removes its namespace, what it has on the machine beside that, its
/// control groups and every file. Refused
/// while the host runs.
pub fn clean(data: &Path) -> Result<(), HostError> {
    if !data.exists() {
        return Ok(());
    }
    let files = Files::open(data)?;
    let root = files.root().to_owned();
    let guests = process::all_under(&root).map_err(HostError::data("the processes cannot be listed"))?;
    guests.into_iter().for_each(|(pid, _)| kill(pid));
    let name = network::namespace(&root);
    if Path::new("/run/netns").join(&name).exists() {
        let output = Command::new("ip").args(["netns", "del", &name]).output();
        let output = output.map_err(|e| HostError::Network(e.to_string()))?;
        if !output.status.success() {
            return Err(HostError::Network(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
    }
    network::uplink::part(&name);
    Limits::clean(&name);
    if let Some(socket) = files.belonging()?.socket {
        let _ = fs::remove_file(socket);
    }
    fs::remove_dir_all(&root).map_err(HostError::data("the files cannot be removed"))
}

/// Returns when it is dead.
fn kill(pid: u32) {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    let Ok(fd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { return };
    let _ = rustix::process::pidfd_send_signal(&fd, Signal::KILL);
    let _ = rustix::event::poll(&mut [PollFd::new(&fd, PollFlags::IN)], None);
}
