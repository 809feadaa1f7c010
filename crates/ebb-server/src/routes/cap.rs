//! The spending cap: how an account stands with it, setting it, and doing without (rules §3.8).

use super::json;
use crate::app::App;
use crate::call::{Call, Principal};
use crate::cap;
use crate::denied::Denied;
use crate::unit::{Outcome, Unit};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::event::Event;
use ebb_model::id::AccountId;
use ebb_model::money::Amount;
use ebb_model::time::{HOUR, Second};
use ebb_store::rows::account::{self, Account};
use ebb_store::rows::cap as rows;
use ebb_store::{Decision, Reads, StoreError};
use ebb_wire::cap as wire;
use ebb_wire::problem::Problem;
use std::collections::BTreeMap;

/// How the account stands with its spending cap: what is payable in this month, what would go on, and when the cap acts.
#[utoipa::path(get, path = "/v1/cap", operation_id = "show_cap", params(("account" = Option<String>, Query, description = "operator: whose")),
    responses((status = 200, body = wire::Cap), (status = 401, body = Problem)))]
pub async fn show(State(app): State<App>, who: Principal) -> Result<Json<wire::Cap>, Denied> {
    let id = who.account()?;
    let (shared, now) = (app.clone(), app.clock.now().second());
    let shown = app.store.read(move |reads| async move {
        let Some(row) = reads.row(account::by_id(id)).await? else { return Ok(None) };
        standing(&shared, &reads, &account::read(&row), now).await.map(Some)
    });
    shown.await?.map(Json).ok_or_else(|| Denied::not_found("account", id))
}

/// Sets the most that may be payable in a calendar month, or another one. At the last second that it allows instances on demand are stopped
/// economically and spot blocks released; purchases are refused.
#[utoipa::path(post, path = "/v1/cap", operation_id = "set_cap", request_body = wire::SetCap,
    responses((status = 200, body = wire::Cap), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub async fn set(State(app): State<App>, call: Call<wire::SetCap>) -> Result<Response, Denied> {
    let id = call.principal.owner()?;
    let amount: Amount = call.body.amount.parse().map_err(|error| Denied::BadInput(format!("amount: {error}")))?;
    // Far below where sums of amounts would overflow.
    if !(0..=100_000_000_000_000_000).contains(&amount.units()) {
        return Err(Denied::BadInput("amount: from 0 to 1000000000".to_owned()));
    }
    let answer = call.once(&app, "set-cap", id, move |unit| put(unit, id, amount));
    Ok(json(StatusCode::OK, answer.await?))
}

async fn put(mut unit: Unit, id: AccountId, amount: Amount) -> Outcome<Decision<wire::Cap>> {
    let account = unit.change_account(id).await?.clone();
    let (app, now) = (unit.app.clone(), unit.now.second());
    let (month, _) = cap::months(&app, now);
    let billed = cap::billed(&unit.reads, id, month).await?;
    let (spending, _) =
        cap::spending(&app, &unit.reads, &account, now, BTreeMap::from([(month.since, billed)])).await?;
    cap::holds(&app, &spending, amount, now)?;
    if let Some(row) = unit.reads.row(rows::of(id)).await? {
        unit.guard(rows::unstirred(id, &rows::read(&row)));
    }
    unit.write(rows::set(id, amount, now));
    unit.write(rows::spent_before(id, month.since, billed));
    // Hours of the month before may still be open, and what they add is added to what was.
    let open = account.close_at.map(|at| cap::months(&app, at.plus(-HOUR)).0).filter(|open| open.since < month.since);
    if let Some(open) = open {
        let before = cap::billed(&unit.reads, id, open).await?;
        unit.write(rows::spent_before(id, open.since, before));
    }
    unit.log(id, None, &Event::CapSet { amount });
    unit.look_after_cap(id);
    let shown = standing(&app, &unit.reads, &account, now).await?;
    let (next, none) = (cap::months(&app, now).1, None);
    let acts_at = spending.acts_at(amount.exact(), month, next, now);
    let (amount, set_at, acts_at) = (Some(amount.to_string()), Some(now.to_string()), acts_at.map(|at| at.to_string()));
    Ok(unit.done(wire::Cap { amount, set_at, acts_at, acted_at: none, ..shown }))
}

/// Takes the cap away. What it stopped stays so.
#[utoipa::path(delete, path = "/v1/cap", operation_id = "remove_cap",
    responses((status = 200, body = wire::Cap), (status = 404, body = Problem)))]
pub async fn remove(State(app): State<App>, call: Call<Option<()>>) -> Result<Response, Denied> {
    let id = call.principal.owner()?;
    let answer = call.once(&app, "remove-cap", id, move |mut unit| async move {
        let account = unit.change_account(id).await?.clone();
        let Some(row) = unit.reads.row(rows::of(id)).await? else {
            return crate::unit::refuse(Denied::not_found("spending cap of account", id));
        };
        unit.guard(rows::unstirred(id, &rows::read(&row)));
        rows::remove(id).into_iter().for_each(|query| unit.write(query));
        unit.log(id, None, &Event::CapRemoved);
        let shown = standing(&unit.app.clone(), &unit.reads, &account, unit.now.second()).await?;
        Ok(unit.done(wire::Cap { amount: None, set_at: None, acts_at: None, acted_at: None, ..shown }))
    });
    Ok(json(StatusCode::OK, answer.await?))
}

async fn standing(app: &App, reads: &Reads, account: &Account, now: Second) -> Result<wire::Cap, StoreError> {
    let (month, _) = cap::months(app, now);
    let seen = cap::see(app, reads, account, now).await?;
    let (known, acts, spending) = match seen {
        Some(seen) => (Some(seen.cap), seen.acts, seen.spending),
        None => {
            let billed = cap::billed(reads, account.id, month).await?;
            let billed = BTreeMap::from([(month.since, billed)]);
            (None, None, cap::spending(app, reads, account, now, billed).await?.0)
        }
    };
    let (settled, payable) = (spending.billed_in(month), spending.payable_by(month, now));
    let reserved = spending.if_stopped_at(month, now) - payable;
    Ok(wire::Cap {
        currency: app.catalog.currency.clone(),
        amount: known.map(|cap| cap.amount.to_string()),
        set_at: known.map(|cap| cap.set_at.to_string()),
        month_since: month.since.to_string(),
        month_until: month.until.to_string(),
        settled: settled.to_string(),
        accruing: (payable - settled).to_string(),
        payable: payable.to_string(),
        goes_on: spending.kept(now).to_string(),
        reserved: reserved.to_string(),
        acts_at: acts.map(|(at, _)| at.to_string()),
        acted_at: known.and_then(|cap| cap.acted_at).map(|at| at.to_string()),
        least: cap::rounded_up(spending.least_cap(month, now)).to_string(),
        as_of: now.to_string(),
    })
}
