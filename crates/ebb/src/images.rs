//! `ebb images`: which system images does the account have of its own, and how do they come and go?

use crate::failure::Failure;
use crate::session::Session;
use crate::table::{Table, facts, instant};
use crate::which::{self, short};
use ebb_wire::image::{AddImage, Image, ImageOrigin, ShareImage};
use ebb_wire::problem::Page;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// A host may have to fetch it, and to flatten it.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Subcommand)]
pub enum Images {
    /// List the account's images, and those that are shared with it
    #[command(after_help = "Example:\n  ebb images list")]
    List,
    /// Show one image
    #[command(after_help = "Example:\n  ebb images show golden")]
    Show {
        /// Id, start of an id, or name
        image: String,
    },
    /// Bring an image along: a file of this machine, or what an http address leads to
    #[command(
        after_help = "What it is said to be is believed and nothing guesses it: --format qcow2 or raw. A qcow2 file must stand alone: no backing file, no\ndata file, no encryption, no snapshots inside.\n\nExample:\n  ebb images import disk.raw --name golden"
    )]
    Import {
        /// A file, or an address that begins with http:// or https://
        from: String,
        #[arg(long)]
        name: String,
        /// `qcow2` or `raw`; if not given, as the name of the file ends
        #[arg(long)]
        format: Option<String>,
        /// Of an address: the SHA-256 of what it leads to
        #[arg(long, value_name = "DIGITS")]
        sha256: Option<String>,
    },
    /// Make an image of a data disk, or of the system disk of an instance, as it is now
    #[command(after_help = "Example:\n  ebb images create --instance web --name golden")]
    Create {
        /// Id, start of an id, or name of an instance, whose system disk is meant
        #[arg(long, required_unless_present = "disk", conflicts_with = "disk")]
        instance: Option<String>,
        /// Id, start of an id, or name of a data disk
        #[arg(long)]
        disk: Option<String>,
        #[arg(long)]
        name: String,
    },
    /// Let another account use it
    #[command(after_help = "Example:\n  ebb images share golden $ACCOUNT")]
    Share {
        /// Id, start of an id, or name
        image: String,
        /// The id of the other account
        with: String,
    },
    /// Take that back; what the other account has made of it stays
    #[command(after_help = "Example:\n  ebb images unshare golden $ACCOUNT")]
    Unshare {
        /// Id, start of an id, or name
        image: String,
        /// The id of the other account
        with: String,
    },
    /// Delete an image that no instance has
    #[command(after_help = "Example:\n  ebb images delete golden")]
    Delete {
        /// Id, start of an id, or name
        image: String,
    },
}

pub async fn images(session: &Session, command: &Images) -> Result<(), Failure> {
    let client = &session.client;
    let changed: Image = match command {
        Images::List => return list(session).await,
        Images::Show { image } => {
            let id = which::image(client, image).await?;
            client.get(&format!("/v1/images/{id}"), &[]).await?
        }
        Images::Import { from, name, format, sha256 } => {
            import(session, from, name, format.as_deref(), sha256.as_deref()).await?
        }
        Images::Create { instance, disk, name } => {
            let origin = match (instance, disk) {
                (None, Some(disk)) => ImageOrigin::DataDisk { disk: which::disk(client, disk).await? },
                (instance, _) => {
                    let named = instance.as_deref().unwrap_or_default();
                    ImageOrigin::SystemDisk { instance: which::instance(client, named).await? }
                }
            };
            let body = AddImage { name: name.clone(), origin };
            made(session, client.post("/v1/images", &body).await?).await?
        }
        Images::Share { image, with } => {
            let id = which::image(client, image).await?;
            client.post(&format!("/v1/images/{id}/share"), &ShareImage { account: with.clone() }).await?
        }
        Images::Unshare { image, with } => {
            let id = which::image(client, image).await?;
            client.post(&format!("/v1/images/{id}/unshare"), &ShareImage { account: with.clone() }).await?
        }
        Images::Delete { image } => {
            let id = which::image(client, image).await?;
            client.delete(&format!("/v1/images/{id}")).await?
        }
    };
    session.show(&changed, image_text)
}

