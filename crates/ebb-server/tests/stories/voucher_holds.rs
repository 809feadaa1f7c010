//! Buying with coupons and cards: what counts as money for a hold, and for whom.

use crate::cloud::{Cloud, block, order};
use crate::story;
use crate::vouchers::{issue, machine, voucher};
use reqwest::Method;
use serde_json::{Value, json};

async fn funds(cloud: &Cloud, who: &str) -> [String; 4] {
    let balance = cloud.get(who, "/v1/balance").await;
    ["cash", "held", "available", "vouchers"].map(|part| balance[part].as_str().unwrap().to_owned())
}

/// The sentence of a purchase that is refused for want of money.
async fn lacks(cloud: &Cloud, who: &str, what: Value) -> String {
    let (status, problem) = cloud.ask(who, Method::POST, "/v1/instances", Some(order(what))).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (402, Some("insufficient-funds")), "{problem}");
    problem["message"].as_str().unwrap().to_owned()
}

fn scoped(kind: &str, face: &str, pays: Value) -> Value {
    json!({ "kind": kind, "face": face, "pays": pays })
}

story!(a_card_is_enough_to_buy_and_is_counted_once, |cloud: Cloud| async move {
    let poor = cloud.tenant("Poor", "individual", "0").await;
    let said = lacks(&cloud, &poor, machine()).await;
    assert!(
        said.starts_with("this needs 0.41000000 of unbound money") && said.contains("0.00000000 is there"),
        "{said}"
    );
    issue(&cloud, &poor, voucher("card", "0.45", "")).await;
    let quote = cloud.post(&poor, "/v1/quote", order(machine())).await;
    assert_eq!((&quote["hold"], &quote["hold_vouchers"]), (&json!("0.41000000"), &json!("0.41000000")));
    assert!(quote["refused"].is_null(), "{quote}");
    let id = cloud.buy(&poor, machine()).await;
    assert_eq!(funds(&cloud, &poor).await, ["0.00000000", "0.41000000", "0.00000000", "0.45000000"]);
    // What it holds is not there for a second one.
    let said = lacks(&cloud, &poor, machine()).await;
    assert!(said.contains("0.04000000 is there"), "{said}");
    let quote = cloud.post(&poor, "/v1/quote", order(machine())).await;
    assert_eq!(
        (&quote["refused"]["code"], &quote["hold_vouchers"]),
        (&json!("insufficient-funds"), &json!("0.04000000"))
    );
    // With 0.37 in cash it would be.
    let account = cloud.get(&poor, "/v1/whoami").await["account"]["id"].as_str().unwrap().to_owned();
    cloud.post("operator", &format!("/v1/accounts/{account}/top-ups"), json!({"amount": "0.37"})).await;
    cloud.buy(&poor, machine()).await;
    assert_eq!(funds(&cloud, &poor).await, ["0.37000000", "0.82000000", "0.00000000", "0.45000000"]);
    cloud.until("09:00:00").await;
    cloud.delete(&poor, &id).await;
    assert_eq!(funds(&cloud, &poor).await, ["0.37000000", "0.00000000", "0.37000000", "0.42950000"]);
});

story!(what_may_not_pay_a_block_buys_none, |cloud: Cloud| async move {
    // A block of an hour holds 0.07 and 0.02 for its disk.
    let poor = cloud.tenant("Poor", "individual", "0").await;
    issue(&cloud, &poor, voucher("discount-coupon", "100", "")).await;
    assert!(lacks(&cloud, &poor, block(1)).await.contains("0.02000000 is there"));
    issue(&cloud, &poor, scoped("card", "100", json!({"options": ["on-demand"]}))).await;
    issue(&cloud, &poor, scoped("card", "100", json!({"meters": ["subscription"]}))).await;
    assert!(lacks(&cloud, &poor, block(1)).await.contains("0.02000000 is there"));
    issue(&cloud, &poor, scoped("cash-coupon", "0.069", json!({"options": ["spot-block"]}))).await;
    // It goes on with the disk where it is older; what each may pay is looked at, not only the sum.
    assert!(lacks(&cloud, &poor, block(1)).await.contains("0.08900000 is there"));
    issue(&cloud, &poor, scoped("cash-coupon", "0.001", json!({"options": ["spot-block"], "meters": ["compute"]})))
        .await;
    let id = cloud.buy(&poor, block(1)).await;
    assert!(lacks(&cloud, &poor, block(1)).await.contains("0.02000000 is there"));
    cloud.until("10:00:00").await;
    assert_eq!(cloud.instance(&poor, &id).await["end_cause"], "lease-end");
    assert_eq!(cloud.get(&poor, "/v1/balance").await["debt"], "0.00000000");
});

// It would be over before the hour that it is to pay for.
story!(what_expires_before_it_is_needed_does_not_count, |cloud: Cloud| async move {
    let poor = cloud.tenant("Poor", "individual", "0").await;
    issue(&cloud, &poor, voucher("cash-coupon", "100", "09:58:30")).await;
    let mut later = voucher("cash-coupon", "100", "");
    later["valid_from"] = json!("2026-03-02T08:58:31+08:00");
    issue(&cloud, &poor, later).await;
    assert!(lacks(&cloud, &poor, machine()).await.contains("0.00000000 is there"));
    cloud.wait(1).await;
    cloud.buy(&poor, machine()).await;
});

story!(two_that_want_the_same_voucher_see_each_other, |cloud: Cloud| async move {
    let poor = cloud.tenant("Poor", "individual", "0").await;
    issue(&cloud, &poor, voucher("card", "0.81", "")).await;
    let buy = || cloud.ask(&poor, Method::POST, "/v1/instances", Some(order(machine())));
    let (a, b, c) = tokio::join!(buy(), buy(), buy());
    let mut answers = [a.0.as_u16(), b.0.as_u16(), c.0.as_u16()];
    answers.sort_unstable();
    assert_eq!(answers, [201, 402, 402]);
    assert_eq!(funds(&cloud, &poor).await, ["0.00000000", "0.41000000", "0.00000000", "0.81000000"]);
});

story!(a_trial_is_left_with_a_voucher, |cloud: Cloud| async move {
    let poor = cloud.tenant("Poor", "individual", "0").await;
    cloud.post(&poor, "/v1/trial", json!(null)).await;
    let id = cloud.buy(&poor, json!({"option": "trial", "flavor": "c6.large.2"})).await;
    let path = format!("/v1/instances/{id}/convert");
    let to = json!({"to": "on-demand"});
    issue(&cloud, &poor, scoped("card", "5", json!({"options": ["trial"]}))).await;
    assert_eq!(cloud.refused(&poor, &path, to.clone()).await, (402, "insufficient-funds".to_owned()));
    issue(&cloud, &poor, scoped("card", "5", json!({"options": ["on-demand"]}))).await;
    let converted = cloud.post(&poor, &path, to).await;
    assert_eq!((&converted["hold"], &converted["available"]), (&json!("0.41000000"), &json!("0.00000000")));
});
