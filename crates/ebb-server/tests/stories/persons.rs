//! One user tries once: what stands against a claim, by which evidence, and who tries in vain to be somebody else.

use crate::cloud::Cloud;
use crate::story;
use reqwest::Method;
use serde_json::{Value, json};

pub fn seen(kind: &str, value: &str) -> Value {
    json!([{ "kind": kind, "value": value }])
}

const DOCUMENT: &str = "11010519491231002X";
const PHONE: &str = "+86 138 0013 8000";

story!(one_person_in_many_spellings_claims_once, |cloud: Cloud| async move {
    let (_, first) = cloud
        .verified(
            "Ada",
            "individual",
            json!([
                { "kind": "document", "value": DOCUMENT },
                { "kind": "phone", "value": PHONE },
                { "kind": "payment-account", "value": "6222 0200 0000 1234" },
            ]),
        )
        .await;
    cloud.post(&first, "/v1/trial", json!(null)).await;
    for (kind, value) in [
        ("document", "11010519491231002x"),
        ("document", " 110105 19491231 002 X "),
        ("document", "110105-19491231-002X"),
        ("document", "１１０１０５１９４９１２３１００２Ｘ"),
        ("document", "110105\u{200b}19491231002X"),
        ("phone", "13800138000"),
        ("phone", "008613800138000"),
        ("phone", "8613800138000"),
        ("phone", "0138-0013-8000"),
        ("phone", "＋８６ １３８００１３８０００"),
        ("payment-account", "6222020000001234"),
        ("payment-account", "６２２２-0200-0000-1234"),
    ] {
        let (_, again) = cloud.verified("Ada again", "individual", seen(kind, value)).await;
        let (status, problem) = cloud.ask(&again, Method::POST, "/v1/trial", None).await;
        assert_eq!((status.as_u16(), problem["code"].as_str()), (409, Some("trial-person-claimed")), "{kind} {value}");
        let said = problem["message"].as_str().unwrap();
        assert!(said.contains(&format!("(shared: {kind})")) && said.contains("§3.2"), "{said}");
        // The rule and the kind, never whose or what.
        assert!(!said.contains("Ada") && !said.contains("a-0") && !said.contains(value), "{said}");
    }
    let (_, other) = cloud.verified("Grace", "individual", seen("document", "11010519491231003X")).await;
    cloud.post(&other, "/v1/trial", json!(null)).await;
});

story!(a_check_says_all_of_it_beforehand_in_the_words_of_the_claim, |cloud: Cloud| async move {
    let (id, key) = cloud.registered("Ada", json!([])).await;
    assert_eq!(cloud.stands_against(&key).await, ["unverified"]);
    assert_eq!(cloud.refused(&key, "/v1/trial", json!(null)).await, (403, "unverified".to_owned()));
    cloud.post("operator", &format!("/v1/accounts/{id}/verification"), json!({"holder": "individual"})).await;
    let check = cloud.get(&key, "/v1/trial/check").await;
    assert_eq!((&check["eligible"], check["conditions"].as_array().unwrap().len()), (&json!(true), 10));
    cloud.post(&key, "/v1/trial", json!(null)).await;
    assert_eq!(cloud.stands_against(&key).await, ["trial-already-claimed"]);

    // Everything at once: unverified, and of a person who ran and claimed as the other kind.
    let (_, enterprise) = cloud.verified("Works", "enterprise", seen("phone", PHONE)).await;
    cloud.post(&enterprise, "/v1/trial", json!(null)).await;
    cloud.buy(&enterprise, json!({"option": "trial", "flavor": "t6.small.1"})).await;
    let (late, key) = cloud.registered("Late", seen("phone", PHONE)).await;
    assert_eq!(cloud.stands_against(&key).await, ["unverified", "trial-person-claimed", "trial-person-ran"]);
    cloud.post("operator", &format!("/v1/accounts/{late}/verification"), json!({"holder": "individual"})).await;
    assert_eq!(cloud.stands_against(&key).await, ["trial-other-holder-claimed", "trial-person-ran"]);
    let check = cloud.get(&key, "/v1/trial/check").await;
    let (_, problem) = cloud.ask(&key, Method::POST, "/v1/trial", None).await;
    let failed = check["conditions"].as_array().unwrap().iter().find(|one| one["finding"] == "failed").unwrap();
    assert_eq!((&failed["code"], &failed["message"]), (&problem["code"], &problem["message"]));

    // Looking changes nothing.
    let events = cloud.get("operator", &format!("/v1/events?account={late}")).await;
    cloud.get(&key, "/v1/trial/check").await;
    assert_eq!(cloud.get("operator", &format!("/v1/events?account={late}")).await, events);
    assert_eq!(cloud.ask("operator", Method::GET, "/v1/trial/check", None).await.0, 400);
    let nobody = "/v1/trial/check?account=a-019b76daa800700080000000000000aa";
    assert_eq!(cloud.ask("operator", Method::GET, nobody, None).await.0, 404);
});

