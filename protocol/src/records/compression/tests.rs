use super::*;
use proptest::prelude::*;

const CODECS: [Compression; 4] = [
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];
const LIMIT: usize = 1 << 20;

fn unhex(text: &str) -> Bytes {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn inflate(compression: Compression, compressed: &[u8]) -> Result<Bytes, DecompressError> {
    decompress(compression, &Bytes::copy_from_slice(compressed), LIMIT)
}

fn is_malformed(result: &Result<Bytes, DecompressError>) -> bool {
    matches!(result, Err(DecompressError::Malformed { .. }))
}

/// Lines of JSON, long enough for several blocks of every codec.
fn text() -> Vec<u8> {
    (0..4000u32)
        .flat_map(|i| format!("{{\"id\":{i},\"hash\":{}}}\n", i.wrapping_mul(2_654_435_761)).into_bytes())
        .collect()
}

/// The records section of three records that kafka-clients 4.4.0 wrote, plain and with each codec.
const JAVA_PLAIN: &str = "4c000000046b312e76616c75652076616c75652076616c75652076616c756504026802310268013a000a02012e7661\
6c75652076616c75652076616c75652076616c75650010000304046b330100";
const JAVA: [(Compression, &str); 4] = [
    (
        Compression::Gzip,
        "1f8b08000000000000fff361606060c936d42b4bcc294d55c020599832980c993218ad18b898187129621060606661c93666640000deb7\
6cc14e000000",
    ),
    (
        Compression::Snappy,
        "82534e415050590000000001000000010000002f4e344c000000046b312e76616c7565204206003004026802310268013a000a02015e25\
00240010000304046b330100",
    ),
    (
        Compression::Lz4,
        "04224d186040822d000000ed4c000000046b312e76616c7565200600df04026802310268013a000a0201250005a00010000304046b3301\
0000000000",
    ),
    (
        Compression::Zstd,
        "28b52ffd00587c010054024c000000046b312e76616c75652004026802310268013a000a02010010000304046b330100020048815fe6a2\
04010000",
    ),
];

#[test]
fn what_java_compressed_is_inflated() {
    for (compression, deflated) in JAVA {
        assert_eq!(
            inflate(compression, &unhex(deflated)),
            Ok(unhex(JAVA_PLAIN)),
            "{compression:?}"
        );
        assert_eq!(check_framing(compression, &unhex(deflated)), Ok(()));
    }
}

#[test]
fn snappy_and_lz4_are_written_in_javas_framing() {
    let snappy = compress(Codec::of(Compression::Snappy), &text());
    assert_eq!(snappy[..16], *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
    let lz4 = compress(Codec::of(Compression::Lz4), &text());
    // Magic; version 1, independent blocks, no checksums, no size; 64 KiB; checksum of the header.
    assert_eq!(lz4[..7], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
}

#[test]
fn what_is_compressed_comes_back_at_every_level() {
    let text = text();
    for compression in CODECS {
        for level in [i32::MIN, -1, 0, 1, 9, 12, i32::MAX] {
            let deflated = compress(Codec { compression, level }, &text);
            assert!(deflated.len() < text.len() || level < -1, "{compression:?} {level}");
            assert_eq!(
                inflate(compression, &deflated).unwrap(),
                text,
                "{compression:?} {level}"
            );
        }
    }
    let gzip = |level| {
        compress(
            Codec {
                compression: Compression::Gzip,
                level,
            },
            &text,
        )
        .len()
    };
    assert!(gzip(1) > gzip(9) && gzip(-1) == gzip(6));
}

#[test]
fn the_cap_is_exact() {
    let text = Bytes::from(text());
    for compression in CODECS.into_iter().chain([Compression::None]) {
        let deflated = Bytes::from(compress(Codec::of(compression), &text));
        assert_eq!(
            decompress(compression, &deflated, text.len()).unwrap(),
            text,
            "{compression:?}"
        );
        assert_eq!(
            decompress(compression, &deflated, usize::MAX).unwrap(),
            text,
            "{compression:?}"
        );
        let limit_bytes = text.len() - 1;
        let refused = decompress(compression, &deflated, limit_bytes);
        assert_eq!(
            refused,
            Err(DecompressError::TooLarge { limit_bytes }),
            "{compression:?}"
        );
    }
}

#[test]
fn a_bomb_is_stopped_at_the_cap() {
    let zeros = vec![0; 64 << 20];
    for compression in CODECS {
        let bomb = compress(Codec::of(compression), &zeros);
        assert_eq!(
            inflate(compression, &bomb),
            Err(DecompressError::TooLarge { limit_bytes: LIMIT })
        );
    }
}

#[test]
fn every_truncation_is_refused() {
    let text = &text()[..70_000];
    for compression in CODECS {
        let deflated = compress(Codec::of(compression), text);
        let ends = (0..deflated.len().min(300))
            .chain((300..deflated.len()).step_by(97))
            .chain([deflated.len() - 1]);
        for end in ends {
            let result = inflate(compression, &deflated[..end]);
            // Snappy's framing has no end mark: a cut between blocks shows only in the count of records.
            let is_block_end =
                compression == Compression::Snappy && matches!(&result, Ok(part) if text.starts_with(part));
            assert!(
                is_malformed(&result) || is_block_end,
                "{compression:?} at {end}: {result:?}"
            );
        }
    }
}

#[test]
fn bytes_after_the_stream_are_refused() {
    for (compression, deflated) in JAVA {
        let longer = [&unhex(deflated)[..], &[7]].concat();
        assert!(is_malformed(&inflate(compression, &longer)), "{compression:?}");
    }
}

#[test]
fn plain_records_under_a_codecs_name_are_refused_by_their_first_bytes() {
    let plain = unhex(JAVA_PLAIN);
    for compression in [Compression::Gzip, Compression::Lz4, Compression::Zstd] {
        assert!(check_framing(compression, &plain).is_err(), "{compression:?}");
        assert!(check_framing(compression, &[]).is_err(), "{compression:?}");
    }
    assert!(check_framing(Compression::Snappy, &[]).is_err());
    assert_eq!(check_framing(Compression::None, &plain), Ok(()));
}

#[test]
fn raw_snappy_is_read_as_well() {
    let raw = snap::raw::Encoder::new().compress_vec(&text()).unwrap();
    assert_eq!(inflate(Compression::Snappy, &raw).unwrap(), text());
    assert_eq!(check_framing(Compression::Snappy, &raw), Ok(()));
}

#[test]
fn snappy_blocks_that_claim_too_much_cost_no_memory() {
    // One raw block that claims 4 GiB less one byte.
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
    assert!(is_malformed(&decompress(
        Compression::Snappy,
        &Bytes::copy_from_slice(&claim),
        usize::MAX
    )));
    let framed = |length: u32| {
        [
            &b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"[..],
            &length.to_be_bytes(),
            &claim[..],
        ]
        .concat()
    };
    for length in [0, 7, 8, u32::MAX] {
        assert!(is_malformed(&inflate(Compression::Snappy, &framed(length))), "{length}");
    }
}

#[test]
fn snappys_densest_block_is_within_the_ratio() {
    let zeros = vec![0; LIMIT];
    let raw = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
    assert!(zeros.len() / raw.len() > 20, "the bound is near what happens");
    assert_eq!(inflate(Compression::Snappy, &raw).unwrap(), zeros);
}

#[test]
fn lz4_frames_that_java_cannot_read_are_refused() {
    use lz4_flex::frame::{BlockMode, FrameEncoder, FrameInfo};
    let frame = |info: FrameInfo| {
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(&text()).unwrap();
        encoder.finish().unwrap()
    };
    let whole = FrameInfo::new()
        .block_checksums(true)
        .content_checksum(true)
        .content_size(Some(text().len() as u64));
    let deflated = frame(whole.clone().block_mode(BlockMode::Independent));
    assert_eq!(inflate(Compression::Lz4, &deflated).unwrap(), text());
    let deflated = frame(whole.block_mode(BlockMode::Linked));
    assert!(is_malformed(&inflate(Compression::Lz4, &deflated)));
    assert!(check_framing(Compression::Lz4, &deflated).is_err());
}

#[test]
fn zstd_windows_above_128_mib_are_refused() {
    // Frame header without content size; the window byte is exponent << 3, on top of 10.
    let frame = |window_log: u8| [&ZSTD_MAGIC[..], &[0, (window_log - 10) << 3], &[1, 0, 0]].concat();
    assert_eq!(inflate(Compression::Zstd, &frame(27)), Ok(Bytes::new()));
    assert!(is_malformed(&inflate(Compression::Zstd, &frame(28))));
}

#[test]
fn frames_and_members_that_follow_each_other_are_one_stream() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let part = |text: &[u8]| compress(Codec::of(compression), text);
        assert_eq!(
            inflate(compression, &[part(b"one"), part(b"two")].concat()).unwrap(),
            &b"onetwo"[..]
        );
    }
}

#[test]
fn a_failed_frame_does_not_disturb_the_next() {
    let deflated = compress(Codec::of(Compression::Zstd), &text());
    for end in [3, 20, deflated.len() / 2] {
        assert!(inflate(Compression::Zstd, &deflated[..end]).is_err());
        assert_eq!(inflate(Compression::Zstd, &deflated).unwrap(), text());
    }
}

#[test]
fn ids_and_names_are_kafkas() {
    let all: Vec<_> = (0..5).map(|id| Compression::from_id(id).unwrap()).collect();
    assert_eq!(
        all.iter().map(|it| it.name()).collect::<Vec<_>>(),
        ["none", "gzip", "snappy", "lz4", "zstd"]
    );
    assert_eq!(all.iter().map(|it| it.id()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(Compression::from_id(5), Err(UnknownCodec(5)));
}

proptest! {
    #[test]
    fn any_bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        for compression in CODECS {
            let deflated = compress(Codec::of(compression), &bytes);
            if !bytes.is_empty() || compression != Compression::Snappy {
                prop_assert_eq!(check_framing(compression, &deflated), Ok(()));
            }
            prop_assert_eq!(inflate(compression, &deflated).unwrap(), &bytes);
        }
    }

    #[test]
    fn noise_and_damage_never_panic(noise in proptest::collection::vec(any::<u8>(), 0..200), at: usize, bit in 0u8..8) {
        for (compression, deflated) in JAVA {
            let _ = inflate(compression, &noise);
            let mut damaged = unhex(deflated).to_vec();
            let at = at % damaged.len();
            damaged[at] ^= 1u8 << bit;
            let _ = inflate(compression, &damaged);
        }
    }
}
