//! What must go, stop or shrink, so that the grant lasts until the end of its validity? (rules §3.9)

use crate::forecast::{Draw, pays_until};
use ebb_model::id::InstanceId;
use ebb_model::money::Price;
use ebb_model::price::{Piece, Prices};
use ebb_model::time::{Period, Second};
use ebb_model::trial::TrialGrant;
use std::cmp::Reverse;

/// What one trial instance draws per hour, now and as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    pub instance: InstanceId,
    pub compute: Prices,
    pub disk: Prices,
    /// The flavors of the grant's list that cost less, dearest first.
    pub smaller: Vec<(Prices, String)>,
}

/// What may be done with an instance; the smaller change stands first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// To this flavor.
    Resize(String),
    /// Economically: vCPU and memory cost nothing any more, the disk stays.
    Stop,
    Release,
}

impl Change {
    pub fn name(&self) -> &'static str {
        match self {
            Change::Resize(_) => "resize",
            Change::Stop => "stop",
            Change::Release => "release",
        }
    }
}

impl Use {
    fn price(&self) -> Prices {
        self.compute.plus(&self.disk)
    }

    /// So much less it costs per hour after a change.
    pub fn saves(&self, change: &Change) -> Prices {
        match change {
            Change::Resize(to) => {
                let priced = self.smaller.iter().find(|(_, flavor)| flavor == to);
                priced.map_or(Prices::default(), |(price, _)| self.compute.minus(price))
            }
            Change::Stop => self.compute.clone(),
            Change::Release => self.price(),
        }
    }
}

/// A grant as it stands now, with what its open hour has drawn so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing<'a> {
    pub grant: &'a TrialGrant,
    pub draws: &'a [Draw],
    /// The first second that no closed hour holds.
    pub open_since: Second,
    pub now: Second,
}

impl Standing<'_> {
    /// To which second it would pay, if from now on so much were drawn per hour; `None`: to the end of the validity.
    pub fn lasts_at(&self, price: impl Into<Prices>) -> Option<Second> {
        let window = Period::new(self.open_since.max(self.grant.claimed_at), self.grant.valid_until)?;
        let past = self.draws.iter().map(|draw| {
            let until = draw.until.map_or(self.now, |until| until.min(self.now));
            Draw { until: Some(until), ..*draw }
        });
        let mut draws: Vec<Draw> = past.collect();
        let pieces = price.into().pieces(self.now, None);
        draws.extend(pieces.into_iter().map(|Piece { since, until, price }| Draw { since, until, price }));
        pays_until(&draws, self.grant.cap(), self.grant.left(), window)
    }

    fn lasts(&self, price: impl Into<Prices>) -> bool {
        self.lasts_at(price).is_none()
    }
}

/// The smallest change after which the grant lasts: the fewest releases, then the fewest stops, then the fewest resizes, to flavors as
/// large as possible. Nothing if it lasts anyway, or is used up already.
pub fn advice(standing: &Standing, uses: &[Use]) -> Vec<(InstanceId, Change)> {
    let rate = uses.iter().fold(Prices::default(), |sum, one| sum.plus(&one.price()));
    if standing.lasts(rate.clone()) || !standing.lasts(Price::default()) {
        return vec![];
    }
    let enough = |advised: &[(&Use, Change)]| {
        let left = advised.iter().fold(rate.clone(), |left, (one, change)| left.minus(&one.saves(change)));
        standing.lasts(left)
    };
    // Everything is stopped, for a start; what that leaves over is saved by as few releases as possible.
    let now = |prices: &Prices| prices.at(standing.now);
    let stops = uses.iter().filter(|one| one.compute.iter().any(|dated| dated.price > Price::default()));
    let mut advised: Vec<(&Use, Change)> = stops.map(|one| (one, Change::Stop)).collect();
    let mut candidates: Vec<&Use> = uses.iter().collect();
    candidates.sort_by_key(|one| (Reverse(now(&one.disk)), Reverse(now(&one.compute)), Reverse(one.instance)));
    for one in candidates {
        if enough(&advised) {
            break;
        }
        advised.retain(|(other, _)| other.instance != one.instance);
        advised.push((one, Change::Release));
    }
    // What need not be stopped is made as small as possible instead: first those where that makes the least difference, of them the cheapest.
    let smallest = |one: &Use| one.smaller.last().map(|(_, flavor)| Change::Resize(flavor.clone()));
    let instead = |one: &Use| smallest(one).map_or(0, |change| now(&one.saves(&change)).micros());
    advised.sort_by_key(|(one, change)| {
        (change.clone(), now(&one.compute).micros() - instead(one), now(&one.compute), one.instance)
    });
    advised = weaken(advised, &enough, |one, change| if *change == Change::Stop { smallest(one) } else { None });
    // Whatever need not change after all stays as it is, the least first.
    advised.sort_by_key(|(one, change)| (change.name() != "resize", one.saves(change), one.instance));
    advised = weaken(advised, &enough, |_, _| None);
    for at in 0..advised.len() {
        let (one, change) = advised[at].clone();
        let larger = one.smaller.iter().filter(|_| change.name() == "resize").map(|(_, flavor)| flavor);
        for flavor in larger {
            advised[at].1 = Change::Resize(flavor.clone());
            if enough(&advised) {
                break;
            }
        }
    }
    advised.into_iter().map(|(one, change)| (one.instance, change)).collect()
}

/// Puts something less in the place of each change, or nothing, where the rest is still enough.
fn weaken<'a>(
    mut advised: Vec<(&'a Use, Change)>,
    enough: &impl Fn(&[(&'a Use, Change)]) -> bool,
    less: impl Fn(&Use, &Change) -> Option<Change>,
) -> Vec<(&'a Use, Change)> {
    let mut at = 0;
    while at < advised.len() {
        let (one, change) = advised[at].clone();
        let instead = less(one, &change).map(|change| (one, change));
        let mut other = advised.clone();
        other.splice(at..=at, instead.clone());
        match enough(&other) {
            true => {
                advised = other;
                at += usize::from(instead.is_some());
            }
            false => at += 1,
        }
    }
    advised
}
