//! What happens when prices are entered, and when a date comes? (rules §5.3)
//!
//! What something costs is known by its spans beforehand, so nothing here is in time or late for a bill. At the date every instance is told
//! its new price, for whoever looks at it and for the log; and some days before, everybody who uses something that will cost more or less.

use crate::app::App;
use crate::catalog_file::said;
use crate::clock::Clock;
use crate::denied::Denied;
use crate::serve::ServeError;
use ebb_engine::event::{Event, NewPrice};
use ebb_engine::lifecycle::Input;
use ebb_engine::price::tariff;
use ebb_engine::price_book::{Entered, book, enter};
use ebb_model::billing::Meter;
use ebb_model::catalog::Catalog;
use ebb_model::id::{AccountId, InstanceId};
use ebb_model::instance::Instance;
use ebb_model::price::Prices;
use ebb_model::price_book::{Item, gaps, items};
use ebb_model::time::{DAY, Second, Timestamp};
use ebb_store::rows::{alarm, instance, price, token};
use ebb_store::{Decision, Halt, Query, Reads, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// A price changes, or a change of it is to be told.
pub const ALARM: &str = "prices";

/// There is one price book.
const BOOK: &str = "book";

const PAGE: i64 = 1_000;

/// What came of entering a catalog's prices.
pub(crate) struct Opened {
    /// With all that its prices ever were.
    pub catalog: Catalog,
    /// What costs something else than was known, or is new, by name.
    pub changed: Vec<Item>,
}

/// Compares the catalog's prices with those that things were sold by, and keeps what is new; before anything is served.
pub(crate) async fn open_book(store: &Store, clock: &Clock, catalog: Catalog) -> Result<Opened, ServeError> {
    let now = clock.now();
    let late = gaps(&catalog, now.second());
    if !late.is_empty() {
        return Err(ServeError::Prices { problems: late });
    }
    let opened = store.unit::<_, Wrong, _, _>("enter-prices", BOOK, move |reads| {
        let catalog = catalog.clone();
        async move {
            let terms = agree(&reads, &catalog).await?;
            let entered: Vec<Entered> = reads.rows(price::all()).await?.iter().map(price::read).collect();
            // Where a sandbox's clock stands still, one entry comes after the other all the same.
            let last = entered.iter().map(|one| one.entered_at.micros() + 1).max();
            let at = last.map_or(now, |last| now.max(Timestamp::from_micros(last)));
            let entry = enter(&book(&entered), &catalog, at)
                .map_err(|wrong| Halt::Refused(Wrong(wrong.iter().map(said).collect())))?;
            let mut writes: Vec<Query> = entry.new.iter().map(|one| price::insert(one, "operator")).collect();
            writes.extend(terms);
            for (item, prices) in &entry.changed {
                let (name, now) = (item.to_string(), now.second());
                let followers = reads.rows(price::followers(&name, now)).await?;
                writes.extend(followers.iter().map(|row| price::set_later(&name, row, prices, now)));
                if let Item::Traffic(region) = item {
                    let known = reads.rows(price::senders_later(region)).await?;
                    writes.extend(known.iter().map(|row| price::set_later_traffic(region, row, prices, now)));
                }
            }
            let changed = entry.changed.into_iter().map(|(item, _)| item).collect();
            Ok(Decision { guards: vec![], writes, answer: (entry.catalog, changed) })
        }
    });
    match opened.await {
        Ok((catalog, changed)) => Ok(Opened { catalog, changed }),
        Err(Halt::Refused(Wrong(problems))) => Err(ServeError::Prices { problems }),
        Err(Halt::Store(error)) => Err(error.into()),
    }
}

#[derive(Debug)]
struct Wrong(Vec<String>);

/// Whether a catalog goes with what is there already: the currency and the time zone of the installation, and the zones of live instances.
async fn agree(reads: &Reads, catalog: &Catalog) -> Result<Option<Query>, Halt<Wrong>> {
    let mut wrong = vec![];
    let zone = String::from(catalog.time_zone.clone());
    let known = reads.row(token::installation()).await?;
    let known = known.as_ref().map(|row| (row.opt_text("currency"), row.opt_text("time_zone")));
    let (currency, time_zone) = known.unwrap_or_default();
    if let Some(known) = currency.filter(|known| *known != catalog.currency) {
        wrong.push(format!(
            "currency: it says {}, and this installation counts in {known}: two currencies never meet in one (rules §1.2); put {known} \
             back, or begin another installation",
            catalog.currency
        ));
    }
    if let Some(known) = time_zone.filter(|known| *known != zone) {
        wrong.push(format!(
            "time_zone: it says {zone}, and this installation's days are those of {known}, by which its bills are cut (rules §1.4); put \
             {known} back, or begin another installation"
        ));
    }
    for row in reads.rows(instance::live_zones()).await? {
        let name = row.text("zone");
        if catalog.zone(name).is_none() {
            let live = row.int("live");
            wrong.push(format!(
                "zones: `{name}` is gone, and {live} of its instances are not released; keep it until they are"
            ));
        }
    }
    match wrong.is_empty() {
        true => Ok((currency.is_none() || time_zone.is_none()).then(|| token::set_terms(&catalog.currency, &zone))),
        false => Err(Halt::Refused(Wrong(wrong))),
    }
}

impl App {
    /// Has everything follow the price book from the start on: spans of before there was one, and what depends on a change that was entered.
    pub(crate) async fn look_after_prices(&self, changed: &[Item]) -> Result<(), Denied> {
        self.adopt_spans().await?;
        for item in changed {
            for account in self.users_of(item).await? {
                let key = account.to_string();
                let done = self.unit("prices-changed", &key, move |mut unit| {
                    unit.look_after_trial(account);
                    unit.look_after_cap(account);
                    async move { Ok(unit.done(())) }
                });
                done.await?;
            }
        }
        let now = self.clock.now().second();
        let due = self.store.rows(alarm::of(ALARM, BOOK)).await?;
        let due = due.first().map(|row| alarm::read(row).due_at.second());
        // Dates that came while nothing ran are carried out one after the other.
        self.set_price_alarm(due.filter(|due| *due <= now).map_or(now, |due| due.plus(-1))).await?;
        self.announce_near(now).await
    }

    async fn adopt_spans(&self) -> Result<(), Denied> {
        loop {
            let rows = self.store.rows(price::unfollowing(PAGE)).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let now = self.clock.now().second();
            let mut writes = vec![];
            for row in &rows {
                let tariff = tariff(&self.catalog, &instance::read(row));
                let rate = if row.text("meter") == Meter::Compute.name() { tariff.compute } else { tariff.disk };
                let follows = rate.follows.expect("what is charged by the hour follows the book");
                let prices = rate.prices.since(now);
                writes.push(price::follow(row.text("span_id"), &follows.item, follows.units, &prices));
            }
            let done = self.unit("adopt-spans", BOOK, move |mut unit| {
                writes.iter().for_each(|write| unit.write(write.clone()));
                async move { Ok(unit.done(())) }
            });
            done.await?;
        }
    }

    /// Tells every instance the price that holds at this second, which may be over, and everybody of changes that are near; then sets the
    /// alarm for what comes next.
    pub async fn tend_prices(&self, at: Second) -> Result<(), Denied> {
        self.price_instances(at).await?;
        self.announce_near(self.clock.now().second()).await?;
        self.set_price_alarm(at).await
    }

    async fn announce_near(&self, now: Second) -> Result<(), Denied> {
        let ahead = self.catalog.prices.announce_days * DAY;
        for (from, prices) in coming(&self.catalog, now).iter().filter(|(from, _)| from.plus(-ahead) <= now) {
            self.announce(*from, prices).await?;
        }
        Ok(())
    }

    /// For the first date after this second, or the first for which it is time to tell.
    async fn set_price_alarm(&self, after: Second) -> Result<(), Denied> {
        let ahead = self.catalog.prices.announce_days * DAY;
        let coming = coming(&self.catalog, after);
        let next = coming.keys().flat_map(|from| [*from, from.plus(-ahead)]).filter(|at| *at > after).min();
        let done = self.unit("prices-alarm", BOOK, move |mut unit| {
            unit.write(next.map_or(alarm::clear(ALARM, BOOK), |next| alarm::set(ALARM, BOOK, next.start())));
            async move { Ok(unit.done(())) }
        });
        Ok(done.await?)
    }

    async fn price_instances(&self, at: Second) -> Result<(), Denied> {
        let mut after = String::new();
        loop {
            let page = self.store.rows(price::following(&after, PAGE)).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.text("id").to_owned();
            // What was bought since then has a newer price.
            for known in page.iter().map(instance::read).filter(|known| known.created_at.second() <= at) {
                if priced(&self.catalog, &known, at).is_some() {
                    self.price_instance(known.id, known.account, at).await?;
                }
            }
        }
    }

    async fn price_instance(&self, id: InstanceId, account: AccountId, at: Second) -> Result<(), Denied> {
        let key = account.to_string();
        let done = self.unit("price-instance", &key, move |mut unit| async move {
            let known = unit.instance(id).await?;
            if let Some(input) = priced(&unit.app.catalog, &known, at) {
                unit.step(&known, input).await?;
            }
            Ok(unit.done(()))
        });
        Ok(done.await?)
    }

    async fn announce(&self, from: Second, prices: &[(Item, NewPrice)]) -> Result<(), Denied> {
        let mut news: BTreeMap<AccountId, Vec<NewPrice>> = BTreeMap::new();
        for (item, price) in prices {
            for account in self.users_of(item).await? {
                news.entry(account).or_default().push(price.clone());
            }
        }
        for (id, prices) in news {
            let key = id.to_string();
            let tell = self.unit("tell-prices", &key, move |mut unit| {
                let prices = prices.clone();
                async move {
                    let told = unit.reads.rows(price::told(id, from)).await?;
                    let told: BTreeSet<(String, i64)> =
                        told.iter().map(|row| (row.text("item").to_owned(), row.int("price"))).collect();
                    let is_new = |new: &NewPrice| !told.contains(&(new.item.clone(), new.price.micros()));
                    let prices: Vec<NewPrice> = prices.into_iter().filter(is_new).collect();
                    if !prices.is_empty() {
                        prices.iter().for_each(|new| unit.write(price::tell(id, &new.item, from, new.price)));
                        unit.log_and_tell_account(id, &Event::PriceChanges { from, prices });
                    }
                    Ok(unit.done(()))
                }
            });
            tell.await?;
        }
        Ok(())
    }

    /// The accounts for which an item's price counts from its date on, or with their next renewal.
    async fn users_of(&self, item: &Item) -> Result<Vec<AccountId>, StoreError> {
        let (mut all, mut after) = (vec![], String::new());
        loop {
            let query = match item {
                Item::OnDemand(_) | Item::SystemDisk | Item::DataDisk | Item::Snapshot | Item::Bandwidth(_) => {
                    price::users(&item.to_string(), &after, PAGE)
                }
                Item::Subscription(flavor) => price::subscribers(Some(flavor), &after, PAGE),
                Item::SystemDiskMonth => price::subscribers(None, &after, PAGE),
                Item::Traffic(region) => price::senders(region, &after, PAGE),
                // Who has one keeps its price, and there are no renewals.
                Item::SpotBlock(..) => return Ok(all),
            };
            let page = self.store.rows(query).await?;
            let Some(last) = page.last() else { return Ok(all) };
            after = last.text("account_id").to_owned();
            all.extend(
                page.iter()
                    .map(|row| -> AccountId { row.text("account_id").parse().expect("an id that this program wrote") }),
            );
        }
    }
}

/// What an instance must be told, if its price at a second is another. The change counts from the newest date.
fn priced(catalog: &Catalog, known: &Instance, at: Second) -> Option<Input> {
    let tariff = tariff(catalog, known);
    let (compute, disk) = (tariff.compute.prices, tariff.disk.prices);
    let (price, disk_price) = (compute.at(at), disk.at(at));
    let dates = |prices: &Prices| prices.iter().filter_map(|dated| dated.from).filter(|from| *from <= at).max();
    let since = dates(&compute).max(dates(&disk)).unwrap_or(at);
    let same = known.purchase.price() == price && known.disk_price == disk_price;
    (!same).then_some(Input::Priced { price, disk_price, since })
}

/// Changes that are to come, by date.
fn coming(catalog: &Catalog, now: Second) -> BTreeMap<Second, Vec<(Item, NewPrice)>> {
    let mut coming = BTreeMap::<Second, Vec<(Item, NewPrice)>>::new();
    for (item, prices) in items(catalog) {
        let mut at = now;
        while let Some(from) = prices.next_change(at) {
            let new = NewPrice { item: item.to_string(), before: prices.at(at), price: prices.at(from) };
            coming.entry(from).or_default().push((item.clone(), new));
            at = from;
        }
    }
    coming
}
