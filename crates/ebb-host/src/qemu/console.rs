//! What does a guest print, and who may type?
//!
//! The host is QEMU's only console client. It keeps the end of what was printed, in two files of bounded size (a guest may print
//! for days), and hands everything on to whoever watches.

use super::monitor;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Mutex, broadcast, mpsc};

/// Of each of the two log files.
const LOG_BYTES: u64 = 512 << 10;

/// A guest's console, over all its runs.
#[derive(Debug)]
pub struct Console {
    dir: PathBuf,
    /// What is printed; nothing at all: the run is over.
    output: broadcast::Sender<Arc<[u8]>>,
    input: mpsc::Sender<Vec<u8>>,
    typed: Mutex<mpsc::Receiver<Vec<u8>>>,
}

impl Console {
    /// `dir` is the guest's own directory, which its QEMU cannot write to.
    pub fn new(dir: PathBuf) -> Arc<Self> {
        let (input, typed) = mpsc::channel(16);
        Arc::new(Self { dir, output: broadcast::channel(64).0, input, typed: Mutex::new(typed) })
    }

    /// Connects to a QEMU that has just been started or found; the result moves bytes until it ends.
    pub async fn connect(self: Arc<Self>, dir: PathBuf, uid: u32) {
        let stream = loop {
            match monitor::connect(&dir, super::command::CONSOLE, uid).await {
                Ok(stream) => break stream,
                // Not there yet, or the client before us has not been noticed to be gone.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        if let Err(e) = self.pump(stream).await {
            tracing::debug!("a console ended: {e}");
        }
    }

    async fn pump(&self, stream: UnixStream) -> io::Result<()> {
        let _over = Over(&self.output);
        let mut log = Log::open(&self.dir)?;
        let mut typed = self.typed.lock().await;
        let (mut read, mut write) = stream.into_split();
        let mut buffer = vec![0; 4096];
        loop {
            tokio::select! {
                length = read.read(&mut buffer) => {
                    let bytes = &buffer[..length?];
                    if bytes.is_empty() {
                        return Ok(());
                    }
                    // A full disk costs the log, not the console.
                    let _ = log.append(bytes);
                    let _ = self.output.send(bytes.into());
                }
                Some(bytes) = typed.recv() => write.write_all(&bytes).await?,
            }
        }
    }

    /// Joins a client to the console until the client or the guest ends. One who reads too slowly misses some.
    pub async fn attend(&self, client: UnixStream) -> io::Result<()> {
        let mut output = self.output.subscribe();
        let (mut read, mut write) = client.into_split();
        let mut buffer = vec![0; 1024];
        loop {
            tokio::select! {
                printed = output.recv() => match printed {
                    Ok(bytes) if bytes.is_empty() => return Ok(()),
                    Ok(bytes) => write.write_all(&bytes).await?,
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                },
                length = read.read(&mut buffer) => {
                    let length = length?;
                    if length == 0 || self.input.send(buffer[..length].to_vec()).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The last bytes that were printed. Blocks a little.
    pub fn tail(&self, bytes: u32) -> io::Result<String> {
        let wanted = u64::from(bytes).min(2 * LOG_BYTES);
        let newer = end_of(&self.dir.join("console.log"), wanted)?;
        let mut all = end_of(&self.dir.join("console.old"), wanted - newer.len() as u64)?;
        all.extend(newer);
        Ok(String::from_utf8_lossy(&all).into_owned())
    }
}

/// However a pump ends, those who watch learn of it.
struct Over<'a>(&'a broadcast::Sender<Arc<[u8]>>);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        let _ = self.0.send(Arc::from([]));
    }
}

struct Log {
    dir: PathBuf,
    file: File,
    length: u64,
}

impl Log {
    fn open(dir: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(dir.join("console.log"))?;
        let length = file.metadata()?.len();
        Ok(Self { dir: dir.to_owned(), file, length })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.length >= LOG_BYTES {
            fs::rename(self.dir.join("console.log"), self.dir.join("console.old"))?;
            *self = Self::open(&self.dir)?;
        }
        self.length += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}

fn end_of(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        file => file?,
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
    let mut end = vec![];
    file.take(bytes).read_to_end(&mut end)?;
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_keeps_the_end_and_stays_small() {
        let dir = std::env::temp_dir().join(format!("ebb-console-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let mut log = Log::open(&dir).unwrap();
        for n in 0..300_000 {
            log.append(format!("{n:06}\n").as_bytes()).unwrap();
        }
        let size = |name| fs::metadata(dir.join(name)).unwrap().len();
        assert!(size("console.log") + size("console.old") <= 2 * LOG_BYTES + 7);
        let console = Console::new(dir.clone());
        assert_eq!(console.tail(14).unwrap(), "299998\n299999\n");
        assert!(console.tail(u32::MAX).unwrap().len() as u64 > LOG_BYTES);
        fs::remove_dir_all(&dir).unwrap();
    }
}
