//! Data disks: making, looking, attaching, detaching, letting them grow, and deleting.

use super::account::Paging;
use super::instance::checked_tags;
use super::json;
use crate::app::App;
use crate::arrears;
use crate::call::{Call, Principal, Role, checked_name};
use crate::cap;
use crate::denied::Denied;
use crate::unit::{Outcome, Unit, refuse};
use crate::volume::{New, copied_to, cost_more, own_instance, prices};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::disk::{Input, guest_is_told, may_grow};
use ebb_engine::refusal::Refused;
use ebb_model::catalog::Catalog;
use ebb_model::disk::{DISKS_PER_INSTANCE, MadeOf, Volume, VolumeState};
use ebb_model::id::{AccountId, DiskId, InstanceId, SnapshotId};
use ebb_model::instance::Instance;
use ebb_model::time::Second;
use ebb_model::volume::VolumeId;
use ebb_store::rows::instance;
use ebb_store::rows::volume::{self, Kind};
use ebb_store::{Decision, Reads, StoreError};
use ebb_wire::disk as wire;
use ebb_wire::problem::{Page, Problem};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize, utoipa::IntoParams)]
pub struct Which {
    /// `live` (not yet gone) or `all`; live if not given.
    pub state: Option<String>,
}

impl Which {
    pub fn all(&self) -> Result<bool, Denied> {
        match self.state.as_deref() {
            None | Some("live") => Ok(false),
            Some("all") => Ok(true),
            Some(_) => Err(Denied::BadInput("state: it is live or all".to_owned())),
        }
    }
}

