//! Which path leads where?

mod account;
mod address;
mod adjustment;
mod appeal;
mod audit;
mod bill;
mod budget;
mod cap;
mod catalog;
mod conversion;
mod disk;
mod drill;
mod explanation;
mod forecast;
mod guest;
pub mod host;
mod image;
mod instance;
mod key_pair;
mod lending;
mod login;
mod offer;
mod permitted;
mod person;
mod progress;
mod purchase;
mod renewal;
mod report;
mod resize;
mod sale;
mod sandbox;
mod security_group;
mod snapshot;
mod stream;
mod subscription;
mod trial;
mod voucher;
mod why;
mod zone;

use crate::app::App;
use crate::call::whole;
use crate::denied::Denied;
use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{delete, get, post};
use ebb_wire::problem::Problem;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::time::Instant;
use utoipa::OpenApi;

const DOCS: &str = "/docs";

/// The API as OpenAPI describes it.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ebb",
        description = "A small cloud that sells idle capacity by the second, takes it back when needed, and bills it exactly. \
            Instants are RFC 3339, money is decimal text in the catalog's currency, prices are per hour. \
            Every mutation takes an `Idempotency-Key`: the same key gives the same answer for 24 hours."
    ),
    paths(
        account::whoami, account::open, account::list, account::show, account::verify, account::top_up,
        account::create_key, account::list_keys, account::delete_key, account::balance, key_pair::add,
        key_pair::list, key_pair::delete, trial::claim, progress::show, progress::at_end, trial::check,
        person::report, person::sightings, person::link, person::accounts, person::close, person::prove, person::verdict,
        person::keys, person::rotate, appeal::make, appeal::list, appeal::overrule, appeal::reject, appeal::revoke,
        catalog::show, catalog::quote, offer::list, offer::limits,
        purchase::buy, instance::list, instance::show, instance::release, instance::stop, instance::start, resize::resize,
        instance::reclaim, instance::console_log, why::decisions, instance::change, permitted::operations, permitted::operate,
        image::add, image::content, image::list, image::show, image::share, image::unshare, image::delete,
        login::reset_password, login::replace_system_disk, conversion::convert, conversion::renew_instance, renewal::choose,
        address::list, address::allocate, address::bind, address::unbind, address::charge, address::release, address::send,
        security_group::list, security_group::show, security_group::create, security_group::allow, security_group::deny,
        security_group::delete, security_group::choose,
        disk::create, disk::list, disk::show, disk::attach, disk::detach, disk::resize, disk::change, disk::remove,
        snapshot::create, snapshot::list, snapshot::show, snapshot::change, snapshot::remove,
        voucher::issue, voucher::list, voucher::show, voucher::revoke,
        bill::bill, bill::events, explanation::show, adjustment::adjust, audit::show, cap::show, cap::set, cap::remove,
        budget::show, budget::set, budget::remove, forecast::show,
        drill::run, drill::list, drill::show, drill::schedule, drill::schedules, drill::unschedule,
        zone::list, zone::declare, zone::end, report::spot,
        host::list, host::show, host::told, host::accept_gap, host::destroy_guest, host::destroy_volume,
        lending::drain, lending::take_back, lending::resume, lending::calendar, lending::lost,
        lending::unplug, lending::plug, lending::return_file,
        subscription::add, subscription::list, subscription::show, subscription::delete, subscription::confirm,
        subscription::test, subscription::deliveries, subscription::unsubscribe,
        sandbox::clock, sandbox::accept, sandbox::advance,
    ),
    modifiers(&Security),
    security(("key" = []))
)]
pub struct Api;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        api.components.get_or_insert_default().add_security_scheme("key", SecurityScheme::Http(bearer));
    }
}

/// The document that is served and checked in.
pub fn openapi_json() -> String {
    let mut text = Api::openapi().to_pretty_json().expect("a document of plain values");
    text.push('\n');
    text
}

