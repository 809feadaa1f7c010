//! Subscriptions that renew themselves: paid in the second of their end, or told why not.

use crate::cloud::{Cloud, Directory, Service};
use crate::conversions::{cash, events, records};
use crate::ordered::monthly;
use crate::receiver::{Mood, Receiver, until};
use crate::story;
use crate::subscriptions::confirmed;
use ebb_driver::fake::Behaviour;
use ebb_store::Place;
use ebb_testing::TempPostgres;
use reqwest::Method;
use serde_json::{Value, json};

async fn to(cloud: &Cloud, instant: &str) {
    cloud.post("operator", "/v1/clock/advance", json!({ "to": instant })).await;
}

async fn choose(cloud: &Cloud, who: &str, id: &str, choice: Value) -> Value {
    cloud.post(who, &format!("/v1/instances/{id}/renewal"), choice).await
}

async fn top_up(cloud: &Cloud, who: &str, amount: &str) {
    let account = cloud.get(who, "/v1/whoami").await["account"]["id"].as_str().unwrap().to_owned();
    cloud.post("operator", &format!("/v1/accounts/{account}/top-ups"), json!({ "amount": amount })).await;
}

/// A month from 10:20:30 in Shanghai on, up to the second of April, and an owner with this money beside it.
async fn month_and(cloud: &Cloud, more: &str) -> (String, String) {
    let owner = cloud.tenant("Ada", "individual", "176.40").await;
    cloud.until("10:20:30").await;
    let id = cloud.buy(&owner, monthly(1)).await;
    if more != "0" {
        top_up(cloud, &owner, more).await;
    }
    (owner, id)
}

story!(in_the_second_of_its_end_the_next_months_are_paid, |cloud: Cloud| async move {
    let (owner, id) = month_and(&cloud, "352.80").await;
    let chosen = choose(&cloud, &owner, &id, json!({"auto": true})).await;
    assert_eq!(
        chosen["payment"],
        json!({"months": 1, "price": "176.40", "amount": "176.40000000", "since": "2026-04-02T02:20:30Z",
            "until": "2026-05-02T02:20:30Z"})
    );
    assert_eq!(
        (&chosen["available"], &chosen["instance"]["subscription"]["renews"]),
        (&json!("352.80000000"), &json!(1))
    );
    // Chosen again it is as it was.
    choose(&cloud, &owner, &id, json!({"auto": true, "months": 1})).await;
    assert_eq!(events(&cloud, &owner, "renewal-chosen").await, [json!({"event": "renewal-chosen", "months": 1})]);
    to(&cloud, "2026-04-02T02:20:30Z").await;
    assert_eq!(
        (cloud.state(&owner, &id).await.as_str(), cash(&cloud, &owner).await[0].as_str()),
        ("running", "352.80000000")
    );
    cloud.wait(1).await;
    assert_eq!(cash(&cloud, &owner).await[0], "176.40000000");
    let said = json!({"event": "renewed", "months": 1, "price": "176.40", "since": "2026-04-02T02:20:30Z",
        "until": "2026-05-02T02:20:30Z", "auto": true});
    assert_eq!(events(&cloud, &owner, "renewed").await, [said]);
    to(&cloud, "2026-05-03T00:00:00Z").await;
    assert_eq!(cloud.state(&owner, &id).await, "running");
    let of_it = [
        "03-02T02:20:30Z 04-02T02:20:30Z 1 176.40 0.00000000 176.40000000",
        "04-02T02:20:30Z 05-02T02:20:30Z 1 176.40 0.00000000 176.40000000",
        "05-02T02:20:30Z 06-02T02:20:30Z 1 176.40 0.00000000 176.40000000",
    ];
    assert_eq!(records(&cloud, &owner, "subscription").await, of_it);
    let bill = cloud.get(&owner, "/v1/bills").await;
    let issued: Vec<&str> =
        bill["records"].as_array().unwrap().iter().map(|r| r["issued_at"].as_str().unwrap()).collect();
    assert_eq!(issued, ["2026-03-02T02:20:30Z", "2026-04-02T02:20:30Z", "2026-05-02T02:20:30Z"]);
    // Nothing is left for June.
    to(&cloud, "2026-06-02T02:20:31Z").await;
    let failed = json!({"event": "renewal-failed", "at": "2026-06-02T02:20:30Z", "months": 1, "why": "insufficient-funds",
        "needed": "176.40000000", "available": "0.00000000"});
    assert_eq!(events(&cloud, &owner, "renewal-failed").await, [failed]);
    assert_eq!(events(&cloud, &owner, "subscription-ended").await[0]["at"], "2026-06-02T02:20:30Z");
    // Renewed by hand while it is kept, it goes on to renew itself.
    top_up(&cloud, &owner, "352.80").await;
    cloud.post(&owner, &format!("/v1/instances/{id}/renew"), json!({"months": 1})).await;
    to(&cloud, "2026-07-10T00:00:00Z").await;
    assert_eq!(
        (events(&cloud, &owner, "renewed").await.len(), cash(&cloud, &owner).await[0].as_str()),
        (4, "0.00000000")
    );
});

