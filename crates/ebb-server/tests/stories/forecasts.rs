//! What a month was expected to come to is what it comes to, when nobody does anything.

use crate::arrears::to;
use crate::cloud::{Cloud, order};
use crate::conversions::cash;
use crate::ordered::monthly;
use crate::story;
use serde_json::{Value, json};

pub async fn forecast(cloud: &Cloud, who: &str) -> Value {
    cloud.get(who, "/v1/forecast").await
}

pub fn texts<const N: usize>(of: &Value, parts: [&str; N]) -> [String; N] {
    parts.map(|part| of[part].as_str().unwrap_or_default().to_owned())
}

story!(a_whole_month_comes_to_what_was_expected_at_its_beginning, |cloud: Cloud| async move {
    let owner = cloud.tenant("Ada", "individual", "1000").await;
    cloud.post(&owner, "/v1/trial", json!(null)).await;
    cloud.until("10:00:00").await;
    let month = cloud.buy(&owner, monthly(1)).await;
    cloud.post(&owner, &format!("/v1/instances/{month}/renewal"), json!({"auto": true})).await;
    // At ten in the morning of the first of April 710 hours are left of it.
    to(&cloud, "2026-04-01T02:00:00Z").await;
    for _ in 0..2 {
        cloud.buy(&owner, json!({"option": "trial", "flavor": "c6.large.2"})).await;
    }
    let hourly = cloud.buy(&owner, json!({"option": "on-demand", "flavor": "t6.small.1"})).await;
    let block = cloud.buy(&owner, json!({"option": "spot-block", "flavor": "c6.large.2", "hours": 6})).await;
    let expected = forecast(&cloud, &owner).await;
    // Vcpu and memory of three at 0.39, 0.39 and 0.08; their disks at 0.02 and six hours of the block's; 300 of it are the grant's, which is
    // used up in the middle of the month; 0.72 for the block, and a month.
    let parts = texts(&expected, ["compute", "disks", "grant", "blocks", "months"]);
    assert_eq!(parts, ["610.60000000", "42.72000000", "300.00000000", "0.72000000", "176.40000000"]);
    let sums = texts(&expected, ["billed", "accruing", "to_come", "expected", "expected_shown", "later"]);
    assert_eq!(sums, ["0.00000000", "0.00000000", "530.44000000", "530.44000000", "530.44", "0.00000000"]);
    assert_eq!(
        expected["renewals"],
        json!([{"instance": month, "at": "2026-04-02T02:00:00Z", "months": 1, "needed": "176.40000000",
            "available": "820.36000000", "paid": true}])
    );
    assert_eq!(
        expected["leases"],
        json!([{"instance": block, "ends_at": "2026-04-01T08:00:00Z", "amount": "0.72000000"}])
    );
    assert_eq!(texts(&expected, ["trial_ends_at", "trial_ends_by"]), ["2026-04-16T07:51:13Z", "used-up"]);
    let words = expected["assumptions"].to_string();
    assert!(words.contains(
        "the trial ends at 2026-04-16T07:51:13Z, when the grant is used up, and its instances go on, on demand"
    ));
    assert!(
        words.contains("subscriptions renew themselves at the price of that second") && !words.contains("spending cap"),
        "{words}"
    );
    // 293.16 are left at its end, and 0.92 an hour go on; with the month of May from its second of the 2nd on: 92.913… hours more.
    assert_eq!(expected["money_lasts_until"], "2026-05-05T22:54:46Z");
    let balance = cloud.get(&owner, "/v1/balance").await;
    assert_eq!(texts(&balance["month"], ["settled", "accruing", "together", "expected"])[3], "530.44000000");
    let holds = json!([{"instance": hourly, "amount": "0.10000000", "until": "2026-04-01T03:00:00Z"},
        {"instance": block, "amount": "0.84000000", "until": "2026-04-01T08:00:00Z"}]);
    assert_eq!(balance["holds"], holds);

    // It stays so, in the middle of the month and an hour before its end.
    for instant in ["2026-04-01T05:30:00Z", "2026-04-02T02:00:00Z", "2026-04-16T12:34:56Z", "2026-04-30T15:00:01Z"] {
        to(&cloud, instant).await;
        let then = forecast(&cloud, &owner).await;
        let said = texts(&then, ["expected", "money_lasts_until"]);
        assert_eq!(said, ["530.44000000", "2026-05-05T22:54:46Z"], "{instant}");
    }
    to(&cloud, "2026-04-30T16:00:00Z").await;
    assert_eq!(cash(&cloud, &owner).await[0], "293.16000000");
    to(&cloud, "2026-05-05T22:00:00Z").await;
    assert_eq!(cloud.get(&owner, "/v1/balance").await["debt"], "0.00000000");
    to(&cloud, "2026-05-05T23:00:00Z").await;
    assert_ne!(cloud.get(&owner, "/v1/balance").await["debt"], "0.00000000");
    assert_eq!(forecast(&cloud, &owner).await["money_lasts_until"], "2026-05-05T23:00:00Z");
});

