//! Which logs are to be moved, and how far each is: what requests say and see while the thread works.

use crate::{log_store::Directory, partitions::Partition};
use ottla_protocol::ids::{Offset, Uuid};
use ottla_storage::Log;
use parking_lot::{Condvar, Mutex};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

/// A partition, by topic id and index.
pub(super) type Name = ([u8; 16], i32);

/// How far a copy is.
#[derive(Debug, Default)]
pub(crate) struct CopyView {
    end_offset: AtomicI64,
    size_bytes: AtomicI64,
    /// A copy of an earlier process, to go on with.
    resumed: Mutex<Option<PathBuf>>,
}

impl CopyView {
    pub(super) fn note(&self, copy: &Log) {
        self.end_offset.store(copy.log_end_offset(), Ordering::Relaxed);
        let size_bytes = i64::try_from(copy.size_bytes()).unwrap_or(i64::MAX);
        self.size_bytes.store(size_bytes, Ordering::Relaxed);
    }

    pub(super) fn take_resumed(&self) -> Option<PathBuf> {
        self.resumed.lock().take()
    }

    /// Where the copy ends.
    pub(crate) fn end_offset(&self) -> Offset {
        self.end_offset.load(Ordering::Relaxed)
    }

    /// How large it is.
    pub(crate) fn size_bytes(&self) -> i64 {
        self.size_bytes.load(Ordering::Relaxed)
    }
}

/// A log that is to lie elsewhere.
#[derive(Clone)]
pub(crate) struct Move {
    pub(crate) partition: Arc<Partition>,
    pub(crate) target: Arc<Directory>,
    pub(crate) view: Arc<CopyView>,
}

#[derive(Default)]
struct State {
    asked: BTreeMap<Name, Move>,
    has_stopped: bool,
}

/// The moves that are wanted.
#[derive(Default)]
pub(crate) struct Moves {
    state: Mutex<State>,
    news: Condvar,
}

fn name(partition: &Partition) -> Name {
    let Uuid(id) = partition.topic_id;
    (id, partition.index)
}

impl Moves {
    /// The log is to lie in `target`. Where it lies there already a move elsewhere is called off; another target takes
    /// the place of the one before.
    pub(crate) fn ask(&self, partition: &Arc<Partition>, target: &Arc<Directory>) {
        let mut state = self.state.lock();
        let name = name(partition);
        let asked = state.asked.get(&name);
        if asked.is_some_and(|asked| Arc::ptr_eq(&asked.target, target)) {
            return;
        }
        state.asked.remove(&name);
        // Looked at under the lock: a move that ends now has either put the log elsewhere or is not asked for any more.
        let is_there = Arc::ptr_eq(&partition.home().dir, target);
        partition.set_moving(!is_there);
        if !is_there {
            state.asked.insert(name, Self::new_move(partition, target, None));
        }
        self.news.notify_all();
    }

    fn new_move(partition: &Arc<Partition>, target: &Arc<Directory>, resumed: Option<PathBuf>) -> Move {
        let view = CopyView {
            resumed: Mutex::new(resumed),
            ..CopyView::default()
        };
        Move {
            partition: partition.clone(),
            target: target.clone(),
            view: Arc::new(view),
        }
    }

    /// A copy that was found goes on. False if another one does already.
    pub(super) fn resume(&self, partition: &Arc<Partition>, target: &Arc<Directory>, copy: PathBuf) -> bool {
        let mut state = self.state.lock();
        let name = name(partition);
        if state.asked.contains_key(&name) {
            return false;
        }
        partition.set_moving(true);
        state.asked.insert(name, Self::new_move(partition, target, Some(copy)));
        true
    }

    /// The moves that are wanted, for those who show them.
    pub(crate) fn all(&self) -> Vec<Move> {
        self.state.lock().asked.values().cloned().collect()
    }

    /// Waits until a move is wanted; `None` when the broker stops.
    pub(super) fn wait(&self) -> Option<BTreeMap<Name, Move>> {
        let mut state = self.state.lock();
        loop {
            if state.has_stopped {
                return None;
            }
            if !state.asked.is_empty() {
                return Some(state.asked.clone());
            }
            self.news.wait(&mut state);
        }
    }

    /// Waits so long. True when the broker stops.
    pub(super) fn pause(&self, duration: Duration) -> bool {
        let mut state = self.state.lock();
        let end = Instant::now() + duration;
        while !state.has_stopped && !duration.is_zero() && !self.news.wait_until(&mut state, end).timed_out() {}
        state.has_stopped
    }

    /// Whether this very move is wanted still.
    pub(super) fn is_asked(&self, name: &Name, asked: &Move) -> bool {
        let state = self.state.lock();
        let now = state.asked.get(name);
        now.is_some_and(|now| Arc::ptr_eq(&now.view, &asked.view))
    }

    /// The move is over, unless another one has taken its place.
    pub(super) fn end(&self, name: &Name, asked: &Move) {
        let mut state = self.state.lock();
        let now = state.asked.get(name);
        if now.is_some_and(|now| Arc::ptr_eq(&now.view, &asked.view)) {
            state.asked.remove(name);
            asked.partition.set_moving(false);
        }
    }

    pub(super) fn stop(&self) {
        self.state.lock().has_stopped = true;
        self.news.notify_all();
    }
}
