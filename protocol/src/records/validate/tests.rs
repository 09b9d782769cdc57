use super::*;
use crate::ids::{ProducerEpoch, ProducerId};
use crate::records::batch::{Attributes, NO_SEQUENCE};
use crate::records::builder::{BatchBuilder, NewRecord};
use crate::records::record::RecordFault;
use proptest::prelude::*;

const NOW: TimestampMs = 1_700_000_000_000;
const HOUR: i64 = 3_600_000;
const ALL: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

/// Kafka's defaults.
const RULES: ProduceRules = ProduceRules {
    max_message_bytes: 1_048_588,
    max_inflated_bytes: 16 << 20,
    timestamp_type: TimestampType::CreateTime,
    timestamp_before_max_ms: i64::MAX,
    timestamp_after_max_ms: HOUR,
    now_ms: NOW,
    is_compacted: false,
    compression: TopicCompression::Producer,
    allow_transactional: true,
    allow_zstd: true,
    inspect_all: false,
};
const COMPACTED: ProduceRules = ProduceRules {
    is_compacted: true,
    ..RULES
};
const WATCHFUL: ProduceRules = ProduceRules {
    inspect_all: true,
    ..RULES
};

fn builder(compression: Compression) -> BatchBuilder {
    BatchBuilder::new().codec(Codec::of(compression))
}

fn at_times(compression: Compression, timestamps: &[TimestampMs]) -> Bytes {
    let mut builder = builder(compression);
    for timestamp in timestamps {
        builder.append(&NewRecord::of(*timestamp, b"key", b"value value value value"));
    }
    builder.build()
}

fn sample(compression: Compression) -> Bytes {
    at_times(compression, &[NOW, NOW + 1, NOW - 1])
}

/// The sample with another header and a right checksum.
fn with_edited_header(compression: Compression, edit: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let batch = sample(compression);
    let mut header = BatchHeader::parse(&batch).unwrap();
    edit(&mut header);
    with_header(&batch, &header)
}

fn with_attributes(edit: impl FnOnce(Attributes) -> Attributes) -> Bytes {
    with_edited_header(Compression::None, |header| header.attributes = edit(header.attributes))
}

fn error_of(batch: Bytes, rules: &ProduceRules) -> ProduceError {
    validate_produce(batch, rules).unwrap_err()
}

