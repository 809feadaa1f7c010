//! Bad input: each a clear error with its own code, and nothing half done.

use crate::cloud::{Cloud, Directory, block, order};
use crate::story;
use ebb_driver::fake::Behaviour;
use ebb_server::{DeliveryConfig, ServeConfig, sample_catalog, serve};
use ebb_store::Place;
use ebb_testing::TempPostgres;
use reqwest::Method;
use serde_json::{Value, json};

story!(orders_that_the_catalog_does_not_allow, |cloud: Cloud| async move {
    let cases = [
        (json!({"option": "spot-block", "flavor": "c9.huge", "hours": 1}), 422, "unknown-flavor"),
        (json!({"option": "spot-block", "flavor": "c6.large.2", "zone": "moon-a"}), 422, "unknown-zone"),
        (json!({"option": "on-demand", "flavor": "c6.large.2", "image": "dos"}), 422, "unknown-image"),
        (json!({"option": "spot-block", "flavor": "t6.small.1", "hours": 1}), 422, "not-on-sale"),
        (block(0), 422, "hours-not-sold"),
        (block(7), 422, "hours-not-sold"),
        (block(-1), 422, "hours-not-sold"),
        (block(i64::MAX), 422, "hours-not-sold"),
        (
            json!({"option": "spot-block", "flavor": "c6.large.2", "hours": 3, "periods": 2}),
            422,
            "periods-need-six-hours",
        ),
        (json!({"option": "spot-block", "flavor": "c6.large.2", "hours": 6, "periods": 5}), 422, "too-many-periods"),
        (json!({"option": "spot-block", "flavor": "c6.large.2", "hours": 6, "periods": 0}), 422, "no-periods"),
        (json!({"option": "on-demand", "flavor": "c6.large.2", "hours": 3}), 422, "hours-without-block"),
        (json!({"option": "rent", "flavor": "c6.large.2"}), 400, "bad-input"),
        (json!({"option": "on-demand", "flavor": "c6.large.2", "price": 1}), 400, "bad-input"),
        (json!({"option": "on-demand", "flavor": "c6.large.2", "name": "a\u{7}b"}), 400, "bad-input"),
        (json!({"option": "on-demand", "flavor": "c6.large.2", "name": " "}), 400, "bad-input"),
        (json!({"option": "on-demand", "flavor": "c6.large.2", "name": "x".repeat(200_000)}), 400, "bad-input"),
        (json!({"option": "on-demand", "flavor": "c6.large.2", "name": "x".repeat(2_000_000)}), 413, "too-large"),
        (json!({"option": "on-demand", "flavor": "c6.large.2", "user_data": "x".repeat(40_000)}), 400, "bad-input"),
        (json!({"option": "on-demand", "flavor": "c6.large.2", "key_pair": "nobody"}), 404, "not-found"),
        (json!({"option": "on-demand", "flavor": "c6.large.2", "expected_price": "0.38"}), 409, "price-changed"),
        (json!({"option": "on-demand", "flavor": "c6.large.2", "expected_price": "cheap"}), 400, "bad-input"),
        (json!({"option": "trial", "flavor": "c6.large.2"}), 409, "no-trial-grant"),
    ];
    for (what, status, code) in cases {
        let shown = what.to_string().chars().take(100).collect::<String>();
        assert_eq!(
            cloud.refused("enterprise", "/v1/instances", order(what)).await,
            (status, code.to_owned()),
            "{shown}"
        );
    }
    assert_eq!(cloud.get("enterprise", "/v1/instances?state=all").await["items"], json!([]));
    assert_eq!(cloud.get("enterprise", "/v1/balance").await["held"], "0.00000000");
});

