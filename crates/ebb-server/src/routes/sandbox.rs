//! The clock, which only a sandbox lets anybody advance, and an operator accept after a leap.

use super::bill::logged;
use super::json;
use crate::app::App;
use crate::call::{Call, Principal};
use crate::denied::Denied;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ebb_model::time::Timestamp;
use ebb_store::rows::event;
use ebb_wire::problem::Problem;
use ebb_wire::sandbox::{Advance, Advanced, Clock, ClockLeap};

/// An advance longer than this is refused: five years of hours would be closed one by one.
const LONGEST_ADVANCE_SECONDS: i64 = 5 * 366 * 86_400;
/// The year 9000: calendars end with 9999, and leases and grants must end before.
const LAST: Timestamp = Timestamp::from_micros(221_845_392_000_000_000);
const MOST_EVENTS: i64 = 1_000;

/// What time it is for everything but the authentication of requests.
#[utoipa::path(get, path = "/v1/clock", operation_id = "show_clock", responses((status = 200, body = Clock)))]
pub async fn clock(State(app): State<App>, _: Principal) -> Json<Clock> {
    Json(shown(&app))
}

fn shown(app: &App) -> Clock {
    let leap = app
        .clock
        .leap()
        .map(|leap| ClockLeap { wall: leap.wall.to_string(), seconds: leap.wall.millis_since(leap.told) / 1_000 });
    Clock { now: app.clock.now().to_string(), speed: app.clock.speed().unwrap_or(1), leap }
}

/// Believes a wall clock that has leapt ahead: time goes on from there, and what was due meanwhile is carried out (operator).
#[utoipa::path(post, path = "/v1/clock/accept", operation_id = "accept_clock",
    responses((status = 200, body = Clock), (status = 409, body = Problem)))]
pub async fn accept(State(app): State<App>, call: Call<Option<()>>) -> Result<Response, Denied> {
    call.principal.operator()?;
    if let Some(answer) = call.before(&app).await? {
        return Ok(json(StatusCode::OK, answer));
    }
    let Some(leap) = app.clock.leap() else {
        return Err(Denied::Conflict("the clock has not leapt, so there is nothing to accept".to_owned()));
    };
    app.clock.believe();
    tracing::warn!(from = %leap.told, to = %leap.wall, "the leap of the wall clock was accepted");
    let answer = serde_json::to_string(&shown(&app)).expect("an answer of plain values");
    Ok(json(StatusCode::OK, call.keep(&app, answer).await?))
}

/// Lets the sandbox's time pass: everything due happens on the way, in order, each at its own instant.
#[utoipa::path(post, path = "/v1/clock/advance", operation_id = "advance_clock", request_body = Advance,
    responses((status = 200, body = Advanced), (status = 400, body = Problem), (status = 409, body = Problem)))]
pub async fn advance(State(app): State<App>, call: Call<Advance>) -> Result<Response, Denied> {
    if !app.is_sandbox() {
        return Err(Denied::NoSandbox);
    }
    if let Some(answer) = call.before(&app).await? {
        return Ok(json(StatusCode::OK, answer));
    }
    let now = app.clock.now();
    let until = match &call.body {
        Advance { seconds: Some(seconds), to: None } => now.plus_seconds(*seconds),
        Advance { seconds: None, to: Some(to) } => {
            to.parse::<Timestamp>().map_err(|error| Denied::BadInput(format!("to: {error}")))?
        }
        _ => return Err(Denied::BadInput("give either `seconds` or `to`".to_owned())),
    };
    if until < now || until > now.plus_seconds(LONGEST_ADVANCE_SECONDS) || until > LAST {
        return Err(Denied::BadInput(format!(
            "the clock stands at {now}; it goes forward only, at most 5 years at once, and not beyond 9000"
        )));
    }
    let before = app.store.rows(event::newest_id()).await?;
    let before = before.first().map_or("", |row| row.text("id")).to_owned();
    app.run_until(until).await?;
    let rows = app.store.rows(event::page(&before, MOST_EVENTS + 1)).await?;
    let truncated = rows.len() as i64 > MOST_EVENTS;
    let shown = rows.iter().take(MOST_EVENTS as usize).map(|row| logged(event::read(row)));
    let answer = Advanced { now: app.clock.now().to_string(), events: shown.collect(), truncated };
    let answer = serde_json::to_string(&answer).expect("an answer of plain values");
    Ok(json(StatusCode::OK, call.keep(&app, answer).await?))
}
