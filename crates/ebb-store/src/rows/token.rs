//! Which rows make a repeated request harmless, and which one names the installation?

use crate::{Query, Row, args, query};
use ebb_model::time::Timestamp;

/// How long the answer to a client token is kept (rules §5.6).
pub const TOKEN_HOURS: i64 = 24;

pub fn by_token(principal: &str, token: &str, now: Timestamp) -> Query {
    query(
        "select request, answer from token where principal = $1 and token = $2 and at > $3",
        args![principal, token, now.plus_seconds(-TOKEN_HOURS * 3_600).micros()],
    )
}

/// Guard: the first to use the token. `request` is a digest of what was asked; the same token under another body is refused.
pub fn insert(principal: &str, token: &str, request: &str, answer: &str, at: Timestamp) -> Query {
    query(
        "insert into token (principal, token, request, answer, at) values ($1, $2, $3, $4, $5) \
         on conflict (principal, token) do update set request = excluded.request, answer = excluded.answer, \
         at = excluded.at where token.at <= $6",
        args![principal, token, request, answer, at.micros(), at.plus_seconds(-TOKEN_HOURS * 3_600).micros()],
    )
}

/// The digest of the request that a token stood for, and its answer.
pub fn read(row: &Row) -> (String, String) {
    (row.text("request").to_owned(), row.text("answer").to_owned())
}

pub fn installation() -> Query {
    query("select * from installation", args![])
}

pub fn insert_installation(id: &str, at: Timestamp) -> Query {
    query("insert into installation (id, epoch, created_at) values ($1, 1, $2)", args![id, at.micros()])
}

/// What it counts in and whose days it keeps, from now on.
pub fn set_terms(currency: &str, time_zone: &str) -> Query {
    query("update installation set currency = $1, time_zone = $2", args![currency, time_zone])
}

pub fn raise_epoch() -> Query {
    query("update installation set epoch = epoch + 1", args![])
}
