//! What left the public addresses of a host, and when does it say so? A real host looks at its counters; from a fake one nothing
//! leaves but what tests let leave.

use ebb_model::id::{AddressId, InstanceId};
use ebb_model::time::Timestamp;
use ebb_model::traffic::Reading;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// So many hours of readings are remembered for a server that was away.
const HOURS_REMEMBERED: usize = 48;
const MINUTE_MICROS: i64 = 60_000_000;

/// The next full minute; full hours are among them.
pub fn next_minute(now: Timestamp) -> Timestamp {
    Timestamp::from_micros((now.micros().div_euclid(MINUTE_MICROS) + 1) * MINUTE_MICROS)
}

/// The counters of a host's public addresses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counters(BTreeMap<AddressId, Counter>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Counter {
    guest: InstanceId,
    epoch: i64,
    bytes: i64,
    /// It was not read since it changed, and will be now.
    due: Option<Timestamp>,
    /// Address or guest is gone: nothing leaves it any more, and it is kept for its last reading.
    gone: bool,
    /// The last one of each clock hour, oldest first.
    readings: Vec<Reading>,
}

impl Counters {
    /// These addresses lead to a guest from now on, and no others; gives the last readings of those that do not any more.
    pub fn lead(&mut self, guest: InstanceId, addresses: &[AddressId], now: Timestamp) -> Vec<Reading> {
        let mut said = vec![];
        for (id, counter) in self.0.iter_mut().filter(|(_, counter)| counter.guest == guest && !counter.gone) {
            if !addresses.contains(id) {
                said.extend(counter.read(*id, now));
                counter.gone = true;
            }
        }
        for id in addresses {
            // Whoever begins later has a larger one, on whichever host.
            let fresh = Counter { guest, epoch: now.micros(), bytes: 0, due: None, gone: false, readings: vec![] };
            let counter = self.0.entry(*id).or_insert_with(|| fresh.clone());
            if counter.guest != guest || counter.gone {
                // It led to another guest, or to none for a while: what is counted now is another's.
                said.extend(counter.read(*id, now));
                let epoch = fresh.epoch.max(counter.epoch + 1);
                *counter = Counter { epoch, readings: std::mem::take(&mut counter.readings), ..fresh };
            }
        }
        said
    }

    /// So much leaves an address; whether it leads anywhere here.
    pub fn send(&mut self, address: AddressId, bytes: i64, now: Timestamp) -> bool {
        self.change(address, now, |counter| counter.bytes = counter.bytes.saturating_add(bytes))
    }

    /// A counter begins again from nothing; what was not read is lost.
    pub fn reset(&mut self, address: AddressId, now: Timestamp) -> bool {
        let change = |counter: &mut Counter| {
            (counter.epoch, counter.bytes) = (now.micros().max(counter.epoch + 1), 0);
        };
        self.change(address, now, change)
    }

    fn change(&mut self, address: AddressId, now: Timestamp, change: impl FnOnce(&mut Counter)) -> bool {
        let Some(counter) = self.0.get_mut(&address).filter(|counter| !counter.gone) else { return false };
        change(counter);
        counter.due.get_or_insert(next_minute(now));
        true
    }

    /// The counters that count now: of which address, for which guest, in which epoch.
    pub fn counting(&self) -> impl Iterator<Item = (AddressId, InstanceId, i64)> {
        let counting = self.0.iter().filter(|(_, counter)| !counter.gone);
        counting.map(|(id, counter)| (*id, counter.guest, counter.epoch))
    }

    /// Where they stood when they were last looked at.
    pub fn standing(&self) -> BTreeMap<AddressId, i64> {
        self.0.iter().map(|(id, counter)| (*id, counter.bytes)).collect()
    }

    /// So much stands on a counter, says whoever looked; a reading if that is news.
    pub fn look(&mut self, address: AddressId, bytes: i64, at: Timestamp) -> Option<Reading> {
        let counter = self.0.get_mut(&address).filter(|counter| !counter.gone && counter.bytes != bytes)?;
        counter.bytes = bytes;
        counter.due = Some(at);
        counter.read(address, at)
    }

    pub fn next_due(&self) -> Option<Timestamp> {
        self.0.values().filter_map(|counter| counter.due).min()
    }

    /// Reads what is due by `now`; `at` is what the readings say.
    pub fn read_due(&mut self, now: Timestamp, at: Timestamp) -> Vec<Reading> {
        let due = self.0.iter_mut().filter(|(_, counter)| counter.due.is_some_and(|due| due <= now));
        due.filter_map(|(id, counter)| counter.read(*id, at)).collect()
    }

    /// Reads for the last time what leads to a guest.
    pub fn read_last(&mut self, guest: InstanceId, at: Timestamp) -> Vec<Reading> {
        self.lead(guest, &[], at)
    }

