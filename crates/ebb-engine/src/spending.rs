//! To which second may an account go on, so that no time-based charge of a calendar month passes its spending cap? (rules §3.8)
//!
//! All of it turns on one sum: what would be payable in the month if everything were stopped at a second T. It never falls as T grows,
//! so the last T that the cap allows is found by halving.

use crate::forecast::{self, pays_until};
use ebb_model::billing::{Meter, ResourceId};
use ebb_model::calendar::Calendar;
use ebb_model::id::{AddressId, InstanceId};
use ebb_model::money::{Exact, Price};
use ebb_model::price::{Piece, Prices};
use ebb_model::time::{HOUR, Period, Second};
use ebb_model::trial::{AtEnd, TrialGrant};
use std::collections::BTreeMap;

/// As long as a calendar month can be: 31 days, one of which has 25 hours.
pub const LONGEST_MONTH_SECONDS: i64 = 31 * 24 * HOUR + HOUR;

/// A use that is billed hour by hour: `[since, until)`, without an end while `until` is `None`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Draw {
    /// Whose record it will be; of what is only thought of, nobody's.
    pub of: Option<ResourceId>,
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
    /// Per hour, with the changes that are known.
    pub price: Prices,
}

/// A spot block that would be released; all of it is payable in the month in which it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    pub of: Option<InstanceId>,
    pub start: Second,
    pub lease_end: Second,
    pub price: Price,
}

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    Instance(InstanceId),
    Address(AddressId),
}

/// What is payable of one use in an hour that is not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub of: Option<ResourceId>,
    pub meter: Meter,
    /// Used under the trial.
    pub covered: bool,
    pub payable: Exact,
}

