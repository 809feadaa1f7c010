//! How are orders written down without making a deadline wait for the disk?
//!
//! One task writes, in order, whatever has gathered since it last wrote, many files at once. What must not happen before
//! something is on disk comes back to the owner afterwards; a release never waits here.

use crate::files::{self, Files};
use ebb_driver::agent::Action;
use ebb_driver::protocol::Position;
use ebb_model::id::InstanceId;
use ebb_model::volume::VolumeId;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::error;

/// Something to be written, and what is to be done when it has been.
#[derive(Debug, Default)]
pub struct Page {
    /// New contents by guest; `None`: to be forgotten.
    pub records: BTreeMap<InstanceId, Option<Vec<u8>>>,
    /// The same by volume.
    pub volumes: BTreeMap<VolumeId, Option<Vec<u8>>>,
    pub position: Option<Position>,
    pub then: Vec<Action>,
}

impl Page {
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.volumes.is_empty() && self.position.is_none() && self.then.is_empty()
    }
}

/// Writes until the sender is gone; `written` hears what may now be done.
pub async fn write(files: Arc<Files>, mut pages: mpsc::UnboundedReceiver<Page>, written: impl Fn(Vec<Action>)) {
    while let Some(mut page) = pages.recv().await {
        while let Ok(next) = pages.try_recv() {
            page.records.extend(next.records);
            page.volumes.extend(next.volumes);
            page.position = next.position.or(page.position);
            page.then.extend(next.then);
        }
        let then = std::mem::take(&mut page.then);
        let page = Arc::new(page);
        while let Err(e) = attempt(files.clone(), page.clone()).await {
            error!("orders cannot be written down, so nothing new is started (releases go on): {e}; trying again");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        written(then);
    }
}

async fn attempt(files: Arc<Files>, page: Arc<Page>) -> io::Result<()> {
    tokio::task::spawn_blocking(move || {
        let mut records: Vec<(PathBuf, Option<&[u8]>)> =
            page.records.iter().map(|(id, bytes)| (files.record(*id), bytes.as_deref())).collect();
        records.extend(page.volumes.iter().map(|(id, bytes)| (files.volume_record(*id), bytes.as_deref())));
        put_all(&records)?;
        if !page.records.is_empty() {
            files::settle(&files.root().join("records"))?;
        }
        if !page.volumes.is_empty() {
            files::settle(&files.root().join("volumes/records"))?;
        }
        // Last: it says that everything up to it is there.
        page.position.map_or(Ok(()), |position| files::write(&files.position_file(), &files::json(&position)))
    })
    .await
    .map_err(io::Error::other)?
}

/// The file system joins flushes that run at the same time, so a thousand records take little longer than a few.
fn put_all(records: &[(PathBuf, Option<&[u8]>)]) -> io::Result<()> {
    let share = records.len().div_ceil(8).max(4);
    std::thread::scope(|scope| {
        let parts: Vec<_> = records.chunks(share).map(|part| scope.spawn(|| part.iter().try_for_each(put))).collect();
        parts.into_iter().try_for_each(|part| part.join().map_err(|_| io::Error::other("the writer panicked"))?)
    })
}

fn put((path, bytes): &(PathBuf, Option<&[u8]>)) -> io::Result<()> {
    match bytes {
        Some(bytes) => files::replace(path, bytes),
        None => match std::fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        },
    }
}
