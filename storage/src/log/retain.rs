//! Letting go of old records: by retention, and because a client asked for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_protocol::ids::{Offset, TimestampMs};

use super::{Doomed, Log};
use crate::disk::remove_if_exists;
use crate::producer_state::snapshot;
use crate::retention::{SegmentAge, expired_count};
use crate::segment::{SUFFIXES, Segment, path};

/// Why records were not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteRecordsError {
    /// Above the high watermark (OFFSET_OUT_OF_RANGE).
    #[error("offset {offset} is above the high watermark {high_watermark}")]
    OffsetOutOfRange {
        /// What was asked for.
        offset: Offset,
        /// What is possible.
        high_watermark: Offset,
    },
    /// The log takes no changes any more.
    #[error("the log is offline")]
    Offline,
}

/// Why retention stopped half way. What was decided holds; the files are dealt with when the log is opened again.
#[derive(Debug, thiserror::Error)]
#[error("retention in {dir} stopped: {error}")]
pub struct RetentionError {
    /// The log's directory.
    pub dir: String,
    /// What the disk said.
    pub error: io::Error,
}

impl Log {
    /// Moves the log start offset to `offset`: what is before it is gone for readers at once, and from the disk when
    /// retention next looks. It survives a restart once [`crate::LogDir::write_checkpoints`] has noted it. An offset at
    /// or below the log start changes nothing. Returns the log start offset.
    ///
    /// # Errors
    /// Above the high watermark, or the log is offline.
    pub fn delete_records_before(&self, offset: Offset) -> Result<Offset, DeleteRecordsError> {
        let appender = self.appender.lock();
        if self.is_offline() {
            return Err(DeleteRecordsError::Offline);
        }
        let high_watermark = self.high_watermark();
        if offset > high_watermark {
            return Err(DeleteRecordsError::OffsetOutOfRange { offset, high_watermark });
        }
        self.raise_log_start(offset);
        drop(appender);
        Ok(self.log_start_offset())
    }

    /// As [`Log::delete_records_before`], for a follower whose leader's log starts there; as far as the log reaches.
    pub fn follow_log_start_offset(&self, offset: Offset) {
        let _appender = self.appender.lock();
        self.raise_log_start(offset.min(self.high_watermark()));
    }

    /// For the holder of the append lock: truncation must not come in between.
    fn raise_log_start(&self, offset: Offset) {
        if self.log_start_offset.fetch_max(offset, Ordering::AcqRel) < offset
            && self.epochs.write().truncate_from_start(offset)
        {
            self.are_epochs_dirty.store(true, Ordering::Release);
        }
    }

    /// Removes the segments that have had their time. Their files are renamed to `.deleted` and stay for
    /// `file.delete.delay.ms`, until [`Log::remove_doomed_files`]. Returns how many segments went.
    ///
    /// # Errors
    /// The disk's, after which the log is smaller nonetheless.
    pub fn apply_retention(&self, now_ms: TimestampMs) -> Result<usize, RetentionError> {
        let failed = |error| RetentionError {
            dir: self.dir.display().to_string(),
            error,
        };
        let config = self.config();
        let (segments, ages) = self.undisturbed(|| self.segment_ages()).map_err(failed)?;
        let count = expired_count(&ages, &config, self.log_start_offset(), self.high_watermark(), now_ms);
        if count == 0 {
            return Ok(0);
        }
        if count == ages.len() {
            self.roll(now_ms).map_err(failed)?;
        }
        // Nobody may be syncing, sealing or cutting what goes.
        let _round = self.syncing.lock();
        let _sealing = self.sealing.lock();
        self.finish_rolls_sealing();
        // Before anybody sees the log without them: they may come back.
        self.unflushed.lock().is_dir_dirty = true;
        let removed: Vec<Arc<Segment>> = {
            let _appender = self.appender.lock();
            let mut current = self.segments.write();
            let count = count.min(current.len().saturating_sub(1));
            let is_same = current
                .iter()
                .zip(&segments[..count])
                .all(|(one, other)| Arc::ptr_eq(one, other));
            let Some(first) = current.get(count).filter(|_| is_same) else {
                // Compaction came in between: the next round will see.
                return Ok(0);
            };
            self.raise_log_start(first.base_offset());
            current.drain(..count).collect()
        };
        self.replacements.fetch_add(1, Ordering::AcqRel);
        self.doom(&removed, false, now_ms).map_err(failed)?;
        Ok(removed.len())
    }

    fn segment_ages(&self) -> io::Result<(Vec<Arc<Segment>>, Vec<SegmentAge>)> {
        let segments = self.all_segments();
        let log_end_offset = self.log_end_offset();
        let ends = segments
            .iter()
            .skip(1)
            .map(|next| next.base_offset())
            .chain([log_end_offset]);
        let age = |(segment, end_offset): (&Arc<Segment>, Offset)| {
            Ok(SegmentAge {
                end_offset,
                size_bytes: segment.size_bytes(),
                largest_timestamp: segment.largest()?.timestamp,
                modified_ms: segment.modified_ms()?,
            })
        };
        let ages: io::Result<_> = segments.iter().zip(ends).map(age).collect();
        ages.map(|ages| (segments, ages))
    }

    /// Renames the files of removed segments, the oldest first, durably before the next one: neither a crash in between nor
    /// a power loss leaves a log with a hole. They go after `file.delete.delay.ms`. What takes their place is whole when
    /// this is called for segments that are replaced, so their order does not matter. The producer snapshot of the first one stays if it is replaced by another segment.
    pub(super) fn doom(&self, removed: &[Arc<Segment>], is_replaced: bool, now_ms: TimestampMs) -> io::Result<()> {
        let mut doomed = Doomed {
            delete_at_ms: now_ms.saturating_add(self.config().file_delete_delay_ms),
            paths: Vec::new(),
        };
        self.unflushed
            .lock()
            .sealed
            .retain(|sealed| !removed.iter().any(|gone| Arc::ptr_eq(gone, sealed)));
        for (at, segment) in removed.iter().enumerate() {
            if at > 0 && !is_replaced {
                self.disk.sync_dir(&self.dir)?;
            }
            segment.release();
            let base_offset = segment.base_offset();
            let files = SUFFIXES.map(|suffix| path(&self.dir, base_offset, suffix));
            let snapshot = (at > 0 || !is_replaced).then(|| snapshot::path(&self.dir, base_offset));
            for file in files.into_iter().chain(snapshot) {
                let mut renamed = file.as_os_str().to_owned();
                renamed.push(".deleted");
                match self.disk.rename(&file, renamed.as_ref()) {
                    Ok(()) => doomed.paths.push(renamed.into()),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        self.unflushed.lock().is_dir_dirty = true;
        self.doomed.lock().push(doomed);
        Ok(())
    }

    /// Removes the files of deleted segments whose delay is over.
    ///
    /// # Errors
    /// The disk's. What is left goes when the log is opened again.
    pub fn remove_doomed_files(&self, now_ms: TimestampMs) -> io::Result<()> {
        let due: Vec<Doomed> = self
            .doomed
            .lock()
            .extract_if(.., |doomed| doomed.delete_at_ms <= now_ms)
            .collect();
        for path in due.iter().flat_map(|doomed| &doomed.paths) {
            remove_if_exists(&*self.disk, path)?;
        }
        Ok(())
    }
}
