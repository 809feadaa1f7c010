//! What does chance decide in a demo? The same for the same seed, on every machine.

/// SplitMix64: small, and good enough to play with.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `low..=high`.
    pub fn from(&mut self, low: i64, high: i64) -> i64 {
        assert!(low <= high, "a range from {low} to {high}");
        low + (self.next() % (high - low + 1).unsigned_abs()) as i64
    }

    pub fn percent(&mut self, chance: i64) -> bool {
        self.from(1, 100) <= chance
    }

    pub fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { of.get(self.from(0, of.len() as i64 - 1) as usize) }
    }
}
