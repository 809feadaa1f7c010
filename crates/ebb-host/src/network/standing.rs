//! What stands in the kernel for a guest or for a network: in the sets of the rule book, in chains, as routes and neighbours?
//!
//! It is computed from the plan alone. What has to be done when the plan changes is the difference of two of these.

use super::plan::{Port, Stay};
use super::rules::Frame;
use super::uplink::MACHINE;
use ebb_model::id::{AddressId, InstanceId};
use ebb_model::network::{EVERYWHERE, Ingress, LAST_NETWORK, Service};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Of sets and maps, each with the name of its own.
    pub elements: BTreeSet<String>,
    /// The rules of guests' own chains.
    pub chains: BTreeMap<String, Vec<String>>,
    /// Commands of `ip`: what undoes each.
    pub links: BTreeMap<String, String>,
    /// The same in the machine's own namespace.
    pub home: BTreeMap<String, String>,
    /// What is sent from here is held to a rate, in Mbit/s.
    pub rates: BTreeMap<Ipv4Addr, i64>,
    /// Bound on the uplink.
    pub publics: BTreeSet<Ipv4Addr>,
}

/// What is numbered under way.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Of each address that leads somewhere.
    pub counters: BTreeMap<(InstanceId, AddressId), String>,
    /// Of each address that is held to a rate.
    pub classes: BTreeMap<Ipv4Addr, u16>,
}

impl Standing {
    pub fn of_guest(guest: InstanceId, stay: &Stay, frame: &Frame, home: Option<&str>, names: &Names) -> Self {
        let mut standing = Self::default();
        let port = stay.port;
        let (ip, mac, tap, bridge) = (port.address(), port.mac(), port.tap(), port.bridge());
        standing.element(format!("bridge guard guests {{ \"{tap}\" . {mac} . {ip} }}"));
        if let Some(vx) = tunnel(port, frame) {
            standing.element(format!("bridge guard here {{ \"{vx}\" . {mac} }}"));
        }
        let source = port.gateway();
        standing.link(
            format!("route replace {ip}/32 dev {bridge} src {source}"),
            format!("route del {ip}/32 dev {bridge}"),
        );
        // A guest's address belongs to its MAC, whatever it says in ARP.
        standing.link(
            format!("neigh replace {ip} lladdr {mac} dev {bridge} nud permanent"),
            format!("neigh del {ip} dev {bridge}"),
        );
        let Some((uplink, _)) = &frame.uplink else { return standing };
        for address in &stay.around.addresses {
            let public = address.ip;
            standing.publics.insert(public);
            standing.element(format!("inet host publics {{ {public} }}"));
            standing.element(format!("inet host inwards {{ {public} : {ip} }}"));
            standing.element(format!("inet host bound {{ {ip} . {public} }}"));
            if let Some(counter) = names.counters.get(&(guest, address.id)) {
                standing.element(format!("ip traffic leaving {{ {public} : \"{counter}\" }}"));
            }
            if let Some(mbit) = address.mbit {
                standing.rates.insert(public, mbit);
                if let Some(class) = names.classes.get(&public) {
                    standing.element(format!("inet host classes {{ {public} : 1:{class:x} }}"));
                }
            }
            standing
                .link(format!("addr replace {public}/32 dev {uplink}"), format!("addr del {public}/32 dev {uplink}"));
            if let Some(device) = home {
                standing.home.insert(
                    format!("route replace {public}/32 dev {device} src {MACHINE}"),
                    format!("route del {public}/32 dev {device}"),
                );
            }
        }
        if let Some(first) = stay.around.addresses.first() {
            let chain = format!("in_{:08x}", ip.to_bits());
            standing.element(format!("inet host outwards {{ {ip} : {} }}", first.ip));
            standing.element(format!("inet host outgoing {{ {ip} }}"));
            standing.element(format!("inet host ingress {{ {ip} : goto {chain} }}"));
            standing.chains.insert(chain, stay.around.ingress.iter().map(rule).collect());
        }
        standing
    }

    pub fn of_network(port: Port, frame: &Frame) -> Self {
        let mut standing = Self::default();
        let gateway = port.gateway();
        standing.element(format!("inet host gateways {{ \"{}\" . {gateway} }}", port.bridge()));
        if let Some(vx) = tunnel(port, frame) {
            standing.element(format!("bridge guard here {{ \"{vx}\" . {} }}", super::plan::Mac::of(gateway)));
            standing.element(format!("bridge guard beyond {{ \"{vx}\" . {gateway} }}"));
        }
        standing
    }

    pub fn add(&mut self, other: &Standing) {
        self.elements.extend(other.elements.iter().cloned());
        self.chains.extend(other.chains.clone());
        self.links.extend(other.links.clone());
        self.home.extend(other.home.clone());
        self.rates.extend(&other.rates);
        self.publics.extend(&other.publics);
    }

    fn element(&mut self, element: String) {
        self.elements.insert(element);
    }

    fn link(&mut self, command: String, undo: String) {
        self.links.insert(command, undo);
    }
}

