//! What stays of a batch: a pure decision.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use ottla_protocol::ids::{Offset, ProducerId, TimestampMs};
use ottla_protocol::records::batch::HEADER_BYTES;
use ottla_protocol::records::builder::NO_TIMESTAMP;
use ottla_protocol::records::compression::decompress;
use ottla_protocol::records::record::{Record, records};
use ottla_protocol::records::{BatchBuilder, BatchHeader, Codec};

use super::offset_map::OffsetMap;
use super::transactions::Transactions;
use super::{CompactionError, UnreadableBatch};
use crate::producer_state::LastRecord;

/// A batch that inflates to more than this is not looked into: no producer can have meant it.
const INFLATED_BYTES_MAX: usize = 1 << 30;

/// What stays of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// All of it, as it is.
    Whole,
    /// This.
    Part(Bytes),
    /// Nothing.
    Nothing,
}

/// Decides over the batches of a log, which it has to be shown one after another from the log's beginning.
pub(crate) struct Filter {
    /// The keys of the records from the first dirty one on, up to `end_offset`.
    pub(crate) map: OffsetMap,
    /// What is here or later stays as it is: it may have keys that the map does not know.
    pub(crate) end_offset: Offset,
    pub(crate) transactions: Transactions,
    /// By producer: what shows its last sequence, or its epoch, to whoever reads the log.
    pub(crate) last_records: HashMap<ProducerId, LastRecord>,
    pub(crate) now_ms: TimestampMs,
    pub(crate) delete_retention_ms: i64,
}

impl Filter {
    /// What stays of `batch`, which has this header.
    ///
    /// # Errors
    /// The records cannot be looked into.
    pub(crate) fn keep(&mut self, header: &BatchHeader, batch: &Bytes) -> Result<Kept, CompactionError> {
        let is_control = header.attributes.is_control();
        let is_over = match is_control {
            true => self.transactions.on_control(header, batch),
            false => self.transactions.on_data(header),
        };
        if header.base_offset >= self.end_offset || (header.last_offset() >= self.end_offset && (is_over || is_control))
        {
            return Ok(Kept::Whole);
        }
        let is_discarded = is_over && (!is_control || self.horizon_has_passed(header));
        if is_discarded || header.records_count == 0 {
            return Ok(self.without_records(header));
        }
        if !is_control {
            return self.keep_records(header, batch);
        }
        // KIP-534: from now on the marker is of no use; readers who are behind get some time to see it.
        match is_over && !header.attributes.has_delete_horizon() {
            true => self.rebuild(header, &inflate(header, batch)?, true, |_| true),
            false => Ok(Kept::Whole),
        }
    }

    fn keep_records(&self, header: &BatchHeader, batch: &Bytes) -> Result<Kept, CompactionError> {
        let section = inflate(header, batch)?;
        let (mut kept, mut has_tombstones) = (0, false);
        for record in records(&section, header.records_count) {
            let record = record.map_err(|error| unreadable(header, error))?;
            if self.keeps_record(header, &record) {
                kept += 1;
                has_tombstones |= record.value.is_none();
            }
        }
        let is_all_seen = header.last_offset() < self.end_offset;
        let needs_horizon = has_tombstones && is_all_seen && !header.attributes.has_delete_horizon();
        match kept {
            0 => Ok(self.without_records(header)),
            _ if kept == header.records_count && !needs_horizon => Ok(Kept::Whole),
            _ => self.rebuild(header, &section, needs_horizon, |record| {
                self.keeps_record(header, record)
            }),
        }
    }

    fn keeps_record(&self, header: &BatchHeader, record: &Record<'_>) -> bool {
        let offset = header.base_offset.saturating_add(record.offset_delta.into());
        if offset >= self.end_offset {
            return true;
        }
        // Without a key a record says nothing about any: Kafka drops it as well.
        let Some(key) = record.key else { return false };
        let is_last = self.map.get(key).is_none_or(|last| offset >= last);
        is_last && (record.value.is_some() || !self.horizon_has_passed(header))
    }

    fn horizon_has_passed(&self, header: &BatchHeader) -> bool {
        header.attributes.has_delete_horizon() && header.base_timestamp <= self.now_ms
    }

    /// A batch without records stays where it is the last that says how far its producer has come.
    fn without_records(&self, header: &BatchHeader) -> Kept {
        let last = self.last_records.get(&header.producer_id);
        let is_last = last.is_some_and(|last| match last.data_offset {
            Some(offset) => header.last_offset() == offset,
            None => header.attributes.is_control() && header.producer_epoch == last.producer_epoch,
        });
        match is_last {
            true => emptied(header),
            false => Kept::Nothing,
        }
    }

    /// The batch with those records that are `wanted`, in its codec, if need be with a delete horizon.
    fn rebuild(
        &self,
        header: &BatchHeader,
        section: &[u8],
        needs_horizon: bool,
        wanted: impl Fn(&Record<'_>) -> bool,
    ) -> Result<Kept, CompactionError> {
        let compression = header
            .attributes
            .compression()
            .map_err(|error| unreadable(header, error))?;
        let mut builder = BatchBuilder::in_place_of(header).codec(Codec::of(compression));
        if needs_horizon {
            builder = builder.delete_horizon(self.now_ms.saturating_add(self.delete_retention_ms));
        }
        for record in records(section, header.records_count) {
            let record = record.map_err(|error| unreadable(header, error))?;
            if wanted(&record) {
                builder.append_existing(header.base_timestamp, &record);
            }
        }
        Ok(Kept::Part(builder.build()))
    }
}

/// What stays of a batch without its records: offsets, producer and time.
pub(crate) fn emptied(header: &BatchHeader) -> Kept {
    match header.records_count {
        0 => Kept::Whole,
        _ => {
            let without_horizon = BatchHeader {
                attributes: header.attributes.with_delete_horizon(false),
                base_timestamp: NO_TIMESTAMP,
                ..*header
            };
            Kept::Part(BatchBuilder::in_place_of(&without_horizon).build())
        }
    }
}

/// Adds the keys of those records of a batch that are in `range` to the map. Returns the offset of the first one that did
/// not fit.
///
/// # Errors
/// The records cannot be looked into.
pub(crate) fn note_keys(
    map: &mut OffsetMap,
    range: &Range<Offset>,
    header: &BatchHeader,
    batch: &Bytes,
) -> Result<Option<Offset>, CompactionError> {
    let section = inflate(header, batch)?;
    for record in records(&section, header.records_count) {
        let record = record.map_err(|error| unreadable(header, error))?;
        let offset = header.base_offset.saturating_add(record.offset_delta.into());
        if let Some(key) = record.key
            && range.contains(&offset)
            && !map.put(key, offset)
        {
            return Ok(Some(offset));
        }
    }
    Ok(None)
}

fn inflate(header: &BatchHeader, batch: &Bytes) -> Result<Bytes, CompactionError> {
    if header.records_count == 0 {
        return Ok(Bytes::new());
    }
    let compression = header
        .attributes
        .compression()
        .map_err(|error| unreadable(header, error))?;
    decompress(compression, &batch.slice(HEADER_BYTES..), INFLATED_BYTES_MAX).map_err(|error| unreadable(header, error))
}

fn unreadable(header: &BatchHeader, error: impl Into<UnreadableBatch>) -> CompactionError {
    CompactionError::Unreadable {
        base_offset: header.base_offset,
        error: error.into(),
    }
}
