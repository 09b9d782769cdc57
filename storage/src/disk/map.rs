//! A window of a file as shared memory: the only unsafe code of the crate.
//!
//! The window is `written` bytes that never change again, then room for more. One writer fills the room from the
//! front and moves `written`; any number of readers take slices below `written`. So no byte is ever written while
//! someone may look at it. A new window over the same file starts at or after the `written` of the older ones, whose
//! readers therefore stay undisturbed; `segment.rs` never cuts a file below bytes that are still held.
//!
//! What the language cannot see: another process could change or cut the file. The lock on the log directory keeps
//! other brokers out, and nothing else has business there. A page that the disk cannot read, or has no room for, arrives
//! as SIGBUS; [`faults`] turns that into an error of the window.
//!
//! A map lives without a descriptor: the file is asked for only where a call is cheaper than copying.

#![allow(unsafe_code)]

mod faults;

use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::ptr;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use memmap2::{Advice, MmapOptions, MmapRaw};

use super::{FileSource, PAGE_BYTES, TailReader, TailWriter};
use faults::Watch;

/// From this size on, one system call is cheaper than copying into the map.
const CALL_FROM_BYTES: usize = 128 * 1024;

/// What is still to be written is written with zeros in pieces of up to this size, before it is copied into. The kernel
/// makes one large page of each piece, and one fault maps it. A fault where nothing is in memory yet costs four times as
/// much per byte, and now and then a wait of milliseconds.
const WARM_BYTES: u64 = 256 * 1024;

/// Before so much was appended to a window nothing is written ahead: who appends little has no use for it.
const WARM_FROM_BYTES: u64 = 16 * 1024;

static ZEROS: [u8; WARM_BYTES as usize] = [0; WARM_BYTES as usize];

#[derive(Debug)]
struct Window {
    /// Goes before the memory does.
    watch: Watch,
    memory: MmapRaw,
    /// Position in the file of the first mapped byte.
    start: u64,
    /// Position in the file up to which bytes are written.
    written: AtomicU64,
}

#[derive(Debug)]
struct MapWriter {
    window: Arc<Window>,
    /// Where this writer took the window over.
    began: u64,
    /// Up to where the window is in memory.
    warm: u64,
}

/// Maps `range` of `file` for appending from `written` on. See [`super::DiskFile::tail`] for what must hold.
pub(super) fn map_tail(
    file: &File,
    range: Range<u64>,
    written: u64,
) -> io::Result<(Box<dyn TailWriter>, Arc<dyn TailReader>)> {
    assert!(
        range.start.is_multiple_of(PAGE_BYTES),
        "a window starts at a page, not at {}",
        range.start
    );
    assert!(
        range.start <= written && written <= range.end,
        "{written} is outside of {range:?}"
    );
    let allocated = file.metadata()?.len();
    assert!(
        range.end <= allocated,
        "a window up to {} over a file of {allocated} would fault",
        range.end
    );
    let len = usize::try_from(range.end - range.start).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let memory = MmapOptions::new().offset(range.start).len(len).map_raw(file)?;
    // What a fault brings in besides the page that was asked for would be in the way of the pieces.
    memory.advise(Advice::Random)?;
    let window = Arc::new(Window {
        watch: Watch::over(memory.as_ptr(), memory.len()),
        memory,
        start: range.start,
        written: AtomicU64::new(written),
    });
    let writer = MapWriter {
        window: window.clone(),
        began: written,
        warm: written.next_multiple_of(PAGE_BYTES),
    };
    Ok((Box::new(writer), window))
}

impl Window {
    fn end(&self) -> u64 {
        self.start + self.memory.len() as u64
    }
}

impl MapWriter {
    /// Has what will be copied into before `end`, and some more, in memory.
    fn warm_up(&mut self, end: u64, file: FileSource<'_>) -> io::Result<()> {
        let appended = end - self.began;
        if end <= self.warm || appended < WARM_FROM_BYTES {
            return Ok(());
        }
        // As much again as was appended, and to a border of that size: pages are only as large as they are aligned.
        let piece = (1 << appended.ilog2()).min(WARM_BYTES);
        let to = end.next_multiple_of(piece).min(self.window.end());
        let mut from = self.warm.max(self.written().next_multiple_of(PAGE_BYTES));
        while from < to {
            let len = (to - from).min(WARM_BYTES);
            file()?.write_at(&[IoSlice::new(&ZEROS[..len as usize])], from)?;
            from += len;
        }
        self.warm = to;
        Ok(())
    }
}

impl TailWriter for MapWriter {
    fn end(&self) -> u64 {
        self.window.end()
    }

    fn written(&self) -> u64 {
        self.window.written.load(Ordering::Relaxed)
    }

    fn append(&mut self, parts: &[IoSlice<'_>], will_sync: bool, file: FileSource<'_>) -> io::Result<()> {
        let written = self.written();
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let end = written + len as u64;
        assert!(
            end <= self.end(),
            "{len} bytes at {written} do not fit before {}",
            self.end()
        );
        // What dirties a map makes the kernel write, and protect again, whole folios of up to some MiB at each sync.
        if len >= CALL_FROM_BYTES || will_sync {
            file()?.write_at(parts, written)?;
        } else {
            self.warm_up(end, file)?;
            let mut to = (written - self.window.start) as usize;
            for part in parts {
                // SAFETY: `to + part.len()` is within the map, as asserted above. No reader has a slice at or after
                // `written`, and this is the only writer: `&mut self`, and a writer is never cloned. The source is
                // a live slice, and cannot overlap with memory that nobody has a slice of.
                unsafe { ptr::copy_nonoverlapping(part.as_ptr(), self.window.memory.as_mut_ptr().add(to), part.len()) };
                to += part.len();
            }
        }
        // What went into a page that is not the file's must not count.
        self.check()?;
        // Release: who sees the new position sees the bytes before it.
        self.window.written.store(end, Ordering::Release);
        Ok(())
    }

    fn check(&self) -> io::Result<()> {
        self.window.watch.check()
    }
}

impl TailReader for Window {
    fn readable(&self) -> Range<u64> {
        self.start..self.written.load(Ordering::Acquire)
    }

    fn read(self: Arc<Self>, range: Range<u64>) -> io::Result<Bytes> {
        let readable = self.readable();
        assert!(
            readable.start <= range.start && range.start <= range.end && range.end <= readable.end,
            "{range:?} is not within {readable:?}"
        );
        self.check()?;
        let from = (range.start - self.start) as usize;
        let len = (range.end - range.start) as usize;
        Ok(Bytes::from_owner(Slice {
            window: self,
            from,
            len,
        }))
    }

    fn check(&self) -> io::Result<()> {
        self.watch.check()
    }
}

struct Slice {
    window: Arc<Window>,
    from: usize,
    len: usize,
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `from..from + len` was below `written` when the slice was made, so it is within the map and never
        // written again; the map lives as long as `self.window`.
        unsafe { slice::from_raw_parts(self.window.memory.as_ptr().add(self.from), self.len) }
    }
}
