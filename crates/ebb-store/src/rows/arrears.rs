//! Which rows hold the times in which an account owed, and what of them was carried out?

use super::own;
use crate::{Query, Row, args, query};
use ebb_engine::arrears::{Arrears, Frozen};
use ebb_model::id::AccountId;
use ebb_model::time::{Period, Second, Timestamp};

/// One of them as its row has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub account: AccountId,
    /// Counts those of the account.
    pub number: i64,
    pub arrears: Arrears,
    /// Of the next step its owner was told so many days before, at the least.
    pub warned_days: Option<i64>,
    pub cleared: Option<Second>,
}

impl Known {
    /// The grace that it used, once that is over.
    pub fn grace(&self) -> Option<Period> {
        let frozen = self.arrears.frozen.map(|frozen| frozen.since);
        let until = frozen.into_iter().chain(self.cleared).min()?;
        Period::new(self.arrears.since, until)
    }
}

pub fn read(row: &Row) -> Known {
    let second = |column: &str| row.opt_int(column).map(Second::from_unix);
    let frozen = second("frozen_since").zip(second("frozen_until"));
    Known {
        account: own(row.text("account_id")),
        number: row.int("number"),
        arrears: Arrears {
            since: Second::from_unix(row.int("since")),
            grace_until: Second::from_unix(row.int("grace_until")),
            frozen: frozen.map(|(since, until)| Frozen { since, until }),
            released: second("released_at"),
        },
        warned_days: row.opt_int("warned_days"),
        cleared: second("cleared_at"),
    }
}

/// Those in which an account is now; at most one.
pub fn open_of(account: AccountId) -> Query {
    query("select * from arrears where account_id = $1 and cleared_at is null", args![account.to_string()])
}

/// Those that ended after a second, and the newest.
pub fn since(account: AccountId, at: Second) -> Query {
    query(
        "select * from arrears where account_id = $1 and (cleared_at > $2 or number = \
         (select max(number) from arrears where account_id = $1)) order by number",
        args![account.to_string(), at.unix()],
    )
}

/// Guard: they begin, unless they have begun.
pub fn insert(account: AccountId, number: i64, new: &Arrears) -> Query {
    query(
        "insert into arrears (account_id, number, since, grace_until) values ($1, $2, $3, $4) on conflict do nothing",
        args![account.to_string(), number, new.since.unix(), new.grace_until.unix()],
    )
}

/// Guard: its owner is told, once.
pub fn warn(of: &Known, days: i64) -> Query {
    query(
        "update arrears set warned_days = $3 where account_id = $1 and number = $2 and cleared_at is null \
         and coalesce(warned_days, 1000) > $3",
        args![of.account.to_string(), of.number, days],
    )
}

/// Guard: the account is frozen, once.
pub fn freeze(of: &Known, frozen: &Frozen) -> Query {
    query(
        "update arrears set frozen_since = $3, frozen_until = $4, warned_days = null where account_id = $1 \
         and number = $2 and cleared_at is null and frozen_since is null",
        args![of.account.to_string(), of.number, frozen.since.unix(), frozen.until.unix()],
    )
}

/// Guard: what was frozen is released, once.
pub fn release(of: &Known, at: Second) -> Query {
    query(
        "update arrears set released_at = $3 where account_id = $1 and number = $2 and cleared_at is null \
         and released_at is null",
        args![of.account.to_string(), of.number, at.unix()],
    )
}

/// Guard: the debt is paid, once.
pub fn clear(of: &Known, at: Second) -> Query {
    query(
        "update arrears set cleared_at = $3 where account_id = $1 and number = $2 and cleared_at is null",
        args![of.account.to_string(), of.number, at.unix()],
    )
}

/// Has an account looked after at an instant, or before; nothing, if it is not in arrears.
pub fn wake(kind: &str, account: AccountId, at: Timestamp) -> Query {
    query(
        "insert into alarm (kind, subject, due_at) select cast($2 as text), account_id, cast($3 as bigint) from arrears \
         where account_id = $1 and cleared_at is null on conflict (kind, subject) do update set due_at = \
         case when alarm.due_at < excluded.due_at then alarm.due_at else excluded.due_at end",
        args![account.to_string(), kind, at.micros()],
    )
}
