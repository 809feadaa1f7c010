//! By which addresses do the hosts of a region carry private networks on to each other? (rules §4.5)

use crate::app::App;
use crate::host::Ask;
use ebb_driver::protocol::ToHost;
use ebb_model::id::HostId;
use ebb_store::StoreError;
use ebb_store::rows::host::{self, LOST};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// What each connected host was told of its peers since it said hello.
#[derive(Default)]
pub struct Peers(tokio::sync::Mutex<BTreeMap<HostId, BTreeSet<Ipv4Addr>>>);

impl App {
    /// Tells each connected host of whom it was not told yet, or of whom it was and should not be any more. One that is silent
    /// stays a peer of the others, since its guests may be there; one that is lost does not. `new` has heard nothing yet.
    pub async fn tell_peers(&self, new: Option<HostId>) -> Result<(), StoreError> {
        // One after the other, so that what is told last is what was read last.
        let mut told = self.hosts.peers.0.lock().await;
        if let Some(new) = new {
            told.remove(&new);
        }
        let mut regions: BTreeMap<&str, Vec<(HostId, Option<Ipv4Addr>)>> = BTreeMap::new();
        for row in self.store.rows(host::all()).await? {
            let known = host::read(&row);
            let tunnel = host::read_tunnel(&row).filter(|_| known.state != LOST);
            if let Some(zone) = self.catalog.zone(&known.zone) {
                regions.entry(&zone.region).or_default().push((known.id, tunnel));
            }
        }
        let links = self.hosts.links.lock().expect("no panic while holding links").clone();
        told.retain(|id, _| links.contains_key(id));
        for hosts in regions.values() {
            for (id, own) in hosts {
                let Some(link) = links.get(id) else { continue };
                let others = hosts.iter().filter(|(other, _)| other != id).filter_map(|(_, tunnel)| *tunnel);
                // What carries nothing on itself has no use for the others.
                let peers: BTreeSet<Ipv4Addr> = others.filter(|_| own.is_some()).collect();
                if told.get(id) != Some(&peers) {
                    // One that is gone by now hears it with its next hello.
                    let _ = link.say.send(Ask::Say(ToHost::Peers { hosts: peers.clone() }));
                    told.insert(*id, peers);
                }
            }
        }
        Ok(())
    }
}
