//! `ebb host`: the privileged half, on the machine that lends capacity. What does it start with?

use crate::failure::Failure;
use crate::sandbox::resources;
use clap::Args;
use ebb_driver::fake::Behaviour;
use ebb_host::{Access, DriverConfig, HostConfig, NetworkConfig, QemuConfig};
use ebb_model::resources::Resources;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
    /// How real guests are joined to the outside and to other hosts: a file of TOML; without it they reach nothing but each other
    #[arg(long, value_name = "FILE")]
    network: Option<PathBuf>,
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
    let network = args.network.as_deref().map(network).transpose()?.unwrap_or_default();
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
            Driver::Qemu => DriverConfig::Qemu(QemuConfig { network, ..QemuConfig::default() }),
            Driver::Fake => DriverConfig::Fake(behaviour),
        },
    };
    tokio::select! {
        ended = ebb_host::run(config) => ended.map_err(failed),
        () = crate::serve::interrupted() => Ok(()),
    }
}

/// Reads how guests are joined to the outside.
fn network(file: &Path) -> Result<NetworkConfig, Failure> {
    let text = std::fs::read_to_string(file).map_err(Failure::io(format!("the network in {}", file.display())))?;
    let wrong = |why: String| Failure::Usage(format!("the network in {}: {}", file.display(), why.trim_end()));
    let config: NetworkConfig = toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    config.check().map_err(wrong)?;
    Ok(config)
}

fn image(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((id, dir)) if !id.is_empty() && !dir.is_empty() => Ok((id.to_owned(), PathBuf::from(dir))),
        _ => Err("write it as ID=DIR, such as ebb-guest=/var/lib/ebb/images/ebb-guest".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebb_host::{Tunnel, Uplink};

    /// The examples for operators, as they stand there.
    fn examples() -> Vec<NetworkConfig> {
        let page = include_str!("../../../docs/operators.md");
        let blocks = page.split("```toml\n# network.toml").skip(1);
        let read = |block: &str| {
            let config: NetworkConfig = toml::from_str(block.split("```").next().unwrap()).unwrap();
            config.check().unwrap();
            config
        };
        blocks.map(read).collect()
    }

    #[test]
    fn the_examples_for_operators_are_read() {
        let [interface, machine] = &examples()[..] else { panic!("two examples") };
        assert!(matches!(interface.uplink, Some(Uplink::Interface { .. })));
        assert!(matches!(interface.tunnel, Some(Tunnel::Interface { .. })));
        assert_eq!((interface.closed.len(), interface.allowed.len(), interface.resolvers.len()), (1, 1, 1));
        assert_eq!(machine.uplink, Some(Uplink::Machine));
    }

    #[test]
    fn what_is_wrong_in_a_network_is_said() {
        let file = std::env::temp_dir().join(format!("ebb-network-{}.toml", std::process::id()));
        let said = |text: &str| {
            std::fs::write(&file, text).unwrap();
            network(&file).unwrap_err().to_string()
        };
        assert!(said("uplnk = 1").contains("unknown field `uplnk`"));
        assert!(said("[uplink]\nkind = \"interface\"").contains("missing field `interface`"));
        assert!(said("[tunnel]\nkind = \"uplink\"").contains("needs one that is an interface"));
        std::fs::remove_file(&file).unwrap();
        assert!(network(&file).unwrap_err().to_string().contains("the network in"));
    }
}
