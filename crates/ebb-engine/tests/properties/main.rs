//! What must hold for every input? Properties of the rules, on random histories.

mod drills;
mod ends;
mod evidence;
mod expected;
mod fates;
mod firm;
mod forecast;
mod lives;
mod money;
mod permit;
mod placement;
mod profit;
mod rating;
mod shop;
mod spending;
mod traffic;
mod victims;
mod waiver;
mod world;
mod zones;
