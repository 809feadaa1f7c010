//! `ebb evidence`: what were accounts seen with, and under which keys is it hashed?

use crate::failure::Failure;
use crate::session::Session;
use crate::table::{Table, facts, instant};
use crate::which;
use ebb_wire::person::{Evidence, EvidenceKey, Learned, Report, Sighting};
use ebb_wire::problem::Page;

#[derive(Debug, clap::Subcommand)]
pub enum EvidenceCommand {
    /// Say what an account was seen with; accounts that share it are one person (operator)
    #[command(
        after_help = "Example:\n  ebb evidence report Ada device=4c9f01 address=8.8.4.4 --seen-at log-in --as operator"
    )]
    Report {
        /// Id, start of an id, or name
        #[arg(value_name = "ACCOUNT")]
        whose: String,
        /// KIND=VALUE: document, phone, payment-account, device or address. What counts only together is given together
        #[arg(value_name = "EVIDENCE", required = true, value_parser = evidence)]
        evidence: Vec<Evidence>,
        /// `registration`, `log-in`, `use` or `operator`
        #[arg(long, default_value = "operator")]
        seen_at: String,
    },
    /// List what an account was seen with: kinds and instants, for what they say is kept nowhere (operator)
    #[command(after_help = "Example:\n  ebb evidence list Ada --as operator")]
    List {
        /// Id, start of an id, or name
        #[arg(value_name = "ACCOUNT")]
        whose: String,
    },
    /// List the keys under which evidence is hashed, and how much is under each (operator)
    #[command(after_help = "Example:\n  ebb evidence keys --as operator")]
    Keys,
    /// Make a new key; what is under older ones comes under it by and by (operator)
    #[command(after_help = "Example:\n  ebb evidence rotate --as operator")]
    Rotate,
}

/// `phone=+86 138 0013 8000`
pub fn evidence(text: &str) -> Result<Evidence, String> {
    let (kind, value) = text.split_once('=').ok_or("write it as kind=value, such as phone=13800138000")?;
    Ok(Evidence { kind: kind.to_owned(), value: value.to_owned() })
}

pub async fn run(session: &Session, command: &EvidenceCommand) -> Result<(), Failure> {
    let client = &session.client;
    match command {
        EvidenceCommand::Report { whose, evidence, seen_at } => {
            let id = which::account(client, whose).await?;
            let body = Report { seen_at: seen_at.clone(), evidence: evidence.clone() };
            let learned: Learned = client.post(&format!("/v1/accounts/{id}/evidence"), &body).await?;
            session.show(&learned, |learned| {
                let or_nothing =
                    |kinds: &[String]| if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") };
                facts(&[
                    ("account", learned.account.clone()),
                    ("new", or_nothing(&learned.new)),
                    ("links it with others by", or_nothing(&learned.linked)),
                ])
            })
        }
        EvidenceCommand::List { whose } => {
            let id = which::account(client, whose).await?;
            let page: Page<Sighting> = client.all(&format!("/v1/accounts/{id}/evidence"), &[]).await?;
            session.show(&page, |page| {
                let mut table = Table::new(&["KIND", "FIRST SEEN", "THROUGH", "SHARED"]);
                for one in &page.items {
                    let shared = if one.shared { "yes" } else { "" };
                    table.row([one.kind.clone(), instant(&one.first_seen_at), one.source.clone(), shared.to_owned()]);
                }
                table.text("It was seen with nothing.")
            })
        }
        EvidenceCommand::Keys => {
            let page: Page<EvidenceKey> = client.get("/v1/evidence-keys", &[]).await?;
            session.show(&page, keys)
        }
        EvidenceCommand::Rotate => {
            let page: Page<EvidenceKey> = client.ask("/v1/evidence-keys").await?;
            session.show(&page, keys)
        }
    }
}

fn keys(page: &Page<EvidenceKey>) -> String {
    let mut table = Table::new(&["KEY>", "FINGERPRINT", "SINCE", "HASHES UNDER IT>"]);
    for key in &page.items {
        table.row([key.number.to_string(), key.fingerprint.clone(), instant(&key.made_at), key.hashes.to_string()]);
    }
    table.text("No keys.")
}
