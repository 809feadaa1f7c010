//! How do data disks and snapshots live: with their account, on their host, and beside the instance that has them? (rules §2.8, §2.13)

use crate::app::App;
use crate::arrears;
use crate::denied::Denied;
use crate::room::beside_reserve;
use crate::unit::{Outcome, Unit, refuse};
use crate::voucher::Funds;
use crate::zone::Touched;
use ebb_driver::protocol::{DesiredVolume, ObservedGuest, ObservedVolume, Source, VolumeIs, WantVolume};
use ebb_engine::disk::{self, Effect, Input, Owner, keeps_disks, step};
use ebb_engine::event::Event;
use ebb_engine::funds::Need;
use ebb_engine::outlays::{self, Flat};
use ebb_engine::placement::{Tenancy, fits_on, roomiest};
use ebb_engine::rating;
use ebb_engine::refusal::Refused;
use ebb_engine::reserve::Ordered;
use ebb_engine::spending::Spending;
use ebb_model::billing::{Follows, Meter};
use ebb_model::catalog::{Catalog, SYSTEM_DISK};
use ebb_model::disk::{MadeOf, Volume, VolumeState};
use ebb_model::id::{AccountId, DiskId, HostId, InstanceId, SpanId};
use ebb_model::instance::{Cause, Instance, State};
use ebb_model::price::Prices;
use ebb_model::price_book::Item;
use ebb_model::resources::Resources;
use ebb_model::time::{Second, Timestamp};
use ebb_model::volume::{DiskOf, VolumeId};
use ebb_store::rows::account::Account;
use ebb_store::rows::host::RoomChange;
use ebb_store::rows::{bill, host, image, instance, volume, zone};
use ebb_store::{Decision, Reads, StoreError};

/// What a GiB of a kind costs per hour.
pub fn price_of<'a>(catalog: &'a Catalog, item: &Item) -> Option<&'a Prices> {
    let sold = catalog.data_disk.as_ref()?;
    match item {
        Item::Snapshot => sold.snapshot.as_ref(),
        _ => Some(&sold.price),
    }
}

/// What is charged of a volume per hour by the book, from a second on.
pub fn prices(catalog: &Catalog, of: &Volume, since: Second) -> Prices {
    let prices = price_of(catalog, &of.item()).cloned().unwrap_or_default();
    prices.times(of.gib).since(since)
}

/// Those of an account that are not charged now and may be, for whoever looks ahead.
pub async fn to_come(app: &App, reads: &Reads, of: &Account, now: Second) -> Result<Vec<Flat>, StoreError> {
    let frozen = arrears::frozen_since(reads, of).await?;
    let all = reads.rows(volume::live_of_account(of.id)).await?;
    let runs_on = match frozen {
        Some(_) => Some(arrears::runs_on(reads, of.id).await?),
        None => None,
    };
    let stopped = |one: &Volume| runs_on.as_ref().is_some_and(|runs_on| !runs_on.has(one.resource()));
    let kept = all.iter().map(volume::read).filter(|one| one.is_kept() && (stopped(one) || !one.is_charged()));
    let flat = |one: Volume| Flat {
        of: one.resource(),
        meter: one.meter(),
        price: prices(&app.catalog, &one, now),
        since: one.unavailable_since.or(frozen).unwrap_or(one.created_at.second()),
        begins: frozen.is_none() && one.unavailable_since.is_none(),
    };
    Ok(kept.map(flat).collect())
}

/// What is to be made.
#[derive(Debug, Clone)]
pub struct New {
    pub id: VolumeId,
    pub name: String,
    pub gib: i64,
    pub made_of: MadeOf,
    pub tags: std::collections::BTreeMap<String, String>,
}

impl New {
    /// An empty data disk.
    pub fn blank(app: &App, now: Timestamp, name: &str, gib: i64) -> New {
        let id = VolumeId::Disk(DiskId::new(app.mint.uuid(now)));
        New { id, name: name.to_owned(), gib, made_of: MadeOf::Nothing, tags: Default::default() }
    }
}

/// What some volumes need of unbound money beside something else: an hour of each. Nothing of it is held (rules §5.2).
pub fn need(catalog: &Catalog, new: &[New], also: Option<Need>, region: &str, now: Second) -> Option<Need> {
    let hour = |one: &New| {
        let (item, meter) = kind(one.id);
        let price = price_of(catalog, &item).map_or_else(Default::default, |prices| prices.times(one.gib).at(now));
        Need::hour(meter, region, price, now)
    };
    new.iter().map(hour).fold(also, |sum, one| Some(sum.map_or(one.clone(), |sum| sum.with(one))))
}

