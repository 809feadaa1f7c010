//! Sold otherwise: from which second on, what it costs then, and who may not.

use crate::cloud::{Cloud, On, block, order};
use crate::economical::{firm, put_away, refused};
use crate::room_story;
use crate::rooms::nothing_is_off;
use crate::story;
use ebb_driver::fake::Behaviour;
use ebb_store::Place;
use ebb_testing::TempPostgres;
use reqwest::Method;
use serde_json::{Value, json};

pub fn months(count: i64) -> Value {
    json!({ "to": "subscription", "months": count })
}

pub fn on_demand() -> Value {
    json!({ "to": "on-demand" })
}

pub async fn convert(cloud: &Cloud, who: &str, id: &str, to: Value) -> Value {
    cloud.post(who, &format!("/v1/instances/{id}/convert"), to).await
}

/// An owner with money and a trial.
async fn claimant(cloud: &Cloud, money: &str) -> String {
    let owner = cloud.tenant("Ada", "individual", money).await;
    cloud.post(&owner, "/v1/trial", json!(null)).await;
    owner
}

async fn trial(cloud: &Cloud, who: &str, flavor: &str) -> String {
    cloud.buy(who, json!({"option": "trial", "flavor": flavor})).await
}

pub async fn cash(cloud: &Cloud, who: &str) -> [String; 2] {
    let balance = cloud.get(who, "/v1/balance").await;
    ["cash", "held"].map(|part| balance[part].as_str().unwrap().to_owned())
}

/// The records of a meter: `since until quantity price grant amount`, with the time of day in UTC.
pub async fn records(cloud: &Cloud, who: &str, meter: &str) -> Vec<String> {
    let bill = cloud.get(who, "/v1/bills").await;
    let mine = bill["records"].as_array().unwrap().iter().filter(|record| record["meter"] == meter);
    mine.map(|record| {
        let text = |key: &str| record[key].as_str().unwrap();
        let quantity = if record["months"].is_null() { &record["seconds"] } else { &record["months"] };
        let (since, until) = (&text("since")[5..], &text("until")[5..]);
        format!("{since} {until} {quantity} {} {} {}", text("price"), text("grant"), text("amount"))
    })
    .collect()
}

/// The bodies of an account's events of a kind.
pub async fn events(cloud: &Cloud, who: &str, kind: &str) -> Vec<Value> {
    let page = cloud.get(who, "/v1/events?limit=1000").await;
    let bodies = page["items"].as_array().unwrap().iter().map(|event| event["body"].clone());
    bodies.filter(|body| body["event"] == kind).collect()
}

