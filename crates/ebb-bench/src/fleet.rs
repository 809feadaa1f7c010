//! How long does a purchase take that must take room from others, in a zone of 10,000 hosts with 1,000,000 spot blocks?

use crate::bare;
use crate::cloud::{Cloud, Guests, Scratch, Tenant, ZONE};
use crate::process::Memory;
use crate::rows::{self, id};
use crate::table::{Line, Table, Times, millis, percent};
use anyhow::{Context, Result, bail};
use ebb_engine::fleet::{Facts, Fleet, Terms};
use ebb_engine::lifecycle::due_at;
use ebb_engine::placement::{Demand, plan_reclaim};
use ebb_model::catalog::Catalog;
use ebb_model::id::{AccountId, HostId, InstanceId};
use ebb_model::instance::{Instance, Purchase, State};
use ebb_model::resources::Resources;
use ebb_model::time::Timestamp;
use ebb_store::rows::host::{self, Host};
use ebb_store::rows::{account, instance};
use ebb_store::{Place, Query, Store, args, query};
use ebb_testing::TempPostgres;
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::{Duration, Instant};

const HOSTS: usize = 10_000;
const BLOCKS_EACH: usize = 100;
const OWNERS: usize = 200;
const BUYERS: usize = 100;
const RATE: u32 = 50;
const LENGTH: Duration = Duration::from_secs(20);
const STORM: usize = 1_000;
const PLANS: usize = 50;
/// What is bought: as large as one block, and as large as four.
const DEMANDS: [&str; 2] = ["c6.large.2", "c6.2xlarge.2"];

pub async fn run() -> Result<()> {
    let zone = Zone::new()?;
    let planner = planner_alone(&zone)?;
    // A table each, so that what goes wrong on one database hides nothing of the other.
    for (name, server) in [("SQLite", None), ("PostgreSQL", Some(TempPostgres::start()))] {
        let mut table = Table::new("fleet: a purchase that needs a reclaim, 10,000 full hosts, 1,000,000 spot blocks");
        measure(&mut table, &zone, name, server, &planner).await?;
        table.note("a time counts from the instant at which the request was meant to leave to the answer, which follows the commit of the");
        table.note("plan. The planner looks at every host in memory; what it finds is compared with that host's rows and guarded.");
        table.note("beside it: the planner alone on the same zone, and one read of the zone's instances, which a server without the");
        table.note("picture does for every purchase. No host answers here: rows only.");
        table.print();
    }
    Ok(())
}

/// What is there.
struct Zone {
    catalog: Catalog,
    now: Timestamp,
    hosts: Vec<HostId>,
    owners: Vec<AccountId>,
}

impl Zone {
    fn new() -> Result<Self> {
        let now = rows::now();
        let hosts = (0..HOSTS).map(|_| HostId::new(id(now))).collect();
        let owners = (0..OWNERS).map(|_| AccountId::new(id(now))).collect();
        Ok(Self { catalog: ebb_server::sample_catalog(), now, hosts, owners })
    }

    /// Blocks of 1 to 6 hours, begun at different times of the last hour; none ends within the next ten minutes.
    fn blocks(&self) -> impl Iterator<Item = Instance> {
        let flavor = self.catalog.flavor(DEMANDS[0]).expect("a flavor of the sample");
        let prices = &flavor.spot.as_ref().expect("sold as a block").prices;
        let resources = self.catalog.needs(flavor);
        let all = (0..HOSTS).flat_map(|host| (0..BLOCKS_EACH).map(move |at| (host, at)));
        all.map(move |(host, at)| {
            let number = host * BLOCKS_EACH + at;
            let hours = number % 6;
            let age = (number as i64 * 7_919) % 3_000;
            let created_at = self.now.plus_seconds(-age - 1);
            Instance {
                id: InstanceId::new(id(created_at)),
                account: self.owners[number % OWNERS],
                name: "block".to_owned(),
                zone: ZONE.to_owned(),
                host: self.hosts[host],
                flavor: flavor.id.clone(),
                image: "ebb-guest".to_owned(),
                key_pair: None,
                resources: resources.clone(),
                purchase: Purchase::SpotBlock {
                    price: prices[hours].first().price,
                    hours: hours as i64 + 1,
                    periods: 1,
                },
                disk_price: self.catalog.disk_price().first().price,
                created_at,
                tags: Default::default(),
                keep: Default::default(),
                has_room: true,
                took_room: false,
                first_running: Some(created_at.plus_seconds(1).second()),
                in_use_since: Some(created_at.plus_seconds(1).second()),
                end_announced: false,
                disk_revision: 0,
                frozen_since: None,
                generation: 2,
                state: State::Running,
            }
        })
    }

