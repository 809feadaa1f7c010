//! Which rows hold the hashes of passwords?

use crate::{Query, Row, args, query};
use ebb_model::id::InstanceId;

pub fn set(of: InstanceId, hash: &str) -> Query {
    query(
        "insert into password (instance_id, hash) values ($1, $2) on conflict (instance_id) do update set hash = excluded.hash",
        args![of.to_string(), hash],
    )
}

pub fn of(id: InstanceId) -> Query {
    query("select hash from password where instance_id = $1", args![id.to_string()])
}

pub fn read(row: &Row) -> String {
    row.text("hash").to_owned()
}

/// Its instance is gone.
pub fn forget(of: InstanceId) -> Query {
    query("delete from password where instance_id = $1", args![of.to_string()])
}
