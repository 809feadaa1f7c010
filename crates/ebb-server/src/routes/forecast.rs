//! What will be payable when the month is over, of what is that made, and what does it take for granted?

use crate::app::App;
use crate::call::Principal;
use crate::denied::Denied;
use crate::forecast::{Ahead, How, ahead};
use crate::trial::outlook;
use axum::Json;
use axum::extract::State;
use ebb_engine::arrears::By;
use ebb_engine::expected::Coming;
use ebb_engine::monthly;
use ebb_engine::price::follows_book;
use ebb_model::billing::Meter;
use ebb_model::instance::{Instance, State as Life};
use ebb_model::price_book::{Item, items};
use ebb_model::time::{HOUR, Second};
use ebb_model::trial::{AtEnd, Over};
use ebb_store::rows::account;
use ebb_wire::forecast as wire;
use ebb_wire::problem::Problem;

/// What will be payable of this calendar month when it is over, if all goes on as it is: exactly that, if nobody does anything; and how
/// long cash lasts.
#[utoipa::path(get, path = "/v1/forecast", operation_id = "show_forecast", params(("account" = Option<String>, Query, description = "operator: whose")),
    responses((status = 200, body = wire::Forecast), (status = 401, body = Problem)))]
pub async fn show(State(app): State<App>, who: Principal) -> Result<Json<wire::Forecast>, Denied> {
    let id = who.account()?;
    let (shared, now) = (app.clone(), app.clock.now().second());
    let shown = app.store.read(move |reads| async move {
        let Some(row) = reads.row(account::by_id(id)).await? else { return Ok(None) };
        let of = account::read(&row);
        let seen = ahead(&shared, &reads, &of, now, How::Cash).await?;
        let trial = outlook(&shared, &reads, &of, now).await?.filter(|seen| seen.ending.ended.is_none());
        let end = trial.map(|trial| (trial.forecast.end(), trial.ending.choice));
        Ok(Some(forecast(&shared, &seen, end, now)))
    });
    shown.await?.map(Json).ok_or_else(|| Denied::not_found("account", id))
}

fn forecast(app: &App, seen: &Ahead, trial: Option<((Second, Over), AtEnd)>, now: Second) -> wire::Forecast {
    let (month, expected) = (seen.month, &seen.expected);
    let traffic = seen.spending.flowed.iter().filter(|one| month.since < one.at && one.at <= now);
    let to_come = expected.total - expected.billed - expected.accruing;
    let renewal = |one: &Coming| wire::ExpectedRenewal {
        instance: one.renewal.instance.to_string(),
        at: one.renewal.until.to_string(),
        months: one.renewal.months,
        needed: one.renewal.total().posted().to_string(),
        available: one.available.to_string(),
        paid: one.paid,
    };
    let leases = seen.live.iter().filter(|one| one.state.end().is_none()).filter_map(|one| {
        let (start, end) = (one.first_running?, one.lease_end()?);
        let amount = one.purchase.price().charge(end.unix() - start.unix()).to_string();
        Some(wire::ExpectedLease { instance: one.id.to_string(), ends_at: end.to_string(), amount })
    });
    wire::Forecast {
        currency: app.catalog.currency.clone(),
        month_since: month.since.to_string(),
        month_until: month.until.to_string(),
        billed: expected.billed.to_string(),
        accruing: expected.accruing.to_string(),
        traffic: traffic.map(|one| one.payable).sum::<ebb_model::money::Exact>().to_string(),
        to_come: to_come.to_string(),
        expected: expected.total.to_string(),
        expected_shown: expected.total.to_cents(),
        compute: expected.to_come.compute.to_string(),
        disks: expected.to_come.disks.to_string(),
        flat: expected.to_come.flat.to_string(),
        blocks: expected.blocks.to_string(),
        months: expected.months.to_string(),
        grant: expected.to_come.grant.to_string(),
        trial_ends_at: trial.map(|((at, _), _)| at.to_string()),
        trial_ends_by: trial.map(|((_, by), _)| by.name().to_owned()),
        renewals: expected.renewals.iter().map(renewal).collect(),
        leases: leases.collect(),
        later: expected.later.to_string(),
        cap_acts_at: expected.cap_acts_at.map(|at| at.to_string()),
        vouchers: expected.by_vouchers.to_string(),
        owes_since: expected.owes_since.map(|at| at.to_string()),
        frozen_at: expected.frozen.map(|(at, _)| at.to_string()),
        frozen_by: expected.frozen.map(|(_, by)| by.name().to_owned()),
        money_lasts_until: expected.lasts_until.map(|at| at.to_string()),
        assumptions: assumptions(app, seen, trial, now),
        as_of: now.to_string(),
    }
}

