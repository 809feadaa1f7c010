//! What lies on this host beside its guests' own things, and who has which disk?
//!
//! ```text
//! volumes/graph.json      which layers make up which disk, snapshot and image
//! volumes/records/ID.json what should be and what is, of each volume
//! volumes/layers/N        the layers; nobody but root gets there
//! volumes/scratch/        half-made things; emptied at each start
//! ```
//!
//! A layer's file is on disk before the graph names it, and goes after the graph has forgotten it. So whatever the host was at
//! when it died, each file in the graph is whole, and any other is nobody's and swept.

mod catalog;
mod deeds;
pub mod import;
pub mod layers;
pub mod making;
pub mod system;
mod tool;

use crate::error::HostError;
use crate::files::{self, Files};
use crate::qemu::disks::Chore;
use ebb_model::id::InstanceId;
use ebb_model::volume::{DiskOf, ImageFormat, VolumeId};
use layers::{Disk, Graph, Kept, LayerId};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, mpsc};
use tracing::{info, warn};

/// Of a header that a guest's QEMU may have written on.
const OWN_HEAD_BYTES: u64 = 64 << 10;

/// The volumes of a host.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    trash: PathBuf,
    state: Mutex<State>,
    /// Whose turn it is to change the graph.
    turn: Mutex<()>,
    /// Whose turn it is to have strange files read; the user that reads them is no guest's.
    tool: Semaphore,
    tool_uid: u32,
}

#[derive(Debug)]
struct State {
    graph: Graph,
    /// Who has a disk. It is nobody else's meanwhile.
    claims: BTreeMap<DiskOf, Claim>,
    /// Told to go: what is still being made of them does not come.
    over: BTreeSet<VolumeId>,
    /// Guests that went: a start of theirs that is still under way makes no disk any more.
    departed: BTreeSet<DiskOf>,
}

#[derive(Debug, Clone)]
pub enum Claim {
    /// The task of a guest, which does what is to be done about its disks.
    Guest { id: InstanceId, chores: mpsc::UnboundedSender<Chore> },
    /// Somebody makes something of it that is off.
    Maker,
}

/// What a guest's QEMU is to open, the lowest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    pub bytes: u64,
    pub layers: Vec<(LayerId, ImageFormat)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

impl Store {
    /// Opens the room and sweeps what nobody refers to.
    pub fn open(files: &Files, tool_uid: u32) -> Result<Self, HostError> {
        let dir = files.root().join("volumes");
        let mut graph: Graph = files::read(&dir.join("graph.json"))?.unwrap_or_default();
        graph.sweep();
        let store = Self {
            trash: files.trash(),
            state: Mutex::new(State {
                graph,
                claims: BTreeMap::new(),
                over: BTreeSet::new(),
                departed: BTreeSet::new(),
            }),
            dir,
            turn: Mutex::new(()),
            tool: Semaphore::new(1),
            tool_uid,
        };
        store.sweep().map_err(HostError::data("the volumes cannot be swept"))?;
        Ok(store)
    }

    fn sweep(&self) -> io::Result<()> {
        let state = self.state();
        self.write(&state.graph)?;
        for half_made in fs::read_dir(self.dir.join("scratch"))?.flatten() {
            self.put_aside(&half_made.path());
        }
        for file in fs::read_dir(self.dir.join("layers"))?.flatten() {
            let id = file.file_name().to_str().and_then(|name| name.parse().ok()).map(LayerId);
            if id.is_none_or(|id| !state.graph.layers().contains_key(&id)) {
                info!("{} belongs to no volume and is swept", file.path().display());
                self.put_aside(&file.path());
            }
        }
        for id in state.graph.layers().keys().filter(|id| !self.path(**id).is_file()) {
            // Not lost by us; whoever needs it fails, with a word about it.
            warn!("{} is missing: what lies on it cannot be read", self.path(*id).display());
        }
        Ok(())
    }

    /// Takes a disk for somebody; else says who has it.
    pub fn claim(&self, disk: DiskOf, by: &Claim) -> Result<(), Claim> {
        let mut state = self.state();
        match state.claims.get(&disk) {
            Some(other) if !other.is(by) => Err(other.clone()),
            _ => {
                state.claims.insert(disk, by.clone());
                Ok(())
            }
        }
    }

