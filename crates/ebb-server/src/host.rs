//! How does the service speak with its hosts: sends orders, learns what is, and takes a host up again after either was away?

use crate::app::App;
use crate::denied::Denied;
use crate::lending::{ALARM, ITSELF, log};
use crate::peers::Peers;
use crate::security_group;
use crate::unit::{Outcome, Unit, settled_already};
use crate::volume as volumes;
use ebb_driver::fake::FakeHost;
use ebb_driver::protocol::{
    DesiredGuest, DesiredVolume, Features, FromHost, GuestSpec, Hello, Is, Metadata, ObservedGuest, ObservedVolume,
    PlannedEnd, Position, ToHost, VolumeIs, Want,
};
use ebb_engine::lending::{HostEvent, Lending};
use ebb_engine::lifecycle::{Input, Report};
use ebb_model::catalog::Limits;
use ebb_model::id::{HostId, InstanceId};
use ebb_model::instance::{Instance, State};
use ebb_model::network::PublicAddress;
use ebb_model::security_group::ingress;
use ebb_model::time::{Second, Timestamp};
use ebb_model::traffic::Address;
use ebb_model::volume::VolumeId;
use ebb_store::rows::host::Host;
use ebb_store::rows::instance::Seen;
use ebb_store::rows::lending;
use ebb_store::rows::{account, address, alarm, drill, host, image, instance, notice, password, volume};
use ebb_store::{Decision, Halt, Row, StoreError};
use futures_util::future::try_join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, mpsc, oneshot};

/// The hosts of this process.
#[derive(Default)]
pub struct Hosts {
    /// Where the privileged halves listen.
    pub sockets: Vec<PathBuf>,
    /// A sandbox's hosts, in this process.
    pub fakes: tokio::sync::Mutex<Vec<Fake>>,
    /// Where a kept sandbox writes them down.
    pub kept_in: Option<PathBuf>,
    /// A sandbox's hosts whose orders changed.
    pub ordered: Mutex<BTreeSet<HostId>>,
    /// A sandbox's hosts of which nothing is heard, and since when.
    pub unplugged: Mutex<BTreeMap<HostId, Timestamp>>,
    /// Those that are connected now.
    pub links: Mutex<BTreeMap<HostId, Link>>,
    pub peers: Peers,
}

impl Hosts {
    pub fn any_unplugged(&self) -> bool {
        !self.unplugged.lock().expect("no panic while holding it").is_empty()
    }

    /// Since when a host is unplugged, if it is since before `at`.
    pub fn unplugged_before(&self, host: HostId, at: Timestamp) -> Option<Timestamp> {
        let unplugged = self.unplugged.lock().expect("no panic while holding it");
        unplugged.get(&host).copied().filter(|since| *since < at)
    }
}

/// A fake host and what was sent to it.
pub struct Fake {
    pub host: FakeHost,
    pub greeted: Option<Greeted>,
}

impl Fake {
    /// When it has something to do that is heard of.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.host.next_due().filter(|_| self.host.unplugged_at.is_none())
    }
}

/// A live connection to a host.
#[derive(Clone)]
pub struct Link {
    pub greeted: Greeted,
    /// What the host had when it said hello.
    pub guests: Vec<InstanceId>,
    pub volumes: Vec<VolumeId>,
    pub socket: PathBuf,
    pub say: mpsc::UnboundedSender<Ask>,
    /// Told when there are new orders.
    pub wake: Arc<Notify>,
    /// It keeps data disks, snapshots and images.
    pub keeps_volumes: bool,
    /// The newest instant at which everything it had to say by then was heard.
    pub heard_at: Timestamp,
}

/// What a request wants said to a host.
pub enum Ask {
    Say(ToHost),
    Console { guest: InstanceId, bytes: u32, answer: oneshot::Sender<Result<String, String>> },
}

/// Where a host stands after it said hello.
#[derive(Debug, Clone, Copy)]
pub struct Greeted {
    pub id: HostId,
    pub position: Position,
    /// Orders after this one are still to be sent.
    pub sent: i64,
    pub gap: bool,
    /// The last order that it had obeyed.
    pub obeyed: i64,
    /// Until when it was known to be well before it came back.
    pub last_heard_at: Timestamp,
}

/// The most guests in one message.
const ORDERS_AT_ONCE: i64 = 500;

