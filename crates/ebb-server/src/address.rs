//! When is a public address allocated, kept and released?

use crate::app::App;
use crate::denied::Denied;
use crate::unit::{Outcome, Unit, refuse};
use ebb_engine::event::Event;
use ebb_engine::refusal::Refused;
use ebb_model::catalog::{Catalog, Region};
use ebb_model::id::AddressId;
use ebb_model::instance::{Cause, Instance, State};
use ebb_model::price::Prices;
use ebb_model::traffic::{Address, Month};
use ebb_store::rows::{address, host, password};

/// The region of a zone, and what traffic costs there.
///
/// # Errors
/// There are no public addresses in the region.
pub fn priced<'a>(catalog: &'a Catalog, zone: &str) -> Result<(&'a Region, &'a Prices), Refused> {
    let region = catalog.zone(zone).and_then(|zone| catalog.region(&zone.region));
    let region = region.ok_or_else(|| Refused::UnknownZone(zone.to_owned()))?;
    let price = region.traffic.as_ref().ok_or_else(|| Refused::NoPublicAddresses(region.id.clone()))?;
    Ok((region, price))
}

impl Unit {
    /// A public address for an instance that is being bought, if what leaves it can be counted where the instance goes.
    pub async fn allocate_address(&mut self, to: &Instance) -> Outcome<AddressId> {
        let app = self.app.clone();
        let (region, price) = priced(&app.catalog, &to.zone).map_err(Denied::from)?;
        let row = self.reads.row(host::by_id(to.host)).await?.expect("hosts are never deleted");
        if !address::is_metered(&row) {
            return refuse(Refused::NotMetered { driver: host::read(&row).driver });
        }
        let new = Address {
            id: AddressId::new(app.mint.uuid(self.now)),
            account: to.account,
            region: region.id.clone(),
            overseas: region.overseas,
            price: price.since(self.now.second()),
            instance: Some(to.id),
            allocated_at: self.now,
            released_at: None,
            counter: None,
            month: Month { since: app.catalog.time_zone.month(self.now.second()), bytes: 0 },
        };
        self.write(address::insert(&new));
        let Address { id: address, region, overseas, price, .. } = new;
        let price = price.at(self.now.second());
        self.log(to.account, Some(to.id), &Event::AddressAllocated { address, region, overseas, price });
        Ok(address)
    }

    /// An instance is gone: its addresses stay or go with it, as its owner wanted (rules §2.8). What never ran leaves nothing.
    pub async fn part_with_addresses(&mut self, gone: &Instance) -> Outcome<()> {
        let State::Released { end, .. } = gone.state else { return Ok(()) };
        self.write(password::forget(gone.id));
        // With what was frozen for too long all goes.
        let all_goes = end.cause == Cause::Arrears && gone.frozen_since.is_some();
        let keep = gone.keep.public_ip && end.cause != Cause::NeverRan && !all_goes;
        for row in self.reads.rows(address::of_instance(gone.id)).await? {
            let known = address::read(&row);
            if keep {
                self.guard(address::keep(known.id));
                self.log(gone.account, Some(gone.id), &Event::AddressKept { address: known.id });
            } else {
                self.release_address(&known);
            }
        }
        Ok(())
    }

    pub fn release_address(&mut self, known: &Address) {
        self.guard(address::release(known.id, self.now));
        self.log(known.account, known.instance, &Event::AddressReleased { address: known.id });
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
