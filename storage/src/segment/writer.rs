//! The one who appends to the active segment.
//!
//! The file is preallocated step by step, each twice the one before, and the last step is mapped. Idle, the writer
//! holds neither a map nor preallocated blocks; the next append gets them again.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use ottla_protocol::ids::{Offset, TimestampMs};
use ottla_protocol::records::BatchHeader;
use ottla_protocol::records::builder::NO_TIMESTAMP;

use super::Segment;
use crate::disk::{DiskFile, OpenMode, PAGE_BYTES, TailReader, TailWriter, remove_if_exists};
use crate::fault::Fault;

/// A log with a few records costs this much disk while it is in use.
const FIRST_STEP_BYTES: u64 = 64 * 1024;
/// No step is larger: what is mapped but not written yet should stay small beside what is. Nor much smaller: the kernel
/// begins each map with small pages, and steps of 16 MiB cost three times the page faults.
const LAST_STEP_BYTES: u64 = 64 * 1024 * 1024;

/// A log that is synced more often than this is written by calls, not through its map.
const OFTEN_SYNCED_BYTES: u64 = 1024 * 1024;

/// A map that is full. Dropping it takes the kernel longer than an append.
#[derive(Debug)]
pub(crate) struct Retired {
    _map: (Box<dyn TailWriter>, Arc<dyn TailReader>),
}

#[derive(Debug)]
pub(crate) struct Writer {
    segment: Arc<Segment>,
    tail: Option<Box<dyn TailWriter>>,
    retired: Option<Retired>,
    bytes_since_index: u64,
    /// Largest timestamp of the segment's first batch, from which its age counts.
    first_timestamp: Option<TimestampMs>,
    created_ms: TimestampMs,
    /// What the segment knows as well, without its locks; `None` while nobody has asked it.
    largest_timestamp: Option<TimestampMs>,
    index_bytes: u64,
    /// Up to where the segment was written when it was last synced.
    synced_bytes: u64,
    is_often_synced: bool,
}

impl Writer {
    /// Appends to a segment; `first_timestamp` is that of its first batch, if it has one.
    pub(crate) fn new(segment: Arc<Segment>, first_timestamp: Option<TimestampMs>, now_ms: TimestampMs) -> Self {
        Self {
            index_bytes: segment.index_bytes(),
            segment,
            tail: None,
            retired: None,
            bytes_since_index: 0,
            first_timestamp,
            created_ms: now_ms,
            largest_timestamp: None,
            synced_bytes: 0,
            is_often_synced: false,
        }
    }

    /// Takes over from the segment before how often this log is synced.
    pub(crate) fn following(mut self, before: &Self) -> Self {
        self.is_often_synced = before.is_often_synced;
        self
    }

    /// Notes that the segment is about to be synced as far as it is written now.
    pub(crate) fn note_sync(&mut self) {
        let size_bytes = self.segment.size_bytes();
        self.is_often_synced = size_bytes.saturating_sub(self.synced_bytes) < OFTEN_SYNCED_BYTES;
        self.synced_bytes = size_bytes;
    }

    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// How old the segment would be with a batch of this timestamp: in terms of its records, as Kafka counts.
    pub(crate) fn age_ms(&self, timestamp: TimestampMs, now_ms: TimestampMs) -> i64 {
        match self.first_timestamp {
            Some(first) if first >= 0 => timestamp.saturating_sub(first),
            _ => now_ms.saturating_sub(self.created_ms),
        }
    }

    /// Whether a map is held.
    pub(crate) fn is_mapped(&self) -> bool {
        self.tail.is_some()
    }

    /// Copies `parts`, together `len` bytes, to the end of the segment. Readers do not see them before
    /// [`Writer::publish`].
    ///
    /// # Errors
    /// Nothing of the parts is in the segment.
    pub(crate) fn append(&mut self, parts: &[IoSlice<'_>], len: u64, segment_bytes: u64) -> io::Result<()> {
        let has_room = self
            .tail
            .as_ref()
            .is_some_and(|tail| tail.written() + len <= tail.end());
        if !has_room {
            self.grow(len, segment_bytes)?;
        }
        let tail = self.tail.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let segment = &self.segment;
        tail.append(parts, self.is_often_synced, &|| segment.file())
    }

    /// Fails if the disk has let the map down: what was appended since the last sync may be gone.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.tail.as_ref().map_or(Ok(()), |tail| tail.check())
    }

    /// Indexes the batch that was appended at `position`, which gave it its offsets.
    pub(crate) fn index(&mut self, header: &BatchHeader, last_offset: Offset, position: u64, interval_bytes: u64) {
        // Compaction has taken the records of some batches, and with them what has this timestamp.
        let timestamp = match header.records_count {
            0 => NO_TIMESTAMP,
            _ => header.max_timestamp,
        };
        self.first_timestamp.get_or_insert(header.max_timestamp);
        let is_later = self.largest_timestamp.is_none_or(|largest| timestamp > largest);
        let is_due = self.bytes_since_index > interval_bytes;
        if is_later || is_due {
            let position = is_due.then_some(position);
            if let Err(error) = self.add_entries(timestamp, last_offset, position) {
                // An index may have gaps, so the append is good without the entry.
                tracing::warn!(path = %self.segment.log_path().display(), %error, "a batch is not indexed");
            }
        }
        self.bytes_since_index += header.size_bytes() as u64;
    }