story!(who_ran_before_is_refused_under_each_of_his_accounts, |cloud: Cloud| async move {
    let ran = cloud.tenant("Runner", "individual", "100").await;
    let id = cloud.get(&ran, "/v1/whoami").await["account"]["id"].as_str().unwrap().to_owned();
    let report = json!({"seen_at": "use", "evidence": seen("payment-account", "Ada@Example.com")});
    cloud.post("operator", &format!("/v1/accounts/{id}/evidence"), report).await;
    cloud.buy(&ran, json!({"option": "on-demand", "flavor": "t6.small.1"})).await;
    assert_eq!(cloud.refused(&ran, "/v1/trial", json!(null)).await.1, "trial-ran-before");
    let (_, again) = cloud.verified("Again", "individual", seen("payment-account", "ada@example.COM")).await;
    assert_eq!(cloud.refused(&again, "/v1/trial", json!(null)).await, (409, "trial-person-ran".to_owned()));
});

story!(debt_stands_against_a_claim, |cloud: Cloud| async move {
    // Money for one hour of the smallest.
    let key = cloud.tenant("Poor", "individual", "0.10").await;
    cloud.buy(&key, json!({"option": "on-demand", "flavor": "t6.small.1"})).await;
    cloud.until("12:00:00").await;
    let against = cloud.stands_against(&key).await;
    assert_eq!(against, ["arrears", "trial-ran-before"]);
    assert_eq!(cloud.refused(&key, "/v1/trial", json!(null)).await, (402, "arrears".to_owned()));
});

story!(accounts_are_linked_through_a_third, |cloud: Cloud| async move {
    let (_, first) = cloud.verified("First", "individual", seen("document", DOCUMENT)).await;
    cloud.post(&first, "/v1/trial", json!(null)).await;
    let (third, last) = cloud.verified("Third", "individual", seen("phone", PHONE)).await;
    assert_eq!(cloud.stands_against(&last).await, Vec::<String>::new());
    // Seen with the document of one and the phone of the other.
    let (middle, _) = cloud
        .registered(
            "Middle",
            json!([
                { "kind": "document", "value": DOCUMENT }, { "kind": "phone", "value": PHONE },
            ]),
        )
        .await;
    assert_eq!(cloud.refused(&last, "/v1/trial", json!(null)).await.1, "trial-person-claimed");
    let family = cloud.get("operator", &format!("/v1/accounts/{middle}/person")).await;
    let names: Vec<&str> = family["items"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["First", "Third", "Middle"]);
    // The log says by what; with whom, it says to the operator alone; what was seen is nowhere.
    let linked = |log: Value| log["items"].as_array().unwrap().last().unwrap()["body"].clone();
    let (mine, log) = (cloud.get(&last, "/v1/events").await, format!("/v1/events?account={third}"));
    assert_eq!(linked(mine.clone()), json!({"event": "account-linked", "shared": ["phone"]}));
    let first = family["items"][0]["id"].clone();
    assert_eq!(linked(cloud.get("operator", &log).await)["person"], first);
    let mine = mine.to_string();
    assert!(!mine.contains("0013") && !mine.contains(DOCUMENT) && !mine.contains(first.as_str().unwrap()), "{mine}");
});

