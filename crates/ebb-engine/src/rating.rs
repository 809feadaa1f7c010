//! What does a span of use cost, record by record? (rules §1.1, §2.3, §2.4, §3.3)

use crate::monthly::Payment;
use crate::price::Tariff;
use ebb_model::billing::{Charge, Follows, Meter, ResourceId, Settled, Span};
use ebb_model::calendar::Calendar;
use ebb_model::id::{AccountId, SpanId};
use ebb_model::instance::{End, Instance, Purchase};
use ebb_model::price::Prices;
use ebb_model::time::{HOUR, Period, Second};
use ebb_model::trial::TrialGrant;

/// The spans that open when these meters of an instance begin to count. A trial is covered while its flavor is `listed`
/// (rules §3.3, §3.4); for what is no trial that means nothing.
pub fn spans_of(
    instance: &Instance,
    tariff: &Tariff,
    meters: &[Meter],
    listed: bool,
    since: Second,
    mut id: impl FnMut() -> SpanId,
) -> Vec<Span> {
    let trial = listed && matches!(instance.purchase, Purchase::Trial { .. });
    let compute = match instance.purchase {
        Purchase::SpotBlock { hours, .. } => Settled::AtRelease { hours },
        _ => Settled::Hourly { trial },
    };
    let terms = |meter: &Meter| {
        let (rate, settled) = match meter {
            Meter::Compute => (&tariff.compute, compute),
            Meter::SystemDisk => (&tariff.disk, Settled::Hourly { trial }),
            _ => unreachable!("no meter of an instance by the second: {meter:?}"),
        };
        (*meter, rate.prices.since(since), rate.follows.clone(), settled)
    };
    meters
        .iter()
        .map(terms)
        .map(|(meter, price, follows, settled)| Span {
            id: id(),
            account: instance.account,
            resource: instance.id.into(),
            meter,
            price,
            follows,
            settled,
            since,
            until: None,
        })
        .collect()
}

/// A use of something that is no instance: charged by the hour, at the price of so many units of an item of the book, whose changes it
/// follows. No grant pays for it.
pub fn span_of(
    id: SpanId,
    account: AccountId,
    resource: ResourceId,
    meter: Meter,
    (prices, follows): (&Prices, Follows),
    since: Second,
) -> Span {
    let price = prices.times(follows.units).since(since);
    let (settled, follows) = (Settled::Hourly { trial: false }, Some(follows));
    Span { id, account, resource, meter, price, follows, settled, since, until: None }
}

/// What follows `since` of a span, once its account's trial is over: the same use at the same prices, and no grant pays for it.
pub fn after_trial(span: &Span, since: Second, id: SpanId) -> Span {
    Span { id, since: span.since.max(since), settled: Settled::Hourly { trial: false }, ..span.clone() }
}

/// What is paid in advance for some months of an instance: a span of those months, and its one charge (rules §4.3).
pub fn in_advance(instance: &Instance, payment: &Payment, id: SpanId) -> (Span, Charge) {
    let Payment { months, price, period } = *payment;
    let (account, resource, meter) = (instance.account, instance.id.into(), Meter::Subscription);
    let settled = Settled::InAdvance { months };
    let (since, until) = (period.since, Some(period.until));
    let span = Span { id, account, resource, meter, price: price.into(), follows: None, settled, since, until };
    let months = Some(months);
    (span, Charge { account, resource, span: id, meter, price, period, months, waiver: None, covered: false })
}

/// The charges of a span within `window`: cut where the hour, the guarantee period, the price, the coverage or the waiver changes.
///
/// An open span is charged to the end of the window. `end` is the block's, once it has one.
pub fn charges(
    span: &Span,
    window: Period,
    calendar: &Calendar,
    grant: Option<&TrialGrant>,
    end: Option<&End>,
) -> Vec<Charge> {
    let whole = Period::new(span.since, span.until.unwrap_or(window.until));
    let Some(used) = whole.and_then(|whole| whole.intersect(window)) else { return vec![] };
    let waived_since = end.and_then(|end| end.waived_since).filter(|_| span.meter == Meter::Compute);
    let trial = matches!(span.settled, Settled::Hourly { trial: true });
    let validity = grant.filter(|_| trial).and_then(|g| Period::new(g.claimed_at, g.valid_until));

    let mut charges = vec![];
    let mut since = used.since;
    while since < used.until {
        let mut cut = used.until.min(calendar.next_cut(since));
        cut = span.price.next_change(since).map_or(cut, |change| cut.min(change));
        if let Settled::AtRelease { hours } = span.settled {
            let length = hours * HOUR;
            let periods = (since.unix() - span.since.unix()) / length;
            cut = cut.min(span.since.plus((periods + 1) * length));
        }
        let waived_until = end.and_then(|end| end.waived_until);
        let changes = waived_since
            .into_iter()
            .chain(waived_until)
            .chain(validity.map(|v| v.since))
            .chain(validity.map(|v| v.until));
        for change in changes.filter(|change| *change > since) {
            cut = cut.min(change);
        }
        charges.push(Charge {
            account: span.account,
            resource: span.resource,
            span: span.id,
            meter: span.meter,
            price: span.price.at(since),
            period: Period { since, until: cut },
            months: None,
            waiver: waived_since
                .filter(|from| *from <= since && waived_until.is_none_or(|until| since < until))
                .and(end.map(|end| end.cause)),
            covered: validity.is_some_and(|v| v.since <= since && since < v.until),
        });
        since = cut;
    }
    charges
}
