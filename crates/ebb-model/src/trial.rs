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
