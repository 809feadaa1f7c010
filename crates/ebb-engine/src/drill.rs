//! May a drill begin, how much of it is free, what does it cost, and what was left undone? (rules §2.10)

use crate::end::{ending, period_start};
use crate::refusal::Refused;
use ebb_model::catalog::Limits;
use ebb_model::id::InstanceId;
use ebb_model::instance::{Cause, End, Instance, State};
use ebb_model::money::{Amount, Exact};
use ebb_model::time::{Second, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A release may begin so much after its deadline and still be free: a slow machine costs nothing, a lost one is another matter.
pub const LATE_SECONDS: i64 = 10;

/// Whose interruption is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    Instance(InstanceId),
    /// Everything of the account that has all of these.
    Tags(BTreeMap<String, String>),
    /// All blocks of the account.
    All,
}

impl Target {
    pub fn holds(&self, instance: &Instance) -> bool {
        match self {
            Target::Instance(id) => instance.id == *id,
            Target::Tags(tags) => tags.iter().all(|(name, value)| instance.tags.get(name) == Some(value)),
            Target::All => !instance.purchase.is_firm(),
        }
    }
}

/// What is asked for: of whom, and of how many of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    pub target: Target,
    /// Chance chooses so many of a hundred blocks, at least one; all if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<i64>,
}

impl Ask {
    /// How many of `blocks` are interrupted.
    pub fn share(&self, blocks: usize) -> usize {
        let percent = usize::try_from(self.percent.unwrap_or(100).clamp(1, 100)).expect("1 to 100");
        (blocks * percent).div_ceil(100)
    }
}

/// What counts against one more drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub debt: Amount,
    /// How many the account began this local day.
    pub today: i64,
    /// How many all accounts began this minute.
    pub this_minute: i64,
    /// Free seconds that the account's drills of this calendar month have had, or may still have.
    pub allotted: i64,
}

impl Standing {
    /// # Errors
    /// The account owes, or as many drills as are taken have begun.
    pub fn may_drill(&self, limits: &Limits) -> Result<(), Refused> {
        if self.debt > Amount::ZERO {
            return Err(Refused::Arrears(self.debt));
        }
        if self.today >= limits.drills_per_day {
            return Err(Refused::TooManyDrills { most: limits.drills_per_day });
        }
        if self.this_minute >= limits.drills_per_minute {
            return Err(Refused::DrillsBusy { most: limits.drills_per_minute });
        }
        Ok(())
    }

    /// The seconds from the request on that are free: the whole notice and what a machine may be late, as far as the month has them,
    /// and as far as the block was used for `used` seconds before.
    pub fn allot(&self, limits: &Limits, used: i64) -> i64 {
        let month = limits.drill_free_seconds - self.allotted;
        let share = limits.drill_free_percent.map_or(month, |percent| used * percent / 100);
        month.min(share).clamp(0, limits.notice_seconds + LATE_SECONDS)
    }

    /// One more was begun.
    pub fn count(&mut self, allotted: i64) {
        self.today += 1;
        self.this_minute += 1;
        self.allotted += allotted;
    }
}

/// How many seconds a drill made free in the end; none where the platform took it over. What it was allotted beyond goes back.
pub fn free_seconds(end: &End) -> i64 {
    match (end.cause, end.waived_since) {
        (Cause::Drill, Some(since)) => (end.waived_until.unwrap_or(end.at).unix() - since.unix()).max(0),
        _ => 0,
    }
}

/// What a drill comes to, for vCPU and memory from the request on; as long as it is under way, if it is gone at its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Costs {
    /// Used after the request and free because it was a drill.
    pub free: Exact,
    /// Used after the request and charged.
    pub charged: Exact,
    /// What the platform would have waived, had it asked in the owner's place.
    pub platform: Exact,
}

/// Of a block that was given notice; of nothing else.
pub fn costs(instance: &Instance) -> Option<Costs> {
    let end = foreseen(instance)?;
    let notice = end.notice?;
    let asked = notice.notice_at.second();
    let price = instance.purchase.price();
    let used = |since: Second, until: Second| (until.unix() - since.unix()).max(0);
    let free = free_seconds(&end);
    let charged = if end.cause == Cause::Drill { used(asked, end.at) - free } else { 0 };
    Some(Costs {
        free: price.charge(free),
        charged: price.charge(charged),
        platform: price.charge(used(period_start(instance, asked)?, end.at)),
    })
}

/// How it ended, or would if it went at its deadline.
pub fn foreseen(instance: &Instance) -> Option<End> {
    match &instance.state {
        State::Reclaiming { deadline, .. } => ending(instance, deadline.second()),
        state => state.end().copied(),
    }
}

/// What a guest did about its notice, as far as it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conduct {
    pub notice_at: Timestamp,
    pub deadline: Timestamp,
    pub readable_at: Option<Timestamp>,
    pub read_at: Option<Timestamp>,
    /// It powered itself off before the deadline.
    pub stopped_at: Option<Timestamp>,
    /// It let itself be released before it.
    pub approved_at: Option<Timestamp>,
    pub released_at: Option<Timestamp>,
}

impl Conduct {
    /// What it should have done and did not, in words; nothing before it is over.
    pub fn undone(&self) -> Vec<String> {
        let mut undone = vec![];
        if self.released_at.is_none() {
            return undone;
        }
        match (self.readable_at, self.read_at) {
            (_, Some(read)) if read.millis_since(self.notice_at) > self.deadline.millis_since(read) => {
                undone.push(format!("read it only {} s before the end", seconds_before(read, self.deadline)));
            }
            (_, Some(_)) => {}
            (Some(_), None) => undone.push("never read the notice".to_owned()),
            (None, None) => undone.push("had no notice to read: its host never showed it".to_owned()),
        }
        if self.stopped_at.is_none() && self.approved_at.is_none() {
            undone.push("did not stop by itself; it was cut off".to_owned());
        }
        undone
    }
}

/// Whole seconds that were left at `at`.
pub fn seconds_before(at: Timestamp, deadline: Timestamp) -> i64 {
    deadline.millis_since(at) / 1_000
}
