//! The files that are kept open, and which of them is closed when there are too many.
//!
//! A hand goes round over all of them, as over a clock: a file that was used since it last came by stays, another one is
//! closed unless somebody holds it. Using a file that is open costs no lock but its own.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;

use super::DiskFile;

/// The hand looks at so many files at most for each that is opened: while all are in use there are more than the limit.
const LOOKS_PER_OPEN: usize = 64;

/// No limit is smaller.
const LIMIT_MIN: usize = 64;

/// What a [`super::FileSlot`] holds.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) state: Mutex<HeldFile>,
    is_used: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct HeldFile {
    pub(super) file: Option<Arc<dyn DiskFile>>,
    /// Whether another file has, or may soon have, the path: then it is not opened again.
    pub(super) is_pinned: bool,
    /// Whether the hand comes by.
    is_listed: bool,
}

impl Held {
    pub(super) fn note_use(&self) {
        self.is_used.store(true, Ordering::Relaxed);
    }

    /// Whether the hand need not come by any more. The file that is closed is returned, to be dropped without locks.
    fn pass(&self) -> (bool, Option<Arc<dyn DiskFile>>) {
        let Some(mut held) = self.state.try_lock() else {
            return (false, None);
        };
        let is_held = held.is_pinned || held.file.as_ref().is_some_and(|file| Arc::strong_count(file) > 1);
        if held.file.is_some() && (is_held || self.is_used.swap(false, Ordering::Relaxed)) {
            return (false, None);
        }
        held.is_listed = false;
        (true, held.file.take())
    }
}

/// The files that are open, up to a limit.
#[derive(Debug)]
pub struct OpenFiles {
    limit: usize,
    clock: Mutex<VecDeque<Weak<Held>>>,
}

impl OpenFiles {
    pub(crate) const fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            clock: Mutex::new(VecDeque::new()),
        }
    }

    /// Those of this process: half of the descriptors that it may have, the others are for sockets.
    pub(super) fn of_process() -> &'static Self {
        static FILES: LazyLock<OpenFiles> = LazyLock::new(|| {
            let allowed = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
            let half = allowed.map_or(usize::MAX, |allowed| usize::try_from(allowed / 2).unwrap_or(usize::MAX));
            OpenFiles::with_limit(half.max(LIMIT_MIN))
        });
        &FILES
    }

    /// Notes that a file has been opened, and closes another one if there are too many.
    pub(super) fn opened(&self, held: &Arc<Held>) {
        let is_new = !std::mem::replace(&mut held.state.lock().is_listed, true);
        let mut closed = Vec::new();
        let mut clock = self.clock.lock();
        if is_new {
            clock.push_back(Arc::downgrade(held));
        }
        for _ in 0..LOOKS_PER_OPEN {
            if clock.len() <= self.limit {
                break;
            }
            let Some(next) = clock.pop_front() else { break };
            let Some(held) = next.upgrade() else { continue };
            match held.pass() {
                (true, file) => closed.extend(file),
                (false, _) => clock.push_back(next),
            }
        }
        // Closing may take a while.
        drop(clock);
    }
}
