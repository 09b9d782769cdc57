//! Reading a segment from batch to batch, each of them whole and with its checksum looked at.

use bytes::Bytes;
use ottla_protocol::records::batch::{HEADER_BYTES, verify_crc};
use ottla_protocol::records::{BatchError, BatchHeader};

use super::{Found, ScanError, Segment};

/// Read at once; a larger batch is read whole.
const PIECE_BYTES: u64 = 512 * 1024;

/// Walks the batches of a segment. After an error it must not be used any more.
pub(crate) struct BatchReader<'a> {
    segment: &'a Segment,
    position: u64,
    end: u64,
    piece: Bytes,
    piece_start: u64,
}

impl<'a> BatchReader<'a> {
    /// Starts at `position`, where a batch must start, and goes on to what is now the segment's end.
    pub(crate) fn new(segment: &'a Segment, position: u64) -> Self {
        Self {
            segment,
            position,
            end: segment.size_bytes(),
            piece: Bytes::new(),
            piece_start: position,
        }
    }

    /// The next batch; `None` at the end.
    ///
    /// # Errors
    /// There is something that is not an unharmed batch, or the disk refused.
    pub(crate) fn next(&mut self) -> Result<Option<(Found, Bytes)>, ScanError> {
        if self.position >= self.end {
            return Ok(None);
        }
        let position = self.position;
        let corrupt = |error| ScanError::corrupt(self.segment, position, error);
        let header = self.bytes(HEADER_BYTES as u64)?;
        let header = BatchHeader::parse(&header).map_err(corrupt)?;
        let batch = self.bytes(header.size_bytes() as u64)?;
        if batch.len() < header.size_bytes() {
            let (needed_bytes, available_bytes) = (header.size_bytes(), batch.len());
            let cut_off = BatchError::Truncated {
                needed_bytes,
                available_bytes,
            };
            return Err(ScanError::corrupt(self.segment, position, cut_off));
        }
        verify_crc(&batch).map_err(|error| ScanError::corrupt(self.segment, position, error))?;
        self.position += header.size_bytes() as u64;
        Ok(Some((Found { position, header }, batch)))
    }

    /// Up to `len` bytes from the position on; fewer at the end.
    fn bytes(&mut self, len: u64) -> Result<Bytes, ScanError> {
        let wanted_end = self.end.min(self.position.saturating_add(len));
        if wanted_end > self.piece_start + self.piece.len() as u64 {
            let piece_end = self.end.min(self.position + PIECE_BYTES.max(len));
            self.piece = self.segment.bytes(self.position..piece_end)?;
            self.piece_start = self.position;
        }
        let at = (self.position - self.piece_start) as usize;
        Ok(self.piece.slice(at..at + (wanted_end - self.position) as usize))
    }
}
