//! To which second will the grant pay? (rules §3.8) Exact, and in a few steps, however many months that is.

use ebb_model::billing::{Settled, Span};
use ebb_model::money::{Exact, Price};
use ebb_model::price::Piece;
use ebb_model::time::{HOUR, Period, Second};
use ebb_model::trial::{Over, TrialGrant};

/// A use that the grant pays for while it is valid: `[since, until)`, without an end while `until` is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    pub since: Second,
    pub until: Option<Second>,
    /// Per hour.
    pub price: Price,
}

/// Those of an account's spans that a grant pays for, each in stretches of one price: changes that are known are looked ahead to.
pub fn draws(spans: &[Span]) -> Vec<Draw> {
    let covered = spans.iter().filter(|span| matches!(span.settled, Settled::Hourly { trial: true }));
    let pieces = covered.flat_map(|span| span.price.pieces(span.since, span.until));
    pieces.map(|Piece { since, until, price }| Draw { since, until, price }).collect()
}

/// What is known beforehand of a grant, if nothing is started, stopped or released any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// The last second to which it pays everything up to its cap; `None`: it lasts until the end of its validity.
    pub used_up_at: Option<Second>,
    pub valid_until: Second,
    /// The validity was ended by the operator, who took what was left.
    pub revoked: bool,
    /// From this second on less than the share of which its owner is warned is left; `None`: never.
    pub low_at: Option<Second>,
}

impl Forecast {
    /// When the trial ends, and by which of its two ends. Where both fall together it is the validity's: the grant paid all of it.
    pub fn end(&self) -> (Second, Over) {
        match self.used_up_at {
            Some(at) => (at, Over::UsedUp),
            None if self.revoked => (self.valid_until, Over::Revoked),
            None => (self.valid_until, Over::Validity),
        }
    }
}

/// Looks ahead from `open_since`, the first second that no closed hour holds; what those used is `grant.used`.
/// `low_percent` is the share of which its owner is warned.
pub fn forecast(grant: &TrialGrant, draws: &[Draw], open_since: Second, low_percent: i64) -> Forecast {
    // Strictly below the share: so much may be used before, rounded down to whole units. What an operator takes is no use.
    let kept = -(-grant.issued.units() * i128::from(low_percent)).div_euclid(100);
    let unused = grant.issued - grant.used;
    let low = pays(grant, draws, unused - Exact::from_units(kept), open_since);
    Forecast {
        used_up_at: pays(grant, draws, grant.left(), open_since),
        valid_until: grant.valid_until,
        revoked: grant.revoked > Exact::ZERO,
        low_at: low.map(|at| at.plus(1)),
    }
}

fn pays(grant: &TrialGrant, draws: &[Draw], budget: Exact, open_since: Second) -> Option<Second> {
    let window = Period::new(open_since.max(grant.claimed_at), grant.valid_until)?;
    pays_until(draws, grant.cap(), budget, window)
}

/// The last second T of `window` for which `budget` pays, of each clock hour up to T, what is drawn or at most `cap`. `None` if it
/// does to the end of the window.
pub fn pays_until(draws: &[Draw], cap: Exact, budget: Exact, window: Period) -> Option<Second> {
    let (cap, mut left) = (cap.units(), budget.units());
    if left < 0 {
        return Some(window.since.plus(-1));
    }
    let mut at = window.since;
    let mut drawn_this_hour = 0;
    while at < window.until {
        let rate: i128 = draws.iter().filter(|draw| runs(draw, at)).map(|draw| i128::from(draw.price.micros())).sum();
        let changes = draws.iter().flat_map(|draw| [Some(draw.since), draw.until]).flatten();
        let change = changes.filter(|change| *change > at).fold(window.until, Second::min);
        if at == at.hour() {
            // Whole hours are all alike.
            let each = cap.min(rate * i128::from(HOUR));
            let hours = i128::from((change.unix() - at.unix()) / HOUR);
            let paid = if each == 0 { hours } else { hours.min(left / each) };
            if paid > 0 {
                left -= paid * each;
                at = at.plus(paid as i64 * HOUR);
                continue;
            }
        }
        let until = change.min(at.next_hour());
        let drawn = drawn_this_hour + rate * i128::from(until.unix() - at.unix());
        let paid_before = cap.min(drawn_this_hour);
        let pays = cap.min(drawn) - paid_before;
        if pays > left {
            // What is left ends below the cap, so each second until then takes its whole price.
            let seconds = (paid_before + left - drawn_this_hour) / rate;
            return Some(at.plus(seconds as i64));
        }
        left -= pays;
        drawn_this_hour = if until == until.hour() { 0 } else { drawn };
        at = until;
    }
    None
}

fn runs(draw: &Draw, at: Second) -> bool {
    draw.since <= at && draw.until.is_none_or(|until| at < until)
}
