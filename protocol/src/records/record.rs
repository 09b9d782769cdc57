//! The records inside a batch, read in place.
//!
//! What goes in is the records section: what stands behind the batch header, inflated if it was compressed. What comes
//! out are views into it; nothing is allocated, copied or trusted: every length and count is held against the bytes
//! that remain. Header keys and values keep their order and their duplicates.
//!
//! | field           | type            |
//! |-----------------|-----------------|
//! | length          | varint          |
//! | attributes      | i8, unused      |
//! | timestamp delta | varint, 64 bits |
//! | offset delta    | varint          |
//! | key length      | varint, -1 null |
//! | key             | bytes           |
//! | value length    | varint, -1 null |
//! | value           | bytes           |
//! | headers count   | varint          |
//! | headers         | key length, key, value length (-1 null), value |

use crate::ids::TimestampMs;
use crate::records::varint::{self, VarintError};

/// The smallest record: seven fields of one byte.
pub const MIN_RECORD_BYTES: usize = 7;
/// The smallest header: two lengths.
const MIN_HEADER_BYTES: usize = 2;

/// One record, as a view into the records section.
///
/// To keep a key or value beyond the section without a copy, hold the section as `Bytes` and use `slice_ref`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Kafka has given no bit a meaning yet.
    pub attributes: i8,
    /// Milliseconds after the base timestamp of the batch; see [`Record::timestamp`].
    pub timestamp_delta: i64,
    /// The offset less the base offset of the batch.
    pub offset_delta: i32,
    /// The key; `None` is null, which differs from empty.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone where the topic is compacted.
    pub value: Option<&'a [u8]>,
    /// The headers, still encoded.
    pub headers: Headers<'a>,
    /// The whole record as it stands in the section, length included.
    pub encoded: &'a [u8],
}

impl Record<'_> {
    /// The producer's time of the record. Under LogAppendTime the batch's max timestamp holds instead.
    ///
    /// Saturates, since both numbers are a stranger's.
    pub fn timestamp(&self, base_timestamp: TimestampMs) -> TimestampMs {
        base_timestamp.saturating_add(self.timestamp_delta)
    }
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// UTF-8 by convention, which brokers don't enforce.
    pub key: &'a [u8],
    /// The value; `None` is null.
    pub value: Option<&'a [u8]>,
}

/// The headers of a record: an iterator over what was checked when the record was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Headers<'a> {
    count: usize,
    encoded: &'a [u8],
}

impl<'a> Headers<'a> {
    /// The headers that are left, as bytes, without their count.
    pub fn encoded(&self) -> &'a [u8] {
        self.encoded
    }

    fn read(body: &mut &'a [u8]) -> Result<Self, RecordFault> {
        let count = varint::read_i32(body)?;
        let fits = usize::try_from(count)
            .ok()
            .filter(|count| *count <= body.len() / MIN_HEADER_BYTES);
        let count = fits.ok_or(RecordFault::HeadersCount(count))?;
        let headers = Self { count, encoded: body };
        for _ in 0..count {
            read_header(body)?;
        }
        let encoded = &headers.encoded[..headers.encoded.len() - body.len()];
        Ok(Self { count, encoded })
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.count = self.count.checked_sub(1)?;
        read_header(&mut self.encoded).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

impl ExactSizeIterator for Headers<'_> {}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The section ends inside the record, or the record inside a field.
    #[error("it is cut off")]
    CutOff,
    /// A varint with more bits than its field.
    #[error("a varint is too long")]
    Varint,
    /// A length below -1, or -1 where null is not allowed.
    #[error("{0} is no length")]
    Length(i32),
    /// A headers count that is negative or more than the record has room for.
    #[error("it cannot have {0} headers")]
    HeadersCount(i32),
    /// Bytes between the last header and the end that the length names.
    #[error("{0} bytes are left over after its headers")]
    LeftOver(usize),
    /// The section holds more than the records that the batch counts.
    #[error("{0} bytes follow the last record")]
    BytesAfterLast(usize),
}

