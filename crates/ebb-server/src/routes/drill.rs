//! Drills: asking for one, its scorecard, and schedules.

use super::account::Paging;
use super::instance::{checked_tags, find};
use super::json;
use crate::app::App;
use crate::arrears;
use crate::call::{Call, Principal};
use crate::denied::Denied;
use crate::drill::{ALARM, after, rehearse, shown_schedule};
use crate::scorecard::{scorecard, shown};
use crate::unit::refuse;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::drill::{Ask, Target};
use ebb_engine::refusal::Refused;
use ebb_model::id::{DrillId, ScheduleId};
use ebb_store::rows::drill::Schedule;
use ebb_store::rows::{alarm, drill as rows};
use ebb_wire::drill as wire;
use ebb_wire::problem::{Page, Problem};

const LEAST_EVERY_SECONDS: i64 = 60;
const MOST_EVERY_SECONDS: i64 = 366 * 86_400;
const MOST_SCHEDULES: usize = 20;

/// Rehearses an interruption: real notice, real reclaim. One instance is taken or the request refused; of several each is taken or
/// refused on its own.
#[utoipa::path(post, path = "/v1/drills", operation_id = "run_drill", request_body = wire::Rehearse,
    responses((status = 201, body = wire::Drill), (status = 402, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 429, body = Problem)))]
pub async fn run(State(app): State<App>, call: Call<wire::Rehearse>) -> Result<Response, Denied> {
    let id = call.principal.member()?;
    let ask = checked_ask(&app, &call.principal, &call.body).await?;
    let answer = call.once(&app, "drill", id, move |mut unit| {
        let ask = ask.clone();
        async move {
            arrears::permit(&mut unit, id).await?;
            let (drill, takings) = rehearse(&mut unit, id, &ask, None).await?;
            if takings.is_empty() {
                return refuse(Denied::Conflict(
                    "no block of yours is meant; `ebb instances list` shows what there is".to_owned(),
                ));
            }
            if let (Target::Instance(_), Some(refused)) = (&ask.target, &takings[0].refused) {
                return refuse(refused.clone());
            }
            let parts = takings.iter().map(|taking| (&taking.part, &taking.about, &taking.seen));
            let answer = shown(&drill, parts);
            Ok(unit.done(answer))
        }
    });
    Ok(json(StatusCode::CREATED, answer.await?))
}

/// The account's drills, oldest first.
#[utoipa::path(get, path = "/v1/drills", operation_id = "list_drills", params(Paging), responses((status = 200, body = Page<wire::Drill>)))]
pub async fn list(
    State(app): State<App>,
    who: Principal,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<wire::Drill>>, Denied> {
    let query = rows::of_account(who.account()?, &paging.after, paging.limit());
    let shown = app.store.read(move |reads| async move {
        let mut shown = vec![];
        for row in reads.rows(query).await? {
            shown.push(scorecard(&reads, &rows::read(&row)).await?);
        }
        Ok(shown)
    });
    Ok(Json(paging.page(shown.await?, |drill| drill.id.clone())))
}

/// The scorecard of a drill: who read the notice and stopped in time, what was left undone, what it cost.
#[utoipa::path(get, path = "/v1/drills/{id}", operation_id = "show_drill", params(("id" = String, Path)),
    responses((status = 200, body = wire::Drill), (status = 404, body = Problem)))]
pub async fn show(State(app): State<App>, who: Principal, Path(id): Path<String>) -> Result<Json<wire::Drill>, Denied> {
    let parsed: DrillId = id.parse().map_err(|_| Denied::not_found("drill", &id))?;
    let shown = app.store.read(move |reads| async move {
        let known = reads.row(rows::by_id(parsed)).await?.map(|row| rows::read(&row));
        match known.filter(|drill| who.sees(drill.account)) {
            Some(drill) => scorecard(&reads, &drill).await.map(Some),
            None => Ok(None),
        }
    });
    shown.await?.map(Json).ok_or_else(|| Denied::not_found("drill", &id))
}

