//! May an instance be sold otherwise from now on, and what follows? (rules §2.7, §4.3)
//!
//! Its room, its disk and its state stay as they are; from this very second on it is another bill.

use crate::event::Event;
use crate::lifecycle::{Effect, Step, change};
use crate::monthly::{self, Payment};
use crate::operation::{Operation, permit};
use crate::refusal::Refused;
use ebb_model::billing::Meter;
use ebb_model::catalog::Limits;
use ebb_model::instance::{Instance, Purchase, State};
use ebb_model::money::Amount;
use ebb_model::time::{HOUR, Second};

/// Who pays, as far as a conversion asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payer {
    pub debt: Amount,
    /// Cash less what is held back already.
    pub available: Amount,
}

impl Payer {
    fn pays(&self, payment: &Payment) -> Result<(), Refused> {
        let needed = payment.total().posted();
        match self.debt > Amount::ZERO {
            true => Err(Refused::Arrears(self.debt)),
            false if self.available < needed => Err(Refused::NotPaidFor { needed, available: self.available }),
            false => Ok(()),
        }
    }
}

/// A trial instance leaves the trial before its end, at the price that it has. It needs the money that buying it would need, and
/// like that it is held back for the first hour (rules §5.2).
///
/// # Errors
/// It is no trial instance, has ended, or the account has not the money.
pub fn to_on_demand(instance: &Instance, payer: &Payer, now: Second, limits: &Limits) -> Result<Step, Refused> {
    permit(instance, Operation::ToOnDemand)?;
    let Purchase::Trial { price } = instance.purchase else {
        unreachable!("only a trial is permitted this: {instance:?}")
    };
    if payer.debt > Amount::ZERO {
        return Err(Refused::Arrears(payer.debt));
    }
    let needed = (price + instance.disk_price).charge(HOUR).posted();
    let mut effects = vec![];
    if limits.hold {
        if payer.available < needed {
            return Err(Refused::InsufficientFunds { needed, available: payer.available });
        }
        effects.push(Effect::Hold { amount: needed, since: now });
    }
    if instance.first_running.is_some() {
        effects.push(Effect::LeaveTrial { meters: Meter::OF_INSTANCE, since: now });
    }
    Ok(sold(instance, Purchase::OnDemand { price }, effects, now))
}

/// It is paid by the month: nothing of it is charged by the hour any more, and what was held back for that is free.
///
/// # Errors
/// It is a block or a subscription already, does neither run nor keep its room, or the account has not the money.
pub fn to_subscription(
    instance: &Instance,
    purchase: Purchase,
    payment: Payment,
    payer: &Payer,
    now: Second,
) -> Result<Step, Refused> {
    permit(instance, Operation::ToSubscription)?;
    payer.pays(&payment)?;
    let close = Effect::CloseSpans { meters: Meter::OF_INSTANCE, until: now };
    let mut step = sold(instance, purchase, vec![close, Effect::DropHold, Effect::Pay(payment)], now);
    let next = step.next.as_mut().expect("a changed instance");
    // A month is more than the minimum that one owes for whom others had to go.
    (next.took_room, next.end_announced) = (false, false);
    Ok(step)
}

/// A subscription is paid for more months: after those that it has, or from now on when they are over. What was switched off stays
/// off until its owner starts it.
///
/// # Errors
/// It is no subscription, is released, or the account has not the money.
pub fn renew(instance: &Instance, purchase: Purchase, payment: Payment, payer: &Payer) -> Result<Step, Refused> {
    if instance.state.end().is_some() {
        return Err(Refused::Released);
    }
    if let Some(refused) = monthly::not_renewable(instance) {
        return Err(refused);
    }
    payer.pays(&payment)?;
    let Payment { months, price, period } = payment;
    let log = Effect::Log(Event::Renewed { months, price, since: period.since, until: period.until, auto: false });
    let mut step = change(instance, instance.state.clone(), vec![Effect::Pay(payment), log]);
    let next = step.next.as_mut().expect("a changed instance");
    (next.purchase, next.end_announced) = (purchase, false);
    Ok(step)
}

fn sold(instance: &Instance, purchase: Purchase, mut effects: Vec<Effect>, at: Second) -> Step {
    let from = instance.purchase.option().to_owned();
    effects.push(Effect::Log(Event::Converted { from, purchase, at }));
    let state: State = instance.state.clone();
    let mut step = change(instance, state, effects);
    step.next.as_mut().expect("a changed instance").purchase = purchase;
    step
}
