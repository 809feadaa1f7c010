//! What does a host need to be told before it starts?

use ebb_driver::fake::Behaviour;
use ebb_model::resources::Resources;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
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

/// How guests are connected. Without an uplink they reach nothing but each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// Where guests stand whose orders do not say so; each account has a /24 of its own in it. These addresses exist only inside the
    /// host's network namespace, so that they meet no other network of the machine.
    pub base: Ipv4Addr,
    /// 8 to 24.
    pub prefix: u8,
    /// By which guests' public addresses are reached.
    pub uplink: Option<Uplink>,
    /// Networks that no guest may reach, beside those that are the operator's everywhere ([`crate::network::rules::CLOSED`]).
    pub closed: Vec<Ipv4Net>,
    /// What every guest may reach of these all the same, with or without a public address.
    pub allowed: Vec<Ipv4Net>,
    /// By which private networks go on to the region's other hosts.
    pub tunnel: Option<Tunnel>,
    /// Who is asked for names that this host does not know.
    pub resolvers: Vec<Resolver>,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            base: Ipv4Addr::new(10, 77, 0, 0),
            prefix: 16,
            uplink: None,
            closed: vec![],
            allowed: vec![],
            tunnel: None,
            resolvers: vec![],
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Uplink {
    /// An interface of the machine's that becomes the host's alone.
    Interface {
        interface: String,
        /// The host's own address there, with the bits of its network.
        address: Ipv4Net,
        gateway: Ipv4Addr,
    },
    /// The machine itself and nobody else reaches the public addresses.
    Machine,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Tunnel {
    /// An interface for this alone.
    Interface {
        interface: String,
        address: Ipv4Net,
        /// For hosts that are not in the same network.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gateway: Option<Ipv4Addr>,
    },
    /// The uplink, by the host's own address.
    Uplink,
}

impl NetworkConfig {
    /// The networks that the host itself is in.
    pub fn own_networks(&self) -> Vec<Ipv4Net> {
        let uplink = match &self.uplink {
            Some(Uplink::Interface { address, .. }) => Some(address.trunc()),
            Some(Uplink::Machine) | None => None,
        };
        uplink.into_iter().chain(self.tunnel_network()).collect()
    }

    /// The network that hosts have for themselves.
    pub fn tunnel_network(&self) -> Option<Ipv4Net> {
        match &self.tunnel {
            Some(Tunnel::Interface { address, .. }) => Some(address.trunc()),
            Some(Tunnel::Uplink) | None => None,
        }
    }

    /// Where the region's other hosts reach this one.
    pub fn tunnel_address(&self) -> Option<Ipv4Addr> {
        match (&self.tunnel, &self.uplink) {
            (Some(Tunnel::Interface { address, .. }), _)
            | (Some(Tunnel::Uplink), Some(Uplink::Interface { address, .. })) => Some(address.addr()),
            _ => None,
        }
    }

    /// May it be a guest's public address?
    pub(crate) fn may_bind(&self, ip: Ipv4Addr) -> bool {
        let own = match &self.uplink {
            Some(Uplink::Interface { address, gateway, .. }) => address.addr() == ip || *gateway == ip,
            Some(Uplink::Machine) | None => false,
        };
        let nobodys =
            ip.is_loopback() || ip.is_link_local() || ip.is_multicast() || ip.is_broadcast() || ip.octets()[0] == 0;
        !own && !nobodys && self.tunnel_address() != Some(ip)
    }

    /// What cannot work.
    pub fn check(&self) -> Result<(), String> {
        if !self.has_range() {
            return Err(format!(
                "the network `{}/{}` is not one: `base` must begin a block of `prefix` bits, with a prefix from 8 to 24",
                self.base, self.prefix
            ));
        }
        let named = |name: &String| {
            let fits = (1..=15).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
                && !["tap", "br", "vx", "lo", "-", "."].iter().any(|ours| name.starts_with(ours));
            match fits {
                true => Ok(()),
                false => Err(format!(
                    "`{name}` cannot be the name of an uplink or a tunnel: 1 to 15 letters and digits, not beginning with tap, br, vx or lo"
                )),
            }
        };
        if let Some(Uplink::Interface { interface, address, gateway }) = &self.uplink {
            named(interface)?;
            if *gateway == address.addr() {
                return Err(format!("the uplink's `gateway` {gateway} is its own address"));
            }
        }
        match (&self.tunnel, &self.uplink) {
            (Some(Tunnel::Interface { interface, .. }), uplink) => {
                named(interface)?;
                if matches!(uplink, Some(Uplink::Interface { interface: other, .. }) if other == interface) {
                    return Err(format!("`{interface}` is the uplink: write the tunnel as `kind = \"uplink\"`"));
                }
            }
            (Some(Tunnel::Uplink), Some(Uplink::Machine) | None) => {
                return Err("a tunnel by the uplink needs one that is an interface".to_owned());
            }
            _ => {}
        }
        Ok(())
    }
}

/// A server of names; on port 53 unless it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Resolver(pub SocketAddr);

impl TryFrom<String> for Resolver {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let plain = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        plain.or_else(|_| text.parse()).map(Resolver).map_err(|_| format!("`{text}` is no address of a resolver"))
    }
}

impl From<Resolver> for String {
    fn from(resolver: Resolver) -> String {
        resolver.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_said() {
        let interface = |name: &str, gateway: [u8; 4]| Uplink::Interface {
            interface: name.to_owned(),
            address: "192.0.2.2/24".parse().unwrap(),
            gateway: gateway.into(),
        };
        let with = |uplink, tunnel| NetworkConfig { uplink, tunnel, ..NetworkConfig::default() }.check();
        let uplink = Some(interface("eth1", [192, 0, 2, 1]));
        assert_eq!(with(uplink.clone(), Some(Tunnel::Uplink)), Ok(()));
        assert!(with(Some(interface("eth1", [192, 0, 2, 2])), None).unwrap_err().contains("its own address"));
        for name in ["", "tap7", "br0", "a b", "x\"y", "sixteen-letters-"] {
            assert!(with(Some(interface(name, [192, 0, 2, 1])), None).is_err(), "{name}");
        }
        for none in [None, Some(Uplink::Machine)] {
            assert!(with(none, Some(Tunnel::Uplink)).unwrap_err().contains("needs one"));
        }
        let same =
            Tunnel::Interface { interface: "eth1".to_owned(), address: "10.0.0.1/24".parse().unwrap(), gateway: None };
        let config = NetworkConfig { uplink: uplink.clone(), ..NetworkConfig::default() };
        for (ip, may) in
            [([192, 0, 2, 1], false), ([192, 0, 2, 2], false), ([192, 0, 2, 3], true), ([169, 254, 86, 1], false)]
        {
            assert_eq!(config.may_bind(ip.into()), may, "{ip:?}");
        }
        assert!(with(uplink, Some(same)).unwrap_err().contains("is the uplink"));
    }

    #[test]
    fn a_resolver_has_a_port() {
        let of = |text: &str| Resolver::try_from(text.to_owned()).map(String::from);
        assert_eq!(of("192.0.2.53").as_deref(), Ok("192.0.2.53:53"));
        assert_eq!(of("[2001:db8::53]:5353").as_deref(), Ok("[2001:db8::53]:5353"));
        assert!(of("dns.example").is_err());
    }
}
