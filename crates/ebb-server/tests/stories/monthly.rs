//! The life of a subscription: how it is renewed, what comes at its end, and what becomes of it when nobody does.

use crate::cloud::{Cloud, Directory, On, Service};
use crate::conversions::{cash, convert, events, months, records};
use crate::economical::{firm, refused, start};
use crate::receiver::{Mood, Receiver, until};
use crate::room_story;
use crate::rooms::{HOST, nothing_is_off};
use crate::story;
use crate::subscriptions::confirmed;
use ebb_driver::fake::Behaviour;
use ebb_model::catalog::Catalog;
use ebb_store::Place;
use ebb_testing::TempPostgres;
use reqwest::Method;
use serde_json::{Value, json};

async fn to(cloud: &Cloud, instant: &str) {
    cloud.post("operator", "/v1/clock/advance", json!({ "to": instant })).await;
}

async fn renew(cloud: &Cloud, who: &str, id: &str, months: i64) -> Value {
    cloud.post(who, &format!("/v1/instances/{id}/renew"), json!({ "months": months })).await
}

async fn used(cloud: &Cloud) -> [i64; 2] {
    let shown = cloud.get("operator", &format!("/v1/hosts/{HOST}")).await;
    ["vcpu", "disk_gib"].map(|kind| shown["host"]["room"][kind]["used"].as_i64().unwrap())
}

/// A subscription from 10:20:30 in Shanghai on, up to the second of April.
async fn from_half_past(cloud: &Cloud, who: &str) -> String {
    let id = cloud.buy(who, firm("c6.large.2")).await;
    cloud.until("10:20:30").await;
    convert(cloud, who, &id, months(1)).await;
    id
}

room_story!(at_its_end_it_is_off_and_kept_and_then_released, 4, |cloud: Cloud| async move {
    let id = from_half_past(&cloud, "individual").await;
    let before = cash(&cloud, "individual").await;
    to(&cloud, "2026-04-02T02:20:29Z").await;
    assert_eq!(cloud.state("individual", &id).await, "running");
    assert_eq!(events(&cloud, "individual", "subscription-ended").await.len(), 0);
    cloud.wait(1).await;
    let ended = events(&cloud, "individual", "subscription-ended").await;
    let said =
        json!({"event": "subscription-ended", "at": "2026-04-02T02:20:30Z", "kept_until": "2026-04-17T02:20:30Z"});
    assert_eq!((ended.len(), &ended[0]), (1, &said));
    assert_eq!(cloud.state("individual", &id).await, "stopping");
    cloud.wait(60).await;
    let kept = cloud.instance("individual", &id).await;
    assert_eq!((&kept["state"], &kept["subscription"]["ended"]), (&json!("stopped"), &json!(true)));
    assert_eq!(used(&cloud).await, [0, 40]);
    nothing_is_off(&cloud).await;
    assert_eq!(refused(&cloud, "individual", &id, "start", json!(null)).await, (409, "subscription-over".to_owned()));
    // Nobody pays for the days in which it is kept.
    to(&cloud, "2026-04-17T02:20:29Z").await;
    assert_eq!(cloud.state("individual", &id).await, "stopped");
    cloud.wait(1).await;
    let gone = cloud.instance("individual", &id).await;
    assert_eq!(
        (&gone["state"], &gone["end_cause"], &gone["ended_at"]),
        (&json!("released"), &json!("subscription-end"), &json!("2026-04-17T02:20:30Z"))
    );
    assert_eq!(used(&cloud).await, [0, 0]);
    // 1 hour, 22 minutes on demand before, the rest of which was settled with its hour.
    let last = cash(&cloud, "individual").await;
    assert_eq!((before[0].as_str(), last[0].as_str()), ("9823.17975000", "9823.03966667"));
    assert_eq!(records(&cloud, "individual", "subscription").await.len(), 1);
    assert_eq!(refused(&cloud, "individual", &id, "renew", json!({"months": 1})).await, (409, "released".to_owned()));
});

