//! By which interfaces is the host's namespace joined to the world, and how does each get there?

use super::home::Home;
use super::plan::Mac;
use super::system::{self, batch, rules, run};
use crate::config::{NetworkConfig, Tunnel, Uplink};
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;
use std::process::Command;

/// Both ends of the way between a machine and its host. They are the same on each machine, and mean nothing elsewhere.
pub const MACHINE: Ipv4Addr = Ipv4Addr::new(169, 254, 86, 1);
const HOST: Ipv4Addr = Ipv4Addr::new(169, 254, 86, 2);
/// The host's end of it.
const OWN_END: &str = "uplink";

/// An interface that is in the host's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub index: i32,
    pub mac: Mac,
}

/// The uplink's name and the host's own address there.
pub fn uplink(config: &NetworkConfig) -> Option<(String, Ipv4Addr)> {
    match config.uplink.as_ref()? {
        Uplink::Interface { interface, address, .. } => Some((interface.clone(), address.addr())),
        Uplink::Machine => Some((OWN_END.to_owned(), HOST)),
    }
}

/// The same of the tunnel's interface.
pub fn tunnel(config: &NetworkConfig) -> Option<(String, Ipv4Addr)> {
    match config.tunnel.as_ref()? {
        Tunnel::Interface { interface, address, .. } => Some((interface.clone(), address.addr())),
        Tunnel::Uplink => uplink(config),
    }
}

/// The machine's end of the way to a host, and the name of its table of rules.
pub fn machine_end(namespace: &str) -> (String, String) {
    let hash = namespace.trim_start_matches("ebb-");
    (format!("eb{hash}"), format!("ebb_{hash}"))
}

/// Joins the namespace to what the configuration names. The rules are there already.
pub fn join(config: &NetworkConfig, namespace: &str, home: &Home) -> Result<Option<Link>, String> {
    match &config.uplink {
        Some(Uplink::Interface { interface, address, gateway }) => {
            bring_in(interface, *address, namespace, home)?;
            batch("ip", &format!("route replace default via {gateway} dev {interface} onlink\n"))?;
        }
        Some(Uplink::Machine) => join_machine(namespace, home)?,
        None => {}
    }
    if let Some(Tunnel::Interface { interface, address, .. }) = &config.tunnel {
        bring_in(interface, *address, namespace, home)?;
    }
    uplink(config).map(|(name, _)| look(&name)).transpose()
}

/// Takes an interface of the machine, unless the host has it already.
fn bring_in(interface: &str, address: Ipv4Net, namespace: &str, home: &Home) -> Result<(), String> {
    let is_here = || look(interface).is_ok();
    if !is_here() {
        home.visit(|| {
            if !is_here() {
                return Err(format!("this machine has no interface `{interface}`, nor has this host"));
            }
            // Whoever gives it away by mistake is cut off, and has to walk to the machine.
            let ways = run(Command::new("ip").args(["-o", "route", "show", "default", "dev", interface]), "")?;
            if !ways.trim().is_empty() {
                return Err(format!(
                    "this machine reaches others by `{interface}`, which would be the host's alone: give the host an interface \
                     of its own"
                ));
            }
            run(Command::new("ip").args(["link", "set", "dev", interface, "netns", namespace]), "").map(drop)
        })?;
    }
    // Others hear of its addresses only here, and by the one that is its own.
    let strict = [("arp_ignore", "1"), ("arp_announce", "2")];
    for (setting, value) in strict {
        system::set(&[(&format!("ipv4/conf/{interface}/{setting}"), value)]);
    }
    batch("ip", &format!("addr replace {address} dev {interface}\nlink set {interface} up\n"))
}

/// A pair of interfaces, one of which stays on the machine. There nothing is taken from it but answers.
fn join_machine(namespace: &str, home: &Home) -> Result<(), String> {
    let (device, table) = machine_end(namespace);
    let is_new = look(OWN_END).is_err();
    let (machine_mac, own_mac) = (Mac::of(MACHINE), Mac::of(HOST));
    home.visit(|| {
        rules(&format!(
            r#"add table inet {table}
delete table inet {table}
table inet {table} {{
  chain to_machine {{
    type filter hook input priority -10; policy accept;
    iifname "{device}" ct state established,related accept
    iifname "{device}" drop
  }}
  chain through {{
    type filter hook forward priority -10; policy accept;
    iifname "{device}" drop
    oifname "{device}" drop
  }}
}}
"#
        ))?;
        if is_new {
            batch(
                "ip",
                &format!(
                    "link add {device} address {machine_mac} type veth peer name {OWN_END} address {own_mac} netns {namespace}\n"
                ),
            )?;
        }
        // Routes of an earlier life may lead to addresses that nobody has any more.
        batch(
            "ip",
            &format!(
                "link set {device} addrgenmode none up\naddr replace {MACHINE}/32 dev {device}\nroute flush dev {device}\n\
                 route replace {HOST}/32 dev {device} src {MACHINE}\n"
            ),
        )
    })?;
    system::set(&[(&format!("ipv4/conf/{OWN_END}/arp_ignore"), "1")]);
    batch(
        "ip",
        &format!(
            "addr replace {HOST}/32 dev {OWN_END}\nlink set {OWN_END} up\n\
             neigh replace {MACHINE} lladdr {machine_mac} dev {OWN_END} nud permanent\n\
             route replace default via {MACHINE} dev {OWN_END} onlink\n"
        ),
    )
}

/// Removes what [`join_machine`] left on the machine.
pub fn part(namespace: &str) {
    let (device, table) = machine_end(namespace);
    // Most machines have neither.
    let _ = run(Command::new("ip").args(["link", "del", &device]), "");
    let _ = run(Command::new("nft").args(["delete", "table", "inet", &table]), "");
}

fn look(interface: &str) -> Result<Link, String> {
    let line = run(Command::new("ip").args(["-o", "link", "show", "dev", interface]), "")?;
    read(&line).ok_or_else(|| format!("`{interface}` is no Ethernet: {line}"))
}

fn read(line: &str) -> Option<Link> {
    let index = line.split(':').next()?.trim().parse().ok()?;
    let mac = line.split("link/ether ").nth(1)?.split_whitespace().next()?;
    let bytes: Vec<u8> = mac.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<_, _>>().ok()?;
    Some(Link { index, mac: Mac(bytes.try_into().ok()?) })
}

/// Addresses of single hosts on an interface: those that are not among the known ones are of an earlier life.
pub fn bound(interface: &str) -> Result<Vec<Ipv4Addr>, String> {
    let listed = run(Command::new("ip").args(["-o", "-4", "addr", "show", "dev", interface]), "")?;
    let addresses = listed.split_whitespace().filter_map(|word| word.strip_suffix("/32")?.parse().ok());
    Ok(addresses.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_read() {
        let line = "7: eth1@if6: <BROADCAST,UP> mtu 1500 qdisc noqueue state UP mode DEFAULT group default qlen 1000\\    \
                    link/ether 52:54:0a:4d:00:0a brd ff:ff:ff:ff:ff:ff link-netnsid 0";
        assert_eq!(read(line), Some(Link { index: 7, mac: Mac([0x52, 0x54, 0x0a, 0x4d, 0, 0x0a]) }));
        assert_eq!(read("1: lo: <LOOPBACK> mtu 65536\\    link/loopback 00:00:00:00:00:00"), None);
    }

    #[test]
    fn names_fit_an_interface() {
        let (device, table) = machine_end("ebb-0123456789ab");
        assert_eq!((device.as_str(), table.as_str()), ("eb0123456789ab", "ebb_0123456789ab"));
        assert!(device.len() <= 15);
    }
}
