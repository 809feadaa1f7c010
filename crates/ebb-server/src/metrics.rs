//! What is counted, and how is it shown to Prometheus?

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};
use prometheus_client::registry::Registry;
use std::time::Duration;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answer {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Worker {
    worker: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Attempt {
    kind: &'static str,
    outcome: &'static str,
}

pub struct Metrics {
    registry: Registry,
    answers: Family<Answer, Counter>,
    seconds: Histogram,
    panics: Counter,
    retries: Family<Worker, Counter>,
    pub hosts_connected: Gauge,
    /// How far ahead a wall clock is that is not believed.
    pub clock_leap_seconds: Gauge,
    /// Seconds by which a due instant was carried out late.
    lateness: Histogram,
    /// Seconds from the decision of an interruption to the guest's metadata showing it.
    notice: Histogram,
    /// Seconds from a notice's instant to its commit being known.
    committed: Histogram,
    /// Seconds from a notice's instant to the guest having read it.
    read: Histogram,
    /// Seconds from a deadline to the room being free.
    release: Histogram,
    deliveries: Family<Attempt, Counter>,
    /// Seconds from an interruption to a subscriber having accepted the word of it.
    told: Histogram,
}

impl Metrics {
    pub fn new() -> Self {
        let fine = || Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0]);
        let mut metrics = Self {
            registry: Registry::with_prefix("ebb"),
            answers: Family::default(),
            seconds: fine(),
            panics: Counter::default(),
            retries: Family::default(),
            hosts_connected: Gauge::default(),
            clock_leap_seconds: Gauge::default(),
            lateness: fine(),
            notice: fine(),
            committed: fine(),
            read: fine(),
            release: fine(),
            deliveries: Family::default(),
            told: Histogram::new([0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3_600.0]),
        };
        let registry = &mut metrics.registry;
        registry.register("answers", "Answers by route and status", metrics.answers.clone());
        registry.register("answer_seconds", "Time to answer a request", metrics.seconds.clone());
        registry.register("panics", "Panics in requests, workers and units of work", metrics.panics.clone());
        registry.register("worker_retries", "Work that failed and is tried again", metrics.retries.clone());
        registry.register("hosts_connected", "Hosts with a live connection", metrics.hosts_connected.clone());
        let leap = "By which a wall clock is ahead that has leapt and is not believed; then nothing due is carried out";
        registry.register("clock_leap_seconds", leap, metrics.clock_leap_seconds.clone());
        registry.register("due_lateness_seconds", "Delay of due instants", metrics.lateness.clone());
        registry.register("notice_seconds", "From decision to readable notice", metrics.notice.clone());
        registry.register("notice_commit_seconds", "From notice to commit", metrics.committed.clone());
        registry.register("notice_read_seconds", "From notice to the guest reading it", metrics.read.clone());
        registry.register("release_seconds", "From deadline to free room", metrics.release.clone());
        registry.register("deliveries", "Attempts to tell subscribers", metrics.deliveries.clone());
        let told = "From an interruption to a subscriber having accepted it";
        registry.register("interruption_told_seconds", told, metrics.told.clone());
        metrics
    }

    pub fn answered(&self, method: String, route: String, status: u16, took: Duration) {
        self.answers.get_or_create(&Answer { method, route, status }).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    pub fn panicked(&self) {
        self.panics.inc();
    }

    pub fn retried(&self, worker: &'static str) {
        self.retries.get_or_create(&Worker { worker }).inc();
    }

    pub fn late(&self, millis: i64) {
        self.lateness.observe(seconds(millis));
    }

    pub fn notice_readable(&self, millis: i64) {
        self.notice.observe(seconds(millis));
    }

    pub fn notice_committed(&self, millis: i64) {
        self.committed.observe(seconds(millis));
    }

    pub fn notice_read(&self, millis: i64) {
        self.read.observe(seconds(millis));
    }

    pub fn released(&self, millis: i64) {
        self.release.observe(seconds(millis));
    }

    pub fn delivered(&self, kind: &'static str, outcome: &'static str) {
        self.deliveries.get_or_create(&Attempt { kind, outcome }).inc();
    }

    pub fn interruption_told(&self, millis: i64) {
        self.told.observe(seconds(millis));
    }

    /// In the text form, with what the store counts.
    pub fn render(&self, store: ebb_store::Counters) -> String {
        let mut out = String::new();
        text::encode(&mut out, &self.registry).expect("writing to memory");
        let end = out.rfind("# EOF").unwrap_or(out.len());
        out.truncate(end);
        for (name, help, value) in [
            ("store_units", "Units of work carried out", store.units),
            ("store_commits", "Commits; many units share one", store.commits),
            ("store_lost_guards", "Units decided anew because somebody was first", store.lost_guards),
            ("store_panics", "Panics in units of work", store.panics),
        ] {
            out.push_str(&format!("# HELP ebb_{name} {help}.\n# TYPE ebb_{name} counter\nebb_{name}_total {value}\n"));
        }
        out.push_str("# EOF\n");
        out
    }
}

fn seconds(millis: i64) -> f64 {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0)).as_secs_f64()
}