story!(device_and_address_count_only_together, |cloud: Cloud| async move {
    let at = |device: &str, address: &str| {
        json!({"seen_at": "log-in", "evidence": [
            { "kind": "device", "value": device }, { "kind": "address", "value": address },
        ]})
    };
    let mut keys = vec![];
    for (name, device, address) in
        [("Ada", "Laptop 1", "93.184.215.7"), ("Eve", "laptop  1", "93.184.215.8"), ("Bob", "phone", "93.184.215.7")]
    {
        let (id, key) = cloud.verified(name, "individual", json!([])).await;
        cloud.post("operator", &format!("/v1/accounts/{id}/evidence"), at(device, address)).await;
        keys.push((id, key));
    }
    cloud.post(&keys[0].1, "/v1/trial", json!(null)).await;
    // The device alone, and the address alone, are anybody's.
    assert_eq!(cloud.stands_against(&keys[1].1).await, Vec::<String>::new());
    assert_eq!(cloud.stands_against(&keys[2].1).await, Vec::<String>::new());
    let path = format!("/v1/accounts/{}/evidence", keys[1].0);
    let learned = cloud.post("operator", &path, at("LAPTOP 1", "::ffff:93.184.215.7")).await;
    assert_eq!(
        (&learned["new"], &learned["linked"]),
        (&json!(["address", "device+address"]), &json!(["device+address"]))
    );
    assert_eq!(cloud.stands_against(&keys[1].1).await, ["trial-person-claimed"]);
    let (_, problem) = cloud.ask(&keys[1].1, Method::POST, "/v1/trial", None).await;
    assert!(problem["message"].as_str().unwrap().contains("(shared: device+address)"), "{problem}");
    assert_eq!(cloud.stands_against(&keys[2].1).await, Vec::<String>::new());
});

story!(a_closed_account_is_remembered, |cloud: Cloud| async move {
    let (id, key) = cloud.verified("Old", "individual", seen("document", DOCUMENT)).await;
    cloud.post(&key, "/v1/trial", json!(null)).await;
    let close = format!("/v1/accounts/{id}/close");
    let machine = cloud.buy(&key, json!({"option": "trial", "flavor": "t6.small.1"})).await;
    assert_eq!(cloud.refused(&key, &close, json!(null)).await, (409, "account-in-use".to_owned()));
    cloud.wait(60).await;
    cloud.delete(&key, &machine).await;
    assert_eq!(cloud.refused(&key, &close, json!(null)).await.1, "account-in-use", "the hour is open");
    cloud.until("10:00:00").await;
    let address = cloud.post(&key, "/v1/addresses", json!({"region": "cn-beijing"})).await;
    let (status, said) = cloud.ask(&key, Method::POST, &close, None).await;
    assert_eq!(status, 409);
    assert!(said["message"].as_str().unwrap().contains("`ebb addresses release`"), "{said}");
    cloud.ask(&key, Method::DELETE, &format!("/v1/addresses/{}", address["id"].as_str().unwrap()), None).await;
    cloud.post(&key, "/v1/drill-schedules", json!({"what": {"all": true}, "every_seconds": 3_600})).await;
    let closed = cloud.post(&key, &close, json!(null)).await;
    assert_eq!(closed["closed_at"], "2026-03-02T02:00:00Z");
    assert_eq!(cloud.post(&key, &close, json!(null)).await, closed);

    assert_eq!(cloud.get(&key, "/v1/drill-schedules").await["items"], json!([]), "they end with it");

    // It refuses everything but being looked at.
    assert_eq!(cloud.get(&key, "/v1/bills").await["records"].as_array().unwrap().len(), 2);
    assert_eq!(cloud.stands_against(&key).await, ["account-closed", "trial-already-claimed", "trial-ran-before"]);
    let order = crate::cloud::order(json!({"option": "on-demand", "flavor": "t6.small.1"}));
    let keys = format!("/v1/accounts/{id}/keys");
    for (who, path, body) in [
        (&key[..], "/v1/instances", order),
        (&key, "/v1/trial", json!(null)),
        (&key, "/v1/verification", json!(null)),
        (&key, "/v1/trial/appeals", json!({"text": "why?"})),
        (&key, "/v1/subscriptions", json!({"webhook": "http://127.0.0.1:9/x"})),
        (&key, "/v1/key-pairs", json!({"name": "a", "public_key": "ssh-ed25519 AAAA"})),
        (&key, &keys, json!({"role": "member"})),
        ("operator", &format!("/v1/accounts/{id}/top-ups"), json!({"amount": "1"})),
        ("operator", &format!("/v1/accounts/{id}/verification"), json!({"holder": "individual"})),
        (
            "operator",
            &format!("/v1/accounts/{id}/evidence"),
            json!({"seen_at": "use", "evidence": seen("phone", PHONE)}),
        ),
    ] {
        assert_eq!(cloud.refused(who, path, body).await, (403, "account-closed".to_owned()), "{path}");
    }
    // And a new one of the same person gets nothing.
    let (_, new) = cloud.verified("New", "individual", seen("document", "1101 0519 4912 3100 2x")).await;
    assert_eq!(cloud.refused(&new, "/v1/trial", json!(null)).await.1, "trial-person-claimed");
});

