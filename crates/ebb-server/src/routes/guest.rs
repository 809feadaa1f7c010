//! What would a guest of a sandbox read about itself? It is made of nothing, so whoever tests a program asks in its place.
//!
//! Either with the header `X-Ebb-Instance: ID` on any path of the six clouds, or below `/guest/ID/`, for programs that take a base
//! address only. Which cloud is meant is decided as for a real guest ([`ebb_wire::metadata::cloud`]), by `Host` and path; a base
//! address may also name it: `/guest/ID/tencent/`. Only from this machine; a real service has none of this.

use crate::app::App;
use crate::denied::Denied;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ebb_driver::agent::Guest;
use ebb_driver::protocol::Is;
use ebb_model::id::InstanceId;
use ebb_model::time::Timestamp;
use ebb_wire::metadata::cloud::Cloud;
use ebb_wire::metadata::{self, Answer, Effect, End, Reply, Visible, Wait};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

const INSTANCE: &str = "x-ebb-instance";
const BODY_BYTES: usize = 4 << 10;
/// How often a question that waits looks whether something has changed.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// No question waits longer on a clock that stands still; the sandbox could not end meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Marks an answer that is a guest's, whatever its status.
#[derive(Clone, Copy)]
pub(super) struct Said;

/// A guest's question.
#[derive(Clone)]
struct Question {
    guest: InstanceId,
    cloud: Option<Cloud>,
    method: Method,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

/// Answers in a guest's place; everything else goes on to the API.
pub(super) async fn speak(State(app): State<App>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let from_here = peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback());
    let asked = if app.is_sandbox() && from_here { addressed(&request) } else { None };
    let Some((guest, cloud, path)) = asked else { return next.run(request).await };
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES).await else { return Denied::TooLarge.into_response() };
    let text = |value: &axum::http::HeaderValue| value.to_str().map(str::to_owned).ok();
    let headers = parts.headers.iter().filter_map(|(name, value)| Some((name.to_string(), text(value)?))).collect();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let question = Question { guest, cloud, method: parts.method, path, query, headers, body };
    match answer(app, question).await {
        Ok(answer) => said(answer),
        Err(denied) => denied.into_response(),
    }
}

/// Whom a request is for, in whose form, and the path as that guest would ask it.
fn addressed(request: &Request) -> Option<(InstanceId, Option<Cloud>, String)> {
    let path = request.uri().path();
    let Some(below) = path.strip_prefix("/guest/") else {
        let guest = request.headers().get(INSTANCE)?.to_str().ok()?.parse().ok()?;
        return Some((guest, None, path.to_owned()));
    };
    let (guest, rest) = below.split_once('/').unwrap_or((below, ""));
    let (first, after) = rest.split_once('/').unwrap_or((rest, ""));
    let cloud = Cloud::named(first);
    let rest = if cloud.is_some() { after } else { rest };
    Some((guest.parse().ok()?, cloud, format!("/{rest}")))
}

async fn answer(app: App, question: Question) -> Result<Answer, Denied> {
    let mut waiting: Option<Wait> = None;
    let mut ends_at = Instant::now() + LONGEST_WAIT;
    loop {
        // A turn that has begun is ended, also when whoever asked hangs up.
        let turn = tokio::spawn(take_turn(app.clone(), question.clone(), waiting));
        let reply = turn.await.unwrap_or_else(|ended| match ended.is_panic() {
            true => std::panic::resume_unwind(ended.into_panic()),
            false => Err(Denied::Internal),
        });
        let mut wait = match reply? {
            Reply::Now(answer) => return Ok(answer),
            Reply::Wait(wait) => wait,
        };
        let now = app.clock.now();
        if waiting.is_none() {
            let micros = u64::try_from(wait.until.micros() - now.micros()).unwrap_or(0);
            ends_at = ends_at.min(Instant::now() + Duration::from_micros(micros));
        }
        tokio::time::sleep(LOOK_EVERY).await;
        // Whoever waits does so by a clock that goes, whatever the sandbox's does.
        if ends_at <= Instant::now() {
            wait.until = now;
        }
        waiting = Some(wait);
    }
}

/// Asks the guest's host, as a guest does, and carries out what comes of it at this instant.
async fn take_turn(app: App, question: Question, waiting: Option<Wait>) -> Result<Reply, Denied> {
    let _turn = app.turn.as_ref().expect("a sandbox has turns").lock().await;
    let now = app.clock.now();
    let id = question.guest;
    let mut fakes = app.hosts.fakes.lock().await;
    let found = fakes.iter_mut().find_map(|fake| Some((fake.host.guest(id)?.clone(), fake)));
    let Some((guest, fake)) = found.filter(|(guest, _)| matches!(guest.observed.is, Is::Running { .. })) else {
        return Err(Denied::not_found("running instance", id));
    };
    let reply = reply(&guest, &question, app.installation.id.as_bytes(), waiting, now);
    let heard = match &reply {
        Reply::Now(Answer { effect: Effect::NoticeRead, .. }) => fake.host.notice_read(id, now),
        Reply::Now(Answer { effect: Effect::Approved, .. }) => fake.host.approve(id, now),
        Reply::Now(_) | Reply::Wait(_) => vec![],
    };
    let from = fake.greeted.map(|greeted| greeted.id);
    let Some(from) = from.filter(|_| !heard.is_empty()) else { return Ok(reply) };
    // Like any host it writes down what it did before it says a word about it.
    app.write_down(&fakes)?;
    drop(fakes);
    for message in heard {
        app.hear(from, message).await?;
    }
    app.run_until(app.clock.now()).await?;
    app.keep_hosts().await?;
    Ok(reply)
}

fn reply(guest: &Guest, question: &Question, secret: &[u8], waiting: Option<Wait>, now: Timestamp) -> Reply {
    let about = &guest.desired.metadata;
    let visible = Visible {
        instance: guest.desired.id,
        name: &about.name,
        hostname: &about.hostname,
        region: &about.region,
        zone: &about.zone,
        flavor: &about.flavor,
        image: &guest.desired.spec.image,
        network: None,
        public_keys: &about.public_keys,
        user_data: about.user_data.as_deref(),
        password_hash: about.password_hash.as_deref(),
        tokens_required: false,
        end: guest.desired.end.map(|end| End { notice_at: end.notice_at, at: end.at }),
    };
    let headers: Vec<(&str, &str)> = question.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let request = metadata::Request {
        method: question.method.as_str(),
        path: &question.path,
        query: &question.query,
        headers: &headers,
        body: &question.body,
        cloud: question.cloud,
        waiting,
    };
    metadata::answer(&visible, &request, secret, now)
}

fn said(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).expect("a status of our own");
    response.headers_mut().insert(CONTENT_TYPE, answer.content_type.parse().expect("a value of our own"));
    for (name, value) in answer.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header of our own");
        response.headers_mut().insert(name, value.parse().expect("a value of our own"));
    }
    response.extensions_mut().insert(Said);
    response
}
