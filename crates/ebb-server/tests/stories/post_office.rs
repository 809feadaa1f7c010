//! A real SMTP server that keeps what it gets, and a certificate for this machine.

use serde_json::Value;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;

/// Prints the mails of a folder as JSON, with the parser of Python: one that shares no code with what wrote them.
const READ: &str = r#"
import email, email.policy, json, pathlib, sys
def read(file):
    mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    event = next(mail.iter_attachments())
    return {"headers": {name.lower(): str(value) for name, value in mail.items()}, "text": mail.get_body().get_content(),
            "kind": event.get_content_type(), "event": json.loads(event.get_payload(decode=True)), "defects": len(mail.defects)}
files = sorted(pathlib.Path(sys.argv[1]).glob("new/*"), key=lambda file: file.stat().st_mtime_ns)
print(json.dumps([read(file) for file in files]))
"#;

/// It and its folder end with the value.
pub struct PostOffice {
    pub port: u16,
    directory: PathBuf,
    tls: bool,
    process: Option<Child>,
}

impl PostOffice {
    /// With `tls` it takes nothing before STARTTLS.
    pub async fn new(tls: bool) -> PostOffice {
        let directory = directory();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if tls {
            certificate(&directory);
        }
        let mut office = PostOffice { port, directory, tls, process: None };
        office.open().await;
        office
    }

    pub async fn open(&mut self) {
        let mut command = Command::new("/usr/bin/aiosmtpd");
        command.arg("-n").arg("-l").arg(format!("127.0.0.1:{}", self.port));
        if self.tls {
            let file = |name: &str| self.directory.join(name);
            command.arg("--tlscert").arg(file("cert.pem")).arg("--tlskey").arg(file("key.pem"));
        }
        command.args(["-c", "aiosmtpd.handlers.Mailbox"]).arg(self.directory.join("mails"));
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.process = Some(process.expect("aiosmtpd, which `make packages` installs"));
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the SMTP server does not listen");
    }

    pub fn close(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// What certifies it, in PEM.
    pub fn authority(&self) -> Vec<u8> {
        std::fs::read(self.directory.join("cert.pem")).unwrap()
    }

    /// What came so far, oldest first.
    pub fn mails(&self) -> Vec<Value> {
        let read = Command::new("python3").args(["-c", READ]).arg(self.directory.join("mails")).output().unwrap();
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
        serde_json::from_slice(&read.stdout).unwrap()
    }

    pub async fn wait_for(&self, count: usize) -> Vec<Value> {
        crate::receiver::until(&format!("{count} mails"), async || {
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.mails().len() >= count
        })
        .await;
        self.mails()
    }
}

impl Drop for PostOffice {
    fn drop(&mut self) {
        self.close();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

pub fn directory() -> PathBuf {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = format!("ebb-stories-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// `cert.pem` and `key.pem` for `localhost`, signed by nobody else.
pub fn certificate(directory: &Path) {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-subj", "/CN=a story of Ebb"]);
    command.args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]);
    let made = command.args(["-keyout", "key.pem", "-out", "cert.pem"]).current_dir(directory).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
