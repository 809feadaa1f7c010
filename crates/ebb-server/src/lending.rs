//! What is done when an operator, an owner or a machine says something about a host? Room closes, blocks get notice, orders that
//! wait there are planned anew (rules §1.6, §2.12, §2.13).
//!
//! A word is written down with an alarm for now; the alarm does what follows, and sets itself for the next change.

use crate::app::App;
use crate::denied::Denied;
use crate::room::{beside_reserve, claim, find_free, make_good, plan};
use crate::unit::{Outcome, Unit, refuse, settled_already};
use ebb_engine::lending::{Clearing, Doing, HostEvent, Leave, Lending, Stance};
use ebb_engine::lifecycle::{Command, Input, Reclaim};
use ebb_engine::placement::{Demand, Tenancy, clear_host};
use ebb_engine::reserve::Ordered;
use ebb_model::id::{EventId, HostId, InstanceId};
use ebb_model::instance::{Cause, Instance, State};
use ebb_model::time::{Second, Timestamp};
use ebb_model::week::Week;
use ebb_store::rows::host::{Host, LOST, RoomChange};
use ebb_store::rows::{alarm, host, instance, lending, volume};
use ebb_store::{Decision, Halt, StoreError};

/// The kind of the alarm that looks after a host.
pub const ALARM: &str = "host";
/// Who a machine is in its own log.
pub const ITSELF: &str = "host";

/// What may be said about a host.
#[derive(Debug, Clone)]
pub enum Word {
    Drain(When),
    TakeBack(When),
    /// Neither drained nor taken back any more.
    Resume,
    Calendar(Option<Week>),
    /// By a file on the machine.
    Wanted(bool),
    /// By the operator: it is fenced and will not come back with what it had.
    Lost,
}

/// When blocks have to be gone.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// As soon as their notice is over.
    Soon,
    At(Timestamp),
    Now,
}

/// What was said, and who is there to hear it.
pub struct Said {
    pub known: Host,
    pub there: Vec<Instance>,
    /// What blocks are told, now or when it is time.
    pub clearing: Option<Clearing>,
}

impl App {
    /// What follows at `now` from what was said about a host.
    pub fn stance(&self, known: &Host, now: Timestamp) -> Stance {
        known.lending.stance(now, &self.catalog.time_zone, self.catalog.limits.notice_seconds)
    }

    /// Until when a host was heard, and whether it is heard now.
    pub fn heard(&self, known: &Host) -> (Timestamp, bool) {
        if self.is_sandbox() {
            let unplugged = self.hosts.unplugged_before(known.id, Timestamp::from_micros(i64::MAX));
            return unplugged.map_or((self.clock.now(), true), |at| (at, false));
        }
        let links = self.hosts.links.lock().expect("no panic while holding links");
        links.get(&known.id).map_or((known.seen_at, false), |link| (link.heard_at.max(known.seen_at), true))
    }

    /// A machine says whether it is wanted back.
    pub async fn signal(&self, from: HostId, wanted: bool) -> Result<(), Denied> {
        let rows = self.store.rows(host::by_id(from)).await?;
        let Some(known) = rows.first().map(host::read).filter(|known| known.lending.wanted_since.is_some() != wanted)
        else {
            return Ok(());
        };
        let key = from.to_string();
        let said = self.unit("signal-host", &key, move |mut unit| {
            let name = known.name.clone();
            async move {
                say(&mut unit, &name, ITSELF, Word::Wanted(wanted)).await?;
                Ok(unit.done(()))
            }
        });
        Ok(said.await?)
    }

