//! Looking up offsets by time, exact to the record.

use std::ops::ControlFlow;

use ottla_protocol::ids::{LeaderEpoch, Offset, TimestampMs};
use ottla_protocol::records::batch::HEADER_BYTES;
use ottla_protocol::records::compression::{DecompressError, UnknownCodec, decompress};
use ottla_protocol::records::record::{MalformedRecord, records};
use ottla_protocol::records::{BatchHeader, TimestampType};

use super::Log;
use crate::segment::{Found, Scan, ScanError, Segment};

/// A batch that inflates to more than this is not looked into: no producer can have meant it.
const INFLATED_BYTES_MAX: usize = 1 << 30;

/// A record's timestamp, its offset, and the epoch in which it was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampAndOffset {
    /// Of the record.
    pub timestamp: TimestampMs,
    /// Of the record.
    pub offset: Offset,
    /// As the batch says it.
    pub leader_epoch: LeaderEpoch,
}

/// Why a look-up by time failed.
#[derive(Debug, thiserror::Error)]
pub enum LookUpError {
    /// The log is damaged there, or the disk refused.
    #[error(transparent)]
    Storage(#[from] ScanError),
    /// The records of a batch could not be inflated.
    #[error("the batch at offset {base_offset} cannot be looked into: {error}")]
    Inflate {
        /// Of the batch.
        base_offset: Offset,
        /// Why not.
        error: DecompressError,
    },
    /// The records of a batch are compressed in a way nobody knows.
    #[error("the batch at offset {base_offset} cannot be looked into: {error}")]
    UnknownCodec {
        /// Of the batch.
        base_offset: Offset,
        /// Its codec.
        error: UnknownCodec,
    },
    /// A record of a batch could not be read.
    #[error("the batch at offset {base_offset} cannot be looked into: {error}")]
    Malformed {
        /// Of the batch.
        base_offset: Offset,
        /// Why not.
        error: MalformedRecord,
    },
}

impl LookUpError {
    /// Whether the look-up would have to wait for the disk, which [`crate::disk::without_waiting`] forbade.
    pub fn would_wait(&self) -> bool {
        matches!(self, Self::Storage(error) if error.would_wait())
    }
}

impl Log {
    /// The first record, in offset order, whose timestamp is at or after `timestamp`; `None` if there is none.
    ///
    /// # Errors
    /// Damage, and the disk's.
    pub fn offset_for_timestamp(&self, timestamp: TimestampMs) -> Result<Option<TimestampAndOffset>, LookUpError> {
        self.undisturbed(|| self.find_timestamp(timestamp))
    }

    fn find_timestamp(&self, timestamp: TimestampMs) -> Result<Option<TimestampAndOffset>, LookUpError> {
        let log_start_offset = self.log_start_offset();
        for segment in self.segments_from(log_start_offset) {
            if segment.largest().map_err(ScanError::Io)?.timestamp < timestamp {
                continue;
            }
            let is_meant = |time, offset| time >= timestamp && offset >= log_start_offset;
            let before = segment.times.before(timestamp).map_err(ScanError::Io)?;
            let position = match before {
                Some(before) => segment
                    .find(before.offset.saturating_add(1))?
                    .map(|found| found.position),
                None => Some(0),
            };
            let Some(position) = position else { continue };
            for found in Scan::new(&segment, position..segment.size_bytes()) {
                let found = found?;
                if found.header.max_timestamp >= timestamp
                    && found.header.last_offset() >= log_start_offset
                    && let Some(record) = find_record(&segment, &found, is_meant)?
                {
                    return Ok(Some(record));
                }
            }
        }
        Ok(None)
    }

    /// The record with the largest timestamp, the first of them if there are several (KIP-734); `None` in an empty log.
    ///
    /// # Errors
    /// Damage, and the disk's.
    pub fn max_timestamp(&self) -> Result<Option<TimestampAndOffset>, LookUpError> {
        self.undisturbed(|| {
            let log_start_offset = self.log_start_offset();
            let mut latest = -1;
            for segment in self.segments_from(log_start_offset) {
                latest = latest.max(match segment.base_offset() < log_start_offset {
                    true => largest_from(&segment, log_start_offset)?,
                    false => segment.largest().map_err(ScanError::Io)?.timestamp,
                });
            }
            match latest {
                ..0 => Ok(None),
                _ => self.find_timestamp(latest),
            }
        })
    }
}

/// The largest timestamp of the records from `offset` on: the segment's own may be of one before it.
fn largest_from(segment: &Segment, offset: Offset) -> Result<TimestampMs, LookUpError> {
    let Some(first) = segment.find(offset)? else {
        return Ok(-1);
    };
    let mut largest = -1;
    each_record(segment, &first, |record| {
        if record.offset >= offset {
            largest = largest.max(record.timestamp);
        }
        ControlFlow::Continue(())
    })?;
    for found in Scan::new(segment, first.range().end..segment.size_bytes()) {
        largest = largest.max(found?.header.max_timestamp);
    }
    Ok(largest)
}

/// The first record of a batch that `is_meant` accepts by timestamp and offset.
fn find_record(
    segment: &Segment,
    found: &Found,
    is_meant: impl Fn(TimestampMs, Offset) -> bool,
) -> Result<Option<TimestampAndOffset>, LookUpError> {
    let mut meant = None;
    each_record(segment, found, |record| {
        match is_meant(record.timestamp, record.offset) {
            true => {
                meant = Some(record);
                ControlFlow::Break(())
            }
            false => ControlFlow::Continue(()),
        }
    })?;
    Ok(meant)
}

/// Shows the records of a batch to `look`, until it has seen enough.
fn each_record(
    segment: &Segment,
    found: &Found,
    mut look: impl FnMut(TimestampAndOffset) -> ControlFlow<()>,
) -> Result<(), LookUpError> {
    let header = &found.header;
    let base_offset = header.base_offset;
    let batch = segment.bytes(found.range()).map_err(ScanError::Io)?;
    let compressed = batch.slice(HEADER_BYTES..);
    let compression = header
        .attributes
        .compression()
        .map_err(|error| LookUpError::UnknownCodec { base_offset, error })?;
    let inflated = decompress(compression, &compressed, INFLATED_BYTES_MAX)
        .map_err(|error| LookUpError::Inflate { base_offset, error })?;
    for record in records(&inflated, header.records_count) {
        let record = record.map_err(|error| LookUpError::Malformed { base_offset, error })?;
        let timestamp = timestamp_of(header, record.timestamp(header.base_timestamp));
        let offset = base_offset.saturating_add(record.offset_delta.into());
        let leader_epoch = header.partition_leader_epoch;
        if look(TimestampAndOffset {
            timestamp,
            offset,
            leader_epoch,
        })
        .is_break()
        {
            break;
        }
    }
    Ok(())
}

fn timestamp_of(header: &BatchHeader, create_time: TimestampMs) -> TimestampMs {
    match header.attributes.timestamp_type() {
        TimestampType::CreateTime => create_time,
        TimestampType::LogAppendTime => header.max_timestamp,
    }
}
