//! Where does each guest stand, and what stands around it? Everything else about its network follows from that.

use super::chosen::Chosen;
use crate::config::{NetworkConfig, QemuConfig};
use ebb_model::id::{AccountId, InstanceId};
use ebb_model::network::{Ingress, LAST_NETWORK, Place, PublicAddress};
use ebb_model::time::Timestamp;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

/// Who stands where. It is written down, so that a restart changes nobody's network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    guests: BTreeMap<InstanceId, Stay>,
    #[serde(default)]
    chosen: Chosen,
    /// The region's other hosts, as they were told last.
    #[serde(default)]
    pub peers: BTreeSet<Ipv4Addr>,
}

/// A guest's place and what leads to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stay {
    pub account: AccountId,
    pub port: Port,
    #[serde(default, skip_serializing_if = "Surroundings::is_empty")]
    pub around: Surroundings,
}

/// What an order says of a guest's way to the outside.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Surroundings {
    pub ingress: Vec<Ingress>,
    pub addresses: Vec<PublicAddress>,
}

impl Surroundings {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A guest cannot stand here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    #[error("this host has no network left for another account: widen `prefix` in its network's configuration")]
    Networks,
    #[error("the account has no address left on this host: an account may have 241 guests on one host")]
    Addresses,
    #[error("the place {0} is none: {1}")]
    Odd(Ipv4Addr, &'static str),
    #[error("the place {0} is taken by guest {1}")]
    Taken(Ipv4Addr, InstanceId),
    #[error("network {0} belongs to another account on this host")]
    Foreign(u32),
}

impl Plan {
    /// Where a guest is to stand: as its order says, else where it stood, else where there is room.
    pub fn place(
        &mut self,
        config: &QemuConfig,
        guest: InstanceId,
        account: AccountId,
        told: Option<Place>,
        now: Timestamp,
    ) -> Result<Port, Full> {
        let is_taken = |address| self.guests.values().any(|stay| stay.port.address() == address);
        let place = match (told, self.guests.get(&guest)) {
            (Some(place), _) => place,
            (None, Some(stay)) => return Ok(stay.port),
            (None, None) => self.chosen.place(&config.network, account, is_taken, now)?,
        };
        let port = Port(place);
        port.check(config, told.is_some())?;
        let others = self.guests.iter().filter(|(id, _)| **id != guest);
        for (id, stay) in others {
            // The user that a QEMU runs under follows from the address, and must be its alone.
            if stay.port.address() == place.address || stay.port.uid(config) == port.uid(config) {
                return Err(Full::Taken(place.address, *id));
            }
            if stay.port.0.network == place.network && stay.account != account {
                return Err(Full::Foreign(place.network));
            }
        }
        Ok(port)
    }

    /// The guest stands there from now on.
    pub fn settle(&mut self, guest: InstanceId, stay: Stay) {
        self.guests.insert(guest, stay);
    }

    /// The guest is gone.
    pub fn vacate(&mut self, guest: InstanceId, now: Timestamp) {
        if let Some(gone) = self.guests.remove(&guest)
            && !self.guests.values().any(|stay| stay.account == gone.account)
        {
            self.chosen.emptied(gone.account, now);
        }
    }

    /// Lets go of what has rested long enough.
    pub fn retire(&mut self, now: Timestamp) {
        self.chosen.retire(now);
    }

    pub fn get(&self, guest: InstanceId) -> Option<&Stay> {
        self.guests.get(&guest)
    }

    pub fn guests(&self) -> impl Iterator<Item = (InstanceId, &Stay)> {
        self.guests.iter().map(|(id, stay)| (*id, stay))
    }

    /// Whom a public address leads to.
    pub fn holder(&self, ip: Ipv4Addr) -> Option<InstanceId> {
        let leads = |stay: &&Stay| stay.around.addresses.iter().any(|address| address.ip == ip);
        self.guests.iter().find(|(_, stay)| leads(stay)).map(|(id, _)| *id)
    }

    /// A port of each network with a guest here, by its bridge.
    pub fn networks(&self) -> BTreeMap<String, Port> {
        self.guests.values().map(|stay| (stay.port.bridge(), stay.port)).collect()
    }
}

impl NetworkConfig {
    pub fn has_range(&self) -> bool {
        (8..=24).contains(&self.prefix) && self.base.to_bits() & (u32::MAX >> self.prefix) == 0
    }
}

/// A guest's place in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port(pub Place);

/// What has a meaning of its own on every machine, and where guests look for their metadata.
const NO_RANGE: [Ipv4Net; 5] = [
    Ipv4Net::new_assert(Ipv4Addr::new(0, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(100, 100, 100, 200), 32),
    Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16),
    Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 3),
];

