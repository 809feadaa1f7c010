//! A day of a cloud's events, drawn from a seed: the same on every machine, so that what it costs is one known line.

use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

pub const SECONDS: u64 = 86_400;
pub const FLAVORS: u64 = 10;
pub const REGIONS: u64 = 5;
/// A ten-thousandth of a second's price, as the day's files count money: 1/(3.6 × 10⁷) of the currency.
const UNITS: u64 = 36_000_000;
const SEED: u64 = 20_260_101;

/// What happened to an instance. What is bought is told with its creation only.
pub const CREATED: u8 = 0;
pub const STOPPED: u8 = 1;
pub const STARTED: u8 = 2;
pub const RELEASED: u8 = 3;
pub const EXPIRED: u8 = 4;
pub const RECLAIMED: u8 = 5;

/// Fast and good enough: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// One line of `events.csv`, in its columns' order.
type Event = [u64; 8];

/// Price per hour in ten-thousandths: on demand, a block of less than six hours, one of six.
pub fn prices(flavor: u64, region: u64) -> [u64; 3] {
    let on_demand = 3_500 * (flavor + 1) + 137 * region + 11 * flavor * region;
    [on_demand, on_demand / 5, on_demand * 34 / 100]
}

/// Writes `prices.csv`, `accounts.csv` and `events.csv`, sorted by second and instance.
pub fn write(dir: &Path, instances: u64, accounts: u64) -> Result<()> {
    fs::create_dir_all(dir)?;
    let mut dice = SplitMix(SEED);
    let mut file = csv(dir, "prices", "flavor,region,class,price_e4")?;
    for (flavor, region) in (0..FLAVORS).flat_map(|flavor| (0..REGIONS).map(move |region| (flavor, region))) {
        for (class, price) in prices(flavor, region).into_iter().enumerate() {
            writeln!(file, "{flavor},{region},{class},{price}")?;
        }
    }
    file.flush()?;
    let mut file = csv(dir, "accounts", "account_id,trial,balance_units")?;
    for account in 0..accounts {
        let trial = dice.below(10) < 3;
        let balance = match trial {
            false => 0,
            true if dice.one_in(2) => 300 * UNITS,
            true => dice.below(10 * UNITS),
        };
        writeln!(file, "{account},{},{balance}", u64::from(trial))?;
    }
    file.flush()?;
    let mut events = vec![];
    for instance in 0..instances {
        live(&mut dice, instance, accounts, &mut events);
    }
    events.sort_unstable_by_key(|event| (event[0], event[1], event[2]));
    let mut file = csv(dir, "events", "ts,instance_id,kind,account_id,flavor,market,duration_h,region")?;
    for event in &events {
        let [at, instance, kind, account, flavor, market, hours, region] = event;
        writeln!(file, "{at},{instance},{kind},{account},{flavor},{market},{hours},{region}")?;
    }
    file.flush().context("the day's events")
}

fn csv(dir: &Path, name: &str, head: &str) -> Result<BufWriter<File>> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(dir.join(format!("{name}.csv")))?);
    writeln!(file, "{head}")?;
    Ok(file)
}

/// One instance's day: bought, perhaps stopped and started once, and ended, if that comes before midnight.
fn live(dice: &mut SplitMix, instance: u64, accounts: u64, events: &mut Vec<Event>) {
    let (account, flavor, region) = (dice.below(accounts), dice.below(FLAVORS), dice.below(REGIONS));
    let block = dice.below(10) < 4;
    let created = dice.below(SECONDS);
    let (hours, end, kind) = match block {
        true => {
            let hours = 1 + dice.below(6);
            let (end, kind) = match dice.below(10) {
                0..=4 => (hours * 3_600, EXPIRED),
                5..=7 => (1 + dice.below(hours * 3_600 - 1), RELEASED),
                _ => (1 + dice.below(hours * 3_600 - 1), RECLAIMED),
            };
            (hours, created + end, kind)
        }
        false => {
            let long = 1 + dice.below(SECONDS);
            let lasts = if dice.one_in(8) { 1 + dice.below(1_800) } else { long };
            (0, created + lasts, RELEASED)
        }
    };
    let mut tell = |at: u64, kind: u8| events.push([at, instance, u64::from(kind), 0, 0, 0, 0, 0]);
    if dice.one_in(5) {
        let stopped = created + dice.below(end - created);
        let started = stopped + dice.below(end - stopped);
        if stopped > created && started > stopped && stopped < SECONDS {
            tell(stopped, STOPPED);
            if started < end && started < SECONDS {
                tell(started, STARTED);
            }
        }
    }
    if end <= SECONDS {
        tell(end, kind);
    }
    events.push([created, instance, u64::from(CREATED), account, flavor, u64::from(block), hours, region]);
}
