//! How does a unit of work write down what is used from when to when?

use super::{Outcome, Unit};
use ebb_engine::price::tariff;
use ebb_engine::rating;
use ebb_engine::trial::lists;
use ebb_model::billing::Meter;
use ebb_model::id::{AccountId, SpanId};
use ebb_model::instance::{Instance, Purchase};
use ebb_model::time::{HOUR, Second};
use ebb_store::rows::{account, bill};

impl Unit {
    /// Since when an account's seconds can still be charged: those of hours that are closed are neither charged nor taken back.
    pub async fn open_since(&mut self, id: AccountId) -> Outcome<Option<Second>> {
        Ok(match self.account(id).await?.close_at {
            Some(at) => Some(at.plus(-HOUR)),
            // None is open now; what begins must not begin in one that was closed.
            None => self.reads.row(bill::last_hour(id)).await?.map(|row| Second::from_unix(row.int("at"))),
        })
    }

    pub(super) async fn open_spans(&mut self, of: &Instance, meters: &[Meter], since: Second) -> Outcome<()> {
        let (mint, now) = (self.app.mint.clone(), self.now);
        let listed = match of.purchase {
            Purchase::Trial { .. } => self.is_listed(of).await?,
            _ => false,
        };
        let tariff = tariff(&self.app.catalog, of);
        for span in rating::spans_of(of, &tariff, meters, listed, since, || SpanId::new(mint.uuid(now))) {
            self.write(bill::insert_span(&span));
        }
        let cut = since.next_hour();
        let account = self.change_account(of.account).await?;
        account.ran = true;
        account.close_at = Some(account.close_at.map_or(cut, |at| at.min(cut)));
        self.drawn_anew(of).await
    }

    /// A trial instance draws more or less of its grant than before.
    pub(super) async fn drawn_anew(&mut self, of: &Instance) -> Outcome<()> {
        if let Purchase::Trial { .. } = of.purchase {
            self.change_account(of.account).await?;
            self.look_after_trial(of.account);
        }
        Ok(())
    }

    pub(super) async fn leave_trial(&mut self, of: &Instance, meters: &[Meter], since: Second) -> Outcome<()> {
        let spans = self.reads.rows(bill::spans_after(of.id, since)).await?;
        let (mint, now) = (self.app.mint.clone(), self.now);
        meters.iter().for_each(|meter| self.write(bill::close_spans_of(of.id, *meter, since)));
        for span in spans.iter().map(bill::read_span).filter(|span| meters.contains(&span.meter)) {
            self.write(bill::insert_span(&rating::after_trial(&span, since, SpanId::new(mint.uuid(now)))));
        }
        Ok(())
    }

    /// Whether the account's grant has the instance's flavor on its list.
    pub(super) async fn is_listed(&self, of: &Instance) -> Outcome<bool> {
        let Some(row) = self.reads.row(account::grant(of.account)).await? else { return Ok(false) };
        let (holder, catalog) = (account::read_grant(&row).holder, &self.app.catalog);
        let region = catalog.zone(&of.zone).map_or("", |zone| zone.region.as_str());
        Ok(lists(catalog, holder, region, &of.flavor))
    }
}
