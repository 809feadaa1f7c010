//! What is for sale, and at which price?

use super::offer::available;
use super::sale;
use crate::address::priced;
use crate::app::App;
use crate::bandwidth;
use crate::call::{Call, Principal};
use crate::cap;
use crate::denied::Denied;
use crate::image;
use crate::room::only_beyond_return;
use crate::volume::{self, New};
use crate::voucher::Funds;
use axum::Json;
use axum::extract::State;
use ebb_engine::disk::may_be_sold;
use ebb_engine::fleet::Fleet;
use ebb_engine::ordered;
use ebb_engine::outlays;
use ebb_engine::price::{Tariff, of_order};
use ebb_engine::quote::{self, Order, PurchaseOption};
use ebb_engine::spending::Spending;
use ebb_model::billing::Meter;
use ebb_model::catalog::{SYSTEM_DISK, Trial};
use ebb_model::id::AccountId;
use ebb_model::money::{Amount, Price};
use ebb_model::price::Prices;
use ebb_model::price_book::items;
use ebb_model::time::Second;
use ebb_store::rows::account;
use ebb_wire::catalog::{Catalog, ComingPrice, DatedPrice, Flavor, Image, Quote, Refusal, TrialTerms, Zone};
use ebb_wire::instance::Buy;
use ebb_wire::problem::Problem;
use std::collections::BTreeSet;

/// The catalog: zones, flavors, prices, images and the trial's lists.
#[utoipa::path(get, path = "/v1/catalog", operation_id = "show_catalog", responses((status = 200, body = Catalog), (status = 401, body = Problem)))]
pub async fn show(State(app): State<App>, _: Principal) -> Json<Catalog> {
    let (catalog, now) = (&app.catalog, app.clock.now().second());
    let shown = |prices: &Prices| prices.at(now).to_string();
    let region = |id: &str| catalog.regions.iter().find(|region| region.id == id);
    let zones = catalog.zones.iter().map(|zone| Zone {
        id: zone.id.clone(),
        region: zone.region.clone(),
        region_name: region(&zone.region).map_or_else(String::new, |region| region.name.clone()),
        trial: catalog.trial.regions.contains(&zone.region),
        traffic: region(&zone.region).and_then(|region| region.traffic.as_ref()).map(shown),
        bandwidth: region(&zone.region).and_then(|region| region.bandwidth.as_ref()).map(shown),
        overseas: region(&zone.region).is_some_and(|region| region.overseas),
    });
    let holders = [("individual", &catalog.trial.individual), ("enterprise", &catalog.trial.enterprise)];
    let flavors = catalog.flavors.iter().map(|flavor| Flavor {
        id: flavor.id.clone(),
        resources: flavor.resources.iter().map(|(name, amount)| (name.to_owned(), amount)).collect(),
        on_demand: flavor.on_demand.as_ref().map(shown),
        subscription: catalog.month_price(flavor, catalog.system_disk.gib).as_ref().map(shown),
        spot: flavor.spot.iter().flat_map(|spot| &spot.prices).map(shown).collect(),
        spot_max_periods: flavor.spot.as_ref().map_or(0, |spot| spot.max_periods),
        trial: holders
            .iter()
            .filter(|(_, trial)| trial.flavors.contains(&flavor.id))
            .map(|(name, _)| (*name).to_owned())
            .collect(),
    });
    Json(Catalog {
        currency: catalog.currency.clone(),
        time_zone: catalog.time_zone.clone().into(),
        notice_seconds: catalog.limits.notice_seconds,
        drill_free_seconds: catalog.limits.drill_free_seconds,
        drills_per_day: catalog.limits.drills_per_day,
        taking_minimum_seconds: catalog.limits.taking_minimum_seconds,
        subscription_max_months: catalog.limits.subscription.max_months,
        subscription_keep_days: catalog.limits.subscription.keep_days,
        subscription_warn_days_before: catalog.limits.subscription.warn_days_before.iter().copied().collect(),
        firm_wait_seconds: catalog.limits.firm_wait_seconds,
        boot_timeout_seconds: catalog.limits.boot_timeout_seconds,
        voucher_warn_days: catalog.limits.voucher_warn_days,
        arrears_grace_days: catalog.limits.arrears.grace_days,
        arrears_window_days: catalog.limits.arrears.window_days,
        arrears_debt_limit: catalog.limits.arrears.debt_limit.to_string(),
        arrears_frozen_days: catalog.limits.arrears.frozen_days,
        arrears_warn_days_before: catalog.limits.arrears.warn_days_before.iter().copied().collect(),
        system_disk_gib: catalog.system_disk.gib,
        system_disk_price: shown(&catalog.disk_price()),
        zones: zones.collect(),
        flavors: flavors.collect(),
        trials: holders.iter().map(|(holder, trial)| terms(holder, trial)).collect(),
        trial_traffic_anywhere_gb: catalog.trial.traffic.anywhere_gb,
        trial_traffic_overseas_gb: catalog.trial.traffic.overseas_gb,
        trial_warn_below_percent: catalog.trial.warn_below_percent,
        hold: catalog.limits.hold,
        price_announce_days: catalog.prices.announce_days,
        as_of: now.to_string(),
        prices: dated(catalog),
        images: catalog.images.iter().map(image_of).collect(),
    })
}

