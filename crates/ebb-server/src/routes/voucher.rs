//! Coupons and cards: issuing them, looking at them, and taking back what is left.

use super::account::{Paging, seen_by};
use super::json;
use crate::app::App;
use crate::call::{Call, Principal};
use crate::denied::Denied;
use crate::unit::{Outcome, Unit, refuse};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::event::Event;
use ebb_engine::refusal::Refused;
use ebb_engine::settlement;
use ebb_engine::voucher::{Payment, Wanted, may_issue};
use ebb_model::id::{AccountId, VoucherId};
use ebb_model::money::Amount;
use ebb_model::time::{Second, Timestamp};
use ebb_model::voucher::{Fine, Item, Scope, SoldAs, Voucher, VoucherKind};
use ebb_store::Decision;
use ebb_store::rows::voucher as rows;
use ebb_wire::person::Because;
use ebb_wire::problem::{Page, Problem};
use ebb_wire::voucher as wire;
use serde::Deserialize;

const LONGEST_REASON: usize = 500;

/// Gives an account a coupon or a card (operator). It pays what is settled from now on, never an older debt.
#[utoipa::path(post, path = "/v1/accounts/{id}/vouchers", tag = "voucher", operation_id = "issue_voucher", params(("id" = String, Path)),
    request_body = wire::IssueVoucher, responses((status = 201, body = wire::Voucher), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn issue(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::IssueVoucher>,
) -> Result<Response, Denied> {
    call.principal.operator()?;
    let id = seen_by(&call.principal, &id)?;
    let wanted = wanted(&call.body)?;
    let answer = call.once(&app, "issue-voucher", id, move |unit| give(unit, id, wanted.clone()));
    Ok(json(StatusCode::CREATED, answer.await?))
}

/// What was asked for; from when it is valid may be left to the instant at which it is decided.
#[derive(Clone)]
struct Asked {
    kind: VoucherKind,
    face: Amount,
    pays: Scope,
    valid_from: Option<Second>,
    expires_at: Option<Second>,
}

fn wanted(body: &wire::IssueVoucher) -> Result<Asked, Denied> {
    let kind = VoucherKind::parse(&body.kind)
        .ok_or_else(|| Denied::BadInput("kind: it is cash-coupon, discount-coupon or card".to_owned()))?;
    let face = body.face.parse().map_err(|error| Denied::BadInput(format!("face: {error}")))?;
    let instant = |what: &str, text: &Option<String>| {
        let read = |text: &String| text.parse::<Timestamp>().map(Timestamp::second);
        text.as_ref().map(read).transpose().map_err(|error| Denied::BadInput(format!("{what}: {error}")))
    };
    let (valid_from, expires_at) = (instant("valid_from", &body.valid_from)?, instant("expires_at", &body.expires_at)?);
    let wire::Pays { options, meters, flavors, regions } = &body.pays;
    let unknown = |what: &str, name: &String| {
        let name: String = name.chars().take(40).collect();
        Refused::VoucherScope(format!("there is no {what} `{name}`"))
    };
    let option = |name: &String| SoldAs::parse(name).ok_or_else(|| unknown("purchase option", name));
    let meter = |name: &String| Item::parse(name).ok_or_else(|| unknown("meter", name));
    let short = |name: &String| name.chars().take(80).collect::<String>();
    let pays = Scope {
        options: options.iter().map(option).collect::<Result<_, _>>()?,
        meters: meters.iter().map(meter).collect::<Result<_, _>>()?,
        flavors: flavors.iter().map(short).collect(),
        regions: regions.iter().map(short).collect(),
    };
    Ok(Asked { kind, face, pays, valid_from, expires_at })
}

async fn give(mut unit: Unit, id: AccountId, asked: Asked) -> Outcome<Decision<wire::Voucher>> {
    // Whoever settles meanwhile sees it, or comes before it.
    unit.change_account(id).await?;
    let now = unit.now.second();
    let Asked { kind, face, pays, valid_from, expires_at } = asked;
    let valid_from = valid_from.unwrap_or(now);
    let wanted = Wanted { kind, face, pays: pays.clone(), valid_from, expires_at };
    if let Err(refused) = may_issue(&wanted, &unit.app.catalog, now) {
        return refuse(refused);
    }
    let new = Voucher {
        id: VoucherId::new(unit.app.mint.uuid(unit.now)),
        account: id,
        kind,
        face,
        pays,
        issued_at: unit.now,
        valid_from,
        expires_at,
        used: Fine::ZERO,
        expired: Fine::ZERO,
        revoked: Fine::ZERO,
        warned: false,
    };
    // A guard, so that it is there for what refers to it.
    unit.guard(rows::insert(&new));
    unit.post(id, &format!("voucher issued {}", new.id), &settlement::issue(&new), now);
    let (voucher, pays) = (new.id, new.pays.clone());
    unit.log(id, None, &Event::VoucherIssued { voucher, kind, face, pays, valid_from, expires_at });
    if expires_at.is_some() {
        unit.look_after_vouchers(id);
    }
    let answer = shown(&new, now);
    Ok(unit.done(answer))
}

/// Which part of a list, and whether all are wanted.
#[derive(Deserialize, utoipa::IntoParams)]
pub struct Which {
    /// `next` of the page before.
    #[serde(default)]
    after: String,
    /// At most 1000; 100 if not given.
    limit: Option<i64>,
    /// Also those that are used up, expired or revoked.
    #[serde(default)]
    all: bool,
    /// operator: whose
    #[serde(rename = "account")]
    _account: Option<String>,
}

/// An account's coupons and cards, oldest first.
#[utoipa::path(get, path = "/v1/vouchers", tag = "voucher", operation_id = "list_vouchers", params(Which),
    responses((status = 200, body = Page<wire::Voucher>), (status = 404, body = Problem)))]
