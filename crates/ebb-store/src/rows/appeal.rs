//! Which rows hold that somebody disagrees with a refusal, and what the operator said?

use super::own;
use crate::{Query, Row, args, query};
use ebb_model::id::{AccountId, AppealId};
use ebb_model::time::Timestamp;

#[derive(Debug, Clone, PartialEq)]
pub struct Appeal {
    pub id: AppealId,
    pub account: AccountId,
    pub made_at: Timestamp,
    /// None where the operator overruled without being asked.
    pub words: Option<String>,
    pub decided: Option<Decided>,
    /// When the claim was made that it allowed.
    pub used_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    pub at: Timestamp,
    /// The operator's key.
    pub by: String,
    /// `overruled` or `rejected`.
    pub decision: String,
    pub reason: String,
    /// The codes of the refusals that an overrule lifts.
    pub lifts: Vec<String>,
}

pub fn read(row: &Row) -> Appeal {
    let instant = |column: &str| row.opt_int(column).map(Timestamp::from_micros);
    let text = |column: &str| row.text(column).to_owned();
    Appeal {
        id: own(row.text("id")),
        account: own(row.text("account_id")),
        made_at: Timestamp::from_micros(row.int("made_at")),
        words: row.opt_text("words").map(str::to_owned),
        decided: instant("decided_at").map(|at| Decided {
            at,
            by: text("decided_by"),
            decision: text("decision"),
            reason: text("reason"),
            lifts: row.opt_text("lifts").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
        }),
        used_at: instant("used_at"),
    }
}

pub fn insert(appeal: &Appeal) -> Query {
    let decided = appeal.decided.as_ref();
    query(
        "insert into appeal (id, account_id, made_at, words, decided_at, decided_by, decision, reason, lifts) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        args![
            appeal.id.to_string(),
            appeal.account.to_string(),
            appeal.made_at.micros(),
            appeal.words.clone(),
            decided.map(|decided| decided.at.micros()),
            decided.map(|decided| decided.by.clone()),
            decided.map(|decided| decided.decision.clone()),
            decided.map(|decided| decided.reason.clone()),
            decided.map(|decided| decided.lifts.join(" ")),
        ],
    )
}

/// Guard: nobody decided it meanwhile.
pub fn decide(id: AppealId, decided: &Decided) -> Query {
    query(
        "update appeal set decided_at = $2, decided_by = $3, decision = $4, reason = $5, lifts = $6 where id = $1 and decided_at is null",
        args![
            id.to_string(),
            decided.at.micros(),
            decided.by.as_str(),
            decided.decision.as_str(),
            decided.reason.as_str(),
            decided.lifts.join(" ")
        ],
    )
}

pub fn of_account(account: AccountId, after: &str, limit: i64) -> Query {
    query(
        "select * from appeal where account_id = $1 and id > $2 order by id limit $3",
        args![account.to_string(), after, limit],
    )
}

/// Those that wait for the operator, the oldest first.
pub fn waiting(after: &str, limit: i64) -> Query {
    query("select * from appeal where decided_at is null and id > $1 order by id limit $2", args![after, limit])
}

pub fn waiting_of(account: AccountId) -> Query {
    query("select * from appeal where account_id = $1 and decided_at is null", args![account.to_string()])
}

/// The operator's newest word that lets an account claim, if it was not used yet.
pub fn overrule_of(account: AccountId) -> Query {
    query(
        "select * from appeal where account_id = $1 and decision = 'overruled' and used_at is null \
         order by decided_at desc, id desc limit 1",
        args![account.to_string()],
    )
}

/// Guard: it lets one claim pass.
pub fn use_up(id: AppealId, at: Timestamp) -> Query {
    query("update appeal set used_at = $2 where id = $1 and used_at is null", args![id.to_string(), at.micros()])
}
