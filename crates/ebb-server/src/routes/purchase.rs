//! How is an instance bought?

use super::catalog::order;
use super::instance::{checked_tags, keep, least_seconds, shown, with_groups, with_public};
use super::json;
use super::sale;
use crate::address::priced;
use crate::app::App;
use crate::bandwidth;
use crate::call::{Call, checked_name};
use crate::cap;
use crate::denied::Denied;
use crate::room::{Disks, room_for};
use crate::security_group;
use crate::unit::{Outcome, Unit, refuse};
use crate::volume::{New, cost_more};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::disk::Input;
use ebb_engine::event::Event;
use ebb_engine::outlays;
use ebb_engine::price::of_order;
use ebb_engine::quote::{Order, quote};
use ebb_engine::refusal::Refused;
use ebb_model::billing::Meter;
use ebb_model::catalog::SYSTEM_DISK;
use ebb_model::disk::DISKS_PER_INSTANCE;
use ebb_model::id::{AccountId, DiskId, InstanceId};
use ebb_model::instance::{Instance, Keep, Purchase, State as Life};
use ebb_store::Decision;
use ebb_store::rows::instance::Seen;
use ebb_store::rows::{account, instance, person};
use ebb_wire::instance as wire;
use ebb_wire::problem::Problem;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const LARGEST_USER_DATA: usize = 32 << 10;

/// A checked request to buy.
struct Wanted {
    order: Order,
    name: String,
    tags: BTreeMap<String, String>,
    keep: Keep,
    key_pair: Option<String>,
    user_data: Option<String>,
    public_ip: bool,
    mbit: Option<i64>,
    security_groups: Vec<String>,
    /// New ones, by name and GiB.
    data_disks: Vec<(String, i64)>,
    attach: Vec<DiskId>,
}

