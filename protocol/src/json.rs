//! What the generated JSON rendering needs.

use serde_json::Value;

/// Base64 with padding, as Jackson writes binary nodes.
pub(crate) fn bytes(bytes: &[u8]) -> Value {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let is_padding = digit > chunk.len();
            let index = (group >> (18 - 6 * digit) & 63) as usize;
            out.push(if is_padding { '=' } else { DIGITS[index] as char });
        }
    }
    Value::String(out)
}
