//! What left a public address, and what does that cost? (rules §1.1–1.3, §3.6) Integers only.
//!
//! Traffic is charged per GB, not per hour, so its exact unit is another than that of time and has a type of its own.

use crate::id::{AccountId, AddressId, InstanceId, RecordId};
use crate::money::{Amount, EXACT_PER_UNIT, Exact, Price, write_decimal};
use crate::price::Prices;
use crate::time::{Period, Second, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;
use std::ops::{Add, AddAssign, Sub};

/// Bytes in a GB, as everybody counts who sells traffic.
pub const GB: i64 = 1_000_000_000;
/// Bytes in the smallest quantity that is charged.
const BYTES_PER_QUANTUM: i64 = 1_000;
const QUANTA_PER_GB: i64 = GB / BYTES_PER_QUANTUM;
/// Units of [`TrafficExact`] in one unit of the ledger.
const EXACT_PER_AMOUNT: i128 = 10_000;
/// And in one of the currency.
pub const TRAFFIC_PER_UNIT: i128 = 1_000_000_000_000;

/// How much traffic: millionths of a GB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Quantity(i64);

impl Quantity {
    pub const ZERO: Quantity = Quantity(0);

    pub const fn from_millionths(millionths: i64) -> Self {
        Self(millionths)
    }

    pub const fn from_gb(gb: i64) -> Self {
        Self(gb * QUANTA_PER_GB)
    }

    /// What a running total of bytes comes to; what is below a millionth waits for more.
    pub const fn of_bytes(bytes: i64) -> Self {
        Self(bytes.div_euclid(BYTES_PER_QUANTUM))
    }

    pub const fn millionths(self) -> i64 {
        self.0
    }

    /// What it costs at a price per GB, to the last digit.
    pub fn charge(self, price: Price) -> TrafficExact {
        TrafficExact(i128::from(self.0) * i128::from(price.micros()))
    }
}

impl Add for Quantity {
    type Output = Quantity;
    fn add(self, other: Quantity) -> Quantity {
        Quantity(self.0 + other.0)
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Quantity) {
        self.0 += other.0;
    }
}

impl Sub for Quantity {
    type Output = Quantity;
    fn sub(self, other: Quantity) -> Quantity {
        Quantity(self.0 - other.0)
    }
}

/// In GB, with 6 decimals.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write_decimal(i128::from(self.0), 6, 6))
    }
}

/// An exact charge of traffic: 10⁻¹² of the currency, that is millionths of a GB × price in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TrafficExact(i128);

impl TrafficExact {
    pub const ZERO: TrafficExact = TrafficExact(0);

    pub const fn from_units(units: i128) -> Self {
        Self(units)
    }

    pub const fn units(self) -> i128 {
        self.0
    }

    /// The same in the unit of what is charged by time, to the next whole one.
    pub fn in_time(self) -> Exact {
        Exact::from_units(-(-self.0 * EXACT_PER_UNIT).div_euclid(TRAFFIC_PER_UNIT))
    }

    /// The whole units of the ledger in it; what is below one is left out.
    pub fn whole(self) -> Amount {
        let whole = self.0.div_euclid(EXACT_PER_AMOUNT);
        Amount::from_units(i64::try_from(whole).expect("an amount within 92 thousand million"))
    }

    /// What a running total posts to the ledger: rounded half up, `⌊x + ½⌋` (rules §1.2).
    pub fn posted(self) -> Amount {
        let rounded = (2 * self.0 + EXACT_PER_AMOUNT).div_euclid(2 * EXACT_PER_AMOUNT);
        Amount::from_units(i64::try_from(rounded).expect("a total within 92 thousand million of the currency"))
    }
}

impl Add for TrafficExact {
    type Output = TrafficExact;
    fn add(self, other: TrafficExact) -> TrafficExact {
        TrafficExact(self.0 + other.0)
    }
}

impl Sub for TrafficExact {
    type Output = TrafficExact;
    fn sub(self, other: TrafficExact) -> TrafficExact {
        TrafficExact(self.0 - other.0)
    }
}

impl std::iter::Sum for TrafficExact {
    fn sum<I: Iterator<Item = TrafficExact>>(all: I) -> TrafficExact {
        all.fold(TrafficExact::ZERO, |a, b| a + b)
    }
}

/// With 8 decimals, as a bill record shows it; the exact value is quantity and price.
impl fmt::Display for TrafficExact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.posted(), f)
    }
}

/// A pool of free traffic of a calendar month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pool {
    /// Pays wherever it leaves.
    Anywhere,
    /// Pays for what leaves from overseas only, and before the other.
    Overseas,
}

impl Pool {
    pub const ALL: [Pool; 2] = [Pool::Anywhere, Pool::Overseas];

