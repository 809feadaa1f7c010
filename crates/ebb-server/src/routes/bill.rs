//! Bills and the log.

use super::account::Paging;
use super::voucher::{paid, paid_by};
use crate::app::App;
use crate::call::{Principal, Role};
use crate::denied::Denied;
use crate::work::hours::accruing;
use axum::Json;
use axum::extract::{Query, State};
use ebb_model::billing::{BillRecord, Charge, Split};
use ebb_model::id::RecordId;
use ebb_model::money::Exact;
use ebb_model::time::{Second, Timestamp};
use ebb_model::traffic::{TrafficCharge, TrafficPaid, TrafficRecord};
use ebb_model::voucher::Fine;
use ebb_store::rows::{account, bill as rows, event, traffic, voucher as voucher_rows};
use ebb_wire::account::{LoggedEvent, Parts};
use ebb_wire::address as wire;
use ebb_wire::bill::{Bill, Record};
use ebb_wire::problem::{Page, Problem};
use ebb_wire::voucher::VoucherPaid;
use serde::Deserialize;
use std::collections::BTreeMap;

const MOST_RECORDS: i64 = 100_000;

#[derive(Deserialize, utoipa::IntoParams)]
pub struct Span {
    /// Records that begin at or after this instant; the beginning if not given.
    since: Option<String>,
    /// Records that begin before this instant; now if not given.
    until: Option<String>,
    /// operator: whose
    #[serde(rename = "account")]
    _account: Option<String>,
}

/// The bill: what is settled, record by record, and what accrues to this second.
#[utoipa::path(get, path = "/v1/bills", operation_id = "show_bill", params(Span), responses((status = 200, body = Bill), (status = 400, body = Problem)))]
pub async fn bill(State(app): State<App>, who: Principal, Query(span): Query<Span>) -> Result<Json<Bill>, Denied> {
    let id = who.account()?;
    let instant = |what: &str, text: Option<String>, default: i64| match text {
        None => Ok::<_, Denied>(Second::from_unix(default)),
        Some(text) => {
            let at = text.parse::<Timestamp>().map_err(|error| Denied::BadInput(format!("{what}: {error}")))?;
            Ok(at.second())
        }
    };
    let (since, until) = (instant("since", span.since, 0)?, instant("until", span.until, i64::MAX)?);
    let (shared, now) = (app.clone(), app.clock.now().second());
    let bill = app.store.read(move |reads| async move {
        let Some(row) = reads.row(account::by_id(id)).await? else { return Ok(None) };
        let accruing = accruing(&shared, &reads, &account::read(&row), now).await?;
        let records = reads.rows(rows::records_of_account(id, since, until, MOST_RECORDS + 1)).await?;
        let truncated = records.len() as i64 > MOST_RECORDS;
        let shown_records = records.iter().take(MOST_RECORDS as usize);
        let records: Vec<BillRecord> = shown_records.map(rows::read_record).collect();
        let settled = records.iter().fold(Split::default(), |sum, record| sum.plus(record.split));
        let [hourly, flowing, of_blocks] = accruing.payments;
        let open_payments = hourly.iter().chain(&of_blocks);
        let open: Vec<(Charge, Split)> = accruing.hour.into_iter().chain(accruing.blocks).collect();
        let accrued = open.iter().fold(Split::default(), |sum, (_, split)| sum.plus(*split));
        let sent = reads.rows(traffic::records_of_account(id, since, until, MOST_RECORDS + 1)).await?;
        let truncated = truncated || sent.len() as i64 > MOST_RECORDS;
        let sent: Vec<TrafficRecord> = sent.iter().take(MOST_RECORDS as usize).map(traffic::read_record).collect();
        let sending = accruing.traffic.charges;
        let given_back = super::adjustment::of_account(&reads, id, MOST_RECORDS).await?;
        let given_back = given_back.iter().map(super::adjustment::shown).collect();
        let mut payments = BTreeMap::<RecordId, Vec<VoucherPaid>>::new();
        for (record, voucher, amount) in
            reads.rows(voucher_rows::payments_of(id, since, until)).await?.iter().map(voucher_rows::read_payment)
        {
            payments.entry(record).or_default().push(paid_by(voucher, amount));
        }
        let mut paid_of = |id: RecordId| payments.remove(&id).unwrap_or_default();
        Ok(Some(Bill {
            currency: shared.catalog.currency.clone(),
            records: records.iter().map(|one| Record { vouchers: paid_of(one.id), ..issued(one) }).collect(),
            accruing: open
                .iter()
                .zip(open_payments)
                .map(|((charge, split), payments)| Record { vouchers: paid(payments), ..shown(charge, split) })
                .collect(),
            traffic: sent
                .iter()
                .map(|one| wire::TrafficRecord { vouchers: paid_of(one.id), ..issued_traffic(one) })
                .collect(),
            traffic_accruing: sending
                .iter()
                .zip(&flowing)
                .map(|(charge, payments)| wire::TrafficRecord { vouchers: paid(payments), ..shown_traffic(charge) })
                .collect(),
            adjustments: given_back,
            truncated,
            settled_total: parts(settled, sent.iter().map(|record| record.charge.paid()).sum()),
            accruing_total: parts(accrued, sending.iter().map(TrafficCharge::paid).sum()),
            as_of: now.to_string(),
        }))
    });
    bill.await?.map(Json).ok_or_else(|| Denied::not_found("account", id))
}

