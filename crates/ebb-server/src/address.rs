//! When is a public address allocated, bound to an instance, kept and released?

use crate::app::App;
use crate::arrears;
use crate::denied::Denied;
use crate::quota::Quota;
use crate::unit::{Outcome, Unit, refuse};
use ebb_engine::bandwidth;
use ebb_engine::event::Event;
use ebb_engine::refusal::Refused;
use ebb_model::billing::{Meter, ResourceId};
use ebb_model::catalog::{Catalog, Region};
use ebb_model::id::{AccountId, AddressId};
use ebb_model::instance::{Cause, Instance, State};
use ebb_model::price::Prices;
use ebb_model::time::Second;
use ebb_model::traffic::{Address, Month};
use ebb_store::rows::{address, bill, host, ip, password};

/// The region of a zone, and what traffic costs there.
///
/// # Errors
/// There are no public addresses in the region.
pub fn priced<'a>(catalog: &'a Catalog, zone: &str) -> Result<(&'a Region, &'a Prices), Refused> {
    let zone = catalog.zone(zone).ok_or_else(|| Refused::UnknownZone(zone.to_owned()))?;
    priced_in(catalog, &zone.region)
}

/// The same of a region.
///
/// # Errors
/// There are no public addresses in it.
pub fn priced_in<'a>(catalog: &'a Catalog, region: &str) -> Result<(&'a Region, &'a Prices), Refused> {
    let region = catalog.region(region).ok_or_else(|| Refused::UnknownRegion(region.to_owned()))?;
    let price = region.traffic.as_ref().ok_or_else(|| Refused::NoPublicAddresses(region.id.clone()))?;
    Ok((region, price))
}

impl Unit {
    /// A public address for an account that may have one more; it leads to an instance at once, or nowhere yet.
    /// One that is paid by its bandwidth is charged from now on, or from the first second of what it is bought with.
    pub async fn allocate_address(
        &mut self,
        of: AccountId,
        region: &str,
        mbit: Option<i64>,
        to: Option<&Instance>,
    ) -> Outcome<Address> {
        let app = self.app.clone();
        let (region, price) = priced_in(&app.catalog, region).map_err(Denied::from)?;
        if let Some(to) = to {
            self.takes_addresses(to).await?;
        }
        self.one_more(of, Quota::Addresses).await?;
        let id = AddressId::new(app.mint.uuid(self.now));
        let Some(ip) = self.take_public_ip(region, of, id).await? else {
            return refuse(Refused::NoPublicAddressLeft(region.id.clone()));
        };
        let new = Address {
            id,
            account: of,
            region: region.id.clone(),
            ip: Some(ip),
            overseas: region.overseas,
            price: price.since(self.now.second()),
            mbit,
            charged_until: None,
            instance: to.map(|to| to.id),
            bought_with: to.map(|to| to.id),
            allocated_at: self.now,
            released_at: None,
            counter: None,
            month: Month { since: app.catalog.time_zone.month(self.now.second()), bytes: 0 },
        };
        self.write(address::insert(&new));
        let Address { id: address, region, ip, overseas, price, .. } = new.clone();
        let price = price.at(self.now.second());
        self.log(of, new.instance, &Event::AddressAllocated { address, region, ip, overseas, price, mbit });
        if to.is_none() {
            self.begin_bandwidth(&new, self.now.second()).await?;
        }
        Ok(new)
    }

    /// Whether public addresses may lead to an instance where it is.
    async fn takes_addresses(&self, to: &Instance) -> Outcome<()> {
        let row = self.reads.row(host::by_id(to.host)).await?.expect("hosts are never deleted");
        match address::is_metered(&row) {
            true => Ok(()),
            false => refuse(Refused::NotMetered { driver: host::read(&row).driver }),
        }
    }

    /// An address that leads nowhere leads to an instance from here on.
    pub async fn bind_address(&mut self, known: &Address, to: &Instance) -> Outcome<()> {
        if known.released_at.is_some() {
            return refuse(Refused::AddressReleased);
        }
        if known.instance.is_some() {
            return refuse(Refused::AddressBound);
        }
        if let State::Releasing { .. } | State::Released { .. } = to.state {
            return refuse(Refused::Released);
        }
        let zone = self.app.catalog.zone(&to.zone).map_or_else(String::new, |zone| zone.region.clone());
        if zone != known.region {
            return refuse(Refused::OtherRegion { address: known.region.clone(), instance: zone });
        }
        self.takes_addresses(to).await?;
        let (most, there) = (self.app.catalog.limits.addresses_per_instance, address::of_instance(to.id));
        if i64::try_from(self.reads.rows(there).await?.len()).is_ok_and(|there| there >= most) {
            return refuse(Refused::TooManyAddresses { most });
        }
        // Of two that bind to one instance one sees the other, since both change the account.
        self.change_account(known.account).await?;
        self.guard(address::may_lead_to(to.id));
        self.guard(address::bind(known.id, to.id));
        self.log(known.account, Some(to.id), &Event::AddressBound { address: known.id });
        self.order(to);
        Ok(())
    }

