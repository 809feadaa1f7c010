//! What happens to an account that owes? It is warned, frozen, and what was frozen is released; a top-up ends all of it (rules §5.2).
//!
//! An alarm per account says when to look next. Whoever changes what the account pays for, or what it owes, sets it to now, in the
//! same commit; then all is worked out anew. Steps count from their own seconds, however late they are carried out.

use crate::app::App;
use crate::cap::{self, is_quiet};
use crate::denied::Denied;
use crate::trial;
use crate::unit::{Outcome, Unit, refuse};
use ebb_engine::arrears::{self, By, Deed, Standing, due_at, freezes_at, next};
use ebb_engine::event::Event;
use ebb_engine::lifecycle::{Input, step};
use ebb_engine::refusal::Refused;
use ebb_model::billing::{Meter, ResourceId};
use ebb_model::disk::VolumeState;
use ebb_model::id::{AccountId, AddressId, DiskId};
use ebb_model::instance::{Instance, State};
use ebb_model::money::Amount;
use ebb_model::time::{DAY, HOUR, Period, Second, Timestamp};
use ebb_model::traffic::{Address, Reading};
use ebb_model::volume::VolumeId;
use ebb_store::rows::account::Account;
use ebb_store::rows::arrears::{self as rows, Known};
use ebb_store::rows::{address, alarm, bill, instance, volume};
use ebb_store::{Decision, Reads, StoreError};
use ebb_wire::account as wire;

/// An account in arrears is to be looked after.
pub const ALARM: &str = "arrears";

/// How often it is looked whether hosts have told what they saw before a freeze: each second, then less and less often.
const LONGEST_PAUSE_SECONDS: i64 = 60;
const PAGE: i64 = 1_000;

/// How an account in arrears stands, and what follows.
pub struct Seen {
    pub known: Known,
    /// Its freeze, as it was or as it will be if all goes on as it is.
    pub freeze: (Second, By),
    /// What has still to be frozen with it, or released.
    open: Vec<Instance>,
}

impl Seen {
    /// What comes next, and at which second.
    pub fn next(&self, app: &App) -> Option<(Second, Deed)> {
        next(&self.known.arrears, self.freeze.0, self.known.warned_days, &app.catalog.limits.arrears)
    }

    /// The second of a step that is due and not carried out on everything.
    pub fn waits(&self, app: &App, now: Timestamp) -> Option<Second> {
        let begun = self.begun().filter(|_| !self.open.is_empty()).map(|input| match input {
            Input::Frozen { at } | Input::ArrearsOver { at } => at,
            _ => unreachable!("a step of arrears is one of two"),
        });
        let steps = |(_, deed): &(Second, Deed)| matches!(deed, Deed::Freeze | Deed::Release);
        let due = || {
            // Words that are still to be said, and come before it, change nothing of its second.
            let warned = Some(0);
            let step = next(&self.known.arrears, self.freeze.0, warned, &app.catalog.limits.arrears)?;
            Some(step).filter(steps).filter(|step| due_at(*step) <= now).map(|(at, _)| at)
        };
        begun.or_else(due)
    }

    /// The newest step that was taken, as it is for an instance.
    fn begun(&self) -> Option<Input> {
        let frozen = self.known.arrears.frozen.map(|frozen| Input::Frozen { at: frozen.since });
        self.known.arrears.released.map(|at| Input::ArrearsOver { at }).or(frozen)
    }
}

/// Reads how an account stands; `None`: it is not in arrears.
pub async fn see(app: &App, reads: &Reads, of: &Account, now: Timestamp) -> Result<Option<Seen>, StoreError> {
    let Some(known) = open_of(reads, of).await? else { return Ok(None) };
    let frozen = known.arrears.frozen.map(|frozen| (frozen.since, By::Grace));
    let freeze = match frozen {
        Some(freeze) => freeze,
        None => {
            let mut spending = cap::used(app, reads, of, now.second()).await?;
            if of.close_at.is_none() {
                // Nothing is open; else the second of one who owes too much already would move with the clock.
                let last = reads.row(bill::last_hour(of.id)).await?.map(|row| Second::from_unix(row.int("at")));
                spending.open_since = last.unwrap_or(known.arrears.since);
            }
            let owed = arrears::owed(of.purse.debt, of.totals.paid.payable - of.totals.paid.vouchers);
            freezes_at(&known.arrears, owed, &spending, &app.catalog.limits.arrears)
        }
    };
    let mut seen = Seen { known, freeze, open: vec![] };
    if let Some(input) = seen.begun() {
        let beyond = reads.rows(instance::beyond(of.id, freeze.0)).await?;
        seen.open = beyond.iter().map(instance::read).filter(|one| changes(app, one, input, now)).collect();
    }
    Ok(Some(seen))
}

