//! Accounts: opening, verifying, keys, money, key pairs, the trial.

use super::json;
use crate::app::App;
use crate::arrears;
use crate::call::{Call, Principal, Role, checked_name};
use crate::denied::Denied;
use crate::forecast::{How, ahead};
use crate::mint::digest;
use crate::person::Whose;
use crate::unit::{Unit, refuse};
use crate::voucher::Funds;
use crate::work::hours::accruing;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::event::Event;
use ebb_engine::expected::held_until;
use ebb_engine::quote::Buyer;
use ebb_engine::refusal::Refused;
use ebb_model::id::{AccountId, ApiKeyId};
use ebb_model::money::Amount;
use ebb_model::person::Source;
use ebb_model::time::Timestamp;
use ebb_model::traffic::TrafficCharge;
use ebb_model::trial::Holder;
use ebb_model::voucher::{Fine, Voucher};
use ebb_store::StoreError;
use ebb_store::rows::account::{self, Account};
use ebb_store::rows::{adjustment, budget};
use ebb_wire::account as wire;
use ebb_wire::problem::{Page, Problem};
use serde::Deserialize;

/// Which part of a list.
#[derive(Deserialize, utoipa::IntoParams)]
pub struct Paging {
    /// `next` of the page before.
    #[serde(default)]
    pub after: String,
    /// At most 1000; 100 if not given.
    pub limit: Option<i64>,
}

impl Paging {
    pub fn limit(&self) -> i64 {
        self.limit.unwrap_or(100).clamp(1, 1_000)
    }

    /// A page of what was read, which is at most `limit` long.
    pub fn page<T>(&self, items: Vec<T>, id: impl Fn(&T) -> String) -> Page<T> {
        let full = items.len() as i64 == self.limit();
        let next = if full { items.last().map(id) } else { None };
        Page { items, next }
    }
}

/// Who the key belongs to.
#[utoipa::path(get, path = "/v1/whoami", operation_id = "whoami", responses((status = 200, body = wire::Whoami), (status = 401, body = Problem)))]
pub async fn whoami(State(app): State<App>, who: Principal) -> Result<Json<wire::Whoami>, Denied> {
    let account = match who.account {
        Some(id) => Some(shown(&read(&app, id).await?)),
        None => None,
    };
    Ok(Json(wire::Whoami { role: who.role.name().to_owned(), account }))
}

/// Opens an account (operator). The owner's secret is shown in this answer and never again.
#[utoipa::path(post, path = "/v1/accounts", operation_id = "open_account", request_body = wire::OpenAccount,
    responses((status = 201, body = wire::OpenedAccount), (status = 403, body = Problem)))]
pub async fn open(State(app): State<App>, call: Call<wire::OpenAccount>) -> Result<Response, Denied> {
    call.principal.operator()?;
    let name = checked_name("name", &call.body.name)?;
    let report = app.report(Source::Registration, &call.body.evidence)?;
    // Those who learn something of somebody take turns; else nobody has to wait.
    let turn = if report.is_empty() { "accounts" } else { "persons" };
    let answer = call.once(&app, "open-account", turn, move |mut unit| {
        let (name, report) = (name.clone(), report.clone());
        async move {
            let new = account::new(AccountId::new(unit.app.mint.uuid(unit.now)), &name, unit.now);
            let id = new.id;
            let account = shown(&new);
            unit.open_account(new);
            unit.log(id, None, &Event::AccountOpened);
            let key = new_key(&mut unit, Some(id), Role::Owner);
            unit.see(id, &report, Whose::New).await?;
            Ok(unit.done(wire::OpenedAccount { account, key }))
        }
    });
    Ok(json(StatusCode::CREATED, answer.await?))
}

/// A key with a new secret.
pub fn new_key(unit: &mut Unit, account: Option<AccountId>, role: Role) -> wire::NewApiKey {
    let secret = unit.app.mint.secret();
    let id = ApiKeyId::new(unit.app.mint.uuid(unit.now));
    let row = account::ApiKey { id, account, role: role.name().to_owned(), created_at: unit.now };
    unit.write(account::insert_key(&row, &digest(secret.as_bytes())));
    wire::NewApiKey { id: id.to_string(), role: role.name().to_owned(), secret }
}

