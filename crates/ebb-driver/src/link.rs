//! How do the messages cross a Unix socket? A line of JSON each.

use crate::protocol::{Open, StreamAnswer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::path::Path;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// The longest line that is read; a peer that sends more is cut off rather than fed from our memory.
const LONGEST_LINE: u64 = 64 << 20;

/// Messages as they come in.
pub struct Incoming<R>(BufReader<R>);

impl<R: AsyncRead + Unpin> Incoming<R> {
    pub fn new(inner: R) -> Self {
        Self(BufReader::new(inner))
    }

    /// The next message; `None` when the peer has ended.
    pub async fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let mut line = String::new();
        let read = (&mut self.0).take(LONGEST_LINE).read_line(&mut line).await?;
        if read == 0 {
            return Ok(None);
        }
        if !line.ends_with('\n') {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message was cut off"));
        }
        serde_json::from_str(&line).map(Some).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }
}

/// Sends one message.
pub async fn send<W: AsyncWrite + Unpin, T: Serialize>(to: &mut W, message: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(message).expect("a message of plain values");
    line.push(b'\n');
    to.write_all(&line).await?;
    to.flush().await
}

/// Opens a control connection to the host that listens at `socket`.
pub async fn control(socket: &Path, installation: uuid::Uuid) -> io::Result<(Incoming<OwnedReadHalf>, OwnedWriteHalf)> {
    let (read, mut write) = UnixStream::connect(socket).await?.into_split();
    send(&mut write, &Open::Control { installation }).await?;
    Ok((Incoming::new(read), write))
}

/// Opens a stream to a guest; afterwards the socket is its bytes.
pub async fn stream(socket: &Path, open: &Open) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket).await?;
    send(&mut stream, open).await?;
    // Byte by byte: what follows the line belongs to the guest and must not end up in a buffer of ours.
    let mut line = vec![];
    loop {
        match stream.read_u8().await? {
            b'\n' => break,
            byte => line.push(byte),
        }
    }
    let answer: StreamAnswer = serde_json::from_slice(&line)?;
    match answer.error {
        None => Ok(stream),
        Some(why) => Err(io::Error::other(why)),
    }
}
