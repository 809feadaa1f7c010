//! What does a spending cap do, and when? It warns, and acts at the last second that it allows (rules §3.8).
//!
//! An alarm per account says when to look next. Whatever changes one of its instances sets it to now, in the same commit; then all is worked
//! out anew. Whoever decides by what he saw of the cap is guarded by its row, which every such change stirs.

use crate::app::App;
use crate::bandwidth;
use crate::denied::Denied;
use crate::trial;
use crate::unit::{Outcome, Unit, refuse};
use crate::volume;
use ebb_engine::event::Event;
use ebb_engine::lifecycle::{Input, step};
use ebb_engine::outlays::{self, Known, Outlays};
use ebb_engine::price::tariff;
use ebb_engine::refusal::Refused;
use ebb_engine::spending::{Allowance, Ended, Spending, Whose, month_of};
use ebb_engine::trial::is_listed;
use ebb_model::billing::{Settled, Span};
use ebb_model::id::AccountId;
use ebb_model::instance::{Instance, Purchase, State};
use ebb_model::money::{Amount, Exact};
use ebb_model::time::{HOUR, Period, Second, Timestamp};
use ebb_model::traffic::Quantity;
use ebb_model::trial::AtEnd;
use ebb_store::rows::account::{self, Account};
use ebb_store::rows::cap::{self, Cap};
use ebb_store::rows::{address, alarm, bill, budget, instance, traffic, trial as trials};
use ebb_store::{Decision, Reads, StoreError};
use std::collections::BTreeMap;

/// An account's spending cap is to be looked after.
pub const ALARM: &str = "cap";

/// How often it is looked whether hosts have told what they saw before the cap acts: each second, then less and less often.
const LONGEST_PAUSE_SECONDS: i64 = 60;

/// A cap, and all that it depends on.
pub struct Seen {
    pub cap: Cap,
    pub spending: Spending,
    pub live: Vec<Instance>,
    /// When it acts, and in which month; perhaps that was long ago.
    pub acts: Option<(Second, Period)>,
}

impl Seen {
    /// Whether the cap, acting now, would stop anything.
    pub fn has_something_to_do(&self, app: &App, now: Timestamp) -> bool {
        self.cap.acting_at.is_some() || self.acts.is_some_and(|(at, _)| !self.stopped_at(app, at, now).is_empty())
    }

    /// What the cap stops at a second.
    fn stopped_at(&self, app: &App, at: Second, now: Timestamp) -> Vec<&Instance> {
        let trials_too = trials_too(self, at, app);
        let changes = |one: &&Instance| {
            let done = step(one, Input::CapReached { at }, now, &app.catalog.limits);
            done.is_ok_and(|done| done.next.is_some()) && (trials_too || !is_trial(one))
        };
        self.live.iter().filter(changes).collect()
    }
}

/// The calendar month of a second, and the one after it.
pub fn months(app: &App, at: Second) -> (Period, Period) {
    let month = month_of(&app.catalog.time_zone, at);
    (month, month_of(&app.catalog.time_zone, month.until))
}

/// Reads how an account stands with its cap; `None`: it has none.
pub async fn see(app: &App, reads: &Reads, of: &Account, now: Second) -> Result<Option<Seen>, StoreError> {
    let Some(row) = reads.row(cap::of(of.id)).await? else { return Ok(None) };
    let cap = cap::read(&row);
    let billed = reads.rows(cap::spent(of.id)).await?;
    let billed = billed.iter().map(cap::read_spent).collect();
    let (spending, live) = spending(app, reads, of, now, billed).await?;
    let acts = acts(app, &cap, &spending, now);
    Ok(Some(Seen { cap, spending, live, acts }))
}

fn acts(app: &App, cap: &Cap, spending: &Spending, now: Second) -> Option<(Second, Period)> {
    let mut from = cap.set_at.max(spending.open_since);
    loop {
        let (month, next) = months(app, from);
        if let Some(at) = spending.acts_at(cap.amount.exact(), month, next, from) {
            return Some((at, month));
        }
        if month.until > now {
            return None;
        }
        from = month.until;
    }
}

/// All that an account pays for, with what is billed by month, and its instances.
pub async fn spending(
    app: &App,
    reads: &Reads,
    of: &Account,
    now: Second,
    billed: BTreeMap<Second, Exact>,
) -> Result<(Spending, Vec<Instance>), StoreError> {
    read(app, reads, of, now, billed, outlays::outlays).await
}

