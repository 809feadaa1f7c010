//! What do the tests of several crates need from outside? So far: a PostgreSQL server.

mod postgres;

pub use postgres::TempPostgres;
