//! To which second may an account go on, so that no time-based charge of a calendar month passes its spending cap? (rules §3.8)
//!
//! All of it turns on one sum: what would be payable in the month if everything were stopped at a second T. It never falls as T grows,
//! so the last T that the cap allows is found by halving.

use crate::forecast::{self, pays_until};
use ebb_model::billing::Meter;
use ebb_model::calendar::Calendar;
use ebb_model::money::{Exact, Price};
use ebb_model::time::{HOUR, Period, Second};
use ebb_model::trial::{AtEnd, TrialGrant};
use std::collections::BTreeMap;

/// As long as a calendar month can be: 31 days, one of which has 25 hours.
pub const LONGEST_MONTH_SECONDS: i64 = 31 * 24 * HOUR + HOUR;

/// A use that is billed hour by hour: `[since, until)`, without an end while `until` is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Draw {
    /// What is used.
    pub meter: Meter,
    pub since: Second,
    pub until: Option<Second>,
    /// A grant pays for it, while it is valid.
    pub covered: bool,
    /// Of a trial instance: the trial's end may end it.
    pub trial: bool,
    /// The cap ends it: vCPU and memory in use, and all of a block. What else there is goes on.
    pub stops: bool,
    /// It does not end before, since others had to go for it (rules §2.11).
    pub least: Second,
    /// Per hour.
    pub price: Price,
}

/// A spot block that would be released; all of it is payable in the month in which it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    pub start: Second,
    pub lease_end: Second,
    pub price: Price,
}

/// What is known to be payable and not billed yet: of a block that has ended, or has its notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    pub at: Second,
    pub payable: Exact,
}

/// A grant as it stands, and what becomes of trial instances with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    pub grant: TrialGrant,
    pub at_end: AtEnd,
    /// The trial has ended; what is left pays for what was used before.
    pub over: bool,
}

/// All that an account pays for, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spending {
    /// The first second that no closed hour holds.
    pub open_since: Second,
    /// Payable and billed, by the first second of its month.
    pub billed: BTreeMap<Second, Exact>,
    pub draws: Vec<Draw>,
    pub blocks: Vec<Block>,
    pub ended: Vec<Ended>,
    /// Traffic of open hours that no pool pays, by the second of its reading.
    pub flowed: Vec<Ended>,
    /// What orders must be charged at least that have made others go, and do not run yet.
    pub owed: Exact,
    pub allowance: Option<Allowance>,
}

/// The calendar month that holds a second.
pub fn month_of(calendar: &Calendar, second: Second) -> Period {
    let since = calendar.month(second);
    Period { since, until: calendar.month(since.plus(LONGEST_MONTH_SECONDS)) }
}

impl Spending {
    /// The last second of `month`, from `from` on, at which the cap still holds if all that can be stopped is stopped then; `None`: nothing
    /// needs to be stopped in this month.
    pub fn acts_at(&self, cap: Exact, month: Period, next: Period, from: Second) -> Option<Second> {
        let sum = |at| self.if_stopped_at(month, at);
        let from = from.max(month.since);
        // What has all been stopped is not stopped again, whatever it comes to.
        if from < month.until && sum(month.until) > cap && sum(month.until) > sum(from) {
            return Some(last(from, month.until, |at| sum(at) <= cap));
        }
        // A block that goes on beyond the month would be payable in the next one, with all that it has cost.
        let beyond = self.blocks.iter().any(|block| block.start < month.until && block.lease_end >= month.until);
        let too_much = beyond && from < month.until && self.if_stopped_at(next, month.until) > cap;
        too_much.then(|| month.until.plus(-1))
    }

    /// What is payable in `month` if at `at` vCPU and memory are stopped economically and blocks released, and the rest goes on to the end
    /// of the month.
    pub fn if_stopped_at(&self, month: Period, at: Second) -> Exact {
        let draws = self.draws.iter().map(|draw| match draw.stops {
            true => draw.ended_by(at.max(draw.least)),
            false => *draw,
        });
        let blocks = self.blocks.iter().filter(|block| block.lease_end.min(at) >= month.since);
        let blocks: Exact = blocks.map(|block| block.charge(at)).sum();
        // What ends in a later month might still end in this one.
        let ended: Exact = self.ended.iter().filter(|one| one.at >= month.since).map(|one| one.payable).sum();
        self.billed_in(month) + self.hourly(draws, month) + blocks + ended + self.flowed_by(month, at) + self.owed
    }