pub fn router(app: App) -> Router {
    Router::new()
        .route("/", get(async || axum::response::Redirect::temporary(DOCS)))
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi))
        .route(DOCS, get(async || Html(include_str!("routes/docs.html"))))
        .route("/v1/whoami", get(account::whoami))
        .route("/v1/accounts", post(account::open).get(account::list))
        .route("/v1/accounts/{id}", get(account::show))
        .route("/v1/accounts/{id}/verification", post(account::verify))
        .route("/v1/accounts/{id}/person", post(person::link).get(person::accounts))
        .route("/v1/accounts/{id}/evidence", post(person::report).get(person::sightings))
        .route("/v1/accounts/{id}/close", post(person::close))
        .route("/v1/accounts/{id}/trial/overrule", post(appeal::overrule))
        .route("/v1/accounts/{id}/trial/reject", post(appeal::reject))
        .route("/v1/accounts/{id}/trial/revoke", post(appeal::revoke))
        .route("/v1/accounts/{id}/top-ups", post(account::top_up))
        .route("/v1/accounts/{id}/keys", post(account::create_key).get(account::list_keys))
        .route("/v1/accounts/{id}/keys/{key}", delete(account::delete_key))
        .route("/v1/accounts/{id}/vouchers", post(voucher::issue))
        .route("/v1/vouchers", get(voucher::list))
        .route("/v1/vouchers/{id}", get(voucher::show))
        .route("/v1/vouchers/{id}/revoke", post(voucher::revoke))
        .route("/v1/balance", get(account::balance))
        .route("/v1/key-pairs", post(key_pair::add).get(key_pair::list))
        .route("/v1/key-pairs/{name}", delete(key_pair::delete))
        .route("/v1/trial", post(trial::claim).get(progress::show))
        .route("/v1/trial/at-end", post(progress::at_end))
        .route("/v1/trial/check", get(trial::check))
        .route("/v1/trial/appeals", post(appeal::make).get(appeal::list))
        .route("/v1/verification", post(person::prove))
        .route("/v1/verifications", post(person::verdict))
        .route("/v1/evidence-keys", post(person::rotate).get(person::keys))
        .route("/v1/catalog", get(catalog::show))
        .route("/v1/quote", post(catalog::quote))
        .route("/v1/offers", get(offer::list))
        .route("/v1/limits", get(offer::limits))
        .route("/v1/instances", post(purchase::buy).get(instance::list))
        .route("/v1/instances/{id}", get(instance::show).delete(instance::release))
        .route("/v1/instances/{id}/stop", post(instance::stop))
        .route("/v1/instances/{id}/start", post(instance::start))
        .route("/v1/instances/{id}/resize", post(resize::resize))
        .route("/v1/images", post(image::add).get(image::list))
        .route("/v1/images/{id}", get(image::show).delete(image::delete))
        .route("/v1/images/{id}/content", axum::routing::put(image::content))
        .route("/v1/images/{id}/share", post(image::share))
        .route("/v1/images/{id}/unshare", post(image::unshare))
        .route("/v1/instances/{id}/password", post(login::reset_password))
        .route("/v1/instances/{id}/system-disk", post(login::replace_system_disk))
        .route("/v1/instances/{id}/convert", post(conversion::convert))
        .route("/v1/instances/{id}/renew", post(conversion::renew_instance))
        .route("/v1/instances/{id}/renewal", post(renewal::choose))
        .route("/v1/instances/{id}/reclaim", post(instance::reclaim))
        .route("/v1/instances/{id}/change", post(instance::change))
        .route("/v1/instances/{id}/operations", get(permitted::operations))
        .route("/v1/instances/{id}/operations/{operation}", post(permitted::operate))
        .route("/v1/instances/{id}/console-log", get(instance::console_log))
        .route("/v1/instances/{id}/decisions", get(why::decisions))
        .route("/v1/instances/{id}/streams/{target}", get(stream::stream))
        .route("/v1/addresses", get(address::list).post(address::allocate))
        .route("/v1/addresses/{id}/bind", post(address::bind))
        .route("/v1/addresses/{id}/unbind", post(address::unbind))
        .route("/v1/addresses/{id}/charge", post(address::charge))
        .route("/v1/addresses/{id}", delete(address::release))
        .route("/v1/addresses/{id}/traffic", post(address::send))
        .route("/v1/security-groups", post(security_group::create).get(security_group::list))
        .route("/v1/security-groups/{group}", get(security_group::show).delete(security_group::delete))
        .route("/v1/security-groups/{group}/allow", post(security_group::allow))
        .route("/v1/security-groups/{group}/deny", post(security_group::deny))
        .route("/v1/instances/{id}/security-groups", post(security_group::choose))
        .route("/v1/disks", post(disk::create).get(disk::list))
        .route("/v1/disks/{id}", get(disk::show).delete(disk::remove))
        .route("/v1/disks/{id}/attach", post(disk::attach))
        .route("/v1/disks/{id}/detach", post(disk::detach))
        .route("/v1/disks/{id}/resize", post(disk::resize))
        .route("/v1/disks/{id}/change", post(disk::change))
        .route("/v1/snapshots", post(snapshot::create).get(snapshot::list))
        .route("/v1/snapshots/{id}", get(snapshot::show).delete(snapshot::remove))
        .route("/v1/snapshots/{id}/change", post(snapshot::change))
        .route("/v1/bills", get(bill::bill))
        .route("/v1/events", get(bill::events))
        .route("/v1/records/{id}/explanation", get(explanation::show))
        .route("/v1/records/{id}/adjustments", post(adjustment::adjust))
        .route("/v1/audit", get(audit::show))
        .route("/v1/forecast", get(forecast::show))
        .route("/v1/budget", get(budget::show).post(budget::set).delete(budget::remove))
        .route("/v1/cap", get(cap::show).post(cap::set).delete(cap::remove))
        .route("/v1/subscriptions", post(subscription::add).get(subscription::list))
        .route("/v1/subscriptions/{id}", get(subscription::show).delete(subscription::delete))
        .route("/v1/subscriptions/{id}/confirm", post(subscription::confirm))
        .route("/v1/subscriptions/{id}/test", post(subscription::test))
        .route("/v1/subscriptions/{id}/deliveries", get(subscription::deliveries))
        .route("/v1/subscriptions/{id}/unsubscribe", post(subscription::unsubscribe))
        .route("/v1/drills", post(drill::run).get(drill::list))
        .route("/v1/drills/{id}", get(drill::show))
        .route("/v1/drill-schedules", post(drill::schedule).get(drill::schedules))
        .route("/v1/drill-schedules/{id}", delete(drill::unschedule))
        .route("/v1/reports/spot", get(report::spot))
        .route("/v1/zones", get(zone::list))
        .route("/v1/zones/{zone}/shortage", post(zone::declare))
        .route("/v1/zones/{zone}/end-shortage", post(zone::end))
        .route("/v1/hosts", get(host::list))
        .route("/v1/hosts/{name}", get(host::show))
        .route("/v1/hosts/{name}/drain", post(lending::drain))
        .route("/v1/hosts/{name}/take-back", post(lending::take_back))
        .route("/v1/hosts/{name}/resume", post(lending::resume))
        .route("/v1/hosts/{name}/calendar", post(lending::calendar))
        .route("/v1/hosts/{name}/lost", post(lending::lost))
        .route("/v1/hosts/{name}/unplug", post(lending::unplug))
        .route("/v1/hosts/{name}/plug", post(lending::plug))
        .route("/v1/hosts/{name}/return-file", post(lending::return_file))
        .route("/v1/hosts/{name}/accept-gap", post(host::accept_gap))
        .route("/v1/hosts/{name}/guests/{id}", get(host::told))
        .route("/v1/hosts/{name}/guests/{id}/destroy", post(host::destroy_guest))
        .route("/v1/hosts/{name}/volumes/{id}/destroy", post(host::destroy_volume))
        .route("/v1/clock", get(sandbox::clock))
        .route("/v1/clock/accept", post(sandbox::accept))
        .route("/v1/clock/advance", post(sandbox::advance))
        .fallback(no_route)
        .method_not_allowed_fallback(no_route)
        .layer(from_fn_with_state(app.clone(), take_turn))
        .layer(from_fn_with_state(app.clone(), guest::speak))
        .layer(from_fn_with_state(app.clone(), account_for))
        .with_state(app)
}