/// The log, oldest first: an account's, or for an operator everybody's.
#[utoipa::path(get, path = "/v1/events", operation_id = "list_events", params(Paging), responses((status = 200, body = Page<LoggedEvent>)))]
pub async fn events(
    State(app): State<App>,
    who: Principal,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<LoggedEvent>>, Denied> {
    let query = match (who.role, who.account) {
        (Role::Operator, None) => event::page(&paging.after, paging.limit()),
        _ => event::of_account(who.account()?, &paging.after, paging.limit()),
    };
    let rows = app.store.rows(query).await?;
    let mut items: Vec<LoggedEvent> = rows.iter().map(|row| logged(event::read(row))).collect();
    if who.role != Role::Operator {
        // Whose else an account is, is the operator's business (rules §3.2).
        let bodies = items.iter_mut().filter_map(|event| event.body.as_object_mut());
        bodies.filter(|body| body["event"] == "account-linked").for_each(|body| drop(body.remove("person")));
    }
    Ok(Json(paging.page(items, |event| event.id.clone())))
}

pub fn logged(event: event::Logged) -> LoggedEvent {
    LoggedEvent {
        id: event.id.to_string(),
        account: event.account.to_string(),
        instance: event.instance.map(|id| id.to_string()),
        at: event.at.to_string(),
        body: serde_json::from_str(&event.body).expect("an event that this program wrote"),
    }
}

/// Time and traffic have exact units of their own, so what is posted of each is what can be added up.
pub fn parts(split: Split, traffic: TrafficPaid) -> Parts {
    let flowed = traffic != TrafficPaid::default();
    // Each rounded by itself like what is payable, so that the rest is what cash paid.
    let cash = (split.payable - split.vouchers).posted() + (traffic.payable - traffic.vouchers).posted();
    let payable = split.payable.posted() + traffic.payable.posted();
    let vouchers = Fine::of_time(split.vouchers) + Fine::of_traffic(traffic.vouchers);
    Parts {
        waived: split.waived.to_string(),
        grant: split.grant.to_string(),
        payable: payable.to_string(),
        vouchers: (vouchers > Fine::ZERO).then(|| (payable - cash).to_string()),
        traffic: flowed
            .then(|| wire::TrafficParts { pools: traffic.pools.to_string(), payable: traffic.payable.to_string() }),
    }
}

fn issued_traffic(record: &TrafficRecord) -> wire::TrafficRecord {
    wire::TrafficRecord {
        id: Some(record.id.to_string()),
        issued_at: Some(record.issued_at.to_string()),
        ..shown_traffic(&record.charge)
    }
}

fn shown_traffic(charge: &TrafficCharge) -> wire::TrafficRecord {
    wire::TrafficRecord {
        id: None,
        address: charge.address.to_string(),
        since: charge.period.since.to_string(),
        until: charge.period.until.to_string(),
        quantity: charge.quantity.to_string(),
        price: charge.price.to_string(),
        anywhere: charge.anywhere.to_string(),
        overseas: charge.overseas.to_string(),
        payable: charge.payable().to_string(),
        amount: charge.paid().payable.to_string(),
        vouchers: vec![],
        issued_at: None,
    }
}

fn issued(record: &BillRecord) -> Record {
    Record {
        id: Some(record.id.to_string()),
        issued_at: Some(record.issued_at.to_string()),
        ..shown(&record.charge, &record.split)
    }
}

fn shown(charge: &Charge, split: &Split) -> Record {
    let covered = if charge.covered { charge.gross() - split.waived } else { Exact::ZERO };
    Record {
        id: None,
        resource: charge.resource.to_string(),
        instance: charge.instance().map(|id| id.to_string()),
        meter: charge.meter.name().to_owned(),
        since: charge.period.since.to_string(),
        until: charge.period.until.to_string(),
        seconds: charge.seconds(),
        months: charge.months,
        price: charge.price.to_string(),
        amount: split.payable.to_string(),
        vouchers: vec![],
        waived: split.waived.to_string(),
        grant: split.grant.to_string(),
        covered: covered.to_string(),
        above_grant: (covered - split.grant).to_string(),
        reason: charge.waiver.map(|cause| cause.name().to_owned()),
        issued_at: None,
    }
}
