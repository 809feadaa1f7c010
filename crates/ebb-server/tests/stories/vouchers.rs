//! Coupons and cards: what each pays of which record, to which second, and what becomes of the rest.

use crate::cloud::{Cloud, Directory, Service, block, order};
use crate::conversions::{convert, events, months};
use crate::receiver::{Mood, Receiver, until};
use crate::rooms::HOST;
use crate::story;
use crate::subscriptions::confirmed;
use ebb_driver::fake::Behaviour;
use ebb_store::{Place, Store, args, query};
use ebb_testing::TempPostgres;
use reqwest::Method;
use serde_json::{Value, json};

/// vCPU and memory at 0.39, the disk at 0.02.
pub fn machine() -> Value {
    json!({ "option": "on-demand", "flavor": "c6.large.2" })
}

pub async fn account(cloud: &Cloud, who: &str) -> String {
    cloud.get(who, "/v1/whoami").await["account"]["id"].as_str().unwrap().to_owned()
}

/// Issues one; gives back its id.
pub async fn issue(cloud: &Cloud, who: &str, what: Value) -> String {
    let path = format!("/v1/accounts/{}/vouchers", account(cloud, who).await);
    cloud.post("operator", &path, what).await["id"].as_str().unwrap().to_owned()
}

/// `until` is a local time of the first day.
pub fn voucher(kind: &str, face: &str, until: &str) -> Value {
    let mut what = json!({ "kind": kind, "face": face });
    if !until.is_empty() {
        what["expires_at"] = json!(format!("2026-03-02T{until}+08:00"));
    }
    what
}

pub async fn shown(cloud: &Cloud, who: &str, id: &str) -> String {
    let one = cloud.get(who, &format!("/v1/vouchers/{id}")).await;
    let text = |key: &str| one[key].as_str().unwrap();
    format!(
        "{} left {} used {} expired {} revoked {}",
        text("state"),
        text("left"),
        text("used"),
        text("expired"),
        text("revoked")
    )
}

pub async fn balance(cloud: &Cloud, who: &str) -> [String; 4] {
    let balance = cloud.get(who, "/v1/balance").await;
    ["cash", "vouchers", "held", "debt"].map(|part| balance[part].as_str().unwrap().to_owned())
}

/// What was paid of each record: `time of its start, meter, amount: voucher amount, …`; vouchers are called by their names here.
async fn paid(cloud: &Cloud, who: &str, which: &str, names: &[(&str, &str)]) -> Vec<String> {
    let bill = cloud.get(who, "/v1/bills").await;
    let name = |id: &Value| names.iter().find(|(_, known)| id == known).unwrap_or(&("?", "")).0;
    let line = |record: &Value| {
        let paid = record["vouchers"].as_array().into_iter().flatten();
        let paid = paid.map(|one| format!(" {} {}", name(&one["voucher"]), one["amount"].as_str().unwrap()));
        let meter = record["meter"].as_str().unwrap_or("traffic");
        let (since, amount) = (&record["since"].as_str().unwrap()[11..19], record["amount"].as_str().unwrap());
        format!("{since} {meter} {amount}:{}", paid.collect::<String>())
    };
    bill[which].as_array().into_iter().flatten().map(line).collect()
}

