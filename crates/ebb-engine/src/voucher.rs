//! What may a coupon or a card pay, in which order, and when may one be issued? (rules §2.9, §5.1)
//!
//! Everything is judged at the instant of settlement: whether a voucher is valid, and what an instance is that a record is about.

use crate::refusal::Refused;
use ebb_model::billing::{Charge, Meter};
use ebb_model::catalog::{Catalog, Flavor};
use ebb_model::id::VoucherId;
use ebb_model::instance::{Instance, Purchase};
use ebb_model::money::{Amount, Exact};
use ebb_model::time::{DAY, Second};
use ebb_model::traffic::TrafficExact;
use ebb_model::voucher::{Fine, Item, Scope, SoldAs, Voucher, VoucherKind};

/// The most that one may be worth; with it what is left fits a column of every database.
pub const MOST: Amount = Amount::from_units(1_000_000 * 100_000_000);

/// What a record is about, as far as a scope asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    pub item: Item,
    /// `None`: it is no instance's.
    pub option: Option<SoldAs>,
    pub flavor: Option<String>,
    pub region: String,
}

impl Use {
    /// Of an instance, as it is when the charge is settled. What a grant might have paid was used under the trial.
    pub fn of(charge: &Charge, instance: &Instance, region: &str) -> Use {
        Use::of_sold(charge, instance.purchase, &instance.flavor, region)
    }

    /// The same of one that is sold so, as this flavor.
    pub fn of_sold(charge: &Charge, purchase: Purchase, flavor: &str, region: &str) -> Use {
        let (item, option) = match (charge.meter, purchase) {
            (Meter::Subscription, _) => (Item::Subscription, SoldAs::Subscription),
            (meter, purchase) => (item(meter), sold_as(purchase, charge.covered)),
        };
        Use { item, option: Some(option), flavor: Some(flavor.to_owned()), region: region.to_owned() }
    }

    pub fn of_traffic(region: &str) -> Use {
        Use { item: Item::Traffic, option: None, flavor: None, region: region.to_owned() }
    }

    /// Of what is charged by time and is no instance: it has neither purchase option nor flavor.
    pub fn of_resource(meter: Meter, region: &str) -> Use {
        Use { item: item(meter), option: None, flavor: None, region: region.to_owned() }
    }
}

pub(crate) fn item(meter: Meter) -> Item {
    match meter {
        Meter::Compute => Item::Compute,
        Meter::SystemDisk => Item::SystemDisk,
        Meter::Subscription => Item::Subscription,
        Meter::DataDisk => Item::DataDisk,
        Meter::Snapshot => Item::Snapshot,
        Meter::Bandwidth => Item::Bandwidth,
    }
}

/// How hourly use is sold; what is a subscription by now was on demand before.
fn sold_as(purchase: Purchase, covered: bool) -> SoldAs {
    match purchase {
        Purchase::SpotBlock { .. } => SoldAs::SpotBlock,
        Purchase::Trial { .. } => SoldAs::Trial,
        _ if covered => SoldAs::Trial,
        Purchase::OnDemand { .. } | Purchase::Subscription { .. } => SoldAs::OnDemand,
    }
}

/// Whether a voucher of a kind and a scope may pay for this, at any time.
pub fn may_pay(kind: VoucherKind, pays: &Scope, what: &Use) -> bool {
    let of_block = what.item == Item::Compute && what.option == Some(SoldAs::SpotBlock);
    let named = match what.item {
        Item::Subscription => {
            pays.meters.contains(&what.item) || pays.meters.is_empty() && pays.options.contains(&SoldAs::Subscription)
        }
        item => pays.meters.is_empty() || pays.meters.contains(&item),
    };
    let option = pays.options.is_empty() || what.option.is_some_and(|option| pays.options.contains(&option));
    let flavor = pays.flavors.is_empty() || what.flavor.as_ref().is_some_and(|flavor| pays.flavors.contains(flavor));
    let region = pays.regions.is_empty() || pays.regions.contains(&what.region);
    !(of_block && kind == VoucherKind::DiscountCoupon) && named && option && flavor && region
}

/// What is payable of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub what: Use,
    pub amount: Owed,
}

/// In the exact unit of what is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owed {
    Time(Exact),
    Traffic(TrafficExact),
}

impl Owed {
    pub fn fine(self) -> Fine {
        match self {
            Owed::Time(exact) => Fine::of_time(exact),
            Owed::Traffic(exact) => Fine::of_traffic(exact),
        }
    }

    /// What of it so much pays: whole units of the charge, so that nothing is rounded.
    fn paid_by(self, left: Fine) -> Fine {
        match self {
            _ if left < Fine::LEAST => Fine::ZERO,
            Owed::Time(exact) => Fine::of_time(exact.min(left.whole_time())),
            Owed::Traffic(exact) => Fine::of_traffic(exact.min(left.whole_traffic())),
        }
    }

    fn less(self, paid: Fine) -> Owed {
        match self {
            Owed::Time(exact) => Owed::Time(exact - paid.whole_time()),
            Owed::Traffic(exact) => Owed::Traffic(exact - paid.whole_traffic()),
        }
    }
}

/// So much of one record is paid by one voucher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payment {
    /// Which of the records.
    pub due: usize,
    pub voucher: VoucherId,
    pub amount: Fine,
}

