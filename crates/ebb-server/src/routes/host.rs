//! Hosts, for the operator.

use super::json;
use super::security_group::shown_rule;
use crate::app::App;
use crate::call::{Call, Principal};
use crate::denied::Denied;
use crate::host::Ask;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_driver::protocol::ToHost;
use ebb_engine::lending::{Doing, HostEvent, Stance};
use ebb_model::disk::Volume;
use ebb_model::id::{HostId, InstanceId};
use ebb_model::instance::{Instance, State as Life};
use ebb_model::network::PublicAddress;
use ebb_model::time::Timestamp;
use ebb_model::volume::VolumeId;
use ebb_store::rows::host::Host as Known;
use ebb_store::rows::{host, instance, lending, volume};
use ebb_store::{Reads, StoreError};
use ebb_wire::host::{
    Host, HostLine, HostShown, OnHost, Quarantined, Room, StrayVolume, ToldAddress, ToldGuest, VolumeOnHost,
};
use ebb_wire::problem::{Page, Problem};
use std::collections::BTreeMap;

/// So many lines of a host's log are shown.
const LOG_LINES: i64 = 100;

/// All hosts: their room, and guests that nobody knows (operator).
#[utoipa::path(get, path = "/v1/hosts", operation_id = "list_hosts", responses((status = 200, body = Page<Host>), (status = 403, body = Problem)))]
pub async fn list(State(app): State<App>, who: Principal) -> Result<Json<Page<Host>>, Denied> {
    who.operator()?;
    let shared = app.clone();
    let hosts = app.store.read(move |reads| async move {
        let mut hosts = vec![];
        for known in reads.rows(host::all()).await?.iter().map(host::read) {
            hosts.push(shown(&shared, &reads, &known).await?);
        }
        Ok(hosts)
    });
    Ok(Json(Page { items: hosts.await?, next: None }))
}

