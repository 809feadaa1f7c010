//! Budgets: told at which second, once a month, and stopping nothing.

use crate::cloud::Cloud;
use crate::conversions::events;
use crate::ordered::monthly;
use crate::receiver::{Mood, Receiver};
use crate::story;
use crate::subscriptions::confirmed;
use reqwest::Method;
use serde_json::{Value, json};

async fn to(cloud: &Cloud, instant: &str) {
    cloud.post("operator", "/v1/clock/advance", json!({ "to": instant })).await;
}

async fn set(cloud: &Cloud, who: &str, budget: Value) -> Value {
    cloud.post(who, "/v1/budget", budget).await
}

fn machine() -> Value {
    json!({ "option": "on-demand", "flavor": "c6.large.2" })
}

/// Each share that was told, and of which second.
async fn shares_told(cloud: &Cloud, who: &str) -> Vec<(i64, String)> {
    let all = events(cloud, who, "budget-reached").await;
    all.iter().map(|one| (one["percent"].as_i64().unwrap(), one["at"].as_str().unwrap().to_owned())).collect()
}

fn share(percent: i64, at: &str) -> (i64, String) {
    (percent, at.to_owned())
}

story!(each_share_is_told_with_its_second_once_a_month_and_nothing_stops, |cloud: Cloud| async move {
    // From noon of the 16th in Shanghai, 0.41 an hour.
    to(&cloud, "2026-03-16T04:00:00Z").await;
    let receiver = Receiver::new(Mood::Willing).await;
    confirmed(&cloud, "individual", &receiver, json!(["budget-reached", "budget-expected"])).await;
    let id = cloud.buy("individual", machine()).await;
    let shown = set(&cloud, "individual", json!({"amount": "10"})).await;
    assert_eq!(
        (&shown["amount"], &shown["alerts"], &shown["expected"]),
        (&json!("10.00000000"), &json!([50, 80, 100]), &json!("152.52000000"))
    );
    // 5 is passed by 43,903 seconds, 8 by 70,244, 10 by 87,805.
    let seconds = ["2026-03-16T16:11:43Z", "2026-03-16T23:30:44Z", "2026-03-17T04:23:25Z"];
    let shares = [50, 80, 100].iter().zip(seconds).map(|(percent, at)| json!({"percent": percent, "at": at}));
    assert_eq!(shown["coming"], shares.collect::<Value>());
    cloud.wait(1).await;
    let expected = json!({"event": "budget-expected", "amount": "10.00000000", "expected": "152.52000000", "at": "2026-03-16T04:00:00Z"});
    assert_eq!(events(&cloud, "individual", "budget-expected").await, [expected]);
    to(&cloud, "2026-03-16T16:11:42Z").await;
    assert_eq!(shares_told(&cloud, "individual").await, []);
    cloud.wait(1).await;
    let half = json!({"event": "budget-reached", "percent": 50, "amount": "10.00000000", "payable": "5.00006389", "at": seconds[0]});
    assert_eq!(events(&cloud, "individual", "budget-reached").await, [half]);
    to(&cloud, "2026-03-20T00:00:00Z").await;
    let march = [50, 80, 100].iter().zip(seconds).map(|(percent, at)| share(*percent, at)).collect::<Vec<_>>();
    assert_eq!(shares_told(&cloud, "individual").await, march);
    assert_eq!(cloud.state("individual", &id).await, "running");
    let reached = cloud.get("individual", "/v1/budget").await;
    assert_eq!((reached["reached"].as_array().unwrap().len(), &reached["coming"]), (3, &json!([])));
    assert_eq!(cloud.get("individual", "/v1/balance").await["budget"], "10.00000000");
    // April begins at 16:00 in UTC; it is told of anew.
    to(&cloud, "2026-04-01T04:11:42Z").await;
    assert_eq!(
        (shares_told(&cloud, "individual").await.len(), events(&cloud, "individual", "budget-expected").await.len()),
        (3, 2)
    );
    cloud.wait(1).await;
    assert_eq!(shares_told(&cloud, "individual").await[3], share(50, "2026-04-01T04:11:43Z"));
    let heard = receiver.wait_for("dev.ebb.account.budget-reached", 4).await;
    assert!(heard.iter().any(|one| one.event()["data"]["percent"] == 100 && one.event()["data"]["at"] == seconds[2]));
    receiver.wait_for("dev.ebb.account.budget-expected", 2).await;
});

story!(what_is_paid_at_once_counts_from_its_second, |cloud: Cloud| async move {
    set(&cloud, "individual", json!({"amount": "176.40", "alerts": [100, 150], "expected": false})).await;
    cloud.until("10:20:30").await;
    let id = cloud.buy("individual", monthly(1)).await;
    cloud.post("individual", &format!("/v1/instances/{id}/renewal"), json!({"auto": true})).await;
    cloud.wait(2).await;
    // When its second is over, it is payable.
    assert_eq!(shares_told(&cloud, "individual").await, [share(100, "2026-03-02T02:20:31Z")]);
    assert_eq!(events(&cloud, "individual", "budget-reached").await[0]["payable"], "176.40000000");
    cloud.buy("individual", monthly(1)).await;
    cloud.wait(2).await;
    assert_eq!(shares_told(&cloud, "individual").await[1], share(150, "2026-03-02T02:20:33Z"));
    // So does what renews itself.
    to(&cloud, "2026-04-03T00:00:00Z").await;
    assert_eq!(shares_told(&cloud, "individual").await[2..], [share(100, "2026-04-02T02:20:31Z")]);
    assert_eq!(events(&cloud, "individual", "budget-expected").await.len(), 0);
});

