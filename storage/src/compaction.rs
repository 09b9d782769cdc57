//! Compaction: of each key only the last record stays (`cleanup.policy=compact`).
//!
//! A pass ([`crate::Log::compact`]) reads the records since the last one, the dirty section, into a map from key to
//! offset ([`offset_map`]), as far as the map's memory goes. Then it writes all segments up to there anew, without the
//! records that a later one of their key has replaced, and puts the new files in the place of the old ones.
//!
//! - [`plan`]: what can be compacted, whether it is worth it, and which segments become one. A pure decision.
//! - [`filter`]: what stays of a batch, with [`transactions`] beside it. Pure as well.
//! - [`output`]: the segment that is written.
//! - [`throttle`]: how long to wait so that a pass does not take the disk for itself.
//!
//! What is always true: offsets do not change. The last record of a key stays, a tombstone until its delete horizon has
//! passed (KIP-534), and so does a transaction's marker once nothing of the transaction is left. Nothing at or above the
//! last stable offset is touched. A batch of which all stays keeps its bytes. A crash at any moment leaves the old
//! segments or the new one, see [`crate::recovery`].

pub(crate) mod filter;
pub(crate) mod offset_map;
pub(crate) mod output;
pub(crate) mod plan;
mod throttle;
pub(crate) mod transactions;

use std::io;
use std::ops::ControlFlow;

use ottla_protocol::ids::{Offset, TimestampMs};
use ottla_protocol::records::compression::{DecompressError, UnknownCodec};
use ottla_protocol::records::record::MalformedRecord;

use crate::log::SyncError;
use crate::segment::ScanError;

pub use plan::Cleanable;
pub use throttle::Throttle;

/// What a pass may use, and who is told of its progress.
pub struct CompactionRequest<'a> {
    /// The time, from which delete horizons count.
    pub now_ms: TimestampMs,
    /// Memory for the map of keys at most (`log.cleaner.dedupe.buffer.size` of one thread).
    pub map_bytes: usize,
    /// How full the map may get (`log.cleaner.io.buffer.load.factor`).
    pub map_load_factor: f64,
    /// Called with the bytes that were read or written since the last call: the caller waits there for as long as its
    /// limit demands ([`Throttle`]), or ends the pass.
    pub on_io: &'a mut dyn FnMut(u64) -> ControlFlow<()>,
}

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionStats {
    /// Where the dirty section began.
    pub first_dirty_offset: Offset,
    /// Up to where it was compacted: where it begins now.
    pub end_offset: Offset,
    /// Different keys in the dirty section.
    pub keys: usize,
    /// Size of the segments that were read.
    pub bytes_before: u64,
    /// Size of what is there in their place.
    pub bytes_after: u64,
    /// Segments that were read.
    pub segments_before: usize,
    /// Segments that are there in their place.
    pub segments_after: usize,
}

/// Why a pass ended early. The log is as before, or compacted up to some segment.
#[derive(Debug, thiserror::Error)]
pub enum CompactionError {
    /// Another pass is at work on this log.
    #[error("the log is being compacted already")]
    Busy,
    /// [`CompactionRequest::on_io`] said so.
    #[error("compaction was stopped")]
    Stopped,
    /// The log was cut, or its segments were deleted, while it was compacted: the next pass begins anew.
    #[error("the log changed while it was compacted")]
    Overtaken,
    /// The log is offline.
    #[error("the log is offline")]
    Offline,
    /// The disk refused.
    #[error("the disk refused: {0}")]
    Io(#[from] io::Error),
    /// The disk could not make durable what was written.
    #[error("a sync failed, the log is offline: {0}")]
    SyncFailed(io::Error),
    /// The log is damaged: no pass will get over it.
    #[error(transparent)]
    Damaged(ScanError),
    /// The records of a batch cannot be looked into: no pass will get over it.
    #[error("the batch at offset {base_offset} cannot be compacted: {error}")]
    Unreadable {
        /// Of the batch.
        base_offset: Offset,
        /// Why not.
        error: UnreadableBatch,
    },
}

impl CompactionError {
    /// Whether another pass will fail as well, until somebody has done something about the log.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Unreadable { .. })
    }
}

impl From<SyncError> for CompactionError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::SyncFailed(error) => Self::SyncFailed(error),
            SyncError::Io(error) => Self::Io(error),
            SyncError::Offline => Self::Offline,
        }
    }
}

impl From<ScanError> for CompactionError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Io(error) => Self::Io(error),
            damaged @ ScanError::Corrupt { .. } => Self::Damaged(damaged),
        }
    }
}

/// Why the records of a batch cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableBatch {
    /// They cannot be inflated.
    #[error(transparent)]
    Inflate(#[from] DecompressError),
    /// They are compressed in a way nobody knows.
    #[error(transparent)]
    UnknownCodec(#[from] UnknownCodec),
    /// A record cannot be read.
    #[error(transparent)]
    Malformed(#[from] MalformedRecord),
}
