//! Reading.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::ids::Offset;

use super::Log;
use crate::disk::{DiskFile, read_exact};
use crate::index::txn::AbortedTransaction;
use crate::segment::ScanError;

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

/// Where the bytes of a read are.
#[derive(Clone, Debug)]
pub enum Records {
    /// In memory: for the end of the log a view of the map, without a copy.
    Memory(Bytes),
    /// Still in a file, to be sent from there.
    File(FileRegion),
}

/// A part of a file that will not change.
#[derive(Clone, Debug)]
pub struct FileRegion {
    /// The file. It lives as long as this does, even when it is deleted meanwhile.
    pub file: Arc<dyn DiskFile>,
    /// Where the part starts.
    pub position: u64,
    /// How long it is.
    pub len: usize,
}

impl Records {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::File(region) => region.len,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, read from the file if they are still there.
    ///
    /// # Errors
    /// The disk's.
    pub fn into_bytes(self) -> io::Result<Bytes> {
        match self {
            Self::Memory(bytes) => Ok(bytes),
            Self::File(region) => Ok(read_exact(&*region.file, region.position, region.len)?.into()),
        }
    }
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

impl Log {
    /// Reads whole batches from the one with `from` on, up to `upper_bound`, which is the first offset not to be read:
    /// the high watermark, the last stable offset, or for a replica `Offset::MAX`.
    ///
    /// At most `max_bytes`; with `at_least_one` the first batch comes even if it alone is larger (KIP-74). Where
    /// compaction has left nothing at `from`, the next batch after it comes. Nothing comes at or after the bound, and at
    /// the log end offset. The result is within one segment: there may be more behind it.
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
        self.undisturbed(|| self.try_read(from, upper_bound, max_bytes, at_least_one))
    }

    fn try_read(
        &self,
        from: Offset,
        upper_bound: Offset,
        max_bytes: usize,
        at_least_one: bool,
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
        let mut segment = self.segment_for(from);
        while let Some(current) = segment {
            if let Some(batches) = current.read(from, upper_bound, max_bytes, at_least_one)? {
                if !batches.bytes.is_empty() {
                    slice.base_offset = batches.base_offset;
                    slice.next_offset = batches.next_offset;
                    slice.records = Records::Memory(batches.bytes);
                }
                break;
            }
            segment = self.segment_after(current.base_offset());
        }
        Ok(slice)
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
