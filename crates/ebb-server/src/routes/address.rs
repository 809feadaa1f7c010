//! Public addresses: looking, allocating, binding, unbinding, releasing, and in a sandbox letting traffic leave them.

use super::account::Paging;
use super::instance::find as find_instance;
use super::json;
use crate::address::{priced, priced_in};
use crate::app::App;
use crate::arrears;
use crate::call::{Call, Principal, Role};
use crate::denied::Denied;
use crate::unit::{Outcome, Unit, refuse};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::refusal::Refused;
use ebb_model::catalog::Catalog;
use ebb_model::id::{AccountId, AddressId};
use ebb_model::money::Amount;
use ebb_model::time::Second;
use ebb_model::traffic::Address;
use ebb_store::rows::{address, instance, traffic};
use ebb_store::{Decision, Reads, StoreError};
use ebb_wire::address as wire;
use ebb_wire::problem::{Page, Problem};

/// More than this is no traffic of a minute: 1,000 TB.
const MOST_BYTES: i64 = 1_000_000_000_000_000;

/// The account's public addresses, oldest first.
#[utoipa::path(get, path = "/v1/addresses", operation_id = "list_addresses", params(Paging), responses((status = 200, body = Page<wire::Address>)))]
pub async fn list(
    State(app): State<App>,
    who: Principal,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<wire::Address>>, Denied> {
    let (after, limit) = (paging.after.as_str(), paging.limit());
    let query = match (who.role, who.account) {
        (Role::Operator, None) => address::page(after, limit),
        _ => address::page_of(who.account()?, after, limit),
    };
    let (shared, now) = (app.clone(), app.clock.now().second());
    let items = app.store.read(move |reads| async move {
        let mut items = vec![];
        for row in reads.rows(query).await? {
            items.push(shown(&reads, &address::read(&row), &shared.catalog, now).await?);
        }
        Ok(items)
    });
    Ok(Json(paging.page(items.await?, |address| address.id.clone())))
}

/// Allocates a public address. It leads nowhere before it is bound to an instance, and counts against the account's quota until
/// it is released.
#[utoipa::path(post, path = "/v1/addresses", operation_id = "allocate_address", request_body = wire::Allocate,
    responses((status = 201, body = wire::Address), (status = 402, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub async fn allocate(State(app): State<App>, call: Call<wire::Allocate>) -> Result<Response, Denied> {
    let of = call.principal.member()?;
    let region = match (&call.body.region, &call.body.zone) {
        (Some(region), None) => region.clone(),
        (None, Some(zone)) => priced(&app.catalog, zone)?.0.id.clone(),
        _ => return Err(Denied::BadInput("region, or zone: one of both says where".to_owned())),
    };
    let mbit = paid_by(call.body.charge.as_deref(), call.body.mbit)?;
    let answer = call.once(&app, "allocate-address", of, move |unit| take(unit, of, region.clone(), mbit));
    Ok(json(StatusCode::CREATED, answer.await?))
}

/// The Mbit/s of what is said, or none: then it is paid by traffic.
fn paid_by(charge: Option<&str>, mbit: Option<i64>) -> Result<Option<i64>, Denied> {
    match (charge, mbit) {
        (None | Some("traffic"), None) => Ok(None),
        (None | Some("bandwidth"), Some(mbit)) => Ok(Some(mbit)),
        (Some("bandwidth"), None) => Err(Denied::BadInput("mbit: how many Mbit/s of bandwidth?".to_owned())),
        (Some("traffic"), Some(_)) => {
            Err(Denied::BadInput("mbit: it belongs to bandwidth; leave it out, or say charge = bandwidth".to_owned()))
        }
        _ => Err(Denied::BadInput("charge: it is traffic or bandwidth".to_owned())),
    }
}

async fn take(mut unit: Unit, of: AccountId, region: String, mbit: Option<i64>) -> Outcome<Decision<wire::Address>> {
    may_have(&mut unit, of).await?;
    priced_in(&unit.app.catalog, &region).map_err(Denied::from)?;
    if let Some(mbit) = mbit {
        unit.permit_bandwidth(of, &region, mbit).await?;
    }
    let new = unit.allocate_address(of, &region, mbit, None).await?;
    let (app, now) = (unit.app.clone(), unit.now.second());
    let answer = shown(&unit.reads, &new, &app.catalog, now).await?;
    Ok(unit.done(answer))
}

/// Has a public address paid otherwise: by so much bandwidth from the next full minute on, whatever leaves it, or by what leaves it from
/// the full minute on that has begun. Other bandwidth counts at once. At full minutes counters are read.
#[utoipa::path(post, path = "/v1/addresses/{id}/charge", operation_id = "charge_address", params(("id" = String, Path)),
    request_body = wire::PayBy, responses((status = 200, body = wire::Address), (status = 402, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn charge(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::PayBy>,
) -> Result<Response, Denied> {
    let known = find(&app, &call.principal, &id).await?;
    call.principal.member()?;
    let mbit = paid_by(Some(&call.body.charge), call.body.mbit)?;
    let answer = call.once(&app, "charge-address", known.account, move |mut unit| async move {
        let known = again(&unit, known.id).await?;
        // What costs less may be had in a grace, too.
        let more = mbit.is_some_and(|mbit| known.mbit.is_none_or(|before| mbit > before));
        match more {
            true => may_have(&mut unit, known.account).await?,
            false => arrears::permit(&mut unit, known.account).await?,
        }
        let next = unit.pay_address_by(&known, mbit).await?;
        let (app, now) = (unit.app.clone(), unit.now.second());
        let answer = shown(&unit.reads, &next, &app.catalog, now).await?;
        Ok(unit.done(answer))
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// Whether an account may have what it will be charged for: as for a purchase, but that nothing is held.
async fn may_have(unit: &mut Unit, of: AccountId) -> Outcome<()> {
    arrears::permit(unit, of).await?;
    let account = unit.account(of).await?;
    if account.holder.is_none() {
        return refuse(Refused::Unverified);
    }
    let debt = account.purse.debt;
    if debt > Amount::ZERO { refuse(Refused::Arrears(debt)) } else { Ok(()) }
}

/// Lets a public address that leads nowhere lead to an instance of the same region.
#[utoipa::path(post, path = "/v1/addresses/{id}/bind", operation_id = "bind_address", params(("id" = String, Path)),
    request_body = wire::Bind, responses((status = 200, body = wire::Address), (status = 402, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn bind(State(app): State<App>, Path(id): Path<String>, call: Call<wire::Bind>) -> Result<Response, Denied> {
    let known = find(&app, &call.principal, &id).await?;
    call.principal.member()?;
    let to = find_instance(&app, &call.principal, &call.body.instance).await?;
    if to.account != known.account {
        return Err(Denied::not_found("instance", &call.body.instance));
    }
    let answer = call.once(&app, "bind-address", known.account, move |mut unit| async move {
        let known = again(&unit, known.id).await?;
        may_have(&mut unit, known.account).await?;
        let to = unit.instance(to.id).await?;
        unit.bind_address(&known, &to).await?;
        let (app, now) = (unit.app.clone(), unit.now.second());
        let bound = Address { instance: Some(to.id), ..known };
        let answer = shown(&unit.reads, &bound, &app.catalog, now).await?;
        Ok(unit.done(answer))
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// Lets a public address lead nowhere. It is kept; its counter is read first, and what left it is counted.
#[utoipa::path(post, path = "/v1/addresses/{id}/unbind", operation_id = "unbind_address", params(("id" = String, Path)),
    responses((status = 200, body = wire::Address), (status = 402, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub async fn unbind(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<Option<()>>,
) -> Result<Response, Denied> {
    let known = find(&app, &call.principal, &id).await?;
    call.principal.member()?;
    let answer = call.once(&app, "unbind-address", known.account, move |mut unit| async move {
        let known = again(&unit, known.id).await?;
        arrears::permit(&mut unit, known.account).await?;
        unit.unbind_address(&known).await?;
        let (app, now) = (unit.app.clone(), unit.now.second());
        let unbound = Address { instance: None, ..known };
        let answer = shown(&unit.reads, &unbound, &app.catalog, now).await?;
        Ok(unit.done(answer))
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// An address as it is now, within a unit.
async fn again(unit: &Unit, id: AddressId) -> Outcome<Address> {
    let row = unit.reads.row(address::by_id(id)).await?.expect("addresses are never deleted");
    Ok(address::read(&row))
}

/// Gives a public address back, also while it leads to an instance. What left it by then is counted.
#[utoipa::path(delete, path = "/v1/addresses/{id}", operation_id = "release_address", params(("id" = String, Path)),
    responses((status = 200, body = wire::Address), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn release(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<Option<()>>,
) -> Result<Response, Denied> {
    let known = find(&app, &call.principal, &id).await?;
    if call.principal.role != Role::Operator {
        call.principal.member()?;
    }
    let id = known.id;
    let answer = call.once(&app, "release-address", known.account, move |unit| let_go(unit, id));
    Ok(json(StatusCode::OK, answer.await?))
}

async fn let_go(mut unit: Unit, id: AddressId) -> Outcome<Decision<wire::Address>> {
    let known = again(&unit, id).await?;
    if known.released_at.is_some() {
        return refuse(Refused::AddressReleased);
    }
    unit.release_address(&known, unit.now.second());
    if let Some(leads_to) = known.instance {
        // Its host takes it away, and reads its counter first.
        let about = unit.instance(leads_to).await?;
        unit.order(&about);
    }
    let (app, now) = (unit.app.clone(), unit.now);
    let gone = Address { instance: None, released_at: Some(now), ..known };
    let answer = shown(&unit.reads, &gone, &app.catalog, now.second()).await?;
    Ok(unit.done(answer))
}

/// Lets traffic leave an address of a sandbox, whose guests send nothing by themselves. Its host reads the counter at the next full
/// minute, and before address or guest goes.
#[utoipa::path(post, path = "/v1/addresses/{id}/traffic", operation_id = "send_traffic", params(("id" = String, Path)),
    request_body = wire::Send, responses((status = 200, body = wire::Address), (status = 400, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn send(State(app): State<App>, Path(id): Path<String>, call: Call<wire::Send>) -> Result<Response, Denied> {
    if !app.is_sandbox() {
        return Err(Denied::NoSandbox);
    }
    let known = find(&app, &call.principal, &id).await?;
    if call.principal.role != Role::Operator {
        call.principal.member()?;
    }
    if let Some(answer) = call.before(&app).await? {
        return Ok(json(StatusCode::OK, answer));
    }
    let wire::Send { bytes, reset } = call.body;
    if !(0..=MOST_BYTES).contains(&bytes) {
        return Err(Denied::BadInput(format!("bytes: from 0 to {MOST_BYTES} at once, {bytes} given")));
    }
    app.send_from(known.id, bytes, reset).await?;
    let (shared, now) = (app.clone(), app.clock.now().second());
    let answer = app.store.read(move |reads| async move { shown(&reads, &known, &shared.catalog, now).await }).await?;
    let answer = serde_json::to_string(&answer).expect("an answer of plain values");
    Ok(json(StatusCode::OK, call.keep(&app, answer).await?))
}

/// The address that a path names, if this caller may know of it.
async fn find(app: &App, who: &Principal, id: &str) -> Result<Address, Denied> {
    let parsed: AddressId = id.parse().map_err(|_| Denied::not_found("public address", id))?;
    let rows = app.store.rows(address::by_id(parsed)).await?;
    let known = rows.first().map(address::read).filter(|known| who.sees(known.account));
    known.ok_or_else(|| Denied::not_found("public address", id))
}

async fn shown(reads: &Reads, of: &Address, catalog: &Catalog, now: Second) -> Result<wire::Address, StoreError> {
    let zone = &catalog.time_zone;
    let month = zone.month(now);
    let open = traffic::read_flows(&reads.rows(traffic::open_of(of.account)).await?);
    let open = open.iter().filter(|flow| flow.address == of.id && zone.month(flow.period.since) == month);
    let closed = if of.month.since == month { of.month.bytes } else { 0 };
    let leads_to = match of.instance {
        Some(id) => reads.row(instance::by_id(id)).await?.map(|row| instance::read(&row)),
        None => None,
    };
    Ok(wire::Address {
        id: of.id.to_string(),
        account: of.account.to_string(),
        region: of.region.clone(),
        ip: of.ip.map(|ip| ip.to_string()),
        overseas: of.overseas,
        price: of.price.at(now).to_string(),
        mbit: of.mbit,
        bandwidth_price: of.mbit.and_then(|mbit| {
            let prices = catalog.region(&of.region)?.bandwidth.as_ref()?;
            Some(prices.times(mbit).at(now).to_string())
        }),
        instance: of.instance.map(|id| id.to_string()),
        instance_name: leads_to.map(|instance| instance.name),
        allocated_at: of.allocated_at.to_string(),
        released_at: of.released_at.map(|at| at.to_string()),
        bytes_this_month: closed + open.map(|flow| flow.bytes.iter().sum::<i64>()).sum::<i64>(),
        read_at: of.counter.map(|counter| counter.read_at.to_string()),
    })
}
