//! Zigzag varints, as the records of a batch write their lengths, deltas and counts.
//!
//! Seven bits a byte, least significant first, the top bit set on all but the last; small numbers of either sign are
//! short. The requests and responses around the batches use other, unsigned varints.

/// Why a number could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VarintError {
    /// The bytes end inside the number.
    CutOff,
    /// The number has more bits than its type.
    TooLong,
}

/// Takes a 32-bit number, 1 to 5 bytes, off the front of `bytes`.
pub(crate) fn read_i32(bytes: &mut &[u8]) -> Result<i32, VarintError> {
    let value = read(bytes, 5)?;
    let zigzag = u32::try_from(value).map_err(|_| VarintError::TooLong)?;
    Ok((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32))
}

/// Takes a 64-bit number, 1 to 10 bytes, off the front of `bytes`.
pub(crate) fn read_i64(bytes: &mut &[u8]) -> Result<i64, VarintError> {
    let zigzag = read(bytes, 10)?;
    Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
}

/// Appends a 32-bit number to `out`.
pub(crate) fn write_i32(out: &mut Vec<u8>, value: i32) {
    // The same bytes as for the wider type, since both are as short as can be.
    write_i64(out, value.into());
}

/// Appends a 64-bit number to `out`.
pub(crate) fn write_i64(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = (value << 1 ^ value >> 63) as u64;
    while zigzag > 0x7f {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

/// How many bytes [`write_i64`] appends.
pub(crate) fn size_of(value: i64) -> usize {
    let zigzag = (value << 1 ^ value >> 63) as u64;
    (70 - (zigzag | 1).leading_zeros() as usize) / 7
}

#[inline]
fn read(bytes: &mut &[u8], max_bytes: usize) -> Result<u64, VarintError> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(max_bytes).enumerate() {
        // The tenth byte has room for one bit.
        if index == 9 && byte > 1 {
            return Err(VarintError::TooLong);
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Ok(value);
        }
    }
    Err(if bytes.len() < max_bytes {
        VarintError::CutOff
    } else {
        VarintError::TooLong
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_at_the_edges_have_kafkas_bytes() {
        let cases: [(i64, &[u8]); 6] = [
            (0, &[0]),
            (-1, &[1]),
            (63, &[126]),
            (-65, &[0x81, 1]),
            (i32::MAX.into(), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ];
        for (value, bytes) in cases {
            let mut out = Vec::new();
            write_i64(&mut out, value);
            assert_eq!((out.as_slice(), size_of(value)), (bytes, bytes.len()), "{value}");
        }
    }

    #[test]
    fn numbers_with_too_many_bits_are_refused() {
        assert_eq!(
            read_i32(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]),
            Err(VarintError::TooLong)
        );
        assert_eq!(
            read_i32(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0][..]),
            Err(VarintError::TooLong)
        );
        let ten = [0xff; 9];
        assert_eq!(read_i64(&mut &[&ten[..], &[2]].concat()[..]), Err(VarintError::TooLong));
        assert_eq!(
            read_i64(&mut &[&ten[..], &[0x81, 0]].concat()[..]),
            Err(VarintError::TooLong)
        );
        assert_eq!(read_i64(&mut &ten[..]), Err(VarintError::CutOff));
        assert_eq!(read_i32(&mut &[][..]), Err(VarintError::CutOff));
    }

    proptest! {
        #[test]
        fn every_number_comes_back_and_the_next_byte_stays(wide: i64, narrow: i32, next: u8) {
            let mut out = Vec::new();
            write_i64(&mut out, wide);
            prop_assert_eq!(out.len(), size_of(wide));
            write_i32(&mut out, narrow);
            out.push(next);
            let mut rest = &out[..];
            prop_assert_eq!(read_i64(&mut rest), Ok(wide));
            prop_assert_eq!(read_i32(&mut rest), Ok(narrow));
            prop_assert_eq!(rest, &[next]);
        }
    }
}
