//! Who owes: what each state refuses, at which second it comes, and what of it is charged.

use crate::cloud::{Cloud, On, block, order};
use crate::story;
use reqwest::Method;
use serde_json::{Value, json};

/// Vcpu and memory at 0.08, the disk at 0.02.
pub fn small() -> Value {
    json!({ "option": "on-demand", "flavor": "t6.small.1" })
}

pub async fn to(cloud: &Cloud, instant: &str) {
    cloud.post("operator", "/v1/clock/advance", json!({ "to": instant })).await;
}

/// The account's events of these kinds, each as its name and what it says beside that.
pub async fn said(cloud: &Cloud, who: &str, kinds: &[&str]) -> Vec<String> {
    let page = cloud.get(who, "/v1/events?limit=1000").await;
    let bodies = page["items"].as_array().unwrap().iter().map(|event| event["body"].clone());
    let wanted = bodies.filter(|body| kinds.contains(&body["event"].as_str().unwrap()));
    let line = |body: Value| {
        let mut fields = body.as_object().unwrap().clone();
        let name = fields.remove("event").unwrap();
        let rest: Vec<_> = fields.values().map(|value| value.to_string().trim_matches('"').to_owned()).collect();
        format!("{} {}", name.as_str().unwrap(), rest.join(" "))
    };
    wanted.map(line).collect()
}

pub const OF_ARREARS: [&str; 6] =
    ["arrears-began", "freeze-soon", "account-frozen", "release-soon", "arrears-released", "arrears-cleared"];

pub async fn pay(cloud: &Cloud, who: &str, amount: &str) -> Value {
    let whoami = cloud.get(who, "/v1/whoami").await;
    let id = whoami["account"]["id"].as_str().unwrap();
    cloud.post("operator", &format!("/v1/accounts/{id}/top-ups"), json!({ "amount": amount })).await
}

pub async fn balance(cloud: &Cloud, who: &str) -> Value {
    cloud.get(who, "/v1/balance").await
}

/// Whether a request is refused, and why.
pub async fn asked(cloud: &Cloud, who: &str, method: Method, path: &str, body: Value) -> String {
    let (status, answer) = cloud.ask(who, method, path, Some(body)).await;
    match status.is_success() {
        true => "done".to_owned(),
        false => format!("{} {}", status.as_u16(), answer["code"].as_str().unwrap()),
    }
}

/// The end of what is billed of an instance, by meter.
pub async fn billed_to(cloud: &Cloud, who: &str, id: &str, meter: &str) -> String {
    let bill = cloud.get(who, "/v1/bills").await;
    let mine = bill["records"].as_array().unwrap().iter().filter(|r| r["instance"] == id && r["meter"] == meter);
    mine.map(|r| r["until"].as_str().unwrap().to_owned()).max().unwrap_or_default()
}

/// Somebody who has 0.15 and runs the smallest instance since nine: he owes 0.05 at eleven.
pub async fn ada(cloud: &Cloud) -> (String, String) {
    let ada = cloud.tenant("Ada", "individual", "0.15").await;
    cloud.until("09:00:00").await;
    let id = cloud.buy(&ada, small()).await;
    (ada, id)
}

