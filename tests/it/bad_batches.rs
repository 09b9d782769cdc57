//! Record batches that are not right: refused with their code, and nothing of them is appended.

use bytes::Bytes;
use ottla_protocol::{
    ErrorCode,
    ids::{ProducerEpoch, ProducerId},
    messages::ProduceResponse,
    records::{
        BatchBuilder, Codec, Compression, Header, NewRecord,
        batch::{HEADER_BYTES, update_crc, verify_crc},
        compression::compress,
    },
};
use ottla_tests::{
    client::{Client, batch, first_code, now_ms, produce_request},
    raw::with_broker,
};

/// Where the length of a batch ends, which counts what follows.
const LENGTH_END: usize = 12;
/// Where the attributes of a batch are.
const ATTRIBUTES_AT: usize = 21;

type Outcome = ottla_tests::Result<()>;

/// Changes bytes of a good batch, corrects its checksum, and says what the broker answers.
fn code_for(client: &mut Client, change: impl FnOnce(&mut Vec<u8>)) -> ottla_tests::Result<ErrorCode> {
    let mut bytes = batch(&[b"a", b"b"]).to_vec();
    change(&mut bytes);
    if bytes.len() >= HEADER_BYTES {
        update_crc(&mut bytes);
    }
    Ok(client.produce("t", 0, bytes.into(), -1)?.0)
}

#[test]
fn batches_that_are_not_right_are_refused_with_their_code_and_nothing_is_appended() -> Outcome {
    with_broker("bad-batches", &[], |broker, _| {
        let mut client = broker.connect()?;
        let mut damaged = batch(&[b"a"]).to_vec();
        *damaged.last_mut().expect("a batch has bytes") ^= 1;
        assert_eq!(client.produce("t", 0, damaged.into(), -1)?.0, ErrorCode::CorruptMessage);
        assert_eq!(
            code_for(&mut client, |batch| batch[16] = 1)?,
            ErrorCode::InvalidRecord,
            "magic 1"
        );
        assert_eq!(
            code_for(&mut client, |batch| batch[16] = 3)?,
            ErrorCode::InvalidRecord,
            "magic 3"
        );
        assert_eq!(
            code_for(&mut client, |batch| batch[22] |= 0x20)?,
            ErrorCode::InvalidRecord,
            "control bit"
        );
        assert_eq!(
            code_for(&mut client, |batch| batch[26] = 9)?,
            ErrorCode::InvalidRecord,
            "last offset delta"
        );
        assert_eq!(
            code_for(&mut client, |batch| batch[60] = 9)?,
            ErrorCode::InvalidRecord,
            "records count"
        );
        let unsupported = ErrorCode::UnsupportedCompressionType;
        assert_eq!(code_for(&mut client, |batch| batch[22] = 7)?, unsupported, "codec 7");
        let two = |batch: &mut Vec<u8>| batch.extend_from_within(..);
        assert_eq!(code_for(&mut client, two)?, ErrorCode::InvalidRecord, "two batches");
        assert_eq!(code_for(&mut client, Vec::clear)?, ErrorCode::InvalidRecord, "no batch");
        let zstd = |batch: &mut Vec<u8>| batch[22] = 4;
        let mut old = batch(&[b"a"]).to_vec();
        zstd(&mut old);
        update_crc(&mut old);
        let response: ProduceResponse = client.call(&produce_request("t", 0, old.into(), -1), 6)?;
        assert_eq!(first_code(&response)?, unsupported, "zstd in version 6");
        let large = vec![b'x'; 2 << 20];
        assert_eq!(
            client.produce("t", 0, batch(&[&large]), -1)?.0,
            ErrorCode::MessageTooLarge
        );
        let end = client.fetch("t", 0, 0, 0)?.responses[0].partitions[0].high_watermark;
        assert_eq!(end, 0, "something was appended");
        Ok(())
    })
}

#[test]
fn keys_and_timestamps_are_held_against_the_topic() -> Outcome {
    with_broker("bad-batches", &[], |broker, _| {
        let mut client = broker.connect()?;
        client.create_topic("compacted", 1, &[("cleanup.policy", "compact")])?;
        let mut keyless = BatchBuilder::new();
        let now = now_ms();
        keyless.append(&NewRecord {
            key: None,
            ..NewRecord::of(now, b"", b"v")
        });
        let response = client.call(&produce_request("compacted", 0, keyless.build(), -1), 9)?;
        assert_eq!(first_code(&response)?, ErrorCode::InvalidRecord);
        let errors = &response.responses[0].partition_responses[0].record_errors;
        assert_eq!(errors.iter().map(|error| error.batch_index).collect::<Vec<_>>(), [0]);
        let mut future = BatchBuilder::new();
        future.append(&NewRecord::of(now + 7_200_000, b"k", b"v"));
        assert_eq!(
            client.produce("t", 0, future.build(), -1)?.0,
            ErrorCode::InvalidTimestamp
        );
        Ok(())
    })
}

