//! In which order are the rows read that an audit adds up again? Page by page, by keys that have an index.

use super::{exact, own_json};
use crate::{Query, Row, args, query};
use ebb_engine::audit::account::{Block, Line};
use ebb_engine::event::Event;
use ebb_model::id::{AccountId, EventId, InstanceId};
use ebb_model::money::{AMOUNT_PER_UNIT, Amount};
use ebb_model::time::{Second, Timestamp};

/// How many rows are read in one go.
pub const PAGE: i64 = 2_000;

/// A page of the accounts' ids.
pub fn accounts(after: &str) -> Query {
    query("select id from account where id > $1 order by id limit $2", args![after, PAGE])
}

pub fn spans(account: AccountId, after: &str) -> Query {
    query(
        "select * from span where account_id = $1 and id > $2 order by id limit $3",
        args![account.to_string(), after, PAGE],
    )
}

pub fn addresses(account: AccountId, after: &str) -> Query {
    query(
        "select * from address where account_id = $1 and id > $2 order by id limit $3",
        args![account.to_string(), after, PAGE],
    )
}

/// A page of what the log has of the events that are looked at.
pub fn events(account: AccountId, after: &str) -> Query {
    query(
        "select id, instance_id, at, body from event where account_id = $1 and id > $2 and name in \
         ('running', 'stopped', 'economical-stop-asked', 'host-lost', 'converted', 'became-on-demand', 'trial-claimed', 'trial-revoked', \
         'traffic-counted', 'frozen', 'thawed', 'bought', 'resized', 'voucher-issued', 'voucher-expired', 'voucher-revoked', 'renewed', \
         'subscription-began', 'budget-set', 'budget-removed', 'budget-reached', 'budget-expected', 'arrears-began', 'account-frozen', \
         'arrears-released', 'arrears-cleared', 'cap-set', 'cap-removed', 'address-charged', 'address-kept', 'address-released', 'volume-created', \
         'volume-there', 'volume-resized', 'volume-deleted', 'volume-lost', 'volume-unavailable', 'volume-available', 'volume-frozen') \
         order by id limit $3",
        args![account.to_string(), after, PAGE],
    )
}

pub fn read_event(row: &Row) -> (EventId, Option<InstanceId>, Timestamp, Event) {
    let about = row.opt_text("instance_id").map(super::own);
    (super::own(row.text("id")), about, Timestamp::from_micros(row.int("at")), own_json(row.text("body")))
}

/// A page of records, in order of their first second; `after` is that of the last one of the page before, with its id.
pub fn records(account: AccountId, after: (Second, &str)) -> Query {
    query(
        "select * from bill_record where account_id = $1 and since >= $2 and (since > $2 or id > $3) \
         order by since, id limit $4",
        args![account.to_string(), after.0.unix(), after.1, PAGE],
    )
}

pub fn traffic_records(account: AccountId, after: (Second, &str)) -> Query {
    query(
        "select * from traffic_record where account_id = $1 and since >= $2 and (since > $2 or id > $3) \
         order by since, id limit $4",
        args![account.to_string(), after.0.unix(), after.1, PAGE],
    )
}

/// What vouchers are said to have paid of something that is no record of the account, as `record_id`, `voucher_id` and `amount`.
pub fn paid_of_nothing(account: AccountId) -> Query {
    query(
        "select p.* from record_voucher p \
         left join bill_record b on b.id = p.record_id and b.account_id = p.account_id and b.since = p.since \
         left join traffic_record t on t.id = p.record_id and t.account_id = p.account_id and t.since = p.since \
         where p.account_id = $1 and b.id is null and t.id is null order by p.record_id limit 1000",
        args![account.to_string()],
    )
}

/// A page of entries by their reason.
pub fn entries(account: AccountId, after: &str) -> Query {
    query(
        "select id, reason from entry where account_id = $1 and reason > $2 order by reason limit $3",
        args![account.to_string(), after, PAGE],
    )
}

/// The postings of entries with these reasons, from the first to the last.
pub fn postings(account: AccountId, from: &str, to: &str) -> Query {
    query(
        "select e.id, e.reason, p.place, p.amount from entry e left join posting p on p.entry_id = e.id \
         where e.account_id = $1 and e.reason >= $2 and e.reason <= $3 order by e.reason, p.place",
        args![account.to_string(), from, to],
    )
}

pub fn read_line(row: &Row) -> Line {
    Line {
        entry: row.text("id").to_owned(),
        reason: row.text("reason").to_owned(),
        place: row.opt_text("place").map(str::to_owned),
        amount: Amount::from_units(row.opt_int("amount").unwrap_or_default()),
    }
}

/// What is kept of an account's blocks that are gone.
pub fn blocks(account: AccountId, after: &str) -> Query {
    query(
        "select * from block where account_id = $1 and instance_id > $2 and gone_at is not null \
         order by instance_id limit $3",
        args![account.to_string(), after, PAGE],
    )
}

pub fn read_block(row: &Row) -> (InstanceId, Block) {
    let block = Block {
        seconds: row.int("seconds"),
        waived_seconds: row.int("waived_seconds"),
        waived: exact(row.int("waived")),
        payable: exact(row.int("payable")),
    };
    (super::own(row.text("instance_id")), block)
}

/// What all postings come to, as [`read_ledger`] reads it, and those of no entry, as `lost`.
pub fn ledger() -> Query {
    query(
        "select cast(coalesce(sum(p.amount / 100000000), 0) as bigint) as whole, \
         cast(coalesce(sum(p.amount % 100000000), 0) as bigint) as rest, count(*) - count(e.id) as lost \
         from posting p left join entry e on e.id = p.entry_id",
        args![],
    )
}

/// In units of the ledger, however far from nothing it is.
pub fn read_ledger(row: &Row) -> i128 {
    i128::from(row.int("whole")) * i128::from(AMOUNT_PER_UNIT) + i128::from(row.int("rest"))
}

/// A page of the instances on a host that are not released.
pub fn on_host(host: &str, after: &str) -> Query {
    query(
        "select * from instance where host_id = $1 and live = 1 and id > $2 order by id limit $3",
        args![host, after, PAGE],
    )
}

/// Alarms about accounts that are not there, and trials that are not over and have none, as `kind` and `subject`.
pub fn alarms() -> Query {
    query(
        "select 'alarm ' || a.kind || ' of ' || a.subject as what, 'set' as stored from alarm a \
         where a.kind in ('trial', 'cap') and not exists (select 1 from account c where c.id = a.subject) \
         union all select 'alarm trial of ' || g.account_id, 'none' from trial_grant g \
         join account c on c.id = g.account_id left join trial_ending e on e.account_id = g.account_id \
         where c.closed_at is null and e.ended_at is null \
         and not exists (select 1 from alarm a where a.kind = 'trial' and a.subject = g.account_id) order by 1 limit 1000",
        args![],
    )
}
