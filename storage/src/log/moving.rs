//! Copying a log into another directory while it is in use, and giving it over to the copy.
//!
//! A copy has the same batches at the same offsets. What it lacks of the log's state, producers whose batches are gone
//! and those that wait for their coordinator's word, and when records were appended, comes with the last step, in which nothing is
//! appended, cut or compacted.

use std::sync::atomic::Ordering;

use ottla_protocol::ids::{LeaderEpoch, Offset, TimestampMs};

use super::append_times::AppendTimes;
use super::{Append, AppendError, Log, ReadError, TruncateError};
use crate::producer_state::verification::{TransactionCheck, Verifications};
use crate::producer_state::{AppendOrigin, snapshot};

/// Why a copy does not go on.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The log that is copied cannot be read.
    #[error("cannot read the log: {0}")]
    Source(ReadError),
    /// The copy cannot be written.
    #[error("cannot write the copy: {0}")]
    Target(AppendError),
    /// The copy cannot be cut to what the log has.
    #[error("cannot cut the copy: {0}")]
    Cut(#[from] TruncateError),
}

/// Copies the next batches, at most `max_bytes` but at least one, from `source` to the end of `target`. Returns how many
/// bytes; none if the copy has everything.
///
/// Where the records that come next were deleted meanwhile the copy begins anew at what is left. Log start offset and
/// high watermark follow.
///
/// # Errors
/// Nothing was copied.
pub fn copy_some(source: &Log, target: &Log, max_bytes: usize, now_ms: TimestampMs) -> Result<usize, CopyError> {
    let from = target.log_end_offset().max(source.log_start_offset());
    let slice = match source.read(from, Offset::MAX, max_bytes, true) {
        Ok(slice) => slice,
        // The log start has moved, or the log was cut: the next call sees what is left.
        Err(ReadError::OffsetOutOfRange { .. }) => {
            cut_to(source, target, now_ms)?;
            return Ok(0);
        }
        Err(error) => return Err(CopyError::Source(error)),
    };
    let records = slice.records.into_bytes();
    let records = records.map_err(|error| CopyError::Source(ReadError::Storage(error.into())))?;
    let is_unconnected = from > target.log_end_offset() || slice.base_offset < target.log_end_offset();
    if is_unconnected {
        target.truncate_fully_and_start_at(slice.base_offset, now_ms)?;
    }
    if !records.is_empty() {
        append(target, &records, now_ms).map_err(CopyError::Target)?;
    }
    target.set_high_watermark(source.high_watermark());
    target.follow_log_start_offset(source.log_start_offset());
    Ok(records.len())
}

fn append(target: &Log, batches: &[u8], now_ms: TimestampMs) -> Result<(), AppendError> {
    let config = target.config();
    let is_too_large = batches.len() as u64 > config.segment_bytes;
    if is_too_large {
        // A batch that is older than the setting.
        let mut wider = config;
        wider.segment_bytes = batches.len() as u64;
        target.set_config(wider);
    }
    let appended = target.append(Append {
        batches,
        // Each batch has its own.
        leader_epoch: LeaderEpoch::NONE,
        origin: AppendOrigin::Replica,
        now_ms,
        log_append_time: None,
        transaction: TransactionCheck::Skipped,
    });
    if is_too_large {
        target.set_config(config);
    }
    appended.map(|_| ())
}

/// Cuts off what `target` has and `source` has not, as far as leader epochs tell: a crash may have taken records of the
/// log that had been copied.
///
/// # Errors
/// The copy is offline.
pub fn cut_to(source: &Log, target: &Log, now_ms: TimestampMs) -> Result<(), TruncateError> {
    target.truncate_to(source.log_end_offset(), now_ms)?;
    while let Some(epoch) = target.latest_epoch() {
        let Some(end) = source.end_offset_for_epoch(epoch) else {
            return target.truncate_fully_and_start_at(source.log_start_offset(), now_ms);
        };
        target.truncate_to(end.end_offset, now_ms)?;
        if end.epoch == epoch {
            return Ok(());
        }
        if target.latest_epoch() == Some(epoch) {
            // Records of an epoch that the log never had, before the end of an older one.
            return target.truncate_fully_and_start_at(source.log_start_offset(), now_ms);
        }
    }
    Ok(())
}

/// What a log knows that stands in none of its files.
#[derive(Clone, Copy)]
pub(crate) struct Unwritten<'a> {
    verifications: &'a Verifications,
    append_times: &'a AppendTimes,
}

impl Log {
    /// Has `take_over` do the last step while nothing is appended, cut or compacted here; reads go on. It gets the
    /// producers as a snapshot, and what no file has. If it succeeds, this log takes no changes any more.
    ///
    /// # Errors
    /// Those of `take_over`: the log goes on.
    pub(crate) fn hand_over<T, E>(&self, take_over: impl FnOnce(&[u8], Unwritten<'_>) -> Result<T, E>) -> Result<T, E> {
        let _compacting = self.compacting.lock();
        let _round = self.syncing.lock();
        let _sealing = self.sealing.lock();
        let appender = self.appender.lock();
        let snapshot = snapshot::encode(&appender.producers);
        let unwritten = Unwritten {
            verifications: appender.producers.verifications(),
            append_times: &appender.append_times,
        };
        let taken = take_over(&snapshot, unwritten)?;
        self.is_closed.store(true, Ordering::Release);
        Ok(taken)
    }

    /// Goes on with what the log had in memory that this one takes the place of: the producers that waited wait here, and
    /// the records were appended when they were, not when they were copied.
    pub(crate) fn adopt(&self, unwritten: Unwritten<'_>) {
        let mut appender = self.appender.lock();
        appender.producers.adopt(unwritten.verifications.clone());
        appender.append_times = unwritten.append_times.clone();
    }
}
