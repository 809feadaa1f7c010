//! Which rows hold drills: what was asked, what came of each instance, what counts against the next, and schedules?

use super::{json, own, own_json};
use crate::{Query, Row, args, query};
use ebb_engine::drill::Ask;
use ebb_model::id::{AccountId, DrillId, InstanceId, ScheduleId};
use ebb_model::time::{Second, Timestamp};
use ebb_model::week::Week;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq)]
pub struct Drill {
    pub id: DrillId,
    pub account: AccountId,
    /// What asked for it, if no person did.
    pub schedule: Option<ScheduleId>,
    pub asked_at: Timestamp,
    pub ask: Ask,
}

/// What a drill meant for one instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub drill: DrillId,
    pub instance: InstanceId,
    /// Why it was left alone; `None`: it was given notice.
    pub refusal: Option<Refusal>,
    /// What it may have for free, and from its release on what it had.
    pub free_seconds: i64,
    /// The guest powered itself off under the notice.
    pub stopped_at: Option<Timestamp>,
    /// It said that it need not wait for the deadline.
    pub approved_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    pub code: String,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pub id: ScheduleId,
    pub account: AccountId,
    pub created_at: Timestamp,
    pub ask: Ask,
    pub every_seconds: i64,
    pub week: Option<Week>,
    pub next_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

pub fn insert(drill: &Drill) -> Query {
    query(
        "insert into drill (id, account_id, schedule_id, asked_at, ask) values ($1, $2, $3, $4, $5)",
        args![
            drill.id.to_string(),
            drill.account.to_string(),
            drill.schedule.map(|id| id.to_string()),
            drill.asked_at.micros(),
            json(&drill.ask)
        ],
    )
}

pub fn by_id(id: DrillId) -> Query {
    query("select * from drill where id = $1", args![id.to_string()])
}

/// A page of an account's drills, newest last.
pub fn of_account(account: AccountId, after: &str, limit: i64) -> Query {
    query(
        "select * from drill where account_id = $1 and id > $2 order by id limit $3",
        args![account.to_string(), after, limit],
    )
}

pub fn read(row: &Row) -> Drill {
    Drill {
        id: own(row.text("id")),
        account: own(row.text("account_id")),
        schedule: row.opt_text("schedule_id").map(own),
        asked_at: Timestamp::from_micros(row.int("asked_at")),
        ask: own_json(row.text("ask")),
    }
}

pub fn insert_part(part: &Part, of: &Drill) -> Query {
    query(
        "insert into drill_part (drill_id, instance_id, account_id, asked_at, refusal, free_seconds) \
         values ($1, $2, $3, $4, $5, $6)",
        args![
            part.drill.to_string(),
            part.instance.to_string(),
            of.account.to_string(),
            of.asked_at.micros(),
            part.refusal.as_ref().map(json),
            part.free_seconds
        ],
    )
}

/// The parts of a drill, each with its instance.
pub fn parts_of(id: DrillId) -> Query {
    query(
        "select i.*, p.drill_id, p.refusal, p.free_seconds, p.stopped_at, p.approved_at from drill_part p \
         join instance i on i.id = p.instance_id where p.drill_id = $1 order by i.id",
        args![id.to_string()],
    )
}

/// A row of [`parts_of`].
pub fn read_part(row: &Row) -> Part {
    Part {
        drill: own(row.text("drill_id")),
        instance: own(row.text("id")),
        refusal: row.opt_text("refusal").map(own_json),
        free_seconds: row.int("free_seconds"),
        stopped_at: row.opt_int("stopped_at").map(Timestamp::from_micros),
        approved_at: row.opt_int("approved_at").map(Timestamp::from_micros),
    }
}

/// How many instances of an account were interrupted since then, and what they were allotted, as `taken` and `free`.
pub fn taken_since(account: AccountId, since: Second) -> Query {
    query(
        "select count(*) as taken, cast(coalesce(sum(free_seconds), 0) as bigint) as free from drill_part \
         where account_id = $1 and asked_at >= $2 and refusal is null",
        args![account.to_string(), since.start().micros()],
    )
}

