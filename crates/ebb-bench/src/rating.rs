//! How fast does the engine rate a day, beside a database and a table library on the same files?

mod day;
mod engine;

use crate::cloud::Scratch;
use crate::table::{Line, Table, median};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What 100,000 instances of 10,000 accounts come to.
const KNOWN: &str = "CHECK n=575267 secs=1756266823 charge=29469355506139 waived=204785592993 credit=1066821218735 \
                     payable=28402534287404 fen=78895928 postings=207649 mix=3376515808367527";
const ROUNDS: usize = 5;
/// As which this program rates a day, in a process of its own.
pub const WORD: &str = "rate-day";

/// What one program needed for a day.
struct Run {
    check: String,
    records: f64,
    cpu_seconds: f64,
    peak_mib: f64,
}

pub fn run() -> Result<()> {
    let mut table = Table::new("rating a day: records per CPU second, all of one process from files to files");
    let dir = Scratch::new()?;
    let python = rivals()?;
    for (instances, accounts) in [(100_000, 10_000), (1_000_000, 100_000)] {
        let at = dir.path().join(instances.to_string());
        day::write(&at, instances, accounts)?;
        measure(&python, &["prepare"], &at)?;
        let mut runs: [Vec<Run>; 3] = Default::default();
        for _ in 0..ROUNDS {
            runs[0].push(own(&at)?);
            runs[1].push(measure(&python, &["duckdb"], &at)?);
            runs[2].push(measure(&python, &["polars"], &at)?);
        }
        let check = &runs[0][0].check;
        if let Some(other) = runs.iter().flatten().find(|run| run.check != *check) {
            bail!("not all come to the same: {check}, and {}", other.check);
        }
        if instances == 100_000 && check != KNOWN {
            bail!("the day comes to {check}, and it is known to come to {KNOWN}");
        }
        let of = |runs: &[Run], figure: fn(&Run) -> f64| median(runs.iter().map(figure).collect());
        let rate = |runs: &[Run]| of(runs, |run| run.records / run.cpu_seconds / 1e6);
        for (name, rival) in [("DuckDB", &runs[1]), ("Polars", &runs[2])] {
            let (mine, theirs) = (rate(&runs[0]), rate(rival));
            table.line(Line {
                what: format!("{instances} instances, {:.0} records, beside {name}", runs[0][0].records),
                figure: format!("{mine:.1} M/s, {:.0} MiB", of(&runs[0], |run| run.peak_mib)),
                goal: if instances == 1_000_000 { ">= 10 M/s, <= 150 MiB".to_owned() } else { String::new() },
                rival: format!("{theirs:.1} M/s, {:.0} MiB", of(rival, |run| run.peak_mib)),
                ratio: format!("{:.1} x", mine / theirs),
                cpu: format!("{:.2} s, {:.2} s", of(&runs[0], |r| r.cpu_seconds), of(rival, |r| r.cpu_seconds)),
            });
        }
        println!("{check}");
    }
    table.note(format!("medians of {ROUNDS} runs in turn; CPU: Ebb's, the rival's. Ebb reads CSV with one thread and writes its records to a file;"));
    table.note("the rivals read the same rows as Parquet, in memory of their own, with two threads. All print the same check line.");
    table.print();
    Ok(())
}

/// Rates the day in `dir` and prints the check line with what that took.
pub fn rate_day(dir: &str) -> Result<()> {
    let check = engine::rate(Path::new(dir))?;
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the kernel tells the peak")?;
    let kib: f64 = peak.trim().trim_end_matches(" kB").parse()?;
    println!("{check}");
    println!("{} {}.{:09} {:.1}", check.records, used.tv_sec, used.tv_nsec, kib / 1024.0);
    Ok(())
}

fn own(dir: &Path) -> Result<Run> {
    measured(Command::new(std::env::current_exe()?).arg(WORD).arg(dir))
}

fn measure(python: &Path, args: &[&str], dir: &Path) -> Result<Run> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/rivals/rating_day.py");
    measured(Command::new(python).arg(script).args(args).arg(dir))
}

fn measured(command: &mut Command) -> Result<Run> {
    let output = command.output()?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let said = String::from_utf8(output.stdout)?;
    let mut lines = said.lines();
    let check = lines.next().unwrap_or_default().to_owned();
    let figures: Vec<f64> = lines.next().unwrap_or_default().split(' ').flat_map(str::parse).collect();
    let [records, cpu_seconds, peak_mib] = figures[..] else { bail!("{command:?} printed no figures: {said}") };
    Ok(Run { check, records, cpu_seconds, peak_mib })
}

/// A Python with both rivals, kept beside what else was fetched.
fn rivals() -> Result<PathBuf> {
    let home = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.cache/rivals"));
    let python = home.join("bin/python");
    let ready = Command::new(&python).args(["-c", "import duckdb, polars"]).output();
    if !ready.is_ok_and(|output| output.status.success()) {
        eprintln!("… fetching DuckDB and Polars");
        let made = Command::new("python3").args(["-m", "venv"]).arg(&home).status()?;
        let install = ["-m", "pip", "install", "--quiet", "duckdb==2.0.0", "polars==2.1.0"];
        if !made.success() || !Command::new(&python).args(install).status()?.success() {
            bail!("DuckDB and Polars could not be installed with pip into {}", home.display());
        }
    }
    Ok(python)
}
