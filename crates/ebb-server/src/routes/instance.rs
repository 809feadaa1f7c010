//! Instances: looking, stopping, starting, deleting, taking back, and what is said of one.

use super::account::Paging;
use super::conversion::up_to_now;
use super::json;
use crate::app::App;
use crate::arrears;
use crate::call::{Call, Principal, Role, checked_name};
use crate::cap;
use crate::denied::Denied;
use crate::host::Ask;
use crate::room::room_again;
use crate::security_group;
use crate::unit::{Outcome, Unit, refuse};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::drill::costs;
use ebb_engine::event::Event;
use ebb_engine::lifecycle::{Command, Input, Reclaim};
use ebb_engine::monthly;
use ebb_engine::outlays;
use ebb_engine::placement::clear_host;
use ebb_engine::price::tariff;
use ebb_engine::refusal::Refused;
use ebb_model::id::{InstanceId, SecurityGroupId};
use ebb_model::instance::{Cause, Instance, Keep, Purchase, State as Life};
use ebb_model::money::{Amount, Price};
use ebb_model::security_group::{DEFAULT, SecurityGroup};
use ebb_model::traffic::Address;
use ebb_store::rows::instance::Seen;
use ebb_store::rows::notice::{self, Told};
use ebb_store::rows::{account, address, instance, volume};
use ebb_wire::instance as wire;
use ebb_wire::problem::{Page, Problem};
use serde::Deserialize;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

const CONSOLE_BYTES: u32 = 64 << 10;

#[derive(Deserialize, utoipa::IntoParams)]
pub struct Which {
    /// `live` (not yet released) or `all`; live if not given.
    state: Option<String>,
}

/// The account's instances, oldest first.
#[utoipa::path(get, path = "/v1/instances", operation_id = "list_instances", params(Paging, Which), responses((status = 200, body = Page<wire::Instance>)))]
pub async fn list(
    State(app): State<App>,
    who: Principal,
    Query(paging): Query<Paging>,
    Query(which): Query<Which>,
) -> Result<Json<Page<wire::Instance>>, Denied> {
    let live = match which.state.as_deref() {
        None | Some("live") => true,
        Some("all") => false,
        Some(_) => return Err(Denied::BadInput("state: it is live or all".to_owned())),
    };
    let (after, limit) = (paging.after.as_str(), paging.limit());
    let query = match (who.role, who.account) {
        (Role::Operator, None) if live => instance::live_page(after, limit),
        (Role::Operator, None) => instance::page(after, limit),
        _ if live => instance::live_page_of(who.account()?, after, limit),
        _ => instance::of_account(who.account()?, after, limit),
    };
    let shown = app.store.read(move |reads| async move {
        let mut shown = vec![];
        for row in reads.rows(query).await? {
            shown.push(show_row(&reads, &row).await?);
        }
        Ok(shown)
    });
    Ok(Json(paging.page(shown.await?, |instance| instance.id.clone())))
}

/// One instance.
#[utoipa::path(get, path = "/v1/instances/{id}", operation_id = "show_instance", params(("id" = String, Path)),
    responses((status = 200, body = wire::Instance), (status = 404, body = Problem)))]
pub async fn show(
    State(app): State<App>,
    who: Principal,
    Path(id): Path<String>,
) -> Result<Json<wire::Instance>, Denied> {
    let known = find(&app, &who, &id).await?;
    let shown = app.store.read(move |reads| async move {
        let row = reads.row(instance::by_id(known.id)).await?.expect("an instance is never deleted");
        show_row(&reads, &row).await
    });
    Ok(Json(shown.await?))
}

/// Releases an instance with its system disk. Charge ends now.
#[utoipa::path(delete, path = "/v1/instances/{id}", operation_id = "delete_instance", params(("id" = String, Path)),
    responses((status = 200, body = wire::Instance), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn release(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<Option<()>>,
) -> Result<Response, Denied> {
    command(app, call, id, "delete", Command::Delete).await
}

/// Powers an instance down. It keeps its room and goes on being charged; economically stopped it keeps its disk and is charged for
/// nothing else, from the second in which it is off.
#[utoipa::path(post, path = "/v1/instances/{id}/stop", operation_id = "stop_instance", params(("id" = String, Path)),
    request_body = Option<wire::Stop>, responses((status = 200, body = wire::Instance), (status = 409, body = Problem)))]
