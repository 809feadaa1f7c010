//! Which rows say who has which address, and who has which private network?

use crate::{Query, Row, args, query};
use ebb_model::id::AccountId;
use ebb_model::pool::{address, number};
use ebb_model::time::Timestamp;
use std::net::Ipv4Addr;

/// So many addresses are looked at together.
pub const TOGETHER: usize = 16;

/// Guard: the address is the holder's, if nobody has it and nobody had it after `rested`.
pub fn take(pool: &str, ip: Ipv4Addr, holder: &str, rested: Timestamp) -> Query {
    query(
        "insert into ip (pool, address, holder) values ($1, $2, $3) on conflict (pool, address) \
         do update set holder = excluded.holder, freed_at = null where ip.freed_at <= $4",
        args![pool, number(ip), holder, rested.micros()],
    )
}

/// Public addresses of a pool that an account had and that rest, oldest first; [`read_resting`] reads them.
pub fn resting_of(pool: &str, account: AccountId, rested: Timestamp) -> Query {
    query(
        "select i.address, i.holder from address a join ip i on i.pool = $1 and i.address = a.ip and i.holder = a.id \
         where a.account_id = $2 and a.released_at > $3 and i.freed_at is not null order by a.released_at, a.id",
        args![pool, account.to_string(), rested.micros()],
    )
}

/// One of them, and who had it.
pub fn read_resting(row: &Row) -> (Ipv4Addr, String) {
    (read(row), row.text("holder").to_owned())
}

/// Guard: the address is the holder's, if it rests since this one had it.
pub fn take_again(pool: &str, ip: Ipv4Addr, holder: &str, from: &str) -> Query {
    query(
        "update ip set holder = $3, freed_at = null where pool = $1 and address = $2 and holder = $4 and freed_at is not null",
        args![pool, number(ip), holder, from],
    )
}

/// Its holder needs it no more; who has none loses none.
pub fn free(holder: &str, at: Timestamp) -> Query {
    query("update ip set freed_at = $2 where holder = $1 and freed_at is null", args![holder, at.micros()])
}

/// Those of some addresses that cannot be given now.
pub fn not_free(pool: &str, some: &[Ipv4Addr; TOGETHER], rested: Timestamp) -> Query {
    let mut all = args![pool, rested.micros()];
    all.extend(some.iter().flat_map(|ip| args![number(*ip)]));
    query(
        "select address from ip where pool = $1 and (freed_at is null or freed_at > $2) and address in \
         ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        all,
    )
}

/// The first address from `from` up to `until` that can be given and stands after one that is known.
pub fn free_after_one(pool: &str, from: i64, until: i64, rested: Timestamp) -> Query {
    query(
        "select a.address + 1 as address from ip a where a.pool = $1 and a.address >= $2 and a.address < $3 and not exists \
         (select 1 from ip b where b.pool = $1 and b.address = a.address + 1 and (b.freed_at is null or b.freed_at > $4)) \
         order by a.address limit 1",
        args![pool, from, until - 1, rested.micros()],
    )
}

pub fn read(row: &Row) -> Ipv4Addr {
    address(row.int("address"))
}

/// The number of an account's network in a region, as `number`.
pub fn network(account: AccountId, region: &str) -> Query {
    query("select number from network where account_id = $1 and region = $2", args![account.to_string(), region])
}

/// The highest number of a region, as `number`; 0 if there is no network yet.
pub fn last_network(region: &str) -> Query {
    query("select coalesce(max(number), 0) as number from network where region = $1", args![region])
}

/// Guard: nobody else has the number, and the account has no other.
pub fn insert_network(account: AccountId, region: &str, number: u32) -> Query {
    query(
        "insert into network (account_id, region, number) values ($1, $2, $3) on conflict do nothing",
        args![account.to_string(), region, i64::from(number)],
    )
}
