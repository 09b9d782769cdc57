//! Snappy, raw or in the framing of the xerial library that Java clients use.
//!
//! | bytes | field                                       |
//! |-------|---------------------------------------------|
//! | 8     | 0x82 "SNAPPY" 0                             |
//! | 4     | version, big-endian, 1                      |
//! | 4     | lowest compatible version, 1                |
//! | 4     | length of the first block, then that block of raw snappy, and so on |
//!
//! Several clients send one raw block without any of it, which Java accepts too.

use super::{Compression, DecompressError};

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const VERSION: [u8; 4] = 1u32.to_be_bytes();
const HEADER_BYTES: usize = 16;
/// The block size of Java's encoder.
const BLOCK_BYTES: usize = 32 * 1024;
/// No snappy element makes more bytes out of one; the densest, a copy of three bytes, makes 64.
const MAX_RATIO: usize = 22;

/// Inflates either framing.
pub(super) fn decompress(compressed: &[u8], limit_bytes: usize) -> Result<Vec<u8>, DecompressError> {
    let mut inflated = Vec::with_capacity(super::first_capacity(compressed.len(), limit_bytes));
    let Some(mut blocks) = framed(compressed)? else {
        append_block(compressed, &mut inflated, limit_bytes)?;
        return Ok(inflated);
    };
    while !blocks.is_empty() {
        append_block(next_block(&mut blocks)?, &mut inflated, limit_bytes)?;
    }
    Ok(inflated)
}

/// Checks the header, or the claim of a raw block.
pub(super) fn check_framing(compressed: &[u8]) -> Result<(), DecompressError> {
    match framed(compressed)? {
        Some(mut blocks) => next_block(&mut blocks).and_then(claimed_bytes),
        None => claimed_bytes(compressed),
    }
    .map(drop)
}

/// Deflates into Java's framing.
pub(super) fn compress(section: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + section.len() / 2);
    out.extend(MAGIC);
    out.extend(VERSION);
    out.extend(VERSION);
    let mut encoder = snap::raw::Encoder::new();
    for block in section.chunks(BLOCK_BYTES) {
        let deflated = encoder
            .compress_vec(block)
            .expect("a block of 32 KiB is within snappy's limit of 4 GiB");
        out.extend((deflated.len() as u32).to_be_bytes());
        out.extend(deflated);
    }
    out
}

/// The blocks behind the header; `None` if there is no header.
fn framed(compressed: &[u8]) -> Result<Option<&[u8]>, DecompressError> {
    if !compressed.starts_with(&MAGIC) {
        return Ok(None);
    }
    let (header, blocks) = compressed
        .split_at_checked(HEADER_BYTES)
        .ok_or_else(|| malformed("the header is cut off"))?;
    // Java looks at the sign and no further; so old encoders that wrote it in little-endian are read.
    if i32::from_be_bytes([header[8], header[9], header[10], header[11]]) < 1 {
        return Err(malformed("the version is unknown"));
    }
    Ok(Some(blocks))
}

fn next_block<'a>(blocks: &mut &'a [u8]) -> Result<&'a [u8], DecompressError> {
    let cut_off = || malformed("a block is cut off");
    let (length, rest) = blocks.split_first_chunk().ok_or_else(cut_off)?;
    let length = u32::from_be_bytes(*length) as usize;
    let (block, rest) = rest.split_at_checked(length).ok_or_else(cut_off)?;
    *blocks = rest;
    Ok(block)
}

fn append_block(block: &[u8], inflated: &mut Vec<u8>, limit_bytes: usize) -> Result<(), DecompressError> {
    let claimed = claimed_bytes(block)?;
    let start = inflated.len();
    if claimed > limit_bytes - start {
        return Err(DecompressError::TooLarge { limit_bytes });
    }
    inflated.resize(start + claimed, 0);
    snap::raw::Decoder::new()
        .decompress(block, &mut inflated[start..])
        .map_err(malformed)?;
    Ok(())
}

/// How much the block says it inflates to, if so many bytes can.
fn claimed_bytes(block: &[u8]) -> Result<usize, DecompressError> {
    if block.is_empty() {
        return Err(malformed("a block is empty"));
    }
    let claimed = snap::raw::decompress_len(block).map_err(malformed)?;
    if claimed > block.len() * MAX_RATIO {
        return Err(malformed("a block claims more than it can hold"));
    }
    Ok(claimed)
}

fn malformed(reason: impl ToString) -> DecompressError {
    DecompressError::malformed(Compression::Snappy, reason)
}
