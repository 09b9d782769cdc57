//! Moves logs from one directory to another while they are in use (AlterReplicaLogDirs).
//!
//! One thread for all moves, which take turns piece by piece; it waits for the disk, and for its own limit
//! (`replica.alter.log.dirs.io.max.bytes.per.second`). It starts with what an earlier process has left, and a move has begun,
//! in a directory of its own, before the one who asks for it gets an answer. Before a copy takes the place of its log the
//! metadata say so: whatever a crash leaves, they name the right one of two.

mod moves;

use crate::{
    broker::Broker,
    clock::now_ms,
    log_store::{Assignment, Directory, Home, Occasion, new_id},
    partitions::Partition,
};
pub(crate) use moves::{Begin, Move, Moves};
use moves::{CopyView, Pause};
use ottla_storage::{CopyError, FutureLog, PromoteError, Throttle, copy_some, cut_to};
use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// Copied at once: what a move holds in memory.
const PIECE_BYTES: usize = 1 << 20;
/// The copy is made durable after so many bytes, so that the last step finds little to be written.
const SYNC_BYTES: u64 = 64 << 20;
/// How long the thread waits where every copy waits for something.
const PAUSE: Duration = Duration::from_millis(500);

/// The thread that runs.
pub(crate) struct LogMover {
    thread: thread::JoinHandle<()>,
}

impl LogMover {
    /// Starts the thread; moves that an earlier process has begun go on.
    pub(crate) fn start(broker: &Arc<Broker>) -> std::io::Result<Self> {
        take_up(broker);
        let mover = Mover {
            broker: Arc::downgrade(broker),
            runtime: Handle::current(),
            copies: BTreeMap::new(),
            throttle: (0.0, Throttle::new(0.0)),
        };
        let name = thread::Builder::new().name("ottla-mover".into()).stack_size(512 * 1024);
        let thread = name.spawn(move || mover.run())?;
        Ok(Self { thread })
    }

    /// Ends the thread; what it has copied is there at the next start.
    pub(crate) fn stop(self, broker: &Broker) {
        broker.moves.stop();
        // A panic there has been reported by its own hook.
        let _ = self.thread.join();
    }
}

/// Has the copies that were found at start finished. Those that nobody can use any more go.
fn take_up(broker: &Broker) {
    let image = broker.image.load();
    for (name, target, path) in broker.logs.take_futures() {
        let topic = image.topics().by_name(&name.topic);
        let partition = topic.and_then(|topic| broker.partitions.by_id(topic.id, name.partition));
        let Some(partition) = partition.filter(|partition| !partition.is_offline()) else {
            tracing::warn!(dir = %path.display(), "left alone: a copy of a log that is not in use here");
            continue;
        };
        let is_wanted = !Arc::ptr_eq(&partition.home().dir, &target);
        if is_wanted && broker.moves.resume(&partition, &target, path.clone()) {
            tracing::info!(partition = %name, dir = %target.path().display(), "the move of a log goes on");
        } else if let Some(Err(error)) = target.in_use().map(|dir| dir.remove_dir(&path)) {
            target.blame(&error, &name, &Occasion::default());
        }
    }
}

/// A copy that is being made.
struct Copy {
    target: Arc<Directory>,
    future: FutureLog,
    view: Arc<CopyView>,
    unsynced_bytes: u64,
}

struct Mover {
    broker: Weak<Broker>,
    runtime: Handle,
    copies: BTreeMap<moves::Name, Copy>,
    /// The limit, and what counts against it.
    throttle: (f64, Throttle),
}

/// Why a move ends without its goal.
enum Failure {
    /// Of the directory that the log lies in.
    Source(CopyError),
    /// Of the one that it is moved to.
    Target(PromoteError),
    /// The broker stops, or the target is not in use.
    Over,
}

impl From<CopyError> for Failure {
    fn from(error: CopyError) -> Self {
        match error {
            source @ CopyError::Source(_) => Self::Source(source),
            target => Self::Target(target.into()),
        }
    }
}

impl From<PromoteError> for Failure {
    fn from(error: PromoteError) -> Self {
        match error {
            PromoteError::Copy(error) => error.into(),
            error => Self::Target(error),
        }
    }
}

