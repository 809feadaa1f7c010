//! Private places and public addresses: who gets which, when again, and what a host is told of them.

use crate::cloud::{Cloud, Directory, OPERATOR, On, Service, order};
use crate::receiver::until;
use crate::story;
use ebb_driver::fake::{Behaviour, FakeHost};
use ebb_model::catalog::Catalog;
use ebb_model::resources::Resources;
use ebb_store::Place;
use ebb_testing::TempPostgres;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use tokio::net::UnixListener;

const GB: i64 = 1_000_000_000;
const ROOM: [(&str, i64); 3] = [("vcpu", 64), ("memory_mib", 262_144), ("disk_gib", 10_000)];

fn small() -> Value {
    json!({"option": "on-demand", "flavor": "t6.small.1"})
}

async fn buy(cloud: &Cloud, who: &str, what: Value) -> Value {
    cloud.post(who, "/v1/instances", order(what)).await
}

fn text(of: &Value, key: &str) -> String {
    of[key].as_str().unwrap_or_else(|| panic!("no {key} in {of}")).to_owned()
}

/// What the first host of a zone was told of a guest.
async fn surroundings(cloud: &Cloud, zone: &str, guest: &str) -> Value {
    cloud.get("operator", &format!("/v1/hosts/{zone}-1/guests/{guest}")).await
}

async fn allocate(cloud: &Cloud, who: &str, region: &str) -> Value {
    cloud.post(who, "/v1/addresses", json!({ "region": region })).await
}

async fn bind(cloud: &Cloud, who: &str, address: &str, instance: &str) -> Value {
    cloud.post(who, &format!("/v1/addresses/{address}/bind"), json!({ "instance": instance })).await
}

async fn unbind(cloud: &Cloud, who: &str, address: &str) -> Value {
    cloud.post(who, &format!("/v1/addresses/{address}/unbind"), json!(null)).await
}

async fn names(cloud: &Cloud, who: &str) -> Vec<String> {
    let events = cloud.get(who, "/v1/events?limit=1000").await;
    let all = events["items"].as_array().unwrap().iter().map(|event| text(&event["body"], "event"));
    all.filter(|name| name.starts_with("address-")).collect()
}

/// On both databases, with ranges of its own in the first region.
async fn with_ranges<F: Future<Output = ()>>(private: &str, public: &[&str], body: impl Fn(Cloud) -> F) {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = Cloud::changed(on, &ROOM, |catalog: &mut Catalog| {
            catalog.regions[0].private_range = private.parse().unwrap();
            catalog.regions[0].public_addresses = public.iter().map(|range| range.parse().unwrap()).collect();
        })
        .await;
        body(cloud.clone()).await;
        cloud.nothing_broke().await;
    }
}

