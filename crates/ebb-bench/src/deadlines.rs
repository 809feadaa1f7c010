//! How soon are 1,000 releases over that fall due at once, while others buy and an hour of 100,000 instances closes?
//! And when the service was killed five seconds before?

use crate::bare;
use crate::cloud::{Cloud, Guests, Scratch, Tenant, ZONE};
use crate::load::{Answers, open_loop};
use crate::rows::{id, now};
use crate::table::{Line, Table, millis};
use anyhow::{Context, Result, bail};
use ebb_engine::rating::spans_of;
use ebb_model::billing::Meter;
use ebb_model::catalog::Catalog;
use ebb_model::id::{AccountId, HostId, InstanceId, SpanId};
use ebb_model::instance::{Cause, Instance, Purchase, State};
use ebb_model::time::{HOUR, Second};
use ebb_store::rows::host::{self, Host};
use ebb_store::rows::{account, bill, instance};
use ebb_store::{Place, Query, Store, args, query};
use ebb_testing::TempPostgres;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

const BLOCKS: usize = 1_000;
const ACCOUNTS: usize = 100;
const INSTANCES_EACH: usize = 1_000;
const NOTICE: u64 = 15;
const RATE: u32 = 200;
/// Before any hour ends.
const NEVER: i64 = 4_000_000_000;
const BLOCK: &str = r#"{"option":"spot-block","zone":"cn-beijing-a","flavor":"c6.large.2","hours":3,"periods":1}"#;

pub async fn run() -> Result<()> {
    let mut table =
        Table::new("deadlines: 1,000 releases due at once, guests made of nothing, ms after the last deadline");
    for server in [None, Some(TempPostgres::start())] {
        let name = if server.is_some() { "PostgreSQL" } else { "SQLite" };
        busy(&mut table, name, server).await?;
        killed(&mut table, name, server).await?;
    }
    table.note("a host of such guests stamps an end with its deadline, so its own word says nothing: what is measured is when a client that");
    table.note("looks every 50 ms sees the last of them released: host, service and commit together, an upper bound of each release.");
    table.note(
        "where serve was killed, it is from its return. What bounds it is the commits of 1,000 ends and 1,000 bills.",
    );
    table.note("in the same seconds: 200 requests a second, and 200,000 records of an hour of 100,000 other instances are settled.");
    table.print();
    Ok(())
}

/// Everything at once.
async fn busy(table: &mut Table, name: &str, postgres: Option<&TempPostgres>) -> Result<()> {
    let mut stage = Stage::new(postgres).await?;
    let cloud = stage.start().await?;
    let tenants = cloud.tenants(100).await?;
    let blocks = buy_blocks(&cloud, &tenants[0]).await?;
    let load = {
        let (cloud, tenants) = (cloud.clone(), tenants.clone());
        tokio::spawn(async move { open_loop(&cloud, &tenants, RATE, Duration::from_secs(NOTICE + 10)).await })
    };
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (began, ordered) = take_back(&cloud, &blocks).await?;
    tokio::time::sleep_until((began + Duration::from_secs(NOTICE) - Duration::from_millis(500)).into()).await;
    let closing = Instant::now();
    stage.end_the_hour().await?;
    until_released(&cloud, &tenants[0]).await?;
    let late = (began + ordered + Duration::from_secs(NOTICE)).elapsed();
    let answers: Answers = load.await??;
    stage.until_closed().await?;
    let closed = closing.elapsed();
    stage.take(cloud)?;
    stage.all_taken_back().await?;
    show(table, format!("{name}, busy: all seen released"), late, ordered);
    table.line(Line {
        what: format!("{name}, meanwhile 200/s: create p50 / p99 / max; hour closed in, s"),
        figure: format!("{}; {:.1}", answers.creates.spread(), closed.as_secs_f64()),
        rival: answers.errors.first().map_or_else(String::new, |e| format!("{} errors: {e:.60}", answers.errors.len())),
        ..Line::default()
    });
    Ok(())
}

/// The service is killed five seconds before, and comes back three seconds after.
async fn killed(table: &mut Table, name: &str, postgres: Option<&TempPostgres>) -> Result<()> {
    let mut stage = Stage::new(postgres).await?;
    let cloud = stage.start().await?;
    let tenants = cloud.tenants(1).await?;
    let blocks = buy_blocks(&cloud, &tenants[0]).await?;
    let (began, ordered) = take_back(&cloud, &blocks).await?;
    let mut cloud = Arc::into_inner(cloud).context("nobody else holds the cloud")?;
    tokio::time::sleep_until((began + Duration::from_secs(NOTICE - 5)).into()).await;
    cloud.kill_serve()?;
    tokio::time::sleep_until((began + ordered + Duration::from_secs(NOTICE + 3)).into()).await;
    cloud.serve_again()?;
    let back = Instant::now();
    let cloud = Arc::new(cloud);
    until_released(&cloud, &tenants[0]).await?;
    let written = back.elapsed();
    stage.take(cloud)?;
    stage.all_taken_back().await?;
    show(table, format!("{name}, serve killed and back: all seen released"), written, ordered);
    Ok(())
}

