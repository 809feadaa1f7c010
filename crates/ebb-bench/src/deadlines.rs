//! How late do 1,000 releases begin that fall due at once, while others buy and an hour of 100,000 instances closes?
//! And when the service was killed five seconds before?

use crate::cloud::{Cloud, Tenant};
use crate::http::Meter;
use crate::load::{Answers, open_loop, syncs};
use crate::sleepers;
use crate::stage::{Ends, Size, Stage};
use crate::table::{Line, Table, Times, millis, percent};
use anyhow::{Context, Result, anyhow, bail};
use ebb_model::time::Timestamp;
use ebb_testing::TempPostgres;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

pub const BLOCKS: usize = 1_000;
pub const NOTICE: u64 = 15;
/// Each has ten of the blocks.
const TENANTS: usize = 100;
const CONNECTIONS: usize = 250;
const RATE: u32 = 200;
/// Others, whose hour ends meanwhile.
const HOURLY: Size = Size { accounts: 100, each: 1_000 };
const BLOCK: &str = r#"{"option":"spot-block","zone":"cn-beijing-a","flavor":"c6.large.2","hours":3,"periods":1}"#;

const NOTES: [&str; 10] = [
    "due within: so long the service took to give the notices. begun: by the clock of the host when it came to the deadline; a guest",
    "made of nothing is gone in that same turn, so this is also the stored `gone`. Beside it, in the same seconds: 1,000 tasks that",
    "sleep until the same deadlines and do nothing, in a thread of their own; and one write of 4 KiB made durable, 100 a second.",
    "what bounds it: a turn of the host ends with a durable write, and what falls due meanwhile waits for the next turn. Else the",
    "timer of 1 ms and the scheduler, as with the sleeping tasks: with the host's files in memory, its figures were theirs.",
    "seen: when a client that looks at 100 tenants in turn sees the last of them released: host, service and commits; after the",
    "last deadline, or where serve was killed, after it listens again. Share of a core and commits are those of that time. What",
    "bounds it is the writing of 1,000 ends with their bills, on cores that client, load and databases share.",
    "in the seconds of `busy`: 200 requests a second, half lists, half purchases, and 200,000 records of an hour of 100,000 other",
    "instances are settled.",
];

pub async fn run() -> Result<()> {
    let mut table = Table::new("deadlines: 1,000 releases due at once, guests made of nothing, ms after each deadline");
    let postgres = TempPostgres::durable();
    for (name, server) in [("SQLite", None), ("PostgreSQL", Some(&postgres))] {
        busy(&mut table, name, server).await?;
        killed(&mut table, name, server).await?;
    }
    for note in NOTES {
        table.note(note);
    }
    table.print();
    Ok(())
}

/// Everything at once.
async fn busy(table: &mut Table, name: &str, postgres: Option<&TempPostgres>) -> Result<()> {
    let mut stage = Stage::new(postgres, HOURLY).await?;
    let cloud = stage.start().await?;
    let tenants = cloud.tenants(TENANTS).await?;
    let blocks = buy_blocks(&cloud, &tenants).await?;
    let due = take_back(&cloud, &blocks).await?;
    let load = {
        let (cloud, tenants) = (cloud.clone(), tenants.clone());
        tokio::spawn(async move { open_loop(&cloud, &tenants, RATE, Duration::from_secs(NOTICE + 8)).await })
    };
    let beside = Beside::start(&due);
    tokio::time::sleep_until(due.first() - Duration::from_millis(500)).await;
    let closing = Instant::now();
    stage.end_the_hour().await?;
    tokio::time::sleep_until(due.last()).await;
    let seen = until_released(&cloud, &tenants, postgres).await?;
    let answers: Answers = load.await??;
    stage.until_closed().await?;
    let closed = closing.elapsed();
    stage.take(cloud)?;
    let case = format!("{name}, busy");
    show(table, &case, &due, &stage.ends().await?, beside, seen).await?;
    table.line(Line {
        what: format!("{case}: meanwhile 200/s, create p50 / p99 / max; hour closed in, s"),
        figure: format!("{}; {:.1}", answers.creates.spread(), closed.as_secs_f64()),
        rival: answers.errors.first().map_or_else(String::new, |e| format!("{} errors: {e:.60}", answers.errors.len())),
        ..Line::default()
    });
    Ok(())
}

/// The service is killed five seconds before, and comes back three seconds after.
async fn killed(table: &mut Table, name: &str, postgres: Option<&TempPostgres>) -> Result<()> {
    let mut stage = Stage::new(postgres, HOURLY).await?;
    let cloud = stage.start().await?;
    let tenants = cloud.tenants(TENANTS).await?;
    let blocks = buy_blocks(&cloud, &tenants).await?;
    let due = take_back(&cloud, &blocks).await?;
    let beside = Beside::start(&due);
    let mut cloud = Arc::into_inner(cloud).context("nobody else holds the cloud")?;
    tokio::time::sleep_until(due.first() - Duration::from_secs(5)).await;
    cloud.kill_serve()?;
    tokio::time::sleep_until(due.last() + Duration::from_secs(3)).await;
    cloud.serve_again()?;
    let cloud = Arc::new(cloud);
    let seen = until_released(&cloud, &tenants, postgres).await?;
    stage.take(cloud)?;
    show(table, &format!("{name}, serve killed"), &due, &stage.ends().await?, beside, seen).await
}

