//! What does it cost to close an hour in which 1,000,000 instances run, and how long do others wait meanwhile?

mod month;
mod rival;

use crate::cloud::Cloud;
use crate::http::Meter;
use crate::load::{Answers, Ask, ask_while};
use crate::process;
use crate::stage::{Size, Stage};
use crate::table::{Line, Table, median, millis, percent, range};
use anyhow::{Context, Result, bail};
use ebb_model::id::AccountId;
use ebb_store::{Place, args, query};
use ebb_testing::TempPostgres;
use month::Month;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

const RATE: u32 = 100;
const QUIET: Duration = Duration::from_secs(5);
/// Of so many of the accounts somebody asks.
const ASKING: usize = 50;
const PUBLIC_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2y0n0XbqM1V3yHcZ9w0n1QbqM1V3yHcZ9w0n1QbqM1 bench";

/// How much is measured, as the command line says it.
pub struct Wanted {
    size: Size,
    runs: usize,
    /// Whether the same rows are written without the service, too, which takes as long again.
    bare: bool,
    /// On one database alone.
    on: Option<String>,
}

impl Wanted {
    pub fn of(options: &[String]) -> Result<Self> {
        let mut wanted = Self { size: Size { accounts: 1_000, each: 1_000 }, runs: 1, bare: true, on: None };
        for option in options {
            let (name, value) = option.split_once('=').context("an option is --name=value")?;
            if name == "--on" {
                wanted.on = Some(value.to_owned());
                continue;
            }
            let number: usize = value.parse().with_context(|| option.clone())?;
            match name {
                "--accounts" => wanted.size.accounts = number.max(2),
                "--each" => wanted.size.each = number.max(1),
                "--runs" => wanted.runs = number.max(1),
                "--bare" => wanted.bare = number > 0,
                _ => bail!("there is no option `{name}`; there are --accounts, --each, --runs, --bare and --on"),
            }
        }
        Ok(wanted)
    }
}

pub async fn run(wanted: &Wanted) -> Result<()> {
    let mut table = Table::new("closing: an hour of many running instances, each with vCPU and memory, and a disk");
    for name in ["SQLite", "PostgreSQL"] {
        if wanted.on.as_ref().is_some_and(|on| !on.eq_ignore_ascii_case(name)) {
            continue;
        }
        let server = (name == "PostgreSQL").then(TempPostgres::durable);
        let (server, mut runs) = (server.as_ref(), vec![]);
        for run in 0..wanted.runs {
            eprintln!("  {name}, {} of {}", run + 1, wanted.runs);
            runs.push(measure(wanted, server).await?);
        }
        show(&mut table, name, wanted.size, &runs);
    }
    table.note("bare: the same records, entries, events and changes of accounts, the same statements, prebuilt, on a copy of the same database,");
    table.note("a durable commit for each account, by one connection. CPU is all of the service's, + PostgreSQL's; bare its own, the same way.");
    table.note("peak: the most that the service had resident (VmHWM), from its start to the end of the hour.");
    table.note("asked: 100 requests a second of accounts whose hour is closed: of five, two lists of 20 instances, two looks at one, and one new");
    table.note("key pair. A time counts from the instant at which the request was meant to leave. Beside it: the same in the 5 s before.");
    table.note("bytes: what the database grew by, indexes with it. A month: one account with 5 instances for 30 days, GET /v1/bills.");
    table.print();
    Ok(())
}

/// What one run showed.
struct Run {
    records: i64,
    wall: Duration,
    cpu: [Duration; 2],
    bare: rival::Took,
    peak_kib: u64,
    quiet: Answers,
    busy: Answers,
    bytes: i64,
    month: Month,
}

async fn measure(wanted: &Wanted, postgres: Option<&TempPostgres>) -> Result<Run> {
    let monthly = AccountId::new(crate::rows::id(crate::rows::now()));
    let mut stage = Stage::with(postgres, wanted.size, |running| month::rows(running, monthly)).await?;
    let bare = if wanted.bare { rival::run(&stage, postgres).await? } else { rival::Took::default() };
    let (bytes, records) = (bytes(&stage).await?, records(&stage).await?);
    let cloud = stage.start().await?;
    let keys = keys(&cloud, &stage.accounts).await?;
    let (said, ask) = (AtomicU32::new(0), |n: u32| ask(&keys, n));
    let quiet =
        ask_while(&cloud, RATE, |n| n < QUIET.as_secs() as u32 * RATE, |_| ask(said.fetch_add(1, Relaxed))).await?;
    let over = AtomicBool::new(false);
    let meter = Meter { cloud: &cloud, postgres };
    let before = meter.read();
    stage.end_the_hour().await?;
    let closing = async {
        stage.until_begun().await?;
        let begun = Instant::now();
        stage.until_closed().await?;
        over.store(true, Relaxed);
        anyhow::Ok((begun.elapsed(), meter.since(before)))
    };
    let asking = ask_while(&cloud, RATE, |_| !over.load(Relaxed), |_| ask(said.fetch_add(1, Relaxed)));
    let (closed, busy) = tokio::join!(closing, asking);
    let ((wall, cpu), busy) = (closed?, busy?);
    let peak_kib = process::peak(cloud.serve_pid());
    let key = key(&cloud, monthly).await?;
    let month = month::read(&cloud, &stage, monthly, &key).await?;
    stage.take(cloud)?;
    let (bytes, records) = (self::bytes(&stage).await? - bytes, self::records(&stage).await? - records);
    Ok(Run { records, wall, cpu, bare, peak_kib, quiet, busy, bytes, month })
}

