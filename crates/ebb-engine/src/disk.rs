//! What happens to a data disk or a snapshot next? `step(volume, input, now)` gives the next one and what is to be done (rules §1.6, §2.8).
//!
//! It is charged from the second in which its host first has it to that in which its deletion is accepted, attached or not; while its host
//! is away it is not. What is bought with an instance is charged once that has run.

use crate::event::Event;
use crate::refusal::Refused;
use ebb_model::catalog::Catalog;
use ebb_model::disk::{Volume, VolumeState};
use ebb_model::id::InstanceId;
use ebb_model::instance::{Cause, Instance, State};
use ebb_model::money::Amount;
use ebb_model::time::{Second, Timestamp};
use ebb_model::volume::VolumeId;

/// What may happen to a volume.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Its host has it.
    There {
        at: Second,
    },
    Gone {
        at: Timestamp,
    },
    /// It could not be made.
    Failed {
        at: Timestamp,
        reason: String,
    },
    /// The instance that it was bought with runs for the first time.
    Begun {
        at: Second,
    },
    Attach {
        to: InstanceId,
    },
    /// `generation`: the guest runs, and is told with that of its orders; `None`: it is off, and holds nothing.
    Detach {
        generation: Option<i64>,
    },
    /// The process of a guest was seen under an order of this generation, and does not hold it.
    LetGo {
        generation: i64,
    },
    /// Charge of its instance ended; it stays, or goes with it as soon as the guest is gone.
    InstanceEnded {
        keep: bool,
        at: Second,
    },
    /// The guest is gone.
    InstanceGone,
    /// It is so large from now on.
    Resize {
        gib: i64,
    },
    /// `copied_to`: what is being made of it.
    Delete {
        copied_to: Option<VolumeId>,
    },
    /// Its host was last heard then, and is away.
    HostAway {
        heard_at: Second,
    },
    /// And is back with it.
    HostBack,
}

/// What is to be done, in the same transaction as the new state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The host must learn the new order.
    Order,
    /// And that about the guest of this instance.
    OrderGuest(InstanceId),
    /// Charge begins, or goes on.
    Open {
        since: Second,
    },
    Close {
        until: Second,
    },
    /// It takes so many GiB more of its host.
    TakeRoom {
        gib: i64,
    },
    /// All that it took is free.
    FreeRoom,
}

/// The next state, with what is to be done and what is written into the log. `None` as state: nothing changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub next: Option<Volume>,
    pub effects: Vec<Effect>,
    /// With the instance that it is about, too.
    pub log: Vec<(Event, Option<InstanceId>)>,
}

