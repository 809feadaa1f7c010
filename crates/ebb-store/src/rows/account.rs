//! Which rows hold an account: its money, its keys, its key pairs and its grant?

use super::many::Many;
use super::{exact, own, own_json, units};
use crate::{Query, Row, args, query};
use ebb_engine::settlement::{Purse, Totals};
use ebb_model::billing::{ByMeter, Meter, Split};
use ebb_model::id::{AccountId, ApiKeyId, InstanceId, KeyPairId};
use ebb_model::money::{Amount, Exact, Price};
use ebb_model::time::{Second, Timestamp};
use ebb_model::traffic::{TrafficExact, TrafficPaid};
use ebb_model::trial::{Holder, TrialGrant};

/// An account as its row has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    pub id: AccountId,
    pub name: String,
    pub holder: Option<Holder>,
    pub generation: i64,
    pub opened_at: Timestamp,
    /// From then on it can only be looked at.
    pub closed_at: Option<Timestamp>,
    /// Called by one of its accounts, if it has several.
    pub person: Option<AccountId>,
    pub purse: Purse,
    /// Held back for what runs and is not settled yet.
    pub held: Amount,
    pub totals: Totals,
    /// It ran an instance, ever.
    pub ran: bool,
    /// The end of the first hour that has usage and is not closed.
    pub close_at: Option<Second>,
}

pub fn read(row: &Row) -> Account {
    Account {
        id: own(row.text("id")),
        name: row.text("name").to_owned(),
        holder: row.opt_text("holder").map(holder),
        generation: row.int("generation"),
        opened_at: Timestamp::from_micros(row.int("opened_at")),
        closed_at: row.opt_int("closed_at").map(Timestamp::from_micros),
        person: row.opt_text("person").map(own),
        purse: Purse { cash: Amount::from_units(row.int("cash")), debt: Amount::from_units(row.int("debt")) },
        held: Amount::from_units(row.int("held")),
        totals: Totals {
            paid: Split {
                waived: total(row, "waived_total"),
                grant: total(row, "grant_total"),
                payable: total(row, "payable_total"),
                vouchers: total(row, "voucher_total"),
            },
            sold: sold(row),
            traffic: TrafficPaid {
                pools: traffic_exact(row.text("traffic_pools_total")),
                payable: traffic_exact(row.text("traffic_payable_total")),
                vouchers: traffic_exact(row.text("traffic_voucher_total")),
            },
        },
        ran: row.int("ran") == 1,
        close_at: row.opt_int("close_at").map(Second::from_unix),
    }
}

fn sold(row: &Row) -> ByMeter {
    let mut sold = ByMeter::default();
    for meter in Meter::ALL {
        let column = match meter {
            Meter::Compute => "compute_total",
            Meter::SystemDisk => "disk_total",
            Meter::Subscription => "subscription_total",
            Meter::DataDisk => "data_disk_total",
            Meter::Snapshot => "snapshot_total",
            Meter::Bandwidth => "bandwidth_total",
        };
        sold[meter] = total(row, column);
    }
    sold
}

/// A running total, which no column of 64 bits is sure to hold; the one of before it was text counts until it changes.
fn total(row: &Row, column: &str) -> Exact {
    row.opt_text(format!("{column}_exact").as_str())
        .map_or_else(|| exact(row.int(column)), |units| Exact::from_units(own(units)))
}

fn traffic_exact(units: &str) -> TrafficExact {
    TrafficExact::from_units(own(units))
}

/// Whose an account is: its own, where nothing else is known.
pub fn read_person(row: &Row) -> AccountId {
    own(row.opt_text("person").unwrap_or(row.text("id")))
}

/// Accounts that are known to be one person with others.
pub fn linked() -> Query {
    query("select * from account where person is not null", args![])
}

pub(super) fn holder(name: &str) -> Holder {
    own_json(&format!("\"{name}\""))
}

pub fn by_id(id: AccountId) -> Query {
    query("select * from account where id = $1", args![id.to_string()])
}

pub fn page(after: &str, limit: i64) -> Query {
    query("select * from account where id > $1 order by id limit $2", args![after, limit])
}

/// A new account has nothing yet.
pub fn new(id: AccountId, name: &str, at: Timestamp) -> Account {
    Account {
        id,
        name: name.to_owned(),
        holder: None,
        generation: 1,
        opened_at: at,
        closed_at: None,
        person: None,
        purse: Purse::default(),
        held: Amount::ZERO,
        totals: Totals::default(),
        ran: false,
        close_at: None,
    }
}

