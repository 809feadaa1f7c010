//! What does an account pay for now, and what of it could be stopped? (rules §3.8)

use crate::cap::owes;
use crate::end::{ending, least_until};
use crate::ordered;
use crate::price::Tariff;
use crate::rating;
use crate::spending::{Block, Draw, Ended, Spending, Whose};
use ebb_model::billing::{Meter, ResourceId, Settled, Span};
use ebb_model::calendar::Calendar;
use ebb_model::catalog::Limits;
use ebb_model::id::InstanceId;
use ebb_model::instance::{End, Instance, Purchase, State};
use ebb_model::money::{Exact, Price};
use ebb_model::price::Prices;
use ebb_model::time::{HOUR, Period, Second};
use std::collections::BTreeMap;

/// A reclaim ends at the release, which takes a moment beyond the deadline; so much is set aside for it.
const LATE_SECONDS: i64 = 10;

/// What is paid for, in parts that a sum is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outlays {
    pub draws: Vec<Draw>,
    pub blocks: Vec<Block>,
    pub ended: Vec<Ended>,
    pub owed: Exact,
}

/// What is no instance's and not charged now: what it costs by the hour when it is, again or for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flat {
    pub of: ResourceId,
    pub meter: Meter,
    pub price: Prices,
    /// Since when it may be.
    pub since: Second,
    /// It is being made, and will be charged soon.
    pub begins: bool,
}

impl Flat {
    fn draw(&self, since: Second) -> Draw {
        let (of, meter, price) = (Some(self.of), self.meter, self.price.clone());
        Draw { of, meter, since, until: None, covered: false, trial: false, stops: false, least: since, price }
    }
}

/// An account as its rows have it.
pub struct Known<'a> {
    pub flat: &'a [Flat],
    /// Of hours that are open, and of blocks that are not released.
    pub spans: &'a [Span],
    /// Those not yet released.
    pub live: &'a [Instance],
    /// Whether the grant has the flavor of an instance on its list.
    pub listed: &'a dyn Fn(&Instance) -> bool,
    /// What an instance costs by the hour.
    pub tariff: &'a dyn Fn(&Instance) -> Tariff,
    pub limits: &'a Limits,
    pub calendar: &'a Calendar,
}

/// All of it, and what might begin without anybody asking for it any more: so that a cap holds whatever comes.
pub fn outlays(known: &Known<'_>) -> Outlays {
    let mut all = used(known);
    all.draws.extend(known.flat.iter().map(|one| one.draw(one.since)));
    for one in known.live.iter().filter(|one| one.purchase.is_firm()) {
        match one.purchase {
            // Its months are paid as soon as it runs.
            Purchase::Subscription { .. } if waits(one) => all.owed += ordered::total(&one.purchase),
            Purchase::Subscription { .. } => {}
            _ => all.add_what_is_to_come(one, known),
        }
    }
    all
}

/// As it goes on if nobody does anything: what is ordered or starts runs from now on, what is being put away is off when it must be, and
/// what a lost host had costs nothing. `owed` is what is paid in advance for orders.
pub fn going_on(known: &Known<'_>, now: Second) -> Outlays {
    let mut spans = known.spans.to_vec();
    for span in spans.iter_mut().filter(|span| span.until.is_none() && span.meter == Meter::Compute) {
        let of = known.live.iter().find(|one| Some(one.id) == span.instance()).map(|one| &one.state);
        if let Some(State::Stopping { force_at, economical: true }) = of {
            span.until = Some(force_at.second().max(span.since));
        }
    }
    let mut all = of_spans(&Known { spans: &spans, ..*known });
    all.draws.extend(known.flat.iter().filter(|one| one.begins).map(|one| one.draw(now)));
    let starts = |one: &&Instance| {
        one.in_use_since.is_none() && matches!(one.state, State::Waiting { .. } | State::Starting { .. })
    };
    for one in known.live.iter().filter(starts) {
        let Tariff { compute, disk } = (known.tariff)(one);
        let disk = one.first_running.is_none().then_some(&disk.prices);
        // Those that renew themselves are paid already.
        if one.purchase.is_metered() || one.first_running.is_none() {
            let before = (all.draws.len(), all.blocks.len());
            all.begin(one.purchase, &compute.prices, disk, now, 0);
            for draw in &mut all.draws[before.0..] {
                (draw.of, draw.covered) = (Some(one.id.into()), draw.covered && (known.listed)(one));
            }
            all.blocks[before.1..].iter_mut().for_each(|block| block.of = Some(one.id));
        }
    }
    all
}