/// Decides what `input` does to a volume at `now`. Repeats are harmless.
///
/// # Errors
/// [`Refused`] for what a person asks; what hosts and instances do always has an answer.
pub fn step(volume: &Volume, input: &Input, now: Timestamp) -> Result<Step, Refused> {
    use VolumeState::{Attached, Available, Creating, Deleted, Deleting, Detaching, Failed};
    let id = volume.id;
    let gone = || Refused::VolumeGone { noun: volume.noun() };
    let away = || match volume.unavailable_since {
        Some(since) => Err(Refused::VolumeAway { noun: volume.noun(), since: since.start() }),
        None => Ok(()),
    };
    let wrong = |verb| Refused::VolumeState { noun: volume.noun(), state: volume.state_name(), verb };
    Ok(match (&volume.state, input) {
        // Nobody owns it any more; the order to remove it was lost, or its host was.
        (Deleted { .. } | Failed { .. }, Input::There { .. }) => only(vec![Effect::Order]),
        (Deleting { held_by: None, .. }, Input::There { .. }) => only(vec![Effect::Order]),
        (Creating { to }, Input::There { at }) => {
            let state = to.map_or(Available, |to| Attached { to });
            let mut step = change(volume, state);
            if volume.bought_with.is_none() {
                begin(&mut step, *at);
            }
            if let Some(to) = to {
                step.log.push((Event::DiskAttached { disk: id }, Some(*to)));
            }
            step
        }
        (_, Input::There { .. }) => unchanged(),

        (Deleted { .. } | Failed { .. }, Input::Gone { .. } | Input::Failed { .. }) => unchanged(),
        (Deleting { at, .. }, Input::Gone { at: gone_at } | Input::Failed { at: gone_at, .. }) => {
            removed(volume, *at, *gone_at)
        }
        (Creating { .. }, Input::Failed { at, reason }) => failed(volume, *at, reason),
        (Creating { .. }, Input::Gone { at }) => failed(volume, *at, "its host has it no more"),
        // Gone without an order of ours: from then on nothing is charged.
        (_, Input::Gone { at } | Input::Failed { at, .. }) => {
            let until = at.second().max(volume.charged_since.unwrap_or(at.second()));
            let until = volume.unavailable_since.map_or(until, |since| since.min(until));
            let mut step = removed(volume, until, *at);
            step.effects.insert(0, Effect::Close { until });
            step.effects.extend(volume.state.instance().map(Effect::OrderGuest));
            step.log.insert(0, (Event::VolumeLost { volume: id, at: until }, volume.state.instance()));
            step
        }

        (_, Input::Begun { at }) if volume.bought_with.is_some() => {
            let mut step = change(volume, volume.state.clone());
            step.next.as_mut().expect("a changed volume").bought_with = None;
            if volume.is_there() && volume.charged_since.is_none() {
                begin(&mut step, *at);
            }
            step
        }
        (_, Input::Begun { .. }) => unchanged(),

        (Deleting { .. } | Deleted { .. } | Failed { .. }, Input::Attach { .. } | Input::Detach { .. }) => {
            return Err(gone());
        }
        (Available, Input::Attach { to }) => {
            away()?;
            let mut step = change(volume, Attached { to: *to });
            step.effects.push(Effect::OrderGuest(*to));
            step.log.push((Event::DiskAttached { disk: id }, Some(*to)));
            step
        }
        (Attached { to: has }, Input::Attach { to }) if has == to => unchanged(),
        (Attached { to } | Detaching { from: to, .. }, Input::Attach { .. }) => {
            return Err(Refused::DiskAttached { instance: *to, verb: "attached to another" });
        }
        (Creating { .. }, Input::Attach { .. }) => return Err(wrong("attached")),

        (Attached { to }, Input::Detach { generation: Some(generation) }) => {
            away()?;
            let mut step = change(volume, Detaching { from: *to, generation: *generation });
            step.effects.push(Effect::OrderGuest(*to));
            step.log.push((Event::DiskDetachAsked { disk: id }, Some(*to)));
            step
        }
        (Attached { to }, Input::Detach { generation: None }) => detached(volume, *to),
        (Detaching { .. } | Available, Input::Detach { .. }) => unchanged(),
        (Creating { .. }, Input::Detach { .. }) => return Err(wrong("detached")),

        (Detaching { from, generation }, Input::LetGo { generation: seen }) if seen >= generation => {
            detached(volume, *from)
        }
        (_, Input::LetGo { .. }) => unchanged(),

        (Creating { to: Some(_) } | Attached { .. } | Detaching { .. }, Input::InstanceEnded { keep: false, at }) => {
            let held_by = volume.state.instance();
            let until = (*at).max(volume.charged_since.unwrap_or(*at));
            deleting(volume, until, held_by)
        }
        (_, Input::InstanceEnded { .. }) => unchanged(),
        (Creating { to: Some(from) }, Input::InstanceGone) => {
            let mut step = change(volume, Creating { to: None });
            step.next.as_mut().expect("a changed volume").bought_with = None;
            step.log.push((Event::DiskDetached { disk: id }, Some(*from)));
            step
        }
        (Attached { to } | Detaching { from: to, .. }, Input::InstanceGone) => detached(volume, *to),
        (Deleting { at, held_by: Some(_) }, Input::InstanceGone) => {
            let mut step = change(volume, Deleting { at: *at, held_by: None });
            step.effects.push(Effect::Order);
            step
        }
        (_, Input::InstanceGone) => unchanged(),

        (Deleting { .. } | Deleted { .. } | Failed { .. }, Input::Resize { .. } | Input::Delete { .. }) => {
            return Err(gone());
        }
        (Creating { .. }, Input::Resize { .. }) => return Err(wrong("resized")),
        (_, Input::Resize { gib }) if *gib < volume.gib => {
            return Err(Refused::DiskShrinks { gib: volume.gib, wanted: *gib });
        }
        (_, Input::Resize { gib }) if *gib == volume.gib => unchanged(),
        (_, Input::Resize { gib }) => {
            away()?;
            let at = now.second().max(volume.charged_since.unwrap_or(now.second()));
            let mut step = change(volume, volume.state.clone());
            step.next.as_mut().expect("a changed volume").gib = *gib;
            step.effects = vec![Effect::TakeRoom { gib: gib - volume.gib }, Effect::Order];
            if volume.is_charged() {
                step.effects.extend([Effect::Close { until: at }, Effect::Open { since: at }]);
            }
            step.log.push((Event::VolumeResized { volume: id, gib: *gib, at }, volume.state.instance()));
            step
        }

        (_, Input::Delete { copied_to: Some(copy) }) => {
            return Err(Refused::BeingCopied { noun: volume.noun(), copy: copy.to_string() });
        }
        (Creating { to: Some(to) } | Attached { to } | Detaching { from: to, .. }, Input::Delete { .. }) => {
            return Err(Refused::DiskAttached { instance: *to, verb: "deleted" });
        }
        (_, Input::Delete { .. }) => {
            let at = now.second().max(volume.charged_since.unwrap_or(now.second()));
            deleting(volume, at, None)
        }

        (Deleted { .. } | Failed { .. }, Input::HostAway { .. }) => unchanged(),
        // Nobody is there to make it, or to remove it, and nobody will say so.
        (Creating { .. }, Input::HostAway { .. }) => failed(volume, now, "its host was lost"),
        (Deleting { at, .. }, Input::HostAway { heard_at }) => {
            // It ended after its host did: what was charged in between was not used.
            let since = volume.charged_since.map_or(*at, |since| since.max(*heard_at).min(*at));
            let mut step = removed(volume, since, now);
            if since < *at {
                step.effects.insert(0, Effect::Close { until: since });
                step.log.insert(0, (Event::VolumeUnavailable { volume: id, since }, None));
            }
            step
        }
        (_, Input::HostAway { .. }) if volume.unavailable_since.is_some() => unchanged(),
        (_, Input::HostAway { heard_at }) => {
            let since = (*heard_at).max(volume.charged_since.unwrap_or(*heard_at));
            let mut step = change(volume, volume.state.clone());
            step.next.as_mut().expect("a changed volume").unavailable_since = Some(since);
            step.effects.push(Effect::Close { until: since });
            step.log.push((Event::VolumeUnavailable { volume: id, since }, volume.state.instance()));
            step
        }
        (_, Input::HostBack) if volume.unavailable_since.is_some() => {
            let at = now.second().max(volume.unavailable_since.unwrap_or(now.second()));
            let mut step = change(volume, volume.state.clone());
            let next = step.next.as_mut().expect("a changed volume");
            next.unavailable_since = None;
            if next.is_charged() {
                step.effects.push(Effect::Open { since: at });
            }
            step.log.push((Event::VolumeAvailable { volume: id, at }, volume.state.instance()));
            step
        }
        (_, Input::HostBack) => unchanged(),
    })
}