story!(an_account_is_closed_by_its_owner_or_the_operator, |cloud: Cloud| async move {
    let (id, key) = cloud.registered("Ada", json!([])).await;
    let close = format!("/v1/accounts/{id}/close");
    let member = cloud.post(&key, &format!("/v1/accounts/{id}/keys"), json!({"role": "member"})).await;
    let member = member["secret"].as_str().unwrap();
    assert_eq!(cloud.refused(member, &close, json!(null)).await, (403, "role".to_owned()));
    assert_eq!(cloud.refused("individual", &close, json!(null)).await, (404, "not-found".to_owned()));
    assert_eq!(cloud.post("operator", &close, json!(null)).await["name"], "Ada");
});

story!(an_individual_does_not_become_an_enterprise, |cloud: Cloud| async move {
    let (id, key) = cloud.verified("Ada", "individual", seen("phone", PHONE)).await;
    let verify = format!("/v1/accounts/{id}/verification");
    // Before a claim it may.
    cloud.post("operator", &verify, json!({"holder": "enterprise"})).await;
    cloud.post("operator", &verify, json!({"holder": "individual"})).await;
    cloud.post(&key, "/v1/trial", json!(null)).await;
    assert_eq!(
        cloud.refused("operator", &verify, json!({"holder": "enterprise"})).await,
        (409, "holder-settled".to_owned())
    );
    cloud.post("operator", &verify, json!({"holder": "individual"})).await;
    let (_, works) = cloud.verified("Ada's Works", "enterprise", seen("phone", "13800138000")).await;
    assert_eq!(cloud.refused(&works, "/v1/trial", json!(null)).await, (409, "trial-other-holder-claimed".to_owned()));
});

story!(a_link_found_later_takes_nothing_away, |cloud: Cloud| async move {
    let (one, first) = cloud.verified("One", "individual", seen("document", DOCUMENT)).await;
    let (_, second) = cloud.verified("Two", "individual", seen("phone", PHONE)).await;
    cloud.post(&first, "/v1/trial", json!(null)).await;
    cloud.post(&second, "/v1/trial", json!(null)).await;
    let both = json!({"seen_at": "log-in", "evidence": seen("phone", PHONE)});
    cloud.post("operator", &format!("/v1/accounts/{one}/evidence"), both).await;
    for key in [&first, &second] {
        assert_eq!(cloud.get(key, "/v1/trial").await["left"], "300.00000000");
        cloud.buy(key, json!({"option": "trial", "flavor": "t6.small.1"})).await;
    }
});

