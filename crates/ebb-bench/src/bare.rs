//! What would it cost without Ebb? The same statements on the same schema in durable commits, and nothing else.

use crate::cloud::Scratch;
use crate::process;
use crate::rows::Unit;
use anyhow::{Result, bail};
use ebb_store::{Place, Query, Store, Value};
use futures_util::future::{join3, try_join_all};
use rusqlite::{CachedStatement, Connection};
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_postgres::{Client, NoTls, Statement};

/// What a loop took.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    pub wall: Duration,
    pub cpu: Duration,
}

/// `batch` units to a commit, on a file with the settings of Ebb's writer.
pub async fn sqlite(furnish: &Unit, units: &[Unit], batch: usize) -> Result<Took> {
    let dir = Scratch::new()?;
    let file = dir.path().join("bare.db");
    Store::open(Place::Sqlite(file.clone())).await?.close().await?;
    let connection = durable(&file)?;
    run_on(&connection, furnish, units, batch)
}

/// With the settings of Ebb's writer.
fn durable(file: &Path) -> Result<Connection> {
    let connection = Connection::open(file)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.execute_batch(
        "pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on;
         pragma wal_autocheckpoint = 16384; pragma cache_size = -16384; pragma temp_store = memory",
    )?;
    Ok(connection)
}

/// A database that is there already, for one that does nothing but write.
pub enum Writer {
    Sqlite(Connection),
    Postgres { client: Client, prepared: HashMap<&'static str, Statement> },
}

impl Writer {
    pub async fn open(place: &Place) -> Result<Self> {
        match place {
            Place::Memory => bail!("what is in memory is not there for others"),
            Place::Sqlite(file) => Ok(Writer::Sqlite(durable(file)?)),
            Place::Postgres(address) => {
                let (client, connection) = tokio_postgres::connect(address, NoTls).await?;
                tokio::spawn(connection);
                Ok(Writer::Postgres { client, prepared: HashMap::new() })
            }
        }
    }

