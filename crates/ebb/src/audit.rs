//! `ebb audit`: does all that is stored agree?

use crate::client::Client;
use crate::failure::Failure;
use crate::session::Session;
use ebb_wire::audit::{Audit, Finding};

#[derive(Debug, clap::Args)]
pub struct AuditArgs {
    /// Name all that differs, not the first thing alone
    #[arg(long)]
    all: bool,
}

pub async fn audit(session: &Session, args: &AuditArgs) -> Result<(), Failure> {
    let audit = ask(&session.client, args.all).await?;
    session.show(&audit, text)?;
    match audit.found {
        0 => Ok(()),
        1 => Err(Failure::Outcome("one thing is not what everything else says".to_owned())),
        found => Err(Failure::Outcome(format!("{found} things are not what everything else says"))),
    }
}

pub async fn ask(client: &Client, all: bool) -> Result<Audit, Failure> {
    let query: &[(&str, &str)] = if all { &[("all", "true")] } else { &[] };
    client.get("/v1/audit", query).await
}

/// One line, if nothing differs.
pub fn text(audit: &Audit) -> String {
    if audit.agrees {
        return format!("All agree: {}.\n", audit.added_up);
    }
    let listed: String = audit.findings.iter().map(finding_text).collect();
    let more = match audit.found - audit.findings.len() as u64 {
        0 => String::new(),
        more => format!("{more} more; --all lists them.\n"),
    };
    format!("{listed}{more}Added up: {}.\n", audit.added_up)
}

fn finding_text(finding: &Finding) -> String {
    let Finding { check, account, row, stored, comes_to, rule } = finding;
    let whose = account.as_ref().map_or(String::new(), |id| format!(" of {id}"));
    format!("{check}: {row}{whose}\n  stored    {stored}\n  comes to  {comes_to}\n  rule      {rule}\n")
}
