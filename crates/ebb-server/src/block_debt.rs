//! What if blocks, which are billed at their release, have cost more than there is to pay them with? (rules §5.2)
//!
//! Who owes already is frozen by what is not settled, too ([`crate::arrears`]). This is for who owes nothing yet: with the end of the hour in
//! which what he would owe has passed the debt limit his blocks are released, and with what they have cost his arrears begin.

use crate::app::App;
use crate::denied::Denied;
use crate::unit::{Outcome, Unit};
use crate::work::hours::accruing;
use ebb_engine::event::Event;
use ebb_engine::lifecycle::{Input, step};
use ebb_model::billing::Span;
use ebb_model::id::AccountId;
use ebb_model::instance::Instance;
use ebb_model::money::{Amount, Exact};
use ebb_model::time::{HOUR, Second};
use ebb_store::Decision;
use ebb_store::rows::account::Account;
use ebb_store::rows::{alarm, bill, cap, instance};

/// An hour of an account has closed whose blocks may have cost too much.
pub const ALARM: &str = "block-debt";

impl App {
    pub async fn tend_block_debt(&self, id: AccountId) -> Result<(), Denied> {
        Ok(self.unit("tend-block-debt", &id.to_string(), move |unit| tend(unit, id)).await?)
    }
}

impl Unit {
    /// The hour that ended at `at` is closed. What its blocks have cost is looked at closely before a later hour is closed, if by the next
    /// one it could pass the limit, were there nothing to pay it with.
    pub async fn look_after_block_debt(&mut self, id: AccountId, at: Second) -> Outcome<()> {
        let until = |span: &Span| span.until.map_or(at.plus(HOUR), |until| until.min(at.plus(HOUR)));
        let cost = |span: &Span| span.price.at(span.since).charge((until(span).unix() - span.since.unix()).max(0));
        let rows = self.reads.rows(cap::block_spans(id)).await?;
        let cost: Exact = rows.iter().map(bill::read_span).map(|span| cost(&span)).sum();
        if cost > self.app.catalog.limits.arrears.debt_limit.exact() {
            self.write(alarm::set_at_latest(ALARM, &id.to_string(), at.start().plus_millis(1)));
        }
        Ok(())
    }
}

async fn tend(mut unit: Unit, id: AccountId) -> Outcome<Decision<()>> {
    // What it leads to happens once, also if the service dies before it can say that the alarm is done.
    unit.write(alarm::clear(ALARM, &id.to_string()));
    let of = unit.account(id).await?.clone();
    let Some(at) = of.close_at.map(|at| at.plus(-HOUR)).filter(|_| of.purse.debt == Amount::ZERO) else {
        return Ok(unit.done(()));
    };
    let limits = unit.app.catalog.limits.clone();
    let limit = limits.arrears.debt_limit;
    let goes = |one: &Instance| {
        let runs = !one.purchase.is_firm() && one.first_running.is_some_and(|start| start < at);
        runs && step(one, Input::Frozen { at }, unit.now, &limits).is_ok_and(|done| done.next.is_some())
    };
    let live = unit.reads.rows(instance::live_of_account(id)).await?;
    let blocks: Vec<Instance> = live.iter().map(instance::read).filter(goes).collect();
    if blocks.is_empty() {
        return Ok(unit.done(()));
    }
    if would_owe(&unit, &of, at).await? > limit.exact() {
        // Whoever tops up or settles meanwhile changes the account, too.
        unit.change_account(id).await?;
        unit.log_and_tell_account(id, &Event::DebtLimitReached { at, limit });
        for block in &blocks {
            unit.step(block, Input::Frozen { at }).await?;
        }
    } else if would_owe(&unit, &of, at.plus(HOUR)).await? > limit.exact() {
        unit.log_and_tell_account(id, &Event::DebtLimitSoon { at: at.plus(HOUR), limit });
    }
    Ok(unit.done(()))
}

/// What would be owed if all that is used were settled at this second.
async fn would_owe(unit: &Unit, of: &Account, at: Second) -> Outcome<Exact> {
    let open = accruing(&unit.app, &unit.reads, of, at).await?;
    let time: Exact = open.hour.iter().chain(&open.blocks).map(|(_, split)| split.payable - split.vouchers).sum();
    let traffic: Exact = open
        .traffic
        .charges
        .iter()
        .map(|charge| charge.paid())
        .map(|paid| (paid.payable - paid.vouchers).in_time())
        .sum();
    Ok(time + traffic - of.purse.cash.exact())
}
