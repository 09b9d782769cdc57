//! Zstandard, with one context for each direction and thread: setting one up costs more than a small batch.

use std::cell::RefCell;

use zstd::bulk::Compressor;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, get_error_name};

use super::{Compression, DecompressError};

/// The largest window a stranger may make us hold, 128 MiB; also the largest that zstd itself takes by default.
const WINDOW_LOG_MAX: u32 = 27;
/// A context above this is given back after use. Windows of the usual levels stay below.
const KEPT_CONTEXT_BYTES_MAX: usize = 16 << 20;

thread_local! {
    static DECODER: RefCell<Option<DCtx<'static>>> = const { RefCell::new(None) };
    static ENCODER: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

pub(super) fn decompress(compressed: &[u8], limit_bytes: usize) -> Result<Vec<u8>, DecompressError> {
    DECODER.with_borrow_mut(|kept| {
        let context = match kept {
            Some(context) => context,
            None => kept.insert(new_decoder()?),
        };
        let inflated = inflate(context, compressed, limit_bytes);
        if context.sizeof() > KEPT_CONTEXT_BYTES_MAX {
            *kept = None;
        }
        inflated
    })
}

pub(super) fn compress(level: i32, section: &[u8]) -> Vec<u8> {
    let levels = zstd::compression_level_range();
    let level = level.clamp(*levels.start(), *levels.end());
    ENCODER.with_borrow_mut(|kept| {
        let encoder = kept.get_or_insert_with(|| Compressor::new(level).expect("zstd has memory for a context"));
        encoder
            .set_compression_level(level)
            .expect("the level is in zstd's range");
        let deflated = encoder
            .compress(section)
            .expect("the output has the size that zstd asks for");
        if encoder.context_mut().sizeof() > KEPT_CONTEXT_BYTES_MAX {
            *kept = None;
        }
        deflated
    })
}

fn new_decoder() -> Result<DCtx<'static>, DecompressError> {
    let mut context = DCtx::try_create().ok_or_else(|| malformed("there is no memory for a context"))?;
    context
        .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
        .map_err(refused)?;
    Ok(context)
}

/// Inflates frame after frame until the input ends at the end of one.
fn inflate(context: &mut DCtx<'_>, compressed: &[u8], limit_bytes: usize) -> Result<Vec<u8>, DecompressError> {
    context.reset(ResetDirective::SessionOnly).map_err(refused)?;
    let mut inflated = Vec::with_capacity(super::first_capacity(compressed.len(), limit_bytes));
    let mut source = InBuffer::around(compressed);
    loop {
        let filled = inflated.len();
        let mut sink = OutBuffer::around_pos(&mut inflated, filled);
        let is_frame_done = context.decompress_stream(&mut sink, &mut source).map_err(refused)? == 0;
        if inflated.len() > limit_bytes {
            return Err(DecompressError::TooLarge { limit_bytes });
        }
        let is_input_done = source.pos() == compressed.len();
        if is_input_done && is_frame_done {
            return Ok(inflated);
        }
        if inflated.len() == inflated.capacity() {
            // One byte beyond the cap tells "exactly full" from "too large".
            let room = (limit_bytes.saturating_add(1) - inflated.len()).min(inflated.len().max(4096));
            inflated.reserve_exact(room);
        } else if is_input_done {
            return Err(malformed("the frame is cut off"));
        }
    }
}

fn refused(code: usize) -> DecompressError {
    malformed(get_error_name(code))
}

fn malformed(reason: impl ToString) -> DecompressError {
    DecompressError::malformed(Compression::Zstd, reason)
}
