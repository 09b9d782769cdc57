//! How a waiting fetch learns that there is something new, at a cost that follows what is new.
//!
//! A fetch registers its [`Interest`] with each partition that it waits for, under a slot number of its own. A
//! partition that gets records marks that slot and wakes the fetch, which then looks at the marked slots alone.

use parking_lot::Mutex;
use std::{
    collections::BTreeSet,
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::Notify;

/// Number of a partition within one fetch or fetch session.
pub(crate) type SlotIndex = u32;

/// What one fetch or fetch session waits for.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    marks: Mutex<Marks>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Marks {
    slots: BTreeSet<SlotIndex>,
    /// Nobody is woken.
    is_quiet: bool,
}

impl Interest {
    /// Notes that the slot has to be looked at, and wakes who waits.
    pub(crate) fn mark(&self, slot: SlotIndex) {
        let mut marks = self.marks.lock();
        marks.slots.insert(slot);
        if !marks.is_quiet {
            drop(marks);
            self.news.notify_one();
        }
    }

    /// Notes that the slot has to be looked at.
    pub(crate) fn mark_quietly(&self, slot: SlotIndex) {
        self.marks.lock().slots.insert(slot);
    }

    /// Takes all marks.
    pub(crate) fn take_marked(&self) -> BTreeSet<SlotIndex> {
        mem::take(&mut self.marks.lock().slots)
    }

    /// Does what brings news, of which nobody is to be woken: whoever calls this looks afterwards at what there is, and sees
    /// what others have done meanwhile too.
    pub(crate) fn without_news<R>(&self, work: impl FnOnce() -> R) -> R {
        self.marks.lock().is_quiet = true;
        let done = work();
        self.marks.lock().is_quiet = false;
        done
    }

    /// Ends when a slot has been marked since the last time.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }
}

/// Takes a registration back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RegistrationId(u64);

/// The fetches that wait for one partition.
#[derive(Debug, Default)]
pub(crate) struct Interested {
    registrations: Mutex<Vec<(RegistrationId, SlotIndex, Arc<Interest>)>>,
}

static NEXT_REGISTRATION: AtomicU64 = AtomicU64::new(0);

impl Interested {
    /// From now on news of the partition mark `slot` of `interest`.
    pub(crate) fn register(&self, interest: &Arc<Interest>, slot: SlotIndex) -> RegistrationId {
        let id = RegistrationId(NEXT_REGISTRATION.fetch_add(1, Ordering::Relaxed));
        self.registrations.lock().push((id, slot, interest.clone()));
        id
    }

    /// Ends a registration.
    pub(crate) fn unregister(&self, id: RegistrationId) {
        let mut registrations = self.registrations.lock();
        if let Some(index) = registrations.iter().position(|(known, ..)| *known == id) {
            registrations.swap_remove(index);
        }
        if registrations.is_empty() {
            *registrations = Vec::new();
        }
    }

    /// Marks and wakes every fetch that waits.
    pub(crate) fn wake(&self) {
        self.registrations
            .lock()
            .iter()
            .for_each(|(_, slot, interest)| interest.mark(*slot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Waker};

    #[test]
    fn news_mark_only_the_slot_of_their_partition() {
        let (first, second) = (Interested::default(), Interested::default());
        let interest = Arc::new(Interest::default());
        first.register(&interest, 0);
        let registration = second.register(&interest, 1);
        second.wake();
        second.wake();
        assert_eq!(interest.take_marked(), BTreeSet::from([1]));
        second.unregister(registration);
        second.wake();
        assert_eq!(interest.take_marked(), BTreeSet::new());
    }

    #[tokio::test]
    async fn whoever_brings_news_itself_is_not_woken_by_them_but_by_the_next() {
        let (partition, interest) = (Interested::default(), Arc::new(Interest::default()));
        partition.register(&interest, 0);
        interest.without_news(|| partition.wake());
        assert_eq!(interest.take_marked(), BTreeSet::from([0]));
        let mut news = std::pin::pin!(interest.news());
        assert!(news.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        partition.wake();
        news.await;
    }

    #[tokio::test]
    async fn news_before_the_wait_are_not_missed() {
        let (partition, interest) = (Interested::default(), Arc::new(Interest::default()));
        partition.register(&interest, 0);
        partition.wake();
        interest.news().await;
    }
}
