//! The primitive types of the protocol and how they lie in bytes.
//!
//! [`Reader`] takes them from a frame without copying strings or byte fields and trusts no count or length;
//! [`Writer`] lays them down, keeping large byte fields as slices of their own so that they are never copied.

mod reader;
mod text;
mod writer;

pub use reader::{DecodeError, Reader};
pub use text::Str;
pub use writer::{EncodeError, Frame, Gap, Writer};

/// The most elements that an array may announce; Apache Kafka 4.4 refuses more.
pub const MAX_ELEMENTS: usize = 1_000_000;

/// The most tagged fields that one structure may announce; Apache Kafka 4.4 refuses more.
pub const MAX_TAGGED_FIELDS: usize = 10_000;

#[cfg(test)]
mod tests;
