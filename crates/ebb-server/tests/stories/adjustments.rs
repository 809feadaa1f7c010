//! What is given back of a record: to whom it goes, how much it may be, and that the record stays as it is.

use crate::cloud::{Cloud, block};
use crate::story;
use reqwest::Method;
use serde_json::{Value, json};

/// Gives back of a record; the status, and the answer.
pub async fn give(cloud: &Cloud, record: &Value, amount: &str) -> (u16, Value) {
    let path = format!("/v1/records/{}/adjustments", record["id"].as_str().unwrap());
    let body = json!({"amount": amount, "reason": "it was slow"});
    let (status, answer) = cloud.ask("operator", Method::POST, &path, Some(body)).await;
    (status.as_u16(), answer)
}

/// `debt cash grant expired`, or the refusal's code.
async fn given(cloud: &Cloud, record: &Value, amount: &str) -> String {
    let (status, answer) = give(cloud, record, amount).await;
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    match status {
        201 => ["debt", "cash", "grant", "expired"].map(text).join(" "),
        _ => text("code"),
    }
}

async fn first_of(cloud: &Cloud, who: &str, meter: &str) -> Value {
    let bill = cloud.get(who, "/v1/bills").await;
    bill["records"].as_array().unwrap().iter().find(|one| one["meter"] == meter).unwrap().clone()
}

story!(what_was_paid_comes_back_and_the_record_stays, |cloud: Cloud| async move {
    let id = cloud.buy("individual", block(3)).await;
    cloud.wait(4 * 3_600).await;
    let record = first_of(&cloud, "individual", "compute").await;
    assert_eq!((record["amount"].as_str(), record["instance"].as_str()), (Some("0.00175000"), Some(id.as_str())));
    let before = cloud.get("individual", "/v1/balance").await;
    assert_eq!(given(&cloud, &record, "0.001").await, "0.00000000 0.00100000 0.00000000 0.00000000");
    // No more than what was paid of it, in all.
    let (status, refused) = give(&cloud, &record, "0.001").await;
    assert_eq!((status, refused["code"].as_str()), (409, Some("more-than-paid")));
    assert!(refused["message"].as_str().unwrap().contains("0.00075000 is left, not 0.00100000"), "{refused}");
    assert_eq!(given(&cloud, &record, "0.00075").await, "0.00000000 0.00075000 0.00000000 0.00000000");
    assert_eq!(given(&cloud, &record, "0.00000001").await, "more-than-paid");

    let balance = cloud.get("individual", "/v1/balance").await;
    let cash = |of: &Value| of["cash"].as_str().unwrap().parse::<ebb_model::money::Amount>().unwrap().units();
    assert_eq!(cash(&balance) - cash(&before), 175_000);
    assert_eq!((&balance["settled"], &balance["adjusted"]["cash"]), (&before["settled"], &json!("0.00175000")));
    let bill = cloud.get("individual", "/v1/bills").await;
    assert_eq!(bill["records"].as_array().unwrap().iter().find(|one| one["id"] == record["id"]), Some(&record));
    let told: Vec<_> =
        bill["adjustments"].as_array().unwrap().iter().map(|one| one["amount"].as_str().unwrap()).collect();
    assert_eq!(told, ["0.00100000", "0.00075000"]);
    let events = cloud.get("individual", "/v1/events?limit=1000").await;
    let events = events["items"].as_array().unwrap().iter().filter(|one| one["body"]["event"] == "adjusted").count();
    assert_eq!(events, 2);
    let path = format!("/v1/records/{}/explanation", record["id"].as_str().unwrap());
    let explained = cloud.get("individual", &path).await;
    assert_eq!(
        (explained["left"].as_str(), explained["adjustments"].as_array().unwrap().len()),
        (Some("0.00000000"), 2)
    );
});

