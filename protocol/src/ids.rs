//! Small types that keep two bare integers from standing side by side.

use std::fmt;

/// A position in a partition's log; the first record ever written has offset 0.
pub type Offset = i64;

/// Milliseconds since 1970-01-01 UTC, as Kafka writes them; -1 where there is none.
pub type TimestampMs = i64;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty), none = $none:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl $name {
            /// The value that stands for "none" on the wire and on disk.
            pub const NONE: Self = Self($none);

            /// Whether this is a real value: not negative.
            pub const fn is_some(self) -> bool {
                self.0 >= 0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// The id of a broker or controller (`node.id`).
    NodeId(i32), none = -1
);
number!(
    /// Counts the leaders a partition has had; stamped into each batch (KIP-101).
    LeaderEpoch(i32), none = -1
);
number!(
    /// Names an idempotent or transactional producer (KIP-98).
    ProducerId(i64), none = -1
);
number!(
    /// Fences older incarnations of the same [`ProducerId`] (KIP-98).
    ProducerEpoch(i16), none = -1
);

/// A Kafka uuid: a topic id, directory id or member incarnation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// All bits zero: "no id".
    pub const ZERO: Self = Self([0; 16]);
    /// The topic id of `__cluster_metadata`.
    pub const METADATA_TOPIC: Self = Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// Of a replica whose log directory is gone (KIP-858). The same as the metadata topic's, which is never a directory.
    pub const LOST_DIRECTORY: Self = Self::METADATA_TOPIC;

    /// Whether this is [`Uuid::ZERO`].
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// Parses the 22 URL-safe base64 characters that Kafka prints. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 22 {
            return None;
        }
        let mut bits: u128 = 0;
        for (position, digit) in digits.iter().enumerate() {
            let value = ALPHABET.iter().position(|letter| letter == digit)? as u128;
            // The last digit carries two bits of the id and four of padding.
            bits = if position == 21 {
                bits << 2 | value >> 4
            } else {
                bits << 6 | value
            };
        }
        Some(Self(bits.to_be_bytes()))
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        for position in 0..22 {
            let index = if position == 21 {
                (bits & 3) << 4
            } else {
                bits >> (122 - 6 * position) & 63
            };
            write!(f, "{}", ALPHABET[index as usize] as char)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_print_as_kafka_prints_them_and_parse_back() {
        // Uuid.METADATA_TOPIC_ID of Apache Kafka prints so.
        assert_eq!(Uuid::METADATA_TOPIC.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        let id = Uuid(*b"\xf0\x0f0123456789abcd");
        assert_eq!(Uuid::parse(&id.to_string()), Some(id));
        assert_eq!(Uuid::parse("AAAAAAAAAAAAAAAAAAAAA"), None);
        assert_eq!(Uuid::parse("AAAAAAAAAAAAAAAAAAAA/Q"), None);
    }
}
