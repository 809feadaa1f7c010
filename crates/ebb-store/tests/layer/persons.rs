//! Does what a claim asks stay small, however many accounts a person has?

use crate::home::Home;
use ebb_model::id::{AccountId, EvidenceId};
use ebb_store::rows::{account, appeal, person};
use ebb_store::{Decision, Halt, Kind, Query, StoreError, args};

crate::everywhere!(a_claim_looks_at_a_few_rows_of_ten_thousand, a_claim_that_saw_no_order_is_decided_anew);

const FAMILY: [&str; 7] = [
    "insert into account (id, name, generation, opened_at, cash, debt, held, waived_total, grant_total, payable_total, \
     compute_total, disk_total, ran, person) \
     with recursive n (i) as (select 10000 union all select i + 1 from n where i < 19999) \
     select 'a-000000000000000000000000000' || cast(i as text), 'x', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
     case when i in (12345, 19999) then 1 else 0 end, 'a-00000000000000000000000000010000' from n",
    "insert into person (id, size, generation) values ('a-00000000000000000000000000010000', 10000, 1)",
    "insert into evidence (id, kind, hash, key_number) \
     with recursive n (i) as (select 10000 union all select i + 1 from n where i < 19999) \
     select 's-000000000000000000000000000' || cast(i as text), 'phone', 'hash ' || cast(i as text), 1 from n",
    // Everybody was seen with one phone, and each with one of his own.
    "insert into sighting (evidence_id, account_id, seen_at, source) select 's-00000000000000000000000000010000', id, 0, 'use' from account",
    "insert into sighting (evidence_id, account_id, seen_at, source) \
     select 's-' || substr(id, 3), id, 0, 'use' from account where id > 'a-00000000000000000000000000010000'",
    // Each runs an instance, and two orders are under way.
    "insert into host (id, name, zone, driver, state, sequence, seen_at) values ('h-1', 'h', 'z', 'fake', 'up', 0, 0)",
    "insert into instance (id, account_id, name, zone, host_id, flavor, image, resources, purchase, disk_price, created_at, \
     tags, keep, took_room, first_running, end_announced, generation, state, live, has_room) \
     select 'i-' || substr(id, 3), id, 'x', 'z', 'h-1', 'f', 'm', '{}', '{\"option\":\"on-demand\",\"price\":\"1\"}', 0, 0, \
     '{}', '{}', 0, case when substr(id, 30) in ('12345', '12346') then null else 1 end, 0, 1, \
     '{\"state\":\"starting\"}', 1, 1 from account",
];

async fn a_claim_looks_at_a_few_rows_of_ten_thousand(home: Home) {
    for rows in FAMILY.into_iter().chain(["analyze"]) {
        home.write(rows, args![]).await.unwrap();
    }
    let one: AccountId = "a-00000000000000000000000000012345".parse().unwrap();
    let all: AccountId = "a-00000000000000000000000000010000".parse().unwrap();
    let shared: EvidenceId = "s-00000000000000000000000000010000".parse().unwrap();
    // What is there is found …
    assert!(home.store.rows(person::another_ran(all, one)).await.unwrap().len() == 1);
    assert!(home.store.rows(person::shared_kinds(one)).await.unwrap()[0].text("kind") == "phone");
    assert!(home.store.rows(person::first_with(shared)).await.unwrap()[0].text("id") == all.to_string());
    let ordered = person::another_order_under_way(all, one);
    assert!(home.store.rows(ordered).await.unwrap()[0].text("id").ends_with("12346"));
    // … by looking at a few rows.
    for asked in [
        account::by_id(one),
        account::grant(one),
        appeal::overrule_of(one),
        person::by_id(all),
        person::another_ran(all, one),
        person::order_under_way(one),
        person::another_order_under_way(all, one),
        person::shared_kinds(one),
        person::by_hash("hash 12345"),
        person::first_with(shared),
        person::sighting(shared, one),
        person::oldest_in_use(),
    ] {
        let looked_at = looked_at(&home, &asked).await;
        assert!(looked_at <= 20, "{looked_at} rows are looked at by: {}", asked.sql);
    }
}

/// Somebody of the person buys between a claim's look and its commit.
async fn a_claim_that_saw_no_order_is_decided_anew(home: Home) {
    home.write(
        "insert into account (id, name, generation, opened_at, cash, debt, held, waived_total, grant_total, payable_total, \
         compute_total, disk_total, ran) values ('a-00000000000000000000000000010000', 'x', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
        args![],
    )
    .await
    .unwrap();
    home.write(FAMILY[1], args![]).await.unwrap();
    let all: AccountId = "a-00000000000000000000000000010000".parse().unwrap();
    let seen = person::read(&home.store.rows(person::by_id(all)).await.unwrap()[0]);
    let unit = async |guard: Query| {
        let decide = move |_| {
            let guards = vec![guard.clone()];
            async move { Ok::<_, Halt<()>>(Decision { guards, writes: vec![], answer: () }) }
        };
        home.store.unit("either", "x", decide).await
    };
    unit(person::touch(all)).await.unwrap();
    let claimed = unit(person::change(&seen)).await;
    assert!(matches!(claimed, Err(Halt::Store(StoreError::Contended))), "{claimed:?}");
    let seen = person::read(&home.store.rows(person::by_id(all)).await.unwrap()[0]);
    unit(person::change(&seen)).await.unwrap();
    // And an order of a person that went into another finds that out.
    let seen = person::read(&home.store.rows(person::by_id(all)).await.unwrap()[0]);
    unit(person::delete(&seen)).await.unwrap();
    assert!(matches!(unit(person::touch(all)).await, Err(Halt::Store(StoreError::Contended))));
}

/// The rows that a statement looks at; on SQLite, which does not count them, none if each table is searched by an index.
async fn looked_at(home: &Home, asked: &Query) -> i64 {
    let postgres = home.store.kind() == Kind::Postgres;
    let explain = if postgres { "explain (analyze, timing off)" } else { "explain query plan" };
    let sql = format!("{explain} {}", asked.sql).leak();
    let plan = home.store.rows(ebb_store::query(sql, asked.args.clone())).await.unwrap();
    let lines: Vec<&str> = plan.iter().map(|row| if postgres { row.text(0) } else { row.text("detail") }).collect();
    let number = |text: &str, name: &str| {
        let digits = text.split(name).nth(1)?.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse::<i64>().ok()
    };
    match postgres {
        true => {
            let read = lines.iter().filter_map(|line| number(line.split("(actual").nth(1)?, "rows="));
            let thrown_away = lines.iter().filter_map(|line| number(line, "Removed by Filter: "));
            read.chain(thrown_away).sum()
        }
        false => {
            // A whole person by its index is ten thousand rows, too. That of the oldest key stops at the first.
            let large = ["SCAN ", "AUTOMATIC ", "ANY(", "INDEX account_person ("];
            let whole = |line: &&&str| large.iter().any(|sign| line.contains(sign)) && !line.contains("evidence_wrap");
            lines.iter().filter(whole).count() as i64 * 10_000
        }
    }
}
