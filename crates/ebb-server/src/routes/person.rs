//! Whose an account is: evidence, links, verification from outside, closing, and the keys under which evidence is hashed.

use super::account::{Paging, parse_holder, seen_by, shown, verify_as};
use super::json;
use crate::app::App;
use crate::call::{Asked, Call, Principal, Role, body_of, whole};
use crate::denied::Denied;
use crate::mint::digest;
use crate::person::{Report, Whose};
use crate::unit::{Outcome, Unit, refuse};
use crate::verifier::{Message, REFERENCE_SECONDS};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ebb_engine::event::Event;
use ebb_engine::refusal::Refused;
use ebb_model::id::AccountId;
use ebb_model::money::Amount;
use ebb_model::person::Source;
use ebb_model::time::Timestamp;
use ebb_model::trial::Holder;
use ebb_store::Decision;
use ebb_store::rows::{account, address, drill, image, instance, person, volume};
use ebb_wire::account::{Account, Link};
use ebb_wire::person as wire;
use ebb_wire::problem::{Page, Problem};

/// Says what an account was seen with (operator): at its registration, at a log-in, in use. Accounts that share it are one person.
#[utoipa::path(post, path = "/v1/accounts/{id}/evidence", operation_id = "report_evidence", params(("id" = String, Path)), request_body = wire::Report,
    responses((status = 200, body = wire::Learned), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn report(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::Report>,
) -> Result<Response, Denied> {
    call.principal.operator()?;
    let id = seen_by(&call.principal, &id)?;
    let source = match Source::parse(&call.body.seen_at) {
        Some(source) if source != Source::Verifier => source,
        _ => return Err(Denied::BadInput("seen_at: it is registration, log-in, use or operator".to_owned())),
    };
    let report = app.report(source, &call.body.evidence)?;
    if report.is_empty() {
        return Err(Denied::BadInput("evidence: give at least one piece, such as a phone".to_owned()));
    }
    let answer = call.once(&app, "evidence", "persons", move |mut unit| {
        let report = report.clone();
        async move {
            let learned = unit.see(id, &report, Whose::Known).await?;
            let (new, linked) = (learned.new.into_iter().collect(), learned.linked.into_iter().collect());
            Ok(unit.done(wire::Learned { account: id.to_string(), new, linked }))
        }
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// What an account was seen with (operator): kinds and instants; what they say is kept nowhere.
#[utoipa::path(get, path = "/v1/accounts/{id}/evidence", operation_id = "list_evidence", params(("id" = String, Path), Paging),
    responses((status = 200, body = Page<wire::Sighting>), (status = 403, body = Problem)))]
pub async fn sightings(
    State(app): State<App>,
    who: Principal,
    Path(id): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<wire::Sighting>>, Denied> {
    who.operator()?;
    let id = seen_by(&who, &id)?;
    let rows = app.store.rows(person::sightings(id, &paging.after, paging.limit())).await?;
    let sighting = |row: &ebb_store::Row| wire::Sighting {
        id: row.text("id").to_owned(),
        kind: row.text("kind").to_owned(),
        source: row.text("source").to_owned(),
        first_seen_at: Timestamp::from_micros(row.int("seen_at")).to_string(),
        shared: row.int("shared") == 1,
    };
    Ok(Json(paging.page(rows.iter().map(sighting).collect(), |sighting| sighting.id.clone())))
}

/// Says that two accounts belong to one person (operator). What one of them takes from the other is charged (rules §2.11), and they
/// claim one trial together (rules §3.2).
#[utoipa::path(post, path = "/v1/accounts/{id}/person", operation_id = "link_account", params(("id" = String, Path)), request_body = Link,
    responses((status = 200, body = Account), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn link(State(app): State<App>, Path(id): Path<String>, call: Call<Link>) -> Result<Response, Denied> {
    call.principal.operator()?;
    let id = seen_by(&call.principal, &id)?;
    let other = seen_by(&call.principal, &call.body.with)?;
    let answer = call.once(&app, "link", "persons", move |mut unit| async move {
        let account = unit.account(id).await?.clone();
        unit.link(id, other).await?;
        Ok(unit.done(shown(&account)))
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// The accounts of an account's person, itself included (operator).
#[utoipa::path(get, path = "/v1/accounts/{id}/person", operation_id = "list_person", params(("id" = String, Path), Paging),
    responses((status = 200, body = Page<Account>), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn accounts(
    State(app): State<App>,
    who: Principal,
    Path(id): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Account>>, Denied> {
    who.operator()?;
    let id = seen_by(&who, &id)?;
    let (after, limit) = (paging.after.clone(), paging.limit());
    let listed = app.store.read(move |reads| async move {
        let Some(row) = reads.row(account::by_id(id)).await? else { return Ok(None) };
        let mine = account::read(&row);
        match mine.person {
            Some(person) => reads.rows(person::accounts(person, &after, limit)).await.map(Some),
            None => Ok(Some(if mine.id.to_string() > after { vec![row] } else { vec![] })),
        }
    });
    let rows = listed.await?.ok_or_else(|| Denied::not_found("account", id))?;
    let items = rows.iter().map(|row| shown(&account::read(row))).collect();
    Ok(Json(paging.page(items, |account: &Account| account.id.clone())))
}

/// Closes an account for good (its owner, or the operator). It can then only be looked at; what shows whose it was, stays.
#[utoipa::path(post, path = "/v1/accounts/{id}/close", operation_id = "close_account", params(("id" = String, Path)),
    responses((status = 200, body = Account), (status = 402, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub async fn close(State(app): State<App>, Path(id): Path<String>, call: Call<Option<()>>) -> Result<Response, Denied> {
    let id = seen_by(&call.principal, &id)?;
    if !matches!(call.principal.role, Role::Operator | Role::Owner) {
        return Err(Denied::Role { needed: "owner", has: call.principal.role.name() });
    }
    let answer = call.once(&app, "close-account", id, move |unit| close_it(unit, id));
    Ok(json(StatusCode::OK, answer.await?))
}

async fn close_it(mut unit: Unit, id: AccountId) -> Outcome<Decision<Account>> {
    let account = unit.account(id).await?.clone();
    if account.closed_at.is_some() {
        return Ok(unit.done(shown(&account)));
    }
    let until = |what: &str| refuse(Refused::NotYetClosed(what.to_owned()));
    if unit.reads.row(instance::live_page_of(id, "", 1)).await?.is_some() {
        return until("it has instances that are not released; delete them first (`ebb instances delete`)");
    }
    if unit.reads.row(volume::live_of_account(id)).await?.is_some() {
        return until("it has data disks or snapshots; delete them first (`ebb disks delete`, `ebb snapshots delete`)");
    }
    if unit.reads.row(address::page_of(id, "", 1)).await?.is_some() {
        return until("it has public addresses; release them first (`ebb addresses release`)");
    }
    if unit.reads.row(image::count_of(id)).await?.is_some_and(|row| row.int("live") > 0) {
        return until("it has images; delete them first (`ebb images delete`)");
    }
    if account.close_at.is_some() {
        return until("an hour in which it used something is not settled; try again after the full hour");
    }
    if account.held != Amount::ZERO {
        return until("money is held for what it bought; try again when that is settled");
    }
    if account.purse.debt > Amount::ZERO {
        return until(&format!("it owes {}; top it up first", account.purse.debt));
    }
    let now = unit.now;
    unit.change_account(id).await?.closed_at = Some(now);
    unit.write(drill::end_schedules_of(id, now));
    unit.log(id, None, &Event::AccountClosed);
    Ok(unit.done(shown(&account::Account { closed_at: Some(now), ..account })))
}

/// Begins a verification from outside (owner): gives what the account's owner takes to the verifier.
#[utoipa::path(post, path = "/v1/verification", operation_id = "begin_verification",
    responses((status = 201, body = wire::Reference), (status = 403, body = Problem), (status = 501, body = Problem)))]
pub async fn prove(State(app): State<App>, call: Call<Option<()>>) -> Result<Response, Denied> {
    let id = call.principal.owner()?;
    let Some(verifier) = app.verifier.as_ref().map(|verifier| verifier.url.clone()) else {
        return Err(Refused::NoVerifier.into());
    };
    let answer = call.once(&app, "prove", id, move |mut unit| {
        let verifier = verifier.clone();
        async move {
            let reference = unit.app.mint.secret().replace("ebb_", "ref_");
            let expires_at = unit.now.plus_seconds(REFERENCE_SECONDS);
            let hash = digest(reference.as_bytes());
            // A new one takes the place of those that were not used.
            unit.write(person::forget_verifications(id));
            unit.write(person::insert_verification(&hash, id, unit.now, expires_at));
            Ok(unit.done(wire::Reference { reference, expires_at: expires_at.to_string(), verifier }))
        }
    });
    Ok(json(StatusCode::CREATED, answer.await?))
}

/// Takes the word of the outside verifier. Who is verified is known by evidence that links accounts. Who is refused stays as he was:
/// an earlier verification is not taken away. He signs it as Standard Webhooks says; the same `webhook-id` again is answered as before.
#[utoipa::path(post, path = "/v1/verifications", operation_id = "take_verification", request_body = wire::Verdict, security(()),
    params(("webhook-id" = String, Header), ("webhook-timestamp" = String, Header, description = "seconds since the epoch, within 5 minutes of now"),
        ("webhook-signature" = String, Header, description = "`v1,` and the HMAC-SHA-256 of id.timestamp.body in base64; several with spaces between")),
    responses((status = 200, body = wire::Taken), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub async fn verdict(State(app): State<App>, headers: HeaderMap, body: Body) -> Result<Response, Denied> {
    let bytes = whole(body).await?;
    let Some(verifier) = &app.verifier else { return Err(Refused::NoVerifier.into()) };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let message = Message {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body: &bytes,
    };
    // The verifier's clock is that of the world, also where a sandbox has one of its own.
    verifier.check(&message, app.clock.wall_now())?;
    if !(1..=100).contains(&message.id.len()) {
        return Err(Denied::BadInput("webhook-id: 1 to 100 ASCII characters".to_owned()));
    }
    let said: wire::Verdict = body_of(&bytes)?;
    let verified = match (said.outcome.as_str(), &said.holder) {
        ("verified", Some(holder)) => Some(parse_holder(holder)?),
        ("verified", None) => return Err(Denied::BadInput("holder: say whose the account is".to_owned())),
        ("refused", None) => None,
        ("refused", Some(_)) => {
            return Err(Denied::BadInput("holder: an account that is refused is nobody's; leave it out".to_owned()));
        }
        _ => return Err(Denied::BadInput("outcome: it is verified or refused".to_owned())),
    };
    let report = app.report(Source::Verifier, &said.evidence)?;
    // His word alone would verify one person again and again, in accounts that share nothing.
    if verified.is_some() && !report.tells_whose() && !app.catalog.person.links.is_empty() {
        return Err(Refused::VerifiedByNothing.into());
    }
    let reference = digest(said.reference.as_bytes());
    let asked = Asked::message("verifier", message.id, app.evidence.digest(&bytes));
    let answer = asked
        .once(&app, "verification", "persons", move |unit| take(unit, reference.clone(), verified, report.clone()));
    Ok(json(StatusCode::OK, answer.await?))
}

async fn take(
    mut unit: Unit,
    reference: String,
    verified: Option<Holder>,
    report: Report,
) -> Outcome<Decision<wire::Taken>> {
    let Some(row) = unit.reads.row(person::open_verification(&reference, unit.now)).await? else {
        return refuse(Refused::ReferenceOver);
    };
    let id: AccountId = row.text("account_id").parse().expect("an id that this program wrote");
    let outcome = if verified.is_some() { "verified" } else { "refused" };
    unit.guard(person::settle_verification(&reference, outcome, unit.now));
    let claimed = unit.reads.row(account::grant(id)).await?.is_some();
    let account = unit.change_account(id).await?;
    match verified {
        Some(holder) => {
            verify_as(account, holder, claimed)?;
            unit.log(id, None, &Event::AccountVerified { holder, by: Some(Source::Verifier) });
        }
        None => drop(unit.log(id, None, &Event::VerificationRefused)),
    }
    unit.see(id, &report, Whose::Known).await?;
    Ok(unit.done(wire::Taken { outcome: outcome.to_owned() }))
}

/// Which keys evidence is hashed under, and how many hashes are under each (operator).
#[utoipa::path(get, path = "/v1/evidence-keys", operation_id = "list_evidence_keys",
    responses((status = 200, body = Page<wire::EvidenceKey>), (status = 403, body = Problem)))]
pub async fn keys(State(app): State<App>, who: Principal) -> Result<Json<Page<wire::EvidenceKey>>, Denied> {
    who.operator()?;
    Ok(Json(listed_keys(&app).await?))
}

/// Makes a new key under which evidence is hashed (operator). What is under older ones comes under it by and by, and is compared
/// rightly at every moment.
#[utoipa::path(post, path = "/v1/evidence-keys", operation_id = "rotate_evidence_key",
    responses((status = 201, body = Page<wire::EvidenceKey>), (status = 403, body = Problem)))]
pub async fn rotate(State(app): State<App>, call: Call<Option<()>>) -> Result<Response, Denied> {
    call.principal.operator()?;
    if let Some(before) = call.before(&app).await? {
        return Ok(json(StatusCode::CREATED, before));
    }
    app.rotate_evidence_key().await?;
    let answer = serde_json::to_string(&listed_keys(&app).await?).expect("an answer of plain values");
    Ok(json(StatusCode::CREATED, call.keep(&app, answer).await?))
}

async fn listed_keys(app: &App) -> Result<Page<wire::EvidenceKey>, Denied> {
    let listed = app.store.read(|reads| async move {
        let mut listed = vec![];
        for key in reads.rows(person::keys()).await?.iter().map(person::read_key) {
            let count = reads.row(person::count_under(key.number)).await?.map_or(0, |row| row.int("count"));
            listed.push(wire::EvidenceKey {
                number: key.number,
                fingerprint: key.fingerprint,
                made_at: key.made_at.to_string(),
                hashes: count,
            });
        }
        Ok(listed)
    });
    Ok(Page { items: listed.await?, next: None })
}
