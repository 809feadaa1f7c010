//! How long is a claim looked at in a family of 10,000 accounts, beside an account that is nobody else's? On both databases.

use crate::cloud::{Cloud, Guests};
use crate::table::{Line, Table, Times, millis};
use anyhow::{Context, Result, bail};
use ebb_testing::TempPostgres;
use futures_util::future::try_join_all;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

const FAMILY: usize = 10_000;
const CONNECTIONS: usize = 8;
const LOOKS: usize = 500;

pub async fn run() -> Result<()> {
    let mut table = Table::new("persons: claims in a family of 10,000 accounts that evidence linked");
    measure(&mut table, "SQLite", None).await?;
    let postgres = TempPostgres::durable();
    measure(&mut table, "PostgreSQL", Some(&postgres.database().await)).await?;
    table.note("times of answers over HTTP, one after the other: p50 / p99 / max in ms. Beside it: the same of an account that is");
    table.note("nobody else's. The family comes about by reports of evidence: two of 5,000 accounts each, by a phone each, and then one");
    table.note("account that was seen with both phones, which makes 5,000 accounts another person's in one commit.");
    table.print();
    Ok(())
}

/// Somebody with a key, and the account's id.
struct Account {
    id: String,
    key: String,
}

async fn open(cloud: &Cloud, phone: Option<&str>) -> Result<Account> {
    let evidence: Vec<_> = phone.iter().map(|phone| json!({"kind": "phone", "value": phone})).collect();
    let body = json!({"name": "x", "evidence": evidence}).to_string();
    let opened = cloud.lines.post("/v1/accounts", &cloud.operator, &body).await?.json()?;
    let text = |pointer: &str| opened.pointer(pointer).and_then(|text| text.as_str()).map(str::to_owned);
    let (id, key) = (text("/account/id"), text("/key/secret"));
    Ok(Account { id: id.context("an id")?, key: key.context("a key")? })
}

async fn verify(cloud: &Cloud, account: &Account) -> Result<()> {
    let path = format!("/v1/accounts/{}/verification", account.id);
    cloud.lines.post(&path, &cloud.operator, r#"{"holder":"individual"}"#).await?.json().map(drop)
}

async fn measure(table: &mut Table, name: &str, postgres: Option<&str>) -> Result<()> {
    let cloud = Arc::new(Cloud::start(postgres, Guests::Absent).await?);
    let phones = ["13800138000", "13900139000"];
    let (opened, began) = (AtomicUsize::new(0), Instant::now());
    let workers = (0..CONNECTIONS).map(|_| async {
        let mut times = vec![];
        loop {
            let number = opened.fetch_add(1, Relaxed);
            if number >= FAMILY - 1 {
                return Ok::<_, anyhow::Error>(times);
            }
            let before = Instant::now();
            open(&cloud, Some(phones[number % 2])).await?;
            times.push(before.elapsed());
        }
    });
    let joined = Times::of(try_join_all(workers).await?.concat());
    let a_second = (FAMILY as f64 / began.elapsed().as_secs_f64()).round();
    table.line(Line {
        what: format!("{name}: opened into a family, {CONNECTIONS} at once"),
        figure: format!("{} ({a_second}/s)", joined.spread()),
        ..Line::default()
    });

    let one = open(&cloud, Some(phones[0])).await?;
    verify(&cloud, &one).await?;
    let report = json!({"seen_at": "log-in", "evidence": [{"kind": "phone", "value": phones[1]}]}).to_string();
    let path = format!("/v1/accounts/{}/evidence", one.id);
    let before = Instant::now();
    let linked = cloud.lines.post(&path, &cloud.operator, &report).await?.json()?;
    let union = before.elapsed();
    if linked["linked"] != json!(["phone"]) {
        bail!("the families were not linked: {linked}");
    }
    table.line(Line { what: format!("{name}: the two become one"), figure: millis(union), ..Line::default() });

    let (second, alone) = (open(&cloud, Some(phones[0])).await?, open(&cloud, Some("13700137000")).await?);
    verify(&cloud, &second).await?;
    verify(&cloud, &alone).await?;
    let both = [&one, &alone];
    line(table, name, "trial check", both, LOOKS, async |who| {
        cloud.lines.get("/v1/trial/check", &who.key).await?.json().map(drop)
    })
    .await?;
    line(table, name, "a report of what is known", both, LOOKS, async |who| {
        let phone = if who.id == one.id { phones[1] } else { "13700137000" };
        let report = json!({"seen_at": "log-in", "evidence": [{"kind": "phone", "value": phone}]}).to_string();
        let path = format!("/v1/accounts/{}/evidence", who.id);
        cloud.lines.post(&path, &cloud.operator, &report).await?.json().map(drop)
    })
    .await?;
    line(table, name, "the claim that is granted", both, 1, async |who| {
        cloud.lines.post("/v1/trial", &who.key, "").await?.json().map(drop)
    })
    .await?;
    line(table, name, "a claim that is refused", [&second, &alone], LOOKS, async |who| {
        let answer = cloud.lines.post("/v1/trial", &who.key, "").await?;
        let why = if who.id == second.id { "trial-person-claimed" } else { "trial-already-claimed" };
        match answer.body.contains(why) {
            true => Ok(()),
            false => bail!("a second claim was answered {}: {}", answer.status, answer.body),
        }
    })
    .await?;
    cloud.agrees().await
}

/// The same asked by one of the family, and by an account that is nobody else's.
async fn line(
    table: &mut Table,
    name: &str,
    what: &str,
    who: [&Account; 2],
    count: usize,
    ask: impl AsyncFn(&Account) -> Result<()>,
) -> Result<()> {
    let mut spreads = vec![];
    for account in who {
        let mut times: Vec<Duration> = vec![];
        for _ in 0..count {
            let before = Instant::now();
            ask(account).await?;
            times.push(before.elapsed());
        }
        spreads.push(Times::of(times).spread());
    }
    let rival = spreads.pop().unwrap_or_default();
    let figure = spreads.pop().unwrap_or_default();
    table.line(Line { what: format!("{name}: {what}"), figure, rival, ..Line::default() });
    Ok(())
}
