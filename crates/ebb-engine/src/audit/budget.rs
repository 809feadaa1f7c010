//! Is a budget as the log has it, and what was told of it, too? (rules §4.3)

use super::{Check, Found};
use crate::budget::Budget;
use crate::event::Event;
use ebb_model::id::AccountId;
use ebb_model::time::Second;
use std::collections::BTreeSet;

/// What is told beside shares: that more is expected.
pub const EXPECTED: &str = "expected";

/// A budget, and what was told of it: a share or [`EXPECTED`], with its second.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    pub budget: Option<Budget>,
    pub told: BTreeSet<(String, Second)>,
}

impl Told {
    /// As the log goes on.
    pub(super) fn event(&mut self, at: Second, event: &Event) {
        match event {
            Event::BudgetSet { amount, alerts, expected } => {
                let alerts = alerts.iter().copied().collect();
                let budget = Some(Budget { amount: *amount, alerts, expected: *expected, set_at: at });
                *self = Told { budget, ..Told::default() };
            }
            Event::BudgetRemoved => *self = Told::default(),
            Event::BudgetReached { percent, at, .. } => drop(self.told.insert((percent.to_string(), *at))),
            Event::BudgetExpected { at, .. } => drop(self.told.insert((EXPECTED.to_owned(), *at))),
            _ => {}
        }
    }

    /// Compares what is stored with what the log comes to.
    pub(super) fn check(&self, account: AccountId, stored: &Told, found: &mut Found) {
        let said = |of: &Told| of.budget.as_ref().map_or("none".to_owned(), words);
        found.compare(Check::Budget, account, "budget", said(stored), said(self));
        for (what, at) in stored.told.difference(&self.told) {
            found.add(Check::Budget, Some(account), format!("budget_told of {what}"), at, "nothing");
        }
        for (what, at) in self.told.difference(&stored.told) {
            found.add(Check::Budget, Some(account), format!("budget_told of {what}"), "nothing", at);
        }
    }
}

fn words(Budget { amount, alerts, expected, set_at }: &Budget) -> String {
    let alerts: Vec<String> = alerts.iter().map(i64::to_string).collect();
    let expected = if *expected { ", and what is expected" } else { "" };
    format!("{amount} with {} %{expected}, set at {set_at}", alerts.join(", "))
}
