//! Which rows hold security groups?

use super::many::Many;
use super::{json, own, own_json};
use crate::{Query, Row, args, query};
use ebb_model::id::{AccountId, SecurityGroupId};
use ebb_model::security_group::SecurityGroup;
use ebb_model::time::Timestamp;

pub fn read(row: &Row) -> SecurityGroup {
    SecurityGroup {
        id: own(row.text("id")),
        account: own(row.text("account_id")),
        name: row.text("name").to_owned(),
        rules: own_json(row.text("rules")),
        created_at: Timestamp::from_micros(row.int("created_at")),
        generation: row.int("generation"),
    }
}

/// Those of an account that were written down, by name.
pub fn of_account(account: AccountId) -> Query {
    query("select * from security_group where account_id = $1 order by name", args![account.to_string()])
}

pub fn by_ids(ids: impl IntoIterator<Item = SecurityGroupId>) -> Vec<Query> {
    static LOOK: Many = Many::new("select * from security_group where id in", 0);
    LOOK.ids(ids)
}

/// Guard: its rules, if nobody changed them since generation `seen`; one of generation 0 was not written down yet.
pub fn change(next: &SecurityGroup, seen: i64) -> Query {
    query(
        "insert into security_group (id, account_id, name, rules, generation, created_at) values ($1, $2, $3, $4, $5, $6) \
         on conflict (id) do update set rules = excluded.rules, generation = excluded.generation \
         where security_group.generation = $7",
        args![
            next.id.to_string(),
            next.account.to_string(),
            next.name.as_str(),
            json(&next.rules),
            next.generation,
            next.created_at.micros(),
            seen,
        ],
    )
}

/// Guard: it is there, and as it was read.
pub fn delete(of: &SecurityGroup) -> Query {
    query("delete from security_group where id = $1 and generation = $2", args![of.id.to_string(), of.generation])
}
