//! What does a host need to be told before it starts?

use ebb_driver::fake::Behaviour;
use ebb_model::resources::Resources;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostConfig {
    /// Unique in the installation.
    pub name: String,
    /// The zone that it lends its capacity to.
    pub zone: String,
    /// Everything that outlives the process: records, disks, logs. One host per directory.
    pub data: PathBuf,
    /// Where the server reaches this host.
    pub socket: PathBuf,
    #[serde(default)]
    pub access: Access,
    /// The directory of each image: it holds `vmlinuz` and `initramfs.img`, as `guest/build` makes them, or `disk.qcow2` or
    /// `disk.raw`, which firmware boots.
    #[serde(default)]
    pub images: BTreeMap<String, PathBuf>,
    /// What is lent; computed from the machine when absent.
    #[serde(default)]
    pub capacity: Option<Resources>,
    /// While this file is there, the machine is wanted back by whoever owns it.
    #[serde(default)]
    pub return_file: Option<PathBuf>,
    pub driver: DriverConfig,
}

/// Who may speak to the socket besides root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    #[serde(default)]
    pub uid: Option<u32>,
    #[serde(default)]
    pub gid: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriverConfig {
    Qemu(QemuConfig),
    /// Guests made of nothing, behind the same socket; needs no privilege.
    Fake(Behaviour),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QemuConfig {
    /// `None`: KVM where a probe shows that guests boot with it, else TCG.
    pub accelerator: Option<Accelerator>,
    pub network: NetworkConfig,
    /// Guests run under uids from here on, one each: as many as `network` has addresses. The one before reads strange images.
    pub first_uid: u32,
}

impl Default for QemuConfig {
    fn default() -> Self {
        Self { accelerator: None, network: NetworkConfig::default(), first_uid: 200_000 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accelerator {
    Kvm,
    Tcg,
}

/// The private addresses that guests get; each account has a /24 of its own in it. They exist only inside the host's network
/// namespace, so that they meet no other network of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkConfig {
    pub base: Ipv4Addr,
    /// 8 to 24.
    pub prefix: u8,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self { base: Ipv4Addr::new(10, 77, 0, 0), prefix: 16 }
    }
}
