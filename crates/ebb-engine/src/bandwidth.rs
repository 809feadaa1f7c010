//! From which second on is a public address paid otherwise, and what pays for what left it? (rules §4.4)
//!
//! Counters are read at full minutes, so bytes of a minute are told together. What leaves in a minute that bandwidth does not hold from
//! its beginning is paid as traffic, and no second counts for less bandwidth than might have left in it.

use ebb_model::billing::Span;
use ebb_model::time::Second;

const MINUTE: i64 = 60;

/// The span in which bandwidth is charged now, or will be soon.
pub fn open(spans: &[Span]) -> Option<&Span> {
    spans.iter().find(|span| span.until.is_none())
}

/// From which second on it counts that somebody wants an address to be paid otherwise: by so many Mbit/s, or by what leaves it. What was to
/// begin later does not.
///
/// Less bandwidth counts from the next second, since more may have left in this one. Back to traffic counts from the full minute that
/// has begun, but not back beyond a second in which the bandwidth or its price became another.
pub fn changes_at(spans: &[Span], mbit: Option<i64>, now: Second) -> Second {
    let minute = now.unix().div_euclid(MINUTE) * MINUTE;
    let holds = |span: &&Span| span.since <= now && span.until.is_none_or(|until| now < until);
    let Some(held) = spans.iter().rfind(holds) else {
        let soon = Second::from_unix(if mbit.is_some() { minute + MINUTE } else { minute });
        return open(spans).map_or(soon, |open| open.since);
    };
    let units = held.follows.as_ref().map_or(0, |follows| follows.units);
    match mbit {
        None => {
            let mut at = Second::from_unix(minute).max(held.since);
            while let Some(priced) = held.price.next_change(at).filter(|priced| *priced <= now) {
                at = priced;
            }
            at
        }
        Some(mbit) if mbit < units => now.plus(1),
        Some(_) => now,
    }
}

/// Whether bandwidth pays for what was read of a counter: it was charged in the second before. What leaves a released address until its
/// host takes it away is paid as what left it when it was released.
pub fn pays(spans: &[Span], charged_until: Option<Second>, read_at: Second) -> bool {
    let at = charged_until.map_or(read_at, |until| until.min(read_at));
    spans.iter().any(|span| span.since < at && span.until.is_none_or(|until| at <= until))
}
