//! Chance that a seed decides: each stream of draws depends on the seed and its own number alone, so that what is left out of
//! a run while it is made shorter does not change what the others draw.

use super::agenda::Micros;

/// A stream of draws (`SplitMix64`, Steele and others 2014).
#[derive(Debug, Clone)]
pub struct Chance(u64);

/// Spreads the bits of a number.
pub fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Chance {
    /// One of a seed's streams.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(mix(mix(seed) ^ mix(stream.wrapping_mul(0xd134_2543_de82_ef95))))
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.draw()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// An index below `bound`, which is not 0.
    pub fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap_or(0)
    }

    /// A length of time from `from` to `to`.
    pub fn within(&mut self, from: Micros, to: Micros) -> Micros {
        let span = u64::try_from(to - from).unwrap_or(0);
        from + Micros::try_from(self.below(span + 1)).unwrap_or(0)
    }

    /// True once in `times` draws.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_each_time_and_no_other() {
        let draws = |seed, stream| {
            let mut chance = Chance::new(seed, stream);
            [chance.draw(), chance.draw(), chance.draw()]
        };
        assert_eq!(draws(7, 1), draws(7, 1));
        assert_ne!(draws(7, 1), draws(7, 2));
        assert_ne!(draws(7, 1), draws(8, 1));
    }

    #[test]
    fn draws_fill_their_range() {
        let mut chance = Chance::new(1, 1);
        let seen: std::collections::BTreeSet<Micros> = (0..1_000).map(|_| chance.within(3, 9)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8, 9]);
    }
}
