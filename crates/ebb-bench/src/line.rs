//! How does a request reach the server at little cost to the machine that is measured? Over connections that are kept.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Connections to one server; there are never more than requests at once.
pub struct Lines {
    address: SocketAddr,
    idle: Mutex<Vec<Line>>,
}

pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn json(&self) -> Result<Value> {
        if !self.is_success() {
            bail!("status {}: {}", self.status, self.body);
        }
        Ok(serde_json::from_str(&self.body)?)
    }
}

impl Lines {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::new(vec![]) }
    }

    pub async fn get(&self, path: &str, key: &str) -> Result<Answer> {
        self.ask("GET", path, key, "").await
    }

    pub async fn post(&self, path: &str, key: &str, body: &str) -> Result<Answer> {
        self.ask("POST", path, key, body).await
    }

    pub async fn delete(&self, path: &str, key: &str) -> Result<Answer> {
        self.ask("DELETE", path, key, "").await
    }

    async fn ask(&self, method: &str, path: &str, key: &str, body: &str) -> Result<Answer> {
        let idle = self.idle.lock().expect("no panic while holding lines").pop();
        let mut line = match idle {
            Some(line) => line,
            None => Line::open(self.address).await?,
        };
        let answer = line.ask(method, path, key, body).await.with_context(|| format!("{method} {path}"))?;
        self.idle.lock().expect("no panic while holding lines").push(line);
        Ok(answer)
    }

    /// The first bytes that a guest's ssh server says, through the service.
    pub async fn ssh_banner(&self, instance: &str, key: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.address).await?;
        let request = format!(
            "GET /v1/instances/{instance}/streams/ssh HTTP/1.1\r\nHost: ebb\r\nAuthorization: Bearer {key}\r\n\
             Connection: Upgrade\r\nUpgrade: ebb-stream\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut said = vec![];
        let mut buffer = [0; 256];
        while !contains(&said, b"SSH-") {
            match stream.read(&mut buffer).await? {
                0 => bail!("no banner: {}", String::from_utf8_lossy(&said)),
                length => said.extend_from_slice(&buffer[..length]),
            }
        }
        Ok(String::from_utf8_lossy(&said).into_owned())
    }
}

struct Line {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Line {
    async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![] })
    }

    async fn ask(&mut self, method: &str, path: &str, key: &str, body: &str) -> Result<Answer> {
        static TOKEN: AtomicU64 = AtomicU64::new(0);
        let token = match method {
            "GET" => String::new(),
            _ => format!("Idempotency-Key: bench-{}-{}\r\n", std::process::id(), TOKEN.fetch_add(1, Relaxed)),
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: ebb\r\nAuthorization: Bearer {key}\r\n{token}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            self.read().await?;
        };
        let text = std::str::from_utf8(&self.buffer[..head])?.to_ascii_lowercase();
        let status = text.split_whitespace().nth(1).context("a status line")?.parse()?;
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:")).map(str::trim);
        let length: usize = length.context("an answer of known length")?.parse()?;
        while self.buffer.len() < head + length {
            self.read().await?;
        }
        let body = String::from_utf8_lossy(&self.buffer[head..head + length]).into_owned();
        Ok(Answer { status, body })
    }

    async fn read(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => bail!("the server hung up"),
            _ => Ok(()),
        }
    }
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    find(text, wanted).is_some()
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
