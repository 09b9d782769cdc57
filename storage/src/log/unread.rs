//! What a reader that has come to an offset has still before it: the first record, and when that was appended.

use ottla_protocol::ids::{Offset, TimestampMs};
use ottla_protocol::records::{BatchHeader, TimestampType};

use super::Log;
use crate::segment::{Scan, ScanError};

/// So many batches are looked at for one with records before the next is taken for such a one.
const MARKERS_MAX: usize = 64;

/// The first record that a reader has not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its offset, or one before it where compaction has left a gap.
    pub offset: Offset,
    /// When it was appended; `None` if nothing says it.
    pub appended: Option<AppendTime>,
}

/// When a record was appended, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendTime {
    /// When.
    pub at_ms: TimestampMs,
    /// How it is known.
    pub source: AppendTimeSource,
}

/// How the time of an append is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendTimeSource {
    /// This process has appended it.
    Seen,
    /// The batch says when it was appended (`message.timestamp.type=LogAppendTime`).
    LogAppendTime,
    /// The batch says when its producer made it, before this process started.
    CreateTime,
}

impl Log {
    /// The first record in `from..upto`; `None` if there is none: markers of transactions are no records. What is before
    /// the log start is not there any more. `started_ms`: when this process began to append; what it has not appended
    /// was there before.
    ///
    /// Waits for the disk where the log is not in memory.
    ///
    /// # Errors
    /// Damage, and the disk's.
    pub fn first_unread(
        &self,
        from: Offset,
        upto: Offset,
        started_ms: TimestampMs,
    ) -> Result<Option<Unread>, ScanError> {
        let (from, upto) = (from.max(self.log_start_offset()), upto.min(self.log_end_offset()));
        if from >= upto {
            return Ok(None);
        }
        // Far from the end there is something else than markers.
        if upto - from > MARKERS_MAX as i64
            && let Some(appended) = self.seen_append(from)
        {
            return Ok(Some(Unread {
                offset: from,
                appended: Some(appended),
            }));
        }
        let Some(header) = self.undisturbed(|| self.first_with_records(from))? else {
            return Ok(None);
        };
        let offset = header.base_offset.max(from);
        let appended = self
            .seen_append(offset)
            .or_else(|| self.told_append(&header, started_ms));
        Ok((offset < upto).then_some(Unread { offset, appended }))
    }

    fn seen_append(&self, offset: Offset) -> Option<AppendTime> {
        let appender = self.appender.lock();
        let at_ms = appender.append_times.of(offset, self.log_end_offset())?;
        Some(AppendTime {
            at_ms,
            source: AppendTimeSource::Seen,
        })
    }

    /// What the batch says of the time, which cannot be after what this process has seen.
    fn told_append(&self, header: &BatchHeader, started_ms: TimestampMs) -> Option<AppendTime> {
        if header.max_timestamp < 0 {
            return None;
        }
        let seen_ms = self.appender.lock().append_times.first_ms();
        Some(AppendTime {
            at_ms: header.max_timestamp.min(seen_ms.unwrap_or(started_ms)),
            source: match header.attributes.timestamp_type() {
                TimestampType::LogAppendTime => AppendTimeSource::LogAppendTime,
                TimestampType::CreateTime => AppendTimeSource::CreateTime,
            },
        })
    }

    /// The header of the first batch that reaches `from` and has records.
    fn first_with_records(&self, from: Offset) -> Result<Option<BatchHeader>, ScanError> {
        let mut markers = 0;
        for segment in self.segments_from(from) {
            let Some(first) = segment.find(from)? else { continue };
            for found in Scan::few(&segment, first.position..segment.size_bytes()) {
                let header = found?.header;
                if !header.attributes.is_control() || markers >= MARKERS_MAX {
                    return Ok(Some(header));
                }
                markers += 1;
            }
        }
        Ok(None)
    }
}
