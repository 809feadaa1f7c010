//! What can go wrong in the store, and what may the caller do about it?

use std::error::Error;
use std::sync::Arc;

/// The database's own error, kept for the log. It is shared because one failed commit fails many units.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// A variant for each thing that a caller may do differently. Errors are told apart by the database's codes, never by
/// their text, which changes with version and language.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was first each time. Nothing was written; the request may be repeated later.
    #[error("too many others write the same rows; nothing was changed, try again")]
    Contended,

    /// What the decision rests on is about to be changed by somebody whose commit is under way. It is decided anew after it.
    #[error("others are about to write the same rows; nothing was changed, try again")]
    Ahead,

    /// The database cannot be reached. Nothing was written; the request may be repeated later.
    #[error("the database cannot be reached; nothing was changed, try again")]
    Unavailable(#[source] Cause),

    /// The connection broke while the commit was under way: it may have happened or not. Repeating is safe only with
    /// the idempotency token of the first try, which finds out.
    #[error("the connection broke during the commit of {unit}: it is not known whether it happened")]
    Unknown {
        unit: &'static str,
        #[source]
        cause: Option<Cause>,
    },

    /// A row with this key exists, although the decision did not see it.
    #[error("a row with the same key exists: {statement}")]
    Duplicate {
        statement: &'static str,
        #[source]
        cause: Cause,
    },

    /// No room is left. Nothing was written, and the store works again once there is room.
    #[error("the disk of the database is full; nothing was changed")]
    DiskFull(#[source] Cause),

    /// A bug in a decision or a reader; the others in its batch went on.
    #[error("{what} panicked: {message}")]
    Panicked { what: &'static str, message: String },

    /// A bug: the statement and its parameters do not fit.
    #[error("{given} parameters for a statement that wants {wanted}: {statement}")]
    Arguments { statement: &'static str, wanted: usize, given: usize },

    /// A bug: the column's type is outside the part that both databases share (a `sum` without a cast, often).
    #[error("column {column} is neither integer nor text: {statement}")]
    Unreadable { statement: &'static str, column: String },

    /// A bug: a guard must point at one row.
    #[error("a guard changed {rows} rows instead of one: {statement}")]
    WideGuard { statement: &'static str, rows: u64 },

    /// A bug: a read that writes would write before the decision.
    #[error("a read may not write: {statement}")]
    WritingRead { statement: &'static str },

    /// The database was made by a later version of the program, which this one would damage.
    #[error("the database has schema {found}, this program knows up to {known}: start a newer program")]
    NewerSchema { found: i64, known: i64 },

    /// Any other refusal of the database.
    #[error("the database refused ({code}): {statement}")]
    Database {
        statement: &'static str,
        code: String,
        #[source]
        cause: Cause,
    },

    /// [`close`](crate::Store::close) was called before.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether it is certain that nothing was written *and* the next try may go better.
    pub fn is_passing(&self) -> bool {
        matches!(self, StoreError::Contended | StoreError::Ahead | StoreError::Unavailable(_))
    }
}

/// Why a unit of work ended without an answer: the rule said no, or the store could not.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Halt<R> {
    #[error("refused: {0}")]
    Refused(R),
    #[error(transparent)]
    Store(StoreError),
}

impl<R> From<StoreError> for Halt<R> {
    fn from(error: StoreError) -> Self {
        Halt::Store(error)
    }
}
