//! A growing file of entries of `WIDTH` bytes.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::disk::{Disk, FileSlot, OpenMode, read_exact};

/// So many bytes of entries wait in memory at most, unless the disk refuses them.
const PENDING_BYTES: usize = 4096;

/// Entries read at once when a search has come near: a page.
const BLOCK_BYTES: usize = 4096;

#[derive(Debug)]
pub(super) struct Entries<const WIDTH: usize> {
    slot: FileSlot,
    state: RwLock<State<WIDTH>>,
    /// How often the file was searched.
    searches: AtomicU64,
}

#[derive(Debug, Default)]
struct State<const WIDTH: usize> {
    /// Entries in the file.
    written: usize,
    /// Entries after those, not yet in the file.
    pending: Vec<u8>,
    /// The last entry, once it was added or looked at: who appends asks for it each time.
    last: Option<[u8; WIDTH]>,
}

impl<const WIDTH: usize> State<WIDTH> {
    fn count(&self) -> usize {
        self.written + self.pending.len() / WIDTH
    }
}

impl<const WIDTH: usize> Entries<WIDTH> {
    /// The entries of the file at `path`; none where there is no file. A torn last entry does not count.
    pub(super) fn open(disk: Arc<dyn Disk>, path: PathBuf) -> io::Result<Self> {
        let slot = FileSlot::new(disk, path);
        let len_bytes = match slot.status() {
            Ok(status) => status.len_bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let written = usize::try_from(len_bytes).unwrap_or(usize::MAX) / WIDTH;
        Ok(Self {
            slot,
            state: RwLock::new(State {
                written,
                pending: Vec::new(),
                last: None,
            }),
            searches: AtomicU64::new(0),
        })
    }

    /// An index that is known to have no file yet.
    pub(super) fn create(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self {
            slot: FileSlot::new(disk, path),
            state: RwLock::default(),
            searches: AtomicU64::new(0),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.state.read().count()
    }

    /// Adds an entry. When the disk refuses to take those that wait, they go on waiting.
    pub(super) fn push(&self, entry: [u8; WIDTH]) {
        let mut state = self.state.write();
        state.pending.extend_from_slice(&entry);
        state.last = Some(entry);
        if state.pending.len() >= PENDING_BYTES
            && let Err(error) = self.write_pending(&mut state)
        {
            tracing::warn!(path = %self.slot.path().display(), %error, "index entries are kept in memory");
        }
    }

    /// The entry at `at`, counted from 0.
    pub(super) fn entry(&self, at: usize) -> io::Result<[u8; WIDTH]> {
        {
            let state = self.state.read();
            if let Some(at) = at.checked_sub(state.written) {
                let bytes = state
                    .pending
                    .chunks_exact(WIDTH)
                    .nth(at)
                    .ok_or(io::ErrorKind::UnexpectedEof)?;
                return fixed(bytes);
            }
        }
        // Entries in the file stay as they are, so the lock is not held while the disk works.
        let file = self.slot.open(OpenMode::Write)?;
        fixed(&read_exact(&*file, (at * WIDTH) as u64, WIDTH)?)
    }

    pub(super) fn last(&self) -> io::Result<Option<[u8; WIDTH]>> {
        let (count, known) = {
            let state = self.state.read();
            (state.count(), state.last)
        };
        if count == 0 || known.is_some() {
            return Ok(known);
        }
        let last = self.entry(count - 1)?;
        let mut state = self.state.write();
        // Others may have added or cut meanwhile.
        if state.last.is_none() && state.count() == count {
            state.last = Some(last);
        }
        Ok(Some(last))
    }

    /// How many entries, from the first, satisfy `is_before`, which must be true up to some entry and then false.
    pub(super) fn count_before(&self, is_before: impl Fn(&[u8; WIDTH]) -> bool) -> io::Result<usize> {
        let (mut low, mut high) = (0, self.count());
        if let Some((first, within)) = self.count_pending_before(&is_before) {
            if within > 0 {
                return Ok(first + within);
            }
            high = first;
        }
        if low < high {
            self.searches.fetch_add(1, Ordering::Relaxed);
        }
        while high - low > BLOCK_BYTES / WIDTH {
            let middle = low.midpoint(high);
            if is_before(&self.entry(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low + self.block(low..high)?.partition_point(is_before))
    }

    /// As [`Entries::count_before`], but looks first among the entries from `near` on, which costs one read.
    pub(super) fn count_before_near(&self, near: usize, is_before: impl Fn(&[u8; WIDTH]) -> bool) -> io::Result<usize> {
        let written = self.state.read().written;
        let block = self.block(near.min(written)..written.min(near.saturating_add(BLOCK_BYTES / WIDTH)))?;
        match block.partition_point(&is_before) {
            within if within > 0 && within < block.len() => Ok(near + within),
            within if within > 0 && near + within == written => match self.count_pending_before(&is_before) {
                Some((first, after)) => Ok(first + after),
                None => Ok(written),
            },
            _ => self.count_before(is_before),
        }
    }

    /// The entries of `range`, all of them in the file.
    fn block(&self, range: Range<usize>) -> io::Result<Vec<[u8; WIDTH]>> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let file = self.slot.open(OpenMode::Write)?;
        let bytes = read_exact(&*file, (range.start * WIDTH) as u64, range.len() * WIDTH)?;
        Ok(bytes
            .chunks_exact(WIDTH)
            .filter_map(|entry| entry.try_into().ok())
            .collect())
    }

    pub(super) fn searches(&self) -> u64 {
        self.searches.load(Ordering::Relaxed)
    }

    /// The number of the first entry that waits in memory, and how many of those satisfy `is_before`.
    fn count_pending_before(&self, is_before: &impl Fn(&[u8; WIDTH]) -> bool) -> Option<(usize, usize)> {
        let state = self.state.read();
        if state.pending.is_empty() {
            return None;
        }
        let (mut low, mut high) = (0, state.pending.len() / WIDTH);
        while low < high {
            let middle = low.midpoint(high);
            let entry = fixed(&state.pending[middle * WIDTH..(middle + 1) * WIDTH]).ok()?;
            if is_before(&entry) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Some((state.written, low))
    }

    /// Forgets the zeros behind the last entry: a Kafka that was killed leaves its preallocated room. Entries rise, so
    /// one of zeros can be true, two cannot.
    pub(super) fn trim_zeros(&self) -> io::Result<()> {
        let is_zero = |entry: [u8; WIDTH]| entry == [0; WIDTH];
        match self.count() {
            count @ 2.. if is_zero(self.entry(count - 1)?) && is_zero(self.entry(count - 2)?) => {
                self.truncate(self.count_before(|entry| !is_zero(*entry))?)
            }
            _ => Ok(()),
        }
    }

    /// Keeps the entries up to the first one that does not come `after` the one before, as a power loss may have left some
    /// pages of the file and not others. Of what is only a hint the last entry before that goes as well.
    pub(super) fn keep_rising(
        &self,
        is_hint: bool,
        after: impl Fn(&[u8; WIDTH], &[u8; WIDTH]) -> bool,
    ) -> io::Result<()> {
        let written = self.state.read().written;
        let Some(file) = self.slot.open_existing()? else {
            return Ok(());
        };
        let content = read_exact(&*file, 0, written * WIDTH)?;
        let entries: Vec<[u8; WIDTH]> = content
            .chunks_exact(WIDTH)
            .filter_map(|entry| entry.try_into().ok())
            .collect();
        let is_zero = |at: usize| entries[at] == [0; WIDTH];
        match entries.windows(2).position(|pair| !after(&pair[0], &pair[1])) {
            // An entry across the border of two sectors may be wrong and still come after the one before.
            Some(at) if is_hint || is_zero(at) => self.truncate(at),
            Some(at) => self.truncate(at + 1),
            None if entries.len() == 1 && is_zero(0) => self.truncate(0),
            None => Ok(()),
        }
    }

    /// Keeps the first `count` entries.
    pub(super) fn truncate(&self, count: usize) -> io::Result<()> {
        let mut state = self.state.write();
        state.last = None;
        if let Some(kept) = count.checked_sub(state.written) {
            state.pending.truncate(kept * WIDTH);
            return Ok(());
        }
        state.pending.clear();
        if let Some(file) = self.slot.open_existing()? {
            file.set_len((count * WIDTH) as u64)?;
        }
        state.written = count;
        Ok(())
    }

    /// Writes what waits in memory; creates the file even if it stays empty, and cuts off what is no entry.
    pub(super) fn flush(&self) -> io::Result<()> {
        let mut state = self.state.write();
        let file = self.slot.open(OpenMode::Create)?;
        let len_bytes = (state.written * WIDTH) as u64;
        if file.len_bytes()? != len_bytes {
            file.set_len(len_bytes)?;
        }
        self.write_pending(&mut state)?;
        state.pending = Vec::new();
        Ok(())
    }

    pub(super) fn has_file(&self) -> io::Result<bool> {
        match self.slot.status() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes the file durable, if there is one.
    pub(super) fn sync(&self) -> io::Result<()> {
        match self.slot.open_existing()? {
            Some(file) => file.sync(),
            None => Ok(()),
        }
    }

    pub(super) fn close(&self) {
        self.slot.close();
    }

    pub(super) fn pin(&self) -> io::Result<()> {
        self.slot.pin()
    }

    pub(super) fn retire(&self) {
        self.slot.retire();
    }

    fn write_pending(&self, state: &mut State<WIDTH>) -> io::Result<()> {
        if state.pending.is_empty() {
            return Ok(());
        }
        let file = self.slot.open(OpenMode::Create)?;
        file.write_at(&[IoSlice::new(&state.pending)], (state.written * WIDTH) as u64)?;
        state.written += state.pending.len() / WIDTH;
        state.pending.clear();
        Ok(())
    }
}

fn fixed<const WIDTH: usize>(bytes: &[u8]) -> io::Result<[u8; WIDTH]> {
    bytes.try_into().map_err(|_| io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use crate::testing::scratch;

    #[test]
    fn the_last_entry_is_not_read_again_each_time_and_follows_every_change() {
        let scratch = scratch("entries");
        let path = scratch.path().join("index");
        let open = || Entries::<2>::open(Arc::new(RealDisk::new()), path.clone()).unwrap();
        let entries = open();
        assert_eq!(entries.last().unwrap(), None);
        for entry in 1..=3 {
            entries.push([0, entry]);
            assert_eq!(entries.last().unwrap(), Some([0, entry]));
        }
        entries.flush().unwrap();
        entries.truncate(2).unwrap();
        assert_eq!(entries.last().unwrap(), Some([0, 2]));
        entries.truncate(0).unwrap();
        assert_eq!(entries.last().unwrap(), None);
        entries.push([0, 4]);
        entries.flush().unwrap();

        let entries = open();
        assert_eq!(entries.last().unwrap(), Some([0, 4]));
        entries.close();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(entries.last().unwrap(), Some([0, 4]), "without the file");
    }
}
