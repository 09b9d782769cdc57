//! Sound inputs of each kind, from which the others are made.

use crate::batches::CODECS;
use ottla_protocol::ids::{ProducerEpoch, ProducerId};
use ottla_protocol::records::batch::HEADER_BYTES;
use ottla_protocol::records::{BatchBuilder, Codec, Compression, NewRecord};

fn built(compression: Compression) -> Vec<u8> {
    let mut builder = BatchBuilder::new().codec(Codec::of(compression));
    for at in 0..3 {
        builder.append(&NewRecord::of(1_700_000_000_000 + at, b"key", &[b'v'; 30]));
    }
    builder.build().to_vec()
}

pub(crate) fn batches() -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    for (number, compression) in (0_u8..).zip(CODECS) {
        let batch = built(compression);
        inputs.push([&[0b10_0100, 9], &batch[..]].concat());
        inputs.push([&[0b10_0111, 4 - number], &batch[..]].concat());
    }
    let mut builder = BatchBuilder::new()
        .producer(ProducerId(5), ProducerEpoch(1), 3)
        .transactional();
    builder.append(&NewRecord::of(1, b"", b""));
    inputs.push([&[0b11_0100, 9], &builder.build()[..]].concat());
    inputs
}

pub(crate) fn records() -> Vec<Vec<u8>> {
    let mut inputs = vec![[&[8, 1], &b"\x10\0\0\0\x02k\x02v\0"[..]].concat()];
    for (number, compression) in (0_u8..).zip(CODECS) {
        inputs.push([&[number], &built(compression)[HEADER_BYTES..]].concat());
        inputs.push([&[number | 16], &b"\x03abc\x83xyz\x00"[..]].concat());
    }
    inputs
}

pub(crate) fn logs() -> Vec<Vec<u8>> {
    let files = 0..16;
    let inputs = files.flat_map(|file| {
        [
            vec![file, 0, 0, 200, 1],
            vec![file, 6, 0, 100, 0, 0, 1, 2, 3],
            vec![file, 9, 0, 60, 0, 0x80],
            // The position in the first entry of an index of offsets, after a clean stop.
            vec![file, 1, 0, 4, 0, 0, 0, 2, 77],
        ]
    });
    inputs.collect()
}

pub(crate) fn dirs() -> Vec<Vec<u8>> {
    let contents = [
        "0\n1\nt 0 5\n",
        "0\n2\nt 0 5\nu 1 7\n",
        "0\n1\nt 0 3\n",
        "0\n1\nt 0 4\n",
        "#\nversion=1\ncluster.id=a\nnode.id=1\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ\n",
        "{\"version\":0,\"brokerEpoch\":7}",
        "0b6f7f0e-3f5c-4d0e-8c33-0a2c8c0f6b3a",
        "version: 0\ntopic_id: AQEBAQEBAQEBAQEBAQEBAQ",
    ];
    let inputs = (0_u8..)
        .zip(contents)
        .map(|(file, content)| [&[file], content.as_bytes()].concat());
    inputs.collect()
}
