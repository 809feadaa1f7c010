//! `ebb serve`: the half without privilege. What does it start with?

use crate::delivery_args::DeliveryArgs;
use crate::failure::Failure;
use crate::session::print;
use clap::Args;
use ebb_server::{CatalogFile, IdentityConfig, ServeConfig, VerifierConfig};
use ebb_store::Place;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    /// The directory of the database
    #[arg(long, value_name = "DIR", default_value = "run/serve", conflicts_with = "postgres")]
    data: PathBuf,
    /// Keep the rows in this PostgreSQL database, such as `host=/run/postgresql dbname=ebb`
    #[arg(long, value_name = "CONNECTION")]
    postgres: Option<String>,
    /// The price book; else the sample that comes with Ebb
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// The socket of a host that lends capacity (its `--socket`); may be given several times
    #[arg(long = "host", value_name = "SOCKET")]
    hosts: Vec<PathBuf>,
    /// The database was restored from a backup: hosts obey again when an operator accepts the gap
    #[arg(long)]
    restored: bool,
    /// A file whose first line is the operator's key; made with a new one if it does not exist
    #[arg(long, value_name = "FILE", default_value = "run/operator.key")]
    operator_key: PathBuf,
    /// A file of keys from which secrets of subscriptions are derived, the newest first; made if it does not exist. Beside the
    /// operator's key if not given
    #[arg(long, value_name = "FILE")]
    subscription_key: Option<PathBuf>,
    /// The file of the keys under which is hashed what shows a person, the newest first; made if it does not exist. Beside the
    /// operator's key if not given
    #[arg(long, value_name = "FILE")]
    evidence_keys: Option<PathBuf>,
    #[command(flatten)]
    verifier: VerifierArgs,
    #[command(flatten)]
    deliveries: DeliveryArgs,
}

/// Who verifies accounts from outside.
#[derive(Debug, Args)]
#[command(next_help_heading = "Outside verifier")]
pub struct VerifierArgs {
    /// A file with the secret (`whsec_…`) that an outside verifier signs his messages with; without it there is none
    #[arg(long, value_name = "FILE")]
    verifier_secret: Option<PathBuf>,
    /// Where customers reach him
    #[arg(long, value_name = "URL", requires = "verifier_secret")]
    verifier_url: Option<String>,
}

impl VerifierArgs {
    pub fn config(self) -> Result<VerifierConfig, Failure> {
        let secrets = self.verifier_secret.map(|file| {
            std::fs::read_to_string(&file).map_err(Failure::io(format!("the verifier's secret in {}", file.display())))
        });
        Ok(VerifierConfig { secrets: secrets.transpose()?, url: self.verifier_url })
    }
}

/// Serves until it is interrupted. Its first line says where.
pub async fn run(args: ServeArgs) -> Result<(), Failure> {
    let store = match args.postgres {
        Some(connection) => Place::Postgres(connection),
        None => {
            use std::os::unix::fs::DirBuilderExt;
            // Everything that tenants own is in there.
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&args.data);
            made.map_err(Failure::io(format!("the directory {}", args.data.display())))?;
            Place::Sqlite(args.data.join("ebb.db"))
        }
    };
    let operator_secret = Some(operator_key(&args.operator_key)?);
    let beside = || args.operator_key.with_file_name("subscription.key");
    let evidence_keys = args.evidence_keys.unwrap_or_else(|| args.operator_key.with_file_name("evidence.key"));
    let identity = IdentityConfig { evidence_keys, verifier: args.verifier.config()? };
    let deliveries = args.deliveries.config(Some(subscription_keys(&args.subscription_key.unwrap_or_else(beside))?))?;
    let failed = |error: ebb_server::ServeError| Failure::Outcome(format!("the service: {error}"));
    let file = args.catalog.as_deref().map_or_else(|| Ok(CatalogFile::sample()), CatalogFile::read).map_err(failed)?;
    let catalog = file.catalog().map_err(|wrong| failed(wrong.into()))?;
    let (listen, hosts, restored) = (args.listen, args.hosts, args.restored);
    let config = ServeConfig { listen, store, catalog, hosts, restored, operator_secret, deliveries, identity };
    let serving = ebb_server::serve(config).await.map_err(|error| failed(file.locate(error)))?;
    print(&format!("{{\"endpoint\":\"http://{}\"}}\n", serving.address))?;
    serving.run(interrupted()).await.map_err(Failure::io("serving"))
}

/// Reads the operator's key, or makes one that only this user can read.
fn operator_key(file: &Path) -> Result<String, Failure> {
    let failed = || Failure::io(format!("the operator's key in {}", file.display()));
    match std::fs::read_to_string(file) {
        Ok(text) => {
            let key = text.lines().next().unwrap_or_default().trim().to_owned();
            if key.len() < 20 {
                let why = "its first line is no key of 20 characters or more";
                return Err(Failure::Usage(format!("{}: {why}", file.display())));
            }
            Ok(key)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = format!("ebb_{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
            write_private(file, &key).map_err(failed())?;
            Ok(key)
        }
        Err(error) => Err(failed()(error)),
    }
}

/// Reads the keys of subscriptions, or makes one that only this user can read.
fn subscription_keys(file: &Path) -> Result<String, Failure> {
    let failed = || Failure::io(format!("the key for subscriptions in {}", file.display()));
    match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
            write_private(file, &key).map_err(failed())?;
            Ok(key)
        }
        read => read.map_err(failed()),
    }
}

fn write_private(file: &Path, line: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(made, "{line}")?;
    made.sync_all()
}

/// Ends with the first interrupt or termination.
pub async fn interrupted() {
    let mut interrupt = signal(SignalKind::interrupt()).expect("a signal handler");
    let mut terminate = signal(SignalKind::terminate()).expect("a signal handler");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
