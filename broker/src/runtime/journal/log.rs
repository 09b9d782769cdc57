//! How coordinators read their log and write to it.

use crate::{clock::now_ms, partitions::Partition};
use bytes::Bytes;
use ottla_coordinator::{ApplyError, CoordinatorRecord, Groups, GroupsConfig, Transactions, TransactionsConfig};
use ottla_protocol::{
    ids::{Offset, ProducerEpoch, ProducerId},
    records::{
        BatchBuilder, BatchError, BatchHeader, EndTransactionMarker, NewRecord, Record,
        batch::{self, NO_SEQUENCE},
        compression::{self, DecompressError, UnknownCodec},
        record::{self, MalformedRecord},
    },
};
use ottla_storage::{AppendError, Fault, ReadError, StorageError, TransactionCheck};
use std::{io, sync::Arc};

/// Bytes read at once while loading.
const READ_BYTES: usize = 1 << 20;
/// The most bytes that the records of one batch may inflate to.
const INFLATED_BYTES: usize = 256 << 20;
/// Bytes of records after which another batch is begun.
const BATCH_BYTES: usize = 1 << 20;
/// What a record without headers takes besides its key and its value: length, attributes, timestamp and offset as deltas, the
/// lengths of both, and the number of headers.
const RECORD_OVERHEAD_BYTES: usize = 5 + 1 + 10 + 5 + 5 + 5 + 1;

/// Whose transaction the records are part of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Producer {
    pub(crate) id: ProducerId,
    pub(crate) epoch: ProducerEpoch,
    /// What is known of the transaction.
    pub(crate) check: TransactionCheck,
}

