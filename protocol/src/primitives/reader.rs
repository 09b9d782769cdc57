//! Decoding that neither copies nor trusts.

use super::{MAX_ELEMENTS, MAX_TAGGED_FIELDS, Str};
use crate::ids::Uuid;
use bytes::Bytes;

/// Why bytes are not the message they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a value.
    #[error("the bytes end inside a value")]
    Truncated,
    /// A count or length that the remaining bytes cannot hold, or that is above the protocol's limit.
    #[error("a count or length of {0} cannot be right")]
    ImpossibleLength(i64),
    /// A variable-length integer of more than 5 (32 bits) or 10 (64 bits) bytes.
    #[error("a variable-length integer does not end")]
    EndlessVarint,
    /// Null where the schema allows none.
    #[error("null where a value is needed")]
    UnexpectedNull,
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    InvalidUtf8,
    /// Tags must rise; a doubled or unsorted tag is refused.
    #[error("tag {0} is doubled or out of order")]
    UnorderedTag(u32),
    /// A tagged field whose size is not that of its value.
    #[error("tagged field {0} has a wrong size")]
    TagSize(u32),
    /// A version that the schema does not have.
    #[error("version {version} of {message} is unknown")]
    UnsupportedVersion {
        /// Name of the message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A metadata record of an unknown type, or in a frame of an unknown version.
    #[error("metadata record type {0} is unknown")]
    UnknownRecordType(i16),
}

/// Takes primitive values from the front of a frame.
#[derive(Clone, Debug)]
pub struct Reader {
    bytes: Bytes,
    position: usize,
}

macro_rules! fixed {
    ($($name:ident),*) => {
        $(
            #[doc = concat!("A big-endian `", stringify!($name), "`.")]
            #[inline]
            pub fn $name(&mut self) -> Result<$name, DecodeError> {
                self.fixed().map($name::from_be_bytes)
            }
        )*
    };
}

impl Reader {
    /// Reads from the front of `bytes`.
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes, position: 0 }
    }

    /// How many bytes are left.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// What is left, as a slice of the same frame.
    pub fn rest(&self) -> Bytes {
        self.bytes.slice(self.position..)
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let rest = &self.bytes[self.position..];
        let value = *rest.first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        self.position += N;
        Ok(value)
    }

    fixed!(i8, i16, u16, i32, u32, i64, f64);

    /// One byte; anything but zero is true.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    /// Sixteen bytes.
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.fixed().map(Uuid)
    }

    /// Seven bits a byte, the lowest first, at most five bytes.
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let mut value: u32 = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.fixed::<1>()?[0];
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::EndlessVarint)
    }

    /// Exactly `length` bytes of the frame.
    pub fn take(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        if length > self.remaining() {
            return Err(DecodeError::Truncated);
        }
        let end = self.position + length;
        let taken = self.bytes.slice(self.position..end);
        self.position = end;
        Ok(taken)
    }

    /// A string, not null.
    pub fn string(&mut self, flexible: bool) -> Result<Str, DecodeError> {
        self.nullable_string(flexible)?.ok_or(DecodeError::UnexpectedNull)
    }

    /// A string or null: 16-bit length, or varint of length + 1 in a flexible version.
    pub fn nullable_string(&mut self, flexible: bool) -> Result<Option<Str>, DecodeError> {
        let length = if flexible {
            self.compact_length()?
        } else {
            i64::from(self.i16()?)
        };
        let Some(bytes) = self.nullable_slice(length)? else {
            return Ok(None);
        };
        Str::from_bytes(bytes).map(Some).map_err(|_| DecodeError::InvalidUtf8)
    }

    /// Bytes, not null.
    pub fn bytes(&mut self, flexible: bool) -> Result<Bytes, DecodeError> {
        self.nullable_bytes(flexible)?.ok_or(DecodeError::UnexpectedNull)
    }

    /// Bytes or null: 32-bit length, or varint of length + 1 in a flexible version.
    pub fn nullable_bytes(&mut self, flexible: bool) -> Result<Option<Bytes>, DecodeError> {
        let length = self.length(flexible)?;
        self.nullable_slice(length)
    }

    fn length(&mut self, flexible: bool) -> Result<i64, DecodeError> {
        if flexible {
            self.compact_length()
        } else {
            Ok(i64::from(self.i32()?))
        }
    }

    fn compact_length(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from(self.unsigned_varint()?) - 1)
    }

    fn nullable_slice(&mut self, length: i64) -> Result<Option<Bytes>, DecodeError> {
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| DecodeError::ImpossibleLength(length))?;
        if length > self.remaining() {
            return Err(DecodeError::Truncated);
        }
        self.take(length).map(Some)
    }

    /// Whether the nullable structure that follows is there: a byte of 1 or -1, in a tagged field a varint of 1 or 0.
    pub fn is_present(&mut self, is_tagged: bool) -> Result<bool, DecodeError> {
        if is_tagged {
            Ok(self.unsigned_varint()? != 0)
        } else {
            Ok(self.i8()? >= 0)
        }
    }

    /// An array, not null. `smallest` is the fewest bytes that an element takes.
    pub fn array<T>(
        &mut self,
        flexible: bool,
        smallest: usize,
        read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        self.nullable_array(flexible, smallest, read)?
            .ok_or(DecodeError::UnexpectedNull)
    }

    /// An array or null. A count that the remaining bytes cannot hold is refused before anything is allocated.
    pub fn nullable_array<T>(
        &mut self,
        flexible: bool,
        smallest: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let count = self.length(flexible)?;
        if count == -1 {
            return Ok(None);
        }
        let length = usize::try_from(count).map_err(|_| DecodeError::ImpossibleLength(count))?;
        if length > MAX_ELEMENTS || length > self.remaining() / smallest {
            return Err(DecodeError::ImpossibleLength(count));
        }
        let mut elements = Vec::with_capacity(length.min(INITIAL_ELEMENTS));
        for _ in 0..length {
            elements.push(read(self)?);
        }
        Ok(Some(elements))
    }

    /// The tagged fields at the end of a structure (KIP-482).
    ///
    /// `known` reads the value of a tag it knows and says true; unknown tags are skipped.
    pub fn tagged_fields(
        &mut self,
        mut known: impl FnMut(u32, &mut Self) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = self.unsigned_varint()? as usize;
        if count > MAX_TAGGED_FIELDS || count > self.remaining() / 2 {
            return Err(DecodeError::ImpossibleLength(count as i64));
        }
        let mut previous = None;
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            if previous.is_some_and(|previous| tag <= previous) {
                return Err(DecodeError::UnorderedTag(tag));
            }
            previous = Some(tag);
            let size = self.unsigned_varint()? as usize;
            let mut value = Self::new(self.take(size)?);
            if known(tag, &mut value)? && value.remaining() > 0 {
                return Err(DecodeError::TagSize(tag));
            }
        }
        Ok(())
    }
}

/// Room made at once for an announced array; a longer one grows as its elements really come.
const INITIAL_ELEMENTS: usize = 1024;