    /// What of `month` is payable for the time before `at`, if all goes on until then. A block counts with all that it has cost.
    pub fn payable_by(&self, month: Period, at: Second) -> Exact {
        let draws = self.draws.iter().map(|draw| draw.ended_by(at));
        let blocks = self.blocks.iter().filter(|block| block.lease_end >= month.since);
        let blocks: Exact = blocks.map(|block| block.charge(at)).sum();
        let ended: Exact = self.ended.iter().filter(|one| one.at >= month.since).map(|one| one.payable).sum();
        self.billed_in(month) + self.hourly(draws, month) + blocks + ended + self.flowed_by(month, at)
    }

    pub(crate) fn flowed_by(&self, month: Period, at: Second) -> Exact {
        // A reading speaks of the seconds before its own.
        let read = self.flowed.iter().filter(|one| month.since < one.at && one.at <= month.until && one.at <= at);
        read.map(|one| one.payable).sum()
    }

    /// The first second of `month`, after `from`, before which at least `amount` is payable.
    pub fn payable_from(&self, amount: Exact, month: Period, from: Second) -> Option<Second> {
        let from = from.max(month.since);
        let below = |at| self.payable_by(month, at) < amount;
        if from >= month.until || below(month.until) {
            return None;
        }
        Some(if below(from) { last(from, month.until, below).plus(1) } else { from })
    }

    /// Payable and billed in a month.
    pub fn billed_in(&self, month: Period) -> Exact {
        self.billed.get(&month.since).copied().unwrap_or_default()
    }

    /// Per hour, what goes on when all is stopped and no grant pays any more; of a trial that is released at its end only what no grant
    /// pays before.
    pub fn kept(&self) -> Price {
        let (mut kept, mut paid) = (0, 0);
        let goes = self.allowance.as_ref().filter(|known| !known.over && known.at_end == AtEnd::Release);
        for draw in self.draws.iter().filter(|draw| draw.until.is_none() && !draw.stops) {
            match draw.covered && draw.trial && goes.is_some() {
                true => paid += draw.price.micros(),
                false => kept += draw.price.micros(),
            }
        }
        let above = goes.map_or(0, |known| (paid - known.grant.hourly_cap.micros()).max(0));
        Price::from_micros(kept + above)
    }

    /// The least that a cap may be: it must do for what is payable by `at`, with what goes on, and for a whole later month of that.
    pub fn least_cap(&self, month: Period, at: Second) -> Exact {
        self.if_stopped_at(month, at).max(self.kept().charge(LONGEST_MONTH_SECONDS) + self.owed)
    }

    /// What of hourly uses is payable in a month, and billed by no closed hour.
    fn hourly(&self, draws: impl Iterator<Item = Draw>, month: Period) -> Exact {
        self.used(draws, month).payable()
    }

    /// The same by what is used, if all goes on until `at`.
    pub fn used_by(&self, month: Period, at: Second) -> Used {
        self.used(self.draws.iter().map(|draw| draw.ended_by(at)), month)
    }

    /// As it goes on after all was stopped at a second that can be.
    pub fn stopped_at(&self, at: Second) -> Spending {
        let mut rest = self.clone();
        for draw in rest.draws.iter_mut().filter(|draw| draw.stops) {
            *draw = Draw { stops: false, ..draw.ended_by(at.max(draw.least)) };
        }
        rest.blocks.iter_mut().for_each(|block| block.lease_end = block.lease_end.min(at).max(block.start));
        rest
    }

    fn used(&self, draws: impl Iterator<Item = Draw>, month: Period) -> Used {
        let mut draws = together(draws, self.open_since);
        let Some(window) = Period::new(month.since.max(self.open_since), month.until) else { return Used::default() };
        let of = |draws: &[Draw], grant| {
            let meter = |wanted| gross(draws.iter().filter(|draw| draw.meter == wanted), window);
            Used { compute: meter(Meter::Compute), disks: meter(Meter::SystemDisk), grant }
        };
        let Some(Allowance { grant, at_end, over }) = &self.allowance else { return of(&draws, Exact::ZERO) };
        let valid = Period { since: grant.claimed_at, until: grant.valid_until };
        if *at_end != AtEnd::Continue && !over {
            let open = Period::new(valid.since.max(self.open_since), valid.until);
            let used_up = open.and_then(|open| pays_until(&covered(&draws, valid), grant.cap(), grant.left(), open));
            let end = used_up.unwrap_or(valid.until);
            draws = draws.into_iter().flat_map(|draw| draw.after_trial(*at_end, end)).flatten().collect();
        }
        let paid = |until| deducted(&covered(&draws, valid), grant.cap(), grant.left(), self.open_since, until);
        of(&draws, paid(window.until) - paid(window.since))
    }
}

