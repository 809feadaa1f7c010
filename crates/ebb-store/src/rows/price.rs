//! Which rows hold the price book, and who was told of a change?

use super::{json, own_json};
use crate::{Query, Row, args, query};
use ebb_engine::price_book::Entered;
use ebb_model::id::AccountId;
use ebb_model::money::Price;
use ebb_model::price::Prices;
use ebb_model::time::{Second, Timestamp};

/// How a price is written that has no date.
const EVER: i64 = i64::MIN;
/// As in [`super::bill`].
const OPEN: i64 = i64::MAX;

pub fn insert(entered: &Entered, by: &str) -> Query {
    query(
        "insert into price (item, entered_at, since, price, entered_by) values ($1, $2, $3, $4, $5)",
        args![
            entered.item.as_str(),
            entered.entered_at.micros(),
            entered.since.map_or(EVER, Second::unix),
            entered.price.micros(),
            by
        ],
    )
}

/// All that was ever entered, in order.
pub fn all() -> Query {
    query("select * from price order by entered_at, item, since", args![])
}

pub fn read(row: &Row) -> Entered {
    Entered {
        item: row.text("item").to_owned(),
        since: Some(row.int("since")).filter(|since| *since != EVER).map(Second::from_unix),
        price: Price::from_micros(row.int("price")),
        entered_at: Timestamp::from_micros(row.int("entered_at")),
    }
}

/// The later prices of something, as a column; none: there are none.
pub(super) fn write_later(prices: &Prices) -> Option<String> {
    let later: Vec<(i64, i64)> =
        prices.iter().filter_map(|dated| Some((dated.from?.unix(), dated.price.micros()))).collect();
    (!later.is_empty()).then(|| json(&later))
}

/// A first price and the later ones of such a column.
pub(super) fn read_prices(row: &Row) -> Prices {
    let later: Vec<(i64, i64)> = row.opt_text("later").map(own_json).unwrap_or_default();
    let later = later.into_iter().map(|(from, price)| (Second::from_unix(from), Price::from_micros(price)));
    Prices::new(Price::from_micros(row.int("price")), later)
}

/// Of how many units at once spans follow an item that are open, or end later than now, and which later prices they know.
pub fn followers(item: &str, now: Second) -> Query {
    query(
        "select distinct units, later from span where item = $1 and until > $2 order by units, later",
        args![item, now.unix()],
    )
}

/// The spans of such a row learn what a unit will cost. What it cost until now they know.
pub fn set_later(item: &str, row: &Row, unit: &Prices, now: Second) -> Query {
    let units = row.int("units");
    query(
        "update span set later = $5 where item = $1 and units = $2 and until > $3 and coalesce(later, '') = $4",
        args![item, units, now.unix(), known(row), relearn(row, &unit.times(units), now)],
    )
}

/// The later prices that public addresses of a region know.
pub fn senders_later(region: &str) -> Query {
    query("select distinct later from address where region = $1 order by later", args![region])
}

/// The same of the addresses of such a row.
pub fn set_later_traffic(region: &str, row: &Row, prices: &Prices, now: Second) -> Query {
    query(
        "update address set later = $3 where region = $1 and coalesce(later, '') = $2",
        args![region, known(row), relearn(row, prices, now)],
    )
}

fn known(row: &Row) -> String {
    row.opt_text("later").unwrap_or_default().to_owned()
}

/// What was, as it was known, and what is to come anew.
fn relearn(row: &Row, prices: &Prices, now: Second) -> Option<String> {
    let was: Vec<(i64, i64)> = row.opt_text("later").map(own_json).unwrap_or_default();
    let was = was.into_iter().filter(|(from, _)| *from <= now.unix());
    let later = prices.after(now).map(|(from, price)| (from.unix(), price.micros()));
    let all: Vec<(i64, i64)> = was.chain(later).collect();
    (!all.is_empty()).then(|| json(&all))
}

/// Spans that are charged by the hour and follow nothing, though they are of no block: they were opened before prices had dates. With
/// their instances.
pub fn unfollowing(limit: i64) -> Query {
    query(
        "select s.id as span_id, s.meter, i.* from span s join instance i on i.id = s.resource_id \
         where s.until = $1 and s.item is null and s.settled like '%\"hourly\"%' and i.purchase not like '%\"spot-block\"%' \
         order by s.id limit $2",
        args![OPEN, limit],
    )
}

pub fn follow(span: &str, item: &str, units: i64, prices: &Prices) -> Query {
    query(
        "update span set item = $2, units = $3, later = $4 where id = $1",
        args![span, item, units, write_later(prices)],
    )
}

/// A page of the accounts that use an item of the price book by the hour.
pub fn users(item: &str, after: &str, limit: i64) -> Query {
    query(
        "select distinct account_id from span where item = $1 and until = $2 and account_id > $3 order by account_id limit $4",
        args![item, OPEN, after, limit],
    )
}

/// The same of those with public addresses in a region.
pub fn senders(region: &str, after: &str, limit: i64) -> Query {
    query(
        "select distinct account_id from address where region = $1 and released_at is null and account_id > $2 \
         order by account_id limit $3",
        args![region, after, limit],
    )
}

/// The same of those with subscriptions; of one flavor, or of any.
pub fn subscribers(flavor: Option<&str>, after: &str, limit: i64) -> Query {
    query(
        "select distinct account_id from instance where live = 1 and purchase like '%\"subscription\"%' \
         and flavor = coalesce(cast($1 as text), flavor) and account_id > $2 order by account_id limit $3",
        args![flavor, after, limit],
    )
}

/// Of what an account was told.
pub fn told(account: AccountId, since: Second) -> Query {
    query(
        "select item, price from price_told where account_id = $1 and since = $2",
        args![account.to_string(), since.unix()],
    )
}

pub fn tell(account: AccountId, item: &str, since: Second, price: Price) -> Query {
    query(
        "insert into price_told (account_id, item, since, price) values ($1, $2, $3, $4) on conflict do nothing",
        args![account.to_string(), item, since.unix(), price.micros()],
    )
}

/// A page of the instances that are charged by the hour and are not gone.
pub fn following(after: &str, limit: i64) -> Query {
    query(
        "select * from instance where live = 1 and (purchase like '%\"on-demand\"%' or purchase like '%\"trial\"%') and id > $1 \
         order by id limit $2",
        args![after, limit],
    )
}
