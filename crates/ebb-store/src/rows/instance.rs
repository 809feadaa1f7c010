//! Which rows hold an instance, and what did the planner decide about it?

use super::many::Many;
use super::{json, own, own_json};
use crate::{Query, Row, args, query};
use ebb_model::id::{AccountId, HostId, InstanceId, KeyPairId, SecurityGroupId};
use ebb_model::instance::{Instance, State};
use ebb_model::money::Price;
use ebb_model::network::Place;
use ebb_model::resources::Resources;
use ebb_model::security_group::SecurityGroup;
use ebb_model::time::{Second, Timestamp};

/// What is known beside the state: what its host reported, and where it stands in its network.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// The host's word, where nobody told it the address.
    pub address: Option<String>,
    pub place: Option<Place>,
    /// What may come in to it; none: what its account's default group says.
    pub security_groups: Vec<SecurityGroupId>,
    pub notice_readable_at: Option<Timestamp>,
    pub notice_read_at: Option<Timestamp>,
}

pub fn read(row: &Row) -> Instance {
    Instance {
        id: own(row.text("id")),
        account: own(row.text("account_id")),
        name: row.text("name").to_owned(),
        zone: row.text("zone").to_owned(),
        host: own(row.text("host_id")),
        flavor: row.text("flavor").to_owned(),
        image: row.text("image").to_owned(),
        key_pair: row.opt_text("key_pair_id").map(own::<KeyPairId>),
        resources: own_json(row.text("resources")),
        purchase: own_json(row.text("purchase")),
        disk_price: Price::from_micros(row.int("disk_price")),
        created_at: Timestamp::from_micros(row.int("created_at")),
        tags: own_json(row.text("tags")),
        keep: own_json(row.text("keep")),
        has_room: row.int("has_room") == 1,
        took_room: row.int("took_room") == 1,
        first_running: row.opt_int("first_running").map(Second::from_unix),
        in_use_since: row.opt_int("in_use_since").map(Second::from_unix),
        end_announced: row.int("end_announced") == 1,
        disk_revision: row.int("disk_revision"),
        frozen_since: row.opt_int("frozen_since").map(Second::from_unix),
        generation: row.int("generation"),
        state: own_json(row.text("state")),
    }
}

pub fn read_seen(row: &Row) -> Seen {
    Seen {
        address: row.opt_text("address").map(str::to_owned),
        place: row.opt_text("place").map(own_json),
        security_groups: row.opt_text("security_groups").map_or_else(Vec::new, own_json),
        notice_readable_at: row.opt_int("notice_readable_at").map(Timestamp::from_micros),
        notice_read_at: row.opt_int("notice_read_at").map(Timestamp::from_micros),
    }
}

pub fn by_id(id: InstanceId) -> Query {
    query("select * from instance where id = $1", args![id.to_string()])
}

pub fn by_ids(ids: impl IntoIterator<Item = InstanceId>) -> Vec<Query> {
    static LOOK: Many = Many::new("select * from instance where id in", 0);
    LOOK.ids(ids)
}

/// A page of an account's instances, newest last.
pub fn of_account(account: AccountId, after: &str, limit: i64) -> Query {
    query(
        "select * from instance where account_id = $1 and id > $2 order by id limit $3",
        args![account.to_string(), after, limit],
    )
}

pub fn page(after: &str, limit: i64) -> Query {
    query("select * from instance where id > $1 order by id limit $2", args![after, limit])
}

pub fn live_page_of(account: AccountId, after: &str, limit: i64) -> Query {
    query(
        "select * from instance where account_id = $1 and id > $2 and live = 1 order by id limit $3",
        args![account.to_string(), after, limit],
    )
}

pub fn live_page(after: &str, limit: i64) -> Query {
    query("select * from instance where id > $1 and live = 1 order by id limit $2", args![after, limit])
}

pub fn live_of_account(account: AccountId) -> Query {
    query("select * from instance where account_id = $1 and live = 1 order by id", args![account.to_string()])
}

/// Its trial instances, also those that ended after `at`, oldest first.
pub fn trials_beyond(account: AccountId, at: Second) -> Query {
    query(
        "select * from instance where purchase like '%\"trial\"%' and id in \
         (select id from instance where account_id = $1 and live = 1 \
         union select resource_id from span where account_id = $1 and until > $2) order by id",
        args![account.to_string(), at.unix()],
    )
}

/// Those not yet released, and those that were charged after `at`, oldest first.
pub fn beyond(account: AccountId, at: Second) -> Query {
    query(
        "select * from instance where id in (select id from instance where account_id = $1 and live = 1 \
         union select resource_id from span where account_id = $1 and until > $2 and meter <> 'subscription') order by id",
        args![account.to_string(), at.unix()],
    )
}

