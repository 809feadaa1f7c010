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
mod post_office;
mod promises;
mod receiver;
mod refusals;
mod samples;
mod spot;
mod subscriptions;
mod trial;
mod trial_end;
mod zones;
