//! Why does a record begin and end where it does? It is cut where the hour, the price, the coverage, the period or the waiver changes.

use super::Facts;
use crate::event::Event;
use ebb_model::billing::{Meter, Settled};
use ebb_model::calendar::Calendar;
use ebb_model::instance::{Cause, End, Purchase};
use ebb_model::time::{HOUR, Period, Second};

/// What changes at a second.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    FirstRan,
    RanAgain,
    ClockHour,
    Midnight,
    /// Of a block.
    Guarantee,
    WaiverBegins,
    /// A drill, in a month that has no more free seconds.
    WaiverEnds,
    Resized,
    /// The trial's list has its flavor from here on, or has not.
    Listed(bool),
    GrantClaimed,
    GrantOver,
    BecameOnDemand,
    Converted,
    StoppedEconomically,
    HostLost,
    Frozen,
    Thawed,
    /// Another price holds from here on.
    Priced,
    Paid,
    /// Months that were ordered count from its first second.
    MonthsBegan,
    RenewedItself,
    PaidUntil,
    Ended(End),
    /// Of a data disk or a snapshot, from here on: its host has it.
    There,
    Deleted,
    /// Its host has it no more.
    Gone,
    HostAway,
    HostBack,
    /// Of a public address: so many Mbit/s pay for what leaves it from here on.
    Bandwidth(i64),
    ByTraffic,
    AddressReleased,
    /// What ran on in a frozen account is over.
    SubscriptionOver,
    /// What is in no log: rows from before it said so.
    Changed,
}

impl Bound {
    /// A stable name for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Bound::FirstRan => "first-running",
            Bound::RanAgain => "running-again",
            Bound::ClockHour => "clock-hour",
            Bound::Midnight => "midnight",
            Bound::Guarantee => "guarantee-period",
            Bound::WaiverBegins => "waiver-begins",
            Bound::WaiverEnds => "waiver-ends",
            Bound::Resized => "resized",
            Bound::Listed(true) => "listed",
            Bound::Listed(false) => "not-listed",
            Bound::GrantClaimed => "grant-claimed",
            Bound::GrantOver => "grant-over",
            Bound::BecameOnDemand => "became-on-demand",
            Bound::Converted => "converted",
            Bound::StoppedEconomically => "stopped-economically",
            Bound::HostLost => "host-lost",
            Bound::Frozen => "frozen",
            Bound::Thawed => "thawed",
            Bound::Priced => "price-changed",
            Bound::Paid => "paid",
            Bound::MonthsBegan => "months-began",
            Bound::RenewedItself => "renewed-itself",
            Bound::PaidUntil => "paid-until",
            Bound::Ended(end) => end.cause.name(),
            Bound::There => "there",
            Bound::Deleted => "deleted",
            Bound::Gone => "volume-lost",
            Bound::HostAway => "unavailable",
            Bound::HostBack => "available-again",
            Bound::Bandwidth(_) => "bandwidth",
            Bound::ByTraffic => "by-traffic",
            Bound::AddressReleased => "address-released",
            Bound::SubscriptionOver => "subscription-over",
            Bound::Changed => "changed",
        }
    }

    pub(super) fn words(&self, calendar: &Calendar) -> String {
        let text = match self {
            Bound::FirstRan => "the guest was first seen running then",
            Bound::RanAgain => "the guest ran again then",
            Bound::ClockHour => "a clock hour begins and ends there",
            Bound::Midnight => "it is local midnight",
            Bound::Guarantee => "a guarantee period begins and ends there",
            Bound::WaiverBegins => "what is free begins there",
            Bound::WaiverEnds => "no more free seconds of drills were left in the month",
            Bound::Resized => "it was resized then",
            Bound::Listed(true) => "the trial's list has its flavor from then on",
            Bound::Listed(false) => "the trial's list had its flavor until then",
            Bound::GrantClaimed => "the grant was claimed then",
            Bound::GrantOver => "the grant was valid until then",
            Bound::BecameOnDemand => "its trial ended, and it goes on on demand",
            Bound::Converted => "its owner converted it then",
            Bound::StoppedEconomically => "it was stopped economically then",
            Bound::HostLost => "its host was last heard then, and is lost",
            Bound::Frozen => "its account was frozen then",
            Bound::Thawed => "its account owed nothing any more from then on",
            Bound::Priced => "its price changed then",
            Bound::Paid => "it is paid from then on",
            Bound::MonthsBegan => {
                "the guest was first seen running then, and the months that were ordered count from there"
            }
            Bound::RenewedItself => "the months before ended there, and it renewed itself in that second",
            Bound::PaidUntil => "it is paid up to there",
            Bound::Ended(end) => return ended(end, calendar),
            Bound::There => "its host has it from then on",
            Bound::Deleted => "it was deleted then",
            Bound::Gone => "its host had it no more from then on",
            Bound::HostAway => "its host was last heard then, and is away",
            Bound::HostBack => "its host was back with it then",
            Bound::Bandwidth(mbit) => return format!("the address was paid by {mbit} Mbit/s from then on"),
            Bound::ByTraffic => "the address was paid by what left it from then on",
            Bound::AddressReleased => "the address was released then",
            Bound::SubscriptionOver => {
                "its account was frozen, and the subscription with which it ran on was over then"
            }
            Bound::Changed => "something changed then that the log does not name",
        };
        text.to_owned()
    }
}

