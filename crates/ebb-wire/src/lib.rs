//! Bytes ↔ requests: what the API and the guests' metadata service say. Nothing here decides anything.

pub mod account;
pub mod address;
pub mod audit;
pub mod bill;
pub mod budget;
pub mod cap;
pub mod catalog;
pub mod cloud_event;
pub mod disk;
pub mod drill;
pub mod forecast;
pub mod host;
pub mod image;
pub mod instance;
pub mod metadata;
pub mod offer;
pub mod person;
pub mod problem;
pub mod record;
pub mod report;
pub mod sandbox;
pub mod security_group;
pub mod subscription;
pub mod trial;
pub mod voucher;
pub mod zone;
