//! How does a subscription renew itself, and what is said when it cannot? (rules §4.3)

use super::{Outcome, Unit};
use crate::cap;
use crate::voucher::{Funds, region_of};
use ebb_engine::conversion::Payer;
use ebb_engine::event::Event;
use ebb_engine::funds::Need;
use ebb_engine::lifecycle::{Input, Step};
use ebb_engine::monthly::{Payment, renews};
use ebb_engine::outlays;
use ebb_engine::refusal::Refused;
use ebb_engine::renewal::{self, failed};
use ebb_model::instance::Instance;
use ebb_model::money::{Amount, Exact};
use ebb_model::time::Second;
use ebb_store::rows::account::Account;
use ebb_store::rows::cap as cap_rows;

impl Unit {
    /// Pays the next months of what is to renew itself now. `None`: nothing is due, or it could not be paid, which is said; its end follows.
    pub(super) async fn renew_itself(&mut self, before: &Instance, input: Input) -> Outcome<Option<Instance>> {
        if input != Input::Due || !renewal::is_due(before, self.now) {
            return Ok(None);
        }
        let (months, until) = (renews(before).expect("it renews itself"), before.paid_until().expect("it is paid"));
        // Of two that spend the same money one sees the other.
        let account = self.change_account(before.account).await?.clone();
        let next = renewal::next(&self.app.catalog, before);
        let available =
            self.funds_for_months(&account, before, next.as_ref().ok().map(|(_, paid)| paid), until).await?;
        let payer = Payer { debt: account.purse.debt, available };
        let needed = next.as_ref().ok().map(|(_, paid)| paid.total().posted());
        match self.may_renew(before, next, &payer, until).await? {
            Ok(step) => self.follow(before, step).await,
            Err(why) => {
                self.log_and_tell(before, &failed(months, until, needed, payer.available, &why));
                Ok(None)
            }
        }
    }

    async fn may_renew(
        &mut self,
        before: &Instance,
        next: Result<(ebb_model::instance::Purchase, Payment), Refused>,
        payer: &Payer,
        until: Second,
    ) -> Outcome<Result<Step, Refused>> {
        let step = match next.and_then(|next| Ok((next.1, renewal::renew_itself(before, next, payer)?))) {
            Ok((paid, step)) => (paid, step),
            Err(refused) => return Ok(Err(refused)),
        };
        let of = self.account(before.account).await?.clone();
        let (app, now) = (self.app.clone(), self.now.second());
        let month = app.catalog.time_zone.month(until);
        let change = |spending: &mut _, now| outlays::pay_ahead(spending, before, month, step.0.total(), now);
        if let Some((cap, refused)) = cap::against(&app, &self.reads, &of, now, change).await? {
            self.guard(cap_rows::unstirred(of.id, &cap));
            if let Some(refused) = refused {
                return Ok(Err(refused));
            }
        }
        Ok(Ok(step.1))
    }

    /// Who is told that a subscription ends is told, too, whether it can renew itself.
    pub(super) async fn warn_of_end(&mut self, before: &Instance, warning: Event) -> Outcome<()> {
        let account = self.account(before.account).await?.clone();
        let next = renews(before).and_then(|_| renewal::next(&self.app.catalog, before).ok()).map(|(_, paid)| paid);
        let available = self.funds_for_months(&account, before, next.as_ref(), self.now.second()).await?;
        let warning = renewal::warned(warning, &self.app.catalog.clone(), before, available);
        self.log_and_tell(before, &warning);
        Ok(())
    }

    /// What is there for months of an instance at a second; what nobody sells is looked at as if it cost nothing.
    async fn funds_for_months(
        &mut self,
        account: &Account,
        of: &Instance,
        paid: Option<&Payment>,
        at: Second,
    ) -> Outcome<Amount> {
        let app = self.app.clone();
        let total = paid.map_or(Exact::ZERO, Payment::total);
        let funds = Funds::read(&app, &self.reads, account, at).await?;
        Ok(funds.available(&Need::months(&of.flavor, region_of(&app, of), total, at)))
    }
}
