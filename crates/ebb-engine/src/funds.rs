//! How much unbound money is there for something? (rules §5.2) Cash, and coupons and cards that may pay it, less holds.
//!
//! It is looked at what would come of it if all that is held back were settled as it was held, the oldest first, and then what is wanted: what
//! vouchers would not pay has to be there in cash. So no part of a voucher is counted twice, and none for what it may not pay. A voucher counts
//! for a hold if it is valid now and still will be when the time is over for which it is held.

use crate::voucher::{Due, Owed, Use, pay_where};
use ebb_model::billing::Meter;
use ebb_model::catalog::Limits;
use ebb_model::instance::{Instance, Purchase};
use ebb_model::money::{Amount, Exact, Price};
use ebb_model::time::{HOUR, Second};
use ebb_model::voucher::{Fine, Item, SoldAs, Voucher};

/// Money that is held back, or wanted: what for, and until when that is used.
#[derive(Debug, Clone, PartialEq)]
pub struct Need {
    pub amount: Amount,
    pub dues: Vec<Due>,
    pub until: Second,
}

impl Need {
    /// What is held of an instance that is bought or converted: `amount` for a time, of which the disk has its part.
    pub fn held(instance: &Instance, region: &str, amount: Amount, since: Second) -> Need {
        Need::of(instance.purchase, &instance.flavor, region, instance.disk_price, amount, since)
    }

    pub fn of(purchase: Purchase, flavor: &str, region: &str, disk: Price, amount: Amount, since: Second) -> Need {
        let (option, seconds) = match purchase {
            Purchase::SpotBlock { hours, .. } => (SoldAs::SpotBlock, hours * HOUR),
            // A trial holds nothing, a subscription nothing more: whatever is held of a firm one is for an hour on demand.
            _ => (SoldAs::OnDemand, HOUR),
        };
        // A block is settled at its release, after all of its periods, and begins a while after it was bought.
        let until = match purchase {
            Purchase::SpotBlock { hours, periods, .. } => since.plus((hours * periods + 1) * HOUR),
            _ => since.plus(seconds),
        };
        let disk = disk.charge(seconds).min(amount.exact());
        let due = |item, amount: Exact| {
            let (option, flavor) = (Some(option), Some(flavor.to_owned()));
            Due { what: Use { item, option, flavor, region: region.to_owned() }, amount: Owed::Time(amount) }
        };
        let dues = vec![due(Item::Compute, amount.exact() - disk), due(Item::SystemDisk, disk)];
        Need { amount, dues, until }
    }

    /// An hour of something that is no instance, whatever it is charged in the end.
    pub fn hour(meter: Meter, region: &str, price: Price, now: Second) -> Need {
        let due = Due { what: Use::of_resource(meter, region), amount: Owed::Time(price.charge(HOUR)) };
        Need { amount: price.charge(HOUR).posted(), dues: vec![due], until: now.plus(HOUR) }
    }

    /// Both together.
    pub fn with(mut self, other: Need) -> Need {
        self.dues.extend(other.dues);
        Need { amount: self.amount + other.amount, dues: self.dues, until: self.until.max(other.until) }
    }

    /// Months that are ordered now and paid when it runs: until it need not wait any more a voucher must be valid.
    pub fn ordered(flavor: &str, region: &str, total: Exact, since: Second, limits: &Limits) -> Need {
        let until = since.plus(limits.firm_wait_seconds + limits.boot_timeout_seconds);
        Need { until, ..Need::months(flavor, region, total, since) }
    }

    /// Months that are paid now.
    pub fn months(flavor: &str, region: &str, total: Exact, now: Second) -> Need {
        let (option, flavor) = (Some(SoldAs::Subscription), Some(flavor.to_owned()));
        let what = Use { item: Item::Subscription, option, flavor, region: region.to_owned() };
        Need { amount: total.posted(), dues: vec![Due { what, amount: Owed::Time(total) }], until: now }
    }
}

/// The cash that all of these need together, beyond what vouchers pay of them.
pub fn needed_in_cash(vouchers: &[Voucher], needs: &[Need], now: Second) -> Amount {
    let dues: Vec<Due> = needs.iter().flat_map(|need| need.dues.iter().cloned()).collect();
    let until: Vec<Second> = needs.iter().flat_map(|need| vec![need.until.max(now); need.dues.len()]).collect();
    let counts = |voucher: &Voucher, due: usize| voucher.valid_at(now) && voucher.valid_at(until[due]);
    let paid: Fine = pay_where(vouchers, &dues, counts).iter().map(|payment| payment.amount).sum();
    (Fine::of_amount(needs.iter().map(|need| need.amount).sum()) - paid).rounded_up()
}

/// What is there for `wanted`, whatever it needs: unbound cash, and what vouchers would pay of it.
pub fn available(cash: Amount, vouchers: &[Voucher], held: &[Need], wanted: &Need, now: Second) -> Amount {
    let all: Vec<Need> = held.iter().chain([wanted]).cloned().collect();
    cash - needed_in_cash(vouchers, &all, now) + wanted.amount
}
