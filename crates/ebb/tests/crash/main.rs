//! Does a crash lose, double or orphan anything? The built program is killed at every failpoint and at random, started again,
//! and its books are compared with the log by a checker that shares no code with it.

mod absence;
mod api;
mod books;
mod clocks;
mod failpoints;
mod guests;
mod kills;
mod process;
mod receiver;
mod restore;
mod stories;
mod surroundings;
mod world;
mod zones;
