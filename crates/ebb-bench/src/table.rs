//! How are figures shown? A table per part: Ebb's figure, its goal, the rival's and the ratio, with what it cost and the load.

use crate::process;
use std::time::Duration;

pub struct Table {
    title: &'static str,
    rows: Vec<[String; 7]>,
    notes: Vec<String>,
}

/// One line; what does not apply stays empty.
#[derive(Default)]
pub struct Line {
    pub what: String,
    pub figure: String,
    pub goal: String,
    pub rival: String,
    /// Ebb's figure through the rival's.
    pub ratio: String,
    /// What Ebb's processes used.
    pub cpu: String,
}

impl Table {
    pub fn new(title: &'static str) -> Self {
        eprintln!("… {title}");
        Self { title, rows: vec![], notes: vec![] }
    }

    /// Adds a line, with the load average of this moment.
    pub fn line(&mut self, line: Line) {
        self.rows.push([line.what, line.figure, line.goal, line.rival, line.ratio, line.cpu, process::load()]);
    }

    /// Adds a sentence beneath the table, such as what bounds a figure.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub fn print(self) {
        let head = ["what", "Ebb", "goal", "beside it", "ratio", "CPU", "load"].map(str::to_owned);
        let all: Vec<&[String; 7]> = std::iter::once(&head).chain(&self.rows).collect();
        let width = |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        println!("== {}", self.title);
        for row in all {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        for note in &self.notes {
            println!("  {note}");
        }
        println!();
    }
}

/// Times of the same thing, many times.
#[derive(Default, Clone)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn of(mut all: Vec<Duration>) -> Self {
        all.sort();
        Self(all)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub fn at(&self, share: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }

    pub fn median(&self) -> Duration {
        self.at(0.5)
    }

    /// `p50 / p99 / max`
    pub fn spread(&self) -> String {
        format!("{} / {} / {}", millis(self.at(0.5)), millis(self.at(0.99)), millis(self.at(1.0)))
    }

    /// `median (least-most)`
    pub fn range(&self) -> String {
        format!("{} ({}-{})", millis(self.median()), millis(self.at(0.0)), millis(self.at(1.0)))
    }
}

/// The middle of some runs.
pub fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// `median (least-most)` of some runs.
pub fn range(all: &[f64]) -> String {
    let fold = |f: fn(f64, f64) -> f64| all.iter().copied().reduce(f).unwrap_or_default();
    format!("{:.0} ({:.0}-{:.0})", median(all.to_vec()), fold(f64::min), fold(f64::max))
}

pub fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1_000.0;
    if millis < 10.0 { format!("{millis:.1}") } else { format!("{millis:.0}") }
}

pub fn micros_each(cpu: Duration, count: usize) -> f64 {
    cpu.as_secs_f64() * 1e6 / count.max(1) as f64
}

pub fn percent(part: f64, whole: f64) -> String {
    format!("{:.0} %", part / whole * 100.0)
}
