//! One partition's log on one disk, in Apache Kafka's own files. Synchronous: no runtime, no sockets, no clock.
//!
//! - [`Log`]: the log of a partition; everything is reached from there.
//! - [`LogDir`]: a directory of logs, with its lock, its identity and its checkpoints.
//! - [`disk`]: the seam to the file system.
//! - [`inspect`]: looking at the files of a directory that no broker uses.
//! - [`retention`]: what is deleted when, as a pure decision.

pub mod checkpoint;
mod compaction;
pub mod disk;
mod fault;
mod index;
pub mod inspect;
mod leader_epoch;
mod log;
mod log_dir;
pub mod meta_properties;
pub mod partition_metadata;
mod producer_state;
mod recovery;
pub mod retention;
mod segment;
#[cfg(test)]
mod testing;

pub use compaction::{Cleanable, CompactionError, CompactionRequest, CompactionStats, Throttle, UnreadableBatch};
pub use fault::{Fault, StorageError};
pub use index::txn::AbortedTransaction;
pub use leader_epoch::{EpochEndOffset, EpochEntry};
pub use log::*;
pub use log_dir::{CleanShutdown, DirKind, FutureLog, LogDir, LogDirError, PartitionDir, PromoteError, TopicPartition};
pub use producer_state::verification::{TransactionCheck, VerificationGuard, VerificationRequest};
pub use producer_state::{AppendOrigin, AppendedBatch, ProducerDescription};
pub use recovery::{Damage, DamageKind, Recovery};
pub use segment::ScanError;
