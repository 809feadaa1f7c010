//! How does one statement run on PostgreSQL?

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{MaybeDone, maybe_done};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Statement};

use crate::error::StoreError;
use crate::migrate;
use crate::value::{Header, Query, Row, Value, query};

/// A connection and the statements that it has prepared.
pub(crate) struct Session {
    client: Client,
    prepared: Mutex<HashMap<&'static str, Prepared>>,
}

/// What is worth asking only once about a statement.
#[derive(Clone)]
pub(crate) struct Prepared {
    statement: Statement,
    header: Arc<Header>,
}

impl Session {
    /// Connects. `setup` is run first, for settings of the session.
    pub(crate) async fn connect(config: &Config, setup: &'static str) -> Result<Session, StoreError> {
        let connected = config.connect(NoTls).await.map_err(|error| classify("connect", error));
        // A server that is starting, stopping or full refuses with a code; for the caller all that is one thing.
        let (client, connection) = connected.map_err(|error| match error {
            StoreError::Database { cause, .. } => StoreError::Unavailable(cause),
            other => other,
        })?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::warn!(%error, "a connection to the database ended");
            }
        });
        let session = Session { client, prepared: Mutex::default() };
        session.control(setup).await?;
        Ok(session)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Runs `begin`, `commit` and the like.
    pub(crate) async fn control(&self, sql: &'static str) -> Result<(), StoreError> {
        self.client.batch_execute(sql).await.map_err(|error| classify(sql, error))
    }

    pub(crate) async fn rows(&self, query: &Query) -> Result<Vec<Row>, StoreError> {
        let prepared = self.prepare(query.sql).await?;
        let parameters = prepared.parameters(query)?;
        let found = self.client.query(&prepared.statement, &parameters).await;
        let header = &prepared.header;
        let read = |row: tokio_postgres::Row| {
            let value = |at| row.try_get::<_, Value>(at).map_err(|_| unreadable(header, at));
            let values = (0..header.columns.len()).map(value).collect::<Result<_, _>>()?;
            Ok(Row::new(header.clone(), values))
        };
        found.map_err(|error| classify(query.sql, error))?.into_iter().map(read).collect()
    }

    /// Runs a prepared statement for its effect and says how many rows it changed.
    async fn execute(&self, prepared: Prepared, query: &Query) -> Result<u64, StoreError> {
        let parameters = prepared.parameters(query)?;
        let done = self.client.execute(&prepared.statement, &parameters).await;
        done.map_err(|error| classify(query.sql, error))
    }

    /// Sends statements in this order without waiting for an answer in between.
    ///
    /// All are prepared before the first is sent: one that had to be prepared on the way would be overtaken by the
    /// next, and rows would be written before the rows that they refer to.
    pub(crate) async fn send_all<'a>(
        &'a self,
        queries: &[&'a Query],
    ) -> Result<Vec<Flight<impl Future<Output = Result<u64, StoreError>> + 'a>>, StoreError> {
        let mut prepared = Vec::with_capacity(queries.len());
        for query in queries {
            prepared.push(self.prepare(query.sql).await?);
        }
        let mut flights = Vec::with_capacity(queries.len());
        for (query, prepared) in queries.iter().copied().zip(prepared) {
            flights.push(send(self.execute(prepared, query)).await);
        }
        Ok(flights)
    }

    async fn prepare(&self, sql: &'static str) -> Result<Prepared, StoreError> {
        let known = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if let Some(prepared) = known {
            return Ok(prepared);
        }
        let statement = self.client.prepare(sql).await.map_err(|error| classify(sql, error))?;
        let columns = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        let prepared = Prepared { statement, header: Arc::new(Header { sql, columns }) };
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner).insert(sql, prepared.clone());
        Ok(prepared)
    }

    /// Brings the schema up to date. Servers that start at the same time wait for each other.
    pub(crate) async fn migrate(&self) -> Result<(), StoreError> {
        loop {
            self.control("begin").await?;
            let applied = self.migrate_once().await;
            self.control(if applied.is_ok() { "commit" } else { "rollback" }).await?;
            if !applied? {
                return Ok(());
            }
        }
    }

    async fn migrate_once(&self) -> Result<bool, StoreError> {
        // The number is arbitrary; it only has to be the same in every version of the program.
        self.control("select pg_advisory_xact_lock(3220022)").await?;
        self.control(migrate::CREATE_VERSION_TABLE).await?;
        let found = self.rows(&query(migrate::SELECT_VERSION, vec![])).await?[0].int("number");
        let Some(pending) = migrate::after(found)? else { return Ok(false) };
        for statement in pending.statements {
            self.control(statement).await?;
        }
        let insert = query(migrate::INSERT_VERSION, vec![Value::Int(pending.number)]);
        let prepared = self.prepare(insert.sql).await?;
        self.execute(prepared, &insert).await?;
        Ok(true)
    }
}

impl Prepared {
    fn parameters<'a>(&self, query: &'a Query) -> Result<Vec<&'a (dyn ToSql + Sync)>, StoreError> {
        let wanted = self.statement.params().len();
        if wanted != query.args.len() {
            return Err(StoreError::Arguments { statement: query.sql, wanted, given: query.args.len() });
        }
        Ok(query.args.iter().map(|value| value as &(dyn ToSql + Sync)).collect())
    }
}

/// A statement that has been sent and whose answer is awaited later.
pub(crate) struct Flight<F: Future>(Pin<Box<MaybeDone<F>>>);

impl<F: Future> Flight<F> {
    pub(crate) async fn landed(mut self) -> F::Output {
        self.0.as_mut().await;
        self.0.as_mut().take_output().expect("a flight lands once")
    }
}

/// Polls once, which puts the statement on its way. (Joining futures would not do: a join may poll them in any order,
/// and a commit could leave before the last write.)
pub(crate) async fn send<F: Future>(statement: F) -> Flight<F> {
    let mut flight = Box::pin(maybe_done(statement));
    poll_fn(|context| {
        let _ = flight.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
    Flight(flight)
}

/// Fills in what an operator left out of the connection string: limits without which a dead server is waited for.
pub(crate) fn with_limits(mut config: Config) -> Config {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(5));
    }
    if config.get_application_name().is_none() {
        config.application_name("ebb");
    }
    config.keepalives_idle(Duration::from_secs(30));
    config.tcp_user_timeout(Duration::from_secs(30));
    config
}

fn unreadable(header: &Header, at: usize) -> StoreError {
    StoreError::Unreadable { statement: header.sql, column: header.columns[at].clone() }
}

fn classify(statement: &'static str, error: tokio_postgres::Error) -> StoreError {
    let code = error.code().cloned();
    let closed = error.is_closed() || is_broken_pipe(&error);
    let cause = Arc::new(error);
    let Some(code) = code else {
        let code = "none".to_owned();
        return if closed { StoreError::Unavailable(cause) } else { StoreError::Database { statement, code, cause } };
    };
    match code {
        SqlState::UNIQUE_VIOLATION => StoreError::Duplicate { statement, cause },
        SqlState::DISK_FULL => StoreError::DiskFull(cause),
        SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED | SqlState::LOCK_NOT_AVAILABLE => {
            StoreError::Contended
        }
        // The server takes nobody more, goes away, or has ended this connection.
        SqlState::TOO_MANY_CONNECTIONS | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => {
            StoreError::Unavailable(cause)
        }
        code if code.code().starts_with("08") || code.code().starts_with("57P") => StoreError::Unavailable(cause),
        code => StoreError::Database { statement, code: code.code().to_owned(), cause },
    }
}

/// An error of the socket under the connection, as against one in how a statement was put.
fn is_broken_pipe(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>())
}
