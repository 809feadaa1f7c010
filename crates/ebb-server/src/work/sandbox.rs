//! How does a sandbox's time pass? As a discrete-event run: the earliest due step, at its own instant, then the next.

use crate::app::App;
use crate::denied::Denied;
use crate::host::{Fake, Greeted};
use ebb_driver::protocol::{FromHost, ToHost};
use ebb_model::id::HostId;
use ebb_model::time::Timestamp;
use ebb_store::rows::host;
use std::collections::BTreeMap;

impl App {
    /// Carries out everything that is due up to `until`, each step at its own instant, and stops the clock there.
    ///
    /// Hosts first, so that what they saw before an instant counts; then instances; then hours.
    pub async fn run_until(&self, until: Timestamp) -> Result<(), Denied> {
        loop {
            self.settle_hosts().await?;
            let seen = self.hosts.fakes.lock().await.iter().filter_map(|fake| fake.host.next_due()).min();
            let (due, close) = self.next_steps().await?;
            let instants = [seen, due.map(|(at, _)| at), close.map(|(at, _)| at.start())];
            let Some(at) = instants.into_iter().flatten().min().filter(|at| *at <= until) else { break };
            self.clock.advance_to(at);
            match (due, close) {
                _ if seen.is_some_and(|seen| seen <= at) => {}
                (Some((due, id)), _) if due <= at => self.carry_out_due(id, due).await?,
                (_, Some((close, account))) if close.start() <= at => self.close_hour(account, close).await?,
                _ => unreachable!("the earliest of three is one of them"),
            }
        }
        self.clock.advance_to(until);
        Ok(())
    }

    /// Exchanges messages with the fake hosts until neither side has anything to say at this instant.
    pub async fn settle_hosts(&self) -> Result<(), Denied> {
        let mut fakes = self.hosts.fakes.lock().await;
        loop {
            let ordered = self.store.rows(host::all()).await?;
            let ordered: BTreeMap<HostId, i64> =
                ordered.iter().map(host::read).map(|host| (host.id, host.sequence)).collect();
            let mut quiet = true;
            for fake in fakes.iter_mut() {
                let behind = |greeted: Greeted| ordered.get(&greeted.id).is_none_or(|newest| *newest > greeted.sent);
                let due = fake.host.next_due().is_some_and(|at| at <= self.clock.now());
                if due || fake.greeted.is_none_or(behind) {
                    self.exchange(fake).await?;
                    if let Some(greeted) = &mut fake.greeted {
                        greeted.sent = greeted.sent.max(ordered.get(&greeted.id).copied().unwrap_or(0));
                    }
                    quiet = false;
                }
            }
            if quiet {
                return Ok(());
            }
        }
    }

    async fn exchange(&self, fake: &mut Fake) -> Result<(), Denied> {
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
        for message in said {
            if let Some(reply) = self.hear(greeted.id, message).await? {
                fake.host.hear(reply, now);
            }
        }
        Ok(())
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
