//! Which rows say what was promised with each spot block, and what was kept?

use super::{exact_sum, units};
use crate::{Query, Row, args, query};
use ebb_model::billing::{Charge, Split};
use ebb_model::id::{AccountId, InstanceId};
use ebb_model::instance::{Cause, Instance, Purchase};
use ebb_model::money::Exact;
use ebb_model::time::Timestamp;

/// A block that was sold; `None` for what is firm.
pub fn insert(block: &Instance) -> Option<Query> {
    let Purchase::SpotBlock { hours, .. } = block.purchase else { return None };
    Some(query(
        "insert into block (instance_id, account_id, zone, flavor, hours, bought_at) values ($1, $2, $3, $4, $5, $6)",
        args![
            block.id.to_string(),
            block.account.to_string(),
            block.zone.as_str(),
            block.flavor.as_str(),
            hours,
            block.created_at.micros(),
        ],
    ))
}

/// It is gone, so long after its deadline, if it had one.
pub fn ended(id: InstanceId, cause: Cause, gone_at: Timestamp, deadline: Option<Timestamp>) -> Query {
    query(
        "update block set gone_at = $2, cause = $3, late = $4 where instance_id = $1",
        args![
            id.to_string(),
            gone_at.micros(),
            cause.name(),
            deadline.map(|deadline| gone_at.micros() - deadline.micros())
        ],
    )
}

/// What was charged for it, and what given away.
pub fn settled(id: InstanceId, charges: &[Charge], splits: &[Split]) -> Query {
    let length = |charge: &Charge| charge.period.until.unix() - charge.period.since.unix();
    let sum = |of: fn(&Split) -> Exact| splits.iter().map(of).sum::<Exact>();
    query(
        "update block set seconds = $2, waived_seconds = $3, waived = $4, payable = $5 where instance_id = $1",
        args![
            id.to_string(),
            charges.iter().map(length).sum::<i64>(),
            charges.iter().filter(|charge| charge.waiver.is_some()).map(length).sum::<i64>(),
            units(sum(|split| split.waived)),
            units(sum(|split| split.payable)),
        ],
    )
}

/// By what a report groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Flavor and hours.
    Flavor,
    Account,
}

/// Whose blocks, and of which time.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// `None`: everybody's.
    pub account: Option<AccountId>,
    pub since: Timestamp,
    pub until: Timestamp,
}

impl Window {
    fn args(&self) -> Vec<crate::Value> {
        args![
            self.since.micros(),
            self.until.micros(),
            self.account.map_or_else(|| "%".to_owned(), |account| account.to_string()),
        ]
    }
}

/// A statement with the columns `one` and `two` that a report groups by.
macro_rules! grouped {
    ($by:expr, $start:literal, $flavor:literal, $account:literal, $end:literal) => {
        match $by {
            By::Flavor => concat!($start, $flavor, $end),
            By::Account => concat!($start, $account, $end),
        }
    };
}

/// How many were sold, as `sold`.
pub fn sold(by: By, of: &Window) -> Query {
    let sql = grouped!(
        by,
        "select ",
        "flavor as one, hours as two",
        "account_id as one, cast(0 as bigint) as two",
        ", count(*) as sold from block where bought_at >= $1 and bought_at < $2 and account_id like $3 \
         group by one, two order by one, two"
    );
    query(sql, of.args())
}

/// What ended, by cause: `blocks`, `seconds`, `waived_seconds`, [`read_exact`] of `waived` and `payable`, and the latest release as `late`.
pub fn ends(by: By, of: &Window) -> Query {
    let sql = grouped!(
        by,
        "select ",
        "flavor as one, hours as two",
        "account_id as one, cast(0 as bigint) as two",
        ", cause, count(*) as blocks, cast(sum(seconds) as bigint) as seconds, \
         cast(sum(waived_seconds) as bigint) as waived_seconds, cast(sum(waived / 3600000000) as bigint) as waived_whole, \
         cast(sum(waived % 3600000000) as bigint) as waived, cast(sum(payable / 3600000000) as bigint) as payable_whole, \
         cast(sum(payable % 3600000000) as bigint) as payable from block \
         where gone_at >= $1 and gone_at < $2 and account_id like $3 group by one, two, cause order by one, two, cause"
    );
    query(sql, of.args())
}

