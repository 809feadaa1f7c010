//! How is a running QEMU asked something (QMP)? One connection at a time, since it serves one client at a time.

use rustix::fs::{FileType, Mode, OFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::UnixStream;

/// The longest answer that is read: QEMU may be in the hands of its guest.
const LONGEST_ANSWER: u64 = 1 << 20;
/// A QEMU that is alive answers in milliseconds; one that flushes a disk takes as long as that does.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs one command; what it returns.
pub async fn ask(dir: &Path, uid: u32, command: &str, patience: Duration) -> io::Result<Value> {
    tokio::time::timeout(patience, async { Session::open(dir, uid).await?.run(command, json!({})).await }).await?
}

/// A conversation with a QEMU.
#[derive(Debug)]
pub struct Session(BufReader<UnixStream>);

impl Session {
    pub async fn open(dir: &Path, uid: u32) -> io::Result<Self> {
        let mut session = Self(BufReader::new(connect(dir, super::command::MONITOR, uid).await?));
        session.line().await?;
        session.run("qmp_capabilities", json!({})).await?;
        Ok(session)
    }

    /// Runs a command; what it returns.
    pub async fn run(&mut self, command: &str, arguments: Value) -> io::Result<Value> {
        let words = words(command, arguments);
        let conversation = async {
            self.0.get_mut().write_all(words.as_bytes()).await?;
            self.answer(command).await
        };
        tokio::time::timeout(PATIENCE, conversation).await?
    }

    /// Runs a command that takes an open file along.
    pub async fn hand(&mut self, command: &str, arguments: Value, file: &File) -> io::Result<Value> {
        let words = words(command, arguments);
        let conversation = async {
            let stream = self.0.get_mut();
            let sent = stream
                .async_io(Interest::WRITABLE, || {
                    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                    let mut along = SendAncillaryBuffer::new(&mut room);
                    let files = [file.as_fd()];
                    along.push(SendAncillaryMessage::ScmRights(&files));
                    let words = [IoSlice::new(words.as_bytes())];
                    rustix::net::sendmsg(&*stream, &words, &mut along, SendFlags::NOSIGNAL).map_err(io::Error::from)
                })
                .await?;
            stream.write_all(&words.as_bytes()[sent..]).await?;
            self.answer(command).await
        };
        tokio::time::timeout(PATIENCE, conversation).await?
    }

    async fn answer(&mut self, command: &str) -> io::Result<Value> {
        loop {
            let said = self.line().await?;
            match said.get("return") {
                Some(value) => return Ok(value.clone()),
                // Events come in between.
                None if said.get("event").is_some() => {}
                None => {
                    let why = said["error"]["desc"].as_str().map_or_else(|| said.to_string(), str::to_owned);
                    return Err(io::Error::other(format!("QEMU refused {command}: {why}")));
                }
            }
        }
    }

    async fn line(&mut self) -> io::Result<Value> {
        let mut text = String::new();
        match (&mut self.0).take(LONGEST_ANSWER).read_line(&mut text).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(serde_json::from_str(&text)?),
        }
    }
}

fn words(command: &str, arguments: Value) -> String {
    format!("{}\n", json!({ "execute": command, "arguments": arguments }))
}

/// Connects to a socket in QEMU's directory. A QEMU that its guest has taken over could lay a link to any socket of the machine
/// there and have root speak to it; so it must be a socket, its own, and not a link.
pub async fn connect(dir: &Path, name: &str, uid: u32) -> io::Result<UnixStream> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = rustix::fs::open(dir.join(name), flags, Mode::empty())?;
    let about = rustix::fs::fstat(&found)?;
    if FileType::from_raw_mode(about.st_mode) != FileType::Socket || about.st_uid != uid {
        return Err(io::Error::other(format!("{} is not QEMU's own socket", dir.join(name).display())));
    }
    // By its descriptor: the very file that was looked at, and a path short enough for a socket whatever the directory is called.
    UnixStream::connect(format!("/proc/self/fd/{}", found.as_raw_fd())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_qemus_own_socket_is_spoken_to() {
        let dir = std::env::temp_dir().join(format!("ebb-monitor-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let _listener = tokio::net::UnixListener::bind(dir.join("real")).unwrap();
        std::os::unix::fs::symlink(dir.join("real"), dir.join("link")).unwrap();
        std::fs::write(dir.join("file"), "").unwrap();
        let me = rustix::process::geteuid().as_raw();
        connect(&dir, "real", me).await.unwrap();
        for (name, uid) in [("real", me + 1), ("link", me), ("file", me), ("absent", me)] {
            assert!(connect(&dir, name, uid).await.is_err(), "{name} as {uid}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
