//! What vouchers paid of a record goes back to them, the last one first, and is never cash.

use crate::adjustments::give;
use crate::cloud::{Cloud, block};
use crate::conversions::events;
use crate::story;
use crate::vouchers::{balance, issue, machine, sends, shown, voucher};
use serde_json::{Value, json};

/// `debt cash grant expired`, then what each voucher gets; or the refusal's code.
async fn given(cloud: &Cloud, record: &Value, amount: &str, names: &[(&str, &str)]) -> String {
    let (status, answer) = give(cloud, record, amount).await;
    if status != 201 {
        return answer["code"].as_str().unwrap().to_owned();
    }
    let short = |of: &Value| of.as_str().unwrap().trim_end_matches('0').trim_end_matches('.').to_owned();
    let own = ["debt", "cash", "grant", "expired"].map(|name| short(&answer[name])).join(" ");
    let name = |id: &Value| names.iter().find(|(_, known)| id == known).unwrap_or(&("?", "")).0;
    let to = answer["vouchers"].as_array().into_iter().flatten().map(|one| {
        let gone = one["gone"].as_str().map(|gone| format!(" {gone}")).unwrap_or_default();
        format!(", {} {}{gone}", name(&one["voucher"]), short(&one["amount"]))
    });
    own + &to.collect::<String>()
}

/// The record of a meter that begins at an instant of the first day.
async fn record(cloud: &Cloud, who: &str, which: &str, meter: &str, since: &str) -> Value {
    let bill = cloud.get(who, "/v1/bills").await;
    let all = bill[which].as_array().unwrap().iter();
    let mut mine = all.filter(|one| {
        one["since"].as_str().unwrap()[11..].starts_with(since) && (meter == "traffic" || one["meter"] == meter)
    });
    mine.next_back().unwrap_or_else(|| panic!("{meter} since {since} is not in {bill:#}")).clone()
}

async fn explained(cloud: &Cloud, who: &str, record: &Value) -> Value {
    cloud.get(who, &format!("/v1/records/{}/explanation", record["id"].as_str().unwrap())).await
}

