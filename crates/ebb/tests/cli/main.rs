//! Does the command line do what its help, its errors and its demo say? Against a sandbox that runs as a process of its own.

mod audit;
mod demo;
mod examples;
mod pages;
mod prices;
mod refusals;
mod sandbox;
mod up;
mod wire;
