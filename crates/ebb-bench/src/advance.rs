//! How fast does a sandbox's time pass? 30 days with 100 instances, beside the rules alone and the bare rows.

use crate::bare;
use crate::cloud::{Half, Scratch};
use crate::line::Lines;
use crate::process::{self, Memory};
use crate::rows::{self, Unit};
use crate::table::{Line, Table, Times, median, millis, percent};
use anyhow::Result;
use ebb_engine::rating::charges;
use ebb_engine::settlement::{Purse, Totals, settle};
use ebb_engine::trial::deduct;
use ebb_model::billing::{BillRecord, Charge, Meter, Settled, Span};
use ebb_model::calendar::Calendar;
use ebb_model::id::{AccountId, EntryId, HostId, InstanceId, RecordId, SpanId};
use ebb_model::instance::{Instance, Purchase, State};
use ebb_model::money::Price;
use ebb_model::resources::Resources;
use ebb_model::time::{HOUR, Period, Second, Timestamp};
use ebb_store::Query;
use ebb_store::rows::{account, bill, host, instance};
use std::time::{Duration, Instant};

const DAYS: i64 = 30;
const RUNS: usize = 3;
/// What is bought: on demand, and blocks of 24 hours.
const MIXES: [[usize; 2]; 2] = [[50, 50], [100, 0]];

pub async fn run() -> Result<()> {
    let mut table = Table::new("advance: a sandbox, 30 days with 100 instances");
    ready(&mut table)?;
    for mix in MIXES {
        let mut runs = vec![];
        for _ in 0..RUNS {
            runs.push(sandbox(mix).await?);
        }
        runs.sort_by_key(|run| run.wall);
        let run = &runs[RUNS / 2];
        let (rated, records) = rules_alone(mix);
        let units = records_of(&rated);
        let bare = bare::memory(&units.0, &units.1, 1).await?;
        let what = format!("{} on demand, {} blocks: advance, ms", mix[0], mix[1]);
        let figure = Times::of(runs.iter().map(|run| run.wall).collect()).range();
        let cpu = format!("{:.2} s", median(runs.iter().map(|run| run.cpu.as_secs_f64()).collect()));
        table.line(Line {
            what: what.clone(),
            figure,
            goal: "<= 1000".to_owned(),
            rival: format!("{} bare insert of the same rows", millis(bare.wall)),
            ratio: percent(run.wall.as_secs_f64(), bare.wall.as_secs_f64()),
            cpu,
        });
        table.line(Line {
            what,
            figure: String::new(),
            goal: String::new(),
            rival: format!("{} the rules alone", millis(records)),
            ratio: format!("{:.0} x", run.wall.as_secs_f64() / records.as_secs_f64()),
            cpu: format!(
                "{} records, {} hours closed",
                rated.iter().map(|h| h.charges.len()).sum::<usize>(),
                rated.len()
            ),
        });
    }
    table.note("a record has 14 columns, 3 indexes and 3 references: inserting them bounds the whole, the rules are nothing beside it.");
    table.print();
    Ok(())
}

/// From the start of the process to its first line.
fn ready(table: &mut Table) -> Result<()> {
    let (mut times, mut memory) = (vec![], Memory::default());
    for _ in 0..9 {
        let dir = Scratch::new()?;
        let started = Instant::now();
        let (half, _) = Half::sandbox(&dir)?;
        times.push(started.elapsed());
        memory = Memory::of(half.0.id());
    }
    table.line(Line {
        what: "start to ready, ms".to_owned(),
        figure: Times::of(times).range(),
        goal: "<= 100".to_owned(),
        cpu: format!("{:.1} MiB resident", memory.resident as f64 / 1024.0),
        ..Line::default()
    });
    Ok(())
}

struct Run {
    wall: Duration,
    cpu: Duration,
}

