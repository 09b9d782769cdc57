//! What the bytes of the Kafka protocol mean: primitives, messages, record batches, error codes.
//!
//! Pure: no files, sockets, clocks or threads.

pub mod error_code;
pub mod frame;
pub mod ids;
#[cfg(feature = "json")]
mod json;
pub mod messages;
pub mod metadata_record;
pub mod primitives;
pub mod records;

pub use error_code::ErrorCode;
pub use messages::{ApiKey, Message, Request};
pub use primitives::Str;
