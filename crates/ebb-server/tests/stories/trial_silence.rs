//! What holds while a host is silent, so that nobody knows for certain whether a trial has ended?

use crate::cloud::{Cloud, order};
use crate::trial_end::{events, progress, records, told, trial};
use ebb_model::catalog::Catalog;
use reqwest::Method;
use serde_json::{Value, json};

/// With two at 0.35 an hour it lasts for 8 hours, 34 minutes and 17 seconds.
fn six(catalog: &mut Catalog) {
    catalog.trial.individual.amount = "6".parse().unwrap();
}

async fn to(cloud: &Cloud, instant: &str) {
    cloud.post("operator", "/v1/clock/advance", json!({ "to": instant })).await;
}

async fn host(cloud: &Cloud, verb: &str) {
    cloud.post("operator", &format!("/v1/hosts/cn-beijing-a-1/{verb}"), json!(null)).await;
}

/// Nine o'clock: one instance on a host that falls silent, one on a host that does not.
async fn two(cloud: &Cloud, who: &str, choice: &str) -> (String, String) {
    cloud.post(who, "/v1/trial", json!(null)).await;
    cloud.post(who, "/v1/trial/at-end", json!({ "choice": choice })).await;
    cloud.until("09:00:00").await;
    let near = cloud.buy(who, trial("e1.large.4")).await;
    let far = json!({"option": "trial", "flavor": "e1.large.4", "zone": "cn-hongkong-a"});
    let far = cloud.buy(who, far).await;
    to(cloud, "2026-03-02T01:01:00Z").await;
    host(cloud, "unplug").await;
    (near, far)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_deletes_after_the_end_pays_what_he_would_have_paid() {
    for choice in ["release", "stop", "continue"] {
        told(six, |cloud| async move {
            let who = &*cloud.tenant("Patient", "individual", "50").await;
            let (near, far) = two(&cloud, who, choice).await;
            to(&cloud, "2026-03-02T12:00:00Z").await;
            cloud.delete(who, &far).await;
            to(&cloud, "2026-03-02T12:30:00Z").await;
            host(&cloud, "plug").await;
            to(&cloud, "2026-03-02T14:00:00Z").await;
            let ended = events(&cloud, who, "trial-ended").await;
            let said = json!({"event": "trial-ended", "at": "2026-03-02T09:34:17Z", "by": "used-up", "choice": choice});
            assert_eq!((ended.len(), &ended[0]["body"]), (1, &said));
            let bill = async |meter: &str| {
                let bill = cloud.get(who, "/v1/bills?since=2026-03-02T09:00:00Z").await;
                let mine = bill["records"].as_array().unwrap().iter();
                let mine = mine.filter(|record| record["meter"] == meter && record["instance"] == far.as_str());
                let text = |record: &Value, key: &str| record[key].as_str().unwrap().to_owned();
                let told = mine.map(|record| {
                    let (until, amount) = (text(record, "until"), text(record, "amount"));
                    format!("{} {amount}", &until[11..19])
                });
                told.collect::<Vec<_>>()
            };
            let free = ["09:34:17 0.00000000"];
            // From 09:34:18 on 1,542 seconds, and two hours.
            let on_demand =
                ["09:34:18 0.00000000", "10:00:00 0.14135000", "11:00:00 0.33000000", "12:00:00 0.33000000"];
            let disk = ["10:00:00 0.00857222", "11:00:00 0.02000000", "12:00:00 0.02000000"];
            let deleted = ("2026-03-02T12:00:00Z", "deleted");
            let (compute, disk, end, option, state, left) = match choice {
                "release" => {
                    let gone = ("2026-03-02T09:34:17Z", "trial-end");
                    (free.to_vec(), free.to_vec(), gone, "trial", "released", "0.00002778")
                }
                "stop" => {
                    let disk = [&free[..], &disk[..]].concat();
                    (free.to_vec(), disk, deleted, "on-demand", "stopped", "0.00002778")
                }
                _ => {
                    let disk = [&["09:34:18 0.00016667"], &["10:00:00 0.00856667"], &disk[1..]].concat();
                    (on_demand.to_vec(), disk, deleted, "on-demand", "running", "0.00000000")
                }
            };
            assert_eq!(bill("compute").await, compute, "{choice}");
            assert_eq!(bill("system-disk").await, disk, "{choice}");
            let seen = cloud.instance(who, &far).await;
            let found = (seen["ended_at"].as_str().unwrap(), seen["end_cause"].as_str().unwrap());
            assert_eq!((found, seen["option"].as_str()), (end, Some(option)));
            assert_eq!(cloud.state(who, &near).await, state);
            assert_eq!(progress(&cloud, who).await["left"], left);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_end_nothing_is_bought_or_chosen_under_it() {
    told(six, |cloud| async move {
        let (_, far) = two(&cloud, "individual", "continue").await;
        to(&cloud, "2026-03-02T09:34:17Z").await;
        assert_eq!(progress(&cloud, "individual").await.get("ended_at"), None);
        cloud.wait(1).await;
        let seen = progress(&cloud, "individual").await;
        assert_eq!(
            (seen["ended_at"].as_str(), seen["ended_by"].as_str()),
            (Some("2026-03-02T09:34:17Z"), Some("used-up"))
        );
        assert_eq!((&seen["advice"], &seen["running"][0]["covered"]), (&json!([]), &json!(false)));
        // It would count back to the end, and make free what was used since then.
        to(&cloud, "2026-03-02T12:00:00Z").await;
        assert_eq!(
            cloud.refused("individual", "/v1/trial/at-end", json!({"choice": "release"})).await.1,
            "trial-grant-used-up"
        );
        let (_, problem) =
            cloud.ask("individual", Method::POST, "/v1/instances", Some(order(trial("t6.small.1")))).await;
        assert_eq!(problem["code"], "trial-grant-used-up");
        for to in [json!({"to": "on-demand", "quote": true}), json!({"to": "subscription", "months": 1})] {
            let convert = format!("/v1/instances/{far}/convert");
            assert_eq!(cloud.refused("individual", &convert, to).await.1, "trial-grant-used-up");
        }
        assert_eq!(cloud.instance("individual", &far).await["option"], "trial");
        host(&cloud, "plug").await;
        cloud.wait(120).await;
        assert_eq!(cloud.instance("individual", &far).await["option"], "on-demand");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_hour_that_waits_has_a_cap_of_its_own() {
    told(
        |_| {},
        |cloud| async move {
            let (near, far) = two(&cloud, "individual", "continue").await;
            to(&cloud, "2026-03-02T05:30:00Z").await;
            let seen = progress(&cloud, "individual").await;
            // Four hours and a half of 0.70.
            assert_eq!(
                (seen["settled"].as_str(), seen["accruing"].as_str(), seen["left"].as_str()),
                (Some("0.00000000"), Some("3.15000000"), Some("296.85000000"))
            );
            let balance = cloud.get("individual", "/v1/balance").await;
            assert_eq!(
                (&balance["accruing"]["grant"], &balance["accruing"]["payable"]),
                (&json!("3.15000000"), &json!("0.00000000"))
            );
            // Another one after a release: of this hour 0.35 are used.
            cloud.delete("individual", &far).await;
            cloud.wait(60).await;
            cloud.buy("individual", trial("t6.small.1")).await;
            // What is taken is what is left, and what was used stays covered.
            let me = cloud.instance("individual", &near).await["account"].as_str().unwrap().to_owned();
            let revoke = format!("/v1/accounts/{me}/trial/revoke");
            let taken = cloud.post("operator", &revoke, json!({"reason": "a second grant"})).await;
            let revoked: String = taken["revoked"].as_str().unwrap().to_owned();
            assert!(revoked.starts_with("296.8"), "{revoked}");
            host(&cloud, "plug").await;
            cloud.delete("individual", &near).await;
            to(&cloud, "2026-03-02T05:31:30Z").await;
            let seen = progress(&cloud, "individual").await;
            assert_eq!(
                (seen["ended_by"].as_str(), seen["ended_at"].as_str()),
                (Some("revoked"), Some("2026-03-02T05:31:00Z"))
            );
            let (status, problem) =
                cloud.ask("individual", Method::POST, "/v1/instances", Some(order(trial("t6.small.1")))).await;
            assert_eq!((status.as_u16(), problem["code"].as_str()), (409, Some("trial-grant-revoked")));
            to(&cloud, "2026-03-02T07:00:00Z").await;
            let bill = records(&cloud, "individual", "compute", "2026-03-02T04:00:00Z").await;
            assert!(
                bill.iter().filter(|record| record.as_str() < "05:31").all(|record| record.ends_with(" 0.00000000")),
                "{bill:?}"
            );
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_closed_account_left_of_its_grant_expires() {
    told(
        |_| {},
        |cloud| async move {
            let (id, key) = cloud.verified("Leaver", "individual", json!([])).await;
            cloud.post(&key, "/v1/trial", json!(null)).await;
            let one = cloud.buy(&key, trial("t6.small.1")).await;
            cloud.wait(1_800).await;
            cloud.delete(&key, &one).await;
            cloud.wait(3_600).await;
            cloud.post(&key, &format!("/v1/accounts/{id}/close"), json!(null)).await;
            to(&cloud, "2026-06-02T02:00:00Z").await;
            let seen = cloud.get("operator", &format!("/v1/trial?account={id}")).await;
            assert_eq!((seen["left"].as_str(), seen["settled"].as_str()), (Some("0.00000000"), Some("0.05000000")));
            assert_eq!(
                (seen["expired"].as_str(), seen.get("ended_at")),
                (Some("299.95000000"), Some(&json!("2026-06-02T00:58:30Z")))
            );
        },
    )
    .await;
}