story!(it_goes_back_to_cash_then_to_the_voucher_that_paid_last, |cloud: Cloud| async move {
    let ada = cloud.tenant("Ada", "individual", "10").await;
    cloud.buy(&ada, machine()).await;
    cloud.until("09:00:00").await;
    let coupon = issue(&cloud, &ada, voucher("cash-coupon", "0.20", "18:00:00")).await;
    let card = issue(&cloud, &ada, voucher("card", "0.10", "")).await;
    let names = [("coupon", coupon.as_str()), ("card", &card)];
    cloud.until("10:00:00").await;
    // 0.20 by the coupon, 0.10 by the card, 0.09 in cash.
    let compute = record(&cloud, &ada, "records", "compute", "01:00").await;
    let cash = balance(&cloud, &ada).await;
    assert_eq!(explained(&cloud, &ada, &compute).await["left"], "0.39000000");
    assert_eq!(given(&cloud, &compute, "0.05", &names).await, "0 0.05 0 0");
    assert_eq!(given(&cloud, &compute, "0.1", &names).await, "0 0.04 0 0, card 0.06");
    assert_eq!(
        shown(&cloud, &ada, &card).await,
        "valid left 0.06000000 used 0.04000000 expired 0.00000000 revoked 0.00000000"
    );
    assert_eq!(given(&cloud, &compute, "0.20000001", &names).await, "0 0 0 0, card 0.04, coupon 0.16000001");
    let (status, refused) = give(&cloud, &compute, "0.04").await;
    assert_eq!((status, refused["code"].as_str()), (409, Some("more-than-paid")));
    assert!(refused["message"].as_str().unwrap().contains("0.03999999 is left, not 0.04000000"), "{refused}");
    assert_eq!(given(&cloud, &compute, "0.03999999", &names).await, "0 0 0 0, coupon 0.03999999");
    assert_eq!(given(&cloud, &compute, "0.00000001", &names).await, "more-than-paid");
    for id in [&coupon, &card] {
        assert!(shown(&cloud, &ada, id).await.contains("used 0.00000000 expired 0.00000000"));
    }
    assert_eq!(cash[0], "9.87975000");
    assert_eq!(balance(&cloud, &ada).await, ["9.96975000", "0.30000000", "0.00000000", "0.00000000"]);
    // It is said wherever the record is, which stays as it is.
    assert_eq!(record(&cloud, &ada, "records", "compute", "01:00").await, compute);
    let told = cloud.get(&ada, "/v1/balance").await["adjusted"].clone();
    let parts = ["cash", "vouchers", "vouchers_gone", "grant"].map(|part| told[part].as_str().unwrap().to_owned());
    assert_eq!(parts, ["0.09000000", "0.30000000", "0.00000000", "0.00000000"]);
    let bill = cloud.get(&ada, "/v1/bills").await;
    assert_eq!(bill["adjustments"][1]["vouchers"], json!([{"voucher": card, "amount": "0.06000000"}]));
    let explained = explained(&cloud, &ada, &compute).await;
    assert_eq!((&explained["left"], &explained["adjustments"]), (&json!("0.00000000"), &bill["adjustments"]));
    let words = explained["words"].to_string();
    assert!(words.contains(&format!("0.16000001 to {coupon}")), "{words}");
    // And it pays again.
    cloud.until("11:00:00").await;
    let next = record(&cloud, &ada, "records", "compute", "02:00").await;
    let by: Vec<&Value> = next["vouchers"].as_array().unwrap().iter().map(|one| &one["voucher"]).collect();
    assert_eq!(by, [&coupon, &card]);
    let used_up = events(&cloud, &ada, "voucher-used-up").await;
    let used_up: Vec<&str> = used_up.iter().map(|one| one["at"].as_str().unwrap()).collect();
    assert_eq!(
        used_up,
        ["2026-03-02T02:00:00Z", "2026-03-02T02:00:00Z", "2026-03-02T03:00:00Z", "2026-03-02T03:00:00Z"]
    );
    cloud.nothing_broke().await;
});

story!(what_is_over_takes_it_as_it_took_its_rest, |cloud: Cloud| async move {
    let ada = cloud.tenant("Ada", "individual", "10").await;
    cloud.buy(&ada, machine()).await;
    cloud.until("09:00:00").await;
    let coupon = issue(&cloud, &ada, voucher("cash-coupon", "0.20", "10:30:00")).await;
    let rest = issue(&cloud, &ada, voucher("discount-coupon", "0.15", "10:30:01")).await;
    let card = issue(&cloud, &ada, voucher("card", "0.10", "")).await;
    let disks = json!({"kind": "card", "face": "5", "pays": {"meters": ["system-disk"]}});
    let disks = issue(&cloud, &ada, disks).await;
    let names = [("coupon", coupon.as_str()), ("rest", &rest), ("card", &card), ("disks", &disks)];
    cloud.until("10:00:00").await;
    // Compute: 0.20 coupon, 0.15 rest, 0.04 card. The disk: 0.02 of the older card, by its scope's leave.
    let compute = record(&cloud, &ada, "records", "compute", "01:00").await;
    let disk = record(&cloud, &ada, "records", "system-disk", "01:00").await;
    // Within its last second but one; the one before is over in it.
    cloud.until("10:30:00").await;
    assert_eq!(given(&cloud, &compute, "0.04", &names).await, "0 0 0 0, card 0.04");
    assert_eq!(given(&cloud, &compute, "0.17", &names).await, "0 0 0 0, rest 0.15, coupon 0.02 expired");
    cloud.until("10:31:00").await;
    // What came back to one that had been used up was left when it expired.
    let expired = events(&cloud, &ada, "voucher-expired").await;
    assert_eq!(
        expired,
        [json!({"event": "voucher-expired", "voucher": rest, "at": "2026-03-02T02:30:01Z", "amount": "0.15000000"})]
    );
    assert_eq!(given(&cloud, &compute, "0.18", &names).await, "0 0 0 0, coupon 0.18 expired");
    assert_eq!(given(&cloud, &compute, "0.00000001", &names).await, "more-than-paid");
    for (id, all) in [(&coupon, "0.20000000"), (&rest, "0.15000000")] {
        let wanted = format!("expired left 0.00000000 used 0.00000000 expired {all} revoked 0.00000000");
        assert_eq!(shown(&cloud, &ada, id).await, wanted);
    }
    let by_card = disk["vouchers"][0]["voucher"].as_str().unwrap().to_owned();
    let because = json!({"reason": "a mistake"});
    cloud.post("operator", &format!("/v1/vouchers/{by_card}/revoke"), because).await;
    let back = given(&cloud, &disk, "0.02", &names).await;
    assert!(back.starts_with("0 0 0 0, ") && back.ends_with(" 0.02 revoked"), "{back}");
    let revoked = shown(&cloud, &ada, &by_card).await;
    assert!(revoked.starts_with("revoked left 0.00000000 used 0.0"), "{revoked}");
    // None of it is cash, and none of it pays.
    assert_eq!(balance(&cloud, &ada).await[0], "9.98975000");
    let told = cloud.get(&ada, "/v1/balance").await["adjusted"].clone();
    let parts = ["cash", "vouchers", "vouchers_gone", "expired"].map(|part| told[part].as_str().unwrap().to_owned());
    assert_eq!(parts, ["0.00000000", "0.19000000", "0.22000000", "0.00000000"]);
    cloud.nothing_broke().await;
    cloud.until("12:00:00").await;
    cloud.nothing_broke().await;
});

