//! Which rows hold an account's log?

use super::{json, own, own_json};
use crate::{Query, Row, args, query};
use ebb_engine::event::Event;
use ebb_model::id::{AccountId, AddressId, EventId, InstanceId};
use ebb_model::time::Timestamp;
use ebb_model::volume::VolumeId;

/// An event as its row has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    pub id: EventId,
    pub account: AccountId,
    pub instance: Option<InstanceId>,
    pub at: Timestamp,
    pub body: String,
}

pub fn insert(id: EventId, account: AccountId, instance: Option<InstanceId>, at: Timestamp, event: &Event) -> Query {
    query(
        "insert into event (id, account_id, instance_id, at, name, body) values ($1, $2, $3, $4, $5, $6)",
        args![
            id.to_string(),
            account.to_string(),
            instance.map(|id| id.to_string()),
            at.micros(),
            event.name(),
            json(event)
        ],
    )
}

pub fn by_id(id: EventId) -> Query {
    query("select * from event where id = $1", args![id.to_string()])
}

/// A page of an account's log, oldest first.
pub fn of_account(account: AccountId, after: &str, limit: i64) -> Query {
    query(
        "select * from event where account_id = $1 and id > $2 order by id limit $3",
        args![account.to_string(), after, limit],
    )
}

/// All that the log has of one instance, oldest first; [`read_told`] reads it.
pub fn of_instance(account: AccountId, instance: InstanceId) -> Query {
    query(
        "select at, body from event where account_id = $1 and instance_id = $2 order by id",
        args![account.to_string(), instance.to_string()],
    )
}

/// The same of a data disk or a snapshot, with when its account was frozen and had paid.
pub fn of_volume(account: AccountId, volume: VolumeId) -> Query {
    query(
        "select at, body from event where account_id = $1 and (name in ('account-frozen', 'arrears-cleared') \
         or name like 'volume-%' and body like $2) order by id",
        args![account.to_string(), format!("%\"volume\":\"{volume}\"%")],
    )
}

/// The same of a public address.
pub fn of_address(account: AccountId, address: AddressId) -> Query {
    query(
        "select at, body from event where account_id = $1 and (name in ('account-frozen', 'arrears-cleared') \
         or name like 'address-%' and body like $2) order by id",
        args![account.to_string(), format!("%\"address\":\"{address}\"%")],
    )
}

pub fn read_told(row: &Row) -> (Timestamp, Event) {
    (Timestamp::from_micros(row.int("at")), own_json(row.text("body")))
}

/// A page of everybody's log.
pub fn page(after: &str, limit: i64) -> Query {
    query("select * from event where id > $1 order by id limit $2", args![after, limit])
}

/// The newest instant that was written down; the clock starts no earlier.
pub fn newest() -> Query {
    query("select id, at from event order by id desc limit 1", args![])
}

pub fn newest_id() -> Query {
    query("select id from event order by id desc limit 1", args![])
}

pub fn read(row: &Row) -> Logged {
    Logged {
        id: own(row.text("id")),
        account: own(row.text("account_id")),
        instance: row.opt_text("instance_id").map(own),
        at: Timestamp::from_micros(row.int("at")),
        body: row.text("body").to_owned(),
    }
}
