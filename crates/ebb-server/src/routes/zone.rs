//! Zones, for the operator: what there is, and what he is short of.

use super::host::sum_room;
use super::json;
use crate::app::App;
use crate::call::{Call, Principal};
use crate::denied::Denied;
use crate::unit::{Outcome, Unit, refuse};
use crate::work::alarms::SHORTAGE;
use crate::work::zones::notices_at;
use crate::work::zones::{relief, relieve};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::refusal::Refused;
use ebb_engine::reserve::missing_by;
use ebb_engine::shortage;
use ebb_model::catalog::Limits;
use ebb_model::resources::Resources;
use ebb_model::time::Timestamp;
use ebb_store::Decision;
use ebb_store::rows::zone::Shortage;
use ebb_store::rows::{alarm, host, zone};
use ebb_wire::problem::{Page, Problem};
use ebb_wire::zone as wire;
use std::collections::BTreeMap;

/// All zones: their room, their reserve, and what the operator is short of (operator).
#[utoipa::path(get, path = "/v1/zones", operation_id = "list_zones", responses((status = 200, body = Page<wire::ZoneState>), (status = 403, body = Problem)))]
pub async fn list(State(app): State<App>, who: Principal) -> Result<Json<Page<wire::ZoneState>>, Denied> {
    who.operator()?;
    app.zones_loaded().await?;
    let (shared, now) = (app.clone(), app.clock.now());
    let zones = app.store.read(move |reads| async move {
        let mut zones = vec![];
        for place in &shared.catalog.zones {
            let rows = reads.rows(zone::rooms(&place.id)).await?;
            let shortage = reads.row(zone::shortage_in(&place.id)).await?;
            let by = now.plus_seconds(shared.catalog.limits.notice_seconds);
            zones.push(wire::ZoneState {
                id: place.id.clone(),
                region: place.region.clone(),
                hosts: host::read_rooms(&rows).len() as i64,
                room: sum_room(&rows),
                reserve: place.reserve.clone(),
                reserve_missing: shared.zones.with(&shared.catalog, &place.id, |fleet| missing_by(fleet, by)) as i64,
                shortage: shortage.map(|row| shown(&zone::read(&row), &shared.catalog.limits, None)),
            });
        }
        Ok(zones)
    });
    Ok(Json(Page { items: zones.await?, next: None }))
}

