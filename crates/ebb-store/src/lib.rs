//! Rows ↔ model: units of work, readers and migrations, on SQLite and PostgreSQL from the same SQL text.
//!
//! ```no_run
//! # use ebb_store::{Decision, Halt, Place, Store, StoreError, args, query};
//! # async fn example() -> Result<(), Halt<String>> {
//! let store = Store::open(Place::Memory).await?;
//! let used = store
//!     .unit("take", "zone-1", |reads| async move {
//!         let row = reads.row(query("select generation, used from zone where id = $1", args!["zone-1"])).await?;
//!         let row = row.ok_or(Halt::Refused("no such zone".to_owned()))?;
//!         let (generation, used) = (row.int("generation"), row.int("used") + 1);
//!         let guard = "update zone set generation = generation + 1 where id = $1 and generation = $2";
//!         let write = "update zone set used = $2 where id = $1";
//!         Ok(Decision {
//!             guards: vec![query(guard, args!["zone-1", generation])],
//!             writes: vec![query(write, args!["zone-1", used])],
//!             answer: used,
//!         })
//!     })
//!     .await?;
//! # Ok(()) }
//! ```

mod counters;
mod engine;
mod error;
mod failpoint;
mod immediate;
mod migrate;
mod postgres;
mod reads;
pub mod rows;
mod sqlite;
mod store;
mod unit;
mod value;

pub use counters::Counters;
pub use error::{Cause, Halt, StoreError};
pub use failpoint::failpoint;
pub use reads::Reads;
pub use store::{Kind, Place, Store};
pub use unit::Decision;
pub use value::{Column, Query, Row, Value, query};
