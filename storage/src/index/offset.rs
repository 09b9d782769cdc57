//! `.index`: where in the segment an offset is found.
//!
//! | bytes | entry, big-endian |
//! |---|---|
//! | 0-3 | last offset of a batch, less the segment's base offset |
//! | 4-7 | position of that batch in the `.log` |

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ottla_protocol::ids::Offset;

use super::Entries;
use crate::disk::Disk;

/// Width of an entry in the file.
pub(crate) const ENTRY_BYTES: usize = 8;

/// An entry: the batch at `position` ends with `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetPosition {
    pub(crate) offset: Offset,
    pub(crate) position: u64,
}

#[derive(Debug)]
pub(crate) struct OffsetIndex {
    base_offset: Offset,
    entries: Entries<ENTRY_BYTES>,
}

impl OffsetIndex {
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

    /// Adds an entry; one that does not fit the format is left out, as the index is only a hint.
    pub(crate) fn push(&self, offset: Offset, position: u64) {
        if let (Ok(relative), Ok(position)) = (i32::try_from(offset - self.base_offset), i32::try_from(position)) {
            let mut entry = [0; ENTRY_BYTES];
            entry[..4].copy_from_slice(&relative.to_be_bytes());
            entry[4..].copy_from_slice(&position.to_be_bytes());
            self.entries.push(entry);
        }
    }

    /// The last entry whose batch ends at or before `offset`: a search forward from there finds it.
    pub(crate) fn floor(&self, offset: Offset) -> io::Result<Option<OffsetPosition>> {
        match self.entries.count_before(|entry| self.decode(entry).offset <= offset)? {
            0 => Ok(None),
            count => Ok(Some(self.decode(&self.entries.entry(count - 1)?))),
        }
    }

    /// The last entry of a batch that starts before `position` and ends before `offset`, and its number. It is looked for
    /// behind the entry `near` before the index is searched.
    pub(crate) fn floor_before(
        &self,
        position: u64,
        offset: Offset,
        near: usize,
    ) -> io::Result<Option<(usize, OffsetPosition)>> {
        let is_before = |entry: &[u8; ENTRY_BYTES]| {
            let entry = self.decode(entry);
            entry.position < position && entry.offset < offset
        };
        match self.entries.count_before_near(near, is_before)? {
            0 => Ok(None),
            count => Ok(Some((count - 1, self.decode(&self.entries.entry(count - 1)?)))),
        }
    }

    /// How often the file of the index was searched.
    pub(crate) fn searches(&self) -> u64 {
        self.entries.searches()
    }

    pub(crate) fn last(&self) -> io::Result<Option<OffsetPosition>> {
        Ok(self.entries.last()?.map(|entry| self.decode(&entry)))
    }

    pub(crate) fn drop_last(&self) -> io::Result<()> {
        self.entries.truncate(self.entries.count().saturating_sub(1))
    }

    /// Forgets what cannot be true, and what is behind it.
    pub(crate) fn keep_rising(&self) -> io::Result<()> {
        self.entries.keep_rising(true, |before, entry| {
            let (before, entry) = (self.decode(before), self.decode(entry));
            entry.offset > before.offset && entry.position > before.position
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

    fn decode(&self, entry: &[u8; ENTRY_BYTES]) -> OffsetPosition {
        let [a, b, c, d, e, f, g, h] = *entry;
        OffsetPosition {
            offset: self.base_offset + i64::from(i32::from_be_bytes([a, b, c, d])),
            position: u64::from(u32::from_be_bytes([e, f, g, h])),
        }
    }
}