impl Mover {
    fn run(mut self) {
        loop {
            let Some(broker) = self.broker.upgrade() else { return };
            let Some(asked) = broker.moves.wait() else { return };
            self.begin_all(&broker, &asked);
            let mut has_moved = false;
            for (name, asked) in asked {
                if !broker.moves.is_asked(&name, &asked) {
                    continue;
                }
                match self.step(&broker, &name, &asked) {
                    Ok(bytes) => {
                        has_moved |= bytes > 0;
                        let pause = self.pause_after(&broker, bytes as u64);
                        if self.has_stopped_within(&broker, pause) {
                            return;
                        }
                    }
                    Err(failure) => self.give_up(&broker, &name, &asked, failure),
                }
            }
            if !has_moved && self.has_stopped_within(&broker, PAUSE) {
                return;
            }
        }
    }

    /// Waits so long; what is asked for meanwhile begins at once. True when the broker stops.
    fn has_stopped_within(&mut self, broker: &Broker, duration: Duration) -> bool {
        let end = Instant::now() + duration;
        loop {
            match broker.moves.pause(end) {
                Pause::Over => return false,
                Pause::Stopped => return true,
                Pause::News(asked) => self.begin_all(broker, &asked),
            }
        }
    }

    /// Begins the copies that are not begun yet. With its directory a move is on disk: another process goes on with it.
    fn begin_all(&mut self, broker: &Broker, asked: &BTreeMap<moves::Name, Move>) {
        self.drop_unwanted(asked);
        for (name, asked) in asked {
            if let Some(copy) = self.copies.get_mut(name) {
                // Perhaps one that was called off and is wanted again.
                copy.view = asked.view.clone();
                copy.view.note(copy.future.log());
                asked.view.tell(Begin::Done);
                continue;
            }
            match begin(asked) {
                Ok(copy) => {
                    self.copies.insert(*name, copy);
                    asked.view.tell(Begin::Done);
                }
                Err(failure) => self.give_up(broker, name, asked, failure),
            }
        }
    }

    /// Removes copies that are not wanted any more, or elsewhere.
    fn drop_unwanted(&mut self, asked: &BTreeMap<moves::Name, Move>) {
        let is_unwanted = |name: &moves::Name, copy: &mut Copy| {
            let asked = asked.get(name);
            asked.is_none_or(|asked| !Arc::ptr_eq(&asked.target, &copy.target))
        };
        let unwanted: Vec<_> = self.copies.extract_if(.., is_unwanted).collect();
        unwanted.into_iter().for_each(|(_, copy)| remove(copy));
    }

    /// Copies a piece, or finishes the move. Returns how many bytes were copied.
    fn step(&mut self, broker: &Broker, name: &moves::Name, asked: &Move) -> Result<usize, Failure> {
        let home = asked.partition.home();
        if asked.partition.is_gone() || home.dir.is_offline() {
            return Err(Failure::Over);
        }
        asked.target.in_use().ok_or(Failure::Over)?;
        // One that could not begin has none.
        let Some(copy) = self.copies.get_mut(name) else {
            return Ok(0);
        };
        let end_offset = home.log.log_end_offset();
        let copied = copy_some(&home.log, copy.future.log(), PIECE_BYTES, now_ms())?;
        copy.view.note(copy.future.log());
        copy.unsynced_bytes += copied as u64;
        if copy.unsynced_bytes >= SYNC_BYTES {
            copy.unsynced_bytes = 0;
            copy.future.log().sync().map_err(PromoteError::from)?;
        }
        // What has come since is little, and there may be no moment in which nothing comes.
        if copy.future.log().log_end_offset() >= end_offset
            && let Some(copy) = self.copies.remove(name)
        {
            self.finish(broker, name, (asked, &home), copy)?;
        }
        Ok(copied)
    }

