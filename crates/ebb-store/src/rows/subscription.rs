//! Which rows say where an account is told what happens to its instances?

use super::own;
use crate::{Query, Row, args, query};
use ebb_model::id::{AccountId, SubscriptionId};
use ebb_model::time::Timestamp;

/// How the subscriber is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Webhook,
    Email,
}

impl Kind {
    pub const ALL: [Kind; 2] = [Kind::Webhook, Kind::Email];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Webhook => "webhook",
            Kind::Email => "email",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing but the question whether it wants to be told is sent there.
    Pending,
    Confirmed,
    /// It took nothing for too long, or said that it is gone.
    Paused,
    /// Kept for a day, because how often somebody subscribes is limited.
    Deleted,
}

impl State {
    const ALL: [State; 4] = [State::Pending, State::Confirmed, State::Paused, State::Deleted];

    pub fn name(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Confirmed => "confirmed",
            State::Paused => "paused",
            State::Deleted => "deleted",
        }
    }
}

/// A subscription as its row has it. Its secret is in no row.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    pub id: SubscriptionId,
    pub account: AccountId,
    pub kind: Kind,
    pub address: String,
    /// None: all.
    pub topics: Vec<String>,
    pub state: State,
    pub secret_hash: String,
    pub created_at: Timestamp,
    pub confirmed_at: Option<Timestamp>,
    /// Since when it has accepted nothing.
    pub failing_since: Option<Timestamp>,
    pub paused_because: Option<String>,
}

pub fn read(row: &Row) -> Subscription {
    let at = |column| row.opt_int(column).map(Timestamp::from_micros);
    let known = |state: &State| state.name() == row.text("state");
    Subscription {
        id: own(row.text("id")),
        account: own(row.text("account_id")),
        kind: if row.text("kind") == Kind::Email.name() { Kind::Email } else { Kind::Webhook },
        address: row.text("address").to_owned(),
        topics: row.text("topics").split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        state: State::ALL.into_iter().find(known).expect("a state that this program wrote"),
        secret_hash: row.text("secret_hash").to_owned(),
        created_at: Timestamp::from_micros(row.int("created_at")),
        confirmed_at: at("confirmed_at"),
        failing_since: at("failing_since"),
        paused_because: row.opt_text("paused_because").map(str::to_owned),
    }
}

pub fn by_id(id: SubscriptionId) -> Query {
    query("select * from subscription where id = $1 and state <> 'deleted'", args![id.to_string()])
}

/// Those of an account, and those that it deleted a short time ago.
pub fn of_account(account: AccountId) -> Query {
    query("select * from subscription where account_id = $1 order by id", args![account.to_string()])
}

pub fn insert(new: &Subscription) -> Query {
    let topics = if new.topics.is_empty() { String::new() } else { format!(",{},", new.topics.join(",")) };
    query(
        "insert into subscription (id, account_id, kind, address, topics, state, secret_hash, created_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        args![
            new.id.to_string(),
            new.account.to_string(),
            new.kind.name(),
            new.address.as_str(),
            topics,
            new.state.name(),
            new.secret_hash.as_str(),
            new.created_at.micros()
        ],
    )
}

/// Guard: it is still there.
pub fn delete(id: SubscriptionId) -> Query {
    query("update subscription set state = 'deleted' where id = $1 and state <> 'deleted'", args![id.to_string()])
}

/// It wants to be told, or takes again what it is sent.
pub fn accept(id: SubscriptionId, now: Timestamp) -> Query {
    query(
        "update subscription set state = 'confirmed', confirmed_at = coalesce(confirmed_at, $2), failing_since = null, \
         paused_because = null where id = $1 and state <> 'deleted'",
        args![id.to_string(), now.micros()],
    )
}

pub fn clear_failing(id: SubscriptionId) -> Query {
    query("update subscription set failing_since = null where id = $1", args![id.to_string()])
}

pub fn set_failing(id: SubscriptionId, since: Timestamp) -> Query {
    query(
        "update subscription set failing_since = coalesce(failing_since, $2) where id = $1",
        args![id.to_string(), since.micros()],
    )
}

pub fn pause(id: SubscriptionId, because: &str) -> Query {
    query(
        "update subscription set state = 'paused', paused_because = $2 where id = $1 and state = 'confirmed'",
        args![id.to_string(), because],
    )
}

pub fn forgettable(pending_before: Timestamp, deleted_before: Timestamp) -> Query {
    query(
        "select id from subscription where state = 'pending' and created_at < $1 or state = 'deleted' and created_at < $2 limit 1",
        args![pending_before.micros(), deleted_before.micros()],
    )
}

/// Those that were never confirmed, or deleted, and that nothing counts any more.
pub fn forget(pending_before: Timestamp, deleted_before: Timestamp) -> Query {
    query(
        "delete from subscription where state = 'pending' and created_at < $1 or state = 'deleted' and created_at < $2",
        args![pending_before.micros(), deleted_before.micros()],
    )
}
