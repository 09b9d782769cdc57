//! Walking a segment from batch to batch, looking at the headers only.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;
use ottla_protocol::records::batch::HEADER_BYTES;
use ottla_protocol::records::{BatchError, BatchHeader};

use super::Segment;

/// Read at once where the segment is not in memory, as long as batches are small enough to share a piece.
const PIECE_BYTES: u64 = 16 * 1024;

/// Read at once where the batches that are looked at are few: those between two entries of the index.
const FEW_BYTES: u64 = 1024;

/// Why a segment could not be walked.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The disk refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// There is something in the file that is not a batch.
    #[error("{} is damaged at byte {position}: {error}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the damage starts.
        position: u64,
        /// What is wrong there.
        error: BatchError,
    },
}

impl ScanError {
    /// Whether this would have to wait for the disk, which [`crate::disk::without_waiting`] forbade.
    pub fn would_wait(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    pub(crate) fn corrupt(segment: &Segment, position: u64, error: BatchError) -> Self {
        Self::Corrupt {
            path: segment.log_path().into(),
            position,
            error,
        }
    }
}

/// A batch and where it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) position: u64,
    pub(crate) header: BatchHeader,
}

impl Found {
    pub(crate) fn range(&self) -> Range<u64> {
        self.position..self.position + self.header.size_bytes() as u64
    }
}

/// The headers of the batches in a range that starts with one. The first error is the last item; a batch that does not
/// end within the range is such an error.
pub(crate) struct Scan<'a> {
    segment: &'a Segment,
    range: Range<u64>,
    piece_bytes: u64,
    piece: Bytes,
    piece_start: u64,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(segment: &'a Segment, range: Range<u64>) -> Self {
        Self {
            segment,
            piece_start: range.start,
            range,
            piece_bytes: PIECE_BYTES,
            piece: Bytes::new(),
        }
    }

    /// As [`Scan::new`], for one who stops after a few batches.
    pub(crate) fn few(segment: &'a Segment, range: Range<u64>) -> Self {
        Self {
            piece_bytes: FEW_BYTES,
            ..Self::new(segment, range)
        }
    }

    fn advance(&mut self) -> Result<Found, ScanError> {
        let position = self.range.start;
        let header = BatchHeader::parse(self.header_bytes()?)
            .map_err(|error| ScanError::corrupt(self.segment, position, error))?;
        let found = Found { position, header };
        let end = found.range().end;
        if end > self.range.end {
            let available_bytes = (self.range.end - position) as usize;
            let error = BatchError::Truncated {
                needed_bytes: header.size_bytes(),
                available_bytes,
            };
            return Err(ScanError::corrupt(self.segment, position, error));
        }
        self.range.start = end;
        if header.size_bytes() as u64 >= self.piece_bytes {
            // Of the next one the header is all that counts, too.
            self.piece_bytes = FEW_BYTES;
        }
        Ok(found)
    }

    /// What there is of a header at the current position.
    fn header_bytes(&mut self) -> io::Result<&[u8]> {
        let Range { start: position, end } = self.range;
        let wanted = (HEADER_BYTES as u64).min(end - position);
        let is_there = self.piece_start <= position && position + wanted <= self.piece_start + self.piece.len() as u64;
        if !is_there {
            self.piece = self.segment.bytes(position..end.min(position + self.piece_bytes))?;
            self.piece_start = position;
        }
        let at = (position - self.piece_start) as usize;
        Ok(&self.piece[at..at + wanted as usize])
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<Found, ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.range.is_empty() {
            return None;
        }
        let found = self.advance();
        if found.is_err() {
            self.range.start = self.range.end;
        }
        Some(found)
    }
}
