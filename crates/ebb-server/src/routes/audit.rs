//! The audit: everything is added up again.

use crate::app::App;
use crate::call::Principal;
use crate::denied::Denied;
use axum::Json;
use axum::extract::{Query, State};
use ebb_wire::audit as wire;
use ebb_wire::problem::Problem;
use serde::Deserialize;

/// So many findings fit into one answer.
const MOST: usize = 1_000;

#[derive(Deserialize, utoipa::IntoParams)]
pub struct Ask {
    /// All that differs, up to 1000, and not the first thing alone.
    #[serde(default)]
    all: bool,
    /// operator: whose; everybody's, with hosts and the ledger, if not given
    #[serde(rename = "account")]
    _account: Option<String>,
}

/// Adds up again all that is stored of an account: spans, records, entries, totals, holds, the grant, adjustments; for an operator also of
/// all accounts, with the room of hosts and the ledger as a whole. Names what differs. It may take long, and hinders nobody meanwhile.
#[utoipa::path(get, path = "/v1/audit", operation_id = "audit", params(Ask),
    responses((status = 200, body = wire::Audit), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn show(State(app): State<App>, who: Principal, Query(ask): Query<Ask>) -> Result<Json<wire::Audit>, Denied> {
    let as_of = app.clock.now().second();
    if let Some(id) = who.account
        && app.store.rows(ebb_store::rows::account::by_id(id)).await?.is_empty()
    {
        return Err(Denied::not_found("account", id));
    }
    // Only an operator's key belongs to no account.
    let audited = app.audit(who.account, if ask.all { MOST } else { 1 }).await?;
    let (counts, found) = (audited.counts, audited.found);
    for finding in &found.findings {
        tracing::error!(check = finding.check.name(), %finding, "the audit found a difference");
    }
    Ok(Json(wire::Audit {
        agrees: found.is_empty(),
        added_up: counts.words(),
        counts: counts.all().into_iter().map(|(name, number)| (name.to_owned(), number)).collect(),
        findings: found
            .findings
            .into_iter()
            .map(|one| wire::Finding {
                check: one.check.name().to_owned(),
                account: one.account.map(|id| id.to_string()),
                row: one.row,
                stored: one.stored,
                comes_to: one.comes_to,
                rule: one.check.rule().to_owned(),
            })
            .collect(),
        found: found.count,
        as_of: as_of.to_string(),
    }))
}