    /// Puts the copy in the place of the log.
    fn finish(
        &self,
        broker: &Broker,
        name: &moves::Name,
        (asked, home): (&Move, &Arc<Home>),
        copy: Copy,
    ) -> Result<(), Failure> {
        let partition = &asked.partition;
        let dir = copy.target.in_use().ok_or(Failure::Over)?;
        let source_dir = home.dir.in_use().ok_or(Failure::Over)?;
        self.assign(broker, partition, &copy.target)?;
        if !broker.moves.is_asked(name, asked) {
            // It was called off in the last moment.
            remove(copy);
            return self.assign(broker, partition, &home.dir);
        }
        let topic_partition = partition.name();
        let target = copy.target.clone();
        let install = |log| {
            let dir = target.clone();
            partition.move_to(Home { log, dir });
        };
        let promoted = dir.promote(
            &topic_partition,
            copy.future,
            (source_dir, &home.log),
            (partition.topic_id, new_id()),
            now_ms(),
            install,
        );
        let old = match promoted {
            Ok(old) => old,
            Err(error) => {
                self.assign(broker, partition, &home.dir)?;
                return Err(error.into());
            }
        };
        broker.moves.end(name, asked);
        match partition.is_gone() {
            // Whoever deleted the topic may have seen the old log only.
            true => broker.delete_logs(std::slice::from_ref(partition)),
            false => broker.logs.note_moved(topic_partition.clone(), &target),
        }
        tracing::info!(partition = %topic_partition, dir = %target.path().display(), "the log was moved");
        if let Err(error) = old.and_then(|old| source_dir.remove_dir(&old)) {
            home.dir.blame(&error, &topic_partition, &Occasion::default());
        }
        Ok(())
    }

    fn assign(&self, broker: &Broker, partition: &Partition, directory: &Directory) -> Result<(), Failure> {
        if !broker.image.load().features().has_directories() {
            return Ok(());
        }
        let assignment = Assignment {
            topic_id: partition.topic_id,
            index: partition.index,
            directory: directory.id().ok_or(Failure::Over)?,
        };
        let assigned = self.runtime.block_on(broker.assign(&[assignment]));
        assigned.map_err(|_| Failure::Over)
    }

    /// Ends a move that cannot go on; the log stays where it is.
    fn give_up(&mut self, broker: &Broker, name: &moves::Name, asked: &Move, failure: Failure) {
        let partition = asked.partition.name();
        let home = asked.partition.home();
        let occasion = Occasion::default();
        match &failure {
            // What was asked of a log that has been moved meanwhile.
            Failure::Source(_) if home.log.is_offline() && !home.dir.is_offline() => {}
            Failure::Source(error) => home.dir.blame(error, &partition, &occasion),
            Failure::Target(error) => asked.target.blame(error, &partition, &occasion),
            Failure::Over => {}
        }
        broker.moves.end(name, asked);
        asked.view.tell(Begin::Failed);
        if let Some(copy) = self.copies.remove(name) {
            remove(copy);
        }
        if !asked.partition.is_gone() {
            let (from, to) = (home.dir.path().display(), asked.target.path().display());
            tracing::warn!(%partition, %from, %to, "the log is not moved");
        }
    }

    fn pause_after(&mut self, broker: &Broker, bytes: u64) -> Duration {
        let image = broker.image.load();
        let limit = broker
            .layers(&image)
            .broker_number("replica.alter.log.dirs.io.max.bytes.per.second") as f64;
        if self.throttle.0 != limit {
            self.throttle = (limit, Throttle::new(limit));
        }
        self.throttle.1.delay(bytes, Instant::now())
    }
}

/// Opens the copy, and cuts off what an earlier process has copied and the log has lost.
fn begin(asked: &Move) -> Result<Copy, Failure> {
    let partition = &asked.partition;
    let home = partition.home();
    if partition.is_gone() || home.dir.is_offline() {
        return Err(Failure::Over);
    }
    let dir = asked.target.in_use().ok_or(Failure::Over)?;
    let resumed = asked.view.take_resumed();
    let found = resumed.as_deref().ok_or_else(new_id);
    let config = home.log.config();
    let future = dir
        .open_future(
            &partition.name(),
            found,
            &home.log,
            (partition.topic_id, config),
            now_ms(),
        )
        .map_err(PromoteError::from)?;
    cut_to(&home.log, future.log(), now_ms()).map_err(CopyError::from)?;
    asked.view.note(future.log());
    Ok(Copy {
        target: asked.target.clone(),
        future,
        view: asked.view.clone(),
        unsynced_bytes: 0,
    })
}

/// Removes a copy. What cannot be removed is found, and removed, at the next start.
fn remove(copy: Copy) {
    let Some(dir) = copy.target.in_use() else { return };
    if let Err(error) = dir.remove_future(copy.future) {
        copy.target.blame(&error, &"removing a copy", &Occasion::default());
    }
}
