//! What is read of an account to say what its month will come to?

use crate::app::App;
use crate::arrears;
use crate::cap::{self, billed_by_month, months};
use crate::voucher;
use ebb_engine::expected::{Cap, Course, Expected, Funds, Held, Renewal, Sold, expected, held_until};
use ebb_engine::outlays::going_on;
use ebb_engine::spending::{Spending, Whose, month_of};
use ebb_model::billing::ResourceId;
use ebb_model::catalog::SYSTEM_DISK;
use ebb_model::instance::Instance;
use ebb_model::time::{Period, Second};
use ebb_store::rows::account::{self, Account};
use ebb_store::rows::{cap as cap_rows, instance};
use ebb_store::{Reads, StoreError};
use std::collections::BTreeMap;

/// How far it is looked ahead for how long cash lasts.
const MONTHS_AHEAD: usize = 36;

/// An account's month, and what it goes on with.
pub struct Ahead {
    pub month: Period,
    pub spending: Spending,
    pub live: Vec<Instance>,
    pub has_vouchers: bool,
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
    let (spending, live) = cap::read(app, reads, of, now, billed, |known| going_on(known, now)).await?;
    let funds = funds(app, reads, of, &spending, &live, now).await?;
    let prices = |one: &Instance| {
        let flavor = app.catalog.flavor(&one.flavor)?;
        app.catalog.month_price(flavor, one.resources.get(SYSTEM_DISK))
    };
    let renewals = live.iter().filter_map(|one| Renewal::of(one, prices(one))).collect();
    let cap = reads.row(cap_rows::of(of.id)).await?.as_ref().map(cap_rows::read).map(|cap| Cap {
        amount: cap.amount,
        since: cap.set_at,
        least_seconds: app.catalog.limits.taking_minimum_seconds,
    });
    let (calendar, arrears) = (&app.catalog.time_zone, &app.catalog.limits.arrears);
    let mut all = vec![month, next];
    while how == How::Cash && all.len() < MONTHS_AHEAD {
        all.push(month_of(calendar, all[all.len() - 1].until));
    }
    let course = Course { spending, funds, renewals, cap, arrears, calendar, now };
    let (expected, has_vouchers) = (expected(&course, &all), !course.funds.vouchers.is_empty());
    Ok(Ahead { month, spending: course.spending, live, has_vouchers, expected })
}

async fn funds(
    app: &App,
    reads: &Reads,
    of: &Account,
    spending: &Spending,
    live: &[Instance],
    now: Second,
) -> Result<Funds, StoreError> {
    let (cash, debt, paid) = (of.purse.cash, of.purse.debt, of.totals.paid);
    let mut held = vec![];
    for hold in reads.rows(account::holds(of.id)).await?.iter().map(account::read_hold) {
        // What is held for is not released; were it, nothing would be held any more.
        let Some(one) = live.iter().find(|one| one.id == hold.instance) else { continue };
        let need = voucher::need_of_hold(app, one, hold.amount, hold.since);
        held.push(Held { need, until: held_until(one, hold.since, now) });
    }
    let vouchers = voucher::live(reads, of.id).await?;
    let sold = |one: &Instance| Sold {
        purchase: one.purchase,
        flavor: one.flavor.clone(),
        region: voucher::region_of(app, one).to_owned(),
    };
    // An order that will not run any more is no order.
    let there = live.iter().filter(|one| one.ordered_months().is_none() || one.state.end().is_none());
    let mut sold: BTreeMap<_, _> = there.map(|one| (one.id, sold(one))).collect();
    let mut regions = BTreeMap::new();
    if !vouchers.is_empty() {
        // What is gone may have been used in hours that are open.
        for id in spending.draws.iter().filter_map(|draw| draw.of?.instance()) {
            if let std::collections::btree_map::Entry::Vacant(unknown) = sold.entry(id) {
                let row = reads.row(instance::by_id(id)).await?.expect("instances are never deleted");
                let gone = instance::read(&row);
                let region = voucher::region_of(app, &gone).to_owned();
                unknown.insert(Sold { purchase: gone.purchase, flavor: gone.flavor, region });
            }
        }
        let flowed = spending.flowed.iter().filter_map(|one| match one.of {
            Some(Whose::Address(id)) => Some(ResourceId::Address(id)),
            _ => None,
        });
        let others = spending.draws.iter().filter_map(|draw| draw.of).chain(flowed);
        regions = voucher::regions(reads, others.collect()).await?;
    }
    let (arrears, graces) = arrears::standing(app, reads, of, now).await?;
    let settled = paid.payable - paid.vouchers;
    Ok(Funds { cash, debt, settled, vouchers, held, sold, regions, arrears, graces })
}
