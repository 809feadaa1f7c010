//! `ebb key-pairs`: whose SSH keys may log in?

use crate::failure::Failure;
use crate::session::Session;
use crate::table::{Table, facts, instant};
use ebb_wire::account::{AddKeyPair, KeyPair};
use ebb_wire::problem::Page;
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub enum KeyPairs {
    /// List the account's SSH public keys
    #[command(after_help = "Example:\n  ebb key-pairs list")]
    List,
    /// Add an SSH public key under a name, for `ebb buy --key-pair NAME`
    #[command(after_help = "Example:\n  ebb key-pairs add laptop id_ed25519.pub")]
    Add {
        name: String,
        /// The public half, one line in OpenSSH's form
        file: PathBuf,
    },
    /// Forget a key pair; instances that have it keep it
    #[command(after_help = "Example:\n  ebb key-pairs delete laptop")]
    Delete { name: String },
}

pub async fn key_pairs(session: &Session, command: &KeyPairs) -> Result<(), Failure> {
    match command {
        KeyPairs::List => list(session).await,
        KeyPairs::Add { name, file } => {
            let text =
                std::fs::read_to_string(file).map_err(Failure::io(format!("the public key {}", file.display())))?;
            if text.contains("PRIVATE KEY") {
                let name = file.display();
                return Err(Failure::Usage(format!("{name} is a private key and stays with you; give {name}.pub")));
            }
            let body = AddKeyPair { name: name.clone(), public_key: text.trim().to_owned() };
            let added: KeyPair = session.client.post("/v1/key-pairs", &body).await?;
            session.show(&added, |pair| {
                facts(&[("id", pair.id.clone()), ("name", pair.name.clone()), ("public key", pair.public_key.clone())])
            })
        }
        KeyPairs::Delete { name } => {
            let answer: serde_json::Value = session.client.delete(&format!("/v1/key-pairs/{name}")).await?;
            session.show(&answer, |_| format!("Key pair {name} is deleted.\n"))
        }
    }
}

async fn list(session: &Session) -> Result<(), Failure> {
    let page: Page<KeyPair> = session.client.all("/v1/key-pairs", &[]).await?;
    session.show(&page, |page| {
        let mut table = Table::new(&["NAME", "CREATED", "PUBLIC KEY"]);
        for pair in &page.items {
            table.row([pair.name.clone(), instant(&pair.created_at), pair.public_key.clone()]);
        }
        table.text("No key pairs. `ebb key-pairs add NAME FILE` adds one.")
    })
}