room_story!(renewed_in_time_its_months_join, 4, |cloud: Cloud| async move {
    let id = from_half_past(&cloud, "individual").await;
    to(&cloud, "2026-03-30T00:00:00Z").await;
    let path = format!("/v1/instances/{id}/renew");
    let quote = cloud.post("individual", &path, json!({"months": 2, "quote": true})).await;
    assert_eq!(cloud.instance("individual", &id).await["subscription"]["months"], 1);
    let renewed = renew(&cloud, "individual", &id, 2).await;
    assert_eq!(quote, renewed);
    let one = &renewed["instance"]["subscription"];
    assert_eq!(
        (&one["since"], &one["months"], &one["until"]),
        (&json!("2026-03-02T02:20:30Z"), &json!(3), &json!("2026-06-02T02:20:30Z"))
    );
    assert_eq!(
        records(&cloud, "individual", "subscription").await,
        [
            "03-02T02:20:30Z 04-02T02:20:30Z 1 176.40 0.00000000 176.40000000",
            "04-02T02:20:30Z 06-02T02:20:30Z 2 176.40 0.00000000 352.80000000"
        ]
    );
    to(&cloud, "2026-04-03T00:00:00Z").await;
    assert_eq!(cloud.state("individual", &id).await, "running");
    assert_eq!(events(&cloud, "individual", "subscription-ended").await.len(), 0);
    let soon = async || events(&cloud, "individual", "subscription-ends-soon").await.len();
    // A week before the first end it was told, and is told again of the second.
    assert_eq!(soon().await, 1);
    to(&cloud, "2026-06-02T02:20:30Z").await;
    assert_eq!((soon().await, events(&cloud, "individual", "subscription-ended").await.len()), (3, 1));
});

room_story!(renewed_after_its_end_it_begins_anew_and_nobody_pays_for_the_days_between, 4, |cloud: Cloud| async move {
    let id = from_half_past(&cloud, "individual").await;
    to(&cloud, "2026-04-10T12:00:00Z").await;
    let renewed = renew(&cloud, "individual", &id, 1).await;
    assert_eq!(
        (&renewed["payment"]["since"], &renewed["payment"]["until"]),
        (&json!("2026-04-10T12:00:00Z"), &json!("2026-05-10T12:00:00Z"))
    );
    let one = &renewed["instance"];
    assert_eq!((&one["state"], &one["subscription"]["ended"]), (&json!("stopped"), &json!(false)));
    // It is off until its owner starts it; for the room that it needs others go.
    cloud.buy("enterprise", json!({"option": "spot-block", "flavor": "c6.xlarge.1", "hours": 6})).await;
    assert_eq!(start(&cloud, "individual", &id).await, "pending");
    cloud.wait(400).await;
    assert_eq!((cloud.state("individual", &id).await.as_str(), used(&cloud).await), ("running", [2, 40]));
    let before = cash(&cloud, "individual").await;
    cloud.wait(7_200).await;
    assert_eq!(cash(&cloud, "individual").await, before, "a start opens no charge");
    // Renewed and never started it ends all the same.
    to(&cloud, "2026-05-11T00:00:00Z").await;
    renew(&cloud, "individual", &id, 1).await;
    to(&cloud, "2026-06-11T00:00:00Z").await;
    assert_eq!(events(&cloud, "individual", "subscription-ended").await.len(), 3);
    assert_eq!(refused(&cloud, "individual", &id, "start", json!(null)).await.1, "subscription-over");
    assert_eq!(cloud.delete("individual", &id).await.0, 200);
    assert_eq!(used(&cloud).await, [0, 0]);
});

story!(stopped_or_renewed_in_the_very_second_of_its_end, |cloud: Cloud| async move {
    let id = from_half_past(&cloud, "enterprise").await;
    cloud.post("enterprise", &format!("/v1/instances/{id}/stop"), json!(null)).await;
    to(&cloud, "2026-04-02T02:20:30Z").await;
    // What was off gives its room back at once.
    assert_eq!((cloud.state("enterprise", &id).await.as_str(), used(&cloud).await), ("stopped", [0, 40]));
    let renewed = renew(&cloud, "enterprise", &id, 1).await;
    assert_eq!(renewed["payment"]["since"], "2026-04-02T02:20:30Z");
    assert_eq!(start(&cloud, "enterprise", &id).await, "starting");
    assert_eq!(cloud.state("enterprise", &id).await, "running");
});

