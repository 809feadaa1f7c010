//! The budget: how an account stands with it, setting it, and doing without. It tells, and stops nothing (rules §4.3).

use super::json;
use crate::app::App;
use crate::budget::see;
use crate::call::{Call, Principal, Role};
use crate::cap::{billed, months};
use crate::denied::Denied;
use crate::forecast::{How, ahead};
use crate::unit::{Outcome, Unit, refuse};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::budget::Budget;
use ebb_engine::event::Event;
use ebb_model::id::AccountId;
use ebb_model::money::Amount;
use ebb_model::time::Second;
use ebb_store::rows::account::{self, Account};
use ebb_store::rows::{budget as rows, cap as cap_rows};
use ebb_store::{Decision, Reads, StoreError};
use ebb_wire::budget as wire;
use ebb_wire::problem::Problem;
use std::collections::BTreeSet;

const MOST_ALERTS: usize = 10;
const MOST_PERCENT: i64 = 1_000;

/// How the account stands with its budget: what is payable in this month, what is expected, and when shares are reached.
#[utoipa::path(get, path = "/v1/budget", operation_id = "show_budget", params(("account" = Option<String>, Query, description = "operator: whose")),
    responses((status = 200, body = wire::Budget), (status = 401, body = Problem)))]
pub async fn show(State(app): State<App>, who: Principal) -> Result<Json<wire::Budget>, Denied> {
    let id = who.account()?;
    let (shared, now) = (app.clone(), app.clock.now().second());
    let shown = app.store.read(move |reads| async move {
        let Some(row) = reads.row(account::by_id(id)).await? else { return Ok(None) };
        standing(&shared, &reads, &account::read(&row), now, None).await.map(Some)
    });
    shown.await?.map(Json).ok_or_else(|| Denied::not_found("account", id))
}

