//! Where does a guest stand whose order does not say so? In a network of its account's on this host alone, as long as there are such
//! orders.

use super::plan::Full;
use crate::config::NetworkConfig;
use ebb_model::id::AccountId;
use ebb_model::network::{LAST_NETWORK, Place};
use ebb_model::time::Timestamp;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// An address is not given to another account before this is over: caches, allow lists and tokens must have forgotten it.
const REST_SECONDS: i64 = 600;
/// The guests' places within an account's /24; the very first is the gateway's, below and above is room for what may come.
const FIRST: u32 = 10;
const LAST: u32 = 250;

/// The networks that were chosen here. Their numbers are beyond those of orders, so they meet none of them and leave no host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Chosen(BTreeMap<AccountId, Lan>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Lan {
    net: Ipv4Addr,
    /// The place given out last: the next one is another, so that a dead guest's address rests too.
    last: u32,
    /// When its last guest went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    empty_since: Option<Timestamp>,
}

impl Chosen {
    pub fn place(
        &mut self,
        config: &NetworkConfig,
        account: AccountId,
        is_taken: impl Fn(Ipv4Addr) -> bool,
        now: Timestamp,
    ) -> Result<Place, Full> {
        if !self.0.contains_key(&account) {
            let net = self.free_net(config).ok_or(Full::Networks)?;
            self.0.insert(account, Lan { net, last: FIRST - 1, empty_since: Some(now) });
        }
        let lan = self.0.get_mut(&account).expect("a network that was just made");
        let size = LAST - FIRST + 1;
        let turn = (1..=size).map(|step| FIRST + (lan.last + step - FIRST) % size);
        let n = turn.into_iter().find(|n| !is_taken(nth(lan.net, *n))).ok_or(Full::Addresses)?;
        lan.last = n;
        lan.empty_since = None;
        Ok(place(config, nth(lan.net, n)))
    }

    /// An account has no guest here any more.
    pub fn emptied(&mut self, account: AccountId, now: Timestamp) {
        if let Some(lan) = self.0.get_mut(&account) {
            lan.empty_since = Some(now);
        }
    }

    /// Lets go of networks whose rest is over.
    pub fn retire(&mut self, now: Timestamp) {
        self.0.retain(|_, lan| lan.empty_since.is_none_or(|since| since.plus_seconds(REST_SECONDS) > now));
    }

    fn free_net(&self, config: &NetworkConfig) -> Option<Ipv4Addr> {
        let taken: Vec<Ipv4Addr> = self.0.values().map(|lan| lan.net).collect();
        let count = 1u32 << (24 - config.prefix);
        (0..count).map(|i| Ipv4Addr::from_bits(config.base.to_bits() + (i << 8))).find(|net| !taken.contains(net))
    }
}

fn place(config: &NetworkConfig, address: Ipv4Addr) -> Place {
    let range = Ipv4Net::new(config.base, config.prefix).expect("a network that was checked at the start");
    let network = LAST_NETWORK + 1 + ((address.to_bits() - config.base.to_bits()) >> 8);
    Place { network, address, range }
}

fn nth(net: Ipv4Addr, n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits((net.to_bits() & !0xff) + n)
}
