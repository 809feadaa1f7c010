//! What is lent? Named whole-numbered resources (rules §2.14). Nothing here knows a kind.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Amounts of named resources, such as `vcpu = 2, memory_mib = 4096`. A name that is absent counts as 0.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Resources(BTreeMap<String, i64>);

impl Resources {
    pub fn of<N: Into<String>>(all: impl IntoIterator<Item = (N, i64)>) -> Self {
        Self(all.into_iter().map(|(name, amount)| (name.into(), amount)).collect())
    }

    pub fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.0.iter().map(|(name, amount)| (name.as_str(), *amount))
    }

    pub fn set(&mut self, name: &str, amount: i64) {
        self.0.insert(name.to_owned(), amount);
    }

    pub fn plus(&self, other: &Resources) -> Resources {
        self.combine(other, |a, b| a + b)
    }

    pub fn minus(&self, other: &Resources) -> Resources {
        self.combine(other, |a, b| a - b)
    }

    /// One of them alone; nothing, if there is none of it.
    pub fn only(&self, name: &str) -> Resources {
        Resources(
            self.0.iter().filter(|(known, _)| *known == name).map(|(name, amount)| (name.clone(), *amount)).collect(),
        )
    }

    /// All the others.
    pub fn except(&self, name: &str) -> Resources {
        Resources(
            self.0.iter().filter(|(known, _)| *known != name).map(|(name, amount)| (name.clone(), *amount)).collect(),
        )
    }

    /// Whether there is nothing of anything.
    pub fn is_nothing(&self) -> bool {
        self.0.values().all(|amount| *amount == 0)
    }

    /// What is above nothing, name by name.
    pub fn positive(&self) -> Resources {
        Resources(self.0.iter().map(|(name, amount)| (name.clone(), *amount.max(&0))).collect())
    }

    /// Whether `demand` fits into this room, every name of it.
    pub fn holds(&self, demand: &Resources) -> bool {
        demand.iter().all(|(name, amount)| amount <= self.get(name))
    }

    fn combine(&self, other: &Resources, f: impl Fn(i64, i64) -> i64) -> Resources {
        let names = self.0.keys().chain(other.0.keys());
        Resources(names.map(|name| (name.clone(), f(self.get(name), other.get(name)))).collect())
    }
}
