//! What may be started with a trial, and what does it pay of an hour? (rules §3.3, §3.5)

use crate::quote::Quote;
use crate::refusal::Refused;
use ebb_model::billing::{Charge, Split};
use ebb_model::catalog::Catalog;
use ebb_model::instance::{Instance, Purchase};
use ebb_model::money::{Exact, Price};
use ebb_model::time::Second;
use ebb_model::trial::{Holder, Over, TrialGrant};

/// How an account stands with its trial at the moment of a purchase.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Hourly prices, with system disks, of all trial instances not yet released.
    pub prices: Vec<Price>,
    pub released_before: bool,
    /// Deducted by closed hours and by the running one so far.
    pub accrued: Exact,
    /// Covered charges of the running clock hour so far.
    pub this_hour: Exact,
    /// The end that its trial came to, also if that is not carried out yet.
    pub ended: Option<(Second, Over)>,
}

/// Whether one more trial instance may be started.
///
/// # Errors
/// The first of the rules of §3.5 that it breaks.
pub fn may_start(
    catalog: &Catalog,
    grant: Option<&TrialGrant>,
    standing: &Standing,
    flavor: &str,
    quote: &Quote,
    now: Second,
) -> Result<(), Refused> {
    let grant = grant.ok_or(Refused::NoGrant)?;
    if let Some(over) = standing.ended {
        return Err(ended(over));
    }
    if !grant.valid_at(now) {
        return Err(Refused::GrantOver(grant.valid_until.start()));
    }
    if !lists(catalog, grant.holder, &quote.region, flavor) {
        return Err(Refused::NotOnTrialList { flavor: flavor.to_owned(), region: quote.region.clone() });
    }
    let cap = grant.hourly_cap;
    let together = standing.prices.iter().fold(quote.price(), |sum, price| sum + *price);
    if standing.prices.is_empty() && quote.price() > cap {
        return Err(Refused::AboveCap { price: quote.price().to_string(), cap: cap.to_string() });
    }
    if !standing.prices.is_empty() && together >= cap {
        return Err(Refused::TogetherAboveCap { together: together.to_string(), cap: cap.to_string() });
    }
    if standing.released_before {
        let left = grant.issued - standing.accrued;
        if left.units() * 100 <= grant.issued.units() * i128::from(catalog.trial.least_left_percent) {
            let (left, issued) = (left.to_string(), grant.issued.to_string());
            let percent = catalog.trial.least_left_percent;
            return Err(Refused::GrantNearlyUsed { left, issued, percent });
        }
        let of_hour = grant.cap() - standing.this_hour;
        if of_hour <= catalog.trial.least_of_hour.exact() {
            let least = catalog.trial.least_of_hour.to_string();
            return Err(Refused::HourNearlyUsed { left: of_hour.to_string(), least });
        }
    }
    Ok(())
}

/// What is said of a trial that has ended.
pub fn ended((at, over): (Second, Over)) -> Refused {
    match over {
        Over::UsedUp => Refused::GrantUsedUp(at.start()),
        Over::Validity => Refused::GrantOver(at.start()),
        Over::Revoked => Refused::GrantTaken(at.start()),
    }
}

/// Whether the grant's list has a flavor in a region; what has not is charged and not covered (rules §3.3).
pub fn lists(catalog: &Catalog, holder: Holder, region: &str, flavor: &str) -> bool {
    catalog.trial.regions.contains(region) && catalog.trial(holder).covers(region, flavor)
}

/// The same of an instance where it is.
pub fn is_listed(catalog: &Catalog, holder: Option<Holder>, instance: &Instance) -> bool {
    let region = catalog.zone(&instance.zone).map_or("", |zone| zone.region.as_str());
    holder.is_some_and(|holder| lists(catalog, holder, region, &instance.flavor))
}

/// Whether an instance is covered now.
pub fn covers(catalog: &Catalog, grant: &TrialGrant, instance: &Instance, now: Second) -> bool {
    let region = catalog.zone(&instance.zone).map_or("", |zone| zone.region.as_str());
    let trial = matches!(instance.purchase, Purchase::Trial { .. });
    trial && grant.valid_at(now) && lists(catalog, grant.holder, region, &instance.flavor)
}

/// What an hour of trial instances costs if all of them run, with their system disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub covered: Price,
    /// What of that passes the cap.
    pub above_cap: Price,
    pub uncovered: Price,
}

/// How much of such an hour the grant pays at most; none of it is refused (rules §3.5).
pub fn share(catalog: &Catalog, grant: &TrialGrant, instances: &[Instance], now: Second) -> Share {
    let sum = |wanted: bool| {
        let trials = instances.iter().filter(|one| matches!(one.purchase, Purchase::Trial { .. }));
        let these = trials.filter(|one| covers(catalog, grant, one, now) == wanted);
        these.fold(Price::from_micros(0), |sum, one| sum + one.purchase.price() + one.disk_price)
    };
    let covered = sum(true);
    let above = (covered.micros() - grant.hourly_cap.micros()).max(0);
    Share { covered, above_cap: Price::from_micros(above), uncovered: sum(false) }
}

/// What the grant pays of one clock hour's charges: `min(covered, cap, left)`, given to them in the order in which they come.
pub fn deduct(charges: &[Charge], grant: Option<&TrialGrant>) -> Vec<Split> {
    let mut left = grant.map_or(Exact::ZERO, |grant| grant.cap().min(grant.left()));
    charges
        .iter()
        .map(|charge| {
            let gross = charge.gross();
            if charge.waiver.is_some() {
                return Split { waived: gross, ..Split::default() };
            }
            let grant = if charge.covered { gross.min(left) } else { Exact::ZERO };
            left = left - grant;
            Split { grant, payable: gross - grant, ..Split::default() }
        })
        .collect()
}
