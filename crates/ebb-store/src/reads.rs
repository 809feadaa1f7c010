//! How does a decision or a reader see rows?

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::StoreError;
use crate::postgres::session::Session;
use crate::sqlite::connection::Connection;
use crate::value::{Query, Row};

/// The rows as they are for one decision or one reader. It may not be kept: the transaction behind it ends when the
/// closure's future does.
///
/// A reader sees one instant. So does a decision on SQLite; on PostgreSQL each statement of a decision sees what was
/// committed when it ran, so **what must still hold when the writes happen needs a guard**.
pub struct Reads(pub(crate) Source);

pub(crate) enum Source {
    Sqlite(Arc<Mutex<Connection>>),
    Postgres(Arc<Session>),
}

impl Reads {
    /// All rows of an answer. Long answers are asked for in pages by key: the whole of it is held in memory.
    pub async fn rows(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        match &self.0 {
            Source::Sqlite(connection) => connection.lock().unwrap_or_else(PoisonError::into_inner).rows(&query),
            Source::Postgres(session) => session.rows(&query).await,
        }
    }

    /// The first row, if there is one.
    pub async fn row(&self, query: Query) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(query).await?.into_iter().next())
    }
}