/// What a drill made free in the end.
pub fn settle(instance: InstanceId, free_seconds: i64) -> Query {
    query(
        "update drill_part set free_seconds = $2 where instance_id = $1 and refusal is null",
        args![instance.to_string(), free_seconds],
    )
}

/// The guest went off by itself; the first time counts.
pub fn stopped(instance: InstanceId, at: Timestamp) -> Query {
    query(
        "update drill_part set stopped_at = coalesce(stopped_at, $2) where instance_id = $1 and refusal is null",
        args![instance.to_string(), at.micros()],
    )
}

/// The guest let itself be released; the first time counts.
pub fn approved(instance: InstanceId, at: Timestamp) -> Query {
    query(
        "update drill_part set approved_at = coalesce(approved_at, $2) where instance_id = $1 and refusal is null",
        args![instance.to_string(), at.micros()],
    )
}

/// How many instances all accounts interrupted in a minute, as `taken`.
pub fn in_minute(minute: i64) -> Query {
    query("select taken from drill_minute where minute = $1", args![minute])
}

/// Guard: so many more in this minute, if no others came in between that leave no room below `most`.
pub fn count_in_minute(minute: i64, more: i64, most: i64) -> Query {
    query(
        "insert into drill_minute (minute, taken) values ($1, $2) on conflict (minute) do update \
         set taken = drill_minute.taken + excluded.taken where drill_minute.taken + excluded.taken <= $3",
        args![minute, more, most],
    )
}

pub fn forget_minutes_before(minute: i64) -> Query {
    query("delete from drill_minute where minute < $1", args![minute])
}

pub fn insert_schedule(schedule: &Schedule) -> Query {
    query(
        "insert into drill_schedule (id, account_id, created_at, ask, every_seconds, week, next_at) \
         values ($1, $2, $3, $4, $5, $6, $7)",
        args![
            schedule.id.to_string(),
            schedule.account.to_string(),
            schedule.created_at.micros(),
            json(&schedule.ask),
            schedule.every_seconds,
            schedule.week.as_ref().map(Week::to_string),
            schedule.next_at.micros()
        ],
    )
}

pub fn schedule_by_id(id: ScheduleId) -> Query {
    query("select * from drill_schedule where id = $1", args![id.to_string()])
}

/// The schedules of an account that have not ended.
pub fn schedules_of(account: AccountId) -> Query {
    query(
        "select * from drill_schedule where account_id = $1 and ended_at is null order by id",
        args![account.to_string()],
    )
}

/// Guard: nobody moved it on or ended it since it was read.
pub fn move_on(schedule: &Schedule, next_at: Timestamp) -> Query {
    query(
        "update drill_schedule set next_at = $3 where id = $1 and next_at = $2 and ended_at is null",
        args![schedule.id.to_string(), schedule.next_at.micros(), next_at.micros()],
    )
}

/// All of an account, which closes.
pub fn end_schedules_of(account: AccountId, at: Timestamp) -> Query {
    query(
        "update drill_schedule set ended_at = $2 where account_id = $1 and ended_at is null",
        args![account.to_string(), at.micros()],
    )
}

/// Guard: nobody ended it since it was read.
pub fn end_schedule(id: ScheduleId, at: Timestamp) -> Query {
    query(
        "update drill_schedule set ended_at = $2 where id = $1 and ended_at is null",
        args![id.to_string(), at.micros()],
    )
}

pub fn read_schedule(row: &Row) -> Schedule {
    Schedule {
        id: own(row.text("id")),
        account: own(row.text("account_id")),
        created_at: Timestamp::from_micros(row.int("created_at")),
        ask: own_json(row.text("ask")),
        every_seconds: row.int("every_seconds"),
        week: row.opt_text("week").map(own),
        next_at: Timestamp::from_micros(row.int("next_at")),
        ended_at: row.opt_int("ended_at").map(Timestamp::from_micros),
    }
}