/// All accounts, oldest first (operator).
#[utoipa::path(get, path = "/v1/accounts", operation_id = "list_accounts", params(Paging),
    responses((status = 200, body = Page<wire::Account>), (status = 403, body = Problem)))]
pub async fn list(
    State(app): State<App>,
    who: Principal,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<wire::Account>>, Denied> {
    who.operator()?;
    let rows = app.store.rows(account::page(&paging.after, paging.limit())).await?;
    let (shared, now) = (app.clone(), app.clock.now());
    let items = app.store.read(move |reads| async move {
        let mut items = vec![];
        for known in rows.iter().map(account::read) {
            items.push(wire::Account { arrears: arrears::shown(&shared, &reads, &known, now).await?, ..shown(&known) });
        }
        Ok(items)
    });
    let items = items.await?;
    Ok(Json(paging.page(items, |account| account.id.clone())))
}

/// One account.
#[utoipa::path(get, path = "/v1/accounts/{id}", operation_id = "show_account", params(("id" = String, Path)),
    responses((status = 200, body = wire::Account), (status = 404, body = Problem)))]
pub async fn show(
    State(app): State<App>,
    who: Principal,
    Path(id): Path<String>,
) -> Result<Json<wire::Account>, Denied> {
    let known = read(&app, seen_by(&who, &id)?).await?;
    let (shared, now, answer) = (app.clone(), app.clock.now(), shown(&known));
    let owes = app.store.read(move |reads| async move { arrears::shown(&shared, &reads, &known, now).await });
    Ok(Json(wire::Account { arrears: owes.await?, ..answer }))
}

/// Says who the account belongs to (operator). It cannot be changed once a trial was claimed.
#[utoipa::path(post, path = "/v1/accounts/{id}/verification", operation_id = "verify_account", params(("id" = String, Path)), request_body = wire::Verify,
    responses((status = 200, body = wire::Account), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub async fn verify(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::Verify>,
) -> Result<Response, Denied> {
    call.principal.operator()?;
    let id = seen_by(&call.principal, &id)?;
    let holder = parse_holder(&call.body.holder)?;
    let answer = call.once(&app, "verify", id, move |mut unit| async move {
        let claimed = unit.reads.row(account::grant(id)).await?.is_some();
        let account = unit.change_account(id).await?;
        verify_as(account, holder, claimed)?;
        let answer = shown(account);
        unit.log(id, None, &Event::AccountVerified { holder, by: None });
        Ok(unit.done(answer))
    });
    Ok(json(StatusCode::OK, answer.await?))
}

pub fn parse_holder(name: &str) -> Result<Holder, Denied> {
    match name {
        "individual" => Ok(Holder::Individual),
        "enterprise" => Ok(Holder::Enterprise),
        _ => Err(Denied::BadInput("holder: it is individual or enterprise".to_owned())),
    }
}

/// An account is found to be this holder's. What it claimed as settles it (rules §3.2).
pub fn verify_as(account: &mut Account, holder: Holder, claimed: bool) -> Result<(), Denied> {
    match account.holder {
        Some(before) if claimed && before != holder => Err(Refused::HolderSettled(before.name()).into()),
        _ => {
            account.holder = Some(holder);
            Ok(())
        }
    }
}

/// Adds money (operator). It pays what is owed first.
#[utoipa::path(post, path = "/v1/accounts/{id}/top-ups", operation_id = "top_up", params(("id" = String, Path)), request_body = wire::TopUp,
    responses((status = 200, body = wire::Balance), (status = 403, body = Problem)))]
