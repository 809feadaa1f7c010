//! Does the running service keep the rules? Stories over HTTP, on SQLite and on PostgreSQL.

mod clock;
mod cloud;
mod corners;
mod drill_cards;
mod drill_refusals;
mod drills;
mod hosts;
mod mails;
mod metadata;
mod openapi;
mod person_appeals;
mod person_families;
mod person_keys;
mod person_verifier;
mod persons;
mod post_office;
mod promises;
mod receiver;
mod refusals;
mod samples;
mod spot;
mod subscriptions;
mod trial;
mod zones;