    /// Does what follows from what was said about a host, as far as it is time. Done twice it finds nothing left to do.
    pub async fn tend_host(&self, id: HostId) -> Result<(), Denied> {
        self.zones_loaded().await?;
        let there = self.unit("tend-host", &id.to_string(), move |unit| tend(unit, id)).await;
        self.look_at_host(id).await?;
        let (known, there, away_since) = there?;
        // Whose disks are there can wait nowhere else: it keeps its promise, or is lost with its host.
        let disks = self.store.rows(volume::on_host(id)).await?;
        let tied: Vec<InstanceId> = disks.iter().filter_map(|row| volume::read(row).state.instance()).collect();
        let waits = |one: &&Instance| {
            let new = one.first_running.is_none() && !tied.contains(&one.id);
            matches!(one.state, State::Waiting { .. }) && new
        };
        // One that fails stands in nobody's way.
        let mut done = Ok(());
        for waiting in there.iter().filter(waits) {
            done = self.replan(waiting, known.state == LOST).await.and(done);
        }
        if known.state == LOST {
            self.tell_peers(None).await?;
            for lost in there.iter().filter(|one| !waits(one)) {
                done = self.lose(lost, known.seen_at).await.and(done);
            }
            done = self.lose_volumes(id, known.seen_at).await.and(done);
        } else if let Some(heard_at) = away_since {
            done = self.lose_volumes(id, heard_at).await.and(done);
        }
        done
    }

    /// Finds other room for an order that waits where nothing is started any more. On a lost host one that finds none is given up;
    /// else it keeps what it was promised.
    async fn replan(&self, waiting: &Instance, lost: bool) -> Result<(), Denied> {
        let (id, from) = (waiting.id, waiting.host);
        let moved = self.unit("replan", &waiting.account.to_string(), move |unit| replan(unit, id, from, lost)).await?;
        if moved {
            self.zones.moved(&self.catalog, &waiting.zone, from, id);
        }
        Ok(())
    }

    /// What was on a lost host: its charge ends with the last second in which the host was heard.
    async fn lose(&self, lost: &Instance, heard_at: Timestamp) -> Result<(), Denied> {
        let (id, from, key) = (lost.id, lost.host, lost.account.to_string());
        let done = self.unit("lose-guest", &key, move |mut unit| async move {
            let before = unit.instance(id).await?;
            if before.host != from || !unit.is_lost(from).await? {
                return Ok(unit.done(()));
            }
            // Hours that are closed stay closed.
            let open = unit.open_since(before.account).await?.map_or(heard_at, Second::start);
            unit.step(&before, Input::HostLost { heard_at: heard_at.max(open) }).await?;
            Ok(unit.done(()))
        });
        match done.await {
            Err(Halt::Refused(denied)) if settled_already(&denied) => Ok(()),
            other => Ok(other?),
        }
    }
}

/// Writes down what somebody says about a host.
pub async fn say(unit: &mut Unit, name: &str, who: &str, word: Word) -> Outcome<Said> {
    let Some(row) = unit.reads.row(host::by_name(name)).await? else {
        return refuse(Denied::not_found("host", name));
    };
    let mut known = host::read(&row);
    let before = known.lending.clone();
    let lending = &mut known.lending;
    let event = match word {
        Word::Drain(when) => HostEvent::Drain(*lending.drain.insert(leave(unit, when)?)),
        Word::TakeBack(when) => HostEvent::TakeBack(*lending.take_back.insert(leave(unit, when)?)),
        Word::Resume => {
            (lending.drain, lending.take_back) = (None, None);
            HostEvent::Resumed
        }
        Word::Calendar(calendar) => {
            lending.calendar = calendar.clone();
            HostEvent::Calendar { calendar }
        }
        Word::Wanted(true) => {
            lending.wanted_since.get_or_insert(unit.now);
            HostEvent::WantedBack
        }
        Word::Wanted(false) => {
            lending.wanted_since = None;
            HostEvent::NoLongerWanted
        }
        Word::Lost => {
            let heard_at = fenced(unit, &known)?;
            unit.guard(lending::lose(known.id, known.seen_at));
            known.state = LOST.to_owned();
            HostEvent::Lost { heard_at }
        }
    };
    if before != known.lending {
        unit.guard(lending::say(known.id, &before, &known.lending));
    }
    log(unit, known.id, who, &event);
    unit.write(alarm::set(ALARM, &known.id.to_string(), unit.now));
    unit.look_after_reserve(&known.zone);
    // Who buys from now on must know, and not only when this is written.
    let room = host::read_rooms(&unit.reads.rows(host::room_of(known.id)).await?);
    unit.app.set_host(&known, &room);
    let there = unit.reads.rows(instance::on_host(known.id)).await?.iter().map(instance::read).collect();
    let clearing = clearing(unit, &known.lending);
    Ok(Said { known, there, clearing })
}

