//! What is read of an account to say what its month will come to?

use crate::app::App;
use crate::cap::{billed_by_month, months, spending_as};
use ebb_engine::expected::{Cap, Course, Expected, Funds, Held, Renewal, expected, held_until};
use ebb_engine::outlays::going_on;
use ebb_engine::spending::{Spending, month_of};
use ebb_model::catalog::SYSTEM_DISK;
use ebb_model::instance::Instance;
use ebb_model::time::{Period, Second};
use ebb_store::rows::account::{self, Account};
use ebb_store::rows::cap;
use ebb_store::{Reads, StoreError};
use std::collections::BTreeMap;

/// How far it is looked ahead for how long cash lasts.
const MONTHS_AHEAD: usize = 36;

/// An account's month, and what it goes on with.
pub struct Ahead {
    pub month: Period,
    pub spending: Spending,
    pub live: Vec<Instance>,
    pub expected: Expected,
}

/// How far it is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// To the end of the month.
    Month,
    /// And until cash is used up.
    Cash,
}

pub async fn ahead(app: &App, reads: &Reads, of: &Account, now: Second, how: How) -> Result<Ahead, StoreError> {
    let (month, next) = months(app, now);
    let billed = billed_by_month(reads, of.id, month).await?;
    let (spending, live) = spending_as(app, reads, of, now, billed, |known| going_on(known, now)).await?;
    let holds = reads.rows(account::holds(of.id)).await?;
    let by_id: BTreeMap<_, _> = live.iter().map(|one| (one.id, one)).collect();
    let held = holds.iter().map(account::read_hold).map(|hold| Held {
        amount: hold.amount,
        until: by_id.get(&hold.instance).map_or(Some(now), |one| held_until(one, hold.since, now)),
    });
    let (cash, debt, settled) = (of.purse.cash, of.purse.debt, of.totals.paid.payable);
    let funds = Funds { cash, debt, settled, held: held.collect() };
    let price = |one: &Instance| {
        let flavor = app.catalog.flavor(&one.flavor)?;
        app.catalog.month_price(flavor, one.resources.get(SYSTEM_DISK))
    };
    let renewals = live.iter().filter_map(|one| Renewal::of(one, price(one))).collect();
    let cap = reads.row(cap::of(of.id)).await?.as_ref().map(cap::read).map(|cap| Cap {
        amount: cap.amount,
        since: cap.set_at,
        least_seconds: app.catalog.limits.taking_minimum_seconds,
    });
    let calendar = &app.catalog.time_zone;
    let mut all = vec![month, next];
    while how == How::Cash && all.len() < MONTHS_AHEAD {
        all.push(month_of(calendar, all[all.len() - 1].until));
    }
    let course = Course { spending, funds, renewals, cap, calendar, now };
    let expected = expected(&course, &all);
    Ok(Ahead { month, spending: course.spending, live, expected })
}
