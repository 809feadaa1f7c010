//! What is to be done at an instant that no instance and no account waits for itself, and who does it?
//!
//! Whoever wants something done writes an alarm in the commit that makes it necessary.

use crate::app::App;
use crate::denied::Denied;
use crate::{arrears, block_debt, budget, cap, drill, evidence, lending, prices, trial, voucher};
use ebb_store::StoreError;
use ebb_store::rows::alarm::{self, Alarm};

/// The reserve of a zone is to be looked at.
pub const RESERVE: &str = "reserve";
/// The notices of an announced shortage go out.
pub const SHORTAGE: &str = "shortage";

const PUT_OFF_SECONDS: i64 = 30;

impl App {
    pub async fn next_alarm(&self) -> Result<Option<Alarm>, StoreError> {
        Ok(self.store.rows(alarm::next()).await?.first().map(alarm::read))
    }

    /// Carries out an alarm and takes it away, unless it was set anew. Woken twice, it finds nothing left to do. One that fails is
    /// put off: it must not stand before others for ever.
    pub async fn carry_out_alarm(&self, due: &Alarm) -> Result<(), Denied> {
        let failed = match self.answer_alarm(due).await {
            Ok(()) => false,
            Err(Denied::Store(error @ StoreError::Unavailable(_))) => return Err(error.into()),
            Err(error) => {
                tracing::error!(kind = due.kind, subject = due.subject, %error, "an alarm cannot be carried out; it is tried again");
                true
            }
        };
        let taken = due.clone();
        let done = self.unit("alarm", &due.subject, move |mut unit| {
            unit.write(alarm::done(&taken));
            if failed {
                unit.write(alarm::set_at_latest(&taken.kind, &taken.subject, unit.now.plus_seconds(PUT_OFF_SECONDS)));
            }
            async move { Ok(unit.done(())) }
        });
        Ok(done.await?)
    }

    async fn answer_alarm(&self, due: &Alarm) -> Result<(), Denied> {
        match due.kind.as_str() {
            lending::ALARM => self.tend_host(due.subject.parse().expect("an id that this program wrote")).await,
            drill::ALARM => self.drill_on_schedule(&due.subject).await,
            evidence::ALARM => self.wrap_evidence().await,
            arrears::ALARM => self.tend_arrears(due.subject.parse().expect("an id that this program wrote")).await,
            block_debt::ALARM => {
                self.tend_block_debt(due.subject.parse().expect("an id that this program wrote")).await
            }
            budget::ALARM => self.tend_budget(due.subject.parse().expect("an id that this program wrote")).await,
            cap::ALARM => self.tend_cap(due.subject.parse().expect("an id that this program wrote")).await,
            prices::ALARM => self.tend_prices(due.due_at.second()).await,
            trial::ALARM => self.tend_trial(due.subject.parse().expect("an id that this program wrote")).await,
            voucher::ALARM => self.tend_vouchers(due.subject.parse().expect("an id that this program wrote")).await,
            RESERVE => self.restore_reserve(&due.subject).await,
            SHORTAGE => self.relieve(&due.subject).await,
            _ => {
                tracing::warn!(kind = due.kind, subject = due.subject, "nobody knows this alarm; it is taken away");
                Ok(())
            }
        }
    }
}
