//! What would a purchase be refused for, whoever asks: who buys, or who wants the price? (rules §2.1, §3.5)

use super::account::buyer;
use super::trial::standing;
use crate::app::App;
use crate::arrears;
use crate::quota::Quota;
use crate::voucher::Funds;
use ebb_engine::funds::Need;
use ebb_engine::ordered;
use ebb_engine::quote::{Buyer, Quote, may_buy};
use ebb_engine::refusal::Refused;
use ebb_engine::trial::may_start;
use ebb_model::instance::Purchase;
use ebb_model::resources::Resources;
use ebb_model::time::Second;
use ebb_store::rows::account::{self, Account};
use ebb_store::rows::instance;
use ebb_store::{Reads, StoreError};

/// The first rule against it, but for the room and a spending cap.
pub async fn refused(
    app: &App,
    reads: &Reads,
    account: &Account,
    flavor: &str,
    quote: &Quote,
    now: Second,
) -> Result<Option<Refused>, StoreError> {
    if account.closed_at.is_some() {
        return Ok(Some(Refused::AccountClosed));
    }
    if let Some(refused) = arrears::frozen(reads, account).await? {
        return Ok(Some(refused));
    }
    let live = Quota::Instances.count(reads, account.id).await?;
    let spot = match !quote.purchase.is_firm() && app.catalog.limits.spot_per_account.iter().next().is_some() {
        true => instance::sum_spot(&reads.rows(instance::spot_of_account(account.id)).await?),
        false => Resources::default(),
    };
    let funds = Funds::read(app, reads, account, now).await?.less_overdue(app, reads, account).await?;
    let available = funds.available(&need(app, quote, flavor, now));
    if let Err(refused) = may_buy(&app.catalog, &Buyer { spot, available, ..buyer(account, live) }, quote) {
        return Ok(Some(refused));
    }
    if !matches!(quote.purchase, Purchase::Trial { .. }) {
        return Ok(None);
    }
    let Some(row) = reads.row(account::grant(account.id)).await? else { return Ok(Some(Refused::NoGrant)) };
    let grant = account::read_grant(&row);
    let standing = standing(app, reads, account, &grant, now).await?;
    Ok(may_start(&app.catalog, Some(&grant), &standing, flavor, quote, now).err())
}

/// The unbound money that buying needs, and what for.
pub fn need(app: &App, quote: &Quote, flavor: &str, now: Second) -> Need {
    if let Purchase::Subscription { .. } = quote.purchase {
        let total = ordered::total(&quote.purchase);
        return Need::ordered(flavor, &quote.region, total, now, &app.catalog.limits);
    }
    Need::of(quote.purchase, flavor, &quote.region, quote.disk_price, quote.hold(), now)
}