/// A line in the host's log.
pub fn log(unit: &mut Unit, about: HostId, who: &str, event: &HostEvent) {
    let id = EventId::new(unit.app.mint.uuid(unit.now));
    unit.write(lending::log(id, about, unit.now, who, event));
}

/// What blocks will be told, if not now then when it is time.
fn clearing(unit: &Unit, lending: &Lending) -> Option<Clearing> {
    let limits = &unit.app.catalog.limits;
    let stance = |at| lending.stance(at, &unit.app.catalog.time_zone, limits.notice_seconds);
    let now = stance(unit.now);
    now.clears.or_else(|| now.lent_until.and_then(|end| stance(end.plus_seconds(-limits.notice_seconds)).clears))
}

fn leave(unit: &Unit, when: When) -> Outcome<Leave> {
    let soon = unit.now.plus_seconds(unit.app.catalog.limits.notice_seconds);
    match when {
        When::Soon => Ok(Leave { at: soon, urgent: false }),
        When::Now => Ok(Leave { at: unit.now, urgent: true }),
        When::At(at) if at < soon => refuse(Denied::BadInput(format!(
            "at: blocks have {} seconds of notice, so they are gone at {soon} at the earliest; give such a time, none, or `urgent`",
            unit.app.catalog.limits.notice_seconds
        ))),
        When::At(at) => Ok(Leave { at, urgent: false }),
    }
}

/// Until when a host was heard that may be declared lost.
fn fenced(unit: &Unit, known: &Host) -> Outcome<Timestamp> {
    let (heard_at, connected) = unit.app.heard(known);
    let silence = unit.app.catalog.limits.host_lost_seconds;
    let name = &known.name;
    let why = match connected {
        _ if known.state == LOST => format!("host {name} is declared lost already"),
        true => format!("host {name} is connected; only one that is silent and fenced can be declared lost"),
        false if unit.now < heard_at.plus_seconds(silence) => format!(
            "host {name} was heard at {heard_at}; it can be declared lost after {silence} seconds of silence, at {}",
            heard_at.plus_seconds(silence)
        ),
        false => return Ok(heard_at),
    };
    refuse(Denied::Conflict(why))
}

/// Tells blocks that they have to go. Gives back who is there, and until when a host was heard that is away with its owner (rules §2.13).
async fn tend(mut unit: Unit, id: HostId) -> Outcome<Decision<(Host, Vec<Instance>, Option<Timestamp>)>> {
    let row = unit.reads.row(host::by_id(id)).await?;
    let known = host::read(&row.expect("hosts are never deleted"));
    let stance = unit.app.stance(&known, unit.now);
    let room = host::read_rooms(&unit.reads.rows(host::room_of(id)).await?);
    unit.app.set_host(&known, &room);
    let (heard_at, connected) = unit.app.heard(&known);
    let away_at = heard_at.plus_seconds(unit.app.catalog.limits.host_lost_seconds);
    let silent = !connected && matches!(stance.doing, Doing::WithOwner { .. });
    let away_since = Some(heard_at).filter(|_| silent && away_at <= unit.now);
    let next = Some(away_at).filter(|_| silent && away_at > unit.now).into_iter().chain(stance.changes_at).min();
    if let Some(at) = next {
        unit.write(alarm::set(ALARM, &id.to_string(), at));
    }
    let there: Vec<Instance> = unit.reads.rows(instance::on_host(id)).await?.iter().map(instance::read).collect();
    if known.state == LOST {
        return Ok(unit.done((known, there, None)));
    }
    if let Some(clearing) = stance.clears {
        let stays = |one: &&Instance| one.lease_end().is_none_or(|end| end.start() > clearing.deadline);
        let told = |one: &&Instance| match one.state {
            State::Reclaiming { cause, .. } => cause != Cause::Drill,
            State::Releasing { .. } => true,
            _ => false,
        };
        let blocks = || there.iter().filter(|one| !one.purchase.is_firm());
        let going: Vec<&Instance> = blocks().filter(stays).filter(|one| !told(one)).collect();
        if !going.is_empty() {
            let decision = clear_host(id, &going, unit.now, clearing.deadline);
            let told: Vec<_> = decision.chosen().into_iter().map(|one| (one, clearing.cause)).collect();
            unit.decide(&known.zone, clearing.cause, None, &decision, &told);
        }
        for block in blocks() {
            notify(&mut unit, block, clearing).await?;
        }
    }
    // What lends for a while only is no place for those that wait, either.
    let there = if stance.lent_until.is_some() { there } else { vec![] };
    Ok(unit.done((known, there, away_since)))
}

