//! Random choices from a seed that the caller brings.

/// A stream of random numbers: xoshiro256** by Blackman and Vigna.
///
/// The same seed gives the same choices.
#[derive(Clone, Debug)]
pub(super) struct Random([u64; 4]);

impl Random {
    /// A stream that starts from `seed`.
    pub(super) fn new(seed: [u8; 32]) -> Self {
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(seed.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().expect("chunks have eight bytes"));
        }
        // The one state that would yield nothing but zeros.
        if state == [0; 4] {
            state[0] = 0x9e37_79b9_7f4a_7c15;
        }
        Self(state)
    }

    /// The next number.
    fn next_u64(&mut self) -> u64 {
        let state = &mut self.0;
        let result = state[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        result
    }

    /// A number from 0 up to but not including `end`; 0 if that is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        // The bias is below 2^-32 for every cluster there can be.
        ((u128::from(self.next_u64()) * end as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_choices_twice() {
        let choices = |seed| {
            let mut random = Random::new([seed; 32]);
            (random.below(1000), random.below(1000), random.below(1000))
        };
        assert_eq!(choices(7), choices(7));
        assert_ne!(choices(7), choices(8));
    }

    #[test]
    fn numbers_stay_below_the_end_and_reach_every_value() {
        let mut random = Random::new([0; 32]);
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[random.below(5)] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(random.below(0), 0);
    }
}