/// So many guests of a host are written down together, in as few commits as the store can.
pub const OBSERVED_AT_ONCE: usize = 256;

impl App {
    /// Takes a host up: writes down what it lends and compares what it has with what it should have.
    pub async fn greet(&self, hello: Hello) -> Result<Greeted, Denied> {
        let known = hello.clone();
        let greeted = self.unit("greet-host", &hello.host, move |unit| greet(unit, known.clone())).await?;
        self.look_at_host(greeted.id).await?;
        // Before what is gone is known to be gone, as they were read.
        for reading in &hello.readings {
            self.read_counter(greeted.id, *reading).await?;
        }
        // In a sandbox one thing is done at a time.
        let at_once = if self.is_sandbox() { 1 } else { OBSERVED_AT_ONCE };
        for guests in hello.guests.chunks(at_once) {
            try_join_all(guests.iter().map(|observed| self.observe(greeted.id, observed.clone()))).await?;
        }
        for observed in &hello.volumes {
            self.observe_volume(greeted.id, observed.clone()).await?;
        }
        if !greeted.gap {
            let there: Vec<InstanceId> = hello.guests.iter().map(|guest| guest.id).collect();
            self.miss(greeted, hello.position.sequence, &there).await?;
            let there: Vec<VolumeId> = hello.volumes.iter().map(|volume| volume.id).collect();
            self.miss_volumes(greeted.id, greeted.last_heard_at, hello.position.sequence, &there).await?;
        }
        Ok(greeted)
    }

