//! `ebb instances reset-password` and `reinstall`: who can log in from the next start on, and to what?

use crate::failure::Failure;
use crate::question::{agreed, secret};
use crate::session::Session;
use crate::which;
use ebb_wire::instance::{Instance, ReplaceSystemDisk, ResetPassword};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct PasswordArgs {
    /// Id, start of an id, or name
    id: String,
    /// A file whose first line is the password; `-`: standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct ReinstallArgs {
    /// Id, start of an id, or name
    id: String,
    /// Another image; `ebb catalog` and `ebb images list` list them
    #[arg(long)]
    image: Option<String>,
    /// Do not ask; for programs
    #[arg(long)]
    yes: bool,
}

pub async fn reset_password(session: &Session, args: &PasswordArgs) -> Result<(), Failure> {
    let id = which::instance(&session.client, &args.id).await?;
    let password = secret(args.from.as_deref(), "New password of root: ")?;
    let body = ResetPassword { password };
    let changed: Instance = session.client.post(&format!("/v1/instances/{id}/password"), &body).await?;
    session.show(&changed, |one| {
        let name = &one.name;
        match one.state.as_str() {
            "stopped" => format!("The password of {name} holds when it starts: `ebb start {name}`.\n"),
            _ => format!(
                "The password of {name} holds from its next start on: `ebb stop {name} --wait`, `ebb start {name}`.\n"
            ),
        }
    })
}

pub async fn reinstall(session: &Session, args: &ReinstallArgs) -> Result<(), Failure> {
    let id = which::instance(&session.client, &args.id).await?;
    if !args.yes {
        let name = &args.id;
        let warning =
            format!("All that is on the system disk of {name} is lost with its next start. Data disks stay.\n");
        let unasked = format!("{warning}To do it without being asked, add --yes.");
        agreed(&warning, "Make it anew?", unasked, "Nothing was changed.")?;
    }
    let image = match &args.image {
        Some(image) => Some(which::first_image(&session.client, image).await?),
        None => None,
    };
    let body = ReplaceSystemDisk { image };
    let changed: Instance = session.client.post(&format!("/v1/instances/{id}/system-disk"), &body).await?;
    session.show(&changed, |one| {
        format!("{} has a new system disk of {} when it starts: `ebb start {}`.\n", one.name, one.image, one.name)
    })
}
