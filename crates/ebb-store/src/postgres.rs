//! How do units of work and readers run on PostgreSQL?
//!
//! A few writer tasks each own a connection and send what waits in a few flights: the begin and all reads, the guards,
//! the writes and the commit. Readers borrow connections from a pool.

pub(crate) mod pool;
pub(crate) mod queue;
pub(crate) mod session;
pub(crate) mod value;
pub(crate) mod writer;
