//! Which rows does a purchase write? The same statements that the service writes, made beforehand, for a loop that does only that.

use ebb_engine::event::Event;
use ebb_engine::lifecycle::due_at;
use ebb_engine::placement::Room;
use ebb_engine::price::tariff;
use ebb_engine::rating::spans_of;
use ebb_model::billing::Meter;
use ebb_model::catalog::{Catalog, Limits};
use ebb_model::id::{AccountId, EventId, HostId, InstanceId, SpanId};
use ebb_model::instance::{Instance, Purchase, State};
use ebb_model::money::{AMOUNT_PER_UNIT, Amount, Price};
use ebb_model::resources::Resources;
use ebb_model::time::Timestamp;
use ebb_store::Query;
use ebb_store::rows::account::{self, Account};
use ebb_store::rows::host::{self, Host, RoomChange};
use ebb_store::rows::{bill, event, instance, token};
use uuid::{Builder, Uuid};

/// Accounts with money and a host with room, and what was bought so far.
pub struct Shop {
    accounts: Vec<Account>,
    host: Host,
    limits: Limits,
    catalog: Catalog,
    now: Timestamp,
    bought: usize,
    /// An answer of the service, as the token keeps it.
    answer: String,
}

/// The statements of one unit of work, in order.
pub type Unit = Vec<Query>;

impl Shop {
    pub fn new(accounts: usize, answer: &str) -> Self {
        let now = Timestamp::from_micros(1_790_000_000_000_000);
        let catalog = ebb_server::sample_catalog();
        let open = |_| account::new(AccountId::new(id(now)), "Tenant", now);
        let host = Host {
            id: HostId::new(id(now)),
            name: "here".to_owned(),
            zone: "cn-beijing-a".to_owned(),
            driver: "fake".to_owned(),
            state: "up".to_owned(),
            sequence: 0,
            seen_at: now,
            lending: Default::default(),
        };
        let accounts = (0..accounts).map(open).collect();
        Self { accounts, host, limits: catalog.limits.clone(), catalog, now, bought: 0, answer: answer.to_owned() }
    }

    /// What must be there before anything is bought.
    pub fn furnish(&self) -> Unit {
        let mut unit = vec![host::insert(&self.host)];
        let lent = ["vcpu", "memory_mib", "disk_gib"];
        unit.extend(lent.map(|resource| host::set_capacity(self.host.id, resource, 1_000_000_000_000)));
        unit.extend(self.accounts.iter().map(|account| account::insert(account.id, &account.name, account.opened_at)));
        unit
    }

    /// A firm purchase by the next account.
    pub fn purchase(&mut self) -> Unit {
        let (place, bought) = self.next();
        self.create(place, &bought)
    }

    /// The same, with what follows when its guest is seen running.
    pub fn purchase_that_runs(&mut self) -> Unit {
        let (place, bought) = self.next();
        let mut unit = self.create(place, &bought);
        unit.extend(self.run(place, bought));
        unit
    }

    fn next(&mut self) -> (usize, Instance) {
        let place = self.bought % self.accounts.len();
        self.bought += 1;
        self.now = self.now.plus_millis(1);
        (place, self.instance(self.accounts[place].id))
    }

    fn create(&mut self, place: usize, bought: &Instance) -> Unit {
        let account = &mut self.accounts[place];
        let hold = Amount::from_units(AMOUNT_PER_UNIT / 10);
        account.held = account.held + hold;
        let none = Resources::default;
        let room = Room { host: self.host.id, capacity: none(), used: none(), claimed: none(), releasing: none() };
        let mut unit = vec![account::change(account)];
        account.generation += 1;
        unit.extend(host::change_room(&room, RoomChange::Take, &bought.resources));
        let (key, digest) = ("k-0198f6a2b3c47d5e8f901234567890ab", "0f".repeat(32));
        unit.push(token::insert(key, &Uuid::new_v4().to_string(), &digest, &self.answer, self.now));
        unit.push(instance::insert(bought, due_at(bought, &self.limits)));
        unit.extend(host::order(self.host.id, bought.id));
        unit.push(account::insert_hold(account.id, bought.id, hold, self.now.second()));
        let happened = Event::Bought {
            zone: bought.zone.clone(),
            flavor: bought.flavor.clone(),
            purchase: bought.purchase,
            disk_price: bought.disk_price,
            waits: false,
            took_room: false,
        };
        unit.push(event::insert(EventId::new(id(self.now)), account.id, Some(bought.id), self.now, &happened));
        unit
    }

    fn run(&mut self, place: usize, bought: Instance) -> Unit {
        let account = &mut self.accounts[place];
        let since = self.now.second();
        let next = Instance {
            state: State::Running,
            first_running: Some(since),
            in_use_since: Some(since),
            generation: 2,
            ..bought
        };
        account.ran = true;
        account.close_at = Some(self.catalog.time_zone.next_cut(since));
        let mut unit = vec![account::change(account), instance::change(1, &next, due_at(&next, &self.limits))];
        account.generation += 1;
        unit.extend(
            spans_of(&next, &tariff(&self.catalog, &next), Meter::OF_INSTANCE, true, since, || {
                SpanId::new(id(self.now))
            })
            .iter()
            .map(bill::insert_span),
        );
        let happened = Event::Running { at: since, first: true };
        unit.push(event::insert(EventId::new(id(self.now)), account.id, Some(next.id), self.now, &happened));
        unit
    }

    fn instance(&self, account: AccountId) -> Instance {
        Instance {
            id: InstanceId::new(id(self.now)),
            account,
            name: "t6.small.1".to_owned(),
            zone: self.host.zone.clone(),
            host: self.host.id,
            flavor: "t6.small.1".to_owned(),
            image: "ebb-guest".to_owned(),
            key_pair: None,
            resources: Resources::of([("vcpu", 1), ("memory_mib", 1024), ("disk_gib", 40)]),
            purchase: Purchase::OnDemand { price: Price::from_micros(80_000) },
            disk_price: Price::from_micros(20_000),
            created_at: self.now,
            tags: Default::default(),
            keep: Default::default(),
            has_room: true,
            took_room: false,
            first_running: None,
            in_use_since: None,
            end_announced: false,
            disk_revision: 0,
            frozen_since: None,
            generation: 1,
            state: State::Starting { give_up_at: self.now.plus_seconds(self.limits.boot_timeout_seconds) },
        }
    }
}

/// The wall's time, for rows that a running service is to find.
#[expect(clippy::disallowed_methods, reason = "a measurement has no clock of its own")]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let micros = since.ok().and_then(|since| i64::try_from(since.as_micros()).ok());
    Timestamp::from_micros(micros.expect("a clock after 1970"))
}

/// Ids sort by birth, like the service's.
pub fn id(now: Timestamp) -> Uuid {
    let random = Uuid::new_v4().into_bytes();
    let millis = u64::try_from(now.micros() / 1_000).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, random[..10].try_into().expect("ten of sixteen bytes")).into_uuid()
}