story!(a_block_takes_cash_coupons_and_its_disk_takes_any, |cloud: Cloud| async move {
    let ada = cloud.tenant("Ada", "individual", "10").await;
    let discount = issue(&cloud, &ada, voucher("discount-coupon", "0.05", "18:00:00")).await;
    let coupon = issue(&cloud, &ada, voucher("cash-coupon", "0.10", "19:00:00")).await;
    let names = [("D", discount.as_str()), ("C", coupon.as_str())];
    let id = cloud.buy(&ada, block(3)).await;
    cloud.until("11:58:29").await;
    // Each disk record at the end of its hour; what accrues shows how it would be paid at this second.
    assert_eq!(
        paid(&cloud, &ada, "accruing", &names).await,
        [
            "03:00:00 system-disk 0.01949444: D 0.00950000 C 0.00999444",
            "00:58:30 compute 0.00175000: C 0.00175000",
            "01:00:00 compute 0.07000000: C 0.07000000",
            "02:00:00 compute 0.07000000: C 0.01825556",
            "03:00:00 compute 0.06823056:",
        ]
    );
    assert_eq!(balance(&cloud, &ada).await, ["10.00000000", "0.10950000", "0.27000000", "0.00000000"]);
    cloud.until("12:00:00").await;
    assert_eq!(cloud.instance(&ada, &id).await["end_cause"], "lease-end");
    assert_eq!(
        paid(&cloud, &ada, "records", &names).await,
        [
            "00:58:30 compute 0.00175000: C 0.00175000",
            "00:58:30 system-disk 0.00050000: D 0.00050000",
            "01:00:00 compute 0.07000000: C 0.07000000",
            "01:00:00 system-disk 0.02000000: D 0.02000000",
            "02:00:00 compute 0.07000000: C 0.02825000",
            "02:00:00 system-disk 0.02000000: D 0.02000000",
            "03:00:00 compute 0.06825000:",
            "03:00:00 system-disk 0.01950000: D 0.00950000",
        ]
    );
    assert_eq!(balance(&cloud, &ada).await, ["9.88000000", "0.00000000", "0.00000000", "0.00000000"]);
    let bill = cloud.get(&ada, "/v1/bills").await;
    let total = &bill["settled_total"];
    assert_eq!((total["payable"].as_str(), total["vouchers"].as_str()), (Some("0.27000000"), Some("0.15000000")));
    let used_up: Vec<Value> =
        events(&cloud, &ada, "voucher-used-up").await.iter().map(|body| body["at"].clone()).collect();
    assert_eq!(used_up, [json!("2026-03-02T03:58:30Z"), json!("2026-03-02T04:00:00Z")]);
    assert_eq!(
        shown(&cloud, &ada, &coupon).await,
        "used-up left 0.00000000 used 0.10000000 expired 0.00000000 revoked 0.00000000"
    );
    // Those that are over are listed with all.
    assert_eq!(cloud.get(&ada, "/v1/vouchers").await["items"], json!([]));
    assert_eq!(cloud.get(&ada, "/v1/vouchers?all=true").await["items"].as_array().unwrap().len(), 2);
});

story!(whether_it_is_valid_when_the_hour_closes_decides, |cloud: Cloud| async move {
    let ada = cloud.tenant("Ada", "individual", "10").await;
    cloud.buy(&ada, machine()).await;
    cloud.until("09:00:00").await;
    let before = issue(&cloud, &ada, voucher("cash-coupon", "0.30", "09:59:59")).await;
    let at_it = issue(&cloud, &ada, voucher("cash-coupon", "0.31", "10:00:00")).await;
    let after = issue(&cloud, &ada, voucher("cash-coupon", "0.15", "10:00:01")).await;
    let mut late = voucher("card", "1", "");
    late["valid_from"] = json!("2026-03-02T10:00:00+08:00");
    let late = issue(&cloud, &ada, late).await;
    let names = [("before", before.as_str()), ("at", &at_it), ("after", &after), ("late", &late)];
    assert!(shown(&cloud, &ada, &late).await.starts_with("not-yet left 1.00000000"));
    cloud.until("09:59:59").await;
    assert!(paid(&cloud, &ada, "accruing", &names).await[0].ends_with(": at 0.31000000 after 0.07989167"));
    cloud.until("10:00:00").await;
    assert_eq!(
        paid(&cloud, &ada, "records", &names).await[2..],
        [
            "01:00:00 compute 0.39000000: after 0.15000000 late 0.24000000",
            "01:00:00 system-disk 0.02000000: late 0.02000000"
        ]
    );
    // Only the 90 seconds before 9 o'clock were paid in cash.
    assert_eq!(balance(&cloud, &ada).await, ["9.98975000", "0.74000000", "0.00000000", "0.00000000"]);
    let expired = events(&cloud, &ada, "voucher-expired").await;
    assert_eq!(
        expired,
        [
            json!({"event": "voucher-expired", "voucher": before, "at": "2026-03-02T01:59:59Z", "amount": "0.30000000"}),
            json!({"event": "voucher-expired", "voucher": at_it, "at": "2026-03-02T02:00:00Z", "amount": "0.31000000"}),
        ]
    );
    assert_eq!(
        shown(&cloud, &ada, &at_it).await,
        "expired left 0.00000000 used 0.00000000 expired 0.31000000 revoked 0.00000000"
    );
    cloud.until("10:30:00").await;
    assert_eq!(events(&cloud, &ada, "voucher-expired").await.len(), 2, "of what was used up nothing expires");
});

