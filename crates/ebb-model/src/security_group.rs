//! Which rules say together what may come in to an instance?

use crate::id::{AccountId, SecurityGroupId};
use crate::network::Ingress;
use crate::time::Timestamp;
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// The one that every account has, and that instances are in unless they are in others.
pub const DEFAULT: &str = "default";

/// Named rules of an account; an instance lets in what any rule of its groups lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroup {
    pub id: SecurityGroupId,
    pub account: AccountId,
    pub name: String,
    /// In the order in which they were given, each once.
    pub rules: Vec<Ingress>,
    pub created_at: Timestamp,
    /// Counts its changes.
    pub generation: i64,
}

impl SecurityGroup {
    /// The id of an account's default group is told by the account's, so it is there before anybody wrote it down.
    pub fn default_id(account: AccountId) -> SecurityGroupId {
        SecurityGroupId::new(account.uuid())
    }

    /// As it is until it is changed.
    pub fn default_of(account: AccountId, opened_at: Timestamp) -> SecurityGroup {
        SecurityGroup {
            id: Self::default_id(account),
            account,
            name: DEFAULT.to_owned(),
            rules: vec![Ingress::SSH],
            created_at: opened_at,
            generation: 0,
        }
    }

    pub fn is_default(&self) -> bool {
        self.id == Self::default_id(self.account)
    }
}

/// From where: an address alone is a range of one, and one within a range stands for the whole of it.
pub fn source(text: &str) -> Option<Ipv4Net> {
    let range = text.parse::<Ipv4Net>().ok().or_else(|| Some(Ipv4Net::from(text.parse::<Ipv4Addr>().ok()?)));
    range.map(|range| range.trunc())
}

/// What several groups let in together, each rule once.
pub fn ingress<'a>(groups: impl IntoIterator<Item = &'a SecurityGroup>) -> Vec<Ingress> {
    let mut all: Vec<Ingress> = groups.into_iter().flat_map(|group| group.rules.iter().copied()).collect();
    all.sort();
    all.dedup();
    all
}
