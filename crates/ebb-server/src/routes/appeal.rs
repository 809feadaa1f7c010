//! Who disagrees with a refusal, and what the operator decides: appeals, overrules, and taking back what is left of a grant.

use super::account::{Paging, seen_by};
use super::json;
use super::trial::shown_trial;
use crate::app::App;
use crate::call::{Call, Principal, Role};
use crate::denied::Denied;
use crate::person::claimant;
use crate::unit::{Outcome, Unit, refuse};
use crate::work::hours::accruing;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::eligibility::{may_appeal, stands, to_lift};
use ebb_engine::event::Event;
use ebb_engine::refusal::Refused;
use ebb_ledger::{Entry, Place};
use ebb_model::id::{AccountId, AppealId};
use ebb_model::money::{Amount, Exact};
use ebb_store::Decision;
use ebb_store::rows::account;
use ebb_store::rows::appeal::{self, Appeal, Decided};
use ebb_wire::account::Trial;
use ebb_wire::person as wire;
use ebb_wire::problem::{Page, Problem};

const LONGEST_APPEAL: usize = 2_000;
const LONGEST_REASON: usize = 500;

/// Appeals against what stands against a claim (owner). The operator reads it, and overrules or rejects.
#[utoipa::path(post, path = "/v1/trial/appeals", operation_id = "appeal", request_body = wire::MakeAppeal,
    responses((status = 201, body = wire::Appeal), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub async fn make(State(app): State<App>, call: Call<wire::MakeAppeal>) -> Result<Response, Denied> {
    let id = call.principal.owner()?;
    let words = checked_text("text", &call.body.text, LONGEST_APPEAL)?;
    let answer = call.once(&app, "appeal", id, move |mut unit| {
        let words = words.clone();
        async move {
            // The account's generation lets one of two appeals wait.
            let account = unit.change_account(id).await?.clone();
            if !may_appeal(&claimant(&unit.reads, &unit.app.catalog.person, &account).await?.claimant) {
                return refuse(Refused::NothingToAppeal);
            }
            if unit.reads.row(appeal::waiting_of(id)).await?.is_some() {
                return refuse(Refused::AppealWaits);
            }
            let made = made(&unit, id, Some(words));
            unit.write(appeal::insert(&made));
            unit.log(id, None, &Event::TrialAppealed);
            Ok(unit.done(shown(&made, Role::Owner)))
        }
    });
    Ok(json(StatusCode::CREATED, answer.await?))
}

/// Appeals: an account's own, or for an operator those that wait for an answer, the oldest first.
#[utoipa::path(get, path = "/v1/trial/appeals", operation_id = "list_appeals", params(Paging),
    responses((status = 200, body = Page<wire::Appeal>), (status = 403, body = Problem)))]