fn changes(app: &App, one: &Instance, input: Input, now: Timestamp) -> bool {
    step(one, input, now, &app.catalog.limits).is_ok_and(|done| done.next.is_some())
}

/// The arrears of an account, if it owes.
async fn open_of(reads: &Reads, of: &Account) -> Result<Option<Known>, StoreError> {
    if of.purse.debt == Amount::ZERO {
        return Ok(None);
    }
    Ok(reads.row(rows::open_of(of.id)).await?.map(|row| rows::read(&row)))
}

/// The arrears of an account, if it owes, and the graces of those before: as a settlement of now would find them.
pub async fn standing(
    app: &App,
    reads: &Reads,
    of: &Account,
    now: Second,
) -> Result<(Option<arrears::Arrears>, Vec<Period>), StoreError> {
    let window = now.plus(-app.catalog.limits.arrears.window_days * DAY);
    let before = reads.rows(rows::since(of.id, window)).await?;
    let graces = before.iter().map(rows::read).filter_map(|known| known.grace()).collect();
    Ok((open_of(reads, of).await?.map(|known| known.arrears), graces))
}

/// What stands against everything but releases and top-ups: the account is frozen.
pub async fn frozen(reads: &Reads, of: &Account) -> Result<Option<Refused>, StoreError> {
    let frozen = frozen_since(reads, of).await?;
    Ok(frozen.map(|since| Refused::AccountFrozen { debt: of.purse.debt, since: since.start() }))
}

pub async fn frozen_since(reads: &Reads, of: &Account) -> Result<Option<Second>, StoreError> {
    Ok(open_of(reads, of).await?.and_then(|known| known.arrears.frozen).map(|frozen| frozen.since))
}

/// The door for what a frozen account may not do.
pub async fn permit(unit: &mut Unit, id: AccountId) -> Outcome<()> {
    let of = unit.account(id).await?.clone();
    frozen(&unit.reads, &of).await?.map_or(Ok(()), refuse)
}

/// Whether what left an address is not charged: what it leads to was frozen then (rules §5.2).
pub async fn is_free(unit: &Unit, of: &Address, reading: &Reading) -> Outcome<bool> {
    let at = reading.at.second();
    let known = unit.reads.rows(rows::since(of.account, at.plus(-1))).await?;
    let frozen = known.iter().map(rows::read).any(|known| {
        let cleared = known.cleared.is_none_or(|cleared| at <= cleared);
        // A reading speaks of the seconds before its own.
        cleared && known.arrears.frozen.is_some_and(|frozen| frozen.since < at)
    });
    // What leads nowhere any more led to what was frozen.
    let paid = match of.instance {
        Some(leads_to) => unit.instance(leads_to).await?.paid_until().is_some(),
        None => false,
    };
    Ok(frozen && !paid)
}

/// What of an account is charged on while it is frozen, since it belongs to subscriptions, which run on (rules §5.2).
pub struct RunsOn {
    /// They lead to subscriptions, and are paid by their bandwidth.
    pub addresses: Vec<AddressId>,
    /// They are attached to subscriptions, or made for them.
    pub disks: Vec<DiskId>,
}

impl RunsOn {
    pub fn has(&self, one: ResourceId) -> bool {
        match one {
            ResourceId::Address(id) => self.addresses.contains(&id),
            ResourceId::Disk(id) => self.disks.contains(&id),
            _ => false,
        }
    }
}

pub async fn runs_on(reads: &Reads, of: AccountId) -> Result<RunsOn, StoreError> {
    let mut all = RunsOn { addresses: vec![], disks: vec![] };
    for one in reads.rows(instance::live_of_account(of)).await?.iter().map(instance::read) {
        if one.paid_until().is_none() || one.state.end().is_some() {
            continue;
        }
        let addresses = reads.rows(address::of_instance(one.id)).await?;
        let paid = addresses.iter().map(address::read).filter(|known| known.mbit.is_some());
        all.addresses.extend(paid.map(|known| known.id));
        for disk in reads.rows(volume::of_instance(one.id)).await?.iter().map(volume::read) {
            let there = matches!(disk.state, VolumeState::Attached { .. } | VolumeState::Creating { .. });
            if let (VolumeId::Disk(id), true) = (disk.id, there) {
                all.disks.push(id);
            }
        }
    }
    Ok(all)
}

