//! What does this process know of each zone's room? A picture that every unit of work keeps, so that none has to read a whole zone.
//!
//! The database stays the truth: what a decision is based on is compared with its rows, and guarded. The picture may be ahead by
//! decisions that are not committed yet; when one of those comes to nothing, the hosts that it touched are read again.

use crate::app::App;
use crate::person::root;
use crate::room::MOST_CORRECTIONS;
use crate::unit::{Outcome, Unit};
use ebb_engine::fleet::{Facts, Fleet, Terms};
use ebb_engine::placement::Room;
use ebb_engine::refusal::Refused;
use ebb_model::catalog::Catalog;
use ebb_model::disk::Volume;
use ebb_model::id::{AccountId, HostId, ImageId, InstanceId};
use ebb_model::instance::Instance;
use ebb_model::time::Timestamp;
use ebb_store::rows::{account, host, instance, volume, zone};
use ebb_store::{Halt, Row, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

const PAGE: i64 = 10_000;
/// So much is heard before those that are gone are forgotten.
const SWEEP_AFTER: usize = 1 << 16;

#[derive(Default)]
pub struct Zones {
    picture: Mutex<Picture>,
    /// Who decides about the room of a zone at the moment, by zone.
    turns: Mutex<BTreeMap<String, Arc<AsyncMutex<()>>>>,
    loaded: tokio::sync::OnceCell<()>,
}

#[derive(Default)]
struct Picture {
    fleets: BTreeMap<String, Fleet>,
    zone_of: BTreeMap<HostId, String>,
    /// The operator's images that hosts have, of those that do not have all of the catalog.
    images: BTreeMap<HostId, BTreeSet<String>>,
    persons: BTreeMap<AccountId, AccountId>,
    /// Accounts may have become one person, or not; the database knows.
    persons_doubted: bool,
    /// Instances of which something was believed that did not come, and where.
    doubted: BTreeMap<InstanceId, (String, HostId)>,
    /// Hosts that came from another zone.
    unread: BTreeSet<HostId>,
    /// Hosts of which decisions are believed that are not committed yet, and how many.
    in_flight: BTreeMap<HostId, usize>,
    heard: usize,
}

impl Picture {
    fn fleet(&mut self, catalog: &Catalog, zone: &str) -> &mut Fleet {
        let persons = &self.persons;
        self.fleets.entry(zone.to_owned()).or_insert_with(|| {
            let mut fleet = Fleet::new(catalog, zone);
            persons.iter().for_each(|(account, person)| fleet.set_person(*account, *person));
            fleet
        })
    }
}

/// What a unit of work did, as far as others must hear of it.
#[derive(Default)]
pub struct Touched {
    pub instances: Vec<Instance>,
    /// Data disks and snapshots.
    pub volumes: Vec<Volume>,
    /// Hosts that have new orders.
    pub ordered: BTreeSet<HostId>,
    /// Notices that were given.
    pub notices: Vec<(InstanceId, Timestamp)>,
    /// Accounts that belong to another person now.
    pub persons: Vec<(AccountId, AccountId)>,
}

impl Zones {
    fn lock(&self) -> std::sync::MutexGuard<'_, Picture> {
        self.picture.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Looks at a zone, or changes what is known of it.
    pub fn with<T>(&self, catalog: &Catalog, zone: &str, look: impl FnOnce(&mut Fleet) -> T) -> T {
        look(self.lock().fleet(catalog, zone))
    }

    /// Waits until nobody else of this process decides about a zone's room. Two that look at one picture would choose alike.
    pub async fn turn(&self, zone: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            turns.entry(zone.to_owned()).or_default().clone()
        };
        turn.lock_owned().await
    }

    pub fn hear(&self, catalog: &Catalog, changed: &[Instance]) {
        if changed.is_empty() {
            return;
        }
        let mut picture = self.lock();
        for instance in changed {
            picture.fleet(catalog, &instance.zone).put(instance);
        }
        picture.heard += changed.len();
        if picture.heard > SWEEP_AFTER {
            picture.heard = 0;
            picture.fleets.values_mut().for_each(Fleet::sweep);
        }
    }

    /// The same of volumes.
    pub fn hear_volumes(&self, catalog: &Catalog, changed: &[Volume]) {
        if !changed.is_empty() {
            let mut picture = self.lock();
            changed.iter().for_each(|volume| picture.fleet(catalog, &volume.zone).put_volume(volume));
        }
    }

    /// What a decision changes if it is committed.
    pub fn begin(&self, catalog: &Catalog, changed: &Touched) {
        self.hear(catalog, &changed.instances);
        self.hear_volumes(catalog, &changed.volumes);
        let mut picture = self.lock();
        for host in hosts_of(changed) {
            *picture.in_flight.entry(host).or_default() += 1;
        }
    }

    /// It was committed, or came to nothing.
    pub fn end(&self, catalog: &Catalog, changed: &Touched, committed: bool) {
        {
            let mut picture = self.lock();
            for host in hosts_of(changed) {
                match picture.in_flight.get_mut(&host) {
                    Some(count) if *count > 1 => *count -= 1,
                    _ => drop(picture.in_flight.remove(&host)),
                }
            }
        }
        if committed {
            self.hear(catalog, &changed.instances);
            self.hear_volumes(catalog, &changed.volumes);
        } else {
            self.doubt(&changed.instances);
            // Of volumes all is read again of their hosts.
            self.lock().unread.extend(changed.volumes.iter().map(|volume| volume.host));
        }
    }

    /// Whether the picture of a host is ahead of what others can read.
    pub fn is_ahead(&self, host: HostId) -> bool {
        self.lock().in_flight.contains_key(&host)
    }

    /// All of those hosts.
    pub fn all_ahead(&self) -> BTreeSet<HostId> {
        self.lock().in_flight.keys().copied().collect()
    }

    /// An instance whose claim is elsewhere now.
    pub fn moved(&self, catalog: &Catalog, zone: &str, from: HostId, id: InstanceId) {
        self.with(catalog, zone, |fleet| fleet.forget(from, id));
    }

    /// Accounts became a person's; if it is not certain that they did, the database is asked before they count.
    pub fn hear_persons(&self, linked: &[(AccountId, AccountId)], committed: bool) {
        if linked.is_empty() {
            return;
        }
        let mut picture = self.lock();
        if !committed {
            picture.persons_doubted = true;
            return;
        }
        for (account, person) in linked {
            picture.persons.insert(*account, *person);
            picture.fleets.values_mut().for_each(|fleet| fleet.set_person(*account, *person));
        }
    }

    pub fn doubt(&self, touched: &[Instance]) {
        let doubts = touched.iter().map(|instance| (instance.id, (instance.zone.clone(), instance.host)));
        self.lock().doubted.extend(doubts);
    }

    /// What a host lends, and to whom.
    pub fn set_host(&self, catalog: &Catalog, zone: &str, id: HostId, facts: &Facts) {
        let mut picture = self.lock();
        if let Some(before) = picture.zone_of.insert(id, zone.to_owned()).filter(|before| before != zone) {
            let closed = Facts { terms: Terms::CLOSED, ..facts.clone() };
            picture.fleet(catalog, &before).set_host(id, &closed);
            picture.unread.insert(id);
        }
        picture.fleet(catalog, zone).set_host(id, facts);
    }

    /// Which of the operator's images a host has; `None`: all.
    pub fn set_images(&self, id: HostId, images: Option<BTreeSet<String>>) {
        let mut picture = self.lock();
        match images {
            Some(images) => drop(picture.images.insert(id, images)),
            None => drop(picture.images.remove(&id)),
        }
    }

    pub fn hosts_of(&self, zone: &str) -> BTreeSet<HostId> {
        self.lock().zone_of.iter().filter(|(_, its)| *its == zone).map(|(host, _)| *host).collect()
    }

    /// The hosts of a zone that an image has to be on before a guest can begin with it, and is not. An account's own is brought to any.
    ///
    /// # Errors
    /// No host of the zone has it.
    pub fn without_image(&self, zone: &str, image: &str) -> Result<BTreeSet<HostId>, Refused> {
        if image.parse::<ImageId>().is_ok() {
            return Ok(BTreeSet::new());
        }
        let picture = self.lock();
        let has = |host: &HostId| picture.images.get(host).is_none_or(|images| images.contains(image));
        let there = || picture.zone_of.iter().filter(|(_, its)| *its == zone).map(|(host, _)| *host);
        let without: BTreeSet<HostId> = there().filter(|host| !has(host)).collect();
        if !without.is_empty() && there().all(|host| without.contains(&host)) {
            return Err(Refused::ImageNotThere { image: image.to_owned(), zone: zone.to_owned() });
        }
        Ok(without)
    }
}

