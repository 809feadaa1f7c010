//! How do units of work share one transaction of PostgreSQL?

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};
use tokio_postgres::Config;

use crate::counters::{Tally, add};
use crate::error::{Cause, StoreError};
use crate::postgres::queue::Queue;
use crate::postgres::session::{Session, send};
use crate::reads::{Reads, Source};
use crate::unit::{Abort, Job, Lane, Outcome, Parcel, Settled, Verdict, announce, fail};
use crate::value::Query;

/// So many units share a transaction at most. Their rows stay locked until the commit, and other processes wait.
const BATCH: usize = 64;

/// A server that is away is asked again after this.
const RECONNECT: Duration = Duration::from_millis(100);

/// A transaction that stands still longer than this belongs to a process that stands still; others need its locks.
const SETUP: &str = "set idle_in_transaction_session_timeout = '30s'; set lock_timeout = '10s'";

pub(crate) struct Writer {
    config: Config,
    lane: Lane,
    session: Option<Arc<Session>>,
    next_try: Instant,
    queue: Arc<Queue>,
    tally: Arc<Tally>,
}

impl Writer {
    pub(crate) async fn connect(
        config: Config,
        lane: Lane,
        queue: Arc<Queue>,
        tally: Arc<Tally>,
    ) -> Result<Writer, StoreError> {
        let session = Some(Arc::new(Session::connect(&config, SETUP).await?));
        Ok(Writer { config, lane, session, next_try: Instant::now(), queue, tally })
    }

    /// The life of a writer's task: until the queue is closed and empty.
    pub(crate) async fn run(mut self) {
        while let Some(jobs) = self.queue.take(self.lane, BATCH).await {
            let keys: Vec<_> = jobs.iter().map(|job| job.key.clone()).collect();
            let jobs: Vec<_> = jobs.into_iter().filter(|job| !job.is_abandoned()).collect();
            if !jobs.is_empty() {
                self.run_batch(jobs).await;
            }
            self.queue.finish(&keys);
        }
    }

    async fn run_batch(&mut self, jobs: Vec<Job>) {
        match self.attempt(&jobs).await {
            Ok(settled) => announce(&self.tally, jobs, settled),
            Err(Abort::Batch(error)) => fail(jobs, &error),
            Err(Abort::Job(error)) if jobs.len() == 1 && !matches!(error, StoreError::Duplicate { .. }) => {
                fail(jobs, &error);
            }
            // A duplicate is decided anew even alone: another process may have written the row since it was looked for,
            // and the decision can answer from it.
            Err(Abort::Job(error)) => {
                tracing::debug!(%error, jobs = jobs.len(), "a batch is run one by one");
                add(&self.tally.split_batches, 1);
                for job in jobs {
                    let alone = [job];
                    match self.attempt(&alone).await {
                        Ok(settled) => announce(&self.tally, alone.into(), settled),
                        Err(Abort::Job(error) | Abort::Batch(error)) => fail(alone.into(), &error),
                    }
                }
            }
        }
    }

    async fn attempt(&mut self, jobs: &[Job]) -> Result<Vec<Settled>, Abort> {
        let session = self.session().await.map_err(Abort::Batch)?;
        let done = Batch { session: &session, tally: &self.tally }.run(jobs).await;
        if done.is_err() && !session.is_closed() && session.control("rollback").await.is_err() {
            // In which state it is nobody knows; the server ends its transaction with it.
            self.session = None;
        }
        done
    }

    async fn session(&mut self) -> Result<Arc<Session>, StoreError> {
        if let Some(session) = self.session.as_ref().filter(|session| !session.is_closed()) {
            return Ok(session.clone());
        }
        self.session = None;
        sleep_until(self.next_try).await;
        self.next_try = Instant::now() + RECONNECT;
        let session = Arc::new(Session::connect(&self.config, SETUP).await?);
        add(&self.tally.reconnects, 1);
        self.session = Some(session.clone());
        Ok(session)
    }
}

/// One transaction: begin and reads, guards, writes and commit, each in one flight.
struct Batch<'a> {
    session: &'a Arc<Session>,
    tally: &'a Tally,
}

/// What a job of the batch wants, and what became of it.
enum Plan {
    Settled(Settled),
    Write { guards: Vec<Query>, writes: Vec<Query>, answer: Parcel },
}

