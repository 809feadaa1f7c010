//! Which rows hold what the operator needs of a zone, and what there is?

use super::{json, own, own_json};
use crate::{Query, Row, args, query};
use ebb_model::id::AccountId;
use ebb_model::resources::Resources;
use ebb_model::time::Timestamp;

/// So much is to be free in a zone from an instant on.
#[derive(Debug, Clone, PartialEq)]
pub struct Shortage {
    pub zone: String,
    pub free: Resources,
    pub at: Timestamp,
    pub urgent: bool,
    pub declared_at: Timestamp,
    /// When its notices went out.
    pub noticed_at: Option<Timestamp>,
}

pub fn read(row: &Row) -> Shortage {
    Shortage {
        zone: row.text("zone").to_owned(),
        free: own_json(row.text("free")),
        at: Timestamp::from_micros(row.int("at")),
        urgent: row.int("urgent") == 1,
        declared_at: Timestamp::from_micros(row.int("declared_at")),
        noticed_at: row.opt_int("noticed_at").map(Timestamp::from_micros),
    }
}

/// A zone has one at most; a later one takes its place.
pub fn declare(shortage: &Shortage) -> Query {
    query(
        "insert into shortage (zone, free, at, urgent, declared_at, noticed_at) values ($1, $2, $3, $4, $5, $6) \
         on conflict (zone) do update set free = excluded.free, at = excluded.at, urgent = excluded.urgent, \
         declared_at = excluded.declared_at, noticed_at = excluded.noticed_at",
        args![
            shortage.zone.as_str(),
            json(&shortage.free),
            shortage.at.micros(),
            i64::from(shortage.urgent),
            shortage.declared_at.micros(),
            shortage.noticed_at.map(Timestamp::micros),
        ],
    )
}

pub fn shortages() -> Query {
    query("select * from shortage order by zone", args![])
}

pub fn shortage_in(zone: &str) -> Query {
    query("select * from shortage where zone = $1", args![zone])
}

pub fn end(zone: &str) -> Query {
    query("delete from shortage where zone = $1", args![zone])
}

/// An account's order took of a zone's reserve what nobody could give back then.
pub fn took_of_reserve(zone: &str, account: AccountId, at: Timestamp) -> Query {
    query(
        "insert into reserve_taken (zone, account_id, at) values ($1, $2, $3) \
         on conflict (zone, account_id) do update set at = excluded.at",
        args![zone, account.to_string(), at.micros()],
    )
}

/// The accounts that did, since the reserve last fitted.
pub fn takers_of_reserve(zone: &str) -> Query {
    query("select account_id, at from reserve_taken where zone = $1 order by account_id", args![zone])
}

pub fn read_taker(row: &Row) -> (AccountId, Timestamp) {
    (own(row.text("account_id")), Timestamp::from_micros(row.int("at")))
}

/// The reserve fits again; what was taken of it until then is given back.
pub fn reserve_fits(zone: &str, until: Timestamp) -> Query {
    query("delete from reserve_taken where zone = $1 and at <= $2", args![zone, until.micros()])
}

/// The room of all hosts of a zone.
pub fn rooms(zone: &str) -> Query {
    query("select r.* from host_room r join host h on h.id = r.host_id where h.zone = $1", args![zone])
}
