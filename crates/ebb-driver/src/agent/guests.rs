//! Which guests does a host know, and which of them has something due first? Found without looking through all of them.

use super::{Guest, due_at};
use ebb_model::id::InstanceId;
use ebb_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<InstanceId, Guest>", into = "BTreeMap<InstanceId, Guest>")]
pub struct Guests {
    all: BTreeMap<InstanceId, Guest>,
    due: BTreeSet<(Timestamp, InstanceId)>,
}

impl From<BTreeMap<InstanceId, Guest>> for Guests {
    fn from(all: BTreeMap<InstanceId, Guest>) -> Self {
        let due = all.iter().filter_map(|(id, guest)| Some((due_at(guest)?, *id))).collect();
        Self { all, due }
    }
}

impl From<Guests> for BTreeMap<InstanceId, Guest> {
    fn from(guests: Guests) -> Self {
        guests.all
    }
}

impl Guests {
    pub fn get(&self, id: InstanceId) -> Option<&Guest> {
        self.all.get(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&InstanceId, &Guest)> {
        self.all.iter()
    }

    pub fn insert(&mut self, id: InstanceId, guest: Guest) {
        self.remove(id);
        self.due.extend(due_at(&guest).map(|at| (at, id)));
        self.all.insert(id, guest);
    }

    pub fn remove(&mut self, id: InstanceId) {
        if let Some(guest) = self.all.remove(&id) {
            due_at(&guest).map(|at| self.due.remove(&(at, id)));
        }
    }

    /// A guest to be changed; when it has something due is found anew afterwards.
    pub fn get_mut(&mut self, id: InstanceId) -> Option<Changing<'_>> {
        let before = due_at(self.all.get(&id)?);
        Some(Changing { guests: self, id, before })
    }

    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Those with something due by `now`, by id.
    pub fn due(&self, now: Timestamp) -> Vec<InstanceId> {
        let mut due: Vec<InstanceId> = self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
        due.sort();
        due
    }
}

pub struct Changing<'a> {
    guests: &'a mut Guests,
    id: InstanceId,
    before: Option<Timestamp>,
}

impl Deref for Changing<'_> {
    type Target = Guest;

    fn deref(&self) -> &Guest {
        self.guests.all.get(&self.id).expect("a guest that was just looked up")
    }
}

impl DerefMut for Changing<'_> {
    fn deref_mut(&mut self) -> &mut Guest {
        self.guests.all.get_mut(&self.id).expect("a guest that was just looked up")
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        let after = due_at(self);
        if after != self.before {
            self.before.map(|at| self.guests.due.remove(&(at, self.id)));
            self.guests.due.extend(after.map(|at| (at, self.id)));
        }
    }
}
