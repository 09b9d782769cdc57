//! Values that look like what services send: JSON lines whose fields change, so that codecs have something to do and
//! not everything. The same in every run.

/// `count` values of exactly `bytes` bytes.
pub fn values(count: usize, bytes: usize) -> Vec<Vec<u8>> {
    let mut seed = 0x9E37_79B9_7F4A_7C15;
    (0..count).map(|_| value(bytes, &mut seed)).collect()
}

fn value(bytes: usize, seed: &mut u64) -> Vec<u8> {
    const WORDS: [&str; 12] = [
        "created", "paid", "shipped", "returned", "Lisbon", "Osaka", "Quito", "Tartu", "invoice", "parcel", "express",
        "refund",
    ];
    let mut text = Vec::with_capacity(bytes + 128);
    while text.len() < bytes {
        let word = |seed: &mut u64| WORDS[(next(seed) % WORDS.len() as u64) as usize];
        let (state, place, kind) = (word(seed), word(seed), word(seed));
        let (id, amount) = (next(seed), next(seed) % 1_000_000);
        let line =
            format!(r#"{{"order":"{id:016x}","state":"{state}","place":"{place}","kind":"{kind}","cents":{amount}}}"#);
        text.extend_from_slice(line.as_bytes());
    }
    text.truncate(bytes);
    text
}

/// xorshift64*: quick, and the same everywhere.
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    seed.wrapping_mul(0x2545_F491_4F6C_DD1D)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_size_differ_and_are_the_same_again() {
        let first = values(4, 100);
        assert!(first.iter().all(|value| value.len() == 100));
        assert_ne!(first[0], first[1]);
        assert_eq!(first, values(4, 100));
    }
}