/// What it takes for granted, one sentence each, as far as it matters for this account.
fn assumptions(app: &App, seen: &Ahead, trial: Option<((Second, Over), AtEnd)>, now: Second) -> Vec<String> {
    let mut all = vec![
        "nothing is bought, started, stopped, converted or released, and no money comes in".to_owned(),
        "traffic is counted as far as it was read".to_owned(),
    ];
    let changes = changes(app, seen, now);
    all.push(match changes.is_empty() {
        true => "prices stay as they are".to_owned(),
        false => format!("each price counts for the time for which it holds: {}", changes.join("; ")),
    });
    if seen.has_vouchers {
        all.push("coupons and cards pay what they may while they are valid, and are not revoked".to_owned());
    }
    let any = |test: fn(&Life) -> bool| seen.live.iter().any(|one| test(&one.state));
    if any(|state| matches!(state, Life::Waiting { .. } | Life::Starting { .. })) {
        all.push("what is ordered or starts runs from now on".to_owned());
    }
    if any(|state| matches!(state, Life::Lost { .. })) {
        all.push("lost hosts do not come back".to_owned());
    }
    if seen.live.iter().any(|one| !one.purchase.is_firm()) {
        all.push("blocks run to the end of their leases, and are payable in the month in which that falls".to_owned());
    }
    if let Some(((at, by), choice)) = trial.filter(|((at, _), _)| *at < seen.month.until.plus(31 * 24 * HOUR)) {
        let why = match by {
            Over::UsedUp => "the grant is used up",
            Over::Validity => "its validity is over",
            Over::Revoked => "the operator took the grant",
        };
        let then = match choice {
            AtEnd::Continue => "go on, on demand",
            AtEnd::Stop => "are stopped economically",
            AtEnd::Release => "are released",
        };
        all.push(format!("the trial ends at {at}, when {why}, and its instances {then}"));
    }
    if !seen.expected.renewals.is_empty() {
        all.push("subscriptions renew themselves at the price of that second, if the money is there then".to_owned());
    }
    if let Some(at) = seen.expected.cap_acts_at.filter(|at| *at >= now) {
        all.push(format!("the spending cap acts at {at}"));
    }
    if seen.expected.renewals.iter().any(|one| !one.paid) {
        all.push("a subscription that cannot renew itself ends, and costs nothing while it is kept".to_owned());
    }
    if let Some(at) = seen.expected.owes_since {
        all.push(match seen.expected.frozen {
            None => format!("the account owes from {at} on, and is not frozen before the month is over"),
            Some((frozen_at, by)) => {
                let why = match by {
                    By::Grace => "its grace is over",
                    By::DebtLimit => "no more than the debt limit is owed until then",
                };
                format!("the account owes from {at} on, and is frozen at {frozen_at}, when {why}: nothing but what is paid in advance goes on")
            }
        });
    }
    all
}

/// Changes of prices within the month that matter for what the account has.
fn changes(app: &App, seen: &Ahead, now: Second) -> Vec<String> {
    let has = |test: &dyn Fn(&Instance) -> bool| seen.live.iter().any(|one| one.state.end().is_none() && test(one));
    let renews = |one: &Instance| monthly::renews(one).is_some();
    let uses = |meter: Meter| seen.spending.draws.iter().any(|draw| draw.meter == meter && draw.until.is_none());
    let matters = |item: &Item| match item {
        Item::OnDemand(flavor) => has(&|one| follows_book(&one.purchase) && one.flavor == *flavor),
        Item::SystemDisk => has(&|one| follows_book(&one.purchase)),
        Item::Subscription(flavor) => has(&|one| renews(one) && one.flavor == *flavor),
        Item::SystemDiskMonth => has(&renews),
        Item::DataDisk => uses(Meter::DataDisk),
        Item::Snapshot => uses(Meter::Snapshot),
        Item::Bandwidth(_) => uses(Meter::Bandwidth),
        // A block keeps its price, and traffic is what was read.
        Item::SpotBlock(..) | Item::Traffic(_) => false,
    };
    let all = items(&app.catalog).into_iter().filter(|(item, _)| matters(item)).flat_map(|(item, prices)| {
        let within = prices.after(now).filter(|(from, _)| *from < seen.month.until);
        within.map(|(from, price)| format!("{item} costs {price} from {from} on")).collect::<Vec<_>>()
    });
    all.collect()
}
