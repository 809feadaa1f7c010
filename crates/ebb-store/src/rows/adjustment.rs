//! Which rows say what was given back of bill records?

use super::own;
use crate::{Query, Row, args, query};
use ebb_model::billing::{Adjustment, GivenBack, ToVoucher};
use ebb_model::id::{AccountId, AdjustmentId, RecordId};
use ebb_model::money::Amount;
use ebb_model::time::{Second, Timestamp};
use ebb_model::voucher::{Gone, VoucherKind};
use std::collections::BTreeMap;

pub fn insert(adjustment: &Adjustment) -> Query {
    let back = &adjustment.back;
    query(
        "insert into adjustment (id, account_id, record_id, at, debt, cash, granted, expired, open_since, reason, author) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        args![
            adjustment.id.to_string(),
            adjustment.account.to_string(),
            adjustment.record.to_string(),
            adjustment.at.micros(),
            back.debt.units(),
            back.cash.units(),
            back.grant.units(),
            back.expired.units(),
            adjustment.open_since.unix(),
            adjustment.reason.as_str(),
            adjustment.by.as_str(),
        ],
    )
}

/// What of it came back to vouchers. To be written after it.
pub fn insert_vouchers(adjustment: &Adjustment) -> impl Iterator<Item = Query> {
    adjustment.back.vouchers.iter().zip(0_i64..).map(|(to, turn)| {
        query(
            "insert into adjustment_voucher (adjustment_id, turn, voucher_id, account_id, amount, gone) \
             values ($1, $2, $3, $4, $5, $6)",
            args![
                adjustment.id.to_string(),
                turn,
                to.voucher.to_string(),
                adjustment.account.to_string(),
                to.amount.units(),
                to.gone.map(Gone::name),
            ],
        )
    })
}

/// Without what came back to vouchers, which [`with_vouchers`] adds.
pub fn read(row: &Row) -> Adjustment {
    let amount = |name: &str| Amount::from_units(row.int(name));
    Adjustment {
        id: own(row.text("id")),
        account: own(row.text("account_id")),
        record: own(row.text("record_id")),
        at: Timestamp::from_micros(row.int("at")),
        back: GivenBack {
            debt: amount("debt"),
            cash: amount("cash"),
            vouchers: vec![],
            grant: amount("granted"),
            expired: amount("expired"),
        },
        open_since: Second::from_unix(row.int("open_since")),
        reason: row.text("reason").to_owned(),
        by: row.text("author").to_owned(),
    }
}

/// Oldest first.
pub fn of_record(id: RecordId) -> Query {
    query("select * from adjustment where record_id = $1 order by id", args![id.to_string()])
}

/// A page of an account's, oldest first.
pub fn of_account(account: AccountId, after: &str, limit: i64) -> Query {
    query(
        "select * from adjustment where account_id = $1 and id > $2 order by id limit $3",
        args![account.to_string(), after, limit],
    )
}

/// What came back to vouchers of a record, in its order.
pub fn vouchers_of_record(id: RecordId) -> Query {
    query(
        "select b.*, v.kind from adjustment_voucher b join adjustment a on a.id = b.adjustment_id \
         join voucher v on v.id = b.voucher_id where a.record_id = $1 order by b.adjustment_id, b.turn",
        args![id.to_string()],
    )
}

/// The same of all adjustments of an account from one to another.
pub fn vouchers_of_account(account: AccountId, first: AdjustmentId, last: AdjustmentId) -> Query {
    query(
        "select b.*, v.kind from adjustment_voucher b join voucher v on v.id = b.voucher_id \
         where b.account_id = $1 and b.adjustment_id >= $2 and b.adjustment_id <= $3 order by b.adjustment_id, b.turn",
        args![account.to_string(), first.to_string(), last.to_string()],
    )
}

fn read_voucher(row: &Row) -> (AdjustmentId, ToVoucher) {
    let to = ToVoucher {
        voucher: own(row.text("voucher_id")),
        kind: VoucherKind::parse(row.text("kind")).expect("a kind that this program wrote"),
        amount: Amount::from_units(row.int("amount")),
        gone: row.opt_text("gone").map(|name| Gone::parse(name).expect("a name that this program wrote")),
    };
    (own(row.text("adjustment_id")), to)
}

/// Adjustments with what came back to vouchers, as the rows of both have it.
pub fn with_vouchers(rows: &[Row], vouchers: &[Row]) -> Vec<Adjustment> {
    let mut to: BTreeMap<AdjustmentId, Vec<ToVoucher>> = BTreeMap::new();
    for (id, one) in vouchers.iter().map(read_voucher) {
        to.entry(id).or_default().push(one);
    }
    let mut all: Vec<Adjustment> = rows.iter().map(read).collect();
    all.iter_mut().for_each(|one| one.back.vouchers = to.remove(&one.id).unwrap_or_default());
    all
}

/// What came back to vouchers of an account, as the row of [`read_voucher_sum`].
pub fn voucher_sum(account: AccountId) -> Query {
    query(
        "select cast(coalesce(sum(case when gone is null then amount else 0 end), 0) as bigint) as back, \
         cast(coalesce(sum(case when gone is null then 0 else amount end), 0) as bigint) as gone \
         from adjustment_voucher where account_id = $1",
        args![account.to_string()],
    )
}

/// To those that may still pay, and to those that are over.
pub fn read_voucher_sum(row: &Row) -> (Amount, Amount) {
    (Amount::from_units(row.int("back")), Amount::from_units(row.int("gone")))
}

/// All that was given back to an account but to its vouchers, as the row of [`read_sum`].
pub fn sum(account: AccountId) -> Query {
    query(
        "select cast(coalesce(sum(debt), 0) as bigint) as debt, cast(coalesce(sum(cash), 0) as bigint) as cash, \
         cast(coalesce(sum(granted), 0) as bigint) as granted, cast(coalesce(sum(expired), 0) as bigint) as expired \
         from adjustment where account_id = $1",
        args![account.to_string()],
    )
}

pub fn read_sum(row: &Row) -> GivenBack {
    let amount = |name: &str| Amount::from_units(row.int(name));
    let [debt, cash, grant, expired] = ["debt", "cash", "granted", "expired"].map(amount);
    GivenBack { debt, cash, vouchers: vec![], grant, expired }
}
