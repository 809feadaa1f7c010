//! What is still there after the host was away? Guests that run are taken up again, the others are off, and what belongs to
//! nobody is swept.

use super::{Host, last_sign_of_life};
use crate::error::HostError;
use crate::network::plan::Port;
use crate::qemu::console::Console;
use crate::qemu::machine::Machine;
use crate::qemu::monitor;
use crate::qemu::process::{self, Process};
use ebb_driver::agent::{Action, Guest, Seen};
use ebb_driver::protocol::Is;
use ebb_driver::wall;
use ebb_model::id::InstanceId;
use ebb_model::time::Timestamp;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;
use tokio::task::{JoinSet, spawn_blocking};
use tracing::{error, info, warn};

/// A QEMU that is alive answers within milliseconds, unless the machine is very busy; one that does not is adopted all the same,
/// on the kernel's word.
const UUID_PATIENCE: Duration = Duration::from_millis(400);

/// A dead process that hangs in the kernel must not keep the other guests from their deadlines.
const DEATH_PATIENCE: Duration = Duration::from_secs(2);

/// A QEMU that works for a guest.
struct Found {
    process: Process,
    answers: Answers,
}

/// A QEMU answers from when its guest runs.
enum Answers {
    Yes,
    No,
}

impl Host {
    pub(super) async fn adopt(&mut self, places: &[(InstanceId, Port)]) -> Result<(), HostError> {
        let places: BTreeMap<InstanceId, Port> = places.iter().copied().collect();
        let running = process::running(&self.shop.files.root().join("guests"));
        let mut running =
            self.identify(running.map_err(HostError::data("the processes cannot be listed"))?, &places).await;
        let known: Vec<Guest> = self.agent.guests().filter(|guest| !is_over(guest)).cloned().collect();
        let (mut actions, mut dying) = (vec![], vec![]);
        for guest in &known {
            let id = guest.desired.id;
            let console = Console::new(self.shop.files.guest(id));
            let mut machine = Machine::new(id, self.shop.clone(), console.clone());
            let port = places.get(&id).copied();
            let process = running.remove(&id);
            let now = self.clock.now();
            match (&guest.observed.is, process, port) {
                // Its start was cut short: it is begun anew.
                (Is::Starting, Some(Found { process, answers: Answers::No }), _) => {
                    process.kill();
                    dying.push(process);
                }
                (Is::Starting, None, _) => {}
                (_, Some(Found { process, .. }), Some(port)) => {
                    machine = machine.adopted(port, process);
                    actions.extend(self.agent.see(id, Seen::Running, now));
                }
                (_, _, _) => {
                    let at = self.last_seen(guest, now);
                    actions.extend(self.agent.see(id, Seen::Off, at));
                }
            }
            self.tell_network(id);
            self.employ(id, machine, console, port);
            if let Some(port) = port {
                self.place(id, port);
            }
        }
        for (id, Found { process, .. }) in running {
            error!(
                "guest {id} runs as process {} and is in no record: it is left alone and unwatched; restore its record, or end \
                 that process",
                process.pid()
            );
        }
        // Its tap and its disk are taken until it is dead.
        let all_dead = futures_util::future::join_all(dying.iter().map(Process::ended));
        if tokio::time::timeout(DEATH_PATIENCE, all_dead).await.is_err() {
            warn!("a QEMU whose start was cut short does not die; its guest may not start");
        }
        self.sweep(&known, &places).await?;
        actions.extend(self.agent.resume(self.clock.now()));
        actions.retain(|action| !matches!(action, Action::Say(_)));
        self.carry_out(actions);
        Ok(())
    }

    /// Opens the processes and asks each for the UUID it was started with.
    async fn identify(
        &self,
        pids: BTreeMap<InstanceId, u32>,
        places: &BTreeMap<InstanceId, Port>,
    ) -> BTreeMap<InstanceId, Found> {
        let mut asking = JoinSet::new();
        for (id, pid) in pids {
            let Ok(process) = Process::open(pid) else { continue };
            let dir = self.shop.files.guest(id).join("q");
            let uid = places.get(&id).map(|port| port.uid(&self.shop.config));
            asking.spawn(async move {
                let found = |answers| Some((id, Found { process, answers }));
                let Some(uid) = uid else { return found(Answers::No) };
                match monitor::ask(&dir, uid, "query-uuid", UUID_PATIENCE).await {
                    Ok(answer) if answer["UUID"] == id.uuid().to_string() => {
                        match monitor::ask(&dir, uid, "query-status", UUID_PATIENCE).await {
                            // It waits for its disks, which nobody gives it any more.
                            Ok(status) if status["status"] == "prelaunch" => found(Answers::No),
                            _ => found(Answers::Yes),
                        }
                    }
                    Ok(answer) => {
                        error!("process {pid} works for guest {id} and says that it is {answer}: it is left alone");
                        None
                    }
                    Err(e) => {
                        warn!("QEMU of guest {id} does not answer: {e}");
                        found(Answers::No)
                    }
                }
            });
        }
        asking.join_all().await.into_iter().flatten().collect()
    }

    /// When a guest that is found dead was last alive, as far as anybody knows.
    fn last_seen(&self, guest: &Guest, now: Timestamp) -> Timestamp {
        let id = guest.desired.id;
        let sign =
            last_sign_of_life(&self.shop.files.guest(id), self.shop.store.written_at(id)).map_or(now, wall::of_file);
        match guest.observed.is {
            Is::Running { since } => sign.clamp(since.min(now), now),
            _ => now,
        }
    }

    /// Takes away what belongs to no guest.
    async fn sweep(&self, known: &[Guest], places: &BTreeMap<InstanceId, Port>) -> Result<(), HostError> {
        let is_known = |id: &InstanceId| known.iter().any(|guest| guest.desired.id == *id);
        let alive = process::running(&self.shop.files.root().join("guests")).unwrap_or_default();
        let stray = |id: &InstanceId| !is_known(id) && !alive.contains_key(id);
        for id in places.keys().filter(|id| stray(id)) {
            self.shop.network.detach(*id).await;
        }
        for id in self.shop.files.guests()?.iter().filter(|id| stray(id)) {
            info!("what is left of guest {id} is swept");
            self.shop.files.discard(*id).map_err(HostError::data("a dead guest's files cannot be put aside"))?;
            self.shop.limits.release(*id);
        }
        self.shop.store.remove_others(|id| is_known(&id) || alive.contains_key(&id));
        let trash = self.shop.files.trash();
        drop(spawn_blocking(move || {
            for entry in fs::read_dir(trash).into_iter().flatten().flatten() {
                let path = entry.path();
                if let Err(e) = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) } {
                    warn!("{} cannot be deleted: {e}", entry.path().display());
                }
            }
        }));
        Ok(())
    }
}

fn is_over(guest: &Guest) -> bool {
    matches!(guest.observed.is, Is::Gone { .. } | Is::Failed { .. })
}
