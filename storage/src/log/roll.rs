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
    ) -> Result<Option<Sealing>, AppendError> {
        let size_bytes = append.batches.len() as u64;
        let segment_bytes = appender.config.segment_bytes;
        if size_bytes > segment_bytes {
            return Err(AppendError::TooLarge {
                size_bytes,
                segment_bytes,
            });
        }
        let (Some(first), Some(last)) = (batches.first(), batches.last()) else {
            return Ok(None);
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
            return Ok(None);
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
        segment.size_bytes() > 0 && appender.writer.age_ms(timestamp, now_ms) > config.segment_ms - jitter_ms
    }

    /// Makes a new segment at `base_offset` the active one. An active segment that is empty and starts there stays.
    pub(super) fn roll_at(
        &self,
        appender: &mut Appender,
        base_offset: Offset,
        now_ms: TimestampMs,
    ) -> io::Result<Option<Sealing>> {
        if appender.writer.segment().base_offset() == base_offset {
            return Ok(None);
        }
        let segment = Arc::new(Segment::create(&self.disk, &self.dir, base_offset)?);
        let writer = std::mem::replace(&mut appender.writer, Writer::new(segment.clone(), None, now_ms));
        self.segments.write().push(segment);
        appender.last_snapshot = Some(base_offset);
        let snapshot = snapshot::encode(&appender.producers);
        Ok(Some(Sealing {
            writer,
            snapshot,
            snapshot_offset: base_offset,
        }))
    }

    /// Does for a rolled segment what need not be done under the append lock. What fails here is done by the next sync.
    pub(super) fn finish_roll(&self, sealing: Sealing) {
        let Sealing {
            mut writer,
            snapshot,
            snapshot_offset,
        } = sealing;
        let outcome = writer
            .release()
            .and_then(|()| snapshot::write(&*self.disk, &self.dir, snapshot_offset, &snapshot));
        if let Err(error) = outcome {
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
        let sealing = {
            let mut appender = self.appender.lock();
            self.roll_at(&mut appender, self.log_end_offset(), now_ms)?
        };
        let is_rolled = sealing.is_some();
        sealing.into_iter().for_each(|sealing| self.finish_roll(sealing));
        Ok(is_rolled)
    }
}
