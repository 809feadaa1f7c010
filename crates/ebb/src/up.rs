//! `ebb up`: how does one machine become a small cloud? Both halves are started, the main job is shown once, and it stays up.

mod halves;
mod show;

use crate::client::Client;
use crate::failure::Failure;
use crate::profile::Login;
use crate::serve::interrupted;
use crate::session::print;
use ebb_wire::instance::Instance;
use ebb_wire::problem::Page;
use halves::Halves;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub struct UpArgs {
    /// Where everything is kept; the guests' own users must be able to reach it, so a home directory will not do
    #[arg(long, value_name = "DIR", default_value = "/var/lib/ebb")]
    data: PathBuf,
    /// Address of the service
    #[arg(long, default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    /// The price book
    #[arg(long, value_name = "FILE", default_value = "catalog/demo.toml")]
    catalog: PathBuf,
    /// The guest image that `guest/build` made
    #[arg(long, value_name = "DIR", default_value = ".cache/guest")]
    image: PathBuf,
    /// The Debian that `make images` made; without it no Debian is sold
    #[arg(long, value_name = "DIR", default_value = ".cache/debian")]
    debian: PathBuf,
    /// What is lent; small, so that the demo runs out of it
    #[arg(long, default_value = "vcpu=4,memory_mib=800,disk_gib=40")]
    capacity: String,
    /// Start without showing the main job
    #[arg(long)]
    quiet: bool,
    /// Stop what runs: release all guests and remove every trace of the host; the database stays
    #[arg(long, conflicts_with = "quiet")]
    stop: bool,
}

/// Starts both halves and stays until it is interrupted or one of them ends.
pub async fn run(args: UpArgs) -> Result<(), Failure> {
    let data = &args.data;
    if args.stop && !data.exists() {
        return print("Nothing runs here.\n");
    }
    let mut halves = Halves::start(&args)?;
    let operator = ready(&args, &mut halves).await?;
    if args.stop {
        release_all(&operator).await?;
        halves.stop();
        halves.clean(data)?;
        return print("All guests are released, and the host left no trace. Bills and accounts are kept.\n");
    }
    if let Some(why) = &halves.closed {
        print(&format!("No public addresses, because this machine has no way to them: {why}\n"))?;
    }
    let shown = tokio::select! {
        shown = show::show(&operator, data, args.quiet) => shown,
        () = interrupted() => Ok(()),
        ended = halves.ended() => Err(ended),
    };
    shown?;
    tokio::select! {
        () = interrupted() => {}
        ended = halves.ended() => return Err(ended),
    }
    let guests = live(&operator).await.map_or(0, |all| all.len());
    halves.stop();
    let noun = if guests == 1 { "guest runs" } else { "guests run" };
    print(&format!("\n{guests} {noun} on and are charged; `make run` takes them up again, `make stop` ends them.\n"))
}

/// Waits until the service answers and its host is connected.
async fn ready(args: &UpArgs, halves: &mut Halves) -> Result<Client, Failure> {
    let started = Instant::now();
    let endpoint = format!("http://{}", args.listen);
    let mut why = Failure::Outcome("the service did not start".to_owned());
    while started.elapsed() < Duration::from_secs(60) {
        if let Some(ended) = halves.look() {
            return Err(ended);
        }
        // Not before it listens itself: another program may have the port, and is not to be told the key.
        if let Some(key) = halves.is_listening().then(|| operator_key(&args.data)).flatten() {
            let operator = Client::new(Login { endpoint: endpoint.clone(), key }, None)?;
            match operator.get::<Page<ebb_wire::host::Host>>("/v1/hosts", &[]).await {
                Ok(hosts) if hosts.items.iter().any(|host| host.connected) => return Ok(operator),
                Ok(_) => why = Failure::Outcome(format!("the host does not answer; see {}", halves.log("host"))),
                Err(failure) => why = failure,
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(why)
}

/// The key that the service made. The directory is the service's, which has less privilege than this program may have: so no
/// link is followed.
fn operator_key(data: &Path) -> Option<String> {
    use std::os::unix::fs::OpenOptionsExt;
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file =
        std::fs::File::options().read(true).custom_flags(no_follow).open(data.join("serve/operator.key")).ok()?;
    let mut text = String::new();
    file.take(4_096).read_to_string(&mut text).ok()?;
    text.lines().next().map(str::to_owned)
}

async fn live(operator: &Client) -> Result<Vec<Instance>, Failure> {
    Ok(operator.all("/v1/instances", &[]).await?.items)
}

/// Releases every instance, those that are being taken back at their deadline.
async fn release_all(operator: &Client) -> Result<(), Failure> {
    let started = Instant::now();
    loop {
        let all = live(operator).await?;
        if all.is_empty() {
            return Ok(());
        }
        if started.elapsed() > Duration::from_secs(180) {
            return Err(Failure::Outcome(format!("{} guests do not end; see `ebb instances list`", all.len())));
        }
        for instance in all.iter().filter(|i| !matches!(i.state.as_str(), "releasing" | "reclaiming" | "pending")) {
            // Refused for what has just begun to end by itself; the next look sees it gone.
            let _: Result<Instance, Failure> = operator.delete(&format!("/v1/instances/{}", instance.id)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A directory of the user's own beneath the data: profiles and key pairs.
fn own(data: &Path) -> PathBuf {
    data.join("user")
}
