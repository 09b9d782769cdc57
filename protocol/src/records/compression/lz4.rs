//! LZ4 frames as KIP-57 settled them: blocks of 64 KiB that do not refer to each other.
//!
//! Java reads no frame with linked blocks or a dictionary, so such frames are refused on the way in: stored, they
//! would stop every Java consumer of the partition.

use std::io::Write;

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::{Compression, DecompressError};

const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();
/// Format version 1 in the top two bits of the flags.
const VERSION: u8 = 0b01 << 6;
const VERSION_MASK: u8 = 0b11 << 6;
const INDEPENDENT_BLOCKS: u8 = 1 << 5;
const BLOCK_CHECKSUMS: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
/// Set in a block's header when its bytes are as they were.
const STORED_BLOCK: u32 = 1 << 31;
/// The dictionary flag and a reserved bit; Java wants both to be 0.
const REFUSED_FLAGS: u8 = 0b11;

/// Block headers, the end mark and each checksum take so many bytes.
const WORD_BYTES: usize = 4;

pub(super) fn decompress(compressed: &[u8], limit_bytes: usize) -> Result<Vec<u8>, DecompressError> {
    check_framing(compressed)?;
    let mut decoder = FrameDecoder::new(compressed);
    super::read_bounded(Compression::Lz4, &mut decoder, compressed.len(), limit_bytes)
}

/// Checks magic and flags, and that the blocks and the end mark fill `compressed` exactly.
///
/// The decoder takes the end of the input for the end of the frame, so that a frame cut between two blocks is only
/// noticed here.
pub(super) fn check_framing(compressed: &[u8]) -> Result<(), DecompressError> {
    let Some((flags, _)) = compressed.strip_prefix(&MAGIC).and_then(<[u8]>::split_first) else {
        return Err(malformed("it starts with other bytes"));
    };
    if flags & VERSION_MASK != VERSION || flags & REFUSED_FLAGS != 0 {
        return Err(malformed("the frame has flags that are not supported"));
    }
    if flags & INDEPENDENT_BLOCKS == 0 {
        return Err(malformed("linked blocks are not supported"));
    }
    let checksum_bytes = |flag| if flags & flag != 0 { WORD_BYTES } else { 0 };
    let descriptor_bytes = if flags & CONTENT_SIZE != 0 { 11 } else { 3 };
    let mut rest = compressed.get(MAGIC.len() + descriptor_bytes..).ok_or_else(cut_off)?;
    loop {
        let (header, blocks) = rest.split_first_chunk().ok_or_else(cut_off)?;
        let block_bytes = (u32::from_le_bytes(*header) & !STORED_BLOCK) as usize;
        if block_bytes == 0 {
            let is_whole = blocks.len() == checksum_bytes(CONTENT_CHECKSUM);
            return if is_whole {
                Ok(())
            } else {
                Err(malformed("the frame ends too early or too late"))
            };
        }
        rest = blocks
            .get(block_bytes + checksum_bytes(BLOCK_CHECKSUMS)..)
            .ok_or_else(cut_off)?;
    }
}

pub(super) fn compress(section: &[u8]) -> Vec<u8> {
    let frame = FrameInfo::new()
        .block_size(BlockSize::Max64KB)
        .block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(frame, Vec::with_capacity(section.len() / 2));
    encoder.write_all(section).expect("a Vec accepts every write");
    encoder.finish().expect("a Vec accepts every write")
}

fn cut_off() -> DecompressError {
    malformed("the frame is cut off")
}

fn malformed(reason: impl ToString) -> DecompressError {
    DecompressError::malformed(Compression::Lz4, reason)
}
