use super::*;
use crate::records::batch::verify_crc;
use crate::records::compression::decompress;
use crate::records::record::{Headers, records};
use proptest::prelude::*;

fn unhex(text: &str) -> Bytes {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn header_of(batch: &Bytes) -> BatchHeader {
    BatchHeader::parse(batch).unwrap()
}

fn section_of(batch: &Bytes) -> Bytes {
    let compression = header_of(batch).attributes.compression().unwrap();
    decompress(compression, &batch.slice(HEADER_BYTES..), 1 << 24).unwrap()
}

/// Three records with times out of order, duplicate and null headers, a null key and a null value.
fn sample(codec: Codec) -> Bytes {
    let headers = [
        Header {
            key: b"h",
            value: Some(b"1"),
        },
        Header { key: b"h", value: None },
    ];
    let value = b"value value value value";
    let mut builder = BatchBuilder::new()
        .codec(codec)
        .producer(ProducerId(7), ProducerEpoch(1), 5);
    builder.append(&NewRecord {
        headers: &headers,
        ..NewRecord::of(1000, b"k1", value)
    });
    builder.append(&NewRecord {
        key: None,
        ..NewRecord::of(1005, b"", value)
    });
    builder.append(&NewRecord {
        value: None,
        ..NewRecord::of(998, b"k3", b"")
    });
    builder.build()
}

#[test]
fn a_plain_batch_has_the_bytes_of_javas() {
    // kafka-clients 4.4.0, MemoryRecordsBuilder with the same records.
    let java = "00000000000000000000007fffffffff022ad6242100000000000200000000000003e800000000000003ed00000000000000070\
00100000005000000034c000000046b312e76616c75652076616c75652076616c75652076616c756504026802310268013a000a02012e76616c7565\
2076616c75652076616c75652076616c75650010000304046b330100";
    assert_eq!(sample(Codec::of(Compression::None)), unhex(java));
}

#[test]
fn a_transaction_marker_has_the_bytes_of_javas() {
    // kafka-clients 4.4.0, MemoryRecords.withEndTransactionMarker, at offset 12 under leader epoch 4.
    let java = "000000000000000c00000042000000040241663db30030000000000000000000000bb80000000000000bb80000000000000007\
0001ffffffff000000012000000008000000010c00000000000900";
    let marker = EndTransactionMarker {
        is_commit: true,
        coordinator_epoch: 9,
    };
    let mut batch = end_transaction_batch(marker, ProducerId(7), ProducerEpoch(1), 3000).to_vec();
    batch::set_base_offset(&mut batch, 12);
    batch::set_leader_epoch(&mut batch, LeaderEpoch(4));
    assert_eq!(batch, unhex(java));
}

#[test]
fn every_codec_carries_the_same_records() {
    let plain = sample(Codec::of(Compression::None));
    for compression in [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let batch = sample(Codec::of(compression));
        assert_eq!(verify_crc(&batch), Ok(()));
        assert_eq!(header_of(&batch).attributes.compression(), Ok(compression));
        assert_eq!(header_of(&batch).size_bytes(), batch.len());
        assert_eq!(section_of(&batch), section_of(&plain));
    }
}

#[test]
fn gaps_and_a_missing_last_record_keep_their_offsets() {
    let mut builder = BatchBuilder::new().base_offset(100).last_offset_delta(9);
    builder
        .append_at(3, &NewRecord::of(5, b"k", b"v"))
        .append(&NewRecord::of(5, b"k", b"v"));
    let batch = builder.build();
    let header = header_of(&batch);
    assert_eq!(
        (header.base_offset, header.last_offset(), header.records_count),
        (100, 109, 2)
    );
    let deltas: Vec<_> = records(&section_of(&batch), 2)
        .map(|record| record.unwrap().offset_delta)
        .collect();
    assert_eq!(deltas, [3, 4]);
}

#[test]
#[should_panic(expected = "below the next")]
fn offsets_do_not_go_back() {
    BatchBuilder::new()
        .append(&NewRecord::of(0, b"", b""))
        .append_at(0, &NewRecord::of(0, b"", b""));
}

#[test]
fn a_batch_keeps_its_place_when_compaction_drops_its_ends() {
    let old = sample(Codec::of(Compression::Zstd));
    let header = header_of(&old);
    let section = section_of(&old);
    let kept = records(&section, 3).nth(1).unwrap().unwrap();
    let mut builder = BatchBuilder::in_place_of(&header).codec(Codec::of(Compression::Lz4));
    builder.append_existing(header.base_timestamp, &kept);
    let new = builder.build();
    let same = BatchHeader {
        batch_length: 0,
        crc: 0,
        attributes: Attributes(0),
        records_count: 0,
        ..header
    };
    let header = header_of(&new);
    assert_eq!(
        BatchHeader {
            batch_length: 0,
            crc: 0,
            attributes: Attributes(0),
            records_count: 0,
            ..header
        },
        same
    );
    assert_eq!(section_of(&new), kept.encoded);
}

#[test]
fn a_delete_horizon_moves_the_base_but_not_the_times() {
    let old = sample(Codec::of(Compression::None));
    let header = header_of(&old);
    let section = section_of(&old);
    let mut builder = BatchBuilder::in_place_of(&header).delete_horizon(5000);
    for record in records(&section, 3) {
        builder.append_existing(header.base_timestamp, &record.unwrap());
    }
    let new = builder.build();
    let header = header_of(&new);
    assert!(header.attributes.has_delete_horizon());
    assert_eq!((header.base_timestamp, header.max_timestamp), (5000, 1005));
    let times: Vec<_> = records(&section_of(&new), 3)
        .map(|record| record.unwrap().timestamp(5000))
        .collect();
    assert_eq!(times, [1000, 1005, 998]);
}

#[test]
fn a_batch_without_records_is_a_header() {
    let header = header_of(&sample(Codec::of(Compression::Gzip)));
    assert_eq!(header.max_timestamp, 1005);
    let batch = BatchBuilder::in_place_of(&header)
        .codec(Codec::of(Compression::Gzip))
        .build();
    assert_eq!(batch.len(), HEADER_BYTES);
    let emptied = header_of(&batch);
    assert_eq!(
        (emptied.records_count, emptied.last_offset_delta, emptied.max_timestamp),
        (0, 2, 1005)
    );
    assert_eq!(emptied.attributes.compression(), Ok(Compression::None));
}

#[test]
fn append_time_holds_for_the_whole_batch() {
    let mut builder = BatchBuilder::new().log_append_time(50);
    builder.append(&NewRecord::of(9000, b"k", b"v"));
    let header = header_of(&builder.build());
    assert_eq!(
        (header.max_timestamp, header.attributes.timestamp_type()),
        (50, TimestampType::LogAppendTime)
    );
}

type Field = Option<Vec<u8>>;
type Owned = (i64, Field, Field, Vec<(Vec<u8>, Field)>);

fn field() -> impl Strategy<Value = Field> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..100))
}

