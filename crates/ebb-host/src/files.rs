//! Where does a host keep what, and how is it written so that a crash cannot halve it?
//!
//! ```text
//! lock                  held while a host runs
//! host.json             the installation that this host belongs to
//! secret                what the guests' metadata tokens are made with
//! position.json         how far the orders were obeyed
//! records/ID.json       what should be and what is, of each guest; outlives the guest until the server forgets it
//! guests/ID/            a guest's own things: its console's log, and in q/ what its QEMU may touch
//! volumes/              disks, snapshots and images ([`crate::volumes`])
//! trash/                what is being deleted
//! ```

use crate::error::HostError;
use ebb_driver::agent::{Guest, Volume};
use ebb_driver::protocol::Position;
use ebb_model::id::InstanceId;
use ebb_model::volume::VolumeId;
use rustix::fs::FlockOperation;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// A shorter one was cut off by a crash, and nobody has a token from it.
const SECRET_BYTES: usize = 32;

/// The data directory of a host, held against a second one.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    _lock: File,
}

/// What a host knows about itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Belonging {
    /// Whom it obeys: the first installation that spoke to it.
    pub installation: Option<Uuid>,
    /// Where it listened last.
    #[serde(default)]
    pub socket: Option<PathBuf>,
}

impl Files {
    pub fn open(root: &Path) -> Result<Self, HostError> {
        let make = |dir: &Path, mode| {
            let made = DirBuilder::new().recursive(true).mode(mode).create(dir);
            made.map_err(HostError::data(format!("{} cannot be made", dir.display())))
        };
        // The socket may lie in it.
        make(root, 0o711)?;
        let root = root.canonicalize().map_err(HostError::data("its path cannot be followed"))?;
        // Here stand the guests' secrets. No QEMU needs a way in: each begins in its own directory.
        for dir in ["records", "guests", "trash", "volumes", "volumes/records", "volumes/layers", "volumes/scratch"] {
            make(&root.join(dir), 0o700)?;
        }
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(root.join("lock"))
            .map_err(HostError::data("the lock cannot be made"))?;
        // A host that was killed may have been about to start a program, which holds its lock until it is that program.
        for _ in 0..20 {
            if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                return Ok(Self { root, _lock: lock });
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Err(HostError::InUse(root))
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn guest(&self, id: InstanceId) -> PathBuf {
        self.root.join("guests").join(id.to_string())
    }

    pub fn record(&self, id: InstanceId) -> PathBuf {
        self.root.join("records").join(format!("{id}.json"))
    }

    pub fn volume_record(&self, id: VolumeId) -> PathBuf {
        self.root.join("volumes/records").join(format!("{id}.json"))
    }

    pub fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// Made once, so that a restart does not void the guests' tokens.
    pub fn secret(&self) -> Result<Vec<u8>, HostError> {
        let path = self.root.join("secret");
        match fs::read(&path) {
            Ok(secret) if secret.len() == SECRET_BYTES => return Ok(secret),
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(HostError::data(format!("{} cannot be read", path.display()))(e));
            }
            _ => {}
        }
        let secret = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat();
        // Its directory may be passed through by others, so the file itself keeps them out.
        let written = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let written = written.and_then(|mut file| file.write_all(&secret).and_then(|()| file.sync_all()));
        written.map_err(HostError::data(format!("{} cannot be written", path.display())))?;
        Ok(secret)
    }

    pub fn belonging(&self) -> Result<Belonging, HostError> {
        read(&self.root.join("host.json")).map(Option::unwrap_or_default)
    }

    pub fn belong(&self, belonging: &Belonging) -> io::Result<()> {
        write(&self.root.join("host.json"), &json(belonging))
    }

    pub fn position(&self) -> Result<Position, HostError> {
        read(&self.position_file()).map(Option::unwrap_or_default)
    }

    pub fn position_file(&self) -> PathBuf {
        self.root.join("position.json")
    }

    /// Every guest that was written down.
    pub fn records(&self) -> Result<Vec<Guest>, HostError> {
        self.records_in("records")
    }

    /// Every volume that was written down.
    pub fn volume_records(&self) -> Result<Vec<Volume>, HostError> {
        self.records_in("volumes/records")
    }

    fn records_in<T: DeserializeOwned>(&self, dir: &str) -> Result<Vec<T>, HostError> {
        let names = fs::read_dir(self.root.join(dir)).map_err(HostError::data("the records cannot be listed"))?;
        let mut records = vec![];
        for name in names.flatten() {
            let path = name.path();
            // A file that was being written when the host died; the one that it was to replace is whole.
            if path.extension().is_none_or(|e| e != "json") {
                let _ = fs::remove_file(&path);
                continue;
            }
            records.extend(read(&path)?);
        }
        Ok(records)
    }

    /// The guests that have a directory, with or without a record.
    pub fn guests(&self) -> Result<Vec<InstanceId>, HostError> {
        let names = fs::read_dir(self.root.join("guests")).map_err(HostError::data("the guests cannot be listed"))?;
        Ok(names.flatten().filter_map(|name| name.file_name().to_str()?.parse().ok()).collect())
    }

    /// Puts a guest's directory where it is no longer anybody's, in constant time; the result is to be deleted at leisure.
    pub fn discard(&self, id: InstanceId) -> io::Result<Option<PathBuf>> {
        for turn in 0.. {
            let aside = self.trash().join(format!("{id}.{turn}"));
            match fs::rename(self.guest(id), &aside) {
                Ok(()) => return Ok(Some(aside)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                // The remains of an earlier life of the same guest.
                Err(_) if aside.exists() => continue,
                Err(e) => return Err(e),
            }
        }
        unreachable!("the loop ends only by returning")
    }
}

pub fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("plain values")
}

/// A JSON file; `None` when there is none.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, HostError> {
    match fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(HostError::data(format!("{} cannot be read", path.display()))(e)),
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| HostError::Damaged { path: path.to_owned(), why: e.to_string() }),
    }
}

/// Replaces a file, so that after a crash it is the old one or the new one, and after the return the new one.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes)?;
    settle(path.parent().expect("a file in a directory"))
}

/// Like [`write`], but the new name is durable only after [`settle`] on the directory.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    // Its directory may be passed through by others.
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

/// Makes the names in a directory durable.
pub fn settle(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_secret_outlives_the_host_and_is_its_own() {
        let dir = std::env::temp_dir().join(format!("ebb-secret-{}", std::process::id()));
        let secret = || Files::open(&dir).unwrap().secret().unwrap();
        let first = secret();
        assert_eq!((first.len(), first == secret()), (SECRET_BYTES, true));
        let mode = fs::metadata(dir.join("secret")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(dir.join("secret"), [0; 5]).unwrap();
        let second = secret();
        assert!(second.len() == SECRET_BYTES && second != first);
        fs::remove_dir_all(&dir).unwrap();
    }
}