story!(grace_freeze_and_release_come_in_their_seconds, |cloud: Cloud| async move {
    let (ada, id) = ada(&cloud).await;
    let other = cloud.buy("individual", small()).await;
    cloud.until("11:00:00").await;
    // An hour at 0.10 was paid, of the next one half.
    let owes = balance(&cloud, &ada).await;
    assert_eq!(owes["debt"], "0.05000000");
    let told = &owes["arrears"];
    assert_eq!(
        (told["state"].as_str(), told["since"].as_str(), told["next"].as_str(), told["next_at"].as_str()),
        (Some("grace"), Some("2026-03-02T03:00:00Z"), Some("freeze"), Some("2026-03-17T03:00:00Z"))
    );
    to(&cloud, "2026-03-17T03:00:00Z").await;
    assert_eq!(cloud.state(&ada, &id).await, "running");
    // 360 hours more.
    assert_eq!(balance(&cloud, &ada).await["debt"], "36.05000000");
    cloud.wait(70).await;
    let away = cloud.instance(&ada, &id).await;
    assert_eq!(
        (away["state"].as_str(), away["economical"].as_bool(), away["frozen_since"].as_str()),
        (Some("stopped"), Some(true), Some("2026-03-17T03:00:00Z"))
    );
    let whoami = cloud.get(&ada, "/v1/whoami").await;
    let path = format!("/v1/accounts/{}", whoami["account"]["id"].as_str().unwrap());
    let seen = cloud.get("operator", &path).await;
    assert_eq!(
        (seen["arrears"]["state"].as_str(), seen["arrears"]["next_at"].as_str()),
        (Some("frozen"), Some("2026-04-01T03:00:00Z"))
    );
    let all = cloud.get("operator", "/v1/accounts?limit=1000").await;
    let frozen = all["items"].as_array().unwrap().iter().filter(|one| one["arrears"]["state"] == "frozen");
    assert_eq!(frozen.map(|one| one["name"].as_str().unwrap()).collect::<Vec<_>>(), ["Ada"]);
    // For fifteen days nothing is charged, not even the disk.
    to(&cloud, "2026-04-01T03:00:00Z").await;
    let still = balance(&cloud, &ada).await;
    assert_eq!(
        (still["debt"].as_str(), still["accruing"]["payable"].as_str()),
        (Some("36.05000000"), Some("0.00000000"))
    );
    assert_eq!(cloud.state(&ada, &id).await, "stopped");
    cloud.wait(60).await;
    let gone = cloud.instance(&ada, &id).await;
    assert_eq!(
        (gone["state"].as_str(), gone["end_cause"].as_str(), gone["ended_at"].as_str()),
        (Some("released"), Some("arrears"), Some("2026-04-01T03:00:00Z"))
    );
    for meter in ["compute", "system-disk"] {
        assert_eq!(billed_to(&cloud, &ada, &id, meter).await, "2026-03-17T03:00:00Z");
    }
    assert_eq!(
        said(&cloud, &ada, &OF_ARREARS).await,
        [
            "arrears-began 0.05000000 2026-03-17T03:00:00Z 2026-03-02T03:00:00Z",
            "freeze-soon 3 2026-03-17T03:00:00Z",
            "freeze-soon 1 2026-03-17T03:00:00Z",
            "account-frozen 2026-03-17T03:00:00Z grace 2026-04-01T03:00:00Z",
            "release-soon 3 2026-04-01T03:00:00Z",
            "release-soon 1 2026-04-01T03:00:00Z",
            "arrears-released 2026-04-01T03:00:00Z",
        ]
    );
    assert_eq!(balance(&cloud, &ada).await["arrears"]["state"], "released");
    // Who pays may buy again; of others nothing was touched.
    pay(&cloud, &ada, "100").await;
    assert_eq!(balance(&cloud, &ada).await.get("arrears"), None);
    cloud.buy(&ada, small()).await;
    assert_eq!(cloud.state("individual", &other).await, "running");
});

story!(what_grace_refuses_and_what_a_freeze_does, |cloud: Cloud| async move {
    let ada = cloud.tenant("Ada", "individual", "0.95").await;
    cloud.post(&ada, "/v1/trial", json!(null)).await;
    cloud.until("09:00:00").await;
    let (runs, off) = (cloud.buy(&ada, small()).await, cloud.buy(&ada, small()).await);
    let on_trial = cloud.buy(&ada, json!({ "option": "trial", "flavor": "t6.small.1" })).await;
    let spot = cloud.buy(&ada, block(1)).await;
    let path = |id: &str, verb: &str| format!("/v1/instances/{id}/{verb}");
    cloud.post(&ada, &path(&off, "stop"), json!({ "economical": false })).await;
    cloud.wait(100).await;
    let verbs = [
        ("/v1/instances".to_owned(), order(small())),
        ("/v1/instances".to_owned(), order(block(1))),
        (path(&off, "start"), json!(null)),
        (path(&off, "resize"), json!({ "flavor": "t6.large.1" })),
        (path(&runs, "convert"), json!({ "to": "subscription", "months": 1 })),
        (path(&on_trial, "convert"), json!({ "to": "on-demand" })),
        ("/v1/drills".to_owned(), json!({ "instance": spot })),
    ];
    let others = [
        (path(&off, "stop"), json!({ "economical": true })),
        (path(&runs, "change"), json!({ "tags": { "a": "b" } })),
        ("/v1/trial/at-end".to_owned(), json!({ "choice": "stop" })),
    ];
    // Two at 0.10, and the block with its disk at 0.09 for its one hour: 0.95 are gone within five hours.
    cloud.until("14:30:00").await;
    assert_eq!(balance(&cloud, &ada).await["debt"], "0.14000000");
    assert_eq!(balance(&cloud, &ada).await["arrears"]["state"], "grace");
    for (path, body) in &verbs[..6] {
        assert_eq!(asked(&cloud, &ada, Method::POST, path, body.clone()).await, "402 arrears", "{path}");
    }
    let quote = cloud.post(&ada, "/v1/quote", order(small())).await;
    assert_eq!(quote["refused"]["code"], "arrears");
    for (path, body) in &others {
        assert_eq!(asked(&cloud, &ada, Method::POST, path, body.clone()).await, "done", "{path}");
    }
    to(&cloud, "2026-03-20T00:00:00Z").await;
    assert_eq!(balance(&cloud, &ada).await["arrears"]["state"], "frozen");
    for (path, body) in verbs.iter().chain(&others) {
        assert_eq!(asked(&cloud, &ada, Method::POST, path, body.clone()).await, "402 account-frozen", "{path}");
    }
    let quote = cloud.post(&ada, "/v1/quote", order(small())).await;
    assert_eq!(quote["refused"]["code"], "account-frozen");
    assert_eq!(cloud.stands_against(&ada).await[0], "account-frozen");
    let operations = cloud.get(&ada, &path(&runs, "operations")).await;
    let allowed = operations["items"].as_array().unwrap().iter().filter(|one| one["allowed"] == true).count();
    assert_eq!((allowed, operations["items"][0]["code"].as_str()), (0, Some("account-frozen")));
    // It may still be left, or paid for.
    assert_eq!(cloud.delete(&ada, &runs).await.0.as_u16(), 200);
    pay(&cloud, &ada, "200").await;
    assert_eq!(asked(&cloud, &ada, Method::POST, &path(&on_trial, "start"), json!(null)).await, "done");
});

