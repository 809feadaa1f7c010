//! Which rows hold a host: its room, the orders on their way to it, and guests that nobody knows?

use super::{json, own, own_json};
use crate::{Query, Row, args, query};
use ebb_driver::protocol::ObservedGuest;
use ebb_engine::lending::Lending;
use ebb_engine::placement::Room;
use ebb_model::id::{HostId, InstanceId};
use ebb_model::resources::Resources;
use ebb_model::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// The state of a host of which nothing is awaited any more.
pub const LOST: &str = "lost";

/// A host as its row has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    pub id: HostId,
    pub name: String,
    pub zone: String,
    pub driver: String,
    /// `up`; `gap`: it has obeyed orders that this database does not know; `lost`: nothing is awaited from it any more.
    pub state: String,
    /// The newest order that was written for it.
    pub sequence: i64,
    pub seen_at: Timestamp,
    /// What its operator and its owner said.
    pub lending: Lending,
}

pub fn read(row: &Row) -> Host {
    Host {
        id: own(row.text("id")),
        name: row.text("name").to_owned(),
        zone: row.text("zone").to_owned(),
        driver: row.text("driver").to_owned(),
        state: row.text("state").to_owned(),
        sequence: row.int("sequence"),
        seen_at: Timestamp::from_micros(row.int("seen_at")),
        lending: own_json(row.text("lending")),
    }
}

pub fn all() -> Query {
    query("select * from host order by name", args![])
}

pub fn by_id(id: HostId) -> Query {
    query("select * from host where id = $1", args![id.to_string()])
}

pub fn by_name(name: &str) -> Query {
    query("select * from host where name = $1", args![name])
}

pub fn insert(host: &Host) -> Query {
    query(
        "insert into host (id, name, zone, driver, state, sequence, seen_at) values ($1, $2, $3, $4, $5, $6, $7)",
        args![
            host.id.to_string(),
            host.name.as_str(),
            host.zone.as_str(),
            host.driver.as_str(),
            host.state.as_str(),
            host.sequence,
            host.seen_at.micros()
        ],
    )
}

pub fn update(host: &Host) -> Query {
    query(
        "update host set zone = $2, driver = $3, state = $4, seen_at = $5 where id = $1",
        args![
            host.id.to_string(),
            host.zone.as_str(),
            host.driver.as_str(),
            host.state.as_str(),
            host.seen_at.micros()
        ],
    )
}

/// The host was heard until `at`.
pub fn seen(id: HostId, at: Timestamp) -> Query {
    query("update host set seen_at = $2 where id = $1 and seen_at < $2", args![id.to_string(), at.micros()])
}

/// Takes the operator's acceptance of a gap: goes on above everything that the host has obeyed.
pub fn accept_gap(id: HostId, sequence: i64) -> Query {
    query("update host set state = 'up', sequence = $2 where id = $1", args![id.to_string(), sequence])
}

/// Where the other hosts of its region reach it.
pub fn set_tunnel(id: HostId, tunnel: Option<Ipv4Addr>) -> Query {
    query("update host set tunnel = $2 where id = $1", args![id.to_string(), tunnel.map(|ip| ip.to_string())])
}

pub fn read_tunnel(row: &Row) -> Option<Ipv4Addr> {
    row.opt_text("tunnel").map(own)
}

/// The operator's images that it has; `None`: all of the catalog.
pub fn set_images(id: HostId, images: Option<&BTreeSet<String>>) -> Query {
    query("update host set images = $2 where id = $1", args![id.to_string(), images.map(json)])
}

pub fn read_images(row: &Row) -> Option<BTreeSet<String>> {
    row.opt_text("images").map(own_json)
}

pub fn set_capacity(id: HostId, resource: &str, capacity: i64) -> Query {
    query(
        "insert into host_room (host_id, resource, capacity, used, claimed, releasing) values ($1, $2, $3, 0, 0, 0) \
         on conflict (host_id, resource) do update set capacity = excluded.capacity",
        args![id.to_string(), resource, capacity],
    )
}

pub fn room_of(host: HostId) -> Query {
    query("select * from host_room where host_id = $1", args![host.to_string()])
}

/// The room of all hosts.
pub fn rooms() -> Query {
    query("select * from host_room", args![])
}

pub fn read_rooms(rows: &[Row]) -> Vec<Room> {
    let mut rooms: BTreeMap<HostId, Room> = BTreeMap::new();
    for row in rows {
        let host: HostId = own(row.text("host_id"));
        let none = Resources::default;
        let empty = || Room { host, capacity: none(), used: none(), claimed: none(), releasing: none() };
        let room = rooms.entry(host).or_insert_with(empty);
        let name = row.text("resource");
        room.capacity.set(name, row.int("capacity"));
        room.used.set(name, row.int("used"));
        room.claimed.set(name, row.int("claimed"));
        room.releasing.set(name, row.int("releasing"));
    }
    rooms.into_values().collect()
}