fn linked(row: &Row) -> (AccountId, AccountId) {
    let account = account::read(row);
    (account.id, root(&account))
}

fn hosts_of(changed: &Touched) -> BTreeSet<HostId> {
    let volumes = changed.volumes.iter().map(|volume| volume.host);
    changed.instances.iter().map(|instance| instance.host).chain(volumes).collect()
}

impl App {
    /// Waits until the picture was read from the database once.
    pub async fn zones_loaded(&self) -> Result<(), StoreError> {
        self.zones.loaded.get_or_try_init(|| self.load_zones()).await.map(|_| ())
    }

    async fn load_zones(&self) -> Result<(), StoreError> {
        let rooms = host::read_rooms(&self.store.rows(host::rooms()).await?);
        let mut rooms: BTreeMap<HostId, Room> = rooms.into_iter().map(|room| (room.host, room)).collect();
        for row in self.store.rows(host::all()).await? {
            let known = host::read(&row);
            self.zones.set_images(known.id, host::read_images(&row));
            self.set_host(&known, rooms.remove(&known.id).as_slice());
        }
        self.load_shortages().await?;
        self.load_persons().await?;
        let mut after = String::new();
        while let rows @ [_, ..] = &self.store.rows(volume::live_page(&after, PAGE)).await?[..] {
            let there: Vec<Volume> = rows.iter().map(volume::read).collect();
            after = there.last().expect("a page that is not empty").id.to_string();
            self.zones.hear_volumes(&self.catalog, &there);
        }
        let mut after = String::new();
        loop {
            let rows = self.store.rows(instance::live_page(&after, PAGE)).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.text("id").to_owned();
            let there: Vec<Instance> = rows.iter().map(instance::read).collect();
            self.zones.hear(&self.catalog, &there);
        }
    }