    fn add_entries(&mut self, timestamp: TimestampMs, last_offset: Offset, position: Option<u64>) -> io::Result<()> {
        let segment = &self.segment;
        let largest = segment.raise_largest(timestamp, last_offset)?;
        self.largest_timestamp = Some(largest.timestamp);
        if let Some(position) = position {
            self.bytes_since_index = 0;
            segment.offsets.push(last_offset, position);
            segment.times.push(largest)?;
            self.index_bytes = segment.index_bytes();
        }
        Ok(())
    }

    /// Size of the larger index, with room for the entry that sealing adds.
    pub(crate) fn index_bytes(&self) -> u64 {
        self.index_bytes
    }

    /// Shows what was appended to the readers.
    pub(crate) fn publish(&self, size_bytes: u64) {
        self.segment.size_bytes.store(size_bytes, Ordering::Release);
    }

    /// The map that was replaced since the last call, to be dropped without the append lock.
    pub(crate) fn take_retired(&mut self) -> Option<Retired> {
        self.retired.take()
    }

    /// Preallocates and maps room for `len` bytes.
    fn grow(&mut self, len: u64, segment_bytes: u64) -> io::Result<()> {
        let written = self.segment.size_bytes();
        let needed = (written + len).next_multiple_of(PAGE_BYTES);
        let step = written.clamp(FIRST_STEP_BYTES, LAST_STEP_BYTES);
        let wanted = (written + step)
            .min(segment_bytes)
            .next_multiple_of(PAGE_BYTES)
            .max(needed);
        let file = self.segment.file()?;
        // A disk that is nearly full may still have what this append needs.
        let end = match file.allocate(wanted) {
            Ok(()) => wanted,
            Err(error) if Fault::of(&error) == Fault::Full => file.allocate(needed).map(|()| needed)?,
            Err(error) => return Err(error),
        };
        let start = written - written % PAGE_BYTES;
        let (writer, reader) = file.tail(start..end, written)?;
        let reader = self.segment.tails.write().replace(Some(reader));
        let writer = self.tail.replace(writer);
        self.retired = writer.zip(reader).map(|map| Retired { _map: map });
        Ok(())
    }

    /// Lets the map go, gives back the blocks that were preallocated, and writes the indexes.
    pub(crate) fn release(&mut self) -> io::Result<()> {
        self.unmap();
        trim(&self.segment)?;
        self.segment.flush_indexes()
    }

    fn unmap(&mut self) {
        (self.tail, self.retired) = (None, None);
        let replaced = self.segment.tails.write().replace(None);
        drop(replaced);
    }

    /// Cuts the segment at `position`, the border of the batches that end before `offset`.
    ///
    /// Bytes behind the cut may be on their way to a reader. Then the file is replaced by a copy of what stays, and
    /// theirs lives until they are done.
    pub(crate) fn truncate(&mut self, offset: Offset, position: u64) -> io::Result<()> {
        self.unmap();
        self.segment.size_bytes.store(position, Ordering::Release);
        // Who takes a lease from here on sees the new size, who has taken one is seen here.
        fence(Ordering::SeqCst);
        let is_read = self.segment.is_read();
        match is_read {
            true => self.copy_up_to(position)?,
            false => {
                let file = self.segment.file()?;
                file.set_len(position)?;
                // What is cut off must not come back behind what is appended now.
                file.sync()?;
            }
        }
        self.segment.offsets.truncate_to(offset)?;
        self.segment.times.truncate_to(offset)?;
        self.segment.txns.truncate_to(offset)?;
        self.segment.sync_indexes()?;
        self.bytes_since_index = 0;
        self.largest_timestamp = None;
        self.index_bytes = self.segment.index_bytes();
        if position == 0 {
            self.first_timestamp = None;
        }
        Ok(())
    }

    fn copy_up_to(&self, position: u64) -> io::Result<()> {
        const PIECE_BYTES: u64 = 1024 * 1024;
        let segment = &self.segment;
        let path = segment.log.path();
        // Compaction may be writing a segment of this base offset: another name, which recovery removes as well.
        let copy_path = path.with_extension("log.cut.cleaned");
        let disk = segment.log.disk();
        remove_if_exists(disk, &copy_path)?;
        let copy: Arc<dyn DiskFile> = disk.open(&copy_path, OpenMode::Create)?;
        let mut at = 0;
        while at < position {
            let piece = segment.bytes(at..position.min(at + PIECE_BYTES))?;
            copy.write_at(&[IoSlice::new(&piece)], at)?;
            at += piece.len() as u64;
        }
        copy.sync()?;
        segment.log.close();
        disk.rename(&copy_path, path)
    }
}

/// Gives back the blocks behind the last batch.
pub(crate) fn trim(segment: &Segment) -> io::Result<()> {
    let file = segment.file()?;
    match file.len_bytes()? > segment.size_bytes() {
        true => file.set_len(segment.size_bytes()),
        false => Ok(()),
    }
}
