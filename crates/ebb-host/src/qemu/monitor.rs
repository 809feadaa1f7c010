//! How is a running QEMU asked something? One connection per question (QMP), since it serves one client at a time.

use rustix::fs::{FileType, Mode, OFlags};
use serde_json::{Value, json};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// The longest answer that is read: QEMU may be in the hands of its guest.
const LONGEST_ANSWER: u64 = 1 << 20;

/// Runs one command; what it returns.
pub async fn ask(dir: &Path, uid: u32, command: &str, patience: Duration) -> io::Result<Value> {
    tokio::time::timeout(patience, converse(dir, uid, command)).await?
}

async fn converse(dir: &Path, uid: u32, command: &str) -> io::Result<Value> {
    let stream = connect(dir, super::command::MONITOR, uid).await?;
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(LONGEST_ANSWER));
    line(&mut lines).await?;
    for execute in ["qmp_capabilities", command] {
        write.write_all(format!("{}\n", json!({ "execute": execute })).as_bytes()).await?;
        let answer = loop {
            // Events come in between.
            let said = line(&mut lines).await?;
            if said.get("event").is_none() {
                break said;
            }
        };
        match answer.get("return") {
            Some(value) if execute == command => return Ok(value.clone()),
            Some(_) => {}
            None => return Err(io::Error::other(format!("QEMU refused {execute}: {answer}"))),
        }
    }
    unreachable!("the second of two commands is the one that was asked")
}

async fn line(lines: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Value> {
    let mut text = String::new();
    match lines.read_line(&mut text).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(serde_json::from_str(&text)?),
    }
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