    pub fn release(&self, disk: DiskOf, by: &Claim) {
        let mut state = self.state();
        let is_theirs = match (state.claims.get(&disk), by) {
            (Some(Claim::Maker), Claim::Maker) => true,
            (Some(holder), by) => holder.is(by),
            (None, _) => false,
        };
        if is_theirs {
            state.claims.remove(&disk);
        }
    }

    /// A guest's process is dead: it has nothing any more.
    pub fn release_all(&self, guest: InstanceId) {
        self.state().claims.retain(|_, claim| !matches!(claim, Claim::Guest { id, .. } if *id == guest));
    }

    pub fn claimed_by(&self, guest: InstanceId) -> Vec<DiskOf> {
        let state = self.state();
        let theirs = |claim: &Claim| matches!(claim, Claim::Guest { id, .. } if *id == guest);
        state.claims.iter().filter(|(_, claim)| theirs(claim)).map(|(disk, _)| *disk).collect()
    }

    pub fn disk(&self, disk: DiskOf) -> Option<Disk> {
        self.state().graph.disks.get(&disk).cloned()
    }

    pub fn kept(&self, volume: VolumeId) -> Option<Kept> {
        self.state().graph.kept.get(&volume).cloned()
    }

    pub fn chain(&self, disk: DiskOf) -> Option<Chain> {
        let state = self.state();
        let found = state.graph.disks.get(&disk)?;
        Some(chain(&state.graph, found.top, found.bytes))
    }

    pub fn chain_of(&self, kept: &Kept) -> Chain {
        chain(&self.state().graph, kept.layer, kept.bytes)
    }

    /// Opens a layer for somebody who is to be handed it. Nobody is handed one that names other files.
    pub fn layer(&self, id: LayerId, access: Access) -> io::Result<File> {
        let file = OpenOptions::new().read(true).write(access == Access::Write).open(self.path(id))?;
        let format = self.state().graph.layers().get(&id).map(|layer| layer.format);
        if format == Some(ImageFormat::Qcow2) {
            let mut head = vec![];
            (&file).take(OWN_HEAD_BYTES).read_to_end(&mut head)?;
            if let Some(unfit) = ebb_driver::image::names_another(&head) {
                return Err(io::Error::other(format!("layer {id} was tampered with: {unfit}")));
            }
        }
        Ok(file)
    }

    /// The disks that a process can write to: what it says itself proves nothing, what it has open the kernel says.
    pub fn open_in(&self, pid: u32) -> BTreeSet<DiskOf> {
        let open = written_by(pid);
        let state = self.state();
        let has =
            |layer: &LayerId| fs::metadata(self.path(*layer)).is_ok_and(|at| open.contains(&(at.dev(), at.ino())));
        let disks = state.graph.disks.keys().copied();
        disks.filter(|disk| state.graph.own(*disk).iter().any(has)).collect()
    }

