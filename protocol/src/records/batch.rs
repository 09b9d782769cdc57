//! The header of a record batch, read and patched in place.
//!
//! Owns the 61 bytes before the records, their checksum, and the walk from batch to batch in a log or a record set.
//! The records behind the header may be compressed and are not looked at here.
//!
//! | at | bytes | field                  | in the CRC |
//! |----|-------|------------------------|------------|
//! | 0  | 8     | base offset            | no         |
//! | 8  | 4     | batch length           | no         |
//! | 12 | 4     | partition leader epoch | no         |
//! | 16 | 1     | magic, 2               | no         |
//! | 17 | 4     | CRC-32C of what follows| -          |
//! | 21 | 2     | attributes             | yes        |
//! | 23 | 4     | last offset delta      | yes        |
//! | 27 | 8     | base timestamp         | yes        |
//! | 35 | 8     | max timestamp          | yes        |
//! | 43 | 8     | producer id            | yes        |
//! | 51 | 2     | producer epoch         | yes        |
//! | 53 | 4     | base sequence          | yes        |
//! | 57 | 4     | records count          | yes        |
//! | 61 |       | records                | yes        |
//!
//! Everything is big-endian. Base offset and leader epoch stand outside the checksum so that a broker can write them
//! without touching the records; the formats v0 and v1 before this one are refused with [`BatchError::LegacyMagic`].

use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};
use crate::records::compression::{Compression, UnknownCodec};

/// The size of the header, from the base offset to the records count.
pub const HEADER_BYTES: usize = 61;
/// What the batch length does not count: the base offset and the length itself.
pub const LOG_OVERHEAD: usize = 12;
/// The message format of every batch that is served.
pub const MAGIC: i8 = 2;
/// The sequence number of batches that no idempotent producer wrote.
pub const NO_SEQUENCE: i32 = -1;

/// The smallest batch length that holds a whole header.
const MIN_LENGTH: i32 = (HEADER_BYTES - LOG_OVERHEAD) as i32;
/// The smallest length of a v0 message: CRC, magic, attributes, a null key and a null value.
const MIN_LEGACY_LENGTH: i32 = 14;

const BASE_OFFSET_AT: usize = 0;
const LENGTH_AT: usize = 8;
const LEADER_EPOCH_AT: usize = 12;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const LAST_OFFSET_DELTA_AT: usize = 23;
const BASE_TIMESTAMP_AT: usize = 27;
const MAX_TIMESTAMP_AT: usize = 35;
const PRODUCER_ID_AT: usize = 43;
const PRODUCER_EPOCH_AT: usize = 51;
const BASE_SEQUENCE_AT: usize = 53;
const RECORDS_COUNT_AT: usize = 57;

/// Why bytes are not a v2 batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end inside the batch: a torn tail, or a fetch that was cut at its size limit.
    #[error("the batch is cut off: {needed_bytes} bytes are needed and {available_bytes} are there")]
    Truncated {
        /// What has to be there to go on; the whole batch once its length is known.
        needed_bytes: usize,
        /// What is there.
        available_bytes: usize,
    },
    /// A length that no message of any format can have. Zeros, as in a preallocated tail, end here.
    #[error("a batch cannot have length {0}")]
    ImpossibleLength(i32),
    /// Message format v0 or v1, which is not served.
    #[error("message format v{0} is no longer supported")]
    LegacyMagic(i8),
    /// A message format nobody knows.
    #[error("unknown magic {0}")]
    UnknownMagic(i8),
    /// A records count or last offset delta below zero.
    #[error("a batch cannot hold {records_count} records with last offset delta {last_offset_delta}")]
    NegativeCount {
        /// As in the header.
        records_count: i32,
        /// As in the header.
        last_offset_delta: i32,
    },
    /// The checksum in the header is not that of the bytes.
    #[error("the batch has CRC {computed:#010x}, its header says {stored:#010x}")]
    CrcMismatch {
        /// As in the header.
        stored: u32,
        /// Over attributes to end.
        computed: u32,
    },
}

/// Which clock the timestamps of a batch come from (KIP-32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// Each record carries the producer's time.
    CreateTime,
    /// The batch's max timestamp is the leader's time of the append and holds for every record.
    LogAppendTime,
}

