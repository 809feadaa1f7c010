//! Where does an order get its room, and a start after an economical stop: what is free, else what blocks give up, else nowhere? (rules §2.5, §2.12)

use crate::app::App;
use crate::denied::Denied;
use crate::routes::host::doing;
use crate::unit::{Outcome, Unit, refuse, settled_already};
use ebb_engine::fleet::Fleet;
use ebb_engine::placement::{
    Chosen, Decision, Demand, Room, Tenancy, cause_of, fits_on, place_among, plan_besides, plan_on,
};
use ebb_engine::quote::Quote;
use ebb_engine::refusal::Refused;
use ebb_engine::reserve::{Beside, Ordered, plan_beside};
use ebb_model::catalog::{Limits, SYSTEM_DISK};
use ebb_model::id::{AccountId, HostId, InstanceId};
use ebb_model::instance::{Cause, Instance, Purchase, State};
use ebb_model::resources::Resources;
use ebb_model::time::{HOUR, Timestamp};
use ebb_store::rows::host::{Host, LOST, RoomChange};
use ebb_store::rows::{host, instance, zone};
use ebb_store::{Halt, StoreError};
use std::collections::BTreeSet;

/// Where an instance begins its life, or goes on with it.
pub struct Begin {
    pub host: HostId,
    pub life: State,
    pub took_room: bool,
}

/// So many tries of an order trust the picture, and rather wait for others' commits than do without what those change.
const TRUSTED: u32 = 3;

/// So often the picture is read again while one order is placed; then somebody else is let go first.
pub const MOST_CORRECTIONS: usize = 64;

/// The data disks of an order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disks {
    /// Those that are there are on this host, where the instance must go.
    pub on: Option<HostId>,
    /// So many GiB more are to be beside it.
    pub more_gib: i64,
}

/// Takes free room, else plans reclaims for a firm order, else refuses. What its new disks need beside it must be free, or will be when
/// those have gone; it is taken by them.
pub async fn room_for(
    unit: &mut Unit,
    order: InstanceId,
    buyer: AccountId,
    zone: &str,
    quote: &Quote,
    image: &str,
    disks: Disks,
) -> Outcome<Begin> {
    let limits = unit.app.catalog.limits.clone();
    unit.take_turn(zone).await;
    unit.clear_doubts().await?;
    let without = unit.app.zones.without_image(zone, image).map_err(Denied::from)?;
    if disks.on.is_some_and(|host| without.contains(&host)) {
        return refuse(Refused::ImageNotBesideDisk(image.to_owned()));
    }
    let takes = takes_room(&quote.purchase, &limits);
    let together = quote.resources.plus(&Resources::of([(SYSTEM_DISK, disks.more_gib)]));
    let demand = Demand { account: Some(buyer), resources: &together };
    let room = match place_now(unit, zone, quote, &together, (disks.on, &without)).await? {
        Some((room, tenancy)) => Planned::Free(room, tenancy),
        None => match if takes { plan_beside_disks(unit, zone, &demand, disks, &without).await? } else { None } {
            Some(decision) => Planned::Cleared(decision),
            // What somebody seems to take may come to nothing.
            None if unit.tried <= TRUSTED && !unit.app.zones.all_ahead().is_empty() => return Err(ahead()),
            None => return refuse(no_room(zone, disks)),
        },
    };
    let (resources, zone, refusal) = (&quote.resources, zone.to_owned(), no_room(zone, disks));
    promise(unit, &Wanted { order, buyer, zone, resources, takes, refusal }, room, quote.purchase.is_firm()).await
}

fn no_room(zone: &str, disks: Disks) -> Refused {
    disks.on.map_or_else(|| Refused::NoCapacity(zone.to_owned()), |_| Refused::NoRoomBesideDisk)
}

