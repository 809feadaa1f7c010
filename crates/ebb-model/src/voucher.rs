//! What may pay in place of cash? Coupons and stored-value cards (rules §2.9, §5.1). Integers only.
//!
//! A voucher pays for time and for traffic, whose exact units have no common multiple in either. So what is left of it is kept in one that
//! both divide: 1/(9×10¹²) of the currency.

use crate::id::{AccountId, VoucherId};
use crate::money::{AMOUNT_PER_UNIT, Amount, EXACT_PER_UNIT, Exact};
use crate::time::{Second, Timestamp};
use crate::traffic::{TRAFFIC_PER_UNIT, TrafficExact};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// Units of [`Fine`] in one unit of currency: the least common multiple of those of time and of traffic.
const FINE_PER_UNIT: i128 = 9_000_000_000_000;
const FINE_PER_TIME: i128 = FINE_PER_UNIT / EXACT_PER_UNIT;
const FINE_PER_TRAFFIC: i128 = FINE_PER_UNIT / TRAFFIC_PER_UNIT;
const FINE_PER_AMOUNT: i128 = FINE_PER_UNIT / AMOUNT_PER_UNIT as i128;

/// Money that is exact for time and for traffic: 1/(9×10¹²) of the currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Fine(i128);

impl Fine {
    pub const ZERO: Fine = Fine(0);
    /// The smallest charge by time. A voucher with less than this pays nothing any more.
    pub const LEAST: Fine = Fine(FINE_PER_TIME);

    pub const fn from_units(units: i128) -> Self {
        Self(units)
    }

    pub const fn units(self) -> i128 {
        self.0
    }

    pub fn of_time(exact: Exact) -> Fine {
        Fine(exact.units() * FINE_PER_TIME)
    }

    pub fn of_traffic(exact: TrafficExact) -> Fine {
        Fine(exact.units() * FINE_PER_TRAFFIC)
    }

    pub fn of_amount(amount: Amount) -> Fine {
        Fine(i128::from(amount.units()) * FINE_PER_AMOUNT)
    }

    /// The whole units of a charge by time in it; what is below one is left out.
    pub fn whole_time(self) -> Exact {
        Exact::from_units(self.0.div_euclid(FINE_PER_TIME))
    }

    /// The same of a charge of traffic.
    pub fn whole_traffic(self) -> TrafficExact {
        TrafficExact::from_units(self.0.div_euclid(FINE_PER_TRAFFIC))
    }

    /// The whole units of the ledger in it; what is below one is left out.
    pub fn whole(self) -> Amount {
        let whole = self.0.div_euclid(FINE_PER_AMOUNT);
        Amount::from_units(i64::try_from(whole).expect("an amount within 92 thousand million of the currency"))
    }

    /// What a running total posts to the ledger: rounded half up, `⌊x + ½⌋` (rules §1.2).
    pub fn posted(self) -> Amount {
        let rounded = (2 * self.0 + FINE_PER_AMOUNT).div_euclid(2 * FINE_PER_AMOUNT);
        Amount::from_units(i64::try_from(rounded).expect("a total within 92 thousand million of the currency"))
    }

    /// The least amount of the ledger that is no less.
    pub fn rounded_up(self) -> Amount {
        let up = -(-self.0).div_euclid(FINE_PER_AMOUNT);
        Amount::from_units(i64::try_from(up).expect("an amount within 92 thousand million of the currency"))
    }
}

impl Add for Fine {
    type Output = Fine;
    fn add(self, other: Fine) -> Fine {
        Fine(self.0 + other.0)
    }
}

impl AddAssign for Fine {
    fn add_assign(&mut self, other: Fine) {
        self.0 += other.0;
    }
}

impl Sub for Fine {
    type Output = Fine;
    fn sub(self, other: Fine) -> Fine {
        Fine(self.0 - other.0)
    }
}

impl std::iter::Sum for Fine {
    fn sum<I: Iterator<Item = Fine>>(all: I) -> Fine {
        all.fold(Fine::ZERO, |a, b| a + b)
    }
}

/// With 8 decimals, as a bill shows it.
impl fmt::Display for Fine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.posted(), f)
    }
}

/// An enum whose variants are called as the API says them.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name {
            $($(#[$of])* $variant),+
        }

        impl $name {
            pub const ALL: &[$name] = &[$($name::$variant),+];

            pub fn name(self) -> &'static str {
                match self {
                    $($name::$variant => $text),+
                }
            }

            pub fn parse(name: &str) -> Option<$name> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}

named!(
    /// What a voucher is. Coupons are given, a card is sold or given; where two expire together a coupon is used first.
    VoucherKind {
        CashCoupon = "cash-coupon",
        /// Pays like the others, but never for the vCPU and memory of a spot block (rules §2.9).
        DiscountCoupon = "discount-coupon",
        Card = "card",
    }
);