async fn no_route(method: Method, uri: Uri) -> Denied {
    Denied::NoRoute { method: method.to_string(), path: uri.path().chars().take(80).collect(), docs: DOCS }
}

async fn health(State(app): State<App>) -> Result<&'static str, Denied> {
    app.store.rows(ebb_store::rows::token::installation()).await?;
    Ok("ok\n")
}

async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], app.metrics.render(app.store.counters()))
}

async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], openapi_json())
}

/// JSON that is text already, such as the kept answer to a client token.
fn json(status: StatusCode, text: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], text).into_response()
}

/// Counts an answer and gives it an id; a panic becomes a 500 that can be found in the log.
async fn account_for(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = uuid::Uuid::new_v4().simple().to_string();
    // Anybody can make up methods, and each would be counted for ever.
    let known = [Method::GET, Method::HEAD, Method::POST, Method::DELETE];
    let method = known.iter().find(|method| *method == request.method()).map_or("other", Method::as_str).to_owned();
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        tracing::error!(request_id = id, message, "a request panicked");
        app.metrics.panicked();
        Denied::Internal.into_response()
    });
    let is_ours =
        response.extensions().get::<Problem>().is_some() || response.extensions().get::<guest::Said>().is_some();
    if response.status() == StatusCode::BAD_REQUEST && !is_ours {
        response = refused_by_the_framework(response).await.into_response();
    }
    let status = response.status().as_u16();
    app.metrics.answered(method, path.unwrap_or_else(|| "none".to_owned()), status, started.elapsed());
    if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        tracing::debug!(request_id = id, status, code = problem.code, message = problem.message, "refused");
        problem.request_id = id.clone();
        *response.body_mut() = Body::from(serde_json::to_vec(&problem).expect("a problem of plain values"));
        response.headers_mut().remove("content-length");
    }
    response.headers_mut().insert("x-request-id", HeaderValue::from_str(&id).expect("hexadecimal digits"));
    response
}

