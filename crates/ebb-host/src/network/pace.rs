//! How is what leaves an address held to its rate? By a class of the uplink's queue, which the rule book chooses.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// Numbers below are ours.
const FIRST: u16 = 0x10;

/// The classes there are: number and rate.
#[derive(Debug, Default)]
pub struct Pace(BTreeMap<Ipv4Addr, (u16, i64)>);

impl Pace {
    /// Makes room for what is held to a rate from now on; the commands of `tc` to come first.
    pub fn admit(&mut self, uplink: &str, rates: &BTreeMap<Ipv4Addr, i64>) -> String {
        let mut text = String::new();
        for (address, mbit) in rates {
            match self.0.get(address).copied() {
                Some((_, rate)) if rate == *mbit => continue,
                Some((number, _)) => {
                    class(&mut text, uplink, number, *mbit);
                    self.0.insert(*address, (number, *mbit));
                }
                None => {
                    let number = self.free_number();
                    class(&mut text, uplink, number, *mbit);
                    wait(&mut text, uplink, number, *mbit);
                    self.0.insert(*address, (number, *mbit));
                }
            }
        }
        text
    }

    /// The queue of the uplink and all that is in it; what no class is chosen for leaves at once.
    pub fn all(&self, uplink: &str) -> String {
        let mut text = format!("qdisc replace dev {uplink} root handle 1: htb default 0 direct_qlen 1000\n");
        for (number, mbit) in self.0.values() {
            class(&mut text, uplink, *number, *mbit);
            wait(&mut text, uplink, *number, *mbit);
        }
        text
    }

    /// Forgets what is not among `rates` any more; the commands to come last.
    pub fn dismiss(&mut self, uplink: &str, rates: &BTreeMap<Ipv4Addr, i64>) -> String {
        let gone = self.0.extract_if(.., |address, _| !rates.contains_key(address));
        gone.map(|(_, (number, _))| format!("class del dev {uplink} classid 1:{number:x}\n")).collect()
    }

    pub fn numbers(&self) -> BTreeMap<Ipv4Addr, u16> {
        self.0.iter().map(|(address, (number, _))| (*address, *number)).collect()
    }

    fn free_number(&self) -> u16 {
        let taken: Vec<u16> = self.0.values().map(|(number, _)| *number).collect();
        (FIRST..u16::MAX).find(|number| !taken.contains(number)).expect("fewer than 65,000 addresses on a host")
    }
}

fn class(text: &mut String, uplink: &str, number: u16, mbit: i64) {
    let shape = format!("htb rate {mbit}mbit burst 64k cburst 64k quantum 1514");
    writeln!(text, "class replace dev {uplink} parent 1: classid 1:{number:x} {shape}")
        .expect("a string takes everything");
}

/// No more waits than leaves in a fifth of a second, but always some of the largest packets, of 64 KiB.
fn wait(text: &mut String, uplink: &str, number: u16, mbit: i64) {
    let bytes = mbit.saturating_mul(1_000_000 / 8 / 5).clamp(512 << 10, 64 << 20);
    writeln!(text, "qdisc add dev {uplink} parent 1:{number:x} bfifo limit {bytes}")
        .expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_made_changed_and_given_up() {
        let (a, b) = (Ipv4Addr::new(203, 0, 113, 5), Ipv4Addr::new(203, 0, 113, 6));
        let mut pace = Pace::default();
        let made = pace.admit("up", &BTreeMap::from([(a, 10), (b, 20)]));
        assert!(
            made.contains("classid 1:10 htb rate 10mbit") && made.contains("classid 1:11 htb rate 20mbit"),
            "{made}"
        );
        assert_eq!(pace.admit("up", &BTreeMap::from([(a, 10)])), "");
        let changed = pace.admit("up", &BTreeMap::from([(a, 30)]));
        assert!(changed.starts_with("class replace dev up parent 1: classid 1:10 htb rate 30mbit"), "{changed}");
        assert_eq!(pace.dismiss("up", &BTreeMap::from([(b, 20)])), "class del dev up classid 1:10\n");
        assert!(pace.admit("up", &BTreeMap::from([(a, 5)])).contains("classid 1:10 "), "a number that is free again");
    }
}
