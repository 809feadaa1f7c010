//! Which address is it? One of the Internet in its canonical form, a letter's as it is written (rules §3.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// # Errors
/// It looks like an address of the Internet and is none, or one that strangers have as well.
pub(super) fn address(text: &str) -> Result<String, String> {
    let host = host(text);
    match internet(host) {
        Some(address) if is_public(address) => Ok(address.to_string()),
        Some(address) => Err(format!(
            "{address} is private, local, reserved or an example, so strangers have it, too; give the public address"
        )),
        None if resembles(host) => {
            Err("it looks like an address of the Internet and is none; write 8.8.8.8, or 2001:4860::8".to_owned())
        }
        None => Ok(text.to_owned()),
    }
}

/// Without brackets, port and zone.
fn host(text: &str) -> &str {
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let host = match (bracketed, text.rsplit_once(':')) {
        (Some((inner, rest)), _) if rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port) => inner,
        (None, Some((host, port))) if !host.contains(':') && is_port(port) && resembles(host) => host,
        _ => text,
    };
    match host.split_once('%') {
        Some((address, _)) if address.parse::<Ipv6Addr>().is_ok() => address,
        _ => host,
    }
}

fn internet(host: &str) -> Option<IpAddr> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    // Logs fill up with zeros, which the parser takes for octal and refuses.
    let part = |part: &str| part.parse::<u8>().ok().filter(|_| part.len() <= 3);
    let parts: Option<Vec<u8>> = host.split('.').map(part).collect();
    let parts: [u8; 4] = parts?.try_into().ok()?;
    Some(IpAddr::V4(Ipv4Addr::from(parts)))
}

/// Nothing but what such addresses consist of.
fn resembles(host: &str) -> bool {
    let dotted = host.contains('.') && host.chars().all(|c| c.is_ascii_digit() || c == '.');
    let colons = host.matches(':').count();
    dotted || colons > 1 && host.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, ':' | '.'))
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            let own = address.is_private() || address.is_loopback() || address.is_link_local();
            let special = matches!((a, b, c), (0 | 224.., _, _) | (100, 64..=127, _) | (192, 0, 0) | (198, 18 | 19, _));
            !own && !special && !address.is_documentation()
        }
        // What was given out as global unicast, less examples, 6to4 and what lies below 2001:200.
        IpAddr::V6(address) => match address.segments() {
            [0x2001, 0..0x200 | 0xdb8, ..] | [0x2002, ..] | [0x3fff, ..] => false,
            [first, ..] => first >> 13 == 1,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_in_many_forms() {
        for seen in
            ["93.184.215.7", "093.184.215.007", "93.184.215.7:443", "::ffff:93.184.215.7", "[::ffff:5db8:d707]:80"]
        {
            assert_eq!(address(seen), Ok("93.184.215.7".to_owned()), "{seen}");
        }
        for seen in ["2a00:1450:0:0::7", "[2a00:1450::7]", "[2a00:1450::7]:8080", "2a00:1450::7%eth0"] {
            assert_eq!(address(seen), Ok("2a00:1450::7".to_owned()), "{seen}");
        }
        for letter in ["1 main st.", "hauptstr. 7:3", "北京市海淀区1号"] {
            assert_eq!(address(letter), Ok(letter.to_owned()));
        }
    }

    #[test]
    fn what_strangers_have_and_what_is_none_is_refused() {
        let shared = "127.0.0.1 0.0.0.0 10.1.2.3 172.16.0.1 192.168.001.001 169.254.1.1 100.64.0.1 192.0.2.7 198.51.100.1 \
            203.0.113.9 198.18.0.1 224.0.0.1 255.255.255.255 192.168.1.1:80 :: ::1 fe80::1%eth0 fc00::1 fd12::1 ff02::1 \
            2001:db8::1 [2001:db8::1]:443 3fff::1 2002:a00:1:: ::ffff:10.0.0.1";
        for seen in shared.split_whitespace() {
            assert!(address(seen).is_err_and(|why| why.contains("strangers")), "{seen}");
        }
        for seen in ["1.2.3", "1.2.3.256", "1.2.3.4.5", "0001.2.3.4", "1::2::3", "aa:bb:cc:dd:ee:ff", "12345:1::"] {
            assert!(address(seen).is_err_and(|why| why.contains("is none")), "{seen}");
        }
    }
}