pub async fn list(
    State(app): State<App>,
    who: Principal,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<wire::Appeal>>, Denied> {
    let (after, limit) = (paging.after.as_str(), paging.limit());
    let query = match (who.role, who.account) {
        (Role::Operator, None) => appeal::waiting(after, limit),
        _ => appeal::of_account(who.account()?, after, limit),
    };
    let items = app.store.rows(query).await?.iter().map(|row| shown(&appeal::read(row), who.role)).collect();
    Ok(Json(paging.page(items, |appeal: &wire::Appeal| appeal.id.clone())))
}

/// Lets an account claim once in spite of what its person did before (operator), asked by an appeal or not.
#[utoipa::path(post, path = "/v1/accounts/{id}/trial/overrule", operation_id = "overrule_trial", params(("id" = String, Path)), request_body = wire::Because,
    responses((status = 200, body = wire::Appeal), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub async fn overrule(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::Because>,
) -> Result<Response, Denied> {
    decide(app, id, call, "overruled").await
}

/// Leaves an appeal without success (operator).
#[utoipa::path(post, path = "/v1/accounts/{id}/trial/reject", operation_id = "reject_appeal", params(("id" = String, Path)), request_body = wire::Because,
    responses((status = 200, body = wire::Appeal), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub async fn reject(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::Because>,
) -> Result<Response, Denied> {
    decide(app, id, call, "rejected").await
}

async fn decide(app: App, id: String, call: Call<wire::Because>, decision: &'static str) -> Result<Response, Denied> {
    call.principal.operator()?;
    let id = seen_by(&call.principal, &id)?;
    let reason = checked_text("reason", &call.body.reason, LONGEST_REASON)?;
    let by = call.principal.key.clone();
    let answer = call.once(&app, decision, id, move |mut unit| {
        let (at, by, decision, reason) = (unit.now, by.clone(), decision.to_owned(), reason.clone());
        async move {
            let account = unit.change_account(id).await?.clone();
            let mut lifts = vec![];
            if decision == "overruled" {
                let known = claimant(&unit.reads, &unit.app.catalog.person, &account).await?;
                if known.overrule.is_some() && !stands(&known.claimant) {
                    return refuse(Refused::AlreadyOverruled);
                }
                if !may_appeal(&known.claimant) {
                    return refuse(Refused::NothingToAppeal);
                }
                lifts.extend(to_lift(&known.claimant));
            }
            let decided = Decided { at, by, decision, reason, lifts };
            let waiting = unit.reads.row(appeal::waiting_of(id)).await?.map(|row| appeal::read(&row));
            let about = match (waiting, decided.decision.as_str()) {
                (Some(waiting), _) => {
                    unit.guard(appeal::decide(waiting.id, &decided));
                    Appeal { decided: Some(decided.clone()), ..waiting }
                }
                (None, "overruled") => {
                    let unasked = Appeal { decided: Some(decided.clone()), ..made(&unit, id, None) };
                    unit.write(appeal::insert(&unasked));
                    unasked
                }
                (None, _) => return refuse(Refused::NoAppeal),
            };
            let (reason, lifts) = (decided.reason, decided.lifts);
            unit.log(
                id,
                None,
                &match decided.decision.as_str() {
                    "overruled" => Event::TrialOverruled { reason, lifts },
                    _ => Event::AppealRejected { reason },
                },
            );
            Ok(unit.done(shown(&about, Role::Operator)))
        }
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// Takes what is left of a grant (operator). What it paid for until now, it pays; what runs on is payable.
#[utoipa::path(post, path = "/v1/accounts/{id}/trial/revoke", operation_id = "revoke_trial", params(("id" = String, Path)), request_body = wire::Because,
    responses((status = 200, body = Trial), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn revoke(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::Because>,
) -> Result<Response, Denied> {
    call.principal.operator()?;
    let id = seen_by(&call.principal, &id)?;
    let reason = checked_text("reason", &call.body.reason, LONGEST_REASON)?;
    let answer = call.once(&app, "revoke-trial", id, move |unit| take_back(unit, id, reason.clone()));
    Ok(json(StatusCode::OK, answer.await?))
}

async fn take_back(mut unit: Unit, id: AccountId, reason: String) -> Outcome<Decision<Trial>> {
    let now = unit.now.second();
    // Two who take, or one who closes an hour meanwhile, meet at the account's generation.
    let account = unit.change_account(id).await?.clone();
    let Some(row) = unit.reads.row(account::grant(id)).await? else { return refuse(Refused::NoGrant) };
    let mut grant = account::read_grant(&row);
    if now >= grant.valid_until {
        return refuse(Refused::GrantOver(grant.valid_until.start()));
    }
    let open = accruing(&unit.app, &unit.reads, &account, now).await?;
    let running: Exact = open.hour.iter().map(|(_, split)| split.grant).sum();
    // Whole units of the ledger, so that what was used until now stays paid to its last fraction.
    let amount = (grant.left() - running).whole();
    if amount <= Amount::ZERO {
        return refuse(Refused::NothingToRevoke);
    }
    (grant.revoked, grant.valid_until) = (grant.revoked + amount.exact(), now);
    unit.write(account::revoke_grant(id, amount.exact(), now));
    unit.post(id, "trial revoked", &Entry::transfer(Place::Promotion, Place::Grant(id), amount), now);
    unit.log(id, None, &Event::TrialRevoked { at: now, amount, reason });
    Ok(unit.done(shown_trial(&grant, running)))
}

fn made(unit: &Unit, account: AccountId, words: Option<String>) -> Appeal {
    let id = AppealId::new(unit.app.mint.uuid(unit.now));
    Appeal { id, account, made_at: unit.now, words, decided: None, used_at: None }
}

fn shown(appeal: &Appeal, to: Role) -> wire::Appeal {
    let decided = appeal.decided.as_ref();
    wire::Appeal {
        id: appeal.id.to_string(),
        account: appeal.account.to_string(),
        made_at: appeal.made_at.to_string(),
        text: appeal.words.clone(),
        state: decided.map_or("waiting", |decided| &decided.decision).to_owned(),
        reason: decided.map(|decided| decided.reason.clone()),
        decided_at: decided.map(|decided| decided.at.to_string()),
        decided_by: decided.filter(|_| to == Role::Operator).map(|decided| decided.by.clone()),
        lifts: decided.map(|decided| decided.lifts.clone()).unwrap_or_default(),
        used_at: appeal.used_at.map(|at| at.to_string()),
    }
}

/// What people write: something, and not a book.
pub fn checked_text(what: &str, text: &str, most: usize) -> Result<String, Denied> {
    let length = text.chars().count();
    let wrong = |why: &str| Err(Denied::BadInput(format!("{what}: {why}")));
    match text.trim() {
        "" => wrong("write at least a word"),
        _ if length > most => wrong(&format!("at most {most} characters, {length} given")),
        _ if text.chars().any(|c| c.is_control() && c != '\n') => wrong("no control characters but new lines"),
        text => Ok(text.to_owned()),
    }
}
