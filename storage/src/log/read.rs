//! Reading.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::ids::Offset;

use super::Log;
use crate::index::txn::AbortedTransaction;
use crate::segment::{ReadRequest, Records, ScanError, Segment};

/// Batches that were read.
#[derive(Clone, Debug)]
pub struct ReadSlice {
    /// Whole batches, back to back. The first may start before the offset that was asked for: a consumer skips what is
    /// before it.
    pub records: Records,
    /// Offset of the first record of the first batch; the offset asked for if there is none.
    pub base_offset: Offset,
    /// The offset at which to read on; the offset asked for if there is no batch.
    pub next_offset: Offset,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Before the log start offset or after the log end offset (OFFSET_OUT_OF_RANGE).
    #[error("offset {offset} is outside of {}..={}", valid.start, valid.end)]
    OffsetOutOfRange {
        /// What was asked for.
        offset: Offset,
        /// Log start offset and log end offset, both of which are valid.
        valid: Range<Offset>,
    },
    /// The log is damaged there, or the disk refused.
    #[error(transparent)]
    Storage(#[from] ScanError),
}

impl ReadError {
    /// Whether the read would have to wait for the disk, which [`crate::disk::without_waiting`] forbade.
    pub fn would_wait(&self) -> bool {
        matches!(self, Self::Storage(error) if error.would_wait())
    }
}

impl Log {
    /// Reads whole batches from the one with `from` on, up to `upper_bound`, which is the first offset not to be read:
    /// the high watermark, the last stable offset, or for a replica `Offset::MAX`.
    ///
    /// At most `max_bytes`; with `at_least_one` the first batch comes even if it alone is larger (KIP-74). Where
    /// compaction has left nothing at `from`, the next batch after it comes. Nothing comes at or after the bound, and at
    /// the log end offset. The result is within one segment: there may be more behind it.
    ///
    /// Much of one segment stays in its file ([`Records::File`]), whose content is not looked at here: readers check the
    /// batches' checksums.
    ///
    /// # Errors
    /// [`ReadError::OffsetOutOfRange`] below the log start offset or above the log end offset.
    pub fn read(
        &self,
        from: Offset,
        upper_bound: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<ReadSlice, ReadError> {
        loop {
            let before = self.changes();
            let result = self.try_read(from, upper_bound, max_bytes, at_least_one, before.truncations);
            // What was found while segments went may be of one that is gone, next to one that has taken its place.
            if before == self.changes() {
                return result;
            }
        }
    }

    fn try_read(
        &self,
        from: Offset,
        upper_bound: Offset,
        max_bytes: usize,
        at_least_one: bool,
        truncations: u64,
    ) -> Result<ReadSlice, ReadError> {
        let valid = self.log_start_offset()..self.log_end_offset();
        if from < valid.start || from > valid.end {
            return Err(ReadError::OffsetOutOfRange { offset: from, valid });
        }
        let upper_bound = upper_bound.min(valid.end);
        let mut slice = ReadSlice {
            records: Records::Memory(Bytes::new()),
            base_offset: from,
            next_offset: from,
        };
        if from >= upper_bound {
            return Ok(slice);
        }
        let mut at = self.segment_and_next(from);
        while let Some((segment, next)) = at {
            let request = ReadRequest {
                from,
                upper_bound,
                max_bytes,
                at_least_one,
                start: self.positions.start_of(from, &segment, truncations),
                next_base_offset: next,
            };
            let read = segment.read(&request);
            if let Err(error) = segment.check() {
                // Others have been promised what is gone, so this is for whoever is in charge of the directory.
                self.take_offline();
                return Err(ScanError::from(error).into());
            }
            if let Some(batches) = read? {
                if !batches.records.is_empty() {
                    slice.base_offset = batches.base_offset;
                    slice.next_offset = batches.next_offset;
                    slice.records = batches.records;
                    self.positions
                        .note(batches.next_offset, &segment, batches.end, truncations);
                }
                break;
            }
            at = next.and_then(|next| self.segment_and_next(next));
        }
        Ok(slice)
    }

    /// The segment that `offset` belongs to, and the base offset of the one that follows it.
    pub(super) fn segment_and_next(&self, offset: Offset) -> Option<(Arc<Segment>, Option<Offset>)> {
        let segments = self.segments.read();
        let after = segments.partition_point(|segment| segment.base_offset() <= offset);
        let at = after.saturating_sub(1);
        let next = segments.get(at + 1).map(|next| next.base_offset());
        Some((segments.get(at)?.clone(), next))
    }

    /// How often the files of indexes were searched, for reads and look-ups: a reader that goes on where it was needs none.
    pub fn index_searches(&self) -> u64 {
        self.all_segments()
            .iter()
            .map(|segment| segment.offsets.searches())
            .sum()
    }

    /// The aborted transactions with records in `from..upper_bound`, by the offset of their markers.
    ///
    /// # Errors
    /// The disk's.
    pub fn aborted_transactions(&self, from: Offset, upper_bound: Offset) -> io::Result<Vec<AbortedTransaction>> {
        self.undisturbed(|| {
            let mut found = Vec::new();
            for segment in self.segments_from(from) {
                if segment.txns.collect(from, upper_bound, &mut found)? {
                    break;
                }
            }
            found.sort_by_key(|aborted| aborted.first_offset);
            Ok(found)
        })
    }
}
