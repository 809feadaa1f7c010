//! A trial's future: how long it lasts, of what its owner is warned, and what becomes of it at its end.

use crate::cloud::{Cloud, On, order};
use crate::receiver::{Mood, Receiver};
use crate::story;
use crate::subscriptions::confirmed;
use ebb_driver::fake::Behaviour;
use ebb_model::catalog::Catalog;
use ebb_store::Place;
use ebb_testing::TempPostgres;
use reqwest::Method;
use serde_json::{Value, json};

/// With the system disk at 0.02: 0.833 and 1.833 an hour, the caps of the two grants, and two that fit below one of them or do not.
fn golden(catalog: &mut Catalog) {
    for (flavor, price) in
        [("c6.large.2", "0.813"), ("c6.2xlarge.2", "1.813"), ("e1.small.2", "0.393"), ("e1.small.4", "0.40")]
    {
        let known = catalog.flavors.iter_mut().find(|known| known.id == flavor).unwrap();
        known.on_demand = Some(price.parse().unwrap());
    }
}

/// Tells a story on both databases, under a catalog of its own.
pub(crate) async fn told<F: Future<Output = ()>>(change: impl Fn(&mut Catalog), body: impl Fn(Cloud) -> F) {
    for on in [On::Sqlite, On::Postgres] {
        let mut catalog = Cloud::catalog();
        change(&mut catalog);
        assert_eq!(catalog.problems(), Vec::<String>::new());
        let room = [("vcpu", 64), ("memory_mib", 262_144), ("disk_gib", 10_000)];
        let cloud = Cloud::selling(catalog, on, &room, Behaviour::default()).await;
        body(cloud.clone()).await;
        cloud.nothing_broke().await;
    }
}

pub(crate) fn trial(flavor: &str) -> Value {
    json!({ "option": "trial", "flavor": flavor })
}

pub(crate) async fn progress(cloud: &Cloud, who: &str) -> Value {
    cloud.get(who, "/v1/trial").await
}

async fn to(cloud: &Cloud, instant: &str) {
    cloud.post("operator", "/v1/clock/advance", json!({ "to": instant })).await;
}

/// Claims, and has one instance from nine o'clock on.
async fn from_a_full_hour(cloud: &Cloud, who: &str, flavor: &str) -> String {
    cloud.post(who, "/v1/trial", json!(null)).await;
    cloud.until("09:00:00").await;
    cloud.buy(who, trial(flavor)).await
}

/// The account's events of a kind.
pub(crate) async fn events(cloud: &Cloud, who: &str, kind: &str) -> Vec<Value> {
    let (mut found, mut after) = (vec![], String::new());
    loop {
        let page = cloud.get(who, &format!("/v1/events?limit=1000&after={after}")).await;
        let items = page["items"].as_array().unwrap();
        found.extend(items.iter().filter(|event| event["body"]["event"] == kind).cloned());
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => return found,
        }
    }
}