fn owned() -> impl Strategy<Value = Owned> {
    let header = (proptest::collection::vec(any::<u8>(), 0..4), field());
    (any::<i64>(), field(), field(), proptest::collection::vec(header, 0..4))
}

fn build(written: &[Owned], codec: Codec) -> Bytes {
    let mut builder = BatchBuilder::new().codec(codec);
    for (timestamp, key, value, headers) in written {
        let headers: Vec<_> = headers
            .iter()
            .map(|(key, value)| Header {
                key,
                value: value.as_deref(),
            })
            .collect();
        let (key, value) = (key.as_deref(), value.as_deref());
        builder.append(&NewRecord {
            timestamp: *timestamp,
            key,
            value,
            headers: &headers,
        });
    }
    builder.build()
}

fn to_owned(headers: Headers<'_>) -> Vec<(Vec<u8>, Field)> {
    headers
        .map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)))
        .collect()
}

proptest! {
    #[test]
    fn records_come_back(written in proptest::collection::vec(owned(), 1..20), id in 0i16..5) {
        let batch = build(&written, Codec::of(Compression::from_id(id).unwrap()));
        prop_assert_eq!(verify_crc(&batch), Ok(()));
        let header = header_of(&batch);
        prop_assert_eq!(header.max_timestamp, written.iter().map(|it| it.0).max().unwrap().max(NO_TIMESTAMP));
        let section = section_of(&batch);
        let mut count = 0;
        for (record, (timestamp, key, value, headers)) in records(&section, header.records_count).zip(&written) {
            let record = record.unwrap();
            prop_assert_eq!(record.offset_delta, count);
            prop_assert_eq!(header.base_timestamp.wrapping_add(record.timestamp_delta), *timestamp);
            prop_assert_eq!(record.key, key.as_deref());
            prop_assert_eq!(record.value, value.as_deref());
            prop_assert_eq!(&to_owned(record.headers), headers);
            count += 1;
        }
        prop_assert_eq!(count as usize, written.len());
    }

    #[test]
    fn damaged_sections_never_panic(written in proptest::collection::vec(owned(), 1..5), at: usize, byte: u8) {
        let batch = build(&written, Codec::of(Compression::None));
        let mut section = section_of(&batch).to_vec();
        let at = at % section.len();
        section[at] = byte;
        for record in records(&section, written.len() as i32).flatten() {
            prop_assert_eq!(record.headers.count(), record.headers.len());
        }
    }
}