    /// Writes down what a host saw of a guest.
    pub async fn observe(&self, from: HostId, observed: ObservedGuest) -> Result<(), Denied> {
        // Under the account's name, so that it takes turns with others that change the account.
        let known = self.store.rows(instance::by_id(observed.id)).await?;
        let key = known.first().map_or_else(|| from.to_string(), |row| row.text("account_id").to_owned());
        match self.unit("observe", &key, move |unit| observe(unit, from, observed.clone())).await {
            Err(Halt::Refused(denied)) if settled_already(&denied) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Guests that the host should have and has not, by the orders it obeyed or because they ran: they are gone. One that ran on
    /// a host which has lost its memory must not come back empty under the same name. Since when nobody knows; their owners
    /// pay to the last instant at which the host was heard.
    async fn miss(&self, on: Greeted, obeyed: i64, there: &[InstanceId]) -> Result<(), Denied> {
        let rows = self.store.rows(host::orders_after(on.id, 0, i64::MAX)).await?;
        for row in rows.iter().filter(|row| row.int("live") == 1) {
            let known = instance::read(row);
            let had = row.int("sequence") <= obeyed || known.first_running.is_some();
            if had && !there.contains(&known.id) {
                let began = known.first_running.map_or(known.created_at, Second::start);
                let gone = ObservedGuest {
                    id: known.id,
                    generation: known.generation,
                    is: Is::Gone { at: on.last_heard_at.max(began) },
                    address: None,
                    notice_readable_at: None,
                    notice_read_at: None,
                    approved_at: None,
                    disks: Default::default(),
                };
                self.observe(on.id, gone).await?;
            }
        }
        Ok(())
    }

    /// Writes down until when a host was heard, now that the connection to it has ended.
    pub async fn part(&self, from: HostId, heard_at: Timestamp) -> Result<(), Denied> {
        let key = from.to_string();
        let written = self.unit("part-host", &key, move |mut unit| async move {
            unit.write(host::seen(from, heard_at));
            if unit.reads.row(volume::on_host(from)).await?.is_some() {
                // If its owner has it then, and it is not heard, what lies on it is away with it.
                let at = heard_at.plus_seconds(unit.app.catalog.limits.host_lost_seconds);
                unit.write(alarm::set_at_latest(ALARM, &from.to_string(), at));
            }
            Ok(unit.done(()))
        });
        Ok(written.await?)
    }

    /// An operator accepts that a host obeyed orders which this database does not know: from now on its word counts again.
    pub async fn accept_gap(&self, name: &str) -> Result<(), Denied> {
        let rows = self.store.rows(host::by_name(name)).await?;
        let known = host::read(rows.first().ok_or_else(|| Denied::not_found("host", name))?);
        if known.state != "gap" {
            return Err(Denied::Conflict(format!("host {name} has no gap; there is nothing to accept")));
        }
        let link = self.link(known.id)?;
        self.miss(link.greeted, i64::MAX, &link.guests).await?;
        self.miss_volumes(known.id, link.greeted.last_heard_at, i64::MAX, &link.volumes).await?;
        // Above everything that the host has obeyed, and everything that it has is ordered anew.
        let sequence = self.unit("accept-gap", name, move |mut unit| async move {
            // Orders are written while the gap is open, too: they must not end up below what the host is told.
            let row = unit.reads.row(host::by_id(known.id)).await?.expect("hosts are never deleted");
            let sequence = link.greeted.obeyed.max(host::read(&row).sequence);
            unit.write(host::accept_gap(known.id, sequence));
            // First what guests may be told to have.
            for row in unit.reads.rows(volume::on_host(known.id)).await? {
                unit.order_volume(&volume::read(&row));
            }
            for row in unit.reads.rows(image::orders_after(known.id, 0, i64::MAX)).await? {
                unit.order_copy(image::read_joined(&row).0);
            }
            for row in unit.reads.rows(instance::on_host(known.id)).await? {
                let live = instance::read(&row);
                if desired(&live, &unit.app.catalog.limits).is_some() {
                    unit.order(&live);
                }
            }
            Ok(unit.done(sequence))
        });
        let sequence = sequence.await?;
        self.look_at_host(known.id).await?;
        let position = Position { epoch: self.installation.epoch, sequence };
        link.say.send(Ask::Say(ToHost::AcceptGap(position))).map_err(|_| Denied::HostAway("it went away".to_owned()))
    }

    /// The next orders for a host, with the sequence up to which they reach.
    pub async fn orders(&self, to: HostId, after: i64) -> Result<Option<ToHost>, StoreError> {
        let app = self.clone();
        self.store
            .read(move |reads| async move {
                let rows = reads.rows(host::orders_after(to, after, ORDERS_AT_ONCE)).await?;
                let of_volumes = reads.rows(volume::orders_after(to, after, ORDERS_AT_ONCE)).await?;
                let copies = reads.rows(image::orders_after(to, after, ORDERS_AT_ONCE)).await?;
                let Some(sequence) = up_to(&[&rows, &of_volumes, &copies]) else { return Ok(None) };
                let within = |row: &&Row| row.int("sequence") <= sequence;
                let largest = app.catalog.limits.image_gib;
                let of_images = copies.iter().filter(within).map(image::read_joined);
                let of_images = of_images.map(|(copy, of)| crate::image::desired(&copy, &of, largest));
                let volumes = of_volumes.iter().filter(within).map(|row| volumes::desired(&volume::read(row)));
                let volumes: Vec<DesiredVolume> = volumes.chain(of_images).collect();
                let mut guests = vec![];
                for row in rows.iter().filter(within) {
                    let about = instance::read(row);
                    let Some((want, end)) = desired(&about, &app.catalog.limits) else { continue };
                    let key = match about.key_pair {
                        Some(id) => reads.row(account::key_pair_by_id(id)).await?,
                        None => None,
                    };
                    let public_keys = key.iter().map(account::read_key_pair).map(|key| (key.name, key.public_key));
                    let user_data = reads.row(instance::user_data(about.id)).await?;
                    let password = reads.row(password::of(about.id)).await?;
                    let addresses = reads.rows(address::of_instance(about.id)).await?;
                    let seen = instance::read_seen(row);
                    let groups = security_group::of_instance(&reads, about.account, &seen.security_groups).await?;
                    let disks = volumes::disks_of(&reads, about.id).await?;
                    guests.push(DesiredGuest {
                        id: about.id,
                        generation: about.generation,
                        account: about.account,
                        want,
                        spec: GuestSpec {
                            resources: about.resources.clone(),
                            image: about.image.clone(),
                            disk_revision: about.disk_revision,
                            disposable: !about.purchase.is_firm(),
                        },
                        metadata: Metadata {
                            hostname: hostname(&about),
                            public_keys: public_keys.collect(),
                            user_data: user_data.map(|row| row.text("content").to_owned()),
                            region: app.catalog.zone(&about.zone).map_or_else(String::new, |zone| zone.region.clone()),
                            name: about.name,
                            zone: about.zone,
                            flavor: about.flavor,
                            password_hash: password.map(|row| password::read(&row)),
                        },
                        end,
                        place: seen.place,
                        ingress: ingress(&groups),
                        addresses: addresses.iter().map(|row| public(&address::read(row))).collect(),
                        disks,
                    });
                }
                Ok(Some(ToHost::Desire { sequence, guests, volumes }))
            })
            .await
    }

    /// What a message from a host means for the database; answers belong to whoever asked.
    pub async fn hear(&self, from: HostId, message: FromHost) -> Result<Option<ToHost>, Denied> {
        let observed = match message {
            FromHost::Observed(observed) => observed,
            FromHost::WantedBack { wanted } => return self.signal(from, wanted).await.map(|()| None),
            FromHost::Read(reading) => return self.read_counter(from, reading).await.map(|()| None),
            FromHost::ObservedVolume(observed) => {
                let (volume, gone) = (observed.id, is_gone(&observed));
                self.observe_volume(from, observed).await?;
                return Ok(gone.then_some(ToHost::ForgetVolume { volume }));
            }
            _ => return Ok(None),
        };
        let (guest, gone) = (observed.id, matches!(observed.is, Is::Gone { .. } | Is::Failed { .. }));
        self.observe(from, observed).await?;
        Ok(gone.then_some(ToHost::Forget { guest }))
    }

    /// Reads again what a host lends, and to whom.
    pub async fn look_at_host(&self, id: HostId) -> Result<(), StoreError> {
        let (known, room) = (self.store.rows(host::by_id(id)).await?, self.store.rows(host::room_of(id)).await?);
        if let Some(row) = known.first() {
            self.zones.set_images(id, host::read_images(row));
            self.set_host(&host::read(row), &host::read_rooms(&room));
        }
        Ok(())
    }

    /// Tells those hosts that are connected that they have new orders.
    pub fn wake_hosts(&self, ordered: &BTreeSet<HostId>) {
        if self.is_sandbox() && !ordered.is_empty() {
            self.hosts.ordered.lock().expect("no panic while holding it").extend(ordered);
        }
        let links = self.hosts.links.lock().expect("no panic while holding links");
        ordered.iter().filter_map(|id| links.get(id)).for_each(|link| link.wake.notify_one());
    }

    /// The connection to the host of a guest.
    pub fn link(&self, to: HostId) -> Result<Link, Denied> {
        let links = self.hosts.links.lock().expect("no panic while holding links");
        links.get(&to).cloned().ok_or_else(|| Denied::HostAway("it is not connected; try again shortly".to_owned()))
    }
}

/// Of these guests and volumes the database has written down that they are gone, so the host need not remember them.
pub fn forgotten(hello: &Hello) -> impl Iterator<Item = ToHost> {
    let gone = hello.guests.iter().filter(|guest| matches!(guest.is, Is::Gone { .. } | Is::Failed { .. }));
    let volumes = hello.volumes.iter().filter(|volume| is_gone(volume));
    let volumes = volumes.map(|volume| ToHost::ForgetVolume { volume: volume.id });
    gone.map(|guest| ToHost::Forget { guest: guest.id }).chain(volumes)
}

fn is_gone(volume: &ObservedVolume) -> bool {
    matches!(volume.is, VolumeIs::Gone { .. } | VolumeIs::Failed { .. })
}

/// What a host should make of an instance, and when it is to release it by itself; `None`: nothing yet.
fn desired(instance: &Instance, limits: &Limits) -> Option<(Want, Option<PlannedEnd>)> {
    let natural = instance
        .lease_end()
        .map(Second::start)
        .map(|at| PlannedEnd { notice_at: at.plus_seconds(-limits.notice_seconds), at });
    Some(match instance.state {
        State::Waiting { .. } if instance.first_running.is_none() => return None,
        State::Starting { .. } | State::Running | State::Lost { off: false, .. } => (Want::Running, natural),
        State::Stopping { force_at, .. } => (Want::Off { force_at }, natural),
        State::Stopped | State::StoppedEconomically | State::Waiting { .. } | State::Lost { off: true, .. } => {
            (Want::Off { force_at: instance.created_at }, natural)
        }
        State::Reclaiming { notice_at, deadline, off_by, .. } => {
            let want = off_by.map_or(Want::Running, |force_at| Want::Off { force_at });
            (want, Some(PlannedEnd { notice_at, at: deadline }))
        }
        State::Releasing { .. } | State::Released { .. } => (Want::Gone, None),
    })
}

/// The sequence up to which all kinds of orders are known of which these are pages; `None`: there are none.
fn up_to(pages: &[&Vec<Row>]) -> Option<i64> {
    let last = |page: &&Vec<Row>| page.last().map(|row| row.int("sequence"));
    let full = pages.iter().copied().filter(|page| page.len() as i64 == ORDERS_AT_ONCE).collect::<Vec<_>>();
    match full.is_empty() {
        true => pages.iter().filter_map(last).max(),
        // Behind a full page there is more of its kind.
        false => full.iter().filter_map(last).min(),
    }
}

/// One that is older than addresses which were given is counted on fake hosts, and leads nowhere on others.
fn public(address: &Address) -> PublicAddress {
    PublicAddress { id: address.id, ip: address.ip.unwrap_or(Ipv4Addr::UNSPECIFIED), mbit: address.mbit }
}

/// The name as far as a host name may have its characters, else the id.
fn hostname(instance: &Instance) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = instance.name.chars().map(plain).collect();
    let name = name.trim_matches('-');
    let short = name.get(..name.len().min(63)).unwrap_or_default().trim_end_matches('-');
    if short.is_empty() { instance.id.to_string() } else { short.to_owned() }
}

async fn greet(mut unit: Unit, hello: Hello) -> Outcome<Decision<Greeted>> {
    let epoch = unit.app.installation.epoch;
    if unit.app.catalog.zone(&hello.zone).is_none() {
        tracing::warn!(host = hello.host, zone = hello.zone, "the catalog has no such zone: nothing is sold there");
    }
    let known = unit.reads.row(host::by_name(&hello.host)).await?.map(|row| host::read(&row));
    let theirs = hello.position;
    let sequence = known.as_ref().map_or(0, |host| host.sequence);
    // It obeyed orders that we do not know, or a restore began a new epoch: an operator must look first (invariant 8).
    let gap = theirs != Position::default() && (theirs.epoch != epoch || theirs.sequence > sequence);
    let last_heard_at = known.as_ref().map_or(unit.now, |host| host.seen_at);
    let mut lending = known.as_ref().map_or_else(Lending::default, |host| host.lending.clone());
    let (before, was_lost) = (lending.clone(), known.as_ref().is_some_and(|host| host.state == host::LOST));
    lending.wanted_since = hello.wanted_back.then(|| before.wanted_since.unwrap_or(unit.now));
    let host = Host {
        id: known.as_ref().map_or_else(|| HostId::new(unit.app.mint.uuid(unit.now)), |host| host.id),
        name: hello.host,
        zone: hello.zone,
        driver: hello.driver,
        state: if gap { "gap" } else { "up" }.to_owned(),
        sequence,
        // Over a gap what it lost is not counted yet, so it must not be forgotten since when.
        seen_at: if gap { last_heard_at } else { unit.now },
        lending,
    };
    if known.is_none() {
        unit.write(host::insert(&host));
    }
    for (resource, capacity) in hello.capacity.iter() {
        unit.write(host::set_capacity(host.id, resource, capacity));
    }
    // After its room, as all others lock them.
    if known.is_some() {
        unit.write(host::update(&host));
    }
    let Features { metered_traffic, public_addresses, volumes, .. } = hello.features;
    unit.write(address::set_metered(host.id, metered_traffic && public_addresses));
    unit.write(host::set_tunnel(host.id, hello.tunnel));
    unit.write(host::set_images(host.id, hello.images.as_ref()));
    unit.write(volume::set_has_volumes(host.id, volumes));
    if host.lending != before {
        unit.guard(lending::say(host.id, &before, &host.lending));
        let event = if hello.wanted_back { HostEvent::WantedBack } else { HostEvent::NoLongerWanted };
        log(&mut unit, host.id, ITSELF, &event);
    }
    if was_lost {
        log(&mut unit, host.id, ITSELF, &HostEvent::CameBack);
    }
    if was_lost || host.lending != before {
        unit.write(alarm::set(ALARM, &host.id.to_string(), unit.now));
    }
    unit.look_after_reserve(&host.zone);
    let position = Position { epoch, sequence };
    let (sent, obeyed) = (theirs.sequence.min(sequence), theirs.sequence);
    Ok(unit.done(Greeted { id: host.id, position, sent, gap, obeyed, last_heard_at }))
}

async fn observe(mut unit: Unit, from: HostId, observed: ObservedGuest) -> Outcome<Decision<()>> {
    let id = observed.id;
    let row = unit.reads.row(instance::by_id(id)).await?;
    let Some(known) = row.as_ref().map(instance::read).filter(|known| known.host == from) else {
        // Carries our installation's id and is in no table: left running, not charged, reported.
        if !matches!(observed.is, Is::Gone { .. } | Is::Failed { .. }) {
            unit.quarantine(from, &observed);
        } else {
            unit.write(host::end_quarantine(id));
        }
        return Ok(unit.done(()));
    };
    let seen_before = instance::read_seen(row.as_ref().expect("an instance that was just read"));
    let seen = Seen {
        // What was told where it stands needs no word about that.
        address: observed.address.clone().filter(|_| seen_before.place.is_none()),
        notice_readable_at: observed.notice_readable_at,
        notice_read_at: observed.notice_read_at,
        ..Seen::default()
    };
    let fresh = (seen.address.is_some() && seen.address != seen_before.address)
        || (seen.notice_readable_at.is_some() && seen_before.notice_readable_at.is_none())
        || (seen.notice_read_at.is_some() && seen_before.notice_read_at.is_none());
    if fresh {
        unit.write(instance::see(id, &seen));
        unit.write(notice::see(id, seen.notice_readable_at, seen.notice_read_at));
    }
    if let State::Reclaiming { notice_at, deadline, .. } = known.state {
        if let (Some(readable), None) = (seen.notice_readable_at, seen_before.notice_readable_at) {
            unit.app.metrics.notice_readable(readable.millis_since(notice_at));
        }
        if let (Some(read), None) = (seen.notice_read_at, seen_before.notice_read_at) {
            unit.app.metrics.notice_read(read.millis_since(notice_at));
        }
        if let Is::Gone { at } = observed.is {
            unit.app.metrics.released(at.millis_since(deadline));
        }
    }
    if let (State::Reclaiming { off_by: None, deadline, .. }, Is::Off { at }) = (&known.state, &observed.is)
        && at < deadline
    {
        unit.write(drill::stopped(id, *at));
    }
    if let (State::Reclaiming { .. }, Some(at)) = (&known.state, observed.approved_at) {
        unit.write(drill::approved(id, at));
    }
    let there = !matches!(observed.is, Is::Gone { .. } | Is::Failed { .. });
    if there && matches!(known.state, State::Released { .. }) {
        // Nobody owns it any more; the order to remove it was lost.
        unit.order(&known);
    }
    unit.see_disks(&known, &observed).await?;
    if let Some(report) = report(&mut unit, &known, &observed).await? {
        unit.step(&known, Input::Report(report)).await?;
    }
    Ok(unit.done(()))
}

/// What an observation says to the rules. A guest that was seen for an order long since replaced says nothing.
async fn report(unit: &mut Unit, known: &Instance, observed: &ObservedGuest) -> Outcome<Option<Report>> {
    // What is late counts from the open hour.
    let open = unit.open_since(known.account).await?;
    let now = unit.now;
    // Nor does a host whose clock is ahead reach into our future.
    let clamp = |at: Timestamp| open.map_or(at, |open| at.max(open.start())).min(now);
    Ok(match observed.is {
        // It ran on while it was lost, and is charged from the word of it on.
        Is::Running { since } if matches!(known.state, State::Lost { since: lost, .. } if since.second() <= lost) => {
            Some(Report::Running { at: now })
        }
        Is::Running { since } if observed.generation >= starting_generation(known) => {
            Some(Report::Running { at: clamp(since) })
        }
        Is::Off { at } if observed.generation >= starting_generation(known) => Some(Report::Off { at: clamp(at) }),
        Is::Gone { at } => Some(Report::Gone { at: clamp(at), approved: observed.approved_at.is_some() }),
        Is::Failed { at, .. } => Some(Report::Failed { at: clamp(at) }),
        Is::Starting | Is::Running { .. } | Is::Off { .. } => None,
    })
}

/// An instance that was just told to start is not running because of what was seen before that order.
fn starting_generation(known: &Instance) -> i64 {
    match known.state {
        State::Starting { .. } => known.generation,
        _ => 0,
    }
}