/// The same where disks are, or will be; these have no room that is only being cleared.
async fn plan_beside_disks(
    unit: &mut Unit,
    zone: &str,
    demand: &Demand<'_>,
    disks: Disks,
    without: &BTreeSet<HostId>,
) -> Outcome<Option<Decision>> {
    let app = unit.app.clone();
    let decision = match disks.on {
        None => plan(unit, zone, demand, without).await?,
        Some(host) => {
            right_about(unit, zone, host).await?;
            let (now, notice) = (unit.now, app.catalog.limits.notice_seconds);
            app.zones.with(&app.catalog, zone, |fleet| plan_on(fleet, host, demand, now, notice))
        }
    };
    let now = Resources::of([(SYSTEM_DISK, demand.resources.get(SYSTEM_DISK))]);
    let fits = |decision: &Decision| {
        disks.more_gib == 0 || app.zones.with(&app.catalog, zone, |fleet| fits_on(fleet, decision.hosts[0].host, &now))
    };
    Ok(decision.filter(fits))
}

/// Room for a start after an economical stop: on the host that has the disk, and nowhere else (rules §2.12).
pub async fn room_again(unit: &mut Unit, stopped: &Instance) -> Outcome<Begin> {
    let app = unit.app.clone();
    look_where_its_disk_is(unit, stopped).await?;
    let takes = takes_room(&stopped.purchase, &app.catalog.limits);
    let (lacks, buyer) = (stopped.lacks(), stopped.account);
    let demand = Demand { account: Some(buyer), resources: &lacks };
    let (now, notice) = (unit.now, app.catalog.limits.notice_seconds);
    let (fits, plan) = app.zones.with(&app.catalog, &stopped.zone, |fleet| {
        let fits = fits_on(fleet, stopped.host, &lacks);
        let wants_plan = !fits && takes;
        (fits, wants_plan.then(|| plan_on(fleet, stopped.host, &demand, now, notice)).flatten())
    });
    let room = match plan {
        _ if fits => Planned::Free(unit.room_of(stopped.host).await?, Tenancy::Firm),
        Some(decision) => Planned::Cleared(decision),
        None => return refuse(Refused::NoRoomToStart),
    };
    let (order, zone) = (stopped.id, stopped.zone.clone());
    let wanted = Wanted { order, buyer, zone, resources: &lacks, takes, refusal: Refused::NoRoomToStart };
    promise(unit, &wanted, room, true).await
}

/// What an instance that has its room needs more of its host for another size must be free there, and nobody may have to go for it.
pub async fn room_to_grow(unit: &mut Unit, stopped: &Instance, to: &Resources) -> Outcome<()> {
    let more = to.minus(&stopped.used()).positive();
    if more.is_nothing() {
        return Ok(());
    }
    let app = unit.app.clone();
    look_where_its_disk_is(unit, stopped).await?;
    if !app.zones.with(&app.catalog, &stopped.zone, |fleet| fits_on(fleet, stopped.host, &more)) {
        return refuse(Refused::NoRoomToGrow);
    }
    let order = Ordered { by: stopped.account, host: stopped.host, resources: &more, victims: &[] };
    let reserve = beside_reserve(unit, &stopped.zone, &order).await?;
    if reserve.taking.is_some() {
        return refuse(Refused::NoRoomToGrow);
    }
    if reserve.takes_of_it {
        unit.write(zone::took_of_reserve(&stopped.zone, stopped.account, unit.now));
    }
    Ok(())
}

/// Whether the host that has its disk gives anything firm room now, and the truth about what it has.
async fn look_where_its_disk_is(unit: &mut Unit, stopped: &Instance) -> Outcome<()> {
    let row = unit.reads.row(host::by_id(stopped.host)).await?;
    let known = host::read(&row.expect("hosts are never deleted"));
    if let Some(host_is) = takes_nothing_firm(&unit.app, &known, unit.now) {
        return refuse(Refused::HostOfDisk { host_is });
    }
    unit.take_turn(&stopped.zone).await;
    unit.clear_doubts().await?;
    right_about(unit, &stopped.zone, stopped.host).await
}

/// Why nothing firm begins on a host now, in words, if that is so.
fn takes_nothing_firm(app: &App, known: &Host, now: Timestamp) -> Option<String> {
    let stance = app.stance(known, now);
    let (_, connected) = app.heard(known);
    let takes = known.state == "up" && connected && stance.open && stance.lent_until.is_none();
    (!takes).then(|| match known.state.as_str() {
        "up" if !connected => "away".to_owned(),
        "up" | LOST => doing(app, known, &stance),
        _ => "looked at by its operator".to_owned(),
    })
}

