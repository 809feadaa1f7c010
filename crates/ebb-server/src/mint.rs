//! Where do new ids and secrets come from? One source of dice, seeded by the system, or by a sandbox's seed.

use ebb_model::time::Timestamp;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use uuid::{Builder, Uuid};

/// Makes ids that sort by birth, and secrets. Clones share it.
#[derive(Clone)]
pub struct Mint(Arc<Mutex<State>>);

struct State {
    dice: ChaCha20Rng,
    /// No id is of an earlier instant.
    since: u64,
    /// How many ids the newest instants have had; units of work that overlap go on minting at their own.
    had: BTreeMap<u64, u16>,
}

/// The variant of a UUID takes two bits of the word that counts.
const MOST_COUNTED: u16 = u16::MAX >> 2;
/// More than there are units of work under way.
const INSTANTS: usize = 10_000;

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
        Self(Arc::new(Mutex::new(State { dice, since: 0, had: BTreeMap::new() })))
    }

    /// Ids sort after `earlier`, which was made before a restart, also if the clock stands still.
    pub fn after(self, earlier: Uuid) -> Self {
        let bits = earlier.as_u128();
        let part = |shift: u32, width: u32| u64::try_from(bits >> shift & ((1 << width) - 1)).expect("at most 48 bits");
        let micros = part(80, 48) * 1_000 + (part(64, 12) >> 2);
        let count = u16::try_from(part(48, 14)).expect("14 bits");
        {
            let mut state = self.0.lock().expect("no panic while minting");
            state.since = micros;
            state.had.insert(micros, count + 1);
        }
        self
    }

    /// Sorts by `now`, to the microsecond, then by birth: on PostgreSQL the units of work that mint overlap, and their ids
    /// must not tell another order than their instants.
    pub fn uuid(&self, now: Timestamp) -> Uuid {
        let mut state = self.0.lock().expect("no panic while minting");
        let mut micros = u64::try_from(now.micros()).unwrap_or(0).max(state.since);
        // More than an instant can have, where the clock stands still, borrow from the next.
        while state.had.get(&micros).is_some_and(|had| *had > MOST_COUNTED) {
            micros += 1;
        }
        let had = state.had.entry(micros).or_insert(0);
        let count = *had;
        *had += 1;
        if state.had.len() > INSTANTS {
            state.had.pop_first();
        }
        let below_a_milli = u16::try_from(micros % 1_000).expect("less than a thousand") << 2;
        let mut random = [0; 10];
        state.dice.fill_bytes(&mut random);
        random[..2].copy_from_slice(&below_a_milli.to_be_bytes());
        random[2..4].copy_from_slice(&count.to_be_bytes());
        Builder::from_unix_timestamp_millis(micros / 1_000, &random).into_uuid()
    }

    /// So many of `all`, each as likely as any other, in their order.
    pub fn draw<T>(&self, mut all: Vec<T>, count: usize) -> Vec<T> {
        let mut state = self.0.lock().expect("no panic while minting");
        while all.len() > count {
            // Of 2⁶⁴ outcomes none is likelier by more than the length in 2⁶⁴.
            let one = state.dice.next_u64() % all.len() as u64;
            all.remove(usize::try_from(one).expect("below the length of a list"));
        }
        all
    }

    /// A number below this, each as likely as any other; 0 if there is none.
    pub fn below(&self, end: usize) -> usize {
        let word = self.0.lock().expect("no panic while minting").dice.next_u64();
        usize::try_from(word % end.max(1) as u64).expect("below a length")
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
        let ids = |mint: Mint| (0..20_000).map(|_| mint.uuid(now)).collect::<Vec<_>>();
        let one = ids(Mint::from_seed(7));
        assert!(one.is_sorted_by(|a, b| a < b));
        assert_eq!(one, ids(Mint::from_seed(7)));
        assert_ne!(one, ids(Mint::from_seed(8)));
        let last = *one.last().unwrap();
        assert!(Mint::from_seed(9).after(last).uuid(now) > last);

        let mint = Mint::from_seed(7);
        let (later, earlier) = (mint.uuid(Timestamp::from_micros(1_001)), mint.uuid(Timestamp::from_micros(1_000)));
        assert!(earlier < later, "sorted by instant first");
    }
}
