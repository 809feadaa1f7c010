//! When is an account's clock hour closed, and what does that write? (rules §3.3, §4.1; invariant 10)

use crate::app::App;
use crate::arrears;
use crate::budget;
use crate::cap;
use crate::denied::Denied;
use crate::traffic::Traffic;
use crate::trial::{self, outlook};
use crate::unit::{Outcome, Unit};
use crate::voucher;
use ebb_engine::end::ending;
use ebb_engine::event::Event;
use ebb_engine::rating;
use ebb_engine::trial::deduct;
use ebb_engine::voucher::Payment;
use ebb_model::billing::{Charge, Meter, Settled, Span, Split};
use ebb_model::id::{AccountId, HostId, InstanceId};
use ebb_model::instance::End;
use ebb_model::money::Exact;
use ebb_model::time::{HOUR, Period, Second, Timestamp};
use ebb_model::trial::TrialGrant;
use ebb_store::rows::account::{self, Account, Hold};
use ebb_store::rows::{bill, cap as cap_rows, instance, traffic};
use ebb_store::{Decision, Reads, Row, StoreError};
use std::collections::BTreeMap;

/// How long what is due on a host waits for its word. After an outage of our own, so long from our return.
const HOST_PATIENCE_SECONDS: i64 = 60;
/// How many accounts are looked at in one go.
pub(super) const PAGE: i64 = 1_000;

impl App {
    /// Closes the hour of an account that ends at `at`; a repetition finds it closed and does nothing.
    pub async fn close_hour(&self, id: AccountId, at: Second) -> Result<(), Denied> {
        let closing = self.unit("close-hour", &id.to_string(), move |unit| close(unit, id, at)).await?;
        self.follow_closing(id, closing).await
    }

    /// The same where many are closed and nobody waits for one of them. Says whether it was open.
    pub async fn close_hour_behind(&self, id: AccountId, at: Second) -> Result<bool, Denied> {
        let close = move |unit| close(unit, id, at);
        let closing = self.background_unit("close-hour", &id.to_string(), close).await?;
        let was_open = !matches!(closing, Closing::NotOpen);
        self.follow_closing(id, closing).await?;
        Ok(was_open)
    }

    async fn follow_closing(&self, id: AccountId, closing: Closing) -> Result<(), Denied> {
        match closing {
            Closing::Done | Closing::NotOpen => Ok(()),
            // The hour is closed with the next look at it.
            Closing::CapFirst => self.tend_cap(id).await,
            Closing::ArrearsFirst => self.tend_arrears(id).await,
        }
    }

    /// Whether this host has told what it saw before `at`; one that stays away is not waited for.
    pub fn host_heard(&self, host: HostId, at: Timestamp) -> bool {
        let links = self.hosts.links.lock().expect("no panic while holding links");
        let heard = match self.is_sandbox() {
            true => self.hosts.unplugged_before(host, at).is_none(),
            false => links.get(&host).is_some_and(|link| link.heard_at >= at),
        };
        let patience = at.max(self.began_at).plus_seconds(HOST_PATIENCE_SECONDS);
        heard || self.clock.now() >= patience
    }

    /// Whether every host that has guests of the account told what it saw before `at`. A host that is away is waited for:
    /// what it released meanwhile must not be charged.
    pub async fn hosts_heard(&self, id: AccountId, at: Second) -> Result<bool, StoreError> {
        if self.is_sandbox() && !self.hosts.any_unplugged() {
            return Ok(true);
        }
        Ok(self.all_heard(&self.store.rows(instance::hosts_of(id)).await?, at))
    }

    /// Whether each of these hosts told what it saw before `at`.
    pub fn all_heard(&self, hosts: &[Row], at: Second) -> bool {
        let links = self.hosts.links.lock().expect("no panic while holding links");
        hosts.iter().all(|row| {
            let host = row.text("host_id").parse().expect("an id that this program wrote");
            match self.is_sandbox() {
                true => self.hosts.unplugged_before(host, at.start()).is_none(),
                false => links.get(&host).is_some_and(|link| link.heard_at >= at.start()),
            }
        })
    }

    /// In a sandbox: the first hour that ended by `until` and can be closed, though hosts are unplugged.
    pub async fn next_closable(&self, until: Timestamp) -> Result<Option<(Second, AccountId)>, StoreError> {
        let (mut waiting, mut first) = (String::new(), None);
        loop {
            let due = self.store.rows(account::closes_by(until.second(), &waiting, PAGE)).await?;
            let Some(last) = due.last() else { return Ok(first) };
            waiting = last.text("id").to_owned();
            for (at, id) in due.iter().map(close_at) {
                if first.is_none_or(|first| (at, id) < first) && self.hosts_heard(id, at).await? {
                    first = Some((at, id));
                }
            }
        }
    }
}

/// The row of [`account::next_close`].
pub fn close_at(row: &Row) -> (Second, AccountId) {
    let id = row.text("id").parse().expect("an id that this program wrote");
    (Second::from_unix(row.int("close_at")), id)
}

