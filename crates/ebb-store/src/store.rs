//! How is a database opened, written, read and closed?

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep};

use crate::counters::{Counters, Tally};
use crate::engine::Engine;
use crate::error::{Halt, StoreError};
use crate::immediate::finish;
use crate::postgres::session::send;
use crate::reads::{Reads, Source};
use crate::sqlite::readers::Task;
use crate::unit::{Decide, Decision, Job, Lane, Outcome, erase, open, panicked};
use crate::value::{Query, Row};

/// Where the rows are.
#[derive(Debug, Clone)]
pub enum Place {
    /// In this process, and gone with it: sandboxes, simulations, tests.
    Memory,
    /// In one file; its folder must exist.
    Sqlite(PathBuf),
    /// On a server: `host=/run/postgresql dbname=ebb`, or a `postgres://` address.
    Postgres(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Memory,
    Sqlite,
    Postgres,
}

/// A unit that loses a guard is decided anew so many times before its caller is told.
const TRIES: u32 = 20;

/// A unit waits so long for a database that went away, or for others to commit. Its caller has a person waiting.
const PATIENCE: Duration = Duration::from_secs(15);

/// Units in flight in this process. More would wait in memory for nothing.
const ROOM: usize = 8192;

/// A database that is open. Cloning is cheap, and all clones are one.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    tally: Arc<Tally>,
    room: Semaphore,
    closed: AtomicBool,
}