impl Unit {
    /// Nothing of an account's bandwidth, data disks and snapshots is charged from a second on, but for what runs on.
    async fn freeze_flat(&mut self, id: AccountId, at: Second, kept: &RunsOn) -> Outcome<()> {
        for span in self.reads.rows(bill::spans_beyond(id, at)).await?.iter().map(bill::read_span) {
            let flat = matches!(span.meter, Meter::Bandwidth | Meter::DataDisk | Meter::Snapshot);
            if flat && !kept.has(span.resource) {
                self.write(bill::close_spans_of(span.resource, span.meter, at));
            }
        }
        Ok(())
    }

    /// A settlement of this second was written. One that leaves a debt where there was none begins arrears.
    pub async fn after_settlement(&mut self, id: AccountId, debt_before: Amount, at: Second) -> Outcome<()> {
        let of = self.account(id).await?.clone();
        if debt_before > Amount::ZERO || of.purse.debt == Amount::ZERO {
            return Ok(());
        }
        let limits = self.app.catalog.limits.arrears.clone();
        // What is known late counts in the open hour.
        let since = of.close_at.map_or(at, |close_at| at.max(close_at.plus(-HOUR)));
        let window = since.plus(-limits.window_days * DAY);
        let before: Vec<Known> = self.reads.rows(rows::since(id, window)).await?.iter().map(rows::read).collect();
        let graces: Vec<Period> = before.iter().filter_map(Known::grace).collect();
        let new = arrears::begin(since, &graces, &limits);
        self.guard(rows::insert(id, before.last().map_or(1, |last| last.number + 1), &new));
        let (debt, grace_until) = (of.purse.debt, new.grace_until);
        self.log_and_tell_account(id, &Event::ArrearsBegan { since, debt, grace_until });
        // Not at this very instant, at which one may be under way that is taken away when it is done.
        self.write(alarm::set(ALARM, &id.to_string(), self.now.plus_millis(1)));
        Ok(())
    }

    /// Something was paid. Who owes nothing any more has what was frozen back, stopped.
    pub async fn after_repayment(&mut self, id: AccountId, debt_before: Amount) -> Outcome<()> {
        if debt_before == Amount::ZERO {
            return Ok(());
        }
        if self.account(id).await?.purse.debt > Amount::ZERO {
            self.look_after_arrears(id);
            return Ok(());
        }
        let Some(row) = self.reads.row(rows::open_of(id)).await? else { return Ok(()) };
        let (known, at) = (rows::read(&row), self.now.second());
        self.guard(rows::clear(&known, at));
        self.write(alarm::clear(ALARM, &id.to_string()));
        self.log_and_tell_account(id, &Event::ArrearsCleared { at });
        if known.arrears.frozen.is_some() {
            self.thaw_bandwidth(id, at).await?;
        }
        for one in self.reads.rows(instance::live_of_account(id)).await?.iter().map(instance::read) {
            self.step(&one, Input::Thawed { at }).await?;
        }
        if known.arrears.frozen.is_some() {
            self.thaw_volumes(id, at).await?;
        }
        Ok(())
    }

    /// What the account pays for has changed, or what it owes: when it is frozen is worked out anew, if it is in arrears.
    pub fn look_after_arrears(&mut self, id: AccountId) {
        self.write(rows::wake(ALARM, id, self.now.plus_millis(1)));
    }
}