/// What an account has used but not settled, to `now`.
pub struct Accruing {
    /// Hourly charges of what is open, with how they would be paid.
    pub hour: Vec<(Charge, Split)>,
    /// Charges of blocks that are not released.
    pub blocks: Vec<(Charge, Split)>,
    /// What left public addresses in hours that are not closed.
    pub traffic: Traffic,
    /// What vouchers would pay of these records: of hours, of traffic, of blocks.
    pub payments: [Vec<Vec<Payment>>; 3],
}

/// Reads and rates what an account has accrued.
pub async fn accruing(app: &App, reads: &Reads, account: &Account, now: Second) -> Result<Accruing, StoreError> {
    let grant = reads.row(account::grant(account.id)).await?.map(|row| account::read_grant(&row));
    let calendar = &app.catalog.time_zone;
    let since = account.close_at.map_or(now, |at| at.plus(-HOUR));
    let hour = match Period::new(since, now) {
        Some(window) => hourly(app, reads, account.id, window, grant.as_ref()).await?,
        None => vec![],
    };
    let leaving = reads.rows(instance::leaving(account.id)).await?;
    let leaving = leaving
        .iter()
        .map(instance::read)
        .filter_map(|block| Some((block.id, ending(&block, now).or_else(|| block.state.end().copied())?)));
    let leaving: BTreeMap<InstanceId, End> = leaving.collect();
    let rows = reads.rows(bill::spans_unreleased(account.id)).await?;
    let spans = rows.iter().map(bill::read_span).filter(|span| matches!(span.settled, Settled::AtRelease { .. }));
    let blocks = spans.flat_map(|span| {
        let window = Period { since: span.since, until: now.max(span.since) };
        rating::charges(&span, window, calendar, None, span.instance().and_then(|block| leaving.get(&block)))
    });
    let blocks: Vec<Charge> = blocks.collect();
    let splits = deduct(&blocks, None);
    let traffic = app.traffic(reads, account.id, None).await?;
    let blocks = blocks.into_iter().zip(splits).collect();
    let mut accruing = Accruing { hour, blocks, traffic, payments: Default::default() };
    voucher::pay_accruing(app, reads, account.id, &mut accruing, now).await?;
    Ok(accruing)
}

/// What came of closing an hour.
enum Closing {
    Done,
    /// It was closed before.
    NotOpen,
    /// The account's spending cap acts within the hour, and has not yet.
    CapFirst,
    /// What the account's arrears bring within the hour is not carried out yet.
    ArrearsFirst,
}