/// What is charged now, and what is owed in any case; nothing of what may only be charged again.
pub fn used(known: &Known<'_>) -> Outlays {
    let mut all = of_spans(known);
    for one in known.live.iter().filter(|one| one.purchase.is_firm() && one.purchase.is_metered() && owes(one)) {
        if matches!(one.state, State::Waiting { .. } | State::Starting { .. }) {
            all.owed += minimum(one.purchase.price(), known.limits);
        }
    }
    all
}

fn of_spans(known: &Known<'_>) -> Outlays {
    let live: BTreeMap<InstanceId, &Instance> = known.live.iter().map(|one| (one.id, one)).collect();
    let mut all = Outlays::default();
    for span in known.spans {
        let of = span.instance().and_then(|id| live.get(&id).copied());
        match (span.settled, of) {
            (Settled::Hourly { trial }, of) => {
                let least = of.and_then(|of| least_until(of, known.limits)).unwrap_or(span.since);
                // A block's disk goes with it, by the cap or by itself.
                let leaves = of.filter(|of| !of.purchase.is_firm() && span.until.is_none());
                let reclaimed = leaves.and_then(taken_back);
                all.draws.push(Draw {
                    of: Some(span.resource),
                    meter: span.meter,
                    since: span.since,
                    until: span.until.or(reclaimed.map(|end| end.at)).or(leaves.and_then(Instance::lease_end)),
                    covered: trial,
                    trial: of.is_some_and(is_trial),
                    stops: span.until.is_none()
                        && reclaimed.is_none()
                        && (span.meter == Meter::Compute || leaves.is_some()),
                    least,
                    price: span.price.clone(),
                });
            }
            (Settled::AtRelease { .. }, Some(block)) => all.add_block(span, block, known.calendar),
            // Billed with its release, or before it began.
            (Settled::AtRelease { .. }, None) | (Settled::InAdvance { .. }, _) => {}
        }
    }
    all
}

impl Outlays {
    fn add_block(&mut self, span: &Span, block: &Instance, calendar: &Calendar) {
        match (taken_back(block).or(block.state.end().copied()), block.lease_end()) {
            (Some(end), _) => {
                let of = Some(Whose::Instance(block.id));
                self.ended.push(Ended { of, at: end.at, payable: payable(span, &end, calendar) });
            }
            (None, Some(lease_end)) => {
                let (of, start, price) = (Some(block.id), span.since, span.price.at(span.since));
                self.blocks.push(Block { of, start, lease_end, price });
            }
            (None, None) => {}
        }
    }

    fn begin(&mut self, purchase: Purchase, compute: &Prices, disk: Option<&Prices>, now: Second, least_seconds: i64) {
        let trial = matches!(purchase, Purchase::Trial { .. });
        let mut draw = |meter, price: &Prices, until, stops, least| {
            let price = price.clone();
            self.draws.push(Draw { of: None, meter, since: now, until, covered: trial, trial, stops, least, price });
        };
        match purchase {
            Purchase::SpotBlock { price, hours, periods } => {
                let lease_end = now.plus(hours * periods * HOUR);
                disk.into_iter().for_each(|disk| draw(Meter::SystemDisk, disk, Some(lease_end), true, now));
                self.blocks.push(Block { of: None, start: now, lease_end, price });
            }
            Purchase::OnDemand { .. } | Purchase::Trial { .. } => {
                draw(Meter::Compute, compute, None, true, now.plus(least_seconds));
                disk.into_iter().for_each(|disk| draw(Meter::SystemDisk, disk, None, false, now));
            }
            // Its disk is paid with it.
            Purchase::Subscription { .. } => self.owed += ordered::total(&purchase),
        }
    }