    /// An address leads nowhere from here on, and is kept. Its host reads the counter first.
    pub async fn unbind_address(&mut self, known: &Address) -> Outcome<()> {
        if known.released_at.is_some() {
            return refuse(Refused::AddressReleased);
        }
        let Some(from) = known.instance else { return refuse(Refused::AddressUnbound) };
        self.guard(address::unbind(known.id, from));
        self.log(known.account, Some(from), &Event::AddressUnbound { address: known.id });
        // It goes on without what it was bought with.
        self.begin_bandwidth(known, self.now.second()).await?;
        let about = self.instance(from).await?;
        self.order(&about);
        Ok(())
    }

    /// An instance is gone: its addresses stay or go with it, as its owner wanted (rules §2.8). What never ran leaves nothing.
    pub async fn part_with_addresses(&mut self, gone: &Instance) -> Outcome<()> {
        let State::Released { end, .. } = gone.state else { return Ok(()) };
        self.write(password::forget(gone.id));
        // With what was frozen for too long all goes.
        let all_goes = end.cause == Cause::Arrears && gone.frozen_since.is_some();
        self.write(ip::free(&gone.id.to_string(), self.now));
        let there = self.reads.rows(address::of_instance(gone.id)).await?;
        self.guard(address::lead_to(gone.id, there.len()));
        for row in there {
            let known = address::read(&row);
            let keep = match end.cause {
                Cause::NeverRan => known.bought_with != Some(gone.id),
                _ => gone.keep.public_ip && !all_goes,
            };
            // However late it is carried out; but hours that are closed stay closed.
            let open = self.open_since(gone.account).await?.unwrap_or(end.at);
            let at = end.at.max(open).min(self.now.second());
            if keep {
                self.keep_address(&known, gone, at).await?;
            } else {
                self.release_address(&known, at);
            }
        }
        Ok(())
    }

    /// It leads nowhere from here on. Of a frozen account its bandwidth was charged with the subscription that is gone, up to `at`.
    async fn keep_address(&mut self, known: &Address, gone: &Instance, at: Second) -> Outcome<()> {
        self.guard(address::unbind(known.id, gone.id));
        let of = self.account(gone.account).await?.clone();
        let frozen = arrears::frozen_since(&self.reads, &of).await?;
        let open = bandwidth::open(&self.bandwidth_spans(known.id).await?).is_some();
        let at = frozen.filter(|_| open).map(|frozen| at.max(frozen));
        if let Some(at) = at {
            self.write(bill::close_spans_of(ResourceId::Address(known.id), Meter::Bandwidth, at));
            self.look_after_cap(gone.account);
        }
        self.log(gone.account, Some(gone.id), &Event::AddressKept { address: known.id, at });
        Ok(())
    }

    /// Its bandwidth is charged up to `at`.
    pub fn release_address(&mut self, known: &Address, at: Second) {
        let at = known.mbit.map(|_| at);
        self.guard(address::release(known.id, self.now, at));
        self.write(ip::free(&known.id.to_string(), self.now));
        if let Some(at) = at {
            self.write(bill::close_spans_of(ResourceId::Address(known.id), Meter::Bandwidth, at));
            self.look_after_cap(known.account);
        }
        self.log(known.account, known.instance, &Event::AddressReleased { address: known.id, at });
    }
}

impl App {
    /// Lets so much leave an address of a sandbox.
    pub async fn send_from(&self, from: AddressId, bytes: i64, reset: bool) -> Result<(), Denied> {
        let now = self.clock.now();
        let mut fakes = self.hosts.fakes.lock().await;
        let sent = fakes.iter_mut().any(|fake| {
            if fake.host.unplugged_at.is_some() {
                // It reads on by itself. What it says its next hello repeats.
                fake.host.step(now);
            }
            let reset = !reset || fake.host.reset_counter(from, now);
            reset && fake.host.send(from, bytes, now)
        });
        if !sent {
            let why = "nothing can leave the address: no guest has it, or not yet; see `ebb addresses`";
            return Err(Denied::Conflict(why.to_owned()));
        }
        self.write_down(&fakes)
    }
}