/// Every price with its date, also those that are over.
fn dated(catalog: &ebb_model::catalog::Catalog) -> Vec<DatedPrice> {
    let all = items(catalog).into_iter().flat_map(|(item, prices)| {
        let all: Vec<_> = prices
            .iter()
            .map(|dated| DatedPrice {
                item: item.to_string(),
                flavor: item.flavor().map(str::to_owned),
                from: dated.from.map(|from| from.to_string()),
                price: dated.price.to_string(),
            })
            .collect();
        all
    });
    all.collect()
}

fn image_of(image: &ebb_model::catalog::Image) -> Image {
    Image { id: image.id.clone(), name: image.name.clone(), memory_mib: image.memory_mib }
}

fn terms(holder: &str, trial: &Trial) -> TrialTerms {
    let list = |flavors: &BTreeSet<String>| flavors.iter().cloned().collect::<Vec<_>>();
    TrialTerms {
        holder: holder.to_owned(),
        amount: trial.amount.to_string(),
        hourly_cap: trial.hourly_cap.to_string(),
        months: trial.months,
        flavors: list(&trial.flavors),
        flavors_in: trial.flavors_in.iter().map(|(region, flavors)| (region.clone(), list(flavors))).collect(),
    }
}

/// Prices an order without placing it.
#[utoipa::path(post, path = "/v1/quote", operation_id = "quote", request_body = Buy,
    responses((status = 200, body = Quote), (status = 422, body = Problem)))]
