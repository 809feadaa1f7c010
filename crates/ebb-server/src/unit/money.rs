//! How does a unit of work move money? Records, entries, holds, and what an account has.

use super::{Outcome, Unit};
use ebb_engine::drill::free_seconds;
use ebb_engine::event::Event;
use ebb_engine::monthly;
use ebb_engine::rating;
use ebb_engine::settlement::{self, settle_with_vouchers};
use ebb_engine::trial::deduct;
use ebb_engine::voucher::Payment;
use ebb_ledger::Entry;
use ebb_model::billing::{BillRecord, Charge, Settled, Span, Split};
use ebb_model::id::{AccountId, EntryId, InstanceId, RecordId, SpanId};
use ebb_model::instance::{End, Instance, State};
use ebb_model::time::{Period, Second};
use ebb_model::traffic::{TrafficCharge, TrafficRecord};
use ebb_store::rows::account::Hold;
use ebb_store::rows::voucher::PaidOf;
use ebb_store::rows::{account, bill, block, cap as cap_rows, drill, traffic as traffic_rows, voucher};

impl Unit {
    pub(super) async fn settle_block(&mut self, of: &Instance) -> Outcome<()> {
        // At its release, which the server may learn of late.
        let State::Released { end, gone_at } = of.state else { panic!("settled before its release: {of:?}") };
        let released_at = gone_at.second();
        let rows = self.reads.rows(bill::spans_of(of.id)).await?;
        let spans = rows.iter().map(bill::read_span).filter(|s| matches!(s.settled, Settled::AtRelease { .. }));
        let charges: Vec<Charge> = spans.flat_map(|span| self.charge_whole(span, end)).collect();
        let splits = deduct(&charges, None);
        if end.notice.is_some() {
            self.write(drill::settle(of.id, free_seconds(&end)));
        }
        self.write(block::settled(of.id, &charges, &splits));
        let month = self.app.catalog.time_zone.month(end.at);
        self.write(cap_rows::spend(of.account, month, splits.iter().map(|split| split.payable).sum()));
        self.settle(of.account, &format!("block {}", of.id), charges, splits, released_at).await
    }

    /// Issues the one record of months that are paid in advance.
    pub(super) async fn pay(&mut self, of: &Instance, payment: &monthly::Payment) -> Outcome<()> {
        let id = SpanId::new(self.app.mint.uuid(self.now));
        let (span, charge) = rating::in_advance(of, payment, id);
        self.write(bill::insert_span(&span));
        let split = Split { payable: charge.gross(), ..Split::default() };
        // When it was asked for; what nobody asked for is paid in the second in which it begins, however late that is carried out.
        let paid_at = self.now.second().min(payment.period.since);
        let month = self.app.catalog.time_zone.month(paid_at);
        self.write(cap_rows::spend(of.account, month, split.payable));
        self.change_account(of.account).await?.ran = true;
        let reason = format!("subscription {} {}", of.id, payment.period.since);
        self.settle(of.account, &reason, vec![charge], vec![split], paid_at).await
    }

    pub(super) fn charge_whole(&self, span: Span, end: End) -> Vec<Charge> {
        let span = Span { until: Some(end.at), ..span };
        let whole = Period { since: span.since, until: end.at };
        rating::charges(&span, whole, &self.app.catalog.time_zone, None, Some(&end))
    }

    /// Issues records and moves the money. `reason` is what makes it happen once.
    pub async fn settle(
        &mut self,
        account: AccountId,
        reason: &str,
        charges: Vec<Charge>,
        splits: Vec<Split>,
        issued_at: Second,
    ) -> Outcome<()> {
        self.settle_with_traffic(account, reason, charges, splits, &[], issued_at).await
    }

    /// The same with an hour's traffic.
    pub async fn settle_with_traffic(
        &mut self,
        account: AccountId,
        reason: &str,
        charges: Vec<Charge>,
        mut splits: Vec<Split>,
        traffic: &[TrafficCharge],
        issued_at: Second,
    ) -> Outcome<()> {
        let (mint, now) = (self.app.mint.clone(), self.now);
        let mut traffic = traffic.to_vec();
        let paid = self.pay_with_vouchers(account, &charges, &mut splits, &mut traffic, issued_at).await?;
        let row = self.change_account(account).await?;
        let debt_before = row.purse.debt;
        let settled = settle_with_vouchers(account, row.totals, row.purse, &charges, &splits, &traffic, &paid.uses);
        row.totals = settled.totals;
        row.purse = settled.purse;
        let mut payments = paid.by_record.into_iter().flatten().peekable();
        let (mut at, mut paid_of) = (0, vec![]);
        // What paid the next record.
        let mut paid = |record: RecordId, since: Second| {
            while let Some(Payment { voucher, amount, .. }) = payments.next_if(|paid| paid.due == at) {
                paid_of.push(PaidOf { record, since, voucher, amount });
            }
            at += 1;
        };
        let records = charges.into_iter().zip(splits).map(|(charge, split)| {
            let id = RecordId::new(mint.uuid(now));
            paid(id, charge.period.since);
            BillRecord { id, charge, split, issued_at }
        });
        self.writes.extend(bill::insert_records(records));
        for charge in traffic {
            let id = RecordId::new(mint.uuid(now));
            paid(id, charge.period.since);
            self.write(traffic_rows::insert_record(&TrafficRecord { id, account, charge, issued_at }));
        }
        self.writes.extend(voucher::insert_payments(account, paid_of));
        self.post(account, reason, &settled.entry, issued_at);
        self.after_settlement(account, debt_before, issued_at).await
    }

    pub fn post(&mut self, account: AccountId, reason: &str, entry: &Entry, at: Second) {
        let id = EntryId::new(self.app.mint.uuid(self.now));
        self.writes.extend(bill::insert_entry(id, account, at, reason, entry));
    }

    pub async fn top_up(&mut self, id: AccountId, amount: ebb_model::money::Amount) -> Outcome<()> {
        let account = self.change_account(id).await?;
        let debt_before = account.purse.debt;
        let (entry, purse) = settlement::top_up(id, account.purse, amount);
        account.purse = purse;
        let reason = format!("top-up {}", self.app.mint.uuid(self.now).simple());
        self.post(id, &reason, &entry, self.now.second());
        self.log(id, None, &Event::ToppedUp { amount });
        self.after_repayment(id, debt_before).await
    }

    /// Money that is not to be spent before seconds of the instance from `since` on are settled.
    pub async fn hold(
        &mut self,
        id: AccountId,
        about: InstanceId,
        amount: ebb_model::money::Amount,
        since: Second,
    ) -> Outcome<()> {
        if amount != ebb_model::money::Amount::ZERO {
            let account = self.change_account(id).await?;
            account.held = account.held + amount;
            self.write(account::insert_hold(id, about, amount, since));
        }
        Ok(())
    }

    pub async fn drop_hold(&mut self, id: AccountId, about: InstanceId) -> Outcome<()> {
        if let Some(row) = self.reads.row(account::hold_of(about)).await? {
            let amount = account::read_hold(&row).amount;
            let account = self.change_account(id).await?;
            account.held = account.held - amount;
            self.write(account::delete_hold(about));
        }
        Ok(())
    }

    /// The same of several that were just read.
    pub async fn drop_holds(&mut self, id: AccountId, holds: &[Hold]) -> Outcome<()> {
        if !holds.is_empty() {
            let account = self.change_account(id).await?;
            account.held = holds.iter().fold(account.held, |held, hold| held - hold.amount);
            self.writes.extend(account::delete_holds(holds.iter().map(|hold| hold.instance)));
        }
        Ok(())
    }
}
