//! Is an image sold where a host has it, with the memory that it needs, and nowhere else?

use crate::cloud::{Cloud, Directory, OPERATOR, On, Service, order};
use crate::receiver::until;
use ebb_driver::fake::{Behaviour, FakeHost};
use ebb_model::resources::Resources;
use ebb_store::Place;
use ebb_testing::TempPostgres;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tokio::net::UnixListener;

const ROOM: [(&str, i64); 3] = [("vcpu", 64), ("memory_mib", 262_144), ("disk_gib", 10_000)];

fn wants(image: &str, zone: &str) -> Value {
    order(json!({"option": "on-demand", "flavor": "t6.small.1", "image": image, "zone": zone}))
}

fn text(of: &Value, key: &str) -> String {
    of[key].as_str().unwrap_or_else(|| panic!("{key} of {of}")).to_owned()
}

fn guests(host: &Mutex<FakeHost>) -> BTreeSet<String> {
    host.lock().unwrap().hello().guests.iter().map(|guest| guest.id.to_string()).collect()
}

/// Of three hosts one has all images. What needs one of those goes there, though others would be fuller by it; where no host has it
/// it is refused, before anything is ordered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_goes_where_its_image_is() {
    for on in [On::Sqlite, On::Postgres] {
        let dir = Directory::new();
        let place = match on {
            On::Sqlite => Place::Memory,
            On::Postgres => Place::Postgres(TempPostgres::start().database().await),
        };
        let lend = |name: &str, zone: &str, has_all: bool, vcpu: i64, gib: i64| {
            let mut room = Resources::of(ROOM);
            room.set("vcpu", vcpu);
            room.set("disk_gib", gib);
            let mut host = FakeHost::new(name, zone, room, Behaviour::default());
            host.images = (!has_all).then(|| BTreeSet::from(["ebb-guest".to_owned()]));
            Arc::new(Mutex::new(host))
        };
        let hosts = [
            lend("few", "cn-beijing-a", false, 7, 5_000),
            lend("all", "cn-beijing-a", true, 4, 10_000),
            lend("far", "cn-hongkong-a", false, 64, 10_000),
        ];
        let (mut sockets, mut says) = (vec![], vec![]);
        for (at, host) in hosts.iter().enumerate() {
            let socket = dir.path().join(format!("{at}.sock"));
            let (say, said) = tokio::sync::mpsc::channel(8);
            tokio::spawn(crate::traffic::talk(UnixListener::bind(&socket).unwrap(), host.clone(), said));
            sockets.push(socket);
            says.push(say);
        }
        let service = Service::with_hosts(place, dir.identity(), sockets).await.unwrap();
        let (_, opened) = service.post(OPERATOR, "/v1/accounts", json!({"name": "Ada"})).await;
        let (id, key) = (text(&opened["account"], "id"), text(&opened["key"], "secret"));
        service.post(OPERATOR, &format!("/v1/accounts/{id}/verification"), json!({"holder": "individual"})).await;
        service.post(OPERATOR, &format!("/v1/accounts/{id}/top-ups"), json!({"amount": "100"})).await;
        let buy = async |image: &str, zone: &str| service.post(&key, "/v1/instances", wants(image, zone)).await;
        until("all hosts to be there", async || {
            let (_, known) = service.ask(OPERATOR, Method::GET, "/v1/hosts", Value::Null).await;
            known["items"]
                .as_array()
                .is_some_and(|all| all.len() == 3 && all.iter().all(|one| one["connected"] == true))
        })
        .await;

        let refused = buy("debian-12", "cn-hongkong-a").await;
        assert_eq!((refused.0, text(&refused.1, "code").as_str()), (409, "image-not-there"));
        let said = text(&refused.1, "message");
        assert!(said.contains("no host of zone `cn-hongkong-a` has image `debian-12`"), "{said}");
        let quote = service.post(&key, "/v1/quote", wants("debian-12", "cn-hongkong-a")).await;
        assert_eq!((quote.0, text(&quote.1, "code").as_str()), (409, "image-not-there"));
        let (_, there) = service.ask(&key, Method::GET, "/v1/instances", Value::Null).await;
        assert_eq!(there["items"], json!([]));

        // The smaller disk is left fuller by any order; what has another image goes by that.
        let (status, small) = buy("ebb-guest", "cn-beijing-a").await;
        assert_eq!(status, 201);
        let mut debians = BTreeSet::new();
        for _ in 0..3 {
            let (status, bought) = buy("debian-12", "cn-beijing-a").await;
            assert_eq!(status, 201, "{bought}");
            debians.insert(text(&bought, "id"));
        }
        until("each to be where its image is", async || {
            guests(&hosts[1]) == debians && guests(&hosts[0]) == BTreeSet::from([text(&small, "id")])
        })
        .await;
        // Nor is its disk made anew of one that is not there.
        let path = format!("/v1/instances/{}/system-disk", text(&small, "id"));
        let refused = service.post(&key, &path, json!({"image": "debian-12"})).await;
        assert_eq!((refused.0, text(&refused.1, "code").as_str()), (409, "image-not-beside-disk"));

        // Room where the image is not is none for it.
        let other = async |image: &str| {
            let mut large = wants(image, "cn-beijing-a");
            large["flavor"] = json!("c6.large.2");
            let (_, quote) = service.post(&key, "/v1/quote", large).await;
            text(&quote, "available")
        };
        assert_eq!((other("ebb-guest").await, other("debian-12").await), ("now".to_owned(), "no".to_owned()));

        // The host says hello again, and has it now.
        hosts[2].lock().unwrap().images = None;
        says[2].send(vec![]).await.unwrap();
        until("the far host to have it", async || buy("debian-12", "cn-hongkong-a").await.0 == 201).await;
        service.stop().await;
    }
}

#[tokio::test]
async fn an_image_has_the_memory_that_it_needs() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = Cloud::changed(on, &ROOM, |catalog| {
            let debian = catalog.images.iter_mut().find(|image| image.id == "debian-12").unwrap();
            debian.memory_mib = 2_048;
        })
        .await;
        let wants = |flavor: &str| order(json!({"option": "on-demand", "flavor": flavor, "image": "debian-12"}));
        for path in ["/v1/instances", "/v1/quote"] {
            let refused = cloud.refused("enterprise", path, wants("t6.small.1")).await;
            assert_eq!(refused, (422, "image-needs-memory".to_owned()));
        }
        let bought = cloud.post("enterprise", "/v1/instances", wants("c6.large.2")).await;
        let path = format!("/v1/instances/{}", text(&bought, "id"));
        cloud.wait(1).await;
        cloud.post("enterprise", &format!("{path}/stop"), json!(null)).await;
        cloud.wait(90).await;
        let smaller = json!({"flavor": "t6.small.1"});
        let refused = cloud.refused("enterprise", &format!("{path}/resize"), smaller).await;
        assert_eq!(refused, (422, "image-needs-memory".to_owned()));
        let other =
            cloud.post("enterprise", "/v1/instances", order(json!({"option": "on-demand", "flavor": "t6.small.1"})));
        let path = format!("/v1/instances/{}/system-disk", text(&other.await, "id"));
        let refused = cloud.refused("enterprise", &path, json!({"image": "debian-12"})).await;
        assert_eq!(refused, (422, "image-needs-memory".to_owned()));
    }
}