/// What vouchers pay of some records that are settled at `at`, one record after the other: of each voucher what is left, the earliest expiry
/// first, those without expiry last, where they tie a coupon before a card, then the older one.
pub fn pay(vouchers: &[Voucher], at: Second, dues: &[Due]) -> Vec<Payment> {
    pay_where(vouchers, dues, |voucher, _| voucher.valid_at(at))
}

/// The same, where `counts` says which voucher counts for which of the records.
pub(crate) fn pay_where(vouchers: &[Voucher], dues: &[Due], counts: impl Fn(&Voucher, usize) -> bool) -> Vec<Payment> {
    let mut order: Vec<&Voucher> = vouchers.iter().collect();
    order.sort_by_key(|one| (one.expires_at.is_none(), one.expires_at, one.kind == VoucherKind::Card, one.id));
    let mut left: Vec<Fine> = order.iter().map(|one| one.left()).collect();
    let mut payments = vec![];
    for (at, due) in dues.iter().enumerate() {
        let mut owed = due.amount;
        for (voucher, left) in order.iter().zip(&mut left) {
            if counts(voucher, at) && may_pay(voucher.kind, &voucher.pays, &due.what) {
                let amount = owed.paid_by(*left);
                if amount > Fine::ZERO {
                    (owed, *left) = (owed.less(amount), *left - amount);
                    payments.push(Payment { due: at, voucher: voucher.id, amount });
                }
            }
        }
    }
    payments
}

/// A voucher that an operator wants to give to an account.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    pub kind: VoucherKind,
    pub face: Amount,
    pub pays: Scope,
    pub valid_from: Second,
    pub expires_at: Option<Second>,
}

/// Whether it may be issued now.
///
/// # Errors
/// It is worth nothing or too much, has no time in which it is valid, or pays for nothing that there is.
pub fn may_issue(wanted: &Wanted, catalog: &Catalog, now: Second) -> Result<(), Refused> {
    let Wanted { kind, face, pays, valid_from, expires_at } = wanted;
    if !(Amount::from_units(1)..=MOST).contains(face) {
        return Err(Refused::VoucherFace { most: MOST });
    }
    if *valid_from < now {
        return Err(Refused::VoucherPeriod("it cannot be valid before it is issued"));
    }
    if expires_at.is_some_and(|expires_at| expires_at <= *valid_from) {
        return Err(Refused::VoucherPeriod("it would expire before it is valid"));
    }
    let unknown = |what: &str, name: &String| Refused::VoucherScope(format!("{what} `{name}` is not in the catalog"));
    if let Some(flavor) = pays.flavors.iter().find(|flavor| catalog.flavor(flavor).is_none()) {
        return Err(unknown("flavor", flavor));
    }
    if let Some(region) = pays.regions.iter().find(|id| !catalog.regions.iter().any(|region| region.id == **id)) {
        return Err(unknown("region", region));
    }
    if !pays_something(*kind, pays, catalog) {
        return Err(Refused::VoucherScope("there is nothing that all of it together would pay for".to_owned()));
    }
    Ok(())
}

/// Whether there is any record that it may pay: of a flavor that is sold so, or of traffic.
fn pays_something(kind: VoucherKind, pays: &Scope, catalog: &Catalog) -> bool {
    let sold = |option: SoldAs| {
        let named = |flavor: &&Flavor| pays.flavors.is_empty() || pays.flavors.contains(&flavor.id);
        catalog.flavors.iter().filter(named).any(|flavor| match option {
            SoldAs::SpotBlock => flavor.spot.is_some(),
            SoldAs::Subscription => flavor.subscription.is_some(),
            _ => flavor.on_demand.is_some(),
        })
    };
    let (flavor, region) = (pays.flavors.first().cloned(), pays.regions.first().cloned().unwrap_or_default());
    let of =
        |item, option| Use { item, option, flavor: flavor.clone().or(Some(String::new())), region: region.clone() };
    let by_time = SoldAs::ALL.iter().filter(|option| **option != SoldAs::Subscription);
    let by_time = by_time.flat_map(|option| [(Item::Compute, *option), (Item::SystemDisk, *option)]);
    let mut uses = by_time.chain([(Item::Subscription, SoldAs::Subscription)]);
    uses.any(|(item, option)| sold(option) && may_pay(kind, pays, &of(item, Some(option))))
        || may_pay(kind, pays, &Use::of_traffic(&region))
        || others(catalog).any(|meter| may_pay(kind, pays, &Use::of_resource(meter, &region)))
}

/// What is sold by time and is no instance.
fn others(catalog: &Catalog) -> impl Iterator<Item = Meter> {
    let bandwidth = catalog.regions.iter().any(|region| region.bandwidth.is_some()).then_some(Meter::Bandwidth);
    let disks = catalog.data_disk.iter().flat_map(|_| [Meter::DataDisk, Meter::Snapshot]);
    disks.chain(bandwidth)
}

/// When its owner is told that it expires soon: so many days before, or when it becomes valid, if that is later.
pub fn warns_at(voucher: &Voucher, warn_days: i64) -> Option<Second> {
    voucher.expires_at.map(|expires_at| expires_at.plus(-warn_days * DAY).max(voucher.valid_from))
}
