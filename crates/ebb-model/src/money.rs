//! How much? Prices, exact charges and the amounts that the ledger moves (rules §1.1–1.3). Integers only.

use crate::time::HOUR;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// Units of [`Exact`] in one unit of currency: a second at a price of one millionth an hour is one unit.
pub const EXACT_PER_UNIT: i128 = HOUR as i128 * 1_000_000;
/// Units of [`Amount`] in one unit of currency.
pub const AMOUNT_PER_UNIT: i64 = 100_000_000;
const EXACT_PER_AMOUNT: i128 = EXACT_PER_UNIT / AMOUNT_PER_UNIT as i128;

/// A price per hour, in millionths of the currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Price(i64);

impl Price {
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub const fn micros(self) -> i64 {
        self.0
    }

    /// What `seconds` at this price cost, to the last digit.
    pub fn charge(self, seconds: i64) -> Exact {
        Exact(i128::from(self.0) * i128::from(seconds))
    }
}

impl Add for Price {
    type Output = Price;
    fn add(self, other: Price) -> Price {
        Price(self.0 + other.0)
    }
}

/// An exact charge: 1/(3.6 × 10⁹) of the currency, that is seconds × price in millionths.
/// Cutting a period in two never changes what it costs, because nothing is rounded here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Exact(i128);

impl Exact {
    pub const ZERO: Exact = Exact(0);

    pub const fn from_units(units: i128) -> Self {
        Self(units)
    }

    pub const fn units(self) -> i128 {
        self.0
    }

    /// The whole units of the ledger in it; what is below one is left out.
    pub fn whole(self) -> Amount {
        Amount(i64::try_from(self.0.div_euclid(EXACT_PER_AMOUNT)).expect("an amount within 92 thousand million"))
    }

    /// What a running total posts to the ledger: rounded half up, `⌊x + ½⌋` (rules §1.2).
    /// An entry moves the *difference* of two of these, so rounding never accumulates.
    pub fn posted(self) -> Amount {
        self.posted_since(Exact::ZERO)
    }

    /// What is posted of a running total that was `before`. However large both are, only the difference is to fit.
    pub fn posted_since(self, before: Exact) -> Amount {
        let difference = self.rounded() - before.rounded();
        Amount(i64::try_from(difference).expect("an amount within 92 thousand million of the currency"))
    }

    /// In units of [`Amount`], of which there may be more than one holds.
    fn rounded(self) -> i128 {
        (2 * self.0 + EXACT_PER_AMOUNT).div_euclid(2 * EXACT_PER_AMOUNT)
    }

    /// For people: cents, magnitude half up, above zero at least 0.01 (rules §1.3).
    pub fn to_cents(self) -> String {
        let cent = EXACT_PER_UNIT / 100;
        let mut cents = (2 * self.0.abs() + cent) / (2 * cent);
        if cents == 0 && self.0 != 0 {
            cents = 1;
        }
        let sign = if self.0 < 0 { "-" } else { "" };
        format!("{sign}{}.{:02}", cents / 100, cents % 100)
    }
}

impl Add for Exact {
    type Output = Exact;
    fn add(self, other: Exact) -> Exact {
        Exact(self.0 + other.0)
    }
}

impl AddAssign for Exact {
    fn add_assign(&mut self, other: Exact) {
        self.0 += other.0;
    }
}

impl Sub for Exact {
    type Output = Exact;
    fn sub(self, other: Exact) -> Exact {
        Exact(self.0 - other.0)
    }
}

impl std::iter::Sum for Exact {
    fn sum<I: Iterator<Item = Exact>>(all: I) -> Exact {
        all.fold(Exact::ZERO, |a, b| a + b)
    }
}

/// What the ledger moves: 10⁻⁸ of the currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(i64);

impl Amount {
    pub const ZERO: Amount = Amount(0);

    pub const fn from_units(units: i64) -> Self {
        Self(units)
    }

    pub const fn units(self) -> i64 {
        self.0
    }

    pub fn checked_add(self, other: Amount) -> Option<Amount> {
        self.0.checked_add(other.0).map(Amount)
    }

    /// The same money in exact units.
    pub fn exact(self) -> Exact {
        Exact(i128::from(self.0) * EXACT_PER_AMOUNT)
    }
}

