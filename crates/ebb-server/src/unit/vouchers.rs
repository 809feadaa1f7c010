//! How does a unit of work let coupons and cards pay?

use super::{Outcome, Unit};
use crate::voucher::{by_due, dues, live};
use ebb_engine::event::Event;
use ebb_engine::settlement::VoucherUse;
use ebb_engine::voucher::{Payment, pay};
use ebb_model::billing::{Charge, Split};
use ebb_model::id::AccountId;
use ebb_model::time::Second;
use ebb_model::traffic::TrafficCharge;
use ebb_model::voucher::Voucher;
use ebb_store::rows::voucher;

/// What vouchers paid of some records.
#[derive(Default)]
pub(super) struct Paid {
    pub uses: Vec<VoucherUse>,
    /// By record: those of time, then those of traffic.
    pub by_record: Vec<Vec<Payment>>,
}

impl Unit {
    /// Those of the account that may still pay something, with what this unit did to them.
    pub async fn vouchers(&mut self, of: AccountId) -> Outcome<&mut Vec<Voucher>> {
        // Before them, so that its generation guards what was read of them.
        self.account(of).await?;
        if self.vouchers.as_ref().is_none_or(|(known, _)| *known != of) {
            self.vouchers = Some((of, live(&self.reads, of).await?));
        }
        Ok(&mut self.vouchers.as_mut().expect("vouchers that were just read").1)
    }

    /// Writes a voucher as it is from now on. Whoever does so changes its account, too.
    pub fn change_voucher(&mut self, to: &Voucher) {
        if let Some(known) = self.vouchers.iter_mut().flat_map(|(_, all)| all).find(|one| one.id == to.id) {
            *known = to.clone();
        }
        self.write(voucher::change(to));
    }

    /// Lets vouchers pay what they may of records that are settled at `at`; the parts say it afterwards.
    pub(super) async fn pay_with_vouchers(
        &mut self,
        of: AccountId,
        charges: &[Charge],
        splits: &mut [Split],
        traffic: &mut [TrafficCharge],
        at: Second,
    ) -> Outcome<Paid> {
        let before = self.vouchers(of).await?.clone();
        let mut paid = Paid { uses: vec![], by_record: vec![vec![]; charges.len() + traffic.len()] };
        if before.iter().all(|one| one.is_over() || !one.valid_at(at)) {
            return Ok(paid);
        }
        let dues = dues(&self.app.clone(), &self.reads, charges.iter().zip(&*splits), traffic).await?;
        let payments = pay(&before, at, &dues);
        paid.by_record = by_due(&payments, dues.len());
        for payment in &payments {
            match payment.due.checked_sub(splits.len()) {
                None => splits[payment.due].vouchers += payment.amount.whole_time(),
                Some(n) => traffic[n].vouchers = traffic[n].vouchers + payment.amount.whole_traffic(),
            }
        }
        for mut known in before {
            let mine = payments.iter().filter(|payment| payment.voucher == known.id);
            let (before, amount) = (known.used, mine.map(|payment| payment.amount).sum());
            known.used += amount;
            if known.used == before {
                continue;
            }
            paid.uses.push(VoucherUse { voucher: known.id, before, after: known.used });
            self.change_voucher(&known);
            if known.is_over() {
                let (voucher, kind) = (known.id, known.kind);
                self.log_and_tell_account(of, &Event::VoucherUsedUp { voucher, kind, at });
            }
        }
        Ok(paid)
    }
}
