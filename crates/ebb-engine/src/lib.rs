//! The rules: pure functions of values. Nothing here waits, reads or writes anything.
//!
//! [`quote`] says whether an order may be placed and at which price, [`fleet`] what there is in a zone, [`placement`] where an
//! order goes and who must make room, [`reserve`] and [`shortage`] who makes room for the operator, [`lending`] what a host may
//! still take,
//! [`lifecycle`] what happens to an instance next, [`end`] at which second and why it ends, [`resize`] whether it may
//! have another size, [`conversion`] whether it may be sold otherwise, [`monthly`] how long it is paid then, [`ordered`] from when
//! what was bought by the month is paid, [`renewal`] whether that renews itself, [`rating`] what a span
//! of use costs, [`evidence`] what two accounts share,
//! [`eligibility`] who may claim a trial, [`trial`] what a grant pays, [`coverage`] what another list changes,
//! [`forecast`] how long, [`advice`] what makes it last, [`outlays`] what an account pays for, [`spending`] how long its cap allows it, [`expected`] what its
//! month will come to and who pays it, [`budget`] when it is told of that, [`arrears`] what follows when it owes,
//! [`traffic`] what left a public address and which pool pays for it, [`bandwidth`] whether its bandwidth does, [`voucher`] what coupons and cards pay, [`funds`] what is there to buy
//! with,
//! [`settlement`] what moves in the ledger, [`adjustment`] what is given back, [`audit`] whether all that is stored agrees,
//! [`explain`] why a record says what it says, [`topic`] who is told of an event, [`refusal`] why not, and [`why`] why just this one.

#![deny(clippy::float_arithmetic)]

pub mod adjustment;
pub mod advice;
pub mod arrears;
pub mod audit;
pub mod bandwidth;
pub mod budget;
mod cap;
pub mod conversion;
mod coverage;
pub mod disk;
pub mod drill;
mod economical;
pub mod eligibility;
pub mod end;
pub mod event;
pub mod evidence;
pub mod expected;
pub mod explain;
pub mod fleet;
pub mod forecast;
mod frozen;
pub mod funds;
pub mod image;
pub mod lending;
pub mod lifecycle;
pub mod monthly;
mod offers;
pub mod operation;
pub mod ordered;
pub mod outlays;
pub mod placement;
pub mod price;
pub mod price_book;
mod prospect;
pub mod quote;
pub mod rating;
pub mod refusal;
pub mod reinstall;
pub mod renewal;
pub mod reserve;
pub mod resize;
pub mod settlement;
pub mod shortage;
pub mod spending;
mod taking;
pub mod topic;
pub mod traffic;
pub mod trial;
mod trial_end;
pub mod voucher;
pub mod why;