/// Makes the picture of one host what the database says.
async fn right_about(unit: &Unit, zone: &str, host: HostId) -> Outcome<()> {
    let app = unit.app.clone();
    let room = unit.room_of(host).await?;
    let agrees = || app.zones.with(&app.catalog, zone, |fleet| fleet.agrees(&room));
    if agrees() {
        return Ok(());
    }
    if app.zones.is_ahead(host) {
        return Err(ahead());
    }
    unit.read_host(host).await?;
    if agrees() { Ok(()) } else { Err(ahead()) }
}

/// An order for which room was found.
struct Wanted<'a> {
    order: InstanceId,
    buyer: AccountId,
    zone: String,
    resources: &'a Resources,
    /// Whether others may be made to go for it.
    takes: bool,
    /// If they may not and would have to.
    refusal: Refused,
}

/// Takes the room that was found, or claims it and gives notice to those who leave it; also to those who go so that the reserve fits
/// beside it.
async fn promise(unit: &mut Unit, wanted: &Wanted<'_>, room: Planned, firm: bool) -> Outcome<Begin> {
    let Wanted { order, buyer, ref zone, resources, takes, .. } = *wanted;
    let (host, victims) = match &room {
        Planned::Free(room, _) => (room.host, &[][..]),
        Planned::Cleared(decision) => (decision.hosts[0].host, &decision.hosts[0].victims[..]),
    };
    let reserve = if firm {
        beside_reserve(unit, zone, &Ordered { by: buyer, host, resources, victims }).await?
    } else {
        Beside::default()
    };
    let took_room = !victims.is_empty() || reserve.taking.is_some();
    if took_room && !takes {
        return refuse(wanted.refusal.clone());
    }
    if took_room {
        may_take(unit, buyer).await?;
    }
    let (life, tenancy) = match &room {
        Planned::Free(room, tenancy) => {
            unit.change_room(room, RoomChange::Take, resources);
            let life =
                State::Starting { give_up_at: unit.now.plus_seconds(unit.app.catalog.limits.boot_timeout_seconds) };
            (life, *tenancy)
        }
        Planned::Cleared(decision) => (claim(unit, zone, order, decision, resources, buyer).await?, Tenancy::Firm),
    };
    // After the room, as all others lock them.
    unit.open_still(host, tenancy).await?;
    make_good(unit, zone, order, buyer, reserve).await?;
    Ok(Begin { host, life, took_room })
}

/// Whether an order may make others go: a trial causes no reclaim unless the catalog says so, and a block never takes from a block.
pub fn takes_room(purchase: &Purchase, limits: &Limits) -> bool {
    match purchase {
        Purchase::OnDemand { .. } | Purchase::Subscription { .. } => true,
        Purchase::Trial { .. } => limits.trial_takes_room,
        Purchase::SpotBlock { .. } => false,
    }
}

/// Where an order can go.
enum Planned {
    Free(Room, Tenancy),
    Cleared(Decision),
}

/// So many orders of an account may make others go in an hour.
async fn may_take(unit: &Unit, buyer: AccountId) -> Outcome<()> {
    let most = unit.app.catalog.limits.takings_per_hour;
    let since = unit.now.plus_seconds(-HOUR);
    let takings = unit.reads.row(instance::takings(buyer, since)).await?.map_or(0, |row| row.int("takings"));
    if takings >= most { refuse(Refused::TooManyTakings { most }) } else { Ok(()) }
}

