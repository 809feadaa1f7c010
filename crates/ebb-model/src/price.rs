//! What does something cost, and from when on? Prices with dates (rules §5.3).

use crate::money::{NotADecimal, Price};
use crate::time::Second;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A price from an instant on; from ever, if none is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dated {
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "full_second")]
    pub from: Option<Second>,
    pub price: Price,
}

/// One price after the other. The price of a second is that of the newest date that is not after it; before the first date, the
/// first price. There is always one, and the dates rise: [`Prices::disorder`] says where a list that was read does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prices(Vec<Dated>);

impl Prices {
    /// `first`, and what follows it, in order of their dates.
    pub fn new(first: Price, later: impl IntoIterator<Item = (Second, Price)>) -> Self {
        let later = later.into_iter().map(|(from, price)| Dated { from: Some(from), price });
        Self(std::iter::once(Dated { from: None, price: first }).chain(later).collect())
    }

    /// Every price with its date.
    pub fn iter(&self) -> impl Iterator<Item = Dated> + '_ {
        self.0.iter().copied()
    }

    pub fn first(&self) -> Dated {
        self.0[0]
    }

    pub fn at(&self, second: Second) -> Price {
        let after = self.0.partition_point(|dated| dated.from.is_none_or(|from| from <= second));
        self.0[after.max(1) - 1].price
    }

    /// What it will cost from later dates on.
    pub fn after(&self, second: Second) -> impl Iterator<Item = (Second, Price)> + '_ {
        self.0.iter().filter_map(move |dated| Some((dated.from.filter(|from| *from > second)?, dated.price)))
    }

    /// When the price changes next. A date with the price that held before is no change.
    pub fn next_change(&self, second: Second) -> Option<Second> {
        let now = self.at(second);
        self.after(second).find(|(_, price)| *price != now).map(|(from, _)| from)
    }

    /// The price of a second and what follows it; what was before is left out.
    pub fn since(&self, second: Second) -> Prices {
        Self::new(self.at(second), self.after(second))
    }

    /// The seconds `[since, until)` in stretches of one price; the last one is open if `until` is none.
    pub fn pieces(&self, since: Second, until: Option<Second>) -> Vec<Piece> {
        let (mut pieces, mut at) = (vec![], since);
        loop {
            let next = self.next_change(at).filter(|next| until.is_none_or(|until| *next < until));
            pieces.push(Piece { since: at, until: next.or(until), price: self.at(at) });
            match next {
                Some(next) => at = next,
                None => return pieces,
            }
        }
    }

    /// Of so many units.
    pub fn times(&self, units: i64) -> Prices {
        let price = |price: Price| Price::from_micros(price.micros().saturating_mul(units));
        Self(self.iter().map(|dated| Dated { price: price(dated.price), ..dated }).collect())
    }

    /// Of both together.
    pub fn plus(&self, other: &Prices) -> Prices {
        self.with(other, i64::saturating_add)
    }

    /// What is left of it without the other.
    pub fn minus(&self, other: &Prices) -> Prices {
        self.with(other, i64::saturating_sub)
    }

    fn with(&self, other: &Prices, of: fn(i64, i64) -> i64) -> Prices {
        let both = |a: Price, b: Price| Price::from_micros(of(a.micros(), b.micros()));
        let mut dates: Vec<Second> = self.0.iter().chain(&other.0).filter_map(|dated| dated.from).collect();
        dates.sort();
        dates.dedup();
        let later = dates.into_iter().map(|from| (from, both(self.at(from), other.at(from))));
        Self::new(both(self.first().price, other.first().price), later)
    }

    /// The first place of a list at which its dates do not rise, from 0 on.
    pub fn disorder(&self) -> Option<usize> {
        (1..self.0.len()).find(|at| self.0[*at].from.is_none() || self.0[*at].from <= self.0[at - 1].from)
    }
}

/// A stretch of seconds at one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub since: Second,
    pub until: Option<Second>,
    pub price: Price,
}

impl From<Price> for Prices {
    fn from(price: Price) -> Prices {
        Prices::new(price, [])
    }
}

impl std::str::FromStr for Prices {
    type Err = NotADecimal;
    fn from_str(text: &str) -> Result<Self, NotADecimal> {
        text.parse::<Price>().map(Prices::from)
    }
}

impl Default for Prices {
    fn default() -> Self {
        Price::default().into()
    }
}

