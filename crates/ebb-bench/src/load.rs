//! Who asks for what, and when? By a clock that waits for nobody, or as fast as answers come.

use crate::cloud::{Cloud, Scratch, Tenant};
use crate::table::Times;
use anyhow::{Result, bail};
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

pub const ON_DEMAND: &str = r#"{"option":"on-demand","zone":"cn-beijing-a","flavor":"t6.small.1"}"#;
const SPOT: &str = r#"{"option":"spot-block","zone":"cn-beijing-a","flavor":"c6.large.2","hours":2,"periods":1}"#;

/// What came of it.
#[derive(Default)]
pub struct Answers {
    pub creates: Times,
    pub lists: Times,
    pub errors: Vec<String>,
}

impl Answers {
    pub fn count(&self) -> usize {
        self.creates.count() + self.lists.count() + self.errors.len()
    }
}

/// Asks `rate` times a second: half lists, a quarter firm purchases, a quarter blocks. A time counts from the instant at which
/// the request was meant to leave, so that a server that stalls is not spared the requests that it kept waiting.
pub async fn open_loop(cloud: &Arc<Cloud>, tenants: &[Tenant], rate: u32, length: Duration) -> Result<Answers> {
    let count = length.as_secs() as u32 * rate;
    let ask = |n: u32| {
        let body = match n % 4 {
            0 => Some(ON_DEMAND),
            2 => Some(SPOT),
            _ => None,
        };
        let key = tenants[(n / 4) as usize % tenants.len()].key.clone();
        Ask { path: "/v1/instances".to_owned(), key, body: body.map(str::to_owned) }
    };
    ask_while(cloud, rate, |n| n < count, ask).await
}

/// What somebody wants.
pub struct Ask {
    pub path: String,
    pub key: String,
    /// Of a change; else it is a look.
    pub body: Option<String>,
}

/// Asks `rate` times a second as long as `goes_on` says so of the next; what is asked counts from 0.
pub async fn ask_while(
    cloud: &Arc<Cloud>,
    rate: u32,
    goes_on: impl Fn(u32) -> bool,
    ask: impl Fn(u32) -> Ask,
) -> Result<Answers> {
    let started = Instant::now();
    let mut asked = vec![];
    for n in (0..).take_while(|n| goes_on(*n)) {
        let meant = started + Duration::from_secs(1) * n / rate;
        tokio::time::sleep_until(meant.into()).await;
        let (cloud, Ask { path, key, body }) = (cloud.clone(), ask(n));
        asked.push(tokio::spawn(async move {
            let answer = match &body {
                Some(body) => cloud.lines.post(&path, &key, body).await,
                None => cloud.lines.get(&path, &key).await,
            };
            (body.is_some(), meant.elapsed(), answer)
        }));
    }
    let (mut creates, mut lists, mut errors) = (vec![], vec![], vec![]);
    for task in asked {
        let (create, took, answer) = task.await?;
        match answer {
            Ok(answer) if answer.is_success() => if create { &mut creates } else { &mut lists }.push(took),
            Ok(answer) => errors.push(answer.body),
            Err(error) => errors.push(error.to_string()),
        }
    }
    Ok(Answers { creates: Times::of(creates), lists: Times::of(lists), errors })
}

/// Buys firm instances over `connections` connections, each as soon as its last is answered, until `enough` says so.
pub async fn closed_loop(
    cloud: &Arc<Cloud>,
    tenants: &[Tenant],
    connections: usize,
    enough: impl Fn(usize, Duration) -> bool + Clone + Send + 'static,
) -> Result<Times> {
    let (started, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let buyer = || {
        let (cloud, tenants, next, enough) = (cloud.clone(), tenants.to_vec(), next.clone(), enough.clone());
        tokio::spawn(async move {
            let mut times = vec![];
            loop {
                let n = next.fetch_add(1, Relaxed);
                if enough(n, started.elapsed()) {
                    return Ok(times);
                }
                let asked = Instant::now();
                let answer = cloud.lines.post("/v1/instances", &tenants[n % tenants.len()].key, ON_DEMAND).await?;
                if !answer.is_success() {
                    bail!("a purchase was refused: {}", answer.body);
                }
                times.push(asked.elapsed());
            }
        })
    };
    let buyers: Vec<_> = (0..connections).map(|_| buyer()).collect();
    let mut times = vec![];
    for buyer in buyers {
        times.extend(buyer.await??);
    }
    Ok(Times::of(times))
}

/// Waits until everything bought so far runs: orders reach the host in turn, so a last purchase runs last.
pub async fn settled(cloud: &Cloud, tenant: &Tenant) -> Result<Duration> {
    let started = Instant::now();
    let bought = cloud.lines.post("/v1/instances", &tenant.key, ON_DEMAND).await?.json()?;
    cloud.until(tenant, bought["id"].as_str().unwrap_or_default(), "running").await?;
    Ok(started.elapsed())
}

/// What a sync alone takes in the same seconds: 4 KiB appended and made durable, 100 times a second by a clock.
pub fn syncs(length: Duration) -> JoinHandle<Result<Times>> {
    tokio::task::spawn_blocking(move || {
        let dir = Scratch::new()?;
        let mut file = File::create(dir.path().join("probe"))?;
        let (started, mut times) = (Instant::now(), vec![]);
        for n in 0..length.as_secs() as u32 * 100 {
            let meant = started + Duration::from_millis(10) * n;
            std::thread::sleep(meant.saturating_duration_since(Instant::now()));
            file.write_all(&[0; 4096])?;
            file.sync_data()?;
            times.push(meant.elapsed());
        }
        Ok(Times::of(times))
    })
}
