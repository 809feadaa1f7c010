//! How is an interruption rehearsed, once or on schedule? (rules §2.10)

use crate::app::App;
use crate::denied::Denied;
use crate::scorecard::shown_ask;
use crate::unit::{Outcome, Unit};
use ebb_engine::drill::{Ask, Standing, Target};
use ebb_engine::lifecycle::{Command, Input, Reclaim};
use ebb_engine::refusal::Refused;
use ebb_model::id::{AccountId, DrillId, ScheduleId};
use ebb_model::instance::{Cause, Instance, State};
use ebb_model::time::Timestamp;
use ebb_store::Halt;
use ebb_store::rows::alarm;
use ebb_store::rows::drill::{self as rows, Drill, Part, Refusal, Schedule};
use ebb_store::rows::instance::{self, Seen};
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
        let used = about.first_running.map_or(0, |start| now.second().unix() - start.unix());
        let allotted = standing.allot(limits, used);
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
        let part = Part { drill: id, instance: about.id, refusal, free_seconds, stopped_at: None, approved_at: None };
        takings.push(Taking { part, about, seen, refused });
        // What stands against one more of them stands against all that follow.
        if standing.may_drill(limits).is_err() && takings.last().is_some_and(|last| last.refused.is_some()) {
            break;
        }
    }
    // A schedule that found nobody leaves no trace.
    if schedule.is_some() && takings.iter().all(|taking| taking.refused.is_some()) {
        return Ok((drill, takings));
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
            let app = unit.app.clone();
            let mut next_at = unit.now;
            // Who comes late does not make up for it outside the window.
            if schedule.week.as_ref().is_none_or(|week| week.holds(unit.now, &app.catalog.time_zone)) {
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
pub fn after(app: &App, week: &Option<ebb_model::week::Week>, at: Timestamp) -> Timestamp {
    let Some(week) = week else { return at };
    let calendar = &app.catalog.time_zone;
    if week.holds(at, calendar) { at } else { week.next_beginning(at, calendar).expect("a week has hours") }
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

#[cfg(test)]
mod tests {
    use super::*;
    use ebb_model::resources::Resources;
    use ebb_store::Place;
    use ebb_testing::TempPostgres;
    use futures_util::future::join_all;
    use reqwest::Client;
    use serde_json::{Value, json};

    async fn post(endpoint: &str, who: &str, path: &str, body: Value) -> Value {
        let request = Client::new().post(format!("{endpoint}{path}")).bearer_auth(format!("ebb_sandbox_{who}"));
        let sent = request.body(body.to_string()).send().await.expect("an answer");
        serde_json::from_str(&sent.text().await.expect("text")).expect("JSON")
    }

    /// Two accounts with six blocks each, and as many drills at once as there are blocks; past the sandbox's turns, so that they meet.
    async fn at_once(store: Place, per_day: i64, per_minute: i64) -> Vec<(AccountId, bool)> {
        let mut catalog = crate::sample_catalog();
        catalog.limits.drills_per_day = per_day;
        catalog.limits.drills_per_minute = per_minute;
        let config = crate::SandboxConfig {
            listen: "127.0.0.1:0".parse().expect("an address"),
            catalog,
            data: None,
            store: Some(store),
            speed: 0,
            seed: 1,
            start: "2026-03-02T00:58:30Z".parse().expect("an instant"),
            hosts: 1,
            capacity: vec![Resources::of([("vcpu", 64), ("memory_mib", 262_144), ("disk_gib", 10_000)])],
            behaviour: Default::default(),
            deliveries: Default::default(),
            verifier: Default::default(),
        };
        let (serving, ready) = crate::sandbox(config).await.expect("a sandbox");
        let app = serving.app.clone();
        tokio::spawn(serving.run(std::future::pending()));
        let block = json!({"option": "spot-block", "flavor": "c6.large.2", "hours": 3, "zone": "cn-beijing-a"});
        let mut blocks = vec![];
        for who in ["enterprise", "individual"] {
            for _ in 0..6 {
                let bought = post(&ready.endpoint, who, "/v1/instances", block.clone()).await;
                let id = |field: &str| bought[field].as_str().expect("an id").to_owned();
                let account: AccountId = id("account").parse().expect("an account");
                blocks.push((account, Target::Instance(id("id").parse().expect("an instance"))));
            }
        }
        let drills = blocks.into_iter().map(|(account, target)| {
            let app = app.clone();
            async move {
                let ask = Ask { target, percent: None };
                let key = account.to_string();
                let taken = app.unit("drill", &key, move |mut unit| {
                    let ask = ask.clone();
                    async move {
                        let (_, takings) = rehearse(&mut unit, account, &ask, None).await?;
                        let taken = takings.iter().all(|taking| taking.refused.is_none());
                        Ok(unit.done(taken))
                    }
                });
                (account, taken.await.expect("taken or refused, and written down"))
            }
        });
        join_all(drills.map(|drill| tokio::spawn(drill)))
            .await
            .into_iter()
            .map(|done| done.expect("no panic"))
            .collect()
    }

    async fn limits_hold(store: impl AsyncFn() -> Place) {
        let taken = at_once(store().await, 1_000, 5).await;
        assert_eq!(taken.iter().filter(|(_, taken)| *taken).count(), 5, "so many a minute, whoever asks");
        let taken = at_once(store().await, 2, 1_000).await;
        let first = taken[0].0;
        let of_first = taken.iter().filter(|(account, taken)| *account == first && *taken).count();
        let all = taken.iter().filter(|(_, taken)| *taken).count();
        assert_eq!((of_first, all), (2, 4), "so many a day, each account for itself");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn drills_that_meet_do_not_pass_a_limit() {
        limits_hold(async || Place::Memory).await;
        limits_hold(async || Place::Postgres(TempPostgres::start().database().await)).await;
    }
}
