//! Which rows say what becomes of a trial at its end, and of what its owner was warned?

use super::{exact, own_json, units};
use crate::{Query, Row, args, query};
use ebb_model::id::AccountId;
use ebb_model::money::Exact;
use ebb_model::time::{Second, Timestamp};
use ebb_model::trial::{AtEnd, Ending, Over};

pub fn ending(account: AccountId) -> Query {
    query("select * from trial_ending where account_id = $1", args![account.to_string()])
}

/// What there is no row of was never chosen, and has not ended.
pub fn read_ending(row: Option<&Row>) -> Ending {
    let Some(row) = row else { return Ending::default() };
    let ended_by: Option<Over> = row.opt_text("ended_by").map(|name| own_json(&format!("\"{name}\"")));
    Ending {
        choice: own_json(&format!("\"{}\"", row.text("choice"))),
        ended: row.opt_int("ended_at").map(Second::from_unix).zip(ended_by),
        expired: row.opt_int("expired").map(exact),
    }
}

/// Guard: chooses, unless it is too late.
pub fn choose(account: AccountId, choice: AtEnd) -> Query {
    query(
        "insert into trial_ending (account_id, choice) values ($1, $2) on conflict (account_id) do update set \
         choice = excluded.choice where trial_ending.ended_at is null",
        args![account.to_string(), choice.name()],
    )
}

/// Guard: it ends, once.
pub fn end(account: AccountId, choice: AtEnd, at: Second, by: Over) -> Query {
    query(
        "insert into trial_ending (account_id, choice, ended_at, ended_by) values ($1, $2, $3, $4) \
         on conflict (account_id) do update set ended_at = excluded.ended_at, ended_by = excluded.ended_by \
         where trial_ending.ended_at is null",
        args![account.to_string(), choice.name(), at.unix(), by.name()],
    )
}

/// Guard: what is left expires, once.
pub fn expire(account: AccountId, choice: AtEnd, left: Exact) -> Query {
    query(
        "insert into trial_ending (account_id, choice, expired) values ($1, $2, $3) \
         on conflict (account_id) do update set expired = excluded.expired where trial_ending.expired is null",
        args![account.to_string(), choice.name(), units(left)],
    )
}

/// What comes back to a grant that is over is gone, too.
pub fn expire_more(account: AccountId, more: Exact) -> Query {
    query(
        "update trial_ending set expired = expired + $2 where account_id = $1 and expired is not null",
        args![account.to_string(), units(more)],
    )
}

/// Of what the owner was warned.
pub fn warnings(account: AccountId) -> Query {
    query("select warning from trial_warning where account_id = $1", args![account.to_string()])
}

pub fn read_warning(row: &Row) -> String {
    row.text("warning").to_owned()
}

/// Guard: warns of this, once.
pub fn warn(account: AccountId, warning: &str, at: Timestamp) -> Query {
    query(
        "insert into trial_warning (account_id, warning, at) values ($1, $2, $3) on conflict do nothing",
        args![account.to_string(), warning, at.micros()],
    )
}

/// The first second of the account that was charged, as `since`.
pub fn first_charged(account: AccountId) -> Query {
    query("select min(since) as since from span where account_id = $1 and until > since", args![account.to_string()])
}

/// The first second of a closed hour that a grant might pay for, as `since`.
pub fn first_covered(account: AccountId) -> Query {
    query(
        "select min(since) as since from bill_record where account_id = $1 and covered = 1",
        args![account.to_string()],
    )
}

pub fn read_since(row: &Row) -> Option<Second> {
    row.opt_int("since").map(Second::from_unix)
}
