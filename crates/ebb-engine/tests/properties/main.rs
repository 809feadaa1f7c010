//! What must hold for every input? Properties of the rules, on random histories.

mod ends;
mod firm;
mod lives;
mod money;
mod permit;
mod placement;
mod profit;
mod rating;
mod victims;
mod waiver;
mod world;
