//! When is the bandwidth of a public address charged, and how is it changed how an address is paid? (rules §4.4)

use crate::app::App;
use crate::arrears;
use crate::cap;
use crate::denied::Denied;
use crate::unit::{Outcome, Unit, refuse};
use crate::voucher::Funds;
use ebb_engine::bandwidth;
use ebb_engine::event::Event;
use ebb_engine::funds::Need;
use ebb_engine::outlays::{self, Flat};
use ebb_engine::rating;
use ebb_engine::refusal::Refused;
use ebb_model::billing::{Follows, Meter, ResourceId, Span};
use ebb_model::catalog::Catalog;
use ebb_model::id::{AccountId, AddressId, SpanId};
use ebb_model::instance::Instance;
use ebb_model::money::Price;
use ebb_model::price::Prices;
use ebb_model::price_book::Item;
use ebb_model::time::Second;
use ebb_model::traffic::Address;
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
        let before: Vec<Span> = before.iter().map(bill::read_span).collect();
        if bandwidth::open(&before).is_some() {
            continue;
        }
        let since = frozen.unwrap_or(known.allocated_at.second());
        let sold = app.catalog.region(&known.region).and_then(|region| region.bandwidth.as_ref());
        let price = match (sold, known.mbit) {
            (Some(prices), Some(mbit)) => prices.times(mbit).since(since),
            _ => before.last().map_or_else(Prices::default, |last| last.price.clone()),
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

    /// Whether its charge begins with an instance that was not seen running yet.
    pub async fn waits_with_instance(&self, of: &Address) -> Outcome<bool> {
        match of.bought_with.filter(|with| of.instance == Some(*with)) {
            Some(with) => Ok(self.instance(with).await?.first_running.is_none()),
            None => Ok(false),
        }
    }

    /// The bandwidth of an address is charged from a second on, if it is paid by that and not charged already.
    pub async fn begin_bandwidth(&mut self, of: &Address, since: Second) -> Outcome<()> {
        let Some(mbit) = of.mbit else { return Ok(()) };
        if bandwidth::open(&self.bandwidth_spans(of.id).await?).is_some() {
            return Ok(());
        }
        self.charge_bandwidth(of, mbit, since).await
    }

    async fn charge_bandwidth(&mut self, of: &Address, mbit: i64, since: Second) -> Outcome<()> {
        let price = self.open_bandwidth(of, mbit, since).await?;
        let charged = Event::AddressCharged { address: of.id, mbit: Some(mbit), price, at: Some(since) };
        self.log(of.account, of.instance, &charged);
        Ok(())
    }

    /// What of its bandwidth was charged and is.
    pub async fn bandwidth_spans(&self, of: AddressId) -> Outcome<Vec<Span>> {
        Ok(self.reads.rows(bill::spans_of(ResourceId::Address(of))).await?.iter().map(bill::read_span).collect())
    }

    /// An instance runs for the first time: charge begins of the bandwidth that was bought with it.
    pub async fn begin_bandwidth_of(&mut self, of: &Instance, since: Second) -> Outcome<()> {
        for known in self.reads.rows(address::of_instance(of.id)).await?.iter().map(address::read) {
            self.begin_bandwidth(&known, since).await?;
        }
        Ok(())
    }

    /// What was frozen is charged again.
    pub async fn thaw_bandwidth(&mut self, of: AccountId, at: Second) -> Outcome<()> {
        for known in self.reads.rows(address::by_bandwidth(of)).await?.iter().map(address::read) {
            if !self.waits_with_instance(&known).await? {
                self.begin_bandwidth(&known, at).await?;
            }
        }
        Ok(())
    }

    /// An address is paid otherwise: by so many Mbit/s, or by what leaves it.
    pub async fn pay_address_by(&mut self, known: &Address, mbit: Option<i64>) -> Outcome<Address> {
        if known.released_at.is_some() {
            return refuse(Refused::AddressReleased);
        }
        if known.mbit == mbit {
            return refuse(Refused::PaidSoAlready);
        }
        if let Some(mbit) = mbit {
            sold(&self.app.catalog, &known.region, mbit).map_err(Denied::from)?;
            let more = mbit - known.mbit.unwrap_or(0);
            if more > 0 {
                self.permit_bandwidth(known.account, &known.region, more).await?;
            }
        }
        self.change_account(known.account).await?;
        let next = Address { mbit, ..known.clone() };
        self.guard(address::pay_by(known, mbit));
        let (id, now) = (known.id, self.now.second());
        if self.waits_with_instance(known).await? {
            let price = self.price_of(&next, now);
            self.log(known.account, known.instance, &Event::AddressCharged { address: id, mbit, price, at: None });
        } else {
            let since = bandwidth::changes_at(&self.bandwidth_spans(id).await?, mbit, now);
            self.write(bill::close_spans_of(ResourceId::Address(id), Meter::Bandwidth, since));
            match mbit {
                Some(mbit) => self.charge_bandwidth(&next, mbit, since).await?,
                None => {
                    let charged =
                        Event::AddressCharged { address: id, mbit, price: known.price.at(since), at: Some(since) };
                    self.log(known.account, known.instance, &charged);
                }
            }
        }
        self.look_after_cap(known.account);
        if let Some(leads_to) = known.instance {
            // Its host holds what leaves it to that, or to nothing any more.
            let about = self.instance(leads_to).await?;
            self.order(&about);
        }
        Ok(next)
    }

    /// What a Mbit/s of it costs by the book, or what leaves it.
    fn price_of(&self, of: &Address, at: Second) -> Price {
        let sold = self.app.catalog.region(&of.region).and_then(|region| region.bandwidth.as_ref());
        sold.filter(|_| of.mbit.is_some()).unwrap_or(&of.price).at(at)
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
        // One that begins with the next hour is looked at in this one, too: what is read meanwhile counts here.
        let cut = since.min(self.now.second()).next_hour();
        let account = self.change_account(of.account).await?;
        account.close_at = Some(account.close_at.map_or(cut, |at| at.min(cut)));
        self.look_after_cap(of.account);
        Ok(price)
    }
}
