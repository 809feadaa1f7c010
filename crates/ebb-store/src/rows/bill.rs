//! Which rows hold usage, bill records and the ledger?

use super::many::Many;
use super::price::{read_prices, write_later};
use super::{exact, json, own, own_json, units};
use crate::{Query, Row, args, query};
use ebb_ledger::Entry;
use ebb_model::billing::{BillRecord, Charge, Follows, Meter, ResourceId, Settled, Span, Split};
use ebb_model::id::{AccountId, EntryId, RecordId, SpanId};
use ebb_model::money::Price;
use ebb_model::time::{Period, Second};
use ebb_model::trial::Holder;

/// An open span's `until`: later than every hour, so that one comparison finds what is open or ends later.
const OPEN: i64 = i64::MAX;

pub fn insert_span(span: &Span) -> Query {
    insert_spans([span]).pop().expect("a span is a row")
}

pub fn insert_spans<'a>(spans: impl IntoIterator<Item = &'a Span>) -> Vec<Query> {
    static INSERT: Many = Many::new(
        "insert into span (id, account_id, resource_id, meter, price, settled, since, until, item, units, later) values",
        11,
    );
    let row = |span: &Span| {
        args![
            span.id.to_string(),
            span.account.to_string(),
            span.resource.to_string(),
            span.meter.name(),
            span.price.first().price.micros(),
            json(&span.settled),
            span.since.unix(),
            span.until.map_or(OPEN, Second::unix),
            span.follows.as_ref().map(|follows| follows.item.clone()),
            span.follows.as_ref().map(|follows| follows.units),
            write_later(&span.price),
        ]
    };
    INSERT.rows(spans.into_iter().map(row))
}

/// What is measured of something ends; what was paid in advance stays paid.
pub fn close_spans(of: impl Into<ResourceId>, until: Second) -> Query {
    query(
        "update span set until = case when since > $2 then since else $2 end \
         where resource_id = $1 and until > $2 and meter <> 'subscription'",
        args![of.into().to_string(), until.unix()],
    )
}

/// The same of one meter alone.
pub fn close_spans_of(of: impl Into<ResourceId>, meter: Meter, until: Second) -> Query {
    query(
        "update span set until = case when since > $3 then since else $3 end \
         where resource_id = $1 and meter = $2 and until > $3",
        args![of.into().to_string(), meter.name(), until.unix()],
    )
}

/// What is measured of something and open, or ends later than `at`.
pub fn spans_after(of: impl Into<ResourceId>, at: Second) -> Query {
    query(
        "select * from span where resource_id = $1 and until > $2 and meter <> 'subscription' order by meter, since",
        args![of.into().to_string(), at.unix()],
    )
}

/// The spans of an account that reach beyond `since`.
pub fn spans_beyond(account: AccountId, since: Second) -> Query {
    query(
        "select * from span where account_id = $1 and until > $2 order by resource_id, meter, since",
        args![account.to_string(), since.unix()],
    )
}

/// The spans of an account's instances that are not released.
pub fn spans_unreleased(account: AccountId) -> Query {
    query(
        "select s.* from span s join instance i on i.id = s.resource_id \
         where s.account_id = $1 and i.live = 1 order by s.resource_id, s.meter, s.since",
        args![account.to_string()],
    )
}

/// A page of the trial instances that are charged, each with its disk's terms as `settled` and the `holder` of its grant.
pub fn charged_trials(after: &str, limit: i64) -> Query {
    query(
        "select i.*, s.settled, g.holder from instance i join span s on s.resource_id = i.id \
         join trial_grant g on g.account_id = i.account_id \
         where i.live = 1 and i.purchase like '%\"trial\"%' and s.meter = 'system-disk' and s.until = $3 and i.id > $1 \
         order by i.id limit $2",
        args![after, limit, OPEN],
    )
}

/// Whether a grant may pay for what is charged, and whose kind it is, of a row of [`charged_trials`].
pub fn read_covered(row: &Row) -> (bool, Holder) {
    let settled: Settled = own_json(row.text("settled"));
    (settled == Settled::Hourly { trial: true }, super::account::holder(row.text("holder")))
}

pub fn spans_of(of: impl Into<ResourceId>) -> Query {
    query("select * from span where resource_id = $1 order by meter, since", args![of.into().to_string()])
}

pub fn read_span(row: &Row) -> Span {
    Span {
        id: own(row.text("id")),
        account: own(row.text("account_id")),
        resource: own(row.text("resource_id")),
        meter: meter(row.text("meter")),
        price: read_prices(row),
        follows: row.opt_text("item").map(|item| Follows { item: item.to_owned(), units: row.int("units") }),
        settled: own_json(row.text("settled")),
        since: Second::from_unix(row.int("since")),
        until: Some(row.int("until")).filter(|until| *until != OPEN).map(Second::from_unix),
    }
}