fn kind(id: VolumeId) -> (Item, Meter) {
    match id {
        VolumeId::Disk(_) => (Item::DataDisk, Meter::DataDisk),
        _ => (Item::Snapshot, Meter::Snapshot),
    }
}

/// With some volumes more from now on.
pub fn cost_more(spending: &mut Spending, catalog: &Catalog, new: &[New], now: Second) {
    for one in new {
        let (item, meter) = kind(one.id);
        let price = price_of(catalog, &item).map_or_else(Prices::default, |prices| prices.times(one.gib).since(now));
        outlays::cost_more(spending, meter, price, now);
    }
}

impl Unit {
    pub async fn volume(&self, id: VolumeId) -> Outcome<Volume> {
        match self.reads.row(volume::by_id(id)).await? {
            Some(row) => Ok(volume::read(&row)),
            None => refuse(Denied::not_found("volume", id)),
        }
    }

    /// What an account has of volumes, counted under its generation, so that two that are made at once cannot both pass a limit.
    pub async fn owner_of_volumes(&mut self, id: AccountId) -> Outcome<Owner> {
        let of = self.change_account(id).await?.clone();
        if let Some(refused) = arrears::frozen(&self.reads, &of).await? {
            return refuse(refused);
        }
        let all = self.reads.rows(volume::live_of_account(id)).await?;
        let (mut disks, mut disk_gib, mut snapshots) = (0, 0, 0);
        for one in all.iter().map(volume::read).filter(Volume::is_kept) {
            match one.id {
                VolumeId::Disk(_) => (disks, disk_gib) = (disks + 1, disk_gib + one.gib),
                _ => snapshots += 1,
            }
        }
        Ok(Owner { verified: of.holder.is_some(), debt: of.purse.debt, disks, disk_gib, snapshots })
    }

    /// Whether the account may have these, too: by the catalog, its quotas, and its money beside what `also` needs.
    pub async fn may_have_volumes(
        &mut self,
        id: AccountId,
        new: &[New],
        also: Option<Need>,
        region: &str,
    ) -> Outcome<()> {
        if new.is_empty() {
            return Ok(());
        }
        let app = self.app.clone();
        let (disks, snapshots): (Vec<&New>, Vec<&New>) =
            new.iter().partition(|one| matches!(one.id, VolumeId::Disk(_)));
        let gib: Vec<i64> = disks.iter().map(|disk| disk.gib).collect();
        let owner = self.owner_of_volumes(id).await?;
        disk::may_have(&app.catalog, &owner, &gib, snapshots.len() as i64).map_err(Denied::from)?;
        let now = self.now.second();
        if let Some(need) = need(&app.catalog, new, also, region, now) {
            self.has_money(id, &need).await?;
        }
        Ok(())
    }

    pub async fn has_money(&mut self, id: AccountId, need: &Need) -> Outcome<()> {
        let app = self.app.clone();
        let of = self.account(id).await?.clone();
        let lacks = Funds::refused(&app, &self.reads, &of, need, self.now.second()).await?;
        lacks.map_or(Ok(()), refuse)
    }

    /// Data disks of the account that an order is to have: all on one host of its zone, and nobody else's.
    pub async fn disks_to_attach(&mut self, id: AccountId, zone: &str, disks: &[DiskId]) -> Outcome<Vec<Volume>> {
        let mut there: Vec<Volume> = vec![];
        for disk in disks {
            let row = self.reads.row(volume::by_id(VolumeId::Disk(*disk))).await?;
            let Some(known) = row.map(|row| volume::read(&row)).filter(|known| known.account == id) else {
                return refuse(Denied::not_found("data disk", disk));
            };
            if known.zone != zone {
                return refuse(Refused::DiskElsewhere);
            }
            if there.first().is_some_and(|first| first.host != known.host) {
                return refuse(Refused::DisksApart);
            }
            there.push(known);
        }
        // Whether each may be had at all is known before room is looked for.
        let nobody = InstanceId::new(Default::default());
        for disk in &there {
            step(disk, &Input::Attach { to: nobody }, self.now).map_err(Denied::from)?;
        }
        Ok(there)
    }

