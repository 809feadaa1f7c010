//! What may a guest's frames do? Only what is listed here; everything else is dropped and counted.
//!
//! It must be an allow list: a list of what is forbidden has been got around with frames that carry a VLAN tag (they are not
//! "IP" to a rule that looks for bad IP) and with IPv6 by a bridge's link-local address.

use super::plan::Port;
use ebb_wire::metadata::cloud::Cloud;
use std::fmt::Write;
use std::net::Ipv4Addr;

/// Where most clouds' guests look for their metadata, and ours for names.
pub const SHARED: Ipv4Addr = Cloud::Huawei.address();
/// Everywhere that guests look for it.
pub const METADATA: [Ipv4Addr; 3] = [SHARED, Cloud::Alibaba.address(), Cloud::Tencent.address()];

/// The whole rule book, replacing an earlier one in one step, so that there is no moment without.
pub fn all(networks: impl Iterator<Item = Port>, guests: impl Iterator<Item = Port>) -> String {
    let mut text = String::from("add table bridge guard\ndelete table bridge guard\n");
    text.push_str("add table inet host\ndelete table inet host\n");
    text.push_str(BOOK);
    networks.for_each(|port| admit_network(&mut text, port));
    guests.for_each(|port| admit(&mut text, port));
    text
}

/// `prerouting` of the bridge sees every frame that a tap hands to the kernel, before anything else does. `ether type` looks at
/// the frame's own bytes, so a tagged frame is neither `ip` nor `arp`.
const BOOK: &str = r#"
table bridge guard {
  counter refused { }
  set guests { type ifname . ether_addr . ipv4_addr; }
  set asking { type ifname; flags dynamic; size 65536; timeout 1m; }
  chain from_guest {
    type filter hook prerouting priority -200; policy accept;
    iifname != "tap*" accept
    ether type ip iifname . ether saddr . ip saddr @guests accept
    ether type ip ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 update @asking { iifname limit rate 5/second burst 20 packets } accept
    ether type arp arp htype 1 arp ptype ip arp operation { request, reply } iifname . arp saddr ether . arp saddr ip @guests accept
    counter name refused drop
  }
}
table inet host {
  counter refused { }
  set gateways { type ifname . ipv4_addr; }
  set connecting { type ipv4_addr; flags dynamic; size 65536; timeout 1m; }
  set naming { type ipv4_addr; flags dynamic; size 65536; timeout 1m; }
  set pinging { type ipv4_addr; flags dynamic; size 65536; timeout 1m; }
  chain to_host {
    type filter hook input priority 0; policy drop;
    iifname "lo" accept
    meta l4proto tcp ct state established accept
    iifname "br*" ip daddr { 169.254.169.254, 100.100.100.200, 169.254.0.23 } tcp dport 80 ct state new update @connecting { ip saddr limit rate 50/second burst 100 packets } accept
    iifname "br*" ip protocol udp udp sport 68 udp dport 67 accept
    iifname "br*" ip daddr 169.254.169.254 udp dport 53 update @naming { ip saddr limit rate 50/second burst 100 packets } accept
    iifname . ip daddr @gateways icmp type echo-request update @pinging { ip saddr limit rate 10/second burst 20 packets } accept
    counter name refused drop
  }
  chain through {
    type filter hook forward priority 0; policy drop;
    counter name refused drop
  }
}
"#;

pub fn admit_network(text: &mut String, port: Port) {
    line(text, format_args!("add element inet host gateways {{ \"{}\" . {} }}", port.bridge(), port.gateway()));
}

pub fn dismiss_network(text: &mut String, port: Port) {
    line(text, format_args!("delete element inet host gateways {{ \"{}\" . {} }}", port.bridge(), port.gateway()));
}

pub fn admit(text: &mut String, port: Port) {
    line(text, format_args!("add element bridge guard guests {{ \"{}\" . {} . {} }}", port.tap(), port.mac(), port.0));
}

pub fn dismiss(text: &mut String, port: Port) {
    // Adding first makes the deletion of what is not there no error, which would undo its whole batch.
    admit(text, port);
    line(
        text,
        format_args!("delete element bridge guard guests {{ \"{}\" . {} . {} }}", port.tap(), port.mac(), port.0),
    );
}

fn line(text: &mut String, args: std::fmt::Arguments<'_>) {
    writeln!(text, "{args}").expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_reach_each_address_of_the_metadata() {
        let rule = BOOK.lines().find(|line| line.contains("tcp dport 80")).unwrap();
        for cloud in Cloud::ALL {
            assert!(METADATA.contains(&cloud.address()) && rule.contains(&cloud.address().to_string()), "{cloud:?}");
        }
    }
}