/// How an account stands that owes, in figures and in words.
pub async fn shown(
    app: &App,
    reads: &Reads,
    of: &Account,
    now: Timestamp,
) -> Result<Option<wire::Arrears>, StoreError> {
    let Some(seen) = see(app, reads, of, now).await? else { return Ok(None) };
    let (known, debt) = (&seen.known.arrears, of.purse.debt);
    let standing = arrears::standing(Some(known));
    let (next, next_at, because, says) = match standing {
        Standing::Clear => return Ok(None),
        Standing::Grace { since, .. } => {
            let ((at, by), limit) = (seen.freeze, app.catalog.limits.arrears.debt_limit);
            let why = match by {
                By::Grace => "its grace is over then".to_owned(),
                By::DebtLimit => format!("more than {limit} would be owed after that"),
            };
            let says = format!(
                "It owes {debt} since {since}: all goes on and is charged, and nothing that costs more begins. At {at} it is frozen, \
                 unless the debt is paid by then: {why}."
            );
            (Some("freeze"), Some(at), Some(by.name()), says)
        }
        Standing::Frozen { since, until } => {
            let says = format!(
                "It owes {debt} and is frozen since {since}: what it had is off, and nothing of that is charged. At {until} it is \
                 released with its disks, unless the debt is paid by then."
            );
            (Some("release"), Some(until), None, says)
        }
        Standing::Released { .. } => (
            None,
            None,
            None,
            format!("It owes {debt}; what was frozen is released. When the debt is paid it may buy again."),
        ),
    };
    Ok(Some(wire::Arrears {
        state: standing.name().to_owned(),
        debt: debt.to_string(),
        since: known.since.to_string(),
        frozen_since: known.frozen.map(|frozen| frozen.since.to_string()),
        next: next.map(str::to_owned),
        next_at: next_at.map(|at| at.to_string()),
        because: because.map(str::to_owned),
        says,
    }))
}

/// Whether a freeze waits for the word of silent hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hosts {
    Awaited,
    /// Somebody pays now, and what was due before comes before.
    NotAwaited,
}

/// What came of a look.
enum Tended {
    Nothing,
    /// Something was done, and more may be due.
    Again,
    /// This has still to happen to instances one by one.
    Begun(Input),
}

impl App {
    /// Does what is due for an account in arrears, and sets the alarm for what comes next.
    pub async fn tend_arrears(&self, id: AccountId) -> Result<(), Denied> {
        self.follow_arrears(id, Hosts::Awaited).await
    }

    /// The same before a repayment, which comes after all that was due before its second.
    pub async fn arrears_up_to_now(&self, id: AccountId) -> Result<(), Denied> {
        self.follow_arrears(id, Hosts::NotAwaited).await
    }

    async fn follow_arrears(&self, id: AccountId, hosts: Hosts) -> Result<(), Denied> {
        loop {
            match self.unit("tend-arrears", &id.to_string(), move |unit| tend(unit, id, hosts)).await? {
                Tended::Nothing => return Ok(()),
                Tended::Again => {}
                Tended::Begun(input) => self.finish_arrears(id, input).await?,
            }
        }
    }

    /// Where room becomes free at once somebody else may begin there, so each such has a unit of its own.
    async fn finish_arrears(&self, id: AccountId, input: Input) -> Result<(), Denied> {
        let of = self.store.rows(instance::live_of_account(id)).await?;
        for one in of.iter().map(instance::read) {
            let carry_out = move |mut unit: Unit| async move {
                let known = unit.instance(one.id).await?;
                let of = unit.account(id).await?.clone();
                let seen = see(&unit.app.clone(), &unit.reads, &of, unit.now).await?;
                if seen.is_some_and(|seen| seen.begun() == Some(input)) {
                    unit.step(&known, input).await?;
                }
                Ok(unit.done(()))
            };
            if changes(self, &one, input, self.clock.now()) {
                self.unit("arrears-step", &one.id.to_string(), carry_out).await?;
            }
        }
        Ok(())
    }
}

