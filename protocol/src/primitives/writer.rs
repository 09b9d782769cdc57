//! Encoding into a chain of buffers.

use super::Str;
use crate::ids::Uuid;
use bytes::{BufMut, Bytes, BytesMut};
use smallvec::{SmallVec, smallvec};
use std::collections::VecDeque;

/// Why a message cannot be written in a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A field holds a value that the version cannot carry.
    #[error("{field} cannot be written in version {version}")]
    NotInVersion {
        /// Structure and field.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A string of more than 32,767 bytes in a version with 16-bit lengths, or a frame above 2 GiB.
    #[error("a value of {0} bytes is too long")]
    TooLong(usize),
}

/// Byte fields from this size on are linked into the frame instead of copied.
const LINK_FROM_BYTES: usize = 2048;

/// Of the length before a frame.
const LENGTH_BYTES: usize = 4;

/// Lays down primitive values.
///
/// The first error is kept and returned by [`Writer::finish`]: generated code stays free of error paths.
#[derive(Debug, Default)]
pub struct Writer {
    /// The first piece, while there are others: its beginning may still be written over.
    head: BytesMut,
    /// The pieces after it.
    done: Vec<Bytes>,
    buffer: BytesMut,
    error: Option<EncodeError>,
    is_lenient: bool,
    /// Whether large fields are copied too, so that all that comes is in the buffer.
    is_in_one_piece: bool,
    elsewhere: VecDeque<Option<usize>>,
    gaps: Vec<Gap>,
}

/// Encoded bytes, in one or more pieces that follow one another on the wire.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// The pieces; none is empty unless it is the only one.
    pub pieces: SmallVec<[Bytes; 1]>,
    /// What the sender has to put between them, in order.
    pub gaps: Vec<Gap>,
}

/// A place in a frame for bytes that the sender has, in a file for instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Number of the piece before which it is; the number of pieces for one at the end.
    pub before: usize,
    /// How many bytes belong there. The lengths in the frame count them.
    pub len: usize,
}

impl Frame {
    /// How many bytes all pieces have, and what belongs into the gaps.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum::<usize>() + self.gaps.iter().map(|gap| gap.len).sum::<usize>()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes in one piece; copies if there are several.
    ///
    /// # Panics
    /// There are gaps, whose bytes are not here.
    pub fn into_bytes(mut self) -> Bytes {
        assert_eq!(self.gaps, [], "a frame with gaps is not whole");
        if self.pieces.len() == 1 {
            return self.pieces.remove(0);
        }
        let mut joined = BytesMut::with_capacity(self.len());
        self.pieces.iter().for_each(|piece| joined.extend_from_slice(piece));
        joined.freeze()
    }
}

macro_rules! fixed {
    ($($name:ident: $put:ident),*) => {
        $(
            #[doc = concat!("A big-endian `", stringify!($name), "`.")]
            #[inline]
            pub fn $name(&mut self, value: $name) {
                self.buffer.$put(value);
            }
        )*
    };
}

