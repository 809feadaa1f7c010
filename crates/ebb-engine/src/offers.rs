//! What would each host of a zone give up for a demand? Remembered from one plan to the next, for few hosts change in between.

use crate::fleet::{Age, Amounts, Block, Fleet, Host};
use crate::placement::{Oldest, Tenancy, Wanted, clear, given_up};
use ebb_model::id::{AccountId, HostId};
use ebb_model::money::Exact;
use ebb_model::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// For so many demands, those planned last, a zone remembers what its hosts would give up.
const REMEMBERED: usize = 16;

/// What the hosts of a zone would give up, by demand; the demand that was planned last comes first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Offers {
    by_demand: Vec<(Amounts, Remembered)>,
}

#[derive(Debug, Clone, Default)]
struct Remembered {
    by_host: BTreeMap<HostId, Offer>,
    /// Hosts that changed since they were looked at.
    changed: BTreeSet<HostId>,
}

/// What one host would give up, whenever the notice ends within `[from, until)`.
#[derive(Debug, Clone)]
struct Offer {
    from: Timestamp,
    until: Timestamp,
    /// Who would have to go; `None`: however many went, it would not do.
    victims: Option<Victims>,
}

#[derive(Debug, Clone)]
struct Victims {
    oldest: Oldest,
    blocks: Box<[(AccountId, Block)]>,
}

impl Offers {
    /// Something happened to a host.
    pub fn changed(&mut self, host: HostId) {
        for (_, remembered) in &mut self.by_demand {
            remembered.changed.insert(host);
        }
    }

    /// Every host that can be cleared for a demand, with the money that it would cost and its oldest victim.
    pub fn of<'a>(
        &'a mut self,
        fleet: &'a Fleet,
        wanted: &'a Wanted<'_>,
    ) -> impl Iterator<Item = (HostId, Exact, Oldest)> + 'a {
        let remembered = self.remembered(&wanted.amounts);
        let known = !remembered.by_host.is_empty();
        let again = std::mem::take(&mut remembered.changed);
        for (id, host) in again.iter().filter_map(|id| fleet.hosts.get_key_value(id)) {
            remembered.by_host.insert(*id, look(host, wanted));
        }
        if !known {
            let all = fleet.hosts.iter().map(|(id, host)| (*id, look(host, wanted)));
            remembered.by_host = all.collect();
        }
        remembered.by_host.iter_mut().filter_map(|(id, offer)| {
            if wanted.deadline < offer.from || offer.until <= wanted.deadline {
                *offer = look(&fleet.hosts[id], wanted);
            }
            let victims = offer.victims.as_ref()?;
            let blocks = victims.blocks.iter().map(|(account, block)| (*account, block));
            Some((*id, given_up(blocks, wanted), victims.oldest))
        })
    }

    fn remembered(&mut self, demand: &Amounts) -> &mut Remembered {
        let at = self.by_demand.iter().position(|(known, _)| known == demand);
        let found = at.map(|at| self.by_demand.remove(at)).unwrap_or_else(|| (*demand, Remembered::default()));
        self.by_demand.insert(0, found);
        self.by_demand.truncate(REMEMBERED);
        &mut self.by_demand[0].1
    }
}

fn look(host: &Host, wanted: &Wanted<'_>) -> Offer {
    let (from, until) = host.unchanged_around(wanted.deadline);
    let open = host.terms.admit(Tenancy::Firm);
    let cleared = if open { clear(host, host.coming(wanted.deadline), &BTreeSet::new(), wanted) } else { None };
    let victims = cleared.map(|cleared| {
        let block = |age: &Age| {
            let (guest, block) = host.block(age.id);
            (guest.account, *block)
        };
        Victims { oldest: cleared.oldest(), blocks: cleared.victims().map(block).collect() }
    });
    Offer { from, until, victims }
}
