//! A silent host keeps the hours of an account open, for days perhaps: what may be bought meanwhile, and what follows when it is heard?

use crate::arrears::{OF_ARREARS, asked, balance, said, small, to};
use crate::cloud::{Cloud, On, block, order};
use crate::story;
use reqwest::Method;
use serde_json::json;

const BEIJING: &str = "cn-beijing-a-1";

async fn tell(cloud: &Cloud, verb: &str) {
    cloud.post("operator", &format!("/v1/hosts/{BEIJING}/{verb}"), json!(null)).await;
}

/// What is used and not billed is no money to buy with, and what was bought before is released in its own time only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_used_meanwhile_is_not_spent_again() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = Cloud::new(on).await;
        let ada = cloud.tenant("Ada", "individual", "1.30").await;
        cloud.until("09:00:00").await;
        let (one, other) = (cloud.buy(&ada, small()).await, cloud.buy(&ada, small()).await);
        cloud.until("10:00:00").await;
        tell(&cloud, "unplug").await;
        to(&cloud, "2026-03-02T05:00:00Z").await;
        // Of 1.30 one hour of both is billed, three are not: 0.50 are left.
        let known = balance(&cloud, &ada).await;
        assert_eq!((known["cash"].as_str(), known["debt"].as_str()), (Some("1.10000000"), Some("0.00000000")));
        assert_eq!(known["available"], "0.50000000");
        to(&cloud, "2026-03-02T07:45:00Z").await;
        let refused = asked(&cloud, &ada, Method::POST, "/v1/instances", order(small())).await;
        assert_eq!(refused, "402 insufficient-funds");
        // For 32 days it is not heard. The freeze counts from its own second, and leaves its owner all days to pay.
        to(&cloud, "2026-04-03T05:00:00Z").await;
        tell(&cloud, "plug").await;
        cloud.wait(60).await;
        let told = said(&cloud, &ada, &OF_ARREARS).await;
        assert_eq!(
            told,
            [
                "arrears-began 0.10000000 2026-03-17T08:00:00Z 2026-03-02T08:00:00Z",
                "freeze-soon 3 2026-03-17T08:00:00Z",
                "freeze-soon 1 2026-03-17T08:00:00Z",
                "account-frozen 2026-03-17T08:00:00Z grace 2026-04-18T05:00:00Z",
            ]
        );
        assert_eq!(cloud.state(&ada, &one).await, "stopped");
        to(&cloud, "2026-04-18T05:01:00Z").await;
        assert_eq!(cloud.instance(&ada, &other).await["ended_at"], "2026-04-18T05:00:00Z");
        assert_eq!(said(&cloud, &ada, &OF_ARREARS).await.len(), 7, "two warnings and the release");
        cloud.nothing_broke().await;
    }
}

// A cap that is set while the last hour of the month before is open: what that adds is added to what was billed of its month.
story!(a_cap_counts_the_month_before_whole, |cloud: Cloud| async move {
    to(&cloud, "2026-03-31T10:00:00Z").await;
    cloud.buy("individual", small()).await;
    to(&cloud, "2026-03-31T15:00:00Z").await;
    tell(&cloud, "unplug").await;
    // It is April in Shanghai.
    to(&cloud, "2026-03-31T16:01:00Z").await;
    cloud.post("individual", "/v1/cap", json!({ "amount": "90" })).await;
    tell(&cloud, "plug").await;
    cloud.wait(60).await;
    cloud.agrees().await;
});

/// A block is settled after all of its periods: a card that is over by then holds nothing for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_that_is_over_by_the_release_holds_no_block() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = Cloud::new(on).await;
        let ada = cloud.tenant("Ada", "individual", "0.01").await;
        let whoami = cloud.get(&ada, "/v1/whoami").await;
        let path = format!("/v1/accounts/{}/vouchers", whoami["account"]["id"].as_str().unwrap());
        cloud.until("09:00:00").await;
        // Good to four in the afternoon.
        let card = json!({ "kind": "card", "face": "100", "expires_at": "2026-03-02T16:10:00+08:00" });
        cloud.post("operator", &path, card).await;
        let long = json!({ "option": "spot-block", "flavor": "c6.large.2", "hours": 6, "periods": 4 });
        let refused = asked(&cloud, &ada, Method::POST, "/v1/instances", order(long)).await;
        assert_eq!(refused, "402 insufficient-funds");
        cloud.buy(&ada, block(6)).await;
        cloud.nothing_broke().await;
    }
}
