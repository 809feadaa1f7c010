//! Is what is taken of a host what stands on it? (rules §2.12, §2.14)

use super::{Check, Counts, Found};
use crate::placement::Room;
use ebb_model::disk::Volume;
use ebb_model::instance::{Instance, State};
use ebb_model::resources::Resources;

/// One host, and all that live on it.
pub struct RoomAudit {
    name: String,
    stored: Room,
    used: Resources,
    claimed: Resources,
    releasing: Resources,
    counts: Counts,
}

impl RoomAudit {
    pub fn new(name: &str, stored: Room) -> Self {
        let (used, claimed, releasing) = Default::default();
        Self {
            name: name.to_owned(),
            stored,
            used,
            claimed,
            releasing,
            counts: Counts { host: 1, ..Counts::default() },
        }
    }

    /// One that lives on it, or is promised room there.
    pub fn instance(&mut self, of: &Instance) {
        self.used = self.used.plus(&of.used());
        self.claimed = self.claimed.plus(&of.claimed());
        if let State::Reclaiming { .. } = of.state {
            self.releasing = self.releasing.plus(&of.used());
        }
    }

    /// A data disk or a snapshot that lies on it.
    pub fn volume(&mut self, of: &Volume) {
        self.used = self.used.plus(&of.used());
    }

    pub fn finish(self, found: &mut Found) -> Counts {
        let sides = [
            ("used", &self.stored.used, &self.used),
            ("claimed", &self.stored.claimed, &self.claimed),
            ("releasing", &self.stored.releasing, &self.releasing),
        ];
        for (what, stored, comes_to) in sides {
            let kinds: std::collections::BTreeSet<&str> =
                stored.iter().chain(comes_to.iter()).map(|(kind, _)| kind).collect();
            for kind in kinds.into_iter().filter(|kind| stored.get(kind) != comes_to.get(kind)) {
                let row = format!("host_room of {} {kind} {what}", self.name);
                found.add(Check::Room, None, row, stored.get(kind), comes_to.get(kind));
            }
        }
        for (kind, capacity) in self.stored.capacity.iter().filter(|(_, capacity)| *capacity < 0) {
            let row = format!("host_room of {} {kind} capacity", self.name);
            found.add(Check::Room, None, row, capacity, "nothing below nothing");
        }
        self.counts
    }
}
