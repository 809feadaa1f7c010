//! Which rows are the outbox: what a subscriber is to be told, how often that was tried, and when it was accepted?

use super::{own, subscription};
use crate::{Query, Row, args, query};
use ebb_model::id::{AccountId, EventId, InstanceId, SubscriptionId};
use ebb_model::time::Timestamp;

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An event of the account's log.
    Event,
    /// Whether the subscriber wants to be told.
    Confirmation,
    /// That it would be told.
    Test,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Event, Kind::Confirmation, Kind::Test];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Event => "event",
            Kind::Confirmation => "confirmation",
            Kind::Test => "test",
        }
    }
}

/// One thing that one subscriber is told. It is over when it was accepted or given up; until then it has a `due_at`.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    pub subscription: SubscriptionId,
    pub event: EventId,
    pub kind: Kind,
    /// When what it tells of happened.
    pub at: Timestamp,
    pub attempts: i64,
    pub due_at: Option<Timestamp>,
    pub tried_at: Option<Timestamp>,
    pub last_error: Option<String>,
    pub accepted_at: Option<Timestamp>,
    pub given_up_at: Option<Timestamp>,
}

pub fn read(row: &Row) -> Delivery {
    let at = |column| row.opt_int(column).map(Timestamp::from_micros);
    let known = |kind: &Kind| kind.name() == row.text("kind");
    Delivery {
        subscription: own(row.text("subscription_id")),
        event: own(row.text("event_id")),
        kind: Kind::ALL.into_iter().find(known).expect("a kind that this program wrote"),
        at: Timestamp::from_micros(row.int("at")),
        attempts: row.int("attempts"),
        due_at: at("due_at"),
        tried_at: at("tried_at"),
        last_error: row.opt_text("last_error").map(str::to_owned),
        accepted_at: at("accepted_at"),
        given_up_at: at("given_up_at"),
    }
}

/// An event is to be told to all who subscribed to it; written with the event itself.
pub fn tell(event: EventId, account: AccountId, at: Timestamp, name: &str) -> Query {
    query(
        "insert into delivery (subscription_id, event_id, kind, at, attempts, due_at) \
         select id, cast($1 as text), 'event', cast($2 as bigint), 0, cast($2 as bigint) from subscription \
         where account_id = $3 and state = 'confirmed' and (topics = '' or topics like '%,' || cast($4 as text) || ',%')",
        args![event.to_string(), at.micros(), account.to_string(), name],
    )
}

/// A question or a test, which is in no log.
pub fn ask(subscription: SubscriptionId, id: EventId, kind: Kind, at: Timestamp) -> Query {
    query(
        "insert into delivery (subscription_id, event_id, kind, at, attempts, due_at) values ($1, $2, $3, $4, 0, $4)",
        args![subscription.to_string(), id.to_string(), kind.name(), at.micros()],
    )
}

/// The subscribers of a kind who are to be told something by `now`, who waits longest first.
pub fn due(reached_by: subscription::Kind, now: Timestamp, limit: i64) -> Query {
    query(
        "select delivery.subscription_id as subscription_id, min(delivery.due_at) as due_at from delivery \
         join subscription on subscription.id = delivery.subscription_id \
         where delivery.due_at <= $1 and subscription.kind = $2 group by delivery.subscription_id order by 2, 1 limit $3",
        args![now.micros(), reached_by.name(), limit],
    )
}

pub fn read_due_at(row: &Row) -> Timestamp {
    Timestamp::from_micros(row.int("due_at"))
}

pub fn read_due(row: &Row) -> SubscriptionId {
    own(row.text("subscription_id"))
}

/// The first that is due, or will be.
pub fn first_due() -> Query {
    query("select due_at from delivery where due_at is not null order by due_at limit 1", args![])
}

/// The first that will be due after `now`.
pub fn next_due(now: Timestamp) -> Query {
    query("select due_at from delivery where due_at > $1 order by due_at limit 1", args![now.micros()])
}

/// What a subscriber is to be told first.
pub fn first_of(subscription: SubscriptionId, now: Timestamp) -> Query {
    query(
        "select * from delivery where subscription_id = $1 and due_at <= $2 order by due_at, event_id limit 1",
        args![subscription.to_string(), now.micros()],
    )
}

pub fn by_key(subscription: SubscriptionId, event: EventId) -> Query {
    query(
        "select * from delivery where subscription_id = $1 and event_id = $2",
        args![subscription.to_string(), event.to_string()],
    )
}

/// A page of what a subscriber was told or is to be told, oldest first, with the name of the event and its instance.
pub fn of_subscription(subscription: SubscriptionId, after: &str, limit: i64) -> Query {
    query(
        "select delivery.*, event.name as topic, event.instance_id as instance_id from delivery \
         left join event on event.id = delivery.event_id \
         where delivery.subscription_id = $1 and delivery.event_id > $2 order by delivery.event_id limit $3",
        args![subscription.to_string(), after, limit],
    )
}

/// What [`of_subscription`] adds: topic and instance.
pub fn read_about(row: &Row) -> (Option<String>, Option<InstanceId>) {
    (row.opt_text("topic").map(str::to_owned), row.opt_text("instance_id").map(own))
}

pub fn open_of(subscription: SubscriptionId, kind: Kind) -> Query {
    query(
        "select event_id from delivery where subscription_id = $1 and kind = $2 and due_at is not null limit 1",
        args![subscription.to_string(), kind.name()],
    )
}

/// Guard: writes what came of an attempt, if no other attempt was written down since this was read.
pub fn tried(before: &Delivery, after: &Delivery) -> Query {
    let at = |at: Option<Timestamp>| at.map(Timestamp::micros);
    query(
        "update delivery set attempts = $4, due_at = $5, tried_at = $6, last_error = $7, accepted_at = $8, given_up_at = $9 \
         where subscription_id = $1 and event_id = $2 and attempts = $3 and due_at is not null",
        args![
            before.subscription.to_string(),
            before.event.to_string(),
            before.attempts,
            after.attempts,
            at(after.due_at),
            at(after.tried_at),
            after.last_error.as_deref(),
            at(after.accepted_at),
            at(after.given_up_at)
        ],
    )
}

/// What a subscriber has not been told by now it is not told any more.
pub fn give_up(subscription: SubscriptionId, now: Timestamp, why: &str) -> Query {
    query(
        "update delivery set due_at = null, given_up_at = $2, last_error = coalesce(last_error, $3) \
         where subscription_id = $1 and due_at is not null and kind = 'event'",
        args![subscription.to_string(), now.micros(), why],
    )
}

pub fn delete_of(subscription: SubscriptionId) -> Query {
    query("delete from delivery where subscription_id = $1", args![subscription.to_string()])
}

pub fn forgettable(before: Timestamp) -> Query {
    query("select event_id from delivery where at < $1 and due_at is null limit 1", args![before.micros()])
}

/// What is over is kept for a while, for whoever wants to know whether it was told.
pub fn forget(before: Timestamp) -> Query {
    query("delete from delivery where at < $1 and due_at is null", args![before.micros()])
}