/// Makes a data disk: empty, on the host with most room of a zone, or of a snapshot, where that is. Charge begins when it is there.
#[utoipa::path(post, path = "/v1/disks", tag = "disk", operation_id = "create_disk", request_body = wire::CreateDisk,
    responses((status = 201, body = wire::Disk), (status = 402, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub async fn create(State(app): State<App>, call: Call<wire::CreateDisk>) -> Result<Response, Denied> {
    let id = call.principal.member()?;
    let wire::CreateDisk { zone, gib, name, snapshot, tags } = call.body.clone();
    let name = checked_name("name", &name.unwrap_or_else(|| "disk".to_owned()))?;
    let tags = checked_tags(&tags)?;
    let parsed = snapshot.map(|id| id.parse::<SnapshotId>().map_err(|_| Denied::not_found("snapshot", id)));
    let snapshot = parsed.transpose()?;
    if let (None, None) = (&zone, snapshot) {
        return Err(Denied::BadInput("zone: name one, or a snapshot, whose zone it is then".to_owned()));
    }
    if let (None, None) = (gib, snapshot) {
        return Err(Denied::BadInput("gib: name a size, or a snapshot, whose size it has then".to_owned()));
    }
    app.zones_loaded().await?;
    let wanted = Arc::new((zone, gib, name, tags));
    let answer = call.once(&app, "create-disk", id, move |unit| make(unit, id, wanted.clone(), snapshot));
    Ok(json(StatusCode::CREATED, answer.await?))
}

type Wanted = (Option<String>, Option<i64>, String, std::collections::BTreeMap<String, String>);

async fn make(
    mut unit: Unit,
    id: AccountId,
    wanted: Arc<Wanted>,
    snapshot: Option<SnapshotId>,
) -> Outcome<Decision<wire::Disk>> {
    let app = unit.app.clone();
    let (zone, gib, name, tags) = &*wanted;
    let source = match snapshot {
        None => None,
        Some(of) => {
            let row = unit.reads.row(volume::by_id(VolumeId::Snapshot(of))).await?;
            let Some(known) = row.map(|row| volume::read(&row)).filter(|known| known.account == id) else {
                return refuse(Denied::not_found("snapshot", of));
            };
            is_ready(&known, "made a disk of").map_err(Denied::from)?;
            if zone.as_ref().is_some_and(|zone| *zone != known.zone) {
                return refuse(Refused::DiskElsewhere);
            }
            Some(known)
        }
    };
    let least = source.as_ref().map(|known| known.gib);
    let gib = gib.or(least).expect("a size or a snapshot");
    if let Some(least) = least.filter(|least| gib < *least) {
        return refuse(Refused::SmallerThanSnapshot { gib, least });
    }
    let zone = zone.clone().or(source.as_ref().map(|known| known.zone.clone())).expect("a zone or a snapshot");
    let Some(region) = app.catalog.zone(&zone).map(|zone| zone.region.clone()) else {
        return refuse(Refused::UnknownZone(zone));
    };
    let blank = New::blank(&app, unit.now, name, gib);
    let made_of = snapshot.map_or(MadeOf::Nothing, |snapshot| MadeOf::Snapshot { snapshot });
    let new = New { made_of, tags: tags.clone(), ..blank };
    unit.may_have_volumes(id, std::slice::from_ref(&new), None, &region).await?;
    cap::permit(&mut unit, id, |spending, now| cost_more(spending, &app.catalog, std::slice::from_ref(&new), now))
        .await?;
    if let Some(known) = &source {
        // It must not be deleted before its host has heard of this.
        unit.guard(volume::change(known.generation, &Volume { generation: known.generation + 1, ..known.clone() }));
    }
    let host = unit.room_for_volume(id, &zone, source.map(|known| known.host), gib).await?;
    let made = unit.create_volume(id, (&region, &zone, host), new, None).await?;
    let answer = shown(&unit.reads, &app.catalog, &made, unit.now.second()).await?;
    Ok(unit.done(answer))
}

/// Whether something may be made of it now.
pub fn is_ready(of: &Volume, verb: &'static str) -> Result<(), Refused> {
    match (&of.state, of.unavailable_since) {
        (VolumeState::Deleting { .. } | VolumeState::Deleted { .. } | VolumeState::Failed { .. }, _) => {
            Err(Refused::VolumeGone { noun: of.noun() })
        }
        (VolumeState::Creating { .. }, _) => {
            Err(Refused::VolumeState { noun: of.noun(), state: of.state_name(), verb })
        }
        (_, Some(since)) => Err(Refused::VolumeAway { noun: of.noun(), since: since.start() }),
        _ => Ok(()),
    }
}

/// The account's data disks, oldest first.
#[utoipa::path(get, path = "/v1/disks", tag = "disk", operation_id = "list_disks", params(Paging, Which), responses((status = 200, body = Page<wire::Disk>)))]
pub async fn list(
    State(app): State<App>,
    who: Principal,
    Query(paging): Query<Paging>,
    Query(which): Query<Which>,
) -> Result<Json<Page<wire::Disk>>, Denied> {
    let (all, of) = (which.all()?, owner(&who)?);
    let query = volume::page(of, Kind::Disks, all, &paging.after, paging.limit());
    let (shared, now) = (app.clone(), app.clock.now().second());
    let items = app.store.read(move |reads| async move {
        let mut items = vec![];
        for row in reads.rows(query).await? {
            items.push(shown(&reads, &shared.catalog, &volume::read(&row), now).await?);
        }
        Ok(items)
    });
    Ok(Json(paging.page(items.await?, |disk| disk.id.clone())))
}

/// Whose are listed; of all, if an operator names no account.
pub fn owner(who: &Principal) -> Result<Option<AccountId>, Denied> {
    match (who.role, who.account) {
        (Role::Operator, None) => Ok(None),
        _ => who.account().map(Some),
    }
}

/// One data disk.
#[utoipa::path(get, path = "/v1/disks/{id}", tag = "disk", operation_id = "show_disk", params(("id" = String, Path)),
    responses((status = 200, body = wire::Disk), (status = 404, body = Problem)))]
pub async fn show(State(app): State<App>, who: Principal, Path(id): Path<String>) -> Result<Json<wire::Disk>, Denied> {
    let known = find(&app, &who, &id).await?;
    let (catalog, now) = (app.catalog.clone(), app.clock.now().second());
    let shown = app.store.read(move |reads| async move { shown(&reads, &catalog, &known, now).await });
    Ok(Json(shown.await?))
}

