//! How do units of work share one durable commit of SQLite?
//!
//! Those that somebody waits for come first, all that wait in one commit. Behind them background units have a turn, which ends with
//! the first of them that is done after a short time: so long a request waits for them at most, and for the commit.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::counters::{Tally, add};
use crate::error::StoreError;
use crate::immediate::finish;
use crate::reads::{Reads, Source};
use crate::sqlite::connection::Connection;
use crate::sqlite::readers::Task;
use crate::unit::{Abort, Job, Lane, Outcome, Settled, Verdict, announce, fail};

/// So many units share a commit at most: the first of them waits for the last.
const BATCH: usize = 512;

/// No background unit begins later than this in its turn. Small ones share a commit in it, a large one has it for itself.
const TURN: Duration = Duration::from_millis(10);

pub(crate) enum Message {
    Unit(Job),
    /// A reader of a database in memory, which has no second connection.
    Read(Task),
    /// Everything sent before is finished first.
    Close(oneshot::Sender<Result<(), StoreError>>),
}

pub(crate) struct Writer {
    connection: Arc<Mutex<Connection>>,
    tally: Arc<Tally>,
}

impl Writer {
    pub(crate) fn new(connection: Connection, tally: Arc<Tally>) -> Writer {
        Writer { connection: Arc::new(Mutex::new(connection)), tally }
    }

    /// The life of the writer's thread: until it is closed, or everybody who could send is gone.
    pub(crate) fn run(self, waiting: &mpsc::Receiver<Message>) {
        let mut background = VecDeque::new();
        loop {
            let first = match background.is_empty() {
                true => waiting.recv().ok(),
                false => waiting.try_recv().ok(),
            };
            if first.is_none() && background.is_empty() {
                return;
            }
            let more = std::iter::from_fn(|| waiting.try_recv().ok());
            let mut jobs = Vec::new();
            let mut rest = Vec::new();
            let mut closing = None;
            for message in first.into_iter().chain(more.take(BATCH - 1)) {
                match message {
                    Message::Unit(job) if job.is_abandoned() => {}
                    Message::Unit(job) if job.lane == Lane::Back => background.push_back(job),
                    Message::Unit(job) => jobs.push(job),
                    Message::Read(task) => rest.push(task),
                    Message::Close(reply) => closing = Some(reply),
                }
            }
            self.run_batch(jobs);
            for task in rest {
                task(Ok(self.reads()));
            }
            self.take_turn(&mut background);
            while closing.is_some() && !background.is_empty() {
                self.take_turn(&mut background);
            }
            if let Some(reply) = closing {
                let checkpointed = self.lock().control("pragma wal_checkpoint(truncate)");
                // Whoever waits may open the file again at once.
                drop(self);
                let _ = reply.send(checkpointed);
                return;
            }
        }
    }

    fn run_batch(&self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        match self.attempt(&jobs, None) {
            Ok(settled) => announce(&self.tally, jobs, settled),
            Err(Abort::Batch(error)) => fail(jobs, &error),
            Err(Abort::Job(error)) if jobs.len() == 1 => fail(jobs, &error),
            Err(Abort::Job(error)) => {
                tracing::debug!(%error, jobs = jobs.len(), "a batch is run one by one");
                add(&self.tally.split_batches, 1);
                jobs.into_iter().for_each(|job| self.run_batch(vec![job]));
            }
        }
    }

    /// Runs the first background jobs in a commit of their own; how many, time says.
    fn take_turn(&self, background: &mut VecDeque<Job>) {
        if background.is_empty() {
            return;
        }
        match self.attempt(background.make_contiguous(), Some(Instant::now() + TURN)) {
            Ok(settled) => announce(&self.tally, background.drain(..settled.len()).collect(), settled),
            Err(Abort::Batch(error)) => fail(background.drain(..).collect(), &error),
            // Perhaps it is another that spoils the turn; then its own comes.
            Err(Abort::Job(_)) => self.run_batch(background.drain(..1).collect()),
        }
    }

    /// Runs the jobs in one transaction, or the first of them, if no other may begin after an instant. After an error nothing of it
    /// remains.
    fn attempt(&self, jobs: &[Job], last_begin: Option<Instant>) -> Result<Vec<Settled>, Abort> {
        self.lock().control("begin immediate").map_err(Abort::Batch)?;
        let in_time = |at: usize| at == 0 || last_begin.is_none_or(|last| Instant::now() < last);
        let taken = jobs.iter().enumerate().take_while(|(at, _)| in_time(*at));
        let carried_out = taken.map(|(_, job)| self.carry_out(job)).collect::<Result<Vec<_>, _>>();
        let committed = carried_out.map_err(Abort::Job).and_then(|settled| {
            let wrote = settled.iter().any(|each| each.wrote);
            self.lock().control("commit").map_err(|error| unfinished(error, wrote))?;
            Ok(settled)
        });
        if committed.is_err() {
            self.roll_back();
        }
        committed
    }

    /// An error means that part of the job may have been written, and only a rollback takes that back.
    fn carry_out(&self, job: &Job) -> Result<Settled, StoreError> {
        let Some(verdict) = finish((job.decide)(self.reads())) else {
            let message = "a decision may await nothing but its reads".to_owned();
            let error = StoreError::Panicked { what: job.name, message };
            return Ok(Settled::idle(Outcome::Failed(error)));
        };
        let mut connection = self.lock();
        let (guards, writes, answer) = match verdict {
            Verdict::Write { guards, writes, answer } => (guards, writes, answer),
            Verdict::Refused(refusal) => return Ok(Settled::idle(Outcome::Refused(refusal))),
            Verdict::Failed(error) if connection.in_transaction() => {
                return Ok(Settled::idle(Outcome::Failed(error)));
            }
            Verdict::Failed(error) => return Err(error),
        };
        for (at, guard) in guards.iter().enumerate() {
            match connection.execute(guard)? {
                1 => {}
                0 => {
                    add(&self.tally.lost_guards, 1);
                    let lost = Settled::idle(Outcome::Failed(StoreError::Contended));
                    return if at == 0 { Ok(lost) } else { Err(StoreError::Contended) };
                }
                rows => return Err(StoreError::WideGuard { statement: guard.sql, rows }),
            }
        }
        for write in &writes {
            connection.execute(write)?;
        }
        let idle = guards.is_empty() && writes.is_empty();
        Ok(if idle { Settled::idle(Outcome::Answered(answer)) } else { Settled::wrote(answer) })
    }

    fn roll_back(&self) {
        let mut connection = self.lock();
        if connection.in_transaction()
            && let Err(error) = connection.control("rollback")
        {
            tracing::error!(%error, "a batch could not be rolled back");
        }
    }

    fn reads(&self) -> Reads {
        Reads(Source::Sqlite(self.connection.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A decision that panicked while it read left the connection usable: statements reset themselves.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a failed commit means. A full disk and a lock are known to leave nothing; after another error of the disk the
/// log may or may not hold the commit when it is next read.
fn unfinished(error: StoreError, wrote: bool) -> Abort {
    match error {
        StoreError::DiskFull(_) => Abort::Job(error),
        StoreError::Database { cause, .. } if wrote => {
            Abort::Batch(StoreError::Unknown { unit: "", cause: Some(cause) })
        }
        other => Abort::Batch(other),
    }
}
