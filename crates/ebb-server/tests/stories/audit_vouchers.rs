//! Is whatever is changed of coupons and cards found, and named?

use crate::adjustments::give;
use crate::audits::{ROOM, each_is_named};
use crate::cloud::{Cloud, Directory};
use crate::vouchers::{issue, machine, voucher};
use ebb_driver::fake::Behaviour;
use ebb_store::Place;
use ebb_testing::TempPostgres;
use serde_json::json;

/// What is done to a row: in words; which one; how; the check that finds it, and names it.
const TAMPERINGS: [[&str; 4]; 24] = [
    [
        "a voucher was used less",
        "select id as k from voucher where used > 0 order by id limit 1",
        "update voucher set used = used - 1 where id = $1",
        "voucher",
    ],
    [
        "a voucher was used more, and what it paid with it",
        "select voucher_id as k from record_voucher order by record_id limit 1",
        "update record_voucher set amount = amount + 2500 where voucher_id = $1 and record_id = (select min(record_id) from \
         record_voucher where voucher_id = $1)",
        "voucher",
    ],
    [
        "what is left of a voucher expired",
        "select id as k from voucher where live = 1 and expired = 0 order by id limit 1",
        "update voucher set expired = expired + 90000 where id = $1",
        "voucher",
    ],
    [
        "what was revoked expired",
        "select id as k from voucher where revoked > 0 order by id limit 1",
        "update voucher set expired = revoked, revoked = 0 where id = $1",
        "voucher",
    ],
    [
        "a voucher is worth more",
        "select id as k from voucher where kind = 'card' order by id desc limit 1",
        "update voucher set face = face + 1 where id = $1",
        "voucher",
    ],
    [
        "a voucher is put aside",
        "select id as k from voucher where live = 1 order by id desc limit 1",
        "update voucher set live = 0 where id = $1",
        "voucher",
    ],
    [
        "a voucher may pay again",
        "select id as k from voucher where expired > 0 and live = 0 order by id limit 1",
        "update voucher set live = 1 where id = $1",
        "voucher",
    ],
    [
        "a voucher is of another kind",
        "select id as k from voucher where kind = 'cash-coupon' and used > 0 order by id desc limit 1",
        "update voucher set kind = 'discount-coupon' where id = $1",
        "voucher",
    ],
    [
        "less was paid by vouchers",
        "select id as k from bill_record where vouchers > 0 order by id limit 1",
        "update bill_record set vouchers = vouchers - 1 where id = $1",
        "voucher-paid",
    ],
    [
        "more was paid by vouchers than was payable",
        "select id as k from bill_record where vouchers > 0 order by id desc limit 1",
        "update bill_record set vouchers = payable + 1 where id = $1",
        "voucher-paid",
    ],
    [
        "what a voucher paid is gone",
        "select max(record_id) as k from record_voucher where voucher_id <> (select min(voucher_id) from record_voucher)",
        "delete from record_voucher where record_id = $1 and voucher_id <> (select min(voucher_id) from record_voucher)",
        "voucher-paid",
    ],
    [
        "somebody else's voucher paid",
        "select max(record_id) as k from record_voucher",
        "update record_voucher set voucher_id = (select v.id from voucher v where v.account_id <> record_voucher.account_id) \
         where record_id = $1 and voucher_id = (select max(b.voucher_id) from record_voucher b where b.record_id = $1)",
        "voucher-paid",
    ],
    [
        "a voucher paid of nothing",
        "select 'r-000000000000000000000000000000aa' as k",
        "insert into record_voucher (record_id, voucher_id, account_id, since, amount) \
         select $1, id, account_id, 0, 1 from voucher where used > 0",
        "voucher-paid",
    ],
    [
        "a voucher paid for what it does not",
        "select v.id as k from voucher v where v.kind = 'card' and exists (select 1 from record_voucher p where p.voucher_id = v.id) \
         order by v.id desc limit 1",
        "update voucher set pays = '{\"flavors\":[\"t6.small.1\"]}' where id = $1",
        "voucher-paid",
    ],
    [
        "a voucher paid before it was valid",
        "select v.id as k from voucher v where exists (select 1 from record_voucher p where p.voucher_id = v.id) order by v.id desc limit 1",
        "update voucher set valid_from = valid_from + 100000 where id = $1",
        "voucher-paid",
    ],
    [
        "a voucher paid when it was over",
        "select v.id as k from voucher v where v.expires_at is not null and exists (select 1 from record_voucher p \
         where p.voucher_id = v.id) order by v.id limit 1",
        "update voucher set expires_at = valid_from + 1 where id = $1",
        "voucher-paid",
    ],
    [
        "the books take more of a voucher",
        "select p.place as k from posting p join entry e on e.id = p.entry_id where e.reason like 'hour %' \
         and p.place like 'voucher:%' order by 1 limit 1",
        "update posting set amount = amount + 100 where place = $1 and entry_id in (select id from entry where reason like 'hour %')",
        "entry",
    ],
    [
        "the books take it of somebody else's",
        "select p.entry_id as k from posting p join entry e on e.id = p.entry_id where e.reason like 'hour %' \
         and p.place like 'voucher:%' order by 1 desc limit 1",
        "update posting set place = (select 'voucher:' || v.id from voucher v where v.face = 700000000) where entry_id = $1 \
         and place = (select max(b.place) from posting b where b.entry_id = $1 and b.place like 'voucher:%')",
        "entry-place",
    ],
    [
        "a coupon is issued out of cards",
        "select p.entry_id as k from posting p join entry e on e.id = p.entry_id where e.reason like 'voucher issued %' \
         and p.place = 'promotion' order by 1 limit 1",
        "update posting set place = 'cards' where entry_id = $1 and place = 'promotion'",
        "entry",
    ],
    [
        "nothing was posted of an expiry",
        "select e.id as k from entry e where e.reason like 'voucher expired %' order by 1 limit 1",
        "delete from posting where entry_id = $1",
        "entry",
    ],
    [
        "more came back to a voucher",
        "select adjustment_id as k from adjustment_voucher order by adjustment_id limit 1",
        "update adjustment_voucher set amount = amount + 1 where adjustment_id = $1 and turn = 0",
        "entry",
    ],
    [
        "more came back to a voucher than it had paid",
        "select a.record_id as k from adjustment a join adjustment_voucher b on b.adjustment_id = a.id order by a.id limit 1",
        "update adjustment_voucher set amount = amount + 100000000 where turn = 0 and adjustment_id = (select min(id) from \
         adjustment where record_id = $1)",
        "adjustment",
    ],
    [
        "what came back to one that is over may pay",
        "select adjustment_id as k from adjustment_voucher where gone is not null order by adjustment_id limit 1",
        "update adjustment_voucher set gone = null where adjustment_id = $1",
        "adjustment",
    ],
    [
        "what came back to a voucher is forgotten",
        "select adjustment_id as k from adjustment_voucher order by adjustment_id desc limit 1",
        "delete from adjustment_voucher where adjustment_id = $1",
        "entry",
    ],
];