story!(the_rest_of_an_expired_one_grows_by_what_comes_back, |cloud: Cloud| async move {
    let ada = cloud.tenant("Ada", "individual", "10").await;
    cloud.buy(&ada, machine()).await;
    let coupon = issue(&cloud, &ada, voucher("cash-coupon", "1", "10:30:00")).await;
    let names = [("coupon", coupon.as_str())];
    cloud.until("10:40:00").await;
    let compute = record(&cloud, &ada, "records", "compute", "01:00").await;
    assert!(
        shown(&cloud, &ada, &coupon).await.starts_with("expired left 0.00000000 used 0.42025000 expired 0.57975000")
    );
    assert_eq!(given(&cloud, &compute, "0.1", &names).await, "0 0 0 0, coupon 0.1 expired");
    assert_eq!(given(&cloud, &compute, "0.29", &names).await, "0 0 0 0, coupon 0.29 expired");
    assert!(
        shown(&cloud, &ada, &coupon).await.starts_with("expired left 0.00000000 used 0.03025000 expired 0.96975000")
    );
    assert_eq!(
        cloud.refused("operator", &format!("/v1/vouchers/{coupon}/revoke"), json!({"reason": "x"})).await.1,
        "voucher-over"
    );
    cloud.nothing_broke().await;
});

story!(a_block_that_a_cash_coupon_paid_gives_back_to_it, |cloud: Cloud| async move {
    let ada = cloud.tenant("Ada", "individual", "10").await;
    let coupon = issue(&cloud, &ada, voucher("cash-coupon", "0.08", "18:00:00")).await;
    let names = [("coupon", coupon.as_str())];
    cloud.buy(&ada, block(3)).await;
    cloud.until("13:00:00").await;
    // Of its disk 0.0605 in four records, then of its vCPU and memory 0.0195, the first of them whole.
    let first = record(&cloud, &ada, "records", "compute", "00:58").await;
    let second = record(&cloud, &ada, "records", "compute", "01:00").await;
    assert_eq!(given(&cloud, &first, "0.00175", &names).await, "0 0 0 0, coupon 0.00175");
    let cash = balance(&cloud, &ada).await[0].clone();
    let paid = second["vouchers"][0]["amount"].as_str().unwrap().to_owned();
    let back = given(&cloud, &second, "0.07", &names).await;
    assert!(back.starts_with("0 0.0") && back.ends_with(paid.trim_end_matches('0')), "{back} of {second}");
    assert_ne!(balance(&cloud, &ada).await[0], cash);
    cloud.nothing_broke().await;
});

