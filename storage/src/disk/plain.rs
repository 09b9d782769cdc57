//! A window of a file without a map: each append is a call, each read a copy. The safe twin of [`super::map`].

use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::{DiskFile, FileSource, TailReader, TailWriter, read_exact};

#[derive(Debug)]
struct Window {
    file: Arc<dyn DiskFile>,
    range: Range<u64>,
    written: AtomicU64,
}

#[derive(Debug)]
struct PlainWriter(Arc<Window>);

/// The same as a map of `range` of `file`, by reading and writing.
pub(crate) fn plain_tail(
    file: Arc<dyn DiskFile>,
    range: Range<u64>,
    written: u64,
) -> (Box<dyn TailWriter>, Arc<dyn TailReader>) {
    assert!(
        range.start <= written && written <= range.end,
        "{written} is outside of {range:?}"
    );
    let written = AtomicU64::new(written);
    let window = Arc::new(Window { file, range, written });
    (Box::new(PlainWriter(window.clone())), window)
}

impl TailWriter for PlainWriter {
    fn end(&self) -> u64 {
        self.0.range.end
    }

    fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    fn append(&mut self, parts: &[IoSlice<'_>], _will_sync: bool, _file: FileSource<'_>) -> io::Result<()> {
        let written = self.written();
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let end = written + len as u64;
        assert!(
            end <= self.end(),
            "{len} bytes at {written} do not fit before {}",
            self.end()
        );
        self.0.file.write_at(parts, written)?;
        self.0.written.store(end, Ordering::Release);
        Ok(())
    }
}

impl TailReader for Window {
    fn readable(&self) -> Range<u64> {
        self.range.start..self.written.load(Ordering::Acquire)
    }

    fn read(self: Arc<Self>, range: Range<u64>) -> io::Result<Bytes> {
        let readable = self.readable();
        assert!(
            readable.start <= range.start && range.end <= readable.end,
            "{range:?} is not within {readable:?}"
        );
        let len = range.end.saturating_sub(range.start) as usize;
        Ok(read_exact(&*self.file, range.start, len)?.into())
    }
}
