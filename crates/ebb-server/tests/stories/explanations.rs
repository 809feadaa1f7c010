//! Does a record say where it comes from? Each kind of record, in words and in figures.

use crate::cloud::{Cloud, block, order};
use crate::story;
use reqwest::Method;
use serde_json::{Value, json};

/// The records of a bill for which something holds, explained.
async fn explained(cloud: &Cloud, who: &str, test: impl Fn(&Value) -> bool) -> Vec<Value> {
    let bill = cloud.get(who, "/v1/bills").await;
    let mut all = vec![];
    for list in ["records", "traffic"] {
        for one in bill[list].as_array().into_iter().flatten().filter(|one| test(one)) {
            let path = format!("/v1/records/{}/explanation", one["id"].as_str().unwrap());
            all.push(cloud.get(who, &path).await);
        }
    }
    all
}

/// What is said about one thing.
fn said<'a>(explained: &'a Value, about: &str) -> &'a str {
    let words = explained["words"].as_array().unwrap();
    let found = words.iter().find(|words| words["about"] == about);
    found.unwrap_or_else(|| panic!("nothing about {about} in {explained:#}"))["text"].as_str().unwrap()
}

fn bounds(explained: &Value) -> String {
    let names = |side: &str| {
        let names = explained[side].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        names.collect::<Vec<_>>().join("+")
    };
    format!("{} to {}", names("begins"), names("ends"))
}

fn compute(of: &Value) -> bool {
    of["meter"] == "compute"
}

story!(a_block_that_is_taken_is_told_hour_by_hour, |cloud: Cloud| async move {
    let id = cloud.buy("individual", block(3)).await;
    cloud.until("10:23:30").await;
    cloud.post("operator", &format!("/v1/instances/{id}/reclaim"), json!(null)).await;
    cloud.wait(3_600).await;
    let all = explained(&cloud, "individual", compute).await;
    let told: Vec<String> = all.iter().map(bounds).collect();
    assert_eq!(told, ["first-running to clock-hour", "clock-hour to clock-hour", "clock-hour to operator"]);
    let first = &all[0];
    assert_eq!(
        (first["kind"].as_str(), first["quantity"].as_str(), first["unit"].as_str()),
        (Some("block"), Some("90"), Some("second"))
    );
    assert_eq!(
        (first["gross"].as_str(), first["gross_exact"].as_str()),
        (Some("0.00175000"), Some("6300000/3600000000"))
    );
    assert_eq!(
        (first["payable"].as_str(), first["waived"].as_str(), first["left"].as_str()),
        (Some("0.00000000"), Some("0.00175000"), Some("0.00000000"))
    );
    assert_eq!(
        said(first, "what"),
        "90 seconds of vCPU and memory of `c6.large.2` (c6.large.2), 2026-03-02 08:58:30 to 09:00:00 in Asia/Shanghai (2026-03-02T00:58:30Z to 2026-03-02T01:00:00Z)."
            .replace("`c6.large.2`", &format!("`{}`", cloud.instance("individual", &id).await["name"].as_str().unwrap()))
    );
    assert_eq!(
        said(first, "price"),
        "An hour costs 0.07 CNY, fixed when the order was accepted at 2026-03-02T00:58:30Z."
    );
    assert_eq!(
        said(first, "amount"),
        "90 s × 0.07 / 3600 s = 0.00175000 CNY; exactly it is 6300000/3600000000, and nothing is rounded before all is added up."
    );
    assert_eq!(said(first, "coverage"), "No grant pays for it: it is a spot block, and a trial's is sold on demand.");
    assert_eq!(
        said(first, "waiver"),
        "It is free because the operator took it back, within the guarantee period of 3 hours from 2026-03-02 08:58:30; the notice came at 2026-03-02T02:23:30Z, with 2026-03-02T02:28:30Z as its deadline. The disk and traffic are charged all the same."
    );
    assert_eq!(said(first, "payable"), "Nothing of it is payable.");
    let entry = &first["entry"];
    assert_eq!(entry["reason"], format!("block {id}"));
    assert!(said(first, "payment").starts_with(&format!("Entry {}", entry["id"].as_str().unwrap())));
    assert_eq!(
        said(&all[2], "ends"),
        "It ends there because the operator took it back (notice at 2026-03-02 10:23:30, deadline 2026-03-02 10:28:30)."
    );
    assert_eq!(
        (all[2]["waiver"]["reason"].as_str(), all[2]["waiver"]["notice_at"].as_str()),
        (Some("operator"), Some("2026-03-02T02:23:30Z"))
    );
});

