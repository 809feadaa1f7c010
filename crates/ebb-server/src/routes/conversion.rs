//! How is an instance sold otherwise, or a subscription renewed? (rules §4.3) By the account's owner, and at the price that was quoted.

use super::instance::{find, key_name, shown};
use super::json;
use crate::app::App;
use crate::arrears;
use crate::call::Call;
use crate::cap;
use crate::denied::Denied;
use crate::trial::outlook;
use crate::unit::{Outcome, Unit, refuse};
use crate::voucher::{Funds, region_of};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::conversion::{Payer, renew, to_on_demand, to_subscription};
use ebb_engine::funds::Need;
use ebb_engine::lifecycle::{Effect, Input, Step};
use ebb_engine::monthly;
use ebb_engine::operation::{Operation, permit};
use ebb_engine::outlays;
use ebb_engine::trial::ended;
use ebb_model::instance::{Instance, Purchase};
use ebb_model::money::{Amount, Price};
use ebb_model::time::{HOUR, Second};
use ebb_store::Decision;
use ebb_store::rows::instance;
use ebb_wire::instance as wire;
use ebb_wire::problem::Problem;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum To {
    OnDemand,
    Subscription { months: i64, expected: Option<Price> },
    Renewed { months: i64, expected: Option<Price> },
}

