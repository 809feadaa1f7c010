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
    /// Goes round after thirty bits, of which no instant sees all.
    count: u32,
}

/// The variant of a UUID takes two bits of the word that counts.
const MOST_COUNTED: u32 = u32::MAX >> 2;

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
        Self(Arc::new(Mutex::new(State { dice, count: 0 })))
    }

    /// Ids of an instant sort after `earlier`, which was made before a restart, also if the clock stands still.
    pub fn after(self, earlier: Uuid) -> Self {
        let bits = u32::try_from(earlier.as_u128() >> 32 & u128::from(u32::MAX)).expect("32 bits");
        self.0.lock().expect("no panic while minting").count = bits & MOST_COUNTED;
        self
    }

    /// Sorts by `now`, to the microsecond, then by birth: on PostgreSQL the units of work that mint overlap, and their ids
    /// must not tell another order than their instants.
    pub fn uuid(&self, now: Timestamp) -> Uuid {
        let mut state = self.0.lock().expect("no panic while minting");
        state.count = (state.count + 1) & MOST_COUNTED;
        let micros = u64::try_from(now.micros()).unwrap_or(0);
        let below_a_milli = u16::try_from(micros % 1_000).expect("less than a thousand") << 2;
        let mut random = [0; 10];
        state.dice.fill_bytes(&mut random);
        random[..2].copy_from_slice(&below_a_milli.to_be_bytes());
        random[2..6].copy_from_slice(&state.count.to_be_bytes());
        Builder::from_unix_timestamp_millis(micros / 1_000, &random).into_uuid()
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_birth_and_follow_the_seed() {
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        let ids = |mint: Mint| (0..10_000).map(|_| mint.uuid(now)).collect::<Vec<_>>();
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
