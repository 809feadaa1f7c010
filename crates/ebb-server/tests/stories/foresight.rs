//! Do orders by the month, renewals and forecasts know coupons and cards, debts, and prices that change?

use crate::arrears::to;
use crate::cloud::{Cloud, order};
use crate::conversions::{cash, events, records};
use crate::forecasts::{forecast, texts};
use crate::ordered::monthly;
use crate::story;
use crate::trial_end::told;
use crate::vouchers::{account, issue, voucher};
use ebb_model::catalog::Catalog;
use ebb_model::price::Prices;
use ebb_model::time::Timestamp;
use serde_json::{Value, json};

async fn top_up(cloud: &Cloud, who: &str, amount: &str) {
    let path = format!("/v1/accounts/{}/top-ups", account(cloud, who).await);
    cloud.post("operator", &path, json!({ "amount": amount })).await;
}

/// Pays for months alone.
fn of_months(kind: &str, face: &str, until: &str) -> Value {
    let mut what = voucher(kind, face, until);
    what["pays"] = json!({ "meters": ["subscription"] });
    what
}

story!(months_are_held_for_and_paid_with_coupons_and_cards, |cloud: Cloud| async move {
    let ada = cloud.tenant("Ada", "individual", "1").await;
    cloud.until("10:20:30").await;
    issue(&cloud, &ada, of_months("card", "200", "")).await;
    // It may wait 900 s for its room and 300 for its guest: what expires before is not counted on, nor what pays for other things.
    issue(&cloud, &ada, of_months("discount-coupon", "176.40", "10:40:30")).await;
    issue(&cloud, &ada, voucher("card", "500", "")).await;
    let quote = cloud.post(&ada, "/v1/quote", order(monthly(1))).await;
    assert_eq!(texts(&quote, ["hold", "hold_vouchers"]), ["176.40000000", "176.40000000"]);
    assert_eq!(cloud.refused(&ada, "/v1/instances", order(monthly(2))).await, (402, "insufficient-funds".to_owned()));
    let id = cloud.buy(&ada, monthly(1)).await;
    // It ran at once: the coupon was valid in that very second, and expires first.
    assert_eq!(cash(&cloud, &ada).await, ["1.00000000", "0.00000000"]);
    let vouchers = cloud.get(&ada, "/v1/vouchers").await;
    let mut left: Vec<&str> =
        vouchers["items"].as_array().unwrap().iter().map(|one| one["left"].as_str().unwrap()).collect();
    left.sort();
    // The one that is used up is not listed any more.
    assert_eq!(left, ["200.00000000", "500.00000000"]);

    // The next month is paid by the card, and the one after it with what is left and cash.
    let path = format!("/v1/instances/{id}/renewal");
    let chosen = cloud.post(&ada, &path, json!({"auto": true})).await;
    // Unbound cash, and what the card would pay of it.
    assert_eq!(texts(&chosen, ["available"]), ["177.40000000"]);
    to(&cloud, "2026-04-02T02:20:31Z").await;
    assert_eq!(cash(&cloud, &ada).await[0], "1.00000000");
    to(&cloud, "2026-05-01T00:00:00Z").await;
    let may = forecast(&cloud, &ada).await;
    assert_eq!(
        may["renewals"],
        json!([{"instance": id, "at": "2026-05-02T02:20:30Z", "months": 1, "needed": "176.40000000",
            "available": "24.60000000", "paid": false}])
    );
    assert_eq!(texts(&may, ["expected", "vouchers"]), ["0.00000000", "0.00000000"]);
    top_up(&cloud, &ada, "151.80").await;
    let may = forecast(&cloud, &ada).await;
    assert_eq!(texts(&may, ["expected", "vouchers"]), ["176.40000000", "23.60000000"]);
    to(&cloud, "2026-05-02T02:20:31Z").await;
    assert_eq!(cash(&cloud, &ada).await[0], "0.00000000");
    let warned = events(&cloud, &ada, "subscription-ends-soon").await;
    assert_eq!(warned.last().unwrap()["renewal"]["available"], "176.40000000");
    let said = events(&cloud, &ada, "renewed").await;
    assert_eq!((said.len(), &said[1]["auto"]), (2, &json!(true)));
    to(&cloud, "2026-06-02T02:20:31Z").await;
    let failed = json!({"event": "renewal-failed", "at": "2026-06-02T02:20:30Z", "months": 1, "why": "insufficient-funds",
        "needed": "176.40000000", "available": "0.00000000"});
    assert_eq!(events(&cloud, &ada, "renewal-failed").await, [failed]);
});