    /// Room for so many GiB that nobody has to go for: on a host that has something already, else on the one with most of it.
    pub async fn room_for_volume(
        &mut self,
        by: AccountId,
        zone: &str,
        on: Option<HostId>,
        gib: i64,
    ) -> Outcome<HostId> {
        let (app, wanted) = (self.app.clone(), Resources::of([(SYSTEM_DISK, gib)]));
        self.take_turn(zone).await;
        self.true_picture(zone).await?;
        let found = app.zones.with(&app.catalog, zone, |fleet| match on {
            Some(host) => Some(host).filter(|host| fits_on(fleet, *host, &wanted)),
            None => roomiest(fleet, SYSTEM_DISK, gib),
        });
        let refused = match on {
            Some(_) => Refused::NoRoomForDisk { gib },
            None => Refused::NoCapacity(zone.to_owned()),
        };
        let Some(host) = found else { return refuse(refused) };
        self.keeps_volumes(host).await?;
        let reserve = beside_reserve(self, zone, &Ordered { by, host, resources: &wanted, victims: &[] }).await?;
        if reserve.taking.is_some() {
            return refuse(refused);
        }
        if reserve.takes_of_it {
            self.write(zone::took_of_reserve(zone, by, self.now));
        }
        self.open_still(host, Tenancy::Firm).await?;
        Ok(host)
    }

    /// Whether a host can have volumes.
    pub async fn keeps_volumes(&mut self, on: HostId) -> Outcome<()> {
        let row = self.reads.row(host::by_id(on)).await?.expect("hosts are never deleted");
        if !volume::has_volumes(&row) {
            return refuse(Refused::NoVolumesThere { driver: host::read(&row).driver });
        }
        Ok(())
    }

    /// Has a volume made on a host that has room for it, for an instance that is being bought, or for nobody.
    pub async fn create_volume(
        &mut self,
        account: AccountId,
        place: (&str, &str, HostId),
        new: New,
        with: Option<InstanceId>,
    ) -> Outcome<Volume> {
        let (region, zone, host) = place;
        let made = Volume {
            id: new.id,
            account,
            name: new.name,
            region: region.to_owned(),
            zone: zone.to_owned(),
            host,
            gib: new.gib,
            made_of: new.made_of,
            created_at: self.now,
            tags: new.tags,
            bought_with: with,
            charged_since: None,
            unavailable_since: None,
            generation: 1,
            state: VolumeState::Creating { to: with },
        };
        let room = self.room_of(host).await?;
        self.change_room(&room, RoomChange::Take, &made.used());
        self.write(volume::insert(&made));
        self.order_volume(&made);
        self.touch_volume(&made);
        let price = prices(&self.app.catalog, &made, self.now.second()).at(self.now.second());
        let (volume, gib, made_of) = (made.id, made.gib, made.made_of);
        let zone = made.zone.clone();
        let created = Event::VolumeCreated { volume, zone, gib, price, made_of, bought_with: with.is_some() };
        self.log(account, with, &created);
        self.look_after_cap(account);
        Ok(made)
    }

    /// Lets something happen to a volume, with all that follows. Gives it back as it is then.
    pub async fn step_volume(&mut self, before: &Volume, input: &Input) -> Outcome<Volume> {
        let done = match step(before, input, self.now) {
            Ok(done) => done,
            Err(refused) => return refuse(refused),
        };
        let next = done.next.clone().unwrap_or_else(|| before.clone());
        if done.next.is_some() {
            self.guard(volume::change(before.generation, &next));
            self.touch_volume(&next);
        }
        for effect in done.effects {
            match effect {
                Effect::Order => self.order_volume(&next),
                Effect::OrderGuest(instance) => self.order_guest(next.host, instance),
                Effect::Open { since } => self.open_flat(&next, since).await?,
                Effect::Close { until } => self.write(bill::close_spans(next.resource(), until)),
                Effect::TakeRoom { gib } => {
                    let room = self.room_of(next.host).await?;
                    self.change_room(&room, RoomChange::Take, &Resources::of([(SYSTEM_DISK, gib)]));
                }
                Effect::FreeRoom => {
                    let room = self.room_of(next.host).await?;
                    self.change_room(&room, RoomChange::Free, &before.used());
                    self.grant_room(next.host, None, &before.used()).await?;
                }
            }
        }
        for (event, about) in done.log {
            self.log(next.account, about, &event);
        }
        self.look_after_cap(next.account);
        let is_made = |of: &Volume| !matches!(of.state, VolumeState::Creating { .. });
        if let MadeOf::Disk { disk: DiskOf::Data(source) } = next.made_of
            && !is_made(before)
            && is_made(&next)
        {
            Box::pin(self.let_source_go(source, next.id)).await?;
        }
        Ok(next)
    }

