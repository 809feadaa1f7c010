//! Which rows hold accounts' own images, and their copies on hosts?

use super::{json, own, own_json};
use crate::{Query, Row, args, query};
use ebb_model::id::{AccountId, DiskId, HostId, ImageId};
use ebb_model::image::{CopyState, CustomImage, ImageCopy, ImageState, Origin};
use ebb_model::time::Timestamp;

pub fn insert(new: &CustomImage) -> Query {
    query(
        "insert into image (id, account_id, name, origin, created_at, generation, state, live) \
         values ($1, $2, $3, $4, $5, $6, $7, 1)",
        args![
            new.id.to_string(),
            new.account.to_string(),
            new.name.as_str(),
            json(&new.origin),
            new.created_at.micros(),
            new.generation,
            json(&new.state),
        ],
    )
}

/// Guard: the next state, if nobody changed it since.
pub fn change(seen_generation: i64, next: &CustomImage) -> Query {
    let live = !matches!(next.state, ImageState::Deleted { .. } | ImageState::Failed { .. });
    query(
        "update image set generation = $3, state = $4, live = $5 where id = $1 and generation = $2",
        args![next.id.to_string(), seen_generation, next.generation, json(&next.state), i64::from(live)],
    )
}

/// Guard: it is as it was read.
pub fn unchanged(seen: &CustomImage) -> Query {
    query(
        "update image set generation = $2 where id = $1 and generation = $2",
        args![seen.id.to_string(), seen.generation],
    )
}

pub fn read(row: &Row) -> CustomImage {
    CustomImage {
        id: own(row.text("id")),
        account: own(row.text("account_id")),
        name: row.text("name").to_owned(),
        origin: own_json(row.text("origin")),
        created_at: Timestamp::from_micros(row.int("created_at")),
        generation: row.int("generation"),
        state: own_json(row.text("state")),
    }
}

pub fn by_id(id: ImageId) -> Query {
    query("select * from image where id = $1", args![id.to_string()])
}

/// A page of those that an account has or that are shared with it, but for what is deleted.
pub fn page_for(account: AccountId, after: &str, limit: i64) -> Query {
    query(
        "select * from image where (account_id = $1 or id in (select image_id from image_share where account_id = $1)) \
         and id > $2 and state not like '{\"state\":\"deleted\"%' order by id limit $3",
        args![account.to_string(), after, limit],
    )
}

/// The same of all accounts.
pub fn page(after: &str, limit: i64) -> Query {
    query(
        "select * from image where id > $1 and state not like '{\"state\":\"deleted\"%' order by id limit $2",
        args![after, limit],
    )
}

/// How many an account has, as `live`.
pub fn count_of(account: AccountId) -> Query {
    query("select count(*) as live from image where account_id = $1 and live = 1", args![account.to_string()])
}

/// Those that are fetched from somewhere and not there yet.
pub fn fetching() -> Query {
    query(
        "select * from image where live = 1 and state like '{\"state\":\"importing\"%' and origin like '{\"from\":\"url\"%' \
         order by id",
        args![],
    )
}

/// Those that are being made of a data disk.
pub fn importing_of(disk: DiskId) -> Query {
    query(
        "select * from image where live = 1 and state like '{\"state\":\"importing\"%' and origin = $1 order by id",
        args![json(&Origin::DataDisk { disk })],
    )
}

/// An instance that is not released and has it, as `id`.
pub fn used_by(id: ImageId) -> Query {
    query("select id from instance where image = $1 and live = 1 order by id limit 1", args![id.to_string()])
}

pub fn share(id: ImageId, with: AccountId) -> Query {
    query(
        "insert into image_share (account_id, image_id) values ($1, $2) on conflict do nothing",
        args![with.to_string(), id.to_string()],
    )
}

pub fn unshare(id: ImageId, with: AccountId) -> Query {
    query("delete from image_share where account_id = $1 and image_id = $2", args![with.to_string(), id.to_string()])
}

/// Whom it is shared with, as `account_id`.
pub fn shares(id: ImageId) -> Query {
    query("select account_id from image_share where image_id = $1 order by account_id", args![id.to_string()])
}

/// Whether it is shared with one: a row, if it is.
pub fn shared_with(id: ImageId, with: AccountId) -> Query {
    query(
        "select account_id from image_share where account_id = $1 and image_id = $2",
        args![with.to_string(), id.to_string()],
    )
}

/// The copy as it is from now on, with its order at the end of its host's queue: two statements, to be run together.
pub fn order(copy: &ImageCopy) -> [Query; 2] {
    [
        query("update host set sequence = sequence + 1 where id = $1", args![copy.host.to_string()]),
        query(
            "insert into image_copy (image_id, host_id, generation, state, sequence) \
             values ($2, $1, $3, $4, (select sequence from host where id = $1)) \
             on conflict (image_id, host_id) do update set generation = excluded.generation, state = excluded.state, \
             sequence = excluded.sequence",
            args![copy.host.to_string(), copy.image.to_string(), copy.generation, name(copy.state)],
        ),
    ]
}

/// Guard: it is there, as its host said of the order of this generation.
pub fn there(copy: &ImageCopy) -> Query {
    query(
        "update image_copy set state = 'there' where image_id = $1 and host_id = $2 and generation = $3 and state = 'making'",
        args![copy.image.to_string(), copy.host.to_string(), copy.generation],
    )
}

pub fn forget(copy: &ImageCopy) -> Query {
    query(
        "delete from image_copy where image_id = $1 and host_id = $2",
        args![copy.image.to_string(), copy.host.to_string()],
    )
}

pub fn copy_on(id: ImageId, host: HostId) -> Query {
    query("select * from image_copy where image_id = $1 and host_id = $2", args![id.to_string(), host.to_string()])
}

pub fn copies(id: ImageId) -> Query {
    query("select * from image_copy where image_id = $1 order by host_id", args![id.to_string()])
}

/// Those about which a host has not had the newest order yet, each with its image, in their order.
pub fn orders_after(host: HostId, sequence: i64, limit: i64) -> Query {
    query(
        "select c.image_id, c.host_id, c.generation as copy_generation, c.state as copy_state, c.sequence, i.* \
         from image_copy c join image i on i.id = c.image_id \
         where c.host_id = $1 and c.sequence > $2 order by c.sequence limit $3",
        args![host.to_string(), sequence, limit],
    )
}

/// The copies that are not there yet, each with its image.
pub fn making() -> Query {
    query(
        "select c.image_id, c.host_id, c.generation as copy_generation, c.state as copy_state, c.sequence, i.* \
         from image_copy c join image i on i.id = c.image_id where c.state = 'making' order by c.image_id, c.host_id",
        args![],
    )
}

pub fn read_copy(row: &Row) -> ImageCopy {
    ImageCopy {
        image: own(row.text("image_id")),
        host: own(row.text("host_id")),
        generation: row.int("generation"),
        state: state(row.text("state")),
    }
}

/// Of a row that has the image, too.
pub fn read_joined(row: &Row) -> (ImageCopy, CustomImage) {
    let copy = ImageCopy {
        image: own(row.text("image_id")),
        host: own(row.text("host_id")),
        generation: row.int("copy_generation"),
        state: state(row.text("copy_state")),
    };
    (copy, read(row))
}

fn name(of: CopyState) -> &'static str {
    match of {
        CopyState::Making => "making",
        CopyState::There => "there",
        CopyState::Going => "going",
    }
}

fn state(name: &str) -> CopyState {
    own_json(&format!("\"{name}\""))
}
