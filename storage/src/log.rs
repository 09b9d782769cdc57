//! One partition's log: the facade of the crate.
//!
//! A [`Log`] is shared between threads. Appends take turns under a short lock, in which no file is synced, renamed or
//! removed; reads and look-ups do not take it. What is appended is visible to readers at once and in this process;
//! it survives the process, and after [`Log::sync`] a power loss too.
//!
//! What is always true: `log_start_offset <= last_stable_offset <= high_watermark <= log_end_offset`; a batch is in
//! the log wholly or not at all; offsets rise.
//!
//! Deliberately elsewhere: validation of batches against a topic's configuration (`ottla_protocol::records`), who
//! leads and what is committed (`ottla-replication`; this module is told the high watermark), when to sync, roll by
//! time, retain and release (the broker's loops call in). The time is always an argument.

mod append;
mod append_times;
mod compact;
mod config;
mod epochs;
mod lifecycle;
mod moving;
mod positions;
mod read;
mod retain;
mod roll;
mod sync;
mod timestamps;
mod truncate;
mod unread;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use ottla_protocol::ids::{LeaderEpoch, Offset, TimestampMs};
use parking_lot::{Mutex, RwLock};

use crate::disk::Disk;
use crate::leader_epoch::LeaderEpochs;
use crate::producer_state::{ProducerBatch, ProducerDescription, ProducerState};
use crate::recovery::Recovery;
use crate::segment::Segment;
use crate::segment::writer::Writer;

pub use crate::segment::{FileRegion, Records};
pub use append::{Append, AppendError, Appended};
pub use config::{LogConfig, LogOptions};
pub use lifecycle::OpenError;
pub use moving::{CopyError, copy_some, cut_to};
pub use read::{ReadError, ReadSlice};
pub use retain::{DeleteRecordsError, RetentionError};
pub use sync::SyncError;
pub use timestamps::{LookUpError, TimestampAndOffset};
pub use truncate::TruncateError;
pub use unread::{AppendTime, AppendTimeSource, Unread};

/// One partition's log on one disk.
#[derive(Debug)]
pub struct Log {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// The append lock.
    appender: Mutex<Appender>,
    /// By base offset; the last one is the active segment.
    segments: RwLock<Vec<Arc<Segment>>>,
    epochs: RwLock<LeaderEpochs>,
    are_epochs_dirty: AtomicBool,
    writing_epochs: Mutex<()>,
    log_start_offset: AtomicI64,
    log_end_offset: AtomicI64,
    high_watermark: AtomicI64,
    /// Where the first transaction begins whose end is not below the high watermark; `i64::MAX` without one.
    first_unstable_offset: AtomicI64,
    recovery_point: AtomicI64,
    /// Counts truncations, so that a reader that was overtaken by one can tell.
    truncations: AtomicU64,
    /// Counts segments that others have taken the place of, or that are gone, for the same reason.
    replacements: AtomicU64,
    /// Up to where the log has been compacted; negative if it never was.
    cleaned_up_to: AtomicI64,
    /// Held by the one who compacts, for the whole pass.
    compacting: Mutex<()>,
    /// Held by the one who syncs, closes, cuts or removes. The locks are taken in this order: `syncing`, `sealing`, the
    /// append lock, the others, each of which is let go at once.
    syncing: Mutex<()>,
    /// Held by the one who works on `rolled`.
    sealing: Mutex<()>,
    /// Segments that were rolled and are not finished.
    rolled: Mutex<VecDeque<roll::Sealing>>,
    unflushed: Mutex<Unflushed>,
    doomed: Mutex<Vec<Doomed>>,
    is_closed: AtomicBool,
    has_failed: AtomicBool,
    recovery: Recovery,
    positions: positions::Positions,
}

/// What has happened to the segments of a log.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Changes {
    truncations: u64,
    replacements: u64,
}

/// What only the holder of the append lock touches.
#[derive(Debug)]
struct Appender {
    config: LogConfig,
    writer: Writer,
    producers: ProducerState,
    /// Offset of the newest producer snapshot.
    last_snapshot: Option<Offset>,
    latest_epoch: LeaderEpoch,
    append_times: append_times::AppendTimes,
    /// Whether [`Log::finish_rolls`] has to follow.
    has_rolled: bool,
    /// Room for the batches of one append, kept so that it need not be allocated for each.
    batches: Vec<ProducerBatch>,
}

/// What waits to be made durable, apart from the active segment.
#[derive(Debug, Default)]
struct Unflushed {
    sealed: Vec<Arc<Segment>>,
    snapshots: Vec<Offset>,
    /// Whether files came or went.
    is_dir_dirty: bool,
}

/// Files of a deleted segment, renamed, and when they may go.
#[derive(Debug)]
struct Doomed {
    delete_at_ms: TimestampMs,
    paths: Vec<PathBuf>,
}

impl Log {
    /// The directory with the log's files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The offset of the first record that may be read; what is before was deleted.
    pub fn log_start_offset(&self) -> Offset {
        self.log_start_offset.load(Ordering::Acquire)
    }