story!(a_month_counts_from_the_first_and_a_short_one_does_not_shorten_the_next, |cloud: Cloud| async move {
    to(&cloud, "2028-01-31T02:00:00Z").await;
    let id = cloud.buy("individual", monthly(1)).await;
    choose(&cloud, "individual", &id, json!({"auto": true, "months": 1})).await;
    to(&cloud, "2028-05-02T00:00:00Z").await;
    let ends: Vec<String> = records(&cloud, "individual", "subscription").await;
    let ends: Vec<&str> = ends.iter().map(|record| &record[16..32]).collect();
    assert_eq!(ends, ["02-29T02:00:00Z ", "03-31T02:00:00Z ", "04-30T02:00:00Z ", "05-31T02:00:00Z "].map(|end| end));
});

story!(a_top_up_in_the_second_of_the_end_comes_first, |cloud: Cloud| async move {
    let (owner, id) = month_and(&cloud, "0").await;
    choose(&cloud, &owner, &id, json!({"auto": true})).await;
    to(&cloud, "2026-04-02T02:20:30Z").await;
    top_up(&cloud, &owner, "176.40").await;
    // Nor is it over for whoever asks within that second.
    cloud.post(&owner, &format!("/v1/instances/{id}/stop"), json!(null)).await;
    cloud.wait(1).await;
    assert_eq!(
        (events(&cloud, &owner, "renewed").await.len(), events(&cloud, &owner, "subscription-ended").await.len()),
        (1, 0)
    );
    cloud.wait(100).await;
    cloud.post(&owner, &format!("/v1/instances/{id}/start"), json!(null)).await;
    // Renewed by hand in such a second the months join, too.
    top_up(&cloud, &owner, "352.80").await;
    to(&cloud, "2026-05-02T02:20:30Z").await;
    let renewed = cloud.post(&owner, &format!("/v1/instances/{id}/renew"), json!({"months": 1})).await;
    assert_eq!(
        (&renewed["payment"]["since"], &renewed["payment"]["until"]),
        (&json!("2026-05-02T02:20:30Z"), &json!("2026-06-02T02:20:30Z"))
    );
    cloud.wait(1).await;
    assert_eq!(events(&cloud, &owner, "renewed").await.len(), 2, "it does not renew itself twice");
});

story!(its_owner_is_told_whether_the_money_is_there_and_when_it_was_not, |cloud: Cloud| async move {
    let (owner, id) = month_and(&cloud, "176").await;
    let receiver = Receiver::new(Mood::Willing).await;
    confirmed(&cloud, &owner, &receiver, json!(["subscription-ends-soon", "renewal-failed"])).await;
    choose(&cloud, &owner, &id, json!({"auto": true})).await;
    to(&cloud, "2026-04-03T00:00:00Z").await;
    let soon = events(&cloud, &owner, "subscription-ends-soon").await;
    let renewal = json!({"months": 1, "needed": "176.40000000", "available": "176.00000000"});
    assert_eq!(soon.iter().map(|said| &said["renewal"]).collect::<Vec<_>>(), [&renewal, &renewal]);
    let failed = receiver.wait_for("dev.ebb.instance.renewal-failed", 1).await.remove(0);
    assert_eq!(
        (&failed.event()["data"]["why"], &failed.event()["data"]["available"]),
        (&json!("insufficient-funds"), &json!("176.00000000"))
    );
    assert_eq!(cloud.instance(&owner, &id).await["subscription"]["ended"], true);
});

story!(what_is_held_owed_or_above_the_cap_pays_for_no_month, |cloud: Cloud| async move {
    // The hold of a block, 6 hours at 0.14, is not to be spent.
    let (owner, id) = month_and(&cloud, "177").await;
    choose(&cloud, &owner, &id, json!({"auto": true})).await;
    to(&cloud, "2026-04-02T00:00:00Z").await;
    cloud.buy(&owner, json!({"option": "spot-block", "flavor": "c6.large.2", "hours": 6})).await;
    to(&cloud, "2026-04-02T02:20:31Z").await;
    // 0.84 are held, and two hours of its disk are settled.
    let failed = events(&cloud, &owner, "renewal-failed").await;
    assert_eq!((&failed[0]["why"], &failed[0]["available"]), (&json!("insufficient-funds"), &json!("176.12000000")));
    // Of a cap the months would pass nothing is paid either.
    let capped = cloud.buy("individual", monthly(1)).await;
    choose(&cloud, "individual", &capped, json!({"auto": true})).await;
    let least = cloud.get("individual", "/v1/cap").await["least"].as_str().unwrap().to_owned();
    cloud.post("individual", "/v1/cap", json!({ "amount": least })).await;
    to(&cloud, "2026-05-02T03:00:00Z").await;
    assert_eq!(events(&cloud, "individual", "renewal-failed").await.len(), 0, "another month has room for it");
    to(&cloud, "2026-06-01T00:00:00Z").await;
    cloud.post("individual", "/v1/cap", json!({ "amount": "100" })).await;
    to(&cloud, "2026-06-02T03:00:00Z").await;
    assert_eq!(events(&cloud, "individual", "renewal-failed").await[0]["why"], "spending-cap");
});

