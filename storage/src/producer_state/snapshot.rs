//! `.snapshot`: producer state at an offset, which is the file's name.
//!
//! | bytes | content, big-endian |
//! |---|---|
//! | 0-1 | version, 1 |
//! | 2-5 | CRC-32C of all that follows |
//! | 6-9 | number of producers, each of: |
//! | 8 | producer id |
//! | 2 | producer epoch |
//! | 4 | last sequence, -1 without a batch |
//! | 8 | last offset, -1 without a batch |
//! | 4 | last offset of the last batch less its first |
//! | 8 | last timestamp |
//! | 4 | coordinator epoch |
//! | 8 | first offset of the open transaction, -1 without one |
//!
//! So far it is Kafka's format, which keeps one batch of the five. Behind the producers stands what Kafka's reader does
//! not look at, but whose checksum it includes: the older batches, so that a repeated batch is recognised after a
//! restart as well.
//!
//! | bytes | content, big-endian |
//! |---|---|
//! | 4 | the letters `5bat` |
//! | 4 | number of batches, each of: |
//! | 8 | producer id; the batches of one stand together, oldest first, all before the one above |
//! | 4, 8, 4, 8 | last sequence, last offset, offset delta, timestamp |

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use ottla_protocol::ids::{Offset, ProducerEpoch, ProducerId, TimestampMs};

use super::{AppendedBatch, Producer, ProducerState};
use crate::disk::{Disk, OpenMode, read_file};

const VERSION: i16 = 1;
const CRC_AT: usize = 2;
const PRODUCERS_AT: usize = 6;
const OLDER_BATCHES: [u8; 4] = *b"5bat";

/// Where the snapshot at `offset` is kept.
pub(crate) fn path(dir: &Path, offset: Offset) -> PathBuf {
    dir.join(format!("{offset:020}.snapshot"))
}

