//! How does an instance come to be of another flavor, and what does that change? (rules §3.5)

use super::instance::{find, key_name, shown, with_address};
use super::json;
use crate::app::App;
use crate::arrears;
use crate::call::{Call, Role};
use crate::cap;
use crate::denied::Denied;
use crate::room::room_to_grow;
use crate::unit::{Outcome, Unit, refuse};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::operation::{Operation, permit};
use ebb_engine::outlays;
use ebb_engine::price::tariff;
use ebb_engine::refusal::Refused;
use ebb_engine::resize::size;
use ebb_engine::trial;
use ebb_model::billing::Meter;
use ebb_model::instance::{Instance, Purchase, State as Life};
use ebb_model::money::{Amount, Price};
use ebb_model::trial::TrialGrant;
use ebb_store::Decision;
use ebb_store::rows::{account, instance};
use ebb_wire::instance as wire;
use ebb_wire::problem::Problem;
use std::sync::Arc;

/// Gives a stopped instance another flavor, at that flavor's price from this second on. The answer says what a trial's grant does not
/// pay of it.
#[utoipa::path(post, path = "/v1/instances/{id}/resize", tag = "instance", operation_id = "resize_instance", params(("id" = String, Path)),
    request_body = wire::Resize, responses((status = 200, body = wire::Resized), (status = 402, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn resize(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::Resize>,
) -> Result<Response, Denied> {
    let known = find(&app, &call.principal, &id).await?;
    if call.principal.role != Role::Operator {
        call.principal.member()?;
    }
    app.zones_loaded().await?;
    let wanted = Arc::new(call.body.clone());
    let answer = call.once(&app, "resize", known.account, move |mut unit| {
        let wanted = wanted.clone();
        async move {
            let before = unit.instance(known.id).await?;
            arrears::permit(&mut unit, known.account).await?;
            let debt = unit.account(known.account).await?.purse.debt;
            permit(&before, Operation::Resize).map_err(Denied::from)?;
            if debt > Amount::ZERO {
                return refuse(Refused::Arrears(debt));
            }
            let grant = unit.reads.row(account::grant(before.account)).await?.map(|row| account::read_grant(&row));
            let holder = grant.as_ref().map(|grant| grant.holder);
            let app = unit.app.clone();
            let to =
                size(&unit.app.catalog, &before, &wanted.flavor, holder, unit.now.second()).map_err(Denied::from)?;
            if before.state == Life::Stopped {
                room_to_grow(&mut unit, &before, &to.resources).await?;
            }
            let after = unit.resize(&before, &to).await?;
            cap::permit(&mut unit, known.account, |spending, now| {
                let leaves_list = to.disk_covered_anew && !trial::is_listed(&app.catalog, holder, &after);
                let (was, is) = (tariff(&app.catalog, &before), tariff(&app.catalog, &after));
                let more = match leaves_list {
                    true => is.compute.prices,
                    false => is.compute.prices.minus(&was.compute.prices),
                };
                if before.in_use_since.is_some() && more.at(now) > Price::default() {
                    outlays::cost_more(spending, Meter::Compute, more, now);
                }
                if leaves_list {
                    outlays::cost_more(spending, Meter::SystemDisk, is.disk.prices, now);
                }
            })
            .await?;
            let seen = unit.reads.row(instance::by_id(known.id)).await?.map(|row| instance::read_seen(&row));
            let key = key_name(&unit.reads, &after).await?;
            let answer = wire::Resized {
                trial: match (&grant, after.purchase) {
                    (Some(grant), Purchase::Trial { .. }) => Some(trial_share(&unit, grant, &after).await?),
                    _ => None,
                },
                price_before: before.purchase.price().to_string(),
                instance: with_address(&unit.reads, shown(&after, &seen.unwrap_or_default(), None, key), after.id)
                    .await?,
            };
            Ok(if wanted.quote { Decision::unchanged(answer) } else { unit.done(answer) })
        }
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// What of an hour of the account's trial instances the grant pays, and what not, if all of them ran (rules §3.5).
async fn trial_share(unit: &Unit, grant: &TrialGrant, resized: &Instance) -> Outcome<wire::TrialShare> {
    let live = unit.reads.rows(instance::live_of_account(resized.account)).await?;
    let as_it_will_be = |one: Instance| if one.id == resized.id { resized.clone() } else { one };
    let all: Vec<Instance> = live.iter().map(instance::read).map(as_it_will_be).collect();
    let share = trial::share(&unit.app.catalog, grant, &all, unit.now.second());
    let is_covered = trial::covers(&unit.app.catalog, grant, resized, unit.now.second());
    Ok(wire::TrialShare {
        covered: is_covered,
        hourly_cap: grant.hourly_cap.to_string(),
        covered_per_hour: share.covered.to_string(),
        above_cap_per_hour: share.above_cap.to_string(),
        uncovered_per_hour: share.uncovered.to_string(),
    })
}