    /// Exactly full.
    fn capacity(&self) -> Resources {
        let needs = self.catalog.needs(self.catalog.flavor(DEMANDS[0]).expect("a flavor of the sample"));
        Resources::of(needs.iter().map(|(kind, amount)| (kind.to_owned(), amount * BLOCKS_EACH as i64)))
    }

    fn rows(&self) -> impl Iterator<Item = Query> {
        let capacity = self.capacity();
        let lent: Vec<(String, i64)> = capacity.iter().map(|(kind, amount)| (kind.to_owned(), amount)).collect();
        let owners = self.owners.iter().map(|owner| account::insert(*owner, "Owner", self.now));
        let hosts = self.hosts.iter().enumerate().flat_map(move |(number, host)| {
            let row = host::insert(&Host {
                id: *host,
                name: format!("host-{number}"),
                zone: ZONE.to_owned(),
                driver: "fake".to_owned(),
                state: "up".to_owned(),
                sequence: 0,
                seen_at: self.now,
                lending: Default::default(),
            });
            let full = "insert into host_room (host_id, resource, capacity, used, claimed, releasing) values ($1, $2, $3, $3, 0, 0)";
            let room = lent.clone().into_iter().map(|(kind, amount)| query(full, args![host.to_string(), kind, amount]));
            std::iter::once(row).chain(room.collect::<Vec<_>>())
        });
        let blocks = self.blocks().map(|block| instance::insert(&block, due_at(&block, &self.catalog.limits)));
        owners.chain(hosts).chain(blocks)
    }
}

/// The pure planner, without a server.
fn planner_alone(zone: &Zone) -> Result<Times> {
    let mut fleet = Fleet::new(&zone.catalog, ZONE);
    let facts = Facts { capacity: zone.capacity(), terms: Terms::OPEN };
    zone.hosts.iter().for_each(|host| fleet.set_host(*host, &facts));
    zone.blocks().for_each(|block| fleet.put(&block));
    let mut times = vec![];
    for n in 0..PLANS {
        let needs = zone.catalog.needs(zone.catalog.flavor(DEMANDS[n % DEMANDS.len()]).context("a flavor")?);
        let demand = Demand { account: None, resources: &needs };
        let started = Instant::now();
        let planned = plan_reclaim(&mut fleet, &demand, zone.now, zone.catalog.limits.notice_seconds);
        times.push(started.elapsed());
        if planned.is_none_or(|decision| decision.hosts_possible != HOSTS) {
            bail!("every host could be cleared");
        }
    }
    Ok(Times::of(times))
}