/// The attribute bits of a batch.
///
/// Bits 0-2 name the codec, 3 is LogAppendTime, 4 transactional, 5 control, 6 "base timestamp is a delete horizon"
/// (KIP-534). Bits above are unused and kept as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    const CODEC_MASK: i16 = 0b111;
    const LOG_APPEND_TIME: i16 = 1 << 3;
    const TRANSACTIONAL: i16 = 1 << 4;
    const CONTROL: i16 = 1 << 5;
    const DELETE_HORIZON: i16 = 1 << 6;

    /// The codec of the records.
    ///
    /// # Errors
    /// The ids 5 to 7 stand for no codec.
    pub const fn compression(self) -> Result<Compression, UnknownCodec> {
        Compression::from_id(self.0 & Self::CODEC_MASK)
    }

    /// Whose clock the timestamps are of.
    pub const fn timestamp_type(self) -> TimestampType {
        if self.has(Self::LOG_APPEND_TIME) {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        }
    }

    /// Whether the batch belongs to a transaction, as data or as its marker.
    pub const fn is_transactional(self) -> bool {
        self.has(Self::TRANSACTIONAL)
    }

    /// Whether the records are for brokers and not for applications; as end-of-transaction markers are.
    pub const fn is_control(self) -> bool {
        self.has(Self::CONTROL)
    }

    /// Whether the base timestamp is the time at which tombstones and markers may go, set by the first compaction.
    pub const fn has_delete_horizon(self) -> bool {
        self.has(Self::DELETE_HORIZON)
    }

    /// These attributes with another codec.
    #[must_use]
    pub const fn with_compression(self, compression: Compression) -> Self {
        Self(self.0 & !Self::CODEC_MASK | compression.id())
    }

    /// These attributes with another timestamp type.
    #[must_use]
    pub const fn with_timestamp_type(self, timestamp_type: TimestampType) -> Self {
        self.with(
            Self::LOG_APPEND_TIME,
            matches!(timestamp_type, TimestampType::LogAppendTime),
        )
    }

    /// These attributes with the transactional bit set or cleared.
    #[must_use]
    pub const fn with_transactional(self, on: bool) -> Self {
        self.with(Self::TRANSACTIONAL, on)
    }

    /// These attributes with the control bit set or cleared.
    #[must_use]
    pub const fn with_control(self, on: bool) -> Self {
        self.with(Self::CONTROL, on)
    }

    /// These attributes with the delete horizon bit set or cleared.
    #[must_use]
    pub const fn with_delete_horizon(self, on: bool) -> Self {
        self.with(Self::DELETE_HORIZON, on)
    }

    const fn has(self, bit: i16) -> bool {
        self.0 & bit != 0
    }

    const fn with(self, bit: i16, on: bool) -> Self {
        Self(if on { self.0 | bit } else { self.0 & !bit })
    }
}

