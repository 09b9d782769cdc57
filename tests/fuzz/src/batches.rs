//! What a producer sends, and what is found in a log.

use bytes::Bytes;
use ottla_protocol::records::batch::{HEADER_BYTES, batches as each_batch, update_crc, verify_crc};
use ottla_protocol::records::record::{check_records, records as each_record};
use ottla_protocol::records::{
    BatchBuilder, BatchHeader, Codec, Compression, NewRecord, ProduceRules, TimestampType, TopicCompression, Validated,
    compression, control, validate_produce,
};

const MESSAGE_BYTES_MAX: usize = 1 << 20;
const INFLATED_BYTES_MAX: usize = 1 << 20;
const NOW_MS: i64 = 1_700_000_000_000;

pub(crate) const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

/// The first two bytes choose the rules; the rest is a record set, as it is and with what a checksum would have caught
/// mended.
pub fn batches(data: &[u8]) {
    let [rules, codec, set @ ..] = data else { return };
    let rules = rules_of(*rules, *codec);
    for set in [set.to_vec(), mended(set)] {
        each_batch(&set).for_each(|found| {
            if let Ok((header, bytes)) = found {
                assert_eq!(header.size_bytes(), bytes.len());
                assert_eq!(
                    header.encode()[..],
                    bytes[..HEADER_BYTES],
                    "a header is written as it was read"
                );
            }
        });
        if let Ok(validated) = validate_produce(set.into(), &rules) {
            check(&validated, &rules);
        }
    }
}

fn rules_of(bits: u8, codec: u8) -> ProduceRules {
    let has = |bit: u8| bits & (1 << bit) != 0;
    let timestamp_limit = if has(3) { 1_000 } else { i64::MAX };
    ProduceRules {
        max_message_bytes: MESSAGE_BYTES_MAX,
        max_inflated_bytes: INFLATED_BYTES_MAX,
        timestamp_type: match has(0) {
            true => TimestampType::LogAppendTime,
            false => TimestampType::CreateTime,
        },
        timestamp_before_max_ms: timestamp_limit,
        timestamp_after_max_ms: timestamp_limit,
        now_ms: NOW_MS,
        is_compacted: has(1),
        compression: match CODECS.get(usize::from(codec)) {
            Some(codec) => TopicCompression::Codec(Codec::of(*codec)),
            None => TopicCompression::Producer,
        },
        allow_transactional: has(4),
        allow_zstd: has(5),
        inspect_all: has(2),
    }
}

/// The bytes with length, magic number and checksum of a batch.
fn mended(set: &[u8]) -> Vec<u8> {
    let mut set = set.to_vec();
    if set.len() >= HEADER_BYTES {
        let length = set.len() as i32 - 12;
        set[8..12].copy_from_slice(&length.to_be_bytes());
        set[16] = 2;
        update_crc(&mut set);
    }
    set
}

/// What may be appended is one sound batch.
fn check(validated: &Validated, rules: &ProduceRules) {
    let Validated { batch, header, .. } = validated;
    assert_eq!(BatchHeader::parse(batch).as_ref(), Ok(header));
    assert_eq!(header.size_bytes(), batch.len());
    assert!(batch.len() <= rules.max_message_bytes);
    verify_crc(batch).expect("the checksum is right");
    if !rules.inspect_all {
        return;
    }
    let compression = header.attributes.compression().expect("the codec is known");
    let section = match compression {
        Compression::None => batch.slice(HEADER_BYTES..),
        compression => compression::decompress(compression, &batch.slice(HEADER_BYTES..), rules.max_inflated_bytes)
            .expect("it was inflated before"),
    };
    assert!(section.len() <= rules.max_inflated_bytes.max(MESSAGE_BYTES_MAX));
    check_records(&section, header.records_count).expect("the records were walked before");
}

/// The first byte chooses the codec and what the rest is: a compressed section, records, or what records are made of.
pub fn records(data: &[u8]) {
    let [choice, rest @ ..] = data else { return };
    let compression = CODECS[usize::from(choice & 7) % CODECS.len()];
    match choice >> 3 & 3 {
        0 => inflate(compression, rest),
        1 => walk(rest),
        _ => round_trip(compression, rest),
    }
}

fn inflate(compression: Compression, bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    for limit_bytes in [0, 100, INFLATED_BYTES_MAX] {
        if let Ok(inflated) = compression::decompress(compression, &bytes, limit_bytes) {
            assert!(inflated.len() <= limit_bytes || compression == Compression::None);
        }
    }
    let _ = compression::check_framing(compression, &bytes);
}

fn walk(section: &[u8]) {
    let [count, section @ ..] = section else { return };
    let count = i32::from(*count);
    let mut found = 0;
    for record in each_record(section, count) {
        let Ok(record) = record else { break };
        record.headers.for_each(drop);
        let _ = control::ControlType::parse_key(record.key);
        let _ = control::EndTransactionMarker::parse(record.key, record.value);
        found += 1;
    }
    if check_records(section, count).is_ok() {
        assert_eq!(found, count);
    }
}

fn round_trip(compression: Compression, bytes: &[u8]) {
    let mut builder = BatchBuilder::new().codec(Codec::of(compression));
    // The first byte of each record says how long it is, and whether it has a value.
    let mut made = Vec::new();
    let mut rest = bytes;
    while let [length, more @ ..] = rest {
        let (content, behind) = more.split_at(more.len().min(usize::from(length & 0x7f)));
        let (key, value) = content.split_at(content.len() / 2);
        let value = (length & 0x80 == 0).then_some(value);
        made.push((key, value));
        rest = behind;
    }
    let Some(last) = made.len().checked_sub(1) else { return };
    for (at, (key, value)) in made.iter().enumerate() {
        builder.append(&NewRecord {
            timestamp: NOW_MS + (last - at) as i64,
            key: Some(key),
            value: *value,
            headers: &[],
        });
    }
    let batch = builder.build();
    let header = BatchHeader::parse(&batch).expect("a header");
    verify_crc(&batch).expect("the checksum is right");
    let compressed = batch.slice(HEADER_BYTES..);
    let section = match compression {
        Compression::None => compressed,
        compression => compression::decompress(compression, &compressed, usize::MAX).expect("it was compressed here"),
    };
    let read: Vec<_> = each_record(&section, header.records_count)
        .map(|record| record.expect("it was written here"))
        .map(|record| (record.key.unwrap_or_default(), record.value))
        .collect();
    assert_eq!(read, made);
    assert_eq!(header.max_timestamp, NOW_MS + last as i64);
}
