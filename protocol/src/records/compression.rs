//! The codecs that a batch's records may be compressed with.
//!
//! Bytes go in, bytes come out. What is inflated comes from strangers, so every codec works through a stream under a
//! hard cap, and memory grows with what has come out, not with what a header claims. What is deflated is in the
//! framing that Java clients read. The contexts of zstd are kept per thread; nothing else is shared.

use std::io::{self, Read, Write};

use bytes::Bytes;

mod lz4;
mod snappy;
mod zstd;

/// A codec, as the low three bits of a batch's attributes name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Records as they are.
    None,
    /// RFC 1952, one or more members.
    Gzip,
    /// Blocks of raw snappy in the framing of xerial's Java library.
    Snappy,
    /// The LZ4 frame format with independent blocks (KIP-57).
    Lz4,
    /// Zstandard frames (KIP-110).
    Zstd,
}

impl Compression {
    /// The codec with this id, 0 to 4.
    ///
    /// # Errors
    /// [`UnknownCodec`] for any other id; on the wire that is UNSUPPORTED_COMPRESSION_TYPE.
    pub const fn from_id(id: i16) -> Result<Self, UnknownCodec> {
        Ok(match id {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            _ => return Err(UnknownCodec(id)),
        })
    }

    /// The id that stands in the attributes.
    pub const fn id(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The name that `compression.type` uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// A codec id that Kafka has not given out: 5, 6 or 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no compression codec with id {0}")]
pub struct UnknownCodec(pub i16);

/// A codec together with how hard it tries when it compresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Codec {
    /// Which one.
    pub compression: Compression,
    /// As `compression.gzip.level` and `compression.zstd.level` count; brought into the codec's range, and without
    /// effect on the others (`compression.lz4.level` is accepted by topics, but the encoder has one speed).
    pub level: i32,
}

impl Codec {
    /// The codec at Kafka's default level.
    pub const fn of(compression: Compression) -> Self {
        let level = match compression {
            Compression::Gzip => GZIP_DEFAULT_LEVEL,
            Compression::Lz4 => 9,
            Compression::Zstd => 3,
            Compression::None | Compression::Snappy => 0,
        };
        Self { compression, level }
    }
}

/// What gzip's level -1 means.
const GZIP_DEFAULT_LEVEL: i32 = 6;

/// Why compressed records could not be inflated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// More comes out than the caller allowed: a bomb, or a limit that is too small.
    #[error("the records inflate to more than {limit_bytes} bytes")]
    TooLarge {
        /// The cap.
        limit_bytes: usize,
    },
    /// The bytes are not what the codec writes, or end too early, or go on too long.
    #[error("the records are no valid {} data: {reason}", compression.name())]
    Malformed {
        /// The codec that the batch names.
        compression: Compression,
        /// What the decoder says.
        reason: Box<str>,
    },
}

impl DecompressError {
    fn malformed(compression: Compression, reason: impl ToString) -> Self {
        Self::Malformed {
            compression,
            reason: reason.to_string().into(),
        }
    }
}

/// Inflates `compressed` to at most `limit_bytes`; for [`Compression::None`] hands back the same bytes.
///
/// # Errors
/// `TooLarge` as soon as the cap is passed; `Malformed` for anything that is not exactly one stream of the codec.
pub fn decompress(compression: Compression, compressed: &Bytes, limit_bytes: usize) -> Result<Bytes, DecompressError> {
    let inflated = match compression {
        Compression::None if compressed.len() > limit_bytes => return Err(DecompressError::TooLarge { limit_bytes }),
        Compression::None => return Ok(compressed.clone()),
        Compression::Gzip => {
            let mut decoder = flate2::bufread::MultiGzDecoder::new(&compressed[..]);
            read_bounded(compression, &mut decoder, compressed.len(), limit_bytes)?
        }
        Compression::Snappy => snappy::decompress(compressed, limit_bytes)?,
        Compression::Lz4 => lz4::decompress(compressed, limit_bytes)?,
        Compression::Zstd => zstd::decompress(compressed, limit_bytes)?,
    };
    Ok(inflated.into())
}

/// Looks at the first bytes only: whether they can be the start of what `compression` names.
///
/// Catches records whose attributes name the wrong codec, and LZ4 frames with linked blocks, which no Java client can
/// read (KIP-57), at no cost. The rest may still be damaged.
///
/// # Errors
/// `Malformed`.
pub fn check_framing(compression: Compression, compressed: &[u8]) -> Result<(), DecompressError> {
    let starts_with = |magic: &[u8]| {
        let found = compressed.starts_with(magic);
        if found {
            Ok(())
        } else {
            Err(DecompressError::malformed(compression, "it starts with other bytes"))
        }
    };
    match compression {
        Compression::None => Ok(()),
        Compression::Gzip => starts_with(&GZIP_MAGIC),
        Compression::Snappy => snappy::check_framing(compressed),
        Compression::Lz4 => lz4::check_framing(compressed),
        Compression::Zstd => starts_with(&ZSTD_MAGIC),
    }
}

/// The two identifying bytes and the only method, deflate.
const GZIP_MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Deflates a records section into the framing that Java reads.
pub fn compress(codec: Codec, section: &[u8]) -> Vec<u8> {
    match codec.compression {
        Compression::None => section.to_vec(),
        Compression::Gzip => compress_gzip(codec.level, section),
        Compression::Snappy => snappy::compress(section),
        Compression::Lz4 => lz4::compress(section),
        Compression::Zstd => zstd::compress(codec.level, section),
    }
}

fn compress_gzip(level: i32, section: &[u8]) -> Vec<u8> {
    let level = if level < 0 {
        GZIP_DEFAULT_LEVEL
    } else {
        level.clamp(1, 9)
    };
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level.unsigned_abs()));
    let written: io::Result<Vec<u8>> = encoder.write_all(section).and_then(|()| encoder.finish());
    written.expect("a Vec accepts every write")
}

/// Reads a decoder to its end, or to one byte beyond the cap.
fn read_bounded(
    compression: Compression,
    decoder: &mut impl Read,
    compressed_bytes: usize,
    limit_bytes: usize,
) -> Result<Vec<u8>, DecompressError> {
    let mut inflated = Vec::with_capacity(first_capacity(compressed_bytes, limit_bytes));
    let read = decoder
        .take((limit_bytes as u64).saturating_add(1))
        .read_to_end(&mut inflated);
    if inflated.len() > limit_bytes {
        return Err(DecompressError::TooLarge { limit_bytes });
    }
    read.map_err(|error| DecompressError::malformed(compression, error))?;
    Ok(inflated)
}

/// Room for the ratio that is usual for text, so that the output seldom moves.
fn first_capacity(compressed_bytes: usize, limit_bytes: usize) -> usize {
    compressed_bytes.saturating_mul(4).min(limit_bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