pub async fn quote(State(app): State<App>, call: Call<Buy>) -> Result<Json<Quote>, Denied> {
    let order = order(&app, &call.body)?;
    let asked = app.clock.now().second();
    let quote = quote::quote(&app.catalog, &order, asked)?;
    let gib = quote.resources.get(SYSTEM_DISK);
    image::quoted(&app, &call.principal, &order.image, gib).await?;
    let tariff = of_order(&app.catalog, &quote.purchase, &order.flavor, gib, quote.disk_price);
    let traffic = match (call.body.public_ip, call.body.public_ip_mbit) {
        (true, None) => Some(priced(&app.catalog, &order.zone)?),
        _ => None,
    };
    let beside = Beside::new(&app, &call.body, &quote.region, asked)?;
    app.zones_loaded().await?;
    let without = app.zones.without_image(&order.zone, &order.image)?;
    let (available, longest) = available(&app, &order.zone, &order.flavor, &quote, &without);
    let (limits, now, by_hour) = (&app.catalog.limits, app.clock.now(), quote.purchase.is_metered());
    let beyond = |fleet: &mut Fleet| only_beyond_return(fleet, limits, &quote, &without, now);
    let may_be_taken_back = app.zones.with(&app.catalog, &order.zone, beyond);
    let held = limits.hold || !by_hour;
    let (refused, hold_vouchers) = match call.principal.account {
        Some(id) => (
            refused_now(&app, id, &order.flavor, &quote, &beside, now.second()).await?,
            by_vouchers(&app, id, &order.flavor, &quote, now.second()).await?,
        ),
        None => (None, None),
    };
    Ok(Json(Quote {
        available: available.to_owned(),
        hours_now: longest.map(|(hours, _)| hours),
        periods_now: longest.map(|(_, periods)| periods),
        option: quote.purchase.option().to_owned(),
        currency: app.catalog.currency.clone(),
        price: quote.compared_price().to_string(),
        system_disk_price: if by_hour { quote.disk_price } else { Price::default() }.to_string(),
        price_per_hour_shown: if by_hour { quote.price() } else { Price::default() }
            .charge(ebb_model::time::HOUR)
            .to_cents(),
        months: call.body.months,
        months_shown: (!by_hour).then(|| ordered::total(&quote.purchase).to_cents()),
        whole_lease_shown: quote.whole_lease().map(|whole| whole.to_cents()),
        traffic_price: traffic.map(|(_, prices)| prices.at(asked).to_string()),
        data_disks_price: beside.disks(&app, asked).map(|price| price.to_string()),
        bandwidth_price: beside.bandwidth.as_ref().map(|(_, prices)| prices.at(asked).to_string()),
        hold: if held { quote.hold() } else { Amount::ZERO }.to_string(),
        hold_vouchers: hold_vouchers.filter(|_| held).map(|amount| amount.to_string()),
        may_be_taken_back,
        coming: coming(&tariff, asked),
        refused,
    }))
}

/// What is bought with an instance, and charged beside it.
#[derive(Clone)]
struct Beside {
    new: Vec<New>,
    bandwidth: Option<(i64, Prices)>,
}

impl Beside {
    /// # Errors
    /// It is not for sale.
    fn new(app: &App, buy: &Buy, region: &str, now: Second) -> Result<Beside, Denied> {
        let gib: Vec<i64> = buy.data_disks.iter().map(|disk| disk.gib).collect();
        may_be_sold(&app.catalog, &gib)?;
        let new = gib.iter().map(|gib| New::blank(app, now.start(), "", *gib)).collect();
        let bandwidth = match buy.public_ip_mbit.filter(|_| buy.public_ip) {
            Some(mbit) => Some((mbit, bandwidth::sold(&app.catalog, region, mbit)?.times(mbit))),
            None => None,
        };
        Ok(Beside { new, bandwidth })
    }

    /// What the data disks cost together.
    fn disks(&self, app: &App, now: Second) -> Option<Price> {
        let prices = app.catalog.data_disk.as_ref().filter(|_| !self.new.is_empty()).map(|sold| &sold.price)?;
        Some(prices.times(self.new.iter().map(|disk| disk.gib).sum()).at(now))
    }
}

/// What it will cost per hour from later dates on.
fn coming(tariff: &Tariff, now: Second) -> Vec<ComingPrice> {
    let both = tariff.compute.prices.plus(&tariff.disk.prices);
    let from = |(from, _): (Second, Price)| ComingPrice {
        from: from.to_string(),
        price: tariff.compute.prices.at(from).to_string(),
        system_disk_price: tariff.disk.prices.at(from).to_string(),
    };
    both.after(now).map(from).collect()
}

