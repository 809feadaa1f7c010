//! Which rows hold what was said about a host, and who said it?

use super::{json, own_json};
use crate::{Query, Row, args, query};
use ebb_engine::lending::{HostEvent, Lending};
use ebb_model::id::{EventId, HostId};
use ebb_model::time::Timestamp;

/// Guard: what is said of a host now, if nobody said anything since `before` was read.
pub fn say(host: HostId, before: &Lending, now: &Lending) -> Query {
    query(
        "update host set lending = $3 where id = $1 and lending = $2",
        args![host.to_string(), json(before), json(now)],
    )
}

/// Guard: nothing was said about a host since its row was read.
pub fn unsaid(host: &Row) -> Query {
    query(
        "update host set lending = lending where id = $1 and lending = $2 and state = $3",
        args![host.text("id"), host.text("lending"), host.text("state")],
    )
}

/// Guard: nothing is awaited from the host any more, unless it was heard since.
pub fn lose(host: HostId, seen_at: Timestamp) -> Query {
    query("update host set state = 'lost' where id = $1 and seen_at = $2", args![host.to_string(), seen_at.micros()])
}

/// A line of a host's log; `who` is a key's id, or `host`.
pub fn log(id: EventId, host: HostId, at: Timestamp, who: &str, event: &HostEvent) -> Query {
    query(
        "insert into host_event (id, host_id, at, who, body) values ($1, $2, $3, $4, $5)",
        args![id.to_string(), host.to_string(), at.micros(), who, json(event)],
    )
}

/// A host's newest lines.
pub fn newest(host: HostId, limit: i64) -> Query {
    query("select * from host_event where host_id = $1 order by id desc limit $2", args![host.to_string(), limit])
}

pub fn read(row: &Row) -> (Timestamp, String, HostEvent) {
    (Timestamp::from_micros(row.int("at")), row.text("who").to_owned(), own_json(row.text("body")))
}
