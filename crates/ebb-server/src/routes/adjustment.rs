//! Giving back: a record stays as it is, and something refers to it (rules §5.3).

use super::appeal::checked_text;
use super::json;
use crate::app::App;
use crate::call::Call;
use crate::denied::Denied;
use crate::unit::{Outcome, Unit};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::adjustment::{Left, entry, give_back, purse_after, voucher_after};
use ebb_engine::event::Event;
use ebb_model::billing::{Adjustment, GivenBack, ToVoucher};
use ebb_model::id::{AccountId, AdjustmentId, InstanceId, RecordId};
use ebb_model::money::Amount;
use ebb_model::time::Second;
use ebb_store::rows::{account, adjustment as rows, bill, traffic, trial, voucher};
use ebb_store::{Decision, Reads, StoreError};
use ebb_wire::problem::Problem;
use ebb_wire::record as wire;

const LONGEST_REASON: usize = 500;

/// Gives back what was paid of a record, or a part of it (operator): to what is owed, then to cash, to coupons and cards, and to the grant, as
/// far as each of them paid. The record stays as it is. It makes no room under a spending cap.
#[utoipa::path(post, path = "/v1/records/{id}/adjustments", operation_id = "adjust_record", params(("id" = String, Path)), request_body = wire::Adjust,
    responses((status = 201, body = wire::Adjustment), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn adjust(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::Adjust>,
) -> Result<Response, Denied> {
    call.principal.operator()?;
    let id: RecordId = id.parse().map_err(|error| Denied::BadInput(format!("id: {error}")))?;
    let amount: Amount = call.body.amount.parse().map_err(|error| Denied::BadInput(format!("amount: {error}")))?;
    if amount <= Amount::ZERO {
        return Err(Denied::BadInput(
            "amount: above 0; a record is corrected by giving back, never by charging more".to_owned(),
        ));
    }
    let reason = checked_text("reason", &call.body.reason, LONGEST_REASON)?;
    let rows = app.store.rows(bill::record_by_id(id)).await?;
    let rows = if rows.is_empty() { app.store.rows(traffic::record_by_id(id)).await? } else { rows };
    let Some(row) = rows.first() else { return Err(Denied::not_found("record", id)) };
    let of: AccountId = row.text("account_id").parse().expect("an id that this program wrote");
    let by = call.principal.key.clone();
    app.arrears_up_to_now(of).await?;
    // Under the account's name, so that it takes turns with others that change the account.
    let answer = call.once(&app, "adjust", of, move |unit| give(unit, of, id, amount, reason.clone(), by.clone()));
    Ok(json(StatusCode::CREATED, answer.await?))
}

async fn give(
    mut unit: Unit,
    of: AccountId,
    record: RecordId,
    amount: Amount,
    reason: String,
    by: String,
) -> Outcome<Decision<wire::Adjustment>> {
    // Of two who give back of one record, or one who closes an hour meanwhile, one sees the other by the account's generation.
    let purse = unit.change_account(of).await?.purse;
    let open_since = unit.open_since(of).await?.unwrap_or(Second::from_unix(0));
    let (left, about) = left(&unit.reads, record, unit.now.second()).await?;
    let ending = trial::read_ending(unit.reads.row(trial::ending(of)).await?.as_ref());
    let back = match give_back(amount, &left, purse, ending.expired.is_some()) {
        Ok(back) => back,
        Err(refused) => return crate::unit::refuse(refused),
    };
    unit.change_account(of).await?.purse = purse_after(purse, &back);
    if back.granted() > Amount::ZERO {
        let row = unit.reads.row(account::grant(of)).await?.expect("what a grant paid, a grant was there for");
        let used = account::read_grant(&row).used - back.granted().exact();
        unit.write(account::use_grant(of, used));
        unit.write(trial::expire_more(of, back.expired.exact()));
        // It lasts longer, or its end came later.
        unit.look_after_trial(of);
        unit.look_after_cap(of);
    }
    for to in &back.vouchers {
        let row = unit.reads.row(voucher::by_id(to.voucher)).await?.expect("vouchers are never deleted");
        unit.change_voucher(&voucher_after(voucher::read(&row), to));
        // It may have been used up, and have something to expire again.
        unit.look_after_vouchers(of);
    }
    let (id, at) = (AdjustmentId::new(unit.app.mint.uuid(unit.now)), unit.now);
    unit.post(of, &format!("adjustment {id}"), &entry(of, &back), at.second());
    let given = Adjustment { id, account: of, record, at, back, open_since, reason: reason.clone(), by: by.clone() };
    unit.write(rows::insert(&given));
    rows::insert_vouchers(&given).for_each(|row| unit.write(row));
    let back = given.back.clone();
    unit.log(of, about, &Event::Adjusted { adjustment: id, record, amount, back, reason, by });
    unit.after_repayment(of, purse.debt).await?;
    Ok(unit.done(shown(&given)))
}

/// What of a record can still be given back, and of which instance it is.
pub async fn left(reads: &Reads, id: RecordId, now: Second) -> Result<(Left, Option<InstanceId>), StoreError> {
    let before = of_record(reads, id).await?.into_iter().map(|one| one.back);
    let before = before.fold(GivenBack::default(), GivenBack::plus);
    let payers: Vec<_> = reads.rows(voucher::payers_of(id)).await?.iter().map(voucher::read_payer).collect();
    if let Some(row) = reads.row(bill::record_by_id(id)).await? {
        let record = bill::read_record(&row);
        return Ok((Left::of(&record.split, &payers, &before, now), record.charge.instance()));
    }
    let row = reads.row(traffic::record_by_id(id)).await?.expect("records are never deleted");
    Ok((Left::of_traffic(&traffic::read_record(&row).charge.paid(), &payers, &before, now), None))
}

/// What was given back of a record, oldest first.
pub async fn of_record(reads: &Reads, id: RecordId) -> Result<Vec<Adjustment>, StoreError> {
    let vouchers = reads.rows(rows::vouchers_of_record(id)).await?;
    Ok(rows::with_vouchers(&reads.rows(rows::of_record(id)).await?, &vouchers))
}

/// The same of an account, at most so many.
pub async fn of_account(reads: &Reads, id: AccountId, most: i64) -> Result<Vec<Adjustment>, StoreError> {
    let given = reads.rows(rows::of_account(id, "", most)).await?;
    let (Some(first), Some(last)) = (given.first(), given.last()) else { return Ok(vec![]) };
    let (first, last) = (rows::read(first).id, rows::read(last).id);
    Ok(rows::with_vouchers(&given, &reads.rows(rows::vouchers_of_account(id, first, last)).await?))
}

pub fn shown(of: &Adjustment) -> wire::Adjustment {
    wire::Adjustment {
        id: of.id.to_string(),
        record: of.record.to_string(),
        at: of.at.to_string(),
        amount: of.back.total().to_string(),
        debt: of.back.debt.to_string(),
        cash: of.back.cash.to_string(),
        vouchers: of.back.vouchers.iter().map(to_voucher).collect(),
        grant: of.back.grant.to_string(),
        expired: of.back.expired.to_string(),
        reason: of.reason.clone(),
        by: of.by.clone(),
    }
}

fn to_voucher(to: &ToVoucher) -> wire::ToVoucher {
    wire::ToVoucher {
        voucher: to.voucher.to_string(),
        amount: to.amount.to_string(),
        gone: to.gone.map(|gone| gone.name().to_owned()),
    }
}