story!(a_trial_hour_tells_what_others_took, |cloud: Cloud| async move {
    cloud.post("individual", "/v1/trial", json!(null)).await;
    let on_trial = |flavor: &str| json!({"option": "trial", "flavor": flavor});
    let first = cloud.buy("individual", on_trial("t6.small.1")).await;
    let second = cloud.buy("individual", on_trial("t6.small.1")).await;
    cloud.until("10:30:00").await;
    // Stopped economically, it is charged for its disk alone, and then again for all.
    cloud.post("individual", &format!("/v1/instances/{first}/stop"), json!({"economical": true})).await;
    cloud.until("10:40:00").await;
    cloud.post("individual", &format!("/v1/instances/{first}/start"), json!(null)).await;
    cloud.until("11:00:00").await;
    cloud.delete("individual", &first).await;
    cloud.until("12:00:00").await;
    let mine = explained(&cloud, "individual", |one| compute(one) && one["instance"] == first.as_str()).await;
    let told: Vec<String> = mine.iter().map(bounds).collect();
    assert_eq!(
        told,
        [
            "first-running to clock-hour",
            "clock-hour to clock-hour",
            "clock-hour to stopped-economically",
            "running-again to deleted"
        ]
    );
    let others = explained(&cloud, "individual", |one| compute(one) && one["instance"] == second.as_str()).await;
    let (one, other) = (&mine[1], &others[1]);
    assert_eq!((one["covered"].as_bool(), other["covered"].as_bool()), (Some(true), Some(true)));
    assert_eq!(one["hour_of_grant"]["paid_to_others"], "0.00000000");
    assert_eq!((one["hour_of_grant"]["hourly_cap"].as_str(), one["kind"].as_str()), (Some("0.83300000"), Some("hour")));
    // Its disk was paid before the other instance.
    let disk =
        explained(&cloud, "individual", |one| one["meter"] == "system-disk" && one["instance"] == first.as_str()).await;
    let sum = |texts: &[&Value]| {
        let amounts = texts.iter().map(|text| text.as_str().unwrap().parse::<ebb_model::money::Amount>().unwrap());
        amounts.sum::<ebb_model::money::Amount>().to_string()
    };
    assert_eq!(other["hour_of_grant"]["paid_to_others"], sum(&[&one["grant"], &disk[1]["grant"]]));
    assert!(
        said(one, "grant").contains("all of it. Of this clock hour it pays 0.83300000 at most"),
        "{}",
        said(one, "grant")
    );
    assert!(said(one, "coverage").starts_with("A trial's grant may pay for it"));
    assert_eq!(said(one, "payable"), "Nothing of it is payable.");
});

