//! How does a sandbox's time pass? As a discrete-event run: the earliest due step, at its own instant, then the next.

use crate::app::App;
use crate::denied::Denied;
use crate::host::{Fake, forgotten};
use crate::work::NextSteps;
use ebb_driver::protocol::{FromHost, ToHost};
use ebb_model::id::HostId;
use ebb_model::time::Timestamp;
use ebb_store::failpoint;
use std::collections::BTreeSet;

impl App {
    /// Carries out everything that is due up to `until`, each step at its own instant, and stops the clock there.
    ///
    /// Hosts first, so that what they saw before an instant counts; then instances; then alarms; then hours.
    pub async fn run_until(&self, until: Timestamp) -> Result<(), Denied> {
        loop {
            self.settle_hosts().await?;
            let seen = self.hosts.fakes.lock().await.iter().filter_map(Fake::next_due).min();
            let NextSteps { due, alarm, mut close } = self.next_steps().await?;
            if self.hosts.any_unplugged() {
                // An hour may have to wait, and must not stand before others.
                close = self.next_closable(until).await?;
            }
            let alarm_at = alarm.as_ref().map(|alarm| alarm.due_at);
            let instants = [seen, due.map(|(at, _)| at), alarm_at, close.map(|(at, _)| at.start())];
            let Some(at) = instants.into_iter().flatten().min().filter(|at| *at <= until) else { break };
            self.clock.advance_to(at);
            match (due, alarm, close) {
                _ if seen.is_some_and(|seen| seen <= at) => {}
                (Some((due, id)), ..) if due <= at => self.carry_out_due(id, due).await?,
                (_, Some(alarm), _) if alarm.due_at <= at => self.carry_out_alarm(&alarm).await?,
                (.., Some((close, account))) if close.start() <= at => self.close_hour(account, close).await?,
                _ => unreachable!("the earliest of four is one of them"),
            }
        }
        self.clock.advance_to(until);
        Ok(())
    }

    /// Exchanges messages with the fake hosts until neither side has anything to say at this instant.
    pub async fn settle_hosts(&self) -> Result<(), Denied> {
        let mut fakes = self.hosts.fakes.lock().await;
        loop {
            let ordered = std::mem::take(&mut *self.hosts.ordered.lock().expect("no panic while holding it"));
            match self.exchange(&mut fakes, &ordered).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => {
                    // They are told the next time.
                    self.hosts.ordered.lock().expect("no panic while holding it").extend(ordered);
                    return Err(error);
                }
            }
        }
    }

    /// Once with each host that has something due, or new orders; whether none had.
    async fn exchange(&self, fakes: &mut [Fake], ordered: &BTreeSet<HostId>) -> Result<bool, Denied> {
        let mut quiet = true;
        for at in 0..fakes.len() {
            let due = fakes[at].next_due().is_some_and(|at| at <= self.clock.now());
            let behind = fakes[at].greeted.is_none_or(|greeted| ordered.contains(&greeted.id));
            if fakes[at].host.unplugged_at.is_some() || (!due && !behind) {
                continue;
            }
            quiet = false;
            let (from, said) = self.instruct(&mut fakes[at]).await?;
            if said.is_empty() {
                continue;
            }
            // Like any host it writes down what it did before it says a word about it.
            self.write_down(fakes)?;
            for message in said {
                failpoint("effect.observe.before");
                if let Some(forget) = self.hear(from, message).await? {
                    failpoint("effect.forget.before");
                    fakes[at].host.hear(forget, self.clock.now());
                    failpoint("effect.forget.after");
                }
            }
        }
        Ok(quiet)
    }

    /// Lets a host do what is due and what it is told; gives back what it has to say about that.
    async fn instruct(&self, fake: &mut Fake) -> Result<(HostId, Vec<FromHost>), Denied> {
        let now = self.clock.now();
        let mut greeted = match fake.greeted {
            Some(greeted) => greeted,
            None => {
                let hello = fake.host.hello();
                let greeted = self.greet(hello.clone()).await?;
                fake.host.hear(ToHost::Welcome(greeted.position), now);
                for forget in forgotten(&hello) {
                    fake.host.hear(forget, now);
                }
                greeted
            }
        };
        let mut said: Vec<FromHost> = fake.host.step(now);
        while let Some(order) = self.orders(greeted.id, greeted.sent).await? {
            if let ToHost::Desire { sequence, .. } = order {
                greeted.sent = sequence;
            }
            failpoint("effect.order.before");
            said.extend(fake.host.hear(order, now));
            failpoint("effect.order.after");
        }
        fake.greeted = Some(greeted);
        Ok((greeted.id, said))
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