/// What is known to be payable and not billed yet: of a block that has ended, or has its notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    pub of: Option<Whose>,
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
            false => draw.clone(),
        });
        let blocks = self.blocks.iter().filter(|block| block.lease_end.min(at) >= month.since);
        let blocks: Exact = blocks.map(|block| block.charge(at)).sum();
        // What ends in a later month might still end in this one.
        let ended: Exact = self.ended.iter().filter(|one| one.at >= month.since).map(|one| one.payable).sum();
        self.billed_in(month) + self.hourly(draws, month) + blocks + ended + self.flowed_by(month, at) + self.owed
    }

    /// What is payable and not billed if all ends at `at` but what others had to go for, which goes on for its minimum (rules §5.2).
    pub fn if_ended_at(&self, at: Second) -> Exact {
        let draws = self.draws.iter().map(|draw| draw.ended_by(at.max(draw.least)));
        let until = self.draws.iter().map(|draw| draw.least).fold(at, Second::max);
        let blocks: Exact = self.blocks.iter().map(|block| block.charge(at)).sum();
        let ended: Exact = self.ended.iter().map(|one| one.payable).sum();
        let flowed = self.flowed.iter().filter(|one| one.at <= at).map(|one| one.payable).sum();
        self.hourly(draws, Period { since: self.open_since, until }) + blocks + ended + flowed + self.owed
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

    /// Per hour, what goes on when all is stopped and no grant pays any more, from `at` on at its dearest; of a trial that is released at
    /// its end only what no grant pays before.
    pub fn kept(&self, at: Second) -> Price {
        let (mut kept, mut paid) = (Prices::default(), Prices::default());
        let goes = self.allowance.as_ref().filter(|known| !known.over && known.at_end == AtEnd::Release);
        for draw in self.draws.iter().filter(|draw| draw.until.is_none() && !draw.stops) {
            let sum = if draw.covered && draw.trial && goes.is_some() { &mut paid } else { &mut kept };
            *sum = sum.plus(&draw.price);
        }
        let dates = kept.after(at).chain(paid.after(at)).map(|(from, _)| from).chain([at]);
        let all = dates.map(|second| {
            let above = goes.map_or(0, |known| paid.at(second).micros() - known.grant.hourly_cap.micros());
            kept.at(second).micros() + above.max(0)
        });
        Price::from_micros(all.max().unwrap_or_default())
    }

    /// The least that a cap may be: it must do for what is payable by `at`, with what goes on, and for a whole later month of that.
    pub fn least_cap(&self, month: Period, at: Second) -> Exact {
        self.if_stopped_at(month, at).max(self.kept(at).charge(LONGEST_MONTH_SECONDS) + self.owed)
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
            *draw = draw.ended_by(at.max(draw.least));
        }
        rest.blocks.iter_mut().for_each(|block| block.lease_end = block.lease_end.min(at).max(block.start));
        rest
    }

    /// As it goes on if nothing is charged any more from a second on, but for what others had to go for, which has its minimum (rules §5.2).
    pub fn frozen_at(&self, at: Second) -> Spending {
        let mut rest = self.stopped_at(at);
        rest.draws.iter_mut().for_each(|draw| *draw = draw.ended_by(at.max(draw.least)));
        rest
    }

    /// When the account's trial ends, if it has not yet.
    pub(crate) fn trial_ends_at(&self) -> Option<Second> {
        let known = self.allowance.as_ref().filter(|known| !known.over)?;
        Some(ends_at(&known.grant, &together(self.draws.iter().cloned(), self.open_since), self.open_since))
    }

    /// What is left of it when all hours up to one are closed.
    pub(crate) fn closed_to(&self, at: Second) -> Spending {
        let mut rest = self.clone();
        let paid = self.used_by(Period { since: self.open_since, until: at }, at).grant;
        let ended = self.trial_ends_at().filter(|end| *end <= at);
        if let Some(known) = &mut rest.allowance {
            known.grant.used += paid;
            if let Some(end) = ended {
                let draws = self.draws.iter().flat_map(|draw| draw.after_trial(known.at_end, end));
                (rest.draws, known.over) = (draws.flatten().collect(), true);
            }
        }
        rest.open_since = at;
        // What is over is looked at no more.
        rest.draws.retain(|draw| draw.until.is_none_or(|until| until > at && until > draw.since));
        rest
    }

    /// What the open clock hour comes to by `at`, record by record in the order in which a grant pays, each before and after the trial's
    /// end: who used what, whether under the trial, and what is payable.
    pub(crate) fn records(&self, at: Second) -> Vec<Record> {
        let Some(hour) = Period::new(self.open_since, at) else { return vec![] };
        let (mut draws, known) = (self.draws.clone(), self.allowance.as_ref());
        let trial_end = self.trial_ends_at();
        if let (Some(known), Some(end)) = (known, trial_end) {
            draws = draws.into_iter().flat_map(|draw| draw.after_trial(known.at_end, end)).flatten().collect();
        }
        draws.sort_by_key(|draw| (draw.of, draw.meter, draw.since));
        let mut left = known.map_or(Exact::ZERO, |known| known.grant.cap().min(known.grant.left()));
        let mut records = vec![];
        for draw in &draws {
            let valid = known.filter(|_| draw.covered).map(|known| (known.grant.claimed_at, known.grant.valid_until));
            let (from, to) = valid.unwrap_or((hour.since, hour.since));
            // What is left of a trial that is over pays for what was used before.
            let over = trial_end.unwrap_or(to).clamp(from, to.max(from));
            let cuts = [hour.since, from, over, to, hour.until].map(|cut| cut.clamp(hour.since, hour.until));
            for (cut, next) in cuts.into_iter().zip(cuts.into_iter().skip(1)) {
                let Some(piece) = Period::new(cut, next) else { continue };
                let cost = gross(std::iter::once(draw), piece);
                let under = valid.is_some() && from <= cut && cut < to;
                let paid = if under { cost.min(left) } else { Exact::ZERO };
                left = left - paid;
                if cost > paid {
                    let (of, meter, payable) = (draw.of, draw.meter, cost - paid);
                    records.push(Record { of, meter, covered: under && cut < over, payable });
                }
            }
        }
        records
    }

    fn used(&self, draws: impl Iterator<Item = Draw>, month: Period) -> Used {
        let mut draws = together(draws, self.open_since);
        let Some(window) = Period::new(month.since.max(self.open_since), month.until) else { return Used::default() };
        let of = |draws: &[Draw], grant| {
            let meter = |wanted| gross(draws.iter().filter(|draw| draw.meter == wanted), window);
            let flat = gross(draws.iter().filter(|draw| !Meter::OF_INSTANCE.contains(&draw.meter)), window);
            Used { compute: meter(Meter::Compute), disks: meter(Meter::SystemDisk), flat, grant }
        };
        let Some(Allowance { grant, at_end, over }) = &self.allowance else { return of(&draws, Exact::ZERO) };
        let valid = Period { since: grant.claimed_at, until: grant.valid_until };
        if *at_end != AtEnd::Continue && !over {
            let end = ends_at(grant, &draws, self.open_since);
            draws = draws.into_iter().flat_map(|draw| draw.after_trial(*at_end, end)).flatten().collect();
        }
        let paid = |until| deducted(&covered(&draws, valid), grant.cap(), grant.left(), self.open_since, until);
        of(&draws, paid(window.until) - paid(window.since))
    }
}

