//! Cutting the end of the log off, as a replica does whose leader has something else there.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_protocol::ids::{LeaderEpoch, Offset, TimestampMs};

use super::{Appender, Log, Unflushed};
use crate::recovery::{load_producers, mark_cut, remove_segment_files, remove_snapshots, unmark_cut};
use crate::segment::writer::Writer;
use crate::segment::{ScanError, Segment};

/// Why the log could not be cut. It is offline then, and has to be opened again.
#[derive(Debug, thiserror::Error)]
pub enum TruncateError {
    /// The log is damaged there, or the disk refused.
    #[error(transparent)]
    Storage(#[from] ScanError),
    /// The log is offline.
    #[error("the log is offline")]
    Offline,
}

impl From<io::Error> for TruncateError {
    fn from(error: io::Error) -> Self {
        Self::Storage(ScanError::Io(error))
    }
}

impl Log {
    /// Removes all records at and after `offset`, of a batch that reaches over it the whole. The high watermark, the
    /// log start offset, epochs and producer state follow. Returns whether there was anything to remove.
    ///
    /// This works under the append lock, with files: it is for changes of leadership. A log whose checkpoints promise more
    /// is taken for damaged when it is opened after a crash: [`crate::LogDir::truncate_log`] sees to them first.
    ///
    /// # Errors
    /// The log is then offline, as its files may be half cut.
    pub fn truncate_to(&self, offset: Offset, now_ms: TimestampMs) -> Result<bool, TruncateError> {
        self.cut(|appender| {
            if offset >= self.log_end_offset() {
                // An epoch that began here without a record contradicts what the leader will send.
                self.cut_epochs(appender, self.log_end_offset());
                return Ok(false);
            }
            let is_within = self
                .segments
                .read()
                .first()
                .is_some_and(|first| first.base_offset() <= offset);
            match is_within {
                true => self.cut_at(appender, offset, now_ms)?,
                false => self.start_again(appender, offset, now_ms)?,
            }
            Ok(true)
        })
    }

    /// Where the log would end after [`Log::truncate_to`]: the batch that reaches over `offset` goes as a whole.
    ///
    /// # Errors
    /// The log is damaged there, or the disk refused.
    pub fn end_after_truncation_to(&self, offset: Offset) -> Result<Offset, ScanError> {
        if offset >= self.log_end_offset() {
            return Ok(self.log_end_offset());
        }
        let found = self.undisturbed(|| match self.segment_and_next(offset) {
            Some((segment, _)) => segment.find(offset),
            None => Ok(None),
        })?;
        Ok(found.map_or(offset, |found| found.header.base_offset.min(offset)))
    }

    /// Removes everything; the log goes on empty at `offset`.
    ///
    /// # Errors
    /// As [`Log::truncate_to`].
    pub fn truncate_fully_and_start_at(&self, offset: Offset, now_ms: TimestampMs) -> Result<(), TruncateError> {
        self.cut(|appender| self.start_again(appender, offset, now_ms))
    }

    fn cut<T>(&self, cut: impl FnOnce(&mut Appender) -> Result<T, TruncateError>) -> Result<T, TruncateError> {
        let _round = self.syncing.lock();
        let _sealing = self.sealing.lock();
        let mut appender = self.appender.lock();
        if self.is_offline() {
            return Err(TruncateError::Offline);
        }
        // A rolled segment may become the active one again, so it is brought in order first.
        self.finish_rolls_sealing();
        let result = mark_cut(&*self.disk, &self.dir)
            .map_err(TruncateError::from)
            .and_then(|()| cut(&mut appender))
            .and_then(|done| {
                unmark_cut(&*self.disk, &self.dir)?;
                Ok(done)
            });
        self.truncations.fetch_add(1, Ordering::AcqRel);
        if result.is_err() {
            self.take_offline();
        }
        result
    }