impl Add for Amount {
    type Output = Amount;
    fn add(self, other: Amount) -> Amount {
        Amount(self.0.checked_add(other.0).expect("a sum of amounts within 92 thousand million"))
    }
}

impl Sub for Amount {
    type Output = Amount;
    fn sub(self, other: Amount) -> Amount {
        self + -other
    }
}

impl std::ops::Neg for Amount {
    type Output = Amount;
    fn neg(self) -> Amount {
        Amount(-self.0)
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Amount>>(all: I) -> Amount {
        all.fold(Amount::ZERO, |a, b| a + b)
    }
}

/// A text that is no decimal number of the wanted precision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a decimal number with at most {decimals} decimals, such as 0.07")]
pub struct NotADecimal {
    text: String,
    decimals: u32,
}

fn parse_decimal(text: &str, decimals: u32) -> Result<i64, NotADecimal> {
    let refuse = || NotADecimal { text: text.chars().take(40).collect(), decimals };
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let cut = digits.contains('.') && fraction.is_empty();
    if whole.is_empty() || cut || !plain(whole) || !plain(fraction) || fraction.len() > decimals as usize {
        return Err(refuse());
    }
    let padded = format!("{whole}{fraction:0<width$}", width = decimals as usize);
    let value: i64 = padded.parse().map_err(|_| refuse())?;
    Ok(if negative { -value } else { value })
}

pub(crate) fn write_decimal(value: i128, decimals: usize, least: usize) -> String {
    let unit = 10_i128.pow(decimals as u32);
    let sign = if value < 0 { "-" } else { "" };
    let fraction = format!("{:0decimals$}", value.abs() % unit);
    let shown = fraction.trim_end_matches('0').len().max(least);
    let whole = value.abs() / unit;
    if shown == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{}", &fraction[..shown]) }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write_decimal(i128::from(self.0), 6, 2))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write_decimal(i128::from(self.0), 8, 8))
    }
}

/// With 8 decimals, as a bill record shows it; the exact value is quantity and price.
impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write_decimal(self.rounded(), 8, 8))
    }
}

impl std::str::FromStr for Price {
    type Err = NotADecimal;
    fn from_str(text: &str) -> Result<Self, NotADecimal> {
        parse_decimal(text, 6).map(Price)
    }
}

impl std::str::FromStr for Amount {
    type Err = NotADecimal;
    fn from_str(text: &str) -> Result<Self, NotADecimal> {
        parse_decimal(text, 8).map(Amount)
    }
}

macro_rules! decimal_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
decimal_text!(Price, Amount);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_read_and_write_back() {
        let price: Price = "0.833".parse().unwrap();
        assert_eq!((price.micros(), price.to_string().as_str()), (833_000, "0.833"));
        assert_eq!("0.07".parse::<Price>().unwrap().to_string(), "0.07");
        assert_eq!("12".parse::<Price>().unwrap().to_string(), "12.00");
        for bad in ["", "-", ".5", "1.", "0.0000001", "1e3", "1,5", " 1", "+1", "９", "99999999999999999999"] {
            assert!(bad.parse::<Price>().is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn what_is_shown_is_half_up_and_never_nothing_for_something() {
        let exact = |seconds| Price::from_micros(70_000).charge(seconds);
        assert_eq!(exact(90).to_cents(), "0.01"); // 0.00175: below a cent is shown as one
        assert_eq!(exact(3 * HOUR).to_cents(), "0.21");
        assert_eq!(Exact::ZERO.to_cents(), "0.00");
        assert_eq!(exact(90).to_string(), "0.00175000");
    }

    proptest! {
        #[test]
        fn cutting_a_period_never_changes_its_charge(price in 0..10_000_000_000_i64, a in 0..1_000_000_000_i64, b in 0..1_000_000_000_i64) {
            let price = Price::from_micros(price);
            prop_assert_eq!(price.charge(a) + price.charge(b), price.charge(a + b));
        }

        #[test]
        fn a_posted_total_is_within_half_a_unit(units in -1_000_000_000_000_i128..1_000_000_000_000) {
            let off = Exact::from_units(units).posted().exact() - Exact::from_units(units);
            prop_assert!(2 * off.units().abs() <= EXACT_PER_AMOUNT);
        }
    }
}