async fn sandbox(mix: [usize; 2]) -> Result<Run> {
    let dir = Scratch::new()?;
    let (half, first) = Half::sandbox(&dir)?;
    let address = first["endpoint"].as_str().unwrap_or_default().trim_start_matches("http://").parse()?;
    let lines = Lines::new(address);
    let key = |name: &str| first["keys"][name].as_str().unwrap_or_default().to_owned();
    let keys = [key("individual"), key("enterprise")];
    let bodies = [
        crate::load::ON_DEMAND,
        r#"{"option":"spot-block","zone":"cn-beijing-a","flavor":"c6.large.2","hours":6,"periods":4}"#,
    ];
    for (count, body) in mix.into_iter().zip(bodies) {
        for n in 0..count {
            lines.post("/v1/instances", &keys[n % keys.len()], body).await?.json()?;
        }
    }
    let pid = half.0.id();
    let (started, before) = (Instant::now(), process::cpu(pid));
    let body = format!(r#"{{"seconds":{}}}"#, DAYS * 24 * HOUR);
    lines.post("/v1/clock/advance", &key("operator"), &body).await?.json()?;
    Ok(Run { wall: started.elapsed(), cpu: process::cpu(pid) - before })
}

/// What one account is charged when one hour closes.
struct Hour {
    account: AccountId,
    charges: Vec<Charge>,
}

/// Rates and settles the same use with nothing but the rules.
fn rules_alone(mix: [usize; 2]) -> (Vec<Hour>, Duration) {
    let calendar: Calendar = ebb_server::sample_catalog().time_zone;
    // The sandbox's first second.
    let start = Second::from_unix(1_767_225_600);
    let new = |_| AccountId::new(rows::id(start.start()));
    let accounts: Vec<AccountId> = (0..2).map(new).collect();
    let spans = spans(&accounts, mix, start);
    let mut hours = vec![];
    let started = Instant::now();
    for account in &accounts {
        let (mut totals, mut purse) = (Totals::default(), Purse::default());
        for hour in 0..DAYS * 24 {
            let window = Period { since: start.plus(hour * HOUR), until: start.plus((hour + 1) * HOUR) };
            let mine = spans.iter().filter(|span| span.account == *account);
            let charges: Vec<Charge> = mine.flat_map(|span| charges(span, window, &calendar, None, None)).collect();
            let splits = deduct(&charges, None);
            let settled = settle(*account, totals, purse, &charges, &splits);
            (totals, purse) = (settled.totals, settled.purse);
            hours.push(Hour { account: *account, charges });
        }
    }
    (hours, started.elapsed())
}

fn spans(accounts: &[AccountId], mix: [usize; 2], start: Second) -> Vec<Span> {
    let day = Some(start.plus(24 * HOUR));
    let mut spans = vec![];
    for n in 0..mix[0] + mix[1] {
        let until = if n < mix[0] { None } else { day };
        let instance = InstanceId::new(rows::id(start.start()));
        for (meter, price) in [(Meter::Compute, 80_000), (Meter::SystemDisk, 20_000)] {
            spans.push(Span {
                id: SpanId::new(rows::id(start.start())),
                account: accounts[n % accounts.len()],
                resource: instance.into(),
                meter,
                price: Price::from_micros(price).into(),
                follows: None,
                settled: Settled::Hourly { trial: false },
                since: start,
                until,
            });
        }
    }
    spans
}

/// The rows of those hours: what must be there, and a unit for each hour of each account.
fn records_of(hours: &[Hour]) -> (Unit, Vec<Unit>) {
    let at = Second::from_unix(1_767_225_600);
    let mut there = furniture(hours, at.start());
    let mut units: Vec<Unit> = vec![];
    for hour in hours {
        let splits = deduct(&hour.charges, None);
        let settled = settle(hour.account, Totals::default(), Purse::default(), &hour.charges, &splits);
        let mut unit: Vec<Query> = vec![];
        for (charge, split) in hour.charges.iter().zip(splits) {
            let id = RecordId::new(rows::id(charge.period.until.start()));
            let record = BillRecord { id, charge: charge.clone(), split, issued_at: charge.period.until };
            unit.extend(bill::insert_records([record]));
        }
        let id = EntryId::new(rows::id(at.start()));
        unit.extend(bill::insert_entry(id, hour.account, at, &format!("hour {id}"), &settled.entry));
        units.push(unit);
    }
    there.dedup();
    (there, units)
}

/// The accounts, instances and spans that the records refer to.
fn furniture(hours: &[Hour], at: Timestamp) -> Unit {
    let lender = host::Host {
        id: HostId::new(rows::id(at)),
        name: "here".to_owned(),
        zone: "cn-beijing-a".to_owned(),
        driver: "fake".to_owned(),
        state: "up".to_owned(),
        sequence: 0,
        seen_at: at,
        lending: Default::default(),
    };
    let mut there = vec![host::insert(&lender)];
    let mut known = std::collections::BTreeSet::new();
    for hour in hours {
        if known.insert(hour.account.uuid()) {
            there.push(account::insert(hour.account, "Tenant", at));
        }
        for charge in &hour.charges {
            if let Some(id) = charge.instance()
                && known.insert(id.uuid())
            {
                there.push(instance::insert(&running(id, charge, lender.id, at), None));
            }
            if known.insert(charge.span.uuid()) {
                there.push(bill::insert_span(&Span {
                    id: charge.span,
                    account: charge.account,
                    resource: charge.resource,
                    meter: charge.meter,
                    price: charge.price.into(),
                    follows: None,
                    settled: Settled::Hourly { trial: false },
                    since: charge.period.since,
                    until: None,
                }));
            }
        }
    }
    there
}

fn running(id: InstanceId, charge: &Charge, host: HostId, at: Timestamp) -> Instance {
    Instance {
        id,
        account: charge.account,
        name: "t6.small.1".to_owned(),
        zone: "cn-beijing-a".to_owned(),
        host,
        flavor: "t6.small.1".to_owned(),
        image: "ebb-guest".to_owned(),
        key_pair: None,
        resources: Resources::of([("vcpu", 1), ("memory_mib", 1024), ("disk_gib", 40)]),
        purchase: Purchase::OnDemand { price: charge.price },
        disk_price: charge.price,
        created_at: at,
        tags: Default::default(),
        keep: Default::default(),
        has_room: true,
        took_room: false,
        first_running: Some(at.second()),
        in_use_since: Some(at.second()),
        end_announced: false,
        disk_revision: 0,
        frozen_since: None,
        generation: 2,
        state: State::Running,
    }
}
