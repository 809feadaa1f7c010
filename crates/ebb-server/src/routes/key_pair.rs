//! SSH public keys that instances are bought with.

use super::json;
use crate::app::App;
use crate::call::{Call, Principal, checked_name};
use crate::denied::Denied;
use crate::unit::refuse;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_model::id::KeyPairId;
use ebb_store::rows::account;
use ebb_wire::account as wire;
use ebb_wire::problem::{Page, Problem};

/// Adds an SSH public key that instances can be bought with.
#[utoipa::path(post, path = "/v1/key-pairs", operation_id = "add_key_pair", request_body = wire::AddKeyPair,
    responses((status = 201, body = wire::KeyPair), (status = 409, body = Problem)))]
pub async fn add(State(app): State<App>, call: Call<wire::AddKeyPair>) -> Result<Response, Denied> {
    let id = call.principal.member()?;
    let name = checked_name("name", &call.body.name)?;
    let public_key = checked_public_key(&call.body.public_key)?;
    let answer = call.once(&app, "add-key-pair", id, move |mut unit| {
        let (name, public_key) = (name.clone(), public_key.clone());
        async move {
            if unit.reads.row(account::key_pair_named(id, &name)).await?.is_some() {
                return refuse(Denied::Conflict(format!("a key pair named `{name}` exists; choose another name")));
            }
            let pair_id = KeyPairId::new(unit.app.mint.uuid(unit.now));
            let pair = account::KeyPair { id: pair_id, account: id, name, public_key, created_at: unit.now };
            unit.write(account::insert_key_pair(&pair));
            Ok(unit.done(shown_pair(pair)))
        }
    });
    Ok(json(StatusCode::CREATED, answer.await?))
}

/// The account's key pairs.
#[utoipa::path(get, path = "/v1/key-pairs", operation_id = "list_key_pairs", responses((status = 200, body = Page<wire::KeyPair>)))]
pub async fn list(State(app): State<App>, who: Principal) -> Result<Json<Page<wire::KeyPair>>, Denied> {
    let rows = app.store.rows(account::key_pairs(who.account()?)).await?;
    let items = rows.iter().map(account::read_key_pair).map(shown_pair).collect();
    Ok(Json(Page { items, next: None }))
}

/// Removes a key pair that no instance was bought with.
#[utoipa::path(delete, path = "/v1/key-pairs/{name}", operation_id = "delete_key_pair", params(("name" = String, Path)),
    responses((status = 200), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn delete(
    State(app): State<App>,
    Path(name): Path<String>,
    call: Call<Option<()>>,
) -> Result<Response, Denied> {
    let id = call.principal.member()?;
    let answer = call.once(&app, "delete-key-pair", id, move |mut unit| {
        let name = name.clone();
        async move {
            let Some(row) = unit.reads.row(account::key_pair_named(id, &name)).await? else {
                return refuse(Denied::not_found("key pair", &name));
            };
            let pair = account::read_key_pair(&row);
            if unit.reads.row(account::key_pair_in_use(pair.id)).await?.is_some() {
                return refuse(Denied::Conflict(format!("an instance was bought with `{name}`; it stays on record")));
            }
            unit.guard(account::delete_key_pair(id, &name));
            Ok(unit.done(serde_json::json!({})))
        }
    });
    Ok(json(StatusCode::OK, answer.await?))
}

fn shown_pair(pair: account::KeyPair) -> wire::KeyPair {
    wire::KeyPair {
        id: pair.id.to_string(),
        name: pair.name,
        public_key: pair.public_key,
        created_at: pair.created_at.to_string(),
    }
}

/// One line: a known type, base64, perhaps a comment.
fn checked_public_key(text: &str) -> Result<String, Denied> {
    let text = text.trim();
    let mut parts = text.splitn(3, ' ');
    let (kind, data) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let known = ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"];
    let base64 = data.len() >= 60 && data.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
    if known.contains(&kind) && base64 && text.len() <= 4_096 && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    let what = "public_key: one line of an OpenSSH public key file, such as `ssh-ed25519 AAAA… name`";
    Err(Denied::BadInput(what.to_owned()))
}
