//! What do coupons and cards pay of what accrues and of what is held, and what happens to them at instants that are known beforehand?
//! (rules §5.1, §5.2)
//!
//! An alarm per account says when the next of these comes: a warning, or an expiry. However late it is carried out, all that is settled for
//! an instant before it is paid first.

use crate::app::App;
use crate::denied::Denied;
use crate::unit::{Outcome, Unit};
use crate::work::hours::{Accruing, accruing};
use ebb_engine::event::Event;
use ebb_engine::funds::{self, Need};
use ebb_engine::ordered;
use ebb_engine::refusal::Refused;
use ebb_engine::settlement;
use ebb_engine::voucher::{Due, Owed, Payment, Use, pay, warns_at};
use ebb_model::billing::{Charge, ResourceId, Split};
use ebb_model::id::{AccountId, InstanceId};
use ebb_model::instance::Instance;
use ebb_model::money::{Amount, Exact};
use ebb_model::time::{HOUR, Second};
use ebb_model::traffic::TrafficCharge;
use ebb_model::volume::VolumeId;
use ebb_model::voucher::Voucher;
use ebb_store::rows::account::Account;
use ebb_store::rows::{address, alarm, instance, volume, voucher};
use ebb_store::{Decision, Reads, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// An account's vouchers are to be looked after.
pub const ALARM: &str = "vouchers";

/// How often it is looked whether what is settled for an instant before an expiry is settled: each second, then less and less often.
const LONGEST_PAUSE_SECONDS: i64 = 60;

/// Those of an account that may still pay something.
pub async fn live(reads: &Reads, of: AccountId) -> Result<Vec<Voucher>, StoreError> {
    Ok(reads.rows(voucher::live_of(of)).await?.iter().map(voucher::read).collect())
}

/// What is payable of some records, in their order: those of time, then those of traffic.
pub async fn dues(
    app: &App,
    reads: &Reads,
    charges: impl Iterator<Item = (&Charge, &Split)>,
    traffic: &[TrafficCharge],
) -> Result<Vec<Due>, StoreError> {
    let charges: Vec<_> = charges.collect();
    let ids: BTreeSet<InstanceId> = charges.iter().filter_map(|(charge, _)| charge.instance()).collect();
    let (mut known, mut dues) = (BTreeMap::<InstanceId, Instance>::new(), vec![]);
    for some in instance::by_ids(ids) {
        known.extend(reads.rows(some).await?.iter().map(instance::read).map(|one| (one.id, one)));
    }
    let others = charges.iter().map(|(charge, _)| charge.resource);
    let others = others.chain(traffic.iter().map(|charge| ResourceId::Address(charge.address)));
    let regions = regions(reads, others.collect()).await?;
    for (charge, split) in charges {
        let what = match charge.resource {
            ResourceId::Instance(id) => {
                let of = known.get(&id).expect("instances are never deleted");
                Use::of(charge, of, region(app, &of.zone))
            }
            other => Use::of_resource(charge.meter, &regions[&other]),
        };
        dues.push(Due { what, amount: Owed::Time(split.payable - split.vouchers) });
    }
    for charge in traffic {
        let region = &regions[&ResourceId::Address(charge.address)];
        let (what, paid) = (Use::of_traffic(region), charge.paid());
        dues.push(Due { what, amount: Owed::Traffic(paid.payable - paid.vouchers) });
    }
    Ok(dues)
}

/// Where things are that are no instances.
pub async fn regions(reads: &Reads, of: BTreeSet<ResourceId>) -> Result<BTreeMap<ResourceId, String>, StoreError> {
    let addresses = of.iter().filter_map(|one| match one {
        ResourceId::Address(id) => Some(*id),
        _ => None,
    });
    let mut regions = BTreeMap::new();
    for some in address::by_ids(addresses) {
        let known = reads.rows(some).await?;
        regions.extend(known.iter().map(address::read).map(|one| (ResourceId::Address(one.id), one.region)));
    }
    let volumes = of.iter().filter_map(|one| match one {
        ResourceId::Disk(id) => Some(VolumeId::Disk(*id)),
        ResourceId::Snapshot(id) => Some(VolumeId::Snapshot(*id)),
        _ => None,
    });
    for some in volume::by_ids(volumes) {
        let known = reads.rows(some).await?;
        regions.extend(known.iter().map(volume::read).map(|one| (one.resource(), one.region)));
    }
    Ok(regions)
}

fn region<'a>(app: &'a App, zone: &str) -> &'a str {
    app.catalog.zone(zone).map_or("", |zone| zone.region.as_str())
}