story!(the_earliest_expiry_first_then_coupons_before_cards_then_the_older_one, |cloud: Cloud| async move {
    let ada = cloud.tenant("Ada", "individual", "10").await;
    cloud.buy(&ada, machine()).await;
    cloud.until("09:00:00").await;
    let never = issue(&cloud, &ada, voucher("cash-coupon", "0.10", "")).await;
    let card = issue(&cloud, &ada, voucher("card", "0.10", "12:00:00")).await;
    let older = issue(&cloud, &ada, voucher("cash-coupon", "0.10", "12:00:00")).await;
    cloud.wait(1).await;
    let younger = issue(&cloud, &ada, voucher("discount-coupon", "0.10", "12:00:00")).await;
    let first = issue(&cloud, &ada, voucher("card", "0.05", "11:00:00")).await;
    let names =
        [("never", never.as_str()), ("card", &card), ("older", &older), ("younger", &younger), ("first", &first)];
    cloud.until("10:00:00").await;
    assert_eq!(
        paid(&cloud, &ada, "records", &names).await[2..],
        [
            "01:00:00 compute 0.39000000: first 0.05000000 older 0.10000000 younger 0.10000000 card 0.10000000 never 0.04000000",
            "01:00:00 system-disk 0.02000000: never 0.02000000"
        ]
    );
});

story!(a_scope_pays_what_it_names, |cloud: Cloud| async move {
    let ada = cloud.tenant("Ada", "individual", "10").await;
    let scoped =
        async |pays: Value| issue(&cloud, &ada, json!({"kind": "cash-coupon", "face": "5", "pays": pays})).await;
    let elsewhere = scoped(json!({"regions": ["cn-hongkong"]})).await;
    let other_size = scoped(json!({"flavors": ["c6.xlarge.2"]})).await;
    let disks = scoped(json!({"meters": ["system-disk"]})).await;
    let blocks = scoped(json!({"options": ["spot-block"]})).await;
    let firm = scoped(json!({"options": ["on-demand"], "flavors": ["c6.large.2"], "regions": ["cn-beijing"]})).await;
    let names = [
        ("elsewhere", elsewhere.as_str()),
        ("size", &other_size),
        ("disks", &disks),
        ("blocks", &blocks),
        ("firm", &firm),
    ];
    cloud.buy(&ada, machine()).await;
    let id = cloud.buy(&ada, block(1)).await;
    cloud.until("09:00:00").await;
    cloud.delete(&ada, &id).await;
    let mut all = paid(&cloud, &ada, "records", &names).await;
    all.sort();
    assert_eq!(
        all,
        [
            "00:58:30 compute 0.00175000: blocks 0.00175000",
            "00:58:30 compute 0.00975000: firm 0.00975000",
            "00:58:30 system-disk 0.00050000: disks 0.00050000",
            "00:58:30 system-disk 0.00050000: disks 0.00050000",
        ]
    );
});

