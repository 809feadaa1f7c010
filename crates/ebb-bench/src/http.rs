//! Creates and lists over HTTP: how long do they take at 200 a second, and how many are there at most? On both databases.

use crate::bare::{self, Took};
use crate::cloud::{Cloud, Guests, Tenant};
use crate::load::{closed_loop, open_loop, settled, syncs};
use crate::process;
use crate::rows::{Shop, Unit};
use crate::table::{Line, Table, Times, median, micros_each, percent, range};
use anyhow::Result;
use ebb_testing::TempPostgres;
use std::sync::Arc;
use std::time::Duration;

const RATE: u32 = 200;
const OPEN: Duration = Duration::from_secs(20);
const CLOSED: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_secs(2);
const CONNECTIONS: usize = 64;
const TENANTS: usize = 100;
const RUNS: usize = 3;
/// Purchases in a bare loop.
const BARE: usize = 8_000;

pub async fn run() -> Result<()> {
    let mut table = Table::new("http: purchases and lists, 100 tenants, hosts and workers on");
    measure(&mut table, None).await?;
    let postgres = TempPostgres::durable();
    measure(&mut table, Some(&postgres)).await?;
    table.note("open loop: 200/s for 20 s, half lists, half purchases (on demand and spot); a time counts from the planned instant.");
    table.note("CPU: the server's per request, + PostgreSQL's; each purchase carries its guest's start, spans and events with it.");
    table.note(
        "bare loop: the rows of a purchase, the same statements, prebuilt, durable, as many to a commit as Ebb had.",
    );
    table.note(
        "`all rows` adds the rows that a guest's start writes, which Ebb writes in the same time and the CPU includes.",
    );
    table.print();
    Ok(())
}

/// What a run uses: the service, the database beside it.
pub struct Meter<'a> {
    pub cloud: &'a Cloud,
    pub postgres: Option<&'a TempPostgres>,
}

impl Meter<'_> {
    pub fn read(&self) -> [Duration; 2] {
        let database = self.postgres.map_or(Duration::ZERO, |server| process::cpu_with_children(server.process()));
        [self.cloud.cpu(), database]
    }

    pub fn since(&self, before: [Duration; 2]) -> [Duration; 2] {
        let now = self.read();
        [now[0] - before[0], now[1] - before[1]]
    }
}

async fn start(postgres: Option<&TempPostgres>) -> Result<(Arc<Cloud>, Vec<Tenant>)> {
    let address = match postgres {
        Some(server) => Some(server.database().await),
        None => None,
    };
    let cloud = Arc::new(Cloud::start(address.as_deref(), Guests::Fake { hosts: 1 }).await?);
    let tenants = cloud.tenants(TENANTS).await?;
    Ok((cloud, tenants))
}

async fn measure(table: &mut Table, postgres: Option<&TempPostgres>) -> Result<()> {
    let name = if postgres.is_some() { "PostgreSQL" } else { "SQLite" };
    at_200(table, name, postgres).await?;
    at_most(table, name, postgres).await
}

async fn at_200(table: &mut Table, name: &str, postgres: Option<&TempPostgres>) -> Result<()> {
    let (mut runs, mut cpu, mut probes) = (vec![], [vec![], vec![]], vec![]);
    for _ in 0..RUNS {
        let (cloud, tenants) = start(postgres).await?;
        open_loop(&cloud, &tenants, RATE, WARM_UP).await?;
        let meter = Meter { cloud: &cloud, postgres };
        let before = meter.read();
        let probe = syncs(OPEN);
        let answers = open_loop(&cloud, &tenants, RATE, OPEN).await?;
        let used = meter.since(before);
        cpu[0].push(micros_each(used[0], answers.count()));
        cpu[1].push(micros_each(used[1], answers.count()));
        if let Some(error) = answers.errors.first() {
            table.note(format!("{name}: {} of {} failed, such as {error}", answers.errors.len(), answers.count()));
        }
        runs.push(answers);
        probes.push(probe.await??);
        cloud.agrees().await?;
    }
    let goal = if postgres.is_some() { "p99 <= 40" } else { "p99 <= 25" };
    let [server, database] = cpu.map(median);
    let beside = if postgres.is_some() { format!(" + {database:.0}") } else { String::new() };
    let probe = middle(probes.iter().collect());
    for (what, times) in [
        ("create", middle(runs.iter().map(|run| &run.creates).collect())),
        ("list", middle(runs.iter().map(|run| &run.lists).collect())),
    ] {
        table.line(Line {
            what: format!("{name}, 200/s, {what}: p50 / p99 / max"),
            figure: times.spread(),
            goal: goal.to_owned(),
            rival: format!("{} one sync", probe.spread()),
            ratio: format!("p99 {}", percent(times.at(0.99).as_secs_f64(), probe.at(0.99).as_secs_f64())),
            cpu: format!("{server:.0}{beside} us/request"),
        });
    }
    Ok(())
}

