//! Bought by the month at once: when it is paid, what is held until then, and who may not.

use crate::cloud::{Cloud, On, order};
use crate::conversions::{cash, events, records};
use crate::room_story;
use crate::rooms::nothing_is_off;
use crate::story;
use ebb_driver::fake::Behaviour;
use ebb_model::calendar::Calendar;
use reqwest::Method;
use serde_json::{Value, json};

/// 168 a month, and 40 GiB at 0.21.
pub fn monthly(months: i64) -> Value {
    json!({ "option": "subscription", "flavor": "c6.large.2", "months": months })
}

async fn to(cloud: &Cloud, instant: &str) {
    cloud.post("operator", "/v1/clock/advance", json!({ "to": instant })).await;
}

story!(its_months_are_paid_with_its_first_second, |cloud: Cloud| async move {
    let owner = cloud.tenant("Ada", "individual", "400").await;
    cloud.until("10:20:30").await;
    let quote = cloud.post(&owner, "/v1/quote", order(monthly(2))).await;
    let said = ["option", "price", "months_shown", "hold", "system_disk_price"].map(|part| quote[part].clone());
    assert_eq!(said, ["subscription", "176.40", "352.80", "352.80000000", "0.00"].map(|text| json!(text)));
    assert_eq!((&quote["months"], quote.get("refused")), (&json!(2), None));
    let id = cloud
        .buy(&owner, json!({"option": "subscription", "flavor": "c6.large.2", "months": 2, "expected_price": "176.40"}))
        .await;
    let one = cloud.instance(&owner, &id).await;
    assert_eq!((&one["state"], &one["started_at"]), (&json!("running"), &json!("2026-03-02T02:20:30Z")));
    assert_eq!((&one["icp_eligible"], one.get("ordered_months")), (&json!(true), None));
    assert_eq!(
        one["subscription"],
        json!({"price": "176.40", "since": "2026-03-02T02:20:30Z", "months": 2, "until": "2026-05-02T02:20:30Z",
            "ended": false, "kept_until": "2026-05-17T02:20:30Z"})
    );
    assert_eq!(cash(&cloud, &owner).await, ["47.20000000", "0.00000000"]);
    let paid = "03-02T02:20:30Z 05-02T02:20:30Z 2 176.40 0.00000000 352.80000000";
    assert_eq!(records(&cloud, &owner, "subscription").await, [paid]);
    let began = events(&cloud, &owner, "subscription-began").await;
    let said = json!({"event": "subscription-began", "months": 2, "price": "176.40", "since": "2026-03-02T02:20:30Z",
        "until": "2026-05-02T02:20:30Z"});
    assert_eq!((began.len(), &began[0]), (1, &said));
    // Nothing of it is charged by the hour, running or not.
    cloud.post(&owner, &format!("/v1/instances/{id}/stop"), json!(null)).await;
    cloud.wait(3_600).await;
    cloud.post(&owner, &format!("/v1/instances/{id}/start"), json!(null)).await;
    cloud.wait(7_200).await;
    assert_eq!(cash(&cloud, &owner).await, ["47.20000000", "0.00000000"]);
    // Who ran one claims no trial any more.
    assert_eq!(cloud.stands_against(&owner).await, ["trial-ran-before"]);
    to(&cloud, "2026-05-02T02:20:30Z").await;
    assert_eq!(events(&cloud, &owner, "subscription-ended").await.len(), 1);
    nothing_is_off(&cloud).await;
});

room_story!(while_it_waits_for_room_its_money_is_held, 4, |cloud: Cloud| async move {
    cloud.until("10:00:00").await;
    let block = cloud.buy("enterprise", json!({"option": "spot-block", "flavor": "c6.xlarge.1", "hours": 6})).await;
    cloud.until("10:10:00").await;
    let owner = cloud.tenant("Ada", "individual", "200").await;
    let id = cloud.buy(&owner, monthly(1)).await;
    let one = cloud.instance(&owner, &id).await;
    assert_eq!((&one["state"], &one["ordered_months"], one.get("subscription")), (&json!("pending"), &json!(1), None));
    assert_eq!(cash(&cloud, &owner).await, ["200.00000000", "176.40000000"]);
    assert_eq!(cloud.state("enterprise", &block).await, "reclaiming");
    // What is held is not spent twice; nobody renews what is not paid, nor withdraws what others go for.
    assert_eq!(cloud.refused(&owner, "/v1/instances", order(monthly(1))).await, (402, "insufficient-funds".to_owned()));
    let path = format!("/v1/instances/{id}");
    assert_eq!(cloud.refused(&owner, &format!("{path}/renew"), json!({"months": 1})).await.1, "wrong-state");
    assert_eq!(cloud.delete(&owner, &id).await.1["code"], "order-caused-notice");
    cloud.wait(330).await;
    let one = cloud.instance(&owner, &id).await;
    assert_eq!((&one["state"], &one["subscription"]["since"]), (&json!("running"), &one["started_at"]));
    assert_eq!(cash(&cloud, &owner).await, ["23.60000000", "0.00000000"]);
    // A month is more than the minimum for what others had to leave.
    let (_, deleted) = cloud.delete(&owner, &id).await;
    assert_eq!(deleted["end_cause"], "deleted");
    cloud.wait(7_200).await;
    assert_eq!(cash(&cloud, &owner).await, ["23.60000000", "0.00000000"]);
    assert_eq!(records(&cloud, &owner, "compute").await, Vec::<String>::new());
    nothing_is_off(&cloud).await;
});