/// How late notices were readable after their decision: `told`, and in µs `p50`, `p99` and `most`.
pub fn notices(by: By, of: &Window) -> Query {
    let sql = grouped!(
        by,
        "select one, two, count(*) as told, min(case when place * 100 >= number * 50 then late end) as p50, \
         min(case when place * 100 >= number * 99 then late end) as p99, max(late) as most \
         from (select one, two, late, row_number() over (partition by one, two order by late) as place, \
         count(*) over (partition by one, two) as number from (select ",
        "b.flavor as one, b.hours as two",
        "b.account_id as one, cast(0 as bigint) as two",
        ", case when n.readable_at > n.decided_at then n.readable_at - n.decided_at else 0 end as late \
         from notice n join block b on b.instance_id = n.instance_id where n.decided_at >= $1 and n.decided_at < $2 \
         and n.readable_at is not null and b.account_id like $3) as each_one) as ranked \
         group by one, two order by one, two"
    );
    query(sql, of.args())
}

/// How late releases were after their deadline: `told`, `p50`, `p99` and `most`, in µs.
pub fn releases(by: By, of: &Window) -> Query {
    let sql = grouped!(
        by,
        "select one, two, count(*) as told, min(case when place * 100 >= number * 50 then late end) as p50, \
         min(case when place * 100 >= number * 99 then late end) as p99, max(late) as most \
         from (select one, two, late, row_number() over (partition by one, two order by late) as place, \
         count(*) over (partition by one, two) as number from (select ",
        "flavor as one, hours as two",
        "account_id as one, cast(0 as bigint) as two",
        ", case when late > 0 then late else 0 end as late from block \
         where gone_at >= $1 and gone_at < $2 and late is not null and account_id like $3) as each_one) as ranked \
         group by one, two order by one, two"
    );
    query(sql, of.args())
}

/// What was given away, by who lost it and, if that may be told, whose order took it (`took`; null: the operator).
///
/// A block that was taken twice, by a drill and then for an order, counts for the last decision.
pub fn waived_by_taker(of: &Window, takers_told: bool) -> Query {
    let sql = "select b.account_id as lost, case when cast($4 as bigint) = 1 then o.account_id end as took, b.cause as cause, \
         count(*) as blocks, cast(sum(b.waived_seconds) as bigint) as waived_seconds, \
         cast(sum(b.waived / 3600000000) as bigint) + cast(sum(b.waived % 3600000000) as bigint) / 3600000000 as waived_whole, \
         cast(sum(b.waived % 3600000000) as bigint) % 3600000000 as waived \
         from block b left join decision d on d.id = (select max(v.decision_id) from decision_victim v \
         where v.instance_id = b.instance_id) left join instance o on o.id = d.instance_id \
         where b.gone_at >= $1 and b.gone_at < $2 and b.account_id like $3 and b.waived_seconds > 0 \
         group by 1, 2, 3 order by 6 desc, 7 desc, 1, 2, 3 limit 1000";
    let mut args = of.args();
    args.extend(args![i64::from(takers_told)]);
    query(sql, args)
}

/// How late, in µs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late {
    pub told: i64,
    pub p50: i64,
    pub p99: i64,
    pub most: i64,
}

pub fn read_late(row: &Row) -> Late {
    Late { told: row.int("told"), p50: row.int("p50"), p99: row.int("p99"), most: row.int("most") }
}

/// A sum of exact amounts.
pub fn read_exact(row: &Row, column: &str) -> Exact {
    exact_sum(row, column)
}
