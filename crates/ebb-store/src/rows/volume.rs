//! Which rows hold data disks and snapshots, the orders about them, and volumes that nobody knows?

use super::many::Many;
use super::{json, own, own_json};
use crate::{Query, Row, args, query};
use ebb_driver::protocol::ObservedVolume;
use ebb_model::disk::Volume;
use ebb_model::id::{AccountId, HostId, InstanceId, SnapshotId};
use ebb_model::time::{Second, Timestamp};
use ebb_model::volume::{DiskOf, VolumeId};

pub fn insert(new: &Volume) -> Query {
    query(
        "insert into volume (id, account_id, name, region, zone, host_id, gib, made_of, created_at, tags, bought_with, \
         charged_since, unavailable_since, generation, state, instance_id, live) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        args![
            new.id.to_string(),
            new.account.to_string(),
            new.name.as_str(),
            new.region.as_str(),
            new.zone.as_str(),
            new.host.to_string(),
            new.gib,
            json(&new.made_of),
            new.created_at.micros(),
            json(&new.tags),
            new.bought_with.map(|id| id.to_string()),
            new.charged_since.map(Second::unix),
            new.unavailable_since.map(Second::unix),
            new.generation,
            json(&new.state),
            new.state.instance().map(|id| id.to_string()),
            i64::from(new.is_live()),
        ],
    )
}

/// Guard: the next state, if nobody changed it since.
pub fn change(seen_generation: i64, next: &Volume) -> Query {
    query(
        "update volume set name = $3, gib = $4, tags = $5, bought_with = $6, charged_since = $7, unavailable_since = $8, \
         generation = $9, state = $10, instance_id = $11, live = $12 where id = $1 and generation = $2",
        args![
            next.id.to_string(),
            seen_generation,
            next.name.as_str(),
            next.gib,
            json(&next.tags),
            next.bought_with.map(|id| id.to_string()),
            next.charged_since.map(Second::unix),
            next.unavailable_since.map(Second::unix),
            next.generation,
            json(&next.state),
            next.state.instance().map(|id| id.to_string()),
            i64::from(next.is_live()),
        ],
    )
}

pub fn read(row: &Row) -> Volume {
    Volume {
        id: id(row.text("id")),
        account: own(row.text("account_id")),
        name: row.text("name").to_owned(),
        region: row.text("region").to_owned(),
        zone: row.text("zone").to_owned(),
        host: own(row.text("host_id")),
        gib: row.int("gib"),
        made_of: own_json(row.text("made_of")),
        created_at: Timestamp::from_micros(row.int("created_at")),
        tags: own_json(row.text("tags")),
        bought_with: row.opt_text("bought_with").map(own),
        charged_since: row.opt_int("charged_since").map(Second::from_unix),
        unavailable_since: row.opt_int("unavailable_since").map(Second::from_unix),
        generation: row.int("generation"),
        state: own_json(row.text("state")),
    }
}

fn id(text: &str) -> VolumeId {
    own(text)
}

pub fn by_id(id: VolumeId) -> Query {
    query("select * from volume where id = $1", args![id.to_string()])
}

pub fn by_ids(ids: impl IntoIterator<Item = VolumeId>) -> Vec<Query> {
    static LOOK: Many = Many::new("select * from volume where id in", 0);
    LOOK.ids(ids)
}

/// A page of one kind, by the beginning of their ids, of an account or of all; those that have room on their hosts, or all that ever were.
pub fn page(account: Option<AccountId>, kind: Kind, all: bool, after: &str, limit: i64) -> Query {
    query(
        "select * from volume where (account_id = $1 or $1 = '') and id like $2 and (live = 1 or $3 = 1) and id > $4 \
         order by id limit $5",
        args![account.map(|id| id.to_string()).unwrap_or_default(), kind.pattern(), i64::from(all), after, limit],
    )
}

/// What an id begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Disks,
    Snapshots,
}

impl Kind {
    fn pattern(self) -> &'static str {
        match self {
            Kind::Disks => "disk-%",
            Kind::Snapshots => "snap-%",
        }
    }
}