    /// The server has written down that a guest is gone.
    pub fn forget(&mut self, guest: InstanceId) {
        self.0.retain(|_, counter| counter.guest != guest);
    }

    /// What is remembered, in order.
    pub fn readings(&self) -> Vec<Reading> {
        let mut all: Vec<Reading> = self.0.values().flat_map(|counter| counter.readings.iter().copied()).collect();
        all.sort_by_key(|reading| (reading.at, reading.address));
        all
    }
}

impl Counter {
    /// `None`: it stands where it stood.
    fn read(&mut self, address: AddressId, at: Timestamp) -> Option<Reading> {
        self.due.take()?;
        let reading = Reading { address, epoch: self.epoch, bytes: self.bytes, at };
        let hour = |at: Timestamp| at.second().plus(-1).hour();
        self.readings.pop_if(|last| hour(last.at) == hour(at));
        self.readings.push(reading);
        let surplus = self.readings.len().saturating_sub(HOURS_REMEMBERED);
        self.readings.drain(..surplus);
        Some(reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn ids() -> (AddressId, InstanceId) {
        (AddressId::new(Uuid::from_u128(1)), InstanceId::new(Uuid::from_u128(2)))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_counter_is_read_on_the_next_full_minute_and_before_it_goes() {
        let ((here, guest), mut counters) = (ids(), Counters::default());
        assert_eq!(counters.lead(guest, &[here], at(0)), []);
        assert_eq!(counters.next_due(), None, "what did not change is not read");
        assert!(counters.send(here, 5, at(3_590)) && counters.send(here, 6, at(3_599)));
        assert_eq!(counters.next_due(), Some(at(3_600)));
        let full_hour = Reading { address: here, epoch: 0, bytes: 11, at: at(3_600) };
        assert_eq!(counters.read_due(at(3_600), at(3_600)), [full_hour]);
        assert_eq!(counters.read_due(at(3_660), at(3_660)), []);

        assert!(counters.send(here, 1, at(3_600)));
        assert_eq!(counters.next_due(), Some(at(3_660)), "the full hour is over");
        assert_eq!(counters.lead(guest, &[], at(3_601)), [Reading { bytes: 12, at: at(3_601), ..full_hour }]);
        assert!(!counters.send(here, 1, at(3_602)), "it leads nowhere");
        assert_eq!(counters.readings().len(), 2, "one per hour");
        counters.forget(guest);
        assert_eq!(counters.readings(), []);
    }

    #[test]
    fn a_counter_that_is_looked_at_is_read_when_it_stands_elsewhere() {
        let ((here, guest), mut counters) = (ids(), Counters::default());
        counters.lead(guest, &[here], at(5));
        assert_eq!(counters.counting().collect::<Vec<_>>(), [(here, guest, 5_000_000)]);
        assert_eq!(counters.look(here, 0, at(60)), None);
        let reading = Reading { address: here, epoch: 5_000_000, bytes: 70, at: at(120) };
        assert_eq!(counters.look(here, 70, at(120)), Some(reading));
        assert_eq!(counters.look(here, 70, at(180)), None);
        assert_eq!(counters.lead(guest, &[], at(190)), [], "it was just looked at");
        assert_eq!((counters.look(here, 71, at(200)), counters.counting().count()), (None, 0));
    }

    #[test]
    fn an_address_that_leads_elsewhere_counts_from_nothing() {
        let ((here, guest), mut counters) = (ids(), Counters::default());
        let other = InstanceId::new(Uuid::from_u128(3));
        counters.lead(guest, &[here], at(0));
        counters.send(here, 5, at(1));
        let last = Reading { address: here, epoch: 0, bytes: 5, at: at(2) };
        assert_eq!(counters.lead(other, &[here], at(2)), [last], "the first guest's last");
        assert_eq!(counters.lead(guest, &[], at(2)), []);
        counters.send(here, 7, at(3));
        let first = Reading { epoch: 2_000_000, bytes: 7, at: at(60), ..last };
        assert_eq!(counters.read_due(at(60), at(60)), [first]);
        // Taken away and given back.
        counters.lead(other, &[], at(61));
        counters.lead(other, &[here], at(61));
        assert!(counters.send(here, 1, at(62)), "it leads there again");
        assert_eq!(counters.read_due(at(120), at(120)), [Reading { epoch: 61_000_000, bytes: 1, at: at(120), ..last }]);
    }

    #[test]
    fn a_reset_begins_an_epoch_from_nothing() {
        let ((here, guest), mut counters) = (ids(), Counters::default());
        counters.lead(guest, &[here], at(0));
        counters.send(here, 5, at(1));
        counters.read_due(at(60), at(60));
        assert!(counters.reset(here, at(61)) && counters.send(here, 3, at(62)));
        let read = counters.read_due(at(120), at(120));
        assert_eq!((read[0].epoch, read[0].bytes), (61_000_000, 3));
    }
}
