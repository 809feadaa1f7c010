//! How does a sandbox's time pass? As a discrete-event run: the earliest due step, at its own instant, then the next.

use crate::app::App;
use crate::denied::Denied;
use crate::host::Fake;
use ebb_driver::protocol::{FromHost, ToHost};
use ebb_model::time::Timestamp;

impl App {
    /// Carries out everything that is due up to `until`, each step at its own instant, and stops the clock there.
    pub async fn run_until(&self, until: Timestamp) -> Result<(), Denied> {
        loop {
            self.settle_hosts().await?;
            let Some(at) = self.next_step().await?.filter(|at| *at <= until) else { break };
            self.clock.advance_to(at);
            self.step_at(at).await?;
        }
        self.clock.advance_to(until);
        Ok(())
    }

    /// Hosts first, so that what they saw before an instant counts; then instances; then hours.
    async fn step_at(&self, at: Timestamp) -> Result<(), Denied> {
        self.settle_hosts().await?;
        match self.next_due().await? {
            Some((due, id)) if due <= at => self.carry_out_due(id, due).await,
            _ => match self.next_close().await? {
                Some((close, account)) if close.start() <= at => self.close_hour(account, close).await,
                _ => Ok(()),
            },
        }
    }

    async fn next_step(&self) -> Result<Option<Timestamp>, Denied> {
        let fakes = self.hosts.fakes.lock().await.iter().filter_map(|fake| fake.host.next_due()).min();
        let due = self.next_due().await?.map(|(at, _)| at);
        let close = self.next_close().await?.map(|(at, _)| at.start());
        Ok(fakes.into_iter().chain(due).chain(close).min())
    }

    /// Exchanges messages with the fake hosts until neither side has anything to say at this instant.
    pub async fn settle_hosts(&self) -> Result<(), Denied> {
        let mut fakes = self.hosts.fakes.lock().await;
        let mut quiet = false;
        while !quiet {
            quiet = true;
            for fake in fakes.iter_mut() {
                quiet &= !self.exchange(fake).await?;
            }
        }
        Ok(())
    }

    /// Whether anything was said.
    async fn exchange(&self, fake: &mut Fake) -> Result<bool, Denied> {
        let now = self.clock.now();
        let mut greeted = match fake.greeted {
            Some(greeted) => greeted,
            None => {
                let greeted = self.greet(fake.host.hello()).await?;
                fake.host.hear(ToHost::Welcome(greeted.position), now);
                greeted
            }
        };
        let mut said: Vec<FromHost> = fake.host.step(now);
        while let Some(order) = self.orders(greeted.id, greeted.sent).await? {
            if let ToHost::Desire { sequence, .. } = order {
                greeted.sent = sequence;
            }
            said.extend(fake.host.hear(order, now));
        }
        fake.greeted = Some(greeted);
        let spoke = !said.is_empty();
        for message in said {
            if let Some(reply) = self.hear(greeted.id, message).await? {
                fake.host.hear(reply, now);
            }
        }
        Ok(spoke)
    }
}

/// A sandbox whose clock runs: does what has become due, a hundred times a second.
pub async fn keep_running(app: App) {
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(10));
    loop {
        tick.tick().await;
        let Some(turn) = &app.turn else { return };
        let _turn = turn.lock().await;
        if let Err(error) = app.run_until(app.clock.now()).await {
            tracing::warn!(%error, "due work failed; it is tried again");
            app.metrics.retried("sandbox");
        }
    }
}