    fn cut_at(&self, appender: &mut Appender, offset: Offset, now_ms: TimestampMs) -> Result<(), TruncateError> {
        let mut removed = {
            let mut segments = self.segments.write();
            let after = segments.partition_point(|segment| segment.base_offset() <= offset);
            segments.split_off(after)
        };
        let Some(active) = self.segments.read().last().cloned() else {
            return Ok(());
        };
        let found = active.find(offset)?;
        let log_end_offset = found.map_or(offset, |found| found.header.base_offset.min(offset));
        // Whoever looks from now on must not be sent to where the log no longer is.
        self.lower_ends(log_end_offset);
        // The last segment first: a crash in between leaves a log without a hole.
        while let Some(segment) = removed.pop() {
            remove_segment_files(&*self.disk, &self.dir, segment.base_offset())?;
        }
        self.activate(appender, &active, now_ms)?;
        if let Some(found) = found {
            appender.writer.truncate(offset, found.position)?;
            active.look_for_largest()?;
        }
        self.follow_cut(appender, log_end_offset, now_ms)
    }

    fn start_again(&self, appender: &mut Appender, offset: Offset, now_ms: TimestampMs) -> Result<(), TruncateError> {
        let mut removed = std::mem::take(&mut *self.segments.write());
        while let Some(segment) = removed.pop() {
            remove_segment_files(&*self.disk, &self.dir, segment.base_offset())?;
        }
        let active = Arc::new(Segment::create(&self.disk, &self.dir, offset)?);
        appender.writer = Writer::new(active.clone(), None, now_ms);
        self.segments.write().push(active);
        self.lower_ends(offset);
        self.log_end_offset.store(offset, Ordering::Release);
        self.log_start_offset.store(offset, Ordering::Release);
        self.high_watermark.store(offset, Ordering::Release);
        self.follow_cut(appender, offset, now_ms)
    }

    fn lower_ends(&self, log_end_offset: Offset) {
        self.high_watermark.fetch_min(log_end_offset, Ordering::AcqRel);
        self.log_start_offset.fetch_min(log_end_offset, Ordering::AcqRel);
        self.recovery_point.fetch_min(log_end_offset, Ordering::AcqRel);
        self.log_end_offset.fetch_min(log_end_offset, Ordering::AcqRel);
        // Nothing else that will be here has been compacted.
        self.cleaned_up_to.fetch_min(log_end_offset, Ordering::AcqRel);
    }

    /// Makes the segment the one that is appended to, if it is not.
    fn activate(&self, appender: &mut Appender, active: &Arc<Segment>, now_ms: TimestampMs) -> Result<(), ScanError> {
        if !Arc::ptr_eq(appender.writer.segment(), active) {
            let first_timestamp = active.first_timestamp()?;
            appender.writer = Writer::new(active.clone(), first_timestamp, now_ms);
        }
        Ok(())
    }

    /// Brings epochs, producer state and what waits for a sync in line with the new end.
    fn follow_cut(&self, appender: &mut Appender, end: Offset, now_ms: TimestampMs) -> Result<(), TruncateError> {
        self.cut_epochs(appender, end);
        remove_snapshots(&*self.disk, &self.dir, |offset| offset > end)?;
        let segments = self.all_segments();
        let (mut producers, last_snapshot) = load_producers(&self.disk, &self.dir, &segments, end, None)?;
        producers.expire(now_ms, appender.config.producer_id_expiration_ms);
        producers.on_high_watermark(self.high_watermark());
        self.publish_first_unstable(&producers);
        appender.producers = producers;
        appender.append_times.cut(end);
        appender.last_snapshot = last_snapshot;
        let mut unflushed = self.unflushed.lock();
        let Unflushed {
            sealed,
            snapshots,
            is_dir_dirty,
        } = &mut *unflushed;
        sealed.retain(|segment| segment.base_offset() < appender.writer.segment().base_offset());
        snapshots.retain(|offset| *offset <= end);
        *is_dir_dirty = true;
        Ok(())
    }

    fn cut_epochs(&self, appender: &mut Appender, end: Offset) {
        let mut epochs = self.epochs.write();
        if epochs.truncate_from_end(end) {
            self.are_epochs_dirty.store(true, Ordering::Release);
            appender.latest_epoch = epochs.latest().unwrap_or(LeaderEpoch::NONE);
        }
    }
}
