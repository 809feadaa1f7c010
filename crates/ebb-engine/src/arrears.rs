//! How does an account stand that owes, and at which second does what follow? (rules §5.2)
//!
//! It is in grace, then frozen, then what was frozen is released. Each second is known beforehand; a top-up that pays in that very
//! second comes first, so a step is carried out when its second is over, and counts from it all the same.

use crate::spending::Spending;
use ebb_model::catalog::ArrearsLimits;
use ebb_model::money::{Amount, Exact};
use ebb_model::time::{DAY, HOUR, Period, Second, Timestamp};
use serde::{Deserialize, Serialize};

/// One time in which an account owes, from the settlement that left a debt to the top-up that pays it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrears {
    /// The end of the hour, or the release, whose settlement left the debt.
    pub since: Second,
    /// Its grace ends here at the latest.
    pub grace_until: Second,
    pub frozen: Option<Frozen>,
    /// What was frozen was released then.
    pub released: Option<Second>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frozen {
    /// Nothing is charged from here on.
    pub since: Second,
    /// Then what is frozen is released.
    pub until: Second,
}

/// How an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It owes nothing.
    Clear,
    /// All goes on and is charged; nothing that costs more begins.
    Grace { since: Second, until: Second },
    /// Nothing but releases and top-ups.
    Frozen { since: Second, until: Second },
    /// The same, and what was frozen is gone.
    Released { since: Second },
}

impl Standing {
    pub fn name(self) -> &'static str {
        match self {
            Standing::Clear => "clear",
            Standing::Grace { .. } => "grace",
            Standing::Frozen { .. } => "frozen",
            Standing::Released { .. } => "released",
        }
    }
}

/// What ended a grace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// Its days.
    Grace,
    /// Another second would have been beyond the debt limit.
    DebtLimit,
}

impl By {
    pub fn name(self) -> &'static str {
        match self {
            By::Grace => "grace",
            By::DebtLimit => "debt-limit",
        }
    }
}

/// What comes next for an account in arrears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Its owner is told that it is frozen in so many days.
    FreezeSoon(i64),
    Freeze,
    ReleaseSoon(i64),
    Release,
}

/// How an account stands, by what is written down of it; `None`: it is not in arrears.
pub fn standing(arrears: Option<&Arrears>) -> Standing {
    match arrears.map(|known| (known, known.frozen, known.released)) {
        None => Standing::Clear,
        Some((known, None, _)) => Standing::Grace { since: known.since, until: known.grace_until },
        Some((_, Some(Frozen { since, until }), None)) => Standing::Frozen { since, until },
        Some((_, Some(Frozen { since, .. }), Some(_))) => Standing::Released { since },
    }
}

/// Arrears that begin at `since`. `graces` are those of earlier arrears: what of them lies within the window before it is not
/// given a second time.
pub fn begin(since: Second, graces: &[Period], limits: &ArrearsLimits) -> Arrears {
    let left = (limits.grace_days * DAY - grace_used(since, graces, limits)).max(0);
    Arrears { since, grace_until: since.plus(left), frozen: None, released: None }
}

/// Seconds of grace that were used in the window before `since`.
pub fn grace_used(since: Second, graces: &[Period], limits: &ArrearsLimits) -> i64 {
    let Some(window) = Period::new(since.plus(-limits.window_days * DAY), since) else { return 0 };
    graces.iter().filter_map(|grace| grace.intersect(window)).map(Period::seconds).sum()
}

/// What is owed of what is settled, to the last digit: the ledger rounds, and so a debt is off by less than one of its units.
pub fn owed(debt: Amount, payable: Exact) -> Exact {
    debt.exact() + (payable - payable.posted().exact())
}

/// At which second the account is frozen if all goes on as it is, and why then: the end of its grace, or before that the last
/// second at which no more than the limit would be owed, with what is not settled. One that owes more already is frozen at once.
pub fn freezes_at(known: &Arrears, owed: Exact, spending: &Spending, limits: &ArrearsLimits) -> (Second, By) {
    let from = known.since.max(spending.open_since);
    let within = |at: Second| owed + spending.if_ended_at(at) <= limits.debt_limit.exact();
    if from >= known.grace_until || within(known.grace_until) {
        return (known.grace_until, By::Grace);
    }
    let at = if within(from) { crate::spending::last(from, known.grace_until, within) } else { from };
    (at, By::DebtLimit)
}