fn ended(end: &End, calendar: &Calendar) -> String {
    let notice = match end.notice {
        Some(notice) if end.cause != Cause::LeaseEnd => {
            let (notice_at, deadline) =
                (calendar.local(notice.notice_at.second()), calendar.local(notice.deadline.second()));
            format!(" (notice at {notice_at}, deadline {deadline})")
        }
        _ => String::new(),
    };
    format!("{}{notice}", cause(end.cause))
}

/// Why something ended, as the second half of a sentence.
pub(super) fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::LeaseEnd => "its lease ran out",
        Cause::Deleted => "it was deleted",
        Cause::Capacity => "a firm order of somebody else took its room",
        Cause::Reserve => "the zone's reserve took its room",
        Cause::Shortage => "the operator was short of room",
        Cause::Drain => "the operator emptied its host",
        Cause::HostReturn => "the owner of its host wanted it back",
        Cause::Operator => "the operator took it back",
        Cause::Drill => "its owner rehearsed an interruption",
        Cause::OwnOrder => "a firm order of its own owner took its room",
        Cause::Breach => "it was ended for a breach of the terms",
        Cause::Lost => "the guest was gone without an order, or its host was lost",
        Cause::TrialEnd => "the trial was over, and it was to go then",
        Cause::SubscriptionEnd => "nobody renewed its subscription",
        Cause::SpendingCap => "the account's spending cap allowed no more",
        Cause::Arrears => "the account owed, and nobody paid",
        Cause::NeverRan => "it never ran",
    }
}

/// Why a record begins at its first second.
pub fn begins(facts: &Facts) -> Vec<Bound> {
    let (span, at) = (facts.span, facts.record.charge.period.since);
    if facts.record.charge.meter == Meter::Subscription {
        let of = facts.events.iter().rev().find_map(|(_, event)| match event {
            Event::SubscriptionBegan { since, .. } if *since == at => Some(Bound::MonthsBegan),
            Event::Renewed { since, auto: true, .. } if *since == at => Some(Bound::RenewedItself),
            _ => None,
        });
        return vec![of.unwrap_or(Bound::Paid)];
    }
    if span.since != at {
        return within(facts, at);
    }
    let found = facts.events.iter().filter_map(|(_, event)| match event {
        Event::Running { at: ran, first: true } if *ran == at => Some(Bound::FirstRan),
        Event::Running { at: ran, first: false } if *ran == at => Some(Bound::RanAgain),
        Event::Stopped { at: off, economical: true } if *off == at => Some(Bound::RanAgain),
        other => changed(other, at),
    });
    named(found.collect())
}