impl Store {
    /// Opens a database and brings its schema up to date. Needs a tokio runtime, which must outlive the store.
    pub async fn open(place: Place) -> Result<Store, StoreError> {
        let tally = Arc::new(Tally::default());
        let engine = Engine::start(place, tally.clone()).await?;
        let inner = Inner { engine, tally, room: Semaphore::new(ROOM), closed: AtomicBool::new(false) };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// Carries out one unit of work: reads → decision → guards → writes → durable commit → answer.
    ///
    /// `name` is the work's kind (log, metrics, failpoint `commit.<name>`). `key` names what the unit is about, mostly
    /// an account: on PostgreSQL units with an equal key take turns in this process instead of losing to each other.
    ///
    /// `decide` may run several times and must do nothing but read and decide. It runs inside everybody's transaction
    /// and may await nothing but its reads; on PostgreSQL also a lock that others hold only while they decide, for while
    /// they do they wait for nothing but reads, which lock no rows. A refusal writes nothing.
    ///
    /// If the caller goes away meanwhile, the unit may be carried out all the same.
    pub async fn unit<A, R, F, Fut>(&self, name: &'static str, key: &str, decide: F) -> Result<A, Halt<R>>
    where
        A: Send + 'static,
        R: Send + 'static,
        F: Fn(Reads) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Decision<A>, Halt<R>>> + Send + 'static,
    {
        let decide = erase(name, self.inner.tally.clone(), decide);
        open(self.settle(Lane::Front, name, key.into(), decide).await)
    }

    /// The same for work that nobody waits for, and that may write thousands of rows: it lets others go first, and shares its
    /// commits with its like alone. How much of it is under way at a time is its caller's concern, as is the memory that it takes.
    pub async fn background_unit<A, R, F, Fut>(&self, name: &'static str, key: &str, decide: F) -> Result<A, Halt<R>>
    where
        A: Send + 'static,
        R: Send + 'static,
        F: Fn(Reads) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Decision<A>, Halt<R>>> + Send + 'static,
    {
        let decide = erase(name, self.inner.tally.clone(), decide);
        open(self.settle(Lane::Back, name, key.into(), decide).await)
    }

    /// Tries until the unit is settled, or the tries or the patience are used up.
    async fn settle(&self, lane: Lane, name: &'static str, key: Arc<str>, decide: Decide) -> Outcome {
        let _room = self.inner.room.acquire().await;
        let started = Instant::now();
        let mut lost_tries = 0;
        for tried in 1.. {
            let (reply, answer) = oneshot::channel();
            let job = Job { lane, name, key: key.clone(), decide: decide.clone(), reply };
            if self.is_closed() || self.inner.engine.submit(job).is_err() {
                return Outcome::Failed(StoreError::Closed);
            }
            // The writer went away with the job in its hands, which only a bug in it can bring about.
            let lost = |_| Outcome::Failed(StoreError::Unknown { unit: name, cause: None });
            let outcome = answer.await.unwrap_or_else(lost);
            let longest = match &outcome {
                Outcome::Failed(StoreError::Contended | StoreError::Ahead) => Duration::from_millis(64),
                Outcome::Failed(StoreError::Unavailable(_)) => Duration::from_secs(1),
                _ => return outcome,
            };
            lost_tries += u32::from(!matches!(outcome, Outcome::Failed(StoreError::Ahead)));
            if lost_tries >= TRIES || started.elapsed() >= PATIENCE {
                tracing::warn!(name, tried, "a unit of work is given up");
                return outcome;
            }
            sleep(pause(tried, longest)).await;
        }
        unreachable!("the tries are bounded")
    }

    /// Reads as of one instant. `f` may await nothing but its reads, and should be short: while it runs, the space of
    /// newer rows cannot be reclaimed. Long scans go in pages by key, each a read of its own.
    pub async fn read<T, F, Fut>(&self, f: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(Reads) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        if self.is_closed() {
            return Err(StoreError::Closed);
        }
        let Engine::Postgres(engine) = &self.inner.engine else {
            return self.read_on_thread(f).await;
        };
        let loan = engine.pool.lend().await?;
        let begin = send(loan.session.control("begin isolation level repeatable read read only")).await;
        let reads = Reads(Source::Postgres(loan.session.clone()));
        let read = AssertUnwindSafe(async move { f(reads).await }).catch_unwind().await;
        begin.landed().await?;
        if loan.session.control("rollback").await.is_ok() {
            loan.give_back();
        }
        read.unwrap_or_else(|panic| Err(panicked("a read", &self.inner.tally, &*panic)))
    }

    /// The answer of one statement.
    pub async fn rows(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        let Engine::Postgres(engine) = &self.inner.engine else {
            return self.read(|reads| async move { reads.rows(query).await }).await;
        };
        if self.is_closed() {
            return Err(StoreError::Closed);
        }
        let loan = engine.pool.lend().await?;
        let rows = loan.session.rows(&query).await;
        loan.give_back();
        rows
    }

    async fn read_on_thread<T, F, Fut>(&self, f: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(Reads) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let tally = self.inner.tally.clone();
        let task: Task = Box::new(move |snapshot| {
            let read = || finish(async move { f(snapshot?).await });
            let read = match std::panic::catch_unwind(AssertUnwindSafe(read)) {
                Ok(Some(read)) => read,
                Ok(None) => Err(panicked("a read", &tally, &"a read may await nothing but its reads")),
                Err(panic) => Err(panicked("a read", &tally, &*panic)),
            };
            let _ = reply.send(read);
        });
        self.inner.engine.submit_read(task);
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    pub fn kind(&self) -> Kind {
        self.inner.engine.kind()
    }

    pub fn counters(&self) -> Counters {
        self.inner.tally.read()
    }

    /// Finishes what was begun, takes nothing new, and leaves a SQLite file whole without its log. A store that is only
    /// dropped loses nothing either, but nobody can wait for it.
    pub async fn close(&self) -> Result<(), StoreError> {
        match self.inner.closed.swap(true, SeqCst) {
            true => Ok(()),
            false => self.inner.engine.close().await,
        }
    }

    fn is_closed(&self) -> bool {
        self.inner.closed.load(SeqCst)
    }
}

/// Doubles with each try up to `longest`, and is spread out so that those who collided do not meet again.
fn pause(tried: u32, longest: Duration) -> Duration {
    let middle = Duration::from_millis(1 << tried.min(10)).min(longest);
    let spread = RandomState::new().build_hasher().finish() % 100;
    middle * (50 + spread as u32) / 100
}
