//! What does a free trial grant hold? (rules §3.1)

use crate::money::{Exact, Price};
use crate::time::{HOUR, Second};
use serde::{Deserialize, Serialize};

/// Who an account belongs to, once verified; it decides which trial it may claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holder {
    Individual,
    Enterprise,
}

impl Holder {
    pub fn name(self) -> &'static str {
        match self {
            Holder::Individual => "individual",
            Holder::Enterprise => "enterprise",
        }
    }
}

/// A claimed grant. What is left is `issued - used - revoked`; it pays within `[claimed_at, valid_until)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialGrant {
    pub holder: Holder,
    pub claimed_at: Second,
    pub valid_until: Second,
    pub issued: Exact,
    pub used: Exact,
    /// Taken away by the operator.
    pub revoked: Exact,
    /// The most that is paid within one clock hour, also within a part of one.
    pub hourly_cap: Price,
}

impl TrialGrant {
    pub fn left(&self) -> Exact {
        self.issued - self.used - self.revoked
    }

    pub fn cap(&self) -> Exact {
        self.hourly_cap.charge(HOUR)
    }

    pub fn valid_at(&self, second: Second) -> bool {
        self.claimed_at <= second && second < self.valid_until
    }
}

/// What becomes of an account's trial instances when its grant ends (rules §3.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AtEnd {
    /// They go on as on-demand instances.
    #[default]
    Continue,
    /// They are stopped economically, and their disks go on, on demand.
    Stop,
    Release,
}

impl AtEnd {
    pub fn name(self) -> &'static str {
        match self {
            AtEnd::Continue => "continue",
            AtEnd::Stop => "stop",
            AtEnd::Release => "release",
        }
    }
}

/// Which of its two ends a grant came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    /// What is left is less than the next second costs.
    UsedUp,
    Validity,
    /// The operator took what was left.
    Revoked,
}

impl Over {
    pub fn name(self) -> &'static str {
        match self {
            Over::UsedUp => "used-up",
            Over::Validity => "validity",
            Over::Revoked => "revoked",
        }
    }
}

/// What was chosen for the end of a trial, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ending {
    pub choice: AtEnd,
    /// When the grant paid its last second, and why no more.
    pub ended: Option<(Second, Over)>,
    /// What was left when the validity was over and its last hour closed.
    pub expired: Option<Exact>,
}

impl Ending {
    /// From this second on nothing is a trial any more, if the grant's end is this. The second in which it is used up still takes what is left,
    /// unless the instances stop or go before it.
    pub fn takes_effect_at(&self, (at, over): (Second, Over)) -> Second {
        match (over, self.choice) {
            (Over::UsedUp, AtEnd::Continue) => at.plus(1),
            (Over::UsedUp, AtEnd::Stop | AtEnd::Release) | (Over::Validity | Over::Revoked, _) => at,
        }
    }
}