/// Somebody who has sent 1.234567 GB by nine, with a coupon for traffic and a card: who it is, and the two.
pub async fn sends(cloud: &Cloud) -> (String, String, String) {
    let ada = cloud.tenant("Ada", "individual", "10").await;
    let mut what = machine();
    what["public_ip"] = json!(true);
    let bought = cloud.post(&ada, "/v1/instances", order(what)).await;
    let address = bought["public_address"].as_str().unwrap();
    let of_traffic = json!({"kind": "discount-coupon", "face": "0.5", "pays": {"meters": ["traffic"]}});
    let coupon = issue(cloud, &ada, of_traffic).await;
    let card = issue(cloud, &ada, voucher("card", "0.2", "")).await;
    cloud.post(&ada, &format!("/v1/addresses/{address}/traffic"), json!({"bytes": 1_234_567_891_i64})).await;
    cloud.wait(60).await;
    cloud.until("09:00:00").await;
    (ada, coupon, card)
}

// 1.234567 GB at 0.8; what is left of the coupon after time is no whole number of units of traffic.
story!(traffic_and_time_are_paid_exactly, |cloud: Cloud| async move {
    let (ada, coupon, card) = sends(&cloud).await;
    let names = [("coupon", coupon.as_str()), ("card", &card)];
    assert_eq!(
        paid(&cloud, &ada, "traffic", &names).await,
        ["00:00:00 traffic 0.98765360: coupon 0.50000000 card 0.18975000"]
    );
    assert_eq!(balance(&cloud, &ada).await, ["9.70209640", "0.00000000", "0.00000000", "0.00000000"]);
    let settled = cloud.get(&ada, "/v1/balance").await["settled"].clone();
    assert_eq!((settled["payable"].as_str(), settled["vouchers"].as_str()), (Some("0.99790360"), Some("0.70000000")));
});

story!(what_is_left_can_be_taken_back_once, |cloud: Cloud| async move {
    let ada = cloud.tenant("Ada", "individual", "10").await;
    let card = issue(&cloud, &ada, voucher("card", "1", "")).await;
    cloud.buy(&ada, machine()).await;
    cloud.until("09:30:00").await;
    let path = format!("/v1/vouchers/{card}/revoke");
    let because = json!({"reason": "sent to the wrong account"});
    assert_eq!(cloud.refused(&ada, &path, because.clone()).await, (403, "role".to_owned()));
    assert_eq!(cloud.refused("operator", &path, json!({"reason": " "})).await.1, "bad-input");
    let taken = cloud.post("operator", &path, because.clone()).await;
    assert_eq!((taken["state"].as_str(), taken["revoked"].as_str()), (Some("revoked"), Some("0.98975000")));
    assert_eq!(
        events(&cloud, &ada, "voucher-revoked").await,
        [
            json!({"event": "voucher-revoked", "voucher": card, "at": "2026-03-02T01:30:00Z", "amount": "0.98975000", "reason": "sent to the wrong account"})
        ]
    );
    cloud.until("10:00:00").await;
    // The half hour before was not settled, so cash pays it.
    assert_eq!(balance(&cloud, &ada).await, ["9.59000000", "0.00000000", "0.00000000", "0.00000000"]);
    assert_eq!(cloud.refused("operator", &path, because).await, (409, "voucher-over".to_owned()));
});