/// The commands that are in `after` and not in `before`.
pub fn done(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> String {
    after.keys().filter(|command| !before.contains_key(*command)).map(|command| format!("{command}\n")).collect()
}

/// What undoes those that are in `before` and not in `after`.
pub fn undone(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> String {
    let over = before.iter().filter(|(command, _)| !after.contains_key(*command));
    over.map(|(_, undo)| format!("{undo}\n")).collect()
}

/// The device by which a network goes on to other hosts. One that was chosen here is of this host alone.
pub fn tunnel(port: Port, frame: &Frame) -> Option<String> {
    let goes_on = frame.tunnel.is_some() && port.0.network <= LAST_NETWORK;
    goes_on.then(|| format!("vx{:06x}", port.0.network))
}

/// A rule of a security group about a connection as it looks from outside, whichever way its packet goes.
fn rule(ingress: &Ingress) -> String {
    let from = match ingress.from {
        EVERYWHERE => String::new(),
        net => format!("ct reply ip daddr {} ", net.trunc()),
    };
    match ingress.service {
        Service::Tcp { ports } => format!("{from}meta l4proto tcp ct original proto-dst {ports} accept"),
        Service::Udp { ports } => format!("{from}meta l4proto udp ct original proto-dst {ports} accept"),
        // No other ICMP begins a connection.
        Service::Ping => format!("{from}meta l4proto icmp accept"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Surroundings;
    use super::*;
    use ebb_model::id::AccountId;
    use ebb_model::network::{Place, PublicAddress};
    use uuid::Uuid;

    fn guest() -> InstanceId {
        InstanceId::new(Uuid::from_u128(1))
    }

    fn seven() -> Names {
        let address = |n| (guest(), AddressId::new(Uuid::from_u128(n)));
        Names {
            counters: BTreeMap::from([(address(5), "a7".to_owned()), (address(6), "a8".to_owned())]),
            classes: BTreeMap::from([([203, 0, 113, 5].into(), 7)]),
        }
    }

    fn stay(addresses: &[[u8; 4]], ingress: &[&str]) -> Stay {
        let place = Place { network: 5, address: [10, 64, 0, 16].into(), range: "10.64.0.0/10".parse().unwrap() };
        let address = |ip: &[u8; 4]| PublicAddress {
            id: AddressId::new(Uuid::from_u128(u128::from(ip[3]))),
            ip: (*ip).into(),
            mbit: Some(10),
        };
        Stay {
            account: AccountId::new(Uuid::from_u128(1)),
            port: Port(place),
            around: Surroundings {
                ingress: ingress.iter().map(|text| serde_json::from_str(text).unwrap()).collect(),
                addresses: addresses.iter().map(address).collect(),
            },
        }
    }

    fn frame() -> Frame {
        Frame { uplink: Some(("eth1".to_owned(), [192, 0, 2, 2].into())), ..Frame::default() }
    }

    #[test]
    fn an_uplink_makes_the_difference() {
        let stay = stay(&[[203, 0, 113, 5]], &[r#"{"protocol":"tcp","ports":"22","from":"0.0.0.0/0"}"#]);
        let plain = Standing::of_guest(guest(), &stay, &Frame::default(), None, &seven());
        assert_eq!((plain.elements.len(), plain.chains.len(), plain.publics.len()), (1, 0, 0));
        let public = Standing::of_guest(guest(), &stay, &frame(), None, &seven());
        assert!(public.elements.contains("ip traffic leaving { 203.0.113.5 : \"a7\" }"));
        assert!(public.elements.contains("inet host classes { 203.0.113.5 : 1:7 }"));
        assert!(public.elements.is_superset(&plain.elements));
    }

    #[test]
    fn the_first_address_is_the_one_outwards_and_a_change_is_a_difference() {
        let standing = |stay: &Stay| Standing::of_guest(guest(), stay, &frame(), None, &seven());
        let one = standing(&stay(&[[203, 0, 113, 5]], &[]));
        let two = standing(&stay(&[[203, 0, 113, 6], [203, 0, 113, 5]], &[]));
        let goes: Vec<&str> = one.elements.difference(&two.elements).map(String::as_str).collect();
        assert_eq!(goes, ["inet host outwards { 10.64.0.16 : 203.0.113.5 }"]);
        assert_eq!(undone(&one.links, &two.links), "");
        assert_eq!(done(&one.links, &two.links), "addr replace 203.0.113.6/32 dev eth1\n");
        assert_eq!(undone(&two.links, &one.links), "addr del 203.0.113.6/32 dev eth1\n");
    }

    #[test]
    fn rules_speak_of_connections_as_they_look_from_outside() {
        let rules = [
            r#"{"protocol":"tcp","ports":"8000-8080","from":"192.0.2.77/24"}"#,
            r#"{"protocol":"udp","ports":"53","from":"0.0.0.0/0"}"#,
            r#"{"protocol":"ping","from":"198.51.100.7/32"}"#,
        ];
        let standing = Standing::of_guest(guest(), &stay(&[[203, 0, 113, 5]], &rules), &frame(), None, &seven());
        assert_eq!(
            standing.chains["in_0a400010"],
            [
                "ct reply ip daddr 192.0.2.0/24 meta l4proto tcp ct original proto-dst 8000-8080 accept",
                "meta l4proto udp ct original proto-dst 53 accept",
                "ct reply ip daddr 198.51.100.7/32 meta l4proto icmp accept",
            ]
        );
    }
}