/// Why a coordinator cannot load.
#[derive(Debug, thiserror::Error)]
pub(in crate::runtime) enum ReplayError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Codec(#[from] UnknownCodec),
    #[error(transparent)]
    Decompress(#[from] DecompressError),
    #[error(transparent)]
    Record(#[from] MalformedRecord),
}

impl StorageError for ReplayError {
    fn fault(&self) -> Option<Fault> {
        match self {
            Self::Read(error) => error.fault(),
            Self::Io(error) => error.fault(),
            _ => Some(Fault::Log),
        }
    }
}

/// The groups as the log has them, and the log's end. Waits for the disk.
///
/// A record that cannot be understood is logged and skipped. Offsets of transactions that are open at the log's end are
/// pending.
pub(in crate::runtime) fn replay_groups(
    partition: &Partition,
    config: GroupsConfig,
) -> Result<(Groups, Offset), ReplayError> {
    let mut groups = Groups::new(config);
    let end_offset = read(partition, |batch| batch.replay(&mut groups))?;
    Ok((groups, end_offset))
}

/// The transactions as the log has them, and the log's end. Waits for the disk.
///
/// A record that cannot be understood is logged and skipped.
pub(in crate::runtime) fn replay_transactions(
    partition: &Partition,
    config: TransactionsConfig,
) -> Result<(Transactions, Offset), ReplayError> {
    let mut transactions = Transactions::new(config);
    let end_offset = read(partition, |batch| {
        batch.each_record(|offset, record| batch.note(offset, transactions.apply(&record)))
    })?;
    Ok((transactions, end_offset))
}

/// Shows every batch of the log; returns where it ends.
fn read(
    partition: &Partition,
    mut take: impl FnMut(Batch<'_>) -> Result<(), ReplayError>,
) -> Result<Offset, ReplayError> {
    let end_offset = partition.log().log_end_offset();
    let mut next = partition.log().log_start_offset();
    while next < end_offset {
        let slice = partition.on_log(|log| log.read(next, end_offset, READ_BYTES, true))?;
        if slice.next_offset <= next {
            break;
        }
        next = slice.next_offset;
        let bytes = slice.records.into_bytes()?;
        for found in batch::batches(&bytes) {
            let (header, batch) = found?;
            take(Batch {
                partition,
                header,
                bytes: bytes.slice_ref(batch),
            })?;
        }
    }
    Ok(end_offset)
}

/// A batch that is being read.
struct Batch<'a> {
    partition: &'a Partition,
    header: BatchHeader,
    bytes: Bytes,
}

impl Batch<'_> {
    fn replay(&self, groups: &mut Groups) -> Result<(), ReplayError> {
        let producer = self.header.producer_id;
        if self.header.attributes.is_control() {
            return self.each(|_, record| {
                // Other control records are none of a coordinator's.
                if let Ok(Some(marker)) = EndTransactionMarker::parse(record.key, record.value) {
                    groups.end_transaction(producer, marker.is_commit);
                }
            });
        }
        let is_transactional = self.header.attributes.is_transactional();
        self.each_record(|offset, record| {
            let applied = match is_transactional {
                true => groups.apply_in_transaction(&record, producer),
                false => groups.apply(&record),
            };
            self.note(offset, applied);
        })
    }

    /// Shows every record that has a key; control batches have none for a coordinator of transactions.
    fn each_record(&self, mut take: impl FnMut(Offset, CoordinatorRecord)) -> Result<(), ReplayError> {
        if self.header.attributes.is_control() {
            return Ok(());
        }
        self.each(|section, record| {
            let Some(key) = record.key else { return };
            let read = CoordinatorRecord {
                key: section.slice_ref(key),
                value: record.value.map(|value| section.slice_ref(value)),
            };
            take(self.header.base_offset + i64::from(record.offset_delta), read);
        })
    }

    /// Shows every record, and the inflated section that it is a view of.
    fn each(&self, mut take: impl FnMut(&Bytes, Record<'_>)) -> Result<(), ReplayError> {
        let compressed = self.bytes.slice(batch::HEADER_BYTES..);
        let compression = self.header.attributes.compression()?;
        let section = compression::decompress(compression, &compressed, INFLATED_BYTES)?;
        for record in record::records(&section, self.header.records_count) {
            take(&section, record?);
        }
        Ok(())
    }

    fn note(&self, offset: Offset, taken: Result<(), ApplyError>) {
        if let Err(error) = taken {
            let topic = &self.partition.topic;
            tracing::error!(%topic, partition = self.partition.index, offset, %error, "a record is skipped");
        }
    }
}

/// Appends the records in one piece, as those of a producer's transaction where there is one. Returns the offset after
/// the last.
pub(in crate::runtime) fn append(
    partition: &Arc<Partition>,
    records: &[CoordinatorRecord],
    transaction: Option<Producer>,
) -> Result<Offset, AppendError> {
    let timestamp = now_ms();
    let begun = || match transaction {
        Some(producer) => BatchBuilder::new()
            .producer(producer.id, producer.epoch, NO_SEQUENCE)
            .transactional(),
        None => BatchBuilder::new(),
    };
    let mut batches = Vec::new();
    let mut builder = begun().room_for(room_for(records));
    for record in records {
        if builder.section_bytes() >= BATCH_BYTES {
            std::mem::replace(&mut builder, begun()).build_behind(&mut batches);
        }
        builder.append(&NewRecord {
            timestamp,
            key: Some(&record.key),
            value: record.value.as_deref(),
            headers: &[],
        });
    }
    builder.build_behind(&mut batches);
    // What groups decide is theirs to write; only what a producer commits is asked about.
    let check = transaction.map_or(TransactionCheck::Skipped, |producer| producer.check);
    let appended = partition.append_internal(&batches, timestamp, check)?;
    Ok(appended.last_offset + 1)
}

/// What the records take in a batch at most, or the bytes of a batch if that is less.
fn room_for(records: &[CoordinatorRecord]) -> usize {
    let bytes = records
        .iter()
        .map(|record| RECORD_OVERHEAD_BYTES + record.len_bytes())
        .sum::<usize>();
    bytes.min(BATCH_BYTES)
}
