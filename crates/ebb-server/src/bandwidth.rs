//! When is the bandwidth of a public address charged, and how is it changed how an address is paid? (rules §4.4)

use crate::app::App;
use crate::arrears;
use crate::cap;
use crate::denied::Denied;
use crate::unit::{Outcome, Unit, refuse};
use crate::voucher::Funds;
use ebb_engine::event::Event;
use ebb_engine::funds::Need;
use ebb_engine::outlays::{self, Flat};
use ebb_engine::rating;
use ebb_engine::refusal::Refused;
use ebb_model::billing::{Follows, Meter, ResourceId, Span};
use ebb_model::catalog::Catalog;
use ebb_model::id::{AccountId, SpanId};
use ebb_model::instance::Instance;
use ebb_model::money::Price;
use ebb_model::price::Prices;
use ebb_model::price_book::Item;
use ebb_model::time::Second;
use ebb_model::traffic::{Address, PaidBy};
use ebb_store::rows::account::Account;
use ebb_store::rows::{address, bill};
use ebb_store::{Reads, StoreError};

/// What a Mbit/s costs per hour in a region, if so many are sold for an address.
///
/// # Errors
/// None are, or not so many.
pub fn sold<'a>(catalog: &'a Catalog, region: &str, mbit: i64) -> Result<&'a Prices, Refused> {
    let prices = catalog.region(region).and_then(|region| region.bandwidth.as_ref());
    let prices = prices.ok_or_else(|| Refused::NoBandwidth(region.to_owned()))?;
    let most = catalog.limits.mbit_per_address;
    if (1..=most).contains(&mbit) { Ok(prices) } else { Err(Refused::Mbit { mbit, most }) }
}

/// That of an account which is not charged now and may be, for whoever looks ahead: what leads to an instance that never ran, and what is
/// frozen.
pub async fn to_come(app: &App, reads: &Reads, of: &Account) -> Result<Vec<Flat>, StoreError> {
    let frozen = arrears::frozen_since(reads, of).await?;
    let mut all = vec![];
    for known in reads.rows(address::by_bandwidth(of.id)).await?.iter().map(address::read) {
        let before = reads.rows(bill::spans_of(ResourceId::Address(known.id))).await?;
        let last = before.last().map(bill::read_span);
        if last.as_ref().is_some_and(|last| last.until.is_none()) {
            continue;
        }
        let since = frozen.unwrap_or(known.allocated_at.second());
        let sold = app.catalog.region(&known.region).and_then(|region| region.bandwidth.as_ref());
        let price = match (sold, known.paid.mbit) {
            (Some(prices), Some(mbit)) => prices.times(mbit).since(since),
            _ => last.map_or_else(Prices::default, |last| last.price),
        };
        let (of, begins) = (ResourceId::Address(known.id), frozen.is_none());
        all.push(Flat { of, meter: Meter::Bandwidth, price, since, begins });
    }
    Ok(all)
}

/// What stands against so much bandwidth, beside a cap: it is sold, and the money for its first hour is there unbound.
pub async fn refused(
    app: &App,
    reads: &Reads,
    of: &Account,
    region: &str,
    mbit: i64,
    now: Second,
) -> Result<Option<Refused>, StoreError> {
    let prices = match sold(&app.catalog, region, mbit) {
        Ok(prices) => prices,
        Err(refused) => return Ok(Some(refused)),
    };
    let need = Need::hour(Meter::Bandwidth, region, prices.times(mbit).at(now), now);
    Funds::refused(app, reads, of, &need, now).await
}

impl Unit {
    /// The door for so much bandwidth.
    pub async fn permit_bandwidth(&mut self, of: AccountId, region: &str, mbit: i64) -> Outcome<()> {
        let (app, now) = (self.app.clone(), self.now.second());
        let account = self.account(of).await?.clone();
        if let Some(why) = refused(&app, &self.reads, &account, region, mbit, now).await? {
            return refuse(why);
        }
        let prices = sold(&app.catalog, region, mbit).map_err(Denied::from)?.times(mbit);
        cap::permit(self, of, |spending, now| outlays::cost_more(spending, Meter::Bandwidth, prices, now)).await
    }

    /// The bandwidth of an address is charged from a second on, if it is paid by that.
    pub async fn begin_bandwidth(&mut self, of: &Address, since: Second) -> Outcome<()> {
        let Some(mbit) = of.paid.mbit else { return Ok(()) };
        let price = self.open_bandwidth(of, mbit, since).await?;
        self.log(
            of.account,
            of.instance,
            &Event::AddressCharged { address: of.id, mbit: Some(mbit), price, at: since },
        );
        Ok(())
    }

