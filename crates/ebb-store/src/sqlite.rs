//! How do units of work and readers run on SQLite?
//!
//! One thread owns the only connection that writes; it puts what waits into one durable commit. Readers have their own
//! connections and never wait for it.

pub(crate) mod connection;
pub(crate) mod readers;
pub(crate) mod writer;