impl From<VarintError> for RecordFault {
    fn from(error: VarintError) -> Self {
        match error {
            VarintError::CutOff => Self::CutOff,
            VarintError::TooLong => Self::Varint,
        }
    }
}

/// A records section that cannot be read from some record on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {index} is malformed: {fault}")]
pub struct MalformedRecord {
    /// Which record of the batch, from 0; the count of records when the fault lies behind the last.
    pub index: usize,
    /// What is wrong.
    pub fault: RecordFault,
}

/// Walks the `count` records of `section`, which must be nothing but these.
///
/// `count`: as the batch header says; a negative one counts as 0.
pub fn records(section: &[u8], count: i32) -> Records<'_> {
    Records {
        rest: section,
        index: 0,
        left: usize::try_from(count).unwrap_or(0),
    }
}

/// Checks that `section` is exactly `count` well-formed records, without allocating.
///
/// # Errors
/// The first record that cannot be read.
pub fn check_records(section: &[u8], count: i32) -> Result<(), MalformedRecord> {
    records(section, count).try_for_each(|record| record.map(drop))
}

/// The records of a section; see [`records`]. The first error is the last item.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    index: usize,
    left: usize,
}

impl<'a> Records<'a> {
    fn stop(&mut self, fault: RecordFault) -> MalformedRecord {
        (self.left, self.rest) = (0, &[]);
        MalformedRecord {
            index: self.index,
            fault,
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, MalformedRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let unread = self.rest.len();
            return (unread > 0).then(|| Err(self.stop(RecordFault::BytesAfterLast(unread))));
        }
        Some(match read_record(&mut self.rest) {
            Ok(record) => {
                self.left -= 1;
                self.index += 1;
                Ok(record)
            }
            Err(fault) => Err(self.stop(fault)),
        })
    }

    /// Never more than the bytes have room for, whatever the batch says.
    fn size_hint(&self) -> (usize, Option<usize>) {
        // One more for the error that may follow.
        (0, Some(self.left.min(self.rest.len() / MIN_RECORD_BYTES) + 1))
    }
}

impl std::iter::FusedIterator for Records<'_> {}

fn read_record<'a>(section: &mut &'a [u8]) -> Result<Record<'a>, RecordFault> {
    let start = *section;
    let length = varint::read_i32(section)?;
    let mut body = take(section, length)?;
    let (attributes, rest) = body.split_first().ok_or(RecordFault::CutOff)?;
    body = rest;
    let record = Record {
        attributes: *attributes as i8,
        timestamp_delta: varint::read_i64(&mut body)?,
        offset_delta: varint::read_i32(&mut body)?,
        key: read_nullable(&mut body)?,
        value: read_nullable(&mut body)?,
        headers: Headers::read(&mut body)?,
        encoded: &start[..start.len() - section.len()],
    };
    if !body.is_empty() {
        return Err(RecordFault::LeftOver(body.len()));
    }
    Ok(record)
}

fn read_header<'a>(bytes: &mut &'a [u8]) -> Result<Header<'a>, RecordFault> {
    let key_length = varint::read_i32(bytes)?;
    Ok(Header {
        key: take(bytes, key_length)?,
        value: read_nullable(bytes)?,
    })
}

fn read_nullable<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RecordFault> {
    match varint::read_i32(bytes)? {
        -1 => Ok(None),
        length => take(bytes, length).map(Some),
    }
}

