//! The codecs that a batch's records may be compressed with.

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
