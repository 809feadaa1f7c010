//! How is an interruption rehearsed, once or on schedule, and what does its scorecard say? (rules §2.10)

use crate::app::App;
use crate::denied::Denied;
use crate::unit::{Outcome, Unit};
use ebb_engine::drill::{Ask, Conduct, Standing, Target, costs, foreseen, seconds_before};
use ebb_engine::lifecycle::{Command, Input, Reclaim};
use ebb_engine::refusal::Refused;
use ebb_model::id::{AccountId, DrillId, ScheduleId};
use ebb_model::instance::{Cause, Instance, State};
use ebb_model::money::Exact;
use ebb_model::time::Timestamp;
use ebb_store::rows::alarm;
use ebb_store::rows::drill::{self as rows, Drill, Part, Refusal, Schedule};
use ebb_store::rows::instance::{self, Seen};
use ebb_store::{Halt, Reads, StoreError};
use ebb_wire::drill as wire;

/// The alarm of a schedule.
pub const ALARM: &str = "drill";

/// What a drill means for one instance, with the instance as it is then.
pub struct Taking {
    pub part: Part,
    pub about: Instance,
    pub seen: Seen,
    pub refused: Option<Refused>,
}

/// Gives notice to whom it is asked for; each is taken or refused on its own. All of it is one commit, so a repetition finds all
/// or nothing.
pub async fn rehearse(
    unit: &mut Unit,
    account: AccountId,
    ask: &Ask,
    schedule: Option<ScheduleId>,
) -> Outcome<(Drill, Vec<Taking>)> {
    let app = unit.app.clone();
    let (limits, now) = (&app.catalog.limits, unit.now);
    let id = DrillId::new(app.mint.uuid(now));
    let drill = Drill { id, account, schedule, asked_at: now, ask: ask.clone() };
    let mut standing = standing(unit, account).await?;
    let before = standing;
    let mut takings = vec![];
    for (about, seen) in fleet(unit, account, ask).await? {
        let allotted = standing.allot(limits);
        let order = Reclaim {
            cause: Cause::Drill,
            deadline: now.plus_seconds(limits.notice_seconds),
            free_until: Some(now.second().plus(allotted)),
        };
        let taken = match standing.may_drill(limits) {
            Ok(()) => unit.step(&about, Input::Command(Command::Reclaim(order))).await,
            Err(refused) => Err(Halt::Refused(refused.into())),
        };
        let (about, refused) = match taken {
            Ok(next) => (next, None),
            Err(Halt::Refused(Denied::Rule(refused))) => (about, Some(refused)),
            Err(other) => return Err(other),
        };
        if refused.is_none() {
            standing.count(allotted);
        }
        let refusal = refused.as_ref().map(|why| Refusal { code: why.code().to_owned(), message: why.to_string() });
        let free_seconds = if refused.is_none() { allotted } else { 0 };
        let part = Part { drill: id, instance: about.id, refusal, free_seconds, stopped_at: None };
        takings.push(Taking { part, about, seen, refused });
    }
    unit.write(rows::insert(&drill));
    takings.iter().for_each(|taking| unit.write(rows::insert_part(&taking.part, &drill)));
    let more = standing.this_minute - before.this_minute;
    if more > 0 {
        let minute = minute_of(now);
        unit.guard(rows::count_in_minute(minute, more, limits.drills_per_minute));
        unit.write(rows::forget_minutes_before(minute - 60));
    }
    Ok((drill, takings))
}

/// What counts against it, under the account's generation: of two drills at once one sees the other.
async fn standing(unit: &mut Unit, id: AccountId) -> Outcome<Standing> {
    let (app, now) = (unit.app.clone(), unit.now.second());
    let debt = unit.change_account(id).await?.purse.debt;
    let calendar = &app.catalog.time_zone;
    let today = unit.reads.row(rows::taken_since(id, calendar.day(now))).await?;
    let month = unit.reads.row(rows::taken_since(id, calendar.month(now))).await?;
    let minute = unit.reads.row(rows::in_minute(minute_of(unit.now))).await?;
    Ok(Standing {
        debt,
        today: today.map_or(0, |row| row.int("taken")),
        this_minute: minute.map_or(0, |row| row.int("taken")),
        allotted: month.map_or(0, |row| row.int("free")),
    })
}

fn minute_of(at: Timestamp) -> i64 {
    at.second().unix().div_euclid(60)
}

