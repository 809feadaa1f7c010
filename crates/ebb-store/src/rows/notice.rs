//! Which rows say when each interruption notice was decided, committed, readable and read?

use crate::{Query, Row, args, query};
use ebb_model::id::InstanceId;
use ebb_model::instance::Cause;
use ebb_model::time::Timestamp;

/// The four instants of a notice, as far as they are known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Told {
    /// When it was decided that it be given.
    pub decided_at: Timestamp,
    /// When it was known to be committed; a process that died in between never knew.
    pub committed_at: Option<Timestamp>,
    pub readable_at: Option<Timestamp>,
    pub read_at: Option<Timestamp>,
}

/// Another notice of the same instant takes the place of the first: the operator's, of a drill.
///
/// A natural end may have been readable before it was announced here: hosts have their own clocks.
pub fn insert(id: InstanceId, cause: Cause, notice_at: Timestamp, deadline: Timestamp, decided_at: Timestamp) -> Query {
    query(
        "insert into notice (instance_id, notice_at, cause, deadline, decided_at, readable_at, read_at) \
         select id, cast($2 as bigint), cast($3 as text), cast($4 as bigint), cast($5 as bigint), \
         case when cast($3 as text) = 'lease-end' then notice_readable_at end, \
         case when cast($3 as text) = 'lease-end' then notice_read_at end from instance where id = $1 \
         on conflict (instance_id, notice_at) do update set cause = excluded.cause, deadline = excluded.deadline",
        args![id.to_string(), notice_at.micros(), cause.name(), deadline.micros(), decided_at.micros()],
    )
}

pub fn committed(id: InstanceId, notice_at: Timestamp, at: Timestamp) -> Query {
    query(
        "update notice set committed_at = coalesce(committed_at, $3) where instance_id = $1 and notice_at = $2",
        args![id.to_string(), notice_at.micros(), at.micros()],
    )
}

/// What the host saw of the newest notice.
pub fn see(id: InstanceId, readable_at: Option<Timestamp>, read_at: Option<Timestamp>) -> Query {
    query(
        "update notice set readable_at = coalesce(readable_at, $2), read_at = coalesce(read_at, $3) \
         where instance_id = $1 and notice_at = (select max(n.notice_at) from notice n where n.instance_id = $1)",
        args![id.to_string(), readable_at.map(Timestamp::micros), read_at.map(Timestamp::micros)],
    )
}

/// The newest notice of an instance.
pub fn newest(id: InstanceId) -> Query {
    query("select * from notice where instance_id = $1 order by notice_at desc limit 1", args![id.to_string()])
}

pub fn read(row: &Row) -> Told {
    let at = |name| row.opt_int(name).map(Timestamp::from_micros);
    Told {
        decided_at: Timestamp::from_micros(row.int("decided_at")),
        committed_at: at("committed_at"),
        readable_at: at("readable_at"),
        read_at: at("read_at"),
    }
}