pub async fn top_up(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::TopUp>,
) -> Result<Response, Denied> {
    call.principal.operator()?;
    let id = seen_by(&call.principal, &id)?;
    let amount: Amount = call.body.amount.parse().map_err(|error| Denied::BadInput(format!("amount: {error}")))?;
    // Far below where sums of amounts would overflow.
    if !(1..=100_000_000_000_000_000).contains(&amount.units()) {
        return Err(Denied::BadInput("amount: above 0 and at most 1000000000".to_owned()));
    }
    // What was due before this second comes before what is paid in it.
    app.arrears_up_to_now(id).await?;
    let answer = call.once(&app, "top-up", id, move |mut unit| async move {
        let account = unit.account(id).await?;
        if account.purse.cash.units().saturating_add(amount.units()) > 4_000_000_000_000_000_000 {
            return refuse(Denied::BadInput("amount: the account would hold more than can be counted".to_owned()));
        }
        unit.top_up(id, amount).await?;
        let account = unit.account(id).await?.clone();
        let balance = balance_of(&unit.app, &unit.reads, &account, unit.now).await?;
        Ok(unit.done(balance))
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// Makes a further key for an account. Its secret is shown in this answer and never again.
#[utoipa::path(post, path = "/v1/accounts/{id}/keys", operation_id = "create_key", params(("id" = String, Path)), request_body = wire::CreateApiKey,
    responses((status = 201, body = wire::NewApiKey), (status = 403, body = Problem)))]
pub async fn create_key(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::CreateApiKey>,
) -> Result<Response, Denied> {
    let id = manages_keys(&call.principal, &id)?;
    let role = match Role::parse(&call.body.role) {
        Some(role) if role != Role::Operator => role,
        _ => return Err(Denied::BadInput("role: it is owner, member or auditor".to_owned())),
    };
    let answer = call.once(&app, "create-key", id, move |mut unit| async move {
        if unit.account(id).await?.closed_at.is_some() {
            return refuse(Refused::AccountClosed);
        }
        let key = new_key(&mut unit, Some(id), role);
        Ok(unit.done(key))
    });
    Ok(json(StatusCode::CREATED, answer.await?))
}

/// The keys of an account, without their secrets.
#[utoipa::path(get, path = "/v1/accounts/{id}/keys", operation_id = "list_keys", params(("id" = String, Path)),
    responses((status = 200, body = Page<wire::ApiKey>), (status = 403, body = Problem)))]
pub async fn list_keys(
    State(app): State<App>,
    who: Principal,
    Path(id): Path<String>,
) -> Result<Json<Page<wire::ApiKey>>, Denied> {
    let rows = app.store.rows(account::keys_of(manages_keys(&who, &id)?)).await?;
    let keys = rows.iter().map(account::read_key).map(|key| wire::ApiKey {
        id: key.id.to_string(),
        role: key.role,
        created_at: key.created_at.to_string(),
    });
    Ok(Json(Page { items: keys.collect(), next: None }))
}

/// Ends a key at once.
#[utoipa::path(delete, path = "/v1/accounts/{id}/keys/{key}", operation_id = "delete_key", params(("id" = String, Path), ("key" = String, Path)),
    responses((status = 200), (status = 404, body = Problem)))]