/// A path or a query that was not understood, in the words of every other refusal.
async fn refused_by_the_framework(response: Response) -> Denied {
    let text = axum::body::to_bytes(response.into_body(), 4_096).await.unwrap_or_default();
    Denied::BadInput(String::from_utf8_lossy(&text).into_owned())
}

/// In a sandbox one request at a time changes something, and what it causes at this instant is done before it is answered.
async fn take_turn(State(app): State<App>, request: Request, next: Next) -> Response {
    if app.turn.is_none() || request.method() == Method::GET {
        return next.run(request).await;
    }
    // Whoever sends slowly has no turn yet. The bytes of an image are read as they come.
    let request = match request.method() == Method::PUT {
        true => request,
        false => {
            let (parts, body) = request.into_parts();
            match whole(body).await {
                Ok(bytes) => Request::from_parts(parts, Body::from(bytes)),
                Err(denied) => return denied.into_response(),
            }
        }
    };
    // And whoever hangs up does not end it half way: what the hosts said by then would be heard by nobody.
    match tokio::spawn(in_turn(app, request, next)).await {
        Ok(response) => response,
        Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
        Err(_) => Denied::Internal.into_response(),
    }
}

async fn in_turn(app: App, request: Request, next: Next) -> Response {
    let _turn = app.turn.as_ref().expect("a sandbox has turns").lock().await;
    let response = next.run(request).await;
    let done = async {
        app.run_until(app.clock.now()).await?;
        app.feed_fakes().await
    };
    if let Err(denied) = done.await {
        return denied.into_response();
    }
    // The clock may have come to where something is to be told.
    app.news.send_modify(|count| *count += 1);
    match app.keep_hosts().await {
        Ok(()) => response,
        Err(denied) => denied.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_request_is_a_500_that_can_be_found_and_is_counted() {
        let config = crate::SandboxConfig {
            listen: "127.0.0.1:0".parse().expect("an address"),
            catalog: crate::sample_catalog(),
            data: None,
            store: None,
            speed: 0,
            seed: 1,
            start: ebb_model::time::Timestamp::from_micros(0),
            hosts: 1,
            capacity: vec![Default::default()],
            behaviour: Default::default(),
            deliveries: Default::default(),
            verifier: Default::default(),
        };
        let (serving, _) = crate::sandbox(config).await.expect("a sandbox");
        let app = serving.app.clone();
        let router: Router = Router::new()
            .route("/panic", get(async || -> &'static str { panic!("on purpose") }))
            .layer(from_fn_with_state(app.clone(), account_for));
        let address = serving.listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(serving.listener, router).await });

        let answer = reqwest::get(format!("http://{address}/panic")).await.expect("an answer");
        assert_eq!(answer.status(), 500);
        let id = answer.headers()["x-request-id"].to_str().expect("text").to_owned();
        let problem: Problem = answer.json().await.expect("a problem");
        assert_eq!((problem.code.as_str(), problem.request_id), ("internal", id));
        assert!(!problem.message.contains("on purpose"), "what broke is for the log");
        assert!(app.metrics.render(app.store.counters()).contains("ebb_panics_total 1\n"));
    }
}