story!(the_money_lasts_as_long_as_coupons_cards_and_cash_do, |cloud: Cloud| async move {
    let ada = cloud.tenant("Ada", "individual", "1").await;
    cloud.until("10:00:00").await;
    issue(&cloud, &ada, voucher("card", "2", "")).await;
    issue(&cloud, &ada, voucher("cash-coupon", "1", "12:30:00")).await;
    // 0.10 an hour, from 10:00:00 on: the coupon pays two hours that are closed while it is valid, the card twenty, cash ten.
    cloud.buy(&ada, json!({"option": "on-demand", "flavor": "t6.small.1"})).await;
    let first = forecast(&cloud, &ada).await;
    assert_eq!(texts(&first, ["money_lasts_until", "vouchers"]), ["2026-03-03T10:00:00Z", "2.20000000"]);
    assert_eq!(texts(&first, ["owes_since", "frozen_at"]), ["2026-03-03T11:00:00Z", "2026-03-18T11:00:00Z"]);
    to(&cloud, "2026-03-02T07:12:34Z").await;
    let then = forecast(&cloud, &ada).await;
    assert_eq!(texts(&then, ["money_lasts_until", "expected"]), texts(&first, ["money_lasts_until", "expected"]));
    to(&cloud, "2026-03-03T10:00:00Z").await;
    assert_eq!(cloud.get(&ada, "/v1/balance").await["debt"], "0.00000000");
    to(&cloud, "2026-03-03T11:00:00Z").await;
    assert_eq!(cloud.get(&ada, "/v1/balance").await["debt"], "0.10000000");
});

story!(who_owes_renews_nothing_and_is_frozen_as_foretold, |cloud: Cloud| async move {
    let ada = cloud.tenant("Ada", "individual", "177.40").await;
    cloud.until("10:20:30").await;
    let month = cloud.buy(&ada, monthly(1)).await;
    let path = format!("/v1/instances/{month}/renewal");
    cloud.post(&ada, &path, json!({"auto": true})).await;
    // 1.00 is left for 0.10 an hour: ten hours. The settlement after them leaves a debt, and fifteen days of grace.
    cloud.buy(&ada, json!({"option": "on-demand", "flavor": "t6.small.1"})).await;
    let march = forecast(&cloud, &ada).await;
    assert_eq!(texts(&march, ["money_lasts_until", "owes_since"]), ["2026-03-02T12:20:30Z", "2026-03-02T13:00:00Z"]);
    assert_eq!(texts(&march, ["frozen_at", "frozen_by"]), ["2026-03-17T13:00:00Z", "grace"]);
    // 1,334,370 s at 0.10, and the month that was paid.
    assert_eq!(texts(&march, ["expected", "billed"]), ["213.46583333", "176.40000000"]);
    let words = march["assumptions"].to_string();
    assert!(
        words.contains(
            "owes from 2026-03-02T13:00:00Z on, and is frozen at 2026-03-17T13:00:00Z, when its grace is over"
        )
    );
    for instant in ["2026-03-02T13:00:00Z", "2026-03-10T00:00:01Z", "2026-03-17T12:59:59Z"] {
        to(&cloud, instant).await;
        let then = forecast(&cloud, &ada).await;
        assert_eq!(texts(&then, ["expected", "frozen_at"]), texts(&march, ["expected", "frozen_at"]), "{instant}");
    }
    to(&cloud, "2026-03-20T00:00:00Z").await;
    assert_eq!(cloud.refused(&ada, &path, json!({"auto": false})).await.1, "account-frozen");
    assert_eq!(cloud.refused(&ada, "/v1/instances", order(monthly(1))).await.1, "account-frozen");
    // A budget runs nothing, and may be changed at any time.
    cloud.post(&ada, "/v1/budget", json!({"amount": "1"})).await;
    to(&cloud, "2026-03-31T15:59:00Z").await;
    assert_eq!(texts(&forecast(&cloud, &ada).await, ["expected", "billed"]), ["213.46583333", "213.46583333"]);
    to(&cloud, "2026-04-01T01:00:00Z").await;
    let april = forecast(&cloud, &ada).await;
    assert_eq!((&april["expected"], &april["renewals"][0]["paid"]), (&json!("0.00000000"), &json!(false)));
    to(&cloud, "2026-04-02T02:20:31Z").await;
    let failed = events(&cloud, &ada, "renewal-failed").await;
    assert_eq!(
        (failed.len(), &failed[0]["why"], &failed[0]["available"]),
        (1, &json!("arrears"), &json!("0.00000000"))
    );
});

