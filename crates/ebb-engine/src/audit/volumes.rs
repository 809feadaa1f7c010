//! Is each second of a data disk's or a snapshot's life in exactly one span, but those for which nothing is charged? (rules §1.6, §2.13, §5.2)

use super::{Check, Found};
use crate::event::Event;
use ebb_model::billing::{Meter, ResourceId, Span};
use ebb_model::disk::Volume;
use ebb_model::id::{AccountId, DiskId};
use ebb_model::time::{Period, Second};
use ebb_model::volume::VolumeId;
use std::collections::BTreeMap;

/// Later than everything that can be charged.
const END: Second = Second::from_unix(i64::MAX / 4);

/// What the log says of one.
#[derive(Default)]
struct Life {
    since: Option<Second>,
    until: Option<Second>,
    /// In which its host was away; the last one perhaps without an end yet.
    away: Vec<(Second, Option<Second>)>,
    /// GiB from a second on.
    sizes: BTreeMap<Second, i64>,
    first_gib: i64,
    /// In which its account was frozen and nothing of it was charged.
    frozen: Vec<(Second, Option<Second>)>,
}

#[derive(Default)]
pub(super) struct Volumes {
    rows: BTreeMap<ResourceId, Volume>,
    lives: BTreeMap<VolumeId, Life>,
    /// In which the account was frozen, with the disks of subscriptions, which ran on.
    frozen: Vec<Freeze>,
}

struct Freeze {
    since: Second,
    until: Option<Second>,
    disks: Vec<DiskId>,
}

impl Volumes {
    pub fn volume(&mut self, of: Volume) {
        self.rows.insert(of.resource(), of);
    }

    pub fn event(&mut self, event: &Event) {
        let end = |open: &mut Vec<(Second, Option<Second>)>, at: Second| {
            if let Some((_, until @ None)) = open.last_mut() {
                *until = Some(at);
            }
        };
        match event {
            Event::AccountFrozen { at, disks, .. } => {
                self.frozen.push(Freeze { since: *at, until: None, disks: disks.clone() });
            }
            Event::VolumeFrozen { volume, at } => self.life(*volume).frozen.push((*at, None)),
            Event::ArrearsCleared { at } => {
                self.frozen.iter_mut().filter(|one| one.until.is_none()).for_each(|one| one.until = Some(*at));
                self.lives.values_mut().for_each(|life| end(&mut life.frozen, *at));
            }
            Event::VolumeCreated { volume, gib, .. } => self.life(*volume).first_gib = *gib,
            Event::VolumeThere { volume, at } => self.life(*volume).since = Some(*at),
            Event::VolumeResized { volume, gib, at } => drop(self.life(*volume).sizes.insert(*at, *gib)),
            Event::VolumeDeleted { volume, at } | Event::VolumeLost { volume, at } => {
                self.life(*volume).until = Some(*at);
            }
            Event::VolumeUnavailable { volume, since } => self.life(*volume).away.push((*since, None)),
            Event::VolumeAvailable { volume, at } => end(&mut self.life(*volume).away, *at),
            _ => {}
        }
    }

    fn life(&mut self, id: VolumeId) -> &mut Life {
        self.lives.entry(id).or_default()
    }

    /// Looks at the spans of all of them.
    pub fn check(&self, account: AccountId, spans: &[Span], found: &mut Found) {
        let mut of: BTreeMap<ResourceId, Vec<&Span>> = BTreeMap::new();
        for span in spans.iter().filter(|span| is_volumes(span.meter)) {
            of.entry(span.resource).or_default().push(span);
        }
        for (resource, row) in &self.rows {
            let mine = of.remove(resource).unwrap_or_default();
            let nothing = Life::default();
            let life = self.lives.get(&row.id).unwrap_or(&nothing);
            let begins = |at: Option<Second>| at.map_or("nothing".to_owned(), |at| at.to_string());
            let about = format!("volume {resource} charged_since");
            found.compare(Check::Span, account, about, begins(row.charged_since), begins(life.since));
            let stopped = |one: &&Freeze| !matches!(row.id, VolumeId::Disk(id) if one.disks.contains(&id));
            let frozen: Vec<_> = self.frozen.iter().filter(stopped).map(|one| (one.since, one.until)).collect();
            let charged = life.charged(&frozen);
            let (stored, comes_to) = (shown(&joined(mine.iter().map(|span| whole(span)))), shown(&charged));
            found.compare(Check::Span, account, format!("spans of {resource}"), stored, comes_to);
            for span in mine {
                let gib = life.gib(span.since);
                let units = span.follows.as_ref().map_or(0, |follows| follows.units);
                let row = format!("span {} units", span.id);
                if span.until.is_none_or(|until| until > span.since) {
                    found.compare(Check::Span, account, row, units, gib);
                }
                if span.meter != self.rows[resource].meter() {
                    let row = format!("span {} meter", span.id);
                    found.add(Check::Span, Some(account), row, span.meter.name(), self.rows[resource].meter().name());
                }
            }
        }
        for (resource, spans) in of {
            let row = format!("span {}", spans[0].id);
            found.add(Check::Span, Some(account), row, "there", format!("nothing: there is no {resource}"));
        }
    }
}

/// Whether it measures what is checked here.
pub(super) fn is_volumes(meter: Meter) -> bool {
    matches!(meter, Meter::DataDisk | Meter::Snapshot)
}

impl Life {
    /// The times for which it is charged, in their order, without a gap between them where there is none.
    fn charged(&self, frozen: &[(Second, Option<Second>)]) -> Vec<Period> {
        let Some(since) = self.since else { return vec![] };
        let mut charged: Vec<Period> = Period::new(since, self.until.unwrap_or(END)).into_iter().collect();
        for (from, to) in self.away.iter().chain(frozen).chain(&self.frozen) {
            let to = to.unwrap_or(END);
            charged = charged
                .into_iter()
                .flat_map(|one| {
                    let before = Period::new(one.since, one.until.min(*from));
                    [before, Period::new(one.since.max(to), one.until)].into_iter().flatten()
                })
                .collect();
        }
        charged
    }

    fn gib(&self, at: Second) -> i64 {
        self.sizes.range(..=at).next_back().map_or(self.first_gib, |(_, gib)| *gib)
    }
}

fn whole(span: &Span) -> (Second, Second) {
    (span.since, span.until.unwrap_or(END))
}

/// What spans cover, and what of them does not fit together, as it is.
fn joined(spans: impl Iterator<Item = (Second, Second)>) -> Vec<Period> {
    let mut all: Vec<(Second, Second)> = spans.filter(|(since, until)| since != until).collect();
    all.sort();
    let mut joined: Vec<Period> = vec![];
    for (since, until) in all {
        match joined.last_mut() {
            Some(last) if last.until == since => last.until = until,
            _ => joined.push(Period { since, until }),
        }
    }
    joined
}

fn shown(periods: &[Period]) -> String {
    let word = |at: Second| if at == END { "open".to_owned() } else { at.to_string() };
    let all: Vec<_> = periods.iter().map(|one| format!("{} to {}", one.since, word(one.until))).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}
