//! Does somebody at this machine want it back? A file says so for as long as it is there (rules §2.13).

use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Whether the file is there, from now on. Without a file nobody ever asks.
pub fn watch(file: Option<PathBuf>) -> watch::Receiver<bool> {
    let is_there = |file: &PathBuf| std::fs::symlink_metadata(file).is_ok();
    let (said, heard) = watch::channel(file.as_ref().is_some_and(is_there));
    let Some(file) = file else {
        // Kept for ever, so that waiting for a change has no end.
        std::mem::forget(said);
        return heard;
    };
    tokio::spawn(async move {
        while !said.is_closed() {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = is_there(&file);
            said.send_if_modified(|before| std::mem::replace(before, now) != now);
        }
    });
    heard
}