pub async fn list(
    State(app): State<App>,
    who: Principal,
    Query(which): Query<Which>,
) -> Result<Json<Page<wire::Voucher>>, Denied> {
    let (id, now) = (who.account()?, app.clock.now().second());
    let paging = Paging { after: which.after, limit: which.limit };
    let query = if which.all { rows::page_of } else { rows::live_page_of };
    let found = app.store.rows(query(id, &paging.after, paging.limit())).await?;
    let items = found.iter().map(|row| shown(&rows::read(row), now)).collect();
    Ok(Json(paging.page(items, |voucher: &wire::Voucher| voucher.id.clone())))
}

/// One coupon or card.
#[utoipa::path(get, path = "/v1/vouchers/{id}", tag = "voucher", operation_id = "show_voucher", params(("id" = String, Path)),
    responses((status = 200, body = wire::Voucher), (status = 404, body = Problem)))]
pub async fn show(
    State(app): State<App>,
    who: Principal,
    Path(id): Path<String>,
) -> Result<Json<wire::Voucher>, Denied> {
    Ok(Json(shown(&find(&app, &who, &id).await?, app.clock.now().second())))
}

/// Takes what is left of a coupon or a card (operator). What it paid, it paid; what accrues is paid otherwise.
#[utoipa::path(post, path = "/v1/vouchers/{id}/revoke", tag = "voucher", operation_id = "revoke_voucher", params(("id" = String, Path)),
    request_body = Because, responses((status = 200, body = wire::Voucher), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn revoke(State(app): State<App>, Path(id): Path<String>, call: Call<Because>) -> Result<Response, Denied> {
    // Who may not know of it learns nothing by trying.
    let known = find(&app, &call.principal, &id).await?;
    call.principal.operator()?;
    let reason = checked_reason(&call.body.reason)?;
    let key = known.account;
    let answer = call.once(&app, "revoke-voucher", key, move |unit| take(unit, known.id, key, reason.clone()));
    Ok(json(StatusCode::OK, answer.await?))
}

async fn take(mut unit: Unit, id: VoucherId, of: AccountId, reason: String) -> Outcome<Decision<wire::Voucher>> {
    unit.change_account(of).await?;
    let now = unit.now.second();
    let row = unit.reads.row(rows::by_id(id)).await?.expect("vouchers are never deleted");
    let mut known = rows::read(&row);
    let (entry, amount) = settlement::end_voucher(&known);
    let over = known.is_over() || known.expires_at.is_some_and(|expires_at| expires_at <= now);
    if over || amount == Amount::ZERO {
        return refuse(Refused::VoucherOver(state(&known, now)));
    }
    known.revoked = known.left();
    unit.change_voucher(&known);
    unit.post(of, &format!("voucher revoked {id}"), &entry, now);
    unit.log(of, None, &Event::VoucherRevoked { voucher: id, at: now, amount, reason });
    let answer = shown(&known, now);
    Ok(unit.done(answer))
}

async fn find(app: &App, who: &Principal, id: &str) -> Result<Voucher, Denied> {
    let parsed: VoucherId = id.parse().map_err(|_| Denied::not_found("voucher", id))?;
    let found = app.store.rows(rows::by_id(parsed)).await?;
    let known = found.first().map(rows::read).filter(|known| who.sees(known.account));
    known.ok_or_else(|| Denied::not_found("voucher", id))
}

/// What people write: something, and not a book.
fn checked_reason(text: &str) -> Result<String, Denied> {
    let (text, length) = (text.trim(), text.chars().count());
    match text.is_empty() || length > LONGEST_REASON || text.chars().any(char::is_control) {
        true => Err(Denied::BadInput(format!("reason: one line of at most {LONGEST_REASON} characters"))),
        false => Ok(text.to_owned()),
    }
}

fn state(voucher: &Voucher, now: Second) -> &'static str {
    match voucher {
        one if one.revoked > Fine::ZERO => "revoked",
        one if one.expired > Fine::ZERO => "expired",
        one if one.is_over() => "used-up",
        one if one.expires_at.is_some_and(|expires_at| expires_at <= now) => "expired",
        one if one.valid_from > now => "not-yet",
        _ => "valid",
    }
}

