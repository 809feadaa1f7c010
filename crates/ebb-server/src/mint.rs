//! Where do new ids and secrets come from? One source of dice, seeded by the system, or by a sandbox's seed.

use ebb_model::time::Timestamp;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex};
use uuid::{Builder, Uuid};

/// Makes ids that sort by birth, and secrets. Clones share it.
#[derive(Clone)]
pub struct Mint(Arc<Mutex<State>>);

struct State {
    dice: ChaCha20Rng,
    /// The millisecond of the last id and how many it has had: ids of one millisecond sort by birth too.
    last: (u64, u16),
}

impl Mint {
    pub fn from_system() -> Self {
        // Two version 4 UUIDs hold 244 bits of the system's randomness.
        let seed = Sha256::digest([Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat());
        Self::new(ChaCha20Rng::from_seed(seed.into()))
    }

    pub fn from_seed(seed: u64) -> Self {
        Self::new(ChaCha20Rng::seed_from_u64(seed))
    }

    fn new(dice: ChaCha20Rng) -> Self {
        Self(Arc::new(Mutex::new(State { dice, last: (0, 0) })))
    }

    pub fn uuid(&self, now: Timestamp) -> Uuid {
        let mut state = self.0.lock().expect("no panic while minting");
        let millis = u64::try_from(now.micros() / 1_000).unwrap_or(0).max(state.last.0);
        let (millis, count) = match state.last {
            // More than 4,096 ids in a millisecond borrow from the next.
            (last, 0xfff) if last == millis => (millis + 1, 0),
            (last, count) if last == millis => (millis, count + 1),
            _ => (millis, 0),
        };
        state.last = (millis, count);
        let mut random = [0; 10];
        state.dice.fill_bytes(&mut random);
        random[..2].copy_from_slice(&count.to_be_bytes());
        Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    /// A bearer secret of 192 bits.
    pub fn secret(&self) -> String {
        let mut random = [0; 24];
        self.0.lock().expect("no panic while minting").dice.fill_bytes(&mut random);
        format!("ebb_{}", hex(&random))
    }
}

/// What is kept of a secret. It is random and long, so one fast hash is enough: there is nothing to guess.
pub fn digest(text: &[u8]) -> String {
    hex(&Sha256::digest(text))
}

/// Hides the answer to a client token from whoever reads the database: it may hold a new secret. The key is made of the caller's own
/// secret, which is nowhere at rest, and of the token, so each key hides one answer. Hiding twice shows it again.
pub fn hide(secret: &str, token: &str, bytes: &mut [u8]) {
    let key = Sha256::digest([b"answer\0", secret.as_bytes(), b"\0", token.as_bytes()].concat());
    let mut stream = vec![0; bytes.len()];
    ChaCha20Rng::from_seed(key.into()).fill_bytes(&mut stream);
    bytes.iter_mut().zip(stream).for_each(|(byte, mask)| *byte ^= mask);
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let byte = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_shown_to_its_owner_only() {
        let mut text = b"ebb_secret".to_vec();
        hide("mine", "token", &mut text);
        assert_ne!(text, b"ebb_secret");
        let mut wrong = text.clone();
        hide("yours", "token", &mut wrong);
        hide("mine", "token", &mut text);
        assert_eq!((text.as_slice(), wrong == text), (&b"ebb_secret"[..], false));
        assert_eq!(unhex(&hex(&text)), Some(text));
    }

    #[test]
    fn ids_sort_by_birth_and_follow_the_seed() {
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        let ids = |mint: Mint| (0..10_000).map(|_| mint.uuid(now)).collect::<Vec<_>>();
        let one = ids(Mint::from_seed(7));
        assert!(one.is_sorted_by(|a, b| a < b));
        assert_eq!(one, ids(Mint::from_seed(7)));
        assert_ne!(one, ids(Mint::from_seed(8)));
    }
}
