//! Which rows hold a budget, and what was told of it?

use super::{exact, json, own_json};
use crate::{Query, Row, args, query};
use ebb_engine::budget::Budget;
use ebb_engine::spending::Ended;
use ebb_model::id::AccountId;
use ebb_model::money::Amount;
use ebb_model::time::{Second, Timestamp};

/// What is told of a month once, beside shares: that more is expected.
pub const EXPECTED: &str = "expected";

pub fn of(account: AccountId) -> Query {
    query("select * from budget where account_id = $1", args![account.to_string()])
}

pub fn read(row: &Row) -> Budget {
    Budget {
        amount: Amount::from_units(row.int("amount")),
        alerts: own_json(row.text("alerts")),
        expected: row.int("expected") == 1,
        set_at: Second::from_unix(row.int("set_at")),
    }
}

/// Sets it anew; what was told of the one before is not told of this one.
pub fn set(account: AccountId, budget: &Budget) -> Vec<Query> {
    let put = query(
        "insert into budget (account_id, amount, alerts, expected, set_at) values ($1, $2, $3, $4, $5) \
         on conflict (account_id) do update set amount = excluded.amount, alerts = excluded.alerts, \
         expected = excluded.expected, set_at = excluded.set_at",
        args![
            account.to_string(),
            budget.amount.units(),
            json(&budget.alerts),
            i64::from(budget.expected),
            budget.set_at.unix()
        ],
    );
    vec![forget(account), put]
}

pub fn remove(account: AccountId) -> Vec<Query> {
    vec![
        forget(account),
        query("delete from budget where account_id = $1", args![account.to_string()]),
        // A spending cap goes on to need it.
        query(
            "delete from month_spending where account_id = $1 \
             and not exists (select 1 from spending_cap c where c.account_id = $1)",
            args![account.to_string()],
        ),
    ]
}

fn forget(account: AccountId) -> Query {
    query("delete from budget_told where account_id = $1", args![account.to_string()])
}

pub fn told(account: AccountId, month: Second) -> Query {
    query(
        "select what, at from budget_told where account_id = $1 and month = $2 order by at, what",
        args![account.to_string(), month.unix()],
    )
}

/// Of all months.
pub fn all_told(account: AccountId) -> Query {
    query("select what, at from budget_told where account_id = $1 order by at, what", args![account.to_string()])
}

/// What was told, and of which second.
pub fn read_told(row: &Row) -> (String, Second) {
    (row.text("what").to_owned(), Second::from_unix(row.int("at")))
}

/// Guard: it is told of the budget that was set then, and once.
pub fn tell(account: AccountId, set_at: Second, month: Second, what: &str, at: Second) -> Query {
    query(
        "insert into budget_told (account_id, month, what, at) \
         select account_id, cast($2 as bigint), cast($3 as text), cast($4 as bigint) from budget \
         where account_id = $1 and set_at = $5 on conflict (account_id, month, what) do nothing",
        args![account.to_string(), month.unix(), what, at.unix(), set_at.unix()],
    )
}

/// Has the budget looked at by an instant; nothing, if there is none.
pub fn wake(kind: &str, account: AccountId, at: Timestamp) -> Query {
    query(
        "insert into alarm (kind, subject, due_at) select cast($2 as text), account_id, cast($3 as bigint) from budget \
         where account_id = $1 on conflict (kind, subject) do update set due_at = \
         case when alarm.due_at < excluded.due_at then alarm.due_at else excluded.due_at end",
        args![account.to_string(), kind, at.micros()],
    )
}

/// What was paid in advance in a time, and when.
pub fn in_advance(account: AccountId, since: Second, until: Second) -> Query {
    query(
        "select issued_at, payable from bill_record where account_id = $1 and meter = 'subscription' \
         and issued_at >= $2 and issued_at < $3 order by issued_at",
        args![account.to_string(), since.unix(), until.unix()],
    )
}

/// It is payable when its second is over.
pub fn read_in_advance(row: &Row) -> Ended {
    Ended { of: None, at: Second::from_unix(row.int("issued_at")).plus(1), payable: exact(row.int("payable")) }
}