/// A batch of one record whose records are replaced by `section`, which need not be what the codec writes.
fn compressed(compression: Compression, section: &[u8]) -> Bytes {
    let mut bytes = batch(&[b"x"])[..HEADER_BYTES].to_vec();
    bytes.extend_from_slice(section);
    let length = (bytes.len() - LENGTH_END) as i32;
    bytes[LENGTH_END - 4..LENGTH_END].copy_from_slice(&length.to_be_bytes());
    bytes[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&compression.id().to_be_bytes());
    update_crc(&mut bytes);
    bytes.into()
}

/// What a batch may make the broker hold while it is looked at, whatever it contains: three times the cap of what may
/// come out of it, as a buffer that grows is there twice for a moment.
const LOOK_BYTES_MAX: usize = 384 << 20;
/// The same where the topic allows `INFLATED_BYTES`.
const SMALL_LOOK_BYTES_MAX: usize = 32 << 20;
const INFLATED_BYTES: usize = 1 << 20;

const CODECS: [Compression; 4] = [
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

#[test]
fn a_decompression_bomb_is_too_large_in_every_codec() -> Outcome {
    with_broker("bad-batches", &[], |broker, client| {
        let limit = INFLATED_BYTES.to_string();
        let configs = [
            ("cleanup.policy", "compact"),
            ("max.decompressed.message.bytes", &*limit),
        ];
        client.create_topic("compacted", 1, &configs)?;
        let before = broker.peak_bytes()?;
        for codec in CODECS {
            let bomb = compressed(codec, &compress(Codec::of(codec), &vec![0; 8 * INFLATED_BYTES]));
            let (code, _) = client.produce("compacted", 0, bomb, -1)?;
            assert_eq!(code, ErrorCode::MessageTooLarge, "{}", codec.name());
        }
        let grown = broker.peak_bytes()?.saturating_sub(before);
        assert!(grown < SMALL_LOOK_BYTES_MAX, "{grown} bytes at the peak");
        Ok(())
    })
}

#[test]
fn a_bomb_finds_a_cap_where_the_topic_has_none() -> Outcome {
    with_broker("bad-batches", &[], |broker, client| {
        client.create_topic("compacted", 1, &[("cleanup.policy", "compact")])?;
        let before = broker.peak_bytes()?;
        let codec = Compression::Zstd;
        let bomb = compressed(
            codec,
            &compress(
                Codec {
                    compression: codec,
                    level: 1,
                },
                &vec![0; 1 << 30],
            ),
        );
        let (code, _) = client.produce("compacted", 0, bomb, -1)?;
        assert_eq!(code, ErrorCode::MessageTooLarge);
        let grown = broker.peak_bytes()?.saturating_sub(before);
        assert!(grown < LOOK_BYTES_MAX, "{grown} bytes at the peak");
        Ok(())
    })
}

#[test]
fn sizes_that_are_only_claimed_cost_nothing() -> Outcome {
    with_broker("bad-batches", &[], |broker, client| {
        client.create_topic("compacted", 1, &[("cleanup.policy", "compact")])?;
        let before = broker.peak_bytes()?;
        let xerial = [
            &[0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1][..],
            &[0x7f, 0xff, 0xff, 0xff, 1],
        ]
        .concat();
        let cases: [(Compression, &[u8]); 7] = [
            (Compression::Gzip, &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2]),
            (Compression::Gzip, b"no gzip at all"),
            (Compression::Snappy, &[0xff, 0xff, 0xff, 0xff, 0x07, 0, 1]),
            (Compression::Snappy, &xerial),
            (
                Compression::Lz4,
                &[
                    4, 0x22, 0x4d, 0x18, 0x68, 0x70, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0xdb,
                ],
            ),
            (
                Compression::Zstd,
                &[0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1],
            ),
            (Compression::Zstd, &[]),
        ];
        for (codec, section) in cases {
            let (code, _) = client.produce("compacted", 0, compressed(codec, section), -1)?;
            let is_typed = matches!(code, ErrorCode::InvalidRecord | ErrorCode::MessageTooLarge);
            assert!(is_typed, "{code:?} for {} {section:?}", codec.name());
        }
        // A record of 64 Mi headers that do not come, plain and compressed.
        let headers = [0x10, 0, 0, 0, 2, b'k', 2, b'v', 0x80, 0x80, 0x80, 0x40];
        let record = [&[2 * headers.len() as u8][..], &headers].concat();
        for codec in CODECS.into_iter().chain([Compression::None]) {
            let section = compress(Codec::of(codec), &record);
            let (code, _) = client.produce("compacted", 0, compressed(codec, &section), -1)?;
            assert_eq!(code, ErrorCode::InvalidRecord, "{}", codec.name());
        }
        let grown = broker.peak_bytes()?.saturating_sub(before);
        assert!(grown < SMALL_LOOK_BYTES_MAX, "{grown} bytes at the peak");
        assert_eq!(
            client.fetch("compacted", 0, 0, 0)?.responses[0].partitions[0].high_watermark,
            0
        );
        Ok(())
    })
}

