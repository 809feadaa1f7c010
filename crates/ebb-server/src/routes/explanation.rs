//! Why a bill record says what it says: all that it came from, in figures and in words.

use super::adjustment::{left, of_record};
use crate::app::App;
use crate::call::Principal;
use crate::denied::Denied;
use axum::Json;
use axum::extract::{Path, State};
use ebb_engine::adjustment::Left;
use ebb_engine::explain::{self, Facts, HourOfGrant, Moved, Told};
use ebb_ledger::Place;
use ebb_model::billing::{Adjustment, BillRecord, ResourceId, Settled};
use ebb_model::id::{AccountId, RecordId};
use ebb_model::money::{Amount, EXACT_PER_UNIT, Exact};
use ebb_model::time::{Period, Second};
use ebb_model::traffic::TrafficRecord;
use ebb_model::trial::TrialGrant;
use ebb_model::volume::VolumeId;
use ebb_store::rows::{account, address, adjustment, bill, event, instance, traffic, volume};
use ebb_store::{Reads, Row, StoreError};
use ebb_wire::problem::Problem;
use ebb_wire::record as wire;

/// What a record came from: usage, price, dates, coverage, waiver, grant, pools, the entry that settled it, and what was given back.
#[utoipa::path(get, path = "/v1/records/{id}/explanation", operation_id = "explain_record", params(("id" = String, Path)),
    responses((status = 200, body = wire::Explanation), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn show(
    State(app): State<App>,
    who: Principal,
    Path(id): Path<String>,
) -> Result<Json<wire::Explanation>, Denied> {
    let id: RecordId = id.parse().map_err(|error| Denied::BadInput(format!("id: {error}")))?;
    let (shared, seen) = (app.clone(), who.clone());
    let explained = app.store.read(move |reads| async move {
        if let Some(row) = reads.row(bill::record_by_id(id)).await? {
            let record = bill::read_record(&row);
            return match seen.sees(record.charge.account) {
                true => of_time(&shared, &reads, record).await.map(Some),
                false => Ok(None),
            };
        }
        match reads.row(traffic::record_by_id(id)).await?.map(|row| traffic::read_record(&row)) {
            Some(record) if seen.sees(record.account) => of_traffic(&shared, &reads, record).await.map(Some),
            _ => Ok(None),
        }
    });
    explained.await?.map(Json).ok_or_else(|| Denied::not_found("record", id))
}

async fn of_time(app: &App, reads: &Reads, record: BillRecord) -> Result<wire::Explanation, StoreError> {
    let charge = &record.charge;
    let (of, calendar) = (charge.account, &app.catalog.time_zone);
    let known = match charge.instance() {
        Some(id) => reads.row(instance::by_id(id)).await?.map(|row| instance::read(&row)),
        None => None,
    };
    let name = known.as_ref().map_or_else(|| charge.resource.to_string(), |known| known.name.clone());
    let end = known.as_ref().and_then(|known| known.state.end());
    let span = reads.row(bill::span_by_id(charge.span)).await?.expect("spans are never deleted");
    let span = bill::read_span(&span);
    let id = match charge.resource {
        ResourceId::Disk(id) => Some(VolumeId::Disk(id)),
        ResourceId::Snapshot(id) => Some(VolumeId::Snapshot(id)),
        _ => None,
    };
    let events = match (charge.instance(), id) {
        (Some(id), _) => reads.rows(event::of_instance(of, id)).await?,
        (None, Some(id)) => reads.rows(event::of_volume(of, id)).await?,
        (None, None) => match charge.resource {
            ResourceId::Address(id) => reads.rows(event::of_address(of, id)).await?,
            _ => vec![],
        },
    };
    let volume = match id {
        Some(id) => reads.row(volume::by_id(id)).await?.map(|row| volume::read(&row)),
        None => None,
    };
    let name = volume.map_or(name, |volume| volume.name);
    let events: Vec<_> = events.iter().map(event::read_told).collect();
    let grant = reads.row(account::grant(of)).await?.map(|row| account::read_grant(&row));
    let given_back = of_record(reads, record.id).await?;
    let hour = match &grant {
        Some(grant) if charge.covered => Some(hour_of_grant(reads, &record, grant).await?),
        _ => None,
    };
    let (zone, currency) = (String::from(calendar.clone()), app.catalog.currency.clone());
    let facts = Facts {
        record: &record,
        span: &span,
        name: &name,
        flavor: known.as_ref().map(|known| known.flavor.as_str()),
        events: &events,
        end,
        grant: grant.as_ref(),
        hour,
        calendar,
        zone: &zone,
        currency: &currency,
    };
    let (kind, reason) = match span.settled {
        Settled::Hourly { .. } => ("hour", format!("hour {}", record.issued_at)),
        Settled::AtRelease { .. } => ("block", format!("block {}", charge.resource)),
        Settled::InAdvance { .. } => ("months", format!("subscription {} {}", charge.resource, span.since)),
    };
    let waiver = charge.waiver.map(|cause| wire::Waiver {
        reason: cause.name().to_owned(),
        since: end.and_then(|end| end.waived_since).map(|at| at.to_string()),
        until: end.map(|end| end.waived_until.unwrap_or(end.at).to_string()),
        notice_at: end.and_then(|end| end.notice).map(|notice| notice.notice_at.to_string()),
        deadline: end.and_then(|end| end.notice).map(|notice| notice.deadline.to_string()),
    });
    let hour_of_grant = grant.as_ref().zip(hour).map(|(grant, hour)| wire::HourOfGrant {
        hourly_cap: grant.cap().to_string(),
        paid_to_others: hour.paid_to_others.to_string(),
        left: hour.left.to_string(),
    });
    let (quantity, unit, per) = match charge.months {
        Some(months) => (months, "month", "month"),
        None => (charge.seconds(), "second", "hour"),
    };
    let price_since = match charge.months {
        Some(_) => record.issued_at.start(),
        None => explain::price_since(&facts).0,
    };
    let names = |bounds: Vec<explain::Bound>| bounds.iter().map(|bound| bound.name().to_owned()).collect();
    let shown = wire::Explanation {
        instance: charge.instance().map(|id| id.to_string()),
        resource: charge.resource.to_string(),
        address: None,
        meter: charge.meter.name().to_owned(),
        begins: names(explain::begins(&facts)),
        ends: names(explain::ends(&facts)),
        quantity: quantity.to_string(),
        unit: unit.to_owned(),
        price: charge.price.to_string(),
        price_per: per.to_owned(),
        price_since: price_since.to_string(),
        gross: charge.gross().to_string(),
        gross_exact: format!("{}/{EXACT_PER_UNIT}", charge.gross().units()),
        covered: charge.covered,
        waived: record.split.waived.to_string(),
        waiver,
        grant: record.split.grant.to_string(),
        hour_of_grant,
        pools: None,
        payable: record.split.payable.to_string(),
        ..blank(app, record.id, kind, charge.period)
    };
    let about = Settling { of, reason: &reason, given_back: &given_back, currency: &currency };
    finish(reads, shown, explain::of_time(&facts), about, left(reads, record.id, app.clock.now().second()).await?.0)
        .await
}

async fn of_traffic(app: &App, reads: &Reads, record: TrafficRecord) -> Result<wire::Explanation, StoreError> {
    let (charge, calendar, of) = (&record.charge, &app.catalog.time_zone, record.account);
    let known = reads.row(address::by_id(charge.address)).await?.expect("addresses are never deleted");
    let known = address::read(&known);
    let since = charge.period.since;
    let before = reads.row(traffic::used_between(of, calendar.month(since), since)).await?;
    let (_, before) = traffic::read_used(&before.expect("a sum is one row"));
    let given_back = of_record(reads, record.id).await?;
    let (zone, currency) = (String::from(calendar.clone()), app.catalog.currency.clone());
    let before_hour = (before.anywhere, before.overseas);
    let words = explain::of_traffic(&record, &known.region, known.overseas, before_hour, calendar, &zone, &currency);
    let paid = charge.paid();
    let shown = wire::Explanation {
        instance: None,
        resource: charge.address.to_string(),
        address: Some(charge.address.to_string()),
        meter: "traffic".to_owned(),
        begins: vec!["clock-hour".to_owned()],
        ends: vec!["clock-hour".to_owned()],
        quantity: charge.quantity.to_string(),
        unit: "GB".to_owned(),
        price: charge.price.to_string(),
        price_per: "GB".to_owned(),
        price_since: known.allocated_at.to_string(),
        gross: paid.total().to_string(),
        gross_exact: format!("{}/1000000000000", paid.total().units()),
        pools: Some(wire::Pools {
            anywhere: charge.anywhere.to_string(),
            overseas: charge.overseas.to_string(),
            anywhere_before: before.anywhere.to_string(),
            overseas_before: before.overseas.to_string(),
        }),
        payable: paid.payable.to_string(),
        ..blank(app, record.id, "traffic", charge.period)
    };
    let reason = format!("hour {}", record.issued_at);
    let about = Settling { of, reason: &reason, given_back: &given_back, currency: &currency };
    finish(reads, shown, words, about, left(reads, record.id, app.clock.now().second()).await?.0).await
}

/// What the entry that settled it moved, and what was given back of it.
struct Settling<'a> {
    of: AccountId,
    reason: &'a str,
    given_back: &'a [Adjustment],
    currency: &'a str,
}