story!(a_month_is_paid_at_once_and_nothing_by_the_hour_any_more, |cloud: Cloud| async move {
    let owner = claimant(&cloud, "1000").await;
    cloud.until("10:00:00").await;
    let id = trial(&cloud, &owner, "c6.large.2").await;
    cloud.until("10:20:30").await;
    let quote = convert(
        &cloud,
        &owner,
        &id,
        json!({"to": "subscription", "months": 1, "quote": true, "expected_price": "176.40"}),
    )
    .await;
    assert_eq!(cloud.instance(&owner, &id).await["option"], "trial");
    assert_eq!(records(&cloud, &owner, "subscription").await, Vec::<String>::new());

    let converted = convert(&cloud, &owner, &id, months(1)).await;
    assert_eq!(quote, converted, "what is quoted is what comes");
    // 168 and 40 GiB at 0.21.
    assert_eq!(
        converted["payment"],
        json!({"months": 1, "price": "176.40", "amount": "176.40000000", "since": "2026-03-02T02:20:30Z",
            "until": "2026-04-02T02:20:30Z"})
    );
    assert_eq!((&converted["from"], &converted["available"]), (&json!("trial"), &json!("823.60000000")));
    let one = &converted["instance"];
    assert_eq!(
        (&one["option"], &one["icp_eligible"], &one["price"]),
        (&json!("subscription"), &json!(true), &json!("0.00"))
    );
    assert_eq!(
        one["subscription"],
        json!({"price": "176.40", "since": "2026-03-02T02:20:30Z", "months": 1, "until": "2026-04-02T02:20:30Z",
            "ended": false, "kept_until": "2026-04-17T02:20:30Z"})
    );
    // Its record and its money at once, on its own.
    let paid = "03-02T02:20:30Z 04-02T02:20:30Z 1 176.40 0.00000000 176.40000000";
    assert_eq!(records(&cloud, &owner, "subscription").await, [paid]);
    assert_eq!(cash(&cloud, &owner).await, ["823.60000000", "0.00000000"]);
    let bill = cloud.get(&owner, "/v1/bills").await;
    assert_eq!(bill["records"][0]["issued_at"], "2026-03-02T02:20:30Z");
    assert_eq!(bill["settled_total"]["payable"], "176.40000000");

    // Nothing of it draws on the trial, which goes on for others.
    let seen = cloud.get(&owner, "/v1/trial").await;
    assert_eq!((&seen["running"], &seen["hour"]["price"], &seen["advice"]), (&json!([]), &json!("0.00"), &json!([])));
    assert_eq!((seen.get("used_up_at"), &seen["used"]), (None, &json!("0.14008333")));
    trial(&cloud, &owner, "e1.large.4").await;

    // The hour closes with exactly the seconds before; they stay covered. 1,230 at 0.39, and at 0.02.
    cloud.until("11:00:00").await;
    let mine =
        |records: Vec<String>| records.into_iter().filter(|record| record.contains(" 1230 ")).collect::<Vec<_>>();
    let before = "03-02T02:00:00Z 03-02T02:20:30Z 1230";
    assert_eq!(mine(records(&cloud, &owner, "compute").await), [format!("{before} 0.39 0.13325000 0.00000000")]);
    assert_eq!(mine(records(&cloud, &owner, "system-disk").await), [format!("{before} 0.02 0.00683333 0.00000000")]);
    cloud.until("13:00:00").await;
    let bill = cloud.get(&owner, "/v1/bills").await;
    let of_it = bill["records"].as_array().unwrap().iter().filter(|record| record["instance"] == id.as_str());
    assert_eq!(of_it.count(), 3);
    assert_eq!(cash(&cloud, &owner).await, ["823.60000000", "0.00000000"]);
    let said = events(&cloud, &owner, "converted").await;
    assert_eq!((said.len(), &said[0]["from"], &said[0]["at"]), (1, &json!("trial"), &json!("2026-03-02T02:20:30Z")));
    // A stop and a start change nothing of it.
    cloud.post(&owner, &format!("/v1/instances/{id}/stop"), json!(null)).await;
    cloud.wait(60).await;
    cloud.post(&owner, &format!("/v1/instances/{id}/start"), json!(null)).await;
    assert_eq!(cloud.state(&owner, &id).await, "running");
    // Nothing is given back.
    assert_eq!(cloud.delete(&owner, &id).await.0, 200);
    cloud.wait(7_200).await;
    assert_eq!(cash(&cloud, &owner).await, ["823.60000000", "0.00000000"]);
    assert_eq!(records(&cloud, &owner, "subscription").await, [paid]);
});

