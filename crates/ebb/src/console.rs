//! `ebb console` and the tunnel beneath `ebb ssh`: how do raw bytes pass between a terminal and a guest?

use crate::failure::Failure;
use crate::session::Session;
use crate::which;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{IsTerminal, Read, Write};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// Ctrl-], as telnet and `virsh console` have it.
const LEAVE: u8 = 0x1d;
/// When the input was a file: how long the guest may be silent before the command ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub async fn console(session: &Session, id: &str) -> Result<(), Failure> {
    let id = which::instance(&session.client, id).await?;
    let line = session.client.stream(&format!("/v1/instances/{id}/streams/console")).await?;
    let terminal = std::io::stdin().is_terminal();
    if terminal {
        eprintln!("Connected to the console of {id}. Ctrl-] leaves it.");
    }
    let raw = RawTerminal::enter()?;
    let done = carry(line, if terminal { Some(LEAVE) } else { None }).await;
    drop(raw);
    if terminal {
        eprintln!("\nLeft the console of {id}; it goes on without you.");
    }
    done
}

/// Standard input and output become the guest's TCP port 22, for ssh's ProxyCommand.
pub async fn tunnel(session: &Session, id: &str) -> Result<(), Failure> {
    let id = which::instance(&session.client, id).await?;
    let line = session.client.stream(&format!("/v1/instances/{id}/streams/ssh")).await?;
    carry(line, None).await
}

/// Carries bytes both ways until the far side ends, or the near side does and nothing more comes.
async fn carry(line: reqwest::Upgraded, leave: Option<u8>) -> Result<(), Failure> {
    let (mut from_guest, mut to_guest) = tokio::io::split(line);
    let mut typed = read_input();
    let mut out = std::io::stdout();
    let mut buffer = vec![0; 16 * 1024];
    let mut open = true;
    let lost = |cause| Failure::Io { what: "the line to the guest".to_owned(), cause };
    loop {
        tokio::select! {
            read = from_guest.read(&mut buffer) => match read.map_err(lost)? {
                0 => return Ok(()),
                n => out.write_all(&buffer[..n]).and_then(|()| out.flush()).map_err(Failure::io("standard output"))?,
            },
            bytes = typed.recv(), if open => match bytes {
                Some(bytes) => {
                    let end = leave.and_then(|key| bytes.iter().position(|b| *b == key));
                    to_guest.write_all(&bytes[..end.unwrap_or(bytes.len())]).await.map_err(lost)?;
                    if end.is_some() {
                        return Ok(());
                    }
                }
                None => open = false,
            },
            () = tokio::time::sleep(LAST_WORDS), if !open => return Ok(()),
        }
    }
}

/// A thread of its own: a read from a terminal cannot be called back, and must not hold the command's end up.
fn read_input() -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut buffer = [0; 4096];
        while let Ok(n) = input.read(&mut buffer) {
            if n == 0 || send.blocking_send(buffer[..n].to_vec()).is_err() {
                break;
            }
        }
    });
    receive
}

/// Passes every key on as it is, until it is dropped.
struct RawTerminal(Option<Termios>);

impl RawTerminal {
    fn enter() -> Result<Self, Failure> {
        if !std::io::stdin().is_terminal() {
            return Ok(Self(None));
        }
        let refuse = |error: rustix::io::Errno| Failure::io("the terminal")(error.into());
        let before = tcgetattr(std::io::stdin()).map_err(refuse)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &raw).map_err(refuse)?;
        Ok(Self(Some(before)))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // If this fails there is no terminal left to put right.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, before);
            let _ = std::io::stdout().flush();
        }
    }
}
