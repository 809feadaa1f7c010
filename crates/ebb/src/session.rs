//! What does every command work with? A client, and the choice between tables and JSON.

use crate::client::Client;
use crate::failure::Failure;
use crate::profile::Global;
use crate::which;
use serde::Serialize;
use std::io::Write;

/// One run of a command that talks to a server.
pub struct Session {
    pub client: Client,
    pub json: bool,
}

impl Session {
    /// # Errors
    /// No server or key is known, or no such account.
    pub async fn open(global: &Global) -> Result<Self, Failure> {
        let mut client = Client::new(global.login()?, None)?;
        if let Some(account) = &global.account {
            let id = which::account(&client, account).await?;
            client = client.about(id);
        }
        Ok(Self { client, json: global.json })
    }

    /// Prints an answer: as JSON for programs, else as the text that `people` makes of it.
    pub fn show<T: Serialize>(&self, answer: &T, people: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        if self.json {
            print(&(serde_json::to_string_pretty(answer).expect("an answer of the API is JSON") + "\n"))
        } else {
            print(&people(answer))
        }
    }
}

/// Writes to standard output. A reader that has gone away (`| head`) ends the command without a complaint.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        done => done.map_err(Failure::io("standard output")),
    }
}
