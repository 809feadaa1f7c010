//! Which rows say what was given back of bill records?

use super::own;
use crate::{Query, Row, args, query};
use ebb_model::billing::{Adjustment, GivenBack};
use ebb_model::id::{AccountId, RecordId};
use ebb_model::money::Amount;
use ebb_model::time::{Second, Timestamp};

pub fn insert(adjustment: &Adjustment) -> Query {
    let back = &adjustment.back;
    query(
        "insert into adjustment (id, account_id, record_id, at, debt, cash, granted, expired, open_since, reason, author) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        args![
            adjustment.id.to_string(),
            adjustment.account.to_string(),
            adjustment.record.to_string(),
            adjustment.at.micros(),
            back.debt.units(),
            back.cash.units(),
            back.grant.units(),
            back.expired.units(),
            adjustment.open_since.unix(),
            adjustment.reason.as_str(),
            adjustment.by.as_str(),
        ],
    )
}

pub fn read(row: &Row) -> Adjustment {
    let amount = |name: &str| Amount::from_units(row.int(name));
    Adjustment {
        id: own(row.text("id")),
        account: own(row.text("account_id")),
        record: own(row.text("record_id")),
        at: Timestamp::from_micros(row.int("at")),
        back: GivenBack {
            debt: amount("debt"),
            cash: amount("cash"),
            grant: amount("granted"),
            expired: amount("expired"),
        },
        open_since: Second::from_unix(row.int("open_since")),
        reason: row.text("reason").to_owned(),
        by: row.text("author").to_owned(),
    }
}

/// Oldest first.
pub fn of_record(id: RecordId) -> Query {
    query("select * from adjustment where record_id = $1 order by id", args![id.to_string()])
}

/// A page of an account's, oldest first.
pub fn of_account(account: AccountId, after: &str, limit: i64) -> Query {
    query(
        "select * from adjustment where account_id = $1 and id > $2 order by id limit $3",
        args![account.to_string(), after, limit],
    )
}

/// All that was given back to an account, as the row of [`read_sum`].
pub fn sum(account: AccountId) -> Query {
    query(
        "select cast(coalesce(sum(debt), 0) as bigint) as debt, cast(coalesce(sum(cash), 0) as bigint) as cash, \
         cast(coalesce(sum(granted), 0) as bigint) as granted, cast(coalesce(sum(expired), 0) as bigint) as expired \
         from adjustment where account_id = $1",
        args![account.to_string()],
    )
}

pub fn read_sum(row: &Row) -> GivenBack {
    let amount = |name: &str| Amount::from_units(row.int(name));
    GivenBack { debt: amount("debt"), cash: amount("cash"), grant: amount("granted"), expired: amount("expired") }
}
