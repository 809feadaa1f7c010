//! Subscriptions: who is told what happens to an account's instances, and what he was told.

use super::account::Paging;
use super::json;
use crate::app::App;
use crate::call::{Call, Principal};
use crate::deliver::secret::same;
use crate::deliver::{address, mail};
use crate::denied::Denied;
use crate::unit::{Outcome, Unit, refuse};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::topic::TOPICS;
use ebb_model::id::{AccountId, EventId, SubscriptionId};
use ebb_store::StoreError;
use ebb_store::rows::delivery;
use ebb_store::rows::subscription::{self, Kind, State as Is, Subscription};
use ebb_wire::problem::{Page, Problem};
use ebb_wire::subscription as wire;

const SUBSCRIPTIONS_PER_ACCOUNT: usize = 10;
/// Each asks somebody who did not ask for it.
const SUBSCRIBED_PER_DAY: usize = 50;
const DAY: i64 = 24 * 3_600;

/// Asks an address whether it wants to be told what happens to the account's instances. A webhook's secret is shown in this answer and
/// never again.
#[utoipa::path(post, path = "/v1/subscriptions", operation_id = "add_subscription", request_body = wire::Subscribe,
    responses((status = 201, body = wire::NewSubscription), (status = 400, body = Problem), (status = 409, body = Problem)))]
pub async fn add(State(app): State<App>, call: Call<wire::Subscribe>) -> Result<Response, Denied> {
    let account = call.principal.member()?;
    let (kind, address) = checked_address(&app, &call.body)?;
    let topics = checked_topics(&call.body.topics)?;
    let answer = call.once(&app, "add-subscription", account, move |mut unit| {
        let (address, topics) = (address.clone(), topics.clone());
        async move {
            if let Some(why) = too_many(&unit, account).await? {
                return refuse(Denied::Conflict(why));
            }
            let id = SubscriptionId::new(unit.app.mint.uuid(unit.now));
            let secrets = unit.app.deliverer.keys.newest(id);
            let new = Subscription {
                id,
                account,
                kind,
                address,
                topics,
                state: Is::Pending,
                secret_hash: secrets.hash(),
                created_at: unit.now,
                confirmed_at: None,
                failing_since: None,
                paused_because: None,
            };
            unit.write(subscription::insert(&new));
            ask(&mut unit, id, delivery::Kind::Confirmation);
            let secret = (kind == Kind::Webhook).then(|| secrets.shown());
            Ok(unit.done(wire::NewSubscription { subscription: shown(new), secret }))
        }
    });
    Ok(json(StatusCode::CREATED, answer.await?))
}

/// The account's subscriptions.
#[utoipa::path(get, path = "/v1/subscriptions", operation_id = "list_subscriptions",
    params(("account" = Option<String>, Query, description = "operator: whose")),
    responses((status = 200, body = Page<wire::Subscription>)))]
pub async fn list(State(app): State<App>, who: Principal) -> Result<Json<Page<wire::Subscription>>, Denied> {
    let rows = app.store.rows(subscription::of_account(who.account()?)).await?;
    let live = rows.iter().map(subscription::read).filter(|known| known.state != Is::Deleted);
    Ok(Json(Page { items: live.map(shown).collect(), next: None }))
}

/// One subscription.
#[utoipa::path(get, path = "/v1/subscriptions/{id}", operation_id = "show_subscription", params(("id" = String, Path)),
    responses((status = 200, body = wire::Subscription), (status = 404, body = Problem)))]
pub async fn show(
    State(app): State<App>,
    who: Principal,
    Path(id): Path<String>,
) -> Result<Json<wire::Subscription>, Denied> {
    Ok(Json(shown(find(&app, &who, &id).await?)))
}

/// Ends a subscription; nothing more is sent there.
#[utoipa::path(delete, path = "/v1/subscriptions/{id}", operation_id = "delete_subscription", params(("id" = String, Path)),
    responses((status = 200), (status = 404, body = Problem)))]