/// What an account has of volumes, and can pay with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub verified: bool,
    pub debt: Amount,
    pub disks: i64,
    pub disk_gib: i64,
    pub snapshots: i64,
}

/// Whether an account may have more: so many further data disks, GiB of them together, and snapshots.
///
/// # Errors
/// The first rule that stands against it.
pub fn may_have(catalog: &Catalog, owner: &Owner, disks: &[i64], snapshots: i64) -> Result<(), Refused> {
    if snapshots > 0 && catalog.data_disk.as_ref().is_none_or(|sold| sold.snapshot.is_none()) {
        return Err(Refused::NoSnapshots);
    }
    may_be_sold(catalog, disks)?;
    if !owner.verified {
        return Err(Refused::Unverified);
    }
    if owner.debt > Amount::ZERO {
        return Err(Refused::Arrears(owner.debt));
    }
    within(catalog, owner, disks.len() as i64, disks.iter().sum(), snapshots)
}

/// Whether data disks of so many GiB are for sale.
///
/// # Errors
/// None are, or not of that size.
pub fn may_be_sold(catalog: &Catalog, disks: &[i64]) -> Result<(), Refused> {
    let largest = catalog.data_disk.as_ref().map(|sold| sold.largest_gib);
    match disks.iter().find(|gib| !(1..=largest.unwrap_or(0)).contains(*gib)) {
        None => Ok(()),
        Some(gib) => Err(largest.map_or(Refused::NoDataDisks, |largest| Refused::DiskSize { gib: *gib, largest })),
    }
}

/// The same of a disk that grows by so many GiB.
///
/// # Errors
/// It becomes too large, its owner owes, or has too much.
pub fn may_grow(catalog: &Catalog, owner: &Owner, to: i64, by: i64) -> Result<(), Refused> {
    let largest = catalog.data_disk.as_ref().ok_or(Refused::NoDataDisks)?.largest_gib;
    if to > largest {
        return Err(Refused::DiskSize { gib: to, largest });
    }
    if owner.debt > Amount::ZERO {
        return Err(Refused::Arrears(owner.debt));
    }
    within(catalog, owner, 0, by, 0)
}

