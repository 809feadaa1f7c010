//! Which names does a guest find here? Those under which clouds' programs look for the metadata, and others if the host was told
//! whom to ask; else nothing that a guest asks leaves the host.

mod forward;

use crate::config::Resolver;
use ebb_wire::metadata::cloud::Cloud;
use forward::Forwarder;
use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, TYPE};
use std::sync::Arc;
use tokio::net::UdpSocket;
use tracing::warn;

/// They never change.
const SECONDS: u32 = 3600;
/// What fits without the extensions that nobody needs for one name, and what a question may take.
const BYTES: usize = 512;

/// Answers until it is dropped.
pub async fn serve(socket: UdpSocket, resolvers: Vec<Resolver>) {
    let socket = Arc::new(socket);
    let mut forwarder = Forwarder::new(socket.clone(), resolvers);
    let mut buffer = [0; BYTES];
    loop {
        match socket.recv_from(&mut buffer).await {
            // A full queue is the guest's own loss: it asks again.
            Ok((length, from)) => match said_to(&buffer[..length]) {
                Some(Said::Answer(answer)) => drop(socket.try_send_to(&answer, from)),
                Some(Said::NotMine(refusal)) => match forwarder.ask(&buffer[..length], from) {
                    true => {}
                    false => drop(socket.try_send_to(&refusal, from)),
                },
                None => {}
            },
            Err(e) => {
                warn!("a question for a name was lost: {e}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

/// What there is to say to a question.
enum Said {
    Answer(Vec<u8>),
    /// It is about a name that others know, perhaps; what is said if nobody is asked.
    NotMine(Vec<u8>),
}

/// What is said to a question; nothing to what is none, so that two servers never talk to each other.
fn said_to(bytes: &[u8]) -> Option<Said> {
    let question = Packet::parse(bytes).ok()?;
    if question.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    let mut reply = Packet::new_reply(question.id());
    if question.has_flags(PacketFlag::RECURSION_DESIRED) {
        reply.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    let [asked] = &question.questions[..] else {
        *reply.rcode_mut() = RCODE::FormatError;
        return reply.build_bytes_vec().ok().map(Said::Answer);
    };
    reply.questions.push(asked.clone());
    let name = asked.qname.to_string();
    let is_known = |cloud: &Cloud| cloud.host().is_some_and(|host| host.eq_ignore_ascii_case(&name));
    match Cloud::ALL.into_iter().find(is_known) {
        _ if question.opcode() != OPCODE::StandardQuery => *reply.rcode_mut() = RCODE::NotImplemented,
        // It is not for us to say that there is no such name.
        None => {
            *reply.rcode_mut() = RCODE::Refused;
            return reply.build_bytes_vec().ok().map(Said::NotMine);
        }
        Some(cloud) => {
            reply.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
            let internet = matches!(asked.qclass, QCLASS::ANY | QCLASS::CLASS(CLASS::IN));
            if internet && matches!(asked.qtype, QTYPE::ANY | QTYPE::TYPE(TYPE::A)) {
                let address = RData::A(A { address: cloud.address().to_bits() });
                reply.answers.push(ResourceRecord::new(asked.qname.clone(), CLASS::IN, SECONDS, address));
            }
        }
    }
    reply.build_bytes_vec().ok().map(Said::Answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::{Name, Question};

    fn answer(bytes: &[u8]) -> Option<Vec<u8>> {
        said_to(bytes).map(|said| match said {
            Said::Answer(bytes) | Said::NotMine(bytes) => bytes,
        })
    }

    #[test]
    fn its_own_names_are_never_asked_of_others() {
        let goes_on = |name: &str, kind| matches!(said_to(&question(name, kind)), Some(Said::NotMine(_)));
        for own in ["metadata.google.internal", "METADATA.tencentyun.com"] {
            assert!(!goes_on(own, TYPE::A) && !goes_on(own, TYPE::AAAA) && !goes_on(own, TYPE::TXT), "{own}");
        }
        assert!(goes_on("example.com", TYPE::A) && goes_on("google.internal", TYPE::MX));
    }

    fn question(name: &str, kind: TYPE) -> Vec<u8> {
        let mut packet = Packet::new_query(7);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let name = Name::new(name).unwrap().into_owned();
        packet.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
        packet.build_bytes_vec().unwrap()
    }

    /// The code and the addresses.
    fn ask(name: &str, kind: TYPE) -> (RCODE, Vec<String>) {
        let bytes = answer(&question(name, kind)).unwrap();
        let said = Packet::parse(&bytes).unwrap();
        assert!(said.id() == 7 && said.has_flags(PacketFlag::RESPONSE) && said.questions.len() == 1);
        let address = |record: &ResourceRecord| match &record.rdata {
            RData::A(a) => std::net::Ipv4Addr::from_bits(a.address).to_string(),
            other => panic!("{other:?}"),
        };
        (said.rcode(), said.answers.iter().map(address).collect())
    }

    #[test]
    fn two_names_are_known() {
        assert_eq!(ask("metadata.google.internal", TYPE::A), (RCODE::NoError, vec!["169.254.169.254".to_owned()]));
        assert_eq!(ask("Metadata.TencentYun.com", TYPE::A), (RCODE::NoError, vec!["169.254.0.23".to_owned()]));
        assert_eq!(ask("metadata.google.internal", TYPE::AAAA), (RCODE::NoError, vec![]));
        for other in ["example.com", "google.internal", "a.metadata.google.internal"] {
            assert_eq!(ask(other, TYPE::A), (RCODE::Refused, vec![]), "{other}");
        }
    }

    #[test]
    fn garbage_is_no_question() {
        let good = question("metadata.google.internal", TYPE::A);
        assert_eq!(answer(&answer(&good).unwrap()), None, "an answer is none");
        for length in 0..good.len() {
            if let Some(said) = answer(&good[..length]) {
                assert!(Packet::parse(&said).unwrap().answers.is_empty(), "{length}");
            }
        }
        // A plain linear congruence: the same garbage each time.
        let mut seed = 1u32;
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..4 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (seed >> 8) as usize % bytes.len();
                bytes[at] = (seed >> 24) as u8;
            }
            assert!(answer(&bytes).is_none_or(|said| said.len() <= BYTES));
        }
    }
}