/// What somebody wants who looks at his instances, and now and then adds a key pair.
fn ask(keys: &[(String, String)], n: u32) -> Ask {
    let (key, instance) = keys[n as usize % keys.len()].clone();
    let (path, body) = match n % 5 {
        0 | 2 => ("/v1/instances?limit=20".to_owned(), None),
        1 | 3 => (format!("/v1/instances/{instance}"), None),
        _ => {
            let pair = json!({ "name": format!("pair-{n}"), "public_key": PUBLIC_KEY });
            ("/v1/key-pairs".to_owned(), Some(pair.to_string()))
        }
    };
    Ask { path, key, body }
}

/// Keys of some of the accounts, each with one of its instances.
async fn keys(cloud: &Arc<Cloud>, accounts: &[AccountId]) -> Result<Vec<(String, String)>> {
    let mut keys = vec![];
    for account in accounts.iter().step_by(accounts.len().div_ceil(ASKING)) {
        let key = key(cloud, *account).await?;
        let page = cloud.lines.get("/v1/instances?limit=1", &key).await?.json()?;
        keys.push((key, page["items"][0]["id"].as_str().context("an instance")?.to_owned()));
    }
    Ok(keys)
}

async fn key(cloud: &Arc<Cloud>, account: AccountId) -> Result<String> {
    let path = format!("/v1/accounts/{account}/keys");
    let made = cloud.lines.post(&path, &cloud.operator, r#"{"role":"owner"}"#).await?.json()?;
    Ok(made["secret"].as_str().context("a secret")?.to_owned())
}

async fn records(stage: &Stage) -> Result<i64> {
    let store = stage.store().await?;
    let rows = store.rows(query("select count(*) as records from bill_record", args![])).await?;
    store.close().await?;
    Ok(rows[0].int("records"))
}

/// How large the database is, with nobody at it.
async fn bytes(stage: &Stage) -> Result<i64> {
    Ok(match stage.place() {
        Place::Sqlite(file) => i64::try_from(std::fs::metadata(file)?.len())?,
        _ => {
            let store = stage.store().await?;
            let size = query("select pg_database_size(current_database()) as bytes", args![]);
            let rows = store.rows(size).await?;
            store.close().await?;
            rows[0].int("bytes")
        }
    })
}

fn show(table: &mut Table, name: &str, size: Size, runs: &[Run]) {
    let each = |of: &dyn Fn(&Run) -> f64| runs.iter().map(of).collect::<Vec<f64>>();
    let case = format!("{name}, {} accounts of {}", size.accounts, size.each);
    let rate = each(&|run| run.records as f64 / run.wall.as_secs_f64());
    let is_bare = runs.iter().all(|run| !run.bare.wall.is_zero());
    // What was not measured stays empty.
    let beside = |figure: String| if is_bare { figure } else { String::new() };
    let bare = each(&|run| run.records as f64 / run.bare.wall.as_secs_f64());
    let [serve, database] = [0, 1].map(|of| median(each(&|run| run.cpu[of].as_secs_f64())));
    table.line(Line {
        what: format!("{case}: records/s, {} in {:.1} s", runs[0].records, median(each(&|run| run.wall.as_secs_f64()))),
        figure: range(&rate),
        rival: beside(format!("{} bare", range(&bare))),
        ratio: beside(percent(median(rate), median(bare))),
        ..Line::default()
    });
    let per_record = |seconds: f64| seconds * 1e6 / runs[0].records as f64;
    let bare = median(each(&|run| run.bare.cpu.as_secs_f64()));
    table.line(Line {
        what: format!("{case}: CPU, us/record"),
        figure: format!("{:.1}", per_record(serve + database)),
        rival: beside(format!("{:.1} bare", per_record(bare))),
        ratio: beside(percent(serve + database, bare)),
        cpu: format!("{serve:.1} + {database:.1} s"),
        ..Line::default()
    });
    table.line(Line {
        what: format!("{case}: peak of the service, MiB"),
        figure: range(&each(&|run| run.peak_kib as f64 / 1024.0)),
        goal: "<= 256".to_owned(),
        ..Line::default()
    });
    type Part = fn(&Answers) -> &crate::table::Times;
    let parts: [(&str, Part); 2] = [("looks", |asked| &asked.lists), ("changes", |asked| &asked.creates)];
    for (what, part) in parts {
        // The run whose p99 is in the middle.
        let mut order: Vec<&Run> = runs.iter().collect();
        order.sort_by_key(|run| part(&run.busy).at(0.99));
        let run = order[order.len() / 2];
        let (busy, quiet) = (part(&run.busy), part(&run.quiet));
        table.line(Line {
            what: format!("{case}: asked meanwhile, {what}: p50 / p99 / max"),
            figure: busy.spread(),
            rival: format!("{} before", quiet.spread()),
            ratio: format!("p99 {}", percent(busy.at(0.99).as_secs_f64(), quiet.at(0.99).as_secs_f64())),
            ..Line::default()
        });
    }
    if let Some(error) = runs.iter().flat_map(|run| run.busy.errors.iter().chain(&run.quiet.errors)).next() {
        table.note(format!("{case}: some requests failed, such as {error:.100}"));
    }
    table.line(Line {
        what: format!("{case}: bytes for an instance's hour"),
        figure: range(&each(&|run| run.bytes as f64 / size.instances() as f64)),
        ..Line::default()
    });
    let month = &runs[runs.len() / 2].month;
    table.line(Line {
        what: format!("{name}: a month of {} records, ms; MB of JSON", month.records),
        figure: format!("{}; {:.1}", month.times.range(), month.bytes as f64 / 1e6),
        rival: format!("{} its rows alone", millis(month.rows)),
        ratio: percent(month.times.median().as_secs_f64(), month.rows.as_secs_f64()),
        ..Line::default()
    });
}