    pub fn name(self) -> &'static str {
        match self {
            Pool::Anywhere => "anywhere",
            Pool::Overseas => "overseas",
        }
    }
}

/// A public address. Its price per GB follows the price book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub id: AddressId,
    pub account: AccountId,
    pub region: String,
    /// The address itself; those that were allocated before there were any to be given have none.
    pub ip: Option<Ipv4Addr>,
    pub overseas: bool,
    /// Per GB that leaves it, while it is paid by that.
    pub price: Prices,
    /// It is paid by so many Mbit/s of bandwidth, whatever leaves it, or is to be; `None`: by what leaves it. Since when is said by its
    /// spans alone (rules §4.4).
    pub mbit: Option<i64>,
    /// It is released, and its bandwidth was charged up to here.
    pub charged_until: Option<Second>,
    /// What it leads to; `None`: it was kept when that went, or was never bound.
    pub instance: Option<InstanceId>,
    /// Allocated with this instance, and never unbound from it: what of it is charged begins with that, and goes if that never runs.
    pub bought_with: Option<InstanceId>,
    pub allocated_at: Timestamp,
    pub released_at: Option<Timestamp>,
    /// How far its host's counter was read.
    pub counter: Option<Counter>,
    /// Of closed hours.
    pub month: Month,
}

/// Running total of an address: the first second of a calendar month, and what was counted in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Month {
    pub since: Second,
    pub bytes: i64,
}

/// Where a counter stood when it was last read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    pub epoch: i64,
    pub bytes: i64,
    pub read_at: Timestamp,
}

/// What a host read off the counter of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    pub address: AddressId,
    /// Grows whenever the counter begins from nothing.
    pub epoch: i64,
    /// Outwards, in this epoch so far.
    pub bytes: i64,
    pub at: Timestamp,
}

/// What left an address within one clock hour: what one record will say. The pools and `payable` sum up to `quantity`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficCharge {
    pub address: AddressId,
    /// Per GB.
    pub price: Price,
    /// The clock hour, or the part of it on one side of local midnight.
    pub period: Period,
    pub quantity: Quantity,
    /// Paid by this pool, and by the other.
    pub anywhere: Quantity,
    pub overseas: Quantity,
    /// What vouchers paid of what is payable.
    pub vouchers: TrafficExact,
}

impl TrafficCharge {
    pub fn payable(&self) -> Quantity {
        self.quantity - self.anywhere - self.overseas
    }

    pub fn paid(&self) -> TrafficPaid {
        TrafficPaid {
            pools: (self.anywhere + self.overseas).charge(self.price),
            payable: self.payable().charge(self.price),
            vouchers: self.vouchers,
        }
    }
}

/// How traffic is paid; the two parts sum up to what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrafficPaid {
    pub pools: TrafficExact,
    pub payable: TrafficExact,
    /// Of what is payable: paid by coupons and cards.
    pub vouchers: TrafficExact,
}

impl TrafficPaid {
    pub fn total(&self) -> TrafficExact {
        self.pools + self.payable
    }

    pub fn plus(self, other: TrafficPaid) -> TrafficPaid {
        TrafficPaid {
            pools: self.pools + other.pools,
            payable: self.payable + other.payable,
            vouchers: self.vouchers + other.vouchers,
        }
    }
}

impl std::iter::Sum for TrafficPaid {
    fn sum<I: Iterator<Item = TrafficPaid>>(all: I) -> TrafficPaid {
        all.fold(TrafficPaid::default(), TrafficPaid::plus)
    }
}

/// A line of a bill about traffic. Exact: quantity × unit price; never edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficRecord {
    pub id: RecordId,
    pub account: AccountId,
    pub charge: TrafficCharge,
    /// When the hour closed.
    pub issued_at: Second,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_gb_costs_its_price_and_bytes_below_a_millionth_wait() {
        let price: Price = "0.8".parse().unwrap();
        assert_eq!(Quantity::of_bytes(20 * GB), Quantity::from_gb(20));
        assert_eq!(Quantity::from_gb(3).charge(price).to_string(), "2.40000000");
        assert_eq!((Quantity::of_bytes(999), Quantity::of_bytes(1_000).millionths()), (Quantity::ZERO, 1));
        assert_eq!(Quantity::of_bytes(1_234_567_890).to_string(), "1.234567");
    }

    proptest! {
        #[test]
        fn a_posted_total_is_within_half_a_unit(units in 0..1_000_000_000_000_i128) {
            let posted = i128::from(TrafficExact::from_units(units).posted().units()) * EXACT_PER_AMOUNT;
            prop_assert!(2 * (posted - units).abs() <= EXACT_PER_AMOUNT);
        }
    }
}
