//! What left each public address? The kernel counts, in a table of its own that no restart of the host deletes.
//!
//! A counter's name has its address and its epoch, so one that is there is the one that was meant: it goes on where it stood. One
//! that is missing was lost, with the machine or by somebody's hand, and its address begins a new epoch.

use super::standing::Names;
use super::system::run;
use crate::error::HostError;
use crate::files;
use ebb_driver::counters::Counters;
use ebb_model::id::{AddressId, InstanceId};
use ebb_model::time::Timestamp;
use ebb_model::traffic::Reading;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use tracing::{error, warn};

/// The table with nothing in its map, around the counters that are there. It counts when all else about a packet is decided.
pub const TABLE: &str = r#"
add table ip traffic
add map ip traffic leaving { type ipv4_addr : counter; }
add chain ip traffic leaves { type filter hook postrouting priority 120; policy accept; }
flush chain ip traffic leaves
add rule ip traffic leaves counter name ip saddr map @leaving
flush map ip traffic leaving
"#;

/// Bytes by the names of counters.
pub type Counts = BTreeMap<String, i64>;

/// The counters of the host's public addresses, and what was read of them.
#[derive(Debug)]
pub struct Meter {
    counters: Counters,
    file: PathBuf,
}

impl Meter {
    pub fn open(file: PathBuf) -> Result<Self, HostError> {
        Ok(Self { counters: files::read(&file)?.unwrap_or_default(), file })
    }

    /// These addresses lead to a guest from now on, and no others. Those that do not any more were looked at just now.
    pub fn lead(&mut self, guest: InstanceId, addresses: &[AddressId], now: Timestamp) -> Vec<Reading> {
        self.counters.lead(guest, addresses, now)
    }

    /// The names of the counters that count now.
    pub fn names(&self) -> BTreeMap<(InstanceId, AddressId), String> {
        let counting = self.counters.counting();
        counting.map(|(address, guest, epoch)| ((guest, address), name(address, epoch))).collect()
    }

    /// Compares with what was counted. What fell was set back by somebody, and is lost like what is missing.
    pub fn look(&mut self, counts: &Counts, now: Timestamp) -> Vec<Reading> {
        let counting: Vec<(AddressId, i64)> = self.counters.counting().map(|(id, _, epoch)| (id, epoch)).collect();
        let bytes = |(address, epoch): (AddressId, i64)| Some((address, *counts.get(&name(address, epoch))?));
        let found = counting.into_iter().filter_map(bytes);
        found.filter_map(|(address, bytes)| self.counters.look(address, bytes, now)).collect()
    }

    /// Begins a new epoch for each address whose counter is not among `counts` or went back; whether there was one.
    pub fn renew_lost(&mut self, counts: &Counts, now: Timestamp) -> bool {
        let counting: Vec<_> = self.counters.counting().collect();
        let known = self.counters.standing();
        let mut lost = vec![];
        for (address, _, epoch) in counting {
            let stood = known.get(&address).copied().unwrap_or_default();
            if counts.get(&name(address, epoch)).is_none_or(|bytes| *bytes < stood) {
                lost.push(address);
            }
        }
        for address in &lost {
            error!("the counter of address {address} was lost or set back by somebody; it begins again from nothing");
            self.counters.reset(*address, now);
        }
        !lost.is_empty()
    }

    pub fn forget(&mut self, guest: InstanceId) {
        self.counters.forget(guest);
    }

    /// What is remembered for a server that was away.
    pub fn readings(&self) -> Vec<Reading> {
        self.counters.readings()
    }

    /// Durably. A reading that is not written down is only missed by a server that was away just then.
    pub fn save(&self) {
        if let Err(e) = files::write(&self.file, &files::json(&self.counters)) {
            warn!("{}: {e}; after a restart the last readings of past hours are missing", self.file.display());
        }
    }
}

fn name(address: AddressId, epoch: i64) -> String {
    format!("a{}_{epoch}", address.uuid().simple())
}

/// The commands for the counters that are to be there.
pub fn counters(names: &Names, text: &mut String) {
    for name in names.counters.values() {
        text.push_str(&format!("add counter ip traffic {name}\n"));
    }
}

/// Removes the counters that nobody needs any more.
pub fn sweep(names: &Names, counts: &Counts) {
    let wanted: BTreeSet<&String> = names.counters.values().collect();
    let stale = counts.keys().filter(|name| !wanted.contains(name));
    let text: String = stale.map(|name| format!("delete counter ip traffic {name}\n")).collect();
    if !text.is_empty()
        && let Err(why) = run(Command::new("nft").args(["-f", "-"]), &text)
    {
        warn!("counters that nobody needs stay: {why}");
    }
}

/// What the kernel counted so far; nothing where there is no table.
pub fn counts() -> Result<Counts, String> {
    let tables = run(Command::new("nft").args(["list", "tables", "ip"]), "")?;
    if !tables.lines().any(|line| line == "table ip traffic") {
        return Ok(Counts::new());
    }
    parse(&run(Command::new("nft").args(["-j", "list", "counters", "table", "ip", "traffic"]), "")?)
}

fn parse(text: &str) -> Result<Counts, String> {
    let listed: serde_json::Value = serde_json::from_str(text).map_err(|e| format!("what nft lists is odd: {e}"))?;
    let counters = listed["nftables"].as_array().into_iter().flatten().filter_map(|entry| entry.get("counter"));
    let read = |counter: &serde_json::Value| Some((counter["name"].as_str()?.to_owned(), counter["bytes"].as_i64()?));
    counters.map(|counter| read(counter).ok_or_else(|| format!("a counter without name or bytes: {counter}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn address() -> AddressId {
        AddressId::new(Uuid::from_u128(7))
    }

    fn guest() -> InstanceId {
        InstanceId::new(Uuid::from_u128(1))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn meter() -> Meter {
        let mut meter = Meter { counters: Counters::default(), file: PathBuf::new() };
        meter.lead(guest(), &[address()], at(1));
        meter
    }

    fn counted(meter: &Meter, bytes: i64) -> Counts {
        meter.names().into_values().map(|name| (name, bytes)).collect()
    }

    #[test]
    fn a_counter_that_lives_keeps_its_epoch_and_a_lost_one_begins_another() {
        let mut meter = meter();
        let first = meter.names()[&(guest(), address())].clone();
        assert_eq!(first, "a00000000000000000000000000000007_1000000");
        let five = counted(&meter, 5);
        assert_eq!(meter.look(&five, at(60)).len(), 1);
        assert!(!meter.renew_lost(&five, at(61)) && !meter.renew_lost(&counted(&meter, 6), at(61)));
        assert_eq!(meter.names()[&(guest(), address())], first);

        assert!(meter.renew_lost(&Counts::new(), at(62)), "it is missing");
        assert_eq!(meter.names()[&(guest(), address())], "a00000000000000000000000000000007_62000000");
        assert_eq!(meter.look(&five, at(63)), [], "the old one counts no more");
        let nine = counted(&meter, 9);
        assert_eq!(meter.look(&nine, at(120))[0].epoch, 62_000_000);
        assert!(meter.renew_lost(&counted(&meter, 8), at(121)), "somebody set it back");
    }

    #[test]
    fn what_nft_lists_is_read() {
        let listed = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"counter": {"family": "ip", "name": "a7_1",
            "table": "traffic", "handle": 4, "packets": 3, "bytes": 60123382}}]}"#;
        assert_eq!(parse(listed), Ok(Counts::from([("a7_1".to_owned(), 60_123_382)])));
        assert!(parse("Error").is_err() && parse(r#"{"nftables": [{"counter": {"name": "x"}}]}"#).is_err());
    }
}
