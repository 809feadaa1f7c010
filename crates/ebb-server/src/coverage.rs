//! What becomes of running trials when the service starts with another list of what a grant pays for? (rules §3.3)

use crate::app::App;
use crate::denied::Denied;
use ebb_engine::lifecycle::Input;
use ebb_engine::trial::lists;
use ebb_store::rows::{bill, instance};

const PAGE: i64 = 1_000;

impl App {
    /// Charges trial instances from now on as the catalog's lists say. Those for which they say the same as before are left alone.
    pub async fn look_after_lists(&self) -> Result<(), Denied> {
        let mut after = String::new();
        loop {
            let page = self.store.rows(bill::charged_trials(&after, PAGE)).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.text("id").to_owned();
            for row in &page {
                let (known, (was, holder)) = (instance::read(row), bill::read_covered(row));
                let region = self.catalog.zone(&known.zone).map_or("", |zone| zone.region.as_str());
                let covered = lists(&self.catalog, holder, region, &known.flavor);
                if covered != was {
                    let (id, account) = (known.id, known.account.to_string());
                    let done = self.unit("list", &account, move |mut unit| async move {
                        let about = unit.instance(id).await?;
                        unit.step(&about, Input::Listed { covered }).await?;
                        Ok(unit.done(()))
                    });
                    done.await?;
                }
            }
        }
    }
}