async fn finish(
    reads: &Reads,
    shown: wire::Explanation,
    mut words: Vec<Told>,
    about: Settling<'_>,
    left: Left,
) -> Result<wire::Explanation, StoreError> {
    let lines = reads.rows(bill::entry_of(about.of, about.reason)).await?;
    let entry = lines.first().map(|first| entry(first, &lines));
    if let Some(entry) = &entry {
        let at = |wanted: Place| {
            let mine = entry.postings.iter().filter(|line| line.place == wanted.to_string());
            mine.map(|line| line.amount.parse::<Amount>().expect("an amount that was just written")).sum()
        };
        words.push(explain::payment(
            &Moved {
                entry: entry.id.clone(),
                reason: entry.reason.clone(),
                cash: at(Place::Cash(about.of)),
                debt: at(Place::Receivable(about.of)),
                rounding: at(Place::Rounding),
            },
            about.currency,
        ));
    }
    words.extend(explain::given_back(about.given_back, about.currency));
    let words = words.into_iter().map(|told| wire::Words { about: told.about.to_owned(), text: told.text }).collect();
    let adjustments = about.given_back.iter().map(super::adjustment::shown).collect();
    Ok(wire::Explanation { entry, adjustments, left: left.total().to_string(), words, ..shown })
}

fn entry(first: &Row, lines: &[Row]) -> wire::Entry {
    let posting = |row: &Row| {
        let (place, amount) =
            (row.opt_text("place")?.to_owned(), Amount::from_units(row.opt_int("amount")?).to_string());
        Some(wire::Posting { place, amount })
    };
    wire::Entry {
        id: first.text("id").to_owned(),
        reason: first.text("reason").to_owned(),
        at: Second::from_unix(first.int("at")).to_string(),
        postings: lines.iter().filter_map(posting).collect(),
    }
}