story!(who_may_choose_it_and_for_what, |cloud: Cloud| async move {
    let (owner, id) = month_and(&cloud, "0").await;
    let path = format!("/v1/instances/{id}/renewal");
    let refused = async |who: &str, what: Value| {
        let (status, problem) = cloud.ask(who, Method::POST, &path, Some(what)).await;
        (status.as_u16(), problem["code"].as_str().unwrap().to_owned())
    };
    let no = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(refused(&owner, json!({"auto": true, "months": 0})).await, no(422, "months-not-sold"));
    assert_eq!(refused(&owner, json!({"auto": true, "months": 37})).await, no(422, "months-not-sold"));
    assert_eq!(refused(&owner, json!({"auto": false, "months": 1})).await, no(400, "bad-input"));
    assert_eq!(refused("individual", json!({"auto": true})).await, no(404, "not-found"));
    let account = cloud.get(&owner, "/v1/whoami").await["account"]["id"].as_str().unwrap().to_owned();
    let key = cloud.post(&owner, &format!("/v1/accounts/{account}/keys"), json!({"role": "member"})).await;
    assert_eq!(refused(key["secret"].as_str().unwrap(), json!({"auto": true})).await, no(403, "role"));
    choose(&cloud, &owner, &id, json!({"auto": true, "months": 36})).await;
    choose(&cloud, &owner, &id, json!({"auto": false})).await;
    let chosen = json!({"event": "renewal-chosen"});
    assert_eq!(events(&cloud, &owner, "renewal-chosen").await[1], chosen);
    to(&cloud, "2026-04-02T02:20:30Z").await;
    // It just ends; what is over renews itself no more.
    assert_eq!(events(&cloud, &owner, "subscription-ended").await.len(), 1);
    assert_eq!(events(&cloud, &owner, "renewal-failed").await.len(), 0);
    assert_eq!(refused(&owner, json!({"auto": true})).await, no(409, "subscription-over"));
    let hourly = cloud.buy("individual", json!({"option": "on-demand", "flavor": "c6.large.2"})).await;
    let (_, problem) = cloud
        .ask("individual", Method::POST, &format!("/v1/instances/{hourly}/renewal"), Some(json!({"auto": true})))
        .await;
    assert_eq!(problem["code"], "not-a-subscription");
});

/// The clock of the service is that of the wall, months after the sandbox's: it renews itself once for each month, while the money lasts.
#[tokio::test]
async fn a_service_that_was_down_renews_it_at_its_seconds_all_the_same() {
    let place = Place::Postgres(TempPostgres::start().database().await);
    let room = [("vcpu", 4), ("memory_mib", 8_192), ("disk_gib", 100)];
    let before = Cloud::at(place.clone(), &room, Behaviour::default()).await;
    let (owner, id) = month_and(&before, "400").await;
    choose(&before, &owner, &id, json!({"auto": true})).await;
    drop(before);
    let directory = Directory::new();
    let service = Service::start(place, directory.identity()).await.unwrap();
    let show = async || service.ask(&owner, Method::GET, &format!("/v1/instances/{id}"), json!(null)).await.1;
    until("its end", async || show().await["end_cause"] == "subscription-end").await;
    let bill = service.ask(&owner, Method::GET, "/v1/bills", json!(null)).await.1;
    let paid = bill["records"].as_array().unwrap().iter().filter(|record| record["meter"] == "subscription");
    let paid: Vec<[&str; 3]> =
        paid.map(|r| ["since", "until", "issued_at"].map(|part| r[part].as_str().unwrap())).collect();
    let ends = ["2026-03-02T02:20:30Z", "2026-04-02T02:20:30Z", "2026-05-02T02:20:30Z", "2026-06-02T02:20:30Z"];
    assert_eq!(paid, [0, 1, 2].map(|at| [ends[at], ends[at + 1], ends[at]]));
    let log = service.ask(&owner, Method::GET, "/v1/events?limit=1000", json!(null)).await.1;
    let bodies: Vec<&Value> = log["items"].as_array().unwrap().iter().map(|event| &event["body"]).collect();
    let of = |kind: &str| bodies.iter().filter(|body| body["event"] == kind).collect::<Vec<_>>();
    assert_eq!((of("renewed").len(), &of("renewal-failed")[0]["at"]), (2, &json!(ends[3])));
    assert_eq!(of("subscription-ended")[0]["at"], ends[3]);
    service.stop().await;
}
