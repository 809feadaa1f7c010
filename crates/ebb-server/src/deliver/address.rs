//! Which addresses may a webhook be sent to? Those of the public internet, and networks that the operator lists: a tenant must not reach
//! through the service what he cannot reach himself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use url::{Host, Url};

pub const ONLY_THE_OPERATOR: &str = "only the operator can allow its network (`--allow-network`)";
const LONGEST_URL: usize = 2_000;

/// A range of addresses, `192.168.7.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    bits: u32,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}`: write a network as ADDRESS/BITS, such as 192.168.7.0/24 or fd00:7::/64");
        let (base, bits) = text.split_once('/').ok_or_else(wrong)?;
        let base: IpAddr = base.parse().map_err(|_| wrong())?;
        let bits: u32 = bits.parse().map_err(|_| wrong())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        if bits > most { Err(wrong()) } else { Ok(Self { base, bits }) }
    }
}

impl Network {
    fn holds(&self, address: IpAddr) -> bool {
        let differ = match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => u128::from(base.to_bits() ^ address.to_bits()) << 96,
            (IpAddr::V6(base), IpAddr::V6(address)) => base.to_bits() ^ address.to_bits(),
            _ => return false,
        };
        differ.leading_zeros() >= self.bits
    }
}

/// # Errors
/// Why nothing is sent to this address.
pub fn check(address: IpAddr, allowed: &[Network]) -> Result<(), String> {
    // ::ffff:10.0.0.1 is 10.0.0.1 to the kernel.
    let address = address.to_canonical();
    if is_public(address) || allowed.iter().any(|network| network.holds(address)) {
        return Ok(());
    }
    Err(format!("{address} is not a public address; {ONLY_THE_OPERATOR}"))
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !within(IpAddr::V4(v4), &V4_SPECIAL.map(|(a, b, c, d, n)| (Ipv4Addr::new(a, b, c, d).into(), n)))
        }
        // What is public is in 2000::/3: that leaves out loopback, link-local, unique local, multicast, mapped and NAT64.
        IpAddr::V6(v6) => {
            v6.segments()[0] & 0xe000 == 0x2000
                && !within(v6.into(), &V6_SPECIAL.map(|(a, b, c, n)| (v6_of(a, b, c), n)))
        }
    }
}

fn v6_of(a: u16, b: u16, c: u16) -> IpAddr {
    Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
}

fn within(address: IpAddr, ranges: &[(IpAddr, u32)]) -> bool {
    ranges.iter().any(|&(base, bits)| Network { base, bits }.holds(address))
}

/// IANA's list of special addresses, with multicast and what is reserved.
const V4_SPECIAL: [(u8, u8, u8, u8, u32); 18] = [
    (0, 0, 0, 0, 8),
    (10, 0, 0, 0, 8),
    // Between providers and their customers.
    (100, 64, 0, 0, 10),
    (127, 0, 0, 0, 8),
    // Link-local, and where clouds have their metadata.
    (169, 254, 0, 0, 16),
    (172, 16, 0, 0, 12),
    (192, 0, 0, 0, 24),
    (192, 0, 2, 0, 24),
    (192, 31, 196, 0, 24),
    (192, 52, 193, 0, 24),
    // Relays into IPv6.
    (192, 88, 99, 0, 24),
    (192, 168, 0, 0, 16),
    (192, 175, 48, 0, 24),
    (198, 18, 0, 0, 15),
    (198, 51, 100, 0, 24),
    (203, 0, 113, 0, 24),
    (224, 0, 0, 0, 4),
    (240, 0, 0, 0, 4),
];

const V6_SPECIAL: [(u16, u16, u16, u32); 5] = [
    // Teredo, benchmarks, ORCHID and other things that are no hosts.
    (0x2001, 0, 0, 23),
    (0x2001, 0xdb8, 0, 32),
    // 6to4 carries any IPv4 address.
    (0x2002, 0, 0, 16),
    (0x2620, 0x4f, 0x8000, 48),
    (0x3fff, 0, 0, 20),
];

