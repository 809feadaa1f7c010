//! Which rows hold what left public addresses: of open hours, issued, and paid by the pools?

use super::own;
use super::price::read_prices;
use crate::{Query, Row, args, query};
use ebb_engine::traffic::{Coverage, Flow, Used};
use ebb_model::id::{AccountId, AddressId, RecordId};
use ebb_model::money::Price;
use ebb_model::time::{Period, Second};
use ebb_model::traffic::{Quantity, TRAFFIC_PER_UNIT, TrafficCharge, TrafficExact, TrafficRecord};
use std::collections::BTreeMap;

/// Adds bytes to what is open of an address.
pub fn add(account: AccountId, address: AddressId, stretch: Period, coverage: Coverage, bytes: i64) -> Query {
    query(
        "insert into traffic (address_id, account_id, since, until, coverage, bytes) values ($1, $2, $3, $4, $5, $6) \
         on conflict (address_id, since, coverage) do update set bytes = traffic.bytes + excluded.bytes",
        args![
            address.to_string(),
            account.to_string(),
            stretch.since.unix(),
            stretch.until.unix(),
            coverage as i64,
            bytes
        ],
    )
}

/// What is open of an account, with the terms of the addresses.
pub fn open_of(account: AccountId) -> Query {
    query(
        "select t.*, a.price, a.later, a.overseas from traffic t join address a on a.id = t.address_id \
         where t.account_id = $1 order by t.since, t.address_id, t.coverage",
        args![account.to_string()],
    )
}

/// The rows of [`open_of`].
pub fn read_flows(rows: &[Row]) -> Vec<Flow> {
    let mut flows: BTreeMap<(Second, AddressId), Flow> = BTreeMap::new();
    for row in rows {
        let (since, until) = (Second::from_unix(row.int("since")), Second::from_unix(row.int("until")));
        let address: AddressId = own(row.text("address_id"));
        // Prices of traffic change on full hours, and no stretch goes beyond one.
        let (overseas, price) = (row.int("overseas") == 1, read_prices(row).at(since));
        let period = Period { since, until };
        let flow = flows.entry((since, address)).or_insert(Flow { address, overseas, price, period, bytes: [0; 3] });
        let at = usize::try_from(row.int("coverage")).expect("one of three");
        flow.bytes[at] = row.int("bytes");
    }
    flows.into_values().collect()
}

/// What was open up to here is closed.
pub fn close(account: AccountId, until: Second) -> Query {
    query("delete from traffic where account_id = $1 and until <= $2", args![account.to_string(), until.unix()])
}

fn small(units: i128) -> i64 {
    i64::try_from(units).expect("a part of a sum that the rules bound")
}

pub fn insert_record(record: &TrafficRecord) -> Query {
    let charge = &record.charge;
    query(
        "insert into traffic_record (id, account_id, address_id, price, since, until, quantity, anywhere, overseas, \
         issued_at, vouchers_whole, vouchers) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        args![
            record.id.to_string(),
            record.account.to_string(),
            charge.address.to_string(),
            charge.price.micros(),
            charge.period.since.unix(),
            charge.period.until.unix(),
            charge.quantity.millionths(),
            charge.anywhere.millionths(),
            charge.overseas.millionths(),
            record.issued_at.unix(),
            small(charge.vouchers.units() / TRAFFIC_PER_UNIT),
            small(charge.vouchers.units() % TRAFFIC_PER_UNIT),
        ],
    )
}

pub fn records_of_account(account: AccountId, since: Second, until: Second, limit: i64) -> Query {
    query(
        "select * from traffic_record where account_id = $1 and since >= $2 and since < $3 \
         order by since, address_id limit $4",
        args![account.to_string(), since.unix(), until.unix(), limit],
    )
}

pub fn record_by_id(id: RecordId) -> Query {
    query("select * from traffic_record where id = $1", args![id.to_string()])
}

/// What records from `since` to `until` used of the pools, as a row of [`read_used`].
pub fn used_between(account: AccountId, since: Second, until: Second) -> Query {
    query(
        "select cast($2 as bigint) as month, cast(coalesce(sum(anywhere), 0) as bigint) as anywhere, \
         cast(coalesce(sum(overseas), 0) as bigint) as overseas from traffic_record \
         where account_id = $1 and since >= $2 and since < $3",
        args![account.to_string(), since.unix(), until.unix()],
    )
}

pub fn read_record(row: &Row) -> TrafficRecord {
    let quantity = |name: &str| Quantity::from_millionths(row.int(name));
    TrafficRecord {
        id: own(row.text("id")),
        account: own(row.text("account_id")),
        charge: TrafficCharge {
            address: own(row.text("address_id")),
            price: Price::from_micros(row.int("price")),
            period: Period { since: Second::from_unix(row.int("since")), until: Second::from_unix(row.int("until")) },
            quantity: quantity("quantity"),
            anywhere: quantity("anywhere"),
            overseas: quantity("overseas"),
            vouchers: TrafficExact::from_units(
                i128::from(row.int("vouchers_whole")) * TRAFFIC_PER_UNIT + i128::from(row.int("vouchers")),
            ),
        },
        issued_at: Second::from_unix(row.int("issued_at")),
    }
}

/// What is payable of the records of an account that begin at `since` or later, by price; [`read_payable`] adds it up.
pub fn payable_since(account: AccountId, since: Second) -> Query {
    query(
        "select price, cast(sum(quantity - anywhere - overseas) as bigint) as payable from traffic_record \
         where account_id = $1 and since >= $2 group by price",
        args![account.to_string(), since.unix()],
    )
}

/// The rows of [`payable_since`].
pub fn read_payable(rows: &[Row]) -> TrafficExact {
    let charge = |row: &Row| Quantity::from_millionths(row.int("payable")).charge(Price::from_micros(row.int("price")));
    rows.iter().map(charge).sum()
}

/// What closed hours used of the pools, this month and later.
pub fn used_since(account: AccountId, month: Second) -> Query {
    query("select * from traffic_pool where account_id = $1 and month >= $2", args![account.to_string(), month.unix()])
}

pub fn read_used(row: &Row) -> (Second, Used) {
    let quantity = |name: &str| Quantity::from_millionths(row.int(name));
    (Second::from_unix(row.int("month")), Used { anywhere: quantity("anywhere"), overseas: quantity("overseas") })
}

pub fn set_used(account: AccountId, month: Second, used: &Used) -> Query {
    query(
        "insert into traffic_pool (account_id, month, anywhere, overseas) values ($1, $2, $3, $4) \
         on conflict (account_id, month) do update set anywhere = excluded.anywhere, overseas = excluded.overseas",
        args![account.to_string(), month.unix(), used.anywhere.millionths(), used.overseas.millionths()],
    )
}