story!(more_is_expected_as_soon_as_it_is_known, |cloud: Cloud| async move {
    to(&cloud, "2026-03-16T04:00:00Z").await;
    let owner = cloud.tenant("Ada", "individual", "500").await;
    set(&cloud, &owner, json!({"amount": "150", "alerts": []})).await;
    cloud.wait(3_600).await;
    assert_eq!(events(&cloud, &owner, "budget-expected").await.len(), 0);
    // 371 hours at 0.41 are 152.11.
    let id = cloud.buy(&owner, machine()).await;
    cloud.wait(1).await;
    let expected = events(&cloud, &owner, "budget-expected").await;
    assert_eq!(
        (expected.len(), &expected[0]["expected"], &expected[0]["at"]),
        (1, &json!("152.11000000"), &json!("2026-03-16T05:00:00Z"))
    );
    // Told once, also if it comes and goes; set anew it is told anew.
    cloud.delete(&owner, &id).await;
    cloud.buy(&owner, machine()).await;
    cloud.wait(1).await;
    assert_eq!(events(&cloud, &owner, "budget-expected").await.len(), 1);
    set(&cloud, &owner, json!({"amount": "149.99", "alerts": []})).await;
    cloud.wait(1).await;
    assert_eq!(events(&cloud, &owner, "budget-expected").await.len(), 2);
    assert_eq!(shares_told(&cloud, &owner).await, []);
});

story!(what_was_passed_before_it_was_set_is_told_with_that, |cloud: Cloud| async move {
    cloud.until("10:00:00").await;
    cloud.buy("individual", machine()).await;
    cloud.until("20:30:00").await;
    // 4.305 are payable.
    set(&cloud, "individual", json!({"amount": "5", "alerts": [10, 80, 90]})).await;
    cloud.wait(1).await;
    assert_eq!(
        shares_told(&cloud, "individual").await,
        [share(10, "2026-03-02T12:30:00Z"), share(80, "2026-03-02T12:30:00Z")]
    );
    // With a cap beside it both go on, and each without the other.
    cloud.post("individual", "/v1/cap", json!({"amount": "100"})).await;
    cloud.wait(3_600).await;
    assert_eq!(shares_told(&cloud, "individual").await[2], share(90, "2026-03-02T12:58:33Z"));
    let (status, _) = cloud.ask("individual", Method::DELETE, "/v1/cap", None).await;
    assert_eq!(status.as_u16(), 200);
    set(&cloud, "individual", json!({"amount": "6", "alerts": [100]})).await;
    cloud.wait(4 * 3_600).await;
    // 14.634… hours at 0.41 are 6.
    assert_eq!(shares_told(&cloud, "individual").await[3], share(100, "2026-03-02T16:38:03Z"));
    let (status, removed) = cloud.ask("individual", Method::DELETE, "/v1/budget", None).await;
    assert_eq!((status.as_u16(), removed.get("amount")), (200, None));
    let (status, problem) = cloud.ask("individual", Method::DELETE, "/v1/budget", None).await;
    assert_eq!((status.as_u16(), &problem["code"]), (404, &json!("not-found")));
    assert_eq!(events(&cloud, "individual", "budget-removed").await.len(), 1);
});

story!(who_may_set_it_and_to_what, |cloud: Cloud| async move {
    let refused = async |who: &str, what: Value| {
        let (status, problem) = cloud.ask(who, Method::POST, "/v1/budget", Some(what)).await;
        (status.as_u16(), problem["code"].as_str().unwrap().to_owned(), problem["message"].to_string())
    };
    for (wrong, name) in [
        (json!({"amount": "0"}), "amount: above 0"),
        (json!({"amount": "-1"}), "amount: above 0"),
        (json!({"amount": "1.123456789"}), "amount:"),
        (json!({"amount": "10", "alerts": [0]}), "alerts: 0 is no percentage"),
        (json!({"amount": "10", "alerts": [1001]}), "alerts: 1001 is no percentage"),
        (json!({"amount": "10", "alerts": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]}), "alerts: at most 10"),
        (json!({"amount": "10", "alerts": [], "expected": false}), "nobody would be told"),
    ] {
        let (status, code, message) = refused("individual", wrong.clone()).await;
        assert!(status == 400 && code == "bad-input" && message.contains(name), "{wrong}: {message}");
    }
    assert_eq!(refused("operator", json!({"amount": "10"})).await.0, 400);
    let account = cloud.get("individual", "/v1/whoami").await["account"]["id"].as_str().unwrap().to_owned();
    let key = cloud.post("individual", &format!("/v1/accounts/{account}/keys"), json!({"role": "member"})).await;
    let member = key["secret"].as_str().unwrap();
    let looks = cloud.post("individual", &format!("/v1/accounts/{account}/keys"), json!({"role": "auditor"})).await;
    assert_eq!(refused(looks["secret"].as_str().unwrap(), json!({"amount": "10"})).await.1, "role");
    assert_eq!(refused(member, json!({"amount": "10"})).await.1, "role");
    assert_eq!(cloud.get(member, "/v1/budget").await.get("amount"), None);
    // The operator says whose.
    cloud.post("operator", &format!("/v1/budget?account={account}"), json!({"amount": "10"})).await;
    assert_eq!(cloud.get("individual", "/v1/budget").await["amount"], "10.00000000");
    assert_eq!(cloud.get("enterprise", "/v1/budget").await.get("amount"), None);
});