/// One host, what is on it, and what was said about it (operator).
#[utoipa::path(get, path = "/v1/hosts/{name}", operation_id = "show_host", params(("name" = String, Path)),
    responses((status = 200, body = HostShown), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn show(State(app): State<App>, who: Principal, Path(name): Path<String>) -> Result<Json<HostShown>, Denied> {
    who.operator()?;
    let (shared, about) = (app.clone(), name.clone());
    let found = app.store.read(move |reads| async move {
        let Some(row) = reads.row(host::by_name(&about)).await? else { return Ok(None) };
        let known = host::read(&row);
        let there = reads.rows(instance::on_host(known.id)).await?;
        let log = reads.rows(lending::newest(known.id, LOG_LINES)).await?;
        let volumes = volumes_on(&reads, known.id).await?;
        Ok(Some(HostShown {
            host: shown(&shared, &reads, &known).await?,
            instances: there.iter().map(instance::read).map(|one| on_host(&one)).collect(),
            volumes,
            log: log.iter().rev().map(lending::read).map(shown_line).collect(),
        }))
    });
    found.await?.map(Json).ok_or_else(|| Denied::not_found("host", &name))
}

/// What a host of a sandbox was told of the surroundings of a guest (operator).
#[utoipa::path(get, path = "/v1/hosts/{name}/guests/{id}", operation_id = "told_guest",
    params(("name" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = ToldGuest), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub async fn told(
    State(app): State<App>,
    who: Principal,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<ToldGuest>, Denied> {
    who.operator()?;
    if !app.is_sandbox() {
        return Err(Denied::Conflict("only the hosts of a sandbox say what they were told".to_owned()));
    }
    let guest: InstanceId = id.parse().map_err(|_| Denied::not_found("guest", &id))?;
    let fakes = app.hosts.fakes.lock().await;
    let on = fakes.iter().find(|fake| fake.host.name == name).ok_or_else(|| Denied::not_found("host", &name))?;
    let desired = &on.host.guest(guest).ok_or_else(|| Denied::not_found("guest", &id))?.desired;
    let public = |one: &PublicAddress| ToldAddress { id: one.id.to_string(), ip: one.ip.to_string(), mbit: one.mbit };
    Ok(Json(ToldGuest {
        network: desired.place.map(|place| place.network),
        private_address: desired.place.map(|place| place.address.to_string()),
        ingress: desired.ingress.iter().map(shown_rule).collect(),
        public_addresses: desired.addresses.iter().map(public).collect(),
    }))
}

/// A host as operators see it.
pub async fn shown(app: &App, reads: &Reads, known: &Known) -> Result<Host, StoreError> {
    let room = reads.rows(host::room_of(known.id)).await?;
    let quarantine = reads.rows(host::quarantined(known.id)).await?;
    let strays = reads.rows(volume::quarantined(known.id)).await?;
    let ((heard_at, connected), stance) = (app.heard(known), app.stance(known, app.clock.now()));
    Ok(Host {
        connected,
        doing: doing(app, known, &stance),
        heard_at: heard_at.to_string(),
        lent_until: stance.lent_until.map(|at| at.to_string()),
        calendar: known.lending.calendar.as_ref().map(|week| week.to_string()),
        id: known.id.to_string(),
        name: known.name.clone(),
        zone: known.zone.clone(),
        driver: known.driver.clone(),
        state: known.state.clone(),
        room: room.iter().map(|row| (row.text("resource").to_owned(), shown_room(row))).collect(),
        quarantine: quarantine.iter().map(shown_quarantined).collect(),
        stray_volumes: strays.iter().map(volume::read_quarantined).map(stray).collect(),
    })
}

fn stray((volume, found_at): (VolumeId, Timestamp)) -> StrayVolume {
    StrayVolume { volume: volume.to_string(), found_at: found_at.to_string() }
}

/// The data disks and snapshots that lie on a host.
pub async fn volumes_on(reads: &Reads, on: HostId) -> Result<Vec<VolumeOnHost>, StoreError> {
    let there = reads.rows(volume::on_host(on)).await?;
    let shown = |one: Volume| VolumeOnHost {
        volume: one.id.to_string(),
        account: one.account.to_string(),
        name: one.name.clone(),
        gib: one.gib,
        state: one.state_name().to_owned(),
        instance: one.state.instance().map(|id| id.to_string()),
    };
    Ok(there.iter().map(volume::read).map(shown).collect())
}

/// What a host is doing, in words.
pub fn doing(app: &App, known: &Known, stance: &Stance) -> String {
    let (heard_at, connected) = app.heard(known);
    let silent_from = heard_at.plus_seconds(app.catalog.limits.host_lost_seconds);
    match (known.state.as_str(), stance.doing) {
        (host::LOST, _) => format!("lost, heard until {heard_at}"),
        _ if !connected && silent_from <= app.clock.now() => format!("silent since {heard_at}"),
        ("gap", _) => "obeys nothing until its gap is accepted".to_owned(),
        (_, Doing::Lent { until: None }) => "lent".to_owned(),
        (_, Doing::Lent { until: Some(at) }) if stance.open => format!("lent until {at}"),
        (_, Doing::Lent { until: Some(at) }) => format!("back to its owner at {at}"),
        (_, Doing::Draining { until }) => format!("drained from {until}"),
        (_, Doing::Drained) => "drained".to_owned(),
        (_, Doing::WithOwner { until: Some(at) }) => format!("with its owner until {at}"),
        (_, Doing::WithOwner { until: None }) => "with its owner".to_owned(),
    }
}

/// An instance as part of its host.
pub fn on_host(one: &Instance) -> OnHost {
    let leaves_at = match one.state {
        Life::Reclaiming { deadline, .. } => Some(deadline.to_string()),
        Life::Releasing { end } => Some(end.at.to_string()),
        _ => None,
    };
    OnHost {
        instance: one.id.to_string(),
        account: one.account.to_string(),
        name: one.name.clone(),
        option: one.purchase.option().to_owned(),
        flavor: one.flavor.clone(),
        state: one.state.name().to_owned(),
        lease_ends_at: one.lease_end().map(|at| at.to_string()),
        leaves_at,
    }
}

fn shown_line((at, who, event): (Timestamp, String, HostEvent)) -> HostLine {
    HostLine { at: at.to_string(), who, body: serde_json::to_value(&event).expect("an event of plain values") }
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
    let on = host_named(&app, &name).await?;
    let rows = app.store.rows(host::quarantined(on)).await?;
    if !rows.iter().any(|row| host::read_quarantined(row).0 == guest) {
        return Err(Denied::not_found("guest in quarantine", &id));
    }
    tell(&app, on, ToHost::Destroy { guest })?;
    Ok(json(StatusCode::ACCEPTED, call.keep(&app, "{}".to_owned()).await?))
}

/// Destroys a data disk, snapshot or image that lies on a host and is in no table (operator).
#[utoipa::path(post, path = "/v1/hosts/{name}/volumes/{id}/destroy", operation_id = "destroy_volume", params(("name" = String, Path), ("id" = String, Path)),
    responses((status = 202), (status = 404, body = Problem), (status = 502, body = Problem)))]
pub async fn destroy_volume(
    State(app): State<App>,
    Path((name, id)): Path<(String, String)>,
    call: Call<Option<()>>,
) -> Result<Response, Denied> {
    call.principal.operator()?;
    if let Some(answer) = call.before(&app).await? {
        return Ok(json(StatusCode::ACCEPTED, answer));
    }
    let stray = || Denied::not_found("volume that is in no table", &id);
    let volume: VolumeId = id.parse().map_err(|_| stray())?;
    let on = host_named(&app, &name).await?;
    let rows = app.store.rows(volume::quarantined(on)).await?;
    if !rows.iter().any(|row| volume::read_quarantined(row).0 == volume) {
        return Err(stray());
    }
    tell(&app, on, ToHost::DestroyVolume { volume })?;
    Ok(json(StatusCode::ACCEPTED, call.keep(&app, "{}".to_owned()).await?))
}

async fn host_named(app: &App, name: &str) -> Result<HostId, Denied> {
    let rows = app.store.rows(host::by_name(name)).await?;
    rows.first().map(|row| host::read(row).id).ok_or_else(|| Denied::not_found("host", name))
}

fn tell(app: &App, host: HostId, what: ToHost) -> Result<(), Denied> {
    let away = |_| Denied::HostAway("it went away; try again shortly".to_owned());
    app.link(host)?.say.send(Ask::Say(what)).map_err(away)
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
