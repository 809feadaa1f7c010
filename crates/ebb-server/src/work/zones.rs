//! What does the operator take of a zone: so that its reserve fits, and so that he has what he is short of? (rules §2.5, §2.12)

use crate::app::App;
use crate::denied::Denied;
use crate::room::take_all;
use crate::unit::{Outcome, Unit};
use crate::work::alarms::SHORTAGE;
use ebb_engine::fleet::Fleet;
use ebb_engine::reserve::{missing_by, plan_reserve};
use ebb_engine::shortage::{Relief, plan_shortage};
use ebb_model::catalog::Limits;
use ebb_model::id::AccountId;
use ebb_model::instance::Cause;
use ebb_model::time::Timestamp;
use ebb_store::rows::alarm;
use ebb_store::rows::zone::{self, Shortage};

impl App {
    /// Has every reserve looked at: while nobody served, the catalog may have changed.
    pub async fn look_after_reserves(&self) -> Result<(), Denied> {
        let looked = self.unit("look-after-reserves", "reserve", |mut unit| async move {
            let app = unit.app.clone();
            for zone in &app.catalog.zones {
                unit.look_after_reserve(&zone.id);
                // Nobody owes anything to a reserve that is not there any more.
                if zone.reserve.is_empty() {
                    unit.write(zone::reserve_fits(&zone.id, unit.now));
                }
            }
            Ok(unit.done(()))
        });
        Ok(looked.await?)
    }

    /// Takes blocks back so that the reserve of a zone fits again; nobody, if it does or will.
    pub async fn restore_reserve(&self, zone: &str) -> Result<(), Denied> {
        self.zones_loaded().await?;
        let name = zone.to_owned();
        let restored = self.unit("reserve", zone, move |mut unit| {
            let zone = name.clone();
            async move {
                // The whole zone is read before the others have to wait.
                unit.true_picture(&zone).await?;
                unit.take_turn(&zone).await;
                unit.clear_doubts().await?;
                let app = unit.app.clone();
                let (now, notice) = (unit.now, app.catalog.limits.notice_seconds);
                let by = now.plus_seconds(notice);
                let look = |fleet: &mut Fleet| (plan_reserve(fleet, now, notice), missing_by(fleet, by) == 0);
                let (planned, fits) = app.zones.with(&app.catalog, &zone, look);
                let rows = unit.reads.rows(zone::takers_of_reserve(&zone)).await?;
                let (takers, at): (Vec<AccountId>, Vec<Timestamp>) = rows.iter().map(zone::read_taker).unzip();
                if let Some((decision, chosen)) = planned {
                    take_all(&mut unit, &zone, Cause::Reserve, None, (&decision, &chosen), &takers).await?;
                }
                if let Some(newest) = at.into_iter().max().filter(|_| fits) {
                    unit.write(zone::reserve_fits(&zone, newest));
                }
                Ok(unit.done(()))
            }
        });
        Ok(restored.await?)
    }

    /// Sends the notices of an announced shortage; nothing, if it was ended or they are out.
    pub async fn relieve(&self, zone: &str) -> Result<(), Denied> {
        self.zones_loaded().await?;
        let name = zone.to_owned();
        let relieved = self.unit("shortage", zone, move |mut unit| {
            let zone = name.clone();
            async move {
                unit.take_turn(&zone).await;
                let row = unit.reads.row(zone::shortage_in(&zone)).await?;
                if let Some(shortage) = row.as_ref().map(zone::read).filter(|shortage| shortage.noticed_at.is_none()) {
                    match notices_at(&shortage, &unit.app.catalog.limits) {
                        later if later > unit.now => unit.write(alarm::set(SHORTAGE, &zone, later)),
                        _ => drop(relieve(&mut unit, &shortage).await?),
                    }
                }
                Ok(unit.done(()))
            }
        });
        Ok(relieved.await?)
    }
}

pub fn notices_at(shortage: &Shortage, limits: &Limits) -> Timestamp {
    let notice = if shortage.urgent { 0 } else { limits.notice_seconds };
    shortage.noticed_at.unwrap_or_else(|| shortage.at.plus_seconds(-notice))
}

/// What blocks of a zone can do about a shortage, if they are told `now`.
pub async fn relief(unit: &Unit, shortage: &Shortage, now: Timestamp) -> Outcome<Relief> {
    unit.true_picture(&shortage.zone).await?;
    let app = &unit.app;
    let notice = if shortage.urgent { 0 } else { app.catalog.limits.notice_seconds };
    // Who is told late, because nobody served, has his notice all the same.
    let deadline = shortage.at.max(now.plus_seconds(notice));
    let look = |fleet: &mut Fleet| plan_shortage(fleet, &shortage.free, now, deadline);
    Ok(app.zones.with(&app.catalog, &shortage.zone, look))
}

/// Gives the notices of a shortage, and writes down that they are out.
pub async fn relieve(unit: &mut Unit, shortage: &Shortage) -> Outcome<Relief> {
    let relief = relief(unit, shortage, unit.now).await?;
    take_all(unit, &shortage.zone, Cause::Shortage, None, (&relief.decision, &relief.chosen), &[]).await?;
    unit.write(zone::declare(&Shortage { noticed_at: Some(unit.now), ..shortage.clone() }));
    Ok(relief)
}
