//! Which layers make up which disk, snapshot and image?
//!
//! A layer is a file; what it does not hold itself is read from the one below it. Only the top of a disk is written to. What lies
//! on what stands here and nowhere else: a file's own header may have been written by a guest.

use ebb_driver::protocol::Stored;
use ebb_model::volume::{DiskOf, ImageFormat, VolumeId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// More layers than this are not laid on one another: each costs a guest's QEMU memory, open files and time.
pub const DEEPEST: usize = 32;

/// Names a file; a later one has a higher number, so what lies below has a lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LayerId(pub u64);

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    pub format: ImageFormat,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<LayerId>,
}

/// A disk that a guest may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    pub top: LayerId,
    /// As a guest sees it; the file's own size follows when a guest's QEMU opens it.
    pub bytes: u64,
    /// Of a system disk: how often it was made anew, and how its guest is booted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<System>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    pub revision: i64,
    pub boot: Boot,
}

/// Where a guest's kernel comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Boot {
    /// Its firmware finds it on the disk.
    Disk,
    /// From the host's image of this name.
    Kernel(String),
}

/// A snapshot or an image: a layer that is not written to any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    pub layer: LayerId,
    pub bytes: u64,
    /// Of the system disk that it was made of, if that is known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<Boot>,
    /// Of an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Stored>,
}

/// A disk image that the operator gave the host, as it was when a guest first began with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    pub layer: LayerId,
    pub bytes: u64,
    /// What its file was then.
    pub mark: String,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    next: u64,
    layers: BTreeMap<LayerId, Layer>,
    pub disks: BTreeMap<DiskOf, Disk>,
    pub kept: BTreeMap<VolumeId, Kept>,
    /// What a snapshot or an image is being made of: frozen, and perhaps not yet so for the QEMU that has it.
    pub freezing: BTreeMap<VolumeId, Kept>,
    pub taken: BTreeMap<String, Taken>,
}

impl Graph {
    /// A number for a file that is to be made.
    pub fn reserve(&mut self) -> LayerId {
        self.next += 1;
        LayerId(self.next)
    }

    /// Gives out no number that the other has given out.
    pub fn follow(&mut self, other: &Graph) {
        self.next = self.next.max(other.next);
    }

    pub fn put(&mut self, id: LayerId, layer: Layer) {
        debug_assert!(layer.below.is_none_or(|below| below < id), "{id} lies on {layer:?}");
        self.next = self.next.max(id.0);
        self.layers.insert(id, layer);
    }

    pub fn layers(&self) -> &BTreeMap<LayerId, Layer> {
        &self.layers
    }

    /// A layer and all that it lies on, the lowest first.
    pub fn chain(&self, top: LayerId) -> Vec<LayerId> {
        let mut chain = vec![];
        let mut next = Some(top);
        // Each is lower than the last, so this ends whatever was read from the file.
        while let Some(id) = next {
            chain.push(id);
            next = self.layers.get(&id).and_then(|layer| layer.below).filter(|below| *below < id);
        }
        chain.reverse();
        chain
    }

    /// Whether one more layer may lie on this one.
    pub fn carries(&self, top: LayerId) -> Result<(), String> {
        match self.chain(top).len() {
            deep if deep >= DEEPEST => Err(format!(
                "the disk has {deep} layers, and no more than {DEEPEST} are laid on one another: ask again while its guest is \
                 off, and they are laid together first"
            )),
            _ => Ok(()),
        }
    }

    /// Lays `new` on a disk, so that what lies below is what `volume` will be. Asked again it changes nothing.
    pub fn freeze(&mut self, disk: DiskOf, volume: VolumeId, new: LayerId) -> Result<(), String> {
        let found = self.disks.get(&disk).ok_or_else(|| format!("there is no disk {} here", named(disk)))?.clone();
        self.carries(found.top)?;
        let boot = found.system.map(|system| system.boot);
        self.freezing.insert(volume, Kept { layer: found.top, bytes: found.bytes, boot, stored: None });
        self.put(new, Layer { format: ImageFormat::Qcow2, below: Some(found.top) });
        self.disks.get_mut(&disk).expect("a disk that was just found").top = new;
        Ok(())
    }

    /// Forgets the layers that nothing refers to any more; their files can go.
    pub fn sweep(&mut self) -> Vec<LayerId> {
        let tops = self.disks.values().map(|disk| disk.top);
        let tops = tops.chain(self.kept.values().chain(self.freezing.values()).map(|kept| kept.layer));
        let tops: Vec<LayerId> = tops.chain(self.taken.values().map(|taken| taken.layer)).collect();
        let used: BTreeSet<LayerId> = tops.into_iter().flat_map(|top| self.chain(top)).collect();
        let unused: Vec<LayerId> = self.layers.keys().filter(|id| !used.contains(id)).copied().collect();
        self.layers.retain(|id, _| used.contains(id));
        unused
    }

    /// The layers that belong to this disk alone.
    pub fn own(&self, disk: DiskOf) -> BTreeSet<LayerId> {
        let chain = |disk: &Disk| self.chain(disk.top);
        let others = self.disks.iter().filter(|(id, _)| **id != disk).flat_map(|(_, disk)| chain(disk));
        let others: BTreeSet<LayerId> = others.collect();
        let own = self.disks.get(&disk).map(chain).unwrap_or_default();
        own.into_iter().filter(|layer| !others.contains(layer)).collect()
    }
}