pub fn insert(id: AccountId, name: &str, at: Timestamp) -> Query {
    query(
        "insert into account (id, name, generation, opened_at, cash, debt, held, waived_total, grant_total, payable_total, \
         compute_total, disk_total, ran) values ($1, $2, 1, $3, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
        args![id.to_string(), name, at.micros()],
    )
}

/// Guard: writes the account as it is now, if nobody changed it since it was read. Whose it is, is written by who links it alone
/// ([`super::person`]).
pub fn change(account: &Account) -> Query {
    let totals = &account.totals;
    query(
        "update account set holder = $3, cash = $4, debt = $5, held = $6, waived_total_exact = $7, \
         grant_total_exact = $8, payable_total_exact = $9, compute_total_exact = $10, disk_total_exact = $11, ran = $12, close_at = $13, closed_at = $14, \
         subscription_total_exact = $15, traffic_pools_total = $16, traffic_payable_total = $17, \
         voucher_total_exact = $18, traffic_voucher_total = $19, \
         data_disk_total_exact = $20, snapshot_total_exact = $21, bandwidth_total_exact = $22, \
         generation = generation + 1 where id = $1 and generation = $2",
        args![
            account.id.to_string(),
            account.generation,
            account.holder.map(Holder::name),
            account.purse.cash.units(),
            account.purse.debt.units(),
            account.held.units(),
            totals.paid.waived.units().to_string(),
            totals.paid.grant.units().to_string(),
            totals.paid.payable.units().to_string(),
            totals.sold[Meter::Compute].units().to_string(),
            totals.sold[Meter::SystemDisk].units().to_string(),
            i64::from(account.ran),
            account.close_at.map(Second::unix),
            account.closed_at.map(|at| at.micros()),
            totals.sold[Meter::Subscription].units().to_string(),
            totals.traffic.pools.units().to_string(),
            totals.traffic.payable.units().to_string(),
            totals.paid.vouchers.units().to_string(),
            totals.traffic.vouchers.units().to_string(),
            totals.sold[Meter::DataDisk].units().to_string(),
            totals.sold[Meter::Snapshot].units().to_string(),
            totals.sold[Meter::Bandwidth].units().to_string(),
        ],
    )
}

/// The account whose hour is to be closed first.
pub fn next_close() -> Query {
    query("select id, close_at from account where close_at is not null order by close_at, id limit 1", args![])
}

/// The end of the first hour that is to be closed, as `close_at`, which may be null: found at once, however many accounts there are, and
/// however many end with it.
pub fn first_close() -> Query {
    query("select min(close_at) as close_at from account where close_at is not null", args![])
}

/// A page of the accounts with an hour that has ended by `now`, by id.
pub fn closes_by(now: Second, after: &str, limit: i64) -> Query {
    query(
        "select id, close_at from account where close_at <= $1 and id > $2 order by id limit $3",
        args![now.unix(), after, limit],
    )
}

/// A bearer key as its row has it; the secret itself is nowhere.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub account: Option<AccountId>,
    pub role: String,
    pub created_at: Timestamp,
}

/// Whether the account of a key is closed.
pub fn key_is_closed(row: &Row) -> bool {
    row.opt_int("closed_at").is_some()
}

/// With whether its account is closed.
pub fn key_by_hash(hash: &str) -> Query {
    query(
        "select k.*, a.closed_at from api_key k left join account a on a.id = k.account_id where k.hash = $1",
        args![hash],
    )
}

pub fn keys_of(account: AccountId) -> Query {
    query("select * from api_key where account_id = $1 order by id", args![account.to_string()])
}

pub fn operator_keys() -> Query {
    query("select * from api_key where role = 'operator' order by id", args![])
}

pub fn read_key(row: &Row) -> ApiKey {
    ApiKey {
        id: own(row.text("id")),
        account: row.opt_text("account_id").map(own),
        role: row.text("role").to_owned(),
        created_at: Timestamp::from_micros(row.int("created_at")),
    }
}

pub fn insert_key(key: &ApiKey, hash: &str) -> Query {
    query(
        "insert into api_key (id, hash, account_id, role, created_at) values ($1, $2, $3, $4, $5)",
        args![
            key.id.to_string(),
            hash,
            key.account.map(|id| id.to_string()),
            key.role.as_str(),
            key.created_at.micros()
        ],
    )
}

pub fn delete_key(account: AccountId, id: ApiKeyId) -> Query {
    query("delete from api_key where id = $1 and account_id = $2", args![id.to_string(), account.to_string()])
}

/// An SSH public key of an account.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyPair {
    pub id: KeyPairId,
    pub account: AccountId,
    pub name: String,
    pub public_key: String,
    pub created_at: Timestamp,
}

