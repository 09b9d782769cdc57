//! The entries of the files beside a `.log`.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use ottla_protocol::ids::{Offset, TimestampMs};

use crate::checkpoint::CheckpointError;
use crate::disk::RealDisk;
use crate::index::txn::AbortedTransaction;
use crate::index::{offset, time, txn};
use crate::leader_epoch::{self, EpochEntry};
use crate::producer_state::{ProducerDescription, snapshot};

/// Which index a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexKind {
    /// `.index`.
    Offset,
    /// `.timeindex`.
    Time,
    /// `.txnindex`.
    Transaction,
}

impl IndexKind {
    /// Ends the names of its files, behind a dot.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Offset => "index",
            Self::Time => "timeindex",
            Self::Transaction => "txnindex",
        }
    }

    /// Bytes of an entry.
    pub const fn entry_bytes(self) -> usize {
        match self {
            Self::Offset => offset::ENTRY_BYTES,
            Self::Time => time::ENTRY_BYTES,
            Self::Transaction => txn::ENTRY_BYTES,
        }
    }

    /// The entry in `bytes`, which are as long as one.
    fn decode(self, bytes: &[u8], base_offset: Offset) -> IndexEntry {
        let i32_at = |at: usize| i32::from_be_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let i64_at = |at: usize| i64::from_be_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let offset_at = |at: usize| base_offset.saturating_add(i32_at(at).into());
        match self {
            Self::Offset => IndexEntry::Offset {
                offset: offset_at(0),
                position: u64::from(i32_at(4) as u32),
            },
            Self::Time => IndexEntry::Time {
                timestamp_ms: i64_at(0),
                offset: offset_at(8),
            },
            Self::Transaction => IndexEntry::Transaction(txn::decode(&std::array::from_fn(|at| bytes[at]))),
        }
    }
}

/// An entry of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexEntry {
    /// The batch at `position` ends with `offset`.
    Offset {
        /// Last offset of the batch.
        offset: Offset,
        /// Where it begins.
        position: u64,
    },
    /// No timestamp up to `offset` is larger.
    Time {
        /// The largest so far.
        timestamp_ms: TimestampMs,
        /// An offset of the batch that has it.
        offset: Offset,
    },
    /// A transaction that was aborted.
    Transaction(AbortedTransaction),
}

/// The entries of an index, each with its position in the file. Room that was made before it was needed, zeros to the
/// end of the file, has no entries; a torn last entry is an error.
///
/// # Errors
/// The disk's.
pub fn index_entries(
    path: &Path,
    kind: IndexKind,
    base_offset: Offset,
) -> io::Result<impl Iterator<Item = io::Result<(u64, IndexEntry)>>> {
    let file = File::open(path)?;
    let width = kind.entry_bytes();
    let size_bytes = file.metadata()?.len();
    let mut left = used_bytes(&file, size_bytes)?
        .next_multiple_of(width as u64)
        .min(size_bytes);
    let mut reader = BufReader::new(file);
    let mut position = 0;
    let mut bytes = [0; txn::ENTRY_BYTES];
    Ok(std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        left = left.saturating_sub(width as u64);
        let entry = reader.read_exact(&mut bytes[..width]).map(|()| {
            position += width as u64;
            (position - width as u64, kind.decode(&bytes, base_offset))
        });
        if entry.is_err() {
            left = 0;
        }
        Some(entry)
    }))
}

/// The length without the zeros at the end.
fn used_bytes(file: &File, size_bytes: u64) -> io::Result<u64> {
    let mut piece = vec![0; 64 * 1024];
    let mut end = size_bytes;
    while end > 0 {
        let start = end.saturating_sub(piece.len() as u64);
        let bytes = &mut piece[..(end - start) as usize];
        file.read_exact_at(bytes, start)?;
        if let Some(at) = bytes.iter().rposition(|byte| *byte != 0) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// The producers in a `.snapshot`; `None` if it is harmed.
///
/// # Errors
/// The disk's.
pub fn producers(path: &Path) -> io::Result<Option<Vec<ProducerDescription>>> {
    Ok(snapshot::decode(&std::fs::read(path)?).map(|state| state.describe()))
}

/// The entries of the `leader-epoch-checkpoint` in `dir`, as they stand there; none where there is no file.
///
/// # Errors
/// The disk's, or a file that is no checkpoint.
pub fn epochs(dir: &Path) -> Result<Vec<EpochEntry>, CheckpointError> {
    leader_epoch::read_lines(&RealDisk::default(), dir)
}
