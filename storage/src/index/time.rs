//! `.timeindex`: the largest timestamp up to a place in the segment.
//!
//! | bytes | entry, big-endian |
//! |---|---|
//! | 0-7 | largest timestamp of the segment so far |
//! | 8-11 | last offset of the batch that has it, less the segment's base offset |
//!
//! Both columns rise strictly. The last entry of a sealed segment is the segment's largest timestamp.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ottla_protocol::ids::{Offset, TimestampMs};

use super::Entries;
use crate::disk::Disk;

/// Width of an entry in the file.
pub(crate) const ENTRY_BYTES: usize = 12;

/// A timestamp and the last offset of the first batch that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimestampOffset {
    pub(crate) timestamp: TimestampMs,
    pub(crate) offset: Offset,
}

#[derive(Debug)]
pub(crate) struct TimeIndex {
    base_offset: Offset,
    entries: Entries<ENTRY_BYTES>,
}

impl TimeIndex {
    pub(crate) fn open(disk: Arc<dyn Disk>, path: PathBuf, base_offset: Offset) -> io::Result<Self> {
        Ok(Self {
            base_offset,
            entries: Entries::open(disk, path)?,
        })
    }

    pub(crate) fn create(disk: Arc<dyn Disk>, path: PathBuf, base_offset: Offset) -> Self {
        Self {
            base_offset,
            entries: Entries::create(disk, path),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.entries.count()
    }

    /// Adds an entry, unless it is no later than the last one or does not fit the format.
    pub(crate) fn push(&self, largest: TimestampOffset) -> io::Result<()> {
        let last = self.last()?;
        let is_later = last.is_none_or(|last| largest.timestamp > last.timestamp && largest.offset > last.offset);
        if let Ok(relative) = i32::try_from(largest.offset - self.base_offset)
            && largest.timestamp >= 0
            && is_later
        {
            let mut entry = [0; ENTRY_BYTES];
            entry[..8].copy_from_slice(&largest.timestamp.to_be_bytes());
            entry[8..].copy_from_slice(&relative.to_be_bytes());
            self.entries.push(entry);
        }
        Ok(())
    }

    /// The last entry whose timestamp is below `timestamp`: up to its offset nothing is as late as that.
    pub(crate) fn before(&self, timestamp: TimestampMs) -> io::Result<Option<TimestampOffset>> {
        match self
            .entries
            .count_before(|entry| self.decode(entry).timestamp < timestamp)?
        {
            0 => Ok(None),
            count => Ok(Some(self.decode(&self.entries.entry(count - 1)?))),
        }
    }

    pub(crate) fn last(&self) -> io::Result<Option<TimestampOffset>> {
        Ok(self.entries.last()?.map(|entry| self.decode(&entry)))
    }

    /// Forgets what cannot be true, and what is behind it.
    pub(crate) fn keep_rising(&self) -> io::Result<()> {
        self.entries.keep_rising(true, |before, entry| {
            let (before, entry) = (self.decode(before), self.decode(entry));
            entry.offset > before.offset && entry.timestamp > before.timestamp
        })
    }

    /// Forgets preallocated room.
    pub(crate) fn trim_zeros(&self) -> io::Result<()> {
        self.entries.trim_zeros()
    }

    /// Forgets the batches that end at or after `offset`.
    pub(crate) fn truncate_to(&self, offset: Offset) -> io::Result<()> {
        let count = self.entries.count_before(|entry| self.decode(entry).offset < offset)?;
        self.entries.truncate(count)
    }

    pub(crate) fn has_file(&self) -> io::Result<bool> {
        self.entries.has_file()
    }

    pub(crate) fn flush(&self) -> io::Result<()> {
        self.entries.flush()
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.entries.sync()
    }

    pub(crate) fn close(&self) {
        self.entries.close();
    }

    /// As [`crate::disk::FileSlot::pin`].
    pub(crate) fn pin(&self) -> io::Result<()> {
        self.entries.pin()
    }

    /// As [`crate::disk::FileSlot::retire`].
    pub(crate) fn retire(&self) {
        self.entries.retire();
    }

    fn decode(&self, entry: &[u8; ENTRY_BYTES]) -> TimestampOffset {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *entry;
        TimestampOffset {
            timestamp: i64::from_be_bytes([a, b, c, d, e, f, g, h]),
            offset: self.base_offset + i64::from(i32::from_be_bytes([i, j, k, l])),
        }
    }
}
