//! Does rating the spans anew, hour by hour, give the records that were issued? (rules §1.1, §2.3, §3.3)

use super::lives::Lives;
use super::{Check, Found};
use crate::rating;
use crate::trial::deduct;
use ebb_model::billing::{Adjustment, BillRecord, Charge, Meter, ResourceId, Settled, Span, Split};
use ebb_model::calendar::Calendar;
use ebb_model::id::{AccountId, SpanId};
use ebb_model::instance::End;
use ebb_model::money::Exact;
use ebb_model::time::{HOUR, Period, Second};
use ebb_model::trial::TrialGrant;
use std::collections::{BTreeMap, VecDeque};

/// What came back to a grant, or was taken from it, and from which second on; in their order.
pub(super) fn moves(adjustments: &[Adjustment], revoked: &[(Second, Exact)]) -> Vec<(Second, Exact)> {
    let back = adjustments.iter().map(|one| (one.open_since, one.back.grant.exact()));
    // From the hour on in which it is taken: that is not closed yet.
    let taken = revoked.iter().map(|(at, amount)| (at.hour(), Exact::ZERO - *amount));
    let mut moves: Vec<_> = back.chain(taken).filter(|(_, amount)| *amount != Exact::ZERO).collect();
    moves.sort();
    moves
}

/// The spans of an account, walked along its hours.
pub(super) struct Hours<'a> {
    account: AccountId,
    calendar: &'a Calendar,
    grant: Option<TrialGrant>,
    /// What came back to the grant, or was taken from it, and from which second on.
    moves: VecDeque<(Second, Exact)>,
    /// Hourly spans are settled up to here.
    closed_until: Second,
    /// In order of their first second.
    spans: Vec<Span>,
    ends: BTreeMap<ResourceId, (End, Second)>,
    next: usize,
    active: Vec<usize>,
    /// The first hour that was not looked at.
    at: Second,
    /// Records of one hour.
    got: Vec<BillRecord>,
}

impl<'a> Hours<'a> {
    pub fn new(
        account: AccountId,
        calendar: &'a Calendar,
        grant: Option<&TrialGrant>,
        moves: Vec<(Second, Exact)>,
        closed_until: Second,
        mut spans: Vec<Span>,
        lives: &Lives,
    ) -> Self {
        spans.sort_by_key(|span| (span.since, span.id));
        let blocks = spans.iter().filter(|span| matches!(span.settled, Settled::AtRelease { .. }));
        let ends = blocks.filter_map(|span| Some((span.resource, lives.settled_end(span.instance()?)?))).collect();
        let grant = grant.map(|grant| TrialGrant { used: Exact::ZERO, revoked: Exact::ZERO, ..grant.clone() });
        let at = spans.first().map_or(closed_until, |span| span.since.hour());
        Self {
            account,
            calendar,
            grant,
            moves: moves.into(),
            closed_until,
            spans,
            ends,
            next: 0,
            active: vec![],
            at,
            got: vec![],
        }
    }

    /// Records in order of their first second.
    pub fn record(&mut self, record: BillRecord, found: &mut Found) {
        let hour = record.charge.period.since.hour();
        if self.got.first().is_some_and(|first| first.charge.period.since.hour() != hour) || self.at < hour {
            self.walk(hour, found);
        }
        self.got.push(record);
    }

    /// All hours before this one are over.
    pub fn walk(&mut self, to: Second, found: &mut Found) {
        loop {
            let starts = self.spans.get(self.next).map(|span| span.since.hour());
            let goes_on = (!self.active.is_empty()).then_some(self.at);
            let got = self.got.first().map(|record| record.charge.period.since.hour());
            let Some(hour) = starts.into_iter().chain(goes_on).chain(got).min().filter(|hour| *hour < to) else {
                return;
            };
            self.settle(hour, found);
        }
    }

    fn settle(&mut self, hour: Second, found: &mut Found) {
        let window = Period { since: hour, until: hour.plus(HOUR) };
        while self.spans.get(self.next).is_some_and(|span| span.since < window.until) {
            self.active.push(self.next);
            self.next += 1;
        }
        let wanted = self.rate(window);
        let until = |span: &Span| match span.settled {
            Settled::Hourly { .. } => span.until.unwrap_or(self.closed_until).min(self.closed_until),
            Settled::AtRelease { .. } => self.ends.get(&span.resource).map_or(span.since, |(end, _)| end.at),
            Settled::InAdvance { .. } => span.since,
        };
        self.active.retain(|at| until(&self.spans[*at]) > window.until);
        let here = |record: &BillRecord| record.charge.period.since.hour() == hour;
        let (got, later) = std::mem::take(&mut self.got).into_iter().partition(here);
        self.got = later;
        self.at = self.at.max(window.until);
        compare(self.account, wanted, got, found);
    }

