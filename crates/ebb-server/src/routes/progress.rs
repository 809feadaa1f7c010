//! How does a trial stand, what would make it last, and what becomes of it at its end? (rules §3.8, §3.9)

use super::json;
use super::trial::shown_trial;
use crate::app::App;
use crate::call::{Call, Principal};
use crate::cap;
use crate::denied::Denied;
use crate::traffic::Traffic;
use crate::trial::{Outlook, outlook};
use crate::unit::{Outcome, Unit, refuse};
use crate::work::hours::accruing;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::advice::{Change, Standing, Use, advice};
use ebb_engine::event::Event;
use ebb_engine::refusal::Refused;
use ebb_engine::traffic::{Used, size};
use ebb_engine::trial::{ended, lists};
use ebb_model::billing::{Meter, Settled, Span};
use ebb_model::catalog::Catalog;
use ebb_model::id::{AccountId, InstanceId};
use ebb_model::instance::Instance;
use ebb_model::money::{Exact, Price};
use ebb_model::price::Prices;
use ebb_model::time::Second;
use ebb_model::traffic::{Pool, Quantity};
use ebb_model::trial::{AtEnd, TrialGrant};
use ebb_store::rows::account::{self, Account};
use ebb_store::rows::{bill, instance, traffic as traffic_rows, trial};
use ebb_store::{Decision, Reads, StoreError};
use ebb_wire::address::{PoolLeft, TrafficLeft};
use ebb_wire::problem::Problem;
use ebb_wire::trial as wire;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// How the trial stands: what is used, settled and accruing, what is left and how long that lasts, and what would make it last.
#[utoipa::path(get, path = "/v1/trial", operation_id = "show_trial", params(("account" = Option<String>, Query, description = "operator: whose")),
    responses((status = 200, body = wire::TrialProgress), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn show(State(app): State<App>, who: Principal) -> Result<Json<wire::TrialProgress>, Denied> {
    let id = who.account()?;
    let (shared, now) = (app.clone(), app.clock.now().second());
    let shown = app.store.read(move |reads| async move {
        let Some(row) = reads.row(account::by_id(id)).await? else { return Ok(None) };
        progress(&shared, &reads, &account::read(&row), now).await.map(Some)
    });
    let shown = shown.await?.ok_or_else(|| Denied::not_found("account", id))?;
    shown.map(Json).ok_or_else(|| Refused::NoGrant.into())
}

/// Chooses what becomes of the account's trial instances when the grant is used up or its validity over.
#[utoipa::path(post, path = "/v1/trial/at-end", operation_id = "choose_trial_end", request_body = wire::ChooseAtEnd,
    responses((status = 200, body = wire::TrialProgress), (status = 409, body = Problem)))]
pub async fn at_end(State(app): State<App>, call: Call<wire::ChooseAtEnd>) -> Result<Response, Denied> {
    let id = call.principal.owner()?;
    let choice = match call.body.choice.as_str() {
        "continue" => AtEnd::Continue,
        "stop" => AtEnd::Stop,
        "release" => AtEnd::Release,
        _ => return Err(Denied::BadInput("choice: it is continue, stop or release".to_owned())),
    };
    let answer = call.once(&app, "trial-at-end", id, move |unit| choose(unit, id, choice));
    Ok(json(StatusCode::OK, answer.await?))
}

async fn choose(mut unit: Unit, id: AccountId, choice: AtEnd) -> Outcome<Decision<wire::TrialProgress>> {
    crate::arrears::permit(&mut unit, id).await?;
    // Whoever ends the trial changes the account, too.
    let account = unit.change_account(id).await?.clone();
    let now = unit.now.second();
    let Some(shown) = progress(&unit.app, &unit.reads, &account, now).await? else { return refuse(Refused::NoGrant) };
    let seen = outlook(&unit.app, &unit.reads, &account, now).await?;
    if let Some(over) = seen.as_ref().and_then(|seen| seen.over(now)) {
        return refuse(ended(over));
    }
    if seen.is_some_and(|seen| seen.ending.choice != choice) {
        cap::permit_choice(&mut unit, id, choice).await?;
        unit.guard(trial::choose(id, choice));
        unit.log(id, None, &Event::TrialEndChosen { choice });
        unit.look_after_trial(id);
    }
    Ok(unit.done(wire::TrialProgress { at_end: choice.name().to_owned(), ..shown }))
}

