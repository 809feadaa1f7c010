//! Which rows say what the planner decided, for whom, and who had to go for it?

use super::{json, own, own_json};
use crate::{Query, Row, args, query};
use ebb_engine::placement::{Chosen, Decision};
use ebb_model::id::{DecisionId, InstanceId};
use ebb_model::instance::Cause;
use ebb_model::time::Timestamp;

/// A decision with what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    pub id: DecisionId,
    pub zone: String,
    pub cause: Cause,
    /// The order that wanted room; `None`: the operator did.
    pub order: Option<InstanceId>,
    pub at: Timestamp,
    pub decision: Decision,
}

pub fn insert(decided: &Decided) -> Query {
    query(
        "insert into decision (id, zone, cause, instance_id, at, body) values ($1, $2, $3, $4, $5, $6)",
        args![
            decided.id.to_string(),
            decided.zone.as_str(),
            decided.cause.name(),
            decided.order.map(|order| order.to_string()),
            decided.at.micros(),
            json(&decided.decision),
        ],
    )
}

pub fn read(row: &Row) -> Decided {
    Decided {
        id: own(row.text("id")),
        zone: row.text("zone").to_owned(),
        cause: own_json(&format!("\"{}\"", row.text("cause"))),
        order: row.opt_text("instance_id").map(own),
        at: Timestamp::from_micros(row.int("at")),
        decision: own_json(row.text("body")),
    }
}

/// Somebody had to go by a decision, for a cause of his own.
pub fn insert_victim(id: DecisionId, victim: &Chosen, cause: Cause) -> Query {
    query(
        "insert into decision_victim (instance_id, decision_id, rank, candidates, cause) values ($1, $2, $3, $4, $5)",
        args![victim.id.to_string(), id.to_string(), victim.rank as i64, victim.candidates as i64, cause.name()],
    )
}

/// Whether it went for an order of its own owner.
pub fn read_own(row: &Row) -> bool {
    row.opt_text("victim_cause") == Some(Cause::OwnOrder.name())
}

/// What was decided so that this order gets its room.
pub fn for_order(order: InstanceId) -> Query {
    query("select * from decision where instance_id = $1 order by id", args![order.to_string()])
}

/// The decisions by which this instance had to go, with its place as `rank` among `candidates`.
pub fn about_victim(victim: InstanceId) -> Query {
    query(
        "select d.*, v.rank, v.candidates, v.cause as victim_cause from decision_victim v join decision d on d.id = v.decision_id \
         where v.instance_id = $1 order by d.id",
        args![victim.to_string()],
    )
}
