//! The nouns of Ebb: typed ids, time, money, resources, the catalog, instances and bill records.
//!
//! Nothing here reads a clock, a socket, a database or a die; nothing here is a float.

#![deny(clippy::float_arithmetic)]

pub mod billing;
pub mod calendar;
pub mod catalog;
pub mod currency;
pub mod disk;
pub mod id;
pub mod image;
pub mod instance;
pub mod money;
pub mod network;
pub mod person;
pub mod pool;
pub mod price;
pub mod price_book;
pub mod resources;
pub mod security_group;
pub mod time;
pub mod traffic;
pub mod trial;
pub mod volume;
pub mod voucher;
pub mod week;