// The guest ran on. The end is that of its second all the same, and so is the release.
room_story!(a_host_that_is_away_at_the_end_changes_nothing_of_it, 4, |cloud: Cloud| async move {
    let tell = async |verb: &str| cloud.post("operator", &format!("/v1/hosts/{HOST}/{verb}"), json!(null)).await;
    let id = from_half_past(&cloud, "individual").await;
    to(&cloud, "2026-04-02T02:00:00Z").await;
    tell("unplug").await;
    to(&cloud, "2026-04-02T04:00:00Z").await;
    assert_eq!(events(&cloud, "individual", "subscription-ended").await[0]["at"], "2026-04-02T02:20:30Z");
    assert_eq!(cloud.state("individual", &id).await, "stopping");
    tell("plug").await;
    cloud.wait(60).await;
    assert_eq!((cloud.state("individual", &id).await.as_str(), used(&cloud).await), ("stopped", [0, 40]));
    to(&cloud, "2026-04-17T02:20:30Z").await;
    assert_eq!(cloud.instance("individual", &id).await["ended_at"], "2026-04-17T02:20:30Z");
});

room_story!(a_lost_host_leaves_it_waiting_and_its_time_runs_on, 4, |cloud: Cloud| async move {
    let id = from_half_past(&cloud, "individual").await;
    let before = cash(&cloud, "individual").await;
    cloud.post("operator", &format!("/v1/hosts/{HOST}/unplug"), json!(null)).await;
    cloud.wait(600).await;
    cloud.post("operator", &format!("/v1/hosts/{HOST}/lost"), json!({"fenced": true})).await;
    assert_eq!(cloud.state("individual", &id).await, "lost");
    cloud.post("operator", &format!("/v1/hosts/{HOST}/plug"), json!(null)).await;
    cloud.post("operator", &format!("/v1/hosts/{HOST}/resume"), json!(null)).await;
    cloud.wait(7_200).await;
    assert_eq!(cloud.state("individual", &id).await, "running");
    // The hour before the conversion was open still; since then nothing is charged.
    let of_it = records(&cloud, "individual", "compute").await;
    assert_eq!(of_it.last().unwrap(), "03-02T02:00:00Z 03-02T02:20:30Z 1230 0.39 0.00000000 0.13325000");
    assert!(cash(&cloud, "individual").await < before);
    to(&cloud, "2026-04-02T02:20:30Z").await;
    assert_eq!(events(&cloud, "individual", "subscription-ended").await.len(), 1);
});

// It was last heard of before the conversion: what it did not use is not charged, and the month is paid.
room_story!(a_host_that_was_silent_before_the_conversion_charges_nothing_since, 4, |cloud: Cloud| async move {
    let tell = async |verb: &str, body: Value| cloud.post("operator", &format!("/v1/hosts/{HOST}/{verb}"), body).await;
    let id = cloud.buy("individual", firm("c6.large.2")).await;
    cloud.until("10:15:00").await;
    tell("unplug", json!(null)).await;
    cloud.until("10:20:30").await;
    convert(&cloud, "individual", &id, months(1)).await;
    cloud.until("10:30:00").await;
    tell("lost", json!({"fenced": true})).await;
    cloud.until("11:00:00").await;
    let of_it = records(&cloud, "individual", "compute").await;
    assert_eq!(of_it.last().unwrap(), "03-02T02:00:00Z 03-02T02:15:00Z 900 0.39 0.00000000 0.09750000");
    assert_eq!(records(&cloud, "individual", "subscription").await.len(), 1);
});

