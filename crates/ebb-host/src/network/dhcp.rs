//! How does a guest learn its address? A DHCP server that knows its guests by their MAC and answers nobody else (RFC 2131).

use super::plan::{Mac, Port};
use super::rules::{METADATA, SHARED};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, RwLock};
use tokio::net::UdpSocket;
use tracing::warn;

const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Long, since a lease never changes; not for ever, since some clients take that badly.
const LEASE_SECONDS: u32 = 86_400;

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
const NAK: u8 = 6;

/// The guests there are.
pub type Leases = Arc<RwLock<BTreeMap<Mac, Port>>>;

/// Answers until it is dropped. One socket serves all accounts: the answer goes to the address of the guest whose MAC asked, and
/// that leads through its own bridge to its own pinned neighbour, whoever sent the question.
pub async fn serve(socket: UdpSocket, leases: Leases, mtu: u16) {
    let mut buffer = [0; 1500];
    loop {
        let length = match socket.recv_from(&mut buffer).await {
            Ok((length, _)) => length,
            Err(e) => {
                warn!("a DHCP question was lost: {e}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(question) = parse(&buffer[..length]) else { continue };
        let Some(port) = leases.read().unwrap_or_else(|e| e.into_inner()).get(&question.mac).copied() else { continue };
        let Some(answer) = answer(&question, port, mtu) else { continue };
        // The guest has no address yet, but its neighbour entry is pinned, so the frame finds it. A full queue is the guest's
        // own loss: it asks again.
        let _ = socket.try_send_to(&answer, (port.address(), 68).into());
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Question {
    kind: u8,
    transaction: [u8; 4],
    flags: [u8; 2],
    mac: Mac,
    /// The address that the guest believes to have.
    current: Ipv4Addr,
    requested: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
}

/// A question of a client on an Ethernet; `None` for anything else.
fn parse(bytes: &[u8]) -> Option<Question> {
    let (head, rest) = bytes.split_at_checked(236)?;
    let options = rest.strip_prefix(&COOKIE)?;
    // A request, on Ethernet, with addresses of six bytes.
    if head[..3] != [1, 1, 6] {
        return None;
    }
    let four = |at: usize| <[u8; 4]>::try_from(&head[at..at + 4]).expect("four bytes of a longer slice");
    let mut question = Question {
        kind: 0,
        transaction: four(4),
        flags: [head[10], head[11]],
        mac: Mac(head[28..34].try_into().expect("six bytes of a longer slice")),
        current: four(12).into(),
        requested: None,
        server: None,
    };
    let mut left = options;
    while let [code, after @ ..] = left {
        match code {
            0 => left = after,
            255 => break,
            _ => {
                let (length, after) = after.split_first()?;
                let (value, after) = after.split_at_checked(usize::from(*length))?;
                let address = || <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from);
                match code {
                    53 => question.kind = *value.first()?,
                    50 => question.requested = address(),
                    54 => question.server = address(),
                    _ => {}
                }
                left = after;
            }
        }
    }
    Some(question)
}

/// What is said to a guest whose place is `port`.
fn answer(question: &Question, port: Port, mtu: u16) -> Option<Vec<u8>> {
    if question.server.is_some_and(|server| server != port.gateway()) {
        return None;
    }
    let kind = match question.kind {
        DISCOVER => OFFER,
        REQUEST => {
            let believed = question.requested.unwrap_or(question.current);
            if believed == port.address() { ACK } else { NAK }
        }
        _ => return None,
    };
    let mut bytes = vec![2, 1, 6, 0];
    bytes.extend(question.transaction);
    bytes.extend([0, 0]);
    bytes.extend(question.flags);
    bytes.extend([0; 4]);
    bytes.extend(if kind == NAK { [0; 4] } else { port.address().octets() });
    bytes.extend([0; 8]);
    bytes.extend(question.mac.0);
    bytes.resize(236, 0);
    bytes.extend(COOKIE);
    option(&mut bytes, 53, &[kind]);
    option(&mut bytes, 54, &port.gateway().octets());
    if kind != NAK {
        option(&mut bytes, 51, &LEASE_SECONDS.to_be_bytes());
        option(&mut bytes, 1, &port.0.range.netmask().octets());
        option(&mut bytes, 3, &port.gateway().octets());
        option(&mut bytes, 6, &SHARED.octets());
        option(&mut bytes, 26, &mtu.to_be_bytes());
        option(&mut bytes, 121, &routes(port.gateway()));
    }
    bytes.push(255);
    // Some clients drop what is shorter than BOOTP's 300 bytes.
    bytes.resize(bytes.len().max(300), 0);
    Some(bytes)
}

/// Whoever understands routes ignores the router, so the default stands here too (RFC 3442).
fn routes(gateway: Ipv4Addr) -> Vec<u8> {
    let mut bytes = vec![];
    // Each by itself: some systems believe to have all of 169.254.0.0/16 beside them.
    for address in METADATA {
        bytes.push(32);
        bytes.extend(address.octets());
        bytes.extend(gateway.octets());
    }
    bytes.push(0);
    bytes.extend(gateway.octets());
    bytes
}

fn option(bytes: &mut Vec<u8>, code: u8, value: &[u8]) {
    bytes.extend([code, value.len() as u8]);
    bytes.extend(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebb_model::network::Place;
    use ipnet::Ipv4Net;

    const PORT: Port = Port(Place {
        network: 7,
        address: Ipv4Addr::new(10, 77, 0, 10),
        range: Ipv4Net::new_assert(Ipv4Addr::new(10, 77, 0, 0), 16),
    });

    fn question(kind: u8, more: &[u8]) -> Vec<u8> {
        let mut bytes = vec![1, 1, 6, 0, 9, 8, 7, 6];
        bytes.resize(28, 0);
        bytes.extend(PORT.mac().0);
        bytes.resize(236, 0);
        bytes.extend(COOKIE);
        bytes.extend([53, 1, kind]);
        bytes.extend(more);
        bytes.push(255);
        bytes
    }

    fn said(kind: u8, more: &[u8]) -> Option<(u8, Ipv4Addr)> {
        let bytes = answer(&parse(&question(kind, more)).unwrap(), PORT, 1500)?;
        assert_eq!(bytes[4..8], [9, 8, 7, 6]);
        assert!(bytes.len() >= 300);
        Some((bytes[242], <[u8; 4]>::try_from(&bytes[16..20]).unwrap().into()))
    }

    #[test]
    fn a_guest_is_offered_its_own_address_and_no_other() {
        assert_eq!(said(DISCOVER, &[]), Some((OFFER, PORT.address())));
        assert_eq!(said(DISCOVER, &[50, 4, 10, 77, 0, 99]), Some((OFFER, PORT.address())));
        assert_eq!(said(REQUEST, &[50, 4, 10, 77, 0, 10]), Some((ACK, PORT.address())));
        assert_eq!(said(REQUEST, &[50, 4, 10, 77, 0, 99]), Some((NAK, Ipv4Addr::UNSPECIFIED)));
        assert_eq!(said(REQUEST, &[50, 4, 10, 77, 0, 10, 54, 4, 10, 77, 0, 2]), None, "another server's");
        assert_eq!(said(7, &[]), None, "a release needs no answer");
    }

    #[test]
    fn it_is_told_the_way_to_the_metadata_and_who_knows_names() {
        let bytes = answer(&parse(&question(DISCOVER, &[])).unwrap(), PORT, 1450).unwrap();
        let has = |wanted: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
        assert!(has(&[6, 4, 169, 254, 169, 254]));
        assert!(
            has(&[1, 4, 255, 255, 0, 0]) && has(&[26, 2, 5, 170]),
            "its range's mask, and how large a packet may be"
        );
        for address in [[169, 254, 169, 254], [100, 100, 100, 200], [169, 254, 0, 23]] {
            assert!(has(&[&[32][..], &address, &[10, 77, 0, 1]].concat()), "{address:?}");
        }
    }

    #[test]
    fn garbage_is_no_question() {
        // A plain linear congruence: the same garbage each time.
        let mut seed = 1u32;
        let mut dice = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        let good = question(DISCOVER, &[50, 4, 10, 77, 0, 10, 12, 5, b'h', b'e', b'l', b'l', b'o']);
        for length in 0..good.len() {
            let _ = parse(&good[..length]);
        }
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..=dice() % 8 {
                let at = usize::from(dice()) + usize::from(dice()) % 8;
                let end = bytes.len() - 1;
                bytes[at.min(end)] = dice();
            }
            bytes.truncate(236 + usize::from(dice()));
            if let Some(question) = parse(&bytes) {
                let _ = answer(&question, PORT, 1500);
            }
        }
    }
}
