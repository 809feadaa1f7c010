//! Where are the ends of hours measured? On a database with an hour of many instances, which ends when it is told to.

use crate::bare;
use crate::cloud::{Cloud, Guests, Scratch, ZONE};
use crate::deadlines::{BLOCKS, NOTICE};
use crate::rows::{id, now};
use crate::table::Times;
use anyhow::{Context, Result, bail};
use ebb_engine::price::tariff;
use ebb_engine::rating::spans_of;
use ebb_model::billing::{Meter, Span};
use ebb_model::catalog::{Catalog, Flavor};
use ebb_model::id::{AccountId, HostId, InstanceId, SpanId};
use ebb_model::instance::{Cause, Instance, Purchase, State};
use ebb_model::time::{HOUR, Second};
use ebb_store::rows::host::{self, Host};
use ebb_store::rows::{account, bill, instance};
use ebb_store::{Place, Query, Row, Store, args, query};
use ebb_testing::TempPostgres;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Before any hour ends.
const NEVER: i64 = 4_000_000_000;
const PATIENCE: Duration = Duration::from_secs(3_600);

/// How many instances have an hour in common.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub accounts: usize,
    pub each: usize,
}

impl Size {
    pub fn instances(self) -> usize {
        self.accounts * self.each
    }
}

/// A database with an hour that can be ended, and where it is.
pub struct Stage {
    dir: Option<Scratch>,
    place: Place,
    pub address: Option<String>,
    pub boundary: Second,
    pub accounts: Vec<AccountId>,
    /// Its directory holds the database.
    ended: Option<Cloud>,
}

impl Stage {
    pub async fn new(postgres: Option<&TempPostgres>, size: Size) -> Result<Self> {
        Self::with(postgres, size, |_| vec![]).await
    }

    /// With `more` rows.
    pub async fn with(
        postgres: Option<&TempPostgres>,
        size: Size,
        more: impl FnOnce(&Running) -> Vec<Query>,
    ) -> Result<Self> {
        let dir = Scratch::new()?;
        std::fs::create_dir_all(dir.path().join("serve"))?;
        let address = match postgres {
            Some(server) => Some(server.database().await),
            None => None,
        };
        let place = match &address {
            Some(address) => Place::Postgres(address.clone()),
            None => Place::Sqlite(dir.path().join("serve").join("ebb.db")),
        };
        let boundary = now().second().hour();
        let since = boundary.plus(-HOUR);
        let accounts: Vec<AccountId> = (0..size.accounts).map(|_| AccountId::new(id(since.start()))).collect();
        let running = Running::new(since);
        let more = more(&running);
        bare::fill(&place, running.rows(&accounts, size).chain(more)).await?;
        Ok(Self { dir: Some(dir), place, address, boundary, accounts, ended: None })
    }

    pub async fn start(&mut self) -> Result<Arc<Cloud>> {
        let text = include_str!("../../../catalog/sample.toml");
        let catalog = text.replace("notice_seconds = 300", &format!("notice_seconds = {NOTICE}"));
        let dir = self.dir.take().context("it is started once")?;
        let cloud = Cloud::start_in(dir, self.address.as_deref(), Guests::Fake { hosts: 2 }, Some(&catalog)).await?;
        Ok(Arc::new(cloud))
    }

    /// Where the rows are.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What is beside the rows, until it is started.
    pub fn dir(&self) -> Result<&Scratch> {
        self.dir.as_ref().context("it is not started yet")
    }

    pub async fn store(&self) -> Result<Store> {
        Ok(Store::open(self.place.clone()).await?)
    }

    /// The hour of the accounts with many instances ends, for the service, now.
    pub async fn end_the_hour(&self) -> Result<()> {
        let (store, boundary) = (self.store().await?, self.boundary.unix());
        let ended = store.unit::<_, String, _, _>("end-hour", "bench", move |_| async move {
            let sql = "update account set close_at = $1 where close_at = $2";
            Ok(ebb_store::Decision { guards: vec![], writes: vec![query(sql, args![boundary, NEVER])], answer: () })
        });
        ended.await?;
        Ok(store.close().await?)
    }

    pub async fn until_closed(&self) -> Result<()> {
        self.until_left(0, Duration::from_millis(100)).await
    }

    /// Waits until the first account's hour is closed.
    pub async fn until_begun(&self) -> Result<()> {
        self.until_left(self.accounts.len() - 1, Duration::from_millis(5)).await
    }

    async fn until_left(&self, few: usize, pause: Duration) -> Result<()> {
        let (store, started) = (self.store().await?, Instant::now());
        let left = || query("select count(*) as open from account where close_at = $1", args![self.boundary.unix()]);
        while store.rows(left()).await?[0].int("open") > few as i64 {
            if started.elapsed() > PATIENCE {
                bail!("the hour is not closed");
            }
            tokio::time::sleep(pause).await;
        }
        Ok(store.close().await?)
    }