story!(the_operators_word_is_evidence_too, |cloud: Cloud| async move {
    let (one, first) = cloud.verified("One", "individual", json!([])).await;
    let (two, second) = cloud.verified("Two", "individual", json!([])).await;
    cloud.post("operator", &format!("/v1/accounts/{one}/person"), json!({"with": two})).await;
    cloud.post(&first, "/v1/trial", json!(null)).await;
    let (_, problem) = cloud.ask(&second, Method::POST, "/v1/trial", None).await;
    assert!(problem["message"].as_str().unwrap().contains("(shared: the operator's word)"), "{problem}");
    // Once more is no more.
    cloud.post("operator", &format!("/v1/accounts/{two}/person"), json!({"with": one})).await;
    let family = cloud.get("operator", &format!("/v1/accounts/{two}/person")).await;
    assert_eq!(family["items"].as_array().unwrap().len(), 2);
});

story!(two_linked_accounts_claim_at_once, |cloud: Cloud| async move {
    for round in 0..10 {
        let document = format!("1101051949123100{round}X");
        let (_, one) = cloud.verified("One", "individual", seen("document", &document)).await;
        let (_, two) = cloud.verified("Two", "individual", seen("document", &document)).await;
        let (a, b) = tokio::join!(
            cloud.ask(&one, Method::POST, "/v1/trial", None),
            cloud.ask(&two, Method::POST, "/v1/trial", None)
        );
        let mut statuses = [a.0.as_u16(), b.0.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409], "{} {}", a.1, b.1);
    }
});

story!(evidence_that_says_nothing_is_refused, |cloud: Cloud| async move {
    let (id, _) = cloud.registered("Ada", json!([])).await;
    let path = format!("/v1/accounts/{id}/evidence");
    let report = |evidence: Value| json!({"seen_at": "log-in", "evidence": evidence});
    let many: Vec<Value> = (0..17).map(|n| json!({"kind": "device", "value": format!("device {n}")})).collect();
    for (body, status, code) in [
        (report(seen("document", "")), 422, "evidence-not-usable"),
        (report(seen("document", "0000000000")), 422, "evidence-not-usable"),
        (report(seen("phone", "call me")), 422, "evidence-not-usable"),
        (report(seen("device", &"x1".repeat(200))), 422, "evidence-not-usable"),
        (report(json!(many)), 422, "too-much-evidence"),
        (report(seen("shoe-size", "43")), 400, "bad-input"),
        (report(json!([])), 400, "bad-input"),
        (json!({"seen_at": "verifier", "evidence": seen("phone", PHONE)}), 400, "bad-input"),
        (json!({"seen_at": "dreams", "evidence": seen("phone", PHONE)}), 400, "bad-input"),
    ] {
        assert_eq!(cloud.refused("operator", &path, body.clone()).await, (status, code.to_owned()), "{body}");
    }
    assert_eq!(
        cloud.refused("operator", "/v1/accounts", json!({"name": "x", "evidence": seen("phone", "1")})).await.0,
        422
    );
    assert_eq!(cloud.refused("individual", &path, report(seen("phone", PHONE))).await, (403, "role".to_owned()));
    assert_eq!(cloud.get("operator", &path).await["items"], json!([]));
    cloud.post("operator", &path, report(seen("phone", PHONE))).await;
    let again = cloud.post("operator", &path, report(seen("phone", "13800138000"))).await;
    assert_eq!((&again["new"], &again["linked"]), (&json!([]), &json!([])));
    let known = cloud.get("operator", &path).await;
    let known = &known["items"].as_array().unwrap()[..];
    assert_eq!(
        (known.len(), &known[0]["kind"], &known[0]["source"], &known[0]["shared"]),
        (1, &json!("phone"), &json!("log-in"), &json!(false))
    );
});
