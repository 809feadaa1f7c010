//! Is whatever is changed behind the service's back found, and named? And does the audit agree while all goes on?

use crate::cloud::{Cloud, Directory, On, block, order};
use crate::story;
use ebb_driver::fake::Behaviour;
use ebb_store::{Decision, Place, Query, Store, args, query};
use ebb_testing::TempPostgres;
use reqwest::Method;
use serde_json::{Value, json};

pub const ROOM: [(&str, i64); 3] = [("vcpu", 16), ("memory_mib", 65_536), ("disk_gib", 10_000)];

/// What is done to a row: in words; which one; how; the check that finds it, and names it.
const TAMPERINGS: [[&str; 4]; 46] = [
    [
        "a record is dearer",
        "select id as k from bill_record where payable > 0 and waiver is null order by id limit 1",
        "update bill_record set payable = payable + 36 where id = $1",
        "record",
    ],
    [
        "the parts of a record do not sum up",
        "select id as k from bill_record where payable > 0 and waiver is null order by id desc limit 1",
        "update bill_record set payable = payable + 1 where id = $1",
        "parts",
    ],
    [
        "a waived record is charged",
        "select id as k from bill_record where waived > 0 order by id limit 1",
        "update bill_record set payable = waived, waived = 0, waiver = null where id = $1",
        "record",
    ],
    [
        "what a grant paid is called payable",
        "select id as k from bill_record where granted > 0 order by id limit 1",
        "update bill_record set payable = payable + 1, granted = granted - 1 where id = $1",
        "record",
    ],
    [
        "a record is shorter",
        "select id as k from bill_record where until - since = 3600 order by id desc limit 1",
        "update bill_record set until = until - 1 where id = $1",
        "record",
    ],
    [
        "a record is of another price",
        "select id as k from bill_record where months is not null limit 1",
        "update bill_record set price = price + 1 where id = $1",
        "record",
    ],
    [
        "records are gone",
        "select r.span_id as k from bill_record r where r.meter = 'system-disk' group by r.span_id having count(*) > 1 \
         order by 1 desc limit 1",
        "delete from bill_record where span_id = $1",
        "record-missing",
    ],
    [
        "a record is there twice",
        "select 'r-000000000000000000000000000000aa' as k",
        "insert into bill_record (id, account_id, resource_id, span_id, meter, price, since, until, covered, waived, granted, \
         payable, issued_at) select $1, account_id, resource_id, span_id, meter, price, since + 1, until, covered, waived, \
         granted, payable, issued_at from bill_record where id = (select max(id) from bill_record where meter = 'compute')",
        "record-extra",
    ],
    [
        "a posting is larger",
        "select entry_id as k from posting where place like 'cash:%' order by entry_id limit 1",
        "update posting set amount = amount + 1 where entry_id = $1 and place like 'cash:%'",
        "entry-balance",
    ],
    [
        "a posting is gone",
        "select entry_id as k from posting where place = 'revenue:compute' order by entry_id desc limit 1",
        "delete from posting where entry_id = $1 and place = 'revenue:compute'",
        "entry-balance",
    ],
    [
        "money went somewhere else",
        "select entry_id as k from posting where place = 'revenue:system-disk' order by entry_id limit 1",
        "update posting set place = 'pocket' where entry_id = $1 and place = 'revenue:system-disk'",
        "entry-place",
    ],
    [
        "somebody else's cash paid",
        "select p.entry_id as k from posting p join entry e on e.id = p.entry_id where p.place = 'cash:' || e.account_id \
         and e.reason like 'hour %' order by 1 desc limit 1",
        "update posting set place = 'cash:a-000000000000000000000000000000aa' where entry_id = $1 and place like 'cash:%'",
        "entry-place",
    ],
    [
        "an entry moves more, and balances",
        "select p.entry_id as k from posting p join entry e on e.id = p.entry_id where e.reason like 'hour %' and p.place = 'waiver' \
         or e.reason like 'subscription %' order by 1 limit 1",
        "update posting set amount = amount + case when amount > 0 then 100 else -100 end where entry_id = $1",
        "entry",
    ],
    [
        "an entry and its postings are gone",
        "select id as k from entry where reason like 'block %' order by id limit 1",
        "delete from posting where entry_id = $1",
        "entry",
    ],
    [
        "a hold is gone",
        "select account_id as k from hold order by 1 limit 1",
        "delete from hold where account_id = $1",
        "held",
    ],
    [
        "one that is released holds money",
        "select id as k from instance where live = 0 order by id limit 1",
        "insert into hold (instance_id, account_id, amount, since) select id, account_id, 1, 0 from instance where id = $1",
        "held",
    ],
    [
        "more is held",
        "select id as k from account where held > 0 order by id limit 1",
        "update account set held = held + 1 where id = $1",
        "held",
    ],
    [
        "a span ends earlier",
        "select s.id as k from span s join instance i on i.id = s.resource_id where i.live = 0 and s.meter = 'system-disk' \
         order by s.id limit 1",
        "update span set until = until - 60 where id = $1",
        "span",
    ],
    [
        "a span begins earlier",
        "select id as k from span where meter = 'compute' order by id limit 1",
        "update span set since = since - 60 where id = $1",
        "span",
    ],
    [
        "what runs is not measured any more",
        "select id as k from span where until = 9223372036854775807 order by id desc limit 1",
        "update span set until = since + 7 where id = $1",
        "span",
    ],
    [
        "two spans overlap",
        "select id as k from span where since > (select min(since) from span) and id in (select max(s.id) from span s \
         group by s.resource_id, s.meter having count(*) > 1) order by id limit 1",
        "update span set since = since - 1 where id = $1",
        "span",
    ],
    [
        "cash appears",
        "select id as k from account order by id limit 1",
        "update account set cash = cash + 1 where id = $1",
        "purse",
    ],
    [
        "debt appears",
        "select id as k from account order by id limit 1",
        "update account set debt = debt + 1 where id = $1",
        "purse",
    ],
    [
        "a total is larger",
        "select id as k from account where payable_total_exact <> '0' order by id limit 1",
        "update account set payable_total_exact = cast(cast(payable_total_exact as bigint) + 1 as text) where id = $1",
        "total",
    ],
    [
        "a total is larger by what a posting shows",
        "select id as k from account where compute_total_exact <> '0' order by id desc limit 1",
        "update account set compute_total_exact = cast(cast(compute_total_exact as bigint) + 36 as text) where id = $1",
        "posted",
    ],
    [
        "the total of traffic is larger",
        "select id as k from account where traffic_payable_total <> '0' limit 1",
        "update account set traffic_payable_total = '1' where id = $1",
        "total",
    ],
    [
        "a grant is used more",
        "select account_id as k from trial_grant limit 1",
        "update trial_grant set used = used + 36 where account_id = $1",
        "grant",
    ],
    [
        "a grant was larger",
        "select account_id as k from trial_grant limit 1",
        "update trial_grant set issued = issued + 3600000000 where account_id = $1",
        "grant",
    ],
    [
        "less traffic left an address",
        "select id as k from traffic_record order by id limit 1",
        "update traffic_record set quantity = quantity + 1, anywhere = anywhere + 1 where id = $1",
        "traffic",
    ],
    [
        "a pool was used less",
        "select account_id as k from traffic_pool limit 1",
        "update traffic_pool set anywhere = anywhere - 1 where account_id = $1",
        "pool",
    ],
    [
        "a counter shows more",
        "select id as k from address order by id limit 1",
        "update address set month_bytes = month_bytes + 1000 where id = $1",
        "traffic",
    ],
    [
        "room is taken by nobody",
        "select h.name as k from host h join host_room r on r.host_id = h.id where r.used > 0 order by h.name limit 1",
        "update host_room set used = used + 1 where resource = 'vcpu' and host_id = (select id from host where name = $1)",
        "room",
    ],
    [
        "room is promised to nobody",
        "select name as k from host order by name limit 1",
        "update host_room set claimed = claimed + 1 where resource = 'memory_mib' and host_id = (select id from host where name = $1)",
        "room",
    ],
    [
        "more was given back",
        "select id as k from adjustment order by id limit 1",
        "update adjustment set cash = cash + 1 where id = $1",
        "entry",
    ],
    [
        "a block cost less",
        "select instance_id as k from block where payable > 0 or waived > 0 order by 1 limit 1",
        "update block set waived = waived + 1 where instance_id = $1",
        "block",
    ],
    [
        "a month cost less",
        "select account_id as k from month_spending order by 1 limit 1",
        "update month_spending set payable = payable - 3600000 where account_id = $1",
        "cap",
    ],
    [
        "months are paid for longer",
        "select id as k from span where meter = 'subscription' order by id limit 1",
        "update span set until = until + 60 where id = $1",
        "months",
    ],
    [
        "a subscription says that it is paid for longer",
        "select id as k from instance where purchase like '%2026-05-%' and purchase like '%subscription%' order by id limit 1",
        "update instance set purchase = replace(purchase, '2026-05-', '2026-06-') where id = $1",
        "months",
    ],
    [
        "a budget is larger",
        "select account_id as k from budget",
        "update budget set amount = amount + 1 where account_id = $1",
        "budget",
    ],
    [
        "what was told of a budget is forgotten",
        "select account_id as k from budget_told order by 1 limit 1",
        "delete from budget_told where account_id = $1",
        "budget",
    ],
    [
        "a cap is another",
        "select account_id as k from spending_cap order by 1 limit 1",
        "update spending_cap set amount = amount + 1 where account_id = $1",
        "cap",
    ],
    [
        "a month is forgotten",
        "select account_id as k from month_spending order by 1 limit 1",
        "delete from month_spending where account_id = $1",
        "cap",
    ],
    [
        "a block is forgotten",
        "select instance_id as k from block where payable > 0 or waived > 0 order by 1 desc limit 1",
        "delete from block where instance_id = $1",
        "block",
    ],
    [
        "a grace is longer",
        "select account_id as k from arrears where cleared_at is null limit 1",
        "update arrears set grace_until = grace_until + 86400 where account_id = $1",
        "arrears",
    ],
    [
        "a debtor is in no arrears",
        "select account_id as k from arrears where cleared_at is null limit 1",
        "delete from arrears where account_id = $1",
        "arrears",
    ],
    [
        "nobody looks after a trial",
        "select account_id as k from trial_grant limit 1",
        "delete from alarm where kind = 'trial' and subject = $1",
        "alarm",
    ],
];

