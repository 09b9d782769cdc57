//! Batches made here: for internal topics, markers, tools, compaction and tests.
//!
//! A producer's batch is stored as it came; this is for everything that has no bytes yet, or, in compaction, fewer
//! than before. Each record is encoded as it is appended; [`BatchBuilder::build`] compresses and adds the header.

use bytes::Bytes;

use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};
use crate::records::batch::{
    self, Attributes, BatchHeader, HEADER_BYTES, LOG_OVERHEAD, MAGIC, NO_SEQUENCE, TimestampType,
};
use crate::records::compression::{self, Codec, Compression};
use crate::records::control::EndTransactionMarker;
use crate::records::record::{Header, Record};
use crate::records::varint;

/// The timestamp of a record that has none.
pub const NO_TIMESTAMP: TimestampMs = -1;

/// A record that is not in a batch yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewRecord<'a> {
    /// The producer's time.
    pub timestamp: TimestampMs,
    /// The key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is null.
    pub value: Option<&'a [u8]>,
    /// In the order in which they are written; duplicates are allowed.
    pub headers: &'a [Header<'a>],
}

impl<'a> NewRecord<'a> {
    /// A record with key and value, without headers.
    pub const fn of(timestamp: TimestampMs, key: &'a [u8], value: &'a [u8]) -> Self {
        Self {
            timestamp,
            key: Some(key),
            value: Some(value),
            headers: &[],
        }
    }
}

/// Collects the records of one batch.
///
/// Offsets count up from the base offset, unless a record is appended further on, as compaction leaves gaps.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    codec: Codec,
    attributes: Attributes,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    base_sequence: i32,
    base_timestamp: Option<TimestampMs>,
    max_timestamp: TimestampMs,
    /// What the header says while there is no record: compaction does not forget the time of what it emptied.
    max_timestamp_if_empty: TimestampMs,
    /// The delta that the next record gets.
    next_delta: i32,
    /// What the header says at least, when compaction dropped the last record.
    least_last_delta: i32,
    records_count: i32,
    section: Vec<u8>,
}

impl BatchBuilder {
    /// An empty batch: offset 0, no leader epoch, no producer, CreateTime, not compressed.
    pub const fn new() -> Self {
        Self {
            base_offset: 0,
            leader_epoch: LeaderEpoch::NONE,
            codec: Codec::of(Compression::None),
            attributes: Attributes(0),
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: NO_SEQUENCE,
            base_timestamp: None,
            max_timestamp: NO_TIMESTAMP,
            max_timestamp_if_empty: NO_TIMESTAMP,
            next_delta: 0,
            least_last_delta: 0,
            records_count: 0,
            section: Vec::new(),
        }
    }

    /// A batch that takes the place of the one with `header`, with fewer of its records: offsets, epoch, producer,
    /// base timestamp and flags are the same. So is the max timestamp, where it is the append time or no record is
    /// left.
    ///
    /// The codec has to be given again, since the header does not know the level.
    pub fn in_place_of(header: &BatchHeader) -> Self {
        let is_append_time = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
        Self {
            base_offset: header.base_offset,
            leader_epoch: header.partition_leader_epoch,
            attributes: header.attributes.with_compression(Compression::None),
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            base_timestamp: Some(header.base_timestamp),
            max_timestamp: if is_append_time {
                header.max_timestamp
            } else {
                NO_TIMESTAMP
            },
            max_timestamp_if_empty: header.max_timestamp,
            least_last_delta: header.last_offset_delta,
            ..Self::new()
        }
    }

    /// Sets the offset of the first record.
    #[must_use]
    pub fn base_offset(mut self, base_offset: Offset) -> Self {
        self.base_offset = base_offset;
        self
    }

    /// Sets the epoch of the leader that writes the batch.
    #[must_use]
    pub fn leader_epoch(mut self, leader_epoch: LeaderEpoch) -> Self {
        self.leader_epoch = leader_epoch;
        self
    }

    /// Compresses the records with `codec`.
    #[must_use]
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// Names the idempotent producer and the sequence number of the first record.
    #[must_use]
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> Self {
        (self.producer_id, self.producer_epoch, self.base_sequence) = (id, epoch, base_sequence);
        self
    }

