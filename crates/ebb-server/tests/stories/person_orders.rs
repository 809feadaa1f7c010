//! Buy first and claim while it boots: does an order that did not run yet stand against a claim?

use crate::cloud::{Cloud, On};
use crate::persons::seen;
use ebb_driver::fake::Behaviour;
use reqwest::Method;
use serde_json::json;

const ROOM: [(&str, i64); 3] = [("vcpu", 64), ("memory_mib", 262_144), ("disk_gib", 10_000)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_buys_first_does_not_claim_while_it_boots_on_sqlite() {
    who_buys_first_does_not_claim_while_it_boots(On::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_buys_first_does_not_claim_while_it_boots_on_postgres() {
    who_buys_first_does_not_claim_while_it_boots(On::Postgres).await;
}

async fn who_buys_first_does_not_claim_while_it_boots(on: On) {
    // The first guest never comes up, those after it take 20 seconds.
    let slow = Behaviour { start_millis: 20_000, fail_next_start: true, ..Behaviour::default() };
    let cloud = Cloud::with(on, &ROOM, slow).await;
    let (id, ada) = cloud.verified("Ada", "individual", seen("phone", "13800138000")).await;
    let (_, eve) = cloud.verified("Eve", "individual", seen("phone", "13800138000")).await;
    cloud.post("operator", &format!("/v1/accounts/{id}/top-ups"), json!({"amount": "100"})).await;

    for option in ["on-demand", "spot-block"] {
        let flavor = if option == "on-demand" { "t6.small.1" } else { "c6.large.2" };
        let first = cloud.buy(&ada, json!({"option": option, "flavor": flavor})).await;
        assert_eq!(cloud.state(&ada, &first).await, "starting");
        assert_eq!(cloud.stands_against(&ada).await, ["trial-order-under-way"]);
        let (status, problem) = cloud.ask(&ada, Method::POST, "/v1/trial", None).await;
        assert_eq!((status.as_u16(), problem["code"].as_str()), (409, Some("trial-order-under-way")));
        assert!(problem["message"].as_str().unwrap().contains("if it never runs it does not count"), "{problem}");
        // The same through the other account, which learns by what it is linked and not whose it is.
        assert_eq!(cloud.stands_against(&eve).await, ["trial-person-order-under-way"]);
        let (status, problem) = cloud.ask(&eve, Method::POST, "/v1/trial", None).await;
        assert_eq!((status.as_u16(), problem["code"].as_str()), (409, Some("trial-person-order-under-way")));
        let said = problem["message"].as_str().unwrap();
        assert!(said.contains("(shared: phone)") && !said.contains("Ada"), "{said}");
        // There is nothing to overrule in what is decided in a moment.
        let overrule = format!("/v1/accounts/{id}/trial/overrule");
        assert_eq!(cloud.refused("operator", &overrule, json!({"reason": "So."})).await.1, "nothing-to-appeal");
        // It failed, or was given up: it never ran and does not count.
        if option == "on-demand" {
            cloud.wait(60).await;
        } else {
            cloud.delete(&ada, &first).await;
        }
        assert_eq!(cloud.stands_against(&ada).await, Vec::<String>::new(), "{option}");
        assert_eq!(cloud.stands_against(&eve).await, Vec::<String>::new(), "{option}");
    }

    let ran = cloud.buy(&ada, json!({"option": "on-demand", "flavor": "t6.small.1"})).await;
    assert_eq!(cloud.refused(&eve, "/v1/trial", json!(null)).await.1, "trial-person-order-under-way");
    cloud.wait(30).await;
    assert_eq!(cloud.state(&ada, &ran).await, "running");
    assert_eq!(cloud.stands_against(&ada).await, ["trial-ran-before"]);
    assert_eq!(cloud.stands_against(&eve).await, ["trial-person-ran"]);
    cloud.agrees().await;
}

crate::story!(who_claims_first_may_buy, |cloud: Cloud| async move {
    let (_, ada) = cloud.verified("Ada", "individual", seen("phone", "13800138000")).await;
    let (id, eve) = cloud.verified("Eve", "individual", seen("phone", "13800138000")).await;
    cloud.post("operator", &format!("/v1/accounts/{id}/top-ups"), json!({"amount": "100"})).await;
    cloud.post(&ada, "/v1/trial", json!(null)).await;
    cloud.buy(&eve, json!({"option": "on-demand", "flavor": "t6.small.1"})).await;
    cloud.buy(&ada, json!({"option": "trial", "flavor": "t6.small.1"})).await;
});

crate::story!(a_word_is_about_what_was_known_when_it_was_given, |cloud: Cloud| async move {
    let mut accounts = vec![];
    for name in ["Ada", "Eve", "Kim"] {
        accounts.push(cloud.verified(name, "individual", seen("phone", "13800138000")).await);
    }
    let [ada, eve, kim] = &accounts[..] else { unreachable!() };
    cloud.post(&ada.1, "/v1/trial", json!(null)).await;
    let overrule = async |whose: &(String, String)| {
        let path = format!("/v1/accounts/{}/trial/overrule", whose.0);
        cloud.post("operator", &path, json!({"reason": "Two people."})).await["lifts"].clone()
    };
    assert_eq!(overrule(eve).await, json!(["trial-person-claimed"]));
    let log = cloud.get("operator", &format!("/v1/events?account={}", eve.0)).await;
    assert_eq!(
        log["items"].as_array().unwrap().last().unwrap()["body"],
        json!({"event": "trial-overruled", "reason": "Two people.", "lifts": ["trial-person-claimed"]})
    );
    assert_eq!(cloud.stands_against(&eve.1).await, Vec::<String>::new());

    // As the other kind of holder it was not asked for.
    let verify = format!("/v1/accounts/{}/verification", eve.0);
    cloud.post("operator", &verify, json!({"holder": "enterprise"})).await;
    assert_eq!(cloud.stands_against(&eve.1).await, ["trial-other-holder-claimed"]);
    cloud.post("operator", &verify, json!({"holder": "individual"})).await;

    // A third claims by a word of his own, and then an instance runs.
    assert_eq!(overrule(kim).await, json!(["trial-person-claimed"]));
    cloud.wait(5).await;
    cloud.post(&kim.1, "/v1/trial", json!(null)).await;
    assert_eq!(cloud.stands_against(&eve.1).await, ["trial-person-claimed"]);
    assert_eq!(cloud.refused(&eve.1, "/v1/trial", json!(null)).await.1, "trial-person-claimed");
    cloud.buy(&kim.1, json!({"option": "trial", "flavor": "t6.small.1"})).await;
    cloud.wait(5).await;
    assert_eq!(cloud.stands_against(&eve.1).await, ["trial-person-claimed", "trial-person-ran"]);
    // Which a new word may lift, and a third is not needed.
    assert_eq!(overrule(eve).await, json!(["trial-person-claimed", "trial-person-ran"]));
    let path = format!("/v1/accounts/{}/trial/overrule", eve.0);
    assert_eq!(cloud.refused("operator", &path, json!({"reason": "Again."})).await.1, "already-overruled");
    cloud.post("operator", &format!("/v1/accounts/{}/top-ups", eve.0), json!({"amount": "100"})).await;
    cloud.wait(5).await;
    cloud.buy(&eve.1, json!({"option": "on-demand", "flavor": "t6.small.1"})).await;
    assert_eq!(cloud.stands_against(&eve.1).await, ["trial-ran-before"], "that it runs itself is new");
    overrule(eve).await;
    cloud.post(&eve.1, "/v1/trial", json!(null)).await;
});
