//! Why had these blocks to go, and what was decided for this order? (rules §2.5)

use super::instance::find;
use crate::app::App;
use crate::call::{Principal, Role};
use crate::denied::Denied;
use axum::Json;
use axum::extract::{Path, State};
use ebb_engine::placement::HostPlan;
use ebb_engine::why::{Part, why};
use ebb_model::instance::Cause;
use ebb_store::rows::decision::{self, Decided};
use ebb_wire::instance as wire;
use ebb_wire::problem::{Page, Problem};

/// Why this instance had to go, and why others had to go for it. An owner is told without anybody's name.
#[utoipa::path(get, path = "/v1/instances/{id}/decisions", tag = "instance", operation_id = "list_decisions", params(("id" = String, Path)),
    responses((status = 200, body = Page<wire::Decided>), (status = 404, body = Problem)))]
pub async fn decisions(
    State(app): State<App>,
    who: Principal,
    Path(id): Path<String>,
) -> Result<Json<Page<wire::Decided>>, Denied> {
    let known = find(&app, &who, &id).await?;
    let operator = who.role == Role::Operator;
    let items = app.store.read(move |reads| async move {
        let mut items = vec![];
        for row in reads.rows(decision::about_victim(known.id)).await? {
            let decided = decision::read(&row);
            let (rank, candidates) = (row.int("rank"), row.int("candidates"));
            items.push(told(&decided, Part::Taken { rank, candidates, own: decision::read_own(&row) }, operator));
        }
        let took = reads.rows(decision::for_order(known.id)).await?;
        items.extend(took.iter().map(|row| told(&decision::read(row), Part::Took, operator)));
        Ok(items)
    });
    Ok(Json(Page { items: items.await?, next: None }))
}

/// A decision as one may hear it.
fn told(decided: &Decided, part: Part, operator: bool) -> wire::Decided {
    let plan = &decided.decision;
    // For an order the best host was chosen, else all of them.
    let chosen =
        if decided.cause == Cause::Capacity { &plan.hosts[..plan.hosts.len().min(1)] } else { &plan.hosts[..] };
    let count = |of: fn(&HostPlan) -> usize| chosen.iter().map(of).sum::<usize>() as i64;
    let (name, cause, rank, candidates) = match part {
        Part::Took => ("took", decided.cause, None, count(|plan| plan.candidates_there)),
        Part::Taken { rank, candidates, own } => {
            ("taken", if own { Cause::OwnOrder } else { decided.cause }, Some(rank), candidates)
        }
    };
    wire::Decided {
        id: decided.id.to_string(),
        at: decided.at.to_string(),
        deadline: plan.deadline.to_string(),
        zone: decided.zone.clone(),
        cause: cause.name().to_owned(),
        part: name.to_owned(),
        demand: plan.demand.iter().map(|(kind, amount)| (kind.to_owned(), amount)).collect(),
        candidates,
        rank,
        victims: count(|plan| plan.victims.len()),
        put_back: count(|plan| plan.put_back.len()),
        why: why(plan, decided.cause, part),
        order: decided.order.filter(|_| operator).map(|order| order.to_string()),
        hosts: operator.then(|| serde_json::to_value(&plan.hosts).expect("a decision of plain values")),
    }
}
