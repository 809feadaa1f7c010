//! Which rows hold a spending cap, and what of a month is payable and billed?

use super::{exact, exact_sum, own_json};
use crate::{Query, Row, args, query};
use ebb_model::id::AccountId;
use ebb_model::instance::State;
use ebb_model::money::{Amount, EXACT_PER_UNIT, Exact};
use ebb_model::time::{Second, Timestamp};

/// What an account's owner wants to be payable at most in a calendar month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    pub amount: Amount,
    pub set_at: Second,
    /// Grows with everything that may change when it acts.
    pub stirred: i64,
    /// The first second of the month in which its owner was warned last.
    pub warned_month: Option<Second>,
    /// It acts at this second, and not everything is carried out yet.
    pub acting_at: Option<Second>,
    /// It stops trials, too.
    pub acting_on_trials: bool,
    /// When it acted last.
    pub acted_at: Option<Second>,
}

pub fn of(account: AccountId) -> Query {
    query("select * from spending_cap where account_id = $1", args![account.to_string()])
}

pub fn read(row: &Row) -> Cap {
    let second = |column: &str| row.opt_int(column).map(Second::from_unix);
    Cap {
        amount: Amount::from_units(row.int("amount")),
        set_at: Second::from_unix(row.int("set_at")),
        stirred: row.int("stirred"),
        warned_month: second("warned_month"),
        acting_at: second("acting_at"),
        acting_on_trials: row.opt_int("acting_on_trials") == Some(1),
        acted_at: second("acted_at"),
    }
}

/// Sets it anew; of what it did before nothing counts any more.
pub fn set(account: AccountId, amount: Amount, at: Second) -> Query {
    query(
        "insert into spending_cap (account_id, amount, set_at, stirred) values ($1, $2, $3, 1) \
         on conflict (account_id) do update set amount = excluded.amount, set_at = excluded.set_at, \
         stirred = spending_cap.stirred + 1, warned_month = null, acting_at = null, acted_at = null",
        args![account.to_string(), amount.units(), at.unix()],
    )
}

pub fn remove(account: AccountId) -> Vec<Query> {
    vec![
        query("delete from spending_cap where account_id = $1", args![account.to_string()]),
        // A budget goes on to need it.
        query(
            "delete from month_spending where account_id = $1 \
             and not exists (select 1 from budget b where b.account_id = $1)",
            args![account.to_string()],
        ),
    ]
}

/// Something has changed for the account: whoever decided by its cap as it was decides anew. Nothing, if it has none.
pub fn stir(account: AccountId) -> Query {
    query("update spending_cap set stirred = stirred + 1 where account_id = $1", args![account.to_string()])
}

/// Guard: nothing has changed since.
pub fn unstirred(account: AccountId, seen: &Cap) -> Query {
    query(
        "update spending_cap set stirred = stirred + 1 where account_id = $1 and stirred = $2",
        args![account.to_string(), seen.stirred],
    )
}

/// Has the cap looked after at an instant, or before; nothing, if there is none.
pub fn wake(kind: &str, account: AccountId, at: Timestamp) -> Query {
    query(
        "insert into alarm (kind, subject, due_at) select cast($2 as text), account_id, cast($3 as bigint) from spending_cap \
         where account_id = $1 on conflict (kind, subject) do update set due_at = \
         case when alarm.due_at < excluded.due_at then alarm.due_at else excluded.due_at end",
        args![account.to_string(), kind, at.micros()],
    )
}

pub fn warned(account: AccountId, month: Second) -> Query {
    query("update spending_cap set warned_month = $2 where account_id = $1", args![account.to_string(), month.unix()])
}

/// It acts; what cannot be carried out with that follows.
pub fn acts(account: AccountId, at: Second, on_trials: bool) -> Query {
    query(
        "update spending_cap set acting_at = $2, acted_at = $2, acting_on_trials = $3 where account_id = $1",
        args![account.to_string(), at.unix(), i64::from(on_trials)],
    )
}