fn show(table: &mut Table, what: String, late: Duration, ordered: Duration) {
    table.line(Line {
        what,
        figure: millis(late),
        goal: "<= 1000".to_owned(),
        ratio: format!("notices within {} ms", millis(ordered)),
        ..Line::default()
    });
}

/// A database with an hour that can be ended, and where it is.
struct Stage {
    dir: Option<Scratch>,
    place: Place,
    address: Option<String>,
    boundary: Second,
    /// Its directory holds the database.
    ended: Option<Cloud>,
}

impl Stage {
    async fn new(postgres: Option<&TempPostgres>) -> Result<Self> {
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
        bare::fill(&place, rows(boundary)).await?;
        Ok(Self { dir: Some(dir), place, address, boundary, ended: None })
    }

    async fn start(&mut self) -> Result<Arc<Cloud>> {
        let text = include_str!("../../../catalog/sample.toml");
        let catalog = text.replace("notice_seconds = 300", &format!("notice_seconds = {NOTICE}"));
        let dir = self.dir.take().context("it is started once")?;
        let cloud = Cloud::start_in(dir, self.address.as_deref(), Guests::Fake { hosts: 2 }, Some(&catalog)).await?;
        Ok(Arc::new(cloud))
    }

    async fn store(&self) -> Result<Store> {
        Ok(Store::open(self.place.clone()).await?)
    }

    /// The hour of the accounts with many instances ends, for the service, now.
    async fn end_the_hour(&self) -> Result<()> {
        let (store, boundary) = (self.store().await?, self.boundary.unix());
        let ended = store.unit::<_, String, _, _>("end-hour", "bench", move |_| async move {
            let sql = "update account set close_at = $1 where close_at = $2";
            Ok(ebb_store::Decision { guards: vec![], writes: vec![query(sql, args![boundary, NEVER])], answer: () })
        });
        ended.await?;
        Ok(store.close().await?)
    }

