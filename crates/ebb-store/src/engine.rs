//! Which of the two databases is behind a store, and who works for it?

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::counters::Tally;
use crate::error::StoreError;
use crate::postgres;
use crate::postgres::pool::Pool;
use crate::postgres::queue::Queue;
use crate::postgres::session::{Session, with_limits};
use crate::sqlite::connection::Connection;
use crate::sqlite::readers::{Readers, Task};
use crate::sqlite::writer::{Message, Writer};
use crate::store::{Kind, Place};
use crate::unit::{Job, Lane};

/// Of each lane one writer waits for the disk while the other reads and decides; more only share the same cores.
const POSTGRES_WRITERS: [Lane; 4] = [Lane::Front, Lane::Front, Lane::Back, Lane::Back];

pub(crate) enum Engine {
    Sqlite(SqliteEngine),
    Postgres(Box<PostgresEngine>),
}

pub(crate) struct SqliteEngine {
    kind: Kind,
    writer: mpsc::Sender<Message>,
    /// None for a database in memory, which its writer reads too, and after closing.
    readers: Mutex<Option<Readers>>,
}

pub(crate) struct PostgresEngine {
    pub(crate) pool: Pool,
    queue: Arc<Queue>,
    writers: Mutex<Vec<JoinHandle<()>>>,
}

impl Engine {
    pub(crate) async fn start(place: Place, tally: Arc<Tally>) -> Result<Engine, StoreError> {
        let path = match place {
            Place::Memory => None,
            Place::Sqlite(path) => Some(path),
            Place::Postgres(address) => {
                return PostgresEngine::start(&address, tally).await.map(|engine| Engine::Postgres(Box::new(engine)));
            }
        };
        let started = spawn_blocking(|| SqliteEngine::start(path, tally)).await;
        started.unwrap_or_else(|died| Err(StoreError::Unavailable(Arc::new(died)))).map(Engine::Sqlite)
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Engine::Sqlite(engine) => engine.kind,
            Engine::Postgres(_) => Kind::Postgres,
        }
    }

    /// Gives the job back if nobody is there to take it.
    pub(crate) fn submit(&self, job: Job) -> Result<(), StoreError> {
        match self {
            Engine::Sqlite(engine) => engine.writer.send(Message::Unit(job)).map_err(|_| StoreError::Closed),
            Engine::Postgres(engine) => engine.queue.submit(job).map_err(|_| StoreError::Closed),
        }
    }

    /// Has a reader carried out on a thread of SQLite. If nobody is there to take it, it is dropped, which its caller
    /// notices.
    pub(crate) fn submit_read(&self, task: Task) {
        let Engine::Sqlite(engine) = self else { return };
        match engine.readers.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(readers) => readers.submit(task),
            None => drop(engine.writer.send(Message::Read(task))),
        }
    }

    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        match self {
            Engine::Sqlite(engine) => engine.close().await,
            Engine::Postgres(engine) => engine.close().await,
        }
    }
}

impl SqliteEngine {
    fn start(path: Option<PathBuf>, tally: Arc<Tally>) -> Result<SqliteEngine, StoreError> {
        let mut connection = Connection::writer(path.as_deref())?;
        connection.migrate()?;
        let readers = path.as_deref().map(Readers::start).transpose()?;
        let (writer, waiting) = mpsc::channel();
        let thread = std::thread::Builder::new().name("ebb-store-write".to_owned());
        thread
            .spawn(move || Writer::new(connection, tally).run(&waiting))
            .map_err(|error| StoreError::Unavailable(Arc::new(error)))?;
        let kind = if path.is_some() { Kind::Sqlite } else { Kind::Memory };
        Ok(SqliteEngine { kind, writer, readers: Mutex::new(readers) })
    }

    async fn close(&self) -> Result<(), StoreError> {
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(readers) = readers {
            let _ = spawn_blocking(|| readers.close()).await;
        }
        let (reply, closed) = oneshot::channel();
        let _ = self.writer.send(Message::Close(reply));
        closed.await.unwrap_or(Err(StoreError::Closed))
    }
}

impl PostgresEngine {
    async fn start(address: &str, tally: Arc<Tally>) -> Result<PostgresEngine, StoreError> {
        let config = tokio_postgres::Config::from_str(address);
        let config = with_limits(config.map_err(|error| StoreError::Unavailable(Arc::new(error)))?);
        Session::connect(&config, "set client_min_messages = warning").await?.migrate().await?;
        let queue = Arc::new(Queue::default());
        let mut writers = Vec::with_capacity(POSTGRES_WRITERS.len());
        for lane in POSTGRES_WRITERS {
            let writer = postgres::writer::Writer::connect(config.clone(), lane, queue.clone(), tally.clone()).await?;
            writers.push(tokio::spawn(writer.run()));
        }
        Ok(PostgresEngine { pool: Pool::new(config), queue, writers: Mutex::new(writers) })
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.queue.close();
        let writers = std::mem::take(&mut *self.writers.lock().unwrap_or_else(PoisonError::into_inner));
        for writer in writers {
            let _ = writer.await;
        }
        self.pool.close();
        Ok(())
    }
}

impl Drop for PostgresEngine {
    fn drop(&mut self) {
        // Without it the writers would wait for ever for units that nobody can send.
        self.queue.close();
    }
}