pub fn named(disk: DiskOf) -> String {
    match disk {
        DiskOf::System(id) => format!("of guest {id}"),
        DiskOf::Data(id) => id.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebb_model::id::{DiskId, InstanceId, SnapshotId};
    use proptest::prelude::*;
    use uuid::Uuid;

    fn disk(n: u8) -> DiskOf {
        match n % 2 {
            0 => DiskOf::Data(DiskId::new(Uuid::from_u128(n.into()))),
            _ => DiskOf::System(InstanceId::new(Uuid::from_u128(n.into()))),
        }
    }

    fn snapshot(n: u8) -> VolumeId {
        VolumeId::Snapshot(SnapshotId::new(Uuid::from_u128(n.into())))
    }

    #[derive(Debug, Clone)]
    enum Do {
        Blank(u8),
        Freeze(u8, u8),
        Finish(u8),
        Clone(u8, u8),
        DropDisk(u8),
        DropSnapshot(u8),
    }

    fn deeds() -> impl Strategy<Value = Vec<Do>> {
        let n = 0..6_u8;
        let one = prop_oneof![
            n.clone().prop_map(Do::Blank),
            (n.clone(), 0..20_u8).prop_map(|(d, s)| Do::Freeze(d, s)),
            (0..20_u8).prop_map(Do::Finish),
            (0..20_u8, n.clone()).prop_map(|(s, d)| Do::Clone(s, d)),
            n.prop_map(Do::DropDisk),
            (0..20_u8).prop_map(Do::DropSnapshot),
        ];
        proptest::collection::vec(one, 0..120)
    }

    proptest! {
        /// Whatever is done in whatever order: a layer is there as long as something is read through it and no longer, nothing that
        /// is frozen is on top of a disk, and no chain is too deep.
        #[test]
        fn a_layer_is_there_as_long_as_it_is_needed(deeds in deeds()) {
            let mut graph = Graph::default();
            let mut files: BTreeSet<LayerId> = BTreeSet::new();
            let bytes = 1 << 30;
            for deed in deeds {
                match deed {
                    Do::Blank(d) if !graph.disks.contains_key(&disk(d)) => {
                        let top = graph.reserve();
                        files.insert(top);
                        graph.put(top, Layer { format: ImageFormat::Raw, below: None });
                        graph.disks.insert(disk(d), Disk { top, bytes, system: None });
                    }
                    Do::Freeze(d, s) if !graph.kept.contains_key(&snapshot(s)) => {
                        let before = graph.clone();
                        let new = graph.reserve();
                        match graph.freeze(disk(d), snapshot(s), new) {
                            Ok(()) => drop(files.insert(new)),
                            Err(_) => graph = before,
                        }
                    }
                    Do::Finish(s) => {
                        if let Some(kept) = graph.freezing.remove(&snapshot(s)) {
                            graph.kept.insert(snapshot(s), kept);
                        }
                    }
                    Do::Clone(s, d) if !graph.disks.contains_key(&disk(d)) => {
                        let Some(layer) = graph.kept.get(&snapshot(s)).map(|kept| kept.layer) else { continue };
                        if graph.carries(layer).is_ok() {
                            let top = graph.reserve();
                            files.insert(top);
                            graph.put(top, Layer { format: ImageFormat::Qcow2, below: Some(layer) });
                            graph.disks.insert(disk(d), Disk { top, bytes, system: None });
                        }
                    }
                    Do::DropDisk(d) => drop(graph.disks.remove(&disk(d))),
                    Do::DropSnapshot(s) => {
                        graph.kept.remove(&snapshot(s));
                        graph.freezing.remove(&snapshot(s));
                    }
                    _ => {}
                }
                for gone in graph.sweep() {
                    prop_assert!(files.remove(&gone), "{gone} was swept twice");
                }
                prop_assert_eq!(&files, &graph.layers().keys().copied().collect::<BTreeSet<_>>());
                let tops: BTreeSet<LayerId> = graph.disks.values().map(|disk| disk.top).collect();
                prop_assert_eq!(tops.len(), graph.disks.len(), "two disks write to one layer");
                let frozen = graph.kept.values().chain(graph.freezing.values());
                for (top, is_frozen) in tops.iter().map(|top| (*top, false)).chain(frozen.map(|kept| (kept.layer, true))) {
                    let chain = graph.chain(top);
                    prop_assert!(chain.len() <= DEEPEST);
                    prop_assert!(chain.iter().all(|layer| files.contains(layer)));
                    let frozen = if is_frozen { &chain[..] } else { &chain[..chain.len() - 1] };
                    prop_assert!(!frozen.iter().any(|layer| tops.contains(layer)), "something frozen is written to");
                }
                for id in graph.disks.keys() {
                    prop_assert!(graph.own(*id).contains(&graph.disks[id].top));
                }
            }
            let json = serde_json::to_string(&graph).unwrap();
            prop_assert_eq!(serde_json::from_str::<Graph>(&json).unwrap(), graph);
        }
    }

    #[test]
    fn a_graph_that_was_tampered_with_ends() {
        let json = r#"{"next":3,"layers":{"1":{"format":"raw","below":3},"3":{"format":"qcow2","below":1}},
            "disks":{},"kept":{},"freezing":{},"taken":{}}"#;
        let graph: Graph = serde_json::from_str(json).unwrap();
        assert_eq!(graph.chain(LayerId(3)), [LayerId(1), LayerId(3)]);
    }
}
