//! Another flavor: only when stopped, at its own price from its second on, and within what the host has.

use crate::cloud::{Cloud, On, block};
use crate::economical::{firm, put_away, refused, start};
use crate::room_story;
use crate::rooms::{HOST, nothing_is_off};
use serde_json::{Value, json};

async fn resize(cloud: &Cloud, who: &str, id: &str, flavor: &str) -> Value {
    cloud.post(who, &format!("/v1/instances/{id}/resize"), json!({"flavor": flavor})).await
}

async fn stop(cloud: &Cloud, who: &str, id: &str) {
    cloud.post(who, &format!("/v1/instances/{id}/stop"), json!(null)).await;
    cloud.wait(60).await;
    assert_eq!(cloud.state(who, id).await, "stopped");
}

async fn vcpu(cloud: &Cloud) -> i64 {
    let shown = cloud.get("operator", &format!("/v1/hosts/{HOST}")).await;
    shown["host"]["room"]["vcpu"]["used"].as_i64().unwrap()
}

room_story!(both_prices_stand_in_the_bill_of_the_hour, 8, |cloud: Cloud| async move {
    let id = cloud.buy("individual", firm("c6.large.2")).await;
    let to = |flavor: &str| json!({ "flavor": flavor });
    for (flavor, status, code) in
        [("c6.xlarge.2", 409, "not-stopped"), ("c6.large.2", 409, "not-stopped"), ("c9.huge", 409, "not-stopped")]
    {
        assert_eq!(refused(&cloud, "individual", &id, "resize", to(flavor)).await, (status, code.to_owned()));
    }
    cloud.until("09:10:00").await;
    stop(&cloud, "individual", &id).await;
    for (flavor, status, code) in [("c6.large.2", 409, "same-flavor"), ("c9.huge", 422, "unknown-flavor")] {
        assert_eq!(refused(&cloud, "individual", &id, "resize", to(flavor)).await, (status, code.to_owned()));
    }
    cloud.until("09:20:00").await;
    let asked = json!({"flavor": "c6.xlarge.2", "quote": true});
    let quote = cloud.post("individual", &format!("/v1/instances/{id}/resize"), asked).await;
    assert_eq!((vcpu(&cloud).await, &cloud.instance("individual", &id).await["flavor"]), (2, &json!("c6.large.2")));
    let resized = resize(&cloud, "individual", &id, "c6.xlarge.2").await;
    assert_eq!(quote, resized, "what is quoted is what comes");
    assert_eq!((&resized["price_before"], &resized["instance"]["price"]), (&json!("0.39"), &json!("0.81")));
    assert_eq!(resized["instance"]["resources"], json!({"disk_gib": 40, "memory_mib": 8192, "vcpu": 4}));
    assert_eq!((vcpu(&cloud).await, &resized["trial"]), (4, &Value::Null));
    cloud.until("09:30:00").await;
    assert_eq!(start(&cloud, "individual", &id).await, "starting");
    assert_eq!(refused(&cloud, "individual", &id, "resize", to("t6.small.1")).await.1, "not-stopped");
    cloud.until("09:39:00").await;
    stop(&cloud, "individual", &id).await;
    cloud.until("09:45:00").await;
    resize(&cloud, "individual", &id, "t6.small.1").await;
    assert_eq!(vcpu(&cloud).await, 1);
    cloud.until("10:00:00").await;
    // 0.39 × 1200/3600, 0.81 × 1500/3600, 0.08 × 900/3600; its disk is one record.
    assert_eq!(
        cloud.records("individual", &id, "compute").await[1..],
        [
            "09:00:00-09:20:00 1200 0.39 0.13000000",
            "09:20:00-09:45:00 1500 0.81 0.33750000",
            "09:45:00-10:00:00 900 0.08 0.02000000"
        ]
    );
    let disk = cloud.records("individual", &id, "system-disk").await;
    assert_eq!(disk[1..], ["09:00:00-10:00:00 3600 0.02 0.02000000"]);
});

room_story!(what_does_not_fit_fits_with_the_next_start, 4, |cloud: Cloud| async move {
    let id = cloud.buy("individual", firm("c6.large.2")).await;
    let goes = cloud.buy("enterprise", block(3)).await;
    cloud.until("09:10:00").await;
    stop(&cloud, "individual", &id).await;
    let larger = json!({"flavor": "c6.xlarge.2"});
    assert_eq!(refused(&cloud, "individual", &id, "resize", larger).await, (409, "no-room-to-grow".to_owned()));
    assert_eq!(cloud.instance("individual", &id).await["flavor"], "c6.large.2");
    put_away(&cloud, "individual", &id).await;
    resize(&cloud, "individual", &id, "c6.xlarge.2").await;
    assert_eq!(vcpu(&cloud).await, 2, "the size counts with the start");
    assert_eq!(start(&cloud, "individual", &id).await, "pending");
    nothing_is_off(&cloud).await;
    cloud.until("09:16:00").await;
    assert_eq!(
        (cloud.state("enterprise", &goes).await, cloud.state("individual", &id).await),
        ("released".into(), "running".into())
    );
    // Within the ten minutes for which it took the room it keeps its size, and is charged for it.
    stop(&cloud, "individual", &id).await;
    let smaller = json!({"flavor": "t6.small.1"});
    assert_eq!(refused(&cloud, "individual", &id, "resize", smaller).await, (409, "room-was-taken".to_owned()));
    cloud.until("09:26:00").await;
    resize(&cloud, "individual", &id, "t6.small.1").await;
    cloud.until("10:00:00").await;
    assert_eq!(
        cloud.records("individual", &id, "compute").await[1..],
        [
            "09:00:00-09:11:00 660 0.39 0.07150000",
            "09:16:00-09:26:00 600 0.81 0.13500000",
            "09:26:00-10:00:00 2040 0.08 0.04533333"
        ]
    );
});

