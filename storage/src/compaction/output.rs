//! The segment that a pass writes: under other names, until it is whole and takes the place of those it was made from.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::ids::{Offset, TimestampMs};
use ottla_protocol::records::BatchHeader;

use crate::disk::{Disk, remove_if_exists};
use crate::index::txn::AbortedTransaction;
use crate::segment::writer::Writer;
use crate::segment::{CLEANED, SUFFIXES, ScanError, Segment, tagged_path};

/// Written at once.
const BUFFER_BYTES: usize = 512 * 1024;

/// A segment in the making. Nobody reads it.
pub(crate) struct Output {
    segment: Arc<Segment>,
    writer: Writer,
    buffer: Vec<u8>,
    /// Up to where the file is written.
    written: u64,
}

impl Output {
    /// Begins a segment, in place of what an earlier pass may have left under these names.
    pub(crate) fn create(disk: &Arc<dyn Disk>, dir: &Path, base_offset: Offset) -> io::Result<Self> {
        discard(&**disk, dir, base_offset)?;
        let segment = Arc::new(Segment::create_tagged(disk, dir, base_offset, CLEANED)?);
        Ok(Self {
            writer: Writer::new(segment.clone(), None, 0),
            segment,
            buffer: Vec::new(),
            written: 0,
        })
    }

    /// How many bytes there are.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Adds a batch. Returns how many bytes were written to the disk, often none.
    pub(crate) fn push(&mut self, batch: &[u8], index_interval_bytes: u64) -> Result<u64, ScanError> {
        let position = self.size_bytes();
        let header = BatchHeader::parse(batch).map_err(|error| ScanError::corrupt(&self.segment, position, error))?;
        self.writer
            .index(&header, header.last_offset(), position, index_interval_bytes);
        self.buffer.extend_from_slice(batch);
        match self.buffer.len() >= BUFFER_BYTES {
            true => Ok(self.flush()?),
            false => Ok(0),
        }
    }

    fn flush(&mut self) -> io::Result<u64> {
        let len = self.buffer.len() as u64;
        self.segment
            .file()?
            .write_at(&[IoSlice::new(&self.buffer)], self.written)?;
        self.written += len;
        self.buffer.clear();
        Ok(len)
    }

    /// Writes the rest, with `aborted` as the transactions that end in the segment, and makes all of it durable. The
    /// file is as old as `modified_ms`, since retention may count from that. Returns the bytes written to the disk.
    pub(crate) fn finish(&mut self, aborted: &[AbortedTransaction], modified_ms: TimestampMs) -> io::Result<u64> {
        let len = self.flush()?;
        self.writer.publish(self.written);
        aborted.iter().for_each(|aborted| self.segment.txns.push(aborted));
        self.segment.flush_indexes()?;
        self.segment.file()?.set_modified(modified_ms)?;
        self.segment.sync()?;
        self.segment.release();
        Ok(len)
    }
}

/// Removes the files of a segment that was not finished, or is not needed.
pub(crate) fn discard(disk: &dyn Disk, dir: &Path, base_offset: Offset) -> io::Result<()> {
    for suffix in SUFFIXES {
        remove_if_exists(disk, &tagged_path(dir, base_offset, suffix, CLEANED))?;
    }
    Ok(())
}