story!(bytes_that_are_no_request, |cloud: Cloud| async move {
    for bytes in [&b"{"[..], b"[]", b"\"\xff\xfe\"", b"{\"option\": 1}", b"nul"] {
        let client = reqwest::Client::new();
        let url = format!("{}/v1/instances", cloud.endpoint);
        let sent = client.post(url).bearer_auth("ebb_sandbox_enterprise").body(bytes.to_vec()).send().await.unwrap();
        assert_eq!(sent.status(), 400, "{bytes:?}");
        let problem: Value = serde_json::from_str(&sent.text().await.unwrap()).unwrap();
        assert_eq!(problem["code"], "bad-input", "{bytes:?}");
    }
    let (status, problem) = cloud.ask("enterprise", Method::PATCH, "/v1/instances", None).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (404, Some("no-route")));
    for path in ["/v1/instances?limit=many", "/v1/instances?after=%00", "/v1/instances/%FF", "/v1/instances/%00"] {
        let (status, problem) = cloud.ask("enterprise", Method::GET, path, None).await;
        assert_eq!((status.as_u16(), problem["code"].as_str()), (400, Some("bad-input")), "{path}");
        assert!(!problem["request_id"].as_str().unwrap().is_empty(), "{path}");
    }
    assert_eq!(cloud.ask("enterprise", Method::DELETE, "/v1/key-pairs/%00", None).await.0, 400);
    let named = json!({"option": "on-demand", "flavor": "c6.large.2", "key_pair": "\0"});
    assert_eq!(cloud.refused("enterprise", "/v1/instances", order(named)).await, (400, "bad-input".to_owned()));

    // What anybody may make up is not counted one by one.
    let method = Method::from_bytes(b"SURPRISE").unwrap();
    cloud.ask("", method, "/v1/instances", None).await;
    let metrics = reqwest::get(format!("{}/metrics", cloud.endpoint)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("method=\"other\"") && !metrics.contains("SURPRISE"), "{metrics}");
});

story!(keys_and_roles, |cloud: Cloud| async move {
    for key in ["", "ebb_wrong", "ebb_", "nobody"] {
        let (status, problem) = cloud.ask(key, Method::GET, "/v1/balance", None).await;
        assert_eq!((status.as_u16(), problem["code"].as_str()), (401, Some("no-key")), "{key}");
    }
    let owner = cloud.tenant("Ada", "individual", "100").await;
    let account = cloud.get(&owner, "/v1/whoami").await["account"]["id"].as_str().unwrap().to_owned();
    let keys = format!("/v1/accounts/{account}/keys");
    let member = cloud.post(&owner, &keys, json!({"role": "member"})).await["secret"].as_str().unwrap().to_owned();
    let auditor = cloud.post(&owner, &keys, json!({"role": "auditor"})).await["secret"].as_str().unwrap().to_owned();
    assert_eq!(cloud.refused(&owner, &keys, json!({"role": "operator"})).await.1, "bad-input");
    assert_eq!(cloud.refused(&member, &keys, json!({"role": "member"})).await.1, "role");

    let id = cloud.buy(&member, block(1)).await;
    assert_eq!(cloud.refused(&auditor, "/v1/instances", order(block(1))).await.1, "role");
    assert_eq!(cloud.refused(&auditor, &format!("/v1/instances/{id}/stop"), json!(null)).await.1, "role");
    assert_eq!(cloud.refused(&member, "/v1/trial", json!(null)).await.1, "role");
    assert_eq!(cloud.refused(&owner, &format!("/v1/instances/{id}/reclaim"), json!(null)).await.1, "role");
    let top_ups = format!("/v1/accounts/{account}/top-ups");
    assert_eq!(cloud.refused(&owner, &top_ups, json!({"amount": "1"})).await.1, "role");
    for amount in ["0", "-1", "1e9", "1.000000001", "99999999999999", ""] {
        assert_eq!(cloud.refused("operator", &top_ups, json!({ "amount": amount })).await.1, "bad-input", "{amount}");
    }
    assert_eq!(cloud.instance(&auditor, &id).await["state"], "running");

    // A key that is deleted is nobody's.
    let all = cloud.get(&owner, &keys).await;
    let id = all["items"].as_array().unwrap().iter().find(|k| k["role"] == "auditor").unwrap()["id"].clone();
    let (status, _) = cloud.ask(&owner, Method::DELETE, &format!("{keys}/{}", id.as_str().unwrap()), None).await;
    assert_eq!(status, 200);
    assert_eq!(cloud.ask(&auditor, Method::GET, "/v1/balance", None).await.0, 401);
});

