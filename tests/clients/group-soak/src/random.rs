//! Numbers that look random and follow from a seed, so that a failure can be had again.

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The numbers of this seed.
    pub(crate) fn of_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next_u64() % end as u64) as usize
    }
}

/// The numbers below `size` in a random order, then again in another one: in `size` draws each comes up once.
#[derive(Debug)]
pub(crate) struct Deck {
    size: usize,
    rest: Vec<usize>,
}

impl Deck {
    /// A deck of `0..size`.
    pub(crate) fn of(size: usize) -> Self {
        Self { size, rest: Vec::new() }
    }

    /// The next number.
    pub(crate) fn draw(&mut self, random: &mut Random) -> usize {
        if self.rest.is_empty() {
            self.rest.extend(0..self.size);
        }
        self.rest.swap_remove(random.below(self.rest.len()))
    }

    /// Has `card` come up once more before the deck begins anew.
    pub(crate) fn put_back(&mut self, card: usize) {
        self.rest.push(card);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deck_deals_each_card_once_before_it_begins_anew() {
        let (mut deck, mut random) = (Deck::of(16), Random::of_seed(1));
        for _ in 0..3 {
            let mut drawn: Vec<usize> = (0..16).map(|_| deck.draw(&mut random)).collect();
            drawn.sort_unstable();
            assert_eq!(drawn, Vec::from_iter(0..16));
        }
    }

    #[test]
    fn a_card_that_was_put_back_comes_up_again() {
        let (mut deck, mut random) = (Deck::of(2), Random::of_seed(1));
        let first = deck.draw(&mut random);
        deck.put_back(first);
        assert!((0..2).any(|_| deck.draw(&mut random) == first));
    }
}