/// What an order does to the zone's reserve. Who must go for that goes by the commit of the order, so that it is known for whom:
/// nobody gains by taking from himself (rules §2.11).
pub async fn beside_reserve(unit: &Unit, zone: &str, order: &Ordered<'_>) -> Outcome<Beside> {
    let app = unit.app.clone();
    if app.catalog.zone(zone).is_none_or(|zone| zone.reserve.is_empty()) {
        return Ok(Beside::default());
    }
    for _ in 0..MOST_CORRECTIONS {
        let (now, notice) = (unit.now, app.catalog.limits.notice_seconds);
        let beside = app.zones.with(&app.catalog, zone, |fleet| plan_beside(fleet, order, now, notice));
        let beside = beside.ok_or_else(ahead)?;
        let mut right = true;
        for plan in beside.taking.iter().flat_map(|(decision, _)| &decision.hosts) {
            let room = unit.room_of(plan.host).await?;
            if !app.zones.with(&app.catalog, zone, |fleet| fleet.agrees(&room)) {
                right = false;
                if app.zones.is_ahead(plan.host) {
                    return Err(ahead());
                }
                unit.read_host(plan.host).await?;
            }
        }
        if right {
            return Ok(beside);
        }
    }
    Err(ahead())
}

/// Has those go who must for what an order took of the reserve; what nobody can give back is remembered.
pub async fn make_good(
    unit: &mut Unit,
    zone: &str,
    order: InstanceId,
    buyer: AccountId,
    reserve: Beside,
) -> Outcome<()> {
    if let Some((decision, chosen)) = &reserve.taking {
        take_all(unit, zone, Cause::Reserve, Some(order), (decision, chosen), &[buyer]).await?;
    }
    if reserve.takes_of_it {
        unit.write(zone::took_of_reserve(zone, buyer, unit.now));
    }
    Ok(())
}

/// Carries a decision out: keeps it, and gives notice to those who must go, for what the operator needs or for orders of `takers`.
pub async fn take_all(
    unit: &mut Unit,
    zone: &str,
    cause: Cause,
    order: Option<InstanceId>,
    (decision, chosen): (&Decision, &[Chosen]),
    takers: &[AccountId],
) -> Outcome<()> {
    let mut persons = vec![];
    for taker in takers {
        persons.push(unit.person(*taker).await?);
    }
    let (mut victims, mut told) = (vec![], vec![]);
    for one in chosen {
        // One that is being bought is not there yet.
        let row = unit.reads.row(instance::by_id(one.id)).await?.ok_or_else(ahead)?;
        let victim = instance::read(&row);
        let cause = cause_of(cause, unit.person(victim.account).await?, &persons);
        told.push((*one, cause));
        victims.push((victim, cause));
    }
    unit.decide(zone, cause, order, decision, &told);
    let seen: Vec<Instance> = victims.iter().map(|(victim, _)| victim.clone()).collect();
    match unit.take(victims, decision.deadline).await {
        // Somebody else took one of them since the plan was made; it is made again.
        Err(Halt::Refused(denied)) if settled_already(&denied) => {
            unit.app.zones.hear(&unit.app.catalog, &seen);
            Err(ahead())
        }
        taken => taken,
    }
}

/// The host that has free room for an order now, and is none of those without its image.
pub fn host_for(
    fleet: &Fleet,
    limits: &Limits,
    quote: &Quote,
    without: &BTreeSet<HostId>,
    now: Timestamp,
) -> Option<HostId> {
    let among = |host| !without.contains(&host);
    tenancies(quote, now, limits).find_map(|tenancy| place_among(fleet, &quote.resources, tenancy, among))
}

/// Whether a block finds room only where its lease goes beyond the next return of its host.
pub fn only_beyond_return(
    fleet: &Fleet,
    limits: &Limits,
    quote: &Quote,
    without: &BTreeSet<HostId>,
    now: Timestamp,
) -> bool {
    let fits = |tenancy| place_among(fleet, &quote.resources, tenancy, |host| !without.contains(&host)).is_some();
    let found = tenancies(quote, now, limits).find(|tenancy| fits(*tenancy));
    matches!(found, Some(Tenancy::Block { beyond_return: true, .. }))
}

/// For how long an order wants its room, the way that is tried first before all: where a lease fits before the host's return, else
/// where it is sold though it does not (rules §2.13).
fn tenancies(quote: &Quote, now: Timestamp, limits: &Limits) -> impl Iterator<Item = Tenancy> {
    let block = match quote.purchase {
        Purchase::SpotBlock { hours, periods, .. } => {
            Some(now.plus_seconds(limits.boot_timeout_seconds + hours * periods * HOUR))
        }
        _ => None,
    };
    let way = move |beyond_return| match block {
        Some(until) => Tenancy::Block { until, beyond_return },
        None => Tenancy::Firm,
    };
    std::iter::once(way(false)).chain((block.is_some() && limits.sell_beyond_return).then(|| way(true)))
}

