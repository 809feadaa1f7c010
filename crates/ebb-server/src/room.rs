//! Where does a new order get its room: what is free, else what blocks give up, else nowhere? (rules §2.5, §2.12)

use crate::denied::Denied;
use crate::unit::{Outcome, Unit, refuse, settled_already};
use ebb_engine::fleet::Fleet;
use ebb_engine::placement::{Decision, Demand, Room, Tenancy, cause_of, place, plan_besides};
use ebb_engine::quote::Quote;
use ebb_engine::refusal::Refused;
use ebb_model::catalog::Limits;
use ebb_model::id::{AccountId, HostId, InstanceId};
use ebb_model::instance::{Cause, Instance, Purchase, State};
use ebb_model::resources::Resources;
use ebb_model::time::{HOUR, Timestamp};
use ebb_store::rows::host::RoomChange;
use ebb_store::rows::instance;
use ebb_store::{Halt, StoreError};
use std::collections::BTreeSet;

/// Where a new instance begins its life.
pub struct Begin {
    pub host: HostId,
    pub life: State,
    pub took_room: bool,
}

/// So many tries of an order trust the picture.
const TRUSTED: u32 = 3;

/// Hosts of which the picture turned out wrong while one order was placed; then somebody else is let go first.
pub const MOST_CORRECTIONS: usize = 64;

/// Takes free room, else plans reclaims for a firm order, else refuses.
pub async fn room_for(
    unit: &mut Unit,
    order: InstanceId,
    buyer: AccountId,
    zone: &str,
    quote: &Quote,
) -> Outcome<Begin> {
    let limits = unit.app.catalog.limits.clone();
    unit.clear_doubts().await?;
    if let Some(host) = place_now(unit, zone, quote).await? {
        let give_up_at = unit.now.plus_seconds(limits.boot_timeout_seconds);
        return Ok(Begin { host, life: State::Starting { give_up_at }, took_room: false });
    }
    // A trial causes no reclaim unless the catalog says so, and a block never takes from a block.
    let takes = match quote.purchase {
        Purchase::OnDemand { .. } => true,
        Purchase::Trial { .. } => limits.trial_takes_room,
        Purchase::SpotBlock { .. } => false,
    };
    if !takes {
        return refuse(Refused::NoCapacity(zone.to_owned()));
    }
    let demand = Demand { account: Some(buyer), resources: &quote.resources };
    let Some(decision) = plan(unit, zone, &demand).await? else {
        return refuse(Refused::NoCapacity(zone.to_owned()));
    };
    let best = &decision.hosts[0];
    let (host, took_room) = (best.host, !best.victims.is_empty());
    if took_room {
        let since = unit.now.plus_seconds(-HOUR);
        let takings = unit.reads.row(instance::takings(buyer, since)).await?.map_or(0, |row| row.int("takings"));
        if takings >= limits.takings_per_hour {
            return refuse(Refused::TooManyTakings { most: limits.takings_per_hour });
        }
    }
    unit.decide(zone, Cause::Capacity, Some(order), &decision, &decision.chosen());
    let life = claim(unit, &decision, &demand, buyer).await?;
    Ok(Begin { host, life, took_room })
}

/// The host that has free room for an order now.
pub fn host_for(fleet: &Fleet, limits: &Limits, quote: &Quote, now: Timestamp) -> Option<HostId> {
    let place = |tenancy| place(fleet, &quote.resources, tenancy);
    place(tenancy(quote, now, limits)).or_else(|| beyond_return(fleet, quote, now, limits).and_then(place))
}

/// A block that is sold though its host goes back to its owner before its lease ends. Nothing is sold into a shortage.
fn beyond_return(fleet: &Fleet, quote: &Quote, now: Timestamp, limits: &Limits) -> Option<Tenancy> {
    let Tenancy::Block { until } = tenancy(quote, now, limits) else { return None };
    (limits.sell_beyond_return && !fleet.short_before(until)).then_some(Tenancy::Block { until: now })
}