story!(a_top_up_ends_it_and_what_was_frozen_is_stopped, |cloud: Cloud| async move {
    let (ada, id) = ada(&cloud).await;
    to(&cloud, "2026-03-17T03:02:00Z").await;
    assert_eq!(balance(&cloud, &ada).await["debt"], "36.05000000");
    // A part of it changes nothing.
    to(&cloud, "2026-03-18T12:00:00Z").await;
    pay(&cloud, &ada, "36").await;
    let owes = balance(&cloud, &ada).await;
    assert_eq!((owes["debt"].as_str(), owes["arrears"]["state"].as_str()), (Some("0.05000000"), Some("frozen")));
    to(&cloud, "2026-03-20T12:00:00Z").await;
    let paid = pay(&cloud, &ada, "10.05").await;
    assert_eq!((paid["cash"].as_str(), paid.get("arrears")), (Some("10.00000000"), None));
    let back = cloud.instance(&ada, &id).await;
    assert_eq!((back["state"].as_str(), back["economical"].as_bool()), (Some("stopped"), Some(true)));
    assert_eq!(back.get("frozen_since"), None);
    // From that second on its disk is charged, and nothing else: 0.02 an hour.
    to(&cloud, "2026-03-20T14:00:00Z").await;
    assert_eq!(balance(&cloud, &ada).await["cash"], "9.96000000");
    cloud.post(&ada, &format!("/v1/instances/{id}/start"), json!(null)).await;
    to(&cloud, "2026-03-20T15:00:00Z").await;
    assert_eq!(balance(&cloud, &ada).await["cash"], "9.86000000");
    let ends = said(&cloud, &ada, &["arrears-cleared", "frozen", "thawed"]).await;
    let expected =
        ["frozen 2026-03-17T03:00:00Z", "arrears-cleared 2026-03-20T12:00:00Z", "thawed 2026-03-20T12:00:00Z"];
    assert_eq!(ends, expected);
});

story!(a_top_up_in_the_second_of_a_step_comes_first, |cloud: Cloud| async move {
    let (ada, id) = ada(&cloud).await;
    to(&cloud, "2026-03-17T03:00:00.7Z").await;
    pay(&cloud, &ada, "37").await;
    cloud.wait(600).await;
    assert_eq!(cloud.state(&ada, &id).await, "running");
    assert_eq!(
        said(&cloud, &ada, &["account-frozen", "arrears-cleared"]).await,
        ["arrears-cleared 2026-03-17T03:00:00Z"]
    );
    // 0.95 were left, for nine hours and a half; of the grace nothing is.
    to(&cloud, "2026-03-17T13:00:00.999Z").await;
    let owes = balance(&cloud, &ada).await;
    assert_eq!(
        (owes["debt"].as_str(), owes["arrears"]["next_at"].as_str()),
        (Some("0.05000000"), Some("2026-03-17T13:00:00Z"))
    );
    cloud.wait(60).await;
    assert_eq!(cloud.instance(&ada, &id).await["frozen_since"], "2026-03-17T13:00:00Z");
    assert_eq!(billed_to(&cloud, &ada, &id, "system-disk").await, "2026-03-17T13:00:00Z");
    to(&cloud, "2026-04-01T13:00:00.5Z").await;
    assert_eq!(cloud.state(&ada, &id).await, "stopped");
    pay(&cloud, &ada, "1.05").await;
    cloud.wait(60).await;
    assert_eq!(cloud.state(&ada, &id).await, "stopped");
    // A second later it would have been gone. 0.02 an hour from that second on.
    to(&cloud, "2026-04-01T14:00:00Z").await;
    assert_eq!(balance(&cloud, &ada).await["cash"], "0.98000000");
    assert_eq!(said(&cloud, &ada, &["arrears-released"]).await, Vec::<String>::new());
});