    /// What a copy was made of, or was to be, is free to go if it waited for that.
    pub async fn let_source_go(&mut self, of: DiskId, copy: VolumeId) -> Outcome<()> {
        let source = self.volume(VolumeId::Disk(of)).await?;
        let VolumeState::Deleting { held_by: Some(held_by), .. } = source.state else { return Ok(()) };
        let alone = copies(&self.reads, source.id).await?.into_iter().all(|other| other == copy);
        if alone && matches!(self.instance(held_by).await?.state, State::Released { .. }) {
            self.step_volume(&source, &Input::InstanceGone).await?;
        }
        Ok(())
    }

    /// Charge of a volume begins, or goes on, unless its account is frozen: then it does when that has paid.
    async fn open_flat(&mut self, of: &Volume, since: Second) -> Outcome<()> {
        let account = self.account(of.account).await?.clone();
        let frozen = arrears::frozen_since(&self.reads, &account).await?.is_some();
        if frozen && !arrears::runs_on(&self.reads, of.account).await?.has(of.resource()) {
            return Ok(());
        }
        self.open_flat_now(of, since).await
    }

    async fn open_flat_now(&mut self, of: &Volume, since: Second) -> Outcome<()> {
        let app = self.app.clone();
        let follows = Follows { item: of.item().to_string(), units: of.gib };
        let none = Prices::default();
        let price = (price_of(&app.catalog, &of.item()).unwrap_or(&none), follows);
        let id = SpanId::new(app.mint.uuid(self.now));
        self.write(bill::insert_span(&rating::span_of(id, of.account, of.resource(), of.meter(), price, since)));
        let cut = since.next_hour();
        let account = self.change_account(of.account).await?;
        account.close_at = Some(account.close_at.map_or(cut, |at| at.min(cut)));
        Ok(())
    }

    /// A data disk stays whose subscription ran on in a frozen account, and is over: from then on it is frozen like the rest.
    async fn freeze_disk(&mut self, of: &Volume, at: Second) -> Outcome<()> {
        let account = self.account(of.account).await?.clone();
        let Some(frozen) = arrears::frozen_since(&self.reads, &account).await? else { return Ok(()) };
        if arrears::runs_on(&self.reads, of.account).await?.has(of.resource()) {
            let at = of.charged_since.map_or(at, |since| at.max(since)).max(frozen);
            self.write(bill::close_spans(of.resource(), at));
            let frozen = Event::VolumeFrozen { volume: of.id, at };
            self.log(of.account, of.state.instance(), &frozen);
        }
        Ok(())
    }

    /// It has paid, and they are charged again.
    pub async fn thaw_volumes(&mut self, id: AccountId, at: Second) -> Outcome<()> {
        let all = self.reads.rows(volume::live_of_account(id)).await?;
        for one in all.iter().map(volume::read).filter(Volume::is_charged) {
            // What ran on with a subscription is charged already.
            let spans = self.reads.rows(bill::spans_of(one.resource())).await?;
            if spans.iter().map(bill::read_span).all(|span| span.until.is_some()) {
                self.open_flat_now(&one, at).await?;
            }
        }
        Ok(())
    }

    /// It never did: those go that no instance has. The others go with theirs.
    pub async fn let_volumes_go(&mut self, id: AccountId) -> Outcome<()> {
        let all = self.reads.rows(volume::live_of_account(id)).await?;
        for one in all.iter().map(volume::read).filter(|one| one.is_kept() && one.state.instance().is_none()) {
            self.step_volume(&one, &Input::Delete { copied_to: None }).await?;
        }
        Ok(())
    }

