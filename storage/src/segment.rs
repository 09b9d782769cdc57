//! One segment: a `.log` file of batches back to back, with its three indexes.
//!
//! A segment can be read by any number of threads while one appends to it, see [`writer`]: what is below
//! [`Segment::size_bytes`] never changes, and only that is read. The end of the active segment is also memory, from
//! which reads are served without a copy; everything else is read from the file. A sealed segment holds no map, and no
//! descriptor that [`Segment::release`] could not give back.

mod batches;
mod reading;
mod region;
mod scan;
pub(crate) mod writer;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use ottla_protocol::ids::{Offset, TimestampMs};
use ottla_protocol::records::BatchHeader;
use ottla_protocol::records::batch::HEADER_BYTES;
use parking_lot::{Mutex, RwLock};

use crate::disk::{Disk, DiskFile, FileSlot, OpenMode, TailReader, read_exact};
use crate::index::offset::{self, OffsetIndex, OffsetPosition};
use crate::index::time::{self, TimeIndex, TimestampOffset};
use crate::index::txn::TxnIndex;
use region::Leases;

pub(crate) use batches::BatchReader;
pub(crate) use reading::{ReadRequest, ReadStart};
pub use region::{FileRegion, Records};
pub use scan::ScanError;
pub(crate) use scan::{Found, Scan};

/// Suffixes of the files of a segment, the log first.
pub(crate) const SUFFIXES: [&str; 4] = ["log", "index", "timeindex", "txnindex"];

/// What compaction appends to the names of files that are being written.
pub(crate) const CLEANED: &str = ".cleaned";
/// What compaction appends to the names of files that are whole and about to take the place of others.
pub(crate) const SWAP: &str = ".swap";

/// Where a segment keeps the file with this suffix.
pub(crate) fn path(dir: &Path, base_offset: Offset, suffix: &str) -> PathBuf {
    tagged_path(dir, base_offset, suffix, "")
}

/// The same for a segment that is not, or not any more, one of the log's.
pub(crate) fn tagged_path(dir: &Path, base_offset: Offset, suffix: &str, tag: &str) -> PathBuf {
    dir.join(format!("{base_offset:020}.{suffix}{tag}"))
}

#[derive(Debug)]
pub(crate) struct Segment {
    base_offset: Offset,
    log: FileSlot,
    size_bytes: AtomicU64,
    tails: RwLock<Tails>,
    leases: Leases,
    pub(crate) offsets: OffsetIndex,
    pub(crate) times: TimeIndex,
    pub(crate) txns: TxnIndex,
    /// The largest timestamp; `None` while nobody has looked.
    largest: Mutex<Option<TimestampOffset>>,
}

/// The maps of a segment.
#[derive(Debug, Default)]
struct Tails {
    /// Of the part that is appended to.
    current: Option<Arc<dyn TailReader>>,
    /// Those before, from which bytes may still be on their way to a reader.
    earlier: Vec<Weak<dyn TailReader>>,
}

impl Tails {
    /// Puts another map in the place of the current one, which is returned.
    fn replace(&mut self, next: Option<Arc<dyn TailReader>>) -> Option<Arc<dyn TailReader>> {
        self.earlier.retain(|tail| tail.strong_count() > 0);
        let replaced = std::mem::replace(&mut self.current, next);
        self.earlier.extend(replaced.as_ref().map(Arc::downgrade));
        replaced
    }

    fn are_read(&self) -> bool {
        self.earlier.iter().any(|tail| tail.strong_count() > 0)
    }
}

impl Segment {
    /// A segment that has files, of which the first `size_bytes` are batches.
    pub(crate) fn open(disk: &Arc<dyn Disk>, dir: &Path, base_offset: Offset, size_bytes: u64) -> io::Result<Self> {
        Self::open_tagged(disk, dir, base_offset, size_bytes, "")
    }

    /// As [`Segment::open`], under names that end in `tag`.
    pub(crate) fn open_tagged(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        base_offset: Offset,
        size_bytes: u64,
        tag: &str,
    ) -> io::Result<Self> {
        let path = |suffix| tagged_path(dir, base_offset, suffix, tag);
        Ok(Self {
            base_offset,
            log: FileSlot::new(disk.clone(), path("log")),
            size_bytes: AtomicU64::new(size_bytes),
            tails: RwLock::default(),
            leases: Leases::default(),
            offsets: OffsetIndex::open(disk.clone(), path("index"), base_offset)?,
            times: TimeIndex::open(disk.clone(), path("timeindex"), base_offset)?,
            txns: TxnIndex::open(disk.clone(), path("txnindex"))?,
            largest: Mutex::new(None),
        })
    }

