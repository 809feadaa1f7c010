//! Where does a guest stand in its account's network, and what may come in to it? (rules §4.5)

use crate::id::AddressId;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;

/// The number of a network on the wire between hosts has 24 bits.
pub const LAST_NETWORK: u32 = (1 << 24) - 1;

/// So many addresses at the beginning of a range are no guest's; the first but one is the gateway.
pub const RESERVED_ADDRESSES: u32 = 16;

/// A guest's place in the private network of its account and region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Of account and region; guests of different numbers never meet.
    pub network: u32,
    /// One guest's alone in its region, whoever's it is.
    pub address: Ipv4Addr,
    /// Of the region; all of it is reached without a gateway.
    pub range: Ipv4Net,
}

impl Place {
    /// The host's own address in each network of a region.
    pub fn gateway(&self) -> Ipv4Addr {
        gateway(self.range)
    }
}

/// The host's own address in a range.
pub fn gateway(range: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from_bits(range.network().to_bits() + 1)
}

/// The addresses of a range that guests may have: the first, and the one after the last.
pub fn places(range: Ipv4Net) -> (Ipv4Addr, Ipv4Addr) {
    (Ipv4Addr::from_bits(range.network().to_bits() + RESERVED_ADDRESSES), range.broadcast())
}

/// A public address that leads to a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicAddress {
    pub id: AddressId,
    pub ip: Ipv4Addr,
    /// What leaves it is held to so much, in Mbit/s (10⁶ bits); `None`: as fast as it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mbit: Option<i64>,
}

/// What may come in through a public address: a rule of a security group. What no rule lets in is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ingress {
    #[serde(flatten)]
    pub service: Service,
    pub from: Ipv4Net,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "protocol", rename_all = "lowercase")]
pub enum Service {
    Tcp {
        ports: Ports,
    },
    Udp {
        ports: Ports,
    },
    /// Echo requests.
    Ping,
}

impl Ingress {
    /// What a new account lets in: SSH, from everywhere.
    pub const SSH: Ingress =
        Ingress { service: Service::Tcp { ports: Ports { first: 22, last: 22 } }, from: EVERYWHERE };
}

/// Every address there is.
pub const EVERYWHERE: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0);

/// From the first to the last, both included; never the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    pub fn first(self) -> u16 {
        self.first
    }

    pub fn last(self) -> u16 {
        self.last
    }
}

/// Ports that are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a port (1 to 65535) nor a range of ports such as 8000-8080")]
pub struct NoPorts(String);

impl std::str::FromStr for Ports {
    type Err = NoPorts;

    fn from_str(text: &str) -> Result<Self, NoPorts> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.parse().ok().filter(|port| *port > 0);
        match (port(first), port(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last }),
            _ => Err(NoPorts(text.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl TryFrom<String> for Ports {
    type Error = NoPorts;

    fn try_from(text: String) -> Result<Self, NoPorts> {
        text.parse()
    }
}

impl From<Ports> for String {
    fn from(ports: Ports) -> String {
        ports.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_read_back_and_run_forwards() {
        for text in ["1", "22", "8000-8080", "65535"] {
            assert_eq!(text.parse::<Ports>().map(|ports| ports.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "0", "-", "1-", "9-8", "65536", "-1", "ssh", "0-7", "1-2-3", "+5-9 "] {
            assert!(text.parse::<Ports>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_rule_is_one_line_of_json() {
        let rule = Ingress { service: Service::Udp { ports: "7000-7010".parse().unwrap() }, from: EVERYWHERE };
        let text = serde_json::to_string(&rule).unwrap();
        assert_eq!(text, r#"{"protocol":"udp","ports":"7000-7010","from":"0.0.0.0/0"}"#);
        assert_eq!(serde_json::from_str::<Ingress>(&text).unwrap(), rule);
        let ping: Ingress = serde_json::from_str(r#"{"protocol":"ping","from":"192.0.2.0/24"}"#).unwrap();
        assert_eq!(ping.service, Service::Ping);
    }

    #[test]
    fn a_range_keeps_its_first_addresses() {
        let range: Ipv4Net = "10.64.0.0/10".parse().unwrap();
        assert_eq!(gateway(range), Ipv4Addr::new(10, 64, 0, 1));
        assert_eq!(places(range), (Ipv4Addr::new(10, 64, 0, 16), Ipv4Addr::new(10, 127, 255, 255)));
    }
}