/// Why a record ends before its last second.
pub fn ends(facts: &Facts) -> Vec<Bound> {
    let (span, at) = (facts.span, facts.record.charge.period.until);
    if facts.record.charge.meter == Meter::Subscription {
        return vec![Bound::PaidUntil];
    }
    if let Some(end) = facts.end.filter(|end| end.at == at) {
        return vec![Bound::Ended(*end)];
    }
    if span.until != Some(at) {
        return within(facts, at);
    }
    let compute = facts.record.charge.meter == Meter::Compute;
    let found = facts.events.iter().filter_map(|(_, event)| match event {
        Event::Stopped { at: off, economical: true } if compute && *off == at => Some(Bound::StoppedEconomically),
        Event::EconomicalStopAsked { charged_until } if compute && *charged_until == Some(at) => {
            Some(Bound::StoppedEconomically)
        }
        Event::HostLost { since } if *since == at => Some(Bound::HostLost),
        other => changed(other, at),
    });
    named(found.collect())
}

/// What ends one span and begins the next.
fn changed(event: &Event, at: Second) -> Option<Bound> {
    match event {
        Event::Resized { at: then, .. } if *then == at => Some(Bound::Resized),
        Event::VolumeThere { at: then, .. } if *then == at => Some(Bound::There),
        Event::VolumeDeleted { at: then, .. } if *then == at => Some(Bound::Deleted),
        Event::VolumeLost { at: then, .. } if *then == at => Some(Bound::Gone),
        Event::VolumeUnavailable { since, .. } if *since == at => Some(Bound::HostAway),
        Event::VolumeAvailable { at: then, .. } if *then == at => Some(Bound::HostBack),
        Event::VolumeResized { at: then, .. } if *then == at => Some(Bound::Resized),
        Event::AddressCharged { at: Some(then), mbit, .. } if *then == at => {
            Some(mbit.map_or(Bound::ByTraffic, Bound::Bandwidth))
        }
        Event::AddressReleased { at: Some(then), .. } if *then == at => Some(Bound::AddressReleased),
        Event::AddressKept { at: Some(then), .. } | Event::VolumeFrozen { at: then, .. } if *then == at => {
            Some(Bound::SubscriptionOver)
        }
        Event::Frozen { at: then } | Event::AccountFrozen { at: then, .. } if *then == at => Some(Bound::Frozen),
        Event::Thawed { at: then } | Event::ArrearsCleared { at: then } if *then == at => Some(Bound::Thawed),
        Event::CoverageChanged { covered, since } if *since == at => Some(Bound::Listed(*covered)),
        Event::BecameOnDemand { since } if *since == at => Some(Bound::BecameOnDemand),
        Event::Converted { at: then, purchase: Purchase::OnDemand { .. } | Purchase::Subscription { .. }, .. }
            if *then == at =>
        {
            Some(Bound::Converted)
        }
        _ => None,
    }
}

fn named(mut bounds: Vec<Bound>) -> Vec<Bound> {
    bounds.dedup();
    if bounds.is_empty() { vec![Bound::Changed] } else { bounds }
}

/// What cuts a span that goes on.
fn within(facts: &Facts, at: Second) -> Vec<Bound> {
    let mut found = vec![];
    if at == at.hour() {
        found.push(Bound::ClockHour);
    }
    if at == facts.calendar.day(at) {
        found.push(Bound::Midnight);
    }
    if let Settled::AtRelease { hours } = facts.span.settled
        && (at.unix() - facts.span.since.unix()) % (hours * HOUR) == 0
    {
        found.push(Bound::Guarantee);
    }
    if facts.span.price.next_change(at.plus(-1)) == Some(at) {
        found.push(Bound::Priced);
    }
    let end = facts.end.filter(|_| facts.record.charge.meter == Meter::Compute);
    if end.is_some_and(|end| end.waived_since == Some(at)) {
        found.push(Bound::WaiverBegins);
    }
    if end.is_some_and(|end| end.waived_until == Some(at)) {
        found.push(Bound::WaiverEnds);
    }
    let trial = facts.span.settled == Settled::Hourly { trial: true };
    if let Some(valid) = facts.grant.filter(|_| trial).and_then(|g| Period::new(g.claimed_at, g.valid_until)) {
        found.extend((valid.since == at).then_some(Bound::GrantClaimed));
        found.extend((valid.until == at).then_some(Bound::GrantOver));
    }
    named(found)
}