/// The same without what is billed, and without what may only be charged again.
pub async fn used(app: &App, reads: &Reads, of: &Account, now: Second) -> Result<Spending, StoreError> {
    Ok(read(app, reads, of, now, BTreeMap::new(), outlays::used).await?.0)
}

/// All that an account pays for by some view of its instances.
pub async fn read(
    app: &App,
    reads: &Reads,
    of: &Account,
    now: Second,
    billed: BTreeMap<Second, Exact>,
    outlays: impl FnOnce(&Known<'_>) -> Outlays,
) -> Result<(Spending, Vec<Instance>), StoreError> {
    let open_since = of.close_at.map_or(now, |at| at.plus(-HOUR));
    let hourly = reads.rows(bill::spans_beyond(of.id, open_since)).await?;
    let hourly = hourly.iter().map(bill::read_span).filter(|span| matches!(span.settled, Settled::Hourly { .. }));
    let blocks = reads.rows(cap::block_spans(of.id)).await?;
    let spans: Vec<Span> = hourly.chain(blocks.iter().map(bill::read_span)).collect();
    let live = reads.rows(instance::live_of_account(of.id)).await?;
    let live: Vec<Instance> = live.iter().map(instance::read).collect();
    let allowance = match reads.row(account::grant(of.id)).await? {
        Some(row) => {
            let ending = trials::read_ending(reads.row(trials::ending(of.id)).await?.as_ref());
            let (grant, over) = (account::read_grant(&row), ending.ended.is_some());
            Some(Allowance { grant, at_end: ending.choice, over })
        }
        None => None,
    };
    let holder = allowance.as_ref().map(|known| known.grant.holder);
    let listed = |one: &Instance| is_listed(&app.catalog, holder, one);
    let costs = |one: &Instance| tariff(&app.catalog, one);
    let (limits, calendar) = (&app.catalog.limits, &app.catalog.time_zone);
    let mut flat = volume::to_come(app, reads, of, now).await?;
    flat.extend(bandwidth::to_come(app, reads, of).await?);
    let all =
        outlays(&Known { flat: &flat, spans: &spans, live: &live, listed: &listed, tariff: &costs, limits, calendar });
    let (draws, blocks, ended, owed) = (all.draws, all.blocks, all.ended, all.owed);
    let flowed = flowed(app, reads, of.id).await?;
    Ok((Spending { open_since, billed, draws, blocks, ended, flowed, owed, allowance }, live))
}

/// What left the account's addresses and is not billed yet.
async fn flowed(app: &App, reads: &Reads, of: AccountId) -> Result<Vec<Ended>, StoreError> {
    let charges = app.traffic(reads, of, None).await?.charges;
    let addresses = reads.rows(address::open_of(of)).await?;
    let read = addresses.iter().map(address::read).filter_map(|one| Some((one.id, one.counter?.read_at.second())));
    let read: BTreeMap<_, _> = read.collect();
    let paid = charges.iter().filter(|charge| charge.payable() > Quantity::ZERO).map(|charge| {
        let until = charge.period.until;
        let at = read.get(&charge.address).map_or(until, |at| until.min(*at));
        let of = Some(Whose::Address(charge.address));
        Ended { of, at, payable: charge.payable().charge(charge.price).in_time() }
    });
    Ok(paid.collect())
}

/// What is payable and billed of a month, from its records.
pub async fn billed(reads: &Reads, of: AccountId, month: Period) -> Result<Exact, StoreError> {
    let hourly = reads.row(cap::billed_hourly(of, month.since, month.until)).await?;
    let hourly = hourly.as_ref().map(cap::read_billed_hourly).unwrap_or_default();
    let blocks = reads.rows(cap::billed_blocks(of, month.since)).await?;
    let ended =
        blocks.iter().filter(|row| cap::read_ended_at(row).is_some_and(|at| month.since <= at && at < month.until));
    let traffic = traffic::read_payable(&reads.rows(traffic::payable_since(of, month.since)).await?).in_time();
    Ok(hourly + ended.map(cap::read_billed).sum() + traffic)
}

/// The same by month, as it is kept for who has a cap or a budget; else this month's.
pub async fn billed_by_month(
    reads: &Reads,
    of: AccountId,
    month: Period,
) -> Result<BTreeMap<Second, Exact>, StoreError> {
    let kept = reads.row(cap::of(of)).await?.is_some() || reads.row(budget::of(of)).await?.is_some();
    Ok(match kept {
        true => reads.rows(cap::spent(of)).await?.iter().map(cap::read_spent).collect(),
        false => BTreeMap::from([(month.since, billed(reads, of, month).await?)]),
    })
}

/// The door for everything that will cost more. `change` says what the account pays for with it.
pub async fn permit(unit: &mut Unit, id: AccountId, change: impl FnOnce(&mut Spending, Second)) -> Outcome<()> {
    let of = unit.account(id).await?.clone();
    match against(&unit.app, &unit.reads, &of, unit.now.second(), change).await? {
        None => Ok(()),
        Some((cap, refused)) => {
            unit.guard(cap::unstirred(id, &cap));
            refused.map_or(Ok(()), refuse)
        }
    }
}

/// The account's cap, and what it has against something: it would pass it within the least time for which anything is worth beginning.
pub async fn against(
    app: &App,
    reads: &Reads,
    of: &Account,
    now: Second,
    change: impl FnOnce(&mut Spending, Second),
) -> Result<Option<(Cap, Option<Refused>)>, StoreError> {
    let Some(mut seen) = see(app, reads, of, now).await? else { return Ok(None) };
    let (month, next) = months(app, now);
    let spent = seen.spending.payable_by(month, now);
    change(&mut seen.spending, now);
    let seconds = app.catalog.limits.taking_minimum_seconds.max(1);
    let until = now.plus(seconds);
    let mut needed = seen.spending.least_cap(month, until.min(month.until));
    if until > month.until {
        needed = needed.max(seen.spending.if_stopped_at(next, until));
    }
    if needed > seen.cap.amount.exact() || seen.cap.acting_at.is_some() {
        let (needed, spent) = (needed.to_cents(), spent.to_cents());
        let refused = Refused::SpendingCap { cap: seen.cap.amount, needed, spent, seconds };
        return Ok(Some((seen.cap, Some(refused))));
    }
    Ok(Some((seen.cap, None)))
}

/// What is chosen for the end of a trial is refused if the cap cannot hold with it.
pub async fn permit_choice(unit: &mut Unit, id: AccountId, choice: AtEnd) -> Outcome<()> {
    let of = unit.account(id).await?.clone();
    let (app, now) = (unit.app.clone(), unit.now.second());
    let Some(mut seen) = see(&app, &unit.reads, &of, now).await? else { return Ok(()) };
    unit.guard(cap::unstirred(id, &seen.cap));
    if let Some(allowance) = &mut seen.spending.allowance {
        allowance.at_end = choice;
    }
    unit.look_after_cap(id);
    holds(&app, &seen.spending, seen.cap.amount, now)
}

/// Whether a cap leaves room for what is payable already and for what goes on when all is stopped.
pub fn holds(app: &App, spending: &Spending, cap: Amount, now: Second) -> Outcome<()> {
    let (month, _) = months(app, now);
    let least = spending.least_cap(month, now);
    if least > cap.exact() { refuse(Refused::CapTooLow { cap, least: rounded_up(least) }) } else { Ok(()) }
}

/// The least amount of the ledger that is no less.
pub fn rounded_up(exact: Exact) -> Amount {
    let whole = exact.whole();
    if whole.exact() < exact { whole + Amount::from_units(1) } else { whole }
}

impl App {
    /// Does what is due for an account's cap, and sets the alarm for what comes next.
    pub async fn tend_cap(&self, id: AccountId) -> Result<(), Denied> {
        let acting = self.unit("tend-cap", &id.to_string(), move |unit| tend(unit, id)).await?;
        match acting {
            Some(at) => self.finish_cap(id, at).await,
            None => Ok(()),
        }
    }

    /// Where a stop frees room at once somebody else may begin there, so each such has a unit of its own.
    async fn finish_cap(&self, id: AccountId, at: Second) -> Result<(), Denied> {
        let rows = self.store.rows(instance::live_of_account(id)).await?;
        for one in rows.iter().map(instance::read).filter(|one| !is_quiet(one)) {
            let stop = move |mut unit: Unit| async move {
                let known = unit.instance(one.id).await?;
                let of = unit.account(id).await?.clone();
                let now = unit.now.second();
                let seen = see(&unit.app.clone(), &unit.reads, &of, now).await?;
                if seen.is_some_and(|seen| {
                    // What was stopped already changes the sums, and not what was decided.
                    seen.cap.acting_at == Some(at) && (!is_trial(&known) || seen.cap.acting_on_trials)
                }) {
                    unit.step(&known, Input::CapReached { at }).await?;
                }
                Ok(unit.done(()))
            };
            self.unit("cap-stop", &one.id.to_string(), stop).await?;
        }
        let key = id.to_string();
        let done = self.unit("cap-acted", &key, move |mut unit| {
            unit.write(cap::acted(id));
            unit.look_after_cap(id);
            async move { Ok(unit.done(())) }
        });
        Ok(done.await?)
    }
}

/// Whether stopping it frees nothing at once.
pub fn is_quiet(one: &Instance) -> bool {
    match one.state {
        State::Waiting { .. } => false,
        State::Stopped => !one.purchase.is_firm(),
        _ => true,
    }
}

fn is_trial(one: &Instance) -> bool {
    matches!(one.purchase, Purchase::Trial { .. })
}

/// Whether the cap stops trials, too: they go on if that is payable by nothing more in what is left of the month.
fn trials_too(seen: &Seen, at: Second, app: &App) -> bool {
    let (month, _) = months(app, at);
    let mut without = seen.spending.clone();
    without.draws.iter_mut().filter(|draw| draw.trial).for_each(|draw| draw.stops = false);
    without.if_stopped_at(month, at) > seen.cap.amount.exact()
}

/// Gives the second at which the cap acts, if not all of that is carried out yet.
async fn tend(mut unit: Unit, id: AccountId) -> Outcome<Decision<Option<Second>>> {
    let of = unit.account(id).await?.clone();
    let (app, now) = (unit.app.clone(), unit.now.second());
    if of.closed_at.is_some() {
        return Ok(unit.done(None));
    }
    let Some(seen) = see(&app, &unit.reads, &of, now).await? else { return Ok(unit.done(None)) };
    if let Some(at) = seen.cap.acting_at {
        return Ok(unit.done(Some(at)));
    }
    unit.guard(cap::unstirred(id, &seen.cap));
    let mut next = vec![months(&app, now).0.until.start()];
    next.extend(warn(&mut unit, id, &seen));
    let mut acting = None;
    match seen.acts {
        Some((at, _)) if at > now => next.push(at.start()),
        Some((at, _)) if trial::ends_before(&app, &unit.reads, &of, at).await? => {
            // What the trial does before it comes first.
            unit.look_after_trial(id);
            next.push(unit.now.plus_seconds(pause(now, at)));
        }
        Some((at, _)) if !app.all_heard(&unit.reads.rows(instance::hosts_of(id)).await?, at) => {
            next.push(unit.now.plus_seconds(pause(now, at)));
        }
        Some((at, _)) => {
            acting = act(&mut unit, id, &seen, at).await?;
            // Who must run for a while yet is stopped when that is over.
            let later = seen.spending.draws.iter().filter(|draw| draw.stops && draw.least > now);
            next.extend(later.map(|draw| draw.least.start()));
        }
        None => {}
    }
    let next = next.into_iter().min().expect("the end of the month comes");
    unit.write(alarm::set(ALARM, &id.to_string(), next));
    Ok(unit.done(acting))
}

fn pause(now: Second, at: Second) -> i64 {
    (now.unix() - at.unix()).clamp(1, LONGEST_PAUSE_SECONDS)
}

/// Warns once a month, and says when it will be time to.
fn warn(unit: &mut Unit, id: AccountId, seen: &Seen) -> Option<Timestamp> {
    let (month, _) = months(&unit.app, unit.now.second());
    let (percent, cap) = (unit.app.catalog.limits.cap_warn_percent, seen.cap.amount.exact());
    if seen.cap.warned_month == Some(month.since) || cap == Exact::ZERO {
        return None;
    }
    // The first second with at least so much, in whole units.
    let share = Exact::from_units((cap.units() * i128::from(percent) + 99) / 100);
    let from = seen.cap.set_at.max(seen.spending.open_since);
    let at = seen.spending.payable_from(share, month, from)?;
    let acts_at = seen.acts.map(|(at, _)| at);
    if acts_at.is_some_and(|acts| acts <= at) {
        return None;
    }
    if at > unit.now.second() {
        return Some(at.start());
    }
    unit.write(cap::warned(id, month.since));
    unit.log_and_tell_account(id, &Event::CapSoon { at, percent, acts_at });
    None
}

/// Stops what can be stopped with nobody else having to do with it.
async fn act(unit: &mut Unit, id: AccountId, seen: &Seen, at: Second) -> Outcome<Option<Second>> {
    let (app, input) = (unit.app.clone(), Input::CapReached { at });
    let all = seen.stopped_at(&app, at, unit.now);
    if all.is_empty() {
        return Ok(None);
    }
    unit.write(cap::acts(id, at, trials_too(seen, at, &app)));
    unit.log_and_tell_account(id, &Event::CapReached { at });
    for one in all.into_iter().filter(|one| is_quiet(one)) {
        unit.step(one, input).await?;
    }
    Ok(Some(at))
}