async fn fails(on: On) {
    let behaviour = Behaviour { fail_next_start: true, ..Behaviour::default() };
    let cloud = Cloud::with(on, &[("vcpu", 8), ("memory_mib", 16_384), ("disk_gib", 400)], behaviour).await;
    let owner = cloud.tenant("Ada", "individual", "200").await;
    let id = cloud.buy(&owner, monthly(1)).await;
    cloud.wait(600).await;
    let one = cloud.instance(&owner, &id).await;
    assert_eq!((&one["state"], &one["end_cause"]), (&json!("released"), &json!("never-ran")));
    assert_eq!(cash(&cloud, &owner).await, ["200.00000000", "0.00000000"]);
    assert_eq!(records(&cloud, &owner, "subscription").await, Vec::<String>::new());
    // It counts as nothing.
    assert_eq!(cloud.stands_against(&owner).await, Vec::<String>::new());
    cloud.nothing_broke().await;
}

#[tokio::test]
async fn what_never_runs_costs_nothing_sqlite() {
    fails(On::Sqlite).await;
}

#[tokio::test]
async fn what_never_runs_costs_nothing_postgres() {
    fails(On::Postgres).await;
}

story!(what_is_not_sold_or_not_paid_for_is_refused_by_name, |cloud: Cloud| async move {
    let owner = cloud.tenant("Ada", "individual", "176.39").await;
    let refused = async |what: Value| {
        let (status, problem) = cloud.ask(&owner, Method::POST, "/v1/instances", Some(order(what))).await;
        (status.as_u16(), problem["code"].as_str().unwrap().to_owned())
    };
    let no = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(refused(monthly(1)).await, no(402, "insufficient-funds"));
    assert_eq!(refused(monthly(0)).await, no(422, "months-not-sold"));
    assert_eq!(refused(monthly(37)).await, no(422, "months-not-sold"));
    assert_eq!(refused(json!({"option": "subscription", "flavor": "c6.large.2"})).await, no(400, "bad-input"));
    let hourly = json!({"option": "on-demand", "flavor": "c6.large.2", "months": 1});
    assert_eq!(refused(hourly).await, no(400, "bad-input"));
    let dear = json!({"option": "subscription", "flavor": "c6.large.2", "months": 1, "expected_price": "168"});
    assert_eq!(refused(dear).await, no(409, "price-changed"));
    let block = json!({"option": "subscription", "flavor": "c6.large.2", "months": 1, "hours": 1});
    assert_eq!(refused(block).await, no(422, "hours-without-block"));
    // A quote says so, too, and the price all the same.
    let quote = cloud.post(&owner, "/v1/quote", order(monthly(1))).await;
    assert_eq!((&quote["refused"]["code"], &quote["hold"]), (&json!("insufficient-funds"), &json!("176.40000000")));
    // Of what a spending cap allows months are part, from the order on.
    cloud.post("individual", "/v1/cap", json!({"amount": "300"})).await;
    assert_eq!(cloud.refused("individual", "/v1/instances", order(monthly(2))).await.1, "spending-cap");
    cloud.buy("individual", monthly(1)).await;
    assert_eq!(cloud.refused("individual", "/v1/instances", order(monthly(1))).await.1, "spending-cap");
    assert_eq!(cloud.get("individual", "/v1/cap").await["settled"], "176.40000000");
});

story!(in_arrears_or_of_another_flavor_nothing_is_sold_by_the_month, |cloud: Cloud| async move {
    let owner = cloud.tenant("Ada", "individual", "1").await;
    let id = cloud.buy(&owner, json!({"option": "on-demand", "flavor": "c6.large.2"})).await;
    cloud.wait(4 * 3_600).await;
    cloud.delete(&owner, &id).await;
    assert_eq!(cloud.refused(&owner, "/v1/instances", order(monthly(1))).await.1, "arrears");
});

/// Months are those of the catalog's clock, also where it is put forward or back.
async fn in_berlin(on: On) {
    let room = [("vcpu", 8), ("memory_mib", 16_384), ("disk_gib", 400)];
    let berlin =
        |catalog: &mut ebb_model::catalog::Catalog| catalog.time_zone = Calendar::new("Europe/Berlin").unwrap();
    let cloud = Cloud::changed(on, &room, berlin).await;
    // Half past two in the summer; in October that comes twice, and the first one counts.
    to(&cloud, "2026-09-25T00:30:00Z").await;
    let id = cloud.buy("individual", monthly(1)).await;
    let until = async || cloud.instance("individual", &id).await["subscription"]["until"].clone();
    assert_eq!(until().await, "2026-10-25T00:30:00Z");
    cloud.post("individual", &format!("/v1/instances/{id}/renew"), json!({"months": 1})).await;
    assert_eq!(until().await, "2026-11-25T01:30:00Z");
    let last_of_january = "2028-01-31T09:00:00Z";
    to(&cloud, last_of_january).await;
    let leap = cloud.buy("individual", monthly(1)).await;
    assert_eq!(cloud.instance("individual", &leap).await["subscription"]["until"], "2028-02-29T09:00:00Z");
    cloud.nothing_broke().await;
}

#[tokio::test]
async fn months_are_those_of_the_catalogs_clock_sqlite() {
    in_berlin(On::Sqlite).await;
}

#[tokio::test]
async fn months_are_those_of_the_catalogs_clock_postgres() {
    in_berlin(On::Postgres).await;
}
