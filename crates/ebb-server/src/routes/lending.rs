//! What an operator or an owner says about a host: drained, taken back, lent by a calendar, lost. In a sandbox also: unplugged.

use super::host::{on_host, shown, volumes_on};
use super::json;
use crate::app::App;
use crate::call::Call;
use crate::denied::Denied;
use crate::lending::{Said, When, Word, say};
use crate::unit::{Outcome, Unit};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_model::instance::{Instance, State as Life};
use ebb_model::week::Week;
use ebb_wire::host as wire;
use ebb_wire::problem::Problem;

/// Empties a host of blocks: they get their notice, firm instances stay, nothing new is placed on it (operator).
#[utoipa::path(post, path = "/v1/hosts/{name}/drain", operation_id = "drain_host", params(("name" = String, Path)),
    request_body = Option<wire::Leave>,
    responses((status = 200, body = wire::HostSaid), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn drain(app: State<App>, name: Path<String>, call: Call<Option<wire::Leave>>) -> Result<Response, Denied> {
    call.principal.operator()?;
    let word = Word::Drain(when(&call.body)?);
    tell(app, name, call, "drain-host", word).await
}

/// Its owner wants a host back, until the calendar lends it again or it is resumed (operator).
#[utoipa::path(post, path = "/v1/hosts/{name}/take-back", operation_id = "take_back_host", params(("name" = String, Path)),
    request_body = Option<wire::Leave>,
    responses((status = 200, body = wire::HostSaid), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn take_back(
    app: State<App>,
    name: Path<String>,
    call: Call<Option<wire::Leave>>,
) -> Result<Response, Denied> {
    call.principal.operator()?;
    let word = Word::TakeBack(when(&call.body)?);
    tell(app, name, call, "take-back-host", word).await
}

/// Ends a drain and a return. A notice that was given stays (operator).
#[utoipa::path(post, path = "/v1/hosts/{name}/resume", operation_id = "resume_host", params(("name" = String, Path)),
    responses((status = 200, body = wire::HostSaid), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn resume(app: State<App>, name: Path<String>, call: Call<Option<()>>) -> Result<Response, Denied> {
    call.principal.operator()?;
    tell(app, name, call, "resume-host", Word::Resume).await
}

/// Says in which hours of the week a host is lent (operator).
#[utoipa::path(post, path = "/v1/hosts/{name}/calendar", operation_id = "set_host_calendar", params(("name" = String, Path)),
    request_body = wire::SetCalendar,
    responses((status = 200, body = wire::HostSaid), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn calendar(app: State<App>, name: Path<String>, call: Call<wire::SetCalendar>) -> Result<Response, Denied> {
    call.principal.operator()?;
    let text = call.body.calendar.trim();
    let week = match text {
        "always" => None,
        _ => Some(text.parse::<Week>().map_err(|error| Denied::BadInput(format!("calendar: {error}; or `always`")))?),
    };
    tell(app, name, call, "host-calendar", Word::Calendar(week)).await
}

/// Declares a silent host lost: blocks there are released and free, firm instances wait uncharged until it comes back (operator).
#[utoipa::path(post, path = "/v1/hosts/{name}/lost", operation_id = "lose_host", params(("name" = String, Path)),
    request_body = wire::DeclareLost,
    responses((status = 200, body = wire::HostSaid), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn lost(app: State<App>, name: Path<String>, call: Call<wire::DeclareLost>) -> Result<Response, Denied> {
    call.principal.operator()?;
    if !call.body.fenced {
        return Err(Denied::BadInput(
            "fenced: say true once it is certain that the machine runs none of its guests any more (off, or off the network)"
                .to_owned(),
        ));
    }
    tell(app, name, call, "lose-host", Word::Lost).await
}

/// Pulls a host's network cable: it goes on by itself and is silent (sandbox, operator).
#[utoipa::path(post, path = "/v1/hosts/{name}/unplug", operation_id = "unplug_host", params(("name" = String, Path)),
    responses((status = 200), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn unplug(
    State(app): State<App>,
    Path(name): Path<String>,
    call: Call<Option<()>>,
) -> Result<Response, Denied> {
    call.principal.operator()?;
    if let Some(answer) = call.before(&app).await? {
        return Ok(json(StatusCode::OK, answer));
    }
    app.unplug(&name).await?;
    Ok(json(StatusCode::OK, call.keep(&app, "{}".to_owned()).await?))
}

/// Puts it in again: the host says hello, and what became of its guests (sandbox, operator).
#[utoipa::path(post, path = "/v1/hosts/{name}/plug", operation_id = "plug_host", params(("name" = String, Path)),
    responses((status = 200), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn plug(
    State(app): State<App>,
    Path(name): Path<String>,
    call: Call<Option<()>>,
) -> Result<Response, Denied> {
    call.principal.operator()?;
    if let Some(answer) = call.before(&app).await? {
        return Ok(json(StatusCode::OK, answer));
    }
    app.plug(&name).await?;
    Ok(json(StatusCode::OK, call.keep(&app, "{}".to_owned()).await?))
}

/// Makes or removes the file by which somebody at the machine wants it back (sandbox, operator).
#[utoipa::path(post, path = "/v1/hosts/{name}/return-file", operation_id = "set_return_file", params(("name" = String, Path)),
    request_body = wire::ReturnFile,
    responses((status = 200), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn return_file(
    State(app): State<App>,
    Path(name): Path<String>,
    call: Call<wire::ReturnFile>,
) -> Result<Response, Denied> {
    call.principal.operator()?;
    if let Some(answer) = call.before(&app).await? {
        return Ok(json(StatusCode::OK, answer));
    }
    app.want_back(&name, call.body.present).await?;
    Ok(json(StatusCode::OK, call.keep(&app, "{}".to_owned()).await?))
}

fn when(leave: &Option<wire::Leave>) -> Result<When, Denied> {
    match leave.as_ref().map(|leave| (&leave.at, leave.urgent)) {
        None | Some((None, false)) => Ok(When::Soon),
        Some((None, true)) => Ok(When::Now),
        Some((Some(at), false)) => Ok(When::At(at.parse().map_err(|error| Denied::BadInput(format!("at: {error}")))?)),
        Some((Some(_), true)) => {
            Err(Denied::BadInput("urgent: it means now, without notice; give either `at` or `urgent`".to_owned()))
        }
    }
}

async fn tell<T: Send>(
    State(app): State<App>,
    Path(name): Path<String>,
    call: Call<T>,
    unit: &'static str,
    word: Word,
) -> Result<Response, Denied> {
    app.zones_loaded().await?;
    let (about, who) = (name.clone(), call.principal.key.clone());
    let answer = call.once(&app, unit, &name, move |mut unit| {
        let (name, who, word) = (about.clone(), who.clone(), word.clone());
        async move {
            let said = say(&mut unit, &name, &who, word).await?;
            let answer = shown_said(&unit, said).await?;
            Ok(unit.done(answer))
        }
    });
    match answer.await {
        Ok(answer) => Ok(json(StatusCode::OK, answer)),
        Err(denied) => {
            app.look_again(&name).await?;
            Err(denied)
        }
    }
}

async fn shown_said(unit: &Unit, said: Said) -> Outcome<wire::HostSaid> {
    let goes = |one: &Instance| match one.state {
        Life::Reclaiming { .. } | Life::Releasing { .. } => true,
        Life::Waiting { .. } | Life::Lost { .. } => false,
        _ if one.purchase.is_firm() => false,
        _ => said.clearing.is_some_and(|c| one.lease_end().is_none_or(|end| end.start() > c.deadline)),
    };
    let (leaves, stays): (Vec<&Instance>, Vec<&Instance>) = said.there.iter().partition(|one| goes(one));
    let told = |one: &&Instance| {
        let by = said.clearing.filter(|_| goes(one)).map(|clearing| clearing.deadline.to_string());
        let known = on_host(one);
        wire::OnHost { leaves_at: known.leaves_at.or(by), ..known }
    };
    Ok(wire::HostSaid {
        host: shown(&unit.app, &unit.reads, &said.known).await?,
        stays: stays.iter().map(told).collect(),
        leaves: leaves.iter().map(told).collect(),
        volumes: volumes_on(&unit.reads, said.known.id).await?,
    })
}