/// A freeze at `since`. One that is carried out late, because a host was silent, leaves its owner all of its days to pay.
pub fn freeze(known: &Arrears, since: Second, carried_out: Second, limits: &ArrearsLimits) -> Arrears {
    let from = if carried_out > since.plus(HOUR) { carried_out } else { since };
    let until = from.plus(limits.frozen_days * DAY);
    Arrears { frozen: Some(Frozen { since, until }), ..*known }
}

/// What comes next, and at which second; nothing once all is released. `freezes_at` is its freeze as it stands now, `warned` the
/// fewest days before the next step of which its owner was told.
pub fn next(
    known: &Arrears,
    freezes_at: Second,
    warned: Option<i64>,
    limits: &ArrearsLimits,
) -> Option<(Second, Deed)> {
    let (from, step, deed, soon): (_, _, _, fn(i64) -> Deed) = match (known.frozen, known.released) {
        (None, _) => (known.since, freezes_at, Deed::Freeze, Deed::FreezeSoon),
        (Some(frozen), None) => (frozen.since, frozen.until, Deed::Release, Deed::ReleaseSoon),
        (Some(_), Some(_)) => return None,
    };
    let left = limits.warn_days_before.iter().filter(|days| warned.is_none_or(|warned| **days < warned));
    let warnings = left.map(|days| (step.plus(-days * DAY), soon(*days))).filter(|(at, _)| *at > from);
    Some(warnings.min_by_key(|(at, _)| *at).unwrap_or((step, deed)))
}

/// When it is time for that: for a word at once, for a step when its second is over.
pub fn due_at((at, deed): (Second, Deed)) -> Timestamp {
    match deed {
        Deed::FreezeSoon(_) | Deed::ReleaseSoon(_) => at.start(),
        Deed::Freeze | Deed::Release => at.plus(1).start(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Second = Second::from_unix(1_800_000_000);

    #[test]
    fn grace_is_given_once_within_the_window() {
        let limits = ArrearsLimits::default();
        let days = |days: i64| FIRST.plus(days * DAY);
        let first = begin(FIRST, &[], &limits);
        assert_eq!(first.grace_until, days(15));
        // Ten days were used; 30 days later five are left, 95 days later eight of ten are forgotten, and 200 days later all.
        let used = [Period { since: FIRST, until: days(10) }];
        assert_eq!(begin(days(40), &used, &limits).grace_until, days(45));
        assert_eq!(begin(days(98), &used, &limits).grace_until, days(111));
        assert_eq!(begin(days(200), &used, &limits).grace_until, days(215));
        let all = [Period { since: FIRST, until: days(15) }];
        assert_eq!(begin(days(31), &all, &limits).grace_until, days(31));
    }

    #[test]
    fn words_come_before_steps_and_a_step_after_its_second() {
        let limits = ArrearsLimits::default();
        let days = |days: i64| FIRST.plus(days * DAY);
        let known = begin(FIRST, &[], &limits);
        assert_eq!(next(&known, days(15), None, &limits), Some((days(12), Deed::FreezeSoon(3))));
        assert_eq!(next(&known, days(15), Some(3), &limits), Some((days(14), Deed::FreezeSoon(1))));
        assert_eq!(next(&known, days(15), Some(1), &limits), Some((days(15), Deed::Freeze)));
        // Its beginning told as much.
        assert_eq!(next(&known, days(3), None, &limits), Some((days(2), Deed::FreezeSoon(1))));
        assert_eq!(next(&known, days(1), None, &limits), Some((days(1), Deed::Freeze)));
        let frozen = freeze(&known, days(15), days(15).plus(1), &limits);
        assert_eq!(standing(Some(&frozen)), Standing::Frozen { since: days(15), until: days(30) });
        assert_eq!(next(&frozen, days(15), None, &limits), Some((days(27), Deed::ReleaseSoon(3))));
        assert_eq!(due_at((days(30), Deed::Release)), days(30).plus(1).start());
        assert_eq!(due_at((days(27), Deed::ReleaseSoon(3))), days(27).start());
        let gone = Arrears { released: Some(days(30)), ..frozen };
        assert_eq!(next(&gone, days(15), Some(1), &limits), None);
        assert_eq!(standing(Some(&gone)), Standing::Released { since: days(15) });
    }
}