/// The state as a file's content.
pub(crate) fn encode(state: &ProducerState) -> Vec<u8> {
    let mut producers: Vec<_> = state.producers.iter().collect();
    producers.sort_by_key(|(id, _)| **id);
    let mut bytes = Vec::with_capacity(PRODUCERS_AT + 4 + producers.len() * 46);
    bytes.extend(VERSION.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(count(producers.len()));
    for (id, producer) in &producers {
        encode_producer(&mut bytes, **id, producer);
    }
    encode_older_batches(&mut bytes, &producers);
    let crc = crc32c::crc32c(&bytes[PRODUCERS_AT..]);
    bytes[CRC_AT..PRODUCERS_AT].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn encode_producer(bytes: &mut Vec<u8>, id: ProducerId, producer: &Producer) {
    let last = producer.last_batch();
    bytes.extend(id.0.to_be_bytes());
    bytes.extend(producer.epoch.0.to_be_bytes());
    bytes.extend(last.last_sequence.to_be_bytes());
    bytes.extend(last.last_offset.to_be_bytes());
    bytes.extend(last.offset_delta.to_be_bytes());
    bytes.extend(producer.last_timestamp.to_be_bytes());
    bytes.extend(producer.coordinator_epoch.to_be_bytes());
    bytes.extend(producer.transaction_start.unwrap_or(-1).to_be_bytes());
}

fn encode_older_batches(bytes: &mut Vec<u8>, producers: &[(&ProducerId, &Producer)]) {
    let older = |producer: &Producer| usize::from(producer.kept).saturating_sub(1);
    let total = producers.iter().map(|(_, producer)| older(producer)).sum();
    if total == 0 {
        return;
    }
    bytes.extend(OLDER_BATCHES);
    bytes.extend(count(total));
    for (id, producer) in producers {
        for batch in &producer.batches[..older(producer)] {
            bytes.extend(id.0.to_be_bytes());
            bytes.extend(batch.last_sequence.to_be_bytes());
            bytes.extend(batch.last_offset.to_be_bytes());
            bytes.extend(batch.offset_delta.to_be_bytes());
            bytes.extend(batch.timestamp.to_be_bytes());
        }
    }
}

fn count(of: usize) -> [u8; 4] {
    u32::try_from(of)
        .expect("fewer producers than fit in memory")
        .to_be_bytes()
}

/// The state that `bytes` describe; `None` if they are not a whole and unharmed snapshot of version 1.
pub(crate) fn decode(bytes: &[u8]) -> Option<ProducerState> {
    let mut fields = Fields(bytes);
    if fields.i16()? != VERSION {
        return None;
    }
    let crc = fields.i32()? as u32;
    if crc != crc32c::crc32c(fields.0) {
        return None;
    }
    let mut state = ProducerState::default();
    for _ in 0..fields.i32()? {
        let (id, producer) = decode_producer(&mut fields)?;
        if let Some(start) = producer.transaction_start {
            state.open.insert(start, id);
        }
        state.producers.insert(id, producer);
    }
    decode_older_batches(&mut fields, &mut state)?;
    Some(state)
}

fn decode_producer(fields: &mut Fields<'_>) -> Option<(ProducerId, Producer)> {
    let id = ProducerId(fields.i64()?);
    let mut producer = Producer {
        epoch: ProducerEpoch(fields.i16()?),
        ..Producer::UNKNOWN
    };
    let (last_sequence, last_offset, offset_delta) = (fields.i32()?, fields.i64()?, fields.i32()?);
    producer.last_timestamp = fields.i64()?;
    producer.coordinator_epoch = fields.i32()?;
    producer.transaction_start = Some(fields.i64()?).filter(|start| *start >= 0);
    if last_offset >= 0 && offset_delta >= 0 {
        let timestamp = producer.last_timestamp;
        producer.add_batch(AppendedBatch {
            last_sequence,
            last_offset,
            offset_delta,
            timestamp,
        });
    }
    Some((id, producer))
}

fn decode_older_batches(fields: &mut Fields<'_>, state: &mut ProducerState) -> Option<()> {
    if fields.0.is_empty() {
        return Some(());
    }
    if fields.take::<4>()? != OLDER_BATCHES {
        return None;
    }
    let mut older: Vec<(ProducerId, AppendedBatch)> = Vec::new();
    for _ in 0..fields.i32()? {
        let id = ProducerId(fields.i64()?);
        let batch = AppendedBatch {
            last_sequence: fields.i32()?,
            last_offset: fields.i64()?,
            offset_delta: fields.i32()?,
            timestamp: fields.i64()?,
        };
        (batch.offset_delta >= 0).then(|| older.push((id, batch)))?;
    }
    for batches in older.chunk_by(|(one, _), (other, _)| one == other) {
        let producer = state.producers.get_mut(&batches[0].0)?;
        let last = producer.last_batch();
        producer.kept = 0;
        batches.iter().for_each(|(_, batch)| producer.add_batch(*batch));
        producer.add_batch(last);
    }
    Some(())
}

/// Reads the snapshot at `offset`; `None` if it is missing or harmed, which costs time and nothing else.
pub(crate) fn read(disk: &dyn Disk, dir: &Path, offset: Offset) -> io::Result<Option<ProducerState>> {
    let content = read_file(disk, &path(dir, offset))?;
    Ok(content.and_then(|content| decode(&content)))
}

/// Writes `content` as the snapshot at `offset`. Not durable before [`sync`]; a torn one is told by its checksum.
pub(crate) fn write(disk: &dyn Disk, dir: &Path, offset: Offset, content: &[u8]) -> io::Result<()> {
    let file = disk.open(&path(dir, offset), OpenMode::Create)?;
    file.set_len(0)?;
    file.write_at(&[IoSlice::new(content)], 0)
}

/// Makes a snapshot durable that may not be there any more.
pub(crate) fn sync(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.open(path, OpenMode::Write) {
        Ok(file) => file.sync(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Option<TimestampMs> {
        self.take().map(i64::from_be_bytes)
    }
}
