//! The last offset of each key, in bounded memory.
//!
//! A key is known by a hash of 128 bits. Two keys with the same one would cost the older its record, so the hash is keyed
//! with random numbers that are new in every map: nobody can prepare such a pair, as anybody can for the MD5 that Kafka
//! uses here, and by chance there is none among all keys that will ever be written. The numbers have no influence on
//! what a pass does.

use std::hash::{BuildHasher, RandomState};

use ottla_protocol::ids::Offset;

/// Two words of hash, and the offset plus one: zero is a free slot.
type Slot = [u64; 3];

const SLOT_BYTES: usize = size_of::<Slot>();
const FREE: Slot = [0; 3];

/// An open-addressing table from the hash of a key to an offset.
#[derive(Debug)]
pub(crate) struct OffsetMap {
    slots: Vec<Slot>,
    len: usize,
    len_max: usize,
    hashers: [RandomState; 2],
}

impl OffsetMap {
    /// A map of `memory_bytes` at most, of which only the share `load_factor` is used. It gets no larger than for
    /// `expected` keys. There is always room for one.
    pub(crate) fn new(memory_bytes: usize, load_factor: f64, expected: usize) -> Self {
        let load_factor = load_factor.clamp(0.01, 0.99);
        let wanted = ((expected as f64 / load_factor) as usize).saturating_add(1);
        let count = (memory_bytes / SLOT_BYTES).min(wanted).max(2);
        Self {
            slots: vec![FREE; count],
            len: 0,
            len_max: ((count as f64 * load_factor) as usize).clamp(1, count - 1),
            hashers: [RandomState::new(), RandomState::new()],
        }
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Notes that the key was written at `offset`, which is above all before. False if the key is new and there is no
    /// room for it.
    pub(crate) fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let hash = self.hash(key);
        let at = self.find(hash);
        if self.slots[at] == FREE {
            if self.len == self.len_max {
                return false;
            }
            self.len += 1;
        }
        self.slots[at] = [hash[0], hash[1], offset as u64 + 1];
        true
    }

    /// Where the key was written last.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Offset> {
        let [_, _, after] = self.slots[self.find(self.hash(key))];
        after.checked_sub(1).map(|offset| offset as Offset)
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        [self.hashers[0].hash_one(key), self.hashers[1].hash_one(key)]
    }

    /// The slot of the hash, or the free one where it belongs. One is always free.
    fn find(&self, hash: [u64; 2]) -> usize {
        let count = self.slots.len();
        // The upper half of the product spreads the hash evenly over any number of slots.
        let mut at = ((u128::from(hash[0]) * count as u128) >> 64) as usize;
        while self.slots[at] != FREE && self.slots[at][..2] != hash {
            at = if at + 1 == count { 0 } else { at + 1 };
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_offset_of_a_key_counts() {
        let mut map = OffsetMap::new(1 << 20, 0.9, 1_000);
        for offset in 0..1_000 {
            assert!(map.put(format!("key-{}", offset % 300).as_bytes(), offset));
        }
        assert_eq!(map.len(), 300);
        for key in 0..300 {
            let last = (0..1_000).rev().find(|offset| offset % 300 == key);
            assert_eq!(map.get(format!("key-{key}").as_bytes()), last);
        }
        assert_eq!(map.get(b"another"), None);
        assert_eq!(map.get(b""), None);
        assert!(map.put(b"", 0));
        assert_eq!(map.get(b""), Some(0), "no key is null");
    }

    #[test]
    fn a_full_map_takes_what_it_knows_and_nothing_new() {
        let mut map = OffsetMap::new(100 * SLOT_BYTES, 0.5, usize::MAX);
        let taken = (0..100)
            .take_while(|key: &i64| map.put(&key.to_be_bytes(), *key))
            .count();
        assert_eq!(taken, 50);
        assert!(map.put(&7_i64.to_be_bytes(), 200));
        assert!(!map.put(&99_i64.to_be_bytes(), 201));
        assert_eq!(map.get(&7_i64.to_be_bytes()), Some(200));
        assert_eq!(map.get(&99_i64.to_be_bytes()), None);
    }

    #[test]
    fn there_is_room_for_one_key_in_any_memory() {
        for (memory_bytes, load_factor) in [(0, 0.9), (48, 0.0), (48, 1.0), (100, f64::NAN)] {
            let mut map = OffsetMap::new(memory_bytes, load_factor, 10);
            assert!(map.put(b"key", 5), "{memory_bytes} {load_factor}");
            assert_eq!(map.get(b"key"), Some(5));
            assert_eq!(map.get(b"other"), None, "a search ends");
        }
    }

    #[test]
    fn memory_follows_what_is_expected() {
        assert_eq!(OffsetMap::new(1 << 30, 0.5, 10).slots.len(), 21);
        assert_eq!(OffsetMap::new(240, 0.5, 1_000).slots.len(), 10);
    }
}
