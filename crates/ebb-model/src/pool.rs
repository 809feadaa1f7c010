//! Which addresses are there to be given in a region, and what is wrong with the ranges of a catalog?

use crate::catalog::{Catalog, Region};
use crate::network::places;
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;
use std::ops::Range;

/// An address goes to nobody for so long after somebody had it: what was sent to him still arrives for a while.
pub const REST_SECONDS: i64 = 600;

/// The smallest private range has room for a few guests beside the addresses that are nobody's.
const LONGEST_PREFIX: u8 = 27;

/// As much as all instances of an account may cost.
const MOST_PER_HOUR: i128 = 1_000_000;

/// The addresses that may be given for one purpose in one region, as if they stood in one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    name: String,
    ranges: Vec<Range<i64>>,
}

impl Pool {
    /// For guests, in the private networks of all accounts.
    pub fn private(region: &Region) -> Pool {
        let (first, end) = places(region.private_range);
        let all = number(first)..number(end);
        Pool { name: format!("private {}", region.id), ranges: std::iter::once(all).collect() }
    }

    /// For those who want to be reached from outside.
    pub fn public(region: &Region) -> Pool {
        let whole = |range: &Ipv4Net| number(range.network())..number(range.broadcast()) + 1;
        Pool { name: format!("public {}", region.id), ranges: region.public_addresses.iter().map(whole).collect() }
    }

    /// How it is called in the database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// From the first address of each range to the one after its last, as numbers.
    pub fn ranges(&self) -> &[Range<i64>] {
        &self.ranges
    }

    pub fn size(&self) -> i64 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }

    /// The address at this place of the row; the row goes on from its beginning. `None`: it is empty.
    pub fn nth(&self, at: u64) -> Option<Ipv4Addr> {
        let size = u64::try_from(self.size()).ok().filter(|size| *size > 0)?;
        let mut at = i64::try_from(at % size).expect("below the number of all addresses");
        for range in &self.ranges {
            let long = range.end - range.start;
            if at < long {
                return Some(address(range.start + at));
            }
            at -= long;
        }
        unreachable!("a place below the sum of all ranges")
    }

    /// Addresses far from each other, which another seed gives otherwise: who looks there for a free one meets few others.
    pub fn scattered(&self, seed: u64) -> impl Iterator<Item = Ipv4Addr> + '_ {
        (0..).map_while(move |step| self.nth(mixed(seed.wrapping_add(step))))
    }
}

/// Splitmix64: neighbouring numbers come out as if by chance.
fn mixed(seed: u64) -> u64 {
    let mut word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

pub fn number(address: Ipv4Addr) -> i64 {
    i64::from(address.to_bits())
}

/// The other way round.
pub fn address(number: i64) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::try_from(number).expect("the number of an address"))
}

/// What is wrong with the ranges of a catalog.
pub(crate) fn problems(catalog: &Catalog) -> Vec<String> {
    let mut found = vec![];
    let mut seen: Vec<(&str, Ipv4Net)> = vec![];
    for region in &catalog.regions {
        let (id, private) = (&region.id, region.private_range);
        if !is_private(private) || private != private.trunc() || private.prefix_len() > LONGEST_PREFIX {
            found.push(format!(
                "region {id}: private_range {private} is no range of 32 addresses or more within 10.0.0.0/8, 172.16.0.0/12 or \
                 192.168.0.0/16 that begins at its first address"
            ));
        }
        if region.bandwidth.is_some() && region.traffic.is_none() {
            found.push(format!("region {id}: bandwidth has a price, and traffic none: an address is paid by either"));
        }
        let limits = &catalog.limits;
        let dearest = region.bandwidth.iter().flat_map(|prices| prices.iter()).map(|dated| dated.price.micros()).max();
        let together = i128::from(dearest.unwrap_or_default())
            * i128::from(limits.mbit_per_address)
            * i128::from(limits.addresses_per_account);
        if together > MOST_PER_HOUR * 1_000_000 {
            found.push(format!(
                "region {id}: bandwidth of mbit_per_address = {} for addresses_per_account = {} would cost an account more than \
                 {MOST_PER_HOUR} an hour; allow less",
                limits.mbit_per_address, limits.addresses_per_account
            ));
        }
        if region.traffic.is_some() && region.public_addresses.is_empty() {
            found.push(format!(
                "region {id}: traffic has a price, and there are no public_addresses to be given, such as [\"203.0.113.0/24\"]"
            ));
        }
        for (at, range) in region.public_addresses.iter().enumerate() {
            let key = format!("region {id}: public_addresses[{at}]");
            if *range != range.trunc() {
                found.push(format!("{key}: {range} does not begin at its first address, {}", range.trunc()));
            }
            if let Some((other, twice)) = seen.iter().find(|(_, known)| overlap(*known, *range)) {
                found.push(format!("{key}: {range} overlaps {twice} of region {other}; an address is given once"));
            }
            let taken = catalog.regions.iter().find(|other| overlap(other.private_range, *range));
            if let Some(other) = taken {
                let theirs = other.private_range;
                found.push(format!("{key}: {range} overlaps the private_range {theirs} of region {}", other.id));
            }
            seen.push((id, *range));
        }
    }
    found
}

fn overlap(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.contains(&other) || other.contains(&one)
}

fn is_private(range: Ipv4Net) -> bool {
    [([10, 0, 0, 0], 8), ([172, 16, 0, 0], 12), ([192, 168, 0, 0], 16)]
        .iter()
        .any(|(first, long)| Ipv4Net::new_assert(Ipv4Addr::from(*first), *long).contains(&range))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(ranges: &[&str]) -> Pool {
        let region = Region {
            id: "here".to_owned(),
            name: String::new(),
            traffic: None,
            bandwidth: None,
            overseas: false,
            private_range: "10.1.0.0/27".parse().unwrap(),
            public_addresses: ranges.iter().map(|range| range.parse().unwrap()).collect(),
        };
        if ranges.is_empty() { Pool::private(&region) } else { Pool::public(&region) }
    }

    #[test]
    fn ranges_stand_in_one_row_that_begins_again() {
        let two = pool(&["203.0.113.8/31", "198.18.0.0/30"]);
        let all: Vec<String> = (0..7).map(|at| two.nth(at).unwrap().to_string()).collect();
        let last =
            ["203.0.113.8", "203.0.113.9", "198.18.0.0", "198.18.0.1", "198.18.0.2", "198.18.0.3", "203.0.113.8"];
        assert_eq!(all, last);
        // Gateway and the first addresses are nobody's, nor is the last.
        let private = pool(&[]);
        assert_eq!(
            (private.size(), private.nth(0), private.nth(14)),
            (15, address_of("10.1.0.16"), address_of("10.1.0.30"))
        );
        assert_eq!(Pool { name: String::new(), ranges: vec![] }.scattered(1).count(), 0);
    }

    fn address_of(text: &str) -> Option<Ipv4Addr> {
        text.parse().ok()
    }

    #[test]
    fn all_of_a_small_row_is_found_by_chance() {
        let small = pool(&["203.0.113.0/29"]);
        let found: std::collections::BTreeSet<Ipv4Addr> = small.scattered(7).take(200).collect();
        assert_eq!(found.len(), 8);
    }
}