fn refusals_of(batch: Bytes, rules: &ProduceRules) -> Vec<(i32, RefusalReason)> {
    match error_of(batch, rules) {
        ProduceError::Refused(refusals) => refusals.iter().map(|it| (it.index, it.reason)).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_batch_stays_the_bytes_that_came() {
    for compression in ALL {
        for rules in [RULES, COMPACTED, WATCHFUL] {
            let batch = sample(compression);
            let validated = validate_produce(batch.clone(), &rules).unwrap();
            assert_eq!(validated.batch.as_ptr(), batch.as_ptr(), "{compression:?} was copied");
            assert_eq!(validated.header, BatchHeader::parse(&batch).unwrap());
            assert_eq!((validated.max_timestamp, validated.log_append_time), (NOW + 1, None));
        }
    }
}

#[test]
fn there_is_exactly_one_batch() {
    let batch = sample(Compression::None);
    assert_eq!(error_of(Bytes::new(), &RULES), ProduceError::Empty);
    assert_eq!(
        error_of([&batch[..], &batch[..]].concat().into(), &RULES),
        ProduceError::SeveralBatches
    );
    assert_eq!(
        error_of([&batch[..], &batch[..70]].concat().into(), &RULES),
        ProduceError::BytesAfterBatch(70)
    );
    assert_eq!(
        error_of([&batch[..], b"x"].concat().into(), &RULES),
        ProduceError::BytesAfterBatch(1)
    );
}

#[test]
fn a_batch_cut_at_any_byte_is_cut_off() {
    for compression in ALL {
        let batch = sample(compression);
        for end in 1..batch.len() {
            let error = error_of(batch.slice(..end), &WATCHFUL);
            assert!(
                matches!(error, ProduceError::Batch(BatchError::Truncated { .. })),
                "{end}: {error}"
            );
        }
    }
}

#[test]
fn a_wrong_checksum_is_found_before_anything_in_the_header() {
    let mut batch = with_attributes(|_| Attributes(7)).to_vec();
    batch[17] ^= 1;
    assert!(matches!(
        error_of(batch.into(), &RULES),
        ProduceError::Batch(BatchError::CrcMismatch { .. })
    ));
}

#[test]
fn the_old_formats_are_refused_by_name() {
    let mut batch = sample(Compression::None).to_vec();
    batch[16] = 1;
    assert_eq!(
        error_of(batch.into(), &RULES),
        ProduceError::Batch(BatchError::LegacyMagic(1))
    );
}

#[test]
fn a_batch_of_exactly_the_limit_passes() {
    let batch = sample(Compression::None);
    let rules = ProduceRules {
        max_message_bytes: batch.len(),
        ..RULES
    };
    assert!(validate_produce(batch.clone(), &rules).is_ok());
    let (batch_bytes, max_message_bytes) = (batch.len(), batch.len() - 1);
    let error = error_of(
        batch,
        &ProduceRules {
            max_message_bytes,
            ..RULES
        },
    );
    assert_eq!(
        error,
        ProduceError::TooLarge {
            batch_bytes,
            max_message_bytes
        }
    );
}

#[test]
fn codecs_that_do_not_exist_or_not_yet_are_unsupported() {
    for id in 5..8 {
        assert_eq!(
            error_of(with_attributes(|_| Attributes(id)), &RULES),
            ProduceError::UnknownCodec(UnknownCodec(id))
        );
    }
    let old_version = ProduceRules {
        allow_zstd: false,
        ..RULES
    };
    assert_eq!(
        error_of(sample(Compression::Zstd), &old_version),
        ProduceError::ZstdNotAllowed
    );
    assert!(validate_produce(sample(Compression::Lz4), &old_version).is_ok());
}

#[test]
fn the_header_has_to_be_a_producers() {
    let edited = |edit: fn(&mut BatchHeader)| error_of(with_edited_header(Compression::None, edit), &RULES);
    assert_eq!(edited(|header| header.base_offset = 5), ProduceError::BaseOffset(5));
    assert_eq!(
        error_of(with_attributes(|it| it.with_control(true)), &RULES),
        ProduceError::Control
    );
    assert_eq!(
        error_of(with_attributes(|it| it.with_delete_horizon(true)), &RULES),
        ProduceError::DeleteHorizon
    );
    let append_time = with_attributes(|it| it.with_timestamp_type(TimestampType::LogAppendTime));
    assert_eq!(error_of(append_time, &RULES), ProduceError::LogAppendTime);
}

#[test]
fn the_records_count_has_to_agree_with_the_offsets() {
    for (records_count, last_offset_delta) in [(0, 0), (0, 2), (3, 3), (2, 2), (i32::MAX, 2), (4, 2)] {
        let edit = |header: &mut BatchHeader| {
            (header.records_count, header.last_offset_delta) = (records_count, last_offset_delta);
        };
        let error = error_of(with_edited_header(Compression::None, edit), &RULES);
        assert_eq!(
            error,
            ProduceError::RecordsCount {
                records_count,
                last_offset_delta
            }
        );
    }
}

#[test]
fn a_count_that_the_records_do_not_bear_out_is_malformed() {
    for compression in ALL {
        let counted = |count: i32| {
            with_edited_header(compression, |header| {
                (header.records_count, header.last_offset_delta) = (count, count - 1);
            })
        };
        let fault = |count| match error_of(counted(count), &WATCHFUL) {
            ProduceError::Malformed(error) => (error.index, error.fault),
            other => panic!("{other:?}"),
        };
        assert_eq!(fault(4), (3, RecordFault::CutOff));
        assert!(matches!(fault(2), (2, RecordFault::BytesAfterLast(_))));
        assert_eq!(fault(i32::MAX), (3, RecordFault::CutOff));
    }
}

#[test]
fn a_producer_is_named_wholly_or_not_at_all() {
    let produced = |id, epoch, sequence, transactional: bool| {
        let batch = with_edited_header(Compression::None, |header| {
            header.producer_id = ProducerId(id);
            header.producer_epoch = ProducerEpoch(epoch);
            header.base_sequence = sequence;
            header.attributes = header.attributes.with_transactional(transactional);
        });
        move |rules: &ProduceRules| validate_produce(batch.clone(), rules).map(drop)
    };
    assert_eq!(produced(7, 0, 0, false)(&RULES), Ok(()));
    assert_eq!(
        produced(7, 0, NO_SEQUENCE, false)(&RULES),
        Err(ProduceError::IncompleteProducer(7))
    );
    assert_eq!(
        produced(7, -1, 0, false)(&RULES),
        Err(ProduceError::IncompleteProducer(7))
    );
    assert_eq!(
        produced(-1, -1, -1, true)(&RULES),
        Err(ProduceError::NoTransactionalProducer)
    );
    assert_eq!(produced(7, 0, 0, true)(&RULES), Ok(()));
    let plain_request = ProduceRules {
        allow_transactional: false,
        ..RULES
    };
    assert_eq!(
        produced(7, 0, 0, true)(&plain_request),
        Err(ProduceError::TransactionalNotAllowed)
    );
}

#[test]
fn records_without_key_are_named_on_a_compacted_topic() {
    for compression in ALL {
        let mut builder = builder(compression);
        for index in 0..4 {
            let key = (index % 2 == 0).then_some(&b"k"[..]);
            builder.append(&NewRecord {
                key,
                ..NewRecord::of(NOW, b"", b"v")
            });
        }
        let batch = builder.build();
        assert!(validate_produce(batch.clone(), &RULES).is_ok());
        assert_eq!(
            refusals_of(batch, &COMPACTED),
            [(1, RefusalReason::NoKey), (3, RefusalReason::NoKey)]
        );
    }
}

#[test]
fn timestamps_too_far_ahead_are_named() {
    for compression in ALL {
        assert!(validate_produce(at_times(compression, &[NOW + HOUR]), &RULES).is_ok());
        let late = NOW + HOUR + 1;
        let expected = RefusalReason::Timestamp {
            timestamp: late,
            earliest: NOW - i64::MAX,
            latest: NOW + HOUR,
        };
        assert_eq!(
            refusals_of(at_times(compression, &[NOW, late, 0]), &RULES),
            [(1, expected)]
        );
        // Microseconds, as some clients send them.
        assert_eq!(refusals_of(at_times(compression, &[NOW * 1000]), &RULES).len(), 1);
    }
}

#[test]
fn timestamps_too_far_back_are_named() {
    let rules = ProduceRules {
        timestamp_before_max_ms: HOUR,
        ..RULES
    };
    for compression in ALL {
        assert!(validate_produce(at_times(compression, &[NOW - HOUR]), &rules).is_ok());
        let early = NOW - HOUR - 1;
        let expected = RefusalReason::Timestamp {
            timestamp: early,
            earliest: NOW - HOUR,
            latest: NOW + HOUR,
        };
        assert_eq!(
            refusals_of(at_times(compression, &[NOW, NOW, early]), &rules),
            [(2, expected)]
        );
    }
}

#[test]
fn records_without_timestamp_are_allowed() {
    let strict = ProduceRules {
        timestamp_before_max_ms: 0,
        timestamp_after_max_ms: 0,
        ..RULES
    };
    for compression in ALL {
        let validated = validate_produce(at_times(compression, &[NO_TIMESTAMP; 2]), &strict).unwrap();
        assert_eq!(validated.max_timestamp, NO_TIMESTAMP);
    }
}

#[test]
fn limits_and_timestamps_at_the_edges_do_not_overflow() {
    let edges = [i64::MIN, -5, 0, i64::MAX];
    for (before, after) in [(0, 0), (i64::MAX, i64::MAX), (i64::MAX - 1, i64::MAX - 1)] {
        let rules = ProduceRules {
            timestamp_before_max_ms: before,
            timestamp_after_max_ms: after,
            ..RULES
        };
        for timestamp in edges {
            let verdict = validate_produce(at_times(Compression::None, &[timestamp]), &rules);
            assert_eq!(
                verdict.is_ok(),
                before > 0 && timestamp > i64::MIN,
                "{before} {timestamp}"
            );
        }
    }
}

#[test]
fn a_wrong_max_timestamp_is_put_right_where_the_records_were_read() {
    for (compression, rules) in [
        (Compression::None, RULES),
        (Compression::Zstd, WATCHFUL),
        (Compression::Lz4, RULES),
    ] {
        // Out of range, so that the default rules read the records too.
        let lying = with_edited_header(compression, |header| header.max_timestamp = i64::MAX);
        let validated = validate_produce(lying, &rules).unwrap();
        assert_eq!(validated.batch, sample(compression));
        assert_eq!(
            (validated.max_timestamp, validated.header.max_timestamp),
            (NOW + 1, NOW + 1)
        );
    }
}

#[test]
fn append_time_is_left_to_the_caller_and_asks_nothing_of_the_producers_times() {
    let rules = ProduceRules {
        timestamp_type: TimestampType::LogAppendTime,
        timestamp_before_max_ms: 0,
        ..RULES
    };
    for compression in ALL {
        let batch = at_times(compression, &[0, i64::MAX]);
        let validated = validate_produce(batch.clone(), &rules).unwrap();
        assert_eq!((validated.max_timestamp, validated.log_append_time), (NOW, Some(NOW)));
        assert_eq!(validated.batch, batch);
    }
}

#[test]
fn gaps_in_the_offsets_are_named() {
    let mut builder = builder(Compression::Gzip);
    builder
        .append(&NewRecord::of(NOW, b"k", b"v"))
        .append_at(2, &NewRecord::of(NOW, b"k", b"v"));
    let header = BatchHeader {
        records_count: 2,
        last_offset_delta: 1,
        ..BatchHeader::parse(&builder.build()).unwrap()
    };
    let batch = with_header(&builder.build(), &header);
    assert_eq!(refusals_of(batch, &WATCHFUL), [(1, RefusalReason::OffsetDelta(2))]);
}

#[test]
fn the_topics_codec_replaces_the_producers() {
    for from in ALL {
        for to in ALL {
            let rules = ProduceRules {
                compression: TopicCompression::Codec(Codec::of(to)),
                ..RULES
            };
            let batch = with_edited_header(from, |header| {
                (header.producer_id, header.producer_epoch, header.base_sequence) =
                    (ProducerId(7), ProducerEpoch(1), 5);
            });
            let validated = validate_produce(batch.clone(), &rules).unwrap();
            assert_eq!(batch::verify_crc(&validated.batch), Ok(()));
            assert_eq!(validated.header.attributes.compression(), Ok(to));
            assert_eq!(
                (validated.header.producer_id, validated.header.base_sequence),
                (ProducerId(7), 5)
            );
            let payload = validated.batch.slice(HEADER_BYTES..);
            let inflated = compression::decompress(to, &payload, 1 << 20).unwrap();
            assert_eq!(inflated, sample(Compression::None).slice(HEADER_BYTES..));
        }
    }
}

#[test]
fn a_batch_that_the_topics_codec_makes_too_large_is_refused() {
    let batch = at_times(Compression::Zstd, &[NOW; 500]);
    let compression = TopicCompression::Codec(Codec::of(Compression::None));
    let rules = ProduceRules {
        max_message_bytes: batch.len() + 10,
        compression,
        ..RULES
    };
    assert!(matches!(error_of(batch, &rules), ProduceError::TooLarge { .. }));
}

#[test]
fn a_bomb_is_stopped_at_the_cap_and_only_where_it_is_opened() {
    let zeros = vec![0; 8 << 20];
    let mut builder = builder(Compression::Zstd);
    builder.append(&NewRecord::of(NOW, b"k", &zeros));
    let bomb = builder.build();
    let limit_bytes = 1 << 20;
    let rules = ProduceRules {
        max_inflated_bytes: limit_bytes,
        ..COMPACTED
    };
    assert_eq!(
        error_of(bomb.clone(), &rules),
        DecompressError::TooLarge { limit_bytes }.into()
    );
    assert!(
        validate_produce(
            bomb,
            &ProduceRules {
                is_compacted: false,
                ..rules
            }
        )
        .is_ok()
    );
}

#[test]
fn plain_records_under_a_codecs_name_are_refused_without_inflating() {
    for compression in [Compression::Gzip, Compression::Lz4, Compression::Zstd] {
        let batch = with_attributes(|attributes| attributes.with_compression(compression));
        assert!(matches!(
            error_of(batch, &RULES),
            ProduceError::Decompress(DecompressError::Malformed { .. })
        ));
    }
}

#[test]
fn an_answer_names_a_bounded_number_of_records() {
    let batch = at_times(Compression::None, &[i64::MAX; 500]);
    assert_eq!(refusals_of(batch, &RULES).len(), NAMED_REFUSALS_MAX);
}

proptest! {
    #[test]
    fn damage_behind_a_right_checksum_never_panics(id in 0i16..5, at: usize, byte: u8, cut: bool) {
        let mut batch = sample(Compression::from_id(id).unwrap()).to_vec();
        let at = 21 + at % (batch.len() - 21);
        if cut {
            batch.truncate(at.max(HEADER_BYTES));
            let length = (batch.len() - batch::LOG_OVERHEAD) as i32;
            batch[8..12].copy_from_slice(&length.to_be_bytes());
        } else {
            batch[at] = byte;
        }
        batch::update_crc(&mut batch);
        let codec = TopicCompression::Codec(Codec::of(Compression::Snappy));
        for rules in [RULES, COMPACTED, WATCHFUL, ProduceRules { compression: codec, ..RULES }] {
            if let Ok(validated) = validate_produce(batch.clone().into(), &rules) {
                prop_assert_eq!(batch::verify_crc(&validated.batch), Ok(()));
            }
        }
    }

    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(validate_produce(noise.into(), &WATCHFUL).is_err());
    }
}