/// What hourly uses come to, and what a grant pays of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    pub compute: Exact,
    pub disks: Exact,
    pub grant: Exact,
}

impl Used {
    pub fn payable(&self) -> Exact {
        self.compute + self.disks - self.grant
    }
}

impl Draw {
    fn ended_by(&self, at: Second) -> Draw {
        Draw { until: Some(self.until.map_or(at, |until| until.min(at))), ..*self }
    }

    /// What becomes of it when its trial ends, and what of it goes on, on demand.
    fn after_trial(&self, at_end: AtEnd, end: Second) -> [Option<Draw>; 2] {
        let goes = match at_end {
            AtEnd::Continue => false,
            AtEnd::Stop => self.stops,
            AtEnd::Release => true,
        };
        let whole = if self.trial && goes { self.ended_by(end.max(self.least)) } else { *self };
        match self.trial && at_end == AtEnd::Stop {
            true => [Some(whole.ended_by(end)), Some(Draw { since: whole.since.max(end), covered: false, ..whole })],
            false => [Some(whole), None],
        }
    }
}

impl Block {
    /// What it has cost by a second.
    pub fn charge(&self, at: Second) -> Exact {
        self.price.charge((at.min(self.lease_end).unix() - self.start.unix()).max(0))
    }
}

/// The last second of `[from, until)` that is good, where `from` is taken for good and `until` is not.
pub(crate) fn last(from: Second, until: Second, good: impl Fn(Second) -> bool) -> Second {
    let (mut low, mut high) = (from, until);
    while high.unix() - low.unix() > 1 {
        let middle = Second::from_unix(low.unix() + (high.unix() - low.unix()) / 2);
        match good(middle) {
            true => low = middle,
            false => high = middle,
        }
    }
    low
}

/// Uses that are alike from the open hours on, as one: a thousand instances are a few of them.
fn together(draws: impl Iterator<Item = Draw>, open_since: Second) -> Vec<Draw> {
    let mut alike = BTreeMap::<Draw, i64>::new();
    for draw in draws.filter(|draw| draw.until.is_none_or(|until| until > open_since.max(draw.since))) {
        let one = Draw {
            since: draw.since.max(open_since),
            least: draw.least.max(open_since),
            price: Price::default(),
            ..draw
        };
        *alike.entry(one).or_default() += draw.price.micros();
    }
    alike.into_iter().map(|(draw, micros)| Draw { price: Price::from_micros(micros), ..draw }).collect()
}

fn gross<'a>(draws: impl Iterator<Item = &'a Draw>, window: Period) -> Exact {
    let within = |draw: &Draw| {
        let used = Period::new(draw.since, draw.until.unwrap_or(window.until))?.intersect(window)?;
        Some(draw.price.charge(used.seconds()))
    };
    draws.filter_map(within).sum()
}

fn covered(draws: &[Draw], valid: Period) -> Vec<forecast::Draw> {
    let within = |draw: &Draw| {
        let used = Period::new(draw.since, draw.until.unwrap_or(valid.until))?.intersect(valid)?;
        Some(forecast::Draw { since: used.since, until: Some(used.until), price: draw.price })
    };
    draws.iter().filter(|draw| draw.covered).filter_map(within).collect()
}

/// What a grant pays of these uses from a full hour on up to `until`: of each clock hour `min(charges, cap)`, while something is left.
fn deducted(draws: &[forecast::Draw], cap: Exact, left: Exact, since: Second, until: Second) -> Exact {
    let (cap, budget) = (cap.units(), left.units().max(0));
    let (mut left, mut at, mut drawn_this_hour) = (budget, since, 0);
    while at < until && left > 0 {
        let runs = |draw: &&forecast::Draw| draw.since <= at && draw.until.is_none_or(|end| at < end);
        let rate: i128 = draws.iter().filter(runs).map(|draw| i128::from(draw.price.micros())).sum();
        let changes = draws.iter().flat_map(|draw| [Some(draw.since), draw.until]).flatten();
        let change = changes.filter(|change| *change > at).fold(until, Second::min);
        let hours = (change.unix() - at.unix()) / HOUR;
        if at == at.hour() && hours > 0 {
            // Whole hours are all alike.
            left -= left.min(cap.min(rate * i128::from(HOUR)) * i128::from(hours));
            at = at.plus(hours * HOUR);
            continue;
        }
        let end = change.min(at.next_hour());
        let drawn = drawn_this_hour + rate * i128::from(end.unix() - at.unix());
        left -= left.min(cap.min(drawn) - cap.min(drawn_this_hour));
        drawn_this_hour = if end == end.hour() { 0 } else { drawn };
        at = end;
    }
    Exact::from_units(budget - left)
}