/// How many of them there are, as `live`.
pub fn count_live_of_account(account: AccountId) -> Query {
    query("select count(*) as live from instance where account_id = $1 and live = 1", args![account.to_string()])
}

/// Where instances are that are not released, and how many.
pub fn live_zones() -> Query {
    query("select zone, count(*) as live from instance where live = 1 group by zone order by zone", args![])
}

/// The account's instances that are on their way out: a notice is out, or charge has ended.
pub fn leaving(account: AccountId) -> Query {
    query(
        "select * from instance where account_id = $1 and live = 1 \
         and (state like '%\"reclaiming\"%' or state like '%\"releasing\"%') order by id",
        args![account.to_string()],
    )
}

/// Whether a trial instance of the account was ever released after it ran.
pub fn released_trial(account: AccountId) -> Query {
    query(
        "select id from instance where account_id = $1 and live = 0 and first_running is not null \
         and purchase like '%\"trial\"%' limit 1",
        args![account.to_string()],
    )
}

/// The live instances on a host, oldest first.
pub fn on_host(host: HostId) -> Query {
    query("select * from instance where host_id = $1 and live = 1 order by id", args![host.to_string()])
}

/// The resources of an account's spot blocks not yet released, and how many have them, as `blocks`.
pub fn spot_of_account(account: AccountId) -> Query {
    query(
        "select resources, count(*) as blocks from instance where account_id = $1 and live = 1 \
         and purchase like '%\"spot-block\"%' group by resources",
        args![account.to_string()],
    )
}

/// What they have together, and how many they are, as `instances`.
pub fn sum_spot(rows: &[Row]) -> Resources {
    let mut spot = Resources::default();
    for row in rows {
        let (resources, blocks): (Resources, i64) = (own_json(row.text("resources")), row.int("blocks"));
        let all = Resources::of(resources.iter().map(|(kind, amount)| (kind, amount * blocks)));
        spot = spot.plus(&all);
        spot.set("instances", spot.get("instances") + blocks);
    }
    spot
}

/// How many orders of an account made others go since then, as `takings`: a purchase once, however often it was planned, and
/// each start after an economical stop.
pub fn takings(account: AccountId, since: Timestamp) -> Query {
    query(
        "select count(*) as takings from (select distinct d.instance_id, \
         case when d.at > i.first_running * 1000000 then d.at else 0 end as start_at \
         from decision d join instance i on i.id = d.instance_id join decision_victim v on v.decision_id = d.id \
         where i.account_id = $1 and d.at > $2) as taken",
        args![account.to_string(), since.micros()],
    )
}

/// The hosts of which something may be heard that an account pays for. What was lost is not charged until it is heard of again.
pub fn hosts_of(account: AccountId) -> Query {
    query(
        "select host_id, count(*) as instances from (\
         select host_id from instance where account_id = $1 and live = 1 and state not like '{\"state\":\"lost\"%' \
         and (first_running is not null or state not like '{\"state\":\"waiting\"%') \
         union all select host_id from volume where account_id = $1 and live = 1 and unavailable_since is null) as there \
         group by host_id",
        args![account.to_string()],
    )
}

/// The hosts from which a word is still to come about trial instances of the account that were charged.
pub fn hosts_of_trials(account: AccountId) -> Query {
    query(
        "select distinct host_id from instance where account_id = $1 and live = 1 and first_running is not null \
         and purchase like '%\"trial\"%' and state not like '{\"state\":\"lost\"%'",
        args![account.to_string()],
    )
}

/// The instance that has something due first.
pub fn next_due() -> Query {
    query("select id, due_at from instance where due_at is not null order by due_at, id limit 1", args![])
}

pub fn insert(instance: &Instance, due_at: Option<Timestamp>) -> Query {
    query(
        "insert into instance (id, account_id, name, zone, host_id, flavor, image, key_pair_id, resources, purchase, \
         disk_price, created_at, tags, keep, took_room, first_running, end_announced, generation, state, live, due_at, \
         has_room, in_use_since) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)",
        args![
            instance.id.to_string(),
            instance.account.to_string(),
            instance.name.as_str(),
            instance.zone.as_str(),
            instance.host.to_string(),
            instance.flavor.as_str(),
            instance.image.as_str(),
            instance.key_pair.map(|id| id.to_string()),
            json(&instance.resources),
            json(&instance.purchase),
            instance.disk_price.micros(),
            instance.created_at.micros(),
            json(&instance.tags),
            json(&instance.keep),
            i64::from(instance.took_room),
            instance.first_running.map(Second::unix),
            i64::from(instance.end_announced),
            instance.generation,
            json(&instance.state),
            live(instance),
            due_at.map(Timestamp::micros),
            i64::from(instance.has_room),
            instance.in_use_since.map(Second::unix),
        ],
    )
}