story!(out_of_a_trial_it_is_payable_from_that_second_on, |cloud: Cloud| async move {
    let owner = claimant(&cloud, "100").await;
    cloud.until("10:00:00").await;
    let id = trial(&cloud, &owner, "c6.xlarge.2").await;
    let further = order(json!({"option": "trial", "flavor": "t6.small.1"}));
    // 0.83 and 0.10 are above the cap.
    assert_eq!(cloud.refused(&owner, "/v1/instances", further.clone()).await.1, "together-above-trial-cap");
    cloud.until("10:20:30").await;
    let converted = convert(&cloud, &owner, &id, on_demand()).await;
    let one = &converted["instance"];
    assert_eq!(
        (&one["option"], &one["price"], &one["icp_eligible"]),
        (&json!("on-demand"), &json!("0.81"), &json!(false))
    );
    assert_eq!((&converted["hold"], converted.get("payment")), (&json!("0.83000000"), None));
    assert_eq!(cash(&cloud, &owner).await, ["100.00000000", "0.83000000"]);
    // It draws no more, and is no release (rules §3.5).
    assert_eq!(cloud.get(&owner, "/v1/trial").await["hour"]["covered"], "0.00");
    trial(&cloud, &owner, "t6.small.1").await;

    cloud.until("11:00:00").await;
    let mine = async |meter: &str, price: &str| {
        let all = records(&cloud, &owner, meter).await;
        let mine = all.into_iter().filter(|record| record.contains(price) && !record.contains(" 2370 0.02 0.01316667"));
        mine.collect::<Vec<_>>()
    };
    // 0.81 × 1230/3600 by the grant, 0.81 × 2370/3600 payable; of the disk likewise, beside that of the other one.
    assert_eq!(
        mine("compute", " 0.81 ").await,
        [
            "03-02T02:00:00Z 03-02T02:20:30Z 1230 0.81 0.27675000 0.00000000",
            "03-02T02:20:30Z 03-02T03:00:00Z 2370 0.81 0.00000000 0.53325000"
        ]
    );
    assert_eq!(
        mine("system-disk", " 0.02 ").await,
        [
            "03-02T02:00:00Z 03-02T02:20:30Z 1230 0.02 0.00683333 0.00000000",
            "03-02T02:20:30Z 03-02T03:00:00Z 2370 0.02 0.00000000 0.01316667"
        ]
    );
    assert_eq!(cash(&cloud, &owner).await, ["99.45358333", "0.00000000"]);
    assert_eq!(refused(&cloud, &owner, &id, "convert", on_demand()).await, (409, "same-option".to_owned()));
    // And from there to a subscription.
    assert_eq!(refused(&cloud, &owner, &id, "convert", months(1)).await, (402, "insufficient-funds".to_owned()));
});

room_story!(
    off_or_waiting_it_leaves_the_trial_likewise,
    4,
    |catalog| catalog.limits.trial_takes_room = true,
    |cloud: Cloud| async move {
        let owner = claimant(&cloud, "100").await;
        cloud.until("10:00:00").await;
        let away = trial(&cloud, &owner, "t6.large.1").await;
        let off = trial(&cloud, &owner, "t6.large.1").await;
        put_away(&cloud, &owner, &away).await;
        cloud.post(&owner, &format!("/v1/instances/{off}/stop"), json!(null)).await;
        cloud.wait(60).await;
        cloud.buy("enterprise", block(3)).await;
        cloud.until("10:20:00").await;
        for id in [&away, &off] {
            let before = cloud.state(&owner, id).await;
            let converted = convert(&cloud, &owner, id, on_demand()).await;
            assert_eq!(
                (&converted["instance"]["option"], &converted["instance"]["state"]),
                (&json!("on-demand"), &json!(before))
            );
        }
        // 0.16 and 0.02 each.
        assert_eq!(cash(&cloud, &owner).await[1], "0.36000000");
        cloud.until("11:00:00").await;
        // What is off as usual is charged; of what is put away the disk alone, so its hold stays.
        assert_eq!(cash(&cloud, &owner).await, ["99.86666667", "0.18000000"]);
        // One that waits has neither, and is on demand from its first second on.
        cloud.delete(&owner, &off).await;
        cloud.delete(&owner, &away).await;
        cloud.buy("enterprise", block(3)).await;
        let waits = trial(&cloud, &owner, "c6.xlarge.2").await;
        assert_eq!(cloud.state(&owner, &waits).await, "pending");
        assert_eq!(refused(&cloud, &owner, &waits, "convert", months(1)).await, (409, "wrong-state".to_owned()));
        assert_eq!(convert(&cloud, &owner, &waits, on_demand()).await["instance"]["state"], "pending");
        cloud.until("11:30:00").await;
        assert_eq!(cloud.state(&owner, &waits).await, "running");
        cloud.until("12:00:00").await;
        let all = records(&cloud, &owner, "compute").await;
        let last = all.last().unwrap();
        // From 11:05 on, when those that made room were gone.
        assert_eq!(last, "03-02T03:05:00Z 03-02T04:00:00Z 3300 0.81 0.00000000 0.74250000");
        assert_eq!(cash(&cloud, &owner).await[1], "0.00000000");
    }
);