/// The records of a meter since an instant: `since until grant amount`, with the time of day in UTC.
pub(crate) async fn records(cloud: &Cloud, who: &str, meter: &str, since: &str) -> Vec<String> {
    let bill = cloud.get(who, &format!("/v1/bills?since={since}")).await;
    let mine = bill["records"].as_array().unwrap().iter().filter(|record| record["meter"] == meter);
    mine.map(|record| {
        let text = |key: &str| record[key].as_str().unwrap();
        format!("{} {} {} {}", &text("since")[11..], &text("until")[11..], text("grant"), text("amount"))
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_is_used_up_ends_to_the_second_and_nothing_stops() {
    told(golden, |cloud| async move {
        let id = from_a_full_hour(&cloud, "individual", "c6.large.2").await;
        // 1,296,518 seconds after nine o'clock in Shanghai.
        let seen = progress(&cloud, "individual").await;
        assert_eq!(
            (seen["used_up_at"].as_str(), seen["at_end"].as_str()),
            (Some("2026-03-17T01:08:38Z"), Some("continue"))
        );
        to(&cloud, "2026-03-17T01:08:38Z").await;
        assert_eq!(cloud.instance("individual", &id).await["option"], "trial");
        let seen = progress(&cloud, "individual").await;
        assert_eq!((seen["used"].as_str(), seen["left"].as_str()), (Some("299.99985944"), Some("0.00014056")));
        // The next second costs more than that; it takes it all the same, and what follows is on demand.
        cloud.wait(1).await;
        assert_eq!(cloud.instance("individual", &id).await["option"], "on-demand");
        assert_eq!(cloud.state("individual", &id).await, "running");
        let ended = events(&cloud, "individual", "trial-ended").await;
        let said = json!({"event": "trial-ended", "at": "2026-03-17T01:08:38Z", "by": "used-up", "choice": "continue"});
        assert_eq!((ended.len(), &ended[0]["body"]), (1, &said));
        to(&cloud, "2026-03-17T02:00:00Z").await;
        let seen = progress(&cloud, "individual").await;
        assert_eq!((seen["settled"].as_str(), seen["left"].as_str()), (Some("300.00000000"), Some("0.00000000")));
        assert_eq!(
            seen["hour"],
            json!({"price": "0.833", "covered": "0.00", "above_cap": "0.00", "not_covered": "0.833"})
        );
        let bill = records(&cloud, "individual", "compute", "2026-03-17T01:00:00Z").await;
        assert_eq!(bill, ["01:00:00Z 01:08:39Z 0.11720750 0.00000000", "01:08:39Z 02:00:00Z 0.00000000 0.69579250"]);
        // The disk comes last, so the second that was not paid whole is seen there.
        let bill = records(&cloud, "individual", "system-disk", "2026-03-17T01:00:00Z").await;
        assert_eq!(bill, ["01:00:00Z 01:08:39Z 0.00279250 0.00009083", "01:08:39Z 02:00:00Z 0.00000000 0.01711667"]);
        // No further one under this grant.
        let (status, problem) =
            cloud.ask("individual", Method::POST, "/v1/instances", Some(order(trial("t6.small.1")))).await;
        assert_eq!((status.as_u16(), problem["code"].as_str()), (409, Some("trial-grant-used-up")));
        assert_eq!(
            cloud.refused("individual", "/v1/trial/at-end", json!({"choice": "release"})).await.1,
            "trial-grant-used-up"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_enterprise_has_its_own_second_and_may_release_at_it() {
    told(golden, |cloud| async move {
        let id = from_a_full_hour(&cloud, "enterprise", "c6.2xlarge.2").await;
        let chosen = cloud.post("enterprise", "/v1/trial/at-end", json!({"choice": "release"})).await;
        // 1,296,235 seconds.
        assert_eq!(
            (chosen["used_up_at"].as_str(), chosen["at_end"].as_str()),
            (Some("2026-03-17T01:03:55Z"), Some("release"))
        );
        to(&cloud, "2026-03-17T01:03:54Z").await;
        assert_eq!(cloud.state("enterprise", &id).await, "running");
        cloud.wait(2).await;
        let gone = cloud.instance("enterprise", &id).await;
        assert_eq!(
            (gone["ended_at"].as_str(), gone["end_cause"].as_str()),
            (Some("2026-03-17T01:03:55Z"), Some("trial-end"))
        );
        to(&cloud, "2026-03-17T02:00:00Z").await;
        let seen = progress(&cloud, "enterprise").await;
        assert_eq!((seen["left"].as_str(), seen["expired"].as_str()), (Some("0.00034583"), Some("0.00000000")));
        assert_eq!(cloud.get("enterprise", "/v1/balance").await["settled"]["payable"], "0.00000000");
        assert_eq!(cloud.state("enterprise", &id).await, "released");
        // What is left stays until the validity is over.
        to(&cloud, "2026-06-02T00:58:29Z").await;
        assert_eq!(events(&cloud, "enterprise", "trial-expired").await.len(), 0);
        cloud.wait(1).await;
        let expired = events(&cloud, "enterprise", "trial-expired").await;
        assert_eq!((expired.len(), &expired[0]["body"]["amount"]), (1, &json!("0.00034583")));
        let seen = progress(&cloud, "enterprise").await;
        assert_eq!((seen["left"].as_str(), seen["expired"].as_str()), (Some("0.00000000"), Some("0.00034583")));
        assert_eq!(events(&cloud, "enterprise", "trial-ended").await.len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trial_may_stop_at_its_second_and_keep_its_disk() {
    told(golden, |cloud| async move {
        let who = &*cloud.tenant("Stopper", "enterprise", "100").await;
        let id = from_a_full_hour(&cloud, who, "c6.2xlarge.2").await;
        let chosen = cloud.post(who, "/v1/trial/at-end", json!({"choice": "stop"})).await;
        assert_eq!(
            (chosen["used_up_at"].as_str(), chosen["at_end"].as_str()),
            (Some("2026-03-17T01:03:55Z"), Some("stop"))
        );
        to(&cloud, "2026-03-17T01:03:54Z").await;
        assert_eq!(cloud.state(who, &id).await, "running");
        to(&cloud, "2026-03-17T01:05:00Z").await;
        let seen = cloud.instance(who, &id).await;
        assert_eq!(
            (seen["state"].as_str(), seen["option"].as_str(), seen["economical"].as_bool()),
            (Some("stopped"), Some("on-demand"), Some(true))
        );
        // The guest was off some seconds later; it is charged to the end of the grant all the same.
        to(&cloud, "2026-03-17T02:00:00Z").await;
        let bill = records(&cloud, who, "compute", "2026-03-17T01:00:00Z").await;
        assert_eq!(bill, ["01:00:00Z 01:03:55Z 0.11834861 0.00000000"]);
        let bill = records(&cloud, who, "system-disk", "2026-03-17T01:00:00Z").await;
        assert_eq!(bill, ["01:00:00Z 01:03:55Z 0.00130556 0.00000000", "01:03:55Z 02:00:00Z 0.00000000 0.01869444"]);
        let balance = cloud.get(who, "/v1/balance").await;
        assert_eq!(
            (balance["settled"]["payable"].as_str(), balance["cash"].as_str()),
            (Some("0.01869444"), Some("99.98130556"))
        );
        let seen = progress(&cloud, who).await;
        assert_eq!((seen["left"].as_str(), seen["ended_by"].as_str()), (Some("0.00034583"), Some("used-up")));
        // Started again it is on demand.
        cloud.post(who, &format!("/v1/instances/{id}/start"), json!(null)).await;
        cloud.wait(60).await;
        let seen = cloud.instance(who, &id).await;
        assert_eq!((seen["state"].as_str(), seen["option"].as_str()), (Some("running"), Some("on-demand")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stopped_already_at_the_end_stays_so() {
    let month = |catalog: &mut Catalog| catalog.trial.individual.months = 1;
    told(month, |cloud| async move {
        cloud.post("individual", "/v1/trial", json!(null)).await;
        cloud.post("individual", "/v1/trial/at-end", json!({"choice": "stop"})).await;
        let mut ids = vec![];
        for name in ["economical", "ordinary", "as well"] {
            let one = json!({"option": "trial", "flavor": "t6.small.1", "name": name});
            ids.push(cloud.buy("individual", one).await);
        }
        cloud.wait(60).await;
        cloud.post("individual", &format!("/v1/instances/{}/stop", ids[0]), json!({"economical": true})).await;
        // Two on one host, whose room is free at once.
        for id in &ids[1..] {
            cloud.post("individual", &format!("/v1/instances/{id}/stop"), json!(null)).await;
        }
        to(&cloud, "2026-04-02T00:58:29Z").await;
        for id in &ids {
            assert_eq!(cloud.instance("individual", id).await["option"], "trial");
        }
        to(&cloud, "2026-04-02T01:00:00Z").await;
        for id in &ids {
            let seen = cloud.instance("individual", id).await;
            assert_eq!(
                (seen["state"].as_str(), seen["option"].as_str(), seen["economical"].as_bool()),
                (Some("stopped"), Some("on-demand"), Some(true))
            );
        }
        // An ordinary stop is charged as if it ran, up to the end of the validity; of both the disks go on.
        let bill = records(&cloud, "individual", "compute", "2026-04-02T00:00:00Z").await;
        assert_eq!(bill, ["00:00:00Z 00:58:30Z 0.07800000 0.00000000"; 2]);
        let bill = records(&cloud, "individual", "system-disk", "2026-04-02T00:58:30Z").await;
        assert_eq!(bill, ["00:58:30Z 01:00:00Z 0.00000000 0.00050000"; 3]);
    })
    .await;
}

story!(a_validity_that_ends_within_an_hour_cuts_its_records, |cloud: Cloud| async move {
    let id = from_a_full_hour(&cloud, "individual", "t6.small.1").await;
    let seen = progress(&cloud, "individual").await;
    assert_eq!((seen.get("used_up_at"), &seen["advice"]), (None, &json!([])));
    to(&cloud, "2026-06-02T00:58:30Z").await;
    assert_eq!(cloud.instance("individual", &id).await["option"], "on-demand");
    // The open hour is still to be settled, so nothing has expired yet.
    assert_eq!(events(&cloud, "individual", "trial-expired").await.len(), 0);
    to(&cloud, "2026-06-02T01:00:00Z").await;
    let bill = records(&cloud, "individual", "compute", "2026-06-02T00:00:00Z").await;
    assert_eq!(bill, ["00:00:00Z 00:58:30Z 0.07800000 0.00000000", "00:58:30Z 01:00:00Z 0.00000000 0.00200000"]);
    let seen = progress(&cloud, "individual").await;
    // 2,207 hours and 58.5 minutes at 0.10.
    assert_eq!((seen["settled"].as_str(), seen["expired"].as_str()), (Some("220.79750000"), Some("79.20250000")));
    assert_eq!((seen["left"].as_str(), seen["ended_by"].as_str()), (Some("0.00000000"), Some("validity")));
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ends_in_one_second_are_one_end() {
    // 31 days of 0.10 an hour, from the second of the claim.
    let change = |catalog: &mut Catalog| {
        catalog.trial.individual.months = 1;
        catalog.trial.individual.amount = "74.4".parse().unwrap();
    };
    told(change, |cloud| async move {
        cloud.post("individual", "/v1/trial", json!(null)).await;
        cloud.post("individual", "/v1/trial/at-end", json!({"choice": "release"})).await;
        let id = cloud.buy("individual", trial("t6.small.1")).await;
        to(&cloud, "2026-04-02T01:00:00Z").await;
        let gone = cloud.instance("individual", &id).await;
        assert_eq!(
            (gone["ended_at"].as_str(), gone["end_cause"].as_str()),
            (Some("2026-04-02T00:58:30Z"), Some("trial-end"))
        );
        let ended = events(&cloud, "individual", "trial-ended").await;
        assert_eq!((ended.len(), ended[0]["body"]["by"].as_str()), (1, Some("validity")));
        let seen = progress(&cloud, "individual").await;
        assert_eq!((seen["settled"].as_str(), seen["left"].as_str()), (Some("74.40000000"), Some("0.00000000")));
        assert_eq!(cloud.get("individual", "/v1/balance").await["settled"]["payable"], "0.00000000");
        assert_eq!(events(&cloud, "individual", "trial-expired").await.len(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_in_two_regions_share_one_cap_and_advice_says_what_would_make_it_last() {
    told(golden, |cloud| async move {
        let first = from_a_full_hour(&cloud, "individual", "e1.small.2").await;
        // 0.413 and 0.42 are just the cap, and so not below it; twice 0.413 is.
        let too_dear = json!({"option": "trial", "flavor": "e1.small.4", "zone": "cn-hongkong-a"});
        assert_eq!(cloud.refused("individual", "/v1/instances", too_dear).await.1, "together-above-trial-cap");
        let second = cloud
            .post(
                "individual",
                "/v1/instances",
                json!({"option": "trial", "flavor": "e1.small.2", "zone": "cn-hongkong-a", "name": "far"}),
            )
            .await;
        let other = cloud.buy("individual", json!({"option": "on-demand", "flavor": "t6.small.1"})).await;
        to(&cloud, "2026-03-02T02:00:00Z").await;
        let seen = progress(&cloud, "individual").await;
        assert_eq!(
            (seen["settled"].as_str(), seen["first_covered_at"].as_str()),
            (Some("0.82600000"), Some("2026-03-02T01:00:00Z"))
        );
        assert_eq!(
            seen["hour"],
            json!({"price": "0.926", "covered": "0.826", "above_cap": "0.00", "not_covered": "0.10"})
        );
        let running: Vec<_> = seen["running"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["instance"].as_str().unwrap(), one["covered"].as_bool().unwrap()))
            .collect();
        let second = second["id"].as_str().unwrap();
        assert_eq!(running, [(first.as_str(), true), (second, true), (other.as_str(), false)]);
        // Some 15 days at this rate; one of them alone would go on for 30, and both as small as can be for 60.
        assert!(seen["used_up_at"].as_str().unwrap().starts_with("2026-03-17"));
        let changes: Vec<_> = seen["advice"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                (one["instance"].as_str().unwrap(), one["change"].as_str().unwrap(), one["saves"].as_str().unwrap())
            })
            .collect();
        assert_eq!(changes, [(first.as_str(), "resize", "0.313"), (second, "stop", "0.393")]);
        assert_eq!(seen["advice"][0]["flavor"], "t6.small.1");
        // Beside a small one it is enough to stop the dear one, and then it lasts.
        cloud.delete("individual", second).await;
        let small = cloud.buy("individual", trial("t6.small.1")).await;
        let seen = progress(&cloud, "individual").await;
        assert_eq!(
            seen["advice"],
            json!([{"instance": first, "name": "e1.small.2", "change": "stop", "saves": "0.393"}])
        );
        cloud.delete("individual", &first).await;
        let seen = progress(&cloud, "individual").await;
        assert_eq!((seen.get("used_up_at"), &seen["advice"]), (None, &json!([])));
        assert_eq!(cloud.state("individual", &small).await, "running");
        // What is left would last one of the dearest flavor for 360 hours, less what the others used.
        let flavors = seen["flavors"].as_array().unwrap();
        let one = |flavor: &str| flavors.iter().find(|one| one["flavor"] == flavor).unwrap();
        assert_eq!((one("t6.small.1")["to_the_end"].as_bool(), flavors.len()), (Some(true), 8));
        let left = (300_000_000_i64 - 826_000) * 3_600;
        assert_eq!(one("c6.large.2")["seconds"].as_i64(), Some(left / 833_000));
    })
    .await;
}

story!(what_is_chosen_for_the_end_is_checked_first, |cloud: Cloud| async move {
    let choose = async |who: &'static str, choice: Value| {
        cloud.ask(who, Method::POST, "/v1/trial/at-end", Some(json!({ "choice": choice }))).await
    };
    let (status, problem) = choose("individual", json!("release")).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (409, Some("no-trial-grant")));
    cloud.post("individual", "/v1/trial", json!(null)).await;
    let (status, problem) = choose("individual", json!("explode")).await;
    assert_eq!((status.as_u16(), problem["message"].as_str()), (400, Some("choice: it is continue, stop or release")));
    assert_eq!(progress(&cloud, "individual").await["at_end"], "continue");
    // The same again is no news.
    for _ in 0..2 {
        assert_eq!(choose("individual", json!("release")).await.1["at_end"], "release");
    }
    assert_eq!(events(&cloud, "individual", "trial-end-chosen").await.len(), 1);
    to(&cloud, "2026-06-02T00:58:30Z").await;
    assert_eq!(choose("individual", json!("continue")).await.1["code"], "trial-grant-over");
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_warning_comes_once_at_its_second() {
    told(golden, |cloud| async move {
        let id = from_a_full_hour(&cloud, "individual", "c6.large.2").await;
        // 240 are used after 288 hours and 414 seconds; a second later less than 60 are left.
        to(&cloud, "2026-03-14T01:06:54Z").await;
        assert_eq!(events(&cloud, "individual", "trial-low").await.len(), 0);
        assert_eq!(progress(&cloud, "individual").await["left"], "60.00020500");
        cloud.wait(1).await;
        let low = events(&cloud, "individual", "trial-low").await;
        let said = json!({"event": "trial-low", "at": "2026-03-14T01:06:55Z", "percent": 20, "lasts_until": "2026-03-17T01:08:38Z"});
        assert_eq!((low.len(), &low[0]["body"]), (1, &said));
        assert_eq!(progress(&cloud, "individual").await["left"], "59.99997361");
        cloud.delete("individual", &id).await;
        let again = cloud.buy("individual", trial("t6.small.1")).await;
        to(&cloud, "2026-05-26T00:58:30Z").await;
        let soon = events(&cloud, "individual", "trial-ends-soon").await;
        // What is left pays for the small one for 599 hours, so the trial ended before its last week.
        assert_eq!((soon.len(), cloud.instance("individual", &again).await["option"].as_str()), (0, Some("on-demand")));
        assert_eq!(events(&cloud, "individual", "trial-low").await.len(), 1);
        assert_eq!(events(&cloud, "individual", "trial-ended").await.len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_subscribed_is_told_of_each_warning_once() {
    told(golden, |cloud| async move {
        let receiver = Receiver::new(Mood::Willing).await;
        let topics = json!(["trial-low", "trial-ends-soon", "trial-ended"]);
        let (_, secret) = confirmed(&cloud, "individual", &receiver, topics).await;
        from_a_full_hour(&cloud, "individual", "c6.large.2").await;
        to(&cloud, "2026-03-14T02:00:00Z").await;
        let low = receiver.wait_for("dev.ebb.account.trial-low", 1).await.remove(0);
        assert!(low.is_signed_with(&secret), "{low:?}");
        let account = cloud.get("individual", "/v1/whoami").await["account"]["id"].clone();
        let data = json!({"account": account, "at": "2026-03-14T01:06:55Z", "percent": 20, "lasts_until": "2026-03-17T01:08:38Z"});
        assert_eq!((&low.event()["data"], &low.event()["subject"]), (&data, &account));
        to(&cloud, "2026-06-03T00:00:00Z").await;
        let ended = receiver.wait_for("dev.ebb.account.trial-ended", 1).await.remove(0);
        assert_eq!(ended.event()["data"]["by"], "used-up");
        // An end that came before needs no announcement.
        let told: Vec<String> = receiver.types().into_iter().filter(|kind| kind.starts_with("dev.ebb.account.")).collect();
        assert_eq!(told, ["dev.ebb.account.trial-low", "dev.ebb.account.trial-ended"]);
    })
    .await;
}

/// Nobody knows yet what a silent host did before the end; once it is known the end counts from its own second, or there was none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_waits_for_what_a_silent_host_saw_before_it() {
    for lost in [false, true] {
        told(golden, |cloud| async move {
            let tell = async |verb: &str, body: Value| {
                cloud.post("operator", &format!("/v1/hosts/cn-beijing-a-1/{verb}"), body).await
            };
            let id = from_a_full_hour(&cloud, "individual", "c6.large.2").await;
            cloud.post("individual", "/v1/trial/at-end", json!({"choice": "release"})).await;
            to(&cloud, "2026-03-17T01:07:00Z").await;
            tell("unplug", json!(null)).await;
            to(&cloud, "2026-03-17T02:30:00Z").await;
            assert_eq!(events(&cloud, "individual", "trial-ended").await.len(), 0);
            assert_eq!(cloud.state("individual", &id).await, "running");
            match lost {
                false => tell("plug", json!(null)).await,
                true => tell("lost", json!({"fenced": true})).await,
            };
            cloud.wait(120).await;
            let seen = progress(&cloud, "individual").await;
            assert_eq!(cloud.get("individual", "/v1/balance").await["settled"]["payable"], "0.00000000");
            if lost {
                // It was last heard before the end, so what is left is left, and the trial goes on.
                assert_eq!((cloud.state("individual", &id).await.as_str(), seen.get("ended_at")), ("lost", None));
                assert_eq!(
                    (seen["settled"].as_str(), seen["left"].as_str()),
                    (Some("299.97718333"), Some("0.02281667"))
                );
            } else {
                let gone = cloud.instance("individual", &id).await;
                assert_eq!(
                    (gone["end_cause"].as_str(), gone["ended_at"].as_str()),
                    (Some("trial-end"), Some("2026-03-17T01:08:38Z"))
                );
                assert_eq!(
                    (seen["settled"].as_str(), seen["left"].as_str()),
                    (Some("299.99985944"), Some("0.00014056"))
                );
            }
        })
        .await;
    }
}

/// Two services on one database, which come to the same instants at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_servers_warn_and_end_once() {
    let room = [("vcpu", 64), ("memory_mib", 262_144), ("disk_gib", 10_000)];
    let place = Place::Postgres(TempPostgres::start().database().await);
    let one = Cloud::at(place.clone(), &room, Behaviour::default()).await;
    let mut claimants = vec![];
    for name in ["Ada", "Bob", "Cai", "Dora"] {
        let key = one.tenant(name, "individual", "0").await;
        one.post(&key, "/v1/trial", json!(null)).await;
        claimants.push(key);
    }
    let other = Cloud::at(place, &room, Behaviour::default()).await;
    tokio::join!(to(&one, "2026-06-03T00:00:00Z"), to(&other, "2026-06-03T00:00:00Z"));
    for who in &claimants {
        let count = async |kind: &str| events(&one, who, kind).await.len();
        let counts = (count("trial-ends-soon").await, count("trial-ended").await, count("trial-expired").await);
        assert_eq!(counts, (2, 1, 1));
        assert_eq!(progress(&other, who).await["expired"], "300.00000000");
    }
    one.agrees().await;
}

story!(the_end_of_the_validity_is_announced_a_week_and_a_day_before, |cloud: Cloud| async move {
    cloud.post("individual", "/v1/trial", json!(null)).await;
    for (instant, count) in [
        ("2026-05-26T00:58:29Z", 0),
        ("2026-05-26T00:58:30Z", 1),
        ("2026-06-01T00:58:29Z", 1),
        ("2026-06-01T00:58:30Z", 2),
        ("2026-07-01T00:00:00Z", 2),
    ] {
        to(&cloud, instant).await;
        assert_eq!(events(&cloud, "individual", "trial-ends-soon").await.len(), count, "{instant}");
    }
    let ended = events(&cloud, "individual", "trial-ended").await;
    assert_eq!((ended.len(), ended[0]["at"].as_str()), (1, Some("2026-06-02T00:58:30Z")));
    let expired = events(&cloud, "individual", "trial-expired").await;
    assert_eq!(expired[0]["body"], json!({"event": "trial-expired", "amount": "300.00000000"}));
});

/// The list is data of the catalog: who runs under one that does not have his flavor any more pays from then on, until it has it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_list_counts_from_the_second_in_which_it_holds() {
    let dir = std::env::temp_dir().join(format!("ebb-list-{}", std::process::id()));
    let listed = Cloud::catalog();
    let mut unlisted = Cloud::catalog();
    assert!(unlisted.trial.individual.flavors.remove("t6.small.1"));
    let (cloud, ended) = Cloud::kept_selling(listed.clone(), &dir, 16).await;
    let id = from_a_full_hour(&cloud, "individual", "t6.small.1").await;
    let off = cloud.buy("individual", trial("t6.small.1")).await;
    cloud.wait(60).await;
    cloud.post("individual", &format!("/v1/instances/{off}/stop"), json!({"economical": true})).await;
    cloud.until("10:20:00").await;
    drop(cloud);
    ended.await.unwrap();

    let (cloud, ended) = Cloud::kept_selling(unlisted, &dir, 16).await;
    let seen = progress(&cloud, "individual").await;
    assert_eq!(seen["hour"], json!({"price": "0.12", "covered": "0.00", "above_cap": "0.00", "not_covered": "0.12"}));
    assert_eq!((seen.get("used_up_at"), seen["running"][0]["covered"].as_bool()), (None, Some(false)));
    cloud.until("10:50:00").await;
    drop(cloud);
    ended.await.unwrap();

    let (cloud, ended) = Cloud::kept_selling(listed.clone(), &dir, 16).await;
    let said = events(&cloud, "individual", "coverage-changed").await;
    let said: Vec<_> =
        said.iter().map(|one| (&one["body"]["covered"], one["body"]["since"].as_str().unwrap())).collect();
    let (lost, back) = ((&json!(false), "2026-03-02T02:20:00Z"), (&json!(true), "2026-03-02T02:50:00Z"));
    assert_eq!(said, [lost, lost, back, back]);
    // The same list again changes nothing.
    drop(cloud);
    ended.await.unwrap();
    let (cloud, _ended) = Cloud::kept_selling(listed, &dir, 16).await;
    assert_eq!(events(&cloud, "individual", "coverage-changed").await.len(), 4);
    cloud.until("11:00:00").await;
    let compute = cloud.records("individual", &id, "compute").await;
    assert_eq!(
        compute[1..],
        [
            "10:00:00-10:20:00 1200 0.08 0.00000000",
            "10:20:00-10:50:00 1800 0.08 0.04000000",
            "10:50:00-11:00:00 600 0.08 0.00000000"
        ]
    );
    let disk = cloud.records("individual", &off, "system-disk").await;
    assert_eq!(
        disk[1..],
        [
            "10:00:00-10:20:00 1200 0.02 0.00000000",
            "10:20:00-10:50:00 1800 0.02 0.01000000",
            "10:50:00-11:00:00 600 0.02 0.00000000"
        ]
    );
    assert_eq!(cloud.records("individual", &off, "compute").await.len(), 1);
    cloud.nothing_broke().await;
    std::fs::remove_dir_all(dir).unwrap();
}