async fn tend(mut unit: Unit, id: AccountId, hosts: Hosts) -> Outcome<Decision<Tended>> {
    let of = unit.account(id).await?.clone();
    let app = unit.app.clone();
    let Some(seen) = see(&app, &unit.reads, &of, unit.now).await? else { return Ok(unit.done(Tended::Nothing)) };
    if let Some(input) = seen.begun().filter(|_| !seen.open.is_empty()) {
        return carry_on(unit, &seen, input).await;
    }
    let Some(step) = seen.next(&app) else { return Ok(unit.done(Tended::Nothing)) };
    if due_at(step) > unit.now {
        // Who must run for a while yet is frozen when that is over.
        let least = least_of(&app, &unit, id, &seen).await?;
        let next = least.into_iter().chain([due_at(step)]).min().expect("a step is to come");
        unit.write(alarm::set(ALARM, &id.to_string(), next));
        return Ok(unit.done(Tended::Nothing));
    }
    let (at, deed) = step;
    match deed {
        Deed::FreezeSoon(days) => {
            unit.guard(rows::warn(&seen.known, days));
            unit.log_and_tell_account(id, &Event::FreezeSoon { days, freezes_at: seen.freeze.0 });
        }
        Deed::ReleaseSoon(days) => {
            let release_at = at.plus(days * DAY);
            unit.guard(rows::warn(&seen.known, days));
            unit.log_and_tell_account(id, &Event::ReleaseSoon { days, release_at });
        }
        Deed::Freeze => {
            if hosts == Hosts::Awaited && !may_freeze(&mut unit, &of, at).await? {
                let pause = (unit.now.second().unix() - at.unix()).clamp(1, LONGEST_PAUSE_SECONDS);
                unit.write(alarm::set(ALARM, &id.to_string(), unit.now.plus_seconds(pause)));
                return Ok(unit.done(Tended::Nothing));
            }
            let frozen =
                arrears::freeze(&seen.known.arrears, at, unit.now.second(), &app.catalog.limits.arrears).frozen;
            let frozen = frozen.expect("a freeze has its seconds");
            unit.guard(rows::freeze(&seen.known, &frozen));
            let kept = runs_on(&unit.reads, id).await?;
            unit.freeze_flat(id, at, &kept).await?;
            let (by, release_at) = (seen.freeze.1, frozen.until);
            let RunsOn { addresses, disks } = kept;
            unit.log_and_tell_account(id, &Event::AccountFrozen { at, by, release_at, addresses, disks });
        }
        Deed::Release => {
            unit.guard(rows::release(&seen.known, at));
            unit.log_and_tell_account(id, &Event::ArrearsReleased { at });
            for row in unit.reads.rows(address::page_of(id, "", PAGE)).await? {
                let known = address::read(&row);
                if known.instance.is_none() {
                    unit.release_address(&known, at);
                }
            }
            unit.let_volumes_go(id).await?;
            unit.let_images_go(id).await?;
        }
    }
    Ok(unit.done(Tended::Again))
}

/// Does to instances what a step that was taken means for them, as far as nobody else has to do with it.
async fn carry_on(mut unit: Unit, seen: &Seen, input: Input) -> Outcome<Decision<Tended>> {
    let alone = |one: &&Instance| is_quiet(one) && !matches!(one.state, State::Lost { .. });
    let (quiet, others): (Vec<&Instance>, Vec<&Instance>) = seen.open.iter().partition(alone);
    for one in quiet {
        unit.step(one, input).await?;
    }
    Ok(unit.done(if others.is_empty() { Tended::Again } else { Tended::Begun(input) }))
}

/// Whether all is known that a freeze at this second depends on: what hosts saw, and what comes before it.
async fn may_freeze(unit: &mut Unit, of: &Account, at: Second) -> Outcome<bool> {
    let app = unit.app.clone();
    if !app.all_heard(&unit.reads.rows(instance::hosts_of(of.id)).await?, at) {
        return Ok(false);
    }
    if trial::ends_before(&app, &unit.reads, of, at).await? {
        unit.look_after_trial(of.id);
        return Ok(false);
    }
    let capped = cap::see(&app, &unit.reads, of, unit.now.second()).await?;
    let capped = capped.filter(|seen| seen.has_something_to_do(&app, unit.now));
    if capped.and_then(|seen| seen.acts).is_some_and(|(acts, _)| acts <= at) {
        unit.look_after_cap(of.id);
        return Ok(false);
    }
    Ok(true)
}

/// When the first is frozen that must run for a while yet, of an account that is frozen already.
async fn least_of(app: &App, unit: &Unit, id: AccountId, seen: &Seen) -> Outcome<Option<Timestamp>> {
    if seen.known.arrears.frozen.is_none() {
        return Ok(None);
    }
    let live = unit.reads.rows(instance::live_of_account(id)).await?;
    let minimum = app.catalog.limits.taking_minimum_seconds;
    let least = live.iter().map(instance::read).filter(|one| one.took_room && one.state.end().is_none());
    let least = least.filter_map(|one| Some(one.in_use_since?.plus(minimum).start()));
    Ok(least.filter(|at| *at > unit.now).min())
}