/// Sets what is meant to be spent in a calendar month, and at which shares of it somebody is told, once each month. It stops nothing.
#[utoipa::path(post, path = "/v1/budget", operation_id = "set_budget", params(("account" = Option<String>, Query, description = "operator: whose")),
    request_body = wire::SetBudget,
    responses((status = 200, body = wire::Budget), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub async fn set(State(app): State<App>, call: Call<wire::SetBudget>) -> Result<Response, Denied> {
    let id = decides(&call.principal)?;
    let amount: Amount = call.body.amount.parse().map_err(|error| Denied::BadInput(format!("amount: {error}")))?;
    // Far below where sums of amounts would overflow.
    if !(1..=100_000_000_000_000_000).contains(&amount.units()) {
        return Err(Denied::BadInput(
            "amount: above 0 and at most 1000000000; `ebb budget remove` does without".to_owned(),
        ));
    }
    let alerts = call.body.alerts.clone().unwrap_or_else(|| vec![50, 80, 100]);
    if let Some(wrong) = alerts.iter().find(|percent| !(1..=MOST_PERCENT).contains(*percent)) {
        return Err(Denied::BadInput(format!("alerts: {wrong} is no percentage from 1 to {MOST_PERCENT}")));
    }
    if alerts.len() > MOST_ALERTS {
        return Err(Denied::BadInput(format!("alerts: at most {MOST_ALERTS}, {} given", alerts.len())));
    }
    let (alerts, expected) = (BTreeSet::from_iter(alerts), call.body.expected.unwrap_or(true));
    if alerts.is_empty() && !expected {
        return Err(Denied::BadInput("alerts: without any, and without `expected`, nobody would be told".to_owned()));
    }
    let answer = call.once(&app, "set-budget", id, move |unit| {
        let set_at = unit.now.second();
        put(unit, id, Budget { amount, alerts: alerts.clone(), expected, set_at })
    });
    Ok(json(StatusCode::OK, answer.await?))
}

async fn put(mut unit: Unit, id: AccountId, budget: Budget) -> Outcome<Decision<wire::Budget>> {
    let account = unit.change_account(id).await?.clone();
    let (app, now) = (unit.app.clone(), unit.now.second());
    let (month, _) = months(&app, now);
    // From now on it is kept; who has a cap has it already.
    unit.write(cap_rows::spent_before(id, month.since, billed(&unit.reads, id, month).await?));
    rows::set(id, &budget).into_iter().for_each(|query| unit.write(query));
    let Budget { amount, alerts, expected, .. } = budget.clone();
    unit.log(id, None, &Event::BudgetSet { amount, alerts: alerts.into_iter().collect(), expected });
    unit.look_after_cap(id);
    let shown = standing(&app, &unit.reads, &account, now, Some(budget)).await?;
    Ok(unit.done(shown))
}

/// Takes the budget away.
#[utoipa::path(delete, path = "/v1/budget", operation_id = "remove_budget", params(("account" = Option<String>, Query, description = "operator: whose")),
    responses((status = 200, body = wire::Budget), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn remove(State(app): State<App>, call: Call<Option<()>>) -> Result<Response, Denied> {
    let id = decides(&call.principal)?;
    let answer = call.once(&app, "remove-budget", id, move |mut unit| async move {
        let account = unit.change_account(id).await?.clone();
        if unit.reads.row(rows::of(id)).await?.is_none() {
            return refuse(Denied::not_found("budget of account", id));
        }
        let (app, now) = (unit.app.clone(), unit.now.second());
        let shown = standing(&app, &unit.reads, &account, now, None).await?;
        rows::remove(id).into_iter().for_each(|query| unit.write(query));
        unit.log(id, None, &Event::BudgetRemoved);
        let (none, nothing) = (None, vec![]);
        let (reached, coming) = (vec![], vec![]);
        let (amount, alerts, tells_expected) = (none, nothing, false);
        Ok(unit.done(wire::Budget { amount, alerts, tells_expected, set_at: None, reached, coming, ..shown }))
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// The account whose budget this caller may set: its owner, or the operator.
fn decides(who: &Principal) -> Result<AccountId, Denied> {
    match who.role {
        Role::Operator => who.account(),
        _ => who.owner(),
    }
}

/// As it stands, with the budget that is being set, if one is.
async fn standing(
    app: &App,
    reads: &Reads,
    of: &Account,
    now: Second,
    new: Option<Budget>,
) -> Result<wire::Budget, StoreError> {
    let seen = see(app, reads, of, now).await?;
    let ahead = ahead(app, reads, of, now, How::Month).await?;
    let told = seen.as_ref().filter(|_| new.is_none()).map(|seen| seen.told.clone()).unwrap_or_default();
    let (settled, payable) = (ahead.spending.billed_in(ahead.month), ahead.spending.payable_by(ahead.month, now));
    let known = new.or(seen.as_ref().map(|seen| seen.budget.clone()));
    let coming = match (&known, &seen) {
        (Some(budget), Some(seen)) => {
            let shares = told.keys().filter_map(|what| what.parse().ok()).collect();
            budget.shares(&seen.spending, seen.month, &shares)
        }
        (Some(budget), None) => budget.shares(&ahead.spending, ahead.month, &BTreeSet::new()),
        (None, _) => vec![],
    };
    let share = |percent, at: Second| wire::BudgetShare { percent, at: at.to_string() };
    Ok(wire::Budget {
        currency: app.catalog.currency.clone(),
        amount: known.as_ref().map(|budget| budget.amount.to_string()),
        alerts: known.iter().flat_map(|budget| budget.alerts.iter().copied()).collect(),
        tells_expected: known.as_ref().is_some_and(|budget| budget.expected),
        set_at: known.map(|budget| budget.set_at.to_string()),
        month_since: ahead.month.since.to_string(),
        month_until: ahead.month.until.to_string(),
        settled: settled.to_string(),
        accruing: (payable - settled).to_string(),
        payable: payable.to_string(),
        expected: ahead.expected.total.to_string(),
        reached: told.iter().filter_map(|(what, at)| Some(share(what.parse().ok()?, *at))).collect(),
        coming: coming.into_iter().map(|one| share(one.percent, one.at)).collect(),
        as_of: now.to_string(),
    })
}