    /// A new segment. Its `.log` is created here, the index files when there is something to put in them.
    pub(crate) fn create(disk: &Arc<dyn Disk>, dir: &Path, base_offset: Offset) -> io::Result<Self> {
        Self::create_tagged(disk, dir, base_offset, "")
    }

    /// As [`Segment::create`], under names that end in `tag`.
    pub(crate) fn create_tagged(disk: &Arc<dyn Disk>, dir: &Path, base_offset: Offset, tag: &str) -> io::Result<Self> {
        let path = |suffix| tagged_path(dir, base_offset, suffix, tag);
        let segment = Self {
            base_offset,
            log: FileSlot::new(disk.clone(), path("log")),
            size_bytes: AtomicU64::new(0),
            tails: RwLock::default(),
            leases: Leases::default(),
            offsets: OffsetIndex::create(disk.clone(), path("index"), base_offset),
            times: TimeIndex::create(disk.clone(), path("timeindex"), base_offset),
            txns: TxnIndex::create(disk.clone(), path("txnindex")),
            largest: Mutex::new(Some(TimestampOffset {
                timestamp: -1,
                offset: base_offset,
            })),
        };
        segment.log.open(OpenMode::Create)?;
        Ok(segment)
    }

    pub(crate) fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// Up to where the file holds batches.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes.load(Ordering::Acquire)
    }

    pub(crate) fn log_path(&self) -> &Path {
        self.log.path()
    }

    pub(crate) fn file(&self) -> io::Result<Arc<dyn DiskFile>> {
        self.log.open(OpenMode::Write)
    }

    /// When the file was last written.
    pub(crate) fn modified_ms(&self) -> io::Result<TimestampMs> {
        Ok(self.log.status()?.modified_ms)
    }

    /// The largest timestamp and the last offset of the first batch that has it; timestamp -1 without any.
    pub(crate) fn largest(&self) -> io::Result<TimestampOffset> {
        let mut largest = self.largest.lock();
        if let Some(known) = *largest {
            return Ok(known);
        }
        let none = TimestampOffset {
            timestamp: -1,
            offset: self.base_offset,
        };
        let read = self.times.last()?.unwrap_or(none);
        *largest = Some(read);
        Ok(read)
    }

    /// Notes that the batch up to `offset` has `timestamp` as its largest. Returns the segment's largest.
    fn raise_largest(&self, timestamp: TimestampMs, offset: Offset) -> io::Result<TimestampOffset> {
        let largest = self.largest()?;
        if timestamp <= largest.timestamp {
            return Ok(largest);
        }
        let largest = TimestampOffset { timestamp, offset };
        *self.largest.lock() = Some(largest);
        Ok(largest)
    }

    /// Size that the larger of offset and time index has with another entry.
    pub(crate) fn index_bytes(&self) -> u64 {
        let offsets = self.offsets.count() * offset::ENTRY_BYTES;
        let times = (self.times.count() + 1) * time::ENTRY_BYTES;
        offsets.max(times) as u64
    }

    /// Finds the largest timestamp anew: that of the last index entry, or of a batch behind it.
    pub(crate) fn look_for_largest(&self) -> Result<(), ScanError> {
        let start = self.indexed_times_end()?;
        self.look_for_largest_in(start..self.size_bytes())
    }

    /// Where a batch begins behind which the time index may have missed something if its last entries are lost.
    pub(crate) fn indexed_times_end(&self) -> io::Result<u64> {
        match self.times.last()? {
            Some(entry) if entry.timestamp >= 0 => self.position_before(entry.offset),
            _ => Ok(0),
        }
    }

    /// The largest timestamp is that of the last index entry, or of a batch in `range`, at both of whose ends one begins.
    pub(crate) fn look_for_largest_in(&self, range: Range<u64>) -> Result<(), ScanError> {
        let none = TimestampOffset {
            timestamp: -1,
            offset: self.base_offset,
        };
        let mut largest = self.times.last()?.unwrap_or(none);
        for found in Scan::new(self, range.start.min(range.end)..range.end) {
            let header = found?.header;
            if header.records_count > 0 && header.max_timestamp > largest.timestamp {
                largest = TimestampOffset {
                    timestamp: header.max_timestamp,
                    offset: header.last_offset(),
                };
            }
        }
        *self.largest.lock() = Some(largest);
        Ok(())
    }

    /// Makes [`Segment::largest`] look into the time index again, which was cut.
    pub(crate) fn forget_largest(&self) {
        *self.largest.lock() = None;
    }

    /// Whether the offset and time index have their files.
    pub(crate) fn has_index_files(&self) -> io::Result<bool> {
        Ok(self.offsets.has_file()? && self.times.has_file()?)
    }

    /// The largest timestamp of the first batch, if there is one.
    pub(crate) fn first_timestamp(&self) -> Result<Option<TimestampMs>, ScanError> {
        let end = HEADER_BYTES as u64;
        if self.size_bytes() < end {
            return Ok(None);
        }
        let header = BatchHeader::parse(&self.bytes(0..end)?).map_err(|error| ScanError::corrupt(self, 0, error))?;
        Ok(Some(header.max_timestamp))
    }

    /// The bytes of `range`, which is below [`Segment::size_bytes`].
    pub(crate) fn bytes(&self, range: Range<u64>) -> io::Result<Bytes> {
        let tail = self.tails.read().current.clone();
        if let Some(tail) = tail {
            let readable = tail.readable();
            if readable.start <= range.start && range.end <= readable.end {
                return tail.read(range);
            }
        }
        let len = usize::try_from(range.end - range.start).map_err(|_| io::ErrorKind::OutOfMemory)?;
        Ok(read_exact(&*self.file()?, range.start, len)?.into())
    }

    /// Fails if the disk has let the map of the segment's end down.
    pub(crate) fn check(&self) -> io::Result<()> {
        let tail = self.tails.read().current.clone();
        tail.map_or(Ok(()), |tail| tail.check())
    }

    /// The first batch that ends at or after `offset`.
    pub(crate) fn find(&self, offset: Offset) -> Result<Option<Found>, ScanError> {
        if offset <= self.base_offset {
            return self.find_from(0, offset);
        }
        self.find_from(self.position_before(offset)?, offset)
    }

    /// Where a batch begins that is not behind `offset`, as near as the index says; an entry that lies says nothing.
    fn position_before(&self, offset: Offset) -> io::Result<u64> {
        match self.offsets.floor(offset)? {
            Some(entry) if self.is_good(&entry)? => Ok(entry.position),
            _ => Ok(0),
        }
    }

    fn find_from(&self, position: u64, offset: Offset) -> Result<Option<Found>, ScanError> {
        for found in Scan::new(self, position..self.size_bytes()) {
            let found = found?;
            if found.header.last_offset() >= offset {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Whether an index entry agrees with the log. Kafka's say where a whole append begins, and how its last batch ends.
    pub(crate) fn is_good(&self, entry: &OffsetPosition) -> io::Result<bool> {
        let end = entry.position + HEADER_BYTES as u64;
        if end > self.size_bytes() {
            return Ok(false);
        }
        let header = BatchHeader::parse(&self.bytes(entry.position..end)?);
        Ok(header.is_ok_and(|header| header.base_offset >= self.base_offset && header.last_offset() <= entry.offset))
    }

    /// The offset after the last batch; the base offset if there is none.
    pub(crate) fn next_offset(&self) -> Result<Offset, ScanError> {
        let start = self.offsets.last()?.map_or(0, |entry| entry.position);
        let mut next_offset = self.base_offset;
        for found in Scan::new(self, start..self.size_bytes()) {
            next_offset = found?.header.next_offset();
        }
        Ok(next_offset)
    }

    /// As [`Segment::next_offset`], without a look at the index.
    pub(crate) fn scan_next_offset(&self) -> Result<Offset, ScanError> {
        let mut next_offset = self.base_offset;
        for found in Scan::new(self, 0..self.size_bytes()) {
            next_offset = found?.header.next_offset();
        }
        Ok(next_offset)
    }

    /// Writes what the indexes hold in memory, the largest timestamp as last entry of the time index as Kafka does.
    pub(crate) fn flush_indexes(&self) -> io::Result<()> {
        // Times first: a process that ends between the two leaves none that offsets of later batches would hide.
        self.times.push(self.largest()?)?;
        self.times.flush()?;
        self.offsets.flush()?;
        self.txns.flush()
    }

    /// Creates the files of the indexes, so that they need not be when the first entries are written.
    pub(crate) fn create_indexes(&self) -> io::Result<()> {
        self.offsets.flush()?;
        self.times.flush()
    }

    /// Makes log and indexes durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file()?.sync()?;
        self.sync_indexes()
    }

    /// Makes the indexes durable.
    pub(crate) fn sync_indexes(&self) -> io::Result<()> {
        self.offsets.sync()?;
        self.times.sync()?;
        self.txns.sync()
    }

    /// Gives the descriptors back.
    pub(crate) fn release(&self) {
        self.log.close();
        self.offsets.close();
        self.times.close();
        self.txns.close();
    }

    /// Keeps the files open whatever happens to their names, until [`Segment::retire`].
    pub(crate) fn pin(&self) -> io::Result<()> {
        self.log.pin()?;
        self.offsets.pin()?;
        self.times.pin()?;
        self.txns.pin()
    }

    /// Lets the files go: others have, or will have, their names. Who still looks into this segment is told that there
    /// is nothing, and has to look for another one.
    pub(crate) fn retire(&self) {
        self.log.retire();
        self.offsets.retire();
        self.times.retire();
        self.txns.retire();
    }
}