story!(cash_then_the_coupon_then_the_grant, |cloud: Cloud| async move {
    let ada = cloud.tenant("Ada", "individual", "10").await;
    cloud.post(&ada, "/v1/trial", json!(null)).await;
    let trial = json!({"option": "trial", "flavor": "c6.large.2"});
    let first = cloud.buy(&ada, trial.clone()).await;
    let second = cloud.buy(&ada, trial).await;
    cloud.wait(10).await;
    cloud.post(&ada, &format!("/v1/instances/{first}/stop"), json!(null)).await;
    cloud.wait(70).await;
    cloud.post(&ada, &format!("/v1/instances/{first}/resize"), json!({"flavor": "c6.xlarge.2"})).await;
    cloud.post(&ada, &format!("/v1/instances/{first}/start"), json!(null)).await;
    let coupon = issue(&cloud, &ada, voucher("cash-coupon", "0.20", "18:00:00")).await;
    let names = [("coupon", coupon.as_str())];
    cloud.until("10:00:00").await;
    // The grant pays 0.833 of the hour: the first one and a little of the second; the coupon 0.20 of what is left.
    let compute = record(&cloud, &ada, "records", "compute", "01:00").await;
    assert_eq!(compute["instance"], second.as_str());
    let granted: ebb_model::money::Amount = compute["grant"].as_str().unwrap().parse().unwrap();
    let payable: ebb_model::money::Amount = compute["amount"].as_str().unwrap().parse().unwrap();
    let by_coupon: ebb_model::money::Amount = compute["vouchers"][0]["amount"].as_str().unwrap().parse().unwrap();
    let cash = payable - by_coupon;
    let short = |amount: ebb_model::money::Amount| amount.to_string().trim_end_matches('0').to_owned();
    assert!([granted, by_coupon, cash].iter().all(|part| part.units() > 100), "{compute}");
    let left = |of: &Value| of["left"].as_str().unwrap().parse::<ebb_model::money::Amount>().unwrap();
    let before = cloud.get(&ada, "/v1/trial").await;
    let one = ebb_model::money::Amount::from_units(1);
    let most = cash + by_coupon + one;
    assert_eq!(
        given(&cloud, &compute, &most.to_string(), &names).await,
        format!("0 {} {} 0, coupon {}", short(cash), short(one), short(by_coupon))
    );
    let rest = granted - one;
    assert_eq!(given(&cloud, &compute, &rest.to_string(), &names).await, format!("0 0 {} 0", short(rest)));
    assert_eq!(given(&cloud, &compute, "0.00000001", &names).await, "more-than-paid");
    assert_eq!(left(&cloud.get(&ada, "/v1/trial").await) - left(&before), granted);
    assert!(shown(&cloud, &ada, &coupon).await.starts_with("valid left 0.2"));
    cloud.nothing_broke().await;
});

// 0.9876536 of traffic: 0.50 by a coupon, then 0.18975 by a card, whose rest paid time before.
story!(traffic_gives_back_to_them_too, |cloud: Cloud| async move {
    let (ada, coupon, card) = sends(&cloud).await;
    let names = [("coupon", coupon.as_str()), ("card", &card)];
    let sent = record(&cloud, &ada, "traffic", "traffic", "00:00").await;
    assert_eq!(given(&cloud, &sent, "0.9", &names).await, "0 0.2979036 0 0, card 0.18975, coupon 0.4123464");
    assert_eq!(given(&cloud, &sent, "0.0876537", &names).await, "more-than-paid");
    assert_eq!(given(&cloud, &sent, "0.0876536", &names).await, "0 0 0 0, coupon 0.0876536");
    assert_eq!(balance(&cloud, &ada).await, ["10.00000000", "0.68975000", "0.00000000", "0.00000000"]);
    cloud.nothing_broke().await;
});