/// Whom it is asked for. Chance draws from the blocks alone; what else has the tags is named, and refused.
async fn fleet(unit: &Unit, account: AccountId, ask: &Ask) -> Outcome<Vec<(Instance, Seen)>> {
    let found = match ask.target {
        // Also one that is released: it is told so.
        Target::Instance(id) => unit.reads.rows(instance::by_id(id)).await?,
        _ => unit.reads.rows(instance::live_of_account(account)).await?,
    };
    let known = found.iter().map(|row| (instance::read(row), instance::read_seen(row)));
    let meant = known.filter(|(about, _)| about.account == account && ask.target.holds(about));
    let (blocks, others): (Vec<_>, Vec<_>) = meant.partition(|(about, _)| !about.purchase.is_firm());
    let share = ask.share(blocks.len());
    Ok(unit.app.mint.draw(blocks, share).into_iter().chain(others).collect())
}

impl App {
    /// Carries a schedule out, if it is due still, and says when it is due next.
    pub async fn drill_on_schedule(&self, id: &str) -> Result<(), Denied> {
        let id: ScheduleId = id.parse().map_err(|_| Denied::not_found("drill schedule", id))?;
        let Some(known) = self.store.rows(rows::schedule_by_id(id)).await?.first().map(rows::read_schedule) else {
            return Ok(());
        };
        let key = known.account.to_string();
        let done = self.unit("drill-schedule", &key, move |mut unit| async move {
            let row = unit.reads.row(rows::schedule_by_id(id)).await?.expect("schedules are never deleted");
            let schedule = rows::read_schedule(&row);
            if schedule.ended_at.is_some() || schedule.next_at > unit.now {
                return Ok(unit.done(()));
            }
            let (app, now) = (unit.app.clone(), unit.now.second());
            let calendar = &app.catalog.time_zone;
            let mut next_at = unit.now;
            // Who comes late does not make up for it outside the window.
            if schedule.week.as_ref().is_none_or(|week| week.holds(calendar, now)) {
                let fleet = fleet(&unit, schedule.account, &schedule.ask).await?;
                if over(&schedule, &fleet) {
                    unit.guard(rows::end_schedule(id, unit.now));
                    return Ok(unit.done(()));
                }
                if !fleet.is_empty() {
                    rehearse(&mut unit, schedule.account, &schedule.ask, Some(id)).await?;
                }
                let regular = schedule.next_at.plus_seconds(schedule.every_seconds);
                next_at = if regular > unit.now { regular } else { unit.now.plus_seconds(schedule.every_seconds) };
            }
            let next_at = after(&app, &schedule.week, next_at);
            unit.guard(rows::move_on(&schedule, next_at));
            unit.write(alarm::set(ALARM, &id.to_string(), next_at));
            Ok(unit.done(()))
        });
        Ok(done.await?)
    }
}

/// A schedule of one instance ends with it.
fn over(schedule: &Schedule, fleet: &[(Instance, Seen)]) -> bool {
    let gone = |about: &Instance| matches!(about.state, State::Released { .. });
    matches!(schedule.ask.target, Target::Instance(_)) && fleet.iter().all(|(about, _)| gone(about))
}

/// The first instant from `at` on that lies in the window.
pub fn after(app: &App, week: &Option<ebb_model::week::Window>, at: Timestamp) -> Timestamp {
    let Some(week) = week else { return at };
    let calendar = &app.catalog.time_zone;
    if week.holds(calendar, at.second()) { at } else { week.next(calendar, at.second()).start() }
}

/// A drill with everything that came of it so far.
pub async fn scorecard(reads: &Reads, drill: &Drill) -> Result<wire::Drill, StoreError> {
    let parts = reads.rows(rows::parts_of(drill.id)).await?;
    let known = parts.iter().map(|row| (rows::read_part(row), instance::read(row), instance::read_seen(row)));
    let parts: Vec<_> = known.collect();
    Ok(shown(drill, parts.iter().map(|(part, about, seen)| (part, about, seen))))
}