async fn show(table: &mut Table, case: &str, due: &Due, ends: &Ends, beside: Beside, seen: Seen) -> Result<()> {
    let (slept, synced) = beside.end().await?;
    table.line(Line {
        what: format!("{case}: begun of {}, due within {}: p50 / p99 / max", ends.late.count(), millis(due.within())),
        figure: ends.late.spread(),
        goal: "max <= 1000".to_owned(),
        rival: format!("{} sleeping; {} one sync", slept.spread(), synced.spread()),
        ratio: format!("p99 {}", percent(ends.late.at(0.99).as_secs_f64(), slept.at(0.99).as_secs_f64())),
        cpu: format!("{} turns of the host", ends.turns),
    });
    table.line(Line {
        what: format!("{case}: all seen released"),
        figure: millis(seen.after),
        cpu: seen.used,
        ..Line::default()
    });
    Ok(())
}

/// The deadlines, in order.
struct Due(Vec<Timestamp>);

impl Due {
    fn first(&self) -> tokio::time::Instant {
        sleepers::instant(self.0[0])
    }

    fn last(&self) -> tokio::time::Instant {
        sleepers::instant(self.0[self.0.len() - 1])
    }

    fn within(&self) -> Duration {
        self.last() - self.first()
    }
}

/// What the releases are compared with, in their seconds.
struct Beside {
    sleepers: std::thread::JoinHandle<Result<Times>>,
    syncs: JoinHandle<Result<Times>>,
}

impl Beside {
    fn start(due: &Due) -> Self {
        let begin = due.first() - Duration::from_millis(500);
        let length = due.within() + Duration::from_millis(2_000);
        let syncs = tokio::spawn(async move {
            tokio::time::sleep_until(begin).await;
            syncs(length).await?
        });
        Self { sleepers: sleepers::start(due.0.clone()), syncs }
    }

    async fn end(self) -> Result<(Times, Times)> {
        let slept = self.sleepers.join().map_err(|_| anyhow!("the sleepers panicked"))?;
        Ok((slept?, self.syncs.await??))
    }
}

/// Buys the blocks and waits until all run.
async fn buy_blocks(cloud: &Arc<Cloud>, tenants: &[Tenant]) -> Result<Vec<String>> {
    let keys: Arc<[String]> = tenants.iter().map(|tenant| tenant.key.clone()).collect();
    let buy = move |cloud: Arc<Cloud>, n: usize| {
        let keys = keys.clone();
        async move {
            let bought = cloud.lines.post("/v1/instances", &keys[n % keys.len()], BLOCK).await?.json()?;
            Ok(bought["id"].as_str().context("an id")?.to_owned())
        }
    };
    let bought = each(cloud, buy).await?;
    while_any(cloud, tenants, |state| state != "running").await?;
    Ok(bought)
}

/// Waits until no block of any tenant is in such a state; looks at one after the other, every 50 ms.
async fn while_any(cloud: &Cloud, tenants: &[Tenant], state: impl Fn(&str) -> bool) -> Result<()> {
    let started = Instant::now();
    for tenant in tenants {
        while states(cloud, tenant).await?.iter().any(|seen| state(seen)) {
            if started.elapsed() > Duration::from_secs(180) {
                bail!("the blocks are waited for in vain");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// The operator takes all of them back, as fast as it goes.
async fn take_back(cloud: &Arc<Cloud>, blocks: &[String]) -> Result<Due> {
    let blocks: Arc<[String]> = blocks.into();
    let take = move |cloud: Arc<Cloud>, n: usize| {
        let path = format!("/v1/instances/{}/reclaim", blocks[n]);
        async move {
            let told = cloud.lines.post(&path, &cloud.operator, "").await?.json()?;
            Ok(told["interruption"]["deadline"].as_str().context("a deadline")?.to_owned())
        }
    };
    let told = each(cloud, take).await?;
    let mut due = told.iter().map(|deadline| Ok(deadline.parse()?)).collect::<Result<Vec<Timestamp>>>()?;
    due.sort();
    Ok(Due(due))
}

/// How long it took until a client saw all of them released, and what that used.
struct Seen {
    after: Duration,
    used: String,
}

async fn until_released(cloud: &Cloud, tenants: &[Tenant], postgres: Option<&TempPostgres>) -> Result<Seen> {
    let meter = Meter { cloud, postgres };
    let (started, before, commits) = (Instant::now(), meter.read(), cloud.commits().await?.1);
    while_any(cloud, tenants, |state| state == "reclaiming").await?;
    let (after, used) = (started.elapsed(), meter.since(before));
    let [serve, database] = used.map(|cpu| percent(cpu.as_secs_f64(), after.as_secs_f64()));
    let beside = postgres.map_or_else(String::new, |_| format!(" + {database}"));
    let commits = cloud.commits().await?.1 - commits;
    Ok(Seen { after, used: format!("{serve}{beside} of a core, {commits} commits") })
}

/// The states of the tenant's blocks that are not released.
async fn states(cloud: &Cloud, tenant: &Tenant) -> Result<Vec<String>> {
    let page = cloud.lines.get("/v1/instances?limit=1000", &tenant.key).await?.json()?;
    let items = page["items"].as_array().context("items")?;
    let blocks = items.iter().filter(|one| one["option"] == "spot-block" && one["hours"] == 3);
    Ok(blocks.filter_map(|one| one["state"].as_str().map(str::to_owned)).collect())
}

/// Does something `BLOCKS` times over many connections, so that much of it shares a commit.
async fn each<F, Fut>(cloud: &Arc<Cloud>, act: F) -> Result<Vec<String>>
where
    F: Fn(Arc<Cloud>, usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<String>> + Send + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let workers = (0..CONNECTIONS).map(|_| {
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