named!(
    /// Of what a record is, in a voucher's scope.
    Item {
        Compute = "compute",
        SystemDisk = "system-disk",
        Traffic = "traffic",
        Subscription = "subscription",
        DataDisk = "data-disk",
        Snapshot = "snapshot",
        Bandwidth = "bandwidth",
    }
);

named!(
    /// Under which purchase option something is used.
    SoldAs {
        OnDemand = "on-demand",
        Trial = "trial",
        SpotBlock = "spot-block",
        Subscription = "subscription",
    }
);

named!(
    /// What was left of a voucher is gone, and so is what comes back to it later.
    Gone {
        Expired = "expired",
        Revoked = "revoked",
    }
);

/// What a voucher may pay for. A set that is empty names everything, but for subscriptions: those have to be named.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub options: BTreeSet<SoldAs>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub meters: BTreeSet<Item>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub flavors: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub regions: BTreeSet<String>,
}

/// A coupon or a card of an account. Its face is what is left, used, expired and revoked together, always; it pays within
/// `[valid_from, expires_at)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voucher {
    pub id: VoucherId,
    pub account: AccountId,
    pub kind: VoucherKind,
    pub face: Amount,
    pub pays: Scope,
    pub issued_at: Timestamp,
    pub valid_from: Second,
    /// `None`: it never expires.
    pub expires_at: Option<Second>,
    pub used: Fine,
    pub expired: Fine,
    /// Taken away by the operator.
    pub revoked: Fine,
    /// Its owner was told that it expires soon.
    pub warned: bool,
}

impl Voucher {
    pub fn left(&self) -> Fine {
        Fine::of_amount(self.face) - self.used - self.expired - self.revoked
    }

    /// The same as the ledger has it, and as it is shown.
    pub fn left_posted(&self) -> Amount {
        if self.left() == Fine::ZERO {
            return Amount::ZERO;
        }
        // What is gone before all of it is came back late, in whole units of the ledger.
        self.face - self.used.posted() - (self.expired + self.revoked).posted()
    }

    /// How what comes back to it at a second is gone; not at all while it may pay.
    pub fn gone_at(&self, second: Second) -> Option<Gone> {
        match self.expires_at {
            _ if self.revoked > Fine::ZERO => Some(Gone::Revoked),
            Some(expires_at) if expires_at <= second => Some(Gone::Expired),
            _ => None,
        }
    }

    pub fn valid_at(&self, second: Second) -> bool {
        self.valid_from <= second && self.expires_at.is_none_or(|expires_at| second < expires_at)
    }

    /// Nothing can be paid with it any more.
    pub fn is_over(&self) -> bool {
        self.left() < Fine::LEAST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn its_unit_is_exact_for_time_for_traffic_and_for_the_ledger() {
        assert_eq!((FINE_PER_TIME, FINE_PER_TRAFFIC, FINE_PER_AMOUNT), (2_500, 9, 90_000));
        for unit in [EXACT_PER_UNIT, TRAFFIC_PER_UNIT, i128::from(AMOUNT_PER_UNIT)] {
            assert_eq!(FINE_PER_UNIT % unit, 0);
        }
        let one = Fine::of_amount("1.00".parse().unwrap());
        assert_eq!((one.whole_time().units(), one.whole_traffic().units()), (EXACT_PER_UNIT, TRAFFIC_PER_UNIT));
        assert_eq!(one.to_string(), "1.00000000");
    }

    #[test]
    fn names_read_back() {
        assert!(VoucherKind::ALL.iter().all(|one| VoucherKind::parse(one.name()) == Some(*one)));
        assert!(Item::ALL.iter().all(|one| Item::parse(one.name()) == Some(*one)));
        assert!(Gone::ALL.iter().all(|one| Gone::parse(one.name()) == Some(*one)));
        assert!(SoldAs::ALL.iter().all(|one| SoldAs::parse(one.name()) == Some(*one)));
        assert_eq!(VoucherKind::parse("voucher"), None);
    }

    proptest! {
        #[test]
        fn what_is_left_out_is_below_a_unit(units in 0..9_000_000_000_000_000_i128) {
            let fine = Fine::from_units(units);
            let (time, traffic) = (Fine::of_time(fine.whole_time()), Fine::of_traffic(fine.whole_traffic()));
            prop_assert!(time <= fine && (fine - time).units() < FINE_PER_TIME);
            prop_assert!(traffic <= fine && (fine - traffic).units() < FINE_PER_TRAFFIC);
            let off = Fine::of_amount(fine.posted()) - fine;
            prop_assert!(2 * off.units().abs() <= FINE_PER_AMOUNT);
            let whole = Fine::of_amount(fine.whole());
            prop_assert!(whole <= fine && (fine - whole).units() < FINE_PER_AMOUNT);
            let up = Fine::of_amount(fine.rounded_up());
            prop_assert!(up >= fine && (up - fine).units() < FINE_PER_AMOUNT);
        }
    }
}
