//! Where a request is decided by whoever brings it, while nobody stands before it.
//!
//! To hand a request to a task and its answer back costs more than most decisions do. Whoever comes while others wait goes into
//! the queue behind them, and the task decides for all of them: so what one connection asks is decided in the order in
//! which it came.

use parking_lot::{Mutex, MutexGuard};
use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// How long somebody may stand at the desk until others go into the queue.
const PATIENCE: Duration = Duration::from_micros(50);

/// What is used by one at a time: by its own task, or by whoever comes while nobody waits for that.
pub(super) struct Desk<S> {
    /// `None` while it is closed.
    used: Mutex<Option<Box<S>>>,
    queued: Arc<AtomicUsize>,
    /// Rung when the task has something to see to.
    pub(super) bell: Notify,
}

impl<S> Default for Desk<S> {
    fn default() -> Self {
        Self {
            used: Mutex::new(None),
            queued: Arc::default(),
            bell: Notify::new(),
        }
    }
}

/// A place in the queue, which is left when what stands in it has been decided, or never will be.
pub(super) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// What the desk is for, in use.
pub(super) struct Used<'a, S>(MutexGuard<'a, Option<Box<S>>>);

impl<S> Deref for Used<'_, S> {
    type Target = S;

    fn deref(&self) -> &S {
        self.0.as_ref().expect("the desk was open, and is held")
    }
}

impl<S> DerefMut for Used<'_, S> {
    fn deref_mut(&mut self) -> &mut S {
        self.0.as_mut().expect("the desk was open, and is held")
    }
}

impl<S> Drop for Used<'_, S> {
    /// Nobody uses what somebody left in disorder.
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.0 = None;
        }
    }
}

impl<S> Desk<S> {
    pub(super) fn open(&self, used: S) {
        *self.used.lock() = Some(Box::new(used));
    }

    /// What it was for; `None` if it is closed already.
    pub(super) fn close(&self) -> Option<Box<S>> {
        self.used.lock().take()
    }

    /// For the task, when its turn comes; `None` if the desk is closed.
    pub(super) fn wait(&self) -> Option<Used<'_, S>> {
        Self::opened(self.used.lock())
    }

    /// For whoever comes, unless others wait or the desk is closed.
    pub(super) fn at_once(&self) -> Option<Used<'_, S>> {
        if self.has_queue() {
            return None;
        }
        let used = self.used.try_lock_for(PATIENCE)?;
        // Somebody may have lost patience before.
        match self.has_queue() {
            true => None,
            false => Self::opened(used),
        }
    }

    /// A place for what is about to go into the queue.
    pub(super) fn queue(&self) -> Place {
        self.queued.fetch_add(1, Ordering::Relaxed);
        Place(self.queued.clone())
    }

    fn has_queue(&self) -> bool {
        self.queued.load(Ordering::Acquire) > 0
    }

    fn opened(used: MutexGuard<'_, Option<Box<S>>>) -> Option<Used<'_, S>> {
        used.is_some().then(|| Used(used))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Desk<Vec<i32>> {
        let desk = Desk::default();
        desk.open(Vec::new());
        desk
    }

    #[test]
    fn whoever_comes_while_others_wait_stands_behind_them() {
        let desk = open();
        desk.at_once().expect("nobody waits").push(1);
        let (first, second) = (desk.queue(), desk.queue());
        assert!(desk.at_once().is_none());
        desk.wait().expect("it is open").push(2);
        drop(first);
        assert!(desk.at_once().is_none(), "one still waits");
        drop(second);
        desk.at_once().expect("nobody waits any more").push(3);
        assert_eq!(*desk.wait().expect("it is open"), [1, 2, 3]);
    }

    #[test]
    fn whoever_finds_it_in_use_for_long_is_not_kept() {
        let desk = open();
        let used = desk.wait();
        assert!(desk.at_once().is_none());
        drop(used);
        assert!(desk.at_once().is_some());
    }

    #[test]
    fn a_closed_desk_serves_nobody() {
        let desk = open();
        assert!(desk.close().is_some());
        assert!(desk.at_once().is_none() && desk.wait().is_none() && desk.close().is_none());
    }

    #[test]
    fn what_was_left_in_disorder_is_not_used_again() {
        let desk = open();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut used = desk.at_once().expect("it is open");
            used.push(1);
            panic!("in the middle of it");
        }));
        assert!(panicked.is_err());
        assert!(desk.at_once().is_none() && desk.wait().is_none());
    }
}
