//! What would it cost to write the same rows without the service? On a copy of the same database.

use crate::bare::Writer;
use crate::process;
use crate::rows::{Unit, id, now};
use crate::stage::Stage;
use anyhow::{Context, Result};
use ebb_engine::event::Event;
use ebb_engine::rating::charges;
use ebb_engine::settlement::settle;
use ebb_engine::trial::deduct;
use ebb_model::billing::{BillRecord, Charge};
use ebb_model::id::{AccountId, EntryId, EventId, RecordId};
use ebb_model::time::{HOUR, Period};
use ebb_store::rows::{account, bill, event};
use ebb_store::{Place, Store};
use ebb_testing::TempPostgres;
use std::time::{Duration, Instant};

/// So many accounts' rows are made before they are written.
const CHUNK: usize = 20;

/// What the writing alone took.
#[derive(Default)]
pub struct Took {
    pub wall: Duration,
    pub cpu: Duration,
}

pub async fn run(stage: &Stage, postgres: Option<&TempPostgres>) -> Result<Took> {
    let copy = match (stage.place(), postgres) {
        (Place::Postgres(address), Some(server)) => {
            let (connection, name) = address.rsplit_once("dbname=").context("an address with a name")?;
            server.execute("postgres", &format!("create database bare_{name} template {name}")).await;
            Place::Postgres(format!("{connection}dbname=bare_{name}"))
        }
        (Place::Sqlite(file), _) => {
            let copy = stage.dir()?.path().join("bare.db");
            std::fs::copy(file, &copy)?;
            Place::Sqlite(copy)
        }
        _ => anyhow::bail!("there is nothing to copy"),
    };
    let store = stage.store().await?;
    let mut writer = Writer::open(&copy).await?;
    let mut took = Took::default();
    for accounts in stage.accounts.chunks(CHUNK) {
        let mut units = vec![];
        for account in accounts {
            units.push(unit(&store, stage, *account).await?);
        }
        let cpu = || {
            let database = postgres.map_or(Duration::ZERO, |server| process::cpu_with_children(server.process()));
            process::cpu(std::process::id()) + database
        };
        let (started, before) = (Instant::now(), cpu());
        for unit in &units {
            writer.commit(unit).await?;
        }
        took.wall += started.elapsed();
        took.cpu += cpu() - before;
    }
    store.close().await?;
    drop(writer);
    match (&copy, postgres) {
        (Place::Postgres(address), Some(server)) => {
            let name = address.rsplit_once("dbname=").context("an address with a name")?.1;
            server.execute("postgres", &format!("drop database {name} with (force)")).await;
        }
        (Place::Sqlite(file), _) => std::fs::remove_file(file)?,
        _ => {}
    }
    Ok(took)
}

/// What closing the hour of one account writes.
async fn unit(store: &Store, stage: &Stage, of: AccountId) -> Result<Unit> {
    let hour = Period { since: stage.boundary.plus(-HOUR), until: stage.boundary };
    let spans = store.rows(bill::spans_beyond(of, hour.since)).await?;
    let calendar = ebb_server::sample_catalog().time_zone;
    let charges: Vec<Charge> =
        spans.iter().map(bill::read_span).flat_map(|span| charges(&span, hour, &calendar, None, None)).collect();
    let splits = deduct(&charges, None);
    let rows = store.rows(account::by_id(of)).await?;
    let mut known = account::read(rows.first().context("an account")?);
    let settled = settle(of, known.totals, known.purse, &charges, &splits);
    (known.totals, known.purse) = (settled.totals, settled.purse);
    known.close_at = Some(hour.until.next_hour());
    let mut unit = vec![account::change(&known)];
    unit.push(event::insert(EventId::new(id(now())), of, None, now(), &Event::HourClosed { hour }));
    let record = |(charge, split)| BillRecord { id: RecordId::new(id(now())), charge, split, issued_at: hour.until };
    unit.extend(bill::insert_records(charges.into_iter().zip(splits).map(record)));
    let reason = format!("hour {}", hour.until);
    unit.extend(bill::insert_entry(EntryId::new(id(now())), of, hour.until, &reason, &settled.entry));
    Ok(unit)
}