pub fn read_key_pair(row: &Row) -> KeyPair {
    KeyPair {
        id: own(row.text("id")),
        account: own(row.text("account_id")),
        name: row.text("name").to_owned(),
        public_key: row.text("public_key").to_owned(),
        created_at: Timestamp::from_micros(row.int("created_at")),
    }
}

pub fn key_pairs(account: AccountId) -> Query {
    query("select * from key_pair where account_id = $1 order by name", args![account.to_string()])
}

pub fn key_pair_named(account: AccountId, name: &str) -> Query {
    query("select * from key_pair where account_id = $1 and name = $2", args![account.to_string(), name])
}

pub fn key_pair_by_id(id: KeyPairId) -> Query {
    query("select * from key_pair where id = $1", args![id.to_string()])
}

pub fn insert_key_pair(pair: &KeyPair) -> Query {
    query(
        "insert into key_pair (id, account_id, name, public_key, created_at) values ($1, $2, $3, $4, $5)",
        args![
            pair.id.to_string(),
            pair.account.to_string(),
            pair.name.as_str(),
            pair.public_key.as_str(),
            pair.created_at.micros()
        ],
    )
}

/// Guard: the pair is there and no instance names it.
pub fn delete_key_pair(account: AccountId, name: &str) -> Query {
    query("delete from key_pair where account_id = $1 and name = $2", args![account.to_string(), name])
}

pub fn key_pair_in_use(id: KeyPairId) -> Query {
    query("select id from instance where key_pair_id = $1 limit 1", args![id.to_string()])
}

pub fn grant(account: AccountId) -> Query {
    query("select * from trial_grant where account_id = $1", args![account.to_string()])
}

pub fn read_grant(row: &Row) -> TrialGrant {
    TrialGrant {
        holder: holder(row.text("holder")),
        claimed_at: Second::from_unix(row.int("claimed_at")),
        valid_until: Second::from_unix(row.int("valid_until")),
        issued: exact(row.int("issued")),
        used: exact(row.int("used")),
        revoked: exact(row.int("revoked")),
        hourly_cap: Price::from_micros(row.int("hourly_cap")),
    }
}

pub fn insert_grant(account: AccountId, grant: &TrialGrant) -> Query {
    query(
        "insert into trial_grant (account_id, holder, claimed_at, valid_until, issued, used, hourly_cap) \
         values ($1, $2, $3, $4, $5, $6, $7)",
        args![
            account.to_string(),
            grant.holder.name(),
            grant.claimed_at.unix(),
            grant.valid_until.unix(),
            units(grant.issued),
            units(grant.used),
            grant.hourly_cap.micros()
        ],
    )
}

pub fn use_grant(account: AccountId, used: Exact) -> Query {
    query("update trial_grant set used = $2 where account_id = $1", args![account.to_string(), units(used)])
}

/// Takes so much of a grant away; it pays for nothing from `until` on.
pub fn revoke_grant(account: AccountId, revoked: Exact, until: Second) -> Query {
    query(
        "update trial_grant set revoked = revoked + $2, valid_until = $3 where account_id = $1",
        args![account.to_string(), units(revoked), until.unix()],
    )
}

pub fn holds(account: AccountId) -> Query {
    query("select * from hold where account_id = $1 order by instance_id", args![account.to_string()])
}

pub fn hold_of(instance: InstanceId) -> Query {
    query("select * from hold where instance_id = $1", args![instance.to_string()])
}

/// Money that is held back for an instance, until seconds of it from `since` on are settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    pub instance: InstanceId,
    pub amount: Amount,
    pub since: Second,
}

pub fn read_hold(row: &Row) -> Hold {
    Hold {
        instance: own(row.text("instance_id")),
        amount: Amount::from_units(row.int("amount")),
        since: Second::from_unix(row.int("since")),
    }
}

pub fn insert_hold(account: AccountId, instance: InstanceId, amount: Amount, since: Second) -> Query {
    query(
        "insert into hold (instance_id, account_id, amount, since) values ($1, $2, $3, $4)",
        args![instance.to_string(), account.to_string(), amount.units(), since.unix()],
    )
}

pub fn delete_hold(instance: InstanceId) -> Query {
    query("delete from hold where instance_id = $1", args![instance.to_string()])
}

pub fn delete_holds(instances: impl IntoIterator<Item = InstanceId>) -> Vec<Query> {
    static DELETE: Many = Many::new("delete from hold where instance_id in", 0);
    DELETE.ids(instances)
}