impl Batch<'_> {
    async fn run(&self, jobs: &[Job]) -> Result<Vec<Settled>, Abort> {
        let begin = send(self.session.control("begin")).await;
        let decide = |job: &Job| (job.decide)(Reads(Source::Postgres(self.session.clone())));
        let verdicts = join_all(jobs.iter().map(decide)).await;
        begin.landed().await.map_err(Abort::Batch)?;
        let mut plans = verdicts.into_iter().map(plan).collect::<Result<Vec<_>, _>>()?;
        self.guard(&mut plans).await?;
        self.write_and_commit(jobs, plans).await
    }

    /// Runs the first guard of each job, then the second, and so on. Guards of a round are sent in order of statement
    /// and parameters, so that two processes lock the same rows in the same order. A job that loses its first guard
    /// has changed nothing and is left out; after a later one only a rollback helps.
    async fn guard(&self, plans: &mut [Plan]) -> Result<(), Abort> {
        for round in 0.. {
            let plans_in_order = plans.iter().enumerate();
            let mut guards: Vec<(&Query, usize)> =
                plans_in_order.filter_map(|(at, plan)| Some((plan.guards().get(round)?, at))).collect();
            if guards.is_empty() {
                break;
            }
            guards.sort();
            let queries: Vec<_> = guards.iter().map(|(query, _)| *query).collect();
            let flights = self.session.send_all(&queries).await.map_err(blame)?;
            let mut changes = Vec::with_capacity(flights.len());
            for flight in flights {
                changes.push(flight.landed().await);
            }
            let mut lost = Vec::new();
            for ((guard, at), changed) in guards.iter().zip(changes) {
                match changed.map_err(blame)? {
                    1 => {}
                    0 => lost.push(*at),
                    rows => return Err(Abort::Job(StoreError::WideGuard { statement: guard.sql, rows })),
                }
            }
            add(&self.tally.lost_guards, lost.len() as u64);
            if round > 0 && !lost.is_empty() {
                return Err(Abort::Job(StoreError::Contended));
            }
            for at in lost {
                plans[at] = Plan::Settled(Settled::idle(Outcome::Failed(StoreError::Contended)));
            }
        }
        Ok(())
    }

    /// The commit leaves together with the writes: after a failed write the server makes it a rollback.
    async fn write_and_commit(&self, jobs: &[Job], plans: Vec<Plan>) -> Result<Vec<Settled>, Abort> {
        let queries: Vec<&Query> = plans.iter().flat_map(Plan::writes).collect();
        let flights = self.session.send_all(&queries).await.map_err(blame)?;
        let commit = send(self.session.control("commit")).await;
        let mut broken = None;
        for flight in flights {
            match flight.landed().await {
                Ok(_) => {}
                Err(StoreError::Unavailable(cause)) => broken = Some(cause),
                Err(error) => return Err(Abort::Job(error)),
            }
        }
        match (broken, commit.landed().await) {
            (None, Ok(())) => Ok(plans.into_iter().map(settle).collect()),
            (Some(cause), _) | (None, Err(StoreError::Unavailable(cause))) => {
                Ok(jobs.iter().zip(plans).map(|(job, plan)| unknown(job.name, plan, &cause)).collect())
            }
            (None, Err(error)) => Err(Abort::Job(error)),
        }
    }
}

impl Plan {
    fn guards(&self) -> &[Query] {
        match self {
            Plan::Write { guards, .. } => guards,
            Plan::Settled(_) => &[],
        }
    }

    fn writes(&self) -> &[Query] {
        match self {
            Plan::Write { writes, .. } => writes,
            Plan::Settled(_) => &[],
        }
    }
}

/// A read that failed spoils the transaction for all; a panic, a refusal or a wish to wait does not.
fn plan(verdict: Verdict) -> Result<Plan, Abort> {
    match verdict {
        Verdict::Write { guards, writes, answer } if guards.is_empty() && writes.is_empty() => {
            Ok(Plan::Settled(Settled::idle(Outcome::Answered(answer))))
        }
        Verdict::Write { guards, writes, answer } => Ok(Plan::Write { guards, writes, answer }),
        Verdict::Refused(refusal) => Ok(Plan::Settled(Settled::idle(Outcome::Refused(refusal)))),
        Verdict::Failed(error @ (StoreError::Panicked { .. } | StoreError::Ahead)) => {
            Ok(Plan::Settled(Settled::idle(Outcome::Failed(error))))
        }
        Verdict::Failed(error) => Err(blame(error)),
    }
}

fn settle(plan: Plan) -> Settled {
    match plan {
        Plan::Settled(settled) => settled,
        Plan::Write { answer, .. } => Settled::wrote(answer),
    }
}

/// The connection broke around the commit. Answers and refusals that wrote nothing rest on committed rows and stand.
fn unknown(unit: &'static str, plan: Plan, cause: &Cause) -> Settled {
    match plan {
        Plan::Settled(settled) => settled,
        Plan::Write { .. } => {
            let error = StoreError::Unknown { unit, cause: Some(cause.clone()) };
            Settled::idle(Outcome::Failed(error))
        }
    }
}

/// Before the commit a broken connection is nobody's fault, and nothing was written.
fn blame(error: StoreError) -> Abort {
    match error {
        StoreError::Unavailable(_) => Abort::Batch(error),
        other => Abort::Job(other),
    }
}
