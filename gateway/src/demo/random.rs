//! Chance that repeats: SplitMix64, one stream per actor, so that a demo with one seed trades alike.

/// A stream of numbers that its seed decides.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The stream of one actor.
    pub(super) fn new(seed: u64, actor: u64) -> Self {
        // Neighbouring seeds must not give neighbouring streams.
        let mut mixed = Self(seed ^ actor.wrapping_mul(0xA076_1D64_78BD_642F));
        Self(mixed.next())
    }

    /// Any number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// One of `0..count`; 0 if there is none.
    pub(super) fn below(&mut self, count: usize) -> usize {
        // The bias of the remainder is far below what anybody could see in a demo.
        match count as u64 {
            0 => 0,
            count => (self.next() % count) as usize,
        }
    }

    /// One of `low..=high`.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        assert!(low <= high, "an empty range has no member");
        let width = usize::try_from(high - low).unwrap_or(usize::MAX - 1) + 1;
        low + self.below(width) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_sequence() {
        // Reference values of SplitMix64 for seed 1234567.
        let mut random = Random(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn ranges_include_both_ends_and_actors_differ() {
        let mut random = Random::new(7, 0);
        let drawn: Vec<i64> = (0..1000).map(|_| random.between(-2, 2)).collect();
        assert!((-2..=2).all(|n| drawn.contains(&n)));
        assert!(drawn.iter().all(|n| (-2..=2).contains(n)));
        assert_ne!(Random::new(7, 1).next(), Random::new(7, 2).next());
        assert_eq!(Random::new(7, 1).next(), Random::new(7, 1).next());
    }
}