/// Lets vouchers pay what accrues, as if all of it were settled at this second: hours first, then traffic, then blocks.
pub async fn pay_accruing(
    app: &App,
    reads: &Reads,
    of: AccountId,
    open: &mut Accruing,
    now: Second,
) -> Result<(), StoreError> {
    let vouchers = live(reads, of).await?;
    let mut payments = vec![];
    if !vouchers.is_empty() {
        let hourly = open.hour.iter().map(|(charge, split)| (charge, split));
        let mut all = dues(app, reads, hourly, &open.traffic.charges).await?;
        all.extend(dues(app, reads, open.blocks.iter().map(|(charge, split)| (charge, split)), &[]).await?);
        payments = pay(&vouchers, now, &all);
    }
    let before_blocks = open.hour.len() + open.traffic.charges.len();
    let mut hourly = by_due(&payments, before_blocks + open.blocks.len());
    let of_blocks = hourly.split_off(before_blocks);
    let of_traffic = hourly.split_off(open.hour.len());
    let timed = open.hour.iter_mut().chain(&mut open.blocks);
    for ((_, split), paid) in timed.zip(hourly.iter().chain(&of_blocks)) {
        paid.iter().for_each(|payment| split.vouchers += payment.amount.whole_time());
    }
    for (charge, paid) in open.traffic.charges.iter_mut().zip(&of_traffic) {
        paid.iter().for_each(|payment| charge.vouchers = charge.vouchers + payment.amount.whole_traffic());
    }
    open.payments = [hourly, of_traffic, of_blocks];
    Ok(())
}

/// The payments of each record.
pub fn by_due(payments: &[Payment], count: usize) -> Vec<Vec<Payment>> {
    let mut all = vec![vec![]; count];
    payments.iter().for_each(|payment| all[payment.due].push(*payment));
    all
}

/// All that an account can pay with, and what is held back of it.
pub struct Funds {
    cash: Amount,
    bound: Amount,
    pub vouchers: Vec<Voucher>,
    pub held: Vec<(InstanceId, Need)>,
    now: Second,
}

impl Funds {
    pub async fn read(app: &App, reads: &Reads, of: &Account, now: Second) -> Result<Funds, StoreError> {
        let vouchers: Vec<Voucher> = live(reads, of.id).await?.into_iter().filter(|one| one.valid_at(now)).collect();
        let mut held = vec![];
        // Without vouchers it does not matter for what money is held.
        if !vouchers.is_empty() {
            for row in reads.rows(voucher::holds_of(of.id)).await? {
                let (of, amount, since) = (instance::read(&row), voucher::held_amount(&row), voucher::held_since(&row));
                held.push((of.id, need_of_hold(app, &of, amount, since)));
            }
        }
        Ok(Funds { cash: of.purse.cash, bound: of.held, vouchers, held, now })
    }

    /// Without what is used and should have been billed long ago: a silent host keeps the account's hours open (rules §1.6).
    pub async fn less_overdue(self, app: &App, reads: &Reads, of: &Account) -> Result<Funds, StoreError> {
        if of.close_at.is_none_or(|at| self.now < at.plus(HOUR)) {
            return Ok(self);
        }
        let open = accruing(app, reads, of, self.now).await?;
        let time = open.hour.iter().map(|(_, split)| split.payable - split.vouchers).sum::<Exact>();
        let traffic = open.traffic.charges.iter().map(|charge| charge.paid().payable - charge.paid().vouchers);
        let traffic = traffic.map(|quantity| quantity.in_time()).sum::<Exact>();
        Ok(Funds { cash: self.cash - (time + traffic).posted(), ..self })
    }

    /// What stands against something of which nothing is held: the money for it has to be there unbound.
    pub async fn refused(
        app: &App,
        reads: &Reads,
        of: &Account,
        need: &Need,
        now: Second,
    ) -> Result<Option<Refused>, StoreError> {
        if !app.catalog.limits.hold {
            return Ok(None);
        }
        let available = Funds::read(app, reads, of, now).await?.less_overdue(app, reads, of).await?.available(need);
        let needed = need.amount;
        Ok((available < needed).then_some(Refused::InsufficientFunds { needed, available }))
    }

    fn needs(&self) -> Vec<Need> {
        self.held.iter().map(|(_, need)| need.clone()).collect()
    }

    /// What is there for this.
    pub fn available(&self, wanted: &Need) -> Amount {
        match self.vouchers.is_empty() {
            true => self.cash - self.bound,
            false => funds::available(self.cash, &self.vouchers, &self.needs(), wanted, self.now),
        }
    }

