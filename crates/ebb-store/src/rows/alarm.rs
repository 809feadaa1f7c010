//! Which rows say that something is to be done at an instant, beside what instances and accounts wait for themselves?

use crate::{Query, Row, args, query};
use ebb_model::time::Timestamp;

/// Something to be done; at most one of a kind about a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    pub kind: String,
    pub subject: String,
    pub due_at: Timestamp,
}

pub fn read(row: &Row) -> Alarm {
    Alarm {
        kind: row.text("kind").to_owned(),
        subject: row.text("subject").to_owned(),
        due_at: Timestamp::from_micros(row.int("due_at")),
    }
}

/// The one that is due first.
pub fn next() -> Query {
    query("select * from alarm order by due_at, kind, subject limit 1", args![])
}

pub fn of(kind: &str, subject: &str) -> Query {
    query("select * from alarm where kind = $1 and subject = $2", args![kind, subject])
}

/// Sets it anew, whatever it was.
pub fn set(kind: &str, subject: &str, due_at: Timestamp) -> Query {
    query(
        "insert into alarm (kind, subject, due_at) values ($1, $2, $3) \
         on conflict (kind, subject) do update set due_at = excluded.due_at",
        args![kind, subject, due_at.micros()],
    )
}

/// Sets it unless it is due earlier already.
pub fn set_at_latest(kind: &str, subject: &str, due_at: Timestamp) -> Query {
    query(
        "insert into alarm (kind, subject, due_at) values ($1, $2, $3) on conflict (kind, subject) do update set due_at = \
         case when alarm.due_at < excluded.due_at then alarm.due_at else excluded.due_at end",
        args![kind, subject, due_at.micros()],
    )
}

pub fn clear(kind: &str, subject: &str) -> Query {
    query("delete from alarm where kind = $1 and subject = $2", args![kind, subject])
}

/// It was carried out; what was set meanwhile stays.
pub fn done(alarm: &Alarm) -> Query {
    query(
        "delete from alarm where kind = $1 and subject = $2 and due_at = $3",
        args![alarm.kind.as_str(), alarm.subject.as_str(), alarm.due_at.micros()],
    )
}
