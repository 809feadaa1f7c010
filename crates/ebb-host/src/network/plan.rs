//! Which address does a guest get? Everything else about its network follows from the address.

use crate::config::{NetworkConfig, QemuConfig};
use ebb_model::id::{AccountId, InstanceId};
use ebb_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

/// An address is not given to another account before this is over: caches, allow lists and tokens must have forgotten it.
const REST_SECONDS: i64 = 600;
/// The guests' places within an account's /24; the first is the gateway, below and above is room for what may come.
const FIRST: u32 = 10;
const LAST: u32 = 250;

/// Who has which addresses. It is written down, so that a restart changes nobody's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    accounts: BTreeMap<AccountId, Lan>,
    guests: BTreeMap<InstanceId, Place>,
}

/// The network of one account on this host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Lan {
    net: Ipv4Addr,
    /// The place given out last: the next one is another, so that a dead guest's address rests too.
    last: u32,
    /// When its last guest went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    empty_since: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    account: AccountId,
    address: Ipv4Addr,
}

/// There is no address left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    #[error("this host has no network left for another account: widen `network.prefix` in its configuration")]
    Networks,
    #[error("the account has no address left on this host: an account may have 241 guests on one host")]
    Addresses,
}

impl Plan {
    /// The address of a guest, the same one each time it asks.
    pub fn place(
        &mut self,
        config: &NetworkConfig,
        guest: InstanceId,
        account: AccountId,
        now: Timestamp,
    ) -> Result<Port, Full> {
        if let Some(place) = self.guests.get(&guest) {
            return Ok(Port(place.address));
        }
        if !self.accounts.contains_key(&account) {
            let net = self.free_net(config).ok_or(Full::Networks)?;
            self.accounts.insert(account, Lan { net, last: FIRST - 1, empty_since: Some(now) });
        }
        let lan = self.accounts.get_mut(&account).expect("a network that was just made");
        let size = LAST - FIRST + 1;
        let turn = (1..=size).map(|step| FIRST + (lan.last + step - FIRST) % size);
        let free = |n: &u32| {
            let address = nth(lan.net, *n);
            !self.guests.values().any(|place| place.address == address)
        };
        let n = turn.into_iter().find(free).ok_or(Full::Addresses)?;
        lan.last = n;
        lan.empty_since = None;
        let address = nth(lan.net, n);
        self.guests.insert(guest, Place { account, address });
        Ok(Port(address))
    }

    /// The guest is gone.
    pub fn vacate(&mut self, guest: InstanceId, now: Timestamp) -> Option<Port> {
        let gone = self.guests.remove(&guest)?;
        if !self.guests.values().any(|place| place.account == gone.account)
            && let Some(lan) = self.accounts.get_mut(&gone.account)
        {
            lan.empty_since = Some(now);
        }
        Some(Port(gone.address))
    }

    /// Networks whose rest is over; they may now go to another account.
    pub fn retire(&mut self, now: Timestamp) -> Vec<Port> {
        let over = |lan: &Lan| lan.empty_since.is_some_and(|since| since.plus_seconds(REST_SECONDS) <= now);
        let gone = self.accounts.extract_if(.., |_, lan| over(lan));
        gone.map(|(_, lan)| Port(nth(lan.net, 1))).collect()
    }

    /// One port of each network there is.
    pub fn networks(&self) -> impl Iterator<Item = Port> {
        self.accounts.values().map(|lan| Port(nth(lan.net, 1)))
    }

    pub fn guests(&self) -> impl Iterator<Item = (InstanceId, Port)> {
        self.guests.iter().map(|(id, place)| (*id, Port(place.address)))
    }

    fn free_net(&self, config: &NetworkConfig) -> Option<Ipv4Addr> {
        let taken: Vec<Ipv4Addr> = self.accounts.values().map(|lan| lan.net).collect();
        let count = 1u32 << (24 - config.prefix);
        (0..count).map(|i| Ipv4Addr::from_bits(config.base.to_bits() + (i << 8))).find(|net| !taken.contains(net))
    }
}