/// Guard: writes the next state, if the instance is still in the generation that was read.
pub fn change(seen_generation: i64, next: &Instance, due_at: Option<Timestamp>) -> Query {
    query(
        "update instance set generation = $3, state = $4, live = $5, due_at = $6, first_running = $7, \
         end_announced = $8, host_id = $9, took_room = $10, has_room = $11, in_use_since = $12, purchase = $13, frozen_since = $14, \
         disk_price = $15 \
         where id = $1 and generation = $2",
        args![
            next.id.to_string(),
            seen_generation,
            next.generation,
            json(&next.state),
            live(next),
            due_at.map(Timestamp::micros),
            next.first_running.map(Second::unix),
            i64::from(next.end_announced),
            next.host.to_string(),
            i64::from(next.took_room),
            i64::from(next.has_room),
            next.in_use_since.map(Second::unix),
            json(&next.purchase),
            next.frozen_since.map(Second::unix),
            next.disk_price.micros(),
        ],
    )
}

/// Where a new one stands in its network, and what may come in to it.
pub fn furnish(id: InstanceId, place: &Place, groups: &[SecurityGroupId]) -> Query {
    query(
        "update instance set place = $2, security_groups = $3 where id = $1",
        args![id.to_string(), json(place), (!groups.is_empty()).then(|| json(&groups))],
    )
}

/// Guard: other groups say what may come in to it.
pub fn choose_groups(id: InstanceId, groups: &[SecurityGroupId]) -> Query {
    query(
        "update instance set security_groups = $2 where id = $1 and live = 1",
        args![id.to_string(), (!groups.is_empty()).then(|| json(&groups))],
    )
}

/// The live instances that a security group lets something in to; those of the default one name none.
pub fn in_group(group: &SecurityGroup) -> Query {
    let sql = match group.is_default() {
        true => {
            "select * from instance where account_id = $1 and live = 1 \
             and (security_groups is null or security_groups like $2) order by id"
        }
        false => "select * from instance where account_id = $1 and live = 1 and security_groups like $2 order by id",
    };
    query(sql, args![group.account.to_string(), format!("%{}%", group.id)])
}

/// Another flavor, beside a change of the same instance, which is the guard.
pub fn resize(next: &Instance) -> Query {
    query(
        "update instance set flavor = $2, resources = $3, purchase = $4 where id = $1",
        args![next.id.to_string(), next.flavor.as_str(), json(&next.resources), json(&next.purchase)],
    )
}

/// Of another image, and its disk to be made anew.
pub fn reinstall(next: &Instance) -> Query {
    query(
        "update instance set image = $2, disk_revision = $3 where id = $1",
        args![next.id.to_string(), next.image.as_str(), next.disk_revision],
    )
}

/// Guard: it is as it was read.
pub fn unchanged(seen: &Instance) -> Query {
    query(
        "update instance set generation = $2 where id = $1 and generation = $2",
        args![seen.id.to_string(), seen.generation],
    )
}

/// Guard: its owner's words about it, which are nothing to its life and its host.
pub fn change_words(of: &Instance) -> Query {
    query(
        "update instance set tags = $2, keep = $3 where id = $1 and live = 1",
        args![of.id.to_string(), json(&of.tags), json(&of.keep)],
    )
}

/// Says anew when something is due for an instance that stays as it is.
pub fn set_due(of: &Instance, due_at: Option<Timestamp>) -> Query {
    query(
        "update instance set due_at = $3 where id = $1 and generation = $2",
        args![of.id.to_string(), of.generation, due_at.map(Timestamp::micros)],
    )
}

fn live(instance: &Instance) -> i64 {
    i64::from(!matches!(instance.state, State::Released { .. }))
}

/// What the host saw beside the state; an instant once known stays.
pub fn see(id: InstanceId, seen: &Seen) -> Query {
    query(
        "update instance set address = coalesce($2, address), notice_readable_at = coalesce(notice_readable_at, $3), \
         notice_read_at = coalesce(notice_read_at, $4) where id = $1",
        args![
            id.to_string(),
            seen.address.clone(),
            seen.notice_readable_at.map(Timestamp::micros),
            seen.notice_read_at.map(Timestamp::micros)
        ],
    )
}

pub fn insert_user_data(id: InstanceId, content: &str) -> Query {
    query("insert into user_data (instance_id, content) values ($1, $2)", args![id.to_string(), content])
}

pub fn user_data(id: InstanceId) -> Query {
    query("select content from user_data where instance_id = $1", args![id.to_string()])
}
