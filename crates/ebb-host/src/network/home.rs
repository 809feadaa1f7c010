//! How does the thread in the host's namespace do something on the machine?

use super::system::{self, run};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

/// The machine's own namespace beside the host's.
#[derive(Debug)]
pub struct Home {
    machine: File,
    ours: File,
}

impl Home {
    /// Makes the namespace unless it is there, and moves this thread into it.
    pub fn leave(name: &str) -> Result<Self, String> {
        let path = Path::new("/run/netns").join(name);
        if !path.exists() {
            run(Command::new("ip").args(["netns", "add", name]), "")?;
        }
        let open = |path: &Path| File::open(path).map_err(|e| format!("{}: {e}", path.display()));
        let home = Self { machine: open(Path::new("/proc/thread-self/ns/net"))?, ours: open(&path)? };
        enter(&home.ours).map_err(|e| format!("the namespace {name} cannot be entered: {e}"))?;
        Ok(home)
    }

    /// Does something on the machine; programs that are started in it run there.
    pub fn visit<T>(&self, work: impl FnOnce() -> T) -> T {
        // Whoever cannot go where it has been would go on in the wrong place.
        enter(&self.machine).expect("the way back to the machine");
        let done = work();
        enter(&self.ours).expect("the way back into the host's namespace");
        done
    }
}

fn enter(namespace: &File) -> rustix::io::Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
}

/// What is set in the host's namespace before anything happens there.
pub fn settings() {
    system::set(&[
        // A frame between two guests of an account shall not meet the rules for what passes through the host.
        ("bridge/bridge-nf-call-iptables", "0"),
        ("bridge/bridge-nf-call-ip6tables", "0"),
        ("bridge/bridge-nf-call-arptables", "0"),
        ("ipv6/conf/all/disable_ipv6", "1"),
        ("ipv6/conf/default/disable_ipv6", "1"),
        ("ipv4/ip_forward", "0"),
        ("ipv4/conf/all/accept_redirects", "0"),
        ("ipv4/conf/default/accept_redirects", "0"),
        ("ipv4/conf/all/send_redirects", "0"),
        ("ipv4/conf/default/send_redirects", "0"),
        ("ipv4/conf/all/accept_source_route", "0"),
        // Nobody outside speaks in a guest's name.
        ("ipv4/conf/all/rp_filter", "1"),
        ("ipv4/icmp_echo_ignore_broadcasts", "1"),
    ]);
}

/// From here on packets pass, if there is where to.
pub fn pass_on() {
    // This sets some of the others back.
    system::set(&[
        // By default what is forgotten at both ends is remembered here for days. So long is the least (RFC 5382).
        ("netfilter/nf_conntrack_tcp_timeout_established", "7500"),
        ("ipv4/ip_forward", "1"),
        ("ipv4/conf/all/accept_redirects", "0"),
        ("ipv4/conf/default/accept_redirects", "0"),
        ("ipv4/conf/all/send_redirects", "0"),
        ("ipv4/conf/default/send_redirects", "0"),
    ]);
}
