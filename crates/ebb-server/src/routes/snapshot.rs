//! Snapshots: making, looking, and deleting.

use super::account::Paging;
use super::disk::{Which, delete, failure, is_ready, owner, rename};
use super::instance::checked_tags;
use super::json;
use crate::app::App;
use crate::call::{Call, Principal, Role, checked_name};
use crate::cap;
use crate::denied::Denied;
use crate::unit::{Outcome, Unit, refuse};
use crate::volume::{New, cost_more, own_instance, prices};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::disk::may_copy_system_disk;
use ebb_model::catalog::{Catalog, SYSTEM_DISK};
use ebb_model::disk::{MadeOf, Volume};
use ebb_model::id::{AccountId, DiskId, HostId, InstanceId, SnapshotId};
use ebb_model::instance::Instance;
use ebb_model::time::Second;
use ebb_model::volume::{DiskOf, VolumeId};
use ebb_store::Decision;
use ebb_store::rows::volume::{self, Kind};
use ebb_wire::disk as wire;
use ebb_wire::problem::{Page, Problem};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Keeps what a data disk holds now, or the system disk of an instance. Charge begins when it is there; it outlives its disk and its
/// instance.
#[utoipa::path(post, path = "/v1/snapshots", tag = "snapshot", operation_id = "create_snapshot", request_body = wire::TakeSnapshot,
    responses((status = 201, body = wire::Snapshot), (status = 402, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub async fn create(State(app): State<App>, call: Call<wire::TakeSnapshot>) -> Result<Response, Denied> {
    let id = call.principal.member()?;
    let wire::TakeSnapshot { disk, instance, name, tags } = call.body.clone();
    let of = match (disk, instance) {
        (Some(disk), None) => DiskOf::Data(disk.parse::<DiskId>().map_err(|_| Denied::not_found("data disk", disk))?),
        (None, Some(instance)) => {
            DiskOf::System(instance.parse::<InstanceId>().map_err(|_| Denied::not_found("instance", instance))?)
        }
        _ => {
            return Err(Denied::BadInput(
                "disk: name a data disk, or an instance whose system disk is meant".to_owned(),
            ));
        }
    };
    let name = name.map(|name| checked_name("name", &name)).transpose()?;
    let words = Arc::new((name, checked_tags(&tags)?));
    app.zones_loaded().await?;
    let answer = call.once(&app, "create-snapshot", id, move |unit| make(unit, id, of, words.clone()));
    Ok(json(StatusCode::CREATED, answer.await?))
}

/// Where a disk is, how large, and what it is called.
struct Of {
    host: HostId,
    zone: String,
    gib: i64,
    name: String,
}

async fn make(
    mut unit: Unit,
    id: AccountId,
    disk: DiskOf,
    words: Arc<(Option<String>, BTreeMap<String, String>)>,
) -> Outcome<Decision<wire::Snapshot>> {
    let app = unit.app.clone();
    let of = match disk {
        DiskOf::Data(of) => {
            let row = unit.reads.row(volume::by_id(VolumeId::Disk(of))).await?;
            let Some(known) = row.map(|row| volume::read(&row)).filter(|known| known.account == id) else {
                return refuse(Denied::not_found("data disk", of));
            };
            is_ready(&known, "copied").map_err(Denied::from)?;
            // It must not be deleted, or grow, before its host has heard of this.
            unit.guard(volume::change(known.generation, &Volume { generation: known.generation + 1, ..known.clone() }));
            Of { host: known.host, zone: known.zone, gib: known.gib, name: known.name }
        }
        DiskOf::System(of) => {
            let known = own_instance(&unit, id, of).await?;
            may_copy_system_disk(&known).map_err(Denied::from)?;
            // Nor may it be released.
            let next = Instance { generation: known.generation + 1, ..known.clone() };
            unit.change_instance(known.generation, &next);
            let gib = known.resources.get(SYSTEM_DISK);
            Of { host: known.host, zone: known.zone, gib, name: known.name }
        }
    };
    let Some(region) = app.catalog.zone(&of.zone).map(|zone| zone.region.clone()) else {
        return refuse(ebb_engine::refusal::Refused::UnknownZone(of.zone));
    };
    let new = New {
        id: VolumeId::Snapshot(SnapshotId::new(app.mint.uuid(unit.now))),
        name: words.0.clone().unwrap_or(of.name),
        gib: of.gib,
        made_of: MadeOf::Disk { disk },
        tags: words.1.clone(),
    };
    unit.may_have_volumes(id, std::slice::from_ref(&new), None, &region).await?;
    cap::permit(&mut unit, id, |spending, now| cost_more(spending, &app.catalog, std::slice::from_ref(&new), now))
        .await?;
    let host = unit.room_for_volume(id, &of.zone, Some(of.host), of.gib).await?;
    let made = unit.create_volume(id, (&region, &of.zone, host), new, None).await?;
    let answer = shown(&app.catalog, &made, unit.now.second());
    Ok(unit.done(answer))
}

/// The account's snapshots, oldest first.
#[utoipa::path(get, path = "/v1/snapshots", tag = "snapshot", operation_id = "list_snapshots", params(Paging, Which), responses((status = 200, body = Page<wire::Snapshot>)))]
pub async fn list(
    State(app): State<App>,
    who: Principal,
    Query(paging): Query<Paging>,
    Query(which): Query<Which>,
) -> Result<Json<Page<wire::Snapshot>>, Denied> {
    let (all, of) = (which.all()?, owner(&who)?);
    let rows = app.store.rows(volume::page(of, Kind::Snapshots, all, &paging.after, paging.limit())).await?;
    let now = app.clock.now().second();
    let items = rows.iter().map(|row| shown(&app.catalog, &volume::read(row), now)).collect();
    Ok(Json(paging.page(items, |snapshot: &wire::Snapshot| snapshot.id.clone())))
}

/// One snapshot.
#[utoipa::path(get, path = "/v1/snapshots/{id}", tag = "snapshot", operation_id = "show_snapshot", params(("id" = String, Path)),
    responses((status = 200, body = wire::Snapshot), (status = 404, body = Problem)))]