/// Those of an account that have room on their hosts, in the order of their birth.
pub fn live_of_account(account: AccountId) -> Query {
    query("select * from volume where account_id = $1 and live = 1 order by id", args![account.to_string()])
}

/// Every one that an account ever had, page by page.
pub fn of_account(account: AccountId, after: &str, limit: i64) -> Query {
    query(
        "select * from volume where account_id = $1 and id > $2 order by id limit $3",
        args![account.to_string(), after, limit],
    )
}

/// Those that have room on a host.
pub fn on_host(host: HostId) -> Query {
    query("select * from volume where host_id = $1 and live = 1 order by id", args![host.to_string()])
}

/// The same of all hosts, page by page.
pub fn live_page(after: &str, limit: i64) -> Query {
    query("select * from volume where live = 1 and id > $1 order by id limit $2", args![after, limit])
}

/// Those that an instance has, will have or still holds.
pub fn of_instance(instance: InstanceId) -> Query {
    query("select * from volume where instance_id = $1 order by id", args![instance.to_string()])
}

/// What is being made of a disk.
pub fn copies_of(disk: DiskOf) -> Query {
    let made_of = json(&ebb_model::disk::MadeOf::Disk { disk });
    query(
        "select * from volume where made_of = $1 and live = 1 and state like '{\"state\":\"creating\"%' order by id",
        args![made_of],
    )
}

/// Disks that are being made of a snapshot.
pub fn disks_being_made_of(snapshot: SnapshotId) -> Query {
    let made_of = json(&ebb_model::disk::MadeOf::Snapshot { snapshot });
    query(
        "select * from volume where made_of = $1 and live = 1 and state like '{\"state\":\"creating\"%' order by id",
        args![made_of],
    )
}

/// Puts an order about it at the end of its host's queue: two statements, to be run together.
pub fn order(host: HostId, volume: VolumeId) -> [Query; 2] {
    [
        query("update host set sequence = sequence + 1 where id = $1", args![host.to_string()]),
        query(
            "insert into volume_order (volume_id, host_id, sequence) \
             values ($2, $1, (select sequence from host where id = $1)) \
             on conflict (volume_id) do update set host_id = excluded.host_id, sequence = excluded.sequence",
            args![host.to_string(), volume.to_string()],
        ),
    ]
}

/// Those about which the host has not had the newest order yet, in their order.
pub fn orders_after(host: HostId, sequence: i64, limit: i64) -> Query {
    query(
        "select o.sequence, v.* from volume_order o join volume v on v.id = o.volume_id \
         where o.host_id = $1 and o.sequence > $2 order by o.sequence limit $3",
        args![host.to_string(), sequence, limit],
    )
}

/// Whether a host keeps data disks and makes snapshots.
pub fn set_has_volumes(host: HostId, has: bool) -> Query {
    query("update host set has_volumes = $2 where id = $1", args![host.to_string(), i64::from(has)])
}

/// The same of a host's row.
pub fn has_volumes(host: &Row) -> bool {
    host.int("has_volumes") == 1
}

pub fn insert_quarantine(host: HostId, observed: &ObservedVolume, at: Timestamp) -> Query {
    query(
        "insert into volume_quarantine (volume_id, host_id, found_at, observed) values ($1, $2, $3, $4) \
         on conflict (volume_id) do update set observed = excluded.observed",
        args![observed.id.to_string(), host.to_string(), at.micros(), json(observed)],
    )
}

pub fn quarantined(host: HostId) -> Query {
    query("select * from volume_quarantine where host_id = $1 order by volume_id", args![host.to_string()])
}

pub fn read_quarantined(row: &Row) -> (VolumeId, Timestamp) {
    (id(row.text("volume_id")), Timestamp::from_micros(row.int("found_at")))
}

pub fn end_quarantine(volume: VolumeId) -> Query {
    query("delete from volume_quarantine where volume_id = $1", args![volume.to_string()])
}
