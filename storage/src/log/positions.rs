//! Where reads ended: the next one of the same reader starts there, and need not search an index.
//!
//! Who reads does not matter, only from which offset, so this serves fetches without a session as well. What is kept is a
//! hint: it counts only for the very segment, and only if nothing has been cut off since.

use std::sync::{Arc, Weak};

use ottla_protocol::ids::Offset;
use parking_lot::Mutex;

use crate::segment::{ReadStart, Segment};

/// So many readers of one log, each somewhere else, find where they were.
const ENDS_MAX: usize = 32;

#[derive(Debug)]
struct End {
    next_offset: Offset,
    segment: Weak<Segment>,
    start: ReadStart,
    truncations: u64,
}

/// The ends of the latest reads of a log.
#[derive(Debug, Default)]
pub(super) struct Positions(Mutex<Ends>);

#[derive(Debug, Default)]
struct Ends {
    kept: Vec<End>,
    /// The oldest, once there is no room for more.
    oldest: usize,
}

impl Positions {
    /// Where in `segment` a read from `offset` on starts, if one before it ended there.
    pub(super) fn start_of(&self, offset: Offset, segment: &Arc<Segment>, truncations: u64) -> Option<ReadStart> {
        let ends = self.0.lock();
        let end = ends.kept.iter().find(|end| end.next_offset == offset)?;
        let is_same = std::ptr::eq(end.segment.as_ptr(), Arc::as_ptr(segment)) && end.truncations == truncations;
        is_same.then_some(end.start)
    }

    /// Notes that a read has ended before `next_offset`, at `start` of `segment`.
    pub(super) fn note(&self, next_offset: Offset, segment: &Arc<Segment>, start: ReadStart, truncations: u64) {
        let end = End {
            next_offset,
            segment: Arc::downgrade(segment),
            start,
            truncations,
        };
        let mut ends = self.0.lock();
        if let Some(known) = ends.kept.iter_mut().find(|end| end.next_offset == next_offset) {
            *known = end;
        } else if ends.kept.len() < ENDS_MAX {
            ends.kept.push(end);
        } else {
            let oldest = ends.oldest;
            ends.kept[oldest] = end;
            ends.oldest = (oldest + 1) % ENDS_MAX;
        }
    }

    /// Gives the memory back.
    pub(super) fn forget(&self) {
        *self.0.lock() = Ends::default();
    }
}