story!(who_may_not_and_what_never_can, |cloud: Cloud| async move {
    let owner = cloud.tenant("Ada", "individual", "176.80").await;
    let account = cloud.get(&owner, "/v1/whoami").await["account"]["id"].as_str().unwrap().to_owned();
    let keys = format!("/v1/accounts/{account}/keys");
    let member = cloud.post(&owner, &keys, json!({"role": "member"})).await["secret"].as_str().unwrap().to_owned();
    let id = cloud.buy(&owner, firm("c6.large.2")).await;
    for (who, status, code) in
        [(member.as_str(), 403, "role"), ("individual", 404, "not-found"), ("operator", 403, "role")]
    {
        for (verb, body) in [("convert", months(1)), ("convert", on_demand()), ("renew", json!({"months": 1}))] {
            assert_eq!(refused(&cloud, who, &id, verb, body).await, (status, code.to_owned()), "{who} {verb}");
        }
    }
    let cases = [
        (json!({"to": "subscription"}), 400, "bad-input"),
        (json!({"to": "on-demand", "months": 1}), 400, "bad-input"),
        (json!({"to": "spot-block"}), 400, "bad-input"),
        (json!({"to": "subscription", "months": 1, "expected_price": "cheap"}), 400, "bad-input"),
        (json!({"to": "subscription", "months": 1, "expected_price": "176.41"}), 409, "price-changed"),
        (months(0), 422, "months-not-sold"),
        (months(-1), 422, "months-not-sold"),
        (months(37), 422, "months-not-sold"),
        (months(i64::MAX), 422, "months-not-sold"),
        (on_demand(), 409, "same-option"),
        // 176.80 is there, and 0.41 of it is held.
        (months(1), 402, "insufficient-funds"),
    ];
    for (what, status, code) in cases {
        assert_eq!(refused(&cloud, &owner, &id, "convert", what.clone()).await, (status, code.to_owned()), "{what}");
    }
    assert_eq!(
        refused(&cloud, &owner, &id, "renew", json!({"months": 1})).await,
        (409, "not-a-subscription".to_owned())
    );
    assert_eq!(cash(&cloud, &owner).await, ["176.80000000", "0.41000000"]);
    assert_eq!(cloud.instance(&owner, &id).await["option"], "on-demand");
    cloud.delete(&owner, &id).await;

    let unsold = cloud.buy("enterprise", firm("c6.2xlarge.1")).await;
    assert_eq!(refused(&cloud, "enterprise", &unsold, "convert", months(1)).await, (422, "not-on-sale".to_owned()));
    let spot = cloud.buy("enterprise", block(3)).await;
    for (to, code) in [(months(1), "spot-no-subscription"), (on_demand(), "spot-no-on-demand")] {
        assert_eq!(refused(&cloud, "enterprise", &spot, "convert", to).await, (409, code.to_owned()));
    }
    let away = cloud.buy("enterprise", firm("c6.large.2")).await;
    put_away(&cloud, "enterprise", &away).await;
    assert_eq!(
        refused(&cloud, "enterprise", &away, "convert", months(1)).await,
        (409, "stopped-economically".to_owned())
    );
    cloud.post("enterprise", &format!("/v1/instances/{away}/start"), json!(null)).await;
    convert(&cloud, "enterprise", &away, months(1)).await;
    for (verb, body, code) in [
        ("convert", months(1), "subscription-already"),
        ("convert", on_demand(), "subscription-no-on-demand"),
        ("stop", json!({"economical": true}), "subscription-no-economical-stop"),
        ("resize", json!({"flavor": "c6.xlarge.2"}), "subscription-no-resize"),
        ("renew", json!({"months": 36}), "months-not-sold"),
    ] {
        let (status, said) = refused(&cloud, "enterprise", &away, verb, body).await;
        assert_eq!((said.as_str(), status == 422), (code, verb == "renew"), "{verb}");
    }
    let allowed = cloud.get("enterprise", &format!("/v1/instances/{away}/operations")).await;
    let codes = allowed["items"].as_array().unwrap().iter();
    let codes: Vec<&str> =
        codes.filter_map(|one| one["code"].as_str()).filter(|code| code.starts_with("sub")).collect();
    assert_eq!(codes.len(), 4, "{allowed}");
    // The operator takes back blocks alone.
    assert_eq!(refused(&cloud, "operator", &away, "reclaim", json!(null)).await, (409, "not-a-spot-block".to_owned()));
    cloud.delete("enterprise", &away).await;
    assert_eq!(refused(&cloud, "enterprise", &away, "renew", json!({"months": 1})).await, (409, "released".to_owned()));
    assert_eq!(refused(&cloud, "enterprise", &away, "convert", months(1)).await, (409, "released".to_owned()));
});