async fn import(
    session: &Session,
    from: &str,
    name: &str,
    format: Option<&str>,
    sha256: Option<&str>,
) -> Result<Image, Failure> {
    let client = &session.client;
    let is_address = from.starts_with("http://") || from.starts_with("https://");
    let ending = from.rsplit('.').next().filter(|ending| ["qcow2", "raw"].contains(ending));
    let Some(format) = format.or(ending).map(str::to_owned) else {
        return Err(Failure::Usage("say what it is: --format qcow2 or --format raw".to_owned()));
    };
    let name = name.to_owned();
    if is_address {
        let Some(sha256) = sha256.map(str::to_owned) else {
            let why = "an address is fetched only with --sha256: what it leads to must be what you mean";
            return Err(Failure::Usage(why.to_owned()));
        };
        let origin = ImageOrigin::Url { url: from.to_owned(), format, sha256 };
        return made(session, client.post("/v1/images", &AddImage { name, origin }).await?).await;
    }
    let failed = Failure::io(format!("the image {from}"));
    let sha256 = match sha256 {
        Some(given) => given.to_owned(),
        None => digest(Path::new(from)).map_err(Failure::io(format!("the image {from}")))?,
    };
    let file = tokio::fs::File::open(from).await.map_err(failed)?;
    let origin = ImageOrigin::Upload { format, sha256 };
    let begun: Image = client.post("/v1/images", &AddImage { name, origin }).await?;
    let done: Image = client.put_file(&format!("/v1/images/{}/content", begun.id), file).await?;
    outcome(done)
}

/// Waits until a host has made it.
async fn made(session: &Session, begun: Image) -> Result<Image, Failure> {
    let path = format!("/v1/images/{}", begun.id);
    let mut now = begun;
    while now.state == "importing" {
        tokio::time::sleep(PAUSE).await;
        now = session.client.get(&path, &[]).await?;
    }
    outcome(now)
}

fn outcome(image: Image) -> Result<Image, Failure> {
    match image.reason {
        Some(why) => Err(Failure::Outcome(format!("no image was made of it: {why}"))),
        None => Ok(image),
    }
}

fn digest(file: &Path) -> std::io::Result<String> {
    let (mut file, mut digest, mut buffer) = (File::open(file)?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => digest.update(&buffer[..length]),
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

async fn list(session: &Session) -> Result<(), Failure> {
    let page: Page<Image> = session.client.all("/v1/images", &[]).await?;
    session.show(&page, |page| {
        let mut table = Table::new(&["ID", "NAME", "STATE", "FROM", "DISK GIB>", "STORED MB>", "CREATED"]);
        for one in &page.items {
            table.row([
                short(&one.id),
                one.name.clone(),
                one.state.clone(),
                from(&one.origin),
                one.gib.map(|gib| gib.to_string()).unwrap_or_default(),
                one.stored_bytes.map(|bytes| (bytes / 1_000_000).to_string()).unwrap_or_default(),
                instant(&one.created_at),
            ]);
        }
        table.text("No images of your own. `ebb images import FILE --name NAME` brings one along.")
    })
}

fn image_text(one: &Image) -> String {
    facts(&[
        ("id", one.id.clone()),
        ("name", one.name.clone()),
        ("state", one.state.clone()),
        ("why", one.reason.clone().unwrap_or_default()),
        ("from", from(&one.origin)),
        ("system disk", one.gib.map(|gib| format!("{gib} GiB at least")).unwrap_or_default()),
        ("created", instant(&one.created_at)),
        ("shared with", one.shared_with.join(", ")),
    ])
}

fn from(origin: &ImageOrigin) -> String {
    match origin {
        ImageOrigin::Upload { format, .. } => format!("upload, {format}"),
        ImageOrigin::Url { format, .. } => format!("address, {format}"),
        ImageOrigin::SystemDisk { instance } => format!("system disk of {}", short(instance)),
        ImageOrigin::DataDisk { disk } => format!("data disk {}", short(disk)),
    }
}
