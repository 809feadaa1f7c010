//! What may be done with an instance now, and which rule stands against the rest? (rules §2.7)

use super::instance::find;
use crate::app::App;
use crate::arrears;
use crate::call::{Call, Principal};
use crate::denied::Denied;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use ebb_engine::operation::{Operation, permit};
use ebb_engine::refusal::Refused;
use ebb_model::instance::Instance;
use ebb_store::rows::account;
use ebb_wire::instance as wire;
use ebb_wire::problem::{Page, Problem};

/// What could be done with an instance now, and which rule stands against the rest.
#[utoipa::path(get, path = "/v1/instances/{id}/operations", tag = "instance", operation_id = "list_operations", params(("id" = String, Path)),
    responses((status = 200, body = Page<wire::Permitted>), (status = 404, body = Problem)))]
pub async fn operations(
    State(app): State<App>,
    who: Principal,
    Path(id): Path<String>,
) -> Result<Json<Page<wire::Permitted>>, Denied> {
    let known = find(&app, &who, &id).await?;
    let frozen = frozen(&app, &known).await?;
    let items = Operation::ALL.iter().map(|operation| {
        let refused = frozen.clone().map_or_else(|| permit(&known, *operation), Err);
        let (code, message) = match (&refused, operation.request()) {
            (Ok(()), Some(request)) => (String::new(), format!("ask for it by {request}")),
            _ => {
                let refused = frozen.clone().unwrap_or_else(|| against(&known, *operation));
                (refused.code().to_owned(), refused.to_string())
            }
        };
        wire::Permitted { operation: operation.name().to_owned(), allowed: refused.is_ok(), code, message }
    });
    Ok(Json(Page { items: items.collect(), next: None }))
}

/// Asks for one of them. The rules come first; what they allow and nobody built yet is not offered.
#[utoipa::path(post, path = "/v1/instances/{id}/operations/{operation}", tag = "instance", operation_id = "ask_operation",
    params(("id" = String, Path), ("operation" = String, Path)),
    responses((status = 404, body = Problem), (status = 409, body = Problem), (status = 501, body = Problem)))]
pub async fn operate(
    State(app): State<App>,
    Path((id, name)): Path<(String, String)>,
    call: Call<Option<()>>,
) -> Result<Response, Denied> {
    let known = find(&app, &call.principal, &id).await?;
    call.principal.member()?;
    let operation = Operation::ALL.into_iter().find(|operation| operation.name() == name);
    let operation = operation.ok_or_else(|| Denied::not_found("operation", &name))?;
    if let Some(refused) = frozen(&app, &known).await? {
        return Err(refused.into());
    }
    if let (Ok(()), Some(request)) = (permit(&known, operation), operation.request()) {
        return Err(Denied::BadInput(format!("{name}: it has a request of its own; ask for it by {request}")));
    }
    Err(against(&known, operation).into())
}

/// The rule that stands against it; what the rules allow is not offered yet.
fn against(known: &Instance, operation: Operation) -> Refused {
    permit(known, operation).err().unwrap_or(Refused::NotOffered(operation.name()))
}

/// Of a frozen account nothing is permitted.
async fn frozen(app: &App, known: &Instance) -> Result<Option<Refused>, Denied> {
    let id = known.account;
    let refused = app.store.read(move |reads| async move {
        match reads.row(account::by_id(id)).await? {
            Some(row) => arrears::frozen(&reads, &account::read(&row)).await,
            None => Ok(None),
        }
    });
    Ok(refused.await?)
}
