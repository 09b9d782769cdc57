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
    time::Instant,
};
use tokio::sync::watch;

/// A partition, by topic id and index.
pub(super) type Name = ([u8; 16], i32);

/// Whether a move is on disk, so that it goes on whatever happens to the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Begin {
    #[default]
    Awaited,
    Done,
    Failed,
}

/// How far a copy is.
#[derive(Debug, Default)]
pub(crate) struct CopyView {
    begin: watch::Sender<Begin>,
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

    /// The copy has been begun, or there will be none.
    pub(super) fn tell(&self, begin: Begin) {
        self.begin.send_if_modified(|told| match told {
            Begin::Awaited => {
                *told = begin;
                true
            }
            _ => false,
        });
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

/// Why the thread waits no longer.
pub(super) enum Pause {
    Over,
    /// Moves were asked for or called off: those that are wanted now.
    News(BTreeMap<Name, Move>),
    /// The broker stops.
    Stopped,
}

#[derive(Default)]
struct State {
    asked: BTreeMap<Name, Move>,
    /// A move was asked for that the thread has not heard of.
    has_news: bool,
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
    /// the place of the one before. Returns where to hear that the move has begun, if there is one.
    pub(crate) fn ask(&self, partition: &Arc<Partition>, target: &Arc<Directory>) -> Option<watch::Receiver<Begin>> {
        let mut state = self.state.lock();
        let name = name(partition);
        let asked = state.asked.get(&name);
        if let Some(asked) = asked.filter(|asked| Arc::ptr_eq(&asked.target, target)) {
            return Some(asked.view.begin.subscribe());
        }
        state.asked.remove(&name);
        // Looked at under the lock: a move that ends now has either put the log elsewhere or is not asked for any more.
        let is_there = Arc::ptr_eq(&partition.home().dir, target);
        partition.set_moving(!is_there);
        let begin = (!is_there).then(|| {
            let asked = Self::new_move(partition, target, None);
            let begin = asked.view.begin.subscribe();
            state.asked.insert(name, asked);
            begin
        });
        state.has_news = true;
        self.news.notify_all();
        begin
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

    /// Waits until a move is wanted, or one was called off; `None` when the broker stops.
    pub(super) fn wait(&self) -> Option<BTreeMap<Name, Move>> {
        let mut state = self.state.lock();
        loop {
            if state.has_stopped {
                return None;
            }
            let has_news = std::mem::take(&mut state.has_news);
            if has_news || !state.asked.is_empty() {
                return Some(state.asked.clone());
            }
            self.news.wait(&mut state);
        }
    }

    /// Waits until then.
    pub(super) fn pause(&self, end: Instant) -> Pause {
        let mut state = self.state.lock();
        loop {
            if state.has_stopped {
                return Pause::Stopped;
            }
            if std::mem::take(&mut state.has_news) {
                return Pause::News(state.asked.clone());
            }
            if Instant::now() >= end || self.news.wait_until(&mut state, end).timed_out() {
                return Pause::Over;
            }
        }
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