fn within(catalog: &Catalog, owner: &Owner, disks: i64, disk_gib: i64, snapshots: i64) -> Result<(), Refused> {
    let limits = &catalog.limits;
    let all = [
        ("data disks", disks, owner.disks, limits.disks_per_account),
        ("GiB of data disks", disk_gib, owner.disk_gib, limits.disk_gib_per_account),
        ("snapshots", snapshots, owner.snapshots, limits.snapshots_per_account),
    ];
    let beyond = all.into_iter().find(|(_, more, has, most)| *more > 0 && has + more > *most);
    beyond.map_or(Ok(()), |(what, more, has, most)| Err(Refused::VolumeQuota { what, wanted: has + more, most }))
}

/// Whether a data disk may be given to an instance in its state, or taken from it; and whether its guest has to be told.
///
/// # Errors
/// It is changing, or on its way out.
pub fn guest_is_told(of: &Instance, verb: &'static str) -> Result<bool, Refused> {
    match of.state {
        State::Running => Ok(true),
        State::Reclaiming { off_by: None, .. } if verb == "detach" => Ok(true),
        State::Stopped | State::StoppedEconomically => Ok(false),
        State::Reclaiming { deadline, .. } => Err(Refused::Reclaiming { deadline }),
        State::Releasing { .. } | State::Released { .. } => Err(Refused::Released),
        _ => Err(Refused::WrongState { state: of.state.name(), verb }),
    }
}

/// Whether the data disks of an instance that ends like this stay (rules §1.6, §2.8, §5.2).
pub fn keeps_disks(of: &Instance, cause: Cause) -> bool {
    // With what was frozen for too long all goes.
    of.keep.data_disks && !(cause == Cause::Arrears && of.frozen_since.is_some())
}

/// Whether a snapshot may be made of the system disk of an instance (rules §2.7).
///
/// # Errors
/// It never ran, or is on its way out.
pub fn may_copy_system_disk(of: &Instance) -> Result<(), Refused> {
    match of.state {
        State::Reclaiming { deadline, .. } => Err(Refused::NotWhileReclaiming {
            what: "copied with its system disk",
            code: "reclaiming-no-snapshot",
            deadline,
        }),
        State::Releasing { .. } | State::Released { .. } => Err(Refused::Released),
        State::Lost { .. } | State::Starting { .. } => {
            Err(Refused::WrongState { state: of.state.name(), verb: "make a snapshot" })
        }
        _ if of.first_running.is_none() => Err(Refused::WrongState {
            state: of.state.name(),
            verb: "make a snapshot of a system disk that is not there yet",
        }),
        _ => Ok(()),
    }
}

fn begin(step: &mut Step, at: Second) {
    let next = step.next.as_mut().expect("a changed volume");
    next.charged_since = Some(at);
    if next.is_charged() {
        step.effects.push(Effect::Open { since: at });
    }
    step.log.push((Event::VolumeThere { volume: next.id, at }, next.state.instance()));
}

fn detached(volume: &Volume, from: InstanceId) -> Step {
    let mut step = change(volume, VolumeState::Available);
    step.effects.push(Effect::OrderGuest(from));
    step.log.push((Event::DiskDetached { disk: volume.id }, Some(from)));
    step
}

/// Charge ends; its host is told to remove it, or will be when the guest that holds it is gone.
fn deleting(volume: &Volume, at: Second, held_by: Option<InstanceId>) -> Step {
    let mut step = change(volume, VolumeState::Deleting { at, held_by });
    if volume.is_charged() {
        step.effects.push(Effect::Close { until: at });
    }
    if held_by.is_none() {
        step.effects.push(Effect::Order);
    }
    step.log.push((Event::VolumeDeleted { volume: volume.id, at }, held_by));
    step
}

fn removed(volume: &Volume, at: Second, gone_at: Timestamp) -> Step {
    let mut step = change(volume, VolumeState::Deleted { at, gone_at });
    step.effects.push(Effect::FreeRoom);
    step.log.push((Event::VolumeGone { volume: volume.id, gone_at }, None));
    step
}

fn failed(volume: &Volume, at: Timestamp, reason: &str) -> Step {
    let mut step = change(volume, VolumeState::Failed { at, reason: reason.to_owned() });
    step.effects.push(Effect::FreeRoom);
    step.effects.extend(volume.state.instance().map(Effect::OrderGuest));
    step.log.push((Event::VolumeFailed { volume: volume.id }, volume.state.instance()));
    step
}

fn change(volume: &Volume, state: VolumeState) -> Step {
    let next = Volume { state, generation: volume.generation + 1, ..volume.clone() };
    Step { next: Some(next), effects: vec![], log: vec![] }
}

fn only(effects: Vec<Effect>) -> Step {
    Step { next: None, effects, log: vec![] }
}

fn unchanged() -> Step {
    only(vec![])
}