/// Reads the address of a webhook.
///
/// # Errors
/// What about it cannot be.
pub fn webhook(text: &str, allowed: &[Network]) -> Result<Url, String> {
    if text.len() > LONGEST_URL {
        return Err(format!("at most {LONGEST_URL} characters, {} given", text.len()));
    }
    // The parser would pass over them in silence.
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("it contains blanks or control characters; encode them".to_owned());
    }
    let url = Url::parse(text).map_err(|error| format!("not an address: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("it begins with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("no user or password in it; messages are signed instead".to_owned());
    }
    if url.fragment().is_some() {
        return Err("nothing after `#` is ever sent; leave it out".to_owned());
    }
    match url.port_or_known_default() {
        Some(80 | 443 | 1_024..) => {}
        port => return Err(format!("port {} is none for webhooks: 80, 443, or from 1024 on", port.unwrap_or(0))),
    }
    match url.host() {
        Some(Host::Ipv4(address)) => check(address.into(), allowed)?,
        Some(Host::Ipv6(address)) => check(address.into(), allowed)?,
        Some(Host::Domain(_)) => {}
        None => return Err("it names no host".to_owned()),
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_reached() {
        let public = "1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0 192.0.1.1 198.17.255.255 198.20.0.0 \
            223.255.255.255 2606:4700:4700::1111 2001:200::1 2400:3200::1 ::ffff:8.8.8.8";
        let special = "0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 169.254.169.254 \
            172.16.0.1 172.31.255.255 192.0.0.8 192.0.0.170 192.0.2.1 192.31.196.1 192.52.193.1 192.88.99.1 192.168.0.1 \
            192.175.48.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 \
            :: ::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::7f00:1 64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 \
            100::1 2001::1 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:808:808:: 2620:4f:8000::1 3fff::1 5f00::1 \
            fc00::1 fd12:3456::1 fe80::1 fec0::1 ff02::1 4000::1";
        for address in public.split_whitespace() {
            assert_eq!(check(address.parse().expect(address), &[]), Ok(()), "{address}");
        }
        for address in special.split_whitespace() {
            assert!(check(address.parse().expect(address), &[]).is_err(), "{address}");
        }
    }

    #[test]
    fn the_operator_may_list_networks() {
        let allowed: Vec<Network> = ["10.1.0.0/16", "fd00:7::/64"].map(|text| text.parse().expect(text)).to_vec();
        for (address, may) in [
            ("10.1.255.1", true),
            ("::ffff:10.1.0.1", true),
            ("10.2.0.1", false),
            ("fd00:7::1", true),
            ("fd00:7:0:1::1", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(check(address.parse().expect(address), &allowed).is_ok(), may, "{address}");
        }
        for wrong in ["10.0.0.0", "10.0.0.0/33", "::/129", "here/8", "10.0.0.0/-1"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
        assert!(check("127.0.0.1".parse().expect("an address"), &["0.0.0.0/0".parse().expect("all")]).is_ok());
    }

    #[test]
    fn an_address_of_a_webhook_is_plain() {
        for good in ["https://example.com/hook?a=b", "http://example.com:8080", "https://[2606:4700:4700::1111]/"] {
            assert!(webhook(good, &[]).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("ftp://example.com/", "http"),
            ("example.com/hook", "not an address"),
            ("https://ada:secret@example.com/", "user or password"),
            ("https://example.com/#here", "#"),
            ("https://example.com:22/", "port 22"),
            ("http://exa\nmple.com/", "control"),
            ("http://127.0.0.1/", "public"),
            ("http://2130706433/", "public"),
            ("http://0x7f.1/", "public"),
            ("http://[::ffff:7f00:1]/", "public"),
            (&format!("https://example.com/{}", "a".repeat(2_000)), "2000"),
        ] {
            let error = webhook(bad, &[]).expect_err(bad);
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