story!(who_owes_converts_nothing, |cloud: Cloud| async move {
    let owner = claimant(&cloud, "0.41").await;
    let id = trial(&cloud, &owner, "t6.small.1").await;
    cloud.buy(&owner, firm("c6.large.2")).await;
    // Nothing unbound is left for an hour of it.
    assert_eq!(refused(&cloud, &owner, &id, "convert", on_demand()).await, (402, "insufficient-funds".to_owned()));
    cloud.until("11:00:00").await;
    for to in [on_demand(), months(1)] {
        assert_eq!(refused(&cloud, &owner, &id, "convert", to).await, (402, "arrears".to_owned()));
    }
    assert_eq!(cloud.instance(&owner, &id).await["option"], "trial");
});

story!(of_two_at_once_one_is_paid, |cloud: Cloud| async move {
    let owner = cloud.tenant("Ada", "individual", "176.81").await;
    let id = cloud.buy(&owner, firm("c6.large.2")).await;
    let path = format!("/v1/instances/{id}/convert");
    let ask = async || cloud.ask(&owner, Method::POST, &path, Some(months(1))).await.0.as_u16();
    // What is there pays for one month, and the first hour is held.
    let mut answers = [0; 2];
    (answers[0], answers[1]) = tokio::join!(ask(), ask());
    answers.sort_unstable();
    assert_eq!(answers, [200, 409]);
    assert_eq!(records(&cloud, &owner, "subscription").await.len(), 1);
    // What was held is free again, and the seconds before are settled with their hour: it began in that very second.
    assert_eq!(cash(&cloud, &owner).await, ["0.41000000", "0.00000000"]);
});

story!(a_repetition_under_its_token_is_paid_once, |cloud: Cloud| async move {
    let id = cloud.buy("enterprise", firm("c6.large.2")).await;
    let send = async |verb: &str, body: Value| {
        let url = format!("{}/v1/instances/{id}/{verb}", cloud.endpoint);
        let request = reqwest::Client::new().post(url).bearer_auth("ebb_sandbox_enterprise");
        let answer = request.header("idempotency-key", verb).body(body.to_string()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for (verb, body) in [("convert", months(2)), ("renew", json!({"months": 1}))] {
        let first = send(verb, body.clone()).await;
        assert_eq!(first.0, 200, "{}", first.1);
        cloud.wait(60).await;
        assert_eq!(send(verb, body).await, first);
    }
    let paid = records(&cloud, "enterprise", "subscription").await;
    assert_eq!(
        paid,
        [
            "03-02T00:58:30Z 05-02T00:58:30Z 2 176.40 0.00000000 352.80000000",
            "05-02T00:58:30Z 06-02T00:58:30Z 1 176.40 0.00000000 176.40000000"
        ]
    );
});

/// Two services on one database: a conversion and a purchase want the same money, and so do two conversions.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_money_is_spent_once() {
    let room = [("vcpu", 64), ("memory_mib", 262_144), ("disk_gib", 10_000)];
    let place = Place::Postgres(TempPostgres::start().database().await);
    let one = Cloud::at(place.clone(), &room, Behaviour::default()).await;
    let other = Cloud::at(place, &room, Behaviour::default()).await;
    let mut owners = vec![];
    for name in ["Ada", "Bob", "Cai", "Dora"] {
        // Enough for a month, or for an hour of a large one beside it, and not for both.
        let owner = one.tenant(name, "individual", "176.81").await;
        let id = one.buy(&owner, firm("c6.large.2")).await;
        owners.push((owner, id));
    }
    for (owner, id) in &owners {
        let path = format!("/v1/instances/{id}/convert");
        let convert = async || one.ask(owner, Method::POST, &path, Some(months(1))).await.0.as_u16();
        let another = async || {
            other.ask(owner, Method::POST, "/v1/instances", Some(order(firm("c6.2xlarge.2")))).await.0.as_u16()
        };
        let (converted, bought) = tokio::join!(convert(), another());
        assert!(matches!((converted, bought), (200, 402) | (402, 201)), "{converted} {bought}");
        let paid = records(&one, owner, "subscription").await.len();
        assert_eq!(paid, usize::from(converted == 200));
    }
    one.agrees().await;
}
