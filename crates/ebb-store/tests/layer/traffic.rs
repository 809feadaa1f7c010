//! Do the rows of traffic add up to what was counted, on each database, and to the last digit?

use crate::home::Home;
use ebb_engine::traffic::{Coverage, Used};
use ebb_model::id::{AccountId, AddressId, RecordId};
use ebb_model::money::Price;
use ebb_model::time::{HOUR, Period, Second, Timestamp};
use ebb_model::traffic::{Address, Counter, Month, Quantity, TrafficCharge, TrafficExact, TrafficRecord};
use ebb_store::rows::{account, address, traffic};
use ebb_store::{Decision, Query};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

crate::everywhere!(what_is_payable_of_records_is_exact, what_is_read_adds_up_until_its_hour_closes);

/// More than a bigint of 10⁻¹² would hold.
const HUGE: i64 = 4_000_000_000_000_000;

async fn write(home: &Home, queries: impl IntoIterator<Item = Query>) {
    for query in queries {
        home.write(query.sql, query.args).await.unwrap();
    }
}

/// An account with an address.
async fn open(home: &Home) -> (AccountId, Address) {
    let (id, at) = (AccountId::new(Default::default()), Timestamp::from_micros(0));
    let address = Address {
        id: AddressId::new(Default::default()),
        account: id,
        region: "here".to_owned(),
        ip: Some(std::net::Ipv4Addr::new(203, 0, 113, 255)),
        overseas: true,
        price: Price::from_micros(800_000).into(),
        mbit: None,
        charged_until: None,
        instance: None,
        bought_with: None,
        allocated_at: at,
        released_at: None,
        counter: None,
        month: Month { since: at.second(), bytes: 0 },
    };
    write(home, [account::insert(id, "Ada", at), address::insert(&address)]).await;
    let known = home.store.rows(address::by_id(address.id)).await.unwrap();
    assert_eq!(address::read(&known[0]), address);
    (id, address)
}

fn hour(n: i64) -> Period {
    let since = Second::from_unix(n * HOUR);
    Period { since, until: since.next_hour() }
}

async fn what_is_payable_of_records_is_exact(home: Home) {
    let (id, of) = open(&home).await;
    let record = |n: i64, micros: i64, quantity: i64, free: i64| TrafficRecord {
        id: format!("r-{n:032x}").parse::<RecordId>().unwrap(),
        account: id,
        charge: TrafficCharge {
            address: of.id,
            price: Price::from_micros(micros),
            period: hour(n),
            quantity: Quantity::from_millionths(quantity),
            anywhere: Quantity::from_millionths(free),
            overseas: Quantity::ZERO,
            // More than 64 bits hold.
            vouchers: TrafficExact::from_units(i128::from(n) * 12_345_678_901_234_567_890 + 7),
        },
        issued_at: hour(n).until,
    };
    let records =
        [record(1, 800_000, 10, 3), record(2, 800_000, HUGE, 0), record(3, 1_000_000, HUGE, 1), record(4, 7, 5, 5)];
    write(&home, records.iter().map(traffic::insert_record)).await;
    let all = home.store.rows(traffic::records_of_account(id, hour(2).since, hour(4).since, 10)).await.unwrap();
    assert_eq!(all.iter().map(traffic::read_record).collect::<Vec<_>>(), records[1..3]);
    for since in 0..6 {
        let rows = home.store.rows(traffic::payable_since(id, hour(since).since)).await.unwrap();
        let later = records.iter().filter(|record| record.charge.period.since >= hour(since).since);
        let wanted: TrafficExact = later.map(|record| record.charge.paid().payable).sum();
        assert_eq!(traffic::read_payable(&rows), wanted);
    }
}

async fn what_is_read_adds_up_until_its_hour_closes(home: Home) {
    let (id, of) = open(&home).await;
    let add = |n, coverage, bytes| traffic::add(id, of.id, hour(n), coverage, bytes);
    let read = [
        add(1, Coverage::Before, 5),
        add(1, Coverage::Within, 7),
        add(1, Coverage::Within, HUGE),
        add(2, Coverage::After, 1),
    ];
    write(&home, read).await;
    let flows = async || traffic::read_flows(&home.store.rows(traffic::open_of(id)).await.unwrap());
    let bytes = |flows: Vec<ebb_engine::traffic::Flow>| {
        flows.into_iter().map(|flow| (flow.period, flow.bytes)).collect::<Vec<_>>()
    };
    assert_eq!(bytes(flows().await), [(hour(1), [5, 7 + HUGE, 0]), (hour(2), [0, 0, 1])]);
    assert_eq!(home.store.rows(address::open_of(id)).await.unwrap().len(), 1);
    write(&home, [traffic::close(id, hour(1).until)]).await;
    assert_eq!(bytes(flows().await), [(hour(2), [0, 0, 1])]);

    let used = Used { anywhere: Quantity::from_gb(1), overseas: Quantity::ZERO };
    let more = Used { overseas: Quantity::from_gb(2), ..used };
    let month = hour(0).since;
    write(&home, [traffic::set_used(id, month, &used), traffic::set_used(id, month, &more)]).await;
    let rows = home.store.rows(traffic::used_since(id, month)).await.unwrap();
    assert_eq!(rows.iter().map(traffic::read_used).collect::<Vec<_>>(), [(month, more)]);

    // Whoever saw an older counter has to look again.
    let counter = |bytes| Counter { epoch: 0, bytes, read_at: Timestamp::from_micros(bytes) };
    write(&home, [address::counted(of.id, None, &counter(5))]).await;
    let tries = Arc::new(AtomicU32::new(0));
    let decided = home.store.unit::<_, (), _, _>("count", "one", {
        let tries = tries.clone();
        move |reads| {
            let tried = tries.fetch_add(1, Ordering::Relaxed);
            async move {
                let row = reads.row(address::by_id(of.id)).await?.expect("the address");
                let seen = if tried == 0 { None } else { address::read(&row).counter };
                let guards = vec![address::counted(of.id, seen.as_ref(), &counter(9))];
                Ok(Decision { guards, writes: vec![], answer: seen })
            }
        }
    });
    assert_eq!((decided.await.unwrap(), tries.load(Ordering::Relaxed)), (Some(counter(5)), 2));
}
