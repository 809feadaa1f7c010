//! How is somebody else asked for a name, so that nobody but he can answer?
//!
//! Each question goes from a socket of its own, so by a port that the kernel chose, under a number drawn by lot, to one resolver; only
//! what comes from there, with that number and about that question, is an answer. Guests have a few questions open at a time each.

use crate::config::Resolver;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Open at a time, of all guests and of one.
const OPEN: usize = 256;
const OPEN_OF_ONE: usize = 16;
/// For one resolver; then the next is asked, if there is one.
const PATIENCE: Duration = Duration::from_secs(2);
/// What fits into one packet wherever it goes.
const ANSWER_BYTES: usize = 1400;

pub struct Forwarder {
    socket: Arc<UdpSocket>,
    resolvers: Arc<[SocketAddr]>,
    open: JoinSet<IpAddr>,
    of: HashMap<IpAddr, usize>,
}

impl Forwarder {
    pub fn new(socket: Arc<UdpSocket>, resolvers: Vec<Resolver>) -> Self {
        let resolvers = resolvers.into_iter().map(|Resolver(address)| address).collect();
        Self { socket, resolvers, open: JoinSet::new(), of: HashMap::new() }
    }

    /// Passes a question on; whether somebody is asked. The answer goes to `from` by itself.
    pub fn ask(&mut self, question: &[u8], from: SocketAddr) -> bool {
        while let Some(over) = self.open.try_join_next() {
            let Ok(guest) = over else { continue };
            if let Some(count) = self.of.get_mut(&guest) {
                *count -= 1;
            }
            self.of.retain(|_, count| *count > 0);
        }
        let open = self.of.get(&from.ip()).copied().unwrap_or(0);
        if self.resolvers.is_empty() || self.open.len() >= OPEN || open >= OPEN_OF_ONE || !is_plain(question) {
            return false;
        }
        *self.of.entry(from.ip()).or_default() += 1;
        let (socket, resolvers, question) = (self.socket.clone(), self.resolvers.clone(), question.to_vec());
        self.open.spawn(async move {
            if let Some(answer) = asked(&question, &resolvers).await {
                let _ = socket.try_send_to(&answer, from);
            }
            from.ip()
        });
        true
    }
}

/// One question, in the usual way, and nothing in it but that: a resolver is told no more than a name.
fn is_plain(question: &[u8]) -> bool {
    matches!(question, [_, _, flags, _, 0, 1, 0, 0, 0, 0, 0, 0 | 1, ..] if flags & 0xf8 == 0)
        && end_of_question(question).is_some()
}

/// The first answer of a resolver, under the number that the guest knows.
async fn asked(question: &[u8], resolvers: &[SocketAddr]) -> Option<Vec<u8>> {
    for resolver in resolvers {
        if let Ok(Some(answer)) = tokio::time::timeout(PATIENCE, ask(question, *resolver)).await {
            return Some(answer);
        }
    }
    None
}

async fn ask(question: &[u8], resolver: SocketAddr) -> Option<Vec<u8>> {
    let anywhere: IpAddr = match resolver {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((anywhere, 0)).await.ok()?;
    // The kernel lets through nobody else.
    socket.connect(resolver).await.ok()?;
    // Of random bytes that are all random.
    let [.., one, two] = Uuid::new_v4().into_bytes();
    let number = [one, two];
    let mut asked = question.to_vec();
    asked[..2].copy_from_slice(&number);
    socket.send(&asked).await.ok()?;
    let mut buffer = [0; ANSWER_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await.ok()?;
        if answers(&buffer[..length], &asked) {
            buffer[..2].copy_from_slice(&question[..2]);
            return Some(buffer[..length].to_vec());
        }
    }
}

/// Is it an answer to this question?
fn answers(said: &[u8], asked: &[u8]) -> bool {
    let Some(end) = end_of_question(asked) else { return false };
    said.len() >= end
        && said[..2] == asked[..2]
        && said[2] & 0xf8 == 0x80
        && said[4..6] == [0, 1]
        && said[12..end] == asked[12..end]
}

/// Where the name, the type and the class are over. A name in a question is written out.
fn end_of_question(bytes: &[u8]) -> Option<usize> {
    let mut at = 12;
    loop {
        match *bytes.get(at)? {
            0 => break,
            length @ 1..64 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
    let end = at + 5;
    (end <= bytes.len() && at < 12 + 255).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01";

    fn answer_to(asked: &[u8]) -> Vec<u8> {
        let mut said = asked.to_vec();
        said[2] |= 0x80;
        said
    }

    #[test]
    fn only_the_answer_to_the_question_is_one() {
        let good = answer_to(QUESTION);
        assert!(answers(&good, QUESTION));
        assert!(!answers(QUESTION, QUESTION), "a question is none");
        for (at, what) in [(1, "number"), (5, "count"), (13, "name"), (26, "type"), (28, "class")] {
            let mut other = good.clone();
            other[at] ^= 2;
            assert!(!answers(&other, QUESTION), "another {what}");
        }
        for length in 0..good.len() {
            assert!(!answers(&good[..length], QUESTION), "{length}");
        }
    }

    #[test]
    fn what_is_more_than_a_question_stays_here() {
        assert!(is_plain(QUESTION));
        for (at, byte) in [(2, 0x80), (2, 0x28), (5, 2), (7, 1), (9, 1), (11, 2), (12, 0xc0), (12, 60)] {
            let mut odd = QUESTION.to_vec();
            odd[at] = byte;
            assert!(!is_plain(&odd), "{at}: {byte}");
        }
        for length in 0..QUESTION.len() {
            assert!(!is_plain(&QUESTION[..length]), "{length}");
        }
    }

    #[tokio::test]
    async fn a_stranger_who_answers_first_is_not_heard() {
        let resolver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = resolver.local_addr().unwrap();
        let asking = tokio::spawn(async move { asked(QUESTION, &[to]).await });
        let mut buffer = [0; 600];
        let (length, from) = resolver.recv_from(&mut buffer).await.unwrap();
        let asked = buffer[..length].to_vec();
        assert_eq!(asked[2..], QUESTION[2..]);
        let mut lie = answer_to(&asked);
        lie.extend(b"a lie");
        UdpSocket::bind("127.0.0.1:0").await.unwrap().send_to(&lie, from).await.unwrap();
        let mut guess = lie.clone();
        guess[0] ^= 1;
        resolver.send_to(&guess, from).await.unwrap();
        let mut truth = answer_to(&asked);
        truth.extend(b"the truth");
        resolver.send_to(&truth, from).await.unwrap();
        let answer = asking.await.unwrap().unwrap();
        assert!(answer.ends_with(b"the truth") && answer[..2] == QUESTION[..2]);
    }

    #[tokio::test]
    async fn a_guest_has_only_so_many_questions_open() {
        let nobody = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let resolver = Resolver(nobody.local_addr().unwrap());
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let mut forwarder = Forwarder::new(socket, vec![resolver]);
        let guest = |n: u8| SocketAddr::from(([10, 64, 0, n], 4000));
        let asked = (0..40).filter(|_| forwarder.ask(QUESTION, guest(16))).count();
        assert_eq!((asked, forwarder.ask(QUESTION, guest(17))), (OPEN_OF_ONE, true));
    }
}
