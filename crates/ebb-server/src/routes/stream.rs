//! The bytes of a guest: its serial console or its ssh port, over an upgraded connection.

use super::instance::find;
use crate::app::App;
use crate::call::{Principal, Role};
use crate::denied::Denied;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use ebb_driver::link;
use ebb_driver::protocol::{Open, Target};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

const PROTOCOL: &str = "ebb-stream";

/// `Upgrade: ebb-stream`; after the 101 the connection is the guest's bytes.
pub async fn stream(
    State(app): State<App>,
    who: Principal,
    Path((id, target)): Path<(String, String)>,
    mut request: Request,
) -> Result<Response, Denied> {
    let known = find(&app, &who, &id).await?;
    if who.role == Role::Auditor {
        return Err(Denied::Role { needed: "owner or member", has: who.role.name() });
    }
    let target = match target.as_str() {
        "console" => Target::Console,
        "ssh" => Target::Port(22),
        _ => return Err(Denied::not_found("stream (it is console or ssh)", target)),
    };
    let asked = request.headers().get(UPGRADE).is_some_and(|value| value.as_bytes() == PROTOCOL.as_bytes());
    if !asked {
        return Err(Denied::BadInput(format!("send `Connection: Upgrade` and `Upgrade: {PROTOCOL}`")));
    }
    if app.is_sandbox() {
        return Err(Denied::Conflict("a sandbox's guests are made of nothing: there is nothing to enter".to_owned()));
    }
    let link = app.link(known.host)?;
    let open = Open::Stream { installation: app.installation.id, guest: known.id, target };
    let mut guest = link::stream(&link.socket, &open).await.map_err(|error| Denied::HostAway(error.to_string()))?;
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(client) = upgrade.await {
            let _ = copy_bidirectional(&mut TokioIo::new(client), &mut guest).await;
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    Ok(response)
}
