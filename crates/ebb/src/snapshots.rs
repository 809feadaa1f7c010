//! `ebb snapshots`: what did disks hold before, and where is it kept?

use crate::failure::Failure;
use crate::session::Session;
use crate::table::{Table, facts, instant, optional_instant};
use crate::which::{self, short};
use ebb_wire::disk::{Snapshot, TakeSnapshot};
use ebb_wire::problem::Page;

#[derive(Debug, clap::Subcommand)]
pub enum Snapshots {
    /// List the account's snapshots
    #[command(after_help = "Example:\n  ebb snapshots list")]
    List {
        /// Also those that are deleted
        #[arg(long)]
        all: bool,
    },
    /// Show one snapshot
    #[command(after_help = "Example:\n  ebb snapshots show before")]
    Show {
        /// Id, start of an id, or name
        snapshot: String,
    },
    /// Keep what a data disk holds now, or the system disk of an instance
    #[command(
        after_help = "Example:\n  ebb snapshots create --disk data --name before\n  ebb snapshots create --instance shop"
    )]
    Create {
        /// Id, start of an id, or name of a data disk
        #[arg(long, required_unless_present = "instance", conflicts_with = "instance")]
        disk: Option<String>,
        /// Id, start of an id, or name of an instance, whose system disk is meant
        #[arg(long)]
        instance: Option<String>,
        #[arg(long)]
        name: Option<String>,
    },
    /// Delete a snapshot; disks that were made of it live on
    #[command(after_help = "Example:\n  ebb snapshots delete before")]
    Delete {
        /// Id, start of an id, or name
        snapshot: String,
    },
}

pub async fn snapshots(session: &Session, command: &Snapshots) -> Result<(), Failure> {
    let client = &session.client;
    let path = async |one: &str| Ok::<_, Failure>(format!("/v1/snapshots/{}", which::snapshot(client, one).await?));
    let snapshot: Snapshot = match command {
        Snapshots::List { all } => return list(session, *all).await,
        Snapshots::Show { snapshot } => client.get(&path(snapshot).await?, &[]).await?,
        Snapshots::Create { disk, instance, name } => {
            let disk = match disk {
                Some(disk) => Some(which::disk(client, disk).await?),
                None => None,
            };
            let instance = match instance {
                Some(instance) => Some(which::instance(client, instance).await?),
                None => None,
            };
            let what = TakeSnapshot { disk, instance, name: name.clone(), ..TakeSnapshot::default() };
            client.post("/v1/snapshots", &what).await?
        }
        Snapshots::Delete { snapshot } => client.delete(&path(snapshot).await?).await?,
    };
    session.show(&snapshot, snapshot_text)
}

async fn list(session: &Session, all: bool) -> Result<(), Failure> {
    let state = if all { "all" } else { "live" };
    let page: Page<Snapshot> = session.client.all("/v1/snapshots", &[("state", state)]).await?;
    session.show(&page, |page| {
        let mut table = Table::new(&["ID", "NAME", "STATE", "GIB>", "AN HOUR>", "ZONE", "OF", "CREATED"]);
        for one in &page.items {
            table.row([
                short(&one.id),
                one.name.clone(),
                one.state.clone(),
                one.gib.to_string(),
                one.price.clone(),
                one.zone.clone(),
                one.disk.as_deref().or(one.instance.as_deref()).map(short).unwrap_or_default(),
                instant(&one.created_at),
            ]);
        }
        table.text("No snapshots. `ebb snapshots create --disk NAME` makes one.")
    })
}

fn snapshot_text(one: &Snapshot) -> String {
    let tags = one.tags.iter().map(|(name, value)| format!("{name}={value}"));
    facts(&[
        ("id", one.id.clone()),
        ("name", one.name.clone()),
        ("state", one.state.clone()),
        ("zone", one.zone.clone()),
        ("GiB", one.gib.to_string()),
        ("price per hour", one.price.clone()),
        ("of data disk", one.disk.clone().unwrap_or_default()),
        ("of the system disk of", one.instance.clone().unwrap_or_default()),
        ("tags", tags.collect::<Vec<_>>().join(", ")),
        ("created", instant(&one.created_at)),
        ("charged since", optional_instant(one.charged_since.as_ref())),
        ("charged until", optional_instant(one.charged_until.as_ref())),
        ("unavailable since", optional_instant(one.unavailable_since.as_ref())),
        ("could not be made", one.failure.clone().unwrap_or_default()),
    ])
}