/// Gives a data disk to an instance on its host, while that runs or is stopped.
#[utoipa::path(post, path = "/v1/disks/{id}/attach", tag = "disk", operation_id = "attach_disk", params(("id" = String, Path)),
    request_body = wire::AttachDisk, responses((status = 200, body = wire::Disk), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn attach(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::AttachDisk>,
) -> Result<Response, Denied> {
    let known = to_change(&app, &call.principal, &id).await?;
    let to = &call.body.instance;
    let to: InstanceId = to.parse().map_err(|_| Denied::not_found("instance", to))?;
    let answer = call.once(&app, "attach-disk", known.account, move |unit| give(unit, known.id, to));
    Ok(json(StatusCode::OK, answer.await?))
}

async fn give(mut unit: Unit, id: VolumeId, to: InstanceId) -> Outcome<Decision<wire::Disk>> {
    let before = unit.volume(id).await?;
    arrears::permit(&mut unit, before.account).await?;
    let instance = own_instance(&unit, before.account, to).await?;
    guest_is_told(&instance, "attach a data disk").map_err(Denied::from)?;
    if instance.host != before.host {
        return refuse(Refused::DiskElsewhere);
    }
    let has = unit.reads.rows(volume::of_instance(to)).await?.len();
    if has >= DISKS_PER_INSTANCE && before.state.instance() != Some(to) {
        return refuse(Refused::TooManyDisks { most: DISKS_PER_INSTANCE });
    }
    let after = unit.step_volume(&before, &Input::Attach { to }).await?;
    if after.generation != before.generation {
        // Whoever releases it at the same time sees the disk, or comes first.
        next_generation(&mut unit, &instance);
    }
    let answer = shown(&unit.reads, &unit.app.catalog, &after, unit.now.second()).await?;
    Ok(unit.done(answer))
}

/// A further order of an instance that stays as it is.
fn next_generation(unit: &mut Unit, of: &Instance) -> i64 {
    let next = Instance { generation: of.generation + 1, ..of.clone() };
    unit.change_instance(of.generation, &next);
    next.generation
}

/// Takes a data disk from its instance. Of one that runs the guest has to let go of it first: it is `detaching` until then.
#[utoipa::path(post, path = "/v1/disks/{id}/detach", tag = "disk", operation_id = "detach_disk", params(("id" = String, Path)),
    responses((status = 200, body = wire::Disk), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn detach(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<Option<()>>,
) -> Result<Response, Denied> {
    let known = to_change(&app, &call.principal, &id).await?;
    let answer = call.once(&app, "detach-disk", known.account, move |unit| take(unit, known.id));
    Ok(json(StatusCode::OK, answer.await?))
}

async fn take(mut unit: Unit, id: VolumeId) -> Outcome<Decision<wire::Disk>> {
    let before = unit.volume(id).await?;
    arrears::permit(&mut unit, before.account).await?;
    let mut generation = None;
    if let VolumeState::Attached { to } = before.state {
        let instance = unit.instance(to).await?;
        let told = guest_is_told(&instance, "detach").map_err(Denied::from)?;
        let next = next_generation(&mut unit, &instance);
        generation = told.then_some(next);
    }
    let after = unit.step_volume(&before, &Input::Detach { generation }).await?;
    let answer = shown(&unit.reads, &unit.app.catalog, &after, unit.now.second()).await?;
    Ok(unit.done(answer))
}

/// Lets a data disk grow, attached or not; it is charged for its new size from this second on. What is on it has to be told to use it.
#[utoipa::path(post, path = "/v1/disks/{id}/resize", tag = "disk", operation_id = "resize_disk", params(("id" = String, Path)),
    request_body = wire::ResizeDisk, responses((status = 200, body = wire::Disk), (status = 402, body = Problem), (status = 409, body = Problem)))]
pub async fn resize(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::ResizeDisk>,
) -> Result<Response, Denied> {
    let known = to_change(&app, &call.principal, &id).await?;
    let gib = call.body.gib;
    app.zones_loaded().await?;
    let answer = call.once(&app, "resize-disk", known.account, move |unit| grow(unit, known.id, gib));
    Ok(json(StatusCode::OK, answer.await?))
}

async fn grow(mut unit: Unit, id: VolumeId, gib: i64) -> Outcome<Decision<wire::Disk>> {
    let before = unit.volume(id).await?;
    let (app, by) = (unit.app.clone(), gib - before.gib);
    let owner = unit.owner_of_volumes(before.account).await?;
    if let Some(copy) = copied_to(&unit.reads, id).await? {
        return refuse(Refused::BeingCopied { noun: before.noun(), copy: copy.to_string() });
    }
    let after = unit.step_volume(&before, &Input::Resize { gib }).await?;
    if by > 0 {
        may_grow(&app.catalog, &owner, gib, by).map_err(Denied::from)?;
        let more = New { id, ..New::blank(&app, unit.now, &before.name, by) };
        let more = std::slice::from_ref(&more);
        if let Some(need) = crate::volume::need(&app.catalog, more, None, &before.region, unit.now.second()) {
            unit.has_money(before.account, &need).await?;
        }
        cap::permit(&mut unit, before.account, |spending, now| cost_more(spending, &app.catalog, more, now)).await?;
        unit.room_for_volume(before.account, &before.zone, Some(before.host), by).await?;
    }
    let answer = shown(&unit.reads, &app.catalog, &after, unit.now.second()).await?;
    Ok(unit.done(answer))
}