    async fn until_closed(&self) -> Result<()> {
        let (store, started) = (self.store().await?, Instant::now());
        let left = || query("select count(*) as open from account where close_at = $1", args![self.boundary.unix()]);
        while store.rows(left()).await?[0].int("open") > 0 {
            if started.elapsed() > Duration::from_secs(300) {
                bail!("the hour is not closed");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(store.close().await?)
    }

    /// Ends the cloud; its directory stays.
    fn take(&mut self, cloud: Arc<Cloud>) -> Result<()> {
        let mut cloud = Arc::into_inner(cloud).context("nobody else holds the cloud")?;
        cloud.end();
        self.ended = Some(cloud);
        Ok(())
    }

    /// Each of them ended by the operator's word.
    async fn all_taken_back(&self) -> Result<()> {
        let store = self.store().await?;
        let rows = store.rows(query("select * from instance where live = 0", args![])).await?;
        let ended = |block: &Instance| {
            let State::Released { end, .. } = block.state else { return false };
            end.cause == Cause::Operator
        };
        let taken = rows.iter().map(instance::read).filter(ended).count();
        store.close().await?;
        if taken != BLOCKS {
            bail!("{taken} of {BLOCKS} blocks were taken back");
        }
        Ok(())
    }
}

/// Accounts with many running instances on the second host.
fn rows(boundary: Second) -> impl Iterator<Item = Query> {
    let catalog: Catalog = ebb_server::sample_catalog();
    let since = boundary.plus(-HOUR);
    let there = HostId::new(id(since.start()));
    let flavor = catalog.flavor("t6.small.1").expect("a flavor of the sample").clone();
    let needs = catalog.needs(&flavor);
    let full =
        "insert into host_room (host_id, resource, capacity, used, claimed, releasing) values ($1, $2, $3, $3, 0, 0)";
    let count = (ACCOUNTS * INSTANCES_EACH) as i64;
    let mut first = vec![host::insert(&Host {
        id: there,
        name: "bench-2".to_owned(),
        zone: ZONE.to_owned(),
        driver: "fake".to_owned(),
        state: "up".to_owned(),
        sequence: 0,
        seen_at: since.start(),
        lending: Default::default(),
    })];
    first.extend(needs.iter().map(|(kind, amount)| query(full, args![there.to_string(), kind, amount * count])));
    let accounts = (0..ACCOUNTS).flat_map(move |_| {
        let owner = AccountId::new(id(since.start()));
        let mut rows = vec![
            account::insert(owner, "Hourly", since.start()),
            query("update account set close_at = $2, ran = 1 where id = $1", args![owner.to_string(), NEVER]),
        ];
        for _ in 0..INSTANCES_EACH {
            let instance = Instance {
                id: InstanceId::new(id(since.start())),
                account: owner,
                name: "hourly".to_owned(),
                zone: ZONE.to_owned(),
                host: there,
                flavor: flavor.id.clone(),
                image: "ebb-guest".to_owned(),
                key_pair: None,
                resources: needs.clone(),
                purchase: Purchase::OnDemand { price: flavor.on_demand.expect("on sale on demand") },
                disk_price: catalog.disk_price(),
                created_at: since.start(),
                tags: Default::default(),
                keep: Default::default(),
                has_room: true,
                took_room: false,
                first_running: Some(since),
                in_use_since: Some(since),
                end_announced: false,
                generation: 2,
                state: State::Running,
            };
            rows.push(instance::insert(&instance, None));
            let spans = spans_of(&instance, Meter::ALL, true, since, || SpanId::new(id(since.start())));
            rows.extend(spans.iter().map(bill::insert_span));
        }
        rows
    });
    first.into_iter().chain(accounts)
}

/// Buys the blocks and waits until all run.
async fn buy_blocks(cloud: &Arc<Cloud>, tenant: &Tenant) -> Result<Vec<String>> {
    let key: Arc<str> = tenant.key.as_str().into();
    let buy = move |cloud: Arc<Cloud>, _| {
        let key = key.clone();
        async move {
            let bought = cloud.lines.post("/v1/instances", &key, BLOCK).await?.json()?;
            Ok(bought["id"].as_str().context("an id")?.to_owned())
        }
    };
    let bought = each(cloud, buy).await?;
    let started = Instant::now();
    while !states(cloud, tenant).await?.iter().all(|state| state == "running") {
        if started.elapsed() > Duration::from_secs(120) {
            bail!("the blocks do not all run");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(bought)
}

/// The operator takes all of them back; when the first was asked for, and how long it took to ask for all.
async fn take_back(cloud: &Arc<Cloud>, blocks: &[String]) -> Result<(Instant, Duration)> {
    let began = Instant::now();
    let blocks: Arc<[String]> = blocks.into();
    let take = move |cloud: Arc<Cloud>, n: usize| {
        let path = format!("/v1/instances/{}/reclaim", blocks[n]);
        async move { Ok(cloud.lines.post(&path, &cloud.operator, "").await?.json()?.to_string()) }
    };
    each(cloud, take).await?;
    Ok((began, began.elapsed()))
}

async fn until_released(cloud: &Cloud, tenant: &Tenant) -> Result<()> {
    let started = Instant::now();
    while states(cloud, tenant).await.is_ok_and(|states| states.iter().any(|state| state == "reclaiming")) {
        if started.elapsed() > Duration::from_secs(180) {
            bail!("the blocks are not released");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// The states of the tenant's blocks that are not released.
async fn states(cloud: &Cloud, tenant: &Tenant) -> Result<Vec<String>> {
    let (mut states, mut after) = (vec![], String::new());
    loop {
        let page = cloud.lines.get(&format!("/v1/instances?limit=1000&after={after}"), &tenant.key).await?.json()?;
        let items = page["items"].as_array().context("items")?;
        let blocks = items.iter().filter(|one| one["option"] == "spot-block" && one["hours"] == 3);
        states.extend(blocks.filter_map(|one| one["state"].as_str().map(str::to_owned)));
        match &page["next"] {
            Value::String(next) => after = next.clone(),
            _ => return Ok(states),
        }
    }
}

/// Does something `BLOCKS` times over 32 connections.
async fn each<F, Fut>(cloud: &Arc<Cloud>, act: F) -> Result<Vec<String>>
where
    F: Fn(Arc<Cloud>, usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<String>> + Send + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let workers = (0..32).map(|_| {
        let (cloud, act, next) = (cloud.clone(), act.clone(), next.clone());
        tokio::spawn(async move {
            let mut done = vec![];
            loop {
                let n = next.fetch_add(1, Relaxed);
                if n >= BLOCKS {
                    return anyhow::Ok(done);
                }
                done.push(act(cloud.clone(), n).await?);
            }
        })
    });
    let mut all = vec![];
    for worker in workers.collect::<Vec<_>>() {
        all.extend(worker.await??);
    }
    Ok(all)
}