story!(who_may_not_and_what_may_not_be_issued, |cloud: Cloud| async move {
    let id = account(&cloud, "individual").await;
    let path = format!("/v1/accounts/{id}/vouchers");
    let card = voucher("card", "1", "");
    assert_eq!(cloud.refused("individual", &path, card.clone()).await, (403, "role".to_owned()));
    let mine = issue(&cloud, "individual", card.clone()).await;
    for (who, method, path) in [
        ("enterprise", Method::GET, format!("/v1/vouchers/{mine}")),
        ("enterprise", Method::POST, format!("/v1/vouchers/{mine}/revoke")),
        ("operator", Method::GET, "/v1/vouchers/c-7".to_owned()),
        ("operator", Method::POST, format!("/v1/vouchers/c-{}/revoke", "0".repeat(32))),
        ("enterprise", Method::GET, format!("/v1/vouchers?account={id}")),
    ] {
        let (status, problem) = cloud.ask(who, method, &path, Some(json!({"reason": "try"}))).await;
        assert_eq!((status.as_u16(), problem["code"].as_str()), (404, Some("not-found")), "{path}");
    }
    let keys = format!("/v1/accounts/{id}/keys");
    let member =
        cloud.post("individual", &keys, json!({"role": "member"})).await["secret"].as_str().unwrap().to_owned();
    assert_eq!(cloud.refused(&member, &path, card.clone()).await.1, "role");
    assert_eq!(cloud.get(&member, "/v1/vouchers").await["items"].as_array().unwrap().len(), 1, "but look it may");
    let with = |name: &str, value: Value| {
        let mut what = card.clone();
        what[name] = value;
        what
    };
    for (what, status, code) in [
        (with("kind", json!("discount")), 400, "bad-input"),
        (with("face", json!("1e3")), 400, "bad-input"),
        (with("face", json!("1.000000001")), 400, "bad-input"),
        (with("expires_at", json!("tomorrow")), 400, "bad-input"),
        (with("face", json!("0")), 422, "voucher-face"),
        (with("face", json!("-1")), 422, "voucher-face"),
        (with("face", json!("1000000.00000001")), 422, "voucher-face"),
        (with("valid_from", json!("2026-03-02T08:58:29+08:00")), 422, "voucher-period"),
        (with("expires_at", json!("2026-03-02T08:58:30+08:00")), 422, "voucher-period"),
        (with("pays", json!({"options": ["bid-spot"]})), 422, "voucher-scope"),
        (with("pays", json!({"meters": ["snapshots"]})), 422, "voucher-scope"),
        (with("pays", json!({"flavors": ["c9.huge"]})), 422, "voucher-scope"),
        (with("pays", json!({"regions": ["moon"]})), 422, "voucher-scope"),
        (with("pays", json!({"meters": ["traffic"], "flavors": ["c6.large.2"]})), 422, "voucher-scope"),
        (with("pays", json!({"zones": ["cn-beijing-a"]})), 400, "bad-input"),
        (
            json!({"kind": "discount-coupon", "face": "1", "pays": {"options": ["spot-block"], "meters": ["compute"]}}),
            422,
            "voucher-scope",
        ),
    ] {
        assert_eq!(cloud.refused("operator", &path, what.clone()).await, (status, code.to_owned()), "{what}");
    }
    assert_eq!(cloud.get("individual", "/v1/vouchers").await["items"].as_array().unwrap().len(), 1);
    let nobody = format!("/v1/accounts/a-{}/vouchers", "0".repeat(32));
    assert_eq!(cloud.refused("operator", &nobody, card).await, (404, "not-found".to_owned()));
});

story!(months_are_paid_by_what_names_them, |cloud: Cloud| async move {
    let ada = cloud.tenant("Ada", "individual", "100").await;
    let id = cloud.buy(&ada, machine()).await;
    let path = format!("/v1/instances/{id}/convert");
    issue(&cloud, &ada, voucher("card", "500", "")).await;
    assert_eq!(cloud.refused(&ada, &path, months(1)).await, (402, "insufficient-funds".to_owned()));
    let named = json!({"kind": "card", "face": "150", "pays": {"meters": ["subscription"]}});
    let named = issue(&cloud, &ada, named).await;
    let converted = convert(&cloud, &ada, &id, months(1)).await;
    // 176.40 less 150.
    assert_eq!(converted["available"], "73.60000000");
    let months = paid(&cloud, &ada, "records", &[("named", named.as_str())]).await;
    assert_eq!(months, ["00:58:30 subscription 176.40000000: named 150.00000000"]);
    assert_eq!(balance(&cloud, &ada).await, ["73.60000000", "500.00000000", "0.00000000", "0.00000000"]);
});