/// Free room for an order, if there is any; it is taken. Where its lease fits before the host's return, else where it is sold though
/// it does not.
async fn place_now(unit: &mut Unit, zone: &str, quote: &Quote) -> Outcome<Option<HostId>> {
    let limits = unit.app.catalog.limits.clone();
    let mut free = find_free(unit, zone, &quote.resources, tenancy(quote, unit.now, &limits)).await?;
    if free.is_none() {
        let (app, now) = (unit.app.clone(), unit.now);
        let beyond = app.zones.with(&app.catalog, zone, |fleet| beyond_return(fleet, quote, now, &limits));
        if let Some(tenancy) = beyond {
            free = find_free(unit, zone, &quote.resources, tenancy).await?;
        }
    }
    let Some(room) = free else { return Ok(None) };
    unit.change_room(&room, RoomChange::Take, &quote.resources);
    Ok(Some(room.host))
}

/// For how long an order wants its room.
pub fn tenancy(quote: &Quote, now: Timestamp, limits: &Limits) -> Tenancy {
    match quote.purchase {
        Purchase::SpotBlock { hours, periods, .. } => {
            Tenancy::Block { until: now.plus_seconds(limits.boot_timeout_seconds + hours * periods * HOUR) }
        }
        _ => Tenancy::Firm,
    }
}

/// The host on which a demand fits now, with its room as the database has it. That it fits is guarded when it is taken.
pub async fn find_free(unit: &mut Unit, zone: &str, resources: &Resources, tenancy: Tenancy) -> Outcome<Option<Room>> {
    let app = unit.app.clone();
    loop {
        let found = app.zones.with(&app.catalog, zone, |fleet| place(fleet, resources, tenancy));
        let Some(host) = found else { return Ok(None) };
        let room = unit.room_of(host).await?;
        // Whose guard was lost again and again believes something wrong.
        let wrong = unit.tried > TRUSTED && !app.zones.is_ahead(host);
        if !wrong || app.zones.with(&app.catalog, zone, |fleet| fleet.agrees(&room)) {
            return Ok(Some(room));
        }
        unit.read_host(host).await?;
    }
}

/// The reclaims that would make room on one host; what they are based on is what the database says of it.
pub async fn plan(unit: &mut Unit, zone: &str, demand: &Demand<'_>) -> Outcome<Option<Decision>> {
    let (app, mut busy) = (unit.app.clone(), BTreeSet::new());
    for _ in 0..MOST_CORRECTIONS {
        let (now, notice) = (unit.now, app.catalog.limits.notice_seconds);
        let planned = app.zones.with(&app.catalog, zone, |fleet| plan_besides(fleet, demand, now, notice, &busy));
        let Some(decision) = planned else { return if busy.is_empty() { Ok(None) } else { Err(contended()) } };
        let host = decision.hosts[0].host;
        let room = unit.room_of(host).await?;
        if app.zones.with(&app.catalog, zone, |fleet| fleet.agrees(&room)) {
            return Ok(Some(decision));
        }
        correct(unit, host, &mut busy).await?;
    }
    Err(contended())
}

/// The picture of a host is not what the database says: it is read again, or left aside while others are about to commit there.
async fn correct(unit: &Unit, host: HostId, busy: &mut BTreeSet<HostId>) -> Outcome<()> {
    if unit.app.zones.is_ahead(host) {
        busy.insert(host);
        return Ok(());
    }
    unit.read_host(host).await
}

fn contended() -> Halt<Denied> {
    Halt::Store(StoreError::Contended)
}

/// Promises room that is being cleared, and gives notice to those who clear it.
pub async fn claim(unit: &mut Unit, decision: &Decision, demand: &Demand<'_>, taker: AccountId) -> Outcome<State> {
    let best = &decision.hosts[0];
    let room = unit.room_of(best.host).await?;
    unit.change_room(&room, RoomChange::Claim, demand.resources);
    let taker = unit.person(taker).await?;
    let mut victims = vec![];
    for id in &best.victims {
        let victim = unit.instance(*id).await?;
        let cause = cause_of(unit.person(victim.account).await?, taker);
        victims.push((victim, cause));
    }
    let chosen: Vec<Instance> = victims.iter().map(|(victim, _)| victim.clone()).collect();
    match unit.take(victims, decision.deadline).await {
        // Somebody else took one of them since the plan was made; it is made again.
        Err(Halt::Refused(denied)) if settled_already(&denied) => {
            unit.app.zones.hear(&unit.app.catalog, &chosen);
            return Err(contended());
        }
        taken => taken?,
    }
    let give_up_at = decision.deadline.plus_seconds(unit.app.catalog.limits.firm_wait_seconds);
    Ok(State::Waiting { give_up_at })
}