pub async fn show(
    State(app): State<App>,
    who: Principal,
    Path(id): Path<String>,
) -> Result<Json<wire::Snapshot>, Denied> {
    let known = find(&app, &who, &id).await?;
    Ok(Json(shown(&app.catalog, &known, app.clock.now().second())))
}

/// Changes the name of a snapshot, or its tags.
#[utoipa::path(post, path = "/v1/snapshots/{id}/change", tag = "snapshot", operation_id = "change_snapshot", params(("id" = String, Path)),
    request_body = wire::ChangeVolume, responses((status = 200, body = wire::Snapshot), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn change(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::ChangeVolume>,
) -> Result<Response, Denied> {
    let known = to_change(&app, &call.principal, &id).await?;
    let name = call.body.name.as_ref().map(|name| checked_name("name", name)).transpose()?;
    let tags = call.body.tags.as_ref().map(checked_tags).transpose()?;
    let words = Arc::new((name, tags));
    let answer = call.once(&app, "change-snapshot", known.account, move |mut unit| {
        let words = words.clone();
        async move {
            let after = rename(&mut unit, known.id, &words.0, &words.1).await?;
            let answer = shown(&unit.app.catalog, &after, unit.now.second());
            Ok(unit.done(answer))
        }
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// Deletes a snapshot; disks that were made of it live on. Charge ends now.
#[utoipa::path(delete, path = "/v1/snapshots/{id}", tag = "snapshot", operation_id = "delete_snapshot", params(("id" = String, Path)),
    responses((status = 200, body = wire::Snapshot), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn remove(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<Option<()>>,
) -> Result<Response, Denied> {
    let known = to_change(&app, &call.principal, &id).await?;
    let answer = call.once(&app, "delete-snapshot", known.account, move |mut unit| async move {
        let after = delete(&mut unit, known.id).await?;
        let answer = shown(&unit.app.catalog, &after, unit.now.second());
        Ok(unit.done(answer))
    });
    Ok(json(StatusCode::OK, answer.await?))
}

async fn to_change(app: &App, who: &Principal, id: &str) -> Result<Volume, Denied> {
    let known = find(app, who, id).await?;
    if who.role != Role::Operator {
        who.member()?;
    }
    Ok(known)
}

/// The snapshot that a path names, if this caller may know of it.
async fn find(app: &App, who: &Principal, id: &str) -> Result<Volume, Denied> {
    let parsed: SnapshotId = id.parse().map_err(|_| Denied::not_found("snapshot", id))?;
    let rows = app.store.rows(volume::by_id(VolumeId::Snapshot(parsed))).await?;
    let known = rows.first().map(volume::read).filter(|known| who.sees(known.account));
    known.ok_or_else(|| Denied::not_found("snapshot", id))
}

fn shown(catalog: &Catalog, of: &Volume, now: Second) -> wire::Snapshot {
    let (disk, instance) = match of.made_of {
        MadeOf::Disk { disk: DiskOf::Data(disk) } => (Some(disk.to_string()), None),
        MadeOf::Disk { disk: DiskOf::System(instance) } => (None, Some(instance.to_string())),
        _ => (None, None),
    };
    wire::Snapshot {
        id: of.id.to_string(),
        account: of.account.to_string(),
        name: of.name.clone(),
        state: of.state_name().to_owned(),
        zone: of.zone.clone(),
        gib: of.gib,
        price: prices(catalog, of, now).at(now).to_string(),
        disk,
        instance,
        tags: of.tags.clone(),
        created_at: of.created_at.to_string(),
        charged_since: of.charged_since.map(|at| at.to_string()),
        charged_until: of.charged_since.and(of.charged_until()).map(|at| at.to_string()),
        unavailable_since: of.unavailable_since.map(|at| at.to_string()),
        failure: failure(of),
    }
}
