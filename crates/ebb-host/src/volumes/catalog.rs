//! How does a disk image that the operator put on the host become something that guests' disks may lie on?
//!
//! It is copied once, when a guest first begins with it: what disks lie on must never change, and the operator may put a newer one
//! in its place at any time.

use super::Store;
use super::layers::{Layer, Taken};
use ebb_driver::image::{self, HEAD_BYTES};
use ebb_model::volume::ImageFormat;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

impl Store {
    /// Blocks while it copies. A file that is the same as the last time is not copied again.
    pub fn take(&self, name: &str, file: &Path, format: ImageFormat) -> Result<(), String> {
        let look = || fs::metadata(file).map_err(|e| e.to_string());
        let about = look()?;
        let mark = mark(&about);
        if self.state().graph.taken.get(name).is_some_and(|taken| taken.mark == mark) {
            return Ok(());
        }
        let bytes = match format {
            ImageFormat::Raw if about.len() == 0 || about.len() % 512 != 0 => {
                return Err(format!("{} bytes are no whole number of sectors above zero", about.len()));
            }
            ImageFormat::Raw => about.len(),
            ImageFormat::Qcow2 => {
                let mut head = vec![];
                let read = File::open(file).and_then(|open| open.take(HEAD_BYTES as u64).read_to_end(&mut head));
                read.map_err(|e| e.to_string())?;
                image::qcow2(&head, about.len(), u64::MAX).map_err(|unfit| unfit.to_string())?.bytes
            }
        };
        let layer = self.state().graph.reserve();
        let copied = Command::new("cp")
            .args(["--sparse=auto", "--reflink=auto", "--no-preserve=all", "--"])
            .args([file, &self.path(layer)])
            .stdin(Stdio::null())
            .output();
        let ready = copied.map_err(|e| e.to_string()).and_then(|output| match output.status.success() {
            true if mark == self::mark(&look()?) => self.take_in(layer).map_err(|e| e.to_string()),
            true => Err("it changed while it was copied".to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        });
        if let Err(why) = ready {
            let _ = fs::remove_file(self.path(layer));
            return Err(why);
        }
        self.commit(&[layer], |draft| {
            draft.graph.put(layer, Layer { format, below: None });
            draft.graph.taken.insert(name.to_owned(), Taken { layer, bytes, mark });
            Ok(())
        })
    }
}

/// Another file, or the same with other contents, has another.
fn mark(about: &fs::Metadata) -> String {
    format!("{}:{} {} {}.{}", about.dev(), about.ino(), about.len(), about.mtime(), about.mtime_nsec())
}
