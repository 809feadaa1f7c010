//! Rows ↔ model: the statements of every table, and what their rows mean.

pub mod account;
pub mod address;
pub mod adjustment;
pub mod alarm;
pub mod appeal;
pub mod arrears;
pub mod audit;
pub mod bill;
pub mod block;
pub mod budget;
pub mod cap;
pub mod decision;
pub mod delivery;
pub mod drill;
pub mod event;
pub mod host;
pub mod image;
pub mod instance;
pub mod ip;
pub mod lending;
mod many;
pub mod notice;
pub mod password;
pub mod person;
pub mod price;
pub mod security_group;
pub mod subscription;
pub mod token;
pub mod traffic;
pub mod trial;
pub mod volume;
pub mod voucher;
pub mod zone;

use crate::Row;
use ebb_model::money::{EXACT_PER_UNIT, Exact};

/// An exact amount as a column: of one record, block or grant. It would overflow beyond 2.5 thousand million of the currency, which the
/// limits of the catalog's prices keep it from. Running totals are text ([`account`]); sums of rows are two columns ([`exact_sum`]).
fn units(exact: Exact) -> i64 {
    i64::try_from(exact.units()).expect("an exact total within 2.5 thousand million of the currency")
}

/// A sum of exact amounts in two columns, since 64 bits end at 2.5 thousand million of the currency: `NAME_whole` in units of the currency,
/// 3,600,000,000 exact ones each, and `NAME`, the rest.
fn exact_sum(row: &Row, name: &str) -> Exact {
    let (whole, rest) = (row.int(format!("{name}_whole").as_str()), row.int(name));
    Exact::from_units(i128::from(whole) * EXACT_PER_UNIT + i128::from(rest))
}

fn exact(units: i64) -> Exact {
    Exact::from_units(units.into())
}

/// A typed id, or a small JSON document, that we wrote ourselves.
fn own<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("an id that this program wrote")
}

fn own_json<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).expect("a document that this program wrote")
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("a document of plain values")
}