/// A day on which everything happens that is billed.
async fn a_day(cloud: &Cloud) {
    cloud.post("enterprise", "/v1/trial", json!(null)).await;
    cloud.post("enterprise", "/v1/cap", json!({"amount": "5000"})).await;
    cloud.post("enterprise", "/v1/budget", json!({"amount": "0.2", "alerts": [50, 100]})).await;
    let site = json!({"option": "trial", "flavor": "t6.small.1", "public_ip": true});
    let site = cloud.post("enterprise", "/v1/instances", order(site)).await;
    let address = format!("/v1/addresses/{}/traffic", site["public_address"].as_str().unwrap());
    let taken = cloud.buy("enterprise", block(3)).await;
    let deleted = cloud.buy("enterprise", block(6)).await;
    let resized = cloud.buy("enterprise", json!({"option": "on-demand", "flavor": "c6.large.2"})).await;
    let monthly = cloud.buy("individual", json!({"option": "on-demand", "flavor": "c6.large.2"})).await;
    cloud.wait(600).await;
    cloud.post("enterprise", &address, json!({"bytes": 21_234_567_890_i64})).await;
    let months = json!({"to": "subscription", "months": 2});
    cloud.post("individual", &format!("/v1/instances/{monthly}/convert"), months).await;
    cloud.post("operator", &format!("/v1/instances/{taken}/reclaim"), json!(null)).await;
    cloud.post("enterprise", &format!("/v1/instances/{resized}/stop"), json!({"economical": true})).await;
    cloud.wait(7_200).await;
    cloud.delete("enterprise", &deleted).await;
    cloud.post("enterprise", &format!("/v1/instances/{resized}/start"), json!(null)).await;
    cloud.post("enterprise", &address, json!({"bytes": 1_000_000_000})).await;
    let bill = cloud.get("enterprise", "/v1/bills").await;
    let paid = bill["records"].as_array().unwrap().iter().find(|one| one["amount"].as_str() > Some("0.00100000"));
    let path = format!("/v1/records/{}/adjustments", paid.unwrap()["id"].as_str().unwrap());
    cloud.post("operator", &path, json!({"amount": "0.001", "reason": "it was slow"})).await;
    cloud.wait(7_200).await;
    cloud.post("enterprise", &address, json!({"bytes": 5_000})).await;
    // Somebody owes.
    let poor = cloud.tenant("Poor", "individual", "0.15").await;
    cloud.buy(&poor, json!({"option": "on-demand", "flavor": "t6.small.1"})).await;
    cloud.wait(7_200).await;
    // Held, and not settled yet.
    cloud.buy("enterprise", json!({"option": "on-demand", "flavor": "t6.small.1"})).await;
    cloud.wait(60).await;
}