story!(what_is_owed_already_no_voucher_pays, |cloud: Cloud| async move {
    let poor = cloud.tenant("Poor", "individual", "0.42").await;
    let id = cloud.buy(&poor, machine()).await;
    cloud.until("10:00:00").await;
    cloud.until("10:30:00").await;
    cloud.delete(&poor, &id).await;
    cloud.until("11:00:00").await;
    assert_eq!(balance(&cloud, &poor).await, ["0.00000000", "0.00000000", "0.00000000", "0.20525000"]);
    issue(&cloud, &poor, voucher("card", "100", "")).await;
    cloud.until("12:00:00").await;
    assert_eq!(balance(&cloud, &poor).await, ["0.00000000", "100.00000000", "0.00000000", "0.20525000"]);
    assert_eq!(cloud.refused(&poor, "/v1/instances", order(machine())).await.1, "arrears");
});

// The hour before the expiry is closed late, and paid as it would have been.
story!(a_silent_host_takes_nothing_from_a_voucher, |cloud: Cloud| async move {
    let tell = async |verb: &str| cloud.post("operator", &format!("/v1/hosts/{HOST}/{verb}"), json!(null)).await;
    let ada = cloud.tenant("Ada", "individual", "10").await;
    cloud.buy(&ada, machine()).await;
    let coupon = issue(&cloud, &ada, voucher("cash-coupon", "1", "10:30:00")).await;
    cloud.until("09:30:00").await;
    tell("unplug").await;
    cloud.until("11:10:00").await;
    assert_eq!(events(&cloud, &ada, "voucher-expired").await.len(), 0);
    assert!(shown(&cloud, &ada, &coupon).await.starts_with("expired left 0.98975000"));
    tell("plug").await;
    cloud.until("11:15:00").await;
    assert_eq!(
        shown(&cloud, &ada, &coupon).await,
        "expired left 0.00000000 used 0.42025000 expired 0.57975000 revoked 0.00000000"
    );
    assert_eq!(events(&cloud, &ada, "voucher-expired").await[0]["at"], "2026-03-02T02:30:00Z");
    assert_eq!(balance(&cloud, &ada).await[0], "9.59000000");
});

story!(its_owner_is_told_once_that_it_expires_and_that_it_is_used_up, |cloud: Cloud| async move {
    let receiver = Receiver::new(Mood::Willing).await;
    let topics = json!(["voucher-expires-soon", "voucher-used-up"]);
    confirmed(&cloud, "individual", &receiver, topics).await;
    let in_march = |day: u8| {
        let expires_at = format!("2026-03-{day:02}T00:00:00Z");
        json!({"kind": "cash-coupon", "face": "100", "expires_at": expires_at, "pays": {"meters": ["compute"]}})
    };
    let late = issue(&cloud, "individual", in_march(20)).await;
    let soon = issue(&cloud, "individual", in_march(5)).await;
    let small = issue(&cloud, "individual", voucher("card", "0.01", "")).await;
    let told = async || events(&cloud, "individual", "voucher-expires-soon").await;
    cloud.wait(1).await;
    let first = told().await;
    assert_eq!(first.len(), 1, "what expires in less than a week is told at once");
    assert_eq!((&first[0]["voucher"], &first[0]["left"]), (&json!(soon), &json!("100.00000000")));
    let bought = cloud.buy("individual", machine()).await;
    cloud.post("operator", "/v1/clock/advance", json!({"to": "2026-03-05T00:30:00Z"})).await;
    cloud.delete("individual", &bought).await;
    let to = async |instant: &str| cloud.post("operator", "/v1/clock/advance", json!({ "to": instant })).await;
    to("2026-03-12T23:59:59Z").await;
    assert_eq!(told().await.len(), 1);
    to("2026-03-13T00:00:00Z").await;
    let all = told().await;
    assert_eq!((all.len(), &all[1]["voucher"], &all[1]["kind"]), (2, &json!(late), &json!("cash-coupon")));
    to("2026-03-21T00:00:00Z").await;
    assert_eq!((told().await.len(), events(&cloud, "individual", "voucher-expired").await.len()), (2, 2));
    let soon = receiver.wait_for("dev.ebb.account.voucher-expires-soon", 2).await;
    assert!(soon.iter().any(|told| told.event()["data"]["voucher"] == json!(late)));
    let over = receiver.wait_for("dev.ebb.account.voucher-used-up", 1).await.remove(0);
    assert_eq!((&over.event()["data"]["voucher"], &over.event()["data"]["kind"]), (&json!(small), &json!("card")));
});

