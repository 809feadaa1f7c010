//! The narrow path of the trial: claimed once, pays within its cap, and says what it will pay.

use crate::cloud::{Cloud, block, order};
use crate::story;
use reqwest::Method;
use serde_json::{Value, json};

story!(the_grant_pays_within_its_hourly_cap, |cloud: Cloud| async move {
    let claimed = cloud.post("individual", "/v1/trial", json!(null)).await;
    assert_eq!((claimed["issued"].as_str(), claimed["hourly_cap"].as_str()), (Some("300.00000000"), Some("0.833")));
    assert_eq!(claimed["valid_until"], "2026-06-02T00:58:30Z");
    // 0.81 and 0.02 for the disk: just below the cap of 0.833.
    let id = cloud.buy("individual", json!({"option": "trial", "flavor": "c6.xlarge.2"})).await;
    cloud.wait(60).await;
    let shown = cloud.get("individual", "/v1/trial").await;
    assert_eq!((shown["settled"].as_str(), shown["accruing"].as_str()), (Some("0.00000000"), Some("0.01383333")));
    cloud.until("10:00:00").await;
    let bill = cloud.get("individual", "/v1/bills").await;
    assert_eq!(bill["settled_total"], json!({"waived": "0.00000000", "grant": "0.85075000", "payable": "0.00000000"}));
    assert_eq!(bill["accruing"], json!([]));

    // A second one does not fit below the cap, nor does the account claim twice.
    let more = order(json!({"option": "trial", "flavor": "t6.small.1"}));
    assert_eq!(cloud.refused("individual", "/v1/instances", more).await.1, "together-above-trial-cap");
    assert_eq!(cloud.refused("individual", "/v1/trial", json!(null)).await.1, "trial-already-claimed");

    // Credit can still fall after the release: what ran is settled with the hour.
    cloud.until("10:30:00").await;
    cloud.delete("individual", &id).await;
    let left = cloud.get("individual", "/v1/trial").await;
    assert_eq!((left["settled"].as_str(), left["accruing"].as_str()), (Some("0.85075000"), Some("0.41500000")));
    cloud.until("11:00:00").await;
    let left = cloud.get("individual", "/v1/trial").await;
    assert_eq!((left["settled"].as_str(), left["left"].as_str()), (Some("1.26575000"), Some("298.73425000")));
    assert_eq!(cloud.get("individual", "/v1/balance").await["cash"], "10000.00000000");
});

story!(on_demand_instances_are_never_covered, |cloud: Cloud| async move {
    cloud.post("individual", "/v1/trial", json!(null)).await;
    cloud.buy("individual", json!({"option": "on-demand", "flavor": "t6.small.1"})).await;
    cloud.until("09:00:00").await;
    let balance = cloud.get("individual", "/v1/balance").await;
    assert_eq!(balance["settled"], json!({"waived": "0.00000000", "grant": "0.00000000", "payable": "0.00250000"}));
});

story!(the_lists_say_where_and_what, |cloud: Cloud| async move {
    cloud.post("individual", "/v1/trial", json!(null)).await;
    let off_list = json!({"option": "trial", "flavor": "c6.2xlarge.1"});
    assert_eq!(cloud.refused("individual", "/v1/instances", order(off_list)).await.1, "not-on-trial-list");
    let hong_kong = json!({"option": "trial", "flavor": "c6.large.2", "zone": "cn-hongkong-a"});
    assert_eq!(cloud.refused("individual", "/v1/instances", hong_kong).await.1, "not-on-trial-list");
});

story!(who_ran_before_does_not_claim, |cloud: Cloud| async move {
    cloud.buy("enterprise", json!({"option": "on-demand", "flavor": "t6.small.1"})).await;
    assert_eq!(cloud.refused("enterprise", "/v1/trial", json!(null)).await.1, "trial-ran-before");
});

story!(two_claims_at_once_give_one_grant, |cloud: Cloud| async move {
    let (a, b) = tokio::join!(
        cloud.ask("individual", reqwest::Method::POST, "/v1/trial", None),
        cloud.ask("individual", reqwest::Method::POST, "/v1/trial", None)
    );
    let mut statuses = [a.0.as_u16(), b.0.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
});

story!(a_quote_says_what_a_purchase_would_be_refused_for, |cloud: Cloud| async move {
    // Quoted and bought alike: the same code and sentence, or neither.
    let alike = async |key: &str, what: Value, code: &str| {
        let quoted = cloud.post(key, "/v1/quote", order(what.clone())).await;
        assert!(quoted["price"].as_str().is_some_and(|price| !price.is_empty()), "{quoted}");
        let (status, bought) = cloud.ask(key, Method::POST, "/v1/instances", Some(order(what.clone()))).await;
        match code {
            "" => assert!(quoted.get("refused").is_none() && status.is_success(), "{what}: {quoted} {bought}"),
            _ => {
                assert_eq!(quoted["refused"]["code"], code, "{what}: {quoted}");
                assert_eq!(
                    (&quoted["refused"]["code"], &quoted["refused"]["message"]),
                    (&bought["code"], &bought["message"])
                );
            }
        }
    };
    let trial = |flavor: &str| json!({"option": "trial", "flavor": flavor});
    let on_demand = json!({"option": "on-demand", "flavor": "c6.large.2"});
    let (id, key) = cloud.registered("Ada", json!([])).await;
    alike(&key, on_demand.clone(), "unverified").await;
    cloud.post("operator", &format!("/v1/accounts/{id}/verification"), json!({"holder": "individual"})).await;
    alike(&key, on_demand.clone(), "insufficient-funds").await;
    alike(&key, block(3), "insufficient-funds").await;
    alike(&key, trial("t6.small.1"), "no-trial-grant").await;
    assert_eq!(cloud.ask(&key, Method::GET, "/v1/trial", None).await.1["code"], "no-trial-grant");
    cloud.post(&key, "/v1/trial", json!(null)).await;
    alike(&key, trial("c6.2xlarge.2"), "not-on-trial-list").await;
    alike(&key, trial("c6.xlarge.2"), "").await;
    alike(&key, trial("t6.small.1"), "together-above-trial-cap").await;
    cloud.post("operator", &format!("/v1/accounts/{id}/top-ups"), json!({"amount": "100"})).await;
    alike(&key, on_demand, "").await;
    // A quote needs no account.
    let quoted = cloud.post("operator", "/v1/quote", order(trial("c6.2xlarge.2"))).await;
    assert!(quoted.get("refused").is_none(), "{quoted}");
});