impl NetworkConfig {
    pub fn is_valid(&self) -> bool {
        (8..=24).contains(&self.prefix) && self.base.to_bits() & (u32::MAX >> self.prefix) == 0
    }
}

/// A guest's place in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port(pub Ipv4Addr);

impl Port {
    pub fn gateway(self) -> Ipv4Addr {
        nth(self.0, 1)
    }

    pub fn tap(self) -> String {
        format!("tap{:08x}", self.0.to_bits())
    }

    pub fn bridge(self) -> String {
        format!("br{:08x}", nth(self.0, 0).to_bits())
    }

    /// Locally administered, so that it is no manufacturer's; with the address in it, so that no two are alike.
    pub fn mac(self) -> Mac {
        let [a, b, c, d] = self.0.octets();
        Mac([0x52, 0x54, a, b, c, d])
    }

    /// The user that its QEMU runs under.
    pub fn uid(self, config: &QemuConfig) -> u32 {
        config.first_uid + (self.0.to_bits() - config.network.base.to_bits())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

fn nth(net: Ipv4Addr, n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits((net.to_bits() & !0xff) + n)
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

    #[test]
    fn an_address_rests_before_another_account_gets_it() {
        let config = NetworkConfig { prefix: 23, ..NetworkConfig::default() };
        let mut plan = Plan::default();
        let at = Timestamp::from_micros(0);
        let first = plan.place(&config, guest(1), account(1), at).unwrap();
        assert_eq!(first.0, Ipv4Addr::new(10, 77, 0, 10));
        assert_eq!(plan.place(&config, guest(1), account(1), at), Ok(first), "asked again");
        assert_eq!(plan.place(&config, guest(2), account(1), at).unwrap().0, Ipv4Addr::new(10, 77, 0, 11));
        assert_eq!(plan.place(&config, guest(3), account(2), at).unwrap().0, Ipv4Addr::new(10, 77, 1, 10));
        assert_eq!(plan.place(&config, guest(4), account(3), at), Err(Full::Networks));

        plan.vacate(guest(1), at);
        assert_eq!(plan.place(&config, guest(5), account(1), at).unwrap().0, Ipv4Addr::new(10, 77, 0, 12));
        plan.vacate(guest(3), at);
        assert_eq!(plan.retire(at.plus_seconds(599)), vec![]);
        assert_eq!(plan.retire(at.plus_seconds(600)), vec![Port(Ipv4Addr::new(10, 77, 1, 1))]);
        assert_eq!(plan.place(&config, guest(4), account(3), at).unwrap().0, Ipv4Addr::new(10, 77, 1, 10));
    }

    #[test]
    fn an_account_has_241_places_and_names_fit_an_interface() {
        let (config, at) = (NetworkConfig::default(), Timestamp::from_micros(0));
        let mut plan = Plan::default();
        for n in 0..241 {
            let port = plan.place(&config, guest(n), account(1), at).unwrap();
            assert!(port.tap().len() <= 15 && port.bridge().len() <= 15);
            assert!((10..=250).contains(&port.0.octets()[3]));
        }
        assert_eq!(plan.place(&config, guest(999), account(1), at), Err(Full::Addresses));
        plan.vacate(guest(100), at);
        assert!(plan.place(&config, guest(999), account(1), at).is_ok());
    }

    #[test]
    fn a_network_must_begin_at_its_base() {
        let ok = |base: [u8; 4], prefix| NetworkConfig { base: base.into(), prefix }.is_valid();
        assert!(ok([10, 77, 0, 0], 16) && ok([10, 0, 0, 0], 8) && ok([10, 1, 2, 0], 24));
        assert!(!ok([10, 77, 1, 0], 16) && !ok([10, 0, 0, 0], 25) && !ok([10, 0, 0, 0], 7));
    }
}
