//! What does a day cost by the engine's rules? One thread, account by account, with the functions that bill real accounts.

use super::day::{self, CREATED, RECLAIMED, RELEASED, STARTED, STOPPED};
use anyhow::{Context, Result, bail};
use ebb_engine::rating;
use ebb_engine::trial::deduct;
use ebb_model::billing::{Charge, Meter, Settled, Span, Split};
use ebb_model::calendar::Calendar;
use ebb_model::id::{AccountId, InstanceId, SpanId};
use ebb_model::instance::{Cause, End};
use ebb_model::money::{Exact, Price};
use ebb_model::time::{HOUR, Period, Second};
use ebb_model::trial::{Holder, TrialGrant};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use uuid::Uuid;

/// A unit of the day's files in ours, which is a hundred times finer.
const UNIT: i64 = 100;
/// A hundredth of the currency, in units of the files.
const CENT: i128 = 360_000;
/// 2026-01-01 in UTC. Its clock hours are those of the catalog's zone as well.
const MIDNIGHT: i64 = 1_767_225_600;
const NEVER: u32 = u32::MAX;

/// An instance as its events tell it.
#[derive(Clone, Copy)]
struct Life {
    account: u32,
    created: u32,
    stopped: u32,
    started: u32,
    ended: u32,
    end: u8,
    flavor: u8,
    region: u8,
    /// Of a block; 0 is on demand.
    hours: u8,
}

/// What a day's bills come to, in the units of its files.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Check {
    pub records: i128,
    seconds: i128,
    charge: i128,
    waived: i128,
    credit: i128,
    payable: i128,
    cents: i128,
    postings: i128,
    mix: i128,
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Check { records, seconds, charge, waived, credit, payable, cents, postings, mix } = self;
        write!(f, "CHECK n={records} secs={seconds} charge={charge} waived={waived} credit={credit} ")?;
        write!(f, "payable={payable} fen={cents} postings={postings} mix={mix}")
    }
}

/// Rates the day in `dir` and writes its records there.
pub fn rate(dir: &Path) -> Result<Check> {
    let lives = read_lives(&fs::read(dir.join("events.csv"))?)?;
    let grants = read_grants(&fs::read(dir.join("accounts.csv"))?)?;
    let mut order: Vec<u32> = (0..u32::try_from(lives.len())?).collect();
    order.sort_unstable_by_key(|instance| (lives[*instance as usize].account, *instance));
    let mut file = BufWriter::with_capacity(1 << 20, File::create(dir.join("records.bin"))?);
    let mut check = Check::default();
    let calendar = Calendar::new("Asia/Shanghai")?;
    for mine in order.chunk_by(|a, b| lives[*a as usize].account == lives[*b as usize].account) {
        let account = lives[mine[0] as usize].account;
        let mut bill = Bill { account, payable: 0, check: &mut check, file: &mut file };
        let grant = grants.get(account as usize).context("an account of which nothing is known")?.clone();
        let all = mine.iter().flat_map(|instance| charges(*instance, &lives[*instance as usize], &calendar, &grant));
        bill.settle(all.collect(), grant)?;
    }
    file.flush()?;
    Ok(check)
}

/// The hourly charges of an instance on demand, and all of a block that has ended.
fn charges(instance: u32, life: &Life, calendar: &Calendar, grant: &Option<TrialGrant>) -> Vec<Charge> {
    let day = Period { since: second(0), until: second(day::SECONDS as u32) };
    let class = if life.hours == 0 { 0 } else { 1 + usize::from(life.hours == 6) };
    let price = day::prices(life.flavor.into(), life.region.into())[class];
    let span = |since: u32, until: u32, settled| Span {
        id: SpanId::new(Uuid::from_u128(instance.into())),
        account: AccountId::new(Uuid::from_u128(life.account.into())),
        resource: InstanceId::new(Uuid::from_u128(instance.into())).into(),
        meter: Meter::Compute,
        price: Price::from_micros(price as i64 * 100).into(),
        follows: None,
        settled,
        since: second(since),
        until: (until != NEVER).then(|| second(until)),
    };
    if life.hours > 0 {
        if life.ended == NEVER {
            return vec![];
        }
        let (at, created) = (second(life.ended), second(life.created));
        let reclaimed = life.end == RECLAIMED && life.ended < life.created + u32::from(life.hours) * HOUR as u32;
        let cause = if reclaimed { Cause::Capacity } else { Cause::Deleted };
        let end = End { at, cause, waived_since: reclaimed.then_some(created), waived_until: None, notice: None };
        let block = span(life.created, life.ended, Settled::AtRelease { hours: life.hours.into() });
        return rating::charges(&block, day, calendar, None, Some(&end));
    }
    let settled = Settled::Hourly { trial: true };
    let first = span(life.created, life.stopped.min(life.ended), settled);
    let mut all = rating::charges(&first, day, calendar, grant.as_ref(), None);
    if life.started != NEVER {
        let again = span(life.started, life.ended, settled);
        all.extend(rating::charges(&again, day, calendar, grant.as_ref(), None));
    }
    all
}

fn second(of_day: u32) -> Second {
    Second::from_unix(MIDNIGHT + i64::from(of_day))
}

/// One account's records on their way to the file.
struct Bill<'a> {
    account: u32,
    payable: i128,
    check: &'a mut Check,
    file: &'a mut BufWriter<File>,
}

