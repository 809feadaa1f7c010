//! What is a unit of work, and how does it travel to the writer?

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use crate::counters::{Tally, add};
use crate::error::{Halt, StoreError};
use crate::reads::Reads;
use crate::value::Query;

/// What a decision wants to happen.
#[derive(Debug, Clone)]
pub struct Decision<A> {
    /// Statements that must change exactly one row each; one that changes none means that somebody else was first.
    /// They run before the writes. Put the one most likely to lose first: while nothing was changed, losing is free.
    pub guards: Vec<Query>,
    /// Statements that carry the decision out, in this order.
    pub writes: Vec<Query>,
    /// What the caller hears once all that is durable.
    pub answer: A,
}

impl<A> Decision<A> {
    /// The answer is known and nothing is to be written, as when a request is repeated.
    pub fn unchanged(answer: A) -> Decision<A> {
        Decision { guards: Vec::new(), writes: Vec::new(), answer }
    }
}

/// An answer or a refusal on its way past code that does not know its type.
pub(crate) type Parcel = Box<dyn Any + Send>;

pub(crate) enum Verdict {
    Write { guards: Vec<Query>, writes: Vec<Query>, answer: Parcel },
    Refused(Parcel),
    Failed(StoreError),
}

pub(crate) enum Outcome {
    Answered(Parcel),
    Refused(Parcel),
    Failed(StoreError),
}

pub(crate) type Decide = Arc<dyn Fn(Reads) -> BoxFuture<'static, Verdict> + Send + Sync>;

/// Hides the types of answer and refusal, and turns a panic of the decision into its failure.
pub(crate) fn erase<A, R, F, Fut>(name: &'static str, tally: Arc<Tally>, decide: F) -> Decide
where
    A: Send + 'static,
    R: Send + 'static,
    F: Fn(Reads) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Decision<A>, Halt<R>>> + Send + 'static,
{
    let decide = Arc::new(decide);
    Arc::new(move |reads| {
        let (decide, tally) = (decide.clone(), tally.clone());
        let decided = async move { decide(reads).await };
        let caught = AssertUnwindSafe(decided).catch_unwind();
        Box::pin(caught.map(move |decided| match decided {
            Ok(Ok(Decision { guards, writes, answer })) => Verdict::Write { guards, writes, answer: Box::new(answer) },
            Ok(Err(Halt::Refused(refusal))) => Verdict::Refused(Box::new(refusal)),
            Ok(Err(Halt::Store(error))) => Verdict::Failed(error),
            Err(panic) => Verdict::Failed(panicked(name, &tally, &*panic)),
        }))
    })
}

/// The other end of [`erase`].
pub(crate) fn open<A: 'static, R: 'static>(outcome: Outcome) -> Result<A, Halt<R>> {
    match outcome {
        Outcome::Answered(answer) => Ok(unpack(answer)),
        Outcome::Refused(refusal) => Err(Halt::Refused(unpack(refusal))),
        Outcome::Failed(error) => Err(Halt::Store(error)),
    }
}

fn unpack<T: 'static>(parcel: Parcel) -> T {
    *parcel.downcast().unwrap_or_else(|_| panic!("a parcel should hold a {}", std::any::type_name::<T>()))
}

/// Makes a panic an error, counts it and says so in the log.
pub(crate) fn panicked(what: &'static str, tally: &Tally, panic: &(dyn Any + Send)) -> StoreError {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    let message = text.unwrap_or_else(|| "no message".to_owned());
    add(&tally.panics, 1);
    tracing::error!(what, message, "panic in the store; the others go on");
    StoreError::Panicked { what, message }
}

/// Who waits for a unit of work?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Somebody who asked.
    Front,
    /// Nobody. It may write thousands of rows, so it shares no commit with those in front.
    Back,
}

/// One try of a unit of work, waiting for a writer.
pub(crate) struct Job {
    pub(crate) lane: Lane,
    pub(crate) name: &'static str,
    pub(crate) key: Arc<str>,
    pub(crate) decide: Decide,
    pub(crate) reply: oneshot::Sender<Outcome>,
}

impl Job {
    /// The caller went away before anything began: nobody is there to hear the answer.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

/// Why a batch was rolled back.
pub(crate) enum Abort {
    /// One job spoiled it; run one by one, the others succeed.
    Job(StoreError),
    /// No job is to blame: this is the outcome of all.
    Batch(StoreError),
}

/// What a batch did for one job. `wrote` decides what an unknown commit means for it.
pub(crate) struct Settled {
    pub(crate) outcome: Outcome,
    pub(crate) wrote: bool,
}

impl Settled {
    pub(crate) fn wrote(answer: Parcel) -> Settled {
        Settled { outcome: Outcome::Answered(answer), wrote: true }
    }

    pub(crate) fn idle(outcome: Outcome) -> Settled {
        Settled { outcome, wrote: false }
    }
}

/// Hands the outcomes of a committed batch to those who wait for them.
pub(crate) fn announce(tally: &Tally, jobs: Vec<Job>, settled: Vec<Settled>) {
    let units = settled.iter().filter(|each| each.wrote).count();
    if units > 0 {
        add(&tally.commits, 1);
        add(&tally.units, units as u64);
        for (job, _) in jobs.iter().zip(&settled).filter(|(_, each)| each.wrote) {
            crate::failpoint::committed(job.name);
        }
    }
    for (job, each) in jobs.into_iter().zip(settled) {
        // The caller may have gone away; what was committed stays.
        let _ = job.reply.send(each.outcome);
    }
}

/// Tells all jobs of a batch that it failed.
pub(crate) fn fail(jobs: Vec<Job>, error: &StoreError) {
    for job in jobs {
        let error = match error {
            StoreError::Unknown { cause, .. } => StoreError::Unknown { unit: job.name, cause: cause.clone() },
            other => other.clone(),
        };
        let _ = job.reply.send(Outcome::Failed(error));
    }
}
