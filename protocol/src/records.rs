//! Record batches: Kafka's message format v2 (KIP-98), the unit that is produced, stored, replicated and fetched.
//!
//! - [`batch`]: the 61-byte header, its checksum, and the few fields that a broker writes into a stored batch.
//! - [`compression`]: the codecs, with a cap on what comes out.

pub mod batch;
pub mod compression;

pub use batch::{Attributes, BatchError, BatchHeader, Batches, TimestampType};
pub use compression::{Codec, Compression};
