//! Rolling: closing the active segment and going on in a new one.
//!
//! Under the append lock only the new `.log` is created. What the old segment still needs, unmapping, trimming,
//! writing its indexes and the producer snapshot, happens after the lock is let go, and what then has to be synced,
//! in [`Log::sync`].

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;

use ottla_protocol::ids::{Offset, TimestampMs};

use super::append::{Append, AppendError};
use super::{Appender, Log};
use crate::producer_state::{ProducerBatch, snapshot};
use crate::segment::Segment;
use crate::segment::writer::Writer;

/// A segment that was rolled, and what has yet to be done for it.
#[derive(Debug)]
pub(super) struct Sealing {
    writer: Writer,
    /// Producer state where the next segment starts.
    snapshot: Vec<u8>,
    snapshot_offset: Offset,
}

impl Log {
    /// Rolls if the active segment has no room for `batches`, or has been written to for long enough.
    pub(super) fn roll_before(
        &self,
        appender: &mut Appender,
        append: &Append<'_>,
        batches: &[ProducerBatch],
    ) -> Result<bool, AppendError> {
        let size_bytes = append.batches.len() as u64;
        let segment_bytes = appender.config.segment_bytes;
        if size_bytes > segment_bytes {
            return Err(AppendError::TooLarge {
                size_bytes,
                segment_bytes,
            });
        }
        let (Some(first), Some(last)) = (batches.first(), batches.last()) else {
            return Ok(false);
        };
        let largest = batches
            .iter()
            .map(|batch| batch.header.max_timestamp)
            .max()
            .unwrap_or(-1);
        let segment = appender.writer.segment();
        let is_full = segment.size_bytes() + size_bytes > segment_bytes
            || appender.writer.index_bytes() >= appender.config.segment_index_bytes
            || i32::try_from(last.last_offset() - segment.base_offset()).is_err();
        if !is_full && !self.is_old(appender, largest, append.now_ms) {
            return Ok(false);
        }
        Ok(self.roll_at(appender, first.base_offset, append.now_ms)?)
    }

    fn is_old(&self, appender: &Appender, timestamp: TimestampMs, now_ms: TimestampMs) -> bool {
        let config = &appender.config;
        let segment = appender.writer.segment();
        let jitter_ms = match config.segment_jitter_ms {
            ..=0 => 0,
            at_most => {
                // The same after a restart, different for each partition and segment.
                let mut hasher = DefaultHasher::new();
                (&self.dir, segment.base_offset()).hash(&mut hasher);
                (hasher.finish() % at_most.unsigned_abs()) as i64
            }
        };
        // The active segment is not compacted, so it must not get older than what has to be.
        let segment_ms = match config.is_compacted && config.max_compaction_lag_ms > 0 {
            true => config.segment_ms.min(config.max_compaction_lag_ms),
            false => config.segment_ms,
        };
        segment.size_bytes() > 0 && appender.writer.age_ms(timestamp, now_ms) > segment_ms - jitter_ms
    }

    /// Makes a new segment at `base_offset` the active one; [`Log::finish_rolls`] has to follow. An active segment that
    /// starts there, and so is empty, stays. Returns whether there is a new one.
    pub(super) fn roll_at(
        &self,
        appender: &mut Appender,
        base_offset: Offset,
        now_ms: TimestampMs,
    ) -> io::Result<bool> {
        if appender.writer.segment().base_offset() == base_offset {
            return Ok(false);
        }
        let segment = Arc::new(Segment::create(&self.disk, &self.dir, base_offset)?);
        let next = Writer::new(segment.clone(), None, now_ms).following(&appender.writer);
        let sealing = Sealing {
            writer: std::mem::replace(&mut appender.writer, next),
            snapshot: snapshot::encode(&appender.producers),
            snapshot_offset: base_offset,
        };
        self.rolled.lock().push_back(sealing);
        self.segments.write().push(segment);
        appender.last_snapshot = Some(base_offset);
        appender.has_rolled = true;
        Ok(true)
    }

    /// Does for rolled segments what need not be done under the append lock.
    pub(super) fn finish_rolls(&self) {
        let _sealing = self.sealing.lock();
        self.finish_rolls_sealing();
    }

    /// [`Log::finish_rolls`] for the holder of `sealing`.
    pub(super) fn finish_rolls_sealing(&self) {
        loop {
            let Some(sealing) = self.rolled.lock().pop_front() else {
                return;
            };
            self.finish_roll(sealing);
        }
    }

    fn finish_roll(&self, sealing: Sealing) {
        let Sealing {
            mut writer,
            snapshot,
            snapshot_offset,
        } = sealing;
        let outcome = writer
            .release()
            .and_then(|()| snapshot::write(&*self.disk, &self.dir, snapshot_offset, &snapshot))
            .and_then(|()| match self.segment_after(writer.segment().base_offset()) {
                Some(next) => next.create_indexes(),
                None => Ok(()),
            });
        if let Err(error) = outcome {
            // Nothing is lost: the next sync does it again, and recovery can do without.
            tracing::warn!(dir = %self.dir.display(), %error, "a rolled segment is not finished yet");
        }
        let mut unflushed = self.unflushed.lock();
        unflushed.sealed.push(writer.segment().clone());
        unflushed.snapshots.push(snapshot_offset);
        unflushed.is_dir_dirty = true;
    }

    /// Rolls the active segment now, unless it is empty. Returns whether it did.
    ///
    /// # Errors
    /// The new segment could not be created; the old one stays active.
    pub fn roll(&self, now_ms: TimestampMs) -> io::Result<bool> {
        let is_rolled = {
            let mut appender = self.appender.lock();
            let offset = self.log_end_offset();
            appender.writer.segment().size_bytes() > 0 && self.roll_at(&mut appender, offset, now_ms)?
        };
        if is_rolled {
            self.finish_rolls();
        }
        Ok(is_rolled)
    }
}