/// Coupons and cards pay, expire, are revoked, and get back.
async fn a_day(cloud: &Cloud) {
    let ada = cloud.tenant("Ada", "individual", "10").await;
    cloud.buy(&ada, machine()).await;
    cloud.until("09:00:00").await;
    let other = json!({"kind": "card", "face": "7"});
    issue(cloud, "individual", other).await;
    issue(cloud, &ada, voucher("cash-coupon", "0.30", "10:30:00")).await;
    issue(cloud, &ada, voucher("cash-coupon", "0.20", "18:00:00")).await;
    let mut elsewhere = voucher("discount-coupon", "0.50", "10:15:00");
    elsewhere["pays"] = json!({"regions": ["cn-hongkong"]});
    issue(cloud, &ada, elsewhere).await;
    let months = json!({"kind": "card", "face": "2", "pays": {"meters": ["subscription"]}});
    let months = issue(cloud, &ada, months).await;
    let flavored = json!({"kind": "card", "face": "1", "pays": {"flavors": ["c6.large.2"]}});
    issue(cloud, &ada, flavored).await;
    cloud.until("10:00:00").await;
    let bill = cloud.get(&ada, "/v1/bills").await;
    let compute = bill["records"].as_array().unwrap().iter().find(|one| one["amount"] == "0.39000000").unwrap();
    // Back to one that expires with it, and later to the same one.
    assert_eq!(give(cloud, compute, "0.1").await.0, 201);
    cloud.until("10:40:00").await;
    cloud.post("operator", &format!("/v1/vouchers/{months}/revoke"), json!({"reason": "a mistake"})).await;
    assert_eq!(give(cloud, compute, "0.05").await.0, 201);
    cloud.until("12:00:00").await;
}

async fn each_is_found(place: Place) {
    let cloud = Cloud::at(place.clone(), &ROOM, Behaviour::default()).await;
    a_day(&cloud).await;
    let words = cloud.get("operator", "/v1/audit").await["added_up"].as_str().unwrap().to_owned();
    assert!(words.contains("6 vouchers"), "{words}");
    each_is_named(&cloud, place, &TAMPERINGS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_found_on_sqlite() {
    let dir = Directory::new();
    each_is_found(Place::Sqlite(dir.path().join("ebb.db"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_found_on_postgres() {
    each_is_found(Place::Postgres(TempPostgres::start().database().await)).await;
}