/// How the room of a host changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomChange {
    /// Guard: room that is free now, above what is claimed.
    Take,
    /// Guard: room that will be free. Nobody else claimed in between, and nobody went: whose going the plan counts on would not
    /// come by again to give the claim its room.
    Claim,
    /// Guard: the claim is met.
    UseClaim,
    /// Guards, these three: whoever waits for room was seen, with all the room that there is for it.
    DropClaim,
    Free,
    FreeReleasing,
    MarkReleasing,
}

/// One statement per resource; the guards among them say so above.
pub fn change_room(room: &Room, change: RoomChange, by: &Resources) -> Vec<Query> {
    let sql = match change {
        RoomChange::Take => {
            "update host_room set used = used + $3 where host_id = $1 and resource = $2 and used + $3 \
             + case when claimed > releasing then claimed - releasing else 0 end <= capacity"
        }
        RoomChange::Claim => {
            "update host_room set claimed = claimed + $3 where host_id = $1 and resource = $2 \
             and claimed = $4 and used = $5"
        }
        RoomChange::UseClaim => {
            "update host_room set used = used + $3, claimed = claimed - $3 \
             where host_id = $1 and resource = $2 and used + $3 <= capacity"
        }
        RoomChange::DropClaim => {
            "update host_room set claimed = claimed - $3 where host_id = $1 and resource = $2 \
             and claimed = $4 and (claimed = 0 or used = $5)"
        }
        RoomChange::Free => {
            "update host_room set used = used - $3 where host_id = $1 and resource = $2 \
             and claimed = $4 and (claimed = 0 or used = $5)"
        }
        RoomChange::FreeReleasing => {
            "update host_room set used = used - $3, releasing = releasing - $3 where host_id = $1 and resource = $2 \
             and claimed = $4 and (claimed = 0 or used = $5)"
        }
        RoomChange::MarkReleasing => {
            "update host_room set releasing = releasing + $3 where host_id = $1 and resource = $2"
        }
    };
    use RoomChange::{Claim, DropClaim, Free, FreeReleasing};
    let sees = matches!(change, Claim | DropClaim | Free | FreeReleasing);
    by.iter()
        .filter(|(_, amount)| *amount != 0)
        .map(|(resource, amount)| {
            let mut args = args![room.host.to_string(), resource, amount];
            if sees {
                args.extend(args![room.claimed.get(resource), room.used.get(resource)]);
            }
            query(sql, args)
        })
        .collect()
}

/// Puts a guest's order at the end of its host's queue: two statements, to be run together.
pub fn order(host: HostId, instance: InstanceId) -> [Query; 2] {
    [
        query("update host set sequence = sequence + 1 where id = $1", args![host.to_string()]),
        query(
            "insert into host_order (instance_id, host_id, sequence) \
             values ($2, $1, (select sequence from host where id = $1)) \
             on conflict (instance_id) do update set host_id = excluded.host_id, sequence = excluded.sequence",
            args![host.to_string(), instance.to_string()],
        ),
    ]
}

/// The guests whose orders the host has not had yet, in their order.
pub fn orders_after(host: HostId, sequence: i64, limit: i64) -> Query {
    query(
        "select o.sequence, i.* from host_order o join instance i on i.id = o.instance_id \
         where o.host_id = $1 and o.sequence > $2 order by o.sequence limit $3",
        args![host.to_string(), sequence, limit],
    )
}

pub fn insert_quarantine(host: HostId, observed: &ObservedGuest, at: Timestamp) -> Query {
    query(
        "insert into quarantine (instance_id, host_id, found_at, observed) values ($1, $2, $3, $4) \
         on conflict (instance_id) do update set observed = excluded.observed",
        args![observed.id.to_string(), host.to_string(), at.micros(), json(observed)],
    )
}

pub fn quarantined(host: HostId) -> Query {
    query("select * from quarantine where host_id = $1 order by instance_id", args![host.to_string()])
}

pub fn read_quarantined(row: &Row) -> (InstanceId, Timestamp, ObservedGuest) {
    (own(row.text("instance_id")), Timestamp::from_micros(row.int("found_at")), own_json(row.text("observed")))
}

pub fn end_quarantine(instance: InstanceId) -> Query {
    query("delete from quarantine where instance_id = $1", args![instance.to_string()])
}
