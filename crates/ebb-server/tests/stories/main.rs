//! Does the running service keep the rules? Stories over HTTP, on SQLite and on PostgreSQL.

mod clock;
mod cloud;
mod hosts;
mod metadata;
mod openapi;
mod refusals;
mod samples;
mod spot;
mod trial;
