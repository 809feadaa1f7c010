//! Hosts, for the operator.

use super::json;
use crate::app::App;
use crate::call::{Call, Principal};
use crate::denied::Denied;
use crate::host::Ask;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_driver::protocol::ToHost;
use ebb_model::id::InstanceId;
use ebb_store::rows::host;
use ebb_wire::host::{Host, Quarantined, Room};
use ebb_wire::problem::{Page, Problem};
use std::collections::BTreeMap;

/// All hosts: their room, and guests that nobody knows (operator).
#[utoipa::path(get, path = "/v1/hosts", operation_id = "list_hosts", responses((status = 200, body = Page<Host>), (status = 403, body = Problem)))]
pub async fn list(State(app): State<App>, who: Principal) -> Result<Json<Page<Host>>, Denied> {
    who.operator()?;
    let connected: Vec<_> = app.hosts.links.lock().expect("no panic while holding links").keys().copied().collect();
    let sandbox = app.is_sandbox();
    let hosts = app.store.read(move |reads| async move {
        let mut hosts = vec![];
        for known in reads.rows(host::all()).await?.iter().map(host::read) {
            let room = reads.rows(host::room_of(known.id)).await?;
            let quarantine = reads.rows(host::quarantined(known.id)).await?;
            hosts.push(Host {
                connected: sandbox || connected.contains(&known.id),
                id: known.id.to_string(),
                name: known.name,
                zone: known.zone,
                driver: known.driver,
                state: known.state,
                room: room.iter().map(|row| (row.text("resource").to_owned(), shown_room(row))).collect(),
                quarantine: quarantine.iter().map(shown_quarantined).collect(),
            });
        }
        Ok(hosts)
    });
    Ok(Json(Page { items: hosts.await?, next: None }))
}

/// Accepts that a host has obeyed orders which the database lost, so that it obeys new ones (operator).
#[utoipa::path(post, path = "/v1/hosts/{name}/accept-gap", operation_id = "accept_gap", params(("name" = String, Path)),
    responses((status = 200), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn accept_gap(
    State(app): State<App>,
    Path(name): Path<String>,
    call: Call<Option<()>>,
) -> Result<Response, Denied> {
    call.principal.operator()?;
    if let Some(answer) = call.before(&app).await? {
        return Ok(json(StatusCode::OK, answer));
    }
    app.accept_gap(&name).await?;
    Ok(json(StatusCode::OK, call.keep(&app, "{}".to_owned()).await?))
}

/// Destroys a guest in quarantine, with its disk (operator).
#[utoipa::path(post, path = "/v1/hosts/{name}/guests/{id}/destroy", operation_id = "destroy_guest", params(("name" = String, Path), ("id" = String, Path)),
    responses((status = 202), (status = 404, body = Problem), (status = 502, body = Problem)))]
pub async fn destroy_guest(
    State(app): State<App>,
    Path((name, id)): Path<(String, String)>,
    call: Call<Option<()>>,
) -> Result<Response, Denied> {
    call.principal.operator()?;
    if let Some(answer) = call.before(&app).await? {
        return Ok(json(StatusCode::ACCEPTED, answer));
    }
    let guest: InstanceId = id.parse().map_err(|_| Denied::not_found("guest in quarantine", &id))?;
    let rows = app.store.rows(host::by_name(&name)).await?;
    let known = host::read(rows.first().ok_or_else(|| Denied::not_found("host", &name))?);
    let rows = app.store.rows(host::quarantined(known.id)).await?;
    if !rows.iter().any(|row| host::read_quarantined(row).0 == guest) {
        return Err(Denied::not_found("guest in quarantine", &id));
    }
    let away = |_| Denied::HostAway("it went away; try again shortly".to_owned());
    app.link(known.id)?.say.send(Ask::Say(ToHost::Destroy { guest })).map_err(away)?;
    Ok(json(StatusCode::ACCEPTED, call.keep(&app, "{}".to_owned()).await?))
}

/// The room of several hosts together.
pub fn sum_room(rows: &[ebb_store::Row]) -> BTreeMap<String, Room> {
    let mut sum: BTreeMap<String, Room> = BTreeMap::new();
    for row in rows {
        let (room, host) = (sum.entry(row.text("resource").to_owned()).or_default(), shown_room(row));
        room.capacity += host.capacity;
        room.used += host.used;
        room.claimed += host.claimed;
        room.releasing += host.releasing;
    }
    sum
}

fn shown_room(row: &ebb_store::Row) -> Room {
    Room {
        capacity: row.int("capacity"),
        used: row.int("used"),
        claimed: row.int("claimed"),
        releasing: row.int("releasing"),
    }
}

fn shown_quarantined(row: &ebb_store::Row) -> Quarantined {
    let (instance, found_at, observed) = host::read_quarantined(row);
    Quarantined {
        instance: instance.to_string(),
        found_at: found_at.to_string(),
        observed: serde_json::to_value(&observed.is).expect("an observation of plain values"),
    }
}
