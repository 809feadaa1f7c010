//! Is it found when somebody changes what is stored of a disk or a snapshot?

use crate::audits::each_is_named;
use crate::cloud::{Cloud, Directory};
use crate::disks::{ROOM, disk, tell};
use ebb_driver::fake::Behaviour;
use ebb_store::Place;
use ebb_testing::TempPostgres;
use serde_json::json;

/// What is done, to which row, how, and which check names it.
const TAMPERINGS: [[&str; 4]; 5] = [
    [
        "a disk's first second",
        "select resource_id as k from span where meter = 'data-disk' order by since limit 1",
        "update span set since = since + 1 where resource_id = $1 and since = (select min(since) from span s where s.resource_id = $1)",
        "span",
    ],
    [
        "for how many GiB a snapshot is charged",
        "select id as k from span where meter = 'snapshot' limit 1",
        "update span set units = units + 1 where id = $1",
        "span",
    ],
    [
        "since when a snapshot is charged",
        "select id as k from volume where id like 'snap-%' limit 1",
        "update volume set charged_since = charged_since - 1 where id = $1",
        "span",
    ],
    [
        "a span of a disk that there is not",
        "select id as k from span where meter = 'snapshot' limit 1",
        "update span set resource_id = 'disk-00000000000000000000000000000001' where id = $1",
        "span",
    ],
    [
        "how large a disk is",
        "select h.name as k from host h join volume v on v.host_id = h.id where v.live = 1 limit 1",
        "update volume set gib = gib + 1 where id like 'disk-%' and host_id = (select id from host where name = $1)",
        "room",
    ],
];

async fn what_is_changed_is_found(place: Place) {
    let cloud = Cloud::at(place.clone(), &ROOM, Behaviour::default()).await;
    cloud.until("09:00:00").await;
    let ada = cloud.tenant("Ada", "individual", "10").await;
    let id = disk(&cloud, &ada, 20).await;
    cloud.until("09:20:00").await;
    assert_eq!(tell(&cloud, &ada, &id, "resize", json!({"gib": 40})).await, "done");
    cloud.post(&ada, "/v1/snapshots", json!({ "disk": id })).await;
    cloud.until("10:30:00").await;
    each_is_named(&cloud, place, &TAMPERINGS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_changed_of_disks_is_found_on_sqlite() {
    let dir = Directory::new();
    what_is_changed_is_found(Place::Sqlite(dir.path().join("ebb.db"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_changed_of_disks_is_found_on_postgres() {
    what_is_changed_is_found(Place::Postgres(TempPostgres::start().database().await)).await;
}
