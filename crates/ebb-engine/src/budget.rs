//! When is an account told of its budget? A budget stops nothing: it says in time what a month comes to (rules §4.3).

use crate::spending::Spending;
use ebb_model::money::{Amount, Exact};
use ebb_model::time::{Period, Second};
use std::collections::BTreeSet;

/// What an account's owner means to spend in a calendar month, and at which shares of it, in percent, he wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    pub amount: Amount,
    pub alerts: BTreeSet<i64>,
    /// Also when the month is expected to come to more.
    pub expected: bool,
    pub set_at: Second,
}

/// A share of a budget that is payable from a second on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    pub at: Second,
    pub percent: i64,
}

impl Budget {
    /// The shares that are reached in a month if all goes on as it is, and were not told, in the order of their seconds. What is paid in
    /// advance counts from its own second: it is no part of what `spending` has billed, but of what has flowed.
    pub fn shares(&self, spending: &Spending, month: Period, told: &BTreeSet<i64>) -> Vec<Share> {
        let from = self.set_at.max(spending.open_since);
        let reached = |percent: &i64| {
            // The first second with at least so much, in whole units.
            let share = Exact::from_units((self.amount.exact().units() * i128::from(*percent) + 99) / 100);
            Some(Share { at: spending.payable_from(share, month, from)?, percent: *percent })
        };
        let mut shares: Vec<Share> = self.alerts.difference(told).filter_map(reached).collect();
        shares.sort();
        shares
    }
}
