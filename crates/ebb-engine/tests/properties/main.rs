//! What must hold for every input? Properties of the rules, on random histories.

mod arrears;
mod disks;
mod drills;
mod ends;
mod evidence;
mod expected;
mod fates;
mod firm;
mod forecast;
mod given_back;
mod lives;
mod money;
mod permit;
mod placement;
mod prices;
mod profit;
mod prospect;
mod rating;
mod shop;
mod spending;
mod traffic;
mod victims;
mod vouchers;
mod waiver;
mod world;
mod zones;
