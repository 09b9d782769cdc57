//! Finding the batches that a read gets, without reading them where they can be sent from the file.

use std::io;
use std::ops::Range;
use std::sync::atomic::{Ordering, fence};

use bytes::Bytes;
use ottla_protocol::ids::Offset;
use ottla_protocol::records::BatchHeader;
use ottla_protocol::records::batch::HEADER_BYTES;

use super::{FileRegion, Found, Records, Scan, ScanError, Segment};

/// From this size on, sending from the file is cheaper than reading it into memory first, and than sending it from the
/// map.
const FROM_FILE_BYTES: u64 = 32 * 1024;

/// What a reader wants of a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadRequest {
    /// The first batch is the one with this offset, or the next one after it.
    pub(crate) from: Offset,
    /// No record at or after this one.
    pub(crate) upper_bound: Offset,
    pub(crate) max_bytes: usize,
    /// The first batch may be larger than `max_bytes` (KIP-74).
    pub(crate) at_least_one: bool,
    /// Where the reader was before: where it is to start, if that is known.
    pub(crate) start: Option<ReadStart>,
    /// Base offset of the segment after this one.
    pub(crate) next_base_offset: Option<Offset>,
}

/// Where a reader goes on in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadStart {
    /// A batch starts there, or the segment ends.
    pub(crate) position: u64,
    /// Number of an index entry before it.
    pub(crate) entry: usize,
}

/// What a read found in a segment.
#[derive(Debug)]
pub(crate) struct Batches {
    pub(crate) records: Records,
    pub(crate) base_offset: Offset,
    pub(crate) next_offset: Offset,
    /// Where a read from `next_offset` on starts.
    pub(crate) end: ReadStart,
}

/// Up to where batches go to the reader.
struct End {
    at: ReadStart,
    next_offset: Offset,
}

impl Segment {
    /// Whole batches as `request` says; `None` if the segment has nothing from its offset on.
    pub(crate) fn read(&self, request: &ReadRequest) -> Result<Option<Batches>, ScanError> {
        let lease = self.leases.take();
        // Whoever cuts the segment first lowers its size, then looks for leases.
        fence(Ordering::SeqCst);
        let Some(first) = self.first(request)? else {
            return Ok(None);
        };
        let entry = request.start.map_or(0, |start| start.entry);
        let mut batches = Batches {
            records: Records::Memory(Bytes::new()),
            base_offset: first.header.base_offset,
            next_offset: request.from,
            end: ReadStart {
                position: first.position,
                entry,
            },
        };
        let first_bytes = first.header.size_bytes();
        if first.header.last_offset() >= request.upper_bound
            || (first_bytes > request.max_bytes && !request.at_least_one)
        {
            return Ok(Some(batches));
        }
        let limit = (first.position + request.max_bytes.max(first_bytes) as u64).min(self.size_bytes());
        let file = match limit - first.position < FROM_FILE_BYTES {
            true => None,
            false => Some(self.file()?).filter(|file| file.descriptor().is_some()),
        };
        let end = match file {
            None => self.read_memory(&first, limit, request.upper_bound, &mut batches)?,
            Some(file) => {
                let end = self.end_of_read(&first, limit, request, entry)?;
                let len = (end.at.position - first.position) as usize;
                let region = FileRegion::new(file, first.position, len, lease);
                batches.records = match (len as u64) < FROM_FILE_BYTES {
                    true => Records::Memory(self.bytes(first.position..end.at.position)?),
                    false => Records::File(region),
                };
                end
            }
        };
        batches.next_offset = end.next_offset;
        batches.end = end.at;
        Ok(Some(batches))
    }

    /// Whether bytes are on their way to a reader.
    pub(super) fn is_read(&self) -> bool {
        self.leases.are_out() || self.tails.read().are_read()
    }

    fn first(&self, request: &ReadRequest) -> Result<Option<Found>, ScanError> {
        let known = match request.start {
            Some(start) => self.header_at(start.position)?,
            None => None,
        };
        match known.filter(|found| found.header.last_offset() >= request.from) {
            None => self.find(request.from),
            found => Ok(found),
        }
    }

    fn header_at(&self, position: u64) -> io::Result<Option<Found>> {
        let end = position + HEADER_BYTES as u64;
        if end > self.size_bytes() {
            return Ok(None);
        }
        let header = BatchHeader::parse(&self.bytes(position..end)?);
        Ok(header.ok().map(|header| Found { position, header }))
    }

    /// Puts the batches before `limit` into `batches`: all of them are looked at, as they are in memory then.
    fn read_memory(
        &self,
        first: &Found,
        limit: u64,
        upper_bound: Offset,
        batches: &mut Batches,
    ) -> Result<End, ScanError> {
        let bytes = self.bytes(first.position..limit)?;
        let (mut len, mut next_offset) = (0, batches.next_offset);
        while let Some(header) = bytes.get(len..).filter(|rest| rest.len() >= HEADER_BYTES) {
            let at = first.position + len as u64;
            let header = BatchHeader::parse(header).map_err(|error| ScanError::corrupt(self, at, error))?;
            if header.last_offset() >= upper_bound || len + header.size_bytes() > bytes.len() {
                break;
            }
            len += header.size_bytes();
            next_offset = header.next_offset();
        }
        batches.records = Records::Memory(bytes.slice(..len));
        let at = ReadStart {
            position: first.position + len as u64,
            ..batches.end
        };
        Ok(End { at, next_offset })
    }

    /// Where the last batch before `limit` and the upper bound ends, found by index: few headers are looked at.
    fn end_of_read(&self, first: &Found, limit: u64, request: &ReadRequest, entry: usize) -> Result<End, ScanError> {
        let size_bytes = self.size_bytes();
        if let Some(next) = request.next_base_offset
            && limit == size_bytes
            && next <= request.upper_bound
        {
            let position = size_bytes;
            return Ok(End {
                at: ReadStart { position, entry },
                next_offset: next,
            });
        }
        let mut end = End {
            at: ReadStart {
                position: first.range().end,
                entry,
            },
            next_offset: first.header.next_offset(),
        };
        if let Some((entry, found)) = self.indexed_before(limit, request.upper_bound, entry)?
            && found.position > first.position
        {
            end.at = ReadStart {
                position: found.position,
                entry,
            };
            end.next_offset = found.header.base_offset;
        }
        let rest = Range {
            start: end.at.position,
            end: size_bytes,
        };
        for found in Scan::few(self, rest) {
            let found = found?;
            if found.range().end > limit || found.header.last_offset() >= request.upper_bound {
                break;
            }
            end.at.position = found.range().end;
            end.next_offset = found.header.next_offset();
        }
        Ok(end)
    }

    /// The last batch with an index entry that starts before `limit` and ends before `upper_bound`, and the number of
    /// the entry. It is looked for near the entry `near` first.
    fn indexed_before(&self, limit: u64, upper_bound: Offset, near: usize) -> io::Result<Option<(usize, Found)>> {
        let Some((number, entry)) = self.offsets.floor_before(limit, upper_bound, near)? else {
            return Ok(None);
        };
        let found = self.header_at(entry.position)?;
        let is_good =
            |found: &Found| found.header.base_offset >= self.base_offset && found.header.last_offset() <= entry.offset;
        Ok(found.filter(is_good).map(|found| (number, found)))
    }
}
