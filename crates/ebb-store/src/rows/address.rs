//! Which rows hold public addresses, and how far their counters were read?

use super::many::Many;
use super::own;
use super::price::{read_prices, write_later};
use crate::{Query, Row, args, query};
use ebb_model::id::{AccountId, AddressId, HostId, InstanceId};
use ebb_model::pool::{address as ip, number};
use ebb_model::time::{Second, Timestamp};
use ebb_model::traffic::{Address, Counter, Month};

pub fn insert(new: &Address) -> Query {
    query(
        "insert into address (id, account_id, region, overseas, price, instance_id, allocated_at, month, month_bytes, later, ip, \
         mbit, bought_with) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        args![
            new.id.to_string(),
            new.account.to_string(),
            new.region.as_str(),
            i64::from(new.overseas),
            new.price.first().price.micros(),
            new.instance.map(|id| id.to_string()),
            new.allocated_at.micros(),
            new.month.since.unix(),
            new.month.bytes,
            write_later(&new.price),
            new.ip.map(number),
            new.mbit,
            new.bought_with.map(|id| id.to_string()),
        ],
    )
}

pub fn read(row: &Row) -> Address {
    let counter = row.opt_int("epoch").zip(row.opt_int("bytes")).zip(row.opt_int("read_at"));
    Address {
        id: own(row.text("id")),
        account: own(row.text("account_id")),
        region: row.text("region").to_owned(),
        ip: row.opt_int("ip").map(ip),
        overseas: row.int("overseas") == 1,
        price: read_prices(row),
        mbit: row.opt_int("mbit"),
        charged_until: row.opt_int("charged_until").map(Second::from_unix),
        instance: row.opt_text("instance_id").map(own),
        bought_with: row.opt_text("bought_with").map(own),
        allocated_at: Timestamp::from_micros(row.int("allocated_at")),
        released_at: row.opt_int("released_at").map(Timestamp::from_micros),
        counter: counter.map(|((epoch, bytes), read_at)| Counter {
            epoch,
            bytes,
            read_at: Timestamp::from_micros(read_at),
        }),
        month: Month { since: Second::from_unix(row.int("month")), bytes: row.int("month_bytes") },
    }
}

pub fn by_id(id: AddressId) -> Query {
    query("select * from address where id = $1", args![id.to_string()])
}

pub fn by_ids(ids: impl IntoIterator<Item = AddressId>) -> Vec<Query> {
    static LOOK: Many = Many::new("select * from address where id in", 0);
    LOOK.ids(ids)
}

/// A page of those of an account that are not released.
pub fn page_of(account: AccountId, after: &str, limit: i64) -> Query {
    query(
        "select * from address where account_id = $1 and released_at is null and id > $2 order by id limit $3",
        args![account.to_string(), after, limit],
    )
}

/// The same of all accounts.
pub fn page(after: &str, limit: i64) -> Query {
    query("select * from address where released_at is null and id > $1 order by id limit $2", args![after, limit])
}

/// Those that lead to an instance.
pub fn of_instance(id: InstanceId) -> Query {
    query("select * from address where instance_id = $1 order by id", args![id.to_string()])
}

/// Those of an account that have bytes in hours that are not closed.
pub fn open_of(account: AccountId) -> Query {
    query(
        "select * from address where id in (select address_id from traffic where account_id = $1) order by id",
        args![account.to_string()],
    )
}

/// How many of an account are not released, as `held`.
pub fn count_of(account: AccountId) -> Query {
    query(
        "select count(*) as held from address where account_id = $1 and released_at is null",
        args![account.to_string()],
    )
}

/// Guard: leads from this instance nowhere any more, and is kept.
pub fn unbind(id: AddressId, from: InstanceId) -> Query {
    query(
        "update address set instance_id = null, bought_with = null where id = $1 and instance_id = $2",
        args![id.to_string(), from.to_string()],
    )
}

/// Guard: leads to an instance from here on, if it led nowhere.
pub fn bind(id: AddressId, to: InstanceId) -> Query {
    query(
        "update address set instance_id = $2 where id = $1 and instance_id is null and released_at is null",
        args![id.to_string(), to.to_string()],
    )
}

/// Guard, before addresses are bound: the instance is not gone, and whoever lets it go comes after.
pub fn may_lead_to(id: InstanceId) -> Query {
    query("update instance set live = live where id = $1 and live = 1", args![id.to_string()])
}

/// Guard, when an instance goes: so many addresses lead to it, and none was bound since they were read.
pub fn lead_to(id: InstanceId, count: usize) -> Query {
    query(
        "update instance set live = live where id = $1 and (select count(*) from address where instance_id = $1) = $2",
        args![id.to_string(), i64::try_from(count).expect("fewer addresses than there are")],
    )
}

/// Guard: is released, once; its bandwidth was charged up to `charged_until`.
pub fn release(id: AddressId, at: Timestamp, charged_until: Option<Second>) -> Query {
    query(
        "update address set instance_id = null, released_at = $2, charged_until = $3 where id = $1 and released_at is null",
        args![id.to_string(), at.micros(), charged_until.map(Second::unix)],
    )
}

/// Guard: is paid otherwise, if nobody changed that since it was read.
pub fn pay_by(of: &Address, mbit: Option<i64>) -> Query {
    query(
        "update address set mbit = $2 where id = $1 and released_at is null and coalesce(mbit, 0) = $3",
        args![of.id.to_string(), mbit, of.mbit.unwrap_or(0)],
    )
}

/// Those of an account that are paid by their bandwidth and not released.
pub fn by_bandwidth(account: AccountId) -> Query {
    query(
        "select * from address where account_id = $1 and released_at is null and mbit is not null order by id",
        args![account.to_string()],
    )
}

/// Guard: its counter was read, and nobody else read it meanwhile.
pub fn counted(id: AddressId, before: Option<&Counter>, now: &Counter) -> Query {
    let (epoch, bytes) = before.map_or((-1, -1), |before| (before.epoch, before.bytes));
    query(
        "update address set epoch = $2, bytes = $3, read_at = $4 where id = $1 and coalesce(epoch, -1) = $5 \
         and coalesce(bytes, -1) = $6",
        args![id.to_string(), now.epoch, now.bytes, now.read_at.micros(), epoch, bytes],
    )
}

/// What closed hours of a month come to.
pub fn add_up(id: AddressId, month: &Month) -> Query {
    query(
        "update address set month = $2, month_bytes = $3 where id = $1",
        args![id.to_string(), month.since.unix(), month.bytes],
    )
}

/// Whether a host counts what leaves public addresses.
pub fn set_metered(host: HostId, metered: bool) -> Query {
    query("update host set metered_traffic = $2 where id = $1", args![host.to_string(), i64::from(metered)])
}

/// The same of a host's row.
pub fn is_metered(host: &Row) -> bool {
    host.int("metered_traffic") == 1
}
