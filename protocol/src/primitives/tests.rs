use super::*;
use bytes::Bytes;

fn reader(bytes: &[u8]) -> Reader {
    Reader::new(Bytes::copy_from_slice(bytes))
}

#[test]
fn a_count_that_cannot_fit_is_refused_before_memory_is_taken() {
    let announced = i32::MAX.to_be_bytes();
    let read = reader(&announced).array(false, 1, |r| r.i8());
    assert_eq!(read, Err(DecodeError::ImpossibleLength(i32::MAX.into())));
    let read = reader(&[0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2]).array(false, 4, |r| r.i32());
    assert_eq!(read, Err(DecodeError::ImpossibleLength(3)));
}

#[test]
fn more_elements_than_the_limit_are_refused_even_if_they_are_there() {
    let mut bytes = (MAX_ELEMENTS as i32 + 1).to_be_bytes().to_vec();
    bytes.resize(bytes.len() + MAX_ELEMENTS + 1, 0);
    let read = reader(&bytes).array(false, 1, |r| r.i8());
    assert_eq!(read, Err(DecodeError::ImpossibleLength(MAX_ELEMENTS as i64 + 1)));
}

#[test]
fn negative_lengths_other_than_null_are_refused() {
    assert_eq!(reader(&[0xff, 0xff]).nullable_string(false), Ok(None));
    assert_eq!(
        reader(&[0xff, 0xfe]).nullable_string(false),
        Err(DecodeError::ImpossibleLength(-2))
    );
    assert_eq!(
        reader(&[0xff, 0xff, 0xff, 0xfe]).nullable_bytes(false),
        Err(DecodeError::ImpossibleLength(-2))
    );
    assert_eq!(reader(&[0xff, 0xff]).string(false), Err(DecodeError::UnexpectedNull));
}

#[test]
fn varints_end_after_five_bytes() {
    assert_eq!(reader(&[0xff, 0xff, 0xff, 0xff, 0x0f]).unsigned_varint(), Ok(u32::MAX));
    assert_eq!(reader(&[0x80; 6]).unsigned_varint(), Err(DecodeError::EndlessVarint));
    assert_eq!(reader(&[0x80]).unsigned_varint(), Err(DecodeError::Truncated));
}

#[test]
fn strings_must_be_utf8() {
    assert_eq!(reader(&[0, 2, 0xc3, 0x28]).string(false), Err(DecodeError::InvalidUtf8));
}

#[test]
fn tags_must_rise_and_known_ones_fill_their_size() {
    let skip = |_: u32, _: &mut Reader| Ok(false);
    assert_eq!(reader(&[2, 1, 0, 3, 1, 9]).tagged_fields(skip), Ok(()));
    assert_eq!(
        reader(&[2, 1, 0, 1, 0]).tagged_fields(skip),
        Err(DecodeError::UnorderedTag(1))
    );
    let one_byte = |_: u32, r: &mut Reader| r.i8().map(|_| true);
    assert_eq!(
        reader(&[1, 5, 2, 0, 0]).tagged_fields(one_byte),
        Err(DecodeError::TagSize(5))
    );
    let too_many = [0xff, 0xff, 0x03];
    assert_eq!(
        reader(&too_many).tagged_fields(skip),
        Err(DecodeError::ImpossibleLength(65_535))
    );
}

#[test]
fn large_byte_fields_are_linked_not_copied() {
    let large = Bytes::from(vec![7; 100_000]);
    let mut writer = Writer::default();
    writer.bytes(&large, false);
    writer.i32(5);
    let frame = writer.finish().expect("nothing was refused");
    assert_eq!(frame.pieces.len(), 3);
    assert_eq!(frame.pieces[1].as_ptr(), large.as_ptr());
    assert_eq!(frame.len(), 4 + 100_000 + 4);
}

#[test]
fn the_size_of_a_tagged_field_stands_before_it_however_long_it_is() {
    for len in [0, 1, 126, 127, 128, 20_000, 100_000] {
        let value = Bytes::from(vec![7; len]);
        let mut writer = Writer::default();
        writer.unsigned_varint(2);
        writer.tagged_field(3, |writer| writer.bytes(&value, true));
        writer.tagged_field(5, |writer| {
            writer.i8(1);
            writer.unsigned_varint(1);
            writer.tagged_field(0, |writer| writer.raw(&value));
        });
        // Large fields that come later are linked again.
        writer.bytes(&Bytes::from(vec![8; 100_000]), true);
        let frame = writer.finish().expect("nothing was refused");
        assert_eq!(frame.pieces.len(), 2, "{len}");
        let mut found = Vec::new();
        let mut reader = Reader::new(frame.into_bytes());
        let read = reader.tagged_fields(|tag, reader| {
            found.push(match tag {
                3 => (tag, reader.bytes(true)?),
                _ => {
                    reader.i8()?;
                    let mut inner = Bytes::new();
                    reader.tagged_fields(|_, reader| {
                        inner = reader.take(reader.remaining())?;
                        Ok(true)
                    })?;
                    (tag, inner)
                }
            });
            Ok(true)
        });
        assert_eq!(read, Ok(()));
        assert_eq!(found, [(3, value.clone()), (5, value)]);
        assert_eq!(reader.bytes(true).map(|bytes| bytes.len()), Ok(100_000));
    }
}

#[test]
fn the_length_of_a_frame_counts_linked_pieces_and_gaps() {
    let large = Bytes::from(vec![7; 100_000]);
    let mut writer = Writer::default();
    writer.i32(-1);
    writer.bytes(&large, false);
    writer.take_records_from([Some(50)].into());
    writer.records(None, false);
    let frame = writer.finish_with_length().expect("nothing was refused");
    let length = 4 + 100_000 + 4 + 50;
    assert_eq!(frame.pieces[0][..4], i32::to_be_bytes(length)[..]);
    assert_eq!(frame.len(), 4 + length as usize);
    let gap = Gap { before: 3, len: 50 };
    assert_eq!(frame.gaps, [gap]);
    let mut small = Writer::default();
    small.i32(0);
    small.i16(9);
    let frame = small.finish_with_length().expect("nothing was refused");
    assert_eq!(frame.into_bytes()[..], [0, 0, 0, 2, 0, 9]);
}

#[test]
fn a_string_too_long_for_its_length_is_an_error_not_a_wrong_frame() {
    let mut writer = Writer::default();
    writer.string(&"x".repeat(40_000).into(), false);
    assert_eq!(writer.finish().err(), Some(EncodeError::TooLong(40_000)));
}