    /// Ends the cloud; its directory stays.
    pub fn take(&mut self, cloud: Arc<Cloud>) -> Result<()> {
        let mut cloud = Arc::into_inner(cloud).context("nobody else holds the cloud")?;
        cloud.end();
        self.ended = Some(cloud);
        Ok(())
    }

    /// When each of those ended that the operator took back.
    pub async fn ends(&self) -> Result<Ends> {
        let store = self.store().await?;
        let sql = "select gone_at, late from block where cause = $1";
        let rows = store.rows(query(sql, args![Cause::Operator.name()])).await?;
        store.close().await?;
        if rows.len() != BLOCKS {
            bail!("{} of {BLOCKS} blocks were taken back", rows.len());
        }
        let late = |row: &Row| u64::try_from(row.int("late")).context("gone before its deadline");
        let late = rows.iter().map(|row| Ok(Duration::from_micros(late(row)?))).collect::<Result<Vec<_>>>()?;
        let turns: BTreeSet<i64> = rows.iter().map(|row| row.int("gone_at")).collect();
        Ok(Ends { late: Times::of(late), turns: turns.len() })
    }
}

/// What the tables say of the releases.
pub struct Ends {
    pub late: Times,
    /// Different instants, each a look of the host at its clock.
    pub turns: usize,
}

/// Instances that run on the second host.
pub struct Running {
    catalog: Catalog,
    flavor: Flavor,
    host: HostId,
    pub since: Second,
}

impl Running {
    fn new(since: Second) -> Self {
        let catalog: Catalog = ebb_server::sample_catalog();
        let flavor = catalog.flavor("t6.small.1").expect("a flavor of the sample").clone();
        Self { catalog, flavor, host: HostId::new(id(since.start())), since }
    }

    /// The host and the accounts, each with its instances and their spans.
    fn rows(self, accounts: &[AccountId], size: Size) -> impl Iterator<Item = Query> {
        let needs = self.catalog.needs(&self.flavor);
        let full = "insert into host_room (host_id, resource, capacity, used, claimed, releasing) values ($1, $2, $3, $3, 0, 0)";
        let count = size.instances() as i64;
        let mut first = vec![host::insert(&Host {
            id: self.host,
            name: "bench-2".to_owned(),
            zone: ZONE.to_owned(),
            driver: "fake".to_owned(),
            state: "up".to_owned(),
            sequence: 0,
            seen_at: self.since.start(),
            lending: Default::default(),
        })];
        first
            .extend(needs.iter().map(|(kind, amount)| query(full, args![self.host.to_string(), kind, amount * count])));
        let accounts = accounts.iter().copied().flat_map(move |owner| {
            let mut rows = self.account(owner, NEVER);
            let mut spans = vec![];
            for _ in 0..size.each {
                let (instance, uses) = self.instance(owner, self.since);
                rows.push(instance::insert(&instance, None));
                spans.extend(uses);
            }
            rows.extend(bill::insert_spans(&spans));
            rows
        });
        first.into_iter().chain(accounts)
    }

    /// An account whose first open hour ends then.
    pub fn account(&self, owner: AccountId, close_at: i64) -> Vec<Query> {
        vec![
            account::insert(owner, "Hourly", self.since.start()),
            query("update account set close_at = $2, ran = 1 where id = $1", args![owner.to_string(), close_at]),
        ]
    }

    /// An instance that runs from `since` on, with its spans.
    pub fn instance(&self, owner: AccountId, since: Second) -> (Instance, Vec<Span>) {
        let (catalog, flavor) = (&self.catalog, &self.flavor);
        let instance = Instance {
            id: InstanceId::new(id(since.start())),
            account: owner,
            name: "hourly".to_owned(),
            zone: ZONE.to_owned(),
            host: self.host,
            flavor: flavor.id.clone(),
            image: "ebb-guest".to_owned(),
            key_pair: None,
            resources: catalog.needs(flavor),
            purchase: Purchase::OnDemand { price: flavor.on_demand.as_ref().expect("on sale on demand").at(since) },
            disk_price: catalog.disk_price().at(since),
            created_at: since.start(),
            tags: Default::default(),
            keep: Default::default(),
            has_room: true,
            took_room: false,
            first_running: Some(since),
            in_use_since: Some(since),
            end_announced: false,
            disk_revision: 0,
            frozen_since: None,
            generation: 2,
            state: State::Running,
        };
        let spans = spans_of(&instance, &tariff(catalog, &instance), Meter::OF_INSTANCE, true, since, || {
            SpanId::new(id(since.start()))
        });
        (instance, spans)
    }
}