/// The header of one batch, decoded.
///
/// One that came from [`BatchHeader::parse`] has a length that holds the header, and counts that are not negative.
/// Nothing says that the records agree with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The offset that the record deltas count from; compaction keeps it when it drops the first record.
    pub base_offset: Offset,
    /// As on the wire: the bytes after the first [`LOG_OVERHEAD`].
    pub batch_length: i32,
    /// The epoch of the leader that appended the batch; -1 from a producer.
    pub partition_leader_epoch: LeaderEpoch,
    /// Always [`MAGIC`] once parsed.
    pub magic: i8,
    /// CRC-32C over attributes to end, as stored; [`verify_crc`] compares.
    pub crc: u32,
    /// Codec, timestamp type and flags.
    pub attributes: Attributes,
    /// The last offset less the base offset; compaction keeps it when it drops the last record.
    pub last_offset_delta: i32,
    /// What the timestamp deltas of the records count from; also the delete horizon where the attributes say so.
    pub base_timestamp: TimestampMs,
    /// The largest timestamp of the records, or the append time; -1 where no record has one.
    pub max_timestamp: TimestampMs,
    /// Who wrote the batch, if an idempotent producer did.
    pub producer_id: ProducerId,
    /// The incarnation of that producer.
    pub producer_epoch: ProducerEpoch,
    /// The sequence number of the first record, [`NO_SEQUENCE`] without an idempotent producer.
    pub base_sequence: i32,
    /// How many records there are; 0 in a batch that compaction emptied.
    pub records_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`, which may end inside the records.
    ///
    /// The checksum is not verified.
    ///
    /// # Errors
    /// `Truncated` when less than a header is there, and the variants that name an impossible field.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let too_short = |needed_bytes| BatchError::Truncated {
            needed_bytes,
            available_bytes: bytes.len(),
        };
        let (Some(length), Some(magic)) = (bytes.get(LENGTH_AT..LEADER_EPOCH_AT), bytes.get(MAGIC_AT)) else {
            return Err(too_short(HEADER_BYTES));
        };
        let batch_length = i32_at(length, 0);
        if batch_length < MIN_LEGACY_LENGTH {
            return Err(BatchError::ImpossibleLength(batch_length));
        }
        match *magic as i8 {
            MAGIC => {}
            legacy @ 0..=1 => return Err(BatchError::LegacyMagic(legacy)),
            unknown => return Err(BatchError::UnknownMagic(unknown)),
        }
        if batch_length < MIN_LENGTH {
            return Err(BatchError::ImpossibleLength(batch_length));
        }
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or_else(|| too_short(HEADER_BYTES))?;
        Self::decode(header).checked()
    }

    /// Reads every field; the ranges are [`BatchHeader::checked`]'s.
    fn decode(header: &[u8; HEADER_BYTES]) -> Self {
        Self {
            base_offset: i64_at(header, BASE_OFFSET_AT),
            batch_length: i32_at(header, LENGTH_AT),
            partition_leader_epoch: LeaderEpoch(i32_at(header, LEADER_EPOCH_AT)),
            magic: header[MAGIC_AT] as i8,
            crc: i32_at(header, CRC_AT) as u32,
            attributes: Attributes(i16_at(header, ATTRIBUTES_AT)),
            last_offset_delta: i32_at(header, LAST_OFFSET_DELTA_AT),
            base_timestamp: i64_at(header, BASE_TIMESTAMP_AT),
            max_timestamp: i64_at(header, MAX_TIMESTAMP_AT),
            producer_id: ProducerId(i64_at(header, PRODUCER_ID_AT)),
            producer_epoch: ProducerEpoch(i16_at(header, PRODUCER_EPOCH_AT)),
            base_sequence: i32_at(header, BASE_SEQUENCE_AT),
            records_count: i32_at(header, RECORDS_COUNT_AT),
        }
    }

    fn checked(self) -> Result<Self, BatchError> {
        let Self {
            records_count,
            last_offset_delta,
            ..
        } = self;
        if records_count < 0 || last_offset_delta < 0 {
            return Err(BatchError::NegativeCount {
                records_count,
                last_offset_delta,
            });
        }
        Ok(self)
    }

    /// The header as bytes, with [`BatchHeader::crc`] as it stands.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        put(&mut header, BASE_OFFSET_AT, self.base_offset.to_be_bytes());
        put(&mut header, LENGTH_AT, self.batch_length.to_be_bytes());
        put(
            &mut header,
            LEADER_EPOCH_AT,
            self.partition_leader_epoch.0.to_be_bytes(),
        );
        put(&mut header, MAGIC_AT, self.magic.to_be_bytes());
        put(&mut header, CRC_AT, self.crc.to_be_bytes());
        put(&mut header, ATTRIBUTES_AT, self.attributes.0.to_be_bytes());
        put(&mut header, LAST_OFFSET_DELTA_AT, self.last_offset_delta.to_be_bytes());
        put(&mut header, BASE_TIMESTAMP_AT, self.base_timestamp.to_be_bytes());
        put(&mut header, MAX_TIMESTAMP_AT, self.max_timestamp.to_be_bytes());
        put(&mut header, PRODUCER_ID_AT, self.producer_id.0.to_be_bytes());
        put(&mut header, PRODUCER_EPOCH_AT, self.producer_epoch.0.to_be_bytes());
        put(&mut header, BASE_SEQUENCE_AT, self.base_sequence.to_be_bytes());
        put(&mut header, RECORDS_COUNT_AT, self.records_count.to_be_bytes());
        header
    }

    /// The size of the whole batch, header included.
    pub fn size_bytes(&self) -> usize {
        LOG_OVERHEAD + usize::try_from(self.batch_length).unwrap_or(0)
    }

    /// The offset of the last record that the batch was written with, whether or not compaction kept it.
    pub fn last_offset(&self) -> Offset {
        // Offsets come from strangers until a leader assigns them.
        self.base_offset.saturating_add(self.last_offset_delta.into())
    }

    /// The offset at which the next batch may start.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().saturating_add(1)
    }

    /// The sequence number of the last record, [`NO_SEQUENCE`] without an idempotent producer.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence == NO_SEQUENCE {
            return NO_SEQUENCE;
        }
        increment_sequence(self.base_sequence, self.last_offset_delta)
    }
}

/// The sequence number `by` records after `sequence`; 0 comes after `i32::MAX`.
pub fn increment_sequence(sequence: i32, by: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(by);
    // The sum of two i32 passes the largest by less than another round.
    if sum > i64::from(i32::MAX) {
        (sum - i64::from(i32::MAX) - 1) as i32
    } else {
        sum as i32
    }
}

/// The size of the batch that starts `bytes`, header included, from its first 12 bytes.
///
/// `None` if fewer are there, or if the length is none that a v2 batch can have.
pub fn peek_size(bytes: &[u8]) -> Option<usize> {
    let length = i32_at(bytes.get(LENGTH_AT..LOG_OVERHEAD)?, 0);
    if length < MIN_LENGTH {
        return None;
    }
    usize::try_from(length).ok().map(|length| LOG_OVERHEAD + length)
}

/// Compares the checksum in the header with that of the batch at the start of `batch`.
///
/// # Errors
/// `CrcMismatch`; `Truncated` when the batch is not whole; what [`BatchHeader::parse`] refuses.
pub fn verify_crc(batch: &[u8]) -> Result<(), BatchError> {
    let header = BatchHeader::parse(batch)?;
    let computed = crc32c::crc32c(&whole(&header, batch)?[ATTRIBUTES_AT..]);
    if computed != header.crc {
        return Err(BatchError::CrcMismatch {
            stored: header.crc,
            computed,
        });
    }
    Ok(())
}

/// Writes the offset of the first record; outside the checksum.
///
/// # Panics
/// When `batch` is shorter than a header, as in the other setters: they are for batches that were parsed.
pub fn set_base_offset(batch: &mut [u8], base_offset: Offset) {
    put(batch, BASE_OFFSET_AT, base_offset.to_be_bytes());
}

/// Writes the epoch of the leader that appends the batch; outside the checksum.
///
/// # Panics
/// When `batch` is shorter than a header.
pub fn set_leader_epoch(batch: &mut [u8], leader_epoch: LeaderEpoch) {
    put(batch, LEADER_EPOCH_AT, leader_epoch.0.to_be_bytes());
}

/// Makes `append_time` the timestamp of every record of `batch`, which is exactly one whole batch.
///
/// Sets the max timestamp and the LogAppendTime bit, and computes the checksum anew. The deltas in the records stay
/// and mean nothing from then on.
///
/// # Panics
/// When `batch` is shorter than a header.
pub fn set_log_append_time(batch: &mut [u8], append_time: TimestampMs) {
    let attributes = Attributes(i16_at(batch, ATTRIBUTES_AT)).with_timestamp_type(TimestampType::LogAppendTime);
    put(batch, ATTRIBUTES_AT, attributes.0.to_be_bytes());
    put(batch, MAX_TIMESTAMP_AT, append_time.to_be_bytes());
    update_crc(batch);
}

/// Writes the checksum of `batch`, which is exactly one whole batch.
///
/// # Panics
/// When `batch` is shorter than a header.
pub fn update_crc(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
    put(batch, CRC_AT, crc.to_be_bytes());
}

/// Walks the batches that stand back to back in `bytes`.
pub fn batches(bytes: &[u8]) -> Batches<'_> {
    Batches { rest: bytes }
}

/// The batches of a log or record set; see [`batches`].
///
/// Each item is a header and its whole batch. The first error is the last item: [`BatchError::Truncated`] when the
/// bytes end inside a batch, so that a torn tail can be told from damage. Checksums are not verified.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
}

impl<'a> Batches<'a> {
    /// What has not been walked yet; empty after an error.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<(BatchHeader, &'a [u8]), BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut self.rest);
        Some(BatchHeader::parse(bytes).and_then(|header| {
            let batch = whole(&header, bytes)?;
            self.rest = &bytes[batch.len()..];
            Ok((header, batch))
        }))
    }
}

impl std::iter::FusedIterator for Batches<'_> {}

/// The part of `bytes` that is the batch with this header.
fn whole<'a>(header: &BatchHeader, bytes: &'a [u8]) -> Result<&'a [u8], BatchError> {
    let needed_bytes = header.size_bytes();
    bytes.get(..needed_bytes).ok_or(BatchError::Truncated {
        needed_bytes,
        available_bytes: bytes.len(),
    })
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}

fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes(array_at(bytes, at))
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(array_at(bytes, at))
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(array_at(bytes, at))
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