fn full_second<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Second>, D::Error> {
    let at = crate::time::Timestamp::deserialize(deserializer)?;
    match at == at.second().start() {
        true => Ok(Some(at.second())),
        false => Err(D::Error::custom(format!("{at} is not a full second: prices are charged by the second"))),
    }
}

/// A price alone is written as one.
impl Serialize for Prices {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [Dated { from: None, price }] => price.serialize(s),
            all => all.serialize(s),
        }
    }
}

impl<'de> Deserialize<'de> for Prices {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Prices;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a price in quotes, such as \"0.39\", or a list of prices with dates")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Prices, E> {
                text.parse::<Price>().map(Prices::from).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Prices, A::Error> {
                let mut all = vec![];
                while let Some(dated) = seq.next_element()? {
                    all.push(dated);
                }
                match all.is_empty() {
                    true => Err(A::Error::custom("there is no price in the list")),
                    false => Ok(Prices(all)),
                }
            }
        }
        d.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prices(first: i64, later: &[(i64, i64)]) -> Prices {
        let later = later.iter().map(|(from, price)| (Second::from_unix(*from), Price::from_micros(*price)));
        Prices::new(Price::from_micros(first), later)
    }

    #[test]
    fn a_price_holds_from_its_date_to_the_next() {
        let prices = prices(10, &[(100, 20), (200, 20), (300, 5)]);
        let at = |second| prices.at(Second::from_unix(second)).micros();
        assert_eq!([0, 99, 100, 250, 299, 300, 999].map(at), [10, 10, 20, 20, 20, 5, 5]);
        let next = |second| prices.next_change(Second::from_unix(second)).map(Second::unix);
        assert_eq!([0, 100, 200, 300].map(next), [Some(100), Some(300), Some(300), None]);
    }

    #[test]
    fn it_reads_back_what_it_writes() {
        for text in [r#""0.39""#, r#"[{"price":"0.39"},{"from":"2026-12-01T00:00:00Z","price":"0.45"}]"#] {
            let prices: Prices = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&prices).unwrap(), text);
        }
    }

    #[test]
    fn what_is_no_list_of_prices_is_refused() {
        for (text, why) in [
            ("[]", "there is no price"),
            (r#"[{"from":"2026-12-01T00:00:00.5Z","price":"1"}]"#, "not a full second"),
            (r#"[{"from":"soon","price":"1"}]"#, "not an instant"),
            (r#"[{"price":"0.0000001"}]"#, "at most 6 decimals"),
            (r#"[{"price":"1","until":"2026-12-01T00:00:00Z"}]"#, "unknown field `until`"),
            ("0.39", "a price in quotes"),
        ] {
            let refused = serde_json::from_str::<Prices>(text).unwrap_err().to_string();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn pieces_are_without_gap_and_have_the_price_of_each_of_their_seconds(
            first in 0..4_i64, steps in prop::collection::vec((1..40_i64, 0..4_i64), 0..6), since in 0..90_i64, seconds in 1..120_i64,
        ) {
            let mut at = 0;
            let later: Vec<(i64, i64)> = steps.iter().map(|(step, price)| { at += step; (at, *price) }).collect();
            let prices = prices(first, &later);
            let (since, until) = (Second::from_unix(since), Second::from_unix(since + seconds));
            let mut next = since;
            for piece in prices.pieces(since, Some(until)) {
                prop_assert_eq!(piece.since, next);
                next = piece.until.unwrap();
                for second in piece.since.unix()..next.unix() {
                    prop_assert_eq!(prices.at(Second::from_unix(second)), piece.price);
                }
            }
            prop_assert_eq!(next, until);
            let open = prices.pieces(since, None);
            prop_assert_eq!(open.last().unwrap().until, None);
            prop_assert_eq!(open.last().unwrap().price, prices.at(Second::from_unix(1_000)));
        }

        #[test]
        fn together_they_cost_the_sum_at_every_second(a in 0..9_i64, b in 0..9_i64, x in 1..50_i64, y in 1..50_i64, units in 0..50_i64) {
            let (one, other) = (prices(a, &[(x, b), (60, 7)]), prices(b, &[(y, a)]));
            for second in (0..70).map(Second::from_unix) {
                let sum = one.at(second) + other.at(second);
                prop_assert_eq!(one.plus(&other).at(second), sum);
                prop_assert_eq!(one.plus(&other).minus(&other).at(second), one.at(second));
                prop_assert_eq!(one.times(units).at(second).micros(), one.at(second).micros() * units);
                prop_assert_eq!(one.since(second).at(second), one.at(second));
            }
        }
    }
}