impl Port {
    fn check(self, config: &QemuConfig, told: bool) -> Result<(), Full> {
        let Place { network, address, range } = self.0;
        let odd = |why| Err(Full::Odd(address, why));
        if told && network > LAST_NETWORK {
            return odd("the number of its network has more than 24 bits");
        }
        if range != range.trunc() || !(8..=29).contains(&range.prefix_len()) {
            return odd("its range must begin a block of 8 to 29 bits");
        }
        if !range.contains(&address) || address <= self.gateway() || address == range.broadcast() {
            return odd("it is not one of a guest in its range");
        }
        let own = config.network.own_networks();
        if NO_RANGE.iter().chain(&own).any(|net| net.contains(&range) || range.contains(net)) {
            return odd("its range has addresses that mean something else on this host");
        }
        // Up to the last but one: the very last means "none".
        match config.first_uid.checked_add(self.offset()) {
            Some(uid) if config.first_uid > 0 && uid < u32::MAX => Ok(()),
            _ => odd("there is no user left for it: lower `first_uid` in the host's configuration"),
        }
    }

    pub fn address(self) -> Ipv4Addr {
        self.0.address
    }

    pub fn gateway(self) -> Ipv4Addr {
        self.0.gateway()
    }

    pub fn tap(self) -> String {
        format!("tap{:08x}", self.address().to_bits())
    }

    pub fn bridge(self) -> String {
        format!("br{:06x}", self.0.network)
    }

    pub fn mac(self) -> Mac {
        Mac::of(self.address())
    }

    /// The user that its QEMU runs under.
    pub fn uid(self, config: &QemuConfig) -> u32 {
        config.first_uid.saturating_add(self.offset())
    }

