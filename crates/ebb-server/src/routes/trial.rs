//! The free trial: whether it can be claimed, claiming it, and how an account stands with it.

use super::json;
use crate::app::App;
use crate::call::{Call, Principal};
use crate::denied::Denied;
use crate::person::{claimant, guard_claim};
use crate::trial::outlook;
use crate::unit::{Outcome, Unit, refuse};
use crate::work::hours::accruing;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::eligibility::{self, Condition, Finding};
use ebb_engine::event::Event;
use ebb_engine::price::tariff;
use ebb_engine::trial;
use ebb_ledger::{Entry, Place};
use ebb_model::id::AccountId;
use ebb_model::instance::Purchase;
use ebb_model::money::Exact;
use ebb_model::time::Second;
use ebb_model::trial::TrialGrant;
use ebb_store::rows::account::Account;
use ebb_store::rows::{account, instance};
use ebb_store::{Decision, Reads, StoreError};
use ebb_wire::account as wire;
use ebb_wire::person as person_wire;
use ebb_wire::problem::Problem;

/// Claims the free trial: once per person, verified, and before any instance ran.
#[utoipa::path(post, path = "/v1/trial", operation_id = "claim_trial",
    responses((status = 201, body = wire::Trial), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub async fn claim(State(app): State<App>, call: Call<Option<()>>) -> Result<Response, Denied> {
    let id = call.principal.owner()?;
    let answer = call.once(&app, "claim-trial", id, move |unit| grant(unit, id));
    Ok(json(StatusCode::CREATED, answer.await?))
}

async fn grant(mut unit: Unit, id: AccountId) -> Outcome<Decision<wire::Trial>> {
    let now = unit.now.second();
    let account = unit.account(id).await?.clone();
    let known = claimant(&unit.reads, &unit.app.catalog.person, &account).await?;
    let grant = match eligibility::claim(&unit.app.catalog, &known.claimant, now) {
        Ok(grant) => grant,
        Err(refused) => return refuse(refused),
    };
    // The account's generation serialises claims of one account, the person's those of several.
    guard_claim(&mut unit, id, &known, grant.holder).await?;
    let amount = grant.issued.posted();
    unit.write(account::insert_grant(id, &grant));
    unit.post(id, "trial grant", &Entry::transfer(Place::Grant(id), Place::Promotion, amount), now);
    let (holder, hourly_cap, valid_until) = (grant.holder, grant.hourly_cap, grant.valid_until);
    unit.log(id, None, &Event::TrialClaimed { holder, amount, hourly_cap, valid_until });
    Ok(unit.done(shown_trial(&grant, Exact::ZERO)))
}

/// Whether the account could claim now: each condition, with what stands against it and the way out. It changes nothing.
#[utoipa::path(get, path = "/v1/trial/check", operation_id = "check_trial", params(("account" = Option<String>, Query, description = "operator: whose")),
    responses((status = 200, body = person_wire::Check), (status = 404, body = Problem)))]
pub async fn check(State(app): State<App>, who: Principal) -> Result<Json<person_wire::Check>, Denied> {
    let id = who.account()?;
    let shared = app.clone();
    let known = app.store.read(move |reads| async move {
        let Some(row) = reads.row(account::by_id(id)).await? else { return Ok(None) };
        claimant(&reads, &shared.catalog.person, &account::read(&row)).await.map(Some)
    });
    let known = known.await?.ok_or_else(|| Denied::not_found("account", id))?;
    let conditions: Vec<person_wire::Condition> =
        eligibility::conditions(&known.claimant).iter().map(shown_condition).collect();
    let eligible = conditions.iter().all(|condition| condition.finding != "failed");
    let may_appeal = eligibility::may_appeal(&known.claimant);
    Ok(Json(person_wire::Check { eligible, may_appeal, conditions }))
}

fn shown_condition(condition: &Condition) -> person_wire::Condition {
    let (finding, refused) = match &condition.finding {
        Finding::Met => ("met", None),
        Finding::Overruled(refused) => ("overruled", Some(refused)),
        Finding::Failed(refused) => ("failed", Some(refused)),
    };
    person_wire::Condition {
        name: condition.name.to_owned(),
        finding: finding.to_owned(),
        code: refused.map(|refused| refused.code().to_owned()),
        message: refused.map(ToString::to_string),
    }
}

/// How an account stands with its trial.
pub async fn standing(
    app: &App,
    reads: &Reads,
    account: &Account,
    grant: &TrialGrant,
    now: Second,
) -> Result<trial::Standing, StoreError> {
    let live = reads.rows(instance::live_of_account(account.id)).await?;
    let trials = live.iter().map(instance::read).filter(|i| matches!(i.purchase, Purchase::Trial { .. }));
    let accruing = accruing(app, reads, account, now).await?;
    let covered = accruing.hour.iter().filter(|(charge, _)| charge.covered && charge.period.since >= now.hour());
    let running: Exact = accruing.hour.iter().map(|(_, split)| split.grant).sum();
    Ok(trial::Standing {
        prices: trials
            .map(|one| {
                let tariff = tariff(&app.catalog, &one);
                tariff.compute.prices.at(now) + tariff.disk.prices.at(now)
            })
            .collect(),
        released_before: reads.row(instance::released_trial(account.id)).await?.is_some(),
        accrued: grant.used + running,
        this_hour: covered.map(|(charge, _)| charge.gross()).sum(),
        ended: outlook(app, reads, account, now).await?.and_then(|seen| seen.over(now)),
    })
}

pub fn shown_trial(grant: &TrialGrant, accruing: Exact) -> wire::Trial {
    wire::Trial {
        holder: grant.holder.name().to_owned(),
        claimed_at: grant.claimed_at.to_string(),
        valid_until: grant.valid_until.to_string(),
        issued: grant.issued.to_string(),
        hourly_cap: grant.hourly_cap.to_string(),
        settled: grant.used.to_string(),
        revoked: grant.revoked.to_string(),
        accruing: accruing.to_string(),
        left: (grant.left() - accruing).to_string(),
    }
}
