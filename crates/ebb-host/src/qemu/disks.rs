//! How does a running QEMU get a disk, how does it give one back, and how is one frozen under it?
//!
//! QEMU may open nothing itself: it is handed each layer as an open file, the top of a disk to write to, the others to read. Each
//! format and what lies on what are said by name, so what stands in a file counts for nothing. Everything here may be cut short
//! and begun again: what QEMU has is asked of it, not remembered.

use super::monitor::Session;
use crate::volumes::layers::{LayerId, named};
use crate::volumes::{Access, Chain, Store};
use ebb_model::volume::{DiskOf, ImageFormat, VolumeId};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::oneshot;
use tracing::{debug, warn};

/// Of a disk's id, what a guest sees as its serial number: the device has no room for more.
const SERIAL_BYTES: usize = 20;
/// Of each layer's own tables, kept in memory: enough for 8 GiB, and for 2 GiB of what is below.
const TOP_CACHE_BYTES: u32 = 1 << 20;
const CACHE_BYTES: u32 = 256 << 10;
/// The system disk, to QEMU and to the guest.
const ROOT: &str = "root";

/// What is to be done about a disk that a running guest has.
#[derive(Debug)]
pub enum Chore {
    /// Let it go on in a new layer, so that the one below is what `volume` will be.
    Freeze {
        disk: DiskOf,
        volume: VolumeId,
        done: oneshot::Sender<Result<(), String>>,
    },
    Grow {
        disk: DiskOf,
        bytes: u64,
        done: oneshot::Sender<Result<u64, String>>,
    },
}

/// Whether what a guest flushes has to survive a crash of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushes {
    Count,
    /// The disk is thrown away anyhow.
    AreIgnored,
}

/// A QEMU's disks.
pub struct Bay {
    session: Session,
    store: Arc<Store>,
}

impl Bay {
    pub async fn open(dir: &Path, uid: u32, store: Arc<Store>) -> io::Result<Self> {
        Ok(Self { session: Session::open(dir, uid).await?, store })
    }

    /// Lets the guest's processor run, for the first time.
    pub async fn run(&mut self) -> io::Result<()> {
        self.session.run("cont", json!({})).await.map(drop)
    }

    /// The disks that the guest sees, each with the layer that is written to.
    async fn devices(&mut self) -> io::Result<BTreeMap<String, LayerId>> {
        let answer = self.session.run("query-block", json!({})).await?;
        let device = |block: &Value| {
            let name = block["qdev"].as_str()?.strip_prefix("/machine/peripheral/")?.split('/').next()?.to_owned();
            Some((name, layer(block["inserted"]["node-name"].as_str()?)?))
        };
        Ok(answer.as_array().into_iter().flatten().filter_map(device).collect())
    }

    /// The data disks that the guest sees.
    pub async fn has(&mut self) -> io::Result<BTreeSet<DiskOf>> {
        let devices = self.devices().await?;
        Ok(devices.into_keys().filter_map(|name| name.parse().ok()).map(DiskOf::Data).collect())
    }

    async fn nodes(&mut self) -> io::Result<BTreeSet<LayerId>> {
        self.nodes_called("layer").await
    }

