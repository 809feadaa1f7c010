//! Is each second of an instance's life in exactly one span of each meter? (rules §1.6)

use super::volumes::is_volumes;
use super::{Check, Found};
use crate::event::Event;
use ebb_model::billing::{Meter, ResourceId, Span};
use ebb_model::id::{AccountId, InstanceId};
use ebb_model::instance::{End, Instance, Purchase, State};
use ebb_model::time::Second;
use std::collections::{BTreeMap, BTreeSet};

/// What an instance's spans must fit.
struct Life {
    first_running: Option<Second>,
    stands: Stands,
    /// Its charge by the second was replaced by months.
    metered: bool,
    /// Its vCPU and memory are its own.
    in_use: bool,
    /// Nothing of it is charged.
    frozen: bool,
    gone_at: Option<Second>,
    /// Where charge may stop before its end, of vCPU and memory, and of all.
    stops: BTreeSet<Second>,
    losses: BTreeSet<Second>,
    /// Where it may go on.
    resumes: BTreeSet<Second>,
}

enum Stands {
    There,
    Lost,
    Ended(End),
}

#[derive(Default)]
pub(super) struct Lives(BTreeMap<InstanceId, Life>);

impl Lives {
    pub fn instance(&mut self, of: &Instance) {
        let stands = match &of.state {
            State::Lost { .. } => Stands::Lost,
            State::Releasing { end } | State::Released { end, .. } => Stands::Ended(*end),
            _ => Stands::There,
        };
        let gone_at = match of.state {
            State::Released { gone_at, .. } => Some(gone_at.second()),
            _ => None,
        };
        let life = Life {
            first_running: of.first_running,
            stands,
            metered: of.purchase.is_metered(),
            in_use: of.in_use_since.is_some(),
            frozen: false,
            gone_at,
            stops: BTreeSet::new(),
            losses: BTreeSet::new(),
            resumes: BTreeSet::new(),
        };
        self.0.insert(of.id, life);
    }

    /// What the log says about where charge stops and goes on. What comes to stop it for another reason is a line here.
    pub fn event(&mut self, about: InstanceId, event: &Event) {
        let Some(life) = self.0.get_mut(&about) else { return };
        match event {
            Event::Stopped { at, economical: true } => {
                life.stops.insert(*at);
                // Off on a host that came back with it: its disk goes on.
                life.resumes.insert(*at);
            }
            Event::EconomicalStopAsked { charged_until: Some(at) } => drop(life.stops.insert(*at)),
            // Stopped with its trial, after somebody had deleted it already.
            Event::BecameOnDemand { since } => drop(life.stops.insert(*since)),
            Event::HostLost { since } => drop(life.losses.insert(*since)),
            Event::Converted { purchase: Purchase::Subscription { .. }, at, .. } => drop(life.losses.insert(*at)),
            Event::Running { at, .. } => drop(life.resumes.insert(*at)),
            Event::Frozen { at } => {
                life.losses.insert(*at);
                life.frozen = true;
            }
            Event::Thawed { at } => {
                life.resumes.insert(*at);
                life.frozen = false;
            }
            _ => {}
        }
    }

    /// Whether it is not released yet.
    pub fn is_live(&self, id: InstanceId) -> bool {
        self.0.get(&id).is_some_and(|life| life.gone_at.is_none())
    }

    /// How a block that is gone ended, and when it was gone.
    pub fn settled_end(&self, id: InstanceId) -> Option<(End, Second)> {
        let life = self.0.get(&id)?;
        match life.stands {
            Stands::Ended(end) => Some((end, life.gone_at?)),
            _ => None,
        }
    }

    /// Looks at the spans of all of them.
    pub fn check(&self, account: AccountId, spans: &[Span], found: &mut Found) {
        let mut of: BTreeMap<(ResourceId, Meter), Vec<&Span>> = BTreeMap::new();
        // Of volumes and of bandwidth their own checks say more.
        let of_lives =
            |span: &&Span| !matches!(span.meter, Meter::Subscription | Meter::Bandwidth) && !is_volumes(span.meter);
        for span in spans.iter().filter(of_lives) {
            of.entry((span.resource, span.meter)).or_default().push(span);
        }
        for (id, life) in &self.0 {
            for meter in Meter::OF_INSTANCE {
                let mut mine = of.remove(&((*id).into(), *meter)).unwrap_or_default();
                mine.sort_by_key(|span| (span.since, span.until.is_none(), span.until));
                let mut wrong = |row: String, stored: String, comes_to: String| {
                    found.add(Check::Span, Some(account), row, stored, comes_to);
                };
                life.check(&format!("instance {id} {}", meter.name()), *meter, &mine, &mut wrong);
            }
        }
        for ((_, _), spans) in of {
            let id = spans[0].id;
            found.add(
                Check::Span,
                Some(account),
                format!("span {id}"),
                "there",
                "nothing: it is of nothing that is there",
            );
        }
    }
}

impl Life {
    fn check(&self, about: &str, meter: Meter, spans: &[&Span], wrong: &mut impl FnMut(String, String, String)) {
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else {
            if let Some(since) = self.first_running.filter(|_| self.metered) {
                wrong(format!("{about}: its spans"), "none".to_owned(), format!("used since {since}"));
            }
            return;
        };
        match self.first_running {
            Some(since) if since == first.since => {}
            begins => {
                let comes_to = begins.map_or("nothing: it never ran".to_owned(), |at| at.to_string());
                wrong(format!("span {} since", first.id), first.since.to_string(), comes_to);
            }
        }
        for span in spans.iter().filter(|span| span.until.is_some_and(|until| until < span.since)) {
            wrong(format!("span {} until", span.id), shown(span.until), format!("{} or later", span.since));
        }
        for pair in spans.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            match before.until {
                Some(until) if until == after.since => {}
                Some(until) if until < after.since => {
                    let may_stop = self.may_stop(meter, before);
                    if !may_stop || !self.resumes.contains(&after.since) {
                        let (row, at) = match may_stop {
                            false => (format!("span {} until", before.id), after.since),
                            true => (format!("span {} since", after.id), until),
                        };
                        let stored = if may_stop { after.since } else { until };
                        wrong(row, stored.to_string(), at.to_string());
                    }
                }
                until => wrong(format!("span {} since", after.id), after.since.to_string(), shown(until)),
            }
        }
        let ends_at = match &self.stands {
            _ if !self.metered => None,
            Stands::Lost => None,
            Stands::There if self.frozen => None,
            Stands::Ended(end) => Some(Some(end.at)),
            Stands::There if meter == Meter::Compute && !self.in_use => None,
            Stands::There => Some(None),
        };
        let fits = match ends_at {
            // Its end came after what had stopped its charge before.
            Some(Some(at)) => last.until == Some(at) || self.may_stop(meter, last) && last.until <= Some(at),
            Some(None) => last.until.is_none() || meter == Meter::Compute && self.may_stop(meter, last),
            None => self.may_stop(meter, last),
        };
        if !fits {
            let comes_to = match ends_at {
                Some(at) => shown(at),
                None => "an instant at which its charge stopped".to_owned(),
            };
            wrong(format!("span {} until", last.id), shown(last.until), comes_to);
        }
    }

    /// Whether the log has a reason for the end of a span. What came to an end before it began has none.
    fn may_stop(&self, meter: Meter, span: &Span) -> bool {
        let Some(until) = span.until else { return false };
        let stopped = meter == Meter::Compute && self.stops.contains(&until);
        stopped || self.losses.contains(&until) || until == span.since
    }
}

fn shown(until: Option<Second>) -> String {
    until.map_or("open".to_owned(), |at| at.to_string())
}
