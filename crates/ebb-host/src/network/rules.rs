//! What may a guest's frames do? Only what is listed here; everything else is dropped and counted.
//!
//! It must be an allow list: a list of what is forbidden has been got around with frames that carry a VLAN tag (they are not
//! "IP" to a rule that looks for bad IP) and with IPv6 by a bridge's link-local address.

use super::standing::Standing;
use super::uplink;
use crate::config::{NetworkConfig, Uplink};
use ebb_wire::metadata::cloud::Cloud;
use ipnet::Ipv4Net;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::Ipv4Addr;

/// Where most clouds' guests look for their metadata, and ours for names.
pub const SHARED: Ipv4Addr = Cloud::Huawei.address();
/// Everywhere that guests look for it.
pub const METADATA: [Ipv4Addr; 3] = [SHARED, Cloud::Alibaba.address(), Cloud::Tencent.address()];

/// What is the operator's, or nobody's, wherever the host stands: no guest gets there unless the configuration says so.
pub const CLOSED: [Ipv4Net; 12] = [
    Ipv4Net::new_assert(Ipv4Addr::new(0, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10),
    Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16),
    Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 0, 0), 24),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16),
    Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 15),
    Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4),
    Ipv4Net::new_assert(Ipv4Addr::new(240, 0, 0, 0), 4),
    // Azure's own services answer there, and its guests ask them unbidden.
    Ipv4Net::new_assert(Ipv4Addr::new(168, 63, 129, 16), 32),
];

/// What the rule book is about besides guests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// The uplink's interface and the host's own address there.
    pub uplink: Option<(String, Ipv4Addr)>,
    /// Guests may begin something by it.
    pub outward: bool,
    pub closed: Vec<Ipv4Net>,
    pub allowed: Vec<Ipv4Net>,
    /// The interface by which private networks go on, and the host's address there.
    pub tunnel: Option<(String, Ipv4Addr)>,
}

impl Frame {
    pub fn of(config: &NetworkConfig) -> Self {
        Self {
            outward: matches!(config.uplink, Some(Uplink::Interface { .. })),
            closed: CLOSED.into_iter().chain(config.closed.iter().copied()).chain(config.tunnel_network()).collect(),
            allowed: config.allowed.clone(),
            uplink: uplink::uplink(config),
            tunnel: uplink::tunnel(config),
        }
    }
}

/// The whole rule book, replacing an earlier one in one step, so that there is no moment without. Connections that are there stay:
/// each packet of them is judged by the new book.
pub fn all<'a>(
    frame: &Frame,
    peers: &BTreeSet<Ipv4Addr>,
    standing: impl Iterator<Item = &'a Standing> + Clone,
) -> String {
    let mut text = String::from("add table bridge guard\ndelete table bridge guard\n");
    text.push_str("add table inet host\ndelete table inet host\n");
    text.push_str(GUARD);
    text.push_str(&host(frame));
    if let Some((uplink, own)) = &frame.uplink {
        text.push_str(&passage(uplink, *own, frame));
    }
    for peer in peers {
        line(&mut text, format_args!("add element inet host peers {{ {peer} }}"));
    }
    standing.clone().flat_map(|one| &one.chains).for_each(|(name, rules)| chain(&mut text, name, rules));
    standing.flat_map(|one| &one.elements).for_each(|element| admit(&mut text, element));
    text
}

/// `prerouting` of the bridge sees every frame that a tap hands to the kernel, before anything else does. `ether type` looks at
/// the frame's own bytes, so a tagged frame is neither `ip` nor `arp`. What other hosts carry here was judged there; it comes to
/// no one but guests, and not in the name of anybody who is here. Who asks for an address asks the host alone, and nobody else
/// answers; nor do questions for the gateway leave the host.
const GUARD: &str = r#"
table bridge guard {
  counter refused { }
  set guests { type ifname . ether_addr . ipv4_addr; }
  set asking { type ifname; flags dynamic; size 65536; timeout 1m; }
  set here { type ifname . ether_addr; }
  set beyond { type ifname . ipv4_addr; }
  chain from_guest {
    type filter hook prerouting priority -200; policy accept;
    iifname . ether saddr @here counter name refused drop
    iifname "vx*" ether type { ip, arp } accept
    iifname "vx*" counter name refused drop
    iifname != "tap*" accept
    ether type ip udp sport 67 udp dport 68 counter name refused drop
    ether type ip iifname . ether saddr . ip saddr @guests accept
    ether type ip ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 update @asking { iifname limit rate 5/second burst 20 packets } accept
    ether type arp arp htype 1 arp ptype ip arp operation { request, reply } iifname . arp saddr ether . arp saddr ip @guests accept
    counter name refused drop
  }
  chain between_guests {
    type filter hook forward priority 0; policy accept;
    oifname . arp daddr ip @beyond drop
    udp sport 68 udp dport 67 drop
  }
  chain to_host {
    type filter hook input priority 0; policy accept;
    iifname "vx*" drop
  }
}
"#;