async fn progress(
    app: &App,
    reads: &Reads,
    account: &Account,
    now: Second,
) -> Result<Option<wire::TrialProgress>, StoreError> {
    let Some(seen) = outlook(app, reads, account, now).await? else { return Ok(None) };
    let id = account.id;
    let accruing = accruing(app, reads, account, now).await?;
    let (hour, traffic) = (accruing.hour, traffic_left(app, reads, &seen, &accruing.traffic, id, now).await?);
    let accrued: Exact = hour.iter().map(|(_, split)| split.grant).sum();
    let expired = seen.ending.expired.unwrap_or_default();
    let since = |row: Option<ebb_store::Row>| row.as_ref().and_then(trial::read_since);
    let covered = hour.iter().filter(|(charge, _)| charge.covered).map(|(charge, _)| charge.period.since);
    let first_covered = since(reads.row(trial::first_covered(id)).await?).into_iter().chain(covered).min();

    let spans = reads.rows(bill::spans_unreleased(id)).await?;
    let open: Vec<Span> = spans.iter().map(bill::read_span).filter(|span| span.until.is_none()).collect();
    // What is no instance's costs something, too, and no grant pays for it.
    let flat = reads.rows(bill::spans_beyond(id, now)).await?;
    let flat = flat.iter().map(bill::read_span).filter(|span| span.until.is_none() && span.instance().is_none());
    let all: Vec<Span> = open.iter().cloned().chain(flat).collect();
    let live = reads.rows(instance::live_of_account(id)).await?;
    let live: BTreeMap<InstanceId, Instance> = live.iter().map(instance::read).map(|one| (one.id, one)).collect();
    let ended = seen.over(now);
    let over = ended.is_some() || !seen.grant.valid_at(now);
    let standing = Standing { grant: &seen.grant, draws: &seen.draws, open_since: seen.open_since, now };
    let uses = uses(&app.catalog, &seen.grant, &open, &live, now);
    let advised = if over { vec![] } else { advice(&standing, &uses) };
    let flavors = if over { vec![] } else { flavors(&app.catalog, &standing) };
    Ok(Some(wire::TrialProgress {
        used: (seen.grant.used + accrued).to_string(),
        expired: expired.to_string(),
        traffic,
        seconds_left: (seen.grant.valid_until.unix() - now.unix()).max(0),
        as_of: now.to_string(),
        first_charged_at: since(reads.row(trial::first_charged(id)).await?).map(|at| at.to_string()),
        first_covered_at: first_covered.map(|at| at.to_string()),
        hour: hour_now(&all, &seen, over, now),
        running: running(&open, &live, over, now),
        used_up_at: seen.forecast.used_up_at.filter(|_| !over).map(|at| at.to_string()),
        at_end: seen.ending.choice.name().to_owned(),
        ended_at: ended.map(|(at, _)| at.to_string()),
        ended_by: ended.map(|(_, by)| by.name().to_owned()),
        advice: advised.iter().map(|(id, change)| shown_advice(&uses, &live[id], change, now)).collect(),
        flavors,
        grant: ebb_wire::account::Trial {
            left: (seen.grant.left() - accrued - expired).to_string(),
            ..shown_trial(&seen.grant, accrued)
        },
    }))
}

/// How this month's pools of traffic stand.
async fn traffic_left(
    app: &App,
    reads: &Reads,
    seen: &Outlook,
    open: &Traffic,
    id: AccountId,
    now: Second,
) -> Result<TrafficLeft, StoreError> {
    let (calendar, allowance) = (&app.catalog.time_zone, &app.catalog.trial.traffic);
    let month = calendar.month(now);
    let rows = reads.rows(traffic_rows::used_since(id, month)).await?;
    let settled = rows.iter().map(traffic_rows::read_used).find(|(since, _)| *since == month);
    let settled = settled.map_or_else(Used::default, |(_, used)| used);
    let both = open.running.used.get(&month).copied().unwrap_or(settled);
    let valid = seen.grant.valid_at(now);
    let shown = |pool: Pool| PoolLeft {
        size: size(pool, allowance).to_string(),
        settled: settled.of(pool).to_string(),
        accruing: (both.of(pool) - settled.of(pool)).to_string(),
        used: both.of(pool).to_string(),
        left: if valid { both.left(pool, allowance, 0).0 } else { Quantity::ZERO }.max(Quantity::ZERO).to_string(),
    };
    let (anywhere, overseas) = (shown(Pool::Anywhere), shown(Pool::Overseas));
    Ok(TrafficLeft { month: month.to_string(), anywhere, overseas })
}

fn of_trial(span: &Span) -> bool {
    matches!(span.settled, Settled::Hourly { trial: true })
}