/// Changes the name of a data disk, or its tags.
#[utoipa::path(post, path = "/v1/disks/{id}/change", tag = "disk", operation_id = "change_disk", params(("id" = String, Path)),
    request_body = wire::ChangeVolume, responses((status = 200, body = wire::Disk), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn change(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::ChangeVolume>,
) -> Result<Response, Denied> {
    let known = to_change(&app, &call.principal, &id).await?;
    let name = call.body.name.as_ref().map(|name| checked_name("name", name)).transpose()?;
    let tags = call.body.tags.as_ref().map(checked_tags).transpose()?;
    let words = Arc::new((name, tags));
    let answer = call.once(&app, "change-disk", known.account, move |mut unit| {
        let words = words.clone();
        async move {
            let after = rename(&mut unit, known.id, &words.0, &words.1).await?;
            let answer = shown(&unit.reads, &unit.app.catalog, &after, unit.now.second()).await?;
            Ok(unit.done(answer))
        }
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// Other words for a volume that is there.
pub async fn rename(
    unit: &mut Unit,
    id: VolumeId,
    name: &Option<String>,
    tags: &Option<std::collections::BTreeMap<String, String>>,
) -> Outcome<Volume> {
    let before = unit.volume(id).await?;
    arrears::permit(unit, before.account).await?;
    if !before.is_kept() {
        return refuse(Refused::VolumeGone { noun: before.noun() });
    }
    let next = Volume {
        name: name.clone().unwrap_or_else(|| before.name.clone()),
        tags: tags.clone().unwrap_or_else(|| before.tags.clone()),
        generation: before.generation + 1,
        ..before.clone()
    };
    unit.guard(volume::change(before.generation, &next));
    unit.touch_volume(&next);
    Ok(next)
}

/// Deletes a data disk that no instance has. Charge ends now.
#[utoipa::path(delete, path = "/v1/disks/{id}", tag = "disk", operation_id = "delete_disk", params(("id" = String, Path)),
    responses((status = 200, body = wire::Disk), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn remove(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<Option<()>>,
) -> Result<Response, Denied> {
    let known = to_change(&app, &call.principal, &id).await?;
    let answer = call.once(&app, "delete-disk", known.account, move |mut unit| async move {
        let after = delete(&mut unit, known.id).await?;
        let answer = shown(&unit.reads, &unit.app.catalog, &after, unit.now.second()).await?;
        Ok(unit.done(answer))
    });
    Ok(json(StatusCode::OK, answer.await?))
}

pub async fn delete(unit: &mut Unit, id: VolumeId) -> Outcome<Volume> {
    let before = unit.volume(id).await?;
    let copied_to = copied_to(&unit.reads, id).await?;
    unit.step_volume(&before, &Input::Delete { copied_to }).await
}

/// A disk that is to be changed, if this caller may.
async fn to_change(app: &App, who: &Principal, id: &str) -> Result<Volume, Denied> {
    let known = find(app, who, id).await?;
    if who.role != Role::Operator {
        who.member()?;
    }
    Ok(known)
}

/// The disk that a path names, if this caller may know of it.
pub async fn find(app: &App, who: &Principal, id: &str) -> Result<Volume, Denied> {
    let parsed: DiskId = id.parse().map_err(|_| Denied::not_found("data disk", id))?;
    let rows = app.store.rows(volume::by_id(VolumeId::Disk(parsed))).await?;
    let known = rows.first().map(volume::read).filter(|known| who.sees(known.account));
    known.ok_or_else(|| Denied::not_found("data disk", id))
}

async fn shown(reads: &Reads, catalog: &Catalog, of: &Volume, now: Second) -> Result<wire::Disk, StoreError> {
    let instance = of.state.instance();
    let instance_name = match instance {
        Some(id) => reads.row(instance::by_id(id)).await?.map(|row| instance::read(&row).name),
        None => None,
    };
    Ok(wire::Disk {
        id: of.id.to_string(),
        account: of.account.to_string(),
        name: of.name.clone(),
        state: of.state_name().to_owned(),
        zone: of.zone.clone(),
        gib: of.gib,
        price: prices(catalog, of, now).at(now).to_string(),
        instance: instance.map(|id| id.to_string()),
        instance_name,
        snapshot: match of.made_of {
            MadeOf::Snapshot { snapshot } => Some(snapshot.to_string()),
            _ => None,
        },
        tags: of.tags.clone(),
        created_at: of.created_at.to_string(),
        charged_since: of.charged_since.map(|at| at.to_string()),
        charged_until: of.charged_since.and(of.charged_until()).map(|at| at.to_string()),
        unavailable_since: of.unavailable_since.map(|at| at.to_string()),
        failure: failure(of),
    })
}

/// Why it could not be made.
pub fn failure(of: &Volume) -> Option<String> {
    match &of.state {
        VolumeState::Failed { reason, .. } => Some(reason.clone()),
        _ => None,
    }
}