    /// What is bought and charged from its start on, and what a lost host takes up again when it comes back.
    fn add_what_is_to_come(&mut self, one: &Instance, known: &Known<'_>) {
        let begins = match (&one.state, one.first_running) {
            // With a top-up its disk is charged again.
            _ if one.frozen_since.is_some() => one.frozen_since,
            (State::Lost { since, .. }, _) => Some(*since),
            (State::Waiting { .. } | State::Starting { .. }, None) => Some(one.created_at.second()),
            _ => None,
        };
        if let Some(since) = begins {
            let trial = is_trial(one);
            let covered = trial && (known.listed)(one);
            let (until, stops, least, price) = (None, false, since, (known.tariff)(one).disk.prices);
            let (of, meter) = (Some(one.id.into()), Meter::SystemDisk);
            self.draws.push(Draw { of, meter, since, until, covered, trial, stops, least, price });
        }
    }
}

/// How a block ends whose notice is out, if its release takes no longer than others do.
fn taken_back(block: &Instance) -> Option<End> {
    let State::Reclaiming { deadline, .. } = block.state else { return None };
    ending(block, deadline.plus_seconds(LATE_SECONDS).second())
}

/// What vCPU and memory for which others had to go cost at least (rules §2.11).
pub fn minimum(price: Price, limits: &Limits) -> Exact {
    price.charge(limits.taking_minimum_seconds)
}

/// With one more order that is placed now, as if it ran from this second on; `least_seconds` is how long it must.
pub fn begin(
    spending: &mut Spending,
    purchase: Purchase,
    compute: &Prices,
    disk: Option<&Prices>,
    now: Second,
    least_seconds: i64,
) {
    let mut one = Outlays::default();
    one.begin(purchase, compute, disk, now, least_seconds);
    spending.draws.extend(one.draws);
    spending.blocks.extend(one.blocks);
    spending.owed += one.owed;
}

/// With a trial instance on demand from now on.
pub fn leave_trial(spending: &mut Spending, of: &Instance, now: Second) {
    of_instance(spending, of, now).into_iter().for_each(|draw| (draw.trial, draw.covered) = (false, false));
}

/// With months of an instance paid in this one; nothing of it is charged by the hour any more.
pub fn pay_ahead(spending: &mut Spending, of: &Instance, month: Second, amount: Exact, now: Second) {
    of_instance(spending, of, now).into_iter().for_each(|draw| draw.until = Some(now));
    *spending.billed.entry(month).or_default() += amount;
}

/// What an instance draws by the hour; of what is alike it does not matter which it is.
fn of_instance<'a>(spending: &'a mut Spending, of: &Instance, now: Second) -> Vec<&'a mut Draw> {
    if !of.purchase.is_metered() {
        return vec![];
    }
    let (mut compute, mut disk) = (Some(of.purchase.price()), Some(of.disk_price));
    let open = spending.draws.iter_mut().filter(|draw| draw.until.is_none() && draw.trial == is_trial(of));
    let own = open.filter(|draw| {
        let wanted = if draw.stops { &mut compute } else { &mut disk };
        wanted.take_if(|price| *price == draw.price.at(now)).is_some()
    });
    own.collect()
}

/// With more for what an instance uses already, which no grant pays.
pub fn cost_more(spending: &mut Spending, meter: Meter, price: Prices, now: Second) {
    let (until, stops) = (None, meter == Meter::Compute);
    let (of, covered, trial, least) = (None, false, false, now);
    spending.draws.push(Draw { of, meter, since: now, until, covered, trial, stops, least, price });
}

/// Whether it is ordered and does not run yet.
fn waits(one: &Instance) -> bool {
    one.first_running.is_none() && matches!(one.state, State::Waiting { .. } | State::Starting { .. })
}

fn is_trial(one: &Instance) -> bool {
    matches!(one.purchase, Purchase::Trial { .. })
}

fn payable(span: &Span, end: &End, calendar: &Calendar) -> Exact {
    let Some(whole) = Period::new(span.since, end.at) else { return Exact::ZERO };
    let span = Span { until: Some(end.at), ..span.clone() };
    let charges = rating::charges(&span, whole, calendar, None, Some(end));
    charges.iter().filter(|charge| charge.waiver.is_none()).map(|charge| charge.gross()).sum()
}