/// What guests and others may ask the host itself.
fn host(frame: &Frame) -> String {
    let tunnel = frame.tunnel.as_ref().map_or_else(String::new, |(name, own)| {
        format!("iifname \"{name}\" ip daddr {own} ip saddr @peers udp dport 4789 accept\n    ")
    });
    let unseen = frame.tunnel.as_ref().map_or_else(String::new, |(name, _)| {
        format!(
            "
  chain untracked_in {{
    type filter hook prerouting priority -300; policy accept;
    iifname \"{name}\" udp dport 4789 notrack
  }}
  chain untracked_out {{
    type filter hook output priority -300; policy accept;
    oifname \"{name}\" udp dport 4789 notrack
  }}
  chain carried_on {{
    type filter hook output priority 0; policy accept;
    oifname \"{name}\" udp dport 4789 ip daddr != @peers counter name refused drop
  }}"
        )
    });
    format!(
        r#"
table inet host {{
  counter refused {{ }}
  set gateways {{ type ifname . ipv4_addr; }}
  set peers {{ type ipv4_addr; }}
  set connecting {{ type ipv4_addr; flags dynamic; size 65536; timeout 1m; }}
  set naming {{ type ipv4_addr; flags dynamic; size 65536; timeout 1m; }}
  set pinging {{ type ipv4_addr; flags dynamic; size 65536; timeout 1m; }}
  chain to_host {{
    type filter hook input priority 0; policy drop;
    iifname "lo" accept
    {tunnel}meta l4proto tcp ct state established accept
    {QUESTIONS}
    iifname "br*" ip protocol udp udp sport 68 udp dport 67 accept
    iifname "br*" ip daddr 169.254.169.254 udp dport 53 update @naming {{ ip saddr limit rate 50/second burst 100 packets }} accept
    iifname . ip daddr @gateways icmp type echo-request update @pinging {{ ip saddr limit rate 10/second burst 20 packets }} accept
    counter name refused drop
  }}
  chain through {{
    type filter hook forward priority 0; policy drop;
  }}{unseen}
}}
{}"#,
        // Without an uplink nothing passes.
        if frame.uplink.is_none() { "add rule inet host through counter name refused drop\n" } else { "" }
    )
}

const QUESTIONS: &str = r#"iifname "br*" ip daddr { 169.254.169.254, 100.100.100.200, 169.254.0.23 } tcp dport 80 ct state new update @connecting { ip saddr limit rate 50/second burst 100 packets } accept"#;

