//! What may be placed on a host, until when, and who must leave it? What its operator and its owner said, and what follows (rules §2.12, §2.13).

use crate::fleet::{Facts, Terms};
use ebb_model::calendar::Calendar;
use ebb_model::instance::Cause;
use ebb_model::resources::Resources;
use ebb_model::time::Timestamp;
use ebb_model::week::Week;
use serde::{Deserialize, Serialize};

/// What was said about a host, by whoever may.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lending {
    /// The hours in which its owner lends it; always, if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calendar: Option<Week>,
    /// The operator empties it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<Leave>,
    /// Its owner wants it back, until the calendar lends it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub take_back: Option<Leave>,
    /// Somebody at the machine wants it back, since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted_since: Option<Timestamp>,
}

/// When blocks have to be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave {
    pub at: Timestamp,
    /// Without notice.
    #[serde(default)]
    pub urgent: bool,
}

/// What a host does, as far as words decide it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Until a known return, or for good.
    Lent {
        until: Option<Timestamp>,
    },
    Draining {
        until: Timestamp,
    },
    Drained,
    /// Its owner has it, or gets it as soon as notices allow; until the calendar lends it again, or until somebody says so.
    WithOwner {
        until: Option<Timestamp>,
    },
}

/// What follows at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stance {
    pub doing: Doing,
    /// Whether it takes anything new.
    pub open: bool,
    /// Nothing firm, and no block that lasts longer.
    pub lent_until: Option<Timestamp>,
    /// No block that lasts longer, whatever the catalog allows.
    pub drained_from: Option<Timestamp>,
    /// Blocks are to be told now.
    pub clears: Option<Clearing>,
    /// When something of this will be different.
    pub changes_at: Option<Timestamp>,
}

/// Blocks have to go, unless their lease ends by then anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clearing {
    pub cause: Cause,
    pub deadline: Timestamp,
}

/// An end of the time in which a host is there for others.
#[derive(Clone, Copy)]
struct End {
    at: Timestamp,
    cause: Cause,
    urgent: bool,
}

impl Stance {
    pub fn terms(&self, up: bool) -> Terms {
        Terms { open: up && self.open, lent_until: self.lent_until, drained_from: self.drained_from }
    }

    /// The same for the planner; `up` if nothing else stands against using the host.
    pub fn facts(&self, capacity: Resources, up: bool) -> Facts {
        Facts { capacity, terms: self.terms(up) }
    }
}

impl Lending {
    /// What follows from all this at `now`.
    pub fn stance(&self, now: Timestamp, calendar: &Calendar, notice_seconds: i64) -> Stance {
        let notice_from = |end: &End| if end.urgent { end.at } else { end.at.plus_seconds(-notice_seconds) };
        let opens = self.calendar.as_ref().and_then(|week| week.next_beginning(now, calendar));
        let back = self.ownership(now, calendar, notice_seconds);
        let drain = self.drain.map(|leave| End { at: leave.at, cause: Cause::Drain, urgent: leave.urgent });
        let ends: Vec<End> = back.into_iter().chain(drain).collect();

        let told = ends.iter().filter(|end| notice_from(end) <= now).min_by_key(|end| (!end.urgent, end.at));
        let clears = told.map(|end| Clearing {
            cause: end.cause,
            deadline: if end.urgent { now } else { now.plus_seconds(notice_seconds) },
        });
        let doing = match (back, drain) {
            (Some(back), _) if back.at <= now => Doing::WithOwner { until: self.with_owner_until(opens) },
            (_, Some(drain)) if drain.at <= now => Doing::Drained,
            (_, Some(drain)) if back.is_none_or(|back| drain.at <= back.at) => Doing::Draining { until: drain.at },
            (back, _) => Doing::Lent { until: back.map(|back| back.at) },
        };
        let marks = ends.iter().flat_map(|end| [notice_from(end), end.at]).chain(opens);
        Stance {
            doing,
            open: clears.is_none() && self.wanted_since.is_none(),
            lent_until: ends.iter().map(|end| end.at).min(),
            drained_from: drain.map(|end| end.at),
            clears,
            changes_at: marks.filter(|at| *at > now).min(),
        }
    }

    /// The first known return, past or to come.
    fn ownership(&self, now: Timestamp, calendar: &Calendar, notice_seconds: i64) -> Option<End> {
        let hours = self.calendar.as_ref().and_then(|week| week.next_end(now, calendar));
        let wanted = self.wanted_since.map(|since| since.plus_seconds(notice_seconds));
        let end = |at, urgent| End { at, cause: Cause::HostReturn, urgent };
        let calm = hours.into_iter().chain(wanted).map(|at| end(at, false));
        let word = self.take_back.filter(|leave| !self.lent_again(leave, now, calendar));
        calm.chain(word.map(|leave| end(leave.at, leave.urgent))).min_by_key(|end| end.at)
    }