/// What each trial instance draws per hour, in order of purchase, and what of the grant's list would cost less.
fn uses(
    catalog: &Catalog,
    grant: &TrialGrant,
    open: &[Span],
    live: &BTreeMap<InstanceId, Instance>,
    now: Second,
) -> Vec<Use> {
    let mut uses = BTreeMap::<InstanceId, Use>::new();
    for span in open.iter().filter(|span| of_trial(span)) {
        let (compute, disk) = (Prices::default(), Prices::default());
        let Some(instance) = span.instance() else { continue };
        let nothing = Use { instance, compute, disk, smaller: vec![] };
        let one = uses.entry(instance).or_insert(nothing);
        match span.meter {
            Meter::Compute => one.compute = one.compute.plus(&span.price),
            Meter::SystemDisk => one.disk = one.disk.plus(&span.price),
            // No grant pays anything else.
            _ => {}
        }
    }
    for one in uses.values_mut() {
        let region = catalog.zone(&live[&one.instance].zone).map_or("", |zone| zone.region.as_str());
        let listed = catalog.flavors.iter().filter(|flavor| lists(catalog, grant.holder, region, &flavor.id));
        let priced = listed.filter_map(|flavor| Some((flavor.on_demand.clone()?, flavor.id.clone())));
        one.smaller = priced.filter(|(price, _)| price.at(now) < one.compute.at(now)).collect();
        one.smaller.sort_by_cached_key(|(price, flavor)| Reverse((price.at(now), flavor.clone())));
    }
    uses.into_values().collect()
}

fn sum<'a>(spans: impl Iterator<Item = &'a Span>, now: Second) -> Price {
    spans.fold(Price::default(), |sum, span| sum + span.price.at(now))
}

fn hour_now(open: &[Span], seen: &Outlook, over: bool, now: Second) -> wire::HourNow {
    let (price, drawn) = (sum(open.iter(), now), sum(open.iter().filter(|span| of_trial(span) && !over), now));
    let covered = drawn.min(seen.grant.hourly_cap);
    let less = |a: Price, b: Price| Price::from_micros(a.micros() - b.micros());
    wire::HourNow {
        price: price.to_string(),
        covered: covered.to_string(),
        above_cap: less(drawn, covered).to_string(),
        not_covered: less(price, drawn).to_string(),
    }
}

fn running(open: &[Span], live: &BTreeMap<InstanceId, Instance>, over: bool, now: Second) -> Vec<wire::UseNow> {
    let ids: BTreeSet<InstanceId> = open.iter().filter_map(Span::instance).collect();
    let one = |id: &InstanceId| {
        let mine = || open.iter().filter(|span| span.instance() == Some(*id));
        let known = &live[id];
        wire::UseNow {
            instance: id.to_string(),
            name: known.name.clone(),
            flavor: known.flavor.clone(),
            option: known.purchase.option().to_owned(),
            state: known.state.name().to_owned(),
            price: sum(mine(), now).to_string(),
            covered: !over && mine().any(of_trial),
        }
    };
    ids.iter().map(one).collect()
}

fn shown_advice(uses: &[Use], about: &Instance, change: &Change, now: Second) -> wire::Advised {
    let draws = uses.iter().find(|one| one.instance == about.id).expect("advice is about what draws");
    let flavor = match change {
        Change::Resize(flavor) => Some(flavor.clone()),
        Change::Stop | Change::Release => None,
    };
    wire::Advised {
        instance: about.id.to_string(),
        name: about.name.clone(),
        change: change.name().to_owned(),
        flavor,
        saves: draws.saves(change).at(now).to_string(),
    }
}

/// How long what is left would last for one instance alone, cheapest first.
fn flavors(catalog: &Catalog, standing: &Standing<'_>) -> Vec<wire::FlavorLasts> {
    let terms = catalog.trial(standing.grant.holder);
    let listed: BTreeSet<&String> = terms.flavors_in.values().flatten().chain(&terms.flavors).collect();
    let priced =
        |id: &&String| Some((catalog.flavor(id)?.on_demand.as_ref()?.plus(&catalog.disk_price()), id.to_string()));
    let mut priced: Vec<(Prices, String)> = listed.iter().filter_map(priced).collect();
    priced.sort_by_cached_key(|(price, flavor)| (price.at(standing.now), flavor.clone()));
    let lasts = |(prices, flavor): (Prices, String)| {
        let price = prices.at(standing.now);
        let until = standing.lasts_at(prices);
        let seconds = until.unwrap_or(standing.grant.valid_until).unix() - standing.now.unix();
        wire::FlavorLasts { flavor, price: price.to_string(), seconds: seconds.max(0), to_the_end: until.is_none() }
    };
    priced.into_iter().map(lasts).collect()
}