/// What passes by the uplink, and between guests by their public addresses.
///
/// Twice a packet is judged. Before the way is chosen its connection may begin or not. When it leaves, both ends of it are known as
/// they look from outside (`ct reply` has what is left after both translations), whichever way it goes: so what came in by an address
/// is compared with the rules of whom it leads to, packet by packet, and a rule or an address that is taken away ends what it let in.
fn passage(uplink: &str, own: Ipv4Addr, frame: &Frame) -> String {
    let list = |nets: &[Ipv4Net]| match nets {
        [] => String::new(),
        some => format!(" elements = {{ {} }};", some.iter().map(Ipv4Net::to_string).collect::<Vec<_>>().join(", ")),
    };
    let (closed, allowed) = (list(&frame.closed), list(&frame.allowed));
    let (outward, hidden) = match frame.outward {
        true => (
            format!(
                "iifname \"br*\" oifname \"{uplink}\" ip saddr @outgoing ip daddr != @closed accept
    iifname \"br*\" oifname \"{uplink}\" ip daddr @allowed accept"
            ),
            format!("iifname \"br*\" oifname \"{uplink}\" snat ip to {own}"),
        ),
        false => (String::new(), String::new()),
    };
    format!(
        r#"
table inet host {{
  set publics {{ type ipv4_addr; }}
  set outgoing {{ type ipv4_addr; }}
  set bound {{ type ipv4_addr . ipv4_addr; }}
  set closed {{ type ipv4_addr; flags interval; auto-merge;{closed} }}
  set allowed {{ type ipv4_addr; flags interval; auto-merge;{allowed} }}
  set flows {{ type ipv4_addr; flags dynamic; size 65536; }}
  map inwards {{ type ipv4_addr : ipv4_addr; }}
  map outwards {{ type ipv4_addr : ipv4_addr; }}
  map ingress {{ type ipv4_addr : verdict; }}
  map classes {{ type ipv4_addr : classid; }}
  chain refuse {{
    counter name refused drop
  }}
  chain translate_in {{
    type nat hook prerouting priority -100; policy accept;
    dnat ip to ip daddr map @inwards
  }}
  chain translate_out {{
    type nat hook postrouting priority 100; policy accept;
    iifname "br*" snat ip to ip saddr map @outwards
    {hidden}
  }}
  chain from_host {{
    type filter hook output priority 0; policy accept;
    oifname "{uplink}" udp dport 4789 ip daddr @peers accept
    oifname "{uplink}" icmp type destination-unreachable accept
    oifname "{uplink}" goto refuse
  }}
  chain leaving {{
    type filter hook postrouting priority 110; policy accept;
    ct status snat ct reply ip daddr != {own} ct original ip saddr . ct reply ip daddr != @bound goto refuse
    ct status dnat ct reply ip saddr . ct original ip daddr != @bound goto refuse
    ct status dnat ct state related accept
    ct status dnat ct reply ip saddr vmap @ingress
    ct status dnat goto refuse
    ct status snat ct reply ip daddr {own} ct original ip daddr != @allowed goto refuse
    ct status snat ct original ip daddr @closed ct original ip daddr != @allowed goto refuse
    iifname "br*" oifname "{uplink}" ip saddr != @publics ip saddr != {own} goto refuse
  }}
  chain pace {{
    type filter hook postrouting priority 115; policy accept;
    oifname "{uplink}" meta priority set ip saddr map @classes
  }}
}}
add rule inet host through ct state invalid goto refuse
add rule inet host through ct state established,related accept
add rule inet host through meta l4proto != {{ tcp, udp, icmp }} goto refuse
add rule inet host through meta l4proto icmp icmp type != echo-request goto refuse
add rule inet host through iifname "br*" add @flows {{ ip saddr ct count over {FLOWS} }} goto refuse
add rule inet host through iifname "{uplink}" oifname "br*" ct status dnat accept
add rule inet host through iifname "br*" oifname "br*" ip saddr @outgoing ct status dnat accept
{}
add rule inet host through goto refuse
"#,
        outward
            .lines()
            .map(|rule| format!("add rule inet host through {}", rule.trim()))
            .collect::<Vec<_>>()
            .join("\n")
    )
}

/// Connections that one guest may have begun and not ended: the machine's table of them is everybody's.
const FLOWS: u32 = 4096;

/// A chain of one guest's own rules; what none of them lets in is refused.
pub fn chain(text: &mut String, name: &str, rules: &[String]) {
    line(text, format_args!("add chain inet host {name}"));
    line(text, format_args!("flush chain inet host {name}"));
    for rule in rules {
        line(text, format_args!("add rule inet host {name} {rule}"));
    }
    line(text, format_args!("add rule inet host {name} goto refuse"));
}

pub fn admit(text: &mut String, element: &str) {
    line(text, format_args!("add element {element}"));
}

/// From what stands to what should, `change` by `change`: first what goes, then what comes.
pub fn take_away(text: &mut String, before: &Standing, after: &Standing) {
    for element in before.elements.difference(&after.elements) {
        line(text, format_args!("delete element {element}"));
    }
    for name in before.chains.keys().filter(|name| !after.chains.contains_key(*name)) {
        line(text, format_args!("flush chain inet host {name}"));
        line(text, format_args!("delete chain inet host {name}"));
    }
}

pub fn bring(text: &mut String, before: &Standing, after: &Standing) {
    for (name, rules) in after.chains.iter().filter(|(name, rules)| before.chains.get(*name) != Some(rules)) {
        chain(text, name, rules);
    }
    after.elements.difference(&before.elements).for_each(|element| admit(text, element));
}

fn line(text: &mut String, args: std::fmt::Arguments<'_>) {
    writeln!(text, "{args}").expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_reach_each_address_of_the_metadata() {
        for cloud in Cloud::ALL {
            let address = cloud.address();
            assert!(METADATA.contains(&address) && QUESTIONS.contains(&address.to_string()), "{cloud:?}");
        }
    }

    #[test]
    fn without_an_uplink_nothing_is_translated_or_passed_on() {
        let book = all(&Frame::default(), &BTreeSet::new(), [].iter());
        for word in
            ["nat", "forward priority 0; policy drop;\n  }\n", "add rule inet host through counter name refused drop"]
        {
            assert_eq!(book.contains(word), word != "nat", "{word}");
        }
    }
}