fn take<'a>(bytes: &mut &'a [u8], length: i32) -> Result<&'a [u8], RecordFault> {
    let length = usize::try_from(length).map_err(|_| RecordFault::Length(length))?;
    let (taken, rest) = bytes.split_at_checked(length).ok_or(RecordFault::CutOff)?;
    *bytes = rest;
    Ok(taken)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Key "k", value null, headers a=1, a=null, ""=""; deltas 3 ms and 2.
    fn sample() -> Vec<u8> {
        vec![32, 0, 6, 4, 2, b'k', 1, 6, 2, b'a', 2, b'1', 2, b'a', 1, 0, 0]
    }

    fn fault(section: &[u8]) -> RecordFault {
        check_records(section, 1).unwrap_err().fault
    }

    #[test]
    fn headers_keep_order_duplicates_and_nulls() {
        let section = sample();
        let record = records(&section, 1).next().unwrap().unwrap();
        assert_eq!((record.key, record.value), (Some(&b"k"[..]), None));
        assert_eq!((record.timestamp(10), record.offset_delta), (13, 2));
        assert_eq!(record.encoded, section);
        let header = |key, value| Header { key, value };
        let expected = [
            header(b"a", Some(&b"1"[..])),
            header(b"a", None),
            header(b"", Some(&b""[..])),
        ];
        assert_eq!(record.headers.len(), 3);
        assert_eq!(record.headers.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_section_cut_at_any_byte_is_refused() {
        let section = sample().repeat(2);
        assert_eq!(check_records(&section, 2), Ok(()));
        for end in 0..section.len() {
            let error = check_records(&section[..end], 2).unwrap_err();
            assert_eq!(
                (error.index, error.fault),
                (end / sample().len(), RecordFault::CutOff),
                "{end}"
            );
        }
    }

    #[test]
    fn a_record_shorter_than_its_fields_is_refused() {
        for length in 0..sample().len() - 1 {
            let mut section = sample();
            section[0] = 2 * length as u8;
            assert!(
                matches!(fault(&section), RecordFault::CutOff | RecordFault::HeadersCount(3)),
                "{length}"
            );
        }
    }

    #[test]
    fn more_or_fewer_records_than_counted_are_refused() {
        let section = sample().repeat(3);
        let expected = MalformedRecord {
            index: 2,
            fault: RecordFault::BytesAfterLast(section.len() / 3),
        };
        assert_eq!(check_records(&section, 2), Err(expected));
        assert_eq!(check_records(&section, 4).unwrap_err().index, 3);
        assert_eq!(check_records(&[], 0), Ok(()));
        assert_eq!(
            records(&section, i32::MAX).size_hint().1,
            Some(section.len() / MIN_RECORD_BYTES + 1)
        );
    }

    #[test]
    fn impossible_lengths_and_counts_are_named() {
        // length, attributes, deltas, key, value, headers
        assert_eq!(fault(&[3, 0, 0, 0, 1, 1, 0]), RecordFault::Length(-2));
        assert_eq!(fault(&[12, 0, 0, 0, 3, 1, 0]), RecordFault::Length(-2));
        assert_eq!(fault(&[12, 0, 0, 0, 1, 1, 1]), RecordFault::HeadersCount(-1));
        assert_eq!(fault(&[12, 0, 0, 0, 1, 1, 2]), RecordFault::HeadersCount(1));
        assert_eq!(fault(&[16, 0, 0, 0, 1, 1, 2, 1, 1]), RecordFault::Length(-1));
        assert_eq!(fault(&[14, 0, 0, 0, 1, 1, 0, 9]), RecordFault::LeftOver(1));
        assert_eq!(fault(&[0xfe, 0xff, 0xff, 0xff, 0x7f, 0]), RecordFault::Varint);
        assert_eq!(fault(&[0xfe, 0xff, 0xff, 0xff, 0x0f, 0]), RecordFault::CutOff);
    }

    #[test]
    fn sixty_four_million_headers_are_refused_before_they_are_walked() {
        let mut section = vec![24, 0, 0, 0, 1, 1];
        varint::write_i32(&mut section, 1 << 26);
        section.extend([0; 3]);
        assert_eq!(fault(&section), RecordFault::HeadersCount(1 << 26));
    }

    #[test]
    fn timestamps_of_strangers_saturate() {
        let section = [12, 0, 2, 0, 1, 1, 0];
        let record = records(&section, 1).next().unwrap().unwrap();
        assert_eq!(record.timestamp(i64::MAX), i64::MAX);
    }
}
