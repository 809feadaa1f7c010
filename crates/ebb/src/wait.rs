//! How does a command wait for an instance? It looks again and again, and says on a terminal what it sees.

use crate::failure::Failure;
use crate::session::Session;
use ebb_wire::instance::Instance;
use ebb_wire::sandbox::Clock;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often a clock that stands still is looked at before the wait is given up.
const PATIENCE_WITH_A_STANDING_CLOCK: u32 = 20;
const SPINNER: [char; 4] = ['|', '/', '-', '\\'];

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Until {
    Running,
    Stopped,
    Released,
}

impl Until {
    fn state(self) -> &'static str {
        match self {
            Until::Running => "running",
            Until::Stopped => "stopped",
            Until::Released => "released",
        }
    }
}

/// Waits until the instance is as wanted, and gives it back.
///
/// # Errors
/// It was released instead, could not be started, or the clock of a sandbox stands still, so that nothing can happen.
pub async fn wait(session: &Session, instance: Instance, until: Until) -> Result<Instance, Failure> {
    let path = format!("/v1/instances/{}", instance.id);
    let mut line = Line::start();
    let (mut now, mut looks) = (instance, 0);
    while now.state != until.state() {
        if now.state == "released" {
            let cause = now.end_cause.as_deref().unwrap_or("an unknown cause");
            let why = format!("{} was released ({cause}) before it was {}", now.id, until.state());
            return Err(Failure::Outcome(format!("{why}; `ebb instances show {}` has the details", now.id)));
        }
        if until == Until::Running && now.state == "stopped" {
            let why = format!("{} is stopped again: it could not be started", now.id);
            return Err(Failure::Outcome(format!(
                "{why}; try again later, `ebb instances show {}` has the details",
                now.id
            )));
        }
        line.show(&format!("{} is {}", called(&now), now.state));
        tokio::time::sleep(LOOK_EVERY).await;
        now = session.client.get(&path, &[]).await?;
        looks += 1;
        if looks == PATIENCE_WITH_A_STANDING_CLOCK && clock_stands(session).await {
            let state = &now.state;
            let id = &now.id;
            return Err(Failure::Outcome(format!(
                "{id} stays {state}, because the sandbox's clock stands still; `ebb clock advance 60` moves it"
            )));
        }
    }
    Ok(now)
}

async fn clock_stands(session: &Session) -> bool {
    session.client.get::<Clock>("/v1/clock", &[]).await.is_ok_and(|clock| clock.speed == 0)
}

fn called(instance: &Instance) -> &str {
    if instance.name.is_empty() { &instance.id } else { &instance.name }
}

/// A line on standard error that is written over; silent where that is no terminal.
pub struct Line {
    since: Instant,
    turns: usize,
    visible: bool,
}

impl Line {
    pub fn start() -> Self {
        Self { since: Instant::now(), turns: 0, visible: std::io::stderr().is_terminal() }
    }

    pub fn show(&mut self, text: &str) {
        if !self.visible {
            return;
        }
        let spin = SPINNER[self.turns % SPINNER.len()];
        self.turns += 1;
        let text: String = text.chars().filter(|c| !c.is_control()).take(100).collect();
        eprint!("\r\x1b[K{spin} {text} ({} s)", self.since.elapsed().as_secs());
        // Progress that cannot be shown is no reason to stop.
        let _ = std::io::stderr().flush();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.visible {
            eprint!("\r\x1b[K");
        }
    }
}
