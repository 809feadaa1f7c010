//! What is counted of a counter's readings, and which pool pays for it? (rules §3.6)
//!
//! A reading speaks of the seconds before its own. So one on the full hour closes the hour before, one at local midnight the day,
//! and one at the first second of a month the month before.

use ebb_model::calendar::Calendar;
use ebb_model::catalog::TrafficAllowance;
use ebb_model::id::AddressId;
use ebb_model::money::Price;
use ebb_model::time::{Period, Second};
use ebb_model::traffic::{Counter, Month, Pool, Quantity, Reading, TrafficCharge, TrafficExact};
use ebb_model::trial::TrialGrant;
use std::collections::BTreeMap;

/// What comes of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// So many bytes are new.
    Bytes(i64),
    /// It is known already.
    Repeated,
    /// It counts nothing, and somebody should know why.
    Doubtful(&'static str),
}

/// What a reading adds to what is known of a counter. An epoch begins from nothing.
pub fn count(known: Option<&Counter>, reading: &Reading) -> Counted {
    if reading.bytes < 0 {
        return Counted::Doubtful("it is below nothing");
    }
    let Some(known) = known else { return Counted::Bytes(reading.bytes) };
    if (reading.epoch, reading.bytes) == (known.epoch, known.bytes) {
        return Counted::Repeated;
    }
    match reading {
        _ if reading.at < known.read_at => Counted::Doubtful("it is older than the last one"),
        _ if reading.epoch < known.epoch => Counted::Doubtful("its epoch was over at the last one"),
        _ if reading.epoch > known.epoch => Counted::Bytes(reading.bytes),
        _ if reading.bytes < known.bytes => Counted::Doubtful("it is lower than the last one in the same epoch"),
        _ => Counted::Bytes(reading.bytes - known.bytes),
    }
}

/// The hour that a reading in this second speaks of, or the part of it on its side of local midnight.
pub fn stretch(at: Second, calendar: &Calendar) -> Period {
    let last = at.plus(-1);
    Period { since: last.hour().max(calendar.day(last)), until: calendar.next_cut(last) }
}

/// Where a reading lies to the validity of the account's grant: what was read before it, within it and after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coverage {
    Before,
    Within,
    After,
}

impl Coverage {
    pub const ALL: [Coverage; 3] = [Coverage::Before, Coverage::Within, Coverage::After];

    /// Pools pay for what was read in `[claimed_at, valid_until)`, also after the grant is used up.
    pub fn of(grant: Option<&TrialGrant>, at: Second) -> Coverage {
        match grant {
            Some(grant) if at >= grant.valid_until => Coverage::After,
            Some(grant) if at >= grant.claimed_at => Coverage::Within,
            _ => Coverage::Before,
        }
    }
}

/// The bytes of an address that were read of one stretch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    pub address: AddressId,
    pub overseas: bool,
    pub price: Price,
    pub period: Period,
    /// In the order of [`Coverage::ALL`], which is that in which they were read.
    pub bytes: [i64; 3],
}

/// What of a month's pools is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    pub anywhere: Quantity,
    pub overseas: Quantity,
}

impl Used {
    pub fn of(&self, pool: Pool) -> Quantity {
        match pool {
            Pool::Anywhere => self.anywhere,
            Pool::Overseas => self.overseas,
        }
    }

    /// What is left, and whether that is strictly below `percent` of the pool (rules §3.7).
    pub fn left(&self, pool: Pool, allowance: &TrafficAllowance, percent: i64) -> (Quantity, bool) {
        let size = size(pool, allowance);
        let left = size - self.of(pool);
        let low = i128::from(left.millionths()) * 100 < i128::from(size.millionths()) * i128::from(percent);
        (left, low)
    }
}

/// How much a pool holds at the beginning of a month.
pub fn size(pool: Pool, allowance: &TrafficAllowance) -> Quantity {
    Quantity::from_gb(match pool {
        Pool::Anywhere => allowance.anywhere_gb,
        Pool::Overseas => allowance.overseas_gb,
    })
}

/// What the hours before left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Running {
    /// By the first second of the month.
    pub used: BTreeMap<Second, Used>,
    pub months: BTreeMap<AddressId, Month>,
}

/// The charges of some stretches, spent hour by hour, mainland first, then by address. Where nothing comes to a millionth of a GB
/// there is no charge, and its bytes wait for more.
pub fn charges(
    flows: &[Flow],
    running: &mut Running,
    allowance: &TrafficAllowance,
    calendar: &Calendar,
) -> Vec<TrafficCharge> {
    let mut flows: Vec<&Flow> = flows.iter().collect();
    flows.sort_by_key(|flow| (flow.period.since, flow.overseas, flow.address));
    let charged = flows.into_iter().map(|flow| charge(flow, running, allowance, calendar));
    charged.filter(|charge| charge.quantity > Quantity::ZERO).collect()
}

fn charge(flow: &Flow, running: &mut Running, allowance: &TrafficAllowance, calendar: &Calendar) -> TrafficCharge {
    let since = calendar.month(flow.period.since);
    let month = running.months.entry(flow.address).or_insert(Month { since, bytes: 0 });
    if month.since != since {
        *month = Month { since, bytes: 0 };
    }
    // Only the month's running total is floored, so readings and hours cut it as they like.
    let mut quantities = [Quantity::ZERO; 3];
    for (quantity, bytes) in quantities.iter_mut().zip(flow.bytes) {
        let before = Quantity::of_bytes(month.bytes);
        month.bytes += bytes;
        *quantity = Quantity::of_bytes(month.bytes) - before;
    }
    let [before, covered, after] = quantities;
    let used = running.used.entry(since).or_default();
    let overseas =
        if flow.overseas { covered.min(size(Pool::Overseas, allowance) - used.overseas) } else { Quantity::ZERO };
    // A catalog may have become smaller than what was used.
    let overseas = overseas.max(Quantity::ZERO);
    let anywhere = (covered - overseas).min(size(Pool::Anywhere, allowance) - used.anywhere).max(Quantity::ZERO);
    used.overseas += overseas;
    used.anywhere += anywhere;
    TrafficCharge {
        address: flow.address,
        price: flow.price,
        period: flow.period,
        quantity: before + covered + after,
        anywhere,
        overseas,
        vouchers: TrafficExact::ZERO,
    }
}
