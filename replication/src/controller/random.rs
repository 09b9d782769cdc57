//! Random choices from a seed that the caller brings.

use ottla_protocol::ids::Uuid;

/// A stream of random numbers: xoshiro256** by Blackman and Vigna.
///
/// The same seed gives the same choices. A seed of 256 bits from the system's source makes topic ids as unique as if
/// each were drawn from there.
#[derive(Clone, Debug)]
pub struct Random([u64; 4]);

impl Random {
    /// A stream that starts from `seed`.
    pub fn new(seed: [u8; 32]) -> Self {
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
    pub fn next_u64(&mut self) -> u64 {
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
    pub fn below(&mut self, end: usize) -> usize {
        // The bias is below 2^-32 for every cluster there can be.
        ((u128::from(self.next_u64()) * end as u128) >> 64) as usize
    }

    /// A random id: a version 4 uuid whose text does not start with a dash, since tools would take it for an option.
    pub fn uuid(&mut self) -> Uuid {
        loop {
            let bits = u128::from(self.next_u64()) << 64 | u128::from(self.next_u64());
            let bits = bits & !(0xf << 76) | 4 << 76;
            let bits = bits & !(0b11 << 62) | 0b10 << 62;
            let id = Uuid(bits.to_be_bytes());
            if !id.to_string().starts_with('-') {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_choices_twice() {
        let choices = |seed| {
            let mut random = Random::new([seed; 32]);
            (random.uuid(), random.below(1000), random.uuid())
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

    #[test]
    fn ids_are_version_4_uuids_without_a_leading_dash() {
        let mut random = Random::new([3; 32]);
        for _ in 0..1000 {
            let id = random.uuid();
            assert_eq!((id.0[6] >> 4, id.0[8] >> 6), (4, 0b10));
            assert!(!id.to_string().starts_with('-'));
        }
    }
}
