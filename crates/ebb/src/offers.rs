//! `ebb offers` and `ebb limits`: what can be bought now, and how much of it?

use crate::failure::Failure;
use crate::sale::spot_prices;
use crate::session::Session;
use crate::table::Table;
use ebb_wire::offer::{Limit, Offer};
use ebb_wire::problem::Page;

#[derive(Debug, clap::Args)]
pub struct OffersArgs {
    /// Only in this zone
    #[arg(long)]
    zone: Option<String>,
    /// Only this flavor
    #[arg(long)]
    flavor: Option<String>,
}

pub async fn offers(session: &Session, args: &OffersArgs) -> Result<(), Failure> {
    let wanted = [("zone", &args.zone), ("flavor", &args.flavor)];
    let query: Vec<(&str, &str)> = wanted.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    let page: Page<Offer> = session.client.get("/v1/offers", &query).await?;
    session.show(&page, |page| {
        let mut table = Table::new(&["ZONE", "FLAVOR", "STATE", "PRICE BY HOURS", "LONGEST", "ROOM NOW FOR"]);
        for offer in &page.items {
            table.row([
                offer.zone.clone(),
                offer.flavor.clone(),
                offer.state.clone(),
                spot_prices(&offer.prices),
                lease(offer.hours, offer.periods),
                if offer.hours_now == 0 { String::new() } else { lease(offer.hours_now, offer.periods_now) },
            ]);
        }
        table.text("No spot blocks are on sale there; `ebb catalog` shows what is.")
    })
}

/// `6 h × 4`.
fn lease(hours: i64, periods: i64) -> String {
    if periods > 1 { format!("{hours} h × {periods}") } else { format!("{hours} h") }
}

pub async fn limits(session: &Session) -> Result<(), Failure> {
    let page: Page<Limit> = session.client.get("/v1/limits", &[]).await?;
    session.show(&page, |page| {
        let mut table = Table::new(&["LIMIT", "USED>", "MOST>"]);
        for limit in &page.items {
            table.row([limit.name.clone(), limit.used.to_string(), limit.most.to_string()]);
        }
        table.text("Nothing is limited.")
    })
}