/// Asks for drills again and again: the first when the window opens, or inside it after one interval.
#[utoipa::path(post, path = "/v1/drill-schedules", operation_id = "schedule_drills", request_body = wire::Plan,
    responses((status = 201, body = wire::Schedule), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub async fn schedule(State(app): State<App>, call: Call<wire::Plan>) -> Result<Response, Denied> {
    let id = call.principal.member()?;
    let ask = checked_ask(&app, &call.principal, &call.body.what).await?;
    let every_seconds = call.body.every_seconds;
    if !(LEAST_EVERY_SECONDS..=MOST_EVERY_SECONDS).contains(&every_seconds) {
        let what = format!("every_seconds: from {LEAST_EVERY_SECONDS} to a year, {every_seconds} given");
        return Err(Denied::BadInput(what));
    }
    let week = call.body.week.as_ref().map(|text| text.parse::<ebb_model::week::Week>()).transpose();
    let week = week.map_err(|error| Denied::BadInput(format!("week: {error}")))?;
    let answer = call.once(&app, "schedule-drills", id, move |mut unit| {
        let (ask, week) = (ask.clone(), week.clone());
        async move {
            arrears::permit(&mut unit, id).await?;
            // Counted under the account's generation, as drills are.
            unit.change_account(id).await?;
            if unit.reads.rows(rows::schedules_of(id)).await?.len() >= MOST_SCHEDULES {
                let most = format!("an account has at most {MOST_SCHEDULES} drill schedules; delete one first");
                return refuse(Denied::Conflict(most));
            }
            if let Target::Instance(one) = ask.target {
                let about = unit.instance(one).await?;
                if about.purchase.is_firm() {
                    return refuse(Refused::NotABlock { option: about.purchase.option() });
                }
            }
            let (app, now) = (unit.app.clone(), unit.now);
            let opens = after(&app, &week, now);
            let next_at = if opens > now { opens } else { after(&app, &week, now.plus_seconds(every_seconds)) };
            let schedule = Schedule {
                id: ScheduleId::new(app.mint.uuid(now)),
                account: id,
                created_at: now,
                ask,
                every_seconds,
                week,
                next_at,
                ended_at: None,
            };
            unit.write(rows::insert_schedule(&schedule));
            unit.write(alarm::set(ALARM, &schedule.id.to_string(), next_at));
            Ok(unit.done(shown_schedule(&schedule)))
        }
    });
    Ok(json(StatusCode::CREATED, answer.await?))
}

/// The account's schedules that have not ended.
#[utoipa::path(get, path = "/v1/drill-schedules", operation_id = "list_drill_schedules", responses((status = 200, body = Page<wire::Schedule>)))]
pub async fn schedules(State(app): State<App>, who: Principal) -> Result<Json<Page<wire::Schedule>>, Denied> {
    let found = app.store.rows(rows::schedules_of(who.account()?)).await?;
    let items = found.iter().map(|row| shown_schedule(&rows::read_schedule(row))).collect();
    Ok(Json(Page { items, next: None }))
}

/// Ends a schedule; what it has begun goes on.
#[utoipa::path(delete, path = "/v1/drill-schedules/{id}", operation_id = "end_drill_schedule", params(("id" = String, Path)),
    responses((status = 200, body = wire::Schedule), (status = 404, body = Problem)))]
pub async fn unschedule(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<Option<()>>,
) -> Result<Response, Denied> {
    let account = call.principal.member()?;
    let parsed: ScheduleId = id.parse().map_err(|_| Denied::not_found("drill schedule", &id))?;
    let answer = call.once(&app, "end-drill-schedule", account, move |mut unit| {
        let id = id.clone();
        async move {
            let row = unit.reads.row(rows::schedule_by_id(parsed)).await?;
            let known = row.map(|row| rows::read_schedule(&row)).filter(|known| known.account == account);
            let Some(known) = known.filter(|known| known.ended_at.is_none()) else {
                return refuse(Denied::not_found("drill schedule", &id));
            };
            unit.guard(rows::end_schedule(parsed, unit.now));
            unit.write(alarm::clear(ALARM, &id));
            let ended = Schedule { ended_at: Some(unit.now), ..known };
            Ok(unit.done(shown_schedule(&ended)))
        }
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// Exactly one of the three, and a share that there is; an instance of somebody else is not there.
async fn checked_ask(app: &App, who: &Principal, what: &wire::Rehearse) -> Result<Ask, Denied> {
    if what.percent.is_some_and(|percent| !(1..=100).contains(&percent)) {
        return Err(Denied::BadInput("percent: from 1 to 100".to_owned()));
    }
    let target = match (&what.instance, what.tags.is_empty(), what.all) {
        (Some(_), true, false) if what.percent.is_some() => {
            return Err(Denied::BadInput("percent: one instance has no share; leave it out".to_owned()));
        }
        (Some(id), true, false) => Target::Instance(find(app, who, id).await?.id),
        (None, false, false) => Target::Tags(checked_tags(&what.tags)?),
        (None, true, true) => Target::All,
        _ => return Err(Denied::BadInput("say whose: exactly one of `instance`, `tags` and `all`".to_owned())),
    };
    Ok(Ask { target, percent: what.percent })
}
