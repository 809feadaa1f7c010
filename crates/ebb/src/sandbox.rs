//! `ebb sandbox`: what does a throw-away Ebb start with?

use crate::delivery_args::DeliveryArgs;
use crate::failure::Failure;
use crate::serve::VerifierArgs;
use crate::session::print;
use clap::Args;
use ebb_driver::fake::Behaviour;
use ebb_model::catalog::Catalog;
use ebb_model::resources::Resources;
use ebb_model::time::Timestamp;
use ebb_server::{CatalogFile, Network, SandboxConfig, ServeError};
use ebb_store::Place;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct SandboxArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Keep the database and the hosts in this directory; else everything is in memory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Keep the rows in this PostgreSQL database, such as `host=/run/postgresql dbname=ebb`; with --data, only the hosts there
    #[arg(long, value_name = "CONNECTION")]
    postgres: Option<String>,
    /// Seconds of the sandbox in one of the wall clock; 0 stands still until it is advanced
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    speed: u32,
    /// The same calls with the same seed give the same log
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What time it is when a new sandbox starts
    #[arg(long, default_value = "2026-01-01T00:00:00Z")]
    start: Timestamp,
    /// A catalog of your own; else the sample that comes with Ebb
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// Hosts in each zone, named ZONE-1, ZONE-2, …; as many as capacities, if not given
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    hosts: Option<u16>,
    /// What a host lends; given again, the hosts of a zone take them in turn
    #[arg(long, default_value = "vcpu=1000,memory_mib=4000000,disk_gib=100000", value_parser = resources)]
    capacity: Vec<Resources>,
    /// How long a fake guest takes to start
    #[arg(long, value_name = "MILLIS", default_value_t = 0)]
    start_millis: i64,
    #[command(flatten)]
    verifier: VerifierArgs,
    #[command(flatten)]
    deliveries: DeliveryArgs,
}

/// People test their receivers on the same machine.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// Runs a sandbox until it is interrupted. Its first line says where it is and which keys it knows.
pub async fn run(args: SandboxArgs) -> Result<(), Failure> {
    let failed = |error: ServeError| Failure::Outcome(format!("the sandbox: {error}"));
    let file = args.catalog.as_deref().map_or_else(|| Ok(CatalogFile::sample()), CatalogFile::read).map_err(failed)?;
    let config = config(args, file.catalog().map_err(|wrong| failed(wrong.into()))?)?;
    let (serving, ready) = ebb_server::sandbox(config).await.map_err(|error| failed(file.locate(error)))?;
    print(&(serde_json::to_string(&ready).expect("a first line of plain values") + "\n"))?;
    serving.run(crate::serve::interrupted()).await.map_err(Failure::io("serving"))
}

fn config(args: SandboxArgs, catalog: Catalog) -> Result<SandboxConfig, Failure> {
    let mut deliveries = args.deliveries.config(None)?;
    deliveries.networks.extend(LOOPBACK.map(|network| network.parse::<Network>().expect("a network")));
    Ok(SandboxConfig {
        listen: args.listen,
        catalog,
        data: args.data,
        store: args.postgres.map(Place::Postgres),
        speed: args.speed,
        seed: args.seed,
        start: args.start,
        hosts: args.hosts.map_or(args.capacity.len(), usize::from),
        capacity: args.capacity,
        behaviour: Behaviour { start_millis: args.start_millis, shutdown_millis: Some(0), ..Behaviour::default() },
        deliveries,
        verifier: args.verifier.config()?,
    })
}

/// `vcpu=4,memory_mib=8192`
pub fn resources(text: &str) -> Result<Resources, String> {
    let wrong = |part: &str| format!("`{part}`: write it as name=number, such as vcpu=4,memory_mib=8192");
    let parts = text.split(',').map(|part| {
        let (name, amount) = part.split_once('=').ok_or_else(|| wrong(part))?;
        let amount: i64 = amount.trim().parse().map_err(|_| wrong(part))?;
        if amount < 0 || name.trim().is_empty() { Err(wrong(part)) } else { Ok((name.trim().to_owned(), amount)) }
    });
    Ok(Resources::of(parts.collect::<Result<Vec<_>, String>>()?))
}