/// What every explanation has.
fn blank(app: &App, record: RecordId, kind: &str, period: Period) -> wire::Explanation {
    let (calendar, nothing) = (&app.catalog.time_zone, || Exact::ZERO.to_string());
    wire::Explanation {
        record: record.to_string(),
        kind: kind.to_owned(),
        currency: app.catalog.currency.clone(),
        resource: String::new(),
        instance: None,
        address: None,
        meter: String::new(),
        since: period.since.to_string(),
        until: period.until.to_string(),
        local_since: calendar.local(period.since),
        local_until: calendar.local(period.until),
        time_zone: calendar.clone().into(),
        begins: vec![],
        ends: vec![],
        quantity: String::new(),
        unit: String::new(),
        price: String::new(),
        price_per: String::new(),
        price_since: String::new(),
        gross: String::new(),
        gross_exact: String::new(),
        covered: false,
        waived: nothing(),
        waiver: None,
        grant: nothing(),
        hour_of_grant: None,
        pools: None,
        payable: nothing(),
        entry: None,
        adjustments: vec![],
        left: String::new(),
        words: vec![],
    }
}

/// How a grant stood in the clock hour of a record: what it had left then, and what it paid before it.
async fn hour_of_grant(reads: &Reads, record: &BillRecord, grant: &TrialGrant) -> Result<HourOfGrant, StoreError> {
    let (of, since) = (record.charge.account, record.charge.period.since.hour());
    let hour = Period { since, until: since.next_hour() };
    let before = reads.row(bill::granted_before(of, since)).await?.map_or(Exact::ZERO, |row| bill::read_granted(&row));
    let back = reads.rows(adjustment::of_account(of, "", i64::MAX)).await?;
    let back = back.iter().map(adjustment::read).filter(|one| one.open_since < hour.until);
    let back: Exact = back.map(|one| one.back.grant.exact()).sum();
    let others = reads.rows(bill::covered_of_hour(of, hour)).await?;
    let others = others.iter().map(bill::read_record).take_while(|other| other.id != record.id);
    let paid_to_others = others.map(|other| other.split.grant).sum();
    Ok(HourOfGrant { left: grant.issued - grant.revoked - before + back, paid_to_others })
}
