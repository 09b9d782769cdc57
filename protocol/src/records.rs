//! Record batches: Kafka's message format v2 (KIP-98), the unit that is produced, stored, replicated and fetched.
//!
//! - [`batch`]: the 61-byte header, its checksum, and the few fields that a broker writes into a stored batch.
//! - [`compression`]: the codecs, with a cap on what comes out.
//! - [`record`]: the records behind the header, once inflated.
//! - [`control`]: the keys and values of control records.
//! - [`builder`]: batches made here.
//! - [`validate`]: what a leader checks before it appends a producer's batch.

pub mod batch;
pub mod builder;
pub mod compression;
pub mod control;
pub mod record;
pub mod validate;
mod varint;

pub use batch::{Attributes, BatchError, BatchHeader, Batches, TimestampType};
pub use builder::{BatchBuilder, NewRecord};
pub use compression::{Codec, Compression};
pub use control::{ControlType, EndTransactionMarker};
pub use record::{Header, Headers, Record, Records};
pub use validate::{ProduceError, ProduceRules, TopicCompression, Validated, validate_produce};