    /// Which accounts are one person, as the database has it.
    async fn load_persons(&self) -> Result<(), StoreError> {
        let rows = self.store.rows(account::linked()).await?;
        self.zones.hear_persons(&rows.iter().map(linked).collect::<Vec<_>>(), true);
        Ok(())
    }

    /// What the operator is short of, as the database has it.
    pub async fn load_shortages(&self) -> Result<(), StoreError> {
        let rows = self.store.rows(zone::shortages()).await?;
        let known: Vec<zone::Shortage> = rows.iter().map(zone::read).collect();
        for place in &self.catalog.zones {
            let from = known.iter().find(|shortage| shortage.zone == place.id).map(|shortage| shortage.at);
            self.zones.with(&self.catalog, &place.id, |fleet| fleet.set_short_from(from));
        }
        Ok(())
    }

    pub fn set_host(&self, known: &host::Host, room: &[Room]) {
        let capacity = room.first().map(|room| room.capacity.clone()).unwrap_or_default();
        let facts = self.stance(known, self.clock.now()).facts(capacity, known.state == "up");
        self.zones.set_host(&self.catalog, &known.zone, known.id, &facts);
    }
}

impl Unit {
    /// Reads again what is doubted of a zone. Called before the picture is relied on.
    pub async fn clear_doubts(&self) -> Outcome<()> {
        let doubted = std::mem::take(&mut self.app.zones.lock().persons_doubted);
        if doubted {
            let rows = self.reads.rows(account::linked()).await;
            self.app.zones.lock().persons_doubted |= rows.is_err();
            self.app.zones.hear_persons(&rows?.iter().map(linked).collect::<Vec<_>>(), true);
        }
        while let Some((id, zone, host)) = self.next_doubt() {
            let row = self.reads.row(instance::by_id(id)).await?;
            let known = row.as_ref().map(instance::read);
            self.app.zones.with(&self.app.catalog, &zone, |fleet| match &known {
                Some(known) => fleet.correct(known),
                None => fleet.forget(host, id),
            });
            self.app.zones.lock().doubted.remove(&id);
        }
        let unread = std::mem::take(&mut self.app.zones.lock().unread);
        for id in unread {
            self.read_host(id).await?;
        }
        Ok(())
    }

    fn next_doubt(&self) -> Option<(InstanceId, String, HostId)> {
        let picture = self.app.zones.lock();
        picture.doubted.first_key_value().map(|(id, (zone, host))| (*id, zone.clone(), *host))
    }

    /// Makes the picture of a whole zone what the database says.
    pub async fn true_picture(&self, zone: &str) -> Outcome<()> {
        self.clear_doubts().await?;
        for _ in 0..MOST_CORRECTIONS {
            let rooms = host::read_rooms(&self.reads.rows(zone::rooms(zone)).await?);
            let wrong = |fleet: &mut Fleet| {
                let wrong = rooms.iter().filter(|room| fleet.has(room.host) && !fleet.agrees(room));
                wrong.map(|room| room.host).collect::<Vec<_>>()
            };
            let wrong = self.app.zones.with(&self.app.catalog, zone, wrong);
            // Where others are about to commit, their guards will tell.
            let wrong: Vec<HostId> = wrong.into_iter().filter(|id| !self.app.zones.is_ahead(*id)).collect();
            if wrong.is_empty() {
                return Ok(());
            }
            for id in wrong {
                self.read_host(id).await?;
            }
        }
        Err(Halt::Store(StoreError::Ahead))
    }

    /// Makes the picture of a host what the database says.
    pub async fn read_host(&self, id: HostId) -> Outcome<()> {
        let rows = self.reads.rows(instance::on_host(id)).await?;
        let there: Vec<Instance> = rows.iter().map(instance::read).collect();
        let volumes = self.reads.rows(volume::on_host(id)).await?;
        let volumes: Vec<Volume> = volumes.iter().map(volume::read).collect();
        let known = self.reads.row(host::by_id(id)).await?.map(|row| host::read(&row));
        let Some(known) = known else { return Ok(()) };
        let room = host::read_rooms(&self.reads.rows(host::room_of(id)).await?);
        self.app.set_host(&known, &room);
        self.app.zones.with(&self.app.catalog, &known.zone, |fleet| fleet.replace(id, &there, &volumes));
        Ok(())
    }
}