    /// An instance runs for the first time: charge begins of the bandwidth that was bought with it.
    pub async fn begin_bandwidth_of(&mut self, of: &Instance, since: Second) -> Outcome<()> {
        for known in self.reads.rows(address::of_instance(of.id)).await?.iter().map(address::read) {
            if known.paid.mbit.is_some()
                && self.reads.rows(bill::spans_of(ResourceId::Address(known.id))).await?.is_empty()
            {
                self.begin_bandwidth(&known, since).await?;
            }
        }
        Ok(())
    }

    /// What was frozen is charged again.
    pub async fn thaw_bandwidth(&mut self, of: AccountId, at: Second) -> Outcome<()> {
        for known in self.reads.rows(address::by_bandwidth(of)).await?.iter().map(address::read) {
            // What was bought with an instance that did not run yet begins with that.
            if !self.reads.rows(bill::spans_of(ResourceId::Address(known.id))).await?.is_empty() {
                self.begin_bandwidth(&known, at).await?;
            }
        }
        Ok(())
    }

    /// An address is paid otherwise from now on: by so many Mbit/s, or by what leaves it.
    pub async fn pay_address_by(&mut self, known: &Address, mbit: Option<i64>) -> Outcome<Address> {
        if known.released_at.is_some() {
            return refuse(Refused::AddressReleased);
        }
        if known.paid.mbit == mbit {
            return refuse(Refused::PaidSoAlready);
        }
        if let Some(mbit) = mbit {
            sold(&self.app.catalog, &known.region, mbit).map_err(Denied::from)?;
            let more = mbit - known.paid.mbit.unwrap_or(0);
            if more > 0 {
                self.permit_bandwidth(known.account, &known.region, more).await?;
            }
        }
        let mut paid = known.paid.change(mbit, self.now.second());
        // Not before its charge began, nor into what was frozen.
        let spans = self.reads.rows(bill::spans_of(ResourceId::Address(known.id))).await?;
        let last = spans.last().map(bill::read_span).map(|last| last.until.unwrap_or(last.since).max(last.since));
        paid.since = last.map_or(paid.since, |last| last.max(paid.since));
        let next = Address { paid, ..known.clone() };
        self.guard(address::pay_by(known, &paid));
        let PaidBy { since, .. } = paid;
        self.write(bill::close_spans_of(ResourceId::Address(known.id), Meter::Bandwidth, since));
        match mbit {
            Some(_) => self.begin_bandwidth(&next, since).await?,
            None => {
                let price = known.price.at(since);
                let what = Event::AddressCharged { address: known.id, mbit, price, at: since };
                self.log(known.account, known.instance, &what);
                self.look_after_cap(known.account);
            }
        }
        if let Some(leads_to) = known.instance {
            // Its host holds what leaves it to that, or to nothing any more.
            let about = self.instance(leads_to).await?;
            self.order(&about);
        }
        Ok(next)
    }

    /// Opens the span of so many Mbit/s; gives the price of one. What a region sells no more costs what it did.
    async fn open_bandwidth(&mut self, of: &Address, mbit: i64, since: Second) -> Outcome<Price> {
        let (app, resource) = (self.app.clone(), ResourceId::Address(of.id));
        let id = SpanId::new(app.mint.uuid(self.now));
        let prices = app.catalog.region(&of.region).and_then(|region| region.bandwidth.as_ref());
        let (span, price) = match prices {
            Some(prices) => {
                let follows = Follows { item: Item::Bandwidth(of.region.clone()).to_string(), units: mbit };
                let span = rating::span_of(id, of.account, resource, Meter::Bandwidth, (prices, follows), since);
                (span, prices.at(since))
            }
            None => {
                let before = self.reads.rows(bill::spans_of(resource)).await?;
                let last = before.last().map(bill::read_span).expect("bandwidth that was sold once was charged");
                let price = Price::from_micros(last.price.at(since).micros() / mbit.max(1));
                (Span { id, since, until: None, ..last }, price)
            }
        };
        self.write(bill::insert_span(&span));
        let cut = since.next_hour();
        let account = self.change_account(of.account).await?;
        account.close_at = Some(account.close_at.map_or(cut, |at| at.min(cut)));
        self.look_after_cap(of.account);
        Ok(price)
    }
}
