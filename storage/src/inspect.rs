//! Looking at the files of a directory that no broker uses: the offline tool's part of the storage.
//!
//! Everything here but [`Loss::accept`] only reads, and with plain file calls: no log is opened, so nothing is
//! repaired on the way. Memory is bounded by the largest batch. What the next start would put right by itself is told
//! as [`Severity::Repaired`], so that damage stands out.

mod batch_file;
mod dir;
mod entries;
mod loss;
mod verify;

pub use batch_file::{BatchAt, BatchFile, BatchFileError};
pub use dir::{OfflineDir, OfflineDirError, Promise};
pub use entries::{IndexEntry, IndexKind, epochs, index_entries, producers};
pub use loss::{Loss, LossError, find_loss};
pub use verify::{Finding, Severity, Totals, Wrong, verify_partition};