story!(another_accounts_things, |cloud: Cloud| async move {
    let id = cloud.buy("enterprise", block(1)).await;
    let account = cloud.get("enterprise", "/v1/whoami").await["account"]["id"].as_str().unwrap().to_owned();
    for path in [
        format!("/v1/instances/{id}"),
        format!("/v1/instances/{id}/console-log"),
        format!("/v1/instances/{id}/streams/ssh"),
        format!("/v1/accounts/{account}"),
        format!("/v1/accounts/{account}/keys"),
        format!("/v1/balance?account={account}"),
        format!("/v1/bills?account={account}"),
        format!("/v1/events?account={account}"),
        format!("/v1/trial?account={account}"),
    ] {
        let (status, problem) = cloud.ask("individual", Method::GET, &path, None).await;
        assert_eq!((status.as_u16(), problem["code"].as_str()), (404, Some("not-found")), "{path}");
    }
    for verb in ["stop", "start"] {
        let path = format!("/v1/instances/{id}/{verb}");
        assert_eq!(cloud.refused("individual", &path, json!(null)).await, (404, "not-found".to_owned()));
    }
    assert_eq!(cloud.delete("individual", &id).await.0, 404);
    assert_eq!(cloud.state("enterprise", &id).await, "running");
    for path in ["/v1/accounts", "/v1/hosts"] {
        assert_eq!(cloud.ask("individual", Method::GET, path, None).await.0, 403);
    }
    assert_eq!(cloud.get("individual", "/v1/instances").await["items"], json!([]));
});

story!(a_client_token_makes_a_repetition_harmless, |cloud: Cloud| async move {
    let url = format!("{}/v1/instances", cloud.endpoint);
    let client = reqwest::Client::new();
    let send = |token: &'static str, body: Value| {
        let request = client.post(&url).bearer_auth("ebb_sandbox_enterprise").header("idempotency-key", token);
        async move {
            let response = request.body(body.to_string()).send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        }
    };
    let first = send("one", order(block(1))).await;
    assert_eq!(first.0, 201);
    assert_eq!(send("one", order(block(1))).await, first);
    assert_eq!(send("two", order(block(1))).await.0, 201);
    let reused = send("one", order(block(2))).await;
    assert!(reused.0 == 409 && reused.1.contains("idempotency-key-reused"), "{reused:?}");
    // Only accepted mutations are remembered.
    assert_eq!(send("three", order(block(7))).await.0, 422);
    assert_eq!(send("three", order(block(1))).await.0, 201);
    // Sent at once, it is still carried out once.
    let (a, b, c) =
        tokio::join!(send("four", order(block(1))), send("four", order(block(1))), send("four", order(block(1))));
    assert_eq!((&a, &a), (&b, &c));
    assert_eq!(cloud.get("enterprise", "/v1/instances").await["items"].as_array().unwrap().len(), 4);
    // After a day the token is free again.
    cloud.wait(24 * 3_600 + 1).await;
    assert_ne!(send("one", order(block(1))).await, first);
});

