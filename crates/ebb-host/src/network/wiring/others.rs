//! Who else is told where guests are: the region's other hosts, and the network of the uplink?

use super::Wiring;
use crate::config::Tunnel;
use crate::files;
use crate::network::system::{self, batch_anyway};
use crate::network::{announce, standing, tunnel};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use tracing::{error, warn};

impl Wiring {
    pub(super) fn change_peers(&mut self, hosts: BTreeSet<Ipv4Addr>) {
        let before = std::mem::replace(&mut self.plan.peers, hosts);
        let (gone, come) = (&before - &self.plan.peers, &self.plan.peers - &before);
        if gone.is_empty() && come.is_empty() {
            return;
        }
        let line = |what: &'static str| move |peer: &Ipv4Addr| format!("{what} element inet host peers {{ {peer} }}\n");
        let book: String = gone.iter().map(line("delete")).chain(come.iter().map(line("add"))).collect();
        if let Err(why) = system::rules(&book) {
            error!("the region's other hosts could not be changed, so all is made anew: {why}");
            self.put_in_order();
        }
        self.reach(&gone, &come, &self.tunnels());
        if let Err(e) = files::write(&self.file, &files::json(&self.plan)) {
            warn!(
                "{}: {e}; after a restart the region's other hosts are known when the server says so",
                self.file.display()
            );
        }
    }

    /// Lets these devices flood to some hosts, and to others no more.
    pub(super) fn reach(&self, gone: &BTreeSet<Ipv4Addr>, come: &BTreeSet<Ipv4Addr>, devices: &[String]) {
        let Some((interface, _)) = &self.frame.tunnel else { return };
        let gateway = match &self.config.network.tunnel {
            Some(Tunnel::Interface { gateway, .. }) => *gateway,
            _ => None,
        };
        batch_anyway("ip", &tunnel::ways(interface, gateway, gone, come));
        batch_anyway("bridge", &tunnel::flood(devices, gone, come));
    }

    pub(super) fn tunnels(&self) -> Vec<String> {
        self.networks.values().filter_map(|(port, _)| standing::tunnel(*port, &self.frame)).collect()
    }

    pub(super) fn announce(&self, publics: &BTreeSet<Ipv4Addr>) {
        let Some(link) = &self.link else { return };
        let publics: Vec<Ipv4Addr> = publics.iter().copied().collect();
        if let Err(e) = announce::announce(link.index, link.mac, &publics) {
            warn!("others were not told that {publics:?} are here now: {e}; they find out by asking");
        }
    }
}