story!(the_debt_limit_ends_a_grace_with_its_last_second, |cloud: Cloud| async move {
    let ada = cloud.tenant("Ada", "individual", "0.50").await;
    cloud.until("09:00:00").await;
    let id = cloud.buy(&ada, json!({ "option": "on-demand", "flavor": "c6.large.2" })).await;
    cloud.until("11:00:00").await;
    // 100.5 at 0.41 an hour are 882,439 seconds.
    let told = balance(&cloud, &ada).await["arrears"].clone();
    assert_eq!(
        (told["because"].as_str(), told["next_at"].as_str()),
        (Some("debt-limit"), Some("2026-03-12T06:07:19Z")),
        "{told}"
    );
    to(&cloud, "2026-03-12T06:07:20Z").await;
    cloud.wait(60).await;
    assert_eq!(cloud.instance(&ada, &id).await["frozen_since"], "2026-03-12T06:07:19Z");
    to(&cloud, "2026-03-12T07:00:00Z").await;
    assert_eq!(balance(&cloud, &ada).await["debt"], "99.99999722");
    assert_eq!(
        said(&cloud, &ada, &OF_ARREARS).await,
        [
            "arrears-began 0.32000000 2026-03-17T03:00:00Z 2026-03-02T03:00:00Z",
            "freeze-soon 3 2026-03-12T06:07:19Z",
            "freeze-soon 1 2026-03-12T06:07:19Z",
            "account-frozen 2026-03-12T06:07:19Z debt-limit 2026-03-27T06:07:19Z",
        ]
    );
    // A day and a half of grace are left then, if it is not used before: the limit took ten days and three hours.
    pay(&cloud, &ada, "100").await;
    cloud.post(&ada, &format!("/v1/instances/{id}/start"), json!(null)).await;
    to(&cloud, "2026-03-12T08:00:00Z").await;
    let told = balance(&cloud, &ada).await["arrears"].clone();
    // Fifteen days less 874,039 seconds, from eight o'clock on.
    assert_eq!((told["because"].as_str(), told["next_at"].as_str()), (Some("grace"), Some("2026-03-17T04:52:41Z")));
});

/// A frozen account's guests and addresses cost nothing, whatever still leaves them, and a grant is not drawn on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_and_grants_are_left_alone() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = Cloud::changed(on, &[("vcpu", 8), ("memory_mib", 32_768), ("disk_gib", 1_000)], |catalog| {
            catalog.limits.arrears.debt_limit = "1.00".parse().unwrap();
        })
        .await;
        let ada = cloud.tenant("Ada", "individual", "0.10").await;
        cloud.post(&ada, "/v1/trial", json!(null)).await;
        cloud.until("09:00:00").await;
        let on_trial = cloud.buy(&ada, json!({ "option": "trial", "flavor": "t6.small.1" })).await;
        let what = json!({ "option": "on-demand", "flavor": "t6.small.1", "public_ip": true });
        let id = cloud.buy(&ada, what).await;
        let address = cloud.instance(&ada, &id).await["public_address"].as_str().unwrap().to_owned();
        // 1.10 at 0.10 an hour.
        cloud.until("20:00:00").await;
        let used = cloud.get(&ada, "/v1/trial").await["settled"].clone();
        assert_eq!(used, "1.10000000");
        let bytes = json!({ "bytes": 500_000_000_000_i64 });
        cloud.post(&ada, &format!("/v1/addresses/{address}/traffic"), bytes).await;
        cloud.wait(120).await;
        assert_eq!(balance(&cloud, &ada).await["arrears"]["frozen_since"], "2026-03-02T12:00:00Z");
        to(&cloud, "2026-03-10T00:00:00Z").await;
        assert_eq!(cloud.get(&ada, "/v1/trial").await["settled"], used);
        let owes = balance(&cloud, &ada).await;
        assert_eq!(
            (owes["debt"].as_str(), owes["accruing"]["payable"].as_str()),
            (Some("1.00000000"), Some("0.00000000"))
        );
        assert_eq!(cloud.get(&ada, "/v1/addresses").await["items"].as_array().unwrap().len(), 1);
        // With the instances their addresses go, and what was kept of others.
        to(&cloud, "2026-03-17T12:02:00Z").await;
        for id in [&id, &on_trial] {
            assert_eq!(cloud.instance(&ada, id).await["end_cause"], "arrears");
        }
        assert_eq!(cloud.get(&ada, "/v1/addresses").await["items"], json!([]));
        cloud.nothing_broke().await;
    }
}