/// The price is told all the same: who is to top up, or to choose something smaller, wants to know it.
async fn refused_now(
    app: &App,
    id: AccountId,
    flavor: &str,
    quote: &quote::Quote,
    beside: &Beside,
    now: Second,
) -> Result<Option<Refusal>, Denied> {
    let (shared, flavor, quote, beside) = (app.clone(), flavor.to_owned(), quote.clone(), beside.clone());
    let refused = app.store.read(move |reads| async move {
        let Some(row) = reads.row(account::by_id(id)).await? else { return Ok(None) };
        let account = account::read(&row);
        if let Some(refused) = sale::refused(&shared, &reads, &account, &flavor, &quote, now).await? {
            return Ok(Some(refused));
        }
        if let Some((mbit, _)) = beside.bandwidth
            && let Some(refused) = bandwidth::refused(&shared, &reads, &account, &quote.region, mbit, now).await?
        {
            return Ok(Some(refused));
        }
        let also = sale::need(&shared, &quote, &flavor, now);
        if !beside.new.is_empty()
            && let Some(need) = volume::need(&shared.catalog, &beside.new, Some(also), &quote.region, now)
            && let Some(refused) = Funds::refused(&shared, &reads, &account, &need, now).await?
        {
            return Ok(Some(refused));
        }
        let begin = |spending: &mut Spending, now| {
            let gib = quote.resources.get(SYSTEM_DISK);
            let tariff = of_order(&shared.catalog, &quote.purchase, &flavor, gib, quote.disk_price);
            outlays::begin(spending, quote.purchase, &tariff.compute.prices, Some(&tariff.disk.prices), now, 0);
            volume::cost_more(spending, &shared.catalog, &beside.new, now);
            if let Some((_, prices)) = &beside.bandwidth {
                outlays::cost_more(spending, Meter::Bandwidth, prices.clone(), now);
            }
        };
        Ok(cap::against(&shared, &reads, &account, now, begin).await?.and_then(|(_, refused)| refused))
    });
    Ok(refused.await?.map(|refused| Refusal { code: refused.code().to_owned(), message: refused.to_string() }))
}

/// What the account's vouchers would pay of what buying needs; nothing is said of an account without any.
async fn by_vouchers(
    app: &App,
    id: AccountId,
    flavor: &str,
    quote: &quote::Quote,
    now: Second,
) -> Result<Option<Amount>, Denied> {
    let (shared, need) = (app.clone(), sale::need(app, quote, flavor, now));
    let read = app.store.read(move |reads| async move {
        let Some(row) = reads.row(account::by_id(id)).await? else { return Ok(None) };
        let funds = Funds::read(&shared, &reads, &account::read(&row), now).await?;
        Ok((!funds.vouchers.is_empty()).then(|| funds.by_vouchers(&need)))
    });
    Ok(read.await?)
}

/// The order that a request means.
pub fn order(app: &App, buy: &Buy) -> Result<Order, Denied> {
    let option = match buy.option.as_str() {
        "on-demand" => PurchaseOption::OnDemand,
        "trial" => PurchaseOption::Trial,
        "spot-block" => PurchaseOption::SpotBlock,
        "subscription" => match buy.months {
            Some(months) => PurchaseOption::Subscription { months },
            None => return Err(Denied::BadInput("months: say for how many months it is paid in advance".to_owned())),
        },
        other => {
            let other: String = other.chars().take(40).collect();
            let options = "on-demand, trial, spot-block or subscription";
            return Err(Denied::BadInput(format!("option `{other}`: it is {options}")));
        }
    };
    if buy.months.is_some() && buy.option != "subscription" {
        return Err(Denied::BadInput(format!("months: they belong to a subscription, not to {}", option.name())));
    }
    let short = |text: &String| text.chars().take(80).collect::<String>();
    let price = |text: &String| text.parse().map_err(|e| Denied::BadInput(format!("expected_price: {e}")));
    Ok(Order {
        zone: short(&buy.zone),
        flavor: short(&buy.flavor),
        image: buy.image.as_ref().map_or_else(|| app.catalog.images[0].id.clone(), short),
        option,
        hours: buy.hours,
        periods: buy.periods,
        expected_price: buy.expected_price.as_ref().map(price).transpose()?,
        auto_recovery: buy.auto_recovery,
    })
}
