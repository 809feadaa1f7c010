//! How is everything in the namespace put in order, at the start and after something went wrong?

use super::Wiring;
use crate::config::Uplink;
use crate::files;
use crate::network::home::{self, Home};
use crate::network::plan::Stay;
use crate::network::standing::{Standing, done, undone};
use crate::network::system::{self, batch, batch_anyway, run};
use crate::network::{meter, rules, tunnel, uplink};
use ebb_model::id::InstanceId;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::process::Command;
use tracing::{error, warn};

impl Wiring {
    /// Moves this thread into the namespace and puts everything there in order.
    pub fn enter(&mut self) -> Result<(), String> {
        let home = self.home.insert(Home::leave(&self.name)?);
        home::settings();
        if !matches!(self.config.network.uplink, Some(Uplink::Machine)) {
            home.visit(|| uplink::part(&self.name));
        }
        // The rules come before the first interface.
        let counts = self.take_counters_up()?;
        self.put_rules()?;
        let home = self.home.as_ref().expect("it was just made");
        self.link = uplink::join(&self.config.network, &self.name, home)?;
        meter::sweep(&self.names(), &counts);

        let mut links = String::from("link set lo up\n");
        for address in rules::METADATA {
            writeln!(links, "addr replace {address}/32 dev lo").expect("a string takes everything");
        }
        // Tunnels begin anew: nobody waits longer for that than for a frame that is lost.
        for device in devices("vxlan")? {
            writeln!(links, "link del {device}").expect("a string takes everything");
        }
        let bridges = devices("bridge")?;
        bridges.difference(&self.networks.keys().cloned().collect()).for_each(|stale| {
            writeln!(links, "link del {stale}").expect("a string takes everything");
        });
        for (name, (port, _)) in &self.networks {
            match bridges.contains(name) {
                true => writeln!(links, "link set {name} mtu {}", self.mtu()).expect("a string takes everything"),
                false => self.bridge(&mut links, *port),
            }
            tunnel::device(&mut links, *port, &self.frame);
        }
        let all = self.all();
        if let Some((uplink, _)) = &self.frame.uplink {
            for stale in uplink::bound(uplink)?.iter().filter(|ip| !all.publics.contains(ip) && !self.is_own(**ip)) {
                writeln!(links, "addr del {stale}/32 dev {uplink}").expect("a string takes everything");
            }
        }
        links += &done(&BTreeMap::new(), &all.links);
        batch("ip", &links)?;
        self.at_home(&done(&BTreeMap::new(), &all.home))?;
        self.put_rates()?;
        self.reach(&BTreeSet::new(), &self.plan.peers.clone(), &self.tunnels());
        if self.frame.uplink.is_some() {
            home::pass_on();
        }
        self.announce(&all.publics);
        self.publish();
        Ok(())
    }

    /// Everything anew from the plan, after something went wrong.
    pub(super) fn put_in_order(&mut self) {
        let (bridges, here) = (devices("bridge").unwrap_or_default(), self.plan.networks());
        let mut links = String::new();
        for (name, port) in &here {
            if !bridges.contains(name) {
                self.bridge(&mut links, *port);
                tunnel::device(&mut links, *port, &self.frame);
            }
        }
        // What a change that failed has made would be in the way of the next one.
        for stale in bridges.iter().filter(|name| !here.contains_key(*name)) {
            let device = stale.replacen("br", "vx", 1);
            writeln!(links, "link del {stale}\nlink del {device}").expect("a string takes everything");
        }
        let before = self.all();
        if let Err(why) = self.put_rules() {
            error!("the rules could not be put in order: {why}");
        }
        if let Err(why) = self.put_rates() {
            error!("addresses are not held to their rates: {why}");
        }
        let all = self.all();
        links += &undone(&before.links, &all.links);
        links += &done(&BTreeMap::new(), &all.links);
        batch_anyway("ip", &links);
        self.reach(&BTreeSet::new(), &self.plan.peers.clone(), &self.tunnels());
        if let Err(why) = self.at_home(&done(&BTreeMap::new(), &all.home)) {
            error!("the machine's routes could not be put in order: {why}");
        }
        if let Err(e) = files::write(&self.file, &files::json(&self.plan)) {
            warn!("{}: {e}; after a restart the addresses are swept", self.file.display());
        }
        self.publish();
    }

    /// Replaces the whole rule book, and computes what stands for whom.
    pub(super) fn put_rules(&mut self) -> Result<(), String> {
        self.networks = self
            .plan
            .networks()
            .into_iter()
            .map(|(name, port)| (name, (port, Standing::of_network(port, &self.frame))))
            .collect();
        let mut rates = BTreeMap::new();
        for (_, stay) in self.plan.guests() {
            let held = stay.around.addresses.iter().filter_map(|address| Some((address.ip, address.mbit?)));
            rates.extend(held);
        }
        if let Some((uplink, _)) = &self.frame.uplink {
            // The numbers; the classes themselves follow, or are there.
            let _ = self.pace.admit(uplink, &rates);
        }
        let names = self.names();
        let stays: Vec<(InstanceId, Stay)> = self.plan.guests().map(|(id, stay)| (id, stay.clone())).collect();
        self.guests = stays.iter().map(|(id, stay)| (*id, self.standing_of_guest(*id, stay, &names))).collect();
        let mut text = String::new();
        if self.frame.uplink.is_some() {
            text.push_str(meter::TABLE);
            meter::counters(&names, &mut text);
        }
        let standing = self.networks.values().map(|(_, standing)| standing).chain(self.guests.values());
        text.push_str(&rules::all(&self.frame, &self.plan.peers, standing));
        system::rules(&text)
    }

    /// Makes the uplink's queue anew. What waits in it is lost, as on any network.
    pub(super) fn put_rates(&self) -> Result<(), String> {
        let Some((uplink, _)) = &self.frame.uplink else { return Ok(()) };
        let _ = run(Command::new("tc").args(["qdisc", "del", "dev", uplink, "root"]), "");
        batch("tc", &self.pace.all(uplink))
    }

    fn is_own(&self, ip: Ipv4Addr) -> bool {
        self.frame.uplink.iter().chain(&self.frame.tunnel).any(|(_, own)| *own == ip)
    }
}

/// The interfaces of a kind that are there.
fn devices(kind: &str) -> Result<BTreeSet<String>, String> {
    let links = run(Command::new("ip").args(["-o", "link", "show", "type", kind]), "")?;
    let names = links.lines().filter_map(|line| line.split(": ").nth(1)?.split('@').next().map(str::to_owned));
    Ok(names.collect())
}
