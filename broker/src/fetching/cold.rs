//! Reads that found something not in memory.

use crate::{partitions::Partition, runtime::cold_reads::ColdReads};
use ottla_protocol::ids::Offset;
use ottla_storage::{Log, ReadError, ReadSlice, Records};
use std::sync::Arc;

/// A read of one partition, to be done again when what it needs has been brought into memory.
pub(crate) struct ColdRead {
    pub(crate) partition: Arc<Partition>,
    pub(crate) from: Offset,
    pub(crate) upper_bound: Offset,
    pub(crate) max_bytes: usize,
    pub(crate) at_least_one: bool,
}

impl ColdRead {
    pub(crate) fn read(&self) -> Result<ReadSlice, ReadError> {
        let read = |log: &Log| log.read(self.from, self.upper_bound, self.max_bytes, self.at_least_one);
        self.partition.on_log_or_again(read)
    }

    /// Brings what the read needs into memory. Its errors are told by the read that follows.
    fn warm(&self) {
        if let Ok(ReadSlice {
            records: Records::File(region),
            ..
        }) = self.read()
        {
            let _ = region.bring_in(region.len());
        }
    }
}

/// Brings what these reads need into memory, one after another, in the turn of this fetch.
pub(crate) async fn warm(cold_reads: &ColdReads, reads: Vec<ColdRead>) {
    cold_reads.run(move || reads.iter().for_each(ColdRead::warm)).await;
}