/// The clock of the service is that of the wall, months after the sandbox's.
#[tokio::test]
async fn a_service_that_was_down_lets_it_expire_at_its_second_all_the_same() {
    let place = Place::Postgres(TempPostgres::start().database().await);
    let room = [("vcpu", 4), ("memory_mib", 8_192), ("disk_gib", 100)];
    let before = Cloud::at(place.clone(), &room, Behaviour::default()).await;
    let owner = before.tenant("Ada", "individual", "10").await;
    let coupon = issue(&before, &owner, voucher("cash-coupon", "1", "20:00:00")).await;
    let id = before.buy(&owner, machine()).await;
    before.until("10:00:00").await;
    before.delete(&owner, &id).await;
    before.wait(60).await;
    assert_eq!(before.state(&owner, &id).await, "released");
    assert!(shown(&before, &owner, &coupon).await.starts_with("valid left 0.57975000 used 0.42025000"));
    drop(before);
    let directory = Directory::new();
    let service = Service::start(place, directory.identity()).await.unwrap();
    let show = async || service.ask(&owner, Method::GET, &format!("/v1/vouchers/{coupon}"), json!(null)).await.1;
    until("its expiry", async || show().await["expired"] == "0.57975000").await;
    assert_eq!((&show().await["left"], &show().await["used"]), (&json!("0.00000000"), &json!("0.42025000")));
    let log = service.ask(&owner, Method::GET, "/v1/events?limit=1000", json!(null)).await.1;
    let bodies: Vec<&Value> = log["items"].as_array().unwrap().iter().map(|event| &event["body"]).collect();
    let expired: Vec<&&Value> = bodies.iter().filter(|body| body["event"] == "voucher-expired").collect();
    assert_eq!((expired.len(), &expired[0]["at"]), (1, &json!("2026-03-02T12:00:00Z")));
    service.stop().await;
}

/// What it paid is in the database, and so is when to look at it again.
#[tokio::test]
async fn a_sandbox_that_is_opened_again_goes_on_where_it_was() {
    let directory = Directory::new();
    let (cloud, ended) = Cloud::kept_in(directory.path(), 8).await;
    let coupon = issue(&cloud, "individual", voucher("cash-coupon", "1", "10:30:00")).await;
    cloud.buy("individual", machine()).await;
    cloud.until("09:30:00").await;
    drop(cloud);
    ended.await.unwrap();
    let (cloud, _ended) = Cloud::kept_in(directory.path(), 8).await;
    cloud.until("11:00:00").await;
    assert_eq!(
        shown(&cloud, "individual", &coupon).await,
        "expired left 0.00000000 used 0.42025000 expired 0.57975000 revoked 0.00000000"
    );
    cloud.nothing_broke().await;
    let store = Store::open(Place::Sqlite(directory.path().join("ebb.db"))).await.unwrap();
    let stands: Vec<(String, i64)> = store
        .rows(query("select place, sum(amount) as amount from posting group by place order by place", args![]))
        .await
        .unwrap()
        .iter()
        .map(|row| (row.text("place").to_owned(), row.int("amount")))
        .filter(|(place, _)| place.starts_with("voucher:") || place == "promotion")
        .collect();
    // A coupon costs what was used of it; what expired went back.
    assert_eq!(stands, [("promotion".to_owned(), 42_025_000), (format!("voucher:{coupon}"), 0)]);
}