story!(a_purchase_says_at_once_where_the_instance_stands, |cloud: Cloud| async move {
    let first = buy(&cloud, "individual", small()).await;
    let second = buy(&cloud, "individual", small()).await;
    let other = buy(&cloud, "enterprise", small()).await;
    let far =
        buy(&cloud, "individual", json!({"option": "on-demand", "flavor": "t6.small.1", "zone": "cn-hongkong-a"}))
            .await;
    let at = |one: &Value| text(one, "private_address").parse::<Ipv4Addr>().unwrap();
    let near = [at(&first), at(&second), at(&other)];
    assert_eq!(near.iter().collect::<BTreeSet<_>>().len(), 3, "one guest's alone, whoever's it is: {near:?}");
    let range: ebb_model::network::Place =
        serde_json::from_value(json!({"network": 1, "address": "10.64.0.16", "range": "10.64.0.0/10"})).unwrap();
    assert!(near.iter().chain([&at(&far)]).all(|one| range.range.contains(one)));

    cloud.wait(1).await;
    let id = text(&first, "id");
    let shown = cloud.instance("individual", &id).await;
    assert_eq!((&shown["private_address"], &shown["state"]), (&first["private_address"], &json!("running")));
    // Two of one account are in one network there, and the others in others.
    let network =
        async |one: &Value, zone: &str| surroundings(&cloud, zone, &text(one, "id")).await["network"].as_i64().unwrap();
    let here = "cn-beijing-a";
    let networks = [network(&first, here).await, network(&second, here).await, network(&other, here).await];
    assert_eq!(networks, [1, 1, 2]);
    assert_eq!(network(&far, "cn-hongkong-a").await, 1, "each region counts its own");
    assert_eq!(surroundings(&cloud, here, &id).await["private_address"], first["private_address"]);

    cloud.delete("individual", &id).await;
    cloud.wait(1).await;
    assert_eq!(cloud.instance("individual", &id).await["private_address"], json!(null), "it keeps nothing");
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_rests_before_it_is_given_again_and_a_full_range_says_so() {
    // A /27 has 15 addresses for guests.
    with_ranges("10.9.0.0/27", &["203.0.113.8/31"], |cloud| async move {
        let mut bought = vec![];
        for _ in 0..15 {
            bought.push(buy(&cloud, "enterprise", small()).await);
        }
        let all: BTreeSet<String> = bought.iter().map(|one| text(one, "private_address")).collect();
        assert_eq!(all.len(), 15, "{all:?}");
        let full = (409, "no-private-address-left".to_owned());
        assert_eq!(cloud.refused("enterprise", "/v1/instances", order(small())).await, full);
        cloud.delete("enterprise", &text(&bought[7], "id")).await;
        cloud.wait(599).await;
        assert_eq!(cloud.refused("enterprise", "/v1/instances", order(small())).await, full);
        assert_eq!(cloud.refused("individual", "/v1/instances", order(small())).await, full);
        cloud.wait(1).await;
        let again = buy(&cloud, "individual", small()).await;
        assert_eq!(again["private_address"], bought[7]["private_address"]);

        // The same of public ones, of which there are two.
        let (one, two) =
            (allocate(&cloud, "individual", "cn-beijing").await, allocate(&cloud, "enterprise", "cn-beijing").await);
        let both = BTreeSet::from([text(&one, "ip"), text(&two, "ip")]);
        assert_eq!(both, BTreeSet::from(["203.0.113.8".to_owned(), "203.0.113.9".to_owned()]));
        let full = (409, "no-public-address-left".to_owned());
        let body = json!({"region": "cn-beijing"});
        assert_eq!(cloud.refused("individual", "/v1/addresses", body.clone()).await, full);
        cloud.ask("individual", Method::DELETE, &format!("/v1/addresses/{}", text(&one, "id")), None).await;
        cloud.wait(599).await;
        assert_eq!(cloud.refused("enterprise", "/v1/addresses", body).await, full);
        cloud.wait(1).await;
        assert_eq!(allocate(&cloud, "enterprise", "cn-beijing").await["ip"], one["ip"]);
    })
    .await;
}

story!(an_address_is_bound_unbound_and_bound_elsewhere, |cloud: Cloud| async move {
    let (web, db) = (buy(&cloud, "individual", small()).await, buy(&cloud, "individual", small()).await);
    let (web, db) = (text(&web, "id"), text(&db, "id"));
    let address = allocate(&cloud, "individual", "cn-beijing").await;
    assert_eq!((&address["instance"], &address["region"]), (&json!(null), &json!("cn-beijing")));
    let (id, ip) = (text(&address, "id"), text(&address, "ip"));
    let send = async |bytes: i64| {
        cloud
            .ask("individual", Method::POST, &format!("/v1/addresses/{id}/traffic"), Some(json!({"bytes": bytes})))
            .await
            .0
    };
    assert_eq!(send(GB).await, 409, "it leads nowhere");
    cloud.wait(1).await;
    bind(&cloud, "individual", &id, &web).await;
    let shown = cloud.instance("individual", &web).await;
    assert_eq!(shown["public_addresses"], json!([{"id": id, "ip": ip}]));
    let of_web = surroundings(&cloud, "cn-beijing-a", &web).await;
    assert_eq!(of_web["public_addresses"], json!([{"id": id, "ip": ip}]));
    assert_eq!(send(2 * GB).await, 200);
    // Its host reads the counter before it takes the address away, at once.
    unbind(&cloud, "individual", &id).await;
    assert_eq!(surroundings(&cloud, "cn-beijing-a", &web).await["public_addresses"], json!([]));
    let left =
        async || cloud.get("individual", "/v1/addresses").await["items"][0]["bytes_this_month"].as_i64().unwrap();
    assert_eq!(left().await, 2 * GB);
    assert_eq!(send(GB).await, 409);

    bind(&cloud, "individual", &id, &db).await;
    assert_eq!(send(3 * GB).await, 200);
    cloud.until("10:00:00").await;
    assert_eq!(left().await, 5 * GB);
    let bill = cloud.get("individual", "/v1/bills").await;
    let lines: Vec<&str> =
        bill["traffic"].as_array().unwrap().iter().map(|one| one["quantity"].as_str().unwrap()).collect();
    assert_eq!(lines, ["5.000000"]);
    // It goes with the instance, if its owner wants so.
    cloud.post("individual", &format!("/v1/instances/{db}/change"), json!({"keep_public_ip": false})).await;
    cloud.delete("individual", &db).await;
    cloud.wait(1).await;
    let said = ["address-allocated", "address-bound", "address-unbound", "address-bound", "address-released"];
    assert_eq!(names(&cloud, "individual").await, said);
});

story!(what_cannot_be_bound_is_refused, |cloud: Cloud| async move {
    let web = text(&buy(&cloud, "individual", small()).await, "id");
    let far = json!({"option": "on-demand", "flavor": "t6.small.1", "zone": "cn-hongkong-a"});
    let far = text(&buy(&cloud, "individual", far).await, "id");
    let theirs = text(&buy(&cloud, "enterprise", small()).await, "id");
    let address = text(&allocate(&cloud, "individual", "cn-beijing").await, "id");
    let refused = async |address: &str, instance: &str| {
        cloud.refused("individual", &format!("/v1/addresses/{address}/bind"), json!({ "instance": instance })).await
    };
    assert_eq!(refused(&address, &far).await, (409, "other-region".to_owned()));
    assert_eq!(refused(&address, &theirs).await, (404, "not-found".to_owned()));
    let unbind_path = format!("/v1/addresses/{address}/unbind");
    assert_eq!(cloud.refused("individual", &unbind_path, json!(null)).await, (409, "address-unbound".to_owned()));
    assert_eq!(cloud.refused("enterprise", &unbind_path, json!(null)).await, (404, "not-found".to_owned()));
    bind(&cloud, "individual", &address, &web).await;
    assert_eq!(refused(&address, &web).await, (409, "address-bound".to_owned()));
    for _ in 0..4 {
        let more = text(&allocate(&cloud, "individual", "cn-beijing").await, "id");
        bind(&cloud, "individual", &more, &web).await;
    }
    assert_eq!(cloud.instance("individual", &web).await["public_addresses"].as_array().unwrap().len(), 5);
    let sixth = text(&allocate(&cloud, "individual", "cn-beijing").await, "id");
    assert_eq!(refused(&sixth, &web).await, (409, "too-many-addresses".to_owned()));
    cloud.wait(5).await;
    let going = text(&buy(&cloud, "individual", small()).await, "id");
    cloud.delete("individual", &going).await;
    assert_eq!(refused(&sixth, &going).await, (409, "released".to_owned()));
    cloud.ask("individual", Method::DELETE, &format!("/v1/addresses/{sixth}"), None).await;
    assert_eq!(refused(&sixth, &web).await, (409, "address-released".to_owned()));
    let body = json!({"region": "mars"});
    assert_eq!(cloud.refused("individual", "/v1/addresses", body).await, (422, "unknown-region".to_owned()));
    let both = json!({"region": "cn-beijing", "zone": "cn-beijing-a"});
    assert_eq!(cloud.refused("individual", "/v1/addresses", both).await, (400, "bad-input".to_owned()));
    // All five stay when it goes, since nobody said otherwise.
    cloud.delete("individual", &web).await;
    cloud.wait(1).await;
    let kept = cloud.get("individual", "/v1/addresses").await;
    assert_eq!(kept["items"].as_array().unwrap().len(), 5);
    assert!(kept["items"].as_array().unwrap().iter().all(|one| one["instance"].is_null()));
});

story!(who_owes_or_is_not_verified_gets_no_address, |cloud: Cloud| async move {
    let body = json!({"region": "cn-beijing"});
    let opened = cloud.post("operator", "/v1/accounts", json!({"name": "Ada"})).await;
    let key = text(&opened["key"], "secret");
    assert_eq!(cloud.refused(&key, "/v1/addresses", body.clone()).await, (403, "unverified".to_owned()));
    let poor = cloud.tenant("Poor", "individual", "1").await;
    let bought = buy(&cloud, &poor, json!({"option": "on-demand", "flavor": "t6.small.1", "public_ip": true})).await;
    let sent = json!({"bytes": 50 * GB});
    cloud.post(&poor, &format!("/v1/addresses/{}/traffic", text(&bought, "public_address")), sent).await;
    cloud.until("10:00:00").await;
    assert_eq!(cloud.refused(&poor, "/v1/addresses", body).await, (402, "arrears".to_owned()));
    // In its grace all that it has goes on; what leads somewhere may lead nowhere.
    unbind(&cloud, &poor, &text(&bought, "public_address")).await;
});

/// So many are asked for at once; exactly as many are given as the account may have, and each has a number of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_get_no_more_addresses_than_the_quota() {
    for on in [On::Sqlite, On::Postgres] {
        let dir = Directory::new();
        let place = match on {
            On::Sqlite => Place::Memory,
            On::Postgres => Place::Postgres(TempPostgres::start().database().await),
        };
        let mut catalog = Cloud::catalog();
        catalog.limits.addresses_per_account = 7;
        catalog.regions[0].public_addresses = vec!["203.0.113.0/28".parse().unwrap()];
        let service = Service::selling(catalog, place, dir.identity()).await.unwrap();
        let mut keys = vec![];
        for name in ["Ada", "Ben"] {
            let (_, opened) = service.post(OPERATOR, "/v1/accounts", json!({"name": name})).await;
            let id = text(&opened["account"], "id");
            service.post(OPERATOR, &format!("/v1/accounts/{id}/verification"), json!({"holder": "individual"})).await;
            keys.push(text(&opened["key"], "secret"));
        }
        let ask = async |key: &String| {
            // One that lost to others too often may ask again.
            loop {
                let (status, answer) = service.post(key, "/v1/addresses", json!({"region": "cn-beijing"})).await;
                if status != 503 {
                    return (status, answer);
                }
            }
        };
        let answers = join_all(keys.iter().flat_map(|key| std::iter::repeat_n(key, 15)).map(ask)).await;
        let given: Vec<String> =
            answers.iter().filter(|(status, _)| *status == 201).map(|(_, one)| text(one, "ip")).collect();
        assert_eq!(given.len(), 14, "{answers:?}");
        assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), 14, "{given:?}");
        let refused: BTreeSet<String> =
            answers.iter().filter(|(status, _)| *status != 201).map(|(_, one)| text(one, "code")).collect();
        assert_eq!(refused, BTreeSet::from(["over-quota".to_owned()]));
        for key in &keys {
            let (_, limits) = service.ask(key, Method::GET, "/v1/limits", Value::Null).await;
            let addresses =
                limits["items"].as_array().unwrap().iter().find(|one| one["name"] == "public addresses").unwrap();
            assert_eq!((&addresses["used"], &addresses["most"]), (&json!(7), &json!(7)));
        }
        service.stop().await;
    }
}

