//! The three indexes beside a segment, and what they share: a file of entries of one width, sorted.
//!
//! New entries wait in memory and go to the file some hundreds at a time: one system call for each would cost more
//! than the append itself. An index is only ever a hint. What a crash leaves of it is checked against the log at
//! recovery, and rebuilt from it.

mod entries;
pub(crate) mod offset;
pub(crate) mod time;
pub(crate) mod txn;

use entries::Entries;