/// The run whose p99 is in the middle.
fn middle(mut runs: Vec<&Times>) -> &Times {
    runs.sort_by_key(|times| times.at(0.99));
    runs[runs.len() / 2]
}

async fn at_most(table: &mut Table, name: &str, postgres: Option<&TempPostgres>) -> Result<()> {
    let (mut rates, mut cpu, mut shares, mut lags) = (vec![], vec![], vec![], vec![]);
    let mut answer = String::new();
    let mut times = Times::default();
    for _ in 0..RUNS {
        let (cloud, tenants) = start(postgres).await?;
        answer = cloud.lines.post("/v1/instances", &tenants[0].key, crate::load::ON_DEMAND).await?.body;
        let meter = Meter { cloud: &cloud, postgres };
        let (before, commits) = (meter.read(), cloud.commits().await?);
        times = closed_loop(&cloud, &tenants, CONNECTIONS, |_, passed| passed >= CLOSED).await?;
        let committed = cloud.commits().await?;
        lags.push(settled(&cloud, &tenants[0]).await?.as_secs_f64());
        let used = meter.since(before);
        cloud.agrees().await?;
        rates.push(times.count() as f64 / CLOSED.as_secs_f64());
        cpu.push(micros_each(used[0] + used[1], times.count()));
        shares.push((committed.0 - commits.0) as f64 / (committed.1 - commits.1).max(1) as f64);
    }
    let batch = median(shares).round().max(1.0) as usize;
    let [bought, all] = bare_runs(postgres, &answer, batch).await?;
    let per_second = |took: &Took| BARE as f64 / took.wall.as_secs_f64();
    let bare: Vec<f64> = bought.iter().map(per_second).collect();
    table.line(Line {
        what: format!("{name}, 64 connections, creates/s"),
        figure: range(&rates),
        goal: ">= 50 % of bare".to_owned(),
        rival: format!("{} bare, {batch} a commit", range(&bare)),
        ratio: percent(median(rates), median(bare)),
        cpu: String::new(),
    });
    let bare_cpu = median(all.iter().map(|took| micros_each(took.cpu, BARE)).collect());
    table.line(Line {
        what: format!("{name}, 64 connections, CPU us/create, all rows"),
        figure: range(&cpu),
        goal: String::new(),
        rival: format!("{bare_cpu:.0} bare"),
        ratio: percent(median(cpu.clone()), bare_cpu),
        cpu: String::new(),
    });
    table.note(format!(
        "{name}, 64 connections: p50 / p99 / max {}; after {} s of purchases the last guest ran {:.1} s later.",
        times.spread(),
        CLOSED.as_secs(),
        median(lags)
    ));
    Ok(())
}

/// The rows of purchases alone, and with those of their guests' starts.
async fn bare_runs(postgres: Option<&TempPostgres>, answer: &str, batch: usize) -> Result<[Vec<Took>; 2]> {
    let (mut bought, mut all) = (vec![], vec![]);
    for _ in 0..RUNS {
        for (unit, results) in
            [(Shop::purchase as fn(&mut Shop) -> Unit, &mut bought), (Shop::purchase_that_runs, &mut all)]
        {
            let mut shop = Shop::new(TENANTS, answer);
            let furnish = shop.furnish();
            let units: Vec<Unit> = (0..BARE).map(|_| unit(&mut shop)).collect();
            results.push(match postgres {
                None => bare::sqlite(&furnish, &units, batch).await?,
                Some(server) => {
                    bare::postgres(&server.database().await, server.process(), &furnish, &units, batch).await?
                }
            });
        }
    }
    Ok([bought, all])
}