    fn offset(self) -> u32 {
        self.address().to_bits().wrapping_sub(self.0.range.network().to_bits())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Locally administered, so that it is no manufacturer's; with the address in it, so that no two are alike.
    pub fn of(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Mac([0x52, 0x54, a, b, c, d])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn guest(n: u128) -> InstanceId {
        InstanceId::new(Uuid::from_u128(n))
    }

    fn account(n: u128) -> AccountId {
        AccountId::new(Uuid::from_u128(n))
    }

    fn told(network: u32, address: &str, range: &str) -> Option<Place> {
        Some(Place { network, address: address.parse().unwrap(), range: range.parse().unwrap() })
    }

    /// Places a guest and lets it stay.
    fn take(plan: &mut Plan, config: &QemuConfig, id: u128, of: u128, at: Timestamp) -> Result<Port, Full> {
        let port = plan.place(config, guest(id), account(of), None, at)?;
        plan.settle(guest(id), Stay { account: account(of), port, around: Surroundings::default() });
        Ok(port)
    }

    #[test]
    fn an_address_rests_before_another_account_gets_it() {
        let network = NetworkConfig { prefix: 23, ..NetworkConfig::default() };
        let config = QemuConfig { network, ..QemuConfig::default() };
        let mut plan = Plan::default();
        let at = Timestamp::from_micros(0);
        let next = |plan: &mut Plan, id, of, at| take(plan, &config, id, of, at).map(Port::address);
        let ip = |c, d| Ok(Ipv4Addr::new(10, 77, c, d));
        assert_eq!(next(&mut plan, 1, 1, at), ip(0, 10));
        assert_eq!(next(&mut plan, 1, 1, at), ip(0, 10), "asked again");
        assert_eq!(next(&mut plan, 2, 1, at), ip(0, 11));
        assert_eq!(next(&mut plan, 3, 2, at), ip(1, 10));
        assert_eq!(next(&mut plan, 4, 3, at), Err(Full::Networks));
        assert_eq!(plan.networks().len(), 2);

        plan.vacate(guest(1), at);
        assert_eq!(next(&mut plan, 5, 1, at), ip(0, 12));
        plan.vacate(guest(3), at);
        plan.retire(at.plus_seconds(599));
        assert_eq!(next(&mut plan, 4, 3, at), Err(Full::Networks));
        plan.retire(at.plus_seconds(600));
        assert_eq!(next(&mut plan, 4, 3, at), ip(1, 10));
    }

    #[test]
    fn an_account_has_241_places_and_names_fit_an_interface() {
        let (config, at) = (QemuConfig::default(), Timestamp::from_micros(0));
        let mut plan = Plan::default();
        for n in 0..241 {
            let port = take(&mut plan, &config, n, 1, at).unwrap();
            assert!(port.tap().len() <= 15 && port.bridge().len() <= 15);
            assert!((10..=250).contains(&port.address().octets()[3]));
        }
        assert_eq!(take(&mut plan, &config, 999, 1, at), Err(Full::Addresses));
        plan.vacate(guest(100), at);
        assert!(take(&mut plan, &config, 999, 1, at).is_ok());
    }

    #[test]
    fn a_place_that_was_told_is_taken_and_nobody_elses() {
        let (config, at) = (QemuConfig::default(), Timestamp::from_micros(0));
        let mut plan = Plan::default();
        let range = "10.64.0.0/10";
        let first = plan.place(&config, guest(1), account(1), told(7, "10.64.0.16", range), at).unwrap();
        assert_eq!((first.bridge().as_str(), first.uid(&config)), ("br000007", 200_016));
        assert_eq!(
            (first.gateway(), first.mac().to_string().as_str()),
            (Ipv4Addr::new(10, 64, 0, 1), "52:54:0a:40:00:10")
        );
        plan.settle(guest(1), Stay { account: account(1), port: first, around: Surroundings::default() });
        let mut place = |id, of, place| plan.place(&config, guest(id), account(of), place, at);
        assert_eq!(place(1, 1, None), Ok(first), "where it stood");
        assert_eq!(place(2, 1, told(7, "10.64.0.16", range)), Err(Full::Taken(first.address(), guest(1))));
        assert_eq!(place(2, 2, told(7, "10.64.0.17", range)), Err(Full::Foreign(7)));
        assert!(place(2, 1, told(7, "10.64.0.17", range)).is_ok());
        assert!(place(1, 1, told(7, "10.64.0.20", range)).is_ok(), "it may move");
        // Its user would be that of the first.
        assert_eq!(place(2, 1, told(8, "10.0.0.16", "10.0.0.0/24")), Err(Full::Taken([10, 0, 0, 16].into(), guest(1))));
    }

    #[test]
    fn an_odd_place_is_refused() {
        let (config, at) = (QemuConfig::default(), Timestamp::from_micros(0));
        let place = |config: &QemuConfig, place| Plan::default().place(config, guest(1), account(1), place, at);
        for (network, address, range) in [
            (1 << 24, "10.64.0.16", "10.64.0.0/10"),
            (1, "10.64.0.0", "10.64.0.0/10"),
            (1, "10.64.0.1", "10.64.0.0/10"),
            (1, "10.127.255.255", "10.64.0.0/10"),
            (1, "10.128.0.1", "10.64.0.0/10"),
            (1, "10.64.0.16", "10.64.0.1/10"),
            (1, "10.64.0.16", "0.0.0.0/0"),
            (1, "169.254.1.1", "169.254.0.0/16"),
            (1, "100.64.0.16", "100.64.0.0/10"),
        ] {
            assert!(matches!(place(&config, told(network, address, range)), Err(Full::Odd(..))), "{address}");
        }
        for first_uid in [0, u32::MAX - 16, u32::MAX] {
            let config = QemuConfig { first_uid, ..config.clone() };
            assert!(matches!(place(&config, told(1, "10.64.0.16", "10.64.0.0/10")), Err(Full::Odd(..))), "{first_uid}");
        }
        let config = QemuConfig { first_uid: u32::MAX - 17, ..config };
        assert_eq!(place(&config, told(1, "10.64.0.16", "10.64.0.0/10")).unwrap().uid(&config), u32::MAX - 1);
    }

    #[test]
    fn a_network_must_begin_at_its_base() {
        let ok =
            |base: [u8; 4], prefix| NetworkConfig { base: base.into(), prefix, ..NetworkConfig::default() }.has_range();
        assert!(ok([10, 77, 0, 0], 16) && ok([10, 0, 0, 0], 8) && ok([10, 1, 2, 0], 24));
        assert!(!ok([10, 77, 1, 0], 16) && !ok([10, 0, 0, 0], 25) && !ok([10, 0, 0, 0], 7));
    }
}