impl Writer {
    /// A writer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            buffer: BytesMut::with_capacity(capacity),
            ..Self::default()
        }
    }

    fixed!(i8: put_i8, i16: put_i16, u16: put_u16, i32: put_i32, u32: put_u32, i64: put_i64, f64: put_f64);

    /// One byte.
    pub fn bool(&mut self, value: bool) {
        self.buffer.put_u8(value.into());
    }

    /// Sixteen bytes.
    pub fn uuid(&mut self, value: Uuid) {
        self.buffer.put_slice(&value.0);
    }

    /// Seven bits a byte, the lowest first.
    pub fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.buffer.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.put_u8(value as u8);
    }

    /// From now on a field that the version lacks is left out whatever it holds. For answers: who asks in an old version
    /// gets what that version can say.
    pub fn leave_out_unknown_fields(&mut self) {
        self.is_lenient = true;
    }

    /// Notes that `field` holds a value and `version` lacks the field.
    pub fn lacks(&mut self, field: &'static str, version: i16) {
        if !self.is_lenient {
            self.fail(EncodeError::NotInVersion { field, version });
        }
    }

    /// Notes that `field` is null where `version` needs a value.
    pub fn refuse_null(&mut self, field: &'static str, version: i16) {
        self.fail(EncodeError::NotInVersion { field, version });
    }

    fn fail(&mut self, error: EncodeError) {
        self.error.get_or_insert(error);
    }

    /// A string.
    pub fn string(&mut self, value: &Str, flexible: bool) {
        let length = value.len();
        match i16::try_from(length) {
            _ if flexible => self.compact_length(length),
            Ok(short) => self.i16(short),
            Err(_) => self.fail(EncodeError::TooLong(length)),
        }
        self.buffer.put_slice(value.as_bytes());
    }

    /// A string or null.
    pub fn nullable_string(&mut self, value: Option<&Str>, flexible: bool) {
        match value {
            Some(value) => self.string(value, flexible),
            None if flexible => self.unsigned_varint(0),
            None => self.i16(-1),
        }
    }

    /// Bytes; a large field is linked, not copied.
    pub fn bytes(&mut self, value: &Bytes, flexible: bool) {
        self.length(value.len(), flexible);
        self.raw(value);
    }

    /// Bytes or null.
    pub fn nullable_bytes(&mut self, value: Option<&Bytes>, flexible: bool) {
        match value {
            Some(value) => self.bytes(value, flexible),
            None => self.null(flexible),
        }
    }

    /// Bytes without a length before them.
    pub fn raw(&mut self, value: &Bytes) {
        if value.len() < LINK_FROM_BYTES || self.is_in_one_piece {
            self.buffer.put_slice(value);
        } else {
            self.close_buffer();
            self.done.push(value.clone());
        }
    }

    /// For each record set that follows, in order: the length of what the sender has elsewhere and will put in its place,
    /// or `None` if it is to be written as it is.
    pub fn take_records_from(&mut self, elsewhere: VecDeque<Option<usize>>) {
        self.elsewhere = elsewhere;
    }

    /// A record set or null, or the gap for one that is elsewhere.
    pub fn records(&mut self, value: Option<&Bytes>, flexible: bool) {
        match self.elsewhere.pop_front().flatten() {
            Some(len) => {
                self.length(len, flexible);
                self.close_buffer();
                let before = usize::from(!self.head.is_empty()) + self.done.len();
                self.gaps.push(Gap { before, len });
            }
            None => self.nullable_bytes(value, flexible),
        }
    }

    fn close_buffer(&mut self) {
        debug_assert!(
            !self.is_in_one_piece,
            "no schema has a record set within a tagged field"
        );
        if self.head.is_empty() && self.done.is_empty() {
            self.head = self.buffer.split();
        } else if !self.buffer.is_empty() {
            self.done.push(self.buffer.split().freeze());
        }
    }

    fn length(&mut self, length: usize, flexible: bool) {
        match i32::try_from(length) {
            _ if flexible => self.compact_length(length),
            Ok(length) => self.i32(length),
            Err(_) => self.fail(EncodeError::TooLong(length)),
        }
    }

    fn compact_length(&mut self, length: usize) {
        match u32::try_from(length + 1) {
            Ok(length) => self.unsigned_varint(length),
            Err(_) => self.fail(EncodeError::TooLong(length)),
        }
    }

    fn null(&mut self, flexible: bool) {
        if flexible {
            self.unsigned_varint(0)
        } else {
            self.i32(-1)
        }
    }

    /// Says whether the nullable structure that follows is there: see [`super::Reader::is_present`].
    pub fn presence(&mut self, is_present: bool, is_tagged: bool) {
        self.i8(if is_present { 1 } else { -i8::from(!is_tagged) });
    }

    /// An array.
    pub fn array<T>(&mut self, elements: &[T], flexible: bool, mut write: impl FnMut(&mut Self, &T)) {
        self.length(elements.len(), flexible);
        elements.iter().for_each(|element| write(self, element));
    }

    /// An array or null.
    pub fn nullable_array<T>(&mut self, elements: Option<&[T]>, flexible: bool, write: impl FnMut(&mut Self, &T)) {
        match elements {
            Some(elements) => self.array(elements, flexible, write),
            None => self.null(flexible),
        }
    }

    /// One tagged field: its tag, its size and what `write` lays down.
    pub fn tagged_field(&mut self, tag: u32, write: impl FnOnce(&mut Self)) {
        self.unsigned_varint(tag);
        let start = self.buffer.len();
        let was_in_one_piece = std::mem::replace(&mut self.is_in_one_piece, true);
        write(self);
        self.is_in_one_piece = was_in_one_piece;
        let size = self.buffer.len() - start;
        self.unsigned_varint(size as u32);
        // The size stands before what it counts.
        let size_bytes = self.buffer.len() - start - size;
        self.buffer[start..].rotate_right(size_bytes);
    }

    /// How many bytes have been laid down.
    pub fn len(&self) -> usize {
        self.head.len() + self.done.iter().map(Bytes::len).sum::<usize>() + self.buffer.len()
    }

    /// Whether nothing has been laid down.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes laid down.
    ///
    /// # Errors
    /// The first value that could not be written.
    pub fn finish(mut self) -> Result<Frame, EncodeError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.head.is_empty() && self.done.is_empty() {
            return Ok(Frame {
                pieces: smallvec![self.buffer.freeze()],
                gaps: self.gaps,
            });
        }
        self.close_buffer();
        let head = (!self.head.is_empty()).then(|| self.head.freeze());
        Ok(Frame {
            pieces: head.into_iter().chain(self.done).collect(),
            gaps: self.gaps,
        })
    }

    /// The bytes laid down, the first four of which, whatever they were, become the length of what follows them.
    ///
    /// # Errors
    /// As of [`Writer::finish`], or they are too many for a frame.
    ///
    /// # Panics
    /// There are no four bytes in the first piece.
    pub fn finish_with_length(mut self) -> Result<Frame, EncodeError> {
        let length = self.len() + self.gaps.iter().map(|gap| gap.len).sum::<usize>() - LENGTH_BYTES;
        let prefix = i32::try_from(length).map_err(|_| EncodeError::TooLong(length))?;
        let first = match self.head.is_empty() {
            true => &mut self.buffer,
            false => &mut self.head,
        };
        first[..LENGTH_BYTES].copy_from_slice(&prefix.to_be_bytes());
        self.finish()
    }
}
