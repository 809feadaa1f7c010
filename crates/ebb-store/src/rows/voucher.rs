//! Which rows hold coupons and cards, and what each paid of a record?

use super::many::Many;
use super::{json, own, own_json};
use crate::{Query, Row, args, query};
use ebb_model::id::{AccountId, RecordId, VoucherId};
use ebb_model::money::Amount;
use ebb_model::time::{Second, Timestamp};
use ebb_model::voucher::{Fine, Voucher, VoucherKind};

pub fn insert(new: &Voucher) -> Query {
    query(
        "insert into voucher (id, account_id, kind, face, pays, issued_at, valid_from, expires_at, used, expired, revoked, \
         warned, live) values ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, 0, 0, 1)",
        args![
            new.id.to_string(),
            new.account.to_string(),
            new.kind.name(),
            new.face.units(),
            json(&new.pays),
            new.issued_at.micros(),
            new.valid_from.unix(),
            new.expires_at.map(Second::unix),
        ],
    )
}

/// Writes what was paid with it and what became of it. Who does so changes its account, too, which guards it.
pub fn change(voucher: &Voucher) -> Query {
    query(
        "update voucher set used = $2, expired = $3, revoked = $4, warned = $5, live = $6 where id = $1",
        args![
            voucher.id.to_string(),
            units(voucher.used),
            units(voucher.expired),
            units(voucher.revoked),
            i64::from(voucher.warned),
            i64::from(!voucher.is_over()),
        ],
    )
}

pub fn read(row: &Row) -> Voucher {
    let fine = |column: &str| Fine::from_units(row.int(column).into());
    Voucher {
        id: own(row.text("id")),
        account: own(row.text("account_id")),
        kind: VoucherKind::parse(row.text("kind")).expect("a kind that this program wrote"),
        face: Amount::from_units(row.int("face")),
        pays: own_json(row.text("pays")),
        issued_at: Timestamp::from_micros(row.int("issued_at")),
        valid_from: Second::from_unix(row.int("valid_from")),
        expires_at: row.opt_int("expires_at").map(Second::from_unix),
        used: fine("used"),
        expired: fine("expired"),
        revoked: fine("revoked"),
        warned: row.int("warned") == 1,
    }
}

pub fn by_id(id: VoucherId) -> Query {
    query("select * from voucher where id = $1", args![id.to_string()])
}

/// Those of an account that may still pay something.
pub fn live_of(account: AccountId) -> Query {
    query("select * from voucher where account_id = $1 and live = 1 order by id", args![account.to_string()])
}

/// A page of those of an account, oldest first.
pub fn page_of(account: AccountId, after: &str, limit: i64) -> Query {
    query(
        "select * from voucher where account_id = $1 and id > $2 order by id limit $3",
        args![account.to_string(), after, limit],
    )
}

/// The same of those that may still pay something.
pub fn live_page_of(account: AccountId, after: &str, limit: i64) -> Query {
    query(
        "select * from voucher where account_id = $1 and live = 1 and id > $2 order by id limit $3",
        args![account.to_string(), after, limit],
    )
}

/// So much of a record was paid with it.
/// What a voucher paid of a record that begins at `since`.
pub struct PaidOf {
    pub record: RecordId,
    pub since: Second,
    pub voucher: VoucherId,
    pub amount: Fine,
}

pub fn insert_payments(account: AccountId, payments: impl IntoIterator<Item = PaidOf>) -> Vec<Query> {
    static INSERT: Many =
        Many::new("insert into record_voucher (record_id, voucher_id, account_id, since, amount) values", 5);
    let row = |paid: PaidOf| {
        let (record, voucher) = (paid.record.to_string(), paid.voucher.to_string());
        args![record, voucher, account.to_string(), paid.since.unix(), units(paid.amount)]
    };
    INSERT.rows(payments.into_iter().map(row))
}

/// What was paid of an account's records that begin in a time.
pub fn payments_of(account: AccountId, since: Second, until: Second) -> Query {
    query(
        "select p.* from record_voucher p join voucher v on v.id = p.voucher_id \
         where p.account_id = $1 and p.since >= $2 and p.since < $3 \
         order by p.record_id, case when v.expires_at is null then 1 else 0 end, v.expires_at, \
         case when v.kind = 'card' then 1 else 0 end, v.id",
        args![account.to_string(), since.unix(), until.unix()],
    )
}

/// What was paid of records that begin in a time, both ends included: [`read_payment`] of each, in no order.
pub fn payments_between(account: AccountId, first: Second, last: Second) -> Query {
    query(
        "select * from record_voucher where account_id = $1 and since >= $2 and since <= $3",
        args![account.to_string(), first.unix(), last.unix()],
    )
}

/// The vouchers that paid a record, in the order in which they did, with what each paid.
pub fn payers_of(record: RecordId) -> Query {
    query(
        "select v.*, p.amount as paid from record_voucher p join voucher v on v.id = p.voucher_id where p.record_id = $1 \
         order by case when v.expires_at is null then 1 else 0 end, v.expires_at, \
         case when v.kind = 'card' then 1 else 0 end, v.id",
        args![record.to_string()],
    )
}

pub fn read_payer(row: &Row) -> (Voucher, Fine) {
    (read(row), Fine::from_units(row.int("paid").into()))
}

pub fn read_payment(row: &Row) -> (RecordId, VoucherId, Fine) {
    (own(row.text("record_id")), own(row.text("voucher_id")), Fine::from_units(row.int("amount").into()))
}

/// What is held back of an account: its instances, oldest first, each with how much and since when.
pub fn holds_of(account: AccountId) -> Query {
    query(
        "select i.*, h.amount as held_amount, h.since as held_since from hold h join instance i on i.id = h.instance_id \
         where h.account_id = $1 order by i.id",
        args![account.to_string()],
    )
}

/// Of a row of [`holds_of`].
pub fn held_amount(row: &Row) -> Amount {
    Amount::from_units(row.int("held_amount"))
}

/// The same.
pub fn held_since(row: &Row) -> Second {
    Second::from_unix(row.int("held_since"))
}

/// A column of it. The largest face is just below what one holds.
fn units(fine: Fine) -> i64 {
    i64::try_from(fine.units()).expect("a voucher worth at most a million of the currency")
}
