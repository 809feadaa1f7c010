//! When are the counters of public addresses read, and what is said of them?

use super::{Next, Wiring};
use crate::network::plan::Plan;
use crate::network::{Metered, meter, system};
use ebb_driver::counters::next_minute;
use ebb_model::id::{AddressId, InstanceId};
use ebb_model::traffic::Reading;
use std::collections::BTreeSet;
use tracing::warn;

impl Wiring {
    /// Takes the counters up that are there; those that are not begin anew.
    pub(super) fn take_counters_up(&mut self) -> Result<meter::Counts, String> {
        if self.frame.uplink.is_none() {
            return Ok(meter::Counts::new());
        }
        let (now, counts) = (self.clock.now(), meter::counts()?);
        for (guest, stay) in self.plan.guests() {
            let addresses: Vec<AddressId> = stay.around.addresses.iter().map(|address| address.id).collect();
            self.meter.lead(guest, &addresses, now);
        }
        if self.meter.renew_lost(&counts, now) {
            self.meter.save();
        }
        Ok(counts)
    }

    /// Reads what is due.
    pub(super) fn read(&mut self) {
        let now = self.clock.now();
        if self.frame.uplink.is_none() || now < self.due {
            return;
        }
        self.due = next_minute(now);
        match meter::counts() {
            Ok(counts) => {
                let lost = self.meter.renew_lost(&counts, now);
                let said = self.meter.look(&counts, now);
                if lost {
                    // Whoever took them took more: the rules, perhaps.
                    self.put_in_order();
                }
                if lost || !said.is_empty() {
                    self.meter.save();
                }
                self.say(said);
            }
            Err(why) => warn!("the counters could not be read, what they count comes with the next reading: {why}"),
        }
    }

    pub(super) fn forget(&mut self, guest: InstanceId) {
        self.told.remove(&guest);
        self.meter.forget(guest);
        self.meter.save();
        self.say(vec![]);
    }

    pub(super) fn say(&self, readings: Vec<Reading>) {
        *self.remembered.write().unwrap_or_else(|e| e.into_inner()) = self.meter.readings();
        if !readings.is_empty() {
            // Whoever is gone reads it in the next Hello.
            let _ = self.metered.send(Metered { readings, all_said: false });
        }
    }

    /// Reads the counters of addresses that lead elsewhere from now on, as soon as the rules in `book` are carried out, by which they
    /// lead nowhere; then begins those of where they lead.
    pub(super) fn count(&mut self, before: &Plan, next: &Next, book: &mut String) -> Result<Counted, String> {
        let mut counted = Counted::default();
        if self.frame.uplink.is_none() {
            return Ok(counted);
        }
        let now = self.clock.now();
        if leads_elsewhere(before, next) {
            system::rules(&std::mem::take(book))?;
            let found = meter::counts()?;
            counted.said = self.meter.look(&found, now);
            counted.looked = Some(found);
        }
        let had = |guest| before.get(guest).is_some_and(|stay| !stay.around.addresses.is_empty());
        let mut changed = BTreeSet::new();
        for (guest, stay) in next {
            let around = stay.iter().flat_map(|stay| &stay.around.addresses);
            let addresses: Vec<AddressId> = around.map(|address| address.id).collect();
            if had(*guest) || !addresses.is_empty() {
                counted.said.extend(self.meter.lead(*guest, &addresses, now));
                changed.insert(*guest);
            }
        }
        if !changed.is_empty() {
            let mut names = self.names();
            names.counters.retain(|(guest, _), _| changed.contains(guest));
            meter::counters(&names, book);
            self.meter.save();
        }
        Ok(counted)
    }
}

/// What was read in a change, and the counters as they stood if somebody looked.
#[derive(Default)]
pub struct Counted {
    pub said: Vec<Reading>,
    pub looked: Option<meter::Counts>,
}

/// Does an address that led to one of these guests do so no more?
fn leads_elsewhere(before: &Plan, next: &Next) -> bool {
    next.iter().any(|(guest, stay)| {
        let had = before.get(*guest).into_iter().flat_map(|stay| &stay.around.addresses);
        let has = |id: AddressId| stay.iter().flat_map(|stay| &stay.around.addresses).any(|address| address.id == id);
        had.into_iter().any(|address| !has(address.id))
    })
}