pub async fn delete_key(
    State(app): State<App>,
    Path((id, key)): Path<(String, String)>,
    call: Call<Option<()>>,
) -> Result<Response, Denied> {
    let id = manages_keys(&call.principal, &id)?;
    let key: ApiKeyId = key.parse().map_err(|_| Denied::not_found("key", &key))?;
    let answer = call.once(&app, "delete-key", id, move |mut unit| async move {
        let keys = unit.reads.rows(account::keys_of(id)).await?;
        if !keys.iter().any(|row| account::read_key(row).id == key) {
            return refuse(Denied::not_found("key", key));
        }
        unit.guard(account::delete_key(id, key));
        Ok(unit.done(serde_json::json!({})))
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// Cash, debt, what is held, what is settled and what accrues to this second.
#[utoipa::path(get, path = "/v1/balance", operation_id = "show_balance", params(("account" = Option<String>, Query, description = "operator: whose")),
    responses((status = 200, body = wire::Balance), (status = 401, body = Problem)))]
pub async fn balance(State(app): State<App>, who: Principal) -> Result<Json<wire::Balance>, Denied> {
    let id = who.account()?;
    let (shared, now) = (app.clone(), app.clock.now());
    let balance = app.store.read(move |reads| async move {
        let Some(row) = reads.row(account::by_id(id)).await? else { return Ok(None) };
        balance_of(&shared, &reads, &account::read(&row), now).await.map(Some)
    });
    balance.await?.map(Json).ok_or_else(|| Denied::not_found("account", id))
}

async fn read(app: &App, id: AccountId) -> Result<Account, Denied> {
    let rows = app.store.rows(account::by_id(id)).await?;
    rows.first().map(account::read).ok_or_else(|| Denied::not_found("account", id))
}

/// The account that a path names, if this caller may know of it.
pub fn seen_by(who: &Principal, id: &str) -> Result<AccountId, Denied> {
    let parsed: AccountId = id.parse().map_err(|_| Denied::not_found("account", id))?;
    if who.sees(parsed) { Ok(parsed) } else { Err(Denied::not_found("account", id)) }
}

fn manages_keys(who: &Principal, id: &str) -> Result<AccountId, Denied> {
    let id = seen_by(who, id)?;
    match who.role {
        Role::Operator | Role::Owner => Ok(id),
        role => Err(Denied::Role { needed: "owner", has: role.name() }),
    }
}

/// What a purchase asks of an account.
pub fn buyer(account: &Account, instances: i64) -> Buyer {
    Buyer {
        verified: account.holder,
        debt: account.purse.debt,
        available: account.purse.cash - account.held,
        instances,
        spot: Default::default(),
    }
}

async fn balance_of(
    app: &App,
    reads: &ebb_store::Reads,
    account: &Account,
    at: Timestamp,
) -> Result<wire::Balance, StoreError> {
    let now = at.second();
    let accruing = accruing(app, reads, account, now).await?;
    let both = accruing.hour.iter().chain(&accruing.blocks);
    let sum = both.fold(Default::default(), |sum: ebb_model::billing::Split, (_, split)| sum.plus(*split));
    let adjusted = reads.row(adjustment::sum(account.id)).await?.map(|row| adjustment::read_sum(&row));
    let to_vouchers = reads.row(adjustment::voucher_sum(account.id)).await?;
    let (vouchers, vouchers_gone) = to_vouchers.map(|row| adjustment::read_voucher_sum(&row)).unwrap_or_default();
    let any = |back: &ebb_model::billing::GivenBack| back.total() + vouchers + vouchers_gone > Amount::ZERO;
    let funds = Funds::read(app, reads, account, now).await?.less_overdue(app, reads, account).await?;
    let left: Fine = funds.vouchers.iter().map(Voucher::left).sum();
    let ahead = ahead(app, reads, account, now, How::Month).await?;
    let month = &ahead.expected;
    let holds = reads.rows(account::holds(account.id)).await?;
    let hold = |hold: account::Hold| {
        let of = ahead.live.iter().find(|one| one.id == hold.instance);
        let waits = of.is_some_and(|one| one.ordered_months().is_some());
        let until = of.filter(|_| !waits).and_then(|one| held_until(one, hold.since, now));
        let (instance, amount) = (hold.instance.to_string(), hold.amount.to_string());
        wire::Hold { instance, amount, until: until.map(|at| at.to_string()) }
    };
    Ok(wire::Balance {
        currency: app.catalog.currency.clone(),
        cash: account.purse.cash.to_string(),
        debt: account.purse.debt.to_string(),
        held: account.held.to_string(),
        available: funds.unbound().to_string(),
        vouchers: left.to_string(),
        settled: super::bill::parts(account.totals.paid, account.totals.traffic),
        adjusted: adjusted.filter(any).map(|back| wire::GivenBack {
            debt: back.debt.to_string(),
            cash: back.cash.to_string(),
            vouchers: vouchers.to_string(),
            vouchers_gone: vouchers_gone.to_string(),
            grant: back.grant.to_string(),
            expired: back.expired.to_string(),
        }),
        accruing: super::bill::parts(sum, accruing.traffic.charges.iter().map(TrafficCharge::paid).sum()),
        arrears: arrears::shown(app, reads, account, at).await?,
        holds: holds.iter().map(account::read_hold).map(hold).collect(),
        month: wire::Month {
            since: ahead.month.since.to_string(),
            until: ahead.month.until.to_string(),
            settled: month.billed.to_string(),
            accruing: month.accruing.to_string(),
            together: (month.billed + month.accruing).to_string(),
            expected: month.total.to_string(),
        },
        budget: reads.row(budget::of(account.id)).await?.map(|row| budget::read(&row).amount.to_string()),
        as_of: now.to_string(),
    })
}

pub fn shown(account: &Account) -> wire::Account {
    wire::Account {
        id: account.id.to_string(),
        name: account.name.clone(),
        verified_as: account.holder.map(|holder| holder.name().to_owned()),
        opened_at: account.opened_at.to_string(),
        closed_at: account.closed_at.map(|at| at.to_string()),
        arrears: None,
    }
}
