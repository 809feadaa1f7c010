//! `ebb host`: the privileged half, on the machine that lends capacity. What does it start with?

use crate::failure::Failure;
use crate::sandbox::resources;
use clap::Args;
use ebb_driver::fake::Behaviour;
use ebb_host::{Access, DriverConfig, HostConfig, QemuConfig};
use ebb_model::resources::Resources;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct HostArgs {
    /// The host's name, unique in the installation
    #[arg(long, default_value = "here")]
    name: String,
    /// The zone that it lends its capacity to
    #[arg(long, default_value = "here-a")]
    zone: String,
    /// Everything that outlives the process: records, disks, logs
    #[arg(long, value_name = "DIR", default_value = "/var/lib/ebb/host")]
    data: PathBuf,
    /// Where the server reaches this host
    #[arg(long, value_name = "SOCKET", default_value = "/var/lib/ebb/host.sock")]
    socket: PathBuf,
    /// The user that may speak to the socket besides root
    #[arg(long, value_name = "UID")]
    server_uid: Option<u32>,
    /// An image: its id in the catalog and the directory that `guest/build` made
    #[arg(long = "image", value_name = "ID=DIR", value_parser = image)]
    images: Vec<(String, PathBuf)>,
    /// What is lent, such as vcpu=4,memory_mib=8192,disk_gib=100; else what the machine has over
    #[arg(long, value_parser = resources)]
    capacity: Option<Resources>,
    /// While this file is there, the machine is wanted back: nothing new is placed on it, and its blocks get notice
    #[arg(long, value_name = "PATH")]
    return_file: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Driver::Qemu)]
    driver: Driver,
    /// How long a fake guest takes to start
    #[arg(long, value_name = "MILLIS", default_value_t = 0)]
    start_millis: i64,
    /// Kill its guests and remove every trace of the host instead of running it
    #[arg(long)]
    clean: bool,
}

/// What guests are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Driver {
    /// Real guests; needs root
    Qemu,
    /// Nothing: for tests
    Fake,
}

/// Runs a host until it is interrupted; its guests go on.
pub async fn run(args: HostArgs) -> Result<(), Failure> {
    let failed = |error: ebb_host::HostError| Failure::Outcome(format!("the host: {error}"));
    if args.clean {
        return ebb_host::clean(&args.data).map_err(failed);
    }
    let behaviour = Behaviour { start_millis: args.start_millis, shutdown_millis: Some(0), ..Behaviour::default() };
    let config = HostConfig {
        name: args.name,
        zone: args.zone,
        data: args.data,
        socket: args.socket,
        access: Access { uid: args.server_uid, gid: None },
        images: args.images.into_iter().collect::<BTreeMap<_, _>>(),
        capacity: args.capacity,
        return_file: args.return_file,
        driver: match args.driver {
            Driver::Qemu => DriverConfig::Qemu(QemuConfig::default()),
            Driver::Fake => DriverConfig::Fake(behaviour),
        },
    };
    tokio::select! {
        ended = ebb_host::run(config) => ended.map_err(failed),
        () = crate::serve::interrupted() => Ok(()),
    }
}

fn image(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((id, dir)) if !id.is_empty() && !dir.is_empty() => Ok((id.to_owned(), PathBuf::from(dir))),
        _ => Err("write it as ID=DIR, such as ebb-guest=/var/lib/ebb/images/ebb-guest".to_owned()),
    }
}
