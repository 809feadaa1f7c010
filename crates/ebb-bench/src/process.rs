//! What do processes use? Read from /proc.

use std::fs;
use std::time::Duration;

/// A clock tick of `/proc/PID/stat` is 10 ms on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// CPU time of a process so far.
pub fn cpu(pid: u32) -> Duration {
    let [own, _] = ticks(pid);
    TICK * own
}

/// The same with that of its children, the living and those that have ended.
pub fn cpu_with_children(pid: u32) -> Duration {
    let children = all().into_iter().filter(|other| parent(*other) == Some(pid));
    TICK * ticks(pid).into_iter().sum::<u32>() + children.map(cpu).sum::<Duration>()
}

/// Its own, and those of children that have ended.
fn ticks(pid: u32) -> [u32; 2] {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The program's name stands in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let sum = |fields: &[&str]| fields.iter().filter_map(|field| field.parse::<u32>().ok()).sum();
    [sum(fields.get(11..13).unwrap_or_default()), sum(fields.get(13..15).unwrap_or_default())]
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

fn all() -> Vec<u32> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    names.filter_map(|name| name.file_name().to_str()?.parse().ok()).collect()
}

/// The processes whose arguments hold this word.
pub fn with_argument(word: &str) -> Vec<u32> {
    let has = |pid: &u32| arguments(*pid).iter().any(|argument| argument == word);
    all().into_iter().filter(has).collect()
}

pub fn arguments(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    words.filter(|word| !word.is_empty()).collect()
}

pub fn is_there(pid: u32) -> bool {
    // A process that has ended and waits for its parent to look is gone as far as its memory is concerned.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
    state.is_some_and(|state| state != "Z" && state != "X")
}

/// Memory in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    pub resident: u64,
    /// The same with shared pages divided among those who share them.
    pub proportional: u64,
}

impl Memory {
    pub fn of(pid: u32) -> Self {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Self { resident: field("Rss:").unwrap_or(0), proportional: field("Pss:").unwrap_or(0) }
    }
}

/// The most memory that a process ever had resident, in KiB.
pub fn peak(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The load average of the last minute.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("?").to_owned()
}

/// One line about where this runs.
pub fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(1, |count| count.get());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{cores} x {}, Linux {}, load {}. Times in ms; CPU of Ebb's processes; the client runs on the same cores.",
        model.unwrap_or("unknown processor"),
        kernel.trim(),
        load()
    )
}
