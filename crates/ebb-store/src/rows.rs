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
pub mod cap;
pub mod decision;
pub mod delivery;
pub mod drill;
pub mod event;
pub mod host;
pub mod instance;
pub mod lending;
mod many;
pub mod notice;
pub mod person;
pub mod price;
pub mod subscription;
pub mod token;
pub mod traffic;
pub mod trial;
pub mod voucher;
pub mod zone;

use ebb_model::money::Exact;

/// An exact sum as a column: of one record, block, grant or month. It would overflow beyond 2.5 thousand million of the currency, which the
/// limits of the catalog's prices keep it from. Running totals are text ([`account`]).
fn units(exact: Exact) -> i64 {
    i64::try_from(exact.units()).expect("an exact total within 2.5 thousand million of the currency")
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