/// Hosts behind sockets hear of each other, of a new one and of one that is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_of_a_region_are_told_by_which_addresses_they_reach_each_other() {
    let dir = Directory::new();
    let far = |name: &str, zone: &str, tunnel: Option<[u8; 4]>| {
        let mut host = FakeHost::new(name, zone, Resources::of(ROOM), Behaviour::default());
        host.tunnel = tunnel.map(Ipv4Addr::from);
        Arc::new(Mutex::new(host))
    };
    let hosts = [
        far("one", "cn-beijing-a", Some([192, 0, 2, 1])),
        far("two", "cn-beijing-a", Some([192, 0, 2, 2])),
        far("elsewhere", "cn-hongkong-a", Some([192, 0, 2, 3])),
        far("alone", "cn-beijing-a", None),
    ];
    let (mut sockets, mut says) = (vec![], vec![]);
    for (at, host) in hosts.iter().enumerate() {
        let socket = dir.path().join(format!("{at}.sock"));
        let (say, said) = tokio::sync::mpsc::channel(8);
        tokio::spawn(crate::traffic::talk(UnixListener::bind(&socket).unwrap(), host.clone(), said));
        sockets.push(socket);
        says.push(say);
    }
    let service = Service::with_hosts(Place::Memory, dir.identity(), sockets).await.unwrap();
    let peers =
        |at: usize| -> Vec<String> { hosts[at].lock().unwrap().peers.iter().map(ToString::to_string).collect() };
    until("one and two to know each other", async || peers(0) == ["192.0.2.2"] && peers(1) == ["192.0.2.1"]).await;
    assert_eq!((peers(2), peers(3)), (vec![], vec![]));
    // It comes back with another address.
    hosts[1].lock().unwrap().tunnel = Some(Ipv4Addr::new(192, 0, 2, 9));
    says[1].send(vec![]).await.unwrap();
    until("one to hear of it", async || peers(0) == ["192.0.2.9"]).await;
    assert_eq!(peers(1), ["192.0.2.1"]);
    service.stop().await;
}
