//! `ebb disks`: which data disks does the account have, and which instance has which?

use crate::failure::Failure;
use crate::session::Session;
use crate::table::{Table, facts, instant, optional_instant};
use crate::which::{self, short};
use ebb_wire::catalog::Catalog;
use ebb_wire::disk::{AttachDisk, ChangeVolume, CreateDisk, Disk, ResizeDisk};
use ebb_wire::problem::Page;

#[derive(Debug, clap::Subcommand)]
pub enum Disks {
    /// List the account's data disks
    #[command(after_help = "Example:\n  ebb disks list")]
    List {
        /// Also those that are deleted
        #[arg(long)]
        all: bool,
    },
    /// Show one data disk
    #[command(after_help = "Example:\n  ebb disks show data")]
    Show {
        /// Id, start of an id, or name
        disk: String,
    },
    /// Make a data disk: an empty one, or one that holds what a snapshot does
    #[command(
        after_help = "Example:\n  ebb disks create 20 --name data\n  ebb disks create --snapshot before --name again"
    )]
    Create {
        /// GiB [default: as many as the snapshot's disk]
        #[arg(required_unless_present = "snapshot")]
        gib: Option<i64>,
        #[arg(long)]
        name: Option<String>,
        /// Where [default: the catalog's first zone]
        #[arg(long, conflicts_with = "snapshot")]
        zone: Option<String>,
        /// Id, start of an id, or name of a snapshot; the disk is made where that is
        #[arg(long)]
        snapshot: Option<String>,
    },
    /// Give a data disk to an instance on its host, while that runs or is stopped
    #[command(after_help = "Example:\n  ebb disks attach data shop")]
    Attach {
        /// Id, start of an id, or name
        disk: String,
        /// Id, start of an id, or name of the instance
        instance: String,
    },
    /// Take a data disk from its instance; unmount it in the guest first
    #[command(after_help = "Example:\n  ebb disks detach data")]
    Detach {
        /// Id, start of an id, or name
        disk: String,
    },
    /// Let a data disk grow; what is on it has to be told to use it
    #[command(after_help = "Example:\n  ebb disks resize data 40")]
    Resize {
        /// Id, start of an id, or name
        disk: String,
        /// GiB, more than it has
        gib: i64,
    },
    /// Call a data disk otherwise
    #[command(after_help = "Example:\n  ebb disks rename data archive")]
    Rename {
        /// Id, start of an id, or name
        disk: String,
        name: String,
    },
    /// Delete a data disk that no instance has; charge ends at once, and nothing brings it back
    #[command(after_help = "Example:\n  ebb disks delete data")]
    Delete {
        /// Id, start of an id, or name
        disk: String,
    },
}

pub async fn disks(session: &Session, command: &Disks) -> Result<(), Failure> {
    let client = &session.client;
    let path = async |disk: &str| Ok::<_, Failure>(format!("/v1/disks/{}", which::disk(client, disk).await?));
    let disk: Disk = match command {
        Disks::List { all } => return list(session, *all).await,
        Disks::Show { disk } => client.get(&path(disk).await?, &[]).await?,
        Disks::Create { gib, name, zone, snapshot } => {
            let snapshot = match snapshot {
                Some(of) => Some(which::snapshot(client, of).await?),
                None => None,
            };
            let zone = match (zone, &snapshot) {
                (None, None) => {
                    let catalog: Catalog = client.get("/v1/catalog", &[]).await?;
                    catalog.zones.first().map(|zone| zone.id.clone())
                }
                (zone, _) => zone.clone(),
            };
            let what = CreateDisk { zone, gib: *gib, name: name.clone(), snapshot, ..CreateDisk::default() };
            client.post("/v1/disks", &what).await?
        }
        Disks::Attach { disk, instance } => {
            let to = AttachDisk { instance: which::instance(client, instance).await? };
            client.post(&format!("{}/attach", path(disk).await?), &to).await?
        }
        Disks::Detach { disk } => client.ask(&format!("{}/detach", path(disk).await?)).await?,
        Disks::Resize { disk, gib } => {
            client.post(&format!("{}/resize", path(disk).await?), &ResizeDisk { gib: *gib }).await?
        }
        Disks::Rename { disk, name } => {
            let words = ChangeVolume { name: Some(name.clone()), tags: None };
            client.post(&format!("{}/change", path(disk).await?), &words).await?
        }
        Disks::Delete { disk } => client.delete(&path(disk).await?).await?,
    };
    session.show(&disk, disk_text)
}

async fn list(session: &Session, all: bool) -> Result<(), Failure> {
    let state = if all { "all" } else { "live" };
    let page: Page<Disk> = session.client.all("/v1/disks", &[("state", state)]).await?;
    session.show(&page, |page| {
        let mut table = Table::new(&["ID", "NAME", "STATE", "GIB>", "AN HOUR>", "ZONE", "INSTANCE", "CHARGED SINCE"]);
        for one in &page.items {
            table.row([
                short(&one.id),
                one.name.clone(),
                one.state.clone(),
                one.gib.to_string(),
                one.price.clone(),
                one.zone.clone(),
                one.instance_name.clone().unwrap_or_default(),
                optional_instant(one.charged_since.as_ref()),
            ]);
        }
        table
            .text("No data disks. `ebb disks create 20` makes one, `ebb buy --data-disk 20` buys an instance with one.")
    })
}

fn disk_text(one: &Disk) -> String {
    let tags = one.tags.iter().map(|(name, value)| format!("{name}={value}"));
    let instance = one.instance.as_ref().map(|id| match &one.instance_name {
        Some(name) => format!("{name} ({})", short(id)),
        None => id.clone(),
    });
    facts(&[
        ("id", one.id.clone()),
        ("name", one.name.clone()),
        ("state", one.state.clone()),
        ("zone", one.zone.clone()),
        ("GiB", one.gib.to_string()),
        ("price per hour", one.price.clone()),
        ("instance", instance.unwrap_or_default()),
        ("made of", one.snapshot.clone().unwrap_or_default()),
        ("tags", tags.collect::<Vec<_>>().join(", ")),
        ("created", instant(&one.created_at)),
        ("charged since", optional_instant(one.charged_since.as_ref())),
        ("charged until", optional_instant(one.charged_until.as_ref())),
        ("unavailable since", optional_instant(one.unavailable_since.as_ref())),
        ("could not be made", one.failure.clone().unwrap_or_default()),
    ])
}