impl Bill<'_> {
    /// Hour by hour in the order of instances, as hours are closed.
    fn settle(&mut self, mut charges: Vec<Charge>, mut grant: Option<TrialGrant>) -> Result<()> {
        charges.sort_by_key(|charge| (charge.period.since.hour(), charge.resource));
        for hour in charges.chunk_by(|a, b| a.period.since.hour() == b.period.since.hour()) {
            let splits = deduct(hour, grant.as_ref());
            if let Some(grant) = &mut grant {
                grant.used += splits.iter().map(|split| split.grant).sum();
            }
            let mut from = 0;
            // The check has one record per instance and hour, also where a stop cut it in two.
            for one in hour.chunk_by(|a, b| a.resource == b.resource) {
                self.issue(one, &splits[from..from + one.len()])?;
                from += one.len();
            }
            self.check.postings += 1;
        }
        self.check.cents += (self.payable + CENT / 2).div_euclid(CENT);
        Ok(())
    }

    fn issue(&mut self, charges: &[Charge], splits: &[Split]) -> Result<()> {
        let split = splits.iter().fold(Split::default(), |sum, split| sum.plus(*split));
        // What one record comes to is far below where 64 bits end, and 128 divide slowly.
        let units = |exact: Exact| i64::try_from(exact.units()).map(|units| units / UNIT);
        let (waived, credit, payable) = (units(split.waived)?, units(split.grant)?, units(split.payable)?);
        let seconds: i64 = charges.iter().map(Charge::seconds).sum();
        let instance = charges[0].instance().expect("a record of an instance").uuid().as_u128() as u32;
        let hour = (charges[0].period.since.unix() - MIDNIGHT) / HOUR;
        let row = [seconds, credit + payable, waived, credit, payable];
        self.file.write_all(&instance.to_le_bytes())?;
        self.file.write_all(&self.account.to_le_bytes())?;
        self.file.write_all(&[hour as u8])?;
        for figure in row {
            self.file.write_all(&figure.to_le_bytes())?;
        }
        let check = &mut *self.check;
        check.records += 1;
        check.seconds += i128::from(seconds);
        check.charge += i128::from(credit + payable);
        check.waived += i128::from(waived);
        check.credit += i128::from(credit);
        check.payable += i128::from(payable);
        check.mix += i128::from((i64::from(instance) % 1009 * 24 + hour + 1) * (payable % 1_000_003));
        self.payable += i128::from(payable);
        Ok(())
    }
}

fn read_lives(csv: &[u8]) -> Result<Vec<Life>> {
    let mut lives = vec![];
    for [at, instance, kind, account, flavor, _, hours, region] in rows(csv) {
        let instance = instance as usize;
        if instance >= lives.len() {
            let none = Life {
                account: NEVER,
                created: NEVER,
                stopped: NEVER,
                started: NEVER,
                ended: NEVER,
                end: RELEASED,
                flavor: 0,
                region: 0,
                hours: 0,
            };
            lives.resize(instance + 1, none);
        }
        let (life, kind) = (&mut lives[instance], kind as u8);
        match kind {
            CREATED => {
                (life.account, life.created) = (account, at);
                (life.flavor, life.region, life.hours) = (flavor as u8, region as u8, hours as u8);
            }
            STOPPED => life.stopped = at,
            STARTED => life.started = at,
            _ => (life.ended, life.end) = (at, kind),
        }
    }
    if lives.iter().any(|life| life.account == NEVER) {
        bail!("an instance was never created");
    }
    Ok(lives)
}

fn read_grants(csv: &[u8]) -> Result<Vec<Option<TrialGrant>>> {
    let text = std::str::from_utf8(csv)?;
    let grants = text.lines().skip(1).map(|line| {
        let mut cells = line.split(',').skip(1);
        let trial = cells.next() == Some("1");
        let units: i128 = cells.next().and_then(|units| units.parse().ok()).context("an account without a balance")?;
        Ok(trial.then(|| TrialGrant {
            holder: Holder::Individual,
            claimed_at: Second::from_unix(0),
            valid_until: second(2 * day::SECONDS as u32),
            issued: Exact::from_units(units * i128::from(UNIT)),
            used: Exact::ZERO,
            revoked: Exact::ZERO,
            hourly_cap: Price::from_micros(833_000),
        }))
    });
    grants.collect()
}

/// The rows of a table of eight whole numbers, without its head.
fn rows(csv: &[u8]) -> impl Iterator<Item = [u32; 8]> {
    let lines = csv.split(|byte| *byte == b'\n').skip(1).filter(|line| !line.is_empty());
    lines.map(|line| {
        let (mut row, mut column) = ([0_u32; 8], 0);
        for byte in line {
            match byte {
                b',' => column += 1,
                digit => row[column] = row[column] * 10 + u32::from(digit - b'0'),
            }
        }
        row
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DuckDB and Polars come to this line as well.
    #[test]
    fn a_day_comes_to_what_others_found() {
        let dir = std::env::temp_dir().join(format!("ebb-day-{}", std::process::id()));
        day::write(&dir, 100_000, 10_000).unwrap();
        let found = rate(&dir).unwrap().to_string();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(found, super::super::KNOWN);
    }
}
