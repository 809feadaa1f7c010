//! When? Instants of the clock, and the whole seconds by which everything is metered.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Seconds in an hour; prices are per hour.
pub const HOUR: i64 = 3_600;
/// Seconds in a day of 24 hours, by which days before or after an instant are counted.
pub const DAY: i64 = 24 * HOUR;

/// An instant of the service's clock: microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

impl Timestamp {
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The second that meters what happens now (rules §1.6): the instant, floored.
    pub const fn second(self) -> Second {
        Second(self.0.div_euclid(1_000_000))
    }

    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis.saturating_mul(1_000)))
    }

    /// Milliseconds from `earlier` to `self`; negative when `earlier` is later.
    pub const fn millis_since(self, earlier: Timestamp) -> i64 {
        (self.0 - earlier.0) / 1_000
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(instant) => write!(f, "{instant}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Timestamp> for String {
    fn from(at: Timestamp) -> String {
        at.to_string()
    }
}

impl std::str::FromStr for Timestamp {
    type Err = NotAnInstant;

    fn from_str(text: &str) -> Result<Self, NotAnInstant> {
        text.parse::<jiff::Timestamp>()
            .map(|t| Self(t.as_microsecond()))
            .map_err(|_| NotAnInstant(text.chars().take(40).collect()))
    }
}

impl TryFrom<String> for Timestamp {
    type Error = NotAnInstant;

    fn try_from(text: String) -> Result<Self, NotAnInstant> {
        text.parse()
    }
}

/// A text that is no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an instant: write it as 2026-03-01T08:58:30Z or with an offset, 2026-03-01T16:58:30+08:00")]
pub struct NotAnInstant(String);

/// A whole second since the Unix epoch. All usage begins and ends on one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Timestamp", into = "Timestamp")]
pub struct Second(i64);

impl Second {
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds)
    }

    pub const fn unix(self) -> i64 {
        self.0
    }

    pub const fn plus(self, seconds: i64) -> Self {
        Self(self.0 + seconds)
    }

    /// The first second of the clock hour that holds this one.
    pub const fn hour(self) -> Self {
        Self(self.0.div_euclid(HOUR) * HOUR)
    }

    /// The first second of the clock hour after this one's.
    pub const fn next_hour(self) -> Self {
        self.hour().plus(HOUR)
    }

    /// The instant at which this second begins.
    pub const fn start(self) -> Timestamp {
        Timestamp(self.0 * 1_000_000)
    }
}

impl fmt::Display for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.start(), f)
    }
}

impl fmt::Debug for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Timestamp> for Second {
    fn from(at: Timestamp) -> Second {
        at.second()
    }
}

impl From<Second> for Timestamp {
    fn from(second: Second) -> Timestamp {
        second.start()
    }
}

/// The seconds `[since, until)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Period {
    pub since: Second,
    pub until: Second,
}

impl Period {
    /// `None` when the period would hold no second.
    pub fn new(since: Second, until: Second) -> Option<Self> {
        (since < until).then_some(Self { since, until })
    }

    pub fn seconds(self) -> i64 {
        self.until.0 - self.since.0
    }

    /// The seconds that lie in both.
    pub fn intersect(self, other: Period) -> Option<Period> {
        Period::new(self.since.max(other.since), self.until.min(other.until))
    }
}