#[test]
fn a_batch_that_no_segment_can_hold_is_refused() -> Outcome {
    with_broker("bad-batches", &[], |_, client| {
        client.create_topic(
            "small",
            1,
            &[("segment.bytes", "1048576"), ("max.message.bytes", "4000000")],
        )?;
        let (code, _) = client.produce("small", 0, batch(&[&vec![b'x'; 1_500_000]]), -1)?;
        assert_eq!(code, ErrorCode::RecordListTooLarge);
        Ok(())
    })
}

#[test]
fn producers_must_say_who_they_are_as_a_whole_and_in_order() -> Outcome {
    with_broker("bad-batches", &[], |_, client| {
        let mut answer = |id: i64, epoch: i16, sequence: i32| {
            let mut builder = BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(epoch), sequence);
            builder.append(&NewRecord::of(now_ms(), b"k", b"v"));
            client.produce("t", 0, builder.build(), -1).map(|(code, _)| code)
        };
        assert_eq!(answer(7, 0, -1)?, ErrorCode::InvalidRecord, "no sequence");
        assert_eq!(answer(7, -1, 0)?, ErrorCode::InvalidRecord, "no epoch");
        assert_eq!(answer(7, 3, 0)?, ErrorCode::None);
        assert_eq!(answer(7, 3, 5)?, ErrorCode::OutOfOrderSequenceNumber, "a gap");
        assert_eq!(answer(7, 2, 1)?, ErrorCode::InvalidProducerEpoch, "BR-13: an old epoch");
        assert_eq!(
            answer(7, 4, 1)?,
            ErrorCode::OutOfOrderSequenceNumber,
            "a new epoch begins at 0"
        );
        assert_eq!(answer(7, 4, 0)?, ErrorCode::None);
        Ok(())
    })
}

/// BR-12: the log has what the producer sent, byte for byte but for offset and epoch.
#[test]
fn batches_of_every_codec_are_kept_as_they_came() -> Outcome {
    with_broker("bad-batches", &[], |_, client| {
        for codec in CODECS.into_iter().chain([Compression::None]) {
            let name = format!("t-{}", codec.name());
            client.create_topic(&name, 1, &[])?;
            let headers = [
                Header {
                    key: b"h",
                    value: Some(b"1"),
                },
                Header { key: b"h", value: None },
            ];
            let mut builder = BatchBuilder::new().codec(Codec::of(codec));
            for value in [b"one", b"two", b"six"] {
                builder.append(&NewRecord {
                    headers: &headers,
                    ..NewRecord::of(now_ms(), b"k", value)
                });
            }
            let sent = builder.build();
            assert_eq!(client.produce(&name, 0, sent.clone(), -1)?, (ErrorCode::None, 0));
            let fetched = client.fetch(&name, 0, 0, 0)?;
            let kept = fetched.responses[0].partitions[0].records.clone().unwrap_or_default();
            verify_crc(&kept)?;
            // The leader epoch lies outside of the checksum.
            assert_eq!(kept[16..], sent[16..], "{}", codec.name());
            assert_eq!(kept[..12], sent[..12], "{}", codec.name());
        }
        // Raw snappy, without the framing of xerial's library, is what some clients write.
        let raw = [9, 32, b'n', b'o', b' ', b'f', b'r', b'a', b'm', b'e', b'!'];
        let sent = compressed(Compression::Snappy, &raw);
        assert_eq!(client.produce("t", 0, sent, -1)?.0, ErrorCode::None);
        Ok(())
    })
}