fn meter(name: &str) -> Meter {
    own_json(&format!("\"{name}\""))
}

/// An hour of an account may have thousands.
pub fn insert_records(records: impl IntoIterator<Item = BillRecord>) -> Vec<Query> {
    static INSERT: Many = Many::new(
        "insert into bill_record (id, account_id, resource_id, span_id, meter, price, since, until, waiver, covered, \
         waived, granted, payable, issued_at, months, vouchers) values",
        16,
    );
    let row = |record: BillRecord| {
        let charge = &record.charge;
        args![
            record.id.to_string(),
            charge.account.to_string(),
            charge.resource.to_string(),
            charge.span.to_string(),
            charge.meter.name(),
            charge.price.micros(),
            charge.period.since.unix(),
            charge.period.until.unix(),
            charge.waiver.map(|cause| cause.name()),
            i64::from(charge.covered),
            units(record.split.waived),
            units(record.split.grant),
            units(record.split.payable),
            record.issued_at.unix(),
            charge.months,
            units(record.split.vouchers),
        ]
    };
    INSERT.rows(records.into_iter().map(row))
}

pub fn records_of_account(account: AccountId, since: Second, until: Second, limit: i64) -> Query {
    query(
        "select * from bill_record where account_id = $1 and since >= $2 and since < $3 \
         order by since, resource_id, meter limit $4",
        args![account.to_string(), since.unix(), until.unix(), limit],
    )
}

pub fn record_by_id(id: RecordId) -> Query {
    query("select * from bill_record where id = $1", args![id.to_string()])
}

pub fn span_by_id(id: SpanId) -> Query {
    query("select * from span where id = $1", args![id.to_string()])
}

/// The covered records of an account in a clock hour, in the order in which a grant pays; with what it paid of hours before, as the row of
/// [`granted_before`].
pub fn covered_of_hour(account: AccountId, hour: Period) -> Query {
    query(
        "select * from bill_record where account_id = $1 and since >= $2 and since < $3 and covered = 1 \
         order by resource_id, meter, since",
        args![account.to_string(), hour.since.unix(), hour.until.unix()],
    )
}

/// What a grant paid of everything before a second, as [`read_granted`] reads it.
pub fn granted_before(account: AccountId, second: Second) -> Query {
    query(
        "select cast(coalesce(sum(granted / 3600000000), 0) as bigint) as granted_whole, \
         cast(coalesce(sum(granted % 3600000000), 0) as bigint) as granted from bill_record where account_id = $1 and since < $2",
        args![account.to_string(), second.unix()],
    )
}

pub fn read_granted(row: &Row) -> ebb_model::money::Exact {
    super::exact_sum(row, "granted")
}

/// The postings of the entry of an account that has this reason.
pub fn entry_of(account: AccountId, reason: &str) -> Query {
    query(
        "select e.id, e.reason, e.at, p.place, p.amount from entry e left join posting p on p.entry_id = e.id \
         where e.account_id = $1 and e.reason = $2 order by p.place",
        args![account.to_string(), reason],
    )
}

pub fn read_record(row: &Row) -> BillRecord {
    let span: SpanId = own(row.text("span_id"));
    BillRecord {
        id: own(row.text("id")),
        charge: Charge {
            account: own(row.text("account_id")),
            resource: own(row.text("resource_id")),
            span,
            meter: meter(row.text("meter")),
            price: Price::from_micros(row.int("price")),
            period: Period { since: Second::from_unix(row.int("since")), until: Second::from_unix(row.int("until")) },
            months: row.opt_int("months"),
            waiver: row.opt_text("waiver").map(|name| own_json(&format!("\"{name}\""))),
            covered: row.int("covered") == 1,
        },
        split: Split {
            waived: exact(row.int("waived")),
            grant: exact(row.int("granted")),
            payable: exact(row.int("payable")),
            vouchers: exact(row.int("vouchers")),
        },
        issued_at: Second::from_unix(row.int("issued_at")),
    }
}

/// An entry and its postings; `reason` is unique in the account, so nothing is posted twice.
pub fn insert_entry(id: EntryId, account: AccountId, at: Second, reason: &str, entry: &Entry) -> Vec<Query> {
    let head = query(
        "insert into entry (id, account_id, at, reason) values ($1, $2, $3, $4)",
        args![id.to_string(), account.to_string(), at.unix(), reason],
    );
    let lines = entry.postings().iter().map(|posting| {
        query(
            "insert into posting (entry_id, place, amount) values ($1, $2, $3)",
            args![id.to_string(), posting.place.to_string(), posting.amount.units()],
        )
    });
    std::iter::once(head).chain(lines).collect()
}

/// The end of the newest hour that was closed with something in it.
pub fn last_hour(account: AccountId) -> Query {
    query(
        "select at from entry where account_id = $1 and reason like 'hour %' order by at desc limit 1",
        args![account.to_string()],
    )
}
