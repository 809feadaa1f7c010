//! What does it cost to read the bill of an account's month?

use crate::cloud::Cloud;
use crate::rows::id;
use crate::stage::{Running, Stage};
use crate::table::Times;
use anyhow::{Context, Result, bail};
use ebb_engine::rating::charges;
use ebb_engine::trial::deduct;
use ebb_model::billing::BillRecord;
use ebb_model::id::{AccountId, RecordId};
use ebb_model::time::{DAY, HOUR, Period};
use ebb_store::Query;
use ebb_store::rows::{bill, instance};
use std::sync::Arc;
use std::time::{Duration, Instant};

const INSTANCES: usize = 5;
const DAYS: i64 = 30;
const READS: usize = 9;
/// More than there are.
const MOST: i64 = 100_000;
/// Its open hour is not closed with the others'.
const LATER: i64 = 4_000_000_001;

/// How it was read.
pub struct Month {
    pub records: usize,
    pub bytes: usize,
    pub times: Times,
    /// The statement alone that reads its records.
    pub rows: Duration,
}

/// An account with instances that ran for a month, and the records of its hours.
pub fn rows(running: &Running, owner: AccountId) -> Vec<Query> {
    let mut rows = running.account(owner, LATER);
    let since = running.since.plus(-DAYS * DAY);
    let calendar = ebb_server::sample_catalog().time_zone;
    let mut records = vec![];
    for _ in 0..INSTANCES {
        let (instance, spans) = running.instance(owner, since);
        rows.push(instance::insert(&instance, None));
        rows.extend(bill::insert_spans(&spans));
        for hour in 0..DAYS * 24 {
            let hour = Period { since: since.plus(hour * HOUR), until: since.plus((hour + 1) * HOUR) };
            let charges: Vec<_> = spans.iter().flat_map(|span| charges(span, hour, &calendar, None, None)).collect();
            let splits = deduct(&charges, None);
            let issued = charges.into_iter().zip(splits).map(|(charge, split)| BillRecord {
                id: RecordId::new(id(hour.until.start())),
                charge,
                split,
                issued_at: hour.until,
            });
            records.extend(issued);
        }
    }
    records.sort_by_key(|record| record.charge.period.since);
    rows.extend(bill::insert_records(records));
    rows
}

pub async fn read(cloud: &Arc<Cloud>, stage: &Stage, of: AccountId, key: &str) -> Result<Month> {
    let until = stage.boundary.plus(-HOUR);
    let since = until.plus(-DAYS * DAY);
    let path = format!("/v1/bills?since={}&until={}", since.start(), until.start());
    let (mut times, mut alone, mut last) = (vec![], vec![], None);
    let store = stage.store().await?;
    for _ in 0..READS {
        let started = Instant::now();
        store.rows(bill::records_of_account(of, since, until, MOST)).await?;
        alone.push(started.elapsed());
        let started = Instant::now();
        let answer = cloud.lines.get(&path, key).await?;
        times.push(started.elapsed());
        last = Some(answer);
    }
    store.close().await?;
    let last = last.context("an answer")?;
    let records = last.json()?["records"].as_array().context("records")?.len();
    if records != INSTANCES * DAYS as usize * 48 {
        bail!("a month of {records} records");
    }
    Ok(Month { records, bytes: last.body.len(), times: Times::of(times), rows: Times::of(alone).median() })
}