    /// Makes the batch part of a transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.attributes = self.attributes.with_transactional(true);
        self
    }

    /// Makes the batch a control batch; see [`crate::records::control`].
    #[must_use]
    pub fn control(mut self) -> Self {
        self.attributes = self.attributes.with_control(true);
        self
    }

    /// Gives every record the leader's time instead of its own.
    #[must_use]
    pub fn log_append_time(mut self, append_time: TimestampMs) -> Self {
        self.attributes = self.attributes.with_timestamp_type(TimestampType::LogAppendTime);
        (self.max_timestamp, self.max_timestamp_if_empty) = (append_time, append_time);
        self
    }

    /// Says when tombstones and markers of the batch may go (KIP-534); it takes the place of the base timestamp.
    ///
    /// # Panics
    /// Once a record has been appended: the deltas count from here.
    #[must_use]
    pub fn delete_horizon(mut self, horizon: TimestampMs) -> Self {
        assert_eq!(self.records_count, 0, "the delete horizon comes before the records");
        self.attributes = self.attributes.with_delete_horizon(true);
        self.base_timestamp = Some(horizon);
        self
    }

    /// Lets the offsets of the batch go on to this delta although its record is gone.
    #[must_use]
    pub fn last_offset_delta(mut self, delta: i32) -> Self {
        self.least_last_delta = delta;
        self
    }

    /// Appends a record at the next offset.
    ///
    /// # Panics
    /// Above `i32::MAX` records or bytes, which no batch can have.
    pub fn append(&mut self, record: &NewRecord<'_>) -> &mut Self {
        self.append_at(self.next_delta, record)
    }

    /// Appends a record `offset_delta` after the base offset, leaving a gap.
    ///
    /// # Panics
    /// When the delta is below the next offset, and as in [`BatchBuilder::append`].
    pub fn append_at(&mut self, offset_delta: i32, record: &NewRecord<'_>) -> &mut Self {
        let mut headers = Vec::new();
        for header in record.headers {
            write_nullable(&mut headers, Some(header.key));
            write_nullable(&mut headers, header.value);
        }
        let (key, value) = (record.key, record.value);
        let headers = (record.headers.len(), &headers[..]);
        self.append_parts(
            offset_delta,
            record.timestamp,
            Parts {
                attributes: 0,
                key,
                value,
                headers,
            },
        )
    }

    /// Appends a record of another batch, with that batch's base timestamp; offset delta, attributes and headers stay.
    ///
    /// # Panics
    /// As [`BatchBuilder::append_at`].
    pub fn append_existing(&mut self, base_timestamp: TimestampMs, record: &Record<'_>) -> &mut Self {
        let Record {
            attributes,
            key,
            value,
            headers,
            ..
        } = *record;
        let headers = (headers.len(), headers.encoded());
        let parts = Parts {
            attributes,
            key,
            value,
            headers,
        };
        self.append_parts(record.offset_delta, record.timestamp(base_timestamp), parts)
    }

    fn append_parts(&mut self, offset_delta: i32, timestamp: TimestampMs, parts: Parts<'_>) -> &mut Self {
        assert!(
            offset_delta >= self.next_delta,
            "delta {offset_delta} is below the next, {}",
            self.next_delta
        );
        let base_timestamp = *self.base_timestamp.get_or_insert(timestamp);
        parts.write(&mut self.section, timestamp.wrapping_sub(base_timestamp), offset_delta);
        if self.attributes.timestamp_type() == TimestampType::CreateTime {
            self.max_timestamp = self.max_timestamp.max(timestamp);
        }
        self.next_delta = offset_delta
            .checked_add(1)
            .expect("a batch has fewer than i32::MAX offsets");
        self.records_count += 1;
        self
    }

    /// Makes room for records of so many bytes, before compression.
    #[must_use]
    pub fn room_for(mut self, bytes: usize) -> Self {
        self.section.reserve(bytes);
        self
    }

    /// How many bytes the records take so far, before compression.
    pub fn section_bytes(&self) -> usize {
        self.section.len()
    }

    /// How many records there are so far.
    pub fn records_count(&self) -> i32 {
        self.records_count
    }

    /// The batch, with its checksum.
    ///
    /// One without records is not compressed, as Apache's compaction writes it: there is nothing to inflate.
    ///
    /// # Panics
    /// When the batch is larger than `i32::MAX` bytes.
    pub fn build(&self) -> Bytes {
        let mut batch = Vec::new();
        self.build_behind(&mut batch);
        batch.into()
    }

    /// As [`BatchBuilder::build`], behind the batches that there are.
    ///
    /// # Panics
    /// As [`BatchBuilder::build`].
    pub fn build_behind(&self, batches: &mut Vec<u8>) {
        let (codec, max_timestamp) = match self.records_count {
            0 => (Codec::of(Compression::None), self.max_timestamp_if_empty),
            _ => (self.codec, self.max_timestamp),
        };
        let header = BatchHeader {
            base_offset: self.base_offset,
            batch_length: 0,
            partition_leader_epoch: self.leader_epoch,
            magic: MAGIC,
            crc: 0,
            attributes: self.attributes,
            last_offset_delta: self.least_last_delta.max(self.next_delta - 1),
            base_timestamp: self.base_timestamp.unwrap_or(NO_TIMESTAMP),
            max_timestamp,
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            records_count: self.records_count,
        };
        seal_behind(batches, header, codec, &self.section);
    }
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