async fn findings(cloud: &Cloud) -> Vec<Value> {
    cloud.get("operator", "/v1/audit?all=true").await["findings"].as_array().unwrap().clone()
}

async fn whatever_is_changed_is_found(place: Place) {
    let cloud = Cloud::at(place.clone(), &ROOM, Behaviour::default()).await;
    a_day(&cloud).await;
    each_is_named(&cloud, place, &TAMPERINGS).await;
}

/// Does to a healthy service what is listed, one after the other, and looks whether each is found and named.
pub async fn each_is_named(cloud: &Cloud, place: Place, tamperings: &[[&'static str; 4]]) {
    cloud.nothing_broke().await;
    let store = Store::open(place).await.unwrap();
    let mut known = vec![];
    for &[what, which, change, check] in tamperings {
        let rows = store.rows(query(which, args![])).await.unwrap();
        let key = rows.first().unwrap_or_else(|| panic!("{what}: there is no such row")).text("k").to_owned();
        tamper(&store, query(change, args![key.as_str()])).await;
        let now = findings(cloud).await;
        let new: Vec<&Value> = now.iter().filter(|one| !known.contains(*one)).collect();
        let names_it = |one: &&&Value| one["check"] == check && one.to_string().contains(&key);
        assert!(new.iter().any(|one| names_it(&one)), "{what} ({key}) is not named by `{check}`:\n{new:#?}");
        known = now;
    }
    store.close().await.unwrap();
}

async fn tamper(store: &Store, change: Query) {
    let done = store.unit::<(), std::convert::Infallible, _, _>("tamper", "tamper", move |_| {
        let writes = vec![change.clone()];
        async move { Ok(Decision { guards: vec![], writes, answer: () }) }
    });
    done.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_changed_is_found_on_sqlite() {
    let dir = Directory::new();
    whatever_is_changed_is_found(Place::Sqlite(dir.path().join("ebb.db"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_changed_is_found_on_postgres() {
    whatever_is_changed_is_found(Place::Postgres(TempPostgres::start().database().await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_without_an_hour_to_close_is_found() {
    for on in [On::Sqlite, On::Postgres] {
        let dir = Directory::new();
        let place = match on {
            On::Sqlite => Place::Sqlite(dir.path().join("ebb.db")),
            On::Postgres => Place::Postgres(TempPostgres::start().database().await),
        };
        let cloud = Cloud::at(place.clone(), &ROOM, Behaviour::default()).await;
        cloud.buy("individual", json!({"option": "on-demand", "flavor": "t6.small.1"})).await;
        cloud.wait(60).await;
        let store = Store::open(place).await.unwrap();
        tamper(&store, query("update account set close_at = null", args![])).await;
        let found = findings(&cloud).await;
        assert_eq!(found[0]["check"], "open-hour", "{found:#?}");
        tamper(&store, query("update posting set amount = amount + 1 where place = 'bank'", args![])).await;
        assert_eq!(findings(&cloud).await.last().unwrap()["check"], "ledger");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_by_the_month_without_its_money_is_found() {
    for on in [On::Sqlite, On::Postgres] {
        let dir = Directory::new();
        let place = match on {
            On::Sqlite => Place::Sqlite(dir.path().join("ebb.db")),
            On::Postgres => Place::Postgres(TempPostgres::start().database().await),
        };
        let room = [("vcpu", 4), ("memory_mib", 65_536), ("disk_gib", 10_000)];
        let cloud = Cloud::at(place.clone(), &room, Behaviour::default()).await;
        cloud.buy("enterprise", json!({"option": "spot-block", "flavor": "c6.xlarge.1", "hours": 6})).await;
        cloud.wait(600).await;
        let month = json!({"option": "subscription", "flavor": "c6.large.2", "months": 1});
        let waits = cloud.buy("individual", month).await;
        cloud.agrees().await;
        let store = Store::open(place).await.unwrap();
        let less = "update hold set amount = amount - 1 where instance_id = $1";
        tamper(&store, query(less, args![waits.as_str()])).await;
        let named = |found: &[Value], stored: &str| {
            let row = format!("hold of {waits}");
            let of = |one: &&Value| one["row"] == row.as_str() && one["comes_to"] == "176.40000000";
            assert_eq!(found.iter().find(of).map(|one| &one["stored"]), Some(&json!(stored)), "{found:#?}");
        };
        named(&findings(&cloud).await, "176.39999999");
        tamper(&store, query("delete from hold where instance_id = $1", args![waits.as_str()])).await;
        named(&findings(&cloud).await, "nothing");
        // One that runs needs nothing held any more.
        cloud.wait(330).await;
        let more = "insert into hold (instance_id, account_id, amount, since) select id, account_id, 1, 0 from instance where id = $1";
        tamper(&store, query(more, args![waits.as_str()])).await;
        let found = findings(&cloud).await;
        assert!(found.iter().any(|one| one["comes_to"] == "nothing: its months are paid"), "{found:#?}");
    }
}

story!(who_asks_sees_his_own, |cloud: Cloud| async move {
    a_day(&cloud).await;
    let all = cloud.get("operator", "/v1/audit").await;
    assert_eq!((&all["agrees"], &all["findings"], &all["found"]), (&json!(true), &json!([]), &json!(0)));
    let words = all["added_up"].as_str().unwrap();
    assert!(words.contains(" records, ") && words.contains("1 adjustment, ") && words.contains(" hosts"), "{words}");
    let own = cloud.get("enterprise", "/v1/audit").await;
    assert_eq!((&own["counts"]["account"], &own["counts"]["host"]), (&json!(1), &json!(0)));
    let id = cloud.get("enterprise", "/v1/whoami").await["account"]["id"].as_str().unwrap().to_owned();
    let by_operator = cloud.get("operator", &format!("/v1/audit?account={id}")).await;
    assert_eq!(by_operator["counts"], own["counts"]);
    // Of others he hears nothing.
    let stranger = cloud.ask("individual", Method::GET, &format!("/v1/audit?account={id}"), None).await;
    assert_eq!(stranger.0, 404);
    let nobody = "/v1/audit?account=a-019b76daa800700080000000000000aa";
    assert_eq!(cloud.ask("operator", Method::GET, nobody, None).await.0, 404);
});

story!(it_agrees_while_all_goes_on, |cloud: Cloud| async move {
    let busy = async {
        for turn in 0..6 {
            let id = cloud.buy("enterprise", block(1 + turn % 3)).await;
            cloud.wait(1_900).await;
            cloud.delete("enterprise", &id).await;
        }
    };
    let looks = async {
        for _ in 0..30 {
            cloud.agrees().await;
        }
    };
    tokio::join!(busy, looks);
});