fn shown(voucher: &Voucher, now: Second) -> wire::Voucher {
    let names = |all: &std::collections::BTreeSet<String>| all.iter().cloned().collect();
    let Scope { options, meters, flavors, regions } = &voucher.pays;
    // Shown as it is posted, so that what is shown sums up to the face.
    let (used, left) = (voucher.used.posted(), voucher.left_posted());
    let rest = |part: Fine| if part > Fine::ZERO { voucher.face - used - left } else { Amount::ZERO };
    wire::Voucher {
        id: voucher.id.to_string(),
        account: voucher.account.to_string(),
        kind: voucher.kind.name().to_owned(),
        face: voucher.face.to_string(),
        left: left.to_string(),
        used: used.to_string(),
        expired: rest(voucher.expired).to_string(),
        revoked: rest(voucher.revoked).to_string(),
        state: state(voucher, now).to_owned(),
        pays: wire::Pays {
            options: options.iter().map(|option| option.name().to_owned()).collect(),
            meters: meters.iter().map(|meter| meter.name().to_owned()).collect(),
            flavors: names(flavors),
            regions: names(regions),
        },
        issued_at: voucher.issued_at.to_string(),
        valid_from: voucher.valid_from.to_string(),
        expires_at: voucher.expires_at.map(|at| at.to_string()),
    }
}

/// What vouchers paid of a record, in their order.
pub fn paid<'a>(payments: impl IntoIterator<Item = &'a Payment>) -> Vec<wire::VoucherPaid> {
    let shown = |one: &Payment| paid_by(one.voucher, one.amount);
    payments.into_iter().map(shown).collect()
}

pub fn paid_by(voucher: VoucherId, amount: Fine) -> wire::VoucherPaid {
    wire::VoucherPaid { voucher: voucher.to_string(), amount: amount.to_string() }
}
