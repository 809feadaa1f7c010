//! What must go, or be stopped, so that the grant lasts until the end of its validity? (rules §3.9)

use crate::forecast::{Draw, pays_until};
use ebb_model::id::InstanceId;
use ebb_model::money::Price;
use ebb_model::time::{Period, Second};
use ebb_model::trial::TrialGrant;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// What one trial instance draws per hour now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    pub instance: InstanceId,
    pub compute: Price,
    pub disk: Price,
}

impl Use {
    fn price(&self) -> Price {
        self.compute + self.disk
    }
}

/// What may be done with an instance; the smaller change stands first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Economically: vCPU and memory cost nothing any more, the disk stays.
    Stop,
    Release,
}

impl Change {
    pub fn name(self) -> &'static str {
        match self {
            Change::Stop => "stop",
            Change::Release => "release",
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
    pub fn lasts_at(&self, price: Price) -> Option<Second> {
        let window = Period::new(self.open_since.max(self.grant.claimed_at), self.grant.valid_until)?;
        let past = self.draws.iter().map(|draw| {
            let until = draw.until.map_or(self.now, |until| until.min(self.now));
            Draw { until: Some(until), ..*draw }
        });
        let mut draws: Vec<Draw> = past.collect();
        draws.push(Draw { since: self.now, until: None, price });
        pays_until(&draws, self.grant.cap(), self.grant.left(), window)
    }

    fn lasts(&self, price: Price) -> bool {
        self.lasts_at(price).is_none()
    }
}

/// The smallest change after which the grant lasts: the fewest releases, then the fewest stops, those that save most. Nothing if it lasts anyway,
/// or is used up already. Without [`Change::Stop`] in `may` only releases are advised.
pub fn advice(standing: &Standing, uses: &[Use], may: &[Change]) -> Vec<(InstanceId, Change)> {
    let rate = uses.iter().fold(Price::default(), |sum, one| sum + one.price());
    if standing.lasts(rate) || !standing.lasts(Price::default()) {
        return vec![];
    }
    let saves = |one: &Use, change| match change {
        Change::Stop => one.compute,
        Change::Release => one.price(),
    };
    let total =
        |advised: &[(Use, Change)]| -> i64 { advised.iter().map(|(one, change)| saves(one, *change).micros()).sum() };
    let enough = |advised: &[(Use, Change)]| standing.lasts(Price::from_micros(rate.micros() - total(advised)));

    // Everything that may be stopped is, for a start; what that leaves over is saved by as few releases as possible.
    let mut advised: Vec<(Use, Change)> = match may.contains(&Change::Stop) {
        true => uses.iter().filter(|one| one.compute > Price::default()).map(|one| (*one, Change::Stop)).collect(),
        false => vec![],
    };
    let mut candidates = uses.to_vec();
    let gain = |one: &Use| match may.contains(&Change::Stop) {
        true => one.disk,
        false => one.price(),
    };
    candidates.sort_by_key(|one| (Reverse(gain(one)), Reverse(one.compute), Reverse(one.instance)));
    for one in candidates {
        if enough(&advised) {
            break;
        }
        advised.retain(|(other, _)| other.instance != one.instance);
        advised.push((one, Change::Release));
    }
    // Whatever need not change after all stays as it is, the least first.
    advised.sort_by_key(|(one, change)| (*change, saves(one, *change), one.instance));
    let mut at = 0;
    while at < advised.len() {
        let without = [&advised[..at], &advised[at + 1..]].concat();
        match enough(&without) {
            true => advised = without,
            false => at += 1,
        }
    }
    advised.into_iter().map(|(one, change)| (one.instance, change)).collect()
}