story!(months_and_traffic_are_told_too, |cloud: Cloud| async move {
    let what = json!({"option": "on-demand", "flavor": "c6.large.2", "public_ip": true});
    let bought = cloud.post("enterprise", "/v1/instances", order(what)).await;
    let (id, address) = (bought["id"].as_str().unwrap(), bought["public_address"].as_str().unwrap());
    cloud.until("09:10:00").await;
    cloud.post("enterprise", &format!("/v1/addresses/{address}/traffic"), json!({"bytes": 1_234_567_890})).await;
    cloud.until("09:20:00").await;
    let months = json!({"to": "subscription", "months": 2});
    cloud.post("enterprise", &format!("/v1/instances/{id}/convert"), months).await;
    cloud.until("10:00:00").await;

    let paid = explained(&cloud, "enterprise", |one| one["meter"] == "subscription").await;
    let paid = &paid[0];
    assert_eq!(
        (bounds(paid).as_str(), paid["kind"].as_str(), paid["quantity"].as_str()),
        ("paid to paid-until", Some("months"), Some("2"))
    );
    assert!(said(paid, "what").starts_with("2 months of a subscription with its system disk of"), "{paid:#}");
    assert_eq!(said(paid, "coverage"), "No grant pays for it: months are paid in advance.");
    let price = paid["price"].as_str().unwrap();
    assert_eq!(said(paid, "amount"), format!("2 × {price} = {} CNY.", paid["gross"].as_str().unwrap()));

    let sent = explained(&cloud, "enterprise", |one| one["address"].is_string()).await;
    let sent = &sent[0];
    assert_eq!(
        (sent["kind"].as_str(), sent["quantity"].as_str(), sent["unit"].as_str()),
        (Some("traffic"), Some("1.234567"), Some("GB"))
    );
    assert_eq!(
        (sent["price_per"].as_str(), sent["gross_exact"].as_str()),
        (Some("GB"), Some("987653600000/1000000000000"))
    );
    assert!(said(sent, "what").starts_with(&format!("1.234567 GB left public address {address} in cn-beijing, ")));
    assert!(said(sent, "pools").starts_with("No pool paid for it"));
    assert_eq!(said(sent, "payable"), "1.234567 GB, that is 0.98765360 CNY, is payable.");
    assert!(sent["entry"]["reason"].as_str().unwrap().starts_with("hour "));

    let before = explained(&cloud, "enterprise", compute).await;
    let told: Vec<String> = before.iter().map(bounds).collect();
    assert_eq!(told, ["first-running to clock-hour", "clock-hour to converted"]);
});

story!(months_that_were_ordered_and_those_that_renewed_themselves_are_told, |cloud: Cloud| async move {
    let owner = cloud.tenant("Ada", "individual", "400").await;
    cloud.until("10:20:30").await;
    let id = cloud.buy(&owner, json!({"option": "subscription", "flavor": "c6.large.2", "months": 1})).await;
    cloud.post(&owner, &format!("/v1/instances/{id}/renewal"), json!({"auto": true})).await;
    cloud.post("operator", "/v1/clock/advance", json!({"to": "2026-04-02T02:20:31Z"})).await;
    let months = explained(&cloud, &owner, |one| one["meter"] == "subscription").await;
    let told: Vec<String> = months.iter().map(bounds).collect();
    assert_eq!(told, ["months-began to paid-until", "renewed-itself to paid-until"]);
    let price = said(&months[0], "price");
    assert!(
        price.starts_with("A month costs 176.40 CNY, fixed when the order was accepted at 2026-03-02T02:20:30"),
        "{price}"
    );
    assert_eq!(
        said(&months[1], "price"),
        "A month costs 176.40 CNY, as it was when the months were paid at 2026-04-02T02:20:30Z."
    );
    assert!(said(&months[1], "begins").contains("it renewed itself in that second"));
});

story!(another_accounts_record_is_not_there, |cloud: Cloud| async move {
    cloud.buy("individual", block(1)).await;
    cloud.wait(2 * 3_600).await;
    let bill = cloud.get("individual", "/v1/bills").await;
    let id = bill["records"][0]["id"].as_str().unwrap();
    let path = format!("/v1/records/{id}/explanation");
    assert_eq!(cloud.ask("individual", Method::GET, &path, None).await.0, 200);
    assert_eq!(cloud.ask("operator", Method::GET, &path, None).await.0, 200);
    let (status, refused) = cloud.ask("enterprise", Method::GET, &path, None).await;
    assert_eq!((status.as_u16(), refused["code"].as_str()), (404, Some("not-found")));
    let (status, refused) = cloud.ask("individual", Method::GET, "/v1/records/r-7/explanation", None).await;
    assert_eq!(status.as_u16(), 400);
    assert!(refused["message"].as_str().unwrap().contains("looks like `r-` and 32 hexadecimal digits"), "{refused}");
});