    /// One durable commit.
    pub async fn commit(&mut self, unit: &Unit) -> Result<()> {
        match self {
            Writer::Sqlite(connection) => {
                connection.execute_batch("begin immediate")?;
                unit.iter().try_for_each(|query| execute(connection, query))?;
                Ok(connection.execute_batch("commit")?)
            }
            Writer::Postgres { client, prepared } => {
                for query in unit {
                    if !prepared.contains_key(query.sql) {
                        prepared.insert(query.sql, client.prepare(query.sql).await?);
                    }
                }
                flight(client, prepared, std::slice::from_ref(unit)).await
            }
        }
    }
}

/// Fills a database with rows, as fast as it goes: `rows` in order, many to a commit.
pub async fn fill(place: &Place, rows: impl Iterator<Item = Query>) -> Result<()> {
    Store::open(place.clone()).await?.close().await?;
    let mut rows = rows.peekable();
    match place {
        Place::Memory => bail!("what is in memory cannot be filled beforehand"),
        Place::Sqlite(file) => {
            let connection = Connection::open(file)?;
            connection.set_prepared_statement_cache_capacity(64);
            let fast = "pragma synchronous = off; pragma foreign_keys = off; pragma cache_size = -1000000; begin";
            connection.execute_batch(fast)?;
            rows.try_for_each(|query| execute(&connection, &query))?;
            connection.execute_batch("commit; pragma wal_checkpoint(truncate)")?;
        }
        Place::Postgres(address) => {
            let (client, connection) = tokio_postgres::connect(address, NoTls).await?;
            let driver = tokio::spawn(connection);
            // The rows are right: what refers to what is not looked up.
            client.batch_execute("set session_replication_role = replica").await?;
            let mut prepared = HashMap::new();
            while rows.peek().is_some() {
                let unit: Unit = rows.by_ref().take(5_000).collect();
                for query in &unit {
                    if !prepared.contains_key(query.sql) {
                        prepared.insert(query.sql, client.prepare(query.sql).await?);
                    }
                }
                flight(&client, &prepared, &[unit]).await?;
            }
            client.batch_execute("vacuum analyze").await?;
            client.batch_execute("checkpoint").await?;
            drop(client);
            driver.await??;
        }
    }
    Ok(())
}

/// The same in memory, as a sandbox has it.
pub async fn memory(furnish: &Unit, units: &[Unit], batch: usize) -> Result<Took> {
    let dir = Scratch::new()?;
    let file = dir.path().join("schema.db");
    Store::open(Place::Sqlite(file.clone())).await?.close().await?;
    let schema = Connection::open(file)?;
    let mut statements = schema.prepare("select sql from sqlite_master where sql is not null")?;
    let statements = statements.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(&statements.join(";\n"))?;
    connection.execute_batch("pragma foreign_keys = on; pragma cache_size = -16384; pragma temp_store = memory")?;
    run_on(&connection, furnish, units, batch)
}

fn run_on(connection: &Connection, furnish: &Unit, units: &[Unit], batch: usize) -> Result<Took> {
    connection.set_prepared_statement_cache_capacity(64);
    for query in furnish {
        execute(connection, query)?;
    }
    let (started, before) = (Instant::now(), process::cpu(std::process::id()));
    for units in units.chunks(batch) {
        connection.execute_batch("begin immediate")?;
        for query in units.iter().flatten() {
            execute(connection, query)?;
        }
        connection.execute_batch("commit")?;
    }
    Ok(Took { wall: started.elapsed(), cpu: process::cpu(std::process::id()) - before })
}

fn execute(connection: &Connection, query: &Query) -> Result<()> {
    let mut statement: CachedStatement<'_> = connection.prepare_cached(query.sql)?;
    for at in 1..=statement.parameter_count() {
        // SQLite numbers `$2` by where it appears first.
        let number = statement.parameter_name(at).and_then(|name| name.strip_prefix('$')?.parse::<usize>().ok());
        match &query.args[number.unwrap_or(at) - 1] {
            Value::Null => statement.raw_bind_parameter(at, rusqlite::types::Null)?,
            Value::Int(value) => statement.raw_bind_parameter(at, value)?,
            Value::Text(text) => statement.raw_bind_parameter(at, text.as_str())?,
        }
    }
    statement.raw_execute()?;
    Ok(())
}

/// The same on PostgreSQL: one connection, all statements of a batch in one flight. The CPU is both sides'.
pub async fn postgres(address: &str, server: u32, furnish: &Unit, units: &[Unit], batch: usize) -> Result<Took> {
    Store::open(Place::Postgres(address.to_owned())).await?.close().await?;
    let (client, connection) = tokio_postgres::connect(address, NoTls).await?;
    let driver = tokio::spawn(connection);
    let mut prepared = HashMap::new();
    for query in furnish.iter().chain(units.iter().flatten()) {
        if !prepared.contains_key(query.sql) {
            prepared.insert(query.sql, client.prepare(query.sql).await?);
        }
    }
    flight(&client, &prepared, std::slice::from_ref(furnish)).await?;
    let cpu = || process::cpu(std::process::id()) + process::cpu_with_children(server);
    let (started, before) = (Instant::now(), cpu());
    for units in units.chunks(batch) {
        flight(&client, &prepared, units).await?;
    }
    let took = Took { wall: started.elapsed(), cpu: cpu() - before };
    drop(client);
    driver.await??;
    Ok(took)
}

async fn flight(client: &Client, prepared: &HashMap<&'static str, Statement>, units: &[Unit]) -> Result<()> {
    let begin = client.batch_execute("begin");
    let writes =
        try_join_all(units.iter().flatten().map(|query| client.execute_raw(&prepared[query.sql], &query.args)));
    let commit = client.batch_execute("commit");
    // Polled in this order, so sent in this order.
    let (begun, written, committed) = join3(begin, writes, commit).await;
    begun?;
    written?;
    Ok(committed?)
}