story!(debt_goes_first_and_what_was_waived_never_comes_back, |cloud: Cloud| async move {
    let poor = cloud.tenant("Poor", "individual", "0.30").await;
    cloud.buy(&poor, block(1)).await;
    let id = cloud.buy(&poor, block(1)).await;
    cloud.post("operator", &format!("/v1/instances/{id}/reclaim"), json!(null)).await;
    cloud.wait(20 * 3_600).await;
    // Both disks go on for nobody; only what was charged is owed.
    let (balance, bill) = (cloud.get(&poor, "/v1/balance").await, cloud.get(&poor, "/v1/bills").await);
    assert_eq!(balance["debt"], "0.00000000", "{balance}");
    let records = bill["records"].as_array().unwrap();
    let waived = records.iter().find(|one| one["reason"] == "operator").unwrap();
    assert_eq!(given(&cloud, waived, "0.00000001").await, "more-than-paid");
    // One that leaves a debt behind.
    let id = cloud.buy(&poor, json!({"option": "on-demand", "flavor": "t6.small.1"})).await;
    cloud.wait(5 * 3_600).await;
    cloud.delete(&poor, &id).await;
    cloud.wait(3_600).await;
    let debt = cloud.get(&poor, "/v1/balance").await["debt"].as_str().unwrap().to_owned();
    assert_ne!(debt, "0.00000000");
    let bill = cloud.get(&poor, "/v1/bills").await;
    let whole = bill["records"]
        .as_array()
        .unwrap()
        .iter()
        .rfind(|one| one["instance"] == id.as_str() && one["seconds"] == 3_600);
    let whole = whole.unwrap().clone();
    let back = given(&cloud, &whole, whole["amount"].as_str().unwrap()).await;
    assert!(!back.starts_with("0.00000000 "), "{back} of {whole}, {debt} is owed");
});

story!(what_a_grant_paid_goes_back_to_the_grant_and_is_never_cash, |cloud: Cloud| async move {
    cloud.post("individual", "/v1/trial", json!(null)).await;
    cloud.buy("individual", json!({"option": "trial", "flavor": "t6.small.1"})).await;
    cloud.until("11:00:00").await;
    let record = first_of(&cloud, "individual", "compute").await;
    let paid = record["grant"].as_str().unwrap();
    let whole: String = paid.to_owned();
    let cash = cloud.get("individual", "/v1/balance").await["cash"].clone();
    let before = cloud.get("individual", "/v1/trial").await;
    assert_eq!(given(&cloud, &record, &whole).await, format!("0.00000000 0.00000000 {whole} 0.00000000"));
    let after = cloud.get("individual", "/v1/trial").await;
    assert_eq!(cloud.get("individual", "/v1/balance").await["cash"], cash);
    let left = |of: &Value| of["left"].as_str().unwrap().parse::<ebb_model::money::Amount>().unwrap();
    assert_eq!((left(&after) - left(&before)).to_string(), whole);
    cloud.until("12:00:00").await;
    cloud.agrees().await;
    // When the validity is over, so is what comes back.
    cloud.wait(100 * 86_400).await;
    let bill = cloud.get("individual", "/v1/bills").await;
    let last = bill["records"].as_array().unwrap().iter().rfind(|one| one["grant"].as_str() > Some("0.00100000"));
    let last = last.unwrap().clone();
    assert_eq!(given(&cloud, &last, "0.001").await, "0.00000000 0.00000000 0.00000000 0.00100000");
    assert_eq!(cloud.get("individual", "/v1/trial").await["left"], "0.00000000");
});

story!(only_the_operator_gives_and_he_says_why, |cloud: Cloud| async move {
    cloud.buy("individual", block(1)).await;
    cloud.wait(2 * 3_600).await;
    let record = first_of(&cloud, "individual", "system-disk").await;
    let path = format!("/v1/records/{}/adjustments", record["id"].as_str().unwrap());
    let body = |amount: &str, reason: &str| json!({ "amount": amount, "reason": reason });
    for (who, path, body, wanted) in [
        ("individual", path.as_str(), body("0.0001", "please"), (403, "role")),
        ("operator", &path, body("0.0001", " "), (400, "bad-input")),
        ("operator", &path, body("0", "why"), (400, "bad-input")),
        ("operator", &path, body("-0.0001", "why"), (400, "bad-input")),
        ("operator", &path, body("0.000000001", "why"), (400, "bad-input")),
        ("operator", "/v1/records/r-7/adjustments", body("1", "why"), (400, "bad-input")),
        (
            "operator",
            "/v1/records/r-019b76daa800700080000000000000aa/adjustments",
            body("1", "why"),
            (404, "not-found"),
        ),
        ("operator", &path, body("99", "why"), (409, "more-than-paid")),
    ] {
        let said = cloud.refused(who, path, body.clone()).await;
        assert_eq!((said.0, said.1.as_str()), wanted, "{who} {path} {body}");
    }
    // The same request twice gives once.
    let url = format!("{}{path}", cloud.endpoint);
    let mut answers = vec![];
    for _ in 0..2 {
        let request = reqwest::Client::new().post(&url).bearer_auth("ebb_sandbox_operator");
        let request = request.header("Idempotency-Key", "once").body(body("0.0001", "slow").to_string());
        answers.push(request.send().await.unwrap().text().await.unwrap());
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(cloud.get("individual", "/v1/bills").await["adjustments"].as_array().unwrap().len(), 1);
});
