//! What may come in to an instance, and how its host is told of it.

use crate::cloud::{Cloud, Directory, OPERATOR, On, Service, order};
use crate::story;
use ebb_store::Place;
use ebb_testing::TempPostgres;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

/// Buys one in these groups; its id.
async fn buy(cloud: &Cloud, who: &str, groups: &[&str]) -> String {
    let what = json!({"option": "on-demand", "flavor": "t6.small.1", "security_groups": groups});
    cloud.post(who, "/v1/instances", order(what)).await["id"].as_str().unwrap().to_owned()
}

/// What its host lets in, each as `tcp 22 0.0.0.0/0`.
async fn lets_in(cloud: &Cloud, guest: &str) -> Vec<String> {
    let told = cloud.get("operator", &format!("/v1/hosts/cn-beijing-a-1/guests/{guest}")).await;
    lines(&told["ingress"])
}

fn lines(rules: &Value) -> Vec<String> {
    let line = |rule: &Value| {
        let parts = ["protocol", "ports", "from"].map(|key| rule[key].as_str().unwrap_or("-").to_owned());
        parts.join(" ")
    };
    rules.as_array().unwrap().iter().map(line).collect()
}

async fn allow(cloud: &Cloud, who: &str, group: &str, rule: Value) -> Value {
    cloud.post(who, &format!("/v1/security-groups/{group}/allow"), rule).await
}

async fn deny(cloud: &Cloud, who: &str, group: &str, rule: Value) -> Value {
    cloud.post(who, &format!("/v1/security-groups/{group}/deny"), rule).await
}

const SSH: &str = "tcp 22 0.0.0.0/0";

