//! What can be bought now, for how long, and how much of it?

use crate::app::App;
use crate::call::Principal;
use crate::denied::Denied;
use crate::quota::Quota;
use crate::room::{host_for, takes_room};
use axum::Json;
use axum::extract::{Query, State};
use ebb_engine::fleet::Fleet;
use ebb_engine::placement::{Demand, plan_besides};
use ebb_engine::quote::Quote;
use ebb_engine::refusal::Refused;
use ebb_model::billing::Meter;
use ebb_model::catalog::{Catalog, Flavor, SpotOffer, SpotState};
use ebb_model::disk::Volume;
use ebb_model::id::HostId;
use ebb_model::instance::Purchase;
use ebb_model::money::Price;
use ebb_model::resources::Resources;
use ebb_model::time::{HOUR, Timestamp};
use ebb_store::rows::{instance, volume};
use ebb_wire::offer::{Limit, Offer};
use ebb_wire::problem::{Page, Problem};
use serde::Deserialize;
use std::collections::BTreeSet;

#[derive(Deserialize, utoipa::IntoParams)]
pub struct Which {
    /// Only of this zone.
    zone: Option<String>,
    /// Only of this flavor.
    flavor: Option<String>,
}

/// Spot blocks by zone and flavor: prices, how long they may last, and whether there is room now.
#[utoipa::path(get, path = "/v1/offers", operation_id = "list_offers", params(Which),
    responses((status = 200, body = Page<Offer>), (status = 422, body = Problem)))]
pub async fn list(
    State(app): State<App>,
    _: Principal,
    Query(which): Query<Which>,
) -> Result<Json<Page<Offer>>, Denied> {
    let catalog = &app.catalog;
    let short = |text: &str| text.chars().take(80).collect::<String>();
    if let Some(zone) = which.zone.as_deref().filter(|zone| catalog.zone(zone).is_none()) {
        return Err(Refused::UnknownZone(short(zone)).into());
    }
    if let Some(flavor) = which.flavor.as_deref().filter(|flavor| catalog.flavor(flavor).is_none()) {
        return Err(Refused::UnknownFlavor(short(flavor)).into());
    }
    app.zones_loaded().await?;
    let now = app.clock.now();
    let mut items = vec![];
    for zone in catalog.zones.iter().filter(|zone| which.zone.as_ref().is_none_or(|wanted| *wanted == zone.id)) {
        let flavors = catalog.flavors.iter().filter(|flavor| which.flavor.as_ref().is_none_or(|w| *w == flavor.id));
        for (flavor, spot) in flavors.filter_map(|flavor| Some((flavor, flavor.spot.as_ref()?))) {
            let offer = app.zones.with(catalog, &zone.id, |fleet| offer(fleet, catalog, &zone.id, (flavor, spot), now));
            items.push(offer);
        }
    }
    Ok(Json(Page { items, next: None }))
}

fn offer(fleet: &Fleet, catalog: &Catalog, zone: &str, (flavor, spot): (&Flavor, &SpotOffer), now: Timestamp) -> Offer {
    let (state, hours, periods) = spot.in_zone(zone);
    let resources = catalog.needs(flavor);
    let (hours_now, periods_now) = match state {
        SpotState::Normal => room_now(fleet, catalog, &resources, (hours, periods), &BTreeSet::new(), now),
        SpotState::SoldOut | SpotState::Off => (0, 0),
    };
    let state = if state == SpotState::Normal && hours_now == 0 { SpotState::SoldOut } else { state };
    Offer {
        zone: zone.to_owned(),
        flavor: flavor.id.clone(),
        state: state.name().to_owned(),
        prices: spot
            .prices
            .iter()
            .take(usize::try_from(hours).unwrap_or(0))
            .map(|prices| prices.at(now.second()).to_string())
            .collect(),
        hours,
        periods: if hours == 6 { periods } else { 1 },
        hours_now,
        periods_now,
    }
}

