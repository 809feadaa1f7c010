//! Does a subscription renew itself at its end? Its owner says so, and for how many months (rules §4.3).

use super::conversion::up_to_now;
use super::instance::{find, key_name, shown};
use super::json;
use crate::app::App;
use crate::arrears;
use crate::call::Call;
use crate::denied::Denied;
use crate::unit::refuse;
use crate::voucher::{Funds, region_of};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::funds::Need;
use ebb_engine::monthly::renews;
use ebb_engine::renewal;
use ebb_store::rows::instance;
use ebb_wire::instance as wire;
use ebb_wire::problem::Problem;

/// Has a subscription renew itself: in the second of its end so many further months are paid from the balance at the price of that second.
/// Where the money is not there it ends as it would otherwise, and its owner is told.
#[utoipa::path(post, path = "/v1/instances/{id}/renewal", tag = "instance", operation_id = "choose_renewal", params(("id" = String, Path)),
    request_body = wire::ChooseRenewal, responses((status = 200, body = wire::Renewal), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn choose(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::ChooseRenewal>,
) -> Result<Response, Denied> {
    let known = find(&app, &call.principal, &id).await?;
    call.principal.owner()?;
    let months = match call.body {
        wire::ChooseRenewal { auto: true, months } => Some(months.unwrap_or(1)),
        wire::ChooseRenewal { auto: false, months: None } => None,
        wire::ChooseRenewal { auto: false, .. } => {
            let why = "months: they belong to a subscription that renews itself; without `auto` it just ends";
            return Err(Denied::BadInput(why.to_owned()));
        }
    };
    app.zones_loaded().await?;
    let answer = call.once(&app, "renewal", known.account, move |mut unit| async move {
        let found = unit.instance(known.id).await?;
        arrears::permit(&mut unit, known.account).await?;
        let before = up_to_now(&mut unit, found).await?;
        let step = match renewal::choose(&unit.app.catalog, &before, months, unit.now) {
            Ok(step) => step,
            Err(refused) => return refuse(refused),
        };
        let after = unit.follow(&before, step).await?.unwrap_or(before);
        let pays = renews(&after).is_some() && after.paid_until().is_some();
        let payment = pays.then(|| renewal::next(&unit.app.catalog, &after).ok()).flatten().map(|(_, paid)| paid);
        let seen = unit.reads.row(instance::by_id(known.id)).await?.map(|row| instance::read_seen(&row));
        let key = key_name(&unit.reads, &after).await?;
        let account = unit.account(after.account).await?.clone();
        let (app, now) = (unit.app.clone(), unit.now.second());
        let funds = Funds::read(&app, &unit.reads, &account, now).await?;
        let available = match &payment {
            Some(paid) => funds.available(&Need::months(&after.flavor, region_of(&app, &after), paid.total(), now)),
            None => funds.unbound(),
        };
        let answer = wire::Renewal {
            available: available.to_string(),
            currency: unit.app.catalog.currency.clone(),
            payment: payment.map(|paid| super::conversion::payment(&paid)),
            instance: shown(&after, &seen.unwrap_or_default(), None, key),
        };
        Ok(unit.done(answer))
    });
    Ok(json(StatusCode::OK, answer.await?))
}