    /// Changes the graph: on disk first, then for all. `made` are files that it is about to name; they go if it does not. Nobody
    /// who only looks waits for the disk meanwhile, nor does a release.
    fn commit<T>(&self, made: &[LayerId], change: impl FnOnce(&mut Draft) -> Result<T, String>) -> Result<T, String> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.state().graph.clone();
        let mut draft = Draft { graph: before.clone(), over: self.state().over.clone() };
        let changed = change(&mut draft).and_then(|result| {
            let mut gone = draft.graph.sweep();
            self.write(&draft.graph).map_err(|e| format!("the volumes cannot be written down: {e}"))?;
            gone.extend(self.state().take(&before, draft.graph)?);
            Ok((result, gone))
        });
        match changed {
            Ok((result, gone)) => {
                gone.into_iter().for_each(|layer| self.put_aside(&self.path(layer)));
                Ok(result)
            }
            Err(why) => {
                // Should the draft be on disk, it is not for long.
                let graph = self.state().graph.clone();
                let _ = self.write(&graph);
                made.iter().for_each(|layer| drop(fs::remove_file(self.path(*layer))));
                Err(why)
            }
        }
    }

    fn write(&self, graph: &Graph) -> io::Result<()> {
        files::write(&self.dir.join("graph.json"), &files::json(graph))
    }

    /// A new file that reads as zeros and takes no room.
    fn raw(&self, bytes: u64) -> Result<LayerId, String> {
        let id = self.state().graph.reserve();
        let make = || {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path(id))?;
            file.set_len(bytes)?;
            file.sync_all()?;
            files::settle(&self.dir.join("layers"))
        };
        make().map_err(|e| self.unmade(id, &e)).map(|()| id)
    }

    /// A new file to be laid on another. It does not say on which: that stands in the graph.
    fn overlay(&self, bytes: u64) -> Result<LayerId, String> {
        let id = self.state().graph.reserve();
        let make = || {
            // Only ours to read from the first moment on.
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path(id))?;
            let output = Command::new("qemu-img")
                .args(["create", "-q", "-f", "qcow2", &id.to_string(), &bytes.to_string()])
                .current_dir(self.dir.join("layers"))
                .stdin(Stdio::null())
                .output()?;
            if !output.status.success() {
                return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
            }
            self.settle(id)
        };
        make().map_err(|e| self.unmade(id, &e)).map(|()| id)
    }

    fn unmade(&self, id: LayerId, error: &io::Error) -> String {
        let _ = fs::remove_file(self.path(id));
        format!("no layer can be made: {error}")
    }

    /// A file that somebody else wrote: nobody's but ours from here on, and durable.
    fn take_in(&self, id: LayerId) -> io::Result<()> {
        std::os::unix::fs::chown(self.path(id), Some(0), Some(0))?;
        fs::set_permissions(self.path(id), fs::Permissions::from_mode(0o600))?;
        self.settle(id)
    }

    /// Makes a layer's bytes and its name durable.
    fn settle(&self, id: LayerId) -> io::Result<()> {
        File::open(self.path(id))?.sync_all()?;
        files::settle(&self.dir.join("layers"))
    }

    /// Takes a file out of the way in constant time; what it takes is given back in the background.
    fn put_aside(&self, path: &Path) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let aside = self.trash.join(format!("volume-{name}-{}", uuid::Uuid::new_v4()));
        match fs::rename(path, &aside) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return,
            Err(e) => return warn!("{} cannot be put aside: {e}", path.display()),
            Ok(()) => {}
        }
        std::thread::spawn(move || {
            let deleted = if aside.is_dir() { fs::remove_dir_all(&aside) } else { fs::remove_file(&aside) };
            if let Err(e) = deleted {
                warn!("{} cannot be deleted: {e}", aside.display());
            }
        });
    }

    fn path(&self, id: LayerId) -> PathBuf {
        self.dir.join("layers").join(id.to_string())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The graph as it will be.
struct Draft {
    graph: Graph,
    over: BTreeSet<VolumeId>,
}

impl State {
    /// Takes over a graph that was changed while guests may have gone; the layers that nobody needs any more.
    fn take(&mut self, before: &Graph, mut graph: Graph) -> Result<Vec<LayerId>, String> {
        graph.disks.retain(|disk, _| !self.departed.contains(disk));
        let gone = graph.sweep();
        // What went with a guest is deleted by now.
        let lost = |layer: &LayerId| before.layers().contains_key(layer) && !self.graph.layers().contains_key(layer);
        if graph.layers().keys().any(lost) {
            return Err("the disk went with its guest".to_owned());
        }
        graph.follow(&self.graph);
        self.graph = graph;
        Ok(gone)
    }
}

impl Claim {
    fn is(&self, other: &Claim) -> bool {
        match (self, other) {
            (Claim::Guest { id, .. }, Claim::Guest { id: other, .. }) => id == other,
            _ => false,
        }
    }
}

fn chain(graph: &Graph, top: LayerId, bytes: u64) -> Chain {
    let format = |id: &LayerId| graph.layers().get(id).map_or(ImageFormat::Raw, |layer| layer.format);
    Chain { bytes, layers: graph.chain(top).into_iter().map(|id| (id, format(&id))).collect() }
}

/// What a process has open for writing, by device and number.
fn written_by(pid: u32) -> BTreeSet<(u64, u64)> {
    let of = PathBuf::from(format!("/proc/{pid}"));
    let writes = |fd: &std::ffi::OsStr| {
        let info = fs::read_to_string(of.join("fdinfo").join(fd)).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or_default();
        u32::from_str_radix(flags.trim(), 8).is_ok_and(|flags| flags & 0o3 != 0)
    };
    let open = fs::read_dir(of.join("fd")).into_iter().flatten().flatten().filter(|fd| writes(&fd.file_name()));
    open.filter_map(|fd| fs::metadata(fd.path()).ok().map(|at| (at.dev(), at.ino()))).collect()
}

#[cfg(test)]
mod tests;