/// The longest block that there is room for now, in hours and periods.
fn room_now(
    fleet: &Fleet,
    catalog: &Catalog,
    resources: &Resources,
    (hours, periods): (i64, i64),
    without: &BTreeSet<HostId>,
    now: Timestamp,
) -> (i64, i64) {
    let fits = |hours: i64, periods: i64| {
        let purchase = Purchase::SpotBlock { price: Price::from_micros(0), hours, periods };
        let (disk_price, region) = (Price::from_micros(0), String::new());
        let block = Quote { purchase, resources: resources.clone(), disk_price, region };
        host_for(fleet, &catalog.limits, &block, without, now).is_some()
    };
    let Some(longest) = (1..=hours).rev().find(|hours| fits(*hours, 1)) else { return (0, 0) };
    if longest < 6 {
        return (longest, 1);
    }
    // Who has room for many periods has room for fewer.
    let (mut fit, mut beyond) = (1, periods + 1);
    while beyond - fit > 1 {
        let middle = fit + (beyond - fit) / 2;
        if fits(6, middle) {
            fit = middle;
        } else {
            beyond = middle;
        }
    }
    (longest, fit)
}

/// What a quote says about room: how it would be had, and how long a block may last now.
pub fn available(
    app: &App,
    zone: &str,
    flavor: &str,
    quote: &Quote,
    without: &BTreeSet<HostId>,
) -> (&'static str, Option<(i64, i64)>) {
    let (catalog, now) = (&app.catalog, app.clock.now());
    app.zones.with(catalog, zone, |fleet| {
        let free = host_for(fleet, &catalog.limits, quote, without, now).is_some();
        let takes = takes_room(&quote.purchase, &catalog.limits);
        let demand = Demand { account: None, resources: &quote.resources };
        let how = match free {
            true => "now",
            false if takes && plan_besides(fleet, &demand, now, catalog.limits.notice_seconds, without).is_some() => {
                "after-notice"
            }
            false => "no",
        };
        let spot = catalog.flavor(flavor).and_then(|flavor| flavor.spot.as_ref());
        let longest = spot.filter(|_| !quote.purchase.is_firm()).map(|spot| {
            let (_, hours, periods) = spot.in_zone(zone);
            room_now(fleet, catalog, &quote.resources, (hours, periods), without, now)
        });
        (how, longest)
    })
}

/// What the account has of what is limited.
#[utoipa::path(get, path = "/v1/limits", operation_id = "list_limits", responses((status = 200, body = Page<Limit>), (status = 400, body = Problem)))]
pub async fn limits(State(app): State<App>, who: Principal) -> Result<Json<Page<Limit>>, Denied> {
    let (id, now, shared) = (who.account()?, app.clock.now(), app.clone());
    let items = app.store.read(move |reads| async move {
        let limits = &shared.catalog.limits;
        let since = now.plus_seconds(-HOUR);
        let takings = reads.row(instance::takings(id, since)).await?.map_or(0, |row| row.int("takings"));
        let rows = reads.rows(instance::spot_of_account(id)).await?;
        let spot = instance::sum_spot(&rows);
        let volumes = reads.rows(volume::live_of_account(id)).await?;
        let volumes: Vec<Volume> = volumes.iter().map(volume::read).filter(Volume::is_kept).collect();
        let disks = || volumes.iter().filter(|one| one.meter() == Meter::DataDisk);
        let (count, gib) = (disks().count() as i64, disks().map(|one| one.gib).sum());
        let limit = |name: &str, used: i64, most: i64| Limit { name: name.to_owned(), used, most };
        let mut items = vec![];
        for quota in Quota::ALL {
            items.push(limit(quota.name(), quota.count(&reads, id).await?, quota.most(limits)));
        }
        items.push(limit("takings per hour", takings, limits.takings_per_hour));
        if let Some(sold) = &shared.catalog.data_disk {
            items.push(limit("data disks", count, limits.disks_per_account));
            items.push(limit("GiB of data disks", gib, limits.disk_gib_per_account));
            let snapshots = limit("snapshots", volumes.len() as i64 - count, limits.snapshots_per_account);
            items.extend(sold.snapshot.as_ref().map(|_| snapshots));
        }
        let of_spot = limits.spot_per_account.iter();
        items.extend(of_spot.map(|(kind, most)| limit(&format!("spot {kind}"), spot.get(kind), most)));
        Ok(items)
    });
    Ok(Json(Page { items: items.await?, next: None }))
}