    /// The offset that the next record gets.
    pub fn log_end_offset(&self) -> Offset {
        self.log_end_offset.load(Ordering::Acquire)
    }

    /// Up to where consumers may read.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark.load(Ordering::Acquire)
    }

    /// Up to where read_committed consumers may read: the high watermark, or where the first transaction begins whose
    /// end is not below it.
    pub fn last_stable_offset(&self) -> Offset {
        self.high_watermark()
            .min(self.first_unstable_offset.load(Ordering::Acquire))
    }

    /// Up to where the log is known to be on disk. A power loss takes nothing before it.
    pub fn recovery_point(&self) -> Offset {
        self.recovery_point.load(Ordering::Acquire)
    }

    /// What opening the log had to repair.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Bytes of all batches, without indexes and preallocated room.
    pub fn size_bytes(&self) -> u64 {
        self.segments.read().iter().map(|segment| segment.size_bytes()).sum()
    }

    /// Base offset of the first segment that is on disk. It is below the log start offset where that was moved.
    pub fn first_segment_offset(&self) -> Offset {
        self.segments
            .read()
            .first()
            .map_or(self.log_start_offset(), |first| first.base_offset())
    }

    /// The same after a power loss, at the least: the names of removed segments come back if they were not synced.
    pub(crate) fn first_durable_segment_offset(&self) -> Offset {
        let first = self.first_segment_offset();
        match self.unflushed.lock().is_dir_dirty {
            true => 0,
            false => first,
        }
    }

    /// Number of segments, the active one included.
    pub fn segment_count(&self) -> usize {
        self.segments.read().len()
    }

    /// Whether appends are refused: closed, or a write could not be made durable.
    pub fn is_offline(&self) -> bool {
        self.is_closed.load(Ordering::Acquire) || self.has_failed.load(Ordering::Acquire)
    }

    /// Refuses appends and syncs from now on, as after a failed fsync. Reads go on.
    pub fn take_offline(&self) {
        self.has_failed.store(true, Ordering::Release);
    }

    /// The configuration in force.
    pub fn config(&self) -> LogConfig {
        self.appender.lock().config
    }

    /// Changes the configuration; it holds from the next append on.
    pub fn set_config(&self, config: LogConfig) {
        self.appender.lock().config = config;
    }

    /// Moves the high watermark to `offset`, or as far as the log reaches; never back: only truncation does that.
    /// Returns where it is.
    pub fn set_high_watermark(&self, offset: Offset) -> Offset {
        let offset = offset.min(self.log_end_offset());
        let before = self.high_watermark.fetch_max(offset, Ordering::AcqRel);
        if before < offset && self.first_unstable_offset.load(Ordering::Acquire) != Offset::MAX {
            let mut appender = self.appender.lock();
            appender.producers.on_high_watermark(offset);
            self.publish_first_unstable(&appender.producers);
        }
        before.max(offset)
    }

    fn publish_first_unstable(&self, producers: &ProducerState) {
        let offset = producers.first_unstable_offset().unwrap_or(Offset::MAX);
        self.first_unstable_offset.store(offset, Ordering::Release);
    }

    /// The producers that are known here, by id, for DescribeProducers.
    pub fn producers(&self) -> Vec<ProducerDescription> {
        self.appender.lock().producers.describe()
    }

    /// How many producers are known here.
    pub fn producer_count(&self) -> usize {
        self.appender.lock().producers.count()
    }

    /// Forgets the producers that have been silent for `producer.id.expiration.ms`.
    pub fn expire_producers(&self, now_ms: TimestampMs) {
        let mut appender = self.appender.lock();
        let expiration_ms = appender.config.producer_id_expiration_ms;
        appender.producers.expire(now_ms, expiration_ms);
    }

    /// The segment that follows the one with this base offset.
    fn segment_after(&self, base_offset: Offset) -> Option<Arc<Segment>> {
        let segments = self.segments.read();
        let after = segments.partition_point(|segment| segment.base_offset() <= base_offset);
        segments.get(after).cloned()
    }

    /// The segment that `offset` belongs to, the first one for an offset before it, and those that follow it.
    fn segments_from(&self, offset: Offset) -> Vec<Arc<Segment>> {
        let segments = self.segments.read();
        let after = segments.partition_point(|segment| segment.base_offset() <= offset);
        segments[after.saturating_sub(1)..].to_vec()
    }

    fn all_segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().clone()
    }

    fn changes(&self) -> Changes {
        Changes {
            truncations: self.truncations.load(Ordering::Acquire),
            replacements: self.replacements.load(Ordering::Acquire),
        }
    }

    /// What `look` sees, which it is asked again if segments went while it looked: what seemed to be damage, or a
    /// missing file, was that.
    fn undisturbed<T, E>(&self, look: impl Fn() -> Result<T, E>) -> Result<T, E> {
        loop {
            let before = self.changes();
            let result = look();
            if result.is_ok() || before == self.changes() {
                return result;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