fn prices(first: &str, from: &str, then: &str) -> Prices {
    let from = from.parse::<Timestamp>().unwrap().second();
    Prices::new(first.parse().unwrap(), [(from, then.parse().unwrap())])
}

/// From the 20th on an hour costs 0.45 instead of 0.39, and from April on a month 200 instead of 168.
fn dearer(catalog: &mut Catalog) {
    let flavor = catalog.flavors.iter_mut().find(|known| known.id == "c6.large.2").unwrap();
    flavor.on_demand = Some(prices("0.39", "2026-03-20T00:00:00+08:00", "0.45"));
    flavor.subscription = Some(prices("168", "2026-04-01T00:00:00+08:00", "200"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_price_counts_for_the_time_for_which_it_holds() {
    told(dearer, async |cloud| {
        let ada = cloud.tenant("Ada", "individual", "1000").await;
        cloud.until("10:00:00").await;
        let month = cloud.buy(&ada, monthly(1)).await;
        let path = format!("/v1/instances/{month}/renewal");
        let chosen = cloud.post(&ada, &path, json!({"auto": true})).await;
        // 200 and 8.40 for its disk, as it will be then.
        assert_eq!(chosen["payment"]["amount"], "208.40000000");
        cloud.buy(&ada, json!({"option": "on-demand", "flavor": "c6.large.2"})).await;
        let march = forecast(&cloud, &ada).await;
        // 422 hours at 0.39 and 288 at 0.45; 710 of the disk at 0.02; the month that was paid.
        assert_eq!(texts(&march, ["compute", "disks"]), ["294.18000000", "14.20000000"]);
        assert_eq!(texts(&march, ["expected"]), ["484.78000000"]);
        let words = march["assumptions"].to_string();
        assert!(words.contains("on-demand c6.large.2 costs 0.45 from 2026-03-19T16:00:00Z on"), "{words}");
        for instant in ["2026-03-19T15:59:59Z", "2026-03-19T16:00:00Z", "2026-03-31T15:00:00Z"] {
            to(&cloud, instant).await;
            assert_eq!(texts(&forecast(&cloud, &ada).await, ["expected"]), ["484.78000000"], "{instant}");
        }
        to(&cloud, "2026-03-31T16:00:00Z").await;
        assert_eq!(cash(&cloud, &ada).await[0], "515.22000000");
        let april = forecast(&cloud, &ada).await;
        assert_eq!(april["renewals"][0]["needed"], "208.40000000");
        to(&cloud, "2026-04-02T02:00:01Z").await;
        let paid = [
            "03-02T02:00:00Z 04-02T02:00:00Z 1 176.40 0.00000000 176.40000000",
            "04-02T02:00:00Z 05-02T02:00:00Z 1 208.40 0.00000000 208.40000000",
        ];
        assert_eq!(records(&cloud, &ada, "subscription").await, paid);
        let warned = events(&cloud, &ada, "subscription-ends-soon").await;
        assert_eq!(warned[0]["renewal"]["needed"], "208.40000000");
    })
    .await;
}