/// Free room for an order, if there is any, and for how long it is there.
async fn place_now(
    unit: &mut Unit,
    zone: &str,
    quote: &Quote,
    resources: &Resources,
    among: (Option<HostId>, &BTreeSet<HostId>),
) -> Outcome<Option<(Room, Tenancy)>> {
    let limits = unit.app.catalog.limits.clone();
    for tenancy in tenancies(quote, unit.now, &limits) {
        if let Some(room) = find_free(unit, zone, resources, tenancy, among).await? {
            return Ok(Some((room, tenancy)));
        }
    }
    Ok(None)
}

/// The host on which a demand fits now, any or a certain one and none of those that lack its image, with its room as the database has it. That it fits is guarded when it is
/// taken.
pub async fn find_free(
    unit: &mut Unit,
    zone: &str,
    resources: &Resources,
    tenancy: Tenancy,
    (on, without): (Option<HostId>, &BTreeSet<HostId>),
) -> Outcome<Option<Room>> {
    let app = unit.app.clone();
    for _ in 0..MOST_CORRECTIONS {
        let here = |host| on.is_none_or(|on| on == host) && !without.contains(&host);
        let found = app.zones.with(&app.catalog, zone, |fleet| place_among(fleet, resources, tenancy, here));
        let Some(host) = found else { return Ok(None) };
        let room = unit.room_of(host).await?;
        // What was tried again and again perhaps believes something wrong.
        let wrong = unit.tried > TRUSTED && !app.zones.is_ahead(host);
        if !wrong || app.zones.with(&app.catalog, zone, |fleet| fleet.agrees(&room)) {
            return Ok(Some(room));
        }
        unit.read_host(host).await?;
    }
    Err(ahead())
}

/// The reclaims that would make room on one host that does not lack the image; what they are based on is what the database says of it.
pub async fn plan(
    unit: &mut Unit,
    zone: &str,
    demand: &Demand<'_>,
    without: &BTreeSet<HostId>,
) -> Outcome<Option<Decision>> {
    let (app, mut busy) = (unit.app.clone(), BTreeSet::new());
    for _ in 0..MOST_CORRECTIONS {
        let (now, notice) = (unit.now, app.catalog.limits.notice_seconds);
        let besides = busy.union(without).copied().collect();
        let planned = app.zones.with(&app.catalog, zone, |fleet| plan_besides(fleet, demand, now, notice, &besides));
        let Some(decision) = planned else { return if busy.is_empty() { Ok(None) } else { Err(ahead()) } };
        let host = decision.hosts[0].host;
        let room = unit.room_of(host).await?;
        if app.zones.with(&app.catalog, zone, |fleet| fleet.agrees(&room)) {
            return Ok(Some(decision));
        }
        // The picture of the host is not what the database says: it is read again, or somebody is about to commit there. That is
        // waited for; one that had to wait again and again takes the best of the others.
        match app.zones.is_ahead(host) {
            true if unit.tried <= TRUSTED => return Err(ahead()),
            true => busy.extend(app.zones.all_ahead()),
            false => unit.read_host(host).await?,
        }
    }
    Err(ahead())
}

fn ahead() -> Halt<Denied> {
    Halt::Store(StoreError::Ahead)
}

/// Promises room that is being cleared, and gives notice to those who clear it.
pub async fn claim(
    unit: &mut Unit,
    zone: &str,
    order: InstanceId,
    decision: &Decision,
    resources: &Resources,
    taker: AccountId,
) -> Outcome<State> {
    let room = unit.room_of(decision.hosts[0].host).await?;
    unit.change_room(&room, RoomChange::Claim, resources);
    take_all(unit, zone, Cause::Capacity, Some(order), (decision, &decision.chosen()), &[taker]).await?;
    let give_up_at = decision.deadline.plus_seconds(unit.app.catalog.limits.firm_wait_seconds);
    Ok(State::Waiting { give_up_at, asked_at: None })
}
