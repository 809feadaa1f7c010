//! The privileged half of Ebb: real guests on the machine that lends capacity.
//!
//! [`run`] is a host. It takes its orders from a socket, carries out deadlines with or without a server, and finds its guests
//! again after a restart. [`clean`] removes every trace of one.

mod capacity;
mod clean;
mod config;
mod error;
mod fake;
mod files;
mod host;
mod metadata;
mod network;
mod qemu;
mod scribe;
mod signal;
mod socket;
mod timer;
mod volumes;

pub use clean::clean;
pub use config::{Accelerator, Access, DriverConfig, HostConfig, NetworkConfig, QemuConfig, Resolver, Tunnel, Uplink};
pub use error::HostError;
pub use network::namespace;

use std::sync::Arc;

/// Runs a host until the future is dropped; its guests go on, and the next run with the same data directory takes them up again.
/// Its socket is there as soon as it has.
pub async fn run(config: HostConfig) -> Result<(), HostError> {
    let files = Arc::new(files::Files::open(&config.data)?);
    match config.driver.clone() {
        DriverConfig::Fake(behaviour) => fake::run(config, behaviour, files).await,
        DriverConfig::Qemu(qemu) => host::run(config, qemu, files).await,
    }
}