    /// What the spans come to in an hour, with the instant at which it is issued, where that is known.
    fn rate(&mut self, window: Period) -> Vec<(Charge, Split, Option<Second>)> {
        while let Some((_, amount)) = self.moves.front().copied().filter(|(since, _)| *since < window.until)
            && let Some(grant) = &mut self.grant
        {
            grant.used = grant.used - amount;
            self.moves.pop_front();
        }
        let mut mine: Vec<&Span> = self.active.iter().map(|at| &self.spans[*at]).collect();
        // The order in which a grant pays.
        mine.sort_by_key(|span| (span.resource, span.meter, span.since));
        let closed = window.until <= self.closed_until;
        let hourly = mine.iter().filter(|span| closed && matches!(span.settled, Settled::Hourly { .. }));
        let grant = self.grant.as_ref();
        let hourly: Vec<Charge> =
            hourly.flat_map(|span| rating::charges(span, window, self.calendar, grant, None)).collect();
        let splits = deduct(&hourly, grant);
        let used: Exact = splits.iter().map(|split| split.grant).sum();
        if let Some(grant) = &mut self.grant {
            grant.used += used;
        }
        let mut all: Vec<_> =
            hourly.into_iter().zip(splits).map(|(charge, split)| (charge, split, Some(window.until))).collect();
        for span in mine {
            match (span.settled, self.ends.get(&span.resource)) {
                (Settled::AtRelease { .. }, Some((end, gone_at))) => {
                    let whole = Span { until: Some(end.at), ..span.clone() };
                    let charges = rating::charges(&whole, window, self.calendar, None, Some(end));
                    let splits = deduct(&charges, None);
                    all.extend(charges.into_iter().zip(splits).map(|(charge, split)| (charge, split, Some(*gone_at))));
                }
                (Settled::InAdvance { months }, _) if span.since >= window.since => {
                    let charge = in_advance(span, months);
                    all.push((charge.clone(), Split { payable: charge.gross(), ..Split::default() }, None));
                }
                _ => {}
            }
        }
        all
    }
}

fn in_advance(span: &Span, months: i64) -> Charge {
    Charge {
        account: span.account,
        resource: span.resource,
        span: span.id,
        meter: span.meter,
        price: span.price.at(span.since),
        period: Period { since: span.since, until: span.until.unwrap_or(span.since) },
        months: Some(months),
        waiver: None,
        covered: false,
    }
}

/// Both ways: nothing missing, nothing invented, nothing different.
fn compare(account: AccountId, wanted: Vec<(Charge, Split, Option<Second>)>, got: Vec<BillRecord>, found: &mut Found) {
    let mut by_start: BTreeMap<(SpanId, Second), BillRecord> = BTreeMap::new();
    for record in got {
        if record.split.total() != record.charge.gross() {
            let row = format!("bill_record {} parts", record.id);
            found.add(Check::Parts, Some(account), row, exact(record.split.total()), exact(record.charge.gross()));
        }
        by_start.insert((record.charge.span, record.charge.period.since), record);
    }
    for (charge, split, issued_at) in wanted {
        let Some(record) = by_start.remove(&(charge.span, charge.period.since)) else {
            let row = format!("bill_record of span {} since {}", charge.span, charge.period.since);
            let comes_to = format!("{} to {}", charge.gross(), charge.period.until);
            found.add(Check::RecordMissing, Some(account), row, "nothing", comes_to);
            continue;
        };
        let is = &record.charge;
        let waiver = |of: &Charge| of.waiver.map_or("none", |cause| cause.name()).to_owned();
        let pairs = [
            ("account_id", is.account.to_string(), charge.account.to_string()),
            ("resource_id", is.resource.to_string(), charge.resource.to_string()),
            ("meter", is.meter.name().to_owned(), charge.meter.name().to_owned()),
            ("until", is.period.until.to_string(), charge.period.until.to_string()),
            ("price", is.price.to_string(), charge.price.to_string()),
            ("months", format!("{:?}", is.months), format!("{:?}", charge.months)),
            ("waiver", waiver(is), waiver(&charge)),
            ("covered", is.covered.to_string(), charge.covered.to_string()),
            ("waived", exact(record.split.waived), exact(split.waived)),
            ("granted", exact(record.split.grant), exact(split.grant)),
            ("payable", exact(record.split.payable), exact(split.payable)),
            ("issued_at", record.issued_at.to_string(), issued_at.unwrap_or(record.issued_at).to_string()),
        ];
        for (name, stored, comes_to) in pairs {
            found.compare(Check::Record, account, format!("bill_record {} {name}", record.id), stored, comes_to);
        }
    }
    for record in by_start.into_values() {
        let charge = &record.charge;
        let stored = format!("{} from {} to {}", charge.gross(), charge.period.since, charge.period.until);
        found.add(Check::RecordExtra, Some(account), format!("bill_record {}", record.id), stored, "nothing");
    }
}

/// With the exact number behind what is shown: two that differ may look alike.
pub(super) fn exact(of: Exact) -> String {
    format!("{of} ({} exact)", of.units())
}

/// By which entry a record is settled.
pub(super) fn reason(span: &Span, record: &BillRecord) -> String {
    match span.settled {
        Settled::Hourly { .. } => format!("hour {}", record.issued_at),
        Settled::AtRelease { .. } => format!("block {}", span.resource),
        Settled::InAdvance { .. } => format!("subscription {} {}", span.resource, span.since),
    }
}

/// What the records of a block come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlockSums {
    pub seconds: i64,
    pub waived_seconds: i64,
    pub waived: Exact,
    pub payable: Exact,
}

impl BlockSums {
    pub(super) fn add(&mut self, record: &BillRecord) {
        let (charge, split) = (&record.charge, &record.split);
        if charge.meter != Meter::Compute {
            return;
        }
        self.seconds += charge.seconds();
        self.waived_seconds += if charge.waiver.is_some() { charge.seconds() } else { 0 };
        self.waived += split.waived;
        self.payable += split.payable;
    }
}