/// One that ends before, or has its notice already, need not be told.
async fn notify(unit: &mut Unit, block: &Instance, clearing: Clearing) -> Outcome<()> {
    let Clearing { cause, deadline } = clearing;
    let order = Reclaim { cause, deadline, free_until: None };
    match unit.step(block, Input::Command(Command::Reclaim(order))).await {
        Err(Halt::Refused(denied)) if settled_already(&denied) => Ok(()),
        other => other.map(drop),
    }
}

/// Whether it found other room.
async fn replan(mut unit: Unit, id: InstanceId, from: HostId, lost: bool) -> Outcome<Decision<bool>> {
    let before = unit.instance(id).await?;
    if before.host != from || !matches!(before.state, State::Waiting { .. }) || before.first_running.is_some() {
        return Ok(unit.done(false));
    }
    unit.take_turn(&before.zone).await;
    unit.clear_doubts().await?;
    let demand = Demand { account: Some(before.account), resources: &before.resources };
    // Where none has its image it waits on where it is, or is given up with its host.
    let none = unit.app.zones.hosts_of(&before.zone);
    let without = unit.app.zones.without_image(&before.zone, &before.image).unwrap_or(none);
    let free = find_free(&mut unit, &before.zone, &before.resources, Tenancy::Firm, (None, &without)).await?;
    let wait = unit.app.catalog.limits.firm_wait_seconds;
    let mut victims = vec![];
    let (to, give_up_at) = match &free {
        Some(room) => {
            unit.change_room(room, RoomChange::Claim, &before.resources);
            (room.host, unit.now.plus_seconds(wait))
        }
        None => match plan(&mut unit, &before.zone, &demand, &without).await? {
            Some(decision) => {
                let life = claim(&mut unit, &before.zone, id, &decision, &before.resources, before.account).await?;
                let State::Waiting { give_up_at, .. } = life else { unreachable!("whoever claims waits") };
                victims.clone_from(&decision.hosts[0].victims);
                (decision.hosts[0].host, give_up_at)
            }
            None if lost => {
                unit.step(&before, Input::HostLost { heard_at: unit.now }).await?;
                return Ok(unit.done(false));
            }
            None => return Ok(unit.done(false)),
        },
    };
    unit.open_still(to, Tenancy::Firm).await?;
    let order = Ordered { by: before.account, host: to, resources: &before.resources, victims: &victims };
    let reserve = beside_reserve(&unit, &before.zone, &order).await?;
    let took_room = !victims.is_empty() || reserve.taking.is_some();
    make_good(&mut unit, &before.zone, id, before.account, reserve).await?;
    let next = unit.step(&before, Input::Replanned { host: to, give_up_at, took_room }).await?;
    unit.drop_claim(&before).await?;
    if let Ok(image) = before.image.parse() {
        unit.bring_image(image, to).await?;
    }
    if free.is_some() {
        unit.step(&next, Input::RoomFree).await?;
    }
    Ok(unit.done(true))
}

impl App {
    /// When a word about a host came to nothing, what was thought of it meanwhile is put right.
    pub async fn look_again(&self, name: &str) -> Result<(), StoreError> {
        match self.store.rows(host::by_name(name)).await?.first().map(host::read) {
            Some(known) => self.look_at_host(known.id).await,
            None => Ok(()),
        }
    }
}