pub fn acted(account: AccountId) -> Query {
    query("update spending_cap set acting_at = null where account_id = $1", args![account.to_string()])
}

/// Of a month so much more is payable and billed; nothing is counted for who has neither cap nor budget.
pub fn spend(account: AccountId, month: Second, payable: Exact) -> Query {
    query(
        "insert into month_spending (account_id, month, whole, payable) \
         select id, cast($2 as bigint), cast($3 as bigint), cast($4 as bigint) from account where id = $1 \
         and (exists (select 1 from spending_cap c where c.account_id = $1) or exists (select 1 from budget b where b.account_id = $1)) \
         on conflict (account_id, month) do update set whole = month_spending.whole + excluded.whole \
         + (month_spending.payable + excluded.payable) / 3600000000, \
         payable = (month_spending.payable + excluded.payable) % 3600000000",
        args![account.to_string(), month.unix(), whole(payable), rest(payable)],
    )
}

/// What is payable and billed of a month, as it was counted without a cap or a budget.
pub fn spent_before(account: AccountId, month: Second, payable: Exact) -> Query {
    query(
        "insert into month_spending (account_id, month, whole, payable) values ($1, $2, $3, $4) \
         on conflict (account_id, month) do update set whole = excluded.whole, payable = excluded.payable",
        args![account.to_string(), month.unix(), whole(payable), rest(payable)],
    )
}

/// Whole units of the currency, and what is beside them.
fn whole(exact: Exact) -> i64 {
    i64::try_from(exact.units().div_euclid(EXACT_PER_UNIT))
        .expect("less than 9 million million million of the currency")
}

fn rest(exact: Exact) -> i64 {
    i64::try_from(exact.units().rem_euclid(EXACT_PER_UNIT)).expect("less than one of the currency")
}

pub fn spent(account: AccountId) -> Query {
    query(
        "select month, whole as payable_whole, payable from month_spending where account_id = $1 order by month",
        args![account.to_string()],
    )
}

pub fn read_spent(row: &Row) -> (Second, Exact) {
    (Second::from_unix(row.int("month")), exact_sum(row, "payable"))
}

/// The sum of what is payable by the records of a time, but for those of blocks, as [`read_billed_hourly`] reads it.
pub fn billed_hourly(account: AccountId, since: Second, until: Second) -> Query {
    query(
        "select cast(coalesce(sum(r.payable / 3600000000), 0) as bigint) as payable_whole, \
         cast(coalesce(sum(r.payable % 3600000000), 0) as bigint) as payable from bill_record r where r.account_id = $1 \
         and case when r.meter = 'subscription' then r.issued_at else r.since end >= $2 \
         and case when r.meter = 'subscription' then r.issued_at else r.since end < $3 \
         and (r.meter <> 'compute' or not exists (select 1 from block b where b.instance_id = r.resource_id))",
        args![account.to_string(), since.unix(), until.unix()],
    )
}

pub fn read_billed_hourly(row: &Row) -> Exact {
    exact_sum(row, "payable")
}

/// The blocks that are gone since then: how each ended, and what is payable for it.
pub fn billed_blocks(account: AccountId, since: Second) -> Query {
    query(
        "select i.state, b.payable from block b join instance i on i.id = b.instance_id where b.account_id = $1 \
         and b.gone_at >= $2 and b.payable is not null",
        args![account.to_string(), since.start().micros()],
    )
}

pub fn read_billed(row: &Row) -> Exact {
    exact(row.int("payable"))
}

/// When the charge of such a block ended.
pub fn read_ended_at(row: &Row) -> Option<Second> {
    own_json::<State>(row.text("state")).end().map(|end| end.at)
}

/// The spans of vCPU and memory of blocks that are not gone.
pub fn block_spans(account: AccountId) -> Query {
    query(
        "select s.* from block b join span s on s.resource_id = b.instance_id \
         where b.account_id = $1 and b.gone_at is null and s.meter = 'compute' order by s.resource_id, s.since",
        args![account.to_string()],
    )
}