    /// A word of the owner holds until the calendar lends the machine again.
    fn lent_again(&self, leave: &Leave, now: Timestamp, calendar: &Calendar) -> bool {
        let opening = self.calendar.as_ref().and_then(|week| week.next_beginning(leave.at, calendar));
        opening.is_some_and(|opening| opening <= now)
    }

    fn with_owner_until(&self, opens: Option<Timestamp>) -> Option<Timestamp> {
        opens.filter(|_| self.wanted_since.is_none())
    }
}

/// What an operator, an owner or a machine did about a host; the operator's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum HostEvent {
    Drain(Leave),
    TakeBack(Leave),
    Resumed,
    /// `None`: it is lent always.
    Calendar {
        calendar: Option<Week>,
    },
    /// A file on the machine says that it is wanted back.
    WantedBack,
    NoLongerWanted,
    /// The operator said that it is fenced; its instances ended when it was last heard.
    Lost {
        heard_at: Timestamp,
    },
    /// It was lost, and said hello.
    CameBack,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTICE: i64 = 300;

    fn at(local: &str) -> Timestamp {
        calendar().at(local.parse().expect("a date")).expect("an instant").start()
    }

    fn calendar() -> Calendar {
        Calendar::new("Asia/Shanghai").expect("a zone")
    }

    fn stance(lending: &Lending, now: &str) -> Stance {
        lending.stance(at(now), &calendar(), NOTICE)
    }

    #[test]
    fn nobody_said_anything() {
        let stance = stance(&Lending::default(), "2026-03-02T12:00");
        assert_eq!(
            stance,
            Stance {
                doing: Doing::Lent { until: None },
                open: true,
                lent_until: None,
                drained_from: None,
                clears: None,
                changes_at: None
            }
        );
    }

    #[test]
    fn a_drain_gives_notice_in_time_and_closes() {
        let leave = Leave { at: at("2026-03-02T14:00"), urgent: false };
        let lending = Lending { drain: Some(leave), ..Lending::default() };
        let before = stance(&lending, "2026-03-02T13:54:59");
        assert_eq!(
            (before.doing, before.open, before.lent_until),
            (Doing::Draining { until: leave.at }, true, Some(leave.at))
        );
        assert_eq!((before.clears, before.changes_at), (None, Some(at("2026-03-02T13:55"))));
        let told = stance(&lending, "2026-03-02T13:55");
        assert_eq!((told.open, told.clears), (false, Some(Clearing { cause: Cause::Drain, deadline: leave.at })));
        assert_eq!(stance(&lending, "2026-03-02T14:00").doing, Doing::Drained);
    }

    #[test]
    fn the_earliest_end_counts_and_the_most_urgent_is_told_first() {
        let drain = Leave { at: at("2026-03-02T14:00"), urgent: false };
        let urgent = Leave { at: at("2026-03-02T13:58"), urgent: true };
        let lending = Lending { drain: Some(drain), take_back: Some(urgent), ..Lending::default() };
        assert_eq!(stance(&lending, "2026-03-02T13:00").lent_until, Some(urgent.at));
        let clears = stance(&lending, "2026-03-02T13:58").clears.expect("they are told");
        assert_eq!(clears, Clearing { cause: Cause::HostReturn, deadline: urgent.at });
    }

    #[test]
    fn a_word_of_the_owner_holds_until_the_calendar_lends_again() {
        let mut lending =
            Lending { calendar: Some("mon-fri 19:00-08:00".parse().expect("a week")), ..Lending::default() };
        assert_eq!(
            stance(&lending, "2026-03-02T12:00").doing,
            Doing::WithOwner { until: Some(at("2026-03-02T19:00")) }
        );
        assert_eq!(stance(&lending, "2026-03-02T20:00").doing, Doing::Lent { until: Some(at("2026-03-03T08:00")) });
        lending.take_back = Some(Leave { at: at("2026-03-02T22:00"), urgent: false });
        assert_eq!(stance(&lending, "2026-03-02T20:00").doing, Doing::Lent { until: Some(at("2026-03-02T22:00")) });
        assert_eq!(
            stance(&lending, "2026-03-02T23:00").doing,
            Doing::WithOwner { until: Some(at("2026-03-03T19:00")) }
        );
        assert!(stance(&lending, "2026-03-03T19:00").open);
        // A file says so for as long as it is there.
        lending.wanted_since = Some(at("2026-03-03T18:00"));
        let wanted = stance(&lending, "2026-03-03T19:00");
        assert_eq!((wanted.open, wanted.doing), (false, Doing::WithOwner { until: None }));
    }
}
