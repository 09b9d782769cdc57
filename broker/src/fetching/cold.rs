//! Reads that found something not in memory.

use crate::{partitions::Partition, runtime::cold_reads::ColdReads};
use ottla_protocol::ids::Offset;
use ottla_storage::{AbortedTransaction, Log, ReadError, ReadSlice, Records};
use std::sync::Arc;

/// A read of one partition, to be done again when what it needs has been brought into memory.
pub(crate) struct ColdRead {
    pub(crate) partition: Arc<Partition>,
    pub(crate) from: Offset,
    pub(crate) upper_bound: Offset,
    pub(crate) max_bytes: usize,
    pub(crate) at_least_one: bool,
    /// Whether the aborted transactions are asked for as well.
    pub(crate) is_read_committed: bool,
}

impl ColdRead {
    /// The records, and for a read_committed consumer the transactions whose records among them it must skip.
    pub(crate) fn look(&self) -> Result<(ReadSlice, Option<Vec<AbortedTransaction>>), ReadError> {
        let slice = self.read()?;
        let aborted = |log: &Log| log.aborted_transactions(self.from, slice.next_offset);
        let aborted = match self.is_read_committed {
            true => Some(
                self.partition
                    .on_log(aborted)
                    .map_err(|error| ReadError::Storage(error.into()))?,
            ),
            false => None,
        };
        Ok((slice, aborted))
    }

    fn read(&self) -> Result<ReadSlice, ReadError> {
        let read = |log: &Log| log.read(self.from, self.upper_bound, self.max_bytes, self.at_least_one);
        self.partition.on_log_or_again(read)
    }

    /// Brings what the read needs into memory. Its errors are told by the read that follows.
    fn warm(&self) {
        if let Ok((slice, _)) = self.look()
            && let Records::File(region) = slice.records
        {
            let _ = region.bring_in(region.len());
        }
    }
}

/// Brings what these reads need into memory, one after another, in the turn of this fetch.
pub(crate) async fn warm(cold_reads: &ColdReads, reads: Vec<ColdRead>) {
    cold_reads.run(move || reads.iter().for_each(ColdRead::warm)).await;
}