story!(its_owner_is_told_a_week_and_a_day_before_and_at_the_end, |cloud: Cloud| async move {
    let receiver = Receiver::new(Mood::Willing).await;
    let topics = json!(["subscription-ends-soon", "subscription-ended", "ended"]);
    confirmed(&cloud, "individual", &receiver, topics).await;
    let id = from_half_past(&cloud, "individual").await;
    for (instant, count) in [
        ("2026-03-26T02:20:29Z", 0),
        ("2026-03-26T02:20:30Z", 1),
        ("2026-04-01T02:20:29Z", 1),
        ("2026-04-01T02:20:30Z", 2),
        ("2026-04-03T00:00:00Z", 2),
    ] {
        to(&cloud, instant).await;
        assert_eq!(events(&cloud, "individual", "subscription-ends-soon").await.len(), count, "{instant}");
    }
    to(&cloud, "2026-04-18T00:00:00Z").await;
    let soon = receiver.wait_for("dev.ebb.instance.subscription-ends-soon", 2).await;
    let days: Vec<Value> = soon.iter().map(|told| told.event()["data"]["days"].clone()).collect();
    assert!(days.contains(&json!(7)) && days.contains(&json!(1)), "{days:?}");
    let over = receiver.wait_for("dev.ebb.instance.subscription-ended", 1).await.remove(0);
    assert_eq!(
        (&over.event()["data"]["instance"], &over.event()["data"]["kept_until"]),
        (&json!(id), &json!("2026-04-17T02:20:30Z"))
    );
    let ended = receiver.wait_for("dev.ebb.instance.ended", 1).await.remove(0);
    assert_eq!(ended.event()["data"]["cause"], "subscription-end");
});

/// The clock of the service is that of the wall, months after the sandbox's: everything was due while nobody was there.
#[tokio::test]
async fn a_service_that_was_down_ends_it_at_its_second_all_the_same() {
    let place = Place::Postgres(TempPostgres::start().database().await);
    let room = [("vcpu", 4), ("memory_mib", 8_192), ("disk_gib", 100)];
    let before = Cloud::at(place.clone(), &room, Behaviour::default()).await;
    let owner = before.tenant("Ada", "individual", "500").await;
    let id = from_half_past(&before, &owner).await;
    drop(before);
    let directory = Directory::new();
    let service = Service::start(place, directory.identity()).await.unwrap();
    let show = async || service.ask(&owner, Method::GET, &format!("/v1/instances/{id}"), json!(null)).await.1;
    until("its release", async || show().await["end_cause"] == "subscription-end").await;
    assert_eq!(show().await["ended_at"], "2026-04-17T02:20:30Z");
    let log = service.ask(&owner, Method::GET, "/v1/events?limit=1000", json!(null)).await.1;
    let bodies: Vec<&Value> = log["items"].as_array().unwrap().iter().map(|event| &event["body"]).collect();
    let of = |kind: &str| bodies.iter().filter(|body| body["event"] == kind).collect::<Vec<_>>();
    assert_eq!((of("subscription-ended").len(), of("subscription-ends-soon").len()), (1, 0));
    assert_eq!(of("subscription-ended")[0]["at"], "2026-04-02T02:20:30Z");
    let bill = service.ask(&owner, Method::GET, "/v1/bills", json!(null)).await.1;
    let paid = bill["records"].as_array().unwrap().iter().filter(|record| record["meter"] == "subscription");
    assert_eq!(paid.count(), 1);
    service.stop().await;
}

#[test]
fn a_catalog_that_sells_months_says_what_a_disk_costs_and_warns_within_a_month() {
    let right = Cloud::catalog();
    assert_eq!(right.problems(), Vec::<String>::new());
    let wrong = |change: fn(&mut Catalog)| {
        let mut catalog = right.clone();
        change(&mut catalog);
        catalog.problems()
    };
    let sold = right.flavors.iter().filter(|flavor| flavor.subscription.is_some()).count();
    let without_disk = wrong(|catalog| catalog.system_disk.subscription = None);
    assert!(
        without_disk.len() == sold && without_disk[0].contains("subscription with its system disk"),
        "{without_disk:?}"
    );
    assert_eq!(wrong(|catalog| catalog.limits.subscription.warn_days_before = [28].into()).len(), 1);
    assert_eq!(wrong(|catalog| catalog.limits.subscription.max_months = 0).len(), 1);
    assert_eq!(wrong(|catalog| catalog.limits.subscription.keep_days = -1).len(), 1);
}
