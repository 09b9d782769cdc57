//! What the bytes of the Kafka protocol mean: primitives, messages, record batches, error codes.

pub mod ids;
pub mod records;