pub fn shown<'a>(drill: &Drill, parts: impl Iterator<Item = (&'a Part, &'a Instance, &'a Seen)>) -> wire::Drill {
    let mut sums = [Exact::ZERO; 3];
    let mut over = true;
    let mut instances = vec![];
    for (part, about, seen) in parts {
        let shown = shown_part(part, about, seen);
        if shown.taken {
            over &= shown.released_at.is_some();
            if let Some(costs) = costs(about) {
                let more = [costs.charged, costs.free, costs.platform];
                sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
            }
        }
        instances.push(shown);
    }
    let count = |test: &dyn Fn(&wire::Part) -> bool| instances.iter().filter(|part| test(part)).count() as i64;
    let [charged, free, platform] = sums.map(|sum| sum.to_string());
    let summary = wire::Summary {
        taken: count(&|part| part.taken),
        refused: count(&|part| !part.taken),
        read: count(&|part| part.read_at.is_some()),
        stopped: count(&|part| part.stopped_at.is_some()),
        slowest: slowest(&instances),
        charged,
        free,
        platform_would_waive: platform,
    };
    wire::Drill {
        id: drill.id.to_string(),
        account: drill.account.to_string(),
        asked_at: drill.asked_at.to_string(),
        schedule: drill.schedule.map(|id| id.to_string()),
        what: shown_ask(&drill.ask),
        over,
        summary,
        instances,
    }
}

fn shown_part(part: &Part, about: &Instance, seen: &Seen) -> wire::Part {
    let name = wire::Part { instance: about.id.to_string(), name: about.name.clone(), ..wire::Part::default() };
    if let Some(Refusal { code, message }) = part.refusal.clone() {
        return wire::Part { code: Some(code), message: Some(message), ..name };
    }
    let end = foreseen(about).expect("who was given notice has an end");
    let costs = costs(about);
    let released_at = match about.state {
        State::Released { gone_at, .. } => Some(gone_at),
        _ => None,
    };
    let notice = end.notice.expect("a drill gives notice");
    let (notice_at, deadline) = (notice.notice_at, notice.deadline);
    let stopped_at = part.stopped_at.filter(|at| *at < deadline);
    let conduct = Conduct {
        notice_at,
        deadline,
        readable_at: seen.notice_readable_at,
        read_at: seen.notice_read_at,
        stopped_at,
        released_at,
    };
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let left = |at: Option<Timestamp>| at.map(|at| seconds_before(at, deadline));
    wire::Part {
        taken: true,
        notice_at: text(Some(notice_at)),
        deadline: text(Some(deadline)),
        readable_at: text(seen.notice_readable_at),
        read_at: text(seen.notice_read_at),
        read_seconds_before: left(seen.notice_read_at),
        stopped_at: text(stopped_at),
        stopped_seconds_before: left(stopped_at),
        released_at: text(released_at),
        release_late_millis: released_at.map(|at| at.millis_since(deadline)),
        taken_over_by: Some(end.cause).filter(|cause| *cause != Cause::Drill).map(|cause| cause.name().to_owned()),
        undone: conduct.undone(),
        free_seconds: Some(ebb_engine::drill::free_seconds(&end)),
        free: costs.map(|costs| costs.free.to_string()),
        charged: costs.map(|costs| costs.charged.to_string()),
        platform_would_waive: costs.map(|costs| costs.platform.to_string()),
        ..name
    }
}

fn slowest(parts: &[wire::Part]) -> Option<wire::Slowest> {
    let micros = |at: &Option<String>| at.as_ref()?.parse::<Timestamp>().ok();
    let took = |part: &wire::Part| {
        let until = micros(&part.stopped_at).or(micros(&part.released_at))?;
        Some(until.millis_since(micros(&part.notice_at)?) / 1_000)
    };
    let timed = parts.iter().filter_map(|part| Some((took(part)?, part)));
    // Of those that took as long the first.
    let slowest = timed.reduce(|slowest, next| if next.0 > slowest.0 { next } else { slowest });
    slowest.map(|(seconds, part)| wire::Slowest { instance: part.instance.clone(), name: part.name.clone(), seconds })
}

pub fn shown_ask(ask: &Ask) -> wire::Rehearse {
    let what = wire::Rehearse { percent: ask.percent, ..wire::Rehearse::default() };
    match &ask.target {
        Target::Instance(id) => wire::Rehearse { instance: Some(id.to_string()), ..what },
        Target::Tags(tags) => wire::Rehearse { tags: tags.clone(), ..what },
        Target::All => wire::Rehearse { all: true, ..what },
    }
}

pub fn shown_schedule(schedule: &Schedule) -> wire::Schedule {
    wire::Schedule {
        id: schedule.id.to_string(),
        account: schedule.account.to_string(),
        created_at: schedule.created_at.to_string(),
        what: shown_ask(&schedule.ask),
        every_seconds: schedule.every_seconds,
        week: schedule.week.as_ref().map(ToString::to_string),
        next_at: schedule.next_at.to_string(),
        ended_at: schedule.ended_at.map(|at| at.to_string()),
    }
}