/// Makes so much room free in a zone, over all its hosts, and sells no block into it until the shortage is ended (operator).
///
/// Where blocks cannot free so much, they free what they can; the answer says so.
#[utoipa::path(post, path = "/v1/zones/{zone}/shortage", operation_id = "declare_shortage", params(("zone" = String, Path)),
    request_body = wire::Declare,
    responses((status = 200, body = wire::Shortage), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub async fn declare(
    State(app): State<App>,
    Path(zone): Path<String>,
    call: Call<wire::Declare>,
) -> Result<Response, Denied> {
    call.principal.operator()?;
    let zone = known(&app, &zone)?;
    let free = amounts(&app, &call.body.free)?;
    let at = call.body.at.as_ref().map(|at| at.parse::<Timestamp>());
    let at = at.transpose().map_err(|error| Denied::BadInput(format!("at: {error}")))?;
    let urgent = call.body.urgent;
    app.zones_loaded().await?;
    let key = zone.clone();
    let answer = call.once(&app, "shortage", key, move |unit| {
        let (zone, free) = (zone.clone(), free.clone());
        let declared_at = unit.now;
        let notice = if urgent { 0 } else { unit.app.catalog.limits.notice_seconds };
        let earliest = declared_at.plus_seconds(notice);
        let at = at.unwrap_or(earliest);
        async move {
            if at < earliest {
                return refuse(Denied::BadInput(format!(
                    "at: a notice of {notice} s given now ends at {earliest}; name that or a later instant, or take it urgently"
                )));
            }
            start(unit, Shortage { zone, free, at, urgent, declared_at, noticed_at: None }).await
        }
    });
    let answer = answer.await;
    if answer.is_err() {
        // What was believed of it did not come.
        app.load_shortages().await?;
    }
    Ok(json(StatusCode::OK, answer?))
}

async fn start(mut unit: Unit, shortage: Shortage) -> Outcome<Decision<wire::Shortage>> {
    let app = unit.app.clone();
    unit.take_turn(&shortage.zone).await;
    // From here on nothing is placed in its way.
    app.zones.with(&app.catalog, &shortage.zone, |fleet| fleet.set_short_from(Some(shortage.at)));
    let notices_at = notices_at(&shortage, &app.catalog.limits);
    let (relief, noticed_at) = if notices_at <= unit.now {
        unit.write(alarm::clear(SHORTAGE, &shortage.zone));
        (relieve(&mut unit, &shortage).await?, Some(unit.now))
    } else {
        unit.write(zone::declare(&shortage));
        unit.write(alarm::set(SHORTAGE, &shortage.zone, notices_at));
        (relief(&unit, &shortage, notices_at).await?, None)
    };
    let answer = shown(&Shortage { noticed_at, ..shortage }, &app.catalog.limits, Some(&relief));
    Ok(unit.done(answer))
}

/// Ends a shortage: blocks are sold again. Notices that are out stay out (operator).
#[utoipa::path(post, path = "/v1/zones/{zone}/end-shortage", operation_id = "end_shortage", params(("zone" = String, Path)),
    responses((status = 200, body = wire::Shortage), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn end(State(app): State<App>, Path(zone): Path<String>, call: Call<Option<()>>) -> Result<Response, Denied> {
    call.principal.operator()?;
    let zone = known(&app, &zone)?;
    app.zones_loaded().await?;
    let key = zone.clone();
    let answer = call.once(&app, "end-shortage", key, move |mut unit| {
        let zone = zone.clone();
        async move {
            let row = unit.reads.row(zone::shortage_in(&zone)).await?;
            let Some(row) = row else { return refuse(Denied::not_found("shortage in zone", &zone)) };
            unit.write(zone::end(&zone));
            unit.write(alarm::clear(SHORTAGE, &zone));
            unit.look_after_reserve(&zone);
            let answer = shown(&zone::read(&row), &unit.app.catalog.limits, None);
            Ok(unit.done(answer))
        }
    });
    let answer = answer.await?;
    app.load_shortages().await?;
    Ok(json(StatusCode::OK, answer))
}

fn known(app: &App, zone: &str) -> Result<String, Denied> {
    let known = app.catalog.zone(zone).map(|zone| zone.id.clone());
    known.ok_or_else(|| Refused::UnknownZone(zone.chars().take(80).collect()).into())
}

/// Checked amounts of what the catalog sells.
fn amounts(app: &App, free: &BTreeMap<String, i64>) -> Result<Resources, Denied> {
    let kinds = app.catalog.kinds();
    if free.is_empty() {
        return Err(Denied::BadInput("free: say of what, such as vcpu=64".to_owned()));
    }
    for (kind, amount) in free {
        if !kinds.contains(kind.as_str()) {
            let kind: String = kind.chars().take(40).collect();
            let sold = kinds.iter().copied().collect::<Vec<_>>().join(", ");
            return Err(Denied::BadInput(format!("free: `{kind}` is nothing that the catalog sells; it sells {sold}")));
        }
        if !(1..=1_000_000_000_000).contains(amount) {
            return Err(Denied::BadInput(format!("free: {kind} is from 1 to 1000000000000, not {amount}")));
        }
    }
    Ok(Resources::of(free.iter().map(|(kind, amount)| (kind.as_str(), *amount))))
}

fn shown(shortage: &Shortage, limits: &Limits, relief: Option<&shortage::Relief>) -> wire::Shortage {
    let plain = |of: &Resources| of.iter().map(|(kind, amount)| (kind.to_owned(), amount)).collect::<BTreeMap<_, _>>();
    wire::Shortage {
        zone: shortage.zone.clone(),
        free: plain(&shortage.free),
        at: shortage.at.to_string(),
        urgent: shortage.urgent,
        declared_at: shortage.declared_at.to_string(),
        notices_at: notices_at(shortage, limits).to_string(),
        notices_are_out: shortage.noticed_at.is_some(),
        relief: relief.map(|relief| wire::Relief {
            enough: relief.enough,
            free_anyway: plain(&relief.free_anyway),
            free_then: plain(&relief.free_then),
            victims: relief.chosen.iter().map(|one| one.id.to_string()).collect(),
            put_back: relief.decision.hosts.iter().flat_map(|plan| &plan.put_back).map(ToString::to_string).collect(),
        }),
    }
}