async fn measure(
    table: &mut Table,
    zone: &Zone,
    name: &str,
    postgres: Option<&TempPostgres>,
    planner: &Times,
) -> Result<()> {
    let dir = Scratch::new()?;
    let address = match postgres {
        Some(server) => Some(server.database().await),
        None => None,
    };
    std::fs::create_dir_all(dir.path().join("serve"))?;
    let place = match &address {
        Some(address) => Place::Postgres(address.clone()),
        None => Place::Sqlite(dir.path().join("serve").join("ebb.db")),
    };
    eprintln!("  {name}: filling the zone");
    bare::fill(&place, zone.rows()).await?;
    let whole_read = read_zone(&place).await?;

    let cloud = Arc::new(Cloud::start_in(dir, address.as_deref(), Guests::Absent, None).await?);
    let tenants = cloud.tenants(BUYERS).await?;
    let started = Instant::now();
    buy(&cloud, &tenants[0], 0).await?;
    let loaded = started.elapsed();
    for n in 0..20 {
        buy(&cloud, &tenants[n % BUYERS], n).await?;
    }

    eprintln!("  {name}: {RATE} a second");
    let steady = at_rate(&cloud, &tenants).await?;
    let line = |what: String, times: &Times, goal: &str| Line {
        what,
        figure: times.spread(),
        goal: goal.to_owned(),
        rival: format!("{} planner alone", planner.spread()),
        ratio: format!("p50 {}", percent(times.at(0.5).as_secs_f64(), planner.at(0.5).as_secs_f64())),
        ..Line::default()
    };
    table.line(line(format!("{name}, 50/s, POST to answer: p50 / p99 / max, ms"), &steady, "p99 <= 20"));
    eprintln!("  {name}: a storm of {STORM}");
    let (storm, took, turned_away) = storm(&cloud, &tenants).await?;
    table.line(line(format!("{name}, 1,000 at once: p50 / p99 / max, ms"), &storm, ""));
    table.line(Line {
        what: format!("{name}, 1,000 at once: all answered, ms; {turned_away} told to try again"),
        figure: millis(took),
        rival: format!("{} one read of the zone", millis(whole_read)),
        ratio: format!(
            "{:.0} orders in the time of one read",
            STORM as f64 * whole_read.as_secs_f64() / took.as_secs_f64()
        ),
        ..Line::default()
    });
    let memory = Memory::of(cloud.serve_pid()).resident as f64 / 1024.0;
    table.line(Line {
        what: format!("{name}: first order, which reads the zone, s; resident, MiB"),
        figure: format!("{:.1}; {memory:.0}", loaded.as_secs_f64()),
        goal: "60 MiB + 1 KiB each".to_owned(),
        rival: format!("{:.1} read alone", whole_read.as_secs_f64()),
        ..Line::default()
    });
    Ok(())
}

async fn read_zone(place: &Place) -> Result<Duration> {
    let store = Store::open(place.clone()).await?;
    let started = Instant::now();
    let mut after = String::new();
    loop {
        let rows = store.rows(instance::live_page(&after, 10_000)).await?;
        let Some(last) = rows.iter().map(instance::read).next_back() else { break };
        after = last.id.to_string();
    }
    let took = started.elapsed();
    store.close().await?;
    Ok(took)
}

async fn buy(cloud: &Cloud, tenant: &Tenant, n: usize) -> Result<()> {
    let flavor = DEMANDS[n % DEMANDS.len()];
    let body = format!(r#"{{"option":"on-demand","zone":"{ZONE}","flavor":"{flavor}"}}"#);
    let bought = cloud.lines.post("/v1/instances", &tenant.key, &body).await?.json()?;
    match bought["state"].as_str() {
        Some("pending") => Ok(()),
        other => bail!("an order should wait for its room, not be {other:?}"),
    }
}

async fn at_rate(cloud: &Arc<Cloud>, tenants: &[Tenant]) -> Result<Times> {
    let started = Instant::now();
    let mut asked = vec![];
    for n in 0..LENGTH.as_secs() as u32 * RATE {
        let meant = started + Duration::from_secs(1) * n / RATE;
        tokio::time::sleep_until(meant.into()).await;
        let (cloud, tenant) = (cloud.clone(), tenants[n as usize % tenants.len()].clone());
        asked.push(tokio::spawn(async move { buy(&cloud, &tenant, n as usize).await.map(|()| meant.elapsed()) }));
    }
    let mut times = vec![];
    for answer in asked {
        times.push(answer.await??);
    }
    Ok(Times::of(times))
}

async fn storm(cloud: &Arc<Cloud>, tenants: &[Tenant]) -> Result<(Times, Duration, usize)> {
    let started = Instant::now();
    let asked = (0..STORM).map(|n| {
        let (cloud, tenant) = (cloud.clone(), tenants[n % tenants.len()].clone());
        tokio::spawn(async move { buy(&cloud, &tenant, n).await.map(|()| started.elapsed()) })
    });
    let mut times = vec![];
    let mut turned_away = 0;
    for answer in join_all(asked).await {
        match answer? {
            Ok(time) => times.push(time),
            // Too many wrote the same rows: nothing was changed, and it may be tried again.
            Err(error) if error.to_string().contains("try-again") => turned_away += 1,
            Err(error) => return Err(error),
        }
    }
    Ok((Times::of(times), started.elapsed(), turned_away))
}
