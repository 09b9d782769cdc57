//! `.txnindex`: the aborted transactions that end in a segment. There is no file while there are none.
//!
//! | bytes | entry, big-endian |
//! |---|---|
//! | 0-1 | version, 0 |
//! | 2-9 | producer id |
//! | 10-17 | first offset of the transaction |
//! | 18-25 | offset of its abort marker; rises from entry to entry |
//! | 26-33 | last stable offset once the marker is written |

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ottla_protocol::ids::{Offset, ProducerId};

use super::Entries;
use crate::disk::Disk;

/// Width of an entry in the file.
pub(crate) const ENTRY_BYTES: usize = 34;
const VERSION: i16 = 0;

/// A transaction whose records a read_committed consumer must skip (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose transaction it was.
    pub producer_id: ProducerId,
    /// Offset of its first record.
    pub first_offset: Offset,
    /// Offset of its abort marker.
    pub last_offset: Offset,
    /// Where the oldest transaction that was still open began when the marker was written; without one, the offset
    /// after the marker.
    pub last_stable_offset: Offset,
}

#[derive(Debug)]
pub(crate) struct TxnIndex {
    entries: Entries<ENTRY_BYTES>,
    /// Whether there are entries that are not known to be on the disk.
    is_dirty: AtomicBool,
}

impl TxnIndex {
    pub(crate) fn open(disk: Arc<dyn Disk>, path: PathBuf) -> io::Result<Self> {
        let entries = Entries::open(disk, path)?;
        Ok(Self {
            // A process that was killed may have written them without a sync.
            is_dirty: AtomicBool::new(entries.count() > 0),
            entries,
        })
    }

    pub(crate) fn create(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self {
            entries: Entries::create(disk, path),
            is_dirty: AtomicBool::new(false),
        }
    }

    pub(crate) fn push(&self, aborted: &AbortedTransaction) {
        self.entries.push(encode(aborted));
        self.is_dirty.store(true, Ordering::Release);
    }

    /// As [`TxnIndex::push`] for a transaction that may be there.
    pub(crate) fn push_if_missing(&self, aborted: &AbortedTransaction) -> io::Result<()> {
        if self.last_offset()?.is_none_or(|last| last < aborted.last_offset) {
            self.push(aborted);
        }
        Ok(())
    }

    /// The offset of the last marker.
    pub(crate) fn last_offset(&self) -> io::Result<Option<Offset>> {
        Ok(self.entries.last()?.map(|entry| decode(&entry).last_offset))
    }

    /// Adds to `found` what overlaps `from..upper_bound`. True when no later segment can have more.
    pub(crate) fn collect(
        &self,
        from: Offset,
        upper_bound: Offset,
        found: &mut Vec<AbortedTransaction>,
    ) -> io::Result<bool> {
        let first = self.entries.count_before(|entry| decode(entry).last_offset < from)?;
        for at in first..self.entries.count() {
            let aborted = decode(&self.entries.entry(at)?);
            if aborted.first_offset < upper_bound {
                found.push(aborted);
            }
            if aborted.last_stable_offset >= upper_bound {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Forgets the transactions that end at or after `offset`.
    pub(crate) fn truncate_to(&self, offset: Offset) -> io::Result<()> {
        let count = self.entries.count_before(|entry| decode(entry).last_offset < offset)?;
        self.entries.truncate(count)
    }

    pub(crate) fn flush(&self) -> io::Result<()> {
        match self.entries.count() {
            0 => Ok(()),
            _ => self.entries.flush(),
        }
    }

    /// Forgets what cannot be true, and what is behind it.
    pub(crate) fn keep_rising(&self) -> io::Result<()> {
        self.entries.keep_rising(false, |before, entry| {
            decode(entry).last_offset > decode(before).last_offset
        })
    }

    /// Forgets preallocated room, and what a power loss left of the last entries.
    pub(crate) fn trim_zeros(&self) -> io::Result<()> {
        self.entries.trim_zeros()
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.entries.sync()
    }

    /// Makes new entries durable. Below the recovery point nobody would miss them: the data itself does not say that it
    /// is aborted, and recovery does not look for the markers there. Returns whether there were any: the file may be new
    /// then.
    pub(crate) fn sync_new(&self) -> io::Result<bool> {
        if !self.is_dirty.swap(false, Ordering::AcqRel) {
            return Ok(false);
        }
        self.flush()
            .and_then(|()| self.sync())
            .map(|()| true)
            .inspect_err(|_| self.is_dirty.store(true, Ordering::Release))
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
}

fn encode(aborted: &AbortedTransaction) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    entry[..2].copy_from_slice(&VERSION.to_be_bytes());
    entry[2..10].copy_from_slice(&aborted.producer_id.0.to_be_bytes());
    entry[10..18].copy_from_slice(&aborted.first_offset.to_be_bytes());
    entry[18..26].copy_from_slice(&aborted.last_offset.to_be_bytes());
    entry[26..].copy_from_slice(&aborted.last_stable_offset.to_be_bytes());
    entry
}

pub(crate) fn decode(entry: &[u8; ENTRY_BYTES]) -> AbortedTransaction {
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&entry[at..at + 8]);
        i64::from_be_bytes(bytes)
    };
    AbortedTransaction {
        producer_id: ProducerId(number(2)),
        first_offset: number(10),
        last_offset: number(18),
        last_stable_offset: number(26),
    }
}