story!(money_that_is_not_there, |cloud: Cloud| async move {
    let poor = cloud.tenant("Poor", "individual", "0.42").await;
    let what = json!({"option": "on-demand", "flavor": "c6.large.2"});
    // 0.39 and 0.02 for the disk are held for the first hour; a second one finds nothing left.
    let id = cloud.buy(&poor, what.clone()).await;
    assert_eq!(cloud.get(&poor, "/v1/balance").await["held"], "0.41000000");
    assert_eq!(
        cloud.refused(&poor, "/v1/instances", order(what.clone())).await,
        (402, "insufficient-funds".to_owned())
    );
    // Two hours cost 0.82: what is missing is owed, and who owes does not buy.
    cloud.wait(2 * 3_600).await;
    cloud.delete(&poor, &id).await;
    cloud.wait(3_600).await;
    let balance = cloud.get(&poor, "/v1/balance").await;
    assert_eq!((balance["cash"].as_str(), balance["debt"].as_str()), (Some("0.00000000"), Some("0.40000000")));
    assert_eq!(cloud.refused(&poor, "/v1/instances", order(what)).await, (402, "arrears".to_owned()));
    let start = format!("/v1/instances/{id}/start");
    assert_eq!(cloud.refused(&poor, &start, json!(null)).await, (402, "arrears".to_owned()));
    let account = cloud.get(&poor, "/v1/whoami").await["account"]["id"].as_str().unwrap().to_owned();
    let paid = cloud.post("operator", &format!("/v1/accounts/{account}/top-ups"), json!({"amount": "1"})).await;
    assert_eq!((paid["cash"].as_str(), paid["debt"].as_str()), (Some("0.60000000"), Some("0.00000000")));
});

story!(who_is_not_verified_does_not_buy, |cloud: Cloud| async move {
    let opened = cloud.post("operator", "/v1/accounts", json!({"name": "New"})).await;
    let key = opened["key"]["secret"].as_str().unwrap();
    assert_eq!(cloud.refused(key, "/v1/instances", order(block(1))).await, (403, "unverified".to_owned()));
    assert_eq!(cloud.refused(key, "/v1/trial", json!(null)).await, (403, "unverified".to_owned()));
});

#[tokio::test]
async fn a_sandboxs_keys_open_no_service() {
    let place = Place::Postgres(TempPostgres::start().database().await);
    let sandbox = Cloud::at(place.clone(), &[("vcpu", 4)], Behaviour::default()).await;
    assert_eq!(sandbox.get("operator", "/v1/whoami").await["role"], "operator");
    drop(sandbox);
    let directory = Directory::new();
    let config = ServeConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        store: place,
        catalog: sample_catalog(),
        hosts: vec![],
        restored: false,
        operator_secret: Some("a-secret-of-the-operators-own".to_owned()),
        deliveries: DeliveryConfig { keys: Some("k".repeat(64)), ..DeliveryConfig::default() },
        identity: directory.identity(),
    };
    let serving = serve(config).await.unwrap();
    let url = format!("http://{}/v1/whoami", serving.address);
    let running = tokio::spawn(serving.run(std::future::pending()));
    for (key, status) in [
        ("ebb_sandbox_operator", 401),
        ("ebb_sandbox_individual", 401),
        ("ebb_sandbox_enterprise", 401),
        ("a-secret-of-the-operators-own", 200),
    ] {
        let answer = reqwest::Client::new().get(&url).bearer_auth(key).send().await.unwrap();
        assert_eq!(answer.status(), status, "{key}");
    }
    running.abort();
}

story!(names_and_bodies_hide_nothing, |cloud: Cloud| async move {
    for name in ["a\u{202e}b", "\u{200b}", "\u{3164}", "\u{2800}", " "] {
        let open = json!({"name": name, "evidence": []});
        assert_eq!(cloud.refused("operator", "/v1/accounts", open).await, (400, "bad-input".to_owned()), "{name:?}");
        let named = order(json!({"option": "on-demand", "flavor": "c6.large.2", "name": name}));
        assert_eq!(cloud.refused("enterprise", "/v1/instances", named).await.1, "bad-input", "{name:?}");
    }
    let (status, problem) =
        cloud.ask("individual", Method::POST, "/v1/trial", Some(json!({"holder": "enterprise"}))).await;
    assert_eq!(status, 400);
    assert!(problem["message"].as_str().unwrap().contains("no body is wanted"), "{problem}");
    assert_eq!(cloud.post("individual", "/v1/trial", json!({})).await["holder"], "individual");
    cloud.post("operator", "/v1/evidence-keys", json!({})).await;
});
