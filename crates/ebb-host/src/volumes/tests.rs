//! The store without guests: what is there after it was opened anew, whatever it was at.

use super::system::Beginning;
use super::*;
use ebb_model::id::{DiskId, SnapshotId};
use uuid::Uuid;

struct Room {
    dir: PathBuf,
    files: Option<Files>,
}

impl Room {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("ebb-store-{name}-{}", std::process::id()));
        Self { dir, files: None }
    }

    /// A store as the next host finds it.
    fn open(&mut self) -> Store {
        self.files = None;
        let files = Files::open(&self.dir).unwrap();
        let store = Store::open(&files, 199_999).unwrap();
        self.files = Some(files);
        store
    }

    fn layers(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.join("volumes/layers")).unwrap().flatten();
        let mut names: Vec<String> = names.map(|name| name.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn data(n: u128) -> DiskOf {
    DiskOf::Data(DiskId::new(Uuid::from_u128(n)))
}

fn guest(n: u128) -> InstanceId {
    InstanceId::new(Uuid::from_u128(n))
}

fn snapshot(n: u128) -> VolumeId {
    VolumeId::Snapshot(SnapshotId::new(Uuid::from_u128(n)))
}

const GIB: u64 = 1 << 30;

fn kernel() -> Result<Beginning, String> {
    Ok(Beginning::Blank { kernel: "built-in".to_owned() })
}

#[test]
fn what_the_graph_names_is_there_and_nothing_else() {
    let mut room = Room::new("graph");
    let store = room.open();
    store.make_blank(data(1), GIB).unwrap();
    store.make_blank(data(1), 7 * GIB).unwrap();
    assert_eq!(store.disk(data(1)).unwrap().bytes, GIB, "made once");
    store.freeze(data(1), snapshot(1)).unwrap();
    store.freeze(data(1), snapshot(1)).unwrap();
    assert_eq!(room.layers(), ["1", "2"], "frozen once");
    // The host dies here: the snapshot is finished by the next one; half-made files are nobody's.
    fs::write(room.dir.join("volumes/layers/77"), "half").unwrap();
    fs::write(room.dir.join("volumes/layers/stray"), "half").unwrap();
    fs::create_dir(room.dir.join("volumes/scratch/half")).unwrap();
    drop(store);
    let store = room.open();
    assert_eq!(
        (room.layers(), fs::read_dir(room.dir.join("volumes/scratch")).unwrap().count()),
        (vec!["1".into(), "2".into()], 0)
    );
    assert!(store.kept(snapshot(1)).is_none());
    store.freeze(data(1), snapshot(1)).unwrap();
    assert_eq!(store.keep(snapshot(1)).unwrap().layer, LayerId(1));
    // A copy lies on the same layer, which outlives the snapshot and the disk.
    store.make_of(data(2), snapshot(1), 2 * GIB).unwrap();
    assert!(store.make_of(data(3), snapshot(1), GIB / 2).unwrap_err().contains("does not fit"));
    store.remove(snapshot(1)).unwrap();
    let VolumeId::Disk(disk) = VolumeId::Disk(DiskId::new(Uuid::from_u128(1))) else { unreachable!() };
    store.remove(VolumeId::Disk(disk)).unwrap();
    assert_eq!(room.layers(), ["1", "3"]);
    assert_eq!(store.chain(data(2)).unwrap().layers.len(), 2);
    store.remove(VolumeId::Disk(DiskId::new(Uuid::from_u128(2)))).unwrap();
    assert!(room.layers().is_empty());
}

#[test]
fn a_system_disk_is_made_anew_when_it_should_be_and_the_old_one_goes_then() {
    let mut room = Room::new("system");
    let store = room.open();
    let top = |store: &Store| store.disk(DiskOf::System(guest(1))).map(|disk| (disk.top, disk.bytes));
    store.system(guest(1), 0, GIB, kernel).unwrap();
    store.system(guest(1), 0, 2 * GIB, || unreachable!("it is there")).unwrap();
    assert_eq!(top(&store), Some((LayerId(1), 2 * GIB)), "the same, grown");
    let failed = store.system(guest(1), 1, GIB, || Err("the image is gone".to_owned()));
    assert_eq!((failed.unwrap_err().as_str(), top(&store)), ("the image is gone", Some((LayerId(1), 2 * GIB))));
    store.system(guest(1), 1, GIB, kernel).unwrap();
    assert_eq!((top(&store), room.layers()), (Some((LayerId(2), GIB)), vec!["2".into()]));
    drop(store);
    let store = room.open();
    assert_eq!(top(&store), Some((LayerId(2), GIB)));

    // A guest that went while its start was still under way has no disk in the end.
    let under_way = store.system(guest(2), 0, GIB, || {
        store.remove_system(guest(2));
        kernel()
    });
    under_way.unwrap();
    assert!(store.disk(DiskOf::System(guest(2))).is_none());
    // Nor does anything of one stay whose snapshot was not finished; what is finished stays.
    store.freeze(DiskOf::System(guest(1)), snapshot(1)).unwrap();
    store.keep(snapshot(1)).unwrap();
    store.remove_system(guest(1));
    assert_eq!(room.layers(), ["2"]);
    // That the guest went was not written down; it is known to be gone.
    drop(store);
    let store = room.open();
    store.remove_others(|_| false);
    assert_eq!(room.layers(), ["2"]);
    store.remove(snapshot(1)).unwrap();
    assert!(room.layers().is_empty());
}

#[test]
fn one_has_a_disk_at_a_time() {
    let mut room = Room::new("claims");
    let store = room.open();
    let claim = |n| Claim::Guest { id: guest(n), chores: mpsc::unbounded_channel().0 };
    assert!(store.claim(data(1), &claim(1)).is_ok() && store.claim(data(1), &claim(1)).is_ok());
    assert!(matches!(store.claim(data(1), &claim(2)), Err(Claim::Guest { id, .. }) if id == guest(1)));
    assert!(store.claim(data(1), &Claim::Maker).is_err());
    store.release(data(1), &claim(2));
    assert_eq!(store.claimed_by(guest(1)), [data(1)]);
    store.release_all(guest(1));
    assert!(store.claim(data(1), &Claim::Maker).is_ok());
    assert!(matches!(store.claim(data(1), &Claim::Maker), Err(Claim::Maker)), "two makers are two");
    store.release(data(1), &Claim::Maker);
    assert!(store.claim(data(1), &claim(2)).is_ok());
}

#[test]
fn a_layer_that_names_other_files_is_handed_to_nobody() {
    let mut room = Room::new("tampered");
    let store = room.open();
    store.make_blank(data(1), GIB).unwrap();
    store.freeze(data(1), snapshot(1)).unwrap();
    let (raw, qcow2) = (LayerId(1), LayerId(2));
    assert!(store.layer(qcow2, Access::Write).is_ok());
    // As a QEMU in a guest's hands could: a data file elsewhere.
    let mut head = fs::read(store.path(qcow2)).unwrap();
    head[79] |= 4;
    fs::write(store.path(qcow2), &head).unwrap();
    for access in [Access::Read, Access::Write] {
        assert!(store.layer(qcow2, access).unwrap_err().to_string().contains("tampered with"));
    }
    // On a raw disk that is nothing but bytes.
    fs::write(store.path(raw), &head).unwrap();
    assert!(store.layer(raw, Access::Read).is_ok());
}
