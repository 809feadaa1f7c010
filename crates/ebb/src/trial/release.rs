//! `ebb trial release`: which instances go, and does whoever asks know what goes with them?

use crate::failure::Failure;
use crate::question::agreed;
use crate::session::Session;
use crate::table::{Table, optional_instant, plain};
use crate::which::{self, short};
use ebb_wire::instance::Instance;
use ebb_wire::problem::Page;

#[derive(Debug, clap::Args)]
pub struct ReleaseArgs {
    /// Ids, starts of ids, or names
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// Every trial instance of the account
    #[arg(long)]
    all: bool,
    /// Do not ask; for programs
    #[arg(long)]
    yes: bool,
}

pub async fn release(session: &Session, args: &ReleaseArgs) -> Result<(), Failure> {
    let going = going(session, args).await?;
    if going.is_empty() {
        return session.show(&Page { items: going, next: None }, |_| "No trial instances.\n".to_owned());
    }
    let mut table = Table::new(&["ID", "NAME", "STATE", "ZONE", "FLAVOR"]);
    for one in &going {
        table.row([short(&one.id), one.name.clone(), one.state.clone(), one.zone.clone(), one.flavor.clone()]);
    }
    if !args.yes {
        confirm(&going, &table)?;
    }
    let (mut released, mut stayed) = (vec![], vec![]);
    for one in &going {
        match session.client.delete::<Instance>(&format!("/v1/instances/{}", one.id)).await {
            Ok(gone) => released.push(gone),
            Err(Failure::Refused(problem)) => {
                stayed.push(format!("{} ({}) stays: {}", short(&one.id), plain(&one.name), problem.message));
            }
            Err(other) => return Err(other),
        }
    }
    session.show(&Page { items: released, next: None }, |page| {
        let mut table = Table::new(&["ID", "NAME", "STATE", "CHARGED UNTIL"]);
        for one in &page.items {
            let until = optional_instant(one.ended_at.as_ref());
            table.row([short(&one.id), one.name.clone(), one.state.clone(), until]);
        }
        let settled = "The grant still pays for this hour when it closes; until then it may shrink.";
        table.text("Nothing was released.") + settled + "\n"
    })?;
    if stayed.is_empty() { Ok(()) } else { Err(Failure::Outcome(stayed.join("\n     "))) }
}

/// Which instances are meant. If one is no trial, none is released.
async fn going(session: &Session, args: &ReleaseArgs) -> Result<Vec<Instance>, Failure> {
    let live: Page<Instance> = session.client.all("/v1/instances", &[("state", "live")]).await?;
    let mut trials = live.items;
    trials.retain(|one| one.option == "trial");
    if args.all {
        return Ok(trials);
    }
    let mut wanted = vec![];
    for text in &args.ids {
        let id = which::instance(&session.client, text).await?;
        if !trials.iter().any(|one| one.id == id) {
            let why =
                format!("`{text}` is no trial instance; nothing was released. `ebb delete {text}` releases others");
            return Err(Failure::Outcome(why));
        }
        wanted.push(id);
    }
    trials.retain(|one| wanted.contains(&one.id));
    Ok(trials)
}

/// Warns, and asks whoever sits at the terminal.
fn confirm(going: &[Instance], table: &Table) -> Result<(), Failure> {
    let count = match going.len() {
        1 => "1 trial instance".to_owned(),
        count => format!("{count} trial instances"),
    };
    let warning = format!(
        "These stop at once and are gone, with everything on their system disks:\n\n{}\nThere are no snapshots: copy what you need before.\n",
        table.text("")
    );
    let unasked = format!(
        "{count} would be released with all data, and nobody is there to be asked; give --yes to release without a question"
    );
    agreed(&warning, &format!("Release {count}?"), unasked, "nothing was released")
}