    /// The part of that which vouchers would pay, at most what is wanted.
    pub fn by_vouchers(&self, wanted: &Need) -> Amount {
        let all: Vec<Need> = self.needs().into_iter().chain([wanted.clone()]).collect();
        let more = funds::needed_in_cash(&self.vouchers, &all, self.now);
        wanted.amount - (more - funds::needed_in_cash(&self.vouchers, &self.needs(), self.now))
    }

    /// Cash that nothing is held of.
    pub fn unbound(&self) -> Amount {
        match self.vouchers.is_empty() {
            true => self.cash - self.bound,
            false => self.cash - funds::needed_in_cash(&self.vouchers, &self.needs(), self.now),
        }
    }

    /// As it is with another balance and other holds.
    pub fn after(self, of: &Account, vouchers: Vec<Voucher>, held: Vec<(InstanceId, Need)>) -> Funds {
        let vouchers = vouchers.into_iter().filter(|one| one.valid_at(self.now)).collect();
        Funds { cash: of.purse.cash, bound: of.held, vouchers, held, now: self.now }
    }
}

/// What money is held for.
pub fn need_of_hold(app: &App, of: &Instance, amount: Amount, since: Second) -> Need {
    match of.ordered_months() {
        Some(_) => {
            let (total, limits) = (ordered::total(&of.purchase), &app.catalog.limits);
            Need::ordered(&of.flavor, region_of(app, of), total, since, limits)
        }
        None => Need::held(of, region_of(app, of), amount, since),
    }
}

/// The region of an instance, which a scope may name.
pub fn region_of<'a>(app: &'a App, of: &Instance) -> &'a str {
    region(app, &of.zone)
}

impl App {
    /// Does what is due for an account's vouchers, and sets the alarm for what comes next.
    pub async fn tend_vouchers(&self, id: AccountId) -> Result<(), Denied> {
        Ok(self.unit("tend-vouchers", &id.to_string(), move |unit| tend(unit, id)).await?)
    }
}

async fn tend(mut unit: Unit, id: AccountId) -> Outcome<Decision<()>> {
    // Whoever settles changes the account, too: of the two one sees the other. Nothing is settled of a closed one any more.
    let of = match unit.account(id).await?.closed_at {
        None => unit.change_account(id).await?.clone(),
        Some(_) => unit.account(id).await?.clone(),
    };
    let (now, mut next) = (unit.now, vec![]);
    let hosts = unit.reads.rows(instance::hosts_of(id)).await?;
    let warn_days = unit.app.catalog.limits.voucher_warn_days;
    for mut known in unit.vouchers(id).await?.clone() {
        let Some((expires_at, warns_at)) = known.expires_at.zip(warns_at(&known, warn_days)) else { continue };
        if now.second() < expires_at {
            next.push(expires_at.start());
            if warns_at.start() > now {
                next.push(warns_at.start());
            } else if !known.warned && of.closed_at.is_none() {
                known.warned = true;
                let (voucher, kind, left) = (known.id, known.kind, known.left_posted());
                unit.log_and_tell_account(id, &Event::VoucherExpiresSoon { voucher, kind, left, expires_at });
                unit.change_voucher(&known);
            }
            continue;
        }
        // What a host released before may still be settled, and so may an hour that ended before.
        let heard = unit.app.all_heard(&hosts, expires_at);
        if !heard || of.close_at.is_some_and(|at| at < expires_at) {
            let late = (now.second().unix() - expires_at.unix()).clamp(1, LONGEST_PAUSE_SECONDS);
            next.push(now.plus_seconds(if heard { 1 } else { late }));
        } else {
            unit.expire_voucher(id, known, expires_at);
        }
    }
    if let Some(at) = next.into_iter().min() {
        unit.write(alarm::set(ALARM, &id.to_string(), at));
    }
    Ok(unit.done(()))
}

impl Unit {
    fn expire_voucher(&mut self, id: AccountId, mut known: Voucher, at: Second) {
        let (entry, amount) = settlement::end_voucher(&known);
        known.expired += known.left();
        self.change_voucher(&known);
        if amount > Amount::ZERO {
            self.post(id, &format!("voucher expired {}", known.id), &entry, at);
            self.log(id, None, &Event::VoucherExpired { voucher: known.id, at, amount });
        }
    }

    /// When something is due for the account's vouchers is worked out anew.
    pub fn look_after_vouchers(&mut self, id: AccountId) {
        // Not at this very instant, at which an alarm may be under way that is taken away when it is done.
        self.write(alarm::set_at_latest(ALARM, &id.to_string(), self.now.plus_millis(1)));
    }
}