    /// What an instance's new state means for its data disks: charge of those that were bought with it begins with its first second, and
    /// when it goes they stay or go with it, as its owner wanted.
    pub async fn tell_disks(&mut self, before: &Instance, next: &Instance) -> Outcome<()> {
        let ran = before.first_running.is_none() && next.first_running.is_some();
        let ended = next.state.end().filter(|_| before.state.end().is_none());
        let gone = matches!(next.state, State::Released { .. }) && !matches!(before.state, State::Released { .. });
        if !ran && ended.is_none() && !gone {
            return Ok(());
        }
        for disk in self.reads.rows(volume::of_instance(next.id)).await?.iter().map(volume::read) {
            let mut disk = self.newest_volume(disk);
            if let (true, Some(at)) = (ran, next.first_running) {
                disk = self.step_volume(&disk, &Input::Begun { at }).await?;
            }
            if let Some(end) = next.state.end() {
                let keep = match (end.cause, disk.bought_with) {
                    // What never ran leaves nothing of what came with it.
                    (Cause::NeverRan, with) => with.is_none(),
                    (cause, _) => keeps_disks(next, cause),
                };
                let at = end.at.min(self.now.second());
                if keep && ended.is_some() {
                    self.freeze_disk(&disk, at).await?;
                }
                disk = self.step_volume(&disk, &Input::InstanceEnded { keep, at }).await?;
            }
            // One that is to go waits for what is being made of it (rules §2.7).
            let goes = matches!(disk.state, VolumeState::Deleting { .. });
            if gone && !(goes && copied_to(&self.reads, disk.id).await?.is_some()) {
                self.step_volume(&disk, &Input::InstanceGone).await?;
            }
        }
        Ok(())
    }

    /// It is in no table: left alone, not charged, reported.
    pub fn see_stray(&mut self, from: HostId, observed: &ObservedVolume) {
        match observed.is {
            VolumeIs::Gone { .. } | VolumeIs::Failed { .. } => self.write(volume::end_quarantine(observed.id)),
            _ => self.write(volume::insert_quarantine(from, observed, self.now)),
        }
    }

    /// A guest's process was seen: what it was told to let go of, and does not hold, is free.
    pub async fn see_disks(&mut self, of: &Instance, observed: &ObservedGuest) -> Outcome<()> {
        for disk in self.reads.rows(volume::of_instance(of.id)).await?.iter().map(volume::read) {
            let VolumeId::Disk(id) = disk.id else { continue };
            if matches!(disk.state, VolumeState::Detaching { .. }) && !observed.disks.contains(&id) {
                self.step_volume(&disk, &Input::LetGo { generation: observed.generation }).await?;
            }
        }
        Ok(())
    }
}

/// The data disks that a guest should have, in the order in which it was given them.
pub async fn disks_of(reads: &Reads, id: InstanceId) -> Result<Vec<DiskId>, StoreError> {
    let all = reads.rows(volume::of_instance(id)).await?;
    let mut has: Vec<Volume> = all.iter().map(volume::read).collect();
    has.retain(|one| matches!(one.state, VolumeState::Creating { .. } | VolumeState::Attached { .. }));
    let disk = |one: &Volume| match one.id {
        VolumeId::Disk(id) => Some(id),
        _ => None,
    };
    Ok(has.iter().filter_map(disk).collect())
}

/// What a host should make of a volume.
pub fn desired(of: &Volume) -> DesiredVolume {
    let source = match of.made_of {
        MadeOf::Nothing => Source::Blank,
        MadeOf::Snapshot { snapshot } => Source::Snapshot { snapshot },
        MadeOf::Disk { disk } => Source::Disk { disk },
    };
    // What a guest still holds is there until that is gone.
    let there = of.is_kept() || matches!(of.state, VolumeState::Deleting { held_by: Some(_), .. });
    let want = if there { WantVolume::There { source, gib: of.gib } } else { WantVolume::Gone };
    DesiredVolume { id: of.id, generation: of.generation, want }
}

impl App {
    /// Writes down what a host saw of a volume.
    pub async fn observe_volume(&self, from: HostId, observed: ObservedVolume) -> Result<(), Denied> {
        if let VolumeId::Image(id) = observed.id {
            return self.observe_image(from, id, observed).await;
        }
        let known = self.store.rows(volume::by_id(observed.id)).await?;
        let key = known.first().map_or_else(|| from.to_string(), |row| row.text("account_id").to_owned());
        Ok(self.unit("observe-volume", &key, move |unit| observe(unit, from, observed.clone())).await?)
    }