    async fn nodes_called(&mut self, what: &str) -> io::Result<BTreeSet<LayerId>> {
        let answer = self.session.run("query-named-block-nodes", json!({ "flat": true })).await?;
        Ok(answer
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|node| numbered(node["node-name"].as_str()?, what))
            .collect())
    }

    /// Gives the guest a disk.
    pub async fn plug(&mut self, disk: DiskOf, flushes: Flushes) -> io::Result<()> {
        let chain = self.chain(disk)?;
        let present = self.nodes().await?;
        for index in 0..chain.layers.len() {
            if !present.contains(&chain.layers[index].0) {
                self.add(&chain, index, Under::AsRecorded, flushes).await?;
            }
        }
        self.fit(&chain).await?;
        let (device, serial) = (device(disk), serial(disk));
        let top = top(&chain);
        let what = json!({
            "driver": "virtio-blk-pci", "id": device, "drive": node(top), "serial": serial,
            // When the host's disk is full the guest sees an error; by default QEMU would stop it, and nobody would know.
            "werror": "report", "rerror": "report",
        });
        self.session.run("device_add", what).await.map(drop)
    }

    /// Asks the guest to give a disk back. It may take its time, or never do it.
    pub async fn ask_back(&mut self, disk: DiskOf) {
        if let Err(e) = self.session.run("device_del", json!({ "id": device(disk) })).await {
            debug!("{} is not asked back: {e}", named(disk));
        }
    }

    /// Closes what no device uses any more.
    pub async fn tidy(&mut self) -> io::Result<()> {
        let tops: BTreeSet<LayerId> = self.devices().await?.into_values().collect();
        for layer in self.nodes().await?.into_iter().rev().filter(|layer| !tops.contains(layer)) {
            // QEMU keeps what another layer lies on.
            let _ = self.session.run("blockdev-del", json!({ "node-name": node(layer) })).await;
        }
        // Also a file whose format an attempt that was cut short did not come to.
        let kept = self.nodes().await?;
        for layer in self.nodes_called("file").await?.into_iter().filter(|layer| !kept.contains(layer)) {
            self.session.run("blockdev-del", json!({ "node-name": file(layer) })).await?;
            self.session.run("remove-fd", json!({ "fdset-id": layer.0 })).await?;
        }
        Ok(())
    }

    /// Lets a disk go on in the layers that were laid on it meanwhile, one after another.
    pub async fn follow(&mut self, disk: DiskOf) -> io::Result<()> {
        let chain = self.chain(disk)?;
        let top = self.devices().await?.remove(&device(disk));
        let top = top.ok_or_else(|| io::Error::other(format!("the guest has no disk {}", named(disk))))?;
        let Some(at) = chain.layers.iter().position(|(layer, _)| *layer == top) else {
            return Err(io::Error::other(format!("QEMU writes to layer {top}, which is none of the disk's")));
        };
        for index in at + 1..chain.layers.len() {
            let (below, new) = (chain.layers[index - 1].0, chain.layers[index].0);
            if !self.nodes().await?.contains(&new) {
                self.add(&chain, index, Under::Nothing, Flushes::Count).await?;
            }
            let switch = json!({ "node": node(below), "overlay": node(new) });
            self.session.run("blockdev-snapshot", switch).await?;
            // It would not write there again; now it could not.
            if let Err(e) = self.let_go(&chain, index - 1).await {
                warn!("layer {below} is still open for writing: {e}");
            }
        }
        Ok(())
    }

    /// Makes a disk as large as it should be.
    pub async fn grow(&mut self, disk: DiskOf) -> io::Result<()> {
        let chain = self.chain(disk)?;
        self.resize(&chain).await
    }

    fn chain(&self, disk: DiskOf) -> io::Result<Chain> {
        self.store.chain(disk).ok_or_else(|| io::Error::other(format!("there is no disk {} here", named(disk))))
    }

    /// A file that QEMU wrote itself may not have grown with its disk.
    async fn fit(&mut self, chain: &Chain) -> io::Result<()> {
        match chain.layers.last() {
            Some((_, ImageFormat::Qcow2)) => self.resize(chain).await,
            _ => Ok(()),
        }
    }

    async fn resize(&mut self, chain: &Chain) -> io::Result<()> {
        let size = json!({ "node-name": node(top(chain)), "size": chain.bytes });
        self.session.run("block_resize", size).await.map(drop)
    }

    /// Hands QEMU a layer.
    async fn add(&mut self, chain: &Chain, index: usize, under: Under, flushes: Flushes) -> io::Result<()> {
        let (id, _) = chain.layers[index];
        let is_top = index + 1 == chain.layers.len() || under == Under::Nothing;
        // What an attempt left that was cut short.
        let _ = self.session.run("blockdev-del", json!({ "node-name": file(id) })).await;
        let _ = self.session.run("remove-fd", json!({ "fdset-id": id.0 })).await;
        let accesses: &[_] = if is_top { &[Access::Read, Access::Write] } else { &[Access::Read] };
        for access in accesses {
            let file = self.store.layer(id, *access)?;
            let set = json!({ "fdset-id": id.0, "opaque": word(*access) });
            self.session.hand("add-fd", set, &file).await?;
        }
        for mut options in self.options(chain, index, is_top) {
            options["cache"] = json!({ "no-flush": flushes == Flushes::AreIgnored });
            if under == Under::Nothing && options.get("backing").is_some() {
                options["backing"] = Value::Null;
            }
            self.session.run("blockdev-add", options).await?;
        }
        Ok(())
    }

    /// The file and its format, each with all that could otherwise be read from the file.
    fn options(&self, chain: &Chain, index: usize, writes: bool) -> [Value; 2] {
        let (id, format) = chain.layers[index];
        let mut on_top = json!({
            "driver": format.name(), "node-name": node(id), "file": file(id), "read-only": !writes, "discard": "unmap",
        });
        if format == ImageFormat::Qcow2 {
            // QEMU would take up to 32 MiB for each, and a guest has many.
            on_top["l2-cache-size"] =
                json!(if index + 1 == chain.layers.len() { TOP_CACHE_BYTES } else { CACHE_BYTES });
            on_top["backing"] = match index.checked_sub(1) {
                Some(below) => json!(node(chain.layers[below].0)),
                None => Value::Null,
            };
        }
        let below = json!({
            "driver": "file", "node-name": file(id), "filename": format!("/dev/fdset/{id}"), "read-only": !writes,
            "discard": "unmap",
        });
        [below, on_top]
    }

    /// Opens a layer anew for reading and takes back what it could be written by.
    async fn let_go(&mut self, chain: &Chain, index: usize) -> io::Result<()> {
        let id = chain.layers[index].0;
        let options = self.options(chain, index, false);
        self.session.run("blockdev-reopen", json!({ "options": options })).await?;
        let sets = self.session.run("query-fdsets", json!({})).await?;
        let set = sets.as_array().into_iter().flatten().find(|set| set["fdset-id"] == id.0);
        let files = set.and_then(|set| set["fds"].as_array()).into_iter().flatten();
        for file in files.filter(|file| file["opaque"] == word(Access::Write)) {
            self.session.run("remove-fd", json!({ "fdset-id": id.0, "fd": file["fd"] })).await?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Under {
    AsRecorded,
    /// It will be laid on what QEMU has already.
    Nothing,
}

fn top(chain: &Chain) -> LayerId {
    chain.layers.last().expect("a disk has a layer").0
}

fn node(layer: LayerId) -> String {
    format!("layer{layer}")
}

fn file(layer: LayerId) -> String {
    format!("file{layer}")
}

fn layer(node: &str) -> Option<LayerId> {
    numbered(node, "layer")
}

fn numbered(node: &str, what: &str) -> Option<LayerId> {
    node.strip_prefix(what)?.parse().ok().map(LayerId)
}

fn word(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Write => "write",
    }
}

fn device(disk: DiskOf) -> String {
    match disk {
        DiskOf::System(_) => ROOT.to_owned(),
        DiskOf::Data(id) => id.to_string(),
    }
}

fn serial(disk: DiskOf) -> String {
    device(disk).chars().take(SERIAL_BYTES).collect()
}
