//! How does a private network go on to the region's other hosts? By a VXLAN device per network in its bridge, with the network's
//! number, from and to the hosts that the server names.

use super::plan::Port;
use super::rules::Frame;
use super::standing;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// What an Ethernet carries, and what is left of it inside a tunnel.
const MTU: u16 = 1500;
const HEADERS: u16 = 50;

/// The largest packet of a guest.
pub fn mtu(frame: &Frame) -> u16 {
    if frame.tunnel.is_some() { MTU - HEADERS } else { MTU }
}

/// The commands of `ip` for a network's device, if it goes on.
pub fn device(links: &mut String, port: Port, frame: &Frame) {
    if let (Some(vx), Some((interface, own))) = (standing::tunnel(port, frame), &frame.tunnel) {
        writeln!(
            links,
            "link add {vx} mtu {} type vxlan id {} local {own} dev {interface} dstport 4789\nlink set {vx} master {} up",
            mtu(frame),
            port.0.network,
            port.bridge()
        )
        .expect("a string takes everything");
    }
}

/// The commands of `bridge`, so that what is for all, or for whom nobody knows yet, goes to these hosts.
pub fn flood(devices: &[String], gone: &BTreeSet<Ipv4Addr>, come: &BTreeSet<Ipv4Addr>) -> String {
    let mut text = String::new();
    for device in devices {
        for peer in gone {
            writeln!(text, "fdb del 00:00:00:00:00:00 dev {device} dst {peer}").expect("a string takes everything");
        }
        for peer in come {
            writeln!(text, "fdb append 00:00:00:00:00:00 dev {device} dst {peer}").expect("a string takes everything");
        }
    }
    text
}

/// The commands of `ip` for the way to hosts that are in another network.
pub fn ways(
    interface: &str,
    gateway: Option<Ipv4Addr>,
    gone: &BTreeSet<Ipv4Addr>,
    come: &BTreeSet<Ipv4Addr>,
) -> String {
    let Some(gateway) = gateway else { return String::new() };
    let gone = gone.iter().map(|peer| format!("route del {peer}/32 dev {interface}\n"));
    gone.chain(come.iter().map(|peer| format!("route replace {peer}/32 via {gateway} dev {interface}\n"))).collect()
}