story!(every_account_has_a_default_group_that_it_may_change, |cloud: Cloud| async move {
    let groups = cloud.get("individual", "/v1/security-groups").await;
    assert_eq!(groups["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&groups["items"][0]["name"], lines(&groups["items"][0]["rules"])),
        (&json!("default"), vec![SSH.to_owned()])
    );
    let (mine, theirs) = (buy(&cloud, "individual", &[]).await, buy(&cloud, "enterprise", &[]).await);
    assert_eq!(cloud.instance("individual", &mine).await["security_groups"], json!(["default"]));
    assert_eq!(
        (lets_in(&cloud, &mine).await, lets_in(&cloud, &theirs).await),
        (vec![SSH.to_owned()], vec![SSH.to_owned()])
    );

    // All instances of the account follow at once, and nobody else's.
    allow(&cloud, "individual", "default", json!({"protocol": "tcp", "ports": "443"})).await;
    allow(&cloud, "individual", "default", json!({"protocol": "ping", "from": "203.0.113.7"})).await;
    let three = [SSH, "tcp 443 0.0.0.0/0", "ping - 203.0.113.7/32"];
    assert_eq!(lets_in(&cloud, &mine).await, three);
    assert_eq!(lets_in(&cloud, &theirs).await, [SSH]);
    // Once more it changes nothing, and is not written down.
    let again = allow(&cloud, "individual", "default", json!({"protocol": "tcp", "ports": "443-443"})).await;
    assert_eq!(lines(&again["rules"]), three);
    let after = deny(&cloud, "individual", "default", json!({"protocol": "tcp", "ports": "22"})).await;
    assert_eq!(lines(&after["rules"]), three[1..]);
    assert_eq!(lets_in(&cloud, &mine).await, three[1..]);
    let later = buy(&cloud, "individual", &["default"]).await;
    assert_eq!(lets_in(&cloud, &later).await, three[1..]);
    let events = cloud.get("individual", "/v1/events?limit=1000").await;
    let changes =
        events["items"].as_array().unwrap().iter().filter(|one| one["body"]["event"] == "security-group-changed");
    assert_eq!(changes.count(), 3);
});

story!(an_instance_lets_in_what_any_of_its_groups_lets_in, |cloud: Cloud| async move {
    let make = async |name: &str, rules: Value| {
        cloud.post("individual", "/v1/security-groups", json!({"name": name, "rules": rules})).await
    };
    make("site", json!([{"protocol": "tcp", "ports": "80"}, {"protocol": "tcp", "ports": "443"}])).await;
    let games = make("games", json!([{"protocol": "udp", "ports": "7000-7010", "from": "198.51.100.77/24"}])).await;
    let one = buy(&cloud, "individual", &["site", "games"]).await;
    let udp = "udp 7000-7010 198.51.100.0/24";
    assert_eq!(lets_in(&cloud, &one).await, ["tcp 80 0.0.0.0/0", "tcp 443 0.0.0.0/0", udp]);
    cloud.wait(1).await;
    let choose = async |groups: Value| {
        let path = format!("/v1/instances/{one}/security-groups");
        cloud.post("individual", &path, json!({ "groups": groups })).await
    };
    // Changed while it lives, and told at once.
    let chosen = choose(json!([games["id"], "default", "games"])).await;
    assert_eq!(chosen["security_groups"], json!(["games", "default"]));
    assert_eq!(lets_in(&cloud, &one).await, [SSH, udp]);
    deny(&cloud, "individual", "site", json!({"protocol": "tcp", "ports": "80"})).await;
    assert_eq!(lets_in(&cloud, &one).await, [SSH, udp], "it is not in that one any more");

    let in_use = async |group: &str| {
        let (status, said) =
            cloud.ask("individual", Method::DELETE, &format!("/v1/security-groups/{group}"), None).await;
        format!("{} {}", status.as_u16(), said["code"].as_str().unwrap_or("-"))
    };
    assert_eq!(in_use("games").await, "409 security-group-in-use");
    assert_eq!(in_use("default").await, "409 security-group-default");
    assert_eq!(in_use("nothing").await, "404 not-found");
    assert_eq!(in_use("site").await, "200 -");
    assert_eq!(in_use("site").await, "404 not-found");
    choose(json!(["default"])).await;
    assert_eq!(in_use("games").await, "200 -");
    assert_eq!(lets_in(&cloud, &one).await, [SSH]);
});

story!(what_is_no_rule_or_one_too_many_is_refused, |cloud: Cloud| async move {
    let allow = async |rule: Value| cloud.refused("individual", "/v1/security-groups/default/allow", rule).await;
    let bad = (400, "bad-input".to_owned());
    for rule in [
        json!({"protocol": "tcp"}),
        json!({"protocol": "tcp", "ports": "0"}),
        json!({"protocol": "tcp", "ports": "90-80"}),
        json!({"protocol": "ping", "ports": "1"}),
        json!({"protocol": "gre"}),
        json!({"protocol": "tcp", "ports": "80", "from": "everywhere"}),
        json!({"protocol": "tcp", "ports": "80", "from": "203.0.113.0/33"}),
    ] {
        assert_eq!(allow(rule.clone()).await, bad, "{rule}");
    }
    let none = json!({"protocol": "tcp", "ports": "80"});
    assert_eq!(
        cloud.refused("individual", "/v1/security-groups/default/deny", none).await,
        (404, "not-found".to_owned())
    );
    for port in 1..50 {
        self::allow(&cloud, "individual", "default", json!({"protocol": "udp", "ports": port.to_string()})).await;
    }
    assert_eq!(allow(json!({"protocol": "udp", "ports": "50"})).await, (409, "too-many-rules".to_owned()));

    let make = async |name: &str| cloud.refused("individual", "/v1/security-groups", json!({ "name": name })).await;
    assert_eq!(make("default").await, (409, "security-group-exists".to_owned()));
    assert_eq!(make("").await, bad);
    for number in 1..20 {
        cloud.post("individual", "/v1/security-groups", json!({"name": format!("g{number}")})).await;
    }
    assert_eq!(make("g20").await, (409, "over-quota".to_owned()));
    // An auditor looks, and others' groups are nobody's.
    let theirs = json!({"option": "on-demand", "flavor": "t6.small.1", "security_groups": ["g1"]});
    assert_eq!(cloud.refused("enterprise", "/v1/instances", order(theirs)).await, (404, "not-found".to_owned()));
    let many: Vec<String> = (1..7).map(|number| format!("g{number}")).collect();
    let too_many = json!({"option": "on-demand", "flavor": "t6.small.1", "security_groups": many});
    let refused = cloud.refused("individual", "/v1/instances", order(too_many)).await;
    assert_eq!(refused, (422, "number-of-security-groups".to_owned()));
    let one = buy(&cloud, "individual", &["g1"]).await;
    let path = format!("/v1/instances/{one}/security-groups");
    let refused = cloud.refused("individual", &path, json!({"groups": []})).await;
    assert_eq!(refused, (422, "number-of-security-groups".to_owned()));
    cloud.delete("individual", &one).await;
    cloud.wait(1).await;
    assert_eq!(cloud.refused("individual", &path, json!({"groups": ["g1"]})).await, (409, "released".to_owned()));
});

/// Rules that come at the same time all hold, and of many groups as many are made as the account may have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_lose_nothing_and_pass_no_quota() {
    for on in [On::Sqlite, On::Postgres] {
        let dir = Directory::new();
        let place = match on {
            On::Sqlite => Place::Memory,
            On::Postgres => Place::Postgres(TempPostgres::start().database().await),
        };
        let service = Service::start(place, dir.identity()).await.unwrap();
        let (_, opened) = service.post(OPERATOR, "/v1/accounts", json!({"name": "Ada"})).await;
        let key = opened["key"]["secret"].as_str().unwrap();
        let ask = async |path: &str, body: Value| loop {
            let (status, _) = service.post(key, path, body.clone()).await;
            if status != 503 {
                return status;
            }
        };
        let rules = (1..=20).map(|port| json!({"protocol": "tcp", "ports": (8_000 + port).to_string()}));
        let allowed = join_all(rules.map(|rule| ask("/v1/security-groups/default/allow", rule))).await;
        assert_eq!(allowed, [200; 20]);
        let (_, default) = service.ask(key, Method::GET, "/v1/security-groups/default", Value::Null).await;
        assert_eq!(default["rules"].as_array().unwrap().len(), 21);
        let names = (0..30).map(|number| json!({"name": format!("g{number}")}));
        let made = join_all(names.map(|name| ask("/v1/security-groups", name))).await;
        assert_eq!(made.iter().filter(|status| **status == 201).count(), 19, "{made:?}");
        assert_eq!(made.iter().filter(|status| **status == 409).count(), 11, "{made:?}");
        service.stop().await;
    }
}