pub async fn delete(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<Option<()>>,
) -> Result<Response, Denied> {
    let account = call.principal.member()?;
    let id = parsed(&id)?;
    let answer = call.once(&app, "delete-subscription", account, move |mut unit| async move {
        own(&unit, account, id).await?;
        end(&mut unit, id);
        Ok(unit.done(serde_json::json!({})))
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// Confirms a subscription with the token that was sent to its address.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/confirm", operation_id = "confirm_subscription", params(("id" = String, Path)),
    request_body = wire::Confirm, responses((status = 200, body = wire::Subscription), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn confirm(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::Confirm>,
) -> Result<Response, Denied> {
    let account = call.principal.member()?;
    let id = parsed(&id)?;
    let token = call.body.token.trim().to_owned();
    let answer = call.once(&app, "confirm-subscription", account, move |mut unit| {
        let token = token.clone();
        async move {
            let mut known = own(&unit, account, id).await?;
            let secrets = unit.app.deliverer.keys.of(id, &known.secret_hash);
            if !secrets.is_some_and(|secrets| same(&secrets.confirmation, &token)) {
                let why = "this is not the token that was sent to the address; it is in the message with the subject or type `confirm…`";
                return refuse(Denied::Conflict(why.to_owned()));
            }
            if known.state == Is::Pending {
                unit.write(subscription::accept(id, unit.now));
                (known.state, known.confirmed_at) = (Is::Confirmed, Some(unit.now));
            }
            Ok(unit.done(shown(known)))
        }
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// Sends a test to a confirmed address. One that is paused goes on once it accepts that.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/test", operation_id = "test_subscription", params(("id" = String, Path)),
    responses((status = 200, body = wire::Subscription), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn test(State(app): State<App>, Path(id): Path<String>, call: Call<Option<()>>) -> Result<Response, Denied> {
    let account = call.principal.member()?;
    let id = parsed(&id)?;
    let answer = call.once(&app, "test-subscription", account, move |mut unit| async move {
        let known = own(&unit, account, id).await?;
        if known.state == Is::Pending {
            let why = "its address has not confirmed that it wants to be told; nothing else is sent there before";
            return refuse(Denied::Conflict(why.to_owned()));
        }
        if unit.reads.row(delivery::open_of(id, delivery::Kind::Test)).await?.is_some() {
            return refuse(Denied::Conflict("a test is under way; see its deliveries".to_owned()));
        }
        ask(&mut unit, id, delivery::Kind::Test);
        Ok(unit.done(shown(known)))
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// What was sent there and is to be sent, oldest first; kept for 30 days.
#[utoipa::path(get, path = "/v1/subscriptions/{id}/deliveries", operation_id = "list_deliveries", params(("id" = String, Path), Paging),
    responses((status = 200, body = Page<wire::Delivery>), (status = 404, body = Problem)))]
pub async fn deliveries(
    State(app): State<App>,
    who: Principal,
    Path(id): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<wire::Delivery>>, Denied> {
    let id = find(&app, &who, &id).await?.id;
    let rows = app.store.rows(delivery::of_subscription(id, &paging.after, paging.limit())).await?;
    let items = rows.iter().map(|row| {
        let (known, (topic, instance)) = (delivery::read(row), delivery::read_about(row));
        let at = |at: Option<ebb_model::time::Timestamp>| at.map(|at| at.to_string());
        wire::Delivery {
            event: known.event.to_string(),
            kind: known.kind.name().to_owned(),
            topic,
            instance: instance.map(|id| id.to_string()),
            at: known.at.to_string(),
            attempts: known.attempts,
            due_at: at(known.due_at),
            tried_at: at(known.tried_at),
            last_error: known.last_error,
            accepted_at: at(known.accepted_at),
            given_up_at: at(known.given_up_at),
        }
    });
    Ok(Json(paging.page(items.collect(), |delivery| delivery.event.clone())))
}

#[derive(serde::Deserialize, utoipa::IntoParams)]
pub struct WayOut {
    /// As it stands in each mail.
    #[serde(default)]
    token: String,
}

/// Ends a subscription from within a mail: whoever can read what is sent there needs no key.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/unsubscribe", operation_id = "unsubscribe", params(("id" = String, Path), WayOut),
    security(()), responses((status = 200), (status = 404, body = Problem)))]
pub async fn unsubscribe(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(way_out): Query<WayOut>,
) -> Result<Json<serde_json::Value>, Denied> {
    let id = parsed(&id)?;
    let key = id.to_string();
    let done = app.unit("unsubscribe", &key, move |mut unit| {
        let token = way_out.token.clone();
        async move {
            let known = unit.reads.row(subscription::by_id(id)).await?.as_ref().map(subscription::read);
            let secrets = known.and_then(|known| unit.app.deliverer.keys.of(id, &known.secret_hash));
            if !secrets.is_some_and(|secrets| same(&secrets.unsubscription, &token)) {
                return refuse(Denied::not_found("subscription", id));
            }
            end(&mut unit, id);
            Ok(unit.done(()))
        }
    });
    done.await?;
    Ok(Json(serde_json::json!({})))
}

fn ask(unit: &mut Unit, id: SubscriptionId, kind: delivery::Kind) {
    let event = EventId::new(unit.app.mint.uuid(unit.now));
    unit.write(delivery::ask(id, event, kind, unit.now));
}

fn end(unit: &mut Unit, id: SubscriptionId) {
    unit.guard(subscription::delete(id));
    unit.write(delivery::delete_of(id));
}

fn parsed(id: &str) -> Result<SubscriptionId, Denied> {
    id.parse().map_err(|_| Denied::not_found("subscription", id))
}

async fn find(app: &App, who: &Principal, id: &str) -> Result<Subscription, Denied> {
    let rows = app.store.rows(subscription::by_id(parsed(id)?)).await?;
    let known = rows.first().map(subscription::read).filter(|known| who.sees(known.account));
    known.ok_or_else(|| Denied::not_found("subscription", id))
}

/// The subscription, if it is the account's.
async fn own(unit: &Unit, account: AccountId, id: SubscriptionId) -> Outcome<Subscription> {
    let row = unit.reads.row(subscription::by_id(id)).await?;
    match row.as_ref().map(subscription::read).filter(|known| known.account == account) {
        Some(known) => Ok(known),
        None => refuse(Denied::not_found("subscription", id)),
    }
}

async fn too_many(unit: &Unit, account: AccountId) -> Result<Option<String>, StoreError> {
    let rows = unit.reads.rows(subscription::of_account(account)).await?;
    let all: Vec<Subscription> = rows.iter().map(subscription::read).collect();
    let yesterday = unit.now.plus_seconds(-DAY);
    Ok(if all.iter().filter(|known| known.state != Is::Deleted).count() >= SUBSCRIPTIONS_PER_ACCOUNT {
        Some(format!("an account has at most {SUBSCRIPTIONS_PER_ACCOUNT} subscriptions; delete one first"))
    } else if all.iter().filter(|known| known.created_at > yesterday).count() >= SUBSCRIBED_PER_DAY {
        Some(format!("an account subscribes at most {SUBSCRIBED_PER_DAY} times a day; try again tomorrow"))
    } else {
        None
    })
}

fn checked_address(app: &App, body: &wire::Subscribe) -> Result<(Kind, String), Denied> {
    match (&body.webhook, &body.email) {
        (Some(url), None) => {
            let url = address::webhook(url, &app.deliverer.outside.networks);
            Ok((Kind::Webhook, url.map_err(|why| Denied::BadInput(format!("webhook: {why}")))?.to_string()))
        }
        (None, Some(_)) if app.deliverer.mail.is_none() => {
            let why = "email: this installation sends no mail; take a webhook, or ask its operator for `--smtp`";
            Err(Denied::BadInput(why.to_owned()))
        }
        (None, Some(email)) => {
            let address = mail::mailbox(email).map_err(|why| Denied::BadInput(format!("email: {why}")))?;
            Ok((Kind::Email, address))
        }
        _ => Err(Denied::BadInput("give either `webhook` or `email`".to_owned())),
    }
}

fn checked_topics(names: &[String]) -> Result<Vec<String>, Denied> {
    match names.iter().find(|name| !TOPICS.contains(&name.as_str())) {
        Some(_) => Err(Denied::BadInput(format!("topics: they are {}", TOPICS.join(", ")))),
        None => {
            Ok(TOPICS.into_iter().filter(|topic| names.iter().any(|name| name == topic)).map(str::to_owned).collect())
        }
    }
}

fn shown(known: Subscription) -> wire::Subscription {
    let all = known.topics.is_empty();
    wire::Subscription {
        id: known.id.to_string(),
        kind: known.kind.name().to_owned(),
        address: known.address,
        topics: if all { TOPICS.map(str::to_owned).to_vec() } else { known.topics },
        state: known.state.name().to_owned(),
        created_at: known.created_at.to_string(),
        confirmed_at: known.confirmed_at.map(|at| at.to_string()),
        failing_since: known.failing_since.map(|at| at.to_string()),
        paused_because: known.paused_because,
    }
}