room_story!(a_smaller_size_makes_room_for_who_waits, 4, |cloud: Cloud| async move {
    let id = cloud.buy("individual", firm("c6.large.2")).await;
    let off = cloud.buy("individual", firm("t6.small.1")).await;
    put_away(&cloud, "individual", &off).await;
    // An hour that ends by itself is waited for.
    cloud.buy("enterprise", block(1)).await;
    cloud.wait(3_400).await;
    assert_eq!(start(&cloud, "individual", &off).await, "pending");
    stop(&cloud, "individual", &id).await;
    resize(&cloud, "individual", &id, "t6.small.1").await;
    assert_eq!(cloud.state("individual", &off).await, "running");
    assert_eq!(refused(&cloud, "enterprise", &id, "resize", json!({"flavor": "t6.large.1"})).await.0, 404);
});

room_story!(a_trial_pays_for_what_is_on_its_list, 8, |cloud: Cloud| async move {
    cloud.post("individual", "/v1/trial", json!(null)).await;
    let id = cloud.buy("individual", json!({"option": "trial", "flavor": "c6.xlarge.2"})).await;
    cloud.until("09:00:00").await;
    stop(&cloud, "individual", &id).await;
    cloud.until("09:10:00").await;
    let resized = resize(&cloud, "individual", &id, "c6.2xlarge.1").await;
    assert_eq!(
        resized["trial"],
        json!({"covered": false, "hourly_cap": "0.833", "covered_per_hour": "0.00", "above_cap_per_hour": "0.00",
            "uncovered_per_hour": "1.24"})
    );
    cloud.until("09:40:00").await;
    let back = resize(&cloud, "individual", &id, "c6.large.2").await;
    assert_eq!((&back["trial"]["covered"], &back["trial"]["covered_per_hour"]), (&json!(true), &json!("0.41")));
    cloud.until("10:00:00").await;
    // Covered: 0.83 × 90, 0.83 × 600, 0.41 × 1200 seconds; payable: 1.24 × 1800; each by 3600.
    let bill = cloud.get("individual", "/v1/bills").await;
    assert_eq!(bill["settled_total"], json!({"waived": "0.00000000", "grant": "0.29575000", "payable": "0.62000000"}));

    // Together above the cap: not refused, and the answer says what passes it.
    let other = cloud.buy("individual", json!({"option": "trial", "flavor": "t6.small.1"})).await;
    put_away(&cloud, "individual", &other).await;
    let above = resize(&cloud, "individual", &other, "c6.xlarge.2").await;
    assert_eq!(
        above["trial"],
        json!({"covered": true, "hourly_cap": "0.833", "covered_per_hour": "1.24", "above_cap_per_hour": "0.407",
            "uncovered_per_hour": "0.00"})
    );
    // Out of the list while it is put away: its disk is payable from that second on.
    cloud.until("10:30:00").await;
    resize(&cloud, "individual", &other, "c6.2xlarge.2").await;
    cloud.until("11:00:00").await;
    let bill = cloud.get("individual", "/v1/bills").await;
    let disk = bill["records"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|r| r["instance"] == other.as_str() && r["meter"] == "system-disk");
    let paid: Vec<(&Value, &Value, &Value)> = disk.map(|r| (&r["seconds"], &r["grant"], &r["amount"])).collect();
    assert_eq!(
        paid,
        [
            (&json!(1_800), &json!("0.01000000"), &json!("0.00000000")),
            (&json!(1_800), &json!("0.00000000"), &json!("0.01000000"))
        ]
    );
    // The next start needs room for the new size, which the first one leaves no longer.
    assert_eq!(refused(&cloud, "individual", &other, "start", json!(null)).await, (409, "no-capacity".to_owned()));
});

room_story!(who_owes_or_only_looks_does_not_resize, 8, |cloud: Cloud| async move {
    let owner = cloud.tenant("Ada", "individual", "0.42").await;
    let account = cloud.get(&owner, "/v1/whoami").await["account"]["id"].as_str().unwrap().to_owned();
    let made = cloud.post(&owner, &format!("/v1/accounts/{account}/keys"), json!({"role": "auditor"})).await;
    let auditor = made["secret"].as_str().unwrap().to_owned();
    let id = cloud.buy(&owner, firm("c6.large.2")).await;
    stop(&cloud, &owner, &id).await;
    let larger = json!({"flavor": "c6.xlarge.2"});
    assert_eq!(refused(&cloud, &auditor, &id, "resize", larger.clone()).await, (403, "role".to_owned()));
    assert_eq!(refused(&cloud, &owner, &id, "resize", json!({})).await, (400, "bad-input".to_owned()));
    cloud.until("12:00:00").await;
    assert_eq!(refused(&cloud, &owner, &id, "resize", larger).await, (402, "arrears".to_owned()));
    put_away(&cloud, &owner, &id).await;
    assert_eq!(refused(&cloud, &owner, &id, "start", json!(null)).await, (402, "arrears".to_owned()));
    let spot = cloud.buy("enterprise", block(1)).await;
    let answer = refused(&cloud, "enterprise", &spot, "resize", json!({"flavor": "c6.xlarge.2"})).await;
    assert_eq!(answer, (409, "spot-no-resize".to_owned()));
});