/// The control batch that ends a transaction of `producer_id` in one partition.
pub fn end_transaction_batch(
    marker: EndTransactionMarker,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    timestamp: TimestampMs,
) -> Bytes {
    let mut builder = BatchBuilder::new()
        .producer(producer_id, producer_epoch, NO_SEQUENCE)
        .transactional()
        .control();
    builder.append(&NewRecord::of(timestamp, &marker.control_type().key(), &marker.value()));
    builder.build()
}

/// Puts `header` before the section, compressed with `codec`, and fills in codec, length and checksum.
pub(crate) fn seal(header: BatchHeader, codec: Codec, section: &[u8]) -> Bytes {
    let mut batch = Vec::new();
    seal_behind(&mut batch, header, codec, section);
    batch.into()
}

fn seal_behind(batches: &mut Vec<u8>, mut header: BatchHeader, codec: Codec, section: &[u8]) {
    let deflated;
    let payload = match codec.compression {
        Compression::None => section,
        _ => {
            deflated = compression::compress(codec, section);
            &deflated
        }
    };
    let length = HEADER_BYTES - LOG_OVERHEAD + payload.len();
    header.batch_length = i32::try_from(length).expect("a batch is smaller than 2 GiB");
    header.attributes = header.attributes.with_compression(codec.compression);
    let start = batches.len();
    batches.reserve_exact(LOG_OVERHEAD + length);
    batches.extend(header.encode());
    batches.extend(payload);
    batch::update_crc(&mut batches[start..]);
}

/// What is written of a record besides its place.
struct Parts<'a> {
    attributes: i8,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    /// Their count and their bytes.
    headers: (usize, &'a [u8]),
}

impl Parts<'_> {
    fn write(&self, out: &mut Vec<u8>, timestamp_delta: i64, offset_delta: i32) {
        let (headers_count, headers) = self.headers;
        let body_bytes = 1
            + varint::size_of(timestamp_delta)
            + varint::size_of(offset_delta.into())
            + nullable_bytes(self.key)
            + nullable_bytes(self.value)
            + varint::size_of(headers_count as i64)
            + headers.len();
        out.reserve(body_bytes + 5);
        write_length(out, body_bytes);
        out.push(self.attributes as u8);
        varint::write_i64(out, timestamp_delta);
        varint::write_i32(out, offset_delta);
        write_nullable(out, self.key);
        write_nullable(out, self.value);
        write_length(out, headers_count);
        out.extend(headers);
    }
}

fn nullable_bytes(field: Option<&[u8]>) -> usize {
    field.map_or(1, |field| varint::size_of(field.len() as i64) + field.len())
}

fn write_nullable(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        None => varint::write_i32(out, -1),
        Some(field) => {
            write_length(out, field.len());
            out.extend(field);
        }
    }
}

fn write_length(out: &mut Vec<u8>, length: usize) {
    varint::write_i32(out, i32::try_from(length).expect("a record is smaller than 2 GiB"));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