/// Buys an instance. A firm order that finds no room takes it from spot blocks and waits for it as `pending`.
#[utoipa::path(post, path = "/v1/instances", tag = "instance", operation_id = "buy_instance", request_body = wire::Buy,
    responses((status = 201, body = wire::Instance), (status = 402, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub async fn buy(State(app): State<App>, call: Call<wire::Buy>) -> Result<Response, Denied> {
    let id = call.principal.member()?;
    let buy = &call.body;
    let name = match &buy.name {
        Some(name) => checked_name("name", name)?,
        None => buy.flavor.chars().take(60).collect(),
    };
    if let Some(data) = &buy.user_data {
        if data.len() > LARGEST_USER_DATA {
            return Err(Denied::BadInput(format!("user_data: at most 32 KiB, {} bytes given", data.len())));
        }
        if data.contains('\0') {
            return Err(Denied::BadInput("user_data: it contains a NUL character".to_owned()));
        }
    }
    let key_pair = buy.key_pair.as_ref().map(|name| checked_name("key_pair", name)).transpose()?;
    let user_data = buy.user_data.clone();
    let tags = checked_tags(&buy.tags)?;
    let keep = keep(Keep::default(), buy.keep_data_disks, buy.keep_public_ip);
    let mut data_disks = vec![];
    for (at, disk) in buy.data_disks.iter().enumerate() {
        let of =
            disk.name.clone().unwrap_or_else(|| format!("{} {}", name.chars().take(90).collect::<String>(), at + 1));
        data_disks.push((checked_name("data_disks", &of)?, disk.gib));
    }
    let attach = buy.attach.iter().map(|id| id.parse().map_err(|_| Denied::not_found("data disk", id)));
    let attach: BTreeSet<DiskId> = attach.collect::<Result<_, Denied>>()?;
    let mbit = buy.public_ip_mbit;
    if mbit.is_some() && !buy.public_ip {
        return Err(Denied::BadInput(
            "public_ip_mbit: it belongs to a public address; ask for `public_ip`, too".to_owned(),
        ));
    }
    let wanted = Arc::new(Wanted {
        order: order(&app, buy)?,
        name,
        tags,
        keep,
        key_pair,
        user_data,
        public_ip: buy.public_ip,
        mbit,
        security_groups: buy.security_groups.clone(),
        data_disks,
        attach: attach.into_iter().collect(),
    });
    app.zones_loaded().await?;
    let answer = call.once(&app, "buy", id, move |unit| purchase(unit, id, wanted.clone()));
    Ok(json(StatusCode::CREATED, answer.await?))
}

async fn purchase(mut unit: Unit, id: AccountId, wanted: Arc<Wanted>) -> Outcome<Decision<wire::Instance>> {
    let app = unit.app.clone();
    let quote = quote(&app.catalog, &wanted.order, unit.now.second()).map_err(Denied::from)?;
    if wanted.public_ip {
        priced(&app.catalog, &wanted.order.zone).map_err(Denied::from)?;
    }
    let account = unit.account(id).await?.clone();
    let now = unit.now.second();
    if let Some(refused) = sale::refused(&app, &unit.reads, &account, &wanted.order.flavor, &quote, now).await? {
        return refuse(refused);
    }
    let mut bandwidth = None;
    if let Some(mbit) = wanted.mbit {
        if let Some(refused) = bandwidth::refused(&app, &unit.reads, &account, &quote.region, mbit, now).await? {
            return refuse(refused);
        }
        bandwidth = Some(bandwidth::sold(&app.catalog, &quote.region, mbit).map_err(Denied::from)?.times(mbit));
    }
    let key_pair = match &wanted.key_pair {
        Some(name) => match unit.reads.row(account::key_pair_named(id, name)).await? {
            Some(row) => Some(account::read_key_pair(&row)),
            None => return refuse(Denied::not_found("key pair", name)),
        },
        None => None,
    };
    let gib = quote.resources.get(SYSTEM_DISK);
    let custom = unit.custom_image(id, &wanted.order.image, gib).await?;
    let groups = match wanted.security_groups.as_slice() {
        [] => vec![],
        named => security_group::named(&unit, id, named).await?,
    };
    let new = InstanceId::new(app.mint.uuid(unit.now));
    let there = unit.disks_to_attach(id, &wanted.order.zone, &wanted.attach).await?;
    let disks: Vec<New> = wanted.data_disks.iter().map(|(name, gib)| New::blank(&app, unit.now, name, *gib)).collect();
    if disks.len() + there.len() > DISKS_PER_INSTANCE {
        return refuse(Refused::TooManyDisks { most: DISKS_PER_INSTANCE });
    }
    let also = sale::need(&app, &quote, &wanted.order.flavor, now);
    unit.may_have_volumes(id, &disks, Some(also), &quote.region).await?;
    let more_gib = disks.iter().map(|disk| disk.gib).sum();
    let on = Disks { on: there.first().map(|disk| disk.host), more_gib };
    let begin = room_for(&mut unit, new, id, &wanted.order.zone, &quote, &wanted.order.image, on).await?;
    if !disks.is_empty() {
        unit.keeps_volumes(begin.host).await?;
    }
    let least = least_seconds(&unit, begin.took_room);
    let tariff = of_order(&app.catalog, &quote.purchase, &wanted.order.flavor, gib, quote.disk_price);
    cap::permit(&mut unit, id, |spending, now| {
        let (compute, disk) = (&tariff.compute.prices, &tariff.disk.prices);
        outlays::begin(spending, quote.purchase, compute, Some(disk), now, least);
        if let Some(prices) = bandwidth {
            outlays::cost_more(spending, Meter::Bandwidth, prices, now);
        }
        cost_more(spending, &app.catalog, &disks, now);
    })
    .await?;
    let new = Instance {
        id: new,
        account: id,
        name: wanted.name.clone(),
        zone: wanted.order.zone.clone(),
        host: begin.host,
        flavor: wanted.order.flavor.clone(),
        image: wanted.order.image.clone(),
        key_pair: key_pair.as_ref().map(|pair| pair.id),
        resources: quote.resources.clone(),
        purchase: quote.purchase,
        disk_price: quote.disk_price,
        created_at: unit.now,
        tags: wanted.tags.clone(),
        keep: wanted.keep,
        has_room: !matches!(begin.life, Life::Waiting { .. }),
        took_room: begin.took_room,
        first_running: None,
        in_use_since: None,
        end_announced: false,
        disk_revision: 0,
        frozen_since: None,
        generation: 1,
        state: begin.life,
    };
    if let Some(image) = &custom {
        unit.bring_image(image.id, new.host).await?;
    }
    unit.create(&new);
    let region = app.catalog.region(&quote.region).expect("the region of a zone that is sold in");
    let place = unit.place(new.id, id, region).await?;
    let group_ids = security_group::chosen(id, &groups);
    unit.write(instance::furnish(new.id, &place, &group_ids));
    if let Some(data) = &wanted.user_data {
        unit.write(instance::insert_user_data(new.id, data));
    }
    // Counted under the account's generation, so that two purchases at once cannot both pass a limit.
    let person = unit.change_account(id).await?.person;
    // A claim of the person that is decided at the same time sees the order, or comes before it.
    if let Some(person) = person.filter(|_| !matches!(quote.purchase, Purchase::Trial { .. })) {
        unit.guard(person::touch(person));
    }
    if app.catalog.limits.hold || !quote.purchase.is_metered() {
        let since = unit.now.second();
        unit.hold(id, new.id, quote.hold(), since).await?;
    }
    let waits = matches!(new.state, Life::Waiting { .. });
    let (zone, flavor, purchase, disk_price) = (new.zone.clone(), new.flavor.clone(), new.purchase, new.disk_price);
    let took_room = new.took_room;
    unit.log(id, Some(new.id), &Event::Bought { zone, flavor, purchase, disk_price, waits, took_room });
    if !group_ids.is_empty() {
        unit.log(id, Some(new.id), &Event::SecurityGroupsChosen { groups: group_ids.clone() });
    }
    let mut data_disks = vec![];
    for disk in disks {
        let place = (quote.region.as_str(), new.zone.as_str(), new.host);
        data_disks.push(unit.create_volume(id, place, disk, Some(new.id)).await?.id.to_string());
    }
    for disk in &there {
        data_disks.push(unit.step_volume(disk, &Input::Attach { to: new.id }).await?.id.to_string());
    }
    data_disks.sort();
    if !data_disks.is_empty() && !waits {
        // After the orders about them, so that its host hears of them first.
        unit.order(&new);
    }
    let address = match wanted.public_ip {
        true => Some(unit.allocate_address(id, &quote.region, wanted.mbit, Some(&new)).await?),
        false => None,
    };
    let seen = Seen { place: Some(place), security_groups: group_ids, ..Seen::default() };
    let answer = shown(&new, &seen, None, key_pair.map(|pair| pair.name));
    let answer = with_groups(with_public(answer, address.as_slice()), &groups);
    Ok(unit.done(wire::Instance { data_disks, ..answer }))
}