async fn close(mut unit: Unit, id: AccountId, at: Second) -> Outcome<Decision<Closing>> {
    let account = unit.account(id).await?.clone();
    if account.close_at != Some(at) {
        return Ok(unit.done(Closing::NotOpen));
    }
    let capped = cap::see(&unit.app, &unit.reads, &account, unit.now.second()).await?;
    let capped = capped.filter(|seen| seen.has_something_to_do(&unit.app, unit.now));
    let cap_at = capped.and_then(|seen| seen.cap.acting_at.or(seen.acts.map(|(at, _)| at))).filter(|acts| *acts < at);
    let owing = arrears::see(&unit.app, &unit.reads, &account, unit.now).await?;
    let frozen_at = owing.and_then(|seen| seen.waits(&unit.app, unit.now)).filter(|frozen| *frozen < at);
    let before = [cap_at, frozen_at, Some(at)].into_iter().flatten().min().expect("the hour has an end");
    let seen = outlook(&unit.app, &unit.reads, &account, at).await?;
    let mut grant = seen.as_ref().map(|seen| seen.grant.clone());
    let ending = seen.as_ref().map(|seen| seen.ending);
    if let Some(seen) = seen
        && trial::carry_out(&mut unit, &account, seen, before).await?.changed
    {
        // What is due within the hour is done before it is closed; then it is looked at again.
        return Ok(unit.done(Closing::Done));
    }
    if let Some(frozen_at) = frozen_at.filter(|frozen| cap_at.is_none_or(|acts| *frozen < acts)) {
        tracing::debug!(account = %id, %frozen_at, "the hour is closed after what its arrears bring");
        return Ok(unit.done(Closing::ArrearsFirst));
    }
    if cap_at.is_some() {
        return Ok(unit.done(Closing::CapFirst));
    }
    // What of its budget was reached within the hour is told of its own second.
    budget::tell(&mut unit, &account, at).await?;
    // The whole clock hour, also where local midnight cuts its records in two: a grant's cap is for all of it.
    let hour = Period { since: at.plus(-HOUR), until: at };
    let spans = hourly_spans(&unit.reads, id, hour.since).await?;
    let charges = rate(&unit.app, &spans, hour, grant.as_ref());
    // What is beyond this hour decides whether there is a next one to close.
    let more = spans.iter().any(|span| span.until.is_none_or(|until| until > at));
    drop(spans);
    let holds = unit.reads.rows(account::holds(id)).await?;
    let flows = traffic::read_flows(&unit.reads.rows(traffic::open_of(id)).await?);
    let more = more || flows.iter().any(|flow| flow.period.until > at);
    let next = more.then(|| at.next_hour());
    unit.change_account(id).await?.close_at = next;

    let traffic = unit.app.clone().traffic(&unit.reads, id, Some(at)).await?;
    unit.close_traffic(id, &traffic, at);
    if !charges.is_empty() || !traffic.charges.is_empty() {
        // A firm instance's hold was for its first hour; a block's stays until its release.
        let computed = charges.iter().filter(|(charge, _)| charge.meter == Meter::Compute);
        let mut settled = BTreeMap::<InstanceId, Second>::new();
        for (charge, _) in computed {
            let Some(of) = charge.instance() else { continue };
            let until = settled.entry(of).or_insert(charge.period.until);
            *until = charge.period.until.max(*until);
        }
        let mut held: Vec<Hold> = holds.iter().map(account::read_hold).collect();
        held.retain(|hold| settled.get(&hold.instance).is_some_and(|until| *until > hold.since));
        unit.drop_holds(id, &held).await?;
        let (charges, splits): (Vec<_>, Vec<_>) = charges.into_iter().unzip();
        let used: Exact = splits.iter().map(|split| split.grant).sum();
        if let Some(grant) = grant.as_mut().filter(|_| used.units() > 0) {
            grant.used += used;
            unit.write(account::use_grant(id, grant.used));
        }
        let mut payable = by_month(&unit.app, hour, &charges, &splits);
        for charge in &traffic.charges {
            let month = unit.app.catalog.time_zone.month(charge.period.since);
            *payable.entry(month).or_default() += charge.payable().charge(charge.price).in_time();
        }
        for (month, payable) in payable {
            unit.write(cap_rows::spend(id, month, payable));
        }
        unit.log(id, None, &Event::HourClosed { hour });
        unit.settle_with_traffic(id, &format!("hour {at}"), charges, splits, &traffic.charges, at).await?;
    }
    unit.look_after_block_debt(id, at).await?;
    if let (Some(grant), Some(ending)) = (grant, ending)
        && unit.now >= grant.valid_until.start()
        && trial::hours_are_over(next, &grant)
    {
        trial::expire(&mut unit, &account, &grant, &ending);
    }
    Ok(unit.done(Closing::Done))
}

/// What of an hour is payable, by the first second of its month: of both, where a month begins within it.
fn by_month(app: &App, hour: Period, charges: &[Charge], splits: &[Split]) -> BTreeMap<Second, Exact> {
    let calendar = &app.catalog.time_zone;
    let (first, last) = (calendar.month(hour.since), calendar.month(hour.until.plus(-1)));
    let month = |charge: &Charge| if charge.period.since < last { first } else { last };
    let mut payable = BTreeMap::new();
    for (charge, split) in charges.iter().zip(splits) {
        *payable.entry(month(charge)).or_default() += split.payable;
    }
    payable
}

/// The hourly charges of an account in a window, with how its grant pays them.
async fn hourly(
    app: &App,
    reads: &Reads,
    id: AccountId,
    window: Period,
    grant: Option<&TrialGrant>,
) -> Result<Vec<(Charge, Split)>, StoreError> {
    Ok(rate(app, &hourly_spans(reads, id, window.since).await?, window, grant))
}

/// What is charged hourly of an account from `since` on, in the order in which a grant pays: by instance, compute before disk.
async fn hourly_spans(reads: &Reads, id: AccountId, since: Second) -> Result<Vec<Span>, StoreError> {
    let rows = reads.rows(bill::spans_beyond(id, since)).await?;
    let spans = rows.iter().map(bill::read_span).filter(|span| matches!(span.settled, Settled::Hourly { .. }));
    let mut spans: Vec<Span> = spans.collect();
    spans.sort_by_key(|span| (span.resource, span.meter, span.since));
    Ok(spans)
}

/// Charges in a window, hour by hour.
fn rate(app: &App, spans: &[Span], window: Period, grant: Option<&TrialGrant>) -> Vec<(Charge, Split)> {
    let (calendar, mut grant) = (&app.catalog.time_zone, grant.cloned());
    let (mut all, mut since) = (vec![], window.since);
    // While a host is not heard several hours are open, and each has a cap of its own.
    while since < window.until {
        let hour = Period { since, until: window.until.min(since.next_hour()) };
        let charges = spans.iter().flat_map(|span| rating::charges(span, hour, calendar, grant.as_ref(), None));
        let charges: Vec<Charge> = charges.collect();
        let splits = deduct(&charges, grant.as_ref());
        if let Some(grant) = &mut grant {
            grant.used += splits.iter().map(|split| split.grant).sum();
        }
        all.extend(charges.into_iter().zip(splits));
        since = hour.until;
    }
    all
}
