//! Who reads beside the writers?

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::Config;

use crate::error::StoreError;
use crate::postgres::session::Session;

/// Connections of one process for readers. The server pays for each with a process of its own.
const READERS: usize = 8;

pub(crate) struct Pool {
    config: Config,
    idle: Mutex<Vec<Arc<Session>>>,
    permits: Semaphore,
}

impl Pool {
    pub(crate) fn new(config: Config) -> Pool {
        Pool { config, idle: Mutex::default(), permits: Semaphore::new(READERS) }
    }

    /// Waits for a connection, and makes one if none is idle.
    pub(crate) async fn lend(&self) -> Result<Loan<'_>, StoreError> {
        let permit = self.permits.acquire().await.map_err(|_| StoreError::Closed)?;
        let idle = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|session| !session.is_closed());
            idle.pop()
        };
        let session = match idle {
            Some(session) => session,
            // A reader that writes would write outside any unit of work; a reader that is stuck would keep old rows.
            None => Arc::new(
                Session::connect(
                    &self.config,
                    "set default_transaction_read_only = on; set idle_in_transaction_session_timeout = '60s'",
                )
                .await?,
            ),
        };
        Ok(Loan { pool: self, session, _permit: permit })
    }

    pub(crate) fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A borrowed connection. Dropped, it is closed: its transaction may still be open, and would be the next reader's.
pub(crate) struct Loan<'a> {
    pool: &'a Pool,
    pub(crate) session: Arc<Session>,
    _permit: SemaphorePermit<'a>,
}

impl Loan<'_> {
    /// Gives the connection back; no transaction may be open on it.
    pub(crate) fn give_back(self) {
        if !self.session.is_closed() && !self.pool.permits.is_closed() {
            self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.session);
        }
    }
}