    /// Volumes that a host should have and has not: they are gone, since nobody knows when.
    pub async fn miss_volumes(
        &self,
        on: HostId,
        since: Timestamp,
        obeyed: i64,
        there: &[VolumeId],
    ) -> Result<(), Denied> {
        for row in self.store.rows(volume::orders_after(on, 0, i64::MAX)).await? {
            let known = volume::read(&row);
            let had = row.int("sequence") <= obeyed || known.charged_since.is_some();
            if known.is_live() && had && !there.contains(&known.id) {
                let (id, generation) = (known.id, known.generation);
                let is = VolumeIs::Gone { at: since.max(known.created_at) };
                self.observe_volume(on, ObservedVolume { id, generation, is }).await?;
            }
        }
        self.miss_images(on, obeyed, there).await
    }

    /// Its host is lost, or away with its owner: it is charged to the last second in which that was heard.
    pub async fn lose_volumes(&self, on: HostId, heard_at: Timestamp) -> Result<(), Denied> {
        for known in self.store.rows(volume::on_host(on)).await?.iter().map(volume::read) {
            let (id, key) = (known.id, known.account.to_string());
            let lost = self.unit("lose-volume", &key, move |mut unit| async move {
                let before = unit.volume(id).await?;
                // Hours that are closed stay closed.
                let open = unit.open_since(before.account).await?.map_or(heard_at, Second::start);
                unit.step_volume(&before, &Input::HostAway { heard_at: heard_at.max(open).second() }).await?;
                Ok(unit.done(()))
            });
            lost.await?;
        }
        Ok(())
    }
}

async fn observe(mut unit: Unit, from: HostId, observed: ObservedVolume) -> Outcome<Decision<()>> {
    let row = unit.reads.row(volume::by_id(observed.id)).await?;
    let Some(mut known) = row.as_ref().map(volume::read).filter(|known| known.host == from) else {
        unit.see_stray(from, &observed);
        return Ok(unit.done(()));
    };
    // What is late counts from the open hour, and a host whose clock is ahead does not reach into our future.
    let (open, now) = (unit.open_since(known.account).await?, unit.now);
    let clamp = |at: Timestamp| open.map_or(at, |open| at.max(open.start())).min(now);
    if !matches!(observed.is, VolumeIs::Gone { .. } | VolumeIs::Failed { .. }) {
        known = unit.step_volume(&known, &Input::HostBack).await?;
    }
    let input = match observed.is {
        VolumeIs::Making => None,
        VolumeIs::There { since, .. } => Some(Input::There { at: clamp(since).second() }),
        VolumeIs::Gone { at } => Some(Input::Gone { at: clamp(at) }),
        VolumeIs::Failed { at, reason } => Some(Input::Failed { at: clamp(at), reason }),
    };
    if let Some(input) = input {
        unit.step_volume(&known, &input).await?;
    }
    Ok(unit.done(()))
}

/// What is made of a disk at the moment, or of a snapshot.
pub async fn copied_to(reads: &Reads, of: VolumeId) -> Result<Option<VolumeId>, StoreError> {
    Ok(copies(reads, of).await?.into_iter().next())
}

async fn copies(reads: &Reads, of: VolumeId) -> Result<Vec<VolumeId>, StoreError> {
    let (volumes, images) = match of {
        VolumeId::Disk(id) => (volume::copies_of(DiskOf::Data(id)), Some(image::importing_of(id))),
        VolumeId::Snapshot(id) => (volume::disks_being_made_of(id), None),
        VolumeId::Image(_) => return Ok(vec![]),
    };
    let mut all: Vec<VolumeId> = reads.rows(volumes).await?.iter().map(|row| volume::read(row).id).collect();
    if let Some(images) = images {
        all.extend(reads.rows(images).await?.iter().map(|row| VolumeId::Image(image::read(row).id)));
    }
    Ok(all)
}

/// The instance that somebody names, if it is the account's.
pub async fn own_instance(unit: &Unit, account: AccountId, id: InstanceId) -> Outcome<Instance> {
    match unit.reads.row(instance::by_id(id)).await?.map(|row| instance::read(&row)) {
        Some(known) if known.account == account => Ok(known),
        _ => refuse(Denied::not_found("instance", id)),
    }
}

impl Touched {
    pub fn accounts(&self) -> impl Iterator<Item = AccountId> {
        let of_instances = self.instances.iter().map(|one| one.account);
        of_instances.chain(self.volumes.iter().map(|one| one.account))
    }
}