/// The second at which a trial ends: when its grant is used up, or its validity is over.
fn ends_at(grant: &TrialGrant, draws: &[Draw], open_since: Second) -> Second {
    let valid = Period { since: grant.claimed_at, until: grant.valid_until };
    let open = Period::new(valid.since.max(open_since), valid.until);
    let used_up = open.and_then(|open| pays_until(&covered(draws, valid), grant.cap(), grant.left(), open));
    used_up.unwrap_or(valid.until)
}

/// What hourly uses come to, and what a grant pays of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    pub compute: Exact,
    /// System disks.
    pub disks: Exact,
    /// Of what is no instance's: data disks, snapshots and bandwidth.
    pub flat: Exact,
    pub grant: Exact,
}

impl Used {
    pub fn payable(&self) -> Exact {
        self.compute + self.disks + self.flat - self.grant
    }
}

impl Draw {
    fn ended_by(&self, at: Second) -> Draw {
        Draw { until: Some(self.until.map_or(at, |until| until.min(at))), ..self.clone() }
    }

    /// What becomes of it when its trial ends, and what of it goes on, on demand.
    fn after_trial(&self, at_end: AtEnd, end: Second) -> [Option<Draw>; 2] {
        let goes = match at_end {
            AtEnd::Continue => false,
            AtEnd::Stop => self.stops,
            AtEnd::Release => true,
        };
        let whole = if self.trial && goes { self.ended_by(end.max(self.least)) } else { self.clone() };
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
    let mut alike = BTreeMap::<Draw, Prices>::new();
    for draw in draws.filter(|draw| draw.until.is_none_or(|until| until > open_since.max(draw.since))) {
        let one = Draw {
            of: None,
            since: draw.since.max(open_since),
            least: draw.least.max(open_since),
            price: Prices::default(),
            ..draw
        };
        let sum = alike.entry(one).or_default();
        *sum = sum.plus(&draw.price);
    }
    alike.into_iter().map(|(draw, price)| Draw { price, ..draw }).collect()
}

fn gross<'a>(draws: impl Iterator<Item = &'a Draw>, window: Period) -> Exact {
    let within = |draw: &Draw| {
        let used = Period::new(draw.since, draw.until.unwrap_or(window.until))?.intersect(window)?;
        let pieces = draw.price.pieces(used.since, Some(used.until)).into_iter();
        Some(
            pieces
                .map(|piece| piece.price.charge(piece.until.map_or(0, |until| until.unix() - piece.since.unix())))
                .sum::<Exact>(),
        )
    };
    draws.filter_map(within).sum()
}

fn covered(draws: &[Draw], valid: Period) -> Vec<forecast::Draw> {
    let within = |draw: &Draw| {
        let used = Period::new(draw.since, draw.until.unwrap_or(valid.until))?.intersect(valid)?;
        Some(draw.price.pieces(used.since, Some(used.until)))
    };
    let pieces = draws.iter().filter(|draw| draw.covered).filter_map(within).flatten();
    pieces.map(|Piece { since, until, price }| forecast::Draw { since, until, price }).collect()
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