pub async fn stop(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<Option<wire::Stop>>,
) -> Result<Response, Denied> {
    let economical = call.body.as_ref().is_some_and(|how| how.economical);
    let command = if economical { Command::StopEconomically { charged_until: None } } else { Command::Stop };
    order_to(app, call, id, "stop", move |_| command).await
}

/// Starts a stopped instance. After an economical stop it needs room on the host that has its disk: what is free, else what spot
/// blocks leave, for which it waits as `pending`; else it is refused.
#[utoipa::path(post, path = "/v1/instances/{id}/start", operation_id = "start_instance", params(("id" = String, Path)),
    responses((status = 200, body = wire::Instance), (status = 409, body = Problem)))]
pub async fn start(State(app): State<App>, Path(id): Path<String>, call: Call<Option<()>>) -> Result<Response, Denied> {
    command(app, call, id, "start", Command::Start).await
}

/// Takes a spot block back, with notice unless it is urgent (operator). Its current period is free, but for a breach of the terms.
#[utoipa::path(post, path = "/v1/instances/{id}/reclaim", operation_id = "reclaim_instance", params(("id" = String, Path)),
    request_body = Option<wire::TakeBack>,
    responses((status = 200, body = wire::Instance), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub async fn reclaim(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<Option<wire::TakeBack>>,
) -> Result<Response, Denied> {
    call.principal.operator()?;
    let how = call.body.clone().unwrap_or_default();
    order_to(app, call, id, "reclaim", move |unit| match how {
        wire::TakeBack { breach: true, .. } => Command::Breach,
        wire::TakeBack { urgent, .. } => {
            let notice = if urgent { 0 } else { unit.app.catalog.limits.notice_seconds };
            Command::Reclaim(Reclaim {
                cause: Cause::Operator,
                deadline: unit.now.plus_seconds(notice),
                free_until: None,
            })
        }
    })
    .await
}

pub async fn command(
    app: App,
    call: Call<Option<()>>,
    id: String,
    name: &'static str,
    command: Command,
) -> Result<Response, Denied> {
    order_to(app, call, id, name, move |_| command).await
}

/// Lets something happen to an instance that somebody asked for.
pub async fn order_to<T>(
    app: App,
    call: Call<T>,
    id: String,
    name: &'static str,
    what: impl Fn(&Unit) -> Command + Clone + Send + Sync + 'static,
) -> Result<Response, Denied> {
    let known = find(&app, &call.principal, &id).await?;
    if call.principal.role != Role::Operator {
        call.principal.member()?;
    }
    app.zones_loaded().await?;
    let answer = call.once(&app, name, known.account, move |mut unit| {
        let command = what(&unit);
        async move {
            let mut before = unit.instance(known.id).await?;
            if !matches!(command, Command::Delete | Command::Breach | Command::Reclaim(_)) {
                arrears::permit(&mut unit, known.account).await?;
            }
            if command == Command::Start {
                // It may have renewed itself.
                before = up_to_now(&mut unit, before).await?;
            }
            let debt = unit.account(known.account).await?.purse.debt;
            if command == Command::Start && debt > Amount::ZERO {
                return refuse(Refused::Arrears(debt));
            }
            if let Command::Reclaim(Reclaim { cause, deadline, .. }) = command {
                // The operator's own word is a decision, too; if it is refused, nothing of it is written.
                let decision = clear_host(before.host, &[&before], unit.now, deadline);
                let told: Vec<_> = decision.chosen().into_iter().map(|one| (one, cause)).collect();
                unit.decide(&before.zone, cause, None, &decision, &told);
            }
            if command == Command::Start && monthly::is_over(&before, unit.now) && before.state.end().is_none() {
                // Before anybody looks for room.
                return refuse(monthly::over(&before));
            }
            let input = match (command, &before.state) {
                (Command::Start, Life::StoppedEconomically) => start_again(&mut unit, &before).await?,
                _ => Input::Command(command),
            };
            let after = unit.step(&before, input).await?;
            let seen = unit.reads.row(instance::by_id(known.id)).await?.map(|row| instance::read_seen(&row));
            let key = key_name(&unit.reads, &after).await?;
            let answer = shown(&after, &seen.unwrap_or_default(), None, key);
            let answer = with_address(&unit.reads, answer, after.id).await?;
            Ok(unit.done(answer))
        }
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// How long an order must run, and be charged, if others have to go for it.
pub fn least_seconds(unit: &Unit, took_room: bool) -> i64 {
    if took_room { unit.app.catalog.limits.taking_minimum_seconds } else { 0 }
}

/// A start that needs room first.
async fn start_again(unit: &mut Unit, stopped: &Instance) -> Outcome<Input> {
    let begin = room_again(unit, stopped).await?;
    let least = least_seconds(unit, begin.took_room);
    let compute = tariff(&unit.app.catalog, stopped).compute.prices;
    cap::permit(unit, stopped.account, |spending, now| {
        outlays::begin(spending, stopped.purchase, &compute, None, now, least);
    })
    .await?;
    // Counted under the account's generation, as purchases are.
    unit.change_account(stopped.account).await?;
    let give_up_at = match begin.life {
        Life::Waiting { give_up_at, .. } => Some(give_up_at),
        _ => None,
    };
    Ok(Input::StartAgain { give_up_at, took_room: begin.took_room })
}

/// Changes an instance's tags, or what stays when it goes; until its release.
#[utoipa::path(post, path = "/v1/instances/{id}/change", operation_id = "change_instance", params(("id" = String, Path)),
    request_body = wire::Change, responses((status = 200, body = wire::Instance), (status = 409, body = Problem)))]
pub async fn change(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::Change>,
) -> Result<Response, Denied> {
    let known = find(&app, &call.principal, &id).await?;
    call.principal.member()?;
    let tags = call.body.tags.as_ref().map(checked_tags).transpose()?;
    let (data_disks, public_ip) = (call.body.keep_data_disks, call.body.keep_public_ip);
    let answer = call.once(&app, "change", known.account, move |mut unit| {
        let tags = tags.clone();
        async move {
            arrears::permit(&mut unit, known.account).await?;
            let before = unit.instance(known.id).await?;
            if let Life::Releasing { .. } | Life::Released { .. } = before.state {
                return refuse(Refused::Released);
            }
            let next = Instance {
                tags: tags.unwrap_or_else(|| before.tags.clone()),
                keep: keep(before.keep, data_disks, public_ip),
                ..before.clone()
            };
            unit.guard(instance::change_words(&next));
            if next.keep != before.keep {
                unit.log(next.account, Some(next.id), &Event::KeepChanged(next.keep));
            }
            let seen = unit.reads.row(instance::by_id(known.id)).await?.map(|row| instance::read_seen(&row));
            let key = key_name(&unit.reads, &next).await?;
            let answer = shown(&next, &seen.unwrap_or_default(), None, key);
            let answer = with_address(&unit.reads, answer, next.id).await?;
            Ok(unit.done(answer))
        }
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// The last 64 KiB of an instance's serial console.
#[utoipa::path(get, path = "/v1/instances/{id}/console-log", operation_id = "show_console_log", params(("id" = String, Path)),
    responses((status = 200, body = wire::ConsoleLog), (status = 404, body = Problem), (status = 502, body = Problem)))]
pub async fn console_log(
    State(app): State<App>,
    who: Principal,
    Path(id): Path<String>,
) -> Result<Json<wire::ConsoleLog>, Denied> {
    let known = find(&app, &who, &id).await?;
    if let Life::Released { .. } = known.state {
        return Err(Refused::Released.into());
    }
    let (answer, console) = oneshot::channel();
    let away = |_| Denied::HostAway("it went away; try again shortly".to_owned());
    if app.is_sandbox() {
        return Ok(Json(wire::ConsoleLog { text: app.fake_console(known.host, known.id).await }));
    }
    let ask = Ask::Console { guest: known.id, bytes: CONSOLE_BYTES, answer };
    app.link(known.host)?.say.send(ask).map_err(|_| Denied::HostAway("it went away; try again shortly".to_owned()))?;
    let text = console.await.map_err(away)?.map_err(Denied::HostAway)?;
    Ok(Json(wire::ConsoleLog { text }))
}

/// The instance that a path names, if this caller may know of it.
pub async fn find(app: &App, who: &Principal, id: &str) -> Result<Instance, Denied> {
    let parsed: InstanceId = id.parse().map_err(|_| Denied::not_found("instance", id))?;
    let rows = app.store.rows(instance::by_id(parsed)).await?;
    let known = rows.first().map(instance::read).filter(|known| who.sees(known.account));
    known.ok_or_else(|| Denied::not_found("instance", id))
}

pub async fn key_name(reads: &ebb_store::Reads, about: &Instance) -> Result<Option<String>, ebb_store::StoreError> {
    Ok(match about.key_pair {
        Some(id) => reads.row(account::key_pair_by_id(id)).await?.map(|row| account::read_key_pair(&row).name),
        None => None,
    })
}

async fn show_row(reads: &ebb_store::Reads, row: &ebb_store::Row) -> Result<wire::Instance, ebb_store::StoreError> {
    let about = instance::read(row);
    let key = key_name(reads, &about).await?;
    let told = reads.row(notice::newest(about.id)).await?.map(|row| notice::read(&row));
    with_address(reads, shown(&about, &instance::read_seen(row), told, key), about.id).await
}

/// With the public addresses that lead to it, the names of its security groups, and its data disks.
pub async fn with_address(
    reads: &ebb_store::Reads,
    shown: wire::Instance,
    id: InstanceId,
) -> Result<wire::Instance, ebb_store::StoreError> {
    let disks = reads.rows(volume::of_instance(id)).await?;
    let shown = wire::Instance { data_disks: disks.iter().map(|row| row.text("id").to_owned()).collect(), ..shown };
    if shown.state == "released" {
        return Ok(shown);
    }
    let addresses: Vec<Address> = reads.rows(address::of_instance(id)).await?.iter().map(address::read).collect();
    let groups: Vec<SecurityGroupId> = shown.security_groups.iter().filter_map(|id| id.parse().ok()).collect();
    let account = shown.account.parse().expect("an id that this program wrote");
    let groups = match groups.as_slice() {
        [] => vec![],
        ids => security_group::of_instance(reads, account, ids).await?,
    };
    Ok(with_groups(with_public(shown, &addresses), &groups))
}

/// With these public addresses.
pub fn with_public(shown: wire::Instance, addresses: &[Address]) -> wire::Instance {
    let public = |one: &Address| wire::PublicAddress { id: one.id.to_string(), ip: one.ip.map(|ip| ip.to_string()) };
    let all: Vec<wire::PublicAddress> = addresses.iter().map(public).collect();
    wire::Instance { public_address: all.first().map(|one| one.id.clone()), public_addresses: all, ..shown }
}

/// With the names of these groups; none: its account's default one.
pub fn with_groups(shown: wire::Instance, groups: &[SecurityGroup]) -> wire::Instance {
    let names: Vec<String> = groups.iter().map(|group| group.name.clone()).collect();
    wire::Instance { security_groups: if names.is_empty() { vec![DEFAULT.to_owned()] } else { names }, ..shown }
}

pub fn keep(now: Keep, data_disks: Option<bool>, public_ip: Option<bool>) -> Keep {
    Keep { data_disks: data_disks.unwrap_or(now.data_disks), public_ip: public_ip.unwrap_or(now.public_ip) }
}

/// At most 20 tags, with names and values of at most 100 visible characters.
pub fn checked_tags(tags: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Denied> {
    const MOST: usize = 20;
    if tags.len() > MOST {
        return Err(Denied::BadInput(format!("tags: at most {MOST}, {} given", tags.len())));
    }
    let checked = tags.iter().map(|(name, value)| Ok((checked_name("tags", name)?, checked_name("tags", value)?)));
    checked.collect()
}

pub fn shown(about: &Instance, seen: &Seen, notice_told: Option<Told>, key_pair: Option<String>) -> wire::Instance {
    let block = match about.purchase {
        Purchase::SpotBlock { hours, periods, .. } => Some((hours, periods)),
        _ => None,
    };
    let notice = match about.state {
        Life::Reclaiming { notice_at, deadline, cause, .. } => Some((cause, notice_at, deadline)),
        Life::Releasing { end } | Life::Released { end, .. } => {
            end.notice.map(|notice| (end.cause, notice.notice_at, notice.deadline))
        }
        _ => None,
    };
    let told = seen.notice_readable_at.is_some() || seen.notice_read_at.is_some();
    let interruption = (notice.is_some() || told).then(|| wire::Interruption {
        cause: notice.map(|(cause, ..)| cause.name().to_owned()),
        notice_at: notice.map(|(_, at, _)| at.to_string()),
        deadline: notice.map(|(.., deadline)| deadline.to_string()),
        decided_at: notice_told.map(|told| told.decided_at.to_string()),
        committed_at: notice_told.and_then(|told| told.committed_at).map(|at| at.to_string()),
        readable_at: seen.notice_readable_at.map(|at| at.to_string()),
        read_at: seen.notice_read_at.map(|at| at.to_string()),
        platform_would_waive: notice
            .filter(|(cause, ..)| *cause == Cause::Drill)
            .and_then(|_| Some(costs(about)?.platform.to_string())),
    });
    let end = about.state.end();
    wire::Instance {
        id: about.id.to_string(),
        account: about.account.to_string(),
        name: about.name.clone(),
        state: about.state.name().to_owned(),
        economical: matches!(
            about.state,
            Life::StoppedEconomically | Life::Stopping { economical: true, .. } | Life::Lost { economical: true, .. }
        ),
        option: about.purchase.option().to_owned(),
        zone: about.zone.clone(),
        flavor: about.flavor.clone(),
        image: about.image.clone(),
        resources: about.resources.iter().map(|(name, amount)| (name.to_owned(), amount)).collect(),
        price: about.purchase.price().to_string(),
        system_disk_price: if about.purchase.is_metered() { about.disk_price } else { Price::default() }.to_string(),
        subscription: subscription(about),
        ordered_months: about.ordered_months(),
        icp_eligible: about.purchase.is_icp_eligible(),
        hours: block.map(|(hours, _)| hours),
        periods: block.map(|(_, periods)| periods),
        created_at: about.created_at.to_string(),
        tags: about.tags.clone(),
        keep_data_disks: about.keep.data_disks,
        keep_public_ip: about.keep.public_ip,
        started_at: about.first_running.map(|at| at.to_string()),
        lease_ends_at: about.lease_end().map(|at| at.to_string()),
        interruption,
        ended_at: end.map(|end| end.at.to_string()),
        released_at: match about.state {
            Life::Released { gone_at, .. } => Some(gone_at.to_string()),
            _ => None,
        },
        end_cause: end.map(|end| end.cause.name().to_owned()),
        frozen_since: about.frozen_since.map(|at| at.to_string()),
        private_address: match about.state {
            Life::Released { .. } => None,
            _ => seen.place.map(|place| place.address.to_string()).or_else(|| seen.address.clone()),
        },
        public_address: None,
        public_addresses: vec![],
        security_groups: seen.security_groups.iter().map(ToString::to_string).collect(),
        data_disks: vec![],
        key_pair,
    }
}

/// For how long it is paid, if it is paid by the month.
fn subscription(about: &Instance) -> Option<wire::PaidMonths> {
    let Purchase::Subscription { price, since, months, until, renews, .. } = about.purchase else { return None };
    Some(wire::PaidMonths {
        price: price.to_string(),
        since: since.to_string(),
        months,
        until: until.to_string(),
        ended: about.end_announced,
        kept_until: about.kept_until()?.to_string(),
        renews,
    })
}
