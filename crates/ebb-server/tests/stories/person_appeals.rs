//! Somebody disagrees: appeals, overrules and taking back, each on record.

use crate::cloud::Cloud;
use crate::persons::seen;
use crate::story;
use reqwest::Method;
use serde_json::{Value, json};

/// Two accounts with one phone, of which the first claimed; the second's id and key.
async fn sisters(cloud: &Cloud) -> (String, String) {
    let (_, first) = cloud.verified("Ada", "individual", seen("phone", "13800138000")).await;
    cloud.post(&first, "/v1/trial", json!(null)).await;
    cloud.verified("Eve", "individual", seen("phone", "13800138000")).await
}

async fn trail(cloud: &Cloud, id: &str) -> Vec<Value> {
    let events = cloud.get("operator", &format!("/v1/events?account={id}")).await;
    let bodies = events["items"].as_array().unwrap().iter().map(|event| event["body"].clone());
    bodies
        .filter(|body| {
            body["event"].as_str().unwrap().contains("appeal") || body["event"].as_str().unwrap().starts_with("trial")
        })
        .collect()
}

story!(an_appeal_is_heard_and_the_word_lets_one_claim_pass, |cloud: Cloud| async move {
    let (id, eve) = sisters(&cloud).await;
    let check = cloud.get(&eve, "/v1/trial/check").await;
    assert_eq!((&check["eligible"], &check["may_appeal"]), (&json!(false), &json!(true)));
    let made = cloud.post(&eve, "/v1/trial/appeals", json!({"text": "My sister has the same phone."})).await;
    assert_eq!(made["state"], "waiting");
    assert_eq!(
        cloud.refused(&eve, "/v1/trial/appeals", json!({"text": "Hello?"})).await,
        (409, "appeal-waits".to_owned())
    );
    let waiting = cloud.get("operator", "/v1/trial/appeals").await;
    assert_eq!((&waiting["items"][0]["account"], waiting["items"].as_array().unwrap().len()), (&json!(id), 1));
    // An appeal alone changes nothing.
    assert_eq!(cloud.refused(&eve, "/v1/trial", json!(null)).await.1, "trial-person-claimed");

    let (overrule, reason) = (format!("/v1/accounts/{id}/trial/overrule"), json!({"reason": "Two people."}));
    assert_eq!(cloud.refused(&eve, &overrule, reason.clone()).await, (403, "role".to_owned()));
    assert_eq!(cloud.post("operator", &overrule, reason.clone()).await["state"], "overruled");
    assert_eq!(cloud.refused("operator", &overrule, reason).await, (409, "already-overruled".to_owned()));
    assert_eq!(cloud.get("operator", "/v1/trial/appeals").await["items"], json!([]));
    let check = cloud.get(&eve, "/v1/trial/check").await;
    assert_eq!((&check["eligible"], &check["conditions"][6]["finding"]), (&json!(true), &json!("overruled")));

    assert_eq!(cloud.post(&eve, "/v1/trial", json!(null)).await["left"], "300.00000000");
    assert_eq!(cloud.refused(&eve, "/v1/trial", json!(null)).await.1, "trial-already-claimed");
    let answered = cloud.get(&eve, "/v1/trial/appeals").await;
    assert_eq!(
        (&answered["items"][0]["reason"], &answered["items"][0]["used_at"]),
        (&json!("Two people."), &json!("2026-03-02T00:58:30Z"))
    );
    assert_eq!(answered["items"][0].get("decided_by"), None, "which operator is the operators' business");
    let names: Vec<String> =
        trail(&cloud, &id).await.iter().map(|body| body["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["trial-appealed", "trial-overruled", "trial-claimed"]);
    let by_operator = cloud.get("operator", &format!("/v1/trial/appeals?account={id}")).await;
    assert!(by_operator["items"][0]["decided_by"].as_str().unwrap().starts_with("k-"));

    // The word was for this account alone, and for once.
    let (_, third) = cloud.verified("Third", "individual", seen("phone", "13800138000")).await;
    assert_eq!(cloud.refused(&third, "/v1/trial", json!(null)).await.1, "trial-person-claimed");
});

story!(an_appeal_may_be_rejected_and_made_again, |cloud: Cloud| async move {
    let (id, eve) = sisters(&cloud).await;
    let (reject, reason) = (format!("/v1/accounts/{id}/trial/reject"), json!({"reason": "No proof."}));
    assert_eq!(cloud.refused("operator", &reject, reason.clone()).await, (409, "no-appeal".to_owned()));
    cloud.post(&eve, "/v1/trial/appeals", json!({"text": "Please."})).await;
    assert_eq!(cloud.post("operator", &reject, reason).await["state"], "rejected");
    assert_eq!(cloud.refused(&eve, "/v1/trial", json!(null)).await.1, "trial-person-claimed");
    cloud.post(&eve, "/v1/trial/appeals", json!({"text": "Here is proof."})).await;
    assert_eq!(trail(&cloud, &id).await[1], json!({"event": "appeal-rejected", "reason": "No proof."}));
});

story!(what_no_word_can_help_needs_no_appeal, |cloud: Cloud| async move {
    let (id, key) = cloud.registered("Ada", json!([])).await;
    let (appeals, overrule) = ("/v1/trial/appeals", format!("/v1/accounts/{id}/trial/overrule"));
    // Unverified; then eligible; then with a grant of its own.
    for step in ["verify", "claim", "done"] {
        assert_eq!(
            cloud.refused(&key, appeals, json!({"text": "Please."})).await,
            (409, "nothing-to-appeal".to_owned()),
            "{step}"
        );
        assert_eq!(
            cloud.refused("operator", &overrule, json!({"reason": "So."})).await.1,
            "nothing-to-appeal",
            "{step}"
        );
        match step {
            "verify" => {
                cloud
                    .post("operator", &format!("/v1/accounts/{id}/verification"), json!({"holder": "individual"}))
                    .await
            }
            "claim" => cloud.post(&key, "/v1/trial", json!(null)).await,
            _ => json!(null),
        };
    }
    for body in [
        json!({"text": ""}),
        json!({"text": " "}),
        json!({"text": "x".repeat(2_001)}),
        json!({"text": "\u{7}"}),
        json!({}),
    ] {
        assert_eq!(cloud.refused(&key, appeals, body).await, (400, "bad-input".to_owned()));
    }
    assert_eq!(cloud.refused("operator", &overrule, json!({"reason": "x".repeat(501)})).await.0, 400);
});

story!(one_who_ran_may_be_let_claim, |cloud: Cloud| async move {
    let key = cloud.tenant("Ada", "individual", "100").await;
    let id = cloud.get(&key, "/v1/whoami").await["account"]["id"].as_str().unwrap().to_owned();
    cloud.buy(&key, json!({"option": "on-demand", "flavor": "t6.small.1"})).await;
    assert_eq!(cloud.stands_against(&key).await, ["trial-ran-before"]);
    // Without being asked.
    cloud.post("operator", &format!("/v1/accounts/{id}/trial/overrule"), json!({"reason": "A fair."})).await;
    cloud.post(&key, "/v1/trial", json!(null)).await;
    assert_eq!(cloud.get(&key, "/v1/trial/appeals").await["items"][0].get("text"), None);
});

story!(what_is_left_of_a_grant_may_be_taken, |cloud: Cloud| async move {
    let (id, key) = cloud.verified("Ada", "individual", json!([])).await;
    let (revoke, reason) = (format!("/v1/accounts/{id}/trial/revoke"), json!({"reason": "A second grant."}));
    assert_eq!(cloud.refused("operator", &revoke, reason.clone()).await.1, "no-trial-grant");
    cloud.post(&key, "/v1/trial", json!(null)).await;
    cloud.post("operator", &format!("/v1/accounts/{id}/top-ups"), json!({"amount": "10"})).await;
    // 0.81 and 0.02 an hour: 0.83 from 9 to 10, and what ran before.
    cloud.buy(&key, json!({"option": "trial", "flavor": "c6.xlarge.2"})).await;
    cloud.until("10:30:00").await;
    let before = cloud.get(&key, "/v1/trial").await;
    assert_eq!((&before["settled"], &before["accruing"]), (&json!("0.85075000"), &json!("0.41500000")));
    assert_eq!(cloud.refused(&key, &revoke, reason.clone()).await, (403, "role".to_owned()));
    let taken = cloud.post("operator", &revoke, reason.clone()).await;
    assert_eq!(
        (&taken["revoked"], &taken["left"], &taken["valid_until"]),
        (&json!("298.73425000"), &json!("0.00000000"), &json!("2026-03-02T02:30:00Z"))
    );
    assert_eq!(cloud.refused("operator", &revoke, reason).await.1, "trial-grant-over");
    let recorded = &trail(&cloud, &id).await[1];
    assert_eq!((&recorded["amount"], &recorded["at"]), (&json!("298.73425000"), &json!("2026-03-02T02:30:00Z")));

    // What it paid until then, it paid; the other half of the hour is payable. Issued = used + revoked + left.
    cloud.until("11:00:00").await;
    let after = cloud.get(&key, "/v1/trial").await;
    assert_eq!(
        (&after["settled"], &after["accruing"], &after["left"]),
        (&json!("1.26575000"), &json!("0.00000000"), &json!("0.00000000"))
    );
    assert_eq!(
        cloud.get(&key, "/v1/balance").await["settled"],
        json!({"waived": "0.00000000", "grant": "1.26575000", "payable": "0.41500000"})
    );
    let more = crate::cloud::order(json!({"option": "trial", "flavor": "t6.small.1"}));
    assert_eq!(cloud.refused(&key, "/v1/instances", more).await.1, "trial-grant-revoked");
    // And the account does not claim again.
    assert_eq!(cloud.ask(&key, Method::POST, "/v1/trial", None).await.1["code"], "trial-already-claimed");
});
