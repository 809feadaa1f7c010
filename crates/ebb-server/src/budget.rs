//! Who is told of a budget, and when? At shares of what is payable in the month, and when the month is expected to come to more.
//!
//! An alarm per account says when to look next. Whatever changes one of its instances, or what it pays, sets it to now, in the same
//! commit. It stops nothing, so nobody need see what another decides by it.

use crate::app::App;
use crate::cap::{billed_by_month, months, read};
use crate::denied::Denied;
use crate::forecast::{How, ahead};
use crate::unit::{Outcome, Unit};
use ebb_engine::budget::{Budget, Share};
use ebb_engine::event::Event;
use ebb_engine::outlays::going_on;
use ebb_engine::spending::Spending;
use ebb_model::id::AccountId;
use ebb_model::money::Exact;
use ebb_model::time::{Period, Second};
use ebb_store::rows::account::Account;
use ebb_store::rows::{alarm, budget};
use ebb_store::{Decision, Reads, StoreError};
use std::collections::BTreeMap;

/// An account's budget is to be looked at.
pub const ALARM: &str = "budget";

/// How often it is looked whether the last hour of a month was closed.
const PAUSE_SECONDS: i64 = 60;

/// A budget in a month, and what it depends on.
pub struct Seen {
    pub budget: Budget,
    /// With what was paid in advance in the month by its second.
    pub spending: Spending,
    pub month: Period,
    /// What was told of the month: shares, or that more is expected; and of which second.
    pub told: BTreeMap<String, Second>,
}

impl Seen {
    /// Shares that are reached if all goes on as it is, and were not told yet.
    pub fn shares(&self) -> Vec<Share> {
        let told = self.told.keys().filter_map(|what| what.parse().ok()).collect();
        self.budget.shares(&self.spending, self.month, &told)
    }
}

/// Reads how an account stands with its budget; `None`: it has none.
pub async fn see(app: &App, reads: &Reads, of: &Account, now: Second) -> Result<Option<Seen>, StoreError> {
    let Some(row) = reads.row(budget::of(of.id)).await? else { return Ok(None) };
    // What is looked at late is of the month that was not closed.
    let open_since = of.close_at.map_or(now, |at| at.plus(-ebb_model::time::HOUR)).min(now);
    let (month, _) = months(app, open_since);
    let mut billed = billed_by_month(reads, of.id, month).await?;
    let paid = reads.rows(budget::in_advance(of.id, month.since, month.until)).await?;
    let paid: Vec<_> = paid.iter().map(budget::read_in_advance).collect();
    let sum: Exact = paid.iter().map(|one| one.payable).sum();
    let of_month = billed.entry(month.since).or_default();
    *of_month = *of_month - sum;
    let (mut spending, _) = read(app, reads, of, now, billed, |known| going_on(known, now)).await?;
    spending.flowed.extend(paid);
    let told = reads.rows(budget::told(of.id, month.since)).await?;
    Ok(Some(Seen { budget: budget::read(&row), spending, month, told: told.iter().map(budget::read_told).collect() }))
}

impl App {
    /// Tells what is due of an account's budget, and sets the alarm for what comes next.
    pub async fn tend_budget(&self, id: AccountId) -> Result<(), Denied> {
        Ok(self.unit("tend-budget", &id.to_string(), move |unit| tend(unit, id)).await?)
    }
}

async fn tend(mut unit: Unit, id: AccountId) -> Outcome<Decision<()>> {
    let of = unit.account(id).await?.clone();
    let (app, now) = (unit.app.clone(), unit.now.second());
    if of.closed_at.is_some() {
        return Ok(unit.done(()));
    }
    let Some(seen) = tell(&mut unit, &of, now).await? else { return Ok(unit.done(())) };
    if seen.budget.expected && !seen.told.contains_key(budget::EXPECTED) && seen.month == months(&app, now).0 {
        let expected = ahead(&app, &unit.reads, &of, now, How::Month).await?.expected.total;
        let amount = seen.budget.amount;
        if expected > amount.exact() {
            unit.guard(budget::tell(id, seen.budget.set_at, seen.month.since, budget::EXPECTED, now));
            unit.log_and_tell_account(id, &Event::BudgetExpected { amount, expected: expected.posted(), at: now });
        }
    }
    let next = seen.shares().into_iter().map(|share| share.at).filter(|at| *at > now).min();
    let next = next.unwrap_or(seen.month.until).min(seen.month.until);
    // The last hour of a month stays open while a host is not heard.
    let next = if next > now { next } else { now.plus(PAUSE_SECONDS) };
    unit.write(alarm::set(ALARM, &id.to_string(), next.start()));
    Ok(unit.done(()))
}

/// Tells the shares that are reached by a second, each with its own; `None`: there is no budget.
pub async fn tell(unit: &mut Unit, of: &Account, by: Second) -> Outcome<Option<Seen>> {
    let app = unit.app.clone();
    let Some(seen) = see(&app, &unit.reads, of, unit.now.second()).await? else { return Ok(None) };
    let amount = seen.budget.amount;
    for Share { at, percent } in seen.shares().into_iter().take_while(|share| share.at <= by) {
        let payable = seen.spending.payable_by(seen.month, at).posted();
        unit.guard(budget::tell(of.id, seen.budget.set_at, seen.month.since, &percent.to_string(), at));
        unit.log_and_tell_account(of.id, &Event::BudgetReached { percent, amount, payable, at });
    }
    Ok(Some(seen))
}
