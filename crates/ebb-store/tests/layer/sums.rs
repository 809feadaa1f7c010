//! Are sums of exact amounts exact, also where 64 bits would not hold them, and the same on each database?

use crate::home::Home;
use ebb_model::id::AccountId;
use ebb_model::money::{Amount, Exact};
use ebb_model::time::{Second, Timestamp};
use ebb_store::rows::block::{By, Window};
use ebb_store::rows::{account, audit, bill, block, cap};
use ebb_store::{Query, args};

crate::everywhere!(a_month_may_cost_any_amount, records_and_blocks_add_up, all_postings_add_up);

/// What one column holds at most.
const MOST: i128 = i64::MAX as i128;

async fn write(home: &Home, queries: impl IntoIterator<Item = Query>) {
    for query in queries {
        home.write(query.sql, query.args).await.unwrap();
    }
}

fn exact(units: i128) -> Exact {
    Exact::from_units(units)
}

async fn opened(home: &Home) -> AccountId {
    let id = AccountId::new(Default::default());
    write(home, [account::insert(id, "Ada", Timestamp::from_micros(0))]).await;
    id
}

async fn a_month_may_cost_any_amount(home: Home) {
    let (id, month) = (opened(&home).await, Second::from_unix(0));
    let spent = async || {
        let rows = home.store.rows(cap::spent(id)).await.unwrap();
        rows.iter().map(cap::read_spent).collect::<Vec<_>>()
    };
    write(&home, [cap::spend(id, month, exact(7))]).await;
    assert_eq!(spent().await, [], "without a cap nothing is counted");
    write(&home, [cap::set(id, Amount::from_units(1), month)]).await;
    let parts = [1, 3_599_999_999, 3_600_000_000, MOST - 1, MOST, MOST, 2 * MOST, 0, 5];
    let mut sum = 0;
    for part in parts {
        write(&home, [cap::spend(id, month, exact(part))]).await;
        sum += part;
        assert_eq!(spent().await, [(month, exact(sum))]);
    }
    // As it was counted by an older version: all in one column.
    home.write("update month_spending set whole = 0, payable = $1", args![i64::MAX - 3_600_000_000]).await.unwrap();
    write(&home, [cap::spend(id, month, exact(3_599_999_999))]).await;
    assert_eq!(spent().await, [(month, exact(MOST - 1))]);
    write(&home, [cap::spent_before(id, month, exact(3 * MOST + 2))]).await;
    assert_eq!(spent().await, [(month, exact(3 * MOST + 2))]);
}

/// An instance that was a block, and a span of it.
async fn bought(home: &Home, id: AccountId, n: i64) -> String {
    let name = format!("i-{n:032x}");
    home.write(
        "insert into instance (id, account_id, name, zone, host_id, flavor, image, resources, purchase, disk_price, created_at, \
         end_announced, generation, state, live) values ($1, $2, 'a', 'z', 'h', 'f', 'i', '{}', '{}', 0, 0, 0, 0, '{}', 0)",
        args![name.as_str(), id.to_string()],
    )
    .await
    .unwrap();
    home.write(
        "insert into span (id, account_id, resource_id, meter, price, settled, since, until) values ($1, $2, $3, 'system-disk', 1, '{}', 0, 1)",
        args![format!("s-{n:032x}"), id.to_string(), name.as_str()],
    )
    .await
    .unwrap();
    name
}

async fn records_and_blocks_add_up(home: Home) {
    let id = opened(&home).await;
    let host = "insert into host (id, name, zone, driver, state, sequence, seen_at) values ('h', 'h', 'z', 'fake', 'up', 0, 0)";
    home.write(host, args![]).await.unwrap();
    for n in 1..=4 {
        let of = bought(&home, id, n).await;
        let (waived, granted, payable) = (i64::MAX, i64::MAX - n, i64::MAX - 2 * n);
        home.write(
            "insert into bill_record (id, account_id, resource_id, span_id, meter, price, since, until, covered, waived, granted, \
             payable, issued_at) values ($1, $2, $3, $4, 'system-disk', 1, $5, 100, 1, $6, $7, $8, 100)",
            args![
                format!("r-{n:032x}"),
                id.to_string(),
                of.as_str(),
                format!("s-{n:032x}"),
                n,
                waived,
                granted,
                payable
            ],
        )
        .await
        .unwrap();
        home.write(
            "insert into block (instance_id, account_id, zone, flavor, hours, bought_at, gone_at, cause, waived_seconds, waived, payable) \
             values ($1, $2, 'z', 'f', 1, 0, 0, 'capacity', 1, $3, $4)",
            args![of.as_str(), id.to_string(), waived, payable],
        )
        .await
        .unwrap();
    }
    let all = |of: fn(i128) -> i128| exact((1..=4).map(of).sum());
    let rows = home.store.rows(cap::billed_hourly(id, Second::from_unix(0), Second::from_unix(9))).await.unwrap();
    assert_eq!(cap::read_billed_hourly(&rows[0]), all(|n| MOST - 2 * n));
    let rows = home.store.rows(cap::billed_hourly(id, Second::from_unix(9), Second::from_unix(99))).await.unwrap();
    assert_eq!(cap::read_billed_hourly(&rows[0]), exact(0));
    let rows = home.store.rows(bill::granted_before(id, Second::from_unix(9))).await.unwrap();
    assert_eq!(bill::read_granted(&rows[0]), all(|n| MOST - n));
    let window = Window { account: None, since: Timestamp::from_micros(0), until: Timestamp::from_micros(1_000_000) };
    for by in [By::Flavor, By::Account] {
        let rows = home.store.rows(block::ends(by, &window)).await.unwrap();
        let sums = ["waived", "payable"].map(|name| block::read_exact(&rows[0], name));
        assert_eq!(sums, [exact(4 * MOST), all(|n| MOST - 2 * n)]);
    }
    let rows = home.store.rows(block::waived_by_taker(&window, true)).await.unwrap();
    assert_eq!(block::read_exact(&rows[0], "waived"), exact(4 * MOST));
}

async fn all_postings_add_up(home: Home) {
    let id = opened(&home).await;
    home.write("insert into entry (id, account_id, at, reason) values ('e', $1, 0, 'r')", args![id.to_string()])
        .await
        .unwrap();
    let post = "insert into posting (entry_id, place, amount) values ('e', $1, $2)";
    for (place, amount) in [("a", i64::MAX), ("b", i64::MAX), ("c", 1), ("d", -i64::MAX)] {
        home.write(post, args![place, amount]).await.unwrap();
    }
    let sum = async || audit::read_ledger(&home.store.rows(audit::ledger()).await.unwrap()[0]);
    assert_eq!(sum().await, MOST + 1);
    home.write(post, args!["e", -i64::MAX]).await.unwrap();
    home.write(post, args!["f", -1]).await.unwrap();
    assert_eq!(sum().await, 0);
}