story!(a_cap_is_part_of_it, |cloud: Cloud| async move {
    to(&cloud, "2026-03-16T04:00:00Z").await;
    cloud.buy("individual", json!({"option": "on-demand", "flavor": "c6.large.2"})).await;
    // 372 hours at 0.41, without a cap.
    assert_eq!(forecast(&cloud, "individual").await["expected"], "152.52000000");
    cloud.post("individual", "/v1/cap", json!({"amount": "16"})).await;
    let expected = forecast(&cloud, "individual").await;
    assert_eq!(texts(&expected, ["expected", "cap_acts_at"]), ["15.99995833", "2026-03-17T01:56:55Z"]);
    assert!(expected["assumptions"].to_string().contains("the spending cap acts at 2026-03-17T01:56:55Z"));
    // Months that it would not allow are not paid.
    to(&cloud, "2026-03-31T16:00:00Z").await;
    assert_eq!(cash(&cloud, "individual").await[0], "9984.00004167");
});

story!(a_block_is_payable_where_it_ends, |cloud: Cloud| async move {
    // Two hours before the end of March in Shanghai.
    to(&cloud, "2026-03-31T14:00:00Z").await;
    cloud.buy("individual", json!({"option": "spot-block", "flavor": "c6.large.2", "hours": 6})).await;
    let march = forecast(&cloud, "individual").await;
    assert_eq!(
        texts(&march, ["expected", "disks", "blocks", "later"]),
        ["0.04000000", "0.04000000", "0.00000000", "0.72000000"]
    );
    to(&cloud, "2026-03-31T16:30:00Z").await;
    let april = forecast(&cloud, "individual").await;
    assert_eq!(texts(&april, ["expected", "accruing", "later"]), ["0.80000000", "0.31000000", "0.00000000"]);
    to(&cloud, "2026-03-31T21:00:00Z").await;
    assert_eq!(cash(&cloud, "individual").await[0], "9999.16000000");
    assert_eq!(texts(&forecast(&cloud, "individual").await, ["billed", "expected"]), ["0.80000000", "0.80000000"]);
});

story!(what_cannot_be_renewed_is_not_expected, |cloud: Cloud| async move {
    let owner = cloud.tenant("Ada", "individual", "180").await;
    cloud.until("10:20:30").await;
    let id = cloud.buy(&owner, monthly(1)).await;
    cloud.post(&owner, &format!("/v1/instances/{id}/renewal"), json!({"auto": true})).await;
    to(&cloud, "2026-04-01T00:00:00Z").await;
    let expected = forecast(&cloud, &owner).await;
    assert_eq!((&expected["expected"], expected.get("money_lasts_until")), (&json!("0.00000000"), None));
    assert_eq!(
        (&expected["renewals"][0]["paid"], &expected["renewals"][0]["available"]),
        (&json!(false), &json!("3.60000000"))
    );
    assert!(expected["assumptions"].to_string().contains("a subscription that cannot renew itself ends"));
    // An order that waits is to be paid with its first second, and counts.
    assert_eq!(cloud.refused(&owner, "/v1/instances", order(monthly(1))).await.1, "insufficient-funds");
});

story!(everybody_of_an_account_may_look_and_nobody_else, |cloud: Cloud| async move {
    let expected = forecast(&cloud, "individual").await;
    assert_eq!(
        texts(&expected, ["expected", "month_since", "month_until"]),
        ["0.00000000", "2026-02-28T16:00:00Z", "2026-03-31T16:00:00Z"]
    );
    let account = cloud.get("individual", "/v1/whoami").await["account"]["id"].as_str().unwrap().to_owned();
    let looks = cloud.post("individual", &format!("/v1/accounts/{account}/keys"), json!({"role": "auditor"})).await;
    assert_eq!(forecast(&cloud, looks["secret"].as_str().unwrap()).await["currency"], "CNY");
    assert_eq!(cloud.ask("operator", reqwest::Method::GET, "/v1/forecast", None).await.0.as_u16(), 400);
});