/// Sells an instance otherwise from this second on: a trial instance on demand at the price that it has, or a trial or on-demand
/// instance by the month, paid in advance from the balance. With `quote` it says only what that would be.
#[utoipa::path(post, path = "/v1/instances/{id}/convert", tag = "instance", operation_id = "convert_instance", params(("id" = String, Path)),
    request_body = wire::Convert, responses((status = 200, body = wire::Converted), (status = 402, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn convert(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::Convert>,
) -> Result<Response, Denied> {
    let body = &call.body;
    let to = match (body.to.as_str(), body.months) {
        ("on-demand", None) if body.expected_price.is_none() => To::OnDemand,
        ("on-demand", _) => {
            let why = "`months` and `expected_price` belong to a subscription; on demand it keeps its price";
            return Err(Denied::BadInput(why.to_owned()));
        }
        ("subscription", Some(months)) => To::Subscription { months, expected: price(body.expected_price.as_ref())? },
        ("subscription", None) => {
            return Err(Denied::BadInput("months: say for how many months a subscription is paid".to_owned()));
        }
        _ => return Err(Denied::BadInput("to: it is on-demand or subscription".to_owned())),
    };
    let quote = body.quote;
    carry_out(app, call, id, to, quote).await
}

/// Pays a subscription for more months: after those that it has, or, when it has ended and is kept, from this second on.
#[utoipa::path(post, path = "/v1/instances/{id}/renew", tag = "instance", operation_id = "renew_instance", params(("id" = String, Path)),
    request_body = wire::Renew, responses((status = 200, body = wire::Converted), (status = 402, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn renew_instance(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::Renew>,
) -> Result<Response, Denied> {
    let to = To::Renewed { months: call.body.months, expected: price(call.body.expected_price.as_ref())? };
    let quote = call.body.quote;
    carry_out(app, call, id, to, quote).await
}

fn price(expected: Option<&String>) -> Result<Option<Price>, Denied> {
    let read = |text: &String| text.parse().map_err(|error| Denied::BadInput(format!("expected_price: {error}")));
    expected.map(read).transpose()
}

async fn carry_out<T>(app: App, call: Call<T>, id: String, to: To, quote: bool) -> Result<Response, Denied> {
    let known = find(&app, &call.principal, &id).await?;
    call.principal.owner()?;
    app.zones_loaded().await?;
    let name = if matches!(to, To::Renewed { .. }) { "renew" } else { "convert" };
    let answer = call.once(&app, name, known.account, move |mut unit| async move {
        let found = unit.instance(known.id).await?;
        arrears::permit(&mut unit, known.account).await?;
        let before = up_to_now(&mut unit, found).await?;
        let account = unit.account(before.account).await?.clone();
        let funds = Funds::read(&unit.app.clone(), &unit.reads, &account, unit.now.second()).await?;
        let (step, payment) = decide(&mut unit, &before, to, &funds).await?;
        let month = unit.app.catalog.time_zone.month(unit.now.second());
        cap::permit(&mut unit, before.account, |spending, now| match payment {
            Some(paid) => outlays::pay_ahead(spending, &before, month, paid.total(), now),
            None => outlays::leave_trial(spending, &before, now),
        })
        .await?;
        let hold = held(&step);
        let after = unit.follow(&before, step).await?.expect("another way to pay is a change");
        if let Purchase::Trial { .. } = before.purchase {
            unit.look_after_trial(before.account);
        }
        let seen = unit.reads.row(instance::by_id(known.id)).await?.map(|row| instance::read_seen(&row));
        let key = key_name(&unit.reads, &after).await?;
        let account = unit.account(before.account).await?.clone();
        let mut held = funds.held.clone();
        match payment {
            Some(_) => held.retain(|(about, _)| *about != before.id),
            None if hold > Amount::ZERO => held.push((before.id, on_demand(&unit.app, &before, unit.now.second()))),
            None => {}
        }
        let funds = funds.after(&account, unit.vouchers(before.account).await?.clone(), held);
        let answer = wire::Converted {
            available: funds.unbound().to_string(),
            from: before.purchase.option().to_owned(),
            currency: unit.app.catalog.currency.clone(),
            payment: payment.as_ref().map(self::payment),
            hold: hold.to_string(),
            instance: shown(&after, &seen.unwrap_or_default(), None, key),
        };
        Ok(if quote { Decision::unchanged(answer) } else { unit.done(answer) })
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// Months that are paid, as the API says them.
pub fn payment(paid: &monthly::Payment) -> wire::Payment {
    wire::Payment {
        months: paid.months,
        price: paid.price.to_string(),
        amount: paid.total().to_string(),
        since: paid.period.since.to_string(),
        until: paid.period.until.to_string(),
    }
}

/// What a subscription had due before this instant comes first, however late it is carried out.
pub async fn up_to_now(unit: &mut Unit, mut about: Instance) -> Outcome<Instance> {
    while monthly::is_due(&about, unit.now, &unit.app.catalog.limits) {
        about = unit.step(&about.clone(), Input::Due).await?;
    }
    Ok(about)
}

/// What an hour on demand needs of a trial instance that leaves the trial.
fn on_demand(app: &App, before: &Instance, now: Second) -> Need {
    let amount = (before.purchase.price() + before.disk_price).charge(HOUR).posted();
    Need::held(before, region_of(app, before), amount, now)
}

async fn decide(
    unit: &mut Unit,
    before: &Instance,
    to: To,
    funds: &Funds,
) -> Outcome<(Step, Option<monthly::Payment>)> {
    let (app, now) = (unit.app.clone(), unit.now.second());
    if let Purchase::Trial { .. } = before.purchase {
        // What waits to become of it counts from the end of its trial on.
        let account = unit.account(before.account).await?.clone();
        let seen = outlook(&app, &unit.reads, &account, now).await?;
        if let Some(over) = seen.and_then(|seen| seen.over(now)) {
            return refuse(ended(over));
        }
    }
    // Of two that spend the same money one sees the other.
    let account = unit.change_account(before.account).await?;
    let debt = account.purse.debt;
    let payer = |need: &Need| Payer { debt, available: funds.available(need) };
    let of_months =
        |paid: &monthly::Payment| payer(&Need::months(&before.flavor, region_of(&app, before), paid.total(), now));
    let months = |months, expected| monthly::months(&app.catalog, before, months, expected, now);
    let decided = match to {
        To::OnDemand => to_on_demand(before, &payer(&on_demand(&app, before, now)), now, &app.catalog.limits)
            .map(|step| (step, None)),
        // What can never be is said before its price.
        To::Subscription { months: count, expected } => {
            permit(before, Operation::ToSubscription).and_then(|()| months(count, expected)).and_then(
                |(purchase, paid)| Ok((to_subscription(before, purchase, paid, &of_months(&paid), now)?, Some(paid))),
            )
        }
        To::Renewed { months: count, expected } => monthly::not_renewable(before)
            .map_or(Ok(()), Err)
            .and_then(|()| months(count, expected))
            .and_then(|(purchase, paid)| Ok((renew(before, purchase, paid, &of_months(&paid))?, Some(paid)))),
    };
    match decided {
        Ok(decided) => Ok(decided),
        Err(refused) => refuse(refused),
    }
}

fn held(step: &Step) -> Amount {
    let holds = step.effects.iter().map(|effect| match effect {
        Effect::Hold { amount, .. } => *amount,
        _ => Amount::ZERO,
    });
    holds.sum()
}
